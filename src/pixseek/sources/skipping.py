"""What a walk skips by itself: recycle bins, previews that programs keep, and unknown endings.

One table, `RULES`, and one function, `skipped_folder`, decide for folders; `lookalike` tells files
that look like images from others. The reference page on files shows both to users.
"""

from __future__ import annotations

import contextlib
import fnmatch
import functools
import os
import re
from collections.abc import Iterable

from pixseek import files, video
from pixseek.errors import ImageError
from pixseek.images import EXTENSIONS
from pixseek.images.formats import identify
from pixseek.types import Skipped
from pixseek.types.dataclass import dataclass
from pixseek.types.texts import composed
from pixseek.video.formats import EXTENSIONS as VIDEOS
from pixseek.video.formats import SHARED_ENDINGS

#: A library next to its photos, which nobody misses.
PORTABLE = ".pixseek"

#: Folders below a skipped one that are listed to count its images, at most.
_LISTED = 1000

#: Bytes that tell whether a file without an ending is an image.
_BEGINNING = 4096

#: Files without an ending that are looked into in one scan, at most: each costs an open file.
OPENED = 1000

#: Formats whose signature is so short that other files have it by chance.
_WEAK = frozenset({"BMP", "DIB", "ICO", "PNM", "SVG"})


@dataclass(frozen=True, slots=True)
class Rule:
    """Folders that are skipped.

    Attributes:
        names: of the folders, as patterns; without regard to case unless `exact`.
        why: what they are, as the report says it.
        inside: patterns of the path that the folder lies in, of which one must fit its end; "**"
            stands for any folders in between. () for anywhere.
        counted: whether the images in them are counted: they may be the only copy.
        exact: whether the case of names counts.
        but: patterns of names that are indexed nevertheless.
    """

    names: tuple[str, ...]
    why: str
    inside: tuple[str, ...] = ()
    counted: bool = True
    exact: bool = False
    but: tuple[str, ...] = ()


#: "Trash" in the languages of Google Photos.
_TRASH = (
    "trash", "bin", "papierkorb", "corbeille", "papelera", "lixeira", "lixo", "reciclagem",
    "cestino", "prullenbak", "kosz", "papperskorgen", "papirkurv", "papirkurven", "søppel",
    "roskakori", "koš", "kôš", "smetnjak", "lomtár", "kuka", "çöp kutusu", "çöp", "корзина",
    "кошик", "кошче", "отпад", "κάδος", "κάδος απορριμμάτων", "coș de gunoi", "coș",
    "coşul de gunoi", "ゴミ箱", "휴지통", "回收站", "垃圾桶", "垃圾筒", "資源回收筒",
    "סל אשפה", "אשפה", "سلة المهملات", "المهملات", "سطل زباله", "ถังขยะ", "thùng rác", "sampah",
    "tong sampah", "ट्रैश", "paperera", "smeće", "otpad", "šiukšliadėžė", "miskaste", "prügikast",
    "ruslafata", "zakarrontzia",
)  # fmt: skip

#: Where Takeout puts it. A folder of this name anywhere else is the user's own.
_TAKEOUT = (
    *(f"{takeout}{below}"
      for takeout in ("takeout", "takeout-*", "takeout [0-9]*", "takeout ([0-9]*)")
      for below in ("", "/*google*")),
    *(f"google {photos}"
      for photos in ("photos", "fotos", "foto", "foto's", "photo", "foto-k", "fotók", "bilder",
                     "billeder", "kuvat", "fotoğraflar", "фото", "снимки", "φωτογραφίες",
                     "フォト", "포토", "相册", "相簿", "写真", "תמונות", "صور")),
    "zdjęcia google", "fotky google", "fotografije google", "fotos de google", "foto di google",
)  # fmt: skip

_APPLE_PHOTOS = ("*.photoslibrary", "*.migratedphotolibrary")
_IPHOTO = ("*.photolibrary", "iphoto library")
_APERTURE = ("*.aplibrary", "*.migratedaplibrary")

