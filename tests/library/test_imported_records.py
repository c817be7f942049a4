"""What an import accepts breaks nothing afterwards; everything else names its row and column."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pixseek
from pixseek import filters
from pixseek.errors import PixseekError, SourceError
from pixseek.library import imported_records, vector_files
from pixseek.metadata.fields import FIELDS
from pixseek.search.language import filter_of
from pixseek.search.language_fields import names
from pixseek.types import Not, Part, Record, Sort, Space, Stamp, record_id

DIM = 4

#: A row with every column, all of them right.
ROW: dict[str, Any] = {
    "id": record_id("a/1.jpg"), "uri": "a/1.jpg", "part": '["image", null, null, null, null]',
    "size": 10, "mtime_ns": 10**18, "digest": "ab" * 32, "media": "image/jpeg", "width": 4,
    "height": 3, "taken_at": "2021-05-03T12:00:00+02:00", "caption": "a dog", "tags": '["dog"]',
    "fields": '{"rating": 3, "iso": 100.0}', "pixels": "cd" * 32,
    "perceptual_hash": "0123456789abcdef",
}  # fmt: skip
_DEEP = "[" * 100_000
_WRONG: list[tuple[str, Any, str]] = [
    ("id", "", "id is empty"),
    ("id", "a\0b", "id"),
    ("id", 7, "id is 7, and not a text"),
    ("uri", "a/" + "x" * 5_000, "uri has 5,002 characters"),
    ("part", "{}", "a list in JSON"),
    ("part", _DEEP, "a list in JSON"),
    ("part", '["whole", null]', '"image", "tile" or "shot"'),
    ("part", '["tile", [1, 2, "3", 4]]', "four numbers"),
    ("part", '["tile", 3]', "kind, box"),
    ("part", '["shot", null, 1e999]', "seconds"),
    ("part", '["shot", null, 1, 2, 3, 4]', "kind, box"),
    ("part", "[]", "values to unpack"),
    ("size", "10", "size"),
    ("size", -7, "size is out of range"),
    ("size", 1.5, "size is 1.5, and not a whole number"),
    ("mtime_ns", "x", "mtime_ns"),
    ("width", -4, "width is out of range"),
    ("width", 2**40, "width is out of range"),
    ("height", "3", "height is '3', and not a whole number"),
    ("height", True, "height is True"),
    ("digest", 5, "digest is 5"),
    ("media", "x" * 300, "media has 300 characters"),
    ("taken_at", "yesterday", "not a date"),
    ("taken_at", "0000-00-00T00:00:00", "not a date"),
    ("taken_at", "10000-01-01", "not a date"),
    ("taken_at", "2021-05-03T12:00:00+23:00", "zone"),
    ("taken_at", 2021, "not a date"),
    ("caption", ["a"], "caption is ['a'], and not a text"),
    ("caption", "\ud800", "caption"),
    ("caption", "x" * 1_000_001, "caption has 1,000,001 characters"),
    ("tags", "dog", "a list in JSON"),
    ("tags", ["dog"], "a list in JSON"),
    ("tags", "[1]", "a tag is 1, and not a text"),
    ("tags", '["a\\u0000"]', "a tag is"),
    ("tags", _DEEP, "a list in JSON"),
    ("tags", json.dumps(["x"] * 10_001), "tags are not a list of up to 10,000"),
    ("fields", "[]", "an object in JSON"),
    ("fields", '{"x": [1]}', "fields.x is [1], and not"),
    ("fields", '{"x": {"time": 1}}', "datetime"),
    ("fields", '{"x": {"datetime": 1}}', "not a date"),
    ("fields", '{"x": NaN}', "fields.x is nan"),
    ("fields", f'{{"x": {2**70}}}', "fields.x is out of range"),
    ("fields", '{"x": ' + "9" * 5_000 + "}", "an object in JSON"),
    ("fields", '{"rating": "many"}', "fields.rating is 'many', and not a number"),
    ("fields", '{"latitude": Infinity}', "a finite number"),
    ("fields", '{"title": 3}', "fields.title is 3, and not a text"),
    ("fields", '{"": 3}', "no name"),
    ("pixels", b"x", "pixels is b'x', and not a text"),
    ("perceptual_hash", "xyz", "16 hexadecimal digits"),
]


@pytest.mark.parametrize(("column", "value", "said"), _WRONG)
def test_a_wrong_value_names_its_row_and_column(column: str, value: Any, said: str) -> None:
    rows = [{**ROW, "id": "1"}, {**ROW, column: value}]
    with pytest.raises(SourceError) as caught:
        vector_files.records_of(rows, Path("v.parquet"), 11)
    assert str(caught.value.subject).startswith("v.parquet, row 12 (")
    assert said in caught.value.advice
    assert len(str(caught.value)) < 6_000


def test_times_of_pandas_are_taken_and_those_of_no_year_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "v.parquet"
    for kind, number, year in (("ns", 1_600_000_000_000_000_001, 2020), ("us", 2**62, None)):
        taken = pa.array([number], type=pa.timestamp(kind))
        table = pa.table({"uri": ["a.jpg"], "vector": [[1.0] * 8], "taken_at": taken})
        pq.write_table(table, path)
        if year:
            ((records, _),) = vector_files.read_vectors(path).batches
            assert records[0].taken_at is not None
            assert records[0].taken_at.year == year
        else:
            with pytest.raises(SourceError, match=r"taken_at, timestamp\[us\]"):
                list(vector_files.read_vectors(path).batches)


def test_numbers_without_a_fraction_and_times_are_taken() -> None:
    moment = datetime(2021, 5, 3, 12)
    row = {**ROW, "width": 4.0, "height": math.nan, "size": 10.0, "taken_at": moment}
    (record,) = vector_files.records_of([row], Path("v"), 1)
    assert (record.width, record.height, record.stamp) == (4, 0, Stamp(10, 10**18))
    assert record.taken_at == moment


def _lists(*rows: list[float] | None) -> Any:
    return pa.array(rows, pa.list_(pa.float32()))


@pytest.mark.parametrize(
    ("vectors", "said"),
    [
        (_lists([1, 0], [1], [1, 0, 0]), "not all have the same length"),
        (_lists([1, 0], None), "no vector: "),
        (_lists([1, 0], [math.nan, 1]), "not finite"),
        (_lists([], []), "no vectors"),
        (pa.array(["a", "b"]), "vectors can't be read"),
        (pa.array([[["a"]], [["b"]]]), "vectors can't be read"),
    ],
)  # fmt: skip
def test_vectors_that_do_not_fit_are_refused(tmp_path: Path, vectors: Any, said: str) -> None:
    uris = pa.array([f"{n}.jpg" for n in range(len(vectors))])
    pq.write_table(pa.table({"uri": uris, "vector": vectors}), tmp_path / "v.parquet")
    with pixseek.open(tmp_path / "a.lib") as library, pytest.raises(PixseekError) as caught:
        library.import_vectors(tmp_path / "v.parquet", name="theirs")
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "header",
    ["{", "[]", _DEEP, '{"pixseek_bare": "[1]"}', '{"pixseek_kept": "' + "[" * 90_000 + '"}'],
)
@pytest.mark.parametrize("dtype", [np.float32, np.complex64, "U4", bool])
def test_any_header_and_type_of_array_is_taken_or_refused(
    tmp_path: Path, header: str, dtype: Any
) -> None:
    np.savez(tmp_path / "v.npz", uri=np.array(["a.jpg"]), header=np.array(header),
             vectors=np.ones((1, DIM)).astype(dtype))  # fmt: skip
    with pixseek.open(tmp_path / "a.lib") as library:
        try:
            library.import_vectors(tmp_path / "v.npz", name="theirs")
        except PixseekError as error:
            assert error.subject


# ------------------------------------------------------------------ what is accepted breaks nothing

_TEXTS = st.one_of(
    st.sampled_from(
        ["", "a", "*?[", "\n\t", "\x1b[0m", "1e999", "2021-13-45", "|", "/", '"', ";,"]
    ),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8),
)
_TIMES = st.one_of(
    st.datetimes(),
    st.datetimes(timezones=st.sampled_from([timezone(timedelta(hours=h)) for h in (-15, 0, 14)])),
)
_VALUES = st.one_of(
    _TEXTS, st.booleans(), st.none(), _TIMES, st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False), st.sampled_from([5e-324, -0.0, 1.7e308]),
)  # fmt: skip
_PARTS = st.one_of(
    st.just(Part()),
    st.builds(Part, st.just("tile"), st.tuples(*[st.floats(0, 1)] * 4)),
    st.builds(Part, st.just("shot"), st.none(), *[st.floats(0, 1e6)] * 3),
)
_KNOWN = {str: _TEXTS, int: st.integers(-(2**63), 2**63 - 1), bool: st.booleans(),
          float: st.floats(allow_nan=False, allow_infinity=False)}  # fmt: skip


@st.composite
def _records(draw: st.DrawFn) -> list[Record]:
    known = st.sampled_from(sorted(FIELDS)).flatmap(
        lambda name: st.tuples(st.just(name), _KNOWN[FIELDS[name].kind])
    )
    own = st.tuples(_TEXTS.filter(bool), _VALUES)
    each = st.builds(
        Record,
        id=st.just(""), uri=st.just(""), digest=_TEXTS, media=_TEXTS, caption=_TEXTS,
        stamp=st.none() | st.builds(
            Stamp, st.integers(0, 2**63 - 1), st.integers(-(2**63), 2**63 - 1)
        ),
        width=st.integers(0, 2**31 - 1), height=st.integers(0, 2**31 - 1),
        taken_at=st.none() | _TIMES, tags=st.lists(_TEXTS, max_size=3).map(tuple),
        fields=st.lists(known | own, max_size=4).map(dict), parts=st.tuples(_PARTS),
        pixels=_TEXTS, perceptual_hash=st.sampled_from(["", "0" * 16, "f" * 16]),
    )  # fmt: skip
    found = []
    for n, record in enumerate(draw(st.lists(each, min_size=1, max_size=4))):
        uri = f"r/{n}{draw(st.sampled_from(['', '.jpg', 'é.png', ' .x', '%2e']))}"
        found.append(
            Record(**{name: getattr(record, name) for name in Record.__slots__}
                   | {"id": record_id(uri), "uri": uri})
        )  # fmt: skip
    return [record for record in found if _is_accepted(record)]


def _is_accepted(record: Record) -> bool:
    try:
        imported_records.check(record)
    except ValueError:
        return False
    return True


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    yield tmp_path_factory.mktemp("imports")


@pytest.mark.slow
@settings(max_examples=8, deadline=None)
@given(records=_records())
def test_everything_works_on_what_was_accepted(folder: Path, records: list[Record]) -> None:
    from pixseek.library.surfaces import described

    with pixseek.open(folder / f"{len(list(folder.iterdir()))}.lib", model="demo") as library:
        engine = library.opened.engine
        engine.ensure(Space("f" * 64, DIM, "theirs"))
        rows = [vector_files.row_of(record, part) for record in records for part in record.parts]
        taken = vector_files.records_of(rows, Path("v"), 1)
        assert [record.id for record in taken] == [record.id for record in records]
        engine.put(taken, np.eye(DIM, dtype=np.float32)[: len(taken)])
        for name in names():
            for value in ("a", ">=0", "in(1,2)", "*a*"):
                try:
                    where = filter_of(f"{name}:{value}")
                except PixseekError:
                    continue
                for each in (where, Not(where)):
                    wanted = sum(filters.matches(each, record) for record in records)
                    assert engine.count(each) == wanted, each
        for sort in get_args(Sort):
            library.search(where="-uri:nothing", sort=sort, k=10)
        facets = library.facets("-uri:nothing", most=10)
        assert facets is not None
        for record in records:
            stored = library.find(record.id)
            assert stored is not None
            assert described(stored) is not None
        if records:
            out = folder / "out.npz"
            library.export(out)
            assert sum(len(some) for some, _ in vector_files.read_vectors(out).batches) == len(
                records
            )
        library.duplicates(exact=True)
