"""Read EXIF 3.0 (CIPA DC-008), with Pillow."""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Mapping
from datetime import UTC, timedelta
from typing import Any, Literal

from pixseek.metadata.charsets import decode_text, decode_unicode, is_utf16
from pixseek.metadata.coordinates import parse_coordinate
from pixseek.metadata.dates import parse_date, parse_offset
from pixseek.metadata.fields import Dated, DateSource, Findings, number, split_tags
from pixseek.metadata.generators import put_generation

# Limits on what Pillow reads of one block. An ordinary block takes 100 reads and a few KB, or up to
# 100 KB with its maker's notes. A hostile one gives the whole block as the value of each of 65,535
# tags.
_MAX_READS = 10_000
_MAX_READ_BYTES = 8 << 20

# Huawei and Honor phones write processing codes into the caption: "oznor", "rhdr", "mde_soft".
# Other words without a vowel are unknown codes; with one, they may be the owner's.
_HUAWEI_CODE = re.compile(
    r"(?:oz|front|rpt|sdr_|mde|nor|WO|mon|dav|cof|edf|ptr|fbt|rbt|btr|btf|mdn|hdrpl|hdrb|hdr|bhdp|hdp|"
    r"frem|rem|burst|qrf|fsh|bty|cmrd|maker|nfr|pbx|trr|lmn|rfn|soft|_|[rfbv])+|"
    r"[b-df-hj-np-tv-xz_]{1,12}",
    re.IGNORECASE,
)

# Makers that some of their cameras write for a caption. Others may be the name of a person.
_MAKERS = frozenset(
    "aiptek apple benq canon casio dji epson fujifilm google gopro honor htc huawei jenoptik kodak "
    "leica lg lge minolta motorola nikon nokia olympus oneplus oppo panasonic pentax realme ricoh "
    "samsung sigma sony vivo xiaomi".split()
)

# The type of texts in UTF-8, since EXIF 3.0, and that of ASCII.
_UTF8, _ASCII = 129, 2

# UserComment begins with the name of its encoding, in eight bytes.
_CODE = re.compile(rb"(ASCII|JIS|UNICODE|UTF-?8|UNDEFINED?)(\0+|\s{2,})", re.IGNORECASE)

_COMPANY = re.compile(
    r"(?<![ ,])[ ,]++(?:corporation|corp\.?|company|co\.?,? ?ltd\.?|co\.|ltd\.?|inc\.?|gmbh|ag|"
    r"electric|electronics|optical|imaging|camera)$",
    re.IGNORECASE,
)


class _Metered(io.BytesIO):
    """Bytes that read as empty after too much was read."""

    def __init__(self, block: bytes) -> None:
        super().__init__(block)
        self.reads = self.bytes_read = 0

    @property
    def exhausted(self) -> bool:
        return self.reads > _MAX_READS or self.bytes_read > _MAX_READ_BYTES

    def read(self, size: int | None = -1, /) -> bytes:
        if self.exhausted:
            return b""
        data = super().read(size)
        self.reads += 1
        self.bytes_read += len(data)
        return data


def read_exif(block: bytes) -> Findings:
    """Return the metadata in an EXIF block.

    Pillow's warnings about broken blocks were silenced by `images.decode`, which extracted the
    block.

    Args:
        block: from its TIFF header on.

    Raises:
        Exception: whatever Pillow raises on a broken block; `merging` catches it.
    """
    from PIL import ExifTags, Image

    found = Findings()
    file = _Metered(_with_known_types(block.removeprefix(b"Exif\0\0")))
    exif = Image.Exif()
    exif.load_from_fp(file)
    image: Mapping[int, Any] = exif
    photo = _directory(exif, ExifTags.IFD.Exif, found)
    gps = _directory(exif, ExifTags.IFD.GPSInfo, found)
    if not image:
        found.notes.append("EXIF block without tags ignored")
    if file.exhausted:
        found.notes.append("oversized EXIF block read in part")

    _read_camera(image, photo, exif, found)
    _read_descriptions(image, photo, exif.endian or "<", found)
    _read_dates(image, photo, found)
    _read_place(gps, found)
    return found


