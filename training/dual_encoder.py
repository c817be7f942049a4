"""The two towers of the demo model, in torch, and their export to ONNX."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import torch
from tokenizers import Regex, Tokenizer
from tokenizers.models import WordLevel
from tokenizers.normalizers import Lowercase
from tokenizers.pre_tokenizers import Split
from tokenizers.processors import TemplateProcessing
from torch import Tensor, nn

IMAGE_PIXELS = 64
EMBED_DIM = 128
CONTEXT_LENGTH = 64
PAD, UNK, BOS = "[PAD]", "[UNK]", "[BOS]"


def build_tokenizer(words: list[str]) -> Tokenizer:
    """A word-level tokenizer: lower-cases, drops punctuation, unknown words become [UNK]."""
    vocabulary = {word: i for i, word in enumerate([PAD, UNK, BOS, *sorted(set(words))])}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token=UNK))
    tokenizer.normalizer = Lowercase()
    tokenizer.pre_tokenizer = Split(Regex(r"[^\p{L}\p{N}]+"), "removed")
    # Every text starts with this token, so that an empty text has something to average.
    tokenizer.post_processor = TemplateProcessing(
        single=f"{BOS} $A", special_tokens=[(BOS, vocabulary[BOS])]
    )
    tokenizer.enable_truncation(CONTEXT_LENGTH)
    tokenizer.enable_padding(pad_id=vocabulary[PAD], pad_token=PAD)
    return tokenizer


class _Attention(nn.Module):
    """A pre-norm transformer layer, written as plain products so that the ONNX graph is simple."""

    def __init__(self, dim: int, heads: int = 4, widening: int = 2) -> None:
        super().__init__()
        self.heads = heads
        self.norm_in, self.norm_out = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.qkv, self.mix = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.widen, self.narrow = nn.Linear(dim, widening * dim), nn.Linear(widening * dim, dim)

    def forward(self, x: Tensor, bias: Tensor | None = None) -> Tensor:
        """(n, length, dim) and an additive bias (n, 1, 1, length) -> (n, length, dim)."""
        n, length, dim = x.shape
        parts = self.qkv(self.norm_in(x)).reshape(n, length, 3, self.heads, dim // self.heads)
        q, k, v = parts.permute(2, 0, 3, 1, 4).unbind(0)
        scores = (q @ k.transpose(-1, -2)) * (dim // self.heads) ** -0.5
        if bias is not None:
            scores = scores + bias
        seen = scores.softmax(-1) @ v
        x = x + self.mix(seen.transpose(1, 2).reshape(n, length, dim))
        return x + self.narrow(torch.relu(self.widen(self.norm_out(x))))


class _Separable(nn.Module):
    """A residual depthwise-separable convolution."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, groups=width, bias=False),
            nn.BatchNorm2d(width),
            nn.Conv2d(width, width, 1, bias=False),
            nn.BatchNorm2d(width),
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.body(x))


