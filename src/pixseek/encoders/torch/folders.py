"""The folders in which models for torch lie on disk, told by their files, never by a name.

    open_clip              open_clip_config.json and open_clip_model.safetensors, or
                           open_clip_pytorch_model.bin
    sentence-transformers  modules.json, and a folder for each module
    transformers           config.json, model.safetensors (or its parts with an index, or
                           pytorch_model.bin), preprocessor_config.json, tokenizer.json

What differs between families is in the table `FAMILIES`; all else is read from the files.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pixseek.encoders.configuration import read_json, text_limit, token
from pixseek.encoders.inputs import preprocessing, tokens
from pixseek.encoders.inputs.preprocessing import Patches, Preprocessing
from pixseek.encoders.inputs.tokens import Cleaning, TextRules
from pixseek.errors import MissingExtraError, ModelError, unknown
from pixseek.types.dataclass import dataclass

#: What each layout needs, for people.
EXPECTED = {
    "open_clip": "open_clip_config.json, open_clip_model.safetensors",
    "sentence-transformers": "modules.json, and a folder for each module",
    "transformers": "config.json, model.safetensors, preprocessor_config.json, tokenizer.json",
}

_VOCABULARY = "bpe_simple_vocab_16e6.txt.gz"

#: Files that hold weights, best first; those of an index are named in it.
_WEIGHTS = ("model.safetensors", "pytorch_model.bin")
_OPEN_CLIP_WEIGHTS = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")


@dataclass(frozen=True, slots=True)
class Family:
    """What transformers' configuration files leave out of a family.

    Attributes:
        context: the most tokens of text, where no file says it.
        dim: where its configuration says the length of the vectors, and what it is where that is
            left out.
        full: whether the text tower must see all its context.
        masked: whether the text tower takes a mask; the trainer of SigLIP's gave it none.
        cleaning: of texts.
        budgets: of patches, where the model chooses among several.
    """

    context: int
    dim: tuple[str, int]
    full: bool = False
    masked: bool = True
    cleaning: Cleaning = "none"
    budgets: tuple[int, ...] = ()


_HIDDEN = ("vision_config.hidden_size", 768)
_PROJECTED = ("projection_dim", 512)

#: By `model_type`. Contexts: the models' papers and configurations; 52 for Chinese-CLIP is that of
#: its authors (https://github.com/OFA-Sys/Chinese-CLIP, `tokenize`).
FAMILIES: Mapping[str, Family] = {
    "clip": Family(77, _PROJECTED),
    "siglip": Family(64, _HIDDEN, full=True, masked=False, cleaning="lower"),
    "siglip2": Family(64, _HIDDEN, full=True, masked=False, cleaning="lower"),
    "metaclip_2": Family(77, _PROJECTED),
    "chinese_clip": Family(52, _PROJECTED),
    "tipsv2": Family(64, _HIDDEN),
    # https://github.com/360CVGroup/FG-CLIP, README: `determine_max_value` and `walk_type="short"`.
    "fgclip2": Family(
        64,
        _HIDDEN,
        full=True,
        masked=False,
        cleaning="lower",
        budgets=(128, 256, 576, 784, 1024),
    ),
}

_ROBERTA = {
    "model_type": "roberta",
    "vocab_size": 50265,
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "max_position_embeddings": 514,
    "type_vocab_size": 1,
    "layer_norm_eps": 1e-5,
    "pad_token_id": 1,
    "bos_token_id": 0,
    "eos_token_id": 2,
}
_XLM_ROBERTA = _ROBERTA | {"model_type": "xlm-roberta", "vocab_size": 250002}
_NLLB = {
    "model_type": "m2m_100",
    "vocab_size": 256206,
    "d_model": 1024,
    "encoder_layers": 12,
    "decoder_layers": 12,
    "encoder_attention_heads": 16,
    "decoder_attention_heads": 16,
    "encoder_ffn_dim": 4096,
    "decoder_ffn_dim": 4096,
    "max_position_embeddings": 1024,
    "activation_function": "relu",
    "scale_embedding": True,
    "is_encoder_decoder": True,
    "pad_token_id": 1,
    "bos_token_id": 0,
    "eos_token_id": 2,
    "decoder_start_token_id": 2,
}

#: Text towers of transformers inside models of open_clip, which names them only; open_clip would
#: ask the hub for their configurations. Sizes that are wrong would not fit the weights.
INNER: Mapping[str, Mapping[str, Any]] = {
    "roberta-base": _ROBERTA,
    "xlm-roberta-base": _XLM_ROBERTA,
    "xlm-roberta-large": _XLM_ROBERTA
    | {
        "hidden_size": 1024,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "intermediate_size": 4096,
    },
    "nllb-200-distilled-600M": _NLLB,
    "nllb-200-distilled-1.3B": _NLLB
    | {
        "encoder_layers": 24,
        "decoder_layers": 24,
        "encoder_ffn_dim": 8192,
        "decoder_ffn_dim": 8192,
    },
}

#: Of a model that brings its own code and is not in the table: nothing is left out.
_UNKNOWN = Family(0, ("projection_dim", 0), full=True)


@dataclass(frozen=True, slots=True)
class TorchFiles:
    """Where a model's parts lie, and the rules they follow.

    Attributes:
        layout: one of `EXPECTED`.
        folder: what the family's library is given.
        package: that library.
        weights: all files that hold weights.
        architecture: what of the configuration defines the image tower.
        preprocessing: what the image tower wants; None for a text tower alone.
        text: what the text tower wants; its `file` is a folder where the family's own tokenizer
            must read it.
        masked: whether the text tower takes a mask.
        dim: length of the vectors; 0 where no file says it.
        code: program files that come with the model, and run when it is opened.
        modules: what follows a text tower of sentence-transformers, each with its folder.
        inner: configuration of a text tower of transformers inside a model of open_clip; None for
            open_clip's own.
    """

    layout: str
    folder: Path
    package: str
    weights: tuple[Path, ...]
    architecture: str
    preprocessing: Preprocessing | Patches | None
    text: TextRules
    masked: bool
    dim: int
    code: tuple[Path, ...] = ()
    modules: tuple[tuple[str, Path], ...] = ()
    inner: Mapping[str, Any] | None = None


def layout_of(folder: Path) -> str | None:
    """Return which of `EXPECTED` the files in `folder` make up; None for none."""
    if (folder / "open_clip_config.json").is_file():
        return "open_clip"
    if (folder / "modules.json").is_file():
        return "sentence-transformers"
    if (folder / "config.json").is_file() and _weights(folder):
        return "transformers"
    return None


def read(folder: Path) -> TorchFiles:
    """Return the model in `folder`, which is in one of the layouts, without loading it.

    Raises:
        ModelError: a part of it is missing or can't be used.
    """
    layout = layout_of(folder)
    if layout == "open_clip":
        return _open_clip(folder)
    if layout == "sentence-transformers":
        return _sentence_transformers(folder)
    return _transformers(folder)


# ------------------------------------------------------------------ transformers


def _transformers(folder: Path) -> TorchFiles:
    config = read_json(folder / "config.json")
    kind = str(config.get("model_type", ""))
    code = _code(folder, config)
    if kind not in FAMILIES and not code:
        raise ModelError(
            "a model of this kind can't be used",
            f"model_type {kind!r} in {folder / 'config.json'}",
            unknown("model_type", kind, FAMILIES),
        )
    family = FAMILIES.get(kind, _UNKNOWN)
    images = _image_processor(folder)
    patches = preprocessing.naflex_from_transformers(images, family.budgets)
    if family.budgets and patches is None:
        raise ModelError(
            "a model's preprocessing is not the one of its family",
            folder / "preprocessor_config.json",
        )
    return TorchFiles(
        layout="transformers",
        folder=folder,
        package="transformers",
        weights=_weights(folder),
        architecture=_architecture(
            {key: config.get(key) for key in ("model_type", "projection_dim", "vision_config")}
        ),
        preprocessing=patches or preprocessing.from_transformers(images),
        text=_text(folder, config, family),
        masked=_masked(folder, family),
        dim=_dim(config, family),
        code=code,
    )


def _code(folder: Path, config: Mapping[str, Any]) -> tuple[Path, ...]:
    """Return the program files that a model brings and transformers would run."""
    named = config.get("auto_map") or {}
    # Kept by transformers in the configuration of models whose code it has itself.
    if not named or config.get("model_type") in set(FAMILIES) - {"fgclip2"}:
        return ()
    elsewhere = [value for value in named.values() if "--" in str(value)]
    if elsewhere:
        raise ModelError(
            "a model wants program code that is not in its folder",
            f"{elsewhere[0]} in {folder / 'config.json'}",
            "Put the code into the folder, and take what stands before -- out of auto_map.",
        )
    return tuple(sorted(folder.glob("*.py")))


def _image_processor(folder: Path) -> dict[str, Any]:
    """Return what `preprocessor_config.json` holds; transformers 5 may write it elsewhere."""
    whole = read_json(folder / "processor_config.json", optional=True)
    inner = whole.get("image_processor")
    if (folder / "preprocessor_config.json").is_file() or not isinstance(inner, dict):
        return read_json(folder / "preprocessor_config.json")
    return inner


def _text(folder: Path, config: Mapping[str, Any], family: Family) -> TextRules:
    extra = read_json(folder / "tokenizer_config.json", optional=True)
    inner = config.get("text_config") or {}
    # A BERT has positions for 512 tokens and was trained on a tenth of them.
    positions = inner.get("max_position_embeddings")
    limits = [family.context, positions, text_limit(extra)]
    context = min((each for each in limits if each), default=0)
    file = folder / "tokenizer.json"
    return TextRules(
        file if file.is_file() else folder,
        context or None,
        family.cleaning,
        token(extra.get("pad_token")),
        full=family.full,
        left=_padded_left(file, extra),
    )


def _padded_left(file: Path, extra: Mapping[str, Any]) -> bool:
    said = extra.get("padding_side")
    if said is None and file.is_file():
        said = str((read_json(file).get("padding") or {}).get("direction", "right"))
    return str(said).lower() == "left"


def _masked(folder: Path, family: Family) -> bool:
    extra = read_json(folder / "tokenizer_config.json", optional=True)
    given = extra.get("model_input_names")
    return "attention_mask" in given if isinstance(given, list) else family.masked


def _dim(config: Mapping[str, Any], family: Family) -> int:
    path, default = family.dim
    found: Any = config
    for name in path.split("."):
        found = (found or {}).get(name)
    return found if isinstance(found, int) else default


# ------------------------------------------------------------------ open_clip


def _open_clip(folder: Path) -> TorchFiles:
    whole = read_json(folder / "open_clip_config.json")
    config = whole.get("model_cfg")
    if not isinstance(config, dict) or not isinstance(config.get("text_cfg"), dict):
        raise ModelError(
            "a model's configuration lacks model_cfg with text_cfg",
            folder / "open_clip_config.json",
        )
    text = config["text_cfg"]
    inner = _inner_config(folder, str(text["hf_model_name"])) if "hf_model_name" in text else None
    weights = next((folder / n for n in _OPEN_CLIP_WEIGHTS if (folder / n).is_file()), None)
    if weights is None:
        raise ModelError(
            "a model lacks its weights", folder, f"Put one of {', '.join(_OPEN_CLIP_WEIGHTS)} in."
        )
    defaults = {"size": _image_size(config)}
    return TorchFiles(
        layout="open_clip",
        folder=folder,
        package="open_clip",
        weights=(weights,),
        architecture=_architecture({k: v for k, v in config.items() if k != "text_cfg"}),
        preprocessing=preprocessing.from_open_clip(defaults | whole.get("preprocess_cfg", {})),
        text=_open_clip_text(folder, text, inner),
        masked=False,
        dim=int(config.get("embed_dim") or 0),
        inner=inner,
    )


def _inner_config(folder: Path, name: str) -> Mapping[str, Any]:
    """Return the configuration of a text tower of transformers inside a model of open_clip.

    Raises:
        ModelError: it is not there, and not known.
    """
    beside = read_json(folder / "config.json", optional=True)
    if beside.get("model_type") in {each["model_type"] for each in INNER.values()}:
        return beside
    known = INNER.get(name.rpartition("/")[2])
    if known is None:
        raise ModelError(
            "a text tower of another library inside open_clip can't be used",
            f"{name} in {folder / 'open_clip_config.json'}",
            f"Known are {', '.join(INNER)}; of another of these kinds, put its config.json beside. "
            "Or use the same model in an ONNX layout (of immich-app, for example).",
        )
    return known


def _image_size(config: Mapping[str, Any]) -> Any:
    return (config.get("vision_cfg") or {}).get("image_size", 224)


def _open_clip_text(
    folder: Path, text: Mapping[str, Any], inner: Mapping[str, Any] | None
) -> TextRules:
    """Return what `open_clip.get_tokenizer` would do."""
    given = dict(text.get("tokenizer_kwargs") or {})
    other = bool(text.get("hf_tokenizer_name"))
    clean = given.pop("clean", "whitespace" if other else "lower")
    cleanings: dict[str, Cleaning] = {
        "lower": "open_clip",
        "whitespace": "whitespace",
        "canonicalize": "canonical",
    }
    if given or clean not in cleanings or text.get("tokenizer_mode"):
        raise ModelError(
            "a tokenizer with these settings can't be used",
            f"{text.get('tokenizer_kwargs')} in {folder / 'open_clip_config.json'}",
        )
    # A tower that looks ahead, or pools elsewhere than at the end-of-text token, sees the filler.
    full = (
        bool(text.get("no_causal_mask") or text.get("embed_cls"))
        or text.get("pool_type", "argmax") != "argmax"
    )
    context = int(text.get("context_length") or tokens.CLIP_CONTEXT)
    if other:
        file = folder / "tokenizer.json"
        extra = read_json(folder / "tokenizer_config.json", optional=True)
        own = not file.is_file() or (inner or {}).get("model_type") == "m2m_100"
        return TextRules(
            folder if own else file,
            context,
            cleanings[clean],
            # Such a tower masks what has the id that its configuration names.
            inner["pad_token_id"] if inner else token(extra.get("pad_token")),
            full=inner is None,
            left=_padded_left(file, extra),
        )
    return TextRules(_vocabulary(folder), context, cleanings[clean], 0, full=full)


def _vocabulary(folder: Path) -> Path:
    """Return OpenAI's vocabulary, which the package open_clip carries."""
    if (folder / _VOCABULARY).is_file():
        return folder / _VOCABULARY
    package = find_spec("open_clip")
    places = package.submodule_search_locations if package else None
    if not places:
        raise MissingExtraError(f"the model in {folder}", "open_clip_torch", "torch")
    return Path(places[0]) / _VOCABULARY


