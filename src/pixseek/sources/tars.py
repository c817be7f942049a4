"""Members of tar archives, packed or not; see `members`."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import tarfile
import threading
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, cast

from pixseek.errors import SourceError
from pixseek.sources.locations import Location
from pixseek.sources.members import DamagedError, Member, copied, damaged, too_large
from pixseek.sources.shards import kind_of

#: Bytes of one read that a list of members may ask for: headers are smaller, also with long names.
_MOST_HEADER = 16 << 20
#: A packed archive of images unfolds to a few times its size; one that unfolds to more is refused
#: after its first gigabyte.
_MOST_TIMES, _FREE = 200, 1 << 30
#: Bytes of members that are kept when a packed archive is read past them.
_LOOK_AHEAD = 64 << 20
#: Bytes of a description that is kept for all images of its folder, and how many are.
_DESCRIPTION, _DESCRIPTIONS = 64 << 10, 256


class Tar:
    """A tar archive that is not compressed: its members are read where they lie."""

    is_packed = False

    def __init__(self, file: Location) -> None:
        """Name the file; see `archive_at`."""
        self._file = file

    def members(self) -> Iterator[Member]:
        """Yield the members; see `Archive.members`."""
        with self._file.open() as file:
            yield from _tar_members(_Bounded(file), self._file.modified_ns)

    def read(self, member: Member, most: int) -> bytes:
        """Return the content of a member; see `Archive.read`."""
        if member.size > most:
            raise too_large(member.name, most)
        with self._file.open(member.key, member.size) as file:
            file.seek(member.key)
            content = file.read(member.size)
        if len(content) != member.size:
            raise damaged(member.name, "it is cut off")
        return content

    def window(self, member: Member) -> tuple[int, int] | None:
        """Return where the content of a member lies; see `Archive.window`."""
        return (member.key, member.size)

    def copy(self, member: Member, to: BinaryIO) -> None:
        """Write the content of a member; see `Archive.copy`."""
        with self._file.open() as file:
            file.seek(member.key)
            if copied(file, to, member.size) != member.size:
                raise damaged(member.name, "it is cut off")


class PackedTar:
    """A tar archive that is compressed as a whole.

    A run asks for members nearly in their order, from several threads. One stream goes through the
    archive, and keeps what it passes until it is asked for, up to a limit. Who asks for a member
    that was passed and dropped since lets it begin again.
    """

    is_packed = True

    def __init__(self, file: Location) -> None:
        """Name the file; see `archive_at`."""
        self._file = file
        self._lock = threading.Lock()
        self._stream: _Bounded | None = None
        self._ahead: Iterator[Member] = iter(())
        self._passed = -1
        self._kept: OrderedDict[int, bytes] = OrderedDict()
        self._held = 0
        self._descriptions: OrderedDict[int, bytes] = OrderedDict()

    def members(self, described: Callable[[Member, bytes], None] | None = None) -> Iterator[Member]:
        """Yield the members; see `Archive.members`.

        Args:
            described: called with each small description and its content, before it is yielded.
        """
        with self._file.open() as file, _unpacked(file, self._file) as stream:
            for member in _tar_members(stream, self._file.modified_ns):
                if described and not member.skipped and _is_description(member):
                    described(member, _exactly(stream, member))
                yield member

    def read(self, member: Member, most: int) -> bytes:
        """Return the content of a member; see `Archive.read`."""
        if member.size > most:
            raise too_large(member.name, most)
        with self._lock:
            if (kept := self._kept.pop(member.at, None)) is not None:
                self._held -= len(kept)
                return kept
            if (described := self._descriptions.get(member.at)) is not None:
                return described
            try:
                return self._read(member)
            except (DamagedError, OSError) as error:
                self.close()  # the generator has ended
                if isinstance(error, OSError):
                    raise
                raise damaged(member.name, error) from error

    def window(self, member: Member) -> tuple[int, int] | None:
        """Return None: all is compressed; see `Archive.window`."""
        return None

    def copy(self, member: Member, to: BinaryIO) -> None:
        """Write the content of a member; see `Archive.copy`."""
        with self._lock:
            if (kept := self._kept.get(member.at)) is not None:
                to.write(kept)
                return
            try:
                self._read(member, to)
            except (DamagedError, OSError) as error:
                self.close()
                if isinstance(error, OSError):
                    raise
                raise damaged(member.name, error) from error

    def read_first(self, is_wanted: Callable[[str], bool], most: int) -> bytes | None:
        """Return the content of the first member of a name; None if there is none.

        Args:
            is_wanted: tells it by its name.
            most: bytes that it may have.

        Raises:
            ImageError: it, or what lies before it, is damaged; or it is too large.
            OSError: the archive can't be opened or read.
        """
        with self._file.open() as file, _unpacked(file, self._file) as stream:
            try:
                for member in _tar_members(stream):
                    if not member.skipped and is_wanted(member.name):
                        if member.size > most:
                            raise too_large(member.name, most)
                        return _exactly(stream, member)
            except DamagedError as error:
                raise damaged(self._file.name, error, "The archive") from error
        return None

    def _read(self, member: Member, to: BinaryIO | None = None) -> bytes:
        """Return the content of a member, or write it to a file, and return nothing."""
        if self._stream is None or member.at <= self._passed:
            self.close()
            self._stream = _unpacked(self._file.open(), self._file)
            self._ahead = _tar_members(self._stream)
        for each in self._ahead:
            self._passed = each.at
            if each.skipped or (each.size > _LOOK_AHEAD and each.at != member.at):
                continue
            if to is not None and each.at == member.at:
                for piece in _pieces(self._stream, each):
                    to.write(piece)
                return b""
            content = _exactly(self._stream, each)
            if _is_description(each):
                self._descriptions[each.at] = content
                if len(self._descriptions) > _DESCRIPTIONS:
                    self._descriptions.popitem(last=False)
            if each.at == member.at:
                return content
            self._keep(each.at, content)
        raise DamagedError("it is no longer there")

    def _keep(self, at: int, content: bytes) -> None:
        self._kept[at] = content
        self._held += len(content)
        while self._held > _LOOK_AHEAD:
            _, oldest = self._kept.popitem(last=False)
            self._held -= len(oldest)

    def close(self) -> None:
        """Let go of the stream and of what it passed; the next read begins again."""
        if self._stream is not None:
            self._stream.close()
        self._stream, self._ahead, self._passed = None, iter(()), -1
        self._kept.clear()
        self._held = 0


def _is_description(member: Member) -> bool:
    return member.name.lower().endswith(".json") and member.size <= _DESCRIPTION


def _exactly(stream: _Bounded, member: Member) -> bytes:
    """Return the content of the member at which `_tar_members` just stands."""
    return b"".join(_pieces(stream, member))


def _pieces(stream: _Bounded, member: Member) -> Iterator[bytes]:
    """Yield the content of the member at which `_tar_members` just stands."""
    try:
        stream.seek(member.key)
        left = member.size
        while left and (part := stream.read(min(left, _MOST_HEADER))):
            yield part
            left -= len(part)
    except _BROKEN as error:
        raise DamagedError(_said(error)) from error
    if left:
        raise DamagedError("it is cut off")


#: What decompressors raise about broken data; OSError without a number is one of bz2 and gzip.
_BROKEN = (EOFError, zlib.error, lzma.LZMAError, OSError, ValueError, tarfile.TarError)


def _said(error: BaseException) -> str:
    if isinstance(error, OSError) and error.errno is not None and error.strerror:
        raise error
    return str(error) or "it is cut off"


def _tar_members(stream: _Bounded, changed_ns: int = 0) -> Iterator[Member]:
    """Yield the members of a tar.

    Args:
        stream: of its content.
        changed_ns: when its file was changed, which counts for members without a time.

    Raises:
        DamagedError: the rest can't be read.
    """
    try:
        file = cast("BinaryIO", stream)
        tar = tarfile.open(fileobj=file, mode="r:", encoding="utf-8")  # noqa: SIM115
        while (info := tar.next()) is not None:
            cast("Any", tar).members.clear()  # else it keeps all of them
            if info.isdir():
                continue
            skipped = "" if info.isreg() else "link" if info.islnk() or info.issym() else "special"
            if info.issparse():
                skipped = "sparse"
            version = f"{info.offset_data}-{info.size}-{info.mtime or changed_ns}"
            yield Member(
                _tar_name(info), info.size, _tar_time(info), version, info.offset, skipped, None,
                info.offset_data,
            )  # fmt: skip
        # tarfile takes a broken header for the end; that is a block of zeros, or of nothing.
        if any(stream.last):
            raise DamagedError(f"there is no header at byte {tar.offset:,}")
    except _BROKEN as error:
        raise DamagedError(_said(error)) from error


def _tar_name(info: tarfile.TarInfo) -> str:
    """Return a member's name; old programs wrote names in the encoding of their country."""
    try:
        info.name.encode()
    except UnicodeEncodeError:
        raw = info.name.encode("utf-8", "surrogateescape")
        try:
            return raw.decode("cp1252")
        except UnicodeDecodeError:
            return raw.decode("latin-1")
    return info.name


