"""What an open library is made of: its folder, settings, ledger, engine, previews and roots.

The parts of a library receive an `Opened` and use each other only through it.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pixseek import encoders
from pixseek.config import PORTABLE_NAME, Config, data_folder, load_config, make_folder
from pixseek.engines import absolute, open_engine
from pixseek.errors import (
    ConfigError,
    LibraryError,
    LibraryNotFoundError,
    QueryError,
    StorageError,
    unknown,
)
from pixseek.indexing.lock import IndexingLock
from pixseek.library import named_paths
from pixseek.library.named_urls import uri_of as uri_of_url
from pixseek.library.places import uris_in_tables
from pixseek.library.remembering import remember_new
from pixseek.library.roots import Roots
from pixseek.library.trust import ENGINE, Gate, check_new
from pixseek.search.background_store import BackgroundStore
from pixseek.storage import private
from pixseek.storage.ledger import Ledger
from pixseek.storage.previews import Previews
from pixseek.types import WHOLE, Compare, Engine, Part, Record, Term, record_id
from pixseek.types.clock import split_time
from pixseek.types.dataclass import dataclass
from pixseek.types.queries import is_remote
from pixseek.types.texts import composed

if TYPE_CHECKING:
    from PIL import Image

    from pixseek.types import Pixels, Vectors

#: What `Library.open` takes by name besides the settings.
_OPTIONS = ("create", "portable", "drawn", "engine", "trust", "on_upgrade")
#: The ledger's setting that says that the library's folder was closed to others once: if it is open
#: now, then its owner wants that.
_CLOSED = "closed_to_others"


@dataclass(frozen=True, slots=True)
class Opened:
    """The files of an open library. May be used from several threads.

    Attributes:
        folder: the library's folder.
        config: the settings it was opened with.
        ledger: its settings, roots and failures.
        engine: its records and vectors.
        previews: its small pictures.
        backgrounds: which scores mean nothing in it.
        roots: the folders its images come from.
        is_trusted: whether this user has made or trusted it, and not only named it; see `trust`.
        address: of the server that holds its records, without secrets; "" for none.
    """

    folder: Path
    config: Config
    ledger: Ledger
    engine: Engine
    previews: Previews
    backgrounds: BackgroundStore
    roots: Roots
    is_trusted: bool = True
    address: str = ""

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str] | None,
        *,
        create: bool,
        portable: bool,
        drawn: bool,
        engine: str | None,
        trust: bool = False,
        settings: Mapping[str, Any],
        on_upgrade: Callable[[int, int], None] | None = None,
    ) -> Opened:
        """Open or create the library at `path`; for the arguments see `Library.open`.

        Raises:
            LibraryNotFoundError: there is none, and `create` is false.
            UntrustedLibraryError: it comes from elsewhere, and `trust` is false.
            LibraryFormatError, StorageError: it can't be read or created.
            ConfigError: a setting is unknown or has an invalid value.
        """
        known = {*_OPTIONS, *(field.name for field in fields(Config))} - {"library", "is_found"}
        for name in settings:
            if name not in known:
                raise ConfigError("Unknown setting", name, unknown("setting", name, known))
        config = load_config(library=path, **settings)
        folder = Path(os.path.abspath(config.library))
        if os.path.isdir(folder) and not os.access(folder, os.R_OK | os.X_OK):
            raise StorageError(
                "The library is private to another user",
                folder,
                "Let its owner share it (chmod -R g+rX), or name another with --library.",
            )
        if os.path.exists(folder / "ledger.sqlite"):
            ledger, store, is_trusted = _open_known(folder, config, engine, trust, on_upgrade)
        else:
            _check_new(folder, config, create, trust)
            ledger, store = _create(folder, config, engine, portable, drawn, on_upgrade)
            is_trusted = True
        read_only = not may_write(folder)
        return cls(
            folder,
            config,
            ledger,
            store,
            Previews(folder / "previews.sqlite", read_only=read_only),
            BackgroundStore(folder, config.models_dir / encoders.CONVERTED, read_only=read_only),
            Roots(ledger, store, private=config.allow_private, offline=config.offline),
            is_trusted,
            ledger.setting(ENGINE) or "",
        )

    def close(self) -> None:
        """Flush and close all files."""
        self.engine.close()
        self.previews.close()
        self.ledger.close()

    def moved_to(self) -> str | None:
        """Return the engine to which another process has moved the library since; None for none."""
        now = self.ledger.setting(ENGINE) or ""
        return None if now == self.address else now or "the library's own folder"

    def find(self, what: str | os.PathLike[str]) -> Record | None:
        """Return the record with this id, or of this file unless it changed since indexing."""
        text = os.fspath(what)
        record = self.engine.get([text])[0] or self._in_another_form("id", text)
        if record is not None:
            return record
        uri = uri_of_url(text, self.roots.all(), self.engine) or self.roots.uri_of(text)
        record = self.engine.get([record_id(uri)])[0] if uri else None
        if uri and record is None:
            record = self._in_another_form("uri", uri)
        if record is None and self.roots.is_item(text):
            record = self.engine.get([record_id(text)])[0]  # as lists show members of archives
        if record is None:
            record = self._named_in_table(text)
        if record is not None and self.roots.is_item(record.uri):
            return record
        path = self.locate(record) if record is not None else None
        if record is None or path is None or record.stamp is None:
            return None
        return record if _size(path) in (None, record.stamp.size) else None

    def _named_in_table(self, path: str) -> Record | None:
        """Return the record that a table has of an image file; None if none has one."""
        place = named_paths.absolute(path)
        local = (root for root in self.roots.all() if root.is_local)
        ids = [record_id(uri) for uri in uris_in_tables(local, place)]
        records = self.engine.get(ids) if ids else []
        # A table whose rows have ids may have one that reads like a path.
        return next((each for each in records if each and self.locate(each) == place), None)

    def image_term(
        self,
        image: str | os.PathLike[str] | Image.Image | Pixels | Vectors,
        at: float | None = None,
    ) -> Term:
        """Return the term for an image given by id, file, URL, pixels or vector.

        Args:
            image: whole, or a video with a second, such as "clip.mp4@12.5".
            at: the second of a video.

        Raises:
            QueryError: there is no such image.
        """
        if not isinstance(image, str | os.PathLike):
            return Term("vector" if getattr(image, "ndim", 0) == 1 else "image", image)
        record = self.find(image)
        if record is not None:
            return Term("id", record.id, at=at)
        text = os.fspath(image)
        if is_remote(text) or os.path.isfile(named_paths.absolute(text)):
            return Term("image", text, at=at)
        name, second = split_time(text)
        if second is not None and at is None:
            return self.image_term(name, second)
        raise QueryError(
            "No image with this id, and no such file",
            text,
            "Ids are shown by: pixseek search --json",
        )

    def _in_another_form(self, field: str, text: str) -> Record | None:
        """Return the record whose id or URI is this text in another normal form."""
        if text.isascii() or not composed(text).isprintable():
            return None
        same = Compare(field, "eq", text)
        found = self.engine.select(same, order="uri", descending=False, k=1, offset=0)
        return found[0] if found else None

    def locate(self, record: Record) -> Path | None:
        """Return where a record's file is or was; None for a URL and for an unknown root."""
        return self.roots.path_of(record.uri)

    def preview(self, record: Record, part: Part = WHOLE) -> bytes | None:
        """Return the stored preview of a record, a small JPEG; None if there is none.

        Args:
            record: of an image or a video.
            part: of the record: a shot has a preview of its own, any other part that of the whole.
        """
        if not record.digest:
            return None
        if part.kind == "shot" and part in record.parts:
            shot = self.previews.get(record.digest, record.parts.index(part) + 1)
            if shot is not None:
                return shot
        return self.previews.get(record.digest)

    def content(self, record: Record) -> bytes | None:
        """Return a picture of a record: its file, or its preview if that can't be read.

        Of a video it is the preview.
        """
        original = None if record.is_video else self.original(record)
        return self.preview(record) if original is None else original

    def contents(self) -> Callable[[Record], bytes | None]:
        """Return `content` for the hits of one answer, which may be shown after closing."""
        read = self.roots.reader()

        def content(record: Record) -> bytes | None:
            if not record.is_video:
                with contextlib.suppress(OSError):
                    return read(record.uri)
            return self.preview(record)

        return content

    def original(self, record: Record) -> bytes | None:
        """Return the file of a record; None if it can't be read, or lies outside of its root."""
        with contextlib.suppress(OSError):
            return self.roots.read(record.uri)
        return None

    def fetch(self, url: str) -> bytes:
        """Return the image at a URL; see `sources.fetching.fetch`.

        Raises:
            ImageError: it can't be fetched.
            QueryError: the network must not be used.
        """
        if self.config.offline:
            raise QueryError(
                "The example image can't be fetched offline", url, "Save it and name the file."
            )
        from pixseek.sources import fetching

        return fetching.fetch(url, allow_private=self.config.allow_private)

    def writing(
        self,
        stop: threading.Event | None = None,
        waiting: Callable[[str], AbstractContextManager[None]] = lambda _: nullcontext(),
    ) -> IndexingLock:
        """Return the lock that one process at a time holds while it indexes.

        Args:
            stop, waiting: for the wait for it; see `IndexingLock`.
        """
        return IndexingLock(self.folder, self.ledger, stop, waiting)


