"""An image tower in whole numbers of 8 bits: made once a model, checked on every library's images.

There are two ways to make one (extra `int8`). For OpenVINO, `quantise` watches the values inside
the tower on some of the user's images, and fixes how they are rounded. Its kernels need a
processor that multiplies whole numbers of 8 bits at once (VNNI): on one without, ViT-B/32 takes as
long as in fp32 (114 against 112 ms an image on a core of a Zen 3), where onnxruntime takes 60 of
its 105 ms with the tower that `quantise_dynamic` makes. That one rounds by the values of each call,
so that its calls must hold one image.

Whether the vectors stayed what they were, and whether it is any faster, depends on model, images
and processor; so both are measured, on others of the user's images, and not believed.
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

#: Images that the conversion watches.
CALIBRATION = 64
#: Images that the check compares, never those of the conversion.
CHECKED = 128
#: Fewer images say nothing about ten nearest among them.
CHECKED_AT_LEAST = 24

#: What the check demands: of the centred cosines their median and least, and the share of the ten
#: nearest. A photo model (MobileNetV2, 1,000 photos, 5,000 captions) in int8 with .98, .95 and .88
#: found as much as in fp32 (recall@10 .673 against .679, recall@1 .263 and .259), so did one with
#: .973, .94 and .84 (.676, .259). ViT-B/32 gives .997, .98 and .97; a ResNet-50 with .949 did not
#: keep its vectors.
MEDIAN, LEAST, RANKS = 0.97, 0.90, 0.80

NEAREST = 10

#: An image must take less time than in fp32 by this factor, or its vectors are not touched.
FASTER = 1.15

_REJECTED = "rejected.json"

#: Where Linux tells what the processor can do, and what of it multiplies whole numbers of 8 bits.
_CPUINFO = Path("/proc/cpuinfo")
_VNNI = frozenset({"avx512_vnni", "avx_vnni", "avx_vnni_int8", "amx_int8"})


def has_vnni() -> bool:
    """Return whether this x86 processor multiplies whole numbers of 8 bits at once.

    True where the system does not tell; a conversion then shows whether it is faster.
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
    """How near two towers' vectors of the same images are.

    Attributes:
        images: how many were compared.
        median: of the cosines of each image's two vectors, after both sets were centred.
        least: of these cosines.
        ranks: mean share of each image's ten nearest that both towers name. (Texts as queries
            say no more: .895 where this says .88; and they mislead where all texts are alike.)
    """

    images: int
    median: float
    least: float
    ranks: float

    @property
    def good(self) -> bool:
        """Whether search gives the same with either."""
        return self.median >= MEDIAN and self.least >= LEAST and self.ranks >= RANKS

    def __str__(self) -> str:
        return (
            f"on {self.images} of your images its vectors had a centred cosine to fp32 of "
            f"{self.median:.4f} (median) and {self.least:.4f} (least), and the ten nearest agreed "
            f"by {self.ranks:.0%}"
        )


def agreement(exact: Vectors, fast: Vectors) -> Agreement:
    """Return how near the rows of `fast` are to those of `exact`.

    All vectors of a model share a large part (plain cosines of unrelated photos reach .5 to .99),
    which hides what was lost of the rest, and the rest is what ranks. So the mean is taken out.

    Args:
        exact: (n, dim) unit rows of the reference.
        fast: (n, dim) unit rows of the same images.
    """
    import numpy as np

    mean = exact.mean(0)
    a, b = exact - mean, fast - mean
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    # Where all images are alike nothing is left of them, and nothing can be told.
    cosines = (a * b).sum(1) / np.maximum(lengths, 1e-12)
    nearest, found = _nearest(exact), _nearest(fast)
    shared = [len(set(p) & set(q)) / len(p) for p, q in zip(nearest, found, strict=True)]
    return Agreement(
        len(exact), float(np.median(cosines)), float(cosines.min()), float(np.mean(shared))
    )


def _nearest(rows: Vectors) -> list[list[int]]:
    """Return, for each row, which of the others are nearest to it."""
    import numpy as np

    scores = rows @ rows.T
    np.fill_diagonal(scores, -np.inf)
    found: list[list[int]] = np.argsort(-scores, axis=1)[:, : min(NEAREST, len(rows) - 1)].tolist()
    return found


# ------------------------------------------------------------------ the conversion


class Conversion(conversion.Conversion):
    """Where the tower in whole numbers of one model is kept.

    Attributes:
        package: what converts.
        watches: how many images it converts by.
    """

    package: ClassVar[str]
    watches: ClassVar[int]

    def installed(self) -> bool:
        """Return whether what converts is installed, without importing it."""
        return find_spec(self.package) is not None

    def rejected(self) -> str:
        """Return what the check said when a fresh conversion failed it; "" if none did."""
        try:
            said = json.loads((self.folder / _REJECTED).read_text("utf-8"))
        except (OSError, ValueError):
            return ""
        return str(said.get("why", "")) if isinstance(said, dict) else ""

    def reject(self, why: str) -> None:
        """Delete the conversion and note why, so that the minutes are not spent again."""
        self.discard()
        with contextlib.suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / _REJECTED).write_text(json.dumps({"why": why}), "utf-8")

    def make(self, graph: Graph, image: Port, images: Vectors) -> None:
        """Convert a tower.

        Args:
            graph: the tower.
            image: its input.
            images: prepared images of the user's own, to watch the tower on.

        Raises:
            ModelError: the converter failed, or the folder can't be written.
        """
        raise NotImplementedError


class Calibrated(Conversion):
    """A tower for OpenVINO, made by NNCF."""

    package = "nncf"
    watches = CALIBRATION

    def make(self, graph: Graph, image: Port, images: Vectors) -> None:
        """Convert a tower, watching some images; see `Conversion`."""
        import numpy as np

        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as temporary:
            sample = Path(temporary) / "images.npy"
            try:
                np.save(sample, images.astype(image.dtype, copy=False))
            except OSError as error:
                raise conversion.not_stored(sample, error) from error
            self.make_by("quantise", graph, image.name, str(sample))


class Dynamic(Conversion):
    """A tower for onnxruntime, which rounds the values of each call by their own range."""

    FILES = ("model.onnx",)
    package = "onnx"
    watches = 0

    def make(self, graph: Graph, image: Port, images: Vectors) -> None:
        """Convert a tower, without a look at the images; see `Conversion`."""
        self.make_by("quantise_dynamic", graph)
