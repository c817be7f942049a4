"""Who may ask, and what reaches them."""

from __future__ import annotations

import json
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from starlette import requests

from pixseek.errors import ConfigError
from pixseek.server import access
from pixseek.server.access import Access, comes_from_elsewhere
from pixseek.server.settings import Limits, Settings
from pixseek.types import Failure

from serving import Serve, id_of

READ, WRITE = "a-token-that-may-read", "a-token-that-may-write"
TOKENS = {READ: "read", WRITE: "write"}


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("localhost:8080", 200),
        ("127.0.0.1:1", 200),
        ("[::1]:8080", 200),
        ("LOCALHOST.", 200),
        ("photos.example", 200),
        ("rebound.example", 421),
        ("localhost.rebound.example", 421),
        ("127.0.0.1.rebound.example", 421),
        ("", 421),
        ("[::2", 421),
    ],
)
def test_a_name_that_is_not_the_servers_is_refused(serve: Serve, host: str, status: int) -> None:
    client = serve(names=("photos.example",))
    assert client.get("/api/libraries", headers={"Host": host}).status_code == status


def test_of_others_an_address_leads_here_and_a_name_does_not(serve: Serve) -> None:
    client = serve(bound_to="0.0.0.0", names=("photos.example",))
    for host, status in (
        ("192.0.2.7:8642", 200), ("[2001:db8::1]:8642", 200), ("photos.example:8642", 200),
        ("rebound.example", 421), ("192.0.2.7.rebound.example", 421), ("192.0.2", 421),
        ("[::1", 421), ("0x7f.1", 421), ("", 421),
    ):  # fmt: skip
        assert client.get("/api/libraries", headers={"Host": host}).status_code == status, host
    assert serve().get("/healthz", headers={"Host": "192.0.2.7"}).status_code == 421


def test_all_routes_but_the_open_ones_need_a_token(serve: Serve) -> None:
    client = serve(tokens=TOKENS)
    paths = client.get("/api/openapi.json", headers=bearer(READ)).json()["paths"]
    for path, methods in paths.items():
        for method in methods:
            there = path.replace("{image_id}", "x").replace("{name}", "x").replace("{job_id}", "x")
            answer = client.request(method, there)
            if path in ("/healthz", "/readyz"):
                assert answer.status_code == 200
            else:
                assert answer.status_code == 401, (method, path)
                assert answer.headers["www-authenticate"].startswith("Bearer")
    for path in ("/", "/api/openapi.json", "/metrics", "/nothing"):
        assert client.get(path).status_code == 401


#: What may be asked by POST without changing anything.
QUESTIONS = {
    "/api/search", "/api/facets", "/api/embed", "/api/classify", "/api/layout", "/api/export",
    "/api/images/{image_id}/why",
}  # fmt: skip


def changes(client: Any) -> list[tuple[str, str]]:
    """Every method and address that changes something, of the OpenAPI document and besides."""
    paths = client.get("/api/openapi.json", headers=bearer(READ)).json()["paths"]
    found = [
        (method.upper(), path.format(image_id="x", name="x", job_id="x"))
        for path, methods in paths.items()
        for method in methods
        if method != "get" and path not in QUESTIONS
    ]
    assert len(found) >= 7
    return found


def test_a_read_token_changes_nothing(serve: Serve) -> None:
    client = serve(Settings(), tokens=TOKENS)
    image = client.get("/api/search?q=name:red", headers=bearer(READ)).json()["hits"][0]["id"]
    bodies = {
        "/api/tags": {"ids": [image], "add": ["x"]},
        "/api/saved/x": {"query": "red"},
        "/api/jobs": {},
    }
    for method, path in changes(client):
        for there in {path, path.replace("/x", f"/{image}")}:
            answer = client.request(method, there, json=bodies.get(path), headers=bearer(READ))
            assert answer.status_code == 403, (method, there)
            assert answer.json()["type"] == "urn:pixseek:problem:read-only"
    assert client.post(
        "/api/tags", json=bodies["/api/tags"], headers=bearer(WRITE)
    ).json() == {"changed": 1}  # fmt: skip


def test_no_page_of_another_site_changes_anything(serve: Serve) -> None:
    client = serve(tokens=TOKENS)
    for method, path in [*changes(client), ("POST", "/login"), ("POST", "/logout")]:
        for site in ({"Origin": "https://other.example"}, {"Sec-Fetch-Site": "cross-site"}):
            answer = client.request(method, path, headers={**bearer(WRITE), **site})
            assert answer.status_code == 403, (method, path)
            assert answer.json()["type"] == "urn:pixseek:problem:other-site"


