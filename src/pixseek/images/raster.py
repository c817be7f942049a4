"""Decode the formats that Pillow reads.

Pillow's reader classes are called directly: nothing is registered with Pillow, and neither the
plugins that the host program registered nor Pillow's global pixel limit matter.
"""

from __future__ import annotations

import functools
import importlib
import io
import re
import time
import warnings
from typing import TYPE_CHECKING, Any

from pixseek.errors import ImageError
from pixseek.images import (
    boxes,
    colour,
    jpeg2000header,
    jpegheader,
    orientation,
    pngtext,
    scaling,
    tiffheader,
)
from pixseek.images.colour import profile_name, to_srgb
from pixseek.images.limits import BROKEN, Request, damaged, said_by, too_large, took_too_long
from pixseek.types import Picture

if TYPE_CHECKING:
    from PIL import Image

    from pixseek.images.formats import Format

#: A sequential JPEG may have this many times `max_pixels`, since pixels that are not kept take no
#: memory: 1 gigapixel takes about 3 s at 1/8 on one Zen 4 core.
_SEQUENTIAL_JPEG = 8

#: Maximum of scans times pixels in a progressive JPEG, at 0.5 ns or more each. Encoders write about
#: 10 scans; a hostile file of 100 kB can ask for thousands over many megapixels.
_MOST_SCAN_WORK = 4_000_000_000

#: Minimum share of a truncated picture's rows that makes it worth keeping.
WORTH_KEEPING = 0.5

#: Texts of a PNG that are passed on: the standard ones and those that image generators write.
_KEYWORDS = (
    "Title", "Description", "Comment", "Author", "Copyright", "Creation Time", "Software",
    "ImageDescription", "parameters", "prompt", "invokeai_metadata", "sd-metadata", "Dream",
)  # fmt: skip

#: Maximum number of XMP packets of a JPEG that are read.
_MOST_PACKETS = 4

#: Maximum bytes of one text. The node graph that some generators write takes about 10 kB.
_MOST_TEXT = 256 << 10

# A profile as ImageMagick and exiftool keep it in a PNG's text: its name, its length, its bytes.
# Without limits, a megabyte of white space would take hours.
_RAW_PROFILE = re.compile(r"\s{0,9}[^\n]{0,80}\n\s{0,20}(\d{1,9})\s{1,9}([0-9a-fA-F\s]+)")

_XMP_IN_JPEG = b"http://ns.adobe.com/xap/1.0/\0"


class _LateError(Exception):
    """The time limit for the file has passed."""


class _TimedBytes(io.BytesIO):
    """A file's content whose reads raise _LateError after a deadline.

    This is how a decoder that runs in this process is stopped.
    """

    def __init__(self, data: bytes, deadline: float) -> None:
        super().__init__(data)
        self._deadline = deadline

    def read(self, size: int | None = -1, /) -> bytes:
        if time.monotonic() > self._deadline:
            raise _LateError
        return super().read(size)


def decode(kind: Format, data: bytes, request: Request) -> Picture:
    """Decode one file with Pillow; see `pixseek.images.decode`."""
    deadline = time.monotonic() + request.limits.timeout_s
    notes: list[str] = []
    if kind.name == "ICO":
        _check_icon(data, request)
    elif kind.name == "PNG":
        data = pngtext.without_excess(data, notes)
    try:
        image = _open(kind, data, deadline)
    except _LateError:
        raise took_too_long(request.limits.timeout_s) from None
    except ImageError:
        raise
    except Exception as error:  # a hostile header can raise anything
        if kind.name == "TIFF" and "unknown pixel mode" in str(error):
            from pixseek.images import deeptiff

            return deeptiff.decode(kind, data, request)
        raise _too_large_or_damaged(error, "its header is broken") from error
    with image:
        try:
            return _decode(kind, image, data, request, deadline, notes)
        except ImageError:
            raise
        except _LateError:
            raise took_too_long(request.limits.timeout_s) from None
        except MemoryError as error:
            raise too_large(f"{image.width} x {image.height} pixels") from error
        except Exception as error:  # Pillow raises OSError, ValueError, SyntaxError and more
            raise _too_large_or_damaged(error) from error


