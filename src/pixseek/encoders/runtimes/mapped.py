"""A copy of a text tower that opens fast, because its weights are in a separate file.

An ONNX file with its weights inside must be parsed and copied as a whole. Weights in an external
file are mapped into memory instead, and of the 49,408 token embeddings only the pages that a text
needs are read. The copy takes as much disk space as the tower. It is made while indexing, where a
second doesn't matter, and can be deleted at any time.

If the tower has a fixed text length, the copy accepts shorter texts too, provided that it gives
the same vectors for them.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pixseek.config import make_folder
from pixseek.encoders.runtimes.graph import Graph, Port
from pixseek.encoders.runtimes.towers import open_session, quick, unit_rows
from pixseek.errors import ModelError
from pixseek.types.dataclass import dataclass

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Minimum size of a tower for a copy, in bytes; smaller ones are fast to read.
WORTH_IT = 16 << 20

#: Largest difference in a component of a unit row between short and full length. onnxruntime's
#: kernels differ by 2.4e-6 between lengths (ViT-B/32), padding that is read by over 1e-2.
SAME = 1e-5

_GRAPH, _WEIGHTS, _SIZES = "model.onnx", "weights.bin", "sizes.json"


@dataclass(frozen=True, slots=True)
class Sample:
    """Texts as inputs of a tower.

    Attributes:
        feeds: arrays by name of the input, each (n, context).
        longest: number of tokens of the longest text; the rest is padding.
    """

    feeds: Mapping[str, NDArray[Any]]
    longest: int

    def cut(self) -> Mapping[str, NDArray[Any]]:
        """Return the feeds without the padding that all rows share, each (n, longest)."""
        return {name: value[:, : self.longest] for name, value in self.feeds.items()}


def find(graph: Graph, cache: Path) -> Path | None:
    """Return the copy's graph; None if there is no complete copy."""
    folder = _folder(graph, cache)
    try:
        sizes = json.loads((folder / _SIZES).read_text("utf-8"))
        # Reading past the end of a mapped file would crash the process.
        whole = sizes == {name: (folder / name).stat().st_size for name in (_GRAPH, _WEIGHTS)}
    except (OSError, ValueError, RecursionError):
        return None
    return folder / _GRAPH if whole else None


def write(
    graph: Graph, cache: Path, output: Port, samples: Callable[[], Sequence[Sample]] | None = None
) -> bool:
    """Write the copy if it would help, is missing and can be written; return whether it did.

    Its folder is moved into place when it is complete. It never replaces a complete copy, which
    another thread or process may have made meanwhile and may be opening.

    Args:
        graph: the tower.
        cache: folder of the copies.
        output: the tower's embedding.
        samples: returns texts to compare on, if the copy should accept shorter ones than the graph.
    """
    if bytes_of(graph) < WORTH_IT or find(graph, cache):
        return False
    import tempfile

    folder = _folder(graph, cache)
    with contextlib.suppress(OSError):  # a read-only folder or a full disk: the tower works too
        make_folder(cache)
        with tempfile.TemporaryDirectory(dir=cache, ignore_cleanup_errors=True) as temporary:
            place = Path(temporary) / "copy"
            place.mkdir()
            with contextlib.suppress(ModelError):  # raised when the tower is used
                _convert(graph, place)
                texts = samples() if samples else ()
                if texts and graph.tokens:
                    _free(place, graph.tokens, output, texts)
                sizes = {name: (place / name).stat().st_size for name in (_GRAPH, _WEIGHTS)}
                (place / _SIZES).write_text(json.dumps(sizes), "utf-8")
                try:
                    place.rename(folder)
                except OSError:  # there is something
                    if find(graph, cache):
                        return False
                    shutil.rmtree(folder, ignore_errors=True)
                    place.rename(folder)
                return True
    return False


def _convert(graph: Graph, place: Path) -> None:
    """Write the graph and its weights into separate files, with onnxruntime.

    The graph is simplified, which saves 15 of 70 ms when it is opened, but not optimised for this
    processor (`ORT_ENABLE_ALL`), because several machines may share a folder of models.
    """
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(place / _GRAPH)
    for key, value in (
        ("session.disable_prepacking", "1"),
        ("session.optimized_model_external_initializers_file_name", _WEIGHTS),
        ("session.optimized_model_external_initializers_min_size_in_bytes", "1024"),
    ):
        options.add_session_config_entry(key, value)
    open_session(graph.path, options)


def _free(place: Path, tokens: Port, output: Port, samples: Sequence[Sample]) -> None:
    """Make the copy accept texts of any length, if it then gives the same vectors."""
    from pixseek.encoders.runtimes.free_length import free_length

    fixed, free = place / _GRAPH, place / "free.onnx"
    context = tokens.shape[1]
    assert context is not None
    try:
        shutil.copyfile(fixed, free)
        free_length(free, tokens.name, context)
        same = _same(fixed, free, output.name, samples)
    except Exception:  # onnx and onnxruntime raise many kinds without a common base
        same = False
    if same:
        free.replace(fixed)
    else:
        free.unlink(missing_ok=True)


def _same(fixed: Path, free: Path, output: str, samples: Sequence[Sample]) -> bool:
    """Return whether short texts have the same embeddings as when they are padded."""
    import numpy as np
    import onnxruntime as ort

    before, after = (open_session(path, quick(ort.SessionOptions())) for path in (fixed, free))
    for sample in samples:
        pair = []
        for session, feeds in ((before, sample.feeds), (after, sample.cut())):
            (rows,) = session.run([output], feeds)
            pair.append(unit_rows(np.asarray(rows, np.float32), ["a text"] * len(rows)))
        if pair[0].shape != pair[1].shape or abs(pair[0] - pair[1]).max() > SAME:
            return False
    return True


def key_of(files: Sequence[Path], *more: object) -> str:
    """Return a name for something made from files, by their size and time (digests are slow).

    Args:
        files: at least one.
        more: what else it depends on.

    Raises:
        OSError: a file is missing.
    """
    stats = [path.stat() for path in files]
    key = [str(files[0].resolve()), *((stat.st_size, stat.st_mtime_ns) for stat in stats), *more]
    return hashlib.sha256(json.dumps(key).encode()).hexdigest()[:16]


def _folder(graph: Graph, cache: Path) -> Path:
    """Return the folder of a tower's copy."""
    fixed = graph.tokens and graph.tokens.shape[1]
    more = ["shorter texts too"] if fixed else []  # copies of earlier versions don't accept these
    return cache / f"text-{key_of((graph.path, *graph.external), *more)}"


def bytes_of(graph: Graph) -> int:
    """Return the size of a tower's files, in bytes."""
    return sum(path.stat().st_size for path in (graph.path, *graph.external))
