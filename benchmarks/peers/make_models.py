"""Make CLIP models of the real architectures with random weights, in the layouts peers read.

    hf/       transformers' own files (safetensors): the tutorial loop, sentence-transformers
    xenova/   the same weights as ONNX, as pixseek reads them
    rclip/    open_clip's ViT-B-32-256, as rclip 3.3 and pixseek read it (with `rclip` given)

The speed of a model does not depend on what its weights are; what it finds does, so nothing is
said here of quality.
"""

import gzip
import shutil
import sys
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import torch

from protocol import main

#: What differs from the defaults of `transformers.CLIPConfig`, which are those of ViT-B/32.
ARCHITECTURES: dict[str, dict[str, Any]] = {
    "ViT-B/32": {},
    "ViT-B/16": {"vision_config": {"patch_size": 16}},
    "ViT-L/14": {
        "projection_dim": 768,
        "vision_config": {
            "patch_size": 14,
            "hidden_size": 1024,
            "intermediate_size": 4096,
            "num_hidden_layers": 24,
            "num_attention_heads": 16,
        },
        "text_config": {
            "hidden_size": 768,
            "intermediate_size": 3072,
            "num_attention_heads": 12,
        },
    },
}
RCLIP_MODEL = "ViT-B-32-256"


def open_clip() -> Any:
    """Import open_clip without torchvision: it wants its transforms, but no model needs them."""
    for name in ("", ".transforms", ".transforms.functional", ".ops", ".ops.misc"):
        sys.modules.setdefault(f"torchvision{name}", MagicMock())
    import open_clip

    return open_clip


def vocabulary() -> Path:
    from importlib.util import find_spec

    spec = find_spec("open_clip")
    assert spec and spec.origin
    return Path(spec.origin).with_name("bpe_simple_vocab_16e6.txt.gz")


def tokenizer() -> Any:
    """Return CLIP's tokenizer, made from OpenAI's list of merges."""
    from transformers import CLIPTokenizer

    lines = gzip.decompress(vocabulary().read_bytes()).decode().split("\n")[1:48895]
    merges = [tuple(line.split()) for line in lines]
    letters = [chr(b) for b in [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]]
    letters += [chr(256 + n) for n in range(256 - len(letters))]
    words = [*letters, *(c + "</w>" for c in letters), *(a + b for a, b in merges)]
    words += ["<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer(
        vocab={word: n for n, word in enumerate(words)}, merges=merges, model_max_length=77
    )


def export(
    tower: torch.nn.Module, example: torch.Tensor, path: Path, gets: str, gives: str
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    free = {0: "batch"} if example.dim() == 4 or gets == "input" else {0: "batch", 1: "length"}
    torch.onnx.export(
        tower,
        (example,),
        str(path),
        input_names=[gets],
        output_names=[gives],
        dynamic_axes={gets: free, gives: {0: "batch"}},
        opset_version=17,
        dynamo=False,
    )


class Method(torch.nn.Module):
    """One method of a model as a module of its own, which is what the exporter takes."""

    def __init__(self, model: Any, name: str) -> None:
        super().__init__()
        self.model, self.name = model, name

    def forward(self, given: torch.Tensor) -> Any:
        rows = getattr(self.model, self.name)(given)
        return getattr(rows, "pooler_output", rows)  # transformers 5 wraps them in an object


def make_transformers(architecture: str, out: Path) -> None:
    import transformers

    config = transformers.CLIPConfig(
        **{"projection_dim": 512, **ARCHITECTURES[architecture]}, attn_implementation="eager"
    )
    config.text_config.update({"bos_token_id": 49406, "eos_token_id": 49407, "pad_token_id": 49407})
    torch.manual_seed(0)
    model = transformers.CLIPModel(config).eval()
    hf, xenova = out / "hf", out / "xenova"
    model.save_pretrained(hf)
    tokenizer().save_pretrained(hf)
    # The processor that works on Pillow images; the other one needs torchvision.
    transformers.CLIPImageProcessorPil().save_pretrained(hf)
    xenova.mkdir(parents=True, exist_ok=True)
    for file in [*hf.glob("*.json")]:
        shutil.copy(file, xenova)
    export(
        Method(model, "get_image_features"),
        torch.zeros(2, 3, 224, 224),
        xenova / "onnx/vision_model.onnx",
        "pixel_values",
        "image_embeds",
    )
    export(
        Method(model, "get_text_features"),
        torch.tensor([[49406, 320, 1125, 539, 49407]] * 2),
        xenova / "onnx/text_model.onnx",
        "input_ids",
        "text_embeds",
    )


def make_rclip(out: Path) -> None:
    torch.manual_seed(0)
    torch.backends.mha.set_fastpath_enabled(False)  # one fused operation, which ONNX lacks
    model = open_clip().create_model(RCLIP_MODEL, load_weights=False).eval()
    place = out / "rclip" / "ViT-B-32-256-datacomp_s34b_b86k"
    images, tokens = torch.zeros(2, 3, 256, 256), torch.zeros(2, 77, dtype=torch.int64)
    tokens[:, 0], tokens[:, 1] = 49406, 49407
    export(Method(model, "encode_image"), images, place / "visual.onnx", "input", "output")
    export(Method(model, "encode_text"), tokens, place / "textual.onnx", "input", "output")
    (out / "rclip" / "tokenizer").mkdir(exist_ok=True)
    shutil.copy(vocabulary(), out / "rclip" / "tokenizer")


def drive(arguments: dict[str, Any]) -> dict[str, Any]:
    """Arguments: "out", "architecture", and whether to make "rclip" as well."""
    out = Path(arguments["out"])
    with torch.no_grad():
        make_transformers(arguments["architecture"], out)
        if arguments["rclip"]:
            make_rclip(out)
    return {}


if __name__ == "__main__":
    main(drive)
