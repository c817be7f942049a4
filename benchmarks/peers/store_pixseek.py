"""pixseek's embedded engine."""

import sys
from pathlib import Path
from typing import Any

from store_protocol import serve

CHUNK = 10_000


class Store:
    def __init__(self, arguments: dict[str, Any]) -> None:
        if "without" in arguments:  # as if that package were not installed
            sys.modules[arguments["without"]] = None  # type: ignore[assignment]
        from pixseek.engines.embedded import open_embedded
        from pixseek.types import Compare

        self._open_engine, self._compare = open_embedded, Compare

    def build(self, folder: Path, stored: Any, widths: Any) -> None:
        from pixseek.types import Record, Space, Stamp

        with self._open_engine(folder / "index") as engine:
            engine.ensure(Space("0" * 64, stored.shape[1], "benchmark"))
            for first in range(0, len(stored), CHUNK):
                records = [
                    Record(
                        f"{n:016}", f"photos/{n % 500:03}/IMG_{n:07}.jpg", Stamp(3_000_000 + n, n),
                        f"{n:064x}", "image/jpeg", int(widths[n]), 3000,
                    )
                    for n in range(first, min(first + CHUNK, len(stored)))
                ]  # fmt: skip
                engine.put(records, stored[first : first + CHUNK])

    def open(self, folder: Path, _: int) -> None:
        self._engine = self._open_engine(folder / "index")

    def search(self, query: Any, k: int, width: int | None) -> list[int]:
        where = self._compare("width", "le", width) if width else None
        return [int(each) for each in self._engine.nearest(query[None], k, where)[0].ids]


if __name__ == "__main__":
    serve(Store)
