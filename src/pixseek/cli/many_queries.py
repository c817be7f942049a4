"""`pixseek search --queries`: the lines of a file as searches."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from pixseek.cli.exit_codes import FOUND_NOTHING
from pixseek.cli.options import warn
from pixseek.cli.output import echo, visible
from pixseek.cli.results import write_many, write_page
from pixseek.errors import QueryError

if TYPE_CHECKING:
    from pixseek.library import Library
    from pixseek.types import Query, Results

#: Lines that are answered together, before their hits are written.
_QUERIES_AT_A_TIME = 256

#: The most notes about many queries; all of them are in --json.
_MOST_WARNINGS = 20


def show(
    ctx: click.Context,
    library: Library,
    queries: dict[int, str],
    asked: dict[str, Any],
    *,
    file: str,
    as_json: bool,
    html: str | None,
    **_: Any,
) -> None:
    """Answer and show many queries, some hundreds at a time, so that the first appear soon.

    Args:
        ctx: of the command.
        library: to search.
        queries: by the numbers of their lines.
        asked: fields of the query that options give.
        file: name of the file that holds them, for messages.
        as_json, html: as for one search.
    """
    if not queries:
        raise click.UsageError("The file given to --queries has no queries.", ctx)
    found = False
    pages: list[Results] = []
    warned: set[str] = set()
    numbers = list(queries)
    for at in range(0, len(queries), _QUERIES_AT_A_TIME):
        here = numbers[at : at + _QUERIES_AT_A_TIME]
        try:
            some = [_query_of(queries[number], asked) for number in here]
            answers = library.search_many(some, **asked)
        except QueryError:
            _name_line(library, {number: queries[number] for number in here}, asked, file)
            raise
        found = found or any(answers)
        for warning in (each for answer in answers for each in answer.warnings):
            if warning not in warned and len(warned) < _MOST_WARNINGS:
                warn(warning)
            warned.add(warning)
        if html is not None:
            pages += answers
        if html is None or as_json:
            typed = [each if isinstance(each, str) else "" for each in some]
            write_many(typed, answers, as_json=as_json)
    if html is not None:
        echo(f"Contact sheet: {visible(str(write_page(pages, html)))}", err=as_json)
    if not found:
        ctx.exit(FOUND_NOTHING)


def _name_line(library: Library, queries: dict[int, str], asked: dict[str, Any], file: str) -> None:
    """Raise the error of the first query that can't be answered, with the number of its line."""
    for number, line in queries.items():
        try:
            library.search_many([_query_of(line, asked)], **asked)
        except QueryError as error:
            where = f"{'standard input' if file == '<stdin>' else file}, line {number}"
            subject = f"{where}: {error.subject}" if error.subject else where
            raise QueryError(error.problem, subject, error.advice) from error


def _query_of(line: str, asked: dict[str, Any]) -> str | Query:
    """Return the query that a line of --queries holds; text stays as it is.

    Args:
        line: words, in the language of the search box, or a JSON object.
        asked: fields of the query that options give, for what the object does not say.
    """
    if not line.startswith("{"):
        return line
    from pixseek.wire import query_from_plain

    try:
        plain = json.loads(line)
    except (ValueError, RecursionError) as error:
        shown = line if len(line) <= 60 else f"{line[:57]}..."
        raise QueryError("A line of --queries is not JSON", shown, f"{error}.") from error
    return query_from_plain({**asked, **plain})