def _decode(
    kind: Format,
    image: Image.Image,
    data: bytes,
    request: Request,
    deadline: float,
    notes: list[str],
) -> Picture:
    width, height = image.size
    exif, xmp = _exif(image, data), _xmp(image, data)
    turn = orientation.stored_orientation(exif, xmp)
    enough = request.enough
    if kind.name == "JPEG":
        _check_jpeg(data, image.size, request)
        _draft(image, enough, turn)
    request.limits.check_pixels(*image.size)
    if kind.name == "JPEG2000":
        image = _halved_jpeg2000(
            kind, image, data, deadline, scaling.scale_for(image.size, enough, turn)
        )
    try:
        image.load()
    except (_LateError, MemoryError):
        raise
    except Exception as error:
        if time.monotonic() > deadline:  # a C decoder may turn _LateError into an error of its own
            raise _LateError from error
        if type(error).__name__ == "DecompressionBombError" or request.strict:
            raise
        if kind.name == "JPEG":
            image = _completed_jpeg(kind, data, deadline, enough, turn)
        _keep_truncated(image, error, notes)
    request.limits.check_pixels(*image.size)  # an icon's size is known only after loading
    if kind.name in ("TIFF", "ICO"):  # Pillow turns a TIFF upright; an icon has several sizes
        width, height = image.size
    if kind.name == "PNG" and not (exif and xmp):  # their chunks may follow the pixels
        exif, xmp = exif or _exif(image, data), xmp or _xmp(image, data)
        turn = orientation.stored_orientation(exif, xmp)
    elif kind.name == "TIFF" and tiffheader.orientation(exif):
        turn = 1
    texts = _texts(image)  # before looking for a second frame, which makes a GIF drop them
    _note_frames(kind, image, notes)
    iptc = _iptc(image, data)
    bits = _sample_bits(image)
    profile = image.info.get("icc_profile")
    scale = 1
    if kind.name != "JPEG":
        scale = scaling.scale_for(image.size, enough, turn)
        small = scaling.reduced(image, enough, turn)
        scale, image = (scale, image) if small is image else (1, small)
    pixels = to_srgb(image, notes, bits=bits, scale=scale)
    if pixels is not image:
        image.close()  # now, so that three of a large one are never there at once
    pixels = orientation.upright(pixels, turn)
    if orientation.on_its_side(turn):
        width, height = height, width
    named = profile_name(profile, notes)
    return Picture(pixels, width, height, kind.media, tuple(notes), exif, xmp, iptc, texts, named)


def _open(kind: Format, data: bytes, deadline: float) -> Any:
    _quiet_pillow()
    module, _, name = kind.plugin.partition(".")
    reader = getattr(importlib.import_module(f"PIL.{module}"), name)
    return reader(_TimedBytes(data, deadline))


@functools.cache
def _quiet_pillow() -> None:
    """Silence Pillow's warnings about odd tags, which are frequent and name no file.

    Done once for the process, not around each call, because warning filters aren't per thread.
    """
    for module in ("TiffImagePlugin", "PngImagePlugin", "GifImagePlugin", "JpegImagePlugin"):
        warnings.filterwarnings("ignore", category=UserWarning, module=rf"PIL\.{module}")


def _too_large_or_damaged(error: Exception, what: str = "") -> ImageError:
    if type(error).__name__ == "DecompressionBombError":  # Pillow's own limit, inside a reader
        pixels = re.search(r"\d+", str(error))
        return too_large(f"{int(pixels[0]):,} pixels" if pixels else "too many pixels")
    return damaged(": ".join(filter(None, (what, said_by(error)))) or error)


# ------------------------------------------------------------------ limits


