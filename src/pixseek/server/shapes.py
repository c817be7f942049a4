"""The JSON shapes of `pixseek.wire` as JSON Schema, and an example of each, for OpenAPI.

Names that `wire` may add later are allowed everywhere, since a published name stays and new ones
come.
"""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string"}
_NUMBER: Schema = {"type": "number"}
_WHOLE: Schema = {"type": "integer"}
_YES: Schema = {"type": "boolean"}
_COUNTS: Schema = {"type": "object", "additionalProperties": {"type": "integer"}}
_MAYBE_TEXT: Schema = {"type": ["string", "null"]}
_MAYBE_NUMBER: Schema = {"type": ["number", "null"]}
_STRENGTH: Schema = {"type": "string", "enum": ["strong", "likely", "weak"]}


def _list(of: Schema) -> Schema:
    return {"type": "array", "items": of}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _object(required: dict[str, Schema], **optional: Schema) -> Schema:
    return {
        "type": "object",
        "properties": {**required, **optional},
        "required": list(required),
    }


#: What is said of a query besides its hits.
_FOUND: dict[str, Schema] = {
    "query": _TEXT,
    "query_kind": _TEXT,
    "took_ms": {"type": "object", "additionalProperties": _NUMBER},
    "model": _TEXT,
    "warnings": _list(_TEXT),
    "strong": _WHOLE,
    "likely": _WHOLE,
    "looked_at": _WHOLE,
    "total": _WHOLE,
    "excluded": _list(_object({"what": _TEXT, "count": _WHOLE})),
    "search": {
        "type": ["object", "null"],
        "properties": {"exact": _YES, "breadth": {"type": ["integer", "null"]}},
        "description": "How far the engine looked: whether it scored all images, and from how many "
        "candidates the hits were chosen. null if it does not say.",
    },
}

