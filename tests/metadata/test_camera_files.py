"""Metadata of files from real cameras and editors, compared with values read by other programs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from PIL import features

from metadata.blocks import assert_documented, picture_of
from pixseek.metadata.merging import Metadata, read_metadata

# name: taken, maker, model, focal length in mm, f-number, exposure as 1/s, ISO, flash
CAMERAS: dict[str, tuple[object, ...]] = {
    "Canon_PowerShot_S40": ("2003-12-14T12:01:44", "Canon", "PowerShot S40", 21.3125, 4.9, 500,
                            None, False),
    "Nikon_D70": ("2008-03-15T09:52:01-04:00", "NIKON", "D70", 100, 9, 200, 200, False),
    "Panasonic_DMC-FZ30": ("2008-07-16T11:33:20", "Panasonic", "DMC-FZ30", 14.1, 3.2, 30, 100,
                           True),
    "Pentax_K10D": ("2008-05-04T16:47:24+09:00", "PENTAX", "K10D", 90, 11, 180, 200, False),
    "canon-ixus": ("2001-06-09T15:17:32", "Canon", "DIGITAL IXUS", 10.8125, 4, 350, None, False),
    "fujifilm-dx10": ("2001-04-12T20:33:14", "FUJIFILM", "DX-10", 5.8, 4.2, 2**6.6, 150, True),
    "fujifilm-finepix40i": ("2000-08-04T18:22:57", "FUJIFILM", "FinePix40i", 8.7, 2.8, 2**5.5, 200,
                            True),
    "fujifilm-mx1700": ("2000-09-02T14:30:10", "FUJIFILM", "MX-1700ZOOM", 9.9, 7, 2**7.4, 125,
                        False),
    "kodak-dc210": ("2000-10-26T16:46:51", "Eastman Kodak", "DC210 Zoom (V05.00)", 4.4, 4, 30, None,
                    True),
    "kodak-dc240": ("1999-05-25T21:00:09", "EASTMAN KODAK", "DC240 ZOOM DIGITAL CAMERA", 14, 4, 30,
                    None, True),
    "nikon-e950": ("2001-04-06T11:51:40", "NIKON", "E950", 12.8, 5.5, 77, 80, False),
    "olympus-c960": ("2000-11-07T10:41:43", "OLYMPUS", "C960Z,D460Z", 5.6, 8, 345, 125, False),
    "ricoh-rdc5300": ("2000-05-31T21:50:40", "RICOH", "RDC-5300", 13.3, 4, 2**6.5, None, True),
    "sanyo-vpcg250": ("1998-01-01T00:00:00", "SANYO", "SR6", 6, 8, 171, None, True),
    "sanyo-vpcsx550": ("2000-11-18T21:14:19", "SANYO", "SX113", 6, 2.4, 48.3, 400, False),
    "sony-cybershot": ("2000-09-30T10:59:45", "SONY", "CYBERSHOT", 21.6, 4, 197, 100, False),
    "sony-d700": ("1998-12-01T14:22:36", "SONY", "DSC-D700", None, 2.4, 32, 200, False),
    # With GPS. These cameras wrote the date of the next day as GPS date.
    "DSCN0010": ("2008-10-22T16:28:39", "NIKON", "COOLPIX P6000", 24, 5.9, 75, 64, False),
    "DSCN0012": ("2008-10-22T16:29:49", "NIKON", "COOLPIX P6000", 6, 4.5, 178.3, 64, False),
    "DSCN0021": ("2008-10-22T16:38:20", "NIKON", "COOLPIX P6000", 16.6, 4.7, 95.7, 64, False),
    "DSCN0025": ("2008-10-22T16:43:21", "NIKON", "COOLPIX P6000", 8.1, 3.7, 123, 64, False),
    "DSCN0027": ("2008-10-22T16:44:01", "NIKON", "COOLPIX P6000", 6, 4.1, 147.9, 64, False),
    "DSCN0029": ("2008-10-22T16:46:53", "NIKON", "COOLPIX P6000", 22.1, 5.6, 64.8, 64, False),
    "DSCN0038": ("2008-10-22T16:52:15", "NIKON", "COOLPIX P6000", 24, 5.9, 64.3, 103, False),
    "DSCN0040": ("2008-10-22T16:55:37", "NIKON", "COOLPIX P6000", 6, 4.1, 131.4, 64, False),
    "DSCN0042": ("2008-10-22T17:00:07", "NIKON", "COOLPIX P6000", 15, 4.4, 100, 64, False),
}  # fmt: skip

# Degrees, minutes and seconds north and east, in one Tuscan town.
PLACES = {
    "DSCN0010": ((43, 28, 2.814), (11, 53, 6.456)),
    "DSCN0012": ((43, 28, 1.764), (11, 53, 7.422)),
    "DSCN0021": ((43, 28, 1.494), (11, 53, 4.338)),
    "DSCN0025": ((43, 28, 6.114), (11, 52, 53.886)),
    "DSCN0027": ((43, 28, 6.39), (11, 52, 53.454)),
    "DSCN0029": ((43, 28, 5.676), (11, 52, 48.618)),
    "DSCN0038": ((43, 28, 2.118), (11, 52, 45.168)),
    "DSCN0040": ((43, 27, 57.642), (11, 52, 44.802)),
    "DSCN0042": ((43, 27, 52.038), (11, 52, 53.322)),
}


def read_file(path: Path) -> Metadata:
    metadata = read_metadata(picture_of(path), name=path.name)
    assert_documented(metadata)
    return metadata


@pytest.mark.parametrize("name", CAMERAS)
def test_metadata_of_real_cameras_are_read(shared: Path, name: str) -> None:
    found = read_file(shared / "images" / "camera" / f"{name}.jpg")
    fields = found.fields
    taken_at, make, model, focal_length_mm, aperture, per_second, iso, flash = CAMERAS[name]
    assert found.taken_at is not None
    assert (found.taken_at.isoformat(), found.taken_from) == (taken_at, "exif")
    assert (fields["camera_make"], fields["camera_model"]) == (make, model)
    assert fields.get("focal_length_mm") == focal_length_mm
    assert fields["aperture"] == aperture
    assert 1 / fields["exposure_s"] == pytest.approx(per_second, rel=1e-3)  # type: ignore[operator]
    assert (fields.get("iso"), fields["flash"]) == (iso, flash)
    # None of them has tags, or a caption that a person wrote.
    assert (found.caption, found.tags) == ("", ())
    if name in PLACES:
        for axis, (degrees, minutes, seconds) in zip(
            ("latitude", "longitude"), PLACES[name], strict=True
        ):
            expected = degrees + minutes / 60 + seconds / 3600
            assert fields[axis] == pytest.approx(expected, abs=1e-7)
        assert any("GPS time" in note for note in found.notes)
    else:
        assert "latitude" not in fields
        assert found.notes == ()


def test_every_camera_file_is_in_the_table(shared: Path) -> None:
    files = {path.stem for path in (shared / "images" / "camera").glob("*.jpg")}
    assert files == {*CAMERAS, "olympus-d320l", "sony-powershota5"}


@pytest.mark.parametrize("name", ["olympus-d320l", "sony-powershota5"])
def test_cameras_without_exif_give_only_the_file_time(shared: Path, name: str) -> None:
    found = read_file(shared / "images" / "camera" / f"{name}.jpg")
    assert dict(found.fields) == {}


def test_artist_lens_and_35mm_focal_length_of_some_cameras(shared: Path) -> None:
    camera = shared / "images" / "camera"
    pentax = read_file(camera / "Pentax_K10D.jpg").fields
    assert pentax["artist"] == "Laitche"
    assert pentax["copyright"] == "Laitche (This file is in the public domain.)"
    assert read_file(camera / "Nikon_D70.jpg").fields["lens"] == "100.0 mm f/2.8"
    assert read_file(camera / "DSCN0010.jpg").fields["focal_length_35mm"] == 112
    assert read_file(camera / "sanyo-vpcg250.jpg").fields.get("colour_space") is None


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow can't read AVIF")
def test_metadata_of_an_avif_are_read(shared: Path) -> None:
    avif = read_file(shared / "images" / "odd" / "photo.avif")
    assert avif.taken_at == datetime(2015, 10, 11, 14, 41, 44)
    assert avif.fields["lens"] == "EF50mm f/1.8 STM"
    assert "latitude" not in avif.fields and "rating" not in avif.fields


def test_metadata_of_odd_files_are_read(shared: Path) -> None:
    odd = shared / "images" / "odd"
    # It has a text for a pointer; the date is in XMP, and its fraction in the digitised date.
    found = read_file(odd / "exif_typeerror.jpg")
    zone = timezone(timedelta(hours=2))
    assert found.taken_at == datetime(2010, 7, 11, 13, 53, 0, 900_000, zone)
    assert found.taken_from == "xmp"
    assert found.fields["lens"] == "70.0-300.0 mm f/4.5-5.6"
    assert found.notes == ("broken EXIF directory ignored",)
    # EXIF has an editor's time of the last change, XMP the time of creation.
    found = read_file(odd / "pil_sample_cmyk.jpg")
    assert found.taken_at == datetime(2009, 3, 6, 21, 15, tzinfo=UTC)
    assert found.taken_from == "xmp"
    assert read_file(odd / "hopper_bad_exif.jpg").taken_from == ""
    # An IPTC block of empty datasets.
    assert read_file(odd / "nikon.nef").notes == ()
