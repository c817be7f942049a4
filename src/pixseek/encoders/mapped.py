"""A copy of a text tower that opens fast: its weights lie in a file of their own.

An ONNX file with its weights inside must be parsed and copied as a whole. Weights in an external
file are mapped into memory instead, where nothing repacks them, and of the embedding of 49,408
tokens only the pages of those few are ever read. The copy takes the disk space of the tower once
more; it is made while indexing, where a second is not felt, and can be deleted at any time.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import tempfile
from pathlib import Path

from pixseek.encoders.graph import Graph
from pixseek.errors import ModelError

#: Below this many bytes the weights of a tower are read in no time.
WORTH_IT = 16 << 20

_GRAPH, _WEIGHTS, _SIZES = "model.onnx", "weights.bin", "sizes.json"


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


def write(graph: Graph, cache: Path) -> bool:
    """Write the copy, if it would help, is not there, and can be written; return whether.

    Its folder is moved into its place when it is whole.
    """
    if bytes_of(graph) < WORTH_IT or find(graph, cache):
        return False
    folder = _folder(graph, cache)
    with contextlib.suppress(OSError):  # a read-only folder or a full disk: it works without
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache, ignore_cleanup_errors=True) as temporary:
            place = Path(temporary) / "copy"
            place.mkdir()
            with contextlib.suppress(ModelError):  # it will be said when the tower is used
                _convert(graph, place)
                sizes = {name: (place / name).stat().st_size for name in (_GRAPH, _WEIGHTS)}
                (place / _SIZES).write_text(json.dumps(sizes), "utf-8")
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

    from pixseek.encoders.towers import open_session

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


def _folder(graph: Graph, cache: Path) -> Path:
    """Return where the copy of a tower lies; by size and time, since a digest takes too long."""
    stats = [path.stat() for path in (graph.path, *graph.external)]
    key = [str(graph.path.resolve()), *((stat.st_size, stat.st_mtime_ns) for stat in stats)]
    return cache / f"text-{hashlib.sha256(json.dumps(key).encode()).hexdigest()[:16]}"


def bytes_of(graph: Graph) -> int:
    """Return how much disk a tower takes."""
    return sum(path.stat().st_size for path in (graph.path, *graph.external))
