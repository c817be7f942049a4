"""Endless batches of drawn scenes with captions, including hard negatives."""

from __future__ import annotations

import io
import random
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pixseek.demo.captions import Description, full_description, short_description
from pixseek.demo.drawing import render
from pixseek.demo.scenes import (
    COLOURS,
    GROUND_KINDS,
    SETTINGS,
    TIMES,
    WEATHERS,
    Fact,
    Scene,
    facts,
    random_scene,
    swap_sides,
    with_things,
)

PIXELS = 64
GROUP = 4


@dataclass(frozen=True)
class Batch:
    """n pictures with two captions each.

    `pixels` is (n, 64, 64, 3) uint8. `full_fits` and `short_fits` are (n, n) bool: whether the
    row's caption is true of the column's picture, which then is not a negative.
    """

    pixels: NDArray[np.uint8]
    full: list[str]
    short: list[str]
    full_fits: NDArray[np.bool_]
    short_fits: NDArray[np.bool_]


def shrink(picture: Image.Image) -> Image.Image:
    """Preprocess as the model does: squash to 64 pixels, bilinear with antialiasing."""
    return picture.resize((PIXELS, PIXELS), Image.Resampling.BILINEAR)


def compressed(picture: Image.Image, quality: int) -> Image.Image:
    """The picture compressed as JPEG and decoded."""
    held = io.BytesIO()
    picture.save(held, "JPEG", quality=quality)
    return Image.open(held).convert("RGB")


class SceneStream:
    """A pool of drawn groups, each of four variants of one scene, that is renewed continually.

    A picture is used in several batches, each time with new captions: drawing takes longer than
    captioning, and training shouldn't wait for it.
    """

    def __init__(self, seed: int, pool_groups: int) -> None:
        self._rng = random.Random(seed)
        self._pool = [self._new_group() for _ in range(pool_groups)]
        self._oldest = 0

    def batch(self, size: int, renewed_groups: int) -> Batch:
        """Half whole groups, so that variants are each other's negatives, half single scenes."""
        for _ in range(renewed_groups):
            self._pool[self._oldest] = self._new_group()
            self._oldest = (self._oldest + 1) % len(self._pool)
        whole = size // 2 // GROUP
        chosen = self._rng.sample(self._pool, whole + size - whole * GROUP)
        items = [item for group in chosen[:whole] for item in group]
        items += [self._rng.choice(group) for group in chosen[whole:]]
        full = [full_description(item.scene, self._rng) for item in items]
        short = [short_description(item.scene, self._rng) for item in items]
        truths = [item.truths for item in items]
        return Batch(
            np.stack([item.pixels for item in items]),
            [d.text for d in full],
            [d.text for d in short],
            _fits(full, truths),
            _fits(short, truths),
        )

    def _new_group(self) -> list[_Drawn]:
        scene = random_scene(self._rng, least=1 if self._rng.random() < 0.3 else 2)
        group = [scene, *(_changed(scene, change, self._rng) for change in _CHANGES_FIRST)]
        while len(group) < GROUP:
            group.append(_changed(scene, self._rng.choice(_CHANGES), self._rng))
        return [_Drawn(s, facts(s), self._picture(s)) for s in group]

    def _picture(self, scene: Scene) -> NDArray[np.uint8]:
        """Usually a quick drawing, with the pixels of a large drawing after shrinking."""
        style = self._rng.random()
        if style < 0.65:
            drawn = shrink(render(scene, 128, smooth=False))
        elif style < 0.8:
            drawn = render(scene, PIXELS)
        else:
            large = render(scene, self._rng.choice((160, 224, 256)), smooth=style < 0.9)
            drawn = shrink(compressed(large, self._rng.randint(60, 95)))
        return np.asarray(drawn)


@dataclass(frozen=True)
class _Drawn:
    scene: Scene
    truths: frozenset[Fact]
    pixels: NDArray[np.uint8]


def _fits(texts: list[Description], truths: list[frozenset[Fact]]) -> NDArray[np.bool_]:
    return np.array([[text.facts <= true for true in truths] for text in texts])


def _changed(
    scene: Scene, change: Callable[[Scene, random.Random], Scene], rng: random.Random
) -> Scene:
    try:
        return change(scene, rng)
    except ValueError:  # a lone thing, or two of one colour, cannot be swapped
        return _other_colour(scene, rng)


def _swapped_colours(scene: Scene, rng: random.Random) -> Scene:
    """Like `swap_colours`, but for any two things, so that flying things are told apart too."""
    things = list(scene.things)
    rng.shuffle(things)
    for one in things:
        for other in things:
            if one.colour != other.colour:
                mixed = {one: replace(one, colour=other.colour)}
                mixed[other] = replace(other, colour=one.colour)
                return with_things(scene, [mixed.get(t, t) for t in scene.things])
    raise ValueError("no two things differ in colour")


def _other_count(scene: Scene, rng: random.Random) -> Scene:
    things = list(scene.things)
    at = rng.randrange(len(things))
    before = things[at]
    after = replace(
        before, size="medium", count=rng.choice([n for n in (1, 2, 3) if n != before.count])
    )
    if after.width > before.width:  # a wider group must not hide its neighbours
        reach = after.width / 2
        row = scene.ground if at < len(scene.ground) else scene.air
        edges = [(t.x - t.width / 2, t.x + t.width / 2) for t in row if t is not before]
        inside = after.x - reach > 0 and after.x + reach < 1
        if not inside or any(after.x - reach < b and after.x + reach > a for a, b in edges):
            raise ValueError("no room for more")
    things[at] = after
    return with_things(scene, things)


def _other_colour(scene: Scene, rng: random.Random) -> Scene:
    things = list(scene.things)
    # Flying things are rarer, so their colours are changed more often.
    at = len(things) - 1 if scene.air and rng.random() < 0.4 else rng.randrange(len(things))
    colour = rng.choice([c for c in COLOURS if c != things[at].colour])
    things[at] = replace(things[at], colour=colour)
    return with_things(scene, things)


def _other_kind(scene: Scene, rng: random.Random) -> Scene:
    taken = {t.kind for t in scene.ground}
    kinds = [k for k in GROUND_KINDS if k not in taken and k != "boat"]
    things = list(scene.ground)
    at = rng.randrange(len(things))
    things[at] = replace(things[at], kind=rng.choice(kinds))
    return replace(scene, ground=tuple(things))


def _other_surroundings(scene: Scene, rng: random.Random) -> Scene:
    which = rng.randrange(3)
    if which == 0 and all(t.kind != "boat" for t in scene.ground):
        places = [s for s in SETTINGS if s != "desert" or scene.weather != "snow"]
        return replace(scene, setting=rng.choice(places))
    if which == 1:
        skies = [w for w in WEATHERS if w != "snow" or scene.setting != "desert"]
        return replace(scene, weather=rng.choice(skies))
    return replace(scene, time=rng.choice(TIMES))


_CHANGES_FIRST: tuple[Callable[[Scene, random.Random], Scene], ...] = (
    _swapped_colours,
    lambda scene, rng: swap_sides(scene),
)
_CHANGES: tuple[Callable[[Scene, random.Random], Scene], ...] = (
    lambda scene, rng: _swapped_colours(swap_sides(scene), rng),
    _other_colour,
    _other_colour,
    _other_count,
    _other_kind,
    _other_surroundings,
)
