"""The core types: what is indexed, what is asked, what comes back, and the protocols between.

All are frozen. Numpy and Pillow are named in annotations only, so importing this is cheap.
"""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self, overload, runtime_checkable

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import pyarrow
    from numpy.typing import NDArray
    from PIL import Image

    Vectors = NDArray[np.float32]

#: What a field of an image may hold.
Scalar = str | int | float | bool | datetime | None

# ------------------------------------------------------------------ what is indexed


@dataclass(frozen=True, slots=True)
class Stamp:
    """How a file looked when it was read; a file with an equal stamp is taken as unchanged."""

    size: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class Part:
    """What of a record one vector stands for: the whole image, a tile of it, a shot of a video.

    Attributes:
        kind: which of these.
        box: left, top, width, height of a tile, as fractions of the image; None for the whole.
        start_s: first second of a shot; None for images.
        end_s: last second of a shot; None for images.
    """

    kind: Literal["image", "tile", "shot"] = "image"
    box: tuple[float, float, float, float] | None = None
    start_s: float | None = None
    end_s: float | None = None


WHOLE = Part()


def record_id(uri: str) -> str:
    """Return the id of the record at `uri`: 16 characters, a to z and 2 to 7.

    Identity is location: the id is a hash of the URI alone (80 bits of BLAKE2b, so among ten
    million records two share an id with a probability of 4e-11), and two copies of one photo
    are two records.
    """
    digest = hashlib.blake2b(uri.encode(), digest_size=10).digest()
    return base64.b32encode(digest).decode("ascii").lower()


@dataclass(frozen=True, slots=True)
class Record:
    """What a user sees: one image (or video) with all that is known of it.

    Attributes:
        id: see `record_id`.
        uri: `root/relative/path.jpg` with forward slashes, or a URL.
        stamp: size and modification time of the file; None for what is no local file.
        digest: SHA-256 of the content in hexadecimal; "" when unknown.
        media: media type of the content, such as "image/jpeg"; "" when unknown.
        width: in pixels, upright; 0 when unknown.
        height: in pixels, upright; 0 when unknown.
        taken_at: when the photo was taken; with a time zone only where the file says one.
        caption: what somebody wrote about the image.
        tags: keywords.
        fields: anything else, by name.
        parts: what the record's vectors stand for, one each, in order; none for an image that has
            no vectors in the library's space, which is found by words and filters alone.
    """

    id: str
    uri: str
    stamp: Stamp | None = None
    digest: str = ""
    media: str = ""
    width: int = 0
    height: int = 0
    taken_at: datetime | None = None
    caption: str = ""
    tags: tuple[str, ...] = ()
    fields: Mapping[str, Scalar] = field(default_factory=dict)
    parts: tuple[Part, ...] = (WHOLE,)

    @property
    def root(self) -> str:
        """Name of the root the record lies under; "" for a URL."""
        return "" if "://" in self.uri else self.uri.partition("/")[0]

    @property
    def relative_path(self) -> str:
        """Path below the root, with forward slashes; the whole URI for a URL."""
        return self.uri if "://" in self.uri else self.uri.partition("/")[2]

    @property
    def folder(self) -> str:
        """`relative_path` without the file name; "" at the top of the root."""
        return self.relative_path.rpartition("/")[0]

    @property
    def name(self) -> str:
        """File name, with its ending."""
        return self.uri.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class Known:
    """What an engine already holds of one record: enough to tell whether its file changed."""

    id: str
    uri: str
    stamp: Stamp | None
    digest: str


@dataclass(frozen=True, slots=True)
class Space:
    """An embedding space. Vectors of different spaces are never compared.

    Attributes:
        fingerprint: hash of what defines the space: the image tower and its preprocessing.
        dim: length of its vectors.
        model: the name to show.
    """

    fingerprint: str
    dim: int
    model: str


