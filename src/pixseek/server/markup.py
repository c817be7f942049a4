"""Texts and icons as HTML."""

from __future__ import annotations

import html


def escape(text: str) -> str:
    """Return a text as it stands in HTML and in quoted attributes."""
    return html.escape(text.encode("utf-8", "replace").decode())


def icon(name: str) -> str:
    """Return an icon of icons.svg, which says nothing to those who hear the page."""
    return f'<svg class=icon aria-hidden=true><use href="#i-{name}"></use></svg>'
