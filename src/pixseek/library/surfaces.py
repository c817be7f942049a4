"""What surfaces need besides `Library`: records as people read them, labels, thumbnails, formats.

A surface (the command line, a server, a page) imports nothing below `library`. Functions of the
rooms below that it needs, and that need no open library, are offered here.

Above 500 lines: sections that know nothing of each other, each a few short functions.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pixseek import files
from pixseek.errors import ImageError, QueryError
from pixseek.search.classification import ENSEMBLE, TEMPLATES, Guess, split_labels
from pixseek.search.duplicates import DuplicateGroup
from pixseek.search.facets import Facets, filter_text
from pixseek.search.searcher import EMPTY
from pixseek.types import Query, Record, Scalar, Term
from pixseek.types.dataclass import dataclass

if TYPE_CHECKING:
    from PIL import Image

    from pixseek.images import Format
    from pixseek.library.facade import Library
    from pixseek.types import TextLine, Vectors

__all__ = [
    "EMPTY",
    "Described",
    "DuplicateGroup",
    "Facets",
    "Guess",
    "OpenFile",
    "Shown",
    "check_no_run",
    "decoded_apart",
    "described",
    "ending_of",
    "filter_text",
    "formats",
    "is_missing_folder",
    "is_named_as_image",
    "is_place",
    "is_unfinished",
    "moving",
    "named_image",
    "original",
    "originals_media",
    "place_of",
    "read_vector",
    "shown",
    "split_labels",
    "store_file",
    "templates",
    "thumbnail",
    "typed_beside_saved",
    "unit_of",
    "value_of",
    "without_places",
]

# ------------------------------------------------------------------ records


@dataclass(frozen=True, slots=True)
class Described:
    """What people say of an image, and who says it: the user here, or the file.

    Attributes:
        caption: the one that counts; "" for none.
        caption_is_yours: whether the user set it.
        file_caption: the file's, if it differs from `caption`; else "".
        tags: each with its origin: "file", "added" by the user, or "removed" by the user. A tag
            that was added and has been written into a sidecar since is the file's.
        rating: 1 to 5, or -1 for rejected; None for none.
        rating_is_yours: whether the user set it.
        file_rating: the file's, if it differs from `rating`; else None.
        text_seen: what was read in the picture, from top to bottom.
        fields: all other fields of the record, the user's own as `user.NAME`.
    """

    caption: str
    caption_is_yours: bool
    file_caption: str
    tags: tuple[tuple[str, Literal["file", "added", "removed"]], ...]
    rating: Scalar
    rating_is_yours: bool
    file_rating: Scalar
    text_seen: tuple[TextLine, ...]
    fields: Mapping[str, Scalar]


def described(record: Record) -> Described:
    """Return what the user and the file say of an image."""
    from pixseek.metadata import seen
    from pixseek.metadata.annotations import KEPT, annotation_of, file_part

    apart = {*KEPT, *seen.FIELDS, "rating"}
    said, file = annotation_of(record), file_part(record)
    here = {tag.casefold() for tag in record.tags}
    of_file = {tag.casefold() for tag in file.tags}
    rating = record.fields.get("rating")
    other = file.fields.get("rating", rating) if said.rating else rating
    return Described(
        caption=record.caption,
        caption_is_yours=bool(said.caption),
        file_caption="" if file.caption == record.caption else file.caption,
        tags=(
            *((tag, "file" if tag.casefold() in of_file else "added") for tag in record.tags),
            *((tag, "removed") for tag in file.tags if tag.casefold() not in here),
        ),
        rating=rating,
        rating_is_yours=bool(said.rating),
        file_rating=None if other == rating else other,
        text_seen=seen.lines_of(record.fields),
        fields={n: v for n, v in record.fields.items() if n not in apart},
    )


def place_of(box: tuple[float, float, float, float]) -> str:
    """Return where in a picture a box lies, in words: "top left", "centre"."""
    from pixseek.metadata import seen

    return seen.place_of(box)


def unit_of(field: str) -> str:
    """Return the unit of a field's numbers, such as "mm"; "" for none."""
    from pixseek.metadata.fields import FIELDS

    return FIELDS[field].unit if field in FIELDS else ""


