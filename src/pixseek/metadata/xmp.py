"""Read XMP (ISO 16684-1), embedded or from a sidecar, with defusedxml.

The code goes by namespaces, not by prefixes. Properties may be attributes or elements; values may
be text, `rdf:resource`, `rdf:value`, bags, sequences and alternatives.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Literal

from pixseek.metadata.captions import is_caption
from pixseek.metadata.coordinates import parse_coordinate
from pixseek.metadata.dates import parse_date
from pixseek.metadata.exif import tidy_camera
from pixseek.metadata.fields import (
    DateSource,
    Findings,
    number,
    once,
    people_of_digikam,
    split_tags,
)
from pixseek.metadata.generators import put_generation

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

#: Maximum bytes of a packet to parse. Ordinary ones have 2 to 20 KB; heavily edited files can have
#: a hundred megabytes of history.
MAX_PACKET = 2 << 20

_MAX_ITEMS = 1_000
_MAX_LEVELS = 32

#: Maximum beginnings of documents that are tried in a damaged packet.
_MAX_DOCUMENTS = 8

_X = "{adobe:ns:meta/}"
_RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
_LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"
_DC = "{http://purl.org/dc/elements/1.1/}"
_XMP = "{http://ns.adobe.com/xap/1.0/}"
_PHOTOSHOP = "{http://ns.adobe.com/photoshop/1.0/}"
_EXIF = "{http://ns.adobe.com/exif/1.0/}"
_EXIF_EX = "{http://cipa.jp/exif/1.0/}"
_AUX = "{http://ns.adobe.com/exif/1.0/aux/}"
_TIFF = "{http://ns.adobe.com/tiff/1.0/}"
_LIGHTROOM = "{http://ns.adobe.com/lightroom/1.0/}"
_DIGIKAM = "{http://www.digikam.org/ns/1.0/}"
_IPTC_CORE = "{http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/}"
_IPTC_EXT = "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}"
_REGIONS = "{http://www.metadataworkinggroup.com/schemas/regions/}"
_KEYWORDS = "{http://www.metadataworkinggroup.com/schemas/keywords/}"
_MICROSOFT = "{http://ns.microsoft.com/photo/1.0/}"
_MEDIA_PRO = "{http://ns.iview-multimedia.com/mediapro/1.0/}"
_EXPRESSION_MEDIA = "{http://ns.microsoft.com/expressionmedia/1.0/}"
_ACDSEE = "{http://ns.acdsee.com/iptc/1.0/}"
_MICROSOFT_BARE = "{http://ns.microsoft.com/photo/1.0}"  # as exiftool and Nikon write it
_MICROSOFT_PEOPLE = "{http://ns.microsoft.com/photo/1.2/}"
_MICROSOFT_REGION = "{http://ns.microsoft.com/photo/1.2/t/Region#}"

# Fields with a single text or number, best source first.
_PLAIN = (
    ("title", _DC + "title"),
    ("title", _PHOTOSHOP + "Headline"),
    ("label", _XMP + "Label"),
    ("copyright", _DC + "rights"),
    ("copyright", _TIFF + "Copyright"),
    ("event", _IPTC_EXT + "Event"),
    ("sublocation", _IPTC_CORE + "Location"),
    ("city", _PHOTOSHOP + "City"),
    ("state", _PHOTOSHOP + "State"),
    ("country", _PHOTOSHOP + "Country"),
    ("country_code", _IPTC_CORE + "CountryCode"),
    ("lens", _EXIF_EX + "LensModel"),
    ("lens", _AUX + "Lens"),
    ("software", _XMP + "CreatorTool"),
    ("focal_length_mm", _EXIF + "FocalLength"),
    ("focal_length_35mm", _EXIF + "FocalLengthIn35mmFilm"),
    ("aperture", _EXIF + "FNumber"),
    ("exposure_s", _EXIF + "ExposureTime"),
    ("exposure_bias_ev", _EXIF + "ExposureBiasValue"),
    ("iso", _EXIF_EX + "PhotographicSensitivity"),
    ("iso", _EXIF + "ISOSpeedRatings"),
    ("direction_deg", _EXIF + "GPSImgDirection"),
)  # fmt: skip

_SHOWN = (
    ("sublocation", "Sublocation"), ("city", "City"), ("state", "ProvinceState"),
    ("country", "CountryName"), ("country_code", "CountryCode"),
)  # fmt: skip

# Lists of tags with "/" between their levels, of which the first holds all.
_SLASHED = (
    _DIGIKAM + "TagsList", _MICROSOFT + "LastKeywordXMP", _MICROSOFT_BARE + "LastKeywordXMP",
)  # fmt: skip

_AXES: tuple[Literal["latitude"], Literal["longitude"]] = ("latitude", "longitude")

# Characters that XML 1.0 forbids, and the first tag of the document in a damaged packet.
_FORBIDDEN = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]")
_DECLARATION = re.compile(r"<\?xml\s[^>]{0,200}\?>")
_BEGINNING = re.compile(rb"<((?:[\w.-]{1,20}:)?(?:xmpmeta|xapmeta|RDF))[\s>]")


def read_xmp(packet: bytes, *, sidecar: bool = False) -> Findings:
    """Return the metadata in an XMP packet.

    Args:
        packet: with or without its wrapper.
        sidecar: whether it comes from a sidecar, whose dates are newer than those in the file.

    Raises:
        Exception: whatever the parser raises if it is not XMP; `merging` catches it.
    """
    found = Findings()
    if len(packet) > MAX_PACKET:
        found.notes.append(f"XMP of {len(packet) / 1e6:.1f} MB ignored")
        return found
    root = _parse(packet)
    properties = _Properties(root)
    _read_descriptions(properties, found)
    _read_people(properties, found)
    _read_camera(properties, found)
    _read_place(properties, found)
    for source, name in (
        (DateSource.SIDECAR_ORIGINAL if sidecar else DateSource.XMP_ORIGINAL,
         _EXIF + "DateTimeOriginal"),
        (DateSource.SIDECAR_CREATED if sidecar else DateSource.XMP_CREATED,
         _PHOTOSHOP + "DateCreated"),
        (DateSource.XMP_DIGITIZED, _EXIF + "DateTimeDigitized"),
        (DateSource.XMP_DIGITIZED, _XMP + "CreateDate"),
    ):  # fmt: skip
        found.put_date(source, parse_date(properties.text(name)))
    return found


def _parse(packet: bytes) -> Element:
    """Return the root element; refuse entities and document types, which XMP doesn't allow."""
    from defusedxml.ElementTree import ParseError, fromstring  # type: ignore[import-untyped]

    packet = _in_utf8(packet)
    try:
        root: Element = fromstring(packet, forbid_dtd=True)
    except ParseError:
        for document in whole_documents(packet):
            with contextlib.suppress(ParseError):
                root = fromstring(document, forbid_dtd=True)
                break
        else:
            raise
    return root


