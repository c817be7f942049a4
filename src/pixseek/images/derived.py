"""Derive a preview, the main colours and a placeholder from a decoded picture."""

from __future__ import annotations

import base64
import functools
import io
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pixseek.types.dataclass import dataclass

if TYPE_CHECKING:
    from PIL import Image

    from pixseek.types import Picture

#: Longer side of a preview, in pixels.
PREVIEW_SIDE = 384

#: Maximum side of the picture whose colours are counted.
_COLOUR_SIDE = 64

#: Colours closer to each other than this, in steps of 255, count as one.
_SAME_COLOUR = 40

#: Longer side of the picture that a placeholder is computed from; it keeps 7 waves a side at most.
_PLACEHOLDER_SIDE = 32


#: Names of colours, each with reference shades: the eleven basic terms of Berlin and Kay (1969).
#: A colour gets the name of its nearest shade in CIELAB.
COLOUR_NAMES: Mapping[str, tuple[str, ...]] = {
    "black": ("#000000", "#1a1a1a", "#101820"),
    "white": ("#ffffff", "#f2f2f2", "#faf6ee"),
    "grey": ("#808080", "#b3b3b3", "#595959", "#7a838c", "#8f877f"),
    "red": ("#ff0000", "#b01010", "#d83a3a", "#7a0c14"),
    "orange": ("#ff8c00", "#e8722a", "#f2a24a"),
    "yellow": ("#ffee00", "#e0c020", "#f7e98c"),
    "green": ("#00a000", "#2e5a2e", "#7ab648", "#4f6b35", "#a8d08d", "#00e060"),
    "blue": (
        "#0000ff",
        "#1f4e9e",
        "#4a90d9",
        "#9cc4e8",
        "#12264f",
        "#00c8e8",
        "#2f7f93",
        "#000080",
    ),
    "purple": ("#800080", "#6a3fa0", "#b58fd6", "#3a1f4f"),
    "pink": ("#ffc0cb", "#ff69b4", "#e0609a", "#f4a0a8"),
    "brown": ("#7b4a21", "#5a3418", "#a0703f", "#c49a6c", "#3e2615"),
}

#: Minimum share of a picture that a colour must cover to be named.
_NAMED_SHARE = 0.08


@dataclass(frozen=True, slots=True)
class Derived:
    """What is computed from a picture's pixels and stored, vectors aside.

    Attributes:
        preview: a small JPEG, in sRGB.
        colours: up to five main colours as ("#rrggbb", share of the picture), largest first.
        colour_names: the `COLOUR_NAMES` that cover enough of the picture, largest first.
        placeholder: a ThumbHash in base64, at most 34 characters, to show while the preview
            loads (https://evanw.github.io/thumbhash).
    """

    preview: bytes
    colours: tuple[tuple[str, float], ...]
    colour_names: tuple[str, ...]
    placeholder: str


def derive(picture: Picture, preview_side: int = PREVIEW_SIDE) -> Derived:
    """Return the preview, main colours and placeholder of a picture.

    Args:
        picture: any decoded picture, at full size or smaller.
        preview_side: longer side of the preview, in pixels; a smaller picture keeps its size.
    """
    small = shrunk(picture.pixels, preview_side)
    colours = main_colours(small)
    return Derived(preview_of(small), colours, names_of(colours), placeholder_of(small))


def shrunk(image: Image.Image, side: int) -> Image.Image:
    """Return the image shrunk, never enlarged, to fit a square of `side` pixels."""
    from PIL.Image import Resampling

    longest = max(image.size)
    if longest <= side:
        return image
    size = tuple(max(1, round(length * side / longest)) for length in image.size)
    # Hamming takes half the time of bicubic and looks as sharp at this size. With `reducing_gap`,
    # images at least twice as large are first averaged in blocks: 2.2 instead of 3.9 ms.
    return image.resize((size[0], size[1]), Resampling.HAMMING, reducing_gap=1.0)


def preview_of(image: Image.Image) -> bytes:
    """Return the image as the bytes of a preview: JPEG, since WebP takes ten times as long.

    Colour is stored for every pixel (4:4:4), because a library can be reindexed from its previews:
    recall@10 is then that of the files, .679, against .665 with 4:2:0. See docs/decoding.md.
    """
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=80, optimize=False, subsampling="4:4:4")
    return buffer.getvalue()


def main_colours(image: Image.Image) -> tuple[tuple[str, float], ...]:
    """Return up to five main colours with their shares of the image, largest first."""
    from PIL.Image import Quantize, Resampling

    width, height = image.size
    side = (min(width, _COLOUR_SIDE), min(height, _COLOUR_SIDE))
    # An octree takes 0.2 ms, a median cut 2 ms. Grouping 24 colours makes up for its coarseness.
    reduced = image.resize(side, Resampling.BOX).quantize(24, Quantize.FASTOCTREE)
    palette = reduced.getpalette() or []
    counted = sorted(((n, int(i)) for n, i in reduced.getcolors() or []), reverse=True)  # type: ignore[arg-type]
    total = side[0] * side[1]
    groups: list[list[Any]] = []
    for count, index in counted:
        colour = tuple(palette[3 * index : 3 * index + 3])
        near = next((group for group in groups if _are_one(group[1], colour)), None)
        if near is None:
            groups.append([count, colour])
        else:
            near[0] += count
    groups.sort(key=lambda group: -group[0])
    return tuple(
        ("#{:02x}{:02x}{:02x}".format(*colour), round(count / total, 3))
        for count, colour in groups[:5]
    )


