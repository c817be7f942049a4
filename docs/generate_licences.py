"""Write the list of licences in docs/licences.md from what is installed here; --check compares.

Packages that are not installed here keep the row that they have.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

from pixseek.licences import Part, parts

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "licences.md"
BEGIN, END = "<!-- licences -->\n", "<!-- /licences -->\n"
HEAD = "| package | licence | needed by | its wheel bundles |\n|---|---|---|---|\n"


def requirements() -> dict[str, list[str]]:
    """What pyproject.toml requires, by extra; "" for none."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return {"": project["dependencies"], **project["optional-dependencies"]}


def row(part: Part) -> str:
    """The row of a package, without its version, which differs between machines."""
    needed = ", ".join(f"`{extra}`" for extra in part.extras) or "pixseek"
    bundles = "; ".join(f"{each.name}: {each.licence}" for each in part.bundles)
    cells = (part.name, part.licence, needed, bundles)
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


def rows(page: str) -> dict[str, str]:
    """The rows of a page by the names of their packages."""
    listed = page.partition(BEGIN)[2].partition(END)[0].removeprefix(HEAD).splitlines()
    return {line.split(" | ")[0].removeprefix("| "): line for line in listed}


def written(page: str) -> str:
    """The page with the list as it is here."""
    own, *others = parts(requirements())
    found = {**rows(page), **{each.name: row(each) for each in others}}
    found.pop(own.name, None)
    table = HEAD + "".join(f"{found[name]}\n" for name in sorted(found))
    return re.sub(f"{BEGIN}.*{END}", lambda _: BEGIN + table + END, page, flags=re.DOTALL)


if __name__ == "__main__":
    before = PAGE.read_text(encoding="utf-8")
    after = written(before)
    if "--check" in sys.argv:
        sys.exit(f"stale: {PAGE.name}; run docs/generate_licences.py" if after != before else 0)
    PAGE.write_text(after, encoding="utf-8")
