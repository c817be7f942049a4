"""Videos that were made from one another: encoded again, or cut out in time.

The vectors of shots say which videos may be copies, and how far their times are apart. Frames of
both at the same seconds decide. A camera that stands still films the same picture every day, so
what counts is what changes in it.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from pixseek.types import Compare, Engine, Part, Record
from pixseek.video.shots import SAME

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

    from pixseek.types import Vectors

    Grey = NDArray[np.float32]

#: Returns the frames of a video at some ascending seconds; none if it can't be read.
FramesOf = Callable[[Record, Sequence[float]], "Sequence[Image.Image]"]

#: Shots of a video by which others are looked for, the longest, and videos it is compared with.
_ASKED, _COMPARED = 8, 3

#: Records that are looked for by a shot.
_NEIGHBOURS = 20

#: Distances in time that are tried for two videos, the commonest among their shots.
_TRIED = 3

#: Pairs of shots by which these are looked for, and shots of the shorter video that are compared
#: with all of the longer at once: 20 MB of cosines for the 20,000 shots a video has at most.
_PAIRS, _ROWS = 10_000, 256

#: Seconds by which two distances in time differ at most to be one.
_APART_S = 0.5

#: Share of the shorter video that has to lie within the longer one, and that in shots that match.
_WITHIN, _MATCHING = 0.9, 0.5

#: Frames that are compared, columns and rows of each, and how many are kept for the next video.
_FRAMES, _GRID, _KEPT = 10, (32, 18), 256

#: Seconds by which a distance may be wrong, in steps: shots without a cut begin at a frame that is
#: looked at, one a second, and in a cut-out these are others.
_WRONG_S = tuple(step / 5 for step in range(-4, 5))

#: Minimum correlation of what changes in two copies. Measured in docs/duplicates.md.
_ALIKE = 0.8

#: The same of two videos in which nothing happens, of the picture.
_STILL = 0.95

#: Levels of grey by which a video changes at least, on average, so that it can be told from others.
_CHANGES = 2.0

_VIDEOS = Compare("media", "glob", "video/*")


class Films:
    """Finds copies among the videos of a library."""

    def __init__(self, engine: Engine, frames: FramesOf) -> None:
        """Begin with none.

        Args:
            engine: holds the videos.
            frames: of these.
        """
        self._engine, self._frames = engine, frames
        self._pairs: set[tuple[str, str]] = set()
        self._looks: OrderedDict[tuple[str, tuple[float, ...]], Grey | None] = OrderedDict()

    def add(self, records: Sequence[Record], vectors: Vectors) -> None:
        """Look for the videos that may be copies of some.

        Args:
            records: of videos and others.
            vectors: of all parts of these, (parts, dim).
        """
        import numpy as np

        asked: list[tuple[str, Vectors]] = []
        at = 0
        for record in records:
            rows = vectors[at : at + len(record.parts)]
            at += len(record.parts)
            if record.is_video and record.shots:
                lengths = [_end(part) - _start(part) for part in record.parts]
                longest = sorted(range(len(lengths)), key=lambda n: -lengths[n])[:_ASKED]
                asked += [(record.id, rows[n]) for n in longest]
        if not asked:
            return
        found = self._engine.nearest(np.stack([row for _, row in asked]), _NEIGHBOURS, _VIDEOS)
        scores: dict[str, Counter[str]] = {}
        for (id_, _), near in zip(asked, found, strict=True):
            for other, score in zip(near.ids, near.scores.tolist(), strict=True):
                if other != id_ and score >= SAME:
                    scores.setdefault(id_, Counter())[other] += 1
        for id_, others in scores.items():
            for other, _ in others.most_common(_COMPARED):
                self._pairs.add((min(id_, other), max(id_, other)))

    def copies(self) -> Iterator[tuple[Record, Record]]:
        """Yield the pairs of which one video was made from the other."""
        for pair in sorted(self._pairs):
            found = [
                (record, rows)
                for record, rows in zip(
                    self._engine.get(list(pair)), self._engine.vectors(list(pair)), strict=True
                )
                if record is not None and rows is not None and len(rows) == len(record.parts)
            ]
            if len(found) < 2 or found[0][0].digest == found[1][0].digest:
                continue  # one was removed meanwhile, or the files are equal, which is known
            (short, rows), (long, others) = sorted(found, key=lambda each: length(each[0]))
            distances = _distances(short, long, matching_shots(rows, others))
            if any(self._show_the_same(short, long, later_s) for later_s in distances):
                yield short, long

    def _show_the_same(self, short: Record, long: Record, later_s: float) -> bool:
        """Return whether a video shows the same as another does some seconds later."""
        import numpy as np

        begin = max(0.0, -later_s)
        common = min(length(short), length(long) - later_s) - begin
        seconds = [begin + common * (n + 0.5) / _FRAMES for n in range(_FRAMES)]
        one = self._look(short, seconds)
        tried = np.array([[each + later_s + wrong for each in seconds] for wrong in _WRONG_S])
        order = np.argsort(tried, axis=None)
        found = self._look(long, np.maximum(tried.ravel()[order], 0.0).tolist())
        if one is None or found is None:
            return False
        others = found[np.argsort(order)].reshape(len(_WRONG_S), *one.shape)
        moving = one - one.mean(axis=0)
        if float(np.abs(moving).mean()) < _CHANGES:
            # Nothing happens: only the same picture for the same time is taken for a copy.
            same_length = abs(length(short) - length(long)) <= _APART_S
            other = others[len(_WRONG_S) // 2]
            return same_length and _correlation(one - one.mean(), other - other.mean()) >= _STILL
        return max(_correlation(moving, each - each.mean(axis=0)) for each in others) >= _ALIKE

    def _look(self, record: Record, seconds: Sequence[float]) -> Grey | None:
        """Return frames in grey, (frames, rows, columns) float32; None if they can't be read."""
        import numpy as np
        from PIL.Image import Resampling

        key = (record.id, tuple(round(each, 2) for each in seconds))
        if key not in self._looks:
            small = [
                np.asarray(each.convert("L").resize(_GRID, Resampling.BOX), np.float32)
                for each in self._frames(record, seconds)
            ]
            self._looks[key] = np.stack(small) if len(small) == len(seconds) else None
            if len(self._looks) > _KEPT:
                self._looks.popitem(last=False)
        return self._looks[key]


