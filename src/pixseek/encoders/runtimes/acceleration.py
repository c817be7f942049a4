"""Choose what runs an image tower for many images, and in which precision."""

from __future__ import annotations

import contextlib
import platform
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import field, replace
from functools import partial
from typing import TYPE_CHECKING, get_args

from pixseek.encoders.runtimes import gpus, graph, int8, mapped, openvino, reference
from pixseek.encoders.runtimes.conversion import Halved
from pixseek.encoders.runtimes.gpus import Gpu
from pixseek.encoders.runtimes.graph import Graph, Port
from pixseek.encoders.runtimes.towers import OnnxTower, Tower
from pixseek.errors import MissingExtraError, ModelError, unknown
from pixseek.types import Acceleration, Precision
from pixseek.types.dataclass import dataclass

if TYPE_CHECKING:
    from pathlib import Path

    from pixseek.types import Vectors


#: The least number of images for OpenVINO. Opening ViT-B/32 takes 1 s of processor time more than
#: in onnxruntime; each image then takes 50 ms less.
OPENVINO_FROM = 24
#: The least number of images for int8 in OpenVINO, by the precision it replaces. Converting
#: ViT-B/32 takes 34 s of processor time and the check 22 s; each image then takes 22 ms less than
#: in bf16 and 72 ms less than in fp32.
CONVERT_FROM = {"bf16": 2500, "fp32": 1000}
#: The same if the tower was converted before and is only checked.
CHECK_FROM = 1000
#: The same for onnxruntime. Converting takes 13 s and the check 26 s; each image then takes 45 ms
#: less than in fp32 (without VNNI).
DYNAMIC_FROM, DYNAMIC_CHECK_FROM = 1000, 600
#: The least number of images for a GPU; not measured.
GPU_FROM = 200


@dataclass(frozen=True, slots=True)
class Job:
    """An image tower to accelerate, and for what.

    Attributes:
        graph: the tower.
        image: its input.
        output: its embedding.
        streams: cores to use.
        images: how many will be embedded.
        sample: returns up to n of the user's images, prepared.
        encode: returns the unit rows of some images, by a tower.
        calibrated: where int8 for OpenVINO is kept; None for nowhere.
        dynamic: where int8 for onnxruntime is kept; None for nowhere.
        halved: where the weights in 16 bits are kept; None for nowhere.
    """

    graph: Graph
    image: Port
    output: Port
    streams: int
    images: int
    sample: Callable[[int], Vectors]
    encode: Callable[[Tower, Vectors], Vectors]
    calibrated: int8.Calibrated | None
    dynamic: int8.Dynamic | None
    halved: Halved | None


def accelerate(job: Job, precision: Precision) -> tuple[Tower, Acceleration]:
    """Return the fastest tower available, and how it was chosen.

    Raises:
        ModelError: the precision is unknown; or it was asked for by name and is unavailable or
            fails its check. For fewer images than the check needs, int8 is not used; the report
            says so.
        MissingExtraError: it was asked for by name and needs a package that is not installed.
    """
    known = get_args(Precision)
    if precision not in known:
        raise ModelError("unknown precision", precision, unknown("precision", precision, known))
    choice = _Choice(job, precision)
    if precision not in ("auto", "fp32"):
        return choice.named()
    ways = (choice.on_gpu, choice.on_openvino, choice.in_int8)
    for way in ways if precision == "auto" else ways[:1]:
        try:
            return way()
        except _DeclinedError as why:
            choice.notes.extend(why.args)
    return choice.on_onnxruntime()


class _DeclinedError(Exception):
    """A way is not taken. Its arguments say why, if users would want to know."""


@dataclass(frozen=True, slots=True)
class _Int8:
    """A way to compute in int8.

    Attributes:
        runtime: what runs it.
        conversion: where it is kept.
        open: opens it.
        convert_from: the least number of images to convert a tower for.
        check_from: the least number of images to check a tower that was converted before.
    """

    runtime: str
    conversion: int8.Conversion
    open: Callable[[], Tower]
    convert_from: int
    check_from: int


