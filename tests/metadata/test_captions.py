"""Texts that cameras, programs and datasets write are not captions; what people write is."""

from __future__ import annotations

import time

import pytest
from PIL.ExifTags import Base

from metadata.blocks import alternatives, exif_block, iptc_block, read, xmp_packet
from pixseek.metadata.captions import is_caption

VIVO = (
    "filter: 0; fileterIntensity: 0.0; filterMask: 0; captureOrientation: 0; \nmodule: photo;"
    "\nhw-remosaic: false;\ntouch: (-1.0, -1.0);\nmodeInfo: ;\nsceneMode: 8;\ncct_value: 0;"
    "\nAI_Scene: (-1, -1);\naec_lux: 0.0;\naec_lux_index: 0;\nalbedo:  ;\nconfidence:  ;"
)

OF_PROGRAMS = (
    "Oplus_131072", "oplus_0", "oppo_32", "Exif_JPEG_PICTURE", "Exif_JPEG_420", "Minolta DSC",
    "SONY DSC", "OLYMPUS DIGITAL CAMERA", "KODAK EASYSHARE C813 ZOOM DIGITAL CAMERA",
    "SAMSUNG CAMERA PICTURES", "SAMSUNG", "<MENU:xyz>", "DCIM\\100MEDIA", "DCIM/100GOPRO/G0010.JPG",
    "default", "ASCII", "charset=Ascii", "binary comment", "User comments", "(null)",
    "DSC_0042", "IMG_20210503_142233.jpg", "P1010001.JPG", "_MG_1234",
    "IM000123.JPG", "<untitled>",
    "Processed with RNI Films. Preset 'Agfa Optima 200'",
    "Picture 001", "SCAN_0004.tif", "Untitled-1", "Screenshot_20240101-120000.png",
    VIVO, "module: 1facing:0; hw-remosaic: 0; touch: (0.3, 0.4); modeInfo: ; sceneMode: 0;",
    "filter: 0;", "hw-remosaic: false;\ntouch: (-1.0, -1.0);",
    "CASIO COMPUTER CO.,LTD DIGITAL CAMERA",
    "...", "(no description)", "Processed with MOLDIV",
    "Processed with VSCO with a6 preset", "Processed with Snapseed.", "Created with GIMP",
    "Edited in Lightroom", "Made with Google AI", "Created by Imlib",
    '{"mirror":false,"sensor_type":"rear"}', '[{"a": 1}]', "FBMD23000969010000b5020000",
    "3f2504e0-4f89-11d3-9a0c-0305e82c3301", "[#Beginning of Shooting Data Section]\nNikon D1",
)  # fmt: skip

OF_PEOPLE = (
    "me", "Oma", "x", "1987", "42", "Ann, Bob", "Samsung building in Seoul", "SONY",
    "0170 12 34 56", "My first digital camera", "processed with care", "Edited in Berlin by Ann",
    "hdr", "Default risk",
    "filter: red, by Ann", "Touch: wood", "temperature: 20", "confidence: 1",
    "title: 3", "❤️", "no title yet",
    "left: Ann; middle: Bob; right: Cleo", "Car: 1; bus: 2", "Oplus", "IMG of the year",
    "12.5.1987 18.30 19.45 20", "2 of 3", "1 2 3 4 5 6 7", "P1", "null and void", "unknown woman",
    "Photo by Ann", "Made by Oma", "Taken in Google's office", "The menu of <Oma>",
    "See anna.jpg", "anna.jpg and ben.jpg", "Sunset.jpeg", "Foto 1985",
    "Scan 2", "Screenshot of my flat", "Picture 12 of 20", "Untitled love",
)  # fmt: skip


@pytest.mark.parametrize("text", OF_PROGRAMS)
def test_what_cameras_and_programs_write_is_not_a_caption(text: str) -> None:
    blocks = [
        {"exif": exif_block({Base.ImageDescription: text})},
        {"exif": exif_block(photo={Base.UserComment: b"ASCII\0\0\0" + text.encode()})},
        {"iptc": iptc_block((2, 120, text.encode()))},
        {"xmp": xmp_packet(alternatives("dc:description", x_default=text.replace("<", "&lt;")))},
        {"sidecars": {"a.txt": text.encode()}},
    ]
    for block in blocks:
        assert read(**block).caption == ""  # type: ignore[arg-type]


