"""Tiny models in every layout, built with the onnx package."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

DIM = 8
SIDE = 16
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *"a red dog cat blue car on the beach".split()]


def visual_graph(
    path: Path,
    *,
    given: str = "pixel_values",
    gives: str = "image_embeds",
    batch: int | str = "n",
    side: int | str = SIDE,
    external: bool = False,
    constant: float | None = None,
) -> None:
    """Write an image tower: the means of four quarters times a matrix (or always `constant`)."""
    weights = np.random.default_rng(1).standard_normal((12, DIM)).astype(np.float32)
    bias = np.zeros(DIM, np.float32)
    if constant is not None:
        weights, bias = weights * 0, bias + np.float32(constant)
    nodes = [
        helper.make_node("AveragePool", [given], ["p"], kernel_shape=[8, 8], strides=[8, 8]),
        helper.make_node("Flatten", ["p"], ["f"]),
        helper.make_node("Gemm", ["f", "w", "b"], [gives]),
    ]
    if constant is not None:  # 0 * NaN is not zero: don't use the input
        nodes[1:2] = [
            helper.make_node("Flatten", ["p"], ["g"]),
            helper.make_node("Mul", ["g", "zero"], ["f"]),
        ]
    graph = helper.make_graph(
        nodes,
        "visual",
        [helper.make_tensor_value_info(given, TensorProto.FLOAT, [batch, 3, side, side])],
        [helper.make_tensor_value_info(gives, TensorProto.FLOAT, [batch, DIM])],
        [
            numpy_helper.from_array(weights, "w"),
            numpy_helper.from_array(bias, "b"),
            numpy_helper.from_array(np.zeros((1, 12), np.float32), "zero"),
        ],
    )
    _save(graph, path, external=external)


def text_graph(
    path: Path,
    *,
    given: str = "input_ids",
    gives: str = "text_embeds",
    batch: int | str = "n",
    length: int | str = "t",
    dtype: int = TensorProto.INT64,
    mask: bool = True,
    vocabulary: int = len(WORDS),
    dim: int | str = DIM,
    more_outputs: bool = False,
) -> None:
    """Write a text tower: the mean (under the mask) of an embedding of each token."""
    table = np.random.default_rng(2).standard_normal((vocabulary, DIM)).astype(np.float32)
    inputs = [helper.make_tensor_value_info(given, dtype, [batch, length])]
    nodes = [helper.make_node("Gather", ["table", given], ["e"])]
    if mask:
        inputs.append(helper.make_tensor_value_info("attention_mask", dtype, [batch, length]))
        nodes += [
            helper.make_node("Cast", ["attention_mask"], ["m"], to=TensorProto.FLOAT),
            helper.make_node("Unsqueeze", ["m", "last"], ["mm"]),
            helper.make_node("Mul", ["e", "mm"], ["em"]),
            helper.make_node("ReduceSum", ["em", "middle"], [gives], keepdims=0),
        ]
    else:
        nodes.append(helper.make_node("ReduceSum", ["e", "middle"], [gives], keepdims=0))
    outputs = [helper.make_tensor_value_info(gives, TensorProto.FLOAT, [batch, dim])]
    if more_outputs:
        nodes.append(helper.make_node("Identity", ["e"], ["last_hidden_state"]))
        outputs.insert(
            0,
            helper.make_tensor_value_info(
                "last_hidden_state", TensorProto.FLOAT, [batch, length, DIM]
            ),
        )
    graph = helper.make_graph(
        nodes,
        "textual",
        inputs,
        outputs,
        [
            numpy_helper.from_array(table, "table"),
            numpy_helper.from_array(np.array([2], np.int64), "last"),
            numpy_helper.from_array(np.array([1], np.int64), "middle"),
        ],
    )
    _save(graph, path)


def clip_text_graph(
    path: Path,
    *,
    given: str = "input",
    gives: str = "output",
    batch: int | str = "n",
    length: int = 77,
    dtype: int = TensorProto.INT64,
    looks_ahead: bool = False,
    width: int = DIM,
) -> None:
    """Write a text tower such as CLIP's after tracing, with its length in constants.

    It has a table of positions, one causal attention (or one that also reads later tokens), and
    returns the row of the end-of-text token, which has the highest id.
    """
    random = np.random.default_rng(3)
    ahead = np.triu(np.full((length, length), -np.inf, np.float32), 1)
    constants = {
        "table": random.standard_normal((600, width)).astype(np.float32),
        "positions": random.standard_normal((length, width)).astype(np.float32),
        "shape": np.array([-1, length, width], np.int64),
        "mask": np.zeros_like(ahead[None]) if looks_ahead else ahead[None],
        "places": np.arange(length, dtype=np.int64),
        "one": np.array([1], np.int64),
    }
    nodes = [
        helper.make_node("Gather", ["table", given], ["e"]),
        helper.make_node("Add", ["e", "positions"], ["placed"]),
        helper.make_node("Reshape", ["placed", "shape"], ["x"]),
        helper.make_node("Transpose", ["x"], ["keys"], perm=[0, 2, 1]),
        helper.make_node("MatMul", ["x", "keys"], ["scores"]),
        helper.make_node("Add", ["scores", "mask"], ["masked"]),
        helper.make_node("Softmax", ["masked"], ["attention"], axis=-1),
        helper.make_node("MatMul", ["attention", "x"], ["hidden"]),
        helper.make_node("ArgMax", [given], ["end"], axis=1, keepdims=1),
        helper.make_node("Equal", ["end", "places"], ["is_end"]),
        helper.make_node("Cast", ["is_end"], ["chosen"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["chosen", "one"], ["row"]),
        helper.make_node("MatMul", ["row", "hidden"], ["rows"]),
        helper.make_node("Squeeze", ["rows", "one"], [gives]),
    ]
    graph = helper.make_graph(
        nodes,
        "textual",
        [helper.make_tensor_value_info(given, dtype, [batch, length])],
        [helper.make_tensor_value_info(gives, TensorProto.FLOAT, [batch, width])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    _save(graph, path)


def _save(graph: onnx.GraphProto, path: Path, *, external: bool = False) -> None:
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    if external:
        onnx.save_model(
            model,
            path,
            save_as_external_data=True,
            location=f"{path.name}_data",
            size_threshold=0,
            convert_attribute=False,
        )
    else:
        onnx.save_model(model, path)


def word_tokenizer(path: Path, *, padding: bool = True) -> None:
    tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate(WORDS)}, "[UNK]"))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    if padding:
        tokenizer.enable_padding(pad_id=0, pad_token="[PAD]")
        tokenizer.enable_truncation(10)
    path.parent.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(path))


def openai_vocabulary(path: Path) -> None:
    """Write a vocabulary in the form of OpenAI's, with a handful of merges."""
    merges = ["r e", "re d</w>", "d o", "do g</w>", "t h", "th e</w>", "l l</w>"]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress("\n".join(['"bpe" - a test', *merges]).encode()))


