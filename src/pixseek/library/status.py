"""The status of a library: what it holds, and the progress of a run in any process."""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pixseek.errors import ModelError
from pixseek.indexing import pipeline, said
from pixseek.indexing.lock import WATCHER, is_watched
from pixseek.library import model_choice
from pixseek.library.opened import Opened
from pixseek.library.places import is_reachable
from pixseek.redaction import redacted
from pixseek.types import Acceleration, And, Compare, Not, Space
from pixseek.types.dataclass import dataclass

if TYPE_CHECKING:
    from pixseek.search.background import Calibration
    from pixseek.storage.ledger import Ledger
    from pixseek.types import Engine, Report

#: The ledger's setting that holds the last run.
LAST_RUN = "last_run"

#: What is remembered of a report.
_COUNTED = ("added", "updated", "moved", "removed", "unchanged")


@dataclass(frozen=True, slots=True)
class RootStatus:
    """A root, whether it can be reached now, and how many records lie under it.

    Attributes:
        name: of the root.
        path: its folder; the URL of a root that is not a folder, without its secrets.
        is_there: whether it can be reached; always true of a URL, which is not asked.
        records: how many lie under it.
    """

    name: str
    path: Path | str
    is_there: bool
    records: int


@dataclass(frozen=True, slots=True)
class Contents:
    """What is known of the images of a library.

    Attributes:
        dated: how many have a date besides that of the file.
        oldest, newest: the first and the last of these dates; None if there is none.
        located: how many have a place.
        tagged, captioned, rated: how many have tags, a caption, a rating.
        unreachable: how many lie in folders that are not there now.
        without_vectors: how many words and filters find, but not what they show.
        away: records besides these whose file is gone; what you said of them is kept.
    """

    dated: int = 0
    oldest: datetime | None = None
    newest: datetime | None = None
    located: int = 0
    tagged: int = 0
    captioned: int = 0
    rated: int = 0
    unreachable: int = 0
    without_vectors: int = 0
    away: int = 0


@dataclass(frozen=True, slots=True)
class LastRun:
    """The last run that indexed or reindexed, to its end or until it was stopped.

    Attributes:
        kind: "index" or "reindex".
        ended_at: when, in UTC.
        seconds: how long it took.
        stopped: whether it was stopped before its end.
        added, updated, moved, removed, unchanged, failed: as in `Report`.
    """

    kind: str
    ended_at: datetime
    seconds: float
    stopped: bool
    added: int = 0
    updated: int = 0
    moved: int = 0
    removed: int = 0
    unchanged: int = 0
    failed: int = 0


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
        bytes_on_disk: size of the library's folder; without what a server holds for it.
        watched: who keeps the library up to date now: "pid", "host", "since"; None for nobody.
        running: progress of the indexing run in progress: "pid", "host", "stage", "done",
            "total", "left_s"; None if there is none.
        acceleration: how the last run that embedded images did so; None before one did.
        texts: name of another model whose text tower is used; "" for the model's own.
        other_spaces: the inactive spaces, each with how many images have vectors in it.
        model_is_here: whether the model's files are on this machine; if not, they are downloaded
            when they are needed, or only ids, vectors and filters find images.
        contents: what is known of the images.
        disk: bytes of the "index" (records and vectors), the "previews", and the rest, "other".
        last_run: the last run; None before one.
        calibration: how probable matches of words are, if that was measured for the model: its
            `slope` and `centre`, and on how many `images`; None if it was not.
        engine: address of the server that holds the records, without secrets; "embedded" for the
            library's own folder.
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
    model_is_here: bool = True
    contents: Contents = Contents()
    disk: Mapping[str, int] = field(default_factory=dict)
    last_run: LastRun | None = None
    calibration: Calibration | None = None
    engine: str = "embedded"
    watched: Mapping[str, Any] | None = None


