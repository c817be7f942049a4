"""`pixseek save` and `pixseek saved`: searches under a name, which `pixseek search @NAME` runs."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Literal

import click

from pixseek.cli import wording
from pixseek.cli.completion import complete_saved
from pixseek.cli.hints import hinted, quoted
from pixseek.cli.options import Command, open_library
from pixseek.cli.output import echo, styled, write_json
from pixseek.cli.search import OF_QUERY, asked_of, example_of, query_options, term_options
from pixseek.cli.usage import check_alone

if TYPE_CHECKING:
    from pixseek.types import Query

_SECTION = "Index and search"


@click.command(
    cls=Command,
    takes_query=True,
    section=_SECTION,
    short_help="Save a search under a name.",
    examples=(
        ("pixseek save 'a dog -snow year:2024' dogs", "a search, then its name"),
        ("pixseek search @dogs", "run it"),
        ("pixseek search @dogs on a beach -k 50", "with more words and other options"),
        ("pixseek save receipts -k 100 --sort newest receipts", "options are saved too"),
        ("pixseek save --image sofa.jpg --not cat sofas", "with an example"),
        ("pixseek save --delete dogs", "forget it"),
    ),
)
@click.argument("words", nargs=-1, metavar="[WORDS]... NAME")
@term_options
@query_options
@click.option("--list", "listed", is_flag=True, help="List the saved searches.")
@click.option("--delete", "deleted", is_flag=True, help="Forget the saved search NAME.")
@click.option("--json", "as_json", is_flag=True, help="list: print one JSON object.")
@click.pass_context
def save(
    ctx: click.Context,
    /,
    words: tuple[str, ...],
    image: str | None,
    region: str | None,
    vector: str | None,
    vector_of: Literal["image", "text"] | None,
    excluded: tuple[str, ...],
    dates: bool,
    liked: tuple[str, ...],
    disliked: tuple[str, ...],
    listed: bool,
    deleted: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Save a search under NAME: its words and filters, and its options.

    `pixseek search @NAME` runs it. Words and filters that follow are added to it, and options that
    you give take the place of the saved ones. A name has letters, digits, - and _; one with spaces
    is written in quotes, here and as @"my name". A search of the same name is replaced.

    Searches are saved in the library, so everyone who uses its engine has them. An example image
    is saved by its path. Words such as "last week" mean the day on which the search runs.
    """
    check_alone(ctx, ("listed", "deleted"), ("as_json", "deleted"))
    if listed or (as_json and not words):
        if words:
            raise click.UsageError("--list takes no name.", ctx)
        write_saved(as_json=as_json)
        return
    if as_json:
        raise click.UsageError("--json needs --list.", ctx)
    if deleted:
        if len(words) != 1:
            raise click.UsageError("Name one search: pixseek save --delete NAME", ctx)
        forget(words[0])
        return
    *query, name = words or ("",)
    if not name or not (query or image is not None or vector is not None or liked):
        raise click.UsageError("Give a search and its name: pixseek save 'a dog -snow' dogs", ctx)
    example = example_of(ctx, image, region, vector, vector_of)
    given = asked_of(ctx, options)
    with open_library() as library:
        before = {each.casefold() for each in library.saved_searches()}
        how = {**example, "exclude": excluded, "dates": dates, **given}
        if liked or disliked:
            whole = library.query(" ".join(query), **how).refined(liked, disliked)
            kept = library.save_search(whole, name)
        else:
            kept = library.save_search(" ".join(query), name, **how)
    done = "Replaced" if kept.casefold() in before else "Saved"
    echo(hinted(f"{done}. To run it: pixseek search {wording.visible(called(kept))}"))


@click.command(
    cls=Command,
    section=_SECTION,
    short_help="List the saved searches.",
    examples=(
        ("pixseek saved", "each with what it searches for"),
        ("pixseek saved --delete dogs", "forget one"),
    ),
)
@click.option("--delete", "deleted", metavar="NAME", shell_complete=complete_saved,
              help="Forget a saved search.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def saved(ctx: click.Context, deleted: str | None, as_json: bool) -> None:
    """List the searches that `pixseek save` keeps, or forget one."""
    check_alone(ctx, ("deleted", "as_json"))
    if deleted is not None:
        forget(deleted)
    else:
        write_saved(as_json=as_json)


def write_saved(*, as_json: bool) -> None:
    """Write all saved searches: name, query and options."""
    with open_library() as library:
        found = library.saved_searches()
    if as_json:
        from pixseek.wire import query_to_plain

        write_json(
            {
                "searches": {
                    name: {"text": each.text, **query_to_plain(each.query)}
                    for name, each in found.items()
                }
            }
        )
        return
    if not found:
        echo(hinted("No saved searches. To save one: pixseek save 'a dog -snow' dogs"), err=True)
        return
    wide = max(wording.cells(wording.visible(called(name))) for name in found)
    for name, each in found.items():
        shown = wording.visible(called(name))
        text = " ".join((each.text or "(a vector)", *_options(each.query)))
        if sys.stdout.isatty():
            space = " " * (wide - wording.cells(shown))
            text = wording.fitted(wording.visible(text), hanging=" " * (wide + 2), first=wide + 2)
            echo(f"{styled(shown, bold=True)}{space}  {text}")
        else:
            echo(f"{wording.field(name)}\t{wording.field(text)}")


def forget(name: str) -> None:
    """Forget a saved search."""
    with open_library() as library:
        library.forget_search(name)
    echo(f"Deleted {wording.visible(called(name))}.")


def called(name: str) -> str:
    """Return how a saved search is called on a command line."""
    return f"@{name}" if " " not in name else quoted(f'@"{name}"')


def _options(query: Query) -> list[str]:
    """Return the options of a query that are not the default, as on a command line."""
    from dataclasses import fields

    names = {"k": "-k"}
    defaults = {field.name: field.default for field in fields(query)}
    given = ((name, getattr(query, name)) for name in OF_QUERY)
    return [
        names.get(name, "--" + name.replace("_", "-"))
        + ("" if value is True else f" {value:g}" if isinstance(value, float) else f" {value}")
        for name, value in given
        if value != defaults[name]
    ]
