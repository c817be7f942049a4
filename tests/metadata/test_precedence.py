"""Which source of metadata wins."""

from __future__ import annotations

import json
from typing import Any

from PIL.ExifTags import GPS, Base

from metadata.blocks import alternatives, bag, exif_block, iptc_block, read, xmp_packet


def exif(text: str, **image: Any) -> bytes:
    gps = {
        GPS.GPSLatitudeRef: "N", GPS.GPSLatitude: (10.0, 0.0, 0.0), GPS.GPSAltitude: 100.0,
        GPS.GPSLongitudeRef: "E", GPS.GPSLongitude: (10.0, 0.0, 0.0),
    }  # fmt: skip
    return exif_block(
        {
            Base.ImageDescription: text, Base.Make: text, Base.Rating: 1,
            Base.XPKeywords: text.encode("utf-16-le"), Base.Artist: text,
        },
        {Base.LensModel: text},
        gps,
    )  # fmt: skip


def xmp(text: str, degrees: int, rating: int) -> bytes:
    return xmp_packet(
        alternatives("dc:description", x_default=text)
        + bag("dc:subject", text)
        + bag("dc:creator", text),
        attributes=f'xmp:Rating="{rating}" aux:Lens="{text}" tiff:Make="{text}" '
        f'exif:GPSLatitude="{degrees},0N" exif:GPSLongitude="{degrees},0E"',
    )


EXIF, XMP, SIDECAR = exif("exif"), xmp("embedded", 20, 2), xmp("sidecar", 30, 3)
IPTC = iptc_block((2, 120, b"iptc"), (2, 25, b"iptc"), (2, 80, b"iptc"))
JSON = (
    b'{"description": "json", "tags": ["json"], "rating": 5, "author": "json",'
    b'"geoData": {"latitude": 40, "longitude": 40, "altitude": 400}}'
)
TEXTS = {"Comment": b"texts", "Author": b"texts", "Software": b"texts"}
EVERYWHERE: dict[str, Any] = {
    "exif": EXIF, "xmp": XMP, "iptc": IPTC, "texts": TEXTS, "profile": "Display P3",
    "sidecars": {"a.txt": b"text", "a.json": JSON, "a.xmp": SIDECAR},
}  # fmt: skip


def without(*names: str) -> dict[str, Any]:
    blocks = {name: block for name, block in EVERYWHERE.items() if name not in names}
    sidecars = EVERYWHERE["sidecars"].items()
    return blocks | {"sidecars": {name: data for name, data in sidecars if name not in names}}


def test_captions_come_from_the_first_source_that_has_one() -> None:
    gone: list[str] = []
    for name, caption in (
        ("a.xmp", "sidecar"), ("a.txt", "text"), ("a.json", "json"), ("xmp", "embedded"),
        ("iptc", "iptc"), ("exif", "exif"), ("texts", "texts"),
    ):  # fmt: skip
        assert read(**without(*gone)).caption == caption
        gone.append(name)
    assert read(**without(*gone)).caption == ""


def test_tags_are_the_newest_list_and_those_of_json() -> None:
    gone: list[str] = []
    for name, tag in (
        ("a.xmp", "sidecar"), ("xmp", "embedded"), ("iptc", "iptc"), ("exif", "exif"),
    ):  # fmt: skip
        assert read(**without(*gone)).tags == (tag, "json")
        gone.append(name)
    assert read(**without(*gone)).tags == ("json",)


def test_tags_of_all_sources_are_cut_at_the_limit() -> None:
    many = [f"tag {n}" for n in range(400)]
    others = json.dumps({"tags": [f"other {n}" for n in range(400)]}).encode()
    tags = read(xmp=xmp_packet(bag("dc:subject", *many)), sidecars={"a.json": others}).tags
    assert tags == (*many, *(f"other {n}" for n in range(100)))


def test_text_that_people_write_comes_from_the_newest_edit() -> None:
    gone: list[str] = []
    for name, artist, rating in (
        ("a.xmp", "sidecar", 3), ("xmp", "embedded", 2), ("iptc", "iptc", 1), ("exif", "exif", 1),
        ("a.json", "json", 5), ("texts", "texts", None),
    ):  # fmt: skip
        fields = read(**without(*gone)).fields
        assert (fields["artist"], fields.get("rating")) == (artist, rating)
        gone.append(name)


def test_a_rating_of_zero_in_a_sidecar_overrides_the_files() -> None:
    assert "rating" not in read(xmp=XMP, sidecars={"a.xmp": xmp("x", 1, 0)}).fields


def test_measurements_of_the_camera_come_from_exif_first() -> None:
    for gone, lens in (((), "exif"), (("exif",), "embedded"), (("exif", "xmp"), "sidecar")):
        fields = read(**without(*gone)).fields
        assert (fields["lens"], fields["camera_make"]) == (lens, lens)


def test_software_comes_from_exif_before_the_texts() -> None:
    written = exif_block({Base.Software: "Ver.1.0"})
    assert read(exif=written, texts=TEXTS).fields["software"] == "Ver.1.0"
    assert read(texts=TEXTS).fields["software"] == "texts"


def test_the_colour_space_is_that_of_the_profile() -> None:
    camera = exif_block(photo={Base.ColorSpace: 1})
    sidecars = {"a.xmp": xmp_packet(attributes='photoshop:ICCProfile="ProPhoto RGB"')}
    blocks: dict[str, Any] = {"exif": camera, "sidecars": sidecars}
    assert read(**blocks, profile="Display P3").fields["colour_space"] == "Display P3"
    assert read(**blocks).fields["colour_space"] == "sRGB"


def test_coordinates_come_from_a_single_source() -> None:
    gone: list[str] = []
    for name, latitude, altitude in (
        ("a.xmp", 30, None), ("xmp", 20, None), ("exif", 10, 100), ("a.json", 40, 400),
    ):  # fmt: skip
        fields = read(**without(*gone)).fields
        assert (fields["latitude"], fields["longitude"]) == (latitude, latitude)
        assert fields.get("altitude_m") == altitude
        gone.append(name)
    assert "latitude" not in read(**without(*gone)).fields


def test_fields_come_in_the_order_of_the_table() -> None:
    from pixseek.metadata.fields import FIELDS

    names = list(read(**EVERYWHERE).fields)
    assert names == [name for name in FIELDS if name in names]
    assert len(names) > 5
