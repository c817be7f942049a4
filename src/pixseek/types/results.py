"""What comes back: hits, results, and the reports of runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field, replace
from typing import TYPE_CHECKING, Literal, overload

from pixseek.redaction import redacted
from pixseek.types.dataclass import dataclass

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    import numpy as np
    import pyarrow
    from numpy.typing import NDArray

    from pixseek.errors import PixseekError
    from pixseek.types.encoders import Acceleration
    from pixseek.types.queries import Query, Strength
    from pixseek.types.records import Part, Record, Scalar, Space, Stamp, Vectors


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a hit was found: what one term contributes to it.

    Attributes:
        kind: the kind of the term, or "words" for captions, tags and names that hold its words,
            and for text that was read in the picture.
        what: the term; for "words" what was found where, as in "caption: dog".
        score: the cosine, in [-1, 1]; for "words" the share that was found, in (0, 1].
        deviations: how many standard deviations the cosine lies above the scores of unrelated
            queries; 0 for "words".
        weight: of the term.
        strength: how well the image matches this term alone; None for "words".
        box: where in the picture the words are: left, top, width, height as fractions; None for
            all that was not read in it.
    """

    kind: str
    what: str
    score: float
    deviations: float = 0.0
    weight: float = 1.0
    strength: Strength | None = None
    box: tuple[float, float, float, float] | None = None


@dataclass(frozen=True, slots=True)
class Exclusion:
    """What one excluded term removed.

    Attributes:
        what: the words, or the name of the example; "" for one in memory.
        count: how many images that would have been among the hits up to this page, or are at
            least likely matches.
    """

    what: str
    count: int


@dataclass(frozen=True, slots=True)
class Reach:
    """How far an engine looked for the nearest.

    Attributes:
        exact: whether every image that the filter lets through was scored.
        breadth: from how many candidates the hits were chosen: from all of these images if
            `exact`; else from as many as the engine's index was asked for, in each of its shards.
            None if the engine does not say.
    """

    exact: bool
    breadth: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Neighbours:
    """The records nearest to one query, by id alone; best first, ties by id.

    Attributes:
        ids: of n records.
        scores: (n,) float32: the cosine of each record's best part, in [-1, 1].
        vectors: (n, dim) float32: of that part, unit rows.
        parts: index of that part among the parts of its record.
        total: how many records were searched: all, or those that the filter let through.
        reach: how far the engine looked; None if it does not say.
    """

    ids: tuple[str, ...]
    scores: Vectors
    vectors: Vectors
    parts: tuple[int, ...]
    total: int
    reach: Reach | None = None

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True)
class Moment:
    """A shot of a video that matches a query.

    Attributes:
        part: the shot.
        score: as of `Hit`.
        strength: how well it matches: at most as well as the best shot of its video.
    """

    part: Part
    score: float
    strength: Strength


@dataclass(frozen=True, slots=True)
class Hit:
    """One answer to a query.

    Attributes:
        rank: 1 for the best.
        record: what was found.
        part: the part of it that matched best.
        score: how like the query it looks, comparable within one query only. For one term, and
            for texts of equal weight, the cosine between them and the part, in [-1, 1]; else
            the standard deviations by which the terms lie, together, above unrelated queries.
            What is written of an image moves it up without changing its score.
        path: where its file is on this machine; None if it is not a file or its root is unknown.
        strength: how well it matches: "strong", "likely" or "weak". It never rises down the
            hits, unless they are sorted by something else. "strong" if nothing was looked for.
        probability: that this is a match, in (0, 1), as measured for the model; None if it was not
            measured, or something else than words was looked for.
        why: the reasons, by term.
        duplicates: ids of the copies and photos of one view that it stands for, if they are shown
            once: those that come before the end of its page.
        excluded_by: the excluded term that it matches, if `Query.show_excluded` kept it.
        moments: of a video the further shots that are strong or likely matches, best first; the
            best 100 of them. None if `Query.moments` makes each a hit of its own.
        group: its value of `Query.group_by`; None if it has none, or nothing was grouped.
        others: how many other images have that value, of all that the query's filter lets through,
            whether they match what is looked for or not.
        group_filter: what finds all of them, in the query language; "" if `group` is None.
    """

    rank: int
    record: Record
    part: Part
    score: float
    path: Path | None
    strength: Strength = "strong"
    probability: float | None = None
    why: tuple[Reason, ...] = ()
    duplicates: tuple[str, ...] = ()
    excluded_by: str = ""
    moments: tuple[Moment, ...] = ()
    group: Scalar = None
    others: int = 0
    group_filter: str = ""

    @property
    def id(self) -> str:
        """The record's id."""
        return self.record.id

    @property
    def uri(self) -> str:
        """The record's URI."""
        return self.record.uri

    @property
    def is_there(self) -> bool | None:
        """Whether its file is there now; None if it is not a file of this machine.

        It is not if it was deleted or moved since, or is on a drive that is not connected.
        """
        return None if self.path is None else self.path.exists()

    @property
    def confidence(self) -> float:
        """Deprecated: use `strength` and `probability`.

        The probability, or else the old cutoff of the strength: 0.95, 0.5 or 0.
        """
        _deprecated("Hit.confidence", "Hit.strength or Hit.probability")
        return old_confidence(self)


