"""Models of open_clip: pixseek with torch gives the results of open_clip itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pixseek import encoders
from pixseek.encoders.runtimes import mapped
from pixseek.encoders.runtimes.text_tower import TextTower
from pixseek.encoders.torch import TorchEncoder

import reference as ref
import sample_texts
import tiny_models
from reference import ALL_TEXTS, torch, transformers
from vespa_embedder import agreement

pytestmark = pytest.mark.torch
pytest.importorskip("torchvision")
pytest.importorskip("timm")
open_clip = pytest.importorskip("open_clip")

SMALL_TEXT = {"vocab_size": 49408, "width": 64, "heads": 4, "layers": 3}
CLIP = {
    "mean": [0.48145466, 0.4578275, 0.40821073],
    "std": [0.26862954, 0.26130258, 0.27577711],
    "interpolation": "bicubic",
    "resize_mode": "shortest",
}
PLAIN = {"interpolation": "bilinear", "resize_mode": "shortest", "mean": [0] * 3, "std": [1] * 3}
SQUASHED = {
    "interpolation": "bilinear",
    "resize_mode": "squash",
    "mean": [0.5] * 3,
    "std": [0.5] * 3,
}


def nllb(folder: Path) -> dict[str, Any]:
    """The text tower of nllb-clip: a translator's encoder, whose texts start with a language code.

    Its tokenizer is trained here.
    """
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    vocabulary, merges = ref.sentencepiece_bpe(special)
    tokenizer = transformers.NllbTokenizer(vocab=vocabulary, merges=merges)
    tokenizer.save_pretrained(folder)
    config = transformers.M2M100Config(
        vocab_size=len(tokenizer), d_model=64, encoder_layers=3, decoder_layers=1,
        encoder_attention_heads=4, decoder_attention_heads=4, encoder_ffn_dim=128,
        decoder_ffn_dim=64, max_position_embeddings=128,
    )  # fmt: skip
    config.save_pretrained(folder)
    return {"hf_proj_type": "linear", "hf_pooler_type": "cls_pooler"}


def xlm_roberta(folder: Path) -> dict[str, Any]:
    """The text tower of OpenCLIP's models for a hundred languages."""
    pieces = ref.unigram(["<s>", "<pad>", "</s>", "<unk>"])
    tokenizer = transformers.XLMRobertaTokenizer(vocab=pieces, model_max_length=512)
    tokenizer.save_pretrained(folder)
    config = transformers.XLMRobertaConfig(
        vocab_size=len(tokenizer), max_position_embeddings=130, type_vocab_size=1, **TOWER
    )
    config.save_pretrained(folder)
    return {"hf_proj_type": "mlp", "hf_pooler_type": "mean_pooler"}


TOWER = {
    "hidden_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 128,
}
#: Text towers of transformers inside open_clip, by their name in `MODELS`.
INNER = {"nllb": nllb, "xlm-roberta": xlm_roberta}

