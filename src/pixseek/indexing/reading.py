"""From one file to a record, its preview and the tensors for the model."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shlex
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pixseek import files
from pixseek.errors import ImageError, PixseekError
from pixseek.images import MAX_BYTES, decode, derive, perceptual_hash, pixel_digest, turned
from pixseek.images.derived import PREVIEW_SIDE
from pixseek.images.ocr import READ_SIDE, TextReader
from pixseek.indexing import videos
from pixseek.indexing.comparing import MARKS, TRASHED, Job, name_of
from pixseek.indexing.embedding import Embedded, Encode, StoppedError
from pixseek.indexing.media import in_context, least_side, parts_of
from pixseek.indexing.options import IndexOptions
from pixseek.metadata import seen
from pixseek.metadata.fields import FIELDS, Findings
from pixseek.metadata.merging import Sidecar, read_metadata
from pixseek.metadata.sidecars import JSON_KEYS, is_trashed, orientation_beside
from pixseek.storage.ledger import MOVING
from pixseek.types import (
    Candidate,
    Encoder,
    Failure,
    Item,
    Known,
    Packed,
    Part,
    Picture,
    Record,
    Remote,
    Scalar,
    TextLine,
    record_id,
)
from pixseek.types.dataclass import dataclass
from pixseek.video import motion
from pixseek.video.formats import EXTENSIONS
from pixseek.video.frames import Frames, Source, available, probe
from pixseek.video.probe import Probe

if TYPE_CHECKING:
    from pixseek.types import Vectors

# Prefixes of field names for the user's words, the file's own values, and pixseek itself.
_RESERVED = ("user.", "file.", "pixseek.", seen.TEXT)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A file that was read: with a tensor for each part, or with records of the same content.

    Attributes:
        strip: previews of the shots of a video, once it is embedded.
        text_s: seconds in which text in the picture was read.
    """

    job: Job
    record: Record
    preview: bytes
    tensors: tuple[Vectors, ...]
    twins: tuple[Known, ...] = ()
    is_as_it_was: bool = False  # its server says so, and sent nothing
    stream: Callable[[Encode], Embedded[Prepared] | Failure] | None = None
    strip: tuple[bytes, ...] = ()
    text_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads files for an encoder. May be called from several threads at once.

    Attributes:
        encoder: prepares their pictures.
        parts: of each image; see `media.layout`.
        options: whether truncated images are refused, and raw files developed.
        previews: whether to make a preview of each, and to look for its colours.
        texts: reads the text in pictures; None to leave it.
        is_sample: only tensors are wanted, of pictures.
        stop: when set, a video is left in the middle.
        threads: that may decode one video.
    """

    encoder: Encoder
    parts: tuple[Part, ...]
    options: IndexOptions
    previews: bool
    stop: threading.Event
    threads: int = 1
    texts: TextReader | None = None
    is_sample: bool = False

    def read(
        self, job: Job, twins_of: Callable[[Job, str], tuple[tuple[Known, ...], bool]]
    ) -> Prepared | Failure:
        """Read and decode one file.

        Args:
            job: names the file.
            twins_of: gives, for the job and the digest of its content, the records that have
                the same, and whether their vectors serve, so that the file needs none.
        """
        candidate = job.candidate
        stage: Literal["read", "decode"] = "read"
        try:
            item = job.source.read(candidate)
            if not candidate.is_wanted and (item.is_trashed or is_trashed(item.sidecars)):
                return _in_the_trash(candidate)
            if isinstance(item.content, Path) and is_named_as_video(candidate.uri):
                source = videos.source_of(item)
                if self._is_moving_part(item, candidate.companion, source):
                    return _moving_part(candidate)
                digest = videos.digest_of(source, self.stop)
                stage = "decode"
                return self._video(job, item, source, digest, twins_of)
            content = _content(item)
            if content is None and job.before is not None:
                known = Record(job.before.id, candidate.uri, candidate.stamp, job.before.digest)
                return Prepared(job, known, b"", (), is_as_it_was=True)
            assert content is not None, "a source may only leave out what the library has"
            digest = hashlib.sha256(content).hexdigest()
            twins, is_embedded = twins_of(job, digest)
            stage = "decode"
            # That of a known content is taken from its record, unless just this is to be read.
            texts = self.texts if job.reads_text or not is_embedded else None
            least = max(2 * least_side(self.parts, self.encoder.input_side), PREVIEW_SIDE)
            picture = decode(
                content,
                at_least=least if texts is None else max(least, READ_SIDE),
                strict=self.options.strict,
                demosaic=self.options.demosaic,
            )
            orientation = orientation_beside([("told.json", _told(item)), *item.sidecars])
            stored, picture = picture, turned(picture, orientation)
            record, preview = self._described(candidate, item, content, digest, picture)
            if picture is not stored:
                record = replace(record, fields={**record.fields, "turned": orientation})
            began, text_s = time.perf_counter(), 0.0
            if texts is not None:
                record = _with_text(record, texts, picture)
                text_s = time.perf_counter() - began
            clip = None if self.is_sample else _clip_of(item, content, candidate, self.stop)
            if clip is not None:
                record = replace(record, fields={**record.fields, **clip[1]})
            tensors: tuple[Vectors, ...] = ()
            if not is_embedded:
                tensors = tuple(
                    self.encoder.prepare(each) for _, each in parts_of(picture, self.parts)
                )
                if clip is not None:
                    still = Prepared(job, record, preview, tensors, twins, text_s=text_s)
                    return self._moving(still, clip[0])
            return Prepared(job, record, preview, tensors, twins, text_s=text_s)
        except Exception as error:
            return _failure(candidate, stage, error)

    def _video(
        self, job: Job, item: Item, source: Source, digest: str,
        twins_of: Callable[[Job, str], tuple[tuple[Known, ...], bool]],
    ) -> Prepared:  # fmt: skip
        """Return a video that is ready to be decoded, or known by its content."""
        twins, is_embedded = twins_of(job, digest)
        if is_embedded:
            about, media = probe(source, self.stop)
            record = self._of_video(job.candidate, item, digest, about, media)
            return Prepared(job, record, b"", (), twins)
        candidate = job.candidate
        bare = Record(record_id(candidate.uri), candidate.uri, candidate.stamp, digest)

        def stream(encode: Encode) -> Embedded[Prepared] | Failure:
            frames = self._frames(source)
            try:
                about = frames.start()
                found = videos.embedded(frames, self.encoder, encode, self.stop)
                record = self._of_video(
                    candidate, item, digest, replace(about, duration_s=found.duration_s),
                    frames.media, found.notes,
                )  # fmt: skip
                looks, preview, hashed = videos.looks_of(found.cover)
                if not self.previews:
                    looks, preview = {}, b""
                record = replace(
                    record, fields={**record.fields, **looks}, parts=found.parts,
                    perceptual_hash=hashed,
                )  # fmt: skip
                strip = found.previews if self.previews else ()
                return Embedded(Prepared(job, record, preview, (), twins, strip=strip), found.rows)
            except Exception as error:
                if self.stop.is_set():
                    raise StoppedError from error
                return _failure(candidate, "decode", error)
            finally:
                frames.close()

        return Prepared(job, bare, b"", (), twins, stream=stream)

    def _frames(self, source: Source) -> Frames:
        return Frames(
            source, videos.least_of(self.encoder), fast=self.options.fast, threads=self.threads,
            stop=self.stop,
        )  # fmt: skip

    def _is_moving_part(self, item: Item, name: str, clip: Source) -> bool:
        """Return whether a clip is the moving part of the photo next to it, which has this name.

        Raises:
            ImageError: one of them can't be read.
        """
        if item.companion is None:
            return False
        try:
            still = _content(item.companion)
        except ImageError as error:
            if error.reason in _OF_FILES:
                raise motion.of_half(name, error) from error
            return False
        if still is None or not motion.is_clip_of(still, clip):
            return False
        try:
            decode(still, at_least=1, strict=self.options.strict)
        except ImageError:
            return False  # the photo is not indexed, so nobody would find its clip
        return True

    def _moving(self, still: Prepared, clip: Source) -> Prepared:
        """Return a photo whose moving part is ready to be decoded; if that fails, it has none."""

        def stream(encode: Encode) -> Embedded[Prepared] | Failure:
            import numpy as np

            rows = in_context(encode(still.tensors), still.record.parts)
            strip: tuple[bytes, ...] = ()
            try:
                with contextlib.closing(self._frames(clip)) as frames:
                    frames.start()
                    found = videos.embedded(frames, self.encoder, encode, self.stop)
                record = videos.with_motion(still.record, found)
                strip = found.previews if self.previews else ()
                rows = np.concatenate([rows, found.rows])
            except ImageError as error:
                if self.stop.is_set():
                    raise StoppedError from error
                if error.reason in _OF_FILES:
                    name = str(still.record.fields[motion.MOTION])
                    why = error if name == motion.EMBEDDED else motion.of_half(name, error)
                    return _failure(still.job.candidate, "read", why)
                is_final = error.reason not in ("timeout", "crashed")
                record = videos.with_motion(still.record, None, error.problem, is_final=is_final)
            except Exception as error:
                return _failure(still.job.candidate, "decode", error)
            return Embedded(replace(still, record=record, tensors=(), strip=strip), rows)

        return replace(still, tensors=(), stream=stream)

    def _of_video(
        self, candidate: Candidate, item: Item, digest: str, about: Probe, media: str,
        notes: Sequence[str] = (),
    ) -> Record:  # fmt: skip
        """Return what is known of a video besides how its frames look."""
        metadata = read_metadata(
            None, name=name_of(candidate.uri), container=about.texts,
            sidecars=[Sidecar(*each) for each in item.sidecars], told=_told(item),
        )  # fmt: skip
        fields = {**_own_fields(item.fields), **metadata.fields, **videos.facts_of(about)}
        if all_notes := (*notes, *metadata.notes):
            fields["notes"] = "; ".join(all_notes)
        if any(note.startswith("damaged") for note in notes):
            fields["damaged"] = True
        return Record(
            id=record_id(candidate.uri), uri=candidate.uri, stamp=candidate.stamp, digest=digest,
            media=media, width=about.width, height=about.height, taken_at=metadata.taken_at,
            caption=metadata.caption, tags=metadata.tags, fields=fields, parts=(),
        )  # fmt: skip

    def _described(
        self, candidate: Candidate, item: Item, content: bytes, digest: str, picture: Picture
    ) -> tuple[Record, bytes]:
        """Return all that is known of an image, and its preview."""
        sidecars = [Sidecar(*each) for each in item.sidecars]
        metadata = read_metadata(
            picture, name=name_of(candidate.uri), sidecars=sidecars, told=_told(item)
        )
        fields = {**_own_fields(item.fields), **metadata.fields, **_seen(picture)}
        notes = (*picture.notes, *metadata.notes)
        if item.marks:
            fields[MARKS] = item.marks
        if notes:
            fields["notes"] = "; ".join(notes)
        preview = b""
        if self.previews:
            derived = derive(picture)
            preview = derived.preview
            fields["placeholder"] = derived.placeholder
            fields["colour_names"] = ", ".join(derived.colour_names)
            fields["colours"] = " ".join(f"{c}:{share:g}" for c, share in derived.colours)
        record = Record(
            id=record_id(candidate.uri),
            uri=candidate.uri,
            stamp=candidate.stamp,
            digest=digest,
            media=picture.media,
            width=picture.width,
            height=picture.height,
            taken_at=metadata.taken_at,
            caption=metadata.caption,
            tags=metadata.tags,
            fields=fields,
            parts=self.parts,
            pixels=pixel_digest(content),
            perceptual_hash=perceptual_hash(picture),
        )
        return record, preview


#: Reasons that a file can't be read, also in the middle of decoding a video.
_OF_FILES = frozenset({"missing", "no-permission", "unreadable", "outside"})


def _failure(candidate: Candidate, stage: Literal["read", "decode"], error: Exception) -> Failure:
    """Return the failure of one file; raise errors that it did not cause."""
    if isinstance(error, ImageError):
        if error.reason in _OF_FILES:
            stage = "read"  # tried again by the next run
        # A source may blame more than the file: a folder that is gone, by a URI that ends in /.
        blamed = error.subject if error.subject.endswith("/") else candidate.uri
        return Failure(blamed, stage, error.reason, error.problem, error.advice, candidate.stamp)
    if isinstance(error, PixseekError | StoppedError):
        raise error  # the source, the engine or the model
    # A mistake of ours: one image never ends a run.
    return Failure(
        candidate.uri,
        "decode",
        "unexpected",
        f"pixseek made a mistake on it ({type(error).__name__}: {error})",
        "Please report this, if possible with the image.",
        candidate.stamp,
    )


def is_named_as_video(uri: str) -> bool:
    """Return whether a file's name ends as those of videos do."""
    return os.path.splitext(uri)[1].lower() in EXTENSIONS


