"""A server on this machine that answers like the Hugging Face hub, and fails on demand.

It answers the requests of huggingface_hub: to fetch a file, HEAD and GET of
/REPO/resolve/REVISION/PATH, with ETag, X-Repo-Commit, Content-Length and ranges; to list the
files, GET of /api/models/REPO and /api/models/REPO/revision/REVISION.
"""

from __future__ import annotations

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


class Hub:
    """Serves `files`, by path, of the repository `repo` at `revision`.

    Attributes:
        requests: the requests: method, path, and the range or "".
        cut_after: bytes after which a connection is cut, once for each file.
        stall_after: bytes after which a connection stalls, once for each file.
        stalled: set once that has happened.
        slow_s: seconds to wait before each file's content.
        page: more about the repository: `cardData` with its licence, `config`.
    """

    def __init__(self, repo: str, revision: str, files: dict[str, bytes]) -> None:
        self.files = {f"/{repo}/resolve/{revision}/{path}": c for path, c in files.items()}
        self.revision = revision
        self.requests: list[tuple[str, str, str]] = []
        self.cut_after: dict[str, int] = {}
        self.stall_after: dict[str, int] = {}
        self.stalled = threading.Event()
        self._ended = threading.Event()
        self.slow_s = 0.0
        self.page: dict[str, Any] = {}
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_HEAD(self) -> None:
                self._answer(body=False)

            def do_GET(self) -> None:
                self._answer(body=True)

            def _answer(self, *, body: bool) -> None:
                path = self.path.partition("?")[0]
                asked = self.headers.get("Range", "")
                hub.requests.append((self.command, path, asked))
                content = hub.files.get(path)
                if path.startswith(f"/api/models/{repo}"):
                    content = hub.listing(files)
                if content is None:
                    self.send_response(404)
                    self.send_header("X-Error-Code", "EntryNotFound")
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                start = int(asked.removeprefix("bytes=").partition("-")[0]) if asked else 0
                self.send_response(206 if asked else 200)
                self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
                self.send_header("X-Repo-Commit", hub.revision)
                self.send_header("Accept-Ranges", "bytes")
                self.send_header("Content-Length", str(len(content) - start))
                if asked:
                    whole = len(content)
                    self.send_header("Content-Range", f"bytes {start}-{whole - 1}/{whole}")
                self.end_headers()
                if not body:
                    return
                if hub.slow_s:
                    threading.Event().wait(hub.slow_s)
                name = path.rpartition("/")[2]
                stall = hub.stall_after.pop(name, None)
                cut = hub.cut_after.pop(name, stall)
                self.wfile.write(content[start:cut])
                if stall is not None:
                    self.wfile.flush()
                    threading.Event().wait(0.3)  # so that the client stores the bytes it got
                    hub.stalled.set()
                    hub._ended.wait(30)
                if cut is not None:
                    self.wfile.flush()
                    self.close_connection = True

            def log_message(self, *args: Any) -> None:
                """Keep quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def listing(self, files: dict[str, bytes]) -> bytes:
        """Return the hub's list of the repository's files; large files have digests."""
        siblings: list[dict[str, Any]] = []
        for path, content in files.items():
            siblings.append({"rfilename": path, "size": len(content)})
            if path.endswith(".onnx"):
                digest = hashlib.sha256(content).hexdigest()
                siblings[-1]["lfs"] = {"sha256": digest, "size": len(content), "pointerSize": 1}
        whole = {"id": "a/b", "sha": self.revision, "siblings": siblings} | self.page
        return json.dumps(whole).encode()

    def got(self, name: str) -> list[str]:
        """Return the ranges of the requests for a file's content."""
        return [
            r for method, path, r in self.requests if method == "GET" and path.endswith(f"/{name}")
        ]

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._server.shutdown()
        self._server.server_close()
