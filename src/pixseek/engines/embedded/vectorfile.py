"""A flat file of float16 rows, the truth of the embedded engine, and exact search over it.

The file has no header: row i lies at byte i * dim * 2, little-endian. How many rows count is
written in the database that owns the file; bytes beyond are the torn tail of a writer that was
stopped, and are ignored and later overwritten. Rows are never changed in place, since readers
have the file mapped.
"""

from __future__ import annotations

import contextlib
import mmap
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pixseek.errors import LibraryFormatError
from pixseek.storage import private

if TYPE_CHECKING:
    from pixseek.types import Vectors

Rows = NDArray[np.int64]
#: One truth value for each row.
Mask = NDArray[np.bool_]

_ROW_TYPE = np.dtype("<f2")
#: Numbers converted to float32 at a time: 256 KB, which stay in the cache.
_BLOCK = 128 * 512
#: The factor by which `_widened` makes numbers too small; callers multiply by it.
_SCALE = 2.0**112
#: Scores held at a time, for as many queries as fit: 64 MB.
_SCORES = 16_777_216
#: Largest relative error of a float32 score, with a wide margin; closer scores are ties.
_TIE = 1e-5


def append(path: Path, at: int, vectors: Vectors) -> None:
    """Write rows from row `at` on, and return once they are on the disk.

    Args:
        path: of the file; created when missing.
        at: how many rows count; those beyond are overwritten or cut.
        vectors: (n, dim) float32.

    Raises:
        OSError: the disk is full, read-only or failing. The rows before `at` are unchanged.
        LibraryFormatError: the file holds fewer rows than `at`.
    """
    offset = at * vectors.shape[1] * _ROW_TYPE.itemsize
    created = not path.exists()
    found = 0 if created else path.stat().st_size
    if found < offset:
        raise _too_short(path, found, offset)
    # Unbuffered, so that closing after a failure does not try to write again.
    mode = private.mode_in(path.parent) if created else 0
    with open(
        path,
        "xb" if created else "r+b",
        buffering=0,
        opener=lambda name, flags: os.open(name, flags, mode),
    ) as file:
        try:
            file.seek(offset)
            for start in range(0, len(vectors), 8192):
                left = memoryview(vectors[start : start + 8192].astype(_ROW_TYPE).tobytes())
                while left:
                    left = left[file.write(left) :]
            file.truncate()
            os.fsync(file.fileno())
        except BaseException:
            # Free the space. Not needed for correctness, so it may fail: Windows can't cut a file
            # that a reader has mapped.
            with contextlib.suppress(OSError):
                os.truncate(path, offset)
            raise
    if created:
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names of the files in a folder durable, if the system can."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class VectorFile:
    """The first rows of a file, mapped read-only. Safe to use from several threads.

    Attributes:
        rows: how many.
        dim: length of each.
    """

    def __init__(self, path: Path, rows: int, dim: int) -> None:
        """Map `rows` rows of the file.

        Raises:
            FileNotFoundError: there is no such file.
            LibraryFormatError: the file holds fewer rows.
        """
        self.rows, self.dim = rows, dim
        size = rows * dim * _ROW_TYPE.itemsize
        with path.open("rb") as file:
            found = os.fstat(file.fileno()).st_size
            if found < size:
                raise _too_short(path, found, size)
            # A mapping can't be empty.
            content = mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ) if size else b""
        self._block = max(8, _BLOCK // dim // 8 * 8)
        self._vectors = np.frombuffer(content, _ROW_TYPE, rows * dim).reshape(rows, dim)
        self._bits = self._vectors.view(np.dtype("<i2"))

    def read(self, rows: Rows) -> Vectors:
        """Return these rows, (n, dim) float32."""
        try:
            return self._vectors[rows].astype(np.float32)
        except IndexError as error:
            raise LibraryFormatError(
                "the library's database is damaged: it names vectors that are not there",
                f"{error}",
                "Restore it from a backup, or delete the library's folder and index again.",
            ) from error

    def score(self, rows: Rows, query: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return the scores of these rows, (n,); equal rows have equal scores.

        Matrix products do not ensure that: a row's last bits depend on its place in a block.
        """
        scores = np.empty(len(rows))
        scaled = query.astype(np.float64) * _SCALE
        wide = np.empty((min(self._block, len(rows)), self.dim), np.int32)
        for start in range(0, len(rows), self._block):
            some = rows[start : start + self._block]
            block = _widened(self._bits[some], wide[: len(some)])
            np.multiply(block, scaled).sum(axis=1, out=scores[start : start + self._block])
        return np.clip(scores, -1.0, 1.0, out=scores)

    def nearest(
        self, queries: Vectors, k: int, dead: Rows, among: Rows | None = None, start: int = 0
    ) -> list[Rows]:
        """Return, for each query, the rows that can be among its k nearest; ties may make it more.

        All queries share the conversion of each block, and are one matrix product with it.

        Args:
            queries: (q, dim) float32.
            k: at least 1.
            dead: rows that do not count, ascending.
            among: only these rows count, ascending and alive; None for all.
            start: rows before this one do not count; 0 if `among` is given.
        """
        count = self.rows - start if among is None else len(among)
        passed = dead[np.searchsorted(dead, start) :] - start if among is None else dead[:0]
        alive = count - len(passed)
        found: list[Rows] = []
        step = max(1, _SCORES // max(1, count))
        for first in range(0, len(queries), step):
            for scores in self._scan(queries[first : first + step], count, among, start):
                scores[passed] = -np.inf
                if alive > k:
                    threshold = np.partition(scores, count - k)[count - k] - _TIE
                    best = np.flatnonzero(scores >= threshold)
                else:
                    best = np.flatnonzero(scores > -np.inf)
                found.append(best + start if among is None else among[best])
        return found

    def sample(self, count: int, dead: Rows, start: int = 0) -> Vectors:
        """Return a uniform draw of at most `count` rows from row `start` on, (n, dim) float32.

        The rows in `dead` are left out. The draw is the same every time.
        """
        alive = np.setdiff1d(np.arange(start, self.rows), dead, assume_unique=True)
        if len(alive) > count:
            alive = np.sort(np.random.default_rng(0).choice(alive, count, replace=False))
        return self.read(alive)

    def blocks(self, start: int, dead: Rows, size: int = 8192) -> Iterator[tuple[Rows, Vectors]]:
        """Yield the rows that count from row `start` on, with their vectors, in order."""
        for first in range(start, self.rows, size):
            rows = np.arange(first, min(first + size, self.rows))
            low, high = np.searchsorted(dead, (first, first + size))
            rows = np.delete(rows, dead[low:high] - first)
            if len(rows):
                yield rows, self.read(rows)

    def _scan(self, queries: Vectors, count: int, among: Rows | None, start: int) -> Vectors:
        """Return the scores of these rows, (q, count) float32; from row `start` on when None."""
        scores = np.empty((count, len(queries)), np.float32)
        scaled = (queries.T.astype(np.float64) * _SCALE).astype(np.float32)
        bits = self._bits[start:]
        wide = np.empty((min(self._block, count), self.dim), np.int32)
        for at in range(0, count, self._block):
            some = slice(at, at + self._block)
            block = bits[some] if among is None else bits[among[some]]
            np.dot(_widened(block, wide[: len(block)]), scaled, out=scores[some])
        return np.ascontiguousarray(scores.T)


def _widened(bits: NDArray[np.int16], wide: NDArray[np.int32]) -> Vectors:
    """Return float16 numbers, given by their bits, as float32 that are `_SCALE` times too small.

    14 times as fast as numpy, which converts one number after the other. Shifted into place as
    integers, the bits of a float16 are those of a float32 that is 2**112 times too small; only
    infinity and NaN, which are never stored, would be wrong.
    """
    np.copyto(wide, bits)
    np.left_shift(wide, 13, out=wide)
    np.bitwise_and(wide, np.int32(-0x70002000), out=wide)  # sign, exponent, mantissa
    return wide.view(np.float32)


def _too_short(path: Path, found: int, size: int) -> LibraryFormatError:
    return LibraryFormatError(
        f"vectors are missing: the file holds {found:,} bytes of {size:,}",
        path,
        "Restore the file from a backup, or delete the library's folder and index again.",
    )
