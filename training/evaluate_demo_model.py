"""Print the held-out figures of an exported demo model as JSON.

python training/evaluate_demo_model.py src/pixseek/demo/model
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image
from tokenizers import Tokenizer

from evaluation import EncodeImages, EncodeTexts, Rows, evaluate, held_out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path, help="the exported model's folder")
    folder = parser.parse_args().model
    found: dict[str, float] = {
        name: round(value, 4) for name, value in evaluate(held_out(), *towers(folder)).items()
    }
    files = [path for path in folder.rglob("*") if path.is_file()]
    found["bytes"] = sum(path.stat().st_size for path in files)
    print(json.dumps(found, indent=1))


def towers(folder: Path, batch: int = 128) -> tuple[EncodeImages, EncodeTexts]:
    """The two exported towers as functions, with the preprocessing that their folder specifies."""
    visual = onnxruntime.InferenceSession(str(folder / "visual" / "model.onnx"))
    textual = onnxruntime.InferenceSession(str(folder / "textual" / "model.onnx"))
    tokenizer = Tokenizer.from_file(str(folder / "textual" / "tokenizer.json"))
    shape = json.loads((folder / "visual" / "preprocess_cfg.json").read_text(encoding="utf-8"))
    mean, std = (np.array(shape[key], np.float32) for key in ("mean", "std"))

    def pixels(picture: Image.Image) -> Rows:
        small = picture.convert("RGB").resize(shape["size"], Image.Resampling.BILINEAR)
        scaled = np.asarray(small, np.float32) * np.float32(shape["rescale"])
        values: Rows = ((scaled - mean) / std).transpose(2, 0, 1)
        return values

    def images(pictures: Sequence[Image.Image]) -> Rows:
        rows = []
        for start in range(0, len(pictures), batch):
            values = np.stack([pixels(picture) for picture in pictures[start : start + batch]])
            rows.append(visual.run(["image_embeds"], {"pixel_values": values})[0])
        return np.concatenate(rows)

    def texts(sentences: Sequence[str]) -> Rows:
        rows = []
        for start in range(0, len(sentences), batch):
            encoded = tokenizer.encode_batch(list(sentences[start : start + batch]))
            inputs = {
                "input_ids": np.array([e.ids for e in encoded], np.int64),
                "attention_mask": np.array([e.attention_mask for e in encoded], np.int64),
            }
            rows.append(textual.run(["text_embeds"], inputs)[0])
        return np.concatenate(rows)

    return images, texts


if __name__ == "__main__":
    main()
