"""A fake of Vespa's HTTP interface for tests: documents in a dictionary, queries by exact scans.

It is not Vespa. It was built from Vespa's documentation of `/document/v1` and `/search/`: what they
take, how they answer, and how they refuse (429, 412, 507, timeouts, answers of a part of the data).
It shows nothing about a content node's index, ranking, speed or durability, which no test has seen.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
import ssl
import threading
import time
import urllib.parse
import zipfile
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
from fake_vespa_yql import BadQueryError, Parser, Query, bm25, closeness, groups, sort_key

from pixseek.engines.vespa import schema
from pixseek.engines.vespa.schema import Slot, VectorType

#: Among the answers of a fake: this request is answered as usual.
_GOES_ON = 200
_CONDITION = re.compile(r"(\w+)\.(\w+) == (null|\d+)")


class FakeVespa:
    """What a test sets and sees.

    Attributes:
        url: of the server, as http or https.
        token: what requests must be authorised by; "" for nothing.
        answers: what the next requests get instead of an answer: statuses, each with an error.
        refused: ids of documents that make a write a bad request.
        full: ids of documents for which there is no space.
        raw, raw_status: what every request is answered; b"" for nothing.
        drops: how many of the next connections are closed without an answer.
        partial: whether queries are answered from a part of the data.
        delay_s: how long each answer takes.
        is_reversed: whether searches find the farthest instead of the nearest.
        deploys: whether a model that is asked for is deployed at once, which no Vespa does.
        matched: how many documents fulfilled queries, in all.
        requests: the methods and paths of all requests.
        queries: bodies of queries, one of each shape.
        feeds: operations on documents, as lines of a feed, one of each shape.
    """

    def __init__(self, types: dict[str, dict[str, str]]) -> None:
        """Start with an application: the types of fields of each document type."""
        self.url = ""
        self.token = ""
        self.answers: list[tuple[int, str]] = []
        self.refused: set[str] = set()
        self.full: set[str] = set()
        self.raw = b""
        self.raw_status = 404
        self.drops = 0
        self.partial = False
        self.delay_s = 0.0
        self.is_reversed = False
        self.deploys = False
        self.matched = 0
        self.requests: list[str] = []
        self.queries: dict[str, dict[str, Any]] = {}
        self.feeds: dict[str, dict[str, Any]] = {}
        self.types = types
        self._summaries: dict[str, set[str]] = {}
        self.documents: dict[str, dict[str, dict[str, Any]]] = {name: {} for name in types}
        self._turn = threading.Lock()
        self._numbers = 0

    def deploy(self, name: str, slot: Slot, type_: VectorType = "bfloat16") -> None:
        """Give a document type the fields of a model."""
        self.types[name] |= {each.name: each.type for each in slot.fields(type_, schema.Hnsw())}
        self._summaries[slot.with_record] = {"id", slot.record, slot.version}
        self._summaries[slot.with_vectors] = {"id", slot.vectors}
        self._summaries[slot.whole] = {"id", slot.record, slot.version, slot.vectors}

    def answer(self, method: str, target: str, token: str, body: Any) -> tuple[int, Any]:
        path, _, query = target.partition("?")
        if path.startswith("/application/v2/"):
            return self._application(method, body)
        with self._turn:
            self.requests.append(f"{method} {path}")
        time.sleep(self.delay_s)
        if self.raw:
            return 404, {}
        if self.token and token != f"Bearer {self.token}":
            return 401, {"message": "Unauthorized"}
        with self._turn:
            if self.answers:
                status, said = self.answers.pop(0)
                if status != _GOES_ON:
                    return status, {"message": said}
            if path == "/search/":
                return self._search(body)
            params = dict(urllib.parse.parse_qsl(query))
            if path == "/document/v1/":
                return self._visit(params)
            return self._document(method, path.split("/")[3:], params, body)

    def _application(self, method: str, package: bytes) -> tuple[int, Any]:
        """Answer as a config server: deploy a package, or say whether there is an application."""
        if method == "GET":
            return (200 if self.types else 404), {}
        with zipfile.ZipFile(io.BytesIO(package)) as archive:
            recipe = json.loads(archive.read("pixseek.json"))
            name = recipe["name"]
            for needed in (f"schemas/{name}.sd", f"schemas/{name}_library.sd", "services.xml"):
                archive.getinfo(needed)
        slots = [Slot(each["slot"], each["dim"]) for each in recipe["models"]]
        made = application(name, slots, recipe["type"])
        self.types, self._summaries, self.documents = made.types, made._summaries, made.documents
        return 200, {"message": "Session 2 for tenant 'default' prepared and activated."}

    # -------------------------------------------------------------- documents

    def _document(
        self, method: str, path: list[str], params: dict[str, str], body: Any
    ) -> tuple[int, Any]:
        namespace, type_, docid, *rest = map(urllib.parse.unquote, path)
        if docid != "docid":
            assert docid == "group"
            rest = [f"g={rest[0]}:{rest[1]}"]
        if type_ not in self.documents:
            return 400, {"message": f"Document type {type_} does not exist"}
        stored = self.documents[type_]
        (place,) = rest
        now = stored.get(place)
        told = {"id": f"id:{namespace}:{type_}::{place}", "pathId": "/".join(path)}
        if method == "GET":
            shown = {} if now is None else {"fields": _shown(now)}
            return (404 if now is None else 200), {**told, **shown}
        self._note_feed(method, told["id"], params, body)
        create = params.get("create") == "true"
        if "condition" in params and not _fulfils(now, type_, params["condition"], create=create):
            return 412, {**told, "message": "The condition does not match the document"}
        if method == "DELETE":
            stored.pop(place, None)
            return 200, told
        try:
            changes = {
                name: self._value(type_, name, change["assign"])
                for name, change in body["fields"].items()
            }
        except (ValueError, TypeError, KeyError, IndexError) as error:
            return 400, {**told, "message": str(error)}
        if place in self.refused:
            return 400, {**told, "message": "this one"}
        if place in self.full:
            return 507, {**told, "message": "External feed is blocked: disk on node 0"}
        if now is not None or create:
            if now is None:
                self._numbers += 1
                now = {"#": self._numbers}
            now = {**now, **changes, **self._signs(type_, changes)}
            stored[place] = {name: value for name, value in now.items() if value is not None}
        return 200, told

    def _note_feed(self, method: str, id_: str, params: dict[str, str], body: Any) -> None:
        operation: dict[str, Any] = {"remove" if method == "DELETE" else "update": id_}
        operation |= {"create": True} if "create" in params else {}
        operation |= {"condition": params["condition"]} if "condition" in params else {}
        if body is not None:
            operation |= body
        filled = [
            name for name, each in (body or {"fields": {}})["fields"].items() if each["assign"]
        ]
        shape = re.sub(r"\d+", "0", params.get("condition", "")), sorted(params), filled
        self.feeds.setdefault(f"{method} {shape}", operation)

    def _signs(self, type_: str, changes: dict[str, Any]) -> dict[str, Any]:
        """Return what is computed from vectors: "binarize | pack_bits"."""
        found = {}
        for name, value in changes.items():
            derived = name.replace("vector_", "signs_").replace("more_", "moresigns_")
            if derived != name and derived in self.types[type_]:
                found[derived] = None if value is None else np.packbits(value > 0, axis=-1)
        return found

    def _value(self, type_: str, name: str, value: Any) -> Any:
        """Return a value as it is stored; ValueError if the field can't hold it."""
        kind = self.types[type_].get(name)
        if kind is None:
            raise ValueError(f"No field '{name}' in the structure of type '{type_}'")
        if value is None:
            return None
        if kind.startswith("tensor"):
            return _tensor(kind, value)
        wanted = {
            "string": str, "long": int, "int": int, "double": float | int, "bool": bool,
            "position": dict,
        }.get(kind, list if kind.startswith("array") else dict)  # fmt: skip
        if not isinstance(value, wanted):  # type: ignore[arg-type]
            raise ValueError(f"{name}: {value!r} is no {kind}")
        if kind in ("long", "int") and not -(2 ** (63 if kind == "long" else 31)) < value < 2**63:
            raise ValueError(f"{name}: {value} is out of range")
        _check_text(value)
        return value

    def _visit(self, params: dict[str, str]) -> tuple[int, Any]:
        type_ = params["selection"]
        if type_ not in self.documents:
            return 400, {"message": f"Document type {type_} does not exist"}
        stored = self.documents[type_]
        ids, begin = sorted(stored), int(params.get("continuation", "0"))
        some = ids[begin : begin + min(7, int(params["wantedDocumentCount"]))]
        documents = [
            {"id": _whole_id(type_, each), "fields": _shown(stored[each])} for each in some
        ]
        end = begin + len(some)
        more = {"continuation": str(end)} if end < len(ids) else {}
        told = {"pathId": "/document/v1/", "documents": documents, "documentCount": len(some)}
        return 200, {**told, **more}

    # -------------------------------------------------------------- queries

    def _search(self, body: dict[str, Any]) -> tuple[int, Any]:
        try:
            source = re.search(r"from (\w+)", body["yql"])
            type_ = source[1] if source else ""
            if type_ not in self.types:
                raise BadQueryError(f"Could not resolve source ref '{type_}'")
            near = re.search(r"nearestNeighbor\(vector_(\w+), q\)", body["yql"])
            if near and self.deploys:
                self.deploy(type_, Slot(near[1], len(body["input.query(q)"])))
            fields = self.types[type_]
            query = Parser(body["yql"], body, fields).query()
            root = self._found(query, fields, body)
        except BadQueryError as error:
            errors = [{"code": 4, "summary": "Invalid query parameter", "message": str(error)}]
            return 400, {"root": {"id": "toplevel", "relevance": 1.0, "errors": errors}}
        shape = re.sub(r"-?\d[\d.]*(e[+-]\d+)?", "0", body["yql"]), body.get("ranking.profile")
        self.queries.setdefault(str(shape), body)
        return 200, {"root": root}

    def _found(self, query: Query, fields: dict[str, str], body: dict[str, Any]) -> dict[str, Any]:
        every = list(self.documents[query.source].values())
        for near in query.near:  # which match whatever fits the rest of the query
            near.found.update((doc["#"], 0.0) for doc in every)
        matches = [doc for doc in every if query.test(doc)]
        for near in query.near:
            _check_tensor(fields[near.field], body[f"input.query({near.tensor})"])
            scores = closeness(matches, near.field, body[f"input.query({near.tensor})"])
            near.found.clear()
            ranked = sorted(scores.items(), key=lambda each: -each[1], reverse=self.is_reversed)
            near.found.update(ranked[: near.hits])
        if query.near:
            matches = [doc for doc in every if query.test(doc)]
        self.matched += len(matches)
        root: dict[str, Any] = {
            "id": "toplevel", "relevance": 1.0, "fields": {"totalCount": len(matches)},
            "coverage": self._coverage(len(every)),
        }  # fmt: skip
        if query.group is not None:
            field, most = query.group
            counts = groups(matches, field, fields[field], most)
            each = [
                {"id": f"group:string:{value}", "value": value, "fields": {"count()": count}}
                for value, count in counts.items()
            ]
            root["children"] = [
                {"id": "group:root:0", "children": [{"id": f"grouplist:{field}", "children": each}]}
            ]
            return root
        relevance = self._relevance(query, every, matches, body)
        matches.sort(key=lambda doc: -relevance[doc["#"]])
        for field, descending in reversed(query.order):
            matches.sort(key=lambda doc: sort_key(doc, field, fields[field]), reverse=descending)
        hits, offset = int(body.get("hits", 10)), int(body.get("offset", 0))
        if hits > schema.MAX_HITS or offset > schema.MAX_OFFSET:
            raise BadQueryError(f"{hits} hits, {offset} offset requested, over the limit")
        summary = body.get("presentation.summary", "default")
        if summary not in self._summaries and summary != "default":
            raise BadQueryError(f"invalid presentation.summary: {summary}")
        shown = self._summaries.get(summary)
        places = {doc["#"]: place for place, doc in self.documents[query.source].items()}
        root["children"] = [
            {
                "id": f"index:{query.source}/0/{doc['#']}",
                "relevance": relevance[doc["#"]],
                "source": query.source,
                "fields": {
                    "documentid": _whole_id(query.source, places[doc["#"]]),
                    **{n: v for n, v in _shown(doc).items() if shown is None or n in shown},
                },
            }
            for doc in matches[offset : offset + hits]
        ]
        return root

    def _coverage(self, documents: int) -> dict[str, Any]:
        if not self.partial:
            return {"coverage": 100, "documents": documents, "full": True, "nodes": 1}
        return {
            "coverage": 50, "documents": documents // 2, "full": False, "nodes": 1,
            "degraded": {"match-phase": False, "timeout": True, "non-ideal-state": False},
        }  # fmt: skip

    def _relevance(
        self, query: Query, every: Sequence[Any], matches: Sequence[Any], body: dict[str, Any]
    ) -> dict[int, float]:
        profile = body.get("ranking.profile", "default")
        if profile == "words":
            strong, weak = (
                bm25(every, field, [word for at, word in query.terms if at == field])
                for field in ("stems_strong", "stems_weak")
            )
            return {doc["#"]: 2 * strong[doc["#"]] + weak[doc["#"]] for doc in matches}
        return {
            doc["#"]: max((near.found.get(doc["#"], 0.0) for near in query.near), default=0.0)
            for doc in matches
        }