#: In the order in which they are tried.
RULES: tuple[Rule, ...] = (
    # Recycle bins.
    Rule(("@recycle",), "recycle bin of a QNAP NAS"),
    Rule(("#recycle", "@sharebin"), "recycle bin of a Synology NAS"),
    Rule((".recycle", ".recycle.bin", "trashbox", "_nas_recycle_*", "network trash folder",
          "recycle bin - volume_*"), "recycle bin of a NAS"),
    Rule(("$recycle.bin", "recycler"), "recycle bin of Windows"),
    # A folder "Recycled" may be anyone's; Windows 98 wrote it in capitals.
    Rule(("RECYCLED",), "recycle bin of Windows", exact=True),
    Rule((".trash", ".trashes", ".trash-*", ".trashbin"), "recycle bin"),
    Rule((".dtrash",), "recycle bin of digiKam"),
    Rule(("files_trashbin",), "recycle bin of Nextcloud or ownCloud"),
    Rule((".debris", ".rubbish"), "recycle bin of MEGA"),
    Rule(_TRASH, "recycle bin of Google Photos", inside=_TAKEOUT),
    Rule(("recently deleted",), "recycle bin of iCloud Photos", inside=("icloud photos*",)),
    # Older versions and copies.
    Rule(("files_versions",), "older versions of Nextcloud or ownCloud"),
    Rule((".stversions",), "older versions of Syncthing"),
    Rule((".dropbox.cache", ".tmp.drivedownload", ".tmp.driveupload", ".sync", ".owncloudsync"),
         "cache of a cloud drive"),
    Rule(("@recently-snapshot", "#snapshot", ".snapshot", ".snapshots", "~snapshot", ".zfs"),
         "snapshots of a NAS", counted=False),
    # What a repair of the disk found.
    Rule(("found.[0-9][0-9][0-9]", "lost+found", "lost.dir"), "remains that a disk check found"),
    # Thumbnails and notes of systems.
    Rule(("@eadir",), "thumbnails of a Synology NAS", counted=False),
    Rule((".@__thumb", "@__thumb", "@tmp"), "thumbnails of a QNAP NAS", counted=False),
    Rule((".thumbnails", ".thumbcache*", ".thumbs", ".wdmc"), "thumbnails", counted=False),
    Rule(("thmbnl",), "thumbnails of a camera", inside=("m4root", "xdroot")),
    Rule(("cache",), "caches of Android apps", inside=("android/data/*", "android/media/*"),
         counted=False),
    Rule(("preview",), "thumbnails of Nextcloud", inside=("appdata_*",), counted=False),
    Rule(("system volume information", "__macosx", "temporary items"), "files of the system"),
    # Previews inside packages of photo programs; originals and edited versions are indexed.
    Rule(("derivatives", "proxies", "modelresources", "caches"), "previews of Apple Photos",
         inside=tuple(f"{each}/**/resources" for each in _APPLE_PHOTOS)),
    Rule(("face",), "faces cut out by Apple Photos",
         inside=tuple(f"{each}/resources/media" for each in _APPLE_PHOTOS)),
    Rule(("thumbnails", "previews", "private", "database", "internal"),
         "previews of Apple Photos", inside=_APPLE_PHOTOS),
    Rule(("thumbnails", "previews", "data", "data.noindex", "caches", "faces", "database",
          "apple tv photo cache", "ilifeshared"), "previews of iPhoto", inside=_IPHOTO),
    Rule(("ipod photo cache",), "previews of iPhoto"),
    Rule(("thumbnails", "previews", "masks", "database"), "previews of Aperture",
         inside=_APERTURE),
    # Mobile Downloads.lrdata holds originals.
    Rule(("*.lrdata",), "previews of Lightroom", but=("*mobile downloads.lrdata",)),
    Rule(("previews", "proxies", "thumbnails", "smart previews"), "previews of Lightroom",
         inside=("*.lrlibrary", "*.lrlibrary/*")),
    Rule(("cache",), "previews of Capture One", inside=("captureone", "*.cocatalog")),
)  # fmt: skip


