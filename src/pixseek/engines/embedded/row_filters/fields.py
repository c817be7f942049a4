"""The values of one field by row of a vector file, in memory."""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pixseek import filters
from pixseek.engines import columns
from pixseek.engines.embedded.reading import damaged
from pixseek.engines.embedded.row_filters.column import Column
from pixseek.engines.embedded.row_filters.numbers import ORDER, numbers_fit, values_of
from pixseek.engines.embedded.sqlite_filters import CAMERA, camera_record, text_of
from pixseek.engines.embedded.vectorfile import Mask, Rows
from pixseek.types import Compare, Record
from pixseek.types.texts import composed

#: Different values, numbers apart, that a column may hold; each is compared in Python, 1 us.
MOST_VALUES = 65_536
#: Rows whose integers are read as one text, of at most 20 MB.
_ROWS_A_TEXT = 1_000_000
#: A time as it is stored, with the longest zone: "+00:19:32.130000".
_TIME = "S42"
#: The columns of the database that hold integers, by field.
INTEGERS = {"size": "size", "mtime": "mtime_ns", "width": "width", "height": "height"}


def new_column(field: str) -> Column | None:
    """Return an empty column for a field; None if the field stays in SQL."""
    if field in INTEGERS:
        return IntegerColumn(INTEGERS[field], is_time=field == "mtime")
    if field == "media":
        return _TextColumn("media", str, lambda text: Record("", "", media=text))
    if field in {"root", "folder"}:
        return _TextColumn("uri", _place, lambda place: Record("", place))
    if field == "camera":
        return _TextColumn(CAMERA, str, camera_record, column="fields")
    if field in filters.LISTS:
        name = filters.LISTS[field][0]
        return _TextColumn(
            text_of(name), str, lambda text: Record("", "", fields={name: text}), column="fields"
        )
    if field == "taken_at":
        return TimeColumn()
    if field in filters.DERIVED:
        return _DerivedColumn(field)
    if field == "location":
        return _PlaceColumn()
    if field == "tags":
        return _TagColumn()
    if field.startswith(filters.USER_PREFIX) and not field.endswith(columns.AWAY_FIELD):
        return _UserColumn(field.removeprefix(filters.USER_PREFIX))
    return None


def _place(uri: str) -> str:
    """Return a URI with the same root and folder that other URIs share."""
    folder, slash, _ = uri.rpartition("/")
    return folder + slash if slash else uri


class IntegerColumn(Column):
    """Integers: 9 bytes a row. Its `values` are the numbers, and which rows have one."""

    _arrays = (
        "_values",
        "_known",
    )

    def __init__(self, column: str, *, is_time: bool) -> None:
        super().__init__(column, column)
        self._is_time = is_time
        self._values = np.empty(0, np.int64)
        self._known = np.empty(0, np.bool_)

    @property
    def size(self) -> int:
        """Bytes of memory."""
        return self._values.nbytes + self._known.nbytes

    def _read(self, db: sqlite3.Connection, space: int, rows: int) -> bool:
        # SQLite writes them into one text, which numpy parses: 0.6 us a row, and 1.2 as tuples.
        what = f"group_concat(part.row - ?), group_concat({self._expression})"
        found = []
        for start in range(self._rows, rows, _ROWS_A_TEXT):
            stop = min(start + _ROWS_A_TEXT, rows)
            texts = self._select(db, what, (self._rows,), space, start, stop).fetchone()
            if texts[0]:
                found.append([np.fromstring(text, np.int64, sep=",") for text in texts])
        return self._extend(rows - self._rows, found)

    def _extend(self, count: int, found: Iterable[Any]) -> bool:
        values, known = np.zeros(count, np.int64), np.zeros(count, np.bool_)
        for row, value in found:  # many at a time
            values[row], known[row] = value, True
        self._values = np.concatenate([self._values, values])
        self._known = np.concatenate([self._known, known])
        return True

    def _matching(self, compare: Compare) -> Mask:
        if compare.op == "exists":
            return self._known
        values = values_of(compare)
        numbers = [filters.mtime_value_ns(v) for v in values] if self._is_time else values
        return self._known & numbers_fit(self._values, compare.op, numbers)