def _fulfils(now: dict[str, Any] | None, type_: str, condition: str, *, create: bool) -> bool:
    """Return whether a stored document fulfils a selection; a missing one if it may be made."""
    if now is None:
        return create
    for each in condition.split(" and "):
        found = _CONDITION.fullmatch(each)
        assert found is not None and found[1] == type_, condition
        if now.get(found[2]) != (None if found[3] == "null" else int(found[3])):
            return False
    return True


def _whole_id(type_: str, place: str) -> str:
    """Return the id of a document by its place, which may begin with a group: "g=NAME:"."""
    return f"id:{type_}:{type_}:{'' if place.startswith('g=') else ':'}{place}"


def _shown(document: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value if not isinstance(value, np.ndarray) else {"values": value.tolist()}
        for name, value in document.items()
        if name != "#"
    }


def _check_text(value: Any) -> None:
    for text in value if isinstance(value, list | dict) else [value]:
        if isinstance(text, str) and re.search(
            "[\x00-\x08\x0b\x0c\x0e-\x1f\ufdd0-\ufdef\ufffe\uffff]", text
        ):
            raise ValueError("The string field value contains illegal code point")


def _tensor(kind: str, value: Any) -> Any:
    rows = value["values"] if "values" in value else list(value["blocks"].values())
    array = np.asarray(rows, np.float32)
    _check_tensor(kind, array[0] if "part{}" in kind else array)
    if "bfloat16" in kind:
        array = (array.view(np.uint32) & 0xFFFF0000).view(np.float32)
    return array


