"""What a record takes from the content of its file."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

import pixseek

from tiny_encoder import TinyEncoder


@pytest.mark.parametrize("ending", ["jpg", "png", "webp"])
def test_metadata_written_into_a_file_keep_the_digest_of_its_picture(
    tiny: TinyEncoder, tmp_path: Path, ending: str
) -> None:
    file = tmp_path / "photos" / f"a.{ending}"
    file.parent.mkdir()
    picture = Image.effect_mandelbrot((60, 40), (-2, -1, 1, 1), 30).convert("RGB")
    picture.save(file)
    with pixseek.open(tmp_path / "l.lib") as library:
        library.index(file.parent)
        before = next(library.records())
        exif = Image.Exif()
        exif[0x0112], exif[0x010E] = 6, "A caption"
        picture.save(file, exif=exif)
        library.index(file.parent)
        after = next(library.records())
        assert (before.caption, after.caption) == ("", "A caption")
        assert (before.height, after.height) == (40, 60)
        assert before.digest != after.digest
        assert before.pixels == after.pixels != ""
        picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(file)
        library.index(file.parent)
        assert next(library.records()).pixels != after.pixels
