"""What the figures were measured on: without it they say nothing."""

from __future__ import annotations

import os
import platform
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.environments import Environment

#: Instructions that matrix products and decoders are fast by.
FLAGS = (
    "avx2", "fma", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_bf16", "amx_int8",
    "asimd", "asimddp", "i8mm", "bf16", "sve",
)  # fmt: skip

#: Packages whose versions matter, wherever they are installed.
PACKAGES = (
    "pixseek", "numpy", "onnxruntime", "openvino", "nncf", "pillow", "turbovec", "torch",
    "transformers", "sentence-transformers", "clip-retrieval", "rclip", "faiss-cpu", "lancedb",
    "chromadb", "sqlite-vec", "apsw", "milvus-lite", "pymilvus", "flask", "fastapi", "uvicorn",
)  # fmt: skip


def describe(environments: Mapping[str, Environment], disk: Path) -> dict[str, Any]:
    """Return the machine, the commit and the versions."""
    return {
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9),
        "disk_read_mb_s": _disk_speed(disk),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "commit": _commit(),
        "date": time.strftime("%Y-%m-%d"),
        "packages": {
            name: {p: v for p, v in environment.packages.items() if p.replace("_", "-") in PACKAGES}
            for name, environment in environments.items()
        },
        "not installed": {n: e.reason for n, e in environments.items() if e.python is None},
        "matrix_gflops": {"fp32": _matrix_peak()},
    }


def _cpu() -> dict[str, Any]:
    try:
        lines = Path("/proc/cpuinfo").read_text().split("\n\n", 1)[0].splitlines()
    except OSError:
        return {"model": platform.processor() or platform.machine(), "flags": []}
    fields = {
        key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)
    }
    has = set((fields.get("flags") or fields.get("Features") or "").split())
    model = fields.get("model name", platform.machine())
    names = ("cpu family", "model")
    more = ", ".join(f"{name} {fields[name]}" for name in names if name in fields)
    return {
        "model": f"{model} ({more})" if more else model,
        "flags": [f for f in FLAGS if f in has],
    }


def _disk_speed(folder: Path, megabytes: int = 512) -> float:
    """Return MB/s of reading a file in order that is not in memory; 0 where that can't be had."""
    if not hasattr(os, "posix_fadvise"):
        return 0.0
    block = os.urandom(1 << 20)
    with tempfile.NamedTemporaryFile(dir=folder) as file:
        for _ in range(megabytes):
            file.write(block)
        file.flush()
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        began = time.perf_counter()
        os.lseek(file.fileno(), 0, os.SEEK_SET)
        while os.read(file.fileno(), 1 << 22):
            pass
        return round(megabytes * 1.048576 / (time.perf_counter() - began))


def _matrix_peak(side: int = 2048, repetitions: int = 10) -> float:
    """Return the GFLOP/s of numpy's float32 product, the best of several."""
    import numpy as np

    one = np.random.default_rng(0).standard_normal((side, side), dtype=np.float32)
    took = []
    for _ in range(repetitions):
        began = time.perf_counter()
        one @ one
        took.append(time.perf_counter() - began)
    return round(2 * side**3 / min(took) / 1e9)


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty"]
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, cwd=Path(__file__).parent
    )
    return done.stdout.strip()
