"""The collections of a library on Qdrant: one for each space, and one that lists them."""

# ruff: noqa: D102 (what the methods do is said in `store.Store`)

from __future__ import annotations

import contextlib
import threading
from collections.abc import Mapping
from typing import Any

from pixseek.engines import remote
from pixseek.engines.qdrant_points import indexes, mark_of, models, place_of, settings_of
from pixseek.engines.qdrant_server import Local, NoCollectionError, Refusal, Server
from pixseek.engines.store import SpaceGoneError
from pixseek.errors import EngineError
from pixseek.types import Space

#: The version of the payloads; an older pixseek refuses a newer one.
FORMAT = 1


class QdrantSpaces:
    """The half of a store that is about its collections, not about the points in them."""

    def __init__(self, server: Server | Local, name: str, options: Mapping[str, Any]) -> None:
        self.name = server.subject
        self._server, self._is_local = server, isinstance(server, Local)
        self._registry = f"{name}.pixseek"
        self._foreign = name
        self._options = options
        self._closed = False

    def check(self) -> None:
        """Check that the name is free, or that of a library that this pixseek can read.

        Raises:
            EngineError: it is the name of something else.
            LibraryFormatError: the library is of a newer format.
        """
        if not self.spaces() and self._server.call(
            "collection_exists", collection_name=self._foreign
        ):
            raise EngineError(
                "the server has a collection of this name that is not a library of pixseek",
                self.name,
                "Choose another name.",
            )

    def spaces(self) -> list[Space]:
        active, others = list[Space](), list[Space]()
        for about in self._registered():
            space = remote.space_of(about, FORMAT, self.name)
            (active if about["active"] else others).append(space)
        return remote.active_first(active, others, self.name, self._size)

    def _size(self, space: Space) -> int:
        with contextlib.suppress(SpaceGoneError):
            return int(self._call("count", space, exact=True).count)
        return 0

    def _registered(self) -> list[dict[str, Any]]:
        try:
            points, _ = self._server.call(
                "scroll", collection_name=self._registry, limit=1_000, with_payload=True
            )
        except NoCollectionError:
            return []
        found = [point.payload for point in points]
        now = [each for each in found if "active" in each]
        spaces = sorted((each for each in found if "dim" in each), key=lambda each: each["mark"])
        return [
            {**each, "active": bool(now) and now[0]["active"] == each["mark"]} for each in spaces
        ]

    def create(self, space: Space) -> None:
        settings = settings_of(space.dim, self._options)
        name = self._collection(space)
        self._make(name, settings)
        for field, kind in [] if self._is_local else indexes():
            self._server.call(
                "create_payload_index",
                collection_name=name, field_name=field, field_schema=kind, wait=True,
            )  # fmt: skip
        plain = {key: settings[key] for key in ("replication_factor", "write_consistency_factor")}
        self._make(self._registry, {"vectors_config": {}, "shard_number": 1, **plain})
        self._register(space)

    def _make(self, name: str, settings: Mapping[str, Any]) -> None:
        """Make a collection, unless another process has made it."""
        try:
            self._server.call("create_collection", collection_name=name, **settings)
        except Refusal as refusal:
            if not self._server.call("collection_exists", collection_name=name):
                raise
            if "size" in str(settings) and not self._fits(name, settings):
                raise EngineError(
                    "the server has another collection of this name",
                    f"{self.name} ({name})",
                    "Delete it there, or choose another name.",
                ) from refusal

    def _fits(self, name: str, settings: Mapping[str, Any]) -> bool:
        there = self._server.call("get_collection", collection_name=name).config.params.vectors
        wanted = settings["vectors_config"]
        return isinstance(there, dict) and all(
            key in there and (there[key].size, there[key].distance) == (each.size, each.distance)
            for key, each in wanted.items()
        )

    def _register(self, space: Space, *more: Any) -> None:
        about = {
            "format": FORMAT, "mark": mark_of(space), "fingerprint": space.fingerprint,
            "dim": space.dim, "model": space.model,
        }  # fmt: skip
        points = [models.PointStruct(id=place_of(mark_of(space)), vector={}, payload=about), *more]
        self._server.call("upsert", collection_name=self._registry, points=points, wait=True)

    def activate(self, space: Space) -> None:
        payload = {"active": mark_of(space)}
        # One shard takes both points of a request, or none.
        self._register(space, models.PointStruct(id=place_of(""), vector={}, payload=payload))

    def drop(self, space: Space) -> None:
        if any(each == space for each in self.spaces()):
            one = models.PointIdsList(points=[place_of(mark_of(space))])
            self._server.call(
                "delete", collection_name=self._registry, points_selector=one, wait=True
            )
        with contextlib.suppress(NoCollectionError):
            self._server.call("delete_collection", collection_name=self._collection(space))

    def writing(self) -> threading.RLock:
        return remote.writing(self.name)

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._server.close()

    def _collection(self, space: Space) -> str:
        return f"{self._registry}.{mark_of(space)}"

    def _call(self, name: str, space: Space, **arguments: Any) -> Any:
        try:
            return self._server.call(name, collection_name=self._collection(space), **arguments)
        except NoCollectionError as error:
            raise SpaceGoneError(space) from error
