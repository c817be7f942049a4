"""Milvus Lite: a local file, its automatic index."""

from pathlib import Path
from typing import Any

from store_protocol import serve

CHUNK = 5000


class Store:
    def __init__(self, _: dict[str, Any]) -> None:
        from pymilvus import MilvusClient

        self._make = MilvusClient

    def build(self, folder: Path, stored: Any, widths: Any) -> None:
        client = self._make(str(folder / "rows.db"))
        client.create_collection("rows", dimension=stored.shape[1], metric_type="COSINE")
        for first in range(0, len(stored), CHUNK):
            numbers = range(first, min(first + CHUNK, len(stored)))
            rows = [{"id": n, "width": int(widths[n]), "vector": stored[n]} for n in numbers]
            client.insert("rows", rows)
        client.close()

    def open(self, folder: Path, _: int) -> None:
        self._client = self._make(str(folder / "rows.db"))
        self._client.load_collection("rows")

    def search(self, query: Any, k: int, width: int | None) -> list[int]:
        condition = "" if width is None else f"width <= {width}"
        found = self._client.search("rows", data=[query], limit=k, filter=condition)
        return [hit["id"] for hit in found[0]]


if __name__ == "__main__":
    serve(Store)
