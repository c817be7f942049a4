"""Menus of the page, which scripts give a meaning: how it looks, a name for a search, all keys."""

from __future__ import annotations

from pixseek.server.markup import escape, icon
from pixseek.server.texts import Texts, languages

#: What users choose; the first of each is the default but for the rows.
THEMES, ROWS = ("auto", "light", "dark"), ("s", "m", "l")


def menus(theme: str, rows: str, texts: Texts, prefix: str, has_login: bool) -> str:
    """Return the menus as HTML.

    Args:
        theme, rows: what is chosen, of `THEMES` and `ROWS`.
        texts: of the language that is chosen.
        prefix: path of the server as browsers see it; "" for none.
        has_login: whether the user can log out.
    """
    t = texts
    choices = (
        ("rows", {each: t(f"rows_{each}") for each in ROWS}, rows),
        ("theme", {each: t(f"theme_{each}") for each in THEMES}, theme),
        ("language", {n: each.words["name"] for n, each in languages().items()}, t.language),
    )
    fields = "".join(
        f"<fieldset><legend>{t(name)}</legend>"
        + "".join(
            f"<label><input type=radio name={name} value={value}"
            f"{' checked' * (value == chosen)}><span>{text}</span></label>"
            for value, text in options.items()
        )
        + "</fieldset>"
        for name, options, chosen in choices
    )
    leaving = (
        f'<form method=post action="{escape(prefix)}/logout">'
        f"<button class=tool>{t('logout')}</button></form>"
    )
    return (
        f"<div id=view-menu class=menu popover>{fields}"
        f"<button class=tool type=button id=show-keys>{t('keys')}</button>"
        f"{leaving * has_login}</div>"
        "<div id=save-menu class=menu popover><form>"
        f"<label for=save-name>{t('save_as')}</label>"
        "<input id=save-name maxlength=100 required autocomplete=off>"
        f"<button class=button>{t('save_button')}</button></form></div>"
        "<dialog id=keys closedby=any aria-labelledby=keys-title><form method=dialog>"
        f"<h2 id=keys-title>{t('keys')}</h2>"
        f'<button class=tool aria-label="{t("close")}">{icon("close")}</button></form>'
        f"<div></div></dialog><div id=drop aria-hidden=true>{t('drop_here')}</div>"
    )
