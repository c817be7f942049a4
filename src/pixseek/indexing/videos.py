"""From a video to a record: its frames are embedded as they come, and grouped to shots.

A video is one item with any number of frames. They are embedded in batches by the thread that took
the item, while a process decodes the next, so memory does not grow with its length.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pixseek.images import derive, perceptual_hash
from pixseek.images.derived import PREVIEW_SIDE, preview_of, shrunk
from pixseek.indexing.embedding import StoppedError
from pixseek.types import Encoder, Item, Part, Picture, Record, Scalar
from pixseek.types.dataclass import dataclass
from pixseek.video.frames import Frame, Frames, Source, unreadable
from pixseek.video.motion import EMBEDDED, MOTION, MOTION_DIGEST
from pixseek.video.shots import Shots

if TYPE_CHECKING:
    from pixseek.types import Vectors

#: Videos up to this many seconds have previews of their shots as large as those of photos; longer
#: ones may have thousands, which are half as large.
_SHORT_S = 600.0

#: Stands for the SHA-256 of a clip whose decoding took too long or crashed, so that `--reread`
#: tries it again.
_NOT_DECODED = "not decoded"

#: How a note on the moving part of a photo begins.
_OF_CLIP = "moving part: "

#: What a record's fields say of how its best frame looks, besides what its file says.
LOOKS = ("placeholder", "colour_names", "colours")


@dataclass(frozen=True, slots=True)
class Footage:
    """What was made of a video.

    Attributes:
        parts: its shots.
        rows: (shots, dim) float32 unit rows.
        previews: of its shots, as small JPEGs.
        cover: the frame that stands for it, upright.
        notes: what its owner may want to know.
        duration_s: as decoded.
    """

    parts: tuple[Part, ...]
    rows: Vectors
    previews: tuple[bytes, ...]
    cover: Picture
    notes: tuple[str, ...]
    duration_s: float


def digest_of(source: Source, stop: threading.Event) -> str:
    """Return the SHA-256 of a file, or of its part, in hexadecimal, read in pieces.

    Raises:
        ImageError: it can't be read.
        StoppedError: the run was stopped.
    """
    digest = hashlib.sha256()
    try:
        with source.opened() as descriptor:
            start, left = source.window or (0, os.fstat(descriptor).st_size)
            os.lseek(descriptor, start, os.SEEK_SET)
            while piece := os.read(descriptor, min(left, 1 << 20)):
                digest.update(piece)
                left -= len(piece)
                if stop.is_set():
                    raise StoppedError
    except OSError as error:
        raise unreadable(error) from error
    return digest.hexdigest()


def source_of(item: Item) -> Source:
    """Return where the content of an item is."""
    if isinstance(item.content, Path):
        return Source(item.content, item.window, item.within, held=item.held)
    return Source(Path("in memory"), content=item.content or b"")


def least_of(encoder: Encoder) -> int:
    """Return the pixels that the shorter side of a video's frames needs."""
    return max(encoder.input_side, PREVIEW_SIDE)


def embedded(
    frames: Frames,
    encoder: Encoder,
    encode: Callable[[Sequence[Vectors]], Vectors],
    stop: threading.Event,
) -> Footage:
    """Decode and embed a video that was started, and group its frames.

    Args:
        frames: of the video.
        encoder: prepares them.
        encode: returns the rows, (n, dim) float32, of n prepared frames.
        stop: see `StoppedError`.

    Raises:
        ImageError: it can't be decoded.
        ModelError: the model could not embed a frame.
        StoppedError: the run was stopped.
    """
    import numpy as np

    about = frames.about
    assert about is not None
    side = PREVIEW_SIDE if about.duration_s <= _SHORT_S else PREVIEW_SIDE // 2
    shots = Shots(
        lambda image: shrunk(image, PREVIEW_SIDE), lambda image: preview_of(shrunk(image, side))
    )
    given = iter(frames)
    with contextlib.closing(frames):
        for batch in _batches(given, max(1, encoder.batch_size)):
            pictures = [_picture(each, frames) for each in batch]
            rows = encode([encoder.prepare(each) for each in pictures])
            for frame, row in zip(batch, rows, strict=True):
                shots.add(frame, row)
            if stop.is_set():
                raise StoppedError
    if stop.is_set():
        raise StoppedError
    found = shots.finish(max(frames.end.duration_s, 0.0))
    assert shots.cover is not None
    return Footage(
        tuple(shot.part for shot in found),
        np.stack([shot.row for shot in found]),
        tuple(shot.preview for shot in found),
        Picture(shots.cover, about.width, about.height, frames.media),
        frames.end.notes,
        frames.end.duration_s,
    )


