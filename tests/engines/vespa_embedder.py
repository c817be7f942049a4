"""What Vespa's `hugging-face-embedder` does with a text, in Python.

Written after Vespa's documentation (https://docs.vespa.ai/en/reference/rag/embedding.html) and its
class ai.vespa.embedding.HuggingFaceEmbedder, version 8.700; it is not Vespa. It reads everything
from the component's element, as Vespa does, and takes defaults where that says nothing.
"""

from __future__ import annotations

import contextlib
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
from tokenizers import Tokenizer

from pixseek.engines.vespa.text_tower import embedder
from pixseek.types import Encoder


class NoTokensError(Exception):
    """The tokenizer has no token for a text, and Vespa can't embed it."""


class HuggingFaceEmbedder:
    def __init__(self, component: str, package: Path) -> None:
        element = ET.fromstring(component)
        assert element.attrib["type"] == "hugging-face-embedder"
        said = {child.tag: child.text or "" for child in element}
        paths = {child.tag: package / child.get("path", "") for child in element}
        tokenizer = paths["tokenizer-model"].read_text("utf-8")
        self._tokenizer = Tokenizer.from_str(tokenizer)
        limit = (self._tokenizer.truncation or {}).get("max_length")
        self._tokenizer.enable_truncation(int(limit or said.get("max-tokens", "512")))
        self._tokenizer.no_padding()
        self._session = ort.InferenceSession(str(paths["transformer-model"]))
        inputs = [port.name for port in self._session.get_inputs()]
        names = ("input-ids", "attention-mask", "token-type-ids")
        self._inputs = [
            said.get(f"transformer-{name}", name.replace("-", "_")) for name in names[: len(inputs)]
        ]
        assert sorted(inputs) == sorted(self._inputs), "a name that the graph lacks is refused"
        self._output = said.get("transformer-output", "last_hidden_state")
        (output,) = [each for each in self._session.get_outputs() if each.name == self._output]
        self._pooling = said.get("pooling-strategy", "mean")
        assert (len(output.shape), self._pooling) in ((2, "none"), (3, "cls"), (3, "mean"))
        self._normalize = said.get("normalize") == "true"

    def embed(self, text: str) -> np.ndarray:
        encoding = self._tokenizer.encode(text, add_special_tokens=True)
        if not encoding.ids:
            raise NoTokensError(text)  # a tensor of Vespa has no dimension of size 0
        fed = (encoding.ids, encoding.attention_mask, encoding.type_ids)
        # Through tensors of floats, which hold integers up to 2 ** 24.
        arrays = [np.array([values], np.float32).astype(np.int64) for values in fed]
        feeds = dict(zip(self._inputs, arrays, strict=False))
        (found,) = self._session.run([self._output], feeds)
        if self._pooling == "none":
            vector = found[0]
        elif self._pooling == "cls":
            vector = found[0, 0]
        else:
            mask = arrays[1][0, :, None]
            vector = (found[0] * mask).sum(0) / mask.sum()
        vector = vector.astype(np.float64)
        return vector / np.linalg.norm(vector) if self._normalize else vector


def agreement(encoder: Encoder, package: Path, texts: list[str]) -> float:
    """Return the least cosine of Vespa's vectors for some texts with the encoder's.

    Texts of white space alone may have no token; they are left out.
    """
    written = embedder(encoder, package)
    assert (written.dim, written.query) == (encoder.dim, "embed(text, @text)")
    theirs = HuggingFaceEmbedder(written.component, package)
    rows, embedded = [], []
    for text in texts:
        with contextlib.suppress(NoTokensError):
            rows.append(theirs.embed(text))
            embedded.append(text)
    assert {"".join(text.split()) for text in texts if text not in embedded} <= {""}
    vectors, wanted = np.stack(rows), encoder.encode_texts(embedded)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-6)
    assert (wanted @ wanted.T).min() < 0.998, "all vectors are alike: the test proves nothing"
    cosines = (vectors * wanted).sum(1)
    print(f"least cosine {cosines.min():.7f}, for {embedded[int(cosines.argmin())][:60]!r}")
    return float(cosines.min())
