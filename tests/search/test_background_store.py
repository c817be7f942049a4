"""When the background of unrelated texts is kept, and when it is made again."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pixseek
from pixseek.search.background_store import BackgroundStore

from tiny_encoder import TinyEncoder, draw


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


def packed(how: Any = np.savez, **arrays: Any) -> bytes:
    file = io.BytesIO()
    whole = {
        "mean": np.zeros(48, np.float32),
        "covariance": np.eye(48, dtype=np.float32),
        "count": np.array([1]),
        "duplicate": np.array([0.98]),
        **arrays,
    }
    how(file, **{name: array for name, array in whole.items() if array is not None})
    return file.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"noise",
        packed()[:-100],
        packed(lambda file, **arrays: np.save(file, arrays["mean"])),
        packed(np.savez_compressed),
        packed(covariance=None),
        packed(mean=np.zeros(7, np.float32)),
        packed(covariance=np.zeros((48, 7), np.float32)),
        packed(mean=np.full(48, np.nan, np.float32)),
        packed(count=np.array(["1"])),
        packed(duplicate=np.zeros(3)),
        None,
    ],
    ids=[
        "empty", "noise", "cut", "one array", "packed", "missing", "other vectors", "other shape",
        "no numbers", "text", "too many", "a pipe",
    ],
)  # fmt: skip
@pytest.mark.skipif(os.name == "nt", reason="no pipes there")
def test_a_background_that_is_none_of_ours_is_rebuilt(
    tmp_path: Path, tiny: TinyEncoder, content: bytes | None
) -> None:
    with pixseek.open(tmp_path / "a.lib") as library:
        library.index(draw(tmp_path / "photos" / "red.png", "red", 1).parent)
        expected = [hit.score for hit in library.search("red")]
    (kept,) = (tmp_path / "a.lib").glob("background-images-*.npz")
    ours = kept.read_bytes()
    with pixseek.open(tmp_path / "a.lib") as library:
        kept.unlink()
        if content is None:
            os.mkfifo(kept)
        else:
            kept.write_bytes(content)
        assert [hit.score for hit in library.search("red")] == expected
    assert kept.read_bytes() == ours
