"""Videos on the page: they play from the moment that was found, and the strip shows where else."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from coloured_films import shots

from site_of_page import Site, draw_pictures, served, viewer_is_open

pytestmark = pytest.mark.slow

av = pytest.importorskip("av", reason="av is not installed")

SHOT_S = 5


def write_video(path: Path, frames: list[Image.Image], codec: str) -> None:
    """Write a video that shows each picture for five seconds, at five frames a second."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=5)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        stream.codec_context.gop_size = 5
        for each in frames:
            pixels = np.asarray(each.convert("RGB").resize((320, 240)))
            for _ in range(5 * SHOT_S):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, "rgb24")))
        container.mux(stream.encode())


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A library of drawn pictures and of three videos of some of them, one of which is broken."""
    from pixseek.library import Library
    from pixseek.types import Record, record_id

    folder = tmp_path_factory.mktemp("films") / "Pictures"
    draw_pictures(folder, 12)
    library = Library.open(folder.parent / "library", "demo")
    library.index(str(folder))
    pictures = sorted(folder.rglob("*.jpg"))[:4]
    frames = []
    for each in pictures:
        with Image.open(each) as image:
            frames.append(image.convert("RGB"))
    vectors = library.embed(images=frames).images
    write_video(folder / "party.mp4", frames, "libx264")
    write_video(folder / "party.webm", frames, "libvpx-vp9")
    (folder / "odd.mkv").write_bytes(b"\x1aE\xdf\xa3 no player shows this")
    for name, media in (("party.mp4", "mp4"), ("party.webm", "webm"), ("odd.mkv", "x-matroska")):
        uri = f"Pictures/{name}"
        record = Record(
            record_id(uri), uri, digest=f"{name:0>64}", media=f"video/{media}", width=320,
            height=240, fields={"duration_s": 20.0, "codec": "h264"}, parts=shots(4),
        )  # fmt: skip
        library.opened.engine.put([record], vectors)
        small = [library.preview(library.get_many([library.find(p).id])[0]) for p in pictures]
        library.opened.previews.put({record.digest: small[0]})
        library.opened.previews.put_parts(record.digest, {n + 1: s for n, s in enumerate(small)})
    with served({"photos": library}) as url:
        yield Site(url, library)


def video_id(films: Site, name: str) -> str:
    return next(r.id for r in films.library.records() if r.name == name)


def opened(look: Callable[..., Any], films: Site, name: str, q: str = "", **given: Any) -> Any:
    asked = f"?q={q}" if q else ""
    page = look(f"image/{video_id(films, name)}{asked}", url=films.url, **given)
    viewer_is_open(page)
    page.wait_for_selector(".film")
    return page


@pytest.mark.parametrize("name", ["party.mp4", "party.webm"])
def test_a_video_plays_from_the_moment_that_was_found(
    look: Callable[..., Any], films: Site, name: str
) -> None:
    third = sorted(films.library.records(), key=lambda r: r.name)[2].id
    page = opened(look, films, name, f"id:{third}")
    page.wait_for_function("() => document.querySelector('.film video').readyState >= 2")
    at = page.evaluate("document.querySelector('.film video').currentTime")
    assert 9.9 <= at <= 10.3
    current = page.locator(".strip [aria-current=true]")
    assert current.get_attribute("data-part") == "2"
    assert re.match("0:10–0:15, (strong|likely) match", current.get_attribute("aria-label"))
    assert "/clip?part=2" in page.get_by_role("link", name="Save this moment").get_attribute("href")
    page.locator(".strip button").first.focus()
    page.keyboard.press("Enter")
    page.wait_for_function(
        "() => document.querySelector('.film video').currentTime > 0.2 && "
        "document.querySelector('.film video').currentTime < 5"
    )
    page.keyboard.press("Escape")
    page.wait_for_selector(".film", state="detached")


def test_a_video_that_the_browser_cannot_play_shows_its_frames(
    look: Callable[..., Any], films: Site
) -> None:
    page = opened(look, films, "odd.mkv")
    page.get_by_text("This browser can't play the video").wait_for()
    assert page.locator(".screen a[download]").get_attribute("href").endswith("/original")
    page.locator(".strip button").nth(2).click()
    shown = page.locator(".screen > img").get_attribute("src")
    assert shown.endswith("part=2")


def test_thumbnails_say_how_long_a_video_is_and_show_its_frames(
    look: Callable[..., Any], films: Site
) -> None:
    page = look("?q=type:video", url=films.url)
    assert page.locator(".tile .length").all_inner_texts() == ["0:20"] * 3
    tile = page.locator(".tile a").first
    tile.locator("img").evaluate("img => img.decode()")
    box = tile.bounding_box()
    page.wait_for_function(
        "() => [...document.styleSheets].some(s => s.href?.endsWith('film.css'))"
    )
    frame = "() => [...document.images].some(i => i.src.includes('at=15'))"
    for step in range(200):  # the script that shows frames comes after the page
        page.mouse.move(
            box["x"] + box["width"] * (0.74 + step % 2 / 100), box["y"] + box["height"] / 2
        )
        if page.evaluate(frame):
            break
        page.wait_for_timeout(100)
    assert page.evaluate(frame)


def test_without_scripts_a_video_plays_from_the_moment(
    look: Callable[..., Any], films: Site
) -> None:
    second = sorted(films.library.records(), key=lambda r: r.name)[1].id
    path = f"image/{video_id(films, 'party.mp4')}?q=id:{second}"
    page = look(path, url=films.url, java_script_enabled=False)
    assert page.locator("article video").get_attribute("src").endswith("#t=5.000")
