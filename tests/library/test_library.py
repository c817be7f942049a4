"""The facade: searching, results, similar images, invalid queries, import and export."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import pixseek
from pixseek.errors import (
    ImageError,
    LibraryError,
    LibraryNotFoundError,
    QueryError,
    SourceError,
    SpaceMismatchError,
    StorageError,
)
from pixseek.types import Acceleration, Compare, Part, Query, Term, record_id

from tiny_encoder import TinyEncoder, draw


@pytest.fixture
def library(tmp_path: Path, tiny: TinyEncoder) -> Iterator[pixseek.Library]:
    for number, colour in enumerate(["red", "green", "blue", "white", "black"]):
        draw(tmp_path / "pictures" / f"{colour}.png", colour, number)
        draw(tmp_path / "pictures" / "more" / f"{colour}.png", colour, number + 10)
    with pixseek.open(tmp_path / "photos.lib") as opened:
        opened.index(tmp_path / "pictures")
        yield opened


def test_words_find_images_best_first(library: pixseek.Library, tmp_path: Path) -> None:
    results = library.search("green", k=4)
    assert [hit.rank for hit in results] == [1, 2, 3, 4]
    assert {hit.path for hit in results[:2]} == {
        tmp_path / "pictures" / "green.png",
        tmp_path / "pictures" / "more" / "green.png",
    }
    scores = [hit.score for hit in results]
    assert scores == sorted(scores, reverse=True)
    assert all(-1 <= score <= 1 for score in scores)
    assert results.model == "tiny"
    assert results.took_ms["total"] >= results.took_ms["search"] > 0
    assert results.query == Query((Term("text", "green"),), k=4)


def test_an_example_finds_images(library: pixseek.Library, tmp_path: Path) -> None:
    path = tmp_path / "pictures" / "blue.png"
    with Image.open(path) as image:
        for example in (path, str(path), image):
            results = library.search(image=example, k=2)
            assert results[0].path == path
            assert results[0].score == pytest.approx(1, abs=1e-3)


def test_similar_does_not_return_the_image_itself(library: pixseek.Library, tmp_path: Path) -> None:
    path = tmp_path / "pictures" / "blue.png"
    for what in (path, record_id("pictures/blue.png")):
        results = library.similar(what, k=3)
        assert len(results) == 3
        assert results[0].path == tmp_path / "pictures" / "more" / "blue.png"
        assert path not in [hit.path for hit in results]
    stranger = draw(tmp_path / "stranger.png", "blue", 77)
    assert "blue" in library.similar(stranger, k=1)[0].uri
    with pytest.raises(QueryError, match="No image with this id"):
        library.similar("nothing-like-it")


def test_a_file_that_changed_since_indexing_is_read_again(
    library: pixseek.Library, tmp_path: Path
) -> None:
    path = draw(tmp_path / "pictures" / "blue.png", "red", 123, size=(80, 60))
    assert "red" in library.similar(path, k=1)[0].uri


def test_pages_together_are_the_whole_answer(library: pixseek.Library) -> None:
    whole = [hit.id for hit in library.search("red", k=10)]
    paged = [hit.id for offset in (0, 3, 6, 9) for hit in library.search("red", k=3, offset=offset)]
    assert paged == whole
    assert len(set(whole)) == 10
    assert [hit.rank for hit in library.search("red", k=3, offset=3)] == [4, 5, 6]


def test_a_filter_holds_for_every_hit_and_hides_none(library: pixseek.Library) -> None:
    results = library.search("red", k=5, where=Compare("folder", "eq", "more"))
    assert len(results) == 5
    assert {hit.record.folder for hit in results} == {"more"}
    with pytest.raises(QueryError, match="Known fields"):
        library.search("red", where=Compare("shade", "eq", "red"))


def test_a_vector_is_a_query(library: pixseek.Library, tiny: TinyEncoder) -> None:
    vector = tiny.encode_texts(["blue"])[0] * 7
    assert "blue" in library.search(Query((Term("vector", vector),)))[0].uri
    for bad in (np.zeros(48), np.ones(7), np.full(48, np.nan)):
        with pytest.raises(QueryError, match="Give 48 finite numbers"):
            library.search(Query((Term("vector", bad),)))


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("", "nothing to look for"),
        ("  \n", "nothing to look for"),
        (None, "nothing to look for"),
        (Query(()), "nothing to look for"),
        (Query((), exclude=(Term("text", "red"),)), "nothing to look for"),
        (Query((Term("text", "red", -1),)), "nothing to look for"),
        (Query((Term("text", "red"),), variety=2), "Variety lies between"),
        (Query((Term("text", "red"),), sort="colour"), "Unknown order"),  # type: ignore[arg-type]
        (Query((Term("text", "red"), Term("text", "red", -1))), "cancel each other out"),
        ("width:wide", "Not a number"),
        (Query((Term("text", "red"),), k=0), "k must be at least 1"),
        (Query((Term("text", "red"),), offset=-1), "k must be at least 1"),
        (Query((Term("id", "unknown"),)), "No image with this id"),
    ],
)
def test_invalid_queries_raise_query_error(
    library: pixseek.Library, query: Query | str | None, words: str
) -> None:
    with pytest.raises(QueryError, match=words):
        library.search(query)


def test_unreadable_examples_raise_errors(library: pixseek.Library, tmp_path: Path) -> None:
    with pytest.raises(QueryError, match=r"(?i)can't be read"):
        library.search(image=tmp_path / "nothing.jpg")
    (tmp_path / "page.jpg").write_text("<html>")
    with pytest.raises(ImageError, match=r"(?i)not an image"):
        library.search(image=tmp_path / "page.jpg")


def test_results_are_numpy_and_arrow(library: pixseek.Library) -> None:
    results = library.search("red", k=3)
    ids, scores = results.to_numpy()
    assert ids.tolist() == [hit.id for hit in results]
    assert scores.dtype == np.float32
    assert scores.shape == (3,)
    pytest.importorskip("pyarrow")
    table = results.to_arrow()
    assert table.column("path").to_pylist() == [str(hit.path) for hit in results]
    assert table.column("rank").to_pylist() == [1, 2, 3]


def test_an_empty_library_returns_no_hits_and_a_warning(tmp_path: Path, tiny: TinyEncoder) -> None:
    with pixseek.open(tmp_path / "empty.lib") as library:
        results = library.search("red")
        assert list(results) == []
        assert "pixseek index" in results.warnings[0]
        assert len(library) == 0
        assert library.status().records == 0


def test_a_search_does_not_create_a_library(tmp_path: Path) -> None:
    with pytest.raises(LibraryNotFoundError, match=r"(?i)pixseek index"):
        pixseek.open(tmp_path / "nothing.lib", create=False)
    assert not (tmp_path / "nothing.lib").exists()


def test_a_folder_with_other_files_is_not_a_library(tmp_path: Path) -> None:
    draw(tmp_path / "pictures" / "1.png")
    with pytest.raises(LibraryError, match=r"(?i)is not a library"):
        pixseek.open(tmp_path / "pictures")
    with pytest.raises(LibraryError, match=r"(?i)this is a file"):
        pixseek.open(tmp_path / "pictures" / "1.png")
    assert [p.name for p in (tmp_path / "pictures").iterdir()] == ["1.png"]


def test_the_demo_model_warns_unless_the_library_is_drawn(
    tmp_path: Path, tiny: TinyEncoder
) -> None:
    tiny.note = "The demo model knows drawn scenes only."
    draw(tmp_path / "pictures" / "1.png")
    for drawn, warnings in ((False, (tiny.note,)), (True, ())):
        with pixseek.open(tmp_path / f"{drawn}.lib", drawn=drawn) as library:
            library.index(tmp_path / "pictures")
            assert library.search("red").warnings == warnings


def test_status_counts_records_roots_and_failures(library: pixseek.Library, tmp_path: Path) -> None:
    (tmp_path / "pictures" / "bad.jpg").touch()
    library.index()
    status = library.status()
    assert (status.records, status.model, status.failures) == (10, "tiny", {"empty": 1})
    (root,) = status.roots
    assert (root.name, root.is_there, root.records) == ("pictures", True, 10)
    assert status.bytes_on_disk > 1000
    assert status.running is None


def test_remove_refuses_unknown_images_and_roots(library: pixseek.Library, tmp_path: Path) -> None:
    with pytest.raises(QueryError, match="Not in the library"):
        library.remove("nothing")
    with pytest.raises(QueryError, match="Known roots: pictures"):
        library.remove(root="picture")
    assert library.remove(record_id("pictures/red.png")) == 1
    assert len(library) == 9


# ------------------------------------------------------------------ export and import


@pytest.mark.parametrize("ending", ["npz", "parquet"])
def test_exported_vectors_can_be_imported(
    library: pixseek.Library, tmp_path: Path, ending: str
) -> None:
    if ending == "parquet":
        pytest.importorskip("pyarrow")
    target = tmp_path / f"all.{ending}"
    library.opened.engine.keep("search", "reds", "red")
    library.opened.engine.keep("search", "blues", "blue")
    red = library.get(record_id("pictures/red.png"))
    assert red is not None
    seen = replace(
        red, pixels="cd" * 32, perceptual_hash="0f" * 8, parts=(Part("shot", None, 1.0, 3.0, 2.5),)
    )
    (vectors,) = library.opened.engine.vectors([red.id])
    library.opened.engine.put([seen], vectors)
    assert library.export(target) == 10
    assert [p.name for p in tmp_path.iterdir() if "unfinished" in p.name] == []
    with pixseek.open(tmp_path / "copy.lib", model="demo") as copy:
        copy.opened.engine.keep("search", "blues", "my own")
        assert copy.import_vectors(target) == 10
        assert copy.opened.engine.kept("search") == {"blues": "my own", "reds": "red"}
        for name in ("red", "more/blue"):
            uri_id = record_id(f"pictures/{name}.png")
            assert copy.get(uri_id) == library.get(uri_id)
            assert np.array_equal(copy.vectors(uri_id), library.vectors(uri_id))
        assert [hit.id for hit in copy.search("red")] == [hit.id for hit in library.search("red")]
        # Its files are found once their folder is indexed; nothing is embedded again.
        assert copy.search("red", k=1)[0].path is None
        report = copy.index(tmp_path / "pictures")
        assert (report.unchanged, report.added) == (10, 0)
        assert copy.search("red", k=1)[0].path.exists()


def test_export_refuses_unknown_formats_and_unwritable_places(
    library: pixseek.Library, tmp_path: Path
) -> None:
    with pytest.raises(SourceError, match=r"Use \.parquet or \.npz"):
        library.export(tmp_path / "all.csv")
    with pytest.raises(StorageError, match=r"(?i)can't be written"):
        library.export(tmp_path / "nowhere" / "all.npz")
    with (
        pixseek.open(tmp_path / "empty.lib") as empty,
        pytest.raises(SourceError, match=r"(?i)library is empty"),
    ):
        empty.export(tmp_path / "all.npz")


def test_vectors_of_another_model_are_refused(
    library: pixseek.Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.export(tmp_path / "all.npz")
    monkeypatch.setattr("pixseek.encoders.load", lambda *_, **__: TinyEncoder("other"))
    with (
        pixseek.open(tmp_path / "other.lib", model="demo") as other,
        pytest.raises(SpaceMismatchError, match=r"(?i)tiny"),
    ):
        other.import_vectors(tmp_path / "all.npz")


def test_a_new_library_takes_the_model_that_an_imported_file_names(
    library: pixseek.Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def load(name: str, **_: object) -> TinyEncoder:
        asked.append(name)
        return TinyEncoder("demo")

    monkeypatch.setattr("pixseek.encoders.load", load)
    with pixseek.open(tmp_path / "demo.lib", model="demo") as demo:
        demo.index(tmp_path / "pictures")
        demo.export(tmp_path / "demo.npz")
    asked.clear()
    with pixseek.open(tmp_path / "new.lib") as new:
        assert new.import_vectors(tmp_path / "demo.npz") == 10
        assert new.model == "demo"
    with pixseek.open(tmp_path / "new.lib") as again:
        again.search("red")
    assert set(asked) == {"demo"}


@pytest.mark.parametrize(
    ("vectors", "error", "words"),
    [
        (np.ones((2, 7), np.float32), SpaceMismatchError, "another length"),
        (np.ones((3, 48), np.float32), SourceError, "do not fit together"),
        (np.zeros((2, 48), np.float32), SourceError, "zero or not finite"),
        (np.full((2, 48), np.inf, np.float32), SourceError, "zero or not finite"),
    ],
)
def test_invalid_vectors_are_refused(
    library: pixseek.Library, tmp_path: Path, vectors: np.ndarray, error: type, words: str
) -> None:
    np.savez(tmp_path / "some.npz", uri=np.array(["a.jpg", "b.jpg"]), vectors=vectors)
    with pytest.raises(error, match=words):
        library.import_vectors(tmp_path / "some.npz")
    assert len(library) == 10


def test_plain_vectors_with_uris_are_enough(
    library: pixseek.Library, tmp_path: Path, tiny: TinyEncoder
) -> None:
    rows = tiny.encode_texts(["red", "blue"]) * 3  # not of unit length
    uris = np.array(["https://example.org/1.jpg", "sub/2.jpg"])
    np.savez(tmp_path / "some.npz", uri=uris, vectors=rows)
    (tmp_path / "elsewhere" / "sub").mkdir(parents=True)
    assert library.import_vectors(tmp_path / "some.npz", base=tmp_path / "elsewhere") == 2
    best = library.search("blue", k=1, text_weight=0)[0]
    assert best.score == pytest.approx(1, abs=1e-3)
    assert best.path == tmp_path / "elsewhere" / "sub" / "2.jpg"
    assert library.search("red", k=1, text_weight=0)[0].uri == "https://example.org/1.jpg"


def test_folders_of_clip_retrieval_are_imported(
    library: pixseek.Library, tmp_path: Path, tiny: TinyEncoder
) -> None:
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    folder = tmp_path / "embeddings"
    (folder / "img_emb").mkdir(parents=True)
    (folder / "metadata").mkdir()
    for part, colours in enumerate((["red", "green"], ["blue"])):
        rows = tiny.encode_texts(colours).astype(np.float16)
        np.save(folder / "img_emb" / f"img_emb_{part}.npy", rows)
        table = pa.table(
            {
                "image_path": [f"{tmp_path}/data/{colour}.jpg" for colour in colours],
                "caption": [f"a {colour} wall" for colour in colours],
                "similarity": [0.5] * len(colours),
            }
        )
        pq.write_table(table, folder / "metadata" / f"metadata_{part}.parquet")
    (tmp_path / "data").mkdir()
    with pytest.raises(SourceError, match="outside of the library's folders"):
        library.import_vectors(folder)
    assert library.import_vectors(folder, base=tmp_path / "data") == 3
    hit = library.search("blue", k=1)[0]
    assert hit.uri == "data/blue.jpg"
    assert hit.record.caption == "a blue wall"
    assert hit.record.fields == {"similarity": 0.5}
    (folder / "metadata" / "metadata_1.parquet").unlink()
    with pytest.raises(SourceError, match=r"(?i)not a folder of clip-retrieval"):
        library.import_vectors(folder)


@pytest.mark.parametrize("name", ["nothing.npz", "broken.npz", "broken.parquet", "vectors.csv"])
def test_invalid_files_are_named_by_import(
    library: pixseek.Library, tmp_path: Path, name: str
) -> None:
    if name != "nothing.npz":
        (tmp_path / name).write_bytes(b"nothing that could be read")
    with pytest.raises(SourceError) as caught:
        library.import_vectors(tmp_path / name)
    assert name in str(caught.value)


# ------------------------------------------------------------------ real photos, a real model


@pytest.mark.slow
def test_real_photos_are_found_by_words_and_by_example(
    photos: Path, photo_mini: Path, tmp_path: Path
) -> None:
    captions: dict[str, list[str]] = {}
    for line in (photos / "captions.tsv").read_text("utf-8").splitlines()[1:]:
        name, caption = line.split("\t")
        captions.setdefault(name, []).append(caption)
    chosen = sorted(captions)[:150]
    with pixseek.open(tmp_path / "photos.lib", model=photo_mini) as library:
        report = library.index(*(photos / name for name in chosen))
        assert report.added == 150
        found = sum(
            any(hit.record.name == name for hit in library.search(captions[name][0], k=10))
            for name in chosen
        )
        # .678 of all captions find their photo among 1,000; among 150 it is far more.
        assert found / 150 >= 0.85
        ids = library.search(image=photos / chosen[7], k=1)
        assert ids[0].record.name == chosen[7]


def test_importing_pixseek_loads_nothing_heavy() -> None:
    code = (
        "import sys, json, pixseek, pixseek.types, pixseek.errors\n"
        "print(json.dumps([m for m in ('numpy', 'PIL', 'onnxruntime', 'tokenizers', 'rich',"
        " 'sqlite3', 'huggingface_hub', 'torch') if m in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []


def test_many_queries_get_the_same_answers_as_one_by_one(
    library: pixseek.Library, tmp_path: Path
) -> None:
    path = tmp_path / "pictures" / "blue.png"
    wide, one = Compare("width", "ge", 1), Compare("name", "eq", "red.png")
    queries: list[str | Query] = [
        "green",
        Query((Term("image", path),), k=2),
        Query((Term("id", record_id("pictures/blue.png")),), k=3, offset=1),
        "red",
        Query((Term("text", "red"),), where=one, k=10),
        Query((Term("vector", np.ones(48)),), where=wide, k=5),
    ]
    together = library.search_many(queries, k=4)
    alone = [library.search(query, k=4) for query in queries]
    assert [[h.uri for h in r] for r in together] == [[h.uri for h in r] for r in alone]
    assert [r.query for r in together][1:5] == [r.query for r in alone][1:5]
    assert {hit.record.name for hit in together[4]} == {"red.png"}
    assert library.search_many([]) == []
    with pytest.raises(QueryError, match="nothing to look for"):
        library.search_many(["red", " "])


def test_filters_that_are_equal_only_to_python_stay_apart(
    library: pixseek.Library,
) -> None:
    queries = [Query((Term("text", "red"),), where=Compare("fields.x", "ne", v)) for v in (1, True)]
    assert len({repr(r.query.where) for r in library.search_many(queries)}) == 2


class Accelerable(TinyEncoder):
    """A tiny encoder that notes how it was asked to get ready."""

    asked: tuple[str, int, tuple[int, ...]]

    def accelerate(self, precision: str, images: int, sample: Any) -> Acceleration:
        self.asked = (precision, images, sample(3).shape)
        return Acceleration("runtime", "int8", "Because.", 3, 0.999, 0.99, 0.98)


def test_a_model_is_accelerated_for_many_images_and_status_shows_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = Accelerable()
    monkeypatch.setattr("pixseek.encoders.load", lambda *_, **__: encoder)
    for number in range(8):
        draw(tmp_path / "p" / f"{number}.png", "red", number)
    (tmp_path / "p" / "broken.png").write_bytes(b"\x89PNG")
    with pixseek.open(tmp_path / "photos.lib", precision="int8") as library:
        assert library.status().acceleration is None
        stages: list[str] = []
        library.index(tmp_path / "p", on_progress=lambda p: stages.append(p.stage))
        assert encoder.asked == ("int8", 9, (3, 3, 4, 4))
        assert stages.index("prepare") < stages.index("index")
        how = library.status().acceleration
        assert how == Acceleration("runtime", "int8", "Because.", 3, 0.999, 0.99, 0.98)
        del encoder.asked
        library.index()  # nothing to embed: nothing to get ready
        assert not hasattr(encoder, "asked")


# ------------------------------------------------------------------ the background of a model


def test_the_bank_of_captions_is_embedded_once_per_model(
    library: pixseek.Library, tiny: TinyEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    encode = tiny.encode_texts

    def counting(texts: Sequence[str]) -> Any:
        calls.append(len(texts))
        return encode(texts)

    monkeypatch.setattr(tiny, "encode_texts", counting)
    with pixseek.open(tmp_path / "other.lib") as other:
        other.index(tmp_path / "pictures")
        again = other.search("red", k=10)
    assert calls == [2], "the first library's is used; a word is also put with an article"
    found = library.search("red", k=10)
    assert [hit.why for hit in again] == [hit.why for hit in found]


def test_a_library_without_the_background_of_its_model_can_be_searched(
    library: pixseek.Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = [(hit.id, hit.strength) for hit in library.search("red", k=10)]
    # As on another machine, whose folder of models can't be written either.
    elsewhere = tmp_path / "a-file"
    elsewhere.write_text("where the folder should be")
    monkeypatch.setattr("pixseek.library.opened.may_write", lambda _: False)
    with pixseek.open(library.path, create=False, models_dir=elsewhere) as moved:
        assert [(hit.id, hit.strength) for hit in moved.search("red", k=10)] == wanted


def test_another_text_tower_has_another_background(tmp_path: Path, tiny: TinyEncoder) -> None:
    from pixseek.search.background_store import BackgroundStore

    model = tmp_path / "model"
    model.mkdir()
    (model / "text.onnx").write_bytes(b"one")
    store = BackgroundStore(tmp_path, tmp_path / "converted", read_only=False)
    for _ in range(2):
        store.texts(tiny.fingerprint, lambda: tiny, ["a", "b", "c"], model)
    assert len(list((tmp_path / "converted").glob("background-*"))) == 1
    (model / "text.onnx").write_bytes(b"another")
    store.texts(tiny.fingerprint, lambda: tiny, ["a", "b", "c"], model)
    assert len(list((tmp_path / "converted").glob("background-*"))) == 2
