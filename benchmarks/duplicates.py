"""Measure how often copies are told from pictures that only look alike (docs/duplicates.md).

    python benchmarks/duplicates.py --model MODEL --photos FOLDER [--count 100]

FOLDER holds photos (*.jpg). For each edit a library holds `--count` photos and an edited copy of
each; for each kind of different pictures it holds those alone. `Library.duplicates` is asked as
users ask it: with the threshold that the library learned from its own images.
"""

from __future__ import annotations

import argparse
import io
import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageOps

import pixseek

Picture = Image.Image

WORDS = (
    "the of and to in is you that it he was for on are as with his they at be this have from "
    "or one had by word but not what all were we when your can said there use an each which "
    "she do how their if will up other about out many then them these so some her would make "
    "like him into time has look two more write go see number way could people first water "
    "been call who oil its now find long down day did get come made may part over new sound "
    "take only little work know "
).split()


# ------------------------------------------------------------------ edits


def jpeg(image: Picture, quality: int) -> Picture:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return Image.open(io.BytesIO(file.getvalue())).convert("RGB")


def scaled(image: Picture, by: float) -> Picture:
    size = max(1, round(image.width * by)), max(1, round(image.height * by))
    return image.resize(size, Image.Resampling.LANCZOS)


def cut(image: Picture, left: float, top: float, right: float, bottom: float) -> Picture:
    width, height = image.size
    box = (width * left, height * top, width * (1 - right), height * (1 - bottom))
    return image.crop(tuple(int(each) for each in box))  # type: ignore[arg-type]


