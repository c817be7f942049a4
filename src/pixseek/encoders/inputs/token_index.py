"""A tokenizer's vocabulary on disk, of which only the parts that a text needs are read.

A search from the command line tokenizes one short text, and reading CLIP's vocabulary (49,408
tokens) would take longer than running the text tower: 120 to 170 ms of 700. But byte-pair encoding
of a word depends only on merges that give a part of that word. So the tokens are in a database,
each with the merges that give it, and a text is tokenized by the library's own tokenizer with just
the parts of its words as the vocabulary.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from pixseek.config import make_folder
from pixseek.encoders.runtimes import mapped

#: Minimum size of a vocabulary for an index, in tokens; smaller ones are fast to read.
WORTH_IT = 16_000
#: Maximum number of parts of words to look up: those of about 700 words (500 words take 50 ms).
_PARTS = 20_000
_PARTS_A_QUERY = 500
#: Version of the file's format.
_FORMAT = 1

#: Tokens that the library may need for any text: `<unk>`, `[PAD]`, a byte such as `<0x0A>`.
_NAMED = re.compile(r"<.*>|\[.*\]", re.DOTALL)

#: Settings of byte-pair encoding, with the names of the library's files and constructor.
_SETTINGS = (
    "unk_token",
    "continuing_subword_prefix",
    "end_of_word_suffix",
    "fuse_unk",
    "byte_fallback",
    "ignore_merges",
)

_SCHEMA = """
CREATE TABLE tokenizer (json TEXT NOT NULL, longest INTEGER NOT NULL);  -- token, in characters
-- merges: rank and length of the left part in characters, of each merge that gives this token.
CREATE TABLE tokens (token BLOB PRIMARY KEY, id INTEGER NOT NULL, merges TEXT NOT NULL)
    WITHOUT ROWID;
