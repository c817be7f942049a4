"""Fetch models from the Hugging Face hub, or a mirror of it, and check them.

A model's files lie in `models_dir/ALIAS/` under the paths they have on the hub. Each is downloaded
next to its place and moved there when it is complete. A model is used only if all its files are
there and have the pinned digests, so a broken download is never taken for a model.

If the catalogue does not list the files of a model, the hub is asked once; the commit, the files
and their digests are recorded (`pins.RECORD`) and pin the model from then on. The same holds for a
repository that the catalogue does not list at all; its files then also tell the layout, and its
page the licence.

After a lost connection a download resumes. After a killed process the complete files are kept and
the incomplete one is downloaded again: huggingface_hub shares no partial files between processes.
"""

from __future__ import annotations

import errno
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from pixseek.config import make_folder
from pixseek.encoders.hub import client, pins, repository
from pixseek.encoders.hub.client import OnProgress
from pixseek.encoders.hub.digests import Digests
from pixseek.encoders.hub.model import Model, RemoteFile
from pixseek.encoders.hub.pins import Pin
from pixseek.errors import ModelError

__all__ = ["OnProgress", "fetch", "remove"]

#: System errors that are about the disk, not the network.
_DISK = frozenset({errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EDQUOT, errno.EFBIG, errno.EIO})


def fetch(
    model: Model,
    models_dir: Path,
    digests: Digests,
    *,
    offline: bool = False,
    on_progress: OnProgress | None = None,
) -> Path:
    """Return the folder of a model; download what is missing and check what is new.

    Raises:
        ModelError: it is missing and can't be downloaded, or a file is not the pinned one.
        LicenceError: it is missing, and its licence was not accepted.
    """
    if not pins.local(model, models_dir):
        if model.folder:
            raise ModelError(
                "a model that comes with pixseek is missing",
                f"{model.alias}, in {model.folder}",
                "Reinstall pixseek.",
            )
        if offline:
            raise repository.unavailable(model, models_dir, "offline mode is on")
        repository.check_licence(model, models_dir)
        _download(model, models_dir, digests, on_progress)
    folder = model.folder or models_dir / model.folder_name
    known = pins.pin(model, models_dir)
    for file in known.files if known else ():
        if file.sha256 and digests.of(folder / file.path) != file.sha256:
            raise ModelError(
                "a model file differs from the pinned one",
                folder / file.path,
                "It may be damaged. Delete it to download it again.",
            )
    return folder


def remove(model: Model, models_dir: Path) -> int:
    """Delete the folder of a model and return how many bytes that freed.

    Raises:
        ModelError: it can't be deleted.
    """
    from filelock import FileLock

    folder = models_dir / model.folder_name
    if not folder.is_dir():
        return 0
    try:
        with FileLock(models_dir / f"{model.folder_name}.lock"):
            freed = sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())
            shutil.rmtree(folder)
    except OSError as error:
        raise ModelError("a model can't be deleted", folder, str(error)) from error
    return freed


def _download(
    model: Model, models_dir: Path, digests: Digests, on_progress: OnProgress | None
) -> None:
    from filelock import FileLock

    folder = models_dir / model.folder_name
    try:
        make_folder(folder)
        # A second process waits here and then finds the files.
        with FileLock(models_dir / f"{model.folder_name}.lock"):
            known = pins.pin(model, models_dir) or repository.ask(model, models_dir)
            missing = [file for file in known.files if not pins.is_there(folder, file)]
            for file in missing[:1]:
                _ask_for(model, known, file, models_dir)
            for file in missing:
                _download_file(model, known, file, models_dir, on_progress)
                _check(model, file, models_dir, digests)
            if not model.source.files:
                whole = tuple(replace(f, sha256=digests.of(folder / f.path)) for f in known.files)
                pins.record(folder, replace(known, files=whole))
            # The client's notes, and partial files of killed downloads.
            shutil.rmtree(folder / ".cache", ignore_errors=True)
    except OSError as error:
        raise ModelError(
            "a model can't be stored", folder, f"{error}. Is the disk full or read-only?"
        ) from error


def _check(model: Model, file: RemoteFile, models_dir: Path, digests: Digests) -> None:
    path = models_dir / model.folder_name / file.path
    found = digests.of(path)
    if found == (file.sha256 or found) and pins.is_there(models_dir / model.folder_name, file):
        return
    size = path.stat().st_size
    path.unlink()
    raise ModelError(
        "a downloaded file differs from the pinned one",
        f"{file.path} of {model.source.repo}",
        f"Expected SHA-256 {file.sha256}, {file.size} bytes; got {found}, {size} bytes. It was "
        "deleted. Try again; if it happens again, do not trust the mirror or the repository.",
    )


def _ask_for(model: Model, known: Pin, file: RemoteFile, models_dir: Path) -> None:
    """Ask the hub whether it has a file.

    Its client does so too, but retries for 20 seconds; without a network the user should be told
    at once.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_url

    url = hf_hub_url(known.repo, file.path, revision=known.revision)
    try:
        get_hf_file_metadata(url, timeout=10)
    except Exception as error:  # its own errors and those of its HTTP library
        raise repository.unavailable(model, models_dir, client.reason(error)) from error


def _download_file(
    model: Model,
    known: Pin,
    file: RemoteFile,
    models_dir: Path,
    on_progress: OnProgress | None,
) -> None:
    import inspect

    from huggingface_hub import hf_hub_download

    folder = models_dir / model.folder_name
    # A file there has the wrong size; the client might keep it.
    (folder / file.path).unlink(missing_ok=True)
    # huggingface_hub before 1.1 has no such argument and draws its own bar.
    has_bar = "tqdm_class" in inspect.signature(hf_hub_download).parameters
    bar: dict[str, Any] = {"tqdm_class": client.bar(file, on_progress)} if has_bar else {}
    try:
        with client.quiet():
            hf_hub_download(
                known.repo,
                file.path,
                revision=known.revision,
                local_dir=folder,
                **bar,
            )
    except Exception as error:  # its own errors, its HTTP library's, the system's
        if isinstance(error, OSError) and error.errno in _DISK:
            raise
        raise repository.unavailable(model, models_dir, client.reason(error)) from error
    if on_progress:
        size = (folder / file.path).stat().st_size
        on_progress(file.path, size, size)
