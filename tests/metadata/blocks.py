"""Build metadata blocks, and the pictures that hold them."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

from PIL import Image
from PIL.ExifTags import IFD
from PIL.TiffImagePlugin import IFDRational

from pixseek.metadata.fields import FIELDS
from pixseek.metadata.merging import Metadata, Sidecar, read_metadata
from pixseek.types import Picture

#: A file time different from all other dates in the tests, and the same as a date.

#: A rational that `exif_block` writes as 0/0, which some versions of Pillow can't write.
UNKNOWN = IFDRational(1_234_567_891, 1)

NAMESPACES = {
    "dc": "http://purl.org/dc/elements/1.1/",
    "xmp": "http://ns.adobe.com/xap/1.0/",
    "photoshop": "http://ns.adobe.com/photoshop/1.0/",
    "exif": "http://ns.adobe.com/exif/1.0/",
    "exifEX": "http://cipa.jp/exif/1.0/",
    "aux": "http://ns.adobe.com/exif/1.0/aux/",
    "tiff": "http://ns.adobe.com/tiff/1.0/",
    "lr": "http://ns.adobe.com/lightroom/1.0/",
    "digiKam": "http://www.digikam.org/ns/1.0/",
    "Iptc4xmpCore": "http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/",
    "Iptc4xmpExt": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
    "mwg-kw": "http://www.metadataworkinggroup.com/schemas/keywords/",
    "mwg-rs": "http://www.metadataworkinggroup.com/schemas/regions/",
    "MicrosoftPhoto": "http://ns.microsoft.com/photo/1.0/",
    "MP": "http://ns.microsoft.com/photo/1.2/",
    "MPRI": "http://ns.microsoft.com/photo/1.2/t/RegionInfo#",
    "mediapro": "http://ns.iview-multimedia.com/mediapro/1.0/",
    "expressionmedia": "http://ns.microsoft.com/expressionmedia/1.0/",
    "acdsee": "http://ns.acdsee.com/iptc/1.0/",
    "MPReg": "http://ns.microsoft.com/photo/1.2/t/Region#",
}


def exif_block(
    image: dict[int, Any] | None = None,
    photo: dict[int, Any] | None = None,
    gps: dict[int, Any] | None = None,
) -> bytes:
    """An EXIF block as Pillow writes it, from its TIFF header on."""
    exif = Image.Exif()
    exif.update(image or {})
    if photo:
        exif[IFD.Exif] = photo
    if gps:
        exif[IFD.GPSInfo] = gps
    block = exif.tobytes().removeprefix(b"Exif\0\0")
    for order in ("<", ">"):
        block = block.replace(struct.pack(f"{order}LL", 1_234_567_891, 1), bytes(8))
    return block


def xmp_packet(elements: str = "", attributes: str = "", wrapped: bool = True) -> bytes:
    """An XMP packet with one description."""
    spaces = " ".join(f'xmlns:{prefix}="{uri}"' for prefix, uri in NAMESPACES.items())
    document = (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f'<rdf:Description rdf:about="" {spaces} {attributes}>{elements}</rdf:Description>'
        "</rdf:RDF></x:xmpmeta>"
    )
    if wrapped:
        document = (
            '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
            f'{document}{" " * 200}\n<?xpacket end="w"?>'
        )
    return document.encode()


def bag(name: str, *items: str, kind: str = "Bag") -> str:
    """A property that is an array."""
    inner = "".join(f"<rdf:li>{item}</rdf:li>" for item in items)
    return f"<{name}><rdf:{kind}>{inner}</rdf:{kind}></{name}>"


def alternatives(name: str, **texts: str) -> str:
    """A property in several languages; "_" in a language is a hyphen."""
    inner = "".join(
        f'<rdf:li xml:lang="{language.replace("_", "-")}">{text}</rdf:li>'
        for language, text in texts.items()
    )
    return f"<{name}><rdf:Alt>{inner}</rdf:Alt></{name}>"


def iptc_block(*datasets: tuple[int, int, bytes]) -> bytes:
    """An IPTC-IIM block of (record, dataset, value)."""
    return b"".join(
        bytes((0x1C, record, dataset)) + len(data).to_bytes(2) + data
        for record, dataset, data in datasets
    )


def read(
    *,
    exif: bytes = b"",
    xmp: bytes = b"",
    iptc: bytes = b"",
    texts: dict[str, bytes] | None = None,
    profile: str = "",
    name: str = "beach.jpg",
    sidecars: dict[str, bytes] | None = None,
) -> Metadata:
    """The metadata read from these blocks, checked to have documented names and types."""
    picture = Picture(Image.new("RGB", (1, 1)), 1, 1, "image/jpeg", (), exif, xmp, iptc,
                      texts or {}, profile)  # fmt: skip
    files = [Sidecar(*each) for each in (sidecars or {}).items()]
    metadata = read_metadata(picture, name=name, sidecars=files)
    assert_documented(metadata)
    return metadata


def assert_documented(metadata: Metadata) -> None:
    for name, value in metadata.fields.items():
        about = FIELDS[name]
        assert type(value) is about.kind, name
        if isinstance(value, int | float):
            assert about.low <= value <= about.high
        if isinstance(value, str):
            assert 0 < len(value) <= 1000
            assert "\0" not in value and "\n" not in value
            value.encode()
    assert (metadata.taken_at is None) == (metadata.taken_from == "")
    assert len(metadata.caption) <= 5000
    metadata.caption.encode()
    assert len(metadata.tags) <= 500
    assert len({tag.casefold() for tag in metadata.tags}) == len(metadata.tags)
    for tag in metadata.tags:
        assert tag == tag.strip() and 0 < len(tag) <= 200
        tag.encode()
    assert len(metadata.notes) <= 20
    for note in metadata.notes:
        note.encode()


def picture_of(path: Path) -> Picture:
    """A file's metadata blocks, read with Pillow alone."""
    with Image.open(path) as image:
        xmp = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp") or b""
        resources = image.info.get("photoshop") or {}
        return Picture(
            image,
            *image.size,
            exif=(image.info.get("exif") or b"").removeprefix(b"Exif\0\0"),
            xmp=xmp.encode() if isinstance(xmp, str) else xmp,
            iptc=resources.get(0x0404, b""),
            media=image.get_format_mimetype() or "",
        )
