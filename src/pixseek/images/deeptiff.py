"""Decode colour TIFFs with 32-bit or float samples, which Pillow can't, through tifffile."""

from __future__ import annotations

import importlib
import io
from typing import TYPE_CHECKING, Any

from pixseek.errors import ImageError
from pixseek.images import orientation, scaling, tiffheader
from pixseek.images.colour import eight_bits, profile_name, to_srgb
from pixseek.images.limits import Request, damaged, too_large
from pixseek.types import Picture

if TYPE_CHECKING:
    from pixseek.images.formats import Format

#: Maximum bytes of unpacked samples: 128 megapixels of three 32-bit floats.
_MOST_BYTES = 3 << 29

_MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}


def decode(kind: Format, data: bytes, request: Request) -> Picture:
    """Decode the first page of such a TIFF.

    Samples become 8 bits in the same way as those of a grey TIFF.

    Raises:
        ImageError: the page can't be decoded, or tifffile is not installed.
    """
    from PIL import Image

    try:
        tifffile = importlib.import_module("tifffile")
    except ImportError as error:
        from pixseek.images.formats import EXTRA

        raise ImageError(
            "no-decoder",
            "Decoding a colour TIFF with float or 32-bit samples needs tifffile, which is not "
            "installed",
            advice=f"Install it with: pip install 'pixseek[{EXTRA}]'\nThen: pixseek index --retry",
        ) from error
    try:
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            several = len(file.pages) > 1
            page = file.pages[0]
            samples = _samples(page, request)
            profile = page.iccprofile
    except ImageError:
        raise
    except MemoryError as error:
        raise too_large("a TIFF file") from error
    except Exception as error:
        if "imagecodecs" in str(error):
            raise _unusual(f"compression {page.compression.name}") from error
        raise damaged(error) from error
    bits = int(page.bitspersample) - (samples.dtype.kind == "i")
    mode = _MODES[samples.shape[2]]
    height, width = samples.shape[:2]
    image = Image.frombytes(mode, (width, height), eight_bits(samples, bits).tobytes())
    if profile:
        image.info["icc_profile"] = profile
    notes = ["several pages: first page"] if several else []
    turn = tiffheader.orientation(data) or 1
    pixels = to_srgb(scaling.reduced(image, request.enough, turn), notes)
    if orientation.on_its_side(turn):
        width, height = height, width
    first = next(tiffheader.directories(data))
    return Picture(
        orientation.upright(pixels, turn),
        width,
        height,
        kind.media,
        tuple(notes),
        data,
        first.content(tiffheader.XMP),
        first.content(tiffheader.IPTC),
        profile=profile_name(profile, notes),
    )


def _samples(page: Any, request: Request) -> Any:
    """Return the samples of a page as (height, width, channels)."""
    request.limits.check_pixels(page.imagewidth, page.imagelength)
    kind, channels = page.dtype, page.samplesperpixel
    if kind is None or kind.kind not in "fiu" or page.photometric.name not in ("RGB", "MINISBLACK"):
        raise _unusual(f"{page.photometric.name}, {kind}")
    if channels not in _MODES or page.imagedepth != 1:
        raise _unusual(f"{channels} channels")
    if page.imagewidth * page.imagelength * channels * kind.itemsize > _MOST_BYTES:
        raise too_large(f"{page.imagewidth} x {page.imagelength} pixels of {channels} {kind}")
    samples = page.asarray(maxworkers=1)
    if page.axes == "SYX":
        samples = samples.transpose(1, 2, 0)
    return samples.reshape(page.imagelength, page.imagewidth, channels)


def _unusual(what: str) -> ImageError:
    return ImageError(
        "no-decoder",
        f"This kind of TIFF is not supported ({what})",
        advice="Save it with 8 or 16 bits per sample, or convert it to PNG.",
    )
