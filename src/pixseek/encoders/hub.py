"""Fetch the catalogue's models from the Hugging Face hub, or a mirror of it, and check them.

A model's files lie in `models_dir/ALIAS/` under the paths they have on the hub. Each arrives
beside its place and is moved there when it is whole, and a model is used only when all its files
are there and have the pinned digests: what a broken download leaves is never taken for a model.
A cut connection is taken up where it was; after a killed process, the files that were whole are
kept, and the one that was not is fetched anew (huggingface_hub does so since it shares no partial
files between processes).
"""

from __future__ import annotations

import contextlib
import errno
import inspect
import io
import logging
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pixseek.encoders.catalogue import Model, RemoteFile
from pixseek.encoders.digests import Digests
from pixseek.errors import ModelError

#: Told of the file, the bytes that are there, and the bytes there will be (None when unknown).
OnProgress = Callable[[str, int, int | None], None]


def local(model: Model, models_dir: Path) -> Path | None:
    """Return the folder of a model whose files are all there; None otherwise. Asks no network."""
    folder = model.folder or models_dir / model.alias
    if model.folder:
        return folder if folder.is_dir() else None
    return folder if all(_there(folder, file) for file in model.files) else None


def fetch(
    model: Model,
    models_dir: Path,
    digests: Digests,
    *,
    offline: bool = False,
    on_progress: OnProgress | None = None,
) -> Path:
    """Return the folder of a model, downloading what is missing and checking what is new.

    Raises:
        ModelError: it is not there and can't be fetched, or what came is not what was pinned.
    """
    if not local(model, models_dir):
        if model.folder:
            raise ModelError(
                "this installation lacks a model that should come with it",
                f"{model.alias}, in {model.folder}",
                "Install pixseek again.",
            )
        if offline:
            raise _unavailable(
                model, models_dir, "it is not on this machine, and may not be fetched"
            )
        _download(model, models_dir, digests, on_progress)
    folder = model.folder or models_dir / model.alias
    for file in model.files:
        if file.sha256 and digests.of(folder / file.path) != file.sha256:
            raise ModelError(
                "a model file is not the one that was pinned",
                folder / file.path,
                "It may be damaged. Delete it, and it will be fetched again.",
            )
    return folder


def _there(folder: Path, file: RemoteFile) -> bool:
    try:
        size = (folder / file.path).stat().st_size
    except OSError:
        return False
    return not file.size or size == file.size


def _download(
    model: Model, models_dir: Path, digests: Digests, on_progress: OnProgress | None
) -> None:
    from filelock import FileLock

    folder = models_dir / model.alias
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # A second process waits here, and then finds the files.
        with FileLock(models_dir / f"{model.alias}.lock"):
            missing = [file for file in model.files if not _there(folder, file)]
            for file in missing[:1]:
                _ask_for(model, file, models_dir)
            for file in missing:
                _download_file(model, file, models_dir, on_progress)
                _check(model, file, models_dir, digests)
            # The client's notes, and the partial files of downloads that were killed.
            shutil.rmtree(folder / ".cache", ignore_errors=True)
    except OSError as error:
        raise ModelError(
            "a model can't be stored", folder, f"{error}. Is the disk full or read-only?"
        ) from error


def _check(model: Model, file: RemoteFile, models_dir: Path, digests: Digests) -> None:
    path = models_dir / model.alias / file.path
    found = digests.of(path)
    if found == (file.sha256 or found) and _there(models_dir / model.alias, file):
        return
    size = path.stat().st_size
    path.unlink()
    raise ModelError(
        "what was downloaded is not the file that was pinned",
        f"{file.path} of {model.repo}",
        f"Expected SHA-256 {file.sha256}, {file.size} bytes; got {found}, {size} bytes. It was "
        "deleted. Try again; if it happens again, the mirror or the repository is not to be "
        "trusted.",
    )


