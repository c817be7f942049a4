"""Pages of a server for whoever asks: in their language and look, with what all pages show."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import Request

from pixseek.server import group_parts
from pixseek.server.access import COOKIE
from pixseek.server.guard import may_write
from pixseek.server.menus import ROWS, THEMES
from pixseek.server.page import Page
from pixseek.server.served import Served, Server
from pixseek.server.shown import Look, Shown
from pixseek.server.static_files import StaticFiles
from pixseek.server.texts import languages, texts_for

#: Keeps the look that a user chose: theme, rows and language, such as "dark.m.de".
LOOK = "pixseek_look"


class Pages:
    """What the routes of pages share.

    Attributes:
        static: scripts and styles.
        prefix: path of the server as browsers see it; "" for none.
    """

    def __init__(self, server: Server) -> None:
        """Write pages of this server."""
        self._server = server
        self.static = StaticFiles()
        self.prefix = server.settings.prefix

    def of(self, request: Request) -> Page:
        """Return what writes the page of one answer."""
        chosen = request.cookies.get(LOOK, "").split(".")
        theme, rows, language = chosen if len(chosen) == 3 else ("", "", "")
        look = Look(
            theme if theme in THEMES else THEMES[0],
            rows if rows in ROWS else "m",
            texts_for(request.headers.get("accept-language", ""), language),
            language if language in languages() else "",
        )
        return Page(look, self.static, self.prefix)

    def shown(
        self, request: Request, served: Served, asked: Mapping[str, str], **more: Any
    ) -> Shown:
        """Return what a page shows of a library."""
        return Shown(
            prefix=self.prefix,
            asked=asked,
            libraries=[each.name for each in self._server.all()],
            count=len(served.library),
            saved=list(served.library.saved_searches()),
            groupings=[*group_parts.FIELDS, *served.library.group_fields()],
            may_write=may_write(request.scope),
            has_login=COOKIE in request.cookies,
            **more,
        )
