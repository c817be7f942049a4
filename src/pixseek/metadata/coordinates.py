"""Parse latitudes and longitudes as XMP, EXIF and other programs write them."""

from __future__ import annotations

import re
from typing import Literal

from pixseek.metadata.fields import number

# Degrees, minutes and seconds: "43,28,2.8", "43,28.0469", "43.4675", "43 deg 28' 2.81\"",
# "43° 28′ 2.81″", rational numbers as in "43/1 28/1 281/100".
_AMOUNT = r"(\d{1,10}(?:\.\d{0,15})?(?:/\d{1,10})?)"
_PARTS = re.compile(
    rf"([+-]?)\s*{_AMOUNT}(?:(?:\s*(?:°|º|deg\.?|d)\s*|\s*[,;:]\s*|\s+){_AMOUNT}"
    rf"(?:(?:\s*['′’m]\s*|\s*[,;:]\s*|\s+){_AMOUNT}(?:,(\d{{1,15}}))?)?)?"
    r"\s*(?:°|º|deg|d|['′’m]|''|[\"″”s])?"
)
_HEMISPHERE = re.compile(
    r"([NSEW])(?:orth|outh|ast|est)?(?:ern)?(?:\s+(?:latitude|longitude))?\.?", re.IGNORECASE
)

_SECONDS = re.compile(r"(?<=m)(\s?[\d.]+)s\b")  # "48d51m29s N": not south

_LETTERS = {"latitude": "NS", "longitude": "EW"}


def parse_coordinate(
    text: str, axis: Literal["latitude", "longitude"], reference: str = ""
) -> tuple[float, bool] | None:
    """Return degrees north or east, and whether the hemisphere is known.

    Args:
        text: degrees with decimals, or degrees, minutes and seconds; perhaps with a hemisphere.
        axis: which one it is.
        reference: the hemisphere, if a property of its own has it: "S", "South", "W".

    Returns:
        None if the text is not one, or if its hemisphere is one of the other axis.
    """
    text = _SECONDS.sub(r"\1", text[:64].strip())
    own = ""
    for at in (re.match(r"[A-Za-z]+\.?\s*", text), re.search(r"[NSEWnsew][a-z]*\.?$", text)):
        if at and (letter := _HEMISPHERE.fullmatch(at[0].strip())):
            own = letter[1].upper()
            text = (text[: at.start()] + text[at.end() :]).strip()
            break
    given = _HEMISPHERE.fullmatch(reference[:32].strip())
    hemisphere = own or (given[1].upper() if given else "")
    if own and own not in _LETTERS[axis]:
        return None
    found = _PARTS.fullmatch(text)
    if found is None:
        return None
    degrees = _degrees(*found.groups()[1:])
    if degrees is None:
        return None
    if hemisphere not in _LETTERS[axis]:
        hemisphere = ""
    is_negative = found[1] == "-" or hemisphere in ("S", "W")
    is_known = bool(hemisphere) or found[1] != "" or degrees == 0
    return (-degrees if is_negative and degrees else degrees), is_known


def _degrees(
    degrees: str, minutes: str | None, seconds: str | None, fraction: str | None
) -> float | None:
    """Return the parts of a coordinate as degrees; None if they are not a coordinate."""
    if fraction:  # "43,28,2,8" with commas for decimals
        seconds = f"{seconds}.{fraction}"
    elif seconds and not fraction and seconds.isdigit() and len(seconds) > 2 and "." not in degrees:
        minutes, seconds = f"{minutes}.{seconds}", None  # "43,28,0469"
    elif (
        minutes and not seconds and minutes.isdigit() and degrees.isdigit()
        and (len(minutes) > 2 or int(minutes) > 60)
    ):  # fmt: skip
        degrees, minutes = f"{degrees}.{minutes}", None  # "43,4675"
    amounts = [number(part) if part else 0.0 for part in (degrees, minutes, seconds)]
    if None in amounts:  # a denominator of zero
        return None
    whole, sixtieths, last = (float(each or 0) for each in amounts)
    if sixtieths > 60 or last > 60:
        return None
    if (minutes and "." in degrees) or (seconds and "." in (minutes or "") and last):
        return None  # "43.4675,28"
    return whole + sixtieths / 60 + last / 3600