def value_of(text: str) -> Scalar:
    """Return the value that a text stands for, as the query language reads it.

    A number, `true` or `false`, a date in ISO 8601; anything else, and anything in double quotes,
    is text.
    """
    from pixseek.metadata import annotations

    return annotations.value_of(text)


# ------------------------------------------------------------------ labels

#: Bytes of a file with one vector, at most.
_LARGEST_VECTOR = 16 << 20


def read_vector(file: str) -> Vectors:
    """Return the vector that a file in numpy's format holds, (dim,) float32.

    Args:
        file: of shape (dim,) or (1, dim), with whole or real numbers.

    Raises:
        QueryError: it is not there, not such a file, or holds something else.
    """
    import numpy as np

    path = Path(file).expanduser()
    advice = "Save one with numpy.save: (dim,) numbers of the library's model."
    try:
        content = files.read(path, _LARGEST_VECTOR)
        if not content.startswith(b"\x93NUMPY"):
            raise ValueError("it is not a .npy file")
        array = np.load(io.BytesIO(content), allow_pickle=False)
    except OSError as error:
        reason = error.strerror or error
        raise QueryError("The vector can't be read", path, f"{reason}. Check the path.") from error
    except (ValueError, EOFError) as error:
        raise QueryError("The vector can't be read", path, advice) from error
    if array.dtype.kind not in "fiu":
        raise QueryError("The file does not hold numbers", f"{path} ({array.dtype})", advice)
    if array.ndim == 2 and len(array) == 1:
        array = array[0]
    if array.ndim != 1:
        raise QueryError(
            "The file does not hold one vector",
            f"{path} (shape {array.shape})",
            "Save one row of it: numpy.save('one.npy', vectors[0]).",
        )
    return np.asarray(array, np.float32)


def templates(named: tuple[str, ...]) -> tuple[str, ...]:
    """Return the texts that labels are put into, with `{}` for the label.

    Args:
        named: texts; "ensemble" stands for seven that suit photographs of single things. None of
            them for the default.
    """
    texts = tuple(t for each in named for t in (ENSEMBLE if each == "ensemble" else (each,)))
    return texts or TEMPLATES


# ------------------------------------------------------------------ pictures


def thumbnail(
    preview: bytes | None, read: Callable[[], bytes | None], side: int
) -> Image.Image | None:
    """Return an image shrunk to at most `side` pixels, upright, in mode "RGB".

    Args:
        preview: the stored preview, which is quicker to decode; None if there is none.
        read: returns the file, and is called if the preview can't be shown; None if there is none.
        side: most pixels of the longer side.

    Returns:
        The picture, or None if neither can be read.
    """
    small = _shrunk(preview, side) if preview else None
    if small is None and (content := read()) is not None:
        small = _shrunk(content, side)
    return small


def is_unfinished(text: str, at: int | None) -> bool:
    """Return whether what is wrong in the text of a search box may be right once it is typed.

    Args:
        text: what was typed so far.
        at: the place, as `QueryError.at`.
    """
    from pixseek.search import suggestions  # which a search does without

    return suggestions.is_unfinished(text, at)


#: Pixels of the shorter side of an example at least: twice as many as the largest models read.
_EXAMPLE = 1024


def is_place(folder: str) -> bool:
    """Return whether the name of a folder is read as a place on this machine."""
    from pixseek.library import folders

    return folders.is_place(folder)


def typed_beside_saved(library: Library, text: str) -> str:
    """Return what of a query's text is not the name of a saved search that it begins with.

    Raises:
        QueryError: there is no such search.
    """
    from pixseek.library import saved

    return saved.beside(library.opened, text)


