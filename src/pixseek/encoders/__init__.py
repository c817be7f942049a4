"""Encoders: models that turn images and texts into vectors of one space.

`load` gives one by its name in the catalogue, from a local folder, or from another package.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pixseek.encoders import catalogue, hub
from pixseek.encoders.catalogue import CATALOGUE, DEFAULT
from pixseek.encoders.hub import OnProgress
from pixseek.errors import ModelError, PixseekError, unknown

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from pixseek.types import Encoder

__all__ = ["CATALOGUE", "DEFAULT", "Description", "describe", "load", "locate", "names"]

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
        layout: one of `layouts.EXPECTED`; "" for a model of another package.
        licence: of the weights; "" when unknown.
        dim: length of its vectors; 0 when unknown.
        input_side: of the images it reads, in pixels; 0 when unknown.
        context: the most tokens of text it reads; 0 when unknown.
        download_bytes: what fetching it takes; 0 when nothing is to be fetched.
        note: what users must know before they trust its answers; "" for nothing.
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


def load(
    name: str | Path,
    *,
    models_dir: Path,
    offline: bool = False,
    threads: int = 0,
    on_progress: OnProgress | None = None,
) -> Encoder:
    """Return an encoder, downloading its files where they are missing.

    Neither tower is opened before it is used.

    Args:
        name: a name of the catalogue, one that another package registered, or a local folder in
            one of the layouts of `layouts`.
        models_dir: where downloaded models are kept.
        offline: never to ask the network.
        threads: for each tower; 0 for one a core.
        on_progress: told of each file's name, bytes done, and bytes in all or None.

    Raises:
        ModelError: there is no such model, or it can't be fetched, checked or read.
    """
    from pixseek.encoders import layouts
    from pixseek.encoders.digests import Digests
    from pixseek.encoders.onnx import OnnxEncoder

    digests, cache = Digests(models_dir), models_dir / CONVERTED
    model = catalogue.find(str(name))
    if model:
        folder = hub.fetch(model, models_dir, digests, offline=offline, on_progress=on_progress)
        return OnnxEncoder(
            layouts.read(folder),
            name=model.alias,
            digest=digests.of,
            note=model.note,
            dim=model.dim,
            threads=threads,
            cache=cache,
        )
    if entry := _entry(name):
        return _load_entry(
            entry,
            models_dir=models_dir,
            offline=offline,
            threads=threads,
            on_progress=on_progress,
        )
    folder = _folder(name)
    return OnnxEncoder(
        layouts.read(folder), name=folder.name, digest=digests.of, threads=threads, cache=cache
    )


def names() -> list[str]:
    """Return the names that `load` knows: the catalogue's, then other packages'."""
    known = [model.alias for model in CATALOGUE]
    return known + sorted(set(_entry_points()) - set(known))


def locate(name: str | Path, models_dir: Path) -> Path | None:
    """Return the folder of a model, or None when its files are not all there.

    Asks no network. None for a model of another package too: where it lies is its own affair.

    Raises:
        ModelError: there is no such model.
    """
    model = catalogue.find(str(name))
    if model:
        return hub.local(model, models_dir)
    return None if _entry(name) else _folder(name)


def describe(name: str | Path, models_dir: Path) -> Description:
    """Return what is known of a model without loading it. Asks no network.

    Raises:
        ModelError: there is no such model, or its folder can't be read.
    """
    model = catalogue.find(str(name))
    if model:
        folder = hub.local(model, models_dir)
        return Description(
            model.alias,
            model.description,
            folder,
            model.layout,
            model.licence,
            model.dim,
            model.input_side,
            model.context,
            0 if folder else model.size,
            model.note,
        )
    if entry := _entry(name):
        of = f"From the package {entry.dist.name}." if entry.dist else ""
        return Description(entry.name, of, None, "", "", 0, 0, 0, 0, "")
    from pixseek.encoders import layouts

    folder = _folder(name)
    files = layouts.read(folder)
    rows = files.visual.embedding
    return Description(
        folder.name,
        "",
        folder,
        files.layout,
        "",
        (rows.shape[-1] if rows else 0) or files.dim,
        max(files.preprocessing.height, files.preprocessing.width),
        files.text.context or 0,
        0,
        "",
    )


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
