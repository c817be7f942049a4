"""Find where one picture lies in another that shows more: by correlation, then by its gradients."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

    Samples = NDArray[np.float32]
    #: Numbers a to f: the pixel (x, y) of the part is (ax + by + c, dx + ey + f) in the whole.
    Affine = NDArray[np.float64]

#: Longer side of the picture that is searched, and of the square that is transformed, in pixels.
_SEARCHED, _SQUARE = 48, 64

#: Sides of the part, as shares of the largest that fits: down to half, in steps of 5 %.
_STEPS, _SMALLEST = 15, 0.5

#: Minimum correlation at that size. Of crops and frames nearly all have more, of bursts half.
_LEAST_CORRELATION = 0.6

#: Longer side at which the place is refined, in pixels, and the most rounds of that.
_REFINED, _ROUNDS = 96, 8

#: A part lies inside the whole but for this share of its sides. A frame of a burst that moved by
#: more shows something that the other does not.
_TOLERANCE = 0.01

#: Maximum ratio of the scales across and down: a part was cropped, not stretched.
_MOST_STRETCHED = 1.1


def fitted(image: Image.Image, side: int) -> tuple[int, int]:
    """Return the size of the image if its longer side were `side` pixels."""
    scale = side / max(image.size)
    return max(4, round(image.width * scale)), max(4, round(image.height * scale))


def aligned(whole: Image.Image, part: Image.Image) -> tuple[Samples, Samples] | None:
    """Return a part and what of the whole it shows, pixel on pixel.

    Args:
        whole: in mode "L".
        part: in mode "L", perhaps cut out of the whole, resized and turned by a few degrees.

    Returns:
        Two (height, width) float32 at the size of the part; None if it is not in the whole.
    """
    import numpy as np
    from PIL.Image import Resampling, Transform

    place = _searched(whole, part)
    if place is None:
        return None
    affine = _refined(whole, part, place)
    if affine is None or not _is_inside(affine, whole, part):
        return None
    cut = whole.transform(part.size, Transform.AFFINE, tuple(affine.tolist()), Resampling.BICUBIC)
    return np.asarray(cut, np.float32), np.asarray(part, np.float32)


def _searched(whole: Image.Image, part: Image.Image) -> tuple[float, float, float, float] | None:
    """Return left, top, width and height of the best place, as shares of the whole."""
    import numpy as np
    from PIL.Image import Resampling

    across, down = fitted(whole, _SEARCHED)
    area = np.asarray(whole.resize((across, down), Resampling.BOX, reducing_gap=1.0), np.float32)
    area = area - area.mean()
    shape = part.width / part.height
    sizes: list[tuple[int, int]] = []
    templates = []
    for share in np.geomspace(1, _SMALLEST, _STEPS):
        width = min(across, down * shape) * float(share)
        size = (max(4, round(width)), max(4, round(width / shape)))
        if size in sizes or size[0] > across or size[1] > down:
            continue
        small = np.asarray(part.resize(size, Resampling.BOX, reducing_gap=1.0), np.float32)
        small = small - small.mean()
        square = np.zeros((_SQUARE, _SQUARE), np.float32)
        square[: size[1], : size[0]] = small / (np.linalg.norm(small) + 1e-6)
        sizes.append(size)
        templates.append(square)
    if not sizes:
        return None
    square = np.zeros((_SQUARE, _SQUARE), np.float32)
    square[:down, :across] = area
    product = np.fft.rfft2(square)[None] * np.fft.rfft2(np.stack(templates)).conj()
    correlations = np.fft.irfft2(product, s=(_SQUARE, _SQUARE))
    sums, squares = (
        np.pad(each, ((1, 0), (1, 0))).cumsum(0).cumsum(1) for each in (area, area * area)
    )
    best = (_LEAST_CORRELATION, 0, 0, 0, 0)
    for correlation, (width, height) in zip(correlations, sizes, strict=True):
        count = width * height
        mean = _windows(sums, width, height) / count
        variance = _windows(squares, width, height) - count * mean * mean
        there = correlation[: variance.shape[0], : variance.shape[1]]
        there = there / np.sqrt(np.maximum(variance, 4 * count))
        top, left = divmod(int(there.argmax()), there.shape[1])
        best = max(best, (float(there[top, left]), left, top, width, height))
    _, left, top, width, height = best
    return (left / across, top / down, width / across, height / down) if width else None


def _windows(sums: Samples, width: int, height: int) -> Samples:
    """Return the sum of each window of this size, from sums up to each place."""
    return (
        sums[height:, width:] - sums[:-height, width:] - sums[height:, :-width]
        + sums[:-height, :-width]
    )  # fmt: skip


def _refined(
    whole: Image.Image, part: Image.Image, place: tuple[float, float, float, float]
) -> Affine | None:
    """Return the exact place of a part, by the method of Lucas and Kanade (1981).

    Each round solves for the six numbers of the place together with a gain and an offset of the
    shades, by least squares in which pixels that disagree count less.
    """
    import numpy as np
    from PIL.Image import Resampling, Transform

    size = width, height = fitted(part, min(_REFINED, max(part.size)))
    wanted = np.asarray(part.resize(size, Resampling.BOX, reducing_gap=1.0), np.float32)
    left, top, across, down = place
    # The whole at the scale of the part, so that both are equally sharp.
    scaled = (max(4, round(width / across)), max(4, round(height / down)))
    method = Resampling.BOX if scaled[0] < whole.width else Resampling.BICUBIC
    ground: Image.Image = whole.resize(scaled, method).convert("F")
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    from_middle = x - width / 2, y - height / 2
    affine = np.array([1, 0, left * scaled[0], 0, 1, top * scaled[1]], np.float64)
    for _ in range(_ROUNDS):
        moved = ground.transform(size, Transform.AFFINE, tuple(affine), Resampling.BILINEAR)
        shown = np.asarray(moved, np.float64)
        along_y, along_x = np.gradient(shown, axis=0), np.gradient(shown, axis=1)
        at_x = affine[0] * x + affine[1] * y + affine[2]
        at_y = affine[3] * x + affine[4] * y + affine[5]
        there = (at_x >= 0) & (at_x <= scaled[0]) & (at_y >= 0) & (at_y <= scaled[1])
        if there.sum() < there.size / 2:
            return None
        columns = [g * m for g in (along_x, along_y) for m in (*from_middle, 1.0)]
        columns += [shown, np.ones_like(shown)]
        system: Affine = np.stack([column[there] for column in columns], 1)
        target = wanted[there].astype(np.float64)
        shades = np.linalg.lstsq(system[:, 6:], target, rcond=None)[0]
        misses = np.abs(target - system[:, 6:] @ shades)
        weighted = system / np.maximum(1, misses / (2 * np.median(misses) + 2))[:, None]
        try:
            found: Affine = np.linalg.solve(
                weighted.T @ system + 1e-3 * np.eye(8), weighted.T @ target
            )
        except np.linalg.LinAlgError:
            return None
        if abs(found[6]) < 0.05:  # the part would have no contrast
            return None
        step: Affine = found[:6] / found[6]
        step[2] -= step[0] * width / 2 + step[1] * height / 2
        step[5] -= step[3] * width / 2 + step[4] * height / 2
        affine = affine + step
        if np.abs(affine).max() > 1e4:
            return None
        if np.abs(step * [width, height, 1, width, height, 1]).max() < 0.05:
            break
    # From pixels of both at these sizes to pixels at their own.
    own_x, own_y = whole.width / scaled[0], whole.height / scaled[1]
    of_x, of_y = width / part.width, height / part.height
    scales = [own_x * of_x, own_x * of_y, own_x, own_y * of_x, own_y * of_y, own_y]
    exact: Affine = affine * scales
    return exact


def _is_inside(affine: Affine, whole: Image.Image, part: Image.Image) -> bool:
    """Return whether a part at this place lies in the whole, with its own proportions."""
    import numpy as np

    a, b, c, d, e, f = affine.tolist()
    corners = [(0, 0), (part.width, 0), (0, part.height), (part.width, part.height)]
    xs = [(a * x + b * y + c) / whole.width for x, y in corners]
    ys = [(d * x + e * y + f) / whole.height for x, y in corners]
    outside = max(-min(xs), max(xs) - 1, -min(ys), max(ys) - 1)
    across, down = float(np.hypot(a, d)), float(np.hypot(b, e))
    is_stretched = max(across, down) > _MOST_STRETCHED * min(across, down)
    return outside <= _TOLERANCE and not is_stretched