# Reasons in a report.
_HIDDEN = "names that begin with a dot"
_NAMED = "look like images by their names"
_WITHOUT = "are images by their content"
_UNREAD = "images in a format that pixseek can't read"
_VIDEOS = "videos, which need: pip install 'pixseek[video]'"

#: What the names of the twins begin with that macOS writes next to files on other systems' disks.
_TWIN = "._"


def skipped_folder(name: str, above: str) -> Rule | None:
    """Return the rule by which a folder is skipped; None if it is not.

    Args:
        name: of the folder.
        above: the path that it lies in, with forward slashes.
    """
    for pattern, rule in _candidates():
        if pattern.match(name if rule.exact else folded(name)) is None:
            continue
        if rule.inside and not _inside(rule.inside).search(folded(above)):
            continue
        if not any(fnmatch.fnmatchcase(folded(name), each) for each in rule.but):
            return rule
    return None


def may_be_skipped(name: str) -> bool:
    """Return whether `skipped_folder` need be asked at all: few names need it."""
    return _any_name().match(folded(name)) is not None


def is_reached(root: str, relative: str, *, is_folder: bool) -> bool:
    """Return whether a walk of a root offers a file, or comes to a folder, by itself.

    Args:
        root: path of the root, with forward slashes.
        relative: path in it; "" for the root.
        is_folder: whether that is a folder.
    """
    if not relative:
        return True
    folder, _, name = (f"{relative}/" if is_folder else relative).rpartition("/")
    above = root
    for part in folder.split("/") if folder else ():
        if part[0] == "." or (may_be_skipped(part) and skipped_folder(part, above)):
            return False
        above = f"{above}/{part}"
    return is_folder or (name[0] != "." and _is_image_name(name))


def folded(text: str) -> str:
    """Return a name as names are compared: composed, in lower case."""
    return text.lower() if text.isascii() else composed(text).lower()


@functools.cache
def _any_name() -> re.Pattern[str]:
    names = {folded(name) for rule in RULES for name in rule.names}
    return re.compile("|".join(map(fnmatch.translate, sorted(names))))


@functools.cache
def _candidates() -> tuple[tuple[re.Pattern[str], Rule], ...]:
    def pattern(rule: Rule) -> re.Pattern[str]:
        names = rule.names if rule.exact else map(folded, rule.names)
        return re.compile("|".join(map(fnmatch.translate, names)))

    return tuple((pattern(rule), rule) for rule in RULES)


@functools.cache
def _inside(patterns: tuple[str, ...]) -> re.Pattern[str]:
    """Return what matches the end of a path in lower case."""

    # A star stays within a folder; "[0-9]" is the only set of characters that the table uses.
    one = {"/**/": "/(?:[^/]+/)*", "*": "[^/]*", "[0-9]": "[0-9]"}
    whole = (
        "".join(one.get(part, re.escape(part)) for part in re.split(r"(/\*\*/|\*|\[0-9\])", each))
        for each in map(folded, patterns)
    )
    return re.compile(f"(?:^|/)(?:{'|'.join(whole)})$")


# ------------------------------------------------------------------ files that look like images

_IMAGES = "|".join(sorted((ending[1:] for ending in EXTENSIONS), key=len, reverse=True))

#: An ending of an image with something behind it that no sidecar has: .JPG_large, .jpg~, .jpg!d,
#: .jpg (1), .jpg?name=orig.
_TRAILED = re.compile(rf"\.(?:{_IMAGES})(?!@syno)[^a-z0-9.].*", re.DOTALL)
#: Endings that programs put behind another.
_BEHIND = re.compile(
    r"\.(?:bak|backup|old|orig|original|save|saved|copy|tmp|temp|part|partial|crdownload|download"
    r"|opdownload|\d{1,3})"
)
#: Endings of small files that stand for images which a cloud drive has not downloaded.
_PLACEHOLDERS = {".icloud": "iCloud", ".nextcloud": "Nextcloud", ".owncloud": "ownCloud",
                 ".cloud": "odrive"}  # fmt: skip

