"""Tables as sources: rows that name one image become one record, read and compared row by row.

A scan puts the rows into a temporary database on disk, so a table of any size takes little memory,
and rows about the same image may stand anywhere in it.
"""

from __future__ import annotations

import itertools
import os
import re
import shlex
import threading
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from pixseek.errors import ImageError, MissingExtraError, SourceError, SourceVanishedError
from pixseek.sources import patterns
from pixseek.sources.ahead import Ahead
from pixseek.sources.columns import Roles, Target, roles_of
from pixseek.sources.locations import LocalFile
from pixseek.sources.remote_faults import chain
from pixseek.sources.remote_files import Network, check, is_remote
from pixseek.sources.remote_images import RemoteImages
from pixseek.sources.row_images import BucketImages, LocalImages, is_of_server, outside
from pixseek.sources.row_index import RowIndex, clean, is_url, key_of_url, stamp_of
from pixseek.sources.tables import (
    ENDINGS,
    SCHEMES,
    is_list_of_urls,
    open_table,
)
from pixseek.sources.tabular import BadRow, Blob, Row, Table
from pixseek.types import (
    Candidate,
    Failure,
    FileSystem,
    Item,
    Recognised,
    Root,
    Scalar,
    Skipped,
    Stamp,
)
from pixseek.types.dataclass import dataclass

#: Rows by which the columns are recognised.
_SAMPLE = 200


@dataclass(frozen=True, slots=True)
class Mapped:
    """What was recognised in a table.

    Attributes:
        what: the kind of table, in words.
        rows: how many it has.
        images: how many it names.
        roles: columns with a meaning of their own.
        date: how the column of dates is read.
        columns: all others that have values, with their fields.
        fields: of the first few images.
        unused: columns of pictures besides that of the image.
        problems: rows without an image, and others that can't be used.
    """

    what: str
    rows: int
    images: int
    roles: Roles
    date: Target
    columns: Mapping[str, Target]
    fields: tuple[tuple[str, Mapping[str, Scalar | tuple[str, ...]]], ...]
    problems: tuple[Failure, ...]
    unused: tuple[str, ...] = ()


