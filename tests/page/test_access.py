"""Whole use by keyboard, and for those who hear the page: axe finds nothing in any state."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from site_of_page import Site, ids, served, settled

pytestmark = pytest.mark.slow

Look = Callable[..., Any]

_STATES: dict[str, tuple[str, dict[str, Any], str]] = {
    "home": ("", {}, ""),
    "dark": ("?q=a red car", {"dark": True}, ""),
    "phone": ("?facets=1", {"wide": 390, "high": 844}, ""),
    "filters": ("?q=a car year:2023&facets=1", {"locale": "de-DE"}, ""),
    "menu": ("?q=a red car", {}, "#view"),
    "saving": ("?q=a red car", {}, "#save"),
    "nothing": ("?q=name:nothing", {}, ""),
    "no scripts": ("?q=a car&facets=1", {"java_script_enabled": False}, ""),
}


@pytest.mark.parametrize("state", _STATES)
def test_axe_finds_nothing(look: Look, state: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    path, given, click = _STATES[state]
    page = look(path, bypass_csp=True, **given)
    if given.get("java_script_enabled", True):
        settled(page)
    if click:
        page.click(click)
    if state == "no scripts":  # axe is a script itself
        page = look(path, bypass_csp=True)
    found = axe.Axe().run(
        page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa", "best-practice"]}
    )
    assert not found.response["violations"], found.generate_report()


def test_all_by_keyboard(look: Look) -> None:
    page = look()
    settled(page)
    page.keyboard.press("/")
    page.keyboard.type("a red car")
    page.keyboard.press("Enter")
    page.locator("#count", has_text="strong").wait_for()
    page.keyboard.press("ArrowDown")  # into the results
    page.keyboard.press("ArrowRight")
    page.keyboard.press("/")  # and back, where other words are offered suggestions
    page.keyboard.type("a red c")
    page.locator("#suggestions li").first.wait_for()
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.id") == "q"
    page.fill("#q", "a red car")
    page.keyboard.press("Escape")
    page.keyboard.press("ArrowDown")
    focused = "document.activeElement.closest('.tile')?.dataset.id"
    assert page.evaluate(focused) == ids(page)[1]
    page.keyboard.press("End")
    page.wait_for_timeout(100)
    last = page.evaluate("document.activeElement.closest('.tile').ariaPosInSet")
    assert last == page.evaluate("document.activeElement.closest('.tile').ariaSetSize")
    page.keyboard.press("Home")
    page.keyboard.press("s")
    page.wait_for_url("**id%3A*")
    assert "red" not in page.url  # as in the viewer
    page.keyboard.press("?")
    page.get_by_role("dialog", name="Keys").wait_for()
    page.keyboard.press("Escape")
    page.get_by_role("dialog").wait_for(state="detached")
    # Each thing to look for can be taken away.
    page.get_by_role("button", name="Remove Like this").focus()
    page.keyboard.press("Enter")
    page.wait_for_url(lambda url: "id%3A" not in url)


def test_the_box_is_reached_without_scrolling(look: Look) -> None:
    page = look(high=500)
    settled(page)
    page.evaluate("scrollTo(0, 700)")
    for key in ("/", "Tab", "Shift+Tab"):
        page.keyboard.press(key)
        page.wait_for_timeout(50)
        assert page.evaluate("document.activeElement.closest('#header')") is not None
        assert page.evaluate("scrollY") == 700, key


def test_months_are_reached_by_keys(look: Look) -> None:
    page = look(high=500)
    settled(page)
    slider = page.get_by_role("slider", name="Months")
    slider.focus()
    first = slider.get_attribute("aria-valuetext")
    page.keyboard.press("PageDown")
    assert slider.get_attribute("aria-valuetext").endswith("2023")
    page.keyboard.press("End")
    assert slider.get_attribute("aria-valuetext") == "No date"
    page.keyboard.press("Home")
    assert slider.get_attribute("aria-valuetext") == first


def test_years_that_are_not_listed_are_searches(look: Look, site: Site) -> None:
    from pixseek.server.settings import Limits, Settings

    settings = Settings(limits=Limits(most_layout=20))
    with served({"photos": site.opened_again()}, settings=settings) as url:
        page = look(url=url, high=500)
        settled(page)
        slider = page.get_by_role("slider", name="Months")
        slider.focus()
        page.keyboard.press("End")
        assert slider.get_attribute("aria-valuetext") == "No date: 6 images"
        page.keyboard.press("ArrowUp")
        assert slider.get_attribute("aria-valuetext").startswith("2022: ")
        # Near its end is what is not listed.
        box = slider.bounding_box()
        page.mouse.click(box["x"] + 40, box["y"] + box["height"] * 0.5)
        assert slider.get_attribute("aria-valuetext").startswith("2023: ")
        page.get_by_role("link", name="2023: ").click()
        page.wait_for_url("**year*2023*")
        page.locator("#chips .chip").wait_for()
        settled(page)
        whole = site.library.facets("year:2023")["year"]["2023"]
        assert page.locator("#count").inner_text() == f"{whole} images"
        # Of the first year some are listed; the others are those until its last month.
        page.go_back()
        settled(page)
        page.evaluate("scrollTo(0, 1e6)")
        first = page.locator(".month a").first
        assert first.inner_text().startswith("2024: ")
        assert "date%3A2024-01..2024-" in first.get_attribute("href")


def test_the_page_speaks_german(look: Look) -> None:
    page = look(locale="de-DE")
    settled(page)
    assert page.get_attribute("html", "lang") == "de"
    assert page.locator("#go").inner_text() == "Suchen"
    page.click("#view")
    page.get_by_text("English").click()  # chosen here, it counts more than the browser's
    page.wait_for_selector("html[lang=en]")
    assert page.locator("#go").inner_text() == "Search"


def test_colours_and_sizes_are_remembered(look: Look) -> None:
    page = look()
    settled(page)
    tall = page.locator(".tile").first.bounding_box()["height"]
    page.click("#view")
    page.get_by_text("Dark", exact=True).click()
    page.get_by_text("Small", exact=True).click()
    page.reload()
    settled(page)
    assert page.get_attribute("html", "data-theme") == "dark"
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(19, 19, 21)"
    assert page.locator(".tile").first.bounding_box()["height"] < tall
