"""The protocol of sources: where images come from."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from pixseek.types.dataclass import dataclass
from pixseek.types.records import Scalar, Stamp

if TYPE_CHECKING:
    from pixseek.types.results import Failure, Skipped

_SECOND_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file (or other item) that a source offers for indexing.

    Its stamp tells whether it changed, or its version if it has one. A record keeps only a stamp,
    so the version goes into that; see `marked`.

    Attributes:
        uri: of the item.
        stamp: of the file; its nanoseconds are marked with its sidecars, so that their changes are
            seen.
        modified_ns: when the file itself was changed, in nanoseconds since 1970; 0 when unknown.
        sidecars: names of files next to it that describe it.
        version: an ETag, a digest, a row's revision: any text that is equal only while the item
            is the same; "" for a file, whose stamp says it.
        is_wanted: the user has asked for it, so it is indexed even if a sidecar says that it is in
            the trash.
        is_asked_for: whether its content has changed, only its server knows: a run that re-checks
            reads it although it is unchanged as far as the source can tell.
        marks: those of the `Item` that the library has, in a run that re-checks; else "".
        companion: name of the file next to it with which it may be a live photo: of a photo the
            clip, of a clip the photo; "" for none.
    """

    uri: str
    stamp: Stamp
    modified_ns: int = 0
    sidecars: tuple[str, ...] = ()
    version: str = ""
    is_wanted: bool = False
    is_asked_for: bool = False
    marks: str = ""
    companion: str = ""

    def __post_init__(self) -> None:
        if self.version:
            object.__setattr__(self, "stamp", marked(self.stamp, self.version))

    def is_as(self, stamp: Stamp | None) -> bool:
        """Return whether the item is unchanged since a candidate of it had this stamp.

        If it has a version, only that counts, whatever its time.
        """
        if self.version and stamp is not None:
            return stamp.mtime_ns % _SECOND_NS == self.stamp.mtime_ns % _SECOND_NS
        return stamp == self.stamp


def marked(stamp: Stamp, text: str) -> Stamp:
    """Return a stamp that differs if a text does.

    The nanoseconds of its time become a hash of the text (30 bits, so a change is missed with a
    probability of 1e-9), and the second stays.
    """
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    second = stamp.mtime_ns // _SECOND_NS * _SECOND_NS
    return Stamp(stamp.size, second + int.from_bytes(digest) % _SECOND_NS)


@dataclass(frozen=True, slots=True)
class FileSystem:
    """A folder at the top of a file system: the root of a source, or where a drive is mounted.

    Attributes:
        uri: of the folder; ends in "/".
        device: what tells it from others.
    """

    uri: str
    device: str


@dataclass(frozen=True, slots=True)
class Item:
    """What a source reads of one candidate.

    Attributes:
        content: the bytes of the file, or its path if it is too large to hold; None if the server
            says that it is the one of the candidate's marks.
        sidecars: name and content of those that could be read.
        fields: more metadata from the source (columns of a table, the JSON of a sample). They are
            merged as a JSON sidecar is; names that a sidecar does not have become fields. A value
            may be a list of texts where a sidecar may have one: captions, tags, people, albums.
        marks: by which the source can ask for a newer content only, such as an ETag; "" for none.
        within: for a path: the folder that the file has to lie in when links are resolved; None
            for any place.
        is_trashed: its photo program has put it into its trash.
        companion: content of the candidate's companion, and no more of it; None for none.
        window: for a path: first byte and length of the content in the file; None for all of it.
        held: for a path: what keeps the file as long as it is referred to; None if nothing has to.
    """

    content: bytes | Path | None
    sidecars: tuple[tuple[str, bytes], ...] = ()
    fields: Mapping[str, Scalar | tuple[str, ...]] = field(default_factory=dict)
    marks: str = ""
    within: str | None = None
    is_trashed: bool = False
    companion: Item | None = None
    window: tuple[int, int] | None = None
    held: object = None


@dataclass(frozen=True, slots=True)
class Recognised:
    """What a path or URL that a user named is, if it is neither a folder nor an image.

    Attributes:
        kind: of the root that it becomes.
        where: of that root.
        name: for that root, unless another has it.
        options: of that root.
        scope: path in that root of what was named; "" for all of it.
    """

    kind: str
    where: str
    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    scope: str = ""


