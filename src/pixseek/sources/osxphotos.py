"""Exports of Apple Photos by osxphotos, whose database says what Photos knows of each file.

`osxphotos export` leaves it in the folder of the export. Sidecars have captions, keywords and
people; albums, favourites and what is hidden are in the database alone (osxphotos 0.77.2).
"""

from __future__ import annotations

import errno
import hashlib
import json
import sqlite3
import threading
import time
from collections.abc import Mapping
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from pixseek.errors import SourceError
from pixseek.types import Scalar
from pixseek.types.texts import composed

#: The file of the database.
DATABASE = ".osxphotos_export.db"

#: Tables of files and of photos with the column of JSON: since 2023, and before.
_TABLES = (("export_data", "photoinfo", "photoinfo"), ("files", "info", "json_info"))
#: Characters of what is known of one photo: with many faces it has some 50,000.
_MOST_JSON = 1_000_000
#: Primary codes of SQLite for what may be read at another time: no permission, busy, locked, a
#: fault of the disk, can't be opened, its lock can't be had.
_PASSING = frozenset((3, 5, 6, 10, 14, 15))
#: Seconds that one question to the database may take: it may come from a stranger.
_MOST_S = 20.0
_STEPS = 1_000_000

_NOBODY = "_UNKNOWN_"
_SECOND = timedelta(seconds=1)
#: Kinds of photos, as Photos calls them, by their key.
_KINDS = {
    "live_photo": "live photo", "burst": "burst", "hdr": "HDR", "panorama": "panorama",
    "portrait": "portrait", "selfie": "selfie", "screenshot": "screenshot", "has_raw": "raw",
}  # fmt: skip


def opened(folder: Path) -> Export | None:
    """Return the export in a folder; None if there is none.

    Raises:
        SourceError: its database can't be read.
        OSError: it can't be read now.
    """
    place = folder / DATABASE
    # A link could lead to any database of this user.
    return Export(place) if place.is_file() and not place.is_symlink() else None


class Export:
    """What Photos knows of exported files; see `PhotoLibrary`."""

    def __init__(self, place: Path) -> None:
        """Read which photo each file is of.

        Raises:
            SourceError: it is not a database of osxphotos, or it can't be read.
            OSError: it can't be read now: another program has locked it, or the disk fails.
        """
        self._place = place
        self._lock = threading.Lock()
        files, photos, column = self._tables()
        # The path is compared as a disk of macOS does it, which ignores case and normal form.
        self._photos = {
            _folded(path): uuid
            for path, uuid in self._asked(f"SELECT filepath, uuid FROM {files}")
            if isinstance(path, str) and isinstance(uuid, str)
        }
        self._question = (
            f"SELECT {column} FROM {photos} WHERE uuid = ? AND length({column}) <= {_MOST_JSON}"
        )

    def version(self, path: str) -> str:
        """Return the digest of what is known of a file; see `PhotoLibrary.version`."""
        text = self._text(path)
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest() if text else ""

    def fields(self, path: str) -> Mapping[str, Scalar | tuple[str, ...]]:
        """Return what is known of a file; see `PhotoLibrary.fields`."""
        content = json.loads(self._text(path) or "{}")
        return _fields_of(content, path) if isinstance(content, dict) else {}

    def _text(self, path: str) -> str:
        uuid = self._photos.get(_folded(path))
        rows = self._asked(self._question, uuid) if uuid else []
        return rows[0][0] if rows and isinstance(rows[0][0], str) else ""

    def _tables(self) -> tuple[str, str, str]:
        kept = {
            name for (name,) in self._asked("SELECT name FROM sqlite_master WHERE type='table'")
        }
        for found in _TABLES:
            if {found[0], found[1]} <= kept:
                return found
        raise SourceError("It is not a database of osxphotos", self._place, "Export again.")

    def _asked(self, question: str, *values: str) -> list[tuple[Any, ...]]:
        end = time.monotonic() + _MOST_S
        try:
            with (
                self._lock,
                closing(sqlite3.connect(f"{self._place.absolute().as_uri()}?mode=ro", uri=True))
                as database,
            ):  # fmt: skip
                # Opened each time, so that no file stays open: 0.1 ms.
                database.execute("PRAGMA trusted_schema = off")
                database.set_progress_handler(lambda: time.monotonic() > end, _STEPS)
                return database.execute(question, values).fetchall()
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF in _PASSING:
                raise OSError(errno.EAGAIN, str(error), str(self._place)) from error
            raise SourceError(
                "The database of osxphotos can't be read", self._place, f"{error}. Export again."
            ) from error


def _folded(path: str) -> str:
    return composed(path.replace("\\", "/")).casefold()


def _fields_of(photo: Mapping[str, Any], path: str) -> dict[str, Scalar | tuple[str, ...]]:
    """Return what the JSON of osxphotos says of a photo, as the fields of an `Item`."""
    said: dict[str, Any] = {
        "caption": _text(photo.get("description")),
        "title": _text(photo.get("title")),
        "tags": _texts(photo.get("keywords")),
        "people": tuple(name for name in _texts(photo.get("persons")) if name != _NOBODY),
        "albums": _texts(photo.get("albums")),
        "favorite": photo.get("favorite") is True or None,
        "hidden": photo.get("hidden") is True or None,
        "trashed": photo.get("intrash") is True or None,
        "taken_at": _text(photo.get("date")),
        "added_at": _text(photo.get("date_added")),
        "labels": "; ".join(_texts(photo.get("labels"))),
        "kinds": "; ".join(kind for key, kind in _KINDS.items() if photo.get(key) is True),
        "shared_by": _text(photo.get("owner")),
        "photos_id": _text(photo.get("uuid")),
    }
    original = _text(photo.get("original_filename"))
    if original and composed(original).casefold() != _folded(path).rpartition("/")[2]:
        said["original_name"] = original
    for axis in ("latitude", "longitude"):
        if isinstance(photo.get(axis), float):
            said[axis] = photo[axis]
    place = _object(photo.get("place"))
    address = _object(place.get("address"))
    said |= {
        "place_name": _text(place.get("name")),
        "sublocation": _text(address.get("sub_locality")),
        "city": _text(address.get("city")),
        "state": _text(address.get("state_province")),
        "country": _text(address.get("country")),
        "country_code": _text(address.get("iso_country_code")),
    }
    if _is_corrected(photo):
        said["taken_at_corrected"] = said["taken_at"]
    overall = _object(photo.get("score")).get("overall")
    if isinstance(overall, float):
        said["score"] = overall
    notes = (_object(each) for each in _list(photo.get("comments")))
    said["comments"] = "; ".join(
        f"{_text(each.get('user'))}: {_text(each.get('text'))}" for each in notes
    )
    return {name: value for name, value in said.items() if value not in ("", (), None)}


def _is_corrected(photo: Mapping[str, Any]) -> bool:
    """Return whether somebody has set another date in Photos than the camera had written."""
    camera = _text(photo.get("date_original")) or _text(_object(photo.get("exif_info")).get("date"))
    try:
        shown, was = map(datetime.fromisoformat, (_text(photo.get("date")), camera))
        return abs(shown - was) >= _SECOND
    except (ValueError, TypeError):  # one is missing, or has no time zone
        return False


def _text(value: object) -> str:
    return value.strip() if isinstance(value, str) else ""


def _texts(value: object) -> tuple[str, ...]:
    return tuple(text for each in _list(value) if (text := _text(each)))


def _list(value: object) -> list[Any]:
    return value[:1_000] if isinstance(value, list) else []


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