def _tar_time(info: tarfile.TarInfo) -> int:
    try:
        return max(0, int(info.mtime * 1_000_000_000))
    except (ValueError, OverflowError):  # what a pax header says may be anything
        return 0


class _Bounded(io.RawIOBase):
    """A stream that never returns a header of any size, and never unfolds to any size.

    Attributes:
        last: what the last read returned.
    """

    def __init__(self, stream: Any, packed: BinaryIO | None = None, size: int = 0) -> None:
        """Read from `stream`, which unpacks `packed` of a size if given, and then owns both."""
        self._stream, self._packed = stream, packed
        self.last = b""
        self._size = size

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _MOST_HEADER:
            raise tarfile.ReadError(f"a header says that it has {size:,} bytes")
        self.last = cast("bytes", self._stream.read(size))
        self._check()
        return self.last

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        if self._packed is None:
            return cast("int", self._stream.seek(offset, whence))
        # In steps, so that the limit is seen before all of it is unfolded.
        while self._stream.tell() + _MOST_HEADER < offset:
            if not self._stream.read(_MOST_HEADER):
                break
            self._check()
        return cast("int", self._stream.seek(offset, whence))

    def tell(self) -> int:
        return cast("int", self._stream.tell())

    def _check(self) -> None:
        if self._packed is not None:
            unfolded = self._stream.tell()
            if unfolded > _FREE and unfolded > _MOST_TIMES * self._size:
                raise tarfile.ReadError(f"it unfolds to more than {_MOST_TIMES} times its size")

    def close(self) -> None:
        if self._packed is not None:
            self._stream.close()
            self._packed.close()
        super().close()


def _unpacked(file: BinaryIO, location: Location) -> _Bounded:
    """Return what unpacks a file, by the ending of its name.

    Raises:
        SourceError: this Python can't unpack it.
    """
    kind = (kind_of(location.name) or "").rpartition(".")[2]
    unpack: dict[str, Callable[[BinaryIO], Any]] = {
        "gz": lambda packed: gzip.GzipFile(fileobj=packed),
        "bz2": bz2.BZ2File,
        "xz": lzma.LZMAFile,
    }
    if kind == "zst":
        try:
            from compression import zstd  # type: ignore[import-not-found, unused-ignore]
        except ImportError:
            raise SourceError(
                "This Python can't unpack Zstandard", location.where,
                "Use Python 3.14 or newer, or unpack it to a .tar: zstd -d",
            ) from None  # fmt: skip
        unpack["zst"] = zstd.ZstdFile
    return _Bounded(unpack[kind](file), file, location.size)
