"""The fields that metadata can fill, and `Findings`, which checks and cleans every value."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import field
from datetime import datetime
from enum import IntEnum
from typing import Literal

from pixseek.types import Scalar
from pixseek.types.dataclass import dataclass

#: Maximum length of values, in characters; longer ones are cut.
MAX_FIELD = 1_000
MAX_CAPTION = 5_000
MAX_TAG = 200

#: Maximum number of tags of one image.
MAX_TAGS = 500


@dataclass(frozen=True, slots=True)
class Field:
    """The definition of a field.

    Attributes:
        kind: str, int, float or bool.
        unit: unit of a number; "" for none.
        meaning: description for the documentation.
        sources: the tags it is read from: EXIF 3.0 tag names, XMP properties with the usual
            prefixes, IPTC-IIM record and dataset numbers, and keys of JSON sidecars.
        group: "described" for text that people write and correct (the newest edit wins), "camera"
            for measurements (EXIF wins), "place" for coordinates (all come from one source).
        low: smallest plausible value.
        high: largest plausible value.
    """

    kind: type[str] | type[int] | type[float] | type[bool]
    unit: str
    meaning: str
    sources: str
    group: Literal["described", "camera", "place"] = "described"
    low: float = -math.inf
    high: float = math.inf


#: Smallest plausible value of a field that can't be zero.
_SOME = 1e-9

#: Every field that metadata can fill, by name.
FIELDS: Mapping[str, Field] = {
    "taken_from": Field(
        str, "", "source of `taken_at`: exif, xmp, iptc, png, container, sidecar, program (a photo "
        "program) or name", "",
    ),
    "taken_precision": Field(
        str, "", "what is known of `taken_at`: year, month, day, hour or minute; missing if it has "
        "seconds. The rest of `taken_at` is the beginning of that time", "",
    ),
    "translations": Field(
        str, "", "caption and title in other languages, separated by '; '",
        "XMP dc:description, dc:title",
    ),
    "title": Field(
        str, "", "short title",
        "XMP dc:title, photoshop:Headline; IPTC 2:05, 2:105; EXIF XPTitle; JSON title; PNG Title",
    ),
    "rating": Field(
        int, "stars", "1 to 5, or -1 for rejected; missing if unrated",
        "XMP xmp:Rating, MicrosoftPhoto:Rating; EXIF Rating; JSON rating", low=-1, high=5,
    ),
    "label": Field(str, "", "colour label, as named by the photo manager", "XMP xmp:Label"),
    "favourite": Field(bool, "", "marked as a favourite", "JSON favorited, favorite"),
    "archived": Field(bool, "", "archived by its owner in Google Photos", "JSON archived"),
    "albums": Field(
        str, "", "albums that it is in, separated by '; '",
        "metadata.json of Google Takeout; database of osxphotos; JSON albums",
    ),
    "people": Field(
        str, "", "names of the people in it, separated by '; '",
        "XMP mwg-rs:Regions (faces), MP:RegionInfo, Iptc4xmpExt:PersonInImage, "
        "digiKam:TagsList (below People); JSON people",
    ),
    "artist": Field(
        str, "", "its author",
        "XMP dc:creator, tiff:Artist; IPTC 2:80; EXIF Artist, XPAuthor; JSON author; PNG Author",
    ),
    "copyright": Field(
        str, "", "copyright notice",
        "XMP dc:rights, tiff:Copyright; IPTC 2:116; EXIF Copyright; JSON copyright; PNG Copyright",
    ),
    "event": Field(str, "", "event at which it was taken", "XMP Iptc4xmpExt:Event"),
    "sublocation": Field(
        str, "", "place within the city",
        "XMP Iptc4xmpExt:LocationShown, Iptc4xmpCore:Location; IPTC 2:92",
    ),
    "city": Field(
        str, "", "city, from the file, otherwise from the coordinates",
        "XMP Iptc4xmpExt:LocationShown, photoshop:City; IPTC 2:90",
    ),
    "state": Field(
        str, "", "state or province, from the file, otherwise from the coordinates",
        "XMP Iptc4xmpExt:LocationShown, photoshop:State; IPTC 2:95",
    ),
    "country": Field(
        str, "", "country, from the file, otherwise from the coordinates",
        "XMP Iptc4xmpExt:LocationShown, photoshop:Country; IPTC 2:101",
    ),
    "country_code": Field(
        str, "", "ISO 3166 code of the country, from the file, otherwise from the coordinates",
        "XMP Iptc4xmpExt:LocationShown, Iptc4xmpCore:CountryCode; IPTC 2:100",
    ),
    "place": Field(
        str, "", "place at its coordinates, in English: part of the city, city, region, country; "
        "needs `pixseek[places]`", "",
    ),
    "latitude": Field(
        float, "degrees", "north of the equator (WGS 84)",
        "XMP exif:GPSLatitude; EXIF GPSLatitude, GPSLatitudeRef; JSON geoData", "place", -90, 90,
    ),
    "longitude": Field(
        float, "degrees", "east of Greenwich (WGS 84)",
        "XMP exif:GPSLongitude; EXIF GPSLongitude, GPSLongitudeRef; JSON geoData",
        "place", -180, 180,
    ),
    "altitude_m": Field(
        float, "m", "above sea level",
        "XMP exif:GPSAltitude; EXIF GPSAltitude, GPSAltitudeRef; JSON geoData",
        "place", -12_000, 1e6,
    ),
    "direction_deg": Field(
        float, "degrees", "direction of the camera, clockwise from north",
        "XMP exif:GPSImgDirection; EXIF GPSImgDirection", "place", 0, 360,
    ),
    "camera_make": Field(
        str, "", "maker of the camera, without 'Corporation' and the like",
        "EXIF Make; XMP tiff:Make", "camera",
    ),
    "camera_model": Field(
        str, "", "model of the camera, without the maker's name",
        "EXIF Model; XMP tiff:Model", "camera",
    ),
    "lens": Field(
        str, "", "model of the lens",
        "EXIF LensModel; XMP exifEX:LensModel, aux:Lens", "camera",
    ),
    "focal_length_mm": Field(
        float, "mm", "focal length of the lens",
        "EXIF FocalLength; XMP exif:FocalLength", "camera", _SOME, 1e5,
    ),
    "focal_length_35mm": Field(
        float, "mm", "focal length that gives the same view on 35 mm film",
        "EXIF FocalLengthIn35mmFilm; XMP exif:FocalLengthIn35mmFilm", "camera", _SOME, 1e5,
    ),
    "aperture": Field(
        float, "f-number", "2.8 for f/2.8",
        "EXIF FNumber, ApertureValue; XMP exif:FNumber", "camera", 0.1, 1000,
    ),
    "exposure_s": Field(
        float, "s", "exposure time",
        "EXIF ExposureTime, ShutterSpeedValue; XMP exif:ExposureTime", "camera", _SOME, 1e6,
    ),
    "exposure_bias_ev": Field(
        float, "EV", "exposure compensation",
        "EXIF ExposureBiasValue; XMP exif:ExposureBiasValue", "camera", -20, 20,
    ),
    "iso": Field(
        int, "ISO", "sensitivity",
        "EXIF PhotographicSensitivity, ISOSpeed, RecommendedExposureIndex; "
        "XMP exifEX:PhotographicSensitivity, exif:ISOSpeedRatings", "camera", 1, 1e8,
    ),
    "flash": Field(
        bool, "", "whether the flash fired", "EXIF Flash; XMP exif:Flash", "camera",
    ),
    "colour_space": Field(
        str, "", "colour space of the file, such as sRGB, Adobe RGB (1998) or Display P3: the name "
        "of its profile, otherwise the camera's value",
        "ICC profile; EXIF ColorSpace, InteroperabilityIndex; "
        "XMP exif:ColorSpace, photoshop:ICCProfile", "camera",
    ),
    "software": Field(
        str, "", "program that wrote the file", "EXIF Software; XMP xmp:CreatorTool; PNG Software",
        "camera",
    ),
    "digital_source": Field(
        str, "", "how it was made, in the IPTC's terms, such as digitalCapture or "
        "trainedAlgorithmicMedia (made by a model)", "XMP Iptc4xmpExt:DigitalSourceType",
    ),
    "prompt": Field(
        str, "", "prompt given to an image generator",
        "PNG parameters (Stable Diffusion web UI, Fooocus, SwarmUI), prompt (ComfyUI), "
        "invokeai_metadata, sd-metadata, Dream (InvokeAI), Comment (NovelAI); the same in JPEG "
        "comments, EXIF UserComment, Make, Model and ImageDescription, XMP exif:UserComment",
    ),
    "generation": Field(
        str, "", "settings of the image generator: negative prompt, model, steps, seed, ...",
        "as prompt",
    ),
    "source_url": Field(str, "", "URL from which it was downloaded", "JSON url"),
    "duration_s": Field(
        float, "s", "length of a video, or of the moving part of a photo", "", "camera",
        _SOME, 1e7,
    ),
    "fps": Field(float, "1/s", "frames a second of a video, on average", "", "camera", _SOME, 1e5),
    "codec": Field(str, "", "how a video is coded, such as h264, hevc or vp9", "", "camera"),
    "has_audio": Field(bool, "", "whether a video has sound", "", "camera"),
    "hdr": Field(str, "", "PQ or HLG for a video of high dynamic range", "", "camera"),
    "motion": Field(
        str, "", "where the moving part of a photo is: embedded, or the name of a file next to it",
        "", "camera",
    ),
}  # fmt: skip


#: The finest part of a date that is written.
Precision = Literal["year", "month", "day", "hour", "minute", "second"]
PRECISIONS: tuple[Precision, ...] = ("year", "month", "day", "hour", "minute", "second")


@dataclass(frozen=True, slots=True)
class Dated:
    """A date as it was written.

    Attributes:
        moment: with a time zone only if it is written; parts that are not have their first value.
        precision: the finest part that is written.
    """

    moment: datetime
    precision: Precision = "second"

    def since(self, precision: Precision) -> datetime:
        """Return the beginning of the year, month, day, hour or minute, without a time zone."""
        bare, cut = self.moment.replace(tzinfo=None), PRECISIONS.index(precision) + 1
        parts = (bare.year, bare.month, bare.day, bare.hour, bare.minute, bare.second)[:cut]
        return datetime(*parts, *(1, 1)[cut - 1 :])  # type: ignore[arg-type]


class DateSource(IntEnum):
    """The sources of a date, best first; `dating` says when a later one is used nevertheless.

    A sidecar's dates precede EXIF, because photo managers that don't touch image files write
    corrected times into sidecars. When a photo was taken precedes when it was digitised: a scanner
    writes the latter, and people the former. EXIF's time of the last change is at the end, because
    editors set it.
    """

    CORRECTED = 1  # what a user set in a photo program, which keeps it in its database
    SIDECAR_ORIGINAL = 2  # exif:DateTimeOriginal of an XMP sidecar
    SIDECAR_CREATED = 3  # photoshop:DateCreated of an XMP sidecar
    EXIF_ORIGINAL = 4  # DateTimeOriginal, SubSecTimeOriginal, OffsetTimeOriginal
    XMP_ORIGINAL = 5  # exif:DateTimeOriginal
    XMP_CREATED = 6  # photoshop:DateCreated
    IPTC_CREATED = 7  # 2:55 and 2:60
    EXIF_DIGITIZED = 8  # DateTimeDigitized, SubSecTimeDigitized, OffsetTimeDigitized
    XMP_DIGITIZED = 9  # exif:DateTimeDigitized, xmp:CreateDate
    IPTC_DIGITIZED = 10  # 2:62 and 2:63
    PNG_CREATED = 11  # Creation Time
    CONTAINER_LOCAL = 12  # com.apple.quicktime.creationdate of a video, with its time zone
    GPS = 13  # GPSDateStamp and GPSTimeStamp, in UTC
    SIDECAR_JSON = 14  # photoTakenTime of Google Takeout, in UTC, and the like
    CONTAINER_CREATED = 15  # creation_time of a video, in UTC
    NAME = 16  # a pattern in the file's name
    EXIF_CHANGED = 17  # DateTime

    @property
    def label(self) -> str:
        """The value of `taken_from`."""
        return _LABELS[self]

    @property
    def is_always_utc(self) -> bool:
        """Whether its time zone is UTC wherever the photo was taken."""
        return self in (
            DateSource.GPS, DateSource.SIDECAR_JSON, DateSource.CONTAINER_CREATED, DateSource.NAME
        )  # fmt: skip


_LABELS: Mapping[DateSource, str] = {
    DateSource.CORRECTED: "program",
    DateSource.SIDECAR_ORIGINAL: "xmp",
    DateSource.SIDECAR_CREATED: "xmp",
    DateSource.EXIF_ORIGINAL: "exif",
    DateSource.XMP_ORIGINAL: "xmp",
    DateSource.XMP_CREATED: "xmp",
    DateSource.IPTC_CREATED: "iptc",
    DateSource.EXIF_DIGITIZED: "exif",
    DateSource.XMP_DIGITIZED: "xmp",
    DateSource.IPTC_DIGITIZED: "iptc",
    DateSource.PNG_CREATED: "png",
    DateSource.CONTAINER_LOCAL: "container",
    DateSource.GPS: "exif",
    DateSource.SIDECAR_JSON: "sidecar",
    DateSource.CONTAINER_CREATED: "container",
    DateSource.NAME: "name",
    DateSource.EXIF_CHANGED: "exif",
}


@dataclass(slots=True)
class Findings:
    """The cleaned values of one block of metadata. Its `put` methods check each value.

    Attributes:
        dates: by their source; not yet checked for plausibility.
        caption: "" for none.
        tags: in the order of the file, each once.
        fields: with the names and types in `FIELDS`.
        is_unsigned: the position is written without its hemispheres, which may be others than
            north and east.
        notes: notes about values that were ignored.
    """

    dates: dict[DateSource, Dated] = field(default_factory=dict)
    caption: str = ""
    tags: tuple[str, ...] = ()
    fields: dict[str, Scalar] = field(default_factory=dict)
    is_unsigned: bool = False
    notes: list[str] = field(default_factory=list)

    def put(self, name: str, value: object) -> None:
        """Keep a value for a field, unless it is not valid or the field already has one."""
        if name in self.fields or value is None:
            return
        about = FIELDS[name]
        if about.kind is str:
            text = clean_text(value, MAX_FIELD) if isinstance(value, str) else ""
            if not any(map(str.isalnum, text)):
                return  # such as a lens called "----"
            from pixseek.metadata.captions import is_default  # here: a search needs only FIELDS

            if about.group == "camera" or not is_default(text):
                self.fields[name] = text
        elif about.kind is bool:
            if isinstance(value, bool):
                self.fields[name] = value
        else:
            amount = number(value)
            if amount is None:
                return
            if not about.low <= amount <= about.high:
                if amount:  # cameras write zero for "unknown"
                    self.notes.append(f"{name} of {amount:.6g} ignored")
                return
            self.fields[name] = round(amount) if about.kind is int else amount

    def put_caption(self, text: str | None) -> None:
        """Keep a caption, unless it is blank or written by a camera or program, or one is kept."""
        if text and not self.caption:
            from pixseek.metadata.captions import is_caption

            caption = clean_text(text, MAX_CAPTION, lines=True)
            self.caption = caption if is_caption(caption) else ""

    def put_date(self, source: DateSource, date: Dated | datetime | None) -> None:
        """Keep a date, unless there already is one from this source."""
        if date is not None:
            self.dates.setdefault(source, date if isinstance(date, Dated) else Dated(date))

    def put_position(self, latitude: float, longitude: float) -> None:
        """Keep a position, unless it is out of range or 0, 0, which means unknown."""
        if latitude == longitude == 0:
            self.notes.append("GPS position of zero ignored")
        elif abs(latitude) <= 90 and abs(longitude) <= 180:
            # Seven decimals resolve one centimetre.
            self.put("latitude", round(latitude, 7))
            self.put("longitude", round(longitude, 7))
        else:
            self.notes.append("GPS position out of range ignored")

    def put_people(self, names: Iterable[str]) -> None:
        """Keep the names of people, each once, as many as fit."""
        self._put_list("people", names)

    def put_albums(self, names: Iterable[str]) -> None:
        """Keep the names of albums, each once, as many as fit."""
        self._put_list("albums", names)

    def _put_list(self, field: str, names: Iterable[str]) -> None:
        # ";" separates names. One without a letter or digit is not a name.
        cleaned = (clean_text(name.replace(";", ","), MAX_TAG) for name in names)
        kept = ""
        for name in once(name for name in cleaned if any(map(str.isalnum, name))):
            longer = f"{kept}; {name}" if kept else name
            if len(longer) <= MAX_FIELD:
                kept = longer
        self.put(field, kept)

    def add(self, other: Findings) -> None:
        """Take from another block of the same kind what this one does not have."""
        has_place = "latitude" in self.fields
        for name, value in other.fields.items():
            if not (has_place and FIELDS[name].group == "place"):
                self.fields.setdefault(name, value)
        for source, date in other.dates.items():
            self.dates.setdefault(source, date)
        self.caption = self.caption or other.caption
        self.tags = once((*self.tags, *other.tags))[:MAX_TAGS]
        self.notes += other.notes


# Control characters except line ends and tabs, lone surrogates, and the two code points at the end
# of the plane that XML and databases refuse.
_UNWANTED = "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]"


def clean_text(text: str, limit: int, *, lines: bool = False) -> str:
    """Return text without control characters and extra white space, cut to `limit` characters.

    Args:
        text: any text from a file.
        limit: maximum number of characters to return.
        lines: keep line breaks.
    """
    text = re.sub(_UNWANTED, " ", text[: limit * 4])
    if lines:
        text = "\n".join(" ".join(line.split()) for line in text.splitlines()).strip()
    else:
        text = " ".join(text.split())
    # NFC, so that a filter sees the same letter in an "é" from a Mac and from a PC.
    return unicodedata.normalize("NFC", text)[:limit].rstrip()


def number(value: object) -> float | None:
    """Return a number, a rational ("59/10", or Pillow's) or the first of a list as a finite float.

    Returns:
        None if the value is none of these or not finite.
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, list | tuple):
        value = value[0] if value else None
    try:
        if isinstance(value, str):
            above, _, below = value[:100].partition("/")
            amount = float(above) / float(below or 1)
        else:
            amount = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, ZeroDivisionError, OverflowError):
        return None
    return amount if math.isfinite(amount) else None


