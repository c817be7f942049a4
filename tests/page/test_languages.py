"""What the library says is there in German too, or marked as English for those who hear it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from site_of_page import settled

pytestmark = pytest.mark.slow

Look = Callable[..., Any]


def test_notes_and_errors_of_the_library_are_german(look: Look) -> None:
    page = look("?q=tag:zebra+rating:5", locale="de-DE", expected=("status of 4",))
    settled(page)
    notes = page.locator("#notes")
    assert "Kein Bild erfüllt alles: tag:zebra erfüllen 0 Bilder" in notes.inner_text()
    page.fill("#q", "year:20x1")
    page.press("#q", "Enter")
    alert = page.get_by_role("alert").get_by_text("Kein Datum: year:20x1, ab Zeichen 1")
    alert.wait_for()
    assert "Schreibe 2021, 2021-05" in notes.inner_text()
    assert page.locator("#notes [lang]").count() == 0
    page.fill("#q", "camra:x ")  # said while it is typed
    page.get_by_text("Meintest du 'camera'?").wait_for()


def test_what_nobody_translated_is_marked_as_english(look: Look) -> None:
    page = look("?q=tag:zebra", locale="de-DE", wait=False, expected=("status of",))
    said = {"title": "New", "problem": "A new <b>error</b>", "subject": "it", "advice": "Do that."}
    page.route("**/api/layout**", lambda route: route.fulfill(status=422, json=said))
    page.reload()
    page.locator("#notes strong", has_text="A new <b>error</b>: it").wait_for()
    marked = page.eval_on_selector_all("#notes [lang=en]", "all => all.map(e => e.textContent)")
    assert marked == ["A new <b>error</b>", "Do that."]
    page.route("**/api/saved/**", lambda route: route.fulfill(status=503, json=said))
    page.click("#save")
    page.fill("#save-name", "x")
    page.press("#save-name", "Enter")
    page.locator(".toast [lang=en]", has_text="Do that.").wait_for()
    assert page.locator(".toast b").count() == 0


def test_counts_name_what_pixseek_says_and_leave_the_rest(look: Look) -> None:
    page = look("?q=drawing", locale="de-DE")
    counts = {"tag": {"none": 1, "grey": 2}, "year": {"none": 3}, "colour": {"grey": 4}}
    page.route("**/api/facets?*", lambda route: route.fulfill(json=counts))
    page.click("#filters")
    page.locator("#facets [data-filter]").first.wait_for()
    shown = page.eval_on_selector_all("#facets bdi", "all => all.map(each => each.textContent)")
    assert shown == ["none", "grey", "Ohne Datum", "Grau"]
