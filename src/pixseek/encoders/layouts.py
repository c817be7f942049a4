"""The layouts of ONNX models on disk, recognised by their files, never by a name.

    xenova   onnx/vision_model*.onnx, onnx/text_model*.onnx, config.json,
             preprocessor_config.json, tokenizer.json       (Xenova, onnx-community)
    immich   visual/model.onnx, visual/preprocess_cfg.json,
             textual/model.onnx, textual/tokenizer.json, config.json          (immich-app)
    rclip    visual.onnx, textual.onnx, and OpenAI's vocabulary next to them, in tokenizer/,
             or in ../tokenizer/; or all that in a subfolder                   (rclip-models)
    qdrant   *vision*/model.onnx, *text*/model.onnx, each with its configuration files
             (Qdrant/clip-ViT-B-32-vision and -text, side by side)

Names, types and lengths of inputs and outputs are read from the graphs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

from pixseek.encoders.configuration import read_json, text_limit, there, token, understood
from pixseek.encoders.inputs import preprocessing, tokens
from pixseek.encoders.inputs.preprocessing import Preprocessing
from pixseek.encoders.inputs.tokens import Cleaning, TextRules
from pixseek.encoders.runtimes import graph
from pixseek.encoders.runtimes.graph import Graph
from pixseek.errors import ModelError
from pixseek.types import Likelihood
from pixseek.types.dataclass import dataclass

_VOCABULARY = "bpe_simple_vocab_16e6.txt.gz"

#: The files of each layout, for messages.
EXPECTED = {
    "xenova": "onnx/vision_model.onnx, onnx/text_model.onnx, config.json, "
    "preprocessor_config.json, tokenizer.json",
    "immich": "visual/model.onnx, visual/preprocess_cfg.json, textual/model.onnx, "
    "textual/tokenizer.json, config.json",
    "rclip": f"visual.onnx, textual.onnx, tokenizer/{_VOCABULARY}",
    "qdrant": "a folder *vision* with model.onnx and preprocessor_config.json, and a folder "
    "*text* with model.onnx and tokenizer.json",
}


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """A model's parts and its rules.

    Attributes:
        layout: one of `EXPECTED`.
        visual: the image tower.
        textual: the text tower.
        preprocessing: the preprocessing of images.
        text: the rules for texts.
        dim: length of the vectors; 0 if the configuration doesn't state it.
        likelihood: the map from cosines to probabilities, if the configuration has it.
    """

    layout: str
    visual: Graph
    textual: Graph
    preprocessing: Preprocessing
    text: TextRules
    dim: int
    likelihood: Likelihood | None = None


def layout_of(folder: Path) -> str | None:
    """Return the layout, of `EXPECTED`, of the files in `folder`; None for none."""
    return next((name for name, (find, _) in _LAYOUTS.items() if find(folder)), None)


def read(folder: Path) -> ModelFiles:
    """Return the model in `folder`, without loading it.

    Raises:
        ModelError: the folder has no model in a known layout, or a part of it can't be used.
    """
    for find, build in _LAYOUTS.values():
        towers = find(folder)
        if towers:
            graphs = [graph.read(tower) for tower in towers]
            with understood(folder):
                return build(folder, *graphs)
    raise no_model(folder)


def no_model(folder: Path) -> ModelError:
    """Return the error for a folder without a model in a known layout of any runtime."""
    from pixseek.encoders import torch

    wanted = "\n".join(f"  {name}: {files}" for name, files in (EXPECTED | torch.EXPECTED).items())
    return ModelError(
        "no model in a known layout",
        folder,
        f"Expected one of:\n{wanted}\nFound: {_listing(folder)}.",
    )


def _listing(folder: Path) -> str:
    try:
        names = sorted(
            p.relative_to(folder).as_posix()
            for pattern in ("*", "*/*")
            for p in folder.glob(pattern)
            if p.is_file() and not p.name.startswith(".")
        )
    except OSError as error:
        return f"nothing that can be read ({error})"
    # A name with a line break must not look like a message of its own.
    shown = ", ".join(each if each.isprintable() else ascii(each) for each in names[:20])
    return f"{shown} and {len(names) - 20} more" if len(names) > 20 else shown or "no files"


# ------------------------------------------------------------------ recognising a layout

Towers = tuple[Path, Path] | None


def _find_xenova(folder: Path) -> Towers:
    for place in (folder / "onnx", folder):
        vision, text = _variant(place, "vision_model"), _variant(place, "text_model")
        if vision and text:
            return vision, text
    return None


def _variant(folder: Path, stem: str) -> Path | None:
    """Return the most precise file of a tower: float32, otherwise half, otherwise any."""
    for name in (f"{stem}.onnx", f"{stem}_fp16.onnx"):
        if (folder / name).is_file():
            return folder / name
    return min(folder.glob(f"{stem}_*.onnx"), default=None)


def _find_immich(folder: Path) -> Towers:
    towers = folder / "visual" / "model.onnx", folder / "textual" / "model.onnx"
    return towers if all(tower.is_file() for tower in towers) else None


def _find_rclip(folder: Path) -> Towers:
    for visual in (folder / "visual.onnx", *sorted(folder.glob("*/visual.onnx"))):
        textual = visual.with_name("textual.onnx")
        if visual.is_file() and textual.is_file():
            return visual, textual
    return None


def _find_qdrant(folder: Path) -> Towers:
    vision = sorted(folder.glob("*vision*/model.onnx"))
    text = sorted(folder.glob("*text*/model.onnx"))
    return (vision[0], text[0]) if len(vision) == 1 and len(text) == 1 else None


# ------------------------------------------------------------------ reading the configuration


def _xenova(folder: Path, visual: Graph, textual: Graph) -> ModelFiles:
    config = read_json(folder / "config.json")
    return ModelFiles(
        "xenova",
        visual,
        textual,
        preprocessing.from_transformers(read_json(folder / "preprocessor_config.json")),
        _transformers_text(folder, config, textual),
        _number(config.get("projection_dim")),
    )


def _qdrant(folder: Path, visual: Graph, textual: Graph) -> ModelFiles:
    vision, text = visual.path.parent, textual.path.parent
    config = read_json(text / "config.json", optional=True)
    return ModelFiles(
        "qdrant",
        visual,
        textual,
        preprocessing.from_transformers(read_json(vision / "preprocessor_config.json")),
        _transformers_text(text, config, textual),
        _number(config.get("projection_dim")),
    )


def _transformers_text(folder: Path, config: dict[str, Any], textual: Graph) -> TextRules:
    """Return the rules of a text tower from transformers.

    SigLIP's has no mask, pools the last of its positions, and needs lower-case text
    (https://huggingface.co/docs/transformers/model_doc/siglip2); everything else its published
    tokenizer does is in tokenizer.json.
    """
    siglip = "siglip" in str(config.get("model_type", ""))
    inner = config.get("text_config") or {}
    extra = read_json(folder / "tokenizer_config.json", optional=True)
    context = (
        _context(textual)
        or _number(inner.get("max_position_embeddings", config.get("max_position_embeddings")))
        or text_limit(extra)
        or (64 if siglip else None)
    )
    return TextRules(
        there(folder / "tokenizer.json"),
        context,
        "lower" if siglip else "none",
        token(extra.get("pad_token")),
        full=siglip,
    )


def _immich(folder: Path, visual: Graph, textual: Graph) -> ModelFiles:
    config = read_json(folder / "config.json", optional=True)
    text = config.get("text_cfg") or {}
    extra = read_json(textual.path.with_name("tokenizer_config.json"), optional=True)
    canonical = (text.get("tokenizer_kwargs") or {}).get("clean") == "canonicalize"
    cleaning: Cleaning = (
        "canonical" if canonical else "lower" if config.get("lowercase") else "none"
    )
    pad = config.get("pad_id")
    return ModelFiles(
        "immich",
        visual,
        textual,
        _immich_pixels(read_json(visual.path.with_name("preprocess_cfg.json"))),
        TextRules(
            there(textual.path.with_name("tokenizer.json")),
            _context(textual)
            or _number(text.get("context_length", config.get("context_length")))
            or text_limit(extra),
            config["cleaning"] if config.get("cleaning") in get_args(Cleaning) else cleaning,
            pad if isinstance(pad, int) else token(extra.get("pad_token")),
            full=bool(text.get("no_causal_mask") or config.get("full_context"))
            or text.get("pool_type") == "last",
            left=config.get("padding_side") == "left",
        ),
        _number(config.get("embed_dim")),
        _likelihood(config),
    )


def _immich_pixels(config: dict[str, Any]) -> Preprocessing:
    """Return open_clip's preprocessing, with the keys that `export` adds to its file."""
    found = preprocessing.from_open_clip(config)
    return replace(
        found,
        edge=_number(config.get("resize_edge", found.edge)),
        crop="floor" if config.get("crop_rounding") == "floor" else found.crop,
    )


def _rclip(folder: Path, visual: Graph, textual: Graph) -> ModelFiles:
    place = visual.path.parent
    vocabularies = [
        found
        for near in (place, place / "tokenizer", place.parent / "tokenizer")
        for found in (sorted(near.glob("*.txt.gz")) or sorted(near.glob("tokenizer.json")))
    ]
    if not vocabularies:
        raise ModelError(
            "a model lacks its vocabulary", place, f"Put {_VOCABULARY} there or into tokenizer/."
        )
    image = visual.image
    # The layout has no file for it. These models are open_clip's, with CLIP's preprocessing, and
    # 256 pixels if the graph leaves the size free.
    height, width = (image.shape[2] or 256, image.shape[3] or 256) if image else (256, 256)
    file = vocabularies[0]
    return ModelFiles(
        "rclip",
        visual,
        textual,
        Preprocessing(height, width, edge=max(height, width)),
        TextRules(
            file,
            _context(textual) or tokens.CLIP_CONTEXT,
            "open_clip" if file.suffix == ".gz" else "none",
            pad=0,
        ),
        0,
    )


def _context(textual: Graph) -> int | None:
    """Return the number of tokens that the graph is fixed to; None if it is free."""
    port = textual.tokens
    return port.shape[1] if port and len(port.shape) == 2 else None


def _likelihood(config: dict[str, Any]) -> Likelihood | None:
    """Return the learned scale and bias in a configuration; None if it lacks them.

    Models on the hub lack them, but `export` writes them.
    """
    scale, bias = config.get("logit_scale"), config.get("logit_bias")
    if not isinstance(scale, int | float):
        return None
    return Likelihood(float(scale), float(bias) if isinstance(bias, int | float) else None)


def _number(value: object) -> int:
    return value if isinstance(value, int) and value > 0 else 0


_Find = Callable[[Path], Towers]
_Build = Callable[[Path, Graph, Graph], ModelFiles]
_LAYOUTS: dict[str, tuple[_Find, _Build]] = {
    "xenova": (_find_xenova, _xenova),
    "immich": (_find_immich, _immich),
    "rclip": (_find_rclip, _rclip),
    "qdrant": (_find_qdrant, _qdrant),
}
