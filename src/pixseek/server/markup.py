"""Texts and icons as HTML."""

from __future__ import annotations

import html

from pixseek.server.texts import DEFAULT, Texts


def escape(text: str) -> str:
    """Return a text as it stands in HTML and in quoted attributes."""
    return html.escape(text.encode("utf-8", "replace").decode())


def icon(name: str) -> str:
    """Return an icon of icons.svg, which says nothing to those who hear the page."""
    return f'<svg class=icon aria-hidden=true><use href="#i-{name}"></use></svg>'


def told(text: str, texts: Texts) -> str:
    """Return what the library says as HTML: in the user's language, or marked as English."""
    known = texts.told(text)
    return f"<span lang={DEFAULT}>{escape(text)}</span>" if known is None else escape(known)


def problem(parts: tuple[str, str, str], texts: Texts) -> str:
    """Return the three parts of what went wrong as HTML, ready to stand in a paragraph."""
    failed, subject, advice = parts
    # A subject is a name more often than a text.
    on = f": {escape(texts.told(subject) or subject)}" if subject else ""
    return f"<strong>{told(failed, texts)}{on}</strong> {told(advice, texts) if advice else ''}"
