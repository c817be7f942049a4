"""The PostgreSQL engine alone: its URL, its index, its errors."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import socketserver
import ssl
import tempfile
import threading
import time
import traceback
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from answers import by_words, search
from click.testing import CliRunner

import pixseek
from pixseek.cli import main
from pixseek.engines.postgres import PostgresEngine, hnsw, migrations, open_postgres, spaces
from pixseek.engines.postgres import search as search_of_postgres
from pixseek.engines.postgres.connections import Connections
from pixseek.engines.words import words_to_find
from pixseek.errors import ConfigError, EngineError, LibraryError, LibraryFormatError, PixseekError
from pixseek.redaction import Address
from pixseek.types import Compare, Part, Progress, Reach, Record, Space

from servers import kill_postgres, serving_postgres
from tiny_encoder import TinyEncoder, draw
from vectors import Clustered

psycopg = pytest.importorskip("psycopg", reason="psycopg is not installed")

DIM = 64
SPACE = Space("c" * 64, DIM, "tiny-model")


def opened(url: str, **options: str) -> PostgresEngine:
    query = "&".join(f"{key}={value}" for key, value in options.items())
    engine = open_postgres(f"{url}{'&' if '?' in url else '?'}{query}")
    engine.ensure(SPACE)
    return engine


def incompressible(characters: int, first: int = ord("0")) -> str:
    """Return a text that PostgreSQL can't shorten."""
    drawn = np.random.default_rng(0).integers(first, first + 75, characters)
    return "".join(map(chr, drawn)).replace("/", "-").replace("\\", "-").replace("|", "-")


def test_libraries_side_by_side(postgres: str) -> None:
    vectors = np.eye(DIM, dtype=np.float32)[:3]
    with (
        opened(postgres, table="one") as one,
        opened(postgres, table="two") as two,
        opened(postgres, table="one", schema="Else") as three,
    ):
        for engine, n in ((one, 1), (two, 2), (three, 3)):
            engine.put([Record(f"id{i}", f"r/{i}") for i in range(n)], vectors[:n])
        assert [engine.count() for engine in (one, two, three)] == [1, 2, 3]


@pytest.mark.parametrize("name", ["a b", "a;drop", 'a"b', "", "x" * 41, "1a"])
def test_invalid_names_raise_config_error(name: str) -> None:
    with pytest.raises(ConfigError, match=r"(?i)not a name for a table"):
        open_postgres(f"postgresql://localhost/x?table={name}")


@pytest.mark.parametrize(
    ("rest", "said"),
    [("me@localhost:1/x?brdth=5", "brdth"), ("me:12?se&same=x@localhost:1/x", r"\*\*\*")],
)
def test_an_unknown_option_is_named_unless_it_may_be_of_a_password(rest: str, said: str) -> None:
    with pytest.raises(PixseekError, match=said) as caught:
        open_postgres(f"postgresql://{rest}").close()
    assert ("Did you mean 'breadth'" in str(caught.value)) is (said == "brdth")
    assert "same=" not in str(caught.value)


def test_the_address_of_a_socket_without_a_host(postgres: str) -> None:
    parsed = urlsplit(postgres)
    if "host=" not in parsed.query:
        pytest.skip("the server has no socket")
    user = (parsed.username or "") and f"&user={parsed.username}"
    engine = open_postgres(f"postgresql://{parsed.path}?{parsed.query}{user}&table=socket")
    try:
        assert engine.count() == 0
    finally:
        engine.close()


def test_a_server_out_of_reach() -> None:
    with pytest.raises(EngineError, match=r"(?i)out of reach: localhost/nowhere"):
        open_postgres("postgresql://me:secret-word@localhost:1/nowhere")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("/postgres?", "/nowhere?", r"no such database: .*/nowhere\n.*createdb"),
        ("//postgres:", "//nobody:", "does not accept the user or password"),
        ("", "&sslmode=verify-full&sslrootcert=/none.pem", "can't be secured|out of reach"),
        ("", "&table=notours", r"not a library of pixseek.*\n.*\?table=NAME"),
    ],
)
def test_an_address_that_can_not_be_used_says_why(
    postgres: str, old: str, new: str, said: str
) -> None:
    if "host=" not in urlsplit(postgres).query and "ssl" in new:
        pytest.skip("the server speaks TLS, perhaps")
    with psycopg.connect(postgres) as db:
        db.execute("CREATE TABLE IF NOT EXISTS notours_space (x int)")
    url = postgres.replace(old, new, 1) if old else f"{postgres}{new}"
    if "ssl" in new:  # of a socket it asks nothing; nobody listens here
        url = f"postgresql://me@localhost:1/nowhere?{new[1:]}"
    with pytest.raises(EngineError, match=rf"(?si){said}"):
        open_postgres(url)