@dataclass(frozen=True, slots=True)
class _Choice:
    """One choice while it is made; `notes` say why nothing better was chosen."""

    job: Job
    precision: Precision
    notes: list[str] = field(default_factory=list)

    # -------------------------------------------------------------- runtimes

    def on_gpu(self) -> tuple[Tower, Acceleration]:
        """Return the tower on a GPU, if there is one and enough images.

        Not tested on a real GPU, so the check against the CPU decides.
        """
        import onnxruntime as ort

        there = ort.get_available_providers()
        found = [gpu for gpu in gpus.GPUS if gpu.provider in there]
        if not found or self.job.graph.quantised:
            raise _DeclinedError
        names = " and ".join(gpu.name for gpu in found)
        if self.job.images < GPU_FROM:
            raise _DeclinedError(f"{names} is used for at least {GPU_FROM} images")
        for gpu in found:
            try:
                return self.on(gpu)
            except _DeclinedError as why:
                self.notes.extend(why.args)
        raise _DeclinedError

    def on(self, gpu: Gpu) -> tuple[Tower, Acceleration]:
        """Return the tower on one kind of GPU, after its check."""
        import numpy as np

        job, name = self.job, gpu.name
        tower = OnnxTower(
            job.graph, job.output, provider=gpu.provider, provider_options=gpu.options
        )
        try:
            if tower.provider() != gpu.provider:
                raise _DeclinedError(f"onnxruntime could not start {name}")
            images = job.sample(int8.CHECKED)
            _enough(images)
            if job.image.shape[0] is None:
                tower.batch_size = gpus.best_batch(
                    lambda n: job.encode(tower, images[np.arange(n) % len(images)])
                )
            found = self.compare(tower, images, self.exact(images)[0])
        except ModelError as error:
            raise _DeclinedError(f"{name} failed ({error.advice or error.problem})") from error
        if not found.good:
            raise _DeclinedError(f"{name} gave different vectors: {found}")
        return tower, self.said(f"onnxruntime {name}", "fp32", f"{name} is available", found)

    def on_openvino(self) -> tuple[Tower, Acceleration]:
        """Return the tower in OpenVINO: in int8 if there are enough images, else in bf16.

        Never in fp32, which is as slow as in onnxruntime (ViT-B/32: 90 against 89 ms an image) and
        takes more memory (834 against 629 MB).
        """
        if self.job.graph.quantised:
            raise _DeclinedError("the model is quantised already")
        if not _is_x86():
            raise _DeclinedError("OpenVINO is faster on x86-64 only")
        if self.job.images < OPENVINO_FROM:
            raise _DeclinedError(f"OpenVINO is used for at least {OPENVINO_FROM} images")
        if not openvino.installed():
            raise _DeclinedError("OpenVINO is not installed (pip install 'pixseek[openvino]')")
        try:
            has_bf16 = openvino.has_bf16()
            try:
                return self.if_worth_it(self.by_openvino())
            except _DeclinedError as why:
                self.notes.extend(why.args)
            if not has_bf16:
                raise _DeclinedError("without bf16, as here, OpenVINO is hardly faster")
            return self.in_bf16()
        except (ModelError, ImportError, OSError) as error:
            said = error.advice if isinstance(error, ModelError) else str(error)
            raise _DeclinedError(f"OpenVINO could not run it ({said})") from error

    def on_onnxruntime(self) -> tuple[Tower, Acceleration]:
        """Return the tower in onnxruntime on the CPU, one core for each call."""
        graph = self.job.graph
        computes = "int8" if graph.quantised else "fp32"
        return _on_cpu(self.job), self.said("onnxruntime", computes, "it runs everywhere")

    def named(self) -> tuple[Tower, Acceleration]:
        """Return the tower in the precision that was asked for by name, or raise."""
        has_bf16 = openvino.installed() and openvino.has_bf16()
        if self.precision == "int8":
            if self.job.images < int8.CHECKED_AT_LEAST:
                # The setting holds for all runs, and a run may be for one new photo.
                tower, said = self.in_bf16() if has_bf16 else self.on_onnxruntime()
                why = (
                    f"too few images to check int8 on: a run needs at least "
                    f"{int8.CHECKED_AT_LEAST} new ones"
                )
                return tower, replace(said, why=why)
            by_openvino = openvino.installed() and _is_x86() and int8.has_vnni()
            return self.converted(self.by_openvino() if by_openvino else self.by_onnxruntime())
        if not openvino.installed():
            raise MissingExtraError(f"precision {self.precision}", "openvino", "openvino")
        if not has_bf16:
            raise ModelError(
                "this processor can't compute in bf16",
                platform.processor() or platform.machine(),
                "Use precision auto or fp32.",
            )
        return self.in_bf16()

    # -------------------------------------------------------------- precisions

    def in_bf16(self) -> tuple[Tower, Acceleration]:
        """Return the tower in OpenVINO, computing in bf16.

        Not checked: recall@10 over 5,000 captions stayed the same (.6786 against .6788).
        """
        try:
            tower = self.opened("bf16", self.halved())
        except ModelError:
            if self.job.halved is None:
                raise
            self.job.halved.discard()  # broken: the next run makes it again
            tower = self.opened("bf16")
        asked = self.precision == "bf16"
        why = "as requested" if asked else "this processor computes in bf16"
        return tower, self.said("openvino", "bf16", why)

    def halved(self) -> Path | None:
        """Return the tower with weights in 16 bits; None if it is too small for that to help."""
        graph, halved = self.job.graph, self.job.halved
        if halved is None or mapped.bytes_of(graph) < mapped.WORTH_IT:
            return None
        if not halved.there():
            with contextlib.suppress(ModelError):  # a full disk: the ONNX file will do
                halved.make(graph)
        return halved.model if halved.there() else None

    def in_int8(self) -> tuple[Tower, Acceleration]:
        """Return the tower in int8 in onnxruntime, if there are enough images."""
        if self.job.graph.quantised:
            raise _DeclinedError
        return self.if_worth_it(self.by_onnxruntime())

    def by_openvino(self) -> _Int8:
        """Return how OpenVINO computes in int8; its other layers use bf16 or fp32."""
        base = "bf16" if openvino.has_bf16() else "fp32"
        if self.precision == "auto" and not int8.has_vnni():
            raise _DeclinedError("without VNNI, as here, int8 is no faster in OpenVINO")
        kept = self.kept(self.job.calibrated)
        return _Int8(
            "openvino", kept, lambda: self.opened(base, kept.model), CONVERT_FROM[base], CHECK_FROM
        )

    def by_onnxruntime(self) -> _Int8:
        """Return how onnxruntime computes in int8: one image per call: a batch shares a scale."""
        kept, job = self.kept(self.job.dynamic), self.job

        def opened() -> Tower:
            tower = graph.read(kept.model)
            output = next((each for each in tower.outputs if each.name == job.output.name), None)
            if output is None:
                raise ModelError("a converted model is broken", kept.model)
            return OnnxTower(tower, output, threads=1, streams=job.streams, batch_size=1)

        return _Int8("onnxruntime", kept, opened, DYNAMIC_FROM, DYNAMIC_CHECK_FROM)

    def kept(self, conversion: int8.Conversion | None) -> int8.Conversion:
        """Return where a tower in int8 is kept, or raise if there is no place."""
        if conversion is not None:
            return conversion
        if self.precision == "auto":
            raise _DeclinedError("int8 needs a folder for the converted model")
        raise ModelError("there is no folder for a converted model", self.job.graph.path)

    def if_worth_it(self, way: _Int8) -> tuple[Tower, Acceleration]:
        """Return the tower in int8 if there are enough images and it passes the check."""
        conversion = way.conversion
        there = conversion.there()
        least = way.check_from if there else way.convert_from
        if self.job.images < least:
            raise _DeclinedError(f"int8 is used for at least {least:,} images")
        if not there and not conversion.installed():
            raise _DeclinedError("int8 would be faster (pip install 'pixseek[int8]')")
        if said := conversion.rejected():
            raise _DeclinedError(f"int8 was tried before: {said}")
        try:
            return self.converted(way)
        except (ModelError, MissingExtraError) as error:
            raise _DeclinedError(f"int8 was not used: {error.problem} ({error.advice})") from error

    def converted(self, way: _Int8) -> tuple[Tower, Acceleration]:
        """Return the tower in int8 after its check; convert it first unless that was done before.

        Raises:
            ModelError: it can't be converted, or fails the check.
            MissingExtraError: the package that converts it is not installed.
        """
        job, conversion = self.job, way.conversion
        if job.graph.quantised:
            raise ModelError("this model is quantised already", job.graph.path)
        # The exact tower is closed before the other is opened, so memory need not hold both.
        if conversion.there():
            images = job.sample(int8.CHECKED)
            exact = self.exact(images)
            try:
                tower = way.open()
            except ModelError:
                conversion.discard()  # broken: it is made again
            else:
                found, faster = self.compared(tower, images, exact)
                # It was made from other images; from these it may turn out better.
                if found.good or self.precision == "auto" or not conversion.watches:
                    return self.passed(way, tower, found, faster)
        if not conversion.installed():
            raise MissingExtraError("converting a model to int8", conversion.package, "int8")
        images = job.sample(conversion.watches + int8.CHECKED)
        # The sample is random, so both parts are alike; slices copy nothing.
        part = len(images) * conversion.watches // (conversion.watches + int8.CHECKED)
        watched, images = images[:part], images[part:]
        _enough(images)
        conversion.make(job.graph, job.image, watched)
        exact = self.exact(images)
        tower = way.open()
        found, faster = self.compared(tower, images, exact)
        if not found.good:
            conversion.reject(str(found))
        return self.passed(way, tower, found, faster)

    def passed(
        self, way: _Int8, tower: Tower, found: int8.Agreement, faster: float
    ) -> tuple[Tower, Acceleration]:
        """Return a tower in int8 that passed its check.

        Raises:
            ModelError: it did not; or it is no faster and was not asked for by name.
        """
        if not found.good:
            raise ModelError(
                "in int8 this model gives different vectors",
                self.job.graph.path,
                f"{str(found).capitalize()}. Use precision auto, bf16 or fp32.",
            )
        if self.precision == "auto" and faster < int8.FASTER:
            why = f"an image takes {1 / faster:.2f} times as long as in fp32"
            way.conversion.reject(why)
            raise ModelError("in int8 this model is no faster here", self.job.graph.path, why)
        why = f"{faster:.1f} times as fast as fp32, with the same results: {found}"
        return tower, replace(self.said(way.runtime, "int8", why, found), speedup=faster)

    def opened(self, base: str, converted: Path | None = None) -> Tower:
        """Return the tower in OpenVINO."""
        return openvino.OpenVinoTower(
            self.job.graph,
            self.job.output,
            streams=self.job.streams,
            precision="bf16" if base == "bf16" else "f32",
            converted=converted,
        )

    # -------------------------------------------------------------- the check

    def exact(self, images: Vectors) -> tuple[Vectors, float]:
        """Return unit rows by onnxruntime on the CPU in fp32, and the processor seconds they took.

        Raises:
            ModelError: there are too few images for a check.
        """
        _enough(images)
        # A graph that takes one image per call would be opened for each.
        alone = self.job.image.shape[0] is not None or self.job.graph.quantised_on_the_fly
        if not alone:
            tower = reference.ReferenceTower(
                self.job.graph, self.job.output, len(images), self.job.streams
            )
            rows = self.rows(tower, images)
            return rows, tower.cpu_seconds
        lean = _on_cpu(self.job, lean=True)
        lean.provider()  # opens it
        began = time.process_time()
        rows = self.rows(lean, images)
        seconds = time.process_time() - began
        lean.close()
        return rows, seconds

    def compared(
        self, tower: Tower, images: Vectors, exact: tuple[Vectors, float]
    ) -> tuple[int8.Agreement, float]:
        """Return how close a tower's vectors are to the exact ones, and how many times as fast."""
        rows, seconds = exact
        tower.run({self.job.image.name: images[:1].astype(self.job.image.dtype)})  # opens it
        # Processor time hardly depends on other programs.
        began = time.process_time()
        found = self.compare(tower, images, rows)
        return found, seconds / max(time.process_time() - began, 1e-9)

    def compare(self, tower: Tower, images: Vectors, exact: Vectors) -> int8.Agreement:
        """Return how close a tower's vectors of the images are to the exact ones."""
        return int8.agreement(exact, self.rows(tower, images))

    def rows(self, tower: Tower, images: Vectors) -> Vectors:
        import numpy as np

        size = tower.batch_size
        parts = [images[at : at + size] for at in range(0, len(images), size)]
        with ThreadPoolExecutor(tower.streams) as pool:
            return np.concatenate(list(pool.map(partial(self.job.encode, tower), parts)))

    # -------------------------------------------------------------- the report

    def said(
        self, runtime: str, precision: str, why: str, found: int8.Agreement | None = None
    ) -> Acceleration:
        """Return what was chosen and why, with all notes."""
        whole = "; ".join((why, *self.notes))
        if found is None:
            return Acceleration(runtime, precision, whole)
        return Acceleration(
            runtime, precision, whole, found.images, found.median, found.least, found.ranks
        )


def _is_x86() -> bool:
    return platform.machine().lower() in ("x86_64", "amd64")


def _enough(images: Vectors) -> None:
    """Raise ModelError if there are too few images for a check."""
    if len(images) < int8.CHECKED_AT_LEAST:
        raise ModelError(
            "too few images to check the model",
            len(images),
            "Use precision auto, bf16 or fp32.",
        )


def _on_cpu(job: Job, *, lean: bool = False) -> OnnxTower:
    """Return the tower in onnxruntime on the CPU, one core for each call."""
    return OnnxTower(job.graph, job.output, threads=1, streams=job.streams, lean=lean)
