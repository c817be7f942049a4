"""Decode HEIC and HEIF, through libheif.

By pi-heif-decoder, a build of pillow-heif without encoders: pillow-heif's own wheels bundle x265,
which is under the GPL. Both give the same pixels. If pillow-heif is installed, it is used, since it
is newer and also reads thumbnails.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from pixseek.errors import ImageError
from pixseek.images import scaling
from pixseek.images.colour import profile_name, to_srgb
from pixseek.images.limits import Request, damaged, too_large
from pixseek.types import Picture

if TYPE_CHECKING:
    from pixseek.images.formats import Format

#: Packages that decode, the first one that is installed.
PACKAGES = ("pillow_heif", "pi_heif")

#: Rows averaged at a time; every scale divides it.
_STRIP = 64

#: Maximum difference of proportions; a thumbnail that differs more is cropped or has bars.
_SAME_SHAPE = 0.02


def decode(kind: Format, data: bytes, request: Request) -> Picture:
    """Decode a HEIC file, or only its thumbnail if that is large enough.

    libheif applies the `irot` and `imir` properties. The EXIF orientation repeats them and is not
    applied again.
    """
    heif = package()
    # These options are global, but this runs in a worker process. One file per core is faster than
    # one file on all cores, so `threads` is above 1 only if other cores are idle.
    heif.options.DECODE_THREADS = request.threads
    heif.options.DEPTH_IMAGES = heif.options.AUX_IMAGES = False
    try:
        container = heif.open_heif(data)
        if not len(container):
            raise damaged("the file holds no image")
        image = container[container.primary_index]
        width, height = image.size
        request.limits.check_pixels(width, height)
        notes: list[str] = []
        if len(container) > 1 and container.mimetype.endswith("-sequence"):
            notes.append("animated: first frame")
        info = image.info
        chosen = _thumbnail(image, request.enough, notes) or image
        scale = scaling.scale_for(image.size, request.enough) if chosen is image else 1
        pixels = _to_pillow(chosen, scale)
    except ImageError:
        raise
    except MemoryError as error:
        raise too_large("a HEIC file") from error
    except Exception as error:
        raise damaged(error) from error
    profile = info.get("icc_profile")
    if profile:
        pixels.info["icc_profile"] = profile
    exif = info.get("exif") or b""
    return Picture(
        to_srgb(pixels, notes),
        width,
        height,
        kind.media,
        tuple(notes),
        exif.removeprefix(b"Exif\0\0"),
        info.get("xmp") or b"",
        profile=profile_name(profile, notes),
    )


def package() -> Any:
    """Return the first of `PACKAGES` that is installed."""
    for name in PACKAGES:
        try:
            return importlib.import_module(name)
        except ImportError:
            if name == PACKAGES[-1]:
                raise
    raise AssertionError("there is a last one")


def _thumbnail(image: Any, enough: int | None, notes: list[str]) -> Any | None:
    """Return the smallest thumbnail with `enough` pixels a side and the image's proportions."""
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


def _to_pillow(image: Any, scale: int) -> Any:
    """Return the pixels; an opaque picture is averaged over blocks of `scale` x `scale` pixels.

    This works strip by strip: filling 48 MB for 12 megapixels cost 25 of 40 ms.
    """
    from PIL import Image

    image.load()
    mode, (width, height), stride = image.mode, image.size, image.stride
    raw = {"RGBa": "RGBa", "RGBA;16": "RGBA;16L", "RGB;16": "RGB;16L"}.get(mode, mode)
    kind = {"RGBA;16": "RGBA", "RGB;16": "RGB", "L;16": "I;16", "I;16L": "I;16"}.get(mode, mode)
    if scale == 1 or kind not in ("RGB", "L"):
        return Image.frombytes(kind, image.size, image.data, "raw", raw, stride)
    small = Image.new(kind, (-(-width // scale), -(-height // scale)))
    content = memoryview(image.data)
    for top in range(0, height, _STRIP):
        rows = min(_STRIP, height - top)
        part = content[top * stride : (top + rows) * stride]
        strip = Image.frombytes(kind, (width, rows), part, "raw", raw, stride)
        small.paste(strip.reduce(scale), (0, top // scale))
    return small
