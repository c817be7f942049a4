"""The indexing pipeline: scan, decode, prepare, encode, store.

    sources ─ scan ─┬─ unchanged
                    ├─ moved by stamp ──────────────────────────────────────────┐
                    └─ new, changed ─ threads: read, digest ─┬─ known content ──┼─ put
                                                             └─ decode, encode ─┘

Threads decode and embed (see `embedding`); the one consumer stores what they give, in order, every
few seconds.

A run that is killed leaves what it has stored; the next one finds those files unchanged, and
does the rest. Nothing depends on how often that happened: what a record holds follows from its
file alone, and a record that has gone elsewhere is deleted after its new place is stored.
"""

from __future__ import annotations

import contextlib
import hashlib
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Generator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Literal

from pixseek.errors import ImageError, ModelError, PixseekError, SourceVanishedError
from pixseek.images import decode, derive
from pixseek.images.derived import PREVIEW_SIDE
from pixseek.indexing.embedding import Embedded, Embedding, Pace, drawn
from pixseek.indexing.options import IndexOptions
from pixseek.metadata.annotations import annotate, annotation_of
from pixseek.metadata.dates import date_in_name
from pixseek.metadata.merging import Sidecar, read_metadata
from pixseek.storage.ledger import Ledger
from pixseek.storage.previews import Previews
from pixseek.types import (
    Candidate,
    Encoder,
    Engine,
    Failure,
    Known,
    Picture,
    Progress,
    Record,
    Report,
    Scalar,
    Scan,
    Source,
    Space,
    record_id,
)

if TYPE_CHECKING:
    from pixseek.types import Vectors

#: Seconds between checkpoints: what a kill can lose at most.
CHECKPOINT_S = 2.0

#: Records in one write at most, which bounds memory where embedding is very fast.
CHECKPOINT_RECORDS = 1024

#: The ledger's setting that says how the last run embedded; see `types.Acceleration`.
ACCELERATION = "acceleration"

