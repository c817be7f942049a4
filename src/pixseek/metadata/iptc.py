"""Read IPTC-IIM 4.2, the captions and keywords of newsrooms.

Pillow reads these blocks only from its own image objects, and drops a whole block for one bad
dataset. The format is simple (tags with lengths), so it is read here.
"""

from __future__ import annotations

from collections.abc import Iterator

from pixseek.metadata.charsets import decode_as, encoding_of
from pixseek.metadata.dates import parse_date
from pixseek.metadata.fields import DateSource, Findings, split_tags

_MAX_DATASETS = 5_000

# How many bytes of each tell the encoding.
_SAMPLE = 1_000

# Application record (2): dataset numbers.
_TITLE, _KEYWORD, _BYLINE, _HEADLINE, _CAPTION = 5, 25, 80, 105, 120
# Date and time.
_DATES = ((DateSource.IPTC_CREATED, 55, 60), (DateSource.IPTC_DIGITIZED, 62, 63))


def read_iptc(block: bytes) -> Findings:
    """Return the metadata in an IPTC-IIM block."""
    found = Findings()
    written: dict[int, list[bytes]] = {}
    for record, dataset, data in _datasets(block, found):
        # Dataset 1:90 declares the encoding, but not all programs that write UTF-8 write it.
        if record == 2 and data and dataset:
            written.setdefault(dataset, []).append(data)
    # One program wrote all of them, and a long text tells more than a short one.
    encoding = encoding_of(
        b"\n".join(data[:_SAMPLE] for datas in written.values() for data in datas)
    )
    texts = {
        dataset: [decode_as(data, encoding).replace("\r", "\n") for data in datas]
        for dataset, datas in written.items()
    }

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
    for source, day, time in _DATES:
        clock = first(time)
        # Photoshop and others write midnight in Greenwich if only the day is known.
        clock = "" if clock.strip() in ("000000+0000", "000000-0000") else clock
        found.put_date(source, parse_date(f"{first(day)} {clock}"))
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