@dataclass(frozen=True, slots=True)
class Picture:
    """A decoded image.

    Attributes:
        pixels: upright sRGB in mode "RGB", possibly smaller than the original.
        width: of the original, upright, in pixels.
        height: of the original, upright, in pixels.
        media: media type of the content, such as "image/jpeg".
        notes: what was done or seen on the way that its owner may want to know.
        exif: the EXIF block of the file, from its TIFF header on; b"" for none.
        xmp: the XMP packet of the file; b"" for none.
        iptc: the IPTC-IIM block of the file; b"" for none.
        texts: what else is written in it, by keyword, in UTF-8 or an unknown encoding: the texts
            of a PNG, and as "Comment" the comment of a JPEG or GIF.
        profile: the name of the colour profile that its colours were converted from; "" for none.
    """

    pixels: Image.Image
    width: int
    height: int
    media: str
    notes: tuple[str, ...] = ()
    exif: bytes = field(default=b"", repr=False)
    xmp: bytes = field(default=b"", repr=False)
    iptc: bytes = field(default=b"", repr=False)
    texts: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    profile: str = ""


# ------------------------------------------------------------------ filters (evaluated in filters)

Operator = Literal["eq", "ne", "lt", "le", "gt", "ge", "in", "glob", "contains", "near", "exists"]


@dataclass(frozen=True, slots=True)
class Compare:
    """A field compared with a value: `Compare("width", "ge", 1920)`.

    The value is one scalar; of "in" a tuple of them; of "near" latitude, longitude and kilometres.
    """

    field: str
    op: Operator
    value: Scalar | tuple[Scalar, ...] = None


@dataclass(frozen=True, slots=True)
class And:
    """All of these hold; true when there are none."""

    filters: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """At least one of these holds; false when there are none."""

    filters: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """This does not hold."""

    filter: Filter


Filter = Compare | And | Or | Not

# ------------------------------------------------------------------ what is asked


