#!/usr/bin/env bash
# Guessed: Float8 storage rounds each number to the nearest of 255 steps, and cosine distances stay
# comparable with those of float32. Seen with voyager 2.2.3: numbers are cut towards zero, and the
# shortened vectors are not normalised again. So a vector of 512 is about 0.13 away from itself (0 in
# float32), and all cosine distances are shifted: a threshold for near-duplicates that was chosen in
# float32 finds none.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q voyager==2.2.3 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
from importlib.metadata import version

import numpy as np
from voyager import Index, Space, StorageDataType

rows = np.random.default_rng(0).normal(size=(200, 512)).astype(np.float32)
rows /= np.linalg.norm(rows, axis=1, keepdims=True)
print("voyager", version("voyager"))
own = {}
for name in ("Float32", "Float8"):
    index = Index(Space.Cosine, 512, storage_data_type=getattr(StorageDataType, name))
    index.add_items(rows)
    keys, distances = index.query(rows, k=1)
    assert keys[:, 0].tolist() == list(range(200))
    own[name] = distances[:, 0]
    print(f"{name}: distance of a vector to itself, median {np.median(own[name]):.4f}")
stored = np.array([index.get_vector(n) for n in range(200)]) * 127
cut = np.abs(stored - np.trunc(rows * 127)).max()
rounded = np.abs(stored - np.round(rows * 127)).max()
print(f"stored steps differ by {cut:.3f} from those cut, by {rounded:.3f} from those rounded")
assert np.abs(own["Float32"]).max() < 1e-5
assert np.median(own["Float8"]) > 0.05, "Float8 does not shift distances any more"
assert cut < 1e-3 and rounded > 0.99, "Float8 is not cut towards zero any more"
PYTHON
