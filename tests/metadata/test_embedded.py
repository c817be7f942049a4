"""EXIF, XMP and IPTC blocks of careful and of careless programs are read."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import pytest
from PIL.ExifTags import GPS, IFD, Base
from PIL.TiffImagePlugin import IFDRational

from metadata.blocks import UNKNOWN, alternatives, bag, exif_block, iptc_block, read, xmp_packet
from pixseek.engines.columns import texts
from pixseek.filters import matches
from pixseek.metadata.exif import tidy_camera
from pixseek.search.language import filter_of
from pixseek.types import Record


def fields(**blocks: Any) -> dict[str, Any]:
    return {k: v for k, v in read(**blocks).fields.items() if k != "taken_from"}


# ------------------------------------------------------------------ EXIF


def test_exif_gives_the_camera_and_its_settings() -> None:
    exif = exif_block(
        {Base.Make: "Canon", Base.Model: "Canon EOS 70D", Base.Software: "Ver.1.0"},
        {
            Base.LensModel: "EF50mm f/1.8 STM", Base.FocalLength: IFDRational(50, 1),
            Base.FocalLengthIn35mmFilm: 80, Base.FNumber: IFDRational(28, 10),
            Base.ExposureTime: IFDRational(1, 60), Base.ExposureBiasValue: IFDRational(-1, 3),
            Base.ISOSpeedRatings: 400, Base.Flash: 25, Base.ColorSpace: 1,
        },
    )  # fmt: skip
    assert fields(exif=exif) == {
        "camera_make": "Canon", "camera_model": "EOS 70D", "lens": "EF50mm f/1.8 STM",
        "focal_length_mm": 50.0, "focal_length_35mm": 80.0, "aperture": 2.8,
        "exposure_s": pytest.approx(1 / 60), "exposure_bias_ev": pytest.approx(-1 / 3),
        "iso": 400, "flash": True, "colour_space": "sRGB", "software": "Ver.1.0",
    }  # fmt: skip


def test_unknown_and_implausible_numbers_in_exif_are_ignored() -> None:
    exif = exif_block(
        photo={
            Base.FocalLength: UNKNOWN, Base.FNumber: IFDRational(1, 0),
            Base.ExposureTime: IFDRational(0, 1), Base.ExposureBiasValue: IFDRational(500, 1),
            Base.ISOSpeedRatings: 0, Base.FocalLengthIn35mmFilm: 0, Base.LensModel: "----",
        }
    )  # fmt: skip
    found = read(exif=exif)
    assert dict(found.fields) == {}
    assert found.notes == ("exposure_bias_ev of 500 ignored",)


def test_apex_logarithms_are_used_if_there_is_nothing_else() -> None:
    exif = exif_block(
        photo={Base.ApertureValue: IFDRational(5, 2), Base.ShutterSpeedValue: IFDRational(5, 1)}
    )
    assert fields(exif=exif) == {"aperture": 2.4, "exposure_s": 1 / 32}


def test_a_sensitivity_above_two_bytes_is_read_from_another_tag() -> None:
    exif = exif_block(photo={Base.ISOSpeedRatings: 65535, Base.RecommendedExposureIndex: 102400})
    assert fields(exif=exif) == {"iso": 102400}


@pytest.mark.parametrize(
    ("space", "index", "expected"),
    [(1, "R98", "sRGB"), (2, "", "Adobe RGB"), (65535, "R03", "Adobe RGB"), (65535, "", None)],
)
def test_exif_gives_the_colour_space(space: int, index: str, expected: str | None) -> None:
    photo: dict[int, Any] = {Base.ColorSpace: space}
    if index:
        photo[IFD.Interop] = {1: index}
    assert fields(exif=exif_block(photo=photo)).get("colour_space") == expected


@pytest.mark.parametrize(
    ("make", "model", "expected"),
    [
        ("NIKON CORPORATION", "NIKON D70", ("NIKON", "D70")),
        ("Canon", "Canon PowerShot S40", ("Canon", "PowerShot S40")),
        ("OLYMPUS IMAGING CORP.  ", "E-M5", ("OLYMPUS", "E-M5")),
        ("SANYO Electric Co.,Ltd.", "SR6 ", ("SANYO", "SR6")),
        ("RICOH IMAGING COMPANY, LTD.", "RICOH GR III", ("RICOH", "GR III")),
        ("EASTMAN KODAK COMPANY", "KODAK DC240 ZOOM", ("EASTMAN KODAK", "DC240 ZOOM")),
        ("LG Electronics", "LG-H870", ("LG", "LG-H870")),
        ("Google", "Pixel 7", ("Google", "Pixel 7")),
        ("Fairphone", "Fairphone", ("Fairphone", "Fairphone")),
        ("", "X100", ("", "X100")),
        ("Camera", "", ("Camera", "")),
    ],
)
def test_makers_and_models_are_tidied(make: str, model: str, expected: tuple[str, str]) -> None:
    assert tidy_camera(make, model) == expected


def test_exif_gives_caption_tags_rating_and_author() -> None:
    exif = exif_block(
        {
            Base.ImageDescription: "Ein Boot\r\nauf dem See — früh".encode(),
            Base.Artist: "Jörg".encode("latin-1"), Base.Copyright: b"Ann\0Bob",
            Base.XPTitle: "Am See\0".encode("utf-16-le"), Base.XPKeywords:
            "Boot;See; boot ;;Zürich\0".encode("utf-16-le"), Base.Rating: 4,
        }
    )  # fmt: skip
    found = read(exif=exif)
    assert found.caption == "Ein Boot\nauf dem See — früh"
    assert found.tags == ("Boot", "See", "Zürich")
    assert dict(found.fields) == {
        "title": "Am See", "rating": 4, "artist": "Jörg", "copyright": "Ann",
    }  # fmt: skip


@pytest.mark.parametrize(
    "comment",
    [b"ASCII\0\0\0a lake\0\0\0", b"\0\0\0\0\0\0\0\0a lake   ", b"a lake",
     b"UNICODE\0" + "a lake".encode("utf-16-le"), b"UNICODE\0" + "a lake".encode("utf-16-be"),
     b"UNICODE\0" + "a lake\0".encode("utf-16"), b"JIS\0\0\0\0\0a lake"],
)  # fmt: skip
def test_user_comments_are_captions_in_every_encoding(comment: bytes) -> None:
    assert read(exif=exif_block(photo={Base.UserComment: comment})).caption == "a lake"


def test_user_comments_in_jis_are_decoded() -> None:
    comment = b"JIS\0\0\0\0\0" + "湖の船".encode("iso2022_jp")
    assert read(exif=exif_block(photo={Base.UserComment: comment})).caption == "湖の船"


@pytest.mark.parametrize(
    "text",
    ["OLYMPUS DIGITAL CAMERA         ", "SONY DSC", "   ", "DCIM\\100MEDIA\\DJI.JPG", "default",
     "KONICA MINOLTA DIGITAL CAMERA", "<Digimax S500 / Kenox S500>", "KODAK Digital Still Camera"],
)  # fmt: skip
def test_a_cameras_default_text_is_not_a_caption(text: str) -> None:
    assert read(exif=exif_block({Base.ImageDescription: text})).caption == ""
    xmp = xmp_packet(alternatives("dc:description", x_default=text.replace("<", "&lt;")))
    assert read(xmp=xmp).caption == ""


def test_the_name_of_a_cameras_maker_is_not_a_caption() -> None:
    image = {Base.Make: "CASIO COMPUTER CO.,LTD.", Base.ImageDescription: "CASIO"}
    assert read(exif=exif_block(image)).caption == ""
    image[Base.ImageDescription] = "computer"
    assert read(exif=exif_block(image)).caption == "computer"


def test_processing_codes_of_huawei_are_not_captions() -> None:
    assert (
        read(exif=exif_block({Base.Make: "HUAWEI", Base.ImageDescription: "oznor"})).caption == ""
    )
    assert (
        read(exif=exif_block({Base.Make: "X", Base.ImageDescription: "oznor"})).caption == "oznor"
    )


@pytest.mark.parametrize("comment", [b'ASCII\0\0\0{"filter": 0}', b"\0" * 264, b""])
def test_settings_and_blank_comments_are_not_captions(comment: bytes) -> None:
    assert read(exif=exif_block(photo={Base.UserComment: comment})).caption == ""


def position(**changes: Any) -> dict[int, Any]:
    gps: dict[str, Any] = {
        "GPSLatitudeRef": "S", "GPSLatitude": (33.0, 55.0, 30.0),
        "GPSLongitudeRef": "W", "GPSLongitude": (18.0, 25.5, 0.0),
    } | changes  # fmt: skip
    return {GPS[name]: value for name, value in gps.items() if value is not None}


def test_exif_gives_position_altitude_and_direction() -> None:
    gps = position(
        GPSAltitude=IFDRational(123, 10), GPSAltitudeRef=b"\1", GPSImgDirection=IFDRational(270, 1)
    )
    assert fields(exif=exif_block(gps=gps)) == {
        "latitude": -33.925, "longitude": -18.425, "altitude_m": -12.3, "direction_deg": 270.0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "latitude", "longitude"),
    [
        ({"GPSLatitude": (33.0, IFDRational(111, 2), UNKNOWN)}, -33.925, -18.425),
        ({"GPSLatitude": (33.925,)}, -33.925, -18.425),
        ({"GPSLatitudeRef": "n", "GPSLongitudeRef": "East"}, 33.925, 18.425),
    ],
)
def test_unusual_gps_positions_are_read(
    changes: dict[str, Any], latitude: float, longitude: float
) -> None:
    found = fields(exif=exif_block(gps=position(**changes)))
    assert found == {"latitude": latitude, "longitude": longitude}


@pytest.mark.parametrize(
    "changes",
    [
        {"GPSLatitudeRef": None}, {"GPSLongitudeRef": "\0"}, {"GPSLatitudeRef": "E"},
        {"GPSLatitude": (UNKNOWN, 1.0, 1.0)}, {"GPSLatitude": (91.0, 0.0, 0.0)},
        {"GPSLongitude": (181.0, 0.0, 0.0)}, {"GPSLongitude": (180.0, 0.0, 1.0)},
        {"GPSLatitude": (0.0, 0.0, 0.0), "GPSLongitude": (0.0, 0.0, 0.0)},
    ],
)  # fmt: skip
def test_invalid_gps_positions_are_ignored_with_a_note(changes: dict[str, Any]) -> None:
    found = read(exif=exif_block(gps=position(GPSAltitude=5.0, **changes)))
    # The altitude is ignored as well.
    assert dict(found.fields) == {}
    assert len(found.notes) == 1 and "GPS position" in found.notes[0]


# ------------------------------------------------------------------ XMP


def test_xmp_properties_may_be_attributes_or_elements() -> None:
    expected = {
        "title": "At sea", "label": "Red", "rating": 5, "city": "Arezzo", "state": "Tuscany",
        "country": "Italy", "country_code": "IT", "sublocation": "Pieve", "lens": "50mm",
        "focal_length_mm": 50.0, "aperture": 2.8, "exposure_s": 0.005, "iso": 200,
        "camera_make": "NIKON", "camera_model": "D70", "software": "darktable 4",
        "latitude": 43.4675, "longitude": -11.885, "altitude_m": -12.5, "colour_space": "sRGB",
    }  # fmt: skip
    values = {
        "photoshop:Headline": "At sea", "xmp:Label": "Red", "xmp:Rating": "5",
        "photoshop:City": "Arezzo", "photoshop:State": "Tuscany", "photoshop:Country": "Italy",
        "Iptc4xmpCore:CountryCode": "IT", "Iptc4xmpCore:Location": "Pieve", "aux:Lens": "50mm",
        "exif:FocalLength": "500/10", "exif:FNumber": "28/10", "exif:ExposureTime": "1/200",
        "exif:ISOSpeedRatings": "200", "tiff:Make": "NIKON CORPORATION", "tiff:Model": "NIKON D70",
        "xmp:CreatorTool": "darktable 4", "exif:GPSLatitude": "43,28.05N",
        "exif:GPSLongitude": "11,53,6W", "exif:GPSAltitude": "25/2", "exif:GPSAltitudeRef": "1",
        "exif:ColorSpace": "1",
    }  # fmt: skip
    attributes = " ".join(f'{name}="{value}"' for name, value in values.items())
    elements = "".join(f"<{name}>{value}</{name}>" for name, value in values.items())
    assert fields(xmp=xmp_packet(attributes=attributes)) == expected
    assert fields(xmp=xmp_packet(elements)) == expected
    assert fields(xmp=xmp_packet(elements, wrapped=False) + b"\0\0 \n") == expected


def test_xmp_bags_sequences_and_languages_are_read() -> None:
    found = read(
        xmp=xmp_packet(
            alternatives("dc:description", de="Ein Boot", x_default="A boat", fr="Un bateau")
            + alternatives("dc:title", de="Am See")
            + alternatives("dc:rights", x_default="", en="Ann")
            + bag("dc:subject", "boat", " Boat ", "", "lake", "über &amp; unter")
            + bag("dc:creator", "Ann", "Bob", kind="Seq")
            + bag("exif:ISOSpeedRatings", "400", kind="Seq")
        )
    )
    assert found.caption == "A boat"
    assert found.tags == ("boat", "lake", "über & unter")
    assert dict(found.fields) == {
        "title": "Am See", "copyright": "Ann", "artist": "Ann; Bob",
        "iso": 400, "translations": "Ein Boot; Un bateau",
    }  # fmt: skip


def test_exifs_texts_are_read_where_xmp_keeps_them() -> None:
    packet = alternatives("tiff:ImageDescription", x_default="A boat")
    packet += "<tiff:Artist>Ann</tiff:Artist><tiff:Copyright>Bob</tiff:Copyright>"
    found = read(xmp=xmp_packet(packet))
    assert (found.caption, found.fields["artist"], found.fields["copyright"]) == (
        "A boat", "Ann", "Bob",
    )  # fmt: skip
    newer = packet + alternatives("dc:description", x_default="Two boats")
    assert read(xmp=xmp_packet(newer)).caption == "Two boats"
    camera = "<tiff:Model>X3</tiff:Model><tiff:ImageDescription>X3</tiff:ImageDescription>"
    assert read(xmp=xmp_packet(camera)).caption == ""


def test_hierarchical_tags_give_their_leaf_and_path() -> None:
    lightroom = bag("dc:subject", "Arezzo") + bag("lr:hierarchicalSubject", "Places|Italy|Arezzo")
    assert read(xmp=xmp_packet(lightroom)).tags == ("Arezzo", "Places|Italy|Arezzo")
    digikam = bag("digiKam:TagsList", "Places/Italy/Arezzo", "boat", kind="Seq")
    assert read(xmp=xmp_packet(digikam)).tags == ("Arezzo", "Places|Italy|Arezzo", "boat")
    windows = bag("dc:subject", "Places/Italy/Arezzo", "boat")
    windows += bag("MicrosoftPhoto:LastKeywordXMP", "Places/Italy/Arezzo", "boat")
    assert read(xmp=xmp_packet(windows)).tags == ("boat", "Arezzo", "Places|Italy|Arezzo")
    single = bag("lr:hierarchicalSubject", "Places|Paris, France")
    assert read(xmp=xmp_packet(single)).tags == ("Paris, France", "Places|Paris, France")


@pytest.mark.parametrize(
    "written",
    [
        bag("lr:hierarchicalSubject", "Places|Italy|Arezzo"),
        bag("digiKam:TagsList", "Places/Italy/Arezzo", kind="Seq"),
        bag("MicrosoftPhoto:LastKeywordXMP", "Places/Italy/Arezzo"),
        bag("MicrosoftPhoto:LastKeywordXMP", "Places/Italy/Arezzo")
        .replace("MicrosoftPhoto:LastKeywordXMP", "LastKeywordXMP", 2)
        .replace("<LastKeywordXMP", '<LastKeywordXMP xmlns="http://ns.microsoft.com/photo/1.0"'),
        bag("mediapro:CatalogSets", "Places|Italy|Arezzo"),
        bag("expressionmedia:CatalogSets", "Places|Italy|Arezzo"),
        "<mwg-kw:Keywords rdf:parseType='Resource'><mwg-kw:Hierarchy><rdf:Bag><rdf:li>"
        "<rdf:Description mwg-kw:Keyword='Places'><mwg-kw:Children><rdf:Bag>"
        "<rdf:li rdf:parseType='Resource'><mwg-kw:Children><rdf:Bag>"
        "<rdf:li rdf:parseType='Resource'><mwg-kw:Keyword>Arezzo"
        "</mwg-kw:Keyword></rdf:li></rdf:Bag></mwg-kw:Children><mwg-kw:Keyword>Italy"
        "</mwg-kw:Keyword></rdf:li></rdf:Bag></mwg-kw:Children></rdf:Description></rdf:li></rdf:Bag>"
        "</mwg-kw:Hierarchy></mwg-kw:Keywords>",
        "<acdsee:categories>&lt;Categories&gt;&lt;Category Assigned=&quot;0&quot;&gt;Places"
        "&lt;Category Assigned=&quot;0&quot;&gt;Italy&lt;Category Assigned=&quot;1&quot;&gt;Arezzo"
        "&lt;/Category&gt;&lt;/Category&gt;&lt;Category Assigned=&quot;0&quot;&gt;Paris"
        "&lt;/Category&gt;&lt;/Category&gt;&lt;/Categories&gt;</acdsee:categories>",
    ],
)
def test_each_level_of_every_programs_hierarchy_is_found(written: str) -> None:
    found = read(xmp=xmp_packet(written)).tags
    assert found == ("Arezzo", "Places|Italy|Arezzo")
    record = Record("i", "a.jpg", tags=found)
    for level in ("arezzo", "Italy", "places", "places/italy", "Places|Italy|Arezzo"):
        assert matches(filter_of(f'tag:"{level}"'), record), level
    assert not matches(filter_of("tag:paris"), record)


@pytest.mark.parametrize("categories", ["", "Places", "&lt;Categories", "&lt;!DOCTYPE a&gt;"])
def test_broken_categories_leave_the_other_tags(categories: str) -> None:
    packet = bag("dc:subject", "boat") + f"<acdsee:categories>{categories}</acdsee:categories>"
    assert read(xmp=xmp_packet(packet)).tags == ("boat",)


def test_captions_and_titles_in_other_languages_are_searched() -> None:
    packet = alternatives("dc:description", de="Ein Boot", x_default="A boat", en="A boat")
    packet += alternatives("dc:title", x_default="At sea", fr="En mer")
    found = read(xmp=xmp_packet(packet))
    assert (found.caption, found.fields["title"]) == ("A boat", "At sea")
    assert found.fields["translations"] == "Ein Boot; En mer"
    camera = alternatives("dc:description", x_default="SONY DSC", de="Ein Boot", fr="Un bateau")
    other = read(xmp=xmp_packet(camera))
    assert (other.caption, other.fields["translations"]) == ("Ein Boot", "Un bateau")
    record = Record("i", "a.jpg", caption=found.caption, fields=dict(found.fields))
    assert {"boot", "mer", "boat", "sea"} <= {*texts(record).strong.split()}


def test_a_comma_separates_tags_in_plain_text_and_belongs_to_an_item_of_a_list() -> None:
    plain = xmp_packet("<dc:subject>boat, lake,  boat</dc:subject>")
    assert read(xmp=plain).tags == ("boat", "lake")
    assert read(xmp=xmp_packet(attributes='dc:subject="boat, lake"')).tags == ("boat", "lake")
    for items in (["Smith, John"], ["Paris, France", "boat"]):
        assert read(xmp=xmp_packet(bag("dc:subject", *items))).tags == tuple(items)
        iptc = iptc_block(*((2, 25, item.encode()) for item in items))
        assert read(iptc=iptc).tags == tuple(items)
        windows = ";".join(items).encode("utf-16-le")
        assert read(exif=exif_block({Base.XPKeywords: windows})).tags == tuple(items)
        listed = json.dumps({"keywords": items}).encode()
        assert read(sidecars={"a.json": listed}).tags == tuple(items)
    assert read(sidecars={"a.json": b'{"tags": "boat, lake"}'}).tags == ("boat", "lake")
    assert read(xmp=xmp_packet(bag("dc:subject", "boat; lake"))).tags == ("boat", "lake")


@pytest.mark.parametrize(
    ("attributes", "rating"),
    [
        ('xmp:Rating="3"', 3), ('xmp:Rating="-1"', -1), ('xmp:Rating="4.0"', 4),
        ('xmp:Rating="0"', None), ('xmp:Rating="9"', None), ('xmp:Rating="good"', None),
        ('MicrosoftPhoto:Rating="99"', 5), ('MicrosoftPhoto:Rating="75"', 4),
        ('MicrosoftPhoto:Rating="50"', 3), ('MicrosoftPhoto:Rating="25"', 2),
        ('MicrosoftPhoto:Rating="1"', 1), ('MicrosoftPhoto:Rating="0"', None),
        ('MicrosoftPhoto:Rating="99" xmp:Rating="2"', 2),
    ],
)  # fmt: skip
def test_xmp_and_microsoft_ratings_become_stars(attributes: str, rating: int | None) -> None:
    assert fields(xmp=xmp_packet(attributes=attributes)).get("rating") == rating


def test_names_of_people_are_read_from_all_kinds_of_regions() -> None:
    metadata_working_group = (
        '<mwg-rs:Regions rdf:parseType="Resource"><mwg-rs:RegionList><rdf:Bag>'
        '<rdf:li><rdf:Description mwg-rs:Name="Ann" mwg-rs:Type="Face"/></rdf:li>'
        '<rdf:li rdf:parseType="Resource"><mwg-rs:Name>Bob</mwg-rs:Name>'
        "<mwg-rs:Type>Face</mwg-rs:Type></rdf:li>"
        '<rdf:li><rdf:Description mwg-rs:Name="4006381333931" mwg-rs:Type="BarCode"/></rdf:li>'
        '<rdf:li><rdf:Description mwg-rs:Type="Face"/></rdf:li>'
        "</rdf:Bag></mwg-rs:RegionList></mwg-rs:Regions>"
    )
    microsoft = (
        '<MP:RegionInfo rdf:parseType="Resource"><MPRI:Regions><rdf:Bag>'
        '<rdf:li MPReg:PersonDisplayName="Cleo" MPReg:Rectangle="0.1, 0.1, 0.2, 0.2"/>'
        "</rdf:Bag></MPRI:Regions></MP:RegionInfo>"
    )
    in_image = bag("Iptc4xmpExt:PersonInImage", "Dora", "ann")
    assert fields(xmp=xmp_packet(metadata_working_group)) == {"people": "Ann; Bob"}
    assert fields(xmp=xmp_packet(microsoft)) == {"people": "Cleo"}
    everybody = fields(xmp=xmp_packet(in_image + metadata_working_group + microsoft))
    assert everybody == {"people": "Dora; ann; Bob; Cleo"}


def test_names_of_people_are_read_from_the_tags_of_digikam() -> None:
    tags = bag(
        "digiKam:TagsList", "People/Ann Lee", "People/Family/Bob", "People/Unknown", "People",
        "Places/Rome", "People/ann lee",
    )  # fmt: skip
    found = read(xmp=xmp_packet(tags))
    assert found.fields["people"] == "Ann Lee; Bob"
    assert "People|Ann Lee" in found.tags


def test_a_name_keeps_to_itself_and_is_never_cut() -> None:
    assert fields(xmp=xmp_packet(bag("Iptc4xmpExt:PersonInImage", "Lee; Ann", "Bob", "--"))) == {
        "people": "Lee, Ann; Bob"
    }
    many = [f"Person Number {n}" for n in range(100)]
    kept = fields(xmp=xmp_packet(bag("Iptc4xmpExt:PersonInImage", *many)))["people"]
    assert set(str(kept).split("; ")) <= {*many}
    assert len(str(kept)) > 900


def test_fields_of_xmp_structures_are_read() -> None:
    xmp = xmp_packet(
        "<Iptc4xmpExt:LocationShown><rdf:Bag><rdf:li rdf:parseType='Resource'>"
        "<Iptc4xmpExt:City>Arezzo</Iptc4xmpExt:City>"
        "<Iptc4xmpExt:CountryName>Italy</Iptc4xmpExt:CountryName>"
        "</rdf:li></rdf:Bag></Iptc4xmpExt:LocationShown>"
        '<exif:Flash exif:Fired="True" exif:Mode="0"/>'
        '<Iptc4xmpExt:DigitalSourceType rdf:resource="http://cv.iptc.org/newscodes/'
        'digitalsourcetype/trainedAlgorithmicMedia"/>',
        attributes='photoshop:City="Rome"',
    )
    assert fields(xmp=xmp) == {
        "city": "Arezzo", "country": "Italy", "flash": True,
        "digital_source": "trainedAlgorithmicMedia",
    }  # fmt: skip
    nested = '<exif:Flash rdf:parseType="Resource"><exif:Fired>False</exif:Fired></exif:Flash>'
    assert fields(xmp=xmp_packet(nested)) == {"flash": False}


@pytest.mark.parametrize(
    "packet",
    [
        xmp_packet(attributes='xmp:Rating="3"').replace(b"</x:xmpmeta>", b"</x:xmpmeta>garbage"),
        b"garbage" + xmp_packet(attributes='xmp:Rating="3"'),
        xmp_packet("\x02", attributes='xmp:Rating="3"'),
        xmp_packet(attributes='xmp:Rating="3"', wrapped=False).decode().encode("utf-16"),
        b"\xef\xbb\xbf" + xmp_packet(attributes='xmp:Rating="3"', wrapped=False),
    ],
    ids=["tail", "head", "control", "utf-16", "bom"],
)
def test_damaged_xmp_packets_are_read(packet: bytes) -> None:
    assert fields(xmp=packet) == {"rating": 3}


@pytest.mark.parametrize(
    "coordinate", ["", "N", "43", "91,0N", "43,28.05,7,7N", "nan", "1e3N", "43,60,60X"]
)
def test_invalid_xmp_coordinates_are_ignored(coordinate: str) -> None:
    attributes = f'exif:GPSLatitude="{coordinate}" exif:GPSLongitude="200,0E"'
    assert fields(xmp=xmp_packet(attributes=attributes)) == {}


# ------------------------------------------------------------------ IPTC


def test_all_datasets_of_an_iptc_block_are_read() -> None:
    found = read(
        iptc=iptc_block(
            (1, 90, b"\x1b%G"), (2, 0, b"\0\4"), (2, 5, b"At sea"), (2, 25, b"boat"),
            (2, 25, "Zürich".encode()), (2, 25, b"Boat"), (2, 55, b"20210503"),
            (2, 60, b"142233+0200"), (2, 80, b"Ann"), (2, 90, "Zürich".encode()),
            (2, 92, b"Harbour"), (2, 95, b"ZH"), (2, 100, b"CHE"), (2, 101, b"Switzerland"),
            (2, 105, b"Headline"), (2, 116, "© Ann".encode()), (2, 120, b"A boat\rearly"),
        )
    )  # fmt: skip
    assert found.caption == "A boat\nearly"
    assert found.tags == ("boat", "Zürich")
    assert found.taken_at == datetime.fromisoformat("2021-05-03T14:22:33+02:00")
    assert dict(found.fields) == {
        "taken_from": "iptc", "title": "At sea", "artist": "Ann", "copyright": "© Ann",
        "city": "Zürich", "sublocation": "Harbour", "state": "ZH", "country": "Switzerland",
        "country_code": "CHE",
    }  # fmt: skip


def test_iptc_text_without_a_declared_encoding_is_decoded() -> None:
    assert read(iptc=iptc_block((2, 90, "Zürich".encode("latin-1")))).fields["city"] == "Zürich"
    assert read(iptc=iptc_block((2, 90, "Zürich".encode()))).fields["city"] == "Zürich"


def test_extended_iptc_datasets_and_padding_are_read() -> None:
    long = bytes((0x1C, 2, 120, 0x80, 4)) + (40_000).to_bytes(4) + b"x" * 40_000
    found = read(iptc=iptc_block((2, 25, b"boat")) + long + b"\0\0")
    assert found.caption == "x" * 5000
    assert found.tags == ("boat",)
    assert found.notes == ()


@pytest.mark.parametrize(
    "tail",
    [b"\x1c\x02", b"garbage", bytes((0x1C, 2, 120, 0x7F, 0xFF)) + b"short",
     bytes((0x1C, 2, 120, 0xFF, 0xFF)), bytes((0x1C, 2, 120, 0x80, 4, 0xFF, 0xFF, 0xFF, 0xFF))],
)  # fmt: skip
def test_a_broken_iptc_block_is_read_up_to_the_error(tail: bytes) -> None:
    found = read(iptc=iptc_block((2, 25, b"boat")) + tail)
    assert found.tags == ("boat",)
    assert found.notes == ("broken IPTC block read in part",)


# ------------------------------------------------------------------ remains of older packets

NEW, OLD = (xmp_packet(bag("dc:subject", name)) for name in ("new", "old"))
BARE_NEW, BARE_OLD = (xmp_packet(bag("dc:subject", name), wrapped=False) for name in ("new", "old"))


@pytest.mark.parametrize("sidecar", [False, True])
@pytest.mark.parametrize(
    ("packet", "tag"),
    [
        (NEW + OLD, "new"),
        (NEW + b" " * 3000 + OLD, "new"),
        (BARE_NEW + BARE_OLD, "new"),
        (BARE_NEW + b"\n</x:xmpmeta>", "new"),
        (BARE_NEW + OLD[300:], "new"),  # a longer one was overwritten by a shorter one
        (NEW + OLD[-100:], "new"),
        (NEW + b"\0" * 500 + OLD, "new"),
        (NEW[:-30] + OLD, "new"),
        (NEW.replace(b"</x:xmpmeta>", b"</x:xmpmeta >") + OLD, "new"),
        (OLD[:400] + NEW, "new"),  # half of an older one before it
        (OLD[: OLD.index(b"<rdf:RDF") + 12] + NEW, "new"),
        (NEW[NEW.index(b"<rdf:RDF") : NEW.index(b"</x:xmp")] + OLD, "new"),
        (b"\xef\xbb\xbf" + NEW + OLD, "new"),
        ((NEW + OLD).decode().encode("utf-16"), "new"),
        (BARE_NEW.decode().encode("utf-16-le"), "new"),
        (BARE_NEW.decode().encode("utf-16-be"), "new"),
        (b'<?xml version="1.0" encoding="UTF-16"?>'.decode().encode("utf-16")
         + BARE_NEW.decode().encode("utf-16")[2:], "new"),
    ],
    ids=range(17),
)  # fmt: skip
def test_of_several_packets_the_first_whole_one_counts(
    packet: bytes, tag: str, sidecar: bool
) -> None:
    found = read(sidecars={"a.xmp": packet}) if sidecar else read(xmp=packet)
    assert (found.tags, found.notes) == ((tag,), ())


def test_a_packet_of_many_beginnings_is_given_up_soon() -> None:
    hostile = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'>" * 50_000
    assert read(xmp=hostile).notes == ("broken XMP ignored (ParseError)",)
    assert read(xmp=hostile + b"</x:xmpmeta>" * 40_000).tags == ()
