"""The scenes of the demo: things, their positions, and the facts that are true of them.

A `Scene` is plain data. `pixseek.demo.drawing` turns it into a picture and `pixseek.demo.captions`
into words. `facts(scene)` is the set of everything that is true of it, so a subset test decides
whether a caption fits a scene.
"""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Final, TypeAlias

from pixseek.types.dataclass import dataclass

GROUND_KINDS: Final = ("car", "house", "tree", "boat", "cat", "dog", "ball")
AIR_KINDS: Final = ("balloon", "bird")
KINDS: Final = GROUND_KINDS + AIR_KINDS
COLOURS: Final = (
    "red", "orange", "yellow", "green", "blue", "purple", "pink", "white", "black",
)  # fmt: skip
SIZES: Final = ("small", "medium", "big")
SETTINGS: Final = ("beach", "city", "mountain", "lake", "field", "desert")
TIMES: Final = ("day", "sunset", "night")
WEATHERS: Final = ("clear", "cloudy", "rain", "snow")

WATER_SETTINGS: Final = ("beach", "lake")
"""Boats float, so only these settings hold one."""

Fact: TypeAlias = tuple[str, ...]
"""One thing that is true of a scene, such as ("thing", "car", "red", "", "")."""

# Height of a medium thing, as a fraction of the picture's side, and its width over that height.
_HEIGHT: Final = {
    "car": 0.17, "house": 0.31, "tree": 0.34, "boat": 0.28, "cat": 0.22, "dog": 0.20,
    "ball": 0.17, "balloon": 0.26, "bird": 0.16,
}  # fmt: skip
_ASPECT: Final = {
    "car": 2.0, "house": 1.05, "tree": 0.75, "boat": 1.05, "cat": 0.85, "dog": 1.3,
    "ball": 1.0, "balloon": 0.72, "bird": 1.5,
}  # fmt: skip
_SCALE: Final = {"small": 0.74, "medium": 1.0, "big": 1.34}
_GROUP_SCALE: Final = {1: 1.0, 2: 0.8, 3: 0.68}
_GROUP_STEP: Final = 0.86  # neighbours in a group overlap a little
_MARGIN: Final = 0.02
_OVERLAP: Final = 0.015


@dataclass(frozen=True, slots=True)
class Thing:
    """A group of one to three equal objects.

    `x` is the centre of the group, 0 at the picture's left edge and 1 at its right.
    """

    kind: str
    colour: str
    size: str = "medium"
    count: int = 1
    x: float = 0.5

    @property
    def height(self) -> float:
        """Height of one object, as a fraction of the picture's side."""
        return _HEIGHT[self.kind] * _SCALE[self.size] * _GROUP_SCALE[self.count]

    @property
    def width(self) -> float:
        """Width of the whole group, as a fraction of the picture's side."""
        one = self.height * _ASPECT[self.kind]
        return one * (1 + (self.count - 1) * _GROUP_STEP)

    @property
    def centres(self) -> tuple[float, ...]:
        """The x of each object of the group, left to right."""
        step = self.height * _ASPECT[self.kind] * _GROUP_STEP
        return tuple(self.x + step * (i - (self.count - 1) / 2) for i in range(self.count))

    @property
    def side(self) -> str:
        """ "left", "right" or "middle"."""
        return "left" if self.x < 0.4 else "right" if self.x > 0.6 else "middle"


@dataclass(frozen=True, slots=True)
class Scene:
    """The content of a picture, as data.

    `ground` holds one to three things of different kinds, left to right; `air` holds at most one
    above them. `seed` decides only what no caption mentions: the places of clouds, stars and waves.
    """

    ground: tuple[Thing, ...]
    air: tuple[Thing, ...] = ()
    setting: str = "field"
    time: str = "day"
    weather: str = "clear"
    seed: int = 0

    @property
    def things(self) -> tuple[Thing, ...]:
        """All things: first the ground, left to right, then the air."""
        return self.ground + self.air


def thing_fact(kind: str, colour: str = "", size: str = "", count: int = 0) -> Fact:
    """The fact that such a thing is in the scene; an empty argument stands for any value."""
    return ("thing", kind, colour, size, str(count) if count else "")