def _batches(frames: Iterator[Frame], size: int) -> Iterator[list[Frame]]:
    while batch := list(itertools.islice(frames, size)):
        yield batch


def _picture(frame: Frame, frames: Frames) -> Picture:
    assert frames.about is not None
    return Picture(frame.pixels, frames.about.width, frames.about.height, frames.media)


def looks_of(cover: Picture) -> tuple[Mapping[str, Scalar], bytes, str]:
    """Return fields for how a picture looks, its preview, and its perceptual hash."""
    derived = derive(cover)
    fields: dict[str, Scalar] = {
        "placeholder": derived.placeholder,
        "colour_names": ", ".join(derived.colour_names),
        "colours": " ".join(f"{colour}:{share:g}" for colour, share in derived.colours),
    }
    return fields, derived.preview, perceptual_hash(cover)


def facts_of(about: Any) -> dict[str, Scalar]:
    """Return the fields for what a video says of itself; see `video.Probe`."""
    facts: dict[str, Scalar] = {
        "duration_s": round(about.duration_s, 3),
        "fps": round(about.fps, 3),
        "codec": about.codec,
        "has_audio": about.has_audio,
    }
    if about.hdr:
        facts["hdr"] = about.hdr
    return {name: value for name, value in facts.items() if value or name == "has_audio"}


def renamed(record: Record, uri: str) -> Record:
    """Return a record at another URI; the moving part of a photo was renamed with it."""
    motion = str(record.fields.get(MOTION, ""))
    stem, new = (os.path.splitext(each.rpartition("/")[2])[0] for each in (record.uri, uri))
    if not motion.startswith(stem) or motion == EMBEDDED:
        return replace(record, uri=uri)
    named = new + motion.removeprefix(stem)
    return replace(record, uri=uri, fields={**record.fields, MOTION: named})


def with_motion(
    record: Record, footage: Footage | None, problem: str = "", *, is_final: bool = True
) -> Record:
    """Return a photo with what was made of its moving part.

    Args:
        record: of the photo.
        footage: None if the clip could not be decoded.
        problem: why not.
        is_final: whether that will be so again.
    """
    if not is_final:
        record = replace(record, fields={**record.fields, MOTION_DIGEST: _NOT_DECODED})
    notes = footage.notes if footage is not None else (problem,)
    said: dict[str, Scalar] = {"notes": "; ".join(f"{_OF_CLIP}{each}" for each in notes)}
    if footage is not None:
        said["duration_s"] = round(footage.duration_s, 3)
        record = replace(record, parts=(*record.parts, *footage.parts))
    return _with_moving_part(record, said)


def _with_moving_part(record: Record, said: Mapping[str, Scalar]) -> Record:
    """Return a photo with what fields say of its moving part."""
    notes = [str(record.fields.get("notes", ""))]
    notes += [n for n in str(said.get("notes", "")).split("; ") if n.startswith(_OF_CLIP)]
    fields = {name: said[name] for name in ("duration_s",) if name in said}
    if text := "; ".join(filter(None, notes)):
        fields["notes"] = text
    return replace(record, fields={**record.fields, **fields})


def has_shots(parts: Sequence[Part]) -> bool:
    """Return whether some of a record's parts are those of a video."""
    return any(part.kind == "shot" for part in parts)


def as_it_looked(record: Record, before: Record) -> Record:
    """Return what was read of a video again with what its frames said when it was decoded."""
    if not has_shots(before.parts) and MOTION not in before.fields:
        return record
    if MOTION in before.fields:
        return replace(_with_moving_part(record, before.fields), parts=before.parts)
    names = (*LOOKS, "duration_s", "notes", "damaged")
    seen = {name: before.fields[name] for name in names if name in before.fields}
    return replace(
        record,
        fields={**record.fields, **seen},
        parts=before.parts,
        perceptual_hash=before.perceptual_hash,
    )
