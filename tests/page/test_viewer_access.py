"""The viewer, selections and other pages for all: axe, small windows, forced colours, the focus."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from site_of_page import Site, draw_pictures, served, settled, viewer_is_open

pytestmark = pytest.mark.slow

Look = Callable[..., Any]

#: Elements that reach out of the window at a side.
_OUTSIDE = """() => [...document.querySelectorAll("body *")].filter(each => {
    const {left, right, width, height} = each.getBoundingClientRect();
    return width && height && (right > innerWidth + 1 || left < -1)
        && !each.closest(".skip, .unseen, .stage, #timeline");
}).map(each => each.outerHTML.slice(0, 90))"""


def _opened(page: Any, *keys: str) -> None:
    page.locator('.tile[data-i="1"] a').click()
    viewer_is_open(page)
    page.get_by_text("2 of").or_(page.get_by_text("2 von")).wait_for()
    for key in keys:
        page.keyboard.press(key)


def _facts(page: Any) -> None:
    _opened(page)
    if page.locator("#viewer .panel").is_hidden():
        page.keyboard.press("i")
    page.locator("#viewer .panel summary").click()


def _selected(page: Any) -> None:
    page.locator("#main").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("x")
    page.wait_for_selector("#selection")


_STATES: dict[str, tuple[str, Callable[[Any], None] | None]] = {
    "viewer": ("?q=a red car", _opened),
    "facts": ("?q=a red car", _facts),
    "keys": ("?q=a red car", lambda page: _opened(page, "?")),
    "region": ("?q=a red car", lambda page: _opened(page, "r")),
    "tagging": ("?q=a red car", lambda page: _opened(page, "t")),
    "selection": ("?q=a red car", _selected),
    "copies": ("copies", None),
    "library": ("status", lambda page: page.locator("summary").first.click()),
    "login": ("login", None),
    "no such page": ("none", None),
    "no such image": ("image/none", None),
}


def _shown(look: Look, state: str, **given: Any) -> Any:
    path, act = _STATES[state]
    page = look(path, wait=False, expected=("status of 404",), **given)
    if path.startswith("?"):
        settled(page)
    if act:
        act(page)
    return page


def _passes_axe(page: Any) -> bool:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    sets = ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa", "best-practice"]
    options = {"runOnly": sets, "rules": {"target-size": {"enabled": True}}}
    found = axe.Axe().run(page, options=options)
    assert not found.response["violations"], found.generate_report()
    return True


@pytest.mark.parametrize("state", _STATES)
def test_axe_finds_nothing(look: Look, state: str) -> None:
    for given in ({"dark": True}, {"wide": 390, "high": 844, "has_touch": True}):
        page = _shown(look, state, bypass_csp=True, **given)
        assert _passes_axe(page)


def test_axe_finds_nothing_if_something_is_odd(look: Look, tmp_path: Path) -> None:
    """Failures with and without the right to write, copies, no images, and no server."""
    from pixseek.library import Library

    draw_pictures(tmp_path / "Pictures", 3)
    first = next((tmp_path / "Pictures").rglob("*.jpg"))
    (tmp_path / "Pictures" / "copy.jpg").write_bytes(first.read_bytes())
    (tmp_path / "Pictures" / "broken.jpg").write_bytes(b"no picture")
    for read_only in (False, True):
        library = Library.open(tmp_path / "library", "demo")
        library.index(str(tmp_path / "Pictures"))
        empty = Library.open(tmp_path / "empty", "demo")
        with served({"some": library, "none": empty}, read_only=read_only) as url:
            page = look(url=url, bypass_csp=True, locale="de-DE", dark=read_only)
            assert _passes_axe(page)
            for path in ("status", "copies", "?library=none"):
                page.goto(url + path)
                page.wait_for_timeout(300)
                assert _passes_axe(page), path
            page.watched.expected = ("ERR_FAILED",)
            page.route("**/api/**", lambda route: route.abort())
            page.fill("#q", "a red car")
            page.press("#q", "Enter")
            page.locator(".toast").first.wait_for()
            assert _passes_axe(page)


@pytest.mark.parametrize("state", _STATES)
def test_nothing_reaches_out_of_a_small_or_enlarged_window(look: Look, state: str) -> None:
    # 320 CSS pixels are 1,280 at 400 %; 720 are 1,440 at 200 %.
    for wide, high in ((320, 256), (720, 450)):
        page = _shown(look, state, wide=wide, high=high, locale="de-DE")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert page.evaluate(_OUTSIDE) == []


def test_what_has_the_focus_is_in_sight_beside_a_selection(look: Look) -> None:
    page = _shown(look, "selection", wide=390, high=600)
    sides = """() => {
        const box = element => element.getBoundingClientRect();
        const tile = box(document.activeElement.closest(".tile"));
        return [tile.top - box(header).bottom, box(selection).top - tile.bottom];
    }"""
    for key in ("ArrowDown",) * 5 + ("ArrowUp",) * 5:
        page.keyboard.press(key)
        page.wait_for_timeout(60)
        above, below = page.evaluate(sides)
        assert above >= 0 and below >= 0, key


def test_the_focus_comes_back_to_the_picture(look: Look) -> None:
    page = look("?q=a+red+car")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    viewer_is_open(page)
    page.keyboard.press("?")
    page.get_by_role("dialog", name="Keys").wait_for()
    page.keyboard.press("Escape")
    page.wait_for_selector("#keys:not([open])", state="attached")
    page.keyboard.press("ArrowRight")
    page.get_by_text("3 of").wait_for()
    page.keyboard.press("i")
    page.keyboard.press("Escape")
    page.wait_for_selector("#viewer:not([open])", state="attached")
    page.wait_for_function("() => document.activeElement.closest('.tile')?.dataset.i === '2'")


def test_forced_colours_show_what_is_chosen(look: Look) -> None:
    page = look("?q=a+red+car", forced_colors="active")
    _selected(page)
    ground = "each => getComputedStyle(each).backgroundColor"
    tiles = page.locator(".tile")
    assert tiles.nth(0).evaluate(ground) != tiles.nth(1).evaluate(ground)
    assert tiles.nth(0).locator(".check .icon").is_visible()
    assert not tiles.nth(1).locator(".check .icon").is_visible()
    page.click("#view")
    labels = page.locator("[name=theme] + span")
    assert labels.nth(0).evaluate(ground) != labels.nth(1).evaluate(ground)


def test_the_look_can_be_changed_on_all_pages(look: Look, site: Site) -> None:
    page = look("status", wait=False)
    page.click("#view")
    page.get_by_text("Dark", exact=True).click()
    assert page.get_attribute("html", "data-theme") == "dark"
    page.goto(site.url)
    assert page.get_attribute("html", "data-theme") == "dark"
    # What only the list can do is not offered elsewhere.
    page.goto(f"{site.url}copies")
    assert page.locator("#choose, #save, #show-keys").filter(visible=True).count() == 0


def test_a_browser_that_keeps_nothing_shows_all(look: Look, site: Site) -> None:
    page = look("login", wait=False)
    page.add_init_script(
        "Object.defineProperty(window, 'localStorage', {get() { throw new DOMException('no'); }})"
    )
    page.goto(f"{site.url}?q=a+red+car")
    settled(page)
    _facts(page)
    page.keyboard.press("/")
    page.wait_for_selector("#q:focus")
    page.keyboard.type("a blue boat\n")
    page.wait_for_url("**blue**")
    settled(page)
