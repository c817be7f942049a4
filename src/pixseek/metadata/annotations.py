"""Annotations: the tags, captions, ratings and fields of users, kept apart from file metadata.

The whole rule: **a record shows its file's metadata, changed by its user's annotation.**

- Tags are the file's, without those the user removed, plus those the user added. Removing a level
  of hierarchical tags removes these.
- The caption and the rating are the user's if given, otherwise the file's.
- The user's own fields stand next to the file's, under names that begin with `user.`.

A record holds the result, so filters, search and sorting needn't know this rule. Its fields keep
both sides: the user's as `user.caption`, `user.rating`, `user.tags_added` and `user.tags_removed`,
and the file's values that the user changed as `file.caption`, `file.rating` and `file.tags` (lists
as JSON). So the file can be read again without losing the annotation, and the annotation can be
cleared without reading the file. `user.labelled` names the set of labels that a model was asked to
find in the image, and `user.tags_found` holds the added tags that a model gave and no user.

Everything here is a pure function of records and annotations; nothing is stored.
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping
from dataclasses import field, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from pixseek.errors import QueryError, unknown
from pixseek.metadata.fields import MAX_CAPTION, MAX_TAG, clean_text, once, split_tags
from pixseek.types import Record, Scalar
from pixseek.types.dataclass import dataclass
from pixseek.types.texts import tag_names, tag_path

#: Prefix of the fields that hold the annotation; these follow the content when a file moves.
USER_PREFIX = "user."

CAPTION, RATING = "user.caption", "user.rating"
TAGS_ADDED, TAGS_REMOVED = "user.tags_added", "user.tags_removed"
#: Those of the added tags that a model gave, and nobody else.
TAGS_FOUND = "user.tags_found"
#: The set of labels that a model was asked to find in the image; see `Annotation`.
LABELLED = "user.labelled"
#: User fields with a model's scores for its labels: probabilities of a classifier, and
#: probabilities or strengths of zero-shot labels.
LABEL_SCORES, LABEL_CONFIDENCES = "label_scores", "label_confidences"
FILE_CAPTION, FILE_RATING, FILE_TAGS = "file.caption", "file.rating", "file.tags"

#: The fields of a record that keep the two sides apart; all others have no special meaning.
KEPT = frozenset(
    {
        CAPTION, RATING, TAGS_ADDED, TAGS_REMOVED, TAGS_FOUND, LABELLED, FILE_CAPTION, FILE_RATING,
        FILE_TAGS,
    }
)  # fmt: skip

#: The ones among them that hold a list, as JSON.
LISTS = frozenset({TAGS_ADDED, TAGS_REMOVED, TAGS_FOUND, FILE_TAGS})

#: The parts of an annotation that can be cleared.
Clearable = Literal["tags", "caption", "rating", "fields", "all"]
CLEARABLE: tuple[Clearable, ...] = ("tags", "caption", "rating", "fields", "all")

_RESERVED = frozenset(
    {"caption", "rating", "tags", "tags_added", "tags_removed", "tags_found", "labelled"}
)
#: Zones are less than this from UTC, for all engines; see `filters`.
_MAX_OFFSET = timedelta(hours=16)
# The names that the query language accepts before a colon, so every user field can be searched.
_NAME = re.compile(r"[^\W\d][\w.\-]*")


@dataclass(frozen=True, slots=True)
class Annotation:
    """What a user said about one image.

    Attributes:
        caption: "" for none.
        rating: 1 to 5, or -1 for rejected; 0 for none.
        tags_added: in the order in which they were added.
        tags_removed: tags of the file that the user removed.
        fields: the user's own fields, by name without the prefix.
        labelled: name of the set of labels that a model was asked to find in the image; "" for
            none.
        tags_found: those of `tags_added` that a model gave and no user; None if that was not
            noted, in libraries of an older pixseek.
    """

    caption: str = ""
    rating: int = 0
    tags_added: tuple[str, ...] = ()
    tags_removed: tuple[str, ...] = ()
    fields: Mapping[str, Scalar] = field(default_factory=dict)
    labelled: str = ""
    tags_found: tuple[str, ...] | None = None

    def __bool__(self) -> bool:
        """Whether the annotation holds anything."""
        return bool(
            self.caption
            or self.rating
            or self.tags_added
            or self.tags_removed
            or self.fields
            or self.labelled
        )

    @property
    def is_said(self) -> bool:
        """Whether anything was said: more than that a model looked for labels and found none."""
        return self.tags_found is not None or bool(replace(self, labelled=""))


@dataclass(frozen=True, slots=True)
class Change:
    """A change to an annotation; parts that it doesn't mention stay.

    Attributes:
        add: tags to add.
        remove: tags to remove; none of those to add.
        caption: "" clears the user's caption; None keeps it.
        rating: 1 to 5, or -1 for rejected; 0 clears the user's rating; None keeps it.
        fields: the user's own fields; the value None clears a field.
        clear: parts to clear before the other changes are made.
        labelled: the set of labels that a model was asked for; None keeps the present one. A change
            that has it is a model's: the tags it adds are not the user's own.
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
    """Return a change whose texts are checked, and cleaned in the same way as those of files.

    Commas and semicolons separate tags, as in sidecars. A hierarchical tag ("Places|Italy") stands
    for its leaf and its path. See `Change` for the arguments.

    Raises:
        QueryError: a rating, a tag, a field's name or value, or a name in `clear` is not valid.
    """
    if rating is not None and (type(rating) is not int or not -1 <= rating <= 5):
        raise QueryError(
            "Not a valid rating", rating, "Give 1 to 5, -1 for rejected, or 0 to clear yours."
        )
    remove, cleared = tuple(_each(remove)), frozenset(_each(clear))
    for name in sorted(cleared - {*CLEARABLE}):
        raise QueryError("This can't be cleared", name, unknown("name", name, CLEARABLE))
    add = tuple(_each(add))
    for text in (*add, *remove):
        if all(_is_blank(each) for each in clean_text(text, MAX_TAG)):
            raise QueryError("A tag is empty", repr(text)[:100], "Give it a name, such as 'dog'.")
    added = _tags(add)
    # A file's tag may contain a comma, so the unsplit text can be removed too.
    removed = once((*_tags(remove), *(clean_text(text, MAX_TAG) for text in remove)))
    return Change(
        add=added,
        remove=without(removed, added),
        caption=None if caption is None else clean_text(caption, MAX_CAPTION, lines=True),
        rating=rating,
        fields={_name(name): _value(name, value) for name, value in (fields or {}).items()},
        clear=cleared,
    )


