"""What the viewer asks for, facts about an image in the user's words; and the page of copies."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Request
from fastapi import Query as Parameter
from starlette.responses import RedirectResponse

from pixseek import wire
from pixseek.errors import PixseekError, QueryError
from pixseek.library.surfaces import DuplicateGroup, filter_text, is_there
from pixseek.server.answers import Answer, json_answer
from pixseek.server.copies_page import content
from pixseek.server.exports import FORMATS
from pixseek.server.facts import as_plain, facts_of, other_facts, reasons_of
from pixseek.server.films import film_of
from pixseek.server.guard import may_write
from pixseek.server.image_routes import Export, exported_file
from pixseek.server.leaning import leanings, leant
from pixseek.server.pages import Pages
from pixseek.server.queries import LibraryGiven, SearchGiven, text_query
from pixseek.server.routing import router_of
from pixseek.server.search_routes import must_write, no_image
from pixseek.server.served import Server
from pixseek.server.uploads import plain_form
from pixseek.types import Record


def routes(server: Server) -> APIRouter:
    """Return the routes of one server."""
    router = router_of()
    pages = Pages(server)

    @router.get("/facts/{image_id}", include_in_schema=False)
    def facts(
        image_id: str, given: Annotated[SearchGiven, Parameter()], request: Request
    ) -> Answer:
        """Return the facts about an image, and why a query finds it."""
        library = server.named(given.library).library
        record = library.get(image_id)
        if record is None:
            raise no_image(image_id)
        texts, hit = pages.of(request).texts, None
        if given.q.strip():
            try:
                asked = text_query(
                    library, given, server.settings, has_rights=may_write(request.scope)
                )
                hit = library.hit(image_id, asked)
            except PixseekError:
                pass  # the search itself says what is wrong with it
        plain = wire.record_to_plain(record)
        if may_write(request.scope):
            path = library.locate(record)
            plain["path"] = str(path) if path else None
            plain["is_there"] = is_there(library, record)
        return json_answer(
            {
                "record": plain,
                "facts": as_plain(facts_of(record, texts)),
                "more": as_plain(other_facts(record, texts)),
                "why": reasons_of(hit.why, texts) if hit else [],
                "boxes": [each.box for each in hit.why if each.box] if hit else [],
                "film": film_of(record, hit),
                "leans": leanings(given.q).get(image_id),
                "like": leant(given.q, image_id, to=True),
                "dislike": leant(given.q, image_id, to=False),
                "neither": leant(given.q, image_id, to=None),
            }
        )

    async def copies(request: Request, library: str | None, ids: frozenset[str] | None) -> Answer:
        """Return the page of copies; for None of all in the library."""
        groups = await server.groups(server.named(library))
        return await asyncio.to_thread(written, request, library, ids, groups)

    def written(
        request: Request,
        library: str | None,
        ids: frozenset[str] | None,
        groups: Sequence[DuplicateGroup],
    ) -> Answer:
        served, page = server.named(library), pages.of(request)
        if ids is not None:
            groups = [g for g in groups if not ids.isdisjoint(each.id for each in g.records)]
        of = f"?library={quote(library)}" if library else ""

        def picture(record: Record) -> str:
            there = f"{pages.prefix}/api/images/{quote(record.id, safe='')}/preview"
            return f"{there}?v={record.digest}{of.replace('?', '&')}"

        main = content(
            groups,
            page.texts,
            picture=picture,
            page=lambda record: f"{pages.prefix}/image/{quote(record.id, safe='')}{of}",
            action=f"{pages.prefix}/copies{of}",
            may_write=may_write(request.scope),
        )
        asked = {"library": library} if library else {}
        return page.with_header(
            page.texts("copies_of"), main, pages.shown(request, served, asked),
            classes="status", script="status.js",
        )  # fmt: skip

    @router.get("/copies", include_in_schema=False)
    async def all_copies(given: Annotated[LibraryGiven, Parameter()], request: Request) -> Answer:
        return await copies(request, given.library, None)

    @router.post("/copies", include_in_schema=False)
    async def some_copies(given: Annotated[LibraryGiven, Parameter()], request: Request) -> Answer:
        """Return the copies of some images, or tag those that a form names, and show them."""
        sent = await plain_form(request, "ids", "tag")
        ids, tagged = sent["ids"].split(","), sent["tag"].split(",")
        if not any(tagged):
            return await copies(request, given.library, frozenset(ids))
        must_write(request)
        library = server.named(given.library).library
        tag = pages.of(request).texts.part("copies")("tag")

        def tag_known() -> None:
            known = [each.id for each in library.get_many(tagged) if each is not None]
            if known:
                library.tag(known, add=[tag])

        await asyncio.to_thread(tag_known)
        asked = {
            "q": filter_text("tag", tag),
            **({"library": given.library} if given.library else {}),
        }
        return RedirectResponse(f"{pages.prefix}/?{urlencode(asked)}", 303)

    @router.post("/export", include_in_schema=False)
    async def export(given: Annotated[LibraryGiven, Parameter()], request: Request) -> Answer:
        """Return a list of images as a file, for a form; see `/api/export`."""
        sent = await plain_form(request, "ids", "format")
        ids, form = sent["ids"], sent["format"]
        if form not in FORMATS:
            raise QueryError("No such format", form[:100], f"Known formats: {', '.join(FORMATS)}.")
        what = Export.model_validate({"ids": ids.split(","), "format": form})
        return exported_file(server, given.library, what, request)

    return router
