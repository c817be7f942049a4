"""Pages: a search without scripts, the login form; and whether the server is well."""

from __future__ import annotations

import asyncio
import html
from collections.abc import Mapping
from typing import Annotated
from urllib.parse import parse_qs, quote, urlencode

from fastapi import APIRouter, Request
from fastapi import Query as Parameter
from starlette.responses import RedirectResponse

from pixseek.server.access import COOKIE, LOGIN_S
from pixseek.server.answers import Answer, json_answer
from pixseek.server.documents import answers, files, having
from pixseek.server.metrics import MEDIA
from pixseek.server.problems import Refused
from pixseek.server.queries import SearchGiven, text_query
from pixseek.server.served import Server
from pixseek.types import Hit

_HTML = "text/html; charset=utf-8"

_STYLE = """
:root { color-scheme: light dark; --ground: #f6f6f4; --card: #fff; --ink: #1d1d1f;
  --soft: #63636a; --line: #e2e2de; --mark: #0b63ce; }
@media (prefers-color-scheme: dark) { :root { --ground: #161618; --card: #212124;
  --ink: #ececee; --soft: #9d9da4; --line: #343438; --mark: #7ab4ff; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink);
  font: 16px/1.45 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main { max-width: 1500px; margin: 0 auto; padding: 20px clamp(12px, 3vw, 36px); }
form { display: flex; gap: 8px; margin-bottom: 14px; }
input { flex: 1; min-width: 0; font: inherit; padding: 10px 14px; border-radius: 10px;
  border: 1px solid var(--line); background: var(--card); color: inherit; }
button { font: inherit; padding: 10px 18px; border-radius: 10px; border: 0;
  background: var(--mark); color: var(--card); }
:focus-visible { outline: 3px solid var(--mark); outline-offset: 2px; }
p { color: var(--soft); }
ol { list-style: none; margin: 0; padding: 0; display: grid; gap: 14px;
  grid-template-columns: repeat(auto-fill, minmax(min(210px, 44vw), 1fr)); }
li { background: var(--card); border: 1px solid var(--line); border-radius: 10px;
  overflow: hidden; font-size: 13px; }
li a { color: var(--soft); text-decoration: none; }
li img { display: block; width: 100%; aspect-ratio: 1; object-fit: contain; }
li span { display: block; padding: 8px 10px; overflow-wrap: anywhere; }
nav { display: flex; gap: 16px; margin-top: 18px; } nav a { color: var(--mark); }
"""


