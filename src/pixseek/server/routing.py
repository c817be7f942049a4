"""Routes that take each parameter, and each name of a body in JSON, once."""

from __future__ import annotations

from collections.abc import Callable, Collection, Coroutine
from typing import Any, get_origin

from fastapi import APIRouter, Request
from fastapi.routing import APIRoute

from pixseek.server.answers import Answer
from pixseek.server.problems import Refused
from pixseek.server.uploads import read_json


def router_of(prefix: str = "", tags: list[Any] | None = None) -> APIRouter:
    """Return a router whose routes refuse what is given twice."""
    return APIRouter(prefix=prefix, tags=tags, route_class=_Route)


def known_names(route: APIRoute, place: str, *, once: bool = False) -> list[str]:
    """Return the names that a route takes.

    Args:
        route: any.
        place: "query" or "body".
        once: leave out those that may be given several times.
    """
    dependant = route.dependant
    names: list[str] = []
    for each in dependant.query_params if place == "query" else dependant.body_params:
        fields = getattr(each.field_info.annotation, "model_fields", None)
        if fields is None:
            fields = {each.alias: each.field_info}
        names += [
            name for name, field in fields.items() if not (once and _is_list(field.annotation))
        ]
    return names


def check_once(request: Request, names: Collection[str]) -> None:
    """Check that none of some parameters is given twice: one of both would be ignored.

    Raises:
        Refused: one is.
    """
    if b"&" not in request.scope["query_string"]:
        return
    seen = set()
    for name, _ in request.query_params.multi_items():
        if name in seen and name in names:
            raise Refused(422, "twice", "A parameter is given twice", name[:200], "Give it once.")
        seen.add(name)


class _Route(APIRoute):
    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Answer]]:
        handle = super().get_route_handler()
        names = frozenset(known_names(self, "query", once=True))
        has_body = bool(self.dependant.body_params)

        async def handled(request: Request) -> Answer:
            check_once(request, names)
            if has_body:
                request = _Request(request.scope, request.receive)
            return await handle(request)

        return handled


class _Request(Request):
    """A request whose body in JSON names everything once."""

    async def json(self) -> Any:
        return read_json(await self.body(), "The body is not JSON")


def _is_list(annotation: Any) -> bool:
    return get_origin(annotation) in (list, tuple, set, frozenset)
