"""Layouts, records by the batch, why an image matched, suggestions."""

from __future__ import annotations

import html
import io
import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from PIL import Image

import pixseek
from pixseek.library import Library
from pixseek.server.settings import Limits, Settings

from serving import Serve, id_of
from tiny_encoder import draw


def png(colour: str) -> bytes:
    made = io.BytesIO()
    Image.new("RGB", (32, 32), colour).save(made, "PNG")
    return made.getvalue()


def layout(client: Any, **params: Any) -> Any:
    answer = client.get("/api/layout", params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize(
    "params",
    [
        {"q": "red"},
        {"q": "red -blue"},
        {"q": '"red" "blue"'},
        {"q": "format:png", "sort": "oldest"},
        {"q": "red name:*e*", "sort": "name"},
        {"q": "red", "group": "true", "min_strength": "likely"},
        {"q": "nothing here name:none"},
    ],
)
def test_a_layout_has_the_hits_of_the_search(client: Any, params: dict[str, str]) -> None:
    found = layout(client, **params)
    search = client.get("/api/search", params={**params, "k": 100}).json()
    assert found["ids"] == [hit["id"] for hit in search["hits"]]
    for name in ("query", "query_kind", "strong", "likely", "total", "excluded", "warnings"):
        assert found[name] == search[name], name
    strengths = [hit["strength"] for hit in search["hits"]]
    assert [each for each, n in found["strengths"] for _ in range(n)] == strengths
    shapes = [hit["width"] / hit["height"] for hit in search["hits"]]
    assert found["aspects"] == [round(each, 3) for each in shapes]
    whole = {"query" if name == "q" else name: value for name, value in params.items()}
    whole |= {"group": True} if "group" in params else {}
    posted = client.post("/api/layout", json={**whole, "k": 1, "offset": 2}).json()
    assert {**posted, "took_ms": 0} == {**found, "took_ms": 0}


def test_without_a_query_it_is_the_library_by_date(client: Any, library: Library) -> None:
    ids = [each.id for each in library.records(sort="newest")]
    for found in (layout(client), client.post("/api/layout", json={}).json()):
        assert found["ids"] == ids
        assert (found["total"], found["strengths"]) == (4, [["strong", 4]])
        assert found["months"] == [[None, 4]]
    by_name = [each.id for each in library.records(sort="name")]
    assert layout(client, sort="name")["ids"] == by_name
    assert layout(client, sort="name")["months"] is None


def test_years_say_what_a_layout_does_not_list(serve: Serve) -> None:
    client = serve(Settings(limits=Limits(requests_a_second=0, most_layout=2)))
    whole = client.get("/api/layout").json()
    assert len(whole["ids"]) == 2 < whole["total"]
    assert sum(count for _, count in whole["years"]) == whole["total"]
    years = client.get("/api/facets").json()["year"]
    assert dict(whole["years"]) == years
    oldest = client.get("/api/layout?sort=oldest").json()["years"]
    dated = [each for each in oldest if each[0] != "none"]
    assert dated == sorted(dated)
    for path in ("?q=red&sort=newest", "?sort=name", "?q=name:red"):
        assert client.get(f"/api/layout{path}").json()["years"] is None, path


def test_a_layout_by_an_uploaded_image(client: Any) -> None:
    sent = {"image": ("x.png", png("blue"), "image/png")}
    found = client.post("/api/layout", files=sent).json()
    assert found["ids"][0] == id_of(client, "blue")
    rest = {"query": json.dumps({"where": "name:w*"})}
    found = client.post("/api/layout", files=sent, data=rest).json()
    assert found["ids"] == [id_of(client, "white")]
    why = client.post(f"/api/images/{id_of(client, 'blue')}/why", files=sent).json()
    assert (why["rank"], why["why"][0]["kind"]) == (1, "image")


def test_a_layout_follows_the_library(client: Any, library: Library, photos: Path) -> None:
    assert len(layout(client)["ids"]) == len(layout(client)["ids"]) == 4
    draw(photos / "in" / "more.png", "red", 7)
    library.index(photos)
    assert len(layout(client)["ids"]) == 5
    gone = id_of(client, "more")
    assert gone in layout(client, q="red")["ids"]
    client.delete(f"/api/images/{gone}")
    assert gone not in layout(client, q="red")["ids"]
    client.post("/api/tags", json={"ids": [id_of(client, "red")], "add": ["mine"]})
    assert layout(client, q="tag:mine")["ids"] == [id_of(client, "red")]


def test_the_limits_of_layouts_and_batches(serve: Serve) -> None:
    client = serve(Settings(limits=Limits(most_layout=2, most_records=2)))
    found = layout(client)
    assert (len(found["ids"]), found["total"]) == (2, 4)
    assert len(layout(client, q="red")["ids"]) == 2
    answer = client.get("/api/images", params={"ids": "a,b,c"})
    assert (answer.status_code, answer.json()["problem"]) == (422, "Too many images")


@pytest.mark.parametrize(
    ("path", "params", "subject"),
    [
        ("layout", {"offset": 3}, "offset"),
        ("layout", {"k": 3}, "k"),
        ("layout", {"q": "a", "sort": "best"}, "sort"),
        ("images", {}, "ids"),
        ("images", {"ids": "a", "k": 1}, "k"),
        ("suggest", {"q": "a"}, "q"),
        ("images/abc/why", {"q": "red", "k": 1}, "k"),
    ],
)
def test_unknown_and_wrong_parameters_are_named(
    client: Any, path: str, params: dict[str, Any], subject: str
) -> None:
    answer = client.get(f"/api/{path}", params=params)
    assert (answer.status_code, answer.json()["subject"]) == (422, subject)


def test_clients_may_not_name_files_in_layouts_either(client: Any) -> None:
    image = id_of(client, "red")
    for text in ("image:/etc/hostname", "red folder:/etc"):
        for path in ("layout", f"images/{image}/why"):
            assert client.get(f"/api/{path}", params={"q": text}).status_code == 422
            assert client.post(f"/api/{path}", json={"query": text}).status_code == 422
        said = client.get("/api/suggest", params={"text": f"{text} "}).json()
        assert said["problem"]


def test_records_come_in_the_order_of_their_ids(client: Any) -> None:
    red, blue = id_of(client, "red"), id_of(client, "blue")
    found = client.get("/api/images", params={"ids": f"{blue},none,{red},{blue}"}).json()["images"]
    assert [each and each["id"] for each in found] == [blue, None, red, blue]
    one = client.get(f"/api/images/{red}").json()
    assert found[2] == {name: one[name] for name in one if name not in ("path", "is_there")}


def test_why_says_what_the_hit_of_a_search_says(serve: Serve) -> None:
    for client in (serve(), serve(read_only=True)):
        for params in ({"q": "red -blue"}, {"q": "red", "sort": "name"}, {"q": "format:png"}):
            for hit in client.get("/api/search", params=params).json()["hits"]:
                answer = client.get(f"/api/images/{hit['id']}/why", params=params).json()
                rank = hit["rank"] if params["q"] != "format:png" else 0
                assert answer == {**hit, "rank": rank}
        left_out = id_of(client, "blue")
        said = client.get(f"/api/images/{left_out}/why", params={"q": "red -blue"}).json()
        assert (said["rank"], said["excluded_by"]) == (0, "blue")
    assert client.get("/api/images/none/why", params={"q": "red"}).status_code == 404
    out = client.get(f"/api/images/{left_out}/why", params={"q": "red name:red*"})
    assert (out.status_code, out.json()["type"]) == (404, "urn:pixseek:problem:no-hit")


def test_readers_see_no_path(serve: Serve, photos: Path) -> None:
    client = serve(read_only=True)
    image = id_of(client, "red")
    for path in (
        "layout?q=red",
        "layout",
        f"images?ids={image}",
        f"images/{image}/why?q=red",
        "suggest?text=folder:",
    ):
        answer = client.get(f"/api/{path}")
        assert answer.status_code == 200
        assert str(photos.parent) not in answer.text


def test_other_libraries_by_name(serve: Serve, tmp_path: Path, photos: Path) -> None:
    other = pixseek.open(tmp_path / "other")
    draw(tmp_path / "few" / "black.png", "black", 1)
    other.index(tmp_path / "few")
    first = pixseek.open(tmp_path / "lib")
    client = serve(libraries={"photos": first, "few": other})
    found = layout(client, library="few")
    assert len(found["ids"]) == 1
    for path in (f"images?ids={found['ids'][0]}", f"images/{found['ids'][0]}/why?q=black"):
        assert client.get(f"/api/{path}&library=few").status_code == 200
    assert client.get("/api/images", params={"ids": found["ids"][0]}).json() == {"images": [None]}
    assert client.get("/api/layout?library=none").status_code == 404


def test_suggestions(client: Any, library: Library) -> None:
    ids = [id_of(client, name) for name in ("red", "green", "blue")]
    library.tag(ids, add=["Summer holiday"])
    library.tag(ids[:1], add=["summit"])
    library.save_search("red", "sum of all")

    def suggested(text: str) -> list[tuple[str, str, int | None]]:
        answer = client.get("/api/suggest", params={"text": text}).json()
        assert len(answer["suggestions"]) <= 10
        for each in answer["suggestions"]:
            if each["kind"] != "field":  # each can be asked
                assert client.get("/api/search", params={"q": each["text"]}).status_code == 200
        return [(each["text"], each["kind"], each["count"]) for each in answer["suggestions"]]

    holiday = ('tag:"Summer holiday"', "value", 3)
    summit = ('tag:"summit"', "value", 1)
    assert suggested("sum") == [('@"sum of all"', "saved", None), holiday, summit]
    assert suggested("a red SUM") == [
        ('a red tag:"Summer holiday"', "value", 3),
        ('a red tag:"summit"', "value", 1),
    ]
    assert suggested("tag:sum") == suggested('tag:"sum') == [holiday, summit]
    assert suggested("red -tag:hol") == [('red -tag:"Summer holiday"', "value", 3)]
    assert suggested("@su") == [('@"sum of all"', "saved", None)]
    assert ("folder:", "field", None) in suggested("fold")
    assert ("(tag:", "field", None) in suggested("(ta")
    assert [each for each, *_ in suggested("orientation:p")] == ["orientation:portrait"]
    assert suggested("folder:in") == [('folder:"photos/in"', "value", 4)]
    assert [kind for _, kind, _ in suggested("")][:2] == ["saved", "field"]
    assert suggested('"sum') == suggested("unheard-of") == suggested("size:") == []


@pytest.mark.parametrize(
    ("text", "at", "length"),
    [
        ("red", None, None),
        ("tag:", None, None),
        ("colr:red ", 0, 8),
        ("red width:x ", 4, 7),
        ("red OR ", 4, 2),
        ('a "dog', 2, 4),
        ("size:", None, None),
        ("size:>=", 0, 7),
    ],
)
def test_what_is_wrong_with_a_text_is_said_with_its_place(
    client: Any, text: str, at: int | None, length: int | None
) -> None:
    said = client.get("/api/suggest", params={"text": text}).json()
    assert (said["at"], said["length"]) == (at, length)
    assert (said["problem"] is None) == (at is None)


@pytest.mark.parametrize("q", ["red", "format:png", "red -blue"])
def test_pages_layouts_and_counts_of_groups_agree(client: Any, q: str) -> None:
    params = {"q": q, "group_by": "name", "sort": "relevance"}
    hits = client.get("/api/search", params={**params, "k": 100}).json()["hits"]
    found = layout(client, **params)
    assert found["ids"] == [hit["id"] for hit in hits]
    assert len({hit["group"] for hit in hits}) == len(hits)
    asked = {"q": q, "group_by": "name", "ids": ",".join(found["ids"])}
    named = ("group", "others", "group_filter")
    assert client.get("/api/groups", params=asked).json()["groups"] == [
        {name: hit[name] for name in named} for hit in hits
    ]
    pages = [
        client.get("/api/search", params={**params, "k": 1, "offset": n}).json()["hits"]
        for n in range(len(hits) + 1)
    ]
    assert [hit for page in pages for hit in page] == hits
    # One image stands for the whole folder; its filter finds all.
    (one,) = client.get("/api/search", params={**params, "group_by": "folder"}).json()["hits"]
    every = client.get("/api/search", params={"q": f"{q} {one['group_filter']}"}).json()["hits"]
    assert one["others"] == 3
    assert len(every) == (len(hits) if "-" in q else 4)


def test_groups_of_a_similar_image_and_of_a_posted_query(client: Any) -> None:
    own = id_of(client, "red")
    (one,) = client.get(f"/api/images/{own}/similar", params={"group_by": "folder"}).json()["hits"]
    assert (one["group"], one["others"]) == ("in", 2)
    asked = {"terms": [{"kind": "id", "value": own}], "group_by": "folder"}
    assert client.post("/api/search", json=asked).json()["hits"] == [one]
    for field in ("tag", "nothing"):
        for path in ("search", "layout"):
            answer = client.get(f"/api/{path}", params={"q": "red", "group_by": field})
            assert answer.status_code == 422, answer.text


@pytest.mark.slow
def test_the_link_of_a_group_leads_to_its_library_and_keeps_the_search(
    serve: Serve, library: Library, tmp_path: Path
) -> None:
    draw(tmp_path / "more" / "deep" / "red.png", "red", 7)
    other = pixseek.open(tmp_path / "lib2")
    other.index(tmp_path / "more")
    client = serve(libraries={"photos": library, "more": other})
    params = {"q": "red", "library": "more", "group_by": "folder", "sort": "name", "facets": "1"}
    page = client.get("/", params=params).text
    (link,) = re.findall(r'<a class=others href="([^"]+)"', page)
    asked = parse_qs(urlsplit(html.unescape(link)).query)
    assert asked == {"q": ['red folder:="deep"'], "library": ["more"], "sort": ["name"]}
    del params["facets"]
    ids = layout(client, **params)["ids"]
    del params["sort"]
    given = {**params, "ids": ",".join(ids)}
    (group,) = client.get("/api/groups", params=given).json()["groups"]
    assert (group["group"], group["others"]) == ("deep", 0)