def _check_jpeg(data: bytes, size: tuple[int, int], request: Request) -> None:
    """Raise ImageError if decoding a JPEG would take too much memory or time."""
    limits = request.limits
    width, height = size
    frame = jpegheader.frame(data)
    # If our reading of the header differs from the decoder's, assume the costlier kind.
    if frame and frame.one_scan and (frame.width, frame.height) == size:
        if width * height > _SEQUENTIAL_JPEG * limits.max_pixels:
            raise too_large(f"{width} x {height} pixels", limits.max_pixels)
        return
    limits.check_pixels(width, height)
    scans = jpegheader.scans(data)
    if scans * width * height > _MOST_SCAN_WORK and scans > 64:
        raise too_large(f"{width} x {height} pixels in {scans} scans")


def _check_icon(data: bytes, request: Request) -> None:
    """Raise ImageError if an icon holds a picture over the limit, whatever its directory says."""
    for entry in range(6, min(6 + 16 * int.from_bytes(data[4:6], "little"), len(data) - 15), 16):
        at = int.from_bytes(data[entry + 12 : entry + 16], "little")
        if data[at : at + 8] == b"\x89PNG\r\n\x1a\n":
            width, height = data[at + 16 : at + 20], data[at + 20 : at + 24]
            request.limits.check_pixels(int.from_bytes(width, "big"), int.from_bytes(height, "big"))
        elif len(data) >= at + 12:
            width, height = data[at + 4 : at + 8], data[at + 8 : at + 12]
            request.limits.check_pixels(
                abs(int.from_bytes(width, "little", signed=True)),
                abs(int.from_bytes(height, "little", signed=True)),
            )


