"""Models with their own program code, such as FG-CLIP 2."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from pixseek import encoders
from pixseek.errors import ModelError

import reference as ref
from reference import TEXTS, torch, transformers

pytestmark = pytest.mark.torch

#: FG-CLIP 2's own code is only on the hub. This has its interface (README of
#: https://github.com/360CVGroup/FG-CLIP): SigLIP 2's towers, and a text head for each length.
CODE = """
from transformers import Siglip2Config, Siglip2Model


class Fgclip2Config(Siglip2Config):
    model_type = "fgclip2"


class FG_CLIP2_Model(Siglip2Model):
    config_class = Fgclip2Config

    def get_image_features(self, pixel_values, pixel_attention_mask=None, spatial_shapes=None):
        return super().get_image_features(
            pixel_values=pixel_values,
            pixel_attention_mask=pixel_attention_mask,
            spatial_shapes=spatial_shapes,
        ).pooler_output

    def get_text_features(self, input_ids, attention_mask=None, walk_type="short"):
        assert walk_type == "short"
        return super().get_text_features(input_ids=input_ids).pooler_output
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(transformers.dynamic_module_utils, "HF_MODULES_CACHE", str(tmp_path / "m"))
    folder = tmp_path / "fgclip2"
    tower = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
             "intermediate_size": 128}  # fmt: skip
    tokenizer = ref.gemma(padding_side="right", model_input_names=["input_ids"])
    tokenizer.save_pretrained(folder)
    ref.image_processor("Siglip2ImageProcessor")().save_pretrained(folder)
    config = transformers.Siglip2Config(
        text_config=tower | {"vocab_size": len(tokenizer), "projection_size": 64},
        vision_config=tower | {"num_patches": 256, "patch_size": 16},
    )
    ref.wide(transformers.Siglip2Model(config)).save_pretrained(folder)
    (folder / "modeling_fgclip2.py").write_text(CODE)
    written = json.loads((folder / "config.json").read_text())
    written["model_type"] = "fgclip2"
    written["auto_map"] = {
        "AutoConfig": "modeling_fgclip2.Fgclip2Config",
        "AutoModelForCausalLM": "modeling_fgclip2.FG_CLIP2_Model",
    }
    (folder / "config.json").write_text(json.dumps(written))
    return folder


def budget(width: int, height: int) -> int:
    """`determine_max_value` of FG-CLIP's README."""
    count = (width // 16) * (height // 16)
    for least, patches in ((784, 1024), (576, 784), (256, 576), (128, 256)):
        if count > least:
            return patches
    return 128


def test_code_runs_only_if_trusted_and_then_gives_the_vectors_of_the_reference(
    folder: Path,
) -> None:
    models = folder.parent / "models"
    with pytest.raises(ModelError, match=r"(?s)modeling_fgclip2\.py.*pixseek models trust"):
        encoders.load(folder, models_dir=models)
    encoder = encoders.load(folder, models_dir=models, trust_code=True)
    processor = ref.image_processor("Siglip2ImageProcessor")()
    model = transformers.Siglip2Model.from_pretrained(
        folder, config=transformers.Siglip2Config.from_dict(
            json.loads((folder / "config.json").read_text()) | {"model_type": "siglip2"}
        ),
    )  # fmt: skip
    pictures = [p.resize((p.width * k, p.height * k)) for k in (1, 3) for p in ref.images()]
    wanted = []
    for picture in pictures:
        inputs = processor(
            images=picture, max_num_patches=budget(*picture.size), return_tensors="pt"
        )
        with torch.no_grad():
            wanted.append(model.get_image_features(**inputs).pooler_output)
    assert {budget(*p.size) for p in pictures} >= {128, 256, 1024}
    rows = np.concatenate(
        [
            encoder.encode_images(ref.prepared(encoder, pictures[at : at + 4]))
            for at in (0, 4, 8, 12)
        ]
    )
    assert ref.agree(rows, torch.cat(wanted))
    tokenizer = transformers.Siglip2Tokenizer.from_pretrained(folder)
    inputs = tokenizer(
        TEXTS, padding="max_length", max_length=64, truncation=True, return_tensors="pt"
    )
    given = {"max_length": 64, "truncation": True}
    ref.same_tokens(encoder, lambda text: tokenizer(text, **given)["input_ids"])
    with torch.no_grad():
        texts = model.get_text_features(**inputs)
    assert ref.agree(encoder.encode_texts(TEXTS), texts)


def test_changed_code_must_be_trusted_again(folder: Path) -> None:
    models = folder.parent / "models"
    assert [each.name for each in encoders.trust(folder, models)] == ["modeling_fgclip2.py"]
    assert encoders.load(folder, models_dir=models).dim == 64
    (folder / "modeling_fgclip2.py").write_text(CODE + "\n# one line more\n")
    with pytest.raises(ModelError, match="own"):
        encoders.load(folder, models_dir=models)


def test_code_outside_the_folder_is_refused(folder: Path) -> None:
    written = json.loads((folder / "config.json").read_text())
    written["auto_map"]["AutoModel"] = "somebody/else--modeling.Model"
    (folder / "config.json").write_text(json.dumps(written))
    with pytest.raises(ModelError, match="not in its folder"):
        encoders.load(folder, models_dir=folder.parent / "models", trust_code=True)
