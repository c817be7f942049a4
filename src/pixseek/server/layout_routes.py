"""What a page asks for: all hits at once, records by the batch, why one matched, suggestions."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Request
from fastapi import Query as Parameter

from pixseek import wire
from pixseek.errors import QueryError
from pixseek.library import Library
from pixseek.library.surfaces import is_unfinished
from pixseek.server import shapes
from pixseek.server.answers import Answer, as_json, json_answer
from pixseek.server.documents import answers, having
from pixseek.server.guard import may_write
from pixseek.server.problems import Refused
from pixseek.server.queries import LibraryGiven, QueryGiven, check_text, text_query
from pixseek.server.routing import router_of
from pixseek.server.search_routes import (
    ALL,
    SEARCH_PROBLEMS,
    answer_key,
    no_image,
    query_body,
    query_of_body,
)
from pixseek.server.served import Served, Server
from pixseek.types import And, Layout, Query

_RECORDS = having(
    images={
        "type": "array",
        "items": {"oneOf": [{"$ref": "#/components/schemas/Record"}, {"type": "null"}]},
        "description": "In the order of the ids; null for one that is not in the library.",
    }
)

_GROUP = {"group": "A-17", "others": 3, "group_filter": 'fields.product:="A-17"'}
_GROUPS = having(
    groups={
        "type": "array",
        "items": {
            "type": ["object", "null"],
            "properties": {name: shapes.SCHEMAS["Hit"]["properties"][name] for name in _GROUP},
            "required": list(_GROUP),
        },
        "description": "In the order of the ids; null for one that is not in the library.",
    }
)

#: More years than photography has.
_MOST_YEARS = 1000


class RecordsGiven(LibraryGiven):
    """Images whose records are wanted."""

    ids: Annotated[
        str,
        Parameter(
            min_length=1,
            max_length=20_000,
            description="Ids of images, with commas between; at most 200.",
            examples=[shapes.RECORD["id"]],
        ),
    ]


class GroupsGiven(QueryGiven):
    """Images whose groups are wanted, and the query that they were found by."""

    ids: Annotated[
        str,
        Parameter(
            min_length=1,
            max_length=4_000,  # next to a query, within the 64 KiB of an address
            pattern="^[!-~]+$",
            description="Ids of images, with commas between; at most 200.",
            examples=[shapes.RECORD["id"]],
        ),
    ]


class SuggestGiven(LibraryGiven):
    """What was typed so far."""

    text: Annotated[
        str,
        Parameter(
            max_length=10_000,
            description="The text of the box; what is typed is at its end.",
            examples=["sunset ta"],
        ),
    ] = ""


def routes(server: Server) -> APIRouter:
    """Return the routes of one server."""
    router = router_of(prefix="/api")
    settings = server.settings

    async def laid_out(served: Served, query: Query, request: Request) -> Answer:
        is_all = not (query.terms or query.exclude or query.where or query.date_readings)
        if is_all and query.sort == "relevance":
            query = replace(query, sort=ALL.sort)
        query = replace(query, k=1, offset=0)  # they don't count
        key = answer_key(served, query, may_write(request.scope))
        answer = await server.layouts.of(
            key,
            lambda: served.searches.alone(lambda library: _layout(library, query, server), request),
        )
        return Answer(answer, 200, None, "application/json")

    @router.get(
        "/layout",
        operation_id="layout",
        tags=["search"],
        summary="All hits at once, to lay out a page",
        responses=answers("Layout", shapes.LAYOUT, 404, 422, 501, 503),
    )
    async def layout(given: Annotated[QueryGiven, Parameter()], request: Request) -> Answer:
        """List up to 100,000 hits by id, aspect ratio and strength, in the order of a search.

        Without a query: all images, the newest first. For several things at once, or something
        excluded, 20,000 are listed at most, and 2,000 if
        copies, or values of a field, are shown once.
        """
        served = server.named(given.library)
        query = await asyncio.to_thread(
            text_query, served.library, given, settings, has_rights=may_write(request.scope)
        )
        return await laid_out(served, query, request)

    @router.post(
        "/layout",
        operation_id="layout_by_body",
        tags=["search"],
        summary="All hits of a whole query, or of an uploaded image, to lay out a page",
        responses=answers("Layout", shapes.LAYOUT, 404, *SEARCH_PROBLEMS),
        openapi_extra=query_body(query="a dog", where="format:jpg"),
    )
    async def layout_by_body(
        given: Annotated[LibraryGiven, Parameter()], request: Request
    ) -> Answer:
        """List all hits of a query in JSON, or by an example that is uploaded, with words or not.

        `k` and `offset` of the query don't count.
        """
        served = server.named(given.library)
        async with query_of_body(request, server, served.library) as query:
            return await laid_out(served, query, request)

    @router.get(
        "/images",
        operation_id="images",
        tags=["images"],
        summary="What is known of some images",
        responses=answers(_RECORDS, {"images": [shapes.RECORD]}, 404, 422, 503),
    )
    def images(given: Annotated[RecordsGiven, Parameter()]) -> Answer:
        """Return the records of up to 200 images, in the order of their ids."""
        ids, most = given.ids.split(","), settings.limits.most_records
        if len(ids) > most:
            raise QueryError("Too many images", f"{len(ids):,}", f"Ask for at most {most} at once.")
        found = server.named(given.library).library.get_many(ids)
        return json_answer({"images": [each and wire.record_to_plain(each) for each in found]})

    @router.get(
        "/groups",
        operation_id="groups",
        tags=["search"],
        summary="How many others some images stand for",
        responses=answers(_GROUPS, {"groups": [_GROUP]}, 404, 422, 501, 503),
    )
    def groups(given: Annotated[GroupsGiven, Parameter()], request: Request) -> Answer:
        """Return the groups of up to 200 images that a layout with `group_by` lists."""
        ids, most = given.ids.split(","), settings.limits.most_records
        if len(ids) > most:
            raise QueryError("Too many images", f"{len(ids):,}", f"Ask for at most {most} at once.")
        library = server.named(given.library).library
        query = text_query(library, given, settings, has_rights=may_write(request.scope))
        plain = [each and wire.hit_to_plain(each) for each in library.groups(ids, query)]
        return json_answer(
            {"groups": [each and {name: each[name] for name in _GROUP} for each in plain]}
        )

    async def explained(served: Served, image_id: str, query: Query, request: Request) -> Answer:
        found = await served.searches.alone(lambda library: library.hit(image_id, query), request)
        if found is None:
            if await asyncio.to_thread(served.library.get, image_id) is None:
                raise no_image(image_id)
            raise Refused(
                404, "no-hit", "A filter of the query keeps this image out", image_id[:200],
                "Ask without the filter.",
            )  # fmt: skip
        plain = wire.hit_to_plain(found)
        if not may_write(request.scope):
            del plain["path"], plain["is_there"]
        return json_answer(plain)

    @router.get(
        "/images/{image_id}/why",
        operation_id="why",
        tags=["images"],
        summary="Why an image matches words",
        responses=answers("Hit", shapes.HIT, 404, 422, 501, 503),
    )
    async def why(
        image_id: str, given: Annotated[QueryGiven, Parameter()], request: Request
    ) -> Answer:
        """Return one image as a hit of a search: how well it matches, and the reasons.

        Its rank is 0 if a layout of the search does not list it.
        """
        served = server.named(given.library)
        query = await asyncio.to_thread(
            text_query, served.library, given, settings, has_rights=may_write(request.scope)
        )
        return await explained(served, image_id, query, request)

    @router.post(
        "/images/{image_id}/why",
        operation_id="why_by_body",
        tags=["images"],
        summary="Why an image matches a whole query, or an uploaded image",
        responses=answers("Hit", shapes.HIT, 404, *SEARCH_PROBLEMS),
        openapi_extra=query_body(query="a dog"),
    )
    async def why_by_body(
        image_id: str, given: Annotated[LibraryGiven, Parameter()], request: Request
    ) -> Answer:
        """Return one image as a hit of a query in JSON, or by an example that is uploaded."""
        served = server.named(given.library)
        async with query_of_body(request, server, served.library) as query:
            return await explained(served, image_id, query, request)

    @router.get(
        "/suggest",
        operation_id="suggest",
        tags=["search"],
        summary="How the text of a search box may go on",
        responses=answers("Suggestions", shapes.SUGGESTIONS, 404, 422, 503),
    )
    def suggest(given: Annotated[SuggestGiven, Parameter()]) -> Answer:
        """Suggest fields, their values and saved searches; say what is wrong with the text.

        What is still typed is not wrong as long as there is something to suggest.
        """
        library = server.named(given.library).library
        found, wrong = library.suggest(given.text), None
        try:
            check_text(library, given.text, settings)
            library.query(given.text)
        except QueryError as error:
            wrong = error
        if wrong is not None and found and is_unfinished(given.text, wrong.at):
            wrong = None
        return json_answer(
            {
                "suggestions": [wire.suggestion_to_plain(each) for each in found],
                "problem": wrong and wrong.problem,
                "subject": wrong and wrong.subject,
                "advice": wrong and wrong.advice,
                "at": wrong and wrong.at,
                "length": wrong and wrong.length,
            }
        )

    return router


def _layout(library: Library, query: Query, server: Server) -> bytes:
    """Return a layout as JSON; made in a thread, since writing it takes a tenth of a second."""
    found = library.layout(query, most=server.settings.limits.most_layout)
    server.metrics.count_search(found)
    return as_json({**wire.layout_to_plain(found), "years": _years(library, found)})


def _years(library: Library, found: Layout) -> list[tuple[str, int]] | None:
    """Return how many images there are of each year, in order, if not all of them are listed."""
    query = found.query
    if found.months is None or found.total <= len(found.ids) or query.terms or query.exclude:
        return None
    counts = library.facets(replace(query, where=query.where or And(())), _MOST_YEARS)["year"]
    undated = counts.pop("none", 0)
    years = sorted(counts.items(), reverse=query.sort == "newest")
    return [*years, ("none", undated)] if undated else years
