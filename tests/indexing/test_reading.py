"""What a sidecar says of the picture itself: how it lies, and that it is in the trash."""

from __future__ import annotations

import io
import json
import os
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

import pixseek
from pixseek.indexing.reindexing import Pictures
from pixseek.types import Record

from tiny_encoder import TinyEncoder, draw


@pytest.fixture
def library(tmp_path: Path, tiny: TinyEncoder) -> Iterator[pixseek.Library]:
    with pixseek.open(tmp_path / "photos.lib") as opened:
        yield opened


def halves(path: Path, *, exif: Image.Exif | None = None) -> None:
    """Draw a picture with a red left half and a blue right one."""
    path.parent.mkdir(exist_ok=True)
    picture = Image.new("RGB", (60, 40), "red")
    picture.paste("blue", (30, 0, 60, 40))
    picture.save(path, **({"exif": exif} if exif else {}))


def lying(text: str) -> str:
    return json.dumps({"caption": "two", "exif": json.dumps({"Image Orientation": text})})


@pytest.mark.parametrize(
    ("text", "turn"),
    [("Rotated 90 CW", Image.Transpose.ROTATE_270), ("Rotated 180", Image.Transpose.ROTATE_180),
     ("Mirrored horizontal", Image.Transpose.FLIP_LEFT_RIGHT)],
)  # fmt: skip
def test_pixels_are_turned_as_the_json_of_img2dataset_says(
    library: pixseek.Library, tmp_path: Path, tiny: TinyEncoder, text: str, turn: Image.Transpose
) -> None:
    halves(tmp_path / "set" / "0.png")
    (tmp_path / "set" / "0.json").write_text(lying(text))
    with Image.open(tmp_path / "set" / "0.png") as stored:
        stored.transpose(turn).save(tmp_path / "set" / "upright.png")
    library.index(tmp_path / "set")
    turned, upright = (library.find(tmp_path / "set" / f"{n}.png") for n in ("0", "upright"))
    assert (turned.width, turned.height) == (upright.width, upright.height)
    one, other = library.opened.engine.vectors([turned.id, upright.id])
    np.testing.assert_array_equal(one, other)
    with (
        Image.open(io.BytesIO(library.preview(turned) or b"")) as shown,
        Image.open(io.BytesIO(library.preview(upright) or b"")) as expected,
    ):
        np.testing.assert_array_equal(np.asarray(shown), np.asarray(expected))


def test_a_file_that_is_read_for_another_model_is_turned_too(
    library: pixseek.Library, tmp_path: Path, tiny: TinyEncoder
) -> None:
    image = tmp_path / "set" / "0.png"
    halves(image)
    image.with_name("0.json").write_text(lying("Rotated 90 CW"))
    library.index(tmp_path / "set")
    record = library.find(image)
    pictures = Pictures(
        preview=lambda _: None, file=lambda _: image.read_bytes(), away=lambda _: None,
    )  # fmt: skip
    picture = pictures.of(record, 16)
    assert picture is not None
    assert picture.pixels.size == (record.width, record.height) == (40, 60)


def test_the_orientation_in_the_image_itself_wins(
    library: pixseek.Library, tmp_path: Path, tiny: TinyEncoder
) -> None:
    exif = Image.Exif()
    exif[274] = 1
    halves(tmp_path / "set" / "0.jpg", exif=exif)
    (tmp_path / "set" / "0.json").write_text(lying("Rotated 90 CW"))
    library.index(tmp_path / "set")
    record = library.find(tmp_path / "set" / "0.jpg")
    assert (record.width, record.height) == (60, 40)
    assert "turned" not in record.fields


@pytest.mark.parametrize("reread", [False, True])
def test_a_picture_that_a_sidecar_turns_gets_new_vectors(
    library: pixseek.Library, tmp_path: Path, tiny: TinyEncoder, reread: bool
) -> None:
    image, sidecar = tmp_path / "set" / "0.png", tmp_path / "set" / "0.json"
    halves(image)
    sidecar.write_text(lying("Horizontal (normal)"))
    library.index(tmp_path / "set")
    before = library.find(image)
    library.tag([before.id], add=["mine"])
    stat = sidecar.stat()
    sidecar.write_text(lying("Rotated 90 CW").ljust(stat.st_size))
    if reread:
        os.utime(sidecar, ns=(stat.st_mtime_ns, stat.st_mtime_ns))
    assert library.index(reread=reread).updated == 1
    after = library.find(image)
    assert (after.width, after.height) == (40, 60)
    assert "mine" in after.tags
    assert tiny.embedded == 2
    assert library.index(reread=reread).updated == 0
    assert tiny.embedded == 2


