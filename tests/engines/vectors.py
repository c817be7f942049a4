"""Vectors for the tests of engines and for benchmarks.

Where it matters how they are spread they are `Clustered`, as those of real images and texts: in
plain Gaussian noise every vector is as far from a query as every other.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pixseek.types import Engine, Space

Vectors = NDArray[np.float32]

#: The space of the stores that the suites of all engines are run against.
DIM = 16
SPACE = Space("f" * 64, DIM, "tiny-model")

#: A function that opens the same, at first empty, store again and again.
Opener = Callable[[], Engine]


def unit(rows: Any) -> Any:
    array = np.asarray(rows, np.float32)
    return array / np.linalg.norm(array, axis=-1, keepdims=True)


def random_unit(n: int, seed: int = 0, dim: int = DIM) -> Any:
    return unit(np.random.default_rng(seed).standard_normal((n, dim)))


class Clustered:
    """Unit vectors in anisotropic clusters on a low-dimensional sheet, inside a cone.

    Images lie in one cone; texts in another (the modality gap of CLIP-like models), near the
    images they mean: queries are out of the distribution of what is stored.
    """

    def __init__(self, dim: int, clusters: int = 1500, latent: int = 56, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self._rng = rng
        latent = min(latent, dim)
        spectrum = (1 / np.sqrt(1 + np.arange(latent))).astype(np.float32)
        self._basis = np.linalg.qr(rng.standard_normal((dim, latent)))[0].T.astype(np.float32)
        self._basis *= spectrum[:, None]
        self._centres = rng.standard_normal((clusters, latent)).astype(np.float32)
        self._widths = rng.uniform(0.2, 0.7, (clusters, latent)).astype(np.float32)
        self._weights = rng.dirichlet(np.full(clusters, 0.5))
        cones = rng.standard_normal((2, dim)) / np.sqrt(dim) * 1.5
        self._image_cone, self._text_cone = cones.astype(np.float32)
        self._dim = dim

    def images(self, n: int) -> Vectors:
        """Return (n, dim) float32 unit rows to store."""
        blocks = [
            self._draw(min(50_000, n - i), self._image_cone, 0.25) for i in range(0, n, 50_000)
        ]
        return np.concatenate(blocks) if blocks else np.empty((0, self._dim), np.float32)

    def texts(self, n: int) -> Vectors:
        """Return (n, dim) float32 unit rows to look for."""
        return self._draw(n, self._text_cone, 0.45)

    def _draw(self, n: int, cone: Vectors, noise: float) -> Vectors:
        which = self._rng.choice(len(self._centres), n, p=self._weights)
        latent = self._rng.standard_normal((n, self._centres.shape[1]), dtype=np.float32)
        latent = self._centres[which] + latent * self._widths[which]
        vectors = latent @ self._basis + cone
        vectors += self._rng.standard_normal(vectors.shape, dtype=np.float32) * np.float32(
            noise / np.sqrt(self._dim)
        )
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors
