"""Data sets in their published layouts: folders whose files leave no doubt what they are.

Each layout becomes a `Table`: rows of one image may come from several files and are joined by
`RowSource`, so everything that holds for tables holds here.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pixseek import files
from pixseek.errors import SourceError, unknown
from pixseek.images import EXTENSIONS
from pixseek.sources.captions import NUMBERED
from pixseek.sources.cells import rows_of_cells
from pixseek.sources.chained import Chain, as_far, downloaded
from pixseek.sources.columns import Roles, read
from pixseek.sources.locations import LocalFile
from pixseek.sources.parquet_shards import RemoteShards, files_here, in_parquet, parquet_of
from pixseek.sources.remote_files import Network, is_remote
from pixseek.sources.rows import RowSource
from pixseek.sources.tables import table_in
from pixseek.sources.tabular import BadRow, Row, Table, Value, flat
from pixseek.types import Recognised, Root
from pixseek.types.dataclass import dataclass

#: A file of annotations; COCO's largest has 450 MB.
_MOST_JSON = 1 << 30


@dataclass(frozen=True, slots=True)
class Layout:
    """A published layout of files.

    Attributes:
        what: its name, for people.
        files: returns the files that it is recognised by, in a folder's names; empty if it is not.
        rows: yields rows, given the folder, those files, and the folder that images are in; None
            for tables that are read as they are.
        roles: of the rows' columns; None to recognise them.
    """

    what: str
    files: Callable[[Path, Sequence[str]], Sequence[str]]
    rows: Callable[[Path, Sequence[Path], Path], Iterator[Row | BadRow]] | None
    roles: Roles | None


class _Folder:
    """The rows of a layout, as a table."""

    is_text = True
    has_decimal_commas = False

    def __init__(self, path: Path, found: Sequence[Path], layout: Layout, images: Path) -> None:
        self.where = self.folder = str(path)
        self.files = tuple(map(LocalFile, found))
        self._path, self._found, self._layout, self._images = path, found, layout, images

    def rows(self) -> Iterator[Row | BadRow]:
        assert self._layout.rows is not None
        return self._layout.rows(self._path, self._found, self._images)

    def part_of(self, number: int) -> int:
        return 0

    def picture(self, number: int) -> bytes | str | None:
        return None

    def key_of(self, number: int) -> str:
        return str(number)

    def picture_of(self, key: str) -> bytes | str | None:
        return None


# ------------------------------------------------------------------ Unsplash


_UNSPLASH = re.compile(r"(photos|keywords|colors|collections)\.(tsv|csv)\d{3}")


def _unsplash_files(folder: Path, names: Sequence[str]) -> Sequence[str]:
    found = [name for name in names if _UNSPLASH.fullmatch(name)]
    return found if any(name.startswith("photos.") for name in found) else ()


def _unsplash(folder: Path, found: Sequence[Path], images: Path) -> Iterator[Row | BadRow]:
    """Yield photos, then what the other files say of them.

    Latitude and longitude were swapped before release 1.3.0: then some latitude is beyond a pole.
    """
    photos = [path for path in found if path.name.startswith("photos.")]
    swapped = any(
        abs(_number(row.get("photo_location_latitude"))) > 90
        for path in photos
        for row in _dicts(path)
    )
    names = _image_names(images)
    for path in photos:
        for row in _dicts(path):
            said: dict[str, Value] = {
                name.removeprefix("photo_"): value for name, value in row.items() if value
            }
            photo = str(row.get("photo_id") or "")
            said["id"] = photo
            said["image"] = names.get(photo) or row.get("photo_image_url") or ""
            said["title"] = None
            latitude = row.get("photo_location_latitude")
            longitude = row.get("photo_location_longitude")
            if swapped:
                latitude, longitude = longitude, latitude
            said |= {"latitude": latitude, "longitude": longitude}
            for key in ("location_latitude", "location_longitude"):
                said.pop(key, None)
            if said["image"] == said.get("image_url"):
                del said["image_url"]
            first, last = row.get("photographer_first_name"), row.get("photographer_last_name")
            said["artist"] = f"{first or ''} {last or ''}".strip() or None
            for name in list(said):
                if name.startswith("exif_"):
                    said[_EXIF.get(name, name)] = said.pop(name)
            yield said
    for path in found:
        kind = path.name.partition(".")[0]
        for row in _dicts(path) if kind != "photos" else ():
            photo = row.get("photo_id") or ""
            if kind == "keywords":
                keyword = row.get("keyword") or ""
                by_user = read(row.get("suggested_by_user") or "", "bool")
                # A keyword that only a service suggested, with little confidence, is not a tag.
                sure = max(_number(row.get(f"ai_service_{n}_confidence")) for n in (1, 2))
                if by_user:
                    yield {"id": photo, "keywords": (keyword,), "suggested_by_user": (keyword,)}
                elif sure >= _SURE:
                    yield {"id": photo, "keywords_of_models": (keyword,)}
                else:
                    yield {"id": photo, "unsure_keywords": (f"{keyword} {sure:.0f}%",)}
            elif kind == "colors":
                code = f"#{row['hex']}" if row.get("hex") else ""
                share = f"{_number(row.get('ai_coverage')):.0%}" if row.get("ai_coverage") else ""
                color = " ".join(filter(None, (row.get("keyword"), code, share)))
                yield {"id": photo, "unsplash_colors": (color,)}
            else:
                yield {"id": photo, "collections": (row.get("collection_title") or "",)}


_SURE = 50.0
_EXIF = {"exif_camera_make": "camera_make", "exif_camera_model": "camera_model",
         "exif_iso": "iso", "exif_aperture_value": "aperture",
         "exif_focal_length": "focal_length_mm"}  # fmt: skip


def _number(value: object) -> float:
    found = read(value, "float") if isinstance(value, str) else None
    return float(found) if isinstance(found, float) else 0.0


# ------------------------------------------------------------------ captions


def _flickr8k_files(folder: Path, names: Sequence[str]) -> Sequence[str]:
    return [name for name in names if name in ("Flickr8k.token.txt", "Flickr8k.token")]


def _flickr30k_files(folder: Path, names: Sequence[str]) -> Sequence[str]:
    if "results.csv" in names and _starts(folder / "results.csv", "image_name|"):
        return ["results.csv"]
    return [name for name in names if name == "results_20130124.token"]


def _kaggle_files(folder: Path, names: Sequence[str]) -> Sequence[str]:
    if "captions.txt" in names and _starts(folder / "captions.txt", "image,caption"):
        return ["captions.txt"]
    return []


def _captions(folder: Path, found: Sequence[Path], images: Path) -> Iterator[Row | BadRow]:
    """Yield image and caption of tables that name images without their folder."""
    names = _image_names(images, whole=True)
    for path in found:
        for number, cells in enumerate(rows_of_cells(LocalFile(path))):
            name = NUMBERED.sub("", cells[0].strip())
            if number == 0 and Path(name).suffix.lower() not in EXTENSIONS:
                continue
            # One name of Flickr8k's captions has ".1" behind it; its image is without.
            if name not in names and (bare := re.sub(r"\.\d+$", "", name)) in names:
                name = bare
            if len(cells) < 2:
                yield BadRow("The line has no caption")
                continue
            # Flickr30k has the number of a caption before it, and once without a separator.
            said = cells[2:] if path.name == "results.csv" and len(cells) > 2 else cells[1:]
            caption = re.sub(r"^\d\s{2,}", "", ", ".join(map(str.strip, said)))
            yield {"image": names.get(name, name), "caption": caption}


def _coco_files(folder: Path, names: Sequence[str]) -> Sequence[str]:
    below = "annotations"
    try:
        listed = sorted(os.listdir(folder / below))
    except OSError:
        return []
    return [
        f"{below}/{name}"
        for name in listed
        if name.endswith(".json") and re.match(r"(captions|instances|person_keypoints)_", name)
    ]


def _coco(folder: Path, found: Sequence[Path], images: Path) -> Iterator[Row | BadRow]:
    """Yield images, captions, and the names of the categories that are in each image."""
    names = _image_names(images, whole=True)
    for path in found:
        try:
            content = json.loads(files.read(path, _MOST_JSON))
            entries = {entry["id"]: entry for entry in content["images"]}
            annotations = list(_objects(content.get("annotations")))
            categories = {each["id"]: each for each in _objects(content.get("categories"))}
            found_licences = _objects(content.get("licenses"))
            licences = {_key(each.get("id")): each.get("name") for each in found_licences}
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            why = getattr(error, "strerror", None) or error
            raise SourceError("The annotations can't be read", path,
                              f"{why}. Download the file again.") from error  # fmt: skip
        for entry in entries.values():
            name = str(entry.get("file_name") or "")
            row = {f"coco_{key}" if key == "id" else key: value for key, value in entry.items()
                   if key not in ("file_name", "license", "width", "height")}  # fmt: skip
            row["licence"] = licences.get(_key(entry.get("license")))
            yield flat({**row, "image": names.get(name.rpartition("/")[2], name)})
        for each in annotations:
            entry = entries.get(_key(each.get("image_id")))
            if entry is None:
                yield BadRow("An annotation is about an image that the file does not name")
                continue
            name = str(entry.get("file_name") or "")
            image = names.get(name.rpartition("/")[2], name)
            if isinstance(each.get("caption"), str):
                yield {"image": image, "caption": each["caption"].strip()}
            elif (category := categories.get(_key(each.get("category_id")))) is not None:
                yield {"image": image, "objects": (str(category.get("name") or ""),)}


def _objects(found: object) -> Iterator[Mapping[str, Any]]:
    """Yield those entries of a list of JSON that are objects."""
    if isinstance(found, list):
        yield from (each for each in found if isinstance(each, dict))


def _key(value: object) -> Hashable:
    """Return an id; a list or an object, which no entry has as its id, as None."""
    return value if isinstance(value, str | int | float) else None


# ------------------------------------------------------------------ folders with metadata


def _image_folder_files(folder: Path, names: Sequence[str]) -> Sequence[str]:
    """Return the metadata of an image folder of Hugging Face's `datasets`, also of its splits."""
    found = []
    for below in ("", *_folders(folder)[:100]):
        for name in ("metadata.jsonl", "metadata.csv", "metadata.parquet"):
            path = folder / below / name
            if path.is_file() and (
                name.endswith("parquet") or _starts(path, "", containing="file_name")
            ):
                found.append(f"{below}/{name}" if below else name)
    return found


