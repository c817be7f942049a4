"""The vectors of what is looked for: words, images, rectangles of images, indexed images."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pixseek import files
from pixseek.errors import ImageError, QueryError
from pixseek.types import Compare, Encoder, Engine, Picture, Record, Region, Term
from pixseek.types.clock import shot_at
from pixseek.types.queries import MAX_CHARACTERS, is_remote

if TYPE_CHECKING:
    from pixseek.types import Vectors


class TextCache:
    """The vectors of texts that were looked for last. May be used from several threads.

    In a process that lives long, many searches repeat: pages of one query, facets, a saved search.
    """

    def __init__(self, most: int = 4096) -> None:
        """Keep so many texts at most: 4,096 vectors of 512 floats are 8 MB."""
        self._most = most
        self._encoder: Encoder | None = None  # whose vectors these are
        self._rows: OrderedDict[str, Vectors] = OrderedDict()
        self._lock = threading.Lock()

    def vectors(self, texts: Sequence[str], encoder: Encoder) -> list[Vectors]:
        """Return the (dim,) unit vector of each text, as `of_texts` does.

        Raises:
            ModelError: the model failed.
        """
        with self._lock:
            if encoder is not self._encoder:  # fingerprints say nothing of text towers
                self._encoder = encoder
                self._rows.clear()
            found = {text: self._rows[text] for text in texts if text in self._rows}
            for text in found:
                self._rows.move_to_end(text)
        new = [text for text in dict.fromkeys(texts) if text not in found]
        if new:
            found.update(zip(new, of_texts(new, encoder), strict=True))
            with self._lock:
                if encoder is self._encoder:
                    self._rows.update((text, found[text]) for text in new)
                    while len(self._rows) > self._most:
                        self._rows.popitem(last=False)
        return [found[text] for text in texts]


def embed(
    terms: Sequence[Term],
    *,
    engine: Engine,
    encoder: Callable[[], Encoder],
    texts_of: TextCache,
    picture_of: Callable[[Record], bytes | None],
    fetch: Callable[[str], bytes],
) -> list[Vectors]:
    """Return the (dim,) unit vector of each term; all texts go through the model in one call.

    Equal texts, and images of one name, are embedded once.

    Args:
        terms: what is looked for.
        engine: holds the indexed images.
        encoder: returns the encoder; called only if a term needs it.
        texts_of: knows the vectors of texts that were looked for before.
        picture_of: returns the file or the preview of an indexed image, for a rectangle of it.
        fetch: returns the file at a URL, or raises ImageError or QueryError.

    Raises:
        QueryError: an image or an id does not exist, or a term can't be searched with.
        ImageError: an example can't be read.
        ModelError: the model is unavailable, or failed.
    """
    vectors: dict[int, Vectors] = {}
    examples: dict[tuple[str, Region | None, float | None] | None, Vectors] = {}
    texts = [n for n, term in enumerate(terms) if term.kind == "text"]
    if texts:
        distinct = list(dict.fromkeys(str(terms[n].value) for n in texts))
        for text in distinct:
            if not text.strip():
                raise QueryError(
                    "There is nothing to look for", "empty text", "Say what is in the images."
                )
            if len(text) > MAX_CHARACTERS:
                raise QueryError(
                    "A text to look for is too long",
                    f"{len(text):,} characters: {text[:40]!r}...",
                    f"It has at most {MAX_CHARACTERS:,}.",
                )
        of_text = dict(zip(distinct, texts_of.vectors(distinct, encoder()), strict=True))
        vectors.update({n: of_text[str(terms[n].value)] for n in texts})
    for n, term in enumerate(terms):
        named = _is_named_image(term)
        example = (os.fspath(term.value), term.region, term.at) if named else None
        if example in examples:
            vectors[n] = examples[example]
        elif term.kind == "vector":
            vectors[n] = _given(term, engine)
        elif term.kind == "id" and term.region is None:
            vectors[n] = _stored(term, engine)
        elif term.kind != "text":
            tower = encoder()
            # All pixels if only some of them are meant.
            found = picture(
                term,
                at_least=None if term.region else 2 * tower.input_side,
                engine=engine,
                picture_of=picture_of,
                fetch=fetch,
            )
            if term.region is not None:
                found = _cut(found, term.region)
            vectors[n] = tower.encode_images(tower.prepare(found)[None])[0]
            if example is not None:
                examples[example] = vectors[n]
    return [vectors[n] for n in range(len(terms))]


def _is_named_image(term: Term) -> bool:
    return term.kind == "image" and isinstance(term.value, str | os.PathLike)


def of_texts(texts: Sequence[str], encoder: Encoder) -> list[Vectors]:
    """Return the (dim,) unit vector that a search for each text looks with.

    All go through the model in one call.

    Raises:
        ModelError: the model failed.
    """
    ways = [_ways(text) for text in texts]
    rows = iter(encoder.encode_texts([each for some in ways for each in some]))
    return [_mean([next(rows) for _ in some]) for some in ways]


def _ways(text: str) -> tuple[str, ...]:
    """Return the texts whose mean stands for a text: a single word is also put with an article.

    For 45 subjects P@10 is .578 with both, .562 with the word, .571 with the article alone; and of
    what exclusion is to remove, .36 goes instead of .32 (docs/search-quality.md).
    """
    word = text.strip()
    if not (word.isascii() and word.isalpha() and word.islower() and len(word) > 1):
        return (text,)
    return (text, f"an {word}" if word[0] in "aeiou" else f"a {word}")


def _mean(rows: list[Vectors]) -> Vectors:
    """Return the unit vector in the middle of (dim,) unit vectors."""
    import numpy as np

    if len(rows) == 1:
        return rows[0]
    middle: Vectors = np.mean(rows, axis=0, dtype=np.float32)
    return middle / max(float(np.linalg.norm(middle)), 1e-9)


def picture(
    term: Term,
    *,
    at_least: int | None,
    engine: Engine,
    picture_of: Callable[[Record], bytes | None],
    fetch: Callable[[str], bytes],
) -> Picture:
    """Return the whole image that a term names by id, path or URL, or holds in memory.

    Args:
        term: of the kind "id" or "image".
        at_least: pixels that the shorter side must keep; None for all pixels.
        engine, picture_of, fetch: as for `embed`.

    Raises:
        QueryError: it is not there, or not an image.
        ImageError: it can't be read.
    """
    from pixseek.images import decode, decode_indexed

    record = None
    if term.kind == "id":
        record, content = _indexed(term, engine, picture_of)
    elif term.at is not None and isinstance(term.value, str | os.PathLike):
        return _frame(os.fspath(term.value), term.at)
    elif isinstance(term.value, str | os.PathLike):
        content = _content(term.value, fetch)
    else:
        return _in_memory(term.value)
    try:
        if record is not None:
            return decode_indexed(content, record, at_least=at_least)
        return decode(content, at_least=at_least)
    except ImageError as error:
        given = term.value
        raise ImageError(
            error.reason, error.problem, error.subject or given, error.advice
        ) from error


def _frame(name: str, second: float) -> Picture:
    """Return what a video file shows at a second."""
    if is_remote(name):
        raise QueryError("A video on the web is not searched with", name, "Save it, and name it.")
    from pixseek.video import frame_at

    return frame_at(_as_written(Path(os.path.expanduser(name))), second)


def _in_memory(image: Any) -> Picture:
    """Return a Pillow image or an array of pixels as a picture."""
    import numpy as np
    from PIL import Image

    if isinstance(image, np.ndarray):
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
            raise _not_an_image(f"an array of {image.dtype}, shape {image.shape}")
        image = Image.fromarray(np.ascontiguousarray(image))
    if not isinstance(image, Image.Image):
        raise _not_an_image(f"{type(image).__module__}.{type(image).__qualname__}")
    try:
        pixels = image.convert("RGB")
    except (OSError, SyntaxError, ValueError) as error:  # the file that it reads from is broken
        raise ImageError(
            "damaged", "The example image can't be read", repr(image), f"{error}. Save it again."
        ) from error
    return Picture(pixels, pixels.width, pixels.height, "")


def _not_an_image(given: str) -> QueryError:
    return QueryError(
        "This can't be searched with as an image",
        given,
        "Give a file, a URL, a Pillow image, or a numpy array (height, width, 3) of uint8.",
    )


def _id(term: Term, engine: Engine) -> str:
    """Return the id that a term names, as it is stored if it was typed in another normal form."""
    id_ = str(term.value)
    if id_.isascii() or engine.get([id_])[0] is not None:
        return id_
    return next(engine.matching_ids(Compare("id", "eq", id_)), id_)


def _stored(term: Term, engine: Engine) -> Vectors:
    rows = engine.vectors([_id(term, engine)])[0]
    if rows is None:
        raise QueryError("No image with this id", term.value, "Search for it first.")
    if not len(rows):
        raise QueryError(
            "This image has no vectors of the library's model", term.value,
            "Bring its file back, then: pixseek index",
        )  # fmt: skip
    first: Vectors = rows[0]
    if len(rows) == 1:
        return first
    record = engine.get([_id(term, engine)])[0]
    shot = None if record is None else shot_at(record.parts, term.at or 0.0)
    if record is None or shot is None or len(record.parts) != len(rows):
        return first
    if term.at is not None:
        meant: Vectors = rows[shot]
        return meant
    # A photo with a moving part is its still; of a video there is none.
    return first if record.parts[0].kind == "image" else _mean(list(rows))


def _given(term: Term, engine: Engine) -> Vectors:
    import numpy as np

    space = engine.space
    advice = f"Give {space.dim if space else 'as many'} finite numbers, not all zero."
    try:
        vector: Vectors = np.asarray(term.value, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise QueryError("The vector can't be searched with", str(error), advice) from error
    if vector.ndim == 2 and len(vector) == 1:
        vector = vector[0]
    length = float(np.linalg.norm(vector))
    if (
        vector.ndim != 1
        or not np.isfinite(length)
        or length == 0
        or (space and len(vector) != space.dim)
    ):
        given = f"{len(vector)} numbers" if vector.ndim == 1 else f"shape {vector.shape}"
        model = f", the library's vectors ({space.model}) have {space.dim}" if space else ""
        raise QueryError(
            "The vector can't be searched with", f"{given}, norm {length:g}{model}", advice
        )
    unit: Vectors = vector / length
    return unit


def _indexed(
    term: Term, engine: Engine, picture_of: Callable[[Record], bytes | None]
) -> tuple[Record, bytes]:
    record = engine.get([_id(term, engine)])[0]
    if record is None:
        raise QueryError("No image with this id", term.value, "Search for it first.")
    content = picture_of(record)
    if content is None:
        raise QueryError(
            "This image can't be read", record.uri,
            "Its file is not there now, and the library keeps no preview of it.",
        )  # fmt: skip
    return record, content


def _as_written(path: Path) -> Path:
    if str(path).isascii():
        return path
    from pixseek.sources.spelling import as_written

    return as_written(path.absolute())


def _content(image: str | os.PathLike[str], fetch: Callable[[str], bytes]) -> bytes:
    """Return the bytes of an image file or URL."""
    text = os.fspath(image)
    if is_remote(text):
        return _fetched(text, fetch)
    from pixseek.images import MAX_BYTES

    path = Path(os.path.expanduser(text))
    try:
        return files.read(_as_written(path), MAX_BYTES)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = error.strerror if isinstance(error, OSError) else error
        raise QueryError(
            "The example image can't be read", path, f"{reason}. Check the path."
        ) from error


def _fetched(url: str, fetch: Callable[[str], bytes]) -> bytes:
    try:
        return fetch(url)
    except ImageError as error:
        if error.reason in ("not-an-image", "too-large", "empty"):
            raise
        raise QueryError(
            "The example image can't be fetched", url, f"{error.problem}. {error.advice}"
        ) from error


def _cut(picture: Picture, region: Region) -> Picture:
    across, down = picture.pixels.size
    if region.in_fractions:
        scale = (across, down)
    else:
        scale = (across / picture.width, down / picture.height)  # type: ignore[assignment]
    left, top = round(region.x * scale[0]), round(region.y * scale[1])
    right = min(across, round((region.x + region.width) * scale[0]))
    bottom = min(down, round((region.y + region.height) * scale[1]))
    if right <= left or bottom <= top:
        raise QueryError(
            "The rectangle lies outside the image",
            f"{region.x:g},{region.y:g},{region.width:g},{region.height:g} of "
            f"{picture.width} x {picture.height} pixels",
            "Give x,y,width,height in pixels of the upright image, or as fractions.",
        )
    pixels = picture.pixels.crop((left, top, right, bottom))
    return Picture(pixels, pixels.width, pixels.height, picture.media)
