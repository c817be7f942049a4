"""What OpenAPI says of answers: schemas, examples, and the problems that each route may give."""

from __future__ import annotations

from typing import Any

from pixseek.server import shapes
from pixseek.server.problems import MEDIA

Responses = dict[int | str, dict[str, Any]]

#: Problems that every route under a token may give.
ALWAYS = (401, 403, 421, 429, 500)

#: Stands for null in examples until the document is made.
NULL = "(null)"

#: Where an answer holds what others take: operation, status, place, parameter, operations.
_LINKS = (
    ("search", "200", "/hits/0/id", "image_id",
     ("image", "preview", "original", "similar", "delete_image")),
    ("start_job", "202", "/id", "job_id", ("job", "job_events", "stop_job")),
    ("save_search", "200", "/name", "name", ("delete_saved_search",)),
)  # fmt: skip

#: Examples of what stands in addresses.
_IN_PATHS = {"image_id": shapes.RECORD["id"], "job_id": shapes.JOB["id"], "name": "dogs"}

_MEANING = {
    401: "A token is needed.",
    403: "The token may not do this, or another site's page sent it.",
    404: "There is no such thing.",
    405: "The address takes other methods.",
    409: "Another run is going on.",
    408: "The rest of the request did not come.",
    413: "The request is too large.",
    415: "The body has another type.",
    416: "No such range of bytes.",
    421: "The server has another name.",
    422: "The request can't be understood.",
    429: "Too many requests.",
    500: "An unexpected error; please report it.",
    501: "The server can't do this.",
    503: "The model, the engine or the library is unavailable, or too many wait.",
}


def answers(
    schema: str | dict[str, Any], example: Any, *statuses: int, status: int = 200, text: str = ""
) -> Responses:
    """Return the `responses` of a route that answers with JSON.

    Args:
        schema: name of a shape, or a schema.
        example: of an answer.
        *statuses: problems that it may give besides `ALWAYS`.
        status: of the answer.
        text: what the answer is.
    """
    shape = {"$ref": f"#/components/schemas/{schema}"} if isinstance(schema, str) else schema
    found = {"application/json": {"schema": shape, "example": _with_nulls(example)}}
    return {status: {"description": text or "The answer.", "content": found}, **problems(*statuses)}


def _with_nulls(example: Any) -> Any:
    """Return an example with `NULL` for None, which FastAPI leaves out of the document."""
    if isinstance(example, dict):
        return {name: _with_nulls(each) for name, each in example.items()}
    if isinstance(example, list):
        return [_with_nulls(each) for each in example]
    return NULL if example is None else example


def without_nulls(document: Any) -> Any:
    """Return a document with None for `NULL`."""
    if isinstance(document, dict):
        return {name: without_nulls(each) for name, each in document.items()}
    if isinstance(document, list):
        return [without_nulls(each) for each in document]
    return None if document == NULL else document


def add_links(document: dict[str, Any]) -> None:
    """Say in an OpenAPI document which answers lead to which operations."""
    operations = {
        operation["operationId"]: operation
        for path in document["paths"].values()
        for operation in path.values()
    }
    for name, status, place, parameter, others in _LINKS:
        operations[name]["responses"][status]["links"] = {
            other: {
                "operationId": other,
                "parameters": {parameter: f"$response.body#{place}"},
            }
            for other in others
        }


def add_path_examples(document: dict[str, Any]) -> None:
    """Give an example of each part of an address that stands for something."""
    for path in document["paths"].values():
        for operation in path.values():
            for parameter in operation.get("parameters", ()):
                if parameter["in"] == "path":
                    parameter["example"] = _IN_PATHS[parameter["name"]]


def close_bodies(document: dict[str, Any]) -> None:
    """Say in an OpenAPI document that bodies have no other names: unknown ones are refused."""
    for path in document["paths"].values():
        for operation in path.values():
            for body in operation.get("requestBody", {}).get("content", {}).values():
                if body["schema"].get("type") == "object":
                    body["schema"]["additionalProperties"] = False
    for name in ("Query", "Term"):
        document["components"]["schemas"][name]["additionalProperties"] = False


def files(media: str | tuple[str, ...], text: str, *statuses: int, status: int = 200) -> Responses:
    """Return the `responses` of a route that answers with bytes, of one media type or several."""
    shape = {"schema": {"type": "string", "format": "binary"}, "example": "(bytes)"}
    content = dict.fromkeys((media,) if isinstance(media, str) else media, shape)
    return {status: {"description": text, "content": content}, **problems(*statuses)}


def events_of(schema: str, text: str, *statuses: int) -> Responses:
    """Return the `responses` of a route that sends events, each a shape as JSON."""
    data = {
        "type": "string",
        "contentMediaType": "application/json",
        "contentSchema": {"$ref": f"#/components/schemas/{schema}"},
    }
    event = {
        "type": "object",
        "properties": {"event": {"type": "string"}, "data": data},
        "required": ["event", "data"],
        "description": "One event.",
    }
    content = {"schema": event, "example": "event: job\ndata: {…}\n\n"}
    return {
        200: {"description": text, "content": {"text/event-stream": content}},
        **problems(*statuses),
    }


def problems(*statuses: int) -> Responses:
    """Return the problems that a route may give, with those that all may."""
    shape = {"$ref": "#/components/schemas/Problem"}
    if 413 in statuses:  # it takes a body
        statuses = (*statuses, 408)
    return {
        status: {
            "description": _MEANING[status],
            "content": {MEDIA: {"schema": shape, "example": shapes.problem_example()}},
        }
        for status in sorted({*ALWAYS, *statuses})
    }


def list_of(name: str) -> dict[str, Any]:
    """Return the schema of a list of shapes."""
    return {"type": "array", "items": {"$ref": f"#/components/schemas/{name}"}}


def having(**properties: Any) -> dict[str, Any]:
    """Return the schema of an object with these properties, all of them present."""
    return {"type": "object", "properties": properties, "required": list(properties)}
