"""What lies in archives: zip and tar, packed or not, one member at a time, within limits.

An archive may come from a stranger, so nothing of it is believed: a name is only a name and no
path, a size is a bound and not a fact, and what a packed archive unfolds to has a limit.
"""

from __future__ import annotations

import contextlib
import lzma
import os
import struct
import zipfile
import zlib
from calendar import timegm
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Protocol, cast

from pixseek.errors import ImageError
from pixseek.sources.locations import LocalFile, Location
from pixseek.sources.shards import kind_of
from pixseek.types.dataclass import dataclass

#: Bytes that are copied together.
_PIECE = 1 << 20

#: Of a zip's members: stored, deflate, bzip2, LZMA; and Zstandard where Python has it (3.14).
_METHODS = {0, 8, 12, 14} | ({93} if hasattr(zipfile, "ZIP_ZSTANDARD") else set())
_METHOD_NAMES = {9: "Deflate64", 93: "Zstandard", 95: "XZ", 96: "JPEG", 98: "PPMd", 99: "AES"}
_ENCRYPTED, _UTF8 = 0x1, 0x800
_LOCAL = struct.Struct("<4s22xHH")
#: Bytes that a local header of a zip may have behind the name: times, owners.
_EXTRA = 128
_IS_LINK, _TYPE = 0o120000, 0o170000


class DamagedError(Exception):
    """The rest of an archive can't be read; its text says why."""


@dataclass(frozen=True, slots=True)
class Member:
    """A file in an archive.

    Attributes:
        name: as the archive has it, decoded; not a path.
        size: of its content in bytes, as the archive says.
        modified_ns: when it was changed, in nanoseconds since 1970; 0 when unknown.
        version: a text that is equal only while the content is the same.
        at: where it begins in the archive.
        skipped: why it is not indexed ("link", "sparse"); "" if it is.
        locked: why its content can't be read: reason, message and advice of a failure.
        key: what its archive finds it by.
    """

    name: str
    size: int
    modified_ns: int
    version: str
    at: int
    skipped: str = ""
    locked: tuple[str, str, str] | None = None
    key: Any = None


class Archive(Protocol):
    """An archive that can be listed and read; opened for each call, so it holds no file.

    Attributes:
        is_packed: compressed as a whole, so that a member is reached only past those before it.
    """

    is_packed: bool

    def members(self) -> Iterator[Member]:
        """Yield the members, those of one name in their order.

        Raises:
            DamagedError: the rest can't be read.
            OSError: the archive can't be opened.
        """
        ...

    def read(self, member: Member, most: int) -> bytes:
        """Return the content of a member; may be called from several threads at once.

        Raises:
            ImageError: it is damaged, or has more than `most` bytes.
            OSError: the archive can't be opened or read.
        """
        ...

    def window(self, member: Member) -> tuple[int, int] | None:
        """Return first byte and length of a member's content in the file; None if it is packed.

        Raises:
            ImageError, OSError: as `read`.
        """
        ...

    def copy(self, member: Member, to: BinaryIO) -> None:
        """Write the content of a member to a file, in pieces.

        Raises:
            ImageError, OSError: as `read`.
        """
        ...


def archive_at(place: Path | Location, within: str | None = None) -> Archive:
    """Return the archive in a file, of the kind that its name means.

    Args:
        place: the file, or its path.
        within: the folder, resolved, that a path has to lie in; None for any.
    """
    kind = kind_of(place.name)
    from pixseek.sources.tars import PackedTar, Tar

    file = LocalFile(place, within) if isinstance(place, Path) else place
    return Zip(file) if kind == "zip" else Tar(file) if kind == "tar" else PackedTar(file)


def copied(file: Any, to: BinaryIO, size: int) -> int:
    """Copy up to so many bytes from one file to another; return how many there were."""
    left = size
    while left and (piece := file.read(min(left, _PIECE))):
        to.write(piece)
        left -= len(piece)
    return size - left


def damaged(name: str, why: object, what: str = "The member of the archive") -> ImageError:
    """Return the error for a member, or archive, that can't be read."""
    return ImageError(
        "damaged", f"{what} is damaged ({str(why)[:200]})", name,
        "Copy or download the archive again.",
    )  # fmt: skip


def too_large(name: str, most: int) -> ImageError:
    """Return the error for a member that has more bytes than are read."""
    return ImageError(
        "too-large", f"The member has more than {most:,} bytes", name,
        f"Files up to {most // 1_000_000} MB are read.",
    )  # fmt: skip


# ------------------------------------------------------------------ zip


