"""One image per value of a field: the menu, what each image stands for, the way to the others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from site_of_page import ids

pytestmark = pytest.mark.slow


def test_the_menu_shows_one_image_per_folder_and_a_link_to_the_others(
    look: Callable[..., Any],
) -> None:
    page = look("?q=a red car")
    every = len(ids(page))
    page.select_option("#group_by", "folder")
    badge = page.locator(".tile .others").first
    badge.wait_for()
    assert "group_by=folder" in page.url
    folders = page.locator(".tile .others").all_inner_texts()
    assert 1 < len(folders) == len(ids(page)) < every
    assert len({each.rpartition(" +")[0] for each in folders}) == len(folders)
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
    assert sorted(page.locator(".tile .others").all_inner_texts()) == sorted(folders)
