"""What the tests of the server share."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

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
