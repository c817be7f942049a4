"""What a user said is never lost: files in two folders and on a drive, moved and changed at will.

A file can be told from others by its place or by its pixels. So between two runs that see a file it
is either moved or painted anew, and not both; everything else may happen in any order. When all
files are back, each has what was said of it. Copies can't be told apart, so of those some have it.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from PIL import Image
from PIL.PngImagePlugin import PngInfo

import pixseek
from pixseek.errors import QueryError, SourceError
from pixseek.types import Record

from tiny_encoder import TinyEncoder

FOLDERS = ("one", "one/sub", "one/usb", "two", "two/deep/er")


class Killed(BaseException):
    """Ends a run as if its process were killed: nothing is written any more."""


@dataclass
class File:
    """A file of the model.

    Attributes:
        place: where it is, or was before its drive was unplugged.
        pixels: number of its picture.
        said: tag, rating and caption; None if nothing was said.
        was_moved, was_painted: since a run saw it last.
        is_seen: whether it is in the library as it is now.
    """

    place: Path
    pixels: int
    said: tuple[str, int, str] | None = None
    was_moved: bool = False
    was_painted: bool = False
    is_seen: bool = False
    in_trash: Path | None = field(default=None)


def may_mount() -> bool:
    """Return whether file systems can be mounted here."""
    if sys.platform != "linux" or os.geteuid():
        return False
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "none", folder], capture_output=True, check=False
        )
        return not done.returncode and not subprocess.run(["umount", folder], check=True).returncode


class Said(RuleBasedStateMachine):
    mounts = False

    def __init__(self) -> None:
        super().__init__()
        # In memory where there is such a place: most of the time went into waiting for a disk.
        memory = "/dev/shm" if os.path.isdir("/dev/shm") else None
        self.base = Path(tempfile.mkdtemp(prefix="pixseek-said-", dir=memory))
        self.numbers = itertools.count(1)
        self.files: list[File] = []
        self.is_plugged = True
        self.excluded = False
        self.root_of_sub = False
        for folder in FOLDERS:
            (self.base / folder).mkdir(parents=True)
        (self.base / "trash").mkdir()
        (self.base / "drive").mkdir()
        if self.mounts:
            # It stays mounted there, so it is the same drive whenever it is plugged in.
            self._mount("-t", "tmpfs", "-o", "size=4m", "none")
            self._mount("--bind", str(self.base / "drive"))
        self.library = pixseek.open(self.base / "lib")

    def teardown(self) -> None:
        self.library.close()
        if self.mounts:
            drives = [self.base / "drive", *([self.drive] if self.is_plugged else [])]
            subprocess.run(["umount", "-l", *map(str, drives)], check=True)
        shutil.rmtree(self.base)

    @property
    def drive(self) -> Path:
        return self.base / "one" / "usb"

    def _mount(self, *options: str) -> None:
        place = self.base / "drive" if "tmpfs" in options else self.drive
        subprocess.run(["mount", *options, str(place)], check=True)

    # ------------------------------------------------------------ what is where

    def is_away(self, folder: Path) -> bool:
        return not self.is_plugged and folder.is_relative_to(self.drive)

    def here(self, one_of: random.Random, **wanted: Any) -> File | None:
        """Return a file that is on the disk and as wanted; None if there is none."""
        fit = [
            each
            for each in self.files
            if each.in_trash is None
            and not self.is_away(each.place)
            and all(getattr(each, name) == value for name, value in wanted.items())
        ]
        return one_of.choice(fit) if fit else None

    def free_place(self, one_of: random.Random, name: str = "") -> Path | None:
        """Return a place without a file, often one that had one before."""
        folders = [self.base / each for each in FOLDERS if not self.is_away(self.base / each)]
        names = [f"{n}.png" for n in range(4)] + ([name] if name else [])
        place = one_of.choice(folders) / one_of.choice(names)
        taken = any(each.place == place and each.in_trash is None for each in self.files)
        return None if taken or place.exists() else place

    def write(self, file: File) -> None:
        number = file.pixels
        picture = Image.new("RGB", (24, 24), (number * 37 % 256, number * 91 % 256, 60))
        picture.putpixel((number % 24, number // 24 % 24), (255, 255, 255))
        info = PngInfo()
        info.add_text("Comment", f"written {next(self.numbers)}")
        picture.save(file.place, pnginfo=info)

    # ------------------------------------------------------------ what happens to files

    @initialize(one_of=st.randoms(use_true_random=False))
    def begin(self, one_of: random.Random) -> None:
        for folder in FOLDERS:
            file = File(self.base / folder / "0.png", next(self.numbers))
            self.files.append(file)
            self.write(file)
        # A folder may be a root of its own before the one above it is.
        for inner in one_of.sample(["one/sub", "one/usb", "two/deep"], one_of.randrange(3)):
            self.library.index(self.base / inner)
            self.seen(self.base / inner)
        if one_of.random() < 0.7:
            self.index("both", one_of)

    @rule(one_of=st.randoms(use_true_random=False))
    def add(self, one_of: random.Random) -> None:
        if place := self.free_place(one_of):
            self.files.append(File(place, next(self.numbers)))
            self.write(self.files[-1])

    @rule(one_of=st.randoms(use_true_random=False))
    def copy(self, one_of: random.Random) -> None:
        file, place = self.here(one_of), self.free_place(one_of)
        if file and place:
            shutil.copy2(file.place, place)
            self.files.append(File(place, file.pixels))

    @rule(one_of=st.randoms(use_true_random=False))
    def move(self, one_of: random.Random) -> None:
        file = self.here(one_of, was_painted=False)
        place = file and self.free_place(one_of, file.place.name)
        if file and place:
            shutil.move(file.place, place)
            file.place, file.was_moved, file.is_seen = place, True, False

    @rule(one_of=st.randoms(use_true_random=False))
    def edit_metadata(self, one_of: random.Random) -> None:
        if file := self.here(one_of):
            self.write(file)
            file.is_seen = False

    @rule(one_of=st.randoms(use_true_random=False))
    def paint(self, one_of: random.Random) -> None:
        if file := self.here(one_of, was_moved=False):
            file.pixels, file.was_painted, file.is_seen = next(self.numbers), True, False
            self.write(file)

    @rule(one_of=st.randoms(use_true_random=False))
    def delete(self, one_of: random.Random) -> None:
        if file := self.here(one_of):
            file.in_trash = self.base / "trash" / f"{next(self.numbers)}.png"
            shutil.move(file.place, file.in_trash)

    @rule(one_of=st.randoms(use_true_random=False))
    def restore(self, one_of: random.Random) -> None:
        gone = [each for each in self.files if each.in_trash]
        if gone:
            self.bring_back(one_of.choice(gone), one_of)

    def bring_back(self, file: File, one_of: random.Random) -> None:
        place: Path | None = file.place
        is_free = (
            not file.place.exists()
            and not self.is_away(file.place)
            and not any(
                each is not file and each.place == file.place and each.in_trash is None
                for each in self.files
            )
        )
        if not is_free:
            if file.was_painted:
                return
            place = self.free_place(one_of)
            file.was_moved = place is not None or file.was_moved
        if place and file.in_trash:
            shutil.move(file.in_trash, place)
            file.place, file.in_trash, file.is_seen = place, None, False

    # ------------------------------------------------------------ folders

    @rule()
    def unplug(self) -> None:
        if self.is_plugged and self.mounts:
            subprocess.run(["umount", "-l", str(self.drive)], check=True)
            self.is_plugged = False

    @rule()
    def plug(self) -> None:
        if not self.is_plugged:
            self._mount("--bind", str(self.base / "drive"))
            self.is_plugged = True

    @rule()
    def exclude(self) -> None:
        sub = self.base / "one" / "sub"
        if not self.excluded and sub.exists():
            try:
                self.library.remove(sub)
            except QueryError:
                return  # nothing of it is in the library
            self.excluded = True
            for file in self.files:
                if file.place.is_relative_to(sub):
                    file.is_seen = False

    @rule()
    def include(self) -> None:
        sub = self.base / "one" / "sub"
        if self.excluded and any(sub.iterdir()):
            self.library.index(sub)
            self.excluded = False
            self.seen(sub)

    @rule()
    def remove_root(self) -> None:
        if any(root.name == "two" for root in self.library.opened.roots.all()):
            self.library.remove(root="two")
            for file in self.files:
                if file.place.is_relative_to(self.base / "two"):
                    file.is_seen = False

    # ------------------------------------------------------------ the library

    def seen(self, *folders: Path) -> None:
        """Note that a run came to its end which looked at these folders."""
        sub = self.base / "one" / "sub"
        for file in self.files:
            if file.in_trash or self.is_away(file.place):
                continue
            if self.excluded and file.place.is_relative_to(sub):
                continue
            if any(file.place.is_relative_to(folder) for folder in folders):
                file.was_moved = file.was_painted = False
                file.is_seen = True

    @rule(what=st.sampled_from(["one", "two", "both", "all"]),
          one_of=st.randoms(use_true_random=False))  # fmt: skip
    def index(self, what: str, one_of: random.Random) -> None:
        folders = [self.base / each for each in ("one", "two") if what in (each, "both", "all")]
        one_of.shuffle(folders)
        if what == "all":
            folders = [root.path for root in self.library.opened.roots.all()]
        for folder in list(folders):
            try:
                self.library.index(*([] if what == "all" else [folder]))
            except SourceError:  # it has no images: a drive may be away, so nothing is removed
                folders.remove(folder)
        self.seen(*folders)

    @rule(writes=st.integers(1, 6), one_of=st.randoms(use_true_random=False))
    def index_and_die(self, writes: int, one_of: random.Random) -> None:
        left = itertools.count(writes, -1)
        engine: Any = self.library.opened.engine

        def dying(original: Any) -> Any:
            def write(*arguments: Any, **named: Any) -> Any:
                if next(left) <= 0:
                    raise Killed
                return original(*arguments, **named)

            return write

        names = ("put", "delete", "describe")
        with pytest.MonkeyPatch.context() as patch:
            for name in names:
                patch.setattr(engine, name, dying(getattr(engine, name)))
            with contextlib.suppress(Killed, SourceError):
                self.library.index(self.base / one_of.choice(["one", "two"]))

    @rule(one_of=st.randoms(use_true_random=False))
    def say(self, one_of: random.Random) -> None:
        file = self.here(one_of, is_seen=True)
        record = file and self.library.find(file.place)
        if file is None or record is None or record.away:
            return
        # Words of one of several copies may have come back to another one: now they are replaced.
        for other in self.files:
            if other.pixels == file.pixels and other.said == said(record):
                other.said = None
        number = next(self.numbers)
        file.said = f"tag-{number}", number % 5 + 1, f"caption {number}"
        tag, rating, caption = file.said
        self.library.tag([record.id], clear="all", add=tag, rating=rating, caption=caption)

    # ------------------------------------------------------------ what holds

    @precondition(lambda self: self.is_plugged and not self.excluded)
    @invariant()
    def is_open(self) -> None:
        assert self.library.path.exists()

    @rule(one_of=st.randoms(use_true_random=False))
    def everything_is_back(self, one_of: random.Random) -> None:
        self.plug()
        for file in self.files:
            while file.in_trash and not file.was_painted:
                self.bring_back(file, one_of)
        self.include()
        self.index("both", one_of)
        for file in [each for each in self.files if each.in_trash]:  # one painted: its place only
            occupant = next(
                (e for e in self.files if e.place == file.place and e.in_trash is None), None
            )
            if occupant is not None:
                continue
            self.bring_back(file, one_of)
        self.include()
        self.index("both", one_of)
        found = {Path(str(path)): said(record) for record, path in self.places()}
        groups = defaultdict(list)
        for file in self.files:
            if file.in_trash is None:
                groups[file.pixels].append(file)
        for group in groups.values():
            wanted = [file.said for file in group if file.said]
            have = [found[file.place] for file in group]
            for each in wanted:
                assert each in have, (each, have, [file.place for file in group])

    def places(self) -> list[tuple[Record, Path | None]]:
        return [(each, self.library.locate(each)) for each in self.library.records()]


def said(record: Record) -> tuple[str, int, str] | None:
    rating = record.fields.get("rating")
    if len(record.tags) != 1 or not isinstance(rating, int):
        return None
    return record.tags[0], rating, record.caption


@pytest.mark.parametrize(
    "examples",
    [
        pytest.param(40, marks=pytest.mark.slow),
        pytest.param(3000, marks=[pytest.mark.wide, pytest.mark.timeout(3600)]),
    ],
)
def test_nothing_that_was_said_is_lost(examples: int, tiny: TinyEncoder) -> None:
    machine = type("Said", (Said,), {"mounts": may_mount()})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