SCHEMAS: dict[str, Schema] = {
    "Problem": _object(
        {
            "type": _TEXT,
            "title": _TEXT,
            "status": _WHOLE,
            "detail": _TEXT,
            "problem": {**_TEXT, "description": "What failed."},
            "subject": {**_TEXT, "description": "On what; may be empty."},
            "advice": {**_TEXT, "description": "What to do next; may be empty."},
        }
    ),
    "Part": _object(
        {"kind": {"type": "string", "enum": ["image", "tile", "shot"]}},
        box=_list(_NUMBER),
        start_s=_NUMBER,
        end_s=_NUMBER,
        frame_s=_NUMBER,
    ),
    "Reason": _object(
        {
            "kind": _TEXT,
            "what": _TEXT,
            "score": _NUMBER,
            "deviations": _NUMBER,
            "weight": _NUMBER,
            "strength": {"type": ["string", "null"]},
        },
        box={
            **_list(_NUMBER),
            "description": "Of text that was read in the picture: left, top, "
            "width, height as fractions.",
        },
    ),
    "Hit": _object(
        {
            "rank": _WHOLE,
            "id": _TEXT,
            "part": _ref("Part"),
            "score": _NUMBER,
            "strength": _STRENGTH,
            "probability": _MAYBE_NUMBER,
            "why": _list(_ref("Reason")),
            "duplicates": _list(_TEXT),
            "excluded_by": _TEXT,
            "group": {
                "type": ["string", "number", "boolean", "null"],
                "description": "Its value of the field in group_by; null if it has none.",
            },
            "others": {**_WHOLE, "description": "How many other images have that value."},
            "group_filter": {**_TEXT, "description": "The filter that finds all of them."},
            "moments": {
                **_list(_object({"part": _ref("Part"), "score": _NUMBER, "strength": _STRENGTH})),
                "description": "Further shots of a video that match, best first; at most 100.",
            },
            "duration_s": _MAYBE_NUMBER,
            "uri": _TEXT,
            "width": _WHOLE,
            "height": _WHOLE,
            "media": _TEXT,
            "taken_at": _MAYBE_TEXT,
            "taken_precision": _MAYBE_TEXT,
            "caption": _TEXT,
            "tags": _list(_TEXT),
        },
        path={**_MAYBE_TEXT, "description": "Only with the right to write."},
        is_there={"type": ["boolean", "null"], "description": "Only with the right to write."},
    ),
    "Results": _object({**_FOUND, "k": _WHOLE, "offset": _WHOLE, "hits": _list(_ref("Hit"))}),
    "Layout": _object(
        {
            **_FOUND,
            "strengths": {
                **_list(_list({"type": ["string", "integer"]})),
                "description": "How many hits in a row have one strength.",
            },
            "months": {
                "type": ["array", "null"],
                "items": _list({"type": ["string", "integer", "null"]}),
                "description": "Of hits by date, how many in a row are of one month.",
            },
            "years": {
                "type": ["array", "null"],
                "items": _list({"type": ["string", "integer"]}),
                "description": "Of hits by date that are not all listed, how many there are of "
                'each year, in order; "none" are those without a date.',
            },
            "ids": _list(_TEXT),
            "parts": {
                **_list(_WHOLE),
                "description": "The best part of each hit, for previews of shots; empty if each "
                "is the first.",
            },
            "aspects": {
                **_list(_MAYBE_NUMBER),
                "description": "Width by height, upright; null if unknown.",
            },
        }
    ),
    "Suggestions": _object(
        {
            "suggestions": _list(
                _object(
                    {
                        "text": {**_TEXT, "description": "The whole text of the box then."},
                        "label": _TEXT,
                        "kind": {"type": "string", "enum": ["field", "value", "saved"]},
                        "field": _TEXT,
                        "count": {"type": ["integer", "null"]},
                    }
                )
            ),
            "problem": {**_MAYBE_TEXT, "description": "What is wrong with the text, if anything."},
            "subject": _MAYBE_TEXT,
            "advice": _MAYBE_TEXT,
            "at": {"type": ["integer", "null"], "description": "The first wrong character."},
            "length": {"type": ["integer", "null"], "description": "How many are wrong."},
        }
    ),
    "Record": {
        **_object(
            {"id": _TEXT, "uri": _TEXT},
            media=_TEXT,
            width=_WHOLE,
            height=_WHOLE,
            size=_WHOLE,
            taken_at=_TEXT,
            caption=_TEXT,
            tags=_list(_TEXT),
            shots={**_list(_ref("Part")), "description": "Of a video, asked for alone."},
            path={**_MAYBE_TEXT, "description": "Only with the right to write."},
            is_there={**_YES, "description": "Only with the right to write."},
        ),
        "description": "Everything known of an image; fields of its file and of users by name.",
    },
    "QueryPart": _object(
        {
            "kind": {**_TEXT, "description": "text, id, image, exclude, filter or date."},
            "shown": {**_TEXT, "description": "As people read it."},
            "text": {**_TEXT, "description": "In the query language."},
            "weight": _NUMBER,
            "without": {**_TEXT, "description": "The whole query without this part."},
        }
    ),
    "Facets": {
        "type": "object",
        "additionalProperties": _COUNTS,
        "description": "By field, how many images have each value.",
    },
    "Failure": _object(
        {"uri": _TEXT, "stage": _TEXT, "reason": _TEXT, "message": _TEXT, "advice": _TEXT}
    ),
    "Report": _object(
        {
            **dict.fromkeys(
                (
                    "added",
                    "updated",
                    "moved",
                    "removed",
                    "away",
                    "unchanged",
                    "reused",
                    "known_failures",
                    "failed",
                ),
                _WHOLE,
            ),
            "failures": _list(_ref("Failure")),
            "seconds": {"type": "object", "additionalProperties": _NUMBER},
            "stopped": _YES,
        }
    ),
    "Progress": _object(
        {
            "stage": _TEXT,
            "done": _WHOLE,
            "total": {"type": ["integer", "null"]},
            "failed": _WHOLE,
            "rate": _NUMBER,
            "left_s": _MAYBE_NUMBER,
            "latest": _TEXT,
        }
    ),
    "Job": _object(
        {
            "id": _TEXT,
            "library": _TEXT,
            "kind": _TEXT,
            "state": {
                "type": "string",
                "enum": ["running", "stopping", "done", "stopped", "failed"],
            },
            "began_at": _TEXT,
            "ended_at": _MAYBE_TEXT,
            "progress": {"oneOf": [_ref("Progress"), {"type": "null"}]},
            "report": {"oneOf": [_ref("Report"), {"type": "null"}]},
            "error": {"oneOf": [_ref("Problem"), {"type": "null"}]},
        }
    ),
    "Status": {
        **_object(
            {
                "model": _TEXT,
                "records": _WHOLE,
                "roots": _list(_object({"name": _TEXT, "is_there": _YES, "records": _WHOLE})),
                "failures": _COUNTS,
                "contents": {"type": "object"},
            }
        ),
        "description": "What the library holds. Paths only with the right to write.",
    },
    "Model": _object({"name": _TEXT, "description": _TEXT, "licence": _TEXT}),
    "Guess": _object({"label": _TEXT, "probability": _MAYBE_NUMBER, "score": _NUMBER}),
    "DuplicateGroup": _object(
        {
            "kind": {"type": "string", "enum": ["same", "edited", "alike"]},
            "exact": _YES,
            "records": _list(_ref("Record")),
        }
    ),
    "SavedSearch": _object({"name": _TEXT, "text": _TEXT}),
    "Library": _object({"name": _TEXT, "records": {"type": ["integer", "null"]}, "model": _TEXT}),
    "Filter": {
        "type": ["object", "string"],
        "description": 'A text such as "format:jpg year:2021", or {"and": [...]}, {"or": [...]}, '
        '{"not": ...}, {"field": "width", "op": "ge", "value": 1920}.',
    },
    "Term": _object(
        {"kind": {"type": "string", "enum": ["text", "id", "image", "vector"]}},
        value={"description": "Words, an id, the URL of an image, or the numbers of a vector."},
        weight=_NUMBER,
        region=_list(_NUMBER),
        at={**_NUMBER, "description": "The second of a video."},
        of={"type": "string", "enum": ["text", "image"]},
        alternatives=_list({"type": "object"}),
    ),
    "Query": {
        "type": "object",
        "description": "A whole query. It says what to look for; every other name may be missing.",
        "anyOf": [{"required": ["query"]}, {"required": ["terms"]}, {"required": ["where"]}],
        "properties": {
            "query": {**_TEXT, "description": "In the language of the search box."},
            "terms": _list(_ref("Term")),
            "exclude": _list(_ref("Term")),
            "where": _ref("Filter"),
            "dates": _YES,
            "k": _WHOLE,
            "offset": _WHOLE,
            "sort": _TEXT,
            "min_strength": _STRENGTH,
            "group": _YES,
            "group_by": {**_TEXT, "description": "Show one image of each value of this field."},
            "variety": _NUMBER,
            "text_weight": _NUMBER,
            "show_excluded": _YES,
            "exact": _YES,
            "moments": {**_YES, "description": "Make each matching shot a hit of its own."},
            "min_confidence": {**_NUMBER, "description": "Earlier name: min_strength."},
            "date_readings": _list({"type": "object"}),
        },
    },
}

