"""Whether the text in pictures is read, and the images in which nobody looked for any yet.

The ledger remembers the last choice. After `--ocr` each run looks for records that were not read,
until a run has left none, so a run can be killed at any point.
"""

from __future__ import annotations

from pixseek.images.ocr import TextReader, text_reader
from pixseek.metadata.seen import READER
from pixseek.storage.ledger import Ledger
from pixseek.types import Compare, Engine, Not, Or

# Settings of the ledger: the last choice; whether some images may not have been read yet.
_OCR, _UNDONE = "ocr", "ocr_undone"

#: Records whose pictures were not read; videos are not.
UNREAD = Not(Or((Compare(f"fields.{READER}", "exists"), Compare("media", "glob", "video/*"))))


def reader(ledger: Ledger, said: bool | None, cores: int) -> TextReader | None:
    """Return what reads the text in pictures, after remembering a new choice; None to read none.

    Args:
        ledger: of the library.
        said: the new choice; None to keep the present one.
        cores: how many to use.

    Raises:
        MissingExtraError: it is wanted, and the package that reads is not installed.
    """
    before = ledger.setting(_OCR)
    wanted = bool(before) if said is None else said
    found = text_reader(cores) if wanted else None
    if said:
        ledger.set(_UNDONE, True)  # first: a kill in between costs a look, and nothing else
    if said is not None and (said or before is not None):
        ledger.set(_OCR, said)
    return found


def unread(ledger: Ledger, engine: Engine) -> set[str]:
    """Return the ids of images in which no text was looked for."""
    if not ledger.setting(_UNDONE) or engine.space is None:
        return set()
    return set(engine.matching_ids(UNREAD))


def note(ledger: Ledger, engine: Engine) -> None:
    """Note whether some images are left, at the end of a run."""
    if ledger.setting(_UNDONE) and next(engine.matching_ids(UNREAD), None) is None:
        ledger.set(_UNDONE, False)
