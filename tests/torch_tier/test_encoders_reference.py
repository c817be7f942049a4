"""Encoders against the reference implementations: transformers, and open_clip's tokenizer.

The models have the real architecture, but are small and randomly initialised: the tests compare
preprocessing, tokens, graph inputs and outputs, and normalisation, not what a model has learned.

The whole open_clip needs torchvision. Without it, its tokenizer and vocabulary still work
(`pip install --no-deps open_clip_torch ftfy regex`).
"""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from pixseek import encoders
from pixseek.encoders.inputs.tokens import TextRules, Tokens, write_index
from pixseek.encoders.onnx import OnnxEncoder

import reference as ref
from reference import SIDE, STRAIGHTENED, TEXTS, torch, transformers

pytestmark = pytest.mark.torch
pytest.importorskip("onnx")


@pytest.fixture(scope="module")
def vocabulary() -> Path:
    return ref.openai_vocabulary()


@pytest.fixture(scope="module")
def open_clip_tokenizer(vocabulary: Path) -> ModuleType:
    """open_clip's tokenizer.py alone, which needs ftfy and regex, but not torchvision."""
    pytest.importorskip("ftfy")
    pytest.importorskip("regex")
    spec = importlib.util.spec_from_file_location(
        "open_clip_tokenizer", vocabulary.with_name("tokenizer.py")
    )
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_ids_equal_open_clips(vocabulary: Path, open_clip_tokenizer: ModuleType) -> None:
    reference = open_clip_tokenizer.SimpleTokenizer()
    tokens = Tokens(TextRules(vocabulary, 77, "open_clip", pad=0))
    for text in TEXTS + STRAIGHTENED:
        ids, _ = tokens.padded([text], 77)
        np.testing.assert_array_equal(ids, reference([text]).numpy(), repr(text[:60]))


def test_the_index_of_the_vocabulary_gives_the_same_ids(vocabulary: Path, tmp_path: Path) -> None:
    ref.clip_tokenizer().save_pretrained(tmp_path)
    for rules in (
        TextRules(vocabulary, 77, "open_clip", pad=0),
        TextRules(tmp_path / "tokenizer.json", 77),
    ):
        whole = Tokens(rules)
        assert write_index(rules, tmp_path / "cache")
        for text in TEXTS + STRAIGHTENED:
            cut = Tokens(rules, tmp_path / "cache")
            assert cut.ids([text]) == whole.ids([text]), repr(text[:60])
            assert cut._index is not None, "it read the whole vocabulary"


def test_ids_of_nearly_every_letter_equal_open_clips(
    vocabulary: Path, open_clip_tokenizer: ModuleType
) -> None:
    reference = open_clip_tokenizer.SimpleTokenizer()
    tokens = Tokens(TextRules(vocabulary, 77, "open_clip", pad=0))
    texts = [chr(c) for c in range(0x20, 0x3000) if c not in range(0xD800, 0xE000)]
    found, _ = tokens.padded(texts, 77)
    wanted = reference(texts).numpy()
    wrong = [texts[i] for i in np.flatnonzero((found != wanted).any(1))]
    # Letters newer than one of the two Unicode tables, and letters that only ftfy changes.
    print([f"{ord(c):x}" for c in wrong])
    assert len(wrong) <= 0.005 * len(texts), [f"{ord(c):x}" for c in wrong]


# ------------------------------------------------------------------ CLIP


