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
from typing import TYPE_CHECKING, Any

from pixseek import files
from pixseek.images import derive, perceptual_hash
from pixseek.images.derived import PREVIEW_SIDE, preview_of, shrunk
from pixseek.indexing.embedding import StoppedError
from pixseek.types import Encoder, Part, Picture, Record, Scalar
from pixseek.types.dataclass import dataclass
from pixseek.video.frames import Frame, Frames, Source, unreadable
from pixseek.video.shots import Shots

if TYPE_CHECKING:
    from pixseek.types import Vectors

#: Videos up to this many seconds have previews of their shots as large as those of photos; longer
#: ones may have thousands, which are half as large.
_SHORT_S = 600.0

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
    """Return the SHA-256 of a file in hexadecimal, read in pieces.

    Raises:
        ImageError: it can't be read.
        StoppedError: the run was stopped.
    """
    digest = hashlib.sha256()
    try:
        with files.opened(source.path, within=source.within) as descriptor:
            while piece := os.read(descriptor, 1 << 20):
                digest.update(piece)
                if stop.is_set():
                    raise StoppedError
    except OSError as error:
        raise unreadable(error) from error
    return digest.hexdigest()


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


def has_shots(parts: Sequence[Part]) -> bool:
    """Return whether some of a record's parts are those of a video."""
    return any(part.kind == "shot" for part in parts)


def as_it_looked(record: Record, before: Record) -> Record:
    """Return what was read of a video again with what its frames said when it was decoded."""
    if not has_shots(before.parts):
        return record
    names = (*LOOKS, "duration_s", "notes", "damaged")
    seen = {name: before.fields[name] for name in names if name in before.fields}
    return replace(
        record,
        fields={**record.fields, **seen},
        parts=before.parts,
        perceptual_hash=before.perceptual_hash,
    )
