"""The reasons of a hit: which texts hold words of the query."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import pixseek

from tiny_encoder import TinyEncoder, draw


@pytest.fixture
def library(tmp_path: Path, tiny: TinyEncoder) -> Iterator[pixseek.Library]:
    """A library of three images; the second one has a caption, tags and a city."""
    del tiny
    for n in range(3):
        draw(tmp_path / "Rome" / f"IMG_{n}.png", "red", seed=n)
    with pixseek.open(tmp_path / "a.lib", model="demo") as opened:
        opened.index(tmp_path / "Rome")
        yield opened


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("dogs", "caption: dogs"), ("a dog, running", "caption: dog, running"),
        ("sand zebra", "tags: sand"), ("고양이가", "caption: 고양이가"), ("雪山", "caption: 雪山"),
        ("🐕", "caption: 🐕"), ("IMG_1.png", "name: img_1.png"), ("rome", "folder: rome"),
        ("acme", "user.client: acme"), ("개", "caption: 개"),
    ],
)  # fmt: skip
def test_the_text_that_holds_the_words_is_named(
    library: pixseek.Library, query: str, said: str
) -> None:
    (image,) = (hit for hit in library.search("name:IMG_1.png"))
    caption = "two dogs run 🐕 고양이 개는 雪山上的狗"
    library.tag(image.id, add="sand", caption=caption, fields={"client": "ACME"})
    (found,) = (hit for hit in library.search(query) if hit.id == image.id)
    (written,) = (reason for reason in found.why if reason.kind == "words")
    assert written.what == said


def test_each_word_is_named_where_it_is_written_first(tmp_path: Path, tiny: TinyEncoder) -> None:
    del tiny
    file = draw(tmp_path / "Photos" / "red.png", "red")
    draw(tmp_path / "Photos" / "blue.png", "blue")
    with pixseek.open(tmp_path / "lib") as library:
        library.index(tmp_path / "Photos")
        library.tag(file, add=["zebra", "dog"], caption="A dog on the beach")
        hit = library.search("zebra dog beach")[0]
        assert hit.path == file
        written = [reason for reason in hit.why if reason.kind == "words"]
        assert [reason.what for reason in written] == ["caption: dog, beach", "tags: zebra"]
        assert {reason.score for reason in written} == {written[0].score}
        (other,) = (hit for hit in library.search("zebra dog beach") if hit.path != file)
        assert [reason.kind for reason in other.why] == ["text"]