#: Configurations of open_clip, with text towers made small, and large image towers too. Their
#: preprocessing is that of open_clip's `pretrained.py`.
MODELS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "RN50": (
        {
            "embed_dim": 64,
            "quick_gelu": True,
            "vision_cfg": {"image_size": 64, "layers": [3, 4, 6, 3], "width": 16},
            "text_cfg": SMALL_TEXT | {"context_length": 77},
        },
        CLIP,
    ),
    "ViT-B-32-256": (
        {
            "embed_dim": 64,
            "vision_cfg": {"image_size": 256, "layers": 3, "width": 64, "patch_size": 32},
            "text_cfg": SMALL_TEXT | {"context_length": 77},
        },
        CLIP,
    ),
    "ViT-H-14-378-quickgelu": (
        {
            "embed_dim": 64,
            "quick_gelu": True,
            "vision_cfg": {"image_size": 84, "layers": 3, "width": 80, "head_width": 20,
                           "patch_size": 14},
            "text_cfg": SMALL_TEXT | {"context_length": 77},
        },
        CLIP,
    ),
    "PE-Core": (
        {
            "embed_dim": 512,
            "custom_text": True,
            "vision_cfg": {"image_size": 384, "timm_model_name": "vit_pe_core_tiny_patch16_384",
                           "timm_model_pretrained": False, "timm_pool": "map", "timm_proj": None},
            "text_cfg": SMALL_TEXT | {"context_length": 32},
        },
        SQUASHED,
    ),
    "MobileCLIP2-S0": (
        {
            "embed_dim": 512,
            "custom_text": True,
            "vision_cfg": {"timm_model_name": "fastvit_mci0", "timm_model_pretrained": False,
                           "timm_pool": "avg", "timm_proj": None, "timm_drop": 0.0,
                           "timm_drop_path": 0.0, "image_size": 256},
            "text_cfg": SMALL_TEXT | {"context_length": 77, "no_causal_mask": True},
        },
        PLAIN,
    ),
    "MobileCLIP2-B": (
        {
            "embed_dim": 512,
            "custom_text": True,
            "vision_cfg": {"timm_model_name": "vit_base_mci_224", "timm_model_pretrained": False,
                           "timm_pool": "token", "timm_proj": None, "image_size": 224},
            "text_cfg": SMALL_TEXT | {"context_length": 77, "no_causal_mask": False},
        },
        PLAIN,
    ),
    "SigLIP2": (
        {
            "embed_dim": 64,
            "init_logit_bias": -10,
            "custom_text": True,
            "vision_cfg": {"image_size": 64, "layers": 3, "width": 64, "patch_size": 16},
            "text_cfg": SMALL_TEXT
            | {"context_length": 64, "vocab_size": 1000, "no_causal_mask": True,
               "proj_bias": True, "pool_type": "last", "hf_tokenizer_name": "it is in the folder",
               "tokenizer_kwargs": {"clean": "canonicalize"}},
        },
        SQUASHED,
    ),
    "nllb-clip": (
        {
            "embed_dim": 64,
            "init_logit_bias": -10,
            "custom_text": True,
            "vision_cfg": {"image_size": 64, "layers": 3, "width": 64, "patch_size": 16},
            "text_cfg": {"hf_model_name": "nllb"},
        },
        SQUASHED,
    ),
    "xlm-roberta": (
        {
            "embed_dim": 64,
            "custom_text": True,
            "vision_cfg": {"image_size": 64, "layers": 3, "width": 64, "patch_size": 16},
            "text_cfg": {"hf_model_name": "xlm-roberta"},
        },
        CLIP,
    ),
}  # fmt: skip


@pytest.fixture(scope="module", params=MODELS)
def family(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Any, Any, Any, TorchEncoder]:
    """A model, its own preprocessing and tokenizer, and the encoder of the folder."""
    config, pixels = json.loads(json.dumps(MODELS[request.param]))
    folder = tmp_path_factory.mktemp(request.param)
    if build := INNER.get(config["text_cfg"].get("hf_model_name")):
        # For the reference the names are folders, so that it doesn't ask the hub.
        names = dict.fromkeys(("hf_model_name", "hf_tokenizer_name"), str(folder))
        config["text_cfg"] = build(folder) | names
    elif "hf_tokenizer_name" in config["text_cfg"]:
        ref.gemma(padding_side="right").save_pretrained(folder)
    side = config["vision_cfg"]["image_size"]
    whole = {"model_cfg": config, "preprocess_cfg": {"size": [side, side], "mode": "RGB"} | pixels}
    (folder / "open_clip_config.json").write_text(json.dumps(whole))
    fresh = open_clip.create_model(f"local-dir:{folder}", load_weights=False, pretrained_text=False)
    from safetensors.torch import save_file

    state = {k: v.clone().contiguous() for k, v in ref.wide(fresh).state_dict().items()}
    save_file(state, folder / "open_clip_model.safetensors")
    model, _, transform = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    encoder = ref.loaded(folder)
    assert isinstance(encoder, TorchEncoder) and encoder.dim == config["embed_dim"]
    return model.eval(), transform, open_clip.get_tokenizer(f"local-dir:{folder}"), encoder


def test_pixels_and_image_vectors_equal_open_clips(
    family: tuple[Any, Any, Any, TorchEncoder],
) -> None:
    model, transform, _, encoder = family
    inputs = torch.stack([transform(image) for image in ref.images()])
    batch = ref.prepared(encoder, ref.images())
    ref.same_pixels(batch, inputs.numpy(), transform.transforms[-1].std)
    with torch.no_grad():
        wanted = model.encode_image(inputs)
    assert ref.agree(encoder.encode_images(batch), wanted)


