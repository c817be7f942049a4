"""A library gives the same hits whichever engine keeps its records."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import pixseek
from pixseek.engines.memory import MemoryStore
from pixseek.errors import ModelError
from pixseek.types import Compare, Not, Query, Term

from tiny_encoder import COLOURS, TinyEncoder, draw

_NAMES = itertools.count()


@pytest.fixture
def pictures(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """Pictures in five colours, 180 if no test says otherwise, and copies of 20 of them."""
    folder = tmp_path / "pictures"
    for n, colour in zip(
        range(getattr(request, "param", 180)), itertools.cycle(COLOURS), strict=False
    ):
        path = folder / f"album{n % 7}" / f"{colour}-{n:03}.png"
        draw(path, colour, n, size=(40 + n % 5, 30))
        if n < 20:
            (folder / f"copy-{path.name}").write_bytes(path.read_bytes())
    return folder


@pytest.fixture
def libraries(
    tmp_path: Path, pictures: Path, tiny: TinyEncoder
) -> Iterator[tuple[pixseek.Library, pixseek.Library]]:
    embedded = pixseek.open(tmp_path / "embedded.lib")
    memory = pixseek.open(tmp_path / "memory.lib", engine=f"memory://hits-{next(_NAMES)}")
    with embedded, memory:
        for library in (embedded, memory):
            library.index(pictures)
        yield embedded, memory


def assert_alike(
    libraries: tuple[pixseek.Library, pixseek.Library], *args: Any, **kwargs: Any
) -> None:
    """Check that both libraries answer a search by the same hits, in the same order."""
    found, expected = (library.search(*args, **kwargs).hits for library in libraries)
    assert expected
    told = [[(h.uri, h.part, h.duplicates, h.path) for h in hits] for hits in (found, expected)]
    assert told[0] == told[1]
    numbers = [
        [n for h in hits for n in (h.score, *(w.deviations for w in h.why))]
        for hits in (found, expected)
    ]
    assert numbers[0] == pytest.approx(numbers[1], abs=1e-6)


def test_a_library_in_memory_gives_the_hits_of_the_embedded_engine(
    libraries: tuple[pixseek.Library, pixseek.Library], pictures: Path
) -> None:
    embedded, memory = libraries
    assert len(embedded) == len(memory) == 200
    wide = Compare("width", "ge", 43)
    asked: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
        *(((colour,), {"k": 30}) for colour in COLOURS),
        (("green",), {"k": 5, "where": wide}),
        (("green",), {"k": 200, "where": Not(Compare("folder", "glob", "album[1-3]*"))}),
        ((Query((Term("text", "red"), Term("text", "white", -0.5)), k=20),), {}),
        ((Query((Term("text", "red"),), (Term("text", "white"),), k=20),), {}),
        ((Query((), where=wide, k=50, sort="name"),), {}),
        ((Query((), where=wide, k=50, offset=10, sort="largest"),), {}),
        ((Query((Term("text", "black"),), k=20, group=True),), {}),
        ((Query((Term("text", "white"),), k=20, variety=0.5),), {}),
    ]
    for args, kwargs in asked:
        assert_alike(libraries, *args, **kwargs)
    assert_alike(libraries, image=next(pictures.rglob("blue-*.png")), k=20)
    for query in (Query((), where=wide), Query((Term("text", "red"),))):
        assert memory.facets(query) == embedded.facets(query)
    assert memory.duplicates() == embedded.duplicates()


@pytest.mark.parametrize("pictures", [50], indirect=True)
def test_changes_are_seen_alike(
    libraries: tuple[pixseek.Library, pixseek.Library], pictures: Path
) -> None:
    moved = next(pictures.rglob("red-*.png"))
    moved.rename(moved.with_name("moved.png"))
    next(pictures.rglob("green-*.png")).unlink()
    draw(pictures / "new.png", "white", 999)
    reports = [library.index(pictures) for library in libraries]
    seen = [
        (report.added, report.moved, report.removed, len(library))
        for report, library in zip(reports, libraries, strict=True)
    ]
    assert seen[0] == seen[1]
    for library in libraries:
        hit = library.search("white", k=1).hits[0]
        library.tag([hit.id], add=["lake"])
    tagged = Query((), where=Compare("tags", "contains", "lake"))
    assert_alike(libraries, tagged)
    assert len(libraries[1].search(tagged)) == 1


@pytest.mark.parametrize("pictures", [50], indirect=True)
def test_an_engine_with_a_limit_answers_as_well(
    libraries: tuple[pixseek.Library, pixseek.Library], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As servers do that return at most 400 or 10,000 rows."""
    embedded, memory = libraries
    limited = replace(memory.opened.engine.capabilities, max_k=20)
    monkeypatch.setattr(memory.opened.engine, "capabilities", limited)
    for where in (None, Not(Compare("folder", "glob", "*3"))):
        query = Query((Term("text", "green"),), where=where, k=8)
        found, expected = (library.search(query).hits for library in (memory, embedded))
        assert [hit.uri for hit in found] == [hit.uri for hit in expected]
    for query in (
        Query((Term("text", "red"),), (Term("text", "white"),), k=8),
        Query((Term("text", "black"),), k=8, group=True),
    ):
        assert memory.search(query).hits
    assert memory.facets(query)["format"]
    assert memory.similar(found[0].id, k=5).hits