def write(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), "utf-8")


GREY = [0.5, 0.5, 0.5]


def xenova(folder: Path, *, kind: str = "clip", stems: str = "", **visual: object) -> None:
    visual_graph(folder / f"onnx/vision_model{stems}.onnx", **visual)  # type: ignore[arg-type]
    text_graph(folder / f"onnx/text_model{stems}.onnx", more_outputs=True)
    word_tokenizer(folder / "tokenizer.json")
    write(folder / "config.json", {"model_type": kind, "projection_dim": DIM})
    write(
        folder / "preprocessor_config.json",
        {
            "image_processor_type": "CLIPFeatureExtractor",
            "size": SIDE,
            "crop_size": SIDE,
            "resample": 3,
            "image_mean": GREY,
            "image_std": GREY,
        },
    )


def immich(folder: Path) -> None:
    visual_graph(folder / "visual/model.onnx", given="image", gives="embedding", batch=1)
    text_graph(
        folder / "textual/model.onnx",
        given="text",
        gives="embedding",
        batch=1,
        length=12,
        dtype=TensorProto.INT32,
        mask=False,
    )
    word_tokenizer(folder / "textual/tokenizer.json", padding=False)
    write(folder / "textual/tokenizer_config.json", {"pad_token": {"content": "[PAD]"}})
    write(
        folder / "config.json",
        {"embed_dim": DIM, "text_cfg": {"context_length": 12}},
    )
    write(
        folder / "visual/preprocess_cfg.json",
        {
            "size": [SIDE, SIDE],
            "mode": "RGB",
            "mean": GREY,
            "std": GREY,
            "interpolation": "bicubic",
            "resize_mode": "shortest",
            "fill_color": 0,
        },
    )


def rclip(folder: Path) -> None:
    visual_graph(folder / "Some-Model/visual.onnx", given="input", gives="output")
    text_graph(
        folder / "Some-Model/textual.onnx",
        given="input",
        gives="output",
        length=77,
        mask=False,
        vocabulary=600,
    )
    openai_vocabulary(folder / "tokenizer/bpe_simple_vocab_16e6.txt.gz")


def qdrant(folder: Path) -> None:
    xenova(folder / "all")
    vision, text = folder / "clip-vision", folder / "clip-text"
    vision.mkdir()
    text.mkdir()
    (folder / "all/onnx/vision_model.onnx").rename(vision / "model.onnx")
    (folder / "all/preprocessor_config.json").rename(vision / "preprocessor_config.json")
    (folder / "all/onnx/text_model.onnx").rename(text / "model.onnx")
    (folder / "all/tokenizer.json").rename(text / "tokenizer.json")
    (folder / "all/config.json").rename(text / "config.json")


LAYOUTS: dict[str, Callable[[Path], None]] = {
    "xenova": xenova,
    "immich": immich,
    "rclip": rclip,
    "qdrant": qdrant,
}
