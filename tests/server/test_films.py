"""Videos over HTTP: moments in answers, frames of shots, ranges of files."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from starlette.testclient import TestClient

from coloured_films import film
from pixseek.library import Library

from serving import Serve
from tiny_encoder import COLOURS

#: What begins as a video does.
CONTENT = b"\0\0\0\x18ftypmp42" + bytes(range(256)) * 40


@pytest.fixture
def client(library: Library, photos: Path, serve: Serve) -> TestClient:
    film(library, "photos/party.mp4", ["red", "green", "blue", "red"])
    (photos / "party.mp4").write_bytes(CONTENT)
    return serve()


def colour_of(answer: bytes) -> str:
    with Image.open(io.BytesIO(answer)) as image:
        seen = image.convert("RGB").resize((1, 1)).getpixel((0, 0))
    assert isinstance(seen, tuple)

    def distance(name: str) -> int:
        return sum((a - b) ** 2 for a, b in zip(COLOURS[name], seen, strict=True))

    return min(COLOURS, key=distance)


def test_answers_name_the_shot_and_the_further_moments(client: TestClient) -> None:
    (hit,) = client.get("/api/search", params={"q": "red type:video"}).json()["hits"]
    assert hit["part"]["kind"] == "shot" and hit["duration_s"] == 20.0
    starts = {hit["part"]["start_s"], *(each["part"]["start_s"] for each in hit["moments"])}
    assert starts == {0.0, 15.0}
    asked = {"q": "red type:video", "moments": "true"}
    hits = client.get("/api/search", params=asked).json()["hits"]
    assert {each["part"]["start_s"] for each in hits} == {0.0, 15.0}
    posted = client.post("/api/search", json={"query": "red type:video", "moments": True})
    assert posted.json()["hits"] == hits
    known = client.get(f"/api/images/{hit['id']}").json()
    assert [each["start_s"] for each in known["shots"]] == [0.0, 5.0, 10.0, 15.0]


def test_a_preview_shows_a_shot_by_its_second_or_its_place(client: TestClient) -> None:
    (hit,) = client.get("/api/search", params={"q": "type:video"}).json()["hits"]
    there = f"/api/images/{hit['id']}/preview"
    assert [colour_of(client.get(there, params={"at": at}).content) for at in (0, 6, 12.5, 99)] == [
        "red", "green", "blue", "red",
    ]  # fmt: skip
    assert colour_of(client.get(there, params={"part": 2}).content) == "blue"
    assert colour_of(client.get(there, params={"part": 77}).content) == "red"
    answer = client.get(there, params={"part": 2})
    again = client.get(there, params={"part": 2}, headers={"If-None-Match": answer.headers["etag"]})
    assert again.status_code == 304
    for wrong in ({"at": "-1"}, {"at": "nan"}, {"at": "1e99"}, {"part": "-1"}, {"part": "1.5"}):
        assert client.get(there, params=wrong).status_code == 422


def test_a_layout_names_the_best_part_of_each_hit(client: TestClient) -> None:
    found = client.get("/api/layout", params={"q": "blue"}).json()
    (video,) = client.get("/api/search", params={"q": "type:video"}).json()["hits"]
    assert found["parts"][found["ids"].index(video["id"])] == 2
    assert client.get("/api/layout").json()["parts"] == []


def test_similar_to_a_moment(client: TestClient) -> None:
    (video,) = client.get("/api/search", params={"q": "type:video"}).json()["hits"]
    there = f"/api/images/{video['id']}/similar"
    first = client.get(there, params={"at": "12", "k": "1"}).json()["hits"][0]
    assert first["uri"].endswith("blue.png")
    assert client.get(there, params={"at": "-3"}).status_code == 422


def test_a_video_is_sent_in_ranges_with_its_type(client: TestClient) -> None:
    (hit,) = client.get("/api/search", params={"q": "type:video"}).json()["hits"]
    there = f"/api/images/{hit['id']}/original"
    whole = client.get(there)
    assert whole.content == CONTENT and whole.headers["content-type"] == "video/mp4"
    assert whole.headers["content-disposition"] == "inline"
    assert whole.headers["x-content-type-options"] == "nosniff"
    some = client.get(there, headers={"Range": "bytes=1000-1999"})
    assert (some.status_code, some.content) == (206, CONTENT[1000:2000])
    assert some.headers["content-range"] == f"bytes 1000-1999/{len(CONTENT)}"


def test_a_clip_is_the_video_or_the_moving_part_of_a_photo(
    client: TestClient, library: Library, photos: Path
) -> None:
    (hit,) = client.get("/api/search", params={"q": "type:video"}).json()["hits"]
    there = f"/api/images/{hit['id']}/clip"
    assert client.get(there).content == CONTENT
    record = film(library, "photos/live.jpg", ["red"], still="green")
    library.opened.engine.describe(
        [replace(record, fields={**record.fields, "motion": "live.mov"})]
    )
    (photos / "live.mov").write_bytes(CONTENT)
    some = client.get(f"/api/images/{record.id}/clip", headers={"Range": "bytes=5-9"})
    assert (some.content, some.headers["content-type"]) == (CONTENT[5:10], "video/mp4")
    for name, content in (("live.mp4", b"not a video"), ("live.txt", CONTENT)):
        (photos / name).write_bytes(content)
        named = replace(record, fields={**record.fields, "motion": name})
        library.opened.engine.describe([named])
        assert client.get(f"/api/images/{record.id}/clip").status_code == 404
    outside = replace(record, fields={**record.fields, "motion": "../secret.mov"})
    library.opened.engine.describe([outside])
    (photos.parent / "secret.mov").write_bytes(CONTENT)
    assert client.get(f"/api/images/{record.id}/clip").status_code == 404
    photo = client.get("/api/search", params={"q": "type:image"}).json()["hits"][0]
    assert client.get(f"/api/images/{photo['id']}/clip").status_code == 404


@pytest.mark.slow
def test_a_shot_is_cut_out_and_sent_to_be_saved(
    library: Library, photos: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("av", reason="av is not installed")
    import films

    films.film(photos / "a party.mp4", (("red", 2.0), ("green", 2.0)), gop=10, sound=True)
    library.index(photos)
    (hit,) = library.search("green type:video")
    client, there = serve(), f"/api/images/{hit.id}/clip"
    answer = client.get(there, params={"part": 1})
    assert answer.status_code == 200
    assert answer.headers["content-disposition"] == (
        "attachment; filename*=UTF-8''a%20party%200m02s-0m04s.mp4"
    )
    (photos.parent / "clip.mp4").write_bytes(answer.content)
    from pixseek import video

    about, _ = video.probe(video.Source(photos.parent / "clip.mp4"))
    assert about.has_audio and about.duration_s == pytest.approx(2, abs=0.4)
    assert client.get(there, params={"part": 7}).status_code == 422
    photo = next(each for each in library.records() if not each.is_video)
    assert client.get(f"/api/images/{photo.id}/clip", params={"part": 0}).status_code == 422
    monkeypatch.setattr("pixseek.server.films.MOST_CUT_S", 1.0)
    assert "too long" in client.get(there, params={"part": 1}).json()["problem"]
