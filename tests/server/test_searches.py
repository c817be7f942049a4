"""Searching over HTTP gives what the library gives."""

from __future__ import annotations

import asyncio
import io
import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pixseek import wire
from pixseek.library import Library
from pixseek.server.access import Rights
from pixseek.server.searching import ClientGoneError, Searches
from pixseek.server.settings import Limits, Settings

from serving import Serve, id_of, is_problem


def names(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [hit["uri"].rpartition("/")[2] for hit in answer.json()["hits"]]


def png(colour: str) -> bytes:
    made = io.BytesIO()
    Image.new("RGB", (32, 32), colour).save(made, "PNG")
    return made.getvalue()


def test_a_search_gives_what_the_library_gives(client: Any, library: Library) -> None:
    answer = client.get("/api/search", params={"q": "red -blue", "k": 3}).json()
    same = json.loads(json.dumps(wire.results_to_plain(library.search("red -blue", k=3))))
    for each in (answer, same):
        del each["took_ms"]
    assert answer == same
    assert client.get("/api/search", params={"q": "red", "k": 1, "offset": 1}).json()["offset"] == 1


def test_a_search_can_look_at_every_image(client: Any, library: Library) -> None:
    asked: list[bool] = []
    near = type(library.opened.engine).nearest

    def nearest(self: Any, *args: Any, exact: bool = False, **named: Any) -> Any:
        asked.append(exact)
        return near(self, *args, exact=exact, **named)

    every = {"exact": True, "breadth": len(library)}
    one = library.search("red").hits[0].id
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(library.opened.engine), "nearest", nearest)
        for answer in (
            client.get("/api/search?q=red&exact=true"),
            client.post("/api/search", json={"query": "red", "exact": True}),
            client.get(f"/api/images/{one}/similar?exact=true"),
        ):
            assert answer.json()["search"] == every
        assert asked == [True] * 3
        client.get("/api/search?q=blue")
        assert not asked[-1]
    assert client.get("/api/search?q=red&exact=maybe").status_code == 422


def test_a_query_in_json_is_the_same_search(client: Any) -> None:
    whole = {"query": "red", "where": "format:png", "k": 2}
    assert names(client.post("/api/search", json=whole)) == names(
        client.get("/api/search?q=red format:png&k=2")
    )
    assert client.post("/api/search", json={"quary": "red"}).status_code == 422
    assert client.post("/api/search", content=b"{", headers=JSON).status_code == 422
    assert client.post("/api/search", content=b"[1]", headers=JSON).status_code == 422
    assert client.post("/api/search", content=b"{}").status_code == 415


JSON = {"Content-Type": "application/json"}


def test_an_uploaded_image_finds_what_is_like_it(client: Any) -> None:
    sent = {"image": ("x.png", png("blue"), "image/png")}
    assert names(client.post("/api/search", files=sent))[0] == "blue.png"
    words = {"query": json.dumps({"query": "red", "text_weight": 0})}
    heavy = client.post("/api/search", files=sent, data={**words, "weight": "9"})
    assert names(heavy)[0] == "blue.png"
    assert names(client.post("/api/search", files=sent, data={**words, "weight": ".1"}))[0] == (
        "red.png"
    )
    for wrong in ("0", "much", "nan", "inf", "1e9"):
        refused = client.post("/api/search", files=sent, data={"weight": wrong})
        assert refused.status_code == 422, wrong
    rest = {"query": json.dumps({"where": "name:w*", "k": 5})}
    assert names(client.post("/api/search", files=sent, data=rest)) == ["white.png"]
    counted = client.post("/api/facets", files=sent, data=rest).json()
    assert counted["format"] == {"PNG": 1}
    whole = client.post("/api/facets", json={"query": "blue", "where": "format:png"}).json()
    assert whole == client.get("/api/facets?q=blue format:png").json()
    half = io.BytesIO()
    both = Image.new("RGB", (64, 32), (220, 30, 30))
    both.paste((30, 180, 30), (32, 0, 64, 32))
    both.save(half, "PNG")
    sent = {"image": ("x.png", half.getvalue(), "image/png")}
    right = {"region": "0.5,0,0.5,1"}
    assert names(client.post("/api/search", files=sent, data=right))[0] == "green.png"


