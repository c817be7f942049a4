"""The table of formats: content decides, the table is complete, missing decoders are named."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

from pixseek.errors import ImageError
from pixseek.images import EXTENSIONS, FORMATS, decodable_formats, decode, formats

from image_files import every_format

FILES = every_format()


@pytest.mark.parametrize("name", sorted(FILES))
def test_every_format_is_identified_by_content_and_decoded(name: str) -> None:
    found = formats.identify(FILES[name])
    assert name.startswith(found.name) or (found.name, name) == ("JPEG", "MPO")
    picture = decode(FILES[name], at_least=32)
    assert picture.media == found.media
    assert picture.pixels.mode == "RGB"
    assert min(picture.pixels.size) >= 32


def test_every_row_of_the_table_is_valid() -> None:
    assert len({each.name for each in FORMATS}) == len(FORMATS)
    for each in FORMATS:
        assert each.endings
        assert all(ending.startswith(".") and ending == ending.lower() for ending in each.endings)
        assert "/" in each.media
        assert bool(each.plugin) == (each.family == "pillow")
        if each.plugin:
            module, _, name = each.plugin.partition(".")
            assert hasattr(importlib.import_module(f"PIL.{module}"), name)
    assert {ending for each in FORMATS for ending in each.endings} == EXTENSIONS


def test_the_base_install_decodes_its_formats() -> None:
    base = {each.name for each in FORMATS if not each.extra}
    assert {"JPEG", "PNG", "WEBP", "GIF", "TIFF", "HEIC", "AVIF", "NEF", "CR3"} <= base
    assert base <= set(decodable_formats())


@pytest.mark.parametrize("name", ["HEIC", "JXL", "SVG"])
def test_a_missing_decoder_is_reported_with_its_install_command(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    each = formats.by_name(name)
    heads = {
        "HEIC": b"\0\0\0\x18ftypheic" + bytes(40),
        "JXL": b"\xff\x0a" + bytes(40),
        "SVG": b"<svg></svg>",
    }
    for module in (each.module, each.instead):
        monkeypatch.setitem(sys.modules, module or each.module, None)
    monkeypatch.setattr(formats, "_available", lambda asked: asked.name != name)
    with pytest.raises(ImageError) as caught:
        decode(heads[name])
    assert caught.value.reason == "no-decoder"
    install = f"'pixseek[{each.extra}]'" if each.extra else each.package
    assert f"pip install {install}" in caught.value.advice


def test_a_jpeg_named_nef_is_decoded_as_jpeg(shared: Path) -> None:
    # Some converter wrote a JPEG under the ending of a raw file.
    assert decode((shared / "images" / "odd" / "nikon.nef").read_bytes()).media == "image/jpeg"
