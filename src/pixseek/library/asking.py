"""Questions to a library: searches, similar images, facets, duplicates.

Modules that a plain search does not need are imported by the methods that need them: that saves 30
of 180 ms per process.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from datetime import date
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args

from pixseek.errors import PixseekError, QueryError, unknown
from pixseek.library.model import LibraryModel
from pixseek.library.opened import Opened
from pixseek.search import blas
from pixseek.search import searcher as searchers
from pixseek.search.asked import check, least_strength
from pixseek.types import (
    And,
    Distant,
    Embeddings,
    Filter,
    Query,
    Region,
    Results,
    Sort,
    Space,
    Strength,
    Term,
)
from pixseek.types.queries import MAX_CHARACTERS

if TYPE_CHECKING:
    from PIL import Image

    from pixseek.library.saved import SavedSearch
    from pixseek.search.duplicates import DuplicateGroup
    from pixseek.search.facets import Facets
    from pixseek.search.grouping import Kept
    from pixseek.types import Hit, Layout, Pixels, Record, Vectors

Answer = TypeVar("Answer")

#: The most parts of a filter that are counted one by one.
_COUNTED_PARTS = 8

#: Hits that facets count at most.
_COUNTED = 1000

#: What answers say once another process has moved the library to another engine.
MOVED = "The library was moved to {} meanwhile. Open it again: this is what its old copy holds"
#: Records that are read at a time when all are listed.
_PAGE = 5000

#: Characters that mean something in the language of the search box; see `search.typography`.
_LANGUAGE = frozenset('"():*-\\“”„‟«»‹›‘‚‛❝「『｢〝‐‑‒–—−﹘﹣') | frozenset(
    map(chr, range(0xFF01, 0xFF5F))
)

#: As many queries as a server answers together. On all cores their products would take 1 ms less at
#: 25,000 images, and the threads that spin after them 3.5 of 16 ms of processor time a query.
_FEW_QUERIES = 32

#: Without four digits in a row or one of these words a text has no date; see `search.dates`.
_YEAR = re.compile(r"\d{4}")
_DATES = frozenset(
    "last past letzte letzten letzter letztes letztem vorige voriges vorigen afgelopen förra forra "
    "sidste forrige dernier dernière derniere derniers dernières dernieres pasado pasada scorso "
    "scorsa passado passada this diese diesen dieses diesem dieser cette cet ce esta este questa "
    "questo deze dit yesterday gestern ayer ieri ontem gisteren wczoraj igår igar вчера today "
    "ago today's today’s yesterday's yesterday’s heute hoy oggi hoje vandaag dzisiaj "
    "сегодня".split()
)


class Asking:
    """What one open library answers. May be used from several threads."""

    def __init__(self, opened: Opened, model: LibraryModel) -> None:
        """Ask this library, with its model."""
        self._opened, self._model = opened, model

    def query(
        self,
        text: str | None,
        *,
        image: str | os.PathLike[str] | Image.Image | Pixels | None = None,
        region: Region | None = None,
        vector: Vectors | None = None,
        vector_of: Literal["image", "text"] = "image",
        exclude: Sequence[str] = (),
        where: Filter | str | None = None,
        dates: bool = True,
        **options: Any,
    ) -> Query:
        """Return the query that these arguments of `Library.search` stand for."""
        query = self._read(text or "", dates, **options)
        terms = list(query.terms)
        if image is not None:
            terms.append(Term("image", image, region=region))
        if vector is not None:
            terms.append(Term("vector", vector, of=vector_of))
        left_out = (*query.exclude, *(Term("text", words) for words in exclude))
        return replace(query, terms=tuple(terms), exclude=left_out, where=both(query.where, where))

    def search_many(
        self,
        queries: Iterable[str | Query],
        *,
        where: Filter | str | None = None,
        dates: bool = True,
        **options: Any,
    ) -> list[Results]:
        """Answer many queries together; see `Library.search_many`."""

        only = both(None, where)

        def whole(query: str | Query) -> Query:
            if isinstance(query, Query):
                return query
            parsed = self._read(query, dates, **options)
            return replace(parsed, where=both(parsed.where, only))

        return self.answer([whole(each) for each in queries])

    def _read(self, text: str, dates: bool, **options: Any) -> Query:
        """Return the query that a text stands for, which may begin with that of a saved search."""
        if text.lstrip()[:1] != "@":
            return _parsed(text, dates, **options)
        from pixseek.library import saved

        return _with_options(saved.recalled(self._opened, text, _parsed, dates), options)

    def save(self, query: str | Query, name: str, *, dates: bool = True, **options: Any) -> str:
        """Keep a search under a name; see `Library.save_search`."""
        from pixseek.library import saved

        whole = query if isinstance(query, Query) else self.query(query, dates=dates, **options)
        check(whole.dates_as_filters())
        text, rest = "", whole
        # What is text stays text, except the path of an example, which is relative to a folder, and
        # another saved search, which may change.
        if isinstance(query, str) and query.lstrip()[:1] != "@":
            read = _parsed(query, dates)
            terms = (*read.terms, *read.exclude)
            if not any(t.kind == "image" for term in terms for t in (term, *term.alternatives)):
                text, rest = query, self.query(None, **options)
        return saved.save(self._opened, name, text, rest, dates)

    def saved(self) -> dict[str, SavedSearch]:
        """Return the saved searches; see `Library.saved_searches`."""
        from pixseek.library import saved

        return saved.saved(self._opened, _parsed)

    def similar(
        self,
        to: str | os.PathLike[str] | Image.Image | Pixels | Vectors,
        *,
        at: float | None,
        where: Filter | str | None = None,
        **options: Any,
    ) -> Results:
        """Find images that look like one; see `Library.similar`."""
        query = Query((self._opened.image_term(to, at),), where=both(None, where))
        return self.answer([_with_options(query, options)])[0]

    def facets(
        self, query: str | Query, most: int, *, where: Filter | str | None, dates: bool
    ) -> Facets:
        """Count the values of some fields among what a query finds; see `Library.facets`."""
        from pixseek.search import facets

        if not isinstance(query, Query):
            query = self.query(query, where=where, dates=dates)
        query, _ = self._dated(query)
        if not query.terms and not query.exclude and query.where is not None:
            with self._model.waiting("Counting"):
                only = self.filter(query.where)
                counted = self._opened.engine.facets(only, facets.FIELDS, most)
            if counted is not None:
                return counted
        least: Strength = "strong" if least_strength(query) == "strong" else "likely"
        if query.terms and all(term.kind != "text" for term in query.terms):
            # Of an example often nothing but itself is a likely match.
            least = least_strength(query)
        wide = replace(
            query, k=_COUNTED if query.terms else 10 * _COUNTED, offset=0, sort="relevance",
            group=False, group_by="", min_strength=least,
        )  # fmt: skip
        return facets.count((hit.record for hit in self.answer([wide])[0]), most)

    def records(self, where: Filter | str | None, sort: Sort | None) -> Iterator[Record]:
        """Yield the records that a filter lets through, in an order; see `Library.records`."""
        if sort not in (None, *get_args(Sort)):
            raise QueryError("Unknown order", sort, unknown("order", sort, get_args(Sort)))
        field, descending = searchers.SORTED_BY[sort or "relevance"]
        only, offset = self.filter(where), 0
        while page := self._opened.engine.select(
            only, order=field, descending=descending, k=_PAGE, offset=offset
        ):
            yield from page
            offset += len(page)

    def filter(self, where: Filter | str | None) -> Filter | None:
        """Return a filter, or one given as text, as this library's engine is asked it."""
        read = both(None, where)
        if read is None:
            return None
        from pixseek.library import folders

        return folders.resolved(read, self._opened)

    def duplicates(self, threshold: float | None, exact: bool) -> list[DuplicateGroup]:
        """Return groups of copies and of images that are alike; see `Library.duplicates`."""
        from pixseek.library import compared
        from pixseek.search import duplicates

        if self.is_empty():
            return []
        engine = self._opened.engine
        if exact:
            return list(duplicates.exact(engine))
        least = self._model.backgrounds().duplicate if threshold is None else threshold
        pictures = compared.pictures(self._opened)
        with self._model.waiting("Comparing the images with each other"):
            return list(duplicates.find(engine, least, pictures))

    def embed(
        self,
        texts: Sequence[str],
        images: Sequence[str | os.PathLike[str] | Image.Image | Pixels],
    ) -> Embeddings:
        """Return vectors of texts and images; see `Library.embed`."""
        import numpy as np

        from pixseek.search import term_vectors

        if any(not text.strip() for text in texts):
            raise QueryError("A text is empty", "", "Say something.")
        terms = [self._opened.image_term(each) for each in images]
        encoder = self._model.encoder()
        none = np.empty((0, encoder.dim), np.float32)
        rows = term_vectors.embed(
            terms,
            engine=self._opened.engine,
            encoder=self._model.encoder,
            texts_of=self._model.texts_of,
            picture_of=self._opened.content,
            fetch=self._opened.fetch,
        )
        return Embeddings(
            Space(encoder.fingerprint, encoder.dim, encoder.name),
            encoder.encode_texts(list(texts)) if texts else none,
            np.stack(rows) if rows else none,
        )

    def searcher(self) -> searchers.Searcher:
        """Return what answers one call's queries."""
        paths = self._opened.roots.paths()
        return searchers.Searcher(
            engine=self._opened.engine,
            encoder=self._model.encoder,
            backgrounds=self._model.backgrounds,
            model=self._model.choice.model,
            locate=lambda record: paths(record.uri),
            preview=self._opened.preview,
            picture=self._opened.contents(),
            fetch=self._opened.fetch,
            texts_of=self._model.texts_of,
            groups=lambda: self._groups,
            reads_text=self._opened.ledger.setting("ocr") is not None,
        )

    @functools.cached_property
    def _groups(self) -> Kept:
        from pixseek.search.grouping import Kept

        return Kept(self.version)

    def answer(self, queries: Sequence[Query]) -> list[Results]:
        """Answer whole queries, in order; see `searcher.Searcher.search`."""
        engine = self._opened.engine
        if isinstance(engine, Distant):
            return engine.with_few_requests(lambda: self._answer_dated(queries))
        return self._answer_dated(queries)

    def _answer_dated(self, queries: Sequence[Query]) -> list[Results]:
        dated = [self._dated(query) for query in queries]
        found = self._answer([query for query, _ in dated])
        return [
            replace(each, warnings=(*notes, *each.warnings, *self._unfulfilled(each)))
            for each, (_, notes) in zip(found, dated, strict=True)
        ]

    def layout(self, query: Query, most: int) -> Layout:
        """Return the layout of a query's hits; see `Library.layout`."""
        from pixseek.search import layout

        dated, notes = self._dated(query)
        asked = replace(dated, where=self.filter(dated.where))
        if self._model.loaded is None and self.is_empty():
            asked = replace(asked, terms=(), exclude=())  # no model is loaded for nothing
        found = self._consistently(lambda searcher: layout.layout(searcher, asked, most))
        said = (*notes, *found.warnings, *self._notes())
        found = replace(found, query=dated, warnings=said)
        return replace(found, warnings=(*said, *self._unfulfilled(found)))

    def groups(self, query: Query, ids: Sequence[str]) -> list[Hit | None]:
        """Return images as hits with their groups; see `Library.groups`."""
        from pixseek.search import grouping

        dated, _ = self._dated(query)
        asked = replace(dated, where=self.filter(dated.where))
        return self._consistently(lambda searcher: grouping.groups_of(searcher, asked, ids))

    def group_fields(self) -> list[str]:
        """Return user fields that images can be grouped by; see `Library.group_fields`."""
        from pixseek.search.group_values import fields_of

        some = self._opened.engine.select(None, order="uri", descending=False, k=200, offset=0)
        return fields_of(some)

    def hit(self, query: Query, image: str) -> Hit | None:
        """Return an image as a hit of a query; see `Library.hit`."""
        from pixseek.search import layout

        dated, _ = self._dated(query)
        where = self.filter(dated.where)
        return self._consistently(
            lambda searcher: layout.hit(searcher, replace(dated, where=where), image)
        )

    def _unfulfilled(self, results: Results | Layout) -> tuple[str, ...]:
        """Return how many images each part of a filter lets through that lets none through."""
        where, engine = results.query.where, self._opened.engine
        if where is None or results.total or not engine.count():
            return ()
        from pixseek.search import language_writing

        every = language_writing.parts(where)
        if len(every) == 1:
            return (f"No image fulfils {language_writing.to_text(where)}",)
        first, *others = [
            (language_writing.to_text(part), engine.count(self.filter(part)))
            for part in every[:_COUNTED_PARTS]
        ]
        said = [f"{first[0]} lets {first[1]:,} through", *(f"{text} {n:,}" for text, n in others)]
        if len(every) > _COUNTED_PARTS:
            said.append(f"and {len(every) - _COUNTED_PARTS} more")
        return (f"No image fulfils all: {', '.join(said)}",)

    def _dated(self, query: Query) -> tuple[Query, tuple[str, ...]]:
        """Return a query with its dates as filters or, if those find nothing, as words; and notes.

        An empty library says so itself.
        """
        if not query.date_readings:
            return query, ()
        filtered = query.dates_as_filters()
        if self._opened.engine.count(self.filter(filtered.where)):
            said = "“{0.words}” is read as {0.means}; in quotation marks it is words"
        elif self._opened.engine.count():
            filtered = query.dates_as_words()
            said = "“{0.words}” is searched as words: {0.means} would let no image through"
        else:
            return query.dates_as_words(), ()
        return filtered, tuple(said.format(each) for each in query.date_readings)

    def _answer(self, queries: Sequence[Query]) -> list[Results]:
        engine = self._opened.engine
        if self._model.loaded is not None or not self.is_empty():
            return self._answered(queries)
        # Nothing can be found, so no model is loaded for it, and none is downloaded.
        for query in queries:
            check(query)
        model = engine.space.model if engine.space else self._model.choice.model
        nothing = Results(
            (), Query(()), dict.fromkeys(("encode", "search", "total"), 0.0), model,
            warnings=(searchers.EMPTY,),
            stored_preview=self._opened.preview, stored_content=self._opened.contents(),
        )  # fmt: skip
        return [replace(nothing, query=query) for query in queries]

    def version(self) -> str | None:
        """Return a text that differs whenever an answer may differ; see `Library.version`."""
        opened = self._opened
        written = opened.engine.version()
        if written is None:
            return None
        # Roots say where files are; backgrounds, what a score is worth.
        return repr((written, opened.roots.all(), self._model.choice, opened.backgrounds.version))

    def is_empty(self) -> bool:
        """Return whether the library holds no image."""
        # Counting all images of a large library takes longer than this.
        return not self._opened.engine.select(None, order="uri", descending=False, k=1, offset=0)

    def _answered(self, queries: Sequence[Query]) -> list[Results]:
        asked = [replace(query, where=self.filter(query.where)) for query in queries]
        found = self._consistently(lambda searcher: searcher.search(asked), len(queries))
        return [
            replace(each, query=query, warnings=(*each.warnings, *self._notes()))
            for each, query in zip(found, queries, strict=True)
        ]

    def _notes(self) -> tuple[str, ...]:
        note, moved = self._model.note, self._opened.moved_to()
        return ((note,) if note else ()) + ((MOVED.format(moved),) if moved else ())

    def _consistently(
        self, ask: Callable[[searchers.Searcher], Answer], queries: int = 1
    ) -> Answer:
        """Return an answer during which the library's model did not change."""
        engine = self._opened.engine
        # The matrix products of few queries are small; those of many together are worth all cores.
        few = queries <= _FEW_QUERIES
        one_thread = blas.one_thread() if few else contextlib.nullcontext()
        with one_thread, self._model.waiting("Searching"):
            while True:
                space = engine.space
                try:
                    found = ask(self.searcher())
                except PixseekError:
                    if engine.space == space:
                        raise
                    continue
                # Otherwise vectors of two models may have been mixed.
                if engine.space == space:
                    return found


