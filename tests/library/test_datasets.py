"""Data sets from end to end: all that their files say is shown, and a killed run goes on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import pixseek
from picture_server import Web, always, png, serving
from pixseek.cli.show import rows as shown

from tiny_encoder import TinyEncoder

pa = pytest.importorskip("pyarrow")
pytest.importorskip("httpcore2")


class Made(NamedTuple):
    """A data set that was written.

    Attributes:
        where: what to index.
        uri: of its second image.
        says: what `pixseek show` has of that, besides what the picture itself says.
        images: the folder to name for its images; None for none.
    """

    where: Path
    uri: str
    says: dict[str, str]
    images: Path | None = None


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with serving() as server:
        yield server


def picture(n: int) -> bytes:
    return png(f"#{8 * n:02x}{255 - 8 * n:02x}40")


def urls(web: Web, count: int) -> list[str]:
    for n in range(count):
        web.answers[f"/{n}.png"] = always(picture(n))
    return [web.url(f"/{n}.png") for n in range(count)]


def files(folder: Path, names: Sequence[str]) -> None:
    for n, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(picture(n))


def parquet(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    import pyarrow.parquet

    path.parent.mkdir(parents=True, exist_ok=True)
    pyarrow.parquet.write_table(pa.Table.from_pylist(list(rows)), path)


def tabs(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    lines = ["\t".join(rows[0]), *("\t".join(map(str, row.values())) for row in rows)]
    path.write_text("\n".join(lines) + "\n")


def unsplash(folder: Path, web: Web, count: int) -> Made:
    """Write the files of Unsplash Lite, with their published columns; its images are fetched."""
    tabs(folder / "photos.tsv000", [
        {"photo_id": f"id{n}", "photo_url": f"https://unsplash.example/photos/id{n}",
         "photo_image_url": url, "photo_submitted_at": "2019-03-10 07:24:04.123",
         "photo_featured": "t", "photo_width": 4000, "photo_height": 3000,
         "photo_aspect_ratio": 1.33, "photo_description": f"Wall {n}",
         "photographer_username": "ann", "photographer_first_name": "Ann",
         "photographer_last_name": "Lee", "exif_camera_make": "NIKON", "exif_camera_model": "D800",
         "exif_iso": 200, "exif_aperture_value": 2.8, "exif_focal_length": "35.0",
         "exif_exposure_time": "1/500", "photo_location_name": "Tromsø, Norway",
         "photo_location_latitude": 69.6, "photo_location_longitude": 18.9,
         "photo_location_country": "Norway", "photo_location_city": "Tromsø", "stats_views": 1234,
         "stats_downloads": 12, "ai_description": "painted wall", "ai_primary_landmark_name": "",
         "blur_hash": "LNC%a8"}
        for n, url in enumerate(urls(web, count))
    ])  # fmt: skip
    tabs(folder / "keywords.tsv000", [
        {"photo_id": f"id{n}", "keyword": word, "ai_service_1_confidence": sure,
         "ai_service_2_confidence": "", "suggested_by_user": by_user}
        for n in range(count)
        for word, sure, by_user in (("wall", "", "t"), ("paint", "93.5", "f"), ("sea", "11.2", "f"))
    ])  # fmt: skip
    tabs(folder / "colors.tsv000", [
        {"photo_id": f"id{n}", "hex": "08F740", "red": 8, "green": 247, "blue": 64,
         "keyword": "springgreen", "ai_coverage": 0.754, "ai_score": 0.9} for n in range(count)
    ])  # fmt: skip
    tabs(folder / "collections.tsv000", [
        {"photo_id": f"id{n}", "collection_id": 7, "collection_title": "Walls",
         "photo_collected_at": "2020-01-01"} for n in range(count)
    ])  # fmt: skip
    return Made(folder, f"{folder.name}/id1", {
        "caption": "Wall 1\npainted wall", "tags": "wall, paint", "suggested by user": "wall",
        "unsure keywords": "sea 11%", "unsplash colors": "springgreen #08F740 75%",
        "collections": "Walls", "source url": "https://unsplash.example/photos/id1",
        "image": web.url("/1.png"), "submitted at": "2019-03-10 07:24:04.123000", "featured": "t",
        "width": "4000", "height": "3000", "aspect ratio": "1.33", "photographer username": "ann",
        "artist": "Ann Lee", "camera make": "NIKON", "camera model": "D800", "ISO": "200",
        "aperture": "f/2.8", "focal length": "35 mm", "exif exposure time": "1/500",
        "location name": "Tromsø, Norway", "latitude": "69.6000000°", "longitude": "18.9000000°",
        "location country": "Norway", "location city": "Tromsø", "stats views": "1234",
        "stats downloads": "12", "blur hash": "LNC%a8", "id": "id1",
    })  # fmt: skip


def list_of_urls(folder: Path, web: Web, count: int) -> Made:
    """Write a list as img2dataset takes it, with the columns of LAION."""
    parquet(folder / "laion.parquet", [
        {"URL": url, "TEXT": f"wall {n}", "WIDTH": 24, "HEIGHT": 16, "similarity": 0.25,
         "pwatermark": 0.5, "LICENSE": "?", "NSFW": "UNLIKELY"}
        for n, url in enumerate(urls(web, count))
    ])  # fmt: skip
    key = f"http/127.0.0.1:{web.server_port}/1.png"
    return Made(folder / "laion.parquet", f"laion/{key}", {
        "caption": "wall 1", "source url": web.url("/1.png"), "similarity": "0.25",
        "pwatermark": "0.5", "license": "?", "nsfw": "UNLIKELY",
    })  # fmt: skip


def headless_list_of_urls(folder: Path, web: Web, count: int) -> Made:
    """Write a list as Conceptual Captions are published: caption and URL, without names."""
    lines = [f"wall {n}\t{url}" for n, url in enumerate(urls(web, count))]
    (folder / "cc.tsv").write_text("\n".join(lines))
    key = f"http/127.0.0.1:{web.server_port}/1.png"
    return Made(folder / "cc.tsv", f"cc/{key}", {
        "caption": "wall 1", "source url": web.url("/1.png"),
    })  # fmt: skip


def hub_parquet_of_urls(folder: Path, web: Web, count: int) -> Made:
    """Write shards of Hugging Face's hub that name images by URL."""
    rows = [{"image_url": url, "caption": f"wall {n}", "stars": n, "words": ["a", "wall"]}
            for n, url in enumerate(urls(web, count))]  # fmt: skip
    for shard in range(2):
        parquet(folder / "data" / f"train-0000{shard}-of-00002.parquet", rows[shard::2])
    key = f"http/127.0.0.1:{web.server_port}/1.png"
    return Made(folder, f"{folder.name}/{key}", {
        "caption": "wall 1", "source url": web.url("/1.png"), "stars": "1", "words": "a; wall",
        "split": "train",
    })  # fmt: skip


