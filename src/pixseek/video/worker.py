"""The program of a worker process: open one video, answer one question, and end.

A process of its own for each video costs 0.3 s, and frees whatever FFmpeg keeps. It is confined as
those that decode images are; the video comes as an open file, so it needs to open none.
"""

from __future__ import annotations

import faulthandler
import gc
import io
import json
import os
import sys
import time
import warnings
from collections.abc import Sequence
from typing import Any, BinaryIO, TextIO

from pixseek.errors import ImageError
from pixseek.images.confinement import confine
from pixseek.images.messages import Channel


class Window(io.RawIOBase):
    """A part of a file, as a file: the clip of a motion photo lies behind its picture."""

    def __init__(self, file: BinaryIO, start: int, length: int) -> None:
        """Take a part of a file, by its first byte and length."""
        self._file, self._start, self._length, self._at = file, start, length, 0

    def readable(self) -> bool:
        """See `io.RawIOBase`."""
        return True

    def seekable(self) -> bool:
        """See `io.RawIOBase`."""
        return True

    def tell(self) -> int:
        """See `io.RawIOBase`."""
        return self._at

    def seek(self, offset: int, whence: int = 0) -> int:
        """See `io.RawIOBase`."""
        self._at = max(0, offset + (0, self._at, self._length)[whence])
        return self._at

    def readinto(self, buffer: Any) -> int:
        """See `io.RawIOBase`."""
        count = max(0, min(len(buffer), self._length - self._at))
        self._file.seek(self._start + self._at)
        content = self._file.read(count)
        buffer[: len(content)] = content
        self._at += len(content)
        return len(content)


class Lively:
    """Sends messages, which show that this process lives, and ends it where it hangs.

    While a message is sent no time counts: the other process takes it when it is ready.
    """

    def __init__(self, channel: Channel, hung_s: float, tell_s: float, silent: TextIO) -> None:
        """Begin to count.

        Args:
            channel: to the other process.
            hung_s: seconds between messages after which this process ends itself.
            tell_s: seconds after which `tell` sends again.
            silent: takes what Python writes of the end.
        """
        self._channel, self._hung_s, self._tell_s = channel, hung_s, tell_s
        self._silent = silent
        self._alive()

    def _alive(self) -> None:
        self._sent = time.monotonic()
        faulthandler.dump_traceback_later(self._hung_s, exit=True, file=self._silent)

    def send(self, head: dict[str, Any], blobs: Sequence[bytes] = ()) -> None:
        """Send a message; see `Channel.send`."""
        faulthandler.cancel_dump_traceback_later()
        self._channel.send(head, blobs)
        self._alive()

    def tell(self, reached_s: float) -> None:
        """Say up to which second of the video this process is, if it has sent nothing lately."""
        if time.monotonic() - self._sent >= self._tell_s:
            self.send({"reached_s": max(0.0, reached_s)})


def main() -> None:
    """Do what the argument says; see `frames`."""
    pipes = Channel(os.dup(0), os.dup(1))
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    warnings.simplefilter("ignore")
    silent = open(os.devnull, "w")  # noqa: SIM115
    settings = json.loads(sys.argv[1])
    confine(
        settings["memory_mib"], settings["parent"], settings["path"],
        cpu_s=settings["cpu_s"], writes=settings["writes"],
    )  # fmt: skip
    # The parent ends a worker that is silent for too long; without a parent, it ends itself.
    channel = Lively(pipes, settings["stall_s"] * 2, settings["tell_s"], silent)
    try:
        _answer(settings["question"], channel)
        channel.send({"end": True})
    except ImageError as error:
        channel.send({"error": [error.reason, error.problem, error.advice]})
    except MemoryError:
        channel.send({"error": ["too-large", "The video needs too much memory to decode", ""]})
    except BrokenPipeError:
        return
    except Exception as error:
        channel.send({"error": ["damaged", f"The video could not be decoded ({error})"[:500], ""]})


def _answer(question: dict[str, Any], channel: Lively) -> None:
    from dataclasses import asdict

    from pixseek.video.probe import Video

    file: BinaryIO = open(question["file"], "rb", buffering=0)  # noqa: SIM115
    if question["window"]:
        file = Window(file, *question["window"])  # type: ignore[assignment]
    what, threads, least = question["what"], question["threads"], question["least"]
    if what == "cut":
        from pixseek.video.remux import cut

        found = cut(file, question["to"], question["ending"], question["start_s"],
                    question["end_s"], exact=question["exact"], tell=channel.tell)  # fmt: skip
        channel.send({"cut": found})
        return
    video = Video(file, threads)
    described = video.described(video.first_frame())
    channel.send({"probe": asdict(described)})
    if what == "probe":
        return
    video.rewind()
    gc.freeze()  # what is there now is never garbage, so collecting costs 0.1 ms
    if what == "at":
        from pixseek.video.seeking import at_seconds

        for second, pixels in at_seconds(video, question["seconds"], least, tell=channel.tell):
            height, width, _ = pixels.shape
            channel.send({"second": second, "size": [width, height]}, [pixels.tobytes()])
            gc.collect()  # as below
        return
    from pixseek.video.sampling import Sampling

    sampling = Sampling(video, described.duration_s, least, fast=question["fast"])
    for sample in sampling.run():
        if sample is None:
            channel.tell(sampling.reached_s)
            continue
        height, width, _ = sample.pixels.shape
        head = {
            "second": sample.second, "start_s": sample.start_s, "size": [width, height],
            "sharpness": sample.sharpness, "blank": sample.is_blank,
        }  # fmt: skip
        channel.send(head, [sample.pixels.tobytes()])
        # A frame whose side data were read refers to itself: 3 MB at 1080p (PyAV 18.1).
        gc.collect()
    channel.send({
        "reached_s": sampling.reached_s, "damage": sampling.damage, "cut_off": sampling.cut_off,
        "joined": sampling.joined,
    })  # fmt: skip