def test_a_server_that_takes_no_writes_can_be_searched(postgres: str) -> None:
    vectors = np.eye(DIM, dtype=np.float32)[:2]
    with opened(postgres, table="readonly") as engine:
        engine.put([Record("a", "r/a"), Record("b", "r/b")], vectors)
    frozen = "-c%20default_transaction_read_only%3Don"
    with opened(postgres, table="readonly", options=frozen) as engine:
        assert [each.ids for each in engine.nearest(vectors, 1)] == [("a",), ("b",)]
        for write in (
            lambda: engine.put([Record("c", "r/c")], vectors[:1]),
            lambda: engine.describe([Record("a", "r/other")]),
            lambda: engine.delete(["a"]),
            lambda: engine.keep("kind", "name", "text"),
        ):
            with pytest.raises(EngineError, match=r"takes no writes.*\n.*searches work"):
                write()
        assert engine.count() == 2


def test_limits_of_the_server_are_named(postgres: str) -> None:
    with opened(postgres, table="limits") as engine:
        engine.put([Record("a", "r/a")], np.eye(DIM, dtype=np.float32)[:1])
        endless = incompressible(3_000)
        with pytest.raises(
            EngineError, match=r"refused 1 of 1 .* \(3,000 bytes\)\n.*so long an id.*2,600 bytes"
        ):
            engine.put([Record(endless, "r/b")], np.eye(DIM, dtype=np.float32)[:1])
        assert engine.count() == 1
        engine.put([Record(endless[:2_600], "r/b")], np.eye(DIM, dtype=np.float32)[:1])
        assert engine.count() == 2
        engine.delete([endless[:2_600]])
        # Next to good ones; each of these keeps its own vectors.
        some = [Record(f"id{n}", f"r/{n}", parts=(Part(),) * (1 + n % 2)) for n in range(9)]
        some[3] = replace(some[3], id=endless)
        some[6] = replace(some[6], id=endless[::-1])
        rows = np.eye(DIM, dtype=np.float32)[: sum(len(each.parts) for each in some)]
        with pytest.raises(EngineError, match=r"refused 2 of 9 records; it has the others"):
            engine.put(some, rows)
        good = [each for n, each in enumerate(some) if n not in (3, 6)]
        assert engine.get([each.id for each in good]) == good
        assert engine.count() == 8
        assert engine.nearest(rows[12:13], 1)[0].ids == ("id8",)
        engine.delete([each.id for each in good[1:]])
        with psycopg.connect(postgres) as db:
            db.execute("LOCK TABLE limits_record")
            with pytest.raises(EngineError, match=r"at a time limit.*\n.*lock_timeout"):
                opened(postgres, table="limits", options="-c%20lock_timeout%3D50")


def test_long_texts_are_stored_next_to_others_and_found(postgres: str) -> None:
    start = incompressible(3_900)
    uris = ["r/a", f"r/{start}/b.jpg", f"r/{start}/a.jpg", "r/ü" + incompressible(1_500, 0x4E00)]
    long = [
        Record(
            f"id{n}", uri, digest=f"{n}{incompressible(5_000)}", pixels=f"{n}{start}",
            media=start, caption=start, tags=(start, "x"), fields={"user.a": start, "city": start},
        )
        for n, uri in enumerate(uris)
    ]  # fmt: skip
    ordered = sorted(uris)
    with opened(postgres, table="lengthy") as engine:
        engine.put(long, np.eye(DIM, dtype=np.float32)[:4])
        engine.put(long, np.eye(DIM, dtype=np.float32)[:4])
        assert engine.get([each.id for each in long]) == long
        for prefix, known in (
            ("", ordered),
            (f"r/{start}", ordered[1:3]),
            (f"r/{start}/b", ordered[2:3]),
            (f"r/{start[:700]}", ordered[1:3]),
            (f"r/{start}x", []),
        ):
            assert [each.uri for each in engine.known(prefix)] == known
        for descending in (False, True):
            found = engine.select(None, order="uri", descending=descending, k=9, offset=0)
            assert [each.uri for each in found] == ordered[:: -1 if descending else 1]
        assert [each.uri for page, _ in engine.export(2) for each in page] == ordered
        digests = [each.digest for each in long]
        assert set(engine.with_digests(digests)) == set(digests)
        for where, count in (
            (Compare("uri", "eq", uris[1]), 1), (Compare("folder", "under", f"r/{start}"), 2),
            (Compare("uri", "glob", f"r/{start}/*"), 2), (Compare("digest", "eq", digests[0]), 1),
            (Compare("tags", "contains", start), 4), (Compare("caption", "eq", start), 4),
            (Compare("fields.user.a", "in", (start,)), 4),
        ):  # fmt: skip
            assert engine.count(where) == count
        facets = engine.facets(None, ("tag", "format"), 9)
        assert facets == {"tag": {start: 4, "x": 4}, "format": {start: 4}}
        engine.keep("kind", "name", start)
        assert engine.kept("kind") == {"name": start}
        assert engine.delete(["id1", "id2"]) == 2
        assert engine.count() == 2


