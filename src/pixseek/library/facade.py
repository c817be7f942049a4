"""A library: images that were indexed with one model, and the questions they answer.

    with pixseek.open("photos.lib") as library:
        library.index("~/Pictures")
        for hit in library.search("a lake with mountains", k=10):
            print(hit.path, hit.score)

Every surface (the command line and what comes after it) uses this and nothing below it. What a
search does without is imported where it is used: that takes 30 of 180 ms off each.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from pixseek import encoders
from pixseek.config import PORTABLE_NAME, Config, load_config
from pixseek.engines import open_engine
from pixseek.errors import (
    LibraryError,
    LibraryNotFoundError,
    ModelError,
    PixseekError,
    QueryError,
    SourceError,
    SpaceMismatchError,
    StorageError,
)
from pixseek.indexing.lock import IndexingLock
from pixseek.library import model as model_choice
from pixseek.library.model import ModelChoice
from pixseek.library.roots import Roots
from pixseek.metadata.annotations import LABEL_CONFIDENCES, LABELLED, change
from pixseek.search import blas, searcher
from pixseek.search.background_store import BackgroundStore
from pixseek.storage.ledger import Ledger, Root
from pixseek.storage.previews import Previews
from pixseek.types import (
    CONFIDENT,
    POSSIBLE,
    Acceleration,
    And,
    Compare,
    Contrastive,
    Engine,
    Failure,
    Filter,
    Known,
    Not,
    Progress,
    Query,
    Record,
    Region,
    Report,
    Results,
    Scalar,
    Space,
    Stamp,
    Term,
    record_id,
)

if TYPE_CHECKING:
    from PIL import Image

    from pixseek.encoders.classifiers import Classifier
    from pixseek.search.classification import Guess
    from pixseek.search.duplicates import DuplicateGroup
    from pixseek.search.facets import Facets
    from pixseek.types import Encoder, Vectors

#: Records that are read at once where only their ids are wanted.
_LISTED = 10_000
#: Hits that facets count at most.
_COUNTED = 1000

#: Images from which is learned how near near-duplicates are.
_LEARN_FROM = 48

#: Characters that mean something in the language of the search box.
_LANGUAGE = frozenset('"():*-\\')

#: Seconds between notes of how far a run has come, for `Library.status` in other processes.
_NOTE_S = 2.0

#: Images that are looked up at once.
_TARGETS = 1024


@dataclass(frozen=True, slots=True)
class RootStatus:
    """A root, whether it can be reached now, and how many records lie under it."""

    name: str
    path: Path
    is_there: bool
    records: int


@dataclass(frozen=True, slots=True)
class Status:
    """What a library holds.

    Attributes:
        path: its folder.
        model: name of its model; "" before anything was indexed.
        space: its embedding space; None before anything was indexed.
        records: how many images.
        roots: where they are.
        failures: how many could not be read, by reason.
        bytes_on_disk: size of the library's folder.
        running: how far an indexing run that is under way has come, with "pid", "host", "done",
            "total", "left_s"; None when none is.
        acceleration: how the last run that embedded images did so; None before one did.
        texts: name of another model whose text tower is used; "" for the model's own.
        other_spaces: the other spaces that are held, each with how many images have vectors in it.
    """

    path: Path
    model: str
    space: Space | None
    records: int
    roots: tuple[RootStatus, ...]
    failures: Mapping[str, int]
    bytes_on_disk: int
    running: Mapping[str, Any] | None
    acceleration: Acceleration | None = None
    texts: str = ""
    other_spaces: tuple[tuple[Space, int], ...] = ()


class Library:
    """An open library. One instance may be searched from several threads."""

    def __init__(self, folder: Path, config: Config, ledger: Ledger, engine: Engine) -> None:
        """Use `Library.open`."""
        self.path = folder
        self.config = config
        self._ledger = ledger
        self._engine = engine
        self._encoder: Encoder | None = None
        self._encoder_choice: ModelChoice | None = None
        self._model: str | None = None
        self._lock = threading.RLock()
        self._roots = Roots(ledger, engine)
        read_only = not _may_write(folder)
        converted = config.models_dir / encoders.CONVERTED
        self._background_store = BackgroundStore(folder, converted, read_only=read_only)
        self._previews = Previews(folder / "previews.sqlite", read_only=read_only)
        #: Told of a download, should the model need one: what, bytes done, bytes in all.
        self.on_download: Callable[[str, int, int | None], None] | None = None

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str] | None = None,
        model: str | os.PathLike[str] | None = None,
        *,
        create: bool = True,
        portable: bool = False,
        drawn: bool = False,
        engine: str | None = None,
        **settings: Any,
    ) -> Library:
        """Open a library, or make one.

        Args:
            path: its folder, or a folder that has a portable one in it; None for the one that
                the settings name (see `pixseek.config`).
            model: alias or folder of a model; None for the one that the library was made with,
                or the default for a new one.
            create: make the library if there is none.
            portable: for a new library: note where its roots are relative to itself, so that
                both can move together.
            drawn: for a new library: its images are drawn scenes, so the demo model need not
                warn that it knows nothing else.
            engine: for a new library: URL of the engine that keeps its records, such as
                "postgresql://localhost/photos"; None for the embedded one in its folder.
            **settings: any other setting of `pixseek.config`.

        Raises:
            LibraryNotFoundError: there is none, and `create` is false.
            LibraryFormatError, StorageError: it can't be read or made.
            ConfigError: a setting has a value that can't be used.
        """
        config = load_config(library=path, **settings)
        folder = Path(os.path.abspath(config.library))
        is_new = not (folder / "ledger.sqlite").exists()
        if is_new:
            _check_new(folder, create)
        read_only = not is_new and not _may_write(folder)
        ledger = Ledger(folder, read_only=read_only)
        try:
            if is_new:
                ledger.set("portable", portable or folder.name == PORTABLE_NAME)
                ledger.set("drawn", drawn)
                ledger.set("engine", engine)
            store = open_engine(ledger.setting("engine") or folder / "index")
        except BaseException:
            ledger.close()
            raise
        library = cls(folder, config, ledger, store)
        library._model = os.fspath(model) if model is not None else None
        return library

    def close(self) -> None:
        """Flush and let go of all files."""
        self._engine.close()
        self._previews.close()
        self._ledger.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __len__(self) -> int:
        return self._engine.count()

    # ---------------------------------------------------------------- the model

    @property
    def model(self) -> str:
        """Name or folder of the library's model."""
        return self._choice().model

    @property
    def text_model(self) -> str:
        """Name or folder of another model whose text tower is used; "" for the model's own.

        It is set by `reindex`.
        """
        return self._choice().texts

    def _choice(self) -> ModelChoice:
        if self._model:
            return ModelChoice(self._model)
        chosen = model_choice.chosen(self._ledger, self._engine.space)
        return chosen or ModelChoice(self.config.model or encoders.DEFAULT)

    def encoder(self, on_download: Callable[[str, int, int | None], None] | None = None) -> Encoder:
        """Return the library's encoder, loading it at the first call.

        It is loaded anew when the library has changed its model since, by `reindex` in this process
        or in another.

        Args:
            on_download: told of a download: what, bytes done, bytes in all; None for the
                library's own `on_download`.

        Raises:
            ModelError: the model is not to be had.
            SpaceMismatchError: the library's vectors were made by another model.
        """
        with self._lock:
            choice, space = self._choice(), self._engine.space
            encoder = self._encoder if choice == self._encoder_choice else None
            if encoder is None:
                encoder = choice.load(self.config, on_download or self.on_download)
            if space is not None and space.fingerprint != encoder.fingerprint:
                raise _mismatch(space, encoder.name, encoder.fingerprint, self.path)
            self._encoder, self._encoder_choice = encoder, choice
            return encoder

    @property
    def note(self) -> str:
        """What users must know of the model, if it was loaded; "" for nothing."""
        if self._encoder is None or self._ledger.setting("drawn"):
            return ""
        return self._encoder.note

    # ---------------------------------------------------------------- indexing

    def index(
        self,
        *paths: str | os.PathLike[str],
        exclude: Iterable[str] = (),
        retry: bool = False,
        strict: bool = False,
        demosaic: bool = False,
        previews: bool | None = None,
        stop: threading.Event | None = None,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> Report:
        """Index folders and files, or bring everything indexed before up to date.

        Unchanged files are not read again; a file that was moved or renamed keeps its vectors; a
        file that is gone is removed from the library; what can't be read is a failure in the
        report. Runs until the end, or until `stop` is set; everything done until then is kept.

        Args:
            *paths: folders (with all below them) and files; none for all roots of the library.
            exclude: patterns of what to pass over, in the syntax of .gitignore; they are
                remembered for the root.
            retry: try files again that could not be read before and have not changed.
            strict: refuse images that break off, instead of taking what there is of them.
            demosaic: develop camera raw files, instead of taking the preview inside them; needs
                rawpy. Files that are in the library already stay as they are.
            previews: keep a small picture of each image in the library; None for what was said
                last, at first to keep them.
            stop: set it from another thread or a signal handler to stop.
            on_progress: told how far the run has come, many times a second.

        Raises:
            SourceError: a path is not there, or its drive went away during the run.
            LibraryLockedError: another process is indexing into the library.
            ModelError, SpaceMismatchError, StorageError: see their descriptions.
        """
        run = self.indexing(
            *paths,
            exclude=exclude,
            retry=retry,
            strict=strict,
            demosaic=demosaic,
            previews=previews,
            stop=stop,
        )
        return _driven(run, on_progress)

    def indexing(
        self,
        *paths: str | os.PathLike[str],
        exclude: Iterable[str] = (),
        retry: bool = False,
        strict: bool = False,
        demosaic: bool = False,
        previews: bool | None = None,
        stop: threading.Event | None = None,
    ) -> Generator[Progress, None, Report]:
        """Do what `index` does, yielding progress; the generator's return value is the report."""
        from pixseek.indexing import pipeline

        with self._indexing_lock():
            gone: list[Failure] = []
            if paths:
                sources = self._roots.sources(paths, tuple(exclude))
            else:
                sources, gone = self._roots.all_sources(tuple(exclude))
            run = pipeline.index(
                sources,
                engine=self._engine,
                encoder=self._encoder_for_writing,
                ledger=self._ledger,
                previews=self._previews if self._keeps_previews(previews) else None,
                is_there=self._roots.is_there,
                threads=self.config.thread_count,
                retry=retry,
                strict=strict,
                demosaic=demosaic,
                precision=self.config.precision,
                stop=stop,
            )
            report = yield from self._noted(run)
            if not report.stopped:
                self._prepare_searching()
            return replace(report, failures=(*gone, *report.failures))

    def reindex(
        self,
        model: str | os.PathLike[str] | None = None,
        *,
        text_model: str | os.PathLike[str] | None = None,
        keep: bool = False,
        files: bool = False,
        stop: threading.Event | None = None,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> Report:
        """Change the library's model; images are embedded from their previews.

        Until all are embedded the library is searched by the model that it had, in this process and
        in others; then all of them take the new one, at their next search. A run that is stopped or
        killed goes on where it was when it is run again. Where the images of both models are of one
        space, nothing is embedded, and only texts are embedded otherwise.

        Images whose preview is too small for the model are read from their files, where those are
        there. What can't be embedded is a failure in the report; it stays in the library, and is
        found by words and filters until `index` has embedded its file.

        Args:
            model: name or folder of the new model; None to keep the one it has.
            text_model: name or folder of another model whose text tower is to be used. It must have
                been made for the images of `model`, as `clip-b32-multilingual` was for those of
                `clip-b32-openai`. "" for the model's own; None for that too, or with no `model` for
                the one that is set.
            keep: keep the vectors of other models beside those of the new one, so that changing
                back embeds only what is new. Without it they are dropped, where a `model` is named.
            files: read the files of images, where they are there, and not their previews. It takes
                as long as `index` would, and gives its vectors.
            stop: set it from another thread or a signal handler to stop.
            on_progress: told how far the run has come, many times a second.

        Returns:
            As "updated" how many images were embedded, as "unchanged" how many were before.

        Raises:
            LibraryError: nothing was indexed yet.
            SourceVanishedError: images without a preview lie in a folder that is not there now.
            LibraryLockedError: another process is indexing into the library.
            ModelError: a model can't be had; the text tower is not of the space of the images; or
                no image could be embedded. The library is as it was.
            StorageError: the disk said no.
        """
        return _driven(
            self.reindexing(model, text_model=text_model, keep=keep, files=files, stop=stop),
            on_progress,
        )

    def reindexing(
        self,
        model: str | os.PathLike[str] | None = None,
        *,
        text_model: str | os.PathLike[str] | None = None,
        keep: bool = False,
        files: bool = False,
        stop: threading.Event | None = None,
    ) -> Generator[Progress, None, Report]:
        """Do what `reindex` does, yielding progress; the generator's return value is the report."""
        from pixseek.indexing import reindexing

        with self._indexing_lock():
            before = self._engine.space
            if before is None:
                raise LibraryError(
                    "The library has no images whose model could be changed", self.path,
                    "Index some with it: pixseek index ~/Pictures --model NAME",
                )  # fmt: skip
            choice = self._new_choice(model, text_model)
            if text_model:
                choice.check_texts(self.config, self.on_download)
            encoder = choice.load(self.config, self.on_download)
            space = Space(encoder.fingerprint, encoder.dim, encoder.name)
            self._remember_model(before.fingerprint)
            self._learn_texts(encoder, choice)
            self._engine.add_space(space)
            run = reindexing.reindex(
                space,
                engine=self._engine,
                encoder=encoder,
                ledger=self._ledger,
                pictures=reindexing.Pictures(
                    self.preview, self._same_file, self._roots.away, files_first=files
                ),
                threads=self.config.thread_count,
                precision=self.config.precision,
                stop=stop,
            )
            report = yield from self._noted(run)
            if report.stopped:
                return report
            if report.failures and not self._engine.held(space):
                first = report.failures[0]
                raise ModelError(
                    f"No image could be embedded, so the library stays with {before.model}",
                    first.uri,
                    f"{first.message}. {first.advice}",
                )
            self._switch(space, choice, encoder)
            self._clear_mended_failures()
            self._ledger.add_failures(report.failures)
            if model is not None and not keep:
                self._drop_others()
            self._prepare_searching()
            return report

    def _new_choice(
        self, model: str | os.PathLike[str] | None, text_model: str | os.PathLike[str] | None
    ) -> ModelChoice:
        now = model_choice.chosen(self._ledger, self._engine.space) or self._choice()
        texts = now.texts if model is None and text_model is None else os.fspath(text_model or "")
        named = now.model if model is None else _portable(os.fspath(model))
        texts = _portable(texts) if texts else ""
        return ModelChoice(named, "" if texts == named else texts)

    def _switch(self, space: Space, choice: ModelChoice, encoder: Encoder) -> None:
        """Let a space serve with its model. What is remembered first is not looked at before."""
        model_choice.remember(self._ledger, space.fingerprint, choice)
        with self._lock:
            self._engine.activate(space)
            self._model = None
            self._encoder, self._encoder_choice = encoder, choice
        self._ledger.set(model_choice.MODEL, choice.model)

    def _clear_mended_failures(self) -> None:
        """Forget failures of images that have vectors now and whose files are as they were."""
        failures = self._ledger.failures()
        records = self._engine.get([record_id(failure.uri) for failure in failures])
        self._ledger.clear_failures(
            failure.uri
            for failure, record in zip(failures, records, strict=True)
            if record is not None and record.parts and record.stamp == failure.stamp
        )

    def _drop_others(self) -> None:
        for other in self._engine.spaces()[1:]:
            self._engine.drop_space(other)
            self._background_store.forget_images(other.fingerprint)
            model_choice.forget(self._ledger, other.fingerprint)

    def _same_file(self, record: Record) -> bytes | None:
        """Return the content of a record's file, if it is what was indexed."""
        import hashlib

        path = self.locate(record)
        try:
            content = path.read_bytes() if path is not None else None
        except OSError:
            return None
        if content is None or not record.digest:
            size = record.stamp.size if record.stamp else None
            return content if content is not None and size in (None, len(content)) else None
        return content if hashlib.sha256(content).hexdigest() == record.digest else None

    def _noted(self, run: Generator[Progress, None, Report]) -> Generator[Progress, None, Report]:
        """Yield a run's progress, noting it now and then for `status` in other processes."""
        noted_at = 0.0
        try:
            while True:
                try:
                    progress = next(run)
                except StopIteration as end:
                    report: Report = end.value
                    return report
                if time.monotonic() - noted_at > _NOTE_S:
                    noted_at = time.monotonic()
                    self._note_running(progress)
                yield progress
        finally:
            run.close()
            self._ledger.set("running", None)

    def _prepare_searching(self) -> None:
        """Make what searches need, while the model is loaded; a search would have to do it."""
        if self._encoder is None or self._engine.space is None or not self._engine.count():
            return
        self._backgrounds()
        records = self._engine.select(None, order="uri", descending=False, k=_LEARN_FROM, offset=0)
        pictures = (self.preview(record) for record in records)
        self._background_store.learn_duplicates(
            self._engine, self._encoder, [_opened(each) for each in pictures if each]
        )

    def _keeps_previews(self, said: bool | None) -> bool:
        if said is not None:
            self._ledger.set("previews", said)
        return self._ledger.setting("previews") is not False

    def _encoder_for_writing(self) -> Encoder:
        encoder = self.encoder()
        if self._ledger.setting(model_choice.MODEL) is None or self._engine.space is None:
            self._ledger.set(model_choice.MODEL, _portable(self.model))
            self._remember_model(encoder.fingerprint)
        self._learn_texts(encoder, self._choice())
        return encoder

    def _remember_model(self, fingerprint: str) -> None:
        """Remember the model of a space, unless it is known."""
        choices = self._ledger.setting(model_choice.CHOICES) or {}
        if fingerprint not in choices:
            named = self._ledger.setting(model_choice.MODEL) or _portable(self.model)
            model_choice.remember(self._ledger, fingerprint, ModelChoice(named))

    def _learn_texts(self, encoder: Encoder, choice: ModelChoice) -> None:
        """Make the background of unrelated texts, which searches will need.

        Now the image tower is not open yet, and the text tower, which is opened for it, is let go
        of again: they need not fit side by side.
        """
        models_dir = self.config.models_dir
        self._background_store.texts(
            encoder.fingerprint,
            lambda: encoder,
            choice.bank(models_dir),
            choice.text_folder(models_dir),
            choice.texts,
        )

    def _note_running(self, progress: Progress) -> None:
        import socket

        self._ledger.set(
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

    def _indexing_lock(self) -> IndexingLock:
        return IndexingLock(self.path, self._ledger)

    # ---------------------------------------------------------------- roots and paths

    def roots(self) -> list[Root]:
        """Return the folders that images were indexed from, by name."""
        return self._roots.all()

    def locate(self, record: Record) -> Path | None:
        """Return where a record's file is (or was, when it is gone) on this machine.

        None for a URL and for a record of no root.
        """
        return self._roots.path_of(record.uri)

    def uri_of(self, path: str | os.PathLike[str]) -> str | None:
        """Return the URI that a path has in this library; None when it lies under no root."""
        return self._roots.uri_of(path)

    # ---------------------------------------------------------------- searching

    def search(
        self,
        query: str | Query | None = None,
        *,
        image: str | os.PathLike[str] | Image.Image | None = None,
        region: Region | None = None,
        exclude: Sequence[str] = (),
        where: Filter | None = None,
        **options: Any,
    ) -> Results:
        """Find images by words, by an example, by both, with filters.

        Args:
            query: in the language of the search box (see `pixseek.search.language`); plain words
                are the simplest; or a whole `Query`, which then says everything.
            image: an example image: a file, a URL or a Pillow image; besides words, or alone.
            region: the part of the example that is meant.
            exclude: what hits must not show, in plain words.
            where: what hits must fulfil, besides the filters in `query`.
            **options: other fields of `Query`: k, offset, sort, min_confidence, group, variety,
                text_weight.

        Raises:
            QueryError: there is nothing to look for, or the query can't be understood.
            ImageError: the example can't be read.
            ModelError, SpaceMismatchError: the model can't be had, or does not fit.
        """
        if not isinstance(query, Query):
            query = self.query(
                query, image=image, region=region, exclude=exclude, where=where, **options
            )
        return self._answer([query])[0]

    def query(
        self,
        text: str | None = None,
        *,
        image: str | os.PathLike[str] | Image.Image | None = None,
        region: Region | None = None,
        exclude: Sequence[str] = (),
        where: Filter | None = None,
        **options: Any,
    ) -> Query:
        """Return the query that these arguments of `search` stand for.

        Raises:
            QueryError: it can't be understood.
        """
        query = _parsed(text or "", **options)
        terms = list(query.terms)
        if image is not None:
            terms.append(Term("image", image, region=region))
        left_out = (*query.exclude, *(Term("text", words) for words in exclude))
        return replace(query, terms=tuple(terms), exclude=left_out, where=_both(query.where, where))

    def facets(self, query: Query, most: int = 10) -> Facets:
        """Return how many images that a query possibly matches have each value of some fields.

        Args:
            query: any; its k and offset don't matter. Of what it finds a thousand are counted at
                most, of what a filter alone lets through ten thousand.
            most: values of each field at most.

        Returns:
            By the name of the field ("folder", "year", "camera", "tag", "colour", "format"), the
            counts by value, largest first.
        """
        from pixseek.search import facets

        at_least = max(query.min_confidence, POSSIBLE)
        wide = replace(query, k=_COUNTED, offset=0, group=False, min_confidence=at_least)
        if not query.terms:
            wide = replace(wide, k=10 * _COUNTED)
        return facets.count((hit.record for hit in self._answer([wide])[0]), most)

    def duplicates(self, threshold: float | None = None) -> list[DuplicateGroup]:
        """Return the groups of images that are nearly the same, by the URI of the one to keep.

        Args:
            threshold: cosine from which two are; None for what was learned from the library's
                own images and model (see `pixseek.search.background_store`).
        """
        from pixseek.search import duplicates

        if self._engine.space is None:
            return []
        least = self._backgrounds().duplicate if threshold is None else threshold
        return list(duplicates.find(self._engine, least))

    def search_many(
        self, queries: Iterable[str | Query], *, where: Filter | None = None, **options: Any
    ) -> list[Results]:
        """Answer many queries together, many times faster than one by one.

        Args:
            queries: each as for `search`.
            where, **options: as for `search`; for queries that are given as text.

        Returns:
            The answers in order; `took_ms` of each is its share of the time of all.

        Raises:
            QueryError, ImageError, ModelError, SpaceMismatchError: as `search`.
        """

        def whole(query: str | Query) -> Query:
            if isinstance(query, Query):
                return query
            parsed = _parsed(query, **options)
            return replace(parsed, where=_both(parsed.where, where))

        return self._answer([whole(each) for each in queries])

    def classify(
        self,
        *images: str | os.PathLike[str],
        labels: Sequence[str] = (),
        templates: Sequence[str] = (),
        labels_from: str | os.PathLike[str] = "",
        k: int = 5,
    ) -> list[tuple[Guess, ...]]:
        """Return for each image which of some labels it shows, most likely first.

        Args:
            *images: files, URLs, or ids of indexed images.
            labels: to choose from, by the library's model; none to take those of a classifier.
            templates: texts with one `{}` each, where a label goes; of several the mean is taken.
                Without any, "This is a photo of {}."
            labels_from: name or folder of the classifier; "" for `classifiers.DEFAULT`.
            k: labels to return, at least 1.

        Raises:
            QueryError: an image is not there; a template has no place for a label.
            ImageError: an image can't be read.
            ModelError, SpaceMismatchError: the model can't be had, or does not fit.
            MissingExtraError: what runs the classifier is not installed.
        """
        if not labels:
            return self._classified(images, labels_from, k)
        import numpy as np

        from pixseek.search import classification, term_vectors

        encoder = self.encoder()
        texts = classification.label_vectors(encoder, labels, templates or classification.TEMPLATES)
        known = encoder.likelihood() if isinstance(encoder, Contrastive) else None
        rows = term_vectors.embed(
            [self._image_term(each) for each in images],
            engine=self._engine,
            encoder=self.encoder,
            picture_of=self._content,
            offline=self.config.offline,
        )
        vectors = np.stack(rows) if rows else np.empty((0, texts.shape[1]), np.float32)
        return classification.classify(
            vectors, labels, texts, known or classification.CLIP, k=max(1, k)
        )

    def _classified(
        self, images: Sequence[str | os.PathLike[str]], name: str | os.PathLike[str], k: int
    ) -> list[tuple[Guess, ...]]:
        from pixseek.images import decode
        from pixseek.search import classification, term_vectors

        classifier = self.classifier(name)
        found = []
        for image in images:
            term = self._image_term(image)
            content = term_vectors.content_of(
                term, engine=self._engine, picture_of=self._content, offline=self.config.offline
            )
            picture = decode(content, at_least=2 * classifier.input_side)
            likely = classifier.probabilities(classifier.prepare(picture)[None])
            found += classification.best(likely, classifier.labels, k=max(1, k))
        return found

    def classifier(self, name: str | os.PathLike[str] = "") -> Classifier:
        """Return a classifier, downloading it if need be.

        Args:
            name: of it, or a folder; "" for `classifiers.DEFAULT`.

        Raises:
            ModelError: there is no such classifier, or it can't be fetched or read.
            MissingExtraError: what runs it is not installed.
        """
        from pixseek.encoders import classifiers

        return classifiers.load(
            os.fspath(name) or classifiers.DEFAULT,
            models_dir=self.config.models_dir,
            offline=self.config.offline,
            threads=self.config.threads,
            on_progress=self.on_download,
        )

    def similar(self, to: str | os.PathLike[str], **options: Any) -> Results:
        """Find images that look like one, which is left out of the answer.

        Args:
            to: id of an indexed image, an image file (indexed or not), or the URL of one.
            **options: as for `search`, and `where`.

        Raises:
            QueryError: there is no such image.
            ImageError: the file can't be read.
        """
        return self._answer([_with_options(Query((self._image_term(to),)), options)])[0]

    def _image_term(self, image: str | os.PathLike[str]) -> Term:
        """Return what stands for an image that is given by its id, or as a file or URL."""
        record = self.find(image)
        if record is not None:
            return Term("id", record.id)
        text = os.fspath(image)
        if text.startswith(("http://", "https://")) or Path(text).expanduser().is_file():
            return Term("image", text)
        raise QueryError(
            "No image with this id, and no such file",
            text,
            "Ids are shown by: pixseek search --json",
        )

    def find(self, what: str | os.PathLike[str]) -> Record | None:
        """Return the record with this id, or of this file if it is as it was when indexed."""
        text = os.fspath(what)
        record = self._engine.get([text])[0]
        if record is not None:
            return record
        uri = self.uri_of(text)
        record = self._engine.get([record_id(uri)])[0] if uri else None
        path = self.locate(record) if record is not None else None
        if record is None or path is None or record.stamp is None:
            return None
        return record if _size(path) in (None, record.stamp.size) else None

    def _searcher(self) -> searcher.Searcher:
        return searcher.Searcher(
            engine=self._engine,
            encoder=self.encoder,
            backgrounds=self._backgrounds,
            model=self.model,
            locate=self.locate,
            preview=self.preview,
            picture=self._content,
            offline=self.config.offline,
        )

    def _answer(self, queries: Sequence[Query]) -> list[Results]:
        # The matrix products of one query are small; those of many together are worth all cores.
        with blas.one_thread() if len(queries) == 1 else contextlib.nullcontext():
            while True:
                space = self._engine.space
                try:
                    found = self._searcher().search(queries)
                except PixseekError:
                    if self._engine.space == space:
                        raise
                    continue
                # Else the model was changed in between, and vectors of both may have been mixed.
                if self._engine.space == space:
                    break
        if not self.note:
            return found
        return [replace(each, warnings=(*each.warnings, self.note)) for each in found]

    def _backgrounds(self) -> searcher.Backgrounds:
        """Return what scores mean nothing here; see `pixseek.search.background`."""
        choice, models_dir = self._choice(), self.config.models_dir
        found = self._background_store.get(
            self._engine,
            self.encoder,
            choice.bank(models_dir),
            choice.text_folder(models_dir),
            choice.texts,
        )
        return replace(found, calibration=choice.calibration(models_dir))

    def _content(self, record: Record) -> bytes | None:
        """Return the file of a record, or its preview."""
        path = self.locate(record)
        if path is not None:
            with contextlib.suppress(OSError):
                return path.read_bytes()
        return self.preview(record)

    # ---------------------------------------------------------------- looking after it

    def get(self, record_id: str) -> Record | None:
        """Return the record with this id; None where there is none."""
        return self._engine.get([record_id])[0]

    def vectors(self, record_id: str) -> Vectors | None:
        """Return a record's vectors, (parts, dim) float32 unit rows; None where there is none."""
        return self._engine.vectors([record_id])[0]

    def preview(self, record: Record) -> bytes | None:
        """Return the stored preview of a record, a small JPEG; None where none is kept."""
        return self._previews.get(record.digest) if record.digest else None

    def failures(self) -> list[Failure]:
        """Return what could not be indexed and is not mended yet, by URI."""
        return self._ledger.failures()

    def status(self) -> Status:
        """Return what the library holds, and how far a run that is under way has come."""
        from pixseek.indexing import pipeline

        spaces = self._engine.spaces()
        space = spaces[0] if spaces else None
        chosen = model_choice.chosen(self._ledger, space)
        running = self._ledger.setting("running")
        if running and not self._indexing_lock().is_held():
            running = None  # it was killed
        return Status(
            path=self.path,
            model=space.model if space else "",
            space=space,
            records=self._engine.count(),
            roots=tuple(
                RootStatus(
                    root.name,
                    root.path,
                    root.path.is_dir(),
                    self._roots.count(root),
                )
                for root in self.roots()
            ),
            failures=dict(Counter(failure.reason for failure in self.failures())),
            bytes_on_disk=sum(
                entry.stat().st_size for entry in self.path.rglob("*") if entry.is_file()
            ),
            acceleration=_acceleration(self._ledger.setting(pipeline.ACCELERATION)),
            running=running,
            texts=model_choice.shown(chosen.texts) if chosen else "",
            other_spaces=tuple((each, self._engine.held(each)) for each in spaces[1:]),
        )

    def remove(self, *targets: str | os.PathLike[str], root: str | None = None) -> int:
        """Take images out of the library; their files are not touched.

        Args:
            *targets: ids, files and folders. A file or folder that is still there is passed over
                by later runs, until it is indexed by its name again.
            root: name of a root to forget with all its records.

        Returns:
            How many records were removed.

        Raises:
            QueryError: a target is not in the library.
        """
        with self._indexing_lock():
            removed = 0
            for target in targets:
                removed += self._remove(os.fspath(target))
            if root is not None:
                self._roots.check(root)
                removed += self._delete(list(self._engine.known(f"{root}/")))
                self._roots.forget(root)
            return removed

    def remove_everything(self) -> int:
        """Take all images out of the library and forget its roots and failures.

        Files are not touched. Returns how many records were removed.
        """
        with self._indexing_lock():
            removed = self._delete(list(self._engine.known()))
            for root in self.roots():
                self._roots.forget(root.name)
            self._ledger.clear_failures([failure.uri for failure in self.failures()])
            return removed

    def _delete(self, gone: Sequence[Known]) -> int:
        """Delete records, and the previews that nothing else has."""
        removed = self._engine.delete([known.id for known in gone])
        self._previews.prune({known.digest for known in gone}, self._engine)
        return removed

    def _remove(self, target: str) -> int:
        record = self._engine.get([target])[0]
        uri = record.uri if record is not None else self.uri_of(target)
        if uri is None:
            raise QueryError(
                "Not in the library", target, "Name an id, or a file or folder of the library."
            )
        below = uri.rstrip("/") + "/"
        gone = [k for k in self._engine.known(uri.rstrip("/")) if (k.uri + "/").startswith(below)]
        failed = [f.uri for f in self.failures() if (f.uri + "/").startswith(below)]
        if not gone and not failed:
            raise QueryError(
                "Not in the library", target, "Name an id, or a file or folder of the library."
            )
        path = self._roots.path_of(uri)
        if path is not None and path.exists():
            self._roots.exclude(uri)
        self._ledger.clear_failures(failed)
        return self._delete(gone)

    def export(self, path: str | os.PathLike[str]) -> int:
        """Write ids, vectors and metadata to a .parquet or .npz file; return the number of rows.

        Raises:
            SourceError: the ending is neither, or the library is empty.
            MissingExtraError: .parquet needs pyarrow.
            StorageError: the file can't be written.
        """
        from pixseek.library import vector_files

        target = Path(path).expanduser()
        try:
            return vector_files.export_vectors(self._engine, target)
        except OSError as error:
            raise StorageError(
                f"The file can't be written ({error.strerror})", target, "Choose another place."
            ) from error

    def import_vectors(
        self, path: str | os.PathLike[str], *, base: str | os.PathLike[str] | None = None
    ) -> int:
        """Bring in vectors that were computed elsewhere with the library's model.

        Args:
            path: a .parquet or .npz file with uri and vectors (`pixseek export` writes such), or
                a folder that clip-retrieval inference wrote.
            base: folder that relative URIs start from; it becomes a root of the library.

        Returns:
            How many records were brought in.

        Raises:
            SourceError: the file lacks what is needed, or its vectors can't be used.
            SpaceMismatchError: the file names another model, or its vectors are of another
                length.
        """
        from pixseek.library import vector_files

        with self._indexing_lock():
            incoming = vector_files.read_vectors(Path(path).expanduser())
            encoder = self._encoder_for_writing()
            theirs = incoming.space
            if (theirs.fingerprint and theirs.fingerprint != encoder.fingerprint) or (
                theirs.dim and theirs.dim != encoder.dim
            ):
                raise SpaceMismatchError(
                    "The vectors were made by another model than the library's",
                    f"{theirs.model or 'unknown'} ({theirs.dim} numbers) and "
                    f"{encoder.name} ({encoder.dim} numbers)",
                    "Name the model they were made with by --model, and a new --library.",
                )
            self._engine.ensure(Space(encoder.fingerprint, encoder.dim, encoder.name))
            place = self._import_base(base)
            count = 0
            for records, vectors in incoming.batches:
                rows = _unit_rows(vectors, encoder.dim, path)
                moved = [place(record) for record in records]
                # Of several rows with one URI the last counts.
                last = {record.id: n for n, record in enumerate(moved)}
                starts = list(
                    itertools.accumulate((len(record.parts) for record in moved), initial=0)
                )
                chosen = sorted(last.values())
                wanted = [row for n in chosen for row in range(starts[n], starts[n + 1])]
                self._engine.put([moved[n] for n in chosen], rows[wanted])
                count += len(chosen)
            return count

    def _import_base(self, base: str | os.PathLike[str] | None) -> Callable[[Record], Record]:
        """Return what gives an incoming record its URI in this library."""
        prefix = ""
        if base is not None:
            folder = Path(os.path.abspath(Path(base).expanduser()))
            if not folder.is_dir():
                raise SourceError("No such folder", base, "Check the path.")
            prefix = self._roots.add(folder, whole=True).rstrip("/")

        def place(record: Record) -> Record:
            uri = record.uri
            if "://" not in uri:
                if Path(uri).is_absolute():
                    uri = self.uri_of(uri) or uri
                elif prefix:
                    uri = f"{prefix}/{Path(uri).as_posix()}"
            if uri != record.uri:
                record = replace(record, id=record_id(uri), uri=uri)
            path = self._roots.path_of(uri)
            if record.stamp is None and path is not None and path.is_file():
                # As it is now: the next run takes it as unchanged, and embeds nothing again.
                status = path.stat()
                record = replace(record, stamp=Stamp(status.st_size, status.st_mtime_ns))
            return record

        return place

    def tag(
        self,
        images: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
        *,
        add: str | Iterable[str] = (),
        remove: str | Iterable[str] = (),
        caption: str | None = None,
        rating: int | None = None,
        fields: Mapping[str, Scalar] | None = None,
        clear: str | Iterable[str] = (),
        write_xmp: bool = False,
    ) -> int:
        """Say something of indexed images, which stays when their files change or move.

        It is kept apart from what the files say, and goes before it: tags are those of the file
        without those removed and with those added, caption and rating are yours where you gave
        one. What you take back shows the file's again. Nothing is embedded, and files are
        touched only by `write_xmp`.

        Args:
            images: ids and files of the library.
            add: tags; a comma separates two, and "Places|Italy" is its leaf and its path.
            remove: tags, yours or the file's.
            caption: "" to take yours back.
            rating: 1 to 5, or -1 for rejected; 0 to take yours back.
            fields: values of your own by name, which filters know as `user.NAME`; None as a
                value takes one back.
            clear: what to take back before the rest counts: "tags", "caption", "rating",
                "fields" or "all".
            write_xmp: write what you said of the images into XMP sidecars beside their files as
                well, and leave all else in them as it is.

        Returns:
            How many images changed.

        Raises:
            QueryError: an image is not in the library, or something said can't be used; nothing
                was changed.
            LibraryLockedError: another process is indexing into the library.
            StorageError: a sidecar can't be written; the library is changed nonetheless.
        """
        from pixseek.indexing import tagging

        what = change(
            add=add, remove=remove, caption=caption, rating=rating, fields=fields, clear=clear
        )
        wanted = [images] if isinstance(images, str | os.PathLike) else list(images)
        with self._indexing_lock():
            return tagging.tag(
                dict.fromkeys(self._ids([os.fspath(each) for each in wanted]), what),
                engine=self._engine,
                sidecars_of=self.locate if write_xmp else None,
            )

    def tag_zero_shot(
        self,
        labels: Sequence[str],
        *,
        min_confidence: float = CONFIDENT,
        where: Filter | None = None,
        again: bool = False,
    ) -> dict[str, int]:
        """Tag all images that show a label, as sure as a search would be of it.

        The tags are yours as those of `tag` are. Images that were looked at before, for the same
        labels by the same model, are passed over; so what you took away stays away, and only what
        is new is looked at. The field `user.label_confidences` holds the confidences.

        Args:
            labels: what to look for; each that is found becomes a tag.
            min_confidence: how sure to be, above 0.
            where: among which images; None for all.
            again: look at all of them once more.

        Returns:
            How many images were tagged with each label, and under "" how many were looked at.

        Raises:
            QueryError: there is no label, or the confidence is none.
            LibraryLockedError: another process is indexing into the library.
            ModelError, SpaceMismatchError: the model can't be had, or does not fit.
        """
        from pixseek.indexing import tagging

        labels = tuple(dict.fromkeys(label.strip() for label in labels if label.strip()))
        if not labels:
            raise QueryError("There is no label to look for", "", "Give some: 'a lake', 'a cat'.")
        if not 0 < min_confidence <= 1:
            raise QueryError("min_confidence lies above 0, up to 1", min_confidence)
        with self._indexing_lock():
            if self._engine.space is None:
                return {"": 0, **dict.fromkeys(labels, 0)}
            mark = tagging.name_of(self._engine.space.fingerprint, labels, min_confidence)
            if not again:
                where = _both(where, Not(Compare(f"fields.{LABELLED}", "eq", mark)))
            found: dict[str, dict[str, float]] = {each: {} for each in self._matching_ids(where)}
            matches = self._searcher().matching(labels, where, min_confidence)
            for label, rated in zip(labels, matches, strict=True):
                for each, confidence in rated.items():
                    found.setdefault(each, {})[label] = confidence
            tagging.label(found, mark, field=LABEL_CONFIDENCES, engine=self._engine)
        return {
            "": len(found),
            **{label: len(rated) for label, rated in zip(labels, matches, strict=True)},
        }

    def tag_from(
        self,
        labels_from: str | os.PathLike[str] = "",
        *,
        min_score: float = 0.1,
        where: Filter | None = None,
        again: bool = False,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> dict[str, int]:
        """Tag all images with what a classifier is this sure to see in them.

        It looks at the previews, or at the files of images without one. A label that names one
        thing in several ways, as ImageNet's "lakeside, lakeshore", gives several tags, and so does
        what it is the edge of: "lake". The field `user.label_scores` holds the probabilities. The
        tags are yours as those of `tag` are, and images that this classifier has looked at before
        are passed over.

        Args:
            labels_from: name or folder of the classifier; "" for `classifiers.DEFAULT`.
            min_score: probability from which on a label counts, above 0.
            where: among which images; None for all.
            again: look at all of them once more.
            on_progress: told how far it is.

        Returns:
            How many images were given each label that was found, most first, and under "" how
            many were looked at.

        Raises:
            QueryError: the score is none.
            LibraryLockedError: another process is indexing into the library.
            ModelError: the classifier can't be had, or failed.
            MissingExtraError: what runs it is not installed.
        """
        from pixseek.indexing import tagging

        if not 0 < min_score <= 1:
            raise QueryError("min_score lies above 0, up to 1", min_score)
        with self._indexing_lock():
            if self._engine.space is None:
                return {"": 0}
            classifier = self.classifier(labels_from)
            mark = tagging.name_of(classifier.fingerprint, (), min_score)
            if not again:
                where = _both(where, Not(Compare(f"fields.{LABELLED}", "eq", mark)))
            ids = self._matching_ids(where)
            counts: Counter[str] = Counter()
            looking = tagging.classified(
                ids, classifier, min_score, mark, engine=self._engine, picture_of=self._seen
            )
            with contextlib.closing(looking):  # what was seen is written, also when it breaks off
                for done, found in enumerate(looking, 1):
                    counts.update(found)
                    if on_progress is not None:
                        on_progress(Progress("index", done, len(ids)))
        return {"": len(ids), **dict(counts.most_common())}

    def _seen(self, record: Record) -> bytes | None:
        """Return the preview of a record, which is quick to decode, or its file."""
        return self.preview(record) or self._content(record)

    def _matching_ids(self, where: Filter | None) -> list[str]:
        ids: list[str] = []
        while page := self._engine.select(
            where, order="uri", descending=False, k=_LISTED, offset=len(ids)
        ):
            ids += [record.id for record in page]
        return ids

    def _ids(self, targets: Sequence[str]) -> list[str]:
        """Return the ids of records by their ids, files or URIs, each once."""
        found: dict[str, None] = {}
        for start in range(0, len(targets), _TARGETS):
            some = targets[start : start + _TARGETS]
            uris = [self.uri_of(each) or each for each in some]
            by_id = self._engine.get(some)
            by_uri = self._engine.get([record_id(uri) for uri in uris])
            for target, one, other in zip(some, by_id, by_uri, strict=True):
                record = one or other
                if record is None:
                    raise QueryError(
                        "Not in the library",
                        target,
                        "Name an id, or a file of the library. New files: pixseek index",
                    )
                found[record.id] = None
        return list(found)


# ------------------------------------------------------------------ small parts


def _check_new(folder: Path, create: bool) -> None:
    if not create:
        raise LibraryNotFoundError(
            "There is no library here", folder, "Make one: pixseek index ~/Pictures"
        )
    if folder.exists() and not folder.is_dir():
        raise LibraryError("A library is a folder, and this is a file", folder, "Name another.")
    if folder.is_dir() and any(entry.name != "indexing.lock" for entry in folder.iterdir()):
        raise LibraryError(
            "The folder has other things in it and is no library",
            folder,
            f"Name a new folder; to keep the library beside its photos: {folder / PORTABLE_NAME}",
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"The library can't be made ({error.strerror})",
            folder,
            "Choose a place that may be written with --library.",
        ) from error


def _may_write(folder: Path) -> bool:
    return os.access(folder, os.W_OK) and os.access(folder / "ledger.sqlite", os.W_OK)


def _mismatch(space: Space, name: str, fingerprint: str, folder: Path) -> ModelError:
    return SpaceMismatchError(
        "The library's vectors were made by another model",
        f"{folder} holds {space.model} ({space.fingerprint[:12]}), "
        f"asked for {name} ({fingerprint[:12]})",
        f"Search it with --model {space.model}, index into a new --library with {name}, or let "
        f"{name} embed what this one holds: pixseek reindex --model {name}",
    )


def _portable(model: str) -> str:
    """Return a model's name as to be remembered: a folder by its full path."""
    if model in encoders.names():  # also where a folder happens to have its name
        return model
    folder = Path(model).expanduser()
    return os.path.abspath(folder) if folder.is_dir() else model


def _driven(
    run: Generator[Progress, None, Report], on_progress: Callable[[Progress], None] | None
) -> Report:
    """Run to the end, telling of progress."""
    while True:
        try:
            progress = next(run)
        except StopIteration as end:
            report: Report = end.value
            return report
        if on_progress is not None:
            on_progress(progress)


def _opened(preview: bytes) -> Image.Image:
    from PIL import Image

    return Image.open(io.BytesIO(preview)).convert("RGB")


def _parsed(text: str, **options: Any) -> Query:
    """Return the query that a text stands for, with other fields of `Query`."""
    # Plain words need no parser, which takes 10 ms to import.
    if text and not set(text) & _LANGUAGE and not {"OR", "AND", "NOT"} & set(text.split()):
        return _with_options(Query((Term("text", " ".join(text.split())),)), options)
    from pixseek.search.language import parse

    return _with_options(parse(text), options)


def _with_options(query: Query, options: Mapping[str, Any]) -> Query:
    given = {name: value for name, value in options.items() if value is not None}
    known = {each.name for each in fields(Query)} - {"terms", "exclude"}
    for name in given:
        if name not in known:
            raise TypeError(f"there is no option {name!r} of a query; there are {sorted(known)}")
    return replace(query, **given)


def _both(one: Filter | None, other: Filter | None) -> Filter | None:
    if one is None or other is None:
        return other if one is None else one
    return And((one, other))


def _acceleration(noted: dict[str, Any] | None) -> Acceleration | None:
    known = {each.name for each in fields(Acceleration)}
    return Acceleration(**{n: v for n, v in noted.items() if n in known}) if noted else None


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


def _unit_rows(vectors: Any, dim: int, path: object) -> Vectors:
    import numpy as np

    if vectors.ndim != 2 or vectors.shape[1] != dim:
        raise SpaceMismatchError(
            "The vectors have another length than the library's model gives",
            f"{path}: shape {vectors.shape}, wanted (n, {dim})",
            "Name the model they were made with by --model, and a new --library.",
        )
    rows = np.asarray(vectors, dtype=np.float32)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    bad = np.flatnonzero(~(np.isfinite(lengths[:, 0]) & (lengths[:, 0] > 0)))
    if len(bad):
        raise SourceError(
            "Some vectors are zero or not finite",
            f"{path}: {len(bad)} rows, the first is row {int(bad[0])}",
            "Compute them again, or leave them out.",
        )
    unit: Vectors = rows / lengths
    return unit
