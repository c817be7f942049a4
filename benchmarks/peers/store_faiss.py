"""faiss: "kind" says which index; filters are selectors over a column of widths in memory."""

from pathlib import Path
from typing import Any

from store_protocol import serve


class Store:
    def __init__(self, arguments: dict[str, Any]) -> None:
        import faiss
        import numpy as np

        self._faiss, self._np, self._kind = faiss, np, arguments["kind"]

    def build(self, folder: Path, stored: Any, widths: Any) -> None:
        lists = 1024 if len(stored) >= 100_000 else max(16, len(stored) // 100)
        recipe = {"flat": "SQfp16", "hnsw": "HNSW16_SQ8", "ivf": f"IVF{lists},SQ8"}[self._kind]
        dim = stored.shape[1]
        index = self._faiss.index_factory(dim, recipe, self._faiss.METRIC_INNER_PRODUCT)
        index.train(stored)
        index.add(stored)
        self._faiss.write_index(index, str(folder / "index.faiss"))
        self._np.save(folder / "widths.npy", widths)

    def open(self, folder: Path, _: int) -> None:
        flags = self._faiss.IO_FLAG_MMAP if self._kind == "flat" else 0
        self._index = self._faiss.read_index(str(folder / "index.faiss"), flags)
        self._widths = self._np.load(folder / "widths.npy")

    def search(self, query: Any, k: int, width: int | None) -> Any:
        faiss, selector = self._faiss, None
        if width is not None:
            bits = self._np.packbits(self._widths <= width, bitorder="little")
            selector = faiss.IDSelectorBitmap(bits)
        parameters = {
            "flat": lambda: faiss.SearchParameters(sel=selector),
            "hnsw": lambda: faiss.SearchParametersHNSW(sel=selector, efSearch=max(64, k)),
            "ivf": lambda: faiss.SearchParametersIVF(sel=selector, nprobe=32),
        }[self._kind]()
        return self._index.search(query[None], k, params=parameters)[1][0]


if __name__ == "__main__":
    serve(Store)