def test_images_whose_paths_are_long_are_indexed_found_and_forgotten(
    postgres: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny: TinyEncoder
) -> None:
    del tiny
    name = "".join(each for each in incompressible(5_000) if each.isalnum())
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    draw(tmp_path / "photos" / "a.png", "red")
    folder = os.open("photos", os.O_RDONLY)
    for n in range(12):  # one by one: some systems take no path as long as theirs
        step = f"n{name[n * 240 : (n + 1) * 240]}"
        os.mkdir(step, dir_fd=folder)
        folder, last = os.open(step, os.O_RDONLY, dir_fd=folder), folder
        os.close(last)
    draw(tmp_path / "b.png", "blue")
    os.rename("b.png", "b.png", dst_dir_fd=folder)
    os.close(folder)
    deep = Path("photos", *(f"n{name[n * 240 : (n + 1) * 240]}" for n in range(12)))

    def said(*line: str) -> Any:
        result = CliRunner().invoke(main, [*line, "-L", "p.lib"])
        assert result.exit_code == 0, (line, result.output)
        return result.output

    url = f"{postgres}{'&' if '?' in postgres else '?'}table=deep"
    assert json.loads(said("index", "photos", "--engine", url, "--json"))["added"] == 2
    everything = said("search", "blue", "--json")
    assert json.loads(everything)["hits"][0]["uri"].endswith("b.png")
    assert said("list", f'folder:"{deep}"', "--paths").splitlines() == [
        str(tmp_path / deep / "b.png")
    ]
    assert json.loads(said("index", "--json"))["unchanged"] == 2
    said("remove", f"{deep}/b.png")
    assert said("list", "--paths").splitlines() == [str(tmp_path / "photos" / "a.png")]


def test_an_older_format_gets_indexes_that_take_long_texts(postgres: str) -> None:
    vectors = np.eye(DIM, dtype=np.float32)[:1]
    with opened(postgres, table="shorter") as engine:
        engine.put([Record("a", "r/a", digest="d", caption="a dog")], vectors)
        with psycopg.connect(postgres) as db:
            for statement in (
                "DROP INDEX shorter_record_uri, shorter_record_digest, shorter_record_pixels",
                "CREATE INDEX shorter_record_uri ON shorter_record (uri, id)",
                "CREATE INDEX shorter_record_digest ON shorter_record (digest) "
                "WHERE digest IS NOT NULL",
                "CREATE INDEX shorter_record_pixels ON shorter_record (pixels) "
                "WHERE pixels IS NOT NULL",
                "UPDATE shorter_space SET format = 5",
            ):
                db.execute(statement)
    for name in ("b", "c"):
        with opened(postgres, table="shorter") as engine:
            long = f"r/{name}{incompressible(5_000)}"
            engine.put([Record(name, long, digest=long, pixels=long)], vectors)
            assert [each.uri for each in engine.known(f"r/{name}")] == [long]
            assert [id_ for id_, _ in by_words(engine, "dog", 9)] == ["a"]
    with psycopg.connect(postgres) as db:
        found = db.execute("SELECT indexname FROM pg_indexes WHERE tablename = 'shorter_record'")
        assert {f"shorter_record_{each}" for each in ("uri", "digest", "pixels", "words")} <= {
            name for (name,) in found
        }


def test_a_server_that_does_not_answer_is_given_up() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        port = silent.getsockname()[1]
        with pytest.raises(EngineError, match="out of reach"):
            open_postgres(f"postgresql://me@127.0.0.1:{port}/x?connect_timeout=2")


@pytest.mark.slow
def test_a_user_of_few_rights_and_a_wrong_password() -> None:
    with serving_postgres() as running:
        with psycopg.connect(running.url, autocommit=True) as db:
            db.execute("CREATE ROLE me LOGIN PASSWORD 'open-sesame'")
            db.execute("GRANT CREATE ON SCHEMA public TO me")
            db.execute("CREATE EXTENSION vector")
            rules = running.folder / "pg_hba.conf"
            rules.write_text("local all me scram-sha-256\n" + rules.read_text())
            db.execute("SELECT pg_reload_conf()")
        user, _, rest = running.url.partition("@")
        assert user.startswith("postgresql://")
        for _ in range(100):  # the server reads its rules again when it comes to it
            try:
                open_postgres(f"postgresql://me:wrong-sesame@{rest}").close()
            except EngineError as error:
                assert "does not accept the user or password" in str(error)
                assert "sesame" not in str(error)
                break
            time.sleep(0.1)
        else:
            pytest.fail("any password is taken")
        with opened(f"postgresql://me:open-sesame@{rest}") as engine:
            assert engine.count() == 0


@pytest.mark.parametrize("password", ["pa/ss", "pa@ss", "pa?ss", "12/34", "[x"])
def test_a_password_that_is_not_encoded_is_an_error_that_says_how(password: str) -> None:
    with pytest.raises(ConfigError, match=r"(?s)can't be understood.*%2F"):
        open_postgres(f"postgresql://me:{password}@localhost:1/nowhere")