def test_what_is_no_image_is_a_problem(client: Any) -> None:
    sent = {"image": ("x.png", b"no image at all", "image/png")}
    answer = client.post("/api/search", files=sent)
    assert (answer.status_code, answer.json()["type"]) == (422, "urn:pixseek:problem:image")
    assert client.post("/api/search", data={"query": "{}"}, files={}).status_code in (415, 422)


def test_similar_images_by_id_and_region(client: Any) -> None:
    image = id_of(client, "green")
    assert "green.png" not in names(client.get(f"/api/images/{image}/similar"))
    assert names(client.get(f"/api/images/{image}/similar?region=0,0,0.5,0.5&k=2"))
    for wrong in ("0,0", "a,b,c,d", "0,0,0,0", "nan,0,1,1", "1e400,0,1,1"):
        assert client.get(f"/api/images/{image}/similar?region={wrong}").status_code == 422
    assert client.get("/api/images/unknown/similar").status_code == 404


@pytest.mark.parametrize(
    "query",
    [
        {"query": "image:/etc/hostname"},
        {"query": "image:photos/in/red.png"},
        {"query": "a dog image:~/x.jpg"},
        {"query": "a -image:/etc/hostname"},
        {"terms": [{"kind": "image", "value": "/etc/hostname"}]},
        {"terms": [{"kind": "image", "value": "file:///etc/hostname"}]},
        {"exclude": [{"kind": "image", "value": "../x.jpg"}]},
        {"terms": [{"kind": "text", "value": "a",
                    "alternatives": [{"kind": "image", "value": "/etc/hostname"}]}]},
        {"terms": [{"kind": "image", "value": "http://127.0.0.1:1/x.jpg"}]},
        {"query": "folder:/etc"},
        {"query": "red folder:~/x"},
        {"where": {"not": {"field": "folder", "op": "under", "value": "/etc"}}},
        {"query": "red", "k": 5000},
        {"query": "red", "offset": 20_000},
    ],
)  # fmt: skip
def test_what_clients_may_not_ask(client: Any, query: dict[str, Any]) -> None:
    answer = client.post("/api/search", json=query)
    assert (answer.status_code, answer.json()["type"]) == (422, "urn:pixseek:problem:query")
    if set(query) == {"query"}:
        assert client.get("/api/search", params={"q": query["query"]}).status_code == 422
        assert client.get("/api/facets", params={"q": query["query"]}).status_code == 422
        assert client.put("/api/saved/x", json=query).status_code == 422


def test_an_image_of_the_library_is_not_named_by_its_place(client: Any, photos: Path) -> None:
    for place in (photos / "in" / "red.png", "photos/in/red.png"):
        assert client.get("/api/search", params={"q": f"id:{place}"}).status_code == 422
        encoded = str(place).replace("/", "%2F")
        assert client.get(f"/api/images/{encoded}").status_code == 404
        assert client.get(f"/api/images/{encoded}/similar").status_code == 404


#: Each limit: what is allowed at most, and what is more.
LIMITS = [
    ({"query": "red", "k": 1000}, {"query": "red", "k": 1001}),
    ({"query": "red", "offset": 19_980, "k": 20}, {"query": "red", "offset": 19_980, "k": 21}),
    ({"query": "x" * 10_000}, {"query": "x" * 10_001}),
    ({"query": " ".join(f'"w{n}"' for n in range(64))},
     {"query": " ".join(f'"w{n}"' for n in range(65))}),
    ({"terms": [{"kind": "text", "value": f"w{n}"} for n in range(64)]},
     {"terms": [{"kind": "text", "value": f"w{n}"} for n in range(65)]}),
    ({"where": {"or": [{"field": "width", "op": "eq", "value": n} for n in range(50)]}},
     {"where": {"or": [{"field": "width", "op": "eq", "value": n} for n in range(30_000)]}}),
    ({"query": "a", "where": "(" * 10 + "format:png" + ")" * 10},
     {"query": "a", "where": "(" * 3000 + "format:png" + ")" * 3000}),
    ({"query": "(red OR blue) (a OR b) (c OR d) (e OR f)"},
     {"query": "(red OR blue) (a OR b) (c OR d) (e OR f) (g OR h)"}),
]  # fmt: skip


