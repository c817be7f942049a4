"""Vectors as queries: what they stand for, with and without a model."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import pixseek
from pixseek.errors import ModelError, QueryError
from pixseek.search import term_vectors
from pixseek.search.query_json import query_from_plain, query_to_plain
from pixseek.types import Query, Region, Term

from tiny_encoder import TinyEncoder, draw


@pytest.fixture
def library(tmp_path: Path, tiny: TinyEncoder) -> Iterator[pixseek.Library]:
    """A library of 24 images, of three colours and of noise."""
    for n in range(24):
        draw(tmp_path / "photos" / f"{n:02}.png", ("red", "green", "blue")[n % 3], seed=n)
    with pixseek.open(tmp_path / "a.lib", model="demo") as opened:
        opened.index(tmp_path / "photos")
        yield opened


def answer(results: pixseek.Results) -> list[tuple[str, float, Any]]:
    return [(hit.record.id, hit.score, hit.strength) for hit in results]


def test_a_vector_of_a_text_is_judged_like_the_text(
    library: pixseek.Library, tiny: TinyEncoder
) -> None:
    (vector,) = tiny.encode_texts(["red"])
    words = Query((Term("text", "red"),), text_weight=0)
    given = Query((Term("vector", vector, of="text"),), text_weight=0)
    of_image = Query((Term("vector", vector),), text_weight=0)
    assert Term("text", "red").is_of_text and given.terms[0].is_of_text
    assert not of_image.terms[0].is_of_text
    by_words, by_vector, by_image = library.search_many([words, given, of_image])
    assert [hit.why[0].deviations for hit in by_vector] == pytest.approx(
        [hit.why[0].deviations for hit in by_words]
    )
    assert answer(by_vector) == answer(by_words)
    assert by_vector.strong == by_words.strong
    assert [hit.why[0].deviations for hit in by_image] != pytest.approx(
        [hit.why[0].deviations for hit in by_words]
    )
    assert answer(library.search(vector=vector, vector_of="text")) == answer(by_vector)
    # Excluding it takes away the same.
    (green,) = tiny.encode_texts(["green"])
    left = [
        [hit.record.id for hit in library.search(Query(words.terms, exclude=(term,), k=24))]
        for term in (Term("text", "green"), Term("vector", green, of="text"))
    ]
    assert left[0] == left[1]


def test_what_a_vector_is_of_is_kept_in_json() -> None:
    query = Query(
        (Term("vector", (0.5, 0.5), 2.0, of="text"), Term("vector", (1.0, 0.0))),
        exclude=(Term("text", "a", alternatives=(Term("vector", (0.0, 1.0), of="text"),)),),
    )
    plain = query_to_plain(query)
    assert [each["of"] for each in plain["terms"]] == ["text", "image"]
    assert query_from_plain(plain) == query
    short = query_from_plain({"terms": [{"kind": "vector", "value": [1, 0]}]})
    assert short.terms == (Term("vector", (1, 0), of="image"),)


@pytest.mark.parametrize(
    ("term", "wrong"),
    [
        ({"kind": "vector", "value": [1], "of": "sound"}, "Wrong value for of"),
        ({"kind": "vector", "value": [1], "of": 5}, "Wrong value for of"),
        ({"kind": "text", "value": "a", "of": "text"}, "Wrong value for of"),
        ({"kind": "text", "value": "a", "alternatives": "b"}, "Wrong value for alternatives"),
        (
            {"kind": "text", "value": "a", "alternatives": [{"alternatives": []}]},
            "Unknown name in a query: alternatives",
        ),
    ],
)
def test_wrong_terms_in_json_raise_query_error(term: dict[str, Any], wrong: str) -> None:
    with pytest.raises(QueryError, match=wrong):
        query_from_plain({"terms": [term]})


@pytest.mark.parametrize(
    "vector", [[1.0] * 47, [0.0] * 48, [float("nan")] * 48, np.ones((2, 48)), "red", [None] * 48]
)
def test_what_is_no_vector_of_the_space_raises_query_error(
    library: pixseek.Library, vector: Any
) -> None:
    with pytest.raises(QueryError, match="can't be searched with") as error:
        library.search(vector=vector)
    assert "48 finite numbers" in error.value.advice


def test_one_row_is_a_vector(library: pixseek.Library, tiny: TinyEncoder) -> None:
    rows = tiny.encode_texts(["blue"])
    assert answer(library.search(vector=rows)) == answer(library.search(vector=rows[0]))
    assert answer(library.similar(rows[0])) == answer(library.search(vector=rows[0]))


# ------------------------------------------------------------------ without a model


@pytest.fixture
def without_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[pixseek.Library]:
    """A library of vectors whose model is not here: 5 of 300 images show one thing.

    Vectors of images lie in a narrow cone, and those of texts in another, as those of CLIP do.
    """

    def load(name: str, **_: object) -> None:
        raise ModelError("unknown model", name, "Known models: none.")

    monkeypatch.setattr("pixseek.encoders.load", load)
    rows = np.random.default_rng(0).normal(size=(300, 64)).astype(np.float32)
    rows[:, 0] += 12
    rows[:5] += 4 * _shown()
    np.savez(tmp_path / "v.npz", uri=[f"{n:03}.jpg" for n in range(300)], vectors=rows)
    with pixseek.open(tmp_path / "new.lib") as opened:
        opened.import_vectors(tmp_path / "v.npz", name="our-clip")
        yield opened


def _shown() -> Any:
    shown = np.zeros(64, np.float32)
    shown[5:14] = 1.0
    return shown


def test_vectors_are_searched_without_a_model(without_model: pixseek.Library) -> None:
    text = _shown() * 2
    text[1] = 10.0
    found = without_model.search(vector=text, vector_of="text", k=20)
    assert {hit.record.uri for hit in found.hits[:5]} == {f"{n:03}.jpg" for n in range(5)}
    assert 3 <= found.likely <= 7
    ordered = without_model.search(vector=text, vector_of="text", sort="name")
    names = [hit.record.uri for hit in ordered]
    assert len(names) == found.likely and names == sorted(names)
    assert set(names) <= {hit.record.uri for hit in found.hits}
    # What nothing shows finds nothing strong.
    nothing = np.zeros(64, np.float32)
    nothing[[1, 40]] = 10.0, 0.5
    assert without_model.search(vector=nothing, vector_of="text").strong == 0
    one = without_model.similar(found.hits[0].record.id)
    assert len(one) == 10
    with pytest.raises(ModelError, match="not on this machine"):
        without_model.search("a dog")


def test_no_model_is_downloaded_for_a_vector(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(name: str, **_: object) -> None:
        raise AssertionError(f"{name} was to be loaded")

    rows = np.random.default_rng(0).normal(size=(20, 512)).astype(np.float32)
    np.savez(tmp_path / "v.npz", uri=[f"{n}.jpg" for n in range(20)], vectors=rows)
    with pixseek.open(tmp_path / "new.lib") as library:
        library.import_vectors(tmp_path / "v.npz", name="clip-b32-openai")
        monkeypatch.setattr("pixseek.encoders.load", load)
        for of in ("image", "text"):
            found = library.search(vector=rows[3], vector_of=of)  # type: ignore[arg-type]
            assert found.hits[0].record.uri == "3.jpg"


def test_a_background_of_texts_that_was_kept_is_used_without_the_model(
    library: pixseek.Library, tiny: TinyEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    (vector,) = tiny.encode_texts(["red"])
    before = library.search(vector=vector, vector_of="text")
    monkeypatch.setattr("pixseek.encoders.locate", lambda *_: None)
    monkeypatch.setattr("pixseek.encoders.load", lambda *_, **__: pytest.fail("it was loaded"))
    with pixseek.open(library.path, model=None) as again:
        assert answer(again.search(vector=vector, vector_of="text")) == answer(before)


class _Counting(TinyEncoder):
    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.images = 0

    def encode_texts(self, texts: Sequence[str]) -> Any:
        self.texts += texts
        return super().encode_texts(texts)

    def encode_images(self, batch: Any) -> Any:
        self.images += len(batch)
        return super().encode_images(batch)


def test_equal_terms_are_embedded_once(library: pixseek.Library, tmp_path: Path) -> None:
    draw(tmp_path / "x.png", "red", seed=1)
    encoder = _Counting()
    one, other = Term("text", "a red one"), Term("image", str(tmp_path / "x.png"))
    cut = replace(other, region=Region(0, 0, 0.5, 0.5))
    terms = [one, other, one, replace(one, weight=2), cut, other, cut]
    rows = term_vectors.embed(
        terms,
        engine=library.opened.engine,
        encoder=lambda: encoder,
        texts_of=term_vectors.TextCache(),
        picture_of=lambda _: None,
        fetch=lambda _: b"",
    )
    assert encoder.texts == ["a red one"]
    assert encoder.images == 2
    assert all(np.array_equal(rows[0], rows[n]) for n in (2, 3))
    assert np.array_equal(rows[1], rows[5]) and np.array_equal(rows[4], rows[6])


def test_texts_are_known_for_as_long_as_the_encoder_and_only_so_many() -> None:
    encoder, cache = _Counting(), term_vectors.TextCache(most=2)
    first = cache.vectors(["red one", "blue one", "red one"], encoder)
    assert np.array_equal(first[0], first[2])
    assert encoder.texts == ["red one", "blue one"]
    again = cache.vectors(["blue one", "red one"], encoder)
    assert np.array_equal(again[0], first[1])
    assert len(encoder.texts) == 2
    cache.vectors(["green one"], encoder)  # "blue one" was asked for before "red one"
    cache.vectors(["red one"], encoder)
    assert len(encoder.texts) == 3
    cache.vectors(["blue one"], encoder)
    assert len(encoder.texts) == 4
    other = _Counting()
    cache.vectors(["blue one"], other)
    assert other.texts == ["blue one"]


@pytest.mark.parametrize(
    "terms",
    [
        tuple(Term("text", f"red {n}") for n in range(65)),
        (Term("text", "red", alternatives=tuple(Term("text", f"{n}") for n in range(64))),),
        (Term("text", "a" * 10_001),),
        (Term("text", "red"), Term("text", "blue", float("nan"))),
        (Term("text", "red", float("inf")),),
    ],
)
def test_what_is_too_much_or_not_a_number_raises_query_error(
    library: pixseek.Library, terms: tuple[Term, ...]
) -> None:
    for query in (Query(terms), Query((Term("text", "red"),), exclude=terms)):
        with pytest.raises(QueryError) as caught:
            library.search(query)
        assert caught.value.subject and caught.value.advice


def test_any_number_of_ids_may_be_liked(library: pixseek.Library) -> None:
    ids = [hit.record.id for hit in library.search(where="format:png", k=24)]
    query = Query((Term("text", "red"),)).refined(liked=ids * 4)
    assert len(query.terms) > 64
    assert library.search(query).total == 24


@pytest.mark.parametrize("sides", [(60, 40), (900, 600)])
@pytest.mark.parametrize("says", ["exif", "sidecar", "nothing"])
@pytest.mark.parametrize("is_away", [False, True])
def test_a_part_of_an_image_is_cut_out_as_it_is_shown(
    tmp_path: Path, tiny: TinyEncoder, sides: tuple[int, int], says: str, is_away: bool
) -> None:
    """Red is left in the file; turned clockwise it is at the top."""
    folder = tmp_path / "photos"
    for colour in ("red", "blue"):
        draw(folder / f"{colour}.png", colour, seed=1)
    stored = Image.new("RGB", sides, "red")
    stored.paste("blue", (sides[0] // 2, 0, *sides))
    exif = Image.Exif()
    if says == "exif":
        exif[0x0112] = 6
    stored.save(folder / "both.png", exif=exif)
    if says == "sidecar":
        lies = {"caption": "two", "exif": json.dumps({"Image Orientation": "Rotated 90 CW"})}
        (folder / "both.json").write_text(json.dumps(lies))
    with pixseek.open(tmp_path / "b.lib", model="demo") as library:
        library.index(folder)
        both = library.find(folder / "both.png")
        if is_away:
            (folder / "both.png").unlink()
        wide, high = both.width, both.height
        assert (wide > high) == (says == "nothing")
        halves = (
            {"red": (0, 0, 0.5, 1), "blue": (0.5, 0, 0.5, 1)}
            if says == "nothing"
            else {"red": (0, 0, 1, 0.5), "blue": (0, 0.5, 1, 0.5)}
        )
        for colour, half in halves.items():
            x, y, across, down = half
            in_pixels = (x * wide, y * high, max(2, across * wide), max(2, down * high))
            for part in (half, in_pixels):
                text = f"id:{both.id}@{','.join(f'{each:g}' for each in part)}"
                first = next(hit for hit in library.search(text) if hit.id != both.id)
                assert first.record.name == f"{colour}.png", text
