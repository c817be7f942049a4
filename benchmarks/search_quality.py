"""Measure what confidence, exclusion, fusion and captions are worth, on photos with captions.

    python benchmarks/search_quality.py --model MODEL --photos FOLDER

FOLDER holds photos and captions.tsv (file, caption; several a file). The captions are the truth: a
photo shows a thing if any of its captions names it. That is a lower bound, since captions leave
out most of what is to be seen; so precision is more than is said here.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import pixseek
from pixseek.types import CONFIDENT, POSSIBLE, Query, Term

#: What photos of everyday life show, with the words that captions have for it.
PRESENT = (
    "dog, man, woman, child, bike bicycle, motorcycle motorbike, snow, beach, pool, "
    "skateboard skateboarder, surfer surfboard surfing, horse, ball, football, soccer, basketball, "
    "tennis, car, grass, mountain, climber climbing, boat, swing, guitar, camera, hat, sunglasses, "
    "ice, water, frisbee, bird, baby, snowboard snowboarder, ski skier, tree, fence, bench, kayak, "
    "waterfall, sand, trampoline, slide, tent, umbrella, fountain"
).split(", ")
#: What they don't.
ABSENT = (
    "submarine, spreadsheet, giraffe, elephant, rocket launch, penguin, pizza, receipt, "
    "lighthouse, cactus, shark, sushi, piano, whiteboard with formulas, kitchen sink, dentist, "
    "spider, volcano, galaxy, passport, windmill, dinosaur, keyboard, zebra, toothbrush, barcode, "
    "crocodile, microscope, washing machine, floor plan, x-ray image, asdkjh qwe, xyzzy plugh, "
    "blorptang vimmel"
).split(", ")


class Photos:
    """An indexed set of photos and what their captions say."""

    def __init__(self, library: pixseek.Library, captions: dict[str, list[str]]) -> None:
        self.library = library
        records = [record for batch, _ in library.opened.engine.export() for record in batch]
        self.names = [record.name for record in records]
        self.ids = {record.id: n for n, record in enumerate(records)}
        self.id_of = [record.id for record in records]
        self.captions = [captions.get(name, []) for name in self.names]
        self.said = [" ".join(each).lower() for each in self.captions]

    def showing(self, words: str) -> Any:
        """Return which photos have a caption that holds one of some words, (n,) bool."""
        pattern = re.compile(rf"\b({'|'.join(words.split())})(s|es)?\b")
        return np.array([bool(pattern.search(said)) for said in self.said])

    def order(self, query: Query | str, k: int = 1000, **options: Any) -> tuple[Any, Any]:
        """Return the photos that a query finds, best first, and how sure it is of each."""
        hits = self.library.search(query, k=k, **options) if isinstance(query, str) else (
            self.library.search(query)
        )  # fmt: skip
        return (
            np.array([self.ids[hit.id] for hit in hits], np.int64),
            np.array([hit.confidence for hit in hits]),
        )


def average_precision(order: Any, truth: Any) -> float:
    """Return the mean of the precisions at each wanted photo; one not found counts 0."""
    right = truth[order]
    precisions = np.cumsum(right) / np.arange(1, len(order) + 1)
    return float((precisions * right).sum() / max(1, truth.sum()))


def confidence(photos: Photos) -> dict[str, float]:
    """Return how well the cutoffs tell what is there from what is not."""
    figures: dict[str, float] = {}
    for name, least in (("confident", CONFIDENT), ("possible", POSSIBLE)):
        right = shown = wanted = 0
        found, recalls = [], []
        for words in PRESENT:
            truth = photos.showing(words)
            order, sure = photos.order(f'"{words.split()[0]}"', text_weight=0)
            chosen = order[sure >= least]
            right += int(truth[chosen].sum())
            shown += len(chosen)
            wanted += int(truth.sum())
            found.append(bool(len(chosen)))
            recalls.append(float(truth[chosen].sum() / max(1, truth.sum())))
        false = []
        for words in ABSENT:
            if not photos.showing(words.split()[-1]).any():
                _, sure = photos.order(f'"{words}"', text_weight=0)
                false.append(bool((sure >= least).any()))
        figures |= {
            f"{name}: precision": right / max(1, shown),
            f"{name}: recall": right / max(1, wanted),
            f"{name}: recall, mean over subjects": float(np.mean(recalls)),
            f"{name}: subjects there of which some are found": float(np.mean(found)),
            f"{name}: subjects not there of which some are found": float(np.mean(false)),
        }
    return figures


def fusion(photos: Photos) -> dict[str, float]:
    """Return the mean average precision of a word, of an example photo, and of both."""
    rng = np.random.default_rng(0)
    truths = {words: photos.showing(words) for words in PRESENT}
    ways: dict[str, Callable[[str, str], Query]] = {
        "word": lambda word, _: Query((Term("text", word),), k=1000, text_weight=0),
        "example": lambda _, each: Query((Term("id", each),), k=1000),
        "both": lambda word, each: Query(
            (Term("text", word), Term("id", each)), k=1000, text_weight=0
        ),
    }
    scores: dict[str, list[float]] = {way: [] for way in ways}
    for one, other in _pairs(truths, 8):
        only = np.flatnonzero(truths[other] & ~truths[one])
        for example in rng.choice(only, min(2, len(only)), replace=False):
            truth = truths[one] & truths[other]
            truth[example] = False
            for way, query in ways.items():
                order, _ = photos.order(query(one.split()[0], photos.id_of[example]))
                scores[way].append(average_precision(order[order != example], truth))
    return {f"fusion: {way}": float(np.mean(each)) for way, each in scores.items()} | {
        "fusion: queries": len(scores["both"])
    }


def exclusion(photos: Photos) -> dict[str, float]:
    """Return how much of what is excluded goes, and what the first twenty gain."""
    truths = {words: photos.showing(words) for words in PRESENT}
    gone, lost = [], []
    first: dict[str, list[float]] = {"without": [], "excluded": [], "subtracted": []}
    for one, other in _pairs(truths, 5):
        if (truths[one] & ~truths[other]).sum() < 10:
            continue
        word, unwanted = one.split()[0], other.split()[0]
        plain, _ = photos.order(word, text_weight=0)
        kept, _ = photos.order(f"{word} -{unwanted}", text_weight=0)
        away, _ = photos.order(f"{word} -1*{unwanted}", text_weight=0)
        top = plain[:50]
        shows = truths[other][top]
        if shows.sum() < 3:
            continue
        removed = ~np.isin(top, kept)
        gone.append(float(removed[shows].mean()))
        lost.append(float(removed[~shows].mean()))
        wanted = truths[one] & ~truths[other]
        for name, order in (("without", plain), ("excluded", kept), ("subtracted", away)):
            first[name].append(float(wanted[order[:20]].mean()))
    return {
        "exclusion: of what shows it, removed": float(np.mean(gone)),
        "exclusion: of what does not, removed": float(np.mean(lost)),
        **{f"exclusion: wanted in the first 20, {n}": float(np.mean(v)) for n, v in first.items()},
        "exclusion: pairs": len(gone),
    }


def _pairs(truths: dict[str, Any], least: int) -> list[tuple[str, str]]:
    """Return pairs of subjects that some photos show both of, and neither of which is the other."""
    return [
        (one, other)
        for one in truths
        for other in truths
        if one != other
        and (both := int((truths[one] & truths[other]).sum())) >= least
        and both < 0.6 * min(truths[one].sum(), truths[other].sum())
    ]


def recalls(photos: Photos, queries: Sequence[tuple[str, int]], **options: Any) -> list[float]:
    """Return recall@1, 5 and 10 of captions that should find their photo."""
    found = []
    asked = [Query((Term("text", text),), k=10, **options) for text, _ in queries]
    for results, (_, own) in zip(photos.library.search_many(asked), queries, strict=True):
        ids = [hit.id for hit in results]
        found.append(ids.index(photos.id_of[own]) if photos.id_of[own] in ids else 10)
    return [float(np.mean([rank < k for rank in found])) for k in (1, 5, 10)]


def hybrid(photos: Photos, model: str, folder: Path, every: int) -> dict[str, float]:
    """Return what captions add where half of the photos have one, which no query repeats."""
    rng = np.random.default_rng(0)
    has = rng.random(len(photos.names)) < 0.5
    with tempfile.TemporaryDirectory() as temporary:
        beside = Path(temporary) / "photos"
        beside.mkdir()
        for n, name in enumerate(photos.names):
            (beside / name).symlink_to(folder / name)
            if has[n] and photos.captions[n]:
                (beside / name).with_suffix(".txt").write_text(photos.captions[n][0], "utf-8")
        with pixseek.open(Path(temporary) / "library", model=model) as library:
            library.index(beside)
            both = Photos(library, dict(zip(photos.names, photos.captions, strict=True)))
            own = {name: n for n, name in enumerate(both.names)}
            queries = [
                (caption, own[name])
                for name, captions in zip(photos.names, photos.captions, strict=True)
                for caption in captions[1:]
            ][::every]
            figures = {}
            for name, weight in (("images", 0.0), ("images and captions", 0.3)):
                for k, value in zip(
                    (1, 5, 10), recalls(both, queries, text_weight=weight), strict=True
                ):
                    figures[f"captions: recall@{k}, {name}"] = value
            found = []
            for text, at in queries:
                ids = [each.id for each in library.opened.engine.find_words(text, 10).matches]
                found.append(ids.index(both.id_of[at]) if both.id_of[at] in ids else 10)
            for k in (1, 5, 10):
                figures[f"captions: recall@{k}, captions"] = float(np.mean([r < k for r in found]))
            figures["captions: queries"] = len(queries)
            return figures


def read_captions(folder: Path) -> dict[str, list[str]]:
    """Return the captions of each file, from captions.tsv."""
    captions: dict[str, list[str]] = {}
    with (folder / "captions.tsv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            captions.setdefault(row["file"], []).append(row["caption"])
    return captions


def measure(model: str, folder: Path, library: Path, every: int = 4) -> dict[str, float]:
    """Return all figures, by name."""
    with pixseek.open(library, model=model) as opened:
        opened.index(folder)
        photos = Photos(opened, read_captions(folder))
        return {
            **confidence(photos),
            **fusion(photos),
            **exclusion(photos),
            **hybrid(photos, model, folder, every),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--photos", required=True, type=Path)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        figures = measure(options.model, options.photos.resolve(), Path(temporary) / "library")
    for name, value in figures.items():
        print(f"{name:<60} {value:.3f}" if isinstance(value, float) else f"{name:<60} {value}")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2), "utf-8")


if __name__ == "__main__":
    main()