def _image_folder(folder: Path, found: Sequence[Path], images: Path) -> Iterator[Row | BadRow]:
    for path in found:
        below = path.parent.relative_to(folder)
        for row in _rows_in(path, folder):
            if isinstance(row, BadRow):
                yield row
                continue
            named = {key: value for key, value in row.items() if key.endswith("file_name")}
            rest = {key: value for key, value in row.items() if key not in named}
            if not named:
                yield rest
            for key, value in named.items():
                split = {"split": below.as_posix()} if below.parts else {}
                place = (below / value).as_posix() if isinstance(value, str) and value else ""
                about = key.removesuffix("file_name").rstrip("_")
                yield {**rest, **split, **({"view": about} if about else {}), "image": place}


def _parquet_files(folder: Path, names: Sequence[str]) -> Sequence[str]:
    """Return the shards of a data set in Parquet that holds pictures or names them."""
    if "dataset_dict.json" in names:  # of save_to_disk: a folder for each split
        return [name for split in _folders(folder) for name in _shards(folder, f"{split}/")]
    found = _shards(folder, "") or (_shards(folder, "data/") if "data" in names else [])
    # `img2dataset --output_format parquet` writes nothing else, and counts beside each shard.
    alone = (name for name in names if _SHARD.fullmatch(name) and f"{name[:-8]}.tar" not in names)
    return found or [name for name in alone if f"{name[:-8]}_stats.json" in names]