def test_no_pgvector(postgres: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tables = spaces.TABLES.replace("EXTENSION IF NOT EXISTS vector", "EXTENSION vectorrr")
    monkeypatch.setattr(spaces, "TABLES", tables)
    with pytest.raises(EngineError, match=r"(?i)no pgvector"):
        opened(postgres, table="without")


def test_index(postgres: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hnsw, "INDEX_PARTS", 2000)
    spread = Clustered(DIM, clusters=100, latent=32)
    vectors, queries = spread.images(3000), spread.texts(10)
    records = [Record(f"{i}", f"r/{i}", width=1 + i % 100) for i in range(3000)]
    with opened(postgres, table="indexed") as engine:
        engine.put(records[:1500], vectors[:1500])
        assert not _indexes(postgres, "indexed")
        assert list(engine.build_indexes()) == []
        engine.put(records[1500:], vectors[1500:])
        assert list(engine.build_indexes())[-1] == (3000, 3000)
        assert list(engine.build_indexes()) == []
        assert _indexes(postgres, "indexed") == ["indexed_part_vector_1"]
        engine.put(records[:10], vectors[:10])
        for where, numbers in (
            (None, np.arange(3000)),
            (Compare("width", "le", 2), np.flatnonzero(np.arange(3000) % 100 < 2)),
            (Compare("id", "eq", "7"), np.array([7])),
        ):
            hits = wanted = 0
            for query, found in zip(queries, search(engine, queries, 20, where), strict=True):
                best = numbers[np.argsort(-(vectors[numbers] @ query))[:20]]
                assert len(found) == min(20, len(numbers))
                hits += len({str(i) for i in best} & {match.record.id for match in found})
                wanted += len(best)
            assert hits / wanted >= 0.9


#: The file english.stop of PostgreSQL 15.
_STOP_WORDS = """
i me my myself we our ours ourselves you your yours yourself yourselves he him his himself she her
hers herself it its itself they them their theirs themselves what which who whom this that these
those am is are was were be been being have has had having do does did doing a an the and but if or
because as until while of at by for with about against between into through during before after
above below to from up down in out on off over under again further then once here there when where
why how all any both each few more most other some such no nor not only own same so than too very s
t can will just don should now
"""


def test_a_library_without_an_active_space_is_an_error(postgres: str) -> None:
    other = Space("d" * 64, 8, "other")
    with opened(postgres, table="inactive") as engine:
        engine.put([Record("a", "r/a")], np.eye(DIM, dtype=np.float32)[:1])
        engine.add_space(other)
        with psycopg.connect(postgres) as db:
            db.execute("DELETE FROM inactive_space WHERE active")
        for use in (engine.spaces, engine.count, lambda: list(engine.known())):
            with pytest.raises(LibraryError, match=r"was deleted on the server.*\n.*active = true"):
                use()
        with psycopg.connect(postgres) as db:
            db.execute("UPDATE inactive_space SET active = true")
        assert engine.space == other


def test_words_that_its_english_leaves_out_are_found(postgres: str) -> None:
    wanted = [each for each in _STOP_WORDS.split() if words_to_find(f"{each} zebra")[0] == each]
    assert len(wanted) > 60
    record = Record("a", "r/1.jpg", caption=_STOP_WORDS)
    with opened(postgres, table="stopped") as engine:
        engine.put([record], np.eye(DIM, dtype=np.float32)[:1])
        missing = [each for each in wanted if not by_words(engine, each, 1)]
        assert not missing


def test_an_older_format_gets_words_and_spaces(
    postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrations, "ROWS", 3)
    monkeypatch.setattr(hnsw, "INDEX_PARTS", 9)
    records = [Record(f"{i}", f"r/{i}", caption="dogs" if i % 2 else "cats") for i in range(11)]
    with opened(postgres, table="older") as engine:
        engine.put(records, np.eye(DIM, dtype=np.float32)[:11])
        assert list(engine.build_indexes())
        expected = by_words(engine, "dog", 9)
        with psycopg.connect(postgres) as db:
            for statement in (
                "ALTER TABLE older_record DROP COLUMN words",
                "ALTER TABLE older_space DROP COLUMN number, DROP COLUMN active",
                "ALTER TABLE older_space ADD COLUMN one boolean PRIMARY KEY DEFAULT true",
                "DROP INDEX older_part_vector_1",
                "ALTER TABLE older_part DROP CONSTRAINT older_part_pkey",
                "ALTER TABLE older_part DROP COLUMN space",
                f"ALTER TABLE older_part ALTER COLUMN vector TYPE halfvec({DIM})",
                "ALTER TABLE older_part ADD PRIMARY KEY (record, ordinal)",
                "CREATE INDEX older_part_vector ON older_part USING hnsw "
                "(vector halfvec_cosine_ops)",
                "ALTER TABLE older_space DROP COLUMN indexed, DROP COLUMN indexing",
                "ALTER TABLE older_record DROP COLUMN away, DROP COLUMN pixels, "
                "DROP COLUMN perceptual_hash",
                "UPDATE older_record SET fields = '{\"x\":1,\"pixseek.away\":true}' WHERE id = '8'",
                "DELETE FROM older_part WHERE record = (SELECT number FROM older_record "
                "WHERE id = '8')",
                "UPDATE older_space SET format = 1",
            ):
                db.execute(statement)
    other = Space("d" * 64, 8, "other")
    for _ in range(2):
        with opened(postgres, table="older") as engine:
            assert by_words(engine, "dog", 9) == expected
            assert len(expected) == 5
            list(engine.build_indexes())
            assert _indexes(postgres, "older") == ["older_part_vector_1"]
            engine.put(records[:2], np.eye(DIM, dtype=np.float32)[:2])
            engine.add_space(other)
            assert engine.spaces() == [SPACE, other]
            (found,) = search(engine, np.eye(DIM, dtype=np.float32)[3:4], 1)
            assert found[0].record.id == "3"
            assert engine.count() == 10
            assert engine.get(["8"]) == [replace(records[8], fields={"x": 1}, parts=(), away=True)]


def test_an_older_format_gets_what_filters_compare(
    postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrations, "ROWS", 3)
    records = [
        Record(
            f"{i}", f"r/e\u0301/{i}", taken_at=datetime(2020, 1, 1 + i), tags=("Nature|Birds",),
            fields={"people": "Ann; Bob", "taken_from": "file" if i % 2 else "exif"},
        )
        for i in range(10)
    ]  # fmt: skip
    wheres = (
        Compare("tags", "contains", "birds"), Compare("person", "contains", "bob"),
        Compare("folder", "contains", "\u00e9"),
    )  # fmt: skip
    with opened(postgres, table="unfolded") as engine:
        engine.put(records, np.eye(DIM, dtype=np.float32)[:10])
        with psycopg.connect(postgres) as db:
            db.execute("UPDATE unfolded_record SET folded = '{}'")
            db.execute("ALTER TABLE unfolded_space DROP COLUMN indexed, DROP COLUMN indexing")
            db.execute(
                "ALTER TABLE unfolded_record DROP COLUMN away, DROP COLUMN pixels, "
                "DROP COLUMN perceptual_hash"
            )
            db.execute("UPDATE unfolded_space SET format = 3")
    for _ in range(2):
        with opened(postgres, table="unfolded") as engine:
            assert [engine.count(where) for where in wheres] == [10, 10, 10]
            found = engine.get(["1", "2"])
            assert [each and each.taken_at for each in found] == [None, datetime(2020, 1, 3)]
            assert found[0] is not None
            assert dict(found[0].fields) == {"people": "Ann; Bob"}


def test_an_upgrade_that_is_interrupted_at_every_batch_goes_on(
    postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrations, "ROWS", 3)
    records = [Record(f"{i}", f"r/{i}", tags=("dogs",)) for i in range(10)]
    with opened(postgres, table="halted") as engine:
        engine.put(records, np.eye(DIM, dtype=np.float32)[:10])
        with psycopg.connect(postgres) as db:
            db.execute("UPDATE halted_record SET words = '', folded = '{}'")
            db.execute("UPDATE halted_space SET indexed = 1")
    url = f"{postgres}{'&' if '?' in postgres else '?'}table=halted"
    seen: list[tuple[int, int]] = []

    def halt(*progress: int) -> None:
        seen.append((progress[0], progress[1]))
        raise KeyboardInterrupt

    for _ in range(4):
        with pytest.raises(KeyboardInterrupt):
            open_postgres(url, progress=halt)
    assert seen == [(3, 10), (6, 10), (9, 10), (10, 10)]
    with opened(postgres, table="halted") as engine:
        assert len(by_words(engine, "dog", 99)) == 10
        assert engine.count(Compare("tags", "contains", "dogs")) == 10
    with psycopg.connect(postgres) as db:
        db.execute("UPDATE halted_space SET indexed = 99")
    with pytest.raises(LibraryFormatError, match=r"(?i)newer pixseek.*index 99"):
        open_postgres(url)


def test_the_scan_of_the_index_may_end_early(
    postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hnsw, "INDEX_PARTS", 20)
    vectors = Clustered(DIM, clusters=100, latent=32).images(3000)
    records = [Record(f"{i}", f"r/{i}", width=1 + i) for i in range(3000)]
    with opened(postgres, table="early") as engine:
        engine.put(records, vectors)
        assert list(engine.build_indexes())
        with psycopg.connect(postgres) as db:
            db.execute("ALTER DATABASE postgres SET hnsw.max_scan_tuples = 50")
            db.execute("ALTER DATABASE postgres SET enable_seqscan = off")
            db.execute("ALTER DATABASE postgres SET enable_sort = off")
        try:
            with opened(postgres, table="early") as other:
                (found,) = search(other, vectors[:1], 20, Compare("width", "gt", 2975))
                assert len(found) == 20
        finally:
            with psycopg.connect(postgres) as db:
                db.execute("ALTER DATABASE postgres RESET ALL")


def test_doctor_warns_if_the_index_misses_neighbours(
    postgres: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny: TinyEncoder
) -> None:
    """Among many near-copies the index finds few of the nearest, if it looks at few candidates."""
    del tiny
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    vectors = np.ones((3000, 48)) + rng.standard_normal((3000, 48)) * 0.02
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    records = [Record(f"{n:04}", f"r/{n}.png") for n in range(3000)]
    url = f"{postgres}{'&' if '?' in postgres else '?'}table=missing&breadth=1"
    with pixseek.open("p.lib", engine=url) as library:
        assert library.recall() is None
        engine = library.opened.engine
        engine.ensure(Space("fingerprint-of-tiny", 48, "tiny"))
        engine.put(records, vectors)
        assert library.recall() is None  # all are scored
        monkeypatch.setattr(hnsw, "INDEX_PARTS", 100)
        assert list(engine.build_indexes())
        found = library.recall()
        assert found is not None
        assert 0 < found < 0.98
    checks = json.loads(CliRunner().invoke(main, ["doctor", "--json", "-L", "p.lib"]).output)
    (index,) = (each for each in checks["checks"] if each["name"] == "index")
    assert index["state"] == "warn"
    assert index["found"] == f"{100 * found:.0f} % of the nearest images are found"
    assert "--exact" in index["advice"]


def test_certificates_are_checked(tmp_path: Path) -> None:
    """By libpq, as the address says; nobody speaks more of PostgreSQL here than the greeting."""
    trustme = pytest.importorskip("trustme")
    authority = trustme.CA()
    own, ca, other = (tmp_path / f"{name}.pem" for name in ("own", "ca", "other"))
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(own)
    authority.cert_pem.write_to_path(ca)
    trustme.CA().cert_pem.write_to_path(other)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own)
    greeted: list[bytes] = []
    speaks_tls = [True]

    class Greeting(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(8)
            self.request.sendall(b"S" if speaks_tls[0] else b"N")
            with (
                contextlib.suppress(OSError),
                context.wrap_socket(self.request, server_side=True) as secure,
            ):
                greeted.append(secure.recv(4096))

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Greeting) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()

        def said(options: str) -> str:
            address = f"postgresql://me@localhost:{server.server_address[1]}/db"
            with pytest.raises(EngineError) as caught:
                open_postgres(f"{address}?hostaddr=127.0.0.1&gssencmode=disable&{options}")
            return str(caught.value)

        try:
            for options in (
                f"sslmode=verify-full&sslrootcert={other}",
                f"sslmode=verify-ca&sslrootcert={other}",
                f"sslmode=verify-full&sslrootcert={tmp_path / 'none.pem'}",
            ):
                answer = said(options)
                assert "can't be secured" in answer
                assert "sslrootcert" in answer
                assert not any(greeted)
            said(f"sslmode=verify-full&sslrootcert={ca}")
            assert any(b"user\0me\0" in each for each in greeted)  # it went on, within TLS
            speaks_tls[0] = False
            assert "can't be secured" in said(f"sslmode=verify-full&sslrootcert={ca}")
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("indexed", [False, True])
def test_a_vector_without_a_direction_is_near_to_nothing(
    postgres: str, monkeypatch: pytest.MonkeyPatch, indexed: bool
) -> None:
    monkeypatch.setattr(hnsw, "INDEX_PARTS", 2 if indexed else 100)
    vectors = np.eye(DIM, dtype=np.float32)[:4]
    vectors[1], vectors[3] = 0, -vectors[0]
    with opened(postgres, table=f"directed_{indexed}".lower()) as engine:
        engine.put([Record(id_, f"r/{id_}") for id_ in "abcd"], vectors)
        assert bool(list(engine.build_indexes())) == indexed
        for k, ids, scores in ((4, "abcd", (1, 0, 0, -1)), (3, "abc", (1, 0, 0)), (1, "a", (1,))):
            (found,) = engine.nearest(vectors[:1], k)
            assert ("".join(found.ids), tuple(found.scores)) == (ids, scores)


