"""What one writes to keep a library in a document store: the protocol `Store`.

A store holds documents in one collection for each space. A document is a record with the vectors
of its parts in that space, or with none. `documents.DocumentEngine` makes an engine of a store: it
keeps the collections in step, decides what a record keeps when it is stored again, finds the best
part of each record, and checks the part of a filter that the store can't express. `memory` is the
shortest store, and the pattern for others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

from pixseek.errors import EngineError
from pixseek.types import (
    And,
    Capabilities,
    Compare,
    FacetField,
    Filter,
    Not,
    Or,
    Order,
    Record,
    Space,
    WordMatches,
)

if TYPE_CHECKING:
    from pixseek.types import Vectors
from pixseek.types.dataclass import dataclass


@dataclass(frozen=True, slots=True, eq=False)
class Document:
    """A record as one collection holds it.

    Attributes:
        record: its parts are those that have vectors in this collection.
        vectors: (parts, dim) float32 unit rows, one for each of `record.parts`; a store may leave
            them out, as (0, dim), if they were not asked for.
        version: what the store tells this state of the document by, such as a sequence number.
            A document that was fetched is written back with its version, and `write` then refuses
            it if another client has changed the stored one meanwhile. None: write in any case,
            which is all that a store without versions does.
    """

    record: Record
    vectors: Vectors
    version: object = None


#: The version of a document that must not be stored yet.
ABSENT = "absent"


class Row(NamedTuple):
    """A stored vector near a query.

    Attributes:
        id: of its record.
        part: index of its part among those of the record.
        score: cosine, whatever the store computes internally.
        vector: (dim,) float32, if the store has read it anyway; else it is fetched.
    """

    id: str
    part: int
    score: float
    vector: Vectors | None = None


class SpaceGoneError(EngineError):
    """The collection of a space is not there, or is no longer."""

    def __init__(self, space: Space) -> None:
        super().__init__(
            "the library's collection for this model is not there",
            f"{space.model} ({space.fingerprint[:8]})",
            "It was deleted on the server, or by another machine. Restore it there, or delete the "
            "rest of the library, too, and index again.",
        )


class ConflictError(EngineError):
    """Some documents were not written, since another client changed them meanwhile.

    Attributes:
        ids: of those documents; all others were written.
    """

    def __init__(self, ids: Iterable[str]) -> None:
        self.ids = frozenset(ids)
        super().__init__(
            "others keep changing the same records", ", ".join(sorted(self.ids)[:3]), "Try again."
        )


class Store(Protocol):
    """Documents in one collection for each space. One instance is called from several threads.

    Arguments were checked before: ids are distinct texts without NUL, vectors are finite and of the
    right shape, filters are valid and hold only comparisons that `supports` accepts, k, limit and
    the number of ids are at least 1, and k is at most `capabilities.max_k`.

    `spaces` and `fetch` see every write that has returned, of any process. So do all others, unless
    the store is `Refreshing`.

    A method that names a space raises `SpaceGoneError` if its collection is not there. Errors of a
    driver become EngineError, StorageError or LibraryLockedError.
    """

    #: What the library is called in messages, such as its URL without a password.
    name: str
    capabilities: Capabilities
    #: The orders in which `browse` can sort. By any other, `DocumentEngine` sorts what it scans.
    orders: frozenset[Order]

    # -------------------------------------------------------------- collections

    def spaces(self) -> list[Space]:
        """Return the spaces that have a collection, the active one first.

        One of them may be `kept_texts.SPACE`, which is never active: it holds no images, but texts
        about the library, such as saved searches.

        If none was activated yet (a process ended between `create` and that), the order is free.
        """
        ...

    def create(self, space: Space) -> None:
        """Make the empty collection of a space; it is not active yet."""
        ...

    def activate(self, space: Space) -> None:
        """Make a space the active one for every process, in one atomic step.

        From now on `spaces` returns it with this `space.model`.
        """
        ...

    def drop(self, space: Space) -> None:
        """Delete the collection of a space with its documents, if it is there."""
        ...

    def writing(self) -> AbstractContextManager[object]:
        """Lend the lock under which this library is written, at least within this process.

        One lock for all stores that were opened with the same name. Where the server has advisory
        locks it can be one of those.
        """
        ...

    # -------------------------------------------------------------- documents by id

    def write(self, space: Space, documents: Sequence[Document]) -> None:
        """Store whole documents, replacing those of the same id; durable when it returns.

        Raises:
            ConflictError: some documents are no longer as their version says. Only stores that
                return versions raise it.
        """
        ...

    def delete(self, space: Space, ids: Sequence[str]) -> int:
        """Delete documents; return how many there were."""
        ...

    def fetch(self, space: Space, ids: Sequence[str], *, vectors: bool) -> list[Document | None]:
        """Return the documents of these ids, in order; None for those that are not there."""
        ...

    # -------------------------------------------------------------- documents by condition

    def supports(self, compare: Compare) -> bool:
        """Return whether conditions can hold a comparison, with the meaning of `pixseek.filters`.

        All others are checked on the records that come back. Support `away` with "eq" first: it is
        part of nearly every condition, and without it each count reads all records.
        """
        ...

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
        """Return the first documents behind an id, in order of ids by code point.

        A store that is `Placing` has an order of its own, here and for `after`.

        Args:
            space: which collection.
            where: only documents that fulfil this.
            after: only documents whose id is greater.
            limit: how many. Fewer come only if there are no more.
            vectors: whether they are needed.
            bare: only documents without vectors.
        """
        ...

    def count(self, space: Space, where: Filter | None, *, bare: bool = False) -> int:
        """Return how many documents fulfil a condition; of those without vectors if `bare`."""
        ...

    def browse(
        self,
        space: Space,
        where: Filter | None,
        order: Order,
        descending: bool,
        k: int,
        offset: int,
    ) -> list[Document]:
        """Return k documents behind the first `offset`, in one of the orders in `orders`.

        Ties go by id, and documents that have no value come last, whether ascending or descending.
        """
        ...

    # -------------------------------------------------------------- search

    def nearest(
        self, space: Space, vectors: Vectors, k: int, where: Filter | None
    ) -> list[list[Row]]:
        """Return, for each of (q, dim) unit rows, the k nearest stored vectors, best first.

        A record may come several times, with several parts, or only with its best one. Fewer than
        k come back only if there are no more.
        """
        ...

    def find_words(
        self, space: Space, words: Sequence[str], k: int, where: Filter | None
    ) -> WordMatches:
        """Return the k documents whose texts fit best, and how many have all of the words.

        Those that have all words come first. See `WordMatches` for what else there is to say; a
        store may leave out `words`, `counts` and `records`, and what its matches hold. What texts a
        record has is defined in `columns.texts`. Not called if `capabilities.text_search` is
        "none".

        Args:
            space: which collection.
            words: one or more, of `words.words_to_find`. One that was written without spaces is a
                phrase of characters with spaces between; one may have `words.alternatives`, of
                which any will do.
            k: how many at most.
            where: only documents that fulfil this.
        """
        ...

    def close(self) -> None:
        """Release everything."""
        ...


@runtime_checkable
class Refreshing(Protocol):
    """A store whose conditions and searches see writes only after a refresh.

    Its `capabilities.refreshes` is True.
    """

    def written(self) -> object:
        """Return a mark that changes with every write of any process, and is itself up to date.

        For instance the greatest sequence numbers of all collections. It is asked for before every
        call that needs a refresh, and so must be cheap.
        """
        ...

    def refresh(self) -> None:
        """Make all writes that have returned visible to every later call."""
        ...


@runtime_checkable
class Remembering(Protocol):
    """A store that need not ask for its spaces and its mark before every call.

    It begins a call with those of the last one, and learns while the call reads whether they hold.
    """

    def remembering(self) -> AbstractContextManager[Callable[[], bool] | None]:
        """Let `spaces` and `written`, called by this thread, return what is remembered.

        Yields what tells at the end whether that held all the time; if not, whatever was read or
        raised is void. Nothing is written meanwhile. None: nothing is remembered, and both ask.
        """
        ...


@runtime_checkable
class Describing(Protocol):
    """A store that can replace the metadata of documents and leave their vectors where they are.

    In other stores documents are fetched with their vectors and written whole.
    """

    def describe(self, space: Space, documents: Sequence[Document]) -> None:
        """Replace stored records, except their vectors; else as `write`."""
        ...


@runtime_checkable
class Counting(Protocol):
    """A store that counts the values of facets. For others, records are read and counted."""

    def facets(
        self, space: Space, where: Filter | None, fields: Sequence[FacetField], most: int
    ) -> dict[str, dict[str, int]]:
        """Return the counts of some fields; see `types.Engine.facets`."""
        ...


@runtime_checkable
class Choosing(Protocol):
    """A store whose index chooses from a number of candidates that is known."""

    def reach(self, space: Space, k: int, where: Filter | None) -> int | None:
        """Return from how many candidates, in each shard, `nearest` chooses the k nearest.

        None if it scores all documents that fulfil the condition, because they are few.
        """
        ...


@runtime_checkable
class Reaching(Choosing, Protocol):
    """A store whose index finds only some of the nearest, and which can score all documents.

    Of other stores that are not `capabilities.exact` all documents are read to score them all.
    """

    def nearest_exactly(
        self, space: Space, vectors: Vectors, k: int, where: Filter | None
    ) -> list[list[Row]]:
        """Return the same as `nearest`, by the scores of all documents.

        Raises:
            CapabilityError: there are too many of them.
        """
        ...


@runtime_checkable
class Placing(Protocol):
    """A store that scans in an order of its own, since its server can't sort by texts."""

    def place(self, id_: str) -> str:
        """Return what documents are sorted by in a scan, for the id of a record.

        Distinct ids have distinct places, the same in every collection.
        """
        ...


