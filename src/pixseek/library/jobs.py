"""Long runs of a library: indexing and changing the model, with progress.

While a run goes on it notes how far it is in the ledger, for `Library.status` in other processes.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from pixseek.errors import LibraryError, ModelError, PixseekError
from pixseek.indexing import pipeline
from pixseek.indexing.options import IndexOptions
from pixseek.library.building import build
from pixseek.library.changes import changed_sources
from pixseek.library.model import LibraryModel
from pixseek.library.opened import Opened
from pixseek.library.status import note_run
from pixseek.types import Progress, Record, Report, Space, record_id

if TYPE_CHECKING:
    from PIL import Image

    from pixseek.sources.scopes import Only
    from pixseek.video import Source

#: Images from which a library learns how near near-duplicates are.
LEARN_FROM = 48

#: Seconds between notes of how far a run is.
NOTE_S = 2.0


class Jobs:
    """The runs of one open library."""

    def __init__(self, opened: Opened, model: LibraryModel) -> None:
        """Run on this library, with its model."""
        self._opened, self._model = opened, model

    def index(
        self,
        paths: Sequence[str | os.PathLike[str]],
        options: IndexOptions,
        stop: threading.Event | None,
        listed: Iterable[str | os.PathLike[str]] | None = None,
        changed: Mapping[str, Only] | None = None,
    ) -> Generator[Progress, None, Report]:
        """Index, yielding progress; the return value is the report. See `Library.index`.

        Args:
            paths, listed: see `Library.index`.
            options, stop: of the run.
            changed: look at no more than this of the roots of these names, instead of `paths`.
        """
        opened = self._opened
        with opened.writing(stop, self._model.waiting):
            self._model.check_asked()
            before, ended = {root.name for root in opened.roots.all()}, False
            table = {
                name: value
                for name, value in (
                    ("columns", dict(options.columns)), ("images", options.images),
                    ("keep", options.keep), ("robots", options.robots),
                )
                if value or value is False
            }  # fmt: skip
            try:
                if changed is not None:
                    sources, gone = changed_sources(opened.roots, opened.engine, changed)
                elif paths or listed is not None:
                    sources, gone = opened.roots.sources(
                        paths,
                        options.exclude,
                        listed or (),
                        options.include,
                        follow_links=options.follow_links,
                        read_as=options.read_as,
                        table=table,
                    )
                else:
                    sources, gone = opened.roots.all_sources(
                        options.exclude, options.include, follow_links=options.follow_links,
                        table=table,
                    )  # fmt: skip
                run = pipeline.index(
                    sources,
                    engine=opened.engine,
                    encoder=self._model.encoder_for_writing,
                    ledger=opened.ledger,
                    previews=opened.previews if self._keeps_previews(options.previews) else None,
                    is_there=opened.roots.is_there,
                    is_other=opened.roots.is_other,
                    threads=opened.config.thread_count,
                    options=options,
                    stop=stop,
                    waiting=self._model.waiting,
                )
                report = yield from self._noted(self._with_indexes(run, stop))
                ended = not report.stopped
            finally:
                opened.roots.forget_unused(before, may_continue=not ended)
            report = replace(report, failures=(*gone, *report.failures))
            if changed is None or report.changed_anything:
                note_run(opened.ledger, "index", report)
            if changed is None and not report.stopped:
                self._prepare_searching()
            return report

    def reindex(
        self,
        model: str | os.PathLike[str] | None,
        *,
        text_model: str | os.PathLike[str] | None,
        keep: bool,
        files: bool,
        stop: threading.Event | None,
    ) -> Generator[Progress, None, Report]:
        """Change the model, yielding progress; the return value is the report.

        See `Library.reindex`.
        """
        from pixseek.indexing import reindexing

        opened = self._opened
        with opened.writing():
            before = opened.engine.space
            if before is None:
                raise LibraryError(
                    "The library has no images whose model could be changed", opened.folder,
                    "Index some with it: pixseek index ~/Pictures --model NAME",
                )  # fmt: skip
            choice = self._model.changed(model, text_model)
            if model is None:
                self._model.check_trust(choice)
            if text_model:
                with self._model.waiting("Comparing the text tower with the model's own"):
                    choice.check_texts(opened.config, self._model.on_download)
            encoder = self._model.load(choice)
            space = Space(encoder.fingerprint, encoder.dim, encoder.name)
            self._model.remember(before.fingerprint)
            self._model.learn_texts(encoder, choice)
            opened.engine.add_space(space)
            run = reindexing.reindex(
                space,
                engine=opened.engine,
                encoder=encoder,
                ledger=opened.ledger,
                pictures=reindexing.Pictures(
                    opened.preview,
                    lambda record: same_file(opened, record),
                    opened.roots.away,
                    files_first=files,
                    shot=lambda record, at: opened.previews.get(record.digest, at + 1),
                    footage=lambda record: same_video(opened, record),
                ),
                threads=opened.config.thread_count,
                precision=opened.config.precision,
                stop=stop,
                waiting=self._model.waiting,
            )
            report = yield from self._noted(self._with_indexes(run, stop))
            note_run(opened.ledger, "reindex", report)
            if report.stopped:
                return report
            if report.failures and not opened.engine.held(space):
                first = report.failures[0]
                raise ModelError(
                    f"No image could be embedded, so the library stays with {before.model}",
                    first.uri,
                    f"{first.message}. {first.advice}",
                )
            self._model.switch(space, choice, encoder)
            self._clear_repaired_failures()
            opened.ledger.add_failures(report.failures)
            if model is not None and not keep:
                self._model.drop_others()
            self._prepare_searching()
            return report

    def _with_indexes(
        self, run: Generator[Progress, None, Report], stop: threading.Event | None
    ) -> Generator[Progress, None, Report]:
        """Build the engine's indexes at the end of a run, unless it was stopped."""
        report = yield from run
        if not report.stopped and (yield from build(self._opened.engine, stop)):
            report = replace(report, stopped=True)
        return report

    def _noted(self, run: Generator[Progress, None, Report]) -> Generator[Progress, None, Report]:
        """Yield a run's progress, noting it now and then."""
        noted_at = 0.0
        try:
            while True:
                try:
                    progress = next(run)
                except StopIteration as end:
                    report: Report = end.value
                    return report
                if time.monotonic() - noted_at > NOTE_S:
                    noted_at = time.monotonic()
                    self._note(progress)
                yield progress
        finally:
            run.close()
            self._opened.ledger.set("running", None)

    def _note(self, progress: Progress) -> None:
        import socket

        self._opened.ledger.set(
            "running",
            {
                "pid": os.getpid(),
                "host": socket.gethostname(),
                "stage": progress.stage,
                "done": progress.done,
                "total": progress.total,
                "left_s": progress.left_s,
            },
        )

    def _prepare_searching(self) -> None:
        """Make what searches need while the model is loaded; a search would have to do it."""
        opened, encoder = self._opened, self._model.loaded
        if encoder is None or opened.engine.space is None or not opened.engine.count():
            return
        self._model.backgrounds()
        records = opened.engine.select(None, order="uri", descending=False, k=LEARN_FROM, offset=0)
        pictures = (opened.preview(record) for record in records)
        with self._model.waiting(
            "Measuring how similar near-duplicates are, once for this library"
        ):
            opened.backgrounds.learn_duplicates(
                opened.engine, encoder, [_decoded(each) for each in pictures if each]
            )

    def _keeps_previews(self, said: bool | None) -> bool:
        if said is not None:
            self._opened.ledger.set("previews", said)
        return self._opened.ledger.setting("previews") is not False

    def _clear_repaired_failures(self) -> None:
        """Forget failures of images that have vectors now and whose files have not changed."""
        ledger = self._opened.ledger
        failures = ledger.failures()
        records = self._opened.engine.get([record_id(failure.uri) for failure in failures])
        ledger.clear_failures(
            failure.uri
            for failure, record in zip(failures, records, strict=True)
            if record is not None and record.parts and record.stamp == failure.stamp
        )


