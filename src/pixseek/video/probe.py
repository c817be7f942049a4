"""What a video file says of itself. Runs in a worker process; see `frames`."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import field
from typing import Any, BinaryIO

from pixseek.errors import ImageError
from pixseek.images.limits import MAX_PIXELS
from pixseek.types.dataclass import dataclass
from pixseek.video import upright

#: Bytes that FFmpeg reads at once through Python: with its 32 KiB a call costs more than a read.
_BUFFER = 1 << 18

#: Most texts of a container, and characters of each.
_MOST_TEXTS, _LONGEST = 64, 1000

#: Frames decoded at most until one tells how the video lies.
_TRIED = 30


@dataclass(frozen=True, slots=True)
class Probe:
    """What a video says of itself.

    Attributes:
        width, height: in pixels, as it is shown: upright, with square pixels.
        duration_s: as the container says it, which may be a frame too short; 0.0 when unknown.
        fps: frames a second, on average; 0.0 when unknown.
        codec: of the video, in FFmpeg's words: "h264", "hevc", "vp9".
        has_audio: whether it has sound.
        hdr: "PQ", "HLG" or "" for a video of ordinary range.
        texts: what the container says besides: dates, place, camera, titles; keys in lower case.
    """

    width: int
    height: int
    duration_s: float
    fps: float
    codec: str
    has_audio: bool
    hdr: str = ""
    texts: Mapping[str, str] = field(default_factory=dict)


class Video:
    """An open video, at its beginning."""

    def __init__(self, file: BinaryIO, threads: int) -> None:
        """Open it and look at its first frame.

        Raises:
            ImageError: it is not a video, or can't be decoded.
        """
        self.file, self.threads = file, threads
        self._open()
        start = self.container.start_time
        # Sound may begin before zero, in a part that players leave out.
        self.start_s = max(0.0, start / 1_000_000) if start is not None else 0.0
        shape = self.stream.sample_aspect_ratio
        self.shape = float(shape) if shape and 1 / 16 < shape < 16 else 1.0

    def rewind(self) -> None:
        """Open it again, at its beginning: a seek may land somewhere else."""
        self.container.close()
        self.file.seek(0)
        self._open()

    def _open(self) -> None:
        import av
        import av.stream

        av.logging.set_level(None)
        try:
            opened: Any = av.open(self.file, buffer_size=_BUFFER, metadata_errors="replace")
        except (av.error.FFmpegError, ValueError, OverflowError) as error:
            raise broken(str(error)) from error
        self.container: Any = opened
        streams = [
            each
            for each in opened.streams.video
            if not (each.disposition & each.disposition.attached_pic)
        ]
        if not streams:
            raise ImageError(
                "not-an-image",
                "The file has sound and no video",
                advice="pixseek finds images and videos only.",
            )
        self.stream: Any = max(streams, key=lambda each: _area(each.codec_context))
        for each in opened.streams:
            if each is not self.stream and each.type != "audio":
                with contextlib.suppress(AttributeError, ValueError):
                    each.discard = av.stream.Discard.all
        context = self.stream.codec_context
        if context is None:
            raise ImageError(
                "no-decoder",
                "The codec of the video is not known to FFmpeg",
                advice="Convert it, for example to H.264.",
            )
        if _area(context) > MAX_PIXELS:
            raise ImageError(
                "too-large",
                f"The video is too large to decode ({context.width} x {context.height} pixels)",
                advice=f"Make it smaller than {MAX_PIXELS // 1_000_000} megapixels.",
            )
        context.thread_type = "AUTO"
        # Threads decode a frame each, and each holds some: 8K has 50 MB a frame.
        context.thread_count = max(1, min(self.threads, 60_000_000 // max(1, _area(context))))

    def described(self, frame: Any) -> Probe:
        """Return what the file says, given one of its frames."""
        width, height = upright.shown_size(frame, self.shape)
        duration = self.container.duration
        if duration is None and self.stream.duration is not None:
            duration = float(self.stream.duration * self.stream.time_base) * 1_000_000
        rate = self.stream.average_rate or self.stream.base_rate
        texts: dict[str, str] = {}
        for source in (self.container.metadata, self.stream.metadata):
            for key, value in source.items():
                if len(texts) < _MOST_TEXTS:
                    texts.setdefault(key.lower()[:100], value[:_LONGEST])
        return Probe(
            width, height,
            max(0.0, (duration or 0) / 1_000_000),
            float(rate) if rate and 0 < rate < 10_000 else 0.0,
            self.stream.codec_context.name,
            bool(self.container.streams.audio),
            upright.hdr_of(frame),
            texts,
        )  # fmt: skip

    def first_frame(self) -> Any:
        """Decode the first frame that can be decoded.

        Raises:
            ImageError: none can.
        """
        import av

        said = ""
        for tried, packet in enumerate(self.container.demux(self.stream)):
            try:
                for frame in packet.decode():
                    return frame
            except (av.error.FFmpegError, ValueError) as error:
                said = str(error)
            if tried > _TRIED * 10:
                break
        raise broken(said or "no frame of it can be decoded")


def _area(context: Any) -> int:
    return (context.width or 0) * (context.height or 0) if context is not None else 0


def broken(why: str) -> ImageError:
    """Return the error for a video that can't be decoded."""
    text = why.splitlines()[0][:200] if why else "its data is broken"
    return ImageError(
        "damaged",
        f"The video is damaged ({text})",
        advice="Restore it from a backup, or repair it: ffmpeg -i FILE -c copy REPAIRED",
    )
