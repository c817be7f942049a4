from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from PIL import Image

from pixseek import encoders
from pixseek.encoders import layouts
from pixseek.encoders.runtimes.text_tower import TextTower
from pixseek.errors import ModelError
from pixseek.types import Encoder, Picture

import tiny_models
from tiny_models import DIM, SIDE


def load(folder: Path, **options: int) -> Encoder:
    return encoders.load(folder, models_dir=folder.parent / "models", **options)


def pictures(n: int, seed: int = 0) -> list[Picture]:
    random = np.random.default_rng(seed)
    shapes = random.integers(10, 60, (n, 2))
    found = []
    for height, width in shapes.tolist():
        pixels = Image.fromarray(random.integers(0, 256, (height, width, 3), np.uint8))
        found.append(Picture(pixels, width, height, "image/png"))
    return found


def prepared(encoder: Encoder, n: int) -> np.ndarray:
    return np.stack([encoder.prepare(picture) for picture in pictures(n)])


def test_every_layout_gives_unit_rows_in_order(model_folder: Path) -> None:
    encoder = load(model_folder)
    assert isinstance(encoder, Encoder)
    assert (encoder.dim, encoder.input_side, encoder.name) == (DIM, SIDE, model_folder.name)
    batch = prepared(encoder, 19)  # two full calls of eight, and three more
    images = encoder.encode_images(batch)
    texts = encoder.encode_texts(["a red dog", "", "the blue car on the beach", "a red dog"])
    assert images.shape == (19, DIM) and texts.shape == (4, DIM)
    assert images.dtype == texts.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(images, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(texts, axis=1), 1, atol=1e-6)
    np.testing.assert_array_equal(texts[0], texts[3])
    assert texts[0] @ texts[2] < 0.999
    alone = np.concatenate([encoder.encode_images(image[None]) for image in batch])
    np.testing.assert_allclose(images, alone, atol=1e-5)


def test_no_input_gives_no_rows(model_folder: Path) -> None:
    encoder = load(model_folder)
    assert encoder.encode_images(np.empty((0, 3, SIDE, SIDE), np.float32)).shape == (0, DIM)
    assert encoder.encode_texts([]).shape == (0, DIM)


def test_a_text_has_the_same_vector_in_a_batch_and_alone(model_folder: Path) -> None:
    encoder = load(model_folder)
    texts = [" ".join(tiny_models.WORDS[4 : 5 + i % 8]) for i in range(70)]
    together = encoder.encode_texts(texts)
    alone = np.concatenate([encoder.encode_texts([text]) for text in texts])
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_a_text_longer_than_the_context_is_truncated(model_folder: Path) -> None:
    encoder = load(model_folder)
    text = "red dog " * 5000
    np.testing.assert_allclose(
        encoder.encode_texts([text]), encoder.encode_texts([text + "car"]), atol=1e-6
    )


@pytest.mark.parametrize("text", ["\ud800", "\x00", "\u202e red", "🐕" * 3000, "\n\t ", "&amp;"])
def test_odd_texts_are_accepted(model_folder: Path, text: str) -> None:
    assert load(model_folder).encode_texts([text]).shape == (1, DIM)


