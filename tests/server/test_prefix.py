"""With a prefix the server answers whether a proxy removes it, keeps it, or there is no proxy."""

from __future__ import annotations

import re

import pytest

from pixseek.errors import ConfigError
from pixseek.server.settings import Settings

from serving import Serve, id_of


@pytest.mark.parametrize("prefix", ["/photos", "/a/b"])
def test_all_addresses_answer_with_the_prefix_and_without(serve: Serve, prefix: str) -> None:
    client = serve(Settings(prefix=prefix))
    image = id_of(client, "red")
    page = client.get(f"{prefix}/").text
    script = re.search(rf'src="{prefix}(/static/[^"]+)"', page)
    assert script is not None
    for path in ("/", "/status", f"/image/{image}", "/login", script[1], "/healthz",
                 "/api/search?q=a+b", f"/api/images/{image}/preview"):  # fmt: skip
        for there in (path, prefix + path):
            answer = client.get(there)
            assert answer.status_code == 200, there
    links = re.findall(r'(?:href|src|action)="(/[^"]*)"', page)
    assert links
    assert all(each.startswith(f"{prefix}/") for each in links)
    assert client.get(prefix).status_code == 200  # as a proxy may pass it on


@pytest.mark.parametrize(
    "path", ["/photosx/api/search", "/photos//api/search", "/photos/photos/", "/other/photos/"]
)
def test_other_paths_are_not_below_the_prefix(serve: Serve, path: str) -> None:
    assert serve(Settings(prefix="/photos")).get(path).status_code == 404


@pytest.mark.parametrize("prefix", ["/api", "/static/x", "/login", "/image"])
def test_a_prefix_that_could_be_an_address_is_refused(serve: Serve, prefix: str) -> None:
    with pytest.raises(ConfigError, match="begins as an address of the server does"):
        serve(Settings(prefix=prefix))


def test_tokens_are_needed_below_the_prefix_too(serve: Serve) -> None:
    client = serve(Settings(prefix="/photos"), tokens={"r" * 20: "read"})
    for prefix in ("", "/photos"):
        assert client.get(f"{prefix}/api/libraries").status_code == 401
        assert client.get(f"{prefix}/login").status_code == 200
        answer = client.post(f"{prefix}/api/jobs", json={}, headers={"Origin": "https://o.example"})
        assert answer.status_code == 403
