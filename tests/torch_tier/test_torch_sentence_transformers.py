"""Models of sentence-transformers: pixseek with torch gives the results of the library itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pixseek.encoders.torch import TorchEncoder
from pixseek.errors import ModelError
from pixseek.types import Picture

import reference as ref
import sample_texts
from reference import ALL_TEXTS, SIDE, TEXTS, torch, transformers
from vespa_embedder import agreement

pytestmark = pytest.mark.torch
st = pytest.importorskip("sentence_transformers")

TOWER = {
    "hidden_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 128,
}


def text_tower(folder: Path, pooling: str, activation: Any, *, legacy: bool) -> Any:
    """Like the multilingual tower: DistilBERT, pooling, a dense layer without bias."""
    words = ref.word_pieces()
    inner = folder.with_name(f"{folder.name}-inner")
    inner.mkdir()
    (inner / "vocab.txt").write_text("\n".join(words), "utf-8")
    tokenizer = transformers.BertTokenizer.from_pretrained(inner)
    tokenizer.model_max_length = 512
    config = transformers.DistilBertConfig(
        vocab_size=len(words), dim=64, n_layers=3, n_heads=4, hidden_dim=128
    )
    ref.wide(transformers.DistilBertModel(config)).save_pretrained(inner)
    tokenizer.save_pretrained(inner)
    from sentence_transformers.sentence_transformer import modules

    transformer = modules.Transformer(str(inner), max_seq_length=128)
    dense = ref.wide(modules.Dense(64, 32, bias=False, activation_function=activation))
    pool = modules.Pooling(64, pooling)
    model = st.SentenceTransformer(modules=[transformer, pool, dense], device="cpu")
    model.save(str(folder))
    if legacy:  # the published model was written by version 1
        listed = json.loads((folder / "modules.json").read_text())
        for each in listed:
            each["type"] = f"sentence_transformers.models.{each['type'].rpartition('.')[2]}"
        (folder / "modules.json").write_text(json.dumps(listed))
        place = folder / listed[1]["path"]
        (place / "config.json").write_text(
            json.dumps(
                {
                    "word_embedding_dimension": 64,
                    "pooling_mode_cls_token": pooling == "cls",
                    "pooling_mode_mean_tokens": pooling == "mean",
                    "pooling_mode_max_tokens": pooling == "max",
                    "pooling_mode_mean_sqrt_len_tokens": False,
                }
            )
        )
        place = folder / listed[2]["path"]
        torch.save(dense.state_dict(), place / "pytorch_model.bin")
        (place / "model.safetensors").unlink()
    return model


@pytest.mark.parametrize(
    ("pooling", "activation", "legacy"),
    [
        ("mean", torch.nn.Identity(), True),
        ("mean", torch.nn.Tanh(), False),
        ("cls", torch.nn.Identity(), False),
        ("max", torch.nn.Identity(), True),
    ],
)
def test_a_text_tower_gives_the_vectors_of_sentence_transformers(
    tmp_path: Path, pooling: str, activation: Any, legacy: bool
) -> None:
    model = text_tower(tmp_path / "text", pooling, activation, legacy=legacy)
    encoder = ref.loaded(tmp_path / "text")
    assert isinstance(encoder, TorchEncoder) and encoder.dim == 32
    ref.same_tokens(
        encoder, lambda t: model.tokenizer(t, truncation=True, max_length=128)["input_ids"]
    )
    wanted = torch.from_numpy(model.encode(ALL_TEXTS))
    assert ref.agree(encoder.encode_texts(ALL_TEXTS), wanted)
    alone = np.concatenate([encoder.encode_texts([text]) for text in ALL_TEXTS])
    assert ref.agree(alone, wanted), "each at its own length"
    assert agreement(encoder, tmp_path / "app", sample_texts.texts()) >= 0.9999, "within Vespa"
    with pytest.raises(ModelError, match="reads only texts"):
        encoder.prepare(Picture(ref.images()[0], 64, 64, ""))


def clip(folder: Path) -> Any:
    tokenizer = ref.clip_tokenizer()
    images = ref.image_processor("CLIPImageProcessor")(
        size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE}
    )
    config = transformers.CLIPConfig(
        text_config=TOWER | {"vocab_size": len(tokenizer)},
        vision_config=TOWER | {"image_size": SIDE, "patch_size": 16},
        projection_dim=32,
    )
    folder.mkdir(parents=True)
    transformers.CLIPProcessor(images, tokenizer).save_pretrained(folder)
    ref.wide(transformers.CLIPModel(config)).save_pretrained(folder)


@pytest.mark.parametrize("legacy", [True, False])
def test_a_clip_gives_the_vectors_of_sentence_transformers(tmp_path: Path, legacy: bool) -> None:
    folder = tmp_path / "clip"
    if legacy:
        clip(folder / "0_CLIPModel")
        modules = [
            {
                "idx": 0,
                "name": "0",
                "path": "0_CLIPModel",
                "type": "sentence_transformers.models.CLIPModel",
            }
        ]
        (folder / "modules.json").write_text(json.dumps(modules))
    else:
        clip(tmp_path / "inner")
        from sentence_transformers.sentence_transformer import modules as kinds

        inner = kinds.Transformer(str(tmp_path / "inner"))
        st.SentenceTransformer(modules=[inner], device="cpu").save(str(folder))
    model = st.SentenceTransformer(str(folder), device="cpu")
    encoder = ref.loaded(folder)
    assert isinstance(encoder, TorchEncoder) and encoder.dim == 32
    short = [text for text in TEXTS if len(text) < 60]
    assert ref.agree(encoder.encode_texts(short), torch.from_numpy(model.encode(short)))
    rows = encoder.encode_images(ref.prepared(encoder, ref.images()))
    # By default sentence-transformers resizes with torchvision, which rounds differently.
    assert ref.agree(rows, torch.from_numpy(model.encode(ref.images())), off=0.005)