def annotation_of(record: Record) -> Annotation:
    """Return the annotation that a record holds; an empty one if it has none."""
    own = {n: v for n, v in record.fields.items() if n.startswith(USER_PREFIX)}
    if not own:
        return Annotation()
    caption, rating, labelled = own.get(CAPTION), own.get(RATING), own.get(LABELLED)
    return Annotation(
        caption=caption if isinstance(caption, str) else "",
        rating=rating if isinstance(rating, int) else 0,
        tags_added=listed(own.get(TAGS_ADDED)),
        tags_removed=listed(own.get(TAGS_REMOVED)),
        fields={n.removeprefix(USER_PREFIX): v for n, v in own.items() if n not in KEPT},
        labelled=labelled if isinstance(labelled, str) else "",
        tags_found=listed(own[TAGS_FOUND]) if TAGS_FOUND in own else None,
    )


def tags_by_model(record: Record) -> tuple[str, ...]:
    """Return the tags of a record that only a model gave, and neither its user nor its file."""
    found = _found(annotation_of(record))
    return without(found, listed(record.fields.get(FILE_TAGS))) if found else ()


def by_hand(said: Annotation) -> Annotation:
    """Return what a user said, without what a model found."""
    return replace(
        said,
        tags_added=without(said.tags_added, _found(said)),
        fields={
            name: value
            for name, value in said.fields.items()
            if name not in (LABEL_SCORES, LABEL_CONFIDENCES)
        },
        labelled="",
        tags_found=None,
    )


