"""Listings of buckets and servers: page by page where the service has pages that can be asked for.

A bucket of a million files in a million folders is a thousand requests this way, and not a million.
"""

from __future__ import annotations

import errno
import posixpath
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from pixseek.types.dataclass import dataclass

if TYPE_CHECKING:
    from pixseek.sources.remote_files import Entry, RemoteFiles

#: Folders that are listed at once where each is a request of its own.
_AT_ONCE = 8
#: Pages in one another with the same links that are taken for a web without an end: with links to
#: files, and without (files are often spread over folders of the same names, `0/0` to `f/f`).
_ALIKE, _ALIKE_FOLDERS = 3, 5
#: Folders in one another that are followed on the web.
_DEEPEST = 30


@dataclass(frozen=True, slots=True)
class Unlisted:
    """A folder that can't be listed, in a place that can.

    Attributes:
        folder: its path.
        error: why.
    """

    folder: str
    error: OSError


def pages(place: RemoteFiles, below: str) -> Iterator[list[Entry] | Unlisted]:
    """Yield the files below a folder of a place; see `RemoteFiles.pages`."""
    if place.scheme in ("s3", "s3a"):
        yield from _of_s3(place, below)
    elif place.scheme in ("gs", "gcs"):
        yield from _of_gs(place, below)
    elif place.scheme in ("az", "abfs", "abfss", "hf"):
        yield from _of_find(place, below)
    else:
        yield from _walked(place, below)


def _of_s3(place: RemoteFiles, below: str) -> Iterator[list[Entry] | Unlisted]:
    bucket, _, prefix = place.full(below).partition("/")
    asked: dict[str, Any] = {"Bucket": bucket, "Prefix": f"{prefix}/" if prefix else ""}
    while True:
        page = place.call(lambda fs: fs.call_s3("list_objects_v2", **asked))
        found = [
            {"name": f"{bucket}/{each['Key']}", "size": each["Size"], "ETag": each.get("ETag"),
             "LastModified": each.get("LastModified")}
            for each in page.get("Contents", ())
        ]  # fmt: skip
        yield entries(place, found)
        if not page.get("IsTruncated"):
            return
        asked["ContinuationToken"] = page["NextContinuationToken"]


def _of_gs(place: RemoteFiles, below: str) -> Iterator[list[Entry] | Unlisted]:
    bucket, _, prefix = place.full(below).partition("/")
    asked = {"prefix": f"{prefix}/" if prefix else "", "maxResults": 1000}
    wanted = "nextPageToken,items(name,size,updated,md5Hash,crc32c,generation)"
    while True:
        page = place.call(
            lambda fs: fs.call("GET", f"b/{quote(bucket)}/o", fields=wanted, json_out=True, **asked)
        )
        found = [{**each, "name": f"{bucket}/{each['name']}"} for each in page.get("items", ())]
        yield entries(place, found)
        if not page.get("nextPageToken"):
            return
        asked["pageToken"] = page["nextPageToken"]


def _of_find(place: RemoteFiles, below: str) -> Iterator[list[Entry] | Unlisted]:
    def listed(fs: Any) -> list[Mapping[str, Any]]:
        fs.invalidate_cache()
        try:
            found = fs.find(place.full(below), detail=True)
            return [found[name] for name in sorted(found) if found[name]["type"] == "file"]
        finally:
            fs.invalidate_cache()

    found = place.call(listed)
    for start in range(0, len(found), 1000):
        yield entries(place, found[start : start + 1000])


def _walked(place: RemoteFiles, below: str) -> Iterator[list[Entry] | Unlisted]:
    """Yield folder after folder, each once; some are asked for ahead.

    Symbolic links by SSH are not followed: they may lead in circles, or out of the place. Some
    servers on the web answer any path with a page of links, so their folders would have no end.
    """

    def listed(folder: str) -> list[Mapping[str, Any]]:
        return list(place.call(lambda fs: fs.ls(place.folder(folder), detail=True)))

    pages = _Pages(below)
    stack, asked = [below], dict[str, Future[list[Mapping[str, Any]]]]()
    known = {below}
    with ThreadPoolExecutor(_AT_ONCE, "pixseek-listing") as pool:
        try:
            while stack:
                for folder in stack[-_AT_ONCE:]:
                    if folder not in asked:
                        asked[folder] = pool.submit(listed, folder)
                folder = stack.pop()
                try:
                    here = asked.pop(folder).result()
                except OSError as error:
                    if folder == below:
                        raise
                    yield Unlisted(folder, error)
                    continue
                # A page may link to itself, to its parent, and to what lies next to it.
                found = entries(place, [each for each in here if each["type"] == "file"])
                found = [each for each in found if _is_in(each.path, folder)]
                inner = (place.relative(e["name"]) for e in here if e["type"] == "directory")
                deeper = {each for each in inner if each and _is_in(each, folder)}
                if place.scheme in ("http", "https") and deeper:
                    paths = (*(each.path for each in found), *deeper)
                    names = frozenset(map(posixpath.basename, paths))
                    if why := pages.endless(folder, names, has_files=bool(found)):
                        yield Unlisted(folder, OSError(errno.ELOOP, why, folder))
                        continue
                yield found
                stack += sorted(deeper - known, reverse=True)
                known |= deeper
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


class _Pages:
    """What pages on the web link to, by which those without an end are told."""

    def __init__(self, top: str) -> None:
        self._top = top
        self._links: dict[str, int] = {}  # what stands on a page, as a number

    def endless(self, folder: str, names: frozenset[str], *, has_files: bool) -> str:
        """Return why the links of a page are not followed; "" if they are.

        Args:
            folder: of the page.
            names: of the files and folders in it that the page links to.
            has_files: whether there are files among them.
        """
        self._links[folder] = hash(names)
        depth, above = 0, folder
        alike, most = 1, _ALIKE if has_files else _ALIKE_FOLDERS
        while above != self._top:
            above, depth = posixpath.dirname(above), depth + 1
            if depth < most and self._links.get(above) == self._links[folder]:
                alike += 1
        if alike == most:
            return "its page has the same links as those above it, so they may have no end"
        if depth > _DEEPEST:
            return f"it lies more than {_DEEPEST} folders deep, so its links may have no end"
        return ""


def _is_in(path: str, folder: str) -> bool:
    return path.startswith(f"{folder}/") and path != f"{folder}/" if folder else True


def entries(place: RemoteFiles, found: list[Any]) -> list[Entry]:
    """Return entries of files; consoles make empty ones that stand for folders."""
    kept = []
    for each in found:
        path = place.relative(each["name"])
        if path and not each["name"].endswith("/"):
            kept.append(place.entry(each, path))
    return kept


def by_folder(
    groups: Iterator[list[Entry] | Unlisted],
) -> Iterator[tuple[str, list[Entry] | Unlisted]]:
    """Yield each folder with its files as soon as no more of them can come.

    Names are sorted where whole buckets are listed, so a folder is over when a name lies outside of
    it: only the folders that one is in are held.
    """
    held: deque[tuple[str, list[Entry]]] = deque()
    for group in groups:
        if isinstance(group, Unlisted):
            yield group.folder, group
            continue
        for entry in group:
            folder = entry.path.rpartition("/")[0]
            while held and not _holds(held[-1][0], entry.path):
                yield held.pop()
            if not held or held[-1][0] != folder:
                held.append((folder, []))
            held[-1][1].append(entry)
    while held:
        yield held.pop()


def _holds(folder: str, path: str) -> bool:
    return not folder or path.startswith(f"{folder}/")
