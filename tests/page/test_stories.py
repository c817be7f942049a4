"""What a new user does, from words to a photo found again: on a phone, and by keys alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from site_of_page import Site, ids, settled, viewer_is_open

pytestmark = pytest.mark.slow

Look = Callable[..., Any]


def _first_has_focus(page: Any) -> None:
    page.wait_for_function("() => document.activeElement.closest('.tile')?.dataset.i === '0'")


def test_on_a_phone_by_touch(look: Look, site: Site) -> None:
    page = look(wide=390, high=844, has_touch=True, is_mobile=True)
    settled(page)
    # By words.
    page.tap("#q")
    page.keyboard.type("a yellow house")
    page.keyboard.press("Enter")
    page.locator("#count", has_text="strong").wait_for()
    wanted = ids(page)[0]
    page.locator('.tile[data-i="0"] a').tap()
    viewer_is_open(page)
    # By a part of it, drawn with a finger.
    page.tap("#v-region")
    box = page.locator("#viewer .region").bounding_box()
    cdp = page.context.new_cdp_session(page)
    for kind, at in (("touchStart", 0.2), ("touchMove", 0.5), ("touchMove", 0.8)):
        point = {"x": box["x"] + box["width"] * at, "y": box["y"] + box["height"] * at}
        cdp.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [point]})
    cdp.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    page.tap("#r-search")
    page.wait_for_url("**id%3A**%40**")
    settled(page)
    x, y, width, height = map(float, page.input_value("#q").partition("@")[2].split(","))
    assert (x, y, width, height) == pytest.approx((0.2, 0.2, 0.6, 0.6), abs=0.02)
    found = site.library.search(page.input_value("#q"), k=3)
    assert ids(page)[:3] == [each.id for each in found]
    # Back to the photo: rate it, tag it.
    page.go_back()
    viewer_is_open(page)
    page.tap("#v-info")
    page.locator("#viewer .stars button").nth(3).tap()
    page.wait_for_function("() => document.querySelector('.stars').textContent === '★★★★☆'")
    page.tap("#tag_add")
    page.keyboard.type("from my phone")
    page.keyboard.press("Enter")
    page.locator("#viewer .chip", has_text="from my phone").wait_for()
    page.tap("#v-close")
    page.wait_for_selector("#viewer:not([open])", state="attached")
    # Found again by the tag, as suggested.
    page.fill("#q", "")
    page.tap("#q")
    page.keyboard.type("tag:from")
    page.locator("#suggestions li", has_text="from my phone").tap()
    page.wait_for_function("() => document.querySelectorAll('.tile').length === 1")
    assert ids(page) == [wanted]
    # By a picture of one's own.
    page.goto(site.url)
    settled(page)
    record = site.library.get(wanted)
    with page.expect_file_chooser() as chooser:
        page.tap("#choose")
    chooser.value.set_files(str(site.library.locate(record)))
    page.wait_for_url("**example=**")
    settled(page)
    assert ids(page)[0] == wanted


def test_on_a_wide_window_by_keys_alone(look: Look, site: Site) -> None:
    page = look(wide=1440, high=900)
    settled(page)
    press = page.keyboard.press
    press("/")
    page.keyboard.type("a green boat\n")
    page.locator("#count", has_text="strong").wait_for()
    press("ArrowDown")  # into the results
    _first_has_focus(page)
    wanted = ids(page)[0]
    press("Enter")
    page.get_by_text("1 of").wait_for()
    press("r")
    press("ArrowLeft")
    press("Shift+ArrowDown")
    press("Enter")
    page.wait_for_url("**id%3A**%40**")
    page.wait_for_selector("#viewer:not([open])", state="attached")
    _first_has_focus(page)
    page.go_back()
    page.get_by_text("1 of").wait_for()
    press("5")
    page.get_by_text("5 stars").wait_for()
    press("t")
    page.keyboard.type("by keys\n")
    page.locator("#viewer .chip", has_text="by keys").wait_for()
    press("Escape")  # out of the field
    press("/")  # and out of the viewer, into the box
    page.wait_for_function("() => document.activeElement.id === 'q'")
    page.keyboard.type('tag:"by k')
    page.locator("#suggestions li", has_text="by keys").wait_for()
    press("ArrowDown")
    press("Enter")
    page.wait_for_function("() => document.querySelectorAll('.tile').length === 1")
    assert ids(page) == [wanted]
    record = site.library.get(wanted)
    assert record is not None
    assert record.fields["rating"] == 5
    # Likes and similar ones.
    press("Escape")
    press("ArrowDown")
    _first_has_focus(page)
    press("Enter")
    viewer_is_open(page)
    press("s")
    page.wait_for_function("id => document.querySelector('#q').value === `id:${id}`", arg=wanted)
    settled(page)
    _first_has_focus(page)
