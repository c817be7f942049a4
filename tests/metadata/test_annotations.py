"""Annotations are kept apart from file metadata, whatever happens to either."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixseek.errors import QueryError
from pixseek.metadata.annotations import (
    KEPT,
    LABELLED,
    TAGS_FOUND,
    Annotation,
    annotate,
    annotation_of,
    change,
    changed,
    combined,
    file_part,
    value_of,
)
from pixseek.types import Record, Scalar, record_id

TAGS = st.sampled_from(["boat", "Boat", "lake", "Größe", "a|b", 'q"uote', "sea; sky"])
CAPTIONS = st.sampled_from(["", "a lake", "two\nlines", "Ünïcode"])
VALUES = st.none() | st.booleans() | st.integers(-5, 5) | st.text("abc", max_size=3)
FILES = st.builds(
    lambda caption, tags, rating, title: Record(
        "i", "photos/a.jpg", caption=caption, tags=tuple({t.casefold(): t for t in tags}.values()),
        fields={**({"rating": rating} if rating else {}), **({"title": title} if title else {})},
    ),
    CAPTIONS, st.lists(TAGS), st.integers(-1, 5), CAPTIONS,
)  # fmt: skip
CHANGES = st.builds(
    change,
    add=st.lists(TAGS, max_size=3),
    remove=st.lists(TAGS, max_size=3),
    caption=st.none() | CAPTIONS,
    rating=st.none() | st.integers(-1, 5),
    fields=st.dictionaries(st.sampled_from(["price", "to_do"]), VALUES, max_size=2),
    clear=st.sets(st.sampled_from(["tags", "caption", "rating", "fields", "all"]), max_size=2),
)


def folded(tags: tuple[str, ...]) -> set[str]:
    return {tag.casefold() for tag in tags}


@given(FILES, st.lists(st.one_of(CHANGES, FILES, st.just("moved")), max_size=8))
def test_a_record_is_its_files_metadata_changed_by_its_annotation(
    file: Record, events: list[object]
) -> None:
    record, annotation = file, Annotation()
    for event in events:
        if isinstance(event, Record):  # the file is read again
            file = replace(event, id=file.id, uri=file.uri)
            record = annotate(file, annotation_of(record))
        elif event == "moved":
            uri = f"photos/b/{record.name}"
            file = replace(file, id=record_id(uri), uri=uri)
            record = replace(record, id=file.id, uri=uri)
        else:
            annotation = changed(annotation, event, file.tags)  # type: ignore[arg-type]
            record = annotate(file_part(record), annotation)
        assert annotation_of(record) == annotation
        assert file_part(record) == file
        assert annotate(record, annotation_of(record)) == record
        # The rule again, written differently from the code.
        assert record.caption == (annotation.caption or file.caption)
        assert record.fields.get("rating") == (annotation.rating or file.fields.get("rating"))
        removed, added = folded(annotation.tags_removed), folded(annotation.tags_added)
        assert folded(record.tags) == (folded(file.tags) - removed) | added
        assert len(folded(record.tags)) == len(record.tags)
        assert not removed & added
        assert {n: v for n, v in record.fields.items() if n in ("title",)} == {
            n: v for n, v in file.fields.items() if n == "title"
        }
        if not annotation:
            assert record == file


@given(FILES, CHANGES)
def test_making_a_change_twice_is_making_it_once(file: Record, what: object) -> None:
    once = changed(Annotation(), what, file.tags)  # type: ignore[arg-type]
    assert changed(once, what, file.tags) == once  # type: ignore[arg-type]


def after(file: Record, **what: object) -> Record:
    """The record after a change with these arguments."""
    before = annotation_of(file)
    part = file_part(file)
    return annotate(part, changed(before, change(**what), part.tags))  # type: ignore[arg-type]


FILE = Record("i", "a/b.jpg", caption="by the file", tags=("boat", "lake"), fields={"rating": 2})


def test_a_record_keeps_the_values_of_both_sides() -> None:
    record = after(FILE, add="sea", remove="LAKE", caption="mine", rating=5, fields={"price": 9.5})
    assert (record.caption, record.tags) == ("mine", ("boat", "sea"))
    assert record.fields == {
        "rating": 5, "user.rating": 5, "file.rating": 2,
        "user.caption": "mine", "file.caption": "by the file",
        "user.tags_added": '["sea"]', "user.tags_removed": '["LAKE"]',
        "file.tags": '["boat", "lake"]', "user.price": 9.5,
    }  # fmt: skip
    assert {*record.fields} - {"rating", "user.price"} == KEPT - {LABELLED, TAGS_FOUND}
    labelled = annotate(record, replace(annotation_of(record), labelled="abc"))
    assert labelled.fields == {**record.fields, LABELLED: "abc"}
    assert annotate(labelled, annotation_of(labelled)) == labelled


def test_clearing_an_annotation_restores_the_files_values() -> None:
    record = after(FILE, add="sea", remove="lake", caption="mine", rating=5, fields={"price": 9.5})
    assert after(record, caption="").caption == "by the file"
    assert after(record, rating=0).fields["rating"] == 2
    assert after(record, add="lake").tags == ("boat", "lake", "sea")
    assert after(record, remove="sea").tags == ("boat",)
    assert "user.price" not in after(record, fields={"price": None}).fields
    assert after(record, clear="tags").tags == ("boat", "lake")
    assert after(record, clear="all") == FILE
    assert after(record, clear=["tags", "caption", "rating", "fields"]) == FILE


def test_tags_are_split_and_cleaned_like_those_of_files() -> None:
    assert change(add="a, b;c ,  d\x07e").add == ("a", "b", "c", "d e")
    assert after(FILE, add="lake", remove="lake").tags == ("boat", "lake")
    paris = replace(FILE, tags=("Paris, France", "Paris"))
    assert after(paris, remove="Paris, France").tags == ()
    assert change(add=["Places|Italy", "italy"]).add == ("Italy", "Places|Italy")


@pytest.mark.parametrize(
    "what",
    [{"rating": 6}, {"rating": True}, {"rating": 2.5}, {"clear": "captions"},
     {"fields": {"rating": 3}}, {"fields": {"user.tags": "a"}}, {"fields": {"a b": 1}},
     {"fields": {"": 1}}, {"fields": {"9a": 1}}, {"fields": {"a": [1]}},
     {"add": ""}, {"add": ["dog", ""]}, {"add": [" \t"]}, {"remove": [""]}, {"add": [", ;"]},
     {"add": ["|"]}, {"add": ["\u200b"]}, {"remove": "\u2060 \xad"}],
)  # fmt: skip
def test_invalid_changes_raise_query_error_with_advice(what: dict[str, object]) -> None:
    with pytest.raises(QueryError) as caught:
        change(**what)  # type: ignore[arg-type]
    assert caught.value.advice


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("9.5", 9.5), ("-3", -3), ("1e3", 1000.0), ("true", True), ("false", False),
        ("2021-05-03", datetime(2021, 5, 3)), ("2021-05-03T14:22", datetime(2021, 5, 3, 14, 22)),
        ("2021-99-03", "2021-99-03"), ('"9.5"', "9.5"), ("", ""), ("Ann & Co", "Ann & Co"),
        ("nan", "nan"), ("1_000", "1_000"),
    ],
)  # fmt: skip
def test_texts_of_a_command_line_become_values(text: str, value: Scalar) -> None:
    found = value_of(text)
    assert found == value and type(found) is type(value)


@given(st.text())
def test_any_text_is_a_valid_value(text: str) -> None:
    change(fields={"a": value_of(text)})


# ------------------------------------------------------------------ two places at once

LISTED = st.lists(st.sampled_from(["a", "b", "c", "d"]), unique=True).map(tuple)
SAID = st.builds(
    Annotation,
    caption=st.sampled_from(["", "one", "two"]),
    rating=st.sampled_from([0, 1, 5, -1]),
    tags_added=LISTED,
    tags_removed=LISTED,
    fields=st.dictionaries(st.sampled_from(["x", "y"]), st.integers(0, 2)),
    labelled=st.sampled_from(["", "birds"]),
)


def as_sets(said: Annotation) -> Annotation:
    tags = {name: tuple(sorted(getattr(said, name))) for name in ("tags_added", "tags_removed")}
    return replace(said, **tags)


@given(SAID, SAID)
def test_changes_of_one_place_alone_are_taken_as_they_are(
    before: Annotation, after: Annotation
) -> None:
    assert as_sets(combined(before, after, before)) == as_sets(after)
    assert as_sets(combined(before, before, after)) == as_sets(after)


@given(SAID, SAID, SAID)
def test_changes_of_two_places_are_combined(
    before: Annotation, here: Annotation, there: Annotation
) -> None:
    both = combined(before, here, there)
    added = {*here.tags_added, *there.tags_added} - {*before.tags_added}
    cleared = {*before.tags_added} - ({*here.tags_added} & {*there.tags_added})
    assert set(both.tags_added) == ({*before.tags_added} | added) - cleared
    for name in ("caption", "rating", "labelled"):
        changed_here = getattr(here, name) != getattr(before, name)
        assert getattr(both, name) == getattr(here if changed_here else there, name)
    for name in ("x", "y"):
        changed_here = here.fields.get(name) != before.fields.get(name)
        assert both.fields.get(name) == (here if changed_here else there).fields.get(name)


def test_removing_a_level_of_a_hierarchical_tag_removes_the_tag() -> None:
    file_tags = ("Owl", "Nature|Birds|Owl", "Nature|Trees", "black/white", "white")
    record = Record("id", "r/a.jpg", tags=file_tags)
    for level, left in {
        "birds": ("Owl", "Nature|Trees", "black/white", "white"),
        "Owl": ("Nature|Trees", "black/white", "white"),
        "nature|BIRDS": ("Nature|Trees", "black/white", "white", "Owl"),
        "Nature": ("Owl", "black/white", "white"),
        "white": ("Owl", "Nature|Birds|Owl", "Nature|Trees", "black/white"),
        "oak": file_tags,
    }.items():
        said = changed(Annotation(), change(remove=level), file_tags)
        after = annotate(record, said)
        # "nature|birds" stands for its leaf too.
        assert {*after.tags} == {*left}, level
        assert bool(said.tags_removed) is (level != "oak")
        assert annotate(file_part(after), annotation_of(after)) == after
        undone = annotate(record, changed(said, change(add=level), file_tags))
        assert {*file_tags} <= {*undone.tags}
    own = changed(Annotation(), change(add="Places|Italy|Rome"), ())
    assert changed(own, change(remove="Places|Italy|Rome"), ()) == Annotation()
    assert changed(own, change(remove="italy"), ()).tags_added == ("Rome",)


@pytest.mark.parametrize(
    "value",
    [
        float("nan"), float("inf"), 2**63, -(2**63) - 1, ["a"], b"a",
        datetime(2024, 1, 1, tzinfo=timezone(timedelta(hours=16))),
    ],
)  # fmt: skip
def test_a_value_that_no_engine_stores_is_refused(value: Any) -> None:
    with pytest.raises(QueryError, match="Not a valid value for a field"):
        change(fields={"price": value})
