"""The options of an indexing run, written once and passed from the facade to the pipeline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from pixseek.types import Precision
from pixseek.types.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class IndexOptions:
    """The options of one indexing run.

    Attributes:
        exclude: patterns of what to skip, in the syntax of .gitignore.
        include: patterns of what to index although it would be skipped by itself.
        follow_links: follow links that lead out of the roots; None for the last choice.
        retry: try files again that failed before and have not changed.
        reread: read the metadata of unchanged files again, without embedding them.
        recheck: ask the servers of images that are named by URL whether they have changed.
        strict: refuse truncated images instead of keeping the part that could be read.
        demosaic: develop camera raw files instead of using the preview inside them.
        previews: keep a preview of each image; None for the library's last choice.
        tiles: columns and rows that images are cut into besides the whole, (1, 1) for none; None
            for the library's last choice.
        ocr: read the text in pictures; None for the library's last choice.
        read_as: kind of source, or layout of a data set, that the paths are taken for; None to
            recognise it.
        columns: of tables, by what they mean; empty to recognise them.
        images: the folder or address that paths in tables are relative to; None as remembered,
            at first the folder of the table.
        keep: the folder in which images that tables name by URL are kept; None as remembered.
        robots: fetch only what the robots.txt of servers allows; None as remembered.
        fast: decode only the key frames of videos.
        precision: what the image tower computes in; see `types.Accelerable`.
    """

    exclude: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    follow_links: bool | None = None
    retry: bool = False
    reread: bool = False
    recheck: bool = False
    strict: bool = False
    demosaic: bool = False
    previews: bool | None = None
    tiles: tuple[int, int] | None = None
    ocr: bool | None = None
    read_as: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    images: str | None = None
    keep: str | None = None
    robots: bool | None = None
    fast: bool = False
    precision: Precision = "auto"
