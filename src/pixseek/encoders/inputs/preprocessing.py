"""Turn a decoded picture into the array that an image tower reads.

This must be exact: with pixels that differ from those in training, results get worse without any
error. The rules come from each model's own configuration; if libraries round differently, those of
the library that the model comes from apply.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Literal

from pixseek.errors import ModelError
from pixseek.types.dataclass import dataclass

if TYPE_CHECKING:
    from PIL import Image

    from pixseek.types import Picture, Vectors

Interpolation = Literal["nearest", "lanczos", "bilinear", "bicubic", "box", "hamming"]

#: Mean and standard deviation of CLIP's training images for red, green and blue
#: (https://github.com/openai/CLIP/blob/main/clip/clip.py, `_transform`).
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)

#: By Pillow's numbers, which Hugging Face's `resample` uses too.
_BY_NUMBER: tuple[Interpolation, ...] = (
    "nearest",
    "lanczos",
    "bilinear",
    "bicubic",
    "box",
    "hamming",
)

#: Above this ratio of sides only the crop is resized, not the whole picture: a strip of
#: 30,000 x 1 pixels would become 6.7 million x 224.
_LONG_STRIP = 16


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """How a picture becomes a tensor.

    Attributes:
        height: of the result, in pixels.
        width: of the result, in pixels.
        edge: length of the shortest side before the centre crop; 0 to squash the picture to
            height x width, whatever its shape.
        interpolation: Pillow's filter of that name, with antialiasing.
        mean: subtracted from red, green and blue, on a scale of [0, 1].
        std: the divisors after that.
        crop: how half a pixel of crop offset is rounded: "floor" in transformers, "even" (Python's
            round) in torchvision and open_clip.
    """

    height: int
    width: int
    edge: int = 0
    interpolation: Interpolation = "bicubic"
    mean: tuple[float, float, float] = CLIP_MEAN
    std: tuple[float, float, float] = CLIP_STD
    crop: Literal["floor", "even"] = "even"

    def __post_init__(self) -> None:
        if min(self.height, self.width) < 1 or not all(s > 0 for s in self.std):
            raise ModelError("a model's preprocessing is not valid", self)
        if self.edge and self.edge < max(self.height, self.width):
            raise ModelError(
                "a model's crop is larger than the resized image",
                f"{self.height}x{self.width} out of a shortest side of {self.edge}",
            )

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array that `apply` returns."""
        return (3, self.height, self.width)

    @property
    def side(self) -> int:
        """The longer side of the result, in pixels."""
        return max(self.height, self.width)

    def apply(self, picture: Picture) -> Vectors:
        """Return (3, height, width) float32, normalised.

        From full-size pixels, resizing and cropping give exactly the pixels of the reference
        (Pillow's `resize` of the whole, then `crop`), except that pictures longer than 16 times
        their width may differ by one level of 255. From pixels decoded smaller, the crop is at the
        same place of the full picture as in the reference.

        Thread-safe.
        """
        return _normalised(self._pixels(picture), self.mean, self.std)

    def describe(self) -> str:
        """Return all settings as one line, for a fingerprint; equal text means equal tensors."""
        return json.dumps(asdict(self), sort_keys=True)

    def _pixels(self, picture: Picture) -> Image.Image:
        """Return the picture, height x width, with 8 bits per channel."""
        from PIL.Image import Resampling

        image = picture.pixels
        method = Resampling[self.interpolation.upper()]
        full = picture.width, picture.height
        resized = self.resized(*full) if self.edge else (self.width, self.height)
        # The place of the result in the resized full picture.
        left, top = self._offset(resized[0] - self.width), self._offset(resized[1] - self.height)
        right, bottom = left + self.width, top + self.height
        strip = max(resized) > _LONG_STRIP * max(self.edge, self.width, self.height)
        if image.size == full and not strip:
            # Resizing only the crop, through `box`, would be less work. But Pillow keeps the box
            # in single precision, so some pixels would be off by one level.
            whole = image.resize(resized, method)
            return whole.crop((left, top, right, bottom)) if self.edge else whole
        scale = _decoded_at(full, image.size)
        x, y = (f / r * s for f, r, s in zip(full, resized, scale, strict=True))
        box = (left * x, top * y, min(right * x, image.width), min(bottom * y, image.height))
        return image.resize((self.width, self.height), method, box=box)

    def resized(self, width: int, height: int) -> tuple[int, int]:
        """Return width and height of a picture resized to a shortest side of `edge`.

        The longer side is rounded down, as in torchvision's `_compute_resized_output_size` and
        transformers' `get_resize_output_image_size`.
        """
        if width <= height:
            return self.edge, int(self.edge * height / width)
        return int(self.edge * width / height), self.edge

    def _offset(self, surplus: int) -> int:
        return surplus // 2 if self.crop == "floor" else round(surplus / 2)


