"""Likes and dislikes as parts of a query's text, so that the address of a search holds them."""

from __future__ import annotations

import re
from collections.abc import Mapping

#: An image that a query leans to or away from; `id:X` alone is what somebody looks for.
_LEANING = re.compile(r'\s*(-?\d*\.\d+)\*id:"?([^\s"@()]+)"?(?=[\s()]|$)')

#: The weights of Rocchio's method, as in `Query.refined`; all images of a side share one.
_TO, _FROM = 0.75, -0.15


def leanings(text: str) -> Mapping[str, bool]:
    """Return the ids of the images that a query leans to (True) and away from (False)."""
    return {image: not weight.startswith("-") for weight, image in _LEANING.findall(text)}


def leant(text: str, image_id: str, *, to: bool | None) -> str:
    """Return a query that leans to an image, away from it, or, for None, neither.

    "" if nothing would be left to look for.
    """
    sides = {**leanings(text), image_id: to}
    rest = _LEANING.sub("", text).strip()
    liked = [image for image, side in sides.items() if side is True]
    disliked = [image for image, side in sides.items() if side is False]
    if not rest and not liked:
        return ""
    parts = [rest] if rest else []
    for whole, images in ((_TO, liked), (_FROM, disliked)):
        parts += [f"{round(whole / len(images), 4)}*id:{image}" for image in images]
    return " ".join(parts)
