"""The towers of a model, opened and run by its family's own library."""

from __future__ import annotations

import contextlib
import json
import logging
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from pixseek.encoders.configuration import read_json
from pixseek.encoders.runtimes.towers import first_line
from pixseek.encoders.torch.folders import TorchFiles
from pixseek.errors import ModelError, unknown

if TYPE_CHECKING:
    from torch import Tensor, nn


class Towers(Protocol):
    """An open model, in float32 on the CPU.

    Attributes:
        module: the whole model.
    """

    module: nn.Module

    def images(self, batch: Tensor) -> Tensor:
        """Return (n, dim) vectors, not normalised, for n prepared images."""
        ...

    def texts(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Return (n, dim) vectors, not normalised, for (n, length) token ids and their mask."""
        ...


def open_towers(files: TorchFiles) -> Towers:
    """Open the towers with their own library.

    Raises:
        ModelError: they can't be opened, or weights are missing.
    """
    opening: Callable[[TorchFiles], Towers] = {
        "open_clip": OpenClip,
        "transformers": Transformers,
        "sentence-transformers": SentenceTransformers if files.modules else Transformers,
    }[files.layout]
    try:
        with quiet():
            towers = opening(files)
    except ModelError:
        raise
    except Exception as error:  # these libraries raise many kinds
        raise ModelError("a model can't be opened", files.folder, _bottom(error)) from error
    towers.module.eval().requires_grad_(False)
    return towers


def _bottom(error: Exception) -> str:
    """Return the first error: transformers hides a failed import behind others."""
    while isinstance(under := error.__cause__, Exception):
        error = under
    return f"{type(error).__name__}: {first_line(error)}"


class Transformers:
    """Any model of transformers with `get_image_features` and `get_text_features`."""

    def __init__(self, files: TorchFiles) -> None:
        """Open the model."""
        import transformers

        kind = transformers.AutoModel
        if files.code:
            named = read_json(files.folder / "config.json")["auto_map"]
            kind = next(
                (getattr(transformers, name) for name in ("AutoModel", "AutoModelForCausalLM")
                 if name in named), kind,
            )  # fmt: skip
        self.module = _opened(kind, files.folder, code=bool(files.code))
        self._masked = files.masked
        self._patches = files.preprocessing is not None and len(files.preprocessing.shape) == 2

    def images(self, batch: Tensor) -> Tensor:
        """Return vectors; see `Towers`."""
        features = self.module.get_image_features
        if not self._patches:
            return _vectors(features(pixel_values=batch))
        places = batch[..., -2:].long()
        there = places[..., 0] > 0
        # Rows beyond the fullest image of the batch are padding: they only take time.
        used = int(there.sum(1).max())
        return _vectors(
            features(
                pixel_values=batch[:, :used, :-2],
                pixel_attention_mask=there[:, :used].long(),
                spatial_shapes=places.amax(1),
            )
        )

    def texts(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Return vectors; see `Towers`."""
        given = {"attention_mask": mask} if self._masked else {}
        return _vectors(self.module.get_text_features(input_ids=ids, **given))


class OpenClip:
    """Any model of open_clip."""

    def __init__(self, files: TorchFiles) -> None:
        """Open the model, with a text tower that accepts short texts."""
        import open_clip

        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as temporary:
            more = {}
            if files.inner is not None:  # in a folder, so that open_clip doesn't ask the hub
                (Path(temporary) / "config.json").write_text(json.dumps(dict(files.inner)), "utf-8")
                text = read_json(files.folder / "open_clip_config.json")["model_cfg"]["text_cfg"]
                where = {"hf_model_name": temporary, "hf_model_pretrained": False}
                more = {"text_cfg": text | where}
            self.module = open_clip.create_model(
                f"local-dir:{files.folder}", force_custom_text=True, require_pretrained=True, **more
            )

    def images(self, batch: Tensor) -> Tensor:
        """Return vectors; see `Towers`."""
        found: Tensor = self.module.encode_image(batch)
        return found

    def texts(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Return vectors; see `Towers`."""
        text: Any = self.module.text
        whole = getattr(text, "attn_mask", None)
        if whole is not None:
            # It has the size of full-length texts, and open_clip doesn't always cut it.
            text.attn_mask = whole[: ids.shape[1], : ids.shape[1]]
        try:
            found: Tensor = text(ids)
        finally:
            if whole is not None:
                text.attn_mask = whole
        return found


class SentenceTransformers:
    """A text tower of sentence-transformers: a transformer, pooling, and dense layers."""

    def __init__(self, files: TorchFiles) -> None:
        """Open the model."""
        import transformers
        from torch import nn

        self._folder = files.folder
        self._after = [kind for kind, _ in files.modules]
        self._pooling = next(_pooling(place) for kind, place in files.modules if kind == "Pooling")
        dense = [_dense(place) for kind, place in files.modules if kind == "Dense"]
        # BERT's own pooler is not used, and often missing from the file.
        model = _opened(transformers.AutoModel, files.folder, unused="pooler.")
        self.module = nn.ModuleList([model, *dense])

    def images(self, batch: Tensor) -> Tensor:
        """Raise: there is no image tower."""
        raise ModelError("this model reads only texts", self._folder)

    def texts(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Return vectors; see `Towers`."""

        model, *dense = self.module
        states = model(input_ids=ids, attention_mask=mask).last_hidden_state
        seen = mask[..., None].to(states.dtype)
        if self._pooling == "cls":
            # The first token that is not padding, which may be on either side. Not by an index:
            # that would fix the number of texts in an exported graph.
            rows = (states * (seen * (seen.cumsum(1) == 1))).sum(1)
        elif self._pooling == "max":
            rows = states.masked_fill(seen == 0, -1e9).amax(1)
        else:
            rows = (states * seen).sum(1) / seen.sum(1).clamp(min=1e-9)
        for layer in dense:
            rows = layer(rows)
        found: Tensor = rows
        return found


_POOLINGS = ("mean", "cls", "max")
_LEGACY = {
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
}


def _pooling(folder: Path) -> str:
    """Return how a Pooling module makes one vector, from its old or new configuration."""
    config = read_json(folder / "config.json")
    modes = config.get("pooling_mode") or [
        _LEGACY.get(key, key) for key, on in config.items() if key.startswith("pooling_") and on
    ]
    modes = [modes] if isinstance(modes, str) else list(modes)
    if len(modes) != 1 or modes[0] not in _POOLINGS:
        raise ModelError(
            "this kind of pooling is not supported",
            f"{', '.join(map(str, modes)) or 'none'} in {folder / 'config.json'}",
            unknown("pooling", modes[0] if modes else "", _POOLINGS),
        )
    return str(modes[0])


_ACTIVATIONS = ("Identity", "Tanh", "ReLU", "GELU", "SiLU")


def _dense(folder: Path) -> nn.Module:
    """Return a Dense module: a linear layer and its activation."""
    import torch
    from torch import nn

    config = read_json(folder / "config.json")
    # The default is Tanh, as in sentence-transformers' Dense.
    name = str(config.get("activation_function") or "Tanh").rpartition(".")[2]
    if name not in _ACTIVATIONS or config.get("use_residual"):
        raise ModelError(
            "this kind of dense layer is not supported",
            folder / "config.json",
            unknown("activation", name, _ACTIVATIONS),
        )
    linear = nn.Linear(
        config["in_features"], config["out_features"], bias=bool(config.get("bias", True))
    )
    safe = folder / "model.safetensors"
    if safe.is_file():
        from safetensors.torch import load_file

        weights = load_file(safe)
    else:
        weights = torch.load(folder / "pytorch_model.bin", map_location="cpu", weights_only=True)
    linear.load_state_dict(
        {key.removeprefix("linear."): value.float() for key, value in weights.items()}
    )
    return nn.Sequential(linear, getattr(nn, name)())


def _opened(kind: Any, folder: Path, *, code: bool = False, unused: str = "\0") -> nn.Module:
    """Return a model of transformers in float32.

    Raises:
        ModelError: weights are missing, other than those whose names start with `unused`.
    """
    import torch

    model, told = kind.from_pretrained(
        folder,
        local_files_only=True,
        trust_remote_code=code,
        dtype=torch.float32,
        output_loading_info=True,
    )
    # transformers would fill them with random numbers.
    lacking = sorted(key for key in map(str, told["missing_keys"]) if not key.startswith(unused))
    if lacking:
        raise ModelError(
            "a model lacks weights", folder, f"{len(lacking)} are missing, such as {lacking[0]}."
        )
    opened: nn.Module = model
    return opened


def _vectors(output: Any) -> Tensor:
    """Return the projected vectors, which transformers 5 wraps in an object."""
    found: Tensor = getattr(output, "pooler_output", output)
    return found


#: Loggers of libraries that open and trace models.
_TALKATIVE = ("transformers", "open_clip", "timm", "torch.onnx", "onnxscript", "onnx_ir")


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep these libraries from writing to the terminal; real problems are raised."""
    import transformers.utils.logging as theirs

    loggers = [logging.getLogger(name) for name in _TALKATIVE]
    levels = [logger.level for logger in loggers]
    bars = theirs.is_progress_bar_enabled()
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    theirs.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        if bars:
            theirs.enable_progress_bar()
