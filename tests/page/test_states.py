"""What the page shows when something is odd: hostile texts, no server, a slow one, nothing."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from site_of_page import HOSTILE, Site, ids, served, settled

pytestmark = pytest.mark.slow

Look = Callable[..., Any]


def test_captions_and_tags_are_never_markup(look: Look, site: Site) -> None:
    for scripts in (True, False):
        page = look("?q=drawing&facets=1", java_script_enabled=scripts)
        shown = page.eval_on_selector_all(".tile img", "all => all.map(each => each.alt)")
        for caption in HOSTILE:
            assert any(caption.strip() == each.strip() for each in shown), caption
        assert page.locator("#grid b, #grid script, #facets b").count() == 0
        assert "<b>tag</b>" in page.locator("#facets").inner_text()
        assert page.evaluate("window.wasRun") is None
    # Nor is what the address says; some of it is refused.
    for path in (
        "?q=<img src=x onerror=window.wasRun=1>",
        "?q=%22%3E%3Cscript%3EwasRun=1",
        "?sort=<b>",
    ):
        page = look(path, wait=False, expected=("422",))
        assert page.evaluate("window.wasRun") is None
        assert page.locator("b, main script, #header script").count() == 0


def test_nothing_is_wider_than_the_window(look: Look) -> None:
    for wide in (390, 1280):
        page = look("?q=drawing&facets=1", wide=wide, high=844)
        settled(page)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_query_that_is_wrong_is_explained(look: Look) -> None:
    page = look()
    page.watched.expected = ("status of 422",)
    page.fill("#q", "year:20x1")
    page.press("#q", "Enter")
    page.get_by_role("alert").get_by_text("not a date: year:20x1").wait_for()
    page.fill("#q", "a red car")
    page.press("#q", "Enter")
    page.get_by_role("alert").wait_for(state="detached")
    plain = look("?q=year:20x1", java_script_enabled=False, expected=("422",))
    assert "not a date" in plain.get_by_role("alert").inner_text()


def test_a_server_that_is_gone_is_said_and_asked_again(look: Look) -> None:
    page = look()
    before = page.locator("#count").inner_text()
    page.watched.expected = ("ERR_FAILED", "ERR_INTERNET")
    page.route("**/api/**", lambda route: route.abort())
    page.fill("#q", "a red car")
    page.press("#q", "Enter")
    page.get_by_text("The server does not answer").first.wait_for()
    # What stands above the pictures is about them, not about what was asked.
    assert page.locator("#chips li").count() == 0
    assert page.locator("#count").inner_text() == before
    # An image that can't be shown is said too: once, and though the viewer is closed again.
    page.route("**/facts/*", lambda route: route.abort())
    page.locator(".tile a").nth(1).click()
    page.wait_for_timeout(500)
    said = page.locator(".toast").get_by_text("The server does not answer", exact=True)
    page.wait_for_function("() => !document.querySelector('#viewer[open]')")
    assert said.filter(visible=True).count() == 1
    page.unroute("**/api/**")
    page.keyboard.press("/")
    page.keyboard.type("a red car")
    page.keyboard.press("Enter")
    page.locator("#count", has_text="strong").wait_for()
    assert page.locator(".toast").count() == 0  # it answers again


def test_only_the_last_of_slow_searches_is_shown(look: Look, site: Site) -> None:
    page = look()

    def slow(route: Any) -> None:
        time.sleep(0.6)
        route.continue_()

    page.route("**/api/*q=a+red*", slow)
    page.fill("#q", "a red car")
    page.press("#q", "Enter")
    page.wait_for_selector("body.waiting")
    page.fill("#q", "a blue boat")
    page.press("#q", "Enter")
    settled(page)
    page.wait_for_timeout(900)
    assert ids(page)[0] == site.library.search("a blue boat", k=1)[0].id
    assert page.input_value("#q") == "a blue boat"


def test_a_library_without_images_and_a_search_without_hits(look: Look, tmp_path: Path) -> None:
    from pixseek.library import Library
    from pixseek.server.settings import Settings

    with served(
        {"new": Library.open(tmp_path / "lib", "demo")}, settings=Settings(folders=(tmp_path,))
    ) as url:
        for scripts in (True, False):
            page = look(url=url, java_script_enabled=scripts, wait=False)
            page.get_by_role("heading", name="The library is empty").wait_for()
            page.get_by_role("link", name="Add a folder").click()
            page.get_by_label("Add a folder").wait_for()
            if scripts:
                assert page.evaluate("document.activeElement.id") == "add"
    with served({"new": Library.open(tmp_path / "lib", "demo")}, read_only=True) as url:
        for scripts in (True, False):
            page = look(url=url, java_script_enabled=scripts, wait=False)
            page.get_by_text("Whoever runs this server can add folders").wait_for()
            assert page.locator(".empty a").count() == 0
    page = look("?q=name:nothing")
    page.get_by_text("Nothing found").wait_for()


def test_pictures_that_fail_leave_their_place(look: Look) -> None:
    page = look(wait=False)
    page.watched.expected = ("ERR_FAILED",)
    page.route("**/preview?*", lambda route: route.abort())
    page.reload()
    page.wait_for_selector("#grid.placed .tile")
    page.locator(".tile.broken").first.wait_for()
    assert page.locator(".tile").first.bounding_box()["height"] > 50


def test_an_error_replaces_the_results_and_the_next_search_its_message(look: Look) -> None:
    page = look("?example=gone", wait=False)
    alert = page.get_by_role("alert")
    alert.get_by_text("not in this browser").wait_for()
    assert page.locator(".tile, .month").count() == 0
    assert page.locator("#count").inner_text() == ""
    assert not page.locator("#timeline, #pager").filter(visible=True).count()
    page.get_by_role("button", name="Remove Your picture").click()
    page.wait_for_selector("#grid.placed .tile")
    assert alert.filter(visible=True).count() == 0


def test_an_image_that_is_not_there_is_a_page(look: Look) -> None:
    for scripts in (True, False):
        page = look(
            "image/none", java_script_enabled=scripts, wait=False, expected=("status of 404",)
        )
        page.get_by_role("alert").get_by_text("No image with this id").first.wait_for()
        assert page.locator("#search").is_visible()