"""


class TokenIndex:
    """A vocabulary on disk.

    Attributes:
        tokenizer: a `tokenizers.Tokenizer` without the vocabulary, except for named and added
            tokens.
    """

    def __init__(self, file: Path) -> None:
        """Open it.

        Raises:
            OSError, sqlite3.Error, ValueError: it can't be read.
        """
        from tokenizers import Tokenizer

        self._file = file
        with contextlib.closing(self._open()) as database:
            text, longest = database.execute("SELECT json, longest FROM tokenizer").fetchone()
        said = json.loads(text)
        self.tokenizer: Any = Tokenizer.from_str(text)
        model = said["model"]
        self._settings = {name: model[name] for name in _SETTINGS if model[name] is not None}
        self._named: dict[str, int] = model["vocab"]
        self._added = [(each["content"], each["normalized"]) for each in said["added_tokens"]]
        self._suffix: str = model["end_of_word_suffix"] or ""
        self._longest: int = longest

    def model(self, tokenizer: Any, texts: Sequence[str]) -> Any | None:
        """Return a model (`tokenizers.models.BPE`) that tokenizes these texts correctly.

        Args:
            tokenizer: splits the texts into words.
            texts: cleaned.

        Returns:
            None if the whole vocabulary is needed: a text is too long, or contains an added token
            (which splits a text before its words are found), or the index is broken or missing.
        """
        try:
            return self._model(tokenizer, texts)
        except Exception:  # sqlite3, json and tokenizers raise all kinds
            _discard(self._file)
            return None

    def _model(self, tokenizer: Any, texts: Sequence[str]) -> Any | None:
        from tokenizers import models

        parts: set[str] = set()
        for text in texts:
            if len(text) > _PARTS:
                return None
            words = self._words(tokenizer, text)
            if words is None:
                return None
            for word in words:
                parts.update(self._parts(word))
                if len(parts) > _PARTS:
                    return None
        vocabulary, ranked = dict(self._named), []
        for token, number, merges in self._read(parts):
            vocabulary[token] = number
            ranked += [(rank, token[:left], token[left:]) for rank, left in json.loads(merges)]
        return models.BPE(
            vocab=vocabulary,
            merges=[
                (left, right)
                for _, left, right in sorted(ranked)
                if left in vocabulary and right in vocabulary
            ],
            **self._settings,
        )

    def _words(self, tokenizer: Any, text: str) -> list[str] | None:
        """Return the words that byte-pair encoding gets; None if the text has added tokens."""
        normalizer, splitter = tokenizer.normalizer, tokenizer.pre_tokenizer
        plain = normalizer.normalize_str(text) if normalizer else text
        for content, normalized in self._added:
            if content in text or content in plain:
                return None
            if normalized and normalizer and normalizer.normalize_str(content) in plain:
                return None
        if splitter is None:
            return [plain]
        return [word for word, _ in splitter.pre_tokenize_str(plain)]

    def _parts(self, word: str) -> Iterator[str]:
        for start in range(len(word)):
            for end in range(start + 1, min(len(word), start + self._longest) + 1):
                yield word[start:end]
            if self._suffix and len(word) - start <= self._longest:
                yield word[start:] + self._suffix

    def _read(self, tokens: Iterable[str]) -> Iterator[tuple[str, int, str]]:
        keys = [token.encode() for token in tokens]
        with contextlib.closing(self._open()) as database:
            for at in range(0, len(keys), _PARTS_A_QUERY):
                some = keys[at : at + _PARTS_A_QUERY]
                marks = ",".join("?" * len(some))
                sql = f"SELECT token, id, merges FROM tokens WHERE token IN ({marks})"
                for token, number, merges in database.execute(sql, some):
                    yield token.decode(), number, merges

    def _open(self) -> sqlite3.Connection:
        # Immutable: nobody writes to the file, it is moved into place as a whole.
        return sqlite3.connect(self._file.resolve().as_uri() + "?immutable=1", uri=True)


def find(vocabulary: Path, cache: Path) -> TokenIndex | None:
    """Return the index of a tokenizer's file; None if there is none, or it can't be read."""
    with contextlib.suppress(OSError):
        file = _file(vocabulary, cache)
        if file.is_file() and file.stat().st_size:
            try:
                return TokenIndex(file)
            except Exception:  # as above
                _discard(file)
    return None


def write(vocabulary: Path, cache: Path, read: Callable[[], Any]) -> bool:
    """Write the index if it would help, is missing and can be written; return whether it did.

    Args:
        vocabulary: the tokenizer's file.
        cache: folder of the indexes.
        read: returns the file's `tokenizers.Tokenizer`.
    """
    import tempfile

    with contextlib.suppress(OSError, sqlite3.Error):  # a read-only folder, or a full disk
        file = _file(vocabulary, cache)
        if file.exists():
            return False
        said = _said(read())
        make_folder(cache)
        if said is None:
            file.touch()  # next time, don't read it again: half a second for 250,000 tokens
            return False
        with tempfile.TemporaryDirectory(dir=cache, ignore_cleanup_errors=True) as temporary:
            whole = Path(temporary) / file.name
            _fill(whole, said)
            os.replace(whole, file)
            return True
    return False


def _discard(file: Path) -> None:
    """Delete a broken index; the next `write` rebuilds it."""
    with contextlib.suppress(OSError):
        file.unlink()


def _said(tokenizer: Any) -> dict[str, Any] | None:
    """Return the content of a tokenizer's file; None if an index wouldn't help or be correct."""
    if tokenizer.get_vocab_size() < WORTH_IT:
        return None
    said: dict[str, Any] = json.loads(tokenizer.to_str())
    model = said["model"]
    if model["type"] != "BPE" or model["dropout"] or model["continuing_subword_prefix"]:
        return None
    return said


def _fill(file: Path, said: dict[str, Any]) -> None:
    model = said["model"]
    ids: dict[str, int] = model["vocab"]
    merges: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for rank, (left, right) in enumerate(model["merges"]):
        merges[left + right].append((rank, len(left)))
    added = {each["content"]: each["id"] for each in said["added_tokens"]}
    named = {token: number for token, number in ids.items() if _NAMED.fullmatch(token)}
    if model["unk_token"] in ids:
        named[model["unk_token"]] = ids[model["unk_token"]]
    # Added tokens keep their numbers only if they are in the vocabulary.
    model["vocab"], model["merges"] = named | added, []
    with contextlib.closing(sqlite3.connect(file)) as database, database:
        database.executescript(_SCHEMA)
        longest = max(map(len, ids), default=0)
        database.execute("INSERT INTO tokenizer VALUES (?, ?)", [json.dumps(said), longest])
        database.executemany(
            "INSERT INTO tokens VALUES (?, ?, ?)",
            ((token.encode(), n, json.dumps(merges.get(token, []))) for token, n in ids.items()),
        )


def _file(vocabulary: Path, cache: Path) -> Path:
    """Return the path of the index of a file."""
    return cache / f"tokens-{mapped.key_of([vocabulary], _FORMAT)}.sqlite"
