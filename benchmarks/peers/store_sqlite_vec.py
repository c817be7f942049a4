"""sqlite-vec: one vec0 table with the width as a metadata column."""

from pathlib import Path
from typing import Any

from store_protocol import serve


class Store:
    def __init__(self, _: dict[str, Any]) -> None:
        import apsw
        import sqlite_vec

        self._apsw, self._extension = apsw, sqlite_vec.loadable_path()

    def open(self, folder: Path, _: int = 0) -> None:
        self._database = self._apsw.Connection(str(folder / "rows.sqlite"))
        self._database.enable_load_extension(True)
        self._database.load_extension(self._extension)

    def build(self, folder: Path, stored: Any, widths: Any) -> None:
        self.open(folder)
        self._database.execute(
            "CREATE VIRTUAL TABLE rows USING vec0(id INTEGER PRIMARY KEY, width INTEGER, "
            f"vector FLOAT[{stored.shape[1]}] DISTANCE_METRIC=cosine)"
        )
        rows = ((n, int(widths[n]), stored[n].tobytes()) for n in range(len(stored)))
        with self._database:
            self._database.executemany("INSERT INTO rows VALUES (?, ?, ?)", rows)
        self._database.close()

    def search(self, query: Any, k: int, width: int | None) -> list[int]:
        condition = "" if width is None else f"AND width <= {width}"
        found = self._database.execute(
            f"SELECT id FROM rows WHERE vector MATCH ? AND k = ? {condition}", (query.tobytes(), k)
        )
        return [row[0] for row in found]


if __name__ == "__main__":
    serve(Store)
