"""No secret is shown: in errors and their causes, output, JSON or tracebacks, for any engine."""

from __future__ import annotations

import json
import os
import stat
import sys
import time
import traceback
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest
from click.testing import CliRunner
from hypothesis import example, given, settings
from hypothesis import strategies as st

import pixseek
from pixseek.cli import main
from pixseek.config import libraries_file
from pixseek.engines import open_engine
from pixseek.errors import ConfigError, EngineError, PixseekError, SourceError
from pixseek.redaction import Address, hidden, is_address, redacted, without_passwords
from pixseek.storage.known_libraries import KnownLibraries
from pixseek.types import Root

from tiny_encoder import TinyEncoder, draw

SECRET = "s3cr3t-Wörd"

#: Found nowhere else.
SHOWN = "Zq9x"

#: Ways to write an address with a secret.
FORMS = (
    "postgresql://me:{}@localhost:1/db",
    "postgres://me:{}@localhost:1/db?sslmode=disable",
    "POSTGRESQL://:{}@localhost:1/db",
    "postgresql:/me:{}@localhost:1/db",
    "postgresql:me:{}@localhost:1/db",
    "postgresql://localhost:1/db?password={}",
    "postgresql://localhost:1/db?user=me&password={}&sslmode=disable",
    "postgresql://localhost:1/db?%70assword={}",
    "postgresql://localhost:1/db?sslpassword={}",
    "host=localhost port=1 dbname=db password={}",
    "user=me host=localhost password = '{}' dbname=db",
    "qdrant://{}@localhost:6333/photos",
    "qdrant://localhost:6333/photos?api_key={}",
    "elasticsearch+https://elastic:{}@localhost:9200/photos",
    "https://me:{}@localhost:9200/photos?token={}",
    "memory://me:{}@name",
    "s3://AKIA:{}@bucket/photos",
    "qdrant://{}:@localhost:6333/photos",
)

#: Other places than the address of an engine.
ELSEWHERE = (
    "HF_ENDPOINT=https://me:{}@localhost/mirror",
    "http:/me:{}@localhost/mirror",
    "socks5h://me:{}@localhost:1080",
    "git+https://me:{}@localhost/x.git",
    "the proxy me:{}@localhost:3128 refused",
    "HTTPS_PROXY=me:{}@localhost",
    "//me:{}@localhost/x",
    "https://{}@localhost/models",
)


@pytest.mark.parametrize("form", [*FORMS, *ELSEWHERE])
@pytest.mark.parametrize("secret", [SECRET, quote(SECRET, safe=""), "pä%2Fss", "p+w"])
def test_every_form_of_an_address_loses_its_secret_and_keeps_the_rest(
    form: str, secret: str
) -> None:
    shown = redacted(form.replace("{}", secret))
    assert secret not in shown
    assert "***" in shown
    assert "localhost" in shown or "name" in shown or "bucket" in shown
    assert redacted(shown) == shown


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://localhost/photos",
        "postgresql://me@localhost:5432/photos?schema=a&table=b&sslmode=require",
        "https://huggingface.co/openai/clip-vit-base-patch32",
        "http://localhost:8080/mirror",
        "/home/me/Pictures/a@b.jpg",
        "C:\\Users\\me@work\\x",
        "Photos: 2024",
        "https://host:8080/@me and https://[::1]:80/@x",
        "see https://a.b/ and ask bob@example.com",
        "person:anna@home name:a:b@c.jpg",
        "width:>=100 tag:a=b",
        "To continue: pixseek index ~/Pictures --exclude 'a=b'",
    ],
)
def test_what_holds_no_secret_stays_as_it_is(text: str) -> None:
    assert redacted(text) == text


@pytest.mark.parametrize(
    "secret", ["Zq'9", "Zq 9", "Zq/9", "Zq#9", "Zq?9", 'Zq"9', "Zq<9>", "Zq:9"]
)
def test_a_password_on_the_web_may_hold_what_ends_an_address(secret: str) -> None:
    assert redacted(f"see https://me:{secret}@a.b/c") == "see https://me:***@a.b/c"
    both = f"http://me:{secret}@a.b, then https://me:{secret}@a.b"
    assert redacted(both) == "http://me:***@a.b, then https://me:***@a.b"


