"""What else is made of a decoded picture: a preview, its main colours, a placeholder."""

from __future__ import annotations

import base64
import functools
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL import Image

    from pixseek.types import Picture

#: Longer side of a preview, in pixels.
PREVIEW_SIDE = 384

#: Side to which a picture is shrunk before its colours are counted.
_COLOUR_SIDE = 64

#: Colours nearer to each other than this, in steps of 255, are one.
_SAME_COLOUR = 40

#: Sides of what a placeholder is computed from; it keeps at most 7 waves a side.
_PLACEHOLDER_SIDE = 32


@dataclass(frozen=True, slots=True)
class Derived:
    """What is stored of a picture besides its vectors.

    Attributes:
        preview: a small JPEG, in sRGB.
        colours: up to five main colours as ("#rrggbb", share of the picture), largest first.
        placeholder: a ThumbHash in base64, at most 34 characters: what to show while the preview
            loads (https://evanw.github.io/thumbhash).
    """

    preview: bytes
    colours: tuple[tuple[str, float], ...]
    placeholder: str


def derive(picture: Picture, preview_side: int = PREVIEW_SIDE) -> Derived:
    """Return what is made of the pixels of a picture; they may have been decoded smaller.

    Args:
        picture: any decoded picture.
        preview_side: longer side of the preview, in pixels; a smaller picture keeps its size.
    """
    small = shrunk(picture.pixels, preview_side)
    return Derived(preview_of(small), main_colours(small), placeholder_of(small))


def shrunk(image: Image.Image, side: int) -> Image.Image:
    """Return the image, keeping its shape, in a square of `side` pixels; never larger."""
    from PIL.Image import Resampling

    longest = max(image.size)
    if longest <= side:
        return image
    size = tuple(max(1, round(length * side / longest)) for length in image.size)
    # Half the time of bicubic, and as sharp to the eye at this size.
    return image.resize((size[0], size[1]), Resampling.HAMMING, reducing_gap=2.0)


def preview_of(image: Image.Image) -> bytes:
    """Return the image as the bytes of a preview.

    JPEG: WebP of the same quality is a fifth smaller (20 against 25 kB) and takes ten times as
    long to write (6 against 0.6 ms), more than all the rest of what is derived.
    """
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=80, optimize=False, subsampling="4:2:0")
    return buffer.getvalue()


def main_colours(image: Image.Image) -> tuple[tuple[str, float], ...]:
    """Return up to five main colours with their shares, largest first; together at most 1."""
    from PIL.Image import Quantize, Resampling

    width, height = image.size
    side = (min(width, _COLOUR_SIDE), min(height, _COLOUR_SIDE))
    # The octree takes 0.2 ms, the median cut 2 ms and 10 with a step of k-means; with 24 colours
    # that are then grouped, none is missed.
    reduced = image.resize(side, Resampling.BOX).quantize(24, Quantize.FASTOCTREE)
    palette = reduced.getpalette() or []
    counted = sorted(((n, int(i)) for n, i in reduced.getcolors() or []), reverse=True)  # type: ignore[arg-type]
    total = side[0] * side[1]
    groups: list[list[Any]] = []
    for count, index in counted:
        colour = tuple(palette[3 * index : 3 * index + 3])
        near = next((g for g in groups if _distance(g[1], colour) < _SAME_COLOUR), None)
        if near is None:
            groups.append([count, colour])
        else:
            near[0] += count
    groups.sort(key=lambda group: -group[0])
    return tuple(
        ("#{:02x}{:02x}{:02x}".format(*colour), round(count / total, 3))
        for count, colour in groups[:5]
    )


def _distance(one: tuple[int, ...], other: tuple[int, ...]) -> float:
    """Return how far two colours are apart, weighted as the eye does, roughly."""
    red, green, blue = (a - b for a, b in zip(one, other, strict=True))
    return float((2 * red * red + 4 * green * green + 3 * blue * blue) ** 0.5) / 3**0.5


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
    """Return mean, waves in [0, 1] and largest amplitude of a channel's cosine transform."""
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
    """Return (waves, length) cosines."""
    import numpy as np

    return np.cos(np.pi / length * np.arange(waves)[:, None] * (np.arange(length) + 0.5))
