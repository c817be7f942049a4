from __future__ import annotations

from pathlib import Path

import pytest

from pixseek.encoders.hub.consent import Consents, code_digest
from pixseek.errors import ModelError


def test_a_consent_is_for_one_thing_and_is_kept(tmp_path: Path) -> None:
    consents = Consents(tmp_path / "models")
    assert not consents.given("code", "a")
    consents.give("code", "a")
    consents.give("licence", "b")
    again = Consents(tmp_path / "models")
    assert again.given("code", "a") and again.given("licence", "b")
    assert not again.given("licence", "a") and not again.given("code", "b")


@pytest.mark.parametrize("content", ["{", "[]", '{"code": 3}', "\x00"])
def test_a_broken_file_gives_no_consent(tmp_path: Path, content: str) -> None:
    (tmp_path / "consents.json").write_text(content)
    assert not Consents(tmp_path).given("code", "a")
    Consents(tmp_path).give("code", "a")
    assert Consents(tmp_path).given("code", "a")


def test_the_digest_of_code_depends_on_names_and_contents(tmp_path: Path) -> None:
    a, b = tmp_path / "a.py", tmp_path / "b.py"
    a.write_text("1")
    b.write_text("2")
    first = code_digest([a, b])
    assert first == code_digest([b, a]) and first != code_digest([a])
    b.write_text("3")
    assert code_digest([a, b]) != first
    b.unlink()
    with pytest.raises(ModelError, match=r"b\.py"):
        code_digest([a, b])


def test_a_consent_that_cannot_be_saved_raises_model_error(tmp_path: Path) -> None:
    (tmp_path / "models").write_text("a file")
    with pytest.raises(ModelError, match="could not be saved"):
        Consents(tmp_path / "models").give("code", "a")
