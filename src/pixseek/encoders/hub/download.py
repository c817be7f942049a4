"""Fetch models from the Hugging Face hub, or a mirror of it, and check them.

A model's files lie in `models_dir/ALIAS/` under the paths they have on the hub. Each arrives
beside its place and is moved there when it is whole, and a model is used only when all its files
are there and have the pinned digests: what a broken download leaves is never taken for a model.
Of a model whose files the catalogue does not list, the hub is asked once which there are; the
commit, the files and their digests are written down in `RECORD` and are its pins from then on.
So it is with a repository that the catalogue does not list at all; what it holds then also says
which layout it has, and its page which licence.
A cut connection is taken up where it was; after a killed process, the files that were whole are
kept, and the one that was not is fetched anew (huggingface_hub does so since it shares no partial
files between processes).
"""

from __future__ import annotations

import contextlib
import errno
import io
import json
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pixseek.encoders.hub.catalogue import ANY, ANY_CLASSIFIER, Model, RemoteFile, Source
from pixseek.encoders.hub.consent import Consents
from pixseek.encoders.hub.digests import Digests
from pixseek.errors import LicenceError, MissingExtraError, ModelError
from pixseek.types.dataclass import dataclass

#: Told of the file, the bytes that are there, and the bytes there will be (None when unknown).
OnProgress = Callable[[str, int, int | None], None]


#: What was fetched of a model whose files the catalogue does not list, kept beside them.
RECORD = "pixseek-download.json"


@dataclass(frozen=True, slots=True)
class Pin:
    """Exactly what a model is: files of one commit.

    Attributes:
        repo: of the hub.
        revision: the commit.
        files: all that belong to the model.
        licence: as its page names it; "" where the catalogue has it.
    """

    repo: str
    revision: str
    files: tuple[RemoteFile, ...]
    licence: str = ""


def pin(model: Model, models_dir: Path) -> Pin | None:
    """Return what a model is; None where only the hub knows. Asks no network."""
    if not model.sources or model.source.files:
        source = model.source if model.sources else Source("", "")
        return Pin(source.repo, source.revision, source.files)
    return _recorded(models_dir / model.folder_name)


def local(model: Model, models_dir: Path) -> Path | None:
    """Return the folder of a model whose files are all there; None otherwise. Asks no network."""
    if model.folder:
        return model.folder if model.folder.is_dir() else None
    folder = models_dir / model.folder_name
    known = pin(model, models_dir)
    return folder if known and all(_there(folder, file) for file in known.files) else None


def downloaded(models_dir: Path) -> list[str]:
    """Return the ids of the models that were fetched by their ids, sorted. Asks no network."""
    records = sorted(models_dir.glob(f"*--*/{RECORD}"))
    return [record.parent.name.replace("--", "/", 1) for record in records]


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
        ModelError: it is not there and can't be fetched, or may not be before its licence is
            agreed to; or what came is not what was pinned.
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
        _check_licence(model, models_dir)
        _download(model, models_dir, digests, on_progress)
    folder = model.folder or models_dir / model.folder_name
    known = pin(model, models_dir)
    for file in known.files if known else ():
        if file.sha256 and digests.of(folder / file.path) != file.sha256:
            raise ModelError(
                "a model file is not the one that was pinned",
                folder / file.path,
                "It may be damaged. Delete it, and it will be fetched again.",
            )
    return folder


def remove(model: Model, models_dir: Path) -> int:
    """Delete the folder of a model; return how many bytes that freed.

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


def _check_licence(model: Model, models_dir: Path) -> None:
    if model.restricted and not Consents(models_dir).given("licence", licence_of(model)):
        alias = model.alias.partition(":")[0]
        raise LicenceError(
            model.licence,
            "this model has a licence that must be agreed to first",
            f"{model.alias}: {model.licence}",
            f"It is at https://huggingface.co/{model.source.repo}. If you agree to it:\n"
            f"pixseek models download {alias} --accept-licence",
        )


def licence_of(model: Model) -> str:
    """Return what a yes to a model's licence is a yes to."""
    return f"{model.alias.partition(':')[0]}: {model.licence}"


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

    folder = models_dir / model.folder_name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # A second process waits here, and then finds the files.
        with FileLock(models_dir / f"{model.folder_name}.lock"):
            known = pin(model, models_dir) or _asked_for(model, models_dir)
            missing = [file for file in known.files if not _there(folder, file)]
            for file in missing[:1]:
                _ask_for(model, known, file, models_dir)
            for file in missing:
                _download_file(model, known, file, models_dir, on_progress)
                _check(model, file, models_dir, digests)
            if not model.source.files:
                whole = tuple(replace(f, sha256=digests.of(folder / f.path)) for f in known.files)
                _record(folder, replace(known, files=whole))
            # The client's notes, and the partial files of downloads that were killed.
            shutil.rmtree(folder / ".cache", ignore_errors=True)
    except OSError as error:
        raise ModelError(
            "a model can't be stored", folder, f"{error}. Is the disk full or read-only?"
        ) from error


