"""Encoders that run ONNX graphs with onnxruntime."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pixseek.encoders.inputs.tokens import Tokens, write_index
from pixseek.encoders.layouts import ModelFiles
from pixseek.encoders.runtimes import mapped
from pixseek.encoders.runtimes.graph import Graph, Port
from pixseek.encoders.runtimes.text_tower import TextTower
from pixseek.encoders.runtimes.towers import TEXTS_A_CALL, OnnxTower, Tower, unit_rows
from pixseek.errors import ModelError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pixseek.types import Acceleration, Likelihood, Picture, Precision, Vectors
    from pixseek.types import TextTower as TextTowerFiles


#: Runtime and precision in which every model runs.
_PLAIN = ("onnxruntime", "fp32")

#: Texts on which text towers are compared: empty, a word, a query, a caption, and one that is
#: longer than CLIP reads.
_SAMPLES = (
    "",
    "dog",
    "a red bicycle leaning against a white wall",
    "two children in yellow rain coats jump into a puddle, while an old man with a hat looks on",
    "the sea and the sky " * 30,
)


class OnnxEncoder:
    """Both towers of one model, each opened when it is first needed.

    Thread-safe. Attributes as in `types.Encoder`.
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
        cache: Path | None = None,
    ) -> None:
        """Create an encoder; its towers are opened later, unless its `dim` is unknown.

        Args:
            files: its parts.
            name: name to show.
            digest: returns the SHA-256 of a file of the image tower.
            note: what users must know about it.
            dim: length of the vectors; 0 if unknown.
            threads: threads of each tower; 0 for one per core.
            cache: folder of the files that `accelerate` makes and keeps; None to keep none.

        Raises:
            ModelError: a graph doesn't have a tower's inputs and outputs.
        """
        self.name = name
        self.note = note
        self.input_side = max(files.preprocessing.height, files.preprocessing.width)
        self._preprocessing = files.preprocessing
        self._image = _port(files.visual, files.visual.image, "takes images")
        self._ids = _port(files.textual, files.textual.tokens, "takes token ids")
        self._check_size()
        self._files = files
        self._outputs = [
            _port(graph, graph.embedding, "gives one vector per item")
            for graph in (files.visual, files.textual)
        ]
        self._threads, self._cache = threads, cache
        self._visual: Tower = OnnxTower(files.visual, self._outputs[0], threads=threads)
        self._rules = files.text
        fixed = self._ids.shape[1] is not None and not self._rules.left
        self._textual = TextTower(
            files.textual,
            self._outputs[1],
            threads=threads,
            cache=cache,
            samples=self._samples if fixed else None,
        )
        self._tokens: Tokens | None = None
        self._lock = threading.Lock()
        self._accelerated: tuple[str, Acceleration] | None = None
        self.streams = self._visual.streams
        self.fingerprint = _fingerprint(files, digest)
        self.dim = self._known_dim(dim or files.dim) or self.encode_texts(["a"]).shape[1]

    @property
    def batch_size(self) -> int:
        """Number of images per call."""
        return self._calls_of(self._visual)

    def prepare(self, picture: Picture) -> Vectors:
        """Return the input of the image tower for one picture, (3, height, width) float32."""
        return self._preprocessing.apply(picture)

    def encode_images(self, batch: Vectors) -> Vectors:
        """Return unit rows, (n, dim) float32, for (n, 3, height, width) prepared images.

        Raises:
            ModelError: the batch has another shape, or the model failed on it.
        """
        shape = (3, self._preprocessing.height, self._preprocessing.width)
        if batch.ndim != 4 or batch.shape[1:] != shape:
            raise ModelError(
                "these images were not prepared for this model",
                f"{self.name}, a batch of shape {batch.shape}",
                f"Give (n, {', '.join(map(str, shape))}), made of what its prepare() returns.",
            )
        return self._encode(self._visual, batch)

    def _encode(self, tower: Tower, batch: Vectors) -> Vectors:
        """Return the unit rows of prepared images, from a tower."""
        import numpy as np

        size = self._image.shape[0] or self._calls_of(tower)
        fixed = self._image.shape[0] is not None
        found = [np.empty((0, self.dim), np.float32)]
        for at in range(0, len(batch), size):
            part = batch[at : at + size]
            full = _filled(part, size) if fixed else part
            rows = tower.run({self._image.name: full.astype(self._image.dtype, copy=False)})
            found.append(
                unit_rows(rows, [f"image {at + i} of the batch" for i in range(len(part))])
            )
        return np.concatenate(found)

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        """Return unit rows, (n, dim) float32, for n texts; long ones are truncated.

        Raises:
            ModelError: the model failed.
        """
        import numpy as np

        if not texts:
            return np.empty((0, self.dim), np.float32)
        if len(texts) > TEXTS_A_CALL:
            # Such as the background's captions: worth the second it takes, and halves the memory.
            self._textual.write_mapped()
        tokens = self._tokenizer()
        fixed = self._ids.shape[0]
        alone = len(texts) == 1 or self._files.textual.quantised_on_the_fly
        size = fixed or (1 if alone else TEXTS_A_CALL)
        length = self._length(tokens)
        found = []
        for at in range(0, len(texts), size):
            part = texts[at : at + size]
            ids, mask = tokens.padded(part, length)
            if fixed:
                ids, mask = _filled(ids, size), _filled(mask, size)
            longest = _longest(mask) if self._may_be_cut(tokens) else 0
            rows = self._textual.run(self._text_inputs(ids, mask), longest)
            found.append(unit_rows(rows, [repr(text[:80]) for text in part]))
        return np.concatenate(found)

    def words(self, text: str) -> dict[str, bool]:
        """Return the words of a text, each with whether the model knows it."""
        return self._tokenizer().words(text)

    def likelihood(self) -> Likelihood | None:
        """Return the learned map from cosines to probabilities; None if the files lack it."""
        return self._files.likelihood

    def write_text_tower(self, graph: Path, tokenizer: Path) -> TextTowerFiles:
        """Write the text tower as two files that run without pixseek; see `types.Separable`.

        Raises:
            ModelError: it can't be expressed like that, or the files can't be written.
        """
        from pixseek.encoders import separate

        tokens = Tokens(self._rules)
        tower = separate.Tower(
            name=self.name,
            graph=self._files.textual,
            output=self._outputs[1],
            rules=self._rules,
            tokens=tokens,
            length=self._length(tokens),
            cut=self._may_be_cut(tokens) and not self._rules.left,
            encode=self.encode_texts,
            dim=self.dim,
        )
        return separate.write(tower, graph, tokenizer)

    def accelerate(
        self, precision: Precision, images: int, sample: Callable[[int], Vectors]
    ) -> Acceleration:
        """Choose the runtime of the image tower from now on; see `types.Accelerable`.

        It also writes the copy of the text tower that later searches open faster.

        Raises:
            ModelError: the precision is unknown; or it was named, and is not available or fails
                its check.
            MissingExtraError: it was named, and needs a package that is not installed.
        """
        from pixseek.encoders.runtimes import acceleration, int8
        from pixseek.encoders.runtimes.conversion import Halved

        asked, before = self._accelerated or ("", None)
        cheap = before is None or (before.runtime, before.precision) == _PLAIN
        if before is not None and asked == precision and not cheap:
            # A second tower would take more memory, and a second check more time.
            int8_from = {"auto": acceleration.CHECK_FROM, "int8": int8.CHECKED_AT_LEAST}
            could_be_int8 = precision in int8_from and images >= int8_from[precision]
            if before.precision == "int8" or not could_be_int8:
                return before
        # The text tower was needed only for a moment, and its memory is needed here.
        self._textual.close()
        self._textual.write_mapped()
        write_index(self._rules, self._cache)
        key = self.fingerprint[:16]
        job = acceleration.Job(
            graph=self._files.visual,
            image=self._image,
            output=self._outputs[0],
            streams=self._threads or cores(),
            images=images,
            sample=sample,
            encode=self._encode,
            calibrated=int8.Calibrated(self._cache / f"int8-{key}") if self._cache else None,
            dynamic=int8.Dynamic(self._cache / f"dynamic-{key}") if self._cache else None,
            halved=Halved(self._cache / f"half-{key}") if self._cache else None,
        )
        tower, chosen = acceleration.accelerate(job, precision)
        if before is not None and cheap and (chosen.runtime, chosen.precision) == _PLAIN:
            # The same, and already open: ViT-B/32 takes half a second to open, up to one when cold.
            tower = self._visual
        self._visual, self.streams = tower, tower.streams
        self._accelerated = (precision, chosen)
        return chosen

    def _tokenizer(self) -> Tokens:
        with self._lock:
            if self._tokens is None:
                # onnxruntime releases the GIL while it opens a tower. Doing both at once hides
                # the tokenizer's time: 65 ms to import it, 120 more for CLIP's whole vocabulary.
                opening = threading.Thread(target=self._textual.open)
                opening.start()
                try:
                    self._tokens = Tokens(self._rules, self._cache)
                finally:
                    opening.join()
            return self._tokens

    def _length(self, tokens: Tokens) -> int | None:
        """Return the number of tokens to which texts are padded; None for the longest of a call.

        Shorter is much faster (ViT-B/32: 7.1 ms for 7 tokens, 34.8 for 77), and gives the same
        vector if padding is masked, or comes after everything that a causal tower reads.
        """
        if self._ids.shape[1]:
            return self._ids.shape[1]
        return None if self._may_be_cut(tokens) else tokens.context

    def _may_be_cut(self, tokens: Tokens) -> bool:
        """Return whether the tower gives the same vectors without padding."""
        masked = self._files.textual.mask is not None
        return not self._rules.full and (masked or tokens.causal or tokens.batch_padded)

    def _samples(self) -> list[mapped.Sample]:
        """Return texts of several lengths; none if the tower needs their padding."""
        tokens = Tokens(self._rules)  # not `_tokenizer`, which opens the tower too
        if not self._may_be_cut(tokens):
            return []
        size = self._ids.shape[0]
        found = []
        for texts in (*([text] for text in _SAMPLES), _SAMPLES[: min(size or 3, 3)]):
            ids, mask = tokens.padded(texts, self._ids.shape[1])
            if size:
                ids, mask = _filled(ids, size), _filled(mask, size)
            found.append(mapped.Sample(self._text_inputs(ids, mask), _longest(mask)))
        return found

    def _text_inputs(self, ids: NDArray[np.int64], mask: NDArray[np.int64]) -> dict[str, Any]:
        import numpy as np

        feeds = {}
        for port in self._files.textual.inputs:
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
                    "a text tower has an unknown input",
                    f"{port.name} in {self._files.textual.path}",
                )
            feeds[port.name] = np.ascontiguousarray(value, port.dtype or "int64")
        return feeds

    def _calls_of(self, tower: Tower) -> int:
        """Return the number of images per call of a tower."""
        alone = self._image.shape[0] == 1 or self._files.visual.quantised_on_the_fly
        return 1 if alone else tower.batch_size

    def _known_dim(self, expected: int) -> int:
        """Return the length of the vectors, from the graphs or as expected; 0 if unknown."""
        lengths = [output.shape[1] for output in self._outputs]
        said = set(lengths) - {None}
        if len(said) > 1:
            raise ModelError(
                "a model's two towers give vectors of different lengths",
                f"{self.name}: {lengths[0]} and {lengths[1]}",
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


def cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _fingerprint(files: ModelFiles, digest: Callable[[Path], str]) -> str:
    """Return the hash of what defines the space: the image tower, its weights, preprocessing."""
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
            "this graph is not the expected tower",
            graph.path,
            f"None of its ports {what}. Inputs: {ports}. Outputs: {gives}.",
        )
    return port


def _longest(mask: NDArray[np.int64]) -> int:
    """Return the number of tokens of the longest text; at least 1."""
    return max(1, int(mask.sum(1).max()))


def _filled(rows: NDArray[Any], size: int) -> NDArray[Any]:
    """Return `size` rows, with the last one repeated as needed, for a graph of fixed batch."""
    import numpy as np

    return (
        rows
        if len(rows) == size
        else np.repeat(rows, [1] * (len(rows) - 1) + [size - len(rows) + 1], 0)
    )
