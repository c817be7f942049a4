"""Exports of Apple Photos with their database, as osxphotos writes it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from PIL import Image

from pixseek.sources.osxphotos import DATABASE

#: As `osxphotos export` writes it (0.77.2), with the values of one photo.
PHOTO: Mapping[str, Any] = {
    "uuid": "A1", "original_filename": "IMG_0001.JPG", "filename": "A1.jpeg",
    "date": "2021-07-03T14:22:33.250000+02:00", "date_added": "2021-07-04T10:00:00+02:00",
    "albums": ["Lake trip", "Best of 2021"], "keywords": ["boat"], "labels": ["Water"],
    "persons": ["Ann", "_UNKNOWN_"], "favorite": True, "hidden": False, "intrash": False,
    "title": "The lake", "description": "A red boat", "latitude": 47.55, "longitude": 9.69,
    "place": {"name": "Lindau, Germany", "address": {
        "sub_locality": "Insel", "city": "Lindau", "state_province": "Bavaria",
        "country": "Germany", "iso_country_code": "DE"}},
    "score": {"overall": 0.71}, "live_photo": True, "burst": False, "hdr": True,
    "comments": [{"user": "Bob", "text": "Nice!"}], "owner": None,
}  # fmt: skip


def export(folder: Path, photos: Mapping[str, Mapping[str, Any]], *, old: bool = False) -> None:
    """Write files and the database of an export."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / DATABASE).unlink(missing_ok=True)
    with closing(sqlite3.connect(folder / DATABASE)) as database, database:
        database.execute("PRAGMA journal_mode = WAL")
        files, info, column = (
            ("files", "info", "json_info") if old else ("export_data", "photoinfo", "photoinfo")
        )
        database.execute(f"CREATE TABLE {files} (id INTEGER PRIMARY KEY, filepath TEXT, uuid TEXT)")
        database.execute(f"CREATE TABLE {info} (id INTEGER PRIMARY KEY, uuid TEXT, {column} JSON)")
        for number, (name, photo) in enumerate(photos.items()):
            if not (folder / name).exists():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                Image.new("RGB", (40, 30), f"#{number * 8:02x}0000").save(folder / name)
            values = (name, photo["uuid"])
            database.execute(f"INSERT INTO {files} (filepath, uuid) VALUES (?, ?)", values)
            values = (photo["uuid"], json.dumps(photo))
            database.execute(f"INSERT INTO {info} (uuid, {column}) VALUES (?, ?)", values)