def without_places(library: Library, query: Query) -> Query:
    """Return a query that finds the same, and names no file or folder by its place on this machine.

    Examples are read, and folders named as in URIs; so are URLs with a secret in them.

    Raises:
        QueryError: an example can't be read, or a folder is not one of the library.
    """
    from dataclasses import replace

    from pixseek.library import folders
    from pixseek.types.queries import comparisons

    opened = library.opened
    where = folders.resolved(query.where, opened)
    for compare in comparisons(where) if where is not None else ():
        if compare.field == "folder" and is_place(str(compare.value)):
            raise QueryError(
                "A saved search names a folder that is not in the library", "",
                "Save it again with another folder.",
            )  # fmt: skip

    def shown(term: Term) -> Term:
        from pixseek.redaction import redacted
        from pixseek.search import term_vectors
        from pixseek.types.queries import is_remote

        others = tuple(map(shown, term.alternatives))
        example = os.fspath(term.value) if isinstance(term.value, str | os.PathLike) else ""
        is_harmless = is_remote(example) and redacted(example) == example
        if term.kind != "image" or not example or is_harmless:
            return replace(term, alternatives=others)
        try:
            found = term_vectors.picture(
                term, at_least=None if term.region else _EXAMPLE, engine=opened.engine,
                picture_of=opened.content, fetch=opened.fetch,
            )  # fmt: skip
        except (ImageError, QueryError) as error:
            raise QueryError(
                "The example of a saved search can't be read", "",
                "Save the search again, with an example that is there.",
            ) from error  # fmt: skip
        return replace(term, value=found.pixels, alternatives=others)

    return replace(
        query, where=where, terms=tuple(map(shown, query.terms)),
        exclude=tuple(map(shown, query.exclude)),
    )  # fmt: skip


def named_image(path: str) -> bytes | None:
    """Return the content of an image file that the user named; None if it can't be read."""
    from pixseek.images import MAX_BYTES

    try:
        return files.read(os.path.expanduser(path), MAX_BYTES)
    except OSError:
        return None


def _shrunk(data: bytes, side: int) -> Image.Image | None:
    from pixseek import images

    try:
        return images.thumbnail(images.decode(data, at_least=side), side)
    except ImageError:
        return None


def is_named_as_image(path: Path) -> bool:
    """Return whether a file's name ends as those of images and videos do."""
    from pixseek import images, video

    return path.suffix.lower() in images.EXTENSIONS | video.EXTENSIONS


def decoded_apart(
    content: bytes, *, max_pixels: int, at_least: int | None = None, turn: str = ""
) -> Image.Image:
    """Return the picture in a file that a stranger sent, upright, in sRGB, in mode "RGB".

    It is decoded in a process of its own, whatever its format.

    Args:
        content: of the file.
        max_pixels: maximum number of pixels to decode.
        at_least: pixels that each side must keep, if it can be decoded smaller; None for all.
        turn: the orientation that only a sidecar tells, as the field `turned` has it.

    Raises:
        ImageError: it can't be read, or has more pixels.
    """
    from pixseek import images

    found = images.decode(content, at_least=at_least, max_pixels=max_pixels, isolated=True)
    return images.turned(found, turn).pixels


@dataclass(frozen=True, slots=True)
class Shown:
    """A picture to look at.

    Attributes:
        content: a JPEG, upright, in sRGB.
        digest: SHA-256 of the file that it shows, in hexadecimal: of the record, or another if the
            file has changed since it was indexed. "" if the file can't be shown, and this is the
            stored preview, which may be smaller than was asked for.
    """

    content: bytes
    digest: str