def test_more_hits_than_an_engine_ranks_come_with_a_warning(
    libraries: tuple[pixseek.Library, pixseek.Library], monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = libraries[1]
    limited = replace(memory.opened.engine.capabilities, max_k=20)
    monkeypatch.setattr(memory.opened.engine, "capabilities", limited)
    green = Query((Term("text", "green"),), text_weight=0)
    few = Compare("name", "glob", "*0.png")  # 18 and their 2 copies
    for query, most in (
        (replace(green, k=30), 20),
        (replace(green, k=5, offset=18), 20),
        (replace(green, k=20), None),
        (replace(green, k=30, where=few), None),
    ):
        warnings = [each for each in memory.search(query).warnings if "at most" in each]
        assert len(warnings) == bool(most), (query, warnings)


@pytest.mark.parametrize("tiles", [(1, 1), (2, 2)])
def test_labels_are_given_to_more_images_than_an_engine_ranks(
    libraries: tuple[pixseek.Library, pixseek.Library],
    monkeypatch: pytest.MonkeyPatch,
    tiles: tuple[int, int],
) -> None:
    embedded, memory = libraries
    for library in libraries:
        if tiles != (1, 1):
            library.index(tiles=tiles)
    limited = replace(memory.opened.engine.capabilities, max_k=10)
    monkeypatch.setattr(memory.opened.engine, "capabilities", limited)
    for where in (None, Not(Compare("folder", "glob", "*3"))):
        found, expected = (
            library.tag_zero_shot(["green", "red"], where=where, again=True)
            for library in (memory, embedded)
        )
        assert found == expected
        assert found["green"] > 10


def test_a_model_whose_texts_the_server_embeds_is_read_for_images_alone(
    tmp_path: Path, pictures: Path, tiny: TinyEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = TinyEncoder()
    other.fingerprint = "another"
    loads: list[str] = []
    read = [tiny]

    def load(name: str, **_: Any) -> TinyEncoder:
        loads.append(name)
        return read[0]

    monkeypatch.setattr("pixseek.encoders.load", load)
    monkeypatch.setattr(MemoryStore, "text_model", "clip-text", raising=False)
    monkeypatch.setattr(
        MemoryStore, "embed_texts", lambda _, texts: tiny.encode_texts(texts), raising=False
    )
    address = f"memory://far-{next(_NAMES)}"
    with pixseek.open(tmp_path / "a.lib", "clip-b16-openai", engine=address) as library:
        library.index(pictures)
    loads.clear()
    for n, encoder in enumerate((tiny, other)):
        read[0] = encoder
        with pixseek.open(tmp_path / f"{n}.lib", engine=address, offline=True) as library:
            found = library.search("green", k=3)
            assert [hit.uri.split("/")[-1][:5] for hit in found] == ["green"] * 3
            assert not loads
            example = next(pictures.rglob("green*"))
            if encoder is tiny:
                assert library.search(image=example, k=1)
            else:
                with pytest.raises(ModelError, match="made by another model"):
                    library.search(image=example, k=1)
            assert len(loads) == 1
            loads.clear()
    with (
        pixseek.open(tmp_path / "c.lib", "clip-b32-openai", engine=address) as library,
        pytest.raises(ModelError, match="made by another model"),
    ):
        library.search("green")


def test_the_model_of_what_another_machine_indexed_is_that_of_its_vectors(
    tmp_path: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = f"memory://far-{next(_NAMES)}"
    asked: list[str] = []
    monkeypatch.setenv("PIXSEEK_MODEL", "clip-b16-openai")

    def load(name: str, **_: Any) -> TinyEncoder:
        asked.append(name)
        return TinyEncoder(name)

    monkeypatch.setattr("pixseek.encoders.load", load)
    with pixseek.open(tmp_path / "a.lib", "demo", engine=address) as library:
        library.index(pictures)
    with pixseek.open(tmp_path / "b.lib", engine=address) as library:
        asked.clear()
        assert library.model == "demo"
        assert library.search("green", k=1)
        library.index(pictures)
        assert set(asked) == {"demo"}
    named = f"memory://far-{next(_NAMES)}"
    with pixseek.open(tmp_path / "c.lib", "my-folder", engine=named) as library:
        library.index(pictures)
    with pixseek.open(tmp_path / "d.lib", engine=named) as library:
        # Its name is that of a folder elsewhere; the settings may know which one it is here.
        assert library.model == "clip-b16-openai"


def test_texts_are_embedded_by_the_model_of_the_server(
    tmp_path: Path, pictures: Path, tiny: TinyEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the engine has one: it is compared with the own text tower before images are stored."""
    asked: list[str] = []

    def embed_texts(self: MemoryStore, texts: Sequence[str]) -> Any:
        asked.extend(texts)
        return TinyEncoder().encode_texts(texts)

    def of_another_space(self: MemoryStore, texts: Sequence[str]) -> Any:
        return -TinyEncoder().encode_texts(texts)

    def shorter(self: MemoryStore, texts: Sequence[str]) -> Any:
        return TinyEncoder().encode_texts(texts)[:, :40]

    monkeypatch.setattr(MemoryStore, "text_model", "clip-text", raising=False)
    monkeypatch.setattr(MemoryStore, "embed_texts", embed_texts, raising=False)
    address = f"memory://texts-{next(_NAMES)}"
    with pixseek.open(tmp_path / "a.lib", engine=address) as library:
        library.index(pictures)
        found = library.search("green", k=3)
        assert "green" in asked
        assert [hit.uri.split("/")[-1][:5] for hit in found] == ["green"] * 3
    for wrong, said in (
        (of_another_space, "clip-text and tiny: mean cosine -1.00"),
        (shorter, "clip-text: 40, not 48"),
    ):
        monkeypatch.setattr(MemoryStore, "embed_texts", wrong, raising=False)
        with (
            pixseek.open(
                tmp_path / f"{wrong.__name__}.lib", engine=f"{address}-{said[-2:]}"
            ) as bad,
            pytest.raises(ModelError, match=said),
        ):
            bad.index(pictures)


def test_the_text_tower_that_one_machine_chose_is_that_of_others(
    tmp_path: Path, pictures: Path, tiny: TinyEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    class German(TinyEncoder):
        def _row(self, text: str) -> Any:
            return super()._row({"grün": "green"}.get(text, text))

    german = German("someone/german")
    monkeypatch.setattr(
        "pixseek.encoders.load", lambda name, **_: german if "german" in str(name) else tiny
    )

    def found(library: pixseek.Library) -> set[str]:
        return {hit.uri.split("/")[-1][:5] for hit in library.search("grün", k=3)}

    address = f"memory://towers-{next(_NAMES)}"
    with pixseek.open(tmp_path / "a.lib", engine=address) as one:
        one.index(pictures)
        with pixseek.open(tmp_path / "b.lib", engine=address) as other:
            assert found(other) != {"green"}
        one.reindex(text_model="someone/german")
        assert found(one) == {"green"}
        with pixseek.open(tmp_path / "b.lib", engine=address) as other:
            assert other.text_model == "someone/german"
            assert found(other) == {"green"}
            other.reindex(text_model="")
        with pixseek.open(tmp_path / "a.lib") as one_again:
            assert one_again.text_model == ""
            assert found(one_again) != {"green"}
            one_again.reindex(text_model=str(tmp_path / "german"))
        with pixseek.open(tmp_path / "c.lib", engine=address) as third:
            assert third.text_model == ""  # no such folder on this machine
