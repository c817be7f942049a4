"""Limits on what decoding one file may cost, and the errors for exceeding them.

Each limit is checked before the memory or time is spent.
"""

from __future__ import annotations

import struct

from pixseek.errors import ImageError
from pixseek.types.dataclass import dataclass

#: Maximum pixels decoded for one image; 128 megapixels are 384 MB as RGB. A baseline JPEG may have
#: eight times as many, since it is decoded at a fraction of its size.
MAX_PIXELS = 128_000_000

#: Maximum bytes of one file.
MAX_BYTES = 512 * 1024 * 1024

#: Maximum seconds to decode one file. A 12-megapixel HEIC takes 0.3 s on one Zen 4 core.
TIMEOUT_S = 30.0

#: Maximum address space of a worker process, in MiB; enforced on Linux.
MEMORY_MIB = 3072

#: What is said of a file if its decoder says nothing.
BROKEN = "its data is broken"

#: Errors of a decoder's own code, which a broken file led astray.
_OF_CODE = (
    struct.error, LookupError, AttributeError, TypeError, ArithmeticError, AssertionError,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits for one file. Of an animation or a document only the first frame is decoded.

    Attributes:
        max_pixels: maximum pixels to decode.
        max_bytes: maximum bytes of the file.
        timeout_s: maximum seconds to decode it.
        memory_mib: maximum address space of the worker process, in MiB, for isolated formats.
    """

    max_pixels: int = MAX_PIXELS
    max_bytes: int = MAX_BYTES
    timeout_s: float = TIMEOUT_S
    memory_mib: int = MEMORY_MIB

    def check_pixels(self, width: int, height: int) -> None:
        """Raise ImageError if an image of this size exceeds the limit or has no pixels.

        The size comes from the file's header: a broken HEIC file may say 0 and still decode.
        """
        if width < 1 or height < 1:
            raise damaged(f"its header says {width} x {height} pixels")
        if width * height > self.max_pixels:
            raise too_large(f"{width} x {height} pixels", self.max_pixels)


@dataclass(frozen=True, slots=True)
class Request:
    """How to decode a file.

    Attributes:
        at_least: pixels that each side must keep; None for all pixels.
        exact: whether to decode all pixels anyway.
        strict: whether to refuse a truncated file even if at least half of its rows are present.
        demosaic: whether to develop camera raw data instead of using the embedded preview.
        limits: the limits for the file.
        threads: number of threads for a decoder in a worker process.
    """

    at_least: int | None = None
    exact: bool = False
    strict: bool = False
    demosaic: bool = False
    limits: Limits = Limits()
    threads: int = 1

    @property
    def enough(self) -> int | None:
        """Number of pixels a side that is enough; None if all are wanted."""
        return None if self.exact else self.at_least


def too_large(what: str, max_pixels: int = MAX_PIXELS) -> ImageError:
    """Return the error for an image that is too large; `what` says how large."""
    megapixels = max_pixels / 1_000_000
    return ImageError(
        "too-large",
        f"The image is too large to decode ({what})",
        advice=f"Make it smaller than {megapixels:.3g} megapixels.",
    )


def damaged(why: object) -> ImageError:
    """Return the error for truncated or broken image data."""
    said = said_by(why) if isinstance(why, Exception) else str(why)
    text = said.splitlines()[0][:200] if said else BROKEN
    return ImageError(
        "damaged",
        f"The image data is damaged ({text})",
        advice="Restore it from a backup, or open and save it again in an image editor.",
    )


def said_by(error: Exception) -> str:
    """Return what a decoder says of a file; "" for Python's own texts, which speak of its code."""
    said = str(error)
    is_of_code = isinstance(error, _OF_CODE) or said.startswith("invalid literal for int()")
    return "" if is_of_code else said


def took_too_long(timeout_s: float) -> ImageError:
    """Return the error for a file that exceeded its time limit."""
    return ImageError(
        "timeout",
        f"Decoding took longer than {timeout_s:g} seconds and was stopped",
        advice="Open and save it again in an image editor; it may be malicious.",
    )
