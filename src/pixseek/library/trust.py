"""Whether a library may be opened: one that comes from elsewhere asks first.

A library names a server that is given this user's password, folders that are indexed into it, and
models that are downloaded. Those of this user do so because this user told them to. One from a
stranger (unpacked from an archive, on a borrowed drive, in another user's folder) would do it
because the stranger said so. So these are opened without a question only:

- a library in this user's data folder;
- one that this user has made or trusted, which `storage.known_libraries` remembers;
- one that is named, belongs to this user, and stays within what naming it says: it has no server,
  no address as a root, no link in it, no root whose links are followed anywhere, no folder for
  fetched images outside of its own, and if it is portable, no root outside of its photos. What it
  may not do without being trusted is download a model that the catalogue does not list.

All others raise UntrustedLibraryError, which says what the library would do. The question is the
surface's to ask; `Opened.open(trust=True)` is the answer yes. Nothing is written before it.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from pixseek.config import PORTABLE_NAME, Config, data_folder, libraries_file
from pixseek.encoders.hub import catalogue
from pixseek.errors import (
    LibraryError,
    LibraryFormatError,
    LibraryNotFoundError,
    StorageError,
    UntrustedLibraryError,
)
from pixseek.library.model_choice import CHOICES, MODEL, is_here
from pixseek.redaction import MASK, Address, redacted
from pixseek.storage.errors import translated
from pixseek.storage.known_libraries import KnownLibraries, KnownLibrary
from pixseek.storage.ledger import Ledger
from pixseek.types import Root

#: The ledger's settings: the library's id, and whether its records are on a server. The address
#: that the ledger holds has no secrets, and is not used before this user says so.
ID, ENGINE = "id", "engine"

_STRANGE = "The library was not made here, and is not trusted yet"
_CHANGED = "The library names a server now, which it did not when it was trusted"

#: Files and folders named in a question, of each kind.
_NAMED = 3
#: How a journal of SQLite ends that names another file. No journal of a library does.
_NAMES_ANOTHER = bytes.fromhex("d9d505f920a163d7")


class Admitted(NamedTuple):
    """A library that may be opened.

    Attributes:
        engine: address of the server that holds its records, with its secrets; "" for none.
        is_trusted: whether it was made or trusted by this user, and not only named.
    """

    engine: str
    is_trusted: bool


class Gate:
    """What stands between this user and one library that exists.

    Attributes:
        is_own: whether it lies in this user's data folder and belongs to this user.
    """

    def __init__(self, folder: Path, config: Config) -> None:
        """Look at the library in a folder from outside; no file of it is opened.

        Args:
            folder: of the library.
            config: the settings, which say how the library was found.
        """
        self._folder, self._config = folder, config
        self._place = os.path.realpath(folder)
        self._owner = _owner(folder)
        data = os.path.realpath(data_folder())
        self.is_own = _is_below(self._place, data) and not self._owner
        self._known = KnownLibraries(libraries_file())
        self._entry: KnownLibrary | None = None
        self._pending = False

    def check_files(self, *, trust: bool) -> None:
        """Check the files of a library that is not known here, before SQLite opens any of them.

        Args:
            trust: whether the caller says that it may be opened.

        Raises:
            UntrustedLibraryError: there are links among them, and `trust` is false.
            LibraryFormatError: one is a pipe, a device or a socket, or was not made by pixseek.
            StorageError: the list of known libraries can't be read.
        """
        places, inode = (self._place, _linked(self._folder)), _inode(self._folder)
        if self.is_own or any(self._known.at(place, inode) for place in places):
            return
        with translated(self._folder / "ledger.sqlite"):
            self._check_files(trust=trust)

    def _check_files(self, *, trust: bool) -> None:
        if (links := self._links()) and not trust:
            raise UntrustedLibraryError(self._problem(), self._folder, [links])
        for entry in _entries(self._folder):
            if entry.is_symlink():
                continue
            if not (entry.is_file() or entry.is_dir()):
                raise LibraryFormatError(
                    "A file of the library is a pipe, a socket or a device", entry.path,
                    "Delete it.",
                )  # fmt: skip
            if entry.name.endswith("-journal") and _names_another(entry):
                raise LibraryFormatError(
                    "A file of the library was not written by pixseek",
                    entry.path,
                    "Delete it, unless you know what made it.",
                )

    def admit(self, ledger: Ledger, *, engine: str | None, trust: bool) -> Admitted:
        """Return how the library may be opened, or raise.

        Args:
            ledger: of the library, read-only or opened after `check_files`.
            engine: address of its server, as the caller gave it; None if not given.
            trust: whether the caller says that it may be opened.

        Raises:
            UntrustedLibraryError: this user has to say first that it may be opened.
            LibraryFormatError: its ledger can't be understood.
            LibraryError: the address of its server is not known here.
            StorageError: the list of known libraries can't be read.
        """
        with self._understood(ledger):
            hint = _hint(ledger)
            if self.is_own and not hint:
                return Admitted("", True)
            self._entry = self._find(ledger)
            is_trusted = self.is_own or self._entry is not None
            asks, would = (False, []) if is_trusted else self._reach(ledger, engine)
        kept = "" if self._entry is None else self._entry.engine
        if self._entry is not None and hint and not (kept or engine or MASK in hint):
            # It had no server when it was trusted.
            asks, would = True, [_would_open(hint)]
        if asks and not trust:
            problem = _CHANGED if self._entry else self._problem()
            raise UntrustedLibraryError(problem, self._folder, would)
        address = self._address(hint, engine) if hint else ""
        if is_trusted:
            self._pending = address != kept
        else:
            is_trusted = self._pending = trust or bool(address)
        return Admitted(address, is_trusted)

    def keep(self, ledger: Ledger, engine: str, *, may_write: bool, required: bool = False) -> None:
        """Remember the library as admitted, once it could be opened.

        Args:
            ledger: of it.
            engine: address of its server, with its secrets; "" for none.
            may_write: whether the ledger may be written.
            required: whether it has to be remembered also if it has no server.

        Raises:
            StorageError: the list of known libraries can't be written, and it has to be.
        """
        if self._pending:
            if may_write and not ledger.setting(ID):
                ledger.set(ID, new_id())
            try:
                self._known.keep(entry_of(self._folder, ledger, engine))
            except StorageError:
                if engine or required:
                    raise  # else it is admitted for this once
            self._pending = False
        hint = _hint(ledger)
        if may_write and redacted(hint) != hint:
            ledger.set(ENGINE, redacted(hint))

    def trust(self, ledger: Ledger, *, may_write: bool) -> list[str]:
        """Trust the library without opening its engine; return what it would do, for people."""
        with self._understood(ledger):
            _, would = self._reach(ledger, None)
            hint = _hint(ledger)
            self._entry = self._find(ledger)
        kept = "" if self._entry is None else self._entry.engine
        self._pending = True
        address = kept or ("" if MASK in hint else hint)
        self.keep(ledger, address, may_write=may_write, required=True)
        return would

    @contextmanager
    def _understood(self, ledger: Ledger) -> Iterator[None]:
        """Read a ledger that a stranger may have written, inside the block."""
        try:
            with ledger.briefly():
                yield
        except (ValueError, TypeError, AttributeError, KeyError) as error:
            raise LibraryFormatError(
                "The library's ledger is damaged", self._folder, "Restore it from a backup."
            ) from error

    def _find(self, ledger: Ledger) -> KnownLibrary | None:
        """Return what is known of the library; None if it has another owner than it had."""
        now = entry_of(self._folder, ledger, "")
        found = self._known.find(now.path, now.id, now.inode)
        if found is None or (self._owner and found.owner != now.owner):
            return None
        # A link from elsewhere to a library of this user would have it take in other photos.
        return None if _is_portable_link(self._folder, ledger) and found.path != now.path else found

    def _problem(self) -> str:
        if self._config.is_found and not self._owner:
            return "This folder has a library that was never opened here"
        return _STRANGE

    def _reach(self, ledger: Ledger, engine: str | None) -> tuple[bool, list[str]]:
        """Return whether the library has to ask before it is opened, and what it would do."""
        folder = self._folder
        would: list[str] = []
        if self._owner:
            would.append(f"It belongs to another user: {self._owner}.")
        hint = _hint(ledger)
        if hint and _place(hint) != _place(engine or ""):
            would.append(_would_open(hint))
        roots = ledger.roots()
        if urls := [redacted(each) for each in _places(roots) if "://" in each]:
            would.append(f"It would read images from {_listed(urls)}.")
        if kept := list(_kept_outside(folder, roots)):
            would.append(f"It would write images that it fetches to {_listed(kept)}.")
        if links := self._links():
            would.append(links)
        if followed := [root.where for root in roots if root.follow_links]:
            would.append(f"It would follow links that lead out of {_listed(followed)}.")
        outside = list(_outside(folder, roots))
        portable = bool(ledger.setting("portable")) or folder.name == PORTABLE_NAME
        if outside and portable:
            would.append(f"It would read images outside of its own folder: {_listed(outside)}.")
        models = _models(ledger)
        if strange := [name for name in models if is_strange(name, self._config)]:
            would.append(f"It would download a model from the hub: {_listed(strange)}.")
        asks = bool(would) or self._config.is_found
        if folders := [name for name in models if os.path.isabs(name)]:
            would.append(f"It would use the model in {_listed(folders)}.")
        if outside and not portable:
            would.append(f"It would read images in {_listed(outside)}.")
        return asks, would or [f"It would read and write in {folder.parent} only."]

    def _links(self) -> str:
        """Return where links in the library lead, for people; "" if there are none."""
        links = [str(self._folder)] if os.path.islink(self._folder) else []
        links += [entry.path for entry in _entries(self._folder) if entry.is_symlink()]
        places = [f"{link} -> {os.path.realpath(link)}" for link in links]
        return f"It has links to other places: {_listed(places)}." if places else ""

    def _address(self, hint: str, engine: str | None) -> str:
        """Return the address of the server.

        The one that is kept here counts. Another that was given takes its place if only its secret
        differs: the password has changed.
        """
        kept = "" if self._entry is None else self._entry.engine
        if kept:
            return engine if engine and redacted(engine) == redacted(kept) else kept
        if engine:
            return engine
        if MASK in hint:
            raise LibraryError(
                "The password of the library's server is not known here",
                f"{_place(hint)} ({self._folder})",
                f"Give the address once: pixseek index --library {self._folder} --engine URL "
                "(or set PIXSEEK_ENGINE instead of --engine)",
            )
        return hint


def check_new(folder: Path, config: Config, *, trust: bool) -> None:
    """Check the folder that a library is to be made in.

    Raises:
        UntrustedLibraryError: it is another user's, who could read and change the library; or it
            was found, and may have come with the folder that it lies in.
    """
    if trust or not os.path.isdir(folder):
        return
    if config.is_found:
        raise UntrustedLibraryError(
            "This folder has a place for a library that was not made here",
            folder,
            [f"Your library would be made in it, next to what is in {folder.parent}."],
        )
    if owner := _owner(folder):
        raise UntrustedLibraryError(
            "The library would be made in the folder of another user",
            folder,
            [f"It belongs to {owner}, who could read and change the library."],
        )


def trust(folder: Path, config: Config) -> list[str]:
    """Trust the library in a folder; return what it may do now, in sentences for people.

    Raises:
        LibraryNotFoundError: there is none.
        LibraryError: it can't be read.
        StorageError: the list of known libraries can't be written.
    """
    if not os.path.exists(folder / "ledger.sqlite"):
        raise LibraryNotFoundError("There is no library here", folder, "Name its folder.")
    gate = Gate(folder, config)
    gate.check_files(trust=True)
    writable = os.access(folder, os.W_OK) and os.access(folder / "ledger.sqlite", os.W_OK)
    ledger = Ledger(folder, read_only=not writable)
    try:
        return gate.trust(ledger, may_write=writable)
    finally:
        ledger.close()


def trusted() -> list[str]:
    """Return the folders of the libraries that this user has made or trusted, and remembers."""
    return [each.path for each in KnownLibraries(libraries_file()).all()]


def forget(folder: Path) -> bool:
    """Let a library ask again before it is opened; return whether it was remembered."""
    known = KnownLibraries(libraries_file())
    forgotten = [known.forget(place) for place in {os.path.realpath(folder), _linked(folder)}]
    return any(forgotten)


def is_strange(name: str, config: Config) -> bool:
    """Return whether a model would be downloaded that the catalogue does not list."""
    found = catalogue.find(name) or catalogue.on_hub(name)
    if found is None or catalogue.find(found.alias) is not None:
        return False
    return not is_here(name, config.models_dir)


def untrusted_model(folder: Path, name: str) -> UntrustedLibraryError:
    """Return the error for a library that was only named, and wants to download a model."""
    would = [f"It would download a model from the hub: {name}."]
    return UntrustedLibraryError(_STRANGE, folder, would)


# ------------------------------------------------------------------ inside


def new_id() -> str:
    """Return the id of a new library."""
    return os.urandom(16).hex()


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    """Yield what is in a library's folder and in those in it."""
    with os.scandir(folder) as entries:
        for entry in entries:
            yield entry
            if entry.is_dir(follow_symlinks=False):
                with os.scandir(entry.path) as inner:
                    yield from inner


