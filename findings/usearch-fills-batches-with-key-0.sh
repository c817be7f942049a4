#!/usr/bin/env bash
# Guessed: a batch search for more vectors than the index holds gives shorter lists, or keys that
# no vector has. Seen with usearch 2.26.6: each row is filled up with key 0, which is the key of a
# real image wherever keys count from 0, and with the distance NaN. Only `counts` tells them apart.
# A search for one vector is cut to what was found.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q usearch==2.26.6 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
from importlib.metadata import version

import numpy as np
from usearch.index import Index

rows = np.eye(8, dtype=np.float32)
index = Index(ndim=8, metric="cos", dtype="f32")
index.add(np.array([7, 8, 9]), rows[:3])  # no vector has the key 0
together = index.search(rows[:2], 5)
alone = index.search(rows[0], 5)
print("usearch", version("usearch"))
print("keys of a batch:", together.keys.tolist())
print("distances:", together.distances.tolist())
print("counts:", together.counts.tolist())
print("keys of one search:", alone.keys.tolist())
assert together.keys[:, 3:].tolist() == [[0, 0], [0, 0]], "the filling is not key 0 any more"
assert np.isnan(together.distances[:, 3:]).all(), "the filling has a distance now"
assert together.counts.tolist() == [3, 3]
assert len(alone.keys) == 3
PYTHON