def may_be_long(job: Job) -> bool:
    """Return whether a file may take hours, and can wait for its turn: a video in a folder.

    What is packed or far away is read in order.
    """
    is_video = is_named_as_video(job.candidate.uri)
    return is_video and not isinstance(job.source, Packed | Remote)


def _with_text(record: Record, texts: TextReader, picture: Picture) -> Record:
    """Return a record with the text in its picture. What goes wrong is a note: the image is fine.

    It was read then, too: the next run does not try again.
    """
    lines: tuple[TextLine, ...] = ()
    note = ""
    try:
        reading = texts.read(picture)
        lines = reading.lines
        note = "" if reading.is_whole else "text in the picture: too much to read all of it"
    except PixseekError:
        raise  # it reads no picture at all
    except MemoryError:
        said = "; ".join(filter(None, (str(record.fields.get("notes", "")), _NO_MEMORY)))
        return replace(record, fields={**record.fields, "notes": said})
    except Exception as error:  # of models and a library of others: no image fails by it
        note = f"text in the picture: could not be read ({type(error).__name__})"
    fields = {**record.fields, **seen.fields_of(lines, texts.name)}
    if note:
        fields["notes"] = "; ".join(filter(None, (str(fields.get("notes", "")), note)))
    return replace(record, fields=fields)