def whole_documents(packet: bytes) -> Iterator[bytes]:
    """Yield what may be the XMP document in a damaged packet, the most likely first.

    Some programs leave padding, control characters, half of an older packet, or a whole one behind
    the new one: the first that is whole counts.

    Args:
        packet: in UTF-8.
    """
    last = b""
    for beginning in islice(_BEGINNING.finditer(packet), _MAX_DOCUMENTS):
        closing = re.compile(rb"</" + re.escape(beginning[1]) + rb"\s*>")
        end = closing.search(packet, beginning.end())
        if end is not None:
            yield _FORBIDDEN.sub(b" ", packet[beginning.start() : end.end()])
            last = last or packet[beginning.start() : packet.rfind(b"</" + beginning[1])] + end[0]
    if last:
        yield _FORBIDDEN.sub(b" ", last)


def _in_utf8(packet: bytes) -> bytes:
    """Return a packet without padding around it; UTF-16 becomes UTF-8."""
    encoding = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16", b"<\0": "utf-16-le",
                b"\0<": "utf-16-be"}.get(packet[:2])  # fmt: skip
    if encoding:
        text = packet.decode(encoding, "replace")
        packet = _DECLARATION.sub("", text, count=1).encode("utf-8", "replace")
    return packet.strip(b"\0 \t\r\n")


class _Properties:
    """The properties of all descriptions in a packet; the first with a name counts."""

    def __init__(self, root: Element) -> None:
        self._attributes: dict[str, str] = {}
        self._elements: dict[str, Element] = {}
        rdf = root if root.tag == _RDF + "RDF" else root.find(_RDF + "RDF")
        for description in [] if rdf is None else rdf.findall(_RDF + "Description"):
            for name, value in description.attrib.items():
                self._attributes.setdefault(name, value)
            for element in description:
                self._elements.setdefault(element.tag, element)

    def element(self, name: str) -> Element | None:
        """Return the element of a property; None if it is an attribute or absent."""
        return self._elements.get(name)

    def texts(self, name: str) -> list[str]:
        """Return the values of a property; among languages, the default one comes first."""
        if name in self._attributes:
            return [self._attributes[name]]
        element = self._elements.get(name)
        return [] if element is None else _texts(element)

    def is_array(self, name: str) -> bool:
        """Return whether a property is a list; some programs write one text instead."""
        element = self._elements.get(name)
        return name not in self._attributes and element is not None and _array(element) is not None

    def text(self, name: str) -> str:
        """Return the first value of a property that is not blank; "" if there is none."""
        return next((text for text in self.texts(name) if not text.isspace()), "")


