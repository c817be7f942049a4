"""Comparing what sources hold with what the library holds.

Sources are streams, and nothing of an unchanged file is kept. Only two things are held: the records
whose files were not met yet, and the files to read.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from pixseek.errors import MissingExtraError, SourceError, SourceVanishedError
from pixseek.indexing.options import IndexOptions
from pixseek.indexing.unopened import Unopened
from pixseek.metadata.dates import date_in_name
from pixseek.storage.ledger import MOVING, Ledger
from pixseek.types import (
    Candidate,
    Engine,
    Failure,
    FileSystem,
    Known,
    Record,
    Remote,
    Skipped,
    Source,
    Stamp,
)
from pixseek.types.dataclass import dataclass

#: The reason of a `Failure` that is none: its owner has put the image into a program's trash.
TRASHED = "trashed"

#: The field of a record that holds the marks of its `Item`.
MARKS = "pixseek.marks"
#: Records of which the marks are read at once.
_MARKED = 1_000

#: Missing files of a drive that are looked for, to tell whether they are excluded.
_SAMPLE = 64


@dataclass(frozen=True, slots=True)
class Job:
    """A file to read.

    Attributes:
        candidate: names it.
        source: reads it.
        before: the record that its URI has now, if any.
        is_unchanged: it is as it was when its record was stored; only its metadata are wanted.
        reads_text: the text in its picture is wanted, which its record lacks.
    """

    candidate: Candidate
    source: Source
    before: Known | None
    is_unchanged: bool = False
    reads_text: bool = False


class Comparison:
    """What the scans of a run mean for the library.

    Attributes:
        jobs: files to read, in the order of the scan.
        missing: records whose file is gone, by id.
        changed: digests of records whose file is not as it was, by id.
        asked: ids of records whose servers are asked whether they have changed.
        counts: "unchanged" and "known_failures".
        failures: files and folders that could not be looked at.
        failed_before: URIs of jobs and unchanged files with a failure in the ledger.
        settled: URIs whose failure in the ledger is over.
        skipped: what the sources left out by themselves.
    """

    def __init__(
        self,
        engine: Engine,
        ledger: Ledger,
        unfit: Collection[str],
        is_there: Callable[[str], bool | None],
        options: IndexOptions,
        unread: Collection[str] = (),
    ) -> None:
        """Compare with the contents of an engine and a ledger.

        Args:
            engine: holds the records.
            ledger: holds earlier failures.
            unfit: ids of records that need new vectors though their files are unchanged.
            is_there: whether the file of a URI exists; None where that can't be told.
            options: of the run: `retry`, `reread` and `recheck` say which files are jobs though
                they have not changed.
            unread: ids of records in whose pictures no text was looked for yet.
        """
        self._unread = unread
        self._engine, self._ledger, self._unfit = engine, ledger, unfit
        self._is_there, self._options = is_there, options
        self._unopened = Unopened(ledger, engine)
        self.jobs: list[Job] = []
        self.missing: dict[str, Known] = {}
        self.changed: dict[str, str] = {}
        self.asked: set[str] = set()
        self.counts: Counter[str] = Counter()
        self.failures: list[Failure] = []
        self.failed_before: set[str] = set()
        self.settled: list[str] = []
        self.skipped: list[Skipped] = []

    def take(self, source: Source, *, is_alone: bool = True) -> Iterator[int]:
        """Compare all that a source offers; yield the number of files looked at, now and then.

        Args:
            source: to scan.
            is_alone: whether the run has no other; else a table or an archive that can't be read
                is a failure, and the others go on.

        Raises:
            SourceVanishedError: the source is gone, or all that the library has of it is.
            SourceError: it can't be read.
        """
        try:
            yield from self._take(source)
        except (SourceError, MissingExtraError) as error:
            from pixseek.sources.folder import FolderSource

            if is_alone or isinstance(source, FolderSource):
                raise
            reason = "missing" if isinstance(error, SourceVanishedError) else "unreadable"
            # Nothing was found missing yet, so all of it stays in the library.
            self.failures += [
                Failure(each, "scan", reason, f"{error.problem} ({error.subject})", error.advice)
                for each in source.prefixes
            ]

    def _take(self, source: Source) -> Iterator[int]:
        known = {
            each.uri: each
            for prefix in source.prefixes
            for each in self._engine.known(prefix)
            if source.covers(each.uri)
        }
        failed = {
            each.uri: each
            for prefix in source.prefixes
            for each in self._ledger.failures(prefix)
            if source.covers(each.uri)
        }
        held = bool(known)
        lack = bool(self._unfit or self._unread)
        look_again = self._options.retry or self._options.reread or lack
        left_out = self._unopened.leave_out(source, known, failed, look_again=look_again)
        for uri in left_out:
            if known.pop(uri, None) is not None:
                self.counts["unchanged"] += 1
            elif left := left_out_as(failed.pop(uri)):
                self.skipped.append(left)
            else:
                self.counts["known_failures"] += 1
        is_empty = not left_out
        drives = _Drives(self._ledger.devices())
        first = len(self.jobs)
        unseen: list[str] = []  # URIs, or folders, that nobody could look at
        for event in source.scan():
            if isinstance(event, int):
                yield event
                continue
            if isinstance(event, Skipped):
                self.skipped.append(event)
                # An unmounted drive has no recycle bin: what was in one is no longer wanted.
                is_empty = is_empty and not (event.kind == "folder" and event.images)
                continue
            if isinstance(event, FileSystem):
                drives.now[event.uri] = event.device
                continue
            is_empty = False
            if isinstance(event, Failure):
                unseen.append(event.uri)
                self.failures.append(event)
                failed.pop(event.uri, None)
            else:
                before, earlier = known.pop(event.uri, None), failed.pop(event.uri, None)
                if before is None:
                    drives.arrive(event)
                elif event.is_as(before.stamp):
                    drives.meet(event.uri)
                self._compare(source, event, before, earlier)
        self._give_marks(first)
        roots = [
            each
            for each in source.prefixes
            if each.count("/") == 1 and each[-1] == "/" and source.covers(each)
        ]
        if held and is_empty and roots:
            raise SourceVanishedError(
                "The folder has no images any more, and the library holds some of it "
                "(is its drive plugged in?)",
                roots[0],
                "Nothing was removed. If they are really gone: "
                f"pixseek remove --root {roots[0][:-1]}",
            )
        absent = drives.absent(known, self._is_there)
        for uri in absent:
            unseen.append(uri)
            failed.pop(uri, None)
            self.failures.append(
                Failure(
                    uri,
                    "scan",
                    "missing",
                    "Its drive is not there, or another one is in its place",
                    "Nothing of it was removed. Bring it back and run again; if it is gone for "
                    "good: pixseek remove, with this folder",
                )
            )
        self._ledger.set_devices(drives.remembered(source, absent))
        kept = tuple(unseen)
        for each in known.values():
            if each.uri.startswith(kept):
                self.counts["unchanged"] += 1
            else:
                self.missing[each.id] = each
        # Failures of files that are gone are over, unless nobody could look there.
        self.settled += [uri for uri in failed if not uri.startswith(kept)]

    def remember(self) -> None:
        """Remember that the run has come to its end."""
        self._unopened.remember()

    def _compare(
        self, source: Source, candidate: Candidate, before: Known | None, earlier: Failure | None
    ) -> None:
        if earlier is not None:
            self.failed_before.add(candidate.uri)
        same = before is not None and candidate.is_as(before.stamp)
        if before is not None and same and before.id not in self._unfit:
            is_in_doubt = candidate.is_asked_for and (self._options.recheck or earlier is not None)
            if is_in_doubt:
                self.asked.add(before.id)
            unread = before.id in self._unread
            if self._options.reread or is_in_doubt or unread:
                job = Job(candidate, source, before, is_unchanged=True, reads_text=unread)
                self.jobs.append(job)
                return
            self.counts["unchanged"] += 1
            if earlier is not None:
                self.settled.append(candidate.uri)
        elif (
            earlier is not None
            and candidate.is_as(earlier.stamp)
            and earlier.stage in ("decode", "encode")
            and not self._options.retry
        ):
            if left := left_out_as(earlier):
                self.skipped.append(left)
            else:
                self.counts["known_failures"] += 1
            if before is not None and not same:  # killed between failure and deletion
                self.missing[before.id] = before
        else:
            self.jobs.append(Job(candidate, source, before))
            if before is not None and not same:
                self.changed[before.id] = before.digest

    def _give_marks(self, first: int) -> None:
        """Give the jobs from this one up the marks of their records, to ask servers by them."""
        if self._options.reread:
            return  # all of them are wanted whole
        asked = [
            n
            for n in range(first, len(self.jobs))
            if self.jobs[n].is_unchanged
            and self.jobs[n].candidate.is_asked_for
            and not self.jobs[n].reads_text  # its picture is wanted
        ]
        for start in range(0, len(asked), _MARKED):  # itertools.batched needs Python 3.12
            some = asked[start : start + _MARKED]
            ids = [before.id for n in some if (before := self.jobs[n].before) is not None]
            for n, record in zip(some, self._engine.get(ids), strict=True):
                marks = str(record.fields.get(MARKS, "")) if record is not None else ""
                job = self.jobs[n]
                self.jobs[n] = replace(job, candidate=replace(job.candidate, marks=marks))


class _Drives:
    """The file systems that a source has, next to those that it had.

    An unmounted drive leaves an empty folder, one with a few other files, or none. A drive may
    get another device number each time it is plugged in, so it is the same if most of its files are
    there as they were, or renamed, unless its number is known as that of what came in its place.

    Attributes:
        now: devices that the scan came into, by the URI of their folder.
    """

    def __init__(self, before: Mapping[str, Sequence[str]]) -> None:
        self._before = before
        self._met: Counter[str] = Counter()
        self._came: dict[str, set[Stamp]] = {}
        self.now: dict[str, str] = {}

    def meet(self, uri: str) -> None:
        """Count a file that is as it was."""
        self._met.update(top for top in self._before if uri.startswith(top))

    def arrive(self, candidate: Candidate) -> None:
        """Note a new file, which may have been renamed on a drive that is another one now."""
        for top, (own, *_) in self._before.items():
            if candidate.uri.startswith(top) and self._device_at(top) != own:
                self._came.setdefault(top, set()).add(candidate.stamp)

    def absent(
        self, missing: Mapping[str, Known], is_there: Callable[[str], bool | None]
    ) -> list[str]:
        """Return the folders whose drive is not there, given the missing files by their URI."""
        found = []
        for top, (own, *others) in self._before.items():
            now = self._device_at(top)
            if now in (None, own):
                continue
            gone = {uri: known.stamp for uri, known in missing.items() if uri.startswith(top)}
            if any(is_there(uri) for uri in itertools.islice(gone, _SAMPLE)):
                continue  # the scan did not offer what is there: it is excluded
            renamed = sum(stamp in self._came.get(top, ()) for stamp in gone.values())
            if gone and (now in others or self._met[top] + renamed < len(gone) - renamed):
                found.append(top)
        return found

    def remembered(self, source: Source, absent: Collection[str]) -> dict[str, list[str]]:
        """Return the devices to remember: of each folder its own, then what is in its place."""
        devices = {
            top: list(own)
            for top, own in self._before.items()
            if not source.covers(f"{top}x")  # nobody looked
        }
        devices |= {top: [device] for top, device in self.now.items()}
        for top in absent:
            own, now = self._before[top][0], self._device_at(top)
            devices[top] = [own] if now is None else [own, now]
        return devices

    def _device_at(self, folder: str) -> str | None:
        """Return the device that a folder is on, or would be; None if the scan was elsewhere."""
        above = [top for top in self.now if folder.startswith(top)]
        return self.now[max(above, key=len)] if above else None


def moved(jobs: Collection[Job], missing: Mapping[str, Known]) -> list[tuple[Job, Known]]:
    """Return the files that were renamed or moved, each with the record of its old place.

    A file is taken as a missing one that moved if both have the same size and modification time,
    no other file has them, and either the name is the same (a folder was renamed) or the time is
    finer than a second. Items with a version are left out: two tables may both have a row 5.
    Other moves are found later by digest, which reads the files; on a slow disk that takes longer
    than embedding them.
    """
    gone: dict[Stamp | None, list[Known]] = {}
    for known in missing.values():
        gone.setdefault(known.stamp, []).append(known)
    came: dict[Stamp, list[Job]] = {}
    for job in jobs:
        candidate = job.candidate
        if job.before is None and not candidate.version and candidate.stamp in gone:
            came.setdefault(candidate.stamp, []).append(job)
    moves: list[tuple[Job, Known]] = []
    for stamp, arrivals in came.items():
        departures = gone[stamp]
        names = Counter(name_of(job.candidate.uri) for job in arrivals)
        by_name = Counter(name_of(known.uri) for known in departures)
        for job in arrivals:
            name = name_of(job.candidate.uri)
            if names[name] == 1 == by_name[name]:
                # Same name, size and time: this distinguishes a burst of photos of one second.
                moves.append((job, next(k for k in departures if name_of(k.uri) == name)))
            elif len(arrivals) == 1 == len(departures) and _is_fine(job.candidate):
                moves.append((job, departures[0]))
    return moves


def _is_fine(candidate: Candidate) -> bool:
    """Return whether the time of a file is finer than a second; its stamp may hold a mark."""
    return (candidate.modified_ns or candidate.stamp.mtime_ns) % 1_000_000_000 != 0


def expected(sources: Iterable[Source], jobs: Sequence[Job]) -> Sequence[Job]:
    """Tell sources that fetch what will be read, in this order; without jobs, that it is over."""
    for source in sources:
        if isinstance(source, Remote):
            source.expect(_candidates_of(source, jobs) if jobs else ())
    return jobs


def _candidates_of(source: Source, jobs: Sequence[Job]) -> Iterator[Candidate]:
    return (job.candidate for job in jobs if job.source is source)


def left_out_as(failure: Failure) -> Skipped | None:
    """Return what a report says of an image that is left out for a good reason; None of others."""
    uri = failure.uri
    if failure.reason == TRASHED:
        return Skipped("trashed", "", "their photo program says so", images=1, example=uri)
    if failure.reason == MOVING:
        ending = name_of(uri).rpartition(".")[2].lower()
        why = "the moving part of the photo next to it, and found with it"
        return Skipped("moving", f".{ending}", why, images=1, example=uri)
    return None


def skipped_in_all(found: Iterable[Skipped]) -> tuple[Skipped, ...]:
    """Return what several sources left out, as one list: most images first."""
    by_name: dict[tuple[str, str, str], Skipped] = {}
    for each in found:
        key = (each.kind, each.what.lower(), each.why)
        by_name[key] = by_name[key].and_also(each) if key in by_name else each
    return tuple(sorted(by_name.values(), key=lambda each: (-each.images, each.what.lower())))


def date_changes(record: Record, uri: str) -> bool:
    """Return whether a photo would get another date under another name."""
    if record.fields.get("taken_from", "") not in ("name", "file", ""):
        return False
    return date_in_name(record.name) != date_in_name(name_of(uri))


def name_of(uri: str) -> str:
    """Return the file name of a URI."""
    return uri.rpartition("/")[2]
