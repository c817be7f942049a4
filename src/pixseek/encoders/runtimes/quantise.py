"""Convert an image tower to int8 with NNCF, in another process.

    python -m pixseek.encoders.runtimes.quantise MODEL.onnx OUT.xml INPUT IMAGES.npy

Another process, because NNCF takes 1.5 GB for ViT-B/32 and imports scipy and scikit-learn: so the
memory is released, and the indexer never holds it.
"""

from __future__ import annotations

import sys
from typing import Any


def main(model: str, out: str, name: str, images: str) -> None:
    """Calibrate the model at `model` on the images at `images` and write it to `out`."""
    # Without this package, NNCF doesn't report its use over the network. pixseek sends nothing
    # about its users, so the package is hidden from this process.
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
