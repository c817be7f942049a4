"""The status of a library: what it holds, and the progress of a run in any process."""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from pixseek.indexing import pipeline
from pixseek.library import model
from pixseek.library.opened import Opened
from pixseek.library.roots import is_reachable
from pixseek.types import Acceleration, Space
from pixseek.types.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class RootStatus:
    """A root, whether it can be reached now, and how many records lie under it.

    Attributes:
        name: of the root.
        path: its folder; the URL of a root that is not a folder.
        is_there: whether it can be reached; always true of a URL, which is not asked.
        records: how many lie under it.
    """

    name: str
    path: Path | str
    is_there: bool
    records: int


@dataclass(frozen=True, slots=True)
class Status:
    """What a library holds.

    Attributes:
        path: its folder.
        model: name of its model; "" before anything was indexed.
        space: its embedding space; None before anything was indexed.
        records: how many images.
        roots: where they are.
        failures: how many could not be read, by reason.
        bytes_on_disk: size of the library's folder.
        running: progress of the indexing run in progress: "pid", "host", "stage", "done",
            "total", "left_s"; None if there is none.
        acceleration: how the last run that embedded images did so; None before one did.
        texts: name of another model whose text tower is used; "" for the model's own.
        other_spaces: the inactive spaces, each with how many images have vectors in it.
    """

    path: Path
    model: str
    space: Space | None
    records: int
    roots: tuple[RootStatus, ...]
    failures: Mapping[str, int]
    bytes_on_disk: int
    running: Mapping[str, Any] | None
    acceleration: Acceleration | None = None
    texts: str = ""
    other_spaces: tuple[tuple[Space, int], ...] = ()


def status(opened: Opened) -> Status:
    """Return what a library holds, and how far a run in progress is."""
    spaces = opened.engine.spaces()
    space = spaces[0] if spaces else None
    chosen = model.chosen(opened.ledger, space)
    running = opened.ledger.setting("running")
    if running and not opened.writing().is_held():
        running = None  # it was killed
    return Status(
        path=opened.folder,
        model=space.model if space else "",
        space=space,
        records=opened.engine.count(),
        roots=tuple(
            RootStatus(
                root.name,
                root.path if root.kind == "folder" else root.where,
                is_reachable(root),
                opened.roots.count(root),
            )
            for root in opened.roots.all()
        ),
        failures=dict(Counter(failure.reason for failure in opened.ledger.failures())),
        bytes_on_disk=_size(opened.folder),
        acceleration=_acceleration(opened.ledger.setting(pipeline.ACCELERATION)),
        running=running,
        texts=model.shown(chosen.texts) if chosen else "",
        other_spaces=tuple((each, opened.engine.held(each)) for each in spaces[1:]),
    )


def _size(folder: Path) -> int:
    """Return the bytes of all files below a folder; files that go away meanwhile don't count."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.stat(os.path.join(parent, name)).st_size
    return total


def _acceleration(noted: dict[str, Any] | None) -> Acceleration | None:
    known = {each.name for each in fields(Acceleration)}
    return Acceleration(**{n: v for n, v in noted.items() if n in known}) if noted else None