def _ask_for(model: Model, file: RemoteFile, models_dir: Path) -> None:
    """Ask the hub whether it has a file.

    Its client does so too, but tries an unreachable hub again and again, for 20 seconds; who has
    no network should hear of it at once.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_url

    url = hf_hub_url(model.repo, file.path, revision=model.revision)
    try:
        get_hf_file_metadata(url, timeout=10)
    except Exception as error:  # its own kinds and its HTTP library's
        raise _unavailable(model, models_dir, _reason(error)) from error


def _download_file(
    model: Model, file: RemoteFile, models_dir: Path, on_progress: OnProgress | None
) -> None:
    from huggingface_hub import hf_hub_download

    folder = models_dir / model.alias
    # What is there has not the pinned size; left there, the hub's client might keep it.
    (folder / file.path).unlink(missing_ok=True)
    # Before 1.1 huggingface_hub had no such argument, and drew its own bar.
    has_bar = "tqdm_class" in inspect.signature(hf_hub_download).parameters
    bar: dict[str, Any] = {"tqdm_class": _bar(file, on_progress)} if has_bar else {}
    try:
        with _quiet():
            hf_hub_download(
                model.repo,
                file.path,
                revision=model.revision,
                local_dir=folder,
                **bar,
            )
    except Exception as error:  # its own kinds, its HTTP library's, and the system's
        if isinstance(error, OSError) and error.errno in _DISK:
            raise
        raise _unavailable(model, models_dir, _reason(error)) from error
    if on_progress:
        size = (folder / file.path).stat().st_size
        on_progress(file.path, size, size)


#: System errors that are about the disk, not the network.
_DISK = frozenset({errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EDQUOT, errno.EFBIG, errno.EIO})


def _unavailable(model: Model, models_dir: Path, reason: str) -> ModelError:
    files = "\n".join(
        f"  {file.path}" + (f"  ({file.size:,} bytes)" if file.size else "") for file in model.files
    )
    return ModelError(
        "a model is not on this machine and could not be fetched",
        f"{model.alias} ({reason})",
        "Connect to the network and try again; or name a mirror of huggingface.co in the "
        "environment variable HF_ENDPOINT; or fetch these files elsewhere, from "
        f"https://huggingface.co/{model.repo}/tree/{model.revision},\n{files}\n"
        f"and put them into {models_dir / model.alias}. "
        "`--model demo` works without a network.",
    )


def _reason(error: Exception) -> str:
    """Return why a download failed, in a line: the error at the bottom is the telling one."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status:
        return f"{_endpoint()} answered {status}"
    bottom: BaseException = error
    while bottom.__cause__ is not None:
        bottom = bottom.__cause__
    if type(bottom).__name__ == "OfflineModeIsEnabled":
        return "HF_HUB_OFFLINE is set"
    said = str(bottom).strip().split("\n", 1)[0] or type(bottom).__name__
    return f"{_endpoint()}: {said}"


def _endpoint() -> str:
    from huggingface_hub import constants

    return str(constants.ENDPOINT)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the hub's client from writing to the terminal; what matters is raised."""
    logger = logging.getLogger("huggingface_hub")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _bar(file: RemoteFile, on_progress: OnProgress | None) -> type:
    """Return a progress bar class for the hub's client that calls `on_progress` and draws nothing.

    The client makes one bar a file, or two (received, written), which are told apart by nothing:
    the further one counts.
    """
    from tqdm import tqdm  # type: ignore[import-untyped, unused-ignore]

    class Nowhere(io.TextIOBase):
        def write(self, text: str) -> int:
            return len(text)

    done = 0

    class Bar(tqdm):  # type: ignore[misc, type-arg, unused-ignore]
        def __init__(self, *args: Any, **options: Any) -> None:
            options.pop("name", None)
            super().__init__(*args, **options | {"file": Nowhere(), "disable": False})
            self.update(0)

        def update(self, n: float | None = 1) -> Any:
            nonlocal done
            shown = super().update(n)
            total = file.size or (int(self.total) if self.total else None)
            done = max(done, int(self.n) if total is None else min(int(self.n), total))
            if on_progress:
                on_progress(file.path, done, total)
            return shown

    return Bar
