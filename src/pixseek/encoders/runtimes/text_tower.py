"""A text tower: opened as fast as possible for one text, and again, to run fast, for many."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pixseek.encoders.runtimes import mapped
from pixseek.encoders.runtimes.graph import Graph, Port
from pixseek.encoders.runtimes.towers import OnnxTower, give_back_memory, open_session, quick
from pixseek.errors import ModelError

if TYPE_CHECKING:
    from pixseek.encoders.runtimes.towers import Feeds
    from pixseek.types import Vectors

#: How long an idle thread of the text tower spins before it sleeps. ViT-B/32, 8 tokens, two cores:
#: 7.6 ms per text instead of 9.5 without spinning; on a busy machine 15 instead of 13 (24 with
#: onnxruntime's default of 1 ms).
SPIN_US = 30


class TextTower(OnnxTower):
    """A text tower, opened as fast as possible for the first call, to run fast from the second.

    A search from the command line makes one call. A process that makes two will make more, so the
    second call opens a faster session in a thread, while the first session still answers it.
    ViT-B/32, eight tokens, a quiet machine: the first session opens in 0.06 s and takes 17 ms per
    text, the second opens in 0.2 s and takes 7.6 ms.
    """

    def __init__(
        self,
        graph: Graph,
        output: Port,
        *,
        threads: int,
        cache: Path | None,
        samples: Callable[[], Sequence[mapped.Sample]] | None = None,
    ) -> None:
        """Create the tower without opening it.

        Args:
            graph: the tower.
            output: the output to return.
            threads: cores that one call uses; 0 for all.
            cache: folder of the copies that `mapped` writes; None for none.
            samples: returns texts to compare on, if the copy should accept shorter ones than the
                graph.
        """
        super().__init__(graph, output, threads=threads)
        self._cache, self._samples = cache, samples
        self._called = False
        self._opening: threading.Thread | None = None  # opens, or opened, the second session

    def run(self, feeds: Feeds, longest: int = 0) -> Vectors:
        """Return the embeddings, (n, dim) float32; see `Tower`.

        Args:
            feeds: the inputs, padded to the graph's fixed length, if it has one.
            longest: number of tokens of the longest text: a session that accepts any length gets
                no padding beyond it. 0 if the tower needs the padding.
        """
        with self._lock:
            if self._called and self._opening is None:
                self._opening = threading.Thread(target=self._open_for_speed)
                self._opening.start()
            self._called = True
        session = self._open()
        if longest and all(not isinstance(p.shape[-1], int) for p in session.get_inputs()):
            feeds = mapped.Sample(feeds, longest).cut()
        return self._run(session, feeds)

    def open(self) -> None:
        """Open it before it is needed; errors are raised when it runs."""
        with contextlib.suppress(ModelError):
            self._open()

    def close(self) -> None:
        """Release the sessions and their memory; the next call opens it again."""
        with self._lock:
            opening, self._opening, self._called = self._opening, None, False
        if opening is not None:
            opening.join()
        super().close()

    def write_mapped(self) -> None:
        """Write the copy that opens faster, if it is missing and can be written."""
        if self._cache and mapped.write(self._graph, self._cache, self._output, self._samples):
            give_back_memory()

    def _opened(self) -> Any:
        return self._opened_copy(quick(self._options()))

    def _open_for_speed(self) -> None:
        if self._samples:
            # For machines that never index, such as a server's container. It makes later texts
            # four times as fast; without samples there would be no gain here.
            self.write_mapped()
        with contextlib.suppress(ModelError):  # the first session stays in use
            session = self._opened_copy(self._options(spin_us=SPIN_US))
            with self._lock:
                if self._opening is threading.current_thread():  # it was not closed meanwhile
                    self._session = session

    def _opened_copy(self, options: Any) -> Any:
        copy = self._cache and mapped.find(self._graph, self._cache)
        if copy:
            with contextlib.suppress(ModelError):  # if the copy is broken, use the original
                return open_session(copy, options)
        return open_session(self._graph.path, options)
