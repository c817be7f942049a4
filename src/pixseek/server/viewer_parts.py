"""What the scripts of the viewer and of selections bring to life: parts of every page, hidden."""

from __future__ import annotations

from pixseek.server.markup import escape, icon
from pixseek.server.texts import Texts


def parts(t: Texts, *, may_write: bool) -> str:
    """Return the viewer and the form for selected images, as HTML."""
    return f"{_viewer(t)}{_selection(t, may_write)}"


def _viewer(t: Texts) -> str:
    acts = (
        ("similar", "similar", "s", ""),
        ("region", "region", "r", ""),
        ("like", "like", "l", " aria-pressed=false"),
        ("dislike", "dislike", "d", " aria-pressed=false"),
        ("info", "facts_panel", "i", " aria-pressed=false"),
        ("copy", "copy_path", "c", ""),
    )
    tools = "".join(
        _tool(name, t(text), f"v-{name}", f" data-key={key}{more}")
        for name, text, key, more in acts
    )
    pictures = '<img alt="" draggable=false><img class=sharp alt="" draggable=false>'
    return (
        f'<dialog id=viewer aria-label="{t("viewer")}"><header>'
        f"{_tool('close', t('close'), 'v-close')}<p id=v-count role=status></p>{tools}"
        f'<a class=tool id=v-download download title="{t("download")}" '
        f'aria-label="{t("download")}" data-key=o>{icon("download")}</a></header>'
        f"<div class=middle><figure class=stage tabindex=-1><div class=picture>{pictures}</div>"
        f"<div class=region-tools hidden><p>{t('region_hint')}</p>"
        f"{_tool('search', t('region_search'), 'r-search', word=True)}"
        f"{_tool('close', t('cancel'), 'r-cancel')}</div></figure>"
        f"{_tool('left', t('key_previous'), 'v-left', ' data-key=ArrowLeft')}"
        f"{_tool('right', t('key_next'), 'v-right', ' data-key=ArrowRight')}</div>"
        f'<aside class=panel tabindex=-1 aria-label="{t("facts_panel")}" hidden></aside></dialog>'
    )


def _selection(t: Texts, may_write: bool) -> str:
    hint, changes = t("tag_many"), ""
    if may_write:
        stars = "".join(f"<option value={n}>{'★' * n}</option>" for n in range(5, 0, -1))
        changes = (
            f'<input id=s-tags aria-label="{hint}" placeholder="{hint}" maxlength=500 '
            f'autocomplete=off><button class=tool value=tag title="{hint}" '
            f'aria-label="{hint}">{icon("tag")}</button><select id=s-rating '
            f'aria-label="{t("rating")}"><option value="">{t("rating")}</option>{stars}'
            f"<option value=0>{t('unrated')}</option></select>"
        )
    forms = "".join(
        f"<option value={each}>{t(f'export_{each}')}</option>" for each in ("paths", "csv", "json")
    )
    sending = "".join(
        f"<button class=tool value={value}>{icon(picture)}<span>{t(text)}</span></button>"
        for value, picture, text in (
            ("export", "download", "export"), ("copies", "copies", "copies_of"),
        )
    )  # fmt: skip
    return (
        f'<form id=selection method=post aria-label="{t("selection")}" hidden>'
        f"{_tool('close', t('select_none'), 's-none')}<p role=status></p>"
        f"<input type=hidden name=ids>{changes}"
        f'<select name=format aria-label="{t("format")}">{forms}</select>'
        f"{sending}</form>"
    )


def _tool(picture: str, label: str, name: str, more: str = "", *, word: bool = False) -> str:
    """Return a button with an icon; its label is a word or its name."""
    text = escape(label)
    shown = f"<span>{text}</span>" if word else ""
    named = "" if word else f' aria-label="{text}"'
    side = " class='tool go'" if picture in ("left", "right") else " class=tool"
    return (
        f'<button type=button id={name}{side} title="{text}"{named}{more}>'
        f"{icon(picture)}{shown}</button>"
    )
