"""Models: list, describe, fetch, check, export, measure and calibrate them.

The one room that surfaces call for models. It works on the catalogue, on models that were fetched
from the hub by their id, on local folders, and on models of other packages; a name is anything
that `--model` takes. Results are plain dataclasses. Encoders and their packages are imported by
the function that needs them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pixseek.errors import ModelError
from pixseek.types.dataclass import dataclass

if TYPE_CHECKING:
    from pixseek.config import Config
    from pixseek.encoders import Description
    from pixseek.encoders.benchmark import Measurement
    from pixseek.encoders.hub.catalogue import Model
    from pixseek.encoders.hub.download import OnProgress
    from pixseek.encoders.parity import Parity
    from pixseek.encoders.verification import Check
    from pixseek.models.calibration import CalibrationReport
    from pixseek.search.background import Calibration
    from pixseek.types import Encoder, Picture, Progress

#: What the weights of an exported model are stored in.
Stored = Literal["fp32", "fp16", "int8"]

#: Pictures that are drawn if no photos are given: 64 to calibrate int8 on, 128 to check it on.
_DRAWN = 192


@dataclass(frozen=True, slots=True)
class ModelSource:
    """Where a model is on the hub.

    Attributes:
        runtime: what runs it: "onnx" or "torch".
        layout: how its files are laid out; "" before the hub was asked.
        repo: OWNER/NAME on the hub.
        revision: the pinned commit; "" if none is known yet.
    """

    runtime: str
    layout: str
    repo: str
    revision: str


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What is known of a model without loading it.

    Attributes:
        name: the name that `load` takes.
        description: one sentence; "" for a local folder.
        folder: where its files are; None unless all of them are on this machine.
        layout: how its files are laid out; "hub" for a repository that was not asked yet, "" for a
            model of another package.
        licence: of the weights; "" when unknown.
        restricted: whether its licence must be agreed to before it is fetched.
        dim: length of its vectors; 0 when unknown.
        input_side: side of the images it reads, in pixels; 0 when unknown.
        context: the most tokens of text it reads; 0 when unknown.
        languages: of texts, for people; "" when unknown.
        quality: recall@1 from text to image in per cent, by benchmark, as published.
        quality_source: who published it.
        note: what users must know before they trust its answers; "" for nothing.
        size: bytes to download in all, about; 0 when unknown.
        missing_bytes: bytes that are still to be downloaded, about.
        sources: where it is on the hub, the preferred one first; none for local ones.
        measured: its speed on this machine; None if it was not measured.
        calibration: how probable matches of words are, if that was measured for the model: its
            `slope` and `centre`, and on how many `images`; None if it was not.
    """

    name: str
    description: str
    folder: Path | None
    layout: str
    licence: str
    restricted: bool
    dim: int
    input_side: int
    context: int
    languages: str
    quality: tuple[tuple[str, float], ...]
    quality_source: str
    note: str
    size: int
    missing_bytes: int
    sources: tuple[ModelSource, ...] = ()
    measured: Measurement | None = None
    calibration: Calibration | None = None

    @property
    def runtimes(self) -> tuple[str, ...]:
        """What can run it, the preferred one first."""
        return tuple(dict.fromkeys(source.runtime for source in self.sources)) or ("onnx",)


# ------------------------------------------------------------------ which there are


def names() -> list[str]:
    """Return the names of the catalogue, then those of other packages."""
    from pixseek import encoders

    return encoders.names()


def default_name() -> str:
    """Return the name of the model that a new library takes."""
    from pixseek import encoders

    return encoders.DEFAULT


def list_models(config: Config, only: Sequence[str] = ()) -> list[ModelInfo]:
    """Return the models of the catalogue and those fetched from the hub. Asks no network.

    Args:
        config: where models are kept.
        only: names, folders or models of other packages to return instead.

    Raises:
        ModelError: one of `only` is unknown.
    """
    from pixseek import encoders
    from pixseek.encoders import benchmark
    from pixseek.encoders.hub import catalogue

    fetched = {model.alias: model for model in encoders.downloaded(config.models_dir)}
    rows: list[tuple[Description, Model | None]]
    if only:
        rows = [
            (encoders.describe(name, config.models_dir), fetched.get(name) or _named(name))
            for name in only
        ]
    else:
        rows = [
            (encoders.describe(model.alias, config.models_dir), model)
            for model in (*catalogue.CATALOGUE, *fetched.values())
        ]
    measured = benchmark.measurements(config.models_dir)
    return [_info(known, model, measured) for known, model in rows]


