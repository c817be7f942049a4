"""Records of many parts, in every operation of a library: over two engines, and through files."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import pixseek
from films import film
from pixseek.types import Record

from tiny_encoder import TinyEncoder, draw

pytestmark = pytest.mark.slow
pytest.importorskip("av", reason="av is not installed")

_NUMBERS = itertools.count()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """24 photos, two videos, and a motion photo."""
    folder = tmp_path / "p"
    for n in range(24):
        draw(folder / f"p{n}.png", ("green", "blue", "white")[n % 3], seed=n)
    scenes = (("red", 2.0), ("green", 2.0), ("blue", 2.0), ("red", 2.0))
    film(folder / "party.mp4", scenes, gop=10)
    film(folder / "sub" / "sea.mp4", (("blue", 2.0), ("red", 1.0)))
    still = draw(folder / "m.jpg", "white", seed=99)
    clip = film(tmp_path / "clip.mp4", (("red", 1.0),))
    still.write_bytes(still.read_bytes() + clip.read_bytes())
    return folder


@pytest.fixture
def library(tmp_path: Path, folder: Path, tiny: TinyEncoder) -> Iterator[pixseek.Library]:
    del tiny
    with pixseek.open(tmp_path / "a.lib") as opened:
        opened.index(folder)
        yield opened


def found(library: pixseek.Library, **how: Any) -> list[tuple[str, float | None]]:
    hits = library.search("red", k=5, **how)
    return [
        (hit.record.name, None if (at := hit.part.start_s) is None else round(at)) for hit in hits
    ]


def held(library: pixseek.Library) -> dict[str, tuple[Any, ...]]:
    return {each.uri: (each.parts, each.tags, dict(each.fields)) for each in library.records()}


def named(library: pixseek.Library, name: str) -> Record:
    (record,) = [each for each in library.records() if each.name == name]
    return record


SEARCHES: tuple[dict[str, Any], ...] = (
    {}, {"moments": True}, {"variety": 0.5}, {"moments": True, "variety": 0.5}, {"sort": "name"},
    {"sort": "name", "moments": True}, {"group_by": "folder"}, {"group": True},
)  # fmt: skip


def test_searches_are_the_same_after_a_move_and_through_files(
    library: pixseek.Library, tmp_path: Path
) -> None:
    library.tag([named(library, "party.mp4").id], add=["birthday"], rating=3)
    asked = [found(library, **how) for how in SEARCHES]
    everything = held(library)
    assert asked[0][:3] == [("party.mp4", 6), ("sea.mp4", 2), ("m.jpg", 0)]
    assert {*asked[1][:4]} == {("party.mp4", 0), ("party.mp4", 6), ("sea.mp4", 2), ("m.jpg", 0)}
    assert ("party.mp4", 6) in asked[2] and len({name for name, _ in asked[2]}) == 5
    assert asked[5][:4] == [("m.jpg", 0), ("party.mp4", 0), ("party.mp4", 6), ("sea.mp4", 2)]
    assert asked[6] == [("party.mp4", 6), ("sea.mp4", 2)]  # the best of each folder
    for ending in ("npz", "parquet"):
        library.export(tmp_path / f"all.{ending}")
        with pixseek.open(tmp_path / f"{ending}.lib") as other:
            other.import_vectors(tmp_path / f"all.{ending}")
            assert held(other) == everything
            assert [found(other, **how) for how in SEARCHES] == asked
    moved = library.migrate(f"memory://parts-{next(_NUMBERS)}")
    assert (moved.records, moved.vectors) == (27, 24 + 4 + 2 + 2)
    assert held(library) == everything
    assert [found(library, **how) for how in SEARCHES] == asked
    library.migrate("embedded")
    assert held(library) == everything
    assert [found(library, **how) for how in SEARCHES] == asked


@pytest.mark.parametrize("engine", ["embedded", "memory"])
def test_what_users_say_outlives_the_file_of_a_video(
    library: pixseek.Library, folder: Path, engine: str, tmp_path: Path
) -> None:
    if engine == "memory":
        library.migrate(f"memory://parts-{next(_NUMBERS)}")
    for name in ("party.mp4", "m.jpg"):
        before = named(library, name)
        library.tag([before.id], add=["birthday"], rating=3, caption="the cake")
        tagged = library.get(before.id)
        assert tagged is not None and tagged.parts == before.parts
        assert library.facets("tag:birthday")["tag"] == {"birthday": 1}
        away = (folder / name).rename(tmp_path / name)
        assert library.index().away == 1
        assert [(each.name, each.parts) for each in library.away()] == [(name, ())]
        assert name not in {each for each, _ in found(library)}
        away.rename(folder / name)
        assert library.index().added == 1
        assert library.get(before.id) == tagged
        library.remove(before.id)
        assert library.index().added == 0 and [each.name for each in library.away()] == [name]
        assert library.forget(before.id) == 1
        assert library.away() == []
    assert not [group for group in library.duplicates() if group.kind != "alike"]
