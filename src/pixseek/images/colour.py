"""Convert decoded pixels of any mode and colour profile to sRGB over white."""

from __future__ import annotations

import hashlib
import io
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image, ImageCms

_BROKEN = "broken colour profile ignored"

#: Pixels above which an image is converted in strips.
LARGE = 24_000_000

#: Pixels of a strip.
STRIP = 1 << 22

#: Maximum bytes of a colour profile; those of printers have up to 600 kB.
MOST_PROFILE = 1 << 20

#: Number of names and transforms of profiles that are kept; one of a printer takes some 2 MB.
_MOST_KEPT = 32

#: What makes an RGB image need a conversion.
_ASIDE = frozenset(("icc_profile", "transparency"))

_SIXTEEN_BITS = frozenset(("I;16", "I;16L", "I;16B", "I;16N"))


def to_srgb(image: Image.Image, notes: list[str], *, bits: int = 16, scale: int = 1) -> Image.Image:
    """Return the image as "RGB": in sRGB, transparency blended with white.

    A large image is converted in strips, so that it takes little more memory than the result.

    Args:
        image: in any Pillow mode; `info` may hold "icc_profile" and "transparency".
        notes: a note about a broken colour profile is appended here.
        bits: bits per sample that the file uses, if Pillow's mode has 16 or more.
        scale: a large image may be averaged over blocks of so many pixels a side, of 1, 2, 4, 8.
    """
    if image.width * image.height <= LARGE or (
        image.mode == "RGB" and not image.info.keys() & _ASIDE
    ):
        return _converted(image, notes, _span_of(image, bits))
    from PIL import Image

    span = _span_of(image, bits)
    width, height = image.size
    rows = max(64, STRIP // width // 64 * 64)  # every scale divides it
    whole = Image.new("RGB", (-(-width // scale), -(-height // scale)))
    said: list[str] = []
    for top in range(0, height, rows):
        strip = image.crop((0, top, width, min(height, top + rows)))
        strip.info = dict(image.info)
        done = _converted(strip, said, span)
        whole.paste(done.reduce(scale) if scale > 1 else done, (0, top // scale))
    notes += dict.fromkeys(said)
    return whole


def _converted(
    image: Image.Image, notes: list[str], span: tuple[float, float] | None
) -> Image.Image:
    if span is not None:
        image = _eight_bits(image, span)
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


def _description(profile: bytes) -> str:
    return _used(profile, "name", _named)


def _named(profile: bytes) -> str:
    from PIL import ImageCms

    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    return ImageCms.getProfileDescription(source).strip("\0 \r\n")


def _profile_to_srgb(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Return the transform from a profile to sRGB; None if the profile is sRGB."""
    return _used(profile, mode, lambda content: _transform(content, mode))


def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    from PIL import ImageCms

    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    if mode == "RGB" and "sRGB" in ImageCms.getProfileDescription(source):
        return None
    return ImageCms.buildTransform(
        source, ImageCms.createProfile("sRGB"), mode, "RGB", ImageCms.Intent.PERCEPTUAL
    )


_Made = TypeVar("_Made")
_made: OrderedDict[tuple[bytes, str], Any] = OrderedDict()
_made_lock = threading.Lock()


def _used(profile: bytes, purpose: str, make: Callable[[bytes], _Made]) -> _Made:
    """Return what is made of a profile, kept for the next picture with the same one.

    Building a transform takes 1 to 10 ms, and a camera writes the same profile into every file.
    Profiles are known by their digest and not kept themselves.

    Raises:
        ValueError: the profile is larger than any real one.
    """
    if len(profile) > MOST_PROFILE:
        raise ValueError(f"a colour profile of {len(profile):,} bytes")
    key = (hashlib.sha256(profile).digest(), purpose)
    with _made_lock:
        if key in _made:
            _made.move_to_end(key)
            found: _Made = _made[key]
            return found
    made = make(profile)
    with _made_lock:
        _made[key] = made
        while len(_made) > _MOST_KEPT:
            _made.popitem(last=False)
    return made


def _span_of(image: Image.Image, bits: int) -> tuple[float, float] | None:
    """Return the samples that become 0 and 255; None for an image with samples of 8 bits."""
    import numpy as np

    if image.mode not in _SIXTEEN_BITS and image.mode not in ("I", "F"):
        return None
    least, most, kind = 0.0, 0.0, "f" if image.mode == "F" else "u"
    rows = max(1, STRIP // image.width)
    for top in range(0, image.height, rows):
        strip = image.crop((0, top, image.width, min(image.height, top + rows)))
        low, high = _extremes(np.asarray(strip))
        least, most = min(least, low), max(most, high)
    if image.mode == "I" and most <= 255:
        bits = 8
    return _span(least, most, kind, bits)


def _eight_bits(image: Image.Image, span: tuple[float, float]) -> Image.Image:
    """Return a grey image with 16-bit, 32-bit or float samples as "L"."""
    import numpy as np
    from PIL import Image

    grey = Image.fromarray(_scaled(np.asarray(image), span))
    if "icc_profile" in image.info:
        grey.info["icc_profile"] = image.info["icc_profile"]
    return grey


def eight_bits(samples: NDArray[Any], bits: int) -> NDArray[np.uint8]:
    """Return 16-bit, 32-bit or float samples as 8 bits.

    Args:
        samples: of any shape; pass all channels of an image together, since they share a scale.
        bits: bits per integer sample that the file uses.
    """
    least, most = _extremes(samples)
    return _scaled(samples, _span(least, most, samples.dtype.kind, bits))


def _extremes(samples: NDArray[Any]) -> tuple[float, float]:
    """Return the least and the largest sample, of those that are numbers, and 0."""
    import numpy as np

    if samples.dtype.kind == "f":
        samples = np.nan_to_num(samples, nan=0.0, posinf=0.0, neginf=0.0)
    return float(samples.min(initial=0)), float(samples.max(initial=0))


def _span(least: float, most: float, kind: str, bits: int) -> tuple[float, float]:
    """Return the samples that become 0 and 255, of what kind they are in numpy."""
    if kind == "f":
        # Floats are 0 to 1 by convention; a wider range is stretched between its extremes.
        return (0.0, 1.0) if least >= 0 and most <= 1 else (least, most)
    high = max(float((1 << bits) - 1), 1.0)
    if most > high:  # 32 bits, or a wrong header
        high = 65535.0 if most <= 65535 else most
    return 0.0, high


def _scaled(samples: NDArray[Any], span: tuple[float, float]) -> NDArray[np.uint8]:
    import numpy as np

    low, high = span
    values = samples.astype(np.float32)
    np.nan_to_num(values, copy=False, nan=0.0, posinf=0.0, neginf=0.0)
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
