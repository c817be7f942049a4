"""The reasons of a hit: each word is named where it is written."""

from __future__ import annotations

from pathlib import Path

import pixseek

from tiny_encoder import TinyEncoder, draw


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