def may_write(folder: Path) -> bool:
    """Return whether the library in this folder may be written."""
    return os.access(folder, os.W_OK) and os.access(folder / "ledger.sqlite", os.W_OK)


def _open_known(
    folder: Path,
    config: Config,
    engine: str | None,
    trust: bool,
    on_upgrade: Callable[[int, int], None] | None,
) -> tuple[Ledger, Engine, bool]:
    """Open ledger and engine of a library that is there; return whether it is trusted, too."""
    gate = Gate(folder, config)
    gate.check_files(trust=trust)
    writable = may_write(folder)
    ledger = Ledger(folder, read_only=not writable)
    store = None
    try:
        admitted = gate.admit(ledger, engine=engine, trust=trust)
        store = open_engine(admitted.engine or folder / "index", progress=on_upgrade)
        gate.keep(ledger, admitted.engine, may_write=writable)
        if writable and private.is_open_to_others(folder) and not _may_be_open(folder, ledger):
            private.close_to_others(folder)
            ledger.set(_CLOSED, True)
            if folder.is_relative_to(data_folder()):
                private.close_to_others(data_folder(), whole=False)
    except BaseException:
        ledger.close()
        if store is not None:
            store.close()
        raise
    return ledger, store, admitted.is_trusted


def _create(
    folder: Path,
    config: Config,
    engine: str | None,
    portable: bool,
    drawn: bool,
    on_upgrade: Callable[[int, int], None] | None,
) -> tuple[Ledger, Engine]:
    """Make a library, and open its ledger and engine."""
    was_there = os.path.exists(folder)
    portable = portable or folder.name == PORTABLE_NAME
    _make(folder, portable)
    store = ledger = None
    try:
        engine = absolute(engine) if engine else engine
        # Before the ledger remembers it: a URL that fails leaves no library behind.
        store = open_engine(engine or folder / "index", progress=on_upgrade)
        ledger = Ledger(folder)
        ledger.set("portable", portable)
        ledger.set("drawn", drawn)
        ledger.set(_CLOSED, not portable)
        remember_new(folder, config, ledger, engine)
    except BaseException:
        if store is not None:
            store.close()
        if ledger is not None:
            ledger.close()
            (folder / "ledger.sqlite").unlink(missing_ok=True)
        if not was_there:
            with contextlib.suppress(OSError):
                folder.rmdir()
        raise
    return ledger, store


