"""Read the texts of a PNG, and the comment of a JPEG or GIF."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime

from pixseek.metadata.charsets import decode_text
from pixseek.metadata.dates import parse_date
from pixseek.metadata.fields import Dated, DateSource, Findings
from pixseek.metadata.generators import put_generation

# Keywords that image generators use; people use the last two as well.
_GENERATORS = ("parameters", "invokeai_metadata", "sd-metadata", "prompt", "Dream", "Comment",
               "Description")  # fmt: skip
_CAPTIONS = ("Description", "ImageDescription", "Comment", "Title")
_HALF_OF_DAY = re.compile(r"\d\s?[AaPp]\.?[Mm]\b")


def read_texts(texts: Mapping[str, bytes]) -> Findings:
    """Return the metadata in the texts of a file.

    Args:
        texts: by PNG keyword; the comment of other formats has the keyword "Comment".
    """
    found = Findings()
    written = {keyword: decode_text(text) for keyword, text in texts.items()}
    for keyword in _GENERATORS:
        if put_generation(written.get(keyword, ""), found, named=keyword):
            del written[keyword]
    for keyword in _CAPTIONS:
        if "prompt" not in found.fields:  # NovelAI repeats it
            found.put_caption(written.get(keyword))
    found.put("title", written.get("Title"))
    found.put("artist", written.get("Author"))
    found.put("copyright", written.get("Copyright"))
    found.put("software", written.get("Software"))
    found.put_date(DateSource.PNG_CREATED, _creation_time(written.get("Creation Time", "")))
    return found


def _creation_time(text: str) -> Dated | datetime | None:
    """Return the time in a text: in the form of EXIF, XMP or RFC 1123, PNG's standard."""
    date = parse_date(text)
    if date is not None or _HALF_OF_DAY.search(text):
        return date
    from email.utils import parsedate_to_datetime  # here, since importing it takes 10 ms

    try:
        return parsedate_to_datetime(text[:64])
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
