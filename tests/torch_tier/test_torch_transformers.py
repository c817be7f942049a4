"""Models of transformers: pixseek with torch gives the results of transformers itself."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pixseek.encoders.inputs.preprocessing import CLIP_STD
from pixseek.encoders.torch import TorchEncoder
from pixseek.errors import ModelError

import reference as ref
import sample_texts
from reference import SIDE, TEXTS, torch, transformers
from vespa_embedder import agreement

pytestmark = pytest.mark.torch

TOWER = {
    "hidden_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 128,
}
GREY = (0.5, 0.5, 0.5)


@dataclass(frozen=True)
class Case:
    """A model of transformers, saved in a folder, and the parts to run it as documented.

    Attributes:
        model: the model, with random weights.
        images: its image processor.
        tokenizer: its own tokenizer.
        given: arguments for the tokenizer, those of the family's processor.
        std: divisors of the pixels.
        dim: length of the vectors.
        least: minimum number of tokens in a text that it can embed.
    """

    model: Any
    images: Any
    tokenizer: Any
    given: dict[str, Any]
    std: Sequence[float]
    dim: int
    least: int = 0


def clip(folder: Path) -> Case:
    """77 tokens, the last of which is the end token; centre crop."""
    tokenizer = ref.clip_tokenizer()
    images = ref.image_processor("CLIPImageProcessor")(
        size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE}
    )
    config = transformers.CLIPConfig(
        text_config=TOWER | {"vocab_size": len(tokenizer)},
        vision_config=TOWER | {"image_size": SIDE, "patch_size": 16},
        projection_dim=32,
    )
    for part in (tokenizer, images):
        part.save_pretrained(folder)
    given = {"max_length": 77, "padding": "max_length"}
    return Case(transformers.CLIPModel(config), images, tokenizer, given, CLIP_STD, 32)


def siglip(folder: Path) -> Case:
    """The first SigLIP: SentencePiece, no punctuation, padded with the end token."""
    special = {"pad_id": -1, "unk_id": 2, "bos_id": -1, "eos_id": 1}
    file = ref.sentencepiece_unigram(folder / "spiece.model", special)
    tokenizer = transformers.SiglipTokenizer(str(file), model_input_names=["input_ids"])
    images = ref.image_processor("SiglipImageProcessor")(size={"height": SIDE, "width": SIDE})
    transformers.SiglipProcessor(images, tokenizer).save_pretrained(folder)
    config = transformers.SiglipConfig(
        text_config=TOWER | {"vocab_size": len(tokenizer) + 8, "projection_size": 64},
        vision_config=TOWER | {"image_size": SIDE, "patch_size": 16},
    )
    given = {"max_length": 64, "padding": "max_length"}
    return Case(transformers.SiglipModel(config), images, tokenizer, given, GREY, 64)


def siglip2(folder: Path) -> Case:
    """SigLIP 2 of fixed size: SiglipModel with a tokenizer like Gemma's, lower case."""
    tokenizer = ref.gemma(padding_side="right", model_input_names=["input_ids"])
    images = ref.image_processor("SiglipImageProcessor")(
        size={"height": SIDE, "width": SIDE}, resample=2
    )
    for part in (tokenizer, images):
        part.save_pretrained(folder)
    # The published file does not contain the lower case; the reader must apply it.
    whole = json.loads((folder / "tokenizer.json").read_text())
    kept = [n for n in whole["normalizer"]["normalizers"] if n["type"] != "Lowercase"]
    whole["normalizer"]["normalizers"] = kept
    (folder / "tokenizer.json").write_text(json.dumps(whole))
    config = transformers.SiglipConfig(
        text_config=TOWER | {"vocab_size": len(tokenizer), "projection_size": 64},
        vision_config=TOWER | {"image_size": SIDE, "patch_size": 16},
    )
    given = {"max_length": 64, "padding": "max_length"}
    return Case(transformers.SiglipModel(config), images, tokenizer, given, GREY, 64)


def siglip2_naflex(folder: Path) -> Case:
    """SigLIP 2 NaFlex: patches in the picture's own shape, saved by its processor."""
    tokenizer = ref.gemma(padding_side="right", model_input_names=["input_ids"])
    images = ref.image_processor("Siglip2ImageProcessor")(max_num_patches=40)
    transformers.Siglip2Processor(images, tokenizer).save_pretrained(folder)
    config = transformers.Siglip2Config(
        text_config=TOWER | {"vocab_size": len(tokenizer), "projection_size": 64},
        vision_config=TOWER | {"num_patches": 36, "patch_size": 16},
    )
    given = {"max_length": 64, "padding": "max_length"}
    return Case(transformers.Siglip2Model(config), images, tokenizer, given, GREY, 64)


