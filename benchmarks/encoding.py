"""How fast an image tower embeds: runtimes, precisions, images a call, and streams.

    python benchmarks/encoding.py MODEL_FOLDER --photos FOLDER [--quick] [--json FILE]

Compares onnxruntime in fp32 with OpenVINO in fp32, bf16 and int8, each at 1, 8 and 32 images a
call, once with one stream over all cores and once with a stream a core. The ways take turns in
every round. Besides images a second by the clock, images a second of processor time are given
(times the cores), which other work on the machine disturbs less. The ceiling is a large matrix
product, measured in the same rounds, in each precision.

int8 is converted here and not checked: how far it is from fp32 is what this measures. For OpenVINO
that needs NNCF, for onnxruntime `onnx`; bf16 needs OpenVINO; what is missing is left out. In
onnxruntime's int8 a call holds one image, since a batch would share one range of its values. Load
time and memory are those of a fresh process that opens the tower and embeds a batch.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pixseek.encoders import layouts
from pixseek.encoders.layouts import ModelFiles
from pixseek.encoders.onnx import cores
from pixseek.encoders.runtimes import graph as graphs
from pixseek.encoders.runtimes import int8, openvino
from pixseek.encoders.runtimes.towers import OnnxTower, Tower

SIDE = 2048  # of the matrices of the ceiling

Way = Callable[[], object]


@dataclass(frozen=True)
class Choice:
    """A runtime in a precision, with so many streams."""

    runtime: str
    precision: str
    streams: int

    def open(self, files: ModelFiles, folder: Path) -> Tower:
        graph = files.visual
        converted = conversions(folder)[self.runtime].model if self.precision == "int8" else None
        if self.runtime == "onnxruntime" and converted:
            graph = graphs.read(converted)
        assert graph.embedding
        if self.runtime == "onnxruntime":
            threads = 1 if self.streams > 1 else 0
            return OnnxTower(graph, graph.embedding, threads=threads, streams=self.streams)
        return openvino.OpenVinoTower(
            graph,
            graph.embedding,
            streams=self.streams,
            threads=cores(),
            precision="f32" if self.precision == "fp32" else "bf16",
            converted=converted,
        )


def main() -> None:
    options = arguments()
    if options.opened:
        print(json.dumps(opened(options)))
        return
    files = layouts.read(options.model)
    images = photos(files, options.photos, 192)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        seconds = convert(files, folder, images[: int8.CALIBRATION])
        results = compare(options, files, folder, images[int8.CALIBRATION :])
        results["convert_s"] = seconds
    draw(results)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1), "utf-8")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--photos", type=Path, help="folder of photos; else smooth noise")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="8 images a call only, one round")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--opened", nargs=4, help=argparse.SUPPRESS)
    return parser.parse_args()


def photos(files: ModelFiles, folder: Path | None, n: int) -> np.ndarray:
    """Return n prepared images."""
    rules = files.preprocessing
    if folder is None:
        random = np.random.default_rng(0)
        coarse = random.standard_normal((n, 3, 8, 8)).repeat(-(-rules.height // 8), 2)
        smooth = coarse.repeat(-(-rules.width // 8), 3)[:, :, : rules.height, : rules.width]
        return np.ascontiguousarray(smooth, np.float32)
    from pixseek.images import decode

    paths = sorted(folder.rglob("*.jpg"))[:n]
    at_least = 2 * max(rules.height, rules.width)
    return np.stack([rules.apply(decode(p.read_bytes(), at_least=at_least)) for p in paths])


def conversions(folder: Path) -> dict[str, int8.Conversion]:
    """Return where each runtime's tower in int8 is."""
    return {
        "openvino": int8.Calibrated(folder / "calibrated"),
        "onnxruntime": int8.Dynamic(folder / "dynamic"),
    }