@dataclass(frozen=True, slots=True)
class Patches:
    """How a picture is cut into patches in its own shape (NaFlex, of SigLIP 2).

    The picture is resized to be as large as the budget allows, with sides that are whole patches.
    Each row of the result is a patch followed by its place, so a batch is one array, as for other
    models.

    Attributes:
        patch: side of a patch, in pixels.
        budgets: maximum number of patches of a picture. Of several budgets, in ascending order,
            the first that holds the picture in full size is used, otherwise the last.
        interpolation: Pillow's filter of that name, with antialiasing.
        mean: subtracted from red, green and blue, on a scale of [0, 1].
        std: the divisors after that.
    """

    patch: int
    budgets: tuple[int, ...]
    interpolation: Interpolation = "bilinear"
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[float, float, float] = (0.5, 0.5, 0.5)

    def __post_init__(self) -> None:
        if self.patch < 1 or not self.budgets or self.budgets[0] < 1 or not all(self.std):
            raise ModelError("a model's preprocessing is not valid", self)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array that `apply` returns."""
        return (self.budgets[-1], 3 * self.patch**2 + 2)

    @property
    def side(self) -> int:
        """The longer side of a picture three times as long as wide, in pixels.

        Longer pictures are decoded a little smaller than would be best.
        """
        return math.ceil(math.sqrt(3 * self.budgets[-1])) * self.patch

    def apply(self, picture: Picture) -> Vectors:
        """Return (largest budget, 3 patch^2 + 2) float32.

        Each row holds a patch (its pixels row by row; red, green and blue of each) and then the
        patch's row and column in the picture, counted from 1. Unused rows are zeros.

        Thread-safe.
        """
        import numpy as np
        from PIL.Image import Resampling

        image, full = picture.pixels, (picture.width, picture.height)
        rows, columns = self.grid(*full)
        size = (columns * self.patch, rows * self.patch)
        x, y = (1.0, 1.0) if image.size == full else _decoded_at(full, image.size)
        box = (0.0, 0.0, min(full[0] * x, image.width), min(full[1] * y, image.height))
        pixels = image.resize(size, Resampling[self.interpolation.upper()], box=box)
        tensor = _normalised(pixels, self.mean, self.std)
        cut = tensor.reshape(3, rows, self.patch, columns, self.patch).transpose(1, 3, 2, 4, 0)
        packed = np.zeros(self.shape, np.float32)
        filled = packed[: rows * columns]
        filled[:, :-2] = cut.reshape(rows * columns, -1)
        filled[:, -2] = np.repeat(np.arange(1, rows + 1), columns)
        filled[:, -1] = np.tile(np.arange(1, columns + 1), rows)
        return packed

    def grid(self, width: int, height: int) -> tuple[int, int]:
        """Return the number of rows and of columns of patches for a picture of this size.

        The scale is found by the bisection of transformers' `get_image_size_for_max_num_patches`,
        with the same bounds: another method would sometimes give another grid.
        """
        full = (width // self.patch) * (height // self.patch)
        budget = next((each for each in self.budgets if full <= each), self.budgets[-1])

        def patches(side: int, scale: float) -> int:
            return max(1, math.ceil(side * scale / self.patch))

        low, high = 1e-6, 100.0
        while high - low >= 1e-5:
            scale = (low + high) / 2
            if patches(height, scale) * patches(width, scale) <= budget:
                low = scale
            else:
                high = scale
        return patches(height, low), patches(width, low)

    def describe(self) -> str:
        """Return all settings as one line, for a fingerprint; equal text means equal tensors."""
        return json.dumps(asdict(self), sort_keys=True)


def _normalised(image: Image.Image, mean: Sequence[float], std: Sequence[float]) -> Vectors:
    """Return the pixels, (3, height, width) float32, normalised by mean and std."""
    import numpy as np

    pixels = np.asarray(image)
    scale = np.array([1 / (255 * s) for s in std], np.float32)[:, None, None]
    shift = np.array([m / s for m, s in zip(mean, std, strict=True)], np.float32)[:, None, None]
    tensor = np.empty((3, image.height, image.width), np.float32)
    np.multiply(pixels.transpose(2, 0, 1), scale, out=tensor)
    tensor -= shift
    return tensor


def _decoded_at(full: tuple[int, int], reduced: tuple[int, int]) -> tuple[float, float]:
    """Return the scale, in x and y, at which a picture was decoded.

    JPEG decoders scale by exactly 1/2, 1/4 or 1/8 and round the sides up, so the last column may
    cover pixels beyond the edge. The ratio of the sides would shift the picture by up to half a
    pixel: on photos with odd sides up to 48 levels of 255, instead of 13.
    """
    for eighths in (4, 2, 1):
        if reduced == tuple(-(-side * eighths // 8) for side in full):
            return eighths / 8, eighths / 8
    return reduced[0] / full[0], reduced[1] / full[1]


#: Defaults of transformers' image processors (`image_processing_*.py`), by the start of their
#: names. "" is CLIP's, which most families use.
_GREY = (0.5, 0.5, 0.5)
_DEFAULTS: dict[str, dict[str, Any]] = {
    "Siglip": {
        "size": {"height": 224, "width": 224},
        "do_center_crop": False,
        "image_mean": _GREY,
        "image_std": _GREY,
    },
    "Tipsv2": {
        "size": {"height": 448, "width": 448},
        "do_center_crop": False,
        "do_normalize": False,
        "resample": 2,
    },
    # Covers its older name too, ViTFeatureExtractor.
    "ViT": {
        "size": {"height": 224, "width": 224},
        "do_center_crop": False,
        "image_mean": _GREY,
        "image_std": _GREY,
        "resample": 2,
    },
    "": {
        "size": 224,
        "crop_size": 224,
        "do_center_crop": True,
        "do_normalize": True,
        "image_mean": CLIP_MEAN,
        "image_std": CLIP_STD,
        "resample": 3,
        "rescale_factor": 1 / 255,
    },
}
#: The image processor that cuts patches.
_NAFLEX = "Siglip2"


def from_transformers(config: Mapping[str, Any]) -> Preprocessing:
    """Return the preprocessing in a `preprocessor_config.json` of a fixed-size model.

    Missing keys and nulls get the defaults of the image processor that the file names, or of
    CLIPImageProcessor if it names none.

    Raises:
        ModelError: it asks for something that is not supported.
    """
    kind = _kind(config)
    if kind.startswith(_NAFLEX) or "naflex" in kind.lower():
        raise ModelError("this kind of preprocessing is not supported", kind)
    own = next((d for name, d in _DEFAULTS.items() if name and kind.startswith(name)), {})
    given = {key: value for key, value in config.items() if value is not None}
    config = _DEFAULTS[""] | own | given
    size, crop, cropped = config["size"], config["crop_size"], config["do_center_crop"]
    if isinstance(size, int):
        # Chinese-CLIP's authors squash; a shortest edge without a crop wouldn't fit its tower.
        square = own or (kind.startswith("ChineseCLIP") and not cropped)
        size = {"height": size, "width": size} if square else {"shortest_edge": size}
    if isinstance(crop, int):
        crop = {"height": crop, "width": crop}
    if config.get("do_resize", True) is False or "longest_edge" in size:
        raise ModelError("this kind of preprocessing is not supported", f"size {size}")
    mean, std = _scale(config)
    if "shortest_edge" in size and not cropped:
        raise ModelError("this kind of preprocessing is not supported", "resizing without a crop")
    if (
        "shortest_edge" not in size
        and cropped
        and ((crop["height"], crop["width"]) != (size["height"], size["width"]))
    ):
        raise ModelError("this kind of preprocessing is not supported", f"crop {crop} of {size}")
    shape = crop if "shortest_edge" in size else size
    return Preprocessing(
        height=int(shape["height"]),
        width=int(shape["width"]),
        edge=int(size.get("shortest_edge", 0)),
        interpolation=_interpolation(config["resample"]),
        mean=mean,
        std=std,
        crop="floor",
    )


def naflex_from_transformers(
    config: Mapping[str, Any], budgets: tuple[int, ...] = ()
) -> Patches | None:
    """Return the preprocessing in a `preprocessor_config.json` of patches; None for other kinds.

    Args:
        config: the file's content; missing keys get the defaults of Siglip2ImageProcessor.
        budgets: those of the model, if it chooses among several.

    Raises:
        ModelError: it asks for something that is not supported.
    """
    if not _kind(config).startswith(_NAFLEX):
        return None
    grey = {"image_mean": _GREY, "image_std": _GREY, "resample": 2}
    given = {key: value for key, value in config.items() if value is not None}
    config = _DEFAULTS[""] | grey | given
    if config.get("do_resize", True) is False:
        raise ModelError("this kind of preprocessing is not supported", "patches without resizing")
    mean, std = _scale(config)
    return Patches(
        patch=int(config.get("patch_size", 16)),
        budgets=budgets or (int(config.get("max_num_patches", 256)),),
        interpolation=_interpolation(config["resample"]),
        mean=mean,
        std=std,
    )


def _kind(config: Mapping[str, Any]) -> str:
    return str(config.get("image_processor_type") or config.get("feature_extractor_type") or "CLIP")


def _scale(config: Mapping[str, Any]) -> tuple[tuple[float, float, float], ...]:
    """Return mean and standard deviation; 0 and 1 if the model doesn't normalise."""
    factor = float(config["rescale_factor"])
    if config.get("do_rescale", True) is False or abs(factor * 255 - 1) > 1e-6:
        raise ModelError("this kind of preprocessing is not supported", f"rescaling by {factor}")
    if not config["do_normalize"]:
        return (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    return _channels(config["image_mean"]), _channels(config["image_std"])


def from_open_clip(config: Mapping[str, Any]) -> Preprocessing:
    """Return the preprocessing in a `preprocess_cfg.json` of open_clip.

    Missing keys get the defaults of open_clip's PreprocessCfg.

    Raises:
        ModelError: it asks for something that is not supported.
    """
    size = config.get("size", 224)
    height, width = (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))
    mode = config.get("resize_mode", "shortest")
    if mode not in ("shortest", "squash") or (mode == "shortest" and height != width):
        raise ModelError(
            "this kind of preprocessing is not supported", f"resize_mode {mode} to {size}"
        )
    return Preprocessing(
        height=height,
        width=width,
        edge=height if mode == "shortest" else 0,
        interpolation=_interpolation(config.get("interpolation", "bicubic")),
        mean=_channels(config.get("mean", CLIP_MEAN)),
        std=_channels(config.get("std", CLIP_STD)),
        crop="even",
    )


def _interpolation(value: object) -> Interpolation:
    if isinstance(value, int) and 0 <= value < len(_BY_NUMBER):
        return _BY_NUMBER[value]
    for name in _BY_NUMBER:
        if value == name:
            return name
    raise ModelError(
        "unknown interpolation in a model's preprocessing",
        repr(value),
        f"Known interpolations: {', '.join(_BY_NUMBER)}.",
    )


def _channels(values: Sequence[float]) -> tuple[float, float, float]:
    red, green, blue = (float(value) for value in values)
    return red, green, blue
