"""Results, reports and states as plain values for JSON: the one place where their shape is made.

Whatever speaks JSON shares these functions, so that a script written for one surface reads
another. Names, once published, stay; new ones may come.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pixseek.errors import QueryError
from pixseek.metadata.annotations import LISTS, listed

if TYPE_CHECKING:
    from pixseek.library import Status
    from pixseek.models import ModelInfo
    from pixseek.types import Failure, Hit, Query, Record, Report, Results


def results_to_plain(results: Results) -> dict[str, Any]:
    """Return results as an object with query, query_kind, took_ms, model, warnings and hits."""
    kind, query = query_to_plain(results.query)
    return {
        "query": query,
        "query_kind": kind,
        "k": results.query.k,
        "offset": results.query.offset,
        "took_ms": {stage: round(ms, 3) for stage, ms in results.took_ms.items()},
        "model": results.model,
        "warnings": list(results.warnings),
        "confident": results.confident,
        "possible": results.possible,
        "looked_at": results.looked_at,
        "total": results.total,
        "hits": [hit_to_plain(hit) for hit in results],
    }


def hit_to_plain(hit: Hit) -> dict[str, Any]:
    """Return one hit; `path` is null where the image is no file of this machine."""
    record = hit.record
    return {
        "rank": hit.rank,
        "id": hit.id,
        "path": str(hit.path) if hit.path else None,
        "score": round(hit.score, 6),
        "confidence": round(hit.confidence, 4),
        "why": [
            {
                "kind": reason.kind,
                "what": reason.what,
                "score": round(reason.score, 6),
                "deviations": round(reason.deviations, 3),
                "weight": reason.weight,
            }
            for reason in hit.why
        ],
        "duplicates": list(hit.duplicates),
        "uri": hit.uri,
        "width": record.width,
        "height": record.height,
        "media": record.media,
        "taken_at": record.taken_at.isoformat() if record.taken_at else None,
        "caption": record.caption,
        "tags": list(record.tags),
    }


def record_to_plain(record: Record) -> dict[str, Any]:
    """Return everything known of an image; dates as ISO 8601, unknown values left out."""
    plain = {
        "id": record.id,
        "uri": record.uri,
        "media": record.media,
        "width": record.width or None,
        "height": record.height or None,
        "size": record.stamp.size if record.stamp else None,
        "digest": record.digest,
        "taken_at": record.taken_at,
        "caption": record.caption,
        "tags": list(record.tags),
        # As they are kept, lists are text.
        **{
            name: list(listed(value)) if name in LISTS else value
            for name, value in record.fields.items()
        },
    }
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in plain.items()
        if value is not None and value not in ("", [])
    }


def report_to_plain(report: Report) -> dict[str, Any]:
    """Return what an indexing run did."""
    return {
        "added": report.added,
        "updated": report.updated,
        "moved": report.moved,
        "removed": report.removed,
        "unchanged": report.unchanged,
        "reused": report.reused,
        "known_failures": report.known_failures,
        "failed": len(report.failures),
        "failures": [failure_to_plain(failure) for failure in report.failures],
        "seconds": {stage: round(seconds, 3) for stage, seconds in report.seconds.items()},
        "stopped": report.stopped,
    }


def failure_to_plain(failure: Failure) -> dict[str, Any]:
    """Return what could not be indexed, and why."""
    return {
        "uri": failure.uri,
        "stage": failure.stage,
        "reason": failure.reason,
        "message": failure.message,
        "advice": failure.advice,
    }


def status_to_plain(status: Status) -> dict[str, Any]:
    """Return what a library holds."""
    space = status.space
    return {
        "path": str(status.path),
        "model": status.model,
        "space": {"fingerprint": space.fingerprint, "dim": space.dim} if space else None,
        "texts": status.texts,
        "other_spaces": [
            {
                "model": other.model,
                "fingerprint": other.fingerprint,
                "dim": other.dim,
                "records": held,
            }
            for other, held in status.other_spaces
        ],
        "records": status.records,
        "roots": [
            {
                "name": root.name,
                "path": str(root.path),
                "is_there": root.is_there,
                "records": root.records,
            }
            for root in status.roots
        ],
        "failures": dict(status.failures),
        "bytes_on_disk": status.bytes_on_disk,
        "acceleration": asdict(status.acceleration) if status.acceleration else None,
        "running": dict(status.running) if status.running else None,
    }


def query_to_plain(query: Query) -> tuple[str, str]:
    """Return what kind of query it is, and the query as text.

    A single term has its own kind ("text", "image", "id", "vector") and value; anything else is a
    "query", in the language of the search box. The text is "" for what has none.
    """
    if len(query.terms) != 1 or query.exclude or query.where is not None:
        from pixseek.search.language import to_text

        try:
            return "query", to_text(query)
        except QueryError:  # a picture in memory, a vector
            return "query", ""
    term = query.terms[0]
    if term.kind == "vector":
        return "vector", ""
    if term.kind == "image" and type(term.value).__module__.startswith("PIL"):
        return "image", ""  # it was handed over in memory
    return term.kind, str(term.value)


def model_to_plain(model: ModelInfo) -> dict[str, Any]:
    """Return what is known of a model; `folder` is null unless its files are on this machine."""
    return {
        "name": model.name,
        "description": model.description,
        "folder": str(model.folder) if model.folder else None,
        "download_bytes": model.size,
        "licence": model.licence,
        "asks_for_a_yes": model.restricted,
        "dim": model.dim,
        "image_side": model.input_side,
        "context": model.context,
        "languages": model.languages,
        "quality": dict(model.quality),
        "quality_source": model.quality_source,
        "precision": "auto",  # for every model: it is chosen on the user's own images
        "note": model.note,
        "measured": asdict(model.measured) if model.measured else None,
        "sources": [asdict(source) for source in model.sources],
    }
