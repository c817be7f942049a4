"""The manners of HTTP: methods, addresses, ranges, versions, bodies that are no request."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from serving import id_of, is_problem


def test_head_is_answered_as_get_without_the_body(client: Any) -> None:
    image = id_of(client, "red")
    digest = client.get(f"/api/images/{image}").json()["digest"]
    for path in (
        "/", "/healthz", "/metrics", "/login", "/api/openapi.json", "/api/search?q=red",
        "/api/status", f"/api/images/{image}", f"/api/images/{image}/preview?v={digest}",
        f"/api/images/{image}/original",
    ):  # fmt: skip
        whole, head = client.get(path), client.head(path)
        assert (head.status_code, head.content) == (200, b""), path
        for name in ("content-type", "etag", "cache-control", "accept-ranges"):
            assert head.headers.get(name) == whole.headers.get(name), (path, name)
    assert head.headers["content-length"] == str(len(whole.content))
    assert client.head("/api/images/unknown").status_code == 404
    assert client.head("/api/tags").status_code == 405


@pytest.mark.usefixtures("library")
def test_head_of_a_run_that_goes_on_does_not_wait_for_its_end(client: Any) -> None:
    job = client.post("/api/jobs", json={}).json()["id"]
    head = client.head(f"/api/jobs/{job}/events")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-type"].startswith("text/event-stream")


def test_every_address_says_which_methods_it_takes(client: Any) -> None:
    for path, methods in client.get("/api/openapi.json").json()["paths"].items():
        listed = {method.upper() for method in methods} | {"OPTIONS"}
        listed |= {"HEAD"} if "GET" in listed else set()
        options = client.options(path)
        assert options.status_code == 204, path
        assert {*options.headers["allow"].split(", ")} == listed, path
        assert "access-control-allow-origin" not in options.headers
        other = next(each for each in ("PATCH", "PUT", "DELETE") if each not in listed)
        answer = client.request(other, path)
        assert answer.status_code == 405, path
        assert {*answer.headers["allow"].split(", ")} == listed, path
        assert is_problem(answer)


ELSEWHERE = [
    "/api/search/", "/api/images/", "/api/images/x/", "/api/", "/api", "//api/search",
    "/api//search", "/api/images/..%2f..%2fetc%2fhostname", "/api/images/%2e%2e/status",
    "/api/images/../../etc/hostname", "/static/..%2f..%2fpyproject.toml",
    "/%00", "/api/images/%00",
    "/api/images/%ff%fe", "/favicon.icoo", "/.git/config", "/api/images/a%2fb/original",
    "/api/jobs/..%2f..", "/api/jobs/%0d%0aSet-Cookie:a=b",
]  # fmt: skip


def test_other_addresses_lead_nowhere(client: Any) -> None:
    for path in ELSEWHERE:
        answer = client.get(path, follow_redirects=False)
        assert answer.status_code == 404, path
        assert is_problem(answer), path
        assert "set-cookie" not in answer.headers


def test_an_id_may_be_percent_encoded(client: Any) -> None:
    image = id_of(client, "red")
    encoded = "".join(f"%{ord(char):02X}" for char in image)
    assert client.get(f"/api/images/{encoded}").json()["id"] == image


RANGES = [
    ("bytes=0-0", 206, slice(0, 1)),
    ("bytes=3-", 206, slice(3, None)),
    ("bytes=-4", 206, slice(-4, None)),
    ("bytes=-100000", 206, slice(None)),
    ("bytes=1-100000", 206, slice(1, None)),
    ("BYTES=1-2", 206, slice(1, 3)),
    (" bytes=1-2 ", 206, slice(1, 3)),
    ("bytes=1-2,5-6", 200, slice(None)),
    ("bytes=5-1", 200, slice(None)),
    ("bytes=-", 200, slice(None)),
    ("bytes=", 200, slice(None)),
    ("bytes=a-b", 200, slice(None)),
    ("bytes=-1-2", 200, slice(None)),
    ("bytes=1", 200, slice(None)),
    ("lines=1-2", 200, slice(None)),
    ("bytes=" + "9" * 400 + "-", 200, slice(None)),
    ("bytes=" + ",".join(f"{n}-{n}" for n in range(2000)), 200, slice(None)),
    ("bytes=100000-", 416, None),
    ("bytes=-0", 416, None),
    ("bytes=100000-100001", 416, None),
]


def test_ranges(client: Any, photos: Path) -> None:
    content = (photos / "in" / "red.png").read_bytes()
    there = f"/api/images/{id_of(client, 'red')}/original"
    for given, status, part in RANGES:
        answer = client.get(there, headers={"Range": given})
        assert answer.status_code == status, given
        if part is None:
            assert is_problem(answer)
            assert answer.headers["content-range"] == f"bytes */{len(content)}"
            continue
        assert answer.content == content[part], given
        assert int(answer.headers["content-length"]) == len(content[part])
        head = client.head(there, headers={"Range": given})
        assert head.headers.get("content-range") == answer.headers.get("content-range")


CONDITIONS = [
    ({"If-None-Match": "{tag}"}, 304),
    ({"If-None-Match": "W/{tag}"}, 304),
    ({"If-None-Match": "*"}, 304),
    ({"If-None-Match": '"x", {tag}'}, 304),
    ({"If-None-Match": '"x"'}, 200),
    ({"If-None-Match": "{tag}", "Range": "bytes=0-0"}, 304),
    ({"If-Range": "{tag}", "Range": "bytes=0-0"}, 206),
    ({"If-Range": "W/{tag}", "Range": "bytes=0-0"}, 200),
    ({"If-Range": '"x"', "Range": "bytes=0-0"}, 200),
    ({"If-Range": "Mon, 30 Nov 2026 00:00:00 GMT", "Range": "bytes=0-0"}, 200),
]


def test_conditions(client: Any, photos: Path) -> None:
    there = f"/api/images/{id_of(client, 'red')}/original"
    tag = client.get(there).headers["etag"]
    for headers, status in CONDITIONS:
        sent = {name: value.replace("{tag}", tag) for name, value in headers.items()}
        answer = client.get(there, headers=sent)
        assert answer.status_code == status, headers
        if status == 304:
            assert answer.content == b""
            assert answer.headers["etag"] == tag
    file = photos / "in" / "red.png"
    file.write_bytes(file.read_bytes())  # as another program writes the file again
    assert client.get(there, headers={"If-None-Match": tag}).status_code == 200