# Contents that were overwritten in this run, kept for files that turn up with them later: where
# files are renumbered, each takes the place of the next. 16,384 rows of 512 floats are 33 MB.
_DISPLACED = 16_384


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A file that was read: with its tensor, or with the records of the same content."""

    job: _Job
    record: Record
    preview: bytes
    tensor: Vectors | None
    twins: tuple[Known, ...] = ()


@dataclass(frozen=True, slots=True)
class _Job:
    """A file to read, and the record that its URI has now, if any."""

    candidate: Candidate
    source: Source
    before: Known | None


def index(
    sources: Sequence[Source],
    *,
    engine: Engine,
    encoder: Callable[[], Encoder],
    ledger: Ledger,
    previews: Previews | None,
    is_there: Callable[[str], bool],
    threads: int,
    options: IndexOptions,
    stop: threading.Event | None = None,
) -> Generator[Progress, None, Report]:
    """Bring an engine up to date with what the sources hold; yield progress, return a report.

    Args:
        sources: what to scan; their URIs do not overlap.
        engine: where records go.
        encoder: gives the encoder; called only if there is something to embed.
        ledger: where failures go.
        previews: where previews go; None to do without.
        is_there: whether the file of a URI exists, for records that no source covers.
        threads: how many threads read and decode.
        options: how to treat what is found; the sources already know what to exclude.
        stop: when set, the run stores what it has and ends early.

    Raises:
        SourceVanishedError: a source went away; what was embedded until then is stored, and
            nothing of that source is removed.
        ModelError, LibraryError, EngineError: from the encoder, the ledger and the engine.
    """
    run = _Run(
        engine,
        encoder,
        ledger,
        previews,
        is_there,
        threads,
        options,
        stop or threading.Event(),
    )
    return (yield from run.run(sources))


class _Run:
    """One run: what it has counted, what it holds that is not stored yet."""

    def __init__(
        self,
        engine: Engine,
        encoder: Callable[[], Encoder],
        ledger: Ledger,
        previews: Previews | None,
        is_there: Callable[[str], bool],
        threads: int,
        options: IndexOptions,
        stop: threading.Event,
    ) -> None:
        self.engine, self.load_encoder, self.ledger = engine, encoder, ledger
        self.previews, self.is_there = previews, is_there
        self.threads, self.options, self.stop = threads, options, stop
        self.began = time.perf_counter()
        self.counts: Counter[str] = Counter()
        self.seconds = {"scan": 0.0, "decode": 0.0, "encode": 0.0, "store": 0.0}
        self.failures: list[Failure] = []
        self.missing: dict[str, Known] = {}  # by id: records whose file is gone
        self.changed: dict[str, str] = {}  # of records whose file is not as it was: id, digest
        self.departed: set[str] = set()  # ids of records whose content was found elsewhere
        self.displaced: OrderedDict[str, tuple[Record, Vectors]] = OrderedDict()  # by digest
        self.failed_before: set[str] = set()
        self.bare: set[str] = set()  # ids of records that have no vectors
        # Encoded or carried over, and not stored yet.
        self.records: list[Record] = []
        self.vectors: list[Vectors] = []
        self.new_previews: dict[str, bytes] = {}  # by digest
        self.dropped: set[str] = set()  # digests of contents that a record has no longer
        self.new_failures: list[Failure] = []
        self.settled: list[str] = []  # URIs whose earlier failure is over
        self.to_delete: list[str] = []
        self.stored_at = self.began
        self.pace = Pace(0)

    # ---------------------------------------------------------------- the run

    def run(self, sources: Sequence[Source]) -> Generator[Progress, None, Report]:
        jobs: list[_Job] = []
        looked_at = 0
        self.bare = self.without_vectors()
        for source in sources:
            scan: Scan | None = None
            for event in source.scan():
                if isinstance(event, Scan):
                    scan = event
                else:
                    yield Progress("scan", looked_at + event)
                if self.stop.is_set():
                    return self.report(stopped=True)
            assert scan is not None, "a source ends its scan with a Scan"
            looked_at += len(scan.candidates) + scan.ignored
            jobs += self.compare(source, scan)
        self.seconds["scan"] = time.perf_counter() - self.began
        try:
            jobs = self.move_by_stamp(jobs)
            self.pace.total = len(jobs)
            if jobs:
                yield from self.embed(jobs)
            if not self.stop.is_set():
                yield Progress("finish", len(jobs), len(jobs), len(self.failures))
                self.delete_missing()
        finally:
            # Also on the way out of an error or of a Ctrl-C: what was embedded is kept.
            self.store()
        return self.report(stopped=self.stop.is_set())

    def without_vectors(self) -> set[str]:
        """Return the ids of records that have no vectors; a change of the model left them so."""
        space, found = self.engine.space, set[str]()
        if space is None or self.engine.held(space) == self.engine.count():
            return found
        while some := self.engine.lacking(space, CHECKPOINT_RECORDS, max(found, default="")):
            found.update(record.id for record in some)
        return found

    def compare(self, source: Source, scan: Scan) -> list[_Job]:
        """Sort what a scan found into unchanged, gone, failed before, and jobs to do."""
        known = {
            each.uri: each
            for prefix in source.prefixes
            for each in self.engine.known(prefix)
            if source.covers(each.uri)
        }
        failed = {
            each.uri: each
            for prefix in source.prefixes
            for each in self.ledger.failures(prefix)
            if source.covers(each.uri)
        }
        whole = [prefix for prefix in source.prefixes if prefix.count("/") == 1]
        if known and whole and not scan.candidates and not scan.failures:
            raise SourceVanishedError(
                "The folder has no images any more, and the library holds some of it "
                "(is its drive plugged in?)",
                whole[0],
                "Nothing was removed. If they are really gone: "
                f"pixseek remove --root {whole[0][:-1]}",
            )
        jobs = []
        for candidate in scan.candidates:
            before = known.pop(candidate.uri, None)
            earlier = failed.pop(candidate.uri, None)
            if earlier is not None:
                self.failed_before.add(candidate.uri)
            same = before is not None and before.stamp == candidate.stamp
            if before is not None and same and before.id not in self.bare:
                self.counts["unchanged"] += 1
                if earlier is not None:
                    self.settled.append(candidate.uri)
            elif (
                earlier is not None
                and earlier.stamp == candidate.stamp
                and earlier.stage in ("decode", "encode")
                and not self.options.retry
            ):
                self.counts["known_failures"] += 1
                if before is not None and not same:  # killed between failure and deletion
                    self.missing[before.id] = before
            else:
                jobs.append(_Job(candidate, source, before))
                if before is not None and not same:
                    self.changed[before.id] = before.digest
        unknown = tuple(f.uri for f in scan.failures)
        for each in known.values():
            if unknown and each.uri.startswith(unknown):
                self.counts["unchanged"] += 1  # nobody could look: it stays as it is
            else:
                self.missing[each.id] = each
        for failure in scan.failures:
            self.fail(failure)
            failed.pop(failure.uri, None)
        # Failures of files that are gone are over, unless they lie where nobody could look.
        self.settled += [uri for uri in failed if not (unknown and uri.startswith(unknown))]
        return jobs

    def move_by_stamp(self, jobs: list[_Job]) -> list[_Job]:
        """Take files that were renamed or moved out of `jobs` and give them their old vectors.

        A file is taken as a missing one that moved if both have the same size and modification
        time, no other file has, and besides either the name is the same (a folder was renamed)
        or the time is finer than a second. Whatever else moved is found by its digest later;
        that reads the files, which on a slow disk takes longer than embedding them.
        """
        gone: dict[object, list[Known]] = {}
        for known in self.missing.values():
            gone.setdefault(known.stamp, []).append(known)
        came: dict[object, list[_Job]] = {}
        for job in jobs:
            if job.before is None and job.candidate.stamp in gone:
                came.setdefault(job.candidate.stamp, []).append(job)
        moves: list[tuple[_Job, Known]] = []
        for stamp, arrivals in came.items():
            departures = gone[stamp]
            names = Counter(_name(job.candidate.uri) for job in arrivals)
            by_name = Counter(_name(known.uri) for known in departures)
            for job in arrivals:
                name = _name(job.candidate.uri)
                if names[name] == 1 == by_name[name]:
                    # Same name, size and time: also a burst of photos of one second is told apart.
                    origin = next(k for k in departures if _name(k.uri) == name)
                    moves.append((job, origin))
                elif (
                    len(arrivals) == 1 == len(departures)
                    and job.candidate.stamp.mtime_ns % 1_000_000_000
                ):
                    moves.append((job, departures[0]))
        moved = set()
        for start in range(0, len(moves), CHECKPOINT_RECORDS):
            chunk = moves[start : start + CHECKPOINT_RECORDS]
            records = self.engine.get([known.id for _, known in chunk])
            vectors = self.engine.vectors([known.id for _, known in chunk])
            for (job, known), record, rows in zip(chunk, records, vectors, strict=True):
                if record is None or rows is None or _date_changes(record, job.candidate.uri):
                    continue
                uri, stamp = job.candidate.uri, job.candidate.stamp
                self.depart(known)
                self.keep(replace(record, id=record_id(uri), uri=uri, stamp=stamp), rows, "moved")
                self.counts["reused"] += 1
                moved.add(uri)
            self.store()
        return [job for job in jobs if job.candidate.uri not in moved]

    def embed(self, jobs: list[_Job]) -> Generator[Progress, None, None]:
        """Read, decode and embed in order; yield progress after each step."""
        yield Progress("prepare", 0, len(jobs))
        encoder = self.load_encoder()
        self.engine.ensure(Space(encoder.fingerprint, encoder.dim, encoder.name))
        chosen = self.embedding(encoder, look_up=False).accelerate(
            self.options.precision, len(jobs), lambda n: drawn(jobs, n)
        )
        embedding = self.embedding(encoder, look_up=True)
        if chosen is not None:
            self.ledger.set(ACCELERATION, asdict(chosen))
        yield self.pace.progress(0, 0)
        done = 0
        run = embedding.run(jobs, len(jobs))
        try:
            with contextlib.closing(run):
                for outcome in run:
                    done += 1
                    self.settle(outcome)
                    uri = outcome.uri if isinstance(outcome, Failure) else outcome.item.record.uri
                    yield self.pace.progress(done, len(self.failures), uri)
                    if (
                        time.perf_counter() - self.stored_at > CHECKPOINT_S
                        or len(self.records) >= CHECKPOINT_RECORDS
                    ):
                        self.store()
        except ModelError:
            # It is the model that is broken, and not the images.
            self.new_failures = [f for f in self.new_failures if f.stage != "encode"]
            raise
        finally:
            self.seconds |= embedding.seconds
        yield self.pace.progress(done, len(self.failures))

    def embedding(self, encoder: Encoder, *, look_up: bool) -> Embedding[_Job, _Prepared]:
        """Return what embeds files; those of known content too, unless it is to `look_up` those."""
        return Embedding(
            encoder,
            lambda job: self.prepare(job, encoder, look_up=look_up),
            threads=self.threads,
            stop=self.stop,
        )

    def settle(self, outcome: Embedded[_Prepared] | Failure) -> None:
        """Take what a thread made of one file."""
        if isinstance(outcome, Failure):
            self.fail(outcome)
        elif outcome.row is None:
            self.reuse(outcome.item)
        else:
            self.add(outcome.item, outcome.row)

    # ---------------------------------------------------------------- one file

    def prepare(self, job: _Job, encoder: Encoder, *, look_up: bool = True) -> _Prepared | Failure:
        """Read and decode one file; runs in a thread."""
        candidate = job.candidate
        stage: Literal["read", "decode"] = "read"
        try:
            data = job.source.read(candidate)
            digest = hashlib.sha256(data).hexdigest()
            twins = tuple(self.engine.with_digest(digest)) if look_up else ()
            is_known = bool(twins) or (look_up and digest in self.displaced)
            stage = "decode"
            at_least = max(2 * encoder.input_side, PREVIEW_SIDE)
            options = self.options
            picture = decode(
                data, at_least=at_least, strict=options.strict, demosaic=options.demosaic
            )
            metadata = read_metadata(
                picture,
                name=_name(candidate.uri),
                mtime_ns=candidate.modified_ns,
                sidecars=[Sidecar(*each) for each in job.source.read_sidecars(candidate)],
            )
            fields = {**metadata.fields, **_seen(picture)}
            notes = (*picture.notes, *metadata.notes)
            if notes:
                fields["notes"] = "; ".join(notes)
            preview = b""
            if self.previews is not None:
                derived = derive(picture)
                preview = derived.preview
                fields["placeholder"] = derived.placeholder
                fields["colour_names"] = ", ".join(derived.colour_names)
                fields["colours"] = " ".join(f"{c}:{share:g}" for c, share in derived.colours)
            record = Record(
                id=record_id(candidate.uri),
                uri=candidate.uri,
                stamp=candidate.stamp,
                digest=digest,
                media=picture.media,
                width=picture.width,
                height=picture.height,
                taken_at=metadata.taken_at,
                caption=metadata.caption,
                tags=metadata.tags,
                fields=fields,
            )
            tensor = None if is_known else encoder.prepare(picture)
            return _Prepared(job, record, preview, tensor, twins)
        except ImageError as error:
            return Failure(
                candidate.uri, stage, error.reason, error.problem, error.advice, candidate.stamp
            )
        except PixseekError:
            raise  # the source, the engine or the model: no fault of this image
        except Exception as error:  # a mistake of ours: one image never ends a run
            return Failure(
                candidate.uri,
                "decode",
                "unexpected",
                f"pixseek made a mistake on it ({type(error).__name__}: {error})",
                "Please report this, if you can with the image.",
                candidate.stamp,
            )

    def add(self, item: _Prepared, row: Vectors) -> None:
        """Keep a freshly embedded image for the next write."""
        before = item.job.before
        record = self.displace(before, item.record) if before is not None else item.record
        self.keep(record, row, "updated" if before else "added", item.preview)

    def reuse(self, item: _Prepared) -> None:
        """Give a file the vectors of a record with the same content."""
        before = item.job.before
        twin, moved = self.choose_twin(item)
        own = twin is not None and before is not None and twin.id == before.id
        found = self.displaced.get(item.record.digest)
        old: Record | None = None
        if found is None and twin is not None:
            old, rows = self.engine.get([twin.id])[0], self.engine.vectors([twin.id])[0]
            found = (old, rows) if old is not None and rows is not None and len(rows) else None
        if found is None:
            # Its record was replaced since the thread looked, and too long ago to be kept; or it
            # has no vectors.
            self.embed_now(item, old if moved or own else None)
            if moved and twin is not None:
                self.depart(twin)
            return
        old, rows = found
        # What its user said of a photo goes with its content; a copy starts with nothing said.
        record = _with_user_fields(item.record, old) if moved or own else item.record
        if before is not None and not own:
            kept = self.displace(before, record)
            record = record if moved else kept
        if moved and twin is not None:
            self.depart(twin)
        outcome = "updated" if before else "moved" if moved else "added"
        self.keep(record, rows, outcome, item.preview)
        self.counts["reused"] += 1

    def choose_twin(self, item: _Prepared) -> tuple[Known | None, bool]:
        """Return the record to take the vectors from, and whether its content moved here."""
        before = item.job.before
        for twin in item.twins:
            if before is not None and twin.id == before.id:
                return twin, False  # only the file's time has changed
        for twin in item.twins:
            if twin.id in self.departed:
                continue
            if twin.id in self.missing or twin.id in self.changed or not self.is_there(twin.uri):
                return twin, True
        if not item.twins:
            return None, True  # it was displaced
        return item.twins[0], False

    def displace(self, before: Known, record: Record) -> Record:
        """Set the old content of a URI aside; return `record` with what its user said of it."""
        old, rows = self.engine.get([before.id])[0], self.engine.vectors([before.id])[0]
        if old is None or rows is None:
            return record
        if old.digest and len(rows):  # unknown for what was brought in
            self.dropped.add(old.digest)
            self.displaced[old.digest] = (old, rows)
        if len(self.displaced) > _DISPLACED:
            self.displaced.popitem(last=False)
        return _with_user_fields(record, old)

    def depart(self, origin: Known) -> None:
        """Note that the content of a record is somewhere else now."""
        self.departed.add(origin.id)
        if origin.id not in self.changed:
            self.missing.pop(origin.id, None)
            self.to_delete.append(origin.id)
            self.settled.append(origin.uri)

    def embed_now(self, item: _Prepared, old: Record | None) -> None:
        """Decode and embed one file after all; its user's words are those of `old`, if any."""
        embedding = self.embedding(self.load_encoder(), look_up=False)
        found = embedding.prepare(item.job)
        if isinstance(found, Failure):
            self.fail(found)
            return
        if old is not None:
            found = replace(found, record=_with_user_fields(found.record, old))
        self.settle(embedding.encode([found])[0])

    def keep(self, record: Record, rows: Vectors, outcome: str, preview: bytes = b"") -> None:
        self.counts[outcome] += 1
        if preview:
            self.new_previews[record.digest] = preview
        self.records.append(record)
        self.vectors.append(rows)
        if record.uri in self.failed_before:
            self.settled.append(record.uri)

    def fail(self, failure: Failure) -> None:
        """Note a failure; the record that its URI had is gone with the old content."""
        self.failures.append(failure)
        self.new_failures.append(failure)
        gone = record_id(failure.uri)
        # What has no vectors, and whose file is as it was, stays: there is no old content to go.
        is_as_it_was = gone in self.bare and gone not in self.changed
        if failure.stage in ("decode", "encode") and not is_as_it_was:
            self.to_delete.append(gone)
            if gone in self.changed:
                self.dropped.add(self.changed[gone])

    # ---------------------------------------------------------------- writes

    def store(self) -> None:
        """Write what is kept. The order makes a kill between any two steps harmless."""
        import numpy as np

        began = time.perf_counter()
        if self.previews is not None and self.new_previews:
            self.previews.put(self.new_previews)
            self.new_previews = {}
        if self.records:
            self.engine.put(self.records, np.concatenate(self.vectors))
            self.records, self.vectors = [], []
        self.ledger.add_failures(self.new_failures)
        self.new_failures = []
        if self.to_delete:
            self.engine.delete(self.to_delete)
            self.to_delete = []
        self.ledger.clear_failures(self.settled)
        self.settled = []
        self.stored_at = time.perf_counter()
        self.seconds["store"] += self.stored_at - began

    def delete_missing(self) -> None:
        """Delete the records whose files are gone, and the previews that nothing has any more."""
        self.counts["removed"] += len(self.missing)
        self.to_delete += list(self.missing)
        self.dropped.update(known.digest for known in self.missing.values())
        self.missing = {}
        if self.previews is not None and self.dropped:
            self.store()
            self.previews.prune(self.dropped, self.engine)

    # ---------------------------------------------------------------- telling

    def report(self, *, stopped: bool) -> Report:
        seconds = {**self.seconds, "total": time.perf_counter() - self.began}
        return Report(
            added=self.counts["added"],
            updated=self.counts["updated"],
            moved=self.counts["moved"],
            removed=self.counts["removed"],
            unchanged=self.counts["unchanged"],
            reused=self.counts["reused"],
            known_failures=self.counts["known_failures"],
            failures=tuple(self.failures),
            seconds=seconds,
            stopped=stopped,
        )


def _name(uri: str) -> str:
    return uri.rpartition("/")[2]


def _date_changes(record: Record, uri: str) -> bool:
    """Return whether a photo would be dated anew under another name."""
    if record.fields.get("taken_from", "") not in ("name", "file", ""):
        return False
    return date_in_name(record.name) != date_in_name(_name(uri))


def _with_user_fields(record: Record, old: Record) -> Record:
    """Return `record` with what the user of the library said of `old`."""
    said = annotation_of(old)
    if said.labelled and record.digest != old.digest:
        said = replace(said, labelled="")  # in what it shows now nobody has looked for labels
    return annotate(record, said)


def _seen(picture: Picture) -> dict[str, Scalar]:
    """Return as fields what was seen while decoding."""
    seen: dict[str, Scalar] = {}
    if any(note.startswith("animated") for note in picture.notes):
        seen["animated"] = True
    if any(note.startswith("damaged") for note in picture.notes):
        seen["damaged"] = True
    return seen
