"""How fast files become a model's input: ours, exact and fast, against other ways to decode.

    python benchmarks/decoding.py --photo large.heic --heic photo.heic
    python benchmarks/decoding.py --photo large.heic --embeddings MODEL_FOLDER PHOTO_FOLDER

JPEGs of 0.3, 2 and 12 megapixels, a JPEG 2000 of 12, and raw files with a preview of 12, are made
from `--photo`; a real raw file is timed too if `--raw` names one.
Every way ends with the (3, 224, 224) float32 that CLIP reads. The ways take turns in every round,
and the best round of each counts. With `--embeddings`, what decoding small does to the vectors of
large JPEGs is measured instead, and how much it matters for search.

Needs, besides pixseek: simplejpeg, pyvips with pyvips-binary, pillow-heif; what is missing is left
out.
"""

from __future__ import annotations

import argparse
import io
import os
import struct
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from pixseek.encoders.inputs.preprocessing import Preprocessing
from pixseek.images import decode
from pixseek.types import Picture

CLIP = Preprocessing(height=224, width=224, edge=224, crop="floor")
SIZES = {"0.3 MP": (640, 480), "2 MP": (1632, 1224), "12 MP": (4032, 3024)}

Way = Callable[[bytes], object]


def ours(at_least: int | None, exact: bool = False) -> Way:
    return lambda data: CLIP.apply(decode(data, at_least=at_least, exact=exact))


def tensor_of(image: Image.Image) -> object:
    return CLIP.apply(Picture(image, image.width, image.height, ""))


def pillow_full(data: bytes) -> object:
    """What a model's processor does: every pixel is decoded, then the whole is resized."""
    with Image.open(io.BytesIO(data)) as image:
        return tensor_of(image.convert("RGB"))


def rclip(data: bytes) -> object:
    """What rclip 3.3 does (rclip/utils/preprocess.py), with 224 instead of its 256 pixels:
    open, convert, resize the shortest side with BICUBIC, crop the centre, normalise."""
    with Image.open(io.BytesIO(data)) as opened:
        image = opened.convert("RGB")
    width, height = image.size
    across, down = (
        (224, int(height * 224 / width)) if width < height else (int(width * 224 / height), 224)
    )
    image = image.resize((across, down), Image.Resampling.BICUBIC)
    left, top = (across - 224) // 2, (down - 224) // 2
    array = np.array(image.crop((left, top, left + 224, top + 224)), np.float32) / 255
    array = (array - np.array(CLIP.mean, np.float32)) / np.array(CLIP.std, np.float32)
    return np.transpose(array, (2, 0, 1))


def other_ways() -> dict[str, Way]:
    ways: dict[str, Way] = {"Pillow, all pixels": pillow_full, "rclip's steps": rclip}
    try:
        import simplejpeg

        def simple(data: bytes) -> object:
            array = simplejpeg.decode_jpeg(data, min_height=448, min_width=448)
            return tensor_of(Image.fromarray(array))

        ways["simplejpeg, at least 448"] = simple
    except ImportError:
        pass
    try:
        import pyvips

        pyvips.cache_set_max(0)

        def vips(data: bytes) -> object:
            image = pyvips.Image.thumbnail_buffer(data, 224, height=224, crop="centre")
            return tensor_of(Image.fromarray(image.numpy()[..., :3]))

        ways["pyvips thumbnail"] = vips
    except (ImportError, OSError):
        pass
    return ways


def heif_full(data: bytes) -> object:
    import pillow_heif

    image = pillow_heif.open_heif(data)[0]
    return tensor_of(image.to_pillow())


def raw_file(preview: bytes, *, named: bool = True) -> bytes:
    """A file in Fujifilm's layout: a header, the preview, and 24 MB that are no picture.

    Args:
        preview: a JPEG.
        named: whether the header says where it is; otherwise all of the file is searched.
    """
    noise = np.random.default_rng(1).integers(0, 256, 24_000_000, np.uint8).tobytes()
    place = struct.pack(">II", 160, len(preview)) if named else b""
    return (b"FUJIFILMCCD-RAW 0201".ljust(84, b"\0") + place).ljust(160, b"\0") + preview + noise