def metaclip2(folder: Path) -> Case:
    """MetaCLIP 2: CLIP with a tokenizer like XLM-R's."""
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    tokenizer = transformers.XLMRobertaTokenizer(vocab=ref.unigram(special), model_max_length=77)
    images = ref.image_processor("CLIPImageProcessor")(
        size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE}
    )
    transformers.CLIPProcessor(images, tokenizer).save_pretrained(folder)
    config = transformers.MetaClip2Config(
        text_config=TOWER | {"vocab_size": len(tokenizer), "eos_token_id": 2},
        vision_config=TOWER | {"image_size": SIDE, "patch_size": 16},
        projection_dim=32,
    )
    given = {"max_length": 77, "padding": "max_length"}
    return Case(transformers.MetaClip2Model(config), images, tokenizer, given, CLIP_STD, 32)


def chinese_clip(folder: Path) -> Case:
    """Chinese-CLIP: a BERT whose first position is the vector, and no tokenizer.json."""
    words = ref.word_pieces()
    (folder / "vocab.txt").write_text("\n".join(words), "utf-8")
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "BertTokenizer", "do_lower_case": True})
    )
    tokenizer = transformers.BertTokenizer.from_pretrained(folder)
    images = ref.image_processor("ChineseCLIPImageProcessor")(
        size={"height": SIDE, "width": SIDE}, do_center_crop=False
    )
    images.save_pretrained(folder)
    config = transformers.ChineseCLIPConfig(
        text_config=TOWER | {"vocab_size": len(words)},
        vision_config=TOWER | {"image_size": SIDE, "patch_size": 16},
        projection_dim=32,
    )
    given = {"max_length": 52, "padding": "max_length"}
    return Case(transformers.ChineseCLIPModel(config), images, tokenizer, given, CLIP_STD, 32)


def tipsv2(folder: Path) -> Case:
    """TIPSv2: pixels between 0 and 1, not normalised; the mean over a text's tokens."""
    vocabulary, merges = ref.sentencepiece_bpe(["<pad>", "<unk>"])
    tokenizer = transformers.Tipsv2Tokenizer(vocabulary, merges)
    images = transformers.Tipsv2ImageProcessor(size={"height": 56, "width": 56})
    transformers.Tipsv2Processor(images, tokenizer).save_pretrained(folder)
    config = transformers.Tipsv2Config(
        text_config=TOWER | {"vocab_size": len(tokenizer)},
        vision_config={k: v for k, v in TOWER.items() if k != "intermediate_size"}
        | {"image_size": 56, "patch_size": 14},
    )
    given = {"max_length": 64, "padding": "max_length"}
    return Case(transformers.Tipsv2Model(config), images, tokenizer, given, (1, 1, 1), 64, least=1)


FAMILIES: list[Callable[[Path], Case]] = [
    clip, siglip, siglip2, siglip2_naflex, metaclip2, chinese_clip, tipsv2,
]  # fmt: skip


@pytest.fixture(scope="module", params=FAMILIES, ids=lambda build: build.__name__)
def family(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Case, TorchEncoder]:
    folder = tmp_path_factory.mktemp(request.param.__name__)
    case: Case = request.param(folder)
    ref.wide(case.model).save_pretrained(folder)
    encoder = ref.loaded(folder)
    assert isinstance(encoder, TorchEncoder)
    return case, encoder


def test_a_model_is_recognised_by_its_files_and_opened_late(
    family: tuple[Case, TorchEncoder],
) -> None:
    case, encoder = family
    assert encoder.dim == case.dim and len(encoder.fingerprint) == 64


def test_pixels_and_image_vectors_equal_those_of_transformers(
    family: tuple[Case, TorchEncoder],
) -> None:
    case, encoder = family
    inputs = case.images(images=ref.images(), return_tensors="pt")
    batch = ref.prepared(encoder, ref.images())
    wanted = inputs["pixel_values"].numpy()
    if "spatial_shapes" in inputs:
        places, packed = batch[..., -2:], batch[..., :-2]
        np.testing.assert_array_equal(places[..., 0] > 0, inputs["pixel_attention_mask"].numpy())
        np.testing.assert_array_equal(places.max(1), inputs["spatial_shapes"].numpy())
        ref.same_pixels(packed[:, None], wanted[:, None], [case.std[0]])
    else:
        ref.same_pixels(batch, wanted, case.std)
    with torch.no_grad():
        found = case.model.get_image_features(**inputs)
    rows = encoder.encode_images(batch)
    # A reference that resizes with torchvision rounds some pixels to the next level.
    pillow = type(case.images).__name__.endswith("Pil")
    assert ref.agree(rows, found, off=1e-4 if pillow else 0.005)
    alone = np.concatenate([encoder.encode_images(each[None]) for each in batch])
    assert abs(alone - rows).max() <= 1e-5


