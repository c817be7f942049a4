"""What the columns of a table mean: the image, its captions and tags, and typed fields."""

from __future__ import annotations

import ast
import contextlib
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Literal

from pixseek.errors import SourceError, unknown
from pixseek.metadata.fields import FIELDS, MAX_FIELD, clean_text
from pixseek.metadata.sidecars import JSON_KEYS
from pixseek.sources.captions import (
    CAPTION_NAMES,
    IMAGE_NAMES,
    NUMBERED,
    is_image_name,
    plain_name,
)
from pixseek.sources.dates import ORDERS, Order, Orders, iso, ordered
from pixseek.sources.tabular import Blob, Row, Value
from pixseek.types import Scalar
from pixseek.types.dataclass import dataclass
from pixseek.types.texts import composed

Kind = Literal["text", "int", "float", "bool", "time", "list", "image"]
#: How the texts of a column are read: "comma" for numbers such as 1,5, an order for dates.
Reading = Literal["", "comma"] | Order

#: What a column can be named for, in `--column ROLE=NAME`.
ROLES = ("image", "caption", "tags", "date", "id", *ORDERS)

_URLS = ("imageurl", "photoimageurl", "imgurl", "pictureurl", "url", "src", "link")
_TAGS = ("tags", "tag", "keywords", "keyword", "subject")
_DATES = ("takenat", "datetaken", "datetimeoriginal", "taken")
_PEOPLE = ("people", "persons", "personinimage")
_NUMBERED_CAPTION = re.compile(r"captions?\d+")
#: Columns of other names that fill a field of the metadata.
_SAME = {"author": "artist", "photographer": "artist", "url": "source_url",
         "favorited": "favourite", "favorite": "favourite", "lat": "latitude", "lon": "longitude",
         "lng": "longitude", "long": "longitude"}  # fmt: skip
#: Fields that pixseek writes itself.
_OWN = frozenset(
    {"taken_from", "taken_precision", "placeholder", "colour_names", "colours", "notes",
     "animated", "damaged", "turned", "motion"}
)  # fmt: skip
_NOTHING = frozenset({"na", "n/a", "nan", "null", "none", "-", "\\n"})
_TRUE, _FALSE = frozenset({"true", "t", "yes"}), frozenset({"false", "f", "no"})
_INT = re.compile(r"[+-]?(0|[1-9][0-9]{0,18})")
_FLOAT = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
#: Characters of a list that is written as text.
_LIST = 100_000
#: 1.234,50 and 1234,5.
_COMMA = re.compile(r"[+-]?([1-9][0-9]{0,2}(\.[0-9]{3})+|0|[1-9][0-9]{0,17})(,[0-9]{1,18})?")


_NONE = (math.inf, -math.inf)


def _with(within: tuple[float, float], number: float) -> tuple[float, float]:
    return min(within[0], number), max(within[1], number)


class Column:
    """What is known of one column.

    Attributes:
        name: as the table writes it.
        count: cells that are not empty.
        orders: in which its cells are dates.
    """

    def __init__(self, name: str, *, is_text: bool, has_commas: bool = False) -> None:
        """Begin without cells.

        Args:
            name: as the table writes it.
            is_text: texts may stand for numbers and truth values.
            has_commas: 1,5 may be a number.
        """
        self._may_have_commas = is_text and has_commas
        # Tables with decimal commas are not American.
        self.orders = Orders(american=not has_commas)
        self.name, self.count = name, 0
        self._plain, self._commas = _NONE, _NONE  # ranges of the numbers, by how they are read
        self._possible: list[Kind] = ["bool", "int", "float", "time"] if is_text else ["time"]
        self._found: set[Kind] = set()
        self._words: set[str] = set()  # while all may be truth values

    def see(self, value: Value) -> None:
        """Take in a cell."""
        if value is None or value in ("", ()):
            return
        if isinstance(value, str):
            if value.casefold() in _NOTHING and (
                self._possible or self._may_have_commas or self.orders
            ):
                return
            self.count += 1
            if self.orders:
                self.orders.see(value)
            if self._may_have_commas:
                self._may_have_commas = (number := with_comma(value)) is not None
                if number is not None:
                    self._commas = _with(self._commas, number)
            if self._possible:
                self._possible = [kind for kind in self._possible if read(value, kind) is not None]
                if "bool" in self._possible:
                    self._words.add(value.casefold())
                if {"int", "float"} & {*self._possible} and value:
                    self._plain = _with(self._plain, float(value))
            self._found.add("text")
            return
        self.count += 1
        kind = _kind_of(value)
        self._found.add(kind)
        if isinstance(value, int | float):
            self._plain = _with(self._plain, float(value))

    @property
    def low(self) -> float:
        """The smallest number."""
        return (self._commas if self.reading() == "comma" else self._plain)[0]

    @property
    def high(self) -> float:
        """The largest number."""
        return (self._commas if self.reading() == "comma" else self._plain)[1]

    def reading(self, asked: Order | None = None) -> Reading:
        """Return how its texts are read; "" for as they are, and for ISO dates.

        Args:
            asked: the order of its dates that a user named; None for none.
        """
        if self._found != {"text"} or self._possible:
            return ""
        if self._may_have_commas:
            return "comma"
        if asked is not None:
            return asked if self.orders.fit(asked) else ""
        return self.orders.best or ""

    @property
    def kind(self) -> Kind:
        """What all its cells are."""
        if self._found == {"text"} and self._possible:
            first = self._possible[0]
            # "f" alone may be a sex, and "no" a language.
            is_certain = self._words & {"true", "false", "yes"} or self._words >= {"t", "f"}
            return first if first != "bool" or is_certain else "text"
        if self._found == {"text"} and self._may_have_commas:
            return "float"
        if self._found == {"text"} and self.orders:
            return "time"
        if self._found == {"int", "float"}:
            return "float"
        return next(iter(self._found)) if len(self._found) == 1 else "text"


