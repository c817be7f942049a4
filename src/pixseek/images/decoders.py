"""Choose the function that decodes a family of formats; used here and in worker processes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pixseek.images.limits import Request

if TYPE_CHECKING:
    from pixseek.images.formats import Format
    from pixseek.types import Picture


def decode_here(kind: Format, data: bytes, request: Request) -> Picture:
    """Decode `data`, whose format is `kind`, in this process.

    Raises:
        ImageError: the data can't be decoded.
    """
    if kind.family == "pillow":
        from pixseek.images import raster

        return raster.decode(kind, data, request)
    if kind.family == "heif":
        from pixseek.images import heif

        return heif.decode(kind, data, request)
    if kind.family == "jxl":
        from pixseek.images import jxl

        return jxl.decode(kind, data, request)
    if kind.family == "svg":
        from pixseek.images import svg

        return svg.decode(kind, data, request)
    from pixseek.images import raw

    return (raw.develop if request.demosaic else raw.decode)(kind, data, request)
