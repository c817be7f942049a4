"""The process that decodes one video: what it is asked, and how long it may take."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pixseek import files
from pixseek.errors import ImageError, MissingExtraError
from pixseek.images.confinement import environment, module_folders
from pixseek.images.limits import MAX_PIXELS
from pixseek.images.messages import Channel
from pixseek.types.dataclass import dataclass
from pixseek.video.probe import Probe

if TYPE_CHECKING:
    from PIL import Image

#: Maximum seconds without a sign of life: one frame of 8K takes 0.3 s on one Zen 4 core.
STALL_S = 60.0

#: Maximum seconds in all: these, and this many for each second of the video that is decoded. The
#: time in which nobody waits for it, as while frames are embedded, does not count.
_BASE_S, _PER_SECOND_S = 600.0, 4.0

#: Seconds between looks whether a run that waits for a process is to stop.
_STOP_LOOK_S = 0.2

#: Seconds between the signs of life of a process that has nothing else to send.
_TELL_S = 1.0

#: Maximum address space of the process, in MiB: FFmpeg holds up to 16 frames a thread.
_MEMORY_MIB = 4096

#: Maximum seconds of processor time: a day of 4K in HEVC takes half of that.
_CPU_S = 24 * 3600

#: Maximum bytes of a message's head, which has the texts of the container.
_MOST_HEAD = 1 << 20

_START = (
    "import sys, json; sys.path[:] = json.loads(sys.argv[1])['path']; "
    "from pixseek.video.worker import main; main()"
)


@dataclass(frozen=True, slots=True)
class Source:
    """Where a video is: a file, a part of one, or in memory.

    Attributes:
        path: of the file; of one in memory a name.
        window: first byte and length of the part; None for the whole file.
        within: the folder that the file has to lie in, resolved; None for any place.
        content: of a video in memory; None for a file.
        held: keeps a temporary file as long as it is referred to; None for any other.
    """

    path: Path
    window: tuple[int, int] | None = None
    within: str | None = None
    content: bytes | None = field(default=None, repr=False)
    held: object = field(default=None, repr=False, compare=False)

    @contextlib.contextmanager
    def opened(self) -> Iterator[int]:
        """Open it for reading inside the block; yield its descriptor.

        Raises:
            OSError: it is not there, or can't be opened; see `files`.
        """
        if self.content is None:
            with files.opened(self.path, within=self.within) as descriptor:
                yield descriptor
            return
        with tempfile.TemporaryFile() as file:  # decoders read a file
            file.write(self.content)
            file.flush()
            file.seek(0)
            yield file.fileno()


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


def unreadable(error: OSError) -> ImageError:
    """Return the error for a file that can't be read."""
    reason = {FileNotFoundError: "missing", PermissionError: "no-permission"}.get(
        type(error), "outside" if isinstance(error, files.OutsideError) else "unreadable"
    )
    return ImageError(reason, f"It can't be read ({error.strerror or error})", advice="Run again.")