def convert(files: ModelFiles, folder: Path, images: np.ndarray) -> dict[str, float]:
    """Return how long each conversion took that could be made."""
    assert files.visual.image
    took = {}
    for runtime, conversion in conversions(folder).items():
        if conversion.installed() and (runtime != "openvino" or openvino.installed()):
            began = time.perf_counter()
            conversion.make(files.visual, files.visual.image, images)
            took[runtime] = time.perf_counter() - began
    return took


def compare(
    options: argparse.Namespace, files: ModelFiles, folder: Path, images: np.ndarray
) -> dict[str, Any]:
    sizes = [8] if options.quick else [1, 8, 32]
    made = {runtime: each.there() for runtime, each in conversions(folder).items()}
    precisions = ["fp32", *["int8"] * made["onnxruntime"]]
    choices = [Choice("onnxruntime", p, n) for p in precisions for n in streams()]
    if openvino.installed():
        precisions = ["fp32", *["bf16"] * openvino.has_bf16(), *["int8"] * made["openvino"]]
        choices += [Choice("openvino", p, n) for p in precisions for n in streams()]
    name = files.visual.image.name if files.visual.image else ""
    towers = {choice: choice.open(files, folder) for choice in choices}
    exact = unit(embed(towers[choices[0]], name, images, 8))
    rows: list[dict[str, Any]] = []
    ways: list[tuple[dict[str, Any], int, Way]] = []
    for choice, tower in towers.items():
        alone = (choice.runtime, choice.precision) == ("onnxruntime", "int8")
        found = int8.agreement(exact, unit(embed(tower, name, images, 1 if alone else 8)))
        for size in [1] if alone else sizes:
            row = {
                **{k: getattr(choice, k) for k in ("runtime", "precision", "streams")},
                "batch": size,
                "by_clock": [],
                "by_cpu": [],
                "centred_cosine": [found.median, found.least],
                "nearest_agree": found.ranks,
            }
            rows.append(row)
            count = max(size * choice.streams, 16 if options.quick else 64)
            some = images[np.arange(count) % len(images)]
            ways.append((row, count, lambda t=tower, s=some, b=size: embed(t, name, s, b)))
    peaks: dict[str, dict[str, list[float]]] = {}
    for precision, product in ceilings().items():
        peaks[precision] = {"by_clock": [], "by_cpu": []}
        ways.append((peaks[precision], 2 * SIDE**3, product))
    for _, _, way in ways:
        way()  # what is set up for a new size is not counted
    for _ in range(1 if options.quick else options.rounds):
        for row, count, way in ways:
            clock, processor = time.perf_counter(), time.process_time()
            way()
            row["by_clock"].append(count / (time.perf_counter() - clock))
            row["by_cpu"].append(count / (time.process_time() - processor) * cores())
    for choice in choices:
        fresh = in_fresh_process(options.model, choice, folder)
        for row in rows:
            if all(row[key] == getattr(choice, key) for key in ("runtime", "precision", "streams")):
                row.update(fresh)
    return {"model": str(options.model), "cores": cores(), "rows": rows, "peak_flops": peaks}


def streams() -> list[int]:
    return sorted({1, cores()})


