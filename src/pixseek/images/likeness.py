"""Tell a copy of a picture from a picture that merely looks like it, by their pixels.

A copy may be recompressed, resized, cropped, framed, turned, brighter or darker, in grey, or carry
a watermark. Two frames of a burst, or two pages of white paper, are different pictures. How often
either is mistaken for the other is measured in docs/duplicates.md.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from pixseek.images import registration
from pixseek.types.dataclass import dataclass

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

    Samples = NDArray[np.float32]

#: Longer side at which pictures are compared, in pixels.
SIDE = 256

#: Side of a block, in pixels, and of a block of a picture with fewer pixels a side.
_BLOCK, _SMALL_BLOCK, _SMALL = 16, 8, 96

#: The longer side for pictures that are mostly of one shade: letters differ at this size.
PLAIN_SIDE = 1600

#: Longer side of a smaller copy in which the letters of a page can be told apart, at least.
_LEGIBLE = 240

#: Share of the commonest shade from which a picture is plain: a document, a screenshot, a chart.
#: Of 200 photos 4 are.
_PLAIN_SHARE = 0.3

#: A block is compared if its deviation is at least this. Paper and compression stay below it.
_STRUCTURE = 5.0

#: Minimum number of blocks with structure. With fewer there is no evidence.
_LEAST_BLOCKS = 6

#: Minimum weight of the blocks that agree in a copy, and in one with something written over it.
_AGREE, _AGREE_AROUND = 0.97, 0.5

#: Minimum share of the changes that go towards one colour, as ink does, and of pixels that hardly
#: change. Of marked copies 78 % of the pixels or more are as they were, of other photos up to 26 %.
_ONE_INK, _UNTOUCHED = 0.85, 0.6

#: The most by which a pixel hardly changes, and the least by which it does: distances in RGB.
_TOUCHED = (24, 30)

#: Minimum correlation of thumbnails for turned and mirrored copies.
_TURNED = 0.9

# ------------------------------------------------------------------ a hash

#: Waves on each side, and pixels that they are computed from.
_WAVES, _HASHED = 8, 32


def perceptual_hash(image: Image.Image) -> str:
    """Return 64 bits in 16 hexadecimal digits that are close for pictures that look alike.

    Each bit says whether one of the 64 slowest waves (a cosine transform of 32 x 32 pixels in
    grey, without its first row and column) is above their median, as in pHash. The library
    imagehash has a similar one, but brings scipy and PyWavelets.

    Args:
        image: upright, in mode "RGB" or "L", of any size.

    Returns:
        The hash; "" for a picture of one shade, whose bits would be noise.
    """
    import numpy as np
    from PIL.Image import Resampling

    small = image.resize((_HASHED, _HASHED), Resampling.BOX, reducing_gap=1.0).convert("L")
    basis = _basis()
    waves = (basis @ np.asarray(small, np.float32) @ basis.T).ravel()
    if float(np.abs(waves).max()) < _HASHED * _HASHED / 4:  # an amplitude of one level of 255
        return ""
    return np.packbits(waves > np.median(waves)).tobytes().hex()


def distance(one: str, other: str) -> int:
    """Return in how many of 64 bits two perceptual hashes differ; 64 if one is unknown."""
    return (int(one, 16) ^ int(other, 16)).bit_count() if one and other else 64


@functools.cache
def _basis() -> Samples:
    import numpy as np

    waves, places = np.arange(1, _WAVES + 1)[:, None], np.arange(_HASHED) + 0.5
    basis: Samples = np.cos(np.pi / _HASHED * waves * places).astype(np.float32)
    return basis


# ------------------------------------------------------------------ a comparison


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """A picture, prepared to be compared with many others.

    Attributes:
        image: RGB, at most 256 pixels a side.
        grey: the same in mode "L".
        is_plain: whether it is mostly of one shade, as documents and screenshots are.
    """

    image: Image.Image
    grey: Image.Image
    is_plain: bool


def look(image: Image.Image) -> Look:
    """Prepare a picture, RGB and upright; its preview is large enough."""
    import numpy as np
    from PIL.Image import Resampling

    if max(image.size) > SIDE:
        size = registration.fitted(image, SIDE)
        image = image.resize(size, Resampling.BOX, reducing_gap=1.0)
    grey = image.convert("L")
    counts = np.convolve(grey.histogram(), np.ones(5), "same")
    return Look(image, grey, bool(counts.max() > _PLAIN_SHARE * grey.width * grey.height))


def is_copy(one: Look, other: Look) -> bool:
    """Return whether one picture was made from the other.

    Plain pictures that differ in some letters only count as copies here: compare them again with
    `agree_in_detail`. Of plain pictures no crops, turned or marked copies are recognised, since
    two pages of one form differ by as much.
    """
    share, inked = _compared(one.image, other.image)
    plain = one.is_plain or other.is_plain
    if share >= _AGREE or (share >= _AGREE_AROUND and inked >= _ONE_INK and not plain):
        return True
    if plain:  # nothing less than the whole counts
        return False
    turned = _turned(one, other)
    if turned is not None and _compared(turned, other.image)[0] >= _AGREE:
        return True
    return any(
        _agreement(*pair) >= _AGREE
        for pair in (
            registration.aligned(one.grey, other.grey),
            registration.aligned(other.grey, one.grey),
        )
        if pair is not None
    )


def agree_in_detail(one: Image.Image, other: Image.Image) -> bool:
    """Return whether two pictures agree everywhere at a size that shows single letters.

    Args:
        one: RGB, at full size.
        other: the same; a copy at a smaller size is compared at that size.

    Returns:
        False if one is a thumbnail, in which letters can't be read.
    """
    import numpy as np

    size = width, height = _common_size(one, other, PLAIN_SIDE)
    if max(size) < _LEGIBLE and max(*one.size, *other.size) > 1.5 * max(size):
        return False
    a, b = (np.asarray(_at_size(each.convert("L"), size), np.float32) for each in (one, other))
    # In four grids, since the edge of a block may cut what differs in half.
    step = _SMALL_BLOCK // 2 if min(width, height) >= 2 * _SMALL_BLOCK else 0
    starts = {(x, y) for x in (0, step) for y in (0, step)}
    return all(_agreement(a[y:, x:], b[y:, x:], in_detail=True) == 1.0 for x, y in starts)


def _compared(one: Image.Image, other: Image.Image) -> tuple[float, float]:
    """Return how far two pictures agree as they lie, and how far one colour was put on one."""
    import numpy as np

    size = _common_size(one, other, SIDE)
    a, b = (np.asarray(_at_size(each, size), np.float32) for each in (one, other))
    grey = np.array([0.299, 0.587, 0.114], np.float32)
    share = _agreement(a @ grey, b @ grey)
    if not _AGREE_AROUND <= share < _AGREE:
        return share, 0.0
    a, b = a.reshape(-1, 3), b.reshape(-1, 3)
    return share, max(_inked(a, b), _inked(b, a))


def _common_size(one: Image.Image, other: Image.Image, most: int) -> tuple[int, int]:
    """Return the size of the smaller picture, at most `most` a side."""
    small = min(one, other, key=lambda each: each.width * each.height)
    return registration.fitted(small, min(most, max(small.size)))


def _at_size(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    from PIL.Image import Resampling

    if image.size == size:
        return image
    # With a box, copies at 3/4 of the size differ nearly as much as another digit does.
    return image.resize(size, Resampling.BICUBIC, reducing_gap=3.0)


def _agreement(one: Samples, other: Samples, *, in_detail: bool = False) -> float:
    """Return the share of the structure of two grey pictures of one size that agrees.

    A block agrees if the other explains it but for noise, whatever its brightness and contrast.
    Blocks without structure count neither way.

    Args:
        one: (height, width) float32.
        other: the same.
        in_detail: compare small blocks closely, in which a 3 differs from an 8.

    Returns:
        0 to 1; 0 if there is too little structure for any evidence.
    """
    import numpy as np

    is_small = in_detail or min(one.shape) < _SMALL
    a, b = (_blocks(each, _SMALL_BLOCK if is_small else _BLOCK) for each in (one, other))
    if not len(a):
        return 0.0
    deviations = np.sqrt(np.stack([(a * a).mean(1), (b * b).mean(1)]))
    most = deviations.max(0)
    cosines = (a * b).mean(1) / np.maximum(deviations.prod(0), 1e-6)
    unexplained = most * np.sqrt(np.maximum(0, 1 - cosines.clip(0, 1) ** 2))
    has_structure = most > (2 * _STRUCTURE if in_detail else _STRUCTURE)
    if has_structure.sum() < _LEAST_BLOCKS:
        return 0.0
    # Another digit, of 14 pixels or more, leaves at least .56 of some block unexplained; a copy of
    # a page at half the size and quality 60 at most .44. Faint blocks suffer more.
    ratio = np.where(most > 5 * _STRUCTURE, 0.5, 0.75) if in_detail else 0.7
    allowed = np.maximum(7 if in_detail else 12, ratio * most + 3)
    weights = np.minimum(most, 40) * has_structure
    return float((weights * (unexplained < allowed)).sum() / weights.sum())


def _blocks(grey: Samples, side: int) -> Samples:
    """Return the blocks of a picture as rows of zero mean: (blocks, side * side)."""
    down, across = (length // side for length in grey.shape)
    cut = grey[: down * side, : across * side].reshape(down, side, across, side)
    rows = cut.swapaxes(1, 2).reshape(-1, side * side)
    centred: Samples = rows - rows.mean(1, keepdims=True)
    return centred


def _inked(clean: Samples, marked: Samples) -> float:
    """Return the share of the changes that go from the clean pixels towards one colour.

    Watermarks and captions are of one colour, and cover or tint what is below them. Something
    that moved between two frames has several, and uncovers others.

    Args:
        clean: (pixels, 3) of one picture.
        marked: the same of the other.
    """
    import numpy as np

    change = marked - clean
    size = np.sqrt((change * change).sum(1))
    hardly, clearly = _TOUCHED
    changed = size > clearly
    if changed.sum() < 20 or (size <= hardly).mean() < _UNTOUCHED:
        return 0.0
    change, size, clean, marked = (each[changed] for each in (change, size, clean, marked))
    ink = np.median(marked[size >= np.quantile(size, 0.9)], axis=0)
    whole = ink - clean
    length = np.sqrt((whole * whole).sum(1)) + 1e-6
    straight = (change * whole).sum(1) / length / size
    is_ink = (straight > 0.9) & (size < 1.15 * length + 10)
    return float((size * is_ink).sum() / size.sum())


def _turned(one: Look, other: Look) -> Image.Image | None:
    """Return the first picture turned or mirrored as the second is; None if it is not."""
    import numpy as np
    from PIL.Image import Resampling, Transpose

    def thumbnail(image: Image.Image) -> Samples:
        small = image.resize((16, 16), Resampling.BOX, reducing_gap=1.0)
        grey = np.asarray(small, np.float32)
        centred: Samples = grey - grey.mean()
        return centred / (np.linalg.norm(centred) + 1e-6)

    a, b = thumbnail(one.grey), thumbnail(other.grey)
    likeness = {
        Transpose.FLIP_LEFT_RIGHT: a[:, ::-1], Transpose.FLIP_TOP_BOTTOM: a[::-1],
        Transpose.ROTATE_180: a[::-1, ::-1], Transpose.ROTATE_90: np.rot90(a),
        Transpose.ROTATE_270: np.rot90(a, 3), Transpose.TRANSPOSE: a.T,
        Transpose.TRANSVERSE: np.rot90(a, 2).T,
    }  # fmt: skip
    turn = max(likeness, key=lambda each: float((likeness[each] * b).sum()))
    if float((likeness[turn] * b).sum()) < _TURNED:
        return None
    return one.image.transpose(turn)