def as_long(short: Record, long: Record) -> bool:
    """Return whether two copies are about as long, so that none was cut out of the other."""
    apart = length(long) - length(short)
    return apart <= min(_APART_S, (1 - _WITHIN) * length(long))


def matching_shots(rows: Vectors, others: Vectors) -> list[tuple[int, int]]:
    """Return the places of shots that look the same: 10,000 pairs at most, or one a shot.

    Each shot has the same share of them, and of more those that are most alike.

    Args:
        rows: of the shots of a video, (shots, dim).
        others: of another.
    """
    import numpy as np

    share = max(1, _PAIRS // len(rows))
    found: list[tuple[int, int]] = []
    for at in range(0, len(rows), _ROWS):
        for n, scores in enumerate(rows[at : at + _ROWS] @ others.T, at):
            same = np.flatnonzero(scores >= SAME)
            if len(same) > share:
                same = same[np.argpartition(scores[same], -share)[-share:]]
            found += [(n, other) for other in sorted(same.tolist())]
    return found


def _distances(short: Record, long: Record, matching: Sequence[tuple[int, int]]) -> list[float]:
    """Return how much later a video may lie in another, in seconds, the likeliest first.

    Shots that match begin and end at the same frame, unless the cut-out begins or ends in them.

    Args:
        short, long: the videos.
        matching: which shots of both look the same.
    """
    pairs = [(short.parts[a], long.parts[b]) for a, b in matching]
    needed = length(short)
    seen: dict[int, list[float]] = {}
    for one, other in pairs:
        for later_s in (_start(other) - _start(one), _end(other) - _end(one)):
            seen.setdefault(round(later_s / _APART_S), []).append(later_s)
    found = []
    for same in sorted(seen.values(), key=len, reverse=True)[: 3 * _TRIED]:
        later_s = sorted(same)[len(same) // 2]
        within = min(length(long), needed + later_s) - max(0.0, later_s)
        matching_s = sum(
            max(0.0, min(_end(one) + later_s, _end(other))
                - max(_start(one) + later_s, _start(other)))
            for one, other in pairs
        )  # fmt: skip
        if within >= _WITHIN * needed - _APART_S and matching_s >= _MATCHING * needed:
            found.append((matching_s, later_s))
    return [later_s for _, later_s in sorted(found, reverse=True)[:_TRIED]]


def _correlation(one: Grey, other: Grey) -> float:
    import numpy as np

    size = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float((one * other).sum()) / size if size else 0.0


def _start(part: Part) -> float:
    return part.start_s or 0.0


def _end(part: Part) -> float:
    return part.end_s or 0.0


def length(record: Record) -> float:
    """Return the seconds of a video that its shots cover."""
    return max((_end(part) for part in record.parts), default=0.0)
