"""A library of many images in a live process: built once, then asked in words by each version.

Processor seconds count, of all threads: they stand up to a busy machine.
"""

import time
from pathlib import Path
from typing import Any

from protocol import main
from query_pixseek import TEXTS

CHUNK = 10_000


def build(arguments: dict[str, Any]) -> dict[str, Any]:
    """Index the warm-up photos, then add rows as if that number of photos had been embedded."""
    import numpy as np

    import pixseek
    from pixseek.engines.embedded import open_embedded
    from pixseek.types import Record, Stamp

    library = Path(arguments["library"])
    with pixseek.open(library, model=arguments["model"]) as opened:
        opened.index(arguments["warm"])
        warm = len(opened)
    stored = np.load(arguments["stored"], mmap_mode="r")
    with open_embedded(library / "index") as engine:
        engine.ensure(engine.space)
        for first in range(0, arguments["rows"] - warm, CHUNK):
            last = min(first + CHUNK, arguments["rows"] - warm)
            records = [
                Record(
                    f"{n:016}", f"photos/{n % 500:03}/IMG_{n:07}.jpg", Stamp(3_000_000 + n, n),
                    f"{n:064x}", "image/jpeg", 4000, 3000,
                )
                for n in range(first, last)
            ]  # fmt: skip
            engine.put(records, np.asarray(stored[first:last], np.float32))
    return {}


def ask(arguments: dict[str, Any]) -> dict[str, Any]:
    import pixseek

    with pixseek.open(arguments["library"], create=False) as library:
        for text in TEXTS[:5]:
            library.search(text)
        time.sleep(1)  # threads that open the model for speed, and read caches, end meanwhile
        for text in TEXTS[5:10]:
            library.search(text)
        began, clock = time.process_time(), time.perf_counter()
        for text in TEXTS[10 : 10 + arguments["queries"]]:
            library.search(text)
        return {
            "cpu_s": (time.process_time() - began) / arguments["queries"],
            "seconds": (time.perf_counter() - clock) / arguments["queries"],
        }


if __name__ == "__main__":
    main(lambda arguments: {"build": build, "ask": ask}[arguments["phase"]](arguments))
