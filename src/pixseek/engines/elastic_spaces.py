"""A library's indexes on Elasticsearch and its kin: one for each space, and which is active."""

# ruff: noqa: D102 (what the methods do is said in `store.Store`)

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Mapping
from typing import Any

from pixseek.engines import elastic_fields as fields
from pixseek.engines import remote
from pixseek.engines.elastic_dialects import Dialect, Query
from pixseek.engines.elastic_memory import Mark, Memory
from pixseek.engines.elastic_server import Server
from pixseek.engines.remote import Remote
from pixseek.engines.strangers import mistaken_for
from pixseek.errors import CapabilityError, EngineError, LibraryFormatError
from pixseek.types import Space

#: The version of the documents and the mapping; an older pixseek refuses a newer one.
FORMAT = 1


class ElasticSpaces:
    """The half of a store that is about its indexes, not about the documents in them."""

    def __init__(self, at: Remote, dialect: Dialect) -> None:
        """Connect at the first request.

        Args:
            at: the server, the name of the library and options.
            dialect: of the server.
        """
        self.name = at.shown
        self._at = at
        self._server = Server(at)
        self._dialect = dialect
        self._active = at.name
        self._options = at.options
        self._memory = Memory(lambda: self._marks(self._active))

    def check(self) -> None:
        """Check that the name is free, or that of a library that this pixseek can read.

        Raises:
            EngineError: it is the name of something else.
            LibraryFormatError: the library is of a newer format.
        """
        self.spaces()
        known = self._server.ask("GET", f"/{self._active}", absent=404) or {}
        strange = [index for index in known if not index.startswith(self._alias("")[:-1])]
        if strange:
            raise EngineError(
                "the server has an index of this name that is not a library of pixseek",
                self.name,
                f"Choose another name. To search {strange[0]} by the vectors in one of its fields: "
                "?vector=FIELD",
            )

    def spaces(self) -> list[Space]:
        if (begun := self._memory.begun) is not None:
            return list(begun.spaces)
        # A closed index may be the active one, too; what reads it says that it is closed.
        kind = f"mappings.properties.{self._dialect.vector}.type"
        path = (
            f"/{self._alias('*')}?expand_wildcards=open,closed"
            f"&filter_path=*.aliases,*.mappings._meta,*.{kind}"
        )
        active, others = list[Space](), list[Space]()
        name = ""
        for index, about in sorted((self._server.ask("GET", path) or {}).items()):
            if not isinstance(about, Mapping):
                raise self._server.strange(str({index: about})[:200])
            meta = about.get("mappings", {}).get("_meta", {}).get("pixseek", {})
            if meta.get("library") != self._active:
                continue
            if meta["format"] > FORMAT:
                raise LibraryFormatError(
                    "the library was written by a newer pixseek",
                    f"{self.name} ({index})",
                    "Update pixseek: pip install -U pixseek",
                )
            self._check_vectors(index, about["mappings"].get("properties", {}))
            space = Space(meta["fingerprint"], meta["dim"], meta["model"])
            if self._active in about.get("aliases", {}):
                name = index
                active.append(space)
            else:
                others.append(space)
        by_hand = f"POST /_aliases makes an index the one in use, as the alias {self._active}."
        found = remote.active_first(active, others, self.name, self._size, by_hand)
        self._memory.learn_spaces(found, name)
        return found

    def _check_vectors(self, index: str, properties: Mapping[str, Any]) -> None:
        """Check that an index is of this dialect: another would accept records and not find them.

        Raises:
            EngineError: it is not.
        """
        wanted = next(iter(self._dialect.types.values()))["type"]
        found = properties.get(self._dialect.vector, {}).get("type", "missing")
        if found != wanted:
            raise mistaken_for(self._at, known=True) or EngineError(
                f"the library's index was not made for {self._at.engine}",
                f"{self.name} ({index})",
                f"Write the scheme it was made with, such as opensearch+http(s)://. Its field "
                f"{self._dialect.vector} is {found}, not {wanted}.",
            )

    def _size(self, space: Space) -> int:
        answer = self._server.ask("GET", f"/{self._alias(mark_of(space))}/_count", absent=404)
        return int(answer["count"]) if answer else 0

    def create(self, space: Space) -> None:
        if space.dim > self._dialect.most_dims:
            raise CapabilityError(
                "the engine can't search vectors of so many dimensions",
                f"{space.dim}, at most {self._dialect.most_dims}",
                "Use another model, or the embedded engine.",
            )
        kind = self._options.get("type", next(iter(self._dialect.types)))
        vector = {**self._dialect.types[kind], self._dialect.dims: space.dim}
        settings = dict(self._dialect.settings)
        for option in ("shards", "replicas"):
            if option in self._options:
                settings[f"index.number_of_{option}"] = self._options[option]
        alias = self._alias(mark_of(space))
        mapping = {
            "dynamic": False,
            # The vectors are in `record`, in a sixth of the space.
            "_source": {"excludes": [self._dialect.vector, "more"]},
            "_meta": self._meta(space),
            "properties": fields.properties(self._dialect, vector),
        }
        body = {"settings": settings, "mappings": mapping, "aliases": {alias: {}}}
        made = self._server.ask("PUT", f"/{alias}.1?wait_for_active_shards=1", body, absent=400)
        if made is None and not any(each == space for each in self.spaces()):
            # What else a 400 says is an error, but that another process has made it is not.
            self._server.ask("PUT", f"/{alias}.1", body)

    def activate(self, space: Space) -> None:
        alias = self._alias(mark_of(space))
        self._server.ask("PUT", f"/{alias}/_mapping", {"_meta": self._meta(space)})
        actions: list[Query] = [{"add": {"index": f"{alias}.1", "alias": self._active}}]
        remove = {"index": self._alias("*"), "alias": self._active}
        if self._dialect.knows_must_exist:
            actions.insert(0, {"remove": {**remove, "must_exist": False}})
        elif self._server.ask("GET", f"/_alias/{self._active}", absent=404):
            actions.insert(0, {"remove": remove})
        self._server.ask("POST", "/_aliases", {"actions": actions})

    def drop(self, space: Space) -> None:
        self._server.ask("DELETE", f"/{self._alias(mark_of(space))}.1", absent=404)

    def writing(self) -> threading.RLock:
        return remote.writing(self.name)

    def close(self) -> None:
        self._memory.close()
        self._server.close()

    def _alias(self, mark: str) -> str:
        return f"{self._active}.pixseek.{mark}"

    def _meta(self, space: Space) -> dict[str, Any]:
        about = {"fingerprint": space.fingerprint, "dim": space.dim, "model": space.model}
        return {"pixseek": {"format": FORMAT, "library": self._active, **about}}

    def _marks(self, indexes: str) -> Mark:
        what = "filter_path=indices.*.uuid,indices.*.shards.*.seq_no.max_seq_no"
        stats = self._server.ask("GET", f"/{indexes}/_stats/docs?level=shards&{what}")
        return [
            (index, each.get("uuid"), shard, max(copy["seq_no"]["max_seq_no"] for copy in copies))
            for index, each in sorted(stats.get("indices", {}).items())
            for shard, copies in sorted(each["shards"].items())
        ]


def mark_of(space: Space) -> str:
    """Return the part of an index's name that stands for a space."""
    if re.fullmatch("[0-9a-f]{16,}", space.fingerprint):
        return space.fingerprint[:16]
    return hashlib.sha256(space.fingerprint.encode()).hexdigest()[:16]
