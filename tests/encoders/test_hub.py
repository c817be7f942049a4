"""Downloads from a server on this machine that answers like the hub.

huggingface_hub reads its environment when it is imported, so each download runs in another
process, which has imported all but that.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import classifier_files
import numpy as np
import pytest

from pixseek import encoders
from pixseek.encoders.hub import catalogue, download, pins, repository
from pixseek.encoders.hub.catalogue import Model, RemoteFile, Source
from pixseek.encoders.hub.consent import Consents
from pixseek.encoders.hub.digests import Digests
from pixseek.errors import ModelError

import tiny_models
from forks import Forks
from hub_server import Hub

REPO, REVISION = "somebody/models", "0123456789" * 4
NO_PORT = "http://127.0.0.1:9"  # "discard": nothing listens there

PROGRAM = """
import json, os, sys
from pathlib import Path
from pixseek import encoders
from pixseek.encoders.hub import catalogue
from pixseek.encoders.hub.catalogue import Model, RemoteFile, Source
from pixseek.errors import PixseekError

models_dir, repo, revision, files, offline, licence, name = json.loads(sys.argv[1])
if without := os.environ.get("WITHOUT"):
    from pixseek.encoders.hub import repository

    repository.find_spec = lambda package: None if package == without else True
source = Source(repo, "xenova", revision, tuple(RemoteFile(*file) for file in files))
tiny = Model("tiny", "", (source,), licence, 8, 16, 10, restricted=licence != "MIT")
catalogue.CATALOGUE = (tiny,) if name == "tiny" else ()
seen = []
try:
    encoder = encoders.load(
        name,
        models_dir=Path(models_dir),
        offline=offline,
        on_progress=lambda *told: seen.append(told),
    )
    answer = {"rows": encoder.encode_texts(["a red dog"]).tolist()}
except PixseekError as error:
    answer = {"error": str(error)}
print(json.dumps(answer | {"seen": seen}))
"""


_IMPORTED = (
    "onnxruntime", "tokenizers", "huggingface_hub.hf_api", "huggingface_hub.file_download",
    "pixseek.encoders.classifiers", "pixseek.encoders.onnx",
)  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def _forks() -> Iterator[None]:
    with Forks(*_IMPORTED, forgotten="huggingface_hub") as Download.forks:
        yield


class Download:
    """A process that loads the model `tiny`, or another."""

    forks: Forks

    def __init__(
        self, models_dir: Path, files: list[RemoteFile], endpoint: str, *, offline: bool = False,
        revision: str = REVISION, licence: str = "MIT", name: str = "tiny", **environment: str,
    ) -> None:  # fmt: skip
        specs = [[file.path, file.sha256, file.size] for file in files]
        kept = {k: v for k, v in os.environ.items() if not k.startswith("HF_")}
        given = json.dumps([str(models_dir), REPO, revision, specs, offline, licence, name])
        hub = {"HF_ENDPOINT": endpoint, "HF_HOME": str(models_dir / "home-of-hf")}
        self._process = self.forks.start(PROGRAM, [given], kept | hub | environment)

    def kill(self) -> None:
        self._process.kill()

    def end(self) -> dict[str, Any]:
        """Wait for the process and return its answer; it must print nothing else."""
        out, err = self._process.communicate()
        assert err == ""
        answer: dict[str, Any] = json.loads(out)
        return answer


@pytest.fixture(scope="module")
def contents(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of a tiny model; one is 24 MB larger than needed, to arrive in several parts."""
    folder = tmp_path_factory.mktemp("origin")
    tiny_models.xenova(folder)
    extra = np.random.default_rng(0).bytes(24_000_000)
    found = {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*.*") if p.is_file()
    }
    return found | {"onnx/big.bin": extra}


@pytest.fixture(scope="module")
def files(contents: dict[str, bytes]) -> list[RemoteFile]:
    return [
        RemoteFile(path, hashlib.sha256(content).hexdigest(), len(content))
        if path.startswith("onnx/")
        else RemoteFile(path)
        for path, content in sorted(contents.items())
    ]