def test_tokens_equal_those_of_transformers(family: tuple[Case, TorchEncoder]) -> None:
    case, encoder = family
    given = {"max_length": case.given["max_length"], "truncation": True}
    ref.same_tokens(encoder, lambda text: case.tokenizer(text, **given)["input_ids"])


def test_text_vectors_equal_those_of_transformers(family: tuple[Case, TorchEncoder]) -> None:
    case, encoder = family
    texts = [t for t in TEXTS if len(case.tokenizer(t)["input_ids"]) >= case.least]
    inputs = case.tokenizer(texts, truncation=True, return_tensors="pt", **case.given)
    inputs.pop("token_type_ids", None)
    with torch.no_grad():
        wanted = case.model.get_text_features(**inputs)
    assert ref.agree(encoder.encode_texts(texts), wanted)
    alone = np.concatenate([encoder.encode_texts([text]) for text in texts])
    assert ref.agree(alone, wanted), "each at its own length"


def test_a_short_text_is_not_padded_if_the_tower_allows_it(
    family: tuple[Case, TorchEncoder], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The test above shows that the vectors equal those of the reference, which pads texts."""
    case, encoder = family
    towers, lengths = encoder.opened(), []
    texts = towers.texts

    def noted(ids: Any, mask: Any) -> Any:
        lengths.append(ids.shape[1])
        return texts(ids, mask)

    monkeypatch.setattr(towers, "texts", noted)
    encoder.encode_texts(["a photo of a dog"])
    own = len(case.tokenizer("a photo of a dog")["input_ids"])
    if "iglip" in type(case.model).__name__:
        assert lengths == [64], "it pools the last of 64 positions"
    else:
        assert lengths == [own] and own < case.given["max_length"]
    if type(case.model).__name__ == "CLIPModel":
        assert (own, case.given["max_length"]) == (7, 77)


@pytest.mark.parametrize(
    "family", [clip, siglip, siglip2, chinese_clip, tipsv2], indirect=True, ids=lambda f: f.__name__
)
def test_the_text_tower_runs_within_vespa(
    family: tuple[Case, TorchEncoder], tmp_path: Path
) -> None:
    case, encoder = family
    if type(case.tokenizer).__name__ == "SiglipTokenizer":  # by SentencePiece, without the file
        with pytest.raises(ModelError, match=r"can't be written as tokenizer\.json"):
            agreement(encoder, tmp_path, ["a dog"])
    else:
        assert agreement(encoder, tmp_path, sample_texts.texts()) >= 0.9999


def test_the_likelihood_equals_the_models_own(family: tuple[Case, TorchEncoder]) -> None:
    """The likelihood of our vectors equals the model's own of an image and a text."""
    case, encoder = family
    rule = encoder.likelihood()
    assert rule and (rule.bias is None) == ("iglip" not in type(case.model).__name__)
    pictures, texts = ref.images()[:3], ["a photo of a dog", "two cats on a beach", "собака"]
    inputs = case.tokenizer(texts, truncation=True, return_tensors="pt", **case.given)
    inputs.pop("token_type_ids", None)
    batch = ref.prepared(encoder, pictures)
    with torch.no_grad():
        wanted = case.model(**inputs, **case.images(images=pictures, return_tensors="pt"))
    cosines = encoder.encode_images(batch) @ encoder.encode_texts(texts).T
    logits = wanted.logits_per_image.numpy()
    off = 0.3 if "Tipsv2" in type(case.model).__name__ else 1e-3  # its pixels differ by a level
    np.testing.assert_allclose(rule.scale * cosines + (rule.bias or 0), logits, atol=off)


def test_words_of_a_text_are_found_and_known(family: tuple[Case, TorchEncoder]) -> None:
    _, encoder = family
    found = encoder.words("a dog \U0001f9ff")
    assert found["dog"] and len(found) >= 2