def marked(image: Picture) -> Picture:
    image, size = image.copy(), max(10, image.height // 12)
    place = (image.width * 0.55, image.height - 1.5 * size)
    ImageDraw.Draw(image).text(place, "(c) Ann Lee", "white", font_size=size)
    return image


def marked_across(image: Picture) -> Picture:
    layer = Image.new("RGBA", image.size, (0, 0, 0, 0))
    pen, size = ImageDraw.Draw(layer), max(12, image.height // 8)
    for n in range(4):
        place = (image.width * 0.05 + n % 2 * 20, image.height * (0.05 + 0.25 * n))
        pen.text(place, "SAMPLE  SAMPLE", (255, 255, 255, 110), font_size=size)
    return Image.alpha_composite(image.convert("RGBA"), layer).convert("RGB")


def captioned(image: Picture) -> Picture:
    image, height = image.copy(), image.height // 8
    pen = ImageDraw.Draw(image)
    pen.rectangle((0, image.height - height, image.width, image.height), "black")
    pen.text(
        (8, image.height - height + 2), "when you see it", "white", font_size=max(10, height - 8)
    )
    return image


EDITS: dict[str, Callable[[Picture], Picture]] = {
    "recompressed, quality 75": lambda image: jpeg(image, 75),
    "recompressed, quality 30": lambda image: jpeg(image, 30),
    "1/2 of the size": lambda image: scaled(image, 0.5),
    "1/4 of the size, quality 60": lambda image: jpeg(scaled(image, 0.25), 60),
    "2 times the size": lambda image: scaled(image, 2),
    "cropped by 2 % on each side": lambda image: cut(image, 0.02, 0.02, 0.02, 0.02),
    "cropped by 10 % on each side": lambda image: cut(image, 0.1, 0.1, 0.1, 0.1),
    "cropped by 15 % on one side": lambda image: cut(image, 0.15, 0, 0, 0),
    "cropped to 2/3 of the width and height": lambda image: cut(image, 0.05, 0.25, 0.28, 0.08),
    "2/3 of the size, cropped by 5 %, brighter, quality 60": lambda image: jpeg(
        ImageEnhance.Brightness(scaled(cut(image, 0.05, 0.05, 0.05, 0.05), 0.67)).enhance(1.06), 60
    ),
    "a name in a corner": marked,
    "a watermark across": marked_across,
    "a black bar with a caption": captioned,
    "a white frame": lambda image: ImageOps.expand(image, max(3, image.width // 25), "white"),
    "20 % brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.2),
    "30 % darker": lambda image: ImageEnhance.Brightness(image).enhance(0.7),
    "more contrast": lambda image: ImageEnhance.Contrast(image).enhance(1.4),
    "in grey": lambda image: ImageOps.grayscale(image).convert("RGB"),
    "more saturated": lambda image: ImageEnhance.Color(image).enhance(1.6),
    "sharpened": lambda image: image.filter(ImageFilter.UnsharpMask(2, 120, 2)),
    "straightened by 1.5°": lambda image: cut(
        image.rotate(1.5, Image.Resampling.BICUBIC), 0.04, 0.04, 0.04, 0.04
    ),
    "turned by 90°": lambda image: image.transpose(Image.Transpose.ROTATE_90),
    "mirrored": lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
}


# ------------------------------------------------------------------ different pictures


def said(rng: random.Random, words: int) -> str:
    return " ".join(rng.choice(WORDS) for _ in range(words))


def letter(seed: int) -> Picture:
    rng, image = random.Random(seed), Image.new("RGB", (1240, 1754), "white")
    pen = ImageDraw.Draw(image)
    pen.text((100, 80), "ACME Ltd.", "black", font_size=48)
    pen.text((100, 150), "12 Long Road, London", (90, 90, 90), font_size=26)
    pen.line((100, 200, 1140, 200), "black", 3)
    y = 260
    for _ in range(rng.randint(4, 6)):
        for _ in range(rng.randint(3, 6)):
            pen.text((100, y), said(rng, 11)[:80], "black", font_size=26)
            y += 40
        y += 40
    return image


def invoice(seed: int) -> Picture:
    rng, image = random.Random(seed), Image.new("RGB", (1240, 1754), "white")
    pen = ImageDraw.Draw(image)
    pen.rectangle((80, 80, 400, 180), (30, 60, 140))
    pen.text((110, 100), "INVOICE", "white", font_size=52)
    pen.text((800, 100), f"No. {rng.randint(1000, 9999)}", "black", font_size=30)
    for y in range(400, 400 + 60 * rng.randint(5, 12), 60):
        pen.text((100, y), said(rng, 3), "black", font_size=28)
        pen.text((1000, y), f"{rng.random() * 900:.2f}", "black", font_size=28)
        pen.line((80, y + 45, 1160, y + 45), (200, 200, 200))
    pen.text((800, 1500), f"Total {rng.random() * 9000:.2f}", "black", font_size=40)
    return image


def form(seed: int) -> Picture:
    rng, image = random.Random(seed), invoice(7)
    for y in (1200, 1300, 1400):
        ImageDraw.Draw(image).text((150, y), said(rng, 4), (20, 20, 120), font_size=34)
    return image


def numbered(seed: int) -> Picture:
    image = invoice(7)
    ImageDraw.Draw(image).text((110, 220), f"Copy {seed:04}", "black", font_size=28)
    return image


def chat(seed: int) -> Picture:
    rng, image = random.Random(seed), Image.new("RGB", (1080, 2220), (236, 229, 221))
    pen, y = ImageDraw.Draw(image), 220
    pen.rectangle((0, 0, 1080, 180), (7, 94, 84))
    pen.text((160, 70), "Family", "white", font_size=50)
    while y < 2000:
        lines, width, is_own = rng.randint(1, 4), rng.randint(400, 820), rng.random() < 0.5
        x, height = (1040 - width if is_own else 40), lines * 52 + 40
        colour = (220, 248, 198) if is_own else "white"
        pen.rounded_rectangle((x, y, x + width, y + height), 20, colour)
        for n in range(lines):
            text = said(rng, width // 100)[: width // 22]
            pen.text((x + 24, y + 20 + n * 52), text, "black", font_size=40)
        y += height + 24
    return image


def menu(seed: int) -> Picture:
    rng, image = random.Random(seed), Image.new("RGB", (1080, 2220), (18, 18, 18))
    pen = ImageDraw.Draw(image)
    pen.text((60, 80), "Settings", "white", font_size=60)
    for y in range(200, 2160, 140):
        pen.text((120, y), said(rng, 2), (230, 230, 230), font_size=44)
        pen.ellipse((40, y, 90, y + 50), (rng.randint(60, 255), rng.randint(60, 255), 80))
    return image


def blank(seed: int) -> Picture:
    """White, or paper: with grain, a shadow, a tint."""
    rng, kind = np.random.default_rng(seed), seed % 4
    pixels = np.full((1754, 1240, 3), 255.0 - seed / 2)
    if kind == 1:
        pixels += rng.normal(0, 3, pixels.shape)
    if kind == 2:
        pixels -= np.linspace(0, 10 + seed % 20, 1240)[None, :, None]
        pixels += rng.normal(0, 2, pixels.shape)
    if kind == 3:
        pixels[:, :, 2] -= 12
        pixels += rng.normal(0, 4, (1754, 1240, 1))
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def burst(image: Picture, seed: int, *, moves: bool) -> tuple[Picture, Picture]:
    """Two frames: something in them moved, and by option the camera; each has its own noise."""
    rng, noise = random.Random(seed), np.random.default_rng(seed)
    margin = max(4, min(image.size) // 18)
    width, height = image.width - 2 * margin, image.height - 2 * margin
    side = min(width, height) // 4
    subject = image.resize((side, side))
    mask = Image.new("L", (side, side), 0)
    ImageDraw.Draw(mask).ellipse((0, 0, side - 1, side - 1), 255)
    x, y = rng.randint(0, width - side), rng.randint(0, height - side)
    frames = []
    for n in range(2):
        by = (rng.choice((-1, 1)) * rng.randint(2, margin), rng.randint(-margin, margin))
        left, top = (margin + each for each in (by if n and moves else (0, 0)))
        frame = image.crop((left, top, left + width, top + height))
        frame.paste(subject, (x, y), mask)
        x = min(max(x + rng.choice((-1, 1)) * side // 3, 0), width - side)
        y = min(max(y + rng.randint(-side // 3, side // 3), 0), height - side)
        pixels = np.asarray(frame, np.float64) + noise.normal(0, 3, (height, width, 3))
        pixels += rng.uniform(-2, 2)
        frames.append(Image.fromarray(pixels.clip(0, 255).astype(np.uint8)))
    return frames[0], frames[1]


DRAWN = {
    "letters with one head": letter, "invoices of one firm": invoice,
    "one form, filled in differently": form, "one invoice, numbered differently": numbered,
    "chat screenshots": chat, "screenshots of a menu": menu, "blank pages": blank,
}  # fmt: skip


# ------------------------------------------------------------------ measuring


def groups(pictures: dict[str, Picture], model: str, folder: Path) -> dict[str, str]:
    """Return for each name, but those to keep, the kind of its group."""
    for name, picture in pictures.items():
        place = folder / "photos" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        picture.save(place, quality=90)
    with pixseek.open(folder / "l.lib", model=model) as library:
        library.index(folder / "photos")
        found = library.duplicates()
    kinds: dict[str, str] = {}
    for group in found:
        for record in group.rest:
            kinds.setdefault(record.relative_path, group.kind)
    return kinds


def pairs(made: list[tuple[Picture, Picture]], model: str) -> Counter[str]:
    """Return how many of these pairs are in a group of each kind, each judged apart from others."""
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        pictures = {}
        for n, pair in enumerate(made):
            for name, picture in zip(("a", "b"), pair, strict=True):
                pictures[f"{n:04}/{name}.jpg"] = picture
        for place, picture in pictures.items():
            path = Path(folder) / "photos" / place
            path.parent.mkdir(parents=True, exist_ok=True)
            picture.save(path, quality=90)
        with pixseek.open(Path(folder) / "l.lib", model=model) as library:
            library.index(Path(folder) / "photos")
            found = library.duplicates()
        for n in range(len(made)):
            both = {f"{n:04}/a.jpg", f"{n:04}/b.jpg"}
            kinds = [
                group.kind
                for group in found
                if both <= {record.relative_path for record in group.records}
            ]
            counts[kinds[0] if kinds else "none"] += 1
        own = {r.relative_path: r.relative_path[:4] for g in found for r in g.records}
        counts["mixed"] = sum(
            len({own[r.relative_path] for r in g.records}) > 1 for g in found if g.kind != "alike"
        )
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--count", type=int, default=100)
    options = parser.parse_args()
    every = sorted(options.photos.glob("*.jpg"))
    photos = [Image.open(p).convert("RGB") for p in every[:: len(every) // options.count]]
    photos = photos[: options.count]
    began = time.perf_counter()
    print("| copies | edited or resized | alike | in no group |\n|---|---|---|---|")
    mixed = 0
    for name, edit in EDITS.items():
        counts = pairs([(photo, edit(photo)) for photo in photos], options.model)
        right = counts["edited"] + counts["same"]
        shares = (
            f"{100 * n / len(photos):.0f} %" for n in (right, counts["alike"], counts["none"])
        )
        print(f"| {name} | {' | '.join(shares)} |", flush=True)
        mixed += counts["mixed"]
    print(f"\nGroups of copies that held different photos: {mixed}\n")
    print("| different pictures | wrongly a copy | alike | in no group |\n|---|---|---|---|")
    for name, moves in (("frames of a burst", True), ("the same from a tripod", False)):
        made = [burst(photo, n, moves=moves) for n, photo in enumerate(photos)]
        counts = pairs(made, options.model)
        numbers = counts["edited"] + counts["same"], counts["alike"], counts["none"]
        print(f"| {name}, {len(made)} pairs | {' | '.join(map(str, numbers))} |", flush=True)
    size = min(40, options.count)
    for name, draw in DRAWN.items():
        with tempfile.TemporaryDirectory() as folder:
            pictures = {f"{n:04}.jpg": draw(n) for n in range(size)}
            kinds = Counter(groups(pictures, options.model, Path(folder)).values())
        wrong = kinds["edited"] + kinds["same"]
        alike = kinds["alike"] + 1 if kinds["alike"] else 0
        print(f"| {name}, {size} | {wrong} | {alike} | {size - wrong - alike} |", flush=True)
    for name, draw in list(DRAWN.items())[:-1]:
        made = [(draw(n), jpeg(scaled(draw(n), 0.5), 60)) for n in range(10)]
        with_copies = pairs(made, options.model)
        print(f"copies of {name} at 1/2 of the size, quality 60: {dict(with_copies)}", flush=True)
    print(f"\nin {time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
