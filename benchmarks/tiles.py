"""Measure what tiles find, take and lose, on photos with captions.

    python benchmarks/tiles.py --model MODEL --photos FOLDER [--tiles 2x2 ...]

FOLDER holds photos and captions.tsv, as for `search_quality.py`, whose measure of truth this takes.

The subjects were chosen from the captions before any search: SMALL are all nouns in the captions of
5 to 80 photos for a thing that is smaller than a person's torso (held, worn, lying about); LARGE
are places, and things larger than a person. Captions are queries too: those that name a small
thing, and all others, each looking for its own photo.
"""

from __future__ import annotations

import argparse
import re
import tempfile
import time
from pathlib import Path

import numpy as np

import pixseek
from search_quality import ABSENT, Photos, average_precision, read_captions

SMALL = (
    "ball, frisbee, stick, collar, glasses, sunglasses, cap, helmet, rope, bottle, bag, backpack, "
    "tie, gun, cigarette, bucket, scarf, flag, goggles, kite, balloon, cup, cellphone, fish, "
    "leash, mask, boots, violin, sword, racket, microphone, necklace, book, bowl, headband, "
    "shoes, bird, duck, candle, binoculars, brush, puck, flower, umbrella, watermelon, paw, "
    "hydrant, camera"
).split(", ")
LARGE = (
    "beach, snow, mountain, grass, pool, ocean, lake, street, road, building, forest, desert, "
    "bridge, waterfall, playground, stage, market, stadium, car, boat, bus, truck, train, horse, "
    "tent, couch, fountain, trampoline, slide, motorcycle"
).split(", ")


def words(photos: Photos, subjects: list[str]) -> tuple[float, float, int]:
    """Return mean average precision and recall@10 of the name of each subject, and how many."""
    precisions, recalls = [], []
    for subject in subjects:
        truth = photos.showing(subject)
        if truth.any():
            order, _ = photos.order(f'"{subject}"', text_weight=0, group=False)
            precisions.append(average_precision(order, truth))
            recalls.append(truth[order[:10]].sum() / min(10, truth.sum()))
    return float(np.mean(precisions)), float(np.mean(recalls)), len(precisions)


def own_photo(photos: Photos, captions: list[tuple[str, int]]) -> tuple[float, float, int]:
    """Return recall@10 and mean reciprocal rank of captions looking for their own photo.

    A photo that is not among the first hundred counts as not found.
    """
    ranks = []
    answers = photos.library.search_many(
        [f'"{_plain(caption)}"' for caption, _ in captions], k=100, text_weight=0, group=False
    )
    for (_, at), hits in zip(captions, answers, strict=True):
        found = [photos.ids[hit.id] for hit in hits]
        ranks.append(found.index(at) + 1 if at in found else np.inf)
    every = np.array(ranks)
    return float(np.mean(every <= 10)), float(np.mean(1 / every)), len(ranks)


def _plain(caption: str) -> str:
    return caption.replace('"', "")


def measure(model: str, folder: Path, tiles: tuple[int, int]) -> dict[str, float]:
    """Return all figures of a library with these tiles."""
    with tempfile.TemporaryDirectory() as temporary:
        library = Path(temporary) / "library"
        with pixseek.open(library, model=model) as opened:
            began, processor = time.perf_counter(), time.process_time()
            opened.index(folder, tiles=tiles)
            figures = {
                "indexing: seconds": time.perf_counter() - began,
                "indexing: processor seconds": time.process_time() - processor,
                "vectors: MB": _size(library / "index") / 1e6,
            }
            photos = Photos(opened, read_captions(folder))
            for name, subjects in (("small", SMALL), ("large", LARGE)):
                precision, recall, count = words(photos, subjects)
                figures[f"{name} things ({count}): mean average precision"] = precision
                figures[f"{name} things ({count}): share of the first ten"] = recall
            small = re.compile(rf"\b({'|'.join(SMALL)})(s|es)?\b")
            said = [
                (caption, at)
                for at, captions in enumerate(photos.captions)
                for caption in captions[::3]
            ]
            for name, chosen in (
                ("with a small thing", [c for c in said if small.search(c[0].lower())]),
                ("all others", [c for c in said if not small.search(c[0].lower())]),
            ):
                recall, rank, count = own_photo(photos, chosen)
                figures[f"captions {name} ({count}): recall@10"] = recall
                figures[f"captions {name} ({count}): MRR"] = rank
            wrong = []
            for subject in ABSENT:
                if not photos.showing(subject.split()[-1]).any():
                    _, sure = photos.order(f'"{subject}"', text_weight=0)
                    wrong.append("strong" in sure)
            figures["absent subjects with strong hits"] = float(np.mean(wrong))
            began = time.process_time()
            for subject in SMALL:
                opened.search(f'"{subject}"', k=10, text_weight=0)
            figures["a search: processor ms"] = 1e3 * (time.process_time() - began) / len(SMALL)
            return figures


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--photos", required=True, type=Path)
    parser.add_argument("--tiles", nargs="*", default=["1x1", "2x2"])
    options = parser.parse_args()
    columns = []
    for each in options.tiles:
        across, down = map(int, each.split("x"))
        columns.append(measure(options.model, options.photos.resolve(), (across, down)))
    print(f"{'':<64}" + "".join(f"{each:>10}" for each in options.tiles))
    for name in columns[0]:
        print(f"{name:<64}" + "".join(f"{column[name]:>10.3f}" for column in columns))


if __name__ == "__main__":
    main()
