"""Checking models on this machine: `parity` and `verification`."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pixseek import encoders
from pixseek.encoders import parity
from pixseek.encoders.export import RECORD, export
from pixseek.encoders.verification import verify
from pixseek.errors import ModelError, SourceError
from pixseek.types import Encoder, Picture

import tiny_models as tiny

WORDS = [" ".join(tiny.WORDS[4 + i :]) for i in range(8)]


def pictures(count: int = 40) -> list[Picture]:
    random = np.random.default_rng(3)
    drawn = [Image.fromarray(random.integers(0, 256, (20, 20, 3), np.uint8)) for _ in range(count)]
    return [Picture(each, *each.size, "image/png") for each in drawn]


def loaded(folder: Path) -> Encoder:
    return encoders.load(folder, models_dir=folder.parent / "models")


def checked(folder: Path, against: Path | None = None) -> dict[str, bool | None]:
    found = verify(folder, pictures(), models_dir=folder.parent / "models", against=against)
    return {each.what: each.good for each in found}


# ------------------------------------------------------------------ parity


def test_a_model_agrees_with_itself(tmp_path: Path) -> None:
    tiny.xenova(tmp_path / "m")
    found = parity.compare(loaded(tmp_path / "m"), loaded(tmp_path / "m"), pictures(), WORDS)
    assert found.images == 40 and found.texts == 8 and found.ranks == 1
    assert not any(found.shortfall(stored) for stored in ("fp32", "fp16", "int8"))


@pytest.mark.parametrize("stored", ["fp32", "fp16", "int8"])
def test_a_spoiled_graph_does_not_agree(stored: parity.Stored, tmp_path: Path) -> None:
    tiny.xenova(tmp_path / "right")
    tiny.xenova(tmp_path / "wrong")
    path = tmp_path / "wrong/onnx/vision_model.onnx"
    path.write_bytes(spoiled(path.read_bytes()))
    found = parity.compare(
        loaded(tmp_path / "right"), loaded(tmp_path / "wrong"), pictures(), WORDS
    )
    assert found.shortfall(stored) and found.ranks < 1
    assert found.text_least > 0.9999


def spoiled(graph: bytes) -> bytes:
    """Set some of the weights to zero."""
    import onnx
    from onnx import numpy_helper

    model = onnx.load_from_string(graph)
    weights = model.graph.initializer[0]
    values = numpy_helper.to_array(weights).copy()
    values[:4] = 0
    weights.CopyFrom(numpy_helper.from_array(values, weights.name))
    return model.SerializeToString()


def test_int8_is_not_judged_by_a_few_images(tmp_path: Path) -> None:
    tiny.xenova(tmp_path / "m")
    model = loaded(tmp_path / "m")
    found = parity.compare(model, model, pictures(3), WORDS)
    assert "too few" in found.shortfall("int8") and not found.shortfall("fp16")


def test_pictures_are_read_from_a_folder(tmp_path: Path) -> None:
    for n, picture in enumerate(pictures(3)):
        (tmp_path / f"{n}").mkdir()
        picture.pixels.save(tmp_path / f"{n}/a.png")
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no more")
    (tmp_path / "notes.txt").write_text("no image")
    assert [p.width for p in parity.pictures_in(tmp_path, side=16)] == [20, 20, 20]
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match="no images"):
        parity.pictures_in(tmp_path / "empty", side=16)
    with pytest.raises(SourceError, match="no such folder"):
        parity.pictures_in(tmp_path / "elsewhere", side=16)


def test_only_torch_models_can_be_exported(tmp_path: Path) -> None:
    tiny.xenova(tmp_path / "m")
    with pytest.raises(ModelError, match="a model that torch runs"):
        export(loaded(tmp_path / "m"), tmp_path / "out", pictures(1))


# ------------------------------------------------------------------ verify


@pytest.mark.parametrize("layout", tiny.LAYOUTS)
def test_a_complete_model_in_any_layout_passes(layout: str, tmp_path: Path) -> None:
    tiny.LAYOUTS[layout](tmp_path / "m")
    assert checked(tmp_path / "m") == {"files": None, "opened": True, "images": True, "texts": True}


def _record(folder: Path) -> None:
    def digest(path: Path) -> str:
        return hashlib.sha256(path.read_bytes()).hexdigest()

    files = {p.relative_to(folder).as_posix(): digest(p) for p in folder.rglob("*") if p.is_file()}
    tiny.write(folder / RECORD, {"precision": "fp32", "files": files})


def _swap(folder: Path) -> None:
    path = folder / "onnx/text_model.onnx"
    path.write_bytes(path.read_bytes() + b"\0")


def _lose(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()


@pytest.mark.parametrize("harm", [_swap, _lose], ids=["changed", "missing"])
def test_files_that_differ_from_their_record_are_found(
    harm: Callable[[Path], None], tmp_path: Path
) -> None:
    tiny.xenova(tmp_path / "m")
    _record(tmp_path / "m")
    assert checked(tmp_path / "m")["files"] is True
    harm(tmp_path / "m")
    assert checked(tmp_path / "m")["files"] is False


def test_a_tower_that_gives_no_vector_is_found(tmp_path: Path) -> None:
    tiny.xenova(tmp_path / "m", constant=float("nan"))
    assert checked(tmp_path / "m") == {
        "files": None, "opened": True, "images": False, "texts": True,
    }  # fmt: skip


def test_padding_that_changes_a_text_is_found(tmp_path: Path) -> None:
    """A tower without a mask, whose tokenizer pads to the longest text of a batch."""
    tiny.xenova(tmp_path / "m")
    tiny.text_graph(tmp_path / "m/onnx/text_model.onnx", mask=False)
    assert checked(tmp_path / "m")["texts"] is False


def test_a_file_that_is_not_a_model_is_found(tmp_path: Path) -> None:
    tiny.xenova(tmp_path / "m")
    (tmp_path / "m/onnx/vision_model.onnx").write_bytes(b"nothing")
    assert checked(tmp_path / "m") == {"files": None, "opened": False}


def test_a_model_is_compared_with_its_original(tmp_path: Path) -> None:
    tiny.xenova(tmp_path / "m")
    shutil.copytree(tmp_path / "m", tmp_path / "copy")
    assert checked(tmp_path / "copy", tmp_path / "m")["against m"] is True
    path = tmp_path / "copy/onnx/vision_model.onnx"
    path.write_bytes(spoiled(path.read_bytes()))
    assert checked(tmp_path / "copy", tmp_path / "m")["against m"] is False


def test_verifying_does_not_download_a_model(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="not on this machine"):
        list(verify("siglip2-b16-224", pictures(), models_dir=tmp_path))
    with pytest.raises(ModelError, match="Unknown model"):
        list(verify("siglip3", pictures(), models_dir=tmp_path))
