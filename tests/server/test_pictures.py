"""Pictures to look at: sizes, upright whatever the format, kept, made a few at once."""

from __future__ import annotations

import asyncio
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import pixseek
from pixseek.library import Library
from pixseek.server import pictures
from pixseek.server.searching import ClientGoneError

from serving import Serve, id_of, shared_client
from tiny_encoder import TinyEncoder

RED, BLUE = (200, 30, 30), (30, 30, 200)


def two_halves(path: Path, size: tuple[int, int] = (1000, 500), **options: Any) -> None:
    """Write a picture whose left half is red and whose right one is blue."""
    image = Image.new("RGB", size, RED)
    image.paste(BLUE, (size[0] // 2, 0, *size))
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)


def write_halves(folder: Path) -> Path:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise: red comes to the top
    two_halves(folder / "turned.jpg", exif=exif)
    two_halves(folder / "ink.tif")
    two_halves(folder / "tiny.png", (60, 40))
    xmp = (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf'
        b'-syntax-ns#"><rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" '
        b'tiff:Orientation="3"/></rdf:RDF></x:xmpmeta>'
    )
    two_halves(folder / "by-xmp.webp", xmp=xmp)
    return folder


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return write_halves(tmp_path / "photos")


@pytest.fixture(scope="module")
def looking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A client for tests that change nothing."""
    folder = tmp_path_factory.mktemp("halves")
    with shared_client(write_halves(folder / "photos"), folder / "lib") as (client, _):
        yield client


def picture(client: Any, name: str, **given: Any) -> Image.Image:
    answer = client.get(f"/api/images/{id_of(client, name)}/preview", params=given)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/jpeg"), answer.text
    shown = Image.open(io.BytesIO(answer.content))
    assert (shown.format, shown.mode) == ("JPEG", "RGB")
    return shown


def is_near(pixel: Any, colour: tuple[int, int, int]) -> bool:
    return all(abs(one - other) < 40 for one, other in zip(pixel, colour, strict=True))


@pytest.mark.parametrize(
    ("name", "asked", "size"),
    [
        ("ink.tif", 192, (192, 96)),
        ("ink.tif", 256, (256, 128)),
        ("ink.tif", 384, (384, 192)),
        ("ink.tif", 1600, (1000, 500)),
        ("ink.tif", 8192, (1000, 500)),
        ("ink.tif", None, (384, 192)),
        ("turned.jpg", 192, (96, 192)),
        ("turned.jpg", 1600, (500, 1000)),
        ("by-xmp.webp", 4096, (1000, 500)),
        ("tiny.png", 192, (60, 40)),
        ("tiny.png", 4096, (60, 40)),
    ],
)
def test_pictures_come_upright_in_the_size_asked_for(
    looking: Any, name: str, asked: int | None, size: tuple[int, int]
) -> None:
    shown = picture(looking, name, **({} if asked is None else {"size": asked}))
    assert shown.size == size
    ends = shown.getpixel((2, 2)), shown.getpixel((size[0] - 3, size[1] - 3))
    red, blue = reversed(ends) if name == "by-xmp.webp" else ends
    assert is_near(red, RED) and is_near(blue, BLUE)


@pytest.mark.parametrize("size", ["0", "-1", "385", "100000", "x", "1600.0", ""])
def test_other_sizes_are_refused_with_the_list(looking: Any, size: str) -> None:
    answer = looking.get(f"/api/images/{id_of(looking, 'ink')}/preview", params={"size": size})
    assert answer.status_code == 422
    if size.lstrip("-").isdigit():
        assert "192, 256, 384, 1600, 4096, 8192" in answer.json()["advice"]


def test_a_picture_is_kept_under_its_content(
    client: Any, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []
    really = pictures.shown
    monkeypatch.setattr(pictures, "shown", lambda *a: made.append(a[2]) or really(*a))
    image = id_of(client, "ink")
    digest = client.get(f"/api/images/{image}").json()["digest"]
    there, given = f"/api/images/{image}/preview", {"size": 1600, "v": digest}
    first = client.get(there, params=given)
    assert "immutable" in first.headers["cache-control"]
    assert client.get(there, params={**given, "size": 8192}).content == first.content
    assert made == [1600]
    tag = {"If-None-Match": first.headers["etag"]}
    assert client.get(there, params=given, headers=tag).status_code == 304
    assert client.get(there, params={"size": 192}, headers=tag).status_code == 200
    other = client.get(there, params={**given, "v": "other"})
    assert "immutable" not in other.headers["cache-control"]


def test_the_small_picture_comes_when_the_file_is_away_or_broken(client: Any, photos: Path) -> None:
    image = id_of(client, "ink")
    digest = client.get(f"/api/images/{image}").json()["digest"]
    there, given = f"/api/images/{image}/preview", {"size": 1600, "v": digest}
    file = photos / "ink.tif"
    content = file.read_bytes()
    for broken in (None, content[:100], b"no picture"):
        file.unlink()
        if broken is not None:
            file.write_bytes(broken)
        answer = client.get(there, params=given)
        assert Image.open(io.BytesIO(answer.content)).size == (384, 192)
        assert "no-cache" in answer.headers["cache-control"]
        tag = {"If-None-Match": answer.headers["etag"]}
        assert client.get(there, params=given, headers=tag).status_code == 304
        file.write_bytes(content)
    assert client.get(there, params=given, headers=tag).status_code == 200
    assert picture(client, "ink", **given).size == (1000, 500)


def test_a_file_that_has_changed_is_shown_as_it_is_and_not_kept(client: Any, photos: Path) -> None:
    image = id_of(client, "ink")
    digest = client.get(f"/api/images/{image}").json()["digest"]
    there, given = f"/api/images/{image}/preview", {"size": 1600, "v": digest}
    two_halves(photos / "ink.tif", (700, 300))
    answer = client.get(there, params=given)
    assert Image.open(io.BytesIO(answer.content)).size == (700, 300)
    assert "no-cache" in answer.headers["cache-control"]


@pytest.mark.skipif(not hasattr(os, "symlink"), reason="no links here")
def test_no_picture_is_made_of_a_file_outside_of_the_library(
    client: Any, photos: Path, tmp_path: Path
) -> None:
    two_halves(tmp_path / "outside.tif", (900, 800))
    (photos / "ink.tif").unlink()
    (photos / "ink.tif").symlink_to(tmp_path / "outside.tif")
    assert picture(client, "ink", size=1600).size == (384, 192)


def test_readers_get_the_same_pictures(serve: Serve) -> None:
    reader = serve(read_only=True)
    assert picture(reader, "ink", size=1600).size == (1000, 500)


def test_libraries_of_a_server_keep_their_pictures_apart(
    serve: Serve, library: Library, tmp_path: Path, tiny: TinyEncoder
) -> None:
    """A picture that is the same in both, and whose file is there in one alone."""
    other = pixseek.open(tmp_path / "other-lib")
    copy = tmp_path / "copy"
    two_halves(copy / "ink.tif")
    other.index(copy)
    (copy / "ink.tif").unlink()
    client = serve(libraries={"photos": library, "other": other})
    assert picture(client, "ink", size=1600).size == (1000, 500)
    (there,) = client.get("/api/search", params={"q": "name:ink", "library": "other"}).json()[
        "hits"
    ]
    answer = client.get(
        f"/api/images/{there['id']}/preview", params={"size": 1600, "library": "other"}
    )
    assert Image.open(io.BytesIO(answer.content)).size == (384, 192)


class _Asker:
    """A request whose sender may go away."""

    is_gone = False

    async def is_disconnected(self) -> bool:
        return self.is_gone


def test_a_few_are_made_at_once_and_those_who_left_cost_nothing(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = next(iter(library.records()))
    running, most, made = 0, 0, 0

    async def slow(*_: Any) -> pictures.Shown:
        nonlocal running, most, made
        running += 1
        most, made = max(most, running), made + 1
        await asyncio.sleep(0.01)
        running -= 1
        return pictures.Shown(b"x", "another")

    monkeypatch.setattr(pictures.asyncio, "to_thread", slow)

    async def ask() -> list[Any]:
        maker = pictures.Pictures()
        askers = [_Asker() for _ in range(10)]
        asked = [
            asyncio.ensure_future(maker.of("photos", library, record, 1600, each))  # type: ignore[arg-type]
            for each in askers
        ]
        await asyncio.sleep(0)
        for each in askers[5:]:
            each.is_gone = True
        return await asyncio.gather(*asked, return_exceptions=True)

    answers = asyncio.run(ask())
    assert [isinstance(each, ClientGoneError) for each in answers] == [False] * 5 + [True] * 5
    assert (most, made) == (2, 5)


def test_what_is_kept_is_bounded(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "_MOST_BYTES", 2500)
    records = list(library.records())
    made: list[str] = []

    def shown(_: Library, record: Any, __: int) -> pictures.Shown:
        made.append(record.id)
        return pictures.Shown(b"x" * 1000, record.digest)

    monkeypatch.setattr(pictures, "shown", shown)

    async def ask() -> None:
        maker = pictures.Pictures()
        for at in (0, 1, 0, 2, 0, 1):
            await maker.of("photos", library, records[at], 192, _Asker())  # type: ignore[arg-type]

    asyncio.run(ask())
    assert made == [records[at].id for at in (0, 1, 2, 1)]