_PROBLEM = {
    "type": "urn:pixseek:problem:query",
    "title": "The request can't be understood",
    "status": 422,
    "detail": "Unknown field: colr. Did you mean 'colour'?",
    "problem": "Unknown field",
    "subject": "colr",
    "advice": "Did you mean 'colour'?",
}

HIT = {
    "rank": 1, "id": "m5x2k7q3wz6ay4bd", "path": "/home/you/Photos/2021/dog.jpg",
    "is_there": True, "part": {"kind": "image"}, "score": 0.281532, "strength": "strong",
    "probability": 0.93, "confidence": 0.93,
    "why": [{"kind": "text", "what": "a dog", "score": 0.281532, "deviations": 5.1,
             "weight": 1.0, "strength": "strong"}],
    "duplicates": [], "excluded_by": "", "group": None, "others": 0, "group_filter": "",
    "moments": [], "duration_s": None,
    "uri": "Photos/2021/dog.jpg", "width": 4032, "height": 3024, "media": "image/jpeg",
    "taken_at": "2021-07-03T14:05:11", "taken_precision": None, "caption": "", "tags": ["dog"],
}  # fmt: skip

RECORD = {
    "id": "m5x2k7q3wz6ay4bd", "uri": "Photos/2021/dog.jpg", "media": "image/jpeg", "width": 4032,
    "height": 3024, "size": 3412553,
    "digest": "8d2bf6196a083cb23328dbb21fa66f6b1c8646d55bb6487876694526f362fdfe",
    "taken_at": "2021-07-03T14:05:11", "tags": ["dog"], "camera": "Pixel 7", "rating": 4,
    "path": "/home/you/Photos/2021/dog.jpg", "is_there": True,
}  # fmt: skip

REPORT = {
    "added": 12, "updated": 0, "moved": 1, "removed": 0, "away": 0, "unchanged": 4210, "reused": 1,
    "known_failures": 0, "failed": 0, "failures": [], "seconds": {"scan": 0.1, "total": 3.2},
    "stopped": False, "acceleration": None, "skipped": [],
}  # fmt: skip

PROGRESS = {
    "stage": "index", "done": 120, "total": 4223, "failed": 0, "rate": 41.5, "left_s": 98.9,
    "latest": "Photos/2021/dog.jpg",
}  # fmt: skip

