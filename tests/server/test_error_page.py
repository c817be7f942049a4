"""Browsers get errors as a page, programs as problem details."""

from __future__ import annotations

from typing import Any

import pytest

from pixseek.errors import StorageError
from pixseek.library import Library
from pixseek.server.settings import Limits, Settings

from serving import Serve, is_problem

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


def is_page(answer: Any, status: int, said: str) -> bool:
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert answer.status_code == status
    assert "role=alert" in answer.text
    assert said in answer.text
    return "<script" not in answer.text


@pytest.mark.parametrize(
    ("method", "path", "status", "said"),
    [
        ("GET", "/nothing", 404, "No such address: /nothing"),
        ("GET", "/a/<b>&", 404, "/a/&lt;b&gt;&amp;"),
        ("GET", "/copies?library=none", 404, "No such library: none"),
        ("GET", "/status?colr=1", 422, "Unknown parameter: colr"),
        ("GET", "/login?to=/&to=/x", 422, "A parameter is given twice: to"),
        ("PUT", "/status", 405, "This address takes other methods"),
        ("POST", "/export", 422, "No such format"),
    ],
)
def test_browsers_get_a_page(client: Any, method: str, path: str, status: int, said: str) -> None:
    assert is_page(client.request(method, path, headers=BROWSER), status, said)
    for accept in ("*/*", "application/json"):
        answer = client.request(method, path, headers={"Accept": accept})
        assert answer.status_code == status
        assert is_problem(answer)


@pytest.mark.parametrize(
    ("path", "status"),
    [("/api/nothing", 404), ("/api/search?colr=1", 422), ("/static/1/none.js", 404)],
)
def test_addresses_of_programs_answer_as_ever(client: Any, path: str, status: int) -> None:
    answer = client.get(path, headers=BROWSER)
    assert (answer.status_code, answer.json()["status"]) == (status, status)


def test_a_library_that_fails_is_a_page_with_a_way_on(
    serve: Serve, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_: Library) -> int:
        raise StorageError("The library can't be read", library.path, "Look at the disk.")

    client = serve(Settings(prefix="/photos"))
    monkeypatch.setattr(Library, "__len__", fails)
    for path in ("/", "/status"):
        answer = client.get(path, headers=BROWSER)
        assert is_page(answer, 503, "The library can&#x27;t be read")
        assert "Look at the disk." in answer.text
        assert 'href="/photos/"' in answer.text
    assert is_problem(client.get("/"))
    reader = serve(tokens={"r" * 20: "read"})
    answer = reader.get("/", headers={**BROWSER, "Authorization": f"Bearer {'r' * 20}"})
    assert is_page(answer, 503, "The library is unavailable")
    assert str(library.path) not in answer.text


def test_the_page_of_a_search_has_the_status_of_its_error(
    client: Any, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any, **__: Any) -> Any:
        raise StorageError("The library can't be read", library.path, "Look at the disk.")

    assert client.get("/?library=none").status_code == 404
    assert client.get("/?q=year:x").status_code == 422
    monkeypatch.setattr("pixseek.server.page_routes.text_query", fails)
    answer = client.get("/?q=red", headers=BROWSER)
    assert (answer.status_code, "Look at the disk." in answer.text) == (503, True)


def test_what_the_guard_refuses_is_a_page_too(serve: Serve) -> None:
    client = serve(Settings(limits=Limits(requests_a_second=0.1, burst_s=10)))
    answer = client.get("/", headers={**BROWSER, "Host": "other.example"})
    assert is_page(answer, 421, "This server has another name: other.example")
    assert client.get("/healthz").status_code == 200
    answer = client.get("/", headers=BROWSER)
    assert is_page(answer, 429, "Too many requests")
    assert int(answer.headers["retry-after"]) > 0


def test_a_head_of_an_error_page_has_no_body(client: Any) -> None:
    answer = client.head("/nothing", headers=BROWSER)
    assert (answer.status_code, answer.content) == (404, b"")
