"""Tables as sources: what the rows of every format say of their images."""

from __future__ import annotations

import csv
import io
import json
import os
import sqlite3
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pixseek.errors import ImageError, PixseekError, SourceError, SourceVanishedError
from pixseek.sources import recognise
from pixseek.sources.rows import RowSource, opened
from pixseek.types import Candidate, Failure, Root

COLOURS = ("red", "green", "blue")


def png(colour: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (24, 16), colour).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "img").mkdir()
    for colour in COLOURS:
        (tmp_path / "img" / f"{colour}.png").write_bytes(png(colour))
    return tmp_path


def source(where: Path | str, **options: Any) -> RowSource:
    return opened(Root("t", str(where), kind="table", options=options))


def read(of: RowSource) -> tuple[dict[str, Mapping[str, Any]], list[Failure]]:
    """Return the fields of each image by its key, and all failures."""
    found, failures = {}, []
    for event in list(of.scan()):
        if isinstance(event, Failure):
            failures.append(event)
        elif isinstance(event, Candidate):
            key = event.uri.removeprefix("t/")
            try:
                item = of.read(event)
            except ImageError as error:
                failures.append(Failure(event.uri, "read", error.reason, error.problem, ""))
                continue
            assert isinstance(item.content, bytes)
            assert item.content == of.open(event.uri)
            assert of.holds(event.uri)
            found[key] = item.fields
    return found, failures


ROWS: Sequence[Mapping[str, Any]] = [
    {"file": "img/red.png", "caption": "a red wall", "tags": "wall,red", "price": 12, "stock": True,
     "weight": 1.5, "Made On": "2024-05-06", "ean": "0042", "sku": "A 1"},
    {"file": "img/green.png", "caption": "a green wall", "tags": "", "price": 7, "stock": False,
     "weight": 2.0, "Made On": "2023-01-02", "ean": "0043", "sku": "A 2"},
    {"file": "img/red.png", "caption": "one wall, red", "tags": "red,paint", "price": 12,
     "stock": True, "weight": 1.5, "Made On": "2024-05-06", "ean": "0042", "sku": "B 1"},
]  # fmt: skip
RED = {
    "caption": ("a red wall", "one wall, red"), "tags": ("wall", "red", "paint"), "price": 12,
    "stock": True, "weight": 1.5, "made_on": datetime(2024, 5, 6), "ean": "0042",
    "sku": "A 1; B 1",
}  # fmt: skip


def csv_text(delimiter: str) -> str:
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, ROWS[0].keys(), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(ROWS)
    return buffer.getvalue()


def write(folder: Path, kind: str) -> str:
    """Write the rows as a table of some kind; return where it is."""
    path = folder / f"photos.{kind.rpartition(' ')[2]}"
    if kind.endswith(("csv", "tsv", "csv000")):
        text = csv_text("\t" if "t" in kind else ";" if "semicolon" in kind else ",")
        wide = "utf-16" if "wide" in kind else "utf-8-sig" if "BOM" in kind else "utf-8"
        path.write_bytes(text.encode(wide))
    elif kind.endswith(("jsonl", "ndjson")):
        path.write_text("\n".join(map(json.dumps, ROWS)))
    elif kind.endswith("db"):
        with sqlite3.connect(path) as database:
            database.execute(
                'CREATE TABLE photos (file, caption, tags, price, stock, weight, "Made On", '
                "ean, sku)"
            )
            database.executemany(
                "INSERT INTO photos VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [[v if v is not True and v is not False else str(v).lower() for v in row.values()]
                 for row in ROWS],
            )  # fmt: skip
        database.close()
        columns = 'file, caption, tags, price, weight, "Made On", ean, sku'
        return f"sqlite://{path}?query=SELECT {columns} FROM photos"
    else:
        pa = pytest.importorskip("pyarrow")
        table = pa.Table.from_pylist([{**row, "tags": row["tags"].split(",")} for row in ROWS])
        if kind == "parquet":
            import pyarrow.parquet

            pyarrow.parquet.write_table(table, path, row_group_size=2)
        elif kind == "feather":
            import pyarrow.feather

            pyarrow.feather.write_feather(table, path)
        else:
            with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, table.schema) as out:
                out.write_table(table)
    return str(path)


