"""Searching by a picture: dropped, pasted, chosen, dragged from the results; and its weight."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from site_of_page import Site, as_file, ids, settled

pytestmark = pytest.mark.slow

Look = Callable[..., Any]

#: Runs in the page: an event that carries a file, as browsers send it.
_SEND = """([kind, type, name, media, data]) => {
    const carried = new DataTransfer();
    const bytes = Uint8Array.from(atob(data), each => each.charCodeAt(0));
    carried.items.add(new File([bytes], name, { type: media }));
    const event = kind === "paste"
        ? new ClipboardEvent("paste", { clipboardData: carried, bubbles: true, cancelable: true })
        : new DragEvent(type, { dataTransfer: carried, bubbles: true, cancelable: true });
    document.body.dispatchEvent(event);
}"""


@pytest.mark.parametrize("way", ["drop", "paste", "choose"])
def test_a_picture_finds_itself_first(look: Look, site: Site, way: str) -> None:
    page = look()
    wanted = site.library.search("a red car", k=1)[0]
    name, media, data = as_file(wanted.path)
    if way == "choose":
        page.set_input_files("#search input[type=file]", str(wanted.path))
    else:
        page.evaluate(_SEND, [way, "drop", name, media, data])
    page.wait_for_url("**example=**")
    settled(page)
    assert ids(page)[0] == wanted.id
    assert page.locator("#chips .chip.image img").get_attribute("src").startswith("blob:")
    page.reload()  # the picture is still in this browser
    settled(page)
    assert ids(page)[0] == wanted.id
    page.get_by_role("button", name="Remove Your picture").click()
    page.wait_for_selector("#chips .chip", state="detached")
    assert "example" not in page.url


def test_what_is_no_picture_is_said(look: Look) -> None:
    page = look()
    page.evaluate(_SEND, ["drop", "drop", "notes.txt", "text/plain", "aGFsbG8="])
    page.get_by_text("notes.txt is not a picture").wait_for()
    # A broken one reaches the server, which says so.
    page.watched.expected = ("status of 422",)
    page.evaluate(_SEND, ["drop", "drop", "x.jpg", "image/jpeg", "aGFsbG8="])
    page.get_by_role("alert").get_by_text("image").first.wait_for()


def test_a_picture_that_is_gone_is_said(look: Look) -> None:
    page = look("?example=elsewhere", wait=False)
    page.get_by_text("not in this browser any more").wait_for()


def test_a_hit_dragged_into_the_box_is_searched_by(look: Look) -> None:
    page = look("?q=a red car")
    settled(page)
    third = ids(page)[2]
    page.drag_and_drop(f'.tile[data-id="{third}"]', "#box")
    page.wait_for_url(f"**id%3A{third}*")
    page.locator("#chips .chip.id").wait_for()
    assert page.locator("#chips input[type=range]").count() == 2


def test_words_and_a_picture_have_weights(look: Look, site: Site) -> None:
    page = look("?q=a red car")
    wanted = site.library.search("a blue boat", k=1)[0]
    page.set_input_files("#search input[type=file]", str(wanted.path))
    page.wait_for_url("**example=**")
    settled(page)
    sliders = page.locator("#chips input[type=range]")
    assert sliders.count() == 2
    sliders.nth(0).fill("3")
    page.wait_for_url("**weight=3**")
    sliders.nth(1).fill("0.2")
    page.wait_for_url("**q=0.2*")
    settled(page)
    assert ids(page)[0] == wanted.id
