"""Short codes of the vectors, by which the embedded engine finds candidates in a large store.

A disposable cache: 4 bits a dimension in memory, made from the vectors, and kept in files next to
them so that opening is quick. The codec is `turbovec`, which only this module imports. If it is not
installed, or does not support the dimension, the engine scans the vectors.

Rows are coded in segments of neighbouring rows, which never change: after a change of an index the
codec's next search takes 0.8 us for every row in it. New rows make a new segment, which includes
the segments before it that are less than twice as large, so that there are few.

A file has one segment and is named `codes-GENERATION-START-STOP-TAG.tv`: the generation of the
vectors (a random name, so that files of another library never fit), the rows it covers, and the tag
of its content (`cache_files`).
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import os
import re
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pixseek.engines.embedded import cache_files
from pixseek.engines.embedded.vectorfile import Mask, Rows, VectorFile
from pixseek.storage import private
from pixseek.types.dataclass import dataclass

if TYPE_CHECKING:
    from pixseek.types import Vectors

#: Rows from which the codec learns the spread of each dimension.
CALIBRATION_ROWS = 4096
#: Rows coded at a time, 6 ms: so long searches in other threads wait for the codec's threads.
_BLOCK = 1024
#: More rows than this that are in no file are written: coding takes 6 us each.
_WORTH_WRITING = 4096
#: Bytes read at a time to check a file.
_PIECE = 1 << 20
_NAME = re.compile(r"codes-([0-9a-f]+)-(\d+)-(\d+)-([0-9a-f]{16})\.tv")
_NOTHING: Rows = np.empty(0, np.int64)


def available(dim: int) -> bool:
    """Return whether vectors of this dimension can be coded here."""
    return dim % 8 == 0 and 8 <= dim <= 16_384 and _installed()


@functools.cache  # looking takes longer than the rest of a small search
def _installed() -> bool:
    return importlib.util.find_spec("turbovec") is not None


def candidates(k: int) -> int:
    """Return how many candidates to take for the k nearest.

    400 candidates give a recall@10 of 0.997 at a million vectors (docs/architecture.md).
    """
    return round(max(1.7 * k, float(np.interp(k, (10, 100, 1000), (400, 1000, 1700)))))


@dataclass(frozen=True, slots=True)
class _Segment:
    """The codes of the rows from `start` to before `stop`, and the file that they are in."""

    start: int
    stop: int
    index: Any
    path: Path | None = None

    @property
    def rows(self) -> int:
        return self.stop - self.start


class Codes:
    """The codes of the first rows of one vector file. Safe to use from several threads.

    All rows are coded, dead or not, so the codes fit every snapshot of the database; callers skip
    the rows that do not count.

    Attributes:
        generation: of the vector file.
    """

    def __init__(self, generation: str, segments: tuple[_Segment, ...] = ()) -> None:
        self.generation = generation
        self._segments = segments  # replaced as a whole, so that a search sees one state
        self._updating = threading.Lock()

    @classmethod
    def open(cls, folder: Path, generation: str, vectors: VectorFile) -> Codes:
        """Return the codes of `vectors` that lie in the files of `folder`.

        Raises:
            ImportError: the codec can't be loaded.
        """
        segments: list[_Segment] = []
        start = 0
        files = _files(folder, generation)
        # From each row on, the largest file that can be read.
        while following := [each for each in files if each[1] == start and each[2] > start]:
            path, start, stop = max(following, key=lambda each: each[2])
            files.remove((path, start, stop))
            index = _load(path, stop - start, vectors.dim) if stop <= vectors.rows else None
            if index is not None:
                segments.append(_Segment(start, stop, index, path))
                start = stop
        return cls(generation, tuple(segments))

    @property
    def covered(self) -> int:
        """The rows before this one are coded."""
        return self._segments[-1].stop if self._segments else 0

    def update(self, vectors: VectorFile, going: Callable[[], bool] = lambda: True) -> None:
        """Code the rows that are not coded yet. Searches go on meanwhile.

        Args:
            vectors: all of them.
            going: asked now and then; once it says no, nothing is changed.
        """
        with self._updating:
            segments = list(self._segments)
            start, stop = self.covered, vectors.rows
            if start >= stop:
                return
            while segments and 2 * (stop - start) > segments[-1].rows:
                start = segments.pop().start
            index = _code(vectors, start, going)
            if index is not None:
                self._segments = (*segments, _Segment(start, stop, index))

    def search(self, queries: Vectors, count: int, among: Mask | None = None) -> list[Rows]:
        """Return, for each query, the `count` coded rows that seem nearest, ascending by row.

        Args:
            queries: (q, dim) float32.
            count: at least 1.
            among: only rows that are true in it count, and none beyond its end; None for all.
        """
        queries = np.ascontiguousarray(queries, np.float32)
        scores: list[NDArray[np.float32]] = [np.empty((len(queries), 0), np.float32)]
        rows: list[Rows] = [np.empty((len(queries), 0), np.int64)]
        for segment in self._segments:
            if among is None:
                mask = None
            else:
                mask = np.zeros(segment.rows, np.bool_)
                inside = among[segment.start : segment.stop]
                mask[: len(inside)] = inside
                if not mask.any():
                    continue
            found, slots = segment.index.search(queries, min(count, segment.rows), mask=mask)
            scores.append(found)
            rows.append(slots.astype(np.int64) + segment.start)
        if len(rows) > 2:  # of several segments the best
            all_scores, all_rows = np.concatenate(scores, axis=1), np.concatenate(rows, axis=1)
            if count < all_rows.shape[1]:
                best = np.argpartition(-all_scores, count - 1, axis=1)[:, :count]
                all_rows = np.take_along_axis(all_rows, best, axis=1)
            rows = [all_rows]
        return list(np.sort(rows[-1], axis=1))

    def save(self, folder: Path) -> None:
        """Write the files if there is enough to write, and delete those that they replace.

        Raises:
            OSError: they can't be written; nothing is lost.
        """
        with self._updating:
            files = [each for each in _files(folder, self.generation) if each[2] <= self.covered]
            existing = {path for path, *_ in files}
            segments = [
                segment
                if segment.path in existing
                else replace(segment, path=_same(segment, files))
                for segment in self._segments
            ]
            rows = sum(each.rows for each in segments if each.path is None)
            if rows < self.covered and not _worth_writing(rows, self.covered):
                return
            self._segments = tuple(
                _written(each, folder, self.generation) if each.path is None else each
                for each in segments
            )
            ours = {each.path for each in self._segments}
        for path in existing - ours:
            with contextlib.suppress(OSError):  # in use on Windows; swept another time
                path.unlink()


def behind(folder: Path, generation: str, rows: int) -> bool:
    """Return whether enough rows are missing from the files in `folder` to write more."""
    covered = max((stop for *_, stop in _files(folder, generation)), default=0)
    return not covered or _worth_writing(rows - covered, rows)


def delete(folder: Path, generation: str) -> None:
    """Delete the files of a generation that is no longer searched by codes."""
    for path, *_ in _files(folder, generation):
        with contextlib.suppress(OSError):  # in use on Windows
            path.unlink()


def sweep(folder: Path, generations: set[str]) -> None:
    """Delete the files of other generations, and unfinished files of killed processes."""
    cache_files.sweep(folder, "codes-*", _NAME, generations)


def _same(segment: _Segment, files: Iterable[tuple[Path, int, int]]) -> Path | None:
    """Return the file of a segment's rows that another process of this user has written."""
    for path, start, stop in files:
        if (start, stop) == (segment.start, segment.stop) and _is_ours(path):
            return path
    return None


