"""Decode camera raw files: the embedded preview or, on request, the sensor's data.

The preview is a plain JPEG inside the file, usually of full size. It is read from where the file
says it is. If none of those is large enough, the whole file is searched for JPEG headers, since
all makers store the preview as an ordinary JPEG. Only the JPEG decoder sees the file's bytes, so a
hostile raw file is no worse than a hostile JPEG.
"""

from __future__ import annotations

import importlib
import io
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pixseek.errors import ImageError
from pixseek.images import boxes, jpegheader, orientation, raster, rawlayout, tiffheader
from pixseek.images.limits import Request, damaged, too_large
from pixseek.types import Picture
from pixseek.types.dataclass import dataclass

if TYPE_CHECKING:
    from pixseek.images.formats import Format

#: Maximum difference of proportions; a preview that differs more from the largest has black bars.
_SAME_SHAPE = 0.02

_JPEG, _JPEG_END = b"\xff\xd8\xff", b"\xff\xd9"

#: Maximum number of candidate JPEG headers examined; real files have two to ten.
_MOST_PREVIEWS = 256

#: Maximum number of zeros with which a camera pads a JPEG: its end marker must be in this many
#: bytes before the end that the file gives.
_PADDING = 1 << 16


@dataclass(frozen=True, slots=True)
class Preview:
    """A JPEG in a raw file.

    Attributes:
        start: position of its first byte.
        end: position after its last byte, or later.
        frame: its frame header.
    """

    start: int
    end: int
    frame: jpegheader.Frame

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, in pixels."""
        return self.frame.width, self.frame.height

    @property
    def shape(self) -> float:
        """Width divided by height."""
        return self.frame.width / self.frame.height


def decode(kind: Format, data: bytes, request: Request) -> Picture:
    """Decode the preview in a raw file; see `pixseek.images.decode`."""
    from pixseek.images.formats import by_name

    found = previews(data, request.enough)
    if not found:
        raise ImageError(
            "no-decoder",
            f"This {kind.name} file has no embedded preview",
            advice="Develop raw files instead: pixseek index --demosaic --retry",
        )
    largest = max(found, key=lambda each: each.size[0] * each.size[1])
    chosen = _smallest_enough(found, largest, request.enough)
    jpeg = raster.decode(by_name("JPEG"), data[chosen.start : chosen.end], request)
    container = _tiff(data)
    turn = orientation.stored_orientation(container, b"") if container else 1
    own = orientation.stored_orientation(jpeg.exif, jpeg.xmp)
    width, height = _full_size(data, largest)
    pixels = jpeg.pixels
    if container and turn != own:
        # The preview has no orientation of its own, or a wrong one: use the file's.
        pixels = orientation.upright(pixels, _undo(own))
        pixels = orientation.upright(pixels, turn)
    if orientation.on_its_side(turn if container else own):
        width, height = height, width
    notes = [*jpeg.notes, "camera raw: embedded preview"]
    if min(chosen.size) < min(request.at_least or 0, width, height):
        notes.append("small preview: {} x {} pixels".format(*chosen.size))
    return replace(
        jpeg,
        pixels=pixels,
        width=width,
        height=height,
        media=kind.media,
        notes=tuple(notes),
        exif=container or jpeg.exif,
        xmp=_first(container, tiffheader.XMP) or jpeg.xmp,
        iptc=_first(container, tiffheader.IPTC) or jpeg.iptc,
    )


def _first(container: bytes, tag: int) -> bytes:
    """Return the content of a tag in the first directory; b"" if absent."""
    directory = next(tiffheader.directories(container), None)
    return directory.content(tag) if directory else b""


def develop(kind: Format, data: bytes, request: Request) -> Picture:
    """Demosaic a raw file with the camera's white balance, at half its size unless exact.

    Raises:
        ImageError: the file can't be developed, or rawpy is not installed.
    """
    from PIL import Image

    try:
        rawpy = importlib.import_module("rawpy")
    except ImportError as error:
        from pixseek.images.formats import EXTRA

        raise ImageError(
            "no-decoder",
            f"Developing {kind.name} files needs rawpy, which is not installed",
            advice=f"Install it with: pip install 'pixseek[{EXTRA}]'\nThen: pixseek index --retry",
        ) from error
    try:
        with rawpy.imread(io.BytesIO(data)) as raw:
            width, height = raw.sizes.width, raw.sizes.height
            request.limits.check_pixels(width, height)
            turned = raw.sizes.flip in (5, 6)
            notes = ["camera raw: developed", *_missing(raw.raw_image_visible, request)]
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
    container = _tiff(data)
    return Picture(
        Image.fromarray(rgb),
        width,
        height,
        kind.media,
        tuple(notes),
        exif=container,
        xmp=_first(container, tiffheader.XMP),
        iptc=_first(container, tiffheader.IPTC),
    )


def _missing(sensor: Any, request: Request) -> list[str]:
    """Return a note about the missing rows of a truncated file; [] for a complete one.

    LibRaw doesn't report them: it develops them to black or to some colour.

    Raises:
        ImageError: less than half of the rows are present, or damaged files are refused.
    """
    # Missing samples are zero; a sensor never gives zero for a whole row.
    share = float(sensor.reshape(len(sensor), -1).any(axis=1).mean())
    if share == 1:
        return []
    if request.strict or share < raster.WORTH_KEEPING:
        raise damaged(f"only {share:.0%} of the sensor's data is present")
    return [raster.truncated_note(share)]


def previews(data: bytes, enough: int | None = None) -> list[Preview]:
    """Return the JPEGs in `data` that Pillow can decode.

    Args:
        data: a raw file.
        enough: pixels a side. If a preview that the file names has that many, the file is not
            searched for others, which takes 1 ms per MB. None to search always.
    """
    named = [_preview(data, *span) for span in rawlayout.spans(data)] if enough else []
    found = [each for each in named if each is not None]
    if any(min(each.size) >= (enough or 0) for each in found):
        return found
    return _searched(data)


def _preview(data: bytes, start: int, length: int) -> Preview | None:
    """Return the preview at a place that the file names; None if there is no JPEG."""
    if data[start : start + 3] != _JPEG:
        return None
    end = start + length
    # If the length is wrong or missing, taking too much is better than truncating the picture.
    if not length or data.rfind(_JPEG_END, max(start, end - _PADDING), end) < 0:
        end = len(data)
    frame = jpegheader.frame(data, start)
    return Preview(start, end, frame) if frame and _is_picture(frame) else None


def _searched(data: bytes) -> list[Preview]:
    found: list[Preview] = []
    start = -1
    for _ in range(_MOST_PREVIEWS):
        start = data.find(_JPEG, start + 1)
        if start < 0:
            break
        frame = jpegheader.frame(data, start)
        if frame and _is_picture(frame):
            found.append(Preview(start, len(data), frame))
    return found


def _is_picture(frame: jpegheader.Frame) -> bool:
    # The sensor's data is stored as lossless JPEG (kind 3) with one or two components.
    return (
        frame.kind in (0, 1, 2) and frame.components == 3 and frame.width > 64 and frame.height > 0
    )


def _smallest_enough(found: list[Preview], largest: Preview, enough: int | None) -> Preview:
    if enough is None:
        return largest
    good = [
        each
        for each in found
        if min(each.size) >= enough and abs(each.shape / largest.shape - 1) < _SAME_SHAPE
    ]
    return min(good, key=lambda each: each.size, default=largest)


def _tiff(data: bytes) -> bytes:
    """Return the TIFF that holds the file's metadata; b"" for formats not based on TIFF."""
    head = data[:4]
    if head in (b"II*\0", b"MM\0*"):
        return data
    if head in (b"IIRO", b"IIRS", b"IIU\0"):
        return data[:2] + b"*\0" + data[4:]
    if head == b"MMOR":
        return b"MM\0*" + data[4:]
    return rawlayout.canon_directory(data) if boxes.brands(data)[:1] == (b"crx ",) else b""


def _full_size(data: bytes, largest: Preview) -> tuple[int, int]:
    """Return width and height of the sensor's image, or of the preview if proportions differ."""
    sizes = [largest.size]
    for directory in tiffheader.directories(data):
        width = directory.number(tiffheader.IMAGE_WIDTH)
        height = directory.number(tiffheader.IMAGE_LENGTH)
        if width and height and abs(width / height / largest.shape - 1) < _SAME_SHAPE:
            sizes.append((width, height))
    return max(sizes)


def _undo(turn: int) -> int:
    return {6: 8, 8: 6}.get(turn, turn)
