"""The page about a library, and the forms on it."""

from __future__ import annotations

import asyncio
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Request
from fastapi import Query as Parameter
from starlette.responses import RedirectResponse

from pixseek import wire
from pixseek.errors import PixseekError
from pixseek.server.answers import Answer, json_answer
from pixseek.server.guard import may_write
from pixseek.server.jobs import watched
from pixseek.server.pages import Pages
from pixseek.server.problems import Refused, status_of, three_parts
from pixseek.server.queries import LibraryGiven
from pixseek.server.routing import router_of
from pixseek.server.search_routes import must_write
from pixseek.server.served import Served, Server
from pixseek.server.starting import Start, begun
from pixseek.server.status_page import Known, content, run_to_plain
from pixseek.server.telling import failure_told
from pixseek.server.uploads import plain_form


def routes(server: Server) -> APIRouter:
    """Return the routes of one server."""
    router = router_of()
    pages = Pages(server)

    def address(library: str | None) -> str:
        return f"{pages.prefix}/status{f'?library={quote(library)}' if library else ''}"

    def known(served: Served, library: str | None, has_rights: bool, folder: str) -> Known:
        from pixseek import models

        job = server.jobs.latest(served.name)
        return Known(
            name=served.name,
            status=served.library.status(),
            failures=[
                failure_told(each, has_rights=has_rights) for each in served.library.failures()
            ],
            run=job.state if job else None,
            models=[
                wire.model_to_plain(each) for each in models.list_models(served.library.config)
            ],
            libraries={each.name: each.count() for each in server.all()},
            folders=[str(each) for each in server.settings.folders] if has_rights else [],
            may_write=has_rights,
            action=address(library),
            library_addresses={each.name: address(each.name) for each in server.all()},
            folder=folder,
        )

    def written(
        request: Request,
        library: str | None,
        error: PixseekError | Refused | None = None,
        folder: str = "",
    ) -> Answer:
        problem = three_parts(error, has_rights=True) if error else None
        served, page = server.named(library), pages.of(request)
        asked = {"library": library} if library else {}
        about = known(served, library, may_write(request.scope), folder)
        return page.with_header(
            page.texts("status_of"), content(about, page.texts, problem),
            pages.shown(request, served, asked), classes="status", script="status.js",
            status=status_of(error) if error else 200,
        )  # fmt: skip

    @router.get("/status", include_in_schema=False)
    def status(given: Annotated[LibraryGiven, Parameter()], request: Request) -> Answer:
        return written(request, given.library)

    @router.post("/status", include_in_schema=False)
    async def change(given: Annotated[LibraryGiven, Parameter()], request: Request) -> Answer:
        must_write(request)
        served = server.named(given.library)
        sent = await plain_form(request, "do", "folder", "job")
        do, folder, job = sent["do"], sent["folder"], sent["job"]

        def done() -> Answer:
            try:
                if do == "stop":
                    if running := server.jobs.get(job):
                        running.stop()
                elif do not in ("index", "retry"):
                    raise Refused(422, "query", "Unknown action", do[:100], "Open /status again.")
                else:
                    begun(server, served, Start(retry=do == "retry", folder=folder[:4096] or None))
            except (PixseekError, Refused) as error:
                return written(request, given.library, error, folder[:4096])
            return RedirectResponse(address(given.library), 303)

        return await asyncio.to_thread(done)

    @router.get("/status/run", include_in_schema=False)
    async def run(given: Annotated[LibraryGiven, Parameter()], request: Request) -> Answer:
        """Return the last run of a library in words; as events until it ends, if asked for them."""
        job = server.jobs.latest(server.named(given.library).name)
        texts = pages.of(request).texts
        if job is None:
            return json_answer(None)
        if "text/event-stream" not in request.headers.get("accept", ""):
            return json_answer(run_to_plain(job.state, texts))

        return watched(job, lambda state: run_to_plain(state, texts))

    return router
