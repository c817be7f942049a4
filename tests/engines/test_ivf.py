"""The inverted file: its recall, and that a damaged or outdated file is made again."""

from __future__ import annotations

import importlib.util
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pixseek.engines.embedded import codes, ivf, vectorfile
from pixseek.engines.embedded.ivf import Ivf
from pixseek.engines.embedded.vectorfile import VectorFile

from vectors import Clustered

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("faiss") is None, reason="faiss is not installed"
)

GENERATION = "0123456789ab"
DIM, ROWS = 64, 20_000


def stored(folder: Path, vectors: Any, at: int = 0) -> VectorFile:
    path = folder / f"vectors-{GENERATION}.f16"
    vectorfile.append(path, at, vectors)
    return VectorFile(path, at + len(vectors), vectors.shape[1])


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("ivf-*"))


def numbers(folder: Path) -> list[str]:
    """What the names of the files say but for the checksum."""
    return [name[: -len("-0123456789abcdef.faiss")] for name in files(folder)]


def noise(n: int, seed: int = 0, dim: int = 16) -> Any:
    vectors = np.random.default_rng(seed).standard_normal((n, dim)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def clustered(tmp_path_factory: pytest.TempPathFactory) -> tuple[Ivf, Any, Any]:
    """An inverted file of clustered vectors, the vectors, and queries out of their distribution."""
    folder = tmp_path_factory.mktemp("clustered")
    spread = Clustered(DIM, clusters=ROWS // 20, latent=32)
    vectors = stored(folder, spread.images(ROWS))
    ivf.build(folder, GENERATION, vectors)
    index = Ivf.open(folder, GENERATION, vectors)
    assert index is not None
    return index, vectors.read(np.arange(ROWS)), spread.texts(50)


def recall(index: Ivf, vectors: Any, queries: Any, k: int, mask: Any = None) -> float:
    scores = queries @ vectors.T
    if mask is not None:
        scores[:, ~mask] = -np.inf
    best = np.argsort(-scores, axis=1)[:, :k]
    hits = 0
    for right, rows in zip(best, index.search(queries, codes.candidates(k), mask), strict=True):
        assert np.all(np.diff(rows) > 0)
        assert mask is None or mask[rows].all()
        hits += len(np.intersect1d(right, rows))
    return hits / best.size


def test_recall(clustered: tuple[Ivf, Any, Any]) -> None:
    index, vectors, queries = clustered
    assert index.covered == ROWS
    assert recall(index, vectors, queries, 10) >= 0.97
    assert recall(index, vectors, queries, 100) >= 0.95


@pytest.mark.parametrize("share", [0.5, 0.1, 0.01, 0.001])
def test_recall_with_a_mask(clustered: tuple[Ivf, Any, Any], share: float) -> None:
    index, vectors, queries = clustered
    mask = np.random.default_rng(0).random(ROWS) < share
    assert recall(index, vectors, queries, 10, mask) >= 0.995


@pytest.mark.parametrize("share", [0.9, 0.5, 0.2])
def test_recall_with_a_mask_by_content(clustered: tuple[Ivf, Any, Any], share: float) -> None:
    index, vectors, queries = clustered
    rng = np.random.default_rng(0)
    topics = vectors[rng.choice(ROWS, 100, replace=False)] - vectors.mean(axis=0)
    topic = np.argmax(vectors @ topics.T, axis=1)
    found = []
    for query, its_topic in zip(queries, np.argmax(queries @ topics.T, axis=1), strict=True):
        kept = rng.random(100) < share
        kept[its_topic] = False
        found.append(recall(index, vectors, query[None], 10, kept[topic]))
    assert np.mean(found) >= 0.97


def test_every_row_can_be_found(clustered: tuple[Ivf, Any, Any]) -> None:
    index, _, queries = clustered
    mask = np.arange(ROWS) % 3 == 0
    assert len(index.search(queries[:1], ROWS)[0]) == ROWS
    assert index.search(queries[:1], ROWS, mask)[0].tolist() == np.flatnonzero(mask).tolist()


def test_masks_of_another_length(clustered: tuple[Ivf, Any, Any]) -> None:
    index, vectors, _ = clustered
    query = vectors[:1]
    assert index.search(query, 5, np.ones(0, np.bool_))[0].tolist() == []
    assert index.search(query, 5, np.arange(11) < 3)[0].tolist() == [0, 1, 2]
    assert index.search(query, 5, np.arange(3 * ROWS) >= ROWS)[0].tolist() == []
    assert 0 in index.search(query, 5, np.arange(3 * ROWS) < 100)[0]


def test_threads(clustered: tuple[Ivf, Any, Any]) -> None:
    index, vectors, _ = clustered
    failures = []

    def search(start: int) -> None:
        for row in range(start, ROWS, 997):
            mask = np.arange(ROWS) <= row
            if index.search(vectors[row : row + 1], 5, mask)[0][-1] != row:
                failures.append(row)

    threads = [threading.Thread(target=search, args=(start,)) for start in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_rows_are_added(tmp_path: Path) -> None:
    first = stored(tmp_path, noise(300))
    assert Ivf.open(tmp_path, GENERATION, first) is None
    ivf.build(tmp_path, GENERATION, first)
    assert numbers(tmp_path) == [f"ivf-{GENERATION}-300-300"]
    old = Ivf.open(tmp_path, GENERATION, first)
    assert old is not None
    more = stored(tmp_path, noise(100, seed=1), at=300)
    ivf.build(tmp_path, GENERATION, more)
    assert numbers(tmp_path) == [f"ivf-{GENERATION}-300-400"]
    new = Ivf.open(tmp_path, GENERATION, more)
    assert new is not None
    assert (old.covered, new.covered) == (300, 400)
    for row in (0, 299, 300, 399):
        query = more.read(np.array([row]))
        assert row in new.search(query, 20)[0]
        assert (row in old.search(query, 20)[0]) == (row < 300)
    # The file covers rows that this snapshot doesn't know.
    assert Ivf.open(tmp_path, GENERATION, first) is None


def test_an_outgrown_file_is_rebuilt(tmp_path: Path) -> None:
    ivf.build(tmp_path, GENERATION, stored(tmp_path, noise(100)))
    vectors = stored(tmp_path, noise(400), at=100)
    assert ivf.behind(tmp_path, GENERATION, 500)
    ivf.build(tmp_path, GENERATION, vectors)
    assert numbers(tmp_path) == [f"ivf-{GENERATION}-500-500"]


def test_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ivf.behind(tmp_path, GENERATION, 100)
    ivf.build(tmp_path, GENERATION, stored(tmp_path, noise(100)))
    assert not ivf.behind(tmp_path, GENERATION, 100)
    assert not ivf.behind(tmp_path, GENERATION, 120)
    assert ivf.behind(tmp_path, "ffffffffffff", 100)
    monkeypatch.setattr(ivf, "WORTH_WRITING", 10)
    assert ivf.behind(tmp_path, GENERATION, 120)


@pytest.mark.parametrize("n", [1, 2, 40])
def test_few_rows(tmp_path: Path, n: int) -> None:
    vectors = stored(tmp_path, noise(n, dim=20))
    ivf.build(tmp_path, GENERATION, vectors)
    index = Ivf.open(tmp_path, GENERATION, vectors)
    assert index is not None
    for row in range(n):
        assert row in index.search(vectors.read(np.array([row])), 100)[0]


def test_vectors_that_are_all_the_same(tmp_path: Path) -> None:
    vectors = stored(tmp_path, np.repeat(noise(1), 500, axis=0))
    ivf.build(tmp_path, GENERATION, vectors)
    index = Ivf.open(tmp_path, GENERATION, vectors)
    assert index is not None
    assert len(index.search(noise(1), 10)[0]) == 10


# ------------------------------------------------------------------ the file


@pytest.mark.skipif(sys.platform != "linux", reason="reads Linux's own list of mappings")
def test_the_file_is_mapped(tmp_path: Path) -> None:
    vectors = stored(tmp_path, noise(500))
    ivf.build(tmp_path, GENERATION, vectors)
    index = Ivf.open(tmp_path, GENERATION, vectors)
    assert index is not None
    mapped = str(tmp_path / files(tmp_path)[0])
    assert mapped in Path("/proc/self/maps").read_text()
    del index
    assert mapped not in Path("/proc/self/maps").read_text()


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(os.urandom(5000)),
        lambda path: path.write_bytes(path.read_bytes()[:-1000]),
        lambda path: path.write_bytes(path.read_bytes()[:1000]),
        lambda path: path.write_bytes(bytes(len(path.read_bytes()))),
        lambda path: path.write_bytes(path.read_bytes()[:-99] + bytes(99)),
        lambda path: path.unlink(),
        lambda path: path.rename(path.with_name(path.name.replace("300-300", "300-200"))),
        lambda path: path.rename(path.with_name(path.name.replace(GENERATION, "ba9876543210"))),
        lambda path: (path.unlink(), path.mkdir()),
    ],
    ids=[
        "empty",
        "noise",
        "cut",
        "cut early",
        "zeros",
        "zeros at the end",
        "gone",
        "other rows",
        "other generation",
        "folder",
    ],
)
def test_a_damaged_file_is_made_again(tmp_path: Path, damage: Callable[[Path], Any]) -> None:
    vectors = stored(tmp_path, noise(300))
    ivf.build(tmp_path, GENERATION, vectors)
    damage(tmp_path / files(tmp_path)[0])
    assert Ivf.open(tmp_path, GENERATION, vectors) is None
    for path in tmp_path.glob("ivf-*"):
        if path.is_dir():
            path.rmdir()
    ivf.build(tmp_path, GENERATION, vectors)
    index = Ivf.open(tmp_path, GENERATION, vectors)
    assert index is not None
    assert 7 in index.search(vectors.read(np.array([7])), 10)[0]


def test_a_file_of_another_user_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vectors = stored(tmp_path, noise(300))
    ivf.build(tmp_path, GENERATION, vectors)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "another user"))
    read: list[object] = []
    monkeypatch.setattr(ivf._faiss(), "read_index", lambda *given: read.append(given))
    assert Ivf.open(tmp_path, GENERATION, vectors) is None
    assert not read
    ivf.delete_unusable(tmp_path, GENERATION, 299)
    assert not ivf.behind(tmp_path, GENERATION, 300), "it may have rows that we don't know yet"
    ivf.delete_unusable(tmp_path, GENERATION, 300)
    assert ivf.behind(tmp_path, GENERATION, 300)