@pytest.fixture(scope="module")
def clip(vocabulary: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any, Path]:
    """A small CLIPModel with its CLIPProcessor, and the folder both are saved in."""
    folder = tmp_path_factory.mktemp("clip")
    tokenizer = ref.clip_tokenizer()
    images = ref.image_processor("CLIPImageProcessor")(
        size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE}
    )
    torch.manual_seed(0)
    tower = {"hidden_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4}
    config = transformers.CLIPConfig(
        text_config=tower | {"intermediate_size": 128, "vocab_size": len(tokenizer)},
        vision_config=tower | {"intermediate_size": 128, "image_size": SIDE, "patch_size": 16},
        projection_dim=32,
        attn_implementation="eager",
    )
    model = transformers.CLIPModel(config).eval()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    images.save_pretrained(folder)
    return model, (images, tokenizer), folder


class Visual(torch.nn.Module):
    def __init__(self, model: Any, unit: bool) -> None:
        super().__init__()
        self.model, self.unit = model, unit

    def forward(self, pixel_values: Any) -> Any:
        rows = ref.vector(self.model.get_image_features(pixel_values=pixel_values))
        return torch.nn.functional.normalize(rows) if self.unit else rows


class Textual(torch.nn.Module):
    def __init__(self, model: Any, unit: bool) -> None:
        super().__init__()
        self.model, self.unit = model, unit

    def forward(self, input_ids: Any, attention_mask: Any = None) -> Any:
        rows = ref.vector(
            self.model.get_text_features(input_ids=input_ids.long(), attention_mask=attention_mask)
        )
        return torch.nn.functional.normalize(rows) if self.unit else rows


def export(
    tower: Any, example: tuple[Any, ...], path: Path, names: list[str], gives: str, free: Any
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.onnx.export(
        tower,
        example,
        path,
        input_names=names,
        output_names=[gives],
        dynamic_axes=free,
        dynamo=False,
        opset_version=17,
    )


IDS = [[49406, 320, 1125, 539, 49407]] * 2


@pytest.fixture(scope="module")
def xenova(clip: tuple[Any, Any, Path], tmp_path_factory: pytest.TempPathFactory) -> OnnxEncoder:
    model, _, saved = clip
    folder = tmp_path_factory.mktemp("xenova")
    for name in ("config.json", "preprocessor_config.json", "tokenizer.json",
                 "tokenizer_config.json"):  # fmt: skip
        shutil.copy(saved / name, folder / name)
    export(
        Visual(model, False),
        (torch.zeros(2, 3, SIDE, SIDE),),
        folder / "onnx/vision_model.onnx",
        ["pixel_values"],
        "image_embeds",
        {"pixel_values": {0: "n"}, "image_embeds": {0: "n"}},
    )
    ids = torch.tensor(IDS)
    export(
        Textual(model, False),
        (ids, torch.ones_like(ids)),
        folder / "onnx/text_model.onnx",
        ["input_ids", "attention_mask"],
        "text_embeds",
        {
            "input_ids": {0: "n", 1: "t"},
            "attention_mask": {0: "n", 1: "t"},
            "text_embeds": {0: "n"},
        },
    )
    return loaded(folder)


@pytest.fixture(scope="module")
def immich(clip: tuple[Any, Any, Path], tmp_path_factory: pytest.TempPathFactory) -> OnnxEncoder:
    model, _, saved = clip
    folder = tmp_path_factory.mktemp("immich")
    export(
        Visual(model, True),
        (torch.zeros(1, 3, SIDE, SIDE),),
        folder / "visual/model.onnx",
        ["image"],
        "embedding",
        None,
    )
    export(
        Textual(model, True),
        (torch.tensor(IDS[:1] * 1, dtype=torch.int32).repeat(1, 16)[:, :77],),
        folder / "textual/model.onnx",
        ["text"],
        "embedding",
        None,
    )
    shutil.copy(saved / "tokenizer.json", folder / "textual")
    shutil.copy(saved / "tokenizer_config.json", folder / "textual")
    (folder / "config.json").write_text(
        json.dumps({"embed_dim": 32, "text_cfg": {"context_length": 77}})
    )
    (folder / "visual/preprocess_cfg.json").write_text(
        json.dumps({"size": [SIDE, SIDE], "interpolation": "bicubic", "resize_mode": "shortest"})
    )
    return loaded(folder)


@pytest.fixture(scope="module")
def rclip(
    clip: tuple[Any, Any, Path], vocabulary: Path, tmp_path_factory: pytest.TempPathFactory
) -> OnnxEncoder:
    model, _, _ = clip
    folder = tmp_path_factory.mktemp("rclip")
    export(
        Visual(model, False),
        (torch.zeros(2, 3, SIDE, SIDE),),
        folder / "some-model/visual.onnx",
        ["input"],
        "output",
        {"input": {0: "n"}, "output": {0: "n"}},
    )
    export(
        Textual(model, False),
        (torch.tensor(IDS).repeat(1, 16)[:, :77],),
        folder / "some-model/textual.onnx",
        ["input"],
        "output",
        {"input": {0: "n"}, "output": {0: "n"}},
    )
    (folder / "tokenizer").mkdir()
    shutil.copy(vocabulary, folder / "tokenizer")
    return loaded(folder)


def loaded(folder: Path) -> OnnxEncoder:
    encoder = encoders.load(folder, models_dir=folder / "models")
    assert isinstance(encoder, OnnxEncoder)
    return encoder


def test_pixels_equal_those_of_transformers(
    clip: tuple[Any, Any, Path], xenova: OnnxEncoder
) -> None:
    _, (processor, _), _ = clip
    wanted = processor(images=ref.images(), return_tensors="np")["pixel_values"]
    found = ref.prepared(xenova, ref.images())
    std = np.array([0.26862954, 0.26130258, 0.27577711])[:, None, None]
    assert abs((found - wanted) * std).max() <= 1e-5, "on a scale of [0, 1]: not a bit differs"


def test_image_vectors_equal_those_of_transformers(
    clip: tuple[Any, Any, Path], xenova: OnnxEncoder, immich: OnnxEncoder, rclip: OnnxEncoder
) -> None:
    model, (processor, _), _ = clip
    with torch.no_grad():
        wanted = model.get_image_features(**processor(images=ref.images(), return_tensors="pt"))
    found = xenova.encode_images(ref.prepared(xenova, ref.images()))
    assert ref.agree(found, wanted)
    for encoder in (immich, rclip):  # these crop like open_clip: give the model their pixels
        batch = ref.prepared(encoder, ref.images())
        with torch.no_grad():
            wanted = model.get_image_features(pixel_values=torch.from_numpy(batch))
        assert ref.agree(encoder.encode_images(batch), wanted)


def test_ids_equal_those_of_transformers(clip: tuple[Any, Any, Path], xenova: OnnxEncoder) -> None:
    _, (_, tokenizer), _ = clip
    for text in TEXTS:
        wanted = tokenizer([text], truncation=True, max_length=77)["input_ids"]
        assert xenova._tokenizer().ids([text]) == wanted, text[:60]


def test_text_vectors_equal_those_of_transformers_padded_to_77(
    clip: tuple[Any, Any, Path], xenova: OnnxEncoder, immich: OnnxEncoder
) -> None:
    model, (_, tokenizer), _ = clip
    inputs = tokenizer(
        TEXTS, truncation=True, max_length=77, padding="max_length", return_tensors="pt"
    )
    with torch.no_grad():
        wanted = model.get_text_features(**inputs)
    unit = torch.nn.functional.normalize(ref.vector(wanted)).numpy()
    for encoder in (xenova, immich):
        found = encoder.encode_texts(TEXTS)
        assert ref.agree(found, wanted)
    # The same vectors at each text's own length, without padding.
    alone = np.concatenate([xenova.encode_texts([text]) for text in TEXTS])
    assert abs(alone - unit).max() <= 1e-5


def test_text_vectors_with_openais_vocabulary_equal_the_reference(
    clip: tuple[Any, Any, Path], rclip: OnnxEncoder, open_clip_tokenizer: ModuleType
) -> None:
    model, _, _ = clip
    ids = open_clip_tokenizer.SimpleTokenizer()(TEXTS)
    with torch.no_grad():
        wanted = model.get_text_features(input_ids=ids)
    assert ref.agree(rclip.encode_texts(TEXTS), wanted)


# ------------------------------------------------------------------ SigLIP


@pytest.fixture(scope="module")
def siglip(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any, OnnxEncoder]:
    """A small SiglipModel, its image processor, and the encoder of both in the Xenova layout."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    folder = tmp_path_factory.mktemp("siglip")
    torch.manual_seed(0)
    tower = {
        "hidden_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4,
        "intermediate_size": 128,
    }  # fmt: skip
    config = transformers.SiglipConfig(
        text_config=tower
        | {"vocab_size": 128, "projection_size": 64, "bos_token_id": None, "eos_token_id": None},
        vision_config=tower | {"image_size": SIDE, "patch_size": 16},
        attn_implementation="eager",
    )
    model = transformers.SiglipModel(config).eval()
    config.save_pretrained(folder)
    processor = ref.image_processor("SiglipImageProcessor")(size={"height": SIDE, "width": SIDE})
    processor.save_pretrained(folder)
    words = ["a", "<pad>", "<unk>", *"abcdefghijklmnopqrstuvwxyz"[1:]]
    tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, "<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))
    export(
        Visual(model, False),
        (torch.zeros(2, 3, SIDE, SIDE),),
        folder / "onnx/vision_model.onnx",
        ["pixel_values"],
        "pooler_output",
        {"pixel_values": {0: "n"}, "pooler_output": {0: "n"}},
    )
    export(
        Textual(model, False),
        (torch.ones(2, 64, dtype=torch.int64),),
        folder / "onnx/text_model.onnx",
        ["input_ids"],
        "pooler_output",
        {"input_ids": {0: "n", 1: "t"}, "pooler_output": {0: "n"}},
    )
    return model, processor, loaded(folder)


def test_siglips_pixels_and_vectors_equal_those_of_transformers(
    siglip: tuple[Any, Any, OnnxEncoder],
) -> None:
    model, processor, encoder = siglip
    inputs = processor(images=ref.images(), return_tensors="pt")
    batch = ref.prepared(encoder, ref.images())
    assert abs(batch - inputs["pixel_values"].numpy()).max() / 2 <= 1e-5
    with torch.no_grad():
        wanted = model.get_image_features(**inputs)
    assert ref.agree(encoder.encode_images(batch), wanted)


def test_siglips_texts_are_padded_to_all_64(siglip: tuple[Any, Any, OnnxEncoder]) -> None:
    model, _, encoder = siglip
    ids = torch.ones(2, 64, dtype=torch.int64)  # <pad> is 1
    ids[0, :3] = torch.tensor([3, 4, 5])
    with torch.no_grad():
        wanted = model.get_text_features(input_ids=ids)
        short = torch.nn.functional.normalize(
            ref.vector(model.get_text_features(ids[:1, :3]))
        ).numpy()
    found = encoder.encode_texts(["B c D", ""])
    assert ref.agree(found, wanted)
    assert (found[0] * short[0]).sum() < 0.999, "the test would not notice missing padding"
