"""Which images are groups: the same picture, edited or resized, or only alike."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import pixseek
from films import film
from pixseek.search.duplicates import near_hashes, same_picture, shown_once, taken_apart
from pixseek.search.film_copies import matching_shots
from pixseek.types import Record

from tiny_encoder import TinyEncoder

MAY = datetime(2024, 5, 2, 12, 0, 0)


def view(seed: int = 0, size: tuple[int, int] = (200, 150)) -> Image.Image:
    """A picture with structure everywhere, as photos have it."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 255, (5, 7, 3), np.uint8))
    fine = Image.fromarray(rng.integers(0, 255, (36, 48, 3), np.uint8))
    return Image.blend(coarse.resize(size, 3), fine.resize(size, 3), 0.4)


def kinds(library: pixseek.Library, threshold: float = 0.9) -> list[tuple[str, bool, set[str]]]:
    return [
        (group.kind, group.exact, {record.name for record in group.records})
        for group in library.duplicates(threshold)
    ]


def test_each_group_says_how_its_images_belong_together(tiny: TinyEncoder, tmp_path: Path) -> None:
    folder = tmp_path / "p"
    folder.mkdir()
    exif = Image.Exif()
    exif[0x0112] = 1
    view(1).save(folder / "one.png")
    view(1).save(folder / "one, described.png", exif=exif)
    view(2).save(folder / "two.png")
    view(2).crop((10, 10, 195, 145)).save(folder / "two, cropped.jpg")
    for n in range(2):  # the same view, something in it is elsewhere
        frame = view(3)
        frame.paste(view(4).crop((0, 0, 45, 45)), (20 + 50 * n, 20 + 25 * n))
        frame.save(folder / f"frame-{n}.png")
    frame.resize((100, 75)).save(folder / "frame-1, small.png")
    view(5).save(folder / "another.png")
    for n in range(3):
        Image.new("RGB", (60 + n, 40), (255 - n, 255, 255)).save(folder / f"blank-{n}.png")
    with pixseek.open(tmp_path / "l.lib") as library:
        library.index(folder)
        assert kinds(library, 0.8) == [
            ("edited", False, {"frame-1.png", "frame-1, small.png"}),
            ("same", False, {"one.png", "one, described.png"}),
            ("edited", False, {"two.png", "two, cropped.jpg"}),
            ("alike", False, {"blank-0.png", "blank-1.png", "blank-2.png"}),
            ("alike", False, {"frame-0.png", "frame-1.png"}),
        ]
        assert library.duplicates(exact=True) == []


def test_copies_are_found_whatever_the_model_thinks_of_them(
    tiny: TinyEncoder, tmp_path: Path
) -> None:
    folder = tmp_path / "p"
    folder.mkdir()
    view(1).save(folder / "one.png")
    view(1).convert("L").resize((100, 75)).save(folder / "grey.png")
    with pixseek.open(tmp_path / "l.lib") as library:
        library.index(folder)
        assert kinds(library, 0.99999) == [("edited", False, {"one.png", "grey.png"})]


def test_without_previews_files_are_compared_and_without_both_nothing_is(
    tiny: TinyEncoder, tmp_path: Path
) -> None:
    folder = tmp_path / "p"
    folder.mkdir()
    view(1).save(folder / "one.png")
    view(1).resize((120, 90)).save(folder / "small.png")
    with pixseek.open(tmp_path / "l.lib") as library:
        library.index(folder, previews=False)
        assert [kind for kind, _, _ in kinds(library)] == ["edited"]
        folder.rename(tmp_path / "elsewhere")
        assert [kind for kind, _, _ in kinds(library)] == ["alike"]