class PhotoLibrary(Protocol):
    """What a photo program knows of the files that it wrote into a folder.

    Its methods may be called from several threads at once.
    """

    def version(self, path: str) -> str:
        """Return a text that is equal only while what is known of a file is the same.

        Args:
            path: in the folder, with forward slashes.

        Returns:
            "" if nothing is known of it.

        Raises:
            OSError: it can't be read now; records stay as they are.
        """
        ...

    def fields(self, path: str) -> Mapping[str, Scalar | tuple[str, ...]]:
        """Return what is known of a file, as the fields of an `Item`.

        Of these names "trashed", if true, says that the program has it in its trash.
        """
        ...


class Source(Protocol):
    """Where images come from.

    Attributes:
        prefixes: every URI it may offer begins with one of these.
    """

    prefixes: tuple[str, ...]

    def covers(self, uri: str) -> bool:
        """Return whether a known record of this URI, if the scan does not offer it, is gone."""
        ...

    def scan(self) -> Iterator[Candidate | Failure | FileSystem | Skipped | int]:
        """Yield what the source holds, as a stream; nothing of it is kept.

        Yields:
            A `Candidate` for each item, each URI once, in any order; a `Failure` for what could
            not be looked at (records of such a URI, or below it, are kept; one that ends in "/"
            means everything below); a `Skipped` for what it leaves out by itself and users may
            miss; a `FileSystem` for each that the scan came into, if the source has those; and now
            and then the number of files looked at so far.

        Raises:
            SourceVanishedError: the source is gone; nothing is removed.
        """
        ...

    def read(self, candidate: Candidate) -> Item:
        """Return the content of a candidate. May be called from several threads at once.

        Raises:
            ImageError: it can't be read.
            SourceVanishedError: the whole source is gone.
        """
        ...


@runtime_checkable
class Opening(Source, Protocol):
    """A source whose items can be opened at any time: to be shown, compared and exported.

    Its methods may be called from several threads at once, and without a scan before.
    """

    def open(self, uri: str) -> bytes:
        """Return the content of an item.

        Raises:
            OSError: there is no such item, or it can't be read.
            ImageError, SourceError: the same; their texts say more.
        """
        ...

    def holds(self, uri: str) -> bool | None:
        """Return whether there is such an item now; None if that can't be told."""
        ...

    def place(self, uri: str) -> Path | None:
        """Return where the file is that has an item's content and nothing else; None for none."""
        ...


@runtime_checkable
class Seekable(Opening, Protocol):
    """A source whose large items can be read at any place: to be played, and cut."""

    def file(self, uri: str) -> Item:
        """Return an item as a file, or a part of one.

        Raises:
            OSError, ImageError, SourceError: as `open`.
        """
        ...

    def version(self, uri: str) -> str:
        """Return a text that is equal only while the content of an item is the same.

        Raises:
            OSError, ImageError, SourceError: as `open`.
        """
        ...


@runtime_checkable
class Remote(Source, Protocol):
    """A source that fetches its items one by one, so it has to know which come next."""

    def permit(self, *, private: bool, offline: bool) -> None:
        """Say what may be connected to; without a call, what is public.

        Args:
            private: also addresses that are not public.
            offline: nothing at all.
        """
        ...

    def expect(self, candidates: Iterable[Candidate]) -> None:
        """Take which candidates will be read, in this order, and may be fetched ahead.

        Nothing that was expected before comes any more; without candidates, connections are closed.
        """
        ...


@runtime_checkable
class Packed(Source, Protocol):
    """A source whose items lie in a few files, each of which need not be opened if unchanged."""

    def marks(self) -> Mapping[str, str]:
        """Return, by the URI that the items in a file begin with, what tells if that has changed.

        The texts are equal only while both the file and the choice of its items are the same.

        Raises:
            SourceVanishedError: the source is gone.
        """
        ...

    def leave_out(self, prefixes: Collection[str]) -> None:
        """Let scans skip files, given by the URI that their items begin with."""
        ...