def _written(segment: _Segment, folder: Path, generation: str) -> _Segment:
    """Write the file of a segment; return the segment with it."""
    about = (generation, str(segment.start), str(segment.stop))
    making = folder / f"codes-{generation}.{os.urandom(4).hex()}"
    try:
        # A cache that a power cut damages is made again.
        segment.index.write(str(making), durable=False)
        private.narrow(making)
        path = folder / f"codes-{'-'.join(about)}-{_tag(making, about)}.tv"
        os.replace(making, path)
    finally:
        with contextlib.suppress(OSError):
            making.unlink()
    return replace(segment, path=path)


def _is_ours(path: Path) -> bool:
    """Return whether this user has made a file, and nobody has changed it."""
    _, *about, tag = path.stem.split("-")
    try:
        return tag == _tag(path, about)
    except OSError:
        return False


def _tag(path: Path, about: Sequence[str]) -> str:
    with path.open("rb") as file:
        return cache_files.tag(iter(lambda: file.read(_PIECE), b""), *about)


def _load(path: Path, rows: int, dim: int) -> Any:
    """Return the index in a file; None if it does not have this many rows, or others made it."""
    from turbovec import TurboQuantIndex

    if not _is_ours(path):
        return None
    try:
        index = TurboQuantIndex.load(str(path))
        if (index.dim, index.bit_width, len(index)) != (dim, 4, rows):
            return None
        _warm(index, dim)
    except (KeyboardInterrupt, SystemExit):
        raise
    # A damaged file is made again. A panic in the codec is a BaseException.
    except BaseException:
        return None
    return index


def _code(vectors: VectorFile, start: int, going: Callable[[], bool]) -> Any:
    """Return an index of the rows from `start` on; None if `going` returned False."""
    from turbovec import TurboQuantIndex

    index = TurboQuantIndex(vectors.dim, 4)
    # Calibration fails, and is not needed, if all vectors are the same.
    with contextlib.suppress(ValueError):
        index.calibrate(vectors.sample(CALIBRATION_ROWS, _NOTHING, start))
    for _, block in vectors.blocks(start, _NOTHING, _BLOCK):
        if not going():
            return None
        # These are blocks already, with Ctrl-C between them.
        index.add(block, chunk_size=0)
    _warm(index, vectors.dim)
    return index


def _warm(index: Any, dim: int) -> None:
    """Make the tables that the first search would wait for; the codec's `prepare` makes few."""
    index.search(np.zeros((1, dim), np.float32), 1)


def _worth_writing(changed: int, rows: int) -> bool:
    return changed > max(_WORTH_WRITING, rows // 32)


def _files(folder: Path, generation: str) -> list[tuple[Path, int, int]]:
    """Return the files of a generation with the first row of each and that after its last."""
    return [
        (path, int(match[2]), int(match[3]))
        for path in folder.glob(f"codes-{generation}-*.tv")
        if (match := _NAME.fullmatch(path.name))
    ]
