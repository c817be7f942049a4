"""One image per value of a field: the menu, what each image stands for, the way to the others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from site_of_page import Site, ids

pytestmark = pytest.mark.slow


def test_the_menu_shows_one_image_per_folder_and_a_link_to_the_others(
    look: Callable[..., Any], site: Site
) -> None:
    page = look("?q=a red car")
    every = len(ids(page))
    page.select_option("#group_by", "folder")
    badge = page.locator(".tile .others").first
    badge.wait_for()
    assert "group_by=folder" in page.url
    folders = page.locator(".tile .others bdi").all_inner_texts()
    assert 1 < len(folders) == len(ids(page)) < every
    assert len(set(folders)) == len(folders)
    counts = page.locator(".tile .others span").all_inner_texts()
    assert sum(int(each.removeprefix("+")) for each in counts) + len(folders) == len(site.library)
    badge.click()
    badge.wait_for(state="detached")
    assert "folder%3A%3D" in page.url
    assert page.input_value("#group_by") == ""
    assert 0 < len(ids(page)) < every
    page.go_back()
    badge.wait_for()
    assert page.input_value("#group_by") == "folder"
    # As the server sends it, so that it works without scripts.
    page = look("?q=a red car&group_by=folder")
    assert sorted(page.locator(".tile .others bdi").all_inner_texts()) == sorted(folders)
    assert sorted(page.locator(".tile .others span").all_inner_texts()) == sorted(counts)


@pytest.mark.parametrize("wide", [1280, 390])
def test_a_long_name_leaves_room_for_the_number_of_others(
    look: Callable[..., Any], wide: int
) -> None:
    page = look("?q=a red car&group_by=folder", wide=wide)
    page.locator(".tile .others span").first.wait_for()
    inside = page.evaluate("""() => {
        for (const each of document.querySelectorAll(".others bdi"))
            each.textContent = "שם ארוך מאוד של מוצר שלא נכנס לתמונה הקטנה, גם לא כאן";
        return [...document.querySelectorAll(".tile .others span")].map(each => {
            const own = each.getBoundingClientRect();
            const tile = each.closest(".tile").getBoundingClientRect();
            return own.width > 5 && own.left > tile.left + tile.width / 2 && own.right < tile.right;
        });
    }""")
    assert inside
    assert all(inside)
