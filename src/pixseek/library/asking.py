"""Questions to a library: searches, similar images, facets, duplicates.

What a search does without is imported where it is used: that saves 30 of 180 ms of each process.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pixseek.errors import PixseekError, QueryError
from pixseek.library.model import LibraryModel
from pixseek.library.opened import Opened
from pixseek.search import blas, searcher
from pixseek.types import POSSIBLE, And, Filter, Query, Region, Results, Term

if TYPE_CHECKING:
    from PIL import Image

    from pixseek.search.duplicates import DuplicateGroup
    from pixseek.search.facets import Facets

#: Hits that facets count at most.
_COUNTED = 1000

#: Characters that mean something in the language of the search box.
_LANGUAGE = frozenset('"():*-\\')


class Asking:
    """What one open library answers. May be used from several threads."""

    def __init__(self, opened: Opened, model: LibraryModel) -> None:
        """Ask this library, with its model."""
        self._opened, self._model = opened, model

    def query(
        self,
        text: str | None,
        *,
        image: str | os.PathLike[str] | Image.Image | None = None,
        region: Region | None = None,
        exclude: Sequence[str] = (),
        where: Filter | None = None,
        **options: Any,
    ) -> Query:
        """Return the query that these arguments of `Library.search` stand for."""
        query = _parsed(text or "", **options)
        terms = list(query.terms)
        if image is not None:
            terms.append(Term("image", image, region=region))
        left_out = (*query.exclude, *(Term("text", words) for words in exclude))
        return replace(query, terms=tuple(terms), exclude=left_out, where=both(query.where, where))

    def search_many(
        self, queries: Iterable[str | Query], *, where: Filter | None = None, **options: Any
    ) -> list[Results]:
        """Answer many queries together; see `Library.search_many`."""

        def whole(query: str | Query) -> Query:
            if isinstance(query, Query):
                return query
            parsed = _parsed(query, **options)
            return replace(parsed, where=both(parsed.where, where))

        return self.answer([whole(each) for each in queries])

    def similar(self, to: str | os.PathLike[str], **options: Any) -> Results:
        """Find images that look like one; see `Library.similar`."""
        return self.answer([_with_options(Query((self.image_term(to),)), options)])[0]

    def facets(self, query: Query, most: int) -> Facets:
        """Count the values of some fields among what a query finds; see `Library.facets`."""
        from pixseek.search import facets

        at_least = max(query.min_confidence, POSSIBLE)
        wide = replace(query, k=_COUNTED, offset=0, group=False, min_confidence=at_least)
        if not query.terms:
            wide = replace(wide, k=10 * _COUNTED)
        return facets.count((hit.record for hit in self.answer([wide])[0]), most)

    def duplicates(self, threshold: float | None) -> list[DuplicateGroup]:
        """Return groups of nearly equal images; see `Library.duplicates`."""
        from pixseek.search import duplicates

        if self._opened.engine.space is None:
            return []
        least = self._model.backgrounds().duplicate if threshold is None else threshold
        return list(duplicates.find(self._opened.engine, least))

    def image_term(self, image: str | os.PathLike[str]) -> Term:
        """Return the term for an image given by its id, or as a file or URL.

        Raises:
            QueryError: there is no such image.
        """
        record = self._opened.find(image)
        if record is not None:
            return Term("id", record.id)
        text = os.fspath(image)
        if text.startswith(("http://", "https://")) or Path(text).expanduser().is_file():
            return Term("image", text)
        raise QueryError(
            "No image with this id, and no such file",
            text,
            "Ids are shown by: pixseek search --json",
        )

    def searcher(self) -> searcher.Searcher:
        """Return what answers queries here."""
        return searcher.Searcher(
            engine=self._opened.engine,
            encoder=self._model.encoder,
            backgrounds=self._model.backgrounds,
            model=self._model.choice.model,
            locate=self._opened.locate,
            preview=self._opened.preview,
            picture=self._opened.content,
            offline=self._opened.config.offline,
        )

    def answer(self, queries: Sequence[Query]) -> list[Results]:
        """Answer whole queries, in order; see `searcher.Searcher.search`."""
        engine = self._opened.engine
        # The matrix products of one query are small; those of many together are worth all cores.
        with blas.one_thread() if len(queries) == 1 else contextlib.nullcontext():
            while True:
                space = engine.space
                try:
                    found = self.searcher().search(queries)
                except PixseekError:
                    if engine.space == space:
                        raise
                    continue
                # Otherwise the model changed meanwhile, and vectors of both may have been mixed.
                if engine.space == space:
                    break
        if not (note := self._model.note):
            return found
        return [replace(each, warnings=(*each.warnings, note)) for each in found]


def both(one: Filter | None, other: Filter | None) -> Filter | None:
    """Return the filter that holds where both hold; None if there is none."""
    if one is None or other is None:
        return other if one is None else one
    return And((one, other))


def _parsed(text: str, **options: Any) -> Query:
    """Return the query that a text stands for, with other fields of `Query`."""
    # Plain words need no parser, which takes 10 ms to import.
    if text and not set(text) & _LANGUAGE and not {"OR", "AND", "NOT"} & set(text.split()):
        return _with_options(Query((Term("text", " ".join(text.split())),)), options)
    from pixseek.search.language import parse

    return _with_options(parse(text), options)


def _with_options(query: Query, options: Mapping[str, Any]) -> Query:
    given = {name: value for name, value in options.items() if value is not None}
    known = {each.name for each in fields(Query)} - {"terms", "exclude"}
    for name in given:
        if name not in known:
            raise TypeError(f"there is no option {name!r} of a query; there are {sorted(known)}")
    return replace(query, **given)
