"""Which members of an archive are indexed and as what, and which of them describe others."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Collection

from pixseek import files
from pixseek.images import EXTENSIONS
from pixseek.metadata.sidecars import JSON_KEYS, MAX_JSON, SidecarFinder
from pixseek.sources.archived_videos import endings
from pixseek.sources.patterns import Included, Patterns
from pixseek.sources.skipping import Tally, may_be_skipped, printable, skipped_folder
from pixseek.types import Scalar
from pixseek.types.texts import composed

#: Endings of members that describe images; ".cls" is the class of a sample of webdataset.
SIDECARS = (".xmp", ".txt", ".json", ".cls")


class Choice:
    """Which members of an archive are indexed, as a folder of the same files would be."""

    def __init__(
        self,
        above: str,
        shard: str,
        exclude: Patterns | None,
        include: Included | None,
        tally: Tally,
    ) -> None:
        """Choose for one archive.

        Args:
            above: the path of the folder that it lies in, with forward slashes.
            shard: what the paths of its members in the root begin with: "" or "000.tar/".
            exclude: what users exclude.
            include: what they include although it would be skipped.
            tally: counts what is skipped.
        """
        self._where, self._shard, self._tally = above, shard, tally
        self._exclude, self._include = exclude, include
        self._folders: dict[str, str] = {"": ""}  # why each is skipped; "" if it is not
        self._skipped: Counter[str] = Counter()  # images by the folder that is skipped
        self._endings = EXTENSIONS | endings()

    def takes(self, relative: str) -> bool:
        """Return whether a member is a candidate."""
        folder, _, name = relative.rpartition("/")
        inside = f"{self._shard}{relative}"
        exclude, include = self._exclude, self._include
        if exclude is not None and exclude.match(inside):
            return False
        is_wanted = include is not None and (include.covers(inside) or include.file(inside))
        why = self._of(folder)
        if why == "excluded" or (why and not is_wanted):
            return False
        if is_wanted:
            return True
        return name[0] != "." and os.path.splitext(name)[1].lower() in self._endings

    def count(self, relative: str) -> None:
        """Count a file that is not a candidate, if it looks like an image."""
        folder, _, name = relative.rpartition("/")
        why, ending = self._of(folder), os.path.splitext(name)[1].lower()
        if why == "excluded" or self.takes(relative):
            return
        if why:
            self._skipped[why] += ending in self._endings and not name.startswith("._")
        elif name[0] == ".":
            self._tally.hidden_file(f"{self._shard}{relative}")
        elif ending not in self._endings:
            self._tally.file("", f"{self._shard}{relative}")

    def finish(self) -> None:
        """Pass on what was counted in folders."""
        for folder, images in self._skipped.items():
            above, _, name = folder.rpartition("/")
            rule = skipped_folder(name, self._above(above))
            self._tally.folder("", f"{self._shard}{folder}", rule, images)

    def _of(self, folder: str) -> str:
        """Return the topmost folder that is skipped, of one and those above it.

        "" if none is, "excluded" if users exclude one.
        """
        if folder in self._folders:
            return self._folders[folder]
        above, _, name = folder.rpartition("/")
        why = self._of(above)
        exclude, include = self._exclude, self._include
        inside = f"{self._shard}{folder}"
        if not why and exclude is not None and exclude.match(f"{inside}/"):
            why = "excluded"
        elif not why and not (include is not None and include.folder(inside)):
            rule = skipped_folder(name, self._above(above)) if may_be_skipped(name) else None
            why = folder if rule is not None or name[0] == "." else ""
        self._folders[folder] = why
        return why

    def _above(self, folder: str) -> str:
        return f"{self._where}/{folder}".rstrip("/")


class Beside:
    """Finds the sidecars of the images in one folder of an archive."""

    def __init__(self, names: Collection[str], *, is_sample: bool) -> None:
        """Take the names of all files in the folder.

        Args:
            names: of the files.
            is_sample: a text or JSON file also belongs to the images whose names go on behind its
                own with a dot, as in the samples of webdataset.
        """
        self._finder = SidecarFinder(names)
        self._keys = {
            name.lower(): name for name in names if is_sample and name.lower().endswith(SIDECARS)
        }

    def of(self, name: str) -> tuple[str, ...]:
        """Return the names of an image's sidecars, the most specific first."""
        found = self._finder.find(name)
        has = {os.path.splitext(each)[1].lower() for each in found}
        key = name.lower() if self._keys else ""
        while "." in key[1:]:
            key = key.rpartition(".")[0]
            for ending in SIDECARS:
                if ending not in has and (beside := self._keys.get(key + ending)) is not None:
                    found.append(beside)
                    has.add(ending)
        return tuple(found)


def path_of(name: str) -> str | None:
    """Return the path in its archive that a member's name means; None if it means none.

    It has neither a beginning of its own ("/", "C:/") nor parts that lead anywhere.
    """
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if parts and len(parts[0]) == 2 and parts[0][1] == ":":
        del parts[0]
    relative = "/".join(parts)
    try:
        relative.encode()
    except UnicodeEncodeError:
        return None
    return relative if relative and files.stays_inside(relative) else None


def harmless(name: str) -> str:
    """Return a name that leads nowhere, for a report."""
    parts = (part for part in printable(name).replace("\0", "").split("/") if part)
    return "/".join("__" if part in (".", "..") else part for part in parts)


def class_of(data: bytes) -> dict[str, Scalar]:
    """Return the class of a sample of webdataset, as a field."""
    text = data[:200].decode("utf-8", "replace").strip()
    return {"cls": int(text) if text.isdecimal() and len(text) < 10 else text} if text else {}


def fields_of(data: bytes) -> dict[str, Scalar]:
    """Return what the JSON of a sample says besides what any JSON sidecar may say."""
    try:
        content = json.loads(data) if len(data) <= MAX_JSON else None
    except (ValueError, RecursionError):
        return {}
    # Google Takeout and exiftool have formats of their own, which `metadata` reads.
    if not isinstance(content, dict) or {"photoTakenTime", "SourceFile"} & content.keys():
        return {}
    return {
        composed(name): value
        for name, value in content.items()
        if isinstance(value, str | int | float | bool)
        and name.casefold() not in {*JSON_KEYS, "exif"}
        and (not isinstance(value, int) or abs(value) < 1 << 63)
    }
