"""Videos: how fast they are indexed, and whether moments are found, against two other ways.

    python benchmarks/video.py --photos ../shared/images/photos --model ../shared/models/photo-mini

Writes videos of photos with known captions (cut, panned, zoomed, at 1080p in H.264 with the
defaults of x264), and embeds their frames with one encoder in three ways:

- `pixseek`: what `pixseek index` does: decode what is needed, drop what looks the same, shots;
- `ffmpeg`: the program ffmpeg writes one JPEG a second, each is decoded and embedded;
- `every nth`: what clip-video-encode 1.x does: decode every frame, embed every 25th.

A moment is found if, of all rows of all videos, the best for a photo's caption belongs to its video
and is shown within one second of the photo. Prints processor time (of this process and those it
started), time by the clock, and recall@1 and @5 of moments, as JSON lines.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import resource
import subprocess
import tempfile
import time
from collections.abc import Iterator
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


def moments(photos: Path, count: int, seed: int) -> list[tuple[str, str, float]]:
    """Photos with a caption and how long each is shown, in seconds."""
    with open(photos / "captions.tsv", encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    captions: dict[str, list[str]] = {}
    for name, caption, *_ in rows:
        if (photos / name).is_file():
            captions.setdefault(name, []).append(caption)
    rng = random.Random(seed)
    chosen = rng.sample(sorted(captions), count)
    return [(n, rng.choice(captions[n]), rng.uniform(2.0, 6.0)) for n in chosen]


def write(path: Path, photos: Path, shown: list[tuple[str, str, float]]) -> None:
    """Write one video: each photo is zoomed into, or panned over across or down."""
    out: Any = av.open(str(path), "w")
    stream = out.add_stream("libx264", rate=RATE)
    (stream.width, stream.height), stream.pix_fmt = SIZE, "yuv420p"
    for number, (name, _, seconds) in enumerate(shown):
        photo = (
            Image.open(photos / name).convert("RGB").resize((2304, 2304), Image.Resampling.BICUBIC)
        )
        grain = np.random.default_rng(number).integers(-8, 9, (2304, 2304, 1))
        photo = Image.fromarray(
            np.clip(np.asarray(photo).astype(np.int16) + grain, 0, 255).astype(np.uint8)
        )
        frames = round(seconds * RATE)
        for n in range(frames):
            at = n / frames
            width, height = 2304, 1296
            if number % 3 == 0:
                width, height = round(2304 - 384 * at), round(1296 - 216 * at)
            left = (2304 - width) / 2
            top = (2304 - height) * (at if number % 3 == 1 else 0.5)
            if number % 3 == 2:
                width, height = 1920, 1080
                left, top = (2304 - width) * at, (2304 - height) / 2
            box = (left, top, left + width, top + height)
            frame = photo.resize(SIZE, Image.Resampling.BILINEAR, box=box)
            for packet in stream.encode(av.VideoFrame.from_image(frame)):
                out.mux(packet)
    for packet in stream.encode(None):
        out.mux(packet)
    out.close()


def processor_s() -> float:
    """Processor time of this process and of those that it started and that have ended."""
    own, others = (resource.getrusage(w) for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime + others.ru_utime + others.ru_stime


def by_pixseek(path: Path, encoder: Any, rows_of: str) -> Iterator[tuple[float, float, Any]]:
    """Rows of a video as pixseek stores them, with the times that each stands for."""
    frames = Frames(Source(path), videos.least_of(encoder), fast=rows_of == "fast", threads=2)
    frames.start()

    def encode(tensors: Any) -> Any:
        return encoder.encode_images(np.stack(tensors))

    found = videos.embedded(frames, encoder, encode, _never())
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


def _never() -> Any:
    import threading

    return threading.Event()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--videos", type=int, default=4)
    parser.add_argument("--shots", type=int, default=15, help="of each video")
    parser.add_argument("--keep", type=Path, help="folder in which the videos are kept")
    parser.add_argument("--only", nargs="*", help="ways to run")
    given = parser.parse_args()
    encoder: Any = registry.load(given.model, models_dir=Path(tempfile.gettempdir()), threads=2)
    with tempfile.TemporaryDirectory() as scratch:
        folder = given.keep or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        shown = moments(given.photos, given.videos * given.shots, 1)
        each = [shown[n * given.shots : (n + 1) * given.shots] for n in range(given.videos)]
        paths = [folder / f"{n}.mp4" for n in range(given.videos)]
        for path, part in zip(paths, each, strict=True):
            if not path.exists():
                write(path, given.photos, part)
        minutes = sum(seconds for _, _, seconds in shown) / 60
        texts = encoder.encode_texts([caption for _, caption, _ in shown])
        encoder.encode_images(
            np.stack([encoder.prepare(Picture(Image.new("RGB", (64, 64)), 64, 64, ""))])
        )
        frames_folder = Path(scratch) / "frames"
        frames_folder.mkdir()
        ways = {
            "pixseek": lambda path: by_pixseek(path, encoder, "frame"),
            "pixseek --fast": lambda path: by_pixseek(path, encoder, "fast"),
            "ffmpeg": lambda path: by_ffmpeg(path, encoder, frames_folder),
            "every nth": lambda path: every_nth(path, encoder),
        }
        for way, embed in ways.items():
            if given.only and way not in given.only:
                continue
            began, used = time.perf_counter(), processor_s()
            found = [(n, *row) for n, path in enumerate(paths) for row in embed(path)]
            took, used = time.perf_counter() - began, processor_s() - used
            rows = np.stack([row for *_, row in found])
            scores = texts @ rows.T
            hits = {1: 0, 5: 0}
            at = 0
            for video, part in enumerate(each):
                begin = 0.0
                for _, _, seconds in part:
                    order = np.argsort(-scores[at])
                    right = [
                        found[n][0] == video
                        and begin - 1 <= (found[n][1] + found[n][2]) / 2 <= begin + seconds + 1
                        and found[n][1] >= begin - 1
                        and found[n][2] <= begin + seconds + 1
                        for n in order[:5]
                    ]
                    hits[1] += right[0]
                    hits[5] += any(right)
                    begin += seconds
                    at += 1
            print(json.dumps({
                "way": way, "minutes": round(minutes, 2), "rows": len(found),
                "processor_s": round(used, 1), "clock_s": round(took, 1),
                "minutes_a_processor_minute": round(minutes / (used / 60), 1),
                "moments": at, "recall@1": round(hits[1] / at, 3),
                "recall@5": round(hits[5] / at, 3),
                "cores": os.cpu_count(),
            }))  # fmt: skip


if __name__ == "__main__":
    main()
