"""What runs an image tower that many images are to go through, and in which precision."""

from __future__ import annotations

import contextlib
import platform
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import field, replace
from functools import partial
from typing import TYPE_CHECKING, get_args

from pixseek.encoders.runtimes import graph, int8, mapped, openvino, reference
from pixseek.encoders.runtimes.conversion import Halved
from pixseek.encoders.runtimes.graph import Graph, Port
from pixseek.encoders.runtimes.towers import IMAGES_A_CALL, OnnxTower, Tower
from pixseek.errors import MissingExtraError, ModelError, unknown
from pixseek.types import Acceleration, Precision
from pixseek.types.dataclass import dataclass

if TYPE_CHECKING:
    from pathlib import Path

    from pixseek.types import Vectors


@dataclass(frozen=True, slots=True)
class Gpu:
    """What onnxruntime can compute on besides the CPU.

    Attributes:
        provider: its name in onnxruntime.
        name: for people.
        options: that the provider is given.
    """

    provider: str
    name: str
    options: Mapping[str, str] = field(default_factory=dict)


#: Best first. OpenVINO's is asked for a GPU alone: on the CPU it would compute in fp32, in which
#: OpenVINO gains nothing (`on_openvino`; ViT-B/32 by onnxruntime-openvino 1.24: 12 to 16 images a
#: second, by onnxruntime 15 to 17), and the package `openvino` computes in less. Not here
#: are TensorRT and MIGraphX, which compile a graph for minutes, anew for each size of a batch.
GPUS = (
    Gpu("CUDAExecutionProvider", "CUDA"),
    Gpu("DmlExecutionProvider", "DirectML"),
    Gpu("CoreMLExecutionProvider", "CoreML"),
    Gpu("OpenVINOExecutionProvider", "OpenVINO's GPU", {"device_type": "GPU", "precision": "FP32"}),
)

#: From how many images on OpenVINO pays. To open ViT-B/32 in it takes 2 s of processor time, 1 s
#: more than in onnxruntime; an image then takes 50 ms less. (Its own cache of compiled models would
#: save .9 s of a run for 336 MB of disk, and is not used.)
OPENVINO_FROM = 24
#: From how many images on int8 pays. To convert ViT-B/32 for OpenVINO takes 34 s of processor time,
#: to check it 22 s; an image then takes 22 ms less than in bf16, and 72 ms less than in fp32.
CONVERT_FROM = {"bf16": 2500, "fp32": 1000}
#: From how many images on the check of an int8 tower pays that was converted before.
CHECK_FROM = 1000
#: The same for onnxruntime's: to convert takes 13 s, to check 26 s (without VNNI, where an image
#: then takes 45 ms less than in fp32).
DYNAMIC_FROM, DYNAMIC_CHECK_FROM = 1000, 600
#: From how many images on a GPU is worth its start and its check; not measured.
GPU_FROM = 200

#: A call to a GPU holds twice as many images as long as it gains this much by it.
_GAIN = 1.1
_LARGEST_BATCH = 256


@dataclass(frozen=True, slots=True)
class Job:
    """An image tower to accelerate, and what for.

    Attributes:
        graph: the tower.
        image: its input.
        output: its embedding.
        streams: cores to use.
        images: how many are to be embedded.
        sample: gives up to n of the user's images, prepared.
        encode: gives the unit rows of some images, by a tower.
        calibrated: where int8 for OpenVINO is kept; None where there is no place.
        dynamic: where int8 for onnxruntime is kept; None where there is no place.
        halved: where the weights in 16 bits are kept; None where there is no place.
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
    """Return the fastest tower that may be had, and what is to be said of it.

    Raises:
        ModelError: the precision is unknown; or it was named, and can't be had or fails its check
            (int8 is not used, and that is no error, for fewer images than the check needs).
        MissingExtraError: it was named, and needs a package that is not installed.
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
    """A way that is not taken, and why; nothing to say where nobody would expect it."""


@dataclass(frozen=True, slots=True)
class _Int8:
    """A way to compute in int8.

    Attributes:
        runtime: what runs it.
        conversion: where it is kept.
        open: opens what is kept there.
        convert_from: from how many images on it pays to make one.
        check_from: from how many images on it pays to check one that was made before.
    """

    runtime: str
    conversion: int8.Conversion
    open: Callable[[], Tower]
    convert_from: int
    check_from: int


