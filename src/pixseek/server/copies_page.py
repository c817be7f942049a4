"""The page of copies: groups of images that are the same or alike, with what differs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pixseek.library.surfaces import DuplicateGroup
from pixseek.server.facts import facts_of
from pixseek.server.markup import escape, icon
from pixseek.server.texts import Texts
from pixseek.types import Record

#: Groups that are shown.
GROUPS = 200

#: Facts that say how copies differ, by their keys in the texts; the name comes first.
_COMPARED = ("pixels", "file", "taken", "folder")


def content(
    groups: Sequence[DuplicateGroup],
    texts: Texts,
    *,
    picture: Callable[[Record], str],
    page: Callable[[Record], str],
    action: str,
    may_write: bool,
) -> str:
    """Return what stands below the header, as HTML.

    Args:
        groups: of copies, the best of each first.
        texts: of the user's language.
        picture, page: give the addresses of an image's preview and page.
        action: address that forms are sent to.
        may_write: whether the user may tag the copies.
    """
    t = texts.part("copies")
    head = f"<h1>{t('title')}</h1>"
    if not groups:
        return f"{head}<p>{t('none')}</p>"
    more = f"<p class=soft>{t('more', n=len(groups) - GROUPS)}</p>" * (len(groups) > GROUPS)
    shown = []
    for group in groups[:GROUPS]:
        cards = "".join(
            f'<li><a href="{escape(page(each))}"><img src="{escape(picture(each))}" '
            f'alt="{escape(each.caption or each.name)}" loading=lazy></a>'
            f"<bdi>{escape(each.name)}</bdi>{_best(n, t)}"
            f"<dl>{_differing(each, group.records, texts)}</dl></li>"
            for n, each in enumerate(group.records)
        )
        kind = "exact" if group.exact else group.kind
        others = ",".join(each.id for each in group.records[1:])
        form = (
            f'<form method=post action="{escape(action)}"><input type=hidden name=tag '
            f'value="{escape(others)}"><button class=tool>{icon("tag")}<span>'
            f"{t('tag_others', tag=t('tag'))}</span></button></form>"
        )
        shown.append(f"<section><h2>{t(kind)}</h2><ul>{cards}</ul>{form * may_write}</section>")
    return f"{head}{more}<div class=groups>{''.join(shown)}</div>"


def _best(n: int, t: Texts) -> str:
    return f" <strong>{t('best')}</strong>" if n == 0 else ""


def _differing(record: Record, group: Sequence[Record], texts: Texts) -> str:
    """Return the facts of a record in which the records of its group differ."""
    t = texts.part("facts")
    found = []
    for key in _COMPARED:
        name = t(key)
        values = [
            next((fact.text for fact in facts_of(each, texts) if fact.name == name), "–")
            for each in group
        ]
        if len(set(values)) > 1:
            found.append((name, values[group.index(record)]))
    return "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in found)