class RowSource:
    """The images that a table names; see `Source` and `Opening`."""

    def __init__(
        self,
        root: Root,
        table: Table,
        roles: Roles | None = None,
        what: str = "table",
        network: Network | None = None,
    ) -> None:
        """Describe the source; nothing is read yet.

        Args:
            root: with the options "columns" (names by role) and "images" (path or address of the
                folder that paths are relative to).
            table: reads the rows.
            roles: of its columns; None to recognise them.
            what: the kind of table, in words.
            network: what the table may connect to; None for one that does not.

        Raises:
            ConfigError: a pattern of what to skip can't be understood.
            SourceError: the address of the images has a secret in it.
        """
        self.prefixes: tuple[str, ...] = (f"{root.name}/",)
        self._root, self._table, self._given, self._what = root, table, roles, what
        self._exclude = patterns.compiled(root.exclude) if root.exclude else None
        self._network = network or Network()
        # The folder of the table, as people pack data sets; never all of the disk.
        images = str(root.options.get("images") or table.folder)
        self._images = (
            BucketImages(root.name, images, self._network)
            if is_remote(images)
            else LocalImages(images)
        )
        self._ahead = Ahead(self._read)
        self._lock = threading.Lock()
        self._index: RowIndex | None = None
        keep = root.options.get("keep")
        self._remote = RemoteImages(
            root.name, Path(keep) if keep else None, robots=bool(root.options.get("robots"))
        )

    def covers(self, uri: str) -> bool:
        """Return whether a scan settles if there is such a row."""
        return uri.startswith(self.prefixes)

    def scan(self) -> Iterator[Candidate | Failure | FileSystem | Skipped | int]:
        """Yield a candidate for each image that the table names; see `Source.scan`.

        Raises:
            SourceVanishedError: the table, or the folder of its images, is gone.
            SourceError: it can't be read, or has no column of images.
        """
        self._check_there()
        if isinstance(self._images, BucketImages):
            self._images.forget()
        index = yield from self._indexed()
        yield from index.problems
        marks = index.marks()
        is_lacking = False
        for key, rows, digest in index.images():
            if self._exclude is not None and self._exclude.match(key):
                continue
            yield from self._others(rows, index)
            try:
                candidate = self._candidate(key, rows, f"{digest}\0{marks}", index)
            except MissingExtraError as error:
                if not is_lacking:
                    is_lacking = True
                    yield Failure(
                        f"{self._root.name}/", "scan", "unreadable",
                        f"{error.problem} ({error.subject})", error.advice,
                    )  # fmt: skip
                continue
            except OSError as error:  # of a bucket, whose list says whether a file has changed
                from pixseek.sources.buckets import unread

                uri = f"{self._root.name}/{key}"
                yield unread(uri, error, self._images.where, stage="scan")
                continue
            yield candidate

    def read(self, candidate: Candidate) -> Item:
        """Return the picture of a row and what its rows say; see `Source.read`."""
        is_ahead = self._images.is_remote and _is_file_of_bucket(candidate)
        return self._ahead.take(candidate) if is_ahead else self._read(candidate)

    def _read(self, candidate: Candidate) -> Item:
        key = candidate.uri.partition("/")[2]
        index = self._latest()
        rows = index.rows(key)
        if not rows:
            raise ImageError("missing", "The table has no such row any more", candidate.uri,
                             "Run again: pixseek index")  # fmt: skip
        fields = index.fields_of([row for _, row in rows])
        _, reference = index.reference(rows)
        if isinstance(reference, str) and is_url(reference):
            found = self._remote.read(candidate.uri, reference.strip(), candidate.marks)
            return Item(found.content, fields=fields, marks=found.marks)
        size = candidate.stamp.size
        return Item(self._content(rows, index, candidate.uri, size), fields=fields)

    def open(self, uri: str) -> bytes:
        """Return the picture of a row; see `Opening.open`."""
        key = uri.partition("/")[2]
        found = None if self._has_ids() else self._table.picture_of(key)
        if found is not None:
            return found if isinstance(found, bytes) else self._file(found, uri)
        if not self._has_ids() and self._is_file(key):
            return self._images.read(key)
        index = self._latest()
        return self._content(index.rows(key), index, uri)

    def permit(self, *, private: bool, offline: bool) -> None:
        """Say what may be connected to; see `Remote.permit`."""
        self._network.private, self._network.offline = private, offline
        self._remote.permit(private=private, offline=offline)

    def expect(self, candidates: Iterable[Candidate]) -> None:
        """Take which candidates will be read; see `Remote.expect`."""
        if candidates == ():
            self._remote.close()
            if isinstance(self._images, BucketImages):
                self._ahead.expect(())
                self._images.close()
            return
        candidates = list(candidates)
        self._remote.expect(self._urls(candidates))
        if self._images.is_remote:
            self._ahead.expect(filter(_is_file_of_bucket, candidates))

    def _urls(self, candidates: Iterable[Candidate]) -> Iterator[tuple[str, str, str]]:
        """Yield URI, URL and marks of those that have a URL."""
        index = self._latest()
        for candidate in candidates:
            _, reference = index.reference(index.rows(candidate.uri.partition("/")[2]))
            if isinstance(reference, str) and is_url(reference):
                yield candidate.uri, reference.strip(), candidate.marks

    def holds(self, uri: str) -> bool | None:
        """Return whether the table has a row of this URI now; see `Opening.holds`."""
        key = uri.partition("/")[2]
        if self._root.is_local and not os.path.exists(self._table.where):
            return None
        if is_remote(self._root.where) and self._index is None:
            # Not all of a table on a server for that.
            return None if self._has_ids() or not self._is_file(key) else True
        return bool(self._latest().rows(key))

    def _is_file(self, key: str) -> bool:
        """Return whether a key is the path of a file that is there now."""
        if isinstance(self._images, LocalImages):
            return self._images.place(key) is not None
        return not re.match("https?/", key) and self._images.holds(key) is True

    def place(self, uri: str) -> Path | None:
        """Return the image file that a row names by its path, or that was kept, if it is there."""
        key = uri.partition("/")[2]
        if self._has_ids() or (self._remote.keeps and re.match("https?/", key)):
            # Hits ask for their place: a table is not read for that, only looked into if it was.
            index = self._index
            _, reference = index.reference(index.rows(key)) if index else (-1, None)
            if isinstance(reference, str) and is_url(reference):
                return self._remote.place(reference.strip())
            key = (self._relative(reference) or "") if isinstance(reference, str) else ""
        return self._images.place(key)

    def mapped(self) -> Mapped:
        """Return what is recognised in the table, without looking at any image."""
        self._check_there()
        index = self._latest()
        first = itertools.islice(index.images(), 3)
        return Mapped(
            self._what, index.count, index.image_count(), index.roles, index.date, index.targets,
            tuple((key, index.fields_of([row for _, row in rows])) for key, rows, _ in first),
            tuple(index.problems), index.unused,
        )  # fmt: skip

    def stamp(self) -> str:
        """Return what differs when one of the files of the table was written.

        Raises:
            OSError: their server can't be asked.
        """
        return stamp_of(self._table.files)

    def names_urls(self) -> bool:
        """Return whether a row names its image by URL; reads the rows up to the first that does.

        Raises:
            SourceError: the table can't be read, or has no column of images.
        """
        column = self._roles().image
        for row in self._table.rows():
            value = None if isinstance(row, BadRow) else row.get(column)
            # A picture without bytes is read from where its name says; of some tables it is not
            # known yet whether there are any.
            named = value.name if isinstance(value, Blob) and not value.content else value
            if isinstance(named, str) and is_url(named):
                return True
        return False

    def check(self) -> None:
        """Look whether the columns are there that were asked for.

        Raises:
            SourceError: one is not, or none holds images.
        """
        self._check_there()
        self._roles()

    # ---------------------------------------------------------------- inside

    def _check_there(self) -> None:
        from pixseek.sources.buckets import gone

        table = self._table.where
        if not self._root.is_local and not self._table.files:
            return  # a list of URLs that the library itself keeps
        if is_remote(self._root.where):
            try:
                if not any(each.stamp() for each in itertools.islice(self._table.files, 1)):
                    raise gone(self._root.name, table, FileNotFoundError())
            except OSError as error:
                raise gone(self._root.name, table, error) from error
        elif not os.path.exists(table):
            raise self._lost(table, "table")
        if not self._images.exists():
            raise self._lost(self._images.where, "folder of the images")

    def _lost(self, where: str, what: str) -> SourceVanishedError:
        return SourceVanishedError(
            f"The {what} is gone (is its drive plugged in?)", where,
            "Nothing of it was removed from the library. Bring it back and run again; to "
            f"forget it: pixseek remove --root {shlex.quote(self._root.name)}",
        )  # fmt: skip

    def _has_ids(self) -> bool:
        """Return whether rows are named by a column of ids, and not by their image."""
        columns = self._root.options.get("columns") or {}
        return "id" in columns or bool(self._given and self._given.id)

    def _latest(self) -> RowIndex:
        """Return the rows as they were last read; read them if nobody has."""
        with self._lock:
            try:
                stamp = stamp_of(self._table.files)
            except OSError:  # what was read of it still counts
                if self._index is None:
                    raise
                return self._index
            if self._index is None or self._index.stamp != stamp:
                index = RowIndex(self._root.name, self._table, self._roles(), self._key)
                for _ in index.build():
                    pass
                self._index = index
            return self._index

    def _indexed(self) -> Generator[int, None, RowIndex]:
        index = RowIndex(self._root.name, self._table, self._roles(), self._key)
        yield from index.build()
        with self._lock:
            self._index = index
        return index

    def _roles(self) -> Roles:
        if self._given is not None:
            return self._given
        first = list(itertools.islice(self._table.rows(), _SAMPLE))
        sample = [row for row in first if not isinstance(row, BadRow)]
        if not sample:
            why = next((row.why for row in first if isinstance(row, BadRow)), "")
            raise SourceError(
                "No row of the table can be read" if why else "The table has no rows",
                self._table.where,
                f"Of the first: {why}." if why else "Nothing was removed from the library.",
            )  # fmt: skip
        columns = self._root.options.get("columns") or {}
        return roles_of(sample, columns, self._table.where)

    def _candidate(
        self, key: str, rows: Sequence[tuple[int, Row]], version: str, index: RowIndex
    ) -> Candidate:
        uri = f"{self._root.name}/{key}"
        _, reference = index.reference(rows)
        if isinstance(reference, str) and is_url(reference):
            self._remote.check()
            return Candidate(uri, Stamp(0, 0), version=version, is_asked_for=True)
        if isinstance(reference, str) and (relative := self._relative(reference)):
            state = self._images.state(relative)
            if state is None:
                return Candidate(uri, Stamp(0, 0), version=f"{version}\0missing")
            stamp, differs = state
            return Candidate(uri, stamp, version=f"{version}\0{differs}")
        if isinstance(reference, Blob) and not reference.digest:
            version = f"{version}\0{index.stamp_of_row(rows[0][0])}"  # they are somewhere in there
        return Candidate(uri, Stamp(0, 0), version=version)

    def _others(self, rows: Sequence[tuple[int, Row]], index: RowIndex) -> Iterator[Failure]:
        """Yield a failure for each row that gives the id of another image to its own."""
        _, first = index.reference(rows)
        for number, row in rows[1:] if self._has_ids() else ():
            reference = row.get(index.roles.image)
            if reference not in (None, "", first):
                yield Failure(
                    f"{self._root.name}/row-{number + 1}", "read", "duplicate",
                    "Another row has its id, and another image",
                    "Give each image an id of its own.",
                )  # fmt: skip

    def _content(
        self, rows: Sequence[tuple[int, Row]], index: RowIndex, uri: str, size: int = 0
    ) -> bytes:
        """Return the picture of some rows, of a size if that is known."""
        number, reference = index.reference(rows)
        if isinstance(reference, Blob):
            try:
                found = index.content(number) or self._table.picture(number)
            except SourceError as error:
                cause = next(filter(is_of_server, chain(error)), None)
                if isinstance(cause, OSError) and is_remote(self._root.where):
                    from pixseek.sources.buckets import gone

                    raise gone(self._root.name, self._table.where, cause) from error
                # Its part of the file is damaged, and others are not.
                raise ImageError("damaged", f"{error.problem} ({error.subject})", uri,
                                 error.advice) from error  # fmt: skip
            if not found:
                raise ImageError("empty", "The row has no picture", uri, "Correct the table.")
            return found if isinstance(found, bytes) else self._file(found, uri, size)
        if not isinstance(reference, str):
            raise ImageError("missing", "The row names no image", uri, "Correct the table.")
        return self._file(reference, uri, size)

    def _file(self, reference: str, uri: str, size: int = 0) -> bytes:
        """Return the content of the file that a row names by path or URL."""
        if is_url(reference):
            return self._remote.open(reference.strip())
        relative = self._relative(reference)
        if relative is None:
            outside(reference, self._images.where)
        try:
            return self._images.read(relative, size)
        except ImageError as error:
            raise ImageError(error.reason, error.problem, reference, error.advice) from error

    def _relative(self, reference: str) -> str | None:
        """Return a path as one below the folder of images; None if it leads out, or is a URL."""
        return None if is_url(reference) else self._images.relative(reference)

    def _key(self, number: int, row: Row, roles: Roles) -> str | None:
        """Return the part of a URI that names the image of a row; None if it names none."""
        if roles.id:
            value = row.get(roles.id)
            text = "" if value is None or isinstance(value, Blob) else str(value).strip()
            return clean(text) or None
        reference = row.get(roles.image)
        if isinstance(reference, Blob):
            name = re.split(r"[/\\]", reference.name)[-1]
            return clean(f"{self._table.key_of(number)}/{name}")
        if not isinstance(reference, str) or not reference.strip():
            return None
        if is_url(reference):
            return key_of_url(reference)
        # One that leads out of the folder is refused, under a name that no good one has.
        return self._relative(reference) or clean(f"outside/{reference}")


