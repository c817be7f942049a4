"""The server of the tutorials: Flask, a CLIP text tower of transformers, numpy over all vectors.

    python serve_tutorial.py '{"model": FOLDER, "vectors": FILE.npy, "rows": 1000, "port": 8000}'

Written as such tutorials are, with what costs nothing and helps: no gradients, texts padded only to
their own length, `argpartition` instead of sorting all scores.
"""

import json
import sys

import numpy as np
import torch
from flask import Flask, jsonify, request
from transformers import AutoTokenizer, CLIPModel

arguments = json.loads(sys.argv[1])
tokenizer = AutoTokenizer.from_pretrained(arguments["model"])
model = CLIPModel.from_pretrained(arguments["model"]).eval()
vectors = np.array(np.load(arguments["vectors"], mmap_mode="r")[: arguments["rows"]], np.float32)
names = [f"photos/{n % 500:03}/IMG_{n:07}.jpg" for n in range(len(vectors))]
app = Flask(__name__)


@app.get("/search")
def search():
    inputs = tokenizer(request.args["q"], return_tensors="pt", padding=True, truncation=True)
    with torch.no_grad():
        found = model.get_text_features(**inputs)
    query = getattr(found, "pooler_output", found)[0].numpy()
    query = query / np.linalg.norm(query)
    scores = vectors @ query
    k = int(request.args.get("k", 20))
    top = np.argpartition(-scores, k)[:k]
    top = top[np.argsort(-scores[top])]
    return jsonify([{"path": names[n], "score": float(scores[n])} for n in top])


app.run(host="127.0.0.1", port=arguments["port"])
