"""The protocols of encoders, and what they say of themselves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

from pixseek.types.dataclass import dataclass

if TYPE_CHECKING:
    from pixseek.types.records import Picture, Vectors


@runtime_checkable
class Encoder(Protocol):
    """Both towers of a model with its preprocessing and tokenizer, so they can't be mismatched.

    Attributes:
        name: to show.
        fingerprint: hash of what defines the space of its image vectors.
        dim: length of its vectors.
        note: what users must know before they trust its answers; "" for nothing.
    """

    name: str
    fingerprint: str
    dim: int
    note: str

    # Properties, since they may follow from what is read when they are needed.

    @property
    def input_side(self) -> int:
        """Side of the images it reads, in pixels (the longer one if they differ)."""
        ...

    @property
    def batch_size(self) -> int:
        """How many images a call should hold to be fast here."""
        ...

    @property
    def streams(self) -> int:
        """Calls of `encode_images` worth making at the same time, each from its own thread."""
        ...

    def prepare(self, picture: Picture) -> Vectors:
        """Return what the image tower reads for one picture, float32.

        It has the same shape for all pictures: (3, height, width) for most models, (patches,
        numbers of a patch and its place) for those that read pictures in their own shape.

        May be called from several threads at once.
        """
        ...

    def encode_images(self, batch: Vectors) -> Vectors:
        """Return unit rows, (n, dim) float32, for n prepared images, stacked.

        Raises:
            ModelError: the model failed; never returns fewer rows.
        """
        ...

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        """Return unit rows, (n, dim) float32, for n texts; over-long ones are cut.

        Raises:
            ModelError: the model failed; never returns fewer rows.
        """
        ...


#: What an image tower computes in: "fp32" is the reference, "bf16" the same with numbers of 16
#: bits, "int8" whole numbers of 8 bits, and "auto" the fastest that keeps the vectors.
Precision = Literal["auto", "fp32", "bf16", "int8"]


@dataclass(frozen=True, slots=True)
class Acceleration:
    """How an image tower embeds many images, and why so.

    Attributes:
        runtime: what runs it, such as "openvino" or "onnxruntime".
        precision: what it computes in: "fp32", "bf16" or "int8".
        why: one sentence for people, also about what could not be had.
        images: how many of the user's images the check against fp32 used; 0 for no check.
        cosine_median: of the checked images' vectors to their fp32 vectors.
        cosine_least: the same, of the worst.
        rank_agreement: mean overlap of each checked image's ten nearest with those in fp32.
        speedup: how many times as fast as fp32 it was in the check; 0 if that was not measured.
    """

    runtime: str
    precision: str
    why: str
    images: int = 0
    cosine_median: float = 1.0
    cosine_least: float = 1.0
    rank_agreement: float = 1.0
    speedup: float = 0.0


@runtime_checkable
class Accelerable(Protocol):
    """An encoder that can get ready for embedding many images."""

    def accelerate(
        self, precision: Precision, images: int, sample: Callable[[int], Vectors]
    ) -> Acceleration:
        """Choose what runs the image tower from now on; `streams` and `batch_size` follow.

        Args:
            precision: what is wanted.
            images: how many are to be embedded, since a conversion must pay.
            sample: gives up to n prepared images of the user's own, stacked, for calibration and
                check; called only when needed.

        Raises:
            ModelError: the precision was named, and can't be had or fails the check.
        """
        ...


@dataclass(frozen=True, slots=True)
class Likelihood:
    """How a model was trained to turn the cosine of an image and a text into a probability.

    Attributes:
        scale: the cosine is multiplied by it.
        bias: what is added then, for models trained with a sigmoid (SigLIP); None for those trained
            with a softmax (CLIP), which compare texts with one another.
    """

    scale: float
    bias: float | None = None


@runtime_checkable
class Contrastive(Protocol):
    """An encoder that knows what its cosines mean."""

    def likelihood(self) -> Likelihood | None:
        """Return how cosines become probabilities; None where its files don't say."""
        ...


@runtime_checkable
class Literate(Protocol):
    """An encoder that can tell which words it knows: of all others it sees the same."""

    def words(self, text: str) -> Mapping[str, bool]:
        """Return the words of a text, and of each whether the model knows it."""
        ...


@dataclass(frozen=True, slots=True)
class TextTower:
    """A text tower as two files, which run without pixseek.

    A program tokenizes a text by `tokenizer`, with its special tokens, cuts it to `context`
    tokens, does not pad it, and runs `graph`: inputs `input_ids` and `attention_mask`, each
    (n, tokens) int64, output `text_embeds`, (n, 1, dim) float32, not normalised. The axis of one
    token is what programs that pool token vectors expect (strategy "cls").

    Attributes:
        graph: an ONNX file that holds its weights.
        tokenizer: a `tokenizer.json` of the library tokenizers.
        context: maximum number of tokens of a text.
        dim: length of the vectors.
    """

    graph: Path
    tokenizer: Path
    context: int
    dim: int


@runtime_checkable
class Separable(Protocol):
    """An encoder whose text tower can run elsewhere, such as within a search server."""

    def write_text_tower(self, graph: Path, tokenizer: Path) -> TextTower:
        """Write the text tower as two files.

        Args:
            graph: path of the ONNX file to write.
            tokenizer: path of the tokenizer to write.

        Raises:
            ModelError: the tower or its tokenizer can't be expressed like that, or the files
                would give other vectors than the encoder, or can't be written.
            MissingExtraError: the package that exports models of torch is not installed.
        """
        ...
