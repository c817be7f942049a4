"""The tiles that the images of a library are cut into, and the images that are not cut so yet.

The ledger remembers the last choice. If it has none, as on another machine with the same engine,
the records show it. A change leaves every record with the parts that it had. Until all have the new
ones, each indexing run looks for records with other parts, so a run can be killed at any point.
"""

from __future__ import annotations

from collections.abc import Iterator

from pixseek.indexing.media import Tiles, check_tiles, layout, of_picture, tiles_of
from pixseek.storage.ledger import Ledger
from pixseek.types import Engine, Part, Record

# Settings of the ledger: columns and rows; whether some records may be cut otherwise.
_TILES, _UNDONE = "tiles", "tiles_undone"

#: Records that are read at once.
_CHUNK = 1024


def remembered(ledger: Ledger, engine: Engine, said: Tiles | None) -> Tiles:
    """Return the tiles of a library, after remembering a new choice.

    Args:
        ledger: of the library.
        engine: that holds its records.
        said: the new choice; None to keep the present one.

    Raises:
        ConfigError: images can't be cut into them.
    """
    setting = ledger.setting(_TILES)
    before = check_tiles(setting) if setting else _seen_in(engine)
    if said is None:
        return before
    tiles = check_tiles(said)
    if tiles != before:
        ledger.set(_UNDONE, True)  # first: a kill in between costs a look, and nothing else
    ledger.set(_TILES, tiles)
    return tiles


def outdated(parts: tuple[Part, ...], ledger: Ledger, engine: Engine) -> set[str]:
    """Return the ids of images whose vectors stand for other parts than these."""
    if not ledger.setting(_UNDONE):
        return set()
    return {
        record.id
        for record in _records(engine)
        if (own := of_picture(record.parts)) != parts and (own or not record.parts)
    }


def without_vectors(engine: Engine) -> set[str]:
    """Return the ids of records that have no vectors; a change of the model left them so."""
    space, found, after = engine.space, set[str](), ""
    if space is None or engine.held(space) == engine.count():
        return found
    while some := engine.lacking(space, _CHUNK, after):
        found.update(record.id for record in some)
        after = some[-1].id
    return found


def note_undone(ledger: Ledger, undone: bool) -> None:
    """Note whether some images may have other parts than they should."""
    if bool(ledger.setting(_UNDONE)) != undone:
        ledger.set(_UNDONE, undone)


def _seen_in(engine: Engine) -> Tiles:
    """Return the tiles of the first record; (1, 1) if there is none."""
    if engine.space is None:
        return (1, 1)
    first = engine.select(None, order="uri", descending=False, k=1, offset=0)
    return tiles_of(of_picture(first[0].parts)) if first else (1, 1)


def _records(engine: Engine) -> Iterator[Record]:
    ids = [known.id for known in engine.known()]
    for start in range(0, len(ids), _CHUNK):
        yield from (each for each in engine.get(ids[start : start + _CHUNK]) if each is not None)


def parts_now(ledger: Ledger, engine: Engine) -> tuple[Part, ...]:
    """Return the parts that an image of a library has now."""
    return layout(remembered(ledger, engine, None))
