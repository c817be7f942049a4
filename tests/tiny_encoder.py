"""A real, tiny encoder and its pictures: an image is its colours in a 4 x 4 grid, a text a colour.

It follows the protocol with nothing to load, so the pipeline is tested apart from any model.
"""

from __future__ import annotations

import functools
import hashlib
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pixseek.errors import ModelError
from pixseek.types import Picture

COLOURS = {
    "red": (220, 30, 30),
    "green": (30, 180, 30),
    "blue": (30, 30, 220),
    "white": (250, 250, 250),
    "black": (5, 5, 5),
}


class TinyEncoder:
    """48 numbers: the mean colours of 16 squares, around grey."""

    def __init__(self, name: str = "tiny", seconds_a_batch: float = 0.0) -> None:
        self.name = name
        self.fingerprint = f"fingerprint-of-{name}"
        self.dim = 48
        self.input_side = 16
        self.batch_size = 4
        self.streams = 1
        self.note = ""
        self.seconds_a_batch = seconds_a_batch
        self.embedded = 0  # images, so that tests can tell what was embedded again

    def prepare(self, picture: Picture) -> Any:
        small = picture.pixels.resize((4, 4))
        return (np.asarray(small, dtype=np.float32) / 127.5 - 1).transpose(2, 0, 1)

    def encode_images(self, batch: Any) -> Any:
        if self.embedded < 60:  # then come the pictures that confidences are computed from
            time.sleep(self.seconds_a_batch)
        self.embedded += len(batch)
        return self._unit(batch.reshape(len(batch), -1))

    def encode_texts(self, texts: Sequence[str]) -> Any:
        """Return for "red", "a red" and "red and blue" the colours, else the text's own noise."""
        return self._unit(np.stack([self._row(text) for text in texts]))

    def _row(self, text: str) -> Any:
        words = [word for word in text.split() if word not in ("a", "and")]
        if words and all(word in COLOURS for word in words):
            return self._striped(words, 4)
        return _noise(text)

    def _striped(self, colours: Sequence[str], side: int) -> Any:
        """Return a picture of these colours next to each other."""
        across = [COLOURS[colours[at * len(colours) // side]] for at in range(side)]
        grid = np.broadcast_to(np.array(across, np.float32).T[:, None, :], (3, side, side))
        return grid.ravel() / 127.5 - 1

    def _unit(self, rows: Any) -> Any:
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        if not np.all(lengths > 0):
            raise ModelError("The image is plain grey", "tiny")
        return (rows / lengths).astype(np.float32)


@functools.cache  # each new library embeds the same 600 captions
def _noise(text: str) -> Any:
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")
    return np.random.default_rng(seed).normal(size=48).astype(np.float32)


class WideEncoder(TinyEncoder):
    """Another space: each square of a finer grid, and so vectors of another length."""

    def __init__(self, name: str = "wide") -> None:
        super().__init__(name)
        self.fingerprint = "wide" * 16
        self.dim = 192

    def prepare(self, picture: Any) -> Any:
        small = picture.pixels.resize((8, 8))
        return (np.asarray(small, dtype=np.float32) / 127.5 - 1).transpose(2, 0, 1)

    def _row(self, text: str) -> Any:
        words = [word for word in text.split() if word not in ("a", "and")]
        if words and all(word in COLOURS for word in words):
            return self._striped(words, 8)
        return np.tile(super()._row(text), 4)


def draw(path: Path, colour: str = "red", seed: int = 0, size: tuple[int, int] = (40, 30)) -> Path:
    """Write an image of one colour with a few specks that make every seed's content its own."""
    from PIL import Image  # here, so that tests can tell what a search imports

    rng = np.random.default_rng(seed)
    pixels = np.empty((size[1], size[0], 3), np.uint8)
    pixels[:] = COLOURS[colour]
    pixels[:6] = rng.integers(0, 255, (6, size[0], 3))
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path