def facts(scene: Scene) -> frozenset[Fact]:
    """All the facts about `scene` that a caption can claim.

    A description fits a scene if its claims are a subset of these.
    """
    true: set[Fact] = {
        ("setting", scene.setting),
        ("time", scene.time),
        ("weather", scene.weather),
        ("ground", str(len(scene.ground))),
        ("air", str(len(scene.air))),
    }
    if scene.weather == "clear":
        true.add(("sky", "moon" if scene.time == "night" else "sun"))
    for thing in scene.things:
        for colour in ("", thing.colour):
            true.add(thing_fact(thing.kind, colour))
            true.add(thing_fact(thing.kind, colour, count=thing.count))
            true.add(thing_fact(thing.kind, colour, thing.size))
            true.add(("side", thing.kind, colour, thing.side))
            if thing.count > 1:
                true.add(("several", thing.kind, colour))
    for i, left in enumerate(scene.ground):
        for right in scene.ground[i + 1 :]:
            for one, other in (("", ""), (left.colour, right.colour)):
                true.add(("left of", left.kind, one, right.kind, other))
    for high in scene.air:
        for low in scene.ground:
            for one, other in (("", ""), (high.colour, low.colour)):
                true.add(("above", high.kind, one, low.kind, other))
    return frozenset(true)


def random_scene(rng: random.Random, *, least: int = 1) -> Scene:
    """Pick a random scene with at least `least` things on the ground (at most 3)."""
    setting = rng.choice(SETTINGS)
    weather = rng.choice(WEATHERS)
    if setting == "desert" and weather == "snow":  # snow would hide the desert
        weather = "clear"
    kinds = [k for k in GROUND_KINDS if k != "boat" or setting in WATER_SETTINGS]
    weights = [3 if k == "boat" else 1 for k in kinds]  # boats are allowed in a third of scenes
    while True:
        wanted = max(least, rng.choices((1, 2, 3), (3, 5, 3))[0])
        chosen: list[str] = []
        while len(chosen) < wanted:
            kind = rng.choices(kinds, weights)[0]
            if kind not in chosen:
                chosen.append(kind)
        placed = _arranged(tuple(_random_thing(rng, kind) for kind in chosen), rng)
        if placed is not None:
            break
    air: tuple[Thing, ...] = ()
    if rng.random() < 0.4:
        flyer = _random_thing(rng, rng.choice(AIR_KINDS))
        half = flyer.width / 2 + _MARGIN
        air = (replace(flyer, x=rng.uniform(half, 1 - half)),)
    return Scene(placed, air, setting, rng.choice(TIMES), weather, rng.getrandbits(32))


def swap_colours(scene: Scene) -> Scene:
    """The same scene with the colours of two things exchanged.

    Raises ValueError if no two things differ in colour.
    """
    things = scene.things
    for i, one in enumerate(things):
        for j in range(i + 1, len(things)):
            other = things[j]
            if one.colour != other.colour:
                mixed = list(things)
                mixed[i] = replace(one, colour=other.colour)
                mixed[j] = replace(other, colour=one.colour)
                return with_things(scene, mixed)
    raise ValueError("swap_colours needs two things of different colours: this scene has none")


def swap_sides(scene: Scene) -> Scene:
    """The same scene with the leftmost and the rightmost thing on the ground exchanged.

    Raises ValueError if fewer than two things are on the ground.
    """
    if len(scene.ground) < 2:
        raise ValueError("swap_sides needs two things on the ground: this scene has fewer")
    first, *between, last = scene.ground
    start, end = first.x - first.width / 2, last.x + last.width / 2
    new_first = replace(last, x=start + last.width / 2)
    new_last = replace(first, x=end - first.width / 2)
    if between:  # widths differ, so the middle thing is centred in the new gap
        gap = (new_first.x + new_first.width / 2, new_last.x - new_last.width / 2)
        between = [replace(between[0], x=sum(gap) / 2)]
    return replace(scene, ground=(new_first, *between, new_last))


def with_things(scene: Scene, things: list[Thing]) -> Scene:
    """`scene` with its things replaced, in the order of `Scene.things`."""
    split = len(scene.ground)
    return replace(scene, ground=tuple(things[:split]), air=tuple(things[split:]))


def _random_thing(rng: random.Random, kind: str) -> Thing:
    count = rng.choices((1, 2, 3), (12, 4, 3))[0]
    # Only single objects vary in size: a model can't tell big ones from ones closer together.
    size = rng.choices(SIZES, (1, 2, 1))[0] if count == 1 else "medium"
    return Thing(kind, rng.choice(COLOURS), size, count)


def _arranged(things: tuple[Thing, ...], rng: random.Random) -> tuple[Thing, ...] | None:
    """The things with their x set, left to right without hiding each other; None if too wide."""
    room = 1 - 2 * _MARGIN + _OVERLAP * (len(things) - 1) - sum(t.width for t in things)
    if room < 0:
        return None
    cuts = sorted(rng.uniform(0, room) for _ in things)
    placed: list[Thing] = []
    edge, used = _MARGIN, 0.0
    for thing, cut in zip(things, cuts, strict=True):
        edge += cut - used
        used = cut
        placed.append(replace(thing, x=edge + thing.width / 2))
        edge += thing.width - _OVERLAP
    return tuple(placed)
