"""A tower of a model as onnxruntime runs it, and what every other runtime must offer too."""

from __future__ import annotations

import contextlib
import ctypes
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from pixseek.encoders.runtimes.graph import Graph, Port
from pixseek.errors import ModelError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pixseek.types import Vectors

    Feeds = Mapping[str, NDArray[Any]]

CPU = "CPUExecutionProvider"

#: Images a call should hold: past 8, nothing was gained (ViT-B/32, two cores: 20.4 images/s one
#: at a time, 22.4 by eight, 21.5 by thirty-two).
IMAGES_A_CALL = 8


#: The first onnxruntime that can be told.
_SPIN_SINCE = (1, 26)

#: Texts a call holds at most; bounds memory where somebody encodes a whole table of captions.
TEXTS_A_CALL = 32


#: Below this length a vector has no direction.
_NOTHING = 1e-12


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
        provider_options: Mapping[str, str] | None = None,
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
            provider_options: that it is given.
            lean: keep the weights once, as they are, and not also as the processor likes them:
                slower, in half the memory.
        """
        self.streams = streams
        self.batch_size = batch_size
        self._graph = graph
        self._output = output
        self._threads = threads
        self._provider, self._provider_options = provider, provider_options
        self._lean = lean
        self._session: Any = None
        self._lock = threading.Lock()

    def run(self, feeds: Feeds) -> Vectors:
        """Return the embeddings, (n, dim) float32; see `Tower`."""
        return self._run(self._open(), feeds)

    def _run(self, session: Any, feeds: Feeds) -> Vectors:
        n = rows_in(feeds)
        # There is one GPU, and DirectML can't be called twice at a time.
        turn = self._lock if self._provider != CPU else contextlib.nullcontext()
        try:
            with turn:
                (rows,) = session.run([self._output.name], feeds)
        except Exception as error:  # onnxruntime raises a dozen kinds, of no common base
            raise failed(self._graph, error) from error
        return checked(self._graph, rows, n)

    def provider(self) -> str:
        """Open the tower and return what computes it: onnxruntime may fall back to the CPU."""
        return str(self._open().get_providers()[0])

    def close(self) -> None:
        """Let go of the session and its memory; what is run after this opens it again."""
        with self._lock:
            self._session = None
        give_back_memory()

    def _open(self) -> Any:
        with self._lock:
            if self._session is None:
                self._session = self._opened()
            return self._session

    def _opened(self) -> Any:
        return open_session(
            self._graph.path, self._options(), self._provider, self._provider_options
        )

    def _options(self, spin_us: int = 0) -> Any:
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = self._threads
        # Waiting threads would spin on the cores that decode the next images.
        spins = spin_us and tuple(map(int, ort.__version__.split(".")[:2])) >= _SPIN_SINCE
        options.add_session_config_entry("session.intra_op.allow_spinning", "1" if spins else "0")
        if spins:
            options.add_session_config_entry("session.intra_op.spin_duration_us", str(spin_us))
        if self._lean:
            options.add_session_config_entry("session.disable_prepacking", "1")
        return options


def give_back_memory() -> None:
    """Give the system what was freed, which glibc keeps for later.

    After the last session of ViT-B/32's image tower was gone, 657 MB were still resident, and 111
    after this, which took 37 ms.
    """
    if sys.platform == "linux":
        with contextlib.suppress(AttributeError):  # musl has no such function, and keeps little
            ctypes.CDLL(None).malloc_trim(0)


def quick(options: Any) -> Any:
    """Return options with which a graph is opened as fast as can be, to run slower."""
    import onnxruntime as ort

    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.add_session_config_entry("session.disable_prepacking", "1")
    return options


def open_session(
    path: Path,
    options: Any,
    provider: str = CPU,
    provider_options: Mapping[str, str] | None = None,
) -> Any:
    """Return an onnxruntime.InferenceSession, on the CPU where the provider does not start.

    Raises:
        ModelError: onnxruntime can't open the file.
    """
    import onnxruntime as ort

    providers: list[Any] = [CPU]
    if provider != CPU:
        providers.insert(0, (provider, dict(provider_options or {})))
        # One that does not start writes to the terminal; what runs instead is said by `accelerate`.
        ort.set_default_logger_severity(4)
    try:
        return ort.InferenceSession(str(path), options, providers=providers)
    except Exception as error:
        raise ModelError("a model can't be opened", path, first_line(error)) from error
    finally:
        if provider != CPU:
            ort.set_default_logger_severity(2)


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


def unit_rows(rows: Vectors, what: Sequence[str]) -> Vectors:
    """Return the rows of `what`, each of length 1; what fills a fixed batch comes after them.

    Raises:
        ModelError: a row is not finite, or has no length.
    """
    import numpy as np

    rows = rows[: len(what)]
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    bad = ~np.isfinite(lengths[:, 0]) | (lengths[:, 0] < _NOTHING)
    if bad.any():
        raise ModelError(
            "a model gave no usable vector (not a number, or of no length)",
            what[int(bad.argmax())],
            "The model's files may be damaged: fetch it again.",
        )
    unit: Vectors = rows / lengths
    return unit
