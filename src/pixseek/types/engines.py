"""The protocol of engines: stores of records and vectors.

Above 500 lines: protocols alone, most of it docstrings.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol, Self, TypeVar, runtime_checkable

from pixseek.types.dataclass import dataclass

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pixseek.types.queries import Filter
    from pixseek.types.records import Known, Record, Space, Vectors
    from pixseek.types.results import Neighbours

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an engine can do, for callers that must know.

    Attributes:
        exact: whether answers are those of an exhaustive scan at every size.
        max_k: largest k of `Engine.nearest`; None for no limit. More is an EngineError.
        text_search: how texts are ranked: "bm25", where rare words count more than common ones;
            "ts_rank" of PostgreSQL, where all count alike; "none" if texts can't be searched.
        refreshes: whether other processes see a write only after the server has refreshed.
    """

    exact: bool
    max_k: int | None = None
    text_search: Literal["bm25", "ts_rank", "none"] = "none"
    refreshes: bool = False


class WordMatch(NamedTuple):
    """A record whose texts hold words of a query.

    Attributes:
        id: of the record.
        share: how relevant it is, in (0, 1], as the engine ranks texts: a word counts less in a
            longer text.
        complete: whether its texts hold all of the words, however long they are.
        held: which of the words they hold, as ascending indices of `WordMatches.words`; never
            empty.
        stated: whether its caption, tags and title alone hold all of the words; False also if the
            engine does not say.
    """

    id: str
    share: float
    complete: bool
    held: tuple[int, ...] = ()
    stated: bool = False


@dataclass(frozen=True, slots=True)
class WordMatches:
    """The records whose texts fit a query best.

    Attributes:
        matches: those that hold all of the words first, then by their share, ties by id.
        complete: how many records that fulfil the filter hold all of the words, whether they are
            in `matches` or not. An estimate if they were not to be counted, never less than there
            are in `matches`.
        words: what was looked for: the distinct words of the query, without stop words. One that
            was written without spaces is several characters with spaces between.
        counts: how many records of the whole library hold each of the words, whatever the filter;
            in a large library it may be an estimate. () if the engine does not say.
        records: how many records the library has, whatever the filter, to put `counts` in
            proportion; it may be an estimate, too. 0 if there are no `counts`.
    """

    matches: tuple[WordMatch, ...] = ()
    complete: int = 0
    words: tuple[str, ...] = ()
    counts: tuple[int, ...] = ()
    records: int = 0


#: How records can be ordered when nothing is searched for.
Order = Literal["uri", "name", "taken_at", "mtime", "size"]


@dataclass(frozen=True, slots=True, eq=False)
class Outlines:
    """What a layout needs of n records, read without the rest of them.

    Attributes:
        ids: of the records.
        aspects: (n,) float64: width by height, upright; NaN if unknown.
        values: of the field of an order, None for a record without one: of "taken_at" the wall
            clock in microseconds since 1970, of "mtime" nanoseconds since 1970, of "size" bytes, of
            the others texts, of "name" casefolded. () if no order was asked for.
        total: how many records there were to choose from.
    """

    ids: tuple[str, ...]
    aspects: NDArray[np.float64]
    values: Sequence[int | str | None]
    total: int


#: What records can be counted by.
FacetField = Literal["folder", "year", "camera", "tag", "person", "colour", "format"]

#: The kinds of texts that `Engine.keep` holds: saved searches, by name; what users judged, by the
#: search and image they judged; what users forgot, by the record's URI; the model whose text tower
#: embeds texts, by the fingerprint of the space.
KINDS = ("search", "judgement", "forgotten", "text_model")

#: Given a new record and the stored one of the same id, returns what to store.
Merge = Callable[["Record", "Record"], "Record"]


