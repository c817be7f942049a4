"""Parse dates in metadata and file names, and judge which are plausible."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from typing import Literal

from pixseek.metadata.fields import Dated, Precision

# Nearly all dates of EXIF: a shortcut.
_PLAIN = re.compile(r"((?:18|19|20)\d\d):(\d\d):(\d\d) (\d\d):(\d\d):(\d\d)")

# A month or day that is written but unknown: the blanks of EXIF, "00" of IPTC, "XX" of EDTF.
_PART = r"(\s?\d{1,2}|[\s?Xx*_]{1,2}|--|)"
_SEPARATED = re.compile(rf"(\d{{4}})(?:[-:/.]{_PART}(?:[-:/.]{_PART})?)?(?!\d)")
_COMPACT = re.compile(r"(\d{4})(\d\d)(\d\d)?")
_UNKNOWN_TIME = re.compile(r"[\sT:.,?Xx*_+Z\d-]*")

# Clocks of twelve hours, as phones write them in the user's language.
_HALVES: Mapping[str, Literal["am", "pm"]] = {
    "am": "am", "a.m": "am", "a. m": "am", "vorm": "am", "fm": "am", "f.m": "am", "de": "am",
    "ap": "am", "дп": "am", "пр.об": "am", "上午": "am", "午前": "am", "오전": "am", "凌晨": "am",
    "早上": "am", "sa": "am", "öö": "am", "πμ": "am", "π.μ": "am", "ص": "am", "ق.ظ": "am",
    "pm": "pm", "p.m": "pm", "p. m": "pm", "nachm": "pm", "em": "pm", "e.m": "pm", "du": "pm",
    "ip": "pm", "пп": "pm", "сл.об": "pm", "下午": "pm", "午後": "pm", "오후": "pm", "晚上": "pm",
    "ch": "pm", "ös": "pm", "μμ": "pm", "μ.μ": "pm", "م": "pm", "ب.ظ": "pm",
}  # fmt: skip
_HALF = "|".join(sorted(map(re.escape, _HALVES), key=len, reverse=True))
_ZONE = r"Z|(?:UTC|GMT)?\s?[+-]\s?\d{1,2}(?::?\d\d)?|UTC|GMT"
_TIME = re.compile(
    rf"(?:({_HALF})\.?\s?)?"
    r"(?:(\d{1,2})(?:\s?([:.\-/])\s?(\d{1,2})(?:\s?\3\s?(\d{1,2})(?:[.,:](\d{1,9})\d*)?)?)?"
    r"|(\d\d)(\d\d)(?:(\d\d)(?:[.,]?(\d{1,9})\d*)?)?)"
    # Names of time zones differ between countries, so they are not read.
    rf"(?:\s?({_HALF})\.?)?(?:\s?({_ZONE})|\s[A-Z]{{3,5}})?",
    re.IGNORECASE,
)
_OFFSET = re.compile(r"\s*(?:(?:UTC|GMT)?\s?([+-])\s?(\d{1,2})(?::?(\d\d))?|Z|UTC|GMT)\s*")

# "2021年5月3日 14時22分33秒" and "14h22m33s" in the form of the others.
_WORDED = str.maketrans("年년月월時时시点點分분", "----:::::::", "日号號일秒초")
_HOURS = re.compile(r"(?<=\d)[hm](?=\d)|(?<=[hm:]\d\d)s\Z")

# "05.08.2003", in which the day comes first everywhere; "25/08/2003" and "08/25/2003", in which it
# does somewhere; "Tue Aug 05 07:05:09 2003", as C writes it.
_YEAR_LAST = re.compile(r"(\d{1,2})([./-])(\d{1,2})\2(\d{4})(?!\d)(.*)", re.DOTALL)
_OF_C = re.compile(
    r"(?:[A-Z][a-z]{2} )?(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) {1,2}(\d{1,2}) "
    r"(\d{1,2}:\d\d:\d\d) (?:[A-Z]{3,5} )?(\d{4})"
)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

# Calendars in Thailand and Laos count from the Buddha's death; Android writes such years into EXIF.
_BUDDHIST = 543

# A date, perhaps with a time, in a file name; with any separators.
_DATE = r"(?<!\d)((?:19|20)\d\d)([-_.]?)(0[1-9]|1[0-2])\2(0[1-9]|[12]\d|3[01])"
_CLOCK = r"([01]\d|2[0-3]|\d(?=[.:]))[-_.:h]?([0-5]\d)[-_.:m]?([0-5]\d)"
# What macOS writes between day and time of a screenshot, in its languages.
_AT = r"\s?(?:at|um|à|a\u0300|om|alle|às|a\u0300s|as|a las?|a la\(s\)|kl\.|klo|o|v|в|о)\s"
_NAMED = re.compile(
    rf"{_DATE}(?:(?:{_AT}|[-_ T.]{{0,2}})(?:([上下]午|午[前後]|오[전후])\s?)?{_CLOCK}"
    r"(?:[-_.]?(\d{3})(?!\d))?(?:\s?([AaPp])\.?\s?[Mm])?)?(?!\d)"
)

# Milliseconds since 1970, as the whole name or after the prefix of a program that writes them
# (Facebook, WeChat). Ten digits (seconds) are not accepted: they are as often the id of an upload.
_EPOCH_MS = re.compile(r"(?:FB_IMG_|mmexport|wx_camera_|IMG_|image_)?(1\d{12})", re.IGNORECASE)

_EPOCH = datetime(1970, 1, 1)

# Times of clocks that were never set, and of archives without times.
_UNSET = frozenset(
    {
        datetime(1904, 1, 1),  # Mac and QuickTime
        _EPOCH,  # Unix
        datetime(1980, 1, 1),  # FAT and ZIP
        datetime(1980, 1, 6),  # GPS
        datetime(1899, 12, 30),  # Windows' programs and spreadsheets
        datetime(1858, 11, 17),  # astronomy, VMS and some scanners
    }
)

_OLDEST_PHOTO = 1826

#: Before this year hardly anybody had a digital camera, whose clock can be wrong.
FIRST_DIGITAL = 1995

# What programs write if nobody set the time: drivers of Qualcomm's cameras in many phones, "month
# 0, day 0" of 2000 and 1980 counted back, and the first day of spreadsheets.
_DEFAULTS = (
    datetime(2002, 12, 8, 12), datetime(1999, 11, 30), datetime(1979, 11, 30), datetime(1900, 1, 1),
)  # fmt: skip

# The days on which clocks begin that count from there.
_ZERO_DAYS = frozenset({(1970, 1, 1), (1980, 1, 1), (1980, 1, 6)})

# The offsets from UTC, in minutes, that clocks have had since digital cameras exist.
_OFFSETS = (
    *range(-12 * 60, 14 * 60 + 1, 60),
    -570, -210, -150, 210, 270, 330, 345, 390, 525, 570, 630, 765, 825,
)  # fmt: skip

# Maximum difference between a camera's clock and the time of its last GPS fix.
_CLOCK_ERROR = timedelta(minutes=5)


def parse_date(text: str) -> Dated | None:
    """Return the date in a text of EXIF, XMP or IPTC; None if it is not a date.

    Texts such as "2021:05:03 14:22:33", "2021-05-03T14:22:33.5+02:00" or "20210503 142233+0200"
    are read, with single digits, other separators and clocks of twelve hours. A month or day may
    be missing, blank or zero: "1993:08:00 00:00:00" is a month. A time that can't be read leaves
    the day.
    """
    if found := _PLAIN.fullmatch(text):
        try:
            return Dated(datetime(*map(int, found.groups())))  # type: ignore[arg-type]
        except ValueError:  # zeros, leap seconds
            pass
    text = _HOURS.sub(":", text[:64].strip("\0 \t\r\n").translate(_WORDED))
    text = _year_first(text)
    found = _COMPACT.match(text) or _SEPARATED.match(text)
    if found is None:
        return None
    year, month, day = (int(part) if part and part.strip().isdigit() else 0
                        for part in found.groups())  # fmt: skip
    if 2400 < year < 2700:
        year -= _BUDDHIST
    rest = text[found.end() :]
    if not month or not day:
        if not year or rest[:1].isdigit() or not _UNKNOWN_TIME.fullmatch(rest):
            return None
        return _dated((year, month or 1, 1), "month" if month else "year")
    written = _dated((year, month, day), "day")
    return written and (_with_time(written.moment, rest) or written)


def _year_first(text: str) -> str:
    """Return a date that ends with its year in the order of EXIF; any other text as it is."""
    if found := _OF_C.fullmatch(text):
        month, day, time, year = found.groups()
        return f"{year}-{_MONTHS.index(month) + 1}-{day} {time}"
    if found := _YEAR_LAST.fullmatch(text):
        first, between, second, year, rest = found.groups()
        if between == "." or int(first) > 12 or first == second:
            return f"{year}-{second}-{first}{rest}"
        if int(second) > 12:
            return f"{year}-{first}-{second}{rest}"
        return year  # the day and the month can't be told apart
    return text


def _dated(day: tuple[int, int, int], precision: Precision) -> Dated | None:
    try:
        return Dated(datetime(*day), precision)
    except ValueError:  # the 31st of June
        return None


def _with_time(day: datetime, text: str) -> Dated | None:
    """Return a day with the time in a text; None if it has none that can be read."""
    found = _TIME.fullmatch(text.lstrip(" T,_:;-").rstrip("?Xx*:. -"))
    if found is None:
        return None
    before, *separated, h, m, s, f, after, zone = found.groups()
    hour, _, minute, second, fraction = separated if separated[0] else (h, "", m, s, f)
    hours, minutes, seconds = int(hour), int(minute or 0), int(second or 0)
    half = _HALVES.get((before or after or "").lower())
    if half and hours <= 12:
        hours = hours % 12 + (12 if half == "pm" else 0)
    if hours == 24 and day.year < 9999:
        # ISO 8601's end of the day; otherwise Android's clock from 1 to 24.
        day, hours = (day if minutes or seconds else day + timedelta(days=1)), 0
    if hours > 23:
        return None
    # What stands before a part that no clock shows is still plain.
    if minutes > 59:
        minutes = seconds = 0
        minute = second = fraction = None
    elif seconds > 60:
        seconds, second, fraction = 0, None, None
    micro = int((fraction or "0")[:6].ljust(6, "0"))
    moment = day.replace(
        hour=hours, minute=minutes, second=min(seconds, 59),  # leap seconds
        microsecond=micro, tzinfo=parse_offset(zone or ""),
    )  # fmt: skip
    return Dated(moment, "second" if second else "minute" if minute else "hour")


def parse_offset(text: str) -> timezone | None:
    """Return the time zone of "+02:00", "GMT+2" or "Z"; None if the text is not one."""
    found = _OFFSET.fullmatch(text[:32])
    if found is None:
        return None
    if found[1] is None:
        return UTC
    offset = timedelta(hours=int(found[2]), minutes=int(found[3] or 0))
    if offset > timedelta(hours=14) or int(found[3] or 0) > 59:
        return None
    return timezone(-offset if found[1] == "-" else offset)


def date_in_name(name: str) -> Dated | None:
    """Return the time in a file's name at which the photo was taken; None if there is none.

    Names of Pixel phones (PXL_...) and milliseconds since 1970 are in UTC; all others have no time
    zone. A name with only a date (WhatsApp) gives the day.
    """
    stem = name[:255].rpartition(".")[0] or name[:255]
    epoch = _EPOCH_MS.fullmatch(stem)
    if epoch is not None:
        since = from_epoch(int(epoch[1]) / 1000)
        return None if since is None else Dated(since)
    for found in _NAMED.finditer(stem):
        year, _, month, day, before, hour, minute, second, millisecond, after = found.groups()
        half = _HALVES[before] if before else (after or "").lower()
        hours = int(hour or 0)
        if half and 1 <= hours <= 12:
            hours = hours % 12 + (12 if half[0] == "p" else 0)
        try:
            moment = datetime(
                int(year), int(month), int(day), hours, int(minute or 0), int(second or 0),
                int(millisecond or 0) * 1000,
                UTC if stem[:4].upper() == "PXL_" and hour else None,
            )  # fmt: skip
        except ValueError:  # the 31st of June
            continue
        return Dated(moment, "second" if hour else "day")
    return None


def from_epoch(seconds: float) -> datetime | None:
    """Return the time, in UTC, of a number of seconds since 1970; None if it is out of range."""
    try:
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    except (OverflowError, ValueError):
        return None


def is_plausible(dated: Dated, now: datetime) -> bool:
    """Return whether a photo can have been taken then: after photography began, not in the future.

    The zero of a computer's clock, also in local time, is not plausible. A year or month alone was
    written by a person, and is.

    Args:
        dated: with or without a time zone.
        now: with a time zone.
    """
    moment = dated.moment
    wall = moment.replace(tzinfo=None)
    if wall.year < _OLDEST_PHOTO or wall.year > now.year + 1:
        return False
    if dated.precision not in ("year", "month") and (wall in _UNSET or _is_zero_of_unix(wall)):
        return False
    # Allow a day: the wall clock may be 14 hours ahead of UTC, and clocks go wrong.
    return moment.replace(tzinfo=moment.tzinfo or UTC) <= now + timedelta(days=1)


def _is_zero_of_unix(wall: datetime) -> bool:
    """Return whether this is the first of January 1970 in UTC, in any zone's local time.

    Noon is not counted: people who know only the day write it.
    """
    minutes = (wall - _EPOCH) / timedelta(minutes=1)
    return minutes in _OFFSETS and minutes != 12 * 60


def clock_is_at_default(dated: Dated) -> Literal["known", "new year", ""]:
    """Return whether a camera's clock probably was never set, so that another date is better.

    Returns:
        "known" for a value that is known to be a default; "new year" for the hour after one, and
        after midnight and noon of the first of January, where clocks without a battery begin, and
        where some photos are really taken; "" otherwise.
    """
    wall = dated.since("second")
    if dated.precision in ("year", "month", "day"):
        return ""
    if wall in _DEFAULTS or (wall.year, wall.month, wall.day) in _ZERO_DAYS:
        return "known"
    is_new_year = wall.year >= FIRST_DIGITAL and (wall.month, wall.day) == (1, 1)
    if is_new_year and wall.hour in (0, 12):
        return "new year"
    is_after = any(timedelta(0) < wall - each < timedelta(hours=1) for each in _DEFAULTS)
    return "new year" if is_after else ""


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