#: The note of an image whose text the next `--ocr` looks for again.
_NO_MEMORY = "text in the picture: not enough memory to read it"


def _clip_of(
    item: Item, content: bytes, candidate: Candidate, stop: threading.Event
) -> tuple[Source, dict[str, Scalar]] | None:
    """Return the moving part of a photo and what its record says of it; None if it has none.

    Raises:
        ImageError: the clip next to it can't be read.
    """
    if not available():
        return None
    if item.companion is not None:
        clip = videos.source_of(item.companion)
        name = candidate.companion
        try:
            if motion.is_clip_of(content, clip):
                digest = videos.digest_of(clip, stop)
                return clip, {motion.MOTION: name, motion.MOTION_DIGEST: digest}
        except ImageError as error:
            raise motion.of_half(name, error) from error
    window = motion.clip_in(content) if motion.may_move(content) else None
    if window is None:
        return None
    start, length = window
    clip = videos.source_of(Item(content[start : start + length]))
    return clip, {motion.MOTION: motion.EMBEDDED}


def _moving_part(candidate: Candidate) -> Failure:
    return Failure(
        candidate.uri,
        "decode",  # so that it is not read again while both files are unchanged
        MOVING,
        "It is the moving part of the photo next to it",
        "It is found with that photo.",
        candidate.stamp,
    )


