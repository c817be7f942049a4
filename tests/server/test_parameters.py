"""Unknown names and wrong values are refused in words that help."""

from __future__ import annotations

import json
from typing import Any

import pytest

from image_files import halves, saved
from serving import id_of, is_problem

PNG = saved(halves(), "PNG")


def test_every_address_refuses_an_unknown_parameter_by_its_name(client: Any) -> None:
    image = id_of(client, "red")
    for path, methods in client.get("/api/openapi.json").json()["paths"].items():
        if "get" in methods:
            answer = client.get(path.replace("{image_id}", image), params={"colr": "1"})
            assert (answer.status_code, answer.json()["subject"]) == (422, "colr"), path
            assert is_problem(answer)


@pytest.mark.parametrize(
    ("path", "field"),
    [("/api/search", "image"), ("/api/classify", "image"), ("/api/embed", "images")],
)
def test_forms_hold_known_fields_once(client: Any, path: str, field: str) -> None:
    texts = {"/api/classify": {"labels": '["a"]'}}.get(path, {})
    assert client.post(path, files=[(field, PNG)], data=texts).status_code == 200
    answer = client.post(path, files=[(field, PNG)], data={**texts, "k": "3"})
    assert (answer.status_code, answer.json()["subject"]) == (422, "k")
    twice = client.post(path, files=[(field, PNG), (field, PNG)], data=texts)
    assert twice.status_code == (200 if field == "images" else 422)


@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        ("/api/classify", {"id": "IMAGE", "labels": ["a"], "k": 1}, "Unknown name: k."),
        ("/api/classify", {"labels": ["a"]}, "There is no image."),
        ("/api/classify", {"id": "IMAGE", "labels": ["a", " "]}, "A label is empty"),
        ("/api/embed", {"text": ["a"]}, "Unknown name: text. Did you mean 'texts'?"),
        ("/api/tags", {"ids": ["IMAGE"]}, "Nothing to change. Give at least one of add,"),
        ("/api/tags", {"ids": []}, "ids. It must have at least 1 item."),
        ("/api/tags", {"ids": ["IMAGE"], "rating": 7}, "It must be less than or equal to 5."),
        ("/api/tags", {"ids": ["IMAGE"], "rating": "x"}, "rating. A whole number is needed."),
        ("/api/jobs", {"retry": "maybe"}, "retry. It must be true or false."),
        ("/api/search", {"x" * 20_000: "a"}, "…"),
    ],
)  # fmt: skip
def test_wrong_bodies_are_refused_in_words(client: Any, path: str, body: Any, said: str) -> None:
    sent = json.loads(json.dumps(body).replace("IMAGE", id_of(client, "red")))
    answer = client.post(path, json=sent)
    assert answer.status_code == 422
    assert said in answer.json()["detail"]
    assert len(answer.content) < 5_000


def test_methods_that_clients_make_up_are_counted_as_one(client: Any) -> None:
    for n in range(5):
        assert client.request(f"ODD{n}", "/healthz").status_code == 405
    counted = client.get("/metrics").text
    assert "ODD" not in counted
    assert (
        'pixseek_http_requests_total{method="other",route="/healthz",status="405"} 5.0' in counted
    )
