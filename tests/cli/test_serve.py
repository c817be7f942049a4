"""`pixseek serve` as people start it: a process, a port, a signal."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme
from click.testing import CliRunner
from cryptography.hazmat.primitives import serialization
from PIL import Image

from pixseek.cli import main
from pixseek.demo.picture_library import write_picture_library
from pixseek.library import Library


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("drawn")
    write_picture_library(base / "pictures", 6)
    with Library.open(base / "lib", "demo", drawn=True) as library:
        library.index(base / "pictures")
    return base / "lib"


@contextmanager
def serving(*options: str, **environment: str) -> Iterator[tuple[Any, str, int]]:
    """Start a server; yield its process, its first line and its port."""
    process = subprocess.Popen(
        [sys.executable, "-m", "pixseek", "serve", "--port", "0", *options],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, **environment},
    )  # fmt: skip
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert "Serving" in line, process.stderr.read() if process.stderr else ""
        yield process, line, int(line.rpartition(":")[2].partition("/")[0])
    finally:
        process.kill()
        process.communicate()


def get(port: int, path: str, **headers: str) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("localhost", port, timeout=60)
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, json.loads(content) if b"{" in content[:1] else content


def post(port: int, path: str, body: Any) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("localhost", port, timeout=60)
    connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
    answer = connection.getresponse()
    found = answer.status, json.loads(answer.read())
    connection.close()
    return found


def event(answer: Any) -> dict[str, Any]:
    """Return the next event of a stream."""
    while not (line := answer.readline()).startswith(b"data: "):
        assert line, "the stream has ended"
    return dict(json.loads(line[6:]))


@pytest.mark.parametrize(
    "number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)]
)
def test_it_says_where_it_is_and_ends_when_told(drawn: Path, number: int) -> None:
    with serving("-L", str(drawn)) as (process, line, port):
        assert line.startswith("Serving lib (6 images) at http://localhost:")
        if (
            sys.platform == "linux"
        ):  # all of 127.0.0.0/8 is this machine: one address is listened on
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.2", port), timeout=5)
        status, found = get(port, "/api/search?q=a+boat&k=2")
        assert (status, len(found["hits"])) == (200, 2)
        status, page = get(port, "/?q=boat")
        assert status == 200
        assert b"<img" in page
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0
        assert out.endswith("Stopped.\n")
        assert "Traceback" not in err


def test_a_token_in_the_environment_is_needed_then_and_no_more_requests_than_the_rate(
    drawn: Path,
) -> None:
    token = "a-token-of-twenty-letters"
    with serving("-L", str(drawn), "--rate", "0.2", PIXSEEK_READ_TOKEN=token) as (_, _, port):
        assert get(port, "/api/libraries")[0] == 401
        assert get(port, "/api/libraries", Authorization=f"Bearer {token}")[0] == 200
        assert get(port, "/api/libraries", Authorization=f"Bearer {token}")[0] == 429


@pytest.mark.parametrize(
    ("options", "environment", "said"),
    [
        (["--host", "0.0.0.0"], {}, "no token is set"),
        (["--host", "0.0.0.0"], {"PIXSEEK_WRITE_TOKEN": "x" * 20}, "not encrypted"),
        (["--host", "192.0.2.1", "--insecure"], {"PIXSEEK_WRITE_TOKEN": "x" * 20}, "can't listen"),
        (["--host", "::"], {}, "no token is set"),
        ([], {"PIXSEEK_READ_TOKEN": "short"}, "too short"),
        (["--prefix", "photos"], {}, "begins with a slash"),
        (["--cert", __file__], {}, "belong together"),
        (["--trusted-proxy", "nginx"], {}, "not an address or network"),
        (["--trusted-proxy", "10.0.0.1/8"], {}, "not an address or network"),
        (["--allow-origin", "*"], {}, "not an origin"),
        (["--allow-origin", "https://a.example/x"], {}, "not an origin"),
        (["--host-name", "https://a.example"], {}, "without a port"),
        (
            ["--host", "0.0.0.0"],
            {"PIXSEEK_READ_TOKEN": "x" * 20, "PIXSEEK_WRITE_TOKEN": "x" * 20},
            "are the same",
        ),
    ],
)
def test_what_is_not_safe_is_refused(
    drawn: Path, monkeypatch: pytest.MonkeyPatch, options: list[str],
    environment: dict[str, str], said: str,
) -> None:  # fmt: skip
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    done = CliRunner().invoke(main, ["serve", "-L", str(drawn), *options])
    assert said in done.output
    assert done.exit_code in (2, 6)


def test_embed_prints_what_the_server_answers(drawn: Path) -> None:
    done = CliRunner().invoke(main, ["embed", "-L", str(drawn), "--text", "a boat"])
    found = json.loads(done.stdout)
    assert (found["model"], found["dim"], len(found["texts"])) == ("demo", 128, 1)
    assert CliRunner().invoke(main, ["embed", "-L", str(drawn)]).exit_code == 2


def pictures(folder: Path, count: int) -> None:
    """Write pictures of which no two are the same, and which take a moment to decode."""
    folder.mkdir(parents=True, exist_ok=True)
    for n in range(count):
        shown = Image.new("RGB", (600, 400), (n % 256, n * 7 % 256, n * 13 % 256))
        shown.save(folder / f"{n}.png", compress_level=1)


@pytest.mark.slow
def test_a_stop_answers_what_was_asked_and_ends_runs(drawn: Path, tmp_path: Path) -> None:
    shutil.copytree(drawn.parent, tmp_path / "copy")
    lib = tmp_path / "copy" / "lib"
    pictures(tmp_path / "many", 150)
    options = ("-L", str(lib), "--rate", "0", "--folders", str(tmp_path),
               "--uploads", str(tmp_path / "up"))  # fmt: skip
    with serving(*options) as (process, _, port), ThreadPoolExecutor(8) as pool:
        job = post(port, "/api/jobs", {"folder": str(tmp_path / "many")})
        assert job[0] == 202, job
        events = http.client.HTTPConnection("localhost", port, timeout=60)
        events.request("GET", f"/api/jobs/{job[1]['id']}/events")
        answer = events.getresponse()
        while not (state := event(answer))["progress"] or not state["progress"]["done"]:
            assert state["ended_at"] is None, state

        def search(n: int) -> int | None:
            try:
                return get(port, f"/api/search?q=a+boat+{n}&k=2")[0]
            except ConnectionError:  # it came after the stop
                return None

        asked = [pool.submit(search, n) for n in range(200)]
        while not any(each.done() for each in asked):
            time.sleep(0.005)
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        while (state := event(answer))["ended_at"] is None:
            pass
        events.close()
        assert state["state"] == "stopped"
        out, err = process.communicate(timeout=60)
        assert time.monotonic() - began < 20
        assert process.returncode == 0, err
        assert out.endswith("Stopped.\n")
        assert "Traceback" not in err
        statuses = {each.result() for each in asked}
        assert 200 in statuses
        assert statuses <= {200, None}
    with Library.open(lib) as library:  # no lock is left, and the run goes on where it was
        report = library.index()
        assert state["report"]["added"] + report.added == 150
        assert len(library) == 156


@pytest.mark.slow
def test_a_second_signal_ends_it_at_once(drawn: Path) -> None:
    with (
        serving("-L", str(drawn)) as (process, _, port),
        socket.create_connection(("localhost", port)) as held,
    ):
        held.sendall(
            b"POST /api/search HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n"
            b"Content-Type: application/json\r\n\r\n{"
        )
        other = http.client.HTTPConnection("localhost", port, timeout=60)
        for _ in range(2):  # answered after the head of that request has come
            other.request("GET", "/healthz")
            other.getresponse().read()
        other.close()
        process.send_signal(signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(2)  # the rest of the request may come
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 128 + signal.SIGINT
    with serving("-L", str(drawn)) as (_, line, _):
        assert "6 images" in line


@pytest.mark.slow
@pytest.mark.parametrize("rest_comes", [True, False])
def test_a_stop_during_an_upload_leaves_nothing_half(
    drawn: Path, tmp_path: Path, rest_comes: bool
) -> None:
    shutil.copytree(drawn.parent, tmp_path / "copy")
    lib, uploads = tmp_path / "copy" / "lib", tmp_path / "up"
    pictures(tmp_path / "one", 1)
    content = (tmp_path / "one" / "0.png").read_bytes()
    body = (
        b'--b\r\nContent-Disposition: form-data; name="images"; filename="a.png"\r\n\r\n'
        + content
        + b"\r\n--b--\r\n"
    )
    head = (
        "POST /api/images HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; "
        f"boundary=b\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode()
    with serving("-L", str(lib), "--uploads", str(uploads)) as (process, _, port):
        with socket.create_connection(("127.0.0.1", port), timeout=60) as sock:
            sock.sendall(head + body[: len(body) // 2])
            assert get(port, "/healthz")[0] == 200
            process.send_signal(signal.SIGTERM)
            while True:  # until nobody listens
                try:
                    socket.create_connection(("127.0.0.1", port), timeout=5).close()
                except ConnectionError:
                    break
                time.sleep(0.01)
            if rest_comes:
                sock.sendall(body[len(body) // 2 :])
                answer = b""
                while piece := sock.recv(65536):
                    answer += piece
                assert answer.startswith(b"HTTP/1.1 503 ")
                assert b"The server is about to end" in answer
        out, err = process.communicate(timeout=60)
        assert (process.returncode, out.endswith("Stopped.\n")) == (0, True)
        assert "Traceback" not in err
    assert list(uploads.iterdir()) == []
    with Library.open(lib) as library:
        assert len(library) == 6


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[trustme.CA, Path, Path]:
    folder, authority = tmp_path_factory.mktemp("tls"), trustme.CA()
    issued = authority.issue_cert("localhost", "127.0.0.1")
    issued.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    issued.private_key_pem.write_to_path(folder / "key.pem")
    return authority, folder / "cert.pem", folder / "key.pem"


@pytest.mark.slow
def test_other_machines_get_tls_and_a_login(
    drawn: Path, certificate: tuple[trustme.CA, Path, Path]
) -> None:
    authority, cert, key = certificate
    trusted = ssl.create_default_context()
    authority.configure_trust(trusted)
    tls = ("--host", "0.0.0.0", "--cert", str(cert), "--key", str(key))
    with serving("-L", str(drawn), *tls, PIXSEEK_WRITE_TOKEN="t" * 20) as (_, line, port):
        assert f"https://localhost:{port}/" in line

        def ask(method: str, path: str, body: str = "", **headers: str) -> Any:
            connection = http.client.HTTPSConnection("localhost", port, context=trusted, timeout=60)
            headers = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body or None, headers)
            answer = connection.getresponse()
            answer.read()
            connection.close()
            return answer

        assert ask("GET", "/api/libraries").status == 401
        form = {"Content_Type": "application/x-www-form-urlencoded"}
        login = ask("POST", "/login", "token=" + "t" * 20, **form)
        assert login.status == 303
        assert login.headers["Strict-Transport-Security"].startswith("max-age=")
        cookie = login.headers["Set-Cookie"]
        assert "; Secure" in cookie
        assert ask("GET", "/api/libraries", Cookie=cookie.partition(";")[0]).status == 200
        with pytest.raises((ConnectionError, http.client.HTTPException)):
            get(port, "/healthz")  # without TLS
        strangers = http.client.HTTPSConnection("localhost", port, timeout=60)
        with pytest.raises(ssl.SSLCertVerificationError):
            strangers.request("GET", "/healthz")
        assert ask("GET", "/healthz").status == 200


def test_a_port_in_use_is_an_error_with_a_way_out(drawn: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = str(held.getsockname()[1])
        done = CliRunner().invoke(main, ["serve", "-L", str(drawn), "--port", port])
        assert done.exit_code == 6
        assert f"127.0.0.1:{port}\nChoose another --port" in done.output


def test_a_library_is_served_once_and_named_proxies_may_be_plain(drawn: Path) -> None:
    options = ("-L", str(drawn), "--also", str(drawn), "--host", "0.0.0.0", "--insecure",
               "--host-name", "photos.example")  # fmt: skip
    with serving(*options, PIXSEEK_READ_TOKEN="t" * 20) as (_, line, port):
        assert line == f"Serving lib (6 images) at http://photos.example:{port}/\n"
        assert get(port, "/api/libraries", Authorization="Bearer " + "t" * 20)[0] == 200
        connection = http.client.HTTPConnection("localhost", port, timeout=60)
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        connection.request("POST", "/login", "token=" + "t" * 20, form)
        answer = connection.getresponse()
        # Browsers drop a cookie for TLS that comes without it.
        assert "Secure" not in answer.headers["Set-Cookie"]
        assert "Strict-Transport-Security" not in answer.headers
        connection.close()


def test_of_a_certificate_and_its_key_the_wrong_file_is_named(
    drawn: Path, certificate: tuple[trustme.CA, Path, Path], tmp_path: Path
) -> None:
    _, cert, key = certificate
    other = tmp_path / "other.pem"
    trustme.CA().issue_cert("localhost").private_key_pem.write_to_path(other)
    text, empty, der = (tmp_path / name for name in ("text.pem", "empty.pem", "der.pem"))
    text.write_text("no certificate")
    empty.write_bytes(b"")
    der.write_bytes(ssl.PEM_cert_to_DER_cert(cert.read_text().partition("-----END")[0]
                                             + "-----END CERTIFICATE-----\n"))  # fmt: skip
    cut, cut_key = tmp_path / "cut.pem", tmp_path / "cut-key.pem"
    cut.write_bytes(cert.read_bytes()[:300] + b"\n-----END CERTIFICATE-----\n")
    cut_key.write_bytes(key.read_bytes()[:100] + key.read_bytes()[-40:])
    locked = tmp_path / "locked.pem"
    private = serialization.load_pem_private_key(key.read_bytes(), None)
    locked.write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    for pair, wrong, said in (
        ((cert, other), f"{other}, {cert}", "does not belong to the certificate"),
        ((text, key), text, "not in PEM"),
        ((empty, key), empty, "not in PEM"),
        ((cert, text), text, "not in PEM"),
        ((der, key), der, "may be in DER"),
        ((key, cert), key, "holds a private key, and no certificate"),
        ((cert, cert), cert, "holds a certificate, and no private key"),
        ((cert, locked), locked, "key is encrypted"),
        ((cut, key), cut, "The certificate is damaged"),
        ((cert, cut_key), cut_key, "The private key is damaged"),
    ):
        done = CliRunner().invoke(
            main, ["serve", "-L", str(drawn), "--cert", str(pair[0]), "--key", str(pair[1])],
            input="",
        )  # fmt: skip
        shown = " ".join(done.output.split())
        assert done.exit_code == 6, (pair, done.output)
        assert said in shown, (pair, shown)
        assert f": {wrong} " in shown, (pair, shown)


def test_libraries_and_folders_that_are_not_there_are_named_by_their_options(
    drawn: Path, tmp_path: Path
) -> None:
    def said(*options: str) -> str:
        done = CliRunner().invoke(main, ["serve", "-L", str(drawn), *options])
        assert done.exit_code in (3, 6), done.output
        return done.output

    gone = tmp_path / "gone.lib"
    found = said("--also", str(gone))
    assert f"There is no library here: {gone}\nEach --also names a library" in found
    assert f"pixseek index ~/Pictures --library {gone}" in found
    assert str(drawn) not in found
    assert not gone.exists()
    (tmp_path / "file").write_bytes(b"")
    found = said("--uploads", str(tmp_path / "file" / "below"))
    assert "Uploads can't be stored here (Not a directory)" in found
    assert "--uploads" in found
