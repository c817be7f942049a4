"""Which files a model is made of, and whether they are on this machine. No network."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from pixseek.encoders.hub.model import Model, RemoteFile, Source
from pixseek.types.dataclass import dataclass

#: File next to a model that the catalogue does not pin: which commit and files were fetched.
RECORD = "pixseek-download.json"


@dataclass(frozen=True, slots=True)
class Pin:
    """What a model is, exactly: files of one commit.

    Attributes:
        repo: of the hub.
        revision: the commit.
        files: all files of the model.
        licence: as its page names it; "" if the catalogue has it.
    """

    repo: str
    revision: str
    files: tuple[RemoteFile, ...]
    licence: str = ""


def pin(model: Model, models_dir: Path) -> Pin | None:
    """Return what a model is; None if only the hub knows."""
    if not model.sources or model.source.files:
        source = model.source if model.sources else Source("", "")
        return Pin(source.repo, source.revision, source.files)
    return _recorded(models_dir / model.folder_name)


def local(model: Model, models_dir: Path) -> Path | None:
    """Return the folder of a model; None if a file of it is missing."""
    if model.folder:
        return model.folder if model.folder.is_dir() else None
    folder = models_dir / model.folder_name
    known = pin(model, models_dir)
    return folder if known and all(is_there(folder, file) for file in known.files) else None


def downloaded(models_dir: Path) -> list[str]:
    """Return the ids of the models that were fetched by id, sorted."""
    records = sorted(models_dir.glob(f"*--*/{RECORD}"))
    return [record.parent.name.replace("--", "/", 1) for record in records]


def is_there(folder: Path, file: RemoteFile) -> bool:
    """Return whether a file of a model is there and has its pinned size, if one is known."""
    try:
        size = (folder / file.path).stat().st_size
    except OSError:
        return False
    return not file.size or size == file.size


def record(folder: Path, known: Pin) -> None:
    """Write down in a model's folder what the model is."""
    temporary = folder / f"{RECORD}.new"
    temporary.write_text(json.dumps(asdict(known), indent=1), "utf-8")
    temporary.replace(folder / RECORD)


def _recorded(folder: Path) -> Pin | None:
    try:
        kept = json.loads((folder / RECORD).read_text("utf-8"))
        files = tuple(RemoteFile(**file) for file in kept["files"])
        return Pin(str(kept["repo"]), str(kept["revision"]), files, str(kept.get("licence", "")))
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
