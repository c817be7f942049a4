"""The package's functions: names, loading, describing; digests; and a real model."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from importlib.metadata import EntryPoint
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pixseek import encoders
from pixseek.encoders import layouts, torch
from pixseek.encoders.hub import catalogue, repository
from pixseek.encoders.hub.catalogue import Model
from pixseek.encoders.hub.consent import Consents
from pixseek.encoders.hub.digests import Digests
from pixseek.encoders.paired import PairedEncoder
from pixseek.errors import MissingExtraError, ModelError
from pixseek.types import Encoder, Picture

import tiny_models


def test_unknown_names_raise_an_error_that_suggests_the_nearest(tmp_path: Path) -> None:
    for ask in (
        lambda: encoders.load("clip-b32-openal", models_dir=tmp_path),
        lambda: encoders.locate("clip-b32-openal", tmp_path),
        lambda: encoders.describe("clip-b32-openal", tmp_path),
    ):
        with pytest.raises(ModelError) as caught:
            ask()
        assert "Did you mean 'clip-b32-openai'?" in caught.value.advice
        assert all(name in caught.value.advice for name in encoders.names())


@pytest.mark.parametrize("name", ["./nowhere", "~/nowhere-at-all", "models/nowhere", Path("gone")])
def test_a_missing_folder_raises_model_error(tmp_path: Path, name: str | Path) -> None:
    with pytest.raises(ModelError, match=r"(?i)no such folder"):
        encoders.load(name, models_dir=tmp_path)


def test_a_file_in_place_of_a_folder_raises_model_error(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").touch()
    with pytest.raises(ModelError, match=r"(?i)not a folder"):
        encoders.load(tmp_path / "model.onnx", models_dir=tmp_path)


def test_a_folder_in_the_current_folder_needs_no_slash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny_models.xenova(tmp_path / "mine")
    monkeypatch.chdir(tmp_path)
    encoder = encoders.load("mine", models_dir=tmp_path)
    monkeypatch.chdir("/")
    assert encoder.name == "mine" and encoder.encode_texts(["a dog"]).shape == (1, 8)


def test_a_folder_is_described_without_loading_it(layout: str, model_folder: Path) -> None:
    found = encoders.describe(model_folder, model_folder.parent)
    assert (found.layout, found.dim, found.input_side) == (layout, 8, 16)
    assert found.folder == model_folder == encoders.locate(model_folder, model_folder.parent)


NAMES = [
    f"{model.alias}{suffix}"
    for model in catalogue.CATALOGUE
    for suffix in ("", ":torch")
    if not suffix or model.sources[1:]
]


@pytest.mark.parametrize("name", NAMES)
def test_every_row_of_the_catalogue_is_complete(tmp_path: Path, name: str) -> None:
    model = catalogue.find(name)
    assert model and model.alias == name and model.description.endswith(".") and model.licence
    found = encoders.describe(name, tmp_path)
    assert (found.dim, found.layout) == (
        model.dim, model.source.layout if model.sources else model.layout,
    )  # fmt: skip
    if model.folder:
        return
    assert found.layout in layouts.EXPECTED | torch.EXPECTED
    assert found.folder is None and found.download_bytes == model.size + (
        catalogue.find(model.images).size if model.images else 0
    )
    assert bool(model.quality) == bool(model.quality_source)
    assert ("NC" in model.licence or "only" in model.licence) <= model.restricted
    for source in model.sources:
        assert source.runtime == model.source.runtime or ":" not in name
        assert len(source.revision) in (0, 40) and (not source.files or source.revision)
        assert all(len(file.sha256) in (0, 64) for file in source.files)
    if model.source.files:
        for file in model.source.files:
            path = tmp_path / model.folder_name / file.path
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as sparse:
                sparse.truncate(file.size)
        assert layouts.layout_of(tmp_path / model.folder_name) == model.source.layout
        assert encoders.locate(name, tmp_path) == tmp_path / model.folder_name
        assert encoders.describe(name, tmp_path).download_bytes == 0


def test_the_name_selects_the_runtime_of_a_model(tmp_path: Path) -> None:
    assert catalogue.find("clip-b32-openai:onnx") is catalogue.find("clip-b32-openai")
    other = catalogue.find("clip-b32-openai:torch")
    assert other and other.source.repo == "openai/clip-vit-base-patch32"
    assert other.folder_name == "clip-b32-openai-torch"
    assert catalogue.find("pe-core-b:onnx") is None and catalogue.find("demo:torch") is None
    found = encoders.describe("clip-b32-openai:torch", tmp_path)
    assert (found.name, found.layout) == ("clip-b32-openai:torch", "transformers")


def test_a_text_tower_loads_the_model_of_its_images_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny_models.xenova(tmp_path / "images")
    tiny_models.immich(tmp_path / "texts")
    images = Model("images", "Images.", (), "MIT", 8, 16, 10, folder=tmp_path / "images")
    texts = replace(images, alias="both", folder=tmp_path / "texts", images="images")
    monkeypatch.setattr(catalogue, "CATALOGUE", (images, texts))
    both = encoders.load("both", models_dir=tmp_path)
    assert isinstance(both, PairedEncoder) and isinstance(both, Encoder)
    alone = encoders.load("images", models_dir=tmp_path)
    assert both.name == "both" and both.fingerprint == alone.fingerprint
    wanted = encoders.load(tmp_path / "texts", models_dir=tmp_path).encode_texts(["a red dog"])
    np.testing.assert_array_equal(both.encode_texts(["a red dog"]), wanted)
    picture = Picture(Image.new("RGB", (40, 30), "red"), 40, 30, "")
    batch = both.prepare(picture)[None]
    np.testing.assert_array_equal(both.encode_images(batch), alone.encode_images(batch))
    chosen = both.accelerate("fp32", 1, lambda n: batch[:n])
    assert chosen.precision == "fp32" and both.streams >= 1
    monkeypatch.setattr(catalogue, "CATALOGUE", (replace(images, folder=tmp_path / "no"), texts))
    assert encoders.locate("both", tmp_path) is None


def test_without_torch_no_torch_model_is_downloaded(tmp_path: Path) -> None:
    if find_spec("torch") is None:
        with pytest.raises(MissingExtraError, match=r"pixseek\[torch\]"):
            encoders.load("pe-core-b", models_dir=tmp_path)


def test_a_licence_is_accepted_once(tmp_path: Path) -> None:
    assert encoders.accept_licence("mobileclip2-s0", tmp_path).startswith("research only")
    assert Consents(tmp_path).given(
        "licence", repository.licence_of(catalogue.find("mobileclip2-s0"))
    )
    assert encoders.accept_licence("clip-b32-openai", tmp_path) == "MIT"
    for ask in (encoders.accept_licence, encoders.fetch, encoders.remove):
        with pytest.raises(ModelError, match="mobileclip2-s0"):
            ask("mobileclip2-s1", tmp_path)
    with pytest.raises(ModelError, match="comes with pixseek"):
        encoders.remove("demo", tmp_path)
    assert encoders.remove("mobileclip2-s0", tmp_path) == 0


def test_a_missing_model_is_described_with_the_size_of_its_download(tmp_path: Path) -> None:
    found = encoders.describe(encoders.DEFAULT, tmp_path)
    assert found.folder is None and found.download_bytes > 600_000_000
    assert found.note == "" and found.licence == "MIT"
    assert encoders.describe("demo", tmp_path).note.startswith("The demo model knows drawn scenes")


def offer(monkeypatch: pytest.MonkeyPatch, target: str) -> None:
    entry = EntryPoint("theirs", target, encoders.ENTRY_POINTS)
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: [entry])


def their_encoder(**arguments: object) -> object:
    return arguments


def their_failure(**arguments: object) -> object:
    raise ZeroDivisionError("in their code")


def test_other_packages_offer_encoders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, "test_encoders:their_encoder")
    assert encoders.names()[-1] == "theirs"
    loaded = encoders.load("theirs", models_dir=tmp_path, threads=3, offline=True)
    assert loaded == {
        "models_dir": tmp_path,
        "offline": True,
        "threads": 3,
        "on_progress": None,
    }
    assert encoders.locate("theirs", tmp_path) is None
    assert encoders.describe("theirs", tmp_path).name == "theirs"


@pytest.mark.parametrize("target", ["test_encoders:their_failure", "no_such_module:x"])
def test_failures_of_other_packages_become_model_errors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str
) -> None:
    offer(monkeypatch, target)
    with pytest.raises(ModelError, match=r"(?i)theirs") as caught:
        encoders.load("theirs", models_dir=tmp_path)
    assert caught.value.__cause__ is not None


def test_importing_encoders_imports_no_heavy_package() -> None:
    heavy = "{'numpy', 'PIL', 'onnxruntime', 'tokenizers', 'huggingface_hub', 'filelock', 'tqdm'}"
    program = f"import sys, pixseek.encoders as e; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("[]\n", "")


# ------------------------------------------------------------------ digests


def test_a_digest_is_computed_once_and_again_after_the_file_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "models/a/b.onnx"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"one")
    taken = []
    file_digest = hashlib.file_digest

    def spy(file: object, kind: str) -> object:
        taken.append(kind)
        return file_digest(file, kind)  # type: ignore[arg-type]

    monkeypatch.setattr(hashlib, "file_digest", spy)
    digest = hashlib.sha256(b"one").hexdigest()
    assert Digests(tmp_path / "models").of(path) == digest
    assert Digests(tmp_path / "models").of(path) == digest
    assert len(taken) == 1
    path.write_bytes(b"two")
    os.utime(path, ns=(1, 1))
    assert Digests(tmp_path / "models").of(path) == hashlib.sha256(b"two").hexdigest()
    assert len(taken) == 2
    # Container images keep only whole seconds.
    os.utime(path, ns=(5_000_000_007, 5_000_000_007))
    assert Digests(tmp_path / "models").of(path) == hashlib.sha256(b"two").hexdigest()
    os.utime(path, ns=(5_000_000_000, 5_000_000_000))
    assert Digests(tmp_path / "models").of(path) == hashlib.sha256(b"two").hexdigest()
    assert len(taken) == 3
    # The folder keeps its digests when it is moved.
    (tmp_path / "models").rename(tmp_path / "elsewhere")
    moved = tmp_path / "elsewhere/a/b.onnx"
    assert Digests(tmp_path / "elsewhere").of(moved) == hashlib.sha256(b"two").hexdigest()
    assert len(taken) == 3


@pytest.mark.parametrize("kept", ["", "[]", '{"x": 1}', "\x00"])
def test_a_damaged_list_of_digests_is_replaced(tmp_path: Path, kept: str) -> None:
    (tmp_path / "x").write_bytes(b"one")
    (tmp_path / "digests.json").write_text(kept)
    assert Digests(tmp_path).of(tmp_path / "x") == hashlib.sha256(b"one").hexdigest()
    assert "x" in json.loads((tmp_path / "digests.json").read_text())


def test_models_load_if_nothing_can_be_written(tmp_path: Path) -> None:
    tiny_models.xenova(tmp_path / "m")
    (tmp_path / "file").touch()  # not even root can make a folder below a file
    encoder = encoders.load(tmp_path / "m", models_dir=tmp_path / "file/models")
    assert len(encoder.fingerprint) == 64


# ------------------------------------------------------------------ the demo model


def test_the_demo_model_loads_without_a_network(tmp_path: Path) -> None:
    model = catalogue.find("demo")
    assert model and model.folder
    if not model.folder.is_dir():
        with pytest.raises(ModelError, match=r"comes with pixseek is missing"):
            encoders.load("demo", models_dir=tmp_path, offline=True)
        return
    encoder = encoders.load("demo", models_dir=tmp_path, offline=True)
    assert (encoder.name, encoder.dim, encoder.input_side) == ("demo", model.dim, model.input_side)
    assert encoder.note == "The demo model knows drawn scenes only, not photographs."
    files = layouts.read(model.folder)
    assert (files.layout, files.text.context) == (model.layout, model.context)
    assert encoder.encode_texts(["a red circle"]).shape == (1, model.dim)


# ------------------------------------------------------------------ a real model


@pytest.fixture(scope="module")
def real(photo_mini: Path, tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    return encoders.load(photo_mini, models_dir=tmp_path_factory.mktemp("models"))


def test_a_real_model_is_as_described(photo_mini: Path, real: Encoder, tmp_path: Path) -> None:
    assert (real.name, real.dim, real.input_side) == ("photo-mini", 384, 224)
    found = encoders.describe(photo_mini, tmp_path)
    assert (found.layout, found.dim, found.input_side, found.context) == ("immich", 384, 224, 64)


def test_a_real_text_has_the_same_vector_alone_and_with_longer_ones(real: Encoder) -> None:
    texts = ["a dog", "two children play football on a green field while their parents watch"]
    together = real.encode_texts(texts)
    alone = np.concatenate([real.encode_texts([text]) for text in texts])
    np.testing.assert_allclose(together, alone, atol=2e-4)  # half precision inside


@pytest.mark.slow
def test_real_recall_equals_the_published(photos: Path, real: Encoder) -> None:
    """The published text-to-image recall@10 over 1,000 photos and 5,000 captions is .678."""
    with (photos / "captions.tsv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    names = sorted({row["file"] for row in rows})
    images = np.empty((len(names), real.dim), np.float32)
    start = time.perf_counter()
    for at in range(0, len(names), real.batch_size):
        batch = []
        for name in names[at : at + real.batch_size]:
            with Image.open(photos / name) as image:
                pixels = image.convert("RGB")
            batch.append(real.prepare(Picture(pixels, *pixels.size, "image/jpeg")))
        images[at : at + len(batch)] = real.encode_images(np.stack(batch))
    image_s = time.perf_counter() - start
    start = time.perf_counter()
    texts = real.encode_texts([row["caption"] for row in rows])
    text_s = time.perf_counter() - start
    scores = texts @ images.T
    right = np.array([names.index(row["file"]) for row in rows])
    own = scores[np.arange(len(rows)), right][:, None]
    rank = (scores > own).sum(1)
    recall = {k: float((rank < k).mean()) for k in (1, 5, 10)}
    print(f"\nrecall {recall}; {1000 / image_s:.0f} images/s, {5000 / text_s:.0f} texts/s")
    assert len(rows) == 5000 and len(names) == 1000
    assert recall[10] == pytest.approx(0.678, abs=0.01)
