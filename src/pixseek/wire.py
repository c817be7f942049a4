"""Every JSON shape of pixseek: results, reports, status, records; queries and parts both ways.

All surfaces that speak JSON share these functions, so a script written for one of them can read the
others. A published name stays; new ones may be added.

A part is `{"kind": "image"}` for the whole image; a tile has "box" (left, top, width, height, as
fractions), a shot "start_s", "end_s" and "frame_s" in seconds.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import datetime
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from pixseek.errors import QueryError
from pixseek.metadata import seen
from pixseek.metadata.annotations import LISTS, listed
from pixseek.search.query_json import (
    filter_from_plain,
    filter_to_plain,
    query_from_plain,
    query_to_plain,
)
from pixseek.types import Part, Query
from pixseek.types.results import old_confidence

if TYPE_CHECKING:
    from pixseek.evaluation import Evaluation
    from pixseek.library import Status
    from pixseek.library.migration import Migration
    from pixseek.licences import Part as LicensedPart
    from pixseek.models import ModelInfo
    from pixseek.models.calibration import CalibrationReport
    from pixseek.search.suggestions import Suggestion
    from pixseek.types import Embeddings, Failure, Hit, Layout, Record, Report, Results, WatchEvent

__all__ = [
    "calibration_to_plain",
    "difference_to_plain",
    "embeddings_to_plain",
    "evaluation_to_plain",
    "failure_to_plain",
    "filter_from_plain",
    "filter_to_plain",
    "hit_to_plain",
    "layout_to_plain",
    "licences_to_plain",
    "migration_to_plain",
    "model_to_plain",
    "part_from_plain",
    "part_to_plain",
    "query_from_plain",
    "query_label",
    "query_to_plain",
    "record_to_plain",
    "report_to_plain",
    "results_to_plain",
    "shots_to_plain",
    "status_to_plain",
    "suggestion_to_plain",
]

# ------------------------------------------------------------------ what comes back


def results_to_plain(results: Results) -> dict[str, Any]:
    """Return results as an object with query, query_kind, took_ms, model, warnings and hits."""
    kind, query = query_label(results.query)
    return {
        "query": query,
        "query_kind": kind,
        "k": results.query.k,
        "offset": results.query.offset,
        "took_ms": {stage: round(ms, 3) for stage, ms in results.took_ms.items()},
        "model": results.model,
        "warnings": list(results.warnings),
        "strong": results.strong,
        "likely": results.likely,
        "confident": results.strong,  # the name until 0.2
        "possible": results.likely,  # the name until 0.2
        "looked_at": results.looked_at,
        "total": results.total,
        "excluded": [asdict(each) for each in results.excluded],
        "search": asdict(results.search) if results.search else None,
        "hits": [hit_to_plain(hit) for hit in results],
    }


def hit_to_plain(hit: Hit) -> dict[str, Any]:
    """Return one hit; `path` is null if the image is not a file of this machine."""
    record = hit.record
    return {
        "rank": hit.rank,
        "id": hit.id,
        "path": str(hit.path) if hit.path else None,
        "is_there": hit.is_there,
        "part": part_to_plain(hit.part),
        "score": round(hit.score, 6),
        "strength": hit.strength,
        "probability": _rounded(hit.probability),
        "confidence": round(old_confidence(hit), 4),  # deprecated
        "why": [
            {
                "kind": reason.kind,
                "what": reason.what,
                "score": round(reason.score, 6),
                "deviations": round(reason.deviations, 3),
                "weight": reason.weight,
                "strength": reason.strength,
                **({} if reason.box is None else {"box": list(reason.box)}),
            }
            for reason in hit.why
        ],
        "duplicates": list(hit.duplicates),
        "excluded_by": hit.excluded_by,
        "group": hit.group.isoformat() if isinstance(hit.group, datetime) else hit.group,
        "others": hit.others,
        "group_filter": hit.group_filter,
        "moments": [
            {
                "part": part_to_plain(each.part),
                "score": round(each.score, 6),
                "strength": each.strength,
            }
            for each in hit.moments
        ],
        "duration_s": record.fields.get("duration_s"),
        "uri": hit.uri,
        "width": record.width,
        "height": record.height,
        "media": record.media,
        "taken_at": record.taken_at.isoformat() if record.taken_at else None,
        "taken_precision": record.fields.get("taken_precision"),
        "caption": record.caption,
        "tags": list(record.tags),
    }


def layout_to_plain(layout: Layout) -> dict[str, Any]:
    """Return the layout of a query's hits; aspects with three decimals, null if unknown."""
    kind, query = query_label(layout.query)
    return {
        "query": query,
        "query_kind": kind,
        "took_ms": {stage: round(ms, 3) for stage, ms in layout.took_ms.items()},
        "model": layout.model,
        "warnings": list(layout.warnings),
        "strong": layout.strong,
        "likely": layout.likely,
        "looked_at": layout.looked_at,
        "total": layout.total,
        "excluded": [asdict(each) for each in layout.excluded],
        "search": asdict(layout.search) if layout.search else None,
        "strengths": [list(run) for run in layout.strengths],
        "months": None if layout.months is None else [list(run) for run in layout.months],
        "ids": list(layout.ids),
        "parts": list(layout.parts) if any(layout.parts) else [],
        "aspects": [
            None if math.isnan(each) else max(each, 0.001)
            for each in layout.aspects.round(3).tolist()
        ],
    }


