"""Archives that an earlier run has read to their end: while they are unchanged, none is opened."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from pixseek.storage.ledger import Ledger
from pixseek.types import Engine, Failure, Known, Packed, Source

#: The ledger's setting that holds, by the URI that the members of an archive begin with, its mark
#: and the number of its records.
_SETTING = "archives"


class Unopened:
    """What is known of the archives of one library, before and during a run."""

    def __init__(self, ledger: Ledger, engine: Engine) -> None:
        """Use what this ledger remembers of records in this engine."""
        self._ledger, self._engine = ledger, engine
        self._now: dict[str, str] = {}
        self._left_out: set[str] = set()

    def leave_out(
        self,
        source: Source,
        known: Mapping[str, Known],
        failed: Mapping[str, Failure],
        *,
        look_again: bool,
    ) -> list[str]:
        """Let a source skip archives that have not changed since a whole run.

        Args:
            source: about to be scanned.
            known: its records by URI.
            failed: its earlier failures by URI.
            look_again: look into every archive, whatever is remembered.

        Returns:
            The URIs in `known` and `failed` that the scan will not offer, though nothing changed.

        Raises:
            SourceVanishedError: the source is gone.
        """
        if not isinstance(source, Packed):
            return []
        marks = source.marks()
        self._now |= marks
        before: Mapping[str, list[object]] = self._ledger.setting(_SETTING) or {}
        if look_again or not any(before.get(each, [""])[0] == mark for each, mark in marks.items()):
            return []
        counts = Counter(_archive_of(uri, marks) for uri in known)
        # Records that are gone, as in an engine that was put back to an earlier state, come again.
        same = {each for each, mark in marks.items() if before.get(each) == [mark, counts[each]]}
        source.leave_out(same)
        self._left_out |= same
        return [uri for uri in (*known, *failed) if _archive_of(uri, marks) in same]

    def remember(self) -> None:
        """Remember the archives of a run that has come to its end.

        One with members that could not be read is not: they may be readable the next time.
        """
        if not self._now:
            return
        kept: dict[str, object] = dict(self._ledger.setting(_SETTING) or {})
        for archive, mark in self._now.items():
            if archive in self._left_out:
                continue
            if _are_final(self._ledger.failures(archive)):
                kept[archive] = [mark, sum(1 for _ in self._engine.known(archive))]
            else:
                kept.pop(archive, None)
        self._ledger.set(_SETTING, kept)


def _are_final(failures: Iterable[Failure]) -> bool:
    return all(failure.stage in ("decode", "encode") for failure in failures)


def _archive_of(uri: str, marks: Mapping[str, str]) -> str:
    """Return the URI of the archive that a member's begins with: a root's, or that of a shard."""
    root, _, relative = uri.partition("/")
    shard = f"{root}/{relative.partition('/')[0]}/"
    return shard if shard in marks else f"{root}/"