def _indexes(postgres: str, table: str) -> list[Any]:
    with psycopg.connect(postgres) as db:
        found = db.execute(
            "SELECT indexname FROM pg_indexes WHERE indexdef LIKE '%%hnsw%%' AND tablename = %s",
            [f"{table}_part"],
        )
        return [name for (name,) in found]


@pytest.mark.parametrize("form", ["credentials", "parameter"])
def test_a_library_on_a_server_never_shows_its_password(
    postgres: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    tiny: TinyEncoder,
    form: str,
) -> None:
    del tiny
    monkeypatch.chdir(tmp_path)
    draw(tmp_path / "photos" / "a.png", "red")
    secret = "Zq9x"  # servers that trust this machine take any
    parsed = urlsplit(postgres)
    query = f"{parsed.query}&table=secretive_{form[0]}".lstrip("&")
    if form == "parameter":
        url = parsed._replace(query=f"{query}&password={secret}").geturl()
    else:
        user, _, host = parsed.netloc.rpartition("@")
        netloc = f"{user.partition(':')[0] or 'postgres'}:{secret}@{host}"
        url = parsed._replace(netloc=netloc, query=query).geturl()
    monkeypatch.setenv("PIXSEEK_ENGINE", url)
    lib = ["-L", "p.lib"]

    def said(*line: str) -> str:
        result = CliRunner().invoke(main, line)
        assert result.exit_code == 0, (line, result.output)
        return result.output + repr(result.exception)

    output = said("index", "photos", *lib)
    monkeypatch.delenv("PIXSEEK_ENGINE")
    for line in ("index", "status", "status --json", "list", "list --json", "search red",
                 "search red --json", "search red --html p.html", "failures --json",
                 "tag photos/a.png --add x", "index --json", "export out.npz",
                 "show photos/a.png"):  # fmt: skip
        output += said(*line.split(), *lib)
    output += CliRunner().invoke(main, ["doctor", "--json", *lib]).output
    output += (tmp_path / "p.html").read_text("utf-8")
    output += repr((tmp_path / "out.npz").read_bytes())
    with pixseek.open("p.lib") as library:
        output += repr(library) + repr(library.opened) + repr(library.status())
        output += repr(vars(library.opened.engine)) + repr(library.config)
        engine = library.opened.engine
        engine.close()
        with pytest.raises(PixseekError) as caught:
            engine.count()
        output += "".join(traceback.format_exception(caught.value))
    assert secret not in output