def served(contents: dict[str, bytes]) -> Hub:
    return Hub(REPO, REVISION, contents)


def small(contents: dict[str, bytes], files: list[RemoteFile]) -> Any:
    """The files without the big one, for tests that don't need it."""
    rest = [file for file in files if file.path != "onnx/big.bin"]
    return {file.path: contents[file.path] for file in rest}, rest


def test_a_download_is_complete_checked_and_reported(
    contents: dict[str, bytes], files: list[RemoteFile], tmp_path: Path
) -> None:
    with served(contents) as server:
        answer = Download(tmp_path, files, server.url).end()
    assert np.linalg.norm(answer["rows"]) == pytest.approx(1)
    for file in files:
        assert (tmp_path / "tiny" / file.path).read_bytes() == contents[file.path]
        size = len(contents[file.path])
        told = [(done, total) for path, done, total in answer["seen"] if path == file.path]
        assert told[-1] == (size, size)
        assert [done for done, _ in told] == sorted(done for done, _ in told)
    big = [done for path, done, _ in answer["seen"] if path == "onnx/big.bin"]
    assert len(set(big)) >= 3, "progress is reported on the way, not only at the end"
    # The second time there are no requests: the server is gone.
    again = Download(tmp_path, files, NO_PORT).end()
    assert again == {"rows": answer["rows"], "seen": []}


def test_a_download_resumes_after_a_cut_connection(
    contents: dict[str, bytes], files: list[RemoteFile], tmp_path: Path
) -> None:
    with served(contents) as server:
        server.cut_after = {"big.bin": 15_000_000}
        answer = Download(tmp_path, files, server.url).end()
        asked = server.got("big.bin")
    assert "rows" in answer and len(asked) == 2
    assert asked[0] == "" and int(asked[1].removeprefix("bytes=").rstrip("-")) >= 10_000_000


def test_a_killed_download_leaves_no_model_but_keeps_complete_files(
    contents: dict[str, bytes], files: list[RemoteFile], tmp_path: Path
) -> None:
    files = sorted(files, key=lambda file: file.path == "onnx/big.bin")
    with served(contents) as server:
        server.stall_after = {"big.bin": 15_000_000}
        first = Download(tmp_path, files, server.url)
        assert server.stalled.wait(30)
        first.kill()
        assert not (tmp_path / "tiny/onnx/big.bin").exists()
        answer = Download(tmp_path, files, server.url).end()
        assert "rows" in answer
        assert [len(server.got(file.path)) for file in files] == [*[1] * (len(files) - 1), 2]
    assert (tmp_path / "tiny/onnx/big.bin").read_bytes() == contents["onnx/big.bin"]
    left = {p.relative_to(tmp_path / "tiny").as_posix() for p in (tmp_path / "tiny").rglob("*.*")}
    assert left == set(contents)


def test_wrong_content_is_deleted_and_reported(
    contents: dict[str, bytes], files: list[RemoteFile], tmp_path: Path
) -> None:
    contents, files = small(contents, files)
    path = "onnx/vision_model.onnx"
    bad = contents | {path: contents[path][:-1] + b"!"}
    with served(bad) as server:
        answer = Download(tmp_path, files, server.url).end()
    assert "differs from the pinned one" in answer["error"] and path in answer["error"]
    assert not (tmp_path / "tiny" / path).exists()
    with served(contents) as server:
        assert "rows" in Download(tmp_path, files, server.url).end()


def test_content_of_the_wrong_length_is_deleted_and_reported(
    contents: dict[str, bytes], files: list[RemoteFile], tmp_path: Path
) -> None:
    contents, files = small(contents, files)
    path = "onnx/vision_model.onnx"
    with served(contents | {path: b"<!doctype html>"}) as server:
        answer = Download(tmp_path, files, server.url).end()
    assert "got" in answer["error"] and "15 bytes" in answer["error"]
    assert not (tmp_path / "tiny" / path).exists()


