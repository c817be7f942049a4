"""From a decoded picture to what an image tower reads.

Nothing here is learnt, and everything must be exact: with other pixels than the model was trained
on, the ranking is quietly worse. Each model's own configuration is read; where libraries round
differently, the one the model comes from decides.
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

#: Mean and standard deviation of CLIP's training images by channel, red, green, blue
#: (https://github.com/openai/CLIP/blob/main/clip/clip.py, `_transform`).
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)

#: Pillow's numbers, which Hugging Face's `resample` uses too.
_BY_NUMBER: tuple[Interpolation, ...] = (
    "nearest",
    "lanczos",
    "bilinear",
    "bicubic",
    "box",
    "hamming",
)

#: Past this ratio of its sides a picture is not resized as a whole before the crop: a strip of
#: 30,000 x 1 pixels would become one of 6.7 million x 224.
_LONG_STRIP = 16


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """How a picture becomes a tensor.

    Attributes:
        height: of the result, in pixels.
        width: of the result, in pixels.
        edge: length of the shortest side before the centre is cropped out; 0 to squash the picture
            to height x width, whatever its shape.
        interpolation: Pillow's filter of that name, with antialiasing.
        mean: subtracted from red, green and blue, on a scale of [0, 1].
        std: what they are then divided by.
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
            raise ModelError("a model's preprocessing makes no sense", self)
        if self.edge and self.edge < max(self.height, self.width):
            raise ModelError(
                "a model crops more than there is",
                f"{self.height}x{self.width} out of a shortest side of {self.edge}",
            )

    @property
    def shape(self) -> tuple[int, ...]:
        """Of what `apply` returns."""
        return (3, self.height, self.width)

    @property
    def side(self) -> int:
        """The longer side of the result, in pixels."""
        return max(self.height, self.width)

    def apply(self, picture: Picture) -> Vectors:
        """Return (3, height, width) float32, normalised.

        With full-size pixels, resizing and cropping give bit for bit the pixels of the reference
        (Pillow's `resize` of the whole, then `crop`); pictures longer than 16 times their width
        differ by one level of 255 at most. With pixels that were decoded smaller, the crop is
        taken where the reference takes it in the full picture.

        May be called from several threads at once.
        """
        return _normalised(self._pixels(picture), self.mean, self.std)

    def describe(self) -> str:
        """Return all of it as one line, for a fingerprint; equal text means equal tensors."""
        return json.dumps(asdict(self), sort_keys=True)

    def _pixels(self, picture: Picture) -> Image.Image:
        """Return the picture, height x width, as 8 bits a channel."""
        from PIL.Image import Resampling

        image = picture.pixels
        method = Resampling[self.interpolation.upper()]
        full = picture.width, picture.height
        resized = self.resized(*full) if self.edge else (self.width, self.height)
        # Where, in the full picture resized, the result lies.
        left, top = self._offset(resized[0] - self.width), self._offset(resized[1] - self.height)
        right, bottom = left + self.width, top + self.height
        strip = max(resized) > _LONG_STRIP * max(self.edge, self.width, self.height)
        if image.size == full and not strip:
            # Resizing the crop alone, through `box`, would be less work, but Pillow keeps the
            # box in single precision: off by one level in some pixels.
            whole = image.resize(resized, method)
            return whole.crop((left, top, right, bottom)) if self.edge else whole
        scale = _decoded_at(full, image.size)
        x, y = (f / r * s for f, r, s in zip(full, resized, scale, strict=True))
        box = (left * x, top * y, min(right * x, image.width), min(bottom * y, image.height))
        return image.resize((self.width, self.height), method, box=box)

    def resized(self, width: int, height: int) -> tuple[int, int]:
        """Return width and height of a picture once its shortest side is `edge`.

        The longer side is cut to an integer, as torchvision's `_compute_resized_output_size` and
        transformers' `get_resize_output_image_size` both do.
        """
        if width <= height:
            return self.edge, int(self.edge * height / width)
        return int(self.edge * width / height), self.edge

    def _offset(self, surplus: int) -> int:
        return surplus // 2 if self.crop == "floor" else round(surplus / 2)


