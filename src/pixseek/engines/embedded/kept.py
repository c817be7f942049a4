"""Small texts about the whole library, in the database of the embedded engine."""

from __future__ import annotations

import sqlite3

_TABLE = """
CREATE TABLE IF NOT EXISTS kept (
    kind TEXT NOT NULL, name TEXT NOT NULL, text TEXT NOT NULL, PRIMARY KEY (kind, name)
) WITHOUT ROWID
"""


def keep(db: sqlite3.Connection, kind: str, name: str, text: str | None) -> None:
    """Keep a text in a transaction; None to forget it."""
    db.execute(_TABLE)
    if text is None:
        db.execute("DELETE FROM kept WHERE kind = ? AND name = ?", (kind, name))
    else:
        db.execute("REPLACE INTO kept VALUES (?, ?, ?)", (kind, name, text))


def of_kind(db: sqlite3.Connection, kind: str) -> dict[str, str]:
    """Return the texts of a kind by name."""
    if db.execute("SELECT 1 FROM sqlite_master WHERE name = 'kept'").fetchone() is None:
        return {}
    return dict(db.execute("SELECT name, text FROM kept WHERE kind = ?", (kind,)))
