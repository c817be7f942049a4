"""Which addresses a library may move to, and what is remembered of them."""

from __future__ import annotations

from pathlib import Path

import pytest

import pixseek
from pixseek.errors import ConfigError


def test_a_folder_is_the_same_from_everywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pixseek.open(tmp_path / "a.lib", model="demo") as library:
        library.migrate("./other")
        assert library.status().engine == str(tmp_path / "other")
        library.migrate("embedded:third")
        assert library.status().engine == f"embedded:{tmp_path / 'third'}"
        library.migrate(str(tmp_path / "a.lib" / "index"))
        assert library.status().engine == "embedded"
    with pixseek.open(tmp_path / "b.lib", model="demo", engine="fourth") as library:
        assert library.status().engine == str(tmp_path / "fourth")


@pytest.mark.parametrize("lone", ["postgresql", "elasticsearch+https", "nonsense", ""])
def test_a_lone_word_is_not_taken_for_a_folder(
    lone: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pixseek.open(tmp_path / "a.lib", model="demo") as library:
        with pytest.raises(ConfigError, match="address of an engine"):
            library.migrate(lone)
        assert library.status().engine == "embedded"
    made = {each.name for each in tmp_path.iterdir()}
    assert lone not in made
