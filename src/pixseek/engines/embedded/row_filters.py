"""Filters over the rows of a vector file, from columns of their fields in memory.

SQL takes about 0.5 us a record to compare a number, and 5 us where it must ask Python; a column
in numpy takes about 1 ns. Rows are appended and never change, and an updated record gets new
ones, so a column is topped up and never invalidated. It is loaded when its field is asked for the
second time: loading takes about as long as one filter in SQL, and many processes search once.
Columns of integers are loaded at once, since that takes half as long (0.6 s a million rows, SQL
1.4 where half of them are left).

Ids, URIs, names, digests and captions differ from record to record, so a column would gain little:
they stay in SQL, as do fields that turn out to hold too many different texts.
"""

from __future__ import annotations

import abc
import itertools
import json
import math
import operator
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pixseek import filters
from pixseek.engines import columns
from pixseek.engines.embedded.sqlite_filters import where_sql
from pixseek.engines.embedded.vectorfile import Mask, Rows
from pixseek.types import And, Compare, Filter, Not, Operator, Or, Record

#: Memory for the columns of one library, in bytes: about a dozen of a million rows.
MEMORY = 128 * 1024 * 1024
#: Different values, numbers apart, that a column may hold; each is compared in Python, 1 us.
MOST_VALUES = 65_536
#: Rows of which integers are read as one text, of 20 MB at most.
_ROWS_A_TEXT = 1_000_000
#: Up to so many rows that one half of an And leaves are looked up for its other half.
_FEW = 10_000

_INTEGERS = {"size": "size", "mtime": "mtime_ns", "width": "width", "height": "height"}


class RowFilters:
    """Filters over the rows of one vector file. Safe to use from several threads.

    Attributes:
        of: the generation of the vector file, and since when its space is active.
    """

    def __init__(self, of: tuple[str, int], space: int) -> None:
        """Start without columns.

        Args:
            of: the generation of the vector file, and since when its space is active: what a row's
                record is may have changed while it was not.
            space: its number in the database.
        """
        self.of = of
        self._space = space
        self._lock = threading.Lock()
        self._asked: set[str] = set()
        self._in_sql: set[str] = set()
        self._columns: dict[str, _Column] = {}  # the least recently used first
        self._ordinals = _IntegerColumn("ordinal", is_time=False)

    def matching(self, db: sqlite3.Connection, rows: int, dead: Rows, where: Filter) -> Mask:
        """Return which rows count and belong to records that fulfil a filter, (rows,) bool.

        Args:
            db: in the transaction that `rows` and `dead` were read in.
            rows: how many there are.
            dead: those that don't count, ascending.
            where: see `filters.check`.
        """
        comparisons = list(_comparisons(where))
        fields = {compare.field for compare in comparisons}
        with self._lock:
            used = {
                field: self._column(field)
                for field in sorted(fields)
                if field in self._asked or field in _INTEGERS
            }
            self._asked |= fields
        masks: dict[int, Mask] = {}  # by id(): Compare(x, eq, 1) equals Compare(x, eq, True)
        for compare in comparisons:
            column = used.get(compare.field)
            if column is not None:
                mask = column.matching(db, self._space, rows, len(dead), compare)
                if mask is not None:
                    masks[id(compare)] = mask
        with self._lock:
            self._in_sql.update(
                field for field, column in used.items() if column and column.overfull
            )
            for field in self._in_sql & self._columns.keys():
                del self._columns[field]
            while len(self._columns) > 1 and sum(c.size for c in self._columns.values()) > MEMORY:
                del self._columns[next(iter(self._columns))]
        mask = _Evaluation(db, self._space, rows, masks).of(where)
        mask[dead] = False
        return mask

    def first_parts(self, db: sqlite3.Connection, rows: int, dead: Rows) -> Mask:
        """Return which rows hold the first part of their record, (rows,) bool.

        Args:
            db: in the transaction that `rows` and `dead` were read in.
            rows: how many there are.
            dead: those that don't count, ascending; what is told of them is of no matter.
        """
        first = Compare("ordinal", "eq", 0)
        mask = self._ordinals.matching(db, self._space, rows, len(dead), first)
        if mask is None:  # an older snapshot
            found = db.execute(
                "SELECT row FROM part WHERE space = ? AND ordinal = 0", (self._space,)
            )
            mask = np.zeros(rows, np.bool_)
            mask[np.fromiter((row for (row,) in found), np.int64)] = True
        return mask

    def _column(self, field: str) -> _Column | None:
        """Return a field's column, with nothing in it if it is new; None where there is none."""
        if field in self._in_sql:
            return None
        column = self._columns.pop(field, None) or _new_column(field)
        if column is not None:
            self._columns[field] = column
        return column


