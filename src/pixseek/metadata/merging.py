"""Merge the metadata of an image or a video from all sources.

These are all rules of precedence; in each list the first source that has a value wins:

- **Caption**: XMP sidecar, text sidecar, JSON sidecar, embedded XMP, IPTC, EXIF, then the texts of
  a PNG or the comment of a JPEG or GIF.
- **Tags**: XMP sidecar, embedded XMP, IPTC, EXIF. Only one source is used, because these are copies
  of one list, and a tag missing from the newest copy was removed. The tags of a JSON sidecar are
  added.
- **Text that people write** (title, rating, place names, people, ...): XMP sidecar, embedded XMP,
  IPTC, EXIF, JSON sidecar, texts. Lightroom, digiKam and others write the newest edit to XMP.
- **Measurements of the camera**: EXIF, embedded XMP, XMP sidecar, JSON sidecar, texts. The colour
  space is that of the embedded profile, since the colours were converted from it.
- **Coordinates**: XMP sidecar, embedded XMP, EXIF, JSON sidecar. All come from the first that has
  both latitude and longitude; from EXIF if XMP has the same ones without their hemispheres.
- **Place names** that no source has come from the coordinates; `place` always does.
- **Date**: the first plausible one in the order of `DateSource`, with the exceptions of `dating`.
  It gets a time zone only from the file: one written with the date or with the same wall clock
  elsewhere in the file, or the difference to a GPS time, if clocks at that longitude can have it.
  The time of the file says when it was copied or edited, so an image without a date has none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from datetime import UTC, datetime
from functools import partial
from typing import TypeVar

from pixseek.metadata.containers import read_container
from pixseek.metadata.dates import date_in_name
from pixseek.metadata.dating import choose_date
from pixseek.metadata.exif import read_exif
from pixseek.metadata.fields import FIELDS, MAX_TAGS, DateSource, Findings, clean_text, once
from pixseek.metadata.iptc import read_iptc
from pixseek.metadata.places import find_place
from pixseek.metadata.sidecars import is_album, read_album, read_json, read_text
from pixseek.metadata.texts import read_texts
from pixseek.metadata.xmp import read_xmp
from pixseek.types import Picture, Scalar
from pixseek.types.dataclass import dataclass

_Block = TypeVar("_Block", bytes, Mapping[str, bytes], Mapping[str, str])

#: Maximum number of notes for one image.
_MAX_NOTES = 20


@dataclass(frozen=True, slots=True)
class Sidecar:
    """A metadata file next to an image; see `sidecars.SidecarFinder`.

    Attributes:
        name: file name; its ending gives the kind (.xmp, .txt, .json).
        data: content of the file.
    """

    name: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Metadata:
    """The merged metadata of an image.

    Attributes:
        taken_at: when the photo was taken; with a time zone only if the file gives one.
        caption: a description of the image, with its line breaks.
        tags: keywords, each once; for a hierarchical one both the leaf and the path ("a|b|c").
        fields: with the names and types in `FIELDS`.
        notes: notes about values that were ignored.
    """

    taken_at: datetime | None = None
    caption: str = ""
    tags: tuple[str, ...] = ()
    fields: Mapping[str, Scalar] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def taken_from(self) -> str:
        """The source of `taken_at`, one of the labels of `DateSource`; "" if unknown."""
        return str(self.fields.get("taken_from", ""))


def read_metadata(
    picture: Picture | None,
    *,
    name: str,
    sidecars: Sequence[Sidecar] = (),
    told: bytes = b"",
    container: Mapping[str, str] | None = None,
) -> Metadata:
    """Return the merged metadata of an image or a video; never raises.

    Args:
        picture: the decoded image; its `exif`, `xmp`, `iptc`, `texts` and `profile` are read; None
            for a video.
        name: name of its file.
        sidecars: its sidecars, the most specific first.
        told: what its source says of it, as a JSON object; it comes before JSON sidecars.
        container: the texts of a video's container, which rank as EXIF.
    """
    exif = xmp = iptc = texts = Findings()
    converted = Findings()
    if picture is not None:
        exif = _read("EXIF", read_exif, picture.exif)
        xmp = _read("XMP", read_xmp, picture.xmp)
        iptc = _read("IPTC", read_iptc, picture.iptc)
        texts = _read("text", read_texts, picture.texts)
        converted.put("colour_space", picture.profile)
    elif container:
        exif = _read("container", read_container, container)
    # The most specific of each kind: photo.jpg.xmp before photo.xmp.
    by_kind = {kind: Findings() for kind in _SIDECAR_READERS}
    for sidecar in reversed(sidecars):
        kind = "album" if is_album(sidecar.name) else sidecar.name.rpartition(".")[2].lower()
        if kind in by_kind:
            reader = partial(_SIDECAR_READERS[kind], name=name)
            by_kind[kind] = _read(clean_text(sidecar.name, 100), reader, sidecar.data)
    xmp_sidecar, text = by_kind["xmp"], by_kind["txt"]
    data = _read("description", read_json, told)
    data.add(by_kind["json"])
    data.add(by_kind["album"])

    fields: dict[str, Scalar] = {}
    for source in (converted, exif, xmp, xmp_sidecar, data, texts):
        _fill(fields, source, "camera")
    for source in (xmp_sidecar, xmp, iptc, exif, data, texts):
        _fill(fields, source, "described")
    _fill(fields, _place_of(xmp_sidecar, xmp, exif, data), "place")
    unnamed = _fill_place_names(fields)
    if fields.get("rating") == 0:
        del fields["rating"]  # unrated; kept until here to override an older rating

    captions = (each.caption for each in (xmp_sidecar, text, data, xmp, iptc, exif, texts))
    tags = next((each.tags for each in (xmp_sidecar, xmp, iptc, exif) if each.tags), ())
    sources = (exif, xmp, iptc, texts, xmp_sidecar, text, data)
    notes = [*(note for each in sources for note in each.notes), *unnamed]
    dates = {at: date for each in sources for at, date in each.dates.items()}
    # An XMP sidecar's dates replace those of the embedded packet.
    dates |= xmp_sidecar.dates
    named = date_in_name(name)
    if named is not None:
        dates[DateSource.NAME] = named
    longitude = fields.get("longitude")
    chosen = choose_date(
        dates, datetime.now(UTC), longitude if isinstance(longitude, float) else None, notes
    )
    if chosen is not None:
        date, origin = chosen
        fields["taken_from"] = origin.label
        if date.precision != "second":
            fields["taken_precision"] = date.precision
    return Metadata(
        taken_at=chosen and chosen[0].moment,
        caption=next((caption for caption in captions if caption), ""),
        tags=once((*tags, *data.tags))[:MAX_TAGS],
        fields={each: fields[each] for each in FIELDS if each in fields},
        notes=tuple(dict.fromkeys(notes))[:_MAX_NOTES],
    )


_SIDECAR_READERS: Mapping[str, Callable[..., Findings]] = {
    "xmp": lambda data, name: read_xmp(data, sidecar=True),
    "txt": lambda data, name: read_text(data),
    "json": read_json,
    "album": lambda data, name: read_album(data),
}


def _read(what: str, reader: Callable[[_Block], Findings], block: _Block) -> Findings:
    """Return what a reader finds in a block; only a note if it fails.

    This is the one place that catches every exception: blocks come from anybody, and the libraries
    that read them promise no particular exceptions.
    """
    if not block:
        return Findings()
    try:
        return reader(block)
    except Exception as error:  # also RecursionError and MemoryError
        kind = type(error).__name__
        return Findings(notes=[f"broken {what} ignored ({kind})"])


def _fill(fields: dict[str, Scalar], source: Findings, group: str) -> None:
    """Add a source's fields of one group that are not filled yet."""
    for name, value in source.fields.items():
        if FIELDS[name].group == group:
            fields.setdefault(name, value)