def routes(server: Server) -> APIRouter:
    """Return the routes of one server."""
    router = APIRouter()

    @router.get("/", include_in_schema=False)
    async def page(given: Annotated[SearchGiven, Parameter()], request: Request) -> Answer:
        served = server.named(given.library)
        where = server.settings.prefix
        if not given.q.strip():
            count = await asyncio.to_thread(len, served.library)
            return _page("pixseek", _form(where, "") + f"<p>{count:,} images.</p>")
        query = await asyncio.to_thread(text_query, served.library, given, server.settings)
        found = await served.searches.answer(query, request)
        server.metrics.count_search(found)
        notes = "".join(f"<p>{html.escape(each)}</p>" for each in found.warnings)
        cards = "".join(_card(hit, where, given.library) for hit in found)
        said = f"<p>{found.strong:,} strong and {found.likely - found.strong:,} likely matches.</p>"
        more = ""
        if len(found) == query.k:
            there = urlencode({"q": given.q, "k": given.k, "offset": given.offset + given.k})
            more = f'<nav><a href="{where}/?{html.escape(there)}" rel="next">More</a></nav>'
        body = f"{_form(where, given.q)}{notes}{said}<ol>{cards}</ol>{more}"
        return _page(f"{given.q} · pixseek", body)

    @router.get("/style.css", include_in_schema=False)
    def style() -> Answer:
        return Answer(_STYLE, 200, {"Cache-Control": "public, max-age=3600"}, "text/css")

    @router.get("/login", include_in_schema=False)
    def login_form(to: str = "/") -> Answer:
        where = html.escape(server.settings.prefix)
        return _page(
            "Log in · pixseek",
            f'<form method="post" action="{where}/login"><input type="hidden" name="to" '
            f'value="{html.escape(_local(to))}"><input type="password" name="token" autofocus '
            'required aria-label="Token" placeholder="Token" autocomplete="current-password">'
            "<button>Log in</button></form>",
        )

    @router.post("/login", include_in_schema=False)
    async def login(request: Request) -> Answer:
        sent = parse_qs((await request.body())[:10_000].decode("utf-8", "replace"))
        rights = server.access.rights_of_token(sent.get("token", [""])[0])
        if rights is None:
            raise Refused(401, "no-token", "This token is unknown", "", "Open /login again.")
        there = server.settings.prefix + _local(sent.get("to", ["/"])[0])
        answer = RedirectResponse(there, 303)
        answer.set_cookie(
            COOKIE, server.access.cookie(rights), max_age=LOGIN_S, httponly=True, samesite="lax",
            secure=_is_encrypted(request, server), path=server.settings.prefix or "/",
        )  # fmt: skip
        return answer

    @router.post("/logout", include_in_schema=False)
    def logout() -> Answer:
        answer = RedirectResponse(f"{server.settings.prefix}/login", 303)
        answer.delete_cookie(COOKIE, path=server.settings.prefix or "/")
        return answer

    @router.get(
        "/healthz",
        tags=["health"],
        summary="Whether the server lives",
        responses=answers(having(status={"type": "string"}), {"status": "ok"}),
    )
    async def healthz() -> Answer:
        """Answer as long as the process lives."""
        return json_answer({"status": "ok"})

    @router.get(
        "/readyz",
        tags=["health"],
        summary="Whether the server can search",
        responses=answers(having(status={"type": "string"}), {"status": "ok"}, 503),
    )
    def readyz() -> Answer:
        """Answer "ok" if each library can be read."""
        for served in server.all():
            len(served.library)
        return json_answer({"status": "ok"})

    @router.get(
        "/metrics",
        response_class=Answer,
        tags=["health"],
        summary="Metrics for Prometheus",
        responses=files("text/plain", "Counts, times by stage, queue lengths, sizes.", 503),
    )
    def metrics() -> Answer:
        """Return what the server has measured."""
        return Answer(server.metrics.as_text(), 200, None, MEDIA)

    return router


def _is_encrypted(request: Request, server: Server) -> bool:
    """Return whether the browser uses TLS; a proxy that says so can only make a cookie safer."""
    said = request.headers.get("x-forwarded-proto", "")
    return server.settings.is_encrypted or said == "https"


def _local(to: str) -> str:
    """Return a path of this server, where a login leads; "/" for anything else."""
    return to if to.startswith("/") and not to.startswith(("//", "/\\")) else "/"


def _form(where: str, text: str) -> str:
    return (
        f'<form action="{html.escape(where)}/"><input type="search" name="q" '
        f'value="{html.escape(text)}" aria-label="Search" placeholder="Say what is in the image" '
        "autofocus><button>Search</button></form>"
    )


def _card(hit: Hit, where: str, library: str | None) -> str:
    of = f"&library={quote(library)}" if library else ""
    there = f"{where}/api/images/{quote(hit.id, safe='')}"
    small = f"{there}/preview?v={quote(hit.record.digest)}{of}"
    name = html.escape(hit.record.name.encode("utf-8", "replace").decode())
    return (
        f'<li><a href="{html.escape(f"{there}/original?{of[1:]}")}">'
        f'<img src="{html.escape(small)}" alt="" loading="lazy">'
        f"<span><bdi>{name}</bdi><br>{hit.strength}</span></a></li>"
    )


def _page(title: str, body: str, headers: Mapping[str, str] | None = None) -> Answer:
    text = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{html.escape(title)}</title><link rel="stylesheet" href="style.css"></head>'
        f"<body><main>{body}</main></body></html>"
    )
    return Answer(text.encode("utf-8", "replace"), 200, headers, _HTML)
