"""Short videos for tests: each scene is a colour of `tiny_encoder` with a bar that tells its sides.

They are written by PyAV, as users' are by FFmpeg. The bar is white, at the top left.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from tiny_encoder import COLOURS

#: A colour and how many seconds it is shown.
Scene = tuple[str, float]

#: Three scenes of two seconds.
THREE: tuple[Scene, ...] = (("red", 2.0), ("green", 2.0), ("blue", 2.0))


@functools.lru_cache(16)
def picture(colour: str, size: tuple[int, int]) -> Any:
    """Return (height, width, 3) uint8: a colour with a white bar at the top left."""
    width, height = size
    pixels = np.empty((height, width, 3), np.uint8)
    # A texture, as all that is filmed has: so a cut costs more bytes than a still time.
    grain = np.random.default_rng(list(COLOURS).index(colour)).integers(-25, 26, (height, width, 1))
    pixels[:] = np.clip(np.array(COLOURS[colour]) + grain, 0, 255)
    pixels[: height // 4, : width // 2] = 255
    pixels.flags.writeable = False
    return pixels


def film(
    path: Path,
    scenes: Sequence[Scene] = THREE,
    *,
    codec: str = "libx264",
    size: tuple[int, int] = (160, 96),
    rate: int = 10,
    times: Sequence[float] | None = None,
    gop: int = 250,
    sound: bool = False,
    turn: int = 0,
    shape: Fraction | None = None,
    pix_fmt: str = "yuv420p",
    options: Mapping[str, str] | None = None,
    texts: Mapping[str, str] | None = None,
    muxer: str | None = None,
    flags: Mapping[str, str] | None = None,
) -> Path:
    """Write a video.

    Args:
        path: of the file; its ending gives the container, unless `muxer` does.
        scenes: one after the other.
        codec: name of FFmpeg's encoder.
        size: width and height of its frames, as they are stored.
        rate: frames a second.
        times: seconds of frames at a variable rate; scenes are looked up at each.
        gop: frames between key frames, at most.
        sound: whether it has a silent sound track.
        turn: degrees by which players turn it, counterclockwise.
        shape: width of a pixel divided by its height.
        pix_fmt: how pixels are stored.
        options: of the encoder.
        texts: written into the container.
        muxer: FFmpeg's name of the container.
        flags: options of the container.
    """
    import av

    path.parent.mkdir(parents=True, exist_ok=True)
    out: Any = av.open(str(path), "w", format=muxer, options=dict(flags or {}))
    out.metadata.update(texts or {})
    stream = out.add_stream(codec, rate=rate)
    stream.width, stream.height = size
    stream.pix_fmt = pix_fmt
    stream.gop_size = gop
    stream.options = dict(options or {})
    if times is not None:
        stream.codec_context.time_base = Fraction(1, 1000)
    if shape is not None:
        stream.codec_context.sample_aspect_ratio = shape
    if turn:
        stream.set_display_rotation(turn)
    voice = out.add_stream("aac", rate=8000) if sound else None
    length = sum(seconds for _, seconds in scenes)
    shown = times if times is not None else [n / rate for n in range(round(length * rate))]
    for second in shown:
        frame = av.VideoFrame.from_ndarray(picture(scene_at(scenes, second), size), "rgb24")
        base = stream.codec_context.time_base or Fraction(1, rate)
        frame.pts, frame.time_base = round(second / base), base
        out.mux(stream.encode(frame.reformat(format=pix_fmt)))
    out.mux(stream.encode(None))
    if voice is not None:
        for n in range(int(length * 8000) // 1024):
            silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
            silence.sample_rate, silence.pts = 8000, n * 1024
            silence.time_base = Fraction(1, 8000)
            out.mux(voice.encode(silence))
        out.mux(voice.encode(None))
    out.close()
    return path


def scene_at(scenes: Sequence[Scene], second: float) -> str:
    """Return the colour that is shown at a second; the last one after the end."""
    at = 0.0
    for colour, seconds in scenes:
        at += seconds
        if second < at - 1e-6:
            return colour
    return scenes[-1][0]


def colour_of(pixels: Any) -> str:
    """Return the name of the colour in the lower half of a picture, (height, width, 3)."""
    lower = np.asarray(pixels)[len(pixels) // 2 :].reshape(-1, 3).mean(axis=0)
    return min(COLOURS, key=lambda name: float(np.abs(lower - COLOURS[name]).sum()))


def corner_of(pixels: Any) -> str:
    """Return where the white bar is, such as "top left"."""
    grey = np.asarray(pixels, np.float32).min(axis=2)
    height, width = grey.shape
    places = {
        f"{down} {across}": grey[rows, columns].mean()
        for down, rows in (("top", slice(0, height // 8)), ("bottom", slice(-(height // 8), None)))
        for across, columns in (
            ("left", slice(0, width // 8)),
            ("right", slice(-(width // 8), None)),
        )
    }
    return max(places, key=lambda place: float(places[place]))
