"""HEIC: the build without encoders that pixseek installs gives what pillow-heif gives."""

from __future__ import annotations

import io
import sys

import pytest
from PIL import ImageCms

from pixseek.images import formats, heif
from pixseek.images.limits import Request

from image_files import exif, textured

SIZE = (96, 64)
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def heic(mode: str, **options: object) -> bytes:
    writer = pytest.importorskip("pillow_heif")
    pytest.importorskip("pi_heif")
    image = textured(*SIZE).convert(mode)
    buffer = io.BytesIO()
    writer.from_pillow(image).save(buffer, quality=90, **options)
    return buffer.getvalue()


def decoded(data: bytes, package: str, monkeypatch: pytest.MonkeyPatch) -> tuple[object, ...]:
    monkeypatch.setattr(heif, "PACKAGES", (package,))
    picture = heif.decode(formats.by_name("HEIC"), data, Request())
    pixels = picture.pixels
    assert pixels.size == (picture.width, picture.height)
    facts = (picture.width, picture.height, picture.exif, picture.xmp, picture.profile)
    return pixels.mode, pixels.tobytes(), *facts, picture.notes


@pytest.mark.parametrize(
    ("mode", "options"),
    [
        ("RGB", {}),
        ("RGB", {"chroma": 444}),
        ("RGBA", {}),
        ("L", {}),
        ("RGB", {"exif": exif(6).tobytes(), "xmp": b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>"}),
        ("RGB", {"icc_profile": SRGB}),
    ],
    ids=["colour", "444", "alpha", "grey", "metadata", "profile"],
)  # fmt: skip
def test_both_packages_give_the_same_picture(
    mode: str, options: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = heic(mode, **options)
    assert decoded(data, "pi_heif", monkeypatch) == decoded(data, "pillow_heif", monkeypatch)


def test_pillow_heif_is_used_if_it_is_there_and_else_the_build_without_encoders(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("pillow_heif")
    pytest.importorskip("pi_heif")
    assert heif.package().__name__ == "pillow_heif"
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    assert heif.package().__name__ == "pi_heif"
    assert formats.by_name("HEIC").available()