def both(one: Filter | str | None, other: Filter | str | None) -> Filter | None:
    """Return the filter that holds if both hold; None if both are None or empty texts.

    Args:
        one, other: filters, or texts in the query language.

    Raises:
        QueryError: a text has something besides filters, or one is not a filter.
    """
    one, other = _filter(one), _filter(other)
    if one is None or other is None:
        return other if one is None else one
    return And((one, other))


def _filter(where: Filter | str | None) -> Filter | None:
    if isinstance(where, str):
        from pixseek.search.language import filter_of

        return filter_of(where)
    if where is None or isinstance(where, Filter):
        return where
    raise QueryError(
        "Not a filter",
        f"where={where!r}",
        'Give a text such as \'format:jpg\', or Compare("width", "ge", 1920).',
    )


def _parsed(text: str, dates: bool, **options: Any) -> Query:
    """Return the query that a text stands for, with other fields of `Query`.

    Args:
        text: in the language of the search box.
        dates: read dates in plain words.
        **options: the other fields.
    """
    # Plain words need no parser, which takes 10 ms to import.
    words = text.split()
    if dates and len(text) <= MAX_CHARACTERS:
        dates = _YEAR.search(text) is not None or not _DATES.isdisjoint(
            word.strip(".,;:!?") for word in text.casefold().split()
        )
    plain = len(text) <= MAX_CHARACTERS and _LANGUAGE.isdisjoint(text)
    plain = plain and {"OR", "AND", "NOT"}.isdisjoint(words)
    if words and plain and not dates:
        return _with_options(Query((Term("text", " ".join(words)),)), options)
    from pixseek.search.language import parse

    return _with_options(parse(text, today=date.today() if dates else None), options)


def _with_options(query: Query, options: Mapping[str, Any]) -> Query:
    given = {name: value for name, value in options.items() if value is not None}
    known = {each.name for each in fields(Query)} - {"terms", "exclude", "date_readings"}
    for name in given:
        if name not in known:
            raise TypeError(f"unknown option {name!r}. {unknown('option', name, known)}")
    return replace(query, **given)