def status(opened: Opened) -> Status:
    """Return what a library holds, and how far a run in progress is."""
    spaces = opened.engine.spaces()
    space = spaces[0] if spaces else None
    chosen = model_choice.chosen(opened.ledger, space)
    running = opened.ledger.setting("running")
    if running and not opened.writing().is_held():
        running = None  # it was killed
    roots = tuple(
        RootStatus(
            root.name,
            root.path if root.is_local else redacted(root.where),
            is_reachable(root),
            opened.roots.count(root),
        )
        for root in opened.roots.all()
    )
    disk = _disk(opened.folder)
    with opened.ledger.understood():
        acceleration = _acceleration(opened.ledger.setting(pipeline.ACCELERATION))
        last_run = _last_run(opened.ledger.setting(LAST_RUN))
    return Status(
        path=opened.folder,
        model=space.model if space else "",
        space=space,
        records=opened.engine.count(),
        roots=roots,
        failures=dict(Counter(failure.reason for failure in opened.ledger.faults())),
        bytes_on_disk=sum(disk.values()),
        acceleration=acceleration,
        running=running,
        texts=model_choice.shown(chosen.texts) if chosen else "",
        other_spaces=tuple((each, opened.engine.held(each)) for each in spaces[1:]),
        model_is_here=chosen is None
        or model_choice.is_here(chosen.model, opened.config.models_dir),
        contents=_contents(opened.engine, roots),
        disk=disk,
        last_run=last_run,
        calibration=_calibration(opened, chosen),
        engine=opened.address or "embedded",
        watched=opened.ledger.setting(WATCHER) if is_watched(opened.folder) else None,
    )


def _calibration(opened: Opened, chosen: model_choice.ModelChoice | None) -> Calibration | None:
    try:
        return chosen.texts_beside(opened.config.models_dir).calibration if chosen else None
    except ModelError:  # it is damaged: a search says so
        return None


def note_run(ledger: Ledger, kind: str, report: Report) -> None:
    """Remember the last run; see `LastRun`."""
    ledger.set(
        LAST_RUN,
        {
            "kind": kind,
            "ended_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "seconds": round(report.seconds.get("total", 0.0), 3),
            "stopped": report.stopped,
            **{name: getattr(report, name) for name in _COUNTED},
            "failed": len(report.failures),
        },
    )


def _last_run(noted: dict[str, Any] | None) -> LastRun | None:
    known = {each.name for each in fields(LastRun)}
    if not noted or not known >= noted.keys():
        return None  # none yet, or by a newer pixseek
    return LastRun(**{**noted, "ended_at": datetime.fromisoformat(noted["ended_at"])})


def _contents(engine: Engine, roots: Sequence[RootStatus]) -> Contents:
    """Count what is known of the images."""
    space = engine.space
    if space is None:
        return Contents()

    # The time of a file says when it was copied, not when the photo was taken.
    of_file = Compare("fields.taken_from", "eq", "file")
    dated = And((Compare("taken_at", "exists"), Not(of_file)))

    def having(name: str) -> int:
        return engine.count(Compare(name, "exists"))

    def end(descending: bool) -> datetime | None:
        found = engine.select(dated, order="taken_at", descending=descending, k=1, offset=0)
        return found[0].taken_at if found else None

    return Contents(
        dated=engine.count(dated),
        oldest=end(descending=False),
        newest=end(descending=True),
        located=having("location"),
        tagged=having("tags"),
        captioned=having("caption"),
        rated=having("fields.rating"),
        unreachable=sum(root.records for root in roots if not root.is_there),
        without_vectors=max(0, engine.count() - engine.held(space)),
        away=engine.count(said.AWAY),
    )


def _disk(folder: Path) -> dict[str, int]:
    """Return the bytes of all files below a folder; files that go away meanwhile don't count."""
    total = {"index": 0, "previews": 0, "other": 0}
    for parent, _, names in os.walk(folder):
        below = Path(parent).relative_to(folder).parts
        for name in names:
            first = below[0] if below else name
            kind = next((each for each in ("index", "previews") if first.startswith(each)), "other")
            with contextlib.suppress(OSError):
                total[kind if first != "indexing.lock" else "other"] += os.stat(
                    os.path.join(parent, name)
                ).st_size
    return total


def _acceleration(noted: dict[str, Any] | None) -> Acceleration | None:
    known = {each.name for each in fields(Acceleration)}
    return Acceleration(**{n: v for n, v in noted.items() if n in known}) if noted else None
