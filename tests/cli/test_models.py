"""`pixseek models`, without a network."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from pixseek.cli import main, waits
from pixseek.encoders.hub import catalogue
from pixseek.encoders.hub.catalogue import RemoteFile, Source
from pixseek.encoders.hub.pins import RECORD

import tiny_models
from .conftest import Run


@pytest.fixture(autouse=True)
def models_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PIXSEEK_MODELS_DIR", str(tmp_path / "models"))
    monkeypatch.setenv("PIXSEEK_OFFLINE", "1")
    return tmp_path / "models"


@pytest.fixture
def real() -> Run:
    """Run a command line with the encoders that there are: `run` has a tiny one for all names."""
    return lambda *arguments: CliRunner().invoke(main, [str(each) for each in arguments])


def test_the_table_has_every_model_and_marks_local_ones(run: Run) -> None:
    lines = run("models").stdout.splitlines()
    assert len(lines) == len(catalogue.CATALOGUE) + 1
    for line, model in zip(lines[1:], catalogue.CATALOGUE, strict=True):
        assert model.alias in line and model.licence in line and model.languages in line
        assert line.startswith("✓") == (model.alias == "demo")
    (nllb,) = (line for line in lines if "nllb-clip-base" in line)
    assert "XM3600 55.0" in nllb
    assert "64.9" in lines[1] and "39.9" in lines[1] and "608 MB" in lines[1]


def test_json_has_languages_quality_and_sources(run: Run) -> None:
    (found,) = json.loads(run("models", "list", "siglip2-b16-224", "--json").stdout)["models"]
    assert found["languages"] == "109 languages" and found["quality"] == {"COCO": 52.1}
    assert [source["runtime"] for source in found["sources"]] == ["onnx", "torch"]
    assert found["folder"] is None and not found["asks_for_a_yes"]


def test_a_hub_repository_has_a_row(run: Run, models_dir: Path) -> None:
    lines = run("models", "list", "somebody/models").stdout.splitlines()
    assert len(lines) == 2 and "somebody/models" in lines[1] and "✓" not in lines[1]
    tiny_models.xenova(models_dir / "somebody--models")
    pin = {"repo": "somebody/models", "revision": "0" * 40, "licence": "mit", "files": []}
    (models_dir / "somebody--models" / RECORD).write_text(json.dumps(pin))
    (line,) = (each for each in run("models").stdout.splitlines() if "somebody/models" in each)
    assert line.startswith("✓") and line.endswith("mit")
    (found,) = json.loads(run("models", "list", "somebody/models", "--json").stdout)["models"]
    assert (found["dim"], found["sources"][0]["revision"]) == (8, "0" * 40)
    assert found["precision"] == "auto"


def test_an_unknown_name_lists_the_known(run: Run) -> None:
    for action in ("list", "download", "remove", "trust"):
        done = run("models", action, "siglip2-b16-225")
        assert done.exit_code == 4 and "Did you mean 'siglip2-b16-224'" in done.stderr
    done = run("models", "download")
    assert done.exit_code == 2 and "Name a model" in done.stderr


def test_a_licence_is_shown_before_anything_is_fetched(
    run: Run, models_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waits, "AFTER_S", 0.1)
    earlier = set(threading.enumerate())  # those of other tests watch for 30 s
    done = run("models", "download", "nllb-clip-base")
    for thread in set(threading.enumerate()) - earlier:
        if thread.name == "pixseek-waits":
            thread.join(10)
            assert not thread.is_alive()
    assert done.exit_code == 4 and "CC-BY-NC-4.0" in done.stderr
    assert "offline mode is on" in done.stderr, "offline: that is said first"
    done = run("models", "download", "nllb-clip-base", "--accept-licence")
    assert done.exit_code == 4 and (models_dir / "consents.json").is_file()


def test_a_local_model_needs_no_download_and_can_be_removed(
    run: Run, models_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = catalogue.find("clip-b32-openai")
    assert model
    (models_dir / "small").mkdir(parents=True)
    (models_dir / "small/onnx.bin").write_bytes(b"12345")
    source = Source("a/b", "xenova", "0" * 40, (RemoteFile("onnx.bin", "", 5),))
    small = replace(model, alias="small", sources=(source,))
    monkeypatch.setattr(catalogue, "CATALOGUE", (*catalogue.CATALOGUE, small))
    assert "small is in" in run("models", "download", "small").stdout
    assert "freed 5 bytes" in run("models", "remove", "small").stdout
    assert "not on this machine" in run("models", "remove", "small").stdout
    assert run("models", "remove", "demo").exit_code == 4


def test_trust_lists_the_code_and_asks(run: Run, tmp_path: Path, models_dir: Path) -> None:
    folder = tmp_path / "own"
    folder.mkdir()
    config = {"model_type": "fgclip2", "auto_map": {"AutoModel": "modeling.Model"}}
    (folder / "config.json").write_text(json.dumps(config))
    processor = {"image_processor_type": "Siglip2ImageProcessor"}
    (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    (folder / "model.safetensors").write_bytes(b"")
    (folder / "modeling.py").write_text("print('hello')")
    asked = run("models", "trust", folder, input="n\n")
    assert "modeling.py" in asked.stdout and not (models_dir / "consents.json").exists()
    done = run("models", "trust", folder, input="y\n")
    assert "may run this code" in done.stdout and (models_dir / "consents.json").is_file()
    assert "no program code" in run("models", "trust", "demo").stdout
    missing = run("models", "trust", "fg-clip2-base")
    assert missing.exit_code == 4 and "not on this machine" in missing.stderr


@pytest.mark.slow
def test_verify_prints_its_checks_and_fails_if_one_does(real: Run, tmp_path: Path) -> None:
    done = real("models", "verify", "demo")
    assert done.exit_code == 0, done.output
    assert done.stdout.count("✓") == 3 and "the same alone and in a batch" in done.stdout
    tiny_models.xenova(tmp_path / "own", constant=float("nan"))
    done = real("models", "verify", "demo", tmp_path / "own")
    assert done.exit_code == 4 and done.stdout.count("✗") == 1
    assert "✗ images" in done.stdout and "no usable vector" in done.stdout
    done = real("models", "verify", "siglip2-b16-224")
    assert done.exit_code == 4 and "models download siglip2-b16-224" in done.stderr


def test_verify_compares_two_folders_on_photos(
    real: Run, photos_folder: Path, tmp_path: Path
) -> None:
    tiny_models.xenova(tmp_path / "own")
    more = ("--photos", photos_folder, "--against", tmp_path / "own")
    done = real("models", "verify", tmp_path / "own", *more)
    assert done.exit_code == 0 and "cosine of 6 images" in done.stdout
    assert real("models", "verify", "demo", "--photos", "nowhere").exit_code == 5


def test_verify_uses_the_images_of_a_library(
    real: Run, photos_folder: Path, tmp_path: Path
) -> None:
    tiny_models.xenova(tmp_path / "own")
    library = ("--library", tmp_path / "library")
    done = real("index", photos_folder, *library, "--model", tmp_path / "own")
    assert done.exit_code == 0, done.output
    done = real("models", "verify", tmp_path / "own", *library, "--against", tmp_path / "own")
    assert done.exit_code == 0 and "cosine of 6 images" in done.stdout
    assert "drawn" not in done.stderr


@pytest.mark.slow
def test_benchmark_adds_two_columns_to_the_table(real: Run) -> None:
    assert "images/s" not in real("models").stdout
    done = real("models", "benchmark")
    assert done.exit_code == 0 and "a second" in done.stdout and "MiB" in done.stdout
    head, demo, other = real("models", "list", "demo", "clip-b32-openai").stdout.splitlines()
    assert head.endswith("images/s  text ms")
    assert len(demo) == len(head) and other.endswith("MIT")
    (found,) = json.loads(real("models", "list", "demo", "--json").stdout)["models"]
    assert found["measured"]["images_per_s"] > 0


def test_export_needs_one_model_a_folder_and_torch(real: Run, tmp_path: Path) -> None:
    done = real("models", "export", "demo")
    assert done.exit_code == 2 and "--to DIR" in done.stderr
    done = real("models", "export", "demo", "--to", tmp_path / "out")
    assert done.exit_code == 4 and "a model that torch runs" in done.stderr
    assert not (tmp_path / "out").exists()
