"""Properties of every torch model, tested on a small CLIP."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pixseek import encoders
from pixseek.encoders import benchmark
from pixseek.encoders.paired import PairedEncoder
from pixseek.encoders.torch import TorchEncoder, devices
from pixseek.errors import MissingExtraError, ModelError
from pixseek.types import Accelerable, Encoder, Picture

import reference as ref
from reference import SIDE, torch, transformers

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("encoder") / "clip"
    tower = {"hidden_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4,
             "intermediate_size": 128}  # fmt: skip
    tokenizer = ref.clip_tokenizer()
    images = ref.image_processor("CLIPImageProcessor")(
        size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE}
    )
    config = transformers.CLIPConfig(
        text_config=tower | {"vocab_size": len(tokenizer)},
        vision_config=tower | {"image_size": SIDE, "patch_size": 16},
        projection_dim=32,
    )
    for part in (ref.wide(transformers.CLIPModel(config)), tokenizer, images):
        part.save_pretrained(folder)
    return folder


@pytest.fixture
def encoder(folder: Path) -> TorchEncoder:
    found = ref.loaded(folder)
    assert isinstance(found, TorchEncoder)
    return found


@pytest.fixture(scope="module")
def sample() -> np.ndarray:
    """130 different smooth pictures, prepared for CLIP."""
    random = np.random.default_rng(5)
    coarse = random.standard_normal((130, 3, 4, 4)).astype(np.float32)
    return np.repeat(np.repeat(coarse, SIDE // 4, 2), SIDE // 4, 3)


def test_a_torch_encoder_fulfils_the_encoder_protocol(encoder: TorchEncoder) -> None:
    assert isinstance(encoder, Encoder) and isinstance(encoder, Accelerable)
    assert encoder.input_side == SIDE and encoder.streams == 1 and encoder.batch_size >= 1
    assert encoder.encode_texts([]).shape == (0, 32)
    assert encoder.encode_images(np.empty((0, 3, SIDE, SIDE), np.float32)).shape == (0, 32)
    with pytest.raises(ModelError, match="not prepared for this model"):
        encoder.encode_images(np.zeros((2, 3, 8, 8), np.float32))


def test_torch_is_not_imported_before_a_tower_is_used(folder: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from pixseek import encoders\n"
        f"found = encoders.load(Path({str(folder)!r}), models_dir=Path({str(folder)!r}))\n"
        f"encoders.describe(Path({str(folder)!r}), Path({str(folder)!r}))\n"
        "assert found.dim == 32 and 'torch' not in sys.modules, 'torch was imported'\n"
        "assert 'transformers' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_many_threads_get_the_vectors_of_one(encoder: TorchEncoder, sample: np.ndarray) -> None:
    wanted = encoder.encode_images(sample)
    found: dict[int, Any] = {}

    def work(n: int) -> None:
        found[n] = encoder.encode_images(sample[n::4])

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for n in range(4):
        assert abs(found[n] - wanted[n::4]).max() <= 1e-5


def test_the_fingerprint_depends_on_weights_architecture_and_preprocessing(
    folder: Path, tmp_path: Path
) -> None:
    first = ref.loaded(folder).fingerprint
    assert ref.loaded(folder).fingerprint == first

    def changed(name: str, key: str, value: Any, inside: str = "") -> str:
        copy = tmp_path / f"{name}-{key}"
        shutil.copytree(folder, copy)
        whole = json.loads((copy / name).read_text())
        (whole[inside] if inside else whole)[key] = value
        (copy / name).write_text(json.dumps(whole))
        return str(ref.loaded(copy).fingerprint)

    assert changed("config.json", "hidden_act", "gelu", "vision_config") != first
    assert changed("preprocessor_config.json", "resample", 2) != first
    assert changed("config.json", "transformers_version", "4.0.0") == first
    assert changed("config.json", "bos_token_id", 7, "text_config") == first
    other = tmp_path / "other"
    shutil.copytree(folder, other)
    model = transformers.CLIPModel.from_pretrained(folder)
    with torch.no_grad():
        model.visual_projection.weight += 1
    model.save_pretrained(other)
    assert ref.loaded(other).fingerprint != first


def test_missing_weights_raise_an_error(folder: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    shutil.copytree(folder, tmp_path / "lacking")
    file = tmp_path / "lacking/model.safetensors"
    weights = load_file(file)
    del weights["visual_projection.weight"]
    save_file(weights, file, {"format": "pt"})
    with pytest.raises(ModelError, match=r"(?s)lacks weights.*visual_projection"):
        ref.loaded(tmp_path / "lacking").encode_texts(["a"])
    file.write_bytes(file.read_bytes()[:5000])
    with pytest.raises(ModelError, match="can't be opened"):
        ref.loaded(tmp_path / "lacking").encode_texts(["a"])


def test_an_unknown_kind_of_model_raises_an_error_that_lists_the_known(
    folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(folder, tmp_path / "other")
    config = json.loads((tmp_path / "other/config.json").read_text()) | {"model_type": "blip"}
    (tmp_path / "other/config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match=r"(?s)'blip'.*Known model_types: .*siglip2"):
        ref.loaded(tmp_path / "other")


def test_without_torch_the_error_names_the_extra_to_install(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pixseek.encoders.torch import encoder as module

    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pixseek\[torch\]"):
        ref.loaded(folder)


def test_a_text_tower_of_another_model_pairs_if_the_lengths_agree(
    folder: Path, encoder: TorchEncoder
) -> None:
    texts = ref.loaded(folder)
    both = PairedEncoder(encoder, texts, name="both")
    assert isinstance(both, Encoder) and both.fingerprint == encoder.fingerprint
    np.testing.assert_array_equal(both.encode_texts(["a dog"]), texts.encode_texts(["a dog"]))
    small = encoders.load("demo", models_dir=folder.parent / "models")
    with pytest.raises(ModelError, match="different lengths"):
        PairedEncoder(small, texts, name="both")


# ------------------------------------------------------------------ many images

needs_bf16 = pytest.mark.skipif(
    not devices.cpu_has_bf16() or torch.cuda.is_available(), reason="no bf16 in this CPU"
)


def test_few_images_run_in_fp32_without_a_check(encoder: TorchEncoder) -> None:
    chosen = encoder.accelerate("auto", 10, lambda n: pytest.fail("no need to look"))
    assert (chosen.runtime, chosen.precision) == ("torch", "fp32")


@needs_bf16
def test_bf16_is_checked_on_the_images_and_used(encoder: TorchEncoder, sample: np.ndarray) -> None:
    exact = encoder.encode_images(sample)
    for precision in ("auto", "bf16"):
        chosen = encoder.accelerate(precision, 100_000, lambda n: sample[:n])
        assert (chosen.runtime, chosen.precision, chosen.images) == ("torch", "bf16", 128)
        assert 0.97 <= chosen.cosine_median < 1 and "same results" in chosen.why
        fast = encoder.encode_images(sample)
        assert (fast * exact).sum(1).min() > 0.99 and abs(fast - exact).max() > 1e-5
        assert encoder.encode_texts(["a dog"]).dtype == np.float32
    back = encoder.accelerate("fp32", 100_000, lambda n: pytest.fail("no need to look"))
    assert back.precision == "fp32"
    np.testing.assert_allclose(encoder.encode_images(sample), exact, atol=1e-6)


@needs_bf16
def test_bf16_that_ruins_the_vectors_is_not_used(encoder: TorchEncoder, sample: np.ndarray) -> None:
    # Pictures whose differences are lost in bf16.
    alike = sample[:1] + 1e-4 * sample
    exact = encoder.encode_images(alike)
    chosen = encoder.accelerate("auto", 100_000, lambda n: alike[:n])
    assert chosen.precision == "fp32" and "bf16 gave different vectors" in chosen.why
    np.testing.assert_allclose(encoder.encode_images(alike), exact, atol=1e-6)
    with pytest.raises(ModelError, match="bf16"):
        encoder.accelerate("bf16", 100_000, lambda n: alike[:n])
    few = encoder.accelerate("bf16", 3, lambda n: sample[:3])
    assert few.precision == "fp32" and "too few" in few.why


def test_unavailable_precisions_raise_model_error(
    encoder: TorchEncoder, monkeypatch: pytest.MonkeyPatch, sample: np.ndarray
) -> None:
    with pytest.raises(ModelError, match="int8"):
        encoder.accelerate("int8", 10, lambda n: sample[:n])
    with pytest.raises(ModelError, match="Known precisions"):
        encoder.accelerate("fp4", 10, lambda n: sample[:n])  # type: ignore[arg-type]
    monkeypatch.setattr(devices, "cpu_has_bf16", lambda: False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ModelError, match="can't compute in bf16"):
        encoder.accelerate("bf16", 100_000, lambda n: sample[:n])
    chosen = encoder.accelerate("auto", 100_000, lambda n: sample[:n])
    assert chosen.precision == "fp32" and "no bf16" in chosen.why


def test_a_torch_model_is_measured_in_another_process(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref.make_torchvision_importable(tmp_path, monkeypatch)
    pictures = [Picture(each, *each.size, "image/png") for each in ref.images()]
    found = benchmark.measure(str(folder), pictures, tmp_path)
    assert (found.runtime, found.precision) == ("torch", "fp32"), (
        "too few pictures to check bf16 on"
    )
    assert found.images_per_s > 0 and found.text_ms > 0 and found.first_vector_s > 0
    assert found.peak_mib == 0 or found.peak_mib > 100
    assert benchmark.measurements(tmp_path)[str(folder)] == found


def test_a_compiled_tower_gives_the_same_vectors(folder: Path, sample: np.ndarray) -> None:
    if shutil.which("g++") is None and shutil.which("clang++") is None:
        pytest.skip("torch.compile needs a C++ compiler")
    plain, compiled = ref.loaded(folder), ref.loaded(folder, compiled=True)
    few = compiled.accelerate("fp32", 10, lambda n: pytest.fail("no need to look"))
    assert "compiling pays from" in few.why
    chosen = compiled.accelerate("fp32", 100_000, lambda n: sample[:n])
    assert chosen.why.endswith("; compiled") and chosen.precision == "fp32"
    for some in (sample[:9], sample[:1], sample[:4]):
        assert abs(compiled.encode_images(some) - plain.encode_images(some)).max() <= 1e-4


def test_a_tower_that_fails_to_compile_runs_uncompiled(
    folder: Path, sample: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(tower: Any, dynamic: bool) -> Any:
        def run(batch: Any) -> Any:
            raise RuntimeError("No working C++ compiler found")

        return run

    def spoiling(tower: Any, dynamic: bool) -> Any:
        return lambda batch: tower(batch).flip(1)

    wanted = ref.loaded(folder).encode_images(sample[:9])
    for compiling, said in ((failing, "C++ compiler"), (spoiling, "gave different vectors")):
        monkeypatch.setattr(torch, "compile", compiling)
        encoder = ref.loaded(folder, compiled=True)
        chosen = encoder.accelerate("fp32", 100_000, lambda n: sample[:n])
        assert said in chosen.why
        np.testing.assert_allclose(encoder.encode_images(sample[:9]), wanted, atol=1e-6)
