"""The protocol of sources: where images come from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from pixseek.types.records import Stamp

if TYPE_CHECKING:
    from pixseek.types.results import Failure


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file (or other item) that a source offers for indexing.

    Attributes:
        uri: of the item.
        stamp: of the file; its time is raised by sidecars, so that their changes are seen.
        modified_ns: when the file itself was changed, in nanoseconds since 1970; 0 when unknown.
        sidecars: names of files beside it that say something of it.
    """

    uri: str
    stamp: Stamp
    modified_ns: int = 0
    sidecars: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Scan:
    """What a source found.

    Attributes:
        candidates: what can be indexed.
        failures: what could not be looked at; records of or below such a URI are kept.
        ignored: how many files were passed over because they are no images by their name.
    """

    candidates: list[Candidate]
    failures: list[Failure]
    ignored: int


class Source(Protocol):
    """Where images come from.

    Attributes:
        prefixes: every URI it may offer begins with one of these.
    """

    prefixes: tuple[str, ...]

    def covers(self, uri: str) -> bool:
        """Return whether a known record of this URI, that a scan does not offer, is gone."""
        ...

    def scan(self) -> Iterator[int | Scan]:
        """Yield the number of files looked at so far, now and then; last, the `Scan`.

        Raises:
            SourceVanishedError: the source is not there any more.
        """
        ...

    def read(self, candidate: Candidate) -> bytes:
        """Return the content. May be called from several threads at once.

        Raises:
            ImageError: it can't be read.
            SourceVanishedError: the whole source is gone.
        """
        ...

    def read_sidecars(self, candidate: Candidate) -> list[tuple[str, bytes]]:
        """Return name and content of the candidate's sidecars, without those it can't read."""
        ...
