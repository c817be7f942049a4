"""Requests to a Vespa that is overloaded, down, slow, guarded or another server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from fake_vespa import FakeVespa, application, serving, trusting

from pixseek.engines import open_engine
from pixseek.engines.vespa import server
from pixseek.engines.vespa.schema import Slot
from pixseek.errors import ConfigError, EngineError, PixseekError
from pixseek.types import Engine, Record

from vectors import DIM, SPACE, random_unit


@pytest.fixture
def url(fake_vespa: FakeVespa, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(server, "PAUSES_S", (0.001, 0.001))
    return f"vespa+{fake_vespa.url}/photos"


def reads(engine: Engine) -> list[Callable[[], object]]:
    """Calls that ask the server, of each kind."""
    return [
        engine.count,
        lambda: engine.get(["a"]),
        lambda: engine.vectors(["a"]),
        lambda: engine.nearest(random_unit(1), 3),
        lambda: engine.nearest(random_unit(1), 3, exact=True),
        lambda: engine.find_words("dog", 3),
        lambda: engine.facets(None, ["tag"], 3),
        lambda: engine.select(None, order="size", descending=True, k=3, offset=0),
        lambda: list(engine.known()),
        lambda: list(engine.export()),
    ]


def test_an_overloaded_server_is_asked_again_and_a_down_one_is_an_error(
    fake_vespa: FakeVespa, url: str
) -> None:
    with open_engine(url) as engine:
        engine.ensure(SPACE)
        fake_vespa.answers = [(503, "busy"), (429, "busy")]
        engine.put([Record("a", "r/a")], random_unit(1))
        assert engine.count() == 1
        for status, said in ((429, "overloaded"), (503, "overloaded, or a part"), (507, "is full")):
            fake_vespa.answers = [(status, "no more")] * 3
            with pytest.raises(EngineError, match=f"(?s){said}.*no more"):
                engine.count()
            assert fake_vespa.answers == []
            assert engine.count() == 1


def test_an_answer_of_a_part_of_the_data_is_an_error(fake_vespa: FakeVespa, url: str) -> None:
    with open_engine(url) as engine:
        engine.ensure(SPACE)
        engine.put([Record("a", "r/a", tags=("x",))], random_unit(1))
        fake_vespa.partial = True
        for call in reads(engine):
            with pytest.raises(EngineError, match=r"(?s)from a part of its data.*50 %.*timeout"):
                call()


def test_a_server_that_is_slow_or_out_of_reach_is_named(fake_vespa: FakeVespa, url: str) -> None:
    with open_engine(url) as engine:
        engine.ensure(SPACE)
        fake_vespa.answers = [(200, "fine"), (504, "Timed out")]
        with pytest.raises(EngineError, match=r"(?s)did not answer in time.*\?timeout=SECONDS"):
            engine.count()
    with pytest.raises(EngineError, match="out of reach"):
        open_engine("vespa+http://127.0.0.1:9/photos")


def test_a_server_that_does_not_answer_is_left(fake_vespa: FakeVespa, url: str) -> None:
    fake_vespa.delay_s = 2
    with pytest.raises(EngineError, match=r"did not answer within 0\.1 s"):
        open_engine(f"{url}?timeout=0.1")


def test_tokens_are_sent_and_not_shown(
    fake_vespa: FakeVespa, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_vespa.token = "open-sesame"
    monkeypatch.setenv("PIXSEEK_ENGINE_API_KEY", "open-sesame")
    open_engine(url).close()
    monkeypatch.setenv("PIXSEEK_ENGINE_API_KEY", "wrong-sesame")
    with pytest.raises(EngineError, match="does not accept the token or certificate") as caught:
        open_engine(url)
    assert "sesame" not in str(caught.value)
    with pytest.raises(ConfigError, match="by a certificate or a token"):
        open_engine(url.replace("://", "://me:open-sesame@"))


def test_certificates_of_both_sides_are_checked(tmp_path: Path) -> None:
    trustme = pytest.importorskip("trustme")
    authority = trustme.CA()
    both, ca, other, mine, key = (
        tmp_path / f"{name}.pem" for name in ("both", "ca", "other", "mine", "key")
    )
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(both)
    authority.cert_pem.write_to_path(ca)
    trustme.CA().cert_pem.write_to_path(other)
    client = authority.issue_cert("pixseek")
    client.cert_chain_pems[0].write_to_path(mine)
    client.private_key_pem.write_to_path(key)
    served = application("photos", [Slot("tiny_model", DIM)])
    with serving(served, trusting(both, ca)) as fake:
        address = f"vespa+{fake.url}/photos"
        open_engine(f"{address}?ca={ca}&cert={mine}&key={key}").close()
        for options in (f"?cert={mine}&key={key}", f"?ca={other}&cert={mine}&key={key}"):
            with pytest.raises(EngineError, match="certificate is not trusted"):
                open_engine(address + options)
        with pytest.raises(EngineError, match=r"(?s)wants a certificate of this client.*\?cert="):
            open_engine(f"{address}?ca={ca}")
        with pytest.raises(ConfigError, match="certificate or key can't be read"):
            open_engine(f"{address}?ca={ca}&cert={ca}&key={key}")
        with pytest.raises(EngineError, match="out of reach"):
            open_engine(address.replace("https", "http"))


@pytest.mark.parametrize(
    ("status", "content"),
    [
        (404, b"<html>It works!</html>"),
        (200, b"<html>It works!</html>"),
        (200, b"{}"),
        (200, b'{"root": {}}'),
        (200, b'{"root": [1]}'),
        (200, b"[]"),
        (200, b'{"status": "ok"}'),
        (200, b"[" * 100_000),
    ],
)
def test_a_server_of_another_kind_is_recognised(
    fake_vespa: FakeVespa, url: str, status: int, content: bytes
) -> None:
    fake_vespa.raw, fake_vespa.raw_status = content, status
    with pytest.raises(EngineError, match=r"(?s)can't be understood.*a container of Vespa"):
        open_engine(url)


@pytest.mark.parametrize("content", [b'{"root": {}}', b'{"pathId": 1}', b"{}"])
def test_what_another_server_took_is_not_thought_to_be_kept(
    fake_vespa: FakeVespa, url: str, content: bytes
) -> None:
    with open_engine(url) as engine:
        engine.ensure(SPACE)
        fake_vespa.raw, fake_vespa.raw_status = content, 200
        with pytest.raises(EngineError):
            engine.put([Record("a", "r/a")], random_unit(1))
        with pytest.raises(EngineError):
            engine.count()


@pytest.mark.parametrize("said", [b'{"errors": "x"}', b'{"root": {"errors": [5]}}', b"{}"])
def test_a_refusal_in_other_words_is_a_refusal(
    fake_vespa: FakeVespa, url: str, said: bytes
) -> None:
    fake_vespa.raw, fake_vespa.raw_status = said, 403
    with pytest.raises(EngineError, match="does not allow this"):
        open_engine(url)


def test_a_connection_that_the_server_closed_is_opened_again(
    fake_vespa: FakeVespa, url: str
) -> None:
    with open_engine(url) as engine:
        engine.ensure(SPACE)
        engine.put([Record("a", "r/a")], random_unit(1))
        fake_vespa.drops = 1
        assert engine.count() == 1
        fake_vespa.drops = 2
        with pytest.raises(EngineError, match="out of reach"):
            engine.count()


def test_errors_have_three_parts(fake_vespa: FakeVespa, url: str) -> None:
    with open_engine(url) as engine:
        engine.ensure(SPACE)
        fake_vespa.answers = [(200, "fine"), (400, "odd")]
        with pytest.raises(PixseekError) as caught:
            engine.count()
        assert (caught.value.problem, caught.value.advice) == ("the server refused", "400: odd")
        assert url.partition("://")[2] in str(caught.value)
        engine.close()
        with pytest.raises(EngineError, match="closed"):
            engine.count()