def _found(said: Annotation) -> tuple[str, ...]:
    """Return the added tags that a model gave and no user."""
    if said.tags_found is not None:
        return said.tags_found
    # By the names of the scores: "a lake 0.97, sand 0.80".
    scores = (said.fields.get(name) for name in (LABEL_SCORES, LABEL_CONFIDENCES))
    labels = ", ".join(each for each in scores if isinstance(each, str)).split(", ")
    names = {each.rpartition(" ")[0].casefold() for each in labels}
    return tuple(tag for tag in said.tags_added if tag.casefold() in names)


def file_part(record: Record) -> Record:
    """Return a record without its annotation, as its file alone describes it."""
    dropped = {n for n in record.fields if n.startswith(USER_PREFIX) or n in KEPT}
    if not dropped:
        return record
    fields = {n: v for n, v in record.fields.items() if n not in dropped}
    caption, tags = record.caption, record.tags
    if CAPTION in dropped:
        caption = str(record.fields.get(FILE_CAPTION, ""))
    if RATING in dropped:
        fields.pop("rating", None)
        if FILE_RATING in dropped:
            fields["rating"] = record.fields[FILE_RATING]
    if TAGS_ADDED in dropped or TAGS_REMOVED in dropped:
        tags = listed(record.fields.get(FILE_TAGS))
    return replace(record, caption=caption, tags=tags, fields=fields)


