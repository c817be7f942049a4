"""Decode JPEG XL, through libjxl."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from pixseek.errors import ImageError
from pixseek.images import boxes, scaling
from pixseek.images.colour import profile_name, to_srgb
from pixseek.images.limits import Request, damaged, too_large
from pixseek.types import Picture

if TYPE_CHECKING:
    from pixseek.images.formats import Format


def decode(kind: Format, data: bytes, request: Request) -> Picture:
    """Decode a JPEG XL file.

    libjxl turns the image upright. An EXIF orientation, left over from a converted JPEG, is not
    applied again.
    """
    from PIL import Image

    codec = importlib.import_module("pylibjxl")
    try:
        head = codec.probe(data)
        request.limits.check_pixels(head["width"], head["height"])
        array, metadata = codec.decode(data, metadata=True)
    except ImageError:
        raise
    except MemoryError as error:
        raise too_large("a JPEG XL file") from error
    except Exception as error:
        raise damaged(error) from error
    if array.ndim == 3 and array.shape[2] in (1, 2):
        array = array[:, :, 0] if array.shape[2] == 1 else array
    mode = "L" if array.ndim == 2 else {2: "LA", 3: "RGB", 4: "RGBA"}[array.shape[2]]
    height, width = array.shape[:2]
    image = Image.frombytes(mode, (width, height), array.tobytes())
    if metadata.get("icc"):
        image.info["icc_profile"] = metadata["icc"]
    exif, xmp = boxes.embedded_metadata(data)
    notes = ["animated: first frame"] if head.get("have_animation") else []
    return Picture(
        to_srgb(scaling.reduced(image, request.enough), notes),
        width,
        height,
        kind.media,
        tuple(notes),
        _from_tiff_header(metadata.get("exif") or exif),
        metadata.get("xmp") or xmp,
        profile=profile_name(metadata.get("icc"), notes),
    )


def _from_tiff_header(exif: bytes) -> bytes:
    """Return an EXIF block from its TIFF header on; JPEG XL puts an offset before it."""
    for start in (0, 4, 6, 10):
        if exif[start : start + 4] in (b"II*\0", b"MM\0*"):
            return exif[start:]
    return b""