def suggestion_to_plain(suggestion: Suggestion) -> dict[str, Any]:
    """Return one way in which the text of a search box may go on."""
    return asdict(suggestion)


def _rounded(probability: float | None) -> float | None:
    """Return a probability with four digits; nothing is certain, so it is never 0 or 1."""
    return None if probability is None else min(max(round(probability, 4), 0.0001), 0.9999)


def record_to_plain(record: Record) -> dict[str, Any]:
    """Return everything known about an image; dates as ISO 8601, unknown values left out."""
    plain: dict[str, Any] = {
        "id": record.id,
        "uri": record.uri,
        "media": record.media,
        "width": record.width or None,
        "height": record.height or None,
        "size": record.stamp.size if record.stamp else None,
        "digest": record.digest,
        "pixels": record.pixels,
        "perceptual_hash": record.perceptual_hash,
        "taken_at": record.taken_at,
        "caption": record.caption,
        "tags": list(record.tags),
        # Records keep lists as text.
        **{
            name: list(listed(value)) if name in LISTS else value
            for name, value in record.fields.items()
            if name != seen.BOXES
        },
    }
    if lines := seen.lines_of(record.fields):
        plain[seen.TEXT] = [
            {"text": each.text, "confidence": each.confidence, "box": list(each.box)}
            for each in lines
        ]
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in plain.items()
        if value is not None and value not in ("", [])
    }


def shots_to_plain(record: Record) -> list[dict[str, Any]]:
    """Return the shots of a video, in order of time; none for an image."""
    return [part_to_plain(part) for part in record.shots]


def report_to_plain(report: Report) -> dict[str, Any]:
    """Return what an indexing run did."""
    return {
        "added": report.added,
        "updated": report.updated,
        "moved": report.moved,
        "removed": report.removed,
        "away": report.away,
        "unchanged": report.unchanged,
        "reused": report.reused,
        "known_failures": report.known_failures,
        "failed": len(report.failures),
        "failures": [failure_to_plain(failure) for failure in report.failures],
        "seconds": {stage: round(seconds, 3) for stage, seconds in report.seconds.items()},
        "stopped": report.stopped,
        "acceleration": asdict(report.acceleration) if report.acceleration else None,
        "skipped": [asdict(each) for each in report.skipped],
    }


def watch_event_to_plain(event: WatchEvent) -> dict[str, Any]:
    """Return what happened while folders were watched."""
    return {
        "event": event.kind,
        "at": event.at.isoformat(timespec="milliseconds"),
        "folders": [
            {"path": str(folder), "polled": folder in event.polled} for folder in event.folders
        ],
        "report": None if event.report is None else report_to_plain(event.report),
        "error": None
        if (error := event.error) is None
        else {"problem": error.problem, "subject": error.subject, "advice": error.advice},
    }


def migration_to_plain(done: Migration) -> dict[str, Any]:
    """Return what moving a library to another engine did."""
    rounded = {
        name: None if value is None else round(value, 4)
        for name, value in (("recall", done.recall), ("recall_filtered", done.recall_filtered))
    }
    return {**asdict(done), **rounded, "seconds": round(done.seconds, 3)}


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
        "watched": dict(status.watched) if status.watched else None,
        "model_is_here": status.model_is_here,
        "contents": _dates_as_text(asdict(status.contents)),
        "disk": dict(status.disk),
        "last_run": _dates_as_text(asdict(status.last_run)) if status.last_run else None,
        "calibration": asdict(status.calibration) if status.calibration else None,
        "engine": status.engine,
    }


def _dates_as_text(plain: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in plain.items()
    }


