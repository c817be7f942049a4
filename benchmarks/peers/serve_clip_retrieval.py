"""clip-retrieval 2.45: its own index of the same vectors, and `clip-retrieval back` over it.

    python serve_clip_retrieval.py '{"phase": "build", "stored": FILE.npy, "index": FOLDER}'
    python serve_clip_retrieval.py '{"phase": "serve", "index": FOLDER, "model": FOLDER, "port": N}'

Both are called as its command line calls them. What is not the default: the model is a folder (its
`hf_clip:` names), for the CPU without TorchScript, and what it would download is off (a
multilingual tower, aesthetic scores). It listens to this machine only.
"""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from protocol import main

# As in index_clip_retrieval.
library = torch.library.Library("torchvision", "FRAGMENT")
for name in ("nms", "qnms"):
    library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")


def build(arguments: dict[str, Any]) -> dict[str, Any]:
    import faiss
    import pandas
    from clip_retrieval.clip_index import clip_index

    index = Path(arguments["index"])
    embeddings = index.with_name(index.name + "-embeddings")
    for name in ("img_emb", "metadata"):
        (embeddings / name).mkdir(parents=True, exist_ok=True)
    stored = np.load(arguments["stored"], mmap_mode="r")
    np.save(embeddings / "img_emb" / "img_emb_0.npy", stored.astype(np.float16))
    paths = [f"photos/{n % 500:03}/IMG_{n:07}.jpg" for n in range(len(stored))]
    table = pandas.DataFrame({"image_path": paths})
    table.to_parquet(embeddings / "metadata" / "metadata_0.parquet")
    index.mkdir(parents=True)
    clip_index(str(embeddings), str(index))
    shutil.rmtree(embeddings)
    return {"index": type(faiss.read_index(str(index / "image.index"))).__name__}


def serve(arguments: dict[str, Any]) -> dict[str, Any]:
    from clip_retrieval.clip_back import clip_back
    from flask import Flask

    run = Flask.run
    Flask.run = lambda app, **options: run(app, **{**options, "host": "127.0.0.1"})
    indices = Path(arguments["index"]).with_suffix(".json")
    indices.write_text(json.dumps({"bench": arguments["index"]}))
    clip_back(
        indices_paths=str(indices),
        port=arguments["port"],
        clip_model=f"hf_clip:{arguments['model']}",
        use_jit=False,
        enable_mclip_option=False,
        provide_aesthetic_embeddings=False,
    )
    return {}


if __name__ == "__main__":
    sys.argv = sys.argv[:2]
    main(lambda arguments: {"build": build, "serve": serve}[arguments["phase"]](arguments))