class _Evaluation:
    """One filter over the rows of one snapshot, some of its comparisons being done."""

    def __init__(
        self, db: sqlite3.Connection, space: int, rows: int, masks: dict[int, Mask]
    ) -> None:
        self._db, self._space, self._rows, self._masks = db, space, rows, masks

    def of(self, where: Filter, within: Mask | None = None) -> Mask:
        """Return the rows that fulfil a filter. Those dead or not in `within` are of no matter."""
        if not self._is_begun(where):
            return self._by_sql(where, within)
        match where:
            case And(parts):
                mask = np.ones(self._rows, np.bool_) if within is None else within.copy()
                for part in filter(self._is_begun, parts):
                    mask &= self.of(part, mask)
                rest = tuple(itertools.filterfalse(self._is_begun, parts))
                return mask & self._by_sql(And(rest), mask) if rest else mask
            case Or(parts):
                mask = np.zeros(self._rows, np.bool_)
                for part in filter(self._is_begun, parts):
                    mask |= self.of(part, within)
                rest = tuple(itertools.filterfalse(self._is_begun, parts))
                return mask | self._by_sql(Or(rest), within) if rest else mask
            case Not(inner):
                return ~self.of(inner, within)
            case Compare():
                return self._masks[id(where)].copy()

    def _is_begun(self, where: Filter) -> bool:
        return any(id(compare) in self._masks for compare in _comparisons(where))

    def _by_sql(self, where: Filter, within: Mask | None) -> Mask:
        condition, parameters = where_sql(self._db, where)
        few = None if within is None else np.flatnonzero(within)
        if few is not None and len(few) <= _FEW:
            sql = (
                "SELECT part.row FROM part JOIN record ON record.number = part.record "
                "WHERE part.space = ? AND part.row IN (SELECT value FROM json_each(?)) "
                f"AND {condition}"
            )
            parameters = [self._space, json.dumps(few.tolist()), *parameters]
        else:
            # CROSS, and "+", so that SQLite looks at the records first.
            sql = (
                "SELECT part.row FROM record CROSS JOIN part ON part.record = record.number "
                f"WHERE +part.space = ? AND {condition}"
            )
            parameters = [self._space, *parameters]
        mask = np.zeros(self._rows, np.bool_)
        mask[np.fromiter((row for (row,) in self._db.execute(sql, parameters)), np.int64)] = True
        return mask


def _comparisons(where: Filter) -> Iterator[Compare]:
    match where:
        case And(parts) | Or(parts):
            for part in parts:
                yield from _comparisons(part)
        case Not(inner):
            yield from _comparisons(inner)
        case Compare():
            yield where


# ------------------------------------------------------------------ columns


def _new_column(field: str) -> _Column | None:
    if field in _INTEGERS:
        return _IntegerColumn(_INTEGERS[field], is_time=field == "mtime")
    if field == "media":
        return _TextColumn("media", str, lambda text: Record("", "", media=text))
    if field in {"root", "folder"}:
        return _TextColumn("uri", _place, lambda place: Record("", place))
    if field == "taken_at":
        return _TimeColumn()
    if field in filters.DERIVED:
        return _DerivedColumn(field)
    if field == "location":
        return _PlaceColumn()
    if field == "tags":
        return _TagColumn()
    if field.startswith(filters.USER_PREFIX):
        return _UserColumn(field.removeprefix(filters.USER_PREFIX))
    return None


def _place(uri: str) -> str:
    """Return a URI with the same root and folder that other URIs share."""
    folder, slash, _ = uri.rpartition("/")
    return folder + slash if slash else uri


