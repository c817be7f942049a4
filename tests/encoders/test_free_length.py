"""Text towers of a fixed length read short texts unpadded, and give the same vectors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto

from pixseek import encoders
from pixseek.encoders.inputs.tokens import Tokens
from pixseek.encoders.onnx import OnnxEncoder
from pixseek.encoders.runtimes import free_length, mapped
from pixseek.encoders.runtimes.text_tower import TextTower

import tiny_models

TEXTS = ["a red dog", "", "the", "dog " * 100, "d\u00e9j\u00e0 vu \N{DOG} \u202eabc", "red dog\x00"]


@pytest.fixture(autouse=True)
def small_is_worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mapped, "WORTH_IT", 0)


@pytest.fixture
def fed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """The input shapes of text towers."""
    shapes: list[tuple[int, ...]] = []
    run = TextTower._run

    def watched(self: TextTower, session: Any, feeds: Any) -> Any:
        shapes.append(next(iter(feeds.values())).shape)
        return run(self, session, feeds)

    monkeypatch.setattr(TextTower, "_run", watched)
    return shapes


def rclip(folder: Path, **text: Any) -> Path:
    tiny_models.rclip(folder)
    tiny_models.clip_text_graph(folder / "Some-Model/textual.onnx", **text)
    return folder


def load(folder: Path) -> OnnxEncoder:
    encoder = encoders.load(folder, models_dir=folder.parent / "models")
    assert isinstance(encoder, OnnxEncoder)
    return encoder


def images(n: int) -> np.ndarray:
    raise AssertionError("no sample is needed")


def copied(folder: Path) -> OnnxEncoder:
    """Return an encoder that opens the copy made by indexing."""
    load(folder).accelerate("fp32", 10, images)
    (copy,) = (folder.parent / "models/converted").glob("text-*")
    assert {path.name for path in copy.iterdir()} == {"model.onnx", "weights.bin", "sizes.json"}
    return load(folder)


def test_short_texts_are_not_padded_to_the_context(
    tmp_path: Path, fed: list[tuple[int, ...]]
) -> None:
    folder = rclip(tmp_path / "m")
    wanted = load(folder).encode_texts(TEXTS)
    assert fed == [(6, 77)]
    encoder = copied(folder)
    fed.clear()
    for text, row in zip(TEXTS, wanted, strict=True):
        np.testing.assert_allclose(encoder.encode_texts([text])[0], row, atol=1e-6)
    tokens = Tokens(encoder._rules)
    assert fed == [(1, len(tokens.ids([text])[0])) for text in TEXTS]
    assert fed[0] == (1, 5) and fed[3] == (1, 77)
    np.testing.assert_allclose(encoder.encode_texts(TEXTS), wanted, atol=1e-6)
    np.testing.assert_allclose(encoder.encode_texts(TEXTS[:3]), wanted[:3], atol=1e-6)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with its copy."""
    folder = rclip(tmp_path_factory.mktemp("free") / "m")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mapped, "WORTH_IT", 0)
        copied(folder)
    return folder


@pytest.mark.slow
@settings(deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))
@given(texts=st.lists(st.text(max_size=120), min_size=1, max_size=4))
def test_any_text_has_the_same_embedding(texts: list[str], folder: Path) -> None:
    # Not with an encoder, which would use the copy from its second call on.
    encoder = load(folder)
    ids, _ = Tokens(encoder._rules).padded(texts, 77)
    (rows,) = onnxruntime.InferenceSession(folder / "Some-Model/textual.onnx").run(
        ["output"], {"input": ids}
    )
    wanted = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    np.testing.assert_allclose(encoder.encode_texts(texts), wanted, atol=1e-6)


def test_a_tower_for_one_text_at_a_time_reads_short_texts_too(
    tmp_path: Path, fed: list[tuple[int, ...]]
) -> None:
    # Like immich's: its batch stays fixed, and it reads int32.
    folder = tmp_path / "m"
    tiny_models.immich(folder)
    tiny_models.clip_text_graph(
        folder / "textual/model.onnx",
        given="text",
        gives="embedding",
        batch=1,
        length=12,
        dtype=TensorProto.INT32,
    )
    tokenizer = folder / "textual/tokenizer.json"
    tokenizer.write_text(tokenizer.read_text().replace("[SEP]", "<|endoftext|>"))
    # The end-of-text token has the highest id in CLIP's vocabulary.
    tokenizer.write_text(tokenizer.read_text().replace('"<|endoftext|>": 3', '"<|endoftext|>": 99'))
    wanted = load(folder).encode_texts(["a red dog", "cat"])
    encoder = copied(folder)
    fed.clear()
    np.testing.assert_allclose(encoder.encode_texts(["a red dog", "cat"]), wanted, atol=1e-6)
    assert [n for n, _ in fed] == [1, 1] and max(length for _, length in fed) < 12


