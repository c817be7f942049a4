"""Filters given as text, and example images in memory, on every method that takes them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from PIL import Image

import pixseek
from pixseek.errors import ImageError, LibraryNotFoundError, QueryError, SourceError
from pixseek.search import date_words
from pixseek.search.language import parse
from pixseek.types import Compare, Or, Query, Term

from tiny_encoder import TinyEncoder, draw


@pytest.fixture
def library(tmp_path: Path, tiny: TinyEncoder) -> Iterator[pixseek.Library]:
    for number, colour in enumerate(["red", "green", "blue"]):
        draw(tmp_path / "pictures" / f"{colour}.png", colour, number)
        with Image.open(tmp_path / "pictures" / f"{colour}.png") as image:
            image.convert("RGB").save(tmp_path / "pictures" / f"{colour}.jpg", quality=95)
    with pixseek.open(tmp_path / "photos.lib") as opened:
        opened.index(tmp_path / "pictures")
        yield opened


#: Every method with `where`, called with one; each returns the names of the images that it met.
_CALLS: dict[str, Callable[[pixseek.Library, Any], set[str]]] = {
    "search": lambda lib, where: _names(lib.search("red", where=where)),
    "search without words": lambda lib, where: _names(lib.search(where=where)),
    "query": lambda lib, where: _names(lib.search(lib.query("red", where=where))),
    "similar": lambda lib, where: _names(lib.similar(lib.path.parent / "red.bmp", where=where)),
    "search_many": lambda lib, where: _names(lib.search_many(["red"], where=where)[0]),
    "tag_zero_shot": lambda lib, where: _labelled(
        lib, lambda: lib.tag_zero_shot(["red"], where=where)
    ),
}


def _names(results: pixseek.Results) -> set[str]:
    return {hit.record.name for hit in results}


def _labelled(library: pixseek.Library, tag: Callable[[], dict[str, int]]) -> set[str]:
    looked_at = tag()[""]
    done = _names(library.search(where=Compare("fields.user.labelled", "exists")))
    assert looked_at == len(done)
    return done


@pytest.mark.parametrize("call", _CALLS.values(), ids=_CALLS)
def test_a_filter_may_be_text(library: pixseek.Library, call: Callable[..., set[str]]) -> None:
    draw(library.path.parent / "red.bmp", "red", 9)
    assert call(library, "format:jpg") == {"red.jpg", "green.jpg", "blue.jpg"}


@pytest.mark.parametrize("call", _CALLS.values(), ids=_CALLS)
@pytest.mark.parametrize(
    ("where", "words"),
    [
        ("a dog", "Only filters can stand here"),
        ("format:jpg dog", "Only filters can stand here"),
        ("-dog", "Only filters can stand here"),
        ("formt:jpg", "Did you mean 'format'"),
        (["format:jpg"], "Not a filter"),
        (7, "Not a filter"),
    ],
)
def test_invalid_filters_raise_query_error(
    library: pixseek.Library, call: Callable[..., set[str]], where: Any, words: str
) -> None:
    draw(library.path.parent / "red.bmp", "red", 9)
    with pytest.raises(QueryError, match=words):
        call(library, where)


def test_a_filter_as_text_is_the_same_as_the_filter(library: pixseek.Library) -> None:
    as_text = library.query("red", where="format:jpg (name:red* OR name:blue*)")
    parsed = as_text.where
    assert parsed == library.query("red", where=parsed).where
    both = library.query("red format:png", where="name:red*")
    assert _names(library.search(both)) == {"red.png"}
    assert library.query("red", where="").where is None
    assert isinstance(library.query("", where="name:a OR name:b").where, Or)


_pieces = st.sampled_from(
    [
        *'“”„‟«»‹›‘’‚‛＂「」『』｢｣〝〞‐‑‒–—−－﹘﹣：（）　＊２ｄ"():*-\\',
        "OR",
        "AND",
        "NOT",
        " ",
        "dog",
        "2019",
        "last",
        "summer",
        "é",
        "日本",
    ]
)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(typed=st.one_of(st.text(max_size=30), st.lists(_pieces, max_size=8).map("".join)))
def test_plain_words_are_read_as_the_language_reads_them(
    library: pixseek.Library, typed: str
) -> None:
    assume(not typed.lstrip().startswith("@"))  # a saved search
    try:
        expected = parse(typed, today=date.today())
    except QueryError:
        with pytest.raises(QueryError):
            library.query(typed)
        return
    assert library.query(typed) == expected
    assert library.query(typed, dates=False) == parse(typed)


def test_facets_of_a_text_with_a_filter(library: pixseek.Library) -> None:
    query = library.query(where="format:jpg")
    assert library.facets(query)["format"] == {"JPEG": 3}
    assert library.facets("", where="format:jpg") == library.facets(query)


def test_facets_of_a_filter_are_counted_by_the_engine(
    library: pixseek.Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = library.facets("", where="format:jpg")
    monkeypatch.setattr(library.opened.engine, "facets", lambda *_: None)
    assert library.facets("", where="format:jpg") == counted  # from the records themselves
    monkeypatch.undo()
    monkeypatch.setattr(library.opened.engine, "select", lambda *_, **__: pytest.fail("read"))
    assert library.facets("", where="format:jpg") == counted
    with pytest.raises(QueryError, match="nothing to look for"):
        library.facets(library.query("", exclude=["a dog"], where="format:jpg"))


def test_the_classifier_looks_at_what_a_text_lets_through(
    library: pixseek.Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Classifier:
        fingerprint, labels, batch_size, input_side = "f", ("red",), 8, 4

        def prepare(self, _: Any) -> np.ndarray:
            return np.zeros(1, np.float32)

        def probabilities(self, rows: np.ndarray) -> np.ndarray:
            return np.ones((len(rows), 1))

    monkeypatch.setattr("pixseek.encoders.classifiers.load", lambda *_, **__: Classifier())
    assert library.tag_from(where="format:jpg") == {"": 3, "red": 3}
    with pytest.raises(QueryError, match="Only filters"):
        library.tag_from(where="a dog")


# ------------------------------------------------------------------ dates in plain words


@pytest.fixture
def dated(tmp_path: Path, tiny: TinyEncoder) -> Iterator[pixseek.Library]:
    """A library of three pictures: red of July 2019, green of 2020, and blue without a date."""
    for number, (colour, taken) in enumerate(
        {"red": "2019:07:14 12:00:00", "green": "2020:01:01 09:00:00", "blue": ""}.items()
    ):
        draw(tmp_path / f"{colour}.png", colour, number)
        with Image.open(tmp_path / f"{colour}.png") as image:
            exif = Image.Exif()
            if taken:
                exif.get_ifd(0x8769)[0x9003] = taken
            (tmp_path / "dated").mkdir(exist_ok=True)
            image.convert("RGB").save(tmp_path / "dated" / f"{colour}.jpg", quality=95, exif=exif)
    with pixseek.open(tmp_path / "dated.lib") as opened:
        opened.index(tmp_path / "dated")
        yield opened


@pytest.mark.parametrize(
    ("text", "names", "note"),
    [
        ("july 2019", {"red.jpg"}, "“july 2019” is read as date:2019-07; in quotation marks it is"),
        ("photos of 2020", {"green.jpg"}, "“2020” is read as date:2020;"),
        ("red 2019", {"red.jpg"}, "“2019” is read as date:2019;"),
        ("red 2019 name:r*", {"red.jpg"}, "“2019” is read as date:2019;"),
        ("2019 and 2020", {"red.jpg", "green.jpg"}, "is read as date:2019 OR date:2020;"),
        ("before 2020", {"red.jpg"}, "“before 2020” is read as before:2020;"),
    ],
)
def test_dates_in_plain_words_filter(
    dated: pixseek.Library, text: str, names: set[str], note: str
) -> None:
    found = dated.search(text)
    assert _names(found) == names
    assert note in found.warnings[0]
    assert found.query.where is not None and not found.query.date_readings
    assert dated.search_many([text])[0].warnings == found.warnings
    assert dated.facets(text)["format"] == dated.facets(found.query)["format"]
    assert _names(dated.search(dated.query(text))) == names


def test_dates_that_find_nothing_are_words(dated: pixseek.Library) -> None:
    for text in ("red 1999", "red 2019 name:green*"):
        found = dated.search(text)
        assert "is searched as words: date:" in found.warnings[0]
        assert found.query == dated.query(text, dates=False)
        assert found


def test_every_word_of_a_date_is_noticed_in_plain_words(library: pixseek.Library) -> None:
    today = date.today()
    every = date_words.LAST | date_words.THIS | date_words.AGO
    for word in sorted(every | date_words.YESTERDAY | date_words.TODAY):
        for text in (word, f"{word} week", f"week {word}", f"a week {word}", f"Dog, {word}!"):
            assert library.query(text) == parse(text, today=today), text


def test_dates_in_plain_words_can_be_refused(dated: pixseek.Library) -> None:
    for query in (dated.query("red 2019", dates=False), dated.query('"red 2019"')):
        found = dated.search(query)
        assert found.query.terms == (Term("text", "red 2019"),)
        assert found.query.where is None and not found.warnings
    assert dated.search_many(["red 2019"], dates=False)[0].query.where is None
    assert sum(dated.facets("2019", dates=False)["format"].values()) != 1
    dated.save_search("red 2019", "words", dates=False)
    dated.save_search("red 2019", "filtered")
    assert dated.search("@words").query.where is None
    assert dated.search("@filtered", dates=False).query.where is None
    assert _names(dated.search("@filtered")) == {"red.jpg"}
    assert dated.query("@words green 2020").dates_as_words().terms == (
        Term("text", "red 2019"), Term("text", "green 2020"),
    )  # fmt: skip


def test_an_empty_library_says_only_that(tmp_path: Path, tiny: TinyEncoder) -> None:
    with pixseek.open(tmp_path / "empty.lib") as library:
        (warning,) = library.search("july 2019").warnings
        assert "empty" in warning
        (warning,) = library.search("width:5 name:x").warnings
        assert "empty" in warning


# ------------------------------------------------------------------ filters without images


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("year:2019 camera:nikon",
         "No image fulfils all: year:2019 lets 1 through, camera:nikon 0"),
        ("red date:2019-07 (name:green* OR name:blue*)",
         "No image fulfils all: date:2019-07 lets 1 through, "
         "(name:green* OR name:blue*) 2"),
        ("red -has:date year:2020", ", year:2020 1"),
        ("red camera:nikon", "No image fulfils camera:nikon"),
        (" ".join(f"width:{n}" for n in range(1, 12)),
         "width:1 lets 0 through, width:2 0, width:3 0, width:4 0, width:5 0, "
         "width:6 0, width:7 0, width:8 0, and 3 more"),
    ],
)  # fmt: skip
def test_a_filter_without_images_says_what_each_part_lets_through(
    dated: pixseek.Library, text: str, note: str
) -> None:
    found = dated.search(text)
    assert not found
    assert note in found.warnings[-1]
    assert not dated.search("red year:2019").warnings


# ------------------------------------------------------------------ images in memory


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.array(image.convert("RGB"))


@pytest.mark.parametrize("kind", ["array", "view", "picture", "grey picture"])
def test_an_image_in_memory_is_an_example(library: pixseek.Library, kind: str) -> None:
    array = pixels(library.path.parent / "pictures" / "blue.png")
    example: Any = array
    if kind == "view":
        example = np.asfortranarray(array)[:, ::-1][:, ::-1]
    elif kind == "picture":
        example = Image.fromarray(array)
    elif kind == "grey picture":
        assert library.search(image=Image.fromarray(array).convert("L"), k=1)
        return
    assert library.search(image=example, k=1)[0].record.name == "blue.png"
    assert library.search(image=example, k=1)[0].score == pytest.approx(1, abs=1e-3)
    assert library.similar(example, k=1)[0].record.name == "blue.png"
    (guesses,) = library.classify(example, labels=["red", "blue"], templates=["{}"], k=1)
    assert guesses[0].label == "blue"
    many = library.search_many([Query((Term("image", example),), k=1)])
    assert many[0][0].record.name == "blue.png"
    region = library.search(image=example, region=pixseek.types.Region(0, 0, 0.5, 1), k=1)
    assert "blue" in region[0].record.name


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (np.zeros((4, 4), np.uint8), r"uint8, shape \(4, 4\)"),
        (np.zeros((4, 4, 4), np.uint8), r"uint8, shape \(4, 4, 4\)"),
        (np.zeros((3, 4, 4), np.uint8), r"uint8, shape \(3, 4, 4\)"),
        (np.zeros((0, 4, 3), np.uint8), r"uint8, shape \(0, 4, 3\)"),
        (np.zeros((4, 4, 3), np.float32), "an array of float32"),
        (np.zeros((4, 4, 3), np.int64), "an array of int64"),
        (b"\x89PNG", "builtins.bytes"),
        ([[[0, 0, 0]]], "builtins.list"),
        (7, "builtins.int"),
    ],
)
def test_other_values_are_not_images(library: pixseek.Library, image: Any, words: str) -> None:
    for ask in (
        lambda: library.search(image=image),
        lambda: library.similar(image),
        lambda: library.classify(image, labels=["red"]),
        lambda: library.search(Query((Term("image", image),))),
    ):
        with pytest.raises(QueryError, match=words) as caught:
            ask()
        assert "numpy array (height, width, 3) of uint8" in str(caught.value)


def test_a_picture_whose_file_is_broken_can_not_be_read(
    library: pixseek.Library, tmp_path: Path
) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (200, 200, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "cut.png")
    whole = (tmp_path / "cut.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    with (
        Image.open(tmp_path / "cut.png") as image,
        pytest.raises(ImageError, match="can't be read"),
    ):
        library.search(image=image)


@pytest.mark.parametrize(
    "name", ["~nobody-has-this-name/1.png", "a" * 400, "\udcff.png", "a\0b.png"]
)
def test_names_of_no_file_are_query_errors_everywhere(library: pixseek.Library, name: str) -> None:
    for call in (
        lambda: library.search(image=name),
        lambda: library.similar(name),
        lambda: library.classify(name, labels=["red", "blue"]),
        lambda: library.tag(name, add="x"),
        lambda: library.remove(name),
    ):
        with pytest.raises(QueryError):
            call()
    assert library.find(name) is None
    with pytest.raises(SourceError):
        library.import_vectors(name)
    with pytest.raises(LibraryNotFoundError):
        pixseek.open(name, create=False)


#: Every question that needs the model in a library with images.
_ASKS: dict[str, Callable[[pixseek.Library], Any]] = {
    "search": lambda lib: list(lib.search("red")),
    "search by image": lambda lib: list(lib.search(image=lib.path.parent / "red.png")),
    "search_many": lambda lib: [hit for each in lib.search_many(["red"] * 2) for hit in each],
    "similar": lambda lib: list(lib.similar(lib.path.parent / "red.png")),
    "facets": lambda lib: [count for counts in lib.facets("red").values() for count in counts],
    "duplicates": lambda lib: lib.duplicates(),
    "tag_zero_shot": lambda lib: [n for n in lib.tag_zero_shot(["red"]).values() if n],
    "tag_from": lambda lib: [n for n in lib.tag_from().values() if n],
}


@pytest.mark.parametrize("emptied", [False, True], ids=["new", "emptied"])
@pytest.mark.parametrize("ask", _ASKS.values(), ids=_ASKS)
def test_an_empty_library_loads_no_model(
    tmp_path: Path,
    tiny: TinyEncoder,
    monkeypatch: pytest.MonkeyPatch,
    ask: Callable[[pixseek.Library], Any],
    emptied: bool,
) -> None:
    del tiny
    draw(tmp_path / "red.png", "red")
    with pixseek.open(tmp_path / "lib") as library:
        if emptied:
            library.index(tmp_path / "red.png")
            library.remove_everything()

    def load(*_: object, **__: object) -> None:
        raise AssertionError("a model was loaded")

    monkeypatch.setattr("pixseek.encoders.load", load)
    monkeypatch.setattr("pixseek.encoders.classifiers.load", load)
    with pixseek.open(tmp_path / "lib") as library:
        assert ask(library) == []


def test_results_from_an_empty_library_say_so(tmp_path: Path) -> None:
    with pixseek.open(tmp_path / "lib") as library:
        found = library.search("red", k=3)
        assert (list(found), found.query.k, found.total) == ([], 3, 0)
        assert "empty" in found.warnings[0] and "pixseek index" in found.warnings[0]
        assert set(found.took_ms) == {"encode", "search", "total"}
        assert found.model
        with pytest.raises(QueryError):
            library.search("red", k=0)
        with pytest.raises(QueryError):
            library.search()
