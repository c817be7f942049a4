"""Many images at once, and the page about the library."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from site_of_page import Site, served, viewer_is_open

pytestmark = pytest.mark.slow

Look = Callable[..., Any]


def chosen(page: Any) -> list[int]:
    found = page.eval_on_selector_all(
        ".tile.chosen", "tiles => tiles.map(t => +t.dataset.i).sort((a, b) => a - b)"
    )
    return list(found)


def test_choosing_by_keys_and_mouse(look: Look) -> None:
    page = look("?q=a+red+car")
    page.keyboard.press("ArrowRight")  # into the list
    page.keyboard.press("x")
    assert chosen(page) == [0]
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("Shift+ArrowRight")
    assert chosen(page) == [0, 1, 2]
    page.keyboard.press("x")
    assert chosen(page) == [0, 1]
    page.locator('.tile[data-i="4"]').hover()
    page.locator('.tile[data-i="4"] .check').click()
    page.locator('.tile[data-i="6"] a').click(modifiers=["Shift"])
    assert chosen(page) == [0, 1, 4, 5, 6]
    page.locator('.tile[data-i="5"] a').click()  # a click chooses while something is chosen
    assert chosen(page) == [0, 1, 4, 6]
    assert page.locator("#viewer[open]").count() == 0
    page.get_by_text("4 selected").wait_for()
    page.keyboard.press("Control+a")
    count = page.evaluate("+document.querySelector('.tile').getAttribute('aria-setsize')")
    page.get_by_text(f"{count} selected").wait_for()
    page.keyboard.press("Escape")
    assert chosen(page) == [] and page.locator("#selection").is_hidden()


def test_tagging_and_rating_many(look: Look, site: Site) -> None:
    page = look("?q=a+yellow+house")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("x")
    page.keyboard.press("Shift+ArrowRight")
    ids = [page.locator(f'.tile[data-i="{n}"]').get_attribute("data-id") for n in (0, 1)]
    page.keyboard.press("t")
    page.keyboard.type("both, of them\n")
    page.get_by_text("2 images tagged").wait_for()
    page.locator("#selection input:not([type=hidden])").fill("-both")
    page.keyboard.press("Enter")
    page.locator("#s-rating").select_option("5")
    page.get_by_text("2 images rated 5").wait_for()
    for each in ids:
        record = site.library.get(each)
        assert record is not None and record.fields["rating"] == 5
        assert "of them" in record.tags and "both" not in record.tags


def test_exporting(look: Look, site: Site) -> None:
    page = look("?q=a+red+car")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("x")
    page.keyboard.press("Shift+ArrowRight")
    ids = [page.locator(f'.tile[data-i="{n}"]').get_attribute("data-id") for n in (0, 1)]

    def saved(form: str) -> str:
        page.locator("#selection [name=format]").select_option(form)
        with page.expect_download() as waits:
            page.get_by_role("button", name="Export").click()
        return Path(waits.value.path()).read_text("utf-8-sig")

    paths = [str(site.library.locate(site.library.get(each))) for each in ids]
    assert saved("paths").splitlines() == paths
    assert [each["id"] for each in csv.DictReader(io.StringIO(saved("csv")))] == ids
    assert [each["id"] for each in json.loads(saved("json"))] == ids


def test_copies_and_the_page_of_the_library(
    look: Look, site: Site, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A library that grows from its page: copies with what differs, then a failure."""
    from pixseek.library import Library
    from pixseek.server.settings import Settings

    folder = tmp_path_factory.mktemp("copies")
    source = site.library.locate(site.library.search("a red car", k=1)[0].record)
    (folder / "One").mkdir()
    for name in ("a.jpg", "One/b.jpg"):
        shutil.copy(source, folder / name)
    more = folder / "One"
    large = Image.effect_noise((2400, 1600), 60).convert("RGB")
    large.save(folder / "large.jpg", quality=60)
    library = Library.open(folder.parent / "copies-library", "demo")
    with served({"grown": library}, settings=Settings(folders=(folder,))) as url:
        page = look("", url=url, wait=False)
        page.goto(f"{url}status")
        page.get_by_label("Add a folder").fill(str(folder))
        page.get_by_role("button", name="Index", exact=True).click()
        page.get_by_text("3 added").wait_for()
        (more / "broken.jpg").write_bytes(source.read_bytes()[:900])
        page.get_by_role("button", name="Index all folders").click()
        page.locator(".failures li", has_text="One/broken.jpg").wait_for()
        (more / "broken.jpg").unlink()
        page.get_by_role("button", name="Try again").click()
        page.get_by_text("0 failures").wait_for()
        page.goto(url)
        page.wait_for_selector('.tile[data-i="1"]')
        page.keyboard.press("Control+a")
        page.get_by_role("button", name="Near-duplicates").click()
        page.get_by_text("The same file").wait_for()
        assert "Folder" in page.locator(".groups dl").first.inner_text()
        assert page.locator(".groups li").count() == 2
        page.get_by_role("button", name="Tag the others").click()
        page.wait_for_url("**/?q=tag*")
        page.wait_for_selector('.tile[data-i="0"]')
        assert page.locator(".tile").count() == 1

        page.goto(f"{url}?q=name:large")
        page.locator('.tile[data-i="0"] a').click()
        sharp = "size => document.querySelector('.is-sharp .sharp')?.naturalWidth === size"
        page.wait_for_function(sharp, arg=1600)
        page.keyboard.press("z")
        page.wait_for_function(sharp, arg=2400)


