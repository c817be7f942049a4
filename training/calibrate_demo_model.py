"""Calibrate what the demo model's scores are worth, and print its accuracy.

    python training/calibrate_demo_model.py

Writes two files into the model's folder. `background.txt` holds captions of random scenes, with
which queries are compared. `calibration.json` holds a logistic function from score to probability,
fitted on random queries over random scenes, for which the true answers are known. The printed
figures are measured on other queries.
"""

from __future__ import annotations

import itertools
import json
import random
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from pixseek import encoders
from pixseek.demo import captions
from pixseek.demo.drawing import render
from pixseek.demo.scenes import Scene, facts, random_scene
from pixseek.search import background, calibrating
from pixseek.search.background import Calibration
from pixseek.search.strength import LIKELY_PROBABILITY, STRONG_PROBABILITY
from pixseek.types import Encoder, Picture

MODEL = Path(captions.__file__).parent / "model"
CAPTIONS = 300
SCENES, QUERIES = 1000, 600
SIDE = 320


def description(rng: random.Random) -> captions.Description:
    """Return a short query that fits a random scene."""
    scene = random_scene(rng)
    pair = len(scene.things) > 1 and rng.random() < 0.3
    return (captions.pair_description if pair else captions.short_description)(scene, rng)


def bank(count: int = CAPTIONS) -> list[str]:
    rng = random.Random(0)
    found: dict[str, None] = {}
    while len(found) < count:
        found[description(rng).text] = None
    return list(found)


def embedded(encoder: Encoder, scenes: list[Scene]) -> Any:
    rows = []
    for at in range(0, len(scenes), encoder.batch_size):
        drawn = [render(scene, SIDE) for scene in scenes[at : at + encoder.batch_size]]
        batch = [encoder.prepare(Picture(each, SIDE, SIDE, "")) for each in drawn]
        rows.append(encoder.encode_images(np.stack(batch)))
    return np.concatenate(rows)


def measured(encoder: Encoder, seed: int) -> tuple[Any, list[str], Any]:
    """Return scores, (queries, scenes), the queries, and whether each score's match is true."""
    rng = random.Random(seed)
    scenes = [random_scene(rng) for _ in range(SCENES)]
    queries = [description(rng) for _ in range(QUERIES)]
    images = embedded(encoder, scenes)
    texts = [query.text for query in queries]
    scores = calibrating.scored(encoder, images, texts, bank())
    known = [facts(scene) for scene in scenes]
    return scores, texts, np.array([[query.facts <= each for each in known] for query in queries])


def figures(scores: Any, texts: list[str], true: Any, calibration: Calibration) -> dict[str, Any]:
    """Return the accuracy of the calibration on these scores."""
    sure = calibration.probabilities(calibrating.judged(scores, texts, calibration))
    there = true.any(1)
    found: dict[str, Any] = {}
    for least in (LIKELY_PROBABILITY, STRONG_PROBABILITY):
        kept = sure >= least
        found[f"probability at least {least}"] = {
            "precision": float(true[kept].mean()),
            "recall": float(kept[true].mean()),
            "queries with matches that find one": float((kept & true).any(1)[there].mean()),
            "queries without matches that find something": float(kept.any(1)[~there].mean()),
        }
    edges = np.array([0.1, 0.3, 0.5, 0.7, 0.9, 1.01])
    found["share true, by probability"] = {
        f"{low:g} to {min(high, 1):g}": float(true[(sure >= low) & (sure < high)].mean())
        for low, high in itertools.pairwise(edges)
    }
    return found


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        encoder = encoders.load("demo", models_dir=Path(folder))
    head = "# Made by training/calibrate_demo_model.py: captions of random scenes."
    (MODEL / background.BANK_FILE).write_text("\n".join([head, *bank()]) + "\n", "utf-8")
    calibration = calibrating.weighed(*measured(encoder, seed=1))
    said = {
        "slope": calibration.slope,
        "centre": calibration.centre,
        "rank": calibration.rank,
        "demand": calibration.demand,
        "knee": calibration.knee,
        "bend": calibration.bend,
        "measured": {"images": SCENES, "queries": QUERIES},
    }
    (MODEL / background.CALIBRATION_FILE).write_text(json.dumps(said) + "\n", "utf-8")
    print(json.dumps(said), json.dumps(figures(*measured(encoder, seed=2), calibration), indent=1))


if __name__ == "__main__":
    main()
