"""Choose the function that decodes a family of formats; used here and in worker processes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pixseek.images.limits import Request

if TYPE_CHECKING:
    from pixseek.images.formats import Format
    from pixseek.types import Picture


def decode_here(each: Format, data: bytes, request: Request) -> Picture:
    """Decode `data`, whose format is `each`, in this process.

    Raises:
        ImageError: the data can't be decoded.
    """
    if each.family == "pillow":
        from pixseek.images import raster

        return raster.decode(each, data, request)
    if each.family == "heif":
        from pixseek.images import heif

        return heif.decode(each, data, request)
    if each.family == "jxl":
        from pixseek.images import jxl

        return jxl.decode(each, data, request)
    if each.family == "svg":
        from pixseek.images import svg

        return svg.decode(each, data, request)
    from pixseek.images import raw

    return (raw.develop if request.demosaic else raw.decode)(each, data, request)
