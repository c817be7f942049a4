"""The table of `pixseek models`: every column in a pipe, and what fits in a terminal.

In a terminal models stand below the languages of their texts, so a narrow one can do without that
column; long words are shortened before columns are left out, and no line is longer than it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from pixseek.cli import wording
from pixseek.cli.output import styled

if TYPE_CHECKING:
    from pixseek.models import ModelInfo

#: Benchmarks of English that most models were measured on; other published figures get a column.
_COMMON = ("Flickr30k", "COCO")
_HEAD = ("", "model", "download", "languages", *_COMMON, "other", "run by", "licence")
_MEASURED = ("images/s", "text ms")
_RIGHT = frozenset({"download", *_COMMON, "Flickr", *_MEASURED})
#: Columns that a narrow terminal does without, in this order.
_LEAST_NEEDED = ("other", "run by", "text ms", "languages", "images/s", "licence", "download")
_SHORT = {"Flickr30k": "Flickr", "languages": "texts"}

_Table = list[tuple[str, ...]]


def lines(models: Sequence[ModelInfo], width: int | None, default: str = "") -> Iterator[str]:
    """Yield the lines of the table.

    Args:
        models: a row each.
        width: columns of the terminal; None to write every column, and nothing but rows.
        default: the model that a new library takes.
    """
    measured = any(model.measured for model in models)
    head = (*_HEAD, *_MEASURED) if measured else _HEAD
    if width is None:
        rows: _Table = [_cells_of(model)[: len(head)] for model in models]
        yield from _aligned([head, *rows])
        return
    groups: dict[str, list[ModelInfo]] = {}
    for model in models:
        groups.setdefault(_group(model), []).append(model)
    ordered = [model for group in groups.values() for model in group]
    whole = [head, *(_cells_of(model)[: len(head)] for model in ordered)]
    table, hidden = _fitted(whole, width)
    named, *aligned = _aligned(table)
    yield named
    for group, members in groups.items():
        if len(groups) > 1:
            yield ""
            yield styled(group, bold=True)
        for _ in members:
            yield aligned.pop(0)
    yield ""
    notes = ["✓: on this machine. Figures: recall@1 from text to image in per cent, as published."]
    if default and any(model.name == default for model in models):
        notes.append(f"A new library takes {default}.")
    if hidden:
        notes.append(f"Not shown at this width: {', '.join(hidden)}.")
    for note in notes:
        for line in wording.wrapped(note, width):
            yield styled(line, dim=True)


def _group(model: ModelInfo) -> str:
    if re.search(r"\d", model.languages):
        return "Texts in many languages"
    if model.languages in ("", "English"):
        return "Texts in English" if model.languages else "Other models"
    return "Texts in other languages"


def _cells_of(model: ModelInfo) -> tuple[str, ...]:
    quality = dict(model.quality)
    measured = model.measured
    return (
        "✓" if model.folder else "",
        wording.visible(model.name),
        wording.size(model.size) if model.size else "",
        wording.visible(model.languages),
        *(f"{quality[name]:.1f}" if name in quality else "" for name in _COMMON),
        wording.visible(
            ", ".join(f"{name} {of:.1f}" for name, of in model.quality if name not in _COMMON)
        ),
        ", ".join(model.runtimes),
        wording.visible(model.licence),
        *((f"{measured.images_per_s:.1f}", f"{measured.text_ms:.1f}") if measured else ("", "")),
    )


def _fitted(table: _Table, width: int) -> tuple[_Table, list[str]]:
    """Return a table that fits a width, and the columns that it has no room for."""
    hidden: list[str] = []
    for title in (None, "", *_LEAST_NEEDED):
        if title == "":
            table = [tuple(map(_shortened, table[0], row)) for row in table]
        elif title is not None:
            short = _SHORT.get(title, title)
            if short not in table[0]:
                continue
            at = table[0].index(short)
            table = [(*row[:at], *row[at + 1 :]) for row in table]
            hidden.append(title)
        if _width(table) <= width:
            break
    return table, hidden


def _shortened(title: str, cell: str) -> str:
    """Return a cell in fewer letters: "300+" for "over 300 languages"."""
    if cell == title:
        return _SHORT.get(title, title)
    if title == "languages":
        counted = re.fullmatch(r"(over )?(\d+) languages", cell)
        return f"{counted[2]}{'+' if counted[1] else ''}" if counted else cell
    if title == "licence":
        return re.sub(r" \([^)]*\)$", "", cell)
    return cell


def _width(table: _Table) -> int:
    return sum(max(map(wording.cells, column)) + 2 for column in zip(*table, strict=True)) - 2


def _aligned(table: _Table) -> Iterator[str]:
    """Yield the rows of a table, its head in bold."""
    head = table[0]
    widths = [max(map(wording.cells, column)) for column in zip(*table, strict=True)]
    for row in table:
        line = "  ".join(
            f"{' ' * (width - wording.cells(cell))}{cell}"
            if title in _RIGHT
            else f"{cell}{' ' * (width - wording.cells(cell))}"
            for title, cell, width in zip(head, row, widths, strict=True)
        ).rstrip()
        yield styled(line, bold=True) if row is head else line
