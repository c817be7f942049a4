"""What is written about an image counts as much as it is rare, however long the text is."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import pixseek
from pixseek.search.written import SEEN, judged, with_seen
from pixseek.types import WordMatch, WordMatches

from tiny_encoder import TinyEncoder


def found(*held: tuple[int, ...], counts: tuple[int, ...], complete: int = 1) -> WordMatches:
    words = tuple(f"w{n}" for n in range(len(counts)))
    matches = tuple(
        WordMatch(str(n), 0.5, len(each) == len(counts), each) for n, each in enumerate(held)
    )
    return WordMatches(matches, complete, words, counts, 1000)


def test_a_unique_word_outweighs_whatever_an_image_shows() -> None:
    (one,) = judged(found((0,), counts=(1,)), 1000).values()
    assert one.complete and one.share == 1
    assert one.lift == one.least > 8


def test_a_word_on_a_third_of_all_images_hardly_counts() -> None:
    (one,) = judged(found((0,), counts=(300,), complete=300), 1000).values()
    assert 0.2 < one.lift < 1


def test_words_read_in_a_picture_count_less_than_those_of_a_caption() -> None:
    said = judged(found((0,), counts=(1,)), 1000)
    read = judged(found((0,), counts=(1,)), 1000, SEEN)
    assert 0 < read["0"].least < said["0"].least
    assert with_seen(said, read) == said
    assert with_seen({}, read) == read
    # One of two words in the caption, all of them in the picture.
    some = judged(found((0,), counts=(1, 1), complete=0), 1000)
    both = with_seen(some, judged(found((0, 1), counts=(1, 1)), 1000, SEEN))["0"]
    assert both.complete and both.share == 1
    assert both.lift >= some["0"].lift


@given(st.integers(1, 10**6), st.data())
def test_rarer_words_count_more(total: int, data: st.DataObject) -> None:
    some = data.draw(st.integers(1, total))
    fewer = data.draw(st.integers(1, some))
    rare = judged(found((0,), counts=(fewer,), complete=fewer), total)["0"]
    common = judged(found((0,), counts=(some,), complete=some), total)["0"]
    assert rare.lift >= common.lift >= 0


def test_a_rare_word_counts_in_a_short_query_and_little_in_a_long_one() -> None:
    short = judged(found((0,), counts=(1, 200), complete=0), 1000)["0"]
    long = judged(found((0,), counts=(1, *(9,) * 9), complete=0), 1000)["0"]
    assert short.least > 5 > 2 > long.least
    assert long.lift < 0.2


def test_all_words_count_more_than_some() -> None:
    both, one = judged(found((0, 1), (0,), counts=(3, 40)), 1000).values()
    assert both.lift > one.lift and both.lift >= one.least
    assert one.share == pytest.approx(
        math.log(1100 / 3.5) / (math.log(1100 / 3.5) + math.log(1100 / 40.5))
    )


def test_an_engine_without_counts_gives_shares() -> None:
    plain = WordMatches((WordMatch("a", 0.5, False),), 0)
    assert judged(plain, 1000)["a"].lift == pytest.approx(6 * 0.5**2)


def test_the_weight_of_texts_scales_what_they_give() -> None:
    whole, half = (judged(found((0,), counts=(1,)), 1000, weight)["0"] for weight in (1.0, 0.5))
    assert half.lift == pytest.approx(whole.lift / 2)


# ------------------------------------------------------------------ through a library


@pytest.fixture(scope="module")
def noise(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two hundred pictures of noise."""
    folder = tmp_path_factory.mktemp("noise")
    rng = np.random.default_rng(0)
    for n in range(200):
        Image.fromarray(rng.integers(0, 255, (8, 8, 3), np.uint8)).save(folder / f"{n:03}.png")
    return folder


def test_the_tag_of_one_image_is_found_first_and_strong(
    noise: Path, tmp_path: Path, tiny: TinyEncoder
) -> None:
    with pixseek.open(tmp_path / "l") as library:
        library.index(noise)
        for n, word in enumerate(("zebra", "Emma", "receipt", "Kyoto")):
            library.tag(noise / f"{17 * n:03}.png", add=[word])
        for n, word in enumerate(("zebra", "Emma", "receipt", "Kyoto")):
            for query in (word, word.lower(), f"{word} red", f'"{word}" "blue"'):
                best = library.search(query)[0]
                assert best.record.name == f"{17 * n:03}.png", query
                assert best.strength == "strong"
            assert [hit.record.name for hit in library.search(word, min_strength="strong")] == [
                f"{17 * n:03}.png"
            ]


def test_more_tags_never_make_an_image_harder_to_find(
    noise: Path, tmp_path: Path, tiny: TinyEncoder
) -> None:
    with pixseek.open(tmp_path / "l") as library:
        library.index(noise)
        library.tag(noise / "042.png", add=["zebra"], caption="a long text about something else")
        before = library.search("zebra")[0]
        library.tag(noise / "042.png", add=[f"other{n}" for n in range(30)])
        after = library.search("zebra")[0]
        assert before.record.name == after.record.name == "042.png"
        assert before.strength == after.strength == "strong"


@pytest.mark.parametrize("tagged", [10, 60, 150])
def test_images_tagged_with_the_word_are_likely_at_least(
    noise: Path, tmp_path: Path, tiny: TinyEncoder, tagged: int
) -> None:
    with pixseek.open(tmp_path / "l") as library:
        library.index(noise)
        own = {f"{n:03}.png" for n in range(tagged)}
        library.tag([noise / name for name in own], add=["holiday"])
        found = library.search("holiday", k=200)
        likely = {hit.record.name for hit in found if hit.strength != "weak"}
        assert own <= likely and len(likely) <= tagged + 3
        assert found.likely == len(likely)
        assert {h.record.name for h in library.search("holiday", k=200, sort="name")} == likely


def test_a_minus_removes_every_image_whose_texts_hold_the_word(
    noise: Path, tmp_path: Path, tiny: TinyEncoder
) -> None:
    with pixseek.open(tmp_path / "l") as library:
        library.index(noise)
        library.tag(noise / "001.png", add=["zebra"])
        library.tag(noise / "002.png", add=["zebra"], caption="at the zoo, a long day in autumn")
        library.tag(noise / "003.png", add=["zebra", *(f"other{n}" for n in range(20))])
        left = [hit.record.name for hit in library.search("red -zebra", k=200)]
        assert not {"001.png", "002.png", "003.png"} & set(left)
        found = library.search("red -zebra", k=200)
        (gone,) = found.excluded
        assert gone.what == "zebra" and gone.count == 200 - len(found) >= 3
        back = library.search("red -zebra", k=200, show_excluded=True)
        assert len(back) == 200
        marked = {hit.record.name for hit in back if hit.excluded_by == "zebra"}
        assert marked == {hit.record.name for hit in back} - set(left)


def test_strength_falls_down_every_page(noise: Path, tmp_path: Path, tiny: TinyEncoder) -> None:
    with pixseek.open(tmp_path / "l") as library:
        library.index(noise)
        for n in range(0, 200, 9):
            library.tag(noise / f"{n:03}.png", add=["zebra"] if n % 2 else ["zebra", "grass"])
        for query in ("zebra", "zebra grass", '"red" "zebra"', "red blue", "zebra -grass"):
            whole = [hit.strength for hit in library.search(query, k=200)]
            places = [("strong", "likely", "weak").index(each) for each in whole]
            assert places == sorted(places), query
