"""An image tower with the text tower of another model, made for the same space."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from pixseek.errors import ModelError
from pixseek.types import Accelerable, Acceleration, Contrastive, Literate, Separable

if TYPE_CHECKING:
    from pathlib import Path

    from pixseek.types import Encoder, Likelihood, Picture, Precision, Space, TextTower, Vectors

#: Two text towers are of one space if their vectors of the bank's captions have at least this mean
#: cosine, both centred. Towers of different spaces have 0 give or take .01; one that was distilled
#: from another comes near 1.
AGREEMENT = 0.3


class PairedEncoder:
    """Images by one encoder, texts by another. Attributes as in `types.Encoder`.

    The fingerprint is that of the images: any text tower of their space can search them.
    """

    def __init__(
        self,
        images: Encoder,
        texts: Encoder | ServerTexts,
        *,
        name: str,
        note: str = "",
        fingerprint: str = "",
    ) -> None:
        """Combine two encoders.

        Args:
            images: the encoder of images.
            texts: the encoder of texts.
            name: name to show.
            note: what users must know about it.
            fingerprint: of the space it is used for, if that is known by its model's name only.

        Raises:
            ModelError: their vectors have different lengths.
        """
        if images.dim != texts.dim:
            raise ModelError(
                "a text tower and an image tower have vectors of different lengths",
                f"{texts.name}: {texts.dim}, {images.name}: {images.dim}",
                "Their spaces differ. Use the image tower that the text tower was made for.",
            )
        self.name = name
        self.note = note
        self.fingerprint = fingerprint or images.fingerprint
        self.dim = images.dim
        self._images, self._texts = images, texts

    @property
    def input_side(self) -> int:
        """Side of the images it reads, in pixels."""
        return self._images.input_side

    @property
    def batch_size(self) -> int:
        """Number of images per call."""
        return self._images.batch_size

    @property
    def streams(self) -> int:
        """Number of calls worth making at the same time."""
        return self._images.streams

    def prepare(self, picture: Picture) -> Vectors:
        """Return the input of the image tower for one picture."""
        return self._images.prepare(picture)

    def encode_images(self, batch: Vectors) -> Vectors:
        """Return unit rows, (n, dim) float32, for n prepared images.

        Raises:
            ModelError: the model failed.
        """
        return self._images.encode_images(batch)

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        """Return unit rows, (n, dim) float32, for n texts; long ones are truncated.

        Raises:
            ModelError: the model failed.
        """
        return self._texts.encode_texts(texts)

    def words(self, text: str) -> Mapping[str, bool]:
        """Return the words of a text, each with whether the text tower knows it, if it can tell."""
        if isinstance(self._texts, Literate):
            return self._texts.words(text)
        return dict.fromkeys(text.split() or [text], True)

    def likelihood(self) -> Likelihood | None:
        """Return the map from cosines to probabilities learned with the images' own text tower."""
        return self._images.likelihood() if isinstance(self._images, Contrastive) else None

    def write_text_tower(self, graph: Path, tokenizer: Path) -> TextTower:
        """Write the text tower as two files that run without pixseek; see `types.Separable`.

        Raises:
            ModelError: it can't be expressed like that, or the files can't be written.
            MissingExtraError: the package that exports models of torch is not installed.
        """
        if not isinstance(self._texts, Separable):
            raise ModelError(
                "this model's text tower can't run outside of pixseek",
                self._texts.name,
                "It is not a model of pixseek's. Embed texts with pixseek instead.",
            )
        return self._texts.write_text_tower(graph, tokenizer)

    def accelerate(
        self, precision: Precision, images: int, sample: Callable[[int], Vectors]
    ) -> Acceleration:
        """Let the image tower choose its runtime from now on; see `types.Accelerable`.

        Raises:
            ModelError: the precision was named, and is not available or fails its check.
        """
        if not isinstance(self._images, Accelerable):
            return Acceleration(self._images.name, "fp32", "this model chooses its runtime itself")
        return self._images.accelerate(precision, images, sample)


