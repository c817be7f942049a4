#!/usr/bin/env bash
# Guessed: a facet of keywords counts the texts that are stored, and a filter by a counted text finds
# as many points. Seen with the local mode of qdrant-client 1.20.0: a text of 32 hexadecimal digits,
# such as an MD5 of a file, is taken for a UUID. It is given back with hyphens, a text that no point
# has, and counted together with others that spell the same digits; a filter by it finds other
# points than were counted.
# Seen on 2026-11-30: [('01234567-89ab-cdef-0123-456789abcdef', 3)], and 1 point by a filter.
# pixseek stores what it counts with a sign in front, which nothing takes for a UUID
# (engines/qdrant_points.py).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q qdrant-client==1.20.0
"$folder/venv/bin/python" - <<'PYTHON'
from importlib.metadata import version

from qdrant_client import QdrantClient, models

stored = [
    "0123456789abcdef0123456789abcdef",
    "0123456789ABCDEF0123456789ABCDEF",
    "01234567-89ab-cdef-0123-456789abcdef",
]
client = QdrantClient(":memory:")
client.create_collection("files", vectors_config={})
client.upsert(
    "files",
    [models.PointStruct(id=n, vector={}, payload={"md5": text}) for n, text in enumerate(stored)],
)
counted = [(hit.value, hit.count) for hit in client.facet("files", "md5").hits]
condition = models.FieldCondition(key="md5", match=models.MatchValue(value=counted[0][0]))
found = client.count("files", models.Filter(must=[condition])).count
print("qdrant-client", version("qdrant-client"))
print("expected:", sorted((text, 1) for text in stored))
print("counted:", counted, "- by a filter:", found)
assert counted == [("01234567-89ab-cdef-0123-456789abcdef", 3)], "it counts otherwise now"
assert found == 1
PYTHON
