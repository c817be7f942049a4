from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from onnx import TensorProto

from pixseek.encoders import layouts
from pixseek.encoders.runtimes import graph
from pixseek.errors import ModelError

import tiny_models


def test_each_layout_is_recognised_by_its_files(layout: str, model_folder: Path) -> None:
    assert layouts.layout_of(model_folder) == layout
    files = layouts.read(model_folder)
    assert files.layout == layout
    assert files.visual.image and files.visual.image.shape[1:] == (3, 16, 16)
    assert files.textual.tokens and files.textual.embedding
    assert files.visual.embedding and files.visual.embedding.shape[1] == tiny_models.DIM
    assert files.text.file.is_file()


def test_ports_and_operators_are_read_from_the_graph(tmp_path: Path) -> None:
    tiny_models.immich(tmp_path)
    text = graph.read(tmp_path / "textual/model.onnx")
    assert text.tokens == graph.Port("text", "int32", (1, 12))
    assert text.mask is None and text.image is None and text.external == ()
    assert "Gather" in text.ops and not text.quantised_on_the_fly
    tiny_models.text_graph(tmp_path / "t.onnx", more_outputs=True)
    text = graph.read(tmp_path / "t.onnx")
    assert text.tokens == graph.Port("input_ids", "int64", (None, None))
    assert text.mask and text.mask.name == "attention_mask"
    assert [port.name for port in text.outputs] == ["last_hidden_state", "text_embeds"]
    assert text.embedding and text.embedding.name == "text_embeds"


def test_external_files_are_read_from_the_graph(tmp_path: Path) -> None:
    tiny_models.visual_graph(tmp_path / "v.onnx", external=True)
    assert graph.read(tmp_path / "v.onnx").external == (tmp_path / "v.onnx_data",)


def test_initialisers_listed_as_inputs_are_not_inputs(tmp_path: Path) -> None:
    import onnx
    from onnx import helper

    tiny_models.visual_graph(tmp_path / "v.onnx")
    model = onnx.load(tmp_path / "v.onnx")
    model.graph.input.append(
        helper.make_tensor_value_info("w", TensorProto.FLOAT, [12, tiny_models.DIM])
    )
    onnx.save(model, tmp_path / "v.onnx")
    assert [port.name for port in graph.read(tmp_path / "v.onnx").inputs] == ["pixel_values"]


def test_full_precision_is_preferred_to_half_to_quantised(tmp_path: Path) -> None:
    tiny_models.xenova(tmp_path, stems="_quantized")
    assert layouts.read(tmp_path).visual.path.name == "vision_model_quantized.onnx"
    onnx = tmp_path / "onnx"
    shutil.copy(onnx / "vision_model_quantized.onnx", onnx / "vision_model_fp16.onnx")
    assert layouts.read(tmp_path).visual.path.name == "vision_model_fp16.onnx"
    shutil.copy(onnx / "vision_model_quantized.onnx", onnx / "vision_model.onnx")
    files = layouts.read(tmp_path)
    assert files.visual.path.name == "vision_model.onnx"
    assert files.textual.path.name == "text_model_quantized.onnx"


def test_an_unknown_folder_raises_an_error_with_the_files_expected_and_found(
    tmp_path: Path,
) -> None:
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights/pytorch_model.bin").touch()
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(ModelError) as caught:
        layouts.read(tmp_path)
    said = str(caught.value)
    assert "model.safetensors, weights/pytorch_model.bin" in said
    for name, files in layouts.EXPECTED.items():
        assert f"{name}: {files}" in said


def test_a_missing_part_raises_an_error_that_names_it(layout: str, model_folder: Path) -> None:
    part = {
        "xenova": "preprocessor_config.json",
        "immich": "textual/tokenizer.json",
        "rclip": "tokenizer/bpe_simple_vocab_16e6.txt.gz",
        "qdrant": "clip-text/tokenizer.json",
    }[layout]
    (model_folder / part).unlink()
    with pytest.raises(ModelError) as caught:
        layouts.read(model_folder)
    assert Path(part).name in str(caught.value)


