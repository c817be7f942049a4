"""Data sets in their published layouts, each as a tiny folder of the real names and columns."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pixseek.errors import ImageError, SourceError
from pixseek.sources.datasets import layout_of, opened
from pixseek.types import Candidate, Failure, Root

Said = dict[str, Mapping[str, Any]]


def picture(path: Path, colour: str = "red") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (24, 16), colour).save(path)
    return path


def read(folder: Path, **options: Any) -> tuple[Said, dict[str, str]]:
    """Return what is said of each image, and the reasons of failures, by their keys."""
    layout = layout_of(folder)
    assert layout is not None
    of = opened(Root("d", str(folder), kind="dataset", options={"as": layout, **options}))
    of.permit(private=False, offline=True)
    found, failures = {}, {}
    for event in list(of.scan()):
        if isinstance(event, Failure):
            failures[event.uri[2:]] = event.message
        elif isinstance(event, Candidate):
            try:
                found[event.uri[2:]] = of.read(event).fields
                assert of.open(event.uri)
            except ImageError as error:
                failures[event.uri[2:]] = error.problem
    return found, failures


def tabs(path: Path, *rows: Mapping[str, Any]) -> None:
    lines = ["\t".join(rows[0]), *("\t".join(str(cell) for cell in row.values()) for row in rows)]
    path.write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize("swapped", [False, True])
def test_unsplash_lite_is_joined_from_its_four_files(tmp_path: Path, swapped: bool) -> None:
    picture(tmp_path / "photos" / "aaa.jpg")
    common = {"photo_submitted_at": "2020-01-02 03:04:05.678", "photographer_first_name": "Ann",
              "photographer_last_name": "Lee", "exif_camera_make": "Canon", "exif_iso": "200",
              "photo_location_name": "Tromsø", "stats_downloads": "12"}  # fmt: skip
    places = [("101.5", "69.6"), ("18.9", "69.6")] if swapped else [("69.6", "101.5"), ("1", "2")]
    tabs(
        tmp_path / "photos.tsv000",
        {"photo_id": "aaa", "photo_image_url": "https://images.example.org/aaa",
         "photo_description": "a red house", **common, "photo_location_latitude": places[0][0],
         "photo_location_longitude": places[0][1], "ai_description": "house near water"},
        {"photo_id": "bbb", "photo_image_url": "https://images.example.org/bbb",
         "photo_description": "", **common, "photo_location_latitude": places[1][0],
         "photo_location_longitude": places[1][1], "ai_description": ""},
    )  # fmt: skip
    tabs(
        tmp_path / "keywords.tsv000",
        {"photo_id": "aaa", "keyword": "house", "ai_service_1_confidence": "",
         "ai_service_2_confidence": "", "suggested_by_user": "t"},
        {"photo_id": "aaa", "keyword": "water", "ai_service_1_confidence": "93.5",
         "ai_service_2_confidence": "", "suggested_by_user": "f"},
        {"photo_id": "aaa", "keyword": "boat", "ai_service_1_confidence": "11.5",
         "ai_service_2_confidence": "", "suggested_by_user": "f"},
    )  # fmt: skip
    tabs(tmp_path / "colors.tsv000", {"photo_id": "aaa", "hex": "AA0000", "keyword": "darkred"})
    tabs(tmp_path / "collections.tsv000",
         {"photo_id": "aaa", "collection_id": "1", "collection_title": "North"})  # fmt: skip
    found, failures = read(tmp_path)
    assert list(failures) == ["bbb"]
    said = found["aaa"]
    assert said["caption"] == ("a red house", "house near water")
    assert said["tags"] == ("house", "water")
    assert (said["latitude"], said["longitude"]) == (69.6, 101.5)
    assert (said["artist"], said["camera_make"], said["iso"]) == ("Ann Lee", "Canon", 200)
    assert (said["unsure_keywords"], said["suggested_by_user"]) == ("boat 12%", "house")
    assert (said["unsplash_colors"], said["image"]) == ("darkred #AA0000", "photos/aaa.jpg")
    assert said["image_url"] == "https://images.example.org/aaa"
    assert (said["collections"], said["stats_downloads"]) == ("North", 12)
    assert (said["location_name"], str(said["submitted_at"])[:4]) == ("Tromsø", "2020")
    # Without its keywords each photo would lose its tags: the run ends, and nothing changes.
    (tmp_path / "keywords.tsv000").write_bytes(b"photo_id\tkeyword\naaa\t\xff\n")
    with pytest.raises(SourceError, match=r"keywords\.tsv000"):
        read(tmp_path)


def flickr8k(folder: Path) -> None:
    (folder / "Flickr8k.token.txt").write_text(
        "red.jpg#0\ta red wall\nred.jpg#1\tone wall\nblue.jpg.1#0\ta blue wall\ngone.jpg#0\tx\n"
    )


def flickr30k(folder: Path) -> None:
    (folder / "results.csv").write_text(
        "image_name| comment_number| comment\nred.jpg| 0| a red wall\nred.jpg| 1   one wall\n"
        "blue.jpg| 0| a blue wall\ngone.jpg| 0| x\n"
    )


def kaggle(folder: Path) -> None:
    (folder / "captions.txt").write_text(
        'image,caption\nred.jpg,a red wall\nred.jpg,"one wall"\nblue.jpg,a blue wall\ngone.jpg,x\n'
    )


@pytest.mark.parametrize("write", [flickr8k, flickr30k, kaggle])
def test_captions_of_flickr_and_kaggle(tmp_path: Path, write: Callable[[Path], None]) -> None:
    for colour in ("red", "blue"):
        picture(tmp_path / "Images" / f"{colour}.jpg", colour)
    write(tmp_path)
    assert read(tmp_path) == (
        {"Images/red.jpg": {"caption": ("a red wall", "one wall")},
         "Images/blue.jpg": {"caption": ("a blue wall",)}},
        {"gone.jpg": "There is no such file"},
    )  # fmt: skip


def test_captions_keep_their_commas(tmp_path: Path) -> None:
    for colour in ("red", "blue"):
        picture(tmp_path / "Images" / f"{colour}.jpg", colour)
    (tmp_path / "captions.txt").write_text(
        'image,caption\nred.jpg,a red wall, and "one" sea\nblue.jpg,3, or so\n'
    )
    assert read(tmp_path)[0] == {
        "Images/red.jpg": {"caption": ('a red wall, and "one" sea',)},
        "Images/blue.jpg": {"caption": ("3, or so",)},
    }


def test_coco_has_captions_and_objects(tmp_path: Path) -> None:
    picture(tmp_path / "val2017" / "000000000139.jpg")
    images = [{"id": 139, "file_name": "000000000139.jpg", "license": 2, "width": 24, "height": 16,
               "coco_url": "http://images.example.org/139.jpg",
               "date_captured": "2013-11-21 01:34:01"}]  # fmt: skip
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "captions_val2017.json").write_text(json.dumps({
        "images": images, "licenses": [{"id": 2, "name": "Attribution-NonCommercial"}],
        "annotations": [{"image_id": 139, "caption": "A woman stands."},
                        {"image_id": 139, "caption": "A room. "},
                        {"image_id": 7, "caption": "of nothing"}],
    }))  # fmt: skip
    (tmp_path / "annotations" / "instances_val2017.json").write_text(json.dumps({
        "images": images, "categories": [{"id": 1, "name": "person"}, {"id": 2, "name": "chair"}],
        "annotations": [{"image_id": 139, "category_id": c, "bbox": [1, 2, 3, 4]}
                        for c in (1, 2, 1)],
    }))  # fmt: skip
    found, failures = read(tmp_path)
    said = found["val2017/000000000139.jpg"]
    assert said["caption"] == ("A woman stands.", "A room.")
    assert said["tags"] == ("person", "chair")
    assert (said["licence"], said["coco_id"]) == ("Attribution-NonCommercial", 139)
    assert list(failures.values()) == [
        "An annotation is about an image that the file does not name"
    ]


def test_what_is_no_entry_in_coco_is_left_out(tmp_path: Path) -> None:
    picture(tmp_path / "val2017" / "1.jpg")
    odd = [None, 7, "text", [1]]
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "instances_val2017.json").write_text(json.dumps({
        "images": [{"id": 1, "file_name": "1.jpg", "license": [2]}],
        "licenses": [*odd, {"id": [2], "name": "odd"}],
        "categories": [*odd, {"id": 1, "name": "person"}],
        "annotations": [*odd, {"image_id": 1, "category_id": 1}, {"image_id": {}},
                        {"image_id": 1, "category_id": [1]}],
    }))  # fmt: skip
    found, failures = read(tmp_path)
    assert found["val2017/1.jpg"]["tags"] == ("person",)
    assert len(failures) == 1


def test_image_folders_with_metadata_and_splits(tmp_path: Path) -> None:
    for name in ("red", "blue", "left"):
        picture(tmp_path / "train" / f"{name}.png", "red" if name == "red" else "blue")
    (tmp_path / "train" / "metadata.jsonl").write_text(
        '{"file_name": "red.png", "text": "a red wall", "price": 3}\n'
        '{"left_file_name": "left.png", "text": "a pair", "price": 4}\n'
    )
    assert read(tmp_path) == (
        {"train/red.png": {"caption": ("a red wall",), "price": 3, "split": "train"},
         "train/left.png": {"caption": ("a pair",), "price": 4, "split": "train",
                            "view": "left"}}, {},
    )  # fmt: skip


def test_a_broken_table_of_one_split_is_a_failure_that_names_it(tmp_path: Path) -> None:
    for split in ("test", "train"):
        picture(tmp_path / split / "red.png")
        (tmp_path / split / "metadata.csv").write_text("file_name,text\nred.png,a wall\n")
    (tmp_path / "test" / "metadata.csv").write_text('file_name,text\nred.png,"a wall\n')
    found, failures = read(tmp_path)
    assert found == {"train/red.png": {"caption": ("a wall",), "split": "train"}}
    assert list(failures) == [""]  # as for shards: nothing is removed
    assert "test/metadata.csv" in failures[""]


def test_shards_of_parquet_are_one_data_set(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet

    (tmp_path / "data").mkdir()
    for shard, colour in enumerate(("red", "blue")):
        buffer = io.BytesIO()
        Image.new("RGB", (24, 16), colour).save(buffer, "PNG")
        rows = [{"image": {"bytes": buffer.getvalue(), "path": None}, "text": f"{colour} wall"}]
        path = tmp_path / "data" / f"train-0000{shard}-of-00002.parquet"
        pyarrow.parquet.write_table(pa.Table.from_pylist(rows), path)
    assert read(tmp_path) == (
        {"data/train-00000-of-00002.parquet/0": {"caption": ("red wall",), "split": "train"},
         "data/train-00001-of-00002.parquet/0": {"caption": ("blue wall",), "split": "train"}}, {},
    )  # fmt: skip


def _shard(path: Path, first: int, count: int, shade: int = 0) -> None:
    """Write a shard of pictures of one pixel that have no names."""
    import pyarrow as pa
    import pyarrow.parquet

    rows = []
    for n in range(first, first + count):
        buffer = io.BytesIO()
        Image.new("RGB", (1, 1), (n % 256, n // 256, shade)).save(buffer, "PNG")
        rows.append({"image": {"bytes": buffer.getvalue(), "path": None}, "text": f"wall {n}"})
    pyarrow.parquet.write_table(pa.Table.from_pylist(rows), path, row_group_size=100)


def _pixel(content: bytes) -> tuple[int, int, int]:
    return Image.open(io.BytesIO(content)).getpixel((0, 0))  # type: ignore[return-value]


def test_rows_of_long_shards_keep_their_shard_and_their_picture(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    for shard in range(3):
        _shard(tmp_path / f"train-{shard:05}-of-00003.parquet", 300 * shard, 300)
    of = opened(Root("d", str(tmp_path), kind="dataset", options={"as": "parquet"}))
    found = [event for event in of.scan() if isinstance(event, Candidate)]
    keys = [f"d/train-{n // 300:05}-of-00003.parquet/{n % 300}" for n in range(900)]
    assert [event.uri for event in found] == keys
    again = opened(Root("d", str(tmp_path), kind="dataset", options={"as": "parquet"}))
    for n in (0, 299, 300, 450, 899):
        item = of.read(found[n])
        assert item.fields["caption"] == (f"wall {n}",)
        assert isinstance(item.content, bytes)
        assert _pixel(item.content) == _pixel(again.open(keys[n])) == (n % 256, n // 256, 0)


def test_shards_that_come_or_change_are_seen_by_a_source_that_is_kept(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    first, second = (tmp_path / f"train-{n:05}-of-00002.parquet" for n in range(2))
    _shard(first, 0, 5)
    of = opened(Root("d", str(tmp_path), kind="dataset", options={"as": "parquet"}))
    (event, *_) = (each for each in of.scan() if isinstance(each, Candidate))
    assert _pixel(of.open(event.uri)) == (0, 0, 0)
    _shard(second, 5, 5)
    assert len([each for each in of.scan() if isinstance(each, Candidate)]) == 10
    assert _pixel(of.open(f"d/{second.name}/2")) == (7, 0, 0)
    _shard(first, 0, 6, shade=9)
    os.utime(first, (1, 1))
    assert len([each for each in of.scan() if isinstance(each, Candidate)]) == 11
    assert _pixel(of.open(event.uri)) == (0, 0, 9)
    first.unlink()
    second.unlink()
    with pytest.raises(SourceError):  # so that nothing is removed
        list(of.scan())


def test_a_cut_shard_is_a_failure_and_the_others_are_read(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet

    for shard in range(3):
        picture(tmp_path / f"{shard}.png")
        table = pa.Table.from_pylist([{"file_name": f"{shard}.png", "text": f"wall {shard}"}])
        pyarrow.parquet.write_table(table, tmp_path / f"train-0000{shard}-of-00003.parquet")
    cut = tmp_path / "train-00001-of-00003.parquet"
    cut.write_bytes(cut.read_bytes()[:-20])
    found, failures = read(tmp_path)
    assert {key: said["caption"] for key, said in found.items()} == {
        "0.png": ("wall 0",), "2.png": ("wall 2",),
    }  # fmt: skip
    # A slash at the end: what lies in the cut file is unknown, so that nothing is removed.
    assert list(failures) == [""]  # d/
    assert cut.name in next(iter(failures.values()))


def test_labels_of_hugging_face_have_their_names(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet

    names = {"_type": "ClassLabel", "names": ["boot", "sandal"]}
    about = {"info": {"features": {"label": names, "others": {"feature": names}, "n": None}}}
    rows = [{"image": "a.png", "label": 1, "others": [0, 1], "n": 3},
            {"image": "b.png", "label": -1, "others": [], "n": 4},
            {"image": "c.png", "label": 7, "others": [0], "n": 5}]  # fmt: skip
    for name in "abc":
        picture(tmp_path / f"{name}.png")
    table = pa.Table.from_pylist(rows).replace_schema_metadata({"huggingface": json.dumps(about)})
    pyarrow.parquet.write_table(table, tmp_path / "train-00000-of-00001.parquet")
    found, _ = read(tmp_path)
    assert found == {
        "a.png": {"label": "sandal", "others": "boot; sandal", "n": 3, "split": "train"},
        "b.png": {"n": 4, "split": "train"},
        "c.png": {"label": "7", "others": "boot", "n": 5, "split": "train"},
    }


def test_output_of_img2dataset_and_clip_retrieval(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet

    out = tmp_path / "out"
    picture(out / "00000" / "000000000.jpg")
    rows = [{"key": "000000000", "status": "success", "error_message": None, "caption": "a wall",
             "url": "https://images.example.org/a.jpg", "width": 24, "original_width": 48},
            {"key": "000000001", "status": "failed_to_download", "error_message": "HTTP 404",
             "caption": "b", "url": "https://images.example.org/b.jpg", "width": None,
             "original_width": None}]  # fmt: skip
    pyarrow.parquet.write_table(pa.Table.from_pylist(rows), out / "00000.parquet")
    picture(out / "00001" / "000010000.jpg")
    found, failures = read(out)
    assert found["00000/000000000.jpg"] == {
        "caption": ("a wall",), "key": "000000000", "original_width": 48,
        "source_url": "https://images.example.org/a.jpg",
    }  # fmt: skip
    message, unfinished = failures.values()
    assert "00001.parquet" in unfinished
    assert "HTTP 404" in message and "b.jpg" in message

    # With --output_format parquet.
    whole = tmp_path / "whole"
    whole.mkdir()
    content = (out / "00000" / "000000000.jpg").read_bytes()
    rows = [{**row, "jpg": content if row["status"] == "success" else None} for row in rows]
    pyarrow.parquet.write_table(pa.Table.from_pylist(rows), whole / "00000.parquet")
    assert layout_of(whole) is None  # it may be anything
    (whole / "00000_stats.json").write_text("{}")
    found, failures = read(whole)
    assert found["00000.parquet/0"]["source_url"] == "https://images.example.org/a.jpg"
    assert list(failures.values()) == [message]

    made = tmp_path / "made"
    (made / "metadata").mkdir(parents=True)
    (made / "img_emb").mkdir()
    rows = [{"image_path": str(out / "00000" / "000000000.jpg"), "caption": "a wall", "nsfw": 0.5}]
    pyarrow.parquet.write_table(pa.Table.from_pylist(rows), made / "metadata/metadata_0.parquet")
    found, failures = read(made)
    assert not found and list(failures.values()) == [
        "The path leads out of the folder of the table"
    ]
    found, failures = read(made, images=str(out))
    assert found == {"00000/000000000.jpg": {"caption": ("a wall",), "nsfw": 0.5}}


@pytest.mark.parametrize(
    "files",
    [
        {}, {"captions.txt": "my notes"}, {"results.csv": "run,score\n1,2\n"},
        {"metadata.csv": "camera,lens\na,b\n"}, {"photos.csv": "file\nred.jpg\n"},
        {"a.parquet": "x"}, {"00000.parquet": "x"}, {"keywords.tsv000": "x"},
        {"annotations/notes.json": "{}"}, {"metadata.jsonl": ""},
    ],
)  # fmt: skip
def test_any_other_folder_stays_a_folder(tmp_path: Path, files: dict[str, str]) -> None:
    picture(tmp_path / "red.jpg")
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert layout_of(tmp_path) is None


def test_a_layout_that_is_named_and_not_there_is_an_error(tmp_path: Path) -> None:
    for name, word in (("coco", "--as folder"), ("cocoa", "Did you mean 'coco'")):
        with pytest.raises(SourceError) as caught:
            opened(Root("d", str(tmp_path), kind="dataset", options={"as": name}))
        assert word in caught.value.advice
