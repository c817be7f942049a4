"""LanceDB: IVF_RQ with refinement where there is enough to index, an index on the width."""

from pathlib import Path
from typing import Any

from store_protocol import serve

#: LanceDB's own advice: below this many rows it scans.
INDEXED = 10_000


class Store:
    def __init__(self, _: dict[str, Any]) -> None:
        import lancedb

        self._lancedb = lancedb

    def build(self, folder: Path, stored: Any, widths: Any) -> None:
        import pyarrow as pa

        rows, dim = stored.shape
        vectors = pa.FixedSizeListArray.from_arrays(pa.array(stored.reshape(-1)), dim)
        columns = {"id": range(rows), "width": widths, "vector": vectors}
        table = self._lancedb.connect(folder).create_table("rows", pa.table(columns))
        table.create_scalar_index("width")
        if rows >= INDEXED:
            table.create_index(metric="dot", vector_column_name="vector", index_type="IVF_RQ")

    def open(self, folder: Path, rows: int) -> None:
        self._table = self._lancedb.connect(folder).open_table("rows")
        self._indexed = rows >= INDEXED

    def search(self, query: Any, k: int, width: int | None) -> list[int]:
        wanted = self._table.search(query).distance_type("dot").limit(k).select(["id"])
        if self._indexed:
            wanted = wanted.nprobes(96).refine_factor(40)
        if width is not None:
            wanted = wanted.where(f"width <= {width}", prefilter=True)
        return wanted.to_arrow()["id"].to_pylist()


if __name__ == "__main__":
    serve(Store)