#: Endings that are not candidates by name, though pixseek can read what such files usually hold.
READABLE = frozenset(
    f".{ending}"
    for ending in (
        # JPEG: Insta360's photos, thumbnails that cameras write, stereo photos, old spellings.
        "insp thm jps jif jfi pjpeg pjp jpegl "
        # Camera raw in a TIFF: GoPro, Leica, Mamiya, Pentax, Sony, Kodak, Leaf.
        "gpr rwl mef ptx srf k25 dcs drf nrf"
    ).split()
)

#: Images that pixseek can't read, by ending.
UNREADABLE = frozenset(
    f".{ending}"
    for ending in (
        "psb tga icb vda vst exr pcx dcx qoi hdr rgbe eps epsf epsi ai xcf kra ora afphoto "
        "afdesign procreate clip pdn cdr sketch xpm xbm pict pct wmf emf wmz emz sgi bw rgba "
        "inta ras sun dpx cin fits fts dcm dicom djvu djv flif bpg ktx ktx2 astc jxr wdp hdp "
        "mng icns cur iff lbm ilbm sid ecw jls pam fpx pcd pgx xwd gbr sai sai2 mdp psp "
        "pspimage raw rwz ari bay cs1 eip mdc pxn r3d braw cine wp2 avci avcs"
    ).split()
)  # fmt: skip


@functools.lru_cache(4096)
def lookalike(ending: str, before: str) -> tuple[int, bool] | None:
    """Return how a report calls files of this ending if they look like images, else None.

    Args:
        ending: of the name, in lower case, with its dot.
        before: the ending before that, as in "photo.jpg.bak"; "" for none.

    Returns:
        How many characters of the end of the name that is; and whether pixseek can read what such
        files usually hold.
    """
    if ending in UNREADABLE:
        return len(ending), False
    if ending in READABLE or _TRAILED.fullmatch(ending):
        return len(ending), True
    if before in EXTENSIONS and _BEHIND.fullmatch(ending):
        return len(before + ending), True
    return None


def has_no_ending(ending: str) -> bool:
    """Return whether what stands behind the last dot of a name, if anything, is not an ending.

    "Screenshot at 10.30.45" and "Dr. Smith" have none.
    """
    return len(ending) < 2 or " " in ending or ending[1:].isdecimal() or len(ending) > 16


def is_image(path: str) -> bool:
    """Return whether a file's content is surely that of an image.

    Raises:
        OSError: it can't be read.
    """
    beginning = files.beginning(path, _BEGINNING)
    try:
        return bool(beginning) and identify(beginning).name not in _WEAK
    except ImageError as error:
        return error.reason == "no-decoder"


# ------------------------------------------------------------------ counting


