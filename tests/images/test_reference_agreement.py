"""A model's input and vectors agree with the reference, decoded in full or at a fraction."""

from __future__ import annotations

import io
import itertools
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pixseek.encoders.inputs.preprocessing import Preprocessing
from pixseek.images import decode
from pixseek.types import Picture

from image_files import exif, saved, textured, turned

CLIP = Preprocessing(height=224, width=224, edge=224, crop="floor")
SIGLIP = Preprocessing(
    height=224, width=224, interpolation="bilinear", mean=(0.5,) * 3, std=(0.5,) * 3
)
#: Levels of 255 by which a pixel may differ if the picture was decoded at a fraction of its size.
TOLERANCE = 16


def reference(data: bytes, preprocessing: Preprocessing) -> np.ndarray:
    """The model's input made from all pixels, with Pillow alone."""
    with Image.open(io.BytesIO(data)) as image:
        rgb = image.convert("RGB")
    if preprocessing.edge:
        width, height = rgb.size
        short = min(width, height)
        size = (
            (224, int(224 * height / width)) if short == width else (int(224 * width / height), 224)
        )
        small = rgb.resize(size, Image.Resampling.BICUBIC)
        left, top = (size[0] - 224) // 2, (size[1] - 224) // 2
        small = small.crop((left, top, left + 224, top + 224))
    else:
        small = rgb.resize((224, 224), Image.Resampling.BILINEAR)
    return np.asarray(small).transpose(2, 0, 1).astype(np.int16)


def levels(preprocessing: Preprocessing, picture: Picture) -> np.ndarray:
    tensor = preprocessing.apply(picture)
    std = np.array(preprocessing.std)[:, None, None]
    mean = np.array(preprocessing.mean)[:, None, None]
    return ((tensor * std + mean) * 255).round().astype(np.int16)


@pytest.mark.parametrize("preprocessing", [CLIP, SIGLIP], ids=["CLIP", "SigLIP"])
@pytest.mark.parametrize("size", [(1600, 1200), (1201, 1999), (640, 427), (3000, 2001)])
def test_exact_decoding_equals_the_reference_and_fast_decoding_is_close(
    preprocessing: Preprocessing, size: tuple[int, int]
) -> None:
    data = saved(textured(*size), "JPEG", quality=92)
    expected = reference(data, preprocessing)
    exact = levels(preprocessing, decode(data, at_least=448, exact=True))
    assert np.array_equal(exact, expected)
    fast = levels(preprocessing, decode(data, at_least=448))
    assert abs(fast - expected).max() <= TOLERANCE
    assert abs(fast - expected).mean() < 1


# Each value with some of the others; all combinations take 40 s of processor time.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("preprocessing", "size", "levels_"),
    [
        (CLIP, (1203, 2001), 0),  # the encoder's default
        (SIGLIP, (1203, 2001), 3),
        (SIGLIP, (1800, 1801), 6),
        (CLIP, (640, 427), 6),
        (SIGLIP, (640, 427), 0),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in itertools.product(
                (CLIP, SIGLIP), ((1800, 1801), (1203, 2001), (640, 427)), (0, 3, 6)
            )
        ),
    ],
)
def test_a_jpeg_2000_decoded_at_a_fraction_is_close_to_the_reference(
    preprocessing: Preprocessing, size: tuple[int, int], levels_: int
) -> None:
    data = saved(textured(*size), "JPEG2000", num_resolutions=levels_)
    expected = reference(data, preprocessing)
    exact = decode(data, at_least=448, exact=True)
    assert np.array_equal(levels(preprocessing, exact), expected)
    fast = decode(data, at_least=448)
    scale = min(size) // 448 or 1
    scale = 1 << (scale.bit_length() - 1)
    assert fast.pixels.size == tuple(-(-side // scale) for side in size)
    found = levels(preprocessing, fast)
    assert abs(found - expected).max() <= TOLERANCE
    assert abs(found - expected).mean() < 1


@pytest.mark.slow
def test_a_photo_as_jpeg_2000_is_close_to_the_reference(shared: Path) -> None:
    photo = decode((shared / "images" / "odd" / "IMG_1034.heic").read_bytes()).pixels
    data = saved(photo, "JPEG2000", quality_mode="rates", quality_layers=[20], irreversible=True)
    expected = reference(data, CLIP)
    fast = decode(data, at_least=448)
    assert fast.pixels.size == (1008, 756)
    assert abs(levels(CLIP, fast) - expected).max() <= TOLERANCE
    assert abs(levels(CLIP, fast) - expected).mean() < 1


@pytest.mark.slow
@pytest.mark.parametrize("size", [pytest.param((1800, 1801), marks=pytest.mark.slow), (1203, 2001)])
def test_a_heic_averaged_in_strips_is_close_to_the_reference(size: tuple[int, int]) -> None:
    heif = pytest.importorskip("pillow_heif")
    buffer = io.BytesIO()
    heif.from_pillow(textured(*size)).save(buffer, quality=90)
    data = buffer.getvalue()
    whole = decode(data, at_least=448, exact=True)
    fast = decode(data, at_least=448)
    scale = {1800: 4, 1203: 2}[size[0]]
    assert fast.pixels.tobytes() == whole.pixels.reduce(scale).tobytes()
    assert abs(levels(CLIP, fast) - levels(CLIP, whole)).max() <= TOLERANCE


@pytest.mark.parametrize("orientation", range(2, 9))
def test_fast_decoding_is_close_to_the_reference_in_every_orientation(orientation: int) -> None:
    image = textured(1202, 1602)
    upright = saved(image, "JPEG", quality=98, subsampling=0)
    expected = reference(upright, CLIP)
    data = saved(
        turned(image, orientation), "JPEG", quality=98, subsampling=0, exif=exif(orientation)
    )
    fast = levels(CLIP, decode(data, at_least=448))
    assert abs(fast - expected).max() <= TOLERANCE


def test_the_eight_landscape_samples_have_nearly_one_vector(shared: Path, photo_mini: Path) -> None:
    from pixseek import encoders

    encoder = encoders.load(str(photo_mini), models_dir=photo_mini.parent)
    odd = shared / "images" / "odd"
    pictures = [
        decode((odd / f"Landscape_{n}.jpg").read_bytes(), at_least=2 * encoder.input_side)
        for n in range(1, 9)
    ]
    tensors = np.stack([encoder.prepare(picture) for picture in pictures])
    # A number is drawn in the middle of each, which a small model notices (cosine 0.90 at least).
    middle = slice(tensors.shape[2] // 3, tensors.shape[2] * 2 // 3)
    tensors[:, :, middle, middle] = tensors[0, :, middle, middle]
    rows = encoder.encode_images(tensors)
    assert (rows @ rows.T).min() >= 0.99


def test_a_photo_has_nearly_one_vector_in_every_orientation(shared: Path, photo_mini: Path) -> None:
    from pixseek import encoders

    encoder = encoders.load(str(photo_mini), models_dir=photo_mini.parent)
    with Image.open(shared / "images" / "odd" / "Landscape_1.jpg") as image:
        photo = image.convert("RGB")
    pictures = [
        decode(saved(turned(photo, n), "JPEG", quality=90, exif=exif(n)), at_least=448)
        for n in range(1, 9)
    ]
    rows = encoder.encode_images(np.stack([encoder.prepare(picture) for picture in pictures]))
    assert (rows @ rows.T).min() >= 0.99
