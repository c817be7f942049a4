"""Servers on this machine that hold files as others do: S3 by moto, SFTP by paramiko, the web.

And fsspec's file system in memory, which takes no time.
"""

from __future__ import annotations

import contextlib
import logging
import os
import posixpath
import re
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

Wrap = Callable[[Any], Any]


@dataclass
class Count:
    """What a server was asked: method and path of each request, and the bytes it sent.

    Attributes:
        fail: is asked for each request, by its method and path: a status to fail with, or 0; -1
            lets the web server close the connection without an answer.
        links: what pages of the web link to besides what is in the folder, by their paths.
        has_end: whether the web server knows only what is there; otherwise each path that ends in
            "/" is a page with the links of the folder that is served.
        has_ranges: whether the web server sends parts of files.
    """

    requests: list[tuple[str, str]] = field(default_factory=list)
    sent: int = 0
    fail: Callable[[str, str], int] = lambda method, path: 0
    links: dict[str, tuple[str, ...]] = field(default_factory=dict)
    has_ranges: bool = True
    has_end: bool = True

    def clear(self) -> None:
        """Begin again."""
        self.requests.clear()
        self.sent = 0


class Memory(dict[str, bytes]):
    """The files of fsspec's file system in memory, by their paths; only writing is done here."""

    def __init__(self, files: Any) -> None:
        self._files = files

    def __setitem__(self, path: str, content: bytes) -> None:
        self._files.pipe_file(path, content)

    def __delitem__(self, path: str) -> None:
        self._files.rm(path)


@contextlib.contextmanager
def memory_files() -> Iterator[Memory]:
    """Give the files of `memory://`, which all tests of a process share, empty before and after."""
    import fsspec

    files = fsspec.filesystem("memory")
    files.store.clear()
    yield Memory(files)
    files.store.clear()


class Bucket:
    """A bucket of moto; `count` says what was asked."""

    def __init__(self, url: str, count: Count, client: Any) -> None:
        self.url, self.count, self._client = url, count, client

    def put(self, key: str, content: bytes, **how: str) -> None:
        self._client.put_object(Bucket="pictures", Key=key, Body=content, **how)
        self.count.clear()

    def delete(self, key: str) -> None:
        self._client.delete_object(Bucket="pictures", Key=key)


