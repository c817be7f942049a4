"""The image files that the rows of a table name by paths, on this machine or in a bucket."""

from __future__ import annotations

import os
import posixpath
import re
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, Protocol

from pixseek import files
from pixseek.errors import ImageError
from pixseek.images import MAX_BYTES
from pixseek.sources.columns import bare
from pixseek.types import Candidate, Stamp

if TYPE_CHECKING:
    from pixseek.sources.remote_files import Entry, Network

#: Files of a bucket that are known at a time: 1 million take some 300 MB.
_KNOWN = 300_000


class RowImages(Protocol):
    """The folder that rows name images from, which their paths may not lead out of.

    Attributes:
        where: path or address of the folder.
        is_remote: whether each look and each read is a request to a server.
    """

    where: str
    is_remote: bool

    def exists(self) -> bool:
        """Return whether the folder is there, as far as can be told without asking a server."""
        ...

    def relative(self, reference: str) -> str | None:
        """Return what a row says as a path in the folder; None if that leads out of it."""
        ...

    def state(self, relative: str) -> tuple[Stamp, str] | None:
        """Return the stamp of a file, and a text that differs after each change; None for none.

        Raises:
            OSError: its server can't be asked, or may not be.
        """
        ...

    def read(self, relative: str, size: int = 0) -> bytes:
        """Return the content of a file.

        Args:
            relative: its path in the folder.
            size: in bytes, if that is known.

        Raises:
            ImageError: it can't be read.
            SourceVanishedError: its server is gone.
        """
        ...

    def place(self, relative: str) -> Path | None:
        """Return where a file is on this machine, if it is there."""
        ...


class LocalImages:
    """Images in a folder of this machine; see `RowImages`."""

    is_remote = False

    def __init__(self, folder: str) -> None:
        """Name the folder."""
        self.where, self._folder = folder, Path(folder)
        self._within = os.path.realpath(folder)

    def exists(self) -> bool:
        """Return whether the folder is there."""
        return self._folder.exists()

    def relative(self, reference: str) -> str | None:
        """Return what a row says as a path in the folder; see `RowImages.relative`."""
        text = bare(reference.removeprefix("file://"))
        if "://" in text:
            return None
        if "\\" in text and not (self._folder / text).exists():
            text = text.replace("\\", "/")
        if text.startswith("/") or re.match("[A-Za-z]:", text):
            path = Path(text)
            if not path.is_relative_to(self._folder):
                return None
            text = path.relative_to(self._folder).as_posix()
        return _inside(text)

    def state(self, relative: str) -> tuple[Stamp, str] | None:
        """Return the size and time of a file; None if it can't be looked at."""
        try:
            status = os.stat(self._folder / relative)
        except (OSError, ValueError):
            return None
        stamp = Stamp(status.st_size, status.st_mtime_ns)
        return stamp, f"{stamp.size}\0{stamp.mtime_ns}"

    def read(self, relative: str, size: int = 0) -> bytes:
        """Return the content of a file; see `RowImages.read`."""
        try:
            return files.read(self._folder / relative, MAX_BYTES, within=self._within)
        except files.OutsideError as error:
            raise ImageError(
                "outside", "The path is a link that leads out of the folder", relative,
                "Name the folder that holds the images: --images DIR",
            ) from error  # fmt: skip
        except files.TooLargeError as error:
            raise ImageError(
                "too-large", "The file is too large for an image", relative,
                f"Files up to {MAX_BYTES // 1_000_000} MB are read.",
            ) from error  # fmt: skip
        except files.NotRegularError as error:
            raise ImageError("not-a-file", "It is a folder, a pipe, a socket or a device",
                             relative, "Correct the table.") from error  # fmt: skip
        except FileNotFoundError as error:
            raise missing(relative, self.where) from error
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or error
            raise ImageError("unreadable", f"It can't be read ({why})", relative,
                             "Check the disk, then run again.") from error  # fmt: skip

    def place(self, relative: str) -> Path | None:
        """Return the path of a file; None if it is not there."""
        path = self._folder / relative
        return path if relative and files.stays_inside(relative) and path.is_file() else None


