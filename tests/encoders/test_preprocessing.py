from __future__ import annotations

import io
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pixseek.encoders.inputs import preprocessing
from pixseek.encoders.inputs.preprocessing import CLIP_MEAN, CLIP_STD, Patches, Preprocessing
from pixseek.errors import ModelError
from pixseek.types import Picture


def noise(width: int, height: int, seed: int = 0) -> Image.Image:
    random = np.random.default_rng(seed)
    return Image.fromarray(random.integers(0, 256, (height, width, 3), np.uint8))


def photo_like(width: int, height: int) -> Image.Image:
    """Return gradients and edges, which JPEG keeps well, so that a shift would show."""
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    red = 127 + 100 * np.sin(x / 9) * np.cos(y / 13)
    green = np.where((x // 40 + y // 40) % 2, 200, 60)
    blue = 255 * x / width
    return Image.fromarray(np.stack([red, green, blue], -1).astype(np.uint8))


def whole(image: Image.Image) -> Picture:
    return Picture(image, image.width, image.height, "image/png")


def to_bytes(tensor: np.ndarray, rule: Preprocessing) -> np.ndarray:
    """Return the 8-bit pixels of a tensor, and check that they are whole numbers."""
    mean, std = (np.array(v, np.float64)[:, None, None] for v in (rule.mean, rule.std))
    levels = (tensor * std + mean) * 255
    assert abs(levels - levels.round()).max() < 1e-3
    return levels.round().astype(np.uint8).transpose(1, 2, 0)


def torchvision_way(image: Image.Image, size: int, method: Image.Resampling) -> np.ndarray:
    """Resize(size), then CenterCrop(size), as in torchvision.transforms.functional."""
    width, height = image.size
    short, long = min(width, height), max(width, height)
    other = int(size * long / short)
    new = (size, other) if width <= height else (other, size)
    resized = image.resize(new, method)
    top = round((resized.height - size) / 2.0)
    left = round((resized.width - size) / 2.0)
    return np.asarray(resized.crop((left, top, left + size, top + size)))


def transformers_way(image: Image.Image, size: int, method: Image.Resampling) -> np.ndarray:
    """Resize and center_crop, as in transformers.image_transforms."""
    width, height = image.size
    short, long = (width, height) if width <= height else (height, width)
    other = int(size * long / short)
    new = (size, other) if width <= height else (other, size)
    resized = np.asarray(image.resize(new, method))
    top = (resized.shape[0] - size) // 2
    left = (resized.shape[1] - size) // 2
    return resized[top : top + size, left : left + size]


sides = st.integers(1, 90)


@settings(max_examples=150, deadline=None)
@given(sides, sides, st.sampled_from([7, 16, 33]), st.sampled_from(["bicubic", "bilinear"]))
def test_full_size_pixels_equal_the_references_bit_for_bit(
    width: int, height: int, size: int, interpolation: str
) -> None:
    if max(width, height) > 16 * min(width, height):
        return
    image = noise(width, height)
    method = Image.Resampling[interpolation.upper()]
    for crop, reference in (("even", torchvision_way), ("floor", transformers_way)):
        rule = Preprocessing(size, size, size, interpolation, crop=crop)  # type: ignore[arg-type]
        tensor = rule.apply(whole(image))
        assert tensor.shape == (3, size, size) and tensor.dtype == np.float32
        np.testing.assert_array_equal(to_bytes(tensor, rule), reference(image, size, method))


@settings(max_examples=60, deadline=None)
@given(sides, sides, st.integers(1, 40), st.integers(1, 40))
def test_squashing_is_one_resize(width: int, height: int, to_width: int, to_height: int) -> None:
    image = noise(width, height)
    rule = Preprocessing(to_height, to_width, 0, "bilinear", (0.5,) * 3, (0.5,) * 3)
    reference = image.resize((to_width, to_height), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(to_bytes(rule.apply(whole(image)), rule), np.asarray(reference))


def test_crop_offsets_of_half_a_pixel_round_by_the_rule() -> None:
    image = noise(19, 16)  # 3 pixels to crop: 1.5 on each side
    even, floor = (
        to_bytes(rule.apply(whole(image)), rule)
        for rule in (
            Preprocessing(16, 16, 16, crop="even"),
            Preprocessing(16, 16, 16, crop="floor"),
        )
    )
    np.testing.assert_array_equal(even, np.asarray(image)[:, 2:18])
    np.testing.assert_array_equal(floor, np.asarray(image)[:, 1:17])


def test_long_strips_take_little_time_and_are_within_a_level() -> None:
    rule = Preprocessing(16, 16, 16)
    for size in [(16 * 17, 16), (900, 50), (33, 700)]:
        image = noise(*size)
        found = to_bytes(rule.apply(whole(image)), rule).astype(int)
        wanted = torchvision_way(image, 16, Image.Resampling.BICUBIC)
        assert abs(found - wanted).max() <= 1
    # As a whole, this one would become 3.2 million pixels wide.
    assert rule.apply(whole(noise(200_000, 1))).shape == (3, 16, 16)
    assert rule.apply(whole(noise(1, 200_000))).shape == (3, 16, 16)


@pytest.mark.parametrize("size", [(1024, 768), (1021, 763), (765, 1023), (1001, 1001), (1537, 400)])
@pytest.mark.parametrize("edge", [64, 0])
def test_pixels_decoded_smaller_nearly_equal_the_references(
    size: tuple[int, int], edge: int
) -> None:
    rule = Preprocessing(64, 64, edge)
    file = io.BytesIO()
    photo_like(*size).save(file, "JPEG", quality=95, subsampling=0)
    full = Image.open(file).convert("RGB")
    reduced = Image.open(file)
    reduced.draft("RGB", (128, 128))
    reduced = reduced.convert("RGB")
    assert reduced.width < full.width / 1.9
    wanted = to_bytes(rule.apply(whole(full)), rule).astype(int)
    found = to_bytes(rule.apply(Picture(reduced, *size, "image/jpeg")), rule).astype(int)
    # The decoder's own averaging differs from Pillow's filter at hard edges.
    difference = abs(found - wanted).mean()
    assert difference < 1
    by_ratio = rule.apply(Picture(reduced, *reduced.size, "image/jpeg"))
    naive = abs(to_bytes(by_ratio, rule).astype(int) - wanted).mean()
    odd = any(side % 8 for side in size)
    assert difference < naive / 4 if odd else difference == pytest.approx(naive)


def test_the_tensor_is_normalised_by_channel() -> None:
    rule = Preprocessing(4, 4, 4)
    tensor = rule.apply(whole(Image.new("RGB", (4, 4), (255, 0, 51))))
    for channel, level, mean, std in zip(tensor, (1, 0, 0.2), CLIP_MEAN, CLIP_STD, strict=True):
        np.testing.assert_allclose(channel, (level - mean) / std, atol=1e-5)


CLIP_SAYS = {
    "crop_size": 224,
    "do_center_crop": True,
    "do_normalize": True,
    "do_resize": True,
    "feature_extractor_type": "CLIPFeatureExtractor",
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
    "resample": 3,
    "size": 224,
}


def test_clips_configuration_in_its_old_and_new_form() -> None:
    wanted = Preprocessing(224, 224, 224, "bicubic", CLIP_MEAN, CLIP_STD, "floor")
    assert preprocessing.from_transformers(CLIP_SAYS) == wanted
    new = CLIP_SAYS | {
        "image_processor_type": "CLIPImageProcessor",
        "size": {"shortest_edge": 224},
        "crop_size": {"height": 224, "width": 224},
        "do_rescale": True,
        "rescale_factor": 0.00392156862745098,
    }
    assert preprocessing.from_transformers(new) == wanted
    assert preprocessing.from_transformers({"image_processor_type": "CLIPImageProcessor"}) == wanted


def test_siglips_configuration() -> None:
    says = {
        "do_normalize": True,
        "do_rescale": True,
        "do_resize": True,
        "image_mean": [0.5, 0.5, 0.5],
        "image_processor_type": "SiglipImageProcessor",
        "image_std": [0.5, 0.5, 0.5],
        "resample": 2,
        "size": {"height": 256, "width": 256},
    }
    grey = (0.5, 0.5, 0.5)
    wanted = Preprocessing(256, 256, 0, "bilinear", grey, grey, "floor")
    assert preprocessing.from_transformers(says) == wanted
    assert preprocessing.from_transformers(says | {"size": 256}) == wanted
    bare = preprocessing.from_transformers({"image_processor_type": "SiglipImageProcessor"})
    assert (bare.height, bare.edge, bare.interpolation) == (224, 0, "bicubic")


def test_open_clips_configuration() -> None:
    says = {
        "size": [256, 256],
        "mode": "RGB",
        "mean": list(CLIP_MEAN),
        "std": list(CLIP_STD),
        "interpolation": "bicubic",
        "resize_mode": "shortest",
        "fill_color": 0,
    }
    wanted = Preprocessing(256, 256, 256, "bicubic", CLIP_MEAN, CLIP_STD, "even")
    assert preprocessing.from_open_clip(says) == wanted
    assert preprocessing.from_open_clip(says | {"size": 256}) == wanted
    squash = preprocessing.from_open_clip(
        says | {"size": [32, 48], "resize_mode": "squash", "interpolation": "bilinear"}
    )
    assert (squash.height, squash.width, squash.edge) == (32, 48, 0)


def test_unsupported_preprocessing_raises_model_error() -> None:
    for says in (
        {"do_resize": False},
        {"size": {"longest_edge": 224}},
        {"rescale_factor": 1.0},
        {"do_rescale": False},
        {"do_center_crop": False},
        {"resample": 9},
        {"size": {"height": 256, "width": 256}},
        {"size": 200},
        {"image_std": [1, 0, 1]},
        {"image_processor_type": "Siglip2ImageProcessor"},
    ):
        with pytest.raises(ModelError):
            preprocessing.from_transformers(CLIP_SAYS | says)
    for says in ({"resize_mode": "longest"}, {"size": [2, 3]}, {"interpolation": "random"}):
        with pytest.raises(ModelError):
            preprocessing.from_open_clip(says)


def test_every_field_changes_the_description() -> None:
    rules = [
        Preprocessing(16, 16, 16),
        Preprocessing(16, 16, 18),
        Preprocessing(16, 16, 0),
        Preprocessing(15, 16, 16),
        Preprocessing(16, 15, 16),
        Preprocessing(16, 16, 16, "bilinear"),
        Preprocessing(16, 16, 16, mean=(0.5, 0.5, 0.5)),
        Preprocessing(16, 16, 16, std=(0.5, 0.5, 0.5)),
        Preprocessing(16, 16, 16, crop="floor"),
    ]
    for one, other in itertools.combinations(rules, 2):
        assert one.describe() != other.describe()
    assert Preprocessing(16, 16, 16).describe() == rules[0].describe()


# ------------------------------------------------------------------ patches


def unpacked(rows: np.ndarray, patch: int) -> np.ndarray:
    """Return the picture, (3, height, width), of rows of patches with their places."""
    rows = rows[rows[:, -1] > 0]
    down, across = rows[:, -2:].max(0).astype(int)
    image = np.zeros((3, down * patch, across * patch), np.float32)
    for row in rows:
        y, x = ((row[-2:] - 1) * patch).astype(int)
        image[:, y : y + patch, x : x + patch] = (
            row[:-2].reshape(patch, patch, 3).transpose(2, 0, 1)
        )
    return image


@settings(max_examples=40)
@given(st.integers(1, 5000), st.integers(1, 5000), st.integers(1, 300))
def test_patches_keep_the_shape_within_the_budget(width: int, height: int, budget: int) -> None:
    rule = Patches(16, (budget,))
    down, across = rule.grid(width, height)
    assert 1 <= down * across <= max(budget, 1)
    # As large as possible: with one more patch on both sides there would be too many. Pictures
    # are enlarged at most a hundred times.
    if min(width, height) >= 16:
        assert (down + 1) * (across + 1) > budget


def test_patches_hold_the_resized_picture() -> None:
    rule = Patches(8, (20,))
    image = photo_like(300, 190)
    down, across = rule.grid(*image.size)
    rows = rule.apply(whole(image))
    assert rows.shape == rule.shape == (20, 3 * 64 + 2) and rows.dtype == np.float32
    assert (rows[down * across :] == 0).all() and (rows[: down * across, -2:] >= 1).all()
    levels = (unpacked(rows, 8) * 0.5 + 0.5) * 255
    wanted = image.resize((across * 8, down * 8), Image.Resampling.BILINEAR)
    np.testing.assert_allclose(levels, np.asarray(wanted).transpose(2, 0, 1), atol=1e-3)


def test_patches_of_a_picture_decoded_smaller_have_the_same_places() -> None:
    image = photo_like(1203, 797)
    rule = Patches(16, (256,))
    half = image.reduce(2)
    assert half.size == (602, 399)
    full = rule.apply(whole(image))
    small = rule.apply(Picture(half, 1203, 797, "image/jpeg"))
    np.testing.assert_array_equal(full[:, -2:], small[:, -2:])
    assert abs(full - small)[:, :-2].mean() * 127.5 < 3


def test_the_first_budget_that_holds_the_picture_is_used() -> None:
    rule = Patches(16, (128, 256, 1024))
    for side, budget in ((160, 128), (250, 256), (400, 1024), (5000, 1024)):
        down, across = rule.grid(side, side)
        assert budget * 0.8 <= down * across <= budget
    assert rule.shape[0] == 1024


def test_siglip2s_configuration() -> None:
    config = {"image_processor_type": "Siglip2ImageProcessorFast", "size": None, "resample": None}
    assert preprocessing.naflex_from_transformers(config) == Patches(16, (256,))
    config |= {"patch_size": 14, "max_num_patches": 100, "image_mean": [0, 0, 0]}
    rule = preprocessing.naflex_from_transformers(config)
    assert rule == Patches(14, (100,), mean=(0.0, 0.0, 0.0))
    assert preprocessing.naflex_from_transformers({}) is None
    with pytest.raises(ModelError, match="not supported"):
        preprocessing.from_transformers(config)
    for wrong in ({"patch": 0}, {"budgets": ()}, {"std": (0.0, 1.0, 1.0)}):
        with pytest.raises(ModelError, match="is not valid"):
            Patches(**{"patch": 16, "budgets": (4,)} | wrong)


def test_tipsv2s_pixels_stay_between_0_and_1() -> None:
    rule = preprocessing.from_transformers({"image_processor_type": "Tipsv2ImageProcessor"})
    assert rule == Preprocessing(448, 448, 0, "bilinear", (0, 0, 0), (1, 1, 1), "floor")


def test_chinese_clips_size_is_a_square_if_nothing_is_cropped() -> None:
    config = {"feature_extractor_type": "ChineseCLIPFeatureExtractor", "size": 224}
    assert preprocessing.from_transformers(config).edge == 224
    rule = preprocessing.from_transformers(config | {"do_center_crop": False})
    assert (rule.height, rule.width, rule.edge) == (224, 224, 0)
    with pytest.raises(ModelError, match="without a crop"):
        preprocessing.from_transformers({"size": 224, "do_center_crop": False})
