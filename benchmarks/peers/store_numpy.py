"""numpy: float32 rows in a file, one product a query. The baseline."""

from pathlib import Path
from typing import Any

from store_protocol import serve


class Store:
    def __init__(self, _: dict[str, Any]) -> None:
        import numpy as np

        self._np = np

    def build(self, folder: Path, stored: Any, widths: Any) -> None:
        self._np.save(folder / "rows.npy", stored)
        self._np.save(folder / "widths.npy", widths)

    def open(self, folder: Path, _: int) -> None:
        self._rows = self._np.load(folder / "rows.npy")
        self._widths = self._np.load(folder / "widths.npy")

    def search(self, query: Any, k: int, width: int | None) -> Any:
        np = self._np
        if width is None:
            numbers, scores = None, self._rows @ query
        else:
            numbers = np.flatnonzero(self._widths <= width)
            scores = self._rows[numbers] @ query
        first = np.argpartition(-scores, min(k, len(scores)) - 1)[:k]
        order = first[np.argsort(-scores[first])]
        return order if numbers is None else numbers[order]


if __name__ == "__main__":
    serve(Store)