def _in_the_trash(candidate: Candidate) -> Failure:
    path = candidate.uri.partition("/")[2]
    return Failure(
        candidate.uri,
        "decode",  # so that it is not read again while it is unchanged
        TRASHED,
        "It is in the trash of its photo program",
        f"To index it: pixseek index --include {shlex.quote('/' + path)}",
        candidate.stamp,
    )


def _content(item: Item) -> bytes | None:
    """Return the bytes of an image, also if its source gave a path; None if it gave nothing."""
    if not isinstance(item.content, Path):
        return item.content
    try:
        return files.read(item.content, MAX_BYTES, within=item.within)
    except files.TooLargeError as error:
        raise ImageError(
            "too-large",
            "The file is too large for an image",
            advice=f"Files up to {MAX_BYTES // 1_000_000} MB are read.",
        ) from error
    except OSError as error:
        raise ImageError(
            "unreadable", f"It can't be read ({error.strerror or error})", advice="Run again."
        ) from error


def _told(item: Item) -> bytes:
    """Return what the source of an item says of it, as JSON; empty if it says nothing."""
    if not item.fields:
        return b""
    return json.dumps(item.fields, default=lambda value: value.isoformat()).encode()


def _own_fields(fields: Mapping[str, Scalar | tuple[str, ...]]) -> dict[str, Scalar]:
    """Return the fields of a source whose names neither pixseek nor a JSON sidecar has."""
    known = Findings()
    own: dict[str, Scalar] = {}
    for name, value in fields.items():
        if isinstance(value, tuple):
            continue  # only a sidecar's names have several texts
        if name == motion.MOTION:
            continue  # by it files are opened
        if name in FIELDS:
            known.put(name, value)
        elif name.casefold() not in JSON_KEYS and not name.startswith(_RESERVED):
            own[name] = value
    return {**own, **known.fields}


def _seen(picture: Picture) -> Mapping[str, Scalar]:
    """Return fields for what decoding noticed."""
    seen: dict[str, Scalar] = {}
    if any(note.startswith("animated") for note in picture.notes):
        seen["animated"] = True
    if any(note.startswith("damaged") for note in picture.notes):
        seen["damaged"] = True
    return seen
