"""A tower run by OpenVINO, the fastest way to embed images on x86-64 (extra `openvino`)."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from queue import LifoQueue
from typing import TYPE_CHECKING, Any, Literal

from pixseek.encoders.runtimes.graph import Graph, Port
from pixseek.encoders.runtimes.towers import IMAGES_A_CALL, checked, failed, first_line, rows_in
from pixseek.errors import ModelError

if TYPE_CHECKING:
    from pixseek.encoders.runtimes.towers import Feeds
    from pixseek.types import Vectors


def installed() -> bool:
    """Return whether OpenVINO is installed, without importing it."""
    return find_spec("openvino") is not None


def has_bf16() -> bool:
    """Return whether this CPU computes in bfloat16."""
    import openvino

    return "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


class _FirstCall:
    """Lets the first inference of this process end before any other begins.

    Two at once can deadlock: the binding's first call imports modules while it holds a C++ guard,
    for which the other waits while it holds the GIL (seen with OpenVINO 2026.4).
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._over = False

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        if self._over:
            yield
            return
        with self._lock:
            yield
            self._over = True


_first_call = _FirstCall()


class OpenVinoTower:
    """A tower run by OpenVINO, opened immediately.

    Each of `streams` calls runs on its own core: that is faster than one call on all cores, and a
    thread can decode images and then embed them itself.
    """

    batch_size = IMAGES_A_CALL

    def __init__(
        self,
        graph: Graph,
        output: Port,
        *,
        streams: int,
        precision: Literal["f32", "bf16"],
        converted: Path | None = None,
        threads: int = 0,
    ) -> None:
        """Open a tower.

        Args:
            graph: the tower.
            output: the output to return.
            streams: number of simultaneous calls of `run`.
            precision: precision of the computation, unless the graph sets another.
            converted: the same tower in OpenVINO's own format, to open instead.
            threads: cores of all streams together; 0 for one per stream.

        Raises:
            ModelError: OpenVINO can't open it.
        """
        import openvino

        self.streams = streams
        self._graph = graph
        core = openvino.Core()
        try:
            compiled = core.compile_model(
                core.read_model(converted or graph.path),
                "CPU",
                {
                    "NUM_STREAMS": str(streams),
                    "INFERENCE_NUM_THREADS": threads or streams,
                    "INFERENCE_PRECISION_HINT": precision,
                    # The calling threads also decode, so they must be free to move.
                    "ENABLE_CPU_PINNING": False,
                },
            )
            self._output = compiled.output(output.name)
            self._idle: LifoQueue[Any] = LifoQueue()
            for _ in range(streams):
                self._idle.put(compiled.create_infer_request())
        except Exception as error:  # RuntimeErrors, mostly
            raise ModelError(
                "OpenVINO can't open a model", converted or graph.path, first_line(error)
            ) from error

    def run(self, feeds: Feeds) -> Vectors:
        """Return the embeddings, (n, dim) float32; waits while all streams are busy.

        Raises:
            ModelError: the model failed.
        """
        request = self._idle.get()
        try:
            with _first_call.turn():
                request.infer(dict(feeds), share_inputs=True)
                rows = request.get_tensor(self._output).data.copy()
        except Exception as error:
            raise failed(self._graph, error) from error
        finally:
            self._idle.put(request)
        return checked(self._graph, rows, rows_in(feeds))
