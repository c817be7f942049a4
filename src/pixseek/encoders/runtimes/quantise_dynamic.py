"""Convert an image tower to int8 for onnxruntime, in another process.

    python -m pixseek.encoders.runtimes.quantise_dynamic MODEL.onnx OUT.onnx

Weights are rounded here, activations when the tower runs, by their range in each call. Another
process, because this takes three times the memory of the model.
"""

from __future__ import annotations

import sys


def main(model: str, out: str) -> None:
    """Write the tower at `model` to `out`, in one file."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(
        model,
        out,
        # Convolutions would be slower than in fp32.
        op_types_to_quantize=["MatMul", "Gemm"],
        per_channel=True,
        weight_type=QuantType.QInt8,
        # 7-bit weights: without VNNI, the sum of two 8-bit products may not fit into 16 bits, and
        # is clipped.
        # https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html
        reduce_range=True,
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
