"""An image tower with the text tower of another model, made for the same space."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from pixseek.errors import ModelError
from pixseek.types import Accelerable, Acceleration, Contrastive, Literate

if TYPE_CHECKING:
    from pixseek.types import Encoder, Likelihood, Picture, Precision, Vectors


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
        self.input_side = images.input_side
        self._images, self._texts = images, texts

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
