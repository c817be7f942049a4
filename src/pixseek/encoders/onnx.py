"""Encoders that run ONNX graphs with onnxruntime."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pixseek.encoders.graph import Graph, Port
from pixseek.encoders.layouts import ModelFiles
from pixseek.encoders.tokens import Tokens
from pixseek.errors import ModelError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pixseek.types import Picture, Vectors

#: Images a call should hold: past 8, nothing was gained (ViT-B/32, two cores: 20.4 images/s one
#: at a time, 22.4 by eight, 21.5 by thirty-two).
IMAGES_A_CALL = 8
#: Texts a call holds at most; bounds memory where somebody encodes a whole table of captions.
TEXTS_A_CALL = 32

#: Texts for which the text tower is opened as fast as can be; then once more, for running fast.
#: ViT-B/32 on two cores, from the file to the first vector: 0.60 s without optimising and
#: prepacking, 0.71 s with; each further text: 32 ms and 13 ms. A search from the command line
#: needs one text; who needs this many will need more, and by now has lost what opening costs.
QUICK_ROWS = 32

#: Below this length a vector has no direction.
_NOTHING = 1e-12


class OnnxEncoder:
    """Both towers of one model, each opened when it is first needed.

    May be used from several threads at once. Attributes as in `types.Encoder`.
    """

    def __init__(
        self,
        files: ModelFiles,
        *,
        name: str,
        digest: Callable[[Path], str],
        note: str = "",
        dim: int = 0,
        threads: int = 0,
    ) -> None:
        """Take a model apart without loading it.

        Args:
            files: where its parts are.
            name: to show.
            digest: gives the SHA-256 of a file of the image tower.
            note: what users must know of it.
            dim: length of the vectors, where it is known beforehand.
            threads: for each tower; 0 for one a core.

        Raises:
            ModelError: a graph is not the tower it should be.
        """
        self.name = name
        self.note = note
        self.input_side = max(files.preprocessing.height, files.preprocessing.width)
        self._preprocessing = files.preprocessing
        self._image = _port(files.visual, files.visual.image, "takes images")
        self._ids = _port(files.textual, files.textual.tokens, "takes token ids")
        self._check_size()
        self._visual = _Tower(files.visual, threads, quick_start=False)
        self._textual = _Tower(files.textual, threads, quick_start=True)
        self._rules = files.text
        self._tokens: Tokens | None = None
        self._lock = threading.Lock()
        self.batch_size = 1 if self._one_by_one(self._visual, self._image) else IMAGES_A_CALL
        self.fingerprint = _fingerprint(files, digest)
        self.dim = self._known_dim(dim or files.dim) or self.encode_texts(["a"]).shape[1]

    def prepare(self, picture: Picture) -> Vectors:
        """Return what the image tower reads for one picture, (3, height, width) float32."""
        return self._preprocessing.apply(picture)

    def encode_images(self, batch: Vectors) -> Vectors:
        """Return unit rows, (n, dim) float32, for (n, 3, height, width) prepared images.

        Raises:
            ModelError: the batch has another shape, or the model failed on it.
        """
        import numpy as np

        shape = (3, self._preprocessing.height, self._preprocessing.width)
        if batch.ndim != 4 or batch.shape[1:] != shape:
            raise ModelError(
                "these are no images prepared for this model",
                f"{self.name}, a batch of shape {batch.shape}",
                f"It reads (n, {', '.join(map(str, shape))}), as its prepare() gives them.",
            )
        size = self._image.shape[0] or self.batch_size
        fixed = self._image.shape[0] is not None
        found = [np.empty((0, self.dim), np.float32)]
        for at in range(0, len(batch), size):
            part = batch[at : at + size]
            full = _filled(part, size) if fixed else part
            rows = self._visual.run({self._image.name: full.astype(self._image.dtype, copy=False)})
            found.append(_unit(rows, [f"image {at + i} of the batch" for i in range(len(part))]))
        return np.concatenate(found)

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        """Return unit rows, (n, dim) float32, for n texts; over-long ones are cut.

        Raises:
            ModelError: the model failed.
        """
        import numpy as np

        if not texts:
            return np.empty((0, self.dim), np.float32)
        tokens = self._tokenizer()
        fixed = self._ids.shape[0]
        size = fixed or (1 if self._one_by_one(self._textual, self._ids) else TEXTS_A_CALL)
        length = self._length(tokens)
        found = []
        for at in range(0, len(texts), size):
            part = texts[at : at + size]
            ids, mask = tokens.padded(part, length)
            if fixed:
                ids, mask = _filled(ids, size), _filled(mask, size)
            rows = self._textual.run(self._text_inputs(ids, mask))
            found.append(_unit(rows, [repr(text[:80]) for text in part]))
        return np.concatenate(found)

    def _tokenizer(self) -> Tokens:
        with self._lock:
            if self._tokens is None:
                self._tokens = Tokens(self._rules)
            return self._tokens

    def _length(self, tokens: Tokens) -> int | None:
        """Return how many tokens every text is filled up to; None for the longest of a call.

        Shorter is much faster (ViT-B/32: 7.1 ms at 7 tokens, 34.8 at 77), and gives the same
        vector where padding is masked, or comes after all that a causal tower looks at.
        """
        if self._ids.shape[1]:
            return self._ids.shape[1]
        masked = self._textual.graph.mask is not None
        if not self._rules.full and (masked or tokens.causal or tokens.batch_padded):
            return None
        return tokens.context

    def _text_inputs(self, ids: NDArray[np.int64], mask: NDArray[np.int64]) -> dict[str, Any]:
        import numpy as np

        feeds = {}
        for port in self._textual.graph.inputs:
            if port.name == self._ids.name:
                value = ids
            elif "mask" in port.name:
                value = mask
            elif "type" in port.name:
                value = np.zeros_like(ids)
            elif "position" in port.name:
                value = np.broadcast_to(np.arange(ids.shape[1]), ids.shape)
            else:
                raise ModelError(
                    "a text tower wants an input that is not known",
                    f"{port.name} in {self._textual.graph.path}",
                )
            feeds[port.name] = np.ascontiguousarray(value, port.dtype or "int64")
        return feeds

    def _one_by_one(self, tower: _Tower, port: Port) -> bool:
        return port.shape[0] == 1 or tower.graph.quantised_on_the_fly

    def _known_dim(self, expected: int) -> int:
        """Return the length of the vectors, which graphs need not say; 0 when nothing says it."""
        said = {t.output.shape[1] for t in (self._visual, self._textual)} - {None}
        if len(said) > 1:
            raise ModelError(
                "a model's two towers give vectors of different lengths",
                f"{self.name}: {self._visual.output.shape[1]} and {self._textual.output.shape[1]}",
            )
        return said.pop() or 0 if said else expected

    def _check_size(self) -> None:
        wanted = (3, self._preprocessing.height, self._preprocessing.width)
        shape = self._image.shape[1:]
        if any(s is not None and s != w for s, w in zip(shape, wanted, strict=True)):
            raise ModelError(
                "a model's image tower and its preprocessing disagree",
                self.name,
                f"The graph reads {shape}, the preprocessing makes {wanted}.",
            )


class _Tower:
    """A graph, and the session it is run in, opened when first needed."""

    def __init__(self, graph: Graph, threads: int, *, quick_start: bool) -> None:
        self.graph = graph
        self.output = _port(graph, graph.embedding, "gives one vector an item")
        self._threads = threads
        self._quick_start = quick_start
        self._session: Any = None
        self._left = QUICK_ROWS
        self._lock = threading.Lock()

    def run(self, feeds: dict[str, Any]) -> Vectors:
        """Return the embeddings, (n, dim) float32, as the graph gives them."""
        import numpy as np

        n = len(next(iter(feeds.values())))
        session = self._open(n)
        try:
            (rows,) = session.run([self.output.name], feeds)
        except Exception as error:  # onnxruntime raises a dozen kinds, of no common base
            raise ModelError(
                "a model failed to run", self.graph.path, _first_line(error)
            ) from error
        if rows.ndim != 2 or len(rows) != n:
            raise ModelError(
                "a model did not give one vector an item",
                self.graph.path,
                f"{n} went in, and an array of shape {rows.shape} came out.",
            )
        return np.asarray(rows, np.float32)

    def _open(self, rows: int) -> Any:
        """Return the session to run so many rows in."""
        with self._lock:
            if self._quick_start:
                self._left -= rows
                if self._left < 0:
                    self._quick_start, self._session = False, None
            if self._session is None:
                self._session = self._opened()
            return self._session

    def _opened(self) -> Any:
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = self._threads
        # Waiting threads would spin on the cores that decode the next images.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        if self._quick_start:
            options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
            options.add_session_config_entry("session.disable_prepacking", "1")
        try:
            return ort.InferenceSession(
                str(self.graph.path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:
            raise ModelError(
                "a model can't be opened", self.graph.path, _first_line(error)
            ) from error


def _fingerprint(files: ModelFiles, digest: Callable[[Path], str]) -> str:
    """Return the hash of what defines the space: image tower, its weights, its preprocessing."""
    whole = hashlib.sha256(b"pixseek space 1\n")
    for path in (files.visual.path, *files.visual.external):
        whole.update(f"{digest(path)}\n".encode())
    whole.update(files.preprocessing.describe().encode())
    return whole.hexdigest()


def _port(graph: Graph, port: Port | None, what: str) -> Port:
    if port is None:
        ports = ", ".join(f"{p.name} {p.dtype or '?'} {p.shape}" for p in graph.inputs)
        gives = ", ".join(f"{p.name} {p.dtype or '?'} {p.shape}" for p in graph.outputs)
        raise ModelError(
            "this graph is not the tower it should be",
            graph.path,
            f"No port that {what}. It takes {ports}; it gives {gives}.",
        )
    return port


def _filled(rows: NDArray[Any], size: int) -> NDArray[Any]:
    """Return `size` rows, the last repeated as needed, for a graph whose batch is fixed."""
    import numpy as np

    return (
        rows
        if len(rows) == size
        else np.repeat(rows, [1] * (len(rows) - 1) + [size - len(rows) + 1], 0)
    )


def _unit(rows: Vectors, what: Sequence[str]) -> Vectors:
    """Return the rows of `what`, each of length 1; what fills a fixed batch comes after them."""
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


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0]