# ------------------------------------------------------------------ sentence-transformers

_MODULES = ("Transformer", "CLIPModel", "Pooling", "Dense", "Normalize")


def _sentence_transformers(folder: Path) -> TorchFiles:
    modules = _modules(folder)
    first, inner = modules[0]
    config = read_json(inner / "config.json")
    if first == "CLIPModel" or config.get("model_type") in FAMILIES:
        if {kind for kind, _ in modules[1:]} - {"Normalize"}:
            raise ModelError("modules after both towers can't be used", folder / "modules.json")
        return replace(_transformers(inner), layout="sentence-transformers")
    if first != "Transformer" or [kind for kind, _ in modules].count("Pooling") != 1:
        raise ModelError(
            "this is no text tower of sentence-transformers",
            folder / "modules.json",
            "A Transformer and a Pooling are needed, and then Dense or Normalize.",
        )
    dim = 0
    for kind, place in modules[1:]:
        said = read_json(place / "config.json", optional=True)
        if kind == "Pooling":
            dim = int(said.get("embedding_dimension") or said.get("word_embedding_dimension") or 0)
        elif kind == "Dense":
            dim = int(said.get("out_features") or 0)
    weights = _weights(inner)
    for kind, place in modules[1:]:
        weights += _weights(place) if kind == "Dense" else ()
    extra = read_json(inner / "tokenizer_config.json", optional=True)
    limit = read_json(inner / "sentence_bert_config.json", optional=True).get("max_seq_length")
    limits = [limit, text_limit(extra), config.get("max_position_embeddings")]
    file = inner / "tokenizer.json"
    return TorchFiles(
        layout="sentence-transformers",
        folder=inner,
        package="transformers",
        weights=weights,
        architecture=_architecture({"text": config}),
        preprocessing=None,
        text=TextRules(
            file if file.is_file() else inner,
            min((each for each in limits if each), default=None),
            pad=token(extra.get("pad_token")),
            left=_padded_left(file, extra),
        ),
        masked=True,
        dim=dim,
        modules=tuple(modules[1:]),
    )


