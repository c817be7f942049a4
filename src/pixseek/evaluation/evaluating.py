"""Measure a library on its own captions: text to image, and image to text."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from pixseek.evaluation import measures
from pixseek.evaluation.captioned import Captioned, caption_vectors, captioned
from pixseek.evaluation.measures import Bootstrap, Estimate
from pixseek.library import Library
from pixseek.types import Progress
from pixseek.types.dataclass import dataclass

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Direction = Literal["text to image", "image to text"]

#: Where a library keeps the vectors of captions.
_FOLDER = "evaluation"
#: How many of the queries that found worst are named.
_WORST = 20


@dataclass(frozen=True, slots=True)
class Worst:
    """A query that found its image far down.

    Attributes:
        caption: the query.
        uri: of its image.
        id: of its image.
        place: of the image, 1 for the first.
        found_uri: what came first instead.
        found_id: its id.
        is_copy: whether that is nearly the same picture, so that the miss is none.
    """

    caption: str
    uri: str
    id: str
    place: int
    found_uri: str
    found_id: str
    is_copy: bool


@dataclass(frozen=True, slots=True)
class Evaluation:
    """How well a model finds the images of a library by their captions.

    Attributes:
        model: its name.
        fingerprint: of its space.
        dim: of its vectors.
        library: where the images are.
        images: how many have captions.
        captions: how many there are.
        where: the filter that chose them; "" for all.
        seed: of the draws.
        measures: of each direction, by the names in `measures.MEASURES`.
        chance: the same measures if images were drawn by chance, each its expected value.
        worst: captions that found worst, the worst first, one an image.
        copies: of how many captions what came first instead is nearly the same picture.
        took_s: seconds for the products and the places, without embedding.
        by_query: of each direction the values of each query, as of `measures.by_query`.
        groups: of each direction the image that each query is about, by its row.
        queries: of each direction what each query is: "URI, caption", or the URI of its image.
    """

    model: str
    fingerprint: str
    dim: int
    library: str
    images: int
    captions: int
    where: str
    seed: int
    measures: dict[Direction, dict[str, Estimate]]
    chance: dict[Direction, dict[str, float]]
    worst: tuple[Worst, ...]
    copies: int
    took_s: float
    by_query: dict[Direction, dict[str, NDArray[np.float64]]]
    groups: dict[Direction, NDArray[np.int64]]
    queries: dict[Direction, tuple[str, ...]]


def evaluate(
    library: Library,
    where: str | None = None,
    *,
    seed: int = 0,
    on_progress: Callable[[Progress], None] | None = None,
) -> Evaluation:
    """Measure how well the model finds the images by their captions, and captions by their images.

    Every caption is compared with every image, without an index, a filter or written words: what is
    measured is the model. The vectors of captions are kept next to the library.

    Args:
        library: with images that have captions, each line of which is one.
        where: a filter that chooses images, such as "split:test"; None for all.
        seed: for the draws of the intervals.
        on_progress: called while captions are embedded.

    Raises:
        SourceError: fewer than ten images have captions.
        QueryError: the filter can't be understood.
        ModelError: the model is unavailable.
    """
    import numpy as np

    of = captioned(library, where)
    texts = caption_vectors(library, of.captions, library.path / _FOLDER, on_progress)
    began = time.monotonic()
    found: dict[Direction, measures.Places] = {
        "text to image": measures.places(texts, of.vectors, [[each] for each in of.image_of]),
        "image to text": measures.places(of.vectors, texts, of.captions_of),
    }
    took_s = time.monotonic() - began
    groups: dict[Direction, NDArray[np.int64]] = {
        "text to image": np.asarray(of.image_of),
        "image to text": np.arange(len(of.ids)),
    }
    by_query = {direction: measures.by_query(each) for direction, each in found.items()}
    space = library.opened.engine.space
    assert space is not None  # there are vectors
    worst, copies = _worst(library, of, found["text to image"])
    return Evaluation(
        model=space.model,
        fingerprint=space.fingerprint,
        dim=space.dim,
        library=str(library.path),
        images=len(of.ids),
        captions=len(of.captions),
        where=where or "",
        seed=seed,
        measures={
            direction: Bootstrap(groups[direction], seed).of(each)
            for direction, each in by_query.items()
        },
        chance={
            direction: measures.by_chance(np.diff(each.starts).tolist(), each.items)
            for direction, each in found.items()
        },
        worst=worst,
        copies=copies,
        took_s=took_s,
        by_query=by_query,
        groups=groups,
        queries={
            "text to image": tuple(
                f"{of.uris[image]}, {said}"
                for image, said in zip(of.image_of, of.captions, strict=True)
            ),
            "image to text": of.uris,
        },
    )


def _worst(
    library: Library, of: Captioned, found: measures.Places
) -> tuple[tuple[Worst, ...], int]:
    """Return the captions that found worst, one an image, and how many misses are copies."""
    import numpy as np

    rows = of.vectors
    images = np.asarray(of.image_of)
    least = library.duplicate_threshold
    alike = np.einsum("ij,ij->i", rows[images], rows[found.best]) >= least
    copies = int((alike & (found.first > 1)).sum())
    named: dict[int, Worst] = {}
    for n in np.argsort(-found.first, kind="stable").tolist():
        image, place = of.image_of[n], int(found.first[n])
        if place == 1 or len(named) == _WORST:
            break
        best = int(found.best[n])
        named.setdefault(
            image,
            Worst(
                of.captions[n], of.uris[image], of.ids[image], place,
                of.uris[best], of.ids[best], bool(alike[n]),
            ),
        )  # fmt: skip
    return tuple(named.values()), copies
