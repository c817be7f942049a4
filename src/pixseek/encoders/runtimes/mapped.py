"""A copy of a text tower that opens fast: its weights lie in a file of their own.

An ONNX file with its weights inside must be parsed and copied as a whole. Weights in an external
file are mapped into memory instead, where nothing repacks them, and of the embedding of 49,408
tokens only the pages of those few are ever read. The copy takes the disk space of the tower once
more; it is made while indexing, where a second is not felt, and can be deleted at any time.

Where the tower was written for texts of one length only, the copy takes shorter ones too, if it
gives the same for them.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pixseek.encoders.runtimes.graph import Graph, Port
from pixseek.encoders.runtimes.towers import open_session, quick, unit_rows
from pixseek.errors import ModelError
from pixseek.types.dataclass import dataclass

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Below this many bytes the weights of a tower are read in no time.
WORTH_IT = 16 << 20

#: How far a component of a unit row may be from what the tower gave at full length. The kernels of
#: onnxruntime differ by 2.4e-6 between lengths (ViT-B/32); padding that is read, by over 1e-2.
SAME = 1e-5

_GRAPH, _WEIGHTS, _SIZES = "model.onnx", "weights.bin", "sizes.json"


@dataclass(frozen=True, slots=True)
class Sample:
    """Texts as a tower takes them.

    Attributes:
        feeds: by name of the input, each (n, context).
        longest: from this position on there is nothing but padding.
    """

    feeds: Mapping[str, NDArray[Any]]
    longest: int

    def cut(self) -> Mapping[str, NDArray[Any]]:
        """Return the feeds without what is padding in all rows, each (n, longest)."""
        return {name: value[:, : self.longest] for name, value in self.feeds.items()}


def find(graph: Graph, cache: Path) -> Path | None:
    """Return the copy's graph; None where there is no whole one."""
    folder = _folder(graph, cache)
    try:
        sizes = json.loads((folder / _SIZES).read_text("utf-8"))
        # To read past the end of a mapped file would be a crash, not an error.
        whole = sizes == {name: (folder / name).stat().st_size for name in (_GRAPH, _WEIGHTS)}
    except (OSError, ValueError):
        return None
    return folder / _GRAPH if whole else None


def write(
    graph: Graph, cache: Path, output: Port, samples: Callable[[], Sequence[Sample]] | None = None
) -> bool:
    """Write the copy, if it would help, is not there, and can be written; return whether.

    Its folder is moved into its place when it is whole, and never in place of a whole one: another
    thread or process may have made that meanwhile, and somebody may be opening it.

    Args:
        graph: the tower.
        cache: where the copies lie.
        output: of the tower, its embedding.
        samples: gives texts to compare with, if the copy should take shorter ones than the graph.
    """
    if bytes_of(graph) < WORTH_IT or find(graph, cache):
        return False
    import tempfile

    folder = _folder(graph, cache)
    with contextlib.suppress(OSError):  # a read-only folder or a full disk: it works without
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache, ignore_cleanup_errors=True) as temporary:
            place = Path(temporary) / "copy"
            place.mkdir()
            with contextlib.suppress(ModelError):  # it will be said when the tower is used
                _convert(graph, place)
                texts = samples() if samples else ()
                if texts and graph.tokens:
                    _free(place, graph.tokens, output, texts)
                sizes = {name: (place / name).stat().st_size for name in (_GRAPH, _WEIGHTS)}
                (place / _SIZES).write_text(json.dumps(sizes), "utf-8")
                try:
                    place.rename(folder)
                except OSError:  # something lies there
                    if find(graph, cache):
                        return False
                    shutil.rmtree(folder, ignore_errors=True)
                    place.rename(folder)
                return True
    return False


def _convert(graph: Graph, place: Path) -> None:
    """Have onnxruntime write the graph and its weights apart.

    Simplified already, which saves 15 of 70 ms when it is opened, but by none of what suits one
    processor only (`ORT_ENABLE_ALL`): a folder of models may be shared.
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
    """Have the copy take texts of any length, if it gives the same for them."""
    from pixseek.encoders.runtimes.free_length import free_length

    fixed, free = place / _GRAPH, place / "free.onnx"
    context = tokens.shape[1]
    assert context is not None
    try:
        shutil.copyfile(fixed, free)
        free_length(free, tokens.name, context)
        same = _same(fixed, free, output.name, samples)
    except Exception:  # onnx and onnxruntime raise many kinds, of no common base
        same = False
    if same:
        free.replace(fixed)
    else:
        free.unlink(missing_ok=True)


def _same(fixed: Path, free: Path, output: str, samples: Sequence[Sample]) -> bool:
    """Return whether short texts have the embeddings that they have when filled up."""
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
    """Return a name for what is made of some files; by size and time, a digest takes too long.

    Args:
        files: at least one.
        more: what else it hangs on.

    Raises:
        OSError: a file is not there.
    """
    stats = [path.stat() for path in files]
    key = [str(files[0].resolve()), *((stat.st_size, stat.st_mtime_ns) for stat in stats), *more]
    return hashlib.sha256(json.dumps(key).encode()).hexdigest()[:16]


def _folder(graph: Graph, cache: Path) -> Path:
    """Return where the copy of a tower lies."""
    fixed = graph.tokens and graph.tokens.shape[1]
    more = ["shorter texts too"] if fixed else []  # which copies of earlier versions don't take
    return cache / f"text-{key_of((graph.path, *graph.external), *more)}"


def bytes_of(graph: Graph) -> int:
    """Return how much disk a tower takes."""
    return sum(path.stat().st_size for path in (graph.path, *graph.external))
