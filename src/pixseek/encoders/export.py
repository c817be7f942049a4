"""Export a torch model as a folder for ONNX Runtime."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from pixseek.encoders import layouts, parity
from pixseek.encoders.hub import catalogue, pins
from pixseek.encoders.inputs.preprocessing import Preprocessing
from pixseek.encoders.onnx import OnnxEncoder
from pixseek.encoders.parity import Parity, Stored
from pixseek.encoders.torch import TorchEncoder
from pixseek.encoders.torch.own_tokens import tokens_of
from pixseek.errors import ModelError, unknown

if TYPE_CHECKING:
    from pixseek.types import Encoder, Picture

#: File in an export with its origin, its agreement with the original, and its files' digests.
RECORD = "pixseek-export.json"

#: Larger weights, in bytes, are stored in a file next to the graph: a protocol buffer holds at
#: most 2 GiB (https://onnx.ai/onnx/repo-docs/ExternalData.html).
INLINE_BYTES = 1_900_000_000


def export(
    encoder: Encoder,
    folder: Path,
    pictures: Iterable[Picture],
    *,
    precision: Stored = "fp32",
    models_dir: Path | None = None,
    inline_bytes: int = INLINE_BYTES,
) -> Parity:
    """Write a torch model in the immich layout; return how close it is to the original.

    The folder appears only if the export is complete and agrees with the original. Its fingerprint
    differs from the original's, because its files do, so a library made with one doesn't accept
    the other.

    Args:
        encoder: a torch model, in float32 on the CPU.
        folder: the folder to write; it must be missing or empty.
        pictures: pictures on which to compare the two; at least one.
        precision: type of the stored weights; computation stays in 32 bits.
        models_dir: folder of downloaded models, to record the original's revision.
        inline_bytes: maximum size of weights inside the graph file.

    Raises:
        ModelError: the model can't be exported, the export doesn't agree with it, or the folder is
            not empty or can't be written.
        MissingExtraError: a package that writes ONNX is not installed.
    """
    known = get_args(Stored)
    if precision not in known:
        raise ModelError(
            "unknown precision of an export", precision, unknown("precision", precision, known)
        )
    original = _exportable(encoder)
    try:
        if os.path.exists(folder) and any(folder.iterdir()):
            raise ModelError("the folder to export to is not empty", folder, "Name a new folder.")
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(
            dir=folder.parent, prefix=".pixseek-export-", ignore_cleanup_errors=True
        ) as temporary:
            place = Path(temporary) / folder.name
            _write(original, place, precision, inline_bytes)
            found = _checked(original, place, pictures, precision)
            _record(original, place, precision, found, models_dir)
            if os.path.exists(folder):
                folder.rmdir()
            place.rename(folder)
    except OSError as error:
        raise ModelError(
            "an exported model can't be stored", folder, f"{error}. Is the disk full or read-only?"
        ) from error
    return found


def _exportable(encoder: Encoder) -> TorchEncoder:
    if not isinstance(encoder, TorchEncoder):
        raise ModelError(
            "only a model that torch runs can be exported",
            encoder.name,
            "If torch can run it too, add :torch to its name. If it pairs a text tower with "
            "another model's images, export each by itself.",
        )
    if encoder.files.preprocessing is None:
        raise ModelError("a model without an image tower can't be exported", encoder.name)
    if not isinstance(encoder.files.preprocessing, Preprocessing):
        raise ModelError(
            "a model that reads pictures in their own shape can't be exported",
            encoder.name,
            "The ONNX graph of its position embeddings gives different vectors than torch. "
            "Use it with torch, or use the variant with a fixed size.",
        )
    return encoder


def _write(original: TorchEncoder, folder: Path, precision: Stored, inline_bytes: int) -> None:
    from pixseek.encoders.torch.graphs import write_graphs

    files, tokens = original.files, tokens_of(original.files.text)
    assert isinstance(files.preprocessing, Preprocessing)
    tokenizer = tokens.to_json()  # first: this may fail, and the rest takes minutes
    towers = [folder / name / "model.onnx" for name in ("visual", "textual")]
    with tempfile.TemporaryDirectory(dir=folder.parent, ignore_cleanup_errors=True) as temporary:
        traced = [Path(temporary) / tower.parent.name / tower.name for tower in towers]
        for path in (*towers, *traced):
            path.parent.mkdir(parents=True, exist_ok=True)
        write_graphs(original, *traced)
        for path, tower in zip(traced, towers, strict=True):
            _finish(path, tower, precision, inline_bytes)
    _write_tokenizer(tokenizer, tokens.pad_id, folder / "textual" / "tokenizer.json")
    _write_json(folder / "visual" / "preprocess_cfg.json", _pixels(files.preprocessing))
    rule = original.likelihood()
    baked_in = files.text.cleaning in ("none", "lower")
    _write_json(
        folder / "config.json",
        {
            "embed_dim": original.dim,
            "context_length": tokens.context,
            "full_context": files.text.full,
            "cleaning": "none" if baked_in else files.text.cleaning,
            "pad_id": tokens.pad_id,
            "padding_side": "left" if files.text.left else "right",
            "logit_scale": rule and rule.scale,
            "logit_bias": rule and rule.bias,
        },
    )


def _finish(traced: Path, tower: Path, precision: Stored, inline_bytes: int) -> None:
    """Write a graph in its final form."""
    import onnx

    from pixseek.encoders.weights import shrink

    model = onnx.load(traced)
    for node in model.graph.node:  # the tracer's notes can be larger than the weights
        del node.metadata_props[:]
        node.doc_string = ""
    del model.graph.value_info[:]
    del model.graph.metadata_props[:]
    if precision != "fp32":
        shrink(model, whole=precision == "int8")
    size = sum(len(each.raw_data) for each in model.graph.initializer)
    onnx.save_model(
        model,
        tower,
        save_as_external_data=size > inline_bytes,
        location=f"{tower.name}_data",
    )


def _write_tokenizer(written: str, pad_id: int, path: Path) -> None:
    """Write a tokenizer that pads to the longest text of a batch, which its tower allows."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_str(written)
    tokenizer.enable_padding(pad_id=pad_id, pad_token=tokenizer.id_to_token(pad_id) or "[PAD]")
    tokenizer.save(str(path), pretty=False)


