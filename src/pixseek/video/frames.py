"""The frames of a video, decoded in a process of their own, as a stream.

What is held is a few frames, however long the video: the process waits until they are taken. A
file that can crash, hang or never end costs no more than the limits here.
"""

from __future__ import annotations

import contextlib
import os
import queue
import threading
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pixseek.errors import ImageError
from pixseek.types import Picture
from pixseek.types.dataclass import dataclass
from pixseek.video import formats
from pixseek.video.probe import Probe
from pixseek.video.process import End, Process, Source, available, gone, unreadable

if TYPE_CHECKING:
    from PIL import Image

__all__ = [
    "Frame", "Frames", "Source", "at_seconds", "available", "cut_in_process", "frame_at",
    "media_of", "probe", "unreadable",
]  # fmt: skip

#: Frames that are decoded ahead: while a batch is embedded, the next is decoded.
_AHEAD = 16


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame that was looked at; see `sampling.Sample`."""

    second: float
    start_s: float
    pixels: Image.Image
    sharpness: float = 0.0
    is_blank: bool = False


def probe(source: Source, stop: threading.Event | None = None) -> tuple[Probe, str]:
    """Return what a video says of itself, and its media type.

    Args:
        source: of the video.
        stop: when set, it ends with an error.

    Raises:
        ImageError: it is not a video, or can't be decoded.
        MissingExtraError: PyAV is not installed.
    """
    media = media_of(source)
    with contextlib.closing(Process(source, what="probe", stop=stop)) as process:
        found = process.probe()
        return found, media


def media_of(source: Source) -> str:
    """Return the media type of a video.

    Raises:
        ImageError: it is not a video, or can't be read.
    """
    try:
        with source.opened() as descriptor:
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
    with contextlib.closing(Process(source, what="at", seconds=asked, least=least)) as process:
        about = process.probe()
        for _ in asked:
            _, pixels = process.frame()
            if pixels is None:
                raise gone("it ended too early")
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
    with contextlib.closing(Process(source, what="cut", cut=cut, to=to)) as process:
        begins, ends = process.cut()
        return {"start_s": begins, "end_s": ends}


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
            stop: when set, it ends with an error.
        """
        self.source, self.least, self.fast, self.threads = source, least, fast, threads
        self.media = ""
        self.about: Probe | None = None
        self.end = End(0.0)
        self._stop = stop
        self._process: Process | None = None
        self._thread: threading.Thread | None = None  # reads from the process
        self._left = threading.Event()  # nobody waits for frames

    def start(self) -> Probe:
        """Start the process, and return what the video says of itself.

        Raises:
            ImageError: it is not a video, or can't be decoded.
            MissingExtraError: PyAV is not installed.
        """
        self.media = media_of(self.source)
        self._process = Process(
            self.source, what="samples", least=self.least, fast=self.fast, threads=self.threads,
            stop=self._stop,
        )  # fmt: skip
        self.about = self._process.probe()
        return self.about

    def close(self) -> None:
        """End the process, if it runs."""
        self._left.set()
        if self._process is not None:
            self._process.kill()
            if self._thread is not None:
                self._thread.join()
            self._process.close()

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames; see `start` for what is raised."""
        if self._process is None:
            self.start()
        process = self._process
        assert process is not None
        taken: queue.Queue[Frame | BaseException | None] = queue.Queue(_AHEAD)
        left = self._left

        def put(each: Frame | BaseException | None) -> None:
            while not left.is_set():
                with contextlib.suppress(queue.Full):
                    return taken.put(each, timeout=0.2)

        def read() -> None:
            try:
                while not left.is_set():
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

        self._thread = threading.Thread(target=read, name="pixseek-frames", daemon=True)
        self._thread.start()
        try:
            while (found := taken.get()) is not None:
                if isinstance(found, BaseException):
                    raise found
                yield found
            self.end = process.end()
        finally:
            self.close()
