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

from serving import Serve
from tiny_encoder import TinyEncoder, draw


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    for n, colour in enumerate(("red", "green", "blue", "white")):
        draw(folder / "in" / f"{colour}.png", colour, n)
    return folder


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


@pytest.fixture
def client(serve: Serve) -> Any:
    return serve()