@pytest.mark.parametrize(
    "kind",
    ["csv", "semicolon csv", "wide csv", "BOM csv", "tsv", "jsonl", "ndjson", "db", "parquet",
     "feather", "arrow"],
)  # fmt: skip
def test_every_format_says_the_same_with_types(folder: Path, kind: str) -> None:
    found, failures = read(source(write(folder, kind)))
    assert failures == []
    red = dict(RED)
    if kind == "db":
        del red["stock"]  # SQLite has no truth values
    assert found == {
        "img/red.png": red,
        "img/green.png": {
            **{name: value for name, value in found["img/green.png"].items() if name in red},
            "caption": ("a green wall",), "price": 7,
        },
    }  # fmt: skip
    assert {type(value) for value in (red["price"], found["img/red.png"]["weight"])} == {int, float}


def test_duckdb_answers_read_only_queries(folder: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    with duckdb.connect(str(folder / "p.duckdb")) as database:
        database.execute("CREATE TABLE p AS SELECT 'img/red.png' AS file, 3 AS n, DATE '2024-01-02'"
                         " AS made, ['a', 'b'] AS tags")  # fmt: skip
    found, failures = read(source(f"duckdb://{folder}/p.duckdb?query=SELECT * FROM p"))
    assert (found, failures) == (
        {"img/red.png": {"n": 3, "made": datetime(2024, 1, 2), "tags": ("a", "b")}}, [],
    )  # fmt: skip
    other = folder / "other.csv"
    other.write_text("file\nimg/blue.png\n")
    for query in ("DROP TABLE p", f"SELECT * FROM '{other}'"):
        with pytest.raises(SourceError, match="refused"):
            read(source(f"duckdb://{folder}/p.duckdb?query={query}"))


@pytest.mark.parametrize("statement", ["DELETE FROM p", "ATTACH 'other.db' AS o", "PRAGMA x = 1"])
def test_a_sqlite_query_may_only_read(folder: Path, statement: str) -> None:
    path = folder / "p.db"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE p (file)")
        database.execute("INSERT INTO p VALUES ('img/red.png')")
    database.close()
    with pytest.raises(SourceError, match="refused"):
        list(source(f"sqlite://{path}?query={statement}").scan())
    found, _ = read(source(f"sqlite://{path}?query=SELECT file FROM p"))
    assert list(found) == ["img/red.png"]


def parquet_of_pictures(path: Path, colours: Sequence[str], group: int = 2) -> None:
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet

    rows = [
        {"image": {"bytes": png(c), "path": f"{c}.png" if c != "blue" else None}, "n": n}
        for n, c in enumerate(colours)
    ]
    pyarrow.parquet.write_table(pa.Table.from_pylist(rows), path, row_group_size=group)


def test_pictures_inside_parquet_are_read_by_row(folder: Path) -> None:
    parquet_of_pictures(folder / "p.parquet", COLOURS)
    of = source(folder / "p.parquet")
    found, failures = read(of)
    assert failures == []
    assert found == {"0/red.png": {"n": 0}, "1/green.png": {"n": 1}, "2": {"n": 2}}
    for key, colour in (("2", "blue"), ("0/red.png", "red"), ("1/green.png", "green")):
        assert source(folder / "p.parquet").open(f"t/{key}") == png(colour)
        assert of.place(f"t/{key}") is None


def test_structs_of_datasets_may_hold_paths_in_place_of_bytes(folder: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet

    rows = [{"image": {"bytes": None, "path": str(folder / "img" / "red.png")}},
            {"image": {"bytes": None, "path": str(folder / "gone.png")}},
            {"image": {"bytes": png("blue"), "path": None}}]  # fmt: skip
    pyarrow.parquet.write_table(pa.Table.from_pylist(rows), folder / "p.parquet")
    found, failures = read(source(folder / "p.parquet"))
    assert list(found) == ["0/red.png", "2"]
    assert [(each.uri, each.reason) for each in failures] == [("t/1/gone.png", "missing")]


def test_rows_that_are_no_image_are_failures_and_end_nothing(folder: Path) -> None:
    (folder / "secret.png").write_bytes(png("black"))
    os.symlink(folder / "secret.png", folder / "img" / "link.png")
    lines = [
        {"file": "img/red.png"}, {"file": ""}, {"caption": "alone"}, {"file": "img/gone.png"},
        {"file": "../secret.png"}, {"file": str(folder / "secret.png")}, {"file": "link.png"},
        {"file": "http://127.0.0.1:9/a.jpg?w=3"}, {"file": "img"},
    ]  # fmt: skip
    table = folder / "img" / "t.jsonl"
    (folder / "img" / "img").mkdir()
    (folder / "img" / "img" / "red.png").write_bytes(png("red"))
    table.write_text("\n".join([*map(json.dumps, lines), "{broken", "[1]"]))
    found, failures = read(source(table))
    assert list(found) == ["img/red.png"]
    assert {each.uri.removeprefix("t/"): each.reason for each in failures} == {
        "row-2": "missing", "row-3": "missing", "img/gone.png": "missing",
        "outside/secret.png": "outside", f"outside{folder}/secret.png": "outside",
        "link.png": "outside", "http/127.0.0.1:9/a.jpg?w=3": "no-permission",
        "img": "not-a-file", "row-10": "unreadable", "row-11": "unreadable",
    }  # fmt: skip
    found, _ = read(source(table, images=str(folder)))
    assert {"img/red.png", "secret.png"} <= set(found)


def test_columns_can_be_named_and_unknown_ones_list_the_known(folder: Path) -> None:
    table = folder / "t.csv"
    table.write_text("nr,where,what\n7,img/red.png,a wall\n8,img/blue.png,a pool\n")
    found, _ = read(source(table, columns={"image": "where", "caption": "what", "id": "nr"}))
    assert found == {
        # Their ids do not say which image it is.
        "7": {"caption": ("a wall",), "nr": 7, "where": "img/red.png"},
        "8": {"caption": ("a pool",), "nr": 8, "where": "img/blue.png"},
    }  # fmt: skip
    of = source(table, columns={"image": "where", "id": "nr"})
    assert of.place("t/8") is None  # lists ask for places, and are not worth reading a table
    assert of.open("t/8") == png("blue")
    assert of.place("t/8") == folder / "img" / "blue.png"
    with pytest.raises(SourceError, match="'wher'") as caught:
        read(source(table, columns={"image": "wher"}))
    assert "where" in caught.value.advice
    (folder / "n.csv").write_text("a,b\n1,2\n")
    with pytest.raises(SourceError, match="No column of images") as caught:
        read(source(folder / "n.csv"))
    assert "--column image=NAME" in caught.value.advice


def test_images_that_users_exclude_are_left_out(folder: Path) -> None:
    table = write(folder, "csv")
    for patterns, keys in ((["/img/red.png"], {"img/green.png"}), (["img/"], set())):
        root = Root("t", table, kind="table", exclude=tuple(patterns))
        assert set(read(opened(root))[0]) == keys


def test_an_id_of_two_images_is_that_of_the_first(folder: Path) -> None:
    (folder / "t.csv000").write_text(
        "sku,file,n\nA\xa01,img/red.png,1\nB,img/red.png,2\nB,img/blue.png,3\nB,,4\nC\x00,img/x,5\n"
    )
    found, failures = read(source(folder / "t.csv000", columns={"id": "sku"}))
    assert {key: item["n"] for key, item in found.items()} == {"A\xa01": 1, "B": 2}
    assert [(each.uri, each.reason) for each in failures] == [
        ("t/row-5", "bad-name"), ("t/row-3", "duplicate"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "kind", "where"),
    [
        ("a.csv", None, "table"), ("a.JSONL", None, "table"), ("photos.tsv000", None, "table"),
        ("a.txt", None, None), ("a.csv.bak", None, None), ("a.txt", "folder", None),
        ("a.csv", "folder", None), ("a.csv", "table", "table"),
    ],
)  # fmt: skip
def test_tables_are_recognised_by_their_endings(
    tmp_path: Path, name: str, kind: str | None, where: str | None
) -> None:
    (tmp_path / name).write_text("file\n")
    found = recognise(tmp_path / name, kind)
    assert (found and found.kind) == where


def test_names_that_mean_something_to_pixseek_keep_their_meaning(folder: Path) -> None:
    (folder / "t.csv").write_text(
        "file,rating,Rating!,Title,author,url,description,width,colours,lat,Né le\n"
        "img/red.png,4,4.7,Red,Ann,https://example.org/red,long text,300,red,48.5,2020\n"
    )
    found, _ = read(source(folder / "t.csv"))
    assert found["img/red.png"] == {
        "caption": ("long text",), "rating": 4, "column_rating": 4.7, "title": "Red",
        "artist": "Ann", "source_url": "https://example.org/red", "width": 300,
        "column_colours": "red", "latitude": 48.5, "né_le": 2020,
    }  # fmt: skip


def test_the_mapping_is_told_before_a_run(folder: Path) -> None:
    mapped = source(write(folder, "csv")).mapped()
    assert (mapped.rows, mapped.images, mapped.roles.image) == (3, 2, "file")
    assert mapped.roles.captions == ("caption",)
    assert {name: target.kind for name, target in mapped.columns.items()} == {
        "price": "int", "stock": "bool", "weight": "float", "Made On": "time", "ean": "text",
        "sku": "text",
    }  # fmt: skip
    assert mapped.fields[0] == ("img/red.png", RED)


@pytest.mark.parametrize(
    ("cells", "value"),
    [
        (["1", "2", ""], 1), (["1", "2.5"], 1.0), (["1", "x"], "1"), (["01", "2"], "01"),
        (["1", "NA"], 1), (["t", "f"], True), (["yes", "no"], True),
        (["f", "f"], "f"), (["no", ""], "no"), (["true", "1"], "true"),
        (["2024-01-02 03:04:05", "2024-01-02"], datetime(2024, 1, 2, 3, 4, 5)),
        (["2020-07-14 08:36:07.123"], datetime(2020, 7, 14, 8, 36, 7, 123000)),
        (["2024-13-01"], "2024-13-01"), (["99999999999999999999"], 1e20), (["1e3"], 1000.0),
        (["-3"], -3), (["1e999"], "1e999"), (["00:30"], "00:30"),
        (["24.12.2020", "1.2.2021"], datetime(2020, 12, 24)),
        (["1.2.2021", "", "n/a"], datetime(2021, 2, 1)),
        (["02/03/2021", "12/24/2020"], datetime(2021, 2, 3)),
        (["02/03/2021 9:05 PM", "24/12/2020 12:00 AM"], datetime(2021, 3, 2, 21, 5)),
        (["2020:12:24 10:11:12"], datetime(2020, 12, 24, 10, 11, 12)),
        (["24/12/2020", "12/24/2020"], "24/12/2020"), (["24.12.20"], "24.12.20"),
        (["1.2.2021", "soon"], "1.2.2021"), (["31.2.2021"], "31.2.2021"),
        (["1.2/2021"], "1.2/2021"),
    ],
)  # fmt: skip
def test_a_column_has_the_type_that_all_its_cells_have(
    folder: Path, cells: list[str], value: object
) -> None:
    lines = [f"img/{colour}.png,{cell}" for colour, cell in zip(COLOURS, cells, strict=False)]
    (folder / "t.csv").write_text("\n".join(["file,x", *lines]))
    got = read(source(folder / "t.csv"))[0]["img/red.png"]["x"]
    assert (got, type(got)) == (value, type(value))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("file;x\nimg/red.png;1,50\nimg/green.png;1.234,5\nimg/blue.png;7", 1.5),
        ("file;x\nimg/red.png;1.234\nimg/green.png;2,5", 1234.0),
        ("file;x\nimg/red.png;1,5\nimg/green.png;none of it", "1,5"),
        ("file;x\nimg/red.png;0,5\nimg/green.png;007", "0,5"),
        ('file,x\nimg/red.png,"1,234"', "1,234"),
        ("sep=;\nfile;x\nimg/red.png;a, b | c", "a, b | c"),
        ('"sep=|"\r\nfile|x\r\nimg/red.png|a, b; c\r\n', "a, b; c"),
        ("sep=\t\nfile\tx\nimg/red.png\ta, b", "a, b"),
        ('file,x\nimg/red.png,a 5" disk', 'a 5" disk'),
    ],
)
def test_separators_and_decimal_commas_of_spreadsheets(
    folder: Path, text: str, value: object
) -> None:
    (folder / "t.csv").write_text(text)
    assert read(source(folder / "t.csv"))[0]["img/red.png"]["x"] == value