class BucketImages:
    """Images below an address; see `RowImages`. May be used from several threads."""

    is_remote = True

    def __init__(self, root: str, address: str, network: Network) -> None:
        """Name the address; nothing is connected yet.

        Args:
            root: name of the root.
            address: of the folder.
            network: what may be connected to.

        Raises:
            SourceError: the address has a secret in it.
        """
        from pixseek.sources.buckets import BucketSource

        self.where, self._root, self._network = address.rstrip("/"), root, network
        self._source = BucketSource(root, self.where, network=network)
        self._known: OrderedDict[str, dict[str, Entry]] = OrderedDict()
        self._unlisted: dict[str, OSError] = {}

    def exists(self) -> bool:
        """Return True: in a bucket, an empty folder is one that is not there."""
        return True

    def relative(self, reference: str) -> str | None:
        """Return what a row says as a path in the folder; see `RowImages.relative`."""
        text = bare(reference)
        if "://" in text:
            if not text.startswith(f"{self.where}/"):
                return None
            text = text[len(self.where) + 1 :]
        return None if text.startswith(("/", "\\")) else _inside(text.replace("\\", "/"))

    def state(self, relative: str) -> tuple[Stamp, str] | None:
        """Return what the list of its folder says of a file; asks for each list once.

        Raises:
            OSError: the folder can't be listed, or nothing may be connected to.
            SourceVanishedError: its server is gone.
        """
        folder, name = posixpath.split(relative)
        known = self._known.get(folder)
        if known is None:
            known = self._listed(folder)
            self._known[folder] = known
            while sum(map(len, self._known.values())) > _KNOWN and len(self._known) > 1:
                self._known.popitem(last=False)
        entry = known.get(name)
        if entry is None:
            return None
        if entry.size < 0:  # a page of the web has names alone
            entry = self._source.info(relative)
        return Stamp(max(0, entry.size), entry.modified_ns), entry.version

    def _listed(self, folder: str) -> dict[str, Entry]:
        """Return the files of a folder; one that can't be listed is not asked for again."""
        of = "" if self._network.offline else folder  # offline, no folder can be
        if (before := self._unlisted.get(of)) is not None:
            raise before.with_traceback(None)  # else it would grow with each row
        try:
            return self._source.files_in(folder)
        except OSError as error:
            if is_of_server(error) and not self._network.offline:
                from pixseek.sources.buckets import gone

                raise gone(self._root, self.where, error) from error
            self._unlisted[of] = error
            raise

    def forget(self) -> None:
        """Ask for lists again."""
        self._known.clear()
        self._unlisted.clear()

    def read(self, relative: str, size: int = 0) -> bytes:
        """Return the content of a file; see `RowImages.read`."""
        try:
            found = self._source.fetch(Candidate(f"{self._root}/{relative}", Stamp(size, 0)))
        except ImageError as error:
            if error.reason == "missing":
                raise missing(relative, self.where) from error
            raise
        assert isinstance(found.content, bytes)
        return found.content

    def place(self, relative: str) -> Path | None:
        """Return None: it is not on this machine."""
        return None

    def holds(self, relative: str) -> bool | None:
        """Return whether there is such a file now; None if that can't be told."""
        return self._source.holds(f"{self._root}/{relative}")

    def close(self) -> None:
        """Let requests that wait for another try give up."""
        self._source.expect(())


def is_of_server(error: BaseException) -> bool:
    """Return whether a request failed since its server could not be reached."""
    return isinstance(error, ConnectionError | TimeoutError)


def missing(reference: str, folder: str) -> ImageError:
    """Return the error of a row whose file is not there."""
    return ImageError(
        "missing", "There is no such file", reference,
        f"Paths are relative to {folder}; name another folder with --images DIR.",
    )  # fmt: skip


def outside(reference: str, folder: str) -> NoReturn:
    """Raise the error of a row whose path leads out of the folder of images.

    Raises:
        ImageError: always.
    """
    raise ImageError(
        "outside", "The path leads out of the folder of the table", reference,
        f"Name the folder or address that holds the images: --images (now {folder}).",
    )  # fmt: skip


def _inside(text: str) -> str | None:
    text = posixpath.normpath(text) if text else ""
    return text if text and files.stays_inside(text) else None