@pytest.mark.slow
def test_a_photo_with_its_clip_is_kept_and_not_identical_to_the_photo_alone(
    tiny: TinyEncoder, tmp_path: Path
) -> None:
    pytest.importorskip("av", reason="av is not installed")
    for folder in "abcde":
        (tmp_path / "p" / folder).mkdir(parents=True)
        comment = b"the largest file" * 4000 if folder == "e" else b""
        view(1).save(tmp_path / "p" / folder / "1.jpg", comment=comment)
    for folder, colour in (("b", "red"), ("c", "red"), ("d", "blue")):
        film(tmp_path / "p" / folder / "1.mov", ((colour, 1.0),))
    with pixseek.open(tmp_path / "l.lib") as library:
        assert library.index(tmp_path / "p").added == 5
        (group,) = library.duplicates()
        assert (group.kind, group.exact) == ("same", False)
        assert [each.relative_path for each in group.records[3:]] == ["e/1.jpg", "a/1.jpg"]
        (group,) = library.duplicates(exact=True)
        assert group.exact
        assert {each.relative_path for each in group.records} == {"b/1.jpg", "c/1.jpg"}


def test_each_shot_of_long_videos_has_its_share_of_matches() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(4000, 32)).astype(np.float32)
    rows[:, 0] += 40  # they all look alike, as those of a camera that stands still
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    later = np.roll(rows, 7, axis=0)
    tracemalloc.start()
    found = matching_shots(rows, later)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [one for one, _ in found] == [one for one in range(4000) for _ in range(2)]
    assert {(n, (n + 7) % 4000) for n in range(4000)} <= set(found)  # the likest of each
    assert peak < 20e6  # all cosines at once are 64 MB
    assert matching_shots(rows[:2], later[:9]) == [(a, b) for a in range(2) for b in range(9)]


def record(name: str = "a", **values: object) -> Record:
    return Record(name, f"r/{name}", **values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("one", "other", "apart"),
    [
        (MAY, MAY, False),
        (MAY, MAY.replace(second=1), True),
        (MAY, MAY.replace(microsecond=500_000), False),  # one has no fraction
        (MAY.replace(microsecond=100_000), MAY.replace(microsecond=500_000), True),
        (MAY, MAY.replace(tzinfo=UTC), False),
        (MAY, None, False),
    ],
)
def test_frames_are_told_apart_by_the_time_of_a_camera(
    one: datetime, other: datetime | None, apart: bool
) -> None:
    of_camera = {"taken_from": "exif"}
    records = [record(taken_at=each, fields=of_camera) for each in (one, other)]
    assert taken_apart(*records) == taken_apart(*reversed(records)) == apart
    named = record(taken_at=other, fields={"taken_from": "name"})
    assert not taken_apart(records[0], named)


def test_what_is_one_picture_and_what_is_shown_once() -> None:
    photo = {"colours": "#808080:0.3 #202020:0.2"}
    page = {"colours": "#ffffff:0.95 #000000:0.05"}
    here: Callable[..., Record] = record
    a, b = "0" * 16, "0" * 12 + "ffff"
    pairs = [  # one, other, the same picture, shown once
        (here(digest="aa"), here(digest="aa"), True, True),
        (here(pixels="aa", digest="b"), here(pixels="aa", digest="c"), True, True),
        (here(), here(), False, False),
        (here(perceptual_hash=a), here(perceptual_hash=a), False, False),  # perhaps pages
        (here(perceptual_hash=a, fields=photo), here(perceptual_hash=b, fields=photo), False, True),
        (here(perceptual_hash=a, fields=page), here(perceptual_hash=a, fields=page), False, False),
        (here(perceptual_hash=a, fields=photo), here(fields=photo), False, False),
        (
            here(perceptual_hash=a, fields=photo), here(perceptual_hash="f" * 16, fields=photo),
            False, False,
        ),
        (here(fields={"colours": "odd:odd"}), here(fields=photo), False, False),
    ]  # fmt: skip
    for one, other, same, once in pairs:
        assert (same_picture(one, other), shown_once(one, other)) == (same, once)


@pytest.mark.parametrize("count", [0, 1, 300, 5000])
def test_near_hashes_are_found_among_others(count: int) -> None:
    rng = np.random.default_rng(count)
    hashes = rng.integers(0, 2**64, count, dtype=np.uint64).tolist()
    planted = [hashes[n] ^ (7 << 20) for n in range(0, count, 7)]  # three bits
    found = set(near_hashes([*hashes, *planted]))
    wanted = {(n, count + at) for at, n in enumerate(range(0, count, 7))}
    assert wanted <= found
    assert len(found - wanted) < 3
