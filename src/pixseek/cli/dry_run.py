"""`pixseek index --dry-run`: what paths are taken for, before anything is indexed; --column."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from pixseek.cli import wording
from pixseek.cli.hints import settings
from pixseek.cli.output import echo, styled, write_json

if TYPE_CHECKING:
    from pixseek.library.recognising import Outlook

#: Failures that are shown.
_FAILURES = 5
#: Characters of a value that are shown.
_LONGEST = 120
_KINDS = {"text": "text", "int": "whole number", "float": "number", "bool": "yes or no",
          "time": "date", "list": "texts"}  # fmt: skip


def columns_by_role(
    ctx: click.Context, param: click.Parameter, value: tuple[str, ...]
) -> dict[str, str]:
    """Return the names of columns by their roles, of texts such as image=photo_url."""
    if not value:
        return {}
    from pixseek.library.recognising import ROLES

    columns = dict[str, str]()
    for each in value:
        role, equals, name = each.partition("=")
        if role not in ROLES or not equals or not name:
            what = f"{each!r} is not like image=NAME ({', '.join(ROLES)})."
            raise click.BadParameter(what, ctx, param)
        columns[role] = f"{columns[role]},{name}" if role in columns else name
    return columns


def show_sources(
    paths: Sequence[str],
    read_as: str | None,
    columns: Mapping[str, str],
    images: str | None,
    *,
    as_json: bool,
) -> None:
    """Print what each path is taken for, what its columns become, and a few examples."""
    from pixseek.config import load_config
    from pixseek.library.recognising import outlook

    config = load_config(**settings())
    found = [
        outlook(given, read_as=read_as, columns=columns, images=images,
                private=config.allow_private, offline=config.offline)
        for given in paths
    ]  # fmt: skip
    if as_json:
        write_json([_plain(each) for each in found])
        return
    for each in found:
        for line in _lines(each):
            echo(line)
    echo("Nothing was indexed. To index it, leave out --dry-run.")


def _lines(found: Outlook) -> Iterator[str]:
    yield styled(wording.visible(found.path), bold=True)
    rows = "" if found.rows is None else f" in {wording.counted(found.rows, 'row')}"
    yield f"  {found.what}, {wording.counted(found.images, 'image')}{rows}"
    wide = max((len(wording.visible(each.column)) for each in found.columns), default=0)
    for each in found.columns:
        kind = f" ({_KINDS.get(each.kind, each.kind)})" if each.kind else ""
        why = f"; {each.why}" if each.why else ""
        becomes = f"{wording.visible(each.becomes)}{kind}{why}"
        yield f"  {wording.visible(each.column):<{wide}}  {becomes}"
    for name, fields in found.examples:
        yield f"  {styled(wording.visible(name), bold=True)}"
        for field, value in fields.items():
            text = "; ".join(value) if isinstance(value, tuple) else str(value)
            short = text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
            yield f"    {wording.visible(field)}: {wording.visible(short)}"
    for failure in found.failures[:_FAILURES]:
        yield f"  not usable: {wording.visible(failure.uri)}: {wording.visible(failure.message)}"
    if len(found.failures) > _FAILURES:
        yield f"  and {len(found.failures) - _FAILURES:,} more"


def _plain(found: Outlook) -> dict[str, Any]:
    return {
        "path": found.path,
        "kind": found.kind,
        "what": found.what,
        "images": found.images,
        "rows": found.rows,
        "columns": [
            {"column": each.column, "becomes": each.becomes, "kind": each.kind, "why": each.why}
            for each in found.columns
        ],
        "examples": [
            {"name": name, "fields": {field: _value(value) for field, value in fields.items()}}
            for name, fields in found.examples
        ],
        "failures": [
            {"uri": each.uri, "reason": each.reason, "message": each.message}
            for each in found.failures
        ],
    }


def _value(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value
