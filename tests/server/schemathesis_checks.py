"""A check of our own for schemathesis, loaded by its command line (SCHEMATHESIS_HOOKS)."""

from __future__ import annotations

from typing import Any

import schemathesis

#: Problems that the schema of a request rules out.
RULED_OUT = ("urn:pixseek:problem:parameter", "urn:pixseek:problem:unknown-name")


@schemathesis.check
def no_valid_parameter_is_refused(_: Any, response: Any, case: Any) -> None:
    """A request that fits its schema may still be refused, but for its meaning only.

    So is a query that can't be parsed, or an upload that is not an image, of which no schema tells.
    """
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    if response.status_code == 422:
        assert response.json()["type"] not in RULED_OUT, response.json()


@schemathesis.check
def problems_have_three_parts(_: Any, response: Any, __: Any) -> None:
    """Each problem says what failed and what to do next."""
    if response.status_code >= 400 and response.request.method != "HEAD":
        said = response.json()
        assert said["status"] == response.status_code
        assert said["problem"], said
        assert said["advice"], said
