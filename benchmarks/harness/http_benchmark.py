"""The experiments of `benchmarks/http.py`."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness import environments, machine, material, rounds, web
from harness.process import drive
from harness.tables import number, table

#: The page that shows the figures, and what stands around them there.
PAGE = Path(__file__).parents[2] / "docs" / "http-speed.md"
MARKS = ("<!-- figures -->", "<!-- end of figures -->")

MANY, FEW, DIM = 1_000_000, 1_000, 512
PARTS = ("many", "indexing", "few")
#: Photos that indexing runs read while somebody searches: some seconds of a run take a few hundred.
INDEXED = 1_200


def arguments(text: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=text, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--envs", type=Path, default=Path("~/.cache/pixseek-bench").expanduser(), metavar="FOLDER",
        help="where environments and material are made and kept (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--prepare", action="store_true", help="only make what is needed")
    parser.add_argument("--quick", action="store_true", help="small sizes, two rounds")
    parser.add_argument("--rounds", type=int, help="default: 3")
    parser.add_argument(
        "--only", nargs="+", choices=PARTS, default=PARTS, metavar="PART",
        help=f"of {', '.join(PARTS)}",
    )  # fmt: skip
    parser.add_argument("--no-peers", action="store_true", help="only pixseek")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    parser.add_argument("--write", action="store_true", help=f"put the tables into {PAGE.name}")
    return parser.parse_args()


class Benchmark:
    """One run: its material, and the results so far."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.began = time.monotonic()
        self.rounds: int = options.rounds or (2 if options.quick else 3)
        self.seconds = 1.0 if options.quick else 4.0
        self.many = 20_000 if options.quick else MANY
        self.cache: Path = options.envs / "material"
        self.own = self.cache / "http"
        self.own.mkdir(parents=True, exist_ok=True)
        self.environments = {"pixseek": environments.own()} | {
            name: environments.ensure(name, options.envs, self.log)
            for name in ("torch", *(() if options.no_peers else ("clip-retrieval",)))
        }
        found = material.models(self.cache, self.environments["torch"], "ViT-B/32", self.log)
        self.model, self.hf = found["xenova"], found["hf"]
        # What pixseek converts of the models stays with them.
        os.environ["PIXSEEK_MODELS_DIR"] = str(self.cache / "converted")
        counts = {"warm-up": 16, "0.3 MP": 64 if options.quick else INDEXED}
        self.photos = material.photos(self.cache, counts, None)
        self.stored = material.vectors(self.cache, self.many, DIM) / "stored.npy"
        self.results: dict[str, Any] = {}

    def log(self, text: str) -> None:
        print(f"{time.monotonic() - self.began:6.0f} s  {text}", file=sys.stderr, flush=True)

    # ------------------------------------------------------------------ material

    def library(self, rows: int) -> Path:
        """Return a library of so many rows, made once."""
        place = self.own / f"library-{rows}"
        if not (place / "ready").exists():
            self.log(f"making a library of {rows:,} rows")
            shutil.rmtree(place, ignore_errors=True)
            asked = {"phase": "build", "library": str(place), "rows": rows,
                     "model": str(self.model), "warm": str(self.photos["warm-up"]),
                     "stored": str(self.stored)}  # fmt: skip
            drive(Path(sys.executable), "live_pixseek", asked, timeout=3600)
            # The first search measures the background, and the first run chooses the precision.
            drive(Path(sys.executable), "ask_pixseek", {"library": str(place), "seconds": 1,
                  "first": 0})  # fmt: skip
            (place / "ready").touch()
        return place

    def their_index(self) -> Path:
        """Return the index that clip-retrieval makes of the same vectors."""
        place = self.own / f"clip-retrieval-{self.many}"
        if not (place / "metadata").exists():
            self.log("clip-retrieval makes its index of the same vectors")
            shutil.rmtree(place, ignore_errors=True)
            python = self.environments["clip-retrieval"].python
            assert python
            asked = {"phase": "build", "stored": str(self.stored), "index": str(place)}
            drive(python, "serve_clip_retrieval", asked, timeout=3600)
        return place

    def prepare(self) -> None:
        self.library(self.many)
        self.library(FEW)
        if not self.options.no_peers and self.environments["clip-retrieval"].python:
            self.their_index()

    def servers(self, rows: int, library: Path, work: Path) -> dict[str, web.Server]:
        """Start the servers over the same rows."""
        started = {"pixseek": web.pixseek(library, work / "pixseek.log")}
        torch = self.environments["torch"].python
        if self.options.no_peers or torch is None:
            return started
        started["tutorial"] = web.peer(
            "tutorial", torch,
            {"model": str(self.hf), "vectors": str(self.stored), "rows": rows},
            work / "tutorial.log",
        )  # fmt: skip
        theirs = self.environments["clip-retrieval"].python
        if rows == self.many and theirs:
            started["clip-retrieval"] = web.peer(
                "clip-retrieval", theirs,
                {"phase": "serve", "index": str(self.their_index()), "model": str(self.hf)},
                work / "clip-retrieval.log",
            )  # fmt: skip
        return started

    # ------------------------------------------------------------------ experiments

    def compare(self, rows: int, library: Path) -> dict[str, list[Any]]:
        """Ask all servers in turns: one client and 32, and pixseek's also what repeats."""
        with tempfile.TemporaryDirectory() as work:
            servers = self.servers(rows, library, Path(work))
            with web.serving(servers):
                asked: dict[str, Callable[[], Any]] = {}
                first = 25_000  # the server was asked none of these: it keeps answers

                def in_process() -> Any:
                    nonlocal first
                    given = {"library": str(library), "seconds": 4 * self.seconds, "first": first,
                             "port": servers["pixseek"].port}  # fmt: skip
                    answer = drive(Path(sys.executable), "ask_pixseek", given)
                    first += 2 * len(answer["took_ms"])
                    return {**web.brief(answer), "added_ms": answer["added_ms"]}

                asked["in process"] = in_process
                for name, server in servers.items():
                    for clients in (1, 32):
                        asked[f"{name}, {clients}"] = self.asking(server, clients)
                        if name == "pixseek":
                            asked[f"{name}, {clients}, repeated"] = self.asking(
                                server, clients, distinct=20
                            )
                # What is compared with each other takes its turn next to it.
                order = ("in process", "pixseek, 1", "pixseek, 1, repeated")
                asked = {name: asked[name] for name in (*order, *sorted(set(asked) - {*order}))}
                return rounds.interleave(asked, self.rounds, self.log)

    def asking(self, server: web.Server, clients: int, distinct: int = 0) -> Callable[[], Any]:
        # Slow servers need longer for as many answers.
        seconds = self.seconds * (1 if server.kind == "pixseek" else 1.5)
        return lambda: web.brief(server.ask(clients, seconds, distinct=distinct))

    def indexing(self) -> dict[str, list[Any]]:
        """Ask one server that is idle, and while an indexing run is going, in turns."""
        with tempfile.TemporaryDirectory(dir=self.own) as work:
            library = Path(work) / "library"
            shutil.copytree(self.library(self.many), library)
            # The rows of the library are of a root called "photos", whose files are not there.
            photos = Path(work) / "incoming"
            photos.mkdir()
            files = sorted(self.photos["0.3 MP"].glob("*.jpg"))
            share = len(files) // self.rounds
            self.index(library, photos)
            server = web.pixseek(library, Path(work) / "pixseek.log")

            def during() -> Any:
                for file in files[:share]:
                    os.link(file, photos / file.name)
                del files[:share]
                job = server.call("POST", "/api/jobs", {"kind": "index"})
                while not (state := self.state(server, job))["progress"] or (
                    not state["progress"]["done"]
                ):
                    time.sleep(0.05)
                answer = server.ask(1, self.seconds)
                state = self.state(server, job)
                # A run that ended meanwhile would leave the server idle.
                running, done = state["state"] == "running", state["progress"]["done"]
                server.call("POST", f"/api/jobs/{job['id']}/stop")
                while not (state := self.state(server, job))["ended_at"]:
                    time.sleep(0.1)
                if not running:
                    raise RuntimeError(f"the run ended too early, after {done} photos")
                return {**web.brief(answer), "indexed": done}

            with web.serving({"pixseek": server}):
                idle = self.asking(server, 1)
                return rounds.interleave(
                    {"pixseek, idle": idle, "pixseek, indexing": during}, self.rounds, self.log
                )

    def state(self, server: web.Server, job: Any) -> Any:
        return server.call("GET", f"/api/jobs/{job['id']}")

    def index(self, library: Path, photos: Path) -> None:
        """Make a folder one that runs read, which also chooses and converts the model."""
        import pixseek

        for file in self.photos["warm-up"].glob("*.jpg"):
            os.link(file, photos / f"warm-{file.name}")
        with pixseek.open(library, create=False) as opened:
            opened.index(photos)

    def run(self) -> None:
        self.prepare()
        if self.options.prepare:
            self.log("all is prepared")
            return
        self.results["machine"] = machine.describe(self.environments, self.options.envs)
        self.results["rounds"], self.results["summary"] = self.rounds, {}
        for part, measure, few in (
            ("many", lambda: self.compare(self.many, self.library(self.many)), ""),
            ("indexing", self.indexing, ""),
            ("few", lambda: self.compare(FEW, self.library(FEW)), " (few)"),
        ):
            if part not in self.options.only:
                continue
            self.log(part)
            outcomes = measure()
            self.results[part] = outcomes
            self.results["summary"] |= web.summary(outcomes, few)
            if self.options.json:
                self.options.json.write_text(json.dumps(self.results, indent=1, default=float))
        print(render(self.results))
        if self.options.write:
            page = PAGE.read_text("utf-8")
            PAGE.write_text(with_figures(page, render(self.results)), "utf-8")
            self.log(f"written: {PAGE}")


