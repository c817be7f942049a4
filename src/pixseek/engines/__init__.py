"""Engines store records with their vectors and find the nearest. `open_engine` picks one."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self, cast

from pixseek.errors import ConfigError, EngineError, PixseekError, unknown
from pixseek.redaction import is_address, redacted, scrub
from pixseek.types import Engine

#: Entry points of engines: the name is the scheme, the value a function that takes the URL.
GROUP = "pixseek.engines"
#: The same for servers that pixseek itself knows, by the scheme before "+http" or "+https".
SERVERS = {
    "elasticsearch": "pixseek.engines.elasticsearch:open_elasticsearch",
    "opensearch": "pixseek.engines.elasticsearch:open_elasticsearch",
    "escloud": "pixseek.engines.elasticsearch:open_elasticsearch",
    "milvus": "pixseek.engines.milvus:open_milvus",
    "qdrant": "pixseek.engines.qdrant:open_qdrant",
    "vespa": "pixseek.engines.vespa.store:open_vespa",
}
#: Those of which the client has a local mode, by "+file".
LOCAL = ("milvus", "qdrant")


def open_engine(url: str | Path, *, progress: Callable[[int, int], None] | None = None) -> Engine:
    """Open the engine that a URL or a path names.

    Args:
        url: a folder or `embedded:FOLDER` for the embedded engine, `postgresql://...`,
            `elasticsearch+https://HOST:9200/NAME` (or `opensearch+`, `escloud+`),
            `qdrant+https://HOST:6333/NAME` or `qdrant+file:///PATH` (or `milvus+`),
            `vespa+https://HOST:8080/NAME`, `memory://NAME` for a library that lasts as long as this
            process, or the URL of an engine that another package registers as an entry point.
        progress: called while the library of an older pixseek is brought up to date, with how many
            records are done, and how many there are; another package's engine does not call it.

    Raises:
        ConfigError: no engine has such a scheme, or it is a connection string and no URL.
        LibraryError: the embedded engine can't be opened.
        EngineError: the engine is out of reach, or its package can't be loaded.
        MissingExtraError: the engine needs a package that is not installed.
    """
    scheme = None if isinstance(url, Path) else _scheme(url)
    if scheme is None and is_address(str(url)):
        raise ConfigError(
            "not the URL of an engine", url, "Write it as postgresql://USER@HOST/DATABASE"
        )
    if scheme is None or scheme == "embedded":
        from pixseek.engines.embedded import open_embedded

        return open_embedded(url, progress=progress)
    if scheme == "memory":
        from pixseek.engines.memory import open_memory

        return open_memory(str(url))
    from importlib.metadata import EntryPoint, entry_points

    registered = {point.name: point for point in entry_points(group=GROUP)}
    for server, value in SERVERS.items():
        for protocol in ("http", "https", *(["file"] if server in LOCAL else [])):
            point = EntryPoint(f"{server}+{protocol}", value, GROUP)
            registered[point.name] = point
    name = "postgresql" if scheme == "postgres" else scheme
    if name not in registered:
        raise ConfigError(
            "unknown engine",
            scheme,
            unknown("engine", name, {*registered, "memory"})
            + " A folder whose name looks like a URL is written ./NAME",
        )
    try:
        opener = cast("Callable[..., Engine]", registered[name].load())
    except PixseekError:
        raise
    except Exception as error:  # whatever a third party's module raises on import
        raise EngineError("the engine can't be loaded", registered[name].value, str(error)) from (
            error
        )
    address = str(url)
    try:
        if name == "postgresql":
            return opener(address, progress=progress)
        engine = opener(address)
    except PixseekError as error:
        scrub(error, address)
        raise
    except Exception as error:
        scrub(error, address)
        raise EngineError("the engine can't be opened", address, str(error)) from error
    # Its package may quote its address in errors at any time.
    return engine if redacted(address) == address else cast("Engine", _Discreet(engine, address))


def absolute(url: str) -> str:
    """Return an address of an engine that means the same in every working folder."""
    scheme = _scheme(url)
    if scheme is None:
        return url if is_address(url) else os.path.abspath(url)
    if scheme == "embedded" and "://" not in url:
        return f"embedded:{os.path.abspath(url.removeprefix('embedded:'))}"
    return url


class _Discreet:
    """An engine of another package, out of whose errors the secrets of its address are taken."""

    def __init__(self, engine: Engine, address: str) -> None:
        self._engine, self._address = engine, address

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._engine, name)
        if not callable(found):
            return found

        def call(*arguments: Any, **named: Any) -> Any:
            with self._scrubbed():
                answer = found(*arguments, **named)
            return self._each(answer) if isinstance(answer, Iterator) else answer

        return call

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _each(self, answer: Iterator[Any]) -> Iterator[Any]:
        with self._scrubbed():
            yield from answer

    @contextlib.contextmanager
    def _scrubbed(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            scrub(error, self._address)
            raise


def _scheme(url: str) -> str | None:
    """Return the scheme of a URL in lower case; None for a path.

    One letter is a Windows drive. Before a lone colon only "embedded" is taken as a scheme, since
    a folder may be called "photos: 2024".
    """
    found = re.match(r"([A-Za-z][A-Za-z0-9+.-]+)://", url)
    if found:
        return found[1].lower()
    return "embedded" if url.startswith("embedded:") else None