@pytest.mark.parametrize(
    "why",
    [
        "it reads tokens after",
        "its width is that of its context",
        "it sums over all positions",
    ],
)
def test_a_tower_whose_vectors_would_change_keeps_its_length(
    tmp_path: Path, fed: list[tuple[int, ...]], why: str
) -> None:
    folder = tmp_path / "m"
    tiny_models.rclip(folder)
    if "after" in why:
        rclip(folder, looks_ahead=True)
    elif "width" in why:
        tiny_models.visual_graph(folder / "Some-Model/visual.onnx", given="input", gives="output")
        rclip(folder, width=77)
        _widen(folder / "Some-Model/visual.onnx")
    wanted = load(folder).encode_texts(TEXTS)
    encoder = copied(folder)
    fed.clear()
    for text, row in zip(TEXTS, wanted, strict=True):
        np.testing.assert_allclose(encoder.encode_texts([text])[0], row, atol=1e-6)
    assert set(fed) == {(1, 77)}


def _widen(path: Path) -> None:
    """Make an image tower return vectors of length 77."""
    model = onnx.load(path)
    weights = np.random.default_rng(1).standard_normal((12, 77)).astype(np.float32)
    for tensor in model.graph.initializer:
        if tensor.name == "w":
            tensor.CopyFrom(onnx.numpy_helper.from_array(weights, "w"))
        elif tensor.name == "b":
            tensor.CopyFrom(onnx.numpy_helper.from_array(np.zeros(77, np.float32), "b"))
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 77
    onnx.save(model, path)


def test_the_copy_keeps_its_fixed_length_if_rewriting_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fed: list[tuple[int, ...]]
) -> None:
    def fails(*_: object) -> None:
        raise RuntimeError("an operator that nobody knows")

    monkeypatch.setattr(free_length, "free_length", fails)
    encoder = copied(rclip(tmp_path / "m"))
    fed.clear()
    assert encoder.encode_texts(["a red dog"]).shape == (1, tiny_models.DIM)
    assert fed == [(1, 77)]


def test_a_process_that_keeps_searching_makes_the_copy(
    tmp_path: Path, fed: list[tuple[int, ...]]
) -> None:
    # Such as a server, of a library that was indexed elsewhere.
    encoder = load(rclip(tmp_path / "m"))
    wanted = encoder.encode_texts(["a red dog"])
    assert not (tmp_path / "models/converted").exists(), "this may be the only search"
    encoder.encode_texts(["a red dog"])
    opening = encoder._textual._opening
    assert opening is not None
    opening.join()
    np.testing.assert_allclose(encoder.encode_texts(["a red dog"]), wanted, atol=1e-6)
    assert (fed[0], fed[-1]) == ((1, 77), (1, 5))


def test_the_original_gets_texts_of_full_length_after_its_copy_is_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fed: list[tuple[int, ...]]
) -> None:
    # The copy is deleted before the second search, which opens the tower again for speed.
    folder = rclip(tmp_path / "m")
    encoder = copied(folder)
    fed.clear()
    wanted = encoder.encode_texts(["a red dog"])
    (copy,) = (folder.parent / "models/converted").glob("text-*")
    for path in copy.iterdir():
        path.unlink()
    monkeypatch.setattr(mapped, "write", lambda *_: False)  # its disk is full
    encoder.encode_texts(["a red dog"])
    opening = encoder._textual._opening
    assert opening is not None
    opening.join()
    np.testing.assert_allclose(encoder.encode_texts(["a red dog"]), wanted, atol=1e-6)
    assert fed[0] == (1, 5) and fed[-1] == (1, 77)


def test_a_whole_copy_is_never_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The second call of a search makes the copy, and so does indexing; another process may be
    # opening it.
    folder = rclip(tmp_path / "m")
    convert = mapped._convert
    first: list[int] = []

    def twice(graph: Any, place: Path) -> None:
        convert(graph, place)
        if not first:
            first.append(0)
            load(folder)._textual.write_mapped()
            (copy,) = (tmp_path / "models/converted").glob("text-*")
            first[0] = copy.stat().st_ino

    monkeypatch.setattr(mapped, "_convert", twice)
    copied(folder)
    (copy,) = (tmp_path / "models/converted").glob("text-*")
    assert copy.stat().st_ino == first[0] != 0


def test_a_broken_copy_is_replaced(tmp_path: Path, fed: list[tuple[int, ...]]) -> None:
    folder = rclip(tmp_path / "m")
    copied(folder)
    (copy,) = (tmp_path / "models/converted").glob("text-*")
    (copy / "weights.bin").write_bytes(b"half")
    copied(folder).encode_texts(["a red dog"])
    assert fed == [(1, 5)]
