"""The frames of a video, decoded in a process of their own, as a stream.

What is held is a few frames, however long the video: the process waits until they are taken. A
file that can crash, hang or never end costs no more than the limits here.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pixseek import files
from pixseek.errors import ImageError, MissingExtraError
from pixseek.images.confinement import environment, module_folders
from pixseek.images.limits import MAX_PIXELS
from pixseek.images.messages import Channel
from pixseek.types import Picture
from pixseek.types.dataclass import dataclass
from pixseek.video import formats
from pixseek.video.probe import Probe

if TYPE_CHECKING:
    from PIL import Image

#: Maximum seconds without a sign of life: one frame of 8K takes 0.3 s on one Zen 4 core.
STALL_S = 60.0

#: Maximum seconds in all: these, and this many for each second of the video that is decoded.
_BASE_S, _PER_SECOND_S = 600.0, 4.0

#: Maximum address space of the process, in MiB: FFmpeg holds up to 16 frames a thread.
_MEMORY_MIB = 4096

#: Maximum seconds of processor time: a day of 4K in HEVC takes half of that.
_CPU_S = 24 * 3600

#: Frames that are decoded ahead: while a batch is embedded, the next is decoded.
_AHEAD = 16

#: Maximum bytes of a message's head, which has the texts of the container.
_MOST_HEAD = 1 << 20

_START = (
    "import sys, json; sys.path[:] = json.loads(sys.argv[1])['path']; "
    "from pixseek.video.worker import main; main()"
)


@dataclass(frozen=True, slots=True)
class Source:
    """Where a video is: a file, or a part of one.

    Attributes:
        path: of the file.
        window: first byte and length of the part; None for the whole file.
        within: the folder that the file has to lie in, resolved; None for any place.
    """

    path: Path
    window: tuple[int, int] | None = None
    within: str | None = None


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame that was looked at; see `sampling.Sample`."""

    second: float
    start_s: float
    pixels: Image.Image
    sharpness: float = 0.0
    is_blank: bool = False


@dataclass(frozen=True, slots=True)
class End:
    """How a video ended.

    Attributes:
        duration_s: as decoded.
        notes: what its owner may want to know.
    """

    duration_s: float
    notes: tuple[str, ...] = ()


def available() -> bool:
    """Return whether videos can be decoded."""
    from importlib.util import find_spec

    try:
        return find_spec("av") is not None
    except ValueError:  # blocked: it stands for nothing in sys.modules
        return False


def probe(source: Source) -> tuple[Probe, str]:
    """Return what a video says of itself, and its media type.

    Raises:
        ImageError: it is not a video, or can't be decoded.
        MissingExtraError: PyAV is not installed.
    """
    media = media_of(source)
    with contextlib.closing(_Process(source, what="probe")) as process:
        found = process.probe()
        return found, media


def media_of(source: Source) -> str:
    """Return the media type of a video.

    Raises:
        ImageError: it is not a video, or can't be read.
    """
    try:
        with files.opened(source.path, within=source.within) as descriptor:
            os.lseek(descriptor, source.window[0] if source.window else 0, os.SEEK_SET)
            beginning = os.read(descriptor, formats.BEGINNING)
    except OSError as error:
        raise unreadable(error) from error
    if not beginning:
        raise ImageError("empty", "The file is empty", advice="Restore it from a backup.")
    media = formats.media(beginning)
    if not media:
        raise ImageError(
            "not-an-image",
            "The content is not a video",
            advice="If it should be one, open it in a video player to check.",
        )
    return media


def unreadable(error: OSError) -> ImageError:
    """Return the error for a file that can't be read."""
    reason = {FileNotFoundError: "missing", PermissionError: "no-permission"}.get(
        type(error), "outside" if isinstance(error, files.OutsideError) else "unreadable"
    )
    return ImageError(reason, f"It can't be read ({error.strerror or error})", advice="Run again.")


def at_seconds(
    source: Source, seconds: Sequence[float], least: int
) -> Generator[Picture, None, None]:
    """Yield the frame that is shown at each of some seconds; the last one for those beyond the end.

    Args:
        source: of the video.
        seconds: from its beginning, ascending.
        least: pixels that the shorter side has at least, if the video has as many.

    Raises:
        ImageError: it is not a video, or can't be decoded.
        MissingExtraError: PyAV is not installed.
    """
    media = media_of(source)
    asked = [max(0.0, float(each)) for each in seconds]
    with contextlib.closing(_Process(source, what="at", seconds=asked, least=least)) as process:
        about = process.probe()
        for _ in asked:
            _, pixels = process.frame()
            if pixels is None:
                raise _gone("it ended too early")
            yield Picture(pixels, about.width, about.height, media)