@dataclass(frozen=True, slots=True)
class Results(Sequence[Hit]):
    """Hits, best first, with what was asked and what it took. A sequence of `Hit`.

    Attributes:
        hits: best first.
        query: what was asked.
        took_ms: milliseconds by stage: "encode" (the query), "search", "total".
        model: name of the model whose space was searched.
        warnings: what the user should know about these results.
        strong: how many of the images looked at are strong matches.
        likely: how many are at least likely matches, strong ones included.
        looked_at: how many of the best candidates were looked at for these counts.
        total: how many images were searched: all, or those that the filter lets through.
        excluded: what was left out, by term.
        search: how far the engine looked; None if it does not say.
        stored_preview: returns the preview that the library keeps of a part of a record.
        stored_content: returns the file of an image, or the preview.
    """

    hits: tuple[Hit, ...]
    query: Query
    took_ms: Mapping[str, float]
    model: str
    warnings: tuple[str, ...] = ()
    strong: int = 0
    likely: int = 0
    looked_at: int = 0
    total: int = 0
    excluded: tuple[Exclusion, ...] = ()
    stored_preview: Callable[[Record, Part], bytes | None] | None = field(
        default=None, repr=False, compare=False
    )
    stored_content: Callable[[Record], bytes | None] | None = field(
        default=None, repr=False, compare=False
    )
    search: Reach | None = None

    @overload
    def __getitem__(self, index: int) -> Hit: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Hit]: ...
    def __getitem__(self, index: int | slice) -> Hit | Sequence[Hit]:
        """Return the hit at `index` (rank - 1), or the hits of a slice."""
        return self.hits[index]

    def __len__(self) -> int:
        return len(self.hits)

    @property
    def confident(self) -> int:
        """Deprecated: use `strong`."""
        _deprecated("Results.confident", "Results.strong")
        return self.strong

    @property
    def possible(self) -> int:
        """Deprecated: use `likely`."""
        _deprecated("Results.possible", "Results.likely")
        return self.likely

    def preview(self, hit: Hit) -> bytes | None:
        """Return the stored preview of a hit, a small JPEG; None if there is none.

        Of a video it shows the shot that was found.

        Previews can be read while the library is open, even if the hit's drive is not connected.
        """
        return self.stored_preview(hit.record, hit.part) if self.stored_preview else None

    def content(self, hit: Hit) -> bytes | None:
        """Return the file of a hit, or its preview if the file can't be read; None if neither can.

        Of a video it is the preview of the whole. A file is read only if it lies in its root, also
        when links are resolved.
        """
        return self.stored_content(hit.record) if self.stored_content else None

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


@dataclass(frozen=True, slots=True, eq=False)
class Embeddings:
    """Vectors of texts and images.

    Attributes:
        space: what they belong to; vectors of different spaces are never compared.
        texts: (n, dim) float32 unit rows.
        images: (m, dim) float32 unit rows.
    """

    space: Space
    texts: Vectors
    images: Vectors


def old_confidence(hit: Hit) -> float:
    """Return what `Hit.confidence` was: the probability, or the old cutoff of the strength."""
    if hit.probability is not None:
        return hit.probability
    return {"strong": 0.95, "likely": 0.5, "weak": 0.0}[hit.strength]


def _deprecated(old: str, new: str) -> None:
    import warnings

    warnings.warn(f"{old} is deprecated: use {new}", DeprecationWarning, stacklevel=3)