def _with_known_types(block: bytes) -> bytes:
    """Return a block whose texts in UTF-8 are marked as ASCII: Pillow skips a type it doesn't know.

    ASCII is decoded as UTF-8 here anyway.
    """
    order = {b"II": "<", b"MM": ">"}.get(block[:2], "")
    if not order or struct.pack(f"{order}H", _UTF8) not in block:
        return block
    changed = bytearray(block)
    try:
        directories = [*struct.unpack_from(f"{order}L", block, 4)]
        for at in directories:
            (count,) = struct.unpack_from(f"{order}H", block, at)
            entries = block[at + 2 : at + 2 + 12 * count]
            entries = entries[: len(entries) // 12 * 12]
            for n, (tag, kind, _, value) in enumerate(struct.iter_unpack(f"{order}HHLL", entries)):
                if kind == _UTF8:
                    struct.pack_into(f"{order}H", changed, at + 2 + 12 * n + 2, _ASCII)
                elif tag in (0x8769, 0x8825) and len(directories) < 3:
                    directories.append(value)
    except struct.error:  # the rest is missing
        pass
    return bytes(changed)


def _directory(exif: Any, tag: int, found: Findings) -> Mapping[int, Any]:
    """Return a directory that IFD0 points to; an empty one if it is broken."""
    try:
        directory: Mapping[int, Any] = exif.get_ifd(tag)
    except Exception:  # the pointer can be any number, and point to any bytes
        directory = {}
    if not directory and tag in exif:
        found.notes.append("broken EXIF directory ignored")
    return directory


def _text(value: object) -> str:
    """Return an EXIF text, which ends at a NUL and may be in any encoding."""
    if isinstance(value, tuple | list):
        value = value[0] if value else ""
    if isinstance(value, str):
        # Pillow reads ASCII as Latin-1, which preserves the bytes.
        value = value.encode("latin-1", "replace")
    if not isinstance(value, bytes):
        return ""
    if is_utf16(value[:65536]):
        return decode_text(value[:65536]).strip("\0 ")
    # "Copyright" holds the photographer's, a NUL, and the editor's; take the first if not blank.
    pieces = (decode_text(piece).strip() for piece in value[:65536].split(b"\0", 8))
    return next((piece for piece in pieces if piece), "")


def _read_camera(
    image: Mapping[int, Any], photo: Mapping[int, Any], exif: Any, found: Findings
) -> None:
    from PIL.ExifTags import IFD, Base

    # ComfyUI writes its settings into these two tags.
    names = [_text(image.get(tag)) for tag in (Base.Make, Base.Model)]
    make, model = tidy_camera(*("" if put_generation(n, found) else n for n in names))
    found.put("camera_make", make)
    found.put("camera_model", model)
    found.put("lens", _text(photo.get(Base.LensModel)))
    found.put("software", _text(image.get(Base.Software)))
    found.put("focal_length_mm", photo.get(Base.FocalLength))
    found.put("focal_length_35mm", photo.get(Base.FocalLengthIn35mmFilm))
    found.put("aperture", photo.get(Base.FNumber))
    found.put("exposure_s", photo.get(Base.ExposureTime))
    # Some early cameras give only the logarithms (APEX).
    apex_aperture = number(photo.get(Base.ApertureValue))
    if apex_aperture is not None and 0 < apex_aperture < 20:
        found.put("aperture", round(2 ** (apex_aperture / 2), 1))
    apex_time = number(photo.get(Base.ShutterSpeedValue))
    if apex_time is not None and -20 < apex_time < 20:
        found.put("exposure_s", 2**-apex_time)
    found.put("exposure_bias_ev", photo.get(Base.ExposureBiasValue))
    iso = number(photo.get(Base.ISOSpeedRatings))
    if iso is not None and iso < 65535:  # a value above two bytes is in the next two tags
        found.put("iso", iso)
    found.put("iso", photo.get(Base.ISOSpeed))
    found.put("iso", photo.get(Base.RecommendedExposureIndex))
    flash = number(photo.get(Base.Flash))
    if flash is not None:
        found.put("flash", bool(int(flash) & 1))
    space = photo.get(Base.ColorSpace)
    if space == 0xFFFF:  # "uncalibrated"; DCF marks Adobe RGB in the interoperability directory
        if _text(_directory(exif, IFD.Interop, found).get(1)) == "R03":
            found.put("colour_space", "Adobe RGB")
    elif space in (1, 2):
        found.put("colour_space", "sRGB" if space == 1 else "Adobe RGB")


def tidy_camera(make: str, model: str) -> tuple[str, str]:
    """Return maker and model as people name them.

    "NIKON CORPORATION" and "NIKON D70" become "NIKON" and "D70".
    """
    make, model = " ".join(make[:200].split()), " ".join(model[:200].split())
    while (shorter := _COMPANY.sub("", make)) != make:
        make = shorter
    makers = {*make.casefold().split()}
    words = model.split()
    while len(words) > 1 and words[0].casefold() in makers:
        words = words[1:]
    return make, " ".join(words)


def _read_descriptions(
    image: Mapping[int, Any], photo: Mapping[int, Any], endian: str, found: Findings
) -> None:
    from PIL.ExifTags import Base

    caption = _text(image.get(Base.ImageDescription))
    is_default = caption and _is_default(caption, image)
    if not is_default and not put_generation(caption, found):
        found.put_caption(caption)
    found.put_caption(_windows_text(image.get(Base.XPComment)))
    found.put_caption(_windows_text(image.get(Base.XPSubject)))
    comment = _comment(photo.get(Base.UserComment), endian)
    if not put_generation(comment, found):
        found.put_caption(comment)
    found.put("title", _windows_text(image.get(Base.XPTitle)))
    found.tags = split_tags([_windows_text(image.get(Base.XPKeywords))])
    found.put("artist", _text(image.get(Base.Artist)))
    found.put("artist", _windows_text(image.get(Base.XPAuthor)))
    found.put("copyright", _text(image.get(Base.Copyright)))
    found.put("rating", image.get(Base.Rating))


def _is_default(caption: str, image: Mapping[int, Any]) -> bool:
    """Return whether a caption is the name of the camera or of its program, or a code of Huawei."""
    from PIL.ExifTags import Base

    make, model = _text(image.get(Base.Make)), _text(image.get(Base.Model))
    if make.upper().startswith(("HUAWEI", "HONOR")) and _HUAWEI_CODE.fullmatch(caption):
        return True
    names = (model, f"{make} {model}", tidy_camera(make, model)[1], _text(image.get(Base.Software)))
    said = caption.casefold()
    is_maker = said in _MAKERS and said in make.casefold().split()
    return is_maker or said in {name.casefold() for name in names}


def _windows_text(value: object) -> str:
    """Return the text of a Windows Explorer tag: UTF-16-LE in files of either byte order."""
    if isinstance(value, str):  # written with the type of other texts
        value = value.encode("latin-1", "replace")
    if isinstance(value, tuple | list):
        value = bytes(each & 255 for each in value[:65536] if isinstance(each, int))
    if not isinstance(value, bytes):
        return ""
    return decode_unicode(value[:65536], "le").partition("\0")[0].strip()


def _comment(value: object, endian: str) -> str:
    """Return the text of UserComment, whose first eight bytes name its encoding."""
    if isinstance(value, str):  # written with the type of other texts
        value = value.encode("latin-1", "replace")
    if not isinstance(value, bytes):
        return _text(value)
    if value[:8].upper() == b"UNICODE " and is_utf16(value[8:65536]):
        value = b"UNICODE\0" + value[8:]
    found = _CODE.match(value[:16])
    if found is None:
        code, text = b"", value.removeprefix(bytes(8))
    else:
        # Some programs don't fill the eight bytes.
        end = 8 if not value[found.end(1) : 8].strip(b"\0 ") else found.end()
        code, text = found[1].upper(), value[end:]
    text = text[:65536]
    if code == b"UNICODE":
        decoded = decode_unicode(text, "be" if endian == ">" else "le")
    elif code == b"JIS" and b"\x1b" in text:
        decoded = text.decode("iso2022_jp", "replace")
    else:
        decoded = decode_text(text)
    return decoded.strip("\0 ").partition("\0")[0].strip()


def _read_dates(image: Mapping[int, Any], photo: Mapping[int, Any], found: Findings) -> None:
    from PIL.ExifTags import Base

    changed = _text(image.get(Base.DateTime))
    for source, tag, fraction, offset in (
        (DateSource.EXIF_ORIGINAL, Base.DateTimeOriginal, Base.SubsecTimeOriginal,
         Base.OffsetTimeOriginal),
        (DateSource.EXIF_DIGITIZED, Base.DateTimeDigitized, Base.SubsecTimeDigitized,
         Base.OffsetTimeDigitized),
        (DateSource.EXIF_CHANGED, Base.DateTime, Base.SubsecTime, Base.OffsetTime),
    ):  # fmt: skip
        directory = image if tag == Base.DateTime else photo
        written = _text(directory.get(tag))
        date = parse_date(written)
        if date is None:
            if written.strip(" :0"):
                found.notes.append(f"EXIF date {written[:30]!r} ignored")
            continue
        moment = date.moment
        if date.precision == "second":
            digits = _text(photo.get(fraction))
            if digits.isascii() and digits.isdigit():
                moment = moment.replace(microsecond=int(digits[:6].ljust(6, "0")))
            zone = parse_offset(_text(photo.get(offset)))
            if zone is None and written == changed:
                zone = parse_offset(_text(photo.get(Base.OffsetTime)))
            if zone is not None:
                moment = moment.replace(tzinfo=zone)
        found.put_date(source, Dated(moment, date.precision))


def _read_place(gps: Mapping[int, Any], found: Findings) -> None:
    from PIL.ExifTags import GPS

    latitude = _degrees(gps.get(GPS.GPSLatitude), gps.get(GPS.GPSLatitudeRef), "latitude")
    longitude = _degrees(gps.get(GPS.GPSLongitude), gps.get(GPS.GPSLongitudeRef), "longitude")
    if latitude is not None and longitude is not None:
        found.put_position(latitude, longitude)
    elif GPS.GPSLatitude in gps:
        found.notes.append("GPS position without hemisphere or number ignored")
    altitude = number(gps.get(GPS.GPSAltitude))
    if altitude is not None:
        below = gps.get(GPS.GPSAltitudeRef)
        # 1: below sea level; 3: below the ellipsoid (EXIF 3.0).
        found.put("altitude_m", -altitude if below in (b"\1", 1, b"\3", 3) else altitude)
    found.put("direction_deg", gps.get(GPS.GPSImgDirection))
    day = parse_date(_text(gps.get(GPS.GPSDateStamp)))
    time = gps.get(GPS.GPSTimeStamp)
    if day is not None and isinstance(time, tuple) and len(time) == 3:
        hours, minutes, seconds = (number(each) or 0.0 for each in time)
        if day.precision == "day" and 0 <= hours < 24 and 0 <= minutes < 60 and 0 <= seconds < 61:
            since = timedelta(hours=hours, minutes=minutes, seconds=seconds)
            found.put_date(DateSource.GPS, day.moment.replace(tzinfo=UTC) + since)


def _degrees(
    value: object, reference: object, axis: Literal["latitude", "longitude"]
) -> float | None:
    """Return degrees, minutes and seconds as degrees; None if the hemisphere is unknown."""
    letter = _text(reference)
    if isinstance(value, str):  # "43.4675": no type for a coordinate, but some programs' own
        found = parse_coordinate(value, axis, letter)
        return found[0] if found and found[1] else None
    if not isinstance(value, tuple):
        value = (value,)
    degrees = number(value[0]) if value else None
    if degrees is None:
        return None
    # Seconds are often 0/0 if the minutes have decimals.
    for size, part in zip((60, 3600), value[1:3], strict=False):
        degrees += (number(part) or 0.0) / size
    hemispheres = {"latitude": "NS", "longitude": "EW"}[axis]
    letter = letter[:1].upper()
    if letter and letter in hemispheres:
        return -abs(degrees) if letter == hemispheres[1] and degrees else degrees
    # A negative number and the equator need no letter; otherwise the hemisphere is not guessed.
    return degrees if degrees <= 0 else None