# ------------------------------------------------------------------ what a repository holds

_TEXTS = r"[^/]+\.(json|txt|model)"
_SHARDS = r"(model[^/]*\.safetensors|pytorch_model[^/]*\.bin)"

#: What is fetched for each layout: patterns of paths.
_WANTED = {
    "xenova": rf"{_TEXTS}|onnx/(vision|text)_model\.onnx[^/]*",
    "immich": r"config\.json|(visual|textual)/[^/]+",
    "transformers": rf"{_TEXTS}|[^/]+\.py|{_SHARDS}",
    "open_clip": rf"{_TEXTS}|open_clip_(model\.safetensors|pytorch_model\.bin)",
    "sentence-transformers": rf"([0-9]_[^/]+/)?({_TEXTS}|{_SHARDS})",
    "onnx-classifier": rf"{_TEXTS}|onnx/model\.onnx[^/]*",
    "torch-classifier": rf"{_TEXTS}|{_SHARDS}",
}

#: Without which a repository holds no such model; of one that the catalogue does not list, the
#: first that it holds counts, as for a folder (`layouts.layout_of`, then `torch.layout_of`).
_NEEDED = {
    "xenova": "onnx/vision_model.onnx",
    "immich": "visual/model.onnx",
    "open_clip": "open_clip_config.json",
    "sentence-transformers": "modules.json",
    "transformers": "config.json",
    "onnx-classifier": "onnx/model.onnx",
    "torch-classifier": "config.json",
}


def wanted(layout: str, paths: Iterable[str]) -> list[str]:
    """Return which files of a repository make up a model of this layout.

    Weights that are there in two formats are fetched in the safer one, which runs no code.
    """
    found = [path for path in paths if re.fullmatch(_WANTED[layout], path)]
    safe = {path.rpartition("/")[0] for path in found if path.endswith(".safetensors")}
    return sorted(
        path
        for path in found
        if path.rpartition("/")[0] not in safe or not re.search(r"\.bin(\.index\.json)?$", path)
    )


def _asked_for(model: Model, models_dir: Path) -> Pin:
    """Return what the hub has of a model, and write it down.

    Raises:
        ModelError: the hub is out of reach, or has no such model; or its licence, which only the
            hub knows, is not agreed to.
        MissingExtraError: what would run a model of this layout is not installed.
    """
    from huggingface_hub import HfApi

    source = model.source
    try:
        with _quiet():
            info = HfApi().model_info(
                source.repo, revision=source.revision or None, files_metadata=True, timeout=10
            )
    except Exception as error:  # its own kinds and its HTTP library's
        raise _unavailable(model, models_dir, _reason(error)) from error
    held = {each.rfilename: each for each in info.siblings or ()}
    licence = ""
    if source.layout in (ANY, ANY_CLASSIFIER):
        source, licence = replace(source, layout=_layout(source, held, info)), _licence_on_hub(info)
        restricted = licence.lower() not in _FREE
        _check_licence(replace(model, licence=licence, restricted=restricted), models_dir)
    if _NEEDED[source.layout] not in held:
        raise ModelError(
            "a repository of the hub holds no such model any more",
            f"{_NEEDED[source.layout]} in {source.repo} at {info.sha}",
            "Choose another model: pixseek models",
        )
    files = tuple(
        RemoteFile(path, lfs.sha256 if (lfs := held[path].lfs) else "", held[path].size or 0)
        for path in wanted(source.layout, held)
    )
    known = Pin(source.repo, str(info.sha or source.revision), files, licence)
    _record(models_dir / model.folder_name, known)
    return known


#: Licences that forbid no use, as the hub calls them. Any other is asked for, and so is none.
_FREE = frozenset(
    {"mit", "apache-2.0", "bsd", "bsd-2-clause", "bsd-3-clause", "isc", "unlicense", "cc0-1.0",
     "cc-by-3.0", "cc-by-4.0"}
)  # fmt: skip


def _licence_on_hub(info: Any) -> str:
    """Return the licence that the page of a repository names, or that it names none."""
    card = info.card_data or {}
    said = card.get("license") or "no licence named"
    name = card.get("license_name") if said == "other" else said
    return str(name[0] if isinstance(name, list) else name or said)