class ImageTower(nn.Module):
    """pixel_values (n, 3, 64, 64) in [-1, 1] -> image_embeds (n, 128), not normalised."""

    def __init__(self, widths: tuple[int, ...] = (32, 64, 128, 192), layers: int = 2) -> None:
        super().__init__()
        steps: list[nn.Module] = []
        before = 3
        for i, width in enumerate(widths):
            steps += [
                nn.Conv2d(before, width, 3, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(width),
                nn.ReLU(),
            ]
            if i:  # at 32 x 32 a block isn't worth its time
                steps.append(_Separable(width))
            before = width
        self.stages = nn.Sequential(*steps)
        cells = (IMAGE_PIXELS >> len(widths)) ** 2
        self.place = nn.Parameter(torch.randn(1, cells, before) * 0.02)
        self.layers = nn.ModuleList(_Attention(before) for _ in range(layers))
        self.norm = nn.LayerNorm(before)
        self.out = nn.Linear(before, EMBED_DIM)

    def forward(self, pixel_values: Tensor) -> Tensor:
        x = self.stages(pixel_values).flatten(2).transpose(1, 2) + self.place
        for layer in self.layers:
            x = layer(x)
        embeds: Tensor = self.out(self.norm(x).mean(1))
        return embeds


class TextTower(nn.Module):
    """input_ids, attention_mask (n, length) int64 -> text_embeds (n, 128), not normalised."""

    def __init__(self, words: int, width: int = 128, layers: int = 2) -> None:
        super().__init__()
        self.words = nn.Embedding(words, width)
        nn.init.normal_(self.words.weight, std=0.5)
        self.place = nn.Parameter(torch.randn(1, CONTEXT_LENGTH, width) * 0.02)
        # Neighbouring words are mixed first, so "red car" is one thing from the start. A
        # transformer alone needs thousands of steps to learn that a colour belongs to its noun.
        self.neighbours = nn.Conv1d(width, width, 3, padding=1)
        self.layers = nn.ModuleList(_Attention(width) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, EMBED_DIM)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        kept = attention_mask.to(torch.float32).unsqueeze(-1)
        x = (self.words(input_ids) + self.place[:, : input_ids.shape[1]]) * kept
        x = x + torch.relu(self.neighbours(x.transpose(1, 2)).transpose(1, 2))
        bias = ((1.0 - kept) * -1e4).transpose(1, 2).unsqueeze(1)
        for layer in self.layers:
            x = layer(x, bias)
        total = (self.norm(x) * kept).sum(1)
        embeds: Tensor = self.out(total / kept.sum(1).clamp(min=1.0))
        return embeds


class DualEncoder(nn.Module):
    """Both towers and the learned temperature."""

    def __init__(self, words: int) -> None:
        super().__init__()
        self.image, self.text = ImageTower(), TextTower(words)
        self.log_scale = nn.Parameter(torch.tensor(float(np.log(1 / 0.07))))

    @property
    def scale(self) -> Tensor:
        return self.log_scale.clamp(max=float(np.log(100.0))).exp()


def export(model: DualEncoder, tokenizer: Tokenizer, folder: Path, description: str) -> None:
    """Write the model folder: two ONNX towers in half precision, tokenizer and configuration."""
    model = model.eval()
    for name in ("visual", "textual"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    n = torch.export.Dim("n")
    _export_tower(
        model.image,
        (torch.zeros(2, 3, IMAGE_PIXELS, IMAGE_PIXELS),),
        {"pixel_values": {0: n}},
        "image_embeds",
        folder / "visual" / "model.onnx",
    )
    length = torch.export.Dim("length", min=2, max=CONTEXT_LENGTH)
    _export_tower(
        model.text,
        (torch.ones(2, 8, dtype=torch.int64), torch.ones(2, 8, dtype=torch.int64)),
        {"input_ids": {0: n, 1: length}, "attention_mask": {0: n, 1: length}},
        "text_embeds",
        folder / "textual" / "model.onnx",
    )
    tokenizer.save(str(folder / "textual" / "tokenizer.json"), pretty=False)
    preprocessing = {
        "size": [IMAGE_PIXELS, IMAGE_PIXELS],
        "mean": [0.5, 0.5, 0.5],
        "std": [0.5, 0.5, 0.5],
        "interpolation": "bilinear",
        "antialias": True,
        "resize_mode": "squash",
        "mode": "RGB",
        "rescale": 1 / 255,
        "layout": "NCHW",
    }
    _write_json(folder / "visual" / "preprocess_cfg.json", preprocessing)
    config = {
        "model_name": "pixseek-demo-scenes",
        "embed_dim": EMBED_DIM,
        "logit_scale": float(model.scale.detach()),
        "context_length": CONTEXT_LENGTH,
        "lowercase": True,
        "pad_id": tokenizer.token_to_id(PAD),
        "description": description,
        "files": {"visual": "visual/model.onnx", "textual": "textual/model.onnx"},
    }
    _write_json(folder / "config.json", config)


def _write_json(path: Path, content: dict[str, object]) -> None:
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _export_tower(
    tower: nn.Module,
    example: tuple[Tensor, ...],
    dynamic: dict[str, dict[int, torch.export.Dim]],
    output: str,
    path: Path,
) -> None:
    torch.onnx.export(
        tower,
        example,
        str(path),
        input_names=list(dynamic),
        output_names=[output],
        dynamic_shapes=dynamic,
        dynamo=True,
        external_data=False,
        verbose=False,
    )
    graph = onnx.load(str(path))
    _halve_weights(graph)
    for node in graph.graph.node:  # the tracer's stack traces are larger than the weights
        del node.metadata_props[:]
        node.doc_string = ""
    del graph.graph.value_info[:]
    del graph.graph.metadata_props[:]
    onnx.checker.check_model(graph)
    onnx.save(graph, str(path))


def _halve_weights(graph: onnx.ModelProto) -> None:
    """Store large float32 weights as float16 with a Cast, which halves the file; sums stay fp32."""
    casts = []
    for weight in graph.graph.initializer:
        if weight.data_type != onnx.TensorProto.FLOAT or np.prod(weight.dims) < 256:
            continue
        name = weight.name
        half = onnx.numpy_helper.to_array(weight).astype(np.float16)
        weight.CopyFrom(onnx.numpy_helper.from_array(half, f"{name}_half"))
        casts.append(
            onnx.helper.make_node("Cast", [f"{name}_half"], [name], to=onnx.TensorProto.FLOAT)
        )
    nodes = [*casts, *graph.graph.node]
    del graph.graph.node[:]
    graph.graph.node.extend(nodes)
