#!/usr/bin/env bash
# ngt 2.8.0.post1 (NGT's Python package), an index from which vectors were removed.
#
# Expected: a new vector gets the next number, whichever way it is added, so that numbers name photos for good.
# Happens: `insert` gives new vectors the numbers of removed ones, the smallest first, and after these the
# next ones; `batch_insert` on the same index appends, and returns no numbers. A table of numbers beside the
# index, built by counting, then names the wrong photos, and hits that were kept from before the removal are
# other photos now.
#
# Seen on 30 November 2026, Linux on x86-64, Python 3.11, numpy 2.4.6, after the removal of 2, 5 and 7 of 1,000:
#   five by insert         2, 5, 7, 1000, 1001
#   five by batch_insert   1000, 1001, 1002, 1003, 1004
#
# For pixseek: rows of its file of vectors are appended only, and an image's id is not its row (docs/format.md).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -q --disable-pip-version-check ngt==2.8.0.post1 numpy==2.4.6
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import sys

import ngtpy
import numpy as np

embeddings = np.random.default_rng(0).standard_normal((1005, 32)).astype(np.float32)
outcomes = {}
for way in ("insert", "batch_insert"):
    place = f"{sys.argv[1]}/{way}"
    ngtpy.create(place, 32, distance_type="L2")
    index = ngtpy.Index(place)
    index.batch_insert(embeddings[:1000])
    for number in (2, 5, 7):
        index.remove(number)
    if way == "insert":
        for embedding in embeddings[1000:]:
            index.insert(embedding)
        index.build_index()
    else:
        assert index.batch_insert(embeddings[1000:]) is None
    # The number that each new vector is found by.
    outcomes[way] = [int(index.search(embedding, 1)[0][0]) for embedding in embeddings[1000:]]
    print(f"five by {way}: {outcomes[way]}")
assert outcomes["insert"] == [2, 5, 7, 1000, 1001], "this has changed"
assert outcomes["batch_insert"] == [1000, 1001, 1002, 1003, 1004], "this has changed"
PYTHON
