"""The indexing pipeline: scan, compare, decode, embed, store.

    sources ─ scan ─┬─ unchanged
                    ├─ moved by stamp ──────────────────────────────────────────┐
                    └─ new, changed ─ threads: read, digest ─┬─ known content ──┼─ put
                                                             └─ decode, encode ─┘

`comparing` sorts what the sources offer, `reading` makes a record of a file, `embedding` runs the
threads, `storing` writes; the one consumer here stores what they give, now and then: photos in
order, each video when it is done.

A run that is killed leaves what it has stored; the next one finds those files unchanged, and
does the rest. Nothing depends on how often that happened: what a record holds follows from its
file alone, and a record that has gone elsewhere is deleted after its new place is stored.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from pixseek.indexing import texts, tiling
from pixseek.indexing.comparing import (
    Comparison,
    Job,
    date_changes,
    expected,
    left_out_as,
    moved,
    skipped_in_all,
)
from pixseek.indexing.embedding import Embedded, Embedding, Pace, Stop, StoppedError, Waiting, drawn
from pixseek.indexing.media import layout, of_picture
from pixseek.indexing.options import IndexOptions
from pixseek.indexing.reading import Prepared, Reader, is_named_as_video, may_be_long
from pixseek.indexing.rereading import Rereading, serves
from pixseek.indexing.said import hand_on, with_words_of
from pixseek.indexing.storing import Writes
from pixseek.indexing.videos import as_it_looked, renamed
from pixseek.metadata.seen import with_text_of
from pixseek.storage.ledger import Ledger
from pixseek.storage.previews import Previews
from pixseek.types import (
    Acceleration,
    Encoder,
    Engine,
    Failure,
    Known,
    Progress,
    Record,
    Report,
    Source,
    Space,
    record_id,
)

if TYPE_CHECKING:
    from pixseek.types import Vectors

#: Seconds between checkpoints: the most that a kill can lose.
CHECKPOINT_S = 2.0

#: Most records in one write, which bounds memory if embedding is very fast.
CHECKPOINT_RECORDS = 1024

#: The ledger's setting that says how the last run embedded; see `types.Acceleration`.
ACCELERATION = "acceleration"


def index(
    sources: Sequence[Source],
    *,
    engine: Engine,
    encoder: Callable[[], Encoder],
    ledger: Ledger,
    previews: Previews | None,
    is_there: Callable[[str], bool | None],
    threads: int,
    options: IndexOptions,
    is_other: Callable[[Known | Record], bool] = lambda _: False,
    stop: threading.Event | None = None,
    waiting: Waiting = lambda _: contextlib.nullcontext(),
) -> Generator[Progress, None, Report]:
    """Bring an engine up to date with what the sources hold; yield progress, return a report.

    Args:
        sources: what to scan; their URIs do not overlap.
        engine: where records go.
        encoder: gives the encoder; called only if there is something to embed.
        ledger: where failures go.
        previews: where previews go; None to keep none.
        is_there: whether the file of a URI exists; None where that can't be told.
        is_other: whether another content is at the place of a record, as far as a look tells.
        threads: how many threads read and decode.
        options: of the run; the sources already know what to exclude.
        stop: when set, the run stores what it has and ends early.
        waiting: returns what to enter while something takes long; called with what it is.

    Raises:
        SourceVanishedError: a source went away; images embedded until then are stored, and
            nothing of that source is removed.
        ModelError, LibraryError, EngineError: from the encoder, the ledger and the engine.
    """
    run = _Run(
        engine, encoder, ledger, previews, is_there, threads, options, Stop(stop),
        waiting, is_other,
    )  # fmt: skip
    return (yield from run.run(sources))


class _Run:
    """One run: what it has counted, and what it knows of contents that changed places."""

    def __init__(
        self, engine: Engine, encoder: Callable[[], Encoder], ledger: Ledger,
        previews: Previews | None, is_there: Callable[[str], bool | None], threads: int,
        options: IndexOptions, stop: Stop, waiting: Waiting,
        is_other: Callable[[Known | Record], bool],
    ) -> None:  # fmt: skip
        self.waiting, self.is_other = waiting, is_other
        self.engine, self.load_encoder, self.ledger = engine, encoder, ledger
        self.is_there, self.threads, self.options, self.stop = is_there, threads, options, stop
        self.parts = layout(tiling.remembered(ledger, engine, options.tiles))
        self.writes = Writes(engine, ledger, previews, self.is_gone, self.depart)
        self.sources: Sequence[Source] = ()
        self.began = time.perf_counter()
        self.counts: Counter[str] = Counter()
        self.seconds = {"scan": 0.0, "decode": 0.0, "encode": 0.0}
        self.text_s = 0.0  # of those in which files were decoded
        self.failures: list[Failure] = []
        self.gone: set[str] = set()  # URIs of folders that failed
        self.unfit: set[str] = set()  # ids of records whose vectors are to be made again
        self.texts = texts.reader(ledger, options.ocr, threads)
        self.unread = texts.unread(ledger, engine) if self.texts else set()
        self.found = Comparison(engine, ledger, self.unfit, is_there, options, self.unread)
        self.rereading = Rereading(engine, previews, keeps_text=options.ocr is not False)
        self.departed: set[str] = set()  # ids of records whose content was found elsewhere
        self.pace = Pace(0)
        self.acceleration: Acceleration | None = None

    # ---------------------------------------------------------------- the run

    def run(self, sources: Sequence[Source]) -> Generator[Progress, None, Report]:
        self.sources = sources
        outdated = tiling.outdated(self.parts, self.ledger, self.engine)
        self.unfit |= tiling.without_vectors(self.engine) | outdated
        looked_at = 0
        for source in sources:
            before = looked_at
            for count in self.found.take(source, is_alone=len(sources) == 1):
                looked_at = before + count
                yield Progress("scan", looked_at)
                if self.stop.is_set():
                    return self.report(stopped=True)
        self.writes.settled += self.found.settled
        for failure in self.found.failures:
            self.fail(failure)
        self.seconds["scan"] = time.perf_counter() - self.began
        try:
            jobs = self.move_by_stamp(self.found.jobs)
            self.pace.total = len(jobs)
            if jobs:
                yield from self.embed(jobs)
            if not self.stop.is_set():
                yield Progress("finish", len(jobs), len(jobs), len(self.failures))
                self.delete_missing()
        finally:
            # Also on the way out of an error or of a Ctrl-C: what was embedded is kept.
            self.store()
        if not self.stop.is_set():
            tiling.note_undone(self.ledger, bool(outdated and self.unfit))
            texts.note(self.ledger, self.engine)
            self.found.remember()
        return self.report(stopped=self.stop.is_set())

    def move_by_stamp(self, jobs: list[Job]) -> list[Job]:
        """Take files that were renamed or moved out of `jobs` and give them their old vectors."""
        if self.options.reread:
            return jobs  # all files are read, so moves are found by digest
        moves, done = moved(jobs, self.found.missing), dict[str, Record]()
        for start in range(0, len(moves), CHECKPOINT_RECORDS):
            chunk = moves[start : start + CHECKPOINT_RECORDS]
            records = self.engine.get([known.id for _, known in chunk])
            vectors = self.engine.vectors([known.id for _, known in chunk])
            for (job, known), record, rows in zip(chunk, records, vectors, strict=True):
                if record is None or rows is None or date_changes(record, job.candidate.uri):
                    continue
                if not self.is_gone(known):
                    continue  # it is excluded, and this is a copy
                uri, stamp = job.candidate.uri, job.candidate.stamp
                is_fit = known.id not in self.unfit
                self.depart(known)
                done[uri] = replace(renamed(record, uri), id=record_id(uri), stamp=stamp)
                self.keep(done[uri], rows, "moved", origin=record)
                if is_fit:
                    self.counts["reused"] += 1
                else:
                    self.unfit.add(done[uri].id)
            self.writes.store()
        rest: list[Job] = []
        for job in jobs:
            record = done.get(job.candidate.uri)
            if record is None:
                rest.append(job)
            elif (of := record).id in self.unfit:  # moved, but its vectors are still to be made
                rest.append(replace(job, before=Known(of.id, of.uri, of.stamp, of.digest)))
        return rest

    def embed(self, jobs: list[Job]) -> Generator[Progress, None, None]:
        """Read, decode and embed in order; yield progress after each step."""
        yield Progress("prepare", 0, len(jobs))
        encoder = self.load_encoder()
        self.engine.ensure(Space(encoder.fingerprint, encoder.dim, encoder.name))
        chosen = None
        if new := [job for job in jobs if not job.is_unchanged]:
            # A video gives no sample: its frames come later, and its content may be 10 GB.
            images = [job for job in new if not is_named_as_video(job.candidate.uri)]
            chosen = self.embedding(encoder, look_up=False, is_sample=True).accelerate(
                self.options.precision, len(new),
                lambda n: expected(self.sources, drawn(images, n)), self.waiting,
            )  # fmt: skip
        embedding = self.embedding(encoder, look_up=True)
        if chosen is not None:
            self.acceleration = chosen
            self.ledger.set(ACCELERATION, asdict(chosen))
        yield self.pace.progress(0, 0)
        done = 0
        try:
            with contextlib.closing(embedding.run(expected(self.sources, jobs), len(jobs))) as run:
                for outcome in run:
                    done += 1
                    self.settle(outcome)
                    uri = outcome.uri if isinstance(outcome, Failure) else outcome.item.record.uri
                    yield self.pace.progress(done, len(self.failures), uri)
                    self.store_if_due()
        finally:
            expected(self.sources, ())
            self.seconds |= embedding.seconds
        yield self.pace.progress(done, len(self.failures))

    def embedding(
        self, encoder: Encoder, *, look_up: bool, is_sample: bool = False
    ) -> Embedding[Job, Prepared]:
        """Return what embeds files; those of known content too, unless it is to `look_up` those."""
        reader = Reader(
            encoder, self.parts, self.options, self.writes.previews is not None, self.stop,
            max(1, self.threads), None if is_sample else self.texts, is_sample=is_sample,
        )  # fmt: skip
        twins_of = self.twins_of if look_up else lambda *_: ((), False)
        return Embedding(
            encoder,
            lambda job: reader.read(job, twins_of),
            threads=self.threads,
            stop=self.stop,
            parts=len(self.parts),
            interrupt=lambda: expected(self.sources, ()),
            idle=self.store_if_due,
            is_long=may_be_long,
        )

    def twins_of(self, job: Job, digest: str) -> tuple[tuple[Known, ...], bool]:
        """Return the records of a content, and whether their vectors serve; called in a thread."""
        if job.is_unchanged and job.before is not None and job.before.digest in (digest, ""):
            return (job.before,), True  # imported vectors have no digest
        twins = tuple(self.engine.with_digests([digest]).get(digest, ()))
        if digest in self.writes.displaced or any(twin.id not in self.unfit for twin in twins):
            return twins, True
        # The others lack fitting vectors: `reuse` takes only the words of the user from them.
        own = job.before is not None and any(twin.id == job.before.id for twin in twins)
        return twins, bool(twins) and not own

    # ---------------------------------------------------------------- one file

    def settle(self, outcome: Embedded[Prepared] | Failure) -> None:
        """Take the outcome of one file from a thread."""
        self.text_s += 0.0 if isinstance(outcome, Failure) else outcome.item.text_s
        if isinstance(outcome, Failure):
            self.fail(outcome)
        elif len(outcome.rows):
            before = outcome.item.job.before
            self.place(outcome.item, outcome.rows, None, "updated" if before else "added")
        elif outcome.item.is_as_it_was:
            self.counts["unchanged"] += 1
            self.writes.settled += {outcome.item.record.uri} & self.found.failed_before
        elif outcome.item.job.is_unchanged and outcome.item.twins == (outcome.item.job.before,):
            self.rereading.take(outcome.item)
        else:
            self.reuse(outcome.item)

    def store_if_due(self) -> None:
        """Write what is not stored yet, now and then: also while a video lets nothing else come."""
        if (
            time.perf_counter() - self.writes.stored_at > CHECKPOINT_S
            or len(self.writes) + len(self.rereading) >= CHECKPOINT_RECORDS
        ):
            self.store()

    def store(self) -> None:
        """Write everything that is not stored yet."""
        again = self.rereading
        try:
            again.store()
            for item, record in again.turned:
                self.embed_now(item, record, "updated")
        finally:
            settled = {*again.updated, *again.unchanged} & self.found.failed_before
            self.writes.settled += settled
            self.counts["updated"] += len(again.updated)
            self.counts["unchanged"] += len(again.unchanged)
            again.updated, again.unchanged, again.turned = [], [], []
            self.writes.store()

    def reuse(self, item: Prepared) -> None:
        """Give a file the vectors of a record with the same content."""
        before = item.job.before
        twin, is_moved = self.choose_twin(item)
        is_own = twin is not None and before is not None and twin.id == before.id
        found = self.writes.displaced.get(item.record.digest)
        if found is None and twin is not None:
            old, rows = self.engine.get([twin.id])[0], self.engine.vectors([twin.id])[0]
            found = (old, rows) if old is not None and rows is not None else None
        # Annotations of a photo go with its content; a copy starts without any.
        origin = found[0] if found is not None and (is_moved or is_own) else None
        if found is not None:
            item = replace(item, record=with_text_of(item.record, found[0]))
        outcome = "updated" if before else "moved" if is_moved else "added"
        reads = self.texts is not None
        if found and len(found[1]) and serves(found[0], item.record, self.parts, reads=reads):
            known = replace(item, record=as_it_looked(item.record, found[0]))
            self.place(known, found[1], origin, outcome)
            self.counts["reused"] += 1
        else:
            # Its record was replaced after the thread looked, and is no longer set aside; or it
            # has no vectors, vectors of other parts or no text, or a sidecar turned its picture.
            self.embed_now(item, origin, outcome)
        if is_moved and twin is not None:
            self.depart(twin)

    def choose_twin(self, item: Prepared) -> tuple[Known | None, bool]:
        """Return the record to take the vectors from, and whether its content moved here."""
        before = item.job.before
        for twin in item.twins:
            if before is not None and twin.id == before.id:
                return twin, False  # only the file's time has changed
        for twin in item.twins:
            if twin.id in self.departed:
                continue
            if self.is_gone(twin):
                return twin, True
        if not item.twins:
            return None, True  # it was displaced
        return item.twins[0], False

    def is_gone(self, record: Known | Record) -> bool:
        """Return whether the content of a record is no longer at its place."""
        if record.id in self.departed:
            return False  # it was found elsewhere already
        if record.id in self.found.changed:
            return True
        is_there = self.is_there(record.uri)
        if is_there and record.id not in self.found.missing and self.is_other(record):
            self.found.changed[record.id] = record.digest  # in a folder that this run does not scan
            return True
        # A file that a pattern excludes is missing, and still there.
        return is_there is False or (is_there is None and record.id in self.found.missing)

    def embed_now(self, item: Prepared, origin: Record | None, outcome: str) -> None:
        """Decode and embed one file after all; see `place`."""
        embedding = self.embedding(self.load_encoder(), look_up=False)
        candidate = replace(item.job.candidate, marks="")  # the content is wanted
        with contextlib.suppress(StoppedError):  # a video is left to the next run
            prepared = embedding.prepare(replace(item.job, candidate=candidate))
            if isinstance(prepared, Failure):
                self.fail(prepared)
                return
            embedded = embedding.encode([prepared])[0]
            if isinstance(embedded, Failure):
                self.fail(embedded)
            else:
                self.place(embedded.item, embedded.rows, origin, outcome)

    def place(self, item: Prepared, rows: Vectors, origin: Record | None, outcome: str) -> None:
        """Keep a record for the next write.

        Args:
            item: whose record it is.
            rows: its vectors, (parts, dim) float32.
            origin: the record that its content had, whose user's words go with it; None for new
                content, which keeps the annotations that its URI had before.
            outcome: the name of the count to raise.
        """
        before, record = item.job.before, item.record
        if origin is not None:
            record = with_words_of(record, origin)
        if before is not None and (origin is None or origin.id != before.id):
            old = self.displace(before, record)
            if origin is None and old is not None:
                record = with_words_of(record, old)
        self.keep(record, rows, outcome, item.preview, origin, item.strip)

    def displace(self, before: Known, record: Record) -> Record | None:
        """Set the content that a URI had aside, unless it is the same; return its record."""
        old, rows = self.engine.get([before.id])[0], self.engine.vectors([before.id])[0]
        if old is None or rows is None:
            return None
        if old.digest and old.digest != record.digest:  # imported vectors have no digest
            self.writes.displace(old, rows)
        return old

    def depart(self, origin: Known | Record) -> None:
        """Note that the content of a record is elsewhere now."""
        self.departed.add(origin.id)
        # What was said of a file that is excluded or broken stays with its place as well.
        stays = getattr(origin, "away", False) and self.is_there(origin.uri) is not False
        if origin.id not in self.found.changed and not stays:
            self.found.missing.pop(origin.id, None)
            self.unfit.discard(origin.id)
            self.writes.delete([origin.id])
            self.writes.settled.append(origin.uri)

    def keep(
        self,
        record: Record,
        rows: Vectors,
        outcome: str,
        preview: bytes = b"",
        origin: Record | None = None,
        strip: tuple[bytes, ...] = (),
    ) -> None:
        self.counts[outcome] += 1
        self.writes.keep(record, rows, preview, origin, strip)
        if record.parts and of_picture(record.parts) in ((), self.parts):
            self.unfit.discard(record.id)
        if record.uri in self.found.failed_before:
            self.writes.settled.append(record.uri)

    def fail(self, failure: Failure) -> None:
        """Note a failure; the record of its URI goes with the old content."""
        if failure.uri.endswith("/"):
            if failure.uri in self.gone:
                return  # a folder that is gone is one failure, however many files it had
            self.gone.add(failure.uri)
        if left := left_out_as(failure):
            self.found.skipped.append(left)
        else:
            self.failures.append(failure)
        self.writes.fail(failure)
        gone = record_id(failure.uri)
        # A record whose file is unchanged stays, if it was read again or lacks vectors.
        again = any(gone in each for each in (self.unfit, self.unread, self.found.asked))
        is_as_it_was = self.options.reread or again
        is_as_it_was &= gone not in self.found.changed and left is None
        if failure.stage in ("decode", "encode") and not is_as_it_was:
            self.unfit.discard(gone)
            self.writes.delete([gone])
            if gone in self.found.changed:
                self.writes.dropped.add(self.found.changed[gone])

    def delete_missing(self) -> None:
        """Delete the records whose files are gone, and previews that no record needs."""
        missing = self.found.missing
        self.counts["removed"] += len(missing)
        self.unfit -= missing.keys()
        hand_on(self.engine, list(missing), self.is_gone)
        self.writes.delete(list(missing))
        self.writes.dropped.update(known.digest for known in missing.values())
        self.found.missing = {}
        self.writes.prune_previews()

    # ---------------------------------------------------------------- the report

    def report(self, *, stopped: bool) -> Report:
        took = time.perf_counter() - self.began
        seconds = {**self.seconds, "store": self.writes.seconds, "total": took}
        if self.texts is not None:
            # A thread decodes a file and reads the text in it.
            decode_s = max(0.0, seconds["decode"] - self.text_s)
            seconds |= {"decode": decode_s, "text": self.text_s}
        counts = self.counts + self.found.counts
        return Report(
            added=counts["added"], updated=counts["updated"], moved=counts["moved"],
            removed=counts["removed"], away=self.writes.away, unchanged=counts["unchanged"],
            reused=counts["reused"], known_failures=counts["known_failures"],
            failures=tuple(self.failures), seconds=seconds, stopped=stopped,
            acceleration=self.acceleration, skipped=skipped_in_all(self.found.skipped),
        )  # fmt: skip
