"""Which server answers at an address, if it is not the one that the scheme names.

Asked only after a server gave an answer that can't be its own. One request goes to it, without
user, password, key or name of a library.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import ssl
from pathlib import Path
from typing import Any

from pixseek.engines.remote import Remote
from pixseek.errors import EngineError

#: Seconds for each step, and bytes of an answer that are looked at.
_PATIENCE_S, _MOST_BYTES = 3.0, 1 << 16
#: Whether the server speaks TLS: the first bytes of any conversation with PostgreSQL.
_SSL_REQUEST = bytes.fromhex("0000000804d2162f")
#: The names of servers by their scheme, each with its usual port.
_NAMES = {
    "elasticsearch": ("Elasticsearch", 9200),
    "opensearch": ("OpenSearch", 9200),
    "escloud": ("ESCloud", 9200),
    "qdrant": ("Qdrant", 6333),
    "milvus": ("Milvus", 19530),
    "postgresql": ("PostgreSQL", 5432),
}


def mistaken(
    expected: str,
    subject: str,
    place: tuple[str, int],
    *,
    name: str = "NAME",
    secure: bool = False,
    ca: Path | None = None,
    known: bool = False,
) -> EngineError | None:
    """Return the error of an address at which another server answers than its scheme names.

    Args:
        expected: the scheme, without what stands behind a "+".
        subject: the address without secrets.
        place: host and port.
        name: of the library there.
        secure: whether it is reached by TLS.
        ca: a file with the certificates of an authority.
        known: whether to say nothing of a web server that can't be told.

    Returns:
        None if it is that server, or can't be told.
    """
    with contextlib.suppress(OSError, ValueError, http.client.HTTPException):
        found, more = _found_at(place, secure=secure, ca=ca)
        if found in ("grpc", "web") and (known or expected == "milvus"):
            return None  # Milvus speaks both
        if found and found != expected:
            return _error(expected, subject, place, name, secure, found, more)
    return None


def mistaken_for(remote: Remote, *, known: bool = False) -> EngineError | None:
    """Return `mistaken` for the first host of an address.

    Args:
        remote: the address.
        known: whether to say nothing of a web server that can't be told.
    """
    return mistaken(
        remote.engine,
        remote.shown,
        remote.hosts[0],
        name=remote.name,
        secure=remote.secure,
        ca=remote.options.get("ca"),
        known=known,
    )


def _error(
    expected: str,
    subject: str,
    place: tuple[str, int],
    name: str,
    secure: bool,
    found: str,
    more: str,
) -> EngineError:
    wanted, port = _NAMES.get(expected, (expected, 0))
    host = f"[{place[0]}]" if ":" in place[0] else place[0]
    at = f"{host}:{place[1]}"
    usual = (
        f"The usual port of {wanted} is {port}" if port and port != place[1] else "Check the host"
    )
    if found == "postgresql":
        advice = f"PostgreSQL answers there. Write postgresql://USER@{at}/DATABASE. {usual}."
    elif found in _NAMES:
        other = f"{found}+http{'s' * secure}://{at}/{name}"
        advice = f"{_NAMES[found][0]} answers there. Write {other}. {usual}."
    elif found == "grpc":
        advice = (
            "A server answers there that speaks gRPC alone: Milvus (milvus+http://), or Qdrant, "
            f"whose port for HTTP is another (6333). {usual}."
        )
    elif expected == "postgresql":
        advice = f"A web server answers there{more and f' ({more})'}. {usual}."
    else:
        return EngineError(
            f"the server does not answer as {wanted} does",
            subject,
            f"A web server{more and f' ({more})'} answers there: another one, or a proxy. {usual}.",
        )
    return EngineError(f"the server is not {wanted}", subject, advice)


def _found_at(place: tuple[str, int], *, secure: bool, ca: Path | None) -> tuple[str, str]:
    """Return the scheme of the server at a place, "grpc", "web", or "" for unknown; and its name.

    Raises:
        OSError, ValueError, HTTPException: it does not answer.
    """
    connection: http.client.HTTPConnection
    if secure:
        trusting = ssl.create_default_context(cafile=None if ca is None else str(ca))
        connection = http.client.HTTPSConnection(*place, timeout=_PATIENCE_S, context=trusting)
    else:
        connection = http.client.HTTPConnection(*place, timeout=_PATIENCE_S)
    try:
        connection.request("GET", "/", headers={"accept": "application/json"})
        answer = connection.getresponse()
        headers = {key.lower(): value for key, value in answer.getheaders()}
        return _told(headers, answer.read(_MOST_BYTES))
    except http.client.BadStatusLine as error:
        # HTTP/2 begins with a frame of settings.
        if str(error.args[0]).startswith("\0\0"):
            return "grpc", ""
    except (http.client.HTTPException, ConnectionError):
        pass
    finally:
        connection.close()
    with socket.create_connection(place, _PATIENCE_S) as asked:
        asked.sendall(_SSL_REQUEST)
        return ("postgresql" if asked.recv(1) in (b"S", b"N") else ""), ""


def _told(headers: dict[str, str], body: bytes) -> tuple[str, str]:
    """Return what an answer to `GET /` says about its server."""
    said: Any = None
    with contextlib.suppress(ValueError):
        said = json.loads(body)
    said = said if isinstance(said, dict) else {}
    version = said.get("version")
    if isinstance(version, dict):
        if version.get("distribution") == "opensearch":
            return "opensearch", ""
        # Only Elasticsearch from 7.14 on names itself in a header.
        if "x-elastic-product" not in headers and str(version.get("number")).startswith("7.10."):
            return "escloud", ""
    asks = headers.get("www-authenticate", "")
    if "x-elastic-product" in headers or 'realm="security"' in asks or "tagline" in said:
        return "elasticsearch", ""
    if "OpenSearch" in asks or ("error" in said and type(said.get("status")) is int):
        return "opensearch", ""
    if "qdrant" in str(said.get("title", "")).lower():
        return "qdrant", ""
    return "web", headers.get("server", "")[:60]
