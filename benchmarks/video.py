"""Videos: how fast they are indexed, and whether moments are found, against two other ways.

    python benchmarks/video.py --photos ../shared/images/photos --model ../shared/models/photo-mini

Writes videos of photos with known captions (1080p, 30 frames a second, H.264; each photo is shown
still, panned or zoomed for 1.5 to 4 s, with cuts between), as two kinds of programs do:

- `web`: what x264 writes by default: three B-frames, key frames at cuts and every 250 frames;
- `phone`: a key frame every 30 frames and no B-frames, 17 Mbit/s.

It embeds their frames with one encoder in these ways:

- `pixseek`: what `pixseek index` does: decode what is needed, drop what looks the same, shots;
- `pixseek --fast`: the same with key frames alone;
- `ffmpeg`: the program ffmpeg writes one JPEG a second, each is decoded and embedded;
- `every nth`: what clip-video-encode 1.x does: decode every frame, embed every 25th.

A moment is found if, of all rows of all videos, the best for a photo's caption belongs to its video
and is shown within one second of the photo. Prints processor time (of this process and those it
started), time by the clock, and recall@1 and @10 of moments over all captions, as JSON lines.

Writing the videos takes about two minutes on two cores; they are kept in `--keep`.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import os
import random
import resource
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image

from pixseek.encoders import registry
from pixseek.images import decode
from pixseek.indexing import videos
from pixseek.types import Picture
from pixseek.video import Frames, Source

RATE, SIZE = 30, (1920, 1080)

#: Seconds by which a moment may be off.
WITHIN_S = 1.0


#: Options of x264 by the kind of program that writes such videos.
KINDS = {
    "web": {"preset": "veryfast", "crf": "23"},
    "phone": {"preset": "superfast", "bf": "0", "g": "30", "b": "17M", "sc_threshold": "0"},
}


@dataclass(frozen=True)
class Shown:
    """A photo in a video: between which seconds, and what people say of it."""

    name: str
    captions: list[str]
    begin: float
    end: float


@dataclass(frozen=True)
class Film:
    """A video: its file, its kind, and what it shows."""

    path: Path
    kind: str
    shown: list[Shown]

    @property
    def seconds(self) -> float:
        """Its length."""
        return self.shown[-1].end


def films(photos: Path, folder: Path, count: int, seconds: float) -> list[Film]:
    """Plan this many videos of each kind; the photos of all are different."""
    with open(photos / "captions.tsv", encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    captions: dict[str, list[str]] = {}
    for name, caption, *_ in rows:
        if (photos / name).is_file():
            captions.setdefault(name, []).append(caption)
    rng = random.Random(1)
    names = iter(rng.sample(sorted(captions), len(captions)))
    found = []
    for number in range(count):
        for kind in KINDS:
            shown: list[Shown] = []
            at = 0.0
            while at < seconds:
                end = at + round(rng.uniform(1.5, 4.0) * RATE) / RATE
                name = next(names)
                shown.append(Shown(name, captions[name], at, end))
                at = end
            found.append(Film(folder / f"{kind}-{number}-{seconds:g}.mp4", kind, shown))
    return found


def write(film: Film, photos: Path) -> None:
    """Write a video. Cameras move by whole pixels within one picture: that is quick."""
    begun = film.path.with_suffix(".part")
    out: Any = av.open(str(begun), "w", format="mp4")
    stream = out.add_stream("libx264", rate=RATE)
    (stream.width, stream.height), stream.pix_fmt = SIZE, "yuv420p"
    stream.options = KINDS[film.kind]
    for number, shown in enumerate(film.shown):
        planes = canvas(photos / shown.name, number)
        frames = round((shown.end - shown.begin) * RATE)
        for n in range(frames):
            frame = camera(planes, number % 3, n / frames)
            frame.pts, frame.time_base = round(shown.begin * RATE) + n, Fraction(1, RATE)
            out.mux(stream.encode(frame))
    out.mux(stream.encode(None))
    out.close()
    begun.rename(film.path)


def canvas(photo: Path, seed: int) -> list[Any]:
    """Return a photo that is a fifth larger than a frame, with grain, as planes of YUV."""
    with Image.open(photo) as opened:
        image = opened.convert("RGB")
    width, height = (side * 6 // 5 for side in SIZE)
    scale = max(width / image.width, height / image.height)
    size = (math.ceil(image.width * scale / 2) * 2, math.ceil(image.height * scale / 2) * 2)
    image = image.resize(size, Image.Resampling.BICUBIC)
    yuv = av.VideoFrame.from_image(image).reformat(format="yuv420p").to_ndarray()
    grain = np.random.default_rng(seed).integers(-6, 7, (size[1], size[0]), np.int16)
    luma = np.clip(yuv[: size[1]].astype(np.int16) + grain, 16, 235).astype(np.uint8)
    chroma = yuv[size[1] :].reshape(2, size[1] // 2, size[0] // 2)
    return [luma, *chroma]


def camera(planes: list[Any], way: int, at: float) -> Any:
    """Return a frame: 0 stands still, 1 pans over what the canvas has to spare, 2 zooms in."""
    height, width = planes[0].shape
    (across, down), x, y = SIZE, 0.5, 0.5
    if way == 1:
        x, y = (at, 0.5) if width - across > height - down else (0.5, at)
    if way == 2:
        across, down = (side * 6 // 5 - int(at * side / 5) // 4 * 4 for side in SIZE)
    left, top = int((width - across) * x) // 2 * 2, int((height - down) * y) // 2 * 2
    cut = [
        plane[top // n : (top + down) // n, left // n : (left + across) // n]
        for plane, n in zip(planes, (1, 2, 2), strict=True)
    ]
    pixels = np.concatenate([each.ravel() for each in cut]).reshape(down * 3 // 2, across)
    frame = av.VideoFrame.from_ndarray(pixels, "yuv420p")
    return frame.reformat(*SIZE, interpolation="BILINEAR") if (across, down) != SIZE else frame


def processor_s() -> float:
    """Processor time of this process and of those that it started and that have ended."""
    own, others = (resource.getrusage(w) for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime + others.ru_utime + others.ru_stime


def by_pixseek(
    path: Path, encoder: Any, *, fast: bool = False
) -> Iterator[tuple[float, float, Any]]:
    """Rows of a video as pixseek stores them, with the times that each stands for."""
    frames = Frames(Source(path), videos.least_of(encoder), fast=fast, threads=2)
    frames.start()

    def encode(tensors: Any) -> Any:
        return encoder.encode_images(np.stack(tensors))

    found = videos.embedded(frames, encoder, encode, threading.Event())
    for part, row in zip(found.parts, found.rows, strict=True):
        yield part.start_s or 0.0, part.end_s or 0.0, row


def by_ffmpeg(path: Path, encoder: Any, folder: Path) -> Iterator[tuple[float, float, Any]]:
    """A JPEG a second, embedded as images."""
    subprocess.run(
        ["ffmpeg", "-loglevel", "error", "-y", "-i", path, "-vf", "fps=1", "-q:v", "2",
         folder / "%06d.jpg"], check=True,
    )  # fmt: skip
    files = sorted(folder.glob("*.jpg"))
    for start in range(0, len(files), encoder.batch_size):
        batch = files[start : start + encoder.batch_size]
        pictures = [decode(each.read_bytes(), at_least=2 * encoder.input_side) for each in batch]
        rows = encoder.encode_images(np.stack([encoder.prepare(each) for each in pictures]))
        for n, row in enumerate(rows, start):
            yield n - 0.5, n + 0.5, row
    for each in files:
        each.unlink()


def every_nth(path: Path, encoder: Any, nth: int = 25) -> Iterator[tuple[float, float, Any]]:
    """Every 25th frame, all of them decoded."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        held: list[tuple[float, Any]] = []

        def flushed() -> Iterator[tuple[float, float, Any]]:
            rows = encoder.encode_images(np.stack([tensor for _, tensor in held]))
            for (second, _), row in zip(held, rows, strict=True):
                yield second - nth / RATE / 2, second + nth / RATE / 2, row
            held.clear()

        for number, frame in enumerate(container.decode(stream)):
            if number % nth:
                continue
            picture = Picture(frame.to_image(), *SIZE, "video/mp4")
            held.append((frame.time, encoder.prepare(picture)))
            if len(held) == encoder.batch_size:
                yield from flushed()
        if held:
            yield from flushed()


