"""Where the time goes: flame graphs and the functions on top, of indexing and of queries.

    python benchmarks/profiling.py index --photos FOLDER --model FOLDER
    python benchmarks/profiling.py query --rows 100000 --model FOLDER
    python benchmarks/profiling.py one-shot --rows 100000 --model FOLDER

Writes profile-<what>.svg, to be opened in a browser, and prints a table: the share of samples in
which a function was running itself, and in which it or what it called was. Threads that wait are
not counted. py-spy samples from outside, native code included, in an environment of its own.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from harness import environments, queries

_QUERIES = """
import sys, time, pixseek
with pixseek.open(sys.argv[1], create=False) as library:
    library.search("warm")
    end = time.monotonic() + float(sys.argv[2])
    words = sys.argv[3].split("|")
    while time.monotonic() < end:
        for text in words:
            library.search(text)
"""


def made(rows: int, model: str, folder: Path) -> Path:
    """Return a library of made-up vectors."""
    photos, library = folder / "photos", folder / "library"
    queries.make_shells(photos, rows)
    dim = _dim(model)
    queries.make_ours(library, photos, queries.Clustered(dim).images(rows), Path(model))
    return library


def _dim(model: str) -> int:
    from pixseek import encoders

    return len(encoders.load(model, models_dir=Path(model).parent).encode_texts(["a"])[0])


def record(command: list[str], out: Path, rate: int, cache: Path, fresh: Path) -> list[str]:
    """Run a command under py-spy; return its samples, one line `outer;...;inner count` each.

    It runs twice, once for the graph and once for the samples; `fresh` is deleted before each.
    """
    environment = environments.ensure("py-spy", cache, print)
    if environment.python is None:
        raise SystemExit(environment.reason)
    spy = environment.python.with_name("py-spy")
    stacks = out.with_suffix(".txt")
    options = ["--native", "--rate", str(rate), "--subprocesses"]
    for kind, file in (("raw", stacks), ("flamegraph", out)):
        shutil.rmtree(fresh, ignore_errors=True)
        line = [str(spy), "record", *options, "--format", kind, "-o", str(file), "--", *command]
        done = subprocess.run(line, check=False, capture_output=True, text=True)
        if done.returncode or not file.exists():
            raise SystemExit(f"py-spy: {done.stderr[-800:]}")
    return stacks.read_text().splitlines()


def table(lines: list[str], top: int) -> str:
    own: Counter[str] = Counter()
    within: Counter[str] = Counter()
    for line in lines:
        stack, _, count = line.rpartition(" ")
        if not count.isdecimal():
            continue
        frames = [_name(frame) for frame in stack.split(";")]
        own[frames[-1]] += int(count)
        for frame in set(frames):
            within[frame] += int(count)
    total = sum(own.values()) or 1
    rows = ["| itself | function |", "|---|---|"]
    rows += [f"| {100 * n / total:.1f} % | `{frame}` |" for frame, n in own.most_common(top)]
    ours = [(f, n) for f, n in within.most_common() if "pixseek/" in f][:top]
    rows += ["", "| with what it calls | function of pixseek |", "|---|---|"]
    rows += [f"| {100 * n / total:.1f} % | `{frame}` |" for frame, n in ours]
    return "\n".join(rows)


def _name(frame: str) -> str:
    """Return a frame without its line, and one of stripped native code as its library alone."""
    frame = re.sub(r":\d+\)$", ")", frame)
    return re.sub(r"^0x[0-9a-f]+ \((?:.*/)?([^/)]+)\)$", r"somewhere in \1", frame)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("index", "query", "one-shot"))
    parser.add_argument("--model", default="demo")
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--rate", type=int, default=200, help="samples a second")
    parser.add_argument("--top", type=int, default=15)
    parser.add_argument("--out", type=Path, default=Path("benchmark-results"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    cache = Path("~/.cache/pixseek-bench").expanduser()
    with tempfile.TemporaryDirectory(prefix="pixseek-profile-") as temporary:
        folder = Path(temporary)
        pixseek = [sys.executable, "-m", "pixseek", "--offline", "-L"]
        if options.what == "index":
            if options.photos is None:
                parser.error("index needs --photos")
            command = [*pixseek, str(folder / "new"), "index", "-q", "-m", options.model]
            command.append(str(options.photos))
        else:
            library = str(made(options.rows, options.model, folder))
            texts = "|".join(queries.TEXTS[::7])
            script = folder / "queries.py"
            script.write_text(_QUERIES)
            command = [sys.executable, str(script), library, str(options.seconds), texts]
            if options.what == "one-shot":
                command = [*pixseek, library, "search", queries.QUERY]
        graph = options.out / f"profile-{options.what}.svg"
        lines = record(command, graph, options.rate, cache, folder / "new")
    print(table(lines, options.top))


if __name__ == "__main__":
    main()
