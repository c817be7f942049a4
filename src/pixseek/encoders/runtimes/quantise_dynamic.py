"""Convert an image tower to whole numbers of 8 bits for onnxruntime; run as a process of its own.

    python -m pixseek.encoders.runtimes.quantise_dynamic MODEL.onnx OUT.onnx

The matrices are rounded once, those of the values when the tower runs, by their range in each call.
A process of its own, since it holds the model three times over.
"""

from __future__ import annotations

import sys


def main(model: str, out: str) -> None:
    """Write the tower at `model` to `out`, in one file."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(
        model,
        out,
        # Convolutions run slower so than in fp32.
        op_types_to_quantize=["MatMul", "Gemm"],
        per_channel=True,
        weight_type=QuantType.QInt8,
        # Weights of 7 bits: where a processor has no VNNI, the sum of two products of 8 bits does
        # not fit into 16, and is cut off.
        # https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html
        reduce_range=True,
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
