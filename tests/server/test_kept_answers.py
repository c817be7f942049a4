"""Answers are kept until something changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import pixseek
from pixseek.library import Library
from pixseek.server.kept_answers import KeptAnswers

from serving import id_of
from tiny_encoder import draw


@pytest.fixture
def searched(library: Library, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The queries that the library was asked."""
    asked: list[Any] = []
    search = Library.search_many

    def counted(self: Library, queries: Any, **options: Any) -> Any:
        asked.extend(queries)
        return search(self, queries, **options)

    monkeypatch.setattr(Library, "search_many", counted)
    return asked


def test_a_repeated_question_is_not_asked_again(client: Any, searched: list[Any]) -> None:
    first, second, other = (
        client.get("/api/search", params=given).json()
        for given in ({"q": "red"}, {"q": "red"}, {"q": "red", "k": 1})
    )
    assert first == second != other
    assert len(searched) == 2


def test_every_change_is_seen_at_once(
    client: Any, library: Library, photos: Path, tmp_path: Path, searched: list[Any]
) -> None:
    def hits() -> dict[str, list[str]]:
        found = client.get("/api/search", params={"q": "red"}).json()["hits"]
        return {hit["uri"].rpartition("/")[2]: hit["tags"] for hit in found}

    image = id_of(client, "red")
    assert hits()["red.png"] == []
    assert client.post("/api/tags", json={"ids": [image], "add": ["mine"]}).is_success
    assert hits()["red.png"] == ["mine"]
    with pixseek.open(library.path) as other:  # as another process would
        other.tag([image], remove=["mine"])
        assert hits()["red.png"] == []
        draw(photos / "new.png", "red", 9)
        other.index(photos)
        assert "new.png" in hits()
        other.remove(photos / "new.png")
        assert "new.png" not in hits()
    assert client.delete(f"/api/images/{image}").json() == {"removed": 1}
    assert "red.png" not in hits()
    before = len(searched)
    hits()
    assert len(searched) == before


def test_examples_are_asked_each_time(client: Any, photos: Path, searched: list[Any]) -> None:
    sent = {"image": ("x.png", (photos / "in" / "red.png").read_bytes(), "image/png")}
    for _ in range(2):
        assert client.post("/api/search", files=sent).is_success
    assert len(searched) == 2


def test_the_oldest_answers_make_room() -> None:
    kept = KeptAnswers()
    for n in range(40):
        kept.keep(n, bytes(1 << 20))
    assert [kept.get(n) is None for n in (0, 7, 8, 39)] == [True, True, False, False]
    kept.keep(8, b"")
    assert kept.get(8) == b""
