"""What is indexed and searched: photos of three sizes, models, vectors. Made once, then reused."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from harness.environments import Environment
from harness.process import drive

from vectors import Clustered

#: Width and height by megapixels.
SIZES = {
    "warm-up": (640, 480),
    "0.3 MP": (640, 480),
    "2 MP": (1632, 1224),
    "12 MP": (4032, 3024),
}

#: Distinct pictures of each size; the others are copies with a few bytes of their own behind
#: their end, so that none is taken for a duplicate. Decoding them costs the same.
DISTINCT = 24


def photos(cache: Path, counts: dict[str, int], source: Path | None) -> dict[str, Path]:
    """Return a folder of JPEGs for each size, with at least as many as asked for in `counts`."""
    folders = {}
    for size, count in counts.items():
        kind = f"photos of {source.resolve()}" if source else "drawn"
        folder = cache / "photos" / f"{size.replace(' ', '')}-{count}"
        note = folder / "source.txt"
        if not note.exists() or note.read_text() != kind:
            for stale in (folder, *folder.parent.glob(f"{folder.name}-first-*")):
                shutil.rmtree(stale, ignore_errors=True)
            folder.mkdir(parents=True)
            pictures = _pictures(source)
            files = [_jpeg(next(pictures), SIZES[size], n) for n in range(min(DISTINCT, count))]
            for n in range(count):
                content = files[n % len(files)] + f"{size} {n}".encode()
                (folder / f"{n:05}.jpg").write_bytes(content)
            note.write_text(kind)
        folders[size] = folder
    return folders


def part_of(folder: Path, count: int) -> Path:
    """Return a folder with the first `count` images of another, as links to them."""
    part = folder.with_name(f"{folder.name}-first-{count}")
    if not part.exists():
        part.mkdir()
        for file in sorted(folder.glob("*.jpg"))[:count]:
            (part / file.name).hardlink_to(file)
    return part


def _pictures(source: Path | None) -> Iterator[Image.Image]:
    """Yield pictures without end: the user's photos, or drawn scenes where there are none."""
    if source:
        files = sorted(p for p in source.rglob("*") if p.suffix.lower() in (".jpg", ".jpeg"))
        if not files:
            raise SystemExit(f"no JPEG in {source}")
        while True:
            for file in files:
                with Image.open(file) as image:
                    yield ImageOps.exif_transpose(image).convert("RGB")
    import random

    from pixseek.demo.drawing import render
    from pixseek.demo.scenes import random_scene

    rng = random.Random(0)
    while True:
        yield render(random_scene(rng), 512)


def _jpeg(picture: Image.Image, size: tuple[int, int], seed: int) -> bytes:
    """Return a JPEG of this size that costs a decoder what a camera's does.

    An enlarged picture has no fine detail, so its file would be small and fast to decode. Grain as
    of a sensor brings it to the 3 to 5 MB that 12 megapixels take in a camera.
    """
    fitted = ImageOps.fit(picture, size, Image.Resampling.BICUBIC)
    grain = np.random.default_rng(seed).normal(0, 9, (size[1] // 2, size[0] // 2, 1))
    # Two by two pixels share a grain: a sensor's noise is not white either after demosaicing.
    noise = grain.repeat(2, 0).repeat(2, 1).astype(np.int16)
    pixels = (np.asarray(fitted, np.int16) + noise).clip(0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def models(
    cache: Path, torch: Environment, architecture: str, log: Callable[[str], None]
) -> dict[str, Path]:
    """Return the folders hf, xenova and, for ViT-B/32, rclip (see `peers/make_models.py`)."""
    out = cache / "models" / architecture.replace("/", "")
    rclip = architecture == "ViT-B/32"
    ready = out / "ready"
    if not ready.exists():
        if torch.python is None:
            raise SystemExit(f"models are made by torch, which is not there: {torch.reason}")
        log(f"making {architecture} with random weights")
        drive(
            torch.python,
            "make_models",
            {"out": str(out), "architecture": architecture, "rclip": rclip},
        )
        ready.touch()
    return {name: out / name for name in ("hf", "xenova", *(["rclip"] if rclip else []))}


def vectors(cache: Path, rows: int, dim: int, queries: int = 100) -> Path:
    """Return a folder with stored.npy, queries.npy, and the exact answers to the queries.

    Clustered as vectors of images are, the queries outside of their distribution as those of texts
    are. truth.npz has the 100 best of all rows, and of those that each filter leaves: row `n` has
    the width `1 + n % 1000`, and a filter is `width <= w`.
    """
    folder = cache / "vectors" / f"{rows}x{dim}"
    if (folder / "truth.npz").exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    spread = Clustered(dim)
    stored, asked = spread.images(rows), spread.texts(queries)
    np.save(folder / "stored.npy", stored)
    np.save(folder / "queries.npy", asked)
    truth: dict[str, Any] = {"all": best(stored, np.arange(rows), asked)}
    for width in FILTERS:
        truth[f"width {width}"] = best(stored, np.flatnonzero(widths(rows) <= width), asked)
    np.savez(folder / "truth.npz", **truth)
    return folder


#: The widths that leave 50, 10, 1 and 0.1 % of the rows.
FILTERS = (500, 100, 10, 1)


def widths(rows: int) -> Any:
    return 1 + np.arange(rows) % 1000


def best(stored: Any, numbers: Any, asked: Any, k: int = 100) -> Any:
    """Return the numbers of the rows nearest to each query, best first; -1 where there are none."""
    found = np.full((len(asked), k), -1)
    some = stored[numbers] if len(numbers) < len(stored) else stored
    for n, query in enumerate(asked):
        scores = some @ query
        first = np.argpartition(-scores, min(k, len(scores)) - 1)[:k]
        order = first[np.argsort(-scores[first], kind="stable")]
        found[n, : len(order)] = numbers[order]
    return found