class Process:
    """A process that decodes one video."""

    def __init__(
        self, source: Source, *, what: str, least: int = 1, threads: int = 1, fast: bool = False,
        seconds: Sequence[float] = (), cut: dict[str, Any] | None = None,
        to: int | None = None, stop: threading.Event | None = None,
    ) -> None:  # fmt: skip
        if not available():
            raise MissingExtraError("Reading videos", "av", "video")
        self._began = self._left_at = time.monotonic()
        self._reached_s = 0.0
        self._last: dict[str, Any] = {}
        self._about: Probe | None = None
        self._lock = threading.Lock()
        self._stop = stop
        question: dict[str, Any] = {
            "what": what, "least": least, "threads": threads, "fast": fast,
            "seconds": list(seconds), "window": source.window, **(cut or {}),
        }  # fmt: skip
        try:
            with source.opened() as descriptor:
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
            "cpu_s": _CPU_S, "stall_s": STALL_S, "tell_s": _TELL_S,
            "writes": to is not None, "question": question,
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

    def kill(self) -> None:
        """End the process; a thread that waits for an answer gets an error."""
        with self._lock:
            self._process.kill()
            self._process.wait()

    def close(self) -> None:
        """End the process, and close its pipes, which no other thread may be reading."""
        self.kill()
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
                about.width, about.height, number(about.duration_s), number(about.fps),
                str(about.codec)[:40], about.has_audio is True, str(about.hdr)[:10], texts,
            )  # fmt: skip
        except (KeyError, TypeError, ValueError) as error:
            raise gone(f"an impossible answer: {error}") from error
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
                second = number(head["second"])
                if min(width, height) < 1 or width * height > MAX_PIXELS:
                    raise ValueError("a size that is not one")
                if head["blobs"] != [3 * width * height]:
                    raise ValueError("the wrong number of bytes")
                (blob,) = self._channel.receive_blobs(head["blobs"], self._deadline())
                self._left_at = time.monotonic()
                head = {
                    "second": second, "start_s": min(number(head.get("start_s", second)), second),
                    "sharpness": number(head.get("sharpness", 0.0)),
                    "blank": head.get("blank") is True,
                }  # fmt: skip
                return head, Image.frombytes("RGB", (width, height), bytes(blob))
            except (KeyError, TypeError, ValueError) as error:
                raise gone(f"an impossible answer: {error}") from error
            except TimeoutError:
                raise self._too_slow() from None
            except (EOFError, OSError) as error:
                raise self._ended() from error

    def cut(self) -> tuple[float, float]:
        """Return where the part that was written begins and ends, in seconds."""
        while "cut" not in (head := self.receive()):
            if "end" in head:
                raise gone("it ended too early")
        try:
            return number(head["cut"]["start_s"]), number(head["cut"]["end_s"])
        except (KeyError, TypeError, ValueError) as error:
            raise gone(f"an impossible answer: {error}") from error

    def end(self) -> End:
        """Return how the video ended, after its last frame."""
        reached = number(self._last.get("reached_s", 0.0))  # `receive` has seen it
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
        if self._last.get("joined") is True:
            notes.append("its times begin again: players may show its later seconds elsewhere")
        if cut_off:
            notes.append(f"only its first {_clock(reached)} are indexed")
        return End(reached, tuple(notes))

    def receive(self) -> dict[str, Any]:
        """Return the next answer's head.

        Raises:
            ImageError: the process refused the file, ended or took too long, or is to stop.
        """
        self._began += time.monotonic() - self._left_at
        deadline = self._deadline()
        try:
            while not self._channel.is_waiting(min(_STOP_LOOK_S, deadline - time.monotonic())):
                self._check_stop()
                if time.monotonic() >= deadline:
                    raise TimeoutError
            self._check_stop()
            head = self._channel.receive_head(deadline, _MOST_HEAD)
        except TimeoutError:
            raise self._too_slow() from None
        except ValueError as error:
            raise gone(f"an impossible answer: {error}") from error
        except (EOFError, OSError) as error:
            raise self._ended() from error
        try:
            for name in ("second", "reached_s"):
                if name in head:
                    self._reached_s = max(self._reached_s, min(number(head[name]), 1e6))
            if "error" in head:
                reason, problem, advice = map(str, head["error"])
                if reason not in ImageError.REASONS:
                    raise gone("an unknown reason")
                raise ImageError(reason, problem[:600], advice=advice[:300])
        except (TypeError, ValueError) as error:
            raise gone(f"an impossible answer: {error}") from error
        self._left_at = time.monotonic()
        return head

    def _check_stop(self) -> None:
        if self._stop is not None and self._stop.is_set():
            self.kill()
            raise gone("it was stopped")

    def _deadline(self) -> float:
        most = self._began + _BASE_S + _PER_SECOND_S * self._reached_s
        return min(time.monotonic() + STALL_S, most)

    def _too_slow(self) -> ImageError:
        self.kill()
        return ImageError(
            "timeout",
            f"Decoding the video stopped at {_clock(self._reached_s)}: it took too long",
            advice="Convert it, for example to H.264; it may be damaged or malicious.",
        )

    def _ended(self) -> ImageError:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(5)
        return gone(f"status {self._process.poll()}")


def number(value: object) -> float:
    """Return a number of an answer, which is finite and not negative.

    Raises:
        TypeError, ValueError: it is not one.
    """
    try:
        found = float(value)  # type: ignore[arg-type]
    except OverflowError:
        found = float("inf")
    if not 0 <= found < float("inf"):
        raise ValueError("a number that is not one")
    return found


def _clock(seconds: float) -> str:
    whole = int(seconds)
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}" if hours else f"{rest // 60}:{rest % 60:02}"


def gone(how: str) -> ImageError:
    """Return the error for a process that ended, or said what it can't have meant."""
    return ImageError(
        "crashed",
        f"The video decoder crashed on the file ({how})",
        advice="Convert it, for example to H.264; it is damaged or malicious.",
    )