def once(texts: Iterable[str]) -> tuple[str, ...]:
    """Return the non-empty texts in order, each once, ignoring case."""
    kept: dict[str, str] = {}
    for text in texts:
        if text:
            kept.setdefault(text.casefold(), text)
    return tuple(kept.values())


#: Tags that digiKam puts below People for faces without a name.
_NOBODY = frozenset({"", "unknown", "unconfirmed", "ignored"})


def people_of_digikam(paths: Iterable[str]) -> list[str]:
    """Return the names of people among digiKam's tags, such as "People/Family/Ann"."""
    names = []
    for path in paths:
        top, _, below = path.partition("/")
        name = below.rpartition("/")[2].strip()
        if top.strip().casefold() == "people" and name.casefold() not in _NOBODY:
            names.append(name)
    return names


def split_tags(texts: Iterable[str], *, commas: bool = False) -> tuple[str, ...]:
    """Return tags, each once: split at ";".

    A hierarchical tag ("Places|Italy|Arezzo") gives both its leaf and its full path.

    Args:
        texts: as the file lists them. An item of a list may contain a comma ("Smith, John").
        commas: the texts are whole lists, which commas separate if no semicolons do.
    """
    given = [text for text in texts if text and not text.isspace()][: MAX_TAGS * 2]
    if commas:
        given = [
            tag
            for text in given
            for tag in ([text] if {*";|"} & {*text} else text.split(",", MAX_TAGS))
        ]
    tags: list[str] = []
    for text in given:
        for tag in text.split(";", MAX_TAGS):
            steps = [step for step in (clean_text(s, MAX_TAG) for s in tag.split("|", 32)) if step]
            if steps:
                tags.append(steps[-1])
            if len(steps) > 1:
                tags.append("|".join(steps)[:MAX_TAG])
    return once(tags)[:MAX_TAGS]
