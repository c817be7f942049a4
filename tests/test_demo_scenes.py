"""The drawn scenes: their facts, captions and pictures agree."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pixseek.demo.captions import (
    caption,
    full_description,
    noun_phrase,
    pair_description,
    short_description,
)
from pixseek.demo.drawing import render
from pixseek.demo.picture_library import CAPTIONS_FILE, write_picture_library
from pixseek.demo.scenes import (
    COLOURS,
    KINDS,
    SETTINGS,
    TIMES,
    WATER_SETTINGS,
    WEATHERS,
    Scene,
    Thing,
    facts,
    random_scene,
    swap_colours,
    swap_sides,
)
from pixseek.demo.words import ADJECTIVES, NOUNS

RED_CAR_LEFT = Scene((Thing("car", "red", x=0.25), Thing("house", "blue", x=0.7)))

seeds = st.integers(0, 2**32)


@given(seeds)
def test_random_scenes_are_consistent(seed: int) -> None:
    scene = random_scene(random.Random(seed))
    assert 1 <= len(scene.ground) <= 3
    assert len({t.kind for t in scene.ground}) == len(scene.ground)
    assert [t.x for t in scene.ground] == sorted(t.x for t in scene.ground)
    for thing in scene.things:
        assert thing.x - thing.width / 2 >= 0
        assert thing.x + thing.width / 2 <= 1
        assert thing.kind != "boat" or scene.setting in WATER_SETTINGS
    for left, right in zip(scene.ground, scene.ground[1:], strict=False):
        assert right.x - right.width / 2 > left.x + left.width / 2 - 0.02  # none hides another


@given(seeds)
def test_every_caption_is_true_of_its_scene(seed: int) -> None:
    rng = random.Random(seed)
    scene = random_scene(rng, least=2)
    for describe in (full_description, short_description, pair_description):
        assert describe(scene, rng).fits(scene)


@given(seeds)
def test_a_full_caption_names_every_kind_and_colour(seed: int) -> None:
    # Checks the words alone, independently of the facts that the description claims.
    rng = random.Random(seed)
    scene = random_scene(rng)
    words = f" {caption(scene, rng).replace(',', ' ')} "
    for thing in scene.things:
        assert any(f" {noun} " in words for pair in NOUNS[thing.kind] for noun in pair), words
        assert any(f" {word} " in words for word in ADJECTIVES[thing.colour]), words
    absent = set(COLOURS) - {t.colour for t in scene.things}
    for colour in absent:
        assert f" {colour} " not in words


@given(seeds)
def test_a_full_caption_is_false_of_the_scene_with_swapped_colours(seed: int) -> None:
    rng = random.Random(seed)
    scene = random_scene(rng, least=2)
    description = full_description(scene, rng)
    try:
        swapped = swap_colours(scene)
    except ValueError:
        assert len({t.colour for t in scene.things}) == 1
        return
    assert not description.fits(swapped)
    assert not description.fits(swap_sides(scene))
    assert sorted(t.colour for t in swapped.things) == sorted(t.colour for t in scene.things)


@given(seeds)
def test_swapping_sides_reverses_left_of(seed: int) -> None:
    scene = random_scene(random.Random(seed), least=2)
    swapped = swap_sides(scene)
    first, last = scene.ground[0], scene.ground[-1]
    fact = ("left of", first.kind, first.colour, last.kind, last.colour)
    assert fact in facts(scene)
    assert fact not in facts(swapped)
    assert ("left of", last.kind, last.colour, first.kind, first.colour) in facts(swapped)
    assert {replace(t, x=0) for t in swapped.ground} == {replace(t, x=0) for t in scene.ground}


def test_facts_of_a_small_scene() -> None:
    true = facts(RED_CAR_LEFT)
    assert ("thing", "car", "red", "", "1") in true
    assert ("thing", "house", "", "", "") in true
    assert ("left of", "car", "red", "house", "blue") in true
    assert ("sky", "sun") in true
    assert ("thing", "car", "blue", "", "") not in true
    assert ("left of", "house", "", "car", "") not in true
    assert ("thing", "car", "blue", "", "1") in facts(swap_colours(RED_CAR_LEFT))


def test_impossible_swaps_raise_value_error() -> None:
    alone = Scene((Thing("cat", "black"),))
    with pytest.raises(ValueError, match=r"(?i)two things of different colours"):
        swap_colours(alone)
    with pytest.raises(ValueError, match=r"(?i)two things on the ground"):
        swap_sides(alone)


def test_noun_phrases_have_articles_plurals_and_synonyms() -> None:
    rng = random.Random(0)
    phrases = {noun_phrase(rng, "dog", "orange") for _ in range(60)}
    assert phrases == {"an orange dog", "an orange puppy", "an orange pup"}
    assert {noun_phrase(rng, "tree", "white", count=2) for _ in range(60)} == {
        "two white trees",
        "2 white trees",
        "a pair of white trees",
    }


@given(seeds)
@settings(max_examples=25, deadline=None)
def test_drawing_a_scene_is_deterministic(seed: int) -> None:
    scene = random_scene(random.Random(seed), least=2)
    assert scene == random_scene(random.Random(seed), least=2)
    picture = render(scene, 64)
    assert picture.mode == "RGB"
    assert picture.size == (64, 64)
    assert picture.tobytes() == render(scene, 64).tobytes()


@given(seeds)
@settings(max_examples=25, deadline=None)
def test_swaps_change_the_picture(seed: int) -> None:
    scene = random_scene(random.Random(seed), least=2)
    swaps = [swap_sides(scene)]
    if len({t.colour for t in scene.things}) > 1:
        swaps.append(swap_colours(scene))
    for swap in swaps:
        difference = np.asarray(render(scene, 64), int) - np.asarray(render(swap, 64), int)
        changed = np.abs(difference).max(axis=2) > 8
        assert 0.002 < changed.mean() < 0.9


@pytest.mark.parametrize("size", [64, 100, 256, 384])
def test_a_scene_is_drawn_at_any_size(size: int) -> None:
    picture = render(RED_CAR_LEFT, size)
    small = np.asarray(picture.resize((32, 32), Image.Resampling.BOX), int)
    reference = np.asarray(render(RED_CAR_LEFT, 128).resize((32, 32), Image.Resampling.BOX), int)
    assert np.abs(small - reference).mean() < 6


def test_every_kind_colour_and_setting_is_drawn_differently() -> None:
    plain = Scene((Thing("ball", "white"),), setting="beach")
    looks = [
        replace(plain, setting=s, time=t, weather=w)
        for s in SETTINGS for t in TIMES for w in WEATHERS
    ]  # fmt: skip
    looks += [replace(plain, ground=(Thing(k, c),)) for k in KINDS for c in COLOURS]
    assert len({render(scene, 48).tobytes() for scene in looks}) == len(set(looks))


def test_the_picture_library_is_complete_and_repeatable(tmp_path: Path) -> None:
    written = write_picture_library(tmp_path / "one", count=40)
    write_picture_library(tmp_path / "two", count=40)
    table = (tmp_path / "one" / CAPTIONS_FILE).read_text(encoding="utf-8")
    assert table == (tmp_path / "two" / CAPTIONS_FILE).read_text(encoding="utf-8")
    rows = [line.split("\t") for line in table.splitlines()]
    assert rows[0] == ["file", "caption"]
    assert [tmp_path / "one" / name for name, _ in rows[1:]] == written
    assert len(written) == 40
    formats = set()
    for name, words in rows[1:]:
        assert words
        assert name.split("/")[0] in SETTINGS
        with Image.open(tmp_path / "one" / name) as picture:
            formats.add(picture.format)
            assert picture.size[0] in (256, 320, 384)
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    assert formats == {"JPEG", "PNG", "WEBP"}