@dataclass(frozen=True, slots=True)
class _Choice:
    """One choice as it is made; `notes` are why nothing better was taken."""

    job: Job
    precision: Precision
    notes: list[str] = field(default_factory=list)

    # -------------------------------------------------------------- runtimes

    def on_gpu(self) -> tuple[Tower, Acceleration]:
        """Return the tower on a GPU, if there is one and it is worth its start.

        Never run by its authors: they have no such machine. So the check against the CPU decides.
        """
        import onnxruntime as ort

        there = ort.get_available_providers()
        gpus = [gpu for gpu in GPUS if gpu.provider in there]
        if not gpus or self.job.graph.quantised:
            raise _DeclinedError
        names = " and ".join(gpu.name for gpu in gpus)
        if self.job.images < GPU_FROM:
            raise _DeclinedError(f"{names} is used from {GPU_FROM} images on")
        for gpu in gpus:
            try:
                return self.on(gpu)
            except _DeclinedError as why:
                self.notes.extend(why.args)
        raise _DeclinedError

    def on(self, gpu: Gpu) -> tuple[Tower, Acceleration]:
        """Return the tower on one kind of GPU, after its check."""
        job, name = self.job, gpu.name
        tower = OnnxTower(
            job.graph, job.output, provider=gpu.provider, provider_options=gpu.options
        )
        try:
            if tower.provider() != gpu.provider:
                raise _DeclinedError(f"onnxruntime could not start {name}")
            images = job.sample(int8.CHECKED)
            if job.image.shape[0] is None:
                tower.batch_size = best_batch(lambda n: job.encode(tower, _tiled(images, n)))
            found = self.compare(tower, images, self.exact(images)[0])
        except ModelError as error:
            raise _DeclinedError(f"{name} failed ({error.advice or error.problem})") from error
        if not found.good:
            raise _DeclinedError(f"{name} gave other vectors: {found}")
        return tower, self.said(f"onnxruntime {name}", "fp32", f"{name} is there", found)

    def on_openvino(self) -> tuple[Tower, Acceleration]:
        """Return the tower in OpenVINO: in int8 where that pays, else in bf16.

        Not in fp32, since it takes 834 MB for ViT-B/32 where onnxruntime takes 629, and as long
        (90 against 89 ms of processor time an image; a MobileNetV2 9.2 against 10.5).
        """
        if self.job.graph.quantised:
            raise _DeclinedError("the model comes in whole numbers already")
        if not _is_x86():
            raise _DeclinedError("OpenVINO is the faster one on x86-64 only")
        if self.job.images < OPENVINO_FROM:
            raise _DeclinedError(f"OpenVINO pays from {OPENVINO_FROM} images on")
        if not openvino.installed():
            raise _DeclinedError("OpenVINO is not installed (pip install 'pixseek[openvino]')")
        try:
            has_bf16 = openvino.has_bf16()
            try:
                return self.if_worth_it(self.by_openvino())
            except _DeclinedError as why:
                self.notes.extend(why.args)
            if not has_bf16:
                raise _DeclinedError("no bf16 here, and in fp32 OpenVINO gains little")
            return self.in_bf16()
        except (ModelError, ImportError, OSError) as error:
            said = error.advice if isinstance(error, ModelError) else str(error)
            raise _DeclinedError(f"OpenVINO could not run it ({said})") from error

    def on_onnxruntime(self) -> tuple[Tower, Acceleration]:
        """Return the tower in onnxruntime on the CPU, with one core a call."""
        graph = self.job.graph
        computes = "int8" if graph.quantised else "fp32"
        return _on_cpu(self.job), self.said("onnxruntime", computes, "it runs everywhere")

    def named(self) -> tuple[Tower, Acceleration]:
        """Return the tower in the precision that was named, or raise."""
        has_bf16 = openvino.installed() and openvino.has_bf16()
        if self.precision == "int8":
            if self.job.images < int8.CHECKED_AT_LEAST:
                # The setting stays for all runs, and a run may be for one new photo.
                self.notes.append("too few images to check int8 on")
                return self.in_bf16() if has_bf16 else self.on_onnxruntime()
            by_openvino = openvino.installed() and _is_x86() and int8.has_vnni()
            return self.converted(self.by_openvino() if by_openvino else self.by_onnxruntime())
        if not openvino.installed():
            raise MissingExtraError(f"precision {self.precision}", "openvino", "openvino")
        if not has_bf16:
            raise ModelError(
                "this processor does not compute in bf16",
                platform.processor() or platform.machine(),
                "Use the precision auto or fp32.",
            )
        return self.in_bf16()

    # -------------------------------------------------------------- precisions

    def in_bf16(self) -> tuple[Tower, Acceleration]:
        """Return the tower in OpenVINO, computing in bf16.

        It is not checked: it changed ViT-B/32's vectors by 4e-5, and those of a MobileNetV2 by
        .003, which left recall@10 over 5,000 captions as it was (.6786 for .6788).
        """
        try:
            tower = self.opened("bf16", self.halved())
        except ModelError:
            if self.job.halved is None:
                raise
            self.job.halved.discard()  # broken: it is made anew by the next run
            tower = self.opened("bf16")
        asked = self.precision == "bf16"
        why = "as was asked for" if asked else "this processor computes in bf16"
        return tower, self.said("openvino", "bf16", why)

    def halved(self) -> Path | None:
        """Return the tower with weights in 16 bits; None where that is not worth it."""
        graph, halved = self.job.graph, self.job.halved
        if halved is None or mapped.bytes_of(graph) < mapped.WORTH_IT:
            return None
        if not halved.there():
            with contextlib.suppress(ModelError):  # a full disk: the ONNX file does as well
                halved.make(graph)
        return halved.model if halved.there() else None

    def in_int8(self) -> tuple[Tower, Acceleration]:
        """Return the tower in int8 in onnxruntime, if that pays for so many images."""
        if self.job.graph.quantised:
            raise _DeclinedError
        return self.if_worth_it(self.by_onnxruntime())

    def by_openvino(self) -> _Int8:
        """Return how OpenVINO computes in int8; what is not in whole numbers, in bf16 or fp32."""
        base = "bf16" if openvino.has_bf16() else "fp32"
        if self.precision == "auto" and not int8.has_vnni():
            raise _DeclinedError("without VNNI, as here, OpenVINO gains nothing by int8")
        kept = self.kept(self.job.calibrated)
        return _Int8(
            "openvino", kept, lambda: self.opened(base, kept.model), CONVERT_FROM[base], CHECK_FROM
        )

    def by_onnxruntime(self) -> _Int8:
        """Return how onnxruntime computes in int8: a batch would share one range of its values."""
        kept, job = self.kept(self.job.dynamic), self.job

        def opened() -> Tower:
            tower = graph.read(kept.model)
            output = next((each for each in tower.outputs if each.name == job.output.name), None)
            if output is None:
                raise ModelError("a converted model is broken", kept.model)
            return OnnxTower(tower, output, threads=1, streams=job.streams, batch_size=1)

        return _Int8("onnxruntime", kept, opened, DYNAMIC_FROM, DYNAMIC_CHECK_FROM)

    def kept(self, conversion: int8.Conversion | None) -> int8.Conversion:
        """Return where a tower in int8 is kept, or raise where nothing can be."""
        if conversion is not None:
            return conversion
        if self.precision == "auto":
            raise _DeclinedError("int8 needs a folder to keep the converted model in")
        raise ModelError("there is no folder to keep a converted model in", self.job.graph.path)

    def if_worth_it(self, way: _Int8) -> tuple[Tower, Acceleration]:
        """Return the tower in int8 if that pays for so many images, and passes the check."""
        conversion = way.conversion
        there = conversion.there()
        least = way.check_from if there else way.convert_from
        if self.job.images < least:
            raise _DeclinedError(f"int8 pays from {least:,} images on")
        if not there and not conversion.installed():
            raise _DeclinedError("int8 would be faster (pip install 'pixseek[int8]')")
        if said := conversion.rejected():
            raise _DeclinedError(f"int8 was tried before: {said}")
        try:
            return self.converted(way)
        except (ModelError, MissingExtraError) as error:
            raise _DeclinedError(f"int8 was not taken: {error.problem} ({error.advice})") from error

    def converted(self, way: _Int8) -> tuple[Tower, Acceleration]:
        """Return the tower in int8 after its check; converts it unless that was done before.

        Raises:
            ModelError: it can't be converted, or fails the check.
            MissingExtraError: what converts is not installed.
        """
        job, conversion = self.job, way.conversion
        if job.graph.quantised:
            raise ModelError("this model comes in whole numbers already", job.graph.path)
        # The exact tower is gone before the other is opened: they need not fit side by side.
        if conversion.there():
            images = job.sample(int8.CHECKED)
            exact = self.exact(images)
            try:
                tower = way.open()
            except ModelError:
                conversion.discard()  # broken: it is made anew
            else:
                found, faster = self.compared(tower, images, exact)
                # It was made from other images; with these it may turn out better.
                if found.good or self.precision == "auto" or not conversion.watches:
                    return self.passed(way, tower, found, faster)
        if not conversion.installed():
            raise MissingExtraError("converting a model to int8", conversion.package, "int8")
        images = job.sample(conversion.watches + int8.CHECKED)
        # Drawn at random, so that both parts have some of all there is; and no copy is made.
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
            ModelError: it did not, or nobody asked for it and it is no faster.
        """
        if not found.good:
            raise ModelError(
                "in int8 this model gives other vectors",
                self.job.graph.path,
                f"{str(found).capitalize()}. Use the precision auto, bf16 or fp32.",
            )
        if self.precision == "auto" and faster < int8.FASTER:
            why = f"an image takes {1 / faster:.2f} times as long as in fp32"
            way.conversion.reject(why)
            raise ModelError("in int8 this model is no faster here", self.job.graph.path, why)
        why = f"it keeps the vectors: {found}; and is {faster:.1f} times as fast as fp32"
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
        """Return unit rows as onnxruntime computes them on the CPU, in fp32, and the CPU seconds.

        Raises:
            ModelError: the images are too few for a check.
        """
        _enough(images)
        # Graphs that take one image a call would be opened for each.
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
        """Return how near a tower's vectors are to the exact ones, and how many times as fast."""
        rows, seconds = exact
        tower.run({self.job.image.name: images[:1].astype(self.job.image.dtype)})  # opens it
        # By processor time, which other programs that keep the cores busy hardly change.
        began = time.process_time()
        found = self.compare(tower, images, rows)
        return found, seconds / max(time.process_time() - began, 1e-9)

    def compare(self, tower: Tower, images: Vectors, exact: Vectors) -> int8.Agreement:
        """Return how near a tower's vectors of the images are to the exact ones."""
        return int8.agreement(exact, self.rows(tower, images))

    def rows(self, tower: Tower, images: Vectors) -> Vectors:
        import numpy as np

        size = tower.batch_size
        parts = [images[at : at + size] for at in range(0, len(images), size)]
        with ThreadPoolExecutor(tower.streams) as pool:
            return np.concatenate(list(pool.map(partial(self.job.encode, tower), parts)))

    # -------------------------------------------------------------- what is said

    def said(
        self, runtime: str, precision: str, why: str, found: int8.Agreement | None = None
    ) -> Acceleration:
        """Return what was chosen, with all notes."""
        whole = "; ".join((why, *self.notes))
        if found is None:
            return Acceleration(runtime, precision, whole)
        return Acceleration(
            runtime, precision, whole, found.images, found.median, found.least, found.ranks
        )


