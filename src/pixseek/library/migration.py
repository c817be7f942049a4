"""Moves a library to another engine: copied, compared, searched, and only then switched.

1. Copy every record with its vectors in all spaces, and what is kept beside them, until the target
   has what the source has. It can be killed at any moment; the next call goes on.
2. Mark the source as being left: from now on writes to it are errors, in every process, also those
   that are under way (`engines.moves`). So what was written before is in the next comparison.
3. Compare everything once more, and ask the target sampled queries.
4. Switch: the target may be written, the library names it, the source stays marked.

Indexing runs of this library folder are kept out from the beginning. If anything fails, the library
stays where it was.
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
import time
import uuid
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pixseek.engines import absolute, moves, open_engine
from pixseek.errors import CapabilityError, ConfigError, EngineError, LibraryError, StorageError
from pixseek.library import trust
from pixseek.library.building import build
from pixseek.library.copying import Copy, MovableEngine, Pass
from pixseek.library.opened import Opened
from pixseek.library.parity import LEAST, Parities, Recall, sampled
from pixseek.library.remembering import remember_engine
from pixseek.redaction import redacted
from pixseek.types import Compare, Movable, Not, Or, Progress, Record, Space
from pixseek.types.dataclass import dataclass
from pixseek.types.engines import KINDS

if TYPE_CHECKING:
    from pixseek.types import Vectors

#: What stands for the engine in a library's own folder.
OWN = "embedded"

#: If a copy took longer, what changed during it is copied before others are kept from writing.
_LONG_S = 30.0
#: Comparisons while others are kept from writing. One carries over what was written until then.
_COMPARISONS = 3
#: Fulfilled by every record, also by those that are away.
_EVERY = Or((Compare("away", "eq", True), Not(Compare("away", "eq", True))))


@dataclass(frozen=True, slots=True)
class Migration:
    """What moving a library did.

    Attributes:
        source, target: the engines, without secrets.
        records: how many records the library has, those that are away included.
        vectors: how many vectors, in all spaces.
        spaces: how many spaces.
        texts: how many texts are kept besides, such as saved searches.
        written: how many records were written; the others were there already.
        removed: how many records of an older copy were removed.
        digest: SHA-256 of the ids and vectors, the same in both engines.
        queries: how many sampled queries were asked; 0 if nothing was copied.
        recall: share of the 10 true nearest that the target finds, without a filter; of the
            space in which it finds fewest.
        recall_filtered: the same with filters.
        seconds: how long it took.
        stopped: whether it was stopped before its end; then the library is where it was.
    """

    source: str
    target: str
    records: int = 0
    vectors: int = 0
    spaces: int = 0
    texts: int = 0
    written: int = 0
    removed: int = 0
    digest: str = ""
    queries: int = 0
    recall: float | None = None
    recall_filtered: float | None = None
    seconds: float = 0.0
    stopped: bool = False


class _StoppedError(Exception):
    """The run was asked to stop."""


def _address_of(to: str, own: Path) -> str:
    """Return the address of a target; "" for the library's own folder.

    Raises:
        ConfigError: it is a lone word, which is rather the name of an engine than a folder.
    """
    if to.lower() in (OWN, f"{OWN}:"):
        return ""
    if re.fullmatch(r"[\w+-]*", to):
        raise ConfigError(
            "not the address of an engine",
            to,
            "Write a URL, such as postgresql://host/photos, or embedded for the library's own "
            "folder. Another folder is written ./NAME",
        )
    address = absolute(to)
    return "" if address.removeprefix(f"{OWN}:") == os.path.abspath(own) else address


class Mover:
    """Moves one open library."""

    def __init__(self, opened: Opened, to: str, stop: threading.Event | None) -> None:
        """Move a library to the engine at an address, or to `OWN`."""
        self._opened = opened
        self._address = _address_of(to, opened.folder / "index")
        self._stop = stop or threading.Event()
        self._began = time.monotonic()
        self._source_name = opened.ledger.setting(trust.ENGINE) or str(opened.folder / "index")
        self._target_name = redacted(self._address) or str(opened.folder / "index")
        #: The engine that the library is in after a run that was not stopped.
        self.engine: MovableEngine | None = None

    def run(self) -> Generator[Progress, None, Migration]:
        """Move the library, yielding progress; the return value says what was done.

        Raises:
            LibraryLockedError: another process is indexing into the library.
            LibraryError: the target holds something else, or does not find or hold what it should.
            EngineError, StorageError, ConfigError: an engine failed or can't be opened.
        """
        source = _movable(self._opened.engine, self._source_name)
        with self._opened.writing():
            target = _movable(open_engine(self._place), self._target_name)
            try:
                target.copied_into(True)
                done = yield from self._between(source, target)
                target.copied_into(False)
                self.engine = None if done.stopped else target
                return done
            finally:
                if self.engine is None:
                    target.close()

    @property
    def _place(self) -> str | Path:
        return self._address or self._opened.folder / "index"

    def _between(
        self, source: MovableEngine, target: MovableEngine
    ) -> Generator[Progress, None, Migration]:
        if _is_one(source, target):
            # Only its address differs, or a move from here was given up.
            _unmark(source, moves.AWAY, moves.ARRIVING)
            self._switch()
            return self._told()
        own = self._identity(source)
        theirs = target.kept(moves.KIND)
        _check_target(target, theirs, own, source.kept(moves.KIND), self._target_name)
        is_complete = theirs.get(moves.ID) == own and not (
            moves.ARRIVING in theirs or moves.AWAY in theirs
        )
        if is_complete:  # another machine moved it, or this one was killed just before the switch
            self._switch()
            self._leave(source)
            return self._told(records=target.count(_EVERY), spaces=len(target.spaces()))
        self._check_lives(source)
        target.keep(moves.KIND, moves.ID, own)
        target.keep(moves.KIND, moves.ARRIVING, moves.mark(self._target_name))
        with self._explained():
            try:
                return (yield from self._copied(source, target))
            except _StoppedError:
                return self._told(stopped=True)

    def _copied(
        self, source: MovableEngine, target: MovableEngine
    ) -> Generator[Progress, None, Migration]:
        copy = None
        written = removed = 0
        if source.space is not None:
            copy = Copy(source, target)
            copy.prepare()
            began, version = time.monotonic(), source.version()
            found = yield from self._step(copy, "copy", source)
            written, removed = found.written, found.removed
            is_same = version is not None and version == source.version()
            if time.monotonic() - began > _LONG_S and not is_same:
                found = yield from self._step(copy, "copy", source)
                written, removed = written + found.written, removed + found.removed
            if (yield from build(target, self._stop)):
                raise _StoppedError
        with self._kept_from_writing(source):
            texts = _carry_texts(source, target)
            compared, recall = Pass(), Recall(1.0, 1.0, 0)
            if copy is not None:
                parity = sampled(source)
                for n in range(_COMPARISONS):
                    for each in parity.values():
                        each.forget()
                    compared = yield from self._step(copy, "check", source, parity)
                    written, removed = written + compared.written, removed + compared.removed
                    if compared.is_even:
                        break
                    self._check_damage(compared, last=n == _COMPARISONS - 1)
                self._check_counts(source, target)
                recall = yield from self._asked(target, parity)
            _carry_texts(source, target, last=True)
            _unmark(target, moves.ARRIVING, moves.AWAY)
            try:
                self._switch()
            except StorageError:
                target.keep(moves.KIND, moves.ARRIVING, moves.mark(self._target_name))
                raise
        self._leave(source)
        return self._told(
            records=compared.records, vectors=compared.vectors, digest=compared.digest,
            spaces=len(source.spaces()), texts=texts, written=written, removed=removed,
            queries=recall.queries, recall=recall.plain, recall_filtered=recall.filtered,
        )  # fmt: skip

    # -------------------------------------------------------------- steps

    def _step(
        self, copy: Copy, stage: Any, source: MovableEngine, parity: Parities | None = None
    ) -> Generator[Progress, None, Pass]:
        """Compare and copy all records once."""
        total = source.count(_EVERY)

        def look(space: Space, records: Sequence[Record], vectors: Vectors) -> None:
            if parity is not None and space in parity:
                parity[space].add(records, vectors)

        run = copy.step(look)
        began = time.monotonic()
        while True:
            try:
                done = next(run)
            except StopIteration as end:
                found: Pass = end.value
                return found
            rate = done / max(time.monotonic() - began, 1e-3)
            left = max(0, total - done) / rate if rate else None
            yield Progress(stage, done, max(total, done), rate=rate, left_s=left)
            self._check_stopped()

    def _asked(self, target: MovableEngine, parity: Parities) -> Generator[Progress, None, Recall]:
        """Ask the target the sampled queries in each space; return the least recall.

        Raises:
            LibraryError: it finds too few of the true nearest.
        """
        total, done = sum(len(each.queries) for each in parity.values()), 0
        least = Recall(1.0, 1.0, 0)
        active = target.spaces()[0]
        for space, each in parity.items():
            if space != active:  # nobody uses the target yet
                target.activate(space)
            try:
                answers = []
                for answer in each.ask(target):
                    answers.append(answer)
                    done += 1
                    if done % 25 == 0:
                        yield Progress("ask", done, total)
                        self._check_stopped()
            finally:
                if space != active:
                    target.activate(active)
            recall = each.recall(answers)
            self._check_recall(space, recall)
            if not least.queries or recall.whole < least.whole:
                least = recall
        return least._replace(queries=done)

    def _check_recall(self, space: Space, recall: Recall) -> None:
        if recall.whole < LEAST:
            raise LibraryError(
                "the target finds too few of the images that an exhaustive search finds, so the "
                "library stays where it is",
                f"{self._target_name}: {recall.whole:.3f} of the 10 nearest of {recall.queries} "
                f"queries to {space.model} ({recall.plain:.3f} without a filter, "
                f"{recall.filtered:.3f} with one); "
                f"at least {LEAST} are needed",
                "Let it look further: add breadth=400 (or more) to its address; or choose another "
                "type of index for a new name there. What was copied stays, so that is quick.",
            )

    def _check_damage(self, compared: Pass, *, last: bool) -> None:
        if compared.damage:
            raise LibraryError(
                "the target does not hold what was written to it, so the library stays where it is",
                f"{self._target_name}: of {compared.records:,} records {compared.damage}",
                "Look at the health of the server: missing shards, a full disk, or others that "
                "write there. Then run the same command again, which writes these once more.",
            )
        if last:
            raise LibraryError(
                "the library changed all the time, so it stays where it is",
                self._source_name,
                "Stop what writes to it on other machines, then run the same command again.",
            )

    def _check_counts(self, source: MovableEngine, target: MovableEngine) -> None:
        """Check what the target itself says of how much it holds."""
        counts = [
            (engine.count(), engine.count(_EVERY), *map(engine.held, source.spaces()))
            for engine in (source, target)
        ]
        if counts[0] != counts[1]:
            raise LibraryError(
                "the target counts other numbers of records than the library has, so the library "
                "stays where it is",
                f"{self._target_name}: {counts[1]}, not {counts[0]}",
                "Look at the health of the server, then run the same command again.",
            )

    def _check_lives(self, source: MovableEngine) -> None:
        """Check that the library did not move from the source to elsewhere before.

        Raises:
            LibraryError: it did.
        """
        told = moves.read(source.kept(moves.KIND).get(moves.AWAY, "{}"))
        if told.get("done"):
            raise LibraryError(
                "the library was moved from here before, and what is here is an old copy",
                f"{self._source_name} -> {told.get('to')}",
                f"Follow it: pixseek migrate --to {told.get('to')}. To use the old copy again, "
                "migrate to where it is.",
            )

    def _check_stopped(self) -> None:
        if self._stop.is_set():
            raise _StoppedError

    # -------------------------------------------------------------- marks

    def _identity(self, source: MovableEngine) -> str:
        """Return by what engines know that they hold one library; a new one if it has none."""
        found = source.kept(moves.KIND).get(moves.ID)
        if found is None:
            found = str(self._opened.ledger.setting(trust.ID) or uuid.uuid4().hex)
            with _read_only_too():
                source.keep(moves.KIND, moves.ID, found)
        return found

    @contextlib.contextmanager
    def _kept_from_writing(self, source: MovableEngine) -> Iterator[None]:
        """Let nobody write to the source inside the block; also after it, unless it fails."""
        with _read_only_too():
            source.keep(moves.KIND, moves.AWAY, moves.mark(self._target_name))
        try:
            yield
        except BaseException:
            with contextlib.suppress(EngineError, LibraryError):
                _unmark(source, moves.AWAY)
            raise

    def _leave(self, source: MovableEngine) -> None:
        """Mark the source as left for good."""
        # The library is in the target by now. Without this the mark says that it is moving there.
        with contextlib.suppress(EngineError, LibraryError):
            source.keep(moves.KIND, moves.AWAY, moves.mark(self._target_name, done=True))

    def _switch(self) -> None:
        opened = self._opened
        remember_engine(opened.folder, opened.ledger, self._address)

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """Say what has become of the library if an engine fails inside the block."""
        try:
            yield
        except (EngineError, StorageError) as error:
            what = "The library stays where it was; run the same command again to go on."
            error.advice = f"{error.advice} {what}".strip()
            error.args = (error.problem, error.subject, error.advice)
            raise

    def _told(self, **more: Any) -> Migration:
        seconds = time.monotonic() - self._began
        return Migration(self._source_name, self._target_name, seconds=seconds, **more)


def check_from(opened: Opened, address: str) -> None:
    """Check that a library is in the engine that the user says it is in.

    Raises:
        LibraryError: it is in another.
    """
    name = opened.ledger.setting(trust.ENGINE) or OWN
    if address.lower() in (OWN, f"{OWN}:"):
        if name == OWN:
            return
    elif name != OWN:
        if redacted(absolute(address)) == redacted(name):  # what is only read can't be marked
            return
        with open_engine(address) as other:
            if _is_one(_movable(opened.engine, name), _movable(other, redacted(address))):
                return
    raise LibraryError(
        "the library is in another engine",
        f"{opened.folder}: in {name}, not in {redacted(address)}",
        "Leave out --from; or name a new folder with --library, which gets what is there.",
    )


def _movable(engine: Any, name: str) -> MovableEngine:
    if not isinstance(engine, Movable):
        raise CapabilityError(
            "the engine of another package can't be moved from or to",
            name,
            "Use pixseek export and pixseek import.",
        )
    return cast(MovableEngine, engine)


def _is_one(one: MovableEngine, other: MovableEngine) -> bool:
    """Return whether two addresses lead to the same library: what is written to one is in both."""
    secret = uuid.uuid4().hex
    try:
        one.keep(moves.KIND, moves.SAME, secret)
        return other.kept(moves.KIND).get(moves.SAME) == secret
    except CapabilityError:  # it is only read
        return False
    finally:
        with contextlib.suppress(EngineError, LibraryError):
            _unmark(one, moves.SAME)


def _check_target(target: MovableEngine, theirs: Any, own: str, ours: Any, name: str) -> None:
    """Check that nothing else is overwritten.

    Raises:
        LibraryError: the target holds another library, or one that lives on its own.
    """
    if theirs.get(moves.ID) == own:
        if moves.ARRIVING in theirs or moves.AWAY in theirs or moves.AWAY in ours:
            return
        raise LibraryError(
            "the target is in use as a copy of this library that has changed on its own",
            name,
            "Choose another name there, or delete what is there first.",
        )
    has_records = target.space is not None and target.count(_EVERY)
    if moves.ID in theirs or has_records or any(target.kept(kind) for kind in KINDS):
        raise LibraryError(
            "the target holds another library",
            name,
            "Choose another name there, or delete what is there first.",
        )


def _carry_texts(source: MovableEngine, target: MovableEngine, *, last: bool = False) -> int:
    """Keep in the target what the source keeps, and nothing else; return how many there are.

    Raises:
        LibraryError: with `last`, if there still was a difference.
    """
    count = 0
    for kind in KINDS:
        ours, theirs = source.kept(kind), target.kept(kind)
        count += len(ours)
        for name in {**theirs, **ours}:
            if ours.get(name) != theirs.get(name):
                if last:
                    raise LibraryError(
                        "the target does not keep a text that was written to it, so the library "
                        "stays where it is",
                        f"{kind} {name}",
                        "Run the same command again.",
                    )
                target.keep(kind, name, ours.get(name))
    return count


def _unmark(engine: MovableEngine, *names: str) -> None:
    found = engine.kept(moves.KIND)
    for name in names:
        if name in found:
            engine.keep(moves.KIND, name, None)


@contextlib.contextmanager
def _read_only_too() -> Iterator[None]:
    """Go on if an engine is only read, such as the index of another program: nobody writes it."""
    with contextlib.suppress(CapabilityError):
        yield