def _kind_of(value: Value) -> Kind:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "int"
    if isinstance(value, float):
        return "float"
    if isinstance(value, datetime):
        return "time"
    if isinstance(value, Blob):
        return "image"
    return "list" if isinstance(value, tuple) else "text"


def read(text: str, kind: Kind, reading: Reading = "") -> Scalar:
    """Return what a text stands for as a value of a kind; None if it is not one."""
    if reading:
        return with_comma(text) if reading == "comma" else ordered(text, reading)
    if kind == "bool":
        lower = text.casefold()
        return True if lower in _TRUE else False if lower in _FALSE else None
    if kind == "int":
        return int(text) if _INT.fullmatch(text) and abs(int(text)) < 1 << 63 else None
    if kind == "float":
        # "007" is a number of something, and no quantity.
        bare = text.lstrip("+-")
        if not _FLOAT.fullmatch(text) or (bare[:1] == "0" and bare[1:2].isdigit()):
            return None
        return float(text) if math.isfinite(float(text)) else None
    if kind == "time":
        return iso(text)
    return text


def with_comma(text: str) -> float | None:
    """Return the number that a text is if the comma is its decimal point; None if it is none."""
    if not _COMMA.fullmatch(text):
        return None
    return float(text.replace(".", "").replace(",", "."))


@dataclass(frozen=True, slots=True)
class Roles:
    """Which columns have a meaning of their own.

    Attributes:
        image: the column of paths, URLs or pictures.
        captions: texts about the image.
        tags: its keywords.
        date: when it was taken; "" for none.
        id: names the row; "" if the image does.
        people: names of those in it; "" for none.
        orders: of the dates in columns for which a user named it, by column.
    """

    image: str
    captions: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    date: str = ""
    id: str = ""
    people: str = ""
    orders: tuple[tuple[str, Order], ...] = ()


def roles_of(sample: Sequence[Row], asked: Mapping[str, str], subject: object) -> Roles:
    """Return which columns mean what, by their names and a few rows.

    Args:
        sample: the first rows.
        asked: column by role; see `ROLES`. "caption", "tags" and orders may name several, with
            commas.
        subject: the table, for errors.

    Raises:
        SourceError: a column that was asked for is missing, or none holds images.
    """
    names = list(dict.fromkeys(name for row in sample for name in row))
    by_plain = {plain_name(name): name for name in reversed(names)}
    found = {}
    for role, text in asked.items():
        wanted = [text] if text in names else [each.strip() for each in text.split(",")]
        for each in wanted:
            if each not in names and plain_name(each) not in by_plain:
                raise SourceError(
                    f"The table has no column {each!r}", subject, unknown("column", each, names)
                )
        found[role] = tuple(
            each if each in names else by_plain[plain_name(each)] for each in wanted
        )
    image = found["image"][0] if "image" in found else _image(sample, names, by_plain)
    if not image:
        raise SourceError(
            "No column of images was recognised", subject,
            f"Its columns are: {', '.join(names)[:300] or 'none'}. Name the one of paths, URLs or "
            "pictures: --column image=NAME",
        )  # fmt: skip
    usual = [by_plain[name] for name in CAPTION_NAMES if name in by_plain and name != "title"]
    usual += [name for name in names if _NUMBERED_CAPTION.fullmatch(plain_name(name))]
    taken = {name for role, named in found.items() if role not in ORDERS for name in named}
    rest = [name for name in usual if name != image and name not in taken]
    return Roles(
        image,
        found.get("caption", tuple(rest)),
        found.get("tags", tuple(by_plain[n] for n in _TAGS if n in by_plain)),
        found.get("date", tuple(by_plain[n] for n in _DATES if n in by_plain) or ("",))[0],
        found.get("id", ("",))[0],
        next((by_plain[name] for name in _PEOPLE if name in by_plain), ""),
        tuple((name, order) for order in ORDERS for name in found.get(order, ())),
    )


