"""Chroma: a persistent collection with its default HNSW."""

from pathlib import Path
from typing import Any

from store_protocol import serve

CHUNK = 5000


class Store:
    def __init__(self, _: dict[str, Any]) -> None:
        import chromadb

        self._chromadb = chromadb

    def _client(self, folder: Path) -> Any:
        quiet = self._chromadb.Settings(anonymized_telemetry=False)
        return self._chromadb.PersistentClient(str(folder), quiet)

    def build(self, folder: Path, stored: Any, widths: Any) -> None:
        collection = self._client(folder).create_collection(
            "rows", configuration={"hnsw": {"space": "ip"}}, embedding_function=None
        )
        for first in range(0, len(stored), CHUNK):
            numbers = range(first, min(first + CHUNK, len(stored)))
            collection.add(
                ids=[str(n) for n in numbers],
                embeddings=stored[first : first + CHUNK],
                metadatas=[{"width": int(widths[n])} for n in numbers],
            )

    def open(self, folder: Path, _: int) -> None:
        self._collection = self._client(folder).get_collection("rows", embedding_function=None)

    def search(self, query: Any, k: int, width: int | None) -> list[str]:
        where = {"width": {"$lte": width}} if width is not None else None
        found = self._collection.query(
            query_embeddings=query[None], n_results=k, where=where, include=[]
        )
        return found["ids"][0]


if __name__ == "__main__":
    serve(Store)
