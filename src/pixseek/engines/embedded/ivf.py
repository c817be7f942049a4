"""An inverted file of the vectors, by which the embedded engine searches many millions of rows.

A disposable cache like `codes`, for stores where scanning all codes takes too long. Rows are sorted
into lists, each around a centroid, and coded with one bit a dimension (RaBitQ, arXiv 2405.12497);
a search looks only into the lists nearest to the query. The library is `faiss` (the package
`faiss-cpu`, an extra), which only this module imports. If it is not installed, the engine uses the
codes. docs/architecture.md has the measurements.

Lists are mapped, so that opening takes milliseconds, and the lists are page cache and not memory of
the process. They are chosen by Euclidean distance: centroids do not have unit length, and by inner
product 1.6 times as many lists must be searched for the same recall.

A file is named `ivf-GENERATION-TRAINED-ROWS-TAG.faiss`: the generation of the vectors that it was
made from (a random name, so that files of another library never fit), how many rows there were when
the lists were made, how many rows it covers, and the tag (`cache_files`) of all but the lists.
Damage to lists loses rows; any other could make faiss end the process. It is never changed, only
replaced.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import math
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pixseek.engines.embedded import cache_files
from pixseek.engines.embedded.vectorfile import Mask, Rows, VectorFile
from pixseek.storage import private

if TYPE_CHECKING:
    from pixseek.types import Vectors

#: The share of the rows whose codes are looked at: recall@10 is .992 at ten million rows, .974 with
#: half of it.
PROBED = 1 / 8
#: At least this many rows are looked at: at a million, 1/8 has a recall@100 of .982, 1/4 of .995.
_LEAST_PROBED = 200_000
#: The largest share with a filter. If one in ten of ten million rows counts, more finds no more.
_MOST_PROBED = 1 / 2
#: Rows that a list's centroid is learnt from.
_TRAINING_ROWS = 32
_TRAINING_ROUNDS = 8
#: The lists are made again when the store has grown by this factor.
_OUTGROWN = 4
#: The file is replaced when it lacks more rows than this, which take 3 ms to score, and than a
#: 128th of all.
WORTH_WRITING = 16_384
#: Bits of a query's dimensions. 8 find no more.
_QUERY_BITS = 4
#: Bytes of a row in the lists in addition to its bits: its number, and two factors.
_FACTORS = 16
#: Bytes that hold all that follows the lists.
_END = 4096
_NAME = re.compile(r"ivf-([0-9a-f]+)-(\d+)-(\d+)-([0-9a-f]{16})\.faiss")
_NONE: Rows = np.empty(0, np.int64)


def available() -> bool:
    """Return whether faiss is installed."""
    return importlib.util.find_spec("faiss") is not None


class Ivf:
    """The inverted file of the first rows of one vector file. Safe to use from several threads.

    All rows are in it, dead or not, so it fits every snapshot of the database; callers skip the
    rows that do not count.

    Attributes:
        generation: of the vector file.
        covered: the rows before this one are in it.
    """

    def __init__(self, index: Any, generation: str, covered: int) -> None:
        self._index = index
        self._lists = _inverted(index).nlist
        self.generation = generation
        self.covered = covered

    @classmethod
    def open(cls, folder: Path, generation: str, vectors: VectorFile) -> Ivf | None:
        """Return the inverted file that covers most rows; None if there is none.

        Raises:
            ImportError: faiss can't be loaded.
        """
        faiss = _faiss()
        for path, _, covered in _files(folder, generation):
            index = _load(path, covered, vectors, faiss.IO_FLAG_MMAP_IFC)
            if index is not None:
                return cls(index, generation, covered)
        return None

    def search(self, queries: Vectors, count: int, among: Mask | None = None) -> list[Rows]:
        """Return, for each query, the `count` covered rows that seem nearest, ascending by row.

        Args:
            queries: (q, dim) float32.
            count: at least 1.
            among: only rows that are true in it count, and none beyond its end; None for all.
        """
        faiss = _faiss()
        queries = np.ascontiguousarray(queries, np.float32)
        parameters = faiss.IVFRaBitQSearchParameters(qb=_QUERY_BITS)
        counting, usual = self.covered, max(PROBED, _LEAST_PROBED / self.covered)
        probed = usual
        if among is not None:
            among = among[: self.covered]
            counting = max(1, int(np.count_nonzero(among)))
            # Rows that fulfil a filter lie farther from the query, so as many of them are looked at
            # as without one. Skipping the others takes a third of the time.
            probed = max(usual, min(usual * self.covered / counting, _MOST_PROBED))
            parameters.sel = faiss.IDSelectorBitmap(np.packbits(among, bitorder="little"))
        # Many times as many as asked for; a search for every row finds every row.
        probed = min(1.0, max(probed, 8 * count / counting))
        parameters.nprobe = math.ceil(self._lists * probed)
        _, rows = self._index.search(
            queries,
            min(count, self.covered),
            params=faiss.SearchParametersPreTransform(index_params=parameters),
        )
        # Places not filled hold -1, and a damaged file any number.
        return [np.unique(each[(each >= 0) & (each < self.covered)]) for each in rows]


def build(
    folder: Path, generation: str, vectors: VectorFile, going: Callable[[], bool] = lambda: True
) -> None:
    """Write the inverted file of all rows, and delete older ones; from an older one if that fits.

    Takes minutes for millions of rows, one core, and 0.1 kB of memory a row.

    Args:
        folder: of the file.
        generation: of the vector file.
        vectors: all of them.
        going: called now and then; once it returns False, nothing is written.

    Raises:
        ImportError: faiss can't be loaded.
        OSError: the file can't be written; nothing is lost.
    """
    faiss = _faiss()
    existing = _files(folder, generation)
    index, trained, start = None, vectors.rows, 0
    for path, its_trained, covered in existing:
        if index is None and not _outgrown(vectors.rows, its_trained):
            index = _load(path, covered, vectors, 0)
            if index is not None:
                trained, start = its_trained, covered
    with _one_core():
        if index is None:
            index = _train(vectors, going)
        if index is None:
            return
        for rows, block in vectors.blocks(start, _NONE):
            if not going():
                return
            index.add_with_ids(block, rows)
    making = folder / f"ivf-{generation}.{os.urandom(4).hex()}"
    try:
        # Atomic, by a rename.
        try:
            faiss.write_index(index, str(making))
        except RuntimeError as error:
            raise OSError(str(error)) from error
        with making.open("r+b") as file:
            os.fsync(file.fileno())
        private.narrow(making)
        tag = _tag(making, vectors.rows, vectors.dim, generation)
        path = folder / f"ivf-{generation}-{trained}-{vectors.rows}-{tag}.faiss"
        os.replace(making, path)
    finally:
        with contextlib.suppress(OSError):
            making.unlink()
    for old, *_ in existing:
        if old != path:
            with contextlib.suppress(OSError):  # in use on Windows; swept another time
                old.unlink()


def behind(folder: Path, generation: str, rows: int) -> bool:
    """Return whether the file in `folder` lacks enough rows to be replaced."""
    for _, trained, covered in _files(folder, generation):
        return _outgrown(rows, trained) or rows - covered > max(WORTH_WRITING, rows // 128)
    return True


def delete_unusable(folder: Path, generation: str, rows: int) -> None:
    """Delete the files of at most this many rows, none of which could be opened."""
    for path, _, covered in _files(folder, generation):
        if covered <= rows:
            with contextlib.suppress(OSError):  # in use on Windows
                path.unlink()


def sweep(folder: Path, generations: set[str]) -> None:
    """Delete the files of other generations, and unfinished files of killed processes."""
    cache_files.sweep(folder, "ivf-*", _NAME, generations)


def _train(vectors: VectorFile, going: Callable[[], bool]) -> Any:
    """Return an empty index with centroids learnt from a sample; None if `going` returned False."""
    faiss = _faiss()
    dim = vectors.dim
    # One bit a dimension tells most if all dimensions matter equally. Those of real encoders do
    # after a rotation.
    rotation = faiss.RandomRotationMatrix(dim, dim)
    rotation.init(0)
    # A power of two near the square root, which balances choosing lists and looking into them.
    lists = 2 ** round(math.log2(max(1.0, vectors.rows)) / 2)
    sample = rotation.apply(vectors.sample(_TRAINING_ROWS * lists, _NONE))
    lists = min(lists, len(sample))
    centroids = sample[np.random.default_rng(0).choice(len(sample), lists, replace=False)]
    for _ in range(_TRAINING_ROUNDS):
        if not going():
            return None
        # One round at a time, to be able to stop.
        rounds = faiss.Kmeans(
            dim, lists, niter=1, min_points_per_centroid=1, max_points_per_centroid=1 << 30
        )
        rounds.train(sample, init_centroids=centroids)
        centroids = rounds.centroids
    quantizer = faiss.IndexFlatL2(dim)
    quantizer.add(centroids)
    inverted = faiss.IndexIVFRaBitQ(quantizer, dim, lists, faiss.METRIC_L2)
    inverted.train(sample[:1])  # the centroids are there; nothing else is learnt
    return faiss.IndexPreTransform(rotation, inverted)


@contextlib.contextmanager
def _one_core() -> Iterator[None]:
    """Leave the other cores to searches. The number of threads is set for this thread only."""
    faiss = _faiss()
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(threads)


def _load(path: Path, covered: int, vectors: VectorFile, flags: int) -> Any:
    """Return the index in a file; None if it does not have this many rows."""
    faiss = _faiss()
    if covered > vectors.rows:
        return None
    try:
        _, generation, _, _, tag = path.stem.split("-")
        if tag != _tag(path, covered, vectors.dim, generation):
            return None
        index = faiss.read_index(str(path), flags)
        lists = _inverted(index).invlists
        if (index.d, index.ntotal, lists.nlist) != (
            vectors.dim,
            covered,
            _inverted(index).nlist,
        ) or lists.compute_ntotal() != covered:
            return None
    except (AttributeError, MemoryError, OSError, RuntimeError, TypeError, ValueError):
        return None  # a damaged file is made again
    return index


def _tag(path: Path, rows: int, dim: int, generation: str) -> str:
    """Return the tag of all but the lists: the beginning with the centroids, and a short end."""
    size = path.stat().st_size
    with path.open("rb") as file:
        beginning = file.read(max(0, size - rows * (dim // 8 + _FACTORS)))
        file.seek(max(0, size - _END))
        return cache_files.tag((beginning, file.read()), generation, rows, dim, size)


def _inverted(index: Any) -> Any:
    """Return the inverted file within an index, without its rotation."""
    return _faiss().downcast_index(index.index)


def _faiss() -> Any:
    """Import faiss, whose types are incomplete; it may not be installed when they are checked."""
    return importlib.import_module("faiss")


def _outgrown(rows: int, trained: int) -> bool:
    return rows > _OUTGROWN * trained


def _files(folder: Path, generation: str) -> list[tuple[Path, int, int]]:
    """Return the files of a generation with their two numbers, that with most rows first."""
    found = [
        (path, int(match[2]), int(match[3]))
        for path in folder.glob(f"ivf-{generation}-*.faiss")
        if (match := _NAME.fullmatch(path.name))
    ]
    return sorted(found, key=lambda each: each[2], reverse=True)
