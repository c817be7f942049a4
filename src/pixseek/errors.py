"""The exceptions pixseek raises.

    PixseekError
    ├── ConfigError             a setting has a value that can't be used
    ├── QueryError              a query can't be understood
    ├── ImageError              one image can't be read; `reason` says why in one word
    ├── ModelError              a model can't be found, downloaded, checked or run
    │   ├── LicenceError        its licence must be agreed to first; `licence` names it
    │   └── SpaceMismatchError  vectors of two models would be mixed
    ├── LibraryError            the library can't be opened or read
    │   ├── LibraryNotFoundError
    │   ├── LibraryLockedError  another process is writing to it
    │   ├── UntrustedLibraryError  it comes from elsewhere; nobody said that it may be opened
    │   ├── LibraryFormatError  written by a newer pixseek, or damaged
    │   └── StorageError        the disk is full, read-only or failing
    ├── EngineError             a search engine refused a request or can't be reached
    │   └── CapabilityError     the engine does not support the request
    ├── SourceError             a folder or file to index can't be read at all
    │   └── SourceVanishedError a root that held images is gone (an unplugged drive?)
    └── MissingExtraError       an optional part is not installed

Each has three short parts: what failed, on what, and what to do next. None shows a secret.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar

from pixseek.redaction import redacted

#: Most characters of each part of an error; a path has up to 4,096.
_MOST = 5_000


class PixseekError(Exception):
    """Base of all errors that pixseek raises on purpose.

    Attributes:
        problem: what failed, in a few words.
        subject: what it failed on (a path, a name, a value); may be empty.
        advice: what to do next; may be empty.
    """

    def __init__(self, problem: str, subject: object = "", advice: str = "") -> None:
        self.problem = _shortened(redacted(problem))
        self.subject = _shortened(redacted(str(subject)))
        self.advice = _shortened(redacted(advice))
        super().__init__(self.problem, self.subject, self.advice)

    def __str__(self) -> str:
        problem = self.problem[:1].upper() + self.problem[1:]
        head = f"{problem}: {self.subject}" if self.subject else problem
        return f"{head}\n{self.advice}" if self.advice else head


def _shortened(text: str) -> str:
    """Return a text as people can read it: what an error quotes may have a million characters."""
    if len(text) <= _MOST:
        return text
    return f"{text[: _MOST // 2]} ... {text[-_MOST // 2 :]}"


class ConfigError(PixseekError):
    """A setting has a value that can't be used."""


class QueryError(PixseekError):
    """A query can't be understood.

    Attributes:
        at: place of the first character in the text of the query that is wrong; None if the text
            was not read, or is not wrong at one place.
        length: how many characters are; 0 if something is missing there.
    """

    at: int | None = None
    length: int = 0

    def placed(self, at: int, length: int) -> QueryError:
        """Return this error with its place in the text."""
        self.at, self.length = at, length
        return self


class ImageError(PixseekError):
    """One image can't be read.

    Attributes:
        reason: one of `REASONS`; failures are grouped by it.
    """

    #: Why an image could not be read: one word, and what it means.
    REASONS: ClassVar[Mapping[str, str]] = {
        "empty": "the file has no bytes",
        "not-an-image": "the content is not in a known image format",
        "damaged": "the image data is cut off or broken",
        "encrypted": "it is encrypted in its archive",
        "too-large": "the image has more pixels or bytes than the limit",
        "no-decoder": "the format needs a decoder that is not installed",
        "timeout": "decoding it took too long and was stopped",
        "crashed": "the decoder crashed, in its own process",
        "no-permission": "this user may not read the file",
        "missing": "there is no such file, or it disappeared before it was read",
        "unreadable": "the disk or the system refused to read the file",
        "unreachable": "the server of its URL can't be reached",
        "outside": "a link leads out of the indexed folder",
        "not-a-file": "it is a pipe, a socket or a device",
        "bad-name": "the file's name is not valid text",
        "duplicate": "two rows of a table give one id to different images",
        "unexpected": "an unexpected error; please report it",
        "not-encodable": "the model could not embed the image",
    }

    def __init__(self, reason: str, problem: str, subject: object = "", advice: str = "") -> None:
        super().__init__(problem, subject, advice)
        self.reason = reason


class ModelError(PixseekError):
    """A model can't be found, downloaded, checked or run."""


class LicenceError(ModelError):
    """The licence of a model must be agreed to before it is downloaded.

    Attributes:
        licence: its name.
    """

    def __init__(self, licence: str, problem: str, subject: object = "", advice: str = "") -> None:
        super().__init__(problem, subject, advice)
        self.licence = licence


class SpaceMismatchError(ModelError):
    """Vectors of two models would be mixed, and can't be compared."""


class LibraryError(PixseekError):
    """The library can't be opened or read."""


class LibraryNotFoundError(LibraryError):
    """There is no library in this folder."""


class LibraryLockedError(LibraryError):
    """Another process is writing to the library."""


class UntrustedLibraryError(LibraryError):
    """The library comes from elsewhere, and this user has not said that it may be opened.

    Attributes:
        folder: of the library.
        would: what it would do, in sentences for people.
    """

    def __init__(self, problem: str, folder: object, would: Iterable[str]) -> None:
        import shlex

        self.folder = str(folder)
        self.would = tuple(redacted(each) for each in would)
        advice = f"If you know who made it: pixseek trust {shlex.quote(self.folder)}"
        super().__init__(problem, folder, "\n".join([*self.would, advice]))


class LibraryFormatError(LibraryError):
    """The library was written by a newer pixseek, or its files are damaged."""


class StorageError(LibraryError):
    """The disk is full, read-only or failing."""


class EngineError(PixseekError):
    """A search engine refused a request or can't be reached."""


class CapabilityError(EngineError):
    """The engine does not support this request."""


class SourceError(PixseekError):
    """A folder or file to index can't be read at all."""


class SourceVanishedError(SourceError):
    """A root that held images is gone; its images stay in the library."""


class MissingExtraError(PixseekError):
    """An optional part of pixseek is not installed."""

    def __init__(self, what: str, package: str, extra: str) -> None:
        super().__init__(
            f"{what} needs a package that is not installed",
            package,
            f"Install it with: pip install 'pixseek[{extra}]'",
        )


def unknown(kind: str, name: object, known: Iterable[str]) -> str:
    """Return the advice for an unknown name: the closest known one, then all of them.

    Args:
        kind: what the names stand for, in the singular ("model", "field").
        name: the unknown one.
        known: the known ones.
    """
    import difflib

    names = sorted(known)
    near = difflib.get_close_matches(str(name), names, n=1, cutoff=0.6)
    hint = f"Did you mean {near[0]!r}? " if near else ""
    return f"{hint}Known {kind}s: {', '.join(names) or 'none'}."