def _may_be_open(folder: Path, ledger: Ledger) -> bool:
    """Return whether others may have rights to a library: it is portable, or its owner said so."""
    portable = ledger.setting("portable") or folder.name == PORTABLE_NAME
    return bool(portable or ledger.setting(_CLOSED))


def _check_new(folder: Path, config: Config, create: bool, trust: bool) -> None:
    if not create:
        raise LibraryNotFoundError(
            "There is no library here", folder, "Create one: pixseek index ~/Pictures"
        )
    if os.path.exists(folder) and not os.path.isdir(folder):
        raise LibraryError("A library is a folder, but this is a file", folder, "Name a folder.")
    if os.path.isdir(folder) and any(entry.name != "indexing.lock" for entry in folder.iterdir()):
        raise LibraryError(
            "The folder is not a library, and not empty",
            folder,
            f"Name a new folder; to keep the library next to its photos: {folder / PORTABLE_NAME}",
        )
    check_new(folder, config, trust=trust)


def _make(folder: Path, portable: bool) -> None:
    """Make the folder of a new library: for its owner alone, unless it lies next to photos."""
    try:
        make_folder(folder.parent)
        private.make_folder(folder, 0o777 if portable else private.FOLDER)
        if not portable and private.is_open_to_others(folder):  # it was there, and is empty
            private.close_to_others(folder)
    except OSError as error:
        raise StorageError(
            f"The library can't be created ({error.strerror})",
            folder,
            "Choose a writable place with --library.",
        ) from error


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None
