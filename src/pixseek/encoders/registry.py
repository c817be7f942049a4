"""Load, describe, download and remove models, by name, folder or id on the hub."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from pixseek.encoders.hub import catalogue, download, pins, repository
from pixseek.encoders.hub.catalogue import CATALOGUE, DEFAULT, Model
from pixseek.encoders.hub.consent import Consents, code_digest
from pixseek.encoders.hub.download import OnProgress
from pixseek.encoders.paired import PairedEncoder
from pixseek.errors import MissingExtraError, ModelError, PixseekError, unknown
from pixseek.types.dataclass import dataclass

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from pixseek.encoders.hub.digests import Digests
    from pixseek.types import Encoder, Likelihood

__all__ = [
    "CATALOGUE",
    "DEFAULT",
    "Description",
    "accept_licence",
    "describe",
    "downloaded",
    "fetch",
    "load",
    "locate",
    "names",
    "own_code",
    "remove",
    "trust",
]

#: Entry point with which other packages offer encoders: a callable that takes the keyword
#: arguments of `load` and returns an `Encoder`.
ENTRY_POINTS = "pixseek.encoders"


#: Subfolder of `models_dir` with files made from models; it can be deleted at any time.
CONVERTED = "converted"


@dataclass(frozen=True, slots=True)
class Description:
    """Facts about a model, available without loading it.

    Attributes:
        name: the name for `load`.
        description: one sentence; "" for a local folder.
        folder: folder of its files; None if not all of them are on this machine.
        layout: one of `layouts.EXPECTED` or `torch.EXPECTED`; "hub" for a repository of which
            the hub was not asked yet, "" for a model of another package.
        licence: licence of the weights; "" if unknown.
        dim: length of its vectors; 0 if unknown.
        input_side: longer side of the images it reads, in pixels; 0 if unknown.
        context: maximum number of tokens in a text; 0 if unknown.
        download_bytes: approximate size of the download; 0 if nothing is missing.
        note: what users must know before they trust its results; "" for nothing.
        languages: languages of texts, for display; "" if unknown.
        quality: published recall@1 from text to image in per cent, by benchmark.
        restricted: whether its licence must be accepted before the download.
    """

    name: str
    description: str
    folder: Path | None
    layout: str
    licence: str
    dim: int
    input_side: int
    context: int
    download_bytes: int
    note: str
    languages: str = ""
    quality: tuple[tuple[str, float], ...] = ()
    restricted: bool = False


def load(
    name: str | Path,
    *,
    models_dir: Path,
    offline: bool = False,
    threads: int = 0,
    on_progress: OnProgress | None = None,
    trust_code: bool = False,
    compiled: bool = False,
) -> Encoder:
    """Return an encoder; missing files are downloaded.

    Neither tower is opened before it is used.

    Args:
        name: a name of the catalogue, a name that another package registered, a local folder in a
            layout of `layouts` (ONNX, preferred if a folder has both kinds) or of `torch.folders`,
            or the id of a repository of the hub (OWNER/NAME, OWNER/NAME@REVISION) that holds such
            a folder.
        models_dir: folder of downloaded models.
        offline: never use the network.
        threads: threads of each tower; 0 for one per core.
        on_progress: called with each file's name, bytes done, and its size in bytes or None.
        trust_code: whether a model may run its own program code. Code that was accepted by `trust`
            may run without it.
        compiled: whether `accelerate` compiles the image tower of a torch model.

    Raises:
        ModelError: the model is unknown, or can't be downloaded, checked or read, or needs its own
            code, which is not trusted.
        LicenceError: its licence must be accepted before the download.
        MissingExtraError: the package that runs it is not installed.
    """
    from pixseek.encoders.hub.digests import Digests

    digests = Digests(models_dir)
    model = _known(name)
    if entry := None if model else _entry(name):
        return _load_entry(
            entry,
            models_dir=models_dir,
            offline=offline,
            threads=threads,
            on_progress=on_progress,
        )
    opening = partial(
        _open,
        digests=digests,
        models_dir=models_dir,
        threads=threads,
        trust_code=trust_code,
        compiled=compiled,
    )
    if not model:
        folder = _folder(name)
        return opening(folder, name=folder.name)
    if model.sources and model.source.runtime == "torch" and find_spec("torch") is None:
        raise MissingExtraError(f"the model {model.alias}", "torch", "torch")
    folder = download.fetch(model, models_dir, digests, offline=offline, on_progress=on_progress)
    encoder = opening(
        folder, name=model.alias, note=model.note, dim=model.dim, likelihood=model.likelihood
    )
    if not model.images:
        return encoder
    images = load(
        model.images,
        models_dir=models_dir,
        offline=offline,
        threads=threads,
        on_progress=on_progress,
        compiled=compiled,
    )
    return PairedEncoder(images, encoder, name=model.alias, note=model.note)


def _open(
    folder: Path,
    *,
    name: str,
    digests: Digests,
    models_dir: Path,
    threads: int,
    trust_code: bool,
    compiled: bool,
    note: str = "",
    dim: int = 0,
    likelihood: Likelihood | None = None,
) -> Encoder:
    """Return the encoder of a folder, by its layout."""
    from pixseek.encoders import layouts

    if layouts.layout_of(folder) is None:
        # Its imports take 20 ms, which would slow down a search.
        from pixseek.encoders import torch

        if torch.layout_of(folder):
            files = torch.read(folder)
            if files.code and not trust_code:
                _check_trust(files.code, folder, models_dir)
            return torch.TorchEncoder(
                files,
                name=name,
                digest=digests.of,
                note=note,
                dim=dim,
                threads=threads,
                compiled=compiled,
            )
    from pixseek.encoders.onnx import OnnxEncoder

    parts = layouts.read(folder)
    return OnnxEncoder(
        replace(parts, likelihood=parts.likelihood or likelihood),
        name=name,
        digest=digests.of,
        note=note,
        dim=dim,
        threads=threads,
        cache=models_dir / CONVERTED,
    )


def _check_trust(code: Sequence[Path], folder: Path, models_dir: Path) -> None:
    if not Consents(models_dir).given("code", code_digest(code)):
        raise ModelError(
            "a model needs to run its own program code",
            f"{', '.join(each.name for each in code)} in {folder}",
            "Such code can do anything on this machine that you can. If you trust its authors:\n"
            f"pixseek models trust {folder}",
        )


def accept_licence(name: str, models_dir: Path, licence: str = "") -> str:
    """Accept the licence of a model; return that licence.

    Args:
        name: a name of the catalogue, or an id on the hub.
        models_dir: folder of downloaded models, which keeps the consent too.
        licence: the licence to accept, from `LicenceError`; "" for that in the catalogue.

    Raises:
        ModelError: the model is unknown, or the consent can't be saved.
    """
    model = _of_name(name)
    if licence or model.restricted:
        model = replace(model, licence=licence or model.licence)
        Consents(models_dir).give("licence", repository.licence_of(model))
    return model.licence


def fetch(
    name: str, models_dir: Path, *, offline: bool = False, on_progress: OnProgress | None = None
) -> Path:
    """Download the missing files of a model of the catalogue or the hub; return its folder.

    Raises:
        ModelError: the model is unknown, or can't be downloaded.
        LicenceError: its licence must be accepted first.
    """
    from pixseek.encoders.hub.digests import Digests

    model = _of_name(name)
    if model.images:
        fetch(model.images, models_dir, offline=offline, on_progress=on_progress)
    return download.fetch(
        model, models_dir, Digests(models_dir), offline=offline, on_progress=on_progress
    )


def remove(name: str, models_dir: Path) -> int:
    """Delete a downloaded model; return the number of bytes freed.

    Raises:
        ModelError: the model is unknown, comes with pixseek, or can't be deleted.
    """
    model = _of_name(name)
    if model.folder:
        raise ModelError("this model comes with pixseek and can't be removed", model.alias)
    return download.remove(model, models_dir)


def own_code(folder: Path) -> tuple[Path, ...]:
    """Return the program files that a folder's model runs; none for most models.

    Raises:
        ModelError: the folder's model can't be read.
    """
    from pixseek.encoders import layouts, torch

    if layouts.layout_of(folder) or torch.layout_of(folder) != "transformers":
        return ()
    return torch.read(folder).code


def trust(folder: Path, models_dir: Path) -> tuple[Path, ...]:
    """Trust the present program code of a folder's model; return its files.

    Raises:
        ModelError: the folder's model can't be read, or the consent can't be saved.
    """
    code = own_code(folder)
    if code:
        Consents(models_dir).give("code", code_digest(code))
    return code


def names() -> list[str]:
    """Return the names that `load` knows: the catalogue's, then other packages'.

    Adding ":torch" to a name of the catalogue selects torch, for models that torch can run too.
    """
    known = [model.alias for model in CATALOGUE]
    return known + sorted(set(_entry_points()) - set(known))


def is_known(name: str) -> bool:
    """Return whether `names` has a name; other packages are read only if the catalogue lacks it."""
    return any(model.alias == name for model in CATALOGUE) or _entry(name) is not None


def downloaded(models_dir: Path) -> list[Model]:
    """Return the models that were downloaded by their ids on the hub, with their known facts."""
    found = []
    for name in pins.downloaded(models_dir):
        model = _of_name(name)
        try:
            known = describe(name, models_dir)
        except ModelError:  # such as a classifier
            continue
        if known.folder:
            pin = pins.pin(model, models_dir)
            revision = pin.revision if pin else ""
            source = replace(model.source, layout=known.layout, revision=revision)
            model = replace(
                model,
                licence=known.licence,
                dim=known.dim,
                input_side=known.input_side,
                context=known.context,
                sources=(source,),
            )
        found.append(model)
    return found


def locate(name: str | Path, models_dir: Path) -> Path | None:
    """Return the folder of a model; None if files are missing, or for another package's model.

    Doesn't use the network.

    Raises:
        ModelError: the model is unknown.
    """
    model = _known(name)
    if model:
        return _local(model, models_dir)
    return None if _entry(name) else _folder(name)


def _known(name: str | Path) -> Model | None:
    """Return the model of a name of the catalogue, or of the hub unless a folder has that name."""
    if found := catalogue.find(str(name)):
        return found
    return None if isinstance(name, Path) or os.path.isdir(name) else catalogue.on_hub(name)


def _of_name(name: str) -> Model:
    model = _known(name)
    if model is None:
        raise ModelError("unknown model", name, unknown("model", name, names()))
    return model


def _local(model: Model, models_dir: Path) -> Path | None:
    """Return the folder of a model; None if files that it needs are missing."""
    images = catalogue.find(model.images) if model.images else None
    if images and not pins.local(images, models_dir):
        return None
    return pins.local(model, models_dir)


def _missing_bytes(model: Model, models_dir: Path) -> int:
    images = catalogue.find(model.images) if model.images else None
    parts = [part for part in (model, images) if part and not pins.local(part, models_dir)]
    return sum(part.size for part in parts)


def describe(name: str | Path, models_dir: Path) -> Description:
    """Return the facts about a model, without loading it. Doesn't use the network.

    Raises:
        ModelError: the model is unknown, or its folder can't be read.
    """
    model = _known(name)
    if model and not model.dim and (folder := pins.local(model, models_dir)):
        pin = pins.pin(model, models_dir)
        return replace(_described(folder), name=model.alias, licence=pin.licence if pin else "")
    if model:
        return Description(
            model.alias,
            model.description,
            _local(model, models_dir),
            (model.source.layout or "hub") if model.sources else model.layout,
            model.licence,
            model.dim,
            model.input_side,
            model.context,
            _missing_bytes(model, models_dir),
            model.note,
            model.languages,
            model.quality,
            model.restricted,
        )
    if entry := _entry(name):
        of = f"From the package {entry.dist.name}." if entry.dist else ""
        return Description(entry.name, of, None, "", "", 0, 0, 0, 0, "")
    return _described(_folder(name))


def _described(folder: Path) -> Description:
    from pixseek.encoders import layouts, torch

    if layouts.layout_of(folder) is None and (layout := torch.layout_of(folder)):
        found = torch.read(folder)
        side = found.preprocessing.side if found.preprocessing else 0
        dim, context = found.dim, found.text.context or 0
    else:
        files = layouts.read(folder)
        layout, rows = files.layout, files.visual.embedding
        side = files.preprocessing.side
        dim, context = (rows.shape[-1] if rows else 0) or files.dim, files.text.context or 0
    return Description(folder.name, "", folder, layout, "", dim, side, context, 0, "")


def _folder(name: str | Path) -> Path:
    """Return the local folder of a name.

    Raises:
        ModelError: there is no such folder.
    """
    folder = Path(os.path.expanduser(name))
    if os.path.isdir(folder):
        return folder.resolve()
    if _is_path(name):
        problem = "this is not a folder" if os.path.exists(folder) else "there is no such folder"
        raise ModelError(
            f"a model can't be loaded: {problem}",
            folder,
            unknown("model", name, names()),
        )
    raise ModelError("unknown model", name, unknown("model", name, names()))


def _is_path(name: str | Path) -> bool:
    separators = {"/", os.sep, os.altsep or os.sep}
    return isinstance(name, Path) or name.startswith((".", "~")) or bool(separators & set(name))


def _entry(name: str | Path) -> EntryPoint | None:
    """Return the entry point of this name; None if there is none.

    Paths are not looked up, because reading all installed packages takes a tenth of a cold search.
    """
    return None if _is_path(name) else _entry_points().get(str(name))


def _entry_points() -> dict[str, EntryPoint]:
    from importlib.metadata import entry_points

    return {entry.name: entry for entry in entry_points(group=ENTRY_POINTS)}


def _load_entry(entry: EntryPoint, **arguments: object) -> Encoder:
    try:
        encoder: Encoder = entry.load()(**arguments)
    except PixseekError:
        raise
    except Exception as error:  # another package's code may raise anything
        raise ModelError(
            "a model of another package can't be loaded",
            f"{entry.name} ({entry.value})",
            f"{type(error).__name__}: {error}",
        ) from error
    return encoder
