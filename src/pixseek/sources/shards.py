"""Names of archives, and of many as one: `train-{000..123}.tar` and `*.tar`, as in shells."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path

#: Compressions of tar by the ending behind ".tar", with the short forms of both.
_PACKED = {".gz": "gz", ".bz2": "bz2", ".xz": "xz", ".lzma": "xz", ".zst": "zst",
           ".tgz": "gz", ".tbz": "bz2", ".tbz2": "bz2", ".txz": "xz", ".tzst": "zst"}  # fmt: skip
_ZIPS = (".zip", ".cbz")
_TARS = (".tar", ".cbt")
#: A part of an export of Google Takeout: takeout-20240102T030405Z-001.zip, or with the number of
#: the export before that of the part.
_TAKEOUT = re.compile(r"takeout-\d{8}T\d{6}Z(-\d+)?-(\d{3,}|\{.*\})\.(zip|tgz)", re.IGNORECASE)
_NUMBERED = re.compile(r"(.*?)(\d+)(\.[^\d]*|\.bz2|\.tbz2?)")
#: Files that img2dataset and others leave next to their shards.
BESIDE_SHARDS = (".json", ".parquet", ".txt", ".csv", ".tsv", ".md", ".idx", ".index", ".yaml")
_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")


def kind_of(name: str) -> str | None:
    """Return the kind of archive that a file's name means: "zip", "tar", "tar.gz"; or None."""
    name = name.lower()
    stem, ending = os.path.splitext(name)
    if ending in _ZIPS:
        return "zip"
    if ending in _TARS:
        return "tar"
    if ending in _PACKED and (ending.startswith(".t") or stem.endswith(".tar")):
        return f"tar.{_PACKED[ending]}"
    return None


def stem_of(name: str) -> str:
    """Return the name of an archive without its endings: "photos" of "photos.tar.gz"."""
    stem = os.path.splitext(name)[0]
    return os.path.splitext(stem)[0] if stem.lower().endswith(".tar") else stem


def is_part(name: str) -> bool:
    """Return whether a file is a part of an export of Google Takeout, or a pattern of all."""
    return _TAKEOUT.fullmatch(name) is not None


def series_of(name: str) -> str | None:
    """Return the pattern of all files whose names differ from one in their last number alone.

    Only for parts of an export, and for shards as webdataset numbers them, with zeros in front.
    """
    found = _NUMBERED.fullmatch(name)
    kind = kind_of(name)
    if found is None or kind is None or not (is_part(name) or kind.startswith("tar")):
        return None
    first, number, rest = found.groups()
    if not is_part(name) and len(number) < 2:
        return None
    return f"{first}{{{'0' * len(number)}..{'9' * max(len(number), 9)}}}{rest}"


def within(path: Path) -> tuple[Path, str] | None:
    """Return the archive that a path leads into, and the path in it; None if it leads into none."""
    for above in path.parents:
        if kind_of(above.name) is not None and above.is_file():
            return above, path.relative_to(above).as_posix()
    return None


def matcher(pattern: str) -> Callable[[str], bool]:
    """Return what says whether a file's name is one of those that a pattern means.

    Args:
        pattern: a name; "*" stands for any characters, and "{000..123}" for each number of at least
            as many digits as the first has.
    """
    ranges: list[tuple[int, int, int]] = []
    parts: list[str] = []
    at = 0
    for found in _RANGE.finditer(pattern):
        first, last = found.groups()
        width = len(first) if first.startswith("0") else 1
        low, high = sorted((int(first), int(last)))
        ranges.append((width, low, high))
        parts += [_globbed(pattern[at : found.start()]), r"(\d+)"]
        at = found.end()
    whole = re.compile("".join((*parts, _globbed(pattern[at:]))), re.DOTALL)

    def matches(name: str) -> bool:
        match = whole.fullmatch(name)
        return match is not None and all(
            low <= int(digits) <= high
            and len(digits) >= width
            and (len(digits) == width or not digits.startswith("0"))
            for digits, (width, low, high) in zip(match.groups(), ranges, strict=True)
        )

    return matches


def files_of(pattern: Path) -> list[str]:
    """Return the names of the files in a folder that the last part of a path means, in order.

    Raises:
        OSError: the folder can't be listed.
    """
    return chosen(pattern.name, os.listdir(pattern.parent))


def chosen(pattern: str, names: Iterable[str]) -> list[str]:
    """Return those of some names that a pattern means, in order; see `matcher`."""
    matches = matcher(pattern)
    return sorted(filter(matches, names), key=_by_number)


def _globbed(text: str) -> str:
    return re.sub(r"(?:\\\*)+", "[^/]*", re.escape(text))


def _by_number(name: str) -> list[tuple[int, str]]:
    """Return a key by which 9.tar comes before 10.tar."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in
            re.split(r"([0-9]+)", name)]  # fmt: skip