@dataclass(frozen=True, slots=True)
class Region:
    """A rectangle of an image: fractions of its sides where all are at most 1, else pixels.

    Raises:
        QueryError: it is empty or lies outside, as far as can be told without the image.
    """

    x: float
    y: float
    width: float
    height: float

    def __post_init__(self) -> None:
        """Check that there is something in it."""
        inside = self.x >= 0 and self.y >= 0 and self.width > 0 and self.height > 0
        if inside and self.in_fractions:
            inside = self.x < 1 and self.y < 1
        if not inside or not all(map(math.isfinite, self.box)):
            from pixseek.errors import QueryError

            raise QueryError(
                "this is no rectangle of an image",
                ",".join(f"{each:g}" for each in self.box),
                "Write x,y,width,height: as fractions of the image such as 0.5,0,0.5,1, or in "
                "pixels.",
            )

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Left, top, width and height."""
        return (self.x, self.y, self.width, self.height)

    @property
    def in_fractions(self) -> bool:
        """Whether it is given in fractions of the image, and not in pixels."""
        return max(self.box) <= 1


@dataclass(frozen=True, slots=True)
class Term:
    """One thing to look for.

    Attributes:
        kind: how `value` is meant: words; an image's path or URL; a record's id; a raw vector.
        value: str for "text" and "id"; str or Path for "image"; (dim,) float32 for "vector".
        weight: how much it counts among the terms of a query; below 0 to look away from it.
        region: the part of an image or a record that is meant; None for all of it.
    """

    kind: Literal["text", "image", "id", "vector"]
    value: Any
    weight: float = 1.0
    region: Region | None = None


#: From this confidence on a hit is possible, or confident.
POSSIBLE, CONFIDENT = 0.5, 0.95

#: How hits can be sorted.
Sort = Literal["relevance", "newest", "oldest", "name", "largest", "smallest"]


@dataclass(frozen=True, slots=True)
class Query:
    """What is looked for; the same from Python, the command line and every other surface.

    Attributes:
        terms: what hits should resemble; none for all that `where` lets through.
        exclude: what hits must not show: those that match such a term confidently are left out.
        where: what hits must fulfil; None for no condition.
        k: how many hits to return at most.
        offset: how many of the best hits to pass over first.
        sort: in which order; anything but "relevance" is for hits that are possible at least.
        min_confidence: leave out hits that are less sure, in [0, 1].
        group: show near-duplicates once.
        variety: from 0, by score alone, to 1, by difference from the hits before alone.
        text_weight: how much captions, tags and names that hold the words count beside the
            images, whose weight is 1; 0 not to look at them.
    """

    terms: tuple[Term, ...]
    exclude: tuple[Term, ...] = ()
    where: Filter | None = None
    k: int = 10
    offset: int = 0
    sort: Sort = "relevance"
    min_confidence: float = 0.0
    group: bool = False
    variety: float = 0.0
    text_weight: float = 0.3

    def refined(self, liked: Sequence[str] = (), disliked: Sequence[str] = ()) -> Query:
        """Return the query moved towards some images and away from others, by their ids.

        With the weights of Rocchio's method (0.75 and 0.15; Manning, Raghavan and Schütze,
        Introduction to Information Retrieval, section 9.1.1).
        """
        terms = [Term("id", each, 0.75 / len(liked)) for each in liked]
        terms += [Term("id", each, -0.15 / len(disliked)) for each in disliked]
        return replace(self, terms=(*self.terms, *terms))


# ------------------------------------------------------------------ what comes back


@dataclass(frozen=True, slots=True)
class Match:
    """What an engine found: a record, its best part, and the cosine, in [-1, 1]."""

    record: Record
    part: Part
    score: float


@dataclass(frozen=True, slots=True)
class Reason:
    """What one thing that was looked for has to say for a hit.

    Attributes:
        kind: the kind of its term, or "words" for captions, tags and names that hold its words.
        what: the term; of "words" what was found where, as in "caption: dog".
        score: the cosine, in [-1, 1]; of "words" how much of them was found, in (0, 1].
        deviations: by how many standard deviations the cosine lies above what unrelated queries
            score on the same image; 0 for "words".
        weight: of the term.
    """

    kind: str
    what: str
    score: float
    deviations: float = 0.0
    weight: float = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Neighbours:
    """The records nearest to one query, without what is known of them; best first, ties by id.

    Attributes:
        ids: of n records.
        scores: (n,) float32: the cosine of each record's best part, in [-1, 1].
        vectors: (n, dim) float32: of that part, unit rows.
        parts: index of that part among the parts of its record.
        total: how many records were searched: all, or those that the filter let through.
    """

    ids: tuple[str, ...]
    scores: Vectors
    vectors: Vectors
    parts: tuple[int, ...]
    total: int

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True)
class Hit:
    """One answer to a query.

    Attributes:
        rank: 1 for the best.
        record: what was found.
        part: the part of it that matched best.
        score: what the hits are ranked by, comparable within one query only. Of one thing to look
            for the cosine between it and the part, in [-1, 1]; of several the standard deviations
            by which they lie, together, above unrelated queries.
        path: where its file is on this machine; None when it is no file or its root is unknown.
        confidence: how sure it is that this is a match, in [0, 1]: of the images that match as
            well or better, the share that chance does not explain. It means the same for every
            model and query. 1 without anything to look for.
        why: what brought it here.
        duplicates: ids of near-duplicates that it stands for, where they are shown once.
    """

    rank: int
    record: Record
    part: Part
    score: float
    path: Path | None
    confidence: float = 1.0
    why: tuple[Reason, ...] = ()
    duplicates: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """The record's id."""
        return self.record.id

    @property
    def uri(self) -> str:
        """The record's URI."""
        return self.record.uri