def test_a_header_keeps_its_token() -> None:
    for header in ("Authorization: Bearer Zq9", "authorization='Basic Zq9'", "Authorization=Zq9"):
        assert "Zq9" not in redacted(header)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://me:Zq@a.b/c@d?sig=x", "https://me:***@a.b/c@d?sig=x"),
        ("s3://Zq@b/c, http://u:Zq@b", "s3://***@b/c, http://u:***@b"),
        ("https://a.b/@me", "https://a.b/@me"),
        ("file:///a/b@c", "file:///a/b@c"),
    ],
)
def test_an_address_stays_usable_without_its_password(text: str, shown: str) -> None:
    assert without_passwords(text) == shown


@pytest.mark.slow
@pytest.mark.parametrize(
    "piece", ["a", "b64_", "password", "(a:", "(//a:", "proxy", "proxy=a:", "http:a:b ", "://"]
)
def test_long_texts_take_linear_time(piece: str) -> None:
    for before, after in (("http://h/", ""), ("", " @"), ("://", ":1@a.b:1")):
        text = before + piece * (20_000 // len(piece)) + after
        began = time.process_time()
        redacted(text)
        without_passwords(text)
        assert time.process_time() - began < 2  # with quadratic time, 5 and more


def test_addresses_differ_from_folders() -> None:
    for form in FORMS:
        assert is_address(form)
    for folder in ("photos.lib", "/a/b=c", "C:/photos", "Photos: 2024", "./postgresql:", "a=b"):
        assert not is_address(folder)


# A password may hold anything but line breaks; what users forget to encode is the worst.
passwords = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp")), min_size=6
).map(lambda text: f"Zq{text}")


@given(passwords, st.sampled_from(FORMS), st.booleans())
@example("Zqpa/ss@wo:rd#1?x=%", FORMS[0], False)
@example("Zq1234/ab cd", FORMS[0], False)
@settings(max_examples=25, deadline=None)
def test_no_character_of_a_password_lets_it_out(secret: str, form: str, is_encoded: bool) -> None:
    written = quote(secret, safe="") if is_encoded else secret
    if not is_encoded and ("&" in secret or form.startswith("https") or "=" in form):
        return  # there it ends the parameter, or the address: no reader can tell
    if not is_encoded and form.startswith("qdrant") and ":" in secret:
        return  # a user and a password
    address = form.replace("{}", written)
    assert "Zq" not in redacted(address)
    assert "Zq" not in str(Address(address))
    assert "Zq" not in repr(Address(address))
    assert "Zq" not in str(PixseekError("failed", address, f"It said: {address}"))
    assert "Zq" not in hidden(f'invalid value "{written}" in {address}', address)


def chain_of(error: BaseException) -> str:
    """Return the traceback, with all causes, also those that are not printed."""
    text = "".join(traceback.format_exception(error))
    seen: list[BaseException] = []
    stack: list[BaseException | None] = [error]
    while stack:
        each = stack.pop()
        if each is not None and each not in seen:
            seen.append(each)
            text += repr(each) + str(each)
            stack += [each.__cause__, each.__context__]
    return text


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "secret", ["Zq9x", "Zq9x/Zq8y", "Zq9x@Zq8y", "Zq9x#Zq8y", "Zq9x?Zq8y", "Zq%zz", "Zq9x&Zq8y"]
)
def test_engines_that_can_not_be_opened_keep_their_secret(form: str, secret: str) -> None:
    if "=" in form and secret not in ("Zq9x", "Zq9x&Zq8y", "Zq%zz"):
        return
    address = form.replace("{}", secret)
    if address.startswith("memory"):
        return  # it opens
    with pytest.raises(PixseekError) as caught:
        open_engine(address)
    assert "Zq" not in chain_of(caught.value)


class _Covered(Exception):
    """An error whose message is a property that can't be set, as in clients of databases."""

    def __init__(self, message: str) -> None:
        super().__init__()
        self._message = message

    @property
    def message(self) -> str:
        return self._message

    def __str__(self) -> str:
        return f"<error: {self.message}>"


class _Plugin:
    """An engine of another package, which knows nothing of secrets."""

    @staticmethod
    def broken(url: str) -> object:
        try:
            raise OSError(f"no route to {url}")
        except OSError as error:
            raise ValueError(f"bad key {urlsplit(url).password!r} for {url}") from error

    @staticmethod
    def covering(url: str) -> object:
        raise EngineError("refused", url) from _Covered(f"bad key {urlsplit(url).password!r}")

    @staticmethod
    def refusing(url: str) -> object:
        raise EngineError("refused", url, f"The key {urlsplit(url).password} has expired")


