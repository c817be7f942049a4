from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from pixseek import encoders
from pixseek.encoders import layouts
from pixseek.encoders.onnx import OnnxEncoder
from pixseek.encoders.runtimes import (
    acceleration,
    conversion,
    gpus,
    int8,
    mapped,
    openvino,
    reference,
    towers,
)
from pixseek.encoders.runtimes.towers import OnnxTower
from pixseek.errors import MissingExtraError, ModelError
from pixseek.types import Accelerable, Encoder, Precision

import tiny_models
from tiny_models import DIM, SIDE

needs_openvino = pytest.mark.skipif(not openvino.installed(), reason="OpenVINO is not installed")
needs_bf16 = pytest.mark.skipif(
    not (openvino.installed() and openvino.has_bf16()), reason="no OpenVINO, or no bf16"
)
needs_nncf = pytest.mark.skipif(
    not (openvino.installed() and find_spec("nncf")), reason="NNCF is not installed"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tiny_models.xenova(tmp_path / "m")
    # A table large enough for a separate file.
    text = tmp_path / "m/onnx/text_model.onnx"
    tiny_models.text_graph(text, more_outputs=True, vocabulary=600)
    return tmp_path / "m"


@pytest.fixture
def small_is_worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mapped, "WORTH_IT", 0)


def load(folder: Path, **options: int) -> OnnxEncoder:
    encoder = encoders.load(folder, models_dir=folder.parent / "models", **options)
    assert isinstance(encoder, OnnxEncoder)
    return encoder


