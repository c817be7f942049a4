"""Images with captions, as queries of which the answer is known: each caption's image is right."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pixseek import files
from pixseek.errors import SourceError
from pixseek.library import Library
from pixseek.types import Progress
from pixseek.types.dataclass import dataclass

if TYPE_CHECKING:
    from pixseek.types import Vectors

#: Captions of a file of vectors: what a stopped run embeds again, at most.
_BLOCK = 1_024
#: The least cosine of two embeddings of one text: in another batch its last bits differ.
_SAME = 0.9999
#: The least images: of fewer, chance finds a tenth by itself.
LEAST_IMAGES = 10


@dataclass(frozen=True, slots=True)
class Captioned:
    """Images of a library and what is said of them.

    Attributes:
        ids: of the images, in the order of their URIs.
        uris: of the images.
        vectors: of the whole images, (n, dim) float32 unit rows.
        captions: all captions, in the order of their images.
        image_of: of each caption, the row of its image.
    """

    ids: tuple[str, ...]
    uris: tuple[str, ...]
    vectors: Vectors
    captions: tuple[str, ...]
    image_of: tuple[int, ...]

    @property
    def captions_of(self) -> list[list[int]]:
        """Of each image, the rows of its captions."""
        found: list[list[int]] = [[] for _ in self.ids]
        for caption, image in enumerate(self.image_of):
            found[image].append(caption)
        return found


def captioned(library: Library, where: str | None = None) -> Captioned:
    """Return the images of a library that have captions, each line of which is one.

    Args:
        library: which.
        where: a filter, such as "split:test"; None for all.

    Raises:
        SourceError: there are fewer than `LEAST_IMAGES`.
        QueryError: the filter can't be understood.
    """
    import numpy as np

    some = None if where is None else {each.id for each in library.records(where)}
    found = []
    for records, vectors in library.opened.engine.export():
        row = 0
        for record in records:
            if record.parts and record.caption and (some is None or record.id in some):
                said = [" ".join(line.split()) for line in record.caption.splitlines()]
                said = list(dict.fromkeys(line for line in said if line))
                found.append((record.uri, record.id, said, vectors[row].copy()))
            row += len(record.parts)
    found.sort(key=lambda each: each[:2])
    if len(found) < LEAST_IMAGES:
        raise SourceError(
            "Too few images with captions to measure how well they are found",
            f"{len(found):,}",
            f"At least {LEAST_IMAGES} are needed, better 1,000: a data set such as Flickr8k, or "
            "photos with captions of your own.",
        )
    return Captioned(
        tuple(id_ for _, id_, _, _ in found),
        tuple(uri for uri, _, _, _ in found),
        np.stack([vector for *_, vector in found]),
        tuple(line for _, _, said, _ in found for line in said),
        tuple(n for n, (_, _, said, _) in enumerate(found) for _ in said),
    )


def caption_vectors(
    library: Library,
    captions: Sequence[str],
    folder: Path,
    on_progress: Callable[[Progress], None] | None = None,
) -> Vectors:
    """Return the vectors of captions, each embedded as it is.

    They are kept in a folder in blocks, so another run reads them, and one that was stopped goes
    on where it was. A block is found by the models and its texts, and used if its first caption
    still has that vector: a text tower that was replaced may have the name of the old one. Where
    nothing can be written, nothing is kept.

    Args:
        library: whose model embeds them.
        captions: the texts.
        folder: where the vectors are kept; made if it is not there.
        on_progress: called after each block.

    Returns:
        (n, dim) float32 unit rows.

    Raises:
        ModelError: the model is unavailable.
    """
    import numpy as np

    blocks: list[Vectors] = []
    towers = [library.encoder().fingerprint, library.text_model]
    for some in _blocks(captions):
        name = hashlib.sha256("\0".join([*towers, *some]).encode()).hexdigest()[:32]
        path = folder / f"{name}.npy"
        rows = _kept(path, len(some))
        if rows is None or not _is_of(rows[0], library.embed(texts=some[:1]).texts[0]):
            rows = library.embed(texts=some).texts
            with contextlib.suppress(OSError):
                folder.mkdir(parents=True, exist_ok=True)
                with files.replacing(path) as file:
                    np.save(file, rows)
        blocks.append(rows)
        if on_progress is not None:
            done = sum(map(len, blocks))
            on_progress(Progress("captions", done, len(captions)))
    return np.concatenate(blocks)


def _blocks(captions: Sequence[str]) -> Iterator[list[str]]:
    for begin in range(0, len(captions), _BLOCK):
        yield list(captions[begin : begin + _BLOCK])


def _is_of(kept: Vectors, now: Vectors) -> bool:
    """Return whether a vector that was kept is that of the same text now."""
    return len(kept) == len(now) and float(kept @ now) > _SAME


def _kept(path: Path, length: int) -> Vectors | None:
    """Return the vectors of a block; None if they are not there, or the file is damaged."""
    import numpy as np

    try:
        rows = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return rows if rows.ndim == 2 and len(rows) == length and rows.dtype == np.float32 else None
