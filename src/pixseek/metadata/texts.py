"""What is written in a file beside its metadata: a PNG's texts, a JPEG's or GIF's comment."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime

from pixseek.metadata.dates import parse_date
from pixseek.metadata.fields import DateSource, Findings, decode_text
from pixseek.metadata.generators import put_generation

# Where generators of images write; the last two are also used by people.
_GENERATORS = ("parameters", "invokeai_metadata", "sd-metadata", "prompt", "Dream", "Comment",
               "Description")  # fmt: skip
_CAPTIONS = ("Description", "ImageDescription", "Comment", "Title")
_HALF_OF_DAY = re.compile(r"\d\s?[AaPp]\.?[Mm]\b")


def read_texts(texts: Mapping[str, bytes]) -> Findings:
    """Return what the texts of a file say.

    Args:
        texts: by keyword, as PNG names them; of other formats the comment as "Comment".
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


def _creation_time(text: str) -> datetime | None:
    """Return the time that a text means: RFC 1123, as the standard has it, or as in EXIF or XMP."""
    moment = parse_date(text)
    if moment is not None or _HALF_OF_DAY.search(text):
        return moment
    from email.utils import parsedate_to_datetime  # it takes 10 ms

    try:
        return parsedate_to_datetime(text[:64])
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
