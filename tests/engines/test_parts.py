"""Records of several parts, in every engine and in everything that is done with records.

Images are cut into 2x2 tiles. One engine after the other lives through the same life of a library.
"""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import pixseek
from pixseek.indexing.media import in_context
from pixseek.types import WHOLE, Part, Picture, Record

from tiny_encoder import COLOURS, TinyEncoder, WideEncoder, draw

QUARTERS = tuple(Part("tile", (x, y, 0.5, 0.5)) for y in (0.0, 0.5) for x in (0.0, 0.5))
PARTS = (WHOLE, *QUARTERS)

_TABLES = itertools.count()


@pytest.fixture(params=["embedded", "postgres", "memory"])
def opened(request: pytest.FixtureRequest, tmp_path: Path, tiny: TinyEncoder) -> Iterator[
    Callable[[str], pixseek.Library]
]:  # fmt: skip
    """A function that opens libraries by name, each with an engine of the kind."""
    libraries: list[pixseek.Library] = []
    tables: dict[str, str] = {}

    def open_it(name: str = "photos") -> pixseek.Library:
        engine = None
        if request.param == "memory":
            engine = f"memory://{tmp_path.name}-{name}"
        elif request.param == "postgres":
            url = request.getfixturevalue("postgres")
            table = tables.setdefault(name, f"parts_{os.getpid()}_{next(_TABLES)}")
            engine = f"{url}{'&' if '?' in url else '?'}table={table}"
        libraries.append(pixseek.open(tmp_path / f"{name}.lib", engine=engine, model="demo"))
        return libraries[-1]

    yield open_it
    for library in libraries:
        library.close()


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Four pictures of one colour, and a blue one whose lower left quarter is red."""
    folder = tmp_path / "pictures"
    for number, colour in enumerate(["green", "blue", "white", "black"]):
        draw(folder / f"{colour}.png", colour, number, size=(80, 60))
    pixels = np.full((60, 80, 3), COLOURS["blue"], np.uint8)
    pixels[30:, :40] = COLOURS["red"]
    Image.fromarray(pixels).save(folder / "corner.png")
    return folder


def records(library: pixseek.Library) -> dict[str, Record]:
    return {hit.record.name: hit.record for hit in library.search("red", k=100)}


def check(library: pixseek.Library, names: set[str]) -> None:
    """Assert that these images are there, each with vectors of all its parts, its own ones."""
    found, encoder = records(library), library.encoder()
    assert set(found) == names
    for record in found.values():
        assert record.parts == PARTS
        rows = library.vectors(record.id)
        path = library.locate(record)
        assert rows is not None
        assert path is not None
        wanted = []
        with Image.open(path) as image:
            width, height = image.size
            for part in record.parts:
                left, top, across, down = part.box or (0.0, 0.0, 1.0, 1.0)
                box = (left * width, top * height, (left + across) * width, (top + down) * height)
                picture = Picture(image.convert("RGB").crop(box), 1, 1, "")
                wanted += list(encoder.encode_images(encoder.prepare(picture)[None]))
        cosines = (rows * in_context(np.stack(wanted), PARTS)).sum(axis=1)
        assert cosines.min() > 0.99, (record.uri, cosines)  # previews are JPEG
    best = library.search("red", k=1)[0]
    assert best.record.digest == found[best.record.name].digest
    assert (best.record.name, best.part) == ("corner.png", QUARTERS[2]) or "corner.png" not in names


NAMES = {"green.png", "blue.png", "white.png", "black.png", "corner.png"}


def test_the_life_of_a_library_with_tiles(
    opened: Callable[[str], pixseek.Library],
    pictures: Path,
    tmp_path: Path,
    tiny: TinyEncoder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    library = opened("photos")

    # Indexed without tiles first, then cut: by every run from then on.
    assert library.index(pictures).added == 5
    assert library.search("red", k=1)[0].part == WHOLE
    tiny.embedded = 0
    assert library.index(tiles=(2, 2)).updated == 5
    assert tiny.embedded == 25
    check(library, NAMES)
    assert library.index().unchanged == 5
    assert tiny.embedded >= 25

    # Moved, copied, changed, renumbered: vectors of all parts go along, and nothing is embedded.
    tiny.embedded = 0
    (pictures / "green.png").rename(pictures / "moved.png")
    report = library.index()
    assert (report.moved, report.reused) == (1, 1)
    shutil.copy(pictures / "blue.png", pictures / "copy.png")
    os.utime(pictures / "copy.png")
    assert library.index().reused == 1
    (pictures / "white.png").rename(pictures / "kept")
    (pictures / "black.png").rename(pictures / "white.png")
    (pictures / "kept").rename(pictures / "black.png")
    library.index()
    assert tiny.embedded == 0
    now = (NAMES - {"green.png"}) | {"moved.png", "copy.png"}
    check(library, now)

    # Tagged.
    assert library.tag([pictures / "corner.png"], add="flag") == 1
    assert records(library)["corner.png"].tags == ("flag",)
    check(library, now)

    # Duplicates: a copy is found, and no record is one of its own parts or of another's tile.
    draw(pictures / "red.png", "red", 9, size=(80, 60))
    library.index()
    groups = library.duplicates(0.999)
    assert [{record.name for record in group.records} for group in groups] == [
        {"blue.png", "copy.png"}
    ]
    (pictures / "red.png").unlink()
    library.index()

    # Exported, and brought into another library of the kind.
    for ending in ("parquet", "npz"):
        file = tmp_path / f"vectors.{ending}"
        assert library.export(file) == 5 * len(now)
        other = opened(f"other {ending}".replace(" ", "-"))
        assert other.import_vectors(file, base=tmp_path) == len(now)
        assert {name: record.parts for name, record in records(other).items()} == dict.fromkeys(
            now, PARTS
        )
        assert other.search("red", k=1)[0].part == QUARTERS[2]

    # By another model: from previews, or from files, each tile is cut again.
    for model, files in (("clip-b32-openai", False), ("pe-core-b", True)):
        wide = WideEncoder(model)
        wide.fingerprint = model * 4
        monkeypatch.setattr("pixseek.encoders.load", lambda *_, wide=wide, **__: wide)
        report = library.reindex(wide.name, files=files)
        assert (report.updated, report.failures) == (len(now), ())
        assert wide.embedded >= 5 * len(now)
        check(library, now)

    # Removed, and no longer cut.
    assert library.remove(pictures / "copy.png") == 1
    assert library.index(tiles=(1, 1)).updated == len(now) - 1
    assert {record.parts for record in records(library).values()} == {(WHOLE,)}


def test_another_machine_with_the_same_records_cuts_them_alike(
    postgres: str, pictures: Path, tmp_path: Path, tiny: TinyEncoder
) -> None:
    table = f"parts_{os.getpid()}_{next(_TABLES)}"
    url = f"{postgres}{'&' if '?' in postgres else '?'}table={table}"
    with pixseek.open(tmp_path / "here.lib", engine=url) as here:
        here.index(pictures, tiles=(2, 2))
    draw(pictures / "new.png", "red", 77)
    with pixseek.open(tmp_path / "there.lib", engine=url) as there:
        assert there.index(pictures).added == 1
        assert {record.parts for record in records(there).values()} == {PARTS}
