"""Parse dates in metadata and file names, and judge which are plausible."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

# EXIF "2021:05:03 14:22:33", XMP "2021-05-03T14:22:33.5+02:00" (or only its beginning), IPTC
# "20210503", "142233+0200" once joined by a space.
_WRITTEN = re.compile(
    r"\s*(\d{4})(?:[-:/.]?(\d\d)(?:[-:/.]?(\d\d)"
    r"(?:[T\s]\s?(\d\d):?(\d\d)(?::?(\d\d)(?:[.,](\d{1,9})\d{0,9})?)?\s*(Z|[+-]\d\d:?\d\d)?)?)?)?\s*"
)
_OFFSET = re.compile(r"\s*(?:Z|([+-])(\d\d):?(\d\d))\s*")

# A date, perhaps with a time, in a file name; with any separators.
_DATE = r"(?<!\d)((?:19|20)\d\d)([-_.]?)(0[1-9]|1[0-2])\2(0[1-9]|[12]\d|3[01])"
_TIME = r"([01]\d|2[0-3]|\d(?=[.:]))[-_.:h]?([0-5]\d)[-_.:m]?([0-5]\d)"
_NAMED = re.compile(
    rf"{_DATE}(?:(?:\s?at\s|[-_ T.]{{0,2}}){_TIME}(?:[-_.]?(\d{{3}})(?!\d))?"
    r"(?:\s?([AaPp])[Mm])?)?(?!\d)"
)

# Milliseconds since 1970, as the whole name or after the prefix of a program that writes them
# (Facebook, WeChat). Ten digits (seconds) are not accepted: they are as often the id of an upload.
_EPOCH_MS = re.compile(r"(?:FB_IMG_|mmexport|wx_camera_|IMG_|image_)?(1\d{12})", re.IGNORECASE)

# Times of clocks that were never set, and of archives without times.
_UNSET = frozenset(
    {
        datetime(1904, 1, 1),  # Mac and QuickTime
        datetime(1970, 1, 1),  # Unix
        datetime(1980, 1, 1),  # FAT and ZIP
    }
)

_OLDEST_PHOTO = 1826

# The offsets from UTC, in minutes, that clocks have had since digital cameras exist.
_OFFSETS = (
    *range(-12 * 60, 14 * 60 + 1, 60),
    -570, -210, -150, 210, 270, 330, 345, 390, 525, 570, 630, 765, 825,
)  # fmt: skip

# Maximum difference between a camera's clock and the time of its last GPS fix.
_CLOCK_ERROR = timedelta(minutes=5)


def parse_date(text: str) -> datetime | None:
    """Return the time in a text of EXIF, XMP or IPTC; None if it is not a time.

    Missing parts take their first value: "2021-05" is the first of May at midnight.
    """
    found = _WRITTEN.fullmatch(text[:64])
    if found is None:
        return None
    year, month, day, hour, minute, second, fraction, zone = found.groups()
    try:
        return datetime(
            int(year), int(month or 1), int(day or 1), int(hour or 0), int(minute or 0),
            min(int(second or 0), 59),  # leap seconds
            int((fraction or "0")[:6].ljust(6, "0")),
            parse_offset(zone or ""),
        )  # fmt: skip
    except ValueError:  # "0000:00:00", the 31st of June
        return None


def parse_offset(text: str) -> timezone | None:
    """Return the time zone of "+02:00" or "Z"; None if the text is not one."""
    found = _OFFSET.fullmatch(text[:32])
    if found is None:
        return None
    if found[1] is None:
        return UTC
    offset = timedelta(hours=int(found[2]), minutes=int(found[3]))
    if offset > timedelta(hours=14) or int(found[3]) > 59:
        return None
    return timezone(-offset if found[1] == "-" else offset)


def date_in_name(name: str) -> datetime | None:
    """Return the time in a file's name at which the photo was taken; None if there is none.

    Names of Pixel phones (PXL_...) and milliseconds since 1970 are in UTC; all others have no time
    zone. A name with only a date (WhatsApp) gives midnight.
    """
    stem = name[:255].rpartition(".")[0] or name[:255]
    epoch = _EPOCH_MS.fullmatch(stem)
    if epoch is not None:
        return from_epoch(int(epoch[1]) / 1000)
    for found in _NAMED.finditer(stem):
        year, _, month, day, hour, minute, second, millisecond, half = found.groups()
        hours = int(hour or 0)
        if half and 1 <= hours <= 12:
            hours = hours % 12 + (12 if half in "Pp" else 0)
        try:
            return datetime(
                int(year), int(month), int(day), hours, int(minute or 0), int(second or 0),
                int(millisecond or 0) * 1000,
                UTC if stem[:4].upper() == "PXL_" and hour else None,
            )  # fmt: skip
        except ValueError:  # the 31st of June
            continue
    return None


def from_epoch(seconds: float) -> datetime | None:
    """Return the time, in UTC, of a number of seconds since 1970; None if it is out of range."""
    try:
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    except (OverflowError, ValueError):
        return None


def is_plausible(moment: datetime, now: datetime) -> bool:
    """Return whether a photo can have been taken then: after photography began, not in the future.

    Args:
        moment: with or without a time zone.
        now: with a time zone.
    """
    wall = moment.replace(tzinfo=None)
    if wall.year < _OLDEST_PHOTO or wall in _UNSET or wall.year > now.year + 1:
        return False
    # Allow a day: the wall clock may be 14 hours ahead of UTC, and clocks go wrong.
    return moment.replace(tzinfo=moment.tzinfo or UTC) <= now + timedelta(days=1)


def zone_by_gps(wall: datetime, utc: datetime, longitude: float | None) -> timezone | None:
    """Return the time zone in which a wall clock showed `wall` at `utc`; None if there is none.

    Args:
        wall: the time by the camera's clock, without a time zone.
        utc: the time of the GPS fix.
        longitude: the longitude of the GPS fix, in degrees; None if unknown.
    """
    apart = wall - utc.replace(tzinfo=None)
    minutes = min(_OFFSETS, key=lambda each: abs(apart - timedelta(minutes=each)))
    if abs(apart - timedelta(minutes=minutes)) > _CLOCK_ERROR:
        return None
    if longitude is not None:
        # Except at the date line, no clock differs from solar time by more than four hours.
        from_sun = (minutes / 60 - longitude / 15 + 12) % 24 - 12
        if abs(from_sun) > 4:
            return None
    return timezone(timedelta(minutes=minutes))
