"""What the page's viewer asks for: facts about an image in the user's words."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Request
from fastapi import Query as Parameter

from pixseek import wire
from pixseek.errors import PixseekError
from pixseek.server.answers import Answer, json_answer
from pixseek.server.facts import as_plain, facts_of, other_facts, reasons_of
from pixseek.server.guard import may_write
from pixseek.server.pages import Pages
from pixseek.server.queries import SearchGiven, text_query
from pixseek.server.search_routes import no_image
from pixseek.server.served import Server
from pixseek.types import And, Compare, Filter


def routes(server: Server) -> APIRouter:
    """Return the routes of one server."""
    router = APIRouter()
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
        texts, why = pages.of(request).texts, []
        if given.q.strip():
            try:
                asked = text_query(
                    library, given, server.settings, has_rights=may_write(request.scope)
                )
                only: Filter = Compare("id", "eq", image_id)
                whole = asked.where if asked.where is None else And((asked.where, only))
                hits = library.search(replace(asked, where=whole or only, k=1, offset=0))
                why = reasons_of(hits[0].why, texts) if len(hits) else []
            except PixseekError:
                pass  # the search itself says what is wrong with it
        plain = wire.record_to_plain(record)
        if may_write(request.scope):
            path = library.locate(record)
            plain["path"] = str(path) if path else None
            plain["is_there"] = library.file_of(record) is not None
        return json_answer(
            {
                "record": plain,
                "facts": as_plain(facts_of(record, texts)),
                "more": as_plain(other_facts(record, texts)),
                "why": why,
            }
        )

    return router