JOB = {
    "id": "1f0c5d2ab34e9977", "library": "photos", "kind": "index", "state": "running",
    "began_at": "2026-11-29T10:00:00+00:00", "ended_at": None, "progress": PROGRESS,
    "report": None, "error": None,
}  # fmt: skip

RESULTS = {
    "query": "a dog", "query_kind": "text", "k": 20, "offset": 0,
    "took_ms": {"encode": 11.2, "search": 3.4, "total": 14.6}, "model": "clip-b32-datacomp",
    "warnings": [], "strong": 1, "likely": 1, "confident": 1, "possible": 1, "looked_at": 400,
    "total": 4222, "excluded": [], "search": {"exact": True, "breadth": 4222}, "hits": [HIT],
}  # fmt: skip

FACETS = {
    "folder": {"Photos/2021": 312}, "year": {"2021": 312, "none": 4}, "camera": {"Pixel 7": 290},
    "tag": {"dog": 12}, "person": {}, "colour": {"green": 120}, "format": {"JPEG": 316},
}  # fmt: skip

LAYOUT = {
    "query": "a dog", "query_kind": "text",
    "took_ms": {"encode": 11.2, "search": 3.4, "total": 14.6}, "model": "clip-b32-datacomp",
    "warnings": [], "strong": 1, "likely": 2, "looked_at": 3, "total": 3, "excluded": [],
    "search": {"exact": True, "breadth": 3},
    "strengths": [["strong", 1], ["likely", 1], ["weak", 1]], "months": None, "years": None,
    "ids": ["m5x2k7q3wz6ay4bd", "k3v5xq7mwz6ay4ba", "b2x5k7q3wz6ay4bc"],
    "aspects": [1.333, 0.667, None], "parts": [],
}  # fmt: skip

SUGGESTIONS = {
    "suggestions": [
        {"text": "sunset tag:", "label": "tag:", "kind": "field", "field": "tag", "count": None}
    ],
    "problem": None, "subject": None, "advice": None, "at": None, "length": None,
}  # fmt: skip

STATUS = {
    "path": "/home/you/photos.lib", "engine": "embedded", "model": "clip-b32-datacomp",
    "space": {"fingerprint": "22a8fd03b5e5248c", "dim": 512}, "texts": "", "other_spaces": [],
    "records": 4222, "folders": [],
    "roots": [{"name": "Photos", "path": "/home/you/Photos", "is_there": True, "records": 4222}],
    "failures": {"damaged": 1}, "bytes_on_disk": 64123904,
    "acceleration": {
        "runtime": "openvino", "precision": "bf16", "why": "", "images": 0, "cosine_median": 1.0,
        "cosine_least": 1.0, "rank_agreement": 1.0, "speedup": 0.0,
    },
    "running": None, "is_running": False, "watched": None, "is_watched": False,
    "model_is_here": True,
    "contents": {
        "dated": 4100, "oldest": "2009-05-01T10:00:00", "newest": "2026-11-01T18:30:00",
        "located": 2100, "tagged": 310, "captioned": 12, "rated": 40, "unreachable": 0,
        "without_vectors": 0, "away": 0,
    },
    "disk": {"index": 12000000, "previews": 50000000, "other": 2123904},
    "last_run": {
        "kind": "index", "ended_at": "2026-11-30T01:19:36+00:00", "seconds": 3.2, "stopped": False,
        "added": 12, "updated": 0, "moved": 1, "removed": 0, "unchanged": 4210, "failed": 0,
    },
    "calibration": {
        "slope": 5.8, "centre": 1.8, "images": 1000, "rank": 0.0, "demand": 0.2, "knee": 0.0,
        "bend": 0.0,
    },
}  # fmt: skip

MODEL = {
    "name": "clip-b32-datacomp", "is_here": True, "folder": "/home/you/.cache/pixseek/clip-b32",
    "description": "CLIP ViT-B/32 at 256 pixels, trained on DataComp: fast, for photographs.",
    "download_bytes": 607527259, "licence": "MIT", "asks_for_a_yes": False, "dim": 512,
    "image_side": 256, "context": 77, "languages": "English",
    "quality": {"Flickr30k": 64.9, "COCO": 39.9},
    "quality_source": "open_clip, docs/openclip_retrieval_results.csv", "precision": "auto",
    "note": "", "measured": None, "calibration": None,
    "sources": [{"runtime": "onnx", "layout": "rclip", "repo": "yurijmikhalevich/rclip-models",
                 "revision": "17b9d07433aad73f70d338d8a1c7a4cef83887e0"}],
}  # fmt: skip


def problem_example() -> dict[str, Any]:
    """Return an example of a problem."""
    return dict(_PROBLEM)