def test_towers_are_opened_when_they_are_needed(
    model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []
    session = onnxruntime.InferenceSession

    def open_session(path: str, *rest: object, **options: object) -> object:
        opened.append(Path(path))
        return session(path, *rest, **options)

    monkeypatch.setattr(onnxruntime, "InferenceSession", open_session)
    encoder = load(model_folder)
    assert opened == []
    encoder.encode_texts(["a dog"])
    assert ["text" in str(path.relative_to(model_folder)) for path in opened] == [True]
    encoder.encode_images(prepared(encoder, 1))
    assert len(opened) == 2


def test_many_threads_open_a_tower_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny_models.xenova(tmp_path / "m")
    opened = []
    session = onnxruntime.InferenceSession

    def open_session(path: str, *rest: object, **options: object) -> object:
        opened.append(Path(path).stem)
        return session(path, *rest, **options)

    monkeypatch.setattr(onnxruntime, "InferenceSession", open_session)
    encoder = load(tmp_path / "m", threads=1)
    batch = prepared(encoder, 4)
    wanted = encoder.encode_images(batch).copy()
    found: list[np.ndarray] = []

    def work() -> None:
        encoder.encode_texts(["a dog"])
        found.append(encoder.encode_images(batch))

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 6 and opened.count("vision_model") == 1
    assert opened.count("text_model") in (1, 2), (
        "for the first call, and after the second in a thread"
    )
    for rows in found:
        np.testing.assert_allclose(rows, wanted, atol=1e-6)


def test_the_text_tower_opens_fast_at_first_and_again_for_speed_after_the_second_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny_models.xenova(tmp_path / "m")
    levels = []
    opened = threading.Semaphore(0)
    session = onnxruntime.InferenceSession

    def open_session(
        path: str, options: onnxruntime.SessionOptions, *rest: object, **more: object
    ) -> object:
        levels.append((Path(path).stem, options.graph_optimization_level))
        opened.release()
        return session(path, options, *rest, **more)

    monkeypatch.setattr(onnxruntime, "InferenceSession", open_session)
    encoder = load(tmp_path / "m")
    found = [encoder.encode_texts(["a red dog"])]
    level = onnxruntime.GraphOptimizationLevel
    assert levels == [("text_model", level.ORT_DISABLE_ALL)]
    found += [encoder.encode_texts(["a red dog"]) for _ in range(3)]
    assert opened.acquire(timeout=60) and opened.acquire(timeout=60)
    found += [encoder.encode_texts(["a red dog"]) for _ in range(3)]
    encoder.encode_images(prepared(encoder, 2))
    assert levels[1:] == [
        ("text_model", level.ORT_ENABLE_ALL),
        ("vision_model", level.ORT_ENABLE_ALL),
    ]
    np.testing.assert_allclose(np.concatenate(found), np.repeat(found[0], len(found), 0), atol=1e-6)


def test_a_closed_text_tower_opens_again(tmp_path: Path) -> None:
    tiny_models.xenova(tmp_path / "m")
    files = layouts.read(tmp_path / "m")
    assert files.textual.embedding
    tower = TextTower(files.textual, files.textual.embedding, threads=1, cache=None)
    feeds = {port.name: np.ones((1, 5), np.int64) for port in files.textual.inputs}
    before = tower.run(feeds)
    for _ in range(3):
        for _ in range(3):
            np.testing.assert_allclose(tower.run(feeds), before, atol=1e-6)
        tower.close()


@pytest.mark.parametrize("batch", [1, 3])
def test_a_graph_of_fixed_batch_gets_whole_batches(tmp_path: Path, batch: int) -> None:
    free, fixed = tmp_path / "free", tmp_path / "fixed"
    tiny_models.xenova(free)
    tiny_models.xenova(fixed, batch=batch)
    images = prepared(load(free), 7)
    np.testing.assert_allclose(
        load(fixed).encode_images(images), load(free).encode_images(images), atol=1e-6
    )


def test_weights_in_an_external_file_are_found_and_part_of_the_fingerprint(tmp_path: Path) -> None:
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    tiny_models.xenova(inside)
    tiny_models.xenova(outside, external=True)
    images = prepared(load(inside), 3)
    np.testing.assert_allclose(
        load(outside).encode_images(images), load(inside).encode_images(images), atol=1e-6
    )
    before = load(outside).fingerprint
    data = outside / "onnx/vision_model.onnx_data"
    content = bytearray(data.read_bytes())
    content[0] ^= 1
    data.write_bytes(content)
    assert load(outside).fingerprint != before


def test_a_missing_external_file_raises_an_error_that_names_it(tmp_path: Path) -> None:
    tiny_models.xenova(tmp_path / "m", external=True)
    (tmp_path / "m/onnx/vision_model.onnx_data").unlink()
    with pytest.raises(ModelError, match=r"(?i)vision_model\.onnx_data"):
        load(tmp_path / "m")


def test_the_fingerprint_depends_only_on_the_image_tower(tmp_path: Path) -> None:
    tiny_models.xenova(tmp_path / "m")
    folder = tmp_path / "m"
    before = load(folder).fingerprint
    assert len(before) == 64 and load(folder, threads=1).fingerprint == before

    tiny_models.text_graph(folder / "onnx/text_model.onnx", mask=False)
    assert load(folder).fingerprint == before, "a different text tower searches the same images"

    config = folder / "preprocessor_config.json"
    config.write_text(config.read_text().replace('"resample": 3', '"resample": 2'))
    changed = load(folder).fingerprint
    assert changed != before

    tiny_models.visual_graph(folder / "onnx/vision_model.onnx", constant=2)
    assert load(folder).fingerprint not in (before, changed)


@pytest.mark.parametrize("constant", [0.0, float("nan"), float("inf")])
def test_a_vector_without_direction_raises_an_error_that_names_the_image(
    tmp_path: Path, constant: float
) -> None:
    tiny_models.xenova(tmp_path / "m", constant=constant)
    encoder = load(tmp_path / "m")
    with pytest.raises(ModelError, match=r"(?i)image 0 of the batch"):
        encoder.encode_images(np.ones((2, 3, SIDE, SIDE), np.float32))


def test_the_error_names_only_the_bad_image(tmp_path: Path) -> None:
    tiny_models.xenova(tmp_path / "m")
    batch = np.ones((12, 3, SIDE, SIDE), np.float32)
    batch[9] = np.nan
    with pytest.raises(ModelError, match=r"(?i)image 9 of the batch"):
        load(tmp_path / "m").encode_images(batch)


def test_a_batch_of_the_wrong_shape_raises_an_error_before_anything_runs(tmp_path: Path) -> None:
    tiny_models.xenova(tmp_path / "m")
    encoder = load(tmp_path / "m")
    for shape in [(3, SIDE, SIDE), (1, 3, SIDE, SIDE + 1), (1, 1, SIDE, SIDE)]:
        with pytest.raises(ModelError, match=r"\(n, 3, 16, 16\)"):
            encoder.encode_images(np.zeros(shape, np.float32))


def test_preprocessing_and_graph_must_agree_on_the_size(tmp_path: Path) -> None:
    tiny_models.xenova(tmp_path / "m", side=24)
    with pytest.raises(ModelError, match=r"(?i)disagree"):
        load(tmp_path / "m")


def test_a_graph_of_free_size_gets_the_size_of_the_preprocessing(tmp_path: Path) -> None:
    tiny_models.xenova(tmp_path / "m", side="side")
    encoder = load(tmp_path / "m")
    assert encoder.encode_images(prepared(encoder, 2)).shape == (2, DIM)


def test_a_damaged_graph_raises_model_error(tmp_path: Path) -> None:
    tiny_models.xenova(tmp_path / "m")
    path = tmp_path / "m/onnx/vision_model.onnx"
    whole = path.read_bytes()
    for content in (b"", b"<!doctype html>", whole[: len(whole) // 2], b"\xff" * 100):
        path.write_bytes(content)
        with pytest.raises(ModelError):
            load(tmp_path / "m")


def test_errors_of_onnxruntime_become_model_errors(tmp_path: Path) -> None:
    tiny_models.xenova(tmp_path / "m")
    encoder = load(tmp_path / "m")
    path = tmp_path / "m/onnx/text_model.onnx"
    content = bytearray(path.read_bytes())
    at = content.index(b"Gather")
    content[at : at + 6] = b"Gother"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"(?i)can't be opened") as caught:
        encoder.encode_texts(["a"])
    assert caught.value.__cause__ is not None and str(path) in str(caught.value)


def test_swapped_towers_raise_model_error(tmp_path: Path) -> None:
    tiny_models.xenova(tmp_path / "m")
    tiny_models.text_graph(tmp_path / "m/onnx/vision_model.onnx")
    with pytest.raises(ModelError, match=r"(?i)takes images"):
        load(tmp_path / "m")


def test_a_graph_that_loses_rows_raises_model_error(tmp_path: Path) -> None:
    import onnx
    from onnx import TensorProto, helper

    tiny_models.xenova(tmp_path / "m")
    path = tmp_path / "m/onnx/vision_model.onnx"
    model = onnx.load(path)
    model.graph.node.append(
        helper.make_node("ReduceMean", ["image_embeds"], ["mean_embeds"], axes=[0])
    )
    model.graph.output[0].CopyFrom(
        helper.make_tensor_value_info("mean_embeds", TensorProto.FLOAT, [1, DIM])
    )
    onnx.save(model, path)
    encoder = load(tmp_path / "m")
    assert encoder.encode_images(prepared(encoder, 1)).shape == (1, DIM)
    with pytest.raises(ModelError, match="Given 3 items"):
        encoder.encode_images(prepared(encoder, 3))


def test_towers_of_different_lengths_raise_model_error(tmp_path: Path) -> None:
    import onnx

    tiny_models.xenova(tmp_path / "m")
    path = tmp_path / "m/onnx/text_model.onnx"
    model = onnx.load(path)
    model.graph.output[1].type.tensor_type.shape.dim[1].dim_value = DIM + 1
    onnx.save(model, path)
    with pytest.raises(ModelError, match="8 and 9"):
        load(tmp_path / "m")


def test_a_graph_in_half_precision_gets_float16_and_gives_float32(tmp_path: Path) -> None:
    import onnx
    from onnx import TensorProto, helper

    tiny_models.xenova(tmp_path / "m")
    images = prepared(load(tmp_path / "m"), 3)
    wanted = load(tmp_path / "m").encode_images(images)
    path = tmp_path / "m/onnx/vision_model.onnx"
    model = onnx.load(path)
    inner, outer = "pixel_values", "image_embeds"
    model.graph.node.insert(0, helper.make_node("Cast", ["half"], [inner], to=TensorProto.FLOAT))
    model.graph.node.append(
        helper.make_node("Cast", [outer], ["half_embeds"], to=TensorProto.FLOAT16)
    )
    half = TensorProto.FLOAT16
    model.graph.input[0].CopyFrom(helper.make_tensor_value_info("half", half, ["n", 3, SIDE, SIDE]))
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("half_embeds", half, ["n", DIM]))
    onnx.save(model, path)
    found = load(tmp_path / "m").encode_images(images)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, wanted, atol=5e-3)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)


