"""The protocol of engines: stores of records and vectors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Protocol, Self, runtime_checkable

from pixseek.types.dataclass import dataclass

if TYPE_CHECKING:
    from pixseek.types.queries import Filter
    from pixseek.types.records import Known, Record, Space, Vectors
    from pixseek.types.results import Match, Neighbours


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an engine can do; what it can't is said aloud.

    Attributes:
        filtering: when filters are applied: "during" the search (k is guaranteed), or
            "exhaustive" (every match is scored).
        exact: whether the answers are those of an exhaustive scan at every size.
        visibility: what an acknowledged write is: already "searchable", or only "stored".
        max_k: largest k of a search; None for no limit.
        text_search: by what texts are ranked: "bm25", where rare words count more than common
            ones; "ts_rank" of PostgreSQL, where all count alike; "none" where there is no search
            of texts.
    """

    filtering: Literal["during", "exhaustive"]
    exact: bool
    visibility: Literal["searchable", "stored"]
    max_k: int | None = None
    text_search: Literal["bm25", "ts_rank", "none"] = "none"


#: What records can be ordered by where there is no query.
Order = Literal["uri", "name", "taken_at", "mtime", "size"]


@runtime_checkable
class Engine(Protocol):
    """Stores records with their vectors and finds the nearest.

    One instance may be called from several threads. Scores are cosines, whatever the engine
    counts in itself. Every write is whole: after a crash a record is there with all its vectors,
    or not at all.

    It can hold vectors of several spaces beside each other. One is active: everything is of that
    one (what is searched, read, written, exported), except where another is named.
    """

    capabilities: Capabilities

    @property
    def space(self) -> Space | None:
        """The active space; None before the first `ensure`."""
        ...

    def ensure(self, space: Space) -> None:
        """Create what `space` needs; from now on `put` takes vectors of this space alone.

        Raises:
            SpaceMismatchError: the engine holds vectors of another space.
        """
        ...

    def spaces(self) -> list[Space]:
        """Return all spaces that are held, the active one first."""
        ...

    def add_space(self, space: Space) -> None:
        """Hold another space, with no vectors yet, unless it is held; the active one stays so.

        Raises:
            EngineError: nothing is held yet, or this space with another dimension.
        """
        ...

    def held(self, space: Space) -> int:
        """Return how many records have vectors in a space; 0 for one that is not held."""
        ...

    def lacking(self, space: Space, k: int, after: str = "") -> list[Record]:
        """Return the first k records, by id, that have no vectors in a space that is held.

        Args:
            space: any that is held.
            k: how many at most.
            after: only records whose id is greater.

        Returns:
            Each with the parts that its vectors are to stand for: those of the active space, or
            the whole image where it has none there either.
        """
        ...

    def put_vectors(self, space: Space, records: Sequence[Record], vectors: Vectors) -> int:
        """Give records their vectors in a space that is held; durable when it returns.

        Passed over are those that have some by now, and those that are not as `lacking` gave them
        (deleted, another content, other parts), so that no vector is ever given to another image.

        Args:
            space: any that is held.
            records: as `lacking` gave them; ids are distinct.
            vectors: as for `put`.

        Returns:
            How many got theirs.
        """
        ...

    def activate(self, space: Space) -> None:
        """Make a space that is held the active one, for all processes, from their next call on.

        Its model is called as in `space` from now on: several may be of one space. Records that
        have no vectors in it are without parts.
        """
        ...

    def drop_space(self, space: Space) -> None:
        """Forget a space and its vectors, if it is held. Searches that are under way still end.

        Raises:
            EngineError: it is the active one.
        """
        ...

    def put(self, records: Sequence[Record], vectors: Vectors) -> None:
        """Store records, replacing those of the same id; durable when it returns.

        In the other spaces a record keeps its vectors where its content is the same (an equal
        digest that is not "") and its parts are; else it loses them.

        Args:
            records: any number; ids are distinct. One without parts is stored without vectors.
            vectors: (total number of parts, dim) float32 unit rows, in the order of the records
                and of their parts.

        Raises:
            SpaceMismatchError: since this engine was asked to `ensure` a space, another process
                has made another one active.
        """
        ...

    def delete(self, ids: Iterable[str]) -> int:
        """Delete records; return how many there were."""
        ...

    def get(self, ids: Sequence[str]) -> list[Record | None]:
        """Return the records of these ids, in order, None where there is none."""
        ...

    def vectors(self, ids: Sequence[str]) -> list[Vectors | None]:
        """Return each record's vectors, (parts, dim) float32, None where there is no record."""
        ...

    def known(self, prefix: str = "") -> Iterator[Known]:
        """Yield what is stored of every record whose URI begins with `prefix`, by URI."""
        ...

    def with_digest(self, digest: str) -> list[Known]:
        """Return what is stored of the records with this content digest, by URI."""
        ...

    def search(self, vectors: Vectors, k: int, where: Filter | None = None) -> list[list[Match]]:
        """Return, for each of (q, dim) unit rows, the k nearest records, best first.

        Each record comes once, with its best part. Ties are broken by id. Fewer than k come back
        only where fewer records fulfil `where`.
        """
        ...

    def nearest(self, vectors: Vectors, k: int, where: Filter | None = None) -> list[Neighbours]:
        """Return, for each of (q, dim) unit rows, the k nearest records, as `search` finds them.

        For many of them: what is known of the records is left where it is.
        """
        ...

    def text_search(
        self, text: str, k: int, where: Filter | None = None
    ) -> list[tuple[str, float]]:
        """Return the ids of the k records whose texts fit best, with their relevance.

        Relevance is in (0, 1]; 1 means that all words of `text` are found. Ties go by id. What
        texts are is said by `engines.columns.texts`.
        """
        ...

    def select(
        self, where: Filter | None, *, order: Order, descending: bool, k: int, offset: int
    ) -> list[Record]:
        """Return `k` of the records that fulfil `where`, after the first `offset`, in an order.

        Ties go by id. Records that have no value come last, whether ascending or descending.
        """
        ...

    def sample(self, n: int) -> Vectors:
        """Return at most n of the stored vectors, (m, dim) float32 unit rows, drawn evenly.

        The draw follows from the content: the vectors of those records whose ids come first, and
        an id is a hash.
        """
        ...

    def count(self, where: Filter | None = None) -> int:
        """Return how many records there are, or how many fulfil `where`."""
        ...

    def export(self, batch: int = 4096) -> Iterator[tuple[list[Record], Vectors]]:
        """Yield all records by URI, in batches, each with its vectors as `put` takes them."""
        ...

    def close(self) -> None:
        """Flush and let go of everything; further calls are an error."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...
