"""What Vespa holds about a library as a whole: its spaces, and small texts.

They are documents of their own type, `NAME_library`. One of them lists the spaces and says which is
active; it is changed on the condition that nobody else has changed it meanwhile.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from pixseek.engines import remote, rules, tokens
from pixseek.engines.kept_texts import SPACE
from pixseek.engines.vespa.documents import VERSION_BITS, document_id, escaped, place_of, unescaped
from pixseek.engines.vespa.schema import FORMAT, NAMESPACE, Slot, library_of
from pixseek.engines.vespa.server import Refusal, Server
from pixseek.engines.vespa.yql import Yql
from pixseek.errors import EngineError
from pixseek.types import Record, Space

#: The document that lists the spaces, and its kind; that of all others.
_SPACES, _KEPT = "spaces", "kept"
#: Texts that are read at once.
_PAGE = 1_000
_TRIES = 20  #: of a change that other machines come between


class Listed(NamedTuple):
    """A space with its slot in the schema, and whether its vectors are searched by their signs."""

    space: Space
    slot: Slot
    by_signs: bool


class Library:
    """The documents about one library. May be used from several threads."""

    def __init__(self, server: Server, name: str) -> None:
        self._server = server
        self._name = name
        self._type = library_of(name)

    # -------------------------------------------------------------- spaces

    def check(self) -> None:
        """Check that this is the application of a library that this pixseek can read.

        Raises:
            EngineError: the application is not there, or not one that pixseek made.
            LibraryFormatError: the library is of a newer format.
        """
        try:
            if not self.listed():
                self.kept()  # a query names an unknown document type more surely
        except Refusal as refusal:
            if refusal.status not in (400, 404):
                raise
            raise EngineError(
                "the server has no application of this name that pixseek made",
                self._server.subject,
                f"Make one: pixseek vespa app DIR --name {self._name}, then: vespa deploy DIR. "
                "An application of others is searched with ?vector=FIELD. It said: "
                f"{refusal.said}",
            ) from refusal

    def listed(self) -> list[Listed]:
        """Return all spaces, the active one first; and the space of small texts, if it is there."""
        found = self._state()[0]
        spaces = [self._read(each) for each in found["spaces"]]
        spaces.sort(key=lambda each: each.space.fingerprint != found["active"])
        return spaces

    def change(self, change: Callable[[dict[str, Any]], None]) -> None:
        """Change the list of spaces: called with it, and again if others have changed it.

        Raises:
            EngineError: others keep changing it.
        """
        for _ in range(_TRIES):
            state, version = self._state()
            before = json.dumps(state)
            change(state)
            if json.dumps(state) == before:
                return
            stored = "null" if version is None else str(version)
            fields = self._fields(_SPACES, _SPACES, json.dumps(state))
            condition = f"{self._type}.version == {stored}"
            create = version is None
            if self._server.update(
                NAMESPACE, self._type, _SPACES, fields, condition=condition, create=create
            ):
                return
        raise EngineError(
            "others keep changing the list of models", self._server.subject, "Try again."
        )

    def _state(self) -> tuple[dict[str, Any], int | None]:
        """Return the list of spaces, and the version of its document."""
        fields = self._server.get(NAMESPACE, self._type, _SPACES)
        if not fields:
            return {"active": "", "spaces": []}, None
        return json.loads(fields["content"]), int(fields["version"])

    def _read(self, about: dict[str, Any]) -> Listed:
        space = remote.space_of(about, FORMAT, self._server.subject)
        return Listed(space, Slot(about["slot"], space.dim), about["by_signs"])

    def _fields(self, id_: str, kind: str, content: str) -> dict[str, Any]:
        high, low = place_of(id_)
        return {
            "id": escaped(id_), "kind": kind, "place_high": high, "place_low": low,
            "content": escaped(content), "version": secrets.randbits(VERSION_BITS),
        }  # fmt: skip

    # -------------------------------------------------------------- small texts

    def keep(self, records: Sequence[Record]) -> None:
        """Store records without vectors, replacing those of the same id."""
        for each in records:
            fields = self._fields(each.id, _KEPT, tokens.packed(each))
            self._server.update(NAMESPACE, self._type, document_id(each.id), fields)

    def forget(self, ids: Sequence[str]) -> int:
        """Remove records; return how many there were."""
        there = {each.id for each in self.kept()}.intersection(ids)
        for each in there:
            self._server.remove(NAMESPACE, self._type, document_id(each))
        return len(there)

    def kept(self) -> list[Record]:
        """Return all records that were kept, by id."""
        yql = Yql()
        where = f"{yql.has('kind', _KEPT)} order by place_high asc, place_low asc"
        body = {
            "yql": f"select * from {self._type} where {where}", **yql.parameters,
            "hits": _PAGE, "ranking.profile": "unranked",
        }  # fmt: skip
        records: list[Record] = []
        while True:
            root = self._server.search({**body, "offset": len(records)})
            hits = root.get("children", [])
            records += [tokens.unpacked(unescaped(each["fields"]["content"])) for each in hits]
            if len(hits) < _PAGE:
                return sorted(records, key=lambda record: record.id)


def is_kept(space: Space) -> bool:
    """Return whether a space is the one of small texts."""
    return rules.is_one(space, SPACE)
