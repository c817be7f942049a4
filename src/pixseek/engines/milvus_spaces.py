"""The collections of a library on Milvus: one for each space, and one that lists them."""

# ruff: noqa: D102 (what the methods do is said in `store.Store`)

from __future__ import annotations

import contextlib
import threading
from collections.abc import Mapping
from typing import Any

import numpy as np

from pixseek.engines import milvus_rows, remote
from pixseek.engines.milvus_rows import TYPES, collection_of, key_is_one, mark_of
from pixseek.engines.milvus_server import NoCollectionError, Refusal, Server
from pixseek.engines.store import SpaceGoneError
from pixseek.errors import EngineError
from pixseek.types import Space

#: The version of the entities; an older pixseek refuses a newer one.
FORMAT = 1
#: Which entities are records, and not further parts of one.
ONLY_RECORDS = "part == 0"


class MilvusSpaces:
    """The half of a store that is about its collections, not about the entities in them."""

    def __init__(self, server: Server, name: str, options: Mapping[str, Any]) -> None:
        self.name = server.subject
        self._server, self._library, self._options = server, name, options
        #: The type of the index of each collection.
        self._kinds: dict[str, str] = {}

    def spaces(self) -> list[Space]:
        """Return the spaces; see `store.Store`.

        Raises:
            EngineError: the collection that lists them is somebody else's.
            LibraryFormatError: the library is of a newer format.
        """
        active, others = list[Space](), list[Space]()
        rows = self._registered()
        now = next((row["about"]["active"] for row in rows if row["key"] == "active"), None)
        for row in rows:
            about = row["about"]
            if "dim" not in about:
                continue
            space = remote.space_of(about, FORMAT, self.name)
            self._kinds[row["key"]] = about["type"]
            (active if row["key"] == now else others).append(space)
        return remote.active_first(active, others, self.name, self._size)

    def _size(self, space: Space) -> int:
        try:
            rows = self._call(
                "query", space,
                filter=ONLY_RECORDS, output_fields=["count(*)"], consistency_level="Strong",
            )  # fmt: skip
        except SpaceGoneError:
            return 0
        return int(rows[0]["count(*)"])

    def _registered(self) -> list[Any]:
        try:
            return list(
                self._server.call(
                    "query", collection_of(self._library), filter='key != ""',
                    output_fields=["key", "about"], limit=1_000, consistency_level="Strong",
                )
            )  # fmt: skip
        except NoCollectionError:
            return []

    def create(self, space: Space) -> None:
        kind = self._options.get("type", next(iter(TYPES)))
        client = self._server.client
        self._make(
            self._name(space), milvus_rows.schema_of(client, space.dim),
            milvus_rows.indexes_of(client, kind, is_lite=self._server.is_lite),
        )  # fmt: skip
        schema, indexes = milvus_rows.list_of_spaces(client)
        self._make(collection_of(self._library), schema, indexes, shards=1)
        self._register(space, kind)

    def _make(self, name: str, schema: Any, indexes: Any, shards: int | None = None) -> None:
        """Make a collection, unless another process has made it."""
        more: dict[str, Any] = {}
        if shards or "shards" in self._options:
            more["num_shards"] = shards or self._options["shards"]
        try:
            self._server.call(
                "create_collection", name, schema=schema, index_params=indexes,
                consistency_level="Strong", **more,
            )  # fmt: skip
        except Refusal as refusal:
            if not self._server.call("has_collection", name):
                raise
            there = self._server.call("describe_collection", name)
            known = {each["name"]: each["params"].get("dim") for each in there["fields"]}
            wanted = {each.name: each.params.get("dim") for each in schema.fields}
            if {key: str(dim) for key, dim in known.items()} != {
                key: str(dim) for key, dim in wanted.items()
            }:
                raise EngineError(
                    "the server has another collection of this name",
                    f"{self.name} ({name})",
                    "Delete it there, or choose another name.",
                ) from refusal
        if "replicas" in self._options:
            self._server.call("load_collection", name, replica_number=self._options["replicas"])

    def _register(self, space: Space, kind: str, *more: dict[str, Any]) -> None:
        about = {
            "format": FORMAT, "fingerprint": space.fingerprint, "dim": space.dim,
            "model": space.model, "type": kind,
        }  # fmt: skip
        rows = [{"key": mark_of(space), "about": about}, *more]
        nothing = np.ones(2, np.float32)
        self._server.call(
            "upsert", collection_of(self._library), [{**row, "nothing": nothing} for row in rows]
        )

    def activate(self, space: Space) -> None:
        # One shard takes both rows of a request, or none.
        kind = self._kind(space)
        self._register(space, kind, {"key": "active", "about": {"active": mark_of(space)}})

    def drop(self, space: Space) -> None:
        if any(each.fingerprint == space.fingerprint for each in self.spaces()):
            one = key_is_one("key", [mark_of(space)])
            self._server.call("delete", collection_of(self._library), filter=one)
        with contextlib.suppress(NoCollectionError):
            self._server.call("drop_collection", self._name(space))

    def writing(self) -> threading.RLock:
        return remote.writing(self.name)

    def close(self) -> None:
        self._server.close()

    def _name(self, space: Space) -> str:
        return collection_of(self._library, space)

    def _call(self, name: str, space: Space, *arguments: Any, **named: Any) -> Any:
        try:
            return self._server.call(name, self._name(space), *arguments, **named)
        except NoCollectionError as error:
            raise SpaceGoneError(space) from error

    def _kind(self, space: Space) -> str:
        """Return the type of the index of a space."""
        if mark_of(space) not in self._kinds:
            self.spaces()
        return self._kinds.get(mark_of(space), next(iter(TYPES)))
