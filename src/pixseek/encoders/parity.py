"""Compare two ways to run a model: whether they give the same vectors and the same hits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pixseek import files
from pixseek.encoders.runtimes import int8
from pixseek.errors import ImageError, SourceError
from pixseek.types.dataclass import dataclass

if TYPE_CHECKING:
    from pixseek.types import Encoder, Picture, Vectors

#: The type of the weights in an exported model.
Stored = Literal["fp32", "fp16", "int8"]

#: The lowest cosine allowed for any image and any text. In 32 bits only the order of additions
#: differs: CLIP, SigLIP and open_clip's models stay above .999999. With weights of 16 bits small
#: models did so too, so anything below .999 is broken. Weights of 8 bits are checked as in `int8`,
#: by centred cosines and by rank.
LEAST = {"fp32": 0.9999, "fp16": 0.999}

#: Maximum number of images to compare: another thousand would hardly show more than 256.
IMAGES = 256

#: Texts of different lengths and scripts, none empty, one longer than any model reads.
TEXTS = (
    "a dog",
    "a red car",
    "two children playing football on a beach at sunset",
    "a photo of a cat asleep on a blue sofa",
    "snow-covered mountains behind a lake",
    "an old man reading a newspaper in a café",
    "a plate of spaghetti with tomato sauce and basil, seen from above",
    "the skyline of a city at night",
    "a black and white portrait of a woman with a hat",
    "a bicycle leaning against a brick wall",
    "birthday",
    "a diagram with arrows and handwritten notes",
    "3 sheep, 2 cows & 1 horse (in the rain)!",
    "ein großer Hund läuft über die Straße",
    "собака бежит по пляжу",
    "一只狗在沙滩上奔跑",
    "كلب يجري على الشاطئ",
    "समुद्र तट पर कुत्ता",
    "🐕 🏖️",
    "a sailing boat on the open sea under dark clouds, with a lighthouse on a rock " * 8,
)


@dataclass(frozen=True, slots=True)
class Parity:
    """How close the vectors of two encoders of one model are.

    Attributes:
        images: number of images compared.
        image_least: lowest cosine between an image's two vectors.
        image_median: median of these cosines.
        texts: number of texts compared.
        text_least: lowest cosine between a text's two vectors.
        text_median: median of these cosines.
        ranks: mean share of each text's ten nearest images that both encoders agree on.
        centred_images: agreement of the images by centred cosines, by which int8 is checked.
        centred_texts: the same of the texts.
    """

    images: int
    image_least: float
    image_median: float
    texts: int
    text_least: float
    text_median: float
    ranks: float
    centred_images: int8.Agreement
    centred_texts: int8.Agreement

    def shortfall(self, stored: Stored) -> str:
        """Return what differs too much for weights of this kind; "" if nothing does."""
        if stored == "int8":
            if self.images < int8.CHECKED_AT_LEAST:
                return f"{self.images} images are too few to check int8 on"
            if not self.centred_images.good:
                return str(self.centred_images)
            texts = self.centred_texts
            good = texts.median >= int8.MEDIAN and texts.least >= int8.LEAST
            return "" if good else f"centred cosines of texts fell to {texts.least:.4f}"
        for what, least in (("an image", self.image_least), ("a text", self.text_least)):
            if not least >= LEAST[stored]:  # also true of NaN
                return f"the cosine of {what} fell to {least:.6f}, below {LEAST[stored]}"
        return ""

    def lines(self) -> Iterator[tuple[str, str]]:
        """Yield the rows of a report to show."""
        images, texts = f"cosine of {self.images} images", f"cosine of {self.texts} texts"
        yield images, f"{self.image_least:.6f} lowest, {self.image_median:.6f} median"
        yield texts, f"{self.text_least:.6f} lowest, {self.text_median:.6f} median"
        yield "recall@10 agreement", f"{self.ranks:.1%}"


def compare(
    exact: Encoder, other: Encoder, pictures: Iterable[Picture], texts: Sequence[str] = TEXTS
) -> Parity:
    """Return how close two encoders of one model are.

    One embeds the texts together, the other one by one, so that padding differs.

    Args:
        exact: the reference, in float32.
        other: the encoder to compare with it.
        pictures: at least one; each encoder prepares them itself.
        texts: at least one.

    Raises:
        ModelError: one of them failed.
    """
    import numpy as np

    pairs = [(exact.prepare(each), other.prepare(each)) for each in pictures]
    batches = [np.stack(column) for column in zip(*pairs, strict=True)]
    wanted, found = exact.encode_images(batches[0]), other.encode_images(batches[1])
    asked = exact.encode_texts(texts)
    answered = np.concatenate([other.encode_texts([text]) for text in texts])
    nearest = [_nearest(a @ b.T) for a, b in ((asked, wanted), (answered, found))]
    images, words = (wanted * found).sum(1), (asked * answered).sum(1)
    return Parity(
        len(wanted),
        float(images.min()),
        float(np.median(images)),
        len(texts),
        float(words.min()),
        float(np.median(words)),
        float(np.mean([len(a & b) / len(a) for a, b in zip(*nearest, strict=True)])),
        int8.agreement(wanted, found),
        int8.agreement(asked, answered),
    )


def _nearest(scores: Vectors) -> list[set[int]]:
    import numpy as np

    return [set(row) for row in np.argsort(-scores, axis=1, kind="stable")[:, : int8.NEAREST]]


def pictures_in(*folders: Path, side: int) -> list[Picture]:
    """Return at most `IMAGES` images below some folders, spread over all of them.

    Images that can't be read are skipped.

    Args:
        *folders: at least one folder.
        side: minimum size of both sides after decoding, in pixels.

    Raises:
        SourceError: a folder can't be read, or none has images.
    """
    from pixseek.images import EXTENSIONS, MAX_BYTES, decode

    for folder in folders:
        if not folder.is_dir():
            raise SourceError("there is no such folder", folder)
    found = [
        path
        for folder in folders
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in EXTENSIONS and path.is_file()
    ]
    pictures: list[Picture] = []
    for path in found[:: max(1, len(found) // IMAGES)][:IMAGES]:
        try:
            pictures.append(decode(files.read(path, MAX_BYTES), at_least=side))
        except (ImageError, OSError):  # another image will do
            continue
    if not pictures:
        raise SourceError(
            "there are no images to compare on",
            ", ".join(map(str, folders)),
            "Name another folder.",
        )
    return pictures