def images(n: int, seed: int = 0) -> np.ndarray:
    """Images whose four quarters differ, so that the tiny tower can distinguish them."""
    random = np.random.default_rng(seed)
    quarters = random.standard_normal((n, 3, 2, 2)).repeat(SIDE // 2, 2).repeat(SIDE // 2, 3)
    return (quarters + 0.1 * random.standard_normal((n, 3, SIDE, SIDE))).astype(np.float32)


def sample(n: int) -> np.ndarray:
    return images(n, seed=7)


def none(n: int) -> np.ndarray:
    raise AssertionError("no sample is needed")


def no_openvino(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openvino, "installed", lambda: False)


def with_bf16(monkeypatch: pytest.MonkeyPatch, has: bool) -> None:
    monkeypatch.setattr(openvino, "has_bf16", lambda: has)


def by_many_threads(encoder: Encoder, batches: list[np.ndarray], threads: int) -> list[np.ndarray]:
    """Encode each batch in one of several threads that start at once."""
    found: list[np.ndarray] = [np.empty(0)] * len(batches)
    start = threading.Barrier(threads)

    def work(mine: int) -> None:
        start.wait()
        for at in range(mine, len(batches), threads):
            found[at] = encoder.encode_images(batches[at])

    workers = [threading.Thread(target=work, args=(mine,)) for mine in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return found


# ------------------------------------------------------------------ the choice


def test_encoders_of_pixseek_can_be_accelerated(folder: Path) -> None:
    encoder = load(folder)
    assert isinstance(encoder, Encoder) and isinstance(encoder, Accelerable)
    assert encoder.streams == 1


@pytest.mark.parametrize("precision", ["int4", "", "FP32"])
def test_an_unknown_precision_raises_an_error_that_lists_the_known(
    folder: Path, precision: str
) -> None:
    with pytest.raises(ModelError, match="auto, bf16, fp32, int8"):
        load(folder).accelerate(precision, 100, none)  # type: ignore[arg-type]


def test_without_openvino_onnxruntime_uses_one_core_per_call(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_openvino(monkeypatch)
    has_converters(monkeypatch, False)
    encoder = load(folder, threads=3)
    batch = images(30)
    before = encoder.encode_images(batch)
    chosen = encoder.accelerate("auto", 100_000, none)
    assert (chosen.runtime, chosen.precision, chosen.images) == ("onnxruntime", "fp32", 0)
    assert "pixseek[openvino]" in chosen.why
    assert encoder.streams == 3 and encoder.batch_size == 8
    np.testing.assert_allclose(encoder.encode_images(batch), before, atol=1e-6)


@pytest.mark.parametrize(("precision", "extra"), [("bf16", "openvino"), ("int8", "int8")])
def test_a_named_precision_without_its_package_raises_an_error(
    folder: Path, monkeypatch: pytest.MonkeyPatch, precision: str, extra: str
) -> None:
    no_openvino(monkeypatch)
    has_converters(monkeypatch, False)
    with pytest.raises(MissingExtraError, match=rf"pixseek\[{extra}\]"):
        load(folder).accelerate(precision, 100, none)  # type: ignore[arg-type]


def test_on_other_processors_onnxruntime_is_chosen_and_the_reason_given(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    monkeypatch.setattr(openvino, "installed", lambda: True)
    has_converters(monkeypatch, False)
    chosen = load(folder).accelerate("auto", 100_000, none)
    assert chosen.runtime == "onnxruntime" and "x86-64" in chosen.why


def test_a_quantised_model_stays_in_onnxruntime(tmp_path: Path) -> None:
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
    chosen = encoder.accelerate("auto", 100_000, none)
    assert (chosen.runtime, chosen.precision) == ("onnxruntime", "int8")
    assert encoder.batch_size == 1, "a vector must not depend on its batch"


@needs_openvino
def test_a_graph_that_openvino_cannot_run_falls_back_with_a_reason(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise ModelError("OpenVINO can't open a model", "m", "No such operation.")

    monkeypatch.setattr(openvino, "OpenVinoTower", refuse)
    with_bf16(monkeypatch, True)  # otherwise it is not tried at all
    encoder = load(folder)
    chosen = encoder.accelerate("auto", 100, none)
    assert chosen.runtime == "onnxruntime" and "No such operation." in chosen.why
    assert encoder.encode_images(images(2)).shape == (2, DIM)


def test_heavy_packages_are_not_imported_before_they_are_needed(folder: Path) -> None:
    code = (
        "import sys; from pathlib import Path; import numpy as np; from pixseek import encoders\n"
        f"encoder = encoders.load(Path({str(folder)!r}), models_dir=Path({str(folder.parent)!r}))\n"
        f"encoder.encode_images(np.ones((1, 3, {SIDE}, {SIDE}), np.float32))\n"
        "encoder.encode_texts(['a dog'])\n"
        "print(sorted({'openvino', 'nncf', 'scipy', 'huggingface_hub'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


# ------------------------------------------------------------------ threads


@pytest.mark.parametrize(
    ("precision", "runtime"),
    [("fp32", "onnxruntime"), pytest.param("bf16", "openvino", marks=needs_bf16)],
)
def test_many_threads_get_the_rows_of_one(folder: Path, precision: Precision, runtime: str) -> None:
    encoder = load(folder, threads=2)
    assert encoder.accelerate(precision, 100, none).runtime == runtime
    batches = [images(1 + i % 19, seed=i) for i in range(200)]
    one_by_one = [encoder.encode_images(batch) for batch in batches]
    for found, wanted in zip(by_many_threads(encoder, batches, 6), one_by_one, strict=True):
        np.testing.assert_array_equal(found, wanted)


@needs_bf16
def test_more_threads_than_streams_wait_for_each_other(folder: Path) -> None:
    """No request is used by two threads, and each is returned after an error too."""
    encoder = load(folder, threads=1)
    encoder.accelerate("bf16", 100, none)
    bad = np.full((1, 3, SIDE, SIDE), np.nan, np.float32)
    for _ in range(3):
        with pytest.raises(ModelError):
            encoder.encode_images(bad)
    assert len(by_many_threads(encoder, [images(4)] * 40, 8)) == 40


# ------------------------------------------------------------------ OpenVINO


@needs_openvino
@pytest.mark.parametrize("precision", ["bf16", "auto"])
def test_openvino_gives_the_vectors_of_onnxruntime(folder: Path, precision: str) -> None:
    encoder = load(folder)
    batch = images(30)
    wanted = encoder.encode_images(batch)
    if not openvino.has_bf16():
        if precision == "bf16":
            with pytest.raises(ModelError, match="auto or fp32"):
                encoder.accelerate("bf16", 100, none)
        else:
            assert encoder.accelerate("auto", 100, none).runtime == "onnxruntime"
        return
    chosen = encoder.accelerate(precision, 100, none)  # type: ignore[arg-type]
    assert (chosen.runtime, chosen.precision) == ("openvino", "bf16")
    assert encoder.streams == len(by_many_threads(encoder, [batch] * encoder.streams, 1))
    found = encoder.encode_images(batch)
    np.testing.assert_allclose(found, wanted, atol=0.02)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)


@needs_openvino
def test_openvino_runs_every_layout(model_folder: Path) -> None:
    encoder = load(model_folder)
    side = encoder.input_side
    batch = np.random.default_rng(0).standard_normal((11, 3, side, side)).astype(np.float32)
    wanted = encoder.encode_images(batch)
    graph = layouts.read(model_folder).visual
    assert graph.embedding
    tower = openvino.OpenVinoTower(graph, graph.embedding, streams=2, precision="f32")
    np.testing.assert_allclose(encoder._encode(tower, batch), wanted, atol=1e-5)


@needs_openvino
def test_openvino_is_not_opened_in_fp32(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_bf16(monkeypatch, False)
    chosen = load(folder).accelerate("auto", 100, none)
    assert chosen.runtime == "onnxruntime" and "without bf16" in chosen.why
    assert load(folder).accelerate("fp32", 100, none).runtime == "onnxruntime"
    assert load(folder).accelerate("int8", 3, none).runtime == "onnxruntime"


@needs_bf16
def test_a_large_tower_for_bf16_is_converted_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch, small_is_worth_it: None
) -> None:
    opened: list[Path | None] = []
    tower = openvino.OpenVinoTower

    def open_tower(*rest: object, **more: object) -> object:
        opened.append(more["converted"])  # type: ignore[arg-type]
        return tower(*rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(openvino, "OpenVinoTower", open_tower)
    encoder = load(folder)
    wanted = encoder.encode_images(images(20))
    encoder.accelerate("bf16", 100, none)
    np.testing.assert_allclose(encoder.encode_images(images(20)), wanted, atol=0.02)
    (kept,) = (folder.parent / "models/converted").glob("half-*")
    assert {path.name for path in kept.iterdir()} == {"model.xml", "model.bin"}
    written = (kept / "model.bin").stat().st_mtime_ns
    load(folder).accelerate("auto", 100, none)
    assert (kept / "model.bin").stat().st_mtime_ns == written
    assert opened == [kept / "model.xml"] * 2
    (kept / "model.xml").write_bytes(b"broken")
    load(folder).accelerate("bf16", 100, none)
    assert opened[2:] == [kept / "model.xml", None] and not kept.exists()


@needs_bf16
def test_without_a_place_for_conversions_the_model_is_used_unconverted(
    folder: Path, small_is_worth_it: None
) -> None:
    (folder.parent / "models").write_text("a file where the folder should be")
    encoder = load(folder)
    assert encoder.accelerate("bf16", 100, none).precision == "bf16"
    assert encoder.encode_images(images(2)).shape == (2, DIM)


@needs_openvino
def test_openvino_is_not_opened_for_a_few_images(folder: Path) -> None:
    chosen = load(folder).accelerate("auto", acceleration.OPENVINO_FROM - 1, none)
    assert (chosen.runtime, chosen.precision) == ("onnxruntime", "fp32")
    assert "at least 24 images" in chosen.why


@needs_openvino
def test_accelerating_keeps_the_fingerprint(folder: Path) -> None:
    encoder = load(folder)
    before = encoder.fingerprint
    encoder.accelerate("auto", 100, none)
    assert encoder.fingerprint == before == load(folder).fingerprint


@needs_bf16
def test_a_vector_without_direction_raises_an_error_after_accelerating_too(tmp_path: Path) -> None:
    tiny_models.xenova(tmp_path / "m", constant=0.0)
    encoder = load(tmp_path / "m")
    encoder.accelerate("bf16", 100, none)
    with pytest.raises(ModelError, match=r"(?i)image 0 of the batch"):
        encoder.encode_images(images(2))


# ------------------------------------------------------------------ int8


def test_a_set_agrees_with_itself_completely() -> None:
    rows = unit(np.random.default_rng(0).standard_normal((40, 8)))
    found = int8.agreement(rows, rows)
    assert found.good and found.images == 40
    assert (found.median, found.least, found.ranks) == pytest.approx((1, 1, 1))


def test_the_part_that_all_vectors_share_does_not_hide_losses() -> None:
    """Plain cosines stay above .99 here, although much of the difference between images is lost."""
    random = np.random.default_rng(0)
    shared = 10 * random.standard_normal(64)
    own, noise = random.standard_normal((2, 100, 64))
    exact, fast = unit(shared + own), unit(shared + own + 0.5 * noise)
    assert (exact * fast).sum(1).min() > 0.99
    found = int8.agreement(exact, fast)
    assert not found.good and found.median < 0.93


def test_one_bad_image_is_enough_to_fail() -> None:
    rows = unit(np.random.default_rng(0).standard_normal((128, 64)))
    fast = rows.copy()
    fast[5] = rows[6]
    assert int8.agreement(rows, rows).good
    assert not int8.agreement(rows, fast).good


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@needs_openvino
@pytest.mark.parametrize(
    ("has_bf16", "count", "expected"),
    [(True, 2499, "bf16"), (True, 2500, "int8"), (False, 999, "fp32"), (False, 1000, "int8")],
)
def test_auto_converts_only_if_there_are_enough_images(
    folder: Path, monkeypatch: pytest.MonkeyPatch, has_bf16: bool, count: int, expected: str
) -> None:
    with_bf16(monkeypatch, has_bf16)
    pretend_to_convert(monkeypatch)
    chosen = load(folder).accelerate("auto", count, sample)
    assert chosen.precision == expected
    assert (chosen.images > 0) == (expected == "int8")


@needs_openvino
def test_a_conversion_is_made_once_and_checked_in_every_run(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = pretend_to_convert(monkeypatch)
    asked: list[int] = []

    def asking(n: int) -> np.ndarray:
        asked.append(n)
        return sample(n)

    for _ in range(2):
        chosen = load(folder).accelerate("auto", 10_000, asking)
        assert (chosen.precision, chosen.images) == ("int8", int8.CHECKED)
        assert chosen.cosine_least > 0.99 and "128 of your images" in chosen.why
        assert f"{chosen.speedup:.1f} times as fast" in chosen.why
    assert len(made) == 1
    assert asked == [int8.CALIBRATION + int8.CHECKED, int8.CHECKED]
    # Once it exists, only the check must be worthwhile.
    assert load(folder).accelerate("auto", 1000, asking).precision == "int8"
    assert load(folder).accelerate("auto", 999, none).precision != "int8"


@needs_openvino
def test_the_check_uses_other_images_than_the_conversion(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched: list[np.ndarray] = []
    checked: list[np.ndarray] = []
    pretend_to_convert(monkeypatch, watched.append)
    encoder = load(folder)
    encode = encoder._encode

    def encoding(tower: towers.Tower, batch: np.ndarray) -> np.ndarray:
        checked.append(batch)
        return encode(tower, batch)

    monkeypatch.setattr(encoder, "_encode", encoding)
    encoder.accelerate("int8", 100, sample)
    seen = {row.tobytes() for row in watched[0]}
    assert len(seen) == int8.CALIBRATION
    assert not seen & {row.tobytes() for batch in checked for row in batch}


@needs_openvino
def test_a_failed_check_falls_back_and_is_remembered(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = pretend_to_convert(monkeypatch, model=other_model)
    encoder = load(folder)
    wanted = encoder.encode_images(images(5))
    for _ in range(2):
        chosen = encoder.accelerate("auto", 10_000, sample)
        assert chosen.precision in ("bf16", "fp32") and chosen.images == 0
        assert "centred cosine" in chosen.why
        np.testing.assert_allclose(encoder.encode_images(images(5)), wanted, atol=0.02)
    # Without bf16, onnxruntime's int8 is tried too.
    kept = [*(folder.parent / "models/converted").glob("*-*/rejected.json")]
    assert len(made) == len(kept) == (1 if openvino.has_bf16() else 2)
    assert all(len(list(each.parent.iterdir())) == 1 for each in kept)


@needs_openvino
def test_a_failed_check_of_a_named_precision_raises_model_error(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend_to_convert(monkeypatch, model=other_model)
    encoder = load(folder)
    before = encoder.encode_images(images(5))
    with pytest.raises(ModelError, match=r"(?s)different vectors.*Use precision auto"):
        encoder.accelerate("int8", 100, sample)
    np.testing.assert_array_equal(encoder.encode_images(images(5)), before)


@needs_openvino
def test_too_few_images_for_a_check_raise_model_error(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = pretend_to_convert(monkeypatch)
    for few in (0, 10):
        with pytest.raises(ModelError, match=r"(?i)too few images"):
            load(folder).accelerate("int8", 100, lambda n, few=few: images(few))
        assert (
            "too few" in load(folder).accelerate("auto", 10_000, lambda n, few=few: images(few)).why
        )
    assert not made


@needs_openvino
@pytest.mark.parametrize("damage", [b"", b"<net", b"not xml"])
def test_a_broken_conversion_is_made_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch, damage: bytes
) -> None:
    made = pretend_to_convert(monkeypatch)
    load(folder).accelerate("int8", 100, sample)
    (path,) = (folder.parent / "models/converted").glob("int8-*/model.xml")
    path.write_bytes(damage)
    assert load(folder).accelerate("int8", 100, sample).precision == "int8"
    assert len(made) == 2


@needs_openvino
def test_a_folder_that_cannot_be_written_falls_back(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    has_converters(monkeypatch, True)
    (folder.parent / "models").write_text("a file where the folder should be")
    encoder = load(folder)
    chosen = encoder.accelerate("auto", 10_000, sample)
    assert chosen.precision in ("bf16", "fp32") and "read-only" in chosen.why
    with pytest.raises(ModelError, match="read-only"):
        encoder.accelerate("int8", 10_000, sample)


@needs_openvino
def test_a_failing_converter_is_named_in_the_error(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    has_converters(monkeypatch, True)
    monkeypatch.setattr(sys, "executable", "false")
    encoder = load(folder)
    with pytest.raises(ModelError, match="could not be converted"):
        encoder.accelerate("int8", 100, sample)
    assert "could not be converted" in encoder.accelerate("auto", 10_000, sample).why
    assert not list((folder.parent / "models/converted").glob("int8-*"))


@needs_openvino
def test_int8_without_nncf_raises_an_error_that_names_the_extra(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    has_converters(monkeypatch, False)
    with pytest.raises(MissingExtraError, match=r"pixseek\[int8\]"):
        load(folder).accelerate("int8", 100, none)
    assert "pixseek[int8]" in load(folder).accelerate("auto", 10_000, none).why


# ------------------------------------------------------------------ int8 without VNNI


def test_without_vnni_onnxruntime_computes_in_int8(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_vnni(monkeypatch, False)
    with_bf16(monkeypatch, False)
    monkeypatch.setattr(int8, "FASTER", 0)  # such a small model is never faster
    encoder = load(folder, threads=2)
    batch = images(30, seed=3)
    wanted = encoder.encode_images(batch)
    for count in (acceleration.DYNAMIC_FROM, acceleration.DYNAMIC_CHECK_FROM):
        encoder = load(folder, threads=2)
        chosen = encoder.accelerate("auto", count, sample)
        assert (chosen.runtime, chosen.precision, chosen.images) == ("onnxruntime", "int8", 128)
        assert "times as fast" in chosen.why
        assert (encoder.streams, encoder.batch_size) == (2, 1)
    assert encoder.accelerate("auto", 10_000, none) == chosen  # not checked again
    found = encoder.encode_images(batch)
    assert int8.agreement(wanted, found).median > 0.99
    alone = np.concatenate([encoder.encode_images(each[None]) for each in batch])
    np.testing.assert_array_equal(found, alone)
    (kept,) = (folder.parent / "models/converted").glob("dynamic-*")
    assert [path.name for path in kept.iterdir()] == ["model.onnx"]


def test_without_openvino_a_named_int8_runs_in_onnxruntime(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_openvino(monkeypatch)
    encoder = load(folder)
    assert encoder.accelerate("int8", 3, none).precision == "fp32"
    chosen = encoder.accelerate("int8", 100, sample)
    assert (chosen.runtime, chosen.precision) == ("onnxruntime", "int8")


def test_int8_that_is_not_faster_is_not_used_and_not_tried_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_vnni(monkeypatch, False)
    with_bf16(monkeypatch, False)
    monkeypatch.setattr(int8, "FASTER", 1e9)
    compare_in_this_process(monkeypatch)
    encoder = load(folder)
    before = encoder.encode_images(images(5))
    chosen = encoder.accelerate("auto", 10_000, sample)
    assert (chosen.runtime, chosen.precision) == ("onnxruntime", "fp32")
    assert "no faster here" in chosen.why and "times as long" in chosen.why
    np.testing.assert_allclose(encoder.encode_images(images(5)), before, atol=1e-6)
    assert "tried before" in load(folder).accelerate("auto", 10_000, none).why


def test_a_broken_conversion_for_onnxruntime_is_made_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_openvino(monkeypatch)
    compare_in_this_process(monkeypatch)
    load(folder).accelerate("int8", 100, sample)
    (path,) = (folder.parent / "models/converted").glob("dynamic-*/model.onnx")
    for damage in (b"", path.read_bytes()[:-40]):
        path.write_bytes(damage)
        assert load(folder).accelerate("int8", 100, sample).precision == "int8"
        assert path.stat().st_size > len(damage)


@pytest.mark.parametrize(
    ("text", "has"),
    [
        ("processor : 0\nflags : fpu avx2 avx512f avx512_vnni\n", True),
        ("processor : 0\nflags : fpu avx2 avx_vnni\n", True),
        ("processor : 0\nflags : fpu avx2 avx512f\n", False),
        ("processor : 0\nFeatures : asimd\n", True),
        (None, True),
    ],
)
def test_vnni_is_read_from_the_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None, has: bool
) -> None:
    monkeypatch.setattr(int8, "_CPUINFO", tmp_path / "cpuinfo")
    if text is not None:
        (tmp_path / "cpuinfo").write_text(text)
    assert int8.has_vnni() is has


@needs_nncf
@pytest.mark.slow  # the quick tier's environment has no NNCF
def test_nncf_converts_the_tiny_model(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_vnni(monkeypatch, True)
    # Vectors of eight numbers from one layer leave little room for rounding.
    monkeypatch.setattr(int8, "LEAST", 0.7)
    monkeypatch.setattr(int8, "RANKS", 0.7)
    encoder = load(folder)
    batch = images(30, seed=3)
    wanted = encoder.encode_images(batch)
    chosen = encoder.accelerate("int8", 100, sample)
    assert (chosen.runtime, chosen.precision, chosen.images) == ("openvino", "int8", 128)
    assert 0.98 < chosen.cosine_median < 1 and chosen.rank_agreement < 1
    assert ((encoder.encode_images(batch) * wanted).sum(1) > 0.8).all()
    assert "nncf" not in sys.modules
    (kept,) = (folder.parent / "models/converted").glob("int8-*")
    assert {path.name for path in kept.iterdir()} == {"model.xml", "model.bin"}


@needs_nncf
@pytest.mark.slow  # the quick tier's environment has no NNCF
def test_the_converter_loads_no_telemetry(folder: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "images.npy", images(2))
    code = (
        "import sys; from pixseek.encoders.runtimes import quantise\n"
        "quantise.main(*sys.argv[1:])\n"
        "import nncf.telemetry.wrapper as wrapper\n"
        "print(sys.modules['openvino_telemetry'], hasattr(wrapper, 'Telemetry'))"
    )
    graph = folder / "onnx/vision_model.onnx"
    arguments = [str(graph), str(tmp_path / "o.xml"), "pixel_values", str(tmp_path / "images.npy")]
    run = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True
    )
    assert run.stdout.strip().endswith("None False")


def pretend_to_convert(
    monkeypatch: pytest.MonkeyPatch,
    watch: Callable[[np.ndarray], None] = lambda images: None,
    model: Callable[[Path], Path] = lambda path: path,
) -> list[Path]:
    """Make the converter write a model in fp32 at once; return the models it was given."""
    import openvino as ov

    compare_in_this_process(monkeypatch)
    made: list[Path] = []

    def run(converter: str, path: str, out: str, name: str = "", given: str = "") -> None:
        made.append(Path(path))
        if converter == "quantise_dynamic":
            Path(out).write_bytes(model(Path(path)).read_bytes())
            return
        assert converter == "quantise"
        watch(np.load(given))
        ov.save_model(ov.Core().read_model(model(Path(path))), out, compress_to_fp16=False)

    monkeypatch.setattr(conversion, "run", run)
    has_converters(monkeypatch, True)
    with_vnni(monkeypatch, True)
    monkeypatch.setattr(int8, "FASTER", 0)  # nothing is really converted
    return made


def compare_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the reference without a process of its own, which takes .4 s to start."""
    monkeypatch.setattr(reference, "run", lambda _, *arguments: reference.main(*arguments))


def has_converters(monkeypatch: pytest.MonkeyPatch, has: bool) -> None:
    monkeypatch.setattr(int8.Conversion, "installed", lambda _: has)


def with_vnni(monkeypatch: pytest.MonkeyPatch, has: bool) -> None:
    monkeypatch.setattr(int8, "has_vnni", lambda: has)


def other_model(path: Path) -> Path:
    """A tower of the same interface that gives different vectors."""
    import onnx
    from onnx import numpy_helper

    model = onnx.load(path)
    weights = np.random.default_rng(9).standard_normal((12, DIM)).astype(np.float32)
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(weights, "w"))
    onnx.save(model, path.with_name("other.onnx"))
    return path.with_name("other.onnx")


# ------------------------------------------------------------------ GPUs


def pretend_gpus(
    monkeypatch: pytest.MonkeyPatch, *names: str, starts: Sequence[str] | None = None
) -> list[Any]:
    """Make onnxruntime offer providers, which the CPU then runs; return the ones it is given."""
    compare_in_this_process(monkeypatch)
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [*names, towers.CPU])
    session, asked = onnxruntime.InferenceSession, []

    class Played:
        def __init__(self, path: str, options: Any, providers: list[Any]) -> None:
            asked.append(providers)
            self._first = providers[0] if providers[0] == towers.CPU else providers[0][0]
            self._session = session(path, options, providers=[towers.CPU])
            self.run = self._session.run

        def get_providers(self) -> list[str]:
            started = self._first in (names if starts is None else starts)
            return [self._first, towers.CPU] if started else [towers.CPU]

    monkeypatch.setattr(onnxruntime, "InferenceSession", Played)
    return asked


@pytest.mark.parametrize(
    ("provider", "runtime"),
    [
        ("CUDAExecutionProvider", "onnxruntime CUDA"),
        ("CoreMLExecutionProvider", "onnxruntime CoreML"),
        ("DmlExecutionProvider", "onnxruntime DirectML"),
        ("OpenVINOExecutionProvider", "onnxruntime OpenVINO's GPU"),
    ],
)
def test_a_gpu_is_chosen_for_many_images_after_a_check(
    folder: Path, monkeypatch: pytest.MonkeyPatch, provider: str, runtime: str
) -> None:
    asked = pretend_gpus(monkeypatch, provider)
    encoder = load(folder)
    chosen = encoder.accelerate("auto", 1000, sample)
    assert (chosen.runtime, chosen.precision) == (runtime, "fp32")
    assert chosen.images == int8.CHECKED and chosen.cosine_least > 0.999
    (options,) = [each[0][1] for each in asked if each[0] != towers.CPU]
    assert options.get("device_type") == ("GPU" if "OpenVINO" in provider else None)
    assert encoder.streams == 1 and encoder.batch_size >= 8
    assert encoder.encode_images(images(20)).shape == (20, DIM)


def test_a_gpu_is_not_started_for_a_few_images(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend_gpus(monkeypatch, "CUDAExecutionProvider")
    chosen = load(folder).accelerate("auto", 20, none)
    assert "CUDA" not in chosen.runtime and "CUDA" in chosen.why


def test_a_gpu_that_does_not_start_is_reported(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = ("CUDAExecutionProvider", "OpenVINOExecutionProvider")
    pretend_gpus(monkeypatch, *both, starts=())
    chosen = load(folder).accelerate("fp32", 1000, sample)
    assert chosen.runtime == "onnxruntime" and "could not start CUDA" in chosen.why
    assert "could not start OpenVINO's GPU" in chosen.why
    pretend_gpus(monkeypatch, *both, starts=both[1:])
    chosen = load(folder).accelerate("fp32", 1000, sample)
    assert "OpenVINO's GPU" in chosen.runtime, "if the first does not start, the second may"
    assert "could not start CUDA" in chosen.why


def test_a_gpu_with_different_vectors_is_not_used(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend_gpus(monkeypatch, "CoreMLExecutionProvider")
    run = towers.OnnxTower.run

    def other(self: towers.OnnxTower, feeds: towers.Feeds) -> np.ndarray:
        rows = run(self, feeds)
        return rows if self._provider == towers.CPU else rows[:, ::-1]

    monkeypatch.setattr(towers.OnnxTower, "run", other)
    chosen = load(folder).accelerate("fp32", 1000, sample)
    assert "CoreML" not in chosen.runtime and "CoreML gave different vectors" in chosen.why


class Clock:
    """A clock that advances only by the work done."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_the_batch_grows_while_that_is_faster() -> None:
    clock = Clock()

    def run(n: int) -> None:
        clock.now += max(n, 32)  # above 32, twice the images take twice as long

    assert gpus.best_batch(run, clock) == 32


def test_the_batch_stays_below_the_size_that_does_not_fit() -> None:
    clock = Clock()

    def run(n: int) -> None:
        if n > 16:
            raise ModelError("a model failed to run", "m", "out of memory")
        clock.now += 1

    assert gpus.best_batch(run, clock) == 16


# ------------------------------------------------------------------ the reference


def test_the_reference_in_another_process_gives_the_same_rows(folder: Path) -> None:
    files = layouts.read(folder)
    output = files.visual.embedding
    assert output is not None and files.visual.image is not None
    batch = {files.visual.image.name: images(19)}
    apart = reference.ReferenceTower(files.visual, output, 19, 2)
    assert apart.batch_size == 19
    here = towers.OnnxTower(files.visual, output)
    np.testing.assert_allclose(apart.run(batch), here.run(batch), rtol=1e-6, atol=1e-6)


def test_a_failing_reference_raises_an_error_with_the_reason(folder: Path) -> None:
    files = layouts.read(folder)
    output = files.visual.embedding
    assert output is not None
    with pytest.raises(ModelError, match="nonsense"):
        reference.ReferenceTower(files.visual, output, 1, 1).run({"nonsense": images(1)})


# ------------------------------------------------------------------ the copy of the text tower


def opened_text(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    opened: list[Path] = []
    session = onnxruntime.InferenceSession

    def open_session(path: str, *rest: object, **more: object) -> object:
        opened.append(Path(path))
        return session(path, *rest, **more)

    monkeypatch.setattr(onnxruntime, "InferenceSession", open_session)
    return opened


def test_small_text_towers_are_not_copied(folder: Path) -> None:
    load(folder).accelerate("fp32", 100, none)
    assert not list((folder.parent / "models").glob("converted/text-*"))


def test_a_search_after_indexing_opens_the_copy(
    folder: Path, monkeypatch: pytest.MonkeyPatch, small_is_worth_it: None
) -> None:
    wanted = load(folder).encode_texts(["a red dog", "the beach"])
    load(folder).accelerate("fp32", 100, none)
    (copy,) = (folder.parent / "models/converted").glob("text-*")
    assert {path.name for path in copy.iterdir()} == {"model.onnx", "weights.bin", "sizes.json"}
    opened = opened_text(monkeypatch)
    np.testing.assert_array_equal(load(folder).encode_texts(["a red dog", "the beach"]), wanted)
    assert opened == [copy / "model.onnx"]


def test_a_search_makes_no_copy(folder: Path, small_is_worth_it: None) -> None:
    load(folder).encode_texts(["a dog"])
    assert not (folder.parent / "models/converted").exists()


@pytest.mark.parametrize("name", ["model.onnx", "weights.bin", "sizes.json"])
@pytest.mark.parametrize("damage", ["missing", "short", "other"])
def test_a_broken_copy_is_ignored_and_made_again(
    folder: Path, small_is_worth_it: None, name: str, damage: str
) -> None:
    wanted = load(folder).encode_texts(["a red dog"])
    load(folder).accelerate("fp32", 100, none)
    (copy,) = (folder.parent / "models/converted").glob("text-*")
    path = copy / name
    whole = path.read_bytes()
    if damage == "missing":
        path.unlink()
    elif name == "weights.bin":  # its content is not checked, only its length
        path.write_bytes(whole[:-1])
    else:
        path.write_bytes(whole[: len(whole) // 2] if damage == "short" else b"x" * len(whole))
    np.testing.assert_array_equal(load(folder).encode_texts(["a red dog"]), wanted)
    load(folder).accelerate("fp32", 100, none)
    assert load(folder).encode_texts(["a red dog"]).tobytes() == wanted.tobytes()


def test_a_changed_text_tower_has_another_copy(folder: Path, small_is_worth_it: None) -> None:
    load(folder).accelerate("fp32", 100, none)
    tiny_models.text_graph(folder / "onnx/text_model.onnx", mask=False, vocabulary=600)
    wanted = load(folder).encode_texts(["a red dog"])
    load(folder).accelerate("fp32", 100, none)
    assert len(list((folder.parent / "models/converted").glob("text-*"))) == 2
    np.testing.assert_array_equal(load(folder).encode_texts(["a red dog"]), wanted)


def test_a_copy_that_cannot_be_written_is_skipped(folder: Path, small_is_worth_it: None) -> None:
    (folder.parent / "models").mkdir()
    (folder.parent / "models/converted").write_text("a file where the folder should be")
    encoder = load(folder)
    encoder.accelerate("fp32", 100, none)
    assert encoder.encode_texts(["a dog"]).shape == (1, DIM)


def test_the_recorded_sizes_are_those_of_the_files(folder: Path, small_is_worth_it: None) -> None:
    load(folder).accelerate("fp32", 100, none)
    (copy,) = (folder.parent / "models/converted").glob("text-*")
    sizes = json.loads((copy / "sizes.json").read_text())
    assert sizes == {name: (copy / name).stat().st_size for name in ("model.onnx", "weights.bin")}
    assert sizes["weights.bin"] > 0


@needs_openvino
@pytest.mark.parametrize(
    ("has_bf16", "expected"),
    [
        pytest.param(True, ("openvino", "bf16", 0), marks=needs_bf16),
        (False, ("onnxruntime", "fp32", 0)),
    ],
)
def test_a_run_for_a_few_new_images_uses_no_int8_and_gives_the_reason(
    folder: Path, monkeypatch: pytest.MonkeyPatch, has_bf16: bool, expected: tuple[str, str, int]
) -> None:
    with_bf16(monkeypatch, has_bf16)
    chosen = load(folder).accelerate("int8", 3, none)
    assert (chosen.runtime, chosen.precision, chosen.images) == expected
    assert "too few images" in chosen.why


@needs_openvino
def test_a_run_for_a_few_images_does_not_keep_the_next_from_int8(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend_to_convert(monkeypatch)
    encoder = load(folder)
    assert encoder.accelerate("int8", 3, none).precision != "int8"
    assert encoder.accelerate("int8", 100, sample).precision == "int8"
    assert encoder.accelerate("int8", 3, none).precision == "int8"


@needs_bf16
def test_a_second_run_keeps_the_tower_of_the_first(folder: Path) -> None:
    encoder = load(folder)
    first = encoder.accelerate("auto", 100, none)
    tower = encoder._visual
    assert encoder.accelerate("auto", 200, none) == first
    assert encoder._visual is tower
    encoder.accelerate("fp32", 100, none)
    assert encoder._visual is not tower


def test_a_second_run_in_fp32_finds_the_tower_open(folder: Path) -> None:
    encoder = load(folder)
    opened = encoder._visual
    encoder.accelerate("fp32", 100, none)
    assert encoder._visual is not opened, "that one used all cores for a call"
    encoder.encode_images(images(2))
    tower = encoder._visual
    assert isinstance(tower, OnnxTower) and tower._session is not None
    assert encoder.accelerate("fp32", 5, none).precision == "fp32"
    assert encoder._visual is tower
