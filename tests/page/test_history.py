"""The address is the state: back, forward, reload, and where one was."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from site_of_page import ids, settled

pytestmark = pytest.mark.slow

Look = Callable[..., Any]


def test_back_and_forward_bring_searches_and_places_back(look: Look) -> None:
    page = look(high=500)
    settled(page)
    page.evaluate("scrollTo(0, 1500)")
    page.wait_for_timeout(400)  # the place is remembered when scrolling rests
    place = page.evaluate("scrollY")
    before = ids(page)
    page.fill("#q", "a red car")
    page.press("#q", "Enter")
    page.locator("#count", has_text="strong").wait_for()
    assert page.evaluate("scrollY") == 0
    page.go_back()
    page.locator("#count", has_text="strong").wait_for(state="detached")
    settled(page)
    assert page.evaluate("scrollY") == pytest.approx(place, abs=3)
    assert ids(page) == before
    page.go_forward()
    page.locator("#count", has_text="strong").wait_for()
    assert page.input_value("#q") == "a red car"
    page.go_back()
    page.reload()
    settled(page)
    assert page.evaluate("scrollY") == pytest.approx(place, abs=3)


def test_a_place_is_kept_below_an_image_from_which_a_search_was_made(look: Look) -> None:
    page = look(high=900)
    settled(page)
    page.evaluate("scrollTo(0, 700)")
    # The place is remembered when scrolling rests, and the image is wholly in view.
    page.evaluate("""new Promise(done => {
        const isSeen = ({ top, bottom }) => top > 100 && bottom < 900;
        const find = () => {
            const seen = [...document.querySelectorAll(".tile a")].find(
                each => isSeen(each.getBoundingClientRect()));
            history.state?.at && seen ? done(seen.click()) : requestAnimationFrame(find);
        };
        find();
    })""")
    place = page.evaluate("scrollY")
    page.locator("#viewer[open]").wait_for()
    page.keyboard.press("s")
    page.locator("#count", has_text="strong").wait_for()
    page.go_back()
    page.locator("#viewer[open]").wait_for()
    page.locator("#count", has_text="strong").wait_for(state="detached")
    settled(page)
    page.go_back()
    page.locator("#viewer[open]").wait_for(state="detached")
    assert page.evaluate("scrollY") == pytest.approx(place, abs=3)


def test_the_order_is_named_when_it_is_the_default(look: Look) -> None:
    """Without words to rank by, newest first is what the first order says."""
    page = look("?q=a red car year:2023&sort=newest")
    assert page.input_value("#sort") == "newest"
    page.locator("#chips button").first.click()
    page.locator("#chips .chip").nth(1).wait_for(state="detached")
    assert page.locator("#sort :checked").inner_text() == "Newest"


def test_an_address_is_a_whole_search(look: Look) -> None:
    page = look("?q=a red car&sort=newest&facets=1")
    assert page.input_value("#sort") == "newest"
    assert page.locator("#facets").is_visible()
    assert page.locator("#timeline").count() == 1


@pytest.mark.parametrize(
    ("field", "value", "chip"),
    [
        ("year", "2023", "year:2023"),
        ("year", "No date", "-has:date"),
        ("format", "JPEG", "format:jpeg"),
    ],
)
def test_filters_refine_and_are_taken_back(look: Look, field: str, value: str, chip: str) -> None:
    page = look()
    page.get_by_role("button", name="Filters").click()
    page.locator(f"[data-field={field}]").get_by_role("button", name=value).click()
    page.locator("#chips").get_by_text(chip).wait_for()
    page.locator(f"[data-field={field}] [aria-pressed=true]").click()
    page.locator("#chips .chip").wait_for(state="detached")
    page.get_by_text("64 images").wait_for()


def test_a_date_in_words_is_a_filter_until_it_is_taken_back(look: Look) -> None:
    page = look("?q=a car 2023")
    chip = page.locator("#chips .chip.date")
    assert chip.inner_text().strip() == "2023"
    chip.get_by_role("button").click()
    page.wait_for_url("**dates=false*")
    page.locator("#chips .chip.date").wait_for(state="detached")


def test_a_search_is_saved_and_found_again(look: Look) -> None:
    page = look("?q=a blue boat")
    page.get_by_role("button", name="Save this search").click()
    page.fill("#save-name", "boats of 2023")
    page.press("#save-name", "Enter")
    page.get_by_text("Saved as boats of 2023").wait_for()
    page.locator(".brand").click()
    page.locator("#saved").get_by_text("boats of 2023").click()
    page.locator("#count", has_text="strong").wait_for()
    assert "%40%22boats" in page.url
    page.go_back()
    page.get_by_role("button", name="Forget boats of 2023").click()
    page.locator("#saved").get_by_text("boats of 2023").wait_for(state="detached")
    page.reload()
    assert page.locator("#saved li").count() == 1


def test_libraries_are_chosen_in_the_page(look: Look, two_libraries: str) -> None:
    page = look(url=two_libraries)
    assert page.locator("#count").inner_text() == "6 images"
    page.select_option("#library", "second")
    page.get_by_text("3 images").wait_for()
    assert "library=second" in page.url
    page.fill("#q", "a car")
    page.press("#q", "Enter")
    page.locator("#count", has_text="strong").wait_for()
    assert "library=second" in page.url
    assert page.locator(".tile").count() == 3
