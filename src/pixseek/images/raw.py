"""Camera raw files: the preview that the camera put into them, or, if asked, the sensor's data.

The preview is a plain JPEG inside the file, mostly of full size. Every maker stores it in another
place, but all store it as it is, so it is found by its header, without a decoder in C: no maker's
format has to be known, and a hostile file is no worse than a hostile JPEG.
"""

from __future__ import annotations

import importlib
import io
from dataclasses import replace
from typing import TYPE_CHECKING

from pixseek.errors import ImageError
from pixseek.images import boxes, jpegheader, orientation, raster, tiffheader
from pixseek.images.limits import Request, damaged, too_large
from pixseek.types import Picture

if TYPE_CHECKING:
    from pixseek.images.formats import Format

#: Previews of other proportions than the largest one have black bars.
_SAME_SHAPE = 0.02

#: Starts of JPEGs that are looked at in one file; real files have two to five.
_MOST_PREVIEWS = 256

_CANON = bytes.fromhex("85c0b687820f11e08111f4ce462b6a48")


def decode(each: Format, data: bytes, request: Request) -> Picture:
    """Return the preview in a raw file; see `pixseek.images.decode`."""
    from pixseek.images.formats import by_name

    found = previews(data)
    if not found:
        raise ImageError(
            "no-decoder",
            f"This {each.name} file holds no preview",
            advice="Develop it to a JPEG, or have raw files developed: decode(..., demosaic=True)",
        )
    largest = max(found, key=lambda each: each[1].width * each[1].height)
    start, frame = _smallest_enough(found, largest, request.enough)
    # A slice to the end, since the header doesn't say where the JPEG ends; the view costs nothing.
    jpeg = raster.decode(by_name("JPEG"), data[start:], request)
    container = _tiff(data)
    turn = orientation.stored_orientation(container, b"") if container else 1
    own = orientation.stored_orientation(jpeg.exif, jpeg.xmp)
    width, height = _full_size(data, largest[1])
    pixels = jpeg.pixels
    if container and turn != own:
        # The preview has no orientation of its own, or its own is wrong: the file's counts.
        pixels = orientation.upright(pixels, _undo(own))
        pixels = orientation.upright(pixels, turn)
    if orientation.on_its_side(turn if container else own):
        width, height = height, width
    notes = [*jpeg.notes, "camera raw: embedded preview"]
    if min(frame.width, frame.height) < min(request.at_least or 0, width, height):
        notes.append(f"small preview: {frame.width} x {frame.height} pixels")
    return replace(
        jpeg,
        pixels=pixels,
        width=width,
        height=height,
        media=each.media,
        notes=tuple(notes),
        exif=container or jpeg.exif,
        xmp=_first(container, tiffheader.XMP) or jpeg.xmp,
        iptc=_first(container, tiffheader.IPTC) or jpeg.iptc,
    )


def _first(container: bytes, tag: int) -> bytes:
    """Return the content of a tag of the first directory; b"" where it has none."""
    directory = next(tiffheader.directories(container), None)
    return directory.content(tag) if directory else b""


def develop(each: Format, data: bytes, request: Request) -> Picture:
    """Demosaic a raw file, at half its size, with the camera's white balance.

    Raises:
        ImageError: it can't be; or rawpy is not installed.
    """
    from PIL import Image

    try:
        rawpy = importlib.import_module("rawpy")
    except ImportError as error:
        from pixseek.images.formats import EXTRA

        raise ImageError(
            "no-decoder",
            f"Developing {each.name} files needs rawpy, which is not installed",
            advice=f"Install it with: pip install 'pixseek[{EXTRA}]'",
        ) from error
    try:
        with rawpy.imread(io.BytesIO(data)) as raw:
            width, height = raw.sizes.width, raw.sizes.height
            request.limits.check_pixels(width, height)
            turned = raw.sizes.flip in (5, 6)
            rgb = raw.postprocess(
                use_camera_wb=True, half_size=not request.exact, output_bps=8, no_auto_bright=False
            )
    except ImageError:
        raise
    except MemoryError as error:
        raise too_large("the raw data") from error
    except Exception as error:
        raise damaged(error) from error
    if turned:
        width, height = height, width
    notes = ("camera raw: developed",)
    return Picture(Image.fromarray(rgb), width, height, each.media, notes, exif=_tiff(data))


def previews(data: bytes) -> list[tuple[int, jpegheader.Frame]]:
    """Return where JPEGs that Pillow can decode begin in `data`, with their frames."""
    found: list[tuple[int, jpegheader.Frame]] = []
    at = data.find(b"\xff\xd8\xff")
    while at >= 0 and len(found) < _MOST_PREVIEWS:
        frame = jpegheader.frame(data, at)
        # Lossless JPEG (3) is how makers store the sensor's data, of one or two components.
        if frame and frame.kind in (0, 1, 2) and frame.components == 3 and frame.width > 64:
            found.append((at, frame))
        at = data.find(b"\xff\xd8\xff", at + 3)
    return found


def _smallest_enough(
    found: list[tuple[int, jpegheader.Frame]],
    largest: tuple[int, jpegheader.Frame],
    enough: int | None,
) -> tuple[int, jpegheader.Frame]:
    if enough is None:
        return largest
    shape = largest[1].width / largest[1].height
    good = [
        each
        for each in found
        if min(each[1].width, each[1].height) >= enough
        and abs(each[1].width / each[1].height / shape - 1) < _SAME_SHAPE
    ]
    return min(good, key=lambda each: each[1].width, default=largest)


def _tiff(data: bytes) -> bytes:
    """Return the file from its TIFF header on; b"" for formats that are made otherwise."""
    head = data[:4]
    if head in (b"II*\0", b"MM\0*"):
        return data
    if head in (b"IIRO", b"IIRS", b"IIU\0"):
        return data[:2] + b"*\0" + data[4:]
    if head == b"MMOR":
        return b"MM\0*" + data[4:]
    if boxes.brands(data)[:1] == (b"crx ",):
        for kind, start, end in boxes.boxes(data):
            if kind == b"moov":
                for inner, first, last in boxes.boxes(data, start, end):
                    if inner == b"uuid" and data[first : first + 16] == _CANON:
                        for name, begin, stop in boxes.boxes(data, first + 16, last):
                            if name == b"CMT1":
                                return data[begin:stop]
    return b""


def _full_size(data: bytes, largest: jpegheader.Frame) -> tuple[int, int]:
    """Return width and height of the sensor's image, where its proportions fit the preview."""
    sizes = [(largest.width, largest.height)]
    shape = largest.width / largest.height
    for directory in tiffheader.directories(data):
        width = directory.number(tiffheader.IMAGE_WIDTH)
        height = directory.number(tiffheader.IMAGE_LENGTH)
        if width and height and abs(width / height / shape - 1) < _SAME_SHAPE:
            sizes.append((width, height))
    return max(sizes)


def _undo(turn: int) -> int:
    return {6: 8, 8: 6}.get(turn, turn)