def annotate(record: Record, annotation: Annotation) -> Record:
    """Return a record with an annotation applied, in place of the one it had.

    `annotate(r, annotation_of(r))` equals `r`.
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
        tags = once((*untagged(tags, annotation.tags_removed), *annotation.tags_added))
    fields |= {USER_PREFIX + name: value for name, value in annotation.fields.items()}
    if annotation.labelled:
        fields[LABELLED] = annotation.labelled
    if annotation.tags_found is not None:
        fields[TAGS_FOUND] = _list(annotation.tags_found)
    return replace(record, caption=caption, tags=tags, fields=fields)


def changed(annotation: Annotation, what: Change, file_tags: Collection[str]) -> Annotation:
    """Return an annotation after a change.

    Args:
        annotation: the annotation before.
        what: the change.
        file_tags: the tags of the file. Removing one of these is remembered, so that it doesn't
            return when the file is read again; removing any other tag only undoes its addition.
    """
    if "all" in what.clear:
        annotation = Annotation()
    if "tags" in what.clear:
        annotation = replace(annotation, tags_added=(), tags_removed=(), tags_found=None)
    if "caption" in what.clear:
        annotation = replace(annotation, caption="")
    if "rating" in what.clear:
        annotation = replace(annotation, rating=0)
    if "fields" in what.clear:
        annotation = replace(annotation, fields={})
    added = once((*untagged(annotation.tags_added, what.remove), *what.add))
    removed = [tag for tag in what.remove if len(untagged(file_tags, [tag])) < len(file_tags)]
    own = {**annotation.fields, **what.fields}
    before = _found(annotation)
    if what.labelled is None:  # what a user adds is the user's, also if a model found it before
        found = without(before, what.add)
    else:
        found = once((*before, *without(what.add, annotation.tags_added)))
    noted = found or before or annotation.tags_found is not None
    return Annotation(
        caption=annotation.caption if what.caption is None else what.caption,
        rating=annotation.rating if what.rating is None else what.rating,
        tags_added=added,
        tags_removed=without(once((*annotation.tags_removed, *removed)), what.add),
        fields={name: value for name, value in own.items() if value is not None},
        labelled=annotation.labelled if what.labelled is None else what.labelled,
        tags_found=untagged(found, what.remove) if noted else None,
    )


def combined(before: Annotation, here: Annotation, there: Annotation) -> Annotation:
    """Return an annotation with the changes that were made to it in two places.

    Args:
        before: the annotation that both began with.
        here: after the changes of one place, which win if both changed the same.
        there: after those of the other.
    """

    def latest(name: str) -> Any:
        mine = getattr(here, name)
        return mine if mine != getattr(before, name) else getattr(there, name)

    def tags(name: str) -> tuple[str, ...]:
        first, mine, other = (getattr(each, name) or () for each in (before, here, there))
        cleared = (*without(first, mine), *without(first, other))
        return without(once((*mine, *other)), cleared)

    own = {
        name: here.fields.get(name)
        if here.fields.get(name) != before.fields.get(name)
        else there.fields.get(name)
        for name in {**here.fields, **there.fields}
    }
    return Annotation(
        caption=latest("caption"),
        rating=latest("rating"),
        tags_added=tags("tags_added"),
        tags_removed=tags("tags_removed"),
        fields={name: value for name, value in own.items() if value is not None},
        labelled=latest("labelled"),
        tags_found=None
        if here.tags_found is None and there.tags_found is None
        else tags("tags_found"),
    )


def untagged(tags: Iterable[str], removed: Iterable[str]) -> tuple[str, ...]:
    """Return the tags that are left when some are removed.

    "Nature|Birds|Owl" goes with its leaf and with each other level, since filters find it by them.
    """
    gone = {tag_path(tag) for tag in removed}

    def is_left(tag: str) -> bool:
        return gone.isdisjoint(tag_names(tag) if "|" in tag else (tag_path(tag),))

    return tuple(filter(is_left, tags))


def without(tags: Iterable[str], removed: Iterable[str]) -> tuple[str, ...]:
    """Return the tags that are not among the removed ones, ignoring case."""
    gone = {tag.casefold() for tag in removed}
    return tuple(tag for tag in tags if tag.casefold() not in gone)


def value_of(text: str) -> Scalar:
    """Return the value of a text from a command line, as the query language reads it.

    Numbers, `true`, `false` and ISO 8601 dates become values; any other text, and any text in
    double quotes, stays a text.
    """
    if len(text) >= 2 and text[0] == text[-1] == '"':
        return text[1:-1]
    if text in ("true", "false"):
        return text == "true"
    if re.fullmatch(r"[+-]?\d{1,18}", text):
        return int(text)
    if re.fullmatch(r"[+-]?(\d++\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", text):
        return float(text)
    if re.match(r"\d{4}-\d\d-\d\d", text):
        try:
            return datetime.fromisoformat(text)
        except ValueError:
            return text
    return text


def _each(texts: str | Iterable[str]) -> Iterable[str]:
    return (texts,) if isinstance(texts, str) else texts


def _is_blank(character: str) -> bool:
    """Return whether a character shows nothing of a tag: white space, invisible, or a separator."""
    return character in ",;|" or unicodedata.category(character) in ("Cc", "Cf", "Zs", "Zl", "Zp")


def _tags(texts: str | Iterable[str]) -> tuple[str, ...]:
    return split_tags(piece for text in _each(texts) for piece in text.split(","))


def _name(name: str) -> str:
    bare = name.removeprefix(USER_PREFIX)
    if bare in _RESERVED:
        raise QueryError(
            "Not a valid name for your own field", name, "Tags, caption and rating have their own "
            "options: --add, --remove, --caption and --rating.",
        )  # fmt: skip
    if not _NAME.fullmatch(bare):
        raise QueryError(
            "Not a valid name for your own field",
            name,
            "Use letters, digits, '_', '-' and '.', and don't begin with a digit.",
        )
    return bare


def _value(name: str, value: Scalar) -> Scalar:
    if isinstance(value, str):
        return clean_text(value, MAX_CAPTION, lines=True)
    is_known = value is None or isinstance(value, bool | int | float | datetime)
    if isinstance(value, float) and not math.isfinite(value):  # JSON has neither
        is_known = False
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        is_known = False
    if isinstance(value, datetime) and abs(value.utcoffset() or timedelta()) >= _MAX_OFFSET:
        is_known = False
    if is_known:
        return value
    raise QueryError(
        "Not a valid value for a field",
        f"{name}={value!r}",
        "Give a text, a number of up to 64 bits, True or False, or a datetime.",
    )


def _list(tags: tuple[str, ...]) -> str:
    return json.dumps(tags, ensure_ascii=False)


def listed(text: Scalar) -> tuple[str, ...]:
    """Return the tags of a field that `_list` wrote; () if it holds anything else."""
    try:
        tags = json.loads(text) if isinstance(text, str) else ()
    except (ValueError, RecursionError):
        return ()
    return tuple(each for each in tags if isinstance(each, str)) if isinstance(tags, list) else ()