def img2dataset(folder: Path, web: Web, count: int) -> Made:
    """Write what `img2dataset --output_format files` does."""
    keys = [f"{n:09}" for n in range(count)]
    files(folder, [f"00000/{key}.jpg" for key in keys])
    parquet(folder / "00000.parquet", [
        {"url": f"https://images.example.org/{n}.jpg", "caption": f"wall {n}", "key": key,
         "status": "success", "error_message": None, "width": 24, "height": 16,
         "original_width": 48, "original_height": 32, "exif": "{}", "sha256": f"{n:064x}"}
        for n, key in enumerate(keys)
    ])  # fmt: skip
    (folder / "00000_stats.json").write_text("{}")
    return Made(folder, f"{folder.name}/00000/000000001.jpg", {
        "caption": "wall 1", "source url": "https://images.example.org/1.jpg", "key": "000000001",
        "original width": "48", "original height": "32", "exif": "{}",
    })  # fmt: skip


def clip_retrieval(folder: Path, web: Web, count: int) -> Made:
    """Write what `clip-retrieval inference` does with a folder of images."""
    import numpy as np

    files(folder / "pictures", [f"{n}.jpg" for n in range(count)])
    made = folder / "embeddings"
    (made / "img_emb").mkdir(parents=True)
    np.save(made / "img_emb" / "img_emb_0.npy", np.ones((count, 4), np.float16))
    parquet(made / "metadata" / "metadata_0.parquet", [
        {"image_path": str(folder / "pictures" / f"{n}.jpg"), "caption": f"wall {n}",
         "nsfw": "UNLIKELY", "similarity": 0.25} for n in range(count)
    ])  # fmt: skip
    return Made(made, "embeddings/1.jpg", {
        "caption": "wall 1", "nsfw": "UNLIKELY", "similarity": "0.25",
    }, folder / "pictures")  # fmt: skip


