"""The layouts of torch models on disk, recognised by their files, never by a name.

    open_clip              open_clip_config.json and open_clip_model.safetensors, or
                           open_clip_pytorch_model.bin
    sentence-transformers  modules.json, and a folder for each module
    transformers           config.json, model.safetensors (or its parts with an index, or
                           pytorch_model.bin), preprocessor_config.json, tokenizer.json

What differs between families is in the table `families.FAMILIES`; the rest is in the files.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pixseek.encoders.configuration import read_json, text_limit, token, understood
from pixseek.encoders.inputs import preprocessing, tokens
from pixseek.encoders.inputs.preprocessing import Patches, Preprocessing
from pixseek.encoders.inputs.tokens import Cleaning, TextRules
from pixseek.encoders.torch.families import FAMILIES, INNER, UNKNOWN, Family
from pixseek.errors import MissingExtraError, ModelError, unknown
from pixseek.types.dataclass import dataclass

#: The files of each layout, for messages.
EXPECTED = {
    "open_clip": "open_clip_config.json, open_clip_model.safetensors",
    "sentence-transformers": "modules.json, and a folder for each module",
    "transformers": "config.json, model.safetensors, preprocessor_config.json, tokenizer.json",
}

_VOCABULARY = "bpe_simple_vocab_16e6.txt.gz"

#: Files that hold weights, best first; an index names its own.
_WEIGHTS = ("model.safetensors", "pytorch_model.bin")
_OPEN_CLIP_WEIGHTS = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")


@dataclass(frozen=True, slots=True)
class TorchFiles:
    """Where a model's parts are, and the rules they follow.

    Attributes:
        layout: one of `EXPECTED`.
        folder: passed to the family's library.
        package: that library.
        weights: all files that hold weights.
        architecture: the part of the configuration that defines the image tower.
        preprocessing: what the image tower expects; None for a text tower alone.
        text: what the text tower expects; its `file` is a folder if the family's own tokenizer
            must read it.
        masked: whether the text tower takes a mask.
        dim: length of the vectors; 0 if no file says it.
        code: program files of the model, which run when it is opened.
        modules: kind and folder of each module after a text tower of sentence-transformers.
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
    """Return the layout of `EXPECTED` that the files in `folder` have; None for none."""
    if (folder / "open_clip_config.json").is_file():
        return "open_clip"
    if (folder / "modules.json").is_file():
        return "sentence-transformers"
    if (folder / "config.json").is_file() and _weights(folder):
        return "transformers"
    return None


