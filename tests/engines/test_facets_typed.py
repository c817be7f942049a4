"""What facets print can be typed back and finds the images counted, on every engine."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pixseek import filters
from pixseek.images import COLOUR_NAMES, FORMATS
from pixseek.search import facets
from pixseek.search.language import filter_of, parse, to_text
from pixseek.types import Engine, FacetField, Record

from vectors import random_unit

FIELDS: list[FacetField] = ["folder", "year", "camera", "tag", "person", "colour", "format"]

_FOLDERS = [
    "r", "R", "r/2021", "r/2021/Été", "r/2021/E\u0301te\u0301", "r/2021/été/a \"b\" 'c'", "r/20?1",
    "r/2021/*", "r/x y/(z)", "q/2021:5", "r//2", "/data/photos", "https://example.org/a/b",
    "https://example.org", "r/-x", "r/NOT", "r/a\\b", "Ｒ/２０２１", "r/“x”", "r/50%_off",
]  # fmt: skip
_TAGS = [
    "owl", "Owl", "Nature|Birds|Owl", "Nature|Birds", "nature/birds", "AC/DC", "ac", "a > b", "b",
    "who?", "*", "", " ", "|", "x|", "é", "e\u0301", "two words", '"', "OR", "-x", "a:b", "(a)",
    "straße", "STRASSE", "none", "“q”", "‘q’", "2021",
]  # fmt: skip
_PEOPLE = [
    "Ann", "ann", "Ann Lee", "Ann Lee; Bob", "Bob;Zoë", "Zoe\u0308", "O'Neil", "Ann?", ";", " ",
    "Bob; bob", "Dr. X, Jr.", "NOT",
]  # fmt: skip
_MAKES = ["Canon", "CANON", "NIKON", "", " Sony ", "A*", "Ｃａｎｏｎ", "é", "e\u0301"]
_MODELS = ["EOS 5D", "EOS 5D Mark II", "D70", "D700", "Canon EOS 5D", "", "x?", 'a"b', "5D (x)"]
_COLOURS = [*sorted(COLOUR_NAMES)[:4], "red, blue", "blue,red", "Red", "mauve, red", "dark red", ""]
_ODD = st.none() | st.integers(0, 3) | st.booleans() | st.just(datetime(2020, 1, 1))
_TAKEN = st.none() | st.sampled_from(
    [
        datetime(1, 1, 1), datetime(999, 12, 31),
        datetime(2020, 12, 31, 23, 59, 59, 999999),
        datetime(2021, 1, 1), datetime(2021, 1, 1, tzinfo=UTC), datetime(9999, 6, 1),
        datetime(2020, 12, 31, 23, tzinfo=timezone(timedelta(hours=-9))),
        datetime(2021, 1, 1, 3, tzinfo=timezone(timedelta(hours=9))),
    ]
)  # fmt: skip


@st.composite
def _records(draw: st.DrawFn) -> list[Record]:
    def field(*values: str) -> st.SearchStrategy[object]:
        return st.sampled_from(values) | st.sampled_from(values) | _ODD

    fields = st.fixed_dictionaries(
        {},
        optional={
            "people": field(*_PEOPLE), "camera_make": field(*_MAKES),
            "camera_model": field(*_MODELS), "colour_names": field(*_COLOURS),
        },
    )  # fmt: skip
    media = st.sampled_from(["", "image/x-odd", "image/jpeg", *(each.media for each in FORMATS)])
    return [
        Record(
            f"id{n}", f"{draw(st.sampled_from(_FOLDERS))}/{n}.jpg", media=draw(media),
            taken_at=draw(_TAKEN), tags=tuple(draw(st.lists(st.sampled_from(_TAGS), max_size=3))),
            fields=draw(fields),  # type: ignore[arg-type]
        )
        for n in range(draw(st.integers(1, 12)))
    ]  # fmt: skip


@pytest.mark.slow
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(records=_records())
def test_values_typed_back_find_the_images_counted(engine: Engine, records: list[Record]) -> None:
    engine.delete(list(engine.matching_ids()))
    engine.put(records, random_unit(len(records)))
    counted = facets.count(records, most=1000)
    assert engine.facets(None, FIELDS, 1000) in (None, counted)
    for field, values in counted.items():
        for value, count in values.items():
            typed = [facets.filter_text(field, value)]
            if field != "camera" and not {"*", "?"} & set(value):
                quoted = value.replace("\\", "\\\\").replace('"', '\\"')
                typed.append(f'{field}:"{quoted}"')
            if field != "folder":
                typed.append(typed[0].replace(":=", ":").replace(":", ":=", 1))
            for text in typed:
                where = filter_of(text)
                assert where is not None
                found = sorted(r.id for r in records if filters.matches(where, r))
                assert len(found) == count, (text, found)
                assert sorted(engine.matching_ids(where)) == found, text
                assert parse(to_text(parse(text))) == parse(text)


def test_every_record_is_counted_and_case_and_normal_form_are_merged() -> None:
    records = [
        Record("1", "r/2021/E\u0301te\u0301/1.jpg", tags=("Owl",), fields={"people": "ZOE\u0308"}),
        Record("2", "r/2021/été/2.jpg", tags=("owl", "Nature|Owl"), fields={"people": "Zoë"}),
        Record("3", "r/2020/3.jpg", tags=("owl",), taken_at=datetime(2020, 1, 1)),
        Record("4", "r/2020/a/4.jpg", tags=("AC/DC",), fields={"people": "Zoë; Ann"}),
    ]
    counted = facets.count(records)
    # A folder counts what is below it, and is printed if it holds images itself.
    assert counted["folder"] == {"r/2020": 2, "r/2021/E\u0301te\u0301": 2, "r/2020/a": 1}
    assert counted["tag"] == {"Owl": 3, "AC/DC": 1, "Nature": 1}
    assert counted["person"] == {"Zoë": 3, "Ann": 1}
    assert counted["year"] == {"2020": 1, "none": 3}
    # Images without a date are never cut off.
    assert facets.count(records, most=1)["year"] == {"2020": 1, "none": 3}
