"""`pixseek.models`: what surfaces learn about models, without a network."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pixseek import models
from pixseek.config import Config, load_config
from pixseek.encoders import CATALOGUE
from pixseek.errors import LicenceError, ModelError
from pixseek.search.background import Calibration
from pixseek.wire import model_to_plain

import tiny_models


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return load_config(models_dir=tmp_path / "models", offline=True)


def test_the_list_has_every_model_of_the_catalogue_in_its_order(config: Config) -> None:
    listed = models.list_models(config)
    assert [each.name for each in listed] == [each.alias for each in CATALOGUE]
    assert models.default_name() in models.names()
    assert {each.name for each in listed} <= set(models.names())


def test_the_list_and_a_description_agree(config: Config) -> None:
    for listed in models.list_models(config):
        assert models.describe(config, listed.name) == listed


def test_a_description_says_what_is_still_to_be_downloaded(config: Config) -> None:
    here, elsewhere = (models.describe(config, each) for each in ("demo", "clip-b32-openai"))
    assert here.folder is not None and here.missing_bytes == 0
    assert elsewhere.folder is None and elsewhere.missing_bytes == elsewhere.size > 0
    assert models.on_this_machine(config) == ["demo"]


def test_a_local_folder_is_listed_only_if_it_is_named(config: Config, tmp_path: Path) -> None:
    tiny_models.xenova(tmp_path / "own")
    found = models.describe(config, tmp_path / "own")
    assert (found.name, found.folder, found.dim) == ("own", tmp_path / "own", tiny_models.DIM)
    assert found.sources == () and found.runtimes == ("onnx",)
    assert models.list_models(config, [str(tmp_path / "own")]) == [found]
    assert "own" not in [each.name for each in models.list_models(config)]


def test_a_calibration_is_part_of_a_description(config: Config, tmp_path: Path) -> None:
    tiny_models.xenova(tmp_path / "own")
    assert models.describe(config, tmp_path / "own").calibration is None
    file = tmp_path / "own" / "calibration.json"
    for text, expected in (
        ('{"slope": 2, "centre": 3.5}', Calibration(2, 3.5)),
        ('{"slope": 2, "centre": 3.5, "measured": {"images": 900}}', Calibration(2, 3.5, 900)),
        ('{"slope": 2, "centre": 3.5, "measured": 7}', None),
        ("[]", None),
        ("damaged", None),
    ):
        file.write_text(text)
        assert models.describe(config, tmp_path / "own").calibration == expected, text
    calibrated = models.describe(config, "demo").calibration
    assert calibrated is not None and calibrated.images == 1000


def test_an_unknown_name_lists_the_known(config: Config) -> None:
    for call in (models.describe, models.own_code, models.trust, models.fetch, models.remove):
        with pytest.raises(ModelError, match="Did you mean 'clip-b32-openai'"):
            call(config, "clip-b32-opena")
    with pytest.raises(ModelError, match="Did you mean"):
        models.list_models(config, ["demo", "clip-b32-opena"])


def test_a_licence_is_agreed_to_once(config: Config) -> None:
    config.models_dir.mkdir()
    licence = models.accept(config, "nllb-clip-base")
    assert licence == models.describe(config, "nllb-clip-base").licence
    with pytest.raises(ModelError) as caught:
        models.fetch(config, "nllb-clip-base")
    assert not isinstance(caught.value, LicenceError), "only the network is missing now"


def test_own_code_of_a_model_that_is_elsewhere_says_how_to_get_it(config: Config) -> None:
    with pytest.raises(ModelError, match="pixseek models download fg-clip2-base"):
        models.own_code(config, "fg-clip2-base")
    assert models.own_code(config, "demo") == ()


def test_a_loaded_model_can_be_verified_by_name(config: Config) -> None:
    encoder = models.load(config, "demo")
    assert encoder.dim == models.describe(config, "demo").dim
    checks = list(models.verify(config, "demo"))
    assert checks and all(check.good is not False for check in checks)


def test_an_export_of_a_model_that_torch_does_not_run_is_refused(
    config: Config, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match="a model that torch runs"):
        models.export(config, models.load(config, "demo"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_plain_form_is_json_and_keeps_its_names(config: Config) -> None:
    (plain,) = (model_to_plain(each) for each in models.list_models(config, ["siglip2-b16-224"]))
    assert list(plain) == [
        "name", "description", "folder", "download_bytes", "licence", "asks_for_a_yes", "dim",
        "image_side", "context", "languages", "quality", "quality_source", "precision", "note",
        "measured", "sources", "calibration",
    ]  # fmt: skip
    assert list(plain["sources"][0]) == ["runtime", "layout", "repo", "revision"]
    assert json.loads(json.dumps(plain)) == plain
