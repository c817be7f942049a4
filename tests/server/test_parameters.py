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


def test_limits_of_numbers_stand_in_the_document(client: Any) -> None:
    image = id_of(client, "red")
    tried = 0
    for path, methods in client.get("/api/openapi.json").json()["paths"].items():
        for parameter in methods.get("get", {}).get("parameters", ()):
            kinds = parameter["schema"].get("anyOf", [parameter["schema"]])
            (number,) = [e for e in kinds if e.get("type") in ("integer", "number")] or [None]
            if number is None:
                continue
            for value, limits in ((-(10**6), ("minimum", "enum")), (10**9, ("maximum", "enum"))):
                there = path.replace("{image_id}", image)
                answer = client.get(there, params={parameter["name"]: value})
                if answer.status_code == 422 and "than or equal" in answer.json()["detail"]:
                    tried += 1
                    assert any(limit in number for limit in limits), (path, parameter["name"])
    assert tried > 15


def test_every_address_refuses_a_parameter_that_is_given_twice(client: Any) -> None:
    image = id_of(client, "red")
    tried = 0
    for path, methods in client.get("/api/openapi.json").json()["paths"].items():
        for method, operation in methods.items():
            for parameter in operation.get("parameters", ()):
                if parameter["in"] == "query":
                    tried += 1
                    name = parameter["name"]
                    there = path.replace("{image_id}", image)
                    answer = client.request(method, f"{there}?{name}=1&x=2&{name}=1")
                    said = answer.json()
                    assert (answer.status_code, said["subject"]) == (422, name), (method, path)
                    assert said["type"] == "urn:pixseek:problem:twice"
                    assert is_problem(answer)
    assert tried > 40
    for query in ("q=red&q=red", "%71=red&q=", "q&q", "k=1&q=red&k=1"):
        assert client.get(f"/api/search?{query}").status_code == 422
    for query in ("q=red&q=blue", "q=red&sort=name&sort=name", "library=a&library=b"):
        page = client.get(f"/?{query}")
        assert (page.status_code, "given twice" in page.text) == (422, True)
    assert client.get("/?q=red&utm_source=a&utm_source=b").status_code == 200
    twice = client.get(f"/image/{image}?q=a&q=b")
    assert (twice.status_code, "given twice" in twice.text) == (422, True)


@pytest.mark.parametrize(
    ("path", "sent"),
    [
        ("/login", "token=a&token=b"),
        ("/login", "to=/&token=a&to=/x"),
        ("/status", "do=index&do=stop"),
        ("/status", "do=index&folder=/a&folder=/b"),
        ("/copies", "ids=a&ids=b"),
        ("/export", "ids=a&format=csv&format=json"),
    ],
)
def test_forms_of_pages_hold_each_field_once(client: Any, path: str, sent: str) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = client.post(path, content=sent, headers=form)
    assert (answer.status_code, answer.json()["problem"]) == (422, "The form has a field twice")


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
    ("path", "texts", "files", "said"),
    [
        (
            "/api/search",
            {},
            {"image": PNG, "query": b"{}"},
            "A field of the form is a file: query.",
        ),
        (
            "/api/search",
            {},
            {"image": PNG, "region": b""},
            "A field of the form is a file: region.",
        ),
        ("/api/search", {"image": "a"}, {"image": PNG}, "The form has a field twice: image."),
        ("/api/classify", {"image": "a"}, {"labels": b"[]"}, "A field of the form is"),
        (
            "/api/embed",
            {},
            {"images": PNG, "texts": b'["a"]'},
            "A field of the form is a file: texts.",
        ),
        (
            "/api/embed",
            {"images": "a"},
            {"images": PNG},
            "A field of the form is not a file: images.",
        ),
    ],
)
def test_text_and_files_of_a_form_are_not_taken_for_each_other(
    client: Any, path: str, texts: dict[str, str], files: dict[str, bytes], said: str
) -> None:
    answer = client.post(path, data=texts, files=files)
    assert answer.status_code == 422
    assert said in answer.json()["detail"]


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
        ("/api/tags", {"ids": ["IMAGE"], "fields": {"a": {}}}, "fields.a. Give a text, a number,"),
        ("/api/tags", {"ids": ["IMAGE"], "fields": {"a": 10**400}}, "is too large."),
        ("/api/tags", [], "body. It must be an object."),
        ("/api/search", [], "The body is not an object."),
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


def test_prometheus_reads_the_metrics(client: Any) -> None:
    from prometheus_client.parser import text_string_to_metric_families

    client.get("/api/search", params={"q": "red"})
    text = client.get("/metrics").text
    families = {each.name: each for each in text_string_to_metric_families(text)}
    kinds = {name: family.type for name, family in families.items()}
    assert kinds == {
        "pixseek_http_requests": "counter",
        "pixseek_http_request_seconds": "histogram",
        "pixseek_search_stage_seconds": "histogram",
        "pixseek_library_images": "gauge",
        "pixseek_searches_waiting": "gauge",
    }
    assert "_created" not in text
    stages = {each.labels["stage"] for each in families["pixseek_search_stage_seconds"].samples}
    assert stages == {"encode", "search", "total"}
