"""A server over a small library, asked by a client in the same process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import pixseek
from pixseek.library import Library
from pixseek.server.access import Access
from pixseek.server.settings import Settings

from serving import Serve, shared_client
from tiny_encoder import TinyEncoder, draw


def draw_photos(folder: Path) -> Path:
    for n, colour in enumerate(("red", "green", "blue", "white")):
        draw(folder / "photos" / "in" / f"{colour}.png", colour, n)
    return folder / "photos"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return draw_photos(tmp_path)


@pytest.fixture
def library(tmp_path: Path, photos: Path, tiny: TinyEncoder) -> Library:
    opened = pixseek.open(tmp_path / "lib")
    opened.index(photos)
    return opened


@pytest.fixture
def serve(library: Library) -> Iterator[Serve]:
    """Return a function that gives a client of a server: `serve(settings, **access)`."""
    from starlette.testclient import TestClient

    from pixseek.server.app import create_app

    with ExitStack() as stack:

        def start(
            settings: Settings | None = None, libraries: Any = None, **access: Any
        ) -> TestClient:
            app = create_app(
                libraries or {"photos": library},
                access=Access.of(**{"bound_to": "127.0.0.1", **access}),
                settings=settings,
            )
            return stack.enter_context(
                TestClient(app, base_url="http://localhost", raise_server_exceptions=False)
            )

        yield start


@pytest.fixture(scope="session")
def _shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, Library]]:
    """A client of a server over the four photos, and its library, for tests that change nothing."""
    folder = tmp_path_factory.mktemp("server")
    with shared_client(draw_photos(folder), folder / "lib") as both:
        yield both


@pytest.fixture
def client(request: pytest.FixtureRequest) -> Iterator[Any]:
    """A client of a server with its defaults, over the four photos.

    A test that takes `library` or `photos` as well has both for itself. All others share them, and
    may change nothing.
    """
    if {"library", "photos", "serve", "tiny"} & set(request.fixturenames):
        yield request.getfixturevalue("serve")()
        return
    shared, library = request.getfixturevalue("_shared")
    shared.cookies.clear()

    def changes() -> tuple[Any, ...]:
        return library.version(), shared.get("/api/jobs").json()

    before = changes()
    yield shared
    assert changes() == before, "this test writes: it must take `library` for itself"
