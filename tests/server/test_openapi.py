"""The server does what its OpenAPI document says: schemathesis asks it thousands of questions."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from films import film
from pixseek.library import Library
from pixseek.server import shapes
from pixseek.server.access import Access
from pixseek.server.settings import Limits, Settings

from serving import Serve, id_of, listening


@pytest.mark.slow
def test_schemathesis_finds_nothing(library: Library, tmp_path: Path) -> None:
    """All its checks and phases, but three checks.

    - positive_data_acceptance: a schema tells nothing of the query language or of what a picture
      is; `no_valid_parameter_is_refused` is what is left of it.
    - ignored_auth: the document says that a token is optional, since a server on loopback needs
      none; `test_access` asks every route without one.
    - ensure_resource_availability: a job that was started may be forgotten.
    """
    pytest.importorskip("schemathesis")
    from pixseek.server.app import create_app

    app = create_app(
        {"photos": library},
        access=Access.of(bound_to="127.0.0.1"),
        settings=Settings(limits=Limits(requests_a_second=0), uploads=tmp_path / "uploads"),
    )
    # Some image for what is only asked about; those that are deleted are found by links.
    image = library.search("red").hits[0].record.id
    (tmp_path / "schemathesis.toml").write_text(
        f'[[operations]]\ninclude-path-regex = "^/api/images/.*"\nexclude-method = "DELETE"\n'
        f'parameters = {{ image_id = "{image}" }}\n'
    )
    with listening(app) as address:
        done = subprocess.run(
            [
                sys.executable, "-m", "schemathesis.cli", "run", f"{address}/api/openapi.json",
                "--max-examples=25", "--generation-deterministic", "--no-color", "--checks=all",
                "--exclude-checks=positive_data_acceptance,ignored_auth,"
                "ensure_resource_availability",
            ],
            env={
                **os.environ,
                "SCHEMATHESIS_HOOKS": "schemathesis_checks",
                "PYTHONPATH": str(Path(__file__).parent),
            },
            cwd=tmp_path, capture_output=True, text=True, timeout=230, check=False,
        )  # fmt: skip
    found = re.search(r"(\d+) generated", done.stdout)
    assert done.returncode == 0, done.stdout
    assert found is not None
    assert int(found[1]) > 500


def test_every_example_is_a_request_that_is_answered_like_its_example(
    serve: Serve, tmp_path: Path, photos: Path
) -> None:
    """Each example of the document is sent; the answer has the names of the example's answer."""
    (photos / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nno")
    (photos / "copy.png").write_bytes((photos / "in" / "red.png").read_bytes())
    Image.new("RGB", (40, 30), "red").save(photos / "a dog.jpg")
    film(photos / "party.mp4")
    client = serve(
        Settings(uploads=tmp_path / "uploads", limits=Limits(requests_a_second=0)),
    )
    document = client.get("/api/openapi.json").json()
    image, job = id_of(client, "red"), started(client)
    content = (photos / "in" / "blue.png").read_bytes()
    known = {"image_id": image, "job_id": job, "name": "dogs"}
    video = id_of(client, "party")
    names = [each["operationId"] for path in document["paths"].values() for each in path.values()]
    assert len(names) == len(set(names)) > 25
    operations = [
        (path, method, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    # Changes first, deletions last; tags before searches, so that a hit has some.
    operations.sort(key=lambda each: (each[1] == "delete", each[1] == "get", "tags" not in each[0]))
    for path, method, operation in operations:
        in_path = [each for each in operation.get("parameters", ()) if each["in"] == "path"]
        assert all("example" in each for each in in_path), path
        params = {
            each["name"]: each["examples"][0]
            if "examples" in each
            else each["schema"]["examples"][0]
            for each in operation.get("parameters", ())
            if each["in"] == "query" and ("examples" in each or "examples" in each["schema"])
        }
        bodies = operation.get("requestBody", {}).get("content", {"": {}})
        for kind, body in bodies.items():
            options: dict[str, Any] = {}
            example = body.get("example", (body.get("schema", {}).get("examples") or [None])[0])
            if kind == "application/json":
                text = json.dumps(example).replace(shapes.RECORD["id"], image)
                options = {"json": json.loads(text)}
            elif kind:
                files = {
                    name: ("x.png", content) for name in ("image", "images") if name in example
                }
                rest = {name: value for name, value in example.items() if name not in files}
                options = {"files": files, "data": rest}
            if operation["operationId"] == "clip":
                known["image_id"] = video
            answer = client.request(method, path.format(**known), params=params, **options)
            known["image_id"] = image
            said = (method, path, kind, answer.text[:500])
            wanted = operation["responses"].get(str(answer.status_code))
            assert answer.is_success, said
            assert wanted is not None, said
            if answer.headers["content-type"] == "application/json":
                shown = wanted["content"]["application/json"]["example"]
                assert differences(shown, answer.json()) == [], said
        assert operation["summary"], path
        if operation["operationId"] in ("start_job", "upload_images", "stop_job"):
            wait_for_runs(client)


#: Objects whose names differ from one library to another.
OPEN = {"took_ms", "seconds", "failures", "folder", "year", "camera", "tag", "colour", "format"}


def differences(example: Any, answer: Any, place: str = "") -> list[str]:
    """The names of objects that only one of them has, at any depth."""
    if isinstance(example, dict) and isinstance(answer, dict):
        only = [f"{place}.{name}" for name in example.keys() ^ answer.keys()]
        if place.rpartition(".")[2] in OPEN or ("uri" in answer and "digest" in answer):
            only = []
        return only + [
            each
            for name in example.keys() & answer.keys()
            for each in differences(example[name], answer[name], f"{place}.{name}")
        ]
    if isinstance(example, list) and isinstance(answer, list):
        if bool(example) > bool(answer):
            return [] if place.endswith(".tags") else [f"{place} is empty"]
        return differences(example[0], answer[0], f"{place}[]") if example and answer else []
    return [] if None in (example, answer) or isinstance(answer, kind_of(example)) else [place]


def kind_of(value: Any) -> Any:
    return (int, float) if isinstance(value, int | float) else type(value)


def started(client: Any) -> str:
    job = client.post("/api/jobs", json={}).json()["id"]
    wait_for_runs(client)
    return str(job)


def wait_for_runs(client: Any) -> None:
    while any(each["ended_at"] is None for each in client.get("/api/jobs").json()):
        time.sleep(0.02)
