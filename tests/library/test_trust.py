"""A library that comes from elsewhere is not opened before its user says so."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

import pixseek
from pixseek.cli import main
from pixseek.config import libraries_file
from pixseek.errors import LibraryError, LibraryFormatError, StorageError, UntrustedLibraryError
from pixseek.library import trust
from pixseek.storage.known_libraries import KnownLibraries
from pixseek.storage.ledger import Ledger
from pixseek.types import Root

from tiny_encoder import TinyEncoder, draw

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="files have other rights there")

Change = Callable[[Ledger], None]


@pytest.fixture
def strangers(tmp_path: Path, tiny: TinyEncoder) -> Path:
    """A folder of photos with a library in it that was not made here."""
    folder = tmp_path / "downloaded"
    draw(folder / "red.png", "red", 1)
    with pixseek.open(folder / ".pixseek") as library:
        library.index(folder)
    libraries_file().unlink()
    return folder


@pytest.fixture
def server() -> Iterator[tuple[str, list[object]]]:
    """The address of a server that must not be called, and its callers."""
    listening = socket.create_server(("127.0.0.1", 0))
    callers: list[object] = []

    def accept() -> None:
        while True:
            try:
                connection, caller = listening.accept()
            except OSError:
                return
            callers.append(caller)
            connection.close()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    yield f"postgresql://127.0.0.1:{listening.getsockname()[1]}/photos", callers
    listening.close()


def changed(folder: Path, change: Change) -> None:
    ledger = Ledger(folder)
    change(ledger)
    ledger.close()


def content(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


# ------------------------------------------------------------------ found, and not named


@pytest.mark.parametrize("below", ["", "2021/may"])
def test_a_library_that_is_found_asks_and_nothing_of_it_changes(
    strangers: Path, below: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (strangers / below).mkdir(parents=True, exist_ok=True)
    monkeypatch.chdir(strangers / below)
    before = content(strangers)
    with pytest.raises(UntrustedLibraryError) as caught:
        pixseek.open()
    assert caught.value.folder == str(strangers / ".pixseek")
    assert "never opened here" in str(caught.value)
    assert f"pixseek trust {strangers / '.pixseek'}" in caught.value.advice
    for line in (["search", "red"], ["index", "."], ["status"], ["saved"], ["list", "--json"]):
        done = CliRunner().invoke(main, line)
        assert done.exit_code == 3, done.output
        assert "pixseek trust" in done.stderr
    assert content(strangers) == before
    assert not libraries_file().exists()


def test_one_answer_lasts_and_can_be_taken_back(
    strangers: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(strangers)

    def run(*line: str) -> tuple[int, str]:
        done = CliRunner().invoke(main, line)
        return done.exit_code, done.output

    assert run("search", "red")[0] == 3
    code, said = run("trust", str(strangers))
    assert (code, said.splitlines()[0]) == (0, f"Trusted: {strangers / '.pixseek'}")
    assert run("search", "red")[0] == 0
    assert run("trust", "--list") == (0, f"{strangers / '.pixseek'}\n")
    assert run("trust", "--remove", str(strangers))[0] == 0
    assert run("search", "red")[0] == 3
    assert run("search", "red", "--trust")[0] == 0
    assert run("search", "red")[0] == 0, "the option is remembered, too"
    assert run("trust", "--remove", "nowhere")[0] == 1
    assert run("trust", "nowhere")[0] == 3


@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("n\n", 3), ("\n", 3)])
def test_a_terminal_is_asked_once(
    strangers: Path, answer: str, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(strangers)
    monkeypatch.setattr("pixseek.cli.trust.may_ask", lambda: True)
    done = CliRunner().invoke(main, ["search", "red"], input=answer)
    assert done.exit_code == code
    assert "Trust it?" in done.stderr
    assert str(strangers / ".pixseek") in done.stderr
    assert "\n\nIf you know" not in done.stderr, "no empty line in the error"
    again = CliRunner().invoke(main, ["search", "red"], input="n\n")
    assert again.exit_code == code
    assert ("Trust it?" in again.stderr) == bool(code)


def test_a_command_that_opens_the_library_twice_asks_once(
    strangers: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(strangers)
    monkeypatch.setattr("pixseek.cli.trust.may_ask", lambda: True)
    done = CliRunner().invoke(main, ["doctor", "--offline"], input="n\nn\n")
    assert done.stderr.count("Trust it?") == 1
    assert "never opened here" in done.stdout


def test_what_this_user_makes_is_trusted_where_it_goes(
    tmp_path: Path, tiny: TinyEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = draw(tmp_path / "photos" / "red.png", "red", 1).parent
    with pixseek.open(photos / ".pixseek") as library:
        library.index(photos)
    monkeypatch.chdir(photos)
    with pixseek.open() as library:
        assert len(library) == 1
    monkeypatch.chdir(tmp_path)
    moved = photos.rename(tmp_path / "mounted elsewhere")
    monkeypatch.chdir(moved)
    with pixseek.open() as library:
        assert library.locate(next(library.records())) == moved / "red.png"


def test_another_library_in_the_place_of_a_trusted_one_asks(
    strangers: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tiny: TinyEncoder
) -> None:
    monkeypatch.chdir(tmp_path)
    with pixseek.open(tmp_path / "mine" / ".pixseek"):
        pass
    id_ = json.loads(libraries_file().read_text())["libraries"][0]["id"]
    shutil.rmtree(tmp_path / "mine")
    shutil.copytree(strangers, tmp_path / "mine")
    monkeypatch.chdir(tmp_path / "mine")
    with pytest.raises(UntrustedLibraryError):
        pixseek.open()
    # One that copies the id of mine is not mine either, if it lies elsewhere.
    changed(strangers / ".pixseek", lambda ledger: ledger.set("id", id_))
    monkeypatch.chdir(strangers)
    with pytest.raises(UntrustedLibraryError):
        pixseek.open()


# ------------------------------------------------------------------ what a library reaches for


def root_at(where: Path | str, kind: str = "folder", **options: str) -> Change:
    root = Root("else", str(where), kind=kind, options=options)
    return lambda ledger: ledger.set_root(root, relative=False)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda ledger: ledger.set("engine", "memory://a?host=b"), "open memory://a?host=b,"),
        (lambda ledger: ledger.set("engine", "memory://me:secret@c"), "open memory://me:***@c,"),
        (lambda ledger: ledger.set("engine", "embedded:/somewhere/index"), "/somewhere/index"),
        (root_at("/private/photos"), "outside of its own folder: /private/photos"),
        (
            lambda ledger: ledger.set("followed", ["downloaded"]),
            "follow links that lead out of",
        ),
        (root_at("s3://bucket/photos", "s3"), "read images from s3://bucket/photos"),
        (root_at("goods.csv", "table", images="s3://bucket/x"), "read images from s3://bucket/x"),
        (root_at("goods.csv", "table", images="/private/x"), "/private/x"),
        (root_at("goods.csv", "table", keep="/private/x"), "it fetches to /private/x"),
        (lambda ledger: ledger.set("model", "someone/unknown-model"), "someone/unknown-model"),
        (
            lambda ledger: ledger.set("models", {"f": {"model": "demo", "texts": "some/texts"}}),
            "some/texts",
        ),
    ],
)
def test_a_named_library_asks_if_it_reaches_out(
    strangers: Path, change: Change, words: str
) -> None:
    with pixseek.open(strangers) as library:
        assert len(library) == 1, "naming it is enough while it stays in its folder"
    changed(strangers / ".pixseek", change)
    before = content(strangers)
    with pytest.raises(UntrustedLibraryError, match="not made here") as caught:
        pixseek.open(strangers)
    assert words in "\n".join(caught.value.would)
    assert content(strangers) == before
    assert any(words in line for line in trust.trust(strangers / ".pixseek", _config(strangers)))
    assert "***" not in libraries_file().read_text()


def _config(folder: Path) -> pixseek.config.Config:  # type: ignore[name-defined]
    from pixseek.config import load_config

    return load_config(library=folder)


def test_links_in_a_library_ask_and_what_they_lead_to_is_not_touched(
    strangers: Path, tmp_path: Path
) -> None:
    for name in ("ledger.sqlite", "previews.sqlite", "indexing.lock", "index"):
        place = strangers / ".pixseek" / name
        kept = tmp_path / f"mine-{name}"
        place.rename(kept)
        place.symlink_to(kept)
        before = content(tmp_path)
        with pytest.raises(UntrustedLibraryError, match="links to other places"):
            pixseek.open(strangers)
        assert content(tmp_path) == before
        place.unlink()
        kept.rename(place)


def test_a_trusted_library_that_turns_to_a_server_asks_again(
    strangers: Path, server: tuple[str, list[object]], tmp_path: Path
) -> None:
    url, callers = server
    with pixseek.open(strangers, trust=True):
        pass
    changed(strangers / ".pixseek", lambda ledger: ledger.set("engine", url))
    with pytest.raises(UntrustedLibraryError, match=r"names a server now[^$]*127\.0\.0\.1"):
        pixseek.open(strangers)
    assert not callers


def test_links_in_the_place_of_a_trusted_library_ask(strangers: Path, tmp_path: Path) -> None:
    with pixseek.open(strangers, trust=True):
        pass
    (strangers / ".pixseek" / "ledger.sqlite").rename(tmp_path / "kept")
    (strangers / ".pixseek" / "ledger.sqlite").symlink_to(libraries_file())
    with pytest.raises(UntrustedLibraryError, match="links to other places"):
        pixseek.open(strangers)


def test_a_library_that_is_a_link_asks(strangers: Path, tmp_path: Path) -> None:
    (strangers / ".pixseek").rename(tmp_path / "elsewhere.lib")
    (strangers / ".pixseek").symlink_to(tmp_path / "elsewhere.lib")
    with pytest.raises(UntrustedLibraryError, match="links to other places"):
        pixseek.open(strangers)


def test_a_link_to_a_library_of_this_user_takes_in_no_other_photos(
    tmp_path: Path, tiny: TinyEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = draw(tmp_path / "Pictures" / "red.png", "red").parent
    downloaded = draw(tmp_path / "downloaded" / "blue.png", "blue").parent
    with pixseek.open(mine / ".pixseek") as library:
        library.index(mine)
    (downloaded / ".pixseek").symlink_to("../Pictures/.pixseek")
    monkeypatch.chdir(downloaded)
    with pytest.raises(UntrustedLibraryError, match="links to other places"):
        pixseek.open()
    with pytest.raises(UntrustedLibraryError, match="links to other places"):
        pixseek.open(downloaded)
    with pixseek.open(mine) as library:
        assert library.status().records == 1
    # Somebody who made the link says so once, and the library itself stays known.
    for place, says in ((downloaded, True), (mine, False), (downloaded, False), (mine, False)):
        with pixseek.open(place, trust=says):
            pass
    assert trust.forget(downloaded / ".pixseek")
    with pytest.raises(UntrustedLibraryError):
        pixseek.open(downloaded)


def test_a_ledger_that_answers_never_is_given_up(
    strangers: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its settings are a view that counts to many millions first."""
    with contextlib.closing(sqlite3.connect(strangers / ".pixseek" / "ledger.sqlite")) as db:
        db.executescript(
            "ALTER TABLE settings RENAME TO kept; CREATE VIEW settings AS "
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 90000000) "
            "SELECT name, value FROM kept WHERE (SELECT count(*) FROM n) > 1"
        )
    monkeypatch.setattr("pixseek.storage.ledger._BRIEF_S", 0.1)
    began = time.monotonic()
    with pytest.raises(LibraryError):
        pixseek.open(strangers)
    assert time.monotonic() - began < 5