def test_an_interrupt_between_a_question_and_its_answer_breaks_nothing(postgres: str) -> None:
    connections = Connections(Address(postgres), "test")
    with pytest.raises(KeyboardInterrupt), connections.transaction() as interrupted:
        interrupted.pgconn.send_query(b"SELECT pg_sleep(60)")
        raise KeyboardInterrupt
    with connections.transaction() as db:
        assert db.execute("SELECT 1").fetchone() == (1,)
    assert interrupted.closed
    connections.close()


def _built(postgres: str, table: str) -> tuple[int, bool]:
    """Return how many HNSW indexes a library has, and whether they are whole."""
    with psycopg.connect(postgres) as db:
        (row,) = db.execute(
            "SELECT count(*), coalesce(bool_and(indisvalid), false) FROM pg_index "
            "JOIN pg_class ON oid = indexrelid WHERE relname LIKE %s",
            [f"{table}_part_vector_%"],
        )
        return row[0], row[1]


def _spread(n: int) -> tuple[list[Record], Any]:
    vectors = Clustered(DIM, clusters=100, latent=32).images(n)
    return [Record(f"{i:05}", f"r/{i}") for i in range(n)], vectors


def test_an_index_that_many_vectors_are_added_to_is_dropped_and_built_again(
    postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hnsw, "INDEX_PARTS", 400)
    records, vectors = _spread(1_000)
    with opened(postgres, table="growing") as engine, opened(postgres, table="growing") as other:
        engine.put(records[:500], vectors[:500])
        assert list(engine.build_indexes())[-1] == (500, 500)
        for n in range(500, 520, 5):  # few: they are added to the index
            engine.put(records[n : n + 5], vectors[n : n + 5])
        assert _built(postgres, "growing") == (1, True)
        assert list(engine.build_indexes()) == []
        engine.put(records[520:525], vectors[520:525])  # what was added before counts no more
        assert _built(postgres, "growing") == (1, True)
        for n in range(525, 1_000, 100):
            engine.put(records[n : n + 100], vectors[n : n + 100])
        assert _built(postgres, "growing") == (0, False)
        for each in (engine, other):
            (found,) = each.nearest(vectors[900:901], 1)
            assert found.ids == ("00900",)
            assert found.reach == Reach(True, 1_000)
        assert list(other.build_indexes())[-1] == (1_000, 1_000)
        assert _built(postgres, "growing") == (1, True)
        assert engine.nearest(vectors[:1], 1)[0].reach == Reach(False, 500)
        monkeypatch.setattr(search_of_postgres, "LARGE", 999)
        assert engine.nearest(vectors[:1], 1)[0].reach == Reach(False, 1_000)