def _array(element: Element) -> tuple[str, Element] | None:
    """Return the kind of an array, and the array; None if the value is not one."""
    for kind in ("Alt", "Bag", "Seq"):
        array = element.find(_RDF + kind)
        if array is not None:
            return kind, array
    return None


def _texts(element: Element) -> list[str]:
    found = _array(element)
    if found is not None:
        kind, array = found
        items = array.findall(_RDF + "li")[:_MAX_ITEMS]
        if kind == "Alt":
            items.sort(key=lambda item: item.get(_LANGUAGE, "x-default").lower() != "x-default")
        return [text for text in map(_own_text, items) if text]
    text = _own_text(element)
    return [text] if text else []


def _own_text(element: Element) -> str:
    """Return the text of a value that is not an array."""
    if element.text and not element.text.isspace():
        return element.text
    resource = element.get(_RDF + "resource")
    if resource:
        return resource
    for holder in (element, element.find(_RDF + "Description")):
        if holder is not None:
            value = holder.get(_RDF + "value") or holder.findtext(_RDF + "value")
            if value:
                return value
    return ""


def _part(element: Element, name: str) -> str:
    """Return a field of a structure, written as an attribute or as an element."""
    value = element.get(name)
    if value is None:
        child = element.find(name)
        value = "" if child is None else next(iter(_texts(child)), "")
    return value


def _structures(element: Element | None) -> Iterator[Element]:
    """Yield the elements that may hold a structure's fields: the element and all below it."""
    if element is not None:
        for count, each in enumerate(element.iter()):
            if count == _MAX_ITEMS * 10:
                return
            yield each


def _read_descriptions(properties: _Properties, found: Findings) -> None:
    # Among languages, the first counts; the others are kept for searches.
    captions, titles = (
        once(text for text in map(str.strip, properties.texts(_DC + name)) if is_caption(text))
        for name in ("description", "title")
    )
    found.put("translations", "; ".join(once((*captions[1:], *titles[1:]))))
    found.put("title", titles[0] if titles else None)
    found.put_caption(captions[0] if captions else None)
    found.put_caption(properties.text(_IPTC_CORE + "AltTextAccessibility"))
    found.put_caption(properties.text(_IPTC_CORE + "ExtDescrAccessibility"))
    # What EXIF calls so, in XMP's names for EXIF.
    for name in (_TIFF + "ImageDescription", _EXIF + "UserComment"):
        text = properties.text(name)
        is_camera = text and text.strip() == properties.text(_TIFF + "Model").strip()
        if not is_camera and not put_generation(text, found):
            found.put_caption(text)
    subject, paths = _DC + "subject", [*_paths(properties)]
    # Windows writes its paths here, too.
    known = {path.replace("|", "/") for path in paths if "|" in path}
    flat = [text for text in properties.texts(subject) if text not in known]
    found.tags = split_tags([*split_tags(flat, commas=not properties.is_array(subject)), *paths])
    found.put("artist", "; ".join(properties.texts(_DC + "creator")))
    found.put("artist", properties.text(_TIFF + "Artist"))
    rating = properties.text(_XMP + "Rating")
    if rating:
        found.put("rating", rating)
    else:
        percent = number(
            properties.text(_MICROSOFT + "Rating") or properties.text(_MICROSOFT_BARE + "Rating")
        )
        if percent is not None and 0 <= percent <= 99:
            # 1, 25, 50, 75 and 99 mean one to five stars.
            found.put("rating", 0 if percent == 0 else 1 + round(percent / 25))
    for shown in _structures(properties.element(_IPTC_EXT + "LocationShown")):
        for name, part in _SHOWN:
            found.put(name, _part(shown, _IPTC_EXT + part))
    for name, source in _PLAIN:
        found.put(name, properties.text(source))
    origin = properties.text(_IPTC_EXT + "DigitalSourceType")
    found.put("digital_source", origin.rstrip("/").rpartition("/")[2])


