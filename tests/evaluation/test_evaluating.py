"""Evaluating libraries by the captions of their images, with the tiny encoder and a real one."""

from __future__ import annotations

import csv
import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

import pixseek
from pixseek.cli import main
from pixseek.errors import ModelError, SourceError
from pixseek.evaluation import STUDY, captioned, difference, evaluate

from tiny_encoder import COLOURS, TinyEncoder, WideEncoder

PAIRS = [(one, other) for one in COLOURS for other in COLOURS]


def _table(folder: Path, captions: dict[str, list[str]]) -> Path:
    with (folder / "captions.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["image", "caption"])
        rows.writerows([name, each] for name, some in captions.items() for each in some)
    return folder / "captions.csv"


@pytest.fixture
def stripes(tmp_path: Path) -> Path:
    """A table of 25 pictures of two colours, each with a caption that names them and one that does
    not."""
    folder = tmp_path / "stripes"
    folder.mkdir()
    captions = {}
    for n, (one, other) in enumerate(PAIRS):
        picture = Image.new("RGB", (64, 64), COLOURS[one])
        picture.paste(COLOURS[other], (32, 0, 64, 64))
        picture.save(folder / f"{n:02}.png")
        captions[f"{n:02}.png"] = [f"{one} and {other}", f"something {n} else"]
    return _table(folder, captions)


def _run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(each) for each in arguments])


def test_captions_that_name_what_is_seen_are_found_and_others_by_chance(
    stripes: Path, tmp_path: Path, tiny: TinyEncoder
) -> None:
    del tiny
    with pixseek.open(tmp_path / "a.lib", model="tiny") as library:
        library.index(stripes)
        found = evaluate(library)
        assert (found.model, found.images, found.captions) == ("tiny", 25, 50)
        places = found.by_query["text to image"]["median_rank"]
        assert (places[::2] == 1).all()
        assert places[1::2].mean() > 5
        assert found.measures["text to image"]["recall@1"].value == np.mean(places == 1)
        assert found.measures["image to text"]["recall@1"].value == 1
        assert found.measures["image to text"]["map"].value < 1
        assert found.chance["text to image"]["recall@10"] == pytest.approx(10 / 25)
        worst = found.worst[0]
        assert worst.place == places.max()
        record = library.get(worst.id)
        assert record is not None
        assert worst.caption in record.caption.splitlines()
        assert all(miss.caption.startswith("something") for miss in found.worst)
        assert evaluate(library).measures == found.measures
        assert evaluate(library, seed=1).measures != found.measures


def test_a_filter_chooses_the_images(stripes: Path, tmp_path: Path, tiny: TinyEncoder) -> None:
    del tiny
    with pixseek.open(tmp_path / "a.lib", model="tiny") as library:
        library.index(stripes)
        found = evaluate(library, "name:1*")
        assert (found.images, found.captions, found.where) == (10, 20, "name:1*")
        with pytest.raises(SourceError, match="Too few images with captions"):
            evaluate(library, "name:2*")