@dataclass(frozen=True, slots=True)
class Failure:
    """Something that could not be indexed, and why.

    Attributes:
        uri: what.
        stage: "scan", "read", "decode" or "encode".
        reason: one of `errors.ImageError.REASONS`.
        message: what went wrong, for people.
        advice: what to do about it; may be empty.
        stamp: of the file when it failed; None if it could not even be looked at.
    """

    uri: str
    stage: Literal["scan", "read", "decode", "encode"]
    reason: str
    message: str
    advice: str = ""
    stamp: Stamp | None = None

    def __post_init__(self) -> None:
        # A source of another package may quote its URL.
        object.__setattr__(self, "message", redacted(self.message))
        object.__setattr__(self, "advice", redacted(self.advice))


@dataclass(frozen=True, slots=True)
class Skipped:
    """Images, or files that look like images, that a run left out without being told to.

    Attributes:
        kind: "folder" for recycle bins, previews and the like; "ending" for files whose endings
            make no candidates; "hidden"; "placeholder" for images that a cloud drive has not
            downloaded; "trashed" for images in the trash of a photo program; "archive" for members
            of an archive that are links, or archives themselves; "moving" for clips that are the
            moving part of the photo next to them, and found with it.
        what: name of the folders, or the ending with its dot ("" for files without one).
        why: what such folders are ("recycle bin of a QNAP NAS"), or what the files look like.
        images: how many images, by their names, in up to 1,000 folders below each; 0 for folders
            that are not looked into.
        folders: how many folders of this name.
        example: URI of one of them.
        include: the pattern that lets a run index them; "" if pixseek can't read them, or if they
            have to be named one by one.
    """

    kind: Literal["folder", "ending", "hidden", "placeholder", "trashed", "archive", "moving"]
    what: str
    why: str
    images: int = 0
    folders: int = 0
    example: str = ""
    include: str = ""

    def and_also(self, other: Skipped) -> Skipped:
        """Return this together with another of the same kind and name."""
        return replace(
            self, images=self.images + other.images, folders=self.folders + other.folders
        )


@dataclass(frozen=True, slots=True)
class Report:
    """What an indexing run did.

    Attributes:
        added: new records, copies of known content included.
        updated: records whose file has changed.
        moved: records whose file was found elsewhere; their vectors were kept.
        removed: records whose file is gone.
        away: records that are not found any more, of which what was said is kept until their
            file is back.
        unchanged: files that have not changed.
        reused: among added, updated and moved, those that needed no embedding.
        known_failures: files that failed before, have not changed, and were not tried again.
        failures: what failed in this run.
        seconds: where the time went: "scan", "decode" and "encode" and "store" as the sums over
            their threads, "total" by the clock; "text" likewise, if text in pictures was read.
        stopped: whether the run was stopped before its end; run again to continue.
        acceleration: what the images were embedded in, and why; None if none was embedded, or if
            the encoder has no choice.
        skipped: what was left out without being told to: folders such as recycle bins, and files
            that look like images.
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
    acceleration: Acceleration | None = None
    skipped: tuple[Skipped, ...] = ()
    away: int = 0

    @property
    def changed_anything(self) -> bool:
        """Whether the library is not as it was before, or something failed."""
        counts = (self.added, self.updated, self.moved, self.removed, self.away)
        return any(counts) or bool(self.failures)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an indexing run is.

    Attributes:
        stage: "scan" (total unknown), "prepare" (the model), "index", "embed" (images for another
            purpose than a library), or "finish"; of a library that moves to another engine "copy",
            "check" and "ask"; "build" (an index, of which vectors are counted instead of files);
            "captions" (which are embedded to measure how well images are found).
        done: files looked at (scan) or settled (index, embed), failures included.
        total: files to settle; None while scanning.
        failed: failures so far in this run.
        rate: files settled a second, over the last few seconds.
        left_s: seconds left by that rate; None when unknown.
        latest: URI last settled.
    """

    stage: Literal[
        "scan", "prepare", "index", "embed", "finish", "copy", "check", "ask", "build", "captions"
    ]
    done: int
    total: int | None = None
    failed: int = 0
    rate: float = 0.0
    left_s: float | None = None
    latest: str = ""


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """What happened while folders were watched.

    Attributes:
        kind: "watching" (it begins, or begins again with other folders), "indexed" (a run ended),
            "gone" (a folder is not there), "back" (it is there again) or "failed" (a run failed,
            and is tried again).
        at: when.
        folders: "watching": all folders; "gone" and "back": the one that is meant.
        polled: those of `folders` in which changes are found by looking at all files.
        report: "indexed": what the run did.
        error: "failed": why.
    """

    kind: Literal["watching", "indexed", "gone", "back", "failed"]
    at: datetime
    folders: tuple[Path, ...] = ()
    polled: tuple[Path, ...] = ()
    report: Report | None = None
    error: PixseekError | None = None
