"""`--export-clips`: the shots that were found, as files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from pixseek.cli import wording
from pixseek.cli.options import warn
from pixseek.cli.output import echo
from pixseek.errors import PixseekError, StorageError
from pixseek.library.films import clip_names
from pixseek.types.clock import clock, span

if TYPE_CHECKING:
    from pixseek.library import Library
    from pixseek.types import Results

#: How much earlier a clip may begin than its shot without being named, in seconds.
_CLOSE_S = 0.5


def export_clips(
    library: Library, results: Results, folder: str, *, exact: bool, quiet: bool
) -> None:
    """Cut the shots of hits out of their videos, and say what was written.

    Args:
        library: holds the hits.
        results: of which those that are shots are cut.
        folder: where to; made if it is not there.
        exact: re-encode, so that a clip begins at its shot.
        quiet: standard output is for a program, so say it on standard error.

    Raises:
        StorageError: the folder can't be made.
    """
    there = Path(os.path.expanduser(folder))
    shots = [(hit.record, hit.part) for hit in results if hit.part.kind == "shot"]
    for hit in results:
        shots += [(hit.record, each.part) for each in hit.moments]
    shots = [each for n, each in enumerate(shots) if each not in shots[:n]]
    if not shots:
        warn("No hit is a shot of a video, so there are no clips.")
        return
    try:
        there.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"The folder for clips can't be made ({error.strerror})", there, "Choose another."
        ) from error
    written = 0
    for (record, part), name in zip(shots, clip_names(shots), strict=True):
        try:
            made = library.cut(record, part, there / name, exact=exact)
        except PixseekError as error:  # one that fails stops no other
            warn(f"No clip of {wording.visible(record.name)} {span(part)}: {error}")
            continue
        written += 1
        said = wording.visible(str(made.path))
        if (part.start_s or 0.0) - made.start_s > _CLOSE_S:
            said += f" (begins at {clock(made.start_s)}, at a key frame)"
        echo(said, err=quiet)
    echo(f"{wording.counted(written, 'clip')} in {wording.visible(str(there))}", err=quiet)
