"""The tables of the page, as Markdown, from `results.json`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def number(value: float) -> str:
    """Return three significant digits, or all those before the point."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def spread(cell: Mapping[str, float], unit: str = "") -> str:
    """Return `median (min to max)`."""
    low, high = number(cell["min"]), number(cell["max"])
    return f"{number(cell['median'])}{unit} ({low} to {high})"


def disturbed(cell: Mapping[str, Any]) -> str:
    """Return a mark where other programs spoilt rounds and too few were left without them."""
    return " †" if cell.get("disturbed", 0) > 0 and cell["rounds"] <= cell["disturbed"] else ""


def not_run(part: Any) -> str:
    """Return a sentence for a part that has no figures; "" for one that has."""
    if not part:
        return "Not run.\n"
    if isinstance(part, dict) and "error" in part:
        return f"Not measured: {part['error']}.\n"
    return ""


def machine(facts: Mapping[str, Any]) -> str:
    cpu = facts["cpu"]
    rows = [
        ("processor", f"{cpu['model']}, {facts['cores']} cores"),
        ("instructions", " ".join(cpu["flags"]) or "-"),
        ("memory", f"{facts['memory_gb']} GB"),
        ("disk", f"reads {facts['disk_read_mb_s']:.0f} MB/s in order, nothing cached"),
        ("float32 matrix product (numpy)", f"{facts['matrix_gflops']['fp32']:.0f} GFLOP/s"),
        ("system", f"{facts['system']}, Python {facts['python']}"),
        ("pixseek", f"commit {facts['commit']}, {facts['date']}"),
    ]
    for name, packages in facts["packages"].items():
        listed = ", ".join(f"{p} {v}" for p, v in sorted(packages.items()))
        rows.append((f"environment of {name}", listed or "-"))
    for name, reason in facts["not installed"].items():
        rows.append((f"not installed: {name}", reason.replace("|", "/").replace("\n", " ")))
    return table(("what", "this machine"), rows)


def indexing(part: Mapping[str, Any]) -> str:
    if said := not_run(part):
        return said
    text = ""
    for architecture, measured in part.items():
        for group, found in measured["groups"].items():
            sizes = list(measured["counts"])
            rows = []
            for name, row in found["rows"].items():
                if "error" in row:
                    rows.append([name, f"not measured: {_short(row['error'])}"])
                    continue
                cells = [row["sizes"][size] for size in sizes]
                rows.append(
                    [
                        name,
                        *(number(cell["rate"]["median"]) for cell in cells),
                        *(
                            spread(cell["ratio"]) + disturbed(cell["ratio"])
                            if "ratio" in cell
                            else "-"
                            for cell in cells
                        ),
                        number(row["ready_s"]["median"]),
                        f"{row['peak_mb']:.0f}",
                    ]
                )
            head = ["", *(f"{s}, images/s" for s in sizes)]
            head += [f"{s}, times {found['baseline']}" for s in sizes]
            head += ["until ready, s", "peak MB"]
            text += f"### {architecture}, {group}\n\n{table(head, _padded(rows, len(head)))}\n"
        text += _notes(measured)
        for name, reason in measured["missing"].items():
            text += f"{name} was not run: {_short(reason)}\n\n"
    return text


def _notes(measured: Mapping[str, Any]) -> str:
    """Say what ran each of pixseek's rows, and what it took before the first photo was read."""
    lines = []
    for group, found in measured["groups"].items():
        for name, row in found["rows"].items():
            prepared = [c["prepare_s"]["median"] for c in row.get("sizes", {}).values()
                        if "prepare_s" in c]  # fmt: skip
            if prepared:
                said = f"{number(max(prepared))} s before the first photo"
                if row.get("runs_on"):
                    said += f"; {row['runs_on']}"
                lines.append(f"- {name} ({group}): {_short(said)}")
    for model, made in measured.get("converted", {}).items():
        said = made.get("error") or f"{number(made['seconds'])} s, once, with indexing the photos"
        lines.append(f"- converting {model} to int8: {_short(said)}")
    return "\n".join(lines) + "\n\n" if lines else ""


def _short(reason: str) -> str:
    """Return a reason in one line; of a traceback only what it ends with."""
    return " ".join(reason.split()).rpartition("Error: ")[2][-300:].replace("|", "/")


def _padded(rows: Sequence[Sequence[str]], width: int) -> list[list[str]]:
    return [[*row, *[""] * (width - len(row))] for row in rows]


