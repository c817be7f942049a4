"""What a worker answers is believed only as far as it can be true."""

from __future__ import annotations

import contextlib

import pytest

from pixseek.errors import ImageError
from pixseek.images import sizes
from pixseek.images.answers import checked
from pixseek.images.formats import by_name
from pixseek.images.limits import Limits, Request

from image_files import every_format

PIXELS = 3 * 60 * 40
TRUE = {
    "width": 60, "height": 40, "size": [60, 40], "notes": [], "texts": [], "profile": "",
    "exif_is_file": False, "blobs": [PIXELS, 0, 0, 0],
}  # fmt: skip
LONG = "a" * 3000


def answer(said: dict[str, object], kind: str = "TIFF", **limits: int) -> tuple[int, ...]:
    request = Request(demosaic=kind == "DNG", limits=Limits(**limits))  # type: ignore[arg-type]
    return checked(said, by_name(kind), bytes(200), request).lengths


@pytest.mark.parametrize(
    ("kind", "true"),
    [
        ("TIFF", {}),
        ("TIFF", {"width": 600, "height": 400}),  # decoded at a tenth
        ("TIFF", {"notes": ["animated: first frame"], "profile": "Adobe RGB"}),
        ("TIFF", {"texts": ["Title"], "blobs": [PIXELS, 8, 9, 10, 11]}),
        ("TIFF", {"blobs": [PIXELS, 0, 1_000_000, 0]}),  # XMP may be compressed in the file
        ("SVG", {"width": 6, "height": 4}),  # drawn larger than it says
        ("DNG", {"width": 30, "height": 40}),  # pixels that are not square
    ],
)
def test_a_true_answer_is_taken(kind: str, true: dict[str, object]) -> None:
    said = {**TRUE, **true}
    assert answer(said, kind) == tuple(said["blobs"])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "lie",
    [
        {"size": [20_000, 20_000], "blobs": [1_200_000_000, 0, 0, 0]},
        {"width": 20_000, "height": 20_000, "size": [20_000, 20_000],
         "blobs": [1_200_000_000, 0, 0, 0]},
        {"size": [61, 40], "blobs": [3 * 61 * 40, 0, 0, 0]},
        {"size": [40, 60]},
        {"size": [60, 40, 1]},
        {"size": [60.0, 40]},
        {"size": [-60, -40]},
        {"size": [True, 40]},
        {"size": "6040"},
        {"width": 0},
        {"width": None},
        {"height": 1 << 40},
        {"blobs": [PIXELS - 1, 0, 0, 0]},
        {"blobs": [PIXELS, 20_000_000, 0, 0]},
        {"blobs": [PIXELS, -1, 0, 0]},
        {"blobs": [PIXELS, 1.0, 0, 0]},
        {"blobs": [PIXELS, 0, 0]},
        {"blobs": [PIXELS, 0, 0, 0, 5]},
        {"blobs": {}},
        {"texts": ["Title", "Title"], "blobs": [PIXELS, 0, 0, 0, 5, 5]},
        {"texts": [1], "blobs": [PIXELS, 0, 0, 0, 5]},
        {"notes": {}},
        {"notes": [LONG]},
        {"notes": [""] * 100},
        {"profile": None},
        {"error": ["damaged", "", ""]},
        {"error": ["no such reason", "", ""], "blobs": []},
        {"error": ["damaged", LONG, ""], "blobs": []},
        {"error": ["damaged"], "blobs": []},
        {"error": None, "blobs": []},
    ],
)  # fmt: skip
def test_an_answer_that_can_not_be_true_is_refused(lie: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        answer({**TRUE, **lie})


@pytest.mark.parametrize("name", sorted(TRUE.keys() - {"exif_is_file"}))
def test_an_answer_without_one_of_its_names_is_refused(name: str) -> None:
    with pytest.raises(ValueError):
        answer({key: value for key, value in TRUE.items() if key != name})


def test_more_pixels_than_the_limit_are_refused() -> None:
    assert answer(TRUE, max_pixels=2400)
    with pytest.raises(ValueError, match="60 x 40 pixels"):
        answer(TRUE, max_pixels=2399)


def test_a_refusal_is_raised_as_the_worker_said_it() -> None:
    with pytest.raises(ImageError) as caught:
        answer({"error": ["too-large", "It is", "Make it smaller."], "blobs": []})
    assert (caught.value.reason, caught.value.advice) == ("too-large", "Make it smaller.")


FILES = every_format()


@pytest.mark.parametrize("kind", sorted(FILES.keys() & {"TIFF", "AVIF", "HEIC", "JXL", "JPEG2000"}))
def test_more_pixels_than_the_header_of_the_file_declares_are_refused(kind: str) -> None:
    data = FILES[kind]
    size = sizes.declared(data)
    assert size
    for factor, allowed in ((1, True), (2, False)):
        across, down = size[0] * factor, size[1]
        said = {
            **TRUE, "width": across, "height": down, "size": [across, down],
            "blobs": [3 * across * down, 0, 0, 0],
        }  # fmt: skip
        with contextlib.nullcontext() if allowed else pytest.raises(ValueError, match="the file"):
            checked(said, by_name(kind), data, Request())
