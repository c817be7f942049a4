"""Pages: the search, one image, the login form; and whether the server is well."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, cast

from fastapi import APIRouter, Request
from fastapi import Query as Parameter
from pydantic import ConfigDict, ValidationError
from starlette.responses import RedirectResponse

from pixseek import wire
from pixseek.errors import PixseekError
from pixseek.library import Library
from pixseek.library.surfaces import filter_text, typed_beside_saved
from pixseek.server.access import COOKIE, LOGIN_S
from pixseek.server.answers import Answer, json_answer
from pixseek.server.documents import answers, files, having, list_of
from pixseek.server.facts import facts_of, other_facts
from pixseek.server.guard import may_write
from pixseek.server.metrics import MEDIA
from pixseek.server.page import HITS
from pixseek.server.pages import Pages
from pixseek.server.problems import Refused, advice_of, status_of, three_parts
from pixseek.server.queries import (
    LibraryGiven,
    NothingGiven,
    QueryGiven,
    SearchGiven,
    check,
    text_query,
)
from pixseek.server.routing import check_once, router_of
from pixseek.server.search_routes import ALL, no_image
from pixseek.server.served import Served, Server
from pixseek.server.uploads import plain_form
from pixseek.types import WHOLE, FacetField, Part, Query, Record


class TextGiven(LibraryGiven):
    """A query as text."""

    q: Annotated[
        str,
        Parameter(
            max_length=10_000, description="In the query language.", examples=["a dog year:2021"]
        ),
    ] = ""
    dates: Annotated[bool, Parameter(description='Read "july 2019" as a filter.')] = True


class PageGiven(SearchGiven):
    """The address of the page; what others append to links they share is ignored."""

    model_config = ConfigDict(extra="ignore")

    facets: bool = False


def routes(server: Server) -> APIRouter:
    """Return the routes of one server."""
    router = router_of()
    pages = Pages(server)
    static, prefix, page_for, shown = pages.static, pages.prefix, pages.of, pages.shown

    @router.get("/", include_in_schema=False)
    async def page(request: Request) -> Answer:
        problem: tuple[str, str, str] | None = None
        given, status = PageGiven(), 200
        try:
            given = PageGiven.model_validate(_given(request))
            served = server.named(given.library)
        except (ValidationError, Refused) as error:
            problem, served = _parts(error), server.named(None)
            status = status_of(error) if isinstance(error, Refused) else 422
        found = None
        if problem is None:
            try:
                found = await searched(given, served, request)
            except (PixseekError, Refused) as error:
                problem = three_parts(error, has_rights=may_write(request.scope))
                status = status_of(error)
        asked = {
            name: str(value)
            for name, value in given.model_dump(exclude_defaults=True).items()
            if name != "k"
        }
        if "facets" in asked:
            asked["facets"] = "1"
        whole = await asyncio.to_thread(
            shown, request, served, asked, problem=problem, **(found or {})
        )
        return page_for(request).search(whole, status)

    async def searched(given: PageGiven, served: Served, request: Request) -> dict[str, Any]:
        """Return the fields of `Shown` that a search gives."""
        given.k = HITS
        if given.q.strip():
            query = await asyncio.to_thread(
                text_query, served.library, given, server.settings,
                has_rights=may_write(request.scope),
            )  # fmt: skip
            if not query.terms and given.sort == "relevance":
                query = replace(query, sort="newest")
        else:
            order = "newest" if given.sort == "relevance" else given.sort
            query = replace(ALL, k=HITS, offset=given.offset, sort=order)
            check(query, server.settings)
        if not len(served.library):
            return {}
        results = await served.searches.answer(query, request)
        server.metrics.count_search(results)
        fields: dict[str, Any] = {
            "results": results,
            "query": query,
            "parts": await asyncio.to_thread(_parts_of, served.library, given, query),
        }
        if given.facets:
            counted = await asyncio.to_thread(served.library.facets, query)
            fields["facets"] = {
                field: {
                    value: (n, filter_text(cast("FacetField", field), value))
                    for value, n in counts.items()
                }
                for field, counts in counted.items()
            }
        return fields

    @router.get("/image/{image_id}", include_in_schema=False)
    def image(image_id: str, request: Request) -> Answer:
        page, asked = page_for(request), dict[str, str]()
        try:
            asked = {
                name: value
                for name, value in _given(request).items()
                if name in PageGiven.model_fields
            }
            served = server.named(asked.get("library"))
            record = served.library.get(image_id)
            if record is None:
                raise no_image(image_id)
        except Refused as error:
            asked = {name: value for name, value in asked.items() if name != "library"}
            whole = shown(request, server.named(None), asked, problem=_parts(error))
            return page.search(whole, error.kind.status)
        facts = (*facts_of(record, page.texts), *other_facts(record, page.texts))
        moment = found_moment(record, asked, served, request)
        return page.image(shown(request, served, asked), record, facts, moment)

    def found_moment(
        record: Record, asked: Mapping[str, str], served: Served, request: Request
    ) -> Part:
        """Return the shot of a video that the query of the page finds; the whole for none."""
        if not record.is_video or not asked.get("q", "").strip():
            return WHOLE
        try:
            given = PageGiven.model_validate(asked)
            query = text_query(
                served.library, given, server.settings, has_rights=may_write(request.scope)
            )
            hit = served.library.hit(record.id, query)
        except (PixseekError, ValidationError):  # the search itself says what is wrong with it
            return WHOLE
        return hit.part if hit is not None and hit.why else WHOLE

    @router.get(
        "/api/parts",
        tags=["search"],
        summary="The parts of a query",
        responses=answers(
            list_of("QueryPart"),
            [{"kind": "text", "shown": "a dog", "text": '"a dog"', "weight": 1.0,
              "without": "year:2021"}],
            404, 422, 503,
        ),
    )  # fmt: skip
    def parts(given: Annotated[TextGiven, Parameter()], request: Request) -> Answer:
        """Take a query apart: each thing to look for, each filter, and the query without it."""
        served = server.named(given.library)
        if not given.q.strip():
            return json_answer([])
        asked = SearchGiven(q=given.q, library=given.library, dates=given.dates)
        query = text_query(
            served.library, asked, server.settings, has_rights=may_write(request.scope)
        )
        return json_answer(_parts_of(served.library, asked, query))

    @router.get("/static/{version}/{name}", include_in_schema=False)
    async def static_file(version: str, name: str) -> Answer:
        found = static.answer(version, name)
        if found is None:
            raise Refused(404, "http", "Not Found", "", "")
        return found

    @router.get("/login", include_in_schema=False)
    def login_form(request: Request, to: str = "/") -> Answer:
        return page_for(request).login(_local(to))

    @router.post("/login", include_in_schema=False)
    async def login(request: Request) -> Answer:
        sent = await plain_form(request, "to", "token")
        to = _local(sent["to"])
        rights = server.access.rights_of_token(sent["token"])
        if rights is None:
            return page_for(request).login(to, failed=True)
        answer = RedirectResponse(prefix + to, 303)
        answer.set_cookie(
            COOKIE, server.access.cookie(rights), max_age=LOGIN_S, httponly=True, samesite="lax",
            secure=_is_encrypted(request, server), path=prefix or "/",
        )  # fmt: skip
        return answer

    @router.post("/logout", include_in_schema=False)
    def logout() -> Answer:
        answer = RedirectResponse(f"{prefix}/login", 303)
        answer.delete_cookie(COOKIE, path=prefix or "/")
        return answer

    @router.get(
        "/healthz",
        tags=["health"],
        summary="Whether the server lives",
        responses=answers(having(status={"type": "string"}), {"status": "ok"}, 422),
    )
    async def healthz(given: Annotated[NothingGiven, Parameter()]) -> Answer:
        """Answer as long as the process lives."""
        return json_answer({"status": "ok"})

    @router.get(
        "/readyz",
        tags=["health"],
        summary="Whether the server can search",
        responses=answers(having(status={"type": "string"}), {"status": "ok"}, 422, 503),
    )
    def readyz(given: Annotated[NothingGiven, Parameter()]) -> Answer:
        """Answer "ok" if each library can be read."""
        for served in server.all():
            len(served.library)
        return json_answer({"status": "ok"})

    @router.get(
        "/metrics",
        response_class=Answer,
        tags=["health"],
        summary="Metrics for Prometheus",
        responses=files("text/plain", "Counts, times by stage, queue lengths, sizes.", 422, 503),
    )
    def metrics(given: Annotated[NothingGiven, Parameter()]) -> Answer:
        """Return what the server has measured."""
        return Answer(server.metrics.as_text(), 200, None, MEDIA)

    return router


def _parts_of(library: Library, given: QueryGiven, query: Query) -> list[dict[str, Any]]:
    """Return the parts of a query; a saved search that can't be typed is one, by its name."""
    found = wire.query_parts_to_plain(query)
    text, typed = given.q.strip(), typed_beside_saved(library, given.q).strip()
    if text == typed or all(part["text"] for part in found):
        return found
    name = re.sub(r"\s+AND$", "", text.removesuffix(typed).rstrip())
    shown = name.removeprefix("@").strip('"')
    saved = {"kind": "image", "shown": shown, "text": name, "weight": 1.0, "without": typed}
    others = []
    if typed:
        others = wire.query_parts_to_plain(library.query(typed, dates=given.dates))
    return [saved, *({**part, "without": f"{name} {part['without']}".strip()} for part in others)]


def _is_encrypted(request: Request, server: Server) -> bool:
    """Return whether the browser uses TLS; a proxy that says so can only make a cookie safer.

    Browsers drop a cookie for TLS that comes without it: the login would begin again and again.
    """
    said = request.headers.get("x-forwarded-proto", "")
    return server.settings.is_encrypted or said == "https"


def _local(to: str) -> str:
    """Return a path of this server, where a login leads; "/" for anything else."""
    return to if to.startswith("/") and not to.startswith(("//", "/\\")) else "/"


def _given(request: Request) -> dict[str, str]:
    """Return the parameters of an address; a form sends what was left empty, too.

    Raises:
        Refused: one of ours is given twice.
    """
    check_once(request, PageGiven.model_fields)
    return {name: value for name, value in request.query_params.items() if value}


def _parts(error: ValidationError | Refused) -> tuple[str, str, str]:
    """Return the three parts of what is wrong with the address of a page."""
    if isinstance(error, Refused):
        return error.problem, error.subject, error.advice
    first = error.errors()[0]
    return "A value can't be used", str(first["loc"][0])[:200], advice_of(first["msg"])