def stages(part: Mapping[str, Any], indexed: Mapping[str, Any]) -> str:
    """Each stage alone, and how much of the slower one's rate the whole reaches."""
    if said := not_run(part) or not_run(indexed):
        return said
    rows = []
    for architecture, by_precision in part.items():
        groups = indexed.get(architecture, {}).get("groups", {})
        ours = groups.get("224 px", {}).get("rows", {})
        for precision, alone in by_precision.items():
            row = ours.get(f"pixseek {precision}", ours.get("pixseek", {}))
            for size, decoding in alone["decode"].items():
                decode, encode = decoding["rate"], alone["encode"]["rate"]
                whole = row.get("sizes", {}).get(size, {}).get("rate", {}).get("median")
                both = 1 / (1 / decode + 1 / encode)
                rows.append(
                    [
                        f"{architecture} {precision}, {size}", number(decode), number(encode),
                        number(both), number(whole) if whole else "-",
                        f"{100 * whole / min(decode, encode):.0f} %" if whole else "-",
                        f"{100 * whole / both:.0f} %" if whole else "-",
                    ]
                )  # fmt: skip
    head = ("images/s", "decoder alone", "encoder alone", "both, sharing the cores", "indexing",
            "of the slower stage", "of both")  # fmt: skip
    return table(head, rows)


#: What is computed for one image, in 1e9 operations (twice the multiplications): the layers with
#: their attention, and the cutting into patches; from the architectures' numbers of layers, width
#: and patches (12, 768, 49 and 196; 24, 1,024, 256).
OPERATIONS = {"ViT-B/32": 8.8, "ViT-B/16": 35.1, "ViT-L/14": 162.0}


def encoding(part: Any) -> str:
    """Each way to run an image tower, and how much it takes of what the processor can do."""
    if said := not_run(part):
        return said
    text = ""
    for architecture, found in part.items():
        peaks = {name.split()[0]: max(rates["by_cpu"]) for name, rates in
                 found["peak_flops"].items()}  # fmt: skip
        best: dict[tuple[str, str], dict[str, Any]] = {}
        for row in found["rows"]:
            way = (row["runtime"], row["precision"])
            if way not in best or max(row["by_cpu"]) > max(best[way]["by_cpu"]):
                best[way] = row
        rows = []
        for (runtime, precision), row in best.items():
            rate, peak = max(row["by_cpu"]), peaks.get(precision)
            ceiling = peak / OPERATIONS[architecture] / 1e9 if peak else None
            rows.append(
                (
                    f"{architecture}: {runtime} {precision}",
                    f"{row['batch']} x {row['streams']}", number(max(row["by_clock"])),
                    number(rate), number(ceiling) if ceiling else "-",
                    f"{100 * rate / ceiling:.0f} %" if ceiling else "-",
                    f"{row['centred_cosine'][0]:.4f} / {row['centred_cosine'][1]:.4f}",
                    number(row["load_s"]), f"{row.get('peak_mb', 0):.0f}",
                )
            )  # fmt: skip
        head = ("", "images a call x streams", "images/s by the clock", "by processor time",
                "ceiling: a matrix product of that precision", "reached",
                "centred cosine to fp32, median / least", "opens in s", "peak MB")  # fmt: skip
        text += table(head, rows) + "\n"
    return text


def stage_seconds(indexed: Mapping[str, Any]) -> str:
    """Where the time of indexing went, by pixseek's own report."""
    if said := not_run(indexed):
        return said
    rows = []
    for architecture, measured in indexed.items():
        for group, found in measured["groups"].items():
            for name, row in found["rows"].items():
                for size, cell in row.get("sizes", {}).items():
                    if stages := cell.get("stages"):
                        per_image = {s: 1000 * v / cell["images"] for s, v in stages.items()}
                        names = ("decode", "encode", "store", "total")
                        cells = [number(per_image.get(s, 0)) for s in names]
                        rows.append([f"{architecture}, {group}: {name}, {size}", *cells])
    return table(("ms an image", "decode", "encode", "store", "by the clock"), rows)


def queries(part: Any) -> str:
    if said := not_run(part):
        return said
    text = ""
    for case in part:
        rows = []
        for name, row in case["rows"].items():
            if "error" in row:
                rows.append([name, f"not measured: {_short(row['error'])}", ""])
            else:
                ratio = spread(row["ratio"]) + disturbed(row["ratio"])
                rows.append([name, spread(row["seconds"]), ratio])
        head = ("a new process each time", "seconds", "times pixseek search")
        text += f"### {case['images']:,} images\n\n{table(head, rows)}\n"
        warm = case["warm"]
        rows = [
            (f"{stage}{said}", number(ms["p50_ms"]), number(ms["p95_ms"]))
            for key, said in (("warm", ""), ("warm, 77 tokens", ", rclip's tower"))
            for stage, ms in case.get(key, {"stages": {}})["stages"].items()
        ]
        text += table(("a query in a live process", "p50 ms", "p95 ms"), rows)
        text += (
            f"\nOpening took {number(warm['open_ms'])} ms, the first query "
            f"{number(warm['first_ms'])} ms; {warm.get('anonymous', 0):.0f} MB of anonymous memory."
            f" On disk: pixseek {number(case['disk_mb']['pixseek'])} MB, "
            f"rclip {number(case['disk_mb']['rclip'])} MB.\n\n"
        )
    return text


