"""Whether two ways to run a model give the same vectors, and find the same."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pixseek.encoders.runtimes import int8
from pixseek.errors import ImageError, SourceError
from pixseek.types.dataclass import dataclass

if TYPE_CHECKING:
    from pixseek.types import Encoder, Picture, Vectors

#: What the weights of a written model are kept in.
Stored = Literal["fp32", "fp16", "int8"]

#: The least cosine that any image and any text may have. In 32 bits only the order of additions
#: differs: CLIP, SigLIP and open_clip's models stay above .999999, and the reference tests of this
#: project ask for .9999. Weights of 16 bits have 11 binary digits: small models stayed above
#: .999999 too, so what falls below .999 is broken. Weights of 8 bits are judged as `int8` judges,
#: by centred cosines and by rank.
LEAST = {"fp32": 0.9999, "fp16": 0.999}

#: Images to compare at most: what 256 hide, another thousand would hardly show.
IMAGES = 256

#: Texts of different lengths and scripts, none empty, and one that is longer than any model reads.
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
    """How near the vectors of two encoders of one model are.

    Attributes:
        images: how many were compared.
        image_least: of the cosines of each image's two vectors.
        image_median: of the same.
        texts: how many were compared.
        text_least: of the cosines of each text's two vectors.
        text_median: of the same.
        ranks: mean share of each text's ten nearest images that both name.
        centred_images: the same by centred cosines, as int8 is judged.
        centred_texts: of the texts.
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
        """Return what is too far off for weights of this kind; "" when nothing is."""
        if stored == "int8":
            if self.images < int8.CHECKED_AT_LEAST:
                return f"{self.images} images are too few to judge int8 by"
            if not self.centred_images.good:
                return str(self.centred_images)
            texts = self.centred_texts
            good = texts.median >= int8.MEDIAN and texts.least >= int8.LEAST
            return "" if good else f"centred cosines of texts fell to {texts.least:.4f}"
        for what, least in (("an image", self.image_least), ("a text", self.text_least)):
            if not least >= LEAST[stored]:  # also where it is no number
                return f"the cosine of {what} fell to {least:.6f}, below {LEAST[stored]}"
        return ""

    def lines(self) -> Iterator[tuple[str, str]]:
        """Yield the rows of a report, for people."""
        images, texts = f"cosine of {self.images} images", f"cosine of {self.texts} texts"
        yield images, f"{self.image_least:.6f} least, {self.image_median:.6f} median"
        yield texts, f"{self.text_least:.6f} least, {self.text_median:.6f} median"
        yield "recall@10 agreement", f"{self.ranks:.1%}"


def compare(
    exact: Encoder, other: Encoder, pictures: Iterable[Picture], texts: Sequence[str] = TEXTS
) -> Parity:
    """Return how near two encoders of one model are, in float32 and as they are.

    Texts are embedded together by the one and alone by the other, at lengths that differ.

    Args:
        exact: the reference.
        other: what is compared with it.
        pictures: at least one; each encoder prepares them by itself.
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
    """Return images below some folders, `IMAGES` at most, spread over all of them.

    Those that can't be read are left out.

    Args:
        *folders: to look in; at least one.
        side: pixels that both sides may shrink to when they are decoded.

    Raises:
        SourceError: a folder can't be read, or none has images.
    """
    from pixseek.images import EXTENSIONS, decode

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
            pictures.append(decode(path.read_bytes(), at_least=side))
        except (ImageError, OSError):  # another image does as well
            continue
    if not pictures:
        raise SourceError(
            "there are no images to compare on",
            ", ".join(map(str, folders)),
            "Name another folder.",
        )
    return pictures
