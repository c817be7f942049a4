"""Encoders: models that turn images and texts into vectors of one space.

`load` gives one by its name in the catalogue, from a local folder, or from another package.
"""

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

#: Other packages offer encoders under this entry point: a callable that takes the keyword
#: arguments of `load` and returns an `Encoder`.
ENTRY_POINTS = "pixseek.encoders"


#: Folder below `models_dir` of what was made from models; it can be deleted at any time.
CONVERTED = "converted"


@dataclass(frozen=True, slots=True)
class Description:
    """What is known of a model without loading it.

    Attributes:
        name: by which `load` finds it.
        description: one sentence; "" for a local folder.
        folder: where its files are; None when they are not all on this machine.
        layout: one of `layouts.EXPECTED` or `torch.EXPECTED`; "hub" for a repository of the hub
            that was not asked yet, "" for a model of another package.
        licence: of the weights; "" when unknown.
        dim: length of its vectors; 0 when unknown.
        input_side: of the images it reads, in pixels; 0 when unknown.
        context: the most tokens of text it reads; 0 when unknown.
        download_bytes: what fetching it takes, about; 0 when nothing is to be fetched.
        note: what users must know before they trust its answers; "" for nothing.
        languages: of texts, for people; "" when unknown.
        quality: recall@1 from text to image in per cent, by benchmark, as published.
        restricted: whether its licence asks for a yes before it is fetched.
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
    """Return an encoder, downloading its files where they are missing.

    Neither tower is opened before it is used.

    Args:
        name: a name of the catalogue, one that another package registered, a local folder in
            one of the layouts of `layouts` (ONNX, preferred where a folder has both) or of
            `torch.folders`, or the id of a repository of the hub (OWNER/NAME, OWNER/NAME@REVISION)
            that holds such a folder.
        models_dir: where downloaded models are kept.
        offline: never to ask the network.
        threads: for each tower; 0 for one a core.
        on_progress: told of each file's name, bytes done, and bytes in all or None.
        trust_code: whether program code that comes with a model may be run, if it must. What was
            agreed to by `trust` may be run without it.
        compiled: whether `accelerate` is to compile the image tower of a model for torch.

    Raises:
        ModelError: there is no such model, or it can't be fetched, checked or read; or it wants to
            run code of its own that is not trusted.
        MissingExtraError: what runs it is not installed.
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
        # Its imports take 20 ms, which a search would feel.
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
            "a model wants to run program code of its own",
            f"{', '.join(each.name for each in code)} in {folder}",
            "Such code can do on this machine whatever you can. If you trust who wrote it:\n"
            f"pixseek models trust {folder}",
        )


def accept_licence(name: str, models_dir: Path, licence: str = "") -> str:
    """Note a yes to the licence of a model; return that licence.

    Args:
        name: of the catalogue, or an id of the hub.
        models_dir: where downloaded models, and what was agreed to, are kept.
        licence: what is agreed to, as `LicenceError` says it; "" for what the catalogue says.

    Raises:
        ModelError: there is no such model, or the yes can't be kept.
    """
    model = _of_name(name)
    if licence or model.restricted:
        model = replace(model, licence=licence or model.licence)
        Consents(models_dir).give("licence", repository.licence_of(model))
    return model.licence


def fetch(
    name: str, models_dir: Path, *, offline: bool = False, on_progress: OnProgress | None = None
) -> Path:
    """Download what is missing of a model of the catalogue, or of the hub; return its folder.

    Raises:
        ModelError: there is no such model, or it can't be fetched.
        LicenceError: not before its licence is agreed to.
    """
    from pixseek.encoders.hub.digests import Digests

    model = _of_name(name)
    if model.images:
        fetch(model.images, models_dir, offline=offline, on_progress=on_progress)
    return download.fetch(
        model, models_dir, Digests(models_dir), offline=offline, on_progress=on_progress
    )


def remove(name: str, models_dir: Path) -> int:
    """Delete a downloaded model; return how many bytes that freed.

    Raises:
        ModelError: there is no such model, it comes with pixseek, or it can't be deleted.
    """
    model = _of_name(name)
    if model.folder:
        raise ModelError("this model comes with pixseek and can't be removed", model.alias)
    return download.remove(model, models_dir)


def own_code(folder: Path) -> tuple[Path, ...]:
    """Return the program files that the model in a folder would run; none for most models.

    Raises:
        ModelError: the folder's model can't be read.
    """
    from pixseek.encoders import layouts, torch

    if layouts.layout_of(folder) or torch.layout_of(folder) != "transformers":
        return ()
    return torch.read(folder).code


def trust(folder: Path, models_dir: Path) -> tuple[Path, ...]:
    """Let the model in a folder run its own code from now on, as it is; return its files.

    Raises:
        ModelError: the folder's model can't be read, or the yes can't be kept.
    """
    code = own_code(folder)
    if code:
        Consents(models_dir).give("code", code_digest(code))
    return code


def names() -> list[str]:
    """Return the names that `load` knows: the catalogue's, then other packages'.

    With ":torch" behind its name, a model of the catalogue that torch can run too is run by it.
    """
    known = [model.alias for model in CATALOGUE]
    return known + sorted(set(_entry_points()) - set(known))


def downloaded(models_dir: Path) -> list[Model]:
    """Return the models that were fetched by their ids on the hub, with what is known of them."""
    found = []
    for name in pins.downloaded(models_dir):
        model = _of_name(name)
        try:
            known = describe(name, models_dir)
        except ModelError:  # a classifier, for example
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
    """Return the folder of a model, or None when its files are not all there.

    Asks no network. None for a model of another package too: where it lies is its own affair.

    Raises:
        ModelError: there is no such model.
    """
    model = _known(name)
    if model:
        return _local(model, models_dir)
    return None if _entry(name) else _folder(name)


def _known(name: str | Path) -> Model | None:
    """Return the model of a name of the catalogue, or of the hub where no folder has that name."""
    if found := catalogue.find(str(name)):
        return found
    return None if isinstance(name, Path) or Path(name).is_dir() else catalogue.on_hub(name)


def _of_name(name: str) -> Model:
    model = _known(name)
    if model is None:
        raise ModelError("unknown model", name, unknown("model", name, names()))
    return model


def _local(model: Model, models_dir: Path) -> Path | None:
    """Return the folder of a model, or None when not all that it needs is there."""
    images = catalogue.find(model.images) if model.images else None
    if images and not pins.local(images, models_dir):
        return None
    return pins.local(model, models_dir)


def _missing_bytes(model: Model, models_dir: Path) -> int:
    images = catalogue.find(model.images) if model.images else None
    parts = [part for part in (model, images) if part and not pins.local(part, models_dir)]
    return sum(part.size for part in parts)


def describe(name: str | Path, models_dir: Path) -> Description:
    """Return what is known of a model without loading it. Asks no network.

    Raises:
        ModelError: there is no such model, or its folder can't be read.
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
    """Return the local folder that a name stands for.

    Raises:
        ModelError: there is no such folder.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder.resolve()
    if _is_path(name):
        problem = "this is no folder" if folder.exists() else "there is no such folder"
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
    """Return the entry point of this name; None where there is none.

    A path is none: to look through all installed packages takes a tenth of a cold search.
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
    except Exception as error:  # another package's code: anything may come
        raise ModelError(
            "a model of another package can't be loaded",
            f"{entry.name} ({entry.value})",
            f"{type(error).__name__}: {error}",
        ) from error
    return encoder