class _DerivedColumn(Column):
    """A number derived from width and height: 8 bytes a row."""

    _arrays = ("_values",)

    def __init__(self, field: str) -> None:
        # From several values SQLite makes a JSON list.
        super().__init__("json_array(width, height)", "width")
        self._field = field
        self._values = np.empty(0, np.float64)  # NaN if missing

    @property
    def size(self) -> int:
        return self._values.nbytes

    def _extend(self, count: int, found: Iterable[tuple[int, Any]]) -> bool:
        values = np.full(count, np.nan)
        for row, text in found:
            width, height = json.loads(text)
            value = filters.derived(self._field, width, height or 0)
            values[row] = np.nan if value is None else value
        self._values = np.concatenate([self._values, values])
        return True

    def _matching(self, compare: Compare) -> Mask:
        known = ~np.isnan(self._values)
        if compare.op == "exists":
            return known
        values = [filters.as_float(each) for each in values_of(compare)]
        return known & numbers_fit(self._values, compare.op, values)


class _PlaceColumn(Column):
    """Latitudes and longitudes: 16 bytes a row."""

    _arrays = ("_places",)

    def __init__(self) -> None:
        paths = ("$.latitude", "$.longitude")
        super().__init__("json_extract(fields, ?, ?)", "fields", *paths)
        self._places = np.empty((0, 2), np.float64)  # NaN if missing

    @property
    def size(self) -> int:
        return self._places.nbytes

    def _extend(self, count: int, found: Iterable[tuple[int, Any]]) -> bool:
        places = np.full((count, 2), np.nan)
        for row, text in found:
            place = columns.location_from_json(text)
            if place is not None:
                places[row] = place
        self._places = np.concatenate([self._places, places])
        return True

    def _matching(self, compare: Compare) -> Mask:
        if compare.op == "exists":
            return ~np.isnan(self._places[:, 0])
        centre, kilometres = filters.circle(compare.value)
        # As in `filters.distance_km`, without the arc sine, which is monotonic and slow.
        across = np.sin(np.radians(self._places[:, 0] - centre[0]) / 2)
        along = np.sin(np.radians(self._places[:, 1] - centre[1]) / 2)
        cosines = np.cos(np.radians(self._places[:, 0])) * math.cos(math.radians(centre[0]))
        half_chord = across * across + cosines * (along * along)
        limit = math.sin(min(kilometres / filters.EARTH_KM, math.pi) / 2) ** 2
        mask: Mask = half_chord <= limit
        # numpy's sines differ in the last bits, so the definition decides on the rim.
        for row in np.flatnonzero(np.abs(half_chord - limit) <= _RIM * limit):
            place = float(self._places[row, 0]), float(self._places[row, 1])
            mask[row] = filters.distance_km(place, centre) <= kilometres
        return mask


#: Relative width of the rim of a circle.
_RIM = 1e-9