def frame_at(source: Source | Path | str, second: float, *, least: int = 1 << 20) -> Picture:
    """Return the frame that is shown at a second; the last one beyond the end.

    Args:
        source: of the video.
        second: from its beginning.
        least: as for `at_seconds`.

    Raises:
        ImageError: it is not a video, or can't be decoded.
        MissingExtraError: PyAV is not installed.
    """
    given = source if isinstance(source, Source) else Source(Path(source))
    with contextlib.closing(at_seconds(given, [second], least)) as pictures:
        return next(pictures)


def cut_in_process(
    source: Source, start_s: float, end_s: float, to: int, ending: str, exact: bool
) -> dict[str, float]:
    """Write a part of a video to an open file; return where it begins and ends; see `clips.cut`.

    Raises:
        ImageError: it can't be read, or not be written in the container of this ending.
    """
    cut = {"start_s": start_s, "end_s": end_s, "ending": ending, "exact": exact}
    with contextlib.closing(_Process(source, what="cut", cut=cut, to=to)) as process:
        found = process.receive().get("cut")
        if not isinstance(found, dict):
            raise _gone("an impossible answer")
        return {name: _number(found.get(name)) for name in ("start_s", "end_s")}


class Frames:
    """The frames of one video that are looked at.

    Attributes:
        media: its media type.
        about: what it says of itself; filled by `start`.
        end: how it ended, after the last frame.
    """

    def __init__(
        self, source: Source, least: int, *, fast: bool = False, threads: int = 1,
        stop: threading.Event | None = None,
    ) -> None:  # fmt: skip
        """Describe what to decode; nothing runs yet.

        Args:
            source: of the video.
            least: pixels that the shorter side of frames has at least, if it has as many.
            fast: whether only key frames are decoded.
            threads: that decode.
            stop: when set, no more frames come.
        """
        self.source, self.least, self.fast, self.threads = source, least, fast, threads
        self.media = ""
        self.about: Probe | None = None
        self.end = End(0.0)
        self._stop = stop or threading.Event()
        self._process: _Process | None = None

    def start(self) -> Probe:
        """Start the process, and return what the video says of itself.

        Raises:
            ImageError: it is not a video, or can't be decoded.
            MissingExtraError: PyAV is not installed.
        """
        self.media = media_of(self.source)
        self._process = _Process(
            self.source, what="samples", least=self.least, fast=self.fast, threads=self.threads
        )
        self.about = self._process.probe()
        return self.about

    def close(self) -> None:
        """End the process, if it runs."""
        if self._process is not None:
            self._process.close()

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames; see `start` for what is raised."""
        if self._process is None:
            self.start()
        process = self._process
        assert process is not None
        taken: queue.Queue[Frame | BaseException | None] = queue.Queue(_AHEAD)
        left = threading.Event()

        def put(each: Frame | BaseException | None) -> None:
            while not left.is_set():
                with contextlib.suppress(queue.Full):
                    return taken.put(each, timeout=0.2)

        def read() -> None:
            try:
                while not left.is_set() and not self._stop.is_set():
                    head, pixels = process.frame()
                    if pixels is None:
                        break
                    put(
                        Frame(head["second"], head["start_s"], pixels, head["sharpness"],
                              head["blank"])
                    )  # fmt: skip
                put(None)
            except BaseException as error:
                put(error)

        thread = threading.Thread(target=read, name="pixseek-frames", daemon=True)
        thread.start()
        try:
            while (found := taken.get()) is not None:
                if isinstance(found, BaseException):
                    raise found
                yield found
            self.end = process.end()
        finally:
            left.set()
            process.close()
            thread.join()


class _Process:
    """A process that decodes one video."""

    def __init__(
        self, source: Source, *, what: str, least: int = 1, threads: int = 1, fast: bool = False,
        seconds: Sequence[float] = (), cut: dict[str, Any] | None = None,
        to: int | None = None,
    ) -> None:  # fmt: skip
        if not available():
            raise MissingExtraError("Reading videos", "av", "video")
        self._began = time.monotonic()
        self._reached_s = 0.0
        self._last: dict[str, Any] = {}
        self._about: Probe | None = None
        self._lock = threading.Lock()
        question: dict[str, Any] = {
            "what": what, "least": least, "threads": threads, "fast": fast,
            "seconds": list(seconds), "window": source.window, **(cut or {}),
        }  # fmt: skip
        try:
            with files.opened(source.path, within=source.within) as descriptor:
                os.set_blocking(descriptor, True)
                self._start(question, source, descriptor, to)
        except OSError as error:
            raise unreadable(error) from error

    def _start(
        self, question: dict[str, Any], source: Source, descriptor: int, to: int | None
    ) -> None:
        options: dict[str, Any] = {"start_new_session": True}
        if os.name == "nt":  # no descriptors pass, and nothing forbids to open the file
            question["file"] = str(source.path)
        else:
            question["file"] = descriptor
            options["pass_fds"] = [descriptor] if to is None else [descriptor, to]
            question["to"] = to
        settings = {
            "path": module_folders(sys.path), "memory_mib": _MEMORY_MIB, "parent": os.getpid(),
            "cpu_s": _CPU_S, "stall_s": STALL_S, "writes": to is not None, "question": question,
        }  # fmt: skip
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-c", _START, json.dumps(settings)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            cwd=os.path.abspath(os.sep),
            env=environment(os.environ),
            **options,
        )
        assert self._process.stdin is not None and self._process.stdout is not None
        self._channel = Channel(
            self._process.stdout.fileno(), self._process.stdin.fileno(), timed=True
        )

    def close(self) -> None:
        """End the process."""
        with self._lock:
            self._process.kill()
            self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()

    def probe(self) -> Probe:
        """Return what the video says of itself: the first answer."""
        head = self.receive()
        try:
            about = Probe(**head["probe"])
            for size in (about.width, about.height):
                if type(size) is not int or not 1 <= size < 1 << 20:
                    raise ValueError("a size that is not one")
            texts = {str(k): str(v) for k, v in dict(about.texts).items()}
            self._about = Probe(
                about.width, about.height, _number(about.duration_s), _number(about.fps),
                str(about.codec)[:40], about.has_audio is True, str(about.hdr)[:10], texts,
            )  # fmt: skip
        except (KeyError, TypeError, ValueError) as error:
            raise _gone(f"an impossible answer: {error}") from error
        return self._about

    def frame(self) -> tuple[dict[str, Any], Image.Image | None]:
        """Return the next frame with what is said of it; None for it at the end."""
        from PIL import Image

        while True:
            head = self.receive()
            if "end" in head:
                return self._last, None
            if "size" not in head:
                self._last = head
                continue
            try:
                width, height = head["size"]
                second = _number(head["second"])
                if min(width, height) < 1 or width * height > MAX_PIXELS:
                    raise ValueError("a size that is not one")
                if head["blobs"] != [3 * width * height]:
                    raise ValueError("the wrong number of bytes")
                (blob,) = self._channel.receive_blobs(head["blobs"], self._deadline())
                head = {
                    "second": second, "start_s": min(_number(head.get("start_s", second)), second),
                    "sharpness": _number(head.get("sharpness", 0.0)),
                    "blank": head.get("blank") is True,
                }  # fmt: skip
                return head, Image.frombytes("RGB", (width, height), bytes(blob))
            except (KeyError, TypeError, ValueError) as error:
                raise _gone(f"an impossible answer: {error}") from error
            except (EOFError, OSError) as error:
                raise self._ended() from error

    def end(self) -> End:
        """Return how the video ended, after its last frame."""
        reached = _number(self._last.get("reached_s", 0.0))
        notes = []
        about = self._about
        if about is not None and about.hdr:
            notes.append(f"HDR ({about.hdr}) tone-mapped to sRGB")
        damage, cut_off = self._last.get("damage"), bool(self._last.get("cut_off"))
        declared = about.duration_s if about is not None else 0.0
        if damage:
            notes.append(f"damaged: indexed up to {_clock(reached)} ({str(damage)[:200]})")
        elif declared - reached > 2 + declared / 50 and not cut_off:
            notes.append(f"damaged: it ends at {_clock(reached)} of {_clock(declared)}")
        if cut_off:
            notes.append(f"only its first {_clock(reached)} are indexed")
        return End(reached, tuple(notes))

    def receive(self) -> dict[str, Any]:
        """Return the next answer's head.

        Raises:
            ImageError: the process refused the file, ended or took too long.
        """
        try:
            head = self._channel.receive_head(self._deadline(), _MOST_HEAD)
        except TimeoutError:
            self.close()
            raise ImageError(
                "timeout",
                f"Decoding the video stopped at {_clock(self._reached_s)}: it took too long",
                advice="Convert it, for example to H.264; it may be damaged or malicious.",
            ) from None
        except ValueError as error:
            raise _gone(f"an impossible answer: {error}") from error
        except (EOFError, OSError) as error:
            raise self._ended() from error
        for name in ("second", "reached_s"):
            if name in head:
                self._reached_s = max(self._reached_s, min(_number(head[name]), 1e6))
        if "error" in head:
            reason, problem, advice = map(str, head["error"])
            if reason not in ImageError.REASONS:
                raise _gone("an unknown reason")
            raise ImageError(reason, problem[:600], advice=advice[:300])
        return head

    def _deadline(self) -> float:
        most = self._began + _BASE_S + _PER_SECOND_S * self._reached_s
        return min(time.monotonic() + STALL_S, most)

    def _ended(self) -> ImageError:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(5)
        return _gone(f"status {self._process.poll()}")


def _number(value: object) -> float:
    number = float(value)  # type: ignore[arg-type]
    if not 0 <= number < float("inf"):
        raise ValueError("a number that is not one")
    return number


def _clock(seconds: float) -> str:
    whole = int(seconds)
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}" if hours else f"{rest // 60}:{rest % 60:02}"


def _gone(how: str) -> ImageError:
    return ImageError(
        "crashed",
        f"The video decoder crashed on the file ({how})",
        advice="Convert it, for example to H.264; it is damaged or malicious.",
    )
