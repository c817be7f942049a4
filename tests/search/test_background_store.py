"""When the background of unrelated texts is kept, and when it is made again."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pixseek.search.background_store import BackgroundStore

from tiny_encoder import TinyEncoder


class Counting(TinyEncoder):
    """Counts the calls for texts."""

    calls = 0

    def encode_texts(self, texts: Sequence[str]) -> Any:
        self.calls += 1
        return super().encode_texts(texts)


def test_a_new_calibration_leaves_the_background_of_texts_as_it_is(tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    (model / "model.onnx").write_bytes(b"1")
    encoder = Counting()
    bank = ["a red", "a blue", "noise"]

    def texts() -> Any:
        store = BackgroundStore(tmp_path / "l", tmp_path / "models", read_only=False)
        return store.texts("f" * 16, lambda: encoder, bank, model)

    first = texts()
    assert encoder.calls == 1
    (model / "calibration.json").write_text('{"slope": 1, "centre": 4}')
    assert np.array_equal(texts().mean, first.mean) and encoder.calls == 1
    (model / "model.onnx").write_bytes(b"22")
    texts()
    assert encoder.calls == 2


def test_learning_is_said_only_while_something_is_learned(tmp_path: Path) -> None:
    encoder, said = Counting(), []

    @contextlib.contextmanager
    def learning() -> Iterator[None]:
        said.append("learning")
        yield

    for _ in range(2):
        store = BackgroundStore(tmp_path / "l", tmp_path / "models", read_only=False)
        store.texts("f" * 16, lambda: encoder, ["a red", "noise"], None, "", learning)
    assert said == ["learning"] and encoder.calls == 1