class Zip:
    """A zip archive, of any size."""

    is_packed = False

    def __init__(self, file: Location) -> None:
        """Name the file; see `archive_at`."""
        self._file = file

    def members(self) -> Iterator[Member]:
        """Yield the members; see `Archive.members`."""
        with self._file.open() as file:
            try:
                found = zipfile.ZipFile(file).infolist()
            except (zipfile.BadZipFile, ValueError, NotImplementedError, EOFError) as error:
                if self._file.is_remote and isinstance(error.__context__, OSError):
                    raise error.__context__ from None  # zipfile calls it "not a zip"
                raise DamagedError(str(error) or "its list of members is cut off") from error
        for info in found:
            if not info.filename or info.is_dir():  # is_dir needs a name
                continue
            skipped = "link" if info.external_attr >> 16 & _TYPE == _IS_LINK else ""
            yield Member(
                _zip_name(info), info.file_size, _zip_time(info),
                f"{info.CRC:08x}-{info.file_size}", info.header_offset, skipped, _locked(info),
                info,
            )  # fmt: skip

    def read(self, member: Member, most: int) -> bytes:
        """Return the content of a member; see `Archive.read`."""
        info = cast("zipfile.ZipInfo", member.key)
        if info.file_size > most:
            raise too_large(member.name, most)
        # The name and what else may stand before the content; a little more is read elsewhere.
        count = _LOCAL.size + len(info.filename.encode()) + _EXTRA + info.compress_size
        with self._at(member, min(count, most + _EXTRA)) as file:
            # The limit holds for what it really has, too: it stops at the size that is said.
            content = zipfile.ZipExtFile(file, "r", info).read(info.file_size)
        if len(content) != info.file_size:
            raise damaged(member.name, "it is cut off")
        return content

    def window(self, member: Member) -> tuple[int, int] | None:
        """Return where the content of a member lies, if it is stored; see `Archive.window`."""
        info = cast("zipfile.ZipInfo", member.key)
        if info.compress_type != zipfile.ZIP_STORED:
            return None
        with self._at(member, 0) as file:
            return file.tell(), info.file_size

    def copy(self, member: Member, to: BinaryIO) -> None:
        """Write the content of a member; see `Archive.copy`."""
        info = cast("zipfile.ZipInfo", member.key)
        with self._at(member, 0) as file:
            size = copied(zipfile.ZipExtFile(file, "r", info), to, info.file_size)
        if size != info.file_size:
            raise damaged(member.name, "it is cut off")

    @contextlib.contextmanager
    def _at(self, member: Member, count: int) -> Iterator[BinaryIO]:
        """Open the archive where the content of a member begins, of `count` bytes to be read.

        Raises:
            ImageError: it is damaged, which may show inside the block.
            OSError: the archive can't be opened or read.
        """
        info = cast("zipfile.ZipInfo", member.key)
        with self._file.open(info.header_offset, count) as file:
            try:
                file.seek(info.header_offset)
                magic, name, extra = _LOCAL.unpack(file.read(_LOCAL.size))
                if magic != b"PK\x03\x04":
                    raise zipfile.BadZipFile("it does not begin where the list says")
                file.seek(name + extra, os.SEEK_CUR)
                yield file
            except (zipfile.BadZipFile, struct.error, zlib.error, lzma.LZMAError, EOFError,
                    ValueError, NotImplementedError) as error:  # fmt: skip
                raise damaged(member.name, error) from error
            except OSError as error:
                if error.errno is None:  # bz2 has no error of its own
                    raise damaged(member.name, error) from error
                raise


def _zip_name(info: zipfile.ZipInfo) -> str:
    """Return a member's name; many programs write UTF-8 without saying so."""
    name = info.filename
    if not info.flag_bits & _UTF8 and not name.isascii():
        with contextlib.suppress(UnicodeError):
            name = name.encode("cp437").decode("utf-8")
    # Old programs for Windows wrote its separators.
    return name.replace("\\", "/") if "/" not in name else name


def _zip_time(info: zipfile.ZipInfo) -> int:
    """Return when a member was changed; its zone is unknown, so it counts as UTC."""
    try:
        return timegm((*info.date_time, 0, 0, 0)) * 1_000_000_000
    except (ValueError, OverflowError):
        return 0


def _locked(info: zipfile.ZipInfo) -> tuple[str, str, str] | None:
    if info.flag_bits & _ENCRYPTED:
        return (
            "encrypted", "It is encrypted with a password",
            "Unzip the archive with its password, and index the folder.",
        )  # fmt: skip
    if info.compress_type not in _METHODS:
        method = _METHOD_NAMES.get(info.compress_type, f"method {info.compress_type}")
        return (
            "no-decoder", f"It is compressed in a way that Python can't read ({method})",
            "Unzip the archive with another program, and index the folder.",
        )  # fmt: skip
    return None
