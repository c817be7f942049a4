"""The ceilings of indexing: pixseek's decoder alone and its encoder alone, on all processors."""

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from protocol import images_in, main, measured


def rate(call: Callable[[], int], threads: int, seconds: float) -> dict[str, float]:
    """Return how many a second `call` does (it returns how many at once) on several threads."""
    call()
    with measured() as figures, ThreadPoolExecutor(threads) as pool:
        end = time.perf_counter() + seconds

        def work(_: int) -> int:
            count = 0
            while time.perf_counter() < end:
                count += call()
            return count

        done = sum(pool.map(work, range(threads)))
    return {"rate": done / figures["seconds"], "others": figures["others"]}


def drive(arguments: dict[str, Any]) -> dict[str, Any]:
    import numpy as np

    import pixseek
    from pixseek.images import decode

    cores, seconds = len(os.sched_getaffinity(0)), arguments["seconds"]
    answer: dict[str, Any] = {"decode": {}}
    with pixseek.open(Path(arguments["out"]) / "library", model=arguments["model"]) as library:
        encoder = library.encoder()

        def sample(n: int) -> Any:
            files = [file for folder in arguments["folders"].values() for file in images_in(folder)]
            side = 2 * encoder.input_side
            pictures = (decode(Path(file).read_bytes(), at_least=side) for file in files[:n])
            return np.stack([encoder.prepare(picture) for picture in pictures])

        # What indexing many would make it, by the precision that is set.
        answer["runs_on"] = str(encoder.accelerate(library.config.precision, 100_000, sample))
        for name, folder in arguments["folders"].items():
            files = [Path(file).read_bytes() for file in images_in(folder)[:8]]
            turn = iter(range(10**9))

            def one(files: list[bytes] = files, turn: Any = turn) -> int:
                content = files[next(turn) % len(files)]
                encoder.prepare(decode(content, at_least=2 * encoder.input_side))
                return 1

            answer["decode"][name] = rate(one, cores, seconds)
        size, side = max(8, encoder.batch_size), encoder.input_side
        batch = np.random.default_rng(0).standard_normal((size, 3, side, side), dtype=np.float32)

        def encode() -> int:
            encoder.encode_images(batch)
            return size

        # By one caller or by one a core, whichever is faster here.
        answer["encode"] = max(
            (rate(encode, callers, seconds) for callers in (1, cores)), key=lambda r: r["rate"]
        )
    return answer


if __name__ == "__main__":
    main(drive)
