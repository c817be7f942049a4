"""A text tower: opened as fast as can be for one text, and again for many."""

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

#: How long a thread of the text tower looks out for more to do before it sleeps. ViT-B/32, 8
#: tokens, two cores: 7.6 ms a text where it takes 9.5 without, and on a busy machine 15 where it
#: takes 13 without (and 24 with the 1 ms that onnxruntime would take).
SPIN_US = 30


class TextTower(OnnxTower):
    """A text tower: opened as fast as can be for the first call, for running fast from the second.

    A search from the command line makes one call. Whoever makes two will make more: the session
    for them is opened behind the second, which the first session still answers. ViT-B/32, eight
    tokens, a quiet machine: opened as fast as can be it takes 0.06 s and then 17 ms a text, opened
    for running fast 0.2 s and then 7.6.
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
        """Note how the graph is to be run.

        Args:
            graph: the tower.
            output: what to fetch.
            threads: cores that one call uses; 0 for all.
            cache: folder of the copies that `mapped` writes; None for none.
            samples: gives texts to compare with, if the copy should take shorter ones than the
                graph does.
        """
        super().__init__(graph, output, threads=threads)
        self._cache, self._samples = cache, samples
        self._called = False
        self._opening: threading.Thread | None = None  # opens, or has opened, the second session

    def run(self, feeds: Feeds, longest: int = 0) -> Vectors:
        """Return the embeddings, (n, dim) float32; see `Tower`.

        Args:
            feeds: what goes in, filled up to the length that the graph was written for, if any.
            longest: from this position on there is nothing but padding that need not be seen, and
                a session that takes any length is not given it; 0 where all must be seen.
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
        """Open it before it is needed; what goes wrong is said when it is."""
        with contextlib.suppress(ModelError):
            self._open()

    def close(self) -> None:
        """Let go of the sessions and their memory; what is run after this opens it again."""
        with self._lock:
            opening, self._opening, self._called = self._opening, None, False
        if opening is not None:
            opening.join()
        super().close()

    def write_mapped(self) -> None:
        """Write the copy that opens faster, if it is not there and can be written."""
        if self._cache and mapped.write(self._graph, self._cache, self._output, self._samples):
            give_back_memory()

    def _opened(self) -> Any:
        return self._opened_copy(quick(self._options()))

    def _open_for_speed(self) -> None:
        if self._samples:
            # Where nothing was indexed, as in a server's container. Texts take a quarter of the
            # time then, for all that is still to come; other towers' would gain nothing here.
            self.write_mapped()
        with contextlib.suppress(ModelError):  # the first session goes on
            session = self._opened_copy(self._options(spin_us=SPIN_US))
            with self._lock:
                if self._opening is threading.current_thread():  # it was not closed meanwhile
                    self._session = session

    def _opened_copy(self, options: Any) -> Any:
        copy = self._cache and mapped.find(self._graph, self._cache)
        if copy:
            with contextlib.suppress(ModelError):  # a broken copy: the original is there
                return open_session(copy, options)
        return open_session(self._graph.path, options)
