"""Texts of strangers are texts wherever the page shows them: never markup, never too wide."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from site_of_page import Site, served, settled, viewer_is_open

pytestmark = pytest.mark.slow

Look = Callable[..., Any]

#: Would be an element; has quotes of both kinds, an end of a script, and turns the text around.
PLANTED = "<img src=x onerror=wasRun=1 class=planted>\"'</script>&lt;{n}\u202e"
NAMED = PLANTED.replace("/", "|")  # as files and folders can be called
LONG = "A very long caption without an end " * 280


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    from pixseek.library import Library

    folder = tmp_path_factory.mktemp("hostile") / NAMED
    (folder / NAMED).mkdir(parents=True)
    for n, name in enumerate((f"{NAMED}1.jpg", f"{NAMED}/{NAMED}2.jpg", "x" * 200 + ".jpg")):
        exif = Image.Exif()
        exif[0x010F] = exif[0x0110] = "<img src=x class=planted>"
        exif.get_ifd(0x8769)[0x9003] = "2023:05:03 12:00:00"
        Image.effect_noise((300 + 40 * (n // 2), 200), 60).save(folder / name, exif=exif)
    (folder / f"{NAMED}2.jpg").write_bytes((folder / f"{NAMED}1.jpg").read_bytes())
    (folder / f"{NAMED}broken.jpg").write_bytes(b"<img src=x>")
    library = Library.open(folder.parent / "library", "demo")
    library.index(str(folder))
    for record, caption in zip(library.records(), (PLANTED, LONG, PLANTED * 90), strict=False):
        fields = {"title": PLANTED, "people": PLANTED, "place": PLANTED, "note": PLANTED}
        library.tag([record.id], caption=caption, add=[PLANTED, "t" * 300], fields=fields)
    library.save_search("<img src=x> class=planted", "a dog")
    with served({PLANTED: library, "other <b class=planted>": Library.open(library.path)}) as url:
        yield Site(url, library)


def _is_clean(page: Any) -> bool:
    assert page.locator(".planted, [src=x], main script").count() == 0
    assert page.evaluate("window.wasRun") is None
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), page.url
    return True


@pytest.mark.parametrize("wide", [390, 1280])
def test_they_are_texts_in_the_list_and_in_the_viewer(look: Look, hostile: Site, wide: int) -> None:
    page = look("?facets=1", url=hostile.url, wide=wide, high=800)
    settled(page)
    page.locator("#facets li").first.wait_for()
    assert _is_clean(page)
    assert "class=planted" in page.locator("#facets").inner_text()
    page.goto(f"{hostile.url}")
    for nth in range(3):
        page.locator(f'.tile[data-i="{nth}"] a').click()
        viewer_is_open(page)
        if page.locator("#viewer .panel").is_hidden():
            page.keyboard.press("i")
        page.locator("#viewer .panel summary").click()
        assert PLANTED[:20] in page.locator("#viewer .panel").inner_text()
        assert _is_clean(page)
        page.keyboard.press("Escape")
        page.wait_for_selector("#viewer:not([open])", state="attached")
    page.keyboard.press("Control+a")
    page.keyboard.press("t")
    page.keyboard.type("<b class=planted>\n")
    page.locator(".toast").first.wait_for()
    assert _is_clean(page)


def test_they_are_texts_in_the_box_and_around_it(look: Look, hostile: Site) -> None:
    page = look(url=hostile.url)
    settled(page)
    for typed in ("tag:", "camera:", "folder:", "@", PLANTED, f'camra:"{PLANTED}'):
        page.fill("#q", typed)
        page.wait_for_timeout(350)
        assert _is_clean(page)
    page.watched.expected = ("status of 4",)
    for query in (f'tag:"{PLANTED}"'.replace("\"'", "'"), PLANTED, "@<b class=planted>"):
        page.fill("#q", query)
        page.press("#q", "Enter")
        settled(page)
        assert _is_clean(page)
        assert page.title() == f"{query.strip()} · pixseek"
    page.fill("#q", "a dog")
    page.press("#q", "Enter")
    page.click("#save")
    page.fill("#save-name", "a long name " * 20)
    assert page.locator("#save-menu").bounding_box()["width"] <= 360  # below its button
    page.fill("#save-name", "i <img src=x class=planted>")
    page.press("#save-name", "Enter")
    page.locator(".toast").first.wait_for()
    assert _is_clean(page)


def test_they_are_texts_on_other_pages_and_without_scripts(look: Look, hostile: Site) -> None:
    image = next(iter(hostile.library.records())).id
    paths = (
        "", "?facets=1", "?q=a+dog&facets=1", f"image/{image}", "status", "copies",
        "?q=%3Cimg%20src=x%20class=planted%3E", "?library=%3Cb%20class=planted%3E",
        "login?to=/%22%3E%3Cb%20class=planted%3E", "%3Cb%20class=planted%3E",
        "image/%3Cb%20class=planted%3E", "?sort=%3Cb%20class=planted%3E",
    )  # fmt: skip
    for scripts in (False, True):
        page = look(url=hostile.url, java_script_enabled=scripts, wide=390, wait=False)
        page.watched.expected = ("status of 4",)
        for path in paths:
            page.goto(hostile.url + path)
            page.wait_for_timeout(150 * scripts)
            assert _is_clean(page)
            if "login" not in path and "q=a" not in path:
                assert "class=planted" in page.locator("body").inner_text(), path
        page.goto(f"{hostile.url}status")
        assert "broken.jpg" in page.locator(".failures").inner_text()


def test_they_are_texts_in_what_is_exported(look: Look, hostile: Site) -> None:
    page = look(url=hostile.url)
    page.locator("#main").focus()
    page.keyboard.press("Control+a")
    with page.expect_download() as waits:
        page.locator("#selection [name=format]").select_option("json")
        page.get_by_role("button", name="Export").click()
    exported = json.loads(Path(waits.value.path()).read_text("utf-8"))
    tagged = [each for each in exported if PLANTED[:40] in str(each.get("tags"))]
    assert len(tagged) == 3