def test_a_long_press_chooses_and_a_swipe_does_not(look: Look) -> None:
    page = look(wide=390, high=844, has_touch=True, is_mobile=True)
    cdp = page.context.new_cdp_session(page)

    def touch(kind: str, *points: tuple[float, float]) -> None:
        places = [{"x": x, "y": y} for x, y in points]
        cdp.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": places})

    def middle(nth: int) -> tuple[float, float]:
        box = page.locator(f'.tile[data-i="{nth}"]').bounding_box()
        return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    touch("touchStart", middle(3))
    page.get_by_text("1 selected").wait_for()
    touch("touchEnd")
    page.wait_for_timeout(100)
    assert chosen(page) == [3] and page.locator("#viewer[open]").count() == 0
    page.locator('.tile[data-i="4"] a').tap()  # now a tap chooses
    assert chosen(page) == [3, 4]
    # A finger that moves scrolls.
    before = page.evaluate("scrollY")
    x, y = middle(6)
    touch("touchStart", (x, y))
    for step in range(1, 9):
        touch("touchMove", (x, y - 30 * step))
        page.wait_for_timeout(80)
    touch("touchEnd")
    page.wait_for_function("before => scrollY > before + 50", arg=before)
    assert chosen(page) == [3, 4]
    page.locator("#s-none").tap()
    page.locator(".tile a").first.tap()
    viewer_is_open(page)


def test_the_menu_of_the_mouse_is_the_browsers(look: Look) -> None:
    page = look()
    page.evaluate("addEventListener('contextmenu', e => (window.kept = !e.defaultPrevented))")
    page.locator('.tile[data-i="1"] a').click(button="right")
    assert page.evaluate("window.kept") is True and chosen(page) == []


def test_the_way_back_leads_to_the_same_selection(look: Look) -> None:
    page = look("?q=a+red+car")
    for nth in (0, 2):
        page.locator(f'.tile[data-i="{nth}"]').hover()
        page.locator(f'.tile[data-i="{nth}"] .check').click()
    page.get_by_role("button", name="Near-duplicates").click()
    page.wait_for_url("**/copies**")
    page.go_back()
    page.get_by_text("2 selected").wait_for()
    assert chosen(page) == [0, 2]
    page.reload()
    page.get_by_text("2 selected").wait_for()
    # Another search is another selection; the way back leads to this one.
    page.fill("#q", "name:nothing")
    page.press("#q", "Enter")
    page.get_by_text("Nothing found").wait_for()
    assert page.locator("#selection").is_hidden()
    page.go_back()
    page.get_by_text("2 selected").wait_for()
    page.locator("#main").focus()
    page.keyboard.press("Control+a")
    count = page.locator(".tile").first.get_attribute("aria-setsize")
    page.get_by_text(f"{count} selected").wait_for()
    page.reload()
    page.get_by_text(f"{count} selected").wait_for()


def test_rating_in_the_list_by_keys(look: Look, site: Site) -> None:
    page = look("?q=a+green+tree")
    page.keyboard.press("4")  # nothing has the focus: nothing is rated
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("3")
    page.get_by_text("1 image rated 3★").wait_for()
    page.keyboard.press("x")
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("5")
    page.get_by_text("2 images rated 5★").wait_for()
    ids = [page.locator(f'.tile[data-i="{n}"]').get_attribute("data-id") for n in range(3)]
    ratings = [site.library.get(each).fields.get("rating") for each in ids]
    assert ratings[1:] == [5, 5] and ratings[0] != 4