def _modules(folder: Path) -> list[tuple[str, Path]]:
    """Return kind and folder of each module, in order."""
    try:
        listed = json.loads((folder / "modules.json").read_text("utf-8"))
        modules = [(str(m["type"]).rpartition(".")[2], folder / str(m["path"])) for m in listed]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ModelError(
            "a model's list of modules can't be read", folder / "modules.json", str(error)
        ) from error
    for kind, _ in modules:
        if kind not in _MODULES:
            raise ModelError(
                "a module of this kind can't be used",
                f"{kind} in {folder / 'modules.json'}",
                unknown("module", kind, _MODULES),
            )
    if not modules:
        raise ModelError("a model has no modules", folder / "modules.json")
    return modules


# ------------------------------------------------------------------ files


def _weights(folder: Path) -> tuple[Path, ...]:
    """Return the files of weights in a folder, in the better of two formats."""
    for name in _WEIGHTS:
        if (folder / name).is_file():
            return (folder / name,)
        index = folder / f"{name}.index.json"
        if index.is_file():
            parts = read_json(index).get("weight_map") or {}
            return tuple(folder / part for part in sorted(set(map(str, parts.values()))))
    return ()


#: What says nothing of an architecture, and differs between versions of transformers.
_VOLATILE = frozenset({"transformers_version", "dtype", "torch_dtype", "architectures"})


def _architecture(config: Mapping[str, Any]) -> str:
    def lasting(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        kept = {k: v for k, v in value.items() if k not in _VOLATILE and not k.startswith("_")}
        return {key: lasting(inner) for key, inner in kept.items()}

    return json.dumps(lasting(dict(config)), sort_keys=True)