def test_a_file_that_the_hub_lacks_is_reported(
    contents: dict[str, bytes], files: list[RemoteFile], tmp_path: Path
) -> None:
    contents, files = small(contents, files)
    del contents["onnx/vision_model.onnx"]
    with served(contents) as server:
        answer = Download(tmp_path, files, server.url).end()
        assert f"{server.url} answered 404" in answer["error"]


@pytest.mark.parametrize(
    ("offline", "environment", "reason"),
    [
        (False, {}, f"{NO_PORT}: "),
        (True, {}, "offline mode is on"),
        (False, {"HF_HUB_OFFLINE": "1"}, "HF_HUB_OFFLINE is set"),
    ],
)
def test_without_a_network_the_error_says_what_to_do(
    files: list[RemoteFile],
    tmp_path: Path,
    offline: bool,
    environment: dict[str, str],
    reason: str,
) -> None:
    said = Download(tmp_path, files, NO_PORT, offline=offline, **environment).end()["error"]
    assert reason in said
    assert str(tmp_path / "tiny") in said and f"{REPO}/tree/{REVISION}" in said
    assert "HF_ENDPOINT" in said and "--model demo" in said
    for file in files:
        assert file.path in said


@pytest.mark.parametrize("name", ["tiny", REPO])
def test_offline_mode_sends_no_request(
    contents: dict[str, bytes], files: list[RemoteFile], name: str, tmp_path: Path
) -> None:
    contents, files = small(contents, files)
    with served(contents) as server:
        server.page = {"cardData": {"license": "mit"}}
        said = Download(tmp_path, files, server.url, name=name, offline=True).end()["error"]
        assert "offline mode is on" in said and not server.requests
        there = Download(tmp_path, files, server.url, name=name).end()
        asked = len(server.requests)
        again = Download(tmp_path, files, server.url, name=name, offline=True).end()
        assert again["rows"] == there["rows"] and len(server.requests) == asked > 0


def test_two_processes_together_download_every_file_once(
    contents: dict[str, bytes], files: list[RemoteFile], tmp_path: Path
) -> None:
    contents, files = small(contents, files)
    with served(contents) as server:
        server.slow_s = 0.2
        both = [Download(tmp_path, files, server.url) for _ in range(2)]
        answers = [download.end() for download in both]
        assert [len(server.got(file.path)) for file in files] == [1] * len(files)
    assert answers[0]["rows"] == answers[1]["rows"]
    assert [] in [answer["seen"] for answer in answers], "one waited for the other"


# ------------------------------------------------------------------ files that only the hub knows


@pytest.mark.parametrize("revision", ["", REVISION])
def test_unlisted_files_are_downloaded_and_recorded(
    contents: dict[str, bytes], revision: str, tmp_path: Path
) -> None:
    held = contents | {"onnx/vision_model_fp16.onnx": b"not wanted", "README.md": b"nor this"}
    del held["onnx/big.bin"]
    with served(held) as server:
        answer = Download(tmp_path, [], server.url, revision=revision).end()
        assert sum("/api/models/" in path for _, path, _ in server.requests) == 1
        assert not server.got("README.md") and not server.got("vision_model_fp16.onnx")
    assert np.linalg.norm(answer["rows"]) == pytest.approx(1)
    record = json.loads((tmp_path / "tiny" / pins.RECORD).read_text())
    assert (record["repo"], record["revision"]) == (REPO, REVISION)
    for file in record["files"]:
        assert file["sha256"] == hashlib.sha256(held[file["path"]]).hexdigest()
    # The record is now the pin, and there are no more requests.
    assert "rows" in Download(tmp_path, [], NO_PORT, revision=revision).end()
    vision = tmp_path / "tiny/onnx/vision_model.onnx"
    vision.write_bytes(vision.read_bytes()[:-1] + b"!")
    assert "differs from the pinned one" in Download(tmp_path, [], NO_PORT).end()["error"]