def describe(config: Config, name: str | Path) -> ModelInfo:
    """Return the facts about a model. Uses no network.

    Raises:
        ModelError: there is no such model, or its folder can't be read.
    """
    from pixseek import encoders
    from pixseek.encoders import benchmark

    known = encoders.describe(name, config.models_dir)
    return _info(known, _named(name), benchmark.measurements(config.models_dir))


def on_this_machine(config: Config) -> list[str]:
    """Return the names of the models whose files are all on this machine."""
    from pixseek import encoders
    from pixseek.encoders.hub import catalogue

    known = (*catalogue.CATALOGUE, *encoders.downloaded(config.models_dir))
    return [m.alias for m in known if encoders.locate(m.alias, config.models_dir)]


def _named(name: str | Path) -> Model | None:
    """Return the catalogue's row of a model, or that of a repository of the hub."""
    from pixseek.encoders.hub import catalogue

    if found := catalogue.find(str(name)):
        return found
    return None if isinstance(name, Path) or os.path.isdir(name) else catalogue.on_hub(name)


def _info(known: Description, model: Model | None, measured: dict[str, Measurement]) -> ModelInfo:
    calibration = _calibration(known.folder)
    if model is None:
        return ModelInfo(
            known.name,
            known.description,
            known.folder,
            known.layout,
            known.licence,
            known.restricted,
            known.dim,
            known.input_side,
            known.context,
            known.languages,
            known.quality,
            "",
            known.note,
            known.download_bytes,
            known.download_bytes,
            measured=measured.get(known.name),
            calibration=calibration,
        )
    return ModelInfo(
        model.alias,
        model.description,
        known.folder,
        known.layout,
        model.licence or known.licence,
        model.restricted,
        model.dim or known.dim,
        model.input_side or known.input_side,
        model.context or known.context,
        model.languages,
        model.quality,
        model.quality_source,
        model.note,
        model.size,
        known.download_bytes,
        tuple(
            ModelSource(source.runtime, source.layout, source.repo, source.revision)
            for source in model.sources
        ),
        measured.get(model.alias),
        calibration,
    )


def _calibration(folder: Path | None) -> Calibration | None:
    from pixseek.search.background import calibration_beside

    try:
        return calibration_beside(folder)
    except ModelError:  # it is damaged: a search says so
        return None


# ------------------------------------------------------------------ fetching and trusting


def fetch(config: Config, name: str, *, on_progress: OnProgress | None = None) -> Path:
    """Download what is missing of a model of the catalogue or the hub; return its folder.

    Args:
        config: where models are kept, and whether the network may be used.
        name: of the model.
        on_progress: called with each file's name, the bytes done, and the bytes in all or None.

    Raises:
        ModelError: there is no such model, or it can't be fetched.
        LicenceError: its licence must be agreed to first; see `accept`.
    """
    from pixseek import encoders

    return encoders.fetch(name, config.models_dir, offline=config.offline, on_progress=on_progress)


def accept(config: Config, name: str, licence: str = "") -> str:
    """Record that the user agrees to the licence of a model; return that licence.

    Args:
        config: where models are kept.
        name: of the model.
        licence: what is agreed to, as `LicenceError` names it; "" for the catalogue's.

    Raises:
        ModelError: there is no such model, or the answer can't be stored.
    """
    from pixseek import encoders

    return encoders.accept_licence(name, config.models_dir, licence)


def remove(config: Config, name: str) -> int:
    """Delete a downloaded model; return how many bytes that freed.

    Raises:
        ModelError: there is no such model, it comes with pixseek, or it can't be deleted.
    """
    from pixseek import encoders

    return encoders.remove(name, config.models_dir)


def own_code(config: Config, name: str | Path) -> tuple[Path, ...]:
    """Return the program files that come with a model and would be run; none for most models.

    Raises:
        ModelError: the model is unknown, not on this machine, or can't be read.
    """
    from pixseek import encoders

    return encoders.own_code(_folder(config, name))


def trust(config: Config, name: str | Path) -> tuple[Path, ...]:
    """Allow a model to run its own program code, as it is now; return the files.

    Raises:
        ModelError: the model is unknown, not on this machine, or can't be read, or the answer
            can't be stored.
    """
    from pixseek import encoders

    return encoders.trust(_folder(config, name), config.models_dir)


def _folder(config: Config, name: str | Path) -> Path:
    from pixseek import encoders

    folder = encoders.locate(name, config.models_dir)
    if folder is None:
        encoders.describe(name, config.models_dir)  # an unknown name is another error
        raise ModelError(
            "the model is not on this machine", name, f"Run: pixseek models download {name}"
        )
    return folder


# ------------------------------------------------------------------ running