def test_tokens_and_text_vectors_equal_open_clips(
    family: tuple[Any, Any, Any, TorchEncoder],
) -> None:
    model, _, tokenizer, encoder = family
    given = tokenizer(ALL_TEXTS)
    tokens = encoder._tokenizer()
    ids, _ = tokens.padded(ALL_TEXTS, tokens.context)
    np.testing.assert_array_equal(ids, given.numpy())
    with torch.no_grad():
        wanted = model.encode_text(given)
    assert ref.agree(encoder.encode_texts(ALL_TEXTS), wanted)
    alone = np.concatenate([encoder.encode_texts([text]) for text in ALL_TEXTS])
    assert ref.agree(alone, wanted), "each at its own length"


@pytest.mark.parametrize(
    "family", ["ViT-B-32-256", "MobileCLIP2-S0", "SigLIP2", "nllb-clip", "xlm-roberta"],
    indirect=True,
)  # fmt: skip
def test_the_text_tower_runs_within_vespa(
    family: tuple[Any, Any, Any, TorchEncoder], tmp_path: Path
) -> None:
    # Special tokens are found before a text is cleaned, there, and afterwards, here.
    texts = [text for text in sample_texts.texts() if "</s>" not in text]
    assert agreement(family[-1], tmp_path, texts) >= 0.9999


def test_the_likelihood_equals_open_clips(family: tuple[Any, Any, Any, TorchEncoder]) -> None:
    model, _, _, encoder = family
    rule = encoder.likelihood()
    assert rule and rule.scale == pytest.approx(float(model.logit_scale.exp()))
    bias = getattr(model, "logit_bias", None)
    assert rule.bias == (None if bias is None else pytest.approx(float(bias)))


@pytest.mark.parametrize("dynamo", [False, True], ids=["traced", "exported"])
@pytest.mark.parametrize("batch", ["n", 1], ids=["any batch", "a batch of one"])
def test_a_text_tower_written_for_77_tokens_takes_short_texts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dynamo: bool, batch: int | str
) -> None:
    """As in rclip's models: open_clip's text tower, exported with a context of 77."""
    monkeypatch.setattr(mapped, "WORTH_IT", 0)
    tiny_models.rclip(tmp_path / "m")
    model = open_clip.CLIP(
        8,
        {"image_size": 32, "patch_size": 16, "width": 64, "layers": 1, "head_width": 32},
        SMALL_TEXT | {"context_length": 77},
    ).eval()
    ref.wide(model)

    class Text(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, ids: Any) -> Any:
            return self.model.encode_text(ids)

    vocabulary = Path(open_clip.__file__).parent / "bpe_simple_vocab_16e6.txt.gz"
    (tmp_path / "m/tokenizer/bpe_simple_vocab_16e6.txt.gz").write_bytes(vocabulary.read_bytes())
    ids = open_clip.SimpleTokenizer()(ALL_TEXTS)
    shape: dict[str, Any] = {}
    if batch == "n":
        axis = torch.export.Dim("n", min=1, max=1024)
        shape = (
            {"dynamic_shapes": {"ids": {0: axis}}}
            if dynamo
            else {"dynamic_axes": {"input": {0: "n"}, "output": {0: "n"}}}
        )
    path = tmp_path / "m/Some-Model/textual.onnx"
    torch.onnx.export(
        Text().eval(), (ids[:2] if shape else ids[:1],), path, dynamo=dynamo, external_data=False,
        input_names=["input"], output_names=["output"], **shape,
    )  # fmt: skip
    encoders.load(tmp_path / "m", models_dir=tmp_path / "models").accelerate("fp32", 10, None)
    encoder = encoders.load(tmp_path / "m", models_dir=tmp_path / "models")
    with torch.no_grad():
        wanted = torch.nn.functional.normalize(model.encode_text(ids), dim=-1).numpy()
    lengths: list[int] = []
    run = TextTower._run

    def watched(self: TextTower, session: Any, feeds: Any) -> Any:
        lengths.append(feeds["input"].shape[1])
        return run(self, session, feeds)

    monkeypatch.setattr(TextTower, "_run", watched)
    for text, row in zip(ALL_TEXTS, wanted, strict=True):
        assert encoder.encode_texts([text])[0] @ row >= 0.9999, text
    assert min(lengths) == 2 and max(lengths) == 77 and sum(lengths) < 40 * len(lengths)