def test_queries_have_limits(client: Any) -> None:
    for allowed, more in LIMITS:
        answer = client.post("/api/search", json=allowed)
        assert answer.status_code == 200, (str(allowed)[:80], answer.text[:300])
        answer = client.post("/api/search", json=more)
        assert answer.status_code in (413, 422), str(more)[:80]
        assert is_problem(answer)


@pytest.mark.usefixtures("library")
def test_requests_have_limits(client: Any) -> None:
    image, few, many = id_of(client, "red"), 256, 257
    for path, allowed, more in (
        ("/api/embed", {"texts": ["a"] * few}, {"texts": ["a"] * many}),
        ("/api/embed", {"texts": ["a" * 10_000]}, {"texts": ["a" * 10_001]}),
        ("/api/classify", {"id": image, "labels": [f"l{n}" for n in range(few)]},
         {"id": image, "labels": [f"l{n}" for n in range(many)]}),
        ("/api/tags", {"ids": [image] * 1000, "add": ["a"]}, {"ids": [image] * 1001, "add": ["a"]}),
    ):  # fmt: skip
        assert client.post(path, json=allowed).status_code == 200, path
        answer = client.post(path, json=more)
        assert answer.status_code == 422, path
        assert is_problem(answer)


def test_a_saved_search_of_the_owner_may_hold_an_example(
    client: Any, library: Library, photos: Path
) -> None:
    example = f"image:{photos}/in/red.png"
    library.save_search(example, "like this")
    assert names(client.get("/api/search", params={"q": '@"like this" name:red'})) == ["red.png"]
    for between in (" ", "\t", "\n", "\u00a0", "\u3000", " AND ", "\tAND\n", " -", "\t-"):
        for name in ('@"like this"', "@like this", "\t@“like this”"):
            typed = {"q": f"{name}{between}{example}"}
            answer = client.get("/api/search", params=typed)
            assert (answer.status_code, "by a path" in answer.text) == (422, True), typed
            answer = client.post("/api/search", json={"query": typed["q"]})
            assert (answer.status_code, "by a path" in answer.text) == (422, True), typed
    body = {"query": '@"like this" name:red', "where": "format:png", "k": 1}
    assert names(client.post("/api/search", json=body)) == ["red.png"]
    upload = {"files": {"image": png("blue")}, "data": {"query": '{"query": "@like this"}'}}
    both = client.post("/api/search", **upload).json()
    assert len(both["hits"][0]["why"]) == 2
    assert client.get("/api/suggest", params={"text": '@"like this"'}).json()["problem"] is None


def test_readers_run_saved_searches_and_see_no_place_in_them(
    serve: Serve, library: Library, photos: Path
) -> None:
    image = library.search("name:red")[0].id
    for name, text, found in (
        ("example", f"image:{photos}/in/red.png", "red.png"),
        ("part", f'"a thing" -image:{photos}/in/red.png', None),
        ("folder", f"folder:{photos}/in name:red", "red.png"),
        ("gone", f"image:{photos}/in/gone.png", ""),
        ("elsewhere", "red -folder:/somewhere/else", ""),
    ):
        library.save_search(text, name)
        tokens: dict[str, Rights] = {"r" * 20: "read", "w" * 20: "write"}
        client = serve(bound_to="0.0.0.0", tokens=tokens)
        reader, writer = ({"Authorization": f"Bearer {each}"} for each in tokens)
        for path in (
            "/api/search?q=@{}", "/api/search?q=@{}&show_excluded=true", "/api/parts?q=@{}",
            "/api/facets?q=@{}", "/api/layout?q=@{}", "/api/saved", "/?q=@{}&facets=1",
            "/api/suggest?text=@{}", f"/api/images/{image}/why?q=@{{}}", f"/facts/{image}?q=@{{}}",
        ):  # fmt: skip
            answer = client.get(path.format(name), headers=reader)
            assert str(photos) not in answer.text, path
            assert "somewhere" not in answer.text, path
            assert answer.status_code < 500, path
        said = {
            each["name"]: each["text"] for each in client.get("/api/saved", headers=reader).json()
        }
        assert said[name] == ""
        said = {
            each["name"]: each["text"] for each in client.get("/api/saved", headers=writer).json()
        }
        assert str(photos) in said[name] or "somewhere" in said[name]
        answer = client.get(f"/api/search?q=@{name}", headers=reader)
        assert answer.status_code == (422 if found == "" else 200), answer.text
        body = client.post("/api/search", json={"query": f"@{name}"}, headers=reader)
        assert (body.status_code, str(photos) in body.text) == (answer.status_code, False)
        if found:
            assert names(answer)[0] == found
    # What can't be typed has a name, and the rest of the query can be taken away beside it.
    for text, shown, without in (
        ("@example", ["example"], [""]),
        ("@part", ["part"], [""]),
        ('@"example" -blue format:png', ["example", "blue", "format:png"],
         ["-blue format:png", '@"example" format:png', '@"example" -"blue"']),
        ("@folder red", ["red", 'path:^="photos/in"', "name:red"], None),
    ):  # fmt: skip
        parts = client.get("/api/parts", params={"q": text}, headers=reader).json()
        assert [part["shown"] for part in parts] == shown, text
        assert without is None or [part["without"] for part in parts] == without, text


