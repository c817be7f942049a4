"""Find and read sidecars: metadata files next to an image."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from pixseek.metadata import exiftool
from pixseek.metadata.charsets import decode_text
from pixseek.metadata.dates import from_epoch, parse_date
from pixseek.metadata.fields import (
    MAX_TAGS,
    DateSource,
    Findings,
    number,
    once,
    people_of_digikam,
    split_tags,
)
from pixseek.types.texts import composed, folded

#: Maximum bytes of a sidecar; larger ones are ignored.
MAX_TEXT = 64 << 10
MAX_JSON = 1 << 20

#: What the names of sidecars end in.
ENDINGS = (".xmp", ".txt", ".json")

# Google Takeout adds this, and cuts the name at a length that has changed over the years. Lengths
# are counted in UTF-16, in which most emojis are two.
_TAKEOUT_TAILS = tuple(".supplemental-metadata"[:length] for length in range(22, -1, -1))
_TAKEOUT_NAME = 46
_TAKEOUT_LONGEST = 50

# What Google Photos appends to the names of copies that it makes, in the languages of accounts.
_COPIES = (
    "-edited", "-effects", "-smile", "-mix", "-bearbeitet", "-modifié", "-modificato", "-editado",
    "-ha editado", "-editada", "-editat", "-bewerkt", "-redigerad", "-redigert", "-redigeret",
    "-edytowane", "-muokattu", "-upraveno", "-upravené", "-szerkesztett", "-düzenlendi",
    "-編集済み", "-已编辑", "-已編輯", "-수정됨", "-измененный", "-отредактировано", "-змінено",
)  # fmt: skip

# How Google Takeout names the file that describes an album, in the languages of accounts.
_ALBUM_FILES = frozenset(
    {"metadata", "metadaten", "métadonnées", "metadatos", "metadati", "metadados", "metagegevens",
     "metadane", "metaadatok", "metatiedot", "meta veriler", "метаданные", "метадані",
     "メタデータ", "메타데이터", "元数据", "中繼資料"}
)  # fmt: skip

_CAPTION_KEYS = ("caption", "captions", "description", "alt_text", "alttext", "alt", "text",
                 "prompt", "content")  # fmt: skip
_TAG_KEYS = ("tags", "keywords", "tagslist", "subject")
_PEOPLE_KEYS = ("people", "persons", "personinimage")
_DATE_KEYS = ("taken_at", "date_taken", "datetimeoriginal")
#: A date that comes before that of the camera.
_CORRECTED_KEY = "taken_at_corrected"

#: What `read_json` understands of an object that is not Google Takeout's, in lower case.
JSON_KEYS = frozenset(
    {*_CAPTION_KEYS, *_TAG_KEYS, *_PEOPLE_KEYS, *_DATE_KEYS, _CORRECTED_KEY, "title", "author",
     "artist", "copyright", "rating", "url", "favorited", "favorite", "archived", "albums"}
)  # fmt: skip


class SidecarFinder:
    """Finds the sidecars of the images in one folder.

    A folder is walked through once, and each image takes some 40 look-ups, however large it is.
    """

    def __init__(self, names: Iterable[str]) -> None:
        """Take the names of all files in a folder."""
        self._sidecars: dict[str, list[str]] = {}  # by their folded name
        others: list[str] = []
        for name in names:
            if name.lower().endswith(ENDINGS):
                self._sidecars.setdefault(folded(name), []).append(name)
            else:
                others.append(name)
        # What a sidecar can be named after, exactly; most folders have no sidecars.
        self._owners: set[str] = set()
        if self._sidecars:
            self._owners = {each for name in others for each in (name, _stem(name))}
        every = (name for names in self._sidecars.values() for name in names)
        self._album = min(
            (name for name in every if is_album(name) and _stem(name) not in self._owners),
            default="",
        )

    def find(self, name: str) -> list[str]:
        """Return the names of an image's sidecars, the most specific first.

        These are `photo.jpg.xmp` and `photo.xmp`, the same with `.txt` and `.json`, and the names
        of Google Takeout: `photo.jpg.supplemental-metadata.json`, cut anywhere,
        `photo.jpg(1).json` for `photo(1).jpg`, and for `photo-edited.jpg`, in any language, the
        sidecar of `photo.jpg`; the last is that of its album. Case and normal form do not matter,
        unless there is a sidecar that agrees in these too, or another file that a sidecar is named
        after exactly.
        """
        if not self._sidecars:
            return []
        found = [
            sidecar
            for whole in dict.fromkeys((name, _stem(name)))
            for sidecar in self._named(whole, ENDINGS)
        ]
        if not any(map(_is_json, found)):
            found += self._of_takeout(name)
        # Elsewhere, as in data sets, a file of this name is about other things, and may be large.
        if self._album and self._album not in found and any(map(_is_json, found)):
            found.append(self._album)
        return found

    def _named(self, whole: str, tails: Iterable[str]) -> Iterator[str]:
        """Yield the sidecars whose names are that of a file and one of some ASCII tails."""
        key = folded(whole)
        for tail in tails:
            candidates = self._sidecars.get(key + tail)
            if candidates is None:
                continue
            best = _closest(candidates, whole, tail)
            if best.startswith(whole) or best[: -len(tail)] not in self._owners:
                yield best

    def _of_takeout(self, name: str) -> list[str]:
        """Return the JSON that Google Takeout has for an image, if it is there."""
        stem, ending = _stem(name), name[len(_stem(name)) :]
        titles = [*_numbered(stem)]
        found = self._of_titles(titles, ending)
        if not found:
            made = [made for title in titles for made in self._made_of(*title, ending)]
            found = self._of_titles(made, ending)
        return found

    def _of_titles(self, titles: Sequence[tuple[str, str]], ending: str) -> list[str]:
        for title, count in titles:
            tails = (f"{tail}{count}.json" for tail in _TAKEOUT_TAILS)
            for found in self._named(title + ending, tails):
                return [found]
        # A count stands behind the cut, so the name that has one comes first.
        for title, count in sorted(titles, key=lambda each: not each[1]):
            cut = _cut(title + ending, _TAKEOUT_NAME)
            if cut != title + ending:
                for found in self._named(cut, (f"{count}.json",)):
                    return [found]
        return []

    def _made_of(self, stem: str, count: str, ending: str) -> Iterator[tuple[str, str]]:
        """Yield stems and counts of the files that Google Photos may have made a copy of."""
        lower = composed(stem).lower()
        for suffix in _COPIES if lower.endswith(_COPIES) else ():
            if lower.endswith(suffix):
                bare = composed(stem)[: -len(suffix)]
                yield from [(bare, count)] if count else _numbered(bare)
        bare, dash, word = stem.rpartition("-")
        if not dash or bare + count + ending not in self._owners:
            return
        # A name that is too long is cut within the suffix. And the words of other languages: each
        # file that was uploaded has JSON of its own, so one without it is a copy.
        is_cut = _length(stem + count + ending) >= _TAKEOUT_LONGEST
        if (is_cut and any(suffix.startswith(f"-{word.lower()}") for suffix in _COPIES)) or (
            word.replace(" ", "").isalpha()
            and any(self._named(bare + ending, [f"{s}{count}.json" for s in _TAKEOUT_TAILS[:-2]]))
        ):
            yield bare, count


def is_album(name: str) -> bool:
    """Return whether a file may describe an album of Google Takeout, by its name."""
    stem, ending = _stem(name), name[len(_stem(name)) :]
    return ending.lower() == ".json" and any(
        folded(bare) in _ALBUM_FILES for bare, _ in _numbered(stem)
    )


def _is_json(name: str) -> bool:
    return name.lower().endswith(".json")


def _closest(candidates: Sequence[str], whole: str, tail: str) -> str:
    """Return the name that is most like that of a file and a tail, in case and normal form."""
    return min(candidates, key=lambda each: (each != whole + tail, not each.startswith(whole)))


def _numbered(stem: str) -> Iterator[tuple[str, str]]:
    """Yield a stem as it is, and without a count such as "(1)", each with the count that is gone.

    Google numbers files of equal titles, and puts the number elsewhere in the name of the JSON.
    """
    yield stem, ""
    if stem.endswith(")"):
        bare, bracket, count = stem[:-1].rpartition("(")
        if bracket and count.isdigit():
            yield bare, f"({count})"


def _stem(name: str) -> str:
    return name.rpartition(".")[0] or name


def _length(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def _cut(text: str, most: int) -> str:
    """Return a text without what goes beyond some length in UTF-16."""
    if text.isascii():
        return text[:most]
    return text.encode("utf-16-le", "surrogatepass")[: 2 * most].decode("utf-16-le", "ignore")


def read_text(data: bytes) -> Findings:
    """Return the content of a text sidecar as a caption."""
    found = Findings()
    if len(data) > MAX_TEXT:
        found.notes.append("text file too long for a caption ignored")
    elif data.startswith((b"\xff\xfe", b"\xfe\xff")):
        found.put_caption(data.decode("utf-16", "replace"))
    else:
        found.put_caption(decode_text(data))
    return found


def read_json(data: bytes, name: str = "") -> Findings:
    """Return the metadata in a JSON sidecar.

    Google Takeout, img2dataset, osxphotos and exiftool write these; any JSON object with keys such
    as "caption", "tags" and "title" will do.

    Args:
        data: content of the file.
        name: of the image's file, which chooses among several objects of exiftool.

    Raises:
        Exception: whatever the parser raises if it is not JSON; `merging` catches it.
    """
    found = Findings()
    if len(data) > MAX_JSON:
        found.notes.append("JSON file too long for a sidecar ignored")
        return found
    try:
        content = json.loads(data)
    except UnicodeDecodeError:  # a console of Windows wrote it in the encoding of its country
        content = json.loads(decode_text(data))
    if isinstance(content, list):  # exiftool, osxphotos
        content = _of_image(content, name)
    if not isinstance(content, dict):
        found.notes.append("JSON without an object ignored")
        return found
    if exiftool.is_exiftool(content):
        entry = exiftool.flattened(content)
        exiftool.read_tags(entry, found)
    else:
        names = ((key.rpartition(":")[2].casefold(), key) for key in reversed(content))
        entry = {name: content[key] for name, key in names}
    is_takeout = "phototakentime" in entry or "geodata" in entry
    for key in _CAPTION_KEYS:
        caption = "\n".join(_texts(entry.get(key)))
        # Takeout writes an apostrophe as "&#39;".
        found.put_caption(html.unescape(caption) if is_takeout else caption)
    if not found.tags:
        # A text alone is a list, in which commas separate; an item of an array may contain one.
        found.tags = once(
            tag
            for key in _TAG_KEYS
            for tag in split_tags(_texts(entry.get(key)), commas=isinstance(entry.get(key), str))
        )[:MAX_TAGS]
    if not is_takeout:  # Takeout's title is the file's name
        found.put("title", entry.get("title"))
    found.put("artist", "; ".join(_texts(entry.get("author") or entry.get("artist"))))
    found.put("copyright", entry.get("copyright"))
    found.put("rating", entry.get("rating"))
    found.put("source_url", entry.get("url"))
    found.put("favourite", entry.get("favorited"))
    found.put("favourite", entry.get("favorite"))
    found.put("archived", entry.get("archived"))
    found.put_people(_people(entry))
    albums = entry.get("albums")
    found.put_albums(albums.split(";") if isinstance(albums, str) else _texts(albums))
    _read_takeout(entry, found)
    latitude, longitude = number(entry.get("latitude")), number(entry.get("longitude"))
    if latitude is not None and longitude is not None and "latitude" not in found.fields:
        found.put_position(latitude, longitude)
    for key in ("sublocation", "city", "state", "country", "country_code"):
        found.put(key, entry.get(key))
    for key in _DATE_KEYS:
        written = entry.get(key)
        if isinstance(written, str):
            found.put_date(DateSource.SIDECAR_JSON, parse_date(written))
    if isinstance(written := entry.get(_CORRECTED_KEY), str):
        found.put_date(DateSource.CORRECTED, parse_date(written))
    _read_exif_text(entry.get("exif"), found)
    return found


def read_album(data: bytes) -> Findings:
    """Return the name of the album that a file of Google Takeout describes.

    The files of folders by year ("Photos from 2021") have a title and nothing else.
    """
    found = Findings()
    content = _object(data)
    content = content.get("albumData", content)  # until about 2020
    if (
        isinstance(content, dict)
        and not {"date", "access", "enrichments", "sharedAlbumComments"}.isdisjoint(content)
        and "photoTakenTime" not in content
    ):
        found.put_albums(_texts(content.get("title")))
    return found


def _of_image(entries: list[Any], name: str) -> object:
    """Return the one of several objects that is about an image; None if none is."""
    if len(entries) == 1:
        return entries[0]
    wanted = folded(name)
    by_name: dict[str, object] = {}
    for entry in entries:
        source = entry.get("SourceFile") if isinstance(entry, dict) else None
        if isinstance(source, str):
            by_name.setdefault(folded(re.split(r"[/\\]", source)[-1]), entry)
    return by_name.get(wanted) or next(
        (each for key, each in by_name.items() if _stem(key) == _stem(wanted)), None
    )


def _read_exif_text(text: object, found: Findings) -> None:
    """Add what img2dataset keeps of the original's EXIF: the file that it wrote has none."""
    if isinstance(text, str) and text.startswith("{"):
        content = _object(text.encode("utf-8", "replace"))
        exiftool.read_tags(exiftool.of_exifread(content), found)


