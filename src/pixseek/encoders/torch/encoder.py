"""Encoders that run a model with torch."""

from __future__ import annotations

import hashlib
import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pixseek.encoders.runtimes import int8
from pixseek.encoders.runtimes.towers import IMAGES_A_CALL, TEXTS_A_CALL, first_line, unit_rows
from pixseek.encoders.torch import devices
from pixseek.encoders.torch.folders import TorchFiles
from pixseek.encoders.torch.own_tokens import tokens_of
from pixseek.errors import MissingExtraError, ModelError
from pixseek.types import Likelihood

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pixseek.encoders.inputs.preprocessing import Patches, Preprocessing
    from pixseek.encoders.inputs.tokens import Tokens
    from pixseek.encoders.torch.towers import Towers
    from pixseek.types import Acceleration, Picture, Precision, TextTower, Vectors

#: The package to install for each library.
_PACKAGES = {"torch": "torch", "transformers": "transformers", "open_clip": "open_clip_torch"}


class TorchEncoder:
    """Both towers of one model, opened together when one is first needed.

    They run in float32 on the CPU, which is the reference, until `accelerate` finds something
    faster. Thread-safe; calls of the model are serialised, because each uses all cores or the one
    GPU. Attributes as in `types.Encoder`, and `files`, the paths of its parts.
    """

    def __init__(
        self,
        files: TorchFiles,
        *,
        name: str,
        digest: Callable[[Path], str],
        note: str = "",
        dim: int = 0,
        threads: int = 0,
        compiled: bool = False,
    ) -> None:
        """Create an encoder; torch loads the model later, unless its `dim` is unknown.

        Args:
            files: paths of its parts.
            name: name to show.
            digest: returns the SHA-256 of a file of the model.
            note: what users must know about it.
            dim: length of the vectors; 0 if unknown.
            threads: cores that a call may use; 0 for all. Torch has one number per process.
            compiled: whether `accelerate` compiles the image tower (`torch.compile`) if many
                images follow. That takes a minute or more, and makes later calls faster.

        Raises:
            ModelError: the model can't be read.
            MissingExtraError: a library that runs it is not installed.
        """
        for package in ("torch", files.package):
            if find_spec(package) is None:
                raise MissingExtraError(f"the model {name}", _PACKAGES[package], "torch")
        self.name = name
        self.note = note
        self.batch_size = IMAGES_A_CALL
        self.streams = 1
        self.input_side = files.preprocessing.side if files.preprocessing else 0
        self.fingerprint = _fingerprint(files, digest)
        self.files = files
        self._threads, self._compiled = threads, compiled
        self._lock = threading.RLock()
        self._towers: Towers | None = None
        self._compiled_images: Callable[..., Any] | None = None
        self._tokens: Tokens | None = None
        self._place = devices.REFERENCE
        self._device = ""
        self._accelerated: tuple[str, Acceleration] | None = None
        self.dim = dim or files.dim or self.encode_texts(["a"]).shape[1]

    def prepare(self, picture: Picture) -> Vectors:
        """Return the input of the image tower for one picture, float32.

        Its shape is (3, height, width), or (patches, numbers of a patch and its place) for a model
        that reads pictures in their own shape; see `preprocessing.Patches`.
        """
        return self._images().apply(picture)

    def encode_images(self, batch: Vectors) -> Vectors:
        """Return unit rows, (n, dim) float32, for n prepared images.

        Raises:
            ModelError: the batch has another shape, or the model failed on it.
        """
        shape = self._images().shape
        if batch.shape[1:] != shape:
            raise ModelError(
                "these images were not prepared for this model",
                f"{self.name}, a batch of shape {batch.shape}",
                f"Give (n, {', '.join(map(str, shape))}), made of what its prepare() returns.",
            )
        return self._encode(batch, self._place, self.batch_size)

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        """Return unit rows, (n, dim) float32, for n texts; long ones are truncated.

        Raises:
            ModelError: the model failed.
        """
        import numpy as np

        if not texts:
            return np.empty((0, self.dim), np.float32)
        tokens = self._tokenizer()
        length = tokens.context if self.files.text.full else None
        found = []
        for at in range(0, len(texts), TEXTS_A_CALL):
            part = texts[at : at + TEXTS_A_CALL]
            ids, mask = tokens.padded(part, length)
            with self._lock:
                place = devices.Place(self._place.device)
                rows = self._run(self._opened_at(place).texts, place, ids, mask)
            found.append(unit_rows(rows, [repr(text[:80]) for text in part]))
        return np.concatenate(found)

    def words(self, text: str) -> dict[str, bool]:
        """Return the words of a text, each with whether the model knows it."""
        return self._tokenizer().words(text)

    def write_text_tower(self, graph: Path, tokenizer: Path) -> TextTower:
        """Write the text tower as two files that run without pixseek; see `types.Separable`.

        Raises:
            ModelError: it can't be expressed like that, or the files can't be written.
            MissingExtraError: the package that exports models of torch is not installed.
        """
        from pixseek.encoders import separate
        from pixseek.encoders.runtimes import graph as graphs
        from pixseek.encoders.torch.graphs import write_text_graph

        tokens = self._tokenizer()
        tokens.to_json()  # first: this may fail, and the rest takes minutes
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as temporary:
            traced = Path(temporary) / "text" / "model.onnx"
            traced.parent.mkdir()
            write_text_graph(self, traced)
            found = graphs.read(traced)
            assert found.embedding is not None
            tower = separate.Tower(
                name=self.name,
                graph=found,
                output=found.embedding,
                rules=self.files.text,
                tokens=tokens,
                length=tokens.context if self.files.text.full else None,
                cut=False,
                encode=self.encode_texts,
                dim=self.dim,
            )
            return separate.write(tower, graph, tokenizer)

    def likelihood(self) -> Likelihood | None:
        """Return the learned map from cosines to probabilities; None for a text tower.

        Raises:
            ModelError: the model can't be opened.
        """
        with self._lock:
            module: Any = self._opened_at(devices.Place(self._place.device)).module
        temperature = getattr(module, "temperature", None)
        if temperature is not None:  # TIPSv2
            return Likelihood(1 / float(temperature))
        scale, bias = (getattr(module, name, None) for name in ("logit_scale", "logit_bias"))
        if scale is None:
            return None
        return Likelihood(float(scale.exp()), None if bias is None else float(bias))

    def accelerate(
        self, precision: Precision, images: int, sample: Callable[[int], Vectors]
    ) -> Acceleration:
        """Choose the device and precision for the calls from now on; see `types.Accelerable`.

        Raises:
            ModelError: the precision is unknown; or it was named, and is not available or fails
                its check.
        """
        self._images()
        with self._lock:
            asked, before = self._accelerated or ("", None)
            if before is not None and asked == precision and self._place != devices.REFERENCE:
                return before
            self._compiled_images = None
            place, size, chosen = devices.accelerate(precision, images, sample, self._encode)
            self._opened_at(place)
            self._place, self.batch_size = place, size
            if self._compiled:
                chosen = replace(chosen, why=f"{chosen.why}; {self._compile(images, sample)}")
            self._accelerated = (precision, chosen)
            return chosen

    def _compile(self, images: int, sample: Callable[[int], Vectors]) -> str:
        """Compile the image tower if worthwhile, and if it keeps the vectors; return a note."""
        import torch

        if images < devices.COMPILE_FROM:
            return f"compiling pays from {devices.COMPILE_FROM:,} images up"
        watched = sample(int8.CHECKED)
        if len(watched) < int8.CHECKED_AT_LEAST:
            return "too few images to check a compiled tower on"
        exact = self._encode(watched, self._place, self.batch_size)
        self._compiled_images = torch.compile(self._opened_at(self._place).images, dynamic=True)
        try:
            found = int8.agreement(exact, self._encode(watched, self._place, self.batch_size))
        except ModelError as error:  # no C++ compiler, for example
            self._compiled_images = None
            return f"compiling failed ({error.advice or error.problem})"
        if not found.good:
            self._compiled_images = None
            return f"the compiled tower gave different vectors: {found}"
        return "compiled"

    def opened(self) -> Towers:
        """Return both towers as in the reference: in float32 on the CPU.

        Raises:
            ModelError: they can't be opened.
        """
        with self._lock:
            return self._opened_at(devices.REFERENCE)

    def _images(self) -> Preprocessing | Patches:
        if self.files.preprocessing is None:
            raise ModelError(
                "this model reads only texts",
                self.name,
                "Use it together with the image model that it was made for.",
            )
        return self.files.preprocessing

    def _tokenizer(self) -> Tokens:
        with self._lock:
            if self._tokens is None:
                self._tokens = tokens_of(self.files.text)
            return self._tokens

    def _encode(self, batch: Vectors, place: devices.Place, size: int) -> Vectors:
        """Return the unit rows of prepared images, computed at a place, `size` per call."""
        import numpy as np

        found = [np.empty((0, self.dim), np.float32)]
        for at in range(0, len(batch), size):
            part = batch[at : at + size]
            with self._lock:
                towers = self._opened_at(place)
                rows = self._run(self._compiled_images or towers.images, place, part)
            found.append(
                unit_rows(rows, [f"image {at + i} of the batch" for i in range(len(part))])
            )
        return np.concatenate(found)

    def _run(
        self, tower: Callable[..., Any], place: devices.Place, *arrays: NDArray[Any]
    ) -> Vectors:
        """Return a tower's output for some arrays, float32."""
        import numpy as np
        import torch

        try:
            with torch.inference_mode(), place.precision():
                given = [torch.from_numpy(np.ascontiguousarray(a)) for a in arrays]
                rows = tower(*(tensor.to(place.device) for tensor in given))
                found: Vectors = rows.float().cpu().numpy()
        except ModelError:
            raise
        except Exception as error:  # torch and its libraries raise many kinds
            raise ModelError(
                "a model failed to run", self.files.folder, first_line(error)
            ) from error
        if found.ndim != 2 or len(found) != len(arrays[0]):
            raise ModelError(
                "a model did not give one vector per item",
                self.files.folder,
                f"Given {len(arrays[0])} items, it returned an array of shape {found.shape}.",
            )
        return found

    def _opened_at(self, place: devices.Place) -> Towers:
        """Return the towers, opened and moved to a place's device if needed."""
        import torch

        from pixseek.encoders.torch.towers import open_towers

        if self._towers is None:
            if self._threads:
                torch.set_num_threads(self._threads)
            self._towers = open_towers(self.files)
            self._device = devices.REFERENCE.device
        if self._device != place.device:
            self._towers.module.to(place.device)
            self._device = place.device
        return self._towers


def _fingerprint(files: TorchFiles, digest: Callable[[Path], str]) -> str:
    """Return the hash of what defines the space: the image tower, its weights and preprocessing.

    The files hold the text tower's weights too, so a different text tower gives a different space
    here: without loading a file it isn't known which weights belong to which tower.
    """
    whole = hashlib.sha256(b"pixseek space 1\n")
    for path in files.weights:
        whole.update(f"{digest(path)}\n".encode())
    whole.update(f"{files.architecture}\n".encode())
    if files.preprocessing:
        whole.update(files.preprocessing.describe().encode())
    return whole.hexdigest()