@dataclass(frozen=True, slots=True)
class Results(Sequence[Hit]):
    """Hits, best first, with what was asked and what it took. A sequence of `Hit`.

    Attributes:
        hits: best first.
        query: what was asked.
        took_ms: milliseconds by stage: "encode" (the query), "search", "total".
        model: name of the model whose space was searched.
        warnings: what the user should know about these results.
        confident: how many images match confidently (0.95 and up), as far as was looked.
        possible: how many match at least possibly (0.5 and up), those included.
        looked_at: how many of the best candidates these were counted among.
        total: how many images were searched: all, or those that the filter lets through.
        stored_preview: gives the preview that the library keeps of a record.
    """

    hits: tuple[Hit, ...]
    query: Query
    took_ms: Mapping[str, float]
    model: str
    warnings: tuple[str, ...] = ()
    confident: int = 0
    possible: int = 0
    looked_at: int = 0
    total: int = 0
    stored_preview: Callable[[Record], bytes | None] | None = field(
        default=None, repr=False, compare=False
    )

    @overload
    def __getitem__(self, index: int) -> Hit: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Hit]: ...
    def __getitem__(self, index: int | slice) -> Hit | Sequence[Hit]:
        """Return the hit at `index` (rank - 1), or the hits of a slice."""
        return self.hits[index]

    def __len__(self) -> int:
        return len(self.hits)

    def preview(self, hit: Hit) -> bytes | None:
        """Return the stored preview of a hit, a small JPEG; None where none is kept.

        Previews are there while the library is open, also when the hit's drive is not.
        """
        return self.stored_preview(hit.record) if self.stored_preview else None

    def to_numpy(self) -> tuple[NDArray[np.str_], Vectors]:
        """Return the ids, (n,) str, and the scores, (n,) float32, best first."""
        import numpy as np

        return (
            np.array([hit.id for hit in self.hits], dtype=np.str_),
            np.array([hit.score for hit in self.hits], dtype=np.float32),
        )

    def to_arrow(self) -> pyarrow.Table:
        """Return a table with one row a hit: rank, id, uri, path, score, width, height, media.

        Raises:
            MissingExtraError: pyarrow is not installed.
        """
        from pixseek.errors import MissingExtraError

        try:
            import pyarrow as pa
        except ImportError as error:
            raise MissingExtraError("to_arrow()", "pyarrow", "parquet") from error
        hits = self.hits
        return pa.table(
            {
                "rank": pa.array([hit.rank for hit in hits], pa.int32()),
                "id": pa.array([hit.id for hit in hits], pa.string()),
                "uri": pa.array([hit.uri for hit in hits], pa.string()),
                "path": pa.array([str(h.path) if h.path else None for h in hits], pa.string()),
                "score": pa.array([hit.score for hit in hits], pa.float32()),
                "width": pa.array([hit.record.width for hit in hits], pa.int32()),
                "height": pa.array([hit.record.height for hit in hits], pa.int32()),
                "media": pa.array([hit.record.media for hit in hits], pa.string()),
            }
        )


@dataclass(frozen=True, slots=True)
class Failure:
    """Something that could not be indexed, and why.

    Attributes:
        uri: what.
        stage: "scan", "read", "decode" or "encode".
        reason: one of `errors.ImageError.REASONS`.
        message: what went wrong, for people.
        advice: what to do about it; may be empty.
        stamp: of the file when it failed; None when it could not even be looked at.
    """

    uri: str
    stage: Literal["scan", "read", "decode", "encode"]
    reason: str
    message: str
    advice: str = ""
    stamp: Stamp | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """What an indexing run did.

    Attributes:
        added: records that were not there before (copies of known content included).
        updated: records whose file had changed.
        moved: records whose file was found elsewhere; their vectors were kept.
        removed: records whose file is gone.
        unchanged: files that were as they had been.
        reused: among added, updated and moved, those that needed no embedding.
        known_failures: files that failed before, have not changed, and were not tried again.
        failures: what failed in this run.
        seconds: where the time went: "scan", "decode" and "encode" and "store" as the sums over
            their threads, "total" by the clock.
        stopped: whether the run was stopped before its end; run again to go on.
    """

    added: int = 0
    updated: int = 0
    moved: int = 0
    removed: int = 0
    unchanged: int = 0
    reused: int = 0
    known_failures: int = 0
    failures: tuple[Failure, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)
    stopped: bool = False


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an indexing run has come.

    Attributes:
        stage: "scan" (total unknown), "prepare" (the model), "index", or "finish".
        done: files looked at (scan) or settled (index), failures included.
        total: files to settle; None while scanning.
        failed: failures so far in this run.
        rate: files settled a second, over the last few seconds.
        left_s: seconds left by that rate; None when unknown.
        latest: URI last settled.
    """

    stage: Literal["scan", "prepare", "index", "finish"]
    done: int
    total: int | None = None
    failed: int = 0
    rate: float = 0.0
    left_s: float | None = None
    latest: str = ""


# ------------------------------------------------------------------ protocols


@runtime_checkable
class Encoder(Protocol):
    """Both towers of a model with its preprocessing and tokenizer, so they can't be mismatched.

    Attributes:
        name: to show.
        fingerprint: hash of what defines the space of its image vectors.
        dim: length of its vectors.
        input_side: of the images it reads, in pixels (the longer side where they differ).
        batch_size: how many images a call should hold to be fast here.
        streams: calls of `encode_images` worth making at the same time, each from its own thread.
        note: what users must know before they trust its answers; "" for nothing.
    """

    name: str
    fingerprint: str
    dim: int
    input_side: int
    batch_size: int
    streams: int
    note: str

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
    """

    runtime: str
    precision: str
    why: str
    images: int = 0
    cosine_median: float = 1.0
    cosine_least: float = 1.0
    rank_agreement: float = 1.0


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
class Capabilities:
    """What an engine can do; what it can't is said aloud.

    Attributes:
        filtering: when filters are applied: "during" the search (k is guaranteed), or
            "exhaustive" (every match is scored).
        exact: whether the answers are those of an exhaustive scan at every size.
        visibility: what an acknowledged write is: already "searchable", or only "stored".
        max_k: largest k of a search; None for no limit.
        text_search: by what texts are ranked: "bm25", where rare words count more than common
            ones; "ts_rank" of PostgreSQL, where all count alike; "none" where there is no search
            of texts.
    """

    filtering: Literal["during", "exhaustive"]
    exact: bool
    visibility: Literal["searchable", "stored"]
    max_k: int | None = None
    text_search: Literal["bm25", "ts_rank", "none"] = "none"