def test_a_download_of_unlisted_files_resumes_with_its_first_commit(
    contents: dict[str, bytes], tmp_path: Path
) -> None:
    held = {path: content for path, content in contents.items() if path != "onnx/big.bin"}
    with served(held) as server:
        server.stall_after = {"vision_model.onnx": 100}
        first = Download(tmp_path, [], server.url, revision="")
        assert server.stalled.wait(30)
        first.kill()
        server.revision = "f" * 40  # somebody pushed
        assert "rows" in Download(tmp_path, [], server.url, revision="").end()
    assert json.loads((tmp_path / "tiny" / pins.RECORD).read_text())["revision"] == REVISION


def test_a_repository_without_the_model_raises_model_error(tmp_path: Path) -> None:
    with served({"config.json": b"{}"}) as server:
        said = Download(tmp_path, [], server.url, revision="").end()["error"]
    assert "onnx/vision_model.onnx" in said and REPO in said
    said = Download(tmp_path, [], NO_PORT, revision="").end()["error"]
    assert "HF_ENDPOINT" in said and "vision_model.onnx" in said and f"{REPO}/tree/main" in said


def test_weights_are_downloaded_once_in_the_safer_format() -> None:
    paths = [
        "config.json", "merges.txt", "modeling.py", "model.safetensors", "pytorch_model.bin",
        "flax_model.msgpack", "open_clip_model.safetensors", "open_clip_pytorch_model.bin",
        "1_Pooling/config.json", "2_Dense/pytorch_model.bin", "onnx/model.onnx", "README.md",
    ]  # fmt: skip
    assert repository.wanted("transformers", paths) == [
        "config.json", "merges.txt", "model.safetensors", "modeling.py",
    ]  # fmt: skip
    assert repository.wanted("open_clip", paths) == [
        "config.json", "merges.txt", "open_clip_model.safetensors",
    ]  # fmt: skip
    assert repository.wanted("sentence-transformers", paths) == [
        "1_Pooling/config.json", "2_Dense/pytorch_model.bin", "config.json", "merges.txt",
        "model.safetensors",
    ]  # fmt: skip
    shards = ["pytorch_model-1-of-2.bin", "pytorch_model.bin.index.json", "config.json"]
    assert repository.wanted("transformers", shards) == sorted(shards)
    assert repository.wanted(
        "immich", ["visual/model.onnx", "visual/fp16/model.armnn", "a.json"]
    ) == ["visual/model.onnx"]


def test_a_restrictive_licence_is_shown_and_must_be_accepted(
    contents: dict[str, bytes], files: list[RemoteFile], tmp_path: Path
) -> None:
    contents, files = small(contents, files)
    with served(contents) as server:
        said = Download(tmp_path, files, server.url, licence="CC-BY-NC-4.0").end()["error"]
        assert "CC-BY-NC-4.0" in said and "--accept-licence" in said and not server.requests
        Consents(tmp_path).give("licence", "tiny: CC-BY-NC-4.0")
        assert "rows" in Download(tmp_path, files, server.url, licence="CC-BY-NC-4.0").end()


# ------------------------------------------------------------------ repositories by their ids


def by_id(tmp_path: Path, endpoint: str, name: str = REPO) -> dict[str, Any]:
    return Download(tmp_path, [], endpoint, name=name).end()


@pytest.fixture
def held(contents: dict[str, bytes]) -> dict[str, bytes]:
    return {path: content for path, content in contents.items() if path != "onnx/big.bin"}


def test_any_repository_is_loaded_by_its_id_and_pinned(
    held: dict[str, bytes], tmp_path: Path
) -> None:
    with served(held) as server:
        server.page = {"cardData": {"license": "apache-2.0"}, "config": {"model_type": "clip"}}
        first = by_id(tmp_path, server.url)
        named = by_id(tmp_path, server.url, f"{REPO}@{REVISION}")
    assert first["rows"] == named["rows"] and len(first["seen"]) > 0
    record = json.loads((tmp_path / "somebody--models" / pins.RECORD).read_text())
    assert (record["repo"], record["revision"]) == (REPO, REVISION)
    assert record["licence"] == "apache-2.0"
    assert by_id(tmp_path, NO_PORT)["rows"] == first["rows"], "there are no more requests"
    assert pins.downloaded(tmp_path) == [REPO, f"{REPO}@{REVISION}"]
    (here, _) = encoders.downloaded(tmp_path)
    assert (here.licence, here.dim, here.source.revision) == ("apache-2.0", 8, REVISION)
    known = encoders.describe(REPO, tmp_path)
    assert known.folder == tmp_path / "somebody--models" and known.layout == "xenova"
    assert encoders.remove(REPO, tmp_path) > 0 and encoders.locate(REPO, tmp_path) is None


