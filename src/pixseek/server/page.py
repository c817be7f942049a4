"""The search page as HTML, which works without scripts; scripts take over the same document.

    header    the box, library, order, buttons
    bar       chips of the query, counts, saved searches
    main      results in justified rows: each has its size before its picture is there

Rows are laid out by flexbox from the ratio of each picture, in a stylesheet of the document with a
nonce. `grid.js` computes the same rows, so nothing moves when it takes over.
"""

from __future__ import annotations

import itertools
import json
import re
import secrets
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote, urlencode

from pixseek.library.surfaces import filter_text
from pixseek.server.answers import Answer
from pixseek.server.facts import Fact
from pixseek.server.films import picture
from pixseek.server.group_parts import groupings, stands_for
from pixseek.server.guard import POLICY
from pixseek.server.markup import escape, icon, problem, told
from pixseek.server.menus import menus
from pixseek.server.shown import Look, Shown
from pixseek.server.static_files import StaticFiles
from pixseek.server.texts import Texts
from pixseek.server.viewer_parts import parts
from pixseek.types import WHOLE, Hit, Part, Query, Record
from pixseek.types.clock import clock

#: Hits of the page that is sent as HTML: about a screen of 2,560 by 1,440 pixels. Browsers ask for
#: the pictures of all of them, also of those that are not in view yet.
HITS = 50

#: The pictures above the fold are asked for at once.
_EAGER = 24
#: The first of them before all else.
_FIRST = 8

#: The narrowest and the widest ratio that is shown whole; others are cut. The same as in grid.js.
NARROWEST, WIDEST = 0.4, 3.0

#: A part of a query that begins with an image of the library. The same as in chips.js.
_IMAGE = re.compile(r'-?\(?id:"([^"]+)"')