def _shards(folder: Path, below: str) -> list[str]:
    return parquet_of(_names(folder / below), below)


# ------------------------------------------------------------------ what img2dataset writes


_SHARD = re.compile(r"\d{5,}\.parquet")


def _img2dataset_files(folder: Path, names: Sequence[str]) -> Sequence[str]:
    shards = [name for name in names if _SHARD.fullmatch(name)]
    return shards if shards and all((folder / name[:-8]).is_dir() for name in shards) else []


def _img2dataset(folder: Path, found: Sequence[Path], images: Path) -> Iterator[Row | BadRow]:
    """Yield the rows of images that were downloaded; the others have no file."""
    for path in found:
        below = path.name[:-8]
        present = {name.partition(".")[0]: name for name in _names(path.parent / below)
                   if Path(name).suffix.lower() in EXTENSIONS}  # fmt: skip
        for row in map(downloaded, _rows_in(path, folder)):
            if isinstance(row, BadRow):
                yield row
                continue
            key = str(row.get("key") or "")
            yield {**row, "image": f"{below}/{present.get(key, key + '.jpg')}"}
    shards = {name for name in _folders(folder) if re.fullmatch(r"\d{5,}", name)}
    for name in sorted(shards - {path.name[:-8] for path in found}):
        yield BadRow(f"img2dataset has not finished {name}: there is no {name}.parquet")