@contextlib.contextmanager
def s3(monkeypatch: Any) -> Iterator[Bucket]:
    """Serve the bucket "pictures", and let this process sign in to it as its environment says."""
    import boto3
    import s3fs
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    count = Count()
    inner = DomainDispatcherApplication(create_backend_app)

    def app(environ: Any, start: Any) -> Any:
        asked = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        count.requests.append(asked)
        if status := count.fail(*asked):
            start(f"{status} Fault", [("Content-Length", "0")])
            return [b""]
        content = b"".join(inner(environ, start))
        count.sent += len(content)
        return [content]

    server = make_server("127.0.0.1", 0, app, threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.port}"
    for name, value in {
        "AWS_ENDPOINT_URL": url, "AWS_ACCESS_KEY_ID": "KEYOFTHETEST",
        "AWS_SECRET_ACCESS_KEY": "SECRETOFTHETEST", "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": "/nonexistent", "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    # It tries a failed request five times by itself, with pauses; pixseek's own tries come on top.
    monkeypatch.setattr(s3fs.S3FileSystem, "retries", 1)
    client = boto3.client("s3")
    for each in client.list_buckets()["Buckets"]:  # of another test: moto keeps them by process
        if each["Name"] == "pictures":
            for key in client.list_objects_v2(Bucket="pictures").get("Contents", ()):
                client.delete_object(Bucket="pictures", Key=key["Key"])
            client.delete_bucket(Bucket="pictures")
    client.create_bucket(Bucket="pictures")
    try:
        yield Bucket(url, count, client)
    finally:
        server.shutdown()


@contextlib.contextmanager
def web(folder: Path) -> Iterator[tuple[str, Count]]:
    """Serve a folder as web servers do: pages of links, parts of files, ETags."""
    count = Count()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            count.requests.append((self.command, self.path))
            path = folder / unquote(self.path.partition("?")[0]).strip("/")
            if (status := count.fail(self.command, self.path)) < 0:
                self.close_connection = True
            elif status:
                self.reply(status, b"")
            elif self.path.endswith("/") and (path.is_dir() or not count.has_end):
                path = path if count.has_end else folder
                names = sorted(f"{p.name}{'/' if p.is_dir() else ''}" for p in path.iterdir())
                links = ["?C=N;O=D", "../", *map(quote, names), *count.links.get(self.path, ())]
                page = "".join(f'<a href="{link}">{link}</a>' for link in links)
                self.reply(200, page.encode(), Content_Type="text/html")
            elif path.is_file():
                content, status = path.read_bytes(), 200
                more = {"ETag": f'"{len(content)}-{path.stat().st_mtime_ns}"'}
                part = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
                if part and count.has_ranges:
                    begin, end = int(part[1]), int(part[2] or len(content) - 1) + 1
                    more["Content_Range"] = f"bytes {begin}-{end - 1}/{len(content)}"
                    content, status = content[begin:end], 206
                self.reply(status, content, **more)
            else:
                self.reply(404, b"")

        def reply(self, status: int, content: bytes, **headers: str) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                with contextlib.suppress(ConnectionError):  # who asked may have enough
                    self.wfile.write(content)
                    count.sent += len(content)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", count
    finally:
        server.shutdown()


@contextlib.contextmanager
def sftp(folder: Path, home: Path, connections: list[Any] | None = None) -> Iterator[str]:
    """Serve a folder by SFTP to who has the key in `home`/.ssh; its own key is known there.

    Each connection is added to `connections`: `close()` ends it.
    """
    import paramiko

    logging.getLogger("paramiko").setLevel(logging.CRITICAL)
    host_key, user_key = paramiko.RSAKey.generate(1024), paramiko.RSAKey.generate(1024)

    class Server(paramiko.ServerInterface):
        def check_auth_publickey(self, username: str, key: Any) -> int:
            known = key.get_base64() == user_key.get_base64() and username == "ann"
            return paramiko.AUTH_SUCCESSFUL if known else paramiko.AUTH_FAILED

        def get_allowed_auths(self, username: str) -> str:
            return "publickey"

        def check_channel_request(self, kind: str, chanid: int) -> int:
            return paramiko.OPEN_SUCCEEDED

    class Handle(paramiko.SFTPHandle):
        def stat(self) -> Any:
            return paramiko.SFTPAttributes.from_stat(os.fstat(self.readfile.fileno()))

    class Files(paramiko.SFTPServerInterface):
        def place(self, path: str) -> Path:
            return folder / posixpath.normpath(path).strip("/")

        def list_folder(self, path: str) -> Any:
            found = []
            try:
                for each in self.place(path).iterdir():
                    attributes = paramiko.SFTPAttributes.from_stat(each.lstat())
                    attributes.filename = each.name
                    found.append(attributes)
            except OSError as error:
                return paramiko.SFTPServer.convert_errno(error.errno)
            return found

        def stat(self, path: str) -> Any:
            try:
                return paramiko.SFTPAttributes.from_stat(self.place(path).stat())
            except OSError as error:
                return paramiko.SFTPServer.convert_errno(error.errno)

        lstat = stat

        def open(self, path: str, flags: int, attr: Any) -> Any:
            try:
                handle = Handle(flags)
                handle.readfile = self.place(path).open("rb")
            except OSError as error:
                return paramiko.SFTPServer.convert_errno(error.errno)
            return handle

    listening = socket.create_server(("127.0.0.1", 0))
    open_ones: list[Any] = [] if connections is None else connections

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listening.accept()
                transport = paramiko.Transport(connection)
                open_ones.append(transport)
                transport.add_server_key(host_key)
                transport.set_subsystem_handler("sftp", paramiko.SFTPServer, Files)
                with contextlib.suppress(Exception):
                    transport.start_server(server=Server())

    threading.Thread(target=serve, daemon=True).start()
    port = listening.getsockname()[1]
    (home / ".ssh").mkdir(parents=True)
    user_key.write_private_key_file(str(home / ".ssh" / "id_rsa"))
    known = f"[127.0.0.1]:{port} {host_key.get_name()} {host_key.get_base64()}\n"
    (home / ".ssh" / "known_hosts").write_text(known)
    (home / ".ssh" / "config").write_text(
        f"Host pictures\n HostName 127.0.0.1\n Port {port}\n User ann\n"
        f" IdentityFile {home}/.ssh/id_rsa\n"
    )
    try:
        yield f"sftp://ann@127.0.0.1:{port}"
    finally:
        listening.close()
        for each in open_ones:
            each.close()
