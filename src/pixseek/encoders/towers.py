"""A tower of a model as onnxruntime runs it, and what every other runtime must offer too."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from pixseek.encoders import mapped
from pixseek.encoders.graph import Graph, Port
from pixseek.errors import ModelError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pixseek.types import Vectors

    Feeds = Mapping[str, NDArray[Any]]

CPU = "CPUExecutionProvider"

#: Images a call should hold: past 8, nothing was gained (ViT-B/32, two cores: 20.4 images/s one
#: at a time, 22.4 by eight, 21.5 by thirty-two).
IMAGES_A_CALL = 8

#: Texts for which the text tower is opened as fast as can be; then once more, for running fast.
#: A search from the command line needs one text; who needs this many will need more, and by now
#: has lost what opening costs. ViT-B/32: each further text takes 32 ms opened so, 13 ms after.
QUICK_ROWS = 32


class Tower(Protocol):
    """A graph that is run by something.

    Attributes:
        streams: calls of `run` worth making at the same time.
        batch_size: rows that a call should hold.
    """

    streams: int
    batch_size: int

    def run(self, feeds: Feeds) -> Vectors:
        """Return the embeddings, (n, dim) float32, as the graph gives them.

        May be called from several threads at once.

        Raises:
            ModelError: it can't be opened, or failed.
        """
        ...


class OnnxTower:
    """A tower that onnxruntime runs, opened when it is first needed."""

    def __init__(
        self,
        graph: Graph,
        output: Port,
        *,
        threads: int = 0,
        streams: int = 1,
        batch_size: int = IMAGES_A_CALL,
        provider: str = CPU,
        lean: bool = False,
    ) -> None:
        """Note how the graph is to be run.

        Args:
            graph: the tower.
            output: what to fetch.
            threads: cores that one call uses; 0 for all.
            streams: calls worth making at the same time.
            batch_size: rows that a call should hold.
            provider: what computes, by onnxruntime's name; what it can't do, the CPU does.
            lean: keep the weights once, as they are, and not also as the processor likes them:
                slower, in half the memory.
        """
        self.streams = streams
        self.batch_size = batch_size
        self._graph = graph
        self._output = output
        self._threads = threads
        self._provider = provider
        self._lean = lean
        self._session: Any = None
        self._lock = threading.Lock()

    def run(self, feeds: Feeds) -> Vectors:
        """Return the embeddings, (n, dim) float32; see `Tower`."""
        n = rows_in(feeds)
        session = self._open(n)
        try:
            (rows,) = session.run([self._output.name], feeds)
        except Exception as error:  # onnxruntime raises a dozen kinds, of no common base
            raise failed(self._graph, error) from error
        return checked(self._graph, rows, n)

    def provider(self) -> str:
        """Open the tower and return what computes it: onnxruntime may fall back to the CPU."""
        return str(self._open(0).get_providers()[0])

    def _open(self, rows: int) -> Any:
        """Return the session to run so many rows in."""
        with self._lock:
            if self._session is None:
                self._session = self._opened()
            return self._session

    def _opened(self) -> Any:
        return open_session(self._graph.path, self._options(), self._provider)

    def _options(self) -> Any:
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = self._threads
        # Waiting threads would spin on the cores that decode the next images.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        if self._lean:
            options.add_session_config_entry("session.disable_prepacking", "1")
        return options


class TextTower(OnnxTower):
    """A text tower: opened as fast as can be for the first texts, for running fast after them."""

    def __init__(self, graph: Graph, output: Port, *, threads: int, cache: Path | None) -> None:
        """Note how the graph is to be run.

        Args:
            graph: the tower.
            output: what to fetch.
            threads: cores that one call uses; 0 for all.
            cache: folder of the copies that `mapped` writes; None for none.
        """
        super().__init__(graph, output, threads=threads)
        self._cache = cache
        self._quick = True
        self._left = QUICK_ROWS

    def open(self) -> None:
        """Open it before it is needed; what goes wrong is said when it is."""
        with contextlib.suppress(ModelError):
            self._open(0)

    def write_mapped(self) -> None:
        """Write the copy that opens faster, if it is not there and can be written."""
        if self._cache is not None:
            mapped.write(self._graph, self._cache)

    def _open(self, rows: int) -> Any:
        with self._lock:
            self._left -= rows
            if self._quick and self._left < 0:
                self._quick, self._session = False, None
        return super()._open(rows)

    def _opened(self) -> Any:
        if not self._quick:
            return super()._opened()
        import onnxruntime as ort

        options = self._options()
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.add_session_config_entry("session.disable_prepacking", "1")
        copy = self._cache and mapped.find(self._graph, self._cache)
        if copy:
            with contextlib.suppress(ModelError):  # a broken copy: the original is there
                return open_session(copy, options)
        return open_session(self._graph.path, options)


def open_session(path: Path, options: Any, provider: str = CPU) -> Any:
    """Return an onnxruntime.InferenceSession.

    Raises:
        ModelError: onnxruntime can't open the file.
    """
    import onnxruntime as ort

    providers = list(dict.fromkeys((provider, CPU)))
    try:
        return ort.InferenceSession(str(path), options, providers=providers)
    except Exception as error:
        raise ModelError("a model can't be opened", path, first_line(error)) from error


def rows_in(feeds: Feeds) -> int:
    """Return how many items go in."""
    return len(next(iter(feeds.values())))


def checked(graph: Graph, rows: NDArray[Any], n: int) -> Vectors:
    """Return what a tower gave, as float32.

    Raises:
        ModelError: it is not one vector an item.
    """
    import numpy as np

    if rows.ndim != 2 or len(rows) != n:
        raise ModelError(
            "a model did not give one vector an item",
            graph.path,
            f"{n} went in, and an array of shape {rows.shape} came out.",
        )
    return np.asarray(rows, np.float32)


def failed(graph: Graph, error: Exception) -> ModelError:
    """Return what to raise when a runtime failed on a graph."""
    return ModelError("a model failed to run", graph.path, first_line(error))


def first_line(error: Exception) -> str:
    """Return what an error of a runtime says, without its traces."""
    return str(error).strip().split("\n", 1)[0] or type(error).__name__