def _clip_retrieval_files(folder: Path, names: Sequence[str]) -> Sequence[str]:
    if "metadata" not in names or "img_emb" not in names:
        return []
    return [f"metadata/{name}" for name in sorted(_names(folder / "metadata"))
            if re.fullmatch(r"metadata_\d+\.parquet", name)]  # fmt: skip


def _clip_retrieval(folder: Path, found: Sequence[Path], images: Path) -> Iterator[Row | BadRow]:
    for path in found:
        for row in _rows_in(path, folder):
            yield row if isinstance(row, BadRow) else {
                **{name: value for name, value in row.items() if name != "image_path"},
                "image": row.get("image_path"),
            }  # fmt: skip


_CAPTIONED = Roles("image", ("caption",))

#: Every layout, by the name that `--as` takes, the most specific first.
LAYOUTS: Mapping[str, Layout] = {
    "unsplash": Layout(
        "Unsplash data set", _unsplash_files, _unsplash,
        Roles("image", ("description", "ai_description"),
              ("keywords", "keywords_of_models"), "", "id"),
    ),
    "flickr8k": Layout("Flickr8k", _flickr8k_files, _captions, _CAPTIONED),
    "flickr30k": Layout("Flickr30k", _flickr30k_files, _captions, _CAPTIONED),
    "captions": Layout("captions as on Kaggle", _kaggle_files, _captions, _CAPTIONED),
    "coco": Layout("COCO", _coco_files, _coco, Roles("image", ("caption",), ("objects",))),
    "img2dataset": Layout(
        "output of img2dataset", _img2dataset_files, _img2dataset, Roles("image", ("caption",)),
    ),
    "clip-retrieval": Layout(
        "output of clip-retrieval", _clip_retrieval_files, _clip_retrieval,
        Roles("image", ("caption",)),
    ),
    "imagefolder": Layout("image folder with metadata", _image_folder_files, _image_folder, None),
    "parquet": Layout("data set in Parquet", _parquet_files, None, None),
}  # fmt: skip


def layout_of(folder: Path) -> str | None:
    """Return the name in `LAYOUTS` of what a folder holds; None for any other folder."""
    names = sorted(_names(folder))
    return next((name for name, each in LAYOUTS.items() if each.files(folder, names)), None)


