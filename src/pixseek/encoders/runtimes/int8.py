"""An image tower in int8: converted once per model, checked on the images of every library.

There are two conversions (extra `int8`). For OpenVINO, `quantise` observes the values inside the
tower on some of the user's images, and sets the rounding by them. OpenVINO's kernels need VNNI, the
processor's instructions for int8: without, ViT-B/32 takes as long as in fp32 (114 and 112 ms per
image on a core of a Zen 3). There onnxruntime takes 60 ms instead of 105 with the tower that
`quantise_dynamic` makes. That one rounds by the values of each call, so its calls must hold one
image.

Whether the vectors stay the same, and whether int8 is faster, depends on model, images and
processor. So both are measured, on others of the user's images.
"""

from __future__ import annotations

import contextlib
import json
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from pixseek.encoders.runtimes import conversion
from pixseek.encoders.runtimes.graph import Graph, Port
from pixseek.types.dataclass import dataclass

if TYPE_CHECKING:
    from pixseek.types import Vectors

#: Number of images that the conversion observes.
CALIBRATION = 64
#: Number of images that the check compares; never those of the conversion.
CHECKED = 128
#: Minimum number of images for a check: among fewer, the ten nearest mean nothing.
CHECKED_AT_LEAST = 24

#: Limits of the check: median and lowest centred cosine, and the share of the ten nearest that
#: agree. A photo model (MobileNetV2, 1,000 photos, 5,000 captions) in int8 with .973, .94 and .84
#: had the recall of fp32 (recall@10 .676 and .679, recall@1 .259 each). ViT-B/32 reaches .997, .98
#: and .97; a ResNet-50 with a median of .949 did not keep its vectors.
MEDIAN, LEAST, RANKS = 0.97, 0.90, 0.80

NEAREST = 10

#: int8 is used only if it is faster than fp32 by at least this factor.
FASTER = 1.15

_REJECTED = "rejected.json"

#: Linux's list of processor flags, and the flags of int8 instructions.
_CPUINFO = Path("/proc/cpuinfo")
_VNNI = frozenset({"avx512_vnni", "avx_vnni", "avx_vnni_int8", "amx_int8"})


def has_vnni() -> bool:
    """Return whether this x86 processor has instructions for int8.

    True if the system doesn't tell; then the check finds out whether int8 is faster.
    """
    try:
        lines = _CPUINFO.read_text("ascii", "replace").splitlines()
    except OSError:
        return True
    flags = next((line for line in lines if line.startswith("flags")), None)
    return flags is None or bool(_VNNI & set(flags.split()))


# ------------------------------------------------------------------ the check


@dataclass(frozen=True, slots=True)
class Agreement:
    """How close two towers' vectors of the same images are.

    Attributes:
        images: number of images compared.
        median: median cosine between an image's two vectors, after both sets were centred.
        least: lowest of these cosines.
        ranks: mean share of each image's ten nearest that both towers agree on. Texts as queries
            would give about the same (.895 for .88), but mislead if all texts are alike.
    """

    images: int
    median: float
    least: float
    ranks: float

    @property
    def good(self) -> bool:
        """Whether searches give the same results with both."""
        return self.median >= MEDIAN and self.least >= LEAST and self.ranks >= RANKS

    def __str__(self) -> str:
        return (
            f"on {self.images} of your images the centred cosine to fp32 was {self.median:.4f} "
            f"(median) and {self.least:.4f} (lowest), and the ten nearest images agreed by "
            f"{self.ranks:.0%}"
        )


def agreement(exact: Vectors, fast: Vectors) -> Agreement:
    """Return how close the rows of `fast` are to those of `exact`.

    All vectors of a model share a large part (plain cosines of unrelated photos reach .5 to .99),
    which would hide losses in the rest, which is what ranks. So the mean is subtracted.

    Args:
        exact: (n, dim) unit rows of the reference.
        fast: (n, dim) unit rows of the same images.
    """
    import numpy as np

    mean = exact.mean(0)
    a, b = exact - mean, fast - mean
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    # If all images are alike, nothing is left after centring, and nothing can be measured.
    cosines = (a * b).sum(1) / np.maximum(lengths, 1e-12)
    nearest, found = _nearest(exact), _nearest(fast)
    shared = [len(set(p) & set(q)) / len(p) for p, q in zip(nearest, found, strict=True)]
    return Agreement(
        len(exact), float(np.median(cosines)), float(cosines.min()), float(np.mean(shared))
    )


def _nearest(rows: Vectors) -> list[list[int]]:
    """Return for each row the indices of the nearest others."""
    import numpy as np

    scores = rows @ rows.T
    np.fill_diagonal(scores, -np.inf)
    found: list[list[int]] = np.argsort(-scores, axis=1)[:, : min(NEAREST, len(rows) - 1)].tolist()
    return found


# ------------------------------------------------------------------ the conversion


class Conversion(conversion.Conversion):
    """The int8 tower of one model on disk.

    Attributes:
        package: the package that converts.
        watches: number of images that it observes.
    """

    package: ClassVar[str]
    watches: ClassVar[int]

    def installed(self) -> bool:
        """Return whether the package that converts is installed, without importing it."""
        return find_spec(self.package) is not None

    def rejected(self) -> str:
        """Return the report of the check that a new conversion failed; "" if none did."""
        try:
            said = json.loads((self.folder / _REJECTED).read_text("utf-8"))
        except (OSError, ValueError, RecursionError):
            return ""
        return str(said.get("why", "")) if isinstance(said, dict) else ""

    def reject(self, why: str) -> None:
        """Delete the conversion and note why, so that it is not made again."""
        self.discard()
        with contextlib.suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / _REJECTED).write_text(json.dumps({"why": why}), "utf-8")

    def make(self, graph: Graph, image: Port, images: Vectors) -> None:
        """Convert a tower.

        Args:
            graph: the tower.
            image: its input.
            images: prepared images of the user, on which to observe the tower.

        Raises:
            ModelError: the converter failed, or the folder can't be written.
        """
        raise NotImplementedError


class Calibrated(Conversion):
    """A tower for OpenVINO, made by NNCF."""

    package = "nncf"
    watches = CALIBRATION

    def make(self, graph: Graph, image: Port, images: Vectors) -> None:
        """Convert a tower, by observing it on some images; see `Conversion`."""
        import numpy as np

        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as temporary:
            sample = Path(temporary) / "images.npy"
            try:
                np.save(sample, images.astype(image.dtype, copy=False))
            except OSError as error:
                raise conversion.not_stored(sample, error) from error
            self.make_by("quantise", graph, image.name, str(sample))


class Dynamic(Conversion):
    """A tower for onnxruntime that rounds the values of each call by their own range."""

    FILES = ("model.onnx",)
    package = "onnx"
    watches = 0

    def make(self, graph: Graph, image: Port, images: Vectors) -> None:
        """Convert a tower, without looking at the images; see `Conversion`."""
        self.make_by("quantise_dynamic", graph)
