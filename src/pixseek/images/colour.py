"""Convert decoded pixels of any mode and colour profile to sRGB over white."""

from __future__ import annotations

import functools
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image, ImageCms

_BROKEN = "broken colour profile ignored"
_SIXTEEN_BITS = frozenset(("I;16", "I;16L", "I;16B", "I;16N"))


def to_srgb(image: Image.Image, notes: list[str], *, bits: int = 16) -> Image.Image:
    """Return the image as "RGB": in sRGB, transparency blended with white.

    Args:
        image: in any Pillow mode; `info` may hold "icc_profile" and "transparency".
        notes: a note about a broken colour profile is appended here.
        bits: bits per sample that the file uses, if Pillow's mode has 16 or more.
    """
    if image.mode in _SIXTEEN_BITS or image.mode in ("I", "F"):
        image = _eight_bits(image, bits)
    if image.mode in ("P", "PA", "La", "RGBa", "1", "RGBX", "YCbCr", "HSV"):
        has_alpha = image.mode in ("PA", "La", "RGBa") or "transparency" in image.info
        profile = image.info.get("icc_profile")
        image = image.convert("RGBA" if has_alpha else "RGB")
        if profile:
            image.info["icc_profile"] = profile
    elif "transparency" in image.info and image.mode in ("L", "RGB"):
        profile = image.info.get("icc_profile")
        image = image.convert("RGBA")
        if profile:
            image.info["icc_profile"] = profile
    return _over_white(_through_profile(image, notes))


def _through_profile(image: Image.Image, notes: list[str]) -> Image.Image:
    """Return the image in sRGB: mode "RGB", or "RGBA" if it has transparency."""
    profile = image.info.get("icc_profile")
    if profile and image.mode in ("RGB", "RGBA", "CMYK", "L", "LA", "LAB"):
        from PIL import ImageCms

        try:
            alpha = image.getchannel("A") if image.mode in ("RGBA", "LA") else None
            mode = {"RGBA": "RGB", "LA": "L"}.get(image.mode, image.mode)
            transform = _profile_to_srgb(profile, mode)
            if transform is not None:
                base = image.convert(mode) if alpha is not None else image
                converted = ImageCms.applyTransform(base, transform)
                assert converted is not None, "Pillow returns None only when converting in place"
                if alpha is not None:
                    converted.putalpha(alpha)
                return converted
        except Exception:  # a broken profile is ignored, as browsers do
            notes.append(_BROKEN)
    if image.mode in ("RGBA", "LA"):
        return image if image.mode == "RGBA" else image.convert("RGBA")
    return image if image.mode == "RGB" else image.convert("RGB")


def profile_name(profile: object, notes: Sequence[str]) -> str:
    """Return the name of the profile that `to_srgb` converted an image from; "" if none.

    Args:
        profile: the image's "icc_profile".
        notes: the notes of `to_srgb`, which say whether the profile was used.
    """
    if not isinstance(profile, bytes) or _BROKEN in notes:
        return ""
    try:
        return _description(profile)
    except Exception:  # broken, but never used: a bilevel image needs no conversion
        return ""


@functools.lru_cache(maxsize=64)
def _description(profile: bytes) -> str:
    from PIL import ImageCms

    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    return ImageCms.getProfileDescription(source).strip("\0 \r\n")


@functools.lru_cache(maxsize=64)
def _profile_to_srgb(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Return the transform from a profile to sRGB; None if the profile is sRGB.

    Cached: building one takes 1 to 10 ms, and a camera writes the same profile into every file.
    """
    from PIL import ImageCms

    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    if mode == "RGB" and "sRGB" in ImageCms.getProfileDescription(source):
        return None
    return ImageCms.buildTransform(
        source, ImageCms.createProfile("sRGB"), mode, "RGB", ImageCms.Intent.PERCEPTUAL
    )


def _eight_bits(image: Image.Image, bits: int) -> Image.Image:
    """Return a grey image with 16-bit, 32-bit or float samples as "L"."""
    import numpy as np
    from PIL import Image

    values = np.asarray(image)
    if image.mode == "I" and values.max(initial=0) <= 255:
        bits = 8
    grey = Image.fromarray(eight_bits(values, bits))
    if "icc_profile" in image.info:
        grey.info["icc_profile"] = image.info["icc_profile"]
    return grey


def eight_bits(samples: NDArray[Any], bits: int) -> NDArray[np.uint8]:
    """Return 16-bit, 32-bit or float samples as 8 bits.

    Args:
        samples: of any shape; pass all channels of an image together, since they share a scale.
        bits: bits per integer sample that the file uses.
    """
    import numpy as np

    values = samples.astype(np.float32)
    np.nan_to_num(values, copy=False, nan=0.0, posinf=0.0, neginf=0.0)
    least, most = float(values.min(initial=0.0)), float(values.max(initial=0.0))
    if samples.dtype.kind == "f":
        # Floats are 0 to 1 by convention; a wider range is stretched between its extremes.
        low, high = (0.0, 1.0) if least >= 0 and most <= 1 else (least, most)
    else:
        low, high = 0.0, max(float((1 << bits) - 1), 1.0)
        if most > high:  # 32 bits, or a wrong header
            high = 65535.0 if most <= 65535 else most
    values -= low
    values *= 255.0 / ((high - low) or 1.0)
    return values.clip(0, 255, out=values).round(out=values).astype(np.uint8)


def _over_white(image: Image.Image) -> Image.Image:
    """Return an "RGB" or "RGBA" image as "RGB" over white.

    White, because most transparent images were made to lie on a page.
    """
    from PIL import Image

    if image.mode == "RGB":
        return image
    ground = Image.new("RGB", image.size, (255, 255, 255))
    ground.paste(image, mask=image.getchannel("A"))
    return ground
