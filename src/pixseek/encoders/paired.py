"""An image tower together with the text tower of another model, made for the same space."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from pixseek.errors import ModelError
from pixseek.types import Accelerable, Acceleration, Contrastive, Literate

if TYPE_CHECKING:
    from pixseek.types import Encoder, Likelihood, Picture, Precision, Vectors


class PairedEncoder:
    """Images by one encoder, texts by another. Attributes as in `types.Encoder`.

    The space is that of the images: what one text tower searches, another may.
    """

    def __init__(self, images: Encoder, texts: Encoder, *, name: str, note: str = "") -> None:
        """Put two encoders together.

        Args:
            images: its image tower is used.
            texts: its text tower is used.
            name: to show.
            note: what users must know of it.

        Raises:
            ModelError: their vectors have different lengths.
        """
        if images.dim != texts.dim:
            raise ModelError(
                "a text tower and an image tower have vectors of different lengths",
                f"{texts.name}: {texts.dim}, {images.name}: {images.dim}",
                "They are of different spaces. Use the image tower that the texts were made for.",
            )
        self.name = name
        self.note = note
        self.fingerprint = images.fingerprint
        self.dim = images.dim
        self.input_side = images.input_side
        self._images, self._texts = images, texts

    @property
    def batch_size(self) -> int:
        """How many images a call should hold."""
        return self._images.batch_size

    @property
    def streams(self) -> int:
        """How many calls are worth making at the same time."""
        return self._images.streams

    def prepare(self, picture: Picture) -> Vectors:
        """Return what the image tower reads for one picture."""
        return self._images.prepare(picture)

    def encode_images(self, batch: Vectors) -> Vectors:
        """Return unit rows, (n, dim) float32, for n prepared images.

        Raises:
            ModelError: the model failed.
        """
        return self._images.encode_images(batch)

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        """Return unit rows, (n, dim) float32, for n texts; over-long ones are cut.

        Raises:
            ModelError: the model failed.
        """
        return self._texts.encode_texts(texts)

    def words(self, text: str) -> Mapping[str, bool]:
        """Return the words of a text, and of each whether the text tower knows it."""
        return self._texts.words(text) if isinstance(self._texts, Literate) else {}

    def likelihood(self) -> Likelihood | None:
        """Return how cosines become probabilities, as the images' own texts have it."""
        return self._images.likelihood() if isinstance(self._images, Contrastive) else None

    def accelerate(
        self, precision: Precision, images: int, sample: Callable[[int], Vectors]
    ) -> Acceleration:
        """Let the image tower choose what runs it from now on; see `types.Accelerable`.

        Raises:
            ModelError: the precision was named, and can't be had or fails its check.
        """
        if not isinstance(self._images, Accelerable):
            return Acceleration(self._images.name, "fp32", "this model chooses for itself")
        return self._images.accelerate(precision, images, sample)