def embed(tower: Tower, name: str, images: np.ndarray, size: int) -> np.ndarray:
    parts = [images[at : at + size] for at in range(0, len(images), size)]
    with ThreadPoolExecutor(tower.streams) as pool:
        return np.concatenate(list(pool.map(lambda part: tower.run({name: part}), parts)))


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def ceilings() -> dict[str, Way]:
    """Return a large matrix product in each precision that OpenVINO has here."""
    if not openvino.installed():
        a = np.ones((SIDE, SIDE), np.float32)
        return {"fp32 (numpy)": lambda: a @ a}
    import openvino as ov
    from openvino import opset13 as op

    def product(precision: str) -> Way:
        given = op.parameter([SIDE, SIDE], np.float32)
        random = np.random.default_rng(0)
        if precision == "int8":
            weights: Any = op.multiply(
                op.convert(
                    op.constant(random.integers(-127, 128, (SIDE, SIDE), np.int8)), np.float32
                ),
                op.constant(np.float32(0.01)),
            )
            low, high = (op.constant(np.float32(v)) for v in (-1.28, 1.27))
            left: Any = op.fake_quantize(given, low, high, low, high, 256)
        else:
            left, weights = given, op.constant(random.standard_normal((SIDE, SIDE), np.float32))
        compiled = ov.Core().compile_model(
            ov.Model([op.matmul(left, weights, False, False)], [given]),
            "CPU",
            {
                "INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32",
                # One core, which waits for no other; the table's figures are times the cores.
                "INFERENCE_NUM_THREADS": 1,
                "NUM_STREAMS": "1",
                "ENABLE_CPU_PINNING": False,
            },
        )
        request = compiled.create_infer_request()
        rows = random.standard_normal((SIDE, SIDE), np.float32)
        return lambda: request.infer({0: rows}, share_inputs=True)

    precisions = ["fp32", *["bf16"] * openvino.has_bf16(), "int8"]
    return {precision: product(precision) for precision in precisions}


def in_fresh_process(model: Path, choice: Choice, folder: Path) -> dict[str, float]:
    command = [sys.executable, __file__, str(model)]
    command += ["--opened", choice.runtime, choice.precision, str(choice.streams), str(folder)]
    run = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(run.stdout)
    return found


def opened(options: argparse.Namespace) -> dict[str, float]:
    """Open a tower, embed eight images, and return what that took."""
    runtime, precision, count, folder = options.opened
    began = time.perf_counter(), time.process_time()
    files = layouts.read(options.model)
    tower = Choice(runtime, precision, int(count)).open(files, Path(folder))
    assert files.visual.image
    tower.run({files.visual.image.name: photos(files, None, tower.batch_size)})
    took = time.perf_counter() - began[0], time.process_time() - began[1]
    return {"load_s": took[0], "load_cpu_s": took[1], **memory()}


def memory() -> dict[str, float]:
    """Return what this process holds, and what of it is no file, in MB; {} off Linux."""
    if not os.path.exists("/proc/self/status"):
        return {}
    lines = Path("/proc/self/status").read_text().splitlines()
    said = {name: int(value.split()[0]) for name, _, value in (x.partition(":") for x in lines)
            if name in ("VmHWM", "RssAnon")}  # fmt: skip
    return {"peak_mb": said["VmHWM"] / 1024, "anonymous_mb": said["RssAnon"] / 1024}


def draw(results: dict[str, Any]) -> None:
    print(f"{results['model']}, {results['cores']} cores, images a second: best of rounds")
    print("| runtime | precision | streams | batch | by clock | by processor time | centred cosine"
          " median / least | ten nearest | load s | peak / anonymous MB |")  # fmt: skip
    print("|---|---|---|---|---|---|---|---|---|---|")
    for row in results["rows"]:
        median, least = row["centred_cosine"]
        print(
            f"| {row['runtime']} | {row['precision']} | {row['streams']} | {row['batch']} "
            f"| {max(row['by_clock']):.1f} | {max(row['by_cpu']):.1f} | {median:.4f} / {least:.4f} "
            f"| {row['nearest_agree']:.2f} | {row['load_s']:.2f} "
            f"| {row.get('peak_mb', 0):.0f} / {row.get('anonymous_mb', 0):.0f} |"
        )
    for precision, rates in results["peak_flops"].items():
        clock, processor = (max(rates[by]) / 1e9 for by in ("by_clock", "by_cpu"))
        print(
            f"matrix product in {precision}: {clock:.0f} billion operations a second by the clock,"
        )
        print(f"    {processor:.0f} by processor time")
    for runtime, seconds in results["convert_s"].items():
        print(f"conversion to int8 for {runtime}: {seconds:.0f} s")


if __name__ == "__main__":
    main()
