"""The spaces of a library on Vespa: which slot of the application's schema each one has."""

# ruff: noqa: D102 (what the methods do is said in `store.Store`)

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from pixseek.engines.store import SpaceGoneError
from pixseek.engines.vespa.library import Library, Listed, is_kept
from pixseek.engines.vespa.queries import Queries
from pixseek.engines.vespa.schema import FORMAT, Slot, slot_name
from pixseek.engines.vespa.server import Refusal, Server
from pixseek.errors import EngineError
from pixseek.types import Space


class VespaSpaces:
    """The half of a store that is about its spaces, not about the documents in them."""

    def __init__(self, server: Server, name: str, options: Mapping[str, Any]) -> None:
        self.name = server.subject
        self._server = server
        self._type = name
        self._options = options
        self.library = Library(server, name)
        #: The slots of spaces when they were last listed, which is at the beginning of each call.
        self._slots: dict[str, Slot] = {}
        #: The names of those whose vectors are searched by their signs.
        self._by_signs: set[str] = set()
        self._queries = Queries(server, name)

    def spaces(self) -> list[Space]:
        listed = self.library.listed()
        self._slots = {each.space.fingerprint: each.slot for each in listed}
        self._by_signs = {each.slot.name for each in listed if each.by_signs}
        return [each.space for each in listed]

    def create(self, space: Space) -> None:
        taken = [each.slot.name for each in self.library.listed()]
        slot = Slot(slot_name(space.model, taken), space.dim)
        about = {
            "format": FORMAT, "fingerprint": space.fingerprint, "dim": space.dim,
            "model": space.model, "slot": slot.name,
            "by_signs": not is_kept(space) and self._is_by_signs(space, slot),
        }  # fmt: skip

        def add(state: dict[str, Any]) -> None:
            if any(each["fingerprint"] == space.fingerprint for each in state["spaces"]):
                return
            if any(each["slot"] == slot.name for each in state["spaces"]):
                raise EngineError("another model of this name was added", space.model, "Try again.")
            state["spaces"].append(about)

        self.library.change(add)

    def _is_by_signs(self, space: Space, slot: Slot) -> bool:
        """Return whether the application has an index of signs for a space.

        Raises:
            EngineError: it has no fields for the space.
        """
        query = np.eye(1, space.dim, dtype=np.float32)[0]
        try:
            self._queries.neighbours(slot, query, 1, None, None)
        except Refusal as refusal:
            if refusal.status >= 500:
                raise
            raise EngineError(
                "the application on the server has no room for this model",
                f"{self.name}, {space.model} ({space.dim} dimensions), {slot.vector}",
                "Write a package with all models and deploy it: pixseek vespa app DIR "
                f"--name {self._type} --model {space.model} ..., then: vespa deploy DIR. "
                f"It said: {refusal.said}",
            ) from refusal
        try:
            self._queries.neighbours(slot, query, 1, None, 1, by_signs=True)
        except Refusal as refusal:
            if refusal.status >= 500:
                raise
            return False
        return True

    def activate(self, space: Space) -> None:
        def mark(state: dict[str, Any]) -> None:
            state["active"] = space.fingerprint
            for each in state["spaces"]:
                if each["fingerprint"] == space.fingerprint:
                    each["model"] = space.model

        self.library.change(mark)

    def _find(self, space: Space) -> Listed | None:
        found = (
            each for each in self.library.listed() if each.space.fingerprint == space.fingerprint
        )
        return next(found, None)

    def _read(self, space: Space) -> Slot:
        """Return the slot of a space to read; whether it still is one, `DocumentEngine` checks."""
        return self._slots.get(space.fingerprint) or self._slot(space)

    def _slot(self, space: Space) -> Slot:
        """Return the slot of a space to write.

        Raises:
            SpaceGoneError: it was dropped.
        """
        listed = self._find(space)
        if listed is None:
            raise SpaceGoneError(space)
        return listed.slot