def _pixels(wanted: Preprocessing) -> dict[str, Any]:
    """Return open_clip's configuration, with additional keys for settings that it lacks."""
    return {
        "size": [wanted.height, wanted.width],
        "mode": "RGB",
        "mean": wanted.mean,
        "std": wanted.std,
        "interpolation": wanted.interpolation,
        "resize_mode": "shortest" if wanted.edge and wanted.height == wanted.width else "squash",
        "resize_edge": wanted.edge,
        "crop_rounding": wanted.crop,
    }


def _checked(
    original: TorchEncoder, folder: Path, pictures: Iterable[Picture], precision: Stored
) -> Parity:
    written = OnnxEncoder(layouts.read(folder), name=folder.name, digest=_digest)
    found = parity.compare(original, written, pictures)
    if short := found.shortfall(precision):
        raise ModelError(
            "an export gives different vectors than the model, and was not kept",
            original.name,
            f"{short[0].upper()}{short[1:]}. Use the model with torch"
            f"{', or export it with --precision fp32' if precision != 'fp32' else ''}.",
        )
    return found


def _record(
    original: TorchEncoder,
    folder: Path,
    precision: Stored,
    found: Parity,
    models_dir: Path | None,
) -> None:
    model = catalogue.find(original.name) or catalogue.on_hub(original.name)
    pin = pins.pin(model, models_dir) if model and models_dir else None
    _write_json(
        folder / RECORD,
        {
            "from": {
                "name": original.name,
                "repo": pin.repo if pin else "",
                "revision": pin.revision if pin else "",
                "fingerprint": original.fingerprint,
                "weights": {path.name: _digest(path) for path in original.files.weights},
            },
            "precision": precision,
            "by": {name: version(name) for name in ("pixseek", "torch", "onnx")},
            "parity": {
                "images": found.images,
                "image_cosine_least": found.image_least,
                "image_cosine_median": found.image_median,
                "texts": found.texts,
                "text_cosine_least": found.text_least,
                "text_cosine_median": found.text_median,
                "recall_at_10_agreement": found.ranks,
            },
            "files": {
                path.relative_to(folder).as_posix(): _digest(path)
                for path in sorted(folder.rglob("*"))
                if os.path.isfile(path)
            },
        },
    )


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=1) + "\n", "utf-8")
