"""Encoders: models that turn images and texts into vectors of one space.

`load` returns one by its name in the catalogue, from a local folder, or from another package.
"""

from pixseek.encoders.hub.catalogue import CATALOGUE, DEFAULT
from pixseek.encoders.registry import (
    CONVERTED,
    ENTRY_POINTS,
    Description,
    accept_licence,
    describe,
    downloaded,
    fetch,
    is_known,
    load,
    locate,
    names,
    own_code,
    remove,
    trust,
)

__all__ = [
    "CATALOGUE",
    "CONVERTED",
    "DEFAULT",
    "ENTRY_POINTS",
    "Description",
    "accept_licence",
    "describe",
    "downloaded",
    "fetch",
    "is_known",
    "load",
    "locate",
    "names",
    "own_code",
    "remove",
    "trust",
]
