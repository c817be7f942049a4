"""Small texts about the whole library, in the database of the embedded engine."""

from __future__ import annotations

import sqlite3


def keep(db: sqlite3.Connection, kind: str, name: str, text: str | None) -> None:
    """Keep a text in a transaction; None to forget it."""
    if text is None:
        db.execute("DELETE FROM kept WHERE kind = ? AND name = ?", (kind, name))
    else:
        db.execute("REPLACE INTO kept VALUES (?, ?, ?)", (kind, name, text))


def of_kind(db: sqlite3.Connection, kind: str) -> dict[str, str]:
    """Return the texts of a kind by name."""
    return dict(db.execute("SELECT name, text FROM kept WHERE kind = ?", (kind,)))