@runtime_checkable
class Widening(Protocol):
    """A store that can express a weaker condition for some comparisons that it does not support.

    For instance distances that are right to a metre: what it finds is checked by `DocumentEngine`.
    """

    def wider(self, compare: Compare) -> Compare | None:
        """Return a comparison that a condition can hold; None for none.

        Every record that fulfils `compare` must fulfil it.
        """
        ...


def split(
    where: Filter | None,
    supports: Callable[[Compare], bool],
    wider: Callable[[Compare], Compare | None] = lambda compare: None,
) -> tuple[Filter | None, Filter | None]:
    """Return the strongest condition that a store can express, and what is left to check.

    A record fulfils `where` if it fulfils both. None stands for no condition. Of a conjunction each
    member goes to one side or the other; `Or` and `Not` go as a whole, since a part of them would
    not be implied. A comparison for which the store has a wider one goes to both.
    """
    match where:
        case None:
            return None, None
        case And(parts):
            halves = [split(each, supports, wider) for each in parts]
            return _joined([native for native, _ in halves]), _joined([rest for _, rest in halves])
        case Compare() if not supports(where):
            return wider(where), where
        case _:
            return (where, None) if _is_supported(where, supports) else (None, where)


def _joined(parts: Iterable[Filter | None]) -> Filter | None:
    some = tuple(each for each in parts if each is not None)
    return And(some) if len(some) > 1 else some[0] if some else None


def _is_supported(where: Filter, supports: Callable[[Compare], bool]) -> bool:
    match where:
        case And(parts) | Or(parts):
            return all(_is_supported(each, supports) for each in parts)
        case Not(inner):
            return _is_supported(inner, supports)
        case Compare():
            return supports(where)
