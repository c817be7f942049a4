"""Application packages for Vespa, for the models of a library."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pixseek.errors import ModelError
from pixseek.library import Library, vespa
from pixseek.types import Space

from tiny_encoder import TinyEncoder, draw


def _slots(package: vespa.Package) -> list[tuple[str, str, int]]:
    models = json.loads((package.folder / "pixseek.json").read_bytes())["models"]
    return [(each["name"], each["slot"], each["dim"]) for each in models]


def test_each_space_of_a_library_has_a_slot_the_active_one_first(
    tmp_path: Path, tiny: TinyEncoder
) -> None:
    draw(tmp_path / "photos" / "a.png", "red")
    with Library.open(tmp_path / "photos.lib") as library:
        library.index(tmp_path / "photos")
        engine = library.opened.engine
        # The same model in another precision, say: a name that is taken, and another length.
        engine.add_space(Space("e" * 64, 20, tiny.name))
        engine.add_space(Space("d" * 64, 8, "Other Model"))
        package = vespa.write(tmp_path / "app", library.config, library=library, name="images")
    assert _slots(package)[0] == ("tiny", "tiny", 48)
    assert sorted(_slots(package)[1:]) == [
        ("Other Model", "other_model", 8),
        ("tiny", "tiny_2", 20),
    ]
    text = (package.folder / "schemas" / "images.sd").read_text()
    assert "tensor<bfloat16>(part{},x[20])" in text


def test_a_library_without_images_gets_the_model_that_it_will_use(tmp_path: Path) -> None:
    with Library.open(tmp_path / "new.lib", "clip-l14-openai") as library:
        package = vespa.write(tmp_path / "app", library.config, library=library, name="images")
    assert _slots(package) == [("clip-l14-openai", "clip_l14_openai", 768)]


def test_a_model_whose_dimensions_are_unknown_is_to_be_downloaded_first(tmp_path: Path) -> None:
    with (
        Library.open(tmp_path / "new.lib", "somebody/a-model-on-the-hub") as library,
        pytest.raises(ModelError) as caught,
    ):
        vespa.write(tmp_path / "app", library.config, library=library, name="images")
    assert "pixseek models download somebody/a-model-on-the-hub" in caught.value.advice
    assert not (tmp_path / "app").exists()
