"""Make a table, and a picture, of what becomes of each file of a folder.

    python docs/generate_file_table.py MATERIAL --out docs/reference/odd-files.md --sheet sheet.png

The table is committed; the material and the sheet are not.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from PIL import Image, ImageDraw

from pixseek.errors import ImageError
from pixseek.images import FORMATS, decode
from pixseek.images.formats import identify

CELL, PICTURE = (230, 210), 170


def what_it_is(data: bytes) -> str:
    """The format, by content, with its size."""
    try:
        found = identify(data)
    except ImageError as error:
        if error.reason == "no-decoder":
            return error.problem.split()[1]
        return f"{len(data):,} bytes, no image" if data else "no bytes"
    return found.name


def look(path: Path) -> tuple[list[str], Image.Image | None]:
    """The row of one file, and what it shows."""
    data = path.read_bytes()
    kind = what_it_is(data)
    try:
        picture = decode(data, at_least=448)
    except ImageError as error:
        why = error.problem
        return [f"`{path.name}`", kind, f"failure: `{error.reason}`", why.replace("|", "/")], None
    notes = list(picture.notes)
    if picture.pixels.size != (picture.width, picture.height):
        width, height = picture.pixels.size
        notes.append(f"decoded at {width} x {height}")
    size = f"{kind}, {picture.width} x {picture.height}"
    became = "indexed, marked as damaged" if any("damaged" in n for n in notes) else "indexed"
    return [f"`{path.name}`", size, became, "; ".join(notes)], picture.pixels


def formats() -> str:
    """The table of formats."""
    rows = [
        "| format | endings | decoder | installed with | less than all pixels | own process |",
        "|---|---|---|---|---|---|",
    ]
    for each in FORMATS:
        extra = f"`pixseek[{each.extra}]`" if each.extra else "pixseek"
        rows.append(
            f"| {each.name} | {' '.join(each.endings)} | {each.decoder} | {extra} | "
            f"{each.scaled} | {'yes' if each.isolated else ''} |"
        )
    return "\n".join(rows)


def main() -> None:
    """Write the table and, if asked, the contact sheet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("material", type=Path, nargs="+")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--sheet", type=Path)
    given = parser.parse_args()
    files = sorted(p for folder in given.material for p in folder.iterdir() if p.is_file())
    looked = [look(path) for path in files]
    lines = [
        "# What becomes of odd files",
        "",
        "Made by docs/generate_file_table.py from test material that is not part of pixseek.",
        "",
        "| file | what it is, by its content | what became of it | why |",
        "|---|---|---|---|",
        *(f"| {' | '.join(row)} |" for row, _ in looked),
        "",
        "## Formats",
        "",
        formats(),
        "",
    ]
    if given.out:
        given.out.write_text("\n".join(lines), encoding="utf-8")
    else:
        print("\n".join(lines))
    if given.sheet:
        cells = [(path.name, *found) for path, found in zip(files, looked, strict=True)]
        contact_sheet(cells, given.sheet)


def contact_sheet(cells: list[tuple[str, list[str], Image.Image | None]], out: Path) -> None:
    """Write one picture of all of them."""
    across = 8
    sheet = Image.new(
        "RGB", (CELL[0] * across, CELL[1] * -(-len(cells) // across)), (226, 228, 236)
    )
    draw = ImageDraw.Draw(sheet)
    for number, (name, row, shown) in enumerate(cells):
        left, top = CELL[0] * (number % across) + 4, CELL[1] * (number // across) + 4
        if shown is not None:
            small = shown.copy()
            small.thumbnail((CELL[0] - 8, PICTURE))
            sheet.paste(small, (left, top))
        else:
            draw.rectangle((left, top, left + CELL[0] - 9, top + PICTURE - 1), (110, 110, 118))
        draw.text((left, top + PICTURE + 2), name[:36], (0, 0, 0))
        draw.text((left, top + PICTURE + 15), (row[3] or row[2])[:38], (150, 0, 0))
    sheet.save(out)


if __name__ == "__main__":
    main()
