"""Records of videos whose shots are plain colours, in a library of drawn pictures."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

import pixseek
from pixseek.types import WHOLE, Part, Picture, Record, record_id

from tiny_encoder import COLOURS, TinyEncoder

#: Seconds of each shot.
SHOT_S = 5.0


def shots(count: int) -> tuple[Part, ...]:
    """Return shots that follow each other, each with its frame in the middle."""
    return tuple(
        Part("shot", None, n * SHOT_S, (n + 1) * SHOT_S, (n + 0.5) * SHOT_S) for n in range(count)
    )


def frame(colour: str, seed: int) -> Image.Image:
    """Return a frame of one colour with a little noise."""
    rng = np.random.default_rng(seed)
    pixels = np.array(COLOURS[colour], np.int16) + rng.integers(-12, 12, (40, 64, 3))
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def film(library: pixseek.Library, uri: str, colours: Sequence[str], *, still: str = "") -> Record:
    """Put a video into a library: a shot of five seconds for each colour.

    Args:
        library: with the tiny encoder.
        uri: of the video.
        colours: of its shots.
        still: the colour of a photo that these shots belong to; "" for a video.
    """
    encoder = TinyEncoder()
    seen = [still, *colours] if still else list(colours)
    frames = [frame(colour, seed) for seed, colour in enumerate(seen)]
    batch = np.stack([encoder.prepare(Picture(each, 64, 40, "")) for each in frames])
    record = Record(
        record_id(uri), uri, digest=hashlib.sha256(uri.encode()).hexdigest(),
        media="image/jpeg" if still else "video/mp4", width=640, height=400,
        fields={"duration_s": len(colours) * SHOT_S, "codec": "h264", "fps": 25.0},
        parts=((WHOLE,) if still else ()) + shots(len(colours)),
    )  # fmt: skip
    library.opened.engine.put([record], encoder.encode_images(batch))
    pictures = [_jpeg(each) for each in frames]
    library.opened.previews.put({record.digest: pictures[0]})
    parts = {n + 1: each for n, each in enumerate(pictures) if not (still and n == 0)}
    library.opened.previews.put_parts(record.digest, parts)
    return record


def _jpeg(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=90)
    return file.getvalue()