@dataclass(frozen=True, slots=True)
class Patches:
    """How a picture becomes patches, in its own shape (NaFlex, of SigLIP 2).

    It is made as large as the budget allows, with sides that are whole patches. What belongs
    together stays together: each row of the result is a patch followed by its place, so a batch
    is one array like any other.

    Attributes:
        patch: side of a patch, in pixels.
        budgets: the most patches a picture may become, ascending. Of several it is the first that
            holds the picture in full size, or the last.
        interpolation: Pillow's filter of that name, with antialiasing.
        mean: subtracted from red, green and blue, on a scale of [0, 1].
        std: what they are then divided by.
    """

    patch: int
    budgets: tuple[int, ...]
    interpolation: Interpolation = "bilinear"
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[float, float, float] = (0.5, 0.5, 0.5)

    def __post_init__(self) -> None:
        if self.patch < 1 or not self.budgets or self.budgets[0] < 1 or not all(self.std):
            raise ModelError("a model's preprocessing makes no sense", self)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of what `apply` returns."""
        return (self.budgets[-1], 3 * self.patch**2 + 2)

    @property
    def side(self) -> int:
        """The longer side of a picture three times as long as wide, in pixels.

        One that is longer still is read from pixels decoded smaller than it could be, by a little.
        """
        return math.ceil(math.sqrt(3 * self.budgets[-1])) * self.patch

    def apply(self, picture: Picture) -> Vectors:
        """Return (largest budget, 3 patch^2 + 2) float32.

        A row is a patch (its pixels row by row, red, green and blue of each) and then its row and
        its column in the picture, counted from 1; rows of zeros fill it up.

        May be called from several threads at once.
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
        """Return how many rows and columns of patches a picture of this size becomes.

        The scale is found by the same bisection as in transformers'
        `get_image_size_for_max_num_patches`, with its bounds: another would now and then give
        another grid.
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
        """Return all of it as one line, for a fingerprint; equal text means equal tensors."""
        return json.dumps(asdict(self), sort_keys=True)


def _normalised(image: Image.Image, mean: Sequence[float], std: Sequence[float]) -> Vectors:
    """Return the pixels, (3, height, width) float32, on the scale that the model wants."""
    import numpy as np

    pixels = np.asarray(image)
    scale = np.array([1 / (255 * s) for s in std], np.float32)[:, None, None]
    shift = np.array([m / s for m, s in zip(mean, std, strict=True)], np.float32)[:, None, None]
    tensor = np.empty((3, image.height, image.width), np.float32)
    np.multiply(pixels.transpose(2, 0, 1), scale, out=tensor)
    tensor -= shift
    return tensor


def _decoded_at(full: tuple[int, int], reduced: tuple[int, int]) -> tuple[float, float]:
    """Return by what a picture was made smaller, in x and y.

    A JPEG decoder shrinks to exactly 1/2, 1/4 or 1/8, and rounds the sides up: the last column may
    stand for pixels past the edge. Taking the ratio of the sides instead shifts the picture by up
    to half a pixel (measured on photos with odd sides: 48 levels of 255 off instead of 13).
    """
    for eighths in (4, 2, 1):
        if reduced == tuple(-(-side * eighths // 8) for side in full):
            return eighths / 8, eighths / 8
    return reduced[0] / full[0], reduced[1] / full[1]


#: What transformers' image processors do where the file leaves it out, by how their names begin;
#: "" is CLIP's, which most families use (`image_processing_*.py` of each).
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
    # Also of its older name, ViTFeatureExtractor.
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
#: The kind that cuts patches.
_NAFLEX = "Siglip2"


def from_transformers(config: Mapping[str, Any]) -> Preprocessing:
    """Return what a `preprocessor_config.json` of a fixed-size model says.

    Keys that are left out, or null, have the defaults of the image processor that the file names,
    and of CLIPImageProcessor where it names none.

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
        # Chinese-CLIP's authors squash; a shortest edge without a crop would fit no tower.
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
    """Return what a `preprocessor_config.json` says that cuts patches; None for any other.

    Args:
        config: the file's content; what is left out has the defaults of Siglip2ImageProcessor.
        budgets: the model's own, where it chooses among several.

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
    """Return mean and standard deviation; those that change nothing where nothing is normalised."""
    factor = float(config["rescale_factor"])
    if config.get("do_rescale", True) is False or abs(factor * 255 - 1) > 1e-6:
        raise ModelError("this kind of preprocessing is not supported", f"rescaling by {factor}")
    if not config["do_normalize"]:
        return (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    return _channels(config["image_mean"]), _channels(config["image_std"])


def from_open_clip(config: Mapping[str, Any]) -> Preprocessing:
    """Return what a `preprocess_cfg.json` of open_clip says.

    Keys that are left out have the defaults of open_clip's PreprocessCfg.

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
        f"Known are: {', '.join(_BY_NUMBER)}.",
    )


def _channels(values: Sequence[float]) -> tuple[float, float, float]:
    red, green, blue = (float(value) for value in values)
    return red, green, blue