def names_of(colours: Sequence[tuple[str, float]]) -> tuple[str, ...]:
    """Return the colour names that cover enough of the picture, largest first.

    Args:
        colours: main colours as ("#rrggbb", share); shares of the same name are added.
    """
    shares: dict[str, float] = {}
    for colour, share in colours:
        name = colour_name(colour)
        shares[name] = shares.get(name, 0.0) + share
    return tuple(sorted((n for n in shares if shares[n] >= _NAMED_SHARE), key=lambda n: -shares[n]))


@functools.lru_cache(maxsize=4096)
def colour_name(colour: str) -> str:
    """Return the name in `COLOUR_NAMES` of a colour "#rrggbb"."""
    lab = _lab(colour)
    return min(
        (
            (math.dist(lab, _lab(shade)), name)
            for name, all_ in COLOUR_NAMES.items()
            for shade in all_
        )
    )[1]


@functools.lru_cache(maxsize=256)
def _lab(colour: str) -> tuple[float, float, float]:
    """Return an sRGB colour in CIELAB (D65), as IEC 61966-2-1 and CIE 15 define them."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    r, g, b = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    x = (0.4124 * r + 0.3576 * g + 0.1805 * b) / 0.9505
    y = 0.2126 * r + 0.7152 * g + 0.0722 * b
    z = (0.0193 * r + 0.1192 * g + 0.9505 * b) / 1.089
    fx, fy, fz = (t ** (1 / 3) if t > 0.008856 else 7.787 * t + 16 / 116 for t in (x, y, z))
    return (116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz))


def _are_one(one: tuple[int, ...], other: tuple[int, ...]) -> bool:
    """Return whether two colours count as one; channels are weighted roughly as the eye does."""
    red, green, blue = one[0] - other[0], one[1] - other[1], one[2] - other[2]
    return 2 * red * red + 4 * green * green + 3 * blue * blue < 3 * _SAME_COLOUR**2


def placeholder_of(image: Image.Image) -> str:
    """Return the image's ThumbHash in base64."""
    import numpy as np
    from PIL.Image import Resampling

    width, height = image.size
    longest = max(width, height)
    across = max(1, round(_PLACEHOLDER_SIDE * width / longest))
    down = max(1, round(_PLACEHOLDER_SIDE * height / longest))
    rgb = np.asarray(image.resize((across, down), Resampling.BOX), np.float64) / 255
    red, green, blue = rgb[..., 0], rgb[..., 1], rgb[..., 2]
    columns, rows = max(1, round(7 * width / longest)), max(1, round(7 * height / longest))
    light = _waves((red + green + blue) / 3, max(3, columns), max(3, rows))
    yellow = _waves((red + green) / 2 - blue, 3, 3)
    reddish = _waves(red - green, 3, 3)
    landscape = width > height
    head = (
        round(63 * light[0])
        | round(31.5 + 31.5 * yellow[0]) << 6
        | round(31.5 + 31.5 * reddish[0]) << 12
        | round(31 * light[2]) << 18
    )
    tail = (
        (rows if landscape else columns)
        | round(63 * yellow[2]) << 3
        | round(63 * reddish[2]) << 9
        | landscape << 15
    )
    nibbles = [round(15 * wave) for channel in (light, yellow, reddish) for wave in channel[1]]
    nibbles += [0] * (len(nibbles) % 2)
    packed = bytes(low | high << 4 for low, high in zip(nibbles[::2], nibbles[1::2], strict=True))
    content = head.to_bytes(3, "little") + tail.to_bytes(2, "little") + packed
    return base64.b64encode(content).decode("ascii")


def _waves(channel: Any, columns: int, rows: int) -> tuple[float, list[float], float]:
    """Return the mean, the waves in [0, 1] and the largest amplitude of a cosine transform."""
    height, width = channel.shape
    amplitudes = _cosines(rows, height) @ channel @ _cosines(columns, width).T / (width * height)
    kept = [
        float(amplitudes[y, x])
        for y in range(rows)
        for x in range(columns)
        if x * rows < columns * (rows - y) and (x or y)
    ]
    most = max(map(abs, kept), default=0.0)
    waves = [0.5 + 0.5 * wave / most for wave in kept] if most else [0.5] * len(kept)
    return float(amplitudes[0, 0]), waves, most


@functools.lru_cache(maxsize=256)
def _cosines(waves: int, length: int) -> Any:
    """Return the basis of a cosine transform: (waves, length) float64."""
    import numpy as np

    return np.cos(np.pi / length * np.arange(waves)[:, None] * (np.arange(length) + 0.5))