def _image(sample: Sequence[Row], names: Sequence[str], by_plain: Mapping[str, str]) -> str:
    """Return the column of images: pictures before paths, paths before URLs."""

    def cells(name: str) -> list[Value]:
        return [row[name] for row in sample if row.get(name) not in (None, "")]

    usual = [by_plain[name] for name in (*IMAGE_NAMES, *_URLS) if name in by_plain]
    pictures = [name for name in names if any(isinstance(cell, Blob) for cell in cells(name))]
    for name in pictures:
        is_named = name in usual or is_image_name(f"x.{plain_name(name)}")  # img2dataset has "jpg"
        if is_named or any(isinstance(cell, Blob) and cell.name for cell in cells(name)):
            return name
    # Bytes under any other name may be a digest: a column that names images comes before them.
    if pictures and not any(_is_path(cell) or _is_url(cell) for n in usual for cell in cells(n)):
        return pictures[0]
    for is_one in (_is_path, _is_url):
        for name in (*usual, *names):
            found = cells(name)
            if found and all(map(is_one, found)) and (is_one is _is_path or name in usual):
                return name
    # Most cells may be good though some are not.
    for name in usual:
        if any(_is_path(cell) or _is_url(cell) for cell in cells(name)):
            return name
    urls = (n for n in names if any(_is_url(c) and is_image_name(str(c)) for c in cells(n)))
    return next(urls, "")


def _is_path(cell: Value) -> bool:
    return isinstance(cell, str) and is_image_name(cell) and not _is_url(cell)


def _is_url(cell: Value) -> bool:
    return isinstance(cell, str) and re.match(r"https?://", cell, re.IGNORECASE) is not None


@dataclass(frozen=True, slots=True)
class Target:
    """What becomes of a column.

    Attributes:
        name: of the field.
        kind: of its values.
        why: why the field has another name than the column, or what it fills; "" if it has not.
        reading: how texts in it are read.
    """

    name: str
    kind: Kind
    why: str = ""
    reading: Reading = ""


def date_of(columns: Mapping[str, Column], roles: Roles) -> Target:
    """Return how the column of dates is read."""
    column = columns.get(roles.date)
    return Target("taken_at", "time") if column is None else _target(column, "taken_at", "", roles)


def _target(column: Column, name: str, why: str, roles: Roles) -> Target:
    """Return what becomes of a column, with how its dates are read if that needs words."""
    asked = dict(roles.orders).get(column.name)
    reading, kind = column.reading(asked), column.kind
    if asked and not reading:
        kind, how = "text", f"not all of its cells are dates in the order {asked}"
    elif reading in ("", "comma"):
        how = ""
    else:
        how = reading.replace("-", " ")
        if not asked and not column.orders.are_clear:
            other = "month-first" if reading == "day-first" else "day-first"
            how += f" (a guess: no day is above 12); to change it: --column {other}={column.name}"
    return Target(name, kind, "; ".join(filter(None, (why, how))), reading)


