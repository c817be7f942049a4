"""Bodies of other types, JSON that is none, forms that are broken or too large, odd texts."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pixseek.library import Library
from pixseek.server.settings import Limits, Settings

from image_files import halves, saved
from serving import Serve, id_of, is_problem

#: Every address that takes a body.
ADDRESSES = [
    ("POST", "/api/search"), ("POST", "/api/tags"), ("POST", "/api/jobs"), ("POST", "/api/embed"),
    ("POST", "/api/classify"), ("PUT", "/api/saved/x"), ("POST", "/api/images"),
]  # fmt: skip
TAKES_JSON = ADDRESSES[:-1]
TAKES_FORMS = [each for each in ADDRESSES if each[1].endswith(("search", "embed", "fy", "images"))]

JSON = {"Content-Type": "application/json"}


@pytest.fixture
def asked(serve: Serve, tmp_path: Any) -> Any:
    return serve(Settings(uploads=tmp_path / "uploads", limits=Limits(requests_a_second=0)))


def test_other_types_are_refused(asked: Any) -> None:
    """A form of another site can send text/plain and two more without asking (CSRF)."""
    for kind in ("text/plain", "application/x-www-form-urlencoded", "application/xml", "", "json"):
        for method, path in ADDRESSES:
            answer = asked.request(
                method, path, content=b'{"query": "red"}', headers={"Content-Type": kind}
            )
            assert answer.status_code == 415, (kind, method, path)
            assert is_problem(answer)


NOT_JSON = [
    b"", b"{", b"{]", b'{"k": 01}', b"[" * 100_000, b'{"a":' * 50_000, b'{"k": NaN}',
    b'{"k": Infinity}', b'{"k": -Infinity}', b"\xff\xfe", b'"\xc3"', b'{"k": ' + b"9" * 5000 + b"}",
    b"{'k': 1}", b'{"k": 1,}', b"null", b"true", b"1", b'"red"', b"[]", b'[{"query": "red"}]',
    b'{"query": "red"} {"query": "blue"}', b"\x00", b'{"k": 0x10}', b'{"k": 1e999}',
    b'{"k": -1e999}', b"// no\n{}",
]  # fmt: skip


def test_what_is_not_json_is_refused(asked: Any) -> None:
    for content in NOT_JSON:
        for method, path in TAKES_JSON:
            answer = asked.request(method, path, content=content, headers=JSON)
            assert answer.status_code == 422, (content[:50], method, path, answer.text)
            assert is_problem(answer), (content[:50], path)
            assert len(answer.content) < 2000


@pytest.mark.parametrize(
    ("path", "sent", "name"),
    [
        ("/api/search", b'{"query": "red", "k": 1, "k": 2}', "k"),
        ("/api/search", b'{"where": {"field": "width", "op": "ge", "op": "le"}}', "op"),
        ("/api/tags", b'{"ids": ["a"], "add": ["x"], "add": ["y"]}', "add"),
        ("/api/jobs", b'{"kind": "index", "kind": "reread"}', "kind"),
        ("/api/embed", b'{"texts": ["a"], "texts": ["b"]}', "texts"),
    ],
)
def test_a_name_that_is_given_twice_is_refused(
    asked: Any, path: str, sent: bytes, name: str
) -> None:
    answer = asked.post(path, content=sent, headers=JSON)
    assert (answer.status_code, answer.json()["subject"]) == (422, name)
    assert is_problem(answer)


ODD_TEXTS = [
    "\ud800", "a\udfff", "a\x00b", "\u202e", "<script>", "' OR 1=1 --", "../../x", "x" * 9_000,
    "\N{FAMILY}" * 100, " ", "{{7*7}}",
]  # fmt: skip


def test_odd_texts_anywhere_are_kept_or_refused(asked: Any, library: Library) -> None:
    image = id_of(asked, "red")
    for text in ODD_TEXTS:
        bodies: list[tuple[str, str, Any]] = [
            ("POST", "/api/tags", {"ids": [text], "add": ["a"]}),
            ("POST", "/api/tags", {"ids": [image], "add": [text]}),
            ("POST", "/api/tags", {"ids": [image], "remove": [text]}),
            ("POST", "/api/tags", {"ids": [image], "caption": text}),
            ("POST", "/api/tags", {"ids": [image], "fields": {"note": text}}),
            ("POST", "/api/tags", {"ids": [image], "fields": {text: 1}}),
            ("POST", "/api/tags", {"ids": [image], "clear": [text]}),
            ("POST", "/api/search", {"query": text}),
            ("POST", "/api/search", {"query": f'"{text}"', "where": text}),
            ("POST", "/api/search", {"terms": [{"kind": "text", "value": text}]}),
            ("POST", "/api/search", {"terms": [{"kind": "id", "value": text}]}),
            ("POST", "/api/search", {"terms": [{"kind": text, "value": text}]}),
            ("POST", "/api/search", {"where": {"field": text, "op": "eq", "value": 1}}),
            ("POST", "/api/search", {"where": {"field": "tag", "op": "eq", "value": text}}),
            ("POST", "/api/search", {"query": "red", "sort": text, text: 1}),
            ("POST", "/api/jobs", {"kind": text}),
            ("POST", "/api/jobs", {"folder": text}),
            ("POST", "/api/embed", {"texts": [text]}),
            ("POST", "/api/embed", {"images": [text]}),
            ("POST", "/api/classify", {"id": image, "labels": [text, "red"]}),
            ("PUT", "/api/saved/x", {"query": text}),
        ]  # fmt: skip
        for method, path, body in bodies:
            # `ensure_ascii` sends lone surrogates as escapes, which is valid JSON.
            answer = asked.request(method, path, content=json.dumps(body), headers=JSON)
            assert answer.status_code in (200, 202, 404, 422), (text[:20], path, answer.text[:500])
            assert answer.status_code < 300 or is_problem(answer), (text[:20], path)
        for path in ("/api/search", "/api/facets", "/api/layout", "/api/suggest"):
            sent = text.encode("utf-8", "surrogatepass")
            answer = asked.get(path, params={"q": sent})
            assert answer.status_code in (200, 404, 422), (text[:20], path, answer.text[:500])
    assert asked.get(f"/api/images/{image}").status_code == 200
    assert asked.get("/api/search?q=red").status_code == 200
    assert library.get(image) is not None


def form(*parts: bytes, boundary: bytes = b"x") -> tuple[bytes, dict[str, str]]:
    body = b"".join(b"--" + boundary + b"\r\n" + part + b"\r\n" for part in parts)
    kind = {"Content-Type": f"multipart/form-data; boundary={boundary.decode()}"}
    return body + b"--" + boundary + b"--\r\n", kind


def part(name: bytes, content: bytes, file: bytes | None = b"x.png") -> bytes:
    filename = b"" if file is None else b'; filename="' + file + b'"'
    return (
        b'Content-Disposition: form-data; name="' + name + b'"' + filename + b"\r\n\r\n" + content
    )


PNG = saved(halves(), "PNG")
NO_FORMS = [
    form(*[part(b"image", b"x", None)] * 10_000),
    form(*[part(b"image", b"")] * 10_000),
    form(*[part(b"n%d" % n, b"1", None) for n in range(100)], part(b"image", PNG)),
    form(part(b"query", b"x" * (2 << 20), None), part(b"image", PNG)),
    form(part(b"query", b"[" * 50_000, None), part(b"labels", b"[" * 50_000, None),
         part(b"texts", b"[" * 50_000, None), part(b"images", b"x"), part(b"image", PNG)),
    form(b"\r\n" + PNG),
    form(b"Content-Disposition: attachment\r\n\r\n" + PNG),
    form(b"X" * 100_000 + b": 1\r\n\r\n" + PNG),
    form(b"Content-Disposition: form-data; name*=utf-8''%ff%fe; filename=x\r\n\r\n" + PNG),
    (form(part(b"image", PNG))[0], {"Content-Type": "multipart/form-data"}),
    (b"", {"Content-Type": "multipart/form-data; boundary=x"}),
    (b"--x\r\n", {"Content-Type": "multipart/form-data; boundary=x"}),
    (b"--x\r\nContent-Disposition: form-data; name=\"image\"; filename=\"a\"\r\n\r\n" + PNG,
     {"Content-Type": "multipart/form-data; boundary=x"}),
    (PNG, {"Content-Type": "multipart/form-data; boundary=" + "x" * 5000}),
    (PNG, {"Content-Type": "multipart/form-data; boundary="}),
    (PNG, {"Content-Type": 'multipart/form-data; boundary="\\"'}),
]  # fmt: skip


def test_broken_and_huge_forms_are_refused(asked: Any, tmp_path: Any) -> None:
    for content, kind in NO_FORMS:
        for method, path in TAKES_FORMS:
            answer = asked.request(method, path, content=content, headers=kind)
            assert answer.status_code in (413, 422), (content[:60], path, answer.text[:300])
            assert is_problem(answer)
    assert asked.get("/api/search?q=red").status_code == 200
    assert not (tmp_path / "uploads").exists()  # nothing of them was stored


FILES = [saved(halves(), each) for each in ("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF")]


@settings(max_examples=40, suppress_health_check=list(HealthCheck), deadline=None)
@given(st.data())
def test_broken_images_are_refused(asked: Any, data: st.DataObject) -> None:
    """Valid files with some bytes changed, cut out or doubled."""
    content = bytearray(data.draw(st.sampled_from(FILES)))
    for _ in range(data.draw(st.integers(1, 4))):
        at, count = data.draw(st.integers(0, len(content))), data.draw(st.integers(0, 40))
        change = data.draw(st.sampled_from(("set", "cut", "twice", "end")))
        if change == "set":
            content[at : at + count] = data.draw(st.binary(min_size=count, max_size=count))
        elif change == "cut":
            del content[at : at + count]
        elif change == "twice":
            content[at:at] = content[at : at + count]
        else:
            del content[max(at, 1) :]
    sent = bytes(content)
    path = data.draw(st.sampled_from(("/api/search", "/api/classify", "/api/embed")))
    files = [("images" if path.endswith("embed") else "image", ("x", sent))]
    answer = asked.post(path, files=files, data={"labels": '["a", "b"]'})
    assert answer.status_code in (200, 422), answer.text
    assert answer.status_code == 200 or is_problem(answer)


def test_many_uploads_at_once_are_answered(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """No more of them are in memory at once than the limit says, and the others wait."""
    from pixseek.server import search_routes

    inside, most, lock = 0, 0, threading.Lock()
    decoded = search_routes.picture_of

    def counted(*given_: Any) -> Any:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        try:
            return decoded(*given_)
        finally:
            with lock:
                inside -= 1

    monkeypatch.setattr(search_routes, "picture_of", counted)
    client = serve(Settings(limits=Limits(requests_a_second=0, uploads_at_once=2)))
    good = {"image": ("x.png", PNG, "image/png")}
    bad = {"image": ("x.png", PNG[:50], "image/png")}
    with ThreadPoolExecutor(12) as pool:
        sent = [good, bad] * 12
        statuses = list(
            pool.map(lambda each: client.post("/api/search", files=each).status_code, sent)
        )
    assert statuses == [200, 422] * 12
    assert most == 2


@pytest.mark.slow
@pytest.mark.wide  # some are decoded until their time is over: four minutes
def test_odd_files_of_the_world_are_answered(serve: Serve, shared: Any, tmp_path: Any) -> None:
    """Each odd or broken file of the test material, and halves of it, many at once."""
    client = serve(Settings(uploads=tmp_path / "uploads", limits=Limits(requests_a_second=0)))
    contents = [path.read_bytes() for path in sorted((shared / "images" / "odd").iterdir())]
    contents += [each[: len(each) // 2] for each in contents]

    def asked(content: bytes) -> Any:
        return client.post("/api/search", files={"image": ("x", content)})

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(asked, contents))
    for answer in answers:
        assert answer.status_code in (200, 422), answer.text
        assert answer.status_code == 200 or is_problem(answer)
    assert sum(answer.status_code == 200 for answer in answers) > 20
    assert sum(answer.status_code == 422 for answer in answers) > 20
    files = [("images", (f"{n}.jpg", each)) for n, each in enumerate(contents[:90])]
    answer = client.post("/api/images", files=files)  # one that can't be read: none is stored
    assert answer.status_code == 422
    assert is_problem(answer)
    assert not (tmp_path / "uploads").exists()
    assert client.get("/api/search?q=red").status_code == 200