def _draft(image: Image.Image, enough: int | None, turn: int) -> None:
    """Set a JPEG to decode at 1/2, 1/4 or 1/8 if that leaves `enough` pixels a side."""
    scale = scaling.scale_for(image.size, enough, turn)
    if scale > 1:
        image.draft(None, (image.width // scale, image.height // scale))


def _halved_jpeg2000(
    kind: Format, image: Any, data: bytes, deadline: float, scale: int
) -> Image.Image:
    """Return a JPEG 2000 decoded at 1/2, 1/4 or 1/8, or the image itself if it can't be."""
    from PIL.Image import Resampling, Transform

    halvings = min(scale.bit_length() - 1, jpeg2000header.levels(data))
    if not halvings or image.mode not in ("RGB", "L", "CMYK"):
        whole: Image.Image = image
        return whole
    scale = 1 << halvings
    small = _open(kind, data, deadline)
    # The decoder rounds reduced sides up and Pillow to the nearest, so Pillow refuses many sizes.
    # With sides that the scale divides, both agree.
    small._size = tuple(-(-side // scale) * scale for side in image.size)
    small.reduce = halvings
    try:
        small.load()
    except (_LateError, MemoryError):
        raise
    except Exception:  # damaged, or a tile has fewer levels than the header says: decode it whole
        return _open(kind, data, deadline)  # type: ignore[no-any-return]
    # Reduced pixels sit at the corners of their blocks, not in the middle. Moving them back cut the
    # largest error in a model's input from 38 levels of 255 to 10 (docs/decoding.md).
    back = (scale - 1) / 2 / scale
    moved: Image.Image = small.transform(
        small.size, Transform.AFFINE, (1, 0, back, 0, 1, back), Resampling.BICUBIC
    )
    return moved


# ------------------------------------------------------------------ truncated files


def _completed_jpeg(
    kind: Format, data: bytes, deadline: float, enough: int | None, turn: int
) -> Image.Image:
    """Return a truncated JPEG with the missing part in grey.

    An end marker after the last byte makes the decoder fill in the rest. Pillow's own option for
    this is global.
    """
    image: Image.Image = _open(kind, data + b"\xff\xd9", deadline)
    _draft(image, enough, turn)
    image.load()
    return image


def _keep_truncated(image: Image.Image, error: Exception, notes: list[str]) -> None:
    """Make an image usable whose loading failed midway, and append a note.

    Raises:
        ImageError: less than half of its rows are present.
    """
    image.tile = []  # type: ignore[attr-defined]  # the rows that were decoded are in the image
    if image._im is None or image.format == "PSD":  # a PSD stores one channel after the other
        raise damaged(error) from error
    share = _rows_there(image) / image.height
    if share < WORTH_KEEPING:
        said = said_by(error)
        raise damaged(f"{said or BROKEN}; only {share:.0%} of the picture is present") from error
    notes.append(truncated_note(share))


def _rows_there(image: Image.Image) -> int:
    """Return how many rows were decoded: up to the last that differs from the missing ones.

    Missing rows have a single colour: black, transparent, or a JPEG's grey.
    """
    import numpy as np

    width, height = image.size
    rows = max(1, colour.STRIP // width)
    from_bottom = image.format in ("BMP", "DIB")  # they store their last row first
    missing = None
    for left in range(height, 0, -rows):  # the rows that are not looked at yet
        first, last = max(0, left - rows), left
        if from_bottom:
            first, last = height - left, height - max(0, left - rows)
        strip = np.asarray(image.crop((0, first, width, last)))
        strip = strip[::-1] if from_bottom else strip
        missing = strip[-1, -1] if missing is None else missing
        there = (strip != missing).reshape(len(strip), -1).any(axis=1)
        if there.any():
            return max(0, left - rows) + int(there.nonzero()[0][-1]) + 1
    return 0


def truncated_note(share: float) -> str:
    """Return the note for a truncated file that has this share of its rows."""
    if share < 0.995:
        return f"damaged: {1 - share:.0%} of the picture is missing"
    return "damaged: the file is cut off before its end"


# ------------------------------------------------------------------ metadata in the file


def _note_frames(kind: Format, image: Image.Image, notes: list[str]) -> None:
    if kind.name not in ("GIF", "WEBP", "PNG", "AVIF", "TIFF"):
        return
    try:
        several = bool(getattr(image, "is_animated", False))
    except Exception:  # a GIF reads its second frame here, which may be broken
        return
    if several:
        notes.append(
            "several pages: first page" if kind.name == "TIFF" else "animated: first frame"
        )


def _sample_bits(image: Image.Image) -> int:
    """Return how many bits of a 16-bit grey sample are used; some scanners use 10, 12 or 14."""
    tags = getattr(image, "tag_v2", None)
    if tags is None:
        return 16
    try:
        return int(tags.get(258, (16,))[0])
    except (TypeError, ValueError, IndexError):
        return 16


def _exif(image: Image.Image, data: bytes) -> bytes:
    """Return the EXIF block, from its TIFF header on; for a TIFF that is the whole file."""
    if hasattr(image, "tag_v2"):
        return data
    block: object = image.info.get("exif") or _raw_profile(image, "exif")
    if not block and (app1 := _raw_profile(image, "APP1")).startswith(b"Exif\0\0"):
        block = app1
    if not block and image.format == "JPEG2000":
        block = boxes.embedded_metadata(data)[0]
    if not block and image.format == "PSD":
        block = _photoshop_resource(image, 1058)
    if not isinstance(block, bytes):
        return b""
    return block.removeprefix(b"Exif\0\0")


def _xmp(image: Image.Image, data: bytes) -> bytes:
    if image.format == "JPEG":
        return _xmp_of_jpeg(image, data)
    packet: object = image.info.get("xmp")
    if not packet and image.format == "PNG":
        packet = _text_bytes(image.info.get("XML:com.adobe.xmp")) or _raw_profile(image, "xmp")
        if not packet and (app1 := _raw_profile(image, "APP1")).startswith(_XMP_IN_JPEG):
            packet = app1.removeprefix(_XMP_IN_JPEG)
    if not packet and image.format == "JPEG2000":
        packet = boxes.embedded_metadata(data)[1]
    if not packet and image.format == "PSD":
        packet = _photoshop_resource(image, 1060)
    if not packet and image.format == "GIF":
        start = data.find(b"<x:xmpmeta")
        end = data.find(b"</x:xmpmeta>", start)
        packet = data[start : end + 12] if 0 <= start < end else b""
    return packet if isinstance(packet, bytes) else b""


def _xmp_of_jpeg(image: Image.Image, data: bytes) -> bytes:
    """Return the packets of a JPEG, one behind the other; nearly all have one.

    Pillow gives the last, which may be what an editor left of the one that it replaced.
    """
    last: object = image.info.get("xmp")
    if not isinstance(last, bytes):
        return b""
    packets: list[bytes] = []
    at = data.find(_XMP_IN_JPEG)
    while 4 <= at < len(data) and data[at - 4 : at - 2] == b"\xff\xe1":
        end = at - 2 + int.from_bytes(data[at - 2 : at], "big")
        packets.append(data[at + len(_XMP_IN_JPEG) : end])
        if packets[-1] == last or len(packets) == _MOST_PACKETS:
            break
        at = data.find(_XMP_IN_JPEG, end)
    return b"\n".join(packets) if packets and packets[-1] == last else last


def _iptc(image: Image.Image, data: bytes) -> bytes:
    tags = getattr(image, "tag_v2", None)
    if tags is not None:
        first = next(tiffheader.directories(data), None)
        return _iptc_of_tiff(first) if first else b""
    for name in ("iptc", "8bim"):
        if block := _raw_profile(image, name):
            return _resource(block, 0x0404) if block.startswith(b"8BIM") else block
    if image.format == "PSD":
        return _photoshop_resource(image, 0x0404)
    resources = image.info.get("photoshop")
    found = resources.get(0x0404) if isinstance(resources, dict) else b""
    return found if isinstance(found, bytes) else b""


def _iptc_of_tiff(first: tiffheader.Directory) -> bytes:
    """Return IPTC from its own tag or from Photoshop's resources, whichever has more.

    ImageMagick cuts the tag to a quarter; libtiff counts it in integers, and may swap their bytes.
    """
    block = first.content(tiffheader.IPTC)
    if block[:1] != b"\x1c" and block[3:4] == b"\x1c":
        block = b"".join(block[at : at + 4][::-1] for at in range(0, len(block), 4))
    inner = _resource(first.content(tiffheader.PHOTOSHOP), 0x0404)
    return inner if len(inner) > len(block) else block


def _texts(image: Image.Image) -> dict[str, bytes]:
    """Return a file's comment and a PNG's texts, by keyword, each cut to a sane length."""
    found: dict[str, bytes] = {}
    for keyword in _KEYWORDS:
        text = image.info.get("comment" if keyword == "Comment" else keyword)
        text = image.info.get(keyword) if text is None else text
        if content := _text_bytes(text):
            found[keyword] = content[:_MOST_TEXT]
    return found


def _text_bytes(text: object) -> bytes:
    """Return a text of a PNG, or a comment, as it is in the file; b"" if there is none."""
    from PIL.PngImagePlugin import iTXt

    if isinstance(text, str):
        # Pillow reads other than "international" texts as Latin-1, which preserves the bytes.
        text = text.encode("utf-8" if isinstance(text, iTXt) else "latin-1", "replace")
    return text if isinstance(text, bytes) else b""


def _raw_profile(image: Image.Image, name: str) -> bytes:
    """Return a profile that is kept as hexadecimal digits in a text of a PNG; b"" if absent."""
    text = image.info.get(f"Raw profile type {name}")
    found = None if text is None else _RAW_PROFILE.match(str(text))
    try:
        return bytes.fromhex(found[2])[: int(found[1])] if found else b""
    except ValueError:
        return b""


def _photoshop_resource(image: Image.Image, number: int) -> bytes:
    for kind, _, content in getattr(image, "resources", ()):
        if kind == number and isinstance(content, bytes):
            return content
    return b""


def _resource(block: bytes, number: int) -> bytes:
    """Return one image resource from a block of Photoshop's; b"" if absent."""
    at = 0
    while block[at : at + 4] == b"8BIM" and at + 12 <= len(block):
        kind = int.from_bytes(block[at + 4 : at + 6], "big")
        name = block[at + 6] + 1
        start = at + 6 + name + name % 2
        size = int.from_bytes(block[start : start + 4], "big")
        if kind == number:
            return block[start + 4 : start + 4 + size]
        at = start + 4 + size + size % 2
    return b""
