"""The GPUs that onnxruntime can compute on, and the number of images per call to a GPU."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import field

from pixseek.encoders.runtimes.towers import IMAGES_A_CALL
from pixseek.errors import ModelError
from pixseek.types.dataclass import dataclass

#: The number of images per call is doubled while that makes it faster by at least this factor.
_GAIN = 1.1
_LARGEST_BATCH = 256


@dataclass(frozen=True, slots=True)
class Gpu:
    """A kind of GPU.

    Attributes:
        provider: its name in onnxruntime.
        name: name to show.
        options: for the provider.
    """

    provider: str
    name: str
    options: Mapping[str, str] = field(default_factory=dict)


#: Best first. OpenVINO's provider is used for a GPU only: on the CPU it computes in fp32, which is
#: no faster than onnxruntime (ViT-B/32: 12 to 16 images/s, onnxruntime 15 to 17). TensorRT and
#: MIGraphX are left out: they compile a graph for minutes, again for each batch size.
GPUS = (
    Gpu("CUDAExecutionProvider", "CUDA"),
    Gpu("DmlExecutionProvider", "DirectML"),
    Gpu("CoreMLExecutionProvider", "CoreML"),
    Gpu("OpenVINOExecutionProvider", "OpenVINO's GPU", {"device_type": "GPU", "precision": "FP32"}),
)


def best_batch(run: Callable[[int], object], clock: Callable[[], float] = time.perf_counter) -> int:
    """Return the best number of images per call, found by trying.

    Args:
        run: makes a call with n images; raises ModelError if they are too many.
        clock: returns the time in seconds.
    """
    best, rate = IMAGES_A_CALL, 0.0
    size = best
    while size <= _LARGEST_BATCH:
        try:
            run(size)  # the set-up for a new size is not counted
            began = clock()
            run(size)
        except ModelError:
            break
        found = size / (clock() - began)
        if found < _GAIN * rate:
            break
        best, rate, size = size, found, 2 * size
    return best