def test_a_run_that_was_stopped_goes_on_and_a_damaged_file_is_written_again(
    stripes: Path, tmp_path: Path, tiny: TinyEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(captioned, "_BLOCK", 16)
    embedded = list[str]()
    embed = tiny.encode_texts

    def counting(texts: Any) -> Any:
        embedded.extend(texts)
        return embed(texts)

    class Stopped(Exception):
        pass

    def stop(progress: Any) -> None:
        if progress.done >= 32:
            raise Stopped

    with pixseek.open(tmp_path / "a.lib", model="tiny") as library:
        library.index(stripes)
        monkeypatch.setattr(tiny, "encode_texts", counting)
        with pytest.raises(Stopped):
            evaluate(library, on_progress=stop)
        assert len(embedded) == 32
        whole = evaluate(library)
        assert len(embedded) == 50 + 2  # the first of each block that was kept
        looked = 2
        files = sorted((tmp_path / "a.lib" / "evaluation").iterdir())
        assert len(files) == 4
        files[0].write_bytes(files[0].read_bytes()[:100])
        assert evaluate(library).measures == whole.measures
        # The first caption of each block is embedded again, and those of the damaged one.
        assert 50 + 3 + 2 <= len(embedded) - looked <= 50 + 3 + 16


def test_models_are_compared_on_a_source(
    stripes: Path, tmp_path: Path, tiny: TinyEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(name: str, **_: Any) -> TinyEncoder:
        if name == "none":
            raise ModelError("there is no such model", name, "Known: tiny, wide.")
        return WideEncoder() if name == "wide" else tiny

    monkeypatch.setattr("pixseek.encoders.load", load)
    monkeypatch.chdir(tmp_path)
    done = _run("evaluate", stripes, "--models", "tiny,none,wide", "--worst", "1")
    assert "none is left out: there is no such model. Known: tiny, wide." in done.output
    assert done.exit_code == 0, done.output
    assert "25 images, 50 captions" in done.output
    assert "wide against tiny: recall@10" in done.output
    assert "tiny finds worst" in done.output
    found = json.loads(_run("evaluate", stripes, "--models", "tiny,wide", "--json").stdout)
    assert [each["model"] for each in found["evaluations"]] == ["tiny", "wide"]
    (apart,) = found["differences"]
    values = [
        each["measures"]["text to image"]["recall@10"]["value"] for each in found["evaluations"]
    ]
    assert apart["text to image"]["recall@10"]["value"] == pytest.approx(values[1] - values[0])
    assert 0 < apart["text to image"]["recall@10"]["p"] <= 1


def test_the_library_is_measured_without_a_source(
    stripes: Path, tmp_path: Path, tiny: TinyEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    del tiny
    monkeypatch.chdir(tmp_path)
    assert _run("index", stripes, "-L", "a.lib", "--model", "tiny").exit_code == 0
    done = _run("evaluate", "-L", "a.lib")
    assert done.exit_code == 0, done.output
    assert done.output.count("tiny") == 2
    wrong = _run("evaluate", "--models", "tiny,wide", "-L", "a.lib")
    assert wrong.exit_code == 2
    assert "pixseek evaluate SOURCE --models A,B" in wrong.output


def test_evaluations_are_compared_by_the_captions_that_both_have(
    stripes: Path, tmp_path: Path, tiny: TinyEncoder
) -> None:
    del tiny
    with pixseek.open(tmp_path / "a.lib", model="tiny") as library:
        library.index(stripes)
        whole, some = evaluate(library), evaluate(library, "name:1*")
        apart = difference(whole, whole, "text to image", "mrr@100")
        assert (apart.difference.value, apart.p, apart.queries) == (0, 1, 50)
        common = difference(whole, some, "text to image", "mrr@100")
        assert common.queries == 20
        assert common.difference.value < 0  # fewer images to be found among
        none = replace(some, queries={"text to image": ("x",), "image to text": ("x",)})
        with pytest.raises(ValueError, match="of different captions"):
            difference(whole, none, "text to image", "mrr@100")


def test_another_text_tower_is_not_taken_for_the_old_one(
    stripes: Path, tmp_path: Path, tiny: TinyEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pixseek.open(tmp_path / "a.lib", model="tiny") as library:
        library.index(stripes)
        before = evaluate(library)
        embed = tiny.encode_texts
        monkeypatch.setattr(tiny, "encode_texts", lambda texts: -embed(texts))
        assert evaluate(library).measures != before.measures


def test_a_library_that_cannot_be_written_is_measured(
    stripes: Path, tmp_path: Path, tiny: TinyEncoder
) -> None:
    del tiny
    with pixseek.open(tmp_path / "a.lib", model="tiny") as library:
        library.index(stripes)
        (tmp_path / "a.lib" / "evaluation").write_text("no folder")
        assert evaluate(library).captions == 50


@pytest.mark.slow
def test_the_study_has_its_six_models(
    stripes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pixseek.encoders.load", lambda name, **_: TinyEncoder(name))
    monkeypatch.chdir(tmp_path)
    found = json.loads(_run("evaluate", stripes, "--models", "study", "--json").stdout)
    assert [each["model"] for each in found["evaluations"]] == list(STUDY)
    assert len(found["differences"]) == 5


@pytest.mark.slow
@pytest.mark.timeout(1_200)  # 6,000 embeddings, a minute of an idle core
def test_a_real_model_finds_photos_as_often_as_published_and_shuffled_captions_by_chance(
    photos: Path, photo_mini: Path, tmp_path: Path
) -> None:
    captions = dict[str, list[str]]()
    for line in (photos / "captions.tsv").read_text("utf-8").splitlines()[1:]:
        name, caption = line.split("\t")
        captions.setdefault(name, []).append(caption)
    with pixseek.open(tmp_path / "a.lib", model=photo_mini) as library:
        library.index(photos / "captions.tsv", previews=False)
        found = evaluate(library)
        recall = found.measures["text to image"]["recall@10"]
        assert recall.value == pytest.approx(0.678, abs=0.002)
        assert recall.low < 0.665 < recall.high
        said = list(captions.values())
        random.Random(0).shuffle(said)
        wrong = dict(zip(captions, said, strict=True))
        for record in library.records():
            library.tag([record.id], caption="\n".join(wrong[record.name]))
        shuffled = evaluate(library)
        for direction, measures in shuffled.measures.items():
            for name in ("recall@10", "mrr@100", "map"):
                expected = shuffled.chance[direction][name]
                assert abs(measures[name].value - expected) < 0.4 * expected + 0.002, name
