"""Decode images to upright sRGB, within limits.

`formats` lists the formats; a file's format is read from its content, never from its name. If
the caller needs fewer pixels than the file has, fewer are decoded: a JPEG at 1/2, 1/4 or 1/8 of
its size, a camera raw or HEIC file from its embedded preview. Decoders that can crash or hang on
a hostile file run in worker processes.

Bytes come in and pixels go out: nothing here opens a file, writes one or knows of a library.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pixseek.errors import ImageError
from pixseek.images.derived import COLOUR_NAMES
from pixseek.images.formats import EXTENSIONS, FORMATS, Format, decodable_formats, identify
from pixseek.images.limits import MAX_BYTES, MAX_PIXELS, MEMORY_MIB, TIMEOUT_S, Limits, Request

if TYPE_CHECKING:
    from PIL import Image

    from pixseek.images.derived import Derived
    from pixseek.types import Picture, Record

__all__ = [
    "COLOUR_NAMES",
    "EXTENSIONS",
    "FORMATS",
    "MAX_BYTES",
    "MAX_PIXELS",
    "Format",
    "decodable_formats",
    "decode",
    "decode_indexed",
    "derive",
    "perceptual_hash",
    "pixel_digest",
    "thumbnail",
    "turned",
]


def decode(
    data: bytes,
    *,
    at_least: int | None = None,
    exact: bool = False,
    strict: bool = False,
    demosaic: bool = False,
    max_pixels: int = MAX_PIXELS,
    max_bytes: int = MAX_BYTES,
    timeout_s: float = TIMEOUT_S,
    isolated: bool = False,
) -> Picture:
    """Decode one image. May be called from several threads at once.

    Large pictures wait for each other, so that all together take a bounded memory; see `budget`.
    That is no part of their time limit.

    Args:
        data: the file's content.
        at_least: pixels that each side must keep, if the format can be decoded at a fraction of
            its size; None for all pixels.
        exact: decode all pixels anyway: the same pixels that Pillow gives for the whole file.
        strict: refuse a truncated file even if at least half of its rows are present, instead of
            keeping it with a note that begins with "damaged".
        demosaic: develop camera raw files instead of using their embedded preview; needs rawpy.
        max_pixels: maximum number of pixels to decode.
        max_bytes: maximum size of the file.
        timeout_s: time limit, in seconds.
        isolated: decode in a worker process, whatever the format.

    Returns:
        A picture in mode "RGB": upright, in sRGB, transparency over white, the first frame.

    Raises:
        ImageError: the file can't be decoded; `reason` is "empty", "not-an-image", "no-decoder",
            "damaged", "too-large", "timeout" or "crashed".
    """
    from pixseek.images import budget
    from pixseek.images.decoders import decode_here
    from pixseek.images.isolation import decode_isolated

    if len(data) > max_bytes:
        raise ImageError(
            "too-large",
            f"The file is too large ({len(data):,} bytes)",
            advice=f"Make it smaller than {max_bytes >> 20} MiB.",
        )
    kind = identify(data)
    limits = Limits(max_pixels, max_bytes, timeout_s, MEMORY_MIB)
    request = Request(at_least, exact, strict, demosaic, limits)
    isolated = isolated or kind.isolated or (demosaic and kind.family == "raw")
    with budget.shared().taken(budget.needed(kind, data, request)):
        return (decode_isolated if isolated else decode_here)(kind, data, request)


def turned(picture: Picture, text: str) -> Picture:
    """Return a picture turned as only a sidecar says, with a text such as "Rotated 90 CW".

    The orientation in the file itself, which `decode` has applied, wins; see `orientation.TEXTS`.
    """
    from pixseek.images import orientation

    return orientation.turned(picture, text)


def decode_indexed(content: bytes, record: Record, *, at_least: int | None = None) -> Picture:
    """Return the picture of an indexed image as it was indexed, and as its preview shows it.

    Args:
        content: of its file, which only a sidecar may say to turn, or of its preview, which is
            upright already.
        record: of the image.
        at_least: as for `decode`.

    Returns:
        A picture whose width and height are those of the record, also if it is a preview.

    Raises:
        ImageError: as `decode`.
    """
    from pixseek.images import orientation

    return orientation.as_indexed(decode(content, at_least=at_least), content, record)


def thumbnail(picture: Picture, side: int) -> Image.Image:
    """Return the picture shrunk to fit a square of `side` pixels, proportions kept."""
    from PIL import Image

    small = picture.pixels.copy()
    small.thumbnail((side, side), Image.Resampling.LANCZOS)
    return small


def derive(picture: Picture, preview_side: int = 384) -> Derived:
    """Return a picture's preview, main colours and placeholder; see `Derived`."""
    from pixseek.images import derived

    return derived.derive(picture, preview_side)


def pixel_digest(data: bytes) -> str:
    """Return the SHA-256 of a file's coded picture, without its metadata; see `coded.digest`."""
    from pixseek.images import coded

    return coded.digest(data)


def perceptual_hash(picture: Picture) -> str:
    """Return 64 bits in 16 hexadecimal digits, close for pictures that look alike.

    "" for a picture of one shade; see `likeness.perceptual_hash`.
    """
    from pixseek.images import likeness

    return likeness.perceptual_hash(picture.pixels)