def _names_another(journal: os.DirEntry[str]) -> bool:
    size = journal.stat().st_size
    with open(journal.path, "rb") as file:
        file.seek(max(0, size - len(_NAMES_ANOTHER)))
        return file.read(len(_NAMES_ANOTHER)) == _NAMES_ANOTHER


def _owner(folder: Path) -> str:
    """Return the name of the user to whom a library belongs; "" for this user.

    As with git, root is another user than the one whose library it opens, but not under `sudo`.
    """
    if os.name == "nt":  # everything seems to belong to one user there
        return ""
    users = {os.geteuid()}
    if os.geteuid() == 0 and os.environ.get("SUDO_UID", "").isdecimal():
        users.add(int(os.environ["SUDO_UID"]))
    for path in (folder, folder / "ledger.sqlite"):
        try:
            found = os.stat(path).st_uid
        except OSError:  # it is not there, or this user may not look
            continue
        if found not in users:
            import pwd

            try:
                return pwd.getpwuid(found).pw_name
            except KeyError:
                return str(found)
    return ""


def _outside(folder: Path, roots: Iterable[Root]) -> Iterator[str]:
    """Yield the places of roots that do not lie in the folder that a library is next to."""
    own = os.path.realpath(folder.parent)
    for place in _places(roots):
        if "://" not in place and not _is_below(os.path.realpath(place), own):
            yield place