def test_an_index_is_not_dropped_while_somebody_reads_for_long(
    postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hnsw, "INDEX_PARTS", 400)
    monkeypatch.setattr(hnsw, "_PATIENCE_MS", 50)
    records, vectors = _spread(800)
    with opened(postgres, table="reading") as engine, opened(postgres, table="reading") as other:
        engine.put(records[:500], vectors[:500])
        list(engine.build_indexes())
        pages = other.export(100)
        next(pages)
        engine.put(records[500:], vectors[500:])
        assert _built(postgres, "reading") == (1, True)
        assert 100 + sum(len(page) for page, _ in pages) == 500
        engine.put(records[:100], vectors[:100])
        assert _built(postgres, "reading") == (0, False)


def test_building_is_stopped_and_begun_again(
    postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hnsw, "INDEX_PARTS", 1_000)
    monkeypatch.setattr(hnsw, "_LOOK_S", 0.02)
    records, vectors = _spread(8_000)
    with opened(postgres, table="halfway") as engine, opened(postgres, table="halfway") as other:
        engine.put(records, vectors)
        steps = engine.build_indexes()
        while next(steps)[0] < 100:
            pass
        assert list(other.build_indexes()) == []  # one builds
        other.put(records[:1], vectors[-1:])  # and others go on
        (found,) = other.nearest(vectors[-1:], 2)
        assert found.ids == ("00000", "07999")
        assert found.reach == Reach(True, 8_000)
        steps.close()
        assert _built(postgres, "halfway")[1] is False
        assert other.unindexed() == 8_000
        assert list(other.build_indexes())[-1] == (8_000, 8_000)
        assert _built(postgres, "halfway") == (1, True)
        assert engine.unindexed() == other.unindexed() == 0
        (found,) = engine.nearest(vectors[-1:], 2)
        assert found.ids == ("00000", "07999")