def test_a_length_of_vectors_missing_from_a_graph_is_found(tmp_path: Path) -> None:
    folder = tmp_path / "m"
    tiny_models.xenova(folder)
    tiny_models.text_graph(folder / "onnx/text_model.onnx", dim="d")
    assert load(folder).dim == DIM  # the image tower's output says it


def test_a_graph_that_quantises_while_it_runs_gets_one_image_at_a_time(tmp_path: Path) -> None:
    import onnx
    from onnx import TensorProto, helper

    tiny_models.xenova(tmp_path / "m")
    path = tmp_path / "m/onnx/vision_model.onnx"
    model = onnx.load(path)
    quantise = helper.make_node("DynamicQuantizeLinear", ["image_embeds"], ["q", "s", "z"])
    back = helper.make_node("DequantizeLinear", ["q", "s", "z"], ["out_embeds"])
    model.graph.node.extend([quantise, back])
    model.graph.output[0].CopyFrom(
        helper.make_tensor_value_info("out_embeds", TensorProto.FLOAT, ["n", DIM])
    )
    onnx.save(model, path)
    encoder = load(tmp_path / "m")
    assert encoder.batch_size == 1
    batch = prepared(encoder, 5) * np.array([1, 9, 1, 3, 1], np.float32)[:, None, None, None]
    alone = np.concatenate([encoder.encode_images(image[None]) for image in batch])
    np.testing.assert_array_equal(encoder.encode_images(batch), alone)
