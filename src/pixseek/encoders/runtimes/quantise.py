"""Convert an image tower to whole numbers of 8 bits, with NNCF; run as a process of its own.

    python -m pixseek.encoders.runtimes.quantise MODEL.onnx OUT.xml INPUT IMAGES.npy

A process of its own, since NNCF takes 1.5 GB for ViT-B/32 and brings scipy and scikit-learn along:
the memory is given back, and the indexer never holds it.
"""

from __future__ import annotations

import sys
from typing import Any


def main(model: str, out: str, name: str, images: str) -> None:
    """Calibrate the model at `model` on the images at `images` and write it to `out`."""
    # NNCF reports each use to its makers over the network unless this package is missing. What
    # people do with their photos is nobody's business, so for this process it is missing.
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
    import nncf
    import numpy as np
    import openvino

    rows = np.load(images, mmap_mode="r")
    items: list[dict[str, Any]] = [{name: row[None]} for row in rows]
    converted = nncf.quantize(
        openvino.Core().read_model(model),
        nncf.Dataset(items),
        preset=nncf.QuantizationPreset.MIXED,
        model_type=nncf.ModelType.TRANSFORMER,
        subset_size=len(items),
    )
    openvino.save_model(converted, out, compress_to_fp16=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
