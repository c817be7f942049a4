"""What the vectors of an item stand for: its parts, each with the picture that is embedded.

An image has one part, the whole of it. Cut into tiles it has more: a small thing fills more of a
tile than of the image, so the tile's vector shows it better. The best part of a record is its hit.

A tile by itself lacks its surroundings, and models know things by those: the best of five plain
vectors found less than the whole image alone, and tiles mixed with the whole found more
(docs/search-quality.md, November 2026).
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from pixseek.errors import ConfigError
from pixseek.types import WHOLE, Part, Picture

if TYPE_CHECKING:
    from pixseek.types import Vectors

#: Columns and rows that an image is cut into; (1, 1) for no tiles.
Tiles = tuple[int, int]

#: Tiles of an image at most: each takes as long to embed as an image, and as much space.
MAX_TILES = 16

#: Share of a tile in its stored vector; the rest is the whole image.
TILE_SHARE = 0.3


def parts_of(picture: Picture, parts: Sequence[Part]) -> Iterator[tuple[Part, Picture]]:
    """Yield each part of an image with its picture, one at a time.

    Args:
        picture: of the whole image.
        parts: as `layout` gives them, or as a record has them.
    """
    across, down = picture.pixels.size
    for part in parts:
        if part.box is None:
            yield part, picture
            continue
        left, top, width, height = part.box
        # At least a pixel, also of an image that has less than one for each tile.
        x, y = min(_nearest(left * across), across - 1), min(_nearest(top * down), down - 1)
        right = max(x + 1, min(across, _nearest((left + width) * across)))
        bottom = max(y + 1, min(down, _nearest((top + height) * down)))
        yield (
            part,
            replace(
                picture,
                pixels=picture.pixels.crop((x, y, right, bottom)),
                width=max(1, round(width * picture.width)),
                height=max(1, round(height * picture.height)),
            ),
        )


def _nearest(pixels: float) -> int:
    """Round, a half down, also if 1/6 + 1/6 is not quite 2/6: no pixel is left out."""
    return math.floor(pixels + 0.5 - 1e-6)


def in_context(rows: Vectors, parts: Sequence[Part]) -> Vectors:
    """Return the vectors to store of an item's parts: those of tiles are mixed with the whole's.

    Args:
        rows: (parts, dim) float32 unit rows, each of its part alone; or none, (0, dim).
        parts: what they stand for; the whole comes first.

    Returns:
        Unit rows of the same shape.
    """
    tiles = [n for n, part in enumerate(parts) if part.kind == "tile"]
    if not tiles or not len(rows):
        return rows
    import numpy as np

    mixed = rows.copy()
    mixed[tiles] = TILE_SHARE * rows[tiles] + (1 - TILE_SHARE) * rows[0]
    # Never zero: the share is not a half.
    unit: Vectors = mixed / np.linalg.norm(mixed, axis=1, keepdims=True)
    return unit


def layout(tiles: Tiles | None) -> tuple[Part, ...]:
    """Return the parts of an image: the whole, then its tiles, row by row.

    Args:
        tiles: columns and rows; None or (1, 1) for the whole alone.
    """
    columns, rows = tiles or (1, 1)
    if columns * rows == 1:
        return (WHOLE,)
    boxes = (
        (column / columns, row / rows, 1 / columns, 1 / rows)
        for row in range(rows)
        for column in range(columns)
    )
    return (WHOLE, *(Part("tile", box) for box in boxes))


def of_picture(parts: Sequence[Part]) -> tuple[Part, ...]:
    """Return those parts that are of an image: all but shots, none of a video."""
    return tuple(part for part in parts if part.kind != "shot")


def tiles_of(parts: Sequence[Part]) -> Tiles:
    """Return the tiles whose `layout` these parts are; (1, 1) for any others."""
    boxes = [part.box for part in parts if part.box is not None]
    tiles = (len({box[0] for box in boxes}) or 1, len({box[1] for box in boxes}) or 1)
    return tiles if layout(tiles) == tuple(parts) else (1, 1)


def check_tiles(tiles: Sequence[int]) -> Tiles:
    """Return these tiles as (columns, rows), checked.

    Raises:
        ConfigError: they are not two numbers from 1 up, or too many.
    """
    try:
        columns, rows = (operator.index(each) for each in tiles)
    except (TypeError, ValueError):  # not two, or not whole numbers
        columns = rows = 0
    if columns < 1 or rows < 1 or columns * rows > MAX_TILES:
        raise ConfigError(
            "Images can't be cut into these tiles",
            "x".join(map(str, tiles)) if isinstance(tiles, tuple | list) else tiles,
            f"Give columns and rows, such as 2x2, with at most {MAX_TILES} tiles; 1x1 for none.",
        )
    return columns, rows


def least_side(parts: Sequence[Part], side: int) -> int:
    """Return the pixels that both sides of an image need so that those of each part have `side`."""
    smallest = min((min(part.box[2:]) for part in parts if part.box is not None), default=1.0)
    return math.ceil(side / smallest)
