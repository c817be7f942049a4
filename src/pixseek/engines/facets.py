"""What a record counts under in each facet, and counts from groups of records that are alike.

Each value that is shown can be typed back: the filter that `search.facets.filter_text` makes of it
finds the images that were counted. So a folder counts what is below it, a tag each of its levels,
and values count together if a filter can't tell them apart.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime

from pixseek import filters
from pixseek.engines import columns
from pixseek.types import FacetField, Record
from pixseek.types.dataclass import dataclass
from pixseek.types.texts import composed, folded, tag_levels, tag_names, tag_path

#: The year of images without a date.
NO_DATE = "none"


@dataclass(frozen=True, slots=True)
class _Facet:
    """How records are counted by a field.

    Attributes:
        words: the values of a record, as they are written.
        keys: all that one of them counts under.
        shown: of all values, with how often each is written, those to show; of values with the
            same key the one that is written most often.
        key: what a value to show is counted under.
    """

    words: Callable[[Record], Iterable[str]]
    keys: Callable[[str], Iterable[str]] = lambda word: (word,)
    shown: Callable[[Counter[str]], Iterable[tuple[str, int]]] = Counter.items
    key: Callable[[str], str] = str


def count(field: FacetField, groups: Iterable[tuple[Record, int]], most: int) -> dict[str, int]:
    """Return how many records have each value of a facet, the commonest first, ties by value.

    Args:
        field: the facet.
        groups: records, and how many others count under the same values as each, itself included.
        most: how many values at most. Images without a date are counted besides, last.
    """
    words = FACETS[field].words
    return count_words(field, ((words(record), alike) for record, alike in groups), most)


def count_words(
    field: FacetField, groups: Iterable[tuple[Iterable[str], int]], most: int
) -> dict[str, int]:
    """Return the counts of a facet; see `count`.

    Args:
        field: the facet.
        groups: what `words_of` returns of some records, and of how many.
        most: as for `count`.
    """
    facet = FACETS[field]
    counts: Counter[str] = Counter()
    written: Counter[str] = Counter()
    keys_of: dict[str, Iterable[str]] = {}
    for words, alike in groups:
        each = set(words)
        for word in each:
            written[word] += alike
            if word not in keys_of:
                keys_of[word] = facet.keys(word)
        for key in set().union(*map(keys_of.__getitem__, each)):
            counts[key] += alike
    return ranked(field, written, counts, most)


def ranked(
    field: FacetField, written: Counter[str], counts: Mapping[str, int], most: int
) -> dict[str, int]:
    """Return the values of a facet to show with their counts; see `count`.

    Args:
        field: the facet.
        written: how many records have each value, as it is written.
        counts: how many count under each key; see `keys_of`.
        most: as for `count`.
    """
    facet = FACETS[field]
    spelled: dict[str, tuple[int, str]] = {}
    together: Counter[str] = Counter()
    for text, times in facet.shown(written):
        together[text] += times
    for text, times in together.items():
        key = facet.key(text)
        spelled[key] = min(spelled.get(key, (0, "")), (-times, text))
    undated = counts.get(NO_DATE, 0) if field == "year" else 0
    ordered = sorted(
        (-counts[key], text)
        for key, (_, text) in spelled.items()
        if text and not (undated and key == NO_DATE)
    )
    found = {text: -less for less, text in ordered[:most]}
    return {**found, NO_DATE: undated} if undated else found


#: Facets whose keys stores keep besides the values, since a record has several of both.
KEYED: tuple[FacetField, ...] = ("tag", "person")


def counted(
    fields: Iterable[FacetField], values: Callable[[str], Mapping[str, int]], most: int
) -> dict[str, dict[str, int]]:
    """Return facets from what a server has counted.

    Args:
        fields: the facets.
        values: returns how many records have each value of a facet, or of its keys, whose name is
            the facet's with `_key`.
        most: how many values of each.
    """
    found: dict[str, dict[str, int]] = {}
    for field in fields:
        written = Counter(values(field))
        if field in KEYED:
            found[field] = ranked(field, written, values(f"{field}_key"), most)
        else:  # of which a record has one value, or several that count as they are
            groups = [([word], times) for word, times in written.items()]
            found[field] = count_words(field, groups, most)
    return found


def keys_of(field: FacetField, value: str) -> Iterable[str]:
    """Return all that a record with this value of a facet counts under."""
    return FACETS[field].keys(value)


def words_of(field: FacetField, stored: str | None) -> Iterable[str]:
    """Return the values of a record of which a database gives a part.

    Args:
        field: the facet.
        stored: of "folder" the URI up to its last "/"; of "year" four digits, or None; of "tag" and
            "format" the columns `tags` and `media` (see `columns.Columns`); of "camera", "colour"
            and "person" a JSON list of the fields `camera_make` and `camera_model`, or
            `colour_names`, or `people`.
    """
    if field == "tag":  # without a record, since there are many
        return columns.tags_from_json(stored)
    if stored is None:
        return FACETS[field].words(Record("", ""))
    match field:
        case "folder":
            record = Record("", stored)
        case "year":
            record = Record("", "", taken_at=datetime(int(stored), 1, 1))
        case "format":
            record = Record("", "", media=stored)
        case "camera" | "colour" | "person":
            of_camera = field == "camera"
            names = ["camera_make", "camera_model"] if of_camera else [filters.LISTS[field][0]]
            values = (columns.scalar_from_json(value) for value in json.loads(stored))
            record = Record("", "", fields=dict(zip(names, values, strict=False)))
    return FACETS[field].words(record)


# ------------------------------------------------------------------ the values of records


def _folder(record: Record) -> list[str]:
    folder = record.uri.rpartition("/")[0].rstrip("/")
    return [folder] if folder else []


def _ends(folder: str) -> list[int]:
    """Return where a folder and each folder above it end; a server has none above it."""
    begin = folder.find("://") + 3 if "://" in folder else 1
    return [*(at for at in range(begin, len(folder)) if folder[at] == "/"), len(folder)]


def _year(record: Record) -> list[str]:
    return [f"{record.taken_at.year:04d}" if record.taken_at else NO_DATE]


def _tags_shown(written: Counter[str]) -> Iterator[tuple[str, int]]:
    """Yield the levels of hierarchical tags; a "/" may also just be part of a tag."""
    for tag, times in written.items():
        for text in tag_levels(tag) if "|" in tag else (tag,):
            yield text, times


def _colours(record: Record) -> Iterator[str]:
    from pixseek.images import COLOUR_NAMES  # takes longer to import than to search once

    for word in filters.listed("colour", record.fields):
        if folded(word) in COLOUR_NAMES:
            yield folded(word)


def _format(record: Record) -> list[str]:
    from pixseek.images import FORMATS

    known = next((each.name for each in FORMATS if each.media == record.media), record.media)
    return [known] if known else []


def _camera(record: Record) -> list[str]:
    camera = filters.camera(record.fields)
    return [camera] if camera else []


#: How records are counted in each facet.
FACETS: Mapping[FacetField, _Facet] = {
    "folder": _Facet(
        _folder,
        lambda folder: {folded(folder[:end]).rstrip("/") for end in _ends(folder)},
        key=lambda folder: folded(folder).rstrip("/"),
    ),
    "year": _Facet(_year),
    "camera": _Facet(_camera, lambda camera: (composed(camera),), key=composed),
    "tag": _Facet(lambda record: record.tags, tag_names, _tags_shown, tag_path),
    "person": _Facet(
        lambda record: filters.listed("person", record.fields),
        lambda name: (folded(name),),
        key=folded,
    ),
    "colour": _Facet(_colours),
    "format": _Facet(_format),
}
