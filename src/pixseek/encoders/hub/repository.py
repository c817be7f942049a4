"""What a repository of the hub holds: which layout, which files, which licence."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pixseek.encoders.hub import client, pins
from pixseek.encoders.hub.consent import Consents
from pixseek.encoders.hub.model import ANY, ANY_CLASSIFIER, Model, RemoteFile, Source
from pixseek.encoders.hub.pins import Pin
from pixseek.errors import LicenceError, MissingExtraError, ModelError

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

#: The file that each layout must have. A repository that the catalogue does not list has the first
#: layout whose file is there, as a folder has (`layouts.layout_of`, then `torch.layout_of`).
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
    """Return the files of a repository that make up a model of this layout.

    If weights are there in two formats, the safer one, which runs no code, is fetched.
    """
    found = [path for path in paths if re.fullmatch(_WANTED[layout], path)]
    safe = {path.rpartition("/")[0] for path in found if path.endswith(".safetensors")}
    return sorted(
        path
        for path in found
        if path.rpartition("/")[0] not in safe or not re.search(r"\.bin(\.index\.json)?$", path)
    )


def ask(model: Model, models_dir: Path) -> Pin:
    """Ask the hub what it has of a model, write it down, and return it.

    Raises:
        ModelError: the hub can't be reached or does not have the model.
        LicenceError: its licence, which only the hub knows, was not accepted.
        MissingExtraError: the package that runs models of this layout is not installed.
    """
    from huggingface_hub import HfApi

    source = model.source
    try:
        with client.quiet():
            info = HfApi().model_info(
                source.repo, revision=source.revision or None, files_metadata=True, timeout=10
            )
    except Exception as error:  # its own kinds and its HTTP library's
        raise unavailable(model, models_dir, client.reason(error)) from error
    held = {each.rfilename: each for each in info.siblings or ()}
    licence = ""
    if source.layout in (ANY, ANY_CLASSIFIER):
        source, licence = replace(source, layout=_layout(source, held, info)), _licence_on_hub(info)
        restricted = licence.lower() not in _FREE
        check_licence(replace(model, licence=licence, restricted=restricted), models_dir)
    if _NEEDED[source.layout] not in held:
        raise ModelError(
            "a repository on the hub no longer holds this model",
            f"{_NEEDED[source.layout]} in {source.repo} at {info.sha}",
            "Choose another model: pixseek models",
        )
    files = tuple(
        RemoteFile(path, lfs.sha256 if (lfs := held[path].lfs) else "", held[path].size or 0)
        for path in wanted(source.layout, held)
    )
    known = Pin(source.repo, str(info.sha or source.revision), files, licence)
    pins.record(models_dir / model.folder_name, known)
    return known


#: Licences that allow every use, as the hub names them. Any other must be accepted first, and so
#: must a repository that names none.
_FREE = frozenset(
    {"mit", "apache-2.0", "bsd", "bsd-2-clause", "bsd-3-clause", "isc", "unlicense", "cc0-1.0",
     "cc-by-3.0", "cc-by-4.0"}
)  # fmt: skip


def _licence_on_hub(info: Any) -> str:
    """Return the licence that a repository's page names, or a text that says it names none."""
    card = info.card_data or {}
    said = card.get("license") or "no licence named"
    name = card.get("license_name") if said == "other" else said
    return str(name[0] if isinstance(name, list) else name or said)


def _layout(source: Source, held: Iterable[str], info: Any) -> str:
    """Return the layout of a repository that the catalogue does not list.

    Raises:
        ModelError: it holds no model that pixseek can use.
        MissingExtraError: the package that runs it is not installed.
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
        kinds = (
            ""
            if classifies
            else f"; with transformers, model_type must be one of {', '.join(torch.FAMILIES)}"
        )
        raise ModelError(
            "a repository on the hub holds no model that pixseek can use",
            f"{source.repo} ({kind or 'no model_type'})",
            f"It needs one of {', '.join(needed.values())}{kinds}.",
        )
    if layout in (*torch.EXPECTED, "torch-classifier") and find_spec("torch") is None:
        raise MissingExtraError(f"the model {source.repo}", "torch", "torch")
    return layout


def licence_of(model: Model) -> str:
    """Return what is remembered when a user accepts the licence of a model."""
    return f"{model.alias.partition(':')[0]}: {model.licence}"


def check_licence(model: Model, models_dir: Path) -> None:
    """Raise LicenceError if a model's licence must be accepted first and was not."""
    if model.restricted and not Consents(models_dir).given("licence", licence_of(model)):
        alias = model.alias.partition(":")[0]
        raise LicenceError(
            model.licence,
            "this model has a licence that you must accept first",
            f"{model.alias}: {model.licence}",
            f"Read it at https://huggingface.co/{model.source.repo}. To accept it:\n"
            f"pixseek models download {alias} --accept-licence",
        )


def unavailable(model: Model, models_dir: Path, reason: str) -> ModelError:
    """Return the error for a model that could not be fetched, with all ways to get it."""
    known = pins.pin(model, models_dir)
    if model.source.layout in (ANY, ANY_CLASSIFIER):  # it may have been meant as a path
        reason = f"no such folder here; on the hub: {reason}"
    if known:
        files = ":\n" + "".join(
            f"  {file.path}" + (f"  ({file.size:,} bytes)\n" if file.size else "\n")
            for file in known.files
        )
    else:
        from pixseek.encoders import layouts, torch

        expected = layouts.EXPECTED | torch.EXPECTED
        layout = model.source.layout
        files = (
            f":\n  {expected.get(layout) or f'{_NEEDED[layout]}, and all *.json next to it'}\n"
            if layout in _NEEDED
            else "\n"
        )
    revision = (known.revision if known else model.source.revision) or "main"
    folder = models_dir / model.folder_name
    classifies = model.source.layout.endswith("classifier")
    option = "--labels-from" if classifies else "--model"
    by_hand = (
        f"and put them into {folder}"
        if model.source.files
        else f"and put them into a folder of their own and name it: {option} {folder}"
    )
    without = (
        "No download is needed to use your own labels: --labels 'a lake,a cat'"
        if classifies
        else "No download is needed for drawn pictures: --model demo"
    )
    online = (
        "Allow the network (no --offline, PIXSEEK_OFFLINE or HF_HUB_OFFLINE) and try again"
        if "offline" in reason.lower()
        else "Connect to the network and try again"
    )
    return ModelError(
        "the model is not on this machine and could not be downloaded",
        f"{model.alias} ({reason})",
        f"{online}, or set HF_ENDPOINT to a mirror of huggingface.co.\n"
        "Or download these files on another machine from\n"
        f"https://huggingface.co/{model.source.repo}/tree/{revision}{files}{by_hand}\n{without}",
    )
