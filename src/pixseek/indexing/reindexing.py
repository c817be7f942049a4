"""Embedding the images of a library with another model, while the old one still serves.

    records that lack vectors ─ threads: preview or file, decode, encode ─ put_vectors
                └─ again, until none is left

What is in the new space is stored every few seconds; so a run that is stopped or killed goes on
where it was, also when images were added, changed or deleted in between. Nothing is read of the
new space before its caller activates it.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import asdict, replace
from itertools import islice
from typing import TYPE_CHECKING, Literal

from pixseek import video
from pixseek.errors import ImageError, PixseekError, SourceVanishedError
from pixseek.images import decode, turned
from pixseek.images.derived import PREVIEW_SIDE
from pixseek.indexing import tiling
from pixseek.indexing.embedding import (
    Embedded,
    Embedding,
    Encode,
    Pace,
    Stop,
    StoppedError,
    Waiting,
)
from pixseek.indexing.media import in_context, least_side, of_picture, parts_of
from pixseek.indexing.pipeline import ACCELERATION, CHECKPOINT_RECORDS, CHECKPOINT_S
from pixseek.indexing.videos import has_shots
from pixseek.storage.ledger import Ledger
from pixseek.types import (
    Encoder,
    Engine,
    Failure,
    Picture,
    Precision,
    Progress,
    Record,
    Report,
    Space,
)
from pixseek.types.dataclass import dataclass

if TYPE_CHECKING:
    from pixseek.types import Vectors


@dataclass(frozen=True, slots=True)
class Pictures:
    """Where the pixels of indexed images come from. Its parts are called from several threads.

    Attributes:
        preview: gives the stored preview of a record; None if there is none.
        file: gives the content of a record's file; None if the file is gone or has changed.
        away: gives the folder of a record if it can't be reached now (an unplugged drive), else
            None.
        files_first: whether to prefer the file to the preview, if it is there.
        shot: gives the stored preview of a shot, by its place among the record's parts, or None.
        footage: gives where the file of a video is; None if it is gone or has changed.
    """

    preview: Callable[[Record], bytes | None]
    file: Callable[[Record], bytes | None]
    away: Callable[[Record], str | None]
    files_first: bool = False
    shot: Callable[[Record, int], bytes | None] = lambda *_: None
    footage: Callable[[Record], video.Source | None] = lambda _: None

    def of(self, record: Record, side: int) -> Picture | None:
        """Return a picture of a record: the preview, or the file if that shows too little.

        A preview is good enough if nothing has to be enlarged: the shorter side of each part is at
        least `side`, which is what a model that crops and one that squashes read of it; or it is as
        large as the image itself. (Measured in docs/how-to/own-model.md.)

        Args:
            record: of an image.
            side: of what the model reads, in pixels.

        Returns:
            None if there is neither.

        Raises:
            ImageError: what there is can't be decoded.
        """
        least = least_side(record.parts, side)
        preview = self.preview(record)
        small: Picture | None = None
        if preview is not None:
            with contextlib.suppress(ImageError):  # then there is the file
                small = decode(preview)
        if small is not None and not self.files_first:
            whole = small.pixels.size == (record.width, record.height)
            if whole or min(small.pixels.size) >= least:
                return small
        content = self.file(record)
        if content is None:
            return small
        try:
            whole_file = decode(content, at_least=max(2 * least, PREVIEW_SIDE))
        except ImageError:
            if small is None:
                raise
            return small
        # Of an image without EXIF of its own, a sidecar can say how it lies; see `reading`.
        return turned(whole_file, str(record.fields.get("turned", "")))

    def of_shots(self, record: Record, side: int) -> Generator[Picture, None, None]:
        """Yield a picture of each shot of a video: of its preview, or decoded again; see `of`.

        Raises:
            ImageError: there is neither.
        """
        shots = [(at, part) for at, part in enumerate(record.parts) if part.kind == "shot"]
        first = self._of_shot(record, shots[0][0])
        whole = max(record.width, record.height)
        is_small = first is None or min(first.pixels.size) < side < whole
        source = self.footage(record) if self.files_first or is_small else None
        # Without PyAV the previews have to do: the record had vectors of its shots before.
        if source is not None and (video.available() or first is None):
            seconds = [part.frame_s or 0.0 for _, part in shots]
            yield from video.at_seconds(source, seconds, max(side, PREVIEW_SIDE))
            return
        for at, _ in shots:
            picture = self._of_shot(record, at)
            if picture is None:
                raise ImageError(
                    "missing",
                    "Not all previews of its shots are kept, and its file is not there or is "
                    "another now",
                    advice="Bring it up to date: pixseek index",
                )
            yield picture

    def _of_shot(self, record: Record, at: int) -> Picture | None:
        content = self.shot(record, at)
        return None if content is None else decode(content)


@dataclass(frozen=True, slots=True)
class _Prepared:
    """An image that is ready for the model."""

    record: Record
    tensors: tuple[Vectors, ...]
    stream: Callable[[Encode], Embedded[_Prepared] | Failure] | None = None


def reindex(
    space: Space,
    *,
    engine: Engine,
    encoder: Encoder,
    ledger: Ledger,
    pictures: Pictures,
    threads: int,
    precision: Precision = "auto",
    stop: threading.Event | None = None,
    waiting: Waiting = lambda _: contextlib.nullcontext(),
) -> Generator[Progress, None, Report]:
    """Give all records their vectors in a space; yield progress, return a report.

    Args:
        space: of the encoder; held by the engine.
        engine: where the records are.
        encoder: embeds them.
        ledger: where the runtime of the run is noted.
        pictures: gives their pixels.
        threads: how many decode and embed.
        precision: what the image tower computes in; see `types.Accelerable`.
        stop: when set, the run stores what it has and ends early.
        waiting: as for `pipeline.index`.

    Returns:
        As "updated" how many were embedded, as "unchanged" how many were before; failures are
        those that have no vectors in the space.

    Raises:
        SourceVanishedError: images without a preview lie in a folder that can't be reached now;
            all others have their vectors.
        ModelError, EngineError, StorageError: from the encoder and the engine.
    """
    run = _Run(space, engine, encoder, ledger, pictures, threads, precision, stop, waiting)
    return (yield from run.run())


class _Run:
    """One run: its counts, and the vectors that are not stored yet."""

    def __init__(
        self,
        space: Space,
        engine: Engine,
        encoder: Encoder,
        ledger: Ledger,
        pictures: Pictures,
        threads: int,
        precision: Precision,
        stop: threading.Event | None,
        waiting: Waiting,
    ) -> None:
        self.waiting = waiting
        self.space, self.engine, self.encoder, self.ledger = space, engine, encoder, ledger
        self.pictures, self.precision = pictures, precision
        self.stop = Stop(stop)
        self.parts = tiling.parts_now(ledger, engine)
        self.embedding: Embedding[Record, _Prepared] = Embedding(
            encoder, self.prepare, threads=threads, stop=self.stop, parts=len(self.parts),
            idle=self.store_if_due, is_long=lambda record: has_shots(record.parts),
        )  # fmt: skip
        self.began = self.stored_at = time.perf_counter()
        self.store_s = 0.0
        self.failures: dict[str, Failure] = {}  # by URI
        self.away: dict[str, str] = {}  # by URI, the folder that can't be reached
        self.records: list[Record] = []
        self.vectors: list[Vectors] = []
        self.stored = 0
        self.other_parts = False  # of an image that had no vectors: cut at the next indexing run

    def run(self) -> Generator[Progress, None, Report]:
        before = self.engine.held(self.space)
        total = self.engine.count() - before
        yield Progress("prepare", 0, total)
        chosen = None
        if total:
            chosen = self.embedding.accelerate(
                self.precision,
                total,
                lambda n: self.engine.lacking(self.space, n),
                self.waiting,
            )
        pace, done = Pace(total), 0
        try:
            # Once more after the last, for images added or changed while it ran.
            while not self.stop.is_set():
                settled = 0
                run = self.embedding.run(self.lacking(), total)
                with contextlib.closing(run):
                    for outcome in run:
                        settled += 1
                        if isinstance(outcome, Failure):
                            uri = outcome.uri
                            self.failures[uri] = outcome
                        else:
                            uri = outcome.item.record.uri
                            record = outcome.item.record
                            own = of_picture(record.parts)
                            self.other_parts |= own != self.parts and bool(own or not record.parts)
                            self.records.append(record)
                            self.vectors.append(outcome.rows)
                        yield pace.progress(min(done + settled, total), len(self.failures), uri)
                        self.store_if_due()
                self.store()
                done += settled
                if not settled:
                    break
        finally:
            self.store()  # also on the way out of an error or of a Ctrl-C
        stopped = self.stop.is_set()
        if self.away and not stopped:
            raise self.vanished()
        if self.other_parts:
            tiling.note_undone(self.ledger, undone=True)
        if chosen is not None and not stopped:
            self.ledger.set(ACCELERATION, asdict(chosen))
        seconds = {
            **self.embedding.seconds,
            "store": self.store_s,
            "total": time.perf_counter() - self.began,
        }
        return Report(
            updated=self.stored,
            unchanged=before,
            failures=tuple(self.failures.values()),
            seconds=seconds,
            stopped=stopped,
            acceleration=chosen,
        )

    def lacking(self) -> Iterator[Record]:
        """Yield the records that have no vectors, but for those that could not be embedded."""
        after = ""
        while page := self.engine.lacking(self.space, CHECKPOINT_RECORDS, after):
            after = page[-1].id
            yield from (record for record in page if record.uri not in self.failures)

    def prepare(self, record: Record) -> _Prepared | Failure:
        """Decode one image, or get a video ready; runs in a thread."""
        if has_shots(record.parts):
            return _Prepared(record, (), lambda encode: self.streamed(record, encode))
        return self.prepared(record)

    def prepared(self, record: Record) -> _Prepared | Failure:
        """Decode an image."""

        def failed(
            reason: str, message: str, advice: str, stage: Literal["read", "decode"] = "decode"
        ) -> Failure:
            return Failure(record.uri, stage, reason, message, advice, record.stamp)

        try:
            picture = self.pictures.of(record, self.encoder.input_side)
            if picture is None:
                folder = self.pictures.away(record)
                if folder is not None:
                    self.away[record.uri] = folder
                return failed(
                    "missing",
                    "No preview of it is kept, and its file is not there or is another now",
                    "Bring it up to date: pixseek index",
                    stage="read",
                )
            pictures = parts_of(picture, record.parts)
            return _Prepared(record, tuple(self.encoder.prepare(each) for _, each in pictures))
        except ImageError as error:
            return failed(error.reason, error.problem, error.advice)
        except PixseekError:
            raise  # the engine or the model: no fault of this image
        except Exception as error:  # a mistake of ours: one image never ends a run
            return failed(
                "unexpected",
                f"pixseek made a mistake on it ({type(error).__name__}: {error})",
                "Please report this, if you can with the image.",
            )

    def streamed(self, record: Record, encode: Encode) -> Embedded[_Prepared] | Failure:
        """Embed the shots of a video, and what of a motion photo is not a shot."""
        import numpy as np

        shots = [part for part in record.parts if part.kind == "shot"]
        rows: list[Vectors] = []
        if len(shots) < len(record.parts):
            still = self.prepared(replace(record, parts=of_picture(record.parts)))
            if isinstance(still, Failure):
                return still
            rows.append(in_context(encode(still.tensors), still.record.parts))
        try:
            with contextlib.closing(
                self.pictures.of_shots(record, self.encoder.input_side)
            ) as all_:
                while some := list(islice(all_, max(1, self.encoder.batch_size))):
                    rows.append(encode([self.encoder.prepare(each) for each in some]))
                    if self.stop.is_set():
                        raise StoppedError
        except ImageError as error:
            return Failure(
                record.uri, "decode", error.reason, error.problem, error.advice, record.stamp
            )
        return Embedded(_Prepared(record, ()), np.concatenate(rows))

    def store_if_due(self) -> None:
        """Write the new vectors, now and then."""
        is_old = time.perf_counter() - self.stored_at > CHECKPOINT_S
        if is_old or len(self.records) >= CHECKPOINT_RECORDS:
            self.store()

    def store(self) -> None:
        """Write the new vectors."""
        import numpy as np

        began = time.perf_counter()
        if self.records:
            rows = np.concatenate(self.vectors)
            self.stored += self.engine.put_vectors(self.space, self.records, rows)
            self.records, self.vectors = [], []
        self.stored_at = time.perf_counter()
        self.store_s += self.stored_at - began

    def vanished(self) -> SourceVanishedError:
        """Return the error for images whose folder is away."""
        folder = min(self.away.values())
        return SourceVanishedError(
            f"{len(self.away):,} images have no preview, and their folder is not there "
            "(is its drive plugged in?)",
            folder,
            "The library is as it was, and what was embedded is kept. Bring the folder back and "
            "run this again; if it is gone for good: pixseek remove, with this folder",
        )
