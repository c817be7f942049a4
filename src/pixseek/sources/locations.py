"""Where archives and tables lie: a file on this machine, or on a server."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol

from pixseek import files

if TYPE_CHECKING:
    from pixseek.sources.remote_files import Network


class Location(Protocol):
    """A file that can be opened more than once.

    Attributes:
        name: of the file, without its folder.
        is_remote: whether each look and each read is a request to a server.
    """

    name: str
    is_remote: bool

    @property
    def where(self) -> str:
        """Its path or address."""
        ...

    @property
    def folder(self) -> str:
        """The path or address of its folder."""
        ...

    @property
    def size(self) -> int:
        """In bytes.

        Raises:
            OSError: it can't be looked at.
        """
        ...

    @property
    def modified_ns(self) -> int:
        """When it was changed, in nanoseconds since 1970; raises as `size` does."""
        ...

    def stamp(self) -> tuple[int, int | str] | None:
        """Return what differs after each change; None if it is not there.

        Raises:
            OSError: its server can't be asked.
        """
        ...

    def open(self, begin: int = 0, count: int = 0) -> BinaryIO:
        """Open it for reading at any place.

        Args:
            begin: of a part that will be read as a whole.
            count: bytes of that part; 0 for none.

        Raises:
            OSError: it can't be opened.
        """
        ...

    def beside(self, name: str) -> Location:
        """Return another file of its folder."""
        ...

    def names(self) -> list[str]:
        """Return the names of the files in its folder.

        Raises:
            OSError: it can't be listed.
        """
        ...


class LocalFile:
    """A file on this machine; see `Location`."""

    is_remote = False

    def __init__(self, path: Path, within: str | None = None) -> None:
        """Name a file.

        Args:
            path: of it.
            within: the folder, resolved, that it has to lie in when it is opened; None for any.
        """
        self.path, self.name, self._within = path, path.name, within

    @property
    def where(self) -> str:
        """Its path."""
        return str(self.path)

    @property
    def folder(self) -> str:
        """The path of its folder."""
        return str(self.path.parent)

    def __str__(self) -> str:
        return str(self.path)

    @property
    def size(self) -> int:
        """In bytes."""
        return os.stat(self.path).st_size

    @property
    def modified_ns(self) -> int:
        """When it was changed."""
        return os.stat(self.path).st_mtime_ns

    def stamp(self) -> tuple[int, int | str] | None:
        """Return its size and time; None if it can't be looked at."""
        try:
            status = os.stat(self.path)
        except OSError:
            return None
        return status.st_size, status.st_mtime_ns

    def open(self, begin: int = 0, count: int = 0) -> BinaryIO:
        """Open it; see `Location.open`."""
        with files.opened(self.path, within=self._within) as descriptor:
            return open(os.dup(descriptor), "rb")

    def beside(self, name: str) -> LocalFile:
        """Return another file of its folder."""
        return LocalFile(self.path.parent / name, self._within)

    def names(self) -> list[str]:
        """Return what lies in its folder."""
        return os.listdir(self.path.parent)


def location_of(where: str, network: Network) -> Location:
    """Return the file at a path or an address.

    Args:
        where: an absolute path, or an address of a scheme in `remote_files.SERVICES`.
        network: what may be connected to.

    Raises:
        SourceError: the address has a secret in it.
    """
    if "://" not in where:
        return LocalFile(Path(where))
    from pixseek.sources.remote_files import RemoteFiles, folder_and_name
    from pixseek.sources.remote_reading import RemoteFile

    folder, name = folder_and_name(where)
    return RemoteFile(RemoteFiles(folder, network), name)