def query_label(query: Query) -> tuple[str, str]:
    """Return the kind of a query, and the query as text.

    A single term gives its own kind ("text", "image", "id", "vector") and value; anything else is
    a "query", in the language of the search box. The text is "" if there is none: for an image in
    memory, and for a vector.
    """
    one = len(query.terms) == 1 and not query.terms[0].alternatives
    if not one or query.exclude or query.where is not None:
        from pixseek.search.language import to_text

        try:
            return "query", to_text(query)
        except QueryError:  # an image in memory, a vector
            return "query", ""
    term = query.terms[0]
    if term.kind == "vector":
        return "vector", ""
    if term.kind == "image" and not isinstance(term.value, str | PurePath):
        return "image", ""  # it is in memory
    return term.kind, str(term.value)


def query_parts_to_plain(query: Query) -> list[dict[str, Any]]:
    """Return the parts of a query: kind, shown, text, weight, and the query without each."""
    from pixseek.search.query_parts import parts_of

    return [asdict(each) for each in parts_of(query)]


def model_to_plain(model: ModelInfo) -> dict[str, Any]:
    """Return the facts about a model; `folder` is null unless its files are on this machine."""
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
        "calibration": asdict(model.calibration) if model.calibration else None,
    }


def licences_to_plain(parts: Iterable[LicensedPart]) -> dict[str, Any]:
    """Return the licences of installed packages, and of what their wheels bundle."""
    return {
        "parts": [
            {
                "name": part.name,
                "version": part.version,
                "licence": part.licence,
                "says": part.says,
                "extras": list(part.extras),
                "bundles": [{"name": each.name, "licence": each.licence} for each in part.bundles],
                "notices": list(part.notices),
            }
            for part in parts
        ]
    }


def evaluation_to_plain(evaluation: Evaluation) -> dict[str, Any]:
    """Return how well a model finds images by their captions, and the other way round."""
    return {
        "model": evaluation.model,
        "fingerprint": evaluation.fingerprint,
        "dim": evaluation.dim,
        "library": evaluation.library,
        "images": evaluation.images,
        "captions": evaluation.captions,
        "where": evaluation.where,
        "seed": evaluation.seed,
        "measures": {
            direction: {
                name: {**asdict(each), "by_chance": evaluation.chance[direction][name]}
                for name, each in found.items()
            }
            for direction, found in evaluation.measures.items()
        },
        "worst": [asdict(each) for each in evaluation.worst],
        "misses_that_are_copies": evaluation.copies,
    }


def difference_to_plain(one: Evaluation, other: Evaluation) -> dict[str, Any]:
    """Return how much better one model finds than another, by every measure that is a mean."""
    from pixseek.evaluation import MEASURES, difference

    found: dict[str, Any] = {"of": one.model, "against": other.model}
    for direction in one.measures:
        found[direction] = {}
        for name in MEASURES:
            if name != "median_rank":
                apart = difference(one, other, direction, name, one.seed)
                found[direction][name] = {
                    **asdict(apart.difference), "p": apart.p, "queries": apart.queries,
                }  # fmt: skip
    return found


def calibration_to_plain(report: CalibrationReport) -> dict[str, Any]:
    """Return the calibration of a model, and how it was measured."""
    found = report.found
    return {
        "model": report.model,
        "file": str(report.file),
        "slope": found.calibration.slope,
        "centre": found.calibration.centre,
        "rank": found.calibration.rank,
        "demand": found.calibration.demand,
        "knee": found.calibration.knee,
        "bend": found.calibration.bend,
        "measured": found.measured(),
        "images_in_table": report.images_in_table,
        "failures": [failure_to_plain(each) for each in report.failures],
    }


def embeddings_to_plain(found: Embeddings) -> dict[str, Any]:
    """Return vectors of texts and images, with the space that they belong to."""
    return {
        "model": found.space.model,
        "fingerprint": found.space.fingerprint,
        "dim": found.space.dim,
        "texts": found.texts.tolist(),
        "images": found.images.tolist(),
    }


# ------------------------------------------------------------------ parts


def part_to_plain(part: Part) -> dict[str, Any]:
    """Return a part of a record; what does not apply to its kind is left out."""
    plain = {
        "kind": part.kind,
        "box": part.box,
        "start_s": part.start_s,
        "end_s": part.end_s,
        "frame_s": part.frame_s,
    }
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in plain.items()
        if value is not None
    }


def part_from_plain(plain: Mapping[str, Any]) -> Part:
    """Return the part that `part_to_plain` made this of."""
    box = plain.get("box")
    return Part(
        plain["kind"],
        tuple(box) if box else None,
        *(plain.get(name) for name in ("start_s", "end_s", "frame_s")),
    )
