"""Watched folders: whatever changes in them is in the library soon, and nothing is embedded twice.

Tests wait for states; how long that takes is measured in docs/how-to/watch.md.
"""

from __future__ import annotations

import os
import shutil
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

import pixseek
from photo_exports import export
from pixseek.errors import EngineError, SourceError
from pixseek.indexing.lock import WATCHER, is_watched
from pixseek.indexing.lock import watching as watched
from pixseek.sources.watching import Quiet
from pixseek.types import Report, WatchEvent

from tiny_encoder import TinyEncoder, draw


class Watching:
    """A library in which a thread watches."""

    def __init__(self, library: pixseek.Library) -> None:
        self.library = library
        self.events: list[WatchEvent] = []
        self.stop = threading.Event()
        self.error: BaseException | None = None

    def run(self, *folders: Path, poll: bool | None = None) -> None:
        try:
            for event in self.library.watch(*folders, poll=poll, poll_s=0.1, stop=self.stop):
                self.events.append(event)
        except BaseException as error:
            self.error = error

    def uris(self) -> set[str]:
        records = self.library.opened.engine.select(
            None, order="uri", descending=False, k=1000, offset=0
        )
        return {record.uri for record in records}

    def said(self, kind: str) -> list[WatchEvent]:
        return [event for event in self.events if event.kind == kind]

    def reports(self) -> list[Report]:
        return [event.report for event in self.events if event.report is not None]

    def until(self, holds: Callable[[], bool]) -> None:
        ends = time.monotonic() + 90
        while not holds():
            assert self.error is None, self.error
            assert time.monotonic() < ends, (self.events, self.uris())
            time.sleep(0.02)

    def until_it_holds(self, *uris: str) -> None:
        self.until(lambda: self.uris() == set(uris))


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let files come to rest sooner than for users: nothing here is written for long."""
    monkeypatch.setattr("pixseek.library.watching.Quiet", lambda: Quiet(0.15))
    monkeypatch.setattr("pixseek.library.watching.QUIET_POLLED_S", 0.15)
    monkeypatch.setattr("pixseek.library.watching._LOOK_S", 0.15)


@pytest.fixture
def library(tmp_path: Path, tiny: TinyEncoder) -> Iterator[pixseek.Library]:
    del tiny
    with pixseek.open(tmp_path / "a.lib") as opened:
        yield opened


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "p"
    folder.mkdir()
    return folder


@contextmanager
def watching(
    library: pixseek.Library, *folders: Path, poll: bool | None = None
) -> Iterator[Watching]:
    watch = Watching(library)
    thread = threading.Thread(target=watch.run, args=folders, kwargs={"poll": poll})
    thread.start()
    try:
        watch.until(lambda: bool(watch.said("watching")))
        yield watch
    finally:
        watch.stop.set()
        thread.join()
    assert watch.error is None
    assert not is_watched(library.opened.folder)


@pytest.mark.parametrize("poll", [None, True], ids=["events", "polling"])
def test_what_comes_changes_moves_and_goes_is_seen(
    library: pixseek.Library, photos: Path, tiny: TinyEncoder, poll: bool | None
) -> None:
    with watching(library, photos, poll=poll) as watch:
        assert watch.said("watching")[0].polled == ((photos,) if poll else ())
        draw(photos / "red.png", "red")
        watch.until_it_holds("p/red.png")
        draw(photos / "a" / "b" / "green.png", "green")
        (photos / "a" / "notes.doc").write_text("no image")
        watch.until_it_holds("p/red.png", "p/a/b/green.png")
        draw(photos / "red.png", "blue", seed=7)
        # A look compares times by the second, so that users' files have to rest for longer.
        later = time.time() + 2
        os.utime(photos / "red.png", (later, later))
        watch.until(lambda: any(report.updated for report in watch.reports()))
        embedded = tiny.embedded
        (photos / "a").rename(photos / "c")
        watch.until_it_holds("p/red.png", "p/c/b/green.png")
        (photos / "red.png").rename(photos / "c" / "blue.png")
        watch.until_it_holds("p/c/blue.png", "p/c/b/green.png")
        assert tiny.embedded == embedded
        (photos / "c" / "blue.png").unlink()
        watch.until_it_holds("p/c/b/green.png")
        assert [hit.record.uri for hit in library.search("green")] == ["p/c/b/green.png"]
        assert not watch.said("failed")


def test_a_large_move_embeds_nothing(
    library: pixseek.Library, photos: Path, tiny: TinyEncoder, tmp_path: Path
) -> None:
    for n in range(40):
        draw(photos / "in" / f"{n % 4}" / f"{n}.png", "red", seed=n)
    other = tmp_path / "q"
    other.mkdir()
    with watching(library, photos, other) as watch:
        embedded = tiny.embedded
        (photos / "in").rename(other / "out")  # from one root to another
        watch.until_it_holds(*(f"q/out/{n % 4}/{n}.png" for n in range(40)))
        shutil.copytree(other / "out", photos / "copy")  # as a move between drives begins
        shutil.rmtree(other / "out")
        watch.until_it_holds(*(f"p/copy/{n % 4}/{n}.png" for n in range(40)))
        assert tiny.embedded == embedded


def test_what_changed_while_nobody_watched_is_seen_at_the_start(
    library: pixseek.Library, photos: Path, tiny: TinyEncoder
) -> None:
    for name in ("a", "b"):
        draw(photos / f"{name}.png", "red", seed=ord(name))
    with watching(library, photos) as watch:
        assert watch.uris() == {"p/a.png", "p/b.png"}
        assert [event.kind for event in watch.events] == ["indexed", "watching"]
    (photos / "a.png").unlink()
    (photos / "b.png").rename(photos / "c.png")
    draw(photos / "d.png", "blue")
    embedded = tiny.embedded
    with watching(library) as watch:  # all of the library
        assert watch.uris() == {"p/c.png", "p/d.png"}
        assert tiny.embedded == embedded + 1


def test_nothing_is_said_while_nothing_changes_in_the_library(
    library: pixseek.Library, photos: Path
) -> None:
    draw(photos / "a.png")
    (photos / ".pixseekignore").write_text("skip/\n")
    with watching(library, photos) as watch:
        draw(photos / "skip" / "b.png", "blue")
        draw(photos / ".hidden" / "c.png", "blue")
        (photos / "notes.txt").write_text("no image")
        (photos / "a.png").touch()
        (photos / "table.csv").write_text("a,b\n")
        draw(photos / "z.png", "green")  # comes last
        watch.until_it_holds("p/a.png", "p/z.png")
        watch.until(lambda: sum(report.added for report in watch.reports()) == 2)
        assert {event.kind for event in watch.events} == {"indexed", "watching"}


def test_sidecars_and_ignore_files_count(library: pixseek.Library, photos: Path) -> None:
    draw(photos / "a.png")
    draw(photos / "x" / "b.png", "blue")
    with watching(library, photos) as watch:
        (photos / "a.txt").write_text("a lake at dawn")
        watch.until(lambda: any(report.updated for report in watch.reports()))
        [hit] = library.search('caption:"a lake at dawn"')
        assert hit.record.uri == "p/a.png"
        (photos / ".pixseekignore").write_text("x/\n")
        watch.until_it_holds("p/a.png")
        (photos / ".pixseekignore").unlink()
        watch.until_it_holds("p/a.png", "p/x/b.png")


@pytest.mark.slow
def test_what_a_photo_program_says_anew_is_seen(library: pixseek.Library, photos: Path) -> None:
    photo = {"uuid": "A1", "albums": ["Lake"]}
    export(photos / "2021", {"a.jpg": photo, "b.jpg": {"uuid": "B2", "albums": []}})

    def albums() -> set[object]:
        return {hit.record.fields.get("albums") for hit in library.search("name:*.jpg")}

    with watching(library, photos) as watch:
        assert albums() == {"Lake", None}
        export(photos / "2021", {"a.jpg": {**photo, "albums": ["Sea"]}, "b.jpg": {"uuid": "B2"}})
        watch.until(lambda: albums() == {"Sea", None})
    assert sum(report.added for report in watch.reports()) == 2


def test_a_library_within_the_watched_folder_is_not_watched(
    photos: Path, tiny: TinyEncoder
) -> None:
    del tiny
    with pixseek.open(photos / "lib") as library, watching(library, photos) as watch:
        draw(photos / "a.png")
        watch.until_it_holds("p/a.png")
        draw(library.opened.folder / "stray.png", "green")
        draw(photos / "b.png", "blue")
        watch.until_it_holds("p/a.png", "p/b.png")


def test_a_folder_that_goes_away_keeps_its_images_and_is_watched_again(
    library: pixseek.Library, photos: Path, tmp_path: Path
) -> None:
    draw(photos / "a.png")
    with watching(library, photos) as watch:
        photos.rename(tmp_path / "elsewhere")
        watch.until(lambda: bool(watch.said("gone")))
        photos.mkdir()  # as the place of a drive is without it
        watch.until(lambda: bool(watch.said("failed")))
        error = watch.said("failed")[0].error
        assert error is not None and "no images any more" in error.problem
        assert watch.uris() == {"p/a.png"}
        photos.rmdir()
        (tmp_path / "elsewhere").rename(photos)
        watch.until(lambda: len(watch.said("watching")) >= 2)
        draw(photos / "b.png", "blue")
        watch.until_it_holds("p/a.png", "p/b.png")


def test_a_broken_file_is_a_failure_and_a_repaired_one_an_image(
    library: pixseek.Library, photos: Path
) -> None:
    with watching(library, photos) as watch:
        draw(photos / "good.png", "blue")
        (photos / "bad.png").write_bytes(b"not yet")
        watch.until(lambda: any(report.failures for report in watch.reports()))
        watch.until_it_holds("p/good.png")
        draw(photos / "bad.png", "red")
        watch.until_it_holds("p/bad.png", "p/good.png")
        assert library.failures() == []


def test_a_watcher_and_other_runs_wait_for_each_other(
    library: pixseek.Library, photos: Path, tmp_path: Path
) -> None:
    draw(photos / "a.png")
    with watching(library, photos) as watch, pixseek.open(tmp_path / "a.lib") as other:
        with other.opened.writing():
            draw(photos / "b.png", "blue")
            # A run of somebody else waits as well, and can be stopped while it does.
            stop = threading.Event()
            threading.Timer(0.3, stop.set).start()
            with pytest.raises(pixseek.errors.LibraryLockedError):
                other.index(photos, stop=stop)
            assert watch.uris() == {"p/a.png"}
            draw(tmp_path / "q" / "c.png", "green")
            reports: list[Report] = []
            thread = threading.Thread(target=lambda: reports.append(library.index(tmp_path / "q")))
            thread.start()
        thread.join()
        assert reports[0].added == 1
        watch.until_it_holds("p/a.png", "p/b.png", "q/c.png")
        assert not watch.said("failed")


def test_a_run_that_fails_is_said_and_tried_again(
    library: pixseek.Library, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw(photos / "a.png")
    monkeypatch.setattr("pixseek.library.watching._RETRY_S", 0.1)
    with watching(library, photos) as watch:
        engine = library.opened.engine
        known, failed = engine.known, list[str]()

        def fail_once(prefix: str = "") -> object:
            if not failed:
                failed.append(prefix)
                raise EngineError("The server is away", "db", "Start it.")
            return known(prefix)

        monkeypatch.setattr(engine, "known", fail_once)
        draw(photos / "b.png", "blue")
        watch.until_it_holds("p/a.png", "p/b.png")
        [event] = watch.said("failed")
        assert event.error is not None
        assert event.error.problem == "The server is away"


def test_archives_and_tables_are_indexed_when_they_change(
    library: pixseek.Library, photos: Path, tiny: TinyEncoder
) -> None:
    for name in ("a", "b", "c"):
        draw(photos / "in" / f"{name}.png", "red", seed=ord(name))
    table, archive = photos / "goods.csv", photos / "old.zip"

    def write(*names: str) -> None:
        lines = ["image,caption", *(f"in/{name}.png,paint {name}" for name in names)]
        table.write_text("\n".join(lines))
        written = archive.with_suffix(".new")
        with zipfile.ZipFile(written, "w") as file:
            for name in names:
                file.write(photos / "in" / f"{name}.png", f"{name}.png")
        written.replace(archive)  # as programs save files

    write("a")
    with watching(library, table, archive) as watch:
        watch.until_it_holds("goods/in/a.png", "old/a.png")
        assert set(watch.said("watching")[0].folders) == {table, archive}
        write("a", "b")
        watch.until_it_holds("goods/in/a.png", "goods/in/b.png", "old/a.png", "old/b.png")
        archive.write_bytes(b"PK is not enough")
        watch.until(lambda: any(report.failures for report in watch.reports()))
        assert "old/b.png" in watch.uris()
        table.write_text('image,caption\nin/a.png,"never closed\n')
        watch.until(lambda: bool(watch.said("failed")))
        error = watch.said("failed")[0].error
        assert error is not None and error.subject == str(table)
        assert {"goods/in/a.png", "goods/in/b.png"} <= watch.uris()
        write("c")
        watch.until_it_holds("goods/in/c.png", "old/c.png")
    write("a", "c")
    with watching(library) as watch:  # all of the library, in which no folder is
        watch.until_it_holds("goods/in/a.png", "goods/in/c.png", "old/a.png", "old/c.png")
        assert set(watch.said("watching")[0].folders) == {table, archive}
        table.rename(photos / "elsewhere.csv")  # nothing of it is removed
        write_only = ["image,caption", "in/b.png,paint b"]
        (photos / "new.csv").write_text("\n".join(write_only))
        (photos / "new.csv").replace(table)
        watch.until_it_holds("goods/in/b.png", "old/a.png", "old/c.png")


def test_a_network_drive_is_polled_and_says_so(
    library: pixseek.Library, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pixseek.library.watching.gives_events", lambda folder: False)
    with watching(library, photos) as watch:
        assert watch.said("watching")[0].polled == (photos,)
        draw(photos / "a.png")
        watch.until_it_holds("p/a.png")
        (photos / "a.png").rename(photos / "b.png")
        watch.until_it_holds("p/b.png")


def test_a_status_says_who_watches_while_somebody_does(
    library: pixseek.Library, photos: Path, tmp_path: Path
) -> None:
    draw(photos / "a.png")
    with pixseek.open(tmp_path / "a.lib") as other:
        assert other.status().watched is None
        with watching(library, photos):
            found = other.status().watched
            assert found is not None
            assert found["pid"] == os.getpid()
            assert datetime.fromisoformat(found["since"]) <= datetime.now(UTC)
        assert other.status().watched is None
        # A watcher that was killed has left its note, and not its lock.
        other.opened.ledger.set(WATCHER, {"pid": 1, "host": "x", "since": "2026-01-01"})
        assert other.status().watched is None


def test_whoever_waits_for_a_run_is_told(
    library: pixseek.Library, photos: Path, tmp_path: Path
) -> None:
    draw(photos / "a.png")
    told: list[str] = []
    library.on_wait = told.append
    with watched(library.opened.folder).acquire(), pixseek.open(tmp_path / "a.lib") as other:
        with other.opened.writing():
            thread = threading.Thread(target=library.index, args=(photos,))
            thread.start()
            ends = time.monotonic() + 60
            while not any(told) and time.monotonic() < ends:
                time.sleep(0.02)
        thread.join()
    assert told[0].startswith("Waiting for another run of the library")
    assert told[1] == ""
    assert len(library) == 1


def test_wrong_folders_are_errors(library: pixseek.Library, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="archives and tables"):
        next(iter(library.watch(draw(tmp_path / "a.png"))))
    with pytest.raises(SourceError, match="no folder to watch"):
        next(iter(library.watch(tmp_path / "none")))
    with pytest.raises(SourceError, match="no folder to watch"):
        next(iter(library.watch()))
    with pytest.raises(SourceError, match="of this machine") as caught:
        next(iter(library.watch("s3://photos/2024")))
    assert "run: pixseek index s3://photos/2024" in caught.value.advice


@pytest.mark.slow
def test_videos_are_seen_and_a_clip_with_its_photo(library: pixseek.Library, photos: Path) -> None:
    pytest.importorskip("av", reason="av is not installed")
    from films import film

    short = (("red", 1.0), ("blue", 1.0))
    with watching(library, photos) as watch:
        film(photos / "a.mp4")
        watch.until_it_holds("p/a.mp4")
        draw(photos / "IMG_1.JPG", "green")
        watch.until_it_holds("p/a.mp4", "p/IMG_1.JPG")
        film(photos / "IMG_1.MOV", short)
        watch.until(lambda: any(len(each.parts) == 3 for each in library.records()
                                if each.name == "IMG_1.JPG"))  # fmt: skip
        watch.until_it_holds("p/a.mp4", "p/IMG_1.JPG")
        (photos / "IMG_1.JPG").unlink()
        watch.until_it_holds("p/a.mp4", "p/IMG_1.MOV")
        (photos / "a.mp4").unlink()
        watch.until_it_holds("p/IMG_1.MOV")
