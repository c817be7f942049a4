"""Records and filters as hypothesis draws them, so that many of the records fulfil some filter."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from hypothesis import strategies as st

from pixseek import filters
from pixseek.types import And, Compare, Filter, Not, Or, Record, Stamp

#: The same letters in both normal forms, and those that become ASCII in one.
_FORMS = ["\u00e9", "e\u0301", "E\u0301", "\u212a", "k", "\u0345\u0301", "\uac00", "\u1100\u1161"]
_PATHS = ["a|dog", "A / Dog", "a>dog>k", "|", "a/"]
WORDS = st.sampled_from(
    ["", "a", "A", "dog", "Dog", "STRASSE", "straße", "a%b", "a_b", "a*b", "[x]", *_FORMS]
)
MOMENTS = st.one_of(
    st.datetimes(datetime(2000, 1, 1), datetime(2000, 1, 3)),
    st.datetimes(
        datetime(2000, 1, 1),
        datetime(2000, 1, 3),
        timezones=st.sampled_from(
            [UTC, timezone(timedelta(hours=9)), timezone(timedelta(hours=-7.5))]
        ),
    ),
    st.sampled_from([datetime(2000, 1, 1), datetime(2000, 1, 1, tzinfo=UTC)]),
)
_NUMBERS = st.one_of(st.integers(-2, 5), st.sampled_from([0.5, 1.0, -1.5, math.inf]))
_RATIOS = st.one_of(
    _NUMBERS,
    st.sampled_from([1 / 3, 4 / 7, math.nextafter(1 / 3, 1), 3e-6, 1.2e-5, 10**400, -(10**400)]),
)
_VALUES = st.one_of(WORDS, _NUMBERS, st.booleans(), MOMENTS)
_BASE_NS = 946_684_800_000_000_000


#: Places, some of them at the other end of the world, at a pole, or none.
_DEGREES = st.sampled_from([0, 0.0, 1e-7, 48.8584, -48.8584, 90, -90.0, 2.2945, -177.7055, 180])
_ODD_DEGREES = st.sampled_from([None, True, "48.8584", math.inf, math.nan, 2**60, 181.0, -90.0001])
_PLACES = st.dictionaries(
    st.sampled_from(["latitude", "longitude"]), st.one_of(_DEGREES, _DEGREES, _ODD_DEGREES)
)


@st.composite
def _near(draw: st.DrawFn) -> tuple[float, float, float]:
    latitude = draw(_DEGREES.filter(lambda degrees: abs(degrees) <= 90))
    longitude = draw(_DEGREES)
    # Some of the places lie on the very rim.
    other = draw(st.tuples(_DEGREES.filter(lambda degrees: abs(degrees) <= 90), _DEGREES))
    rim = filters.distance_km((latitude, longitude), other)
    kilometres = draw(st.sampled_from([0.001, 1, 5000.0, 30_000, rim, math.nextafter(rim, 0)]))
    return latitude, longitude, kilometres if kilometres > 0 else 1.0


def drawn_records() -> st.SearchStrategy[list[Record]]:
    def build(i: int, drawn: tuple[Any, ...]) -> Record:
        folder, name, media, width, height, stamp, digest, taken_at, caption, tags = drawn[:10]
        fields = {**drawn[10], **drawn[11], **drawn[12]}
        uri = f"https://{folder}/{name}{i}" if width == 3 else f"{folder}/{name}/{i}{name}"
        return Record(
            f"id{i}", uri, stamp, digest, media, width, height, taken_at, caption, tags, fields
        )

    one = st.tuples(
        WORDS, WORDS, st.sampled_from(["", "image/jpeg", "image/png"]), st.integers(0, 4),
        st.sampled_from([0, 1, 3, 7, 2**53 + 1]),
        st.none() | st.builds(Stamp, st.integers(0, 3), st.integers(0, 2).map(
            lambda day: _BASE_NS + day * 86_400_000_000_000)),
        st.sampled_from(["", "aa", "AA"]), st.none() | MOMENTS, WORDS,
        st.lists(WORDS | st.sampled_from(_PATHS), max_size=2).map(tuple),
        st.dictionaries(st.sampled_from(["x", 'y "z"']), st.none() | _VALUES, max_size=2), _PLACES,
        st.dictionaries(st.sampled_from(["people", "colour_names", "camera_make", "camera_model"]),
                        st.sampled_from(["dog; A", "a, dog", " ; ", "dog"]) | _VALUES, max_size=2),
    )  # fmt: skip
    return st.lists(one, min_size=12, max_size=12).map(
        lambda many: [build(i, drawn) for i, drawn in enumerate(many)]
    )


def _compare() -> st.SearchStrategy[Compare]:
    patterns = st.one_of(
        WORDS, st.sampled_from(["*", "a*", "*A", "?og", "*/*", "D?G*", "*0", "**", "?", *_PATHS])
    )
    folders = st.one_of(
        WORDS, st.builds("{}/{}".format, WORDS, WORDS), st.sampled_from(["/", "/a/", "https://a"])
    )

    def of(kind: str, values: st.SearchStrategy[Any], names: list[str]) -> Any:
        def build(name: str) -> Any:
            ops = st.sampled_from(filters.OPERATORS[kind])  # type: ignore[index]
            return ops.flatmap(
                lambda op: st.builds(
                    Compare,
                    st.just(name),
                    st.just(op),
                    st.none()
                    if op == "exists"
                    else patterns
                    if op in {"glob", "contains"}
                    else st.lists(values, max_size=3).map(tuple)
                    if op == "in"
                    else values,
                )
            )

        return st.sampled_from(names).flatmap(build)

    uris = st.sampled_from(
        ["a/dog/0dog", "id0", "id5", "A", "dog", "a", "", "5dog", "image/png", "aa"]
    )
    texts = [name for name, field in filters.FIELDS.items() if field.kind == "text"]
    return st.one_of(
        of("text", st.one_of(WORDS, uris), texts),
        of("number", st.one_of(_NUMBERS, st.just(10**30)), ["width", "height", "size"]),
        of("number", _RATIOS, ["aspect", "megapixels"]),
        st.builds(Compare, st.just("location"), st.just("near"), _near()),
        st.just(Compare("location", "exists")),
        of("time", MOMENTS, ["taken_at", "mtime"]),
        of("tags", WORDS, ["tags", "person", "colour"]),
        st.builds(Compare, st.sampled_from(["uri", "folder"]), st.just("under"), folders),
        of("any", _VALUES, ["fields.x", 'fields.y "z"']),
    )


FILTERS: st.SearchStrategy[Filter] = st.recursive(
    _compare(),
    lambda inner: st.one_of(
        st.builds(Not, inner),
        st.builds(And, st.lists(inner, max_size=3).map(tuple)),
        st.builds(Or, st.lists(inner, max_size=3).map(tuple)),
    ),
    max_leaves=5,
)