def render(results: dict[str, Any]) -> str:
    """Return the figures as tables in Markdown."""
    lines = []
    for limit in web.LIMITS:
        found = results["summary"].get(limit.figure)
        if found is None:
            lines.append([limit.what, _limit(limit), "not run"])
            continue
        value = f"{number(found['median'])} {limit.unit}"
        if not limit.is_met(found["median"]):
            value = f"**{value}**"
        lines.append([limit.what, _limit(limit), f"{value} ({_range(found)})"])
    text = _measured_on(results["machine"], results["rounds"]) + "\n\n"
    text += table(("", "limit", "median (least to most)"), lines)
    for part, title in (("many", "Many vectors"), ("indexing", "Indexing"), ("few", "Few vectors")):
        if part not in results:
            continue
        lines = []
        for name, runs in results[part].items():
            good = [run for run in runs if "error" not in run]
            if not good:
                lines.append([name, runs[0]["error"][-200:], "", "", "", ""])
                continue
            kept = [good[n] for n in rounds.quiet(good)]
            middle = {
                key: rounds.spread([run[key] for run in kept])["median"]
                for key in ("p50_ms", "p95_ms", "rate", "cpu_ms")
            }
            lines.append([name, *map(number, middle.values()), f"{len(kept)}"])
        head = (title, "p50 ms", "p95 ms", "answers a second", "processor ms an answer", "rounds")
        text += "\n" + table(head, lines)
    return text


