"""Texts embedded by a model that runs within Elasticsearch (`?text_model=ID`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from pixseek.engines.elastic_server import Refusal, Server
from pixseek.errors import EngineError

if TYPE_CHECKING:
    from pixseek.types import Vectors

#: Texts of one request; the server works at them one after the other.
_TOGETHER = 32


def embed_texts(server: Server, model: str, texts: Sequence[str]) -> Vectors:
    """Return unit rows, (n, dim) float32, of texts; the server cuts those that are too long.

    Not by `query_vector_builder` within a search, which keeps the vector to itself: scores are
    computed from it here.

    Raises:
        EngineError: the model is not there or not started, or does not embed texts.
    """
    rows: list[list[float]] = []
    for at in range(0, len(texts), _TOGETHER):
        some = texts[at : at + _TOGETHER]
        body = {"docs": [{"text_field": text} for text in some]}
        try:
            answer = server.ask("POST", f"/_ml/trained_models/{model}/_infer", body)
        except Refusal as refusal:
            raise EngineError(
                "the server does not embed texts by this model",
                f"{server.subject}, {model}",
                "Is it loaded and started (POST /_ml/trained_models/MODEL/deployment/_start)? "
                f"{refusal.problem}. {refusal.advice}",
            ) from refusal
        found = [each.get("predicted_value") for each in answer["inference_results"]]
        if len(found) != len(some) or not all(isinstance(each, list) for each in found):
            raise EngineError(
                "the model on the server returns no vectors of texts",
                f"{server.subject}, {model}",
                "It must be of the task text_embedding.",
            )
        rows += found
    try:
        vectors = np.array(rows, np.float64).reshape(len(texts), -1)
    except (TypeError, ValueError):
        vectors = np.zeros((len(texts), 1))
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not np.isfinite(lengths).all() or (lengths < 1e-20).any():
        raise EngineError(
            "the model on the server returns vectors that mean nothing",
            f"{server.subject}, {model}",
            "They must be finite, of one length each, and not zero.",
        )
    unit: Vectors = (vectors / lengths).astype(np.float32)
    return unit
