"""Words as English stems, for servers that may have no English analyser of their own.

By the stemmer of SQLite's full text search, so a query finds the same as in the embedded engine.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence


def stemmed(texts: Sequence[str]) -> list[str]:
    """Return texts whose words (`words.searchable`) are replaced by their stems, in order."""
    if not any(texts):
        return list(texts)
    found: list[list[str]] = [[] for _ in texts]
    db = sqlite3.connect(":memory:")
    try:
        db.execute(
            "CREATE VIRTUAL TABLE words USING fts5(text, content='',"
            " tokenize=\"porter unicode61 categories 'L* N* M*'\")"
        )
        db.execute("CREATE VIRTUAL TABLE stems USING fts5vocab(words, instance)")
        db.executemany("INSERT INTO words (rowid, text) VALUES (?, ?)", enumerate(texts))
        for row, term in db.execute('SELECT doc, term FROM stems ORDER BY doc, "offset"'):
            found[row].append(term)
    finally:
        db.close()
    return [" ".join(each) for each in found]
