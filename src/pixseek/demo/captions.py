"""Describe a `Scene` in words, by a small grammar with synonyms.

Every description carries the facts it claims, so `Description.fits(scene)` decides whether the
words are true of a scene.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final

from pixseek.demo.scenes import AIR_KINDS, Fact, Scene, Thing, facts, thing_fact
from pixseek.demo.words import (
    ABOVE,
    ADJECTIVES,
    HOUR_NOUNS,
    HOURS,
    LEFT,
    LIGHTS,
    NOUNS,
    NUMBERS,
    OPENINGS,
    PLACE_NOUNS,
    PLACES,
    RIGHT,
    SKIES,
    SKY_ADJECTIVES,
    SKY_NOUNS,
)
from pixseek.types.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Description:
    """Words, and the facts they claim."""

    text: str
    facts: frozenset[Fact]

    def fits(self, scene: Scene) -> bool:
        """Whether the words are true of `scene`."""
        return self.facts <= facts(scene)


def caption(scene: Scene, rng: random.Random) -> str:
    """A full sentence: all things with colour, count and order, the place, time and sky."""
    return full_description(scene, rng).text


def full_description(scene: Scene, rng: random.Random) -> Description:
    """Like `caption`, with the facts it claims."""
    claims: set[Fact] = {
        ("setting", scene.setting),
        ("time", scene.time),
        ("weather", scene.weather),
        ("ground", str(len(scene.ground))),
        ("air", str(len(scene.air))),
    }
    names = [_exact(thing, rng, claims) for thing in scene.ground]
    for left, right in zip(scene.ground, scene.ground[1:], strict=False):
        claims.add(("left of", left.kind, left.colour, right.kind, right.colour))
    said = _placed(scene, names, rng, claims)
    for high in scene.air:
        name = _exact(high, rng, claims)
        low = rng.randrange(len(names))
        forms = [f"{said} with {name} above", f"{said} and {name} in the sky"]
        if len(names) == 1:
            forms += [f"{name} {rng.choice(ABOVE)} {said}"]
        said = rng.choice(forms)
        claims.add(
            ("above", high.kind, high.colour, scene.ground[low].kind, scene.ground[low].colour)
        )
    where, when, sky = _place(scene, rng), _hour(scene, rng), _sky(scene, rng, claims)
    rest = rng.choice(
        (
            f"{where} {when} {sky}",
            f"{where} {sky} {when}",
            f"{when} {where} {sky}",
            f"{where}, {when}, {sky}",
        )
    )
    if rng.random() < 0.15:
        return Description(f"{rest}, {said}", frozenset(claims))
    return Description(_opened(f"{said} {rest}", rng), frozenset(claims))


def short_description(scene: Scene, rng: random.Random) -> Description:
    """A query that is true of `scene`: from one word ("boat") to a phrase about part of it."""
    makers = [m for m, share in _SHORT_FORMS for _ in range(share)]
    while True:
        claims: set[Fact] = set()
        text = rng.choice(makers)(scene, rng, claims)
        if text:
            return Description(_opened(text, rng, 0.05), frozenset(claims))


def pair_description(scene: Scene, rng: random.Random) -> Description:
    """Two things and their positions: "a red car left of a blue house".

    The scene must hold two things, at least one of them on the ground.
    """
    claims: set[Fact] = set()
    return Description(_pair(scene, rng, claims, coloured=True), frozenset(claims))


def noun_phrase(
    rng: random.Random, kind: str, colour: str = "", size: str = "", count: int = 1
) -> str:
    """ "a red car", "two small dogs", with synonyms."""
    noun = rng.choice(NOUNS[kind])[count > 1]
    words = [rng.choice(ADJECTIVES[a]) for a in (size, colour) if a]
    phrase = " ".join([w for w in words if w] + [noun])
    if count > 1:
        return f"{rng.choice(NUMBERS[count])} {phrase}"
    return f"{'an' if phrase[0] in 'aeiou' else 'a'} {phrase}"


def _exact(thing: Thing, rng: random.Random, claims: set[Fact]) -> str:
    size = thing.size if thing.size != "medium" and rng.random() < 0.7 else ""
    claims.add(thing_fact(thing.kind, thing.colour, count=thing.count))
    if size:
        claims.add(thing_fact(thing.kind, thing.colour, size))
    return noun_phrase(rng, thing.kind, thing.colour, size, thing.count)


def _placed(scene: Scene, names: list[str], rng: random.Random, claims: set[Fact]) -> str:
    if len(names) == 1:
        if rng.random() < 0.5:
            return names[0]
        thing = scene.ground[0]
        claims.add(("side", thing.kind, thing.colour, thing.side))
        return f"{names[0]} {'in the' if thing.side == 'middle' else 'on the'} {thing.side}"
    if len(names) == 2:
        one, two = names
        return rng.choice(
            (
                f"{one} {rng.choice(LEFT)} {two}",
                f"{one} {rng.choice(LEFT)} {two}",
                f"{two} {rng.choice(RIGHT)} {one}",
                f"{one} on the left and {two} on the right",
            )
        )
    one, two, three = names
    return rng.choice(
        (
            f"from left to right {one}, {two} and {three}",
            f"{one} on the left, {two} in the middle and {three} on the right",
            f"{two} between {one} on the left and {three} on the right",
            f"{one} {rng.choice(LEFT)} {two}, {three} on the far right",
        )
    )


def _place(scene: Scene, rng: random.Random) -> str:
    return rng.choice(PLACES[scene.setting])


def _hour(scene: Scene, rng: random.Random) -> str:
    return rng.choice(HOURS[scene.time])


def _sky(scene: Scene, rng: random.Random, claims: set[Fact]) -> str:
    if scene.weather == "clear" and rng.random() < 0.5:
        light = "moon" if scene.time == "night" else "sun"
        claims.add(("sky", light))
        return rng.choice(LIGHTS[light])
    hour = {"day": "day", "sunset": "evening", "night": "night"}[scene.time]
    return rng.choice(SKIES[scene.weather]).format(hour)


def _opened(text: str, rng: random.Random, share: float = 0.1) -> str:
    return f"{rng.choice(OPENINGS)} {text}" if rng.random() < share else text


# The short forms. Each adds its claims and returns its words, or "" if they fit nothing in the
# scene.


def _named(thing: Thing, rng: random.Random, claims: set[Fact], *, coloured: bool) -> str:
    """A thing by kind and perhaps colour; sometimes without an article, as people type."""
    colour = thing.colour if coloured else ""
    claims.add(thing_fact(thing.kind, colour))
    phrase = noun_phrase(rng, thing.kind, colour)
    style = rng.random()
    if style < 0.3:
        return phrase.split(" ", 1)[1]
    if thing.count > 1 and style < 0.6:  # "red cars" claims more than one
        claims.add(("several", thing.kind, colour))
        return _plural(rng, thing.kind, colour)
    return phrase


def _plural(rng: random.Random, kind: str, colour: str) -> str:
    noun = rng.choice(NOUNS[kind])[1]
    return f"{rng.choice(ADJECTIVES[colour])} {noun}" if colour else noun


def _kind(scene: Scene, rng: random.Random, claims: set[Fact]) -> str:
    return _named(rng.choice(scene.things), rng, claims, coloured=False)


def _coloured(scene: Scene, rng: random.Random, claims: set[Fact]) -> str:
    return _named(rng.choice(scene.things), rng, claims, coloured=True)


def _counted(scene: Scene, rng: random.Random, claims: set[Fact]) -> str:
    several = [t for t in scene.things if t.count > 1]
    if not several:
        return ""
    thing = rng.choice(several)
    colour = thing.colour if rng.random() < 0.5 else ""
    claims.add(thing_fact(thing.kind, colour, count=thing.count))
    return noun_phrase(rng, thing.kind, colour, count=thing.count)


def _sized(scene: Scene, rng: random.Random, claims: set[Fact]) -> str:
    sized = [t for t in scene.things if t.size != "medium"]
    if not sized:
        return ""
    thing = rng.choice(sized)
    colour = thing.colour if rng.random() < 0.5 else ""
    claims.add(thing_fact(thing.kind, colour, thing.size))
    return noun_phrase(rng, thing.kind, colour, thing.size)


def _sided(scene: Scene, rng: random.Random, claims: set[Fact]) -> str:
    thing = rng.choice(scene.ground)
    colour = thing.colour if rng.random() < 0.7 else ""
    claims.update({thing_fact(thing.kind, colour), ("side", thing.kind, colour, thing.side)})
    where = f"{'in the' if thing.side == 'middle' else 'on the'} {thing.side}"
    return f"{noun_phrase(rng, thing.kind, colour)} {where}"


def _somewhere(scene: Scene, rng: random.Random, claims: set[Fact]) -> str:
    form = rng.choice((_kind, _coloured, _coloured, _counted))
    text = form(scene, rng, claims)
    if not text:
        return ""
    rest = [_setting_part, _hour_part, _sky_part]
    rng.shuffle(rest)
    for part in rest[: rng.choice((1, 1, 2))]:
        text = f"{text} {part(scene, rng, claims)}"
    return text


def _setting_part(scene: Scene, rng: random.Random, claims: set[Fact]) -> str:
    claims.add(("setting", scene.setting))
    return _place(scene, rng)


def _hour_part(scene: Scene, rng: random.Random, claims: set[Fact]) -> str:
    claims.add(("time", scene.time))
    return _hour(scene, rng)


def _sky_part(scene: Scene, rng: random.Random, claims: set[Fact]) -> str:
    claims.add(("weather", scene.weather))
    text = _sky(scene, rng, claims)
    if "{}" in text or any(w in text for w in (" evening", " night", " day")):
        claims.add(("time", scene.time))
    return text


def _bare_setting(scene: Scene, rng: random.Random, claims: set[Fact]) -> str:
    claims.add(("setting", scene.setting))
    noun = rng.choice(PLACE_NOUNS[scene.setting])
    style = rng.random()
    if style < 0.4:
        return noun
    if style < 0.55:
        return f"the {noun}"
    if style < 0.7 and not noun.endswith("s"):
        return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"
    return _place(scene, rng)


def _bare_hour(scene: Scene, rng: random.Random, claims: set[Fact]) -> str:
    claims.add(("time", scene.time))
    return rng.choice((rng.choice(HOUR_NOUNS[scene.time]), _hour(scene, rng)))


def _bare_sky(scene: Scene, rng: random.Random, claims: set[Fact]) -> str:
    if scene.weather == "clear" and rng.random() < 0.7:
        light = "moon" if scene.time == "night" else "sun"
        claims.update({("weather", "clear"), ("sky", light)})
        words = (light, f"the {light}", *LIGHTS[light], "sunny" if light == "sun" else "moonlight")
        return rng.choice(words)
    if rng.random() < 0.7:
        claims.add(("weather", scene.weather))
        return rng.choice(SKY_NOUNS[scene.weather])
    return _sky_part(scene, rng, claims)


def _landscape(scene: Scene, rng: random.Random, claims: set[Fact]) -> str:
    """ "a snowy mountain at night": no things, the setting with hour and sky."""
    claims.add(("setting", scene.setting))
    noun = rng.choice(PLACE_NOUNS[scene.setting])
    text = noun
    skied = rng.random() < 0.6
    if skied:
        claims.add(("weather", scene.weather))
        adjective = SKY_ADJECTIVES[scene.weather]
        if scene.weather == "clear" and scene.time != "night" and rng.random() < 0.5:
            adjective = "sunny"
        text = f"{adjective} {noun}"
    if not noun.endswith("s") and rng.random() < 0.7:
        text = f"{'an' if text[0] in 'aeiou' else 'a'} {text}"
    if not skied or rng.random() < 0.5:
        text = f"{text} {_hour_part(scene, rng, claims)}"
    return text


def _coloured_pair(scene: Scene, rng: random.Random, claims: set[Fact]) -> str:
    return _pair(scene, rng, claims, coloured=True) if len(scene.things) > 1 else ""


def _plain_pair(scene: Scene, rng: random.Random, claims: set[Fact]) -> str:
    return _pair(scene, rng, claims, coloured=False) if len(scene.things) > 1 else ""


def _together(scene: Scene, rng: random.Random, claims: set[Fact]) -> str:
    """ "a cat and a dog", in any order: claims nothing about sides."""
    if len(scene.things) < 2:
        return ""
    one, other = rng.sample(scene.things, 2)
    coloured = rng.random() < 0.5
    parts = []
    for thing in (one, other):
        colour = thing.colour if coloured else ""
        claims.add(thing_fact(thing.kind, colour))
        parts.append(noun_phrase(rng, thing.kind, colour))
    return rng.choice((" and ", " with ", " next to ")).join(parts)


def _pair(scene: Scene, rng: random.Random, claims: set[Fact], *, coloured: bool) -> str:
    i, j = sorted(rng.sample(range(len(scene.things)), 2))
    one, other = scene.things[i], scene.things[j]
    names = []
    for thing in (one, other):
        count = thing.count if rng.random() < 0.5 else 1
        colour = thing.colour if coloured else ""
        claims.add(thing_fact(thing.kind, colour, count=count if count > 1 else 0))
        names.append(noun_phrase(rng, thing.kind, colour, count=count))
    colours = (one.colour, other.colour) if coloured else ("", "")
    if other.kind in AIR_KINDS:
        claims.add(("above", other.kind, colours[1], one.kind, colours[0]))
        return f"{names[1]} {rng.choice(ABOVE)} {names[0]}"
    claims.add(("left of", one.kind, colours[0], other.kind, colours[1]))
    return rng.choice(
        (
            f"{names[0]} {rng.choice(LEFT)} {names[1]}",
            f"{names[1]} {rng.choice(RIGHT)} {names[0]}",
            f"{names[0]} on the left and {names[1]} on the right",
        )
    )


_SHORT_FORMS: Final[tuple[tuple[Callable[[Scene, random.Random, set[Fact]], str], int], ...]] = (
    (_kind, 3),
    (_coloured, 6),
    (_counted, 5),
    (_sized, 1),
    (_sided, 6),
    (_somewhere, 5),
    (_bare_setting, 1),
    (_bare_hour, 1),
    (_bare_sky, 1),
    (_landscape, 2),
    (_coloured_pair, 7),
    (_plain_pair, 3),
    (_together, 2),
)
