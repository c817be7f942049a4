"""What the tests of the server share."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import pixseek
from pixseek.library import Library
from pixseek.server.access import Access

from tiny_encoder import TinyEncoder

Serve = Callable[..., Any]


def id_of(client: Any, name: str) -> str:
    """Return the id of the image with this name."""
    found = client.get("/api/search", params={"q": f"name:{name}"}).json()["hits"]
    assert len(found) == 1, found
    return str(found[0]["id"])


def is_problem(answer: Any) -> bool:
    """Whether an answer is a problem with its three parts, of which the subject may be empty."""
    said = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert said["status"] == answer.status_code
    return bool(said["problem"] and said["advice"]) and isinstance(said["subject"], str)


@contextmanager
def shared_client(photos: Path, at: Path) -> Iterator[tuple[Any, Library]]:
    """Serve a library of some photos to many tests, which change nothing.

    Args:
        photos: their folder.
        at: where the library is made.

    Yields:
        A client in this process, and the library.
    """
    from starlette.testclient import TestClient

    from pixseek.server.app import create_app

    encoder = TinyEncoder()
    library = pixseek.open(at)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pixseek.encoders.load", lambda *_, **__: encoder)
        patch.setattr("pixseek.library.jobs.LEARN_FROM", 0)
        library.index(photos)
    app = create_app({"photos": library}, access=Access.of(bound_to="127.0.0.1"))
    with TestClient(app, base_url="http://localhost", raise_server_exceptions=False) as client:
        yield client, library


@contextmanager
def listening(app: Any, **options: Any) -> Iterator[str]:
    """Serve an application on a port of this machine; yield its address.

    Args:
        app: an ASGI application.
        **options: of uvicorn.
    """
    import uvicorn

    from pixseek.server.connections import Timely

    config = uvicorn.Config(
        app, port=0, log_config=None, timeout_graceful_shutdown=5, http=Timely, **options
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://localhost:{port}"
    finally:
        server.should_exit = True
        thread.join(30)
