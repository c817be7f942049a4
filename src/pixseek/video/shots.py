"""From the frames of a video and their vectors to shots, each with a frame that stands for it.

A shot here is a time in which the model sees the same: a cut begins one, and so does a pan that
comes to something else. Frames are grouped as they come, so what is held of a long video is one
small picture a shot.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from pixseek.types import Part
from pixseek.types.dataclass import dataclass
from pixseek.video.frames import Frame

if TYPE_CHECKING:
    from PIL import Image

    from pixseek.types import Vectors

#: Minimum cosine of a frame to the mean of a shot that it belongs to. Frames of one scene had .93
#: to .997, others .4 to .9, with photo-mini on surveillance videos (November 2026). It finds as
#: many captions as no grouping (benchmarks/video.py).
SAME = 0.93

#: Frames of a shot that are held until the best is known.
_HELD = 48

#: Share of the usual sharpness that the frame of a shot has at least.
_SHARP = 0.8

#: Seconds of a shot that count when the best frame of a video is chosen.
_LONG_S = 20.0


@dataclass(frozen=True, slots=True)
class Shot:
    """A shot.

    Attributes:
        part: its times.
        row: (dim,) float32, unit length: the vector of its frame.
        preview: its frame as a small JPEG.
    """

    part: Part
    row: Vectors
    preview: bytes


@dataclass(frozen=True, slots=True)
class _Held:
    second: float
    row: Vectors
    pixels: Image.Image
    sharpness: float
    is_blank: bool


class _Group:
    """Frames of one shot."""

    def __init__(self, start_s: float) -> None:
        self.start_s = start_s
        self.sum: Vectors | None = None
        self.held: list[_Held] = []

    def takes(self, row: Vectors) -> bool:
        import numpy as np

        if self.sum is None:
            return True
        return float(self.sum @ row) >= SAME * float(np.linalg.norm(self.sum))

    def add(self, held: _Held) -> None:
        self.sum = held.row.copy() if self.sum is None else self.sum + held.row
        self.held.append(held)
        if len(self.held) >= _HELD:
            self.held = [self.best()]

    def best(self) -> _Held:
        """Return the frame nearest to the mean, of those that are sharp and show something."""
        assert self.sum is not None
        mean = self.sum
        usual = sorted(each.sharpness for each in self.held)[len(self.held) // 2]
        sharp = [each for each in self.held if each.sharpness >= _SHARP * usual]
        shown = [each for each in sharp if not each.is_blank]
        return max(shown or sharp, key=lambda each: float(each.row @ mean))


class Shots:
    """Groups the frames of one video.

    Attributes:
        cover: the frame that stands for the whole video; None before the first.
    """

    def __init__(
        self, small: Callable[[Image.Image], Image.Image], coded: Callable[[Image.Image], bytes]
    ) -> None:
        """Begin with none.

        Args:
            small: shrinks a frame to the size of a preview: that is what is held.
            coded: turns that into the bytes of the preview of a shot.
        """
        self._small, self._coded = small, coded
        self.cover: Image.Image | None = None
        self._cover_worth = -1.0
        self._done: list[tuple[Shot, bool]] = []  # with whether it is blank
        self._group: _Group | None = None

    def add(self, frame: Frame, row: Vectors) -> None:
        """Take the next frame.

        Args:
            frame: in the order of the video.
            row: (dim,) float32, its unit vector.
        """
        if self._group is None or not self._group.takes(row):
            start_s = 0.0 if self._group is None else frame.start_s
            self._close(start_s)
            self._group = _Group(start_s)
        self._group.add(
            _Held(frame.second, row, self._small(frame.pixels), frame.sharpness, frame.is_blank)
        )

    def finish(self, duration_s: float) -> list[Shot]:
        """Return the shots in the order of time; they cover the whole video."""
        self._close(duration_s)
        self._group = None
        # A fade or a closed lens shows nothing: its time belongs to the shot before.
        shots = [s for s, is_blank in self._done if not is_blank] or [s for s, _ in self._done]
        starts = [0.0, *(shot.part.start_s or 0.0 for shot in shots[1:])]
        ends = [*starts[1:], max(duration_s, starts[-1], *(s.part.frame_s or 0.0 for s in shots))]
        return [
            replace(shot, part=replace(shot.part, start_s=start, end_s=round(end, 3)))
            for shot, start, end in zip(shots, starts, ends, strict=True)
        ]

    def _close(self, end_s: float) -> None:
        if self._group is None:
            return
        best = self._group.best()
        length = min(max(end_s - self._group.start_s, 0.0), _LONG_S)
        worth = 0.0 if best.is_blank else 1e-6 + length
        if worth > self._cover_worth:
            self.cover, self._cover_worth = best.pixels, worth
        times = round(self._group.start_s, 3), round(end_s, 3), round(best.second, 3)
        shot = Shot(Part("shot", None, *times), best.row, self._coded(best.pixels))
        self._done.append((shot, best.is_blank))
