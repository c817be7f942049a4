"""Errors as pages, for browsers that are not asking the API."""

from __future__ import annotations

from fastapi import Request

from pixseek.server.answers import Answer
from pixseek.server.markup import escape, problem
from pixseek.server.pages import Pages
from pixseek.server.problems import Problem

#: Addresses of programs, which get problem details whatever they accept.
_OF_PROGRAMS = ("/api/", "/static/", "/healthz", "/readyz", "/metrics")


def wants_page(request: Request) -> bool:
    """Return whether a browser shows the answer to somebody."""
    accepted = request.headers.get("accept", "")
    return "text/html" in accepted and not request.url.path.startswith(_OF_PROGRAMS)


def shown(answer: Answer, request: Request, pages: Pages) -> Answer:
    """Return a problem as a page if a browser asked for one; other answers as they are."""
    if not isinstance(answer, Problem) or answer.status_code < 400 or not wants_page(request):
        return answer
    page = pages.of(request)
    said = page.texts.told(answer.parts[0]) or answer.parts[0]
    home = f'<a class=button href="{escape(pages.prefix)}/">{page.texts("all_images")}</a>'
    body = (
        "<main class=login><h1>pixseek</h1><p class=error role=alert>"
        f"{problem(answer.parts, page.texts)}</p><p>{home}</p></main>"
    )
    found = page.plain(said, body, answer.status_code)
    for name in ("allow", "retry-after", "www-authenticate"):
        if name in answer.headers:
            found.headers[name] = answer.headers[name]
    found.headers["vary"] = "Accept, Accept-Language, Cookie"
    return found
