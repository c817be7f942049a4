"""Applications that pixseek did not make, opened to be searched, and never written.

    vespa+http://host:8080/image_search?vector=image_features&image=image_file_name
    vespa+http://host:8080/image_search?vector=image_features&profile=similarity&tensor=q

The field `vector` holds an image's vector; `image` names the field of its path or address, and
other values are fields of the user. Nothing says which model made the vectors, so `model` does.

Vespa finds neighbours only by a rank profile that declares the query's tensor. With `profile` and
`tensor` it does. Without, all vectors are read once, kept in memory, and compared here; they are
read again when the number of documents has changed.
"""

# ruff: noqa: D102 (what the methods do is said in `store.Store`)

from __future__ import annotations

import bisect
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Never

import numpy as np

from pixseek.engines import columns, remote, rules
from pixseek.engines.foreign import MODEL, ReadOnly, is_fulfilled, is_scalar, unit
from pixseek.engines.store import Document, Row, Store
from pixseek.engines.vespa.server import Refusal, Server
from pixseek.engines.vespa.yql import any_of
from pixseek.errors import CapabilityError, ConfigError, EngineError
from pixseek.types import (
    WHOLE,
    Capabilities,
    Filter,
    Record,
    Space,
)

if TYPE_CHECKING:
    from pixseek.types import Vectors

#: Hits that Vespa returns unless a query profile raises it.
_MOST = 400
#: What schemas call types and fields, so that a query may hold it as it is.
_IDENTIFIER = "[A-Za-z_][A-Za-z0-9_]*"
#: The usual names of the field with a path or address, the first that a document has.
_USUAL = ("image_file_name", "image_path", "uri", "url", "path", "file_name", "filename", "name")


