"""`index --reread`: metadata of unchanged files are read again, and nothing is embedded."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pixseek
from pixseek.types import Record, Report

from tiny_encoder import TinyEncoder, draw


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    for number, colour in enumerate(["red", "green", "blue"]):
        draw(tmp_path / "pictures" / f"{colour}.png", colour, number)
    (tmp_path / "pictures" / "red.json").write_text('{"caption": "a wall", "tags": ["barn"]}')
    return tmp_path / "pictures"


@pytest.fixture
def library(tmp_path: Path, pictures: Path, tiny: TinyEncoder) -> Iterator[pixseek.Library]:
    with pixseek.open(tmp_path / "photos.lib") as opened:
        opened.index(pictures)
        yield opened


def counts(report: Report) -> dict[str, int]:
    names = ("added", "updated", "moved", "removed", "unchanged", "reused", "known_failures")
    values = {name: getattr(report, name) for name in names}
    values["failures"] = len(report.failures)
    return {name: value for name, value in values.items() if value}


def vectors(library: pixseek.Library) -> dict[str, Any]:
    return {
        record.uri: row.tobytes()
        for records, rows in library.opened.engine.export()
        for record, row in zip(records, rows, strict=True)
    }


def as_an_older_version_left(record: Record) -> Record:
    fields = {k: v for k, v in record.fields.items() if k.startswith("user.")}
    return replace(record, caption="", tags=(), taken_at=None, fields=fields)


def test_what_older_versions_left_empty_is_filled_and_nothing_is_embedded(
    library: pixseek.Library, pictures: Path, tiny: TinyEncoder
) -> None:
    before, rows = library.find(pictures / "red.png"), vectors(library)
    previews = [library.preview(record) for record in library.records()]
    size = sum(path.stat().st_size for path in library.path.rglob("*.f16"))
    assert counts(library.index(pictures, reread=True)) == {"unchanged": 3}

    library.opened.engine.describe([as_an_older_version_left(before)])
    library.tag([before.id], add=["mine"], rating=5)
    assert library.find(pictures / "red.png").caption == ""
    assert counts(library.index(pictures)) == {"unchanged": 3}
    assert counts(library.index(reread=True)) == {"updated": 1, "unchanged": 2}

    after = library.find(pictures / "red.png")
    assert (after.caption, set(after.tags)) == ("a wall", {"barn", "mine"})
    assert after.fields["rating"] == 5
    assert {k: v for k, v in after.fields.items() if k in before.fields} == before.fields
    assert tiny.embedded == 3
    assert vectors(library) == rows
    assert [library.preview(record) for record in library.records()] == previews
    assert sum(path.stat().st_size for path in library.path.rglob("*.f16")) == size
    assert [hit.path for hit in library.search("tag:barn")] == [pictures / "red.png"]


def test_what_follows_from_the_content_is_filled_and_replaced(
    library: pixseek.Library, pictures: Path, tiny: TinyEncoder
) -> None:
    engine = library.opened.engine
    now = [library.find(pictures / f"{name}.png") for name in ("red", "green", "blue")]
    rows = [engine.vectors([record.id])[0] for record in now]
    old = [replace(now[0], pixels="", perceptual_hash=""), replace(now[1], pixels="ab" * 32)]
    stored = [row for row in rows[:2] if row is not None]
    engine.put(old, np.concatenate(stored))
    report = library.index(reread=True)
    assert report.failures == ()
    assert report.updated + report.unchanged == 3
    if now[0].pixels:
        assert counts(report) == {"updated": 2, "unchanged": 1}
        assert [library.find(pictures / f"{n}.png") for n in ("red", "green", "blue")] == now
    assert tiny.embedded == 3


def test_changed_new_and_moved_files_are_treated_as_ever(
    library: pixseek.Library, pictures: Path, tiny: TinyEncoder
) -> None:
    draw(pictures / "new.png", "red", 50)
    draw(pictures / "blue.png", "green", 51)
    (pictures / "green.png").rename(pictures / "meadow.png")
    report = library.index(reread=True)
    assert counts(report) == {"added": 1, "updated": 1, "moved": 1, "reused": 1, "unchanged": 1}
    assert tiny.embedded == 5


def test_content_that_changed_behind_an_unchanged_stamp_is_embedded(
    library: pixseek.Library, pictures: Path, tiny: TinyEncoder
) -> None:
    path = pictures / "green.png"
    before, content = path.stat(), path.read_bytes()
    draw(path, "blue", 60)
    other = path.read_bytes().ljust(before.st_size, b"\0")
    if len(other) > before.st_size:
        pytest.skip("this picture is larger")
    path.write_bytes(other)
    os.utime(path, ns=(before.st_mtime_ns, before.st_mtime_ns))
    assert counts(library.index()) == {"unchanged": 3}
    assert counts(library.index(reread=True)) == {"updated": 1, "unchanged": 2}
    assert tiny.embedded == 4
    assert content != other


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\nbroken"])
def test_a_file_that_can_not_be_read_again_keeps_its_record(
    library: pixseek.Library, pictures: Path, content: bytes
) -> None:
    path = pictures / "green.png"
    before = path.stat()
    library.tag([library.find(path).id], add=["mine"])
    path.write_bytes(content.ljust(before.st_size, b"\0"))
    os.utime(path, ns=(before.st_mtime_ns, before.st_mtime_ns))
    assert counts(library.index(reread=True)) == {"unchanged": 2, "failures": 1}
    assert "mine" in library.find(path).tags
    assert counts(library.index()) == {"unchanged": 3}
    assert not library.failures()


def test_a_missing_preview_is_made(library: pixseek.Library, pictures: Path) -> None:
    record = library.find(pictures / "red.png")
    kept = library.preview(record)
    library.opened.previews.delete([record.digest])
    assert library.preview(record) is None
    assert counts(library.index(reread=True)) == {"unchanged": 3}
    assert library.preview(record) == kept
