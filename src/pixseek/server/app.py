"""The ASGI application: all routes, behind the guard."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect
from starlette.routing import Match
from starlette.types import ASGIApp, Receive, Scope, Send

from pixseek import __version__
from pixseek.errors import ConfigError, PixseekError, unknown
from pixseek.library import Library
from pixseek.server import (
    image_routes,
    layout_routes,
    library_routes,
    page_routes,
    search_routes,
    shapes,
    status_routes,
    viewer_routes,
)
from pixseek.server.access import Access
from pixseek.server.answers import Answer
from pixseek.server.documents import add_links, add_path_examples, close_bodies, without_nulls
from pixseek.server.error_page import shown, wants_page
from pixseek.server.guard import Guard, log, may_write
from pixseek.server.pages import Pages
from pixseek.server.problems import Refused, advice_of, answer_to, is_worth_a_log
from pixseek.server.routing import known_names
from pixseek.server.searching import ClientGoneError
from pixseek.server.served import Server
from pixseek.server.settings import Settings
from pixseek.server.uploads import not_json

#: Headers of answers that pages of other sites may read, if any may ask.
_EXPOSED = (
    "ETag", "Content-Range", "Accept-Ranges", "Retry-After", "X-Texts", "X-Images", "X-Dim",
    "X-Fingerprint",
)  # fmt: skip

Handler = Callable[[Request, Any], Awaitable[Answer]]

#: What nginx answers when the client has gone; nobody reads it.
_CLIENT_GONE = 499


class App:
    """An ASGI application that serves libraries."""

    def __init__(self, app: ASGIApp, server: Server) -> None:
        """Pass requests on to an application."""
        self._app, self._server = app, server
        self._prefix = server.settings.prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; its path may have the prefix still, or a proxy has removed it."""
        if self._prefix and scope["type"] == "http":
            scope = _without_prefix(scope, self._prefix)
        await self._app(scope, receive, send)

    def stop_runs(self) -> None:
        """Ask all runs to stop, since the server ends: those who watch them would wait."""
        self._server.jobs.stop_all()


def create_app(
    libraries: Mapping[str, Library], *, access: Access, settings: Settings | None = None
) -> App:
    """Return an ASGI application that serves libraries, and closes them when it ends.

    Args:
        libraries: open ones by name; the first is the default.
        access: who may ask.
        settings: what is allowed; None for the defaults.

    Raises:
        ConfigError: the prefix begins as an address of the server does.
    """
    settings = settings or Settings()
    server = Server(libraries, access=access, settings=settings)
    pages = Pages(server)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        for each in server.all():
            each.searches.warm()
        yield
        import asyncio

        await asyncio.to_thread(server.close)

    app = FastAPI(
        title="pixseek",
        version=__version__,
        summary="Find your images by saying what is in them.",
        openapi_url="/api/openapi.json",
        docs_url=None,  # those pages load scripts of another host
        redoc_url=None,
        redirect_slashes=False,  # it would lead out of the prefix of a proxy
        generate_unique_id_function=lambda route: route.name,
        servers=[{"url": settings.prefix}] if settings.prefix else None,
        lifespan=lifespan,
        exception_handlers=_handlers(pages),
    )
    routers = [
        module.routes(server)
        for module in (
            search_routes,
            image_routes,
            layout_routes,
            library_routes,
            page_routes,
            viewer_routes,
            status_routes,
        )
    ]
    for router in routers:
        app.include_router(router)
    _check_prefix(settings.prefix, routers)
    _document(app)
    guarded: ASGIApp = Guard(
        app, access=access, settings=settings, metrics=server.metrics,
        shown=lambda answer, scope: shown(answer, Request(scope), pages),
    )  # fmt: skip
    if settings.origins:
        guarded = CORSMiddleware(
            guarded,
            allow_origins=settings.origins,
            allow_methods=("GET", "POST", "PUT", "DELETE"),
            allow_headers=("Authorization", "Content-Type", "Range", "If-None-Match", "If-Range"),
            expose_headers=_EXPOSED,
        )
    return App(guarded, server)


def _check_prefix(prefix: str, routers: Sequence[APIRouter]) -> None:
    """Check that a path with the prefix can be told from one without it.

    Raises:
        ConfigError: it can't.
    """
    first = prefix.split("/")[1:2]
    paths = [getattr(route, "path", "/") for router in routers for route in router.routes]
    taken = {path.split("/")[1] for path in paths} - {""}
    if first and first[0] in taken:
        raise ConfigError(
            "The prefix begins as an address of the server does", prefix,
            f"Choose one that does not begin with: {', '.join(sorted(taken))}",
        )  # fmt: skip


