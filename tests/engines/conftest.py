"""The stores that the tests of engines run against."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_vespa import FakeVespa, application, serving

from pixseek.engines import open_engine
from pixseek.engines.documents import DocumentEngine
from pixseek.engines.embedded import candidates, codes, counting, indexes, sqlite_filters
from pixseek.engines.vespa.schema import Slot
from pixseek.types import Engine

from servers import Running, given_or_started, in_memory, remove_library, serving_postgres
from stores import FewStore
from vectors import DIM, SPACE, Opener
from vespa_check import Checker, checker

#: Local modes that look at every record in Python for every query.
_LEISURELY = ("qdrant", "milvus")
#: Engines that share what property-based tests look at with another one: OpenSearch the whole store
#: with Elasticsearch, Milvus its tokens and filters with Qdrant.
_KIN = ("opensearch", "milvus")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave to the tests before a release what takes minutes.

    That is 20,000 records in a local mode, and drawn examples on the second of two kindred engines.
    """
    for item in items:
        of = getattr(item, "callspec", None)
        if of is None:
            continue
        is_drawn = getattr(getattr(item, "obj", None), "is_hypothesis_test", False)
        if (
            of.params.get("place") in _LEISURELY and "filled" in getattr(item, "fixturenames", ())
        ) or (is_drawn and of.params.get("opener") in _KIN):
            item.add_marker(pytest.mark.wide)
            item.add_marker(pytest.mark.timeout(3000))


_TABLES = itertools.count()


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a PostgreSQL server with pgvector."""
    given_url = os.environ.get("PIXSEEK_TEST_POSTGRES")
    if given_url:
        yield given_url
        return
    with serving_postgres() as running:
        yield running.url


@pytest.fixture(scope="session")
def elasticsearch(shared: Path) -> Iterator[Running]:
    """An Elasticsearch server."""
    with given_or_started("elasticsearch", shared) as running:
        yield running


@pytest.fixture(scope="session")
def opensearch(shared: Path) -> Iterator[Running]:
    """An OpenSearch server."""
    with given_or_started("opensearch", shared) as running:
        yield running


@pytest.fixture(scope="session")
def vespa_check(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checker]:
    """Vespa's own Java code, which judges packages, queries and feed operations."""
    with checker(shared, tmp_path_factory.mktemp("vespa-check")) as started:
        yield started


@pytest.fixture
def quick_folder() -> Iterator[Path]:
    """A folder in memory, if there is such, for stores that wait for the disk at each write."""
    with in_memory() as folder:
        yield folder


@pytest.fixture
def fake_vespa() -> Iterator[FakeVespa]:
    """A fake of Vespa with the application of a library, `photos`, for the model of `SPACE`."""
    with serving(application("photos", [Slot("tiny_model", DIM)])) as fake:
        yield fake


@pytest.fixture(
    params=[
        "exact",
        "codes",
        pytest.param("without turbovec", marks=pytest.mark.slow),
        "postgres",
        "memory",
        pytest.param("few comparisons", marks=pytest.mark.slow),
        pytest.param("elasticsearch", marks=pytest.mark.slow),
        pytest.param("opensearch", marks=pytest.mark.slow),
        pytest.param("qdrant", marks=pytest.mark.slow),
        pytest.param("milvus", marks=pytest.mark.slow),
        pytest.param("vespa", marks=pytest.mark.slow),
    ]
)
def opener(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Opener]:
    """A function that opens the same, at first empty, store again and again."""
    engines: list[Engine] = []
    if request.param == "postgres":
        url = request.getfixturevalue("postgres")
        table = f"contract_{os.getpid()}_{next(_TABLES)}"
        where: str | Path = f"{url}{'&' if '?' in url else '?'}table={table}"
    elif request.param in ("elasticsearch", "opensearch"):
        running: Running = request.getfixturevalue(request.param)
        name = f"contract-{os.getpid()}-{next(_TABLES)}"
        where = running.engine(name, "shards=1&replicas=0", request.param)
    elif request.param == "qdrant":
        pytest.importorskip("qdrant_client", reason="qdrant-client is not installed")
        where = f"qdrant+file://{request.getfixturevalue('quick_folder')}/library"
    elif request.param == "milvus":
        pytest.importorskip("milvus_lite", reason="milvus-lite is not installed")
        where = f"milvus+file://{request.getfixturevalue('quick_folder')}/library"
    elif request.param == "vespa":
        fake = request.getfixturevalue("fake_vespa")
        fake.deploys = True
        where = f"vespa+{fake.url}/photos"
    elif request.param in ("memory", "few comparisons"):
        where = f"memory://contract-{next(_TABLES)}"
    else:
        where = tmp_path / "library"
        if request.param == "codes":
            if not codes.available(DIM):
                pytest.skip("turbovec is not installed here")
            monkeypatch.setattr(indexes, "EXACT_ROWS", 4)
            monkeypatch.setattr(indexes, "UNCODED_ROWS", 2)
            monkeypatch.setattr(indexes, "PATIENT_QUERIES", 0)
            monkeypatch.setattr(candidates, "GATHER_ROWS", 3)
            monkeypatch.setattr(counting, "_FEW", 2)
            monkeypatch.setattr(sqlite_filters, "_FIRST", 30)
            monkeypatch.setattr(sqlite_filters, "_SHARE", 2)
        elif request.param == "without turbovec":
            monkeypatch.setattr(codes, "available", lambda dim: False)
            monkeypatch.setattr(indexes, "EXACT_ROWS", 4)

    def open_it() -> Engine:
        if request.param == "few comparisons":
            engines.append(DocumentEngine(FewStore(str(where).removeprefix("memory://"))))
        else:
            engines.append(open_engine(where))
        return engines[-1]

    yield open_it
    if request.param in ("elasticsearch", "opensearch"):
        remove_library(running, name)
    for engine in engines:
        engine.close()


@pytest.fixture
def engine(opener: Opener) -> Engine:
    engine = opener()
    engine.ensure(SPACE)
    return engine
