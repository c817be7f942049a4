"""Tagging while the library is being indexed: neither loses the other's change."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pixseek
from pixseek.indexing import storing
from pixseek.types import Compare, Record, record_id

from tiny_encoder import TinyEncoder, draw

NAMES = [f"{colour}{n}.png" for colour in ("red", "green", "blue") for n in range(4)]

#: Runs some lines in a process of its own, on a library with a slow tiny encoder.
_OTHER = """
import sys
import pixseek, pixseek.encoders
from tiny_encoder import TinyEncoder

pixseek.encoders.load = lambda *_, **__: TinyEncoder(seconds_a_batch=float(sys.argv[3]))
with pixseek.open(sys.argv[1], threads=1) as library:
    exec(sys.argv[2])
"""


def elsewhere(
    library: Path, code: str, *arguments: Path | str, slow: float = 0
) -> subprocess.Popen[str]:
    """Start some lines on a library in another process."""
    command = [sys.executable, "-c", _OTHER, str(library), code, str(slow), *map(str, arguments)]
    tests = str(Path(__file__).parents[1])
    return subprocess.Popen(command, cwd=tests, text=True, stdout=subprocess.PIPE)


def finished(process: subprocess.Popen[str]) -> str:
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    return output


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    for number, name in enumerate(NAMES):
        draw(tmp_path / "pictures" / name, name[:-5], number)
    return tmp_path / "pictures"


@pytest.fixture
def library(tmp_path: Path, pictures: Path, tiny: TinyEncoder) -> Iterator[pixseek.Library]:
    with pixseek.open(tmp_path / "photos.lib") as opened:
        opened.index(pictures)
        yield opened


def record_of(library: pixseek.Library, name: str) -> Record:
    record = library.get(record_id(f"pictures/{name}"))
    assert record is not None
    return record


def change_all(pictures: Path) -> None:
    """Give every file other content and a caption."""
    for number, name in enumerate(NAMES):
        draw(pictures / name, "white", 100 + number)
        (pictures / f"{name}.txt").write_text(f"caption of {name}")


def check_all(library: pixseek.Library, tag: str) -> None:
    """Check that every record has what the run and what the user said."""
    for name in NAMES:
        record = record_of(library, name)
        assert record.caption == f"caption of {name}"
        assert tag in record.tags


# ------------------------------------------------------------------ while a run goes on


def test_tags_said_while_a_run_of_this_process_goes_on_are_kept(
    library: pixseek.Library, pictures: Path
) -> None:
    change_all(pictures)
    run = library.indexing()
    for progress in run:
        if progress.stage == "index" and progress.done == len(NAMES) // 2:
            break
    # Some are embedded and not stored, others are not read yet.
    assert library.tag([pictures / name for name in NAMES], add="said", rating=4) == len(NAMES)
    for _ in run:
        pass
    check_all(library, "said")
    assert len(library.search(where="rating:4", k=20)) == len(NAMES)


def test_tags_said_from_a_thread_while_another_indexes_are_kept(
    library: pixseek.Library, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change_all(pictures)
    running, errors = threading.Event(), []

    def index() -> None:
        try:
            library.index(on_progress=lambda progress: running.set())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=index)
    thread.start()
    assert running.wait(30)
    tags = []
    while thread.is_alive() or not tags:
        tags.append(f"t{len(tags)}")
        library.tag([pictures / name for name in NAMES], add=tags[-1])
    thread.join()
    assert errors == []
    for tag in tags:
        check_all(library, tag)


@pytest.mark.slow
def test_tags_said_while_another_process_indexes_are_kept(
    library: pixseek.Library, pictures: Path
) -> None:
    change_all(pictures)
    process = elsewhere(library.path, "library.index()", slow=0.5)
    while library.status().running is None:
        assert process.poll() is None
        time.sleep(0.02)
    tags = []
    while process.poll() is None:
        tags.append(f"t{len(tags)}")
        assert library.tag([pictures / name for name in NAMES], add=tags[-1]) == len(NAMES)
        time.sleep(0.02)
    finished(process)
    assert tags
    for tag in tags:
        check_all(library, tag)


def test_a_process_tags_while_this_one_indexes(library: pixseek.Library, pictures: Path) -> None:
    change_all(pictures)
    run = library.indexing()
    for progress in run:
        if progress.stage == "index" and progress.done >= 1:
            break
    code = "print(library.tag(sys.argv[4:], add='said'))"
    assert finished(elsewhere(library.path, code, *(pictures / n for n in NAMES))) == "12\n"
    for _ in run:
        pass
    check_all(library, "said")


# ------------------------------------------------------------------ at the worst moment


def between_read_and_write(
    library: pixseek.Library, monkeypatch: pytest.MonkeyPatch, then: Callable[[], Any]
) -> None:
    """Have something happen once, after tagging has read records and before it writes."""
    engine = type(library.opened.engine)
    describe = engine.describe
    waiting = [then]

    def late(self: Any, records: Sequence[Record], merge: Any = None) -> int:
        if waiting:
            waiting.pop()()
        return describe(self, records, merge)

    monkeypatch.setattr(engine, "describe", late)


def test_what_a_run_stores_while_tagging_writes_is_kept(
    library: pixseek.Library, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change_all(pictures)
    between_read_and_write(library, monkeypatch, library.index)
    library.tag([pictures / name for name in NAMES], add="said", remove="none")
    check_all(library, "said")


def test_what_somebody_else_says_while_tagging_writes_is_kept(
    library: pixseek.Library, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = pictures / "red0.png"
    between_read_and_write(library, monkeypatch, lambda: library.tag(path, add="b", rating=3))
    library.tag(path, add="a", caption="mine")
    record = record_of(library, "red0.png")
    assert set(record.tags) == {"a", "b"}
    assert (record.caption, record.fields["rating"]) == ("mine", 3)


def test_a_run_stores_what_was_said_since_it_read_the_record(
    library: pixseek.Library, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change_all(pictures)
    store = storing.Writes.store
    waiting = [True]

    def late(self: Any) -> None:
        if waiting and len(self):
            waiting.pop()
            library.tag([pictures / name for name in NAMES], add="said")
        store(self)

    monkeypatch.setattr(storing.Writes, "store", late)
    library.index()
    assert not waiting
    check_all(library, "said")


def test_tags_follow_content_that_moves_while_tagging_writes(
    library: pixseek.Library, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def move() -> None:
        (pictures / "red0.png").rename(pictures / "moved.png")
        assert library.index().moved == 1

    between_read_and_write(library, monkeypatch, move)
    assert library.tag(pictures / "red0.png", add="said") == 1
    assert record_of(library, "moved.png").tags == ("said",)


def test_sidecars_keep_what_a_run_stores_meanwhile(
    library: pixseek.Library, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (pictures / "red0.png.json").write_text('{"author": "somebody"}')
    between_read_and_write(library, monkeypatch, library.index)
    library.tag(pictures / "red0.png", add="said", write_xmp=True)
    record = record_of(library, "red0.png")
    assert "said" in record.tags
    assert record.fields.get("artist") == "somebody"
    library.index()
    assert "said" in record_of(library, "red0.png").tags


def test_processes_that_tag_the_same_image_keep_all_tags(
    library: pixseek.Library, pictures: Path
) -> None:
    code = "for n in range(25):\n    assert library.tag(sys.argv[4], add=f'{sys.argv[5]}{n}') == 1"
    path = pictures / "red0.png"
    processes = [elsewhere(library.path, code, path, name) for name in "ab"]
    for n in range(25):
        library.tag(path, add=f"c{n}")
    for process in processes:
        finished(process)
    tags = set(record_of(library, "red0.png").tags)
    assert tags == {f"{name}{n}" for name in "abc" for n in range(25)}


# ------------------------------------------------------------------ labels of models


def test_labels_are_not_given_to_content_that_nobody_looked_at(
    library: pixseek.Library, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def replaced() -> None:
        draw(pictures / "red0.png", "blue", 200)
        library.index()

    between_read_and_write(library, monkeypatch, replaced)
    counts = library.tag_zero_shot(["red"], min_strength="weak")
    assert counts["red"] >= 4
    assert "user.labelled" not in record_of(library, "red0.png").fields
    assert record_of(library, "red0.png").tags == ()
    again = library.tag_zero_shot(["red"], min_strength="weak")
    assert again[""] == 1, "only the new content is looked at"


class Reds:
    """A classifier that sees red in everything; `then` happens while it looks."""

    fingerprint, labels, batch_size, input_side = "f", ("red",), 32, 4

    def __init__(self, then: Callable[[], Any]) -> None:
        self.waiting = [then]

    def prepare(self, _: Any) -> np.ndarray:
        return np.zeros(1, np.float32)

    def probabilities(self, rows: np.ndarray) -> np.ndarray:
        if self.waiting:
            self.waiting.pop()()
        return np.ones((len(rows), 1))


def test_a_classifier_labels_while_a_run_replaces_content(
    library: pixseek.Library, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def replaced() -> None:
        draw(pictures / "red0.png", "blue", 200)
        library.index()

    monkeypatch.setattr("pixseek.encoders.classifiers.load", lambda *_, **__: Reds(replaced))
    library.tag_from()
    tagged = library.search(where=Compare("tags", "contains", "red"), k=20)
    first = {hit.record.name for hit in tagged}
    assert len(first) == len(NAMES) - 1
    (missing,) = {*NAMES} - first
    assert missing == "red0.png"