def recognised(given: str) -> Recognised | None:
    """Return what a path is if it is a folder in one of the layouts."""
    if "://" in given:
        return None
    folder = Path(os.path.abspath(os.path.expanduser(given)))
    layout = layout_of(folder) if folder.is_dir() else None
    return None if layout is None else as_layout(given, layout)


def as_layout(given: str, layout: str) -> Recognised:
    """Return a folder as a data set in a layout that the user named.

    Raises:
        SourceError: there is no such layout, or it is not read from a server.
    """
    if layout not in LAYOUTS:
        known = ("folder", "archive", "table", "dataset", *LAYOUTS)
        raise SourceError("Unknown kind of source", layout, unknown("kind", layout, known))
    if is_remote(given):
        if layout != "parquet":
            raise SourceError(
                f"{LAYOUTS[layout].what} is read from this machine only", given,
                "Copy the folder; or index its images alone: --as folder",
            )  # fmt: skip
        return in_parquet(given)
    folder = Path(os.path.abspath(os.path.expanduser(given)))
    return Recognised("dataset", str(folder), folder.name or layout, {"as": layout})


def opened(root: Root) -> RowSource:
    """Return the source of a root of kind "dataset".

    Raises:
        SourceError: its layout is unknown, or its files are gone.
    """
    name = str(root.options.get("as") or "")
    if name not in LAYOUTS:
        raise SourceError("Unknown layout of a data set", name, unknown("layout", name, LAYOUTS))
    layout = LAYOUTS[name]
    if is_remote(root.where):
        network = Network()
        chain = Chain(root.where, RemoteShards(root.where, network))
        return RowSource(root, chain, what=layout.what, network=network)
    found = layout.files(root.path, sorted(_names(root.path)))
    if not found and root.path.is_dir():
        raise SourceError(
            f"The folder lacks the files of its kind ({layout.what})", root.path,
            "Nothing was removed. Bring them back; or index it as any folder: --as folder",
        )  # fmt: skip
    images = Path(root.options.get("images") or root.path)

    table: Table = (
        Chain(root.where, lambda: files_here(root.path, layout.files(root.path, _names(root.path))))
        if layout.rows is None
        else _Folder(root.path, [root.path / each for each in found], layout, images)
    )
    roles = None if root.options.get("columns") else layout.roles
    return RowSource(root, table, roles, layout.what)


# ------------------------------------------------------------------ files


def _rows_in(path: Path, folder: Path) -> Iterator[Row | BadRow]:
    """Yield the rows of one table of a data set as far as it can be read; see `as_far`."""
    return as_far(table_in(LocalFile(path)), path.relative_to(folder).as_posix())


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _folders(folder: Path) -> list[str]:
    """Return the names of folders in one, without asking the disk about each file."""
    try:
        with os.scandir(folder) as entries:
            return sorted(each.name for each in entries if each.name[0] != "." and each.is_dir())
    except OSError:
        return []


def _starts(path: Path, text: str, containing: str = "") -> bool:
    """Return whether a text file begins with a text, without regard to case and blanks."""
    try:
        start = files.beginning(path, 4096)
    except OSError:
        return False
    head = start.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace")
    return head.replace(" ", "").casefold().startswith(text) and containing in head


def _dicts(path: Path) -> Iterator[dict[str, str]]:
    """Yield the rows of Unsplash's files, which have tabs whatever their ending is."""
    names: list[str] | None = None
    for cells in rows_of_cells(LocalFile(path)):
        if names is None:
            names = [cell.strip() for cell in cells]
        else:
            yield dict(zip(names, cells, strict=False))


def _image_names(folder: Path, *, whole: bool = False) -> dict[str, str]:
    """Return the paths of the images of a data set, by name, or by name without ending."""
    found: dict[str, str] = {}
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(each for each in folders if each[:1] != ".")
        below = Path(place).relative_to(folder)
        if len(below.parts) >= 3:
            folders.clear()
        for name in names:
            stem, ending = os.path.splitext(name)
            if ending.lower() in EXTENSIONS:
                found.setdefault(name if whole else stem, (below / name).as_posix())
    return found