def _is_file_of_bucket(candidate: Candidate) -> bool:
    """Return whether a candidate of rows whose files lie in a bucket is one of those files."""
    return candidate.stamp.size > 0 and not candidate.is_asked_for


def recognised(given: str) -> Recognised | None:
    """Return what a path, address or URL is if it names a table.

    Raises:
        SourceError: it is a query that can't be understood, or an address with a secret in it.
    """
    scheme = given.partition("://")[0].lower()
    if is_remote(given):
        name, ending = os.path.splitext(given.rpartition("/")[2])
        if ending.lower() not in ENDINGS:
            return None
        check(given)
        return Recognised("table", given, name)
    if "://" in given:
        if scheme not in SCHEMES:
            return None
        table = open_table(given, Network())  # raises if it has no query
        place = Path(os.path.abspath(os.path.expanduser(table.where)))
        query = given.partition("?")[2]
        return Recognised("table", f"{scheme}://{place}?{query}", place.stem)
    path = Path(os.path.abspath(os.path.expanduser(given)))
    # Unsplash numbers the parts of a table: photos.tsv000.
    ending = re.sub(r"^\.(csv|tsv)\d{3}$", r".\1", path.suffix.lower())
    is_list = ending == ".txt" and path.is_file() and is_list_of_urls(LocalFile(path))
    if not is_list and (ending not in ENDINGS or not path.is_file()):
        return None
    return Recognised("table", str(path), path.stem)


def opened(root: Root) -> RowSource:
    """Return the source of a root of kind "table"."""
    network = Network()
    return RowSource(root, open_table(root.where, network), network=network)
