"""What the page shows of groups: the menu of fields, and how many others an image stands for."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pixseek.server.markup import escape
from pixseek.server.shown import Shown
from pixseek.server.texts import Texts
from pixseek.types import Hit

#: The fields that the page offers to group by, besides those of users.
FIELDS = ("folder", "year", "camera")


def groupings(shown: Shown, t: Texts) -> dict[str, str]:
    """Return what the menu offers, by field; also one that only the address names."""
    chosen = shown.asked.get("group_by", "")
    fields = [*shown.groupings, *({chosen} - {*shown.groupings, ""})]
    named = {f: t(f"group_{f}") if f in FIELDS else t("group_one", what=f) for f in fields}
    return {"": t("group_none"), **named}


def stands_for(
    hit: Hit, asked: Mapping[str, str], t: Texts, address: Callable[[Mapping[str, str]], str]
) -> str:
    """Return the link from a hit to all images of its group; "" if it has none.

    Args:
        hit: of a page of groups.
        asked: the parameters of its address.
        t: texts.
        address: returns the address of a search.
    """
    if hit.group is None:
        return ""
    query = f"{asked.get('q', '')} {hit.group_filter}".strip()
    kept = {
        name: value
        for name, value in asked.items()
        if name not in ("q", "offset", "group_by", "facets")
    }
    count, more = "", ""
    if hit.others:
        count = f"<span>+{t.number(hit.others)}</span>"
        more = f' title="{escape(t("group_more", n=hit.others))}"'
    there = address({"q": query, **kept})
    said = escape(str(hit.group))
    return f'<a class=others href="{escape(there)}"{more}><bdi>{said}</bdi>{count}</a>'
