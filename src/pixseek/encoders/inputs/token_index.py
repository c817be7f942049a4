"""A tokenizer's vocabulary on disk, of which a text reads what it needs.

A search from the command line tokenizes one text of a few words, and a vocabulary of CLIP's (49,408
tokens) takes longer to read than the text tower to run: 120 to 170 ms of 700. But what byte-pair
encoding makes of a word depends on no merge other than those that give a part of that word. So the
tokens lie in a database, by their text, each with the merges that give it; the tokenizer of a text
is the library's own with the parts of its words for a vocabulary.
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

from pixseek.encoders.runtimes import mapped

#: Below this many tokens a vocabulary is read in no time.
WORTH_IT = 16_000
#: Parts of words that are looked up at most: those of some 700 words, where 500 take 50 ms.
_PARTS = 20_000
_PARTS_A_QUERY = 500
#: Changes whenever what is in the file does.
_FORMAT = 1

#: Tokens that the library may ask for whatever the text is: `<unk>`, `[PAD]`, a byte as `<0x0A>`.
_NAMED = re.compile(r"<.*>|\[.*\]", re.DOTALL)

#: Of byte-pair encoding, as the library names them in its files and in its constructor.
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
        tokenizer: a `tokenizers.Tokenizer` that has everything but the vocabulary: named tokens
            and those that were added are there.
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
        """Return the model (`tokenizers.models.BPE`) that gives these texts the tokens they have.

        Args:
            tokenizer: splits the texts into words.
            texts: cleaned.

        Returns:
            None where it takes the whole vocabulary: a text is too long for this, or names a token
            that was added to the vocabulary, which splits it before words are looked for; or the
            index is broken, or gone.
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
        """Return what byte-pair encoding is given; None if that can't be told so simply."""
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
        # Nobody writes into it: it is moved into its place as a whole.
        return sqlite3.connect(self._file.resolve().as_uri() + "?immutable=1", uri=True)


def find(vocabulary: Path, cache: Path) -> TokenIndex | None:
    """Return the index of a tokenizer's file; None where there is none that can be read."""
    with contextlib.suppress(OSError):
        file = _file(vocabulary, cache)
        if file.is_file() and file.stat().st_size:
            try:
                return TokenIndex(file)
            except Exception:  # as above
                _discard(file)
    return None


def write(vocabulary: Path, cache: Path, read: Callable[[], Any]) -> bool:
    """Write the index, if it would help, is not there, and can be written; return whether.

    Args:
        vocabulary: the tokenizer's file.
        cache: where the indexes lie.
        read: gives what is in the file, a `tokenizers.Tokenizer`.
    """
    import tempfile

    with contextlib.suppress(OSError, sqlite3.Error):  # a read-only folder, or a full disk
        file = _file(vocabulary, cache)
        if file.exists():
            return False
        said = _said(read())
        cache.mkdir(parents=True, exist_ok=True)
        if said is None:
            file.touch()  # to read one of 250,000 for nothing takes half a second
            return False
        with tempfile.TemporaryDirectory(dir=cache, ignore_cleanup_errors=True) as temporary:
            whole = Path(temporary) / file.name
            _fill(whole, said)
            os.replace(whole, file)
            return True
    return False


def _discard(file: Path) -> None:
    """Delete a broken index: who indexes next makes it anew."""
    with contextlib.suppress(OSError):
        file.unlink()


def _said(tokenizer: Any) -> dict[str, Any] | None:
    """Return what a tokenizer's file would hold; None if an index is of no use or no right one."""
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
    # Added tokens get their numbers back from here: without, they would be numbered anew.
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
    """Return where the index of a file lies."""
    return cache / f"tokens-{mapped.key_of([vocabulary], _FORMAT)}.sqlite"
