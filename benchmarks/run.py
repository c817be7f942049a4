"""Measure pixseek and its alternatives, and write the page of figures.

    python benchmarks/run.py                                  # everything, about 25 minutes
    python benchmarks/run.py --quick                          # the same at small sizes
    python benchmarks/run.py --photos ~/Pictures --out FOLDER

Run it from the environment that has pixseek, on a machine that does nothing else. The peers get
environments of their own under `--envs`, and photos, models and vectors are made there once: the
first run takes some minutes and 4 GB for that. The models have the real architectures and random
weights, which say everything of speed and nothing of quality; for recall on real photos give a
real model by `--model`, with its captioned photos by `--captioned`.

FOLDER gets `results.json`; `benchmarks/render.py` makes docs/benchmarks.md and its plots of it.
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
from pathlib import Path
from typing import Any

from harness import environments, indexing, machine, material, queries, stages, stores
from harness.recall import real_vectors

HERE = Path(__file__).parent
PARTS = (
    "indexing", "stages", "encoding", "queries", "recheck", "memory", "store", "appending",
    "recall",
)  # fmt: skip


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="small sizes and two rounds")
    parser.add_argument("--out", type=Path, default=Path("benchmark-results"), metavar="FOLDER")
    parser.add_argument(
        "--envs", type=Path, default=Path("~/.cache/pixseek-bench").expanduser(), metavar="FOLDER",
        help="where environments and material are made and kept (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--photos", type=Path, help="a folder of JPEGs; without it, drawn scenes")
    parser.add_argument(
        "--architecture", action="append", choices=("ViT-B/32", "ViT-B/16", "ViT-L/14"),
        help="to index with; may be repeated (default: ViT-B/32)",
    )  # fmt: skip
    parser.add_argument("--sizes", type=int, nargs="+", help="vectors in the store")
    parser.add_argument("--dims", type=int, nargs="+", default=[512, 768, 1152])
    parser.add_argument("--uncapped", action="store_true", help="slow stores at every size too")
    parser.add_argument("--rounds", type=int)
    parser.add_argument(
        "--only", nargs="+", choices=PARTS, default=PARTS, metavar="PART",
        help=f"of {', '.join(PARTS)}; the figures of the others are kept",
    )  # fmt: skip
    parser.add_argument(
        "--prepare", action="store_true", help="only make the environments and the material"
    )
    parser.add_argument("--model", type=Path, help="a real model, for recall on real photos")
    parser.add_argument("--captioned", type=Path, help="a folder of photos with captions.tsv")
    return parser.parse_args()


class Run:
    """One run: its settings, and the results so far, which are written after every part."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.began = time.monotonic()
        self.quick: bool = options.quick
        self.rounds: int = options.rounds or (2 if self.quick else 3)
        self.cache = options.envs / "material"
        self.cache.mkdir(parents=True, exist_ok=True)
        options.out.mkdir(parents=True, exist_ok=True)
        self.file = options.out / "results.json"
        self.results: dict[str, Any] = (
            json.loads(self.file.read_text()) if self.file.exists() else {}
        )
        self.environments = {"pixseek": environments.own()} | {
            name: environments.ensure(name, options.envs, self.log) for name in environments.PEERS
        }

    def log(self, text: str) -> None:
        print(f"{time.monotonic() - self.began:6.0f} s  {text}", flush=True)

    def part(self, name: str, measure: Callable[[], Any]) -> None:
        """Measure one part and write it down; the parts after it do not hang on its success."""
        if name not in self.options.only:
            return
        self.log(name)
        began = time.monotonic()
        try:
            self.results[name] = measure()
        except Exception as error:
            self.log(f"{name} failed: {error}")
            self.results[name] = {"error": f"{type(error).__name__}: {error}"}
        self.results.setdefault("took_s", {})[name] = round(time.monotonic() - began)
        self.write()

    def write(self) -> None:
        self.file.write_text(json.dumps(self.results, indent=1, default=float))

    def script(self, name: str, *more: object) -> Any:
        """Run another of the benchmarks and return what it writes by `--json`."""
        with tempfile.TemporaryDirectory() as folder:
            answer = Path(folder) / "answer.json"
            command = [sys.executable, HERE / f"{name}.py", *map(str, more), "--json", answer]
            done = subprocess.run(command, check=False, capture_output=True, text=True)
            if done.returncode:
                raise RuntimeError(done.stderr[-800:])
            return json.loads(answer.read_text())