def _check_tensor(kind: str, row: Any) -> None:
    size = re.search(r"x\[(\d+)\]", kind)
    if size is None or len(row) != int(size[1]):
        raise BadQueryError(f"Tensor type {kind} does not fit {len(row)} values")


def application(name: str, slots: Sequence[Slot], type_: VectorType = "bfloat16") -> FakeVespa:
    """Return a server with an application that pixseek made, and nothing in it."""
    fields = {field.name: field.type for field in schema.RECORD}
    about = {field.name: field.type for field in schema.LIBRARY}
    fake = FakeVespa({name: fields, schema.library_of(name): about})
    for slot in slots:
        fake.deploy(name, slot, type_)
    return fake


@contextlib.contextmanager
def serving(fake: FakeVespa, context: ssl.SSLContext | None = None) -> Iterator[FakeVespa]:
    """Run a fake on a free port of this machine, by TLS if there is a context."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _any(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            content = self.rfile.read(length)
            if fake.drops:
                fake.drops -= 1
                self.close_connection = True
                return
            is_json = "json" in (self.headers.get("content-type") or "")
            body = json.loads(content) if is_json and content else content
            token = self.headers.get("authorization") or ""
            status, found = (
                (fake.raw_status, {})
                if fake.raw
                else fake.answer(self.command, self.path, token, body)
            )
            text = fake.raw or json.dumps(found).encode()
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
        request_queue_size = 128  # a client connects 16 times at once; 5 are too few under load
        disable_nagle_algorithm = True

        def handle_error(self, *_: Any) -> None:
            pass  # clients that do not trust the certificate hang up

    Handler.disable_nagle_algorithm = True
    Handler.wbufsize = -1
    server = Quiet(("127.0.0.1", 0), Handler)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    fake.url = f"http{'s' if context else ''}://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield fake
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def trusting(cert: Path, authority: Path | None = None) -> ssl.SSLContext:
    """Return the TLS of a server with a certificate; clients need one if there is an authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert)
    if authority is not None:
        context.load_verify_locations(authority)
        context.verify_mode = ssl.CERT_REQUIRED
    return context