def test_what_google_takeout_marks_as_trashed_is_skipped_unless_it_is_included(
    library: pixseek.Library, tmp_path: Path, tiny: TinyEncoder
) -> None:
    folder = tmp_path / "all"
    for number, name in enumerate(["a.png", "b.png", "c.png"]):
        draw(folder / name, "red", number)
        said = {"title": name, "trashed": name != "c.png", "archived": name == "c.png"}
        (folder / f"{name}.supplemental-metadata.json").write_text(json.dumps(said))
    report = library.index(folder)
    assert (report.added, report.failures) == (1, ())
    assert [(each.kind, each.images) for each in report.skipped] == [("trashed", 2)]
    assert library.find(folder / "c.png").fields["archived"] is True
    assert tiny.embedded == 1

    again = library.index()
    assert (again.unchanged, again.known_failures, again.failures) == (1, 0, ())
    assert [(each.kind, each.images) for each in again.skipped] == [("trashed", 2)]

    report = library.index(folder, include=["/a.png"])
    assert (report.added, [each.images for each in report.skipped]) == (1, [1])
    assert library.index().unchanged == 2

    (folder / "c.png.supplemental-metadata.json").write_text('{"trashed": true}')
    report = library.index()
    assert (report.unchanged, [each.images for each in report.skipped]) == (1, [2])
    assert library.index().unchanged == 1


def test_a_recycle_bin_that_is_named_is_indexed(
    library: pixseek.Library, tmp_path: Path, tiny: TinyEncoder
) -> None:
    trash = tmp_path / "Takeout" / "Google Photos" / "Trash"
    draw(trash / "a.png", "red", 1)
    (trash / "a.png.json").write_text('{"title": "a.png", "trashed": true}')
    assert library.index(tmp_path / "Takeout").added == 0
    assert library.index(tmp_path / "Takeout", include=["Trash/"]).added == 1
    with pixseek.open(tmp_path / "other.lib") as other:
        assert other.index(trash).added == 1


def test_trashed_in_other_files_means_nothing(
    library: pixseek.Library, tmp_path: Path, tiny: TinyEncoder
) -> None:
    for number, said in enumerate(['{"trashed": false}', '{"trashed": "true"}', '["trashed"]',
                                   '{"x": {"trashed": true}}', '{"trashed": true']):  # fmt: skip
        draw(tmp_path / "all" / f"{number}.png", "red", number)
        (tmp_path / "all" / f"{number}.json").write_text(said)
    assert library.index(tmp_path / "all").added == 5


# ------------------------------------------------------------------ any changes of sidecars

PACKET = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/" xmlns:dc="http://purl.org/dc/elements/1.1/" '
    'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:RDF>'
    '<rdf:Description dc:description="{}"/></rdf:RDF></x:xmpmeta>'
)
TURNS = ["Rotated 90 CW", "Rotated 180", "Horizontal (normal)"]


def change_sidecars(folder: Path, rng: random.Random) -> None:
    """Do to sidecars what programs do that edit, copy and synchronise them."""
    for _ in range(rng.randint(1, 6)):
        image = rng.choice(sorted(folder.glob("*.png")))
        names = [image.name, image.stem, image.name.upper(), image.stem.upper()]
        sidecar = folder / f"{rng.choice(names)}{rng.choice(['.xmp', '.json', '.txt', '.XMP'])}"
        there = sorted(each for each in folder.iterdir() if each.suffix != ".png")
        match rng.randrange(6):
            case 0 if there:
                rng.choice(there).unlink()
            case 1 if there:
                rng.choice(there).rename(sidecar)
            case 2:  # the image and all that is named after it
                for each in sorted(folder.glob(f"{image.stem}.*")):
                    each.rename(folder / each.name.replace(image.stem, f"moved{rng.random():.9f}"))
            case _:
                # Texts of the same length, at any time: the past, too.
                text = f"{rng.randrange(10, 100)}"
                if sidecar.suffix == ".json":
                    text = lying(rng.choice(TURNS)).replace("two", text)
                elif sidecar.suffix != ".txt":
                    text = PACKET.format(text)
                sidecar.write_text(text)
                moment = rng.randrange(10**18, 17 * 10**17)
                os.utime(sidecar, ns=(moment, moment))


@pytest.mark.slow
@given(seed=st.integers(0, 10**9))
@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_after_any_changes_of_sidecars_a_library_equals_a_rebuilt_one(
    tmp_path_factory: pytest.TempPathFactory, tiny: TinyEncoder, seed: int
) -> None:
    base = tmp_path_factory.mktemp("any")
    rng = random.Random(seed)
    for number in range(3):
        draw(base / "all" / f"p{number}.png", "red", number)

    def content(library: pixseek.Library) -> dict[str, tuple[Record, bytes]]:
        return {
            record.uri: (record, row.astype(np.float16).tobytes())
            for records, rows in library.opened.engine.export()
            for record, row in zip(records, rows, strict=True)
        }

    with pixseek.open(base / "lived.lib") as lived, pixseek.open(base / "anew.lib") as anew:
        for _ in range(3):
            lived.index(base / "all")
            change_sidecars(base / "all", rng)
        lived.index()
        anew.index(base / "all")
        assert content(lived) == content(anew)
        assert lived.index(reread=True).updated == 0
        assert content(lived) == content(anew)
