"""Calibrate a model on images with captions: read the table, embed, measure, write the file."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

from pixseek import encoders, files
from pixseek.config import Config
from pixseek.encoders.hub import catalogue
from pixseek.errors import ModelError, SourceError
from pixseek.indexing.captioned import embed_files
from pixseek.indexing.embedding import drawn
from pixseek.search import background, calibrating
from pixseek.sources.captions import read_captions
from pixseek.types import Failure, Progress
from pixseek.types.dataclass import dataclass

#: Images to use at most: the figures hardly change with more, and embedding them takes long.
MOST_IMAGES = 5000


@dataclass(frozen=True, slots=True)
class CalibrationReport:
    """What calibrating a model did.

    Attributes:
        model: its name.
        file: what was written.
        found: the calibration, and how it was measured.
        images_in_table: how many images the table names; `found.images` of them were used.
        failures: the images that could not be read or embedded.
    """

    model: str
    file: Path
    found: calibrating.Calibrated
    images_in_table: int
    failures: tuple[Failure, ...]


def calibrate(
    config: Config,
    name: str | Path,
    table: Path,
    *,
    photos: Path | None,
    columns: tuple[str, str],
    to: Path | None,
    on_progress: Callable[[Progress], None],
    on_wait: Callable[[str], None],
) -> CalibrationReport:
    """Calibrate a model; see `pixseek.models.calibrate`."""
    folder = _folder(config, name)
    file = _file_to_write(name, folder, to)
    said = read_captions(table, images=photos, image_column=columns[0], caption_column=columns[1])
    paths = sorted(drawn(list(said), MOST_IMAGES))
    if not any(map(os.path.isfile, paths)):
        raise SourceError(
            f"None of the {len(said):,} images in the table is there",
            f"{table}: {paths[0]}",
            "Name the folder that the table's files lie in: --photos DIR",
        )
    bank = background.bank_beside(folder)
    try:
        on_wait("Loading the model")
        encoder = encoders.load(
            name, models_dir=config.models_dir, offline=True, threads=config.threads
        )
        embedded, vectors, failures = embed_files(
            paths,
            encoder,
            threads=config.thread_count,
            on_progress=on_progress,
        )
        on_wait("Searching the images for the words of their captions")
        found = calibrating.calibrate(
            encoder,
            vectors,
            [said[path] for path in embedded],
            background.bank() if bank is None else bank,
        )
    finally:
        on_wait("")
    _write(file, found)
    return CalibrationReport(encoder.name, file, found, len(said), tuple(failures))


def _folder(config: Config, name: str | Path) -> Path | None:
    """Return the folder of a model; None if it is another package's and has none."""
    folder = encoders.locate(name, config.models_dir)
    if folder is None and encoders.describe(name, config.models_dir).layout:
        raise ModelError(
            "the model is not on this machine", name, f"Run: pixseek models download {name}"
        )
    return folder


def _file_to_write(name: str | Path, folder: Path | None, to: Path | None) -> Path:
    """Return the file to write, checked before any work.

    Raises:
        ModelError: it can't be written.
    """
    if to is not None:
        return _checked(to)
    if folder is None:
        raise ModelError(
            "a model of another package has no folder for its calibration", name, _ELSEWHERE
        )
    own = (model.folder for model in catalogue.CATALOGUE if model.folder)
    if any(folder.samefile(each) for each in own if os.path.isdir(each)):
        raise ModelError(
            "a model that comes with pixseek has its own calibration",
            name,
            f"It is not changed. {_ELSEWHERE}",
        )
    if not os.access(folder, os.W_OK):
        raise ModelError("the model's folder can't be written to", folder, _ELSEWHERE)
    return _checked(folder / background.CALIBRATION_FILE)


def _checked(file: Path) -> Path:
    for is_wrong, where, problem in (
        (os.path.isdir(file), file, "this is a folder"),
        (not os.path.isdir(file.parent), file.parent, "there is no such folder"),
    ):
        if is_wrong:
            raise ModelError(
                f"a calibration can't be written: {problem}", where, "Name a file: --to FILE"
            )
    return file


#: What to do if a model's own folder can't be used.
_ELSEWHERE = (
    "Write the calibration to another file (--to FILE), or copy the model's folder and "
    "calibrate the copy."
)


def _write(file: Path, found: calibrating.Calibrated) -> None:
    """Write a calibration in one step: a search may read it at any time."""
    said = {
        "slope": found.calibration.slope,
        "centre": found.calibration.centre,
        "rank": found.calibration.rank,
        "demand": found.calibration.demand,
        "knee": found.calibration.knee,
        "bend": found.calibration.bend,
        "measured": found.measured(),
    }
    text = json.dumps(said, indent=1) + "\n"
    try:
        with files.replacing(file) as written:
            written.write(text.encode())
    except OSError as error:
        raise ModelError(
            "a calibration can't be written", file, f"{error.strerror or error}. {_ELSEWHERE}"
        ) from error
