"""Recall on the vectors of real photos: what made-up vectors can't vouch for."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np


def real_vectors(model: Path, folder: Path, library: Path) -> dict[str, Any]:
    """Index captioned photos with a real model; return recall against an exact scan.

    `folder` has captions.tsv: file name and caption, one pair a line. "exact" is what the engine
    finds of the exact best; "captions" is how often a caption's photo is among the first k.
    """
    import pixseek

    with (folder / "captions.tsv").open(encoding="utf-8") as lines:
        rows = [row[:2] for row in csv.reader(lines, delimiter="\t") if len(row) >= 2]
    rows = [row for row in rows if (folder / row[0]).is_file()]
    with pixseek.open(library, model=model) as opened:
        report = opened.index(folder)
        engine, encoder = opened.opened.engine, opened.encoder()
        texts = encoder.encode_texts([caption for _, caption in rows])
        names, stored = [], []
        for records, vectors in engine.export():
            names += [record.name for record in records]
            stored.append(vectors)
        matrix = np.concatenate(stored)
        found = [
            [record.name for record in engine.get(some.ids) if record is not None]
            for some in engine.nearest(texts, 100)
        ]
    scores = texts @ matrix.T
    order = np.argsort(-scores, axis=1)[:, :100]
    exact = [[names[n] for n in best] for best in order]
    pairs = list(zip(found, exact, strict=True))
    wanted = list(zip([name for name, _ in rows], found, strict=True))
    return {
        "model": encoder.name,
        "photos": len(names),
        "captions": len(rows),
        "images_s": report.added / report.seconds["total"],
        "exact": {
            f"@{k}": float(
                np.mean([len({*ours[:k]} & {*best[:k]}) / len(best[:k]) for ours, best in pairs])
            )
            for k in (10, 100)
        },
        "captions recall": {
            f"@{k}": float(np.mean([name in some[:k] for name, some in wanted])) for k in (1, 5, 10)
        },
    }