def test_what_this_user_tells_a_library_needs_no_question_later(
    tmp_path: Path, tiny: TinyEncoder
) -> None:
    with pixseek.open(tmp_path / "a.lib") as library:
        library.opened.ledger.set_root(Root("b", "s3://bucket", kind="s3"), relative=False)
        library.opened.ledger.set("model", "someone/unknown-model")
    with pixseek.open(tmp_path / "a.lib") as library:
        assert library.opened.is_trusted
    assert trust.trusted() == [str(tmp_path / "a.lib")]


def test_many_libraries_that_are_gone_are_forgotten(
    tmp_path: Path, tiny: TinyEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pixseek.storage.known_libraries._MANY", 3)
    with pixseek.open(tmp_path / "server.lib", engine="memory://many"):
        pass
    shutil.rmtree(tmp_path / "server.lib")
    for number in range(6):
        with pixseek.open(tmp_path / f"{number}.lib"):
            pass
        shutil.rmtree(tmp_path / f"{number}.lib")
    kept = [Path(path).name for path in trust.trusted()]
    assert kept[0] == "server.lib", "its address is needed when it comes back"
    assert kept[-1] == "5.lib" and len(kept) < 6


def test_special_files_in_a_library_do_not_hang(strangers: Path) -> None:
    for name in ("ledger.sqlite", "previews.sqlite", "index/records.sqlite"):
        place = strangers / ".pixseek" / name
        kept = place.rename(place.with_name("kept"))
        os.mkfifo(place)
        with pytest.raises(LibraryFormatError, match="pipe"):
            pixseek.open(strangers)
        place.unlink()
        kept.rename(place)


def test_a_journal_that_pixseek_never_writes_is_refused(strangers: Path) -> None:
    journal = strangers / ".pixseek" / "ledger.sqlite-journal"
    journal.write_bytes(bytes(600))  # what a killed process may leave
    with pixseek.open(strangers):
        pass
    journal.write_bytes(bytes(600) + trust._NAMES_ANOTHER)
    with pytest.raises(LibraryFormatError, match="not written by pixseek") as caught:
        pixseek.open(strangers)
    assert caught.value.subject == str(journal)


@pytest.mark.parametrize(
    ("name", "value"),
    [("engine", ["memory://a"]), ("models", "text"), ("models", {"f": 1}), ("kinds", [1])],
)
def test_a_ledger_of_other_types_is_damaged(strangers: Path, name: str, value: object) -> None:
    changed(strangers / ".pixseek", lambda ledger: ledger.set(name, value))
    with pytest.raises(LibraryFormatError, match="ledger is damaged"):
        pixseek.open(strangers)


@pytest.mark.parametrize("name", ["acceleration", "last_run"])
def test_the_status_of_a_damaged_ledger_says_so(strangers: Path, name: str) -> None:
    changed(strangers / ".pixseek", lambda ledger: ledger.set(name, {"kind": 5}))
    with (
        pixseek.open(strangers, trust=True) as library,
        pytest.raises(LibraryFormatError, match="damaged"),
    ):
        library.status()


def test_a_foreign_server_sees_no_connection_and_no_password(
    strangers: Path, server: tuple[str, list[object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, callers = server
    monkeypatch.setenv("PGPASSWORD", "mine")
    monkeypatch.setenv("PGCONNECT_TIMEOUT", "2")
    changed(strangers / ".pixseek", lambda ledger: ledger.set("engine", url))
    monkeypatch.chdir(strangers)
    for line in ("search red", "status", f"search red -L {strangers}", f"index . -L {strangers}"):
        done = CliRunner().invoke(main, line.split())
        assert done.exit_code == 3
        assert "127.0.0.1" in done.stderr
    assert not callers
    pytest.importorskip("psycopg")
    done = CliRunner().invoke(main, ["status", "--trust"])
    assert done.exit_code == 3
    assert "out of reach" in done.stderr
    assert callers, "the stand-in would have noticed"
    assert not libraries_file().exists(), "what could not be opened is not remembered"


def test_a_named_library_downloads_no_unlisted_model(
    strangers: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if only its database names the model, which is read when it is needed."""
    with pixseek.open(strangers) as library:
        space = library.opened.engine.space
        assert space is not None
        library.opened.ledger.set("models", {"other": {"model": "demo", "texts": ""}})
        assert not library.opened.is_trusted

        def named(*_: object) -> object:
            return pixseek.types.Space(space.fingerprint, space.dim, "someone/unknown-model")

        monkeypatch.setattr(type(library.opened.engine), "space", property(named))
        with pytest.raises(UntrustedLibraryError, match="someone/unknown-model"):
            library.search("red")
    with pixseek.open(strangers, model="someone/unknown-model") as library:
        library.search("red")  # this user named it


# ------------------------------------------------------------------ other users


def test_another_users_library_asks_however_it_is_named(
    tmp_path: Path, tiny: TinyEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in (tmp_path / "a.lib", tmp_path / "photos" / ".pixseek", None):
        with pixseek.open(place) as library:
            theirs = library.path
        me = os.geteuid()
        monkeypatch.setattr(os, "geteuid", lambda me=me: me + 1)
        with pytest.raises(UntrustedLibraryError, match="belongs to another user") as caught:
            libraries_file().unlink(missing_ok=True)
            pixseek.open(place)
        assert caught.value.folder == str(theirs)
        with pixseek.open(place, trust=True):
            pass
        with pixseek.open(place) as library:
            assert library.opened.is_trusted
        monkeypatch.setattr(os, "geteuid", lambda me=me: me)


def test_a_library_that_its_owner_does_not_share_is_named_as_such(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.lib").mkdir()
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(LibraryError, match="private to another user"):
        pixseek.open(tmp_path / "a.lib")


def test_root_opens_the_library_of_the_user_behind_sudo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pixseek.open(tmp_path / "a.lib"):
        pass
    owner = os.stat(tmp_path / "a.lib").st_uid
    stat = os.stat

    def other(path: object, **how: object) -> os.stat_result:
        found = stat(path, **how)  # type: ignore[arg-type]
        return os.stat_result((*found[:4], owner + 7, *found[5:]))

    monkeypatch.setattr(trust.os, "stat", other)
    monkeypatch.setattr(trust.os, "geteuid", lambda: 0)
    with pytest.raises(UntrustedLibraryError):
        pixseek.open(tmp_path / "a.lib")
    monkeypatch.setenv("SUDO_UID", str(owner + 7))
    with pixseek.open(tmp_path / "a.lib"):
        pass


def test_no_library_is_made_in_another_users_folder(
    tmp_path: Path, tiny: TinyEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "photos" / ".pixseek").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "photos")
    me = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: me + 1)
    with pytest.raises(UntrustedLibraryError, match="who could read and change"):
        pixseek.open(tmp_path / "photos")
    monkeypatch.setattr(os, "geteuid", lambda: me)
    with pytest.raises(UntrustedLibraryError, match="not made here"):
        pixseek.open()
    assert not list((tmp_path / "photos" / ".pixseek").iterdir())
    with pixseek.open(tmp_path / "photos" / ".pixseek"):
        pass  # named


# ------------------------------------------------------------------ where servers are


def test_the_address_of_a_server_is_kept_among_the_users_settings_only(
    tmp_path: Path, tiny: TinyEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = "memory://me:Zq9x@kept-here"
    with pixseek.open(tmp_path / "a.lib", engine=address) as library:
        library.index(draw(tmp_path / "photos" / "red.png", "red", 1).parent)
    assert all(b"Zq9x" not in each for each in content(tmp_path / "a.lib").values())
    (tmp_path / "a.lib").rename(tmp_path / "b.lib")
    with pixseek.open(tmp_path / "b.lib") as library:
        assert len(library) == 1
    # Another machine has to be told, since the library does not hold the password.
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "another machine"))
    with pytest.raises(UntrustedLibraryError, match="kept-here"):
        pixseek.open(tmp_path / "b.lib")
    with pytest.raises(LibraryError, match=r"password .* is not known here") as caught:
        pixseek.open(tmp_path / "b.lib", trust=True)
    assert "--engine URL" in caught.value.advice
    with pixseek.open(tmp_path / "b.lib", engine=address) as library:
        assert len(library) == 1
    with pixseek.open(tmp_path / "b.lib") as library:
        assert len(library) == 1


def test_the_address_in_an_older_library_moves_to_the_settings_once_it_is_trusted(
    tmp_path: Path, tiny: TinyEncoder
) -> None:
    address = "memory://me:Zq9x@older"
    with pixseek.open(tmp_path / "a.lib", engine=address):
        pass
    libraries_file().unlink()

    def older(ledger: Ledger) -> None:
        ledger.set("engine", address)
        ledger.set("id", None)

    changed(tmp_path / "a.lib", older)
    with pytest.raises(UntrustedLibraryError):
        pixseek.open(tmp_path / "a.lib")
    done = CliRunner().invoke(main, ["trust", str(tmp_path / "a.lib")])
    assert done.exit_code == 0
    assert "Zq9x" not in done.output
    assert all(b"Zq9x" not in each for each in content(tmp_path / "a.lib").values())
    with pixseek.open(tmp_path / "a.lib"):
        pass
    assert "Zq9x" in libraries_file().read_text()
    assert os.stat(libraries_file()).st_mode & 0o777 == 0o600


def test_a_library_that_can_not_be_written_is_known_by_what_it_reaches_for(
    strangers: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed(strangers / ".pixseek", lambda ledger: ledger.set("id", None))
    monkeypatch.setattr("pixseek.library.opened.may_write", lambda _: False)
    monkeypatch.chdir(strangers)
    with pixseek.open(trust=True):
        pass
    with pixseek.open() as library:
        assert library.opened.is_trusted
    changed(strangers / ".pixseek", root_at("/private/photos"))
    with pytest.raises(UntrustedLibraryError, match="/private/photos"):
        pixseek.open()


def test_a_list_of_libraries_that_can_not_be_written_lets_a_library_be_opened_once(
    strangers: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_only(*_: object) -> None:
        raise StorageError("The list of your libraries can't be written")

    monkeypatch.setattr(KnownLibraries, "keep", read_only)
    monkeypatch.chdir(strangers)
    with pixseek.open(trust=True) as library:
        assert library.status().records == 1
    with pytest.raises(UntrustedLibraryError):
        pixseek.open()
    assert CliRunner().invoke(main, ["trust", "."]).exit_code == 3


def test_a_damaged_list_of_libraries_is_named(
    strangers: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    libraries_file().write_text("[")
    monkeypatch.chdir(strangers)
    with pytest.raises(LibraryError, match="list of your libraries") as caught:
        pixseek.open()
    assert str(libraries_file()) in str(caught.value)