def _fill_place_names(fields: dict[str, Scalar]) -> list[str]:
    """Add the names of the place at the coordinates, if there are any; return notes."""
    latitude, longitude = fields.get("latitude"), fields.get("longitude")
    if not isinstance(latitude, float) or not isinstance(longitude, float):
        return []
    try:
        place = find_place(latitude, longitude)
    except Exception as error:  # the data are in another package's format
        return [f"place not named ({type(error).__name__})"]
    if place is not None:
        fields["place"] = str(place)
        for name in ("city", "state", "country", "country_code"):
            if getattr(place, name):
                fields.setdefault(name, getattr(place, name))
    return []


def _place_of(xmp_sidecar: Findings, xmp: Findings, exif: Findings, data: Findings) -> Findings:
    """Return the source of the coordinates."""
    for source in (xmp_sidecar, xmp, exif, data):
        if "latitude" not in source.fields:
            continue
        # A copy of EXIF's position without its hemispheres.
        if source.is_unsigned and _differ_by_sign(source.fields, exif.fields):
            return exif
        return source
    return Findings()


def _differ_by_sign(one: Mapping[str, Scalar], other: Mapping[str, Scalar]) -> bool:
    """Return whether two positions are the same, up to their signs and about a kilometre."""
    return all(
        isinstance(a := one.get(axis), float)
        and isinstance(b := other.get(axis), float)
        and abs(abs(a) - abs(b)) < 0.01
        for axis in ("latitude", "longitude")
    )
