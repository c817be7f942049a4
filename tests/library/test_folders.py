"""Folders as people type them: a root's name, nested paths, and places on this machine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

import pixseek
from pixseek.demo.picture_library import write_picture_library
from pixseek.search import facets
from pixseek.types import Query, Record

from tiny_encoder import TinyEncoder, draw

_FILES = (
    "Pictures/a.png", "Pictures/2021/b.png", "Pictures/2021/U\u0308bung/c.png", "Desktop/d.png",
    "Desktop/Pictures/e.png", "Desktop/Pictures/2021/f.png", "2021/g.png",
)  # fmt: skip


@pytest.fixture
def library(tmp_path: Path, tiny: TinyEncoder) -> Iterator[pixseek.Library]:
    for number, name in enumerate(_FILES):
        draw(tmp_path / "home" / name, "red", number)
    with pixseek.open(tmp_path / "photos.lib") as opened:
        opened.index(*(tmp_path / "home" / name for name in ("Pictures", "Desktop", "2021")))
        yield opened


def names(library: pixseek.Library, query: str) -> str:
    return "".join(sorted(hit.record.name[0] for hit in library.search(query, k=100)))


@pytest.mark.parametrize(
    ("folder", "found"),
    [
        ("Pictures", "abc"), ("pictures/", "abc"), ("Pictures/2021", "bc"), ("Desktop", "def"),
        ("Desktop/Pictures", "ef"), ("2021", "g"), ("2021/Übung", ""), ("Übung", ""),
        ("Pictures/2021/Übung", "c"), ("PICTURES/2021/u\u0308bung", "c"), ("desk", ""),
        ("~/Pictures", "abc"), ("~", "abcdefg"), ("~/Desktop/Pictures/2021", "f"),
        ("HOME/Pictures/2021", "bc"), ("HOME", "abcdefg"), ("HOME/Pictures/2021/Übung", "c"),
        ("./Pictures", "abc"), (".", "abcdefg"), ("HOME/link/2021", "bc"), ("HOME/nothing", ""),
        ("HOME/Pictures/../Desktop", "def"), ("Pict*", "abcef"), ("*/Pictures", "ef"),
    ],
)  # fmt: skip
def test_a_folder_finds_all_below_it(
    library: pixseek.Library, folder: str, found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = library.path.parent / "home"
    (home / "link").symlink_to(home / "Pictures")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(home)
    typed = folder.replace("HOME", str(home))
    for query in (f"folder:{typed}", f'folder:"{typed}"', f'red folder:"{typed}"'):
        assert names(library, query) == found
    assert names(library, f'-folder:"{typed}"') == "".join(sorted({*"abcdefg"} - {*found}))
    # What was asked is shown as it was typed.
    assert library.search(f'folder:"{typed}"').query == library.query(f'folder:"{typed}"')


def test_a_folder_below_any_root_is_found_unless_a_root_has_its_name(
    tmp_path: Path, tiny: TinyEncoder
) -> None:
    for number, name in enumerate(("one/2021/a.png", "two/2021/deep/b.png")):
        draw(tmp_path / name, "red", number)
    with pixseek.open(tmp_path / "photos.lib") as library:
        library.index(tmp_path / "one", tmp_path / "two")
        assert names(library, "folder:2021") == "ab"
        assert names(library, "folder:2021/deep") == "b"
        assert names(library, "folder:/2021/") == "ab"
        draw(tmp_path / "2021" / "c.png", "red", 3)
        library.index(tmp_path / "2021")
        assert names(library, "folder:2021") == "c"
        assert names(library, "folder:one/2021") == "a"


def test_names_are_found_in_either_normal_form(tmp_path: Path, tiny: TinyEncoder) -> None:
    mac, pc = "U\u0308bung/Zoe\u0308.png", "Übung/Zoë.png"
    draw(tmp_path / "a" / mac, "red", 1)
    with pixseek.open(tmp_path / "photos.lib") as library:
        assert library.index(tmp_path / "a" / "Übung").added == 1  # typed otherwise
        (record,) = library.search("width:>0")
        assert record.uri == mac
        for form in (mac, pc):
            path = tmp_path / "a" / form
            found = library.find(path)
            assert found is not None and found.id == record.id
            assert [hit.id for hit in library.search(f'folder:"{path.parent}"')] == [record.id]
            assert [hit.id for hit in library.search(f'name:="{path.name}"')] == [record.id]
            assert library.similar(path, k=1).query.terms[0].value == record.id
            assert len(library.search(f'image:"{path}"')) == 1
        # Also when the drive is not there.
        (tmp_path / "a").rename(tmp_path / "away")
        for form in (mac, pc):
            assert library.find(tmp_path / "a" / form) is not None
        assert library.remove(tmp_path / "a" / pc) == 1


def test_ids_are_found_in_either_normal_form(tmp_path: Path, tiny: TinyEncoder) -> None:
    draw(tmp_path / "a" / "x.png", "red", 1)
    with pixseek.open(tmp_path / "photos.lib") as library:
        library.index(tmp_path / "a")
        vector = library.vectors(library.search("width:>0")[0].id)
        assert vector is not None
        library.opened.engine.put([Record("Zoe\u0308", "shop/1")], vector)  # as `import` does
        for id_ in ("Zoë", "Zoe\u0308"):
            assert library.search(f'id:"{id_}"').query.terms[0].value == id_
            found = library.find(id_)
            assert found is not None and found.uri == "shop/1"


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["folders", "demo", "shared"])
def test_facets_of_a_library_can_be_typed_back(
    kind: str, tmp_path: Path, tiny: TinyEncoder, request: pytest.FixtureRequest
) -> None:
    pictures = tmp_path / "demo"
    if kind == "folders":
        for number, name in enumerate(_FILES):
            draw(tmp_path / "home" / name, "red", number)
        places = [tmp_path / "home" / name for name in ("Pictures", "Desktop", "2021")]
    elif kind == "demo":
        write_picture_library(pictures, 40)
        (pictures / "odd").mkdir()
        draw(pictures / "odd" / "Zoë (1) - 'x'.png", "blue", 1)
        said = {"tags": ["Nature|Birds|Owl", "AC/DC", "who?"], "people": ["Ann Lee", "Zoë"]}
        (pictures / "odd" / "Zoë (1) - 'x'.png.json").write_text(json.dumps(said))
        places = [pictures]
    else:
        images = request.getfixturevalue("shared") / "images"
        places = [images / "camera", images / "odd"]
    with pixseek.open(tmp_path / "photos.lib") as library:
        library.index(*places)
        everything = library.facets("width:>0", most=1000)
        assert everything["folder"] and everything["year"]
        for field, counts in everything.items():
            for value, count in counts.items():
                text = facets.filter_text(field, value)  # type: ignore[arg-type]
                found = library.search(text, k=10_000)
                assert len(found) == count, (text, [hit.uri for hit in found])
                again = library.facets(f"width:>0 {text}", most=1000)
                assert again[field][value] == count
    assert isinstance(found.query, Query)
