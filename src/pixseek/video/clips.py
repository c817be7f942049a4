"""Cut a part out of a video into a file of its own."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from pixseek.errors import ImageError, SourceError
from pixseek.types.dataclass import dataclass
from pixseek.video.frames import Source, cut_in_process, media_of


@dataclass(frozen=True, slots=True)
class Cut:
    """A clip that was written.

    Attributes:
        path: of the clip.
        start_s, end_s: where it begins and ends in the video: without re-encoding, it begins at a
            key frame.
        is_exact: whether it was re-encoded.
    """

    path: Path
    start_s: float
    end_s: float
    is_exact: bool


def cut(
    path: Path | str | Source, start_s: float, end_s: float, to: Path | str, *, exact: bool = False
) -> Cut:
    """Write a part of a video to a new file, with its sound.

    Args:
        path: of the video.
        start_s, end_s: in seconds from its beginning.
        to: of the clip. If the container of its ending can't hold the video as it is, the clip is
            a Matroska file, and its ending .mkv.
        exact: re-encode the picture as H.264, so that it begins at that frame; without, it begins
            at the key frame before, and nothing is lost.

    Raises:
        SourceError: there is a file of that name, or it can't be written.
        ImageError: the video can't be read.
        MissingExtraError: PyAV is not installed.
    """
    source = path if isinstance(path, Source) else Source(Path(path))
    media_of(source)
    if not 0 <= start_s < end_s:
        raise SourceError("A clip has to end after it begins", f"{start_s:g} to {end_s:g}",
                          "Give seconds from the beginning of the video.")  # fmt: skip
    target = Path(to)
    try:
        found = _written(source, start_s, end_s, target, exact)
    except _UnfitError:
        target = target.with_suffix(".mkv")
        found = _written(source, start_s, end_s, target, exact)
    return Cut(target, found["start_s"], found["end_s"], exact)


class _UnfitError(Exception):
    """The container can't hold the video as it is."""


def _written(
    source: Source, start_s: float, end_s: float, target: Path, exact: bool
) -> dict[str, float]:
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    try:
        descriptor = os.open(target, flags, 0o666)
    except FileExistsError as error:
        raise SourceError(
            "There is a file of that name", target, "Remove it, or give another name."
        ) from error
    except OSError as error:
        raise SourceError(
            f"The clip can't be written ({error.strerror or error})", target,
            "Check the folder and the space on its disk.",
        ) from error  # fmt: skip
    try:
        return cut_in_process(source, start_s, end_s, descriptor, target.suffix.lower(), exact)
    except BaseException as error:
        with contextlib.suppress(OSError):
            target.unlink()
        if (
            isinstance(error, ImageError)
            and error.reason == "no-decoder"
            and (target.suffix.lower() != ".mkv")
        ):
            raise _UnfitError from error
        raise
    finally:
        os.close(descriptor)
