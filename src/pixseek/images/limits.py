"""What one file may cost. Each limit is checked before what it bounds is spent."""

from __future__ import annotations

from dataclasses import dataclass

from pixseek.errors import ImageError

#: Most pixels that are decoded for one image; 128 megapixels are 384 MB as RGB. A baseline JPEG
#: may have eight times as many, since it is decoded at a fraction of its size.
MAX_PIXELS = 128_000_000

#: Most bytes that are read of one file.
MAX_BYTES = 512 * 1024 * 1024

#: Seconds one file may take to decode. A 12-megapixel HEIC takes 0.3 s on one Zen 4 core.
TIMEOUT_S = 30.0

#: Address space of a process that decodes one file at a time, in MiB; enforced on Linux.
MEMORY_MIB = 3072


@dataclass(frozen=True, slots=True)
class Limits:
    """What one file may cost. Of animations and of documents one frame is decoded, whatever.

    Attributes:
        max_pixels: most pixels that are decoded.
        max_bytes: most bytes of the file.
        timeout_s: seconds it may take.
        memory_mib: address space of the process for formats that are decoded in one, in MiB.
    """

    max_pixels: int = MAX_PIXELS
    max_bytes: int = MAX_BYTES
    timeout_s: float = TIMEOUT_S
    memory_mib: int = MEMORY_MIB

    def check_pixels(self, width: int, height: int) -> None:
        """Raise ImageError if an image of this size is over the limit, or has no pixels.

        The width is what a file says, and a broken HEIC file may say 0 and decode nonetheless.
        """
        if width < 1 or height < 1:
            raise damaged(f"it says that it has {width} x {height} pixels")
        if width * height > self.max_pixels:
            raise too_large(f"{width} x {height} pixels", self.max_pixels)


@dataclass(frozen=True, slots=True)
class Request:
    """How a file is to be decoded.

    Attributes:
        at_least: both sides of the pixels may shrink to this many; None for all pixels.
        exact: whether all pixels are decoded even so.
        strict: whether a damaged file that still shows most of itself is refused.
        demosaic: whether camera raw data are developed instead of showing the preview in the file.
        limits: what it may cost.
        threads: how many a decoder may use that has a process of its own.
    """

    at_least: int | None = None
    exact: bool = False
    strict: bool = False
    demosaic: bool = False
    limits: Limits = Limits()
    threads: int = 1

    @property
    def enough(self) -> int | None:
        """Pixels a side that are enough; None where all are wanted."""
        return None if self.exact else self.at_least


def too_large(what: str, max_pixels: int = MAX_PIXELS) -> ImageError:
    """Return the error for an image with too many pixels; `what` says how many."""
    megapixels = max_pixels / 1_000_000
    return ImageError(
        "too-large",
        f"The image is too large to decode ({what})",
        advice=f"Make it smaller than {megapixels:.3g} megapixels.",
    )


def damaged(why: object) -> ImageError:
    """Return the error for image data that is cut off or broken."""
    text = str(why).splitlines()[0][:200] if str(why) else type(why).__name__
    return ImageError(
        "damaged",
        f"The image data is damaged ({text})",
        advice="Restore it from a backup, or open and save it again in an image editor.",
    )


def took_too_long(timeout_s: float) -> ImageError:
    """Return the error for a file that used up its time."""
    return ImageError(
        "timeout",
        f"Decoding took longer than {timeout_s:g} seconds and was stopped",
        advice="Open and save it again in an image editor; it may be made to waste time.",
    )
