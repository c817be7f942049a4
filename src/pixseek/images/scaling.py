"""Choose by how much a picture may be reduced while it is decoded.

The code that later resizes the picture works out the scale from its sides: reduced sides are the
full ones times 1/2, 1/4 or 1/8, rounded up. So the last column or row may stand for fewer pixels
than the others. That is correct only while it stays last: if turning the picture upright moves it
to the left or the top, the scale must divide the side.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pixseek.images import orientation

if TYPE_CHECKING:
    from PIL import Image


def scale_for(size: tuple[int, int], enough: int | None, turn: int = 1) -> int:
    """Return the largest of 8, 4, 2 and 1 by which `size` can be reduced to `enough` or more.

    Args:
        size: width and height as stored, in pixels.
        enough: pixels a side to keep; None for all.
        turn: orientation, 1 to 8, that will be applied later.
    """
    if not enough:
        return 1
    from_right, from_bottom = orientation.reverses(turn)
    for scale in (8, 4, 2):
        if min(size) // enough < scale:
            continue
        if (from_right and size[0] % scale) or (from_bottom and size[1] % scale):
            continue
        return scale
    return 1


def reduced(image: Image.Image, enough: int | None, turn: int = 1) -> Image.Image:
    """Return the image averaged over blocks of pixels if enough pixels remain.

    Call this before converting colours: for 12 megapixels a profile takes 0.21 s, averaging by
    four 9 ms. An image with transparency keeps its pixels, since averaging would mix in the
    colours of invisible ones.
    """
    scale = scale_for(image.size, enough, turn)
    if scale == 1 or image.mode not in ("RGB", "L", "CMYK") or "transparency" in image.info:
        return image  # `colour.to_srgb` reduces a large one
    small = image.reduce(scale)
    small.info = image.info
    return small