class Page:
    """Writes the documents of one answer."""

    def __init__(self, look: Look, static: StaticFiles, prefix: str) -> None:
        """Write for one user's look."""
        self._look, self._static, self._prefix = look, static, prefix
        self._t = look.texts
        self._nonce = secrets.token_urlsafe(12)
        self._rules: dict[int, str] = {}
        self._has_films = False

    # ------------------------------------------------------------ documents

    def search(self, shown: Shown, status: int = 200) -> Answer:
        """Return the page of a search, or of all images by date."""
        asked = shown.asked.get("q", "")
        dated = _is_dated(shown.query)
        names = ["dated" if dated else "", "faceted" if shown.facets is not None else ""]
        body = (
            f"{self._header(shown)}{self._bar(shown)}"
            f"<div id=body>{self._facets(shown)}<main id=main tabindex=-1>"
            f"<h1 class=unseen>{escape(asked or self._t('all_images'))}</h1>"
            f"{self._notes(shown)}{self._grid(shown)}{self._pager(shown)}</main></div>"
        )
        return self._document(
            f"{asked} · pixseek" if asked else "pixseek", body, shown, status, " ".join(names)
        )

    @property
    def texts(self) -> Texts:
        """The words in the user's language."""
        return self._t

    def image(
        self, shown: Shown, record: Record, facts: Iterable[Fact], moment: Part = WHOLE
    ) -> Answer:
        """Return the page of one image: its picture and facts about it; a video plays.

        Scripts show the results of the query in the place of this, with the image opened.

        Args:
            shown: what the page is about.
            record: of the image.
            facts: about it.
            moment: the shot of a video that it plays from.
        """
        t, there = self._t, self._api(record.id)
        self._has_films |= record.is_video
        of = _of(shown.asked)
        similar = self._address({"q": f"id:{record.id}", **_library(shown.asked)})
        rows = "".join(
            f"<dt>{escape(each.name)}</dt><dd>{self._fact(each, shown.asked)}</dd>"
            for each in facts
        )
        tags = "".join(
            f"<li class=chip><a href="
            f'"{escape(self._address({"q": filter_text("tag", each), **_library(shown.asked)}))}">'
            f"<bdi>{escape(each)}</bdi></a></li>"
            for each in record.tags
        )
        body = (
            f"{self._header(shown)}{self._bar(shown, is_one=True)}"
            f"<div id=body>{self._facets(shown)}"
            "<main id=main tabindex=-1><div id=notes></div><article class=facts>"
            f"{picture(record, moment, there, of, escape(self._alt(record)))}"
            f"<div><h1><bdi>{escape(record.name)}</bdi></h1>"
            f"<p><bdi>{escape(record.caption)}</bdi></p><ul class=tags>{tags}</ul><p>"
            f'<a class=button href="{escape(f"{there}/original?{of[1:]}")}">'
            f"{t('open_original')}</a> "
            f'<a class=button href="{escape(similar)}">{t("similar")}</a></p>'
            f"<dl>{rows}</dl></div></article>"
            f'<ul id=grid role=list aria-label="{t("results")}"></ul><nav id=pager></nav>'
            "</main></div>"
        )
        return self._document(f"{record.name} · pixseek", body, shown, 200, "single")

    def _fact(self, fact: Fact, asked: Mapping[str, str]) -> str:
        text, more = f"<bdi>{escape(fact.text)}</bdi>", ""
        href = fact.href
        if fact.query:
            href = self._address({"q": fact.query, **_library(asked)})
        elif href:
            more = ' rel="noreferrer noopener" target=_blank'
        return f'<a href="{escape(href)}"{more}>{text}</a>' if href else text

    def login(self, to: str, *, failed: bool = False) -> Answer:
        """Return the form that asks for a token."""
        t = self._t
        said = f"<p role=alert class=error>{t('token_wrong')}</p>" if failed else ""
        body = (
            f"<main class=login><h1>pixseek</h1>{said}<form method=post "
            f'action="{escape(self._prefix)}/login">'
            f'<input type=hidden name=to value="{escape(to)}"><label>{t("token")} '
            "<input type=password name=token autofocus required "
            f"autocomplete=current-password></label><button>{t('login')}</button></form></main>"
        )
        return self.plain(t("login"), body, 401 if failed else 200)

    def plain(self, title: str, body: str, status: int) -> Answer:
        """Return a page without a header and without scripts."""
        return self._answer(f"{title} · pixseek", body, status, "")

    # ------------------------------------------------------------ parts of a document

    def _header(self, shown: Shown) -> str:
        t, asked = self._t, shown.asked
        hidden = ""
        if len(shown.libraries) > 1:
            chosen = asked.get("library", shown.libraries[0])
            hidden = self._select("library", {each: each for each in shown.libraries}, chosen)
        elif "library" in asked:
            hidden = f'<input type=hidden name=library value="{escape(asked["library"])}">'
        searches = bool(asked.get("q"))
        may_save = searches and shown.may_write
        orders = (("relevance",) if searches else ()) + (
            "newest", "oldest", "name", "largest", "smallest",
        )  # fmt: skip
        # The default has no name: an order that was chosen for all images is not kept for a search.
        names = {each if n else "": t(f"sort_{each}") for n, each in enumerate(orders)}
        more = {**asked, "facets": "1"} if shown.facets is None else _without(asked, "facets")
        return (
            f'<a class=skip href="#main">{t("skip")}</a><header id=header>'
            f'<a class=brand href="{escape(self._address(_library(asked)))}">pixseek</a>'
            f'<form id=search role=search action="{escape(self._prefix)}/"><div id=box>'
            f"{icon('search')}"
            f'<input id=q type=search name=q value="{escape(asked.get("q", ""))}" '
            f'aria-label="{t("search")}" placeholder="{t("search_hint")}" maxlength=10000 '
            "autocomplete=off autocapitalize=off spellcheck=false role=combobox "
            "aria-expanded=false aria-controls=suggestions aria-autocomplete=list>"
            f"{self._tool('save', 'star', 'save', 'save-menu', hidden=not may_save)}"
            f"{self._tool('choose', 'image', 'choose_picture')}"
            f"<button id=go>{t('search')}</button>"
            f'<ul id=suggestions role=listbox aria-label="{t("suggestions")}" hidden></ul></div>'
            "<input id=file type=file hidden accept=image/*,.heic,.heif,.avif "
            f'aria-label="{t("choose_picture")}"><p id=wrong role=alert hidden></p>{hidden}'
            f"{self._select('sort', names, asked.get('sort', ''))}"
            f"{self._select('group_by', groupings(shown, t), asked.get('group_by', ''))}</form>"
            f'<div id=tools><a class=tool id=filters href="{escape(self._address(more))}" '
            f"aria-expanded={'false' if shown.facets is None else 'true'} "
            f'title="{t("filters")}">{icon("filter")}<span>{t("filters")}</span></a>'
            f'<a class=tool id=status href="{escape(self._address(_library(asked), "status"))}" '
            f'title="{t("status_of")}" aria-label="{t("status_of")}">{icon("status")}'
            "<span></span></a>"
            f'<button id=view class="tool js" type=button popovertarget=view-menu '
            f'title="{t("view")}">{icon("view")}<span>{t("view")}</span></button></div>'
            f"{menus(self._look.theme, self._look.rows, t, self._prefix, shown.has_login)}</header>"
        )

    def _tool(
        self, name: str, picture: str, text: str, menu: str = "", *, hidden: bool = False
    ) -> str:
        """Return a button that scripts give a meaning; without them it is not shown."""
        said = self._t(text)
        opens = f" popovertarget={menu}" if menu else ""
        return (
            f'<button id={name} class="tool js" type=button title="{said}" aria-label="{said}"'
            f"{opens}{' hidden' * hidden}>{icon(picture)}</button>"
        )

    def _select(self, name: str, options: Mapping[str, str], chosen: str) -> str:
        label = self._t(name)
        listed = "".join(
            f'<option value="{escape(value)}"{" selected" * (value == chosen)}>'
            f"{escape(text)}</option>"
            for value, text in options.items()
        )
        return (
            f'<select id={name} name={name} aria-label="{label}" autocomplete=off>{listed}</select>'
        )

    def _bar(self, shown: Shown, *, is_one: bool = False) -> str:
        t, asked = self._t, shown.asked
        chips = "".join(
            f'<li class="chip {escape(each["kind"])}"><bdi>{escape(called)}</bdi>'
            f'<a href="{escape(self._address({**_without(asked, "q"), "q": each["without"]}))}" '
            f'aria-label="{escape(t("remove", what=called))}">{icon("close")}</a></li>'
            for each in shown.parts
            for called in [self._part(each)]
        )
        saved = "".join(self._saved(each, shown) for each in shown.saved)
        hidden = " hidden" * bool(asked.get("q") or asked.get("example"))
        return (
            f'<section id=bar aria-label="{t("your_search")}">'
            f"<p id=count role=status>{escape(self._count(shown, is_one=is_one))}</p>"
            f"<ul id=chips>{chips}</ul>"
            f'<ul id=saved aria-label="{t("saved")}"{hidden}>{saved}</ul></section>'
        )

    def _part(self, part: Mapping[str, Any]) -> str:
        """Return what a part of the query is called: an image has no name that says anything."""
        image = _IMAGE.match(part["text"])
        shown = str(part["shown"])
        return shown.replace(image[1], self._t("like_this")) if image else shown

    def _saved(self, name: str, shown: Shown) -> str:
        said, called = escape(self._t("forget", name=name)), escape(name)
        there = self._address({"q": _called(name), **_library(shown.asked)})
        forget = (
            f'<button class=js type=button data-name="{called}" aria-label="{said}" '
            f'title="{said}">{icon("close")}</button>'
        )
        return (
            f'<li class=chip><a href="{escape(there)}"><bdi>{called}</bdi></a>'
            f"{forget * shown.may_write}</li>"
        )

    def _count(self, shown: Shown, *, is_one: bool) -> str:
        t, results = self._t, shown.results
        if shown.problem:
            return ""
        if results is None and is_one:
            return t("one_of", n=shown.count)
        if results is None or shown.query is None or not shown.query.terms:
            return t("images", n=shown.count if results is None else results.total)
        said = "found" if results.likely else "found_weak"
        return t(said, strong=results.strong, likely=results.likely - results.strong)

    def _notes(self, shown: Shown) -> str:
        t = self._t
        notes = "".join(
            f"<p class=note>{told(each, t)}</p>"
            for each in (
                shown.results.warnings if shown.results is not None and shown.asked.get("q") else ()
            )
        )
        if shown.problem:
            notes += f"<p class=error role=alert>{problem(shown.problem, t)}</p>"
        elif not shown.count:
            notes += self._empty(t("library_empty"), self._first_folder(shown))
        elif shown.results is not None and not len(shown.results):
            notes += self._empty(t("nothing_found"), t("nothing_found_hint"))
        return f"<div id=notes>{notes}</div>"

    def _first_folder(self, shown: Shown) -> str:
        """Return where the first folder is added, or who can do that."""
        if not shown.may_write:
            return self._t("library_empty_hint")
        there = self._address(_library(shown.asked), "status") + "#add"
        return f'<a class=button href="{escape(there)}">{self._t("library_empty_add")}</a>'

    def _empty(self, title: str, hint: str) -> str:
        return f"<div class=empty><h2>{title}</h2><p>{hint}</p></div>"

    def _grid(self, shown: Shown) -> str:
        fill = "<li class=fill role=presentation></li>"
        tiles = [
            (hit, self._tile(hit, shown.asked, n)) for n, hit in enumerate(shown.results or ())
        ]
        listed = ""
        if _is_dated(shown.query):
            months = itertools.groupby(tiles, lambda each: self._t.month(each[0].record.taken_at))
            for title, some in months:
                inner = "".join(tile for _, tile in some)
                listed += f"<li class=group><h2>{escape(title)}</h2><ul>{inner}{fill}</ul></li>"
        elif _has_sections(shown.query):
            for title, some in itertools.groupby(tiles, lambda each: self._title(each[0])):
                head = f"<li class=month><h2>{escape(title)}</h2></li>" if title else ""
                listed += f"{head}{''.join(tile for _, tile in some)}{fill}"
        else:
            listed = "".join(tile for _, tile in tiles) + fill
        return f'<ul id=grid role=list aria-label="{self._t("results")}">{listed}</ul>'

    def _title(self, hit: Hit) -> str:
        return {"strong": "", "likely": self._t("others"), "weak": self._t("weak")}[hit.strength]

    def _tile(self, hit: Hit, asked: Mapping[str, str], n: int) -> str:
        record = hit.record
        lazy = " loading=lazy" if n >= _EAGER else " fetchpriority=high" if n < _FIRST else ""
        size = "&size=192" * (self._look.rows == "s")
        if hit.part.kind == "shot" and hit.why:
            size = f"&part={record.parts.index(hit.part)}"
        small = f"{self._api(hit.id)}/preview?v={record.digest}{size}{_of(asked)}"
        lasts = length = ""
        if isinstance(seconds := record.fields.get("duration_s"), int | float):
            self._has_films = True
            lasts = f" data-s={float(seconds):g}"
            length = f"<span class=length>{clock(seconds)}</span>"
        thumb = escape(str(record.fields.get("placeholder", "")))
        there = self._address(_without(asked, "facets"), f"image/{quote(hit.id, safe='')}")
        return (
            f'<li class="tile {self._ratio(record)}" data-id="{escape(hit.id)}" '
            f'data-thumb="{thumb}"><a href="{escape(there)}"{lasts}><img src="{escape(small)}" '
            f'{_sides(record)} alt="{escape(self._alt(record))}"{lazy} decoding=async>{length}</a>'
            f"{stands_for(hit, asked, self._t, self._address)}</li>"
        )

    def _ratio(self, record: Record) -> str:
        """Return the class of a picture's ratio, and note its rule."""
        ratio = record.width / record.height if record.width and record.height else 1.0
        shown = round(1000 * min(WIDEST, max(NARROWEST, ratio)))
        self._rules.setdefault(shown, f".r{shown}{{--a:{shown / 1000:g}}}")
        return f"r{shown}"

    def _alt(self, record: Record) -> str:
        return record.caption or self._t("photo_named", name=record.name)

    def _pager(self, shown: Shown) -> str:
        if shown.results is None or shown.query is None:
            return ""
        offset, links = shown.query.offset, []
        if offset:
            before = {**_without(shown.asked, "offset"), "offset": str(max(0, offset - HITS))}
            links.append(("prev", self._t("previous"), before))
        if len(shown.results) == shown.query.k:
            links.append(("next", self._t("more"), {**shown.asked, "offset": str(offset + HITS)}))
        shown_links = "".join(
            f'<a class=button rel={rel} href="{escape(self._address(to))}">{text}</a>'
            for rel, text, to in links
        )
        return f"<nav id=pager>{shown_links}</nav>"

    def _facets(self, shown: Shown) -> str:
        if shown.facets is None:
            return "<aside id=facets hidden></aside>"
        t, asked = self._t, _without(shown.asked, "offset")
        groups = []
        for field, counts in shown.facets.items():
            values = "".join(
                f'<li><a href="{escape(self._narrower(asked, text))}">'
                f"<bdi>{escape(t.value(field, value))}</bdi> "
                f"<span>{t.number(count)}</span></a></li>"
                for value, (count, text) in counts.items()
            )
            if values:
                groups.append(
                    f"<details open><summary>{t(f'facet_{field}')}</summary><ul>{values}</ul>"
                    "</details>"
                )
        said = "".join(groups) or f"<p>{t('facets_none')}</p>"
        return f'<aside id=facets aria-label="{t("filters")}">{said}</aside>'

    # ------------------------------------------------------------ the document

    def with_header(
        self, title: str, main: str, shown: Shown, *, classes: str, script: str, status: int = 200
    ) -> Answer:
        """Return another page: its content, as HTML, below the header, and its own script."""
        body = f"{self._header(shown)}<main id=main tabindex=-1>{main}</main>"
        return self._document(f"{title} · pixseek", body, shown, status, classes, script)

    def _document(
        self,
        title: str,
        body: str,
        shown: Shown,
        status: int,
        classes: str,
        script: str = "main.js",
    ) -> Answer:
        results = shown.results
        start = {
            "language": self._t.language,
            "chosen": self._look.chosen,
            "texts": self._t.for_scripts,
            "prefix": self._prefix,
            "libraries": list(shown.libraries),
            "count": shown.count,
            "may_write": shown.may_write,
            "has_login": shown.has_login,
            "theme": self._look.theme,
            "rows": self._look.rows,
            "parts": list(shown.parts),
            "strong": results.strong if results else 0,
            "likely": results.likely if results else 0,
        }
        # "<" would end the element, or begin a comment in it.
        data = json.dumps(start, ensure_ascii=False).replace("<", "\\u003c")
        body += parts(self._t, may_write=shown.may_write) if script == "main.js" else ""
        tail = f'<script type="application/json" id=start>{data}</script>{self._static.icons}'
        # Scripts last: pictures of the first rows are asked for before them.
        return self._answer(title, body + tail + self._scripts(script), status, classes)

    def _scripts(self, script: str) -> str:
        where = f"{self._prefix}/{self._static.folder}"
        loads = "".join(
            f'<link rel=modulepreload fetchpriority=low href="{where}/{name}">'
            for name in (self._static.modules if script == "main.js" else ())
        )
        return f'{loads}<script type=module fetchpriority=low src="{where}/{script}"></script>'

    def _answer(self, title: str, body: str, status: int, classes: str) -> Answer:
        look, rules = self._look, "".join(self._rules.values())
        films = (
            f'<link rel=stylesheet href="{self._prefix}/{self._static.folder}/film.css">'
            if self._has_films
            else ""
        )
        text = (
            f"<!doctype html><html lang={self._t.language} data-theme={look.theme} "
            f"data-rows={look.rows}><head><meta charset=utf-8>"
            '<meta name=viewport content="width=device-width, initial-scale=1">'
            '<meta name=color-scheme content="light dark">'
            f"<title>{escape(title)}</title>"
            f'<link rel=icon href="{self._prefix}/{self._static.folder}/icon.svg">'
            f'<link rel=stylesheet href="{self._prefix}/{self._static.folder}/style.css">'
            f'{films}<style nonce="{self._nonce}">{rules}</style></head>'
            f'<body class="{classes}">{body}</body></html>'
        )
        policy = POLICY.replace("style-src 'self'", f"style-src 'self' 'nonce-{self._nonce}'")
        headers = {
            "Content-Security-Policy": policy,
            "Cache-Control": "private, no-cache",
            "Vary": "Accept-Language, Cookie",
        }
        content = text.encode("utf-8", "replace")
        return Answer(content, status, headers, "text/html; charset=utf-8")

    def _address(self, asked: Mapping[str, str], path: str = "") -> str:
        given = urlencode({name: value for name, value in asked.items() if value})
        return f"{self._prefix}/{path}{'?' if given else ''}{given}"

    def _narrower(self, asked: Mapping[str, str], text: str) -> str:
        """Return the address of a search that must also fulfil a filter."""
        return self._address({**asked, "q": f"{asked.get('q', '')} {text}".strip()})

    def _api(self, image_id: str) -> str:
        return f"{self._prefix}/api/images/{quote(image_id, safe='')}"


def _is_dated(query: Query | None) -> bool:
    return query is not None and query.sort in ("newest", "oldest")


def _has_sections(query: Query | None) -> bool:
    return query is not None and bool(query.terms) and query.sort == "relevance"


def _sides(record: Record) -> str:
    if not record.width or not record.height:
        return ""
    return f"width={record.width} height={record.height}"


def _without(asked: Mapping[str, str], *names: str) -> dict[str, str]:
    return {name: value for name, value in asked.items() if name not in names}


def _library(asked: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in asked.items() if name == "library"}


def _of(asked: Mapping[str, str]) -> str:
    return f"&library={quote(asked['library'])}" if "library" in asked else ""


def _called(name: str) -> str:
    """Return the text that runs a saved search."""
    return f"@{name}" if name.replace("-", "").replace("_", "").isalnum() else f'@"{name}"'