def test_damaged_lists_lose_rows_at_most(tmp_path: Path) -> None:
    vectors = stored(tmp_path, noise(3000))
    ivf.build(tmp_path, GENERATION, vectors)
    path = tmp_path / files(tmp_path)[0]
    content = bytearray(path.read_bytes())
    content[-20_000:-10_000] = os.urandom(10_000)
    path.unlink()
    path.write_bytes(content)
    index = Ivf.open(tmp_path, GENERATION, vectors)
    assert index is not None
    for rows in index.search(noise(50, seed=1), 1000):
        assert len(rows) == 0 or (rows[0] >= 0 and rows[-1] < 3000)


def test_a_file_of_another_dimension(tmp_path: Path) -> None:
    ivf.build(tmp_path, GENERATION, stored(tmp_path, noise(300)))
    assert Ivf.open(tmp_path, GENERATION, stored(tmp_path, noise(300, dim=8))) is None


def test_stopping_writes_nothing(tmp_path: Path) -> None:
    vectors = stored(tmp_path, noise(10_000))
    for after in (0, 5, 9):
        asked = iter([True] * after)
        ivf.build(tmp_path, GENERATION, vectors, lambda asked=asked: next(asked, False))
        assert not files(tmp_path)


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import faiss

    vectors = stored(tmp_path, noise(300))
    ivf.build(tmp_path, GENERATION, vectors)
    before = files(tmp_path)

    def torn(index: Any, name: str) -> None:
        Path(name).write_bytes(b"the beginning")
        raise RuntimeError("write error: No space left on device")

    monkeypatch.setattr(faiss, "write_index", torn)
    more = stored(tmp_path, noise(10, seed=1), at=300)
    with pytest.raises(OSError, match="No space left"):
        ivf.build(tmp_path, GENERATION, more)
    assert files(tmp_path) == before
    assert Ivf.open(tmp_path, GENERATION, more) is not None


def test_sweeping(tmp_path: Path) -> None:
    names = {
        "kept": f"ivf-{GENERATION}-1-1-0123456789abcdef.faiss",
        "other": "ivf-ba9876543210-1-1-0123456789abcdef.faiss",
        "making": f"ivf-{GENERATION}.01234567",
        "killed": f"ivf-{GENERATION}.89abcdef",
    }
    for name in names.values():
        (tmp_path / name).write_bytes(b"")
    os.utime(tmp_path / names["killed"], (0, 0))
    ivf.sweep(tmp_path, {GENERATION})
    assert files(tmp_path) == sorted([names["kept"], names["making"]])


def test_without_faiss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = stored(tmp_path, noise(10))
    monkeypatch.setitem(sys.modules, "faiss", None)
    assert not ivf.available()
    with pytest.raises(ImportError):
        Ivf.open(tmp_path, GENERATION, vectors)
    with pytest.raises(ImportError):
        ivf.build(tmp_path, GENERATION, vectors)
