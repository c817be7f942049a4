"""Why a hit was found, in words; the numbers are in the JSON."""

from __future__ import annotations

import re
from pathlib import PurePath
from typing import TYPE_CHECKING

from pixseek.cli import wording

if TYPE_CHECKING:
    from pixseek.types import Hit, Reason

#: What texts of an image are called, by the name of their field: one of them, and several.
_TEXTS = {
    "caption": ("its caption says", "its caption says"),
    "tags": ("its tag", "its tags"),
    "name": ("its file name has", "its file name has"),
    "folder": ("its folder is", "its folder is"),
    "title": ("its title says", "its title says"),
    "place": ("its place is", "its place is"),
    "people": ("the person", "the people"),
    "albums": ("an album's name has", "names of albums have"),
}

#: A tag that a model gave, with its score.
_SCORED = re.compile(r"^(?P<tag>.*\D) (?P<score>[01]?\.\d+|[01])$")


def reasons(hit: Hit) -> str:
    """Return why a hit was found: "its tag 'zebra'; looks like 'beach' (strong)".

    What is written comes first, then what the image looks like.
    """
    written = [_written(each) for each in hit.why if each.kind == "words"]
    seen = [_seen(each) for each in hit.why if each.kind != "words"]
    excluded = [f"matches '{hit.excluded_by}', which is excluded"] if hit.excluded_by else []
    return wording.visible("; ".join((*written, *seen, *excluded)))


def _written(reason: Reason) -> str:
    field, colon, said = reason.what.partition(": ")
    if reason.box is not None:
        from pixseek.library.surfaces import place_of

        return f"text in the picture: '{said}' ({place_of(reason.box)})"
    if not colon:
        return "its texts have the words"
    found = said.split(", ")
    scored = [_SCORED.match(each) for each in found]
    if field == "tags" and all(scored):
        names = [match["tag"] for match in scored if match]
        return f"the model's {'tag' if len(names) == 1 else 'tags'} {_listed(names)}"
    one, several = _TEXTS.get(field, (f"its {field.replace('_', ' ')} says",) * 2)
    return f"{one if len(found) == 1 else several} {_listed(found)}"


def _seen(reason: Reason) -> str:
    if reason.kind == "text":
        what = f"'{reason.what}'"
    elif reason.kind == "id":
        what = f"the image {reason.what}"
    elif reason.kind == "image":
        what = PurePath(reason.what).name if reason.what else "the example"
    else:
        what = "the vector"
    if reason.weight < 0:
        return f"away from {what}"
    times = "" if reason.weight == 1 else f", counts {reason.weight:g} times"
    return f"looks like {what} ({reason.strength or 'weak'}{times})"


def _listed(words: list[str]) -> str:
    return ", ".join(f"'{word}'" for word in words)
