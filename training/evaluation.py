"""Evaluate how well a pair of towers, given as two functions, ranks held-out scenes."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pixseek.demo.captions import Description, full_description, noun_phrase, pair_description
from pixseek.demo.drawing import render
from pixseek.demo.scenes import (
    COLOURS,
    KINDS,
    Scene,
    facts,
    random_scene,
    swap_colours,
    swap_sides,
    thing_fact,
)

HELD_OUT_SEED = 20_000_003
RENDERED_PIXELS = 256

Rows = NDArray[np.float32]
EncodeImages = Callable[[Sequence[Image.Image]], Rows]
EncodeTexts = Callable[[Sequence[str]], Rows]


@dataclass(frozen=True)
class HeldOut:
    """Scenes that training never draws (its seed differs), with their captions and pictures."""

    scenes: list[Scene]
    captions: list[str]
    pictures: list[Image.Image]
    pairs: list[tuple[str, Image.Image, Image.Image, Image.Image]]
    """A caption of two things, their picture, and that with colours and with sides swapped."""


def held_out(scenes: int = 1000, pairs: int = 500) -> HeldOut:
    """Draw the held-out set, at a common size of pictures."""
    rng = random.Random(HELD_OUT_SEED)
    drawn = [random_scene(rng) for _ in range(scenes)]
    captions = [full_description(scene, rng).text for scene in drawn]
    swapped: list[tuple[str, Image.Image, Image.Image, Image.Image]] = []
    while len(swapped) < pairs:
        scene = random_scene(rng, least=2)
        if len(scene.things) > 2 or scene.ground[0].colour == scene.ground[1].colour:
            continue
        text = pair_description(scene, rng).text
        one, two, three = (
            render(s, RENDERED_PIXELS) for s in (scene, swap_colours(scene), swap_sides(scene))
        )
        swapped.append((text, one, two, three))
    return HeldOut(drawn, captions, [render(s, RENDERED_PIXELS) for s in drawn], swapped)


def evaluate(data: HeldOut, images: EncodeImages, texts: EncodeTexts) -> dict[str, float]:
    """Recall of full captions, share of swapped pairs told apart, precision of short queries."""
    rows = _unit(images(data.pictures))
    scores = _unit(texts(data.captions)) @ rows.T
    # One matrix: two separate products differ in the last bit, and an item could rank above
    # itself.
    above = (scores > np.diagonal(scores)[:, None]).sum(1)
    found = {f"recall@{k}": float((above < k).mean()) for k in (1, 5, 10)}
    asked = _unit(texts([pair[0] for pair in data.pairs]))
    true, colours, sides = (
        (asked * _unit(images([pair[at] for pair in data.pairs]))).sum(1) for at in (1, 2, 3)
    )
    found["pairs"] = float((true > colours).mean())
    found["pairs by side"] = float((true > sides).mean())
    truths = [facts(scene) for scene in data.scenes]
    for name, queries in _short_queries().items():
        ranked = np.argsort(-(_unit(texts([q.text for q in queries])) @ rows.T), axis=1)
        precisions = []
        for query, order in zip(queries, ranked, strict=True):
            fitting = np.array([query.facts <= true for true in truths])
            if fitting.sum() == 0:
                continue
            depth = min(10, int(fitting.sum()))  # fewer than ten may exist
            precisions.append(float(fitting[order[:depth]].mean()))
        found[f"precision@10 {name}"] = float(np.mean(precisions))
    return found


def _short_queries() -> dict[str, list[Description]]:
    rng = random.Random(HELD_OUT_SEED + 1)
    return {
        "kind": [
            Description(noun_phrase(rng, kind), frozenset({thing_fact(kind)}))
            for kind in KINDS
            for _ in range(4)
        ],
        "colour and kind": [
            Description(noun_phrase(rng, kind, colour), frozenset({thing_fact(kind, colour)}))
            for kind in KINDS
            for colour in COLOURS
        ],
        "count and kind": [
            Description(
                noun_phrase(rng, kind, count=count), frozenset({thing_fact(kind, count=count)})
            )
            for kind in KINDS
            for count in (2, 3)
        ],
        "kind, setting and hour": [
            Description(
                f"{noun_phrase(rng, kind)} {place} {hour}",
                frozenset({thing_fact(kind), ("setting", setting), ("time", time)}),
            )
            for kind in KINDS
            for setting, place in (("lake", "on a lake"), ("city", "in the city"))
            for time, hour in (("night", "at night"), ("sunset", "at sunset"))
        ],
        "setting, hour or sky": [
            Description(text, frozenset({fact}))
            for text, fact in (
                ("beach", ("setting", "beach")),
                ("a city", ("setting", "city")),
                ("mountains", ("setting", "mountain")),
                ("a lake", ("setting", "lake")),
                ("in a field", ("setting", "field")),
                ("desert", ("setting", "desert")),
                ("night", ("time", "night")),
                ("at sunset", ("time", "sunset")),
                ("day", ("time", "day")),
                ("snow", ("weather", "snow")),
                ("rain", ("weather", "rain")),
                ("clouds", ("weather", "cloudy")),
                ("sun", ("sky", "sun")),
                ("moon", ("sky", "moon")),
            )
        ],
    }


def _unit(rows: Rows) -> Rows:
    unit: Rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit
