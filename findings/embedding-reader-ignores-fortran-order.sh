#!/usr/bin/env bash
# embedding-reader 1.8.1, a .npy file of embeddings in Fortran order.
#
# Expected: the rows that numpy.load returns. Such files are valid, and numpy.save writes one whenever it is
# given a transposed array, as "stack columns, then transpose" gives.
# Happens: no error; the numbers are read in the order of the file as if it were that of C. Each row holds
# numbers of several embeddings. clip-retrieval and autofaiss read embeddings by this package, so the index
# made of them finds nothing that belongs to its query.
#
# Seen on 30 November 2026, Linux on x86-64, Python 3.11, numpy 2.4.6:
#   in C order         rows read as numpy.load: 1000 of 1000; nearest row found: 1000 of 1000
#   in Fortran order   rows read as numpy.load:    0 of 1000; nearest row found:    2 of 1000
#
# For pixseek: imports of such folders respect the order (tests/library/test_exchange.py).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -q --disable-pip-version-check embedding-reader==1.8.1 numpy==2.4.6
"$folder/venv/bin/python" - "$folder" 2>/dev/null <<'PYTHON'
import sys
from pathlib import Path

import numpy as np
from embedding_reader import EmbeddingReader

embeddings = np.random.default_rng(0).standard_normal((1000, 64)).astype(np.float32)
embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
outcomes = {}
for order, array in (("C", embeddings), ("Fortran", np.asfortranarray(embeddings))):
    place = Path(sys.argv[1]) / order
    place.mkdir()
    np.save(place / "img_emb_0.npy", array)
    assert (np.load(place / "img_emb_0.npy") == embeddings).all()
    reader = EmbeddingReader(embeddings_folder=str(place), file_format="npy")
    assert (reader.count, reader.dimension) == (1000, 64)
    read = np.concatenate([rows for rows, _ in reader(batch_size=256, show_progress=False)])
    same = int((read == embeddings).all(axis=1).sum())
    nearest = int(((embeddings @ read.T).argmax(axis=1) == np.arange(1000)).sum())
    print(f"in {order} order: rows read as numpy.load: {same} of 1000; nearest row found: {nearest} of 1000")
    outcomes[order] = same
assert outcomes == {"C": 1000, "Fortran": 0}, "this has changed"
PYTHON
