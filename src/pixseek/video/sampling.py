"""Which frames of a video are decoded, and which of those are looked at. Runs in a worker.

Packets are read in order, without seeking, since a seek can land too late. A run of packets from
one key frame up to the next is known before any of it is decoded, so only what is needed of it is:
up to the last second that is looked at, and nothing but the key frame if the packets are so small
that nothing moves. Frames that no other needs are never decoded: of 1080p in H.264 as x264 writes
it, that alone leaves half of the processor time (2.5 of 4.7 s for 24 s of video, November 2026).
A shot that begins between key frames a second apart, as phones write them, is seen at the next one;
the size of its packet says when it began.

What is decoded is compared with the frame before: a cut begins a shot at that very frame, and a
frame that looks like the last one kept is dropped before it is embedded.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from pixseek.types.dataclass import dataclass
from pixseek.video import upright
from pixseek.video.probe import Video, broken

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: Seconds between the frames that are looked at, besides those after cuts.
STEP_S = 1.0

#: Seconds by which a frame may be earlier than it is wanted: the nearest may be undecoded.
_EARLY_S = 0.12

#: Frames that are looked at of one video, at most: longer ones get fewer a second.
MAX_SAMPLES = 20_000

#: Seconds of a video that are indexed, at most.
MAX_SECONDS = 24 * 3600.0

#: Seconds that a packet is shown, at most: a longer one is a mistake.
_LONGEST_S = 60.0

#: The times of packets begin again if they go back or ahead by more seconds than this: in one
#: recording, those by which decoders sort never go back.
_BACKWARD_S, _FORWARD_S = 1.0, 12 * 3600.0

#: Packets and bytes of one run that are held, at most; a longer one is taken in pieces.
_MOST_PACKETS, _MOST_BYTES = 1200, 128 << 20

#: Packets of a run are as good as empty up to this size, and up to this share of the key frame's:
#: x264 writes some 50 bytes for a 1080p frame in which nothing moves.
_STILL_BYTES, _STILL_SHARE = 128, 0.003

#: They also have about the same size: in a drawing, another picture costs a hundred bytes.
_STILL_TIMES, _STILL_ADDED = 2, 16

#: A packet this many times as large as usual, and this share of the key frame's, may begin a shot.
_SPIKE, _SPIKE_SHARE = 4, 0.5

#: Columns and rows of the grey picture by which frames are compared, and points averaged for each.
_GRID, _POINTS = (32, 18), 4

#: A cut changes the grey picture by at least this many levels on average, and this many times as
#: much as the frames before it changed.
_CUT_LEVELS, _CUT_TIMES = 14.0, 3.5

#: Seconds between cuts, at least.
_CUT_S = 0.3

#: Two frames are nearly the same if the grey pictures differ by no more than this many levels on
#: average, and by no more than that at any of its places.
_SAME_MEAN, _SAME_MOST = 1.5, 12.0

#: A frame with less contrast than this many levels is blank: a fade, a lens cap.
_BLANK = 4.0


@dataclass(frozen=True, slots=True)
class Sample:
    """A frame that is looked at.

    Attributes:
        second: when it is shown.
        start_s: since when it may be shown; halfway to the last frame that looked otherwise.
        pixels: (height, width, 3) uint8, upright sRGB.
        sharpness: larger is sharper; comparable within one video.
        is_blank: it shows nothing.
    """

    second: float
    start_s: float
    pixels: NDArray[np.uint8]
    sharpness: float
    is_blank: bool


class Sampling:
    """Goes through a video once.

    Attributes:
        reached_s: end of what was decoded so far, in seconds.
        damage: what went wrong on the way; "" for nothing.
        cut_off: whether it has more than the limits allow.
        joined: whether its times begin again, as in two recordings one behind the other.
    """

    def __init__(self, video: Video, duration_s: float, least: int, *, fast: bool) -> None:
        """Prepare; nothing is read yet.

        Args:
            video: freshly opened.
            duration_s: as the container says it; 0.0 when unknown.
            least: pixels that the shorter side of samples has at least.
            fast: whether only key frames are decoded.
        """
        self.video, self.least, self.fast = video, least, fast
        self.step = max(STEP_S, min(duration_s, MAX_SECONDS) / (MAX_SAMPLES / 2))
        self.reached_s, self.damage, self.cut_off = 0.0, "", False
        self._times = Times()
        self._wanted: list[float] = []
        self._planned = float("-inf")  # the last second that was planned
        self._last: tuple[float, NDArray[np.float32]] | None = None  # decoded
        self._kept: NDArray[np.float32] | None = None  # of the last sample
        self._looked_s = 0.0  # the last frame that was wanted, kept or not
        self._still: list[tuple[float, float]] = []  # runs in which nothing moves
        self._unseen: list[float] = []  # where shots may begin, in packets that are not decoded
        self._changes = 0.0  # of recent frames, on average
        self._cut_at = float("-inf")
        self._errors = self._frames = 0

    @property
    def joined(self) -> bool:
        """See above."""
        return self._times.joined

    def run(self) -> Iterator[Sample | None]:
        """Yield the samples in order, and None after each packet, as a sign of life.

        Raises:
            ImageError: no frame could be decoded.
        """
        import av

        context = self.video.stream.codec_context
        if not self.fast:
            context.skip_frame = "NONREF"
        truncated, self._count = False, 0
        run: list[Any] = []
        keep = 0
        try:
            for run in self._runs():
                keep = self._plan(run)
                key_s = self._second(run[0])
                yield from self._decoded(
                    packet
                    for packet in run[:keep]
                    # Else it needs frames of the run before, which were not decoded.
                    if not truncated or packet is run[0] or self._second(packet) >= key_s
                )
                truncated = keep < len(run) or (truncated and keep == 0)
                end = max(self._second(p) + self._length(p) for p in run)
                self.reached_s = max(self.reached_s, end)
                if self.reached_s > MAX_SECONDS or self._count >= MAX_SAMPLES:
                    self.cut_off = True
                    break
            if self._unseen and keep and not self.fast:  # no key frame follows
                self._wanted.append(self._unseen[-1] + _EARLY_S)
                yield from self._decoded(run[keep : self._up_to(run, self._unseen[-1])])
        except (av.error.FFmpegError, OSError, ValueError) as error:
            self._note(error)
        try:
            yield from self._looked_at(context.decode(None))
        except (av.error.FFmpegError, ValueError) as error:
            self._note(error)
        if not self._frames:
            raise broken(self.damage or "no frame of it can be decoded")

    def _decoded(self, packets: Iterable[Any]) -> Iterator[Sample | None]:
        """Yield what `run` does of some packets."""
        import av

        for packet in packets:
            try:
                frames = self.video.stream.codec_context.decode(packet)
            except (av.error.FFmpegError, ValueError) as error:
                self._note(error)
                continue
            for sample in self._looked_at(frames):
                yield sample
                self._count += 1
            yield None

    def _note(self, error: Exception) -> None:
        self._errors += 1
        self.damage = self.damage or str(error).splitlines()[0][:200]

    # ------------------------------------------------------------ packets

    def _runs(self) -> Iterator[list[Any]]:
        """Yield packets from one key frame up to the next."""
        run: list[Any] = []
        size = 0
        for packet in self.video.container.demux(self.video.stream):
            if packet.size == 0:
                continue  # the end
            self._times.straighten(packet)
            whole = len(run) >= _MOST_PACKETS or size >= _MOST_BYTES
            if run and (packet.is_keyframe or whole):
                yield run
                run, size = [], 0
            run.append(packet)
            size += packet.size
        if run:
            yield run

    def _plan(self, run: list[Any]) -> int:
        """Return how many packets of a run are decoded, and note the seconds that are wanted."""
        key = run[0]
        begin = self._second(key)
        end = max(self._second(each) + self._length(each) for each in run)
        if not key.is_keyframe and self._frames == 0 and self._errors == 0:
            pass  # the first run of a file that was cut: the decoder says what it can do with it
        elif (
            begin < self._planned + 0.75 * self.step
            and end < self._planned + 1.5 * self.step
            and not self._unseen
        ):
            return 0  # key frames that are closer than needed
        end = min(end, MAX_SECONDS + self.step)
        wanted: list[float] = []
        is_soon = begin < self._planned + 0.5 * self.step
        at = max(begin, self._planned + self.step) if is_soon else begin
        while at <= end - 0.5 * self.step or not wanted:
            wanted.append(at)
            at += self.step
        spikes = self._spikes(run)
        if self.fast:
            wanted, self._unseen = [begin], self._unseen + spikes
            spikes = []
        elif key.is_keyframe and self._is_still(run):
            wanted, spikes = [begin], []
            self._still.append((begin, end))
        if key.is_keyframe and begin < wanted[0]:
            wanted.insert(0, begin)  # it is decoded in any case
        self._wanted += wanted
        self._planned = wanted[-1]
        if spikes and spikes[-1] > wanted[-1] and end - spikes[-1] <= self.step:
            self._unseen.append(spikes.pop())
        last = max([wanted[-1], *spikes])
        return 1 if last == begin and key.is_keyframe else self._up_to(run, last)

    def _up_to(self, run: list[Any], second: float) -> int:
        """Return how many packets of a run are decoded to see what is shown at a second."""
        # Some frames more: those that no other needs are left out.
        needed = (n for n, each in enumerate(run) if self._second(each) <= second + 0.15)
        return max(needed, default=0) + 1

    def _is_still(self, run: list[Any]) -> bool:
        """Return whether nothing moves, by the sizes of the packets."""
        sizes = sorted(packet.size for packet in run[1:])
        if not sizes:
            return False
        most = max(_STILL_BYTES, _STILL_SHARE * run[0].size)
        return bool(sizes[-1] <= min(most, _STILL_TIMES * sizes[len(sizes) // 2] + _STILL_ADDED))

    def _spikes(self, run: list[Any]) -> list[float]:
        """Return seconds at which packets are as large as where a shot begins."""
        sizes = sorted(packet.size for packet in run[1:])
        if not sizes:
            return []
        least = max(_SPIKE * sizes[len(sizes) // 2], _SPIKE_SHARE * run[0].size)
        return [self._second(packet) for packet in run[1:] if packet.size >= least]

    def _second(self, packet: Any) -> float:
        ticks = packet.pts if packet.pts is not None else packet.dts
        if ticks is None:
            return self.reached_s
        return float(ticks * packet.time_base) - self.video.start_s

    def _length(self, packet: Any) -> float:
        length = float(packet.duration * packet.time_base) if packet.duration else 0.0
        return length if 0 < length <= _LONGEST_S else 0.0

    # ------------------------------------------------------------ frames

    def _looked_at(self, frames: list[Any]) -> Iterator[Sample]:
        """Yield those of some decoded frames that are wanted, or begin a shot."""
        for frame in frames:
            second = self._shown_at(frame)
            if second < -0.001:
                continue  # before the beginning of an edit list
            second = max(0.0, second)
            self._frames += 1
            grey = self._grey(frame)
            is_cut = self._is_cut(frame, second, grey)
            is_wanted = bool(self._wanted) and second >= self._wanted[0] - _EARLY_S
            self._last = (second, grey)
            self.reached_s = max(self.reached_s, second)
            if not is_cut and not is_wanted:
                continue
            while self._wanted and second >= self._wanted[0] - _EARLY_S:
                self._wanted.pop(0)
            since = self._same_until(second)
            self._looked_s = second
            began_s = self._began_unseen(second)
            if not is_cut and self._is_same(grey):
                continue
            start_s = second if is_cut or self._kept is None else (since + second) / 2
            start_s = start_s if began_s is None else began_s
            self._kept = grey
            yield self._sample(frame, second, start_s, grey)

    def _began_unseen(self, second: float) -> float | None:
        """Return where a shot that shows this second may have begun, undecoded; None if nowhere."""
        began = None
        while self._unseen and self._unseen[0] <= second + 0.002:  # times are rounded
            began = min(self._unseen.pop(0), second)
        return began

    def _same_until(self, second: float) -> float:
        """Return until when all looked as in the last frame that was looked at."""
        same = self._looked_s
        while self._still and self._still[0][1] <= second + 0.1:
            begin, end = self._still.pop(0)
            if begin <= same + 0.1:
                same = min(end, second)
        return same

    def _sample(
        self, frame: Any, second: float, start_s: float, grey: NDArray[np.float32]
    ) -> Sample:
        import numpy as np

        pixels = upright.pixels_of(frame, self.video.shape, self.least)
        luma = pixels[:, :, 1].astype(np.float32)
        sharpness = 0.0
        if min(luma.shape) > 1:
            across, down = np.abs(np.diff(luma, axis=1)), np.abs(np.diff(luma, axis=0))
            sharpness = float(across.mean() + down.mean())
        return Sample(second, start_s, pixels, sharpness, bool(grey.std() < _BLANK))

    def _shown_at(self, frame: Any) -> float:
        if frame.pts is not None:  # `frame.time` is not a number for the last ones
            return float(frame.pts * self.video.stream.time_base) - self.video.start_s
        rate = self.video.stream.average_rate
        return self._last[0] + (float(1 / rate) if rate else 0.04) if self._last else 0.0

    def _is_cut(self, frame: Any, second: float, grey: NDArray[np.float32]) -> bool:
        """Return whether a shot begins with a frame.

        Where the end of a run was not decoded, its packets show no cut, so the change is at the
        key frame behind it.
        """
        import numpy as np

        if self._last is None:
            return True
        before, other = self._last
        change = float(np.abs(grey - other).mean())
        usual, self._changes = self._changes, 0.8 * self._changes + 0.2 * min(change, 20.0)
        if change < max(_CUT_LEVELS, _CUT_TIMES * usual) or second - self._cut_at < _CUT_S:
            return False
        if second - before > 0.5 and not frame.key_frame:
            return False  # too far apart to tell a cut from a movement
        self._cut_at = second
        self._changes = 0.0
        return True

    def _is_same(self, grey: NDArray[np.float32]) -> bool:
        import numpy as np

        if self._kept is None:
            return False
        change = np.abs(grey - self._kept)
        return bool(change.mean() <= _SAME_MEAN and change.max() <= _SAME_MOST)

    def _grey(self, frame: Any) -> NDArray[np.float32]:
        """Return a frame as a grey picture of `_GRID`, (rows, columns) float32, 0 to 255."""
        import numpy as np

        across, down = _GRID[0] * _POINTS, _GRID[1] * _POINTS
        if frame.format.name in _PLANAR and frame.width >= across and frame.height >= down:
            plane = frame.planes[0]
            luma = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
            rows = np.arange(down) * frame.height // down
            columns = np.arange(across) * frame.width // across
            points = luma[rows[:, None], columns]
        else:
            points = frame.reformat(across, down, "gray8").to_ndarray()
        blocks = points.reshape(_GRID[1], _POINTS, _GRID[0], _POINTS)
        found: NDArray[np.float32] = blocks.mean(axis=(1, 3), dtype=np.float32)
        return found


#: Formats whose first plane is brightness in bytes.
_PLANAR = frozenset({"yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuv444p", "yuvj444p", "nv12"})


class Times:
    """Lets the times of packets go on where they begin again.

    So two transport streams in one file are a video, the second part behind the first.

    Attributes:
        joined: whether they began again.
    """

    def __init__(self) -> None:
        self.joined = False
        self._added = 0  # to the times of packets, in ticks
        self._next: int | None = None  # time of the packet behind the last one

    def straighten(self, packet: Any) -> None:
        """Change the times of the next packet, if they began again, or can't be true."""
        if packet.dts is None:
            return
        base, at = packet.time_base, packet.dts + self._added
        if self._next is not None:
            ahead = float((at - self._next) * base)
            if not -_BACKWARD_S <= ahead <= _FORWARD_S:
                self.joined = True
                self._added += self._next - at
                at = self._next
        length = packet.duration or 0
        self._next = at + (length if 0 < float(length * base) <= _LONGEST_S else 0)
        if self._added:
            if packet.pts is not None:
                packet.pts += self._added
            packet.dts = at
        if packet.pts is not None and abs(float((packet.pts - at) * base)) > _LONGEST_S:
            packet.pts = at
