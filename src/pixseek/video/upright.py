"""From a decoded frame to upright sRGB pixels, as a player shows it.

PyAV applies neither the rotation nor the flips of the container, neither the shape of the pixels
nor the curves of HDR. So all of it is done here, on a frame that is already small.
"""

from __future__ import annotations

import functools
import struct
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Pixels = NDArray[np.uint8]

#: Transfer curves (ITU-T H.273) of HDR, by the names that users know.
CURVES = {16: "PQ", 18: "HLG"}

#: Luminance of white in SDR, in cd/m2: what HDR's "diffuse white" is shown as (ITU-R BT.2408).
_WHITE = 203.0

#: Nominal peak of HLG, in cd/m2, and of what PQ is tone-mapped from.
_PEAK = 1000.0

#: From the primaries of BT.2020 to those of BT.709, for linear light (ITU-R BT.2087).
_TO_709 = ((1.6605, -0.5876, -0.0728), (-0.1246, 1.1329, -0.0083), (-0.0182, -0.1006, 1.1187))

#: Matrices by number of H.273, as PyAV names them; without one, by size as players do.
_BT709, _BT601, _BT2020 = (1,), (5, 6), (9, 10)


def hdr_of(frame: Any) -> str:
    """Return "PQ", "HLG" or "" for a frame."""
    return CURVES.get(int(frame.color_trc or 0), "")


def turn_of(frame: Any) -> tuple[int, int, int, int]:
    """Return how the container says to turn a frame: its display matrix, as signs a, b, c, d.

    A pixel at (x, y) is shown at (a x + c y, b x + d y).
    """
    matrix = frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return 1, 0, 0, 1
    a, b, _, c, d, *_ = struct.unpack("<9i", bytes(matrix)[:36])
    signs = tuple((n > 1 << 15) - (n < -(1 << 15)) for n in (a, b, c, d))
    straight = signs[0] and signs[3] and not signs[1] and not signs[2]
    crossed = signs[1] and signs[2] and not signs[0] and not signs[3]
    return signs if straight or crossed else (1, 0, 0, 1)


def shown_size(frame: Any, shape: float) -> tuple[int, int]:
    """Return width and height of a frame as it is shown, in pixels.

    Args:
        frame: decoded.
        shape: width of a pixel divided by its height.
    """
    width, height = frame.width, frame.height
    if shape >= 1:  # never fewer pixels than there are
        width = round(width * shape)
    else:
        height = round(height / shape)
    return (height, width) if turn_of(frame)[0] == 0 else (width, height)


def pixels_of(frame: Any, shape: float, least: int) -> Pixels:
    """Return a frame upright in sRGB, (height, width, 3) uint8, and contiguous.

    Args:
        frame: decoded.
        shape: width of a pixel divided by its height.
        least: pixels that the shorter side has at least, if the frame has as many.
    """
    import numpy as np

    turn = turn_of(frame)
    across, down = shown_size(frame, shape)
    scale = min(1.0, least / min(across, down))
    width, height = max(1, round(across * scale)), max(1, round(down * scale))
    if turn[0] == 0:
        width, height = height, width
    hdr = hdr_of(frame)
    small = frame.reformat(
        width=width, height=height, format="rgb48le" if hdr else "rgb24",
        src_colorspace=_matrix(frame), dst_colorspace="ITU709",
        interpolation="AREA" if scale < 1 else "BICUBIC",
    )  # fmt: skip
    pixels = small.to_ndarray()
    if hdr:
        pixels = tone_mapped(pixels, hdr, wide=int(frame.color_primaries or 0) == 9)
    a, b, c, d = turn
    if a == 0:
        pixels = pixels.transpose(1, 0, 2)
        a, d = c, b  # along the new axes
    if a < 0:
        pixels = pixels[:, ::-1]
    if d < 0:
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)


def _matrix(frame: Any) -> str:
    number = int(frame.colorspace or 2)
    if number in _BT709:
        return "ITU709"
    if number in _BT601:
        return "ITU601"
    if number in _BT2020:
        return "BT2020"
    return "ITU709" if frame.height >= 720 else "ITU601"


def tone_mapped(pixels: NDArray[np.uint16], hdr: str, *, wide: bool) -> Pixels:
    """Return HDR pixels as sRGB, (height, width, 3) uint8.

    The light of the scene is mapped so that diffuse white stays nearly white, and what is brighter
    is rolled off up to 1,000 cd/m2, by luminance, so that hues stay.

    Args:
        pixels: (height, width, 3) uint16, RGB with the curve still applied.
        hdr: "PQ" or "HLG".
        wide: whether their primaries are those of BT.2020.
    """
    import numpy as np

    light = _linear(hdr)[pixels >> 4]
    if hdr == "HLG":  # the system gamma of 1.2 at a peak of 1,000 cd/m2 (ITU-R BT.2100)
        luma = light @ np.array([0.2627, 0.6780, 0.0593], np.float32)
        light = light * (_PEAK / _WHITE * np.maximum(luma, 1e-6) ** 0.2)[..., None]
    if wide:
        light = np.maximum(light @ np.array(_TO_709, np.float32).T, 0)
    luma = light @ np.array([0.2126, 0.7152, 0.0722], np.float32)
    most = _PEAK / _WHITE
    # Reinhard's curve with a white point (2002).
    rolled = luma * (1 + luma / most**2) / (1 + luma)
    # It halves the middle; with this factor, diffuse white becomes 0.83 of white.
    light = light * (1.6 * rolled / np.maximum(luma, 1e-6))[..., None]
    light = np.clip(light, 0, 1)
    shown = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    found: Pixels = (shown * 255 + 0.5).astype(np.uint8)
    return found


@functools.lru_cache(2)
def _linear(hdr: str) -> NDArray[np.float32]:
    """Return light by coded value of 12 bits: of PQ in units of SDR's white, of HLG from 0 to 1."""
    import numpy as np

    coded = np.arange(4096) / 4095
    if hdr == "PQ":  # SMPTE ST 2084
        root = coded ** (1 / 78.84375)
        light = (np.maximum(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root)) ** (
            1 / 0.1593017578125
        )
        light = light * 10_000 / _WHITE
    else:  # ARIB STD-B67
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        light = np.where(coded <= 0.5, coded**2 / 3, (np.exp((coded - c) / a) + b) / 12)
    return light.astype(np.float32)