def test_coordinates_of_three_decimals_between_semicolons_are_coordinates(folder: Path) -> None:
    lines = "".join(
        f"img/{c}.png;{n};11.5\n"
        for c, n in zip(COLOURS, ("48.137", "48.1371", "47.99"), strict=True)
    )
    (folder / "t.csv").write_text(f"file;latitude;longitude\n{lines}")
    assert read(source(folder / "t.csv"))[0]["img/red.png"]["latitude"] == 48.137


def test_a_column_of_digests_is_not_taken_for_the_pictures(folder: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet

    rows = [
        {"md5": bytes([n] * 16), "file": f"img/{c}.png", "caption": c}
        for n, c in enumerate(COLOURS)
    ]
    schema = pa.schema([("md5", pa.binary(16)), ("file", pa.string()), ("caption", pa.string())])
    pyarrow.parquet.write_table(pa.Table.from_pylist(rows, schema), folder / "p.parquet")
    pyarrow.parquet.write_table(
        pa.Table.from_pylist([{"raw": png(c), "caption": c} for c in COLOURS]), folder / "q.parquet"
    )
    assert read(source(folder / "p.parquet"))[0]["img/blue.png"] == {"caption": ("blue",)}
    assert read(source(folder / "q.parquet"))[0]["2"] == {"caption": ("blue",)}


@pytest.mark.parametrize(
    ("cell", "tags"),
    [
        ('["red, deep", "b"]', ("red, deep", "b")), ("['a', 'b']", ("a", "b")), ("[]", None),
        ("a|b; c", ("a", "b", "c")), ("[a], b", ("[a]", "b")), ("[a b]", ("[a b]",)),
        ("[" * 5_000 + "]" * 5_000, ("[" * 5_000 + "]" * 5_000,)),
    ],
)  # fmt: skip
def test_lists_that_are_written_as_text(
    folder: Path, cell: str, tags: tuple[str, ...] | None
) -> None:
    with (folder / "t.csv").open("w") as file:
        csv.writer(file).writerows([("file", "tags"), ("img/red.png", cell)])
    assert read(source(folder / "t.csv"))[0]["img/red.png"].get("tags") == tags


def test_captions_in_a_list_are_several(folder: Path) -> None:
    (folder / "t.tsv").write_text('file\tcaptions\nimg/red.png\t["one", "two"]\n')
    assert read(source(folder / "t.tsv"))[0]["img/red.png"] == {"caption": ("one", "two")}


def test_fields_are_spelled_as_their_columns(folder: Path) -> None:
    # The second name has its dots as characters of their own, as macOS writes them.
    (folder / "t.csv").write_text("file,Größe,Fla\u0308che\nimg/red.png,L,7")
    assert read(source(folder / "t.csv"))[0]["img/red.png"] == {"größe": "L", "fläche": 7}


def test_lines_of_json_are_read_in_the_encoding_of_windows(folder: Path) -> None:
    (folder / "t.jsonl").write_text('{"file": "img/red.png", "caption": "weiß"}\n', "utf-16")
    assert read(source(folder / "t.jsonl"))[0]["img/red.png"] == {"caption": ("weiß",)}


def test_rows_with_more_cells_than_columns_are_failures(folder: Path) -> None:
    (folder / "t.csv").write_text(
        "file,caption\nimg/red.png,a wall, painted\nimg/green.png\nimg/blue.png,b,,\n"
    )
    found, failures = read(source(folder / "t.csv"))
    assert found == {"img/green.png": {}, "img/blue.png": {"caption": ("b",)}}
    assert [(each.uri, each.reason) for each in failures] == [("t/row-1", "unreadable")]


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("t.csv", "file,caption\n", "no rows"), ("t.csv", "", "no rows"),
        ("t.jsonl", "[\n]\n", "No row of the table"),
        ("t.csv", 'file,caption\nimg/red.png,"a wall\nimg/green.png,b\n', "behind line 1 "),
    ],
)  # fmt: skip
def test_a_table_that_can_not_be_whole_is_an_error(
    folder: Path, name: str, text: str, why: str
) -> None:
    (folder / name).write_text(text)
    with pytest.raises(SourceError, match=why):
        list(source(folder / name).scan())