@pytest.mark.parametrize("opener", ["broken", "covering", "refusing"])
def test_what_another_package_raises_keeps_the_secret(
    monkeypatch: pytest.MonkeyPatch, opener: str
) -> None:
    point = EntryPoint("other", f"{__name__}:_Plugin.{opener}", "pixseek.engines")
    monkeypatch.setattr("importlib.metadata.entry_points", lambda **_: [point])
    address = "other://me:{}@host/db".replace("{}", SHOWN)  # a traceback shows this line
    with pytest.raises(EngineError) as caught:
        open_engine(address)
    assert SHOWN not in chain_of(caught.value)
    assert "host/db" in str(caught.value)


class _Leaking:
    """A working engine of another package, whose server fails later and quotes the key."""

    def __init__(self, url: str) -> None:
        self.inner = open_engine("memory://inside")
        self.url = url

    def __getattr__(self, name: str) -> object:
        if name == "count":
            return self.fail
        if name == "known":
            return self.fail_later
        return getattr(self.inner, name)

    def fail(self, *_: object) -> None:
        raise RuntimeError(f"the key {urlsplit(self.url).password} has expired")

    def fail_later(self, *_: object) -> Iterator[None]:
        yield None
        self.fail()


def test_what_another_package_raises_later_keeps_the_secret(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    point = EntryPoint("other", f"{__name__}:_Leaking", "pixseek.engines")
    monkeypatch.setattr("importlib.metadata.entry_points", lambda **_: [point])
    address = "other://me:{}@host/db".replace("{}", SHOWN)
    with pixseek.open(tmp_path / "x.lib", engine=address) as library:
        engine = library.opened.engine
        assert engine.spaces() == []
        for leak in (lambda: len(library), lambda: list(engine.known(""))):
            with pytest.raises(RuntimeError, match="has expired") as caught:
                leak()
            assert SHOWN not in chain_of(caught.value)
        assert SHOWN not in repr(library.opened)


COMMANDS = (
    ("index", "PHOTOS"), ("index",), ("search", "red"), ("similar", "x.png"), ("list",),
    ("show", "x"), ("tag", "x", "--add", "y"), ("classify", "x"), ("save", "red", "name"),
    ("saved",), ("status",), ("status", "--json"), ("failures",), ("failures", "--json"),
    ("remove", "x"), ("duplicates",), ("export", "out.parquet"), ("import", "in.parquet"),
    ("doctor",), ("doctor", "--json"), ("reindex",), ("models",),
)  # fmt: skip


@pytest.mark.parametrize("how", ["option", "environment", "file"])
def test_no_command_takes_an_address_for_a_folder_or_prints_its_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny: TinyEncoder, how: str
) -> None:
    del tiny
    monkeypatch.chdir(tmp_path)
    draw(tmp_path / "photos" / "a.png", "red")
    before = sorted(tmp_path.iterdir())
    for form in FORMS[:2] + FORMS[9:10] if how == "option" else FORMS[:1]:
        address = form.replace("{}", "Zq9x")
        options: tuple[str, ...] = ()
        if how == "option":
            options = ("--library", address)
        elif how == "environment":
            monkeypatch.setenv("PIXSEEK_LIBRARY", address)
        else:
            config = tmp_path.parent / f"{tmp_path.name}.toml"
            config.write_text(f"library = {json.dumps(address)}\n", "utf-8")
            monkeypatch.setattr("pixseek.config.config_file", lambda file=config: file)
        for command, *arguments in COMMANDS:
            line = [command, *("photos" if each == "PHOTOS" else each for each in arguments)]
            result = CliRunner().invoke(main, [*line, *options])
            assert "Zq9x" not in result.output + repr(result.exception), line
            assert sorted(tmp_path.iterdir()) == before, line
            if command in ("index", "status", "search", "list"):
                assert result.exit_code not in (0, None), line
                assert "pixseek index ~/Pictures --library photos.lib --engine" in result.output


