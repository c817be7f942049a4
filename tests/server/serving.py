"""What the tests of the server share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Serve = Callable[..., Any]


def id_of(client: Any, name: str) -> str:
    """Return the id of the image with this name."""
    found = client.get("/api/search", params={"q": f"name:{name}"}).json()["hits"]
    assert len(found) == 1, found
    return str(found[0]["id"])
