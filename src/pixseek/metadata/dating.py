"""Choose the date of a photo among those that its file, its sidecars and its name give.

The first plausible date in the order of `DateSource` is used, except:

- A clock at its default (2002-12-08 12:00:00, the first minutes of a year) loses to a later date of
  another source.
- A date when the photo was created, from before digital cameras, is that of a print: it wins over
  the clock of the scanner.
- If another source gives the same date in more detail, that is used: some programs write only the
  day, and some drop the fraction of the second.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from pixseek.metadata.dates import (
    FIRST_DIGITAL,
    clock_is_at_default,
    is_plausible,
    zone_by_gps,
)
from pixseek.metadata.fields import PRECISIONS, Dated, DateSource

_ORIGINALS = (DateSource.SIDECAR_ORIGINAL, DateSource.EXIF_ORIGINAL, DateSource.XMP_ORIGINAL)
_CREATED = (DateSource.SIDECAR_CREATED, DateSource.XMP_CREATED, DateSource.IPTC_CREATED)
_DIGITIZED = (DateSource.EXIF_DIGITIZED, DateSource.XMP_DIGITIZED, DateSource.IPTC_DIGITIZED)

_DAY = timedelta(days=1)


def choose_date(
    dates: Mapping[DateSource, Dated], now: datetime, longitude: float | None, notes: list[str]
) -> tuple[Dated, DateSource] | None:
    """Return the best date, with its time zone if the file gives one, and its source.

    Args:
        dates: by their sources.
        now: with a time zone.
        longitude: of the place, in degrees; None if unknown.
        notes: receives notes about dates that were ignored.
    """
    plausible = {}
    for source in sorted(dates):
        if is_plausible(dates[source], now):
            plausible[source] = dates[source]
        elif source is not DateSource.NAME:
            notes.append(f"date {dates[source].moment:%Y-%m-%d} ignored")
    if not plausible:
        return None
    first = next(iter(plausible))
    best = _instead_of_default(first, plausible)
    if best is not first:
        notes.append(f"date {plausible[first].moment:%Y-%m-%d %H:%M} of a clock not set ignored")
    best = _of_print(best, plausible)
    best = _finest(best, plausible)
    date = plausible[best]
    if date.moment.tzinfo is None and date.precision in ("minute", "second"):
        date = Dated(_with_zone(date.moment, best, plausible, longitude, notes), date.precision)
    return date, best


def _instead_of_default(source: DateSource, dates: Mapping[DateSource, Dated]) -> DateSource:
    """Return the source to use instead of one whose clock was not set; itself if it was set."""
    at_default = clock_is_at_default(dates[source])
    if not at_default:
        return source
    wall = dates[source].since("second")
    digitized = dates.get(DateSource.EXIF_DIGITIZED)
    if (
        at_default == "new year"
        and digitized
        and digitized.since("day") != dates[source].since("day")
    ):
        return source  # somebody set it, and left the other
    for other, date in dates.items():
        if clock_is_at_default(date) or date.since("second") - wall <= _DAY:
            continue
        # The last change is later even if the clock was right.
        if other is not DateSource.EXIF_CHANGED or at_default == "known":
            return other
    return source


def _of_print(source: DateSource, dates: Mapping[DateSource, Dated]) -> DateSource:
    """Return the source with the date of a print, if `source` is a scanner's clock."""
    date, digitized = dates[source], dates.get(DateSource.EXIF_DIGITIZED)
    if date.moment.year < FIRST_DIGITAL:
        return source
    if source in _ORIGINALS:
        if digitized and digitized.since("day") != date.since("day"):
            return source  # somebody distinguished the two
        others: tuple[DateSource, ...] = _CREATED
    elif source in _DIGITIZED:
        others = (DateSource.NAME,)
    else:
        return source
    old = (each for each in others if each in dates and dates[each].moment.year < FIRST_DIGITAL)
    return next(old, source)


def _finest(source: DateSource, dates: Mapping[DateSource, Dated]) -> DateSource:
    """Return the source that gives the same date in more detail; `source` if none does."""
    coarse = dates[source]
    if coarse.moment.microsecond:
        return source
    wall = coarse.since("second")
    known = coarse.precision
    if known == "second" and wall == coarse.since("day"):
        known = "day"  # midnight, written by a program that knows only the day
    for other, date in dates.items():
        if other <= source or date == coarse:
            continue
        if other is DateSource.NAME:
            if coarse.precision == "second" or date.moment.tzinfo is not None:
                continue
        elif other.is_always_utc:
            continue
        # When it was scanned or changed says nothing about a year or month.
        if known in ("year", "month") and other in (*_DIGITIZED, DateSource.EXIF_CHANGED):
            continue
        if PRECISIONS.index(date.precision) < PRECISIONS.index(known):
            continue
        if date.since(known) == wall and date.moment.replace(tzinfo=None) != wall:
            return other
    return source


def _with_zone(
    wall: datetime,
    source: DateSource,
    dates: Mapping[DateSource, Dated],
    longitude: float | None,
    notes: list[str],
) -> datetime:
    """Return a wall clock with the time zone that the other dates give; without one if none do."""
    gps = dates.get(DateSource.GPS)
    if gps is not None and source < DateSource.GPS:
        zone = zone_by_gps(wall, gps.moment, longitude)
        if zone is not None:
            return wall.replace(tzinfo=zone)
        notes.append("GPS time ignored: no time zone lies between it and the camera's clock")
    for at, other in dates.items():
        # Sources that are always in UTC say nothing about the camera's time zone.
        if other.moment.tzinfo is None or at.is_always_utc:
            continue
        if other.since("second") == wall.replace(microsecond=0):
            return wall.replace(tzinfo=other.moment.tzinfo)
    return wall