@pytest.mark.parametrize("content", ["{", "[]", "\x00", "null"])
def test_a_broken_configuration_raises_model_error(tmp_path: Path, content: str) -> None:
    tiny_models.xenova(tmp_path)
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(ModelError, match=r"(?i)config\.json"):
        layouts.read(tmp_path)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("config.json", {"text_cfg": 3}),
        ("config.json", {"text_cfg": {"tokenizer_kwargs": [1]}}),
        ("visual/preprocess_cfg.json", {"size": "a"}),
        ("visual/preprocess_cfg.json", {"size": -5}),
        ("visual/preprocess_cfg.json", {"size": [16, 16], "mean": None}),
        ("visual/preprocess_cfg.json", {"size": [16, 16], "mean": ["a", "b", "c"]}),
        ("visual/preprocess_cfg.json", {"size": [16, 16], "std": [0, 0, 0]}),
        ("visual/preprocess_cfg.json", {"size": [1, 2, 3, 4]}),
        ("visual/preprocess_cfg.json", {"size": [16, 16], "resize_mode": []}),
    ],
)
def test_a_value_of_the_wrong_kind_raises_model_error_that_names_the_model(
    tmp_path: Path, file: str, content: dict[str, object]
) -> None:
    tiny_models.immich(tmp_path)
    (tmp_path / file).write_text(json.dumps(content))
    with pytest.raises(ModelError) as caught:
        layouts.read(tmp_path)
    assert str(tmp_path) in caught.value.subject


def test_a_negative_number_of_tokens_is_unknown(tmp_path: Path) -> None:
    tiny_models.immich(tmp_path)
    before = layouts.read(tmp_path).text.context
    (tmp_path / "config.json").write_text(json.dumps({"text_cfg": {"context_length": -1}}))
    assert layouts.read(tmp_path).text.context == before


def test_the_vocabulary_may_be_next_to_the_graphs(tmp_path: Path) -> None:
    tiny_models.rclip(tmp_path / "m")
    flat = tmp_path / "flat"
    flat.mkdir()
    for path in (tmp_path / "m").rglob("*.*"):
        if path.is_file():
            shutil.copy(path, flat / path.name)
    assert layouts.read(flat).text.file == flat / "bpe_simple_vocab_16e6.txt.gz"


def test_siglip_reads_lower_case_and_pads_to_its_whole_context(tmp_path: Path) -> None:
    tiny_models.xenova(tmp_path, kind="siglip")
    rules = layouts.read(tmp_path).text
    assert (rules.context, rules.cleaning, rules.full) == (64, "lower", True)
    tiny_models.write(
        tmp_path / "config.json",
        {"model_type": "siglip", "text_config": {"max_position_embeddings": 48}},
    )
    tiny_models.write(
        tmp_path / "tokenizer_config.json", {"pad_token": "[PAD]", "model_max_length": 1e30}
    )
    rules = layouts.read(tmp_path).text
    assert (rules.context, rules.pad) == (48, "[PAD]")


def test_open_clips_configuration_sets_the_text_rules(tmp_path: Path) -> None:
    tiny_models.immich(tmp_path)
    rules = layouts.read(tmp_path).text
    assert (rules.context, rules.cleaning, rules.pad, rules.full) == (12, "none", "[PAD]", False)
    config = json.loads((tmp_path / "config.json").read_text())
    config["text_cfg"] |= {
        "context_length": 99,
        "tokenizer_kwargs": {"clean": "canonicalize"},
        "pool_type": "last",
    }
    tiny_models.write(tmp_path / "config.json", config)
    rules = layouts.read(tmp_path).text
    # The graph is fixed to 12 tokens, whatever the configuration says.
    assert (rules.context, rules.cleaning, rules.full) == (12, "canonical", True)


def test_keys_that_an_export_adds_to_the_immich_layout_are_read(tmp_path: Path) -> None:
    tiny_models.immich(tmp_path)
    before = layouts.read(tmp_path)
    assert not before.text.full and not before.text.left and before.text.cleaning == "none"
    config = json.loads((tmp_path / "config.json").read_text())
    more = {"cleaning": "open_clip", "full_context": True, "padding_side": "left", "pad_id": 3}
    tiny_models.write(
        tmp_path / "config.json", config | more | {"logit_scale": 9, "logit_bias": -1}
    )
    pixels = json.loads((tmp_path / "visual/preprocess_cfg.json").read_text())
    crop = {"resize_edge": 20, "crop_rounding": "floor"}
    tiny_models.write(tmp_path / "visual/preprocess_cfg.json", pixels | crop)
    files = layouts.read(tmp_path)
    assert files.text.full and files.text.left and files.text.pad == 3
    assert files.text.cleaning == "open_clip"
    assert files.preprocessing.edge == 20 and files.preprocessing.crop == "floor"
    assert files.likelihood and (files.likelihood.scale, files.likelihood.bias) == (9, -1)
