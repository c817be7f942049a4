"""The values that images are grouped by, and how many images have each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime

from pixseek import filters
from pixseek.errors import QueryError
from pixseek.search import language_fields, language_writing
from pixseek.types import And, Compare, Engine, Filter, Hit, Or, Outlining, Record, Scalar
from pixseek.types.dataclass import dataclass
from pixseek.types.texts import composed

#: What stands for several fields, for a list, or for nothing that images in view differ in.
_UNFIT = ("", *(f"{filters.USER_PREFIX}{name}" for name, _ in filters.LISTS.values()))
#: Most values that are counted together, by reading their images.
_COUNTED_AT_ONCE, _FEW_MEMBERS = 50, 1000


@dataclass(frozen=True, slots=True)
class Field:
    """What images are grouped by.

    Attributes:
        name: as filters name it; "year" for the year of `taken_at`.
    """

    name: str

    @classmethod
    def named(cls, name: str, engine: Engine) -> Field:
        """Return a field by its name in the query language.

        Args:
            name: of a field, or of a user field without "fields.", if some image has it.
            engine: what is searched.

        Raises:
            QueryError: there is no such field, or an image may have several values of it.
        """
        if name.lower() == "year":
            return cls("year")
        try:
            stored = language_fields.stored_name(name)
        except QueryError:
            stored = f"{filters.USER_PREFIX}{name}"
            some = Compare(stored, "exists")
            if not engine.select(some, order="uri", descending=False, k=1, offset=0):
                raise
        if stored in _UNFIT or filters.field_kind(stored) in ("tags", "place", "time"):
            raise QueryError(
                "Images can't be grouped by this field",
                name,
                "Use one of which an image has a single value: folder, camera, year, format, "
                "country, or fields.NAME.",
            )
        return cls(stored)

    def value(self, record: Record) -> Scalar:
        """Return the value of a record; None if it has none, or one that no filter can name."""
        if self.name == "year":
            return record.taken_at.year if record.taken_at else None
        value = filters.value_of(record, self.name)
        if isinstance(value, datetime):
            value = value.replace(tzinfo=None)  # a filter by a wall clock finds both
        if value is not None:
            try:
                filters.check(Compare(self.name, "eq", value))
            except QueryError:  # NaN, a text with a NUL
                return None
        return value

    def text(self, value: Scalar) -> str:
        """Return the filter that finds the images with a value, in the query language."""
        if self.name == "year":
            return f"year:{value:04d}"
        return f"{self.name}:={language_writing.value_text(value)}"

    def where(self, *values: Scalar) -> Filter:
        """Return the filter that finds the images with one of these values."""
        if self.name == "year":
            years = [
                language_fields.compiled("year", "", [language_fields.Value(f"{value:04d}")])
                for value in values
            ]
            return years[0] if len(years) == 1 else Or(tuple(years))
        if len(values) == 1:
            return Compare(self.name, "eq", values[0])
        return Compare(self.name, "in", values)


def key_of(value: Scalar) -> Hashable:
    """Return what values that a filter can't tell apart have in common."""
    return filters.value_kind(value), composed(value) if isinstance(value, str) else value


def fields_of(records: Sequence[Record]) -> list[str]:
    """Return user fields that some images share a text or a whole number of, by name.

    Args:
        records: some of a library.
    """
    from pixseek.metadata.fields import FIELDS

    left_out = {*FIELDS, *(name for name, _ in filters.LISTS.values())}
    values: dict[str, list[Scalar]] = {}
    for record in records:
        for name, value in record.fields.items():
            if name not in left_out and isinstance(value, str | int):
                values.setdefault(name, []).append(value)
    return sorted(name for name, own in values.items() if 1 < len(set(own)) < len(own))


def counted(
    hits: Sequence[Hit], field: Field, among: Filter | None, engine: Engine
) -> Iterator[Hit]:
    """Yield hits with the values of their groups, and how many others have these.

    Args:
        hits: without them.
        field: what images are grouped by.
        among: which images count; None for all.
        engine: what is searched.
    """
    values = [field.value(hit.record) for hit in hits]
    sizes = _sizes([each for each in values if each is not None], field, among, engine)
    for hit, value in zip(hits, values, strict=True):
        if value is None:
            yield hit
        else:
            others = max(0, sizes[key_of(value)] - 1)  # deleted since
            yield replace(hit, group=value, others=others, group_filter=field.text(value))


def _sizes(
    values: Sequence[Scalar], field: Field, among: Filter | None, engine: Engine
) -> Counter[Hashable]:
    """Return how many images have each value: by reading their records if these are few."""
    sizes: Counter[Hashable] = Counter()
    for start in range(0, len(values), _COUNTED_AT_ONCE):
        some = values[start : start + _COUNTED_AT_ONCE]
        members = _few(engine, _both(among, field.where(*some)))
        if members is None:
            sizes.update({key_of(v): _count(engine, _both(among, field.where(v))) for v in some})
        else:
            sizes.update(key_of(field.value(each)) for each in members)
    return sizes


def _few(engine: Engine, where: Filter) -> list[Record] | None:
    """Return the records that a filter lets through; None if they are too many to read."""
    if not isinstance(engine, Outlining):
        found = engine.select(where, order="uri", descending=False, k=_FEW_MEMBERS + 1, offset=0)
        return found if len(found) <= _FEW_MEMBERS else None
    outline = engine.outline(where, order="size", descending=False, k=_FEW_MEMBERS)
    if outline.total > _FEW_MEMBERS:
        return None
    return [each for each in engine.get(outline.ids) if each is not None]


def _both(among: Filter | None, where: Filter) -> Filter:
    return where if among is None else And((among, where))


def _count(engine: Engine, where: Filter) -> int:
    if isinstance(engine, Outlining):  # which has columns in memory
        return engine.outline(where, order="size", descending=False, k=1).total
    return engine.count(where)