def found_at(
    films: list[Film], rows: list[tuple[Film, float, float, Any]], texts: Any
) -> list[int]:
    """Return for each caption at which place its moment comes among all rows; 0 for none of 10."""
    scores = texts @ np.stack([row for *_, row in rows]).T
    places = []
    wanted = [(film, each) for film in films for each in film.shown for _ in each.captions]
    for of, (film, shown) in zip(scores, wanted, strict=True):
        right = [
            rows[n][0] is film
            and rows[n][1] >= shown.begin - WITHIN_S
            and rows[n][2] <= shown.end + WITHIN_S
            for n in np.argsort(-of, kind="stable")[:10]
        ]
        places.append(right.index(True) + 1 if any(right) else 0)
    return places


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--videos", type=int, default=2, help="of each kind")
    parser.add_argument("--seconds", type=float, default=60, help="of each video")
    parser.add_argument("--kinds", nargs="*", default=list(KINDS), choices=KINDS)
    parser.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir()) / "pixseek-films")
    parser.add_argument("--only", nargs="*", help="ways to run")
    given = parser.parse_args()
    encoder: Any = registry.load(given.model, models_dir=Path(tempfile.gettempdir()), threads=2)
    given.keep.mkdir(parents=True, exist_ok=True)
    every = films(given.photos, given.keep, given.videos, given.seconds)
    every = [film for film in every if film.kind in given.kinds]
    for film in every:
        if not film.path.exists():
            write(film, given.photos)
    captions = [text for film in every for each in film.shown for text in each.captions]
    texts = encoder.encode_texts(captions)
    first = encoder.prepare(Picture(Image.new("RGB", (64, 64)), 64, 64, ""))
    encoder.encode_images(np.stack([first] * encoder.batch_size))
    with tempfile.TemporaryDirectory() as scratch:
        ways = {
            "pixseek": lambda path: by_pixseek(path, encoder),
            "pixseek --fast": lambda path: by_pixseek(path, encoder, fast=True),
            "ffmpeg": lambda path: by_ffmpeg(path, encoder, Path(scratch)),
            "every nth": lambda path: every_nth(path, encoder),
        }
        for way, embed in ways.items():
            if given.only and way not in given.only:
                continue
            rows: list[tuple[Film, float, float, Any]] = []
            minutes, used, took = (dict.fromkeys(given.kinds, 0.0) for _ in range(3))
            for film in every:
                began, before = time.perf_counter(), processor_s()
                rows += [(film, *row) for row in embed(film.path)]
                took[film.kind] += time.perf_counter() - began
                used[film.kind] += processor_s() - before
                minutes[film.kind] += film.seconds / 60
            places = found_at(every, rows, texts)
            print(json.dumps({
                "way": way, "rows": len(rows), "captions": len(captions),
                "recall@1": round(places.count(1) / len(places), 3),
                "recall@10": round(sum(place > 0 for place in places) / len(places), 3),
                **{
                    kind: {
                        "minutes": round(minutes[kind], 2),
                        "processor_s": round(used[kind], 1), "clock_s": round(took[kind], 1),
                        "minutes_a_processor_minute": round(minutes[kind] * 60 / used[kind], 1),
                        "minutes_a_minute": round(minutes[kind] * 60 / took[kind], 1),
                    }
                    for kind in given.kinds
                },
                "cores": os.cpu_count(),
            }), flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
