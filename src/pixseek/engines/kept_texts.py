"""Small texts about the whole library, in a store of documents: in a collection of their own.

A store needs no method for them. Their collection has a reserved space, which `DocumentEngine`
shows to nobody. Each text is a record without vectors.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence

import numpy as np

from pixseek.engines import rules
from pixseek.engines.document_reading import Reader
from pixseek.engines.store import Document, SpaceGoneError, Store
from pixseek.types import Record, Space, record_id

#: No model has this fingerprint. Vector databases want a dimension, though nothing has vectors.
SPACE = Space("0" * 64, 8, "pixseek.kept")


def keep(store: Store, kind: str, name: str, text: str | None) -> None:
    """Keep a text, under the lock of the store; None to forget it."""
    uri = json.dumps([kind, name])
    if text is None:
        with contextlib.suppress(SpaceGoneError):  # nothing was ever kept
            store.delete(SPACE, [record_id(uri)])
        return
    if not any(rules.is_one(each, SPACE) for each in store.spaces()):
        store.create(SPACE)
    fields = {"kind": kind, "name": name}
    record = Record(record_id(uri), uri, caption=text, fields=fields, parts=())
    store.write(SPACE, [Document(record, np.empty((0, SPACE.dim), np.float32))])


def of_names(store: Store, kind: str, names: Sequence[str]) -> dict[str, str]:
    """Return some texts of a kind by name, without a refresh of the store."""
    ids = [record_id(json.dumps([kind, name])) for name in names]
    try:
        found = store.fetch(SPACE, ids, vectors=False)
    except SpaceGoneError:  # nothing was ever kept
        return {}
    return {
        name: each.record.caption
        for name, each in zip(names, found, strict=True)
        if each is not None
    }


def of_kind(store: Store, read: Reader, kind: str) -> dict[str, str]:
    """Return the texts of a kind by name."""
    if not any(rules.is_one(each, SPACE) for each in store.spaces()):
        return {}
    records = (each.record for page in read.pages(SPACE, None) for each in page)
    return {
        str(each.fields["name"]): each.caption
        for each in records
        if each.fields.get("kind") == kind
    }