def _places(roots: Iterable[Root]) -> Iterator[str]:
    """Yield where roots are, and where the images are that the rows of tables name."""
    for root in roots:
        yield root.where
        if images := root.options.get("images"):
            yield str(images)


def _kept_outside(folder: Path, roots: Iterable[Root]) -> Iterator[str]:
    """Yield where images that are fetched are written, outside of what a library is next to."""
    own = os.path.realpath(folder.parent)
    for keep in (str(root.options.get("keep") or "") for root in roots):
        if keep and not _is_below(os.path.realpath(keep), own):
            yield keep


def _models(ledger: Ledger) -> list[str]:
    """Return the models that a ledger names, each once."""
    choices = ledger.setting(CHOICES) or {}
    named = [
        ledger.setting(MODEL),
        *(n for each in choices.values() for n in each.values()),
    ]
    return [name for name in dict.fromkeys(named) if name and isinstance(name, str)]


def _hint(ledger: Ledger) -> str:
    """Return the address that a ledger holds; "" for none.

    Raises:
        TypeError: it is not a text.
    """
    found = ledger.setting(ENGINE) or ""
    if not isinstance(found, str):
        raise TypeError(found)
    return found


def _would_open(address: str) -> str:
    # As a whole: a parameter may name another server than its beginning.
    return f"It would open {redacted(address)}, with your password for it if you keep one."


