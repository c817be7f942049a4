"""What the configuration files of torch models do not say, as data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pixseek.encoders.inputs.tokens import Cleaning
from pixseek.types.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Family:
    """What transformers' configuration files do not say about a family.

    Attributes:
        context: the most tokens of text, if no file says it.
        dim: key of the vectors' length in the configuration, and the length if that is missing.
        full: whether the text tower must see its whole context.
        masked: whether the text tower takes a mask; SigLIP was trained without one.
        cleaning: of texts.
        budgets: numbers of patches, if the model chooses among several.
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

#: For a model that brings its own code and is not in the table: its files say everything.
UNKNOWN = Family(0, ("projection_dim", 0), full=True)

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

#: Text towers of transformers inside models of open_clip, which gives only their names and would
#: ask the hub for the rest. A wrong size would not fit the weights.
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
