"""What a user says of an image, kept apart from what its file says.

The rule, all of it: **an image is what its file says, changed by what its user says.**

- Tags are those of the file without those the user removed, and with those they added.
- The caption and the rating are the user's where they gave one, else the file's.
- A user's own fields stand beside those of the file, under names that begin with `user.`.

A record holds the outcome, so that filters, search and sorting need not know of this. In its
fields it keeps both parts: the user's as `user.caption`, `user.rating`, `user.tags_added` and
`user.tags_removed`, and the file's own value of what the user changed as `file.caption`,
`file.rating` and `file.tags` (lists as JSON). So the file can be read again without losing what
was said, and what was said can be taken back without reading the file. Beside them `user.labelled`
says which labels a model was asked to find in the image.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal

from pixseek.errors import QueryError, unknown
from pixseek.metadata.fields import MAX_CAPTION, MAX_TAG, clean_text, once, split_tags
from pixseek.types import Record, Scalar

#: Fields of these names are what the user said of an image: they go where its content goes.
USER_PREFIX = "user."

CAPTION, RATING = "user.caption", "user.rating"
TAGS_ADDED, TAGS_REMOVED = "user.tags_added", "user.tags_removed"
#: Of which set of labels a model was asked whether the image shows them; see `Annotation`.
LABELLED = "user.labelled"
#: Fields of the user that say how sure a model was of its labels: a classifier's probabilities,
#: and the confidences of zero-shot labels.
LABEL_SCORES, LABEL_CONFIDENCES = "label_scores", "label_confidences"
FILE_CAPTION, FILE_RATING, FILE_TAGS = "file.caption", "file.rating", "file.tags"

#: The fields of a record in which its two parts are kept; all others stand for themselves.
KEPT = frozenset(
    {CAPTION, RATING, TAGS_ADDED, TAGS_REMOVED, LABELLED, FILE_CAPTION, FILE_RATING, FILE_TAGS}
)

#: Those of them that hold a list, as JSON.
LISTS = frozenset({TAGS_ADDED, TAGS_REMOVED, FILE_TAGS})

#: What can be taken back, each with all the user said of it.
Clearable = Literal["tags", "caption", "rating", "fields", "all"]
CLEARABLE: tuple[Clearable, ...] = ("tags", "caption", "rating", "fields", "all")

_RESERVED = frozenset({"caption", "rating", "tags", "tags_added", "tags_removed", "labelled"})
# As the query language reads a name before a colon, so that every own field can be asked for.
_NAME = re.compile(r"[^\W\d][\w.\-]*")


@dataclass(frozen=True, slots=True)
class Annotation:
    """What a user said of one image.

    Attributes:
        caption: "" for none.
        rating: 1 to 5, or -1 for rejected; 0 for none.
        tags_added: in the order in which they were added.
        tags_removed: of the file's tags.
        fields: the user's own, by name without the prefix.
        labelled: name of the set of labels that the user had a model look for in its content; ""
            for none.
    """

    caption: str = ""
    rating: int = 0
    tags_added: tuple[str, ...] = ()
    tags_removed: tuple[str, ...] = ()
    fields: Mapping[str, Scalar] = field(default_factory=dict)
    labelled: str = ""

    def __bool__(self) -> bool:
        """Whether anything was said."""
        return bool(
            self.caption
            or self.rating
            or self.tags_added
            or self.tags_removed
            or self.fields
            or self.labelled
        )


@dataclass(frozen=True, slots=True)
class Change:
    """What a user says now; what it does not mention stays as it was said before.

    Attributes:
        add: tags.
        remove: tags; none of those to add.
        caption: "" takes the user's back; None leaves it.
        rating: 1 to 5, or -1 for rejected; 0 takes the user's back; None leaves it.
        fields: the user's own; None as a value takes one back.
        clear: what is taken back before the rest counts.
        labelled: the set of labels that was looked for; None leaves it.
    """

    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    caption: str | None = None
    rating: int | None = None
    fields: Mapping[str, Scalar] = field(default_factory=dict)
    clear: frozenset[str] = frozenset()
    labelled: str | None = None


def change(
    *,
    add: str | Iterable[str] = (),
    remove: str | Iterable[str] = (),
    caption: str | None = None,
    rating: int | None = None,
    fields: Mapping[str, Scalar] | None = None,
    clear: str | Iterable[str] = (),
) -> Change:
    """Return a change with its texts cleaned as those of files are; see `Change`.

    A comma or a semicolon separates two tags, as in sidecars, and a tag in a hierarchy
    ("Places|Italy") is its leaf and its path.

    Raises:
        QueryError: a rating, the name or the value of a field, or a name in `clear` can't be
            used.
    """
    if rating is not None and (type(rating) is not int or not -1 <= rating <= 5):
        raise QueryError(
            "This is no rating", rating, "Give 1 to 5, -1 for rejected, or 0 to take yours back."
        )
    remove, taken_back = tuple(_each(remove)), frozenset(_each(clear))
    for name in sorted(taken_back - {*CLEARABLE}):
        raise QueryError("This can't be cleared", name, unknown("name", name, CLEARABLE))
    added = _tags(add)
    # A file's tag may hold a comma: as it is written, it can be removed too.
    removed = once((*_tags(remove), *(clean_text(text, MAX_TAG) for text in remove)))
    return Change(
        add=added,
        remove=without(removed, added),
        caption=None if caption is None else clean_text(caption, MAX_CAPTION, lines=True),
        rating=rating,
        fields={_name(name): _value(name, value) for name, value in (fields or {}).items()},
        clear=taken_back,
    )


def annotation_of(record: Record) -> Annotation:
    """Return what the user said of a record; an empty annotation where nothing was said."""
    said = {n: v for n, v in record.fields.items() if n.startswith(USER_PREFIX)}
    if not said:
        return Annotation()
    caption, rating, labelled = said.get(CAPTION), said.get(RATING), said.get(LABELLED)
    return Annotation(
        caption=caption if isinstance(caption, str) else "",
        rating=rating if isinstance(rating, int) else 0,
        tags_added=listed(said.get(TAGS_ADDED)),
        tags_removed=listed(said.get(TAGS_REMOVED)),
        fields={n.removeprefix(USER_PREFIX): v for n, v in said.items() if n not in KEPT},
        labelled=labelled if isinstance(labelled, str) else "",
    )


def file_part(record: Record) -> Record:
    """Return a record as its file alone makes it, without anything the user said."""
    said = {n for n in record.fields if n.startswith(USER_PREFIX) or n in KEPT}
    if not said:
        return record
    fields = {n: v for n, v in record.fields.items() if n not in said}
    caption, tags = record.caption, record.tags
    if CAPTION in said:
        caption = str(record.fields.get(FILE_CAPTION, ""))
    if RATING in said:
        fields.pop("rating", None)
        if FILE_RATING in said:
            fields["rating"] = record.fields[FILE_RATING]
    if TAGS_ADDED in said or TAGS_REMOVED in said:
        tags = listed(record.fields.get(FILE_TAGS))
    return replace(record, caption=caption, tags=tags, fields=fields)


def annotate(record: Record, annotation: Annotation) -> Record:
    """Return a record of what its file says and what its user says.

    What was said of it before is forgotten: `annotate(r, annotation_of(r))` is `r`.
    """
    record = file_part(record)
    if not annotation:
        return record
    fields = dict(record.fields)
    caption, tags = record.caption, record.tags
    if annotation.caption:
        fields[CAPTION] = annotation.caption
        if caption:
            fields[FILE_CAPTION] = caption
        caption = annotation.caption
    if annotation.rating:
        fields[RATING] = annotation.rating
        if "rating" in fields:
            fields[FILE_RATING] = fields["rating"]
        fields["rating"] = annotation.rating
    if annotation.tags_added or annotation.tags_removed:
        if annotation.tags_added:
            fields[TAGS_ADDED] = _list(annotation.tags_added)
        if annotation.tags_removed:
            fields[TAGS_REMOVED] = _list(annotation.tags_removed)
        if tags:
            fields[FILE_TAGS] = _list(tags)
        tags = once((*without(tags, annotation.tags_removed), *annotation.tags_added))
    fields |= {USER_PREFIX + name: value for name, value in annotation.fields.items()}
    if annotation.labelled:
        fields[LABELLED] = annotation.labelled
    return replace(record, caption=caption, tags=tags, fields=fields)


def changed(annotation: Annotation, what: Change, file_tags: Collection[str]) -> Annotation:
    """Return what the user says after a change.

    Args:
        annotation: what they said before.
        what: the change.
        file_tags: the tags of the file. To remove another takes back that it was added; to
            remove one of these is kept, so that it does not return when the file is read again.
    """
    if "all" in what.clear:
        annotation = Annotation()
    if "tags" in what.clear:
        annotation = replace(annotation, tags_added=(), tags_removed=())
    if "caption" in what.clear:
        annotation = replace(annotation, caption="")
    if "rating" in what.clear:
        annotation = replace(annotation, rating=0)
    if "fields" in what.clear:
        annotation = replace(annotation, fields={})
    added = once((*without(annotation.tags_added, what.remove), *what.add))
    file_has = {tag.casefold() for tag in file_tags}
    removed = [tag for tag in what.remove if tag.casefold() in file_has]
    own = {**annotation.fields, **what.fields}
    return Annotation(
        caption=annotation.caption if what.caption is None else what.caption,
        rating=annotation.rating if what.rating is None else what.rating,
        tags_added=added,
        tags_removed=without(once((*annotation.tags_removed, *removed)), what.add),
        fields={name: value for name, value in own.items() if value is not None},
        labelled=annotation.labelled if what.labelled is None else what.labelled,
    )


def without(tags: Iterable[str], removed: Iterable[str]) -> tuple[str, ...]:
    """Return the tags that are none of the others, whatever their case."""
    gone = {tag.casefold() for tag in removed}
    return tuple(tag for tag in tags if tag.casefold() not in gone)


def value_of(text: str) -> Scalar:
    """Return what a text on a command line stands for, as the query language reads it.

    A number, `true` or `false`, a date as ISO 8601 writes it, and else the text itself; in
    double quotes always the text.
    """
    if len(text) >= 2 and text[0] == text[-1] == '"':
        return text[1:-1]
    if text in ("true", "false"):
        return text == "true"
    if re.fullmatch(r"[+-]?\d{1,18}", text):
        return int(text)
    if re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", text):
        return float(text)
    if re.match(r"\d{4}-\d\d-\d\d", text):
        try:
            return datetime.fromisoformat(text)
        except ValueError:
            return text
    return text


def _each(texts: str | Iterable[str]) -> Iterable[str]:
    return (texts,) if isinstance(texts, str) else texts


def _tags(texts: str | Iterable[str]) -> tuple[str, ...]:
    return split_tags(piece for text in _each(texts) for piece in text.split(","))


def _name(name: str) -> str:
    bare = name.removeprefix(USER_PREFIX)
    if bare in _RESERVED:
        raise QueryError(
            "This is no name for a field of your own", name, "Tags, caption and rating have "
            "options of their own: --add, --remove, --caption and --rating.",
        )  # fmt: skip
    if not _NAME.fullmatch(bare):
        raise QueryError(
            "This is no name for a field of your own",
            name,
            "A name is letters, digits, '_', '-' and '.', and begins with no digit.",
        )
    return bare


def _value(name: str, value: Scalar) -> Scalar:
    if isinstance(value, str):
        return clean_text(value, MAX_CAPTION, lines=True)
    if value is None or isinstance(value, bool | int | float | datetime):
        return value
    raise QueryError(
        "This is no value for a field",
        f"{name}={value!r}",
        "Give a text, a number, True or False, or a datetime.",
    )


def _list(tags: tuple[str, ...]) -> str:
    return json.dumps(tags, ensure_ascii=False)


def listed(text: Scalar) -> tuple[str, ...]:
    """Return the tags of a field that `_list` wrote; none where it holds anything else."""
    try:
        tags = json.loads(text) if isinstance(text, str) else ()
    except ValueError:
        return ()
    return tuple(each for each in tags if isinstance(each, str)) if isinstance(tags, list) else ()
