"""What servers answer: bodies that have to be images, and the errors of others."""

from __future__ import annotations

import functools
import http.client
import re
import time
import zlib
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, NoReturn

from pixseek.errors import ImageError

if TYPE_CHECKING:
    import httpcore2 as httpcore

#: Bytes read at once, and bytes from which an image is recognised.
PIECE = 64 << 10

SAVE = "Save it and name the file."
CHECK = "Check the address."


class Body:
    """The body of an answer, which arrives in pieces and has to be an image.

    Attributes:
        content: what has arrived, unpacked if the server packed it unasked.
    """

    def __init__(self, url: str, coding: str, length: str, max_bytes: int) -> None:
        """Begin without any.

        Args:
            url: for errors.
            coding: the header Content-Encoding.
            length: the header Content-Length.
            max_bytes: of the image.

        Raises:
            ImageError: it is too large, or packed in a way that can't be unpacked.
        """
        self._url, self._max, self._is_recognised = url, max_bytes, False
        self.content = bytearray()
        if length.isascii() and length.isdecimal() and int(length[:20]) > max_bytes:
            raise too_large(url, max_bytes)
        coding = coding.strip().lower() or "identity"
        if coding not in ("identity", "gzip", "x-gzip", "deflate"):
            raise failed("unreadable", "The server packed the answer unasked", url, SAVE)
        self._unpacker = None if coding == "identity" else (
            zlib.decompressobj(15 if coding == "deflate" else 31)
        )  # fmt: skip

    @property
    def is_whole(self) -> bool:
        """Whether what was packed has come to its end."""
        return self._unpacker is not None and self._unpacker.eof

    def add(self, piece: bytes) -> None:
        """Take what arrived; in pieces of limited size, however much it unpacks to.

        Raises:
            ImageError: it is too large, or not an image.
            zlib.error: it can't be unpacked.
        """
        if self._unpacker is None:
            self._take(piece)
            return
        while not self._unpacker.eof:
            unpacked = self._unpacker.decompress(piece, PIECE)
            self._take(unpacked)
            piece = self._unpacker.unconsumed_tail
            if not piece and len(unpacked) < PIECE:
                return

    def _take(self, piece: bytes) -> None:
        from pixseek.images.formats import not_an_image

        self.content += piece
        if len(self.content) > self._max:
            raise too_large(self._url, self._max)
        if not self._is_recognised and len(self.content) >= PIECE:
            self._is_recognised = True
            if error := not_an_image(bytes(self.content[:PIECE])):
                raise failed(error.reason, error.problem, self._url, CHECK) from error

    def image(self) -> bytes:
        """Return the content, when nothing more comes.

        Raises:
            ImageError: it is not an image.
            IncompleteRead: the server broke off.
        """
        from pixseek.images.formats import not_an_image

        if self._unpacker is not None and not self._unpacker.eof:
            raise http.client.IncompleteRead(b"")
        content = bytes(self.content)
        if error := not_an_image(content):
            problem = "The answer is empty" if error.reason == "empty" else error.problem
            raise failed(error.reason, problem, self._url, CHECK) from error
        return content


def failed(reason: str, problem: str, url: str, advice: str) -> ImageError:
    """Return the error of a URL that can't be fetched."""
    return ImageError(reason, problem, url, advice)


def private_place(url: str) -> ImageError:
    """Return the error of a URL whose address is not public."""
    return failed(
        "no-permission",
        "It is on this machine or a private network, from which nothing is fetched",
        url,
        f"{SAVE} Or allow it, if you trust the address: --allow-private (allow_private=True)",
    )


def too_large(url: str, max_bytes: int) -> ImageError:
    """Return the error of an answer that is too large for an image."""
    return failed(
        "too-large", "The file is too large for an image", url,
        f"Its size is limited to {max_bytes / (1 << 20):.3g} MiB.",
    )  # fmt: skip


def refuse(status: int, url: str) -> NoReturn:
    """Raise the error of a status that is not 200."""
    phrase = http.client.responses.get(status, "")
    problem = f"The server answered {status}" + (f" ({phrase})" if phrase else "")
    if status in (404, 410):
        raise failed("missing", problem, url, f"{CHECK} {SAVE}")
    if status in (401, 403, 407):
        raise failed("no-permission", problem, url, SAVE)
    raise failed("unreadable", problem, url, f"Try again later. {SAVE}")


def said(error: Exception) -> str:
    """Return what went wrong, in words that hold nothing of the server's or a proxy's."""
    import ssl

    if isinstance(error, ssl.SSLCertVerificationError):
        return f"The server's certificate is not valid ({error.verify_message})"
    if isinstance(error, ssl.SSLError):
        return "No secure connection could be made"
    if isinstance(error, http.client.HTTPException | zlib.error):
        return "The server's answer is not valid"
    assert isinstance(error, OSError)
    text = error.strerror or str(error) or type(error).__name__
    return text[:1].upper() + text[1:]


class UnreachableError(ImageError):
    """A host can't be reached at all, whatever the URL.

    Attributes:
        host: as in the URL: with the scheme, and the port unless it is the usual one.
    """

    host: str = ""


class AgainError(Exception):
    """It may work later.

    Attributes:
        error: what to say if it does not.
        wait_s: seconds that the server asks for; None if it names none.
    """

    def __init__(self, error: ImageError, wait_s: float | None = None) -> None:
        super().__init__(str(error))
        self.error, self.wait_s = error, wait_s


def again(status: int, retry_after: str, url: str) -> AgainError:
    """Return the error of a status that may pass."""
    wait_s: float | None = None
    if re.fullmatch(r"[0-9]{1,9}", retry_after):
        wait_s = float(retry_after)
    elif retry_after:
        try:
            wait_s = max(0.0, parsedate_to_datetime(retry_after).timestamp() - time.time())
        except (ValueError, TypeError, OverflowError):
            wait_s = None
    phrase = http.client.responses.get(status, "")
    asks = f", and asks to wait {wait_s:.0f} seconds" if wait_s else ""
    return AgainError(
        failed(
            "unreadable", f"The server answered {status}{f' ({phrase})' if phrase else ''}{asks}",
            url, "Run again later: pixseek index",
        ),
        wait_s,
    )  # fmt: skip


def unreachable(host: str, why: str) -> UnreachableError:
    """Return the error of a host that can't be reached; `host` is like https://example.org."""
    error = UnreachableError(
        "unreachable", f"The server can't be reached ({why})", host,
        "Check the network and the address, then run again: pixseek index",
    )  # fmt: skip
    error.host = host
    return error


def headers_of(answer: httpcore.Response) -> dict[str, str]:
    """Return the headers of an answer by their names in lower case, the first of each."""
    return {name.decode("latin-1").lower(): value.decode("latin-1").strip()
            for name, value in reversed(answer.headers)}  # fmt: skip


@functools.cache
def agent() -> str:
    """Return how pixseek names itself to servers."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return f"pixseek/{version('pixseek')}"
    except PackageNotFoundError:
        return "pixseek"
