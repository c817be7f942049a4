"""A server of pictures on this machine, whose faults a test chooses."""

from __future__ import annotations

import contextlib
import io
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from PIL import Image


def png(colour: str = "red") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (24, 16), colour).save(buffer, "PNG")
    return buffer.getvalue()


PNG = png()


Answer = Callable[["Handler"], None]


class Web(ThreadingHTTPServer):
    """A server on this machine; each path answers by a function, and is counted."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: dict[str, Answer] = {}
        self.counts: Counter[str] = Counter()
        self.sent: Counter[str] = Counter()  # bytes of bodies
        self.seen: list[tuple[str, dict[str, str]]] = []
        self.lock = threading.Lock()
        self.now = self.most = self.connections = 0

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.server_port}{path}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Web

    def setup(self) -> None:
        super().setup()
        with self.server.lock:
            self.server.connections += 1

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        web = self.server
        with web.lock:
            web.counts[self.path] += 1
            web.seen.append((self.path, {k.lower(): v for k, v in self.headers.items()}))
            web.now += 1
            web.most = max(web.most, web.now)
        try:
            web.answers.get(self.path, lambda to: reply(to, b"", 404))(self)
        except OSError:
            self.close_connection = True
        finally:
            with web.lock:
                web.now -= 1


def reply(to: Handler, content: bytes = PNG, status: int = 200, **headers: object) -> None:
    to.send_response(status)
    headers.setdefault("Content_Length", len(content))
    for name, value in headers.items():
        to.send_header(name.replace("_", "-"), str(value))
    to.end_headers()
    to.wfile.write(content)
    with to.server.lock:
        to.server.sent[to.path] += len(content)


def always(*args: Any, **headers: object) -> Answer:
    return lambda to: reply(to, *args, **headers)


@contextlib.contextmanager
def serving() -> Iterator[Web]:
    """Run a server as long as the block."""
    with Web() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
