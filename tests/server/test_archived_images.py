"""Members of archives over HTTP: records, pictures and originals."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest
from PIL import Image

import pixseek
from pixseek.library import Library

from serving import Serve, id_of
from tiny_encoder import TinyEncoder, draw


@pytest.fixture
def library(tmp_path: Path, tiny: TinyEncoder) -> Library:
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as file:
        for n, colour in enumerate(("red", "green")):
            draw(tmp_path / "drawn" / f"{colour}.png", colour, n)
            file.write(tmp_path / "drawn" / f"{colour}.png", f"in/{colour}.png")
    opened = pixseek.open(tmp_path / "lib")
    opened.index(tmp_path / "photos.zip")
    return opened


def test_members_are_shown_and_sent_as_files_are(serve: Serve, tmp_path: Path) -> None:
    client = serve()
    content = (tmp_path / "drawn" / "red.png").read_bytes()
    image = id_of(client, "red")
    record = client.get(f"/api/images/{image}").json()
    assert (record["uri"], record["path"], record["is_there"]) == ("photos/in/red.png", None, True)
    for size in (None, 192, 1600):
        answer = client.get(f"/api/images/{image}/preview", params={"size": size} if size else {})
        assert Image.open(io.BytesIO(answer.content)).format == "JPEG"
    there = f"/api/images/{image}/original"
    whole = client.get(there)
    assert (whole.content, whole.headers["content-type"]) == (content, "image/png")
    part = client.get(there, headers={"Range": "bytes=4-9"})
    assert (part.status_code, part.content) == (206, content[4:10])
    same = {"If-None-Match": whole.headers["etag"]}
    assert client.get(there, headers=same).status_code == 304
    exported = client.post("/api/export", json={"ids": [image], "format": "paths"})
    assert exported.text == "photos/in/red.png\n"


def test_members_of_an_archive_that_is_away_have_their_previews(
    serve: Serve, tmp_path: Path
) -> None:
    client = serve()
    image = id_of(client, "red")
    (tmp_path / "photos.zip").rename(tmp_path / "away.zip")
    assert client.get(f"/api/images/{image}").json()["is_there"] is False
    assert client.get(f"/api/images/{image}/original").status_code == 404
    assert client.get(f"/api/images/{image}/preview", params={"size": 1600}).status_code == 200