class DeferredImages:
    """The encoder of a space whose files are read, and downloaded, when something needs them.

    Attributes as in `types.Encoder`. May be used from several threads.
    """

    def __init__(self, space: Space, load: Callable[[], Encoder]) -> None:
        """Wait.

        Args:
            space: of its vectors.
            load: returns the encoder; it raises ModelError if that is unavailable.
        """
        self.name, self.note = space.model, ""
        self.fingerprint, self.dim = space.fingerprint, space.dim
        self._load = load
        self._lock = threading.Lock()
        self._found: Encoder | None = None

    @property
    def _encoder(self) -> Encoder:
        with self._lock:
            if self._found is None:
                self._found = self._load()
            return self._found

    @property
    def input_side(self) -> int:
        """Side of the images it reads, in pixels."""
        return self._encoder.input_side

    @property
    def batch_size(self) -> int:
        """Number of images per call."""
        return self._encoder.batch_size

    @property
    def streams(self) -> int:
        """Number of calls worth making at the same time."""
        return self._encoder.streams

    def prepare(self, picture: Picture) -> Vectors:
        """Return the input of the image tower for one picture."""
        return self._encoder.prepare(picture)

    def encode_images(self, batch: Vectors) -> Vectors:
        """Return unit rows, (n, dim) float32, for n prepared images.

        Raises:
            ModelError: the model failed.
        """
        return self._encoder.encode_images(batch)

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        """Return unit rows, (n, dim) float32, for n texts; long ones are truncated.

        Raises:
            ModelError: the model failed.
        """
        return self._encoder.encode_texts(texts)


class ServerTexts:
    """The text tower that runs on a library's server, for the images of an encoder here."""

    def __init__(
        self, name: str, embed: Callable[[Sequence[str]], Vectors], images: Encoder
    ) -> None:
        """Take the vectors of texts from `embed`.

        Args:
            name: of the model on the server.
            embed: returns unit rows, (n, dim) float32, for n texts.
            images: the encoder of the images that are searched.
        """
        self.name, self.note = name, ""
        self.fingerprint, self.dim = images.fingerprint, images.dim
        self._embed = embed

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        """Return unit rows, (n, dim) float32, for n texts.

        Raises:
            ModelError: they are of another length than those of the images.
        """
        vectors = self._embed(texts)
        if vectors.shape != (len(texts), self.dim):
            raise ModelError(
                "the text model on the server has vectors of another length than the images",
                f"{self.name}: {vectors.shape[-1]}, not {self.dim}",
                "Its space is another. Load the text model that belongs to the images' model.",
            )
        return vectors


def check_agreement(own: Encoder, pair: Encoder, texts: str, captions: list[str]) -> None:
    """Check that a text tower is of the space of the images.

    Args:
        own: an encoder with its own text tower.
        pair: the same images with the other one.
        texts: the name of that.
        captions: what both embed.

    Raises:
        ModelError: it is not.
    """
    found = agreement(own, pair, captions)
    if found < AGREEMENT:
        raise ModelError(
            "the text tower does not match the library's images",
            f"{texts} and {own.name}: mean cosine {found:.2f} of their vectors for "
            f"{len(captions)} captions",
            "Name one that was made for these images, or change the whole model: "
            f"pixseek reindex --model {texts}",
        )


def agreement(one: Encoder, other: Encoder, captions: list[str]) -> float:
    """Return the mean cosine of two encoders' vectors for the same texts, in [-1, 1].

    Both are centred, because all texts of one model share a large part.
    """
    import numpy as np

    rows = []
    for encoder in (one, other):
        vectors = encoder.encode_texts(captions)
        centred = vectors - vectors.mean(axis=0)
        lengths = np.linalg.norm(centred, axis=1, keepdims=True)
        rows.append(centred / np.maximum(lengths, 1e-9))
    return float((rows[0] * rows[1]).sum(axis=1).mean())
