"""A tower of a model run by onnxruntime, and the interface of towers in every runtime."""

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

#: Images per call: more than 8 gain nothing (ViT-B/32, two cores: 20.4 images/s in ones, 22.4 in
#: eights, 21.5 in batches of 32).
IMAGES_A_CALL = 8


#: The first onnxruntime whose time of spinning can be set.
_SPIN_SINCE = (1, 26)

#: Maximum number of texts per call; bounds the memory when many captions are encoded.
TEXTS_A_CALL = 32


#: Below this length a vector has no direction.
_NOTHING = 1e-12


class Tower(Protocol):
    """A graph and its runtime.

    Attributes:
        streams: number of calls of `run` worth making at the same time.
        batch_size: number of rows per call.
    """

    streams: int
    batch_size: int

    def run(self, feeds: Feeds) -> Vectors:
        """Return the embeddings, (n, dim) float32, not normalised. Thread-safe.

        Raises:
            ModelError: it can't be opened, or failed.
        """
        ...


class OnnxTower:
    """A tower run by onnxruntime, opened when it is first needed."""

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
        """Create the tower without opening it.

        Args:
            graph: the tower.
            output: the output to return.
            threads: cores that one call uses; 0 for all.
            streams: number of calls worth making at the same time.
            batch_size: number of rows per call.
            provider: onnxruntime's name of the provider; operators it lacks run on the CPU.
            provider_options: options for the provider.
            lean: don't keep a second copy of the weights in the processor's favourite order:
                slower, but half the memory.
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
        # There is one GPU, and DirectML doesn't allow simultaneous calls.
        turn = self._lock if self._provider != CPU else contextlib.nullcontext()
        try:
            with turn:
                (rows,) = session.run([self._output.name], feeds)
        except Exception as error:  # onnxruntime raises a dozen kinds without a common base
            raise failed(self._graph, error) from error
        return checked(self._graph, rows, n)

    def provider(self) -> str:
        """Open the tower and return its provider: onnxruntime may fall back to the CPU."""
        return str(self._open().get_providers()[0])

    def close(self) -> None:
        """Release the session and its memory; the next call opens it again."""
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
        # Idle threads would spin on the cores that decode the next images.
        spins = spin_us and tuple(map(int, ort.__version__.split(".")[:2])) >= _SPIN_SINCE
        options.add_session_config_entry("session.intra_op.allow_spinning", "1" if spins else "0")
        if spins:
            options.add_session_config_entry("session.intra_op.spin_duration_us", str(spin_us))
        if self._lean:
            options.add_session_config_entry("session.disable_prepacking", "1")
        return options


def give_back_memory() -> None:
    """Return freed memory to the system, which glibc otherwise keeps.

    After the last session of ViT-B/32's image tower was closed, 657 MB were still resident; after
    this call, which took 37 ms, 111 MB.
    """
    if sys.platform == "linux":
        with contextlib.suppress(AttributeError):  # musl lacks the function, and keeps little
            ctypes.CDLL(None).malloc_trim(0)


def quick(options: Any) -> Any:
    """Return options with which a graph opens as fast as possible, but runs slower."""
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
    """Return an onnxruntime.InferenceSession; on the CPU if the provider doesn't start.

    Raises:
        ModelError: onnxruntime can't open the file.
    """
    import onnxruntime as ort

    providers: list[Any] = [CPU]
    if provider != CPU:
        providers.insert(0, (provider, dict(provider_options or {})))
        # A provider that doesn't start writes to the terminal; `accelerate` reports it instead.
        ort.set_default_logger_severity(4)
    try:
        return ort.InferenceSession(str(path), options, providers=providers)
    except Exception as error:
        raise ModelError("a model can't be opened", path, first_line(error)) from error
    finally:
        if provider != CPU:
            ort.set_default_logger_severity(2)


def rows_in(feeds: Feeds) -> int:
    """Return the number of items in the inputs."""
    return len(next(iter(feeds.values())))


def checked(graph: Graph, rows: NDArray[Any], n: int) -> Vectors:
    """Return a tower's output as float32.

    Raises:
        ModelError: it is not one vector per item.
    """
    import numpy as np

    if rows.ndim != 2 or len(rows) != n:
        raise ModelError(
            "a model did not give one vector per item",
            graph.path,
            f"Given {n} items, it returned an array of shape {rows.shape}.",
        )
    return np.asarray(rows, np.float32)


def failed(graph: Graph, error: Exception) -> ModelError:
    """Return the error for a graph that a runtime failed on."""
    return ModelError("a model failed to run", graph.path, first_line(error))


def first_line(error: Exception) -> str:
    """Return the first line of a runtime's error, without its traces."""
    return str(error).strip().split("\n", 1)[0] or type(error).__name__


def unit_rows(rows: Vectors, what: Sequence[str]) -> Vectors:
    """Return the first rows, one for each of `what`, scaled to length 1.

    Rows beyond them, which fill a fixed batch, are dropped.

    Raises:
        ModelError: a row is not finite, or has no length.
    """
    import numpy as np

    rows = rows[: len(what)]
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    bad = ~np.isfinite(lengths[:, 0]) | (lengths[:, 0] < _NOTHING)
    if bad.any():
        raise ModelError(
            "a model gave no usable vector (not a number, or of length 0)",
            what[int(bad.argmax())],
            "The model's files may be damaged. Download it again.",
        )
    unit: Vectors = rows / lengths
    return unit