class TimeColumn(Column):
    """Times with and without a zone: 17 bytes a row.

    Its `values` are the wall clock and the instant, in us since 1970, and a kind: 0 without a time.
    """

    _arrays = (
        "_clock",
        "_instant",
        "_kind",
    )

    def __init__(self) -> None:
        super().__init__("taken_at", "taken_at")
        self._clock = np.empty(0, np.int64)  # the wall clock, us since 1970
        self._instant = np.empty(0, np.int64)  # us since 1970 in UTC, if there is a zone
        self._kind = np.empty(0, np.uint8)  # 1 without zone, 2 with one

    @property
    def size(self) -> int:
        """Bytes of memory."""
        return self._clock.nbytes + self._instant.nbytes + self._kind.nbytes

    def _read(self, db: sqlite3.Connection, space: int, rows: int) -> bool:
        # As texts, as in `IntegerColumn`: takes less than half as long as tuples.
        what = f"group_concat(part.row - ?), group_concat({self._expression})"
        places, texts = [np.empty(0, np.int64)], [np.empty(0, _TIME)]
        for start in range(self._rows, rows, _ROWS_A_TEXT):
            stop = min(start + _ROWS_A_TEXT, rows)
            found = self._select(db, what, (self._rows,), space, start, stop).fetchone()
            if found[0]:
                places.append(np.fromstring(found[0], np.int64, sep=","))
                texts.append(np.array(found[1].encode().split(b","), _TIME))
                if len(places[-1]) != len(texts[-1]):
                    raise damaged("when images were taken")
        self._add(rows - self._rows, np.concatenate(places), np.concatenate(texts))
        return True

    def _extend(self, count: int, found: Iterable[tuple[int, Any]]) -> bool:
        every = list(found)
        texts = np.array([text.encode() for _, text in every], _TIME)
        self._add(count, np.array([row for row, _ in every], np.int64), texts)
        return True

    def _add(self, count: int, at: Rows, texts: NDArray[np.bytes_]) -> None:
        """Append rows, some of which, counted from 0, have a time; see `columns.time_to_text`."""
        clock, instant = np.zeros(count, np.int64), np.zeros(count, np.int64)
        kind = np.zeros(count, np.uint8)
        clock[at] = texts.astype("S26").astype("datetime64[us]").astype(np.int64)
        kind[at] = 1
        zoned = np.flatnonzero(np.char.str_len(texts) > 26)
        offset_us: dict[bytes, int] = {}
        for row, text in zip(at[zoned].tolist(), texts[zoned].tolist(), strict=True):
            zone = text[26:]
            if zone not in offset_us:
                offset = datetime.fromisoformat(text.decode()).utcoffset() or timedelta()
                offset_us[zone] = offset // timedelta(microseconds=1)
            kind[row], instant[row] = 2, offset_us[zone]
        instant = clock - instant
        self._clock = np.concatenate([self._clock, clock])
        self._instant = np.concatenate([self._instant, instant])
        self._kind = np.concatenate([self._kind, kind])

    def _matching(self, compare: Compare) -> Mask:
        known = self._kind > 0
        if compare.op == "exists":
            return known
        mask = np.zeros(len(known), np.bool_)
        fits = ORDER["eq" if compare.op == "in" else compare.op]
        for moment in values_of(compare):
            clock = filters.instant_us(moment.replace(tzinfo=UTC))
            here: Mask = fits(self._clock, clock)
            if moment.tzinfo is not None:
                instant = fits(self._instant, filters.instant_us(moment))
                here = np.where(self._kind == 2, instant, here)
            mask |= here
        return mask & known


class _TagColumn(Column):
    """Tags: 8 bytes for each that a row has."""

    def __init__(self) -> None:
        super().__init__("tags", "tags")
        self._at = np.empty(0, np.int32)  # a row, once for each of its tags
        self._tag = np.empty(0, np.int32)  # the number of that tag
        self._number_of: dict[str, int] = {}
        self._count = 0

    @property
    def size(self) -> int:
        return self._at.nbytes + self._tag.nbytes + 200 * len(self._number_of)

    def _extend(self, count: int, found: Iterable[tuple[int, Any]]) -> bool:
        at, numbers = [], []
        for row, text in found:
            for tag in columns.tags_from_json(text):
                at.append(self._rows + row)
                numbers.append(self._number_of.setdefault(tag, len(self._number_of)))
        self._at = np.concatenate([self._at, np.array(at, np.int32)])
        self._tag = np.concatenate([self._tag, np.array(numbers, np.int32)])
        self._count = self._rows + count
        return True

    def _move(self, rows: Rows) -> None:
        count = self._count - len(rows)
        place = np.arange(self._count, dtype=np.int32)
        place[count:] = rows
        kept = np.ones(self._count, np.bool_)
        kept[rows] = False
        kept = kept[self._at]
        self._at, self._tag, self._count = place[self._at[kept]], self._tag[kept], count

    def _matching(self, compare: Compare) -> Mask:
        one_each = (Record("", "", tags=(tag,)) for tag in self._number_of)
        fits = np.array([filters.matches(compare, record) for record in one_each], np.bool_)
        mask = np.zeros(self._count, np.bool_)
        mask[self._at[fits[self._tag]]] = True
        return mask


class _CodedColumn(Column):
    """A field with few different values: 4 bytes a row, and each different value once.

    A comparison is made once for each of them, by the definition in `filters`.
    """

    _arrays: tuple[str, ...] = ("_codes",)

    def __init__(self, expression: str, column: str, *parameters: str) -> None:
        super().__init__(expression, column, *parameters)
        self._codes = np.empty(0, np.int32)  # 0 for no value
        self._code_of: dict[str, int] = {}
        self._records: list[Record] = []  # one with each value, in the order of the codes from 1

    @property
    def size(self) -> int:
        # A record with its text takes about 500 bytes, and its key 100.
        return self._codes.nbytes + 600 * len(self._records)

    def _add(self, key: str, record: Record) -> int:
        self._records.append(record)
        self._code_of[key] = len(self._records)
        return len(self._records)

    def _matching(self, compare: Compare) -> Mask:
        return np.array([False, *self._fits(compare)], np.bool_)[self._codes]

    def _fits(self, compare: Compare) -> Iterable[bool]:
        """Return whether each of the records fulfils a comparison."""
        return (filters.matches(compare, record) for record in self._records)