@pytest.mark.usefixtures("library")
def test_saved_searches_come_and_go(client: Any) -> None:
    assert client.put("/api/saved/Reds", json={"query": "red", "k": 1}).json() == {"name": "Reds"}
    assert client.get("/api/saved").json() == [{"name": "Reds", "text": "red"}]
    assert len(names(client.get("/api/search?q=@reds"))) >= 1
    assert client.delete("/api/saved/Reds").json() == {"forgotten": "Reds"}
    assert client.delete("/api/saved/Reds").status_code == 404


def test_unknown_parameters_are_refused_by_name(client: Any) -> None:
    answer = client.get("/api/search?q=red&kk=3")
    assert answer.status_code == 422
    assert answer.json()["subject"] == "kk"
    assert "'k'" in answer.json()["advice"]
    for path in ("/api/status?x=1", "/api/images/a?x=1"):
        assert client.get(path).status_code == 422, path
    # Those who share the address of a page append things of their own.
    assert client.get("/?x=1").status_code == 200
    for wrong in ("k=1.0", "k=-1", "k=a", "variety=2", "sort=size", "variety=nan"):
        assert client.get(f"/api/search?q=red&{wrong}").status_code == 422, wrong


def test_several_libraries_are_chosen_by_name(
    serve: Serve, library: Library, tmp_path: Path
) -> None:
    import pixseek

    other = pixseek.open(tmp_path / "other")
    client = serve(libraries={"photos": library, "shop": other})
    assert [each["name"] for each in client.get("/api/libraries").json()] == ["photos", "shop"]
    assert client.get("/api/search?q=red").json()["total"] == 4
    assert client.get("/api/search?q=red&library=shop").json()["total"] == 0
    answer = client.get("/api/search?q=red&library=shp")
    assert answer.status_code == 404
    assert "'shop'" in answer.json()["advice"]


class Connection:
    """What `Searches` needs of a request: whether the client goes away."""

    def __init__(self) -> None:
        self.gone = asyncio.Event()

    async def receive(self) -> dict[str, str]:
        await self.gone.wait()
        return {"type": "http.disconnect"}


class Slow:
    """A library whose first answer waits until it is told to."""

    def __init__(self) -> None:
        self.may_answer, self.calls = threading.Event(), []

    def search_many(self, queries: Any) -> Any:
        self.calls.append(list(queries))
        assert self.may_answer.wait(20)
        from pixseek.types import Results

        return [Results((), each, {}, "") for each in queries]


