import json
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pixseek.library import RootStatus, Status
from pixseek.types import (
    WHOLE,
    Acceleration,
    Failure,
    Hit,
    Query,
    Reason,
    Record,
    Report,
    Results,
    Space,
    Term,
)
from pixseek.wire import (
    query_to_plain,
    record_to_plain,
    report_to_plain,
    results_to_plain,
    status_to_plain,
)


def test_a_record_keeps_what_is_nought_or_false() -> None:
    record = Record(
        "abc",
        "Photos/a.jpg",
        tags=("lake",),
        fields={
            "flash": False,
            "altitude_m": 0.0,
            "exposure_bias_ev": 0,
            "title": "",
            "user.tags_added": '["lake"]',
            "file.tags": "no list",
        },
    )
    assert record_to_plain(record) == {
        "id": "abc",
        "uri": "Photos/a.jpg",
        "tags": ["lake"],
        "flash": False,
        "altitude_m": 0.0,
        "exposure_bias_ev": 0,
        "user.tags_added": ["lake"],
    }


def test_results() -> None:
    record = Record(
        "abc",
        "Photos/a.jpg",
        width=4,
        height=3,
        media="image/jpeg",
        taken_at=datetime(2020, 2, 29, 12, 30),
        caption="a lake",
        tags=("lake", "dawn"),
    )
    why = (Reason("text", "a dog", 0.123456789, 2.5),)
    hit = Hit(1, record, WHOLE, 0.123456789, Path("/photos/a.jpg"), 0.75, why, ("ghi",))
    url = Hit(2, Record("def", "https://example.org/b.jpg"), WHOLE, 0.1, None)
    query = Query((Term("text", "a dog"),), k=2)
    results = Results(
        (hit, url), query, {"encode": 1.23456, "total": 2.0}, "tiny", ("careful",), 1, 2, 3, 4
    )
    assert json.loads(json.dumps(results_to_plain(results))) == {
        "query": "a dog",
        "query_kind": "text",
        "k": 2,
        "offset": 0,
        "took_ms": {"encode": 1.235, "total": 2.0},
        "model": "tiny",
        "warnings": ["careful"],
        "confident": 1,
        "possible": 2,
        "looked_at": 3,
        "total": 4,
        "hits": [
            {
                "rank": 1,
                "id": "abc",
                "path": str(Path("/photos/a.jpg")),
                "score": 0.123457,
                "confidence": 0.75,
                "why": [
                    {
                        "kind": "text",
                        "what": "a dog",
                        "score": 0.123457,
                        "deviations": 2.5,
                        "weight": 1.0,
                    }
                ],
                "duplicates": ["ghi"],
                "uri": "Photos/a.jpg",
                "width": 4,
                "height": 3,
                "media": "image/jpeg",
                "taken_at": "2020-02-29T12:30:00",
                "caption": "a lake",
                "tags": ["lake", "dawn"],
            },
            {
                "rank": 2,
                "id": "def",
                "path": None,
                "score": 0.1,
                "confidence": 1.0,
                "why": [],
                "duplicates": [],
                "uri": "https://example.org/b.jpg",
                "width": 0,
                "height": 0,
                "media": "",
                "taken_at": None,
                "caption": "",
                "tags": [],
            },
        ],
    }


@pytest.mark.parametrize(
    ("term", "plain"),
    [
        (Term("text", "a dog"), ("text", "a dog")),
        (Term("id", "abc"), ("id", "abc")),
        (Term("image", Path("a") / "b.jpg"), ("image", str(Path("a") / "b.jpg"))),
        (Term("image", Image.new("RGB", (2, 2))), ("image", "")),
        (Term("vector", np.ones(3, np.float32)), ("vector", "")),
    ],
    ids=["text", "id", "file", "picture", "vector"],
)
def test_queries(term: Term, plain: tuple[str, str]) -> None:
    assert query_to_plain(Query((term,))) == plain


def test_a_query_of_several_things_is_its_text() -> None:
    several = Query((Term("text", "a dog"), Term("id", "abc")), exclude=(Term("text", "snow"),))
    assert query_to_plain(several) == ("query", '"a dog" id:"abc" -"snow"')
    assert query_to_plain(Query((Term("text", "x"), Term("vector", [1.0])))) == ("query", "")
    assert query_to_plain(Query(())) == ("query", "")


def test_report() -> None:
    failure = Failure("Photos/b.jpg", "decode", "damaged", "It is cut off", "Restore it.")
    plain = report_to_plain(
        Report(added=2, known_failures=1, failures=(failure,), seconds={"total": 1.23456})
    )
    assert json.loads(json.dumps(plain)) == {
        "added": 2,
        "updated": 0,
        "moved": 0,
        "removed": 0,
        "unchanged": 0,
        "reused": 0,
        "known_failures": 1,
        "failed": 1,
        "failures": [
            {
                "uri": "Photos/b.jpg",
                "stage": "decode",
                "reason": "damaged",
                "message": "It is cut off",
                "advice": "Restore it.",
            }
        ],
        "seconds": {"total": 1.235},
        "stopped": False,
    }


def test_status() -> None:
    root = RootStatus("Photos", Path("/photos"), True, 3)
    running = {"pid": 7, "host": "here", "stage": "index", "done": 1, "total": 3, "left_s": 2.5}
    space = Space("f" * 8, 512, "clip")
    how = Acceleration("openvino", "bf16", "because")
    others = ((Space("a" * 8, 768, "siglip"), 2),)
    full = Status(
        Path("/lib"), "clip", space, 3, (root,), {"damaged": 1}, 99, running, how, "german", others
    )
    assert json.loads(json.dumps(status_to_plain(full))) == {
        "path": str(Path("/lib")),
        "model": "clip",
        "space": {"fingerprint": "ffffffff", "dim": 512},
        "texts": "german",
        "other_spaces": [{"model": "siglip", "fingerprint": "aaaaaaaa", "dim": 768, "records": 2}],
        "records": 3,
        "roots": [{"name": "Photos", "path": str(Path("/photos")), "is_there": True, "records": 3}],
        "failures": {"damaged": 1},
        "bytes_on_disk": 99,
        "running": running,
        "acceleration": {
            "runtime": "openvino",
            "precision": "bf16",
            "why": "because",
            "images": 0,
            "cosine_median": 1.0,
            "cosine_least": 1.0,
            "rank_agreement": 1.0,
        },
    }
    empty = status_to_plain(Status(Path("/lib"), "", None, 0, (), {}, 0, None))
    assert (empty["space"], empty["running"], empty["roots"]) == (None, None, [])
    assert empty["acceleration"] is None
    assert (empty["texts"], empty["other_spaces"]) == ("", [])
