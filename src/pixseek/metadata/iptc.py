"""Read IPTC-IIM 4.2, the captions and keywords of newsrooms.

Pillow reads these blocks only from its own image objects, and drops a whole block for one bad
dataset. The format is simple (tags with lengths), so it is read here.
"""

from __future__ import annotations

from collections.abc import Iterator

from pixseek.metadata.dates import parse_date
from pixseek.metadata.fields import DateSource, Findings, decode_text, split_tags

_MAX_DATASETS = 5_000
_UTF8 = b"\x1b%G"

# Application record (2): dataset numbers.
_TITLE, _KEYWORD, _BYLINE, _HEADLINE, _CAPTION = 5, 25, 80, 105, 120
_DATES = ((55, 60), (62, 63))  # date and time created, then digitised


def read_iptc(block: bytes) -> Findings:
    """Return the metadata in an IPTC-IIM block."""
    found = Findings()
    texts: dict[int, list[str]] = {}
    is_utf8 = False
    for record, dataset, data in _datasets(block, found):
        if (record, dataset) == (1, 90):
            is_utf8 = data.startswith(_UTF8)
        elif record == 2 and data:
            text = data.decode("utf-8", "replace") if is_utf8 else decode_text(data)
            texts.setdefault(dataset, []).append(text.replace("\r", "\n"))

    def first(dataset: int) -> str:
        return texts.get(dataset, [""])[0]

    found.put_caption(first(_CAPTION))
    found.tags = split_tags(texts.get(_KEYWORD, ()))
    found.put("title", first(_TITLE))
    found.put("title", first(_HEADLINE))
    found.put("artist", "; ".join(texts.get(_BYLINE, ())))
    found.put("copyright", first(116))
    found.put("city", first(90))
    found.put("sublocation", first(92))
    found.put("state", first(95))
    found.put("country_code", first(100))
    found.put("country", first(101))
    for day, time in _DATES:
        if first(day):
            # If the time can't be read, use the day alone.
            moment = parse_date(f"{first(day)} {first(time)}") or parse_date(first(day))
            found.put_date(DateSource.IPTC_CREATED, moment)
    return found


def _datasets(block: bytes, found: Findings) -> Iterator[tuple[int, int, bytes]]:
    """Yield record number, dataset number and value, up to the first broken dataset."""
    at = 0
    for _ in range(_MAX_DATASETS):
        if not block[at : at + 5].strip(b"\0"):
            return  # end of the data, or padding
        header = block[at : at + 5]
        if len(header) < 5 or header[0] != 0x1C:
            break
        size, at = int.from_bytes(header[3:5]), at + 5
        if size & 0x8000:  # extended dataset: this is the width of its size
            width = size & 0x7FFF
            if width > 4:
                break
            size, at = int.from_bytes(block[at : at + width]), at + width
        if at + size > len(block):
            break
        yield header[1], header[2], block[at : at + size]
        at += size
    found.notes.append("broken IPTC block read in part")