@pytest.mark.parametrize("text", OF_PEOPLE)
def test_what_people_write_is_a_caption(text: str) -> None:
    assert read(exif=exif_block({Base.ImageDescription: text.encode()})).caption == text
    assert read(sidecars={"a.txt": text.encode()}).caption == text


def test_what_is_no_caption_can_be_another_text() -> None:
    packet = xmp_packet(attributes='photoshop:City="None" photoshop:State="0.5 0.5 0.5 0.5 0.5"')
    assert {"city": "None", "state": "0.5 0.5 0.5 0.5 0.5"}.items() <= read(
        xmp=packet
    ).fields.items()
    drawn = b"a boat\nSteps: 20, Seed: 1\nSteps: 20; Seed: 1; CFG: 7"
    fields = read(texts={"parameters": drawn}).fields
    assert "generation" in fields and fields["prompt"] == "a boat"


def test_the_next_source_is_read_if_one_has_only_a_default() -> None:
    exif = exif_block({Base.ImageDescription: "SONY DSC"}, {Base.UserComment: b"ASCII\0\0\0Oma"})
    assert read(exif=exif).caption == "Oma"


def test_alt_text_is_a_caption() -> None:
    name = "Iptc4xmpCore:AltTextAccessibility"
    found = read(xmp=xmp_packet(alternatives(name, x_default="A boat on a lake")))
    assert found.caption == "A boat on a lake"


def test_the_name_of_the_camera_is_not_a_caption() -> None:
    for text in ("COOLPIX P6000", "NIKON COOLPIX P6000", "Ver.1.0", "Nikon"):
        image = {Base.Make: "NIKON", Base.Model: "COOLPIX P6000", Base.Software: "Ver.1.0"}
        assert read(exif=exif_block({**image, Base.ImageDescription: text})).caption == ""


@pytest.mark.parametrize(
    ("text", "caption"),
    [
        ("oznor", ""), ("rhdr", ""), ("mde_soft", ""), ("sdr_HDRB", ""), ("oznorWO", ""),
        ("frontbhdp", ""), ("trsh", ""), ("cof", ""), ("oma", "oma"), ("me", "me"),
        ("dad", "dad"), ("Ann", "Ann"), ("lake", "lake"),
    ],
)  # fmt: skip
def test_codes_of_huawei_are_not_captions_and_words_are(text: str, caption: str) -> None:
    for make in ("HUAWEI", "HONOR"):
        image = {Base.Make: make, Base.ImageDescription: text}
        assert read(exif=exif_block(image)).caption == caption


@pytest.mark.parametrize(
    "text",
    [
        "0 0.51 0.48 0.2 0.3",
        "0 0.51 0.48 0.2 0.3\n12 0.1 0.2 0.05 0.05\n",
        "0 0.5166 0.4870 0.2156 0.3141 0.97",  # with a confidence
        "1 " + " ".join("0.123456 0.654321" for _ in range(30)),  # a polygon
        "0 1e-3 0.48 0.2 0.3",
        "Car 0.00 0 -1.57 614.24 181.78 727.31 284.77 1.57 1.73 4.15 1.00 1.75 13.22 -1.62",
        "imagesource:GoogleEarth\ngsd:0.146\n2753 2408 2861 2385 2888 2468 2805 2502 plane 0",
        "377,117,463,117,465,130,378,130,Genaxis Theatre",
        "0.51,0.48,0.2,0.3,dog",
        "12 34 56 78 dog\n90 12 34 56 cat",
        "2\n12 34 56 78\n90 12 34 56",
        "",
        "\n \n",
    ],
)
def test_label_files_are_not_captions(text: str) -> None:
    assert read(sidecars={"a.txt": text.encode()}).caption == ""


def test_long_texts_are_judged_in_little_time() -> None:
    began = time.process_time()
    for text in ("a: 1; " * 100_000, "0.5 " * 100_000, "made with " * 50_000, "a " * 100_000):
        is_caption(text)
    assert time.process_time() - began < 5  # usually 0.2