def test_read_only_holds_for_all(serve: Serve) -> None:
    for tokens, headers in ((None, {}), (TOKENS, bearer(WRITE)), (TOKENS, bearer(READ))):
        client = serve(read_only=True, tokens=tokens)
        answer = client.post("/api/jobs", json={}, headers=headers)
        assert answer.status_code == 403
        assert "--read-only" in answer.json()["advice"]


@pytest.mark.parametrize(
    "header", ["Bearer wrong-token-of-some-length", "Bearer", "Basic eDp5", f"bearer{READ}", ""]
)
def test_unknown_tokens_have_no_rights(serve: Serve, header: str) -> None:
    client = serve(tokens=TOKENS)
    assert client.get("/api/libraries", headers={"Authorization": header}).status_code == 401


def test_short_tokens_are_refused() -> None:
    with pytest.raises(ConfigError, match="too short"):
        Access.of(bound_to="0.0.0.0", tokens={"short": "read"})


def test_the_login_form_gives_a_cookie_that_holds_no_token(serve: Serve) -> None:
    client = serve(Settings(is_encrypted=True), tokens=TOKENS)
    assert client.get("/login").status_code == 200
    assert client.post("/login", data={"token": "wrong"}).status_code == 401
    answer = client.post("/login", data={"token": READ, "to": "/?q=red"}, follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/?q=red")
    cookie = answer.headers["set-cookie"]
    for flag in ("HttpOnly", "SameSite=lax", "Secure"):
        assert flag in cookie
    assert READ not in cookie
    value = cookie.partition("=")[2].partition(";")[0]
    assert client.get("/api/libraries", headers={"Cookie": f"pixseek_login={value}"}).is_success
    forged = value.replace("read", "write", 1)
    for wrong in (forged, value[:-1], "", "write.9999999999.", "a.b.c", '"'):
        there = client.get("/api/libraries", headers={"Cookie": f"pixseek_login={wrong}"})
        assert there.status_code == 401, wrong


def test_a_browser_is_led_to_the_login_form_and_back(serve: Serve) -> None:
    client = serve(Settings(prefix="/photos"), tokens=TOKENS)
    page = {"Accept": "text/html,*/*", "X-Forwarded-Proto": "https"}
    answer = client.get("/?q=a+b&k=3", headers=page, follow_redirects=False)
    assert answer.status_code == 303
    assert answer.headers["location"] == "/photos/login?to=/%3Fq%3Da%2Bb%26k%3D3"
    form = client.get("/login", params={"to": "/?q=a+b&k=3"}).text
    assert 'value="/?q=a+b&amp;k=3"' in form
    sent = {"token": READ, "to": "/?q=a+b&k=3"}
    answer = client.post("/login", data=sent, headers=page, follow_redirects=False)
    assert answer.headers["location"] == "/photos/?q=a+b&k=3"
    assert "; Secure" in answer.headers["set-cookie"]
    assert "Path=/photos" in answer.headers["set-cookie"]


def test_a_login_ends_and_counts_for_its_server_alone(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, other = serve(tokens=TOKENS), serve(tokens=TOKENS)
    answer = client.post("/login", data={"token": READ}, follow_redirects=False)
    login = {"Cookie": answer.headers["set-cookie"].partition(";")[0]}
    client.cookies.clear()
    assert client.get("/api/libraries", headers=login).status_code == 200
    assert other.get("/api/libraries", headers=login).status_code == 401
    later = time.time() + 12 * 3600 + 1
    monkeypatch.setattr(access, "time", SimpleNamespace(time=lambda: later))
    assert client.get("/api/libraries", headers=login).status_code == 401
    out = client.post("/logout", headers={"Cookie": "pixseek_login=x", **bearer(READ)},
                      follow_redirects=False)  # fmt: skip
    assert 'pixseek_login="";' in out.headers["set-cookie"]


def test_cookies_of_other_servers_are_not_read(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = serve(tokens=TOKENS)
    login = client.post("/login", data={"token": READ}, follow_redirects=False)
    ours = login.headers["set-cookie"].partition(";")[0]
    client.cookies.clear()
    seen = []
    parsed = requests.cookie_parser

    def watched(header: str) -> dict[str, str]:
        seen.append(header)
        return parsed(header)

    monkeypatch.setattr(requests, "cookie_parser", watched)
    for before, after in (
        ("", ""), ("other=1; ", "; more=2"), ('a="x; ', '; b="'), ("pixseek_look=dark.m.de; ", ""),
        ("pixseek_login=other; ", ""), (";;=;", ";"), ("\xff=1; ", ""), ("x" * 60_000 + "; ", ""),
    ):  # fmt: skip
        sent = f"{before}{ours}{after}".encode("latin-1")
        page = client.get("/", headers={"Cookie": sent})
        assert page.status_code == 200, before[:40]
    for wrong in (
        'pixseek_login="x"',
        "pixseek_login",
        f"x{ours}",
        f"{ours.replace('=', chr(34))}",
    ):
        assert client.get("/api/libraries", headers={"Cookie": wrong}).status_code == 401
    names = {pair.partition("=")[0] for header in seen for pair in header.split("; ")}
    assert names <= {"pixseek_login", "pixseek_look", ""}
    assert len(seen) > 5


def test_all_tokens_are_compared_whatever_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    rules = Access.of(bound_to="127.0.0.1", tokens=TOKENS)
    compared = []
    whole = access.hmac.compare_digest

    def counted(one: bytes, other: bytes) -> bool:
        compared.append((len(one), len(other)))
        return whole(one, other)

    monkeypatch.setattr(access.hmac, "compare_digest", counted)
    rights = [rules.rights_of_token(each) for each in (READ, WRITE, "", "x" * 10_000, READ[:-1])]
    assert rights == ["read", "write", None, None, None]
    assert compared == [(32, 32)] * 10  # digests of one length, all of them


@pytest.mark.parametrize("to", ["//other.example/", "https://other.example/", "/\\other.example"])
def test_a_login_leads_nowhere_else(serve: Serve, to: str) -> None:
    client = serve(tokens=TOKENS)
    answer = client.post("/login", data={"token": READ, "to": to}, follow_redirects=False)
    assert answer.headers["location"] == "/"


@pytest.mark.parametrize(
    ("headers", "elsewhere"),
    [
        ({}, False),  # a program
        ({"origin": "http://localhost:8080"}, False),
        ({"origin": "http://other.example"}, True),
        ({"origin": "http://localhost:9090"}, True),
        ({"origin": "null"}, True),
        ({"sec-fetch-site": "same-origin", "origin": "http://localhost:8080"}, False),
        ({"sec-fetch-site": "none"}, False),
        ({"sec-fetch-site": "same-site"}, True),
        ({"sec-fetch-site": "cross-site"}, True),
    ],
)
def test_pages_of_other_sites_change_nothing(headers: dict[str, str], elsewhere: bool) -> None:
    asked = {"host": "localhost:8080", **headers}
    assert comes_from_elsewhere("POST", asked) is elsewhere
    assert comes_from_elsewhere("GET", asked) is False


def test_a_form_of_another_site_is_refused(serve: Serve) -> None:
    client = serve()
    image = id_of(client, "red")
    answer = client.post(
        "/api/tags", json={"ids": [image], "add": ["x"]}, headers={"Origin": "http://other.example"}
    )
    assert answer.status_code == 403
    assert "tags" not in client.get(f"/api/images/{image}").json()


def test_pages_of_sites_that_are_set_may_ask_with_a_token(serve: Serve) -> None:
    client = serve(Settings(origins=("https://example.org",)), tokens=TOKENS)
    login = client.post("/login", data={"token": WRITE}, follow_redirects=False)
    cookie = login.headers["set-cookie"].partition(";")[0]
    client.cookies.clear()
    for origin, allowed in (
        ("https://example.org", True),
        ("http://example.org", False),
        ("https://example.org:444", False),
        ("https://a.example.org", False),
        ("https://example.org.other.example", False),
        ("null", False),
    ):
        site = {"Origin": origin, "Sec-Fetch-Site": "cross-site"}
        asked = {**site, "Access-Control-Request-Method": "POST",
                 "Access-Control-Request-Headers": "authorization,content-type"}  # fmt: skip
        before = client.options("/api/jobs", headers=asked)
        assert (before.status_code == 200) is allowed, origin
        for method, path, body in (("GET", "/api/libraries", None), ("POST", "/api/embed", {})):
            answer = client.request(method, path, json=body, headers={**site, **bearer(WRITE)})
            said = answer.headers.get("access-control-allow-origin")
            assert said == (origin if allowed else None), origin
            assert "access-control-allow-credentials" not in answer.headers
        assert (answer.status_code == 403) is not allowed
        login_of_visitor = client.get("/api/libraries", headers={**site, "Cookie": cookie})
        assert (login_of_visitor.status_code == 401) is allowed
    same = client.get("/api/libraries", headers={"Cookie": cookie})
    assert same.status_code == 200
    assert "access-control-allow-origin" not in same.headers


def test_each_client_has_so_many_requests(serve: Serve) -> None:
    client = serve(Settings(limits=Limits(requests_a_second=0.01, burst_s=300)))
    statuses = [client.get("/healthz").status_code for _ in range(5)]
    assert statuses == [200, 200, 200, 429, 429]
    assert int(client.get("/healthz").headers["retry-after"]) >= 1


def test_answers_carry_headers_against_misuse(client: Any) -> None:
    for path in ("/", "/api/libraries", "/nothing", "/api/search?kk=1"):
        headers = client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert "access-control-allow-origin" not in headers


def test_somebody_who_may_only_read_learns_nothing_of_the_machine(
    serve: Serve, tmp_path: Path
) -> None:
    client = serve(tokens=TOKENS)
    image = client.get("/api/search?q=name:red", headers=bearer(READ)).json()["hits"][0]["id"]
    job = client.post("/api/jobs", json={}, headers=bearer(WRITE)).json()["id"]
    listed = client.get("/api/openapi.json", headers=bearer(READ)).json()["paths"]
    paths = [path.format(image_id=image, job_id=job) for path in listed if "get" in listed[path]]
    assert len(paths) > 15
    for path in (
        *paths, *(f"{path}?q=red" for path in paths), "/", "/?q=red", f"/image/{image}",
        "/api/search?q=near:1", "/api/search?q=@nothing", "/api/openapi.json",
        "/api/images/x/preview?size=1600",
    ):  # fmt: skip
        said = client.get(path, headers=bearer(READ)).text
        assert str(tmp_path) not in said, path
        assert '"pid"' not in said, path
    whole = client.get("/api/search?q=red", headers=bearer(WRITE)).json()["hits"][0]
    assert whole["path"].startswith(str(tmp_path))


def test_readers_see_failures_without_what_is_for_the_owner(
    serve: Serve, photos: Path, library: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (photos / "broken.png").write_bytes(b"no image")
    (tmp_path / "elsewhere.png").write_bytes(b"no image")
    (photos / "link.png").symlink_to(tmp_path / "elsewhere.png")
    client = serve(tokens=TOKENS)
    job = client.post("/api/jobs", json={}, headers=bearer(WRITE)).json()["id"]
    while client.get(f"/api/jobs/{job}", headers=bearer(READ)).json()["ended_at"] is None:
        time.sleep(0.02)

    def texts(token: str) -> list[str]:
        paths = (
            "/api/failures",
            "/api/jobs",
            f"/api/jobs/{job}",
            f"/api/jobs/{job}/events",
            "/status",
        )
        return [client.get(path, headers=bearer(token)).text for path in paths]

    for reader, writer in zip(texts(READ), texts(WRITE), strict=True):
        assert str(tmp_path) not in reader
        if "broken.png" in writer:
            assert "broken.png" in reader
            assert "link leads out" in reader
            assert "The content is not an image" in reader
            assert "--follow-links" in writer
    # What is said of a run that failed, of a folder that is gone, and of a mistake of ours.
    failures = [
        Failure("photos/", "scan", "missing", f"{photos} is gone", f"Bring {photos} back."),
        Failure("photos/a.png", "decode", "unexpected", f"OSError: {photos}", "Report it."),
        Failure(str(photos), "read", "missing", "It is not there", "Check the path."),
    ]
    monkeypatch.setattr(type(library), "failures", lambda _: failures)
    for path in ("/api/failures", "/status"):
        assert str(photos) not in client.get(path, headers=bearer(READ)).text
        assert str(photos) in client.get(path, headers=bearer(WRITE)).text


def test_an_unexpected_error_says_nothing_of_itself(
    serve: Serve, library: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError(f"a secret of {tmp_path}")

    client = serve(tokens=TOKENS)
    monkeypatch.setattr(type(library), "search_many", broken)
    monkeypatch.setattr(type(library), "failures", broken)
    for path in ("/api/search?q=red", "/api/failures"):
        answer = client.get(path, headers=bearer(READ))
        assert answer.status_code == 500
        assert answer.headers["content-type"] == "application/problem+json"
        assert "secret" not in answer.text
        assert str(tmp_path) not in answer.text
        assert json.loads(answer.text)["status"] == 500
