"""Images over HTTP: records, pictures, files, what users say, uploads and runs."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pixseek.errors import QueryError, StorageError
from pixseek.library import Library, surfaces
from pixseek.server import served
from pixseek.server.problems import Refused
from pixseek.server.ranges import asked_range
from pixseek.server.settings import Settings
from pixseek.types import Progress, Report

from serving import Serve, id_of, is_problem


def png(colour: str) -> bytes:
    made = io.BytesIO()
    Image.new("RGB", (32, 32), colour).save(made, "PNG")
    return made.getvalue()


def test_a_record_is_all_that_is_known(client: Any) -> None:
    found = client.get(f"/api/images/{id_of(client, 'red')}").json()
    assert (found["uri"], found["media"]) == ("photos/in/red.png", "image/png")
    assert client.get("/api/images/unknown").status_code == 404


def test_previews_may_be_kept_for_ever_under_their_content(client: Any) -> None:
    image = id_of(client, "red")
    digest = client.get(f"/api/images/{image}").json()["digest"]
    there = f"/api/images/{image}/preview"
    answer = client.get(there, params={"v": digest})
    assert answer.headers["content-type"] == "image/jpeg"
    assert "immutable" in answer.headers["cache-control"]
    assert Image.open(io.BytesIO(answer.content)).format == "JPEG"
    assert "immutable" not in client.get(there).headers["cache-control"]
    assert "immutable" not in client.get(there, params={"v": "other"}).headers["cache-control"]
    tag = answer.headers["etag"]
    for given_tag in (tag, f'"x", {tag}', f"W/{tag}"):
        again = client.get(there, headers={"If-None-Match": given_tag})
        assert (again.status_code, again.content) == (304, b"")
    assert client.get(there, headers={"If-None-Match": '"x"'}).status_code == 200


def test_the_original_comes_whole_or_in_part(client: Any, photos: Path) -> None:
    content = (photos / "in" / "red.png").read_bytes()
    there = f"/api/images/{id_of(client, 'red')}/original"
    whole = client.get(there)
    assert whole.content == content
    assert whole.headers["content-type"] == "image/png"
    assert whole.headers["content-disposition"] == "inline"
    part = client.get(there, headers={"Range": "bytes=2-5"})
    assert (part.status_code, part.content) == (206, content[2:6])
    assert part.headers["content-range"] == f"bytes 2-5/{len(content)}"
    assert client.get(there, headers={"Range": "bytes=-3"}).content == content[-3:]
    assert client.get(there, headers={"Range": f"bytes={len(content)}-"}).status_code == 416
    assert client.get(there, headers={"Range": "bytes=0-0,5-6"}).status_code == 200
    tag = {"If-Range": whole.headers["etag"], "Range": "bytes=0-0"}
    assert client.get(there, headers=tag).status_code == 206
    assert client.get(there, headers={**tag, "If-Range": '"x"'}).status_code == 200


@given(st.integers(0, 30), st.integers(0, 40), st.integers(0, 40))
def test_ranges_are_those_of_slices(size: int, first: int, last: int) -> None:
    content = bytes(range(size))
    headers = {
        f"bytes={first}-{last}": content[first : last + 1] if last >= first else None,
        f"bytes={first}-": content[first:],
        f"bytes=-{last}": content[-last:] if last else b"",
    }
    for header, wanted in headers.items():
        try:
            found = asked_range(header, size)
        except Refused as error:
            assert error.kind.status == 416
            assert wanted == b""
            continue
        assert wanted is None if found is None else content[slice(*found)] == wanted != b""


def test_what_could_be_a_page_is_never_shown(client: Any, photos: Path) -> None:
    (photos / "drawing.svg").write_text(
        '<svg xmlns="http://www.w3.org/2000/svg" width="40" height="40">'
        '<rect width="40" height="40" fill="#060"/></svg>'
    )
    ended(client, client.post("/api/jobs", json={}).json())
    answer = client.get(f"/api/images/{id_of(client, 'drawing')}/original")
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"] == "attachment"
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_nothing_outside_of_the_roots_is_sent(
    client: Any, library: Library, photos: Path, tmp_path: Path
) -> None:
    image = id_of(client, "red")
    (tmp_path / "secret.png").write_bytes(png("black"))
    (photos / "in" / "red.png").unlink()
    (photos / "in" / "red.png").symlink_to(tmp_path / "secret.png")
    assert client.get(f"/api/images/{image}/original").status_code == 404
    (photos / "in" / "red.png").unlink()
    os.mkfifo(photos / "in" / "red.png")
    assert client.get(f"/api/images/{image}/original").status_code == 404


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_a_folder_that_becomes_a_link_leads_nowhere(
    client: Any, photos: Path, tmp_path: Path
) -> None:
    image = id_of(client, "red")
    digest = client.get(f"/api/images/{image}").json()["digest"]
    (tmp_path / "elsewhere").mkdir()
    secret = png("black")
    (tmp_path / "elsewhere" / "red.png").write_bytes(secret)
    (photos / "in").rename(tmp_path / "before")
    (photos / "in").symlink_to(tmp_path / "elsewhere")
    assert client.get(f"/api/images/{image}/original").status_code == 404
    assert client.head(f"/api/images/{image}/original").status_code == 404
    for query in ("", "?size=320", f"?size=320&v={digest}"):
        answer = client.get(f"/api/images/{image}/preview{query}")
        if answer.status_code == 200:  # the stored preview
            red, green, blue = (
                Image.open(io.BytesIO(answer.content)).convert("RGB").getpixel((9, 9))
            )
            assert red > green + blue, query


@pytest.mark.usefixtures("library")
def test_what_users_say(client: Any) -> None:
    image = id_of(client, "red")
    said = {"ids": [image], "add": ["a", "b"], "rating": 4, "caption": "mine",
            "fields": {"price": 2.5, "pages": 5, "sold": True}}  # fmt: skip
    assert client.post("/api/tags", json=said).json() == {"changed": 1}
    found = client.get(f"/api/images/{image}").json()
    assert (found["tags"], found["rating"], found["caption"]) == (["a", "b"], 4, "mine")
    assert [repr(found[f"user.{name}"]) for name in ("price", "pages", "sold")] == [
        "2.5", "5", "True",
    ]  # fmt: skip
    for wrong in (
        {"ids": []}, {"ids": ["unknown"]}, {"ids": [image], "rating": 6}, {"add": ["x"]},
        {"ids": [image], "rating": 4.5}, {"ids": [image], "ad": ["x"]}, {"ids": "x"}, [],
        {"ids": ["photos/in/red.png"]}, {"ids": [image], "clear": ["everything"]},
    ):  # fmt: skip
        assert client.post("/api/tags", json=wrong).status_code in (404, 422), wrong
    assert client.post("/api/tags", json={"ids": [image], "clear": ["all"]}).is_success
    assert "tags" not in client.get(f"/api/images/{image}").json()


def test_removing_an_image_leaves_its_file(client: Any, photos: Path) -> None:
    image = id_of(client, "red")
    assert client.delete(f"/api/images/{image}").json() == {"removed": 1}
    assert (photos / "in" / "red.png").is_file()
    assert client.delete(f"/api/images/{image}").status_code == 404


def ended(client: Any, job: Any) -> dict[str, Any]:
    """Watch a run until it ends; return its last state."""
    with client.stream("GET", f"/api/jobs/{job['id']}/events") as events:
        lines = [line for line in events.iter_lines() if line.startswith("data: ")]
    states = [json.loads(line[6:]) for line in lines]
    assert states[-1] == client.get(f"/api/jobs/{job['id']}").json()
    assert states[-1]["ended_at"] is not None
    return dict(states[-1])


def test_uploads_are_indexed(serve: Serve, tmp_path: Path) -> None:
    folder = tmp_path / "uploads"
    client = serve(Settings(uploads=folder))
    sent = [
        ("images", ("../../odd name?.txt", png("black"))),
        ("images", ("odd name_.png", png("white"))),
        ("images", ("...", png("green"))),
    ]
    answer = client.post("/api/images", files=sent)
    assert answer.status_code == 202
    assert ended(client, answer.json())["report"]["added"] == 3
    assert sorted(each.name for each in folder.iterdir()) == [
        "image.png", "odd_name-2.png", "odd_name.png",
    ]  # fmt: skip
    assert not (tmp_path / "odd name?.txt").exists()
    bad = [*sent[:1], ("images", ("x.png", b"no image"))]
    assert client.post("/api/images", files=bad).status_code == 422
    assert len(list(folder.iterdir())) == 3
    assert client.post("/api/images", data={"x": "y"}).status_code == 415


def test_uploads_that_can_not_be_stored_or_indexed_leave_nothing(
    serve: Serve, library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = [("images", (f"{n}.png", png("black"))) for n in range(3)]
    (tmp_path / "file").write_text("x")
    answer = serve(Settings(uploads=tmp_path / "file" / "x")).post("/api/images", files=sent)
    assert answer.status_code == 503
    assert is_problem(answer)

    folder = tmp_path / "uploads"
    client = serve(Settings(uploads=folder))
    whole = surfaces.store_file

    def full(folder: Path, stem: str, *rest: Any) -> Path:
        if stem == "2":
            raise StorageError("The upload can't be stored (No space left on device)", folder)
        return whole(folder, stem, *rest)

    monkeypatch.setattr(surfaces, "store_file", full)
    assert client.post("/api/images", files=sent).status_code == 503
    assert list(folder.iterdir()) == []
    monkeypatch.undo()

    def waits(_: Any, **options: Any) -> Any:
        yield Progress("index", 0, None)
        options["stop"].wait(20)
        return Report(stopped=True)

    ending = serve(Settings(uploads=folder))

    def last(*given: Any) -> Path:
        ending.app.stop_runs()  # type: ignore[attr-defined]
        return whole(*given)

    monkeypatch.setattr(surfaces, "store_file", last)
    for _ in range(2):  # the server ends while it stores, and has been told to
        answer = ending.post("/api/images", files=sent)
        assert (answer.status_code, answer.json()["type"]) == (503, "urn:pixseek:problem:stopping")
        assert answer.headers["retry-after"] == "10"
        assert list(folder.iterdir()) == []
    monkeypatch.undo()

    monkeypatch.setattr(Library, "indexing", waits)
    job = client.post("/api/jobs", json={}).json()["id"]
    answer = client.post("/api/images", files=sent)
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:pixseek:problem:locked")
    assert list(folder.iterdir()) == []
    assert client.post("/api/jobs", json={}).status_code == 409
    client.post(f"/api/jobs/{job}/stop")
    assert ended(client, {"id": job})["state"] == "stopped"


def test_a_server_without_a_folder_takes_no_uploads(client: Any) -> None:
    answer = client.post("/api/images", files=[("images", ("x.png", png("red")))])
    assert (answer.status_code, answer.json()["type"]) == (501, "urn:pixseek:problem:no-uploads")


def test_a_run_is_started_watched_and_stopped(client: Any, photos: Path) -> None:
    (photos / "new.png").write_bytes(png("blue"))
    answer = client.post("/api/jobs", json={})
    assert answer.status_code == 202
    last = ended(client, answer.json())
    assert (last["state"], last["report"]["added"]) == ("done", 1)
    assert [each["id"] for each in client.get("/api/jobs").json()] == [last["id"]]
    assert client.post(f"/api/jobs/{last['id']}/stop").json()["state"] == "done"
    for path in ("/api/jobs/x", "/api/jobs/x/events"):
        assert client.get(path).status_code == 404
    assert client.post("/api/jobs", json={"kind": "wipe"}).status_code == 422


def test_a_run_of_another_process_that_began_meanwhile_ends_one(
    client: Any, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(served, "check_no_run", lambda _: None)
    with library.opened.writing():
        last = ended(client, client.post("/api/jobs", json={}).json())
    assert last["state"] == "failed"
    assert last["error"]["type"] == "urn:pixseek:problem:locked"


def test_vectors_of_texts_and_images(client: Any, library: Library) -> None:
    import base64

    import numpy as np

    asked = {"texts": ["red"], "images": [base64.b64encode(png("red")).decode()]}
    found = client.post("/api/embed", json=asked).json()
    assert found["dim"] == len(found["texts"][0]) == len(found["images"][0]) == 48
    assert np.linalg.norm(found["images"][0]) == pytest.approx(1, abs=1e-5)
    assert found["fingerprint"] == library.encoder().fingerprint
    binary = client.post("/api/embed", json=asked, headers={"Accept": "application/octet-stream"})
    assert (binary.headers["x-texts"], binary.headers["x-images"]) == ("1", "1")
    rows = np.frombuffer(binary.content, "<f2").reshape(2, 48)
    assert np.allclose(rows, [found["texts"][0], found["images"][0]], atol=1e-3)
    form = client.post(
        "/api/embed", files=[("images", ("x", png("red")))], data={"texts": '["red"]'}
    )
    assert form.json() == found
    for wrong in ({}, {"texts": [""]}, {"texts": [1]}, {"images": ["?"]}, {"images": ["aGk="]},
                  {"texts": ["x"] * 300}, {"text": ["x"]}):  # fmt: skip
        assert client.post("/api/embed", json=wrong).status_code == 422, wrong


def test_classes_of_an_image(client: Any) -> None:
    image = id_of(client, "blue")
    labels = ["red", "blue"]
    found = client.post("/api/classify", json={"id": image, "labels": labels}).json()
    assert {each["label"] for each in found} == set(labels)
    form = client.post(
        "/api/classify", files={"image": ("x", png("blue"))}, data={"labels": json.dumps(labels)}
    )
    assert form.status_code == 200
    for wrong in ({"id": image}, {"id": image, "labels": []}, {"labels": labels},
                  {"id": "photos/in/blue.png", "labels": labels}):  # fmt: skip
        assert client.post("/api/classify", json=wrong).status_code == 422, wrong


@pytest.mark.usefixtures("library")
def test_the_server_says_whether_it_is_well(client: Any) -> None:
    assert client.get("/healthz").json() == client.get("/readyz").json() == {"status": "ok"}
    client.get("/api/search?q=red")
    said = client.get("/metrics").text
    assert 'pixseek_library_images{library="photos"} 4.0' in said
    assert 'pixseek_search_stage_seconds_count{stage="encode"} 1.0' in said
    assert 'route="/api/search"' in said


def test_every_endpoint_has_examples_that_fit_their_schemas(client: Any) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    document = client.get("/api/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    checked = 0
    for path, methods in document["paths"].items():
        for method, route in methods.items():
            bodies = list(route.get("requestBody", {}).get("content", {}).items())
            for status, answer in route["responses"].items():
                for media, content in answer.get("content", {}).items():
                    bodies.append((media, content))
                    assert "example" in content, (path, method, status)
            for media, content in bodies:
                if not media.endswith("json"):
                    continue
                examples = [content["example"]] if "example" in content else []
                schema = {**content["schema"], "components": document["components"]}
                if not examples:
                    examples = content["schema"].get("examples", [])
                assert examples, (path, method, media)
                for example in examples:
                    jsonschema.validate(example, schema)
                    checked += 1
    assert checked > 100


def test_answers_fit_their_schemas(client: Any, photos: Path) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    (photos / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nno")
    (photos / "copy.png").write_bytes((photos / "in" / "red.png").read_bytes())
    ended(client, client.post("/api/jobs", json={}).json())
    image = id_of(client, "red")
    document = client.get("/api/openapi.json").json()
    for there, path in (
        ("/api/search?q=red", "/api/search"), (f"/api/images/{image}", "/api/images/{image_id}"),
        ("/api/status", "/api/status"), ("/api/failures", "/api/failures"),
        ("/api/models", "/api/models"), ("/api/duplicates", "/api/duplicates"),
        ("/api/jobs", "/api/jobs"), ("/api/facets?q=red", "/api/facets"),
        ("/api/libraries", "/api/libraries"),
    ):  # fmt: skip
        answer = client.get(there)
        content = document["paths"][path]["get"]["responses"]["200"]["content"]
        schema = {**content["application/json"]["schema"], "components": document["components"]}
        jsonschema.validate(answer.json(), schema)
        assert answer.json(), there


@pytest.mark.parametrize("what", [{"add": [""]}, {"add": ["a", "  "]}, {"remove": [","]}])
def test_an_empty_tag_is_refused(client: Any, library: Library, what: dict[str, Any]) -> None:
    image = id_of(client, "red")
    answer = client.post("/api/tags", json={"ids": [image], **what})
    assert (answer.status_code, answer.json()["problem"]) == (422, "A tag is empty")
    with pytest.raises(QueryError, match="A tag is empty"):
        library.tag(image, **what)


def test_originals_are_read_where_systems_have_no_pread(
    client: Any, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "pread", raising=False)  # Windows
    image, whole = id_of(client, "red"), (photos / "in" / "red.png").read_bytes()
    assert client.get(f"/api/images/{image}/original").content == whole
    part = client.get(f"/api/images/{image}/original", headers={"Range": "bytes=5-24"})
    assert (part.status_code, part.content) == (206, whole[5:25])
