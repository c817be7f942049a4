"""Folders that a client may have indexed: those that are allowed, for those who may write."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from pixseek.errors import PixseekError, QueryError
from pixseek.library import Library
from pixseek.server.folders import indexable
from pixseek.server.problems import Refused
from pixseek.server.settings import Settings

from serving import Serve
from tiny_encoder import draw


@pytest.fixture
def places(tmp_path: Path) -> Path:
    for name in ("home/Pictures/2024", "home/.private/photos", "home/Pictures/.cache", "other"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "home" / "note.txt").write_text("x")
    return tmp_path


@pytest.mark.parametrize(
    ("named", "answer"),
    [
        ("home", "home"),
        ("home/Pictures", "home/Pictures"),
        ("home/Pictures/../Pictures/2024/", "home/Pictures/2024"),
        (" home/Pictures ", "home/Pictures"),
        ("home/Pictures/2025", QueryError),
        ("home/note.txt", QueryError),
        ("home/.private/photos", Refused),
        ("home/Pictures/.cache", Refused),
        ("other", Refused),
        ("home/../other", Refused),
        ("other/missing", Refused),
        ("homes", Refused),
        ("", Refused),
    ],
)
def test_what_is_allowed_and_below_may_be_indexed(
    places: Path, named: str, answer: str | type[Exception]
) -> None:
    stripped = named.strip()
    wanted = named.replace(stripped, f"{places}/{stripped}") if stripped else str(places)
    if isinstance(answer, str):
        assert indexable(wanted, [places / "home"]) == (places / answer).resolve()
    else:
        with pytest.raises(answer):
            indexable(wanted, [places / "home"])


@pytest.mark.parametrize("named", ["Pictures", "./Pictures", "..", "", "a\0b", "file:///home"])
def test_only_whole_paths_name_folders(places: Path, named: str) -> None:
    with pytest.raises(QueryError, match="whole path"):
        indexable(named, [places / "home"])


def test_addresses_are_indexed_by_command_only(places: Path) -> None:
    with pytest.raises(QueryError, match="by command only"):
        indexable("s3://bucket/photos", [places / "home"])


@pytest.mark.skipif(not hasattr(os, "symlink"), reason="no links here")
def test_links_are_resolved_first(places: Path) -> None:
    (places / "home" / "out").symlink_to(places / "other")
    (places / "other" / "in").symlink_to(places / "home" / "Pictures")
    (places / "home" / "ring").symlink_to(places / "home" / "ring")
    with pytest.raises(Refused):
        indexable(f"{places}/home/out", [places / "home"])
    with pytest.raises((PixseekError, Refused)):
        indexable(f"{places}/home/ring", [places / "home"])
    wanted = (places / "home" / "Pictures").resolve()
    assert indexable(f"{places}/other/in", [places / "home"]) == wanted


def ended(client: Any, job: str) -> Any:
    while True:  # a busy machine takes its time
        state = client.get(f"/api/jobs/{job}").json()
        if state["ended_at"]:
            return state
        time.sleep(0.02)


def test_a_folder_is_added_by_its_path(serve: Serve, library: Library, tmp_path: Path) -> None:
    draw(tmp_path / "more" / "black.png", "black", 9)
    client = serve(Settings(folders=(tmp_path / "more",)))
    assert client.get("/api/status").json()["folders"] == [str(tmp_path / "more")]
    began = client.post("/api/jobs", json={"folder": str(tmp_path / "more")})
    assert began.status_code == 202
    assert ended(client, began.json()["id"])["report"]["added"] == 1
    assert len(library) == 5


def test_a_root_may_be_indexed_and_others_not(
    serve: Serve, library: Library, photos: Path, tmp_path: Path
) -> None:
    client = serve()
    draw(photos / "in" / "black.png", "black", 9)
    began = client.post("/api/jobs", json={"folder": str(photos)})
    assert ended(client, began.json()["id"])["report"]["added"] == 1
    (tmp_path / "more").mkdir()
    refused = client.post("/api/jobs", json={"folder": str(tmp_path / "more")})
    assert (refused.status_code, refused.json()["type"]) == (403, "urn:pixseek:problem:folder")


def test_readers_add_no_folder_and_learn_none(serve: Serve, photos: Path) -> None:
    client = serve(Settings(folders=(photos.parent,)), read_only=True)
    assert client.post("/api/jobs", json={"folder": str(photos)}).status_code == 403
    assert not {"folders", "engine", "disk"} & client.get("/api/status").json().keys()


def test_where_a_file_is_is_told_to_those_who_may_write(
    serve: Serve, client: Any, photos: Path
) -> None:
    (hit,) = client.get("/api/search", params={"q": "name:red"}).json()["hits"]
    there = f"/api/images/{hit['id']}"
    found = client.get(there).json()
    assert (found["path"], found["is_there"]) == (str(photos / "in" / "red.png"), True)
    assert not {"path", "is_there"} & set(serve(read_only=True).get(there).json())
    (photos / "in" / "red.png").unlink()
    assert client.get(there).json()["is_there"] is False
