"""Thumbnails of hits: read them, and lay them out in rows for the terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from pixseek.cli.output import unguarded
from pixseek.cli.terminal_images import Graphics, write_image
from pixseek.types.dataclass import dataclass

if TYPE_CHECKING:
    from PIL import Image

    from pixseek.types import Hit, Results

# Height of a row of thumbnails in lines of text, least and most. Half blocks have only 2 pixels
# per line, so they get more lines.
_LINES = (6, 10)
_LINES_OF_BLOCKS = (10, 14)
_ROWS = 3


def read_thumbnails(results: Results, side: int) -> list[Image.Image | None]:
    """Return each hit shrunk to at most `side` pixels, upright; None for an unreadable one."""
    from concurrent.futures import ThreadPoolExecutor

    from pixseek.library.surfaces import thumbnail

    def read(hit: Hit) -> Image.Image | None:
        return thumbnail(results.preview(hit), lambda: results.content(hit), side)

    with ThreadPoolExecutor(min(8, len(results) or 1)) as pool:
        return list(pool.map(read, results))


@dataclass(frozen=True, slots=True)
class Row:
    """A row of thumbnails.

    Attributes:
        image: mode "RGBA", transparent between the thumbnails.
        places: the rank and the left edge in pixels of each thumbnail.
    """

    image: Image.Image
    places: tuple[tuple[int, int], ...]


def write_strip(results: Results, how: Graphics, *, columns: int, lines: int) -> None:
    """Write thumbnails of hits, with their ranks, to standard output.

    Args:
        results: the hits to show.
        how: the terminal's graphics.
        columns: width of the terminal.
        lines: the most lines for all rows together.
    """
    blocks = how.protocol == "blocks"
    least, most = _LINES_OF_BLOCKS if blocks else _LINES
    ranks = [hit.rank for hit in results]
    small = read_thumbnails(results, 2 * most * how.cell[1])
    width = (columns - 1) * how.cell[0]

    def rows_of(height: int) -> list[Row]:
        return lay_out(ranks, small, width=width, height=height * how.cell[1], badges=not blocks)

    rows = rows_of(least)
    # Enlarge them while they need no more rows: then the last row is about as full as the others.
    for height in range(least + 1, most + 1):
        larger = rows_of(height)
        shown, shown_larger = (sum(len(row.places) for row in some) for some in (rows, larger))
        if len(larger) > len(rows) or shown_larger < shown or len(rows) * height > lines:
            break
        rows = larger
    out = unguarded(sys.stdout)
    for row in rows:
        if blocks:
            out.write(_rank_line(row.places) + "\n")
        write_image(out, row.image, how)
    out.flush()


def write_one(
    preview: bytes | None, read: Callable[[], bytes | None], how: Graphics, *, columns: int
) -> None:
    """Write one picture to standard output, from its stored preview or its file.

    Args:
        preview: the stored preview; None if there is none.
        read: returns the file; None if it can't be read.
        how: the terminal's graphics.
        columns: width of the terminal.
    """
    from pixseek.library.surfaces import thumbnail

    lines = 2 * _LINES_OF_BLOCKS[1]
    small = thumbnail(preview, read, lines * how.cell[1])
    if small is not None:
        width, height = (columns - 1) * how.cell[0], lines // 2 * how.cell[1]
        [row] = lay_out((1,), (small,), width=width, height=height, badges=False)
        out = unguarded(sys.stdout)
        write_image(out, row.image, how)
        out.flush()


def lay_out(
    ranks: Sequence[int],
    images: Sequence[Image.Image | None],
    *,
    width: int,
    height: int,
    badges: bool,
) -> list[Row]:
    """Lay thumbnails out in rows of equal height, each thumbnail in its own proportions.

    Args:
        ranks: the number of each.
        images: None for one that can't be shown.
        width: of a row, in pixels.
        height: of a row, in pixels, including the gap below it.
        badges: whether to draw the ranks into the thumbnails.
    """
    from PIL import Image, ImageOps

    gap = max(1, height // 20)
    inner = height - gap
    rows: list[Row] = []
    places: list[tuple[int, int, Image.Image]] = []
    x = 0

    def finish() -> None:
        strip = Image.new("RGBA", (x - gap, height), (0, 0, 0, 0))
        for _, left, tile in places:
            strip.paste(tile, (left, 0))
        rows.append(Row(strip, tuple((rank, left) for rank, left, _ in places)))

    for rank, image in zip(ranks, images, strict=True):
        # Panoramas and very tall images are cropped: the first would fill a row, the second vanish.
        shape = min(2.0, max(0.55, image.width / image.height)) if image else 1.0
        size = (min(width, max(1, round(inner * shape))), inner)
        if places and x + size[0] > width:
            finish()
            if len(rows) == _ROWS:
                return rows
            places, x = [], 0
        if image:
            tile = ImageOps.fit(image, size, Image.Resampling.LANCZOS).convert("RGBA")
        else:
            tile = Image.new("RGBA", size, (128, 128, 128, 255))
        if badges:
            _draw_badge(tile, rank)
        places.append((rank, x, tile))
        x += size[0] + gap
    if places:
        finish()
    return rows


def _draw_badge(tile: Image.Image, rank: int) -> None:
    from PIL import Image, ImageDraw, ImageFont

    size = max(9, tile.height // 8)
    font = ImageFont.load_default(size)
    text = str(rank)
    left, top, right, bottom = font.getbbox(text)
    wide = max(right - left, bottom - top) + size * 0.7
    high = size * 1.35
    badge = Image.new("RGBA", tile.size, (0, 0, 0, 0))
    draw = ImageDraw.Draw(badge)
    corner = size * 0.3
    draw.rounded_rectangle(
        (corner, corner, corner + wide, corner + high), radius=high / 4, fill=(0, 0, 0, 190)
    )
    draw.text(
        (corner + wide / 2, corner + high / 2), text, font=font, fill=(255, 255, 255), anchor="mm"
    )
    tile.alpha_composite(badge)


def _rank_line(places: Sequence[tuple[int, int]]) -> str:
    line = ""
    for rank, left in places:
        line = line.ljust(left) + str(rank)
    return line