def shown(library: Library, record: Record, side: int) -> Shown | None:
    """Return the picture of a record, of at most `side` pixels a side.

    It is made of the stored preview if that is as large, and otherwise of the file.

    Args:
        library: holds the record.
        record: of an image.
        side: most pixels of the longer side; a smaller picture keeps its size.

    Returns:
        The picture; the stored preview if the file can't be read now; None if there is neither.
    """
    from pixseek.images import MAX_PIXELS
    from pixseek.images.derived import PREVIEW_SIDE

    preview = library.preview(record)
    shortest, longest = sorted((record.width, record.height))
    if preview and (side <= PREVIEW_SIDE or 0 < longest <= PREVIEW_SIDE):
        if side < min(PREVIEW_SIDE, longest or PREVIEW_SIDE):
            with contextlib.suppress(ImageError):
                small = _fitting(decoded_apart(preview, max_pixels=MAX_PIXELS), side)
                return Shown(small, record.digest)
        return Shown(preview, record.digest)
    content = library.original(record)
    if content is not None:
        try:
            pixels = decoded_apart(
                content,
                max_pixels=MAX_PIXELS,
                at_least=-(-side * shortest // longest) if longest else side,
                turn=str(record.fields.get("turned", "")),
            )
            return Shown(_fitting(pixels, side), hashlib.sha256(content).hexdigest())
        except ImageError:
            pass
    return Shown(preview, "") if preview else None


def _fitting(image: Image.Image, side: int) -> bytes:
    """Return an image, shrunk to fit a square of `side` pixels, as a JPEG."""
    from PIL.Image import Resampling

    image.thumbnail((side, side), Resampling.LANCZOS, reducing_gap=2.0)
    file = io.BytesIO()
    # Colour at half of the resolution: these are to look at, not to embed.
    image.save(file, "JPEG", quality=84, subsampling="4:2:0")
    return file.getvalue()


# ------------------------------------------------------------------ files


def check_no_run(library: Library) -> None:
    """Check that a run can begin at this moment, or waits for its turn with those of a watcher.

    Raises:
        LibraryLockedError: another run goes on, of this process or another.
    """
    from pixseek.indexing.lock import is_watched

    if is_watched(library.opened.folder):
        return
    with library.opened.writing():
        pass


class OpenFile:
    """An open file of a library, for reading. May be used from several threads."""

    def __init__(self, descriptor: int, window: tuple[int, int] | None = None) -> None:
        """Own this descriptor; of its file only a window counts: first byte and length."""
        self._descriptor, self._lock = descriptor, threading.Lock()
        found = os.fstat(descriptor)
        self._start, self.size = window or (0, found.st_size)
        """In bytes, when it was opened."""
        self.version = f"{found.st_mtime_ns:x}-{found.st_size:x}"
        """Another after each change."""

    def read_at(self, start: int, count: int) -> bytes:
        """Return at most `count` bytes from a place on; fewer at the end."""
        count = min(count, max(0, self.size - start))
        if hasattr(os, "pread"):
            return os.pread(self._descriptor, count, self._start + start)
        with self._lock:  # Windows
            os.lseek(self._descriptor, self._start + start, os.SEEK_SET)
            return os.read(self._descriptor, count)

    def close(self) -> None:
        """Close it; once more does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> OpenFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class HeldFile:
    """Content that has no file of its own, such as a member of an archive; as an `OpenFile`."""

    def __init__(self, content: bytes) -> None:
        """Hold this content."""
        import hashlib

        self._content = content
        self.size = len(content)
        self.version = hashlib.sha256(content).hexdigest()[:32]

    def read_at(self, start: int, count: int) -> bytes:
        """Return at most `count` bytes from a place on; fewer at the end."""
        return self._content[start : start + count]

    def close(self) -> None:
        """Do nothing; as `OpenFile` has it."""

    def __enter__(self) -> HeldFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def names_archives(path: str) -> bool:
    """Return whether a path is a pattern of archives ("train-{000..123}.tar"), or leads into one.

    Args:
        path: at which nothing is.
    """
    from pixseek.sources import is_pattern
    from pixseek.sources.shards import kind_of, within

    name = os.path.basename(path)
    if os.path.exists(path):
        return False
    return (is_pattern(name) and kind_of(name) is not None) or within(Path(path)) is not None


def is_there(library: Library, record: Record) -> bool:
    """Return whether the content of a record could be read now."""
    roots = library.opened.roots
    if roots.is_item(record.uri):
        held, container = roots.holds(record.uri), roots.container_of(record.uri)
        if held is None and container is not None:  # it takes long to tell
            return "://" not in container and os.path.exists(container)
        return held is True
    return library.file_of(record) is not None


def container_of(library: Library, record: Record) -> str | None:
    """Return where the archive or table is that holds a record; None if its file is its own."""
    return library.opened.roots.container_of(record.uri)


def original(library: Library, record: Record) -> OpenFile | HeldFile | None:
    """Return the open file of a record; None if it is not there, or not in its root."""
    if library.opened.roots.is_item(record.uri) and record.is_video:
        return moving(library, record)
    if library.opened.roots.is_item(record.uri):
        content = library.original(record)
        return None if content is None else HeldFile(content)
    path = library.locate(record)
    if path is None:
        return None
    try:
        with files.opened(path, within=library.opened.roots.within(record.uri)) as descriptor:
            return OpenFile(os.dup(descriptor))
    except OSError:
        return None


def clip_of(library: Library, record: Record) -> Path | None:
    """Return where the file is that is the moving part of a photo; None for none."""
    from pixseek.library import films

    clip = films.clip_beside(record)
    return library.opened.roots.file_of(clip) if clip else None


def moving(library: Library, record: Record) -> OpenFile | None:
    """Return the open video of a record: its file, or the moving part of a photo; None for none."""
    from pixseek.library import films

    source = films.source_of(library.opened, record)
    if source is None:
        return None
    try:
        with source.opened() as descriptor:
            return OpenFile(os.dup(descriptor), source.window)
    except OSError:
        return None


#: What browsers show as pictures or play and nothing else: a page among them would run with our
#: rights. What they can't play they offer to save.
_SHOWN = frozenset(
    (
        "image/jpeg", "image/png", "image/webp", "image/gif", "image/avif", "image/bmp",
        "image/jxl", "video/mp4", "video/webm", "video/ogg", "video/quicktime",
        "video/x-matroska", "video/x-m4v",
    )
)  # fmt: skip


def originals_media(record: Record) -> tuple[str, bool]:
    """Return the media type to send a record's file as, and whether browsers may show it."""
    shown = record.media in _SHOWN
    return (record.media if shown else "application/octet-stream"), shown


def ending_of(content: bytes) -> str:
    """Return the ending, with its dot, of an image file of this content.

    Raises:
        ImageError: it is not an image.
    """
    from pixseek.images.formats import identify

    return identify(content).endings[0]


def store_file(folder: Path, stem: str, ending: str, content: bytes) -> Path:
    """Write a file under a name that is free, and return its path.

    Raises:
        StorageError: it can't be written.
    """
    from pixseek.errors import StorageError

    try:
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(1, 100_000):
            path = folder / (f"{stem}{ending}" if number == 1 else f"{stem}-{number}{ending}")
            try:
                file = open(path, "xb")  # noqa: SIM115
            except FileExistsError:
                continue
            try:
                with file:
                    file.write(content)
            except OSError:
                path.unlink()  # half of an image
                raise
            return path
    except OSError as error:
        raise StorageError(
            f"The upload can't be stored ({error.strerror})", folder, "Make room for it."
        ) from error
    raise StorageError("There are too many files of this name", folder / stem, "Rename it.")


def formats() -> tuple[Format, ...]:
    """Return the image formats that pixseek knows, each with whether it can be read here."""
    from pixseek.images import FORMATS

    return tuple(FORMATS)


def is_missing_folder(engine: str) -> bool:
    """Return whether the folder of an engine `ENGINE+file:///FOLDER` is missing.

    Raises:
        ConfigError: the address names no folder.
    """
    from pixseek.engines.remote import local_path

    return not local_path(engine).exists()


def protections() -> tuple[str, ...]:
    """Return what guards the processes that decode, of "limits", "Landlock" and others.

    Starts one if none runs.

    Raises:
        ImageError: none can be started.
    """
    from pixseek.images import isolation

    return isolation.protections()