def test_without_shared_memory_one_process_builds(
    postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from psycopg.errors import DiskFull

    monkeypatch.setattr(hnsw, "INDEX_PARTS", 400)
    records, vectors = _spread(500)
    created, workers = hnsw.Indexes._created, list[str]()

    def full(self: Any, db: Any, *rest: Any) -> Any:
        workers.append(db.execute("SHOW max_parallel_maintenance_workers").fetchone()[0])
        if workers[-1] != "0":
            raise DiskFull("could not resize shared memory segment")
        return created(self, db, *rest)

    monkeypatch.setattr(hnsw.Indexes, "_created", full)
    with opened(postgres, table="alone") as engine:
        engine.put(records, vectors)
        assert list(engine.build_indexes())[-1] == (500, 500)
        assert workers == ["2", "0"]


def test_a_run_builds_the_index_and_goes_on_where_it_was_stopped(
    postgres: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny: TinyEncoder
) -> None:
    del tiny
    monkeypatch.setattr(hnsw, "INDEX_PARTS", 3)
    for n in range(5):
        draw(tmp_path / "photos" / f"{n}.png", ["red", "blue", "green", "white", "black"][n])
    url = f"{postgres}{'&' if '?' in postgres else '?'}table=runs"
    seen: list[Progress] = []
    stop = threading.Event()

    def halt(progress: Progress) -> None:
        if progress.stage == "build":
            stop.set()

    with pixseek.open(tmp_path / "p.lib", engine=url) as library:
        assert library.index(tmp_path / "photos", stop=stop, on_progress=halt).stopped
        assert len(library) == library.unindexed() == 5
        assert _built(postgres, "runs")[1] is False
        monkeypatch.setenv("PIXSEEK_LIBRARY", str(tmp_path / "p.lib"))
        said = CliRunner().invoke(main, ["doctor", "--json"]).output
        assert "5 vectors are not in an index" in said
        assert not library.index(on_progress=seen.append).stopped
        assert [each for each in seen if each.stage == "build"][-1].done == 5
        assert _built(postgres, "runs") == (1, True)
        seen.clear()
        library.index(on_progress=seen.append)
        assert not [each for each in seen if each.stage == "build"]


@pytest.mark.slow
def test_a_server_killed_while_it_builds_builds_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hnsw, "INDEX_PARTS", 1_000)
    monkeypatch.setattr(hnsw, "_LOOK_S", 0.02)
    records, vectors = _spread(6_000)
    folder = Path(tempfile.mkdtemp(prefix="pixseek-building-"))  # the server may be another user
    try:
        with serving_postgres(folder) as running, opened(running.url) as engine:
            engine.put(records, vectors)
            steps = engine.build_indexes()
            while next(steps)[0] < 100:
                pass
            kill_postgres(running)
            with pytest.raises(EngineError):
                list(steps)
        with serving_postgres(folder) as running, opened(running.url) as engine:
            assert engine.count() == 6_000
            (found,) = engine.nearest(vectors[-1:], 1)
            assert found.ids == ("05999",)
            assert found.reach == Reach(True, 6_000)
            assert list(engine.build_indexes())[-1] == (6_000, 6_000)
            assert _built(running.url, "pixseek") == (1, True)
            (found,) = engine.nearest(vectors[-1:], 1)
            assert found.ids == ("05999",)
            assert not found.reach.exact
    finally:
        shutil.rmtree(folder, ignore_errors=True)
