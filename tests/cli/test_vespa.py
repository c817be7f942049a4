"""`pixseek vespa`: application packages from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .conftest import Run


def _models(folder: str) -> list[str]:
    models = json.loads(Path(folder, "pixseek.json").read_bytes())["models"]
    return [f"{each['name']} {each['slot']} {each['dim']}" for each in models]


def test_a_package_for_models_needs_no_library_and_no_download(run: Run) -> None:
    done = run("vespa", "app", "my app", "--model", "clip-b32-openai", "-m", "clip-rn50-openai")
    assert done.exit_code == 0, done.output
    assert "Wrote 6 files for 2 models: my app\n" in done.stdout
    assert "vespa deploy --wait 300 'my app'\n" in done.stdout
    assert (
        "pixseek index FOLDER --engine vespa+http://localhost:8080/images --model clip-b32-openai\n"
        in done.stdout
    )
    assert _models("my app") == [
        "clip-b32-openai clip_b32_openai 512", "clip-rn50-openai clip_rn50_openai 1024"
    ]  # fmt: skip
    assert list(Path().iterdir()) == [Path("my app")]
    done = run("vespa", "app", "my app", "--model", "clip-rn50-openai")
    assert done.exit_code == 0, done.output
    assert "no longer has the fields of clip_b32_openai." in " ".join(done.stderr.split())


def test_a_package_for_a_library_has_its_models_and_is_brought_up_to_date(indexed: Run) -> None:
    for _ in range(2):
        done = indexed("vespa", "app", "app", "--name", "photos")
        assert done.exit_code == 0, done.output
        [model] = _models("app")
        assert "--engine vespa+http://localhost:8080/photos" in done.stdout
        assert Path("app/schemas/photos.sd").is_file()
    assert model.split()[1] in Path("app/schemas/photos.sd").read_text()


def test_options_reach_the_package(run: Run) -> None:
    done = run("vespa", "app", "app", "-m", "clip-b32-openai", "--type", "binary", "--links", "32",
               "--explore", "500", "--hosts", "a, b,c,d", "--groups", "2")  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "app/README.md" in done.stdout
    text = Path("app/schemas/images.sd").read_text()
    assert "max-links-per-node: 32" in text
    assert "neighbors-to-explore-at-insert: 500" in text
    assert "tensor<int8>(x[64])" in text
    assert "<redundancy>2</redundancy>" in Path("app/services.xml").read_text()
    assert '<host name="d">' in Path("app/hosts.xml").read_text()
    done = run("vespa", "app", "named", "-m", "clip-b32-openai", "--nodes", "3")
    assert done.exit_code == 0, done.output
    assert '<host name="vespa3">' in Path("named/hosts.xml").read_text()
    Path("client.pem").write_text("-----BEGIN CERTIFICATE-----\n")
    done = run("vespa", "app", "cloud", "-m", "clip-b32-openai", "--cloud", "--token", "photos",
               "--client-certificate", "client.pem")  # fmt: skip
    assert done.exit_code == 0, done.output
    assert '<nodes count="2"/>' in Path("cloud/services.xml").read_text()
    assert Path("cloud/security/clients.pem").read_text() == Path("client.pem").read_text()


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ([], 3, "name the models: --model NAME"),
        (["-m", "clip-b32-opena"], 4, "clip-b32-openai"),
        (["-m", "clip-b32-openai", "--name", "Photos"], 6, "small letter"),
        (["-m", "clip-b32-openai", "--hosts", "a,a"], 6, "twice"),
        (["-m", "clip-b32-openai", "--hosts", "a,b", "--nodes", "3"], 2, "--hosts names 2"),
        (["-m", "clip-b32-openai", "--token", "x"], 6, "--cloud"),
        (["-m", "clip-b32-openai", "--redundancy", "3"], 6, "fewer nodes"),
        (["-m", "clip-b32-openai", "--embed-in-vespa"], 4, "Leave out --embed-in-vespa"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_written(
    run: Run, line: list[str], code: int, said: str
) -> None:
    done = run("vespa", "app", "app", *line)
    assert done.exit_code == code, done.output
    assert said in " ".join(done.stderr.split())
    assert not Path("app").exists()


def test_a_folder_of_something_else_is_left_alone(run: Run) -> None:
    Path("app").mkdir()
    Path("app/notes.txt").write_text("mine")
    done = run("vespa", "app", "app", "--model", "clip-b32-openai")
    assert done.exit_code == 3
    assert "Name a new folder." in done.stderr
    assert [path.name for path in Path("app").iterdir()] == ["notes.txt"]