def targets_of(columns: Iterable[Column], roles: Roles) -> dict[str, Target]:
    """Return the field of each column that has no role, by the column's name."""
    taken = {roles.image, *roles.captions, *roles.tags, roles.date, roles.people}
    if roles.id:
        taken.discard(roles.image)  # else nothing would say which image it is
    targets: dict[str, Target] = {}
    used: set[str] = set()
    for number, column in enumerate(columns, 1):
        if column.name in taken or not column.count or column.kind == "image":
            continue
        # Not casefold: queries are written as the table is, "größe" with its "ß".
        clean = re.sub(r"\W+", "_", composed(column.name)).strip("_").lower()
        clean = clean or f"column_{number}"
        name, why = _SAME.get(clean, clean), ""
        if name in FIELDS and _fits(column, name):
            why = f"the field {name} of all images" if name == clean else f"the same as {name}"
        elif name in FIELDS or clean in JSON_KEYS or clean in _OWN:
            name, why = f"column_{clean}", f"{clean} means something else to pixseek"
        while name in used:
            name, why = f"{name}_{number}", "another column has its name"
        used.add(name)
        targets[column.name] = _target(column, name, why, roles)
    return targets


def _fits(column: Column, name: str) -> bool:
    """Return whether a column's values are ones of a field of the metadata."""
    field, kind = FIELDS[name], column.kind
    if name in _OWN:
        return False
    if field.kind is str:
        return kind in ("text", "list")
    if field.kind is bool:
        return kind == "bool"
    if kind not in ("int", "float") or (field.kind is int and kind == "float"):
        return False
    return field.low <= column.low and column.high <= field.high


def described_by(
    rows: Sequence[Row], roles: Roles, targets: Mapping[str, Target], date: Target
) -> dict[str, Scalar | tuple[str, ...]]:
    """Return what the rows about one image say, as the fields of an `Item`.

    Texts that differ between rows are joined; of other values the first counts.
    """
    said: dict[str, Scalar | tuple[str, ...]] = {}
    captions = tuple(dict.fromkeys(_texts(rows, roles.captions, are_lists=True)))
    if captions:
        said["caption"] = captions
    tags: list[str] = []
    for row in rows:
        for name in roles.tags:
            value = row.get(name)
            if isinstance(value, str):
                listed = _listed(value)
                value = tuple(re.split(r"[;,|]", value)) if listed is None else listed
            tags += [each.strip() for each in value if each.strip()] if (
                isinstance(value, tuple)
            ) else []  # fmt: skip
    if tags:
        said["tags"] = tuple(dict.fromkeys(tags))
    if people := tuple(_texts(rows, (roles.people,), are_lists=True)):
        said["people"] = tuple(
            name.strip() for text in people for name in text.split(";") if name.strip()
        )
    for value in (row.get(roles.date) for row in rows) if roles.date else ():
        moment = read(value, "time", date.reading) if isinstance(value, str) else value
        if isinstance(moment, datetime | str):
            said["taken_at"] = moment.isoformat() if isinstance(moment, datetime) else moment
        elif isinstance(value, str) and value:
            said["taken_at"] = value
        if "taken_at" in said:
            break
    for name, target in targets.items():
        if target.kind in ("text", "list"):
            text = "; ".join(dict.fromkeys(_texts(rows, (name,))))
            cleaned = clean_text(text, MAX_FIELD)
            if cleaned:
                said[target.name] = cleaned
            continue
        for row in rows:
            value = row.get(name)
            found = read(value, target.kind, target.reading) if isinstance(value, str) else value
            if found is not None and not isinstance(found, Blob | tuple):
                is_whole = isinstance(found, int) and not isinstance(found, bool)
                said[target.name] = (
                    float(found) if target.kind == "float" and is_whole else found  # type: ignore[arg-type]
                )
                break
    return said


def _listed(text: str) -> tuple[str, ...] | None:
    """Return the texts in a list that is written as JSON or Python writes it; None if it is not."""
    if not (text.startswith("[") and text.endswith("]") and len(text) <= _LIST):
        return None
    found: object = None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        # pandas writes lists of strings as Python does.
        with contextlib.suppress(ValueError, SyntaxError, RecursionError, MemoryError):
            found = ast.literal_eval(text)
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        return None
    return tuple(found)


def _texts(rows: Sequence[Row], names: Sequence[str], *, are_lists: bool = False) -> Iterable[str]:
    for row in rows:
        for name in names:
            value = row.get(name)
            if isinstance(value, str) and are_lists:
                value = value if (listed := _listed(value)) is None else listed
            for each in value if isinstance(value, tuple) else (value,):
                if each is not None and not isinstance(each, Blob) and str(each).strip():
                    yield str(each).strip()


def bare(name: str) -> str:
    """Return the name of an image file without the number of a caption behind it."""
    return NUMBERED.sub("", name.strip())
