"""The page of copies: what is the same, what differs, and tags for all but the best."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from pixseek.library import Library

from serving import Serve, id_of


def test_copies_are_shown_and_tagged(
    serve: Serve, client: Any, library: Library, photos: Path
) -> None:
    (photos / "<i>copies").mkdir()
    shutil.copy(photos / "in" / "red.png", photos / "<i>copies" / "again.png")
    library.index(photos)
    red, again, blue = (id_of(client, name) for name in ("red", "again", "blue"))
    page = client.get("/copies").text
    assert "The same file" in page and "again.png" in page and "blue.png" not in page
    assert "<i>copies" not in page and "&lt;i&gt;copies" in page
    assert "again.png" in client.post("/copies", data={"ids": f"{red},{blue}"}).text
    assert "None of these images" in client.post("/copies", data={"ids": blue}).text
    reader = serve(read_only=True)
    assert "method=post" not in reader.get("/copies").text
    assert reader.post("/copies", data={"tag": again}).status_code == 403
    done = client.post("/copies", data={"tag": f"{again},gone"}, follow_redirects=False)
    assert (done.status_code, done.headers["location"]) == (303, "/?q=tag%3A%22duplicate%22")
    tagged = library.get(again)
    assert tagged is not None and tagged.tags == ("duplicate",)


def test_a_form_gets_the_list_of_images_as_a_file(client: Any, photos: Path) -> None:
    ids = ",".join(id_of(client, name) for name in ("white", "red"))
    answer = client.post("/export", data={"ids": ids, "format": "paths"})
    assert answer.text.splitlines() == [
        str(photos / "in" / f"{name}.png") for name in ("white", "red")
    ]
    assert "attachment" in answer.headers["content-disposition"]
    wrong = client.post("/export", data={"ids": ids, "format": "xls"})
    assert wrong.status_code == 422


def test_images_are_compared_once_until_the_library_changes(
    client: Any, library: Library, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared = []
    find = Library.duplicates

    def counted(self: Library, *given: Any, **more: Any) -> Any:
        compared.append(given)
        return find(self, *given, **more)

    monkeypatch.setattr(Library, "duplicates", counted)
    red = id_of(client, "red")
    for ask in (
        lambda: client.get("/copies"),
        lambda: client.post("/copies", data={"ids": red}),
        lambda: client.get("/api/duplicates"),
    ):
        assert ask().status_code == 200
    assert len(compared) == 1
    assert client.get("/api/duplicates?exact=true").json() == []
    assert len(compared) == 2
    shutil.copy(photos / "in" / "red.png", photos / "again.png")
    library.index(photos)
    assert "again.png" in client.get("/copies").text
    assert "again.png" in client.post("/copies", data={"ids": red}).text
    assert len(compared) == 3
