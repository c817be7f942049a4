"""Draw SVG, through resvg: without scripts, network access or other files."""

from __future__ import annotations

import importlib
import io
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from pixseek.errors import ImageError
from pixseek.images import svgmarkup
from pixseek.images.colour import to_srgb
from pixseek.images.limits import Request, damaged, too_large
from pixseek.types import Picture

if TYPE_CHECKING:
    from pixseek.images.formats import Format

#: Longer side, in pixels, to which a small drawing is enlarged if the request names no size.
_USUAL_SIDE = 1024

#: A drawing with a higher ratio of sides may come out narrower than requested.
_LONG_STRIP = 16

_LENGTH = re.compile(r"\s*([0-9]*\.?[0-9]+(?:[eE][-+]?\d+)?)\s*(px|pt|pc|mm|cm|in|)\s*")
_NUMBER = re.compile(r"[-+]?[0-9]*\.?[0-9]+(?:[eE][-+]?\d+)?")
_INCH = 96.0
_PIXELS = {"": 1.0, "px": 1.0, "pt": _INCH / 72, "pc": _INCH / 6, "mm": _INCH / 25.4,
           "cm": _INCH / 2.54, "in": _INCH}  # fmt: skip


def decode(kind: Format, data: bytes, request: Request) -> Picture:
    """Draw an SVG file so that its shorter side has the pixels requested.

    Without a request it is drawn at its own size, enlarged to 1,024 pixels if it is smaller. The
    picture's width and height are those of the drawing in CSS pixels.
    """
    from PIL import PngImagePlugin

    drawing = svgmarkup.self_contained(data, request.limits)
    width, height = _size(drawing.root)
    longest = max(width, height)
    if request.at_least:
        # A long strip must not become hundreds of times longer than needed just to be wide enough.
        scale = request.at_least / max(min(width, height), longest / _LONG_STRIP)
    else:
        scale = max(longest, _USUAL_SIDE) / longest
    across, down = max(1, round(width * scale)), max(1, round(height * scale))
    request.limits.check_pixels(across, down)
    resvg = importlib.import_module("resvg_py")
    try:
        png = resvg.svg_to_bytes(svg_string=drawing.text, width=across, height=down)
        with PngImagePlugin.PngImageFile(io.BytesIO(bytes(png))) as image:
            image.load()
            notes: list[str] = []
            pixels = to_srgb(image, notes)
    except ImageError:
        raise
    except MemoryError as error:
        raise too_large("an SVG file") from error
    except Exception as error:
        raise damaged(error) from error
    return Picture(pixels, max(1, round(width)), max(1, round(height)), kind.media, tuple(notes))


def _size(root: Mapping[str, str]) -> tuple[float, float]:
    """Return width and height in CSS pixels; 300 x 150, as browsers do, if none is given."""
    sides = []
    for name in ("width", "height"):
        found = _LENGTH.fullmatch(root.get(name, "")[:100])
        sides.append(float(found[1]) * _PIXELS[found[2]] if found else 0.0)
    numbers = _NUMBER.findall(root.get("viewBox", "")[:400])
    across, down = (float(numbers[2]), float(numbers[3])) if len(numbers) == 4 else (0.0, 0.0)
    across, down = (across, down) if across > 0 and down > 0 else (300.0, 150.0)
    width, height = sides
    if width > 0 and height > 0:
        return _sane(width, height)
    if width > 0:
        return _sane(width, width * down / across)
    if height > 0:
        return _sane(height * across / down, height)
    return _sane(across, down)


def _sane(width: float, height: float) -> tuple[float, float]:
    if not (1e-3 < width < 1e7 and 1e-3 < height < 1e7):
        raise too_large(f"{width:g} x {height:g} pixels")
    return width, height