def recheck(part: Any) -> str:
    if said := not_run(part):
        return said
    rows = [
        (number(run["walk_s"]), number(run["recheck_s"]), number(run["recheck_s"] / run["walk_s"]))
        for run in part["runs"]
    ]
    head = (f"{part['files']:,} files: walk and stat, s", "re-check, s", "ratio")
    return table(head, rows)


def memory(part: Any) -> str:
    if said := not_run(part):
        return said
    rows = [(f"{row['images']:,}", str(row["resident"]), str(row["peak"])) for row in part["after"]]
    return table(("12-megapixel photos indexed", "resident MiB", "peak MiB"), rows)


_FILTERS = {"width 500": "50 %", "width 100": "10 %", "width 10": "1 %", "width 1": "0.1 %"}


def store(part: Any) -> str:
    if said := not_run(part):
        return said
    text = ""
    for case in part:
        speed, filtered = [], []
        for name, row in case["stores"].items():
            if "error" in row:
                speed.append([name, _short(row["error"])])
                continue
            ten, hundred = row["loops"]["k=10"], row["loops"]["k=100"]
            speed.append(
                [
                    name, number(row["build_s"]), number(row["cold_s"]["median"]),
                    f"{number(ten['p50_ms']['median'])} / {number(ten['p95_ms']['median'])}",
                    spread(ten["ratio"]) + disturbed(ten["ratio"]) if "ratio" in ten else "-",
                    f"{ten['recall']:.3f} / {hundred['recall']:.3f}",
                    f"{row['resident']:.0f} / {row['anonymous']:.0f}",
                    number(row["disk_mb"]),
                ]
            )  # fmt: skip
            filtered.append([name, *(_filter(row["loops"][loop]) for loop in _FILTERS)])
        head = ("", "build s", "open and first query, new process, s", "k=10: p50 / p95 ms",
                "times as fast as numpy", "recall @10 / @100", "resident / anonymous MB",
                "disk MB")  # fmt: skip
        text += f"### {case['rows']:,} vectors of {case['dim']}\n\n"
        text += table(head, _padded(speed, len(head))) + "\n"
        text += table(("filter leaves: p50 / p95 ms, recall@10", *_FILTERS.values()), filtered)
        text += "\n"
    return text


def _filter(cell: Mapping[str, Any]) -> str:
    p50, p95 = number(cell["p50_ms"]["median"]), number(cell["p95_ms"]["median"])
    recall = "-" if cell["recall"] is None else f"{cell['recall']:.3f}"
    return f"{p50} / {p95}, {recall}"


def appending(part: Any) -> str:
    if said := not_run(part):
        return said
    rows = [
        (name, *(number(part[key][of]) for of in ("p50_ms", "p95_ms", "max_ms")))
        for name, key in (("quiet", "quiet"), ("next to a writer", "beside a writer"))
    ]
    return table((f"{part['rows']:,} vectors, k=10", "p50 ms", "p95 ms", "worst ms"), rows)


def recall(part: Any) -> str:
    if said := not_run(part):
        return said
    rows = [
        ("of the exact best, the engine finds", *(f"{v:.4f}" for v in part["exact"].values()), ""),
        ("captions whose photo is found", *(f"{v:.3f}" for v in part["captions recall"].values())),
    ]
    said = f"{part['photos']:,} photos, {part['captions']:,} captions, {part['model']}"
    exact, captions = list(part["exact"]), list(part["captions recall"])
    first = table((said, *exact, ""), rows[:1])
    return first + "\n" + table(("", *captions), rows[1:])


def large(part: Any) -> str:
    """The flat figures of `large.py`, those of its two ways side by side."""
    if said := not_run(part):
        return said + "\nRun `python benchmarks/large.py --json FILE` and give FILE by `--large`.\n"
    plain = [(what, _value(v)) for what, v in part.items() if ": " not in what]
    ways = ("codes", "ivf")
    names = [w.removeprefix("codes: ") for w in part if w.startswith("codes: ")]
    rows = [(what, *(_value(part.get(f"{way}: {what}", "-")) for way in ways)) for what in names]
    return table(("`benchmarks/large.py`", ""), plain) + "\n" + table(("", *ways), rows)


def _value(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else (
        number(value) if isinstance(value, float) else str(value))  # fmt: skip
