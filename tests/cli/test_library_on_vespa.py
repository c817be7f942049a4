"""A library on Vespa by the command line, over the fake of Vespa's HTTP interface."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from fake_vespa import application, serving

Run = Callable[..., Result]


@pytest.mark.slow
def test_from_a_folder_to_vespa_and_back(run: Run, photos_folder: Path) -> None:
    with serving(application("images", [])) as fake:
        url = f"vespa+{fake.url}/images"
        refused = run("index", photos_folder, "--library", "own.lib", "--engine", url)
        assert refused.exit_code != 0
        assert "pixseek vespa app DIR --name images" in refused.output
        fake.deploys = True
        assert run("index", photos_folder, "--library", "own.lib", "--engine", url).exit_code == 0
        found = run("search", "red", "-k", "2", "--library", "own.lib", "--json")
        paths = [each["path"] for each in json.loads(found.output)["hits"]]
        assert paths and all("red" in Path(each).name for each in paths)
        shared = run("search", "red", "-k", "2", "--engine", url)
        assert shared.exit_code == 0 and "red-" in shared.output
        assert run("tag", paths[0], "--add", "mine", "--library", "own.lib").exit_code == 0
        tagged = run("search", "tag:mine", "--library", "own.lib", "--json")
        assert [each["path"] for each in json.loads(tagged.output)["hits"]] == paths[:1]
        back = run("migrate", "--to", "embedded", "--library", "own.lib")
        assert back.exit_code == 0, back.output
    again = run("search", "tag:mine", "--library", "own.lib", "--json")
    assert [each["path"] for each in json.loads(again.output)["hits"]] == paths[:1]