def jpeg(image: Image.Image, size: tuple[int, int]) -> bytes:
    fitted = image if image.width >= image.height else image.transpose(Image.Transpose.ROTATE_90)
    buffer = io.BytesIO()
    fitted.resize(size, Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def jpeg2000(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    fitted = image.resize(SIZES["12 MP"], Image.Resampling.BICUBIC)
    fitted.save(buffer, "JPEG2000", quality_mode="rates", quality_layers=[15], irreversible=True)
    return buffer.getvalue()


def rate(way: Way, data: bytes, threads: int, seconds: float) -> float:
    """Images a second."""
    way(data)
    count, began = 0, time.perf_counter()
    if threads == 1:
        while time.perf_counter() - began < seconds:
            way(data)
            count += 1
        return count / (time.perf_counter() - began)
    end = began + seconds

    def work(_: int) -> int:
        done = 0
        while time.perf_counter() < end:
            way(data)
            done += 1
        return done

    with ThreadPoolExecutor(threads) as pool:
        count = sum(pool.map(work, range(threads)))
    return count / (time.perf_counter() - began)


def speeds(
    photo: Image.Image, heic: bytes | None, raw: Path | None, rounds: int, seconds: float
) -> None:
    plans: dict[str, tuple[bytes, dict[str, Way]]] = {}
    own: dict[str, Way] = {"pixseek, fast (at least 448)": ours(448), "pixseek, exact": ours(None)}
    for name, size in SIZES.items():
        plans[f"JPEG {name}"] = jpeg(photo, size), {**own, **other_ways()}
    if heic:
        ways: dict[str, Way] = {**own, "pixseek, thumbnail (at least 224)": ours(224)}
        try:
            import pillow_heif

            assert pillow_heif
            plans["HEIC"] = heic, {**ways, "Pillow, all pixels": heif_full}
        except ImportError:
            plans["HEIC"] = heic, ways
    preview = plans["JPEG 12 MP"][0]
    full: Way = lambda _: pillow_full(preview)  # noqa: E731
    plans["RAW, 12 MP preview"] = raw_file(preview), {**own, "Pillow, all pixels": full}
    plans["RAW, to be searched"] = raw_file(preview, named=False), own
    if raw:
        plans[f"RAW {raw.suffix}"] = raw.read_bytes(), own
    plans["JPEG 2000, 12 MP"] = jpeg2000(photo), {**own, "Pillow, all pixels": pillow_full}
    names = list(dict.fromkeys(name for _, ways in plans.values() for name in ways))
    best: dict[tuple[str, str, int], float] = {}
    for _ in range(rounds):
        for threads in (1, 2):
            for plan, (data, ways) in plans.items():
                for name, way in ways.items():
                    key = plan, name, threads
                    best[key] = max(best.get(key, 0.0), rate(way, data, threads, seconds))
    print(f"images/s, 1 / 2 threads, best of {rounds} rounds, load {os.getloadavg()[0]:.1f}\n")
    print("| |", " | ".join(plans), "|\n|---" * 1 + "|---" * len(plans) + "|")
    for name in names:
        cells = [
            f"{best[plan, name, 1]:.3g} / {best[plan, name, 2]:.3g}"
            if (plan, name, 1) in best
            else "-"
            for plan in plans
        ]
        print(f"| {name} |", " | ".join(cells), "|")


def embeddings(model: Path, folder: Path, count: int) -> None:
    """Print what decoding small does to vectors, and to search by captions."""
    import csv

    from pixseek import encoders

    encoder = encoders.load(str(model), models_dir=model.parent)
    at_least = 2 * encoder.input_side
    with (folder / "captions.tsv").open(encoding="utf-8") as lines:
        rows = [row for row in csv.reader(lines, delimiter="\t") if row and row[0].endswith("jpg")]
    names = list(dict.fromkeys(row[0] for row in rows))[:count]
    captions = [(row[0], row[1]) for row in rows if row[0] in set(names)]
    vectors: dict[str, list[np.ndarray]] = {"exact": [], "fast": [], "1x": []}
    for number, name in enumerate(names):
        with Image.open(folder / name) as image:
            # Large files, of sides that no scale divides; every photo in another shape.
            size = (3000 + 7 * (number % 97), 2400 + 5 * (number % 89))
            data = jpeg(image.convert("RGB"), size)
        for key, options in (
            ("exact", {"exact": True}),
            ("fast", {"at_least": at_least}),
            ("1x", {"at_least": encoder.input_side}),
        ):
            tensor = encoder.prepare(decode(data, **options))  # type: ignore[arg-type]
            vectors[key].append(encoder.encode_images(tensor[None])[0])
    matrix = {key: np.stack(value) for key, value in vectors.items()}
    texts = encoder.encode_texts([text for _, text in captions])
    wanted = np.array([names.index(name) for name, _ in captions])
    exact = matrix["exact"]
    print(f"{len(names)} JPEGs of 7 to 10 MP, {len(captions)} captions, model {encoder.name}\n")
    print("| decoded at | cosine to exact: min / 1 % / median | recall@10 | same first ten |")
    print("|---|---|---|---|")
    top = np.argsort(-(texts @ exact.T), axis=1)[:, :10]
    for key, rows_ in matrix.items():
        cosine = (rows_ * exact).sum(1)
        found = np.argsort(-(texts @ rows_.T), axis=1)[:, :10]
        recall = (found == wanted[:, None]).any(1).mean()
        same = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(found, top, strict=True)])
        low, median = np.percentile(cosine, [1, 50])
        print(
            f"| {key} | {cosine.min():.4f} / {low:.4f} / {median:.5f} | {recall:.4f} | {same:.3f} |"
        )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--photo", type=Path, required=True, help="a photo of 12 megapixels or more"
    )
    parser.add_argument("--heic", type=Path, help="a HEIC file")
    parser.add_argument("--raw", type=Path, help="a camera raw file")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=0.7, help="for each way in each round")
    parser.add_argument("--embeddings", nargs=2, type=Path, metavar=("MODEL", "PHOTOS"))
    parser.add_argument("--count", type=int, default=300, help="how many photos for --embeddings")
    given = parser.parse_args(arguments)
    if given.embeddings:
        embeddings(*given.embeddings, given.count)
        return
    photo = decode(given.photo.read_bytes()).pixels
    heic = given.heic.read_bytes() if given.heic else None
    speeds(photo, heic, given.raw, given.rounds, given.seconds)


if __name__ == "__main__":
    main()