def with_figures(page: str, figures: str) -> str:
    """Return a page with these figures in the place of the last ones."""
    before, _, rest = page.partition(MARKS[0])
    _, _, after = rest.partition(MARKS[1])
    return f"{before}{MARKS[0]}\n{figures.strip()}\n{MARKS[1]}{after}"


def _measured_on(found: dict[str, Any], count: int) -> str:
    """Return when, where and with what the figures were measured, as a sentence."""
    names = {
        "pixseek": ("fastapi", "uvicorn", "onnxruntime", "faiss-cpu", "numpy"),
        "torch": ("flask", "transformers", "torch", "numpy"),
        "clip-retrieval": ("clip-retrieval", "flask", "transformers", "torch", "faiss-cpu"),
    }
    versions = "; ".join(
        ", ".join(f"{name} {own[name]}" for name in names[which] if name in own)
        for which, each in found["packages"].items()
        if (own := {name.replace("_", "-"): version for name, version in each.items()})
    )
    return (
        f"Measured on {found['date']} in {count} rounds with commit {found['commit']}: "
        f"{found['cores']} cores of {found['cpu']['model']}, {found['memory_gb']} GB, Python "
        f"{found['python']}; {versions}."
    )


def _limit(limit: web.Limit) -> str:
    return f"{'at most' if limit.at_most else 'at least'} {limit.wanted:g} {limit.unit}"


def _range(found: dict[str, float]) -> str:
    return f"{number(found['min'])} to {number(found['max'])}"


def main(text: str) -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # servers are ended on the way out
    os.environ["PIXSEEK_OFFLINE"] = "1"
    Benchmark(arguments(text)).run()