@pytest.mark.parametrize("layout", ["immich", "xenova"])
def test_the_layout_is_recognised_by_the_files_on_the_hub(layout: str, tmp_path: Path) -> None:
    getattr(tiny_models, layout)(tmp_path / "origin")
    origin = tmp_path / "origin"
    files = {
        p.relative_to(origin).as_posix(): p.read_bytes() for p in origin.rglob("*") if p.is_file()
    }
    with served(files) as server:
        server.page = {"cardData": {"license": "mit"}}
        assert "rows" in by_id(tmp_path, server.url)
    assert encoders.describe(REPO, tmp_path).layout == layout


@pytest.mark.parametrize(
    ("card", "licence"),
    [
        ({"license": "cc-by-nc-4.0"}, "cc-by-nc-4.0"),
        ({"license": "other", "license_name": "apple-amlr"}, "apple-amlr"),
        ({}, "no licence named"),
    ],
)
def test_a_licence_that_only_the_hub_knows_must_be_accepted(
    held: dict[str, bytes], card: dict[str, str], licence: str, tmp_path: Path
) -> None:
    with served(held) as server:
        server.page = {"cardData": card}
        said = by_id(tmp_path, server.url)["error"]
        assert f"{REPO}: {licence}" in said and f"download {REPO} --accept-licence" in said
        assert not any("resolve" in path for _, path, _ in server.requests)
        encoders.accept_licence(REPO, tmp_path, licence)
        assert "rows" in by_id(tmp_path, server.url)


def test_unusable_repositories_are_not_downloaded(tmp_path: Path) -> None:
    transformers = {"config.json": b"{}", "model.safetensors": b"..."}
    for files, page, reason in (
        ({"README.md": b""}, {}, "no model that pixseek can use"),
        (transformers, {"config": {"model_type": "llava"}}, "llava"),
        (transformers, {"config": {"model_type": "siglip2"}}, "pixseek[torch]"),
    ):
        with served(files) as server:
            server.page = page | {"cardData": {"license": "mit"}}
            said = Download(tmp_path, [], server.url, name=REPO, WITHOUT="torch").end()["error"]
            assert reason in said
            assert not any("resolve" in path for _, path, _ in server.requests)
    said = by_id(tmp_path, NO_PORT)["error"]
    assert "no such folder here" in said and "HF_ENDPOINT" in said


