"""A small fake of the hub of Hugging Face, and an emulator of Google Cloud Storage.

The fake answers what huggingface_hub asks to list and read the data set "ann/birds", as its API
documents it. It is not the service: nothing of signing in, limits, or storage behind it is tried.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

from file_servers import Count

#: Entries of one page of a list.
PAGE = 3


class Hub:
    """The data set "ann/birds"; `count` says what was asked."""

    def __init__(self, url: str, count: Count, files: dict[str, bytes]) -> None:
        self.url, self.count, self.files = url, count, files

    def put(self, path: str, content: bytes) -> None:
        self.files[path] = content
        self.count.clear()


def _entry(path: str, content: bytes) -> dict[str, Any]:
    found = {"type": "file", "path": path, "size": len(content),
             "oid": hashlib.sha1(content).hexdigest()}  # fmt: skip
    if path.endswith(".parquet"):
        sha256 = hashlib.sha256(content).hexdigest()
        found["lfs"] = {"oid": sha256, "size": len(content), "pointerSize": 130}
    return found


@contextlib.contextmanager
def hub(monkeypatch: Any) -> Iterator[Hub]:
    """Serve the data set, and let this process find it where it looks for the hub."""
    import fsspec
    from huggingface_hub import constants

    count, files = Count(), dict[str, bytes]()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            count.requests.append((self.command, unquote(parts.path)))
            if status := count.fail(self.command, unquote(parts.path)):
                return self.reply(status, b"")
            about = "/api/datasets/ann/birds"
            if parts.path in (about, f"{about}/revision/main"):
                info = {"id": "ann/birds", "sha": "0" * 40, "private": False, "tags": []}
                return self.reply(200, json.dumps(info).encode())
            if parts.path.startswith(f"{about}/tree/main"):
                below = unquote(parts.path.removeprefix(f"{about}/tree/main")).strip("/")
                return self.tree(below, parse_qs(parts.query))
            asked = unquote(parts.path)
            if (path := asked.removeprefix("/datasets/ann/birds/resolve/main/")) in files:
                return self.file(files[path])
            missing = "EntryNotFound" if "ann/birds" in parts.path else "RepoNotFound"
            return self.reply(404, b"", X_Error_Code=missing)

        def tree(self, below: str, query: dict[str, list[str]]) -> None:
            inside = f"{below}/" if below else ""
            found = {path: _entry(path, files[path]) for path in files if path.startswith(inside)}
            if query.get("recursive", ["false"])[0].lower() != "true":
                for path in [path for path in found if "/" in path[len(inside) :]]:
                    del found[path]
                    folder = inside + path[len(inside) :].partition("/")[0]
                    found[folder] = {"type": "directory", "path": folder, "size": 0, "oid": "1"}
            if not found:
                return self.reply(404, b"", X_Error_Code="EntryNotFound")
            begin = int(query.get("cursor", ["0"])[0])
            page = [found[path] for path in sorted(found)][begin : begin + PAGE]
            more = {}
            if begin + PAGE < len(found):
                asked = "&".join(f"{name}={quote(each[0])}" for name, each in query.items()
                                 if name != "cursor")  # fmt: skip
                where = f"{url}{urlsplit(self.path).path}?{asked}&cursor={begin + PAGE}"
                more["Link"] = f'<{where}>; rel="next"'
            return self.reply(200, json.dumps(page).encode(), **more)

        def file(self, content: bytes) -> None:
            part = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
            etag = f'"{hashlib.sha1(content).hexdigest()}"'
            if part is None:
                return self.reply(200, content, ETag=etag)
            begin, end = int(part[1]), min(int(part[2]) + 1, len(content))
            where = f"bytes {begin}-{end - 1}/{len(content)}"
            return self.reply(206, content[begin:end], ETag=etag, Content_Range=where)

        def reply(self, status: int, content: bytes, **headers: str) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                with contextlib.suppress(ConnectionError):
                    self.wfile.write(content)
                    count.sent += len(content)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    # What HF_ENDPOINT does, which is read when the package is imported.
    monkeypatch.setitem(fsspec.config.conf, "hf", {"endpoint": url})
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    try:
        yield Hub(url, count, files)
    finally:
        server.shutdown()


class GoogleBucket:
    """The bucket "pictures" of the emulator."""

    def __init__(self, url: str) -> None:
        self.url = url

    def put(self, key: str, content: bytes) -> None:
        self._send("POST", f"upload/storage/v1/b/pictures/o?uploadType=media&name={quote(key)}",
                   content)  # fmt: skip

    def delete(self, key: str) -> None:
        self._send("DELETE", f"storage/v1/b/pictures/o/{quote(key, safe='')}")

    def _send(self, method: str, path: str, content: bytes | None = None) -> None:
        from urllib.request import Request, urlopen

        request = Request(f"{self.url}/{path}", content, method=method)
        request.add_header("Content-Type", "image/png")
        with urlopen(request, timeout=60):
            pass


@contextlib.contextmanager
def google(monkeypatch: Any) -> Iterator[GoogleBucket]:
    """Serve the bucket "pictures" by gcp-storage-emulator; this process signs in to nothing."""
    import fsspec
    from gcp_storage_emulator.server import create_server

    server = create_server("127.0.0.1", 0, in_memory=True, default_bucket="pictures")
    server.start()
    try:
        url = f"http://127.0.0.1:{server._api._httpd.server_port}"
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", url)
        monkeypatch.setitem(fsspec.config.conf, "gs", {"token": "anon"})
        yield GoogleBucket(url)
    finally:
        server.stop()
