"""Zero-shot classification: which of some labels an image shows, by a model that matches texts.

What a cosine means follows from the training of each family (`types.Likelihood`). CLIP compares the
labels with one another: their probabilities add up to 1 even if no label fits (Radford et al. 2021,
https://arxiv.org/abs/2103.00020, section 3.1). SigLIP judges each label by itself: all may fit, or
none (Zhai et al. 2023, https://arxiv.org/abs/2303.15343).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pixseek.errors import QueryError
from pixseek.types import Encoder, Likelihood
from pixseek.types.dataclass import dataclass

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pixseek.types import Vectors

#: The template for labels of Hugging Face's zero-shot pipeline, and of SigLIP's model card.
TEMPLATES = ("This is a photo of {}.",)

#: An ensemble for photographs of single things: seven of OpenAI's eighty templates that do nearly
#: as well as all of them
#: (https://github.com/openai/CLIP/blob/main/notebooks/Prompt_Engineering_for_ImageNet.ipynb).
ENSEMBLE = (
    "itap of a {}.",
    "a bad photo of the {}.",
    "a origami {}.",
    "a photo of the large {}.",
    "a {} in a video game.",
    "art of the {}.",
    "a photo of the small {}.",
)

#: The scale at which CLIP's training was clipped (Radford et al. 2021, section 2.5).
CLIP = Likelihood(100.0)


@dataclass(frozen=True, slots=True)
class Guess:
    """One label of one image.

    Attributes:
        label: as it was given.
        probability: in [0, 1], by the model's own rule; None if the model only compares labels with
            one another, and there was no other label.
        score: cosine of the image and the label in its templates; for a classifier, which has no
            cosines, the probability.
    """

    label: str
    probability: float | None
    score: float


def label_vectors(
    encoder: Encoder, labels: Sequence[str], templates: Sequence[str] = TEMPLATES
) -> Vectors:
    """Return (n, dim) float32 unit rows: the mean of each label over the templates.

    Args:
        encoder: of the space.
        labels: at least one.
        templates: texts with one `{}` each for the label.

    Raises:
        QueryError: there is no label, or a template has no place for one.
        ModelError: the model failed.
    """
    import numpy as np

    if not labels:
        raise QueryError("There is no label to choose from", "", "Give some, as in 'a lake,a cat'.")
    for template in templates:
        if template.count("{}") != 1:
            raise QueryError(
                "Not a template for labels",
                template,
                "It needs {} once, for the label: 'This is a photo of {}.'",
            )
    texts = [template.replace("{}", label) for label in labels for template in templates]
    rows = encoder.encode_texts(texts).reshape(len(labels), len(templates), -1).mean(1)
    found: Vectors = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return found


def probabilities(cosines: Vectors, rule: Likelihood) -> NDArray[np.float64]:
    """Return the probability of each label, (n, labels) float64, for cosines of the same shape.

    By softmax over the labels of an image, or by a sigmoid for each label if the rule has a bias.
    """
    import numpy as np

    logits = np.asarray(cosines, np.float64) * rule.scale
    if rule.bias is not None:
        found: NDArray[np.float64] = 1.0 / (1.0 + np.exp(-np.clip(logits + rule.bias, -500, 500)))
        return found
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    found = raised / raised.sum(axis=1, keepdims=True)
    return found


def classify(
    images: Vectors,
    labels: Sequence[str],
    texts: Vectors,
    rule: Likelihood,
    *,
    k: int,
) -> list[tuple[Guess, ...]]:
    """Return the k most likely labels of each image, most likely first.

    A single label has nothing to be compared with. Unless the model judges each label by itself,
    its probability would be 1 for every image; so it gets none, and its cosine alone.

    Args:
        images: (n, dim) unit rows.
        labels: of the rows of `texts`.
        texts: (labels, dim) unit rows, see `label_vectors`.
        rule: of the model.
        k: at least 1.
    """
    cosines = images @ texts.T
    if rule.bias is None and len(labels) == 1:
        return [(Guess(labels[0], None, float(cosine)),) for (cosine,) in cosines]
    return best(probabilities(cosines, rule), labels, k=k, scores=cosines)


def best(
    likely: NDArray[np.float64],
    labels: Sequence[str],
    *,
    k: int,
    scores: Vectors | None = None,
) -> list[tuple[Guess, ...]]:
    """Return the k most likely labels of each image, most likely first.

    Args:
        likely: (n, labels) probabilities.
        labels: of the columns.
        k: at least 1.
        scores: reported next to the probabilities, of the same shape; None for the probabilities.
    """
    import numpy as np

    scored = likely if scores is None else scores
    order = np.argsort(-likely, axis=1, kind="stable")[:, :k]
    return [
        tuple(Guess(labels[at], float(likely[row, at]), float(scored[row, at])) for at in each)
        for row, each in enumerate(order.tolist())
    ]


def split_labels(text: str) -> tuple[str, ...]:
    """Return the labels in a text, separated by commas or lines, once each, in order.

    A line that begins with `#` is a comment.
    """
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    found = (label.strip() for line in lines for label in line.split(","))
    return tuple(dict.fromkeys(label for label in found if label))
