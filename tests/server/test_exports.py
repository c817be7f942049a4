"""Lists of images as files: paths, tables, all that is known."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pytest

from pixseek.library import Library
from pixseek.server.settings import Limits, Settings

from serving import Serve, id_of


def rows(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"))))


def test_each_format_lists_the_images_in_order(client: Any, photos: Path) -> None:
    ids = [id_of(client, name) for name in ("white", "red", "blue")]
    asked = [ids[0], "gone", *ids[1:]]
    paths = client.post("/api/export", json={"ids": asked})
    assert paths.text.splitlines() == [
        str(photos / "in" / f"{name}.png") for name in ("white", "red", "blue")
    ]
    assert paths.headers["content-type"] == "text/plain; charset=utf-8"
    assert paths.headers["content-disposition"] == 'attachment; filename="pixseek.txt"'
    table = client.post("/api/export", json={"ids": asked, "format": "csv"})
    assert [each["id"] for each in rows(table.content)] == ids
    assert rows(table.content)[1]["uri"] == "photos/in/red.png"
    records = client.post("/api/export", json={"ids": asked, "format": "json"}).json()
    assert records == [
        {k: v for k, v in client.get(f"/api/images/{each}").json().items() if k != "is_there"}
        for each in ids
    ]


@pytest.mark.parametrize("form", ["paths", "csv", "json"])
def test_no_image_is_left(client: Any, form: str) -> None:
    answer = client.post("/api/export", json={"ids": ["gone"], "format": form})
    assert answer.status_code == 200
    left = {"paths": b"", "json": b"[]\n"}
    assert not rows(answer.content) if form == "csv" else answer.content == left[form]


def test_readers_get_places_in_the_library(serve: Serve, client: Any, tmp_path: Path) -> None:
    ids, reader = [id_of(client, "red")], serve(read_only=True)
    for form in ("paths", "csv", "json"):
        answer = reader.post("/api/export", json={"ids": ids, "format": form})
        assert str(tmp_path) not in answer.text and "photos/in/red.png" in answer.text
    assert (
        "path"
        not in rows(reader.post("/api/export", json={"ids": ids, "format": "csv"}).content)[0]
    )


@pytest.mark.parametrize(
    ("caption", "cell"),
    [
        ("=1+1", "'=1+1"), ("+1", "'+1"), ("-1", "'-1"), ("@a", "'@a"), ("a=1", "a=1"),
        ('a "b", c\nd', 'a "b", c\nd'), ("مرحبا", "مرحبا"),
    ],
)  # fmt: skip
def test_texts_are_no_formulas_and_keep_their_characters(
    client: Any, library: Library, caption: str, cell: str
) -> None:
    image = id_of(client, "red")
    library.tag([image], caption=caption, add=["a b", "c"], rating=4)
    (row,) = rows(client.post("/api/export", json={"ids": [image], "format": "csv"}).content)
    assert (row["caption"], row["tags"], row["rating"]) == (cell, "a b; c", "4")


@pytest.mark.parametrize("sent", [{"ids": []}, {"ids": ["a"], "format": "xls"}, {"ids": ["a"] * 4}])
def test_what_can_not_be_listed_is_refused(serve: Serve, sent: Any) -> None:
    client = serve(Settings(limits=Limits(most_layout=3)))
    assert client.post("/api/export", json=sent).status_code == 422
