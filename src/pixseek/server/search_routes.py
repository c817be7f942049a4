"""Searching: by words, by example, by an image of the library; facets; saved searches."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import APIRouter, Request
from fastapi import Query as Parameter
from starlette.datastructures import FormData, UploadFile

from pixseek import wire
from pixseek.errors import QueryError
from pixseek.library import Library
from pixseek.server import shapes
from pixseek.server.answers import Answer, as_json, json_answer
from pixseek.server.documents import answers, having, list_of
from pixseek.server.guard import is_read_only, may_write
from pixseek.server.problems import Refused
from pixseek.server.queries import (
    LibraryGiven,
    SearchGiven,
    SimilarGiven,
    check,
    names_places,
    plain_query,
    region_of,
    text_query,
    weight_of,
    with_image,
)
from pixseek.server.routing import router_of
from pixseek.server.served import Served, Server
from pixseek.server.settings import Settings
from pixseek.server.uploads import json_body, picture_of, read_json, upload_form
from pixseek.types import And, Query, Results, Term

#: What an empty box stands for.
ALL = Query((), where=And(()), sort="newest")

SEARCH_PROBLEMS = (413, 415, 422, 501, 503)

#: Characters of a text that is read without a thread.
_SHORT = 200


def routes(server: Server) -> APIRouter:
    """Return the routes of one server."""
    router = router_of(prefix="/api", tags=["search"])
    settings = server.settings

    async def answered(served: Served, query: Query, request: Request) -> Answer:
        has_rights = may_write(request.scope)

        async def found() -> bytes:
            results = await served.searches.answer(query, request)
            server.metrics.count_search(results)
            return as_json(shown(results, has_rights=has_rights))

        answer = await server.answers.of(answer_key(served, query, has_rights), found)
        return Answer(answer, 200, None, "application/json")

    @router.get(
        "/search",
        summary="Search by words",
        responses=answers("Results", shapes.RESULTS, 404, *SEARCH_PROBLEMS),
    )
    async def search(given: Annotated[SearchGiven, Parameter()], request: Request) -> Answer:
        """Find images by words and filters, in the query language. The URL is the search."""
        served = server.named(given.library)
        has_rights = may_write(request.scope)
        if len(given.q) <= _SHORT and "@" not in given.q:
            # 0.1 ms, which a thread would double. A saved search is read from the library's files.
            query = text_query(served.library, given, settings, has_rights=has_rights)
        else:
            query = await asyncio.to_thread(
                text_query, served.library, given, settings, has_rights=has_rights
            )
        return await answered(served, query, request)

    @router.post(
        "/search",
        summary="Search by a whole query, or by an uploaded image",
        responses=answers("Results", shapes.RESULTS, 404, *SEARCH_PROBLEMS),
        openapi_extra=query_body(query="a dog", where="format:jpg", k=20),
    )
    async def search_by_body(
        given: Annotated[LibraryGiven, Parameter()], request: Request
    ) -> Answer:
        """Find images by a query in JSON, or by an example that is uploaded, with words or not."""
        served = server.named(given.library)
        async with query_of_body(request, server, served.library) as query:
            return await answered(served, query, request)

    @router.get(
        "/images/{image_id}/similar",
        summary="Search by an image of the library",
        responses=answers("Results", shapes.RESULTS, 404, 422, 501, 503),
    )
    async def similar(
        image_id: str, given: Annotated[SimilarGiven, Parameter()], request: Request
    ) -> Answer:
        """Find images that look like one of the library, or like a part of it."""
        served = server.named(given.library)
        if await asyncio.to_thread(served.library.get, image_id) is None:
            raise no_image(image_id)
        query = Query(
            (Term("id", image_id, region=region_of(given.region), at=given.at),),
            where=wire.filter_from_plain(given.where or None),
            k=given.k,
            offset=given.offset,
            group=given.group,
            group_by=given.group_by,
            exact=given.exact,
            moments=given.moments,
        )
        check(query, settings)
        return await answered(served, query, request)

    @router.get(
        "/facets",
        summary="Count values",
        responses=answers("Facets", shapes.FACETS, 404, 422, 501, 503),
    )
    def facets(given: Annotated[SearchGiven, Parameter()], request: Request) -> Answer:
        """Count folders, years, cameras, tags, people, colours and formats among what is found."""
        served = server.named(given.library)
        query = ALL
        if given.q.strip():
            has_rights = may_write(request.scope)
            query = text_query(served.library, given, settings, has_rights=has_rights)
        return json_answer(served.library.facets(query))

    @router.post(
        "/facets",
        operation_id="facets_by_body",
        summary="Count values among what a whole query, or an uploaded image, finds",
        responses=answers("Facets", shapes.FACETS, 404, *SEARCH_PROBLEMS),
        openapi_extra=query_body(query="a dog", where="format:jpg"),
    )
    async def facets_by_body(
        given: Annotated[LibraryGiven, Parameter()], request: Request
    ) -> Answer:
        """Count as GET does for a text; for an example alone, weak hits count too."""
        served = server.named(given.library)
        async with query_of_body(request, server, served.library) as query:
            counted = await served.searches.alone(lambda library: library.facets(query), request)
            return json_answer(counted)

    @router.get(
        "/saved",
        operation_id="saved_searches",
        summary="List saved searches",
        responses=answers(
            list_of("SavedSearch"), [{"name": "dogs", "text": "a dog -snow"}], 404, 422, 503
        ),
    )
    def saved(given: Annotated[LibraryGiven, Parameter()], request: Request) -> Answer:
        """List the searches that were saved; `@NAME` in a query runs one.

        Without the right to write, the text of one that names a file or folder of the server is "".
        """
        found = server.named(given.library).library.saved_searches()
        has_rights = may_write(request.scope)
        return json_answer(
            [
                {
                    "name": name,
                    "text": each.text if has_rights or not names_places(each.query) else "",
                }
                for name, each in found.items()
            ]
        )

    @router.put(
        "/saved/{name:path}",
        operation_id="save_search",
        summary="Save a search",
        responses=answers(
            having(name={"type": "string"}), {"name": "dogs"}, 404, 413, 415, 422, 501, 503
        ),
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {
                    "application/json": {
                        "schema": {"$ref": "#/components/schemas/Query"},
                        "example": {"query": "a dog -snow", "k": 50},
                    }
                },
            }
        },
    )
    async def save(
        name: str, given: Annotated[LibraryGiven, Parameter()], request: Request
    ) -> Answer:
        """Keep a search under a name, in place of one with the same name."""
        must_write(request)
        library = server.named(given.library).library
        plain = await json_body(request)

        def kept() -> str:
            whole = plain_query(library, plain, settings, has_rights=True)
            text, rest = plain.get("query"), set(plain) - {"query"}
            if not isinstance(text, str) or rest & {"terms", "exclude", "date_readings"}:
                return library.save_search(whole, name)
            # Kept as it was typed: "last week" means another week when it is run again.
            return library.save_search(text, name, **{each: plain[each] for each in rest})

        return json_answer({"name": await asyncio.to_thread(kept)})

    @router.delete(
        "/saved/{name:path}",
        operation_id="delete_saved_search",
        summary="Forget a saved search",
        responses=answers(
            having(forgotten={"type": "string"}), {"forgotten": "dogs"}, 404, 422, 503
        ),
    )
    def forget(name: str, given: Annotated[LibraryGiven, Parameter()], request: Request) -> Answer:
        """Forget a saved search."""
        must_write(request)
        try:
            server.named(given.library).library.forget_search(name)
        except QueryError as error:
            raise Refused(
                404, "no-saved-search", error.problem, error.subject[:200], error.advice
            ) from error
        return json_answer({"forgotten": name})

    return router


def query_body(**example: Any) -> dict[str, Any]:
    """Return what OpenAPI says of a body that holds a query.

    Args:
        **example: of a query.
    """
    return {
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {"$ref": "#/components/schemas/Query"},
                    "example": example,
                },
                "multipart/form-data": {
                    "schema": {
                        "type": "object",
                        "properties": {
                            "image": {"type": "string", "format": "binary"},
                            "query": {
                                "type": "string",
                                "description": "The rest of the query: JSON as above.",
                            },
                            "region": {
                                "type": "string",
                                "description": "x,y,width,height of the image.",
                            },
                            "weight": {
                                "type": "string",
                                "description": "How much the image counts; 1 if missing.",
                            },
                        },
                        "required": ["image"],
                    },
                    "example": {"image": "(bytes of a JPEG)", "query": "{}"},
                },
            },
        }
    }


@asynccontextmanager
async def query_of_body(request: Request, server: Server, library: Library) -> AsyncIterator[Query]:
    """Lend the query that a body holds: JSON, or a form with an image, which is in memory then."""

    def asked(plain: dict[str, Any]) -> Query:
        return plain_query(library, plain, server.settings, has_rights=may_write(request.scope))

    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        async with upload_form(request, server, "image", "query", "region", "weight") as form:
            yield await _uploaded_query(form, server.settings, asked)
    else:
        plain = await json_body(request)
        yield await asyncio.to_thread(asked, plain)


async def _uploaded_query(
    form: FormData, settings: Settings, asked: Callable[[dict[str, Any]], Query]
) -> Query:
    """Return the query of a form with an image; `asked` reads the rest of it."""
    image, rest, region = form.get("image"), form.get("query"), form.get("region")
    if not isinstance(image, UploadFile):
        raise QueryError("There is no image in the form", "", "Upload it as `image`.")
    text = rest if isinstance(rest, str) and rest.strip() else "{}"
    plain = await asyncio.to_thread(read_json, text, "The query is not JSON")
    query = await asyncio.to_thread(asked, plain)
    box = region_of(region if isinstance(region, str) else None)
    weight = weight_of(form.get("weight"))
    picture = await asyncio.to_thread(picture_of, await image.read(), settings)
    return with_image(query, picture, box, weight)


def answer_key(served: Served, query: Query, has_rights: bool) -> tuple[str, ...] | None:
    """Return what an answer is kept under; None if it can't be.

    The version is that from before the search: what changes meanwhile is looked at again.
    """
    terms = (*query.terms, *query.exclude)
    if any(term.kind not in ("text", "id") or term.alternatives for term in terms):
        return None
    version = served.library.version()
    return None if version is None else (served.name, version, repr(query), str(has_rights))


def shown(results: Results, *, has_rights: bool) -> dict[str, Any]:
    """Return results as JSON; where files are is said only to those who may change the library."""
    plain = wire.results_to_plain(results)
    if not has_rights:
        for hit in plain["hits"]:
            del hit["path"], hit["is_there"]
    return plain


def must_write(request: Request) -> None:
    """Check that whoever asks may change the library.

    Raises:
        Refused: they may not.
    """
    if may_write(request.scope):
        return
    if is_read_only(request.scope):
        raise Refused(
            403, "read-only", "This server changes nothing", "", "Start it without --read-only."
        )
    raise Refused(
        403, "read-only", "This token may only read", "", "Use a token with the right to write."
    )


def no_image(image_id: str) -> Refused:
    """Return the answer to an unknown id."""
    return Refused(404, "no-image", "No image with this id", image_id[:200], "Search for it first.")
