"""What a walk skips by itself, what the report says of it, and how it is indexed after all."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image

from pixseek.sources.folder import FolderSource
from pixseek.sources.skipping import is_reached, skipped_folder
from pixseek.types import Candidate, Skipped


def make(root: Path, *names: str, content: bytes = b"x") -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def jpeg() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(file, "JPEG")
    return file.getvalue()


def walked(source: FolderSource) -> tuple[list[str], dict[str, Skipped]]:
    events = list(source.scan())
    offered = [event.uri for event in events if isinstance(event, Candidate)]
    return sorted(offered), {event.what: event for event in events if isinstance(event, Skipped)}


SKIPPED = """
@Recycle @recycle #recycle $RECYCLE.BIN $Recycle.Bin RECYCLER recycler RECYCLED FOUND.000
found.017 files_trashbin files_versions lost+found LOST.DIR .Trash .Trashes .Trash-1000
.dtrash .stversions .recycle @Recently-Snapshot #snapshot .@__thumb @eaDir .thumbnails
__MACOSX System\\ Volume\\ Information Network\\ Trash\\ Folder iPod\\ Photo\\ Cache
Lib.photoslibrary/resources/derivatives Lib.PhotosLibrary/Resources/Derivatives
Lib.photoslibrary/resources/proxies Lib.photoslibrary/resources/media/face
Lib.photoslibrary/scopes/syndication/resources/derivatives
Old.migratedphotolibrary/Thumbnails Lib.photolibrary/Thumbnails
iPhoto\\ Library.photolibrary/Previews iPhoto\\ Library/Data A.aplibrary/Thumbnails
A.aplibrary/Previews Cat\\ Previews.lrdata Cat\\ Smart\\ Previews.LRDATA
Cloud.lrlibrary/1a2b/previews Shoot/CaptureOne/Cache Cat.cocatalog/Cache M4ROOT/THMBNL
Takeout/Google\\ Photos/Trash Takeout/Google\\ Fotos/Papierkorb Google\\ Photos/Corbeille
takeout-20240101T000000Z-001/Takeout/Google\\ Foto/Cestino Takeout/Google\\ フォト/ゴミ箱
Takeout/Google\\ Фото/Корзина Takeout/Google\\ Photos/Bin Takeout/Trash appdata_oc12/preview
Android/data/com.whatsapp/cache iCloud\\ Photos\\ Part\\ 1\\ of\\ 2/Recently\\ Deleted
"""

INDEXED = """
Trash Bin Cache Thumbnails Previews Data Archive Recycled Recycler\\ art found.txt FOUND.00a
Papierkorb derivatives resources/derivatives Corbeille Google\\ Earth/Trash
Holiday/Takeout\\ menus/Trash Lib.photoslibrary/originals/0 Lib.photoslibrary/Masters
Lib.photoslibrary/resources/renders Old.photolibrary/Originals Old.photolibrary/Modified
A.aplibrary/Masters Takeout/Google\\ Photos/Album Mobile\\ Downloads.lrdata
Cloud.lrlibrary/1a2b/originals Cat.cocatalog/Originals
Takeout/Google\\ Photos/Photos\\ from\\ 2020 Takeout/Drive/Trash CaptureOne/Output
lost\\ and\\ found
"""


def names(text: str) -> list[str]:
    return [name.replace("\0", " ") for name in text.replace("\\ ", "\0").split()]


@pytest.mark.parametrize("name", names(SKIPPED))
def test_bins_and_previews_are_skipped_wherever_they_lie(name: str) -> None:
    above, _, last = f"/home/me/{name}".rpartition("/")
    assert skipped_folder(last, above) is not None
    assert not is_reached("/home/me", f"{name}/below", is_folder=True)


@pytest.mark.parametrize("name", names(INDEXED))
def test_folders_of_users_are_not_skipped_whatever_they_are_called(name: str) -> None:
    assert is_reached("/home/me", f"{name}/a.jpg", is_folder=False)


def test_a_bin_is_counted_with_what_lies_below_it(tmp_path: Path) -> None:
    make(tmp_path, "a.jpg", "@Recycle/1.jpg", "@Recycle/x/2.HEIC", "@Recycle/notes.txt",
         "sub/@recycle/3.jpg", "sub/@eaDir/b.jpg/SYNOPHOTO_THUMB_M.jpg", "sub/b.jpg")  # fmt: skip
    offered, skipped = walked(FolderSource("r", tmp_path))
    assert offered == ["r/a.jpg", "r/sub/b.jpg"]
    bin_ = skipped["@Recycle"]
    assert (bin_.kind, bin_.images, bin_.folders) == ("folder", 3, 2)
    assert "recycle bin" in bin_.why
    assert bin_.example == "r/@Recycle"
    assert bin_.include == "@Recycle/"
    # Synology keeps one folder of thumbnails in each folder: they are not even listed.
    assert (skipped["@eaDir"].images, skipped["@eaDir"].folders) == (0, 1)


def test_what_is_hidden_is_counted_but_not_the_twins_of_a_mac(tmp_path: Path) -> None:
    make(
        tmp_path, "a.jpg", "._a.jpg", ".DS_Store", ".hidden.jpg", ".git/x.jpg", ".Trash-1000/y.jpg"
    )
    offered, skipped = walked(FolderSource("r", tmp_path))
    assert offered == ["r/a.jpg"]
    assert (skipped["hidden"].images, skipped["hidden"].folders) == (1, 1)
    assert skipped[".Trash-1000"].images == 1


def test_files_that_look_like_images_are_counted_by_ending(tmp_path: Path) -> None:
    make(tmp_path, "1.JPG_large", "2.jpg_large", "3.insp", "4.psb", "5.tga", "6.exr", "7.pcx",
         "8.qoi", "9.jpg~", "10.jpg.bak", "11.JPG_original", "12.jpg (1)", "13.jpg?name=orig",
         "14.heic.crdownload", "15.png!d", "16.kra", "17.gpr")  # fmt: skip
    make(tmp_path, "a.jpg", "a.jpg.xmp", "a.jpg.json", "a.jpg.supplemental-metadata.json",
         "notes.txt", "a.jpg.zip", "a.pdf", "b.aae", "index.html")  # fmt: skip
    offered, skipped = walked(FolderSource("r", tmp_path))
    assert offered == ["r/a.jpg"]
    assert {what: each.images for what, each in skipped.items()} == {
        ".JPG_large": 2, ".insp": 1, ".psb": 1, ".tga": 1, ".exr": 1, ".pcx": 1, ".qoi": 1,
        ".jpg~": 1, ".jpg.bak": 1, ".JPG_original": 1, ".jpg (1)": 1, ".jpg?name=orig": 1,
        ".heic.crdownload": 1, ".png!d": 1, ".kra": 1, ".gpr": 1,
    }  # fmt: skip
    assert skipped[".JPG_large"].include == "*.JPG_large"
    assert skipped[".insp"].include == "*.insp"
    assert skipped[".psb"].include == ""


def test_what_a_cloud_drive_has_not_downloaded_is_named(tmp_path: Path) -> None:
    make(tmp_path, "a.jpg", ".b.heic.icloud", ".notes.txt.icloud", "c.jpg.nextcloud",
         "d.jpg@SynoResource")  # fmt: skip
    _, skipped = walked(FolderSource("r", tmp_path))
    assert {what: (each.kind, each.why) for what, each in skipped.items()} == {
        ".icloud": ("placeholder", "not downloaded from iCloud"),
        ".nextcloud": ("placeholder", "not downloaded from Nextcloud"),
    }


def test_files_without_an_ending_are_looked_into(tmp_path: Path) -> None:
    make(tmp_path, "f_000012", "shot at 10.30.45", "Dr. Smith", content=jpeg())
    make(tmp_path, "Makefile", "LICENSE", "BMW", content=b"BM something else")
    _, skipped = walked(FolderSource("r", tmp_path))
    assert [(what, each.images) for what, each in skipped.items()] == [("", 3)]


@pytest.mark.parametrize(
    ("include", "more"),
    [
        (["@Recycle/"], ["@Recycle/1.jpg", "@Recycle/deep/2.jpg", "sub/@Recycle/3.jpg"]),
        (["@Recycle"], ["@Recycle/1.jpg", "@Recycle/deep/2.jpg", "sub/@Recycle/3.jpg"]),
        (["/@Recycle/"], ["@Recycle/1.jpg", "@Recycle/deep/2.jpg"]),
        (["/@Recycle"], ["@Recycle/1.jpg", "@Recycle/deep/2.jpg"]),
        (["/@Recycle/deep"], ["@Recycle/deep/2.jpg"]),
        (["/@Recycle/1.jpg"], ["@Recycle/1.jpg"]),
        (["@Recycle/deep/"], ["@Recycle/deep/2.jpg"]),
        (["@Recycle/deep"], ["@Recycle/deep/2.jpg"]),
        (["@Recycle/de*/"], []),  # nothing leads below a folder that is skipped
        (["/@RECYCLE/"], ["@Recycle/1.jpg", "@Recycle/deep/2.jpg"]),
        (["*.jpg_LARGE"], ["x.JPG_large"]),
        (["#recycle/"], ["sub/#Recycle/5.jpg"]),
        ([".picasaoriginals/"], ["sub/.picasaoriginals/4.jpg"]),
        (["*.JPG_large"], ["x.JPG_large"]),
        (["@Recycle/", "*.JPG_large"], ["@Recycle/1.jpg", "@Recycle/deep/2.jpg",
         "@Recycle/y.JPG_large", "sub/@Recycle/3.jpg", "x.JPG_large"]),
        (["/x.JPG_large", "/sub/.picasaoriginals/4.jpg"],
         ["sub/.picasaoriginals/4.jpg", "x.JPG_large"]),
    ],
)  # fmt: skip
def test_include_lets_in_what_it_names_and_nothing_else(
    tmp_path: Path, include: list[str], more: list[str]
) -> None:
    make(tmp_path, "a.jpg", "@Recycle/1.jpg", "@Recycle/deep/2.jpg", "@Recycle/list.txt",
         "@Recycle/y.JPG_large", "sub/@Recycle/3.jpg", "sub/.picasaoriginals/4.jpg",
         "sub/#Recycle/5.jpg", "x.JPG_large", "notes.txt")  # fmt: skip
    offered, _ = walked(FolderSource("r", tmp_path, include=include))
    assert offered == sorted(f"r/{name}" for name in ("a.jpg", *more))


def test_options_have_no_comments(tmp_path: Path) -> None:
    make(tmp_path, "a.jpg", "#old/1.jpg")
    assert walked(FolderSource("r", tmp_path, exclude=["#old/"]))[0] == ["r/a.jpg"]


@pytest.mark.parametrize(
    "name", ["#recycle", "$RECYCLE.BIN", "iPod Photo Cache", "Trip [1].lrdata"]
)
def test_the_pattern_that_a_report_names_lets_in_what_it_counted(tmp_path: Path, name: str) -> None:
    make(tmp_path, "a.jpg", f"sub/{name}/1.jpg")
    _, skipped = walked(FolderSource("r", tmp_path))
    offered, _ = walked(FolderSource("r", tmp_path, include=[skipped[name].include]))
    assert offered == ["r/a.jpg", f"r/sub/{name}/1.jpg"]


def test_a_preview_in_a_package_is_named_with_its_place(tmp_path: Path) -> None:
    make(tmp_path, "Shoot/CaptureOne/Cache/Proxies/1.jpg", "Other/CaptureOne/Cache/2.jpg")
    _, skipped = walked(FolderSource("r", tmp_path))
    assert (skipped["CaptureOne/Cache"].images, skipped["CaptureOne/Cache"].folders) == (2, 2)


def test_exclude_is_stronger_than_include(tmp_path: Path) -> None:
    make(tmp_path, "a.jpg", "@Recycle/1.jpg", "@Recycle/2.gif")
    offered, _ = walked(FolderSource("r", tmp_path, exclude=["*.gif"], include=["@Recycle/"]))
    assert offered == ["r/@Recycle/1.jpg", "r/a.jpg"]


@pytest.mark.parametrize(
    "place", ["@Recycle", "Lib.photoslibrary/resources/derivatives", ".hidden"]
)
def test_a_folder_that_is_named_is_never_skipped(tmp_path: Path, place: str) -> None:
    make(tmp_path, f"{place}/x/1.jpg")
    assert walked(FolderSource("r", tmp_path, [place]))[0] == [f"r/{place}/x/1.jpg"]
    assert walked(FolderSource("r", tmp_path / place))[0] == ["r/x/1.jpg"]