def test_waiting_queries_are_answered_together_without_those_who_left() -> None:
    async def play() -> tuple[Slow, list[Any]]:
        library = Slow()
        searches = Searches(library, most_waiting=5)  # type: ignore[arg-type]
        clients = [Connection() for _ in range(8)]
        asked = []
        for n, client in enumerate(clients):
            asked.append(asyncio.create_task(searches.answer(n, client)))  # type: ignore[arg-type]
            await asyncio.sleep(0.02)
            while len(library.calls) < min(n + 1, 2):  # the first two are asked at once
                await asyncio.sleep(0.001)
        clients[4].gone.set()
        await asyncio.sleep(0.02)
        library.may_answer.set()
        ended = await asyncio.gather(*asked, return_exceptions=True)
        searches.close()
        return library, ended

    library, ended = asyncio.run(play())
    assert library.calls == [[0], [1], [2, 3, 5], [6]]  # two calls at once share what waits
    assert isinstance(ended[4], ClientGoneError)
    assert "Too many searches" in str(ended[7])
    assert [each.query for n, each in enumerate(ended) if n not in (4, 7)] == [0, 1, 2, 3, 5, 6]


def test_clients_that_ask_again_and_again_stay_together() -> None:
    class Busy(Slow):
        def search_many(self, queries: Any) -> Any:
            time.sleep(0.02)
            return super().search_many(queries)

    async def play() -> Slow:
        library = Busy()
        library.may_answer.set()
        searches = Searches(library, most_waiting=50)  # type: ignore[arg-type]

        async def ask(client: int) -> None:
            for n in range(6):
                await searches.answer((client, n), Connection())  # type: ignore[arg-type]

        await asyncio.gather(*map(ask, range(12)))
        searches.close()
        return library

    sizes = [len(call) for call in asyncio.run(play()).calls]
    assert (sum(sizes), sizes[:1]) == (72, [6])
    assert max(sizes) <= 6
    assert len(sizes) <= 18  # 12 calls of 6, but for clients that were late


def test_one_query_that_fails_takes_no_other_with_it(client: Any) -> None:
    from concurrent.futures import ThreadPoolExecutor

    queries = ["red", "id:unknown", "green", "near:99,999,1km", "blue"] * 4
    with ThreadPoolExecutor(8) as pool:
        statuses = list(
            pool.map(lambda q: client.get("/api/search", params={"q": q}).status_code, queries)
        )
    assert statuses == [200, 422, 200, 422, 200] * 4


def test_an_upload_has_limits(serve: Serve) -> None:
    client = serve(Settings(limits=Limits(upload_bytes=20_000, upload_pixels=1000, upload_count=3)))
    big = {"image": ("x.png", b"x" * 30_000, "image/png")}
    answer = client.post("/api/search", files=big)
    assert (answer.status_code, answer.headers["content-type"]) == (413, "application/problem+json")
    many = {"image": ("x.png", png("red"), "image/png")}  # 32 x 32 is 1,024 pixels
    assert client.post("/api/search", files=many).status_code == 422
    small = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(small, "PNG")
    files = [("images", ("x.png", small.getvalue()))]
    assert client.post("/api/embed", files=files * 3).status_code == 200
    assert client.post("/api/embed", files=files * 4).status_code == 422


def test_uploads_are_decoded_in_a_process_of_their_own(
    client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def here(*_: Any, **__: Any) -> None:
        raise AssertionError("decoded in the server's process")

    monkeypatch.setattr(Image, "open", here)
    for content, status in ((png("blue"), 200), (b"\x89PNG\r\n\x1a\nno", 422)):
        for path in ("/api/search", "/api/classify", "/api/embed"):
            name = "images" if path == "/api/embed" else "image"
            sent = {name: ("x.png", content, "image/png")}
            data = {"labels": '["red", "blue"]'} if path == "/api/classify" else {}
            answer = client.post(path, files=sent, data=data)
            assert answer.status_code == status, (path, answer.text)


@pytest.mark.parametrize(
    "name", ["a/b", "a%2Fb", "/", "", "%20", "%2e%2e", "a%00b", "x" * 101, "-a"]
)
def test_names_that_no_saved_search_has_are_refused(client: Any, name: str) -> None:
    answer = client.put(f"/api/saved/{name}", json={"query": "red"})
    assert (answer.status_code, answer.json()["problem"]) == (
        422, "This can't be the name of a search",
    )  # fmt: skip
    assert is_problem(answer)
    assert client.delete(f"/api/saved/{name}").status_code == 404
    assert client.get("/api/saved").json() == []