@runtime_checkable
class Engine(Protocol):
    """Stores records with their vectors and finds the nearest.

    One instance may be called from several threads. Scores are cosines, whatever the engine
    computes internally. Every write is whole: after a crash a record is there with all its
    vectors, or not at all.

    An engine can hold vectors of several spaces. One is active: everything is searched, read,
    written and exported in that one, unless a method names another.

    Records that are `away` have no vectors. `get` and `export` return them. `count`, `select`,
    `matching_ids`, `find_words` and `facets` skip them unless the filter names the field `away`;
    the other methods always skip them.

    Methods that take `where` raise QueryError if `filters.check` does not accept it.
    """

    capabilities: Capabilities

    @property
    def space(self) -> Space | None:
        """The active space; None before the first `ensure`."""
        ...

    def ensure(self, space: Space) -> None:
        """Create what `space` needs; from now on `put` takes vectors of this space only.

        Raises:
            SpaceMismatchError: the engine holds vectors of another space.
        """
        ...

    def spaces(self) -> list[Space]:
        """Return all spaces that are held, the active one first."""
        ...

    def add_space(self, space: Space) -> None:
        """Hold another space, without vectors yet; nothing changes if it is held already.

        Raises:
            EngineError: nothing is held yet, or this space with another dimension.
        """
        ...

    def held(self, space: Space) -> int:
        """Return how many records have vectors in a space; 0 if it is not held."""
        ...

    def lacking(self, space: Space, k: int, after: str = "") -> list[Record]:
        """Return the first k records that have no vectors in a space that is held.

        They come in the order of their ids; an engine whose server can't sort texts may have
        another one, the same in every call.

        Args:
            space: any that is held.
            k: how many at most.
            after: only records behind the one with this id.

        Returns:
            Each with the parts that its vectors will stand for: those of the active space, or
            the whole image if it has none there either.

        Raises:
            EngineError: the space is not held.
        """
        ...

    def put_vectors(self, space: Space, records: Sequence[Record], vectors: Vectors) -> int:
        """Give records their vectors in a space that is held; durable when it returns.

        Skips records that have vectors there by now, and those that are no longer as `lacking`
        returned them (deleted, away, other content, other parts), so that no vector is ever
        given to another image.

        Args:
            space: any that is held.
            records: as `lacking` returned them; ids are distinct.
            vectors: as for `put`.

        Returns:
            How many records got their vectors.

        Raises:
            EngineError: records and vectors do not belong together, or the space is not held.
        """
        ...

    def activate(self, space: Space) -> None:
        """Make a space that is held the active one, for all processes, from their next call on.

        Its model is named as in `space` from now on: several models may share one space.
        Records that have no vectors in it are without parts.

        Raises:
            EngineError: the space is not held.
        """
        ...

    def drop_space(self, space: Space) -> None:
        """Delete a space and its vectors, if it is held. Searches under way still end.

        Raises:
            EngineError: it is the active one.
        """
        ...

    def put(self, records: Sequence[Record], vectors: Vectors, merge: Merge | None = None) -> None:
        """Store records, replacing those of the same id; durable when it returns.

        In the other spaces a record keeps its vectors if its content is the same (an equal
        digest that is not "") and its parts are; otherwise it loses them.

        Args:
            records: any number; ids are distinct. A record without parts is stored without
                vectors; one that is away has no parts and loses its vectors in all spaces.
            vectors: (total number of parts, dim) float32 unit rows, in the order of the records
                and of their parts.
            merge: called as merge(new, stored) inside the write, for each record whose id is
                stored by then; no other write comes between. Returns what to store instead of
                `new`: the id, the parts and what follows from the content (digest, pixels,
                perceptual hash) must be the same.

        Raises:
            EngineError: records and vectors do not belong together, or can't be stored.
            SpaceMismatchError: since this engine was asked to `ensure` a space, another process
                has made another one active.
        """
        ...

    def describe(self, records: Sequence[Record], merge: Merge | None = None) -> int:
        """Replace the metadata of stored records, in every space; vectors do not move.

        Records that are not stored are skipped. Parts, `away` and what follows from the content
        (digest, pixels, perceptual hash) of the given records are ignored: the stored ones stay,
        and of these only missing pixels and perceptual hashes are filled, if the digests are
        equal. Durable when it returns.

        Args:
            records: any number; ids are distinct.
            merge: as for `put`.

        Returns:
            How many of them were stored.

        Raises:
            EngineError: some record can't be stored; nothing was changed.
        """
        ...

    def delete(self, ids: Iterable[str], only_if: Callable[[Record], bool] | None = None) -> int:
        """Delete records; return how many were deleted.

        Args:
            ids: of the records.
            only_if: called inside the write with each stored record; if it returns False, the
                record stays. So nothing is deleted that changed since the caller looked. It may
                be called more than once for a record.
        """
        ...

    def get(self, ids: Sequence[str]) -> list[Record | None]:
        """Return the records of these ids, in order; None for an id that is not stored."""
        ...

    def vectors(self, ids: Sequence[str]) -> list[Vectors | None]:
        """Return each record's vectors, (parts, dim) float32; None if it is not stored."""
        ...

    def known(self, prefix: str = "") -> Iterator[Known]:
        """Yield the stored state of every record whose URI begins with `prefix`, in any order."""
        ...

    def with_digests(self, digests: Sequence[str]) -> dict[str, list[Known]]:
        """Return the records with these content digests, by digest, in any order.

        Digests that no record has are not in the answer.
        """
        ...

    def matching_ids(self, where: Filter | None = None) -> Iterator[str]:
        """Yield the ids of all records that fulfil `where`, each once, in any order.

        All of one snapshot, if the engine has snapshots.
        """
        ...

    def nearest(
        self, vectors: Vectors, k: int, where: Filter | None = None, *, exact: bool = False
    ) -> list[Neighbours]:
        """Return, for each of (q, dim) unit rows, the k nearest records, best first.

        Each record comes once, with its best part. Ties go by id. Fewer than k come back only if
        fewer records fulfil `where`.

        Args:
            vectors: what is looked for.
            k: how many at most.
            where: which records; None for all.
            exact: score every record that fulfils `where`, however long that takes.

        Raises:
            EngineError: k is greater than `capabilities.max_k`; the vectors have another
                dimension, or are not finite.
        """
        ...

    def find_words(
        self, text: str, k: int, where: Filter | None = None, *, counted: bool = True,
        seen: bool = False,
    ) -> WordMatches:  # fmt: skip
        """Return the k records whose texts fit best, and how many have all words of `text`.

        Records that hold all of the words come before all others. If a word is held by no record,
        none holds them all. Which texts a record has is defined in `engines.columns.texts`.

        Args:
            text: what a user wrote.
            k: how many at most; below 1 nothing is looked for.
            where: which records; None for all.
            counted: whether to count the records that have all words. If words are common, that
                may take longer than finding the best; without it `complete` is an estimate that
                costs nothing, and exact if less than tens of thousands hold the rarest word.
            seen: look only through what was read in their pictures, which is not looked through
                otherwise.
        """
        ...

    def facets(
        self, where: Filter | None, fields: Sequence[FacetField], most: int
    ) -> dict[str, dict[str, int]] | None:
        """Return how many of the records that fulfil `where` have each value of some fields.

        Args:
            where: which records to count; None for all.
            fields: what to count.
            most: how many values of each field at most.

        Returns:
            By field: the counts by value, largest first, ties by value; the same as
            `search.facets.count` of these records. None if the engine can't count.
        """
        ...

    def select(
        self, where: Filter | None, *, order: Order, descending: bool, k: int, offset: int
    ) -> list[Record]:
        """Return `k` of the records that fulfil `where`, after the first `offset`, in an order.

        Ties go by id. Records that have no value come last, whether ascending or descending; in
        the order "taken_at" those without a date by the time of their file.
        """
        ...

    def version(self) -> str | None:
        """Return a text that differs after each write, by any process; None if it can't tell.

        Two equal ones, in one process, mean that all answers are the same. It takes microseconds.
        """
        ...

    def sample(self, n: int) -> Vectors:
        """Return at most n of the stored vectors, (m, dim) float32 unit rows, drawn evenly.

        The draw depends on the content only: the vectors of the records whose ids come first, and
        an id is a hash.
        """
        ...

    def count(self, where: Filter | None = None) -> int:
        """Return how many records there are, or how many fulfil `where`."""
        ...

    def keep(self, kind: str, name: str, text: str | None) -> None:
        """Keep a small text about the whole library; durable when it returns.

        Every process that uses the engine sees it, from its next call on. It does not depend on
        records or spaces, and can be kept before anything else is stored.

        Args:
            kind: one of `KINDS`, or another package's.
            name: replaces the text of the same kind and name.
            text: None to forget it.

        Raises:
            EngineError: the engine can't store such a text: a lone surrogate or a NUL character.
        """
        ...

    def kept(self, kind: str) -> dict[str, str]:
        """Return the texts of a kind by name, in order of names."""
        ...

    def export(self, batch: int = 4096) -> Iterator[tuple[list[Record], Vectors]]:
        """Yield all records in batches, in any order, each with its vectors as `put` takes them."""
        ...

    def close(self) -> None:
        """Flush and release everything; further calls are an error."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


@runtime_checkable
class Embedding(Protocol):
    """An engine whose server may embed texts itself. No engine needs to be one."""

    @property
    def text_model(self) -> str:
        """The name of the model that embeds texts there; "" for none."""
        ...

    def embed_texts(self, texts: Sequence[str]) -> Vectors:
        """Return unit rows, (n, dim) float32, for n texts.

        Raises:
            EngineError: the server can't.
        """
        ...


@runtime_checkable
class Building(Protocol):
    """An engine that builds the index of many new vectors at once. No engine needs to be one.

    Without the index its answers are right, and slower.
    """

    def build_indexes(self) -> Generator[tuple[int, int], None, None]:
        """Build the indexes that are missing, if any; called at the end of runs that write.

        If the generator is closed, building is stopped, and the next call begins it again.

        Yields:
            How many vectors are in an index by now, and how many will be.

        Raises:
            EngineError: the server is out of reach, or refuses.
        """
        ...

    def unindexed(self) -> int:
        """Return how many vectors have to wait for `build_indexes`; 0 if no index is missing.

        Raises:
            EngineError: the server is out of reach, or refuses.
        """
        ...


@runtime_checkable
class Distant(Protocol):
    """An engine on a server, where each question costs a request. No engine needs to be one."""

    def with_few_requests(self, call: Callable[[], _T]) -> _T:
        """Return what a function returns that reads from this engine, and writes nothing to it.

        What several of its steps would ask for is asked for once. It may be called twice: if others
        have written meanwhile, what it read the first time is dropped.
        """
        ...


@runtime_checkable
class Movable(Protocol):
    """An engine whose library can be moved to another; pixseek's own engines all are."""

    def page(self, space: Space, k: int, after: str = "") -> tuple[list[Record], Vectors]:
        """Return the first k records behind an id, by id, with their vectors in a space.

        Records that are away are among them. Their parts are those of the vectors.

        Args:
            space: any that is held.
            k: how many at most, at least 1. Fewer come only if there are no more.
            after: only records whose id is greater.

        Raises:
            EngineError: the space is not held.
        """
        ...

    def copied_into(self, now: bool) -> None:
        """Let this object write though `engines.moves` forbids it, while it makes the copy."""
        ...


@runtime_checkable
class Outlining(Protocol):
    """An engine that knows the outlines of very many records quickly. No engine needs to.

    `where` is as for the methods of `Engine`.
    """

    def outline(self, where: Filter | None, *, order: Order, descending: bool, k: int) -> Outlines:
        """Return the outlines of the records that `Engine.select` returns, from the first on.

        Values of texts ("uri", "name") are left out.
        """
        ...

    def outline_nearest(
        self,
        vectors: Vectors,
        k: int,
        where: Filter | None,
        *,
        order: Order | None,
        with_vectors: bool,
        exact: bool = False,
    ) -> list[tuple[Neighbours, Outlines]]:
        """Return for each of (q, dim) unit rows the k nearest records, and their outlines.

        Args:
            vectors, k, where, exact: as for `Engine.nearest`.
            order: the field whose values the outlines are to have; None for none.
            with_vectors: without, the `vectors` of neighbours have the shape (0, dim).

        Returns:
            What `Engine.nearest` returns, and the outlines of the same records in the same order.
        """
        ...
