"""Embed image files that belong to no library, as an indexing run would."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pixseek import files
from pixseek.errors import ImageError, PixseekError
from pixseek.images import MAX_BYTES, decode
from pixseek.images.derived import PREVIEW_SIDE
from pixseek.indexing.embedding import Embedding, Pace
from pixseek.types import Encoder, Failure, Progress, Record, record_id
from pixseek.types.dataclass import dataclass

if TYPE_CHECKING:
    from pixseek.types import Vectors


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A file that is ready for the model."""

    record: Record
    tensors: tuple[Vectors, ...]
    stream: None = None


def embed_files(
    paths: Sequence[Path],
    encoder: Encoder,
    *,
    threads: int,
    on_progress: Callable[[Progress], None] | None = None,
) -> tuple[list[Path], Vectors, list[Failure]]:
    """Embed image files; those that can't be read or embedded are failures.

    Args:
        paths: of the files.
        encoder: embeds them, in its reference precision.
        threads: how many decode and embed.
        on_progress: called after each file; None for nothing.

    Returns:
        The paths of the n embedded files, in their order; their vectors, (n, dim) float32 unit
        rows; and the failures.

    Raises:
        ModelError: the model could embed none of several images.
    """
    import numpy as np

    def prepare(path: Path) -> _Prepared | Failure:
        stage: Literal["read", "decode"] = "read"
        try:
            content = _content(path)
            stage = "decode"
            picture = decode(content, at_least=max(2 * encoder.input_side, PREVIEW_SIDE))
        except ImageError as error:
            return Failure(str(path), stage, error.reason, error.problem, error.advice)
        except PixseekError:
            raise  # not the fault of this image
        except Exception as error:  # a mistake of ours: one image never ends a run
            return Failure(
                str(path),
                stage,
                "unexpected",
                f"pixseek made a mistake on it ({type(error).__name__}: {error})",
                "Please report this, if possible with the image.",
            )
        uri = path.as_posix()
        return _Prepared(Record(record_id(uri), uri), (encoder.prepare(picture),))

    embedding: Embedding[Path, _Prepared] = Embedding(
        encoder, prepare, threads=threads, stop=threading.Event()
    )
    pace = Pace(len(paths))
    found: list[Path] = []
    failures: list[Failure] = []
    rows: list[Vectors] = [np.empty((0, encoder.dim), np.float32)]
    for path, outcome in zip(paths, embedding.run(paths, len(paths)), strict=True):
        if isinstance(outcome, Failure):
            failures.append(replace(outcome, uri=str(path)))
        else:
            found.append(path)
            rows.append(outcome.rows)
        if on_progress is not None:
            done = len(found) + len(failures)
            on_progress(replace(pace.progress(done, len(failures), str(path)), stage="embed"))
    return found, np.concatenate(rows), failures


def _content(path: Path) -> bytes:
    try:
        return files.read(path, MAX_BYTES)
    except FileNotFoundError:
        raise ImageError("missing", "There is no such file", path) from None
    except PermissionError:
        raise ImageError("no-permission", "This user may not read the file", path) from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise ImageError("unreadable", f"It can't be read ({error})", path) from error