def test_a_table_or_its_images_that_are_gone_remove_nothing(folder: Path) -> None:
    for where, options in ((folder / "no.csv", {}), (folder, {"images": str(folder / "no")})):
        with pytest.raises(SourceVanishedError):
            list(source(where if options == {} else write(folder, "csv"), **options).scan())


def test_a_broken_table_is_an_error_that_names_it(folder: Path) -> None:
    pytest.importorskip("pyarrow")
    for name in ("t.parquet", "t.arrow", "t.csv"):
        (folder / name).write_bytes(b"\xff\x00not a table" * 50)
        with pytest.raises(PixseekError) as caught:
            list(source(folder / name).scan())
        assert str(folder / name) in str(caught.value)


def test_more_pictures_in_a_row_are_told_and_not_used(folder: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet

    from pixseek.library.recognising import outlook

    rows = [{"image": {"bytes": png("red")}, "mask": {"bytes": png("white")}, "n": 1}]
    pyarrow.parquet.write_table(pa.Table.from_pylist(rows), folder / "pairs.parquet")
    assert source(folder / "pairs.parquet").mapped().unused == ("mask",)
    (told,) = (each for each in outlook(folder / "pairs.parquet").columns if each.column == "mask")
    assert told.becomes == "not used" and "--column image=" in told.why


@pytest.mark.parametrize(
    ("mark", "cells", "order", "day", "why"),
    [
        (",", ["4/5/2021", "6/7/2021"], "", "2021-04-05", "month first (a guess"),
        (";", ["4/5/2021", "6/7/2021"], "", "2021-05-04", "day first (a guess"),
        (",", ["4-5-2021", "6-7-2021"], "", "2021-05-04", "--column month-first="),
        (",", ["4/5/2021", "6/17/2021"], "", "2021-04-05", "month first"),
        (",", ["4.5.2021", "6.7.2021"], "", "2021-05-04", "day first"),
        (",", ["4/5/2021", "6/7/2021"], "day-first", "2021-05-04", "day first"),
        (",", ["4/5/2021", "6/17/2021"], "day-first", None, "not all of its cells"),
        (",", ["2021-05-04"], "", "2021-05-04", ""),
    ],
)  # fmt: skip
@pytest.mark.parametrize(("name", "field"), [("made", "made"), ("Date taken", "taken_at")])
def test_the_order_of_dates_is_told_and_can_be_chosen(
    folder: Path, mark: str, cells: list[str], order: str, day: str | None, why: str,
    name: str, field: str,
) -> None:  # fmt: skip
    from pixseek.library.recognising import outlook

    lines = [f"img/{c}.png{mark}{cell}" for c, cell in zip(COLOURS, cells, strict=False)]
    (folder / "t.csv").write_text("\n".join([f"file{mark}{name}", *lines]))
    columns = {order: name} if order else {}
    said = read(source(folder / "t.csv", columns=columns))[0]["img/red.png"][field]
    if day is None:
        assert said == cells[0]  # as the table has it
    else:
        assert str(said)[:10] == day
        assert isinstance(said, str if field == "taken_at" else datetime)
    (told,) = (
        each for each in outlook(folder / "t.csv", columns=columns).columns if each.column == name
    )
    assert why in told.why and bool(why) == bool(told.why)
