"""`pixseek models calibrate`: from a table of captions to probabilities in searches."""

from __future__ import annotations

import json
import shutil
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

import pixseek
from pixseek import encoders
from pixseek.cli import main
from pixseek.demo.picture_library import write_picture_library
from pixseek.types import Query, Term

#: Slow: each calibrates a model.
pytestmark = pytest.mark.slow

#: Of the pictures, one is cut off and one is missing.
PICTURES = 230


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(each) for each in arguments])


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drawn")
    written = write_picture_library(folder, PICTURES)
    written[3].write_bytes(b"nothing")
    written[5].unlink()
    return folder


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model in a folder of its own, without a calibration."""
    monkeypatch.setenv("PIXSEEK_MODELS_DIR", str(tmp_path / "models"))
    folder = encoders.locate("demo", tmp_path / "models")
    assert folder is not None
    shutil.copytree(folder, tmp_path / "own")
    (tmp_path / "own" / "calibration.json").unlink()
    return tmp_path / "own"


@pytest.mark.slow
def test_after_calibration_searches_show_probabilities(
    own: Path, drawn: Path, tmp_path: Path
) -> None:
    with pixseek.open(tmp_path / "l", own) as library:
        library.index(drawn / "beach")
        assert all(hit.probability is None for hit in library.search("a boat"))
        status = run("status", "--library", tmp_path / "l").stdout
        assert "strength not measured for this model" in status

        done = run("models", "calibrate", own, "--captions", drawn / "captions.tsv")
        assert done.exit_code == 0, done.output
        assert f"own: calibrated on {PICTURES - 2} images" in done.stdout
        assert "Brier score" in done.stdout and str(own / "calibration.json") in done.stdout
        assert "2 images could not be used" in done.stderr
        assert "There is no such file" in done.stderr and "is not an image" in done.stderr

        found = [hit.probability for hit in library.search("a boat")]
        assert all(each is not None and 0 < each < 1 for each in found)
        assert found == sorted(found, reverse=True)
        status = run("status", "--library", tmp_path / "l").stdout
        assert f"strength calibrated on {PICTURES - 2} images" in status
        plain = json.loads(run("status", "--library", tmp_path / "l", "--json").stdout)
        assert plain["calibration"]["images"] == PICTURES - 2
    (listed,) = json.loads(run("models", "list", own, "--json").stdout)["models"]
    assert listed["calibration"] == plain["calibration"]


def test_json_says_all_that_was_measured_and_to_writes_elsewhere(
    own: Path, drawn: Path, tmp_path: Path
) -> None:
    to = tmp_path / "out.json"
    moved = tmp_path / "table.csv"
    lines = (drawn / "captions.tsv").read_text().splitlines()
    rows = [line.split("\t") for line in lines[1:]]
    moved.write_text("\n".join(["where;said", *(f"{a};{b}" for a, b in rows)]))
    done = run(
        "models", "calibrate", own, "--captions", moved, "--photos", drawn, "--json", "--to", to,
        "--image-column", "where", "--caption-column", "said",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert not (own / "calibration.json").exists() and found["file"] == str(to)
    kept = json.loads(to.read_text())
    assert kept == {
        name: found[name]
        for name in ("slope", "centre", "rank", "demand", "knee", "bend", "measured")
    }
    assert found["images_in_table"] == PICTURES and found["measured"]["images"] == PICTURES - 2
    assert {each["reason"] for each in found["failures"]} == {"missing", "not-an-image"}
    tenths = found["measured"]["reliability"]
    assert sum(each["count"] for each in tenths) == (PICTURES - 2) * found["measured"]["queries"]


@pytest.mark.parametrize(
    ("arguments", "code", "problem", "advice"),
    [
        (["{own}"], 2, "Name one model and a table", ""),
        (["{own}", "demo", "--captions", "{table}"], 2, "Name one model and a table", ""),
        (["demo", "--captions", "{table}"], 4, "comes with pixseek", "--to FILE"),
        (["clip-b32-openai", "--captions", "{table}"], 4, "not on this machine", "download"),
        (["{own}", "--captions", "{own}/none.csv"], 5, "can't be read", "No such file"),
        (["{own}", "--captions", "{table}", "--photos", "{own}"], 5, "None of the", "--photos"),
        (["{own}", "--captions", "{few}"], 5, "Too few images", "at least 200"),
        (["{own}", "--captions", "{table}", "--to", "{own}"], 4, "this is a folder", "Name a file"),
        (["{own}", "--captions", "{table}", "--to", "{own}/no/c"], 4, "no such folder", "Name"),
        (["{own}", "--captions", "{table}", "--image-column", "fiel"], 5, "no column 'fiel'",
         "Did you mean 'file'"),
    ],
)  # fmt: skip
def test_what_can_not_be_calibrated_is_an_error_with_advice(
    own: Path, drawn: Path, arguments: list[str], code: int, problem: str, advice: str
) -> None:
    few = drawn / "few.tsv"
    few.write_text("\n".join((drawn / "captions.tsv").read_text().splitlines()[:20]))
    values = {"own": own, "table": drawn / "captions.tsv", "few": few}
    done = run("models", "calibrate", *(each.format(**values) for each in arguments))
    assert done.exit_code == code, done.output
    assert problem in done.stderr and advice in done.stderr
    assert not (own / "calibration.json").exists()


def test_a_calibration_that_can_not_be_written_is_found_before_the_work(
    own: Path, drawn: Path
) -> None:
    (own / "calibration.json").mkdir()  # root may write anywhere, but not over a folder
    before = sorted(own.iterdir())
    done = run("models", "calibrate", own, "--captions", drawn / "captions.tsv")
    assert done.exit_code == 4 and "can't be written" in done.stderr and "--to FILE" in done.stderr
    assert sorted(own.iterdir()) == before


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_is_an_error_of_the_calibration(own: Path, drawn: Path) -> None:
    done = run(
        "models", "calibrate", own, "--captions", drawn / "captions.tsv", "--to", "/dev/full"
    )
    assert done.exit_code == 4 and "can't be written: /dev/full" in done.stderr


# ------------------------------------------------------------------ a real model on real photos


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_probabilities_of_a_real_model_hold_on_photos_that_were_not_used(
    photo_mini: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Calibrated on every other photo; measured by searches of the rest, for their own words."""
    from pixseek.search.calibrating import accuracy, queries_of

    monkeypatch.setenv("PIXSEEK_MODELS_DIR", str(tmp_path / "models"))
    model = tmp_path / "photo-mini"
    shutil.copytree(photo_mini, model, copy_function=shutil.copyfile)
    captions: dict[str, list[str]] = defaultdict(list)
    for line in (photos / "captions.tsv").read_text("utf-8").splitlines()[1:]:
        name, _, text = line.partition("\t")
        captions[name].append(text)
    used, held_out = list(captions)[::2], list(captions)[1::2]
    table = tmp_path / "half.tsv"
    table.write_text(
        "\n".join(["file\tcaption", *(f"{n}\t{text}" for n in used for text in captions[n])])
    )
    done = run("models", "calibrate", model, "--captions", table, "--photos", photos, "--json")
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)["measured"]
    assert said["images"] == 500 and said["brier"] < said["brier_of_base_rate"]
    assert said["ece"] < 0.01

    (tmp_path / "held out").mkdir()
    for name in held_out:
        shutil.copyfile(photos / name, tmp_path / "held out" / name)
    queries = queries_of([captions[name] for name in held_out])
    place = {name: n for n, name in enumerate(held_out)}
    probable = np.zeros((len(queries), len(held_out)))
    with pixseek.open(tmp_path / "l", model) as library:
        library.index(tmp_path / "held out")
        for row, text in zip(probable, queries, strict=True):
            for hit in library.search(Query(terms=(Term("text", text),), k=len(held_out))):
                assert hit.probability is not None
                row[place[hit.record.name]] = hit.probability
    assert (probable > 0).all(), "every photo is a hit, be it a weak one"
    found = accuracy(probable, np.stack(list(queries.values())))
    assert found.largest_gap < 0.06, found.reliability
    assert found.brier < 0.97 * found.brier_of_base_rate and found.ece < 0.01
    assert found.strong_precision is not None and found.strong_precision > 0.55
    assert found.likely_precision is not None and found.likely_precision > 0.3