def main() -> None:
    options = arguments()
    run = Run(options)
    # What pixseek converts of the models stays with them.
    os.environ["PIXSEEK_MODELS_DIR"] = str(run.cache / "converted")
    quick, log, environment = run.quick, run.log, run.environments
    architectures = options.architecture or ["ViT-B/32"]
    counts = {size: n // 4 if quick else n for size, n in indexing.COUNTS.items()}
    photos = material.photos(run.cache, {"warm-up": 16, **counts}, options.photos)
    models = {
        name: material.models(run.cache, environment["torch"], name, log) for name in architectures
    }
    sizes = options.sizes or ([1000, 20_000] if quick else [1000, 100_000, 1_000_000])
    middle = sizes[min(1, len(sizes) - 1)]
    cases = [(size, options.dims[0]) for size in sizes]
    cases += [(middle, dim) for dim in options.dims[1:]]
    if "store" in options.only:
        for rows, dim in cases:
            material.vectors(run.cache, rows, dim)
    if options.prepare:
        log("all is prepared")
        return
    run.results["machine"] = machine.describe(environment, options.envs)
    run.results["settings"] = {
        "quick": quick, "rounds": run.rounds, "photos": "the user's" if options.photos else "drawn",
    }  # fmt: skip
    run.write()

    precisions = indexing.supported_precisions()

    def index_all() -> dict[str, Any]:
        return {
            name: indexing.measure(
                indexing.contenders(precisions, own_model="rclip" in folders),
                environment, folders, photos, indexing.counts_for(name, counts), run.rounds, log,
            )
            for name, folders in models.items()
        }  # fmt: skip

    run.part("indexing", index_all)
    run.part(
        "stages",
        lambda: {
            name: stages.measure(precisions, folders["xenova"], photos, 1 if quick else 4, log)
            for name, folders in models.items()
        },
    )
    run.part(
        "encoding",
        lambda: {
            name: run.script(
                "encoding", folders["xenova"], "--photos", photos["0.3 MP"],
                *(["--quick"] if quick or name != "ViT-B/32" else []),
            )
            for name, folders in models.items()
        },
    )  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="pixseek-bench-", dir=options.envs) as temporary:
        work = Path(temporary)
        first = models[architectures[0]]
        run.part(
            "queries",
            lambda: queries.measure(
                (1000, 5000 if quick else 100_000), environment,
                first.get("rclip", first["xenova"]), first["xenova"], work, run.rounds + 2, log,
            ),
        )  # fmt: skip
        run.part("recheck", lambda: run.script("recheck", "--files", 5000 if quick else 100_000))
        run.part(
            "memory",
            lambda: run.script(
                "memory", "--images", 60 if quick else 1000, "--model", first["xenova"]
            ),
        )
        run.part(
            "store",
            lambda: stores.measure(
                cases, environment, run.cache, work / "stores", run.rounds, log,
                uncapped=options.uncapped,
            ),
        )  # fmt: skip
        run.part("appending", lambda: stores.appending(environment, run.cache, work, middle))
        if options.model and options.captioned:
            run.part(
                "recall", lambda: real_vectors(options.model, options.captioned, work / "recall")
            )
    log(f"done: {run.file}; now: python benchmarks/render.py {run.file}")


if __name__ == "__main__":
    os.environ["PIXSEEK_OFFLINE"] = "1"
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    main()