class _TextColumn(_CodedColumn):
    """Texts that many records share."""

    def __init__(
        self,
        expression: str,
        key: Callable[[str], str],
        record: Callable[[str], Record],
        column: str = "",
    ) -> None:
        super().__init__(expression, column or expression)
        self._key, self._record = key, record

    def _extend(self, count: int, found: Iterable[tuple[int, Any]]) -> bool:
        codes = np.zeros(count, np.int32)
        for row, text in found:
            if not isinstance(text, str):  # nothing, or another kind of value
                continue
            key = self._key(text)
            code = self._code_of.get(key)
            codes[row] = code or self._add(key, self._record(key))
            if len(self._records) > MOST_VALUES:
                return False
        self._codes = np.concatenate([self._codes, codes])
        return True


class _UserColumn(_CodedColumn):
    """A user field: numbers by value, other values by code; 13 bytes a row."""

    _arrays = (
        "_codes",
        "_kinds",
        "_numbers",
    )

    def __init__(self, name: str) -> None:
        # From two paths SQLite makes a JSON list, which keeps 1, 1.0 and true distinct, and all
        # digits. It does not find names that JSON escapes.
        self._found_by_path = name.isprintable() and not set(name) & {'"', "\\"}
        if self._found_by_path:
            super().__init__("json_extract(fields, ?, ?)", "fields", f'$."{name}"', f'$."{name}"')
        else:
            super().__init__("fields", "fields")
        self._name = name
        self._texts: list[str | None] = []  # the normal form of each value that is a text
        self._kinds = np.empty(0, np.uint8)
        self._numbers = np.empty(0, np.int64)  # integers, or the bits of floats

    @property
    def size(self) -> int:
        return super().size + self._kinds.nbytes + self._numbers.nbytes

    def _extend(self, count: int, found: Iterable[tuple[int, Any]]) -> bool:
        codes, kinds = np.zeros(count, np.int32), np.zeros(count, np.uint8)
        numbers = np.zeros(count, np.int64)
        floats = numbers.view(np.float64)
        value: Any
        for row, text in found:
            code = self._code_of.get(text)
            if code is not None:
                codes[row] = code
                continue
            if self._found_by_path:
                value = columns.scalar_from_json(json.loads(text)[0])
            else:
                value = columns.fields_from_json(text).get(self._name)
            if value is None:
                self._code_of[text] = 0
            elif filters.value_kind(value) != "number":
                codes[row] = self._add(text, Record("", "", fields={self._name: value}))
                if len(self._records) > MOST_VALUES:
                    return False
            elif isinstance(value, float):
                kinds[row], floats[row] = _FLOAT, value
            else:
                kinds[row], numbers[row] = _INTEGER, value
        self._codes = np.concatenate([self._codes, codes])
        self._kinds = np.concatenate([self._kinds, kinds])
        self._numbers = np.concatenate([self._numbers, numbers])
        return True

    def _add(self, key: str, record: Record) -> int:
        value = record.fields[self._name]
        self._texts.append(composed(value) if isinstance(value, str) else None)
        return super()._add(key, record)

    def _fits(self, compare: Compare) -> Iterable[bool]:
        values = values_of(compare)
        if compare.op not in {"eq", "in"} or not all(isinstance(each, str) for each in values):
            return super()._fits(compare)
        wanted = frozenset(map(composed, values))  # .05 us a value, one by one 3 us
        return (text in wanted for text in self._texts)

    def _matching(self, compare: Compare) -> Mask:
        mask = super()._matching(compare)
        are_numbers = self._kinds > 0
        values = [v for v in values_of(compare) if filters.value_kind(v) == "number"]
        if compare.op == "exists" or (compare.op == "ne" and not values):
            return mask | are_numbers
        if compare.op in {"glob", "contains"} or not values:
            return mask
        integers = numbers_fit(self._numbers, compare.op, values)
        floats = numbers_fit(self._numbers.view(np.float64), compare.op, values)
        return mask | (are_numbers & np.where(self._kinds == _FLOAT, floats, integers))


_INTEGER, _FLOAT = 1, 2
