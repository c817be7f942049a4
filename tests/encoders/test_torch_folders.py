"""Folders of torch models, read without torch; the torch tier tests running them."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, models

from pixseek import encoders
from pixseek.encoders import torch
from pixseek.encoders.inputs.preprocessing import Patches, Preprocessing
from pixseek.errors import MissingExtraError, ModelError

import tiny_models

GREY = (0.5, 0.5, 0.5)


def write(folder: Path, **files: Any) -> Path:
    """Write JSON files, with `__` in a name for `/`; None writes an empty file of weights."""
    for name, content in files.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        if content is None:
            path.with_name(path.name + ".safetensors").write_bytes(b"weights")
        else:
            path.with_name(path.name + ".json").write_text(json.dumps(content))
    return folder


def transformers(folder: Path, kind: str = "clip", **config: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    Tokenizer(models.WordLevel({"a": 0}, "a")).save(str(folder / "tokenizer.json"))
    return write(
        folder,
        config={"model_type": kind, **config},
        model=None,
        preprocessor_config={},
        tokenizer_config={"model_max_length": 1e30, "pad_token": "<pad>"},
    )


def test_settings_missing_from_clips_files_get_the_familys(tmp_path: Path) -> None:
    folder = transformers(tmp_path / "clip")
    assert torch.layout_of(folder) == "transformers"
    files = torch.read(folder)
    assert files.preprocessing == Preprocessing(224, 224, 224, crop="floor")
    assert (files.text.context, files.text.full, files.masked, files.dim) == (77, False, True, 512)
    assert files.text.file.name == "tokenizer.json" and not files.text.left
    assert files.weights == (folder / "model.safetensors",)


def test_siglip_reads_all_its_context_in_lower_case_without_a_mask(tmp_path: Path) -> None:
    folder = transformers(tmp_path / "s", "siglip", vision_config={"hidden_size": 1152})
    write(folder, preprocessor_config={"image_processor_type": "SiglipImageProcessor"})
    files = torch.read(folder)
    assert (files.text.cleaning, files.text.full, files.masked) == ("lower", True, False)
    assert files.dim == 1152 and isinstance(files.preprocessing, Preprocessing)
    assert files.preprocessing.edge == 0 and files.preprocessing.mean == GREY
    # Settings of the tokenizer's own file override those of the family.
    extra = {"model_input_names": ["input_ids", "attention_mask"], "padding_side": "left"}
    write(folder, tokenizer_config=extra | {"model_max_length": 32})
    files = torch.read(folder)
    assert files.masked and files.text.left and files.text.context == 32


def test_naflex_cuts_patches_and_fg_clip_chooses_how_many(tmp_path: Path) -> None:
    folder = transformers(tmp_path / "n", "siglip2")
    processor = {"image_processor_type": "Siglip2ImageProcessorFast", "max_num_patches": 729}
    write(folder, preprocessor_config=processor)
    assert torch.read(folder).preprocessing == Patches(16, (729,))
    (folder / "modeling.py").write_text("")
    config = {"model_type": "fgclip2", "auto_map": {"AutoModelForCausalLM": "modeling.Model"}}
    write(folder, config=config)
    files = torch.read(folder)
    assert files.preprocessing == Patches(16, (128, 256, 576, 784, 1024))
    assert files.code == (folder / "modeling.py",) == encoders.own_code(folder)
    write(folder, preprocessor_config={})
    with pytest.raises(ModelError, match="not that of its family"):
        torch.read(folder)


def test_the_image_processor_inside_a_processor_of_transformers_5_is_read(tmp_path: Path) -> None:
    folder = transformers(tmp_path / "clip")
    (folder / "preprocessor_config.json").unlink()
    write(folder, processor_config={"image_processor": {"resample": 2}})
    files = torch.read(folder)
    assert files.preprocessing and files.preprocessing.interpolation == "bilinear"


def test_weights_in_parts_are_read_from_the_index(tmp_path: Path) -> None:
    folder = transformers(tmp_path / "clip")
    (folder / "model.safetensors").rename(folder / "model-1.safetensors")
    first, second = "model-1.safetensors", "model-2.safetensors"
    index = {"weight_map": {"a": second, "b": first, "c": first}}
    write(folder, **{"model.safetensors.index": index})
    assert [file.name for file in torch.read(folder).weights] == [first, second]


OPEN_CLIP = {
    "embed_dim": 512,
    "vision_cfg": {"image_size": 256},
    "text_cfg": {"context_length": 32},
}


def test_a_folder_of_open_clip_is_read(tmp_path: Path) -> None:
    tiny_models.openai_vocabulary(tmp_path / "bpe_simple_vocab_16e6.txt.gz")
    whole: dict[str, Any] = {"model_cfg": OPEN_CLIP, "preprocess_cfg": {"resize_mode": "squash"}}
    write(tmp_path, open_clip_config=whole, open_clip_model=None)
    # Such folders often hold a transformers model too.
    transformers(tmp_path)
    assert torch.layout_of(tmp_path) == "open_clip"
    files = torch.read(tmp_path)
    assert files.package == "open_clip" and files.dim == 512
    assert files.preprocessing == Preprocessing(256, 256)
    assert (files.text.context, files.text.cleaning, files.text.full) == (32, "open_clip", False)
    for change, full in (({"no_causal_mask": True}, True), ({"pool_type": "last"}, True)):
        whole["model_cfg"] = OPEN_CLIP | {"text_cfg": change}
        write(tmp_path, open_clip_config=whole)
        assert torch.read(tmp_path).text.full == full
    text = {"hf_tokenizer_name": "x", "tokenizer_kwargs": {"clean": "canonicalize"}}
    whole["model_cfg"] = OPEN_CLIP | {"text_cfg": text}
    write(tmp_path, open_clip_config=whole)
    rules = torch.read(tmp_path).text
    assert (rules.file.name, rules.cleaning, rules.full) == ("tokenizer.json", "canonical", True)


def test_text_towers_that_open_clip_only_names_get_their_configuration(tmp_path: Path) -> None:
    def read(name: str, **files: Any) -> torch.TorchFiles:
        text = {"hf_model_name": name, "hf_tokenizer_name": name}
        whole = {"model_cfg": OPEN_CLIP | {"text_cfg": text}}
        write(tmp_path, open_clip_config=whole, **files)
        return torch.read(tmp_path)

    write(tmp_path, open_clip_model=None, tokenizer={})
    files = read("facebook/nllb-200-distilled-1.3B")
    assert files.inner and files.inner["encoder_layers"] == 24
    # transformers itself puts the language code before a text, whatever tokenizer.json says.
    assert (files.text.file, files.text.context, files.text.pad) == (tmp_path, 77, 1)
    files = read("xlm-roberta-base")
    assert files.inner and files.inner["vocab_size"] == 250002 and not files.text.full
    assert files.text.file == tmp_path / "tokenizer.json"
    files = read("somebody/else", config={"model_type": "roberta", "pad_token_id": 7})
    assert files.inner and files.text.pad == 7


@pytest.mark.parametrize(
    "text",
    [
        {"hf_model_name": "google/mt5-base"},
        {"tokenizer_kwargs": {"reduction_mask": "simple"}},
        {"hf_tokenizer_name": "x", "tokenizer_mode": "clips"},
    ],
)
def test_unsupported_settings_of_open_clip_raise_model_error(
    tmp_path: Path, text: dict[str, Any]
) -> None:
    tiny_models.openai_vocabulary(tmp_path / "bpe_simple_vocab_16e6.txt.gz")
    config = {"model_cfg": OPEN_CLIP | {"text_cfg": text}}
    write(tmp_path, open_clip_config=config, open_clip_model=None)
    with pytest.raises(ModelError, match="is not supported"):
        torch.read(tmp_path)


def test_folders_of_sentence_transformers_are_read(tmp_path: Path) -> None:
    kinds = [("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Dense", "Dense")]
    listed = [{"path": path, "type": f"sentence_transformers.models.{k}"} for path, k in kinds]
    transformers(tmp_path, "distilbert", max_position_embeddings=512)
    write(
        tmp_path,
        modules=listed,
        sentence_bert_config={"max_seq_length": 128},
        **{"1_Pooling__config": {"word_embedding_dimension": 768}},
        **{"2_Dense__config": {"out_features": 512}, "2_Dense__model": None},
    )
    assert torch.layout_of(tmp_path) == "sentence-transformers"
    files = torch.read(tmp_path)
    assert files.preprocessing is None and files.dim == 512 and files.text.context == 128
    assert len(files.weights) == 2
    # A CLIP: its module is a folder of transformers.
    other = tmp_path / "other"
    transformers(other / "0_CLIPModel")
    write(
        other, modules=[{"path": "0_CLIPModel", "type": "sentence_transformers.models.CLIPModel"}]
    )
    files = torch.read(other)
    assert files.preprocessing and files.folder == other / "0_CLIPModel"
    write(tmp_path, modules=[{"path": "", "type": "sentence_transformers.models.BoW"}])
    with pytest.raises(ModelError, match=r"(?s)BoW.*Known modules: .*Dense"):
        torch.read(tmp_path)


def test_onnx_is_preferred_in_a_folder_with_both(tmp_path: Path) -> None:
    tiny_models.xenova(tmp_path)
    write(tmp_path, model=None)
    assert torch.layout_of(tmp_path) == "transformers"
    assert encoders.describe(tmp_path, tmp_path / "models").layout == "xenova"
    assert encoders.own_code(tmp_path) == ()


def test_a_model_is_described_without_torch_and_loading_names_the_extra(tmp_path: Path) -> None:
    folder = transformers(tmp_path / "clip")
    found = encoders.describe(folder, tmp_path / "models")
    assert (found.layout, found.dim, found.input_side, found.context) == (
        "transformers", 512, 224, 77,
    )  # fmt: skip
    if find_spec("torch") is None:
        with pytest.raises(MissingExtraError, match=r"pixseek\[torch\]"):
            encoders.load(folder, models_dir=tmp_path / "models")


@pytest.mark.parametrize("content", ["{", "[]"])
def test_a_broken_configuration_raises_model_error(tmp_path: Path, content: str) -> None:
    folder = transformers(tmp_path / "clip")
    for name in ("config.json", "tokenizer_config.json", "preprocessor_config.json"):
        whole = (folder / name).read_text()
        (folder / name).write_text(content)
        with pytest.raises(ModelError, match=name):
            torch.read(folder)
        (folder / name).write_text(whole)
    for name in ("modules.json", "open_clip_config.json"):
        (folder / name).write_text(content)
        with pytest.raises(ModelError, match=name):
            torch.read(folder)
        (folder / name).unlink()