#: What records can be ordered by where there is no query.
Order = Literal["uri", "name", "taken_at", "mtime", "size"]


@runtime_checkable
class Engine(Protocol):
    """Stores records with their vectors and finds the nearest.

    One instance may be called from several threads. Scores are cosines, whatever the engine
    counts in itself. Every write is whole: after a crash a record is there with all its vectors,
    or not at all.

    It can hold vectors of several spaces beside each other. One is active: everything is of that
    one (what is searched, read, written, exported), except where another is named.
    """

    capabilities: Capabilities

    @property
    def space(self) -> Space | None:
        """The active space; None before the first `ensure`."""
        ...

    def ensure(self, space: Space) -> None:
        """Create what `space` needs; from now on `put` takes vectors of this space alone.

        Raises:
            SpaceMismatchError: the engine holds vectors of another space.
        """
        ...

    def spaces(self) -> list[Space]:
        """Return all spaces that are held, the active one first."""
        ...

    def add_space(self, space: Space) -> None:
        """Hold another space, with no vectors yet, unless it is held; the active one stays so.

        Raises:
            EngineError: nothing is held yet, or this space with another dimension.
        """
        ...

    def held(self, space: Space) -> int:
        """Return how many records have vectors in a space; 0 for one that is not held."""
        ...

    def lacking(self, space: Space, k: int, after: str = "") -> list[Record]:
        """Return the first k records, by id, that have no vectors in a space that is held.

        Args:
            space: any that is held.
            k: how many at most.
            after: only records whose id is greater.

        Returns:
            Each with the parts that its vectors are to stand for: those of the active space, or
            the whole image where it has none there either.
        """
        ...

    def put_vectors(self, space: Space, records: Sequence[Record], vectors: Vectors) -> int:
        """Give records their vectors in a space that is held; durable when it returns.

        Passed over are those that have some by now, and those that are not as `lacking` gave them
        (deleted, another content, other parts), so that no vector is ever given to another image.

        Args:
            space: any that is held.
            records: as `lacking` gave them; ids are distinct.
            vectors: as for `put`.

        Returns:
            How many got theirs.
        """
        ...

    def activate(self, space: Space) -> None:
        """Make a space that is held the active one, for all processes, from their next call on.

        Its model is called as in `space` from now on: several may be of one space. Records that
        have no vectors in it are without parts.
        """
        ...

    def drop_space(self, space: Space) -> None:
        """Forget a space and its vectors, if it is held. Searches that are under way still end.

        Raises:
            EngineError: it is the active one.
        """
        ...

    def put(self, records: Sequence[Record], vectors: Vectors) -> None:
        """Store records, replacing those of the same id; durable when it returns.

        In the other spaces a record keeps its vectors where its content is the same (an equal
        digest that is not "") and its parts are; else it loses them.

        Args:
            records: any number; ids are distinct. One without parts is stored without vectors.
            vectors: (total number of parts, dim) float32 unit rows, in the order of the records
                and of their parts.

        Raises:
            SpaceMismatchError: since this engine was asked to `ensure` a space, another process
                has made another one active.
        """
        ...

    def delete(self, ids: Iterable[str]) -> int:
        """Delete records; return how many there were."""
        ...

    def get(self, ids: Sequence[str]) -> list[Record | None]:
        """Return the records of these ids, in order, None where there is none."""
        ...

    def vectors(self, ids: Sequence[str]) -> list[Vectors | None]:
        """Return each record's vectors, (parts, dim) float32, None where there is no record."""
        ...

    def known(self, prefix: str = "") -> Iterator[Known]:
        """Yield what is stored of every record whose URI begins with `prefix`, by URI."""
        ...

    def with_digest(self, digest: str) -> list[Known]:
        """Return what is stored of the records with this content digest, by URI."""
        ...

    def search(self, vectors: Vectors, k: int, where: Filter | None = None) -> list[list[Match]]:
        """Return, for each of (q, dim) unit rows, the k nearest records, best first.

        Each record comes once, with its best part. Ties are broken by id. Fewer than k come back
        only where fewer records fulfil `where`.
        """
        ...

    def nearest(self, vectors: Vectors, k: int, where: Filter | None = None) -> list[Neighbours]:
        """Return, for each of (q, dim) unit rows, the k nearest records, as `search` finds them.

        For many of them: what is known of the records is left where it is.
        """
        ...

    def text_search(
        self, text: str, k: int, where: Filter | None = None
    ) -> list[tuple[str, float]]:
        """Return the ids of the k records whose texts fit best, with their relevance.

        Relevance is in (0, 1]; 1 means that all words of `text` are found. Ties go by id. What
        texts are is said by `engines.columns.texts`.
        """
        ...

    def select(
        self, where: Filter | None, *, order: Order, descending: bool, k: int, offset: int
    ) -> list[Record]:
        """Return `k` of the records that fulfil `where`, after the first `offset`, in an order.

        Ties go by id. Records that have no value come last, whether ascending or descending.
        """
        ...

    def sample(self, n: int) -> Vectors:
        """Return at most n of the stored vectors, (m, dim) float32 unit rows, drawn evenly.

        The draw follows from the content: the vectors of those records whose ids come first, and
        an id is a hash.
        """
        ...

    def count(self, where: Filter | None = None) -> int:
        """Return how many records there are, or how many fulfil `where`."""
        ...

    def export(self, batch: int = 4096) -> Iterator[tuple[list[Record], Vectors]]:
        """Yield all records by URI, in batches, each with its vectors as `put` takes them."""
        ...

    def close(self) -> None:
        """Flush and let go of everything; further calls are an error."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file (or other item) that a source offers for indexing.

    Attributes:
        uri: of the item.
        stamp: of the file; its time is raised by sidecars, so that their changes are seen.
        modified_ns: when the file itself was changed, in nanoseconds since 1970; 0 when unknown.
        sidecars: names of files beside it that say something of it.
    """

    uri: str
    stamp: Stamp
    modified_ns: int = 0
    sidecars: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Scan:
    """What a source found.

    Attributes:
        candidates: what can be indexed.
        failures: what could not be looked at; records of or below such a URI are kept.
        ignored: how many files were passed over because they are no images by their name.
    """

    candidates: list[Candidate]
    failures: list[Failure]
    ignored: int


class Source(Protocol):
    """Where images come from.

    Attributes:
        prefixes: every URI it may offer begins with one of these.
    """

    prefixes: tuple[str, ...]

    def covers(self, uri: str) -> bool:
        """Return whether a known record of this URI, that a scan does not offer, is gone."""
        ...

    def scan(self) -> Iterator[int | Scan]:
        """Yield the number of files looked at so far, now and then; last, the `Scan`.

        Raises:
            SourceVanishedError: the source is not there any more.
        """
        ...

    def read(self, candidate: Candidate) -> bytes:
        """Return the content. May be called from several threads at once.

        Raises:
            ImageError: it can't be read.
            SourceVanishedError: the whole source is gone.
        """
        ...

    def read_sidecars(self, candidate: Candidate) -> list[tuple[str, bytes]]:
        """Return name and content of the candidate's sidecars, without those it can't read."""
        ...
