"""What no pixseek has written into a library is an error of the library, and not one of ours."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from pathlib import Path

import pytest
from click.testing import CliRunner

import pixseek
from pixseek.cli import main

from tiny_encoder import TinyEncoder, draw

_DATABASE, _LEDGER = "index/records.sqlite", "ledger.sqlite"

#: Columns of the database with values that they never have.
_VALUES = {
    "record": {
        "fields": ("'{'", "'[1]'", "5"),
        "tags": ("'{'", "'5'"),
        "taken_at": ("'x'", "5"),
        "width": ("'x'",),
        "uri": ("x'ff'",),
        "caption": ("x'ff'",),
        "perceptual_hash": ("'x'",),
        "pixels": ("5",),
    },
    "space": {
        "dim": ("'x'", "-1", "0", "7", "1 << 40"),
        "rows": ("'x'", "-1", "1"),
        "generation": ("'../x'", "''", "5"),
        "model": ("x'ff'",),
        "records": ("'x'",),
        "held": ("'x'",),
    },
    "part": {"part": ("'{'", "'[1]'"), "row": ("row + 1000",)},
}
_STATEMENTS = [
    *(
        (_DATABASE, f"UPDATE {table} SET {column} = {value}")
        for table, columns in _VALUES.items()
        for column, values in columns.items()
        for value in values
    ),
    (_DATABASE, "INSERT INTO dead VALUES (1, 1, 999)"),
    (_DATABASE, "INSERT INTO dead VALUES (1, 1, 'x')"),
    (_DATABASE, "DROP TABLE part"),
    (_LEDGER, "UPDATE settings SET value = '{'"),
    *(
        (_LEDGER, f"UPDATE roots SET {column} = {value}")
        for column, value in (("scopes", "'{'"), ("scopes", "'[5]'"), ("exclude", "5"),
                              ("path", "x'ff'"), ("path", "5"))
    ),
    *(
        (_LEDGER, f"INSERT OR REPLACE INTO settings VALUES ('{name}', '5')")
        for name in ("models", "model", "kinds", "devices", "last_run", "acceleration", "engine")
    ),
]  # fmt: skip


@pytest.mark.slow
def test_damage_in_a_library_is_said(tmp_path: Path, tiny: TinyEncoder) -> None:
    whole, place = tmp_path / "whole.lib", tmp_path / "a.lib"
    draw(tmp_path / "photos" / "red.png", "red", 1)
    draw(tmp_path / "photos" / "blue.png", "blue", 2)
    with pixseek.open(place) as library:
        library.index(tmp_path / "photos")
    place.rename(whole)
    said = 0
    for file, statement in _STATEMENTS:
        shutil.copytree(whole, place)
        with contextlib.closing(sqlite3.connect(place / file)) as db, db:
            db.execute(statement)
        for line in (["search", "red", "--json"], ["list", "--json"], ["status"]):
            done = CliRunner().invoke(main, [*line, "-L", str(place)])
            assert done.exit_code in (0, 1, 3, 4), (statement, line, done.output)
            said += done.exit_code == 3
        shutil.rmtree(place)
    assert said > len(_STATEMENTS)


@pytest.mark.parametrize("generation", ["../../kept", "/kept", "*"])
def test_a_space_names_no_file_elsewhere(
    tmp_path: Path, tiny: TinyEncoder, generation: str
) -> None:
    with pixseek.open(tmp_path / "a.lib") as library:
        library.index(draw(tmp_path / "photos" / "red.png", "red", 1).parent)
    with contextlib.closing(sqlite3.connect(tmp_path / "a.lib" / _DATABASE)) as db, db:
        db.execute("UPDATE space SET generation = ?", (generation,))
    before = sorted(tmp_path.rglob("*"))
    with (
        pytest.raises(pixseek.PixseekError, match="damaged"),
        pixseek.open(tmp_path / "a.lib") as library,
    ):
        library.index(draw(tmp_path / "photos" / "blue.png", "blue", 2).parent)
    assert set(tmp_path.rglob("*.f16")) <= set(before)
