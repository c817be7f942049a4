#!/usr/bin/env bash
# vicinity 0.4.6 with PyNNDescent 0.7.0: an index that is saved after it was queried.
#
# Expected: the loaded index answers as the saved one.
# Happens: the first query puts PyNNDescent's vectors into another order, which it undoes in its answers by a
# table of its own. vicinity saves the vectors in the new order, but neither that table nor the items in that
# order. After loading, nearly each vector belongs to another item. There is no error, and the distances look
# right. An index that is saved before its first query is loaded correctly.
#
# Seen on 30 November 2026, Linux on x86-64, Python 3.11, numpy 2.4.6:
#   saved before the first query   items that find themselves: 1000 of 1000, loaded 1000 of 1000
#   saved after it                 items that find themselves: 1000 of 1000, loaded    0 of 1000
#
# For pixseek: a vector travels beside its id, and `pixseek migrate` compares those that arrived with those
# that were sent, by id, before a library is switched.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -q --disable-pip-version-check \
    vicinity==0.4.6 pynndescent==0.7.0 numpy==2.4.6
"$folder/venv/bin/python" -W ignore - "$folder" <<'PYTHON'
import sys

import numpy as np
from vicinity import Backend, Vicinity

embeddings = np.random.default_rng(0).standard_normal((1000, 64)).astype(np.float32)
names = [f"photo {n}" for n in range(1000)]


def themselves(index):
    return sum(found[0][0] == name for found, name in zip(index.query(embeddings, k=1), names))


outcomes = {}
for queried in (False, True):
    index = Vicinity.from_vectors_and_items(
        vectors=embeddings, items=names, backend_type=Backend.PYNNDESCENT, metric="cosine"
    )
    if queried:
        before = themselves(index)
    index.save(f"{sys.argv[1]}/{queried}")
    loaded = themselves(Vicinity.load(f"{sys.argv[1]}/{queried}"))
    if not queried:
        before = themselves(index)
    print(f"queried before it was saved: {queried}; items that find themselves: {before}, loaded: {loaded}")
    outcomes[queried] = before, loaded
assert outcomes[False] == (1000, 1000), "this has changed"
assert outcomes[True][0] == 1000 and outcomes[True][1] < 100, "this has changed"
PYTHON