def load(config: Config, name: str | Path, *, on_progress: OnProgress | None = None) -> Encoder:
    """Return the encoder of a model, downloading its files if they are missing.

    Args:
        config: where models are kept, whether the network may be used, how many threads to use.
        name: of the model.
        on_progress: as for `fetch`.

    Raises:
        ModelError: there is no such model, or it can't be fetched, checked or read.
        MissingExtraError: the package that runs it is not installed.
    """
    from pixseek import encoders

    return encoders.load(
        name,
        models_dir=config.models_dir,
        offline=config.offline,
        threads=config.threads,
        on_progress=on_progress,
    )


def export(
    config: Config,
    encoder: Encoder,
    to: Path,
    *,
    photos: Sequence[Path] = (),
    precision: Stored = "fp32",
) -> Parity:
    """Write a model that torch runs as a folder for ONNX Runtime; return how close it is.

    The folder is kept only if it gives the same vectors.

    Args:
        config: where the original was downloaded to.
        encoder: what `load` gave.
        to: the folder to write; it must not exist, or be empty.
        photos: folders of images to compare the two on; none for drawn pictures.
        precision: what weights are stored in; computing stays in 32 bits.

    Raises:
        ModelError: the model can't be exported, the result differs too much, or the folder can't
            be written.
        MissingExtraError: a package that writes ONNX is not installed.
        SourceError: `photos` has no readable images.
    """
    from pixseek.encoders.export import export

    pictures = _pictures(photos, encoder.input_side)
    return export(encoder, to, pictures, precision=precision, models_dir=config.models_dir)


def verify(
    config: Config,
    name: str | Path,
    *,
    photos: Sequence[Path] = (),
    against: Path | None = None,
) -> Iterator[Check]:
    """Yield the checks of a model on this machine: its files, its towers, its vectors.

    Args:
        config: where models are kept.
        name: of the model.
        photos: folders of images to embed; none for drawn pictures.
        against: folder of the model that this one was exported from, to compare both; None to
            compare nothing.

    Raises:
        ModelError: the model is unknown or not on this machine.
        SourceError: `photos` has no readable images.
    """
    from pixseek.encoders.verification import verify

    pictures = _pictures(photos, describe(config, name).input_side)
    return verify(name, pictures, models_dir=config.models_dir, against=against)


def benchmark(config: Config, name: str | Path, *, photos: Sequence[Path] = ()) -> Measurement:
    """Measure a model on this machine; the result is kept and shown by `list_models`.

    Args:
        config: where models are kept.
        name: of the model.
        photos: folders of images to embed; none for drawn pictures.

    Raises:
        ModelError: the model is unknown, not on this machine or failed, or the result can't be
            stored.
        SourceError: `photos` has no readable images.
    """
    from pixseek.encoders.benchmark import measure

    pictures = _pictures(photos, describe(config, name).input_side)
    return measure(str(name), pictures, config.models_dir)


def calibrate(
    config: Config,
    name: str | Path,
    captions: Path,
    *,
    photos: Path | None = None,
    image_column: str = "",
    caption_column: str = "",
    to: Path | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    on_wait: Callable[[str], None] | None = None,
) -> CalibrationReport:
    """Measure how probable a model's matches are, on images with captions, and keep that.

    The calibration is written into the model's folder as `calibration.json`; from then on every
    hit of words has a probability, in every library of the model. If the table names more than
    5,000 images, as many are drawn.

    Args:
        config: where models are kept, and how many threads to use.
        name: of the model.
        captions: a CSV or TSV file with a column of image files and one of captions.
        photos: the folder that names of files are relative to; None for that of the table.
        image_column, caption_column: names of the columns; "" for usual ones.
        to: the file to write instead of `calibration.json` in the model's folder; None for that.
        on_progress: called after each image.
        on_wait: called with what is done before something that takes long, and with "" after it.

    Raises:
        ModelError: the model is unknown, not on this machine or failed; its scores do not tell
            which images fit the captions; or the calibration can't be written.
        SourceError: the table can't be read, or has too few images or words.
    """
    from pixseek.models.calibration import calibrate

    return calibrate(
        config,
        name,
        captions,
        photos=photos,
        columns=(image_column, caption_column),
        to=to,
        on_progress=on_progress or (lambda _: None),
        on_wait=on_wait or (lambda _: None),
    )


def _pictures(folders: Sequence[Path], side: int) -> list[Picture]:
    """Return the images of folders; without folders, drawn pictures, always the same."""
    if folders:
        from pixseek.encoders.parity import pictures_in

        return pictures_in(*folders, side=side)
    import random

    from pixseek.demo.drawing import render
    from pixseek.demo.scenes import random_scene
    from pixseek.types import Picture

    chance = random.Random(7)
    drawn = [render(random_scene(chance)) for _ in range(_DRAWN)]
    return [Picture(each, each.width, each.height, "image/png") for each in drawn]
