#!/usr/bin/env bash
# Guessed: pages of `query(filter='key > "last"', limit=n)`, each behind the greatest key of the one
# before, have every row once, as they do where a query with a limit takes the least keys. Seen with
# Milvus Lite 3.2.2: a query with a limit takes rows in the order in which they were written, so all
# rows with lesser keys that were written later are lost, without an error; `query_iterator` with
# the same filter is in order of keys.
# Seen on 2026-11-30: of 1,000 rows 100 were read by pages of `query`, all by those of `query_iterator`.
# pixseek reads pages by `query_iterator` (engines/milvus_server.py).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q pymilvus==3.0.2 milvus-lite==3.2.2 numpy==2.4.6
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import random
from importlib.metadata import version

from pymilvus import DataType, MilvusClient

client = MilvusClient("photos.db")
schema = client.create_schema(auto_id=False)
schema.add_field("key", DataType.VARCHAR, is_primary=True, max_length=20)
schema.add_field("vector", DataType.FLOAT_VECTOR, dim=2)
index = client.prepare_index_params()
index.add_index("vector", index_type="FLAT", metric_type="IP")
client.create_collection("photos", schema=schema, index_params=index, consistency_level="Strong")
keys = [f"{n:04}" for n in range(1_000)]
random.Random(1).shuffle(keys)
client.insert("photos", [{"key": key, "vector": [1.0, 0.0]} for key in keys])


def pages(read):
    found, last = [], ""
    while rows := read(f'key > "{last}"'):
        found += [row["key"] for row in rows]
        last = max(row["key"] for row in rows)
    return found


def queried(condition):
    return client.query("photos", filter=condition, output_fields=["key"], limit=100)


def iterated(condition):
    return client.query_iterator(
        "photos", batch_size=100, limit=100, filter=condition, output_fields=["key"]
    ).next()


by_query, by_iterator = pages(queried), pages(iterated)
print("pymilvus", version("pymilvus"), "milvus-lite", version("milvus-lite"))
print("stored:", len(keys))
print("read by pages of query:", len(by_query))
print("read by pages of query_iterator:", len(by_iterator))
assert by_iterator == sorted(keys)
assert len(set(by_query)) < len(keys), "a query with a limit takes the least keys now"
PYTHON