def _place(address: str) -> str:
    """Return the server and database of an address, without user and secrets."""
    return Address(address).place if "://" in address else redacted(address)


def entry_of(folder: Path, ledger: Ledger, engine: str) -> KnownLibrary:
    """Return what a library is known by."""
    id_ = ledger.setting(ID)
    return KnownLibrary(
        _linked(folder) if _is_portable_link(folder, ledger) else os.path.realpath(folder),
        id_ if id_ and isinstance(id_, str) else _digest(ledger),
        _inode(folder),
        os.stat(folder).st_uid,
        engine,
    )


def _is_portable_link(folder: Path, ledger: Ledger) -> bool:
    """Return whether a link leads to a library whose photos lie where the link is."""
    return os.path.islink(folder) and bool(ledger.setting("portable"))


def _linked(folder: Path) -> str:
    """Return the place of a link, with all others resolved."""
    return os.path.join(os.path.realpath(folder.parent), folder.name)


def _inode(folder: Path) -> int:
    return os.stat(folder / "ledger.sqlite").st_ino


def _digest(ledger: Ledger) -> str:
    """Return what stands for the id of a library that can't be written: what it reaches for."""
    said = [ledger.setting(name) for name in (ENGINE, "portable", MODEL, CHOICES)]
    roots = [(root.name, root.where, root.kind, root.scopes) for root in ledger.roots()]
    return hashlib.sha256(json.dumps([said, roots]).encode()).hexdigest()


def _is_below(place: str, folder: str) -> bool:
    return place == folder or place.startswith(os.path.join(folder, ""))


def _listed(names: list[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")