def orientation_beside(sidecars: Iterable[tuple[str, bytes]]) -> str:
    """Return how pixels lie that the JSON of img2dataset describes.

    img2dataset writes images anew without EXIF, and does not turn them.

    Args:
        sidecars: name and content of each.

    Returns:
        A text such as "Rotated 90 CW" (see `images.turned`), or any other; "" if it says nothing.
    """
    for name, data in sidecars:
        if name.lower().endswith(".json") and b"Image Orientation" in data:
            exif = _object(data).get("exif")
            content = _object(exif.encode("utf-8", "replace")) if isinstance(exif, str) else {}
            return exiftool.orientation(exiftool.of_exifread(content))
    return ""


def is_trashed(sidecars: Iterable[tuple[str, bytes]]) -> bool:
    """Return whether the JSON of Google Takeout says that an image is in the trash.

    Args:
        sidecars: name and content of each.
    """
    return any(
        _object(data).get("trashed") is True
        for name, data in sidecars
        if name.lower().endswith(".json") and b'"trashed"' in data
    )


def _object(data: bytes) -> Mapping[str, Any]:
    """Return the object in a JSON file; an empty one if there is none, or it is too long."""
    try:
        content = json.loads(data) if len(data) <= MAX_JSON else None
    except (ValueError, RecursionError):
        content = None
    return content if isinstance(content, dict) else {}


