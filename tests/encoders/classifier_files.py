"""A tiny classifier in a folder, with the files of such models on the hub."""

from __future__ import annotations

import json
from pathlib import Path

import tiny_models
from tiny_models import SIDE

LABELS = ["lakeside, lakeshore", "dock", "tabby, tabby cat", *(f"thing {n}" for n in range(5))]


def classifier_folder(folder: Path, **config: object) -> Path:
    """Write a classifier with the layers of the tiny image tower."""
    tiny_models.visual_graph(folder / "onnx" / "model.onnx", gives="logits")
    said = {"id2label": {str(n): label for n, label in enumerate(LABELS)}, **config}
    (folder / "config.json").write_text(json.dumps(said), "utf-8")
    pixels = {"do_resize": True, "do_normalize": True, "size": SIDE}  # Google's, except size
    (folder / "preprocessor_config.json").write_text(json.dumps(pixels), "utf-8")
    return folder
