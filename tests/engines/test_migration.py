"""Libraries that move between real engines and back."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import pixseek
from moved_library import library_of, state
from pixseek.engines import open_engine
from pixseek.errors import EngineError, LibraryError
from pixseek.library import copying

from servers import Running, remove_library

_NAMES = itertools.count()


@pytest.fixture(
    params=[
        "postgres",
        pytest.param("elasticsearch", marks=pytest.mark.slow),
        pytest.param("opensearch", marks=pytest.mark.slow),
        pytest.param("qdrant", marks=pytest.mark.slow),
        pytest.param("milvus", marks=pytest.mark.slow),
        pytest.param("vespa", marks=pytest.mark.slow),
    ]
)
def server(request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a library that is not there yet."""
    if request.param == "postgres":
        url = request.getfixturevalue("postgres")
        yield f"{url}{'&' if '?' in url else '?'}table=moved_{os.getpid()}_{next(_NAMES)}"
        return
    if request.param in ("qdrant", "milvus"):
        package = {"qdrant": "qdrant_client", "milvus": "milvus_lite"}[request.param]
        pytest.importorskip(package, reason=f"{package} is not installed")
        yield f"{request.param}+file://{request.getfixturevalue('quick_folder')}/library"
        return
    if request.param == "vespa":
        fake = request.getfixturevalue("fake_vespa")
        fake.deploys = True
        yield f"vespa+{fake.url}/photos?breadth=200"
        return
    running: Running = request.getfixturevalue(request.param)
    name = f"moved-{os.getpid()}-{next(_NAMES)}"
    yield running.engine(name, "shards=2&replicas=0", request.param)
    remove_library(running, name)


def test_there_and_back(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copying, "BATCH", 100)
    with library_of(tmp_path / "lib") as library:
        before = state(library.opened.engine)
        there = library.migrate(server)
        assert (there.queries, there.records) == (400, 307)  # 200 for each of two models
        assert there.recall is not None
        assert there.recall_filtered is not None
        assert min(there.recall, there.recall_filtered) >= 0.995
        assert state(library.opened.engine) == before
        library.tag(["id0003"], add=["beach"])
        library.save_search("tag:beach", "beach")
        changed = state(library.opened.engine)
        with pixseek.open(library.path) as other:
            assert state(other.opened.engine) == changed
        back = library.migrate("embedded")
        assert (back.written, back.removed) == (1, 0)
        assert state(library.opened.engine) == changed
        with open_engine(server) as left, pytest.raises(LibraryError, match="was moved"):
            left.delete(["id0001"])
        # And once more: what is there is brought up to date.
        library.opened.engine.delete(["id0005"])
        again = library.migrate(server)
        assert (again.written, again.removed) == (0, 1)
        if "?" in server:
            library.migrate(f"{server}&breadth=500")  # only the address changes
        assert again.digest != back.digest


def test_a_server_that_goes_away(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it has stays, and the next run goes on."""
    monkeypatch.setattr(copying, "BATCH", 100)
    with library_of(tmp_path / "lib") as library:
        before = state(library.opened.engine)
        write = copying.Copy._write
        writes = itertools.count()

        def fails(self: copying.Copy, *args: object) -> None:
            if next(writes) == 2:
                raise EngineError("the server is out of reach", "host", "Start it.")
            write(self, *args)  # type: ignore[arg-type]

        monkeypatch.setattr(copying.Copy, "_write", fails)
        with pytest.raises(EngineError, match="The library stays where it was"):
            library.migrate(server)
        monkeypatch.setattr(copying.Copy, "_write", write)
        assert 0 < library.migrate(server).written < 307
        assert state(library.opened.engine) == before