class _Column(abc.ABC):
    """The values of one field by row. Safe to use from several threads.

    Attributes:
        overfull: whether there turned out to be too many different values.
    """

    def __init__(self, expression: str, column: str, *parameters: str) -> None:
        """Start without rows.

        Args:
            expression: what is selected of a record.
            column: of the database; where it is NULL there is no value.
            parameters: of the expression.
        """
        self.overfull = False
        self._expression, self._column, self._parameters = expression, column, parameters
        self._lock = threading.RLock()
        self._rows = 0
        self._dead = 0

    @property
    @abc.abstractmethod
    def size(self) -> int:
        """Bytes of memory, about."""

    def matching(
        self, db: sqlite3.Connection, space: int, rows: int, dead: int, compare: Compare
    ) -> Mask | None:
        """Return which of the first `rows` rows fulfil a comparison; None when it can't be told.

        Args:
            db: in the transaction of a snapshot.
            space: number of the space.
            rows: of the snapshot.
            dead: how many rows are dead in it.
            compare: of this field.
        """
        with self._lock:
            # Rows that were dead when they should have been loaded have no values here: a
            # snapshot in which they live, older than that of another thread, is not answered.
            if self.overfull or dead < self._dead:
                return None
            if rows > self._rows:
                if not self._read(db, space, rows):
                    self.overfull = True
                    return None
                self._rows, self._dead = rows, dead
            return self._matching(compare)[:rows]

    def _read(self, db: sqlite3.Connection, space: int, rows: int) -> bool:
        """Append the rows up to `rows`; return False when there are too many different values."""
        what = f"part.row - ?, {self._expression}"
        found = self._select(db, what, (self._rows, *self._parameters), space, self._rows, rows)
        return self._extend(rows - self._rows, found)

    def _select(
        self,
        db: sqlite3.Connection,
        what: str,
        parameters: tuple[int | str, ...],
        space: int,
        start: int,
        stop: int,
    ) -> sqlite3.Cursor:
        """Return something, with its parameters, of the rows from one to another with a value."""
        return db.execute(
            f"SELECT {what} FROM part JOIN record ON record.number = part.record "
            "WHERE part.space = ? AND part.row >= ? AND part.row < ? "
            f"AND {self._column} IS NOT NULL",
            (*parameters, space, start, stop),
        )

    @abc.abstractmethod
    def _extend(self, count: int, found: Iterable[tuple[int, Any]]) -> bool:
        """Append `count` rows, of which those in `found`, counted from 0, have a value.

        Return False when there are too many different values.
        """

    @abc.abstractmethod
    def _matching(self, compare: Compare) -> Mask:
        """Return which rows fulfil a comparison."""


class _IntegerColumn(_Column):
    """Integers: 9 bytes a row."""

    def __init__(self, column: str, *, is_time: bool) -> None:
        super().__init__(column, column)
        self._is_time = is_time
        self._values = np.empty(0, np.int64)
        self._known = np.empty(0, np.bool_)

    @property
    def size(self) -> int:
        return self._values.nbytes + self._known.nbytes

    def _read(self, db: sqlite3.Connection, space: int, rows: int) -> bool:
        # SQLite writes them all into one text, which numpy parses: 0.6 us a row. As rows, of which
        # Python makes tuples, they take 1.2.
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
        values = _values(compare)
        numbers = [filters.mtime_value_ns(v) for v in values] if self._is_time else values
        return self._known & _numbers_fit(self._values, compare.op, numbers)


class _DerivedColumn(_Column):
    """What is computed from width and height: 8 bytes a row."""

    def __init__(self, field: str) -> None:
        # Of several values SQLite makes a JSON list.
        super().__init__("json_array(width, height)", "width")
        self._field = field
        self._values = np.empty(0, np.float64)  # NaN where missing

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
        values = [filters.as_float(each) for each in _values(compare)]
        return known & _numbers_fit(self._values, compare.op, values)