def _without_prefix(scope: Scope, prefix: str) -> Scope:
    """Return a request whose path begins after the prefix."""
    path: str = scope["path"]
    if path != prefix and not path.startswith(f"{prefix}/"):
        return scope
    raw = scope.get("raw_path") or b""
    raw = raw[len(prefix) :] if raw.startswith(prefix.encode()) else b""
    return {**scope, "path": path[len(prefix) :] or "/", "raw_path": raw or b"/"}


def _handlers(pages: Pages) -> dict[Any, Any]:
    async def problem(request: Request, error: Exception) -> Answer:
        if isinstance(error, PixseekError) and is_worth_a_log(error):
            log.error("%r %r: %s", request.method, request.url.path, error)
        return answer_to(error, has_rights=may_write(request.scope))

    async def invalid(request: Request, error: RequestValidationError) -> Answer:
        found = error.errors()
        # Whoever mistypes a name lacks the right one, too.
        first = next((each for each in found if each["type"] == "extra_forbidden"), found[0])
        where = [str(each) for each in first["loc"]]
        name = ".".join(where[1:]) or where[0]
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if where[0] == "body" and kind != "application/json":
            refused = not_json(kind)
        elif first["type"] == "extra_forbidden":
            known = known_names(request.scope["route"], where[0])
            advice = unknown("name", name, known) if known else "This address takes none."
            refused = Refused(422, "unknown-name", "Unknown parameter", name[:200], advice)
        else:
            refused = Refused(
                422, "parameter", "A value can't be used", name[:200], advice_of(first["msg"])
            )
        return refused.answer()

    async def http(request: Request, error: HTTPException) -> Answer:
        path = request.url.path[:200]
        if isinstance(error.__cause__, Refused | PixseekError):  # while FastAPI read the body
            return answer_to(error.__cause__, has_rights=may_write(request.scope))
        if error.status_code == 405:
            allowed = ", ".join(_methods(request))
            if request.method == "OPTIONS":
                return Answer(status_code=204, headers={"Allow": allowed})
            return Refused(
                405, "method", "This address takes other methods", request.method[:20],
                f"Use one of: {allowed}.", {"Allow": allowed},
            ).answer()  # fmt: skip
        if error.status_code == 404:
            refused = Refused(
                404, "no-such-address", "No such address", path,
                "Check it." if wants_page(request) else
                "The addresses are listed in /api/openapi.json.",
            )  # fmt: skip
        elif error.status_code == 400:  # FastAPI's for bytes that aren't text
            refused = Refused(422, "query", "The body can't be read", "", "Send JSON in UTF-8.")
        else:
            refused = Refused(
                error.status_code, "http", str(error.detail), path, "", dict(error.headers or {})
            )
        return refused.answer()

    async def gone(_: Request, __: Exception) -> Answer:
        return Answer(status_code=_CLIENT_GONE)

    def to_browsers(handler: Handler) -> Handler:
        async def handled(request: Request, error: Any) -> Answer:
            return shown(await handler(request, error), request, pages)

        return handled

    return {
        Refused: to_browsers(problem),
        PixseekError: to_browsers(problem),
        Exception: to_browsers(problem),
        RequestValidationError: to_browsers(invalid),
        HTTPException: to_browsers(http),
        ClientGoneError: gone,
        ClientDisconnect: gone,  # while its body was read
    }


def _methods(request: Request) -> list[str]:
    """Return the methods that an address takes."""
    found = [
        method
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE")
        if any(
            route.matches({**request.scope, "method": method})[0] is Match.FULL
            for route in request.app.routes
        )
    ]
    return [*found, *(("HEAD",) if "GET" in found else ()), "OPTIONS"]


def _document(app: FastAPI) -> None:
    """Add the shapes of JSON to the OpenAPI document, and how to send a token."""
    made = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = made()
            parts = document.setdefault("components", {})
            parts.setdefault("schemas", {}).update(shapes.SCHEMAS)
            parts["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
            document["security"] = [{}, {"token": []}]
            add_links(document)
            add_path_examples(document)
            close_bodies(document)
            app.openapi_schema = without_nulls(document)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]
