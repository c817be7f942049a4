"""Archives and shards in buckets and on other servers: listed and read by ranges of their bytes.

Of a zip its list of members is read, and each image then by one request. Of a tar the headers are
read, one request for an image and what lies next to it, and each image by another. So what is read
is about what the archive has. One that is packed as a whole is read from its beginning to list it,
and again for its images: a run keeps a copy on the disk for that, if it is not too large.
"""

from __future__ import annotations

import shlex
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from pixseek.errors import SourceError, SourceVanishedError
from pixseek.sources import is_pattern, shards
from pixseek.sources.ahead import Ahead
from pixseek.sources.archive_listings import Held, Listing, Unlisted
from pixseek.sources.archives import ArchiveSource
from pixseek.sources.buckets import unread
from pixseek.sources.locations import Location
from pixseek.sources.patterns import Included
from pixseek.sources.remote_copies import Copies
from pixseek.sources.remote_files import (
    Entry,
    Network,
    RemoteFiles,
    check,
    folder_and_name,
    is_remote,
)
from pixseek.sources.remote_reading import RemoteFile
from pixseek.sources.shards import kind_of, stem_of
from pixseek.types import Candidate, Failure, Item, Recognised, Root

#: Archives that are listed at once.
_AT_ONCE = 8


def recognised(given: str) -> Recognised | None:
    """Return what an address is if it names an archive, or shards; nothing is connected.

    Raises:
        SourceError: it has a secret in it.
    """
    if not is_remote(given):
        return None
    folder, name = folder_and_name(given)
    if kind_of(name) is None:
        return None
    check(given)
    if not is_pattern(name):
        return Recognised("archive", given, stem_of(name))
    begin = stem_of(name).translate(str.maketrans("*{}", "   ")).split(" ")[0].rstrip("-_.")
    return Recognised("archive", given, begin or folder_and_name(folder)[1] or "shards")


class _RemoteHeld(Held):
    """The members of archives on a server."""

    def __init__(self, file: RemoteFile, include: Included | None) -> None:
        super().__init__(Path(file.name), None, include)
        self._file = file
        self._files: dict[str, RemoteFile] = {}
        self.copies = Copies()

    def place(self, shard: str) -> RemoteFile:
        """Return a shard; each is kept, with what is known of it."""
        if not shard:
            return self._file
        return self._files.setdefault(shard, self._file.beside(shard))

    def location(self, shard: str) -> Location:
        """Return a copy of a packed archive, if there is room for one; see `Held.location`."""
        place = self.place(shard)
        is_packed = (kind_of(place.name) or "").startswith("tar.")
        return self.copies.of(place) if is_packed else place

    def note(self, known: Iterable[Entry]) -> None:
        """Take what a list just said of shards, so that none is asked for it again."""
        for each in known:
            self._files[each.path] = self._file.beside(each.path, each)


class RemoteArchives(ArchiveSource):
    """The images in one archive on a server, or in shards there; see `ArchiveSource`."""

    def __init__(self, root: Root) -> None:
        """Describe what to read; nothing is connected yet."""
        super().__init__(root.name, Path(root.where), root.exclude, root.include, root.scopes)
        self._where, self._network = root.where, Network()
        folder, name = folder_and_name(root.where)
        self._files = RemoteFiles(folder, self._network)
        self._file = RemoteFile(self._files, name)
        self._held: _RemoteHeld = _RemoteHeld(self._file, self._include)
        self._within = None
        self._ahead = Ahead(self._read)

    def permit(self, *, private: bool, offline: bool) -> None:
        """Say what may be connected to; see `Remote.permit`."""
        self._network.private, self._network.offline = private, offline

    def expect(self, candidates: Iterable[Candidate]) -> None:
        """Take which candidates will be read; see `Remote.expect`."""
        self._ahead.expect(candidates)
        if candidates == ():
            self._files.close()
            self._held.copies.drop()

    def read(self, candidate: Candidate) -> Item:
        """Return the content of a member and its sidecars; see `Source.read`."""
        return self._ahead.take(candidate)

    def check(self) -> None:
        """Look whether it is there; see `BucketSource.check`."""
        self._shards()

    def _read(self, candidate: Candidate) -> Item:
        return super().read(candidate)

    def _listed(self, shards: Sequence[str]) -> Iterator[tuple[str, Listing | Unlisted]]:
        """Yield archives with what each holds; the next ones are listed meanwhile."""
        coming = iter(shards)
        asked: deque[tuple[str, Future[Listing | Unlisted]]] = deque()
        pool = ThreadPoolExecutor(min(_AT_ONCE, len(shards) or 1), "pixseek-listing")
        try:
            while True:
                while len(asked) < _AT_ONCE and (shard := next(coming, None)) is not None:
                    asked.append((shard, pool.submit(self._held.listing_or_why, shard)))
                if not asked:
                    return
                shard, listing = asked.popleft()
                yield shard, listing.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def _shards(self) -> list[str]:
        try:
            if not self._are_shards:
                found = [""] if self._file.exists() else []
            else:
                known = {each.path: each for each in self._files.files_in("")}
                named = shards.chosen(self._file.name, known)
                found = [each for each in named if kind_of(each) is not None]
                self._held.note(known[each] for each in found)
        except OSError as error:
            raise self._gone(f"It can't be read ({error.strerror or error})") from error
        if not found:
            raise self._gone("There is no such archive")
        return found

    def _gone(self, what: str) -> SourceError:
        return SourceVanishedError(
            what, str(self._file),
            "Nothing of it was removed from the library. Check the address and the network. "
            f"{self._files.service.signing_in} To forget it: "
            f"pixseek remove --root {shlex.quote(self.name)}",
        )  # fmt: skip

    def _unread(self, uri: str, error: OSError, shard: str) -> Failure:
        return unread(uri, error, self._where)