class _PlaceColumn(_Column):
    """Latitudes and longitudes: 16 bytes a row."""

    def __init__(self) -> None:
        paths = ("$.latitude", "$.longitude")
        super().__init__("json_extract(fields, ?, ?)", "fields", *paths)
        self._places = np.empty((0, 2), np.float64)  # NaN where missing

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
        # As in `filters.distance_km`, but for the arc sine, which is as monotonic as it is slow.
        across = np.sin(np.radians(self._places[:, 0] - centre[0]) / 2)
        along = np.sin(np.radians(self._places[:, 1] - centre[1]) / 2)
        cosines = np.cos(np.radians(self._places[:, 0])) * math.cos(math.radians(centre[0]))
        half_chord = across * across + cosines * (along * along)
        limit = math.sin(min(kilometres / filters.EARTH_KM, math.pi) / 2) ** 2
        mask: Mask = half_chord <= limit
        # numpy's sines differ from those of the definition in the last bits: it decides the rim.
        for row in np.flatnonzero(np.abs(half_chord - limit) <= _RIM * limit):
            place = float(self._places[row, 0]), float(self._places[row, 1])
            mask[row] = filters.distance_km(place, centre) <= kilometres
        return mask


#: Relative width of what lies on the rim of a circle.
_RIM = 1e-9


class _TimeColumn(_Column):
    """Times with and without a zone: 17 bytes a row."""

    def __init__(self) -> None:
        super().__init__("taken_at", "taken_at")
        self._clock = np.empty(0, np.int64)  # what the wall clock showed, us since 1970
        self._instant = np.empty(0, np.int64)  # us since 1970 in UTC, where there is a zone
        self._kind = np.empty(0, np.uint8)  # 1 without zone, 2 with one

    @property
    def size(self) -> int:
        return self._clock.nbytes + self._instant.nbytes + self._kind.nbytes

    def _extend(self, count: int, found: Iterable[tuple[int, Any]]) -> bool:
        rows, clocks, zones = [], [], []
        offset_us: dict[str, int] = {}
        for row, text in found:  # see `columns.time_to_text`
            zone = text[26:]
            if zone not in offset_us:
                offset = datetime.fromisoformat(text).utcoffset() or timedelta()
                offset_us[zone] = offset // timedelta(microseconds=1)
            rows.append(row)
            clocks.append(text[:26])
            zones.append(zone)
        at = np.array(rows, np.int64)
        clock, instant = np.zeros(count, np.int64), np.zeros(count, np.int64)
        kind = np.zeros(count, np.uint8)
        clock[at] = np.array(clocks, "datetime64[us]").astype(np.int64)
        instant[at] = clock[at] - np.array([offset_us[zone] for zone in zones], np.int64)
        kind[at] = [2 if zone else 1 for zone in zones]
        self._clock = np.concatenate([self._clock, clock])
        self._instant = np.concatenate([self._instant, instant])
        self._kind = np.concatenate([self._kind, kind])
        return True

    def _matching(self, compare: Compare) -> Mask:
        known = self._kind > 0
        if compare.op == "exists":
            return known
        mask = np.zeros(len(known), np.bool_)
        fits = _ORDER["eq" if compare.op == "in" else compare.op]
        for moment in _values(compare):
            clock = filters.instant_us(moment.replace(tzinfo=UTC))
            here: Mask = fits(self._clock, clock)
            if moment.tzinfo is not None:
                instant = fits(self._instant, filters.instant_us(moment))
                here = np.where(self._kind == 2, instant, here)
            mask |= here
        return mask & known


class _TagColumn(_Column):
    """Tags: 8 bytes for each that a row has."""

    def __init__(self) -> None:
        super().__init__("tags", "tags")
        self._at = np.empty(0, np.int32)  # a row, once for each of its tags
        self._tag = np.empty(0, np.int32)  # the number of that tag
        self._number_of: dict[str, int] = {}

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

    def _matching(self, compare: Compare) -> Mask:
        one_each = (Record("", "", tags=(tag,)) for tag in self._number_of)
        fits = np.array([filters.matches(compare, record) for record in one_each], np.bool_)
        mask = np.zeros(self._count, np.bool_)
        mask[self._at[fits[self._tag]]] = True
        return mask


class _CodedColumn(_Column):
    """Values of which there are few: 4 bytes a row, and each different value once.

    A comparison is made once for each of them, by the definition in `filters`.
    """

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
        fits = [False, *(filters.matches(compare, record) for record in self._records)]
        return np.array(fits, np.bool_)[self._codes]


