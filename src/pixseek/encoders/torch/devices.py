"""Choose the device and the precision in which torch runs a model for many images."""

from __future__ import annotations

import contextlib
import platform
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, get_args

from pixseek.encoders.runtimes import int8
from pixseek.encoders.runtimes.acceleration import CHECK_FROM, GPU_FROM
from pixseek.encoders.runtimes.gpus import best_batch
from pixseek.encoders.runtimes.towers import IMAGES_A_CALL
from pixseek.errors import ModelError, unknown
from pixseek.types import Acceleration, Precision
from pixseek.types.dataclass import dataclass

if TYPE_CHECKING:
    from pixseek.types import Vectors


@dataclass(frozen=True, slots=True)
class Place:
    """The device and the precision in which a model computes.

    Attributes:
        device: torch's name of it.
        dtype: torch's name of the 16-bit type for the operations that autocast computes in it; ""
            for float32 throughout.
    """

    device: str
    dtype: str = ""

    def precision(self) -> AbstractContextManager[Any]:
        """Return the context in which to compute."""
        import torch

        if not self.dtype:
            return contextlib.nullcontext()
        autocast: AbstractContextManager[Any] = torch.autocast(
            self.device, getattr(torch, self.dtype)
        )
        return autocast

    @property
    def said(self) -> str:
        """Name of the precision, to show."""
        return {"bfloat16": "bf16", "float16": "fp16", "": "fp32"}[self.dtype]


#: Minimum number of images for compiling. ViT-B/32 on one core took 59 s to compile and then did
#: 7.9 images a second instead of 7.5. Not measured on GPUs.
COMPILE_FROM = 10_000

#: The place with which all others are compared.
REFERENCE = Place("cpu")

#: Returns the unit rows of images, computed on a device, with this batch size.
Encode = Callable[["Vectors", Place, int], "Vectors"]


def accelerate(
    precision: Precision, images: int, sample: Callable[[int], Vectors], encode: Encode
) -> tuple[Place, int, Acceleration]:
    """Return the fastest place that keeps the vectors, its images per call, and a report.

    Every place but the reference is first compared with it on the user's own images. The authors
    have no GPU, so on GPUs only this check vouches for the vectors.

    Raises:
        ModelError: the precision is unknown; or it was named, and is not available or fails its
            check.
    """
    known = get_args(Precision)
    if precision not in known:
        raise ModelError("unknown precision", precision, unknown("precision", precision, known))
    if precision == "int8":
        raise ModelError(
            "torch models don't run in int8",
            precision,
            "Use precision auto, bf16 or fp32; or the model in an ONNX layout.",
        )
    named = precision == "bf16"
    places, notes = _candidates(precision)
    least = min((GPU_FROM if p.device != "cpu" else CHECK_FROM for p in places), default=0)
    if places and images < least and not named:
        places, notes = [], [f"{_name(places[0])} is used for at least {least:,} images"]
    watched = sample(int8.CHECKED) if places else None
    if watched is not None and len(watched) < int8.CHECKED_AT_LEAST:
        # The setting stays for all runs, and a run may be for one new photo.
        watched, notes = None, [*notes, f"too few images to check {_name(places[0])} on"]
    if watched is not None:
        exact = encode(watched, REFERENCE, IMAGES_A_CALL)
        for place in places:
            try:
                size = _batch(place, watched, encode)
                found = int8.agreement(exact, encode(watched, place, size))
            except ModelError as error:
                notes.append(f"{_name(place)} failed ({error.advice or error.problem})")
                continue
            if not found.good:
                notes.append(f"{_name(place)} gave different vectors: {found}")
                continue
            why = "; ".join((f"the same results: {found}", *notes))
            return place, size, Acceleration(
                _runtime(place), place.said, why,
                found.images, found.median, found.least, found.ranks,
            )  # fmt: skip
        if named:
            raise ModelError(
                "this model can't run in bf16 here",
                platform.processor() or platform.machine(),
                f"{'; '.join(notes)}. Use precision auto or fp32.",
            )
    why = "; ".join(("it runs everywhere", *notes))
    return REFERENCE, IMAGES_A_CALL, Acceleration(_runtime(REFERENCE), "fp32", why)


def _candidates(precision: Precision) -> tuple[list[Place], list[str]]:
    """Return the places to try, best first, and notes about those not available.

    Raises:
        ModelError: bf16 was named, and nothing here computes in it.
    """
    import torch

    device = "cpu"
    if torch.cuda.is_available():
        device = "cuda"
    elif torch.backends.mps.is_available():
        device = "mps"
    half = {
        # GPUs before Ampere emulate bf16, but not fp16.
        "cuda": ["bfloat16"] if device == "cuda" and torch.cuda.is_bf16_supported(False) else [],
        "mps": [],
        "cpu": ["bfloat16"] if cpu_has_bf16() else [],
    }[device]
    if precision == "bf16" and not half:
        raise ModelError(
            "this processor can't compute in bf16",
            platform.processor() or platform.machine(),
            "Use precision auto or fp32.",
        )
    if precision == "auto" and device != "cpu" and not half:
        half = ["float16"]
    places = [] if precision == "fp32" else [Place(device, dtype) for dtype in half]
    if device != "cpu" and precision != "bf16":
        places.append(Place(device))
    notes = [] if places or precision == "fp32" else ["this processor has no bf16"]
    return places, notes


def cpu_has_bf16() -> bool:
    """Return whether the CPU multiplies in bfloat16; otherwise autocast is slower than float32."""
    import torch

    if platform.machine().lower() not in ("x86_64", "amd64"):
        return False
    asked = (getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported",
                                                         "_is_amx_tile_supported"))  # fmt: skip
    return any(ask is not None and ask() for ask in asked)


def _batch(place: Place, images: Vectors, encode: Encode) -> int:
    """Return the number of images per call at a place."""
    import numpy as np

    if place.device == "cpu":
        return IMAGES_A_CALL
    return best_batch(lambda n: encode(images[np.arange(n) % len(images)], place, n))


def _runtime(place: Place) -> str:
    return "torch" if place.device == "cpu" else f"torch {place.device.upper()}"


def _name(place: Place) -> str:
    return place.said if place.device == "cpu" else f"{place.device.upper()} in {place.said}"