class ForeignStore(ReadOnly):
    """The documents of one type, which are never written. See `store.Store`."""

    def __init__(self, at: remote.Remote) -> None:
        """Read a document.

        Raises:
            ConfigError: a field or profile has a name that none can have.
            EngineError: there is no such document type, no document, or no such field of vectors.
        """
        self.name = at.shown
        self._type = at.name
        self._options: Mapping[str, str] = {
            key: value for key, value in at.options.items() if isinstance(value, str)
        }
        if not re.fullmatch(_IDENTIFIER, self._type):
            raise ConfigError(
                "not the name of a document type", self._type,
                "Write it as the schema does: letters, digits and '_'.",
            )  # fmt: skip
        for option in ("vector", "image", "tensor"):
            if not re.fullmatch(_IDENTIFIER, self._options.get(option, "a")):
                raise ConfigError(
                    "not the name of a field", f"{option}={self._options[option]}",
                    "Write it as the schema does: letters, digits and '_'.",
                )  # fmt: skip
        self._field = self._options["vector"]
        if ("profile" in self._options) != ("tensor" in self._options):
            raise ConfigError(
                "a rank profile is named with its tensor",
                self.name,
                "Give both: ?profile=NAME&tensor=NAME, where the profile has an input query(NAME).",
            )
        by_index = "profile" in self._options
        self.capabilities = Capabilities(exact=not by_index, max_k=_MOST if by_index else None)
        self._server = Server(at)
        try:
            super().__init__(rules.named_space(self._options.get("model", MODEL), self._dim()))
        except BaseException:
            self._server.close()
            raise
        self._read: tuple[int, dict[str, Document], list[str]] = (-1, {}, [])

    def _dim(self) -> int:
        """Return the length of vectors."""
        try:
            first = next(self._documents(1), {})
        except Refusal as refusal:
            raise EngineError(
                "the server can't read documents of this type",
                self.name,
                "Check its name, and with several content clusters name one: ?cluster=NAME. "
                f"It said: {refusal.said}",
            ) from refusal
        fields = first.get("fields", {})
        values = _values(fields.get(self._field))
        if values is None:
            raise EngineError(
                "the first document has no such field of vectors",
                f"{self.name}, {self._field}",
                f"Name it by ?vector=. Its fields: {', '.join(sorted(fields)) or 'none'}",
            )
        return len(values)

    def _documents(self, together: int = 1_000) -> Iterator[Mapping[str, Any]]:
        pages = self._server.visit_all(self._type, self._options.get("cluster", ""), together)
        return (each for page in pages for each in page)

    def close(self) -> None:
        self._server.close()

    def refuse(self) -> Never:
        raise CapabilityError(
            "this application is only searched, since pixseek did not make it",
            self.name,
            "To keep images, tags or searches, index into a library of your own: "
            "pixseek vespa app makes its application.",
        )

    # -------------------------------------------------------------- documents

    def fetch(self, space: Space, ids: Sequence[str], *, vectors: bool) -> list[Document | None]:
        self.check_space(space)
        if "profile" not in self._options:
            return [self._all()[0].get(each) for each in ids]
        return self._server.together(self._one, list(ids))

    def _one(self, id_: str) -> Document | None:
        # The fourth part is empty, or says which documents are stored together: "g=name", "n=1".
        _, namespace, _, together, end = self._whole_id(id_).split(":", 4)
        fields = self._server.get(namespace, self._type, end, together=together)
        return None if fields is None else self._document(id_, fields)

    def scan(
        self,
        space: Space,
        where: Filter | None,
        *,
        after: str,
        limit: int,
        vectors: bool,
        bare: bool = False,
    ) -> list[Document]:
        self.check_space(space)
        if not is_fulfilled(where):
            return []
        documents, ids = self._all()
        found: list[Document] = []
        for id_ in ids[bisect.bisect_right(ids, after) if after else 0 :]:
            if len(found) == limit:
                break
            if not (bare and documents[id_].record.parts):
                found.append(documents[id_])
        return found

    def count(self, space: Space, where: Filter | None, *, bare: bool = False) -> int:
        self.check_space(space)
        if not is_fulfilled(where):
            return 0
        if "profile" in self._options:  # it can't tell which documents have no vector
            return 0 if bare else self._total()
        documents = self._all()[0]
        return sum(not (bare and each.record.parts) for each in documents.values())

    def _all(self) -> tuple[dict[str, Document], list[str]]:
        """Return all documents, and their ids in order; read again if their number changed."""
        total = self._total()
        with self._lock:
            if self._read[0] != total:
                found = {
                    id_: self._document(id_, each["fields"])
                    for each in self._documents()
                    for id_ in [self._short_id(each["id"])]
                }
                self._read = total, found, sorted(found)
            return self._read[1:]

    def _total(self) -> int:
        body = {"yql": f"select * from {self._type} where true", "hits": 0}
        root = self._server.search({**body, "ranking.profile": "unranked"})
        return int(root.get("fields", {}).get("totalCount", 0))

    def _short_id(self, whole: str) -> str:
        """Return the id of a record; without what is usual, where pyvespa has put it."""
        return whole.removeprefix(f"id:{self._type}:{self._type}::")

    def _whole_id(self, id_: str) -> str:
        return id_ if id_.startswith("id:") else f"id:{self._type}:{self._type}::{id_}"

    # -------------------------------------------------------------- search

    def nearest(
        self, space: Space, vectors: Vectors, k: int, where: Filter | None
    ) -> list[list[Row]]:
        self.check_space(space)
        if not is_fulfilled(where):
            return [[] for _ in vectors]
        if "profile" in self._options:
            return self._by_index(vectors, k)
        return [_ranked(query, self._all()[0].values(), k) for query in vectors]

    def _by_index(self, vectors: Vectors, k: int) -> list[list[Row]]:
        # More than k, and ranked here: the profile's score may be no cosine.
        wide = min(_MOST, max(100, 2 * k))
        near = self._server.together(lambda query: self._near(query, wide), list(vectors))
        ids = list(dict.fromkeys(id_ for each in near for id_ in each))
        found = dict(zip(ids, self._server.together(self._one, ids), strict=True))
        documents = ([found[id_] for id_ in each] for each in near)
        return [
            _ranked(query, [each for each in some if each is not None], k)
            for query, some in zip(vectors, documents, strict=True)
        ]

    def _near(self, query: Vectors, wide: int) -> list[str]:
        """Return the ids of the documents that Vespa finds near a query."""
        tensor = self._options["tensor"]
        near = any_of([f"({{targetHits: {wide}}}nearestNeighbor({self._field}, {tensor}))"])
        root = self._server.search(
            {
                "yql": f"select documentid from {self._type} where {near}",
                "hits": wide,
                "ranking.profile": self._options["profile"],
                f"input.query({tensor})": query.astype(np.float64).round(8).tolist(),
            }
        )
        return [self._short_id(hit["fields"]["documentid"]) for hit in root.get("children", [])]

    # -------------------------------------------------------------- records

    def _document(self, id_: str, fields: Mapping[str, Any]) -> Document:
        named = self._options.get("image", next((n for n in _USUAL if n in fields), ""))
        vector = unit(_values(fields.get(self._field)), self._space.dim)
        uri = fields.get(named)
        record = Record(
            id_,
            uri if isinstance(uri, str) and uri and columns.is_storable(uri) else id_,
            fields={
                name: value
                for name, value in fields.items()
                if name not in (self._field, named) and is_scalar(value)
            },
            parts=(WHOLE,) * len(vector),
        )
        return Document(record, vector)


def _ranked(query: Vectors, documents: Any, k: int) -> list[Row]:
    """Return the k nearest of some documents, best first, ties by id."""
    rows = [
        Row(each.record.id, 0, float((each.vectors[0].astype(np.float64) * query).sum()),
            each.vectors[0])
        for each in documents
        if len(each.vectors)
    ]  # fmt: skip
    return sorted(rows, key=lambda row: (-row.score, row.id))[:k]


def _values(stored: Any) -> list[float] | None:
    """Return the numbers of a dense tensor of one dimension; None if it is nothing like that."""
    values = stored.get("values") if isinstance(stored, Mapping) else stored
    return values if isinstance(values, list) and values else None


def _conforms(store: ForeignStore) -> Store:
    return store  # checked by mypy