class Tally:
    """What one scan has skipped."""

    def __init__(self, root: str) -> None:
        """Begin, for the root of this name."""
        self._root = root
        self._found: dict[tuple[str, str, str], Skipped] = {}
        self._opened = 0

    def folder(
        self, path: str, relative: str, rule: Rule | None, images: int | None = None
    ) -> None:
        """Count a folder that is skipped by a rule, or, without one, as it is hidden.

        Its images are looked up by its path unless their number is given.
        """
        name = relative.rpartition("/")[2]
        uri, include = self._uri(relative), f"{_escaped(name)}/"
        if name == PORTABLE:
            return
        if rule is None:
            self._add(Skipped("hidden", "hidden", _HIDDEN, 0, 1, uri, include))
        else:
            if images is None:
                images = _count(path) if rule.counted else 0
            # "Cache" alone says little.
            what = "/".join(path.split(os.sep)[-2:]) if rule.inside else name
            self._add(Skipped("folder", what, rule.why, images, 1, uri, include))

    def hidden_file(self, relative: str) -> None:
        """Count a hidden file, if it is an image by its name."""
        name = relative.rpartition("/")[2]
        if self._is_placeholder(relative):
            return
        if _is_image_name(name) and not name.startswith(_TWIN):
            uri = self._uri(relative)
            self._add(Skipped("hidden", "hidden", _HIDDEN, 1, 0, uri, _escaped(name)))

    def file(self, path: str, relative: str) -> None:
        """Count a file that is not a candidate, if it looks like an image."""
        if self._is_placeholder(relative):
            return
        stem, ending = os.path.splitext(relative.rpartition("/")[2])
        before = os.path.splitext(stem)[1]
        if (found := lookalike(ending.lower(), before.lower())) is not None:
            length, is_readable = found
            what = (before + ending)[-length:]
            why = _NAMED if is_readable else _UNREAD
            include = f"*{_escaped(what)}" if is_readable else ""
            self._add(Skipped("ending", what, why, 1, 0, self._uri(relative), include))
        elif ending.lower() in VIDEOS and ending.lower() not in SHARED_ENDINGS:
            self._add(Skipped("ending", ending, _VIDEOS, 1, 0, self._uri(relative)))
        elif has_no_ending(ending) and self._opened < OPENED:
            self._opened += 1
            with contextlib.suppress(OSError):
                if is_image(path):
                    self._add(Skipped("ending", "", _WITHOUT, 1, 0, self._uri(relative)))

    def _is_placeholder(self, relative: str) -> bool:
        """Return whether a file stands for an image that was not downloaded, and count it if so."""
        stem, ending = os.path.splitext(relative.rpartition("/")[2])
        drive = _PLACEHOLDERS.get(ending.lower())
        if drive is None or not _is_image_name(stem):
            return False
        why = f"not downloaded from {drive}"
        self._add(Skipped("placeholder", ending, why, 1, 0, self._uri(relative)))
        return True

    def found(self) -> Iterable[Skipped]:
        """Return what was counted."""
        return self._found.values()

    def _add(self, new: Skipped) -> None:
        key = (new.kind, new.what.lower(), new.why)
        before = self._found.get(key)
        self._found[key] = new if before is None else before.and_also(new)

    def _uri(self, relative: str) -> str:
        return printable(f"{self._root}/{relative}")


def printable(text: str) -> str:
    """Return a name as text that can be printed, whatever bytes it has."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _escaped(name: str) -> str:
    return re.sub(r"([*?\[\]\\]|^[#!]| $)", r"\\\1", printable(name))


def _is_image_name(name: str) -> bool:
    ending = os.path.splitext(name)[1].lower()
    return ending in EXTENSIONS or (is_video_name(name) and ending not in SHARED_ENDINGS)


def is_video_name(name: str) -> bool:
    """Return whether a file's name ends as those of videos do."""
    return os.path.splitext(name)[1].lower() in VIDEOS


def is_candidate(path: str) -> bool:
    """Return whether a file is indexed by its name, which a few names share with other files."""
    ending = os.path.splitext(path)[1].lower()
    if ending in EXTENSIONS:
        return True
    if ending not in VIDEOS or not video.available():
        return False
    if ending not in SHARED_ENDINGS:
        return True
    try:
        return bool(video.media(files.beginning(path, _BEGINNING)))
    except OSError:
        return False


def _count(folder: str) -> int:
    """Return how many images lie below a folder, by their names.

    No more than `_LISTED` folders are listed. A folder that is named as an image is counted as one:
    it holds that image's thumbnails.
    """
    images = 0
    stack = [folder]
    for _ in range(_LISTED):
        if not stack:
            break
        try:
            with os.scandir(stack.pop()) as entries:
                for entry in entries:
                    if _is_image_name(entry.name) and not entry.name.startswith(_TWIN):
                        images += 1
                    elif entry.is_dir(follow_symlinks=False):
                        stack.append(entry.path)
        except OSError:
            continue
    return images
