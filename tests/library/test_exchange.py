"""Import of vectors: which model they are taken for, and what says so in files that are damaged."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pixseek
from pixseek.errors import ModelError, SourceError, SpaceMismatchError
from pixseek.types import Space, record_id

from tiny_encoder import TinyEncoder, draw

DIM = 32


@pytest.fixture
def no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """No encoder can be loaded."""

    def load(name: str, **_: object) -> None:
        raise ModelError("unknown model", name, "Known models: none.")

    monkeypatch.setattr("pixseek.encoders.load", load)


@pytest.fixture
def library(tmp_path: Path, tiny: TinyEncoder) -> Iterator[pixseek.Library]:
    """A library of the model "tiny" with two images."""
    del tiny
    draw(tmp_path / "photos" / "red.png", "red")
    draw(tmp_path / "photos" / "blue.png", "blue")
    with pixseek.open(tmp_path / "a.lib", model="demo") as opened:
        opened.index(tmp_path / "photos")
        yield opened


def vectors_of(path: Path, *, count: int = 20, dim: int = DIM, **more: Any) -> Path:
    """Write vectors of random directions, the second nearly equal to the first."""
    rows = np.random.default_rng(0).normal(size=(count, dim)).astype(np.float32)
    rows[1] = rows[0] + 0.01
    uris = np.array([f"{n:02}.jpg" for n in range(count)])
    np.savez(path, uri=uris, vectors=rows, **more)
    return path


def naming(model: str, fingerprint: str = "", dim: int = DIM) -> np.ndarray:
    """Return the header of a file that names its model."""
    said = {"pixseek_model": model, "pixseek_fingerprint": fingerprint, "pixseek_dim": str(dim)}
    return np.array(json.dumps(said))


def test_a_name_is_enough_to_import(tmp_path: Path, no_model: None) -> None:
    file = vectors_of(tmp_path / "v.npz")
    with pixseek.open(tmp_path / "new.lib") as library:
        assert library.import_vectors(file, name="our-clip", dim=DIM) == 20
        assert library.model == "our-clip"
        status = library.status()
        assert (status.model, status.records) == ("our-clip", 20)
        assert library.export(tmp_path / "out.npz") == 20
    with pixseek.open(tmp_path / "copy.lib") as copy:  # what was exported names it, too
        assert copy.import_vectors(tmp_path / "out.npz") == 20
        assert copy.model == "our-clip"
        assert copy.import_vectors(file, name="our-clip", replace=True) == 20
        with pytest.raises(SpaceMismatchError, match="made by another model"):
            copy.import_vectors(file, name="their-clip")


def test_imported_images_with_sidecars_are_unchanged_and_can_be_read(
    tmp_path: Path, tiny: TinyEncoder
) -> None:
    folder = tmp_path / "set"
    for number in range(3):
        draw(folder / f"{number}.png", "red", number)
        (folder / f"{number}.json").write_text(json.dumps({"caption": f"wall {number}"}))
    with pixseek.open(tmp_path / "first.lib") as first:
        first.index(folder)
        space = first.status().space
    assert space is not None
    rows = np.random.default_rng(0).normal(size=(3, space.dim)).astype(np.float32)
    uris = np.array([f"{number}.png" for number in range(3)])
    header = naming(space.model, space.fingerprint, space.dim)
    np.savez(tmp_path / "v.npz", vectors=rows, uri=uris, header=header)
    tiny.embedded = 0
    with pixseek.open(tmp_path / "new.lib") as library:
        library.import_vectors(tmp_path / "v.npz", base=folder)
        assert library.index(folder).unchanged == 3
        assert library.find(folder / "1.png").caption == ""
        kept = library.opened.engine.vectors([library.find(folder / "1.png").id])[0]
        assert library.index(reread=True).updated == 3
        record = library.find(folder / "1.png")
        assert (record.caption, len(record.digest)) == ("wall 1", 64)
        np.testing.assert_array_equal(library.opened.engine.vectors([record.id])[0], kept)
        assert library.index(reread=True).unchanged == 3
    assert tiny.embedded == 0


def test_the_name_in_a_file_is_used_whatever_the_settings_say(
    tmp_path: Path, no_model: None
) -> None:
    file = vectors_of(tmp_path / "v.npz", header=naming("our-clip", "ab" * 32))
    with pixseek.open(tmp_path / "new.lib") as library:
        library.import_vectors(file)
        assert library.model == "our-clip"
        assert library.status().space == Space("ab" * 32, DIM, "our-clip")


def test_words_say_that_the_model_is_not_here(tmp_path: Path, no_model: None) -> None:
    with pixseek.open(tmp_path / "new.lib") as library:
        library.import_vectors(vectors_of(tmp_path / "v.npz"), name="our-clip")
    with pixseek.open(tmp_path / "new.lib") as library:
        with pytest.raises(ModelError, match="not on this machine") as caught:
            library.search("a dog")
        assert "our-clip" in caught.value.subject
        assert "--model DIR" in caught.value.advice
        draw(tmp_path / "more" / "1.png")
        with pytest.raises(ModelError, match="not on this machine"):
            library.index(tmp_path / "more")


def test_everything_but_words_needs_no_model(tmp_path: Path, no_model: None) -> None:
    with pixseek.open(tmp_path / "new.lib") as library:
        library.import_vectors(vectors_of(tmp_path / "v.npz"), name="our-clip")
    vector = np.load(tmp_path / "v.npz")["vectors"][5]
    with pixseek.open(tmp_path / "new.lib") as library:
        [first] = library.search(vector=vector, k=1)
        assert (first.uri, first.score) == ("05.jpg", pytest.approx(1, abs=1e-3))
        nearest = [hit.uri for hit in library.similar(record_id("00.jpg"), k=3)]
        assert nearest[0] == "01.jpg"
        assert [hit.uri for hit in library.search(f"id:{record_id('00.jpg')}", k=3)] == nearest
        assert len(library.search("name:0*", k=50)) == 10
        assert [group.kept.uri for group in library.duplicates()] == ["00.jpg"]
        assert library.tag(record_id("03.jpg"), add="dog") == 1
        assert [hit.uri for hit in library.search("tag:dog")] == ["03.jpg"]
        assert library.facets("tag:dog")["tag"] == {"dog": 1}
        assert library.status().model_is_here is False
        assert library.export(tmp_path / "out.npz") == 20
        assert library.remove(record_id("03.jpg")) == 1
        assert len(library) == 19


def test_files_of_a_named_model_can_be_used_later(tmp_path: Path, tiny: TinyEncoder) -> None:
    tiny.name = "a-folder"
    (tmp_path / "a-folder").mkdir()
    rows = tiny.encode_texts(["red", "blue"])
    np.savez(tmp_path / "v.npz", uri=np.array(["r.jpg", "b.jpg"]), vectors=rows)
    with pixseek.open(tmp_path / "new.lib") as library:
        library.import_vectors(tmp_path / "v.npz", name="our-clip")
    with pixseek.open(tmp_path / "new.lib", model=tmp_path / "a-folder") as library:
        assert library.search("blue", k=1)[0].uri == "b.jpg"
        draw(tmp_path / "photos" / "green.png", "green")
        assert library.index(tmp_path / "photos").added == 1
        assert len(library) == 3
    with (
        pixseek.open(tmp_path / "new.lib", model="clip-b32-openai") as library,
        pytest.raises(SpaceMismatchError, match="our-clip"),
    ):
        library.search("blue")


@pytest.mark.parametrize(
    ("header", "how", "problem"),
    [
        (naming("other", "ab" * 32), {}, "another model than the library's"),
        (naming("other"), {}, "another model than the library's"),
        (naming("tiny", "ab" * 32), {}, "another model than the library's"),
        (naming("tiny"), {"name": "other"}, "names another model than the one given"),
        (None, {"name": "other"}, "another model than the library's"),
        (naming("tiny"), {"dim": 7}, "length that was given"),
    ],
)
def test_another_model_is_refused(
    library: pixseek.Library,
    tmp_path: Path,
    header: np.ndarray | None,
    how: dict[str, Any],
    problem: str,
) -> None:
    more = {} if header is None else {"header": np.array(str(header).replace("32", "48"))}
    file = vectors_of(tmp_path / "v.npz", dim=48, **more)
    with pytest.raises(SpaceMismatchError, match=problem) as caught:
        library.import_vectors(file, **how)
    assert "v.npz" in caught.value.subject
    assert caught.value.advice
    assert len(library) == 2


@pytest.mark.parametrize("header", [None, naming("tiny", dim=48)])
def test_vectors_of_the_library_s_own_model_are_taken(
    library: pixseek.Library, tmp_path: Path, header: np.ndarray | None
) -> None:
    more = {} if header is None else {"header": header}
    assert library.import_vectors(vectors_of(tmp_path / "v.npz", dim=48, **more)) == 20
    assert library.import_vectors(tmp_path / "v.npz", name="tiny", replace=True) == 20


def test_images_that_are_here_are_kept_unless_they_are_to_be_replaced(
    library: pixseek.Library, tmp_path: Path
) -> None:
    library.tag(tmp_path / "photos" / "red.png", add="mine")
    vectors = np.eye(4, 48, dtype=np.float32)
    np.savez(
        tmp_path / "v.npz", vectors=vectors, caption=["theirs"] * 4, digest=["0" * 64] * 4,
        uri=["photos/red.png", "photos/blue.png", "new/a.jpg", "photos/blue.png"],
        id=[record_id("photos/red.png"), record_id("photos/blue.png"), "given", "another id"],
    )  # fmt: skip
    red = record_id("photos/red.png")
    before, rows = library.find(red), library.vectors(red)
    kept: list[int] = []
    assert library.import_vectors(tmp_path / "v.npz", name="tiny", on_kept=kept.append) == 1
    assert kept == [2] and len(library) == 3
    assert library.find(red) == before and np.array_equal(library.vectors(red), rows)
    assert library.import_vectors(tmp_path / "v.npz", name="tiny", replace=True) == 4
    after = library.find(red)
    assert after is not None and before is not None
    assert (after.digest, after.caption, after.tags) == ("0" * 64, "theirs", ("mine",))


@pytest.mark.parametrize(
    "uri", ["photos/../../x.jpg", "photos//x.jpg", "photos/./x.jpg", "..", "", "/nowhere/x.jpg"]
)
@pytest.mark.parametrize("is_bare", [False, True])
def test_uris_that_leave_their_folder_are_refused(
    library: pixseek.Library, tmp_path: Path, uri: str, is_bare: bool
) -> None:
    library.export(tmp_path / "v.npz")
    with np.load(tmp_path / "v.npz") as file:
        arrays = dict(file)
    if is_bare:
        header = json.loads(str(arrays["header"]))
        row = {name: arrays[name][0].item() for name in arrays if arrays[name].shape == (2,)}
        header["pixseek_bare"] = json.dumps([{**row, "uri": uri}])
        arrays["header"] = np.array(json.dumps(header))
    else:
        arrays["uri"] = np.array(["photos/red.png", uri])
    np.savez(tmp_path / "v.npz", **arrays)
    with pytest.raises(SourceError, match="outside of the library's folders") as caught:
        library.import_vectors(tmp_path / "v.npz")
    assert ("--base" in caught.value.advice) == uri.startswith("/")
    assert len(library) == 2


def test_the_length_of_a_known_model_is_checked_without_loading_it(
    tmp_path: Path, no_model: None
) -> None:
    with (
        pixseek.open(tmp_path / "new.lib") as library,
        pytest.raises(SpaceMismatchError, match="clip-b32-openai") as caught,
    ):
        library.import_vectors(vectors_of(tmp_path / "v.npz"), name="clip-b32-openai")
    assert "32 numbers, and not 512" in caught.value.subject


def test_a_file_without_a_name_says_how_to_give_one(tmp_path: Path, no_model: None) -> None:
    with (
        pixseek.open(tmp_path / "new.lib") as library,
        pytest.raises(ModelError, match="does not say which model") as caught,
    ):
        library.import_vectors(vectors_of(tmp_path / "v.npz"))
    assert "v.npz" in caught.value.subject
    assert "--name NAME" in caught.value.advice


DAMAGES: dict[str, dict[str, np.ndarray]] = {
    "tags": {"tags": np.array(["[]", "not JSON"])},
    "kind of tags": {"tags": np.array(["[]", '{"a": 1}'])},
    "date in fields": {"fields": np.array(["{}", '{"x": {"datetime": "yesterday"}}'])},
    "part": {"part": np.array(["[]", "[]"])},
    "date": {"taken_at": np.array(["", "yesterday"])},
    "size": {"size": np.array(["a", "b"])},
    "length in the header": {"header": naming("tiny", dim=12)},
    "words as vectors": {"vectors": np.array(["red", "blue"])},
    "no vectors": {"vectors": np.zeros((0, 48), np.float32), "uri": np.array([], str)},
}
#: What a Parquet file can't be like.
ONLY_NPZ: dict[str, dict[str, np.ndarray]] = {
    "length of a column": {"caption": np.array(["only one"])},
    "header": {"header": np.array("not JSON")},
    "kind of header": {"header": np.array("[1, 2]")},
}


def columns_of(damage: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    uris = np.array(["a.jpg", "damaged.jpg"])
    return {"uri": uris, "vectors": np.ones((2, 48), np.float32), **damage}


def refused(library: pixseek.Library, file: Path) -> None:
    with pytest.raises(SourceError) as caught:
        library.import_vectors(file)
    assert file.name in caught.value.subject
    assert caught.value.advice
    assert library.get(record_id("damaged.jpg")) is None


@pytest.mark.parametrize("damage", [*DAMAGES, *ONLY_NPZ])
def test_a_damaged_npz_file_is_named(library: pixseek.Library, tmp_path: Path, damage: str) -> None:
    columns = columns_of({**DAMAGES, **ONLY_NPZ}[damage])
    np.savez(tmp_path / "some.npz", **columns)  # type: ignore[arg-type]
    refused(library, tmp_path / "some.npz")


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_parquet_file_is_named(
    library: pixseek.Library, tmp_path: Path, damage: str
) -> None:
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    columns = columns_of(DAMAGES[damage])
    header = columns.pop("header", np.array("{}"))
    arrays = {name: pa.array(values.tolist()) for name, values in columns.items()}
    table = pa.table({**arrays, "vector": arrays.pop("vectors")})
    pq.write_table(table.replace_schema_metadata(json.loads(str(header))), tmp_path / "p.parquet")
    refused(library, tmp_path / "p.parquet")


@pytest.mark.parametrize("part", ["img_emb/img_emb_0.npy", "metadata/metadata_0.parquet"])
@pytest.mark.parametrize("content", [b"", b"nothing that could be read", b"PAR1PAR1"])
def test_a_damaged_file_of_clip_retrieval_is_named(
    library: pixseek.Library, tmp_path: Path, part: str, content: bytes
) -> None:
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    folder = tmp_path / "run"
    (folder / "img_emb").mkdir(parents=True)
    (folder / "metadata").mkdir()
    np.save(folder / "img_emb" / "img_emb_0.npy", np.ones((2, 48), np.float32))
    table = pa.table({"image_path": ["a.jpg", "b.jpg"]})
    pq.write_table(table, folder / "metadata" / "metadata_0.parquet")
    (folder / part).write_bytes(content)
    with pytest.raises(SourceError) as caught:
        library.import_vectors(folder)
    assert Path(part).name in caught.value.subject


@pytest.mark.parametrize("kind", ["<f2", "<f4", ">f4"])
def test_vectors_of_clip_retrieval_in_any_order_of_bytes_and_columns(
    library: pixseek.Library, tmp_path: Path, kind: str
) -> None:
    """Its own reader takes files in Fortran order as if they were in C order: see findings."""
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    folder = tmp_path / "run"
    (folder / "img_emb").mkdir(parents=True)
    (folder / "metadata").mkdir()
    rows = np.eye(22, 48, 3).astype(kind)
    for part in range(11):
        some = np.asfortranarray(rows[2 * part : 2 * part + 2])
        np.save(folder / "img_emb" / f"img_emb_{part}.npy", some)
        table = pa.table({"image_path": [f"{part}/a.jpg", f"{part}/b.jpg"]})
        pq.write_table(table, folder / "metadata" / f"metadata_{part}.parquet")
    library.import_vectors(folder)
    for n, row in enumerate(rows):
        (hit,) = library.search(vector=row.astype(np.float32), k=1)
        assert hit.record.uri.endswith(f"{n // 2}/{'ab'[n % 2]}.jpg")


def test_an_array_of_one_row_is_not_vectors(library: pixseek.Library, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    folder = tmp_path / "run"
    (folder / "img_emb").mkdir(parents=True)
    (folder / "metadata").mkdir()
    np.save(folder / "img_emb" / "img_emb_0.npy", np.ones(48, np.float32))
    (folder / "metadata" / "metadata_0.parquet").touch()
    with pytest.raises(SourceError, match="does not hold vectors"):
        library.import_vectors(folder)
