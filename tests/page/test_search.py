"""Searching in the page, with scripts and without."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from site_of_page import Site, ids, settled

pytestmark = pytest.mark.slow

Look = Callable[..., Any]


def test_words_find_what_the_library_finds(look: Look, site: Site) -> None:
    page = look()
    page.fill("#q", "a red car")
    page.press("#q", "Enter")
    page.wait_for_url("**q=a+red+car**")
    page.locator("#count", has_text="strong").wait_for()
    same = [hit.id for hit in site.library.search("a red car", k=5)]
    assert ids(page)[:5] == same
    assert "q=a+red+car" in page.url
    page.go_back()
    page.locator("#count", has_text="strong").wait_for(state="detached")
    assert page.input_value("#q") == ""


def test_the_page_works_without_scripts(look: Look, site: Site) -> None:
    page = look(java_script_enabled=False)
    page.fill("#q", "a red car")
    page.press("#q", "Enter")
    first = page.locator(".tile").first
    assert first.get_attribute("data-id") == site.library.search("a red car", k=1)[0].id
    first.locator("a").click()
    assert "image/" in page.url
    assert page.locator("dl dd").count() > 3


def test_rows_do_not_move_when_scripts_take_over(look: Look) -> None:
    for path in ("", "?q=a red car"):
        places = []
        for scripts in (False, True):
            page = look(path, java_script_enabled=scripts)
            places.append(
                page.eval_on_selector_all(
                    ".tile",
                    "tiles => tiles.map(t => [t.dataset.id, t.getBoundingClientRect()])"
                    ".filter(([, r]) => r.top < innerHeight)"
                    ".map(([id, r]) => [id, r.left, r.top, r.width, r.height])",
                )
            )
        before, after = places
        assert len(before) > 5
        for one, other in zip(before, after, strict=True):
            assert one[0] == other[0]
            assert one[1:] == pytest.approx(other[1:], abs=1.0)


def test_suggestions_that_come_late_do_not_cover_the_results(look: Look) -> None:
    page = look()

    def late(route: Any) -> None:
        page.wait_for_selector('#grid[aria-busy="false"]', state="attached")
        route.continue_()

    page.route("**/api/suggest*", late)
    page.fill("#q", "a red")
    page.wait_for_timeout(150)
    page.press("#q", "Enter")
    page.wait_for_timeout(400)
    assert page.locator("#suggestions").is_hidden()


def test_weights_change_by_the_arrow_keys(look: Look) -> None:
    page = look("?q=2*red 1*blue")
    slider = page.locator("#chips input").first
    slider.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_url("**?q=*2.1*")
    assert page.evaluate("document.activeElement.type") == "range"


def test_the_focus_goes_on_after_a_part_is_removed(look: Look) -> None:
    page = look("?q=a red car year:2023")
    page.locator("#chips button").nth(1).focus()
    page.keyboard.press("Enter")
    page.locator("#chips .chip").nth(1).wait_for(state="detached")
    assert page.evaluate("document.activeElement.closest('#chips') !== null")
    page.keyboard.press("Enter")
    page.locator("#chips .chip").wait_for(state="detached")
    assert page.evaluate("document.activeElement.id") == "main"


def test_results_that_come_late_replace_the_old_ones_in_one_step(look: Look) -> None:
    """Notes and parts of the new query never move the results of the old one."""
    page = look("?q=a red car", wide=390)
    page.evaluate("""
        window.shifts = [];
        new PerformanceObserver((list) => {
            for (const each of list.getEntries())
                shifts.push(...each.sources.map(({ node }) => node?.id || node?.className));
        }).observe({ type: "layout-shift" });
    """)
    late: list[Any] = []
    page.route("**/api/layout*", lambda route: late.append(route))  # noqa: PLW0108 - a builtin can't be a handler
    page.fill("#q", "xyzzy -dog year:2022..2030")
    with page.expect_request("**/api/layout*"):
        page.keyboard.press("Enter")
    page.wait_for_timeout(600)  # Shifts within 500 ms of what the user does are not counted.
    assert page.locator("#chips .chip").count() == 1
    late[0].continue_()
    settled(page)
    page.wait_for_timeout(100)
    assert page.locator("#chips .chip").count() == 3
    assert page.locator("#notes .note").count() > 0
    assert not {"grid", "tile", "chips"} & set(page.evaluate("shifts"))