def test_a_classifier_is_downloaded_by_its_id(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pixseek.encoders import classifiers

    known = catalogue.on_hub("google/vit-base-patch16-224", classifiers.CATALOGUE)
    assert known and (known.alias, known.source.runtime) == ("vit-b16-imagenet:torch", "torch")
    classifier_files.classifier_folder(tmp_path / "origin")
    files = {
        p.relative_to(tmp_path / "origin").as_posix(): p.read_bytes()
        for p in (tmp_path / "origin").rglob("*.*")
        if p.is_file()
    }
    program = (
        "import sys; from pathlib import Path; from pixseek.encoders import classifiers\n"
        f"print(len(classifiers.load({REPO!r}, models_dir=Path(sys.argv[1])).labels))"
    )
    with served(files) as server:
        server.page = {"cardData": {"license": "mit"}, "config": {"model_type": "vit"}}
        environment = {**os.environ, "HF_ENDPOINT": server.url, "HF_HUB_OFFLINE": "0"}
        printed, errors = Download.forks.start(program, [str(tmp_path)], environment).communicate()
    assert printed.strip().isdigit(), errors
    with pytest.raises(ModelError, match="no such folder here"):
        classifiers.load("somebody/else", models_dir=tmp_path, offline=True)


def test_the_id_of_a_repository_in_the_catalogue_gives_the_catalogues_model() -> None:
    first = catalogue.on_hub("onnx-community/siglip2-base-patch16-224-ONNX")
    assert first is catalogue.find("siglip2-b16-224")
    other = catalogue.on_hub("openai/clip-vit-base-patch32")
    assert other == catalogue.find("clip-b32-openai:torch")
    newer = catalogue.on_hub("openai/clip-vit-base-patch32@main")
    assert newer and newer.alias.endswith("@main") and newer.source.revision == "main"
    assert catalogue.on_hub("a/b/c") is None and catalogue.on_hub("./b") is None


def test_a_folder_precedes_a_repository_of_the_same_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny_models.immich(tmp_path / "openai/clip-vit-base-patch32")
    monkeypatch.chdir(tmp_path)
    encoder = encoders.load("openai/clip-vit-base-patch32", models_dir=tmp_path / "models")
    assert encoder.name == "clip-vit-base-patch32"


def test_removing_a_model_deletes_its_files(
    contents: dict[str, bytes], files: list[RemoteFile], model: Model, tmp_path: Path
) -> None:
    contents, files = small(contents, files)
    put(tmp_path / "tiny", contents)
    assert download.remove(model, tmp_path) == sum(map(len, contents.values()))
    assert pins.local(model, tmp_path) is None and download.remove(model, tmp_path) == 0


# ------------------------------------------------------------------ without a network


def put(folder: Path, contents: dict[str, bytes]) -> None:
    for path, content in contents.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)


@pytest.fixture
def model(contents: dict[str, bytes], files: list[RemoteFile]) -> Model:
    _, rest = small(contents, files)
    source = Source(REPO, "xenova", REVISION, tuple(rest))
    return Model("tiny", "", (source,), "MIT", 8, 16, 10)


def test_a_folder_filled_by_hand_is_checked_and_used(
    contents: dict[str, bytes], files: list[RemoteFile], model: Model, tmp_path: Path
) -> None:
    assert pins.local(model, tmp_path) is None
    put(tmp_path / "tiny", small(contents, files)[0])
    assert pins.local(model, tmp_path) == tmp_path / "tiny"
    assert download.fetch(model, tmp_path, Digests(tmp_path), offline=True) == tmp_path / "tiny"
    path = tmp_path / "tiny/onnx/text_model.onnx"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(0, 0))
    with pytest.raises(ModelError, match=r"(?i)text_model\.onnx"):
        download.fetch(model, tmp_path, Digests(tmp_path), offline=True)
    assert path.exists(), "a file of the user is not deleted"


def test_an_incomplete_model_is_not_used(
    contents: dict[str, bytes], files: list[RemoteFile], model: Model, tmp_path: Path
) -> None:
    put(tmp_path / "tiny", small(contents, files)[0])
    path = tmp_path / "tiny/onnx/text_model.onnx"
    path.write_bytes(path.read_bytes()[:-1])
    assert pins.local(model, tmp_path) is None
    path.unlink()
    assert pins.local(model, tmp_path) is None
    with pytest.raises(ModelError, match=r"(?i)offline mode is on"):
        download.fetch(model, tmp_path, Digests(tmp_path), offline=True)


def test_a_model_that_cannot_be_stored_raises_model_error(model: Model, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ModelError, match=r"(?i)can't be stored"):
        download.fetch(model, tmp_path / "file", Digests(tmp_path))


def test_pins_are_complete() -> None:
    aliases = [model.alias for model in catalogue.CATALOGUE]
    assert len(set(aliases)) == len(aliases) and catalogue.DEFAULT in aliases
    for source in (source for model in catalogue.CATALOGUE for source in model.sources):
        assert not source.revision or (len(source.revision) == 40 and int(source.revision, 16))
        for file in source.files:
            large = file.path.endswith((".onnx", ".gz"))
            assert file.sha256 or not large, f"{file.path} has no digest"
            assert not file.sha256 or (len(file.sha256) == 64 and int(file.sha256, 16))
            assert file.sha256 or not file.size
