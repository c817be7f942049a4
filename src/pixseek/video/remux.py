"""Write a part of a video to another file. Runs in a worker process; see `clips`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

from pixseek.errors import ImageError
from pixseek.video.probe import Video
from pixseek.video.seeking import frames_from

#: FFmpeg's names of containers by the endings of clips.
_MUXERS = {
    ".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".qt": "mov", ".webm": "webm", ".mkv": "matroska",
    ".ts": "mpegts", ".mts": "mpegts", ".m2ts": "mpegts", ".avi": "avi", ".3gp": "mp4",
    ".3g2": "mp4", ".ogv": "ogg",
}  # fmt: skip

#: Encoders of exact clips, the first that FFmpeg has, by muxer.
_ENCODERS = {"webm": ("libvpx-vp9", "libvpx"), "": ("libx264", "libopenh264", "mpeg4")}


def cut(
    file: BinaryIO,
    to: int,
    ending: str,
    start_s: float,
    end_s: float,
    *,
    exact: bool,
    tell: Callable[[float], None],
) -> dict[str, float]:
    """Write a part of a video; return where it begins and ends.

    Args:
        file: of the video.
        to: descriptor of an empty file.
        ending: of its name.
        start_s, end_s: wanted.
        exact: whether to re-encode the picture.
        tell: called with the second that was reached, again and again.

    Raises:
        ImageError: "no-decoder" if the container can't hold it; others as for decoding.
    """
    import av

    muxer = _MUXERS.get(ending)
    if muxer is None:
        raise _unfit(f"FFmpeg writes no {ending or 'such'} files here")
    video = Video(file, 2)
    begin_s = start_s if exact else _key_before(video, start_s, tell)
    with os.fdopen(os.dup(to), "w+b") as target:
        # No faststart: for it, FFmpeg opens the file again, by a name that it does not have here.
        out: Any = av.open(target, "w", format=muxer)
        try:
            with out:
                reached = (_encoded if exact else _copied)(video, out, muxer, begin_s, end_s, tell)
        except (av.error.FFmpegError, ValueError) as error:
            raise _unfit(str(error)) from error
    return {"start_s": begin_s, "end_s": reached}


def _unfit(why: str) -> ImageError:
    return ImageError(
        "no-decoder",
        f"The clip can't be written in this container ({why})",
        advice="Give it the ending .mkv.",
    )


def _key_before(video: Video, start_s: float, tell: Callable[[float], None]) -> float:
    """Return the second of the last key frame at or before a second; the first one for none."""
    best, first = None, None
    for back in (0.0, 5.0, 30.0, float("inf")):
        to = max(0.0, start_s - back)
        video.container.seek(round((to + video.start_s) * 1_000_000))
        for packet in _packets(video, [video.stream], tell):
            if packet.pts is None or not packet.is_keyframe:
                continue
            second = float(packet.pts * packet.time_base) - video.start_s
            first = second if first is None else min(first, second)
            if second > start_s + 0.001:
                break
            best = second
        if best is not None or to == 0:
            break
    return best if best is not None else (first or 0.0)


def _sound(video: Video) -> list[Any]:
    return list(video.container.streams.audio)[:1]


def _packets(video: Video, streams: list[Any], tell: Callable[[float], None]) -> Iterator[Any]:
    for packet in video.container.demux(streams):
        if packet.size:
            ticks = packet.pts if packet.pts is not None else packet.dts or 0
            tell(float(ticks * packet.time_base) - video.start_s)
            yield packet


def _copied(
    video: Video,
    out: Any,
    muxer: str,
    begin_s: float,
    end_s: float,
    tell: Callable[[float], None],
) -> float:
    """Copy packets from a key frame on, video and sound; return the second that was reached."""
    streams = [video.stream, *_sound(video)]
    copies = {each.index: out.add_stream_from_template(each) for each in streams}
    reached, waiting = begin_s, {each.index for each in streams}
    back = max(0.0, begin_s - 0.5)
    video.container.seek(round((back + video.start_s) * 1_000_000))
    if _late(video, begin_s):
        video.container.seek(0)
    started = False
    for packet in _packets(video, streams, tell):
        if packet.dts is None or packet.pts is None:
            continue
        index = packet.stream.index
        second = float(packet.pts * packet.time_base) - video.start_s
        is_video = index == video.stream.index
        if float(packet.dts * packet.time_base) - video.start_s >= end_s:
            waiting.discard(index)
            if not waiting:
                break
            continue
        if second < begin_s - 0.001 or second >= end_s:
            continue
        if is_video and not started:
            if not packet.is_keyframe:
                continue
            started = True
        length = float((packet.duration or 0) * packet.time_base)
        if is_video:
            reached = max(reached, second + length)
        offset = round((begin_s + video.start_s) / packet.time_base)
        packet.pts -= offset
        packet.dts -= offset
        packet.stream = copies[index]
        out.mux(packet)
    return min(reached, end_s)


def _late(video: Video, begin_s: float) -> bool:
    """Return whether a seek came too late for a key frame; seeks there again if not."""
    for packet in video.container.demux(video.stream):
        if packet.size and packet.pts is not None:
            second = float(packet.pts * packet.time_base) - video.start_s
            if second > begin_s + 0.001:
                return True
            break
    back = max(0.0, begin_s - 0.5)
    video.container.seek(round((back + video.start_s) * 1_000_000))
    return False


def _encoded(
    video: Video,
    out: Any,
    muxer: str,
    begin_s: float,
    end_s: float,
    tell: Callable[[float], None],
) -> float:
    """Encode the frames from one second to another, and copy the sound."""
    import av

    names = _ENCODERS.get(muxer, _ENCODERS[""])
    name = next((each for each in names if each in av.codecs_available), None)
    if name is None:
        raise _unfit("no encoder for it is installed")
    stream: Any = None
    sound = _sound(video)
    copies = [out.add_stream_from_template(each) for each in sound]
    reached = begin_s
    for second, frame in frames_from(video, begin_s, tell):
        if second < begin_s - 0.001:
            continue
        if second >= end_s - 0.001:
            break
        if stream is None:
            rate = video.stream.average_rate or 25
            stream = out.add_stream(name, rate=rate)
            stream.width, stream.height = frame.width // 2 * 2, frame.height // 2 * 2
            stream.pix_fmt = "yuv420p"
            stream.codec_context.time_base = video.stream.time_base
            if video.shape != 1 and video.stream.sample_aspect_ratio:
                stream.codec_context.sample_aspect_ratio = video.stream.sample_aspect_ratio
            if frame.rotation:
                stream.set_display_rotation(frame.rotation)
            if name == "libx264":
                stream.options = {"crf": "18", "preset": "fast"}
        ready = frame.reformat(stream.width, stream.height, "yuv420p")
        ready.pts = round(max(0.0, second - begin_s) / video.stream.time_base)
        ready.time_base = video.stream.time_base
        ready.pict_type = 0
        for packet in stream.encode(ready):
            out.mux(packet)
        reached = second
    if stream is None:
        raise ImageError(
            "damaged", "The video has no frame between these seconds",
            advice="Give seconds within the video.",
        )  # fmt: skip
    for packet in stream.encode(None):
        out.mux(packet)
    if sound:
        video.container.seek(round((max(0.0, begin_s - 0.5) + video.start_s) * 1_000_000))
        for packet in _packets(video, sound, tell):
            if packet.pts is None or packet.dts is None:
                continue
            second = float(packet.pts * packet.time_base) - video.start_s
            if second >= end_s:
                break
            if second < begin_s:
                continue
            offset = round((begin_s + video.start_s) / packet.time_base)
            packet.pts -= offset
            packet.dts -= offset
            packet.stream = copies[0]
            out.mux(packet)
    length = 1 / float(video.stream.average_rate or 25)
    return min(end_s, reached + length)
