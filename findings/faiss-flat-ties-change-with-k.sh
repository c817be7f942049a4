#!/usr/bin/env bash
# faiss-cpu 1.15.1, IndexFlatIP (exact search by inner product, so by cosine for unit vectors).
#
# Expected: of equal vectors the lowest id comes first, whatever k is, and as in IndexFlatL2. Then the
# hits for k = 2 begin with the hit for k = 1.
# Happens: the first hit depends on k. For k = 1 it is the lowest id. For a larger k equal vectors come
# by descending id, beginning with the k-th of them. IndexFlatL2 over the same vectors gives them by
# ascending id for every k.
#
# Seen on 29 November 2026, Linux on x86-64, Python 3.11, numpy 2.4.6; rows 3, 17, 31 and 44 are equal:
#   IndexFlatIP k=1: [3]   k=2: [17, 3]   k=4: [44, 31, 17, 3]
#   IndexFlatL2 k=1: [3]   k=2: [3, 17]   k=4: [3, 17, 31, 44]
#
# For pixseek: two copies of a photo have equal vectors. Asking faiss for one more hit would change the
# first one, and pages asked for with growing k would repeat or lose copies. So an engine over faiss asks
# for more than it needs and orders ties by id itself.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -q --disable-pip-version-check faiss-cpu==1.15.1 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import faiss
import numpy as np

COPIES = [3, 17, 31, 44]
vectors = np.random.default_rng(0).standard_normal((50, 64)).astype(np.float32)
vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
vectors[COPIES] = vectors[COPIES[0]]
query = vectors[COPIES[:1]]

found = {}
for kind in (faiss.IndexFlatIP, faiss.IndexFlatL2):
    index = kind(64)
    index.add(vectors)
    for k in (1, 2, 4):
        scores, ids = index.search(query, k)
        assert len(set(scores[0].tolist())) == 1, "the scores of equal vectors differ"
        found[kind.__name__, k] = ids[0].tolist()
        print(f"faiss {faiss.__version__}, {kind.__name__}, k={k}: {found[kind.__name__, k]}")

expected = {k: COPIES[:k] for k in (1, 2, 4)}
seen = {1: [3], 2: [17, 3], 4: [44, 31, 17, 3]}
print("expected of both:", expected)
same = all(found["IndexFlatIP", k] == seen[k] for k in seen)
same &= all(found["IndexFlatL2", k] == expected[k] for k in expected)
print("as described" if same else "CHANGED: the behaviour is no longer as described")
sys.exit(not same)
PYTHON