def _layout(source: Source, held: Iterable[str], info: Any) -> str:
    """Return the layout of a repository that the catalogue does not list.

    Raises:
        ModelError: it holds no model that could be used.
        MissingExtraError: what runs it is not installed.
    """
    from pixseek.encoders import torch

    there = set(held)
    classifies = source.layout == ANY_CLASSIFIER
    needed = {n: file for n, file in _NEEDED.items() if n.endswith("classifier") == classifies}
    layout = next((name for name, file in needed.items() if file in there), "")
    kind = str((info.config or {}).get("model_type") or "")
    unknown_kind = layout == "transformers" and kind not in torch.FAMILIES
    brings_code = any(path.endswith(".py") for path in there)
    if not layout or (unknown_kind and not brings_code):
        kinds = "" if classifies else f"; of transformers' kinds {', '.join(torch.FAMILIES)}"
        raise ModelError(
            "a repository of the hub holds no model that could be used",
            f"{source.repo} ({kind or 'of no kind'})",
            f"It needs one of {', '.join(needed.values())}{kinds}.",
        )
    if layout in (*torch.EXPECTED, "torch-classifier") and find_spec("torch") is None:
        raise MissingExtraError(f"the model {source.repo}", "torch", "torch")
    return layout


def _record(folder: Path, known: Pin) -> None:
    temporary = folder / f"{RECORD}.new"
    temporary.write_text(json.dumps(asdict(known), indent=1), "utf-8")
    temporary.replace(folder / RECORD)


def _recorded(folder: Path) -> Pin | None:
    try:
        kept = json.loads((folder / RECORD).read_text("utf-8"))
        files = tuple(RemoteFile(**file) for file in kept["files"])
        return Pin(str(kept["repo"]), str(kept["revision"]), files, str(kept.get("licence", "")))
    except (OSError, ValueError, TypeError, KeyError):
        return None


# ------------------------------------------------------------------ files


def _check(model: Model, file: RemoteFile, models_dir: Path, digests: Digests) -> None:
    path = models_dir / model.folder_name / file.path
    found = digests.of(path)
    if found == (file.sha256 or found) and _there(models_dir / model.folder_name, file):
        return
    size = path.stat().st_size
    path.unlink()
    raise ModelError(
        "what was downloaded is not the file that was pinned",
        f"{file.path} of {model.source.repo}",
        f"Expected SHA-256 {file.sha256}, {file.size} bytes; got {found}, {size} bytes. It was "
        "deleted. Try again; if it happens again, the mirror or the repository is not to be "
        "trusted.",
    )


def _ask_for(model: Model, known: Pin, file: RemoteFile, models_dir: Path) -> None:
    """Ask the hub whether it has a file.

    Its client does so too, but tries an unreachable hub again and again, for 20 seconds; who has
    no network should hear of it at once.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_url

    url = hf_hub_url(known.repo, file.path, revision=known.revision)
    try:
        get_hf_file_metadata(url, timeout=10)
    except Exception as error:  # its own kinds and its HTTP library's
        raise _unavailable(model, models_dir, _reason(error)) from error


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
    # What is there has not the pinned size; left there, the hub's client might keep it.
    (folder / file.path).unlink(missing_ok=True)
    # Before 1.1 huggingface_hub had no such argument, and drew its own bar.
    has_bar = "tqdm_class" in inspect.signature(hf_hub_download).parameters
    bar: dict[str, Any] = {"tqdm_class": _bar(file, on_progress)} if has_bar else {}
    try:
        with _quiet():
            hf_hub_download(
                known.repo,
                file.path,
                revision=known.revision,
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
    known = pin(model, models_dir)
    if model.source.layout in (ANY, ANY_CLASSIFIER):  # it may have been meant as a path
        reason = f"no such folder here; of the hub: {reason}"
    if known:
        files = ":\n" + "\n".join(
            f"  {file.path}" + (f"  ({file.size:,} bytes)" if file.size else "")
            for file in known.files
        )
    else:
        from pixseek.encoders import layouts, torch

        expected = layouts.EXPECTED | torch.EXPECTED
        layout = model.source.layout
        files = (
            f": {expected.get(layout) or f'{_NEEDED[layout]}, and all *.json beside it'}"
            if layout in _NEEDED
            else ""
        )
    revision = (known.revision if known else model.source.revision) or "main"
    folder = models_dir / model.folder_name
    classifies = model.source.layout.endswith("classifier")
    option = "--labels-from" if classifies else "--model"
    by_hand = (
        f"and put them into {folder}. "
        if model.source.files
        else f"and put them into a folder of their own, and name that folder: {option} {folder}. "
    )
    without = (
        "Without it, give the labels yourself: --labels 'a lake,a cat'."
        if classifies
        else "`--model demo` works without a network."
    )
    return ModelError(
        "a model is not on this machine and could not be fetched",
        f"{model.alias} ({reason})",
        "Connect to the network and try again; or name a mirror of huggingface.co in the "
        "environment variable HF_ENDPOINT; or fetch these files elsewhere, from "
        f"https://huggingface.co/{model.source.repo}/tree/{revision}{files}\n{by_hand}{without}",
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
    import logging

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