def _is_x86() -> bool:
    return platform.machine().lower() in ("x86_64", "amd64")


def _enough(images: Vectors) -> None:
    """Raise ModelError where the images are too few for a check."""
    if len(images) < int8.CHECKED_AT_LEAST:
        raise ModelError(
            "there are too few images to check the model on",
            len(images),
            "Use the precision auto, bf16 or fp32.",
        )


def best_batch(run: Callable[[int], object], clock: Callable[[], float] = time.perf_counter) -> int:
    """Return how many images a call should hold, found by trying.

    Args:
        run: makes a call with so many images; raises ModelError where they are too many.
        clock: gives the time in seconds.
    """
    best, rate = IMAGES_A_CALL, 0.0
    size = best
    while size <= _LARGEST_BATCH:
        try:
            run(size)  # what is set up for a new size is not counted
            began = clock()
            run(size)
        except ModelError:
            break
        found = size / (clock() - began)
        if found < _GAIN * rate:
            break
        best, rate, size = size, found, 2 * size
    return best


def _on_cpu(job: Job, *, lean: bool = False) -> OnnxTower:
    """Return the tower in onnxruntime on the CPU, with a core for each call."""
    return OnnxTower(job.graph, job.output, threads=1, streams=job.streams, lean=lean)


def _tiled(images: Vectors, n: int) -> Vectors:
    """Return n images, again and again the same ones."""
    import numpy as np

    return images[np.arange(n) % len(images)]