def driven(
    run: Generator[Progress, None, Report], on_progress: Callable[[Progress], None] | None
) -> Report:
    """Run to the end, reporting progress; return the report."""
    while True:
        try:
            progress = next(run)
        except StopIteration as end:
            report: Report = end.value
            return report
        if on_progress is not None:
            on_progress(progress)


def same_file(opened: Opened, record: Record) -> bytes | None:
    """Return the content of a record's file if it is what was indexed, else None."""
    import hashlib

    content = opened.original(record)
    if content is None or not record.digest:
        size = record.stamp.size if record.stamp else None
        return content if content is not None and size in (None, len(content)) else None
    return content if hashlib.sha256(content).hexdigest() == record.digest else None


def same_video(opened: Opened, record: Record) -> Source | None:
    """Return where the video of a record with shots is, if it is what was indexed, else None."""
    from pixseek.indexing import videos
    from pixseek.library import films
    from pixseek.video.motion import MOTION_DIGEST

    with contextlib.suppress(OSError, PixseekError):
        source = films.source_of(opened, record)
        if source is None:
            return None
        apart = films.clip_beside(record)
        if not (apart or record.is_video):  # the clip is within the photo
            return source if same_file(opened, record) is not None else None
        digest = str(record.fields.get(MOTION_DIGEST, "")) if apart else record.digest
        if videos.digest_of(source, threading.Event()) == digest:
            return source
    return None


def _decoded(preview: bytes) -> Image.Image:
    from pixseek.images import decode

    return decode(preview).pixels.convert("RGB")