class _TextColumn(_CodedColumn):
    """Texts that many records share."""

    def __init__(
        self, column: str, key: Callable[[str], str], record: Callable[[str], Record]
    ) -> None:
        super().__init__(column, column)
        self._key, self._record = key, record

    def _extend(self, count: int, found: Iterable[tuple[int, Any]]) -> bool:
        codes = np.zeros(count, np.int32)
        for row, text in found:
            key = self._key(text)
            code = self._code_of.get(key)
            codes[row] = code or self._add(key, self._record(key))
            if len(self._records) > MOST_VALUES:
                return False
        self._codes = np.concatenate([self._codes, codes])
        return True


class _UserColumn(_CodedColumn):
    """A user field: numbers by value, and what else there is by code; 13 bytes a row."""

    def __init__(self, name: str) -> None:
        # Of two paths SQLite makes a JSON list, which tells 1, 1.0 and true apart and keeps all
        # digits. It finds no names that JSON escapes.
        self._found_by_path = name.isprintable() and not set(name) & {'"', "\\"}
        if self._found_by_path:
            super().__init__("json_extract(fields, ?, ?)", "fields", f'$."{name}"', f'$."{name}"')
        else:
            super().__init__("fields", "fields")
        self._name = name
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

    def _matching(self, compare: Compare) -> Mask:
        mask = super()._matching(compare)
        are_numbers = self._kinds > 0
        values = [v for v in _values(compare) if filters.value_kind(v) == "number"]
        if compare.op == "exists" or (compare.op == "ne" and not values):
            return mask | are_numbers
        if compare.op in {"glob", "contains"} or not values:
            return mask
        integers = _numbers_fit(self._numbers, compare.op, values)
        floats = _numbers_fit(self._numbers.view(np.float64), compare.op, values)
        return mask | (are_numbers & np.where(self._kinds == _FLOAT, floats, integers))


_INTEGER, _FLOAT = 1, 2

# ------------------------------------------------------------------ comparing numbers

_ORDER: dict[str, Callable[[Any, Any], Any]] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
}


def _values(compare: Compare) -> tuple[Any, ...]:
    return compare.value if isinstance(compare.value, tuple) else (compare.value,)


def _numbers_fit(
    numbers: NDArray[np.int64] | NDArray[np.float64], op: Operator, values: Sequence[Any]
) -> Mask:
    """Return which numbers fulfil a comparison, exactly as Python compares them.

    numpy compares integers with floats as float64, in which 2**53 equals 2**53 + 1. So what they
    are compared with is put into their type first; where it has no equal there, the number before
    or behind it takes its place.
    """
    nearest = _nearest_floats if numbers.dtype == np.float64 else _nearest_integers
    mask: Mask
    if op in {"eq", "ne", "in"}:
        equal = [low for low, high in map(nearest, values) if low == high]
        mask = np.isin(numbers, np.array(equal, numbers.dtype))
        return ~mask if op == "ne" else mask
    ((low, high),) = map(nearest, values)
    if low is None or high is None:  # below or above all that there can be
        return np.full(len(numbers), (high is None) == (op in {"lt", "le"}))
    if low != high:
        op = "le" if op in {"lt", "le"} else "ge"
    mask = _ORDER[op](numbers, low if op in {"lt", "le"} else high)
    return mask


def _nearest_integers(value: int | float) -> tuple[int | None, int | None]:
    """Return the 64-bit integers next to a number, twice itself if it is one; None for none."""
    if not -(2**63) <= value < 2**63:
        return (2**63 - 1, None) if value > 0 else (None, -(2**63))
    low, high = math.floor(value), math.ceil(value)
    return low, high if high < 2**63 else None


def _nearest_floats(value: int | float) -> tuple[float, float]:
    """Return the floats next to a number, twice itself if it is one."""
    try:
        near = float(value)
    except OverflowError:
        near = math.inf if value > 0 else -math.inf
    if near == value:
        return near, near
    if near < value:
        return near, math.nextafter(near, math.inf)
    return math.nextafter(near, -math.inf), near
