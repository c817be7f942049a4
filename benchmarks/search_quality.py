"""Measure what strength, written words, fusion and exclusion are worth, on photos with captions.

    python benchmarks/search_quality.py --model MODEL --photos FOLDER
    python benchmarks/search_quality.py --model MODEL --photos FOLDER --against bad1fec --write

The second also measures an older commit, from its own sources on the packages of this environment,
and writes the tables of docs/search-quality.md, both next to each other.

FOLDER holds photos and captions.tsv (file, caption; several a file). The captions are the truth: a
photo shows a thing if any of its captions names it. That is a lower bound, since captions leave
out most of what is to be seen; so precision is more than is said here. Only public names of pixseek
are used that the older commit has too.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import re
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import pixseek
from pixseek.types import Query, Term

DOCUMENT = Path(__file__).parents[1] / "docs" / "search-quality.md"

#: What photos of everyday life show, with the words that captions have for it.
PRESENT = (
    "dog, man, woman, child, bike bicycle, motorcycle motorbike, snow, beach, pool, "
    "skateboard skateboarder, surfer surfboard surfing, horse, ball, football, soccer, basketball, "
    "tennis, car, grass, mountain, climber climbing, boat, swing, guitar, camera, hat, sunglasses, "
    "ice, water, frisbee, bird, baby, snowboard snowboarder, ski skier, tree, fence, bench, kayak, "
    "waterfall, sand, trampoline, slide, tent, umbrella, fountain"
).split(", ")
#: What they don't; the last three are gibberish.
ABSENT = (
    "submarine, spreadsheet, giraffe, elephant, rocket launch, penguin, pizza, receipt, "
    "lighthouse, cactus, shark, sushi, piano, whiteboard with formulas, kitchen sink, dentist, "
    "spider, volcano, galaxy, passport, windmill, dinosaur, keyboard, zebra, toothbrush, barcode, "
    "crocodile, microscope, washing machine, floor plan, x-ray image, asdkjh qwe, xyzzy plugh, "
    "blorptang vimmel"
).split(", ")
#: Words that are put as a tag on one photo each.
UNIQUE = (
    "zebra receipt giraffe penguin submarine Emma Oskar passport lighthouse Venice Kyoto Friedrich "
    "anniversary volcano cactus Lisbon invoice dentist pizza Marrakesh microscope elephant "
    "Thanksgiving Zurich Beatrice carnival opera aurora glacier whale astronomy chess harvest "
    "invitation sculpture Norway Alps peacock rhubarb saxophone pharmacy lavender origami "
    "Halloween ramen hospital eclipse Titanic grandpa Patagonia cathedral"
).split()

Figures = dict[str, float]


class Photos:
    """An indexed set of photos and what their captions say."""

    def __init__(self, library: pixseek.Library, captions: dict[str, list[str]]) -> None:
        self.library = library
        hits = list(library.search("width:>0", k=100_000))
        self.names = [hit.record.name for hit in hits]
        self.id_of = [hit.id for hit in hits]
        self.ids = {each: n for n, each in enumerate(self.id_of)}
        own = [captions.get(original(name), []) for name in self.names]
        self.captions = own
        self.said = [" ".join(each).lower() for each in own]

    def showing(self, words: str) -> Any:
        """Return which photos have a caption that holds one of some words, (n,) bool."""
        pattern = re.compile(rf"\b({'|'.join(words.split())})(s|es)?\b")
        return np.array([bool(pattern.search(said)) for said in self.said])

    def order(self, query: Query | str, k: int = 1000, **options: Any) -> tuple[Any, list[str]]:
        """Return the photos that a query finds, best first, and the strength of each."""
        hits = self.library.search(query, k=k, **options) if isinstance(query, str) else (
            self.library.search(query)
        )  # fmt: skip
        return np.array([self.ids[hit.id] for hit in hits], np.int64), [strength(h) for h in hits]


def original(name: str) -> str:
    """Return the name of a photo whose name has words put before it."""
    return name.rpartition("~")[2]


def strength(hit: Any) -> str:
    """Return "strong", "likely" or "weak"; older commits have the number behind it."""
    if hasattr(hit, "strength"):
        return str(hit.strength)
    return "strong" if hit.confidence >= 0.95 else "likely" if hit.confidence >= 0.5 else "weak"


def average_precision(order: Any, truth: Any) -> float:
    """Return the mean of the precisions at each wanted photo; one not found counts 0."""
    right = truth[order]
    precisions = np.cumsum(right) / np.arange(1, len(order) + 1)
    return float((precisions * right).sum() / max(1, truth.sum()))


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


# ------------------------------------------------------------------ strength


def strengths(photos: Photos) -> Figures:
    """Return what strong and likely hits are worth, by the kind of query."""
    truths = {words.split()[0]: photos.showing(words) for words in PRESENT}
    pairs = [(a, b) for a, b in _pairs(truths, 5) if a < b]
    single = [(f'"{word}"', truth) for word, truth in truths.items()]
    kinds: dict[str, list[tuple[str, Any]]] = {
        "single subjects": single,
        "single subjects, first half": single[::2],
        "single subjects, second half": single[1::2],
        "two things, as in \"dog and beach\"": [
            (f'"{a} and {b}"', truths[a] & truths[b]) for a, b in pairs
        ],
        'two things, as in "dog" "beach"': [
            (f'"{a}" "{b}"', truths[a] & truths[b]) for a, b in pairs
        ],
    }  # fmt: skip
    figures: Figures = {}
    for kind, queries in kinds.items():
        answers = [(photos.order(query, text_weight=0), truth) for query, truth in queries]
        for name, names in (("strong", ("strong",)), ("likely or strong", ("strong", "likely"))):
            right = shown = 0
            found, recalls = [], []
            for (order, sure), truth in answers:
                chosen = order[[each in names for each in sure]]
                right += int(truth[chosen].sum())
                shown += len(chosen)
                found.append(bool(len(chosen)))
                recalls.append(float(truth[chosen].sum() / max(1, truth.sum())))
            figures[f"{kind}: precision of {name} hits"] = right / max(1, shown)
            figures[f"{kind}: queries with {name} hits"] = float(np.mean(found))
            if kind == "single subjects":
                figures[f"{kind}: recall of {name} hits"] = float(np.mean(recalls))
    for name, words in (("absent subjects", ABSENT[:-3]), ("gibberish", ABSENT[-3:])):
        asked = [each for each in words if not photos.showing(each.split()[-1]).any()]
        found = [photos.order(f'"{each}"', text_weight=0)[1] for each in asked]
        for kind, names in (("strong", ("strong",)), ("likely or strong", ("strong", "likely"))):
            share = float(np.mean([any(each in names for each in sure) for sure in found]))
            figures[f"{name}: queries with {kind} hits"] = share
    places = ("strong", "likely", "weak")
    rises = []
    for query, _ in single:
        first = [places.index(each) for each in photos.order(query, k=20, text_weight=0)[1]]
        rises.append(first != sorted(first))
    figures["single subjects: queries whose strength rises within the first 20"] = float(
        np.mean(rises)
    )
    return figures


# ------------------------------------------------------------------ several things


def fusion(photos: Photos) -> Figures:
    """Return the mean average precision of a word, of an example photo, of both, of two words."""
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
    pairs = _pairs(truths, 8)
    for one, other in pairs:
        only = np.flatnonzero(truths[other] & ~truths[one])
        for example in rng.choice(only, min(4, len(only)), replace=False):
            truth = truths[one] & truths[other]
            truth[example] = False
            for way, query in ways.items():
                order, _ = photos.order(query(one.split()[0], photos.id_of[example]))
                scores[way].append(average_precision(order[order != example], truth))
    two = []
    for one, other in pairs:
        if one < other:
            asked = f'"{one.split()[0]}" "{other.split()[0]}"'
            order, _ = photos.order(asked, text_weight=0)
            two.append(average_precision(order, truths[one] & truths[other]))
    alone = [
        average_precision(photos.order(f'"{each.split()[0]}"', text_weight=0)[0], truths[each])
        for each in PRESENT
    ]
    ten = [
        float(truths[each][photos.order(f'"{each.split()[0]}"', k=10, text_weight=0)[0]].mean())
        for each in PRESENT
    ]
    return {
        "single words: mean average precision": float(np.mean(alone)),
        "single words: precision of the first ten": float(np.mean(ten)),
        'two words, "dog" "beach": mean average precision': float(np.mean(two)),
        **{f"a word and an example, {way}": float(np.mean(each)) for way, each in scores.items()},
        "queries of a word and an example": len(scores["both"]),
        "queries of two words": len(two),
    }


def exclusion(photos: Photos) -> Figures:
    """Return how much of what is excluded goes, and what the first twenty gain."""
    truths = {words: photos.showing(words) for words in PRESENT}
    gone, lost = [], []
    first: dict[str, list[float]] = {"without": [], "excluded": [], "subtracted": []}
    for one, truth in truths.items():
        word = one.split()[0]
        plain, _ = photos.order(word, text_weight=0)
        for other, unwanted in truths.items():
            wanted = truth & ~unwanted
            if one == other or wanted.sum() < 10 or (truth & unwanted).sum() < 2:
                continue
            name = other.split()[0]
            kept, _ = photos.order(f"{word} -{name}", text_weight=0)
            away, _ = photos.order(f"{word} -1*{name}", k=20, text_weight=0)
            for way, order in (("without", plain), ("excluded", kept), ("subtracted", away)):
                first[way].append(float(wanted[order[:20]].mean()))
            shows = unwanted[plain[:50]]
            if shows.sum() >= 3:
                removed = ~np.isin(plain[:50], kept)
                gone.append(float(removed[shows].mean()))
                lost.append(float(removed[~shows].mean()))
    return {
        "of the first 20 wanted, with exclusion": float(np.mean(first["excluded"])),
        "of the first 20 wanted, without": float(np.mean(first["without"])),
        "of the first 20 wanted, by subtraction": float(np.mean(first["subtracted"])),
        "of the first 50, removed of those that show it": float(np.mean(gone)),
        "of the first 50, removed of those that do not": float(np.mean(lost)),
        "pairs": len(first["excluded"]),
    }


# ------------------------------------------------------------------ what is written


def written(photos: Photos, model: str, folder: Path, every: int) -> Figures:
    """Return what tags, captions and names add: half of the photos have a caption."""
    rng = np.random.default_rng(0)
    has = rng.random(len(photos.names)) < 0.5
    subjects = [each.split()[0] for each in PRESENT]
    named = {name: [s for s in subjects if rng.random() < 0.3] for name in photos.names}
    captions = dict(zip(photos.names, photos.captions, strict=True))
    figures: Figures = {}
    with tempfile.TemporaryDirectory() as temporary:
        for kind in ("half", "named"):
            beside = Path(temporary) / kind
            beside.mkdir()
            for n, name in enumerate(photos.names):
                # A word that 30 % of all names hold says little about what they show.
                shown = " ".join(named[name]) + f"~{name}" if kind == "named" else name
                (beside / shown).symlink_to(folder / name)
                if has[n] and photos.captions[n]:
                    (beside / shown).with_suffix(".txt").write_text(photos.captions[n][0], "utf-8")
        with pixseek.open(Path(temporary) / "half.lib", model=model) as library:
            library.index(Path(temporary) / "half", follow_links=True)
            half = Photos(library, captions)
            figures |= _with_captions(half, every)
            figures |= _unique(half)
        with pixseek.open(Path(temporary) / "named.lib", model=model) as library:
            library.index(Path(temporary) / "named", follow_links=True)
            figures["subject words, also in 30 % of file names: precision of the first ten"] = (
                _first_ten(Photos(library, captions))
            )
    return figures


def _with_captions(half: Photos, every: int) -> Figures:
    """Return how well captions find their photo, half of which have another caption."""
    queries = [
        (caption, at) for at, captions in enumerate(half.captions) for caption in captions[1:]
    ][::every]
    figures: Figures = {}
    for name, options in (("images alone", {"text_weight": 0.0}), ("images and captions", {})):
        ranks = []
        asked = [Query((Term("text", text),), k=10, **options) for text, _ in queries]
        for results, (_, own) in zip(half.library.search_many(asked), queries, strict=True):
            ids = [hit.id for hit in results]
            ranks.append(ids.index(half.id_of[own]) if half.id_of[own] in ids else 10)
        for k in (1, 5, 10):
            share = float(np.mean([rank < k for rank in ranks]))
            figures[f"captions, {name}: recall@{k}"] = share
    figures["captions: queries"] = len(queries)
    figures["subject words: precision of the first ten"] = _first_ten(half)
    return figures


def _first_ten(photos: Photos) -> float:
    shares = []
    for words in PRESENT:
        order, _ = photos.order(f'"{words.split()[0]}"', k=10)
        shares.append(float(photos.showing(words)[order].mean()))
    return float(np.mean(shares))


def _unique(half: Photos) -> Figures:
    """Return the mean reciprocal rank of the photo that has a word as a tag, which no other has."""
    rng = np.random.default_rng(5)
    words = [each for each in UNIQUE if not any(each.lower() in said for said in half.said)]
    places = rng.choice(len(half.names), len(words), replace=False)
    for word, at in zip(words, places, strict=True):
        half.library.tag(half.id_of[at], add=[word])
    figures: Figures = {}
    for name, more in (
        ("a unique word", 0),
        ("a unique word and a thing that the photo does not show", 1),
        ("a unique word and two such things", 2),
    ):
        ranks = []
        for word, at in zip(words, places, strict=True):
            others = [s for s in PRESENT if not half.showing(s)[at]]
            things = rng.choice(others, more, replace=False).tolist()
            order, _ = half.order(" ".join([word, *(thing.split()[0] for thing in things)]))
            found = order.tolist()
            ranks.append(1 / (found.index(at) + 1) if at in found else 0.0)
        figures[f"{name}: mean reciprocal rank"] = float(np.mean(ranks))
        if not more:
            figures[f"{name}: in the first ten"] = float(np.mean([each >= 0.1 for each in ranks]))
    figures["unique words"] = len(words)
    return figures


# ------------------------------------------------------------------ all of it


def read_captions(folder: Path) -> dict[str, list[str]]:
    """Return the captions of each file, from captions.tsv."""
    captions: dict[str, list[str]] = {}
    with (folder / "captions.tsv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            captions.setdefault(row["file"], []).append(row["caption"])
    return captions


def measure(model: str, folder: Path, library: Path, every: int = 4) -> dict[str, Figures]:
    """Return all figures, by table."""
    with pixseek.open(library, model=model) as opened:
        opened.index(folder)
        photos = Photos(opened, read_captions(folder))
        return {
            "strength": strengths(photos),
            "written": written(photos, model, folder, every),
            "several": fusion(photos),
            "exclusion": exclusion(photos),
        }


def of_commit(commit: str, model: str, folder: Path) -> dict[str, Figures]:
    """Return the figures of another commit, measured by this script on its sources."""
    from compare import tree_of

    with tempfile.TemporaryDirectory() as temporary:
        tree = tree_of(commit, Path(temporary))
        said = Path(temporary) / "figures.json"
        command = [sys.executable, __file__, "--model", model, "--photos", str(folder)]
        environment = os.environ | {"PYTHONPATH": str(tree / "src")}
        subprocess.run([*command, "--json", str(said)], check=True, env=environment)
        found: dict[str, Figures] = json.loads(said.read_text("utf-8"))
        return found


def table(figures: Figures, before: Figures | None, commit: str) -> str:
    """Return figures as a table in Markdown, those of another commit first."""
    head = ["", *([commit] if before is not None else []), "now"]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for name, value in figures.items():
        cells = [name]
        if before is not None:
            cells.append(_shown(before[name]) if name in before else "")
        lines.append(f"| {' | '.join([*cells, _shown(value)])} |")
    return "\n".join(lines)


def _shown(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.3f}".replace("0.", ".", 1)


def rewritten(text: str, tables: dict[str, str]) -> str:
    """Return a document with these tables between their marks."""
    for name, made in tables.items():
        mark = re.compile(rf"(<!-- table: {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        text, count = mark.subn(lambda found, made=made: f"{found[1]}\n{made}\n\n{found[2]}", text)
        if count != 1:
            raise SystemExit(f"{DOCUMENT} has no place for the table {name}")
    return text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--photos", required=True, type=Path)
    parser.add_argument("--against", metavar="COMMIT", help="measure another commit too")
    parser.add_argument("--write", action="store_true", help=f"write the tables of {DOCUMENT.name}")
    parser.add_argument("--json", type=Path, help="write the figures")
    options = parser.parse_args()
    warnings.simplefilter("ignore", DeprecationWarning)
    folder = options.photos.resolve()
    before = of_commit(options.against, options.model, folder) if options.against else {}
    with tempfile.TemporaryDirectory() as temporary:
        figures = measure(options.model, folder, Path(temporary) / "library")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2), "utf-8")
    tables = {name: table(own, before.get(name), options.against) for name, own in figures.items()}
    print("\n\n".join(tables.values()))
    if options.write:
        DOCUMENT.write_text(rewritten(DOCUMENT.read_text("utf-8"), tables), "utf-8")


if __name__ == "__main__":
    main()