def _people(entry: Mapping[str, Any]) -> Iterator[str]:
    for key in _PEOPLE_KEYS:
        yield from _texts(entry.get(key))
    yield from people_of_digikam(_texts(entry.get("tagslist")))


def _read_takeout(entry: Mapping[str, Any], found: Findings) -> None:
    taken = entry.get("phototakentime")
    if isinstance(taken, dict):
        seconds = number(taken.get("timestamp"))
        if seconds is not None:
            found.put_date(DateSource.SIDECAR_JSON, from_epoch(seconds))
    for key in ("geodata", "geodataexif"):
        place = entry.get(key)
        if not isinstance(place, dict) or "latitude" in found.fields:
            continue
        latitude, longitude = number(place.get("latitude")), number(place.get("longitude"))
        if latitude is None or longitude is None:
            continue
        if latitude or longitude:  # Takeout writes 0, 0 for "unknown"
            found.put_position(latitude, longitude)
            found.put("altitude_m", place.get("altitude") or None)


def _texts(value: object) -> Iterator[str]:
    """Yield the texts in a value: a text, or a list of texts or of objects with a name."""
    for each in value[:1000] if isinstance(value, list) else (value,):
        named = each.get("name") if isinstance(each, dict) else each
        if isinstance(named, str):
            yield named