@pytest.mark.parametrize(
    "line",
    [
        ["index", "postgresql://me:Zq9x@host/db"],
        ["index", "s3://key:Zq9x@bucket/photos"],
        ["postgresql://me:Zq9x@host/db"],
        ["--engin=postgresql://me:Zq9x@host/db", "index"],
        ["status", "--enginn", "postgresql://me:Zq9x@host/db"],
        ["status", "--enginn=postgresql://me:Zq9x@host/db"],
        ["index", "--tiles", "postgresql://me:Zq9x@host/db"],
        # What is cut off afterwards ends within the password, or begins within it.
        ["search", "postgresql://mememe:Zq9x@host/db"],
        ["search", "image:https://me:Zq9x(Zq9x@host/db"],
        ["index", ".", "-L", "x.lib", "--engine", "postgresql://me:Zq9x@localhost:1/db"],
        ["index", ".", "-L", "x.lib", "--engine", "postgrsql://me:Zq9x@localhost:1/db"],
    ],
)
def test_messages_about_a_command_line_keep_its_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, line)
    assert result.exit_code != 0
    assert "Zq9x" not in result.output
    monkeypatch.setenv("PIXSEEK_DEBUG", "1")
    result = CliRunner().invoke(main, line)
    assert "Zq9x" not in result.output
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        assert "Zq9x" not in chain_of(result.exception)


@pytest.mark.parametrize("given_as", [str, Path])
@pytest.mark.parametrize("address", ["postgresql://me:Zq9x@host/db", "memory://name"])
def test_the_library_of_a_url_is_an_error_that_says_how(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str, given_as: type
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="--engine") as caught:
        pixseek.open(given_as(address))
    assert "Zq9x" not in chain_of(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_list_of_files_with_an_address_in_it_keeps_its_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "list.txt").write_text("postgresql://me:Zq9x@host/db\n")
    for more in ([], ["--json"]):
        result = CliRunner().invoke(
            main, ["index", "--from-file", "list.txt", "-L", "x.lib", *more]
        )
        assert "host/db" in result.output
        assert "Zq9x" not in result.output


def test_doctor_masks_what_the_environment_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "https://me:Zq9x@mirror.example/hub?token=Zq9x")
    monkeypatch.setenv("PIXSEEK_ENGINE", "postgresql://me:Zq9x@host/db")
    monkeypatch.setenv("PIXSEEK_API_TOKEN", "Zq9x")
    for arguments in ([], ["--json"]):
        output = CliRunner().invoke(main, ["doctor", "--offline", *arguments]).output
        assert "mirror.example" in output
        assert "Zq9x" not in output


class _Bucket:
    """A source that another package reads, with a key in its URL."""

    prefixes = ("photos/",)

    def __init__(self, root: Root) -> None:
        self.root = root

    def covers(self, uri: str) -> bool:
        return uri.startswith("photos/")

    def scan(self) -> object:
        raise SourceError("no access", self.root.where)


def test_a_root_with_a_key_in_its_url_is_shown_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = Root("photos", "s3://key:Zq9x@bucket/photos?token=Zq9x", kind="s3")
    assert "Zq9x" not in repr(root)
    assert root.where.count("Zq9x") == 2, "the source needs it"
    point = EntryPoint("s3", f"{__name__}:_Bucket", "pixseek.sources")
    monkeypatch.setattr("importlib.metadata.entry_points", lambda **_: [point])
    with pixseek.open(tmp_path / "a.lib") as library:
        library.opened.roots.change(root)
        shown = repr(library.status())
        with pytest.raises(SourceError) as caught:
            library.index()
    assert "bucket" in shown
    assert "Zq9x" not in shown + chain_of(caught.value)
    result = CliRunner().invoke(main, ["status", "--json", "-L", str(tmp_path / "a.lib")])
    assert "bucket" in result.output
    assert "Zq9x" not in result.output


@pytest.mark.skipif(sys.platform == "win32", reason="files have other rights there")
def test_a_password_is_kept_among_the_settings_of_its_owner_and_can_be_renewed(
    tmp_path: Path,
) -> None:
    place = tmp_path / "a.lib"

    def kept() -> str:
        assert stat.S_IMODE(os.stat(libraries_file()).st_mode) == 0o600
        return KnownLibraries(libraries_file()).all()[-1].engine

    with pixseek.open(place, engine="memory://me:old@kept") as library:
        assert library.opened.ledger.setting("engine") == "memory://me:***@kept"
    assert kept() == "memory://me:old@kept"
    with pixseek.open(place, engine="memory://me:new@kept"):
        assert kept() == "memory://me:new@kept"
    with pixseek.open(place, engine="memory://me:new@elsewhere"):
        assert kept() == "memory://me:new@kept"
    for path in place.rglob("*"):
        assert path.is_dir() or not any(word in path.read_bytes() for word in (b"old", b"new@"))
