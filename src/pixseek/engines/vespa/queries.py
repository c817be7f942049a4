"""The queries of a library on Vespa, and what is read of their answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from pixseek.engines.store import Document
from pixseek.engines.vespa.documents import LEAST, MOST, document_of, place_behind, place_of
from pixseek.engines.vespa.schema import MAX_HITS, MAX_OFFSET, Slot
from pixseek.engines.vespa.server import Server
from pixseek.engines.vespa.yql import Yql, all_of, any_of, ranged
from pixseek.errors import CapabilityError
from pixseek.types import Filter

if TYPE_CHECKING:
    from pixseek.types import Vectors

#: Candidates of signs that are scored by their vectors, per hit.
OVERSAMPLE = 4
#: Values of a field that are asked for at once; of more, all are asked for again.
_VALUES = 10_000


class Queries:
    """Asks for documents of one type. May be used from several threads."""

    def __init__(self, server: Server, type_: str) -> None:
        self._server = server
        self._type = type_

    def _select(self, where: str) -> str:
        return f"select * from {self._type} where {where}"

    def hits(
        self,
        yql: Yql,
        where: str,
        summary: str,
        hits: int,
        order: str = "",
        *,
        offset: int = 0,
        profile: str = "unranked",
        **more: Any,
    ) -> list[Mapping[str, Any]]:
        """Return hits of a query, with the fields of a summary."""
        body = {
            "yql": f"{self._select(where)} {order}".rstrip(), **yql.parameters, **more,
            "hits": hits, "offset": offset, "ranking.profile": profile,
            "presentation.summary": summary,
        }  # fmt: skip
        children: list[Mapping[str, Any]] = self._server.search(body).get("children", [])
        return children

    def page(
        self, yql: Yql, where: str, summary: str, k: int, offset: int, order: str
    ) -> list[Mapping[str, Any]]:
        """Return k hits behind the first `offset`, in as many queries as it takes."""
        found: list[Mapping[str, Any]] = []
        while len(found) < k:
            at, hits = offset + len(found), min(MAX_HITS, k - len(found))
            if at > MAX_OFFSET:
                raise CapabilityError(
                    "more was skipped than this engine can sort",
                    f"{at}, but at most {MAX_OFFSET}",
                    "Narrow it by a filter, such as one on the date.",
                )
            some = self.hits(yql, where, summary, hits, order, offset=at)
            found += some
            if len(some) < hits:
                break
        return found

    def total(self, yql: Yql, where: str) -> int:
        """Return how many documents fulfil a condition."""
        body = {
            "yql": self._select(where), **yql.parameters, "hits": 0, "ranking.profile": "unranked",
        }  # fmt: skip
        return int(self._server.search(body).get("fields", {}).get("totalCount", 0))

    def count(
        self, slot: Slot, where: Filter | None, *, bare: bool = False, seen: bool = False
    ) -> int:
        """Return how many documents of a space fulfil a filter.

        Args:
            slot: of the space.
            where: the filter.
            bare: only documents without vectors.
            seen: only documents with vectors.
        """
        yql = Yql()
        held = yql.held(slot, where, bare=bare)
        if seen:
            held = f"{held} and {ranged(slot.parts, 1, 2**31 - 1)}"
        return self.total(yql, held)

    def scanned(
        self,
        slot: Slot,
        where: Filter | None,
        after: str,
        limit: int,
        summary: str,
        *,
        bare: bool = False,
    ) -> list[Document]:
        """Return documents by their place.

        Vespa sorts all that fulfil a condition. So it is asked for parts of the places, each of
        which has about as many as are wanted; otherwise each page would cost as much as all.
        """
        total = self.count(slot, where, bare=bare)
        if not total:
            return []
        share = min(1.0, (limit * 1.2 + 50) / total)
        high, low = place_of(after) if after else (LEAST, LEAST - 1)
        found: list[Document] = []
        while high <= MOST and len(found) < limit:
            end = place_behind(high, share)
            asked = min(MAX_HITS, limit - len(found))
            yql = Yql()
            behind = any_of(
                [
                    all_of([ranged("place_high", high, high), ranged("place_low", low + 1, MOST)]),
                    *([ranged("place_high", high + 1, end)] if high < end else []),
                ]
            )
            held = f"{yql.held(slot, where, bare=bare)} and {behind}"
            order = "order by place_high asc, place_low asc"
            hits = self.hits(yql, held, summary, asked, order)
            found += [document_of(each["fields"], slot) for each in hits]
            if len(hits) < asked:
                high, low = end + 1, LEAST - 1
            else:
                high, low = place_of(found[-1].record.id)
        return found[:limit]

    def neighbours(
        self,
        slot: Slot,
        query: Vectors,
        k: int,
        where: Filter | None,
        breadth: int | None,
        *,
        by_signs: bool = False,
    ) -> list[Mapping[str, Any]]:
        """Return hits near a query with ids and vectors: the k nearest that Vespa finds, or more.

        Args:
            slot: of the space.
            query: (dim,) float32, a unit row.
            k: how many are wanted.
            where: only documents that fulfil this.
            breadth: how many candidates the index looks at; None to score all documents.
            by_signs: whether the index is that of the signs.
        """
        by_signs = by_signs and breadth is not None
        hits = min(MAX_HITS, OVERSAMPLE * k) if by_signs else k
        how = f"targetHits: {hits}, approximate: {'false' if breadth is None else 'true'}"
        if breadth is not None and breadth > hits:
            how += f', "hnsw.exploreAdditionalHits": {breadth - hits}'
        names, tensor = (slot.vector, slot.more), "q"
        profile = slot.closeness
        more = {"input.query(q)": query.astype(np.float64).round(8).tolist()}
        if by_signs:
            names, tensor, profile = (slot.signs, slot.more_signs), "qb", slot.binary
            more["input.query(qb)"] = np.packbits(query > 0).view(np.int8).tolist()
        near = any_of([f"({{{how}}}nearestNeighbor({name}, {tensor}))" for name in names])
        yql = Yql()
        held = f"{near} and {yql.held(slot, where)}"
        return self.hits(yql, held, slot.with_vectors, hits, profile=profile, **more)

    def values(self, slot: Slot, where: Filter | None, field: str) -> dict[str, int]:
        """Return how many documents have each value of a field: all of them, and exactly."""
        limit = _VALUES
        while True:
            yql = Yql()
            grouping = f"all(group({field}) max({limit}) precision({limit}) each(output(count())))"
            query = f"{self._select(yql.held(slot, where))} limit 0 | {grouping}"
            root = self._server.search(
                {"yql": query, **yql.parameters, "ranking.profile": "unranked"}
            )
            groups = _groups(root)
            if len(groups) < limit:
                return groups
            limit *= 10


def _groups(root: Mapping[str, Any]) -> dict[str, int]:
    """Return the counts by value in the answer to one grouping."""
    found: dict[str, int] = {}
    waiting = list(root.get("children", []))
    while waiting:
        each = waiting.pop()
        if "value" in each:
            found[str(each["value"])] = int(each["fields"]["count()"])
        waiting += each.get("children", [])
    return found
