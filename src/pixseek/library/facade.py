"""A library: images indexed with one model, and the questions they answer.

    with pixseek.open("photos.lib") as library:
        library.index("~/Pictures")
        for hit in library.search("a lake with mountains", k=10):
            print(hit.path, hit.score)

Every surface (the command line and what comes after it) uses this and nothing below it. Each method
is one call to a part of the library; its documentation is here. Longer than 500 lines, because
signatures and docstrings of one class stand together. Parts that a search does without are imported
by the methods that need them.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

from pixseek.errors import QueryError
from pixseek.library.asking import Asking
from pixseek.library.model import LibraryModel
from pixseek.library.named_paths import absolute_or_address
from pixseek.library.opened import Opened
from pixseek.types import WHOLE, Part, Query, Record, Results, Strength

if TYPE_CHECKING:
    from PIL import Image

    from pixseek.encoders.classifiers import Classifier
    from pixseek.library.jobs import Jobs
    from pixseek.library.labelling import Labelling
    from pixseek.library.migration import Migration
    from pixseek.library.saved import SavedSearch
    from pixseek.library.status import Status
    from pixseek.library.suggesting import Suggesting
    from pixseek.search.classification import Guess
    from pixseek.search.duplicates import DuplicateGroup
    from pixseek.search.facets import Facets
    from pixseek.search.suggestions import Suggestion
    from pixseek.types import (
        Embeddings,
        Encoder,
        Failure,
        Filter,
        Hit,
        Layout,
        Pixels,
        Progress,
        Region,
        Report,
        Root,
        Scalar,
        Sort,
        Vectors,
        WatchEvent,
    )
    from pixseek.video import Cut


class Library:
    """An open library. One instance may be used from several threads."""

    def __init__(self, opened: Opened, model: str | os.PathLike[str] | None = None) -> None:
        """Use `Library.open`."""
        self.opened = opened
        self.path = opened.folder
        self.config = opened.config
        self._model = LibraryModel(opened, model)
        self._asking = Asking(opened, self._model)
        self._suggesting: Suggesting | None = None

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
        trust: bool = False,
        on_upgrade: Callable[[int, int], None] | None = None,
        **settings: Any,
    ) -> Library:
        """Open a library, or create one.

        Args:
            path: its folder, or a folder with a portable library in it; None for the one that
                the settings name (see `pixseek.config`).
            model: alias or folder of a model; None for the library's own, or the default for a
                new library.
            create: create the library if there is none.
            portable: for a new library: store the paths of its roots relative to itself, so that
                both can move together.
            drawn: for a new library: its images are drawn scenes, so the demo model need not
                warn that it knows nothing else.
            engine: for a new library: URL of the engine that stores its records, such as
                "postgresql://localhost/photos"; None for the embedded engine in its folder. It is
                remembered among your settings, in a file that only you can read; give it again
                when the password has changed, or on another machine. Nothing shows the password.
            trust: open the library even if it belongs to another user, or was not made here and
                names a server, folders or models of its own; it is remembered as trusted.
            on_upgrade: called while a library of an older pixseek is upgraded: records done,
                records in all. An upgrade that is interrupted goes on at the next open.
            **settings: any other setting of `pixseek.config`.

        Raises:
            LibraryNotFoundError: there is none, and `create` is false.
            UntrustedLibraryError: it comes from elsewhere, and `trust` is false; the error says
                what it would do.
            LibraryFormatError, StorageError: it can't be read or created.
            ConfigError: a setting is unknown or has an invalid value.
        """
        opened = Opened.open(
            path,
            create=create,
            portable=portable,
            drawn=drawn,
            engine=engine,
            trust=trust,
            settings=settings,
            on_upgrade=on_upgrade,
        )
        return cls(opened, model)

    def close(self) -> None:
        """Flush and close all files."""
        self.opened.close()

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
        return self.opened.engine.count()

    # ---------------------------------------------------------------- the model

    @property
    def model(self) -> str:
        """Name or folder of the library's model."""
        return self._model.choice.model

    @property
    def text_model(self) -> str:
        """Name or folder of another model whose text tower is used; "" for the model's own.

        It is set by `reindex`.
        """
        return self._model.choice.texts

    @property
    def note(self) -> str:
        """What users must know about the model, if it was loaded; "" for nothing."""
        return self._model.note

    @property
    def on_download(self) -> Callable[[str, int, int | None], None] | None:
        """Called while a model is downloaded: what, bytes done, bytes in all; None for nothing."""
        return self._model.on_download

    @on_download.setter
    def on_download(self, callback: Callable[[str, int, int | None], None] | None) -> None:
        self._model.on_download = callback

    @property
    def on_wait(self) -> Callable[[str], None] | None:
        """Called with what is done when something begins that may take long, and with "" after it.

        For instance "Loading the model clip-b32-openai". None for nothing.
        """
        return self._model.on_wait

    @on_wait.setter
    def on_wait(self, callback: Callable[[str], None] | None) -> None:
        self._model.on_wait = callback

    def encoder(self, on_download: Callable[[str, int, int | None], None] | None = None) -> Encoder:
        """Return the library's encoder, loading it at the first call.

        It is loaded again when the library has changed its model, by `reindex` in this process or
        in another.

        Args:
            on_download: called during a download with what, bytes done, bytes in all; None for
                the library's own `on_download`.

        Raises:
            ModelError: the model is unavailable.
            SpaceMismatchError: the library's vectors were made by another model.
        """
        return self._model.encoder(on_download)

    def classifier(self, name: str | os.PathLike[str] = "") -> Classifier:
        """Return a classifier, downloading it if needed.

        Args:
            name: its name or folder; "" for `classifiers.DEFAULT`.

        Raises:
            ModelError: there is no such classifier, or it can't be downloaded or read.
            MissingExtraError: its runtime is not installed.
        """
        return self._labelling.classifier(name)

    # ---------------------------------------------------------------- indexing

    def index(
        self,
        *paths: str | os.PathLike[str],
        listed: Iterable[str | os.PathLike[str]] | None = None,
        exclude: Iterable[str] = (),
        include: Iterable[str] = (),
        follow_links: bool | None = None,
        retry: bool = False,
        reread: bool = False,
        recheck: bool = False,
        strict: bool = False,
        demosaic: bool = False,
        fast: bool = False,
        previews: bool | None = None,
        tiles: tuple[int, int] | None = None,
        ocr: bool | None = None,
        read_as: str | None = None,
        columns: Mapping[str, str] | None = None,
        images: str | os.PathLike[str] | None = None,
        keep: str | os.PathLike[str] | None = None,
        robots: bool | None = None,
        stop: threading.Event | None = None,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> Report:
        """Index folders, files, archives and tables, or update everything indexed before.

        Unchanged files are not read again; a file that was moved or renamed keeps its vectors; a
        file that is gone is removed from the library; a file that can't be read becomes a failure
        in the report. Runs until the end, or until `stop` is set; what was done until then is
        kept.

        Args:
            *paths: folders (with everything below them) and files; none for all roots of the
                library.
            listed: more of them, from a list: one that does not exist is a failure in the
                report, while a missing path in `paths` is an error. An empty list indexes nothing.
            exclude: patterns of what to skip, in the syntax of .gitignore; they are remembered
                for the root.
            include: patterns of what to index although it would be skipped by itself: recycle
                bins, previews of other programs, hidden folders ("@Recycle/"), files with unusual
                endings ("*.JPG_large"). They are remembered, too. A folder or file that is
                named in `paths` needs none.
            follow_links: follow links that lead out of the indexed folders, too; it is remembered
                for the root. None for the last choice, at first not to: a folder from somebody
                else may link to any file of yours.
            retry: try files again that failed before and have not changed.
            reread: read the metadata and sidecars of unchanged files again. Nothing is embedded:
                vectors, previews and your annotations stay. This fills what a newer version
                reads besides; "updated" in the report counts the images that changed.
            recheck: ask the servers of images that are named by URL whether they have changed,
                by ETag and date. What is unchanged is not sent; what is gone stays in the library,
                and is a failure in the report.
            strict: refuse truncated images instead of keeping the part that could be read.
            demosaic: develop camera raw files instead of using the preview inside them; needs
                rawpy. Files that are in the library already stay as they are.
            fast: look at key frames of videos only: several times as fast, and moments are found
                to within a few seconds. Videos in the library already stay as they are.
            previews: keep a small picture of each image in the library; None for the last
                choice, at first to keep them.
            tiles: columns and rows, such as (2, 2): embed each image as a whole and in that many
                tiles; the best part counts; finds small things, and takes time and
                space for each tile. (1, 1) for none; None for the last choice, at first none. A
                change embeds all images again.
            ocr: read the text in pictures, so that its words are found, too, with a low weight;
                needs `pixseek[ocr]`, and takes about a second of a core for each image. Images of
                the library are read once, without embedding them again. False to stop reading;
                None for the last choice, at first not to read.
            read_as: what the paths are taken for: "folder", "archive", "table", or the layout of
                a data set, such as "coco"; None to recognise it by name and content.
            columns: of tables: the column for "image", "caption", "tags", "date" or "id", if the
                usual names are not right, and columns whose dates are "day-first" (5/6/2024 is in
                June), "month-first" or "year-first"; remembered.
            images: the folder or address that paths in tables are relative to, and may not lead
                out of; None for the last choice, at first the folder of the table.
            keep: the folder in which images that tables name by URL are kept as they were fetched;
                nothing there is overwritten. None for the last choice, at first to keep none.
            robots: fetch only what the robots.txt of servers allows; None for the last choice, at
                first to fetch what the table names.
            stop: set it from another thread or a signal handler to stop.
            on_progress: called with the progress, many times a second.

        Raises:
            SourceError: a path does not exist, or its drive went away during the run.
            LibraryLockedError: another process is indexing into the library.
            ConfigError: images can't be cut into these tiles.
            MissingExtraError: text is to be read, and its package is not installed.
            ModelError, SpaceMismatchError, StorageError: see their descriptions.
        """
        from pixseek.library.jobs import driven

        run = self.indexing(
            *paths,
            listed=listed,
            exclude=exclude,
            include=include,
            follow_links=follow_links,
            retry=retry,
            reread=reread,
            recheck=recheck,
            strict=strict,
            demosaic=demosaic,
            fast=fast,
            previews=previews,
            tiles=tiles,
            ocr=ocr,
            read_as=read_as,
            columns=columns,
            images=images,
            keep=keep,
            robots=robots,
            stop=stop,
        )
        return driven(run, on_progress)

    def indexing(
        self,
        *paths: str | os.PathLike[str],
        listed: Iterable[str | os.PathLike[str]] | None = None,
        exclude: Iterable[str] = (),
        include: Iterable[str] = (),
        follow_links: bool | None = None,
        retry: bool = False,
        reread: bool = False,
        recheck: bool = False,
        strict: bool = False,
        demosaic: bool = False,
        fast: bool = False,
        previews: bool | None = None,
        tiles: tuple[int, int] | None = None,
        ocr: bool | None = None,
        read_as: str | None = None,
        columns: Mapping[str, str] | None = None,
        images: str | os.PathLike[str] | None = None,
        keep: str | os.PathLike[str] | None = None,
        robots: bool | None = None,
        stop: threading.Event | None = None,
    ) -> Generator[Progress, None, Report]:
        """Do what `index` does, yielding progress; the generator's return value is the report."""
        from pixseek.indexing.options import IndexOptions

        options = IndexOptions(
            exclude=_patterns(exclude),
            include=_patterns(include),
            follow_links=follow_links,
            retry=retry,
            reread=reread,
            recheck=recheck,
            strict=strict,
            demosaic=demosaic,
            fast=fast,
            previews=previews,
            tiles=tiles,
            ocr=ocr,
            read_as=read_as,
            columns=columns or {},
            images=None if images is None else absolute_or_address(images),
            keep=None if keep is None else os.path.abspath(keep),
            robots=robots,
            precision=self.config.precision,
        )
        return self._jobs.index(paths, options, stop, listed)

    def watch(
        self,
        *paths: str | os.PathLike[str],
        poll: bool | None = None,
        poll_s: float = 10.0,
        stop: threading.Event | None = None,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> Iterator[WatchEvent]:
        """Index folders, then keep the library up to date with what changes in them.

        A file is indexed half a second after it was last written. What moves keeps its vectors,
        what is deleted is removed. Other processes may index into the library meanwhile: runs wait
        for each other.

        Args:
            *paths: folders; none for all of the library. They are indexed first, as `index` does
                it, so that what changed while nobody watched is in the library.
            poll: look through all files now and then, instead of being told by the system; None
                to do so for network drives only, where others write.
            poll_s: seconds between two such looks.
            stop: set it from another thread or a signal handler to end; so does closing the
                generator.
            on_progress: called with the progress of runs.

        Yields:
            What happened, as it happens; nothing while nothing changes.

        Raises:
            SourceError: a path does not exist, or is an address of a bucket or server; or the
                system can't watch that many folders.
            LibraryError, ModelError, EngineError: as for `index`, of the first run; later ones are
                tried again.
        """
        from pixseek.library.watching import Watcher

        watcher = Watcher(
            self.opened, self._model, paths, poll=poll, poll_s=poll_s,
            stop=stop or threading.Event(), on_progress=on_progress,
        )  # fmt: skip
        yield from watcher.events()

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

        Until all images are embedded, searches use the old model, in this process and in others;
        then all processes change to the new one at their next search. A run that was stopped or
        killed continues when it is run again. If both models embed images alike, no image is
        embedded, only texts.

        Images whose preview is too small for the model are read from their files, if those are
        there. An image that can't be embedded becomes a failure in the report; it stays in the
        library, and words and filters find it, until `index` has embedded its file.

        Args:
            model: name or folder of the new model; None to keep the current one.
            text_model: name or folder of another model whose text tower to use. It must have
                been made for the images of `model`, as `clip-b32-multilingual` was for those of
                `clip-b32-openai`. "" for the model's own; None means the same if `model` is
                given, and no change otherwise.
            keep: keep the vectors of other models next to the new ones, so that changing back
                embeds only new images. Without it they are dropped if `model` is given.
            files: read the files of images, if they are there, instead of their previews. It
                takes as long as `index`, and gives its vectors.
            stop: set it from another thread or a signal handler to stop.
            on_progress: called with the progress, many times a second.

        Returns:
            "updated" counts the images embedded now, "unchanged" those embedded before.

        Raises:
            LibraryError: nothing was indexed yet.
            SourceVanishedError: images without a preview lie in a folder that is not there now.
            LibraryLockedError: another process is indexing into the library.
            ModelError: a model is unavailable; the text tower was not made for these images; or
                no image could be embedded. The library is unchanged.
            StorageError: the disk is full, read-only or failing.
        """
        from pixseek.library.jobs import driven

        run = self.reindexing(model, text_model=text_model, keep=keep, files=files, stop=stop)
        return driven(run, on_progress)

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
        return self._jobs.reindex(model, text_model=text_model, keep=keep, files=files, stop=stop)

    # ---------------------------------------------------------------- searching

    def search(
        self,
        query: str | Query | None = None,
        *,
        image: str | os.PathLike[str] | Image.Image | Pixels | None = None,
        region: Region | None = None,
        vector: Vectors | None = None,
        vector_of: Literal["image", "text"] = "image",
        exclude: Sequence[str] = (),
        where: Filter | str | None = None,
        dates: bool = True,
        **options: Any,
    ) -> Results:
        """Find images by words, by an example, or both, with filters.

        Args:
            query: plain words, or the language of the search box (see `pixseek.search.language`),
                which may begin with a saved search, as in "@dogs year:2021" (see `save_search`);
                or a whole `Query`, and then the other arguments don't count.
            image: an example image, alone or with words: a file, a URL, a Pillow image, or a
                numpy array, (height, width, 3) uint8.
            region: the part of the example that is meant.
            vector: in the library's space, (dim,), alone or with words. It needs no model.
            vector_of: what the vector was made of, which tells what a high score is.
            exclude: what hits must not show, in plain words.
            where: what hits must fulfil, besides the filters in `query`: a filter, or a text such
                as "format:jpg" in the language of the search box, without words.
            dates: read dates in plain words, such as "july 2019" or "last week", as filters on
                when an image was taken. A note in `Results.warnings` says so. If they let no
                image through, they are words.
            **options: other fields of `Query`: k, offset, sort, min_strength, group, group_by,
                variety, text_weight, show_excluded, exact.

        Raises:
            QueryError: there is nothing to look for, or the query can't be understood.
            ImageError: the example can't be read.
            ModelError, SpaceMismatchError: the model is unavailable, or not the library's.
        """
        if not isinstance(query, Query):
            query = self.query(
                query,
                image=image,
                region=region,
                vector=vector,
                vector_of=vector_of,
                exclude=exclude,
                where=where,
                dates=dates,
                **options,
            )
        return self._asking.answer([query])[0]

    def layout(
        self,
        query: str | Query | None = None,
        *,
        most: int = 100_000,
        where: Filter | str | None = None,
        dates: bool = True,
        **options: Any,
    ) -> Layout:
        """Return the ids, shapes and strengths of all hits at once, from which a page is laid out.

        Records are then read as they come into view. The order is that of `search`, page after
        page.

        Args:
            query: as for `search`; k and offset don't count. None, with no filter either, for all
                images.
            most: hits at most, up to 100,000. For several things to look for, or something
                excluded, 20,000 are listed at most, and with `group` or `group_by` 2,000.
            where, dates, **options: as for `search`.

        Raises:
            QueryError, ImageError, ModelError, SpaceMismatchError: as `search`.
        """
        if not isinstance(query, Query):
            query = self.query(query, where=where, dates=dates, **options)
        return self._asking.layout(query, most)

    def groups(
        self, ids: Sequence[str], query: str | Query, *, dates: bool = True, **options: Any
    ) -> list[Hit | None]:
        """Return images with `group`, `others` and `group_filter`, as `search` returns them.

        Args:
            ids: of images that `layout` lists, for the same query.
            query, dates, **options: as for `search`; of these filters and `group_by` count.

        Returns:
            Hits whose rank is 0; None for an image that is not in the library.

        Raises:
            QueryError: images can't be grouped by this field.
        """
        if not isinstance(query, Query):
            query = self.query(query, dates=dates, **options)
        return self._asking.groups(query, ids)

    def group_fields(self) -> list[str]:
        """Return the names of user fields to offer for `group_by`, by name.

        Those of which some of 200 images share a text or a whole number.
        """
        return self._asking.group_fields()

    def hit(self, image_id: str, query: str | Query, *, dates: bool = True) -> Hit | None:
        """Return one image as a hit of a query: how well it matches, and why.

        Args:
            image_id: of the image.
            query, dates: as for `search`; k and offset don't count.

        Returns:
            As `search` returns it. Its rank is 0 if it is not among the hits that `layout` lists.
            None if it is not in the library, or a filter keeps it out.

        Raises:
            QueryError, ImageError, ModelError, SpaceMismatchError: as `search`.
        """
        if not isinstance(query, Query):
            query = self.query(query, dates=dates)
        return self._asking.hit(query, image_id)

    def suggest(self, text: str) -> list[Suggestion]:
        """Return how the text of a search box may go on: fields, values, saved searches.

        At most ten, the commonest values first. While a large library is written to, counts may be
        some seconds old.

        Args:
            text: in the language of the search box; what is typed is at its end.
        """
        from pixseek.library.suggesting import Suggesting

        if self._suggesting is None:
            self._suggesting = Suggesting(self.opened)
        return self._suggesting.suggest(text)

    def search_many(
        self,
        queries: Iterable[str | Query],
        *,
        where: Filter | str | None = None,
        dates: bool = True,
        **options: Any,
    ) -> list[Results]:
        """Answer many queries together, many times faster than one by one.

        Args:
            queries: each as for `search`.
            where, dates, **options: as for `search`; for queries that are given as text.

        Returns:
            The answers in order; `took_ms` of each is its share of the time of all.

        Raises:
            QueryError, ImageError, ModelError, SpaceMismatchError: as `search`.
        """
        return self._asking.search_many(queries, where=where, dates=dates, **options)

    def query(
        self,
        text: str | None = None,
        *,
        image: str | os.PathLike[str] | Image.Image | Pixels | None = None,
        region: Region | None = None,
        vector: Vectors | None = None,
        vector_of: Literal["image", "text"] = "image",
        exclude: Sequence[str] = (),
        where: Filter | str | None = None,
        dates: bool = True,
        **options: Any,
    ) -> Query:
        """Return the query that these arguments of `search` stand for.

        Raises:
            QueryError: it can't be understood.
        """
        return self._asking.query(
            text,
            image=image,
            region=region,
            vector=vector,
            vector_of=vector_of,
            exclude=exclude,
            where=where,
            dates=dates,
            **options,
        )

    def similar(
        self,
        to: str | os.PathLike[str] | Image.Image | Pixels | Vectors,
        *,
        at: float | None = None,
        where: Filter | str | None = None,
        **options: Any,
    ) -> Results:
        """Find images that look like one, which is left out of the answer.

        A video is like what all of its shots show.

        Args:
            to: id of an indexed image, an image file (indexed or not), the URL of one, a Pillow
                image, or a numpy array, (height, width, 3) uint8; or the vector of an image in the
                library's space, (dim,), which needs no model.
            at: the second of a video that is meant: of an indexed one the shot that it lies in,
                of another file the frame. A name such as "clip.mp4@12.5" or "clip.mp4@0:12" says
                the same.
            where, **options: as for `search`.

        Raises:
            QueryError: there is no such image.
            ImageError: the file can't be read.
        """
        return self._asking.similar(to, at=at, where=where, **options)

    def embed(
        self,
        texts: Sequence[str] = (),
        images: Sequence[str | os.PathLike[str] | Image.Image | Pixels] = (),
    ) -> Embeddings:
        """Return the vectors of texts and images in the library's space.

        A text is embedded as it is, while a search for a single word also looks for it with an
        article.

        Args:
            texts: any.
            images: as for `similar`; those of an indexed image are the stored ones.

        Raises:
            QueryError: a text is empty, or an image does not exist.
            ImageError: an image can't be read.
            ModelError, SpaceMismatchError: the model is unavailable, or not the library's.
        """
        return self._asking.embed(texts, images)

    def facets(
        self,
        query: str | Query,
        most: int = 10,
        *,
        where: Filter | str | None = None,
        dates: bool = True,
    ) -> Facets:
        """Count the values of some fields among the images that a query finds.

        Args:
            query: as for `search`; its k and offset don't matter. At most the best 1,000 strong
                and likely hits are counted; for examples without words also weak ones; of a query
                that is only a filter, all images (at most 10,000 if the library's engine can't
                count).
            most: values of each field at most.
            where, dates: as for `search`; for a query that is given as text.

        Returns:
            By the name of the field ("folder", "year", "camera", "tag", "person", "colour",
            "format"), the counts by value, largest first. A folder counts all images below it, a
            tag all images that have it as a level. The year "none" is last: images without a date.
            Each value can be typed back and finds the images counted: as `field:"value"`, or as
            `field:="value"` for cameras and values with `*` or `?`
            (`search.facets.filter_text`).
        """
        return self._asking.facets(query, most, where=where, dates=dates)

    def save_search(self, query: str | Query, name: str, **options: Any) -> str:
        """Keep a search under a name; `search("@NAME")` runs it, also with more words behind it.

        It is kept in the library's engine, so all machines that use the engine see it. A search
        of the same name is replaced.

        Args:
            query: as for `search`. Text is kept as text; an example image by its full path.
            name: letters, digits, "-", "_" and spaces; upper and lower case are the same.
            **options: image, region, vector, exclude, where and the others, as for `search`.

        Returns:
            The name as it is kept.

        Raises:
            QueryError: the query can't be understood or holds an image in memory, or the name
                can't be used.
            EngineError, StorageError: the engine can't keep it.
        """
        return self._asking.save(query, name, **options)

    def saved_searches(self) -> dict[str, SavedSearch]:
        """Return the searches kept by `save_search`, by name, each as text and as a `Query`."""
        return self._asking.saved()

    def forget_search(self, name: str) -> None:
        """Forget a saved search.

        Raises:
            QueryError: there is none of this name.
        """
        from pixseek.library import saved

        saved.forget(self.opened, name)

    def duplicates(
        self, threshold: float | None = None, *, exact: bool = False
    ) -> list[DuplicateGroup]:
        """Return the groups of copies, and then of images that are alike, each by URI.

        Copies are proved by their content or pixels. Groups of the kind "alike" are images that
        resemble each other and are different pictures: remove none of these without a look.

        Args:
            threshold: smallest cosine of images that are compared; None for the one learned from
                the library's own images and model (see `pixseek.search.background_store`).
            exact: only files with the same content, byte for byte.
        """
        return self._asking.duplicates(threshold, exact)

    @property
    def duplicate_threshold(self) -> float:
        """The smallest cosine of images that `duplicates` compares by default."""
        return self._model.backgrounds().duplicate

    # ---------------------------------------------------------------- labels

    def classify(
        self,
        *images: str | os.PathLike[str] | Image.Image | Pixels,
        labels: Sequence[str] = (),
        templates: Sequence[str] = (),
        labels_from: str | os.PathLike[str] = "",
        k: int = 5,
    ) -> list[tuple[Guess, ...]]:
        """Return the likeliest labels of each image, likeliest first.

        Args:
            *images: as for `similar`.
            labels: labels to choose from, by the library's model; none for those of a classifier.
            templates: texts with one `{}` each for the label; the mean of several is taken.
                Without any, "This is a photo of {}."
            labels_from: name or folder of the classifier; "" for `classifiers.DEFAULT`.
            k: labels to return, at least 1.

        Raises:
            QueryError: an image is not there; a template has no place for a label.
            ImageError: an image can't be read.
            ModelError, SpaceMismatchError: the model is unavailable, or not the library's.
            MissingExtraError: the classifier's runtime is not installed.
        """
        return self._labelling.classify(
            images, labels=labels, templates=templates, labels_from=labels_from, k=k
        )

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
        """Tag, caption and rate indexed images; this stays when their files change or move.

        It is kept apart from what the files say, and takes precedence: tags are those of the
        file without those removed and with those added; caption and rating are yours if you gave
        one. What you clear shows the file's again. Nothing is embedded, and files are touched
        only by `write_xmp`. It may be called while the library is being indexed.

        Args:
            images: ids and files of the library.
            add: tags; a comma separates two, and "Places|Italy" is its leaf and its path.
            remove: tags, yours or the file's.
            caption: "" or white space clears yours.
            rating: 1 to 5, or -1 for rejected; 0 clears yours.
            fields: values of your own by name, which filters know as `user.NAME`; None as a
                value clears one.
            clear: what to clear before the rest counts: "tags", "caption", "rating", "fields" or
                "all".
            write_xmp: also write your changes into XMP sidecars next to the files; everything
                else in the sidecars is kept.

        Returns:
            How many images changed.

        Raises:
            QueryError: an image is not in the library, or a value is invalid; nothing was
                changed.
            StorageError: a sidecar can't be written; the library is changed nonetheless.
        """
        from pixseek.metadata.annotations import change

        what = change(
            add=add, remove=remove, caption=caption, rating=rating, fields=fields, clear=clear
        )
        with self._model.waiting("Writing"), self._suggested_at_once():
            return self._labelling.tag(images, what, write_xmp=write_xmp)

    def copy_annotations(self, of: Sequence[str], to: str) -> bool:
        """Give an image what was said of others, such as copies of it that are moved away.

        Its own caption, rating and fields count more; tags are put together. What only a model
        said of the others is left out.

        Args:
            of: ids of the others; those that are not stored are skipped.
            to: id of the image.

        Returns:
            Whether anything was added.
        """
        from pixseek.indexing import said

        return said.give(self.opened.engine, of, to)

    def tag_zero_shot(
        self,
        labels: Sequence[str],
        *,
        min_strength: Strength = "strong",
        where: Filter | str | None = None,
        again: bool = False,
        min_confidence: float | None = None,
    ) -> dict[str, int]:
        """Tag every image with the labels the library's model finds in it.

        The tags are yours, like those of `tag`. Images that the same model searched for the same
        labels before are skipped; so a tag you removed stays removed, and only new images are
        looked at. The field `user.label_confidences` holds how well each matches: its probability
        if that was measured for the model, else its strength.

        Args:
            labels: what to look for; each label found becomes a tag.
            min_strength: how well a label must match.
            where: which images, as for `search`; None for all.
            again: look at all of them again.
            min_confidence: deprecated, use `min_strength`.

        Returns:
            How many images were tagged with each label, and under "" how many were looked at.

        Raises:
            QueryError: there is no label, or `min_strength` is unknown.
            ModelError, SpaceMismatchError: the model is unavailable, or not the library's.
        """
        if min_confidence is not None:
            import warnings

            said = "min_confidence is deprecated: use min_strength"
            warnings.warn(said, DeprecationWarning, stacklevel=2)
            min_strength = "strong" if min_confidence > 0.5 else "likely"
        with self._suggested_at_once():
            return self._labelling.tag_zero_shot(
                labels, min_strength=min_strength, where=where, again=again
            )

    def tag_from(
        self,
        labels_from: str | os.PathLike[str] = "",
        *,
        min_score: float = 0.1,
        where: Filter | str | None = None,
        again: bool = False,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> dict[str, int]:
        """Tag every image with the labels a classifier finds in it.

        It looks at the previews, or at the files of images without one. A label with several
        names, such as ImageNet's "lakeside, lakeshore", gives several tags, and so does the
        place that it names the edge of: "lake". The field `user.label_scores` holds the
        probabilities. The tags are yours, like those of `tag`; images that this classifier
        looked at before are skipped.

        Args:
            labels_from: name or folder of the classifier; "" for `classifiers.DEFAULT`.
            min_score: smallest probability that counts, above 0.
            where: which images, as for `search`; None for all.
            again: look at all of them again.
            on_progress: called with the progress.

        Returns:
            How many images were given each label that was found, most first, and under "" how
            many were looked at.

        Raises:
            QueryError: `min_score` is invalid.
            ModelError: the classifier is unavailable, or failed.
            MissingExtraError: its runtime is not installed.
        """
        with self._suggested_at_once():
            return self._labelling.tag_from(
                labels_from, min_score=min_score, where=where, again=again, on_progress=on_progress
            )

    @contextlib.contextmanager
    def _suggested_at_once(self) -> Iterator[None]:
        try:
            yield
        finally:
            if self._suggesting is not None:
                self._suggesting.count_anew()

    # ---------------------------------------------------------------- records and their files

    def records(
        self, where: Filter | str | None = None, *, sort: Sort | None = None
    ) -> Iterator[Record]:
        """Yield the records of the library one after the other; no model is needed.

        They are read in pages, so a record that is added or removed meanwhile may be met or not.

        Args:
            where: as for `search`; None for all.
            sort: an order of `search`; None for that of their URIs.

        Raises:
            QueryError: the filter can't be understood, or the order is unknown.
        """
        return self._asking.records(where, sort)

    def get(self, record_id: str) -> Record | None:
        """Return the record with this id; None if there is none."""
        return self.opened.engine.get([record_id])[0]

    def get_many(self, record_ids: Sequence[str]) -> list[Record | None]:
        """Return the records with these ids, in order; None for an id that there is not."""
        return self.opened.engine.get(record_ids)

    def find(self, what: str | os.PathLike[str]) -> Record | None:
        """Return the record with this id, or of this file unless it changed since indexing."""
        return self.opened.find(what)

    def vectors(self, record_id: str) -> Vectors | None:
        """Return a record's vectors, (parts, dim) float32 unit rows; None if there is no record."""
        return self.opened.engine.vectors([record_id])[0]

    def preview(self, record: Record, part: Part = WHOLE) -> bytes | None:
        """Return the stored preview of a record, a small JPEG; None if there is none.

        Args:
            record: of an image or a video.
            part: of the record, such as `Hit.part`: a shot of a video has a preview of its own,
                any other part that of the whole.
        """
        return self.opened.preview(record, part)

    def frame(self, video_id: str, second: float) -> Image.Image:
        """Return the frame of a video that is shown at a second, upright, in mode "RGB".

        Args:
            video_id: of a video, or of a photo with a moving part.
            second: from the beginning; beyond the end the last frame.

        Raises:
            QueryError: there is no such record, or its video is not there now.
            ImageError: it can't be decoded.
            MissingExtraError: PyAV is not installed.
        """
        from pixseek.library import films

        record = self.get(video_id)
        if record is None:
            raise QueryError("No video with this id", video_id, "Search for it first.")
        return films.frame(self.opened, record, second)

    def cut(
        self, record: Record, part: Part, to: str | os.PathLike[str], *, exact: bool = False
    ) -> Cut:
        """Cut a shot out of a video into a new file, with its sound.

        Without `exact` nothing is encoded again: the clip begins at the key frame before the shot.

        Args:
            record: of a video, such as `Hit.record`.
            part: the shot, such as `Hit.part`.
            to: the file to write; or a folder, and then the file is called after the video and
                the time. If its container can't hold the video, it becomes a .mkv.
            exact: encode the picture again, so that it begins at that frame.

        Returns:
            The file, and where it begins and ends in the video.

        Raises:
            QueryError: the part is not a shot, or the video is not there now.
            SourceError: there is a file of that name, or it can't be written.
            ImageError: the video can't be read.
            MissingExtraError: PyAV is not installed.
        """
        from pixseek.library import films

        there = Path(to)
        if there.is_dir():
            there = there / films.clip_name(record, part)
        return films.cut(self.opened, record, part, there, exact=exact)

    def locate(self, record: Record) -> Path | None:
        """Return where a record's file is (or was, if it is gone) on this machine.

        None for a URL, for a record of an unknown root, and for a path that leads out of its root.
        The file may be a link, to any place: use `original` to read it, and `file_of` before it is
        opened or moved.
        """
        return self.opened.locate(record)

    def original(self, record: Record) -> bytes | None:
        """Return the content of a record's file; None if it can't be read.

        Only a regular file is read, of at most 512 MiB, that lies in its root also when links are
        resolved (unless the root was indexed with `follow_links`).
        """
        return self.opened.original(record)

    def file_of(self, record: Record) -> Path | None:
        """Return where a record's file is, if `original` could read it now; otherwise None."""
        return self.opened.roots.file_of(record.uri)

    def uri_of(self, path: str | os.PathLike[str]) -> str | None:
        """Return the URI that a path has in this library; None if it lies under no root."""
        return self.opened.roots.uri_of(path)

    def roots(self) -> list[Root]:
        """Return the folders that images were indexed from, by name."""
        return self.opened.roots.all()

    def failures(self) -> list[Failure]:
        """Return what could not be indexed and was not fixed since, by URI."""
        return self.opened.ledger.faults()

    def status(self) -> Status:
        """Return what the library holds, and how far an indexing run in progress is."""
        from pixseek.library import status

        with self._model.waiting("Counting"):
            self._model.follow(self.opened.engine.space)
            return status.status(self.opened)

    def recall(self, queries: int = 20) -> float | None:
        """Return which share of the true 10 nearest images searches find, in [0, 1].

        Indexes of large libraries are approximate, and near-copies may hide neighbours from them.
        Each query is asked twice, the second time as `search(exact=True)` does.

        Args:
            queries: how many are asked, made from vectors of the library.

        Returns:
            None if searches compare with every image, or there is none.
        """
        from pixseek.library import parity

        with self._model.waiting("Comparing with every image"):
            return parity.found_by_default(self.opened.engine, queries)

    def unindexed(self) -> int:
        """Return how many vectors each search compares with because their index is not built yet.

        The next run of `index` builds it, if the user of the server may.
        """
        from pixseek.library import building

        return building.unindexed(self.opened.engine)

    def version(self) -> str | None:
        """Return a text that differs whenever a search may give another answer.

        None if the library's engine can't tell. Within one process only.
        """
        return self._asking.version()

    # ---------------------------------------------------------------- taking out, bringing in

    def remove(self, *targets: str | os.PathLike[str], root: str | None = None) -> int:
        """Take images out of the library; their files are not touched.

        Args:
            *targets: ids, files and folders. Later runs skip a file or folder that still exists,
                until it is indexed by its name again.
            root: name of a root to forget with all its records.

        Returns:
            How many records were removed. What was said of them is kept; see `away`.

        Raises:
            QueryError: a target is not in the library.
        """
        from pixseek.library import removal

        with self._model.waiting("Removing"):
            return removal.remove(self.opened, targets, root)

    def remove_everything(self) -> int:
        """Take all images out of the library and forget its roots and failures.

        Files are not touched. Returns how many records were removed.
        """
        from pixseek.library import removal

        with self._model.waiting("Removing"):
            return removal.remove_everything(self.opened)

    def away(self, *targets: str | os.PathLike[str]) -> list[Record]:
        """Return the images of which something is kept though they are not in the library.

        Their files are gone, excluded or broken, or they were removed. Their tags, ratings,
        captions and fields of users come back with them: at the same place, or with the same
        pixels anywhere. They are found by no search.

        Args:
            *targets: ids, files and folders; none for all.

        Returns:
            Their records, by URI, with `away` true and without parts.

        Raises:
            QueryError: nothing is kept of a target.
        """
        from pixseek.library import removal

        return removal.away(self.opened, targets)

    def forget(self, *targets: str | os.PathLike[str]) -> int:
        """Forget what was said of images that are not in the library any more; see `away`.

        Args:
            *targets: ids, files and folders.

        Returns:
            How many records were forgotten.

        Raises:
            QueryError: nothing is kept of a target.
        """
        from pixseek.library import removal

        return removal.forget(self.opened, removal.away(self.opened, targets)) if targets else 0

    def export(self, path: str | os.PathLike[str]) -> int:
        """Write ids, vectors and metadata to a .parquet or .npz file; return the number of rows.

        Raises:
            SourceError: the ending is neither, or the library is empty.
            MissingExtraError: .parquet needs pyarrow.
            StorageError: the file can't be written.
        """
        from pixseek.library import exchange

        with self._model.waiting(f"Writing {os.path.basename(path)}"):
            return exchange.export(self.opened, path)

    def import_vectors(
        self,
        path: str | os.PathLike[str],
        *,
        base: str | os.PathLike[str] | None = None,
        name: str = "",
        dim: int = 0,
        replace: bool = False,
        on_kept: Callable[[int], None] | None = None,
    ) -> int:
        """Bring in vectors that were computed elsewhere with the library's model.

        A new library that was opened without a model takes the one that the file or `name` names.
        The model's files need not be on this machine: ids, vectors and filters find images without
        them, and only words can't be searched for.

        Args:
            path: a .parquet or .npz file with uri and vectors (`pixseek export` writes these),
                or a folder that clip-retrieval inference wrote.
            base: folder that relative URIs start from; it becomes a root of the library.
            name: of the model that made the vectors, if the file names none.
            dim: length that the vectors must have; 0 for that of the file.
            replace: replace images that the library holds with vectors. Otherwise they are kept
                as they are, and only tags, captions and ratings that they lack are added.
            on_kept: called with how many images were kept, if there are any.

        Returns:
            How many records were brought in.

        Raises:
            SourceError: the file lacks data, its vectors can't be used, or an image lies outside
                of the folders of the library and of `base`.
            SpaceMismatchError: the vectors were made by another model than the library's, or than
                the one given; or they have another length.
            ModelError: nothing names the model, and the default one is unavailable.
        """
        from pixseek.library import exchange

        return exchange.import_vectors(
            self.opened, self._model, path, base, name, dim, overwrite=replace, on_kept=on_kept
        )

    def migrate(
        self,
        to: str,
        *,
        from_: str | None = None,
        stop: threading.Event | None = None,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> Migration:
        """Move the library to another engine, and use it there from now on.

        Everything that the engine holds is copied: records with their vectors of all models,
        tags, captions, ratings, what is kept of images that are gone, saved searches, judgements.
        Before the library changes to the other engine, all of it is compared, and 200 sampled
        searches, half of them with a filter, must find at least .98 of what an exhaustive search
        finds. The copy that is left stays where it is; to go back, move to it. What is there from
        earlier is brought up to date.

        A move that was stopped or killed goes on when it is called again. Meanwhile nobody can
        index into this library; other changes are carried over, also those of other machines. At
        the end, while it is compared, and after it, they are errors in programs that still use the
        engine that was left.

        Other threads must not use this object meanwhile.

        Args:
            to: URL of the engine, such as "postgresql://localhost/photos", or "embedded" for the
                one in the library's own folder.
            from_: the engine that the library must be in now; None for any.
            stop: set it from another thread or a signal handler to stop.
            on_progress: called with the progress.

        Raises:
            LibraryError: the library is not in `from_`; the other engine holds something else, has
                lost or changed what was written to it, or finds too little. Nothing was switched.
            LibraryLockedError: another process is indexing into the library.
            EngineError, StorageError, ConfigError, MissingExtraError: an engine failed or can't be
                opened; nothing was switched.
        """
        from dataclasses import replace

        from pixseek.library import migration
        from pixseek.library.roots import Roots

        if from_ is not None:
            migration.check_from(self.opened, from_)
        mover = migration.Mover(self.opened, to, stop)
        run = mover.run()
        while True:
            try:
                progress = next(run)
            except StopIteration as end:
                done: Migration = end.value
                break
            if on_progress is not None:
                on_progress(progress)
        if mover.engine is not None:
            left = self.opened
            self.opened = replace(
                left,
                engine=mover.engine,
                roots=Roots(left.ledger, mover.engine),
                address=left.ledger.setting("engine") or "",
            )
            self._model = self._model.moved(self.opened)
            self._asking = Asking(self.opened, self._model)
            self._suggesting = None
            left.engine.close()
        return done

    # ---------------------------------------------------------------- parts made when needed

    @property
    def _jobs(self) -> Jobs:
        from pixseek.library.jobs import Jobs

        return Jobs(self.opened, self._model)

    @property
    def _labelling(self) -> Labelling:
        from pixseek.library.labelling import Labelling

        return Labelling(self.opened, self._model, self._asking)


def _patterns(given: Iterable[str]) -> tuple[str, ...]:
    """Return patterns; a single text is one, and not one for each letter."""
    return (given,) if isinstance(given, str) else tuple(given)
