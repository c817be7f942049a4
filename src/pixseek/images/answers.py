"""Check what a worker process answers against what the picture in the file can be.

The decoder in it may have been taken over by the file, so nothing it says is believed: an answer
has the types, sizes and lengths of a picture within the limits, or it is refused. It can still
show another picture than the file holds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pixseek.errors import ImageError
from pixseek.images import sizes
from pixseek.images.limits import Request
from pixseek.types import Picture
from pixseek.types.dataclass import dataclass

if TYPE_CHECKING:
    from pixseek.images.formats import Format

#: Maximum bytes of all metadata that a file of no bytes could have. Metadata are parts of the file,
#: some of them compressed in it.
_MOST_METADATA = 16 << 20

#: Maximum characters of one text in an answer's head, and texts in a list of them.
_LONGEST, _MOST_TEXTS = 2000, 64

#: A developed raw file may have this many times the sides that its header gives: LibRaw stretches
#: pixels that are not square, and turns the sensor of some cameras.
_STRETCHED = 2


@dataclass(frozen=True, slots=True)
class Answer:
    """What a worker says of a picture; its blobs have the lengths in `lengths`.

    Attributes:
        size: width and height of the pixels.
        width, height: of the original.
        notes, profile: as in `Picture`.
        exif_is_file: whether the EXIF block is the whole file, and was not sent.
        texts: the keywords of the texts, which are the last blobs.
        lengths: of the pixels, EXIF, XMP, IPTC and the texts, in bytes.
    """

    size: tuple[int, int]
    width: int
    height: int
    notes: tuple[str, ...]
    profile: str
    exif_is_file: bool
    texts: tuple[str, ...]
    lengths: tuple[int, ...]

    def picture(self, kind: Format, data: bytes, blobs: Sequence[bytes | bytearray]) -> Picture:
        """Return the picture, from the blobs and the file's content."""
        from PIL import Image

        pixels, exif, xmp, iptc, *texts = blobs
        return Picture(
            Image.frombytes("RGB", self.size, pixels),
            self.width,
            self.height,
            kind.media,
            self.notes,
            data if self.exif_is_file else bytes(exif),
            bytes(xmp),
            bytes(iptc),
            dict(zip(self.texts, map(bytes, texts), strict=True)),
            self.profile,
        )


def checked(head: Mapping[str, Any], kind: Format, data: bytes, request: Request) -> Answer:
    """Return a worker's answer to the question for a file.

    Raises:
        ImageError: the worker refused the file.
        ValueError: the answer can't be true; the message says why.
    """
    lengths = _list(head, "blobs")
    if "error" in head:
        if lengths:
            raise ValueError("an error with data")
        raise _refusal(head)
    width, height = _side(head.get("width")), _side(head.get("height"))
    size = _list(head, "size")
    if len(size) != 2:
        raise ValueError("a size that is not width and height")
    across, down = _side(size[0]), _side(size[1])
    if across * down > request.limits.max_pixels:
        raise ValueError(f"{across} x {down} pixels")
    if kind.family != "svg":
        most = _STRETCHED if request.demosaic and kind.family == "raw" else 1
        if across > most * width or down > most * height:
            raise ValueError(f"{across} x {down} pixels of {width} x {height}")
    known = sizes.declared(data)
    if known and kind.family not in ("svg", "raw") and across * down > known[0] * known[1]:
        raise ValueError(f"{across} x {down} pixels; the file has {known[0]} x {known[1]}")
    texts = _texts(head, "texts")
    if len(lengths) != 4 + len(texts) or len(set(texts)) != len(texts):
        raise ValueError(f"{len(lengths)} blobs for {len(texts)} texts")
    if any(type(length) is not int or length < 0 for length in lengths):
        raise ValueError("a length that is not a number")
    if lengths[0] != 3 * across * down:
        raise ValueError(f"{lengths[0]:,} bytes for {across} x {down} pixels")
    # XMP and IPTC of a TIFF may share their place in the file.
    if sum(lengths[1:]) > 3 * len(data) + _MOST_METADATA:
        raise ValueError(f"{sum(lengths[1:]):,} bytes of metadata in {len(data):,} of the file")
    return Answer(
        (across, down),
        width,
        height,
        _texts(head, "notes"),
        _text(head.get("profile")),
        head.get("exif_is_file") is True,
        texts,
        tuple(lengths),
    )


def _refusal(head: Mapping[str, Any]) -> ImageError:
    reason, problem, advice = map(_text, _list(head, "error", length=3))
    if reason not in ImageError.REASONS:
        raise ValueError("an unknown reason")
    return ImageError(reason, problem, advice=advice)


def _side(value: object) -> int:
    if type(value) is not int or not 1 <= value < 1 << 31:
        raise ValueError("a side that is not a number of pixels")
    return value


def _list(head: Mapping[str, Any], name: str, *, length: int | None = None) -> list[Any]:
    value = head.get(name)
    if not isinstance(value, list) or len(value) > _MOST_TEXTS + 4:
        raise ValueError(f"{name}: not a list")
    if length is not None and len(value) != length:
        raise ValueError(f"{name}: {len(value)} values")
    return value


def _texts(head: Mapping[str, Any], name: str) -> tuple[str, ...]:
    return tuple(map(_text, _list(head, name)))


def _text(value: object) -> str:
    if not isinstance(value, str) or len(value) > _LONGEST:
        raise ValueError("a text that is none, or too long")
    return value
