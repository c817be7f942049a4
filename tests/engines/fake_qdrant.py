"""A fake of Qdrant's HTTP API for tests: it answers by the local mode of the client.

It is no Qdrant: it shows that requests go over HTTP as the vendor's own models read them, and how
addresses, keys, certificates, timeouts and errors of a server are dealt with. It shows nothing
about a server's index, speed or durability.
"""

from __future__ import annotations

import contextlib
import json
import ssl
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from qdrant_client import QdrantClient
from qdrant_client.http import models


class FakeQdrant:
    """What a test sets and sees.

    Attributes:
        url: of the server, as http or https.
        key: the API key that requests must have; "" for none.
        answers: what the next requests get instead of an answer: statuses, each with an error.
        refused: ids of records that make a write a bad request.
        delay_s: how long each answer takes.
        requests: the methods and paths of all requests.
    """

    def __init__(self) -> None:
        self.url = ""
        self.key = ""
        self.answers: list[tuple[int, str]] = []
        self.refused: set[str] = set()
        self.delay_s = 0.0
        self.requests: list[str] = []
        self._client = QdrantClient(":memory:")
        self._turn = threading.Lock()

    def delete_collection(self, end: str) -> None:
        """Delete the collection whose name ends so, as somebody may do by hand."""
        with self._turn:
            (name,) = (
                each.name
                for each in self._client.get_collections().collections
                if each.name.endswith(end)
            )
            self._client.delete_collection(name)

    def answer(self, method: str, path: str, key: str, body: Any) -> tuple[int, Any]:
        self.requests.append(f"{method} {path}")
        time.sleep(self.delay_s)
        if self.key and key != self.key:
            return 401, "Must provide an API key or an Authorization bearer token"
        if self.answers:
            return self.answers.pop(0)
        with self._turn:
            try:
                return 200, self._done(method, path.partition("?")[0].strip("/").split("/"), body)
            except ValueError as error:
                return (404 if "not found" in str(error) else 400), str(error)

    def _done(self, method: str, path: list[str], body: Any) -> Any:
        name, what = path[1], "/".join(path[2:])
        client: Any = self._client
        match method, what:
            case "GET", "exists":
                return {"exists": client.collection_exists(name)}
            case "GET", "":
                return client.get_collection(name)
            case "PUT", "":
                if client.collection_exists(name):
                    raise ValueError(f"Collection `{name}` already exists!")
                about = models.CreateCollection.model_validate(body)
                several = {"vectors_config": about.vectors, "quantization_config": None}
                return client.create_collection(
                    name, **several, sparse_vectors_config=about.sparse_vectors
                )
            case "DELETE", "":
                return client.delete_collection(name)
            case "PUT", "index":
                models.CreateFieldIndex.model_validate(body)
                return {"operation_id": 1, "status": "completed"}
            case "PUT", "points":
                points = models.PointsList.model_validate(body).points
                if any(point.payload.get("id") in self.refused for point in points):
                    raise ValueError("Wrong input: this one")
                return client.upsert(name, points)
            case "POST", "points":
                asked = models.PointRequest.model_validate(body)
                return client.retrieve(
                    name, asked.ids, with_payload=asked.with_payload, with_vectors=False
                )
            case "POST", "points/delete":
                return client.delete(name, models.PointIdsList.model_validate(body))
            case "POST", "points/scroll":
                asked = models.ScrollRequest.model_validate(body)
                points, following = client.scroll(
                    name, asked.filter, asked.limit, asked.order_by, asked.offset,
                    with_payload=asked.with_payload,
                )  # fmt: skip
                return {"points": points, "next_page_offset": following}
            case "POST", "points/count":
                return client.count(name, models.CountRequest.model_validate(body).filter)
            case "POST", "points/query":
                asked = models.QueryRequest.model_validate(body)
                return client.query_batch_points(name, [asked])[0]
            case "POST", "points/query/batch":
                asked = models.QueryRequestBatch.model_validate(body)
                return client.query_batch_points(name, asked.searches)
            case "POST", "facet":
                asked = models.FacetRequest.model_validate(body)
                return client.facet(name, asked.key, asked.filter, asked.limit)
        raise AssertionError(f"the fake knows no {method} {path}")


@contextlib.contextmanager
def serving(cert: Path | None = None) -> Iterator[FakeQdrant]:
    """Run the fake on a free port of this machine, by TLS if there is a certificate with key."""
    fake = FakeQdrant()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _any(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            key = self.headers.get("api-key") or ""
            status, found = fake.answer(self.command, self.path, key, body)
            said = {"result": found} if status == 200 else {"status": {"error": found}}
            text = json.dumps({"status": "ok", "time": 0, **said}, default=_plain).encode()
            with contextlib.suppress(OSError):  # the client did not wait
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

        do_GET = do_PUT = do_POST = do_DELETE = _any

        def log_message(self, *_: Any) -> None:
            pass

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: Any) -> None:
            pass  # clients that do not trust the certificate hang up

    server = Quiet(("127.0.0.1", 0), Handler)
    if cert is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    fake.url = f"http{'s' if cert else ''}://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield fake
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _plain(value: Any) -> Any:
    return value.model_dump(mode="json", exclude_none=True)
