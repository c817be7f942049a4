"""HEIC and HEIF, through libheif."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from pixseek.errors import ImageError
from pixseek.images import scaling
from pixseek.images.colour import to_srgb
from pixseek.images.limits import Request, damaged, too_large
from pixseek.types import Picture

if TYPE_CHECKING:
    from pixseek.images.formats import Format

#: Thumbnails of other proportions than the image are crops of it, or have bars.
_SAME_SHAPE = 0.02


def decode(each: Format, data: bytes, request: Request) -> Picture:
    """Decode a HEIC file, or its thumbnail where that is large enough.

    libheif turns and mirrors the image as its `irot` and `imir` properties say; the orientation
    in its EXIF block repeats them and is not applied again.
    """
    heif = importlib.import_module("pillow_heif")
    # Ours alone: this runs in a process of its own. One file a core is faster than one file on
    # all cores.
    heif.options.DECODE_THREADS = 1
    heif.options.DEPTH_IMAGES = heif.options.AUX_IMAGES = False
    try:
        container = heif.open_heif(data)
        if not len(container):
            raise damaged("it holds no image")
        image = container[container.primary_index]
        width, height = image.size
        request.limits.check_pixels(width, height)
        notes: list[str] = []
        if len(container) > 1 and container.mimetype.endswith("-sequence"):
            notes.append("animated: first frame")
        info = image.info
        chosen = _thumbnail(image, request.enough, notes) or image
        pixels = _to_pillow(chosen)
    except ImageError:
        raise
    except MemoryError as error:
        raise too_large("a HEIC file") from error
    except Exception as error:
        raise damaged(error) from error
    profile = info.get("icc_profile")
    if profile:
        pixels.info["icc_profile"] = profile
    if chosen is image:
        pixels = scaling.reduced(pixels, request.enough)
    exif = info.get("exif") or b""
    return Picture(
        to_srgb(pixels, notes),
        width,
        height,
        each.media,
        tuple(notes),
        exif.removeprefix(b"Exif\0\0"),
        info.get("xmp") or b"",
    )


def _thumbnail(image: Any, enough: int | None, notes: list[str]) -> Any | None:
    """Return the smallest thumbnail of the image's shape that has `enough` pixels a side."""
    if not enough or not hasattr(image, "get_thumbnail"):
        return None
    width, height = image.size
    longest = sorted(side for side in image.info.get("thumbnails", ()) if side >= enough)
    order = image.info.get("thumbnails", [])
    for side in longest:
        thumbnail = image.get_thumbnail(order.index(side))
        across, down = thumbnail.size
        if min(across, down) < enough or abs(across / down / (width / height) - 1) > _SAME_SHAPE:
            continue
        notes.append("embedded thumbnail")
        return thumbnail
    return None


def _to_pillow(image: Any) -> Any:
    from PIL import Image

    image.load()
    mode = image.mode
    raw = {"RGBa": "RGBa", "RGBA;16": "RGBA;16L", "RGB;16": "RGB;16L"}.get(mode, mode)
    kind = {"RGBA;16": "RGBA", "RGB;16": "RGB", "L;16": "I;16", "I;16L": "I;16"}.get(mode, mode)
    return Image.frombytes(kind, image.size, image.data, "raw", raw, image.stride)
