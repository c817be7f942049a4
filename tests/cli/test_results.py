"""The table of hits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import pixseek
from pixseek.cli.results import write_table

from tiny_encoder import COLOURS, TinyEncoder, draw


def test_reasons_name_the_best_part_of_a_hit(
    tiny: TinyEncoder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    del tiny
    pixels = np.empty((40, 40, 3), np.uint8)
    pixels[:] = COLOURS["green"]
    pixels[20:, 20:] = COLOURS["red"]
    (tmp_path / "Photos").mkdir()
    Image.fromarray(pixels).save(tmp_path / "Photos" / "corner.png")
    draw(tmp_path / "Photos" / "all-red.png", "red")
    with pixseek.open(tmp_path / "lib") as library:
        library.index(tmp_path / "Photos", tiles=(2, 2))
        (hit,) = library.search("red", where="name:corner*")
        assert hit.part.box == (0.5, 0.5, 0.5, 0.5)
        write_table(library.search("red", where="name:corner*"), why=True)
        assert "best part: tile 0.5,0.5,0.5,0.5" in capsys.readouterr().out
        write_table(library.search("red", where="name:corner*"))
        assert "best part" not in capsys.readouterr().out
        library.index(tiles=(1, 1))
        write_table(library.search("red", where="name:corner*"), why=True)
        shown = capsys.readouterr().out
        assert "cosine" in shown and "best part" not in shown
