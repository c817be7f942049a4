"""Write a folder of drawn pictures to index, search and evaluate."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Final

from PIL import Image

from pixseek import files
from pixseek.demo.captions import caption
from pixseek.demo.drawing import render
from pixseek.demo.scenes import Scene, random_scene

CAPTIONS_FILE: Final = "captions.tsv"
_SIZES: Final = (256, 320, 384)
_FORMATS: Final[tuple[tuple[str, dict[str, int]], ...]] = (
    (".jpg", {"quality": 88}),
    (".jpg", {"quality": 88}),
    (".png", {}),
    (".webp", {"quality": 88, "method": 2}),
)


def write_picture_library(folder: Path, count: int = 240, seed: int = 7) -> list[Path]:
    """Draw `count` pictures into folders named by setting, and write their captions.

    `captions.tsv` in `folder` holds a header line, then a line for each picture: its relative path
    with forward slashes, a tab, and one caption. Returns the paths of the pictures in that order.
    The same `count` and `seed` give the same scenes, names and captions.

    Raises:
        OSError: one can't be written, or a link leads out of the folder.
    """
    within = os.path.realpath(folder.parent)  # since `folder` may be a link that was put there
    rng = random.Random(seed)
    lines = ["file\tcaption"]
    written: list[Path] = []
    for number in range(1, count + 1):
        scene = random_scene(rng)
        suffix, options = rng.choice(_FORMATS)
        name = f"{scene.setting}/{_stem(scene)}-{number:03d}{suffix}"
        path = folder / name
        if not files.is_inside(path.parent, within):
            raise files.outside(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        picture = render(scene, rng.choice(_SIZES))
        with files.replacing(path, within=within, sync=False) as file:
            picture.save(file, Image.registered_extensions()[suffix], **options)
        lines.append(f"{name}\t{caption(scene, rng)}")
        written.append(path)
    with files.replacing(folder / CAPTIONS_FILE, within=within, sync=False) as file:
        file.write(("\n".join(lines) + "\n").encode())
    return written


def _stem(scene: Scene) -> str:
    """A name such as a person might give: the place and the time of day.

    It omits the things, so that a match by file name can't pass for a match by content.
    """
    hour = {"day": "day", "sunset": "sunset", "night": "night"}[scene.time]
    return f"{scene.setting}-{hour}"
