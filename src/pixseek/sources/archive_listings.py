"""What archives hold, listed once while they are unchanged."""

from __future__ import annotations

import errno
import os
import threading
from collections import Counter, OrderedDict
from dataclasses import field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pixseek.errors import PixseekError
from pixseek.images import EXTENSIONS
from pixseek.sources.archived_videos import endings
from pixseek.sources.choosing import SIDECARS, path_of
from pixseek.sources.descriptions import Descriptions
from pixseek.sources.locations import LocalFile, Location
from pixseek.sources.members import Archive, DamagedError, Member, archive_at
from pixseek.sources.patterns import Included
from pixseek.sources.shards import kind_of
from pixseek.sources.tars import PackedTar
from pixseek.types.dataclass import dataclass

if TYPE_CHECKING:
    from pixseek.sources.remote_reading import RemoteFile

#: Lists of members that are kept, and members of more lists: 10,000 take some 5 MB.
_KEPT, _KEPT_MEMBERS = 8, 100_000


@dataclass(slots=True)
class Listing:
    """What an archive holds, by path in it.

    Attributes:
        stamp: of the archive's file when it was listed.
        members: images, videos and sidecars.
        names: of all files, by folder.
        unnamed: names that can't be paths in the archive.
        special: number of files that are left out, by kind and reason.
        damage: why the rest could not be listed; "" if all was.
    """

    stamp: tuple[int, int | str]
    members: dict[str, Member] = field(default_factory=dict)
    names: dict[str, list[str]] = field(default_factory=dict)
    unnamed: list[str] = field(default_factory=list)
    special: Counter[tuple[str, str]] = field(default_factory=Counter)
    damage: str = ""


#: Why an archive is not listed: it can't be read, or this Python can't unpack it.
Unlisted = OSError | PixseekError


class Held:
    """The members of one archive, or of shards. May be used from several threads."""

    _descriptions: Descriptions | None = None

    def __init__(self, path: Path, within: str | None, include: Included | None) -> None:
        """Describe what to list; for the arguments see `ArchiveSource`."""
        self._path, self._within, self._include = path, within, include
        self._lock = threading.Lock()
        self._listings: OrderedDict[str, Listing] = OrderedDict()
        self._turns: dict[str, threading.Lock] = {}
        self._archives: OrderedDict[str, Archive] = OrderedDict()

    def place(self, shard: str) -> Path | RemoteFile:
        """Return where a shard is; "" names the archive itself."""
        return self._path.parent / shard if shard else self._path

    def keep_descriptions(self) -> None:
        """Keep the descriptions in packed archives whenever these are listed."""
        if kind_of(self._path.name) != "zip":
            self._descriptions = Descriptions()

    def sidecar(self, shard: str, member: Member, most: int) -> bytes:
        """Return the content of a member, which may be kept; see `Archive.read`."""
        kept = self._descriptions.of(shard, member) if self._descriptions else None
        return self.archive(shard).read(member, most) if kept is None else kept

    def location(self, shard: str) -> Path | Location:
        """Return what a run reads a shard from: where it is, or a copy of it."""
        return self.place(shard)

    def stamp(self, shard: str) -> tuple[int, int | str] | None:
        """Return size and time of an archive; None if it is not there."""
        place = self.place(shard)
        return (LocalFile(place) if isinstance(place, Path) else place).stamp()

    def listing(self, shard: str) -> Listing:
        """Return what an archive holds; read once while the archive is unchanged.

        Several archives may be listed at once.
        """
        stamp = self.stamp(shard)
        with self._lock:
            turn = self._turns.setdefault(shard, threading.Lock())
        with turn:
            with self._lock:
                kept = self._listings.get(shard)
                if kept is not None and kept.stamp == stamp:
                    self._listings.move_to_end(shard)
                    return kept
                self._archives.pop(shard, None)
            if stamp is None:
                raise FileNotFoundError(
                    errno.ENOENT, os.strerror(errno.ENOENT), str(self.place(shard))
                )
            listing = self._read(shard, stamp)
            with self._lock:
                self._listings[shard] = listing
                self._drop_oldest()
            return listing

    def listing_or_why(self, shard: str) -> Listing | Unlisted:
        """Return what an archive holds, or the error that says why it can't be told."""
        try:
            return self.listing(shard)
        except (OSError, PixseekError) as error:
            return error

    def _drop_oldest(self) -> None:
        held = sum(len(each.members) for each in self._listings.values())
        while len(self._listings) > _KEPT and held > _KEPT_MEMBERS:
            oldest, listing = self._listings.popitem(last=False)
            held -= len(listing.members)
            self._archives.pop(oldest, None)

    def known(self, shard: str) -> Listing | None:
        """Return what an archive holds if that is known already, and it is unchanged."""
        with self._lock:
            kept = self._listings.get(shard)
        return kept if kept is not None and kept.stamp == self.stamp(shard) else None

    def _read(self, shard: str, stamp: tuple[int, int | str]) -> Listing:
        listing = Listing(stamp)
        offered = EXTENSIONS | endings()
        archive = archive_at(self.location(shard), self._within)
        seen: set[str] = set()
        members = archive.members
        if self._descriptions is not None and isinstance(archive, PackedTar):
            members = partial(archive.members, partial(self._descriptions.keep, shard))
        try:
            for member in members():
                relative = path_of(member.name)
                if relative is None:
                    listing.unnamed.append(member.name)
                    continue
                folder, _, name = relative.rpartition("/")
                ending = os.path.splitext(name)[1].lower()
                if member.skipped:
                    if ending in offered:
                        listing.special[
                            (
                                f"{member.skipped} files",
                                "have no content of their own"
                                if member.skipped == "link"
                                else "not supported",
                            )
                        ] += 1
                    continue
                if kind_of(name) is not None:
                    listing.special[(os.path.splitext(name)[1], "archives in an archive")] += 1
                    continue
                if relative not in seen:
                    seen.add(relative)
                    listing.names.setdefault(folder, []).append(name)
                if ending in offered or ending in SIDECARS or self._is_named(shard, relative):
                    listing.members[relative] = member  # of two with one name, the last counts
        except DamagedError as error:
            listing.damage = str(error)
        return listing

    def _is_named(self, shard: str, relative: str) -> bool:
        inside = f"{shard}/{relative}" if shard else relative
        return self._include is not None and (
            self._include.covers(inside) or self._include.file(inside)
        )

    def archive(self, shard: str) -> Archive:
        """Return an archive, which may hold its stream open between reads."""
        with self._lock:
            if shard not in self._archives:
                self._archives[shard] = archive_at(self.location(shard), self._within)
                if len(self._archives) > _KEPT:  # a packed one may hold 64 MB
                    self._archives.popitem(last=False)
            return self._archives[shard]
