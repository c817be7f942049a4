"""Images on the web that users name one by one, in a library: one root has the URLs of all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from pixseek.errors import PixseekError, SourceError
from pixseek.library.named_paths import shown
from pixseek.library.nested_roots import pattern_of
from pixseek.storage.ledger import Ledger
from pixseek.types import Engine, Failure, Recognised, Root, record_id

KIND = "urls"
#: URLs of one library: they are kept in its settings, and more belong into a file.
MOST = 10_000
#: Reasons of failures that say that a file is not an image, and not that it is a broken one.
NOT_IMAGES = frozenset({"not-an-image", "empty", "missing", "bad-name"})


def take(given: str, others: list[Recognised], failures: list[Failure]) -> None:
    """Add what a URL in a list of files is, or why it can't be used."""
    from pixseek.sources import recognise

    try:
        found = recognise(given)
    except PixseekError as error:
        failures.append(Failure(shown(given), "scan", "no-permission", error.problem, error.advice))
        return
    if found is not None:
        others.append(found)
        return
    failures.append(
        Failure(shown(given), "scan", "missing", "Nothing here reads such a URL",
                "Name an image: https://example.org/lake.jpg")
    )  # fmt: skip


def joined(found: Iterable[Recognised]) -> list[Recognised]:
    """Return what users named, with all URLs of images as one."""
    named = list(found)
    urls = [url for each in named if each.kind == KIND for url in each.options[KIND]]
    first = next((each for each in named if each.kind == KIND), None)
    others = [each for each in named if each.kind != KIND]
    if first is None:
        return others
    return [*others, replace(first, options={**first.options, KIND: urls})]


def extended(root: Root, found: Recognised) -> Root:
    """Return a root as it was named again: its URLs are added to, and no longer excluded.

    Raises:
        SourceError: that makes too many URLs.
    """
    options = {**root.options, **found.options}
    if root.kind != KIND:
        return replace(root, where=found.where, options=options)
    from pixseek.sources.row_index import key_of_url

    urls = list(dict.fromkeys((*root.options.get(KIND, ()), *found.options[KIND])))
    if len(urls) > MOST:
        raise SourceError(
            f"More than {MOST:,} URLs are named one by one", urls[-1],
            "Write them into a file, one a line, and name that: pixseek index urls.txt",
        )  # fmt: skip
    wanted = {pattern_of(key_of_url(url)) for url in found.options[KIND]}
    exclude = tuple(each for each in root.exclude if each not in wanted)
    return replace(root, options={**options, KIND: urls}, exclude=exclude)


def fetched_so(root: Root, options: Mapping[str, Any]) -> Root:
    """Return a root with those of some options that say how its URLs are fetched."""
    if root.kind not in ("table", "dataset", KIND):
        return root
    said = {name: value for name, value in options.items() if name in ("keep", "robots")}
    return replace(root, options={**root.options, **said})


def alive(root: Root, ledger: Ledger, engine: Engine) -> Root:
    """Return a root without the URLs that never led to an image, and forget their failures."""
    from pixseek.sources.row_index import key_of_url

    failed = [f.uri for f in ledger.failures(f"{root.name}/") if f.reason in NOT_IMAGES]
    records = engine.get([record_id(uri) for uri in failed])
    dead = {uri for uri, record in zip(failed, records, strict=True) if record is None}
    ledger.clear_failures(dead)
    urls = [url for url in root.options[KIND] if f"{root.name}/{key_of_url(url)}" not in dead]
    return replace(root, options={**root.options, KIND: urls})


def uri_of(url: str, roots: Iterable[Root], engine: Engine) -> str | None:
    """Return the URI of the image that a library has of a URL; None if it has none."""
    if not url.lower().startswith(("http://", "https://")):
        return None
    from pixseek.sources.row_index import key_of_url

    uris = [f"{root.name}/{key_of_url(url)}" for root in roots if root.kind != "folder"]
    records = engine.get([record_id(uri) for uri in uris])
    return next((record.uri for record in records if record is not None), None)
