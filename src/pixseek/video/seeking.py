"""The frames of a video at some seconds. Runs in a worker process.

A seek can land late, so what comes is compared with what was asked, and the next seek goes further
back. Seconds that are close are read in one pass.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from pixseek.video import upright
from pixseek.video.probe import Video, broken
from pixseek.video.sampling import Times

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: Seconds ahead up to which frames are decoded one after the other rather than sought.
_FAR_S = 4.0

#: Seconds that a seek goes further back, one after the other, if its first frame comes too late.
_BACK_S = (0.0, 3.0, 12.0, float("inf"))

#: Frames this many seconds later still count as shown at a second: times are rounded.
_ROUNDING_S = 0.002


def at_seconds(
    video: Video, seconds: list[float], least: int, *, tell: Callable[[float], None]
) -> Iterator[tuple[float, NDArray[np.uint8]]]:
    """Yield the pixels of the frame that is shown at each of some seconds; see `upright.pixels_of`.

    Seconds beyond the end give the last frame.

    Args:
        video: freshly opened.
        seconds: ascending.
        least: pixels that the shorter side has at least.
        tell: called with the second that was decoded last, after each packet.

    Raises:
        ImageError: no frame could be decoded.
    """
    frames: Iterator[tuple[float, Any]] = iter(())
    shown: tuple[float, Any] | None = None
    ahead: tuple[float, Any] | None = None
    for wanted in seconds:
        if shown is None or wanted - shown[0] > _FAR_S:
            frames = frames_from(video, wanted, tell)
            shown, ahead = None, next(frames, None)
        while ahead is not None and (shown is None or ahead[0] <= wanted + _ROUNDING_S):
            shown, ahead = ahead, next(frames, None)
        if shown is None:
            raise broken("no frame of it can be decoded")
        yield wanted, upright.pixels_of(shown[1], video.shape, least)


def frames_from(
    video: Video, second: float, tell: Callable[[float], None]
) -> Iterator[tuple[float, Any]]:
    """Yield frames with their seconds, from one that is shown at a second, or before."""
    import av

    for back in _BACK_S:
        to = max(0.0, second - back)
        if back == _BACK_S[-1]:
            video.rewind()  # in a transport stream, even a seek to its beginning can land too late
        else:
            with contextlib.suppress(av.error.FFmpegError):
                video.container.seek(round((to + video.start_s) * 1_000_000))
        frames = _decoded(video, tell)
        first = next(frames, None)
        if first is not None and (first[0] <= second + _ROUNDING_S or back == _BACK_S[-1]):
            yield first
            yield from frames
            return


def _decoded(video: Video, tell: Callable[[float], None]) -> Iterator[tuple[float, Any]]:
    import av

    last, times = 0.0, Times()
    try:
        for packet in video.container.demux(video.stream):
            tell(last)
            if packet.size:
                times.straighten(packet)
            try:
                frames = packet.decode()
            except (av.error.FFmpegError, ValueError):
                continue
            for frame in frames:
                last = last if frame.time is None else float(frame.time) - video.start_s
                yield last, frame
    except (av.error.FFmpegError, OSError):
        return