def _paths(properties: _Properties) -> Iterator[str]:
    """Yield the hierarchical tags, with "|" between their levels as Lightroom writes them."""
    yield from properties.texts(_LIGHTROOM + "hierarchicalSubject")
    yield from properties.texts(_MEDIA_PRO + "CatalogSets")
    yield from properties.texts(_EXPRESSION_MEDIA + "CatalogSets")
    yield from _categories(properties.text(_ACDSEE + "categories"))
    yield from _keywords(properties.element(_KEYWORDS + "Keywords"))
    # Slashes are not separators in other tags. Where digiKam wrote, it wrote all.
    for text in next(filter(None, map(properties.texts, _SLASHED)), ()):
        yield text.replace("/", "|")


def _categories(text: str) -> Iterator[str]:
    """Yield the paths of ACDSee's categories, XML in a text, that are assigned to the image."""
    from defusedxml.ElementTree import ParseError, fromstring

    try:
        todo = [(fromstring(text, forbid_dtd=True), "")] if text else []
    except (ParseError, ValueError):  # ValueError: a document type
        return
    for element, above in todo:
        path = f"{above}|{(element.text or '').strip()}".strip("|")
        if element.get("Assigned") == "1":
            yield path
        if len(todo) < _MAX_ITEMS and path.count("|") < _MAX_LEVELS:
            todo.extend((child, path) for child in element)


def _keywords(keywords: Element | None) -> Iterator[str]:
    """Yield the paths of the Metadata Working Group's keywords that are given to the image."""
    todo = [(each, "") for each in _items(keywords, _KEYWORDS + "Hierarchy")]
    for keyword, above in todo:
        path = f"{above}|{_part(keyword, _KEYWORDS + 'Keyword').strip()}".strip("|")
        children = _items(keyword, _KEYWORDS + "Children")
        if not children or _part(keyword, _KEYWORDS + "Applied").lower() == "true":
            yield path
        if len(todo) < _MAX_ITEMS and path.count("|") < _MAX_LEVELS:
            todo.extend((child, path) for child in children)


def _items(structure: Element | None, name: str) -> list[Element]:
    """Return the structures in an array that is a field of a structure."""
    field = None if structure is None else structure.find(name)
    found = None if field is None else _array(field)
    items = [] if found is None else found[1].findall(_RDF + "li")[:_MAX_ITEMS]
    inner = (item.find(_RDF + "Description") for item in items)
    return [item if each is None else each for item, each in zip(items, inner, strict=True)]


def _read_people(properties: _Properties, found: Findings) -> None:
    names = properties.texts(_IPTC_EXT + "PersonInImage")
    for region in _structures(properties.element(_REGIONS + "Regions")):
        # Regions can also be barcodes, focus points and pets.
        if _part(region, _REGIONS + "Type") in ("", "Face"):
            names.append(_part(region, _REGIONS + "Name"))
    for region in _structures(properties.element(_MICROSOFT_PEOPLE + "RegionInfo")):
        names.append(_part(region, _MICROSOFT_REGION + "PersonDisplayName"))
    names += people_of_digikam(properties.texts(_DIGIKAM + "TagsList"))
    found.put_people(names[:_MAX_ITEMS])


def _read_camera(properties: _Properties, found: Findings) -> None:
    make, model = tidy_camera(properties.text(_TIFF + "Make"), properties.text(_TIFF + "Model"))
    found.put("camera_make", make)
    found.put("camera_model", model)
    space = properties.text(_EXIF + "ColorSpace").strip()
    found.put("colour_space", properties.text(_PHOTOSHOP + "ICCProfile"))
    found.put("colour_space", {"1": "sRGB", "2": "Adobe RGB"}.get(space))
    for flash in _structures(properties.element(_EXIF + "Flash")):
        fired = _part(flash, _EXIF + "Fired").strip().lower()
        found.put("flash", {"true": True, "false": False}.get(fired))


def _read_place(properties: _Properties, found: Findings) -> None:
    # Apple writes the hemispheres apart, as EXIF does.
    north, east = (
        parse_coordinate(
            properties.text(f"{_EXIF}GPS{axis.title()}"),
            axis,
            properties.text(f"{_EXIF}GPS{axis.title()}Ref"),
        )
        for axis in _AXES
    )
    if north is not None and east is not None:
        found.put_position(north[0], east[0])
        found.is_unsigned = not (north[1] and east[1])
    altitude = number(properties.text(_EXIF + "GPSAltitude"))
    if altitude is not None:
        is_below = properties.text(_EXIF + "GPSAltitudeRef").strip() == "1"
        found.put("altitude_m", -altitude if is_below else altitude)