def saved_to_disk(folder: Path, web: Web, count: int) -> Made:
    """Write what `DatasetDict.save_to_disk` of Hugging Face's `datasets` does."""
    features = {"label": {"_type": "ClassLabel", "names": ["bare", "painted"]},
                "image": {"_type": "Image"}}  # fmt: skip
    about = json.dumps({"info": {"features": features}})
    for split, numbers in (("test", range(1)), ("train", range(1, count))):
        (folder / split).mkdir()
        (folder / split / "state.json").write_text(json.dumps({"_split": split}))
        (folder / split / "dataset_info.json").write_text(about)
        for shard, some in enumerate((numbers[:2], numbers[2:])):
            rows = [{"image": {"bytes": picture(n), "path": f"{n}.png"}, "label": 1,
                     "text": f"wall {n}"} for n in some]  # fmt: skip
            table = pa.Table.from_pylist(rows).replace_schema_metadata({"huggingface": about})
            path = folder / split / f"data-0000{shard}-of-00002.arrow"
            with path.open("wb") as file, pa.ipc.new_stream(file, table.schema) as out:
                out.write_table(table, max_chunksize=3)
    (folder / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    return Made(folder, f"{folder.name}/train/data-00000-of-00002.arrow/0/1.png", {
        "caption": "wall 1", "label": "painted", "split": "train",
    })  # fmt: skip


Make = Callable[[Path, Web, int], Made]
ALL: list[Make] = [
    unsplash, list_of_urls, headless_list_of_urls, hub_parquet_of_urls, img2dataset,
    clip_retrieval, saved_to_disk,
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("make", ALL)
def test_a_killed_run_goes_on_and_all_that_files_say_is_shown(
    make: Make, web: Web, tmp_path: Path, tiny: TinyEncoder
) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    made = make(folder, web, 20)
    dying = f"""
import os, pixseek, pixseek.encoders
from pixseek.indexing import pipeline
from tiny_encoder import TinyEncoder
pipeline.CHECKPOINT_S = 0.0
pixseek.encoders.load = lambda *_, **__: TinyEncoder()
def die(progress):
    if progress.stage == "index" and progress.done >= 8:
        os._exit(9)
with pixseek.open({str(tmp_path / "l")!r}, allow_private=True) as library:
    library.index({str(made.where)!r}, images={made.images and str(made.images)!r}, on_progress=die)
"""
    done = subprocess.run(
        [sys.executable, "-c", dying], check=False, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
    )  # fmt: skip
    assert done.returncode == 9, done.stderr
    asked = web.counts.total()
    with pixseek.open(tmp_path / "l", allow_private=True) as library:
        held = len(library)
        assert 0 < held < 20
        report = library.index()
        assert (report.unchanged, report.added, report.failures) == (held, 20 - held, ())
        assert tiny.embedded == 20 - held
        assert web.counts.total() - asked == (20 - held if asked else 0)
        record = library.find(made.uri)
        assert record is not None
        said = dict(shown(record, None))
        assert {name: said.get(name) for name in made.says} == made.says
        assert library.original(record) == picture(1)
        path = library.locate(record)
        assert path is None or library.find(path) == record
