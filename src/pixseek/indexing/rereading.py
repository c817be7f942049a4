"""Files that were read again though they are unchanged: only what their records say is replaced."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from typing import TYPE_CHECKING

from pixseek.indexing.media import of_picture
from pixseek.indexing.reading import Prepared
from pixseek.indexing.said import with_words_of
from pixseek.indexing.videos import as_it_looked, has_shots
from pixseek.metadata.seen import is_read, with_text_of
from pixseek.storage.previews import Previews
from pixseek.types import Engine, Part, Record
from pixseek.types.dataclass import dataclass
from pixseek.video.motion import moving_part

if TYPE_CHECKING:
    from pixseek.types import Vectors


@dataclass(slots=True)
class Rereading:
    """Describes records anew, many in one write. Their vectors and previews stay.

    Attributes:
        engine: holds the records.
        previews: where a preview goes that is missing; None to keep none.
        keeps_text: whether text that was read in their pictures stays.
        updated: URIs of the records that changed, until somebody takes them.
        unchanged: the same of those that did not.
        turned: files whose pictures lie otherwise now, which need new vectors, with their records.
    """

    engine: Engine
    previews: Previews | None
    keeps_text: bool = True
    updated: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    turned: list[tuple[Prepared, Record]] = field(default_factory=list)
    _read: list[Prepared] = field(default_factory=list)

    def __len__(self) -> int:
        """How many files are not compared with their records yet."""
        return len(self._read)

    def take(self, item: Prepared) -> None:
        """Keep what was read of a file for the next write."""
        self._read.append(item)

    def store(self) -> None:
        """Describe the records that are not as their files say."""
        items, self._read = self._read, []
        if not items:
            return
        ids = [item.record.id for item in items]
        changed: list[Record] = []
        rewritten: list[Record] = []
        for item, stored in zip(items, self.engine.get(ids), strict=True):
            if stored is None or stored.digest not in (item.record.digest, ""):
                continue  # another process removed or replaced it meanwhile
            if not lie_alike(item.record, stored):
                self.turned.append((item, stored))
                continue
            read = with_text_of(item.record, stored) if self.keeps_text else item.record
            record = _described(read, stored)
            if record == stored:
                self.unchanged.append(record.uri)
                continue
            self.updated.append(record.uri)
            # Describing fills what follows from the content, and never replaces it; the digest,
            # which imported vectors do not have, it leaves as it is.
            is_filled = (
                stored.digest == record.digest
                and stored.pixels in (record.pixels, "")
                and stored.perceptual_hash in (record.perceptual_hash, "")
            )
            (changed if is_filled else rewritten).append(record)
        self._keep_previews(items)
        digests = {record.id: record.digest for record in changed}

        def merge(given: Record, stored: Record) -> Record:
            if stored.digest != digests[stored.id]:
                return stored
            return with_words_of(given, stored)

        self.engine.describe(changed, merge)
        self._put(rewritten)

    def _put(self, records: Sequence[Record]) -> None:
        """Store records anew, with the vectors that they have."""
        import numpy as np

        vectors: Mapping[str, Vectors | None] = dict(
            zip(
                (record.id for record in records),
                self.engine.vectors([record.id for record in records]),
                strict=True,
            )
        )
        whole = [(each, rows) for each in records if (rows := vectors[each.id]) is not None]
        if whole:
            self.engine.put(
                [record for record, _ in whole],
                np.concatenate([rows for _, rows in whole]),
                with_words_of,
            )

    def _keep_previews(self, items: Sequence[Prepared]) -> None:
        if self.previews is not None:
            digests = {item.record.digest: item.preview for item in items if item.preview}
            missing = {d: p for d, p in digests.items() if self.previews.get(d) is None}
            self.previews.put(missing)


def serves(old: Record, record: Record, parts: tuple[Part, ...], *, reads: bool) -> bool:
    """Return whether the vectors of a record serve for another of the same content.

    Args:
        old: has the vectors.
        record: as it was read.
        parts: of an image.
        reads: whether the text in pictures is wanted, which is not read in videos.
    """
    if record.media.startswith("video/"):
        return has_shots(old.parts)
    same_parts = of_picture(old.parts) == parts and lie_alike(old, record)
    return same_parts and (not reads or is_read(record))


def lie_alike(one: Record, other: Record) -> bool:
    """Return whether records of the same content show the same picture, and the same clip.

    A sidecar can turn the picture; see `metadata.sidecars.orientation_beside`.
    """
    same_turn = one.fields.get("turned") == other.fields.get("turned")
    return same_turn and moving_part(one) == moving_part(other)


def _described(record: Record, stored: Record) -> Record:
    """Return a stored record as its file describes it now, with the user's words."""
    return replace(
        with_words_of(as_it_looked(record, stored), stored),
        parts=stored.parts,
        pixels=record.pixels or stored.pixels,
        perceptual_hash=record.perceptual_hash or stored.perceptual_hash,
    )