def read(folder: Path) -> TorchFiles:
    """Return the model in `folder`, which has one of the layouts, without loading it.

    Raises:
        ModelError: a part is missing or not supported.
    """
    layout = layout_of(folder)
    with understood(folder):
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
            "a model of this kind is not supported",
            f"model_type {kind!r} in {folder / 'config.json'}",
            unknown("model_type", kind, FAMILIES),
        )
    family = FAMILIES.get(kind, UNKNOWN)
    images = _image_processor(folder)
    patches = preprocessing.naflex_from_transformers(images, family.budgets)
    if family.budgets and patches is None:
        raise ModelError(
            "a model's preprocessing is not that of its family",
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
    """Return the model's program files that transformers would run."""
    named = config.get("auto_map") or {}
    # transformers keeps the entry in models whose code is now its own.
    if not named or config.get("model_type") in set(FAMILIES) - {"fgclip2"}:
        return ()
    elsewhere = [value for value in named.values() if "--" in str(value)]
    if elsewhere:
        raise ModelError(
            "a model needs program code that is not in its folder",
            f"{elsewhere[0]} in {folder / 'config.json'}",
            "Put the code into the folder and remove what stands before -- in auto_map.",
        )
    return tuple(sorted(folder.glob("*.py")))


def _image_processor(folder: Path) -> dict[str, Any]:
    """Return the content of `preprocessor_config.json`; transformers 5 may store it elsewhere."""
    whole = read_json(folder / "processor_config.json", optional=True)
    inner = whole.get("image_processor")
    if (folder / "preprocessor_config.json").is_file() or not isinstance(inner, dict):
        return read_json(folder / "preprocessor_config.json")
    return inner


def _text(folder: Path, config: Mapping[str, Any], family: Family) -> TextRules:
    extra = read_json(folder / "tokenizer_config.json", optional=True)
    inner = config.get("text_config") or {}
    # A BERT has 512 positions and was trained on a tenth of them.
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
            "a model has no weights", folder, f"Add one of {', '.join(_OPEN_CLIP_WEIGHTS)}."
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
        ModelError: it is neither in the folder nor known.
    """
    beside = read_json(folder / "config.json", optional=True)
    if beside.get("model_type") in {each["model_type"] for each in INNER.values()}:
        return beside
    known = INNER.get(name.rpartition("/")[2])
    if known is None:
        raise ModelError(
            "this text tower of another library inside open_clip is not supported",
            f"{name} in {folder / 'open_clip_config.json'}",
            f"Known are {', '.join(INNER)}; for another of these kinds, add its config.json. "
            "Or use the same model in an ONNX layout (from immich-app, for example).",
        )
    return known


def _image_size(config: Mapping[str, Any]) -> Any:
    return (config.get("vision_cfg") or {}).get("image_size", 224)


def _open_clip_text(
    folder: Path, text: Mapping[str, Any], inner: Mapping[str, Any] | None
) -> TextRules:
    """Return the rules that `open_clip.get_tokenizer` would follow."""
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
            "a tokenizer with these settings is not supported",
            f"{text.get('tokenizer_kwargs')} in {folder / 'open_clip_config.json'}",
        )
    # A tower that looks ahead, or pools not at the end-of-text token, sees the padding.
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
            # Such a tower masks the id that its configuration names.
            inner["pad_token_id"] if inner else token(extra.get("pad_token")),
            full=inner is None,
            left=_padded_left(file, extra),
        )
    return TextRules(_vocabulary(folder), context, cleanings[clean], 0, full=full)


def _vocabulary(folder: Path) -> Path:
    """Return OpenAI's vocabulary, which comes with the package open_clip."""
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
            raise ModelError("modules after both towers are not supported", folder / "modules.json")
        return replace(_transformers(inner), layout="sentence-transformers")
    if first != "Transformer" or [kind for kind, _ in modules].count("Pooling") != 1:
        raise ModelError(
            "not a text tower of sentence-transformers",
            folder / "modules.json",
            "It needs a Transformer and a Pooling, then optionally Dense or Normalize.",
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
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise ModelError(
            "a model's list of modules can't be read", folder / "modules.json", str(error)
        ) from error
    for kind, _ in modules:
        if kind not in _MODULES:
            raise ModelError(
                "a module of this kind is not supported",
                f"{kind} in {folder / 'modules.json'}",
                unknown("module", kind, _MODULES),
            )
    if not modules:
        raise ModelError("a model has no modules", folder / "modules.json")
    return modules


# ------------------------------------------------------------------ files


def _weights(folder: Path) -> tuple[Path, ...]:
    """Return the files of weights in a folder, in the better format."""
    for name in _WEIGHTS:
        if (folder / name).is_file():
            return (folder / name,)
        index = folder / f"{name}.index.json"
        if index.is_file():
            parts = read_json(index).get("weight_map") or {}
            return tuple(folder / part for part in sorted(set(map(str, parts.values()))))
    return ()


#: Keys that do not define an architecture and differ between versions of transformers.
_VOLATILE = frozenset({"transformers_version", "dtype", "torch_dtype", "architectures"})


def _architecture(config: Mapping[str, Any]) -> str:
    def lasting(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        kept = {k: v for k, v in value.items() if k not in _VOLATILE and not k.startswith("_")}
        return {key: lasting(inner) for key, inner in kept.items()}

    return json.dumps(lasting(dict(config)), sort_keys=True)
