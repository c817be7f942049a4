"""One image on the whole window: by keys, by fingers, by mouse."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw, ImageFont

from pixseek.library import Library

from site_of_page import HOSTILE, Site, served, viewer_is_open

pytestmark = pytest.mark.slow

Look = Callable[..., Any]


def opened(page: Any, nth: int = 0) -> str:
    """Open an image of the list; return its id."""
    tile = page.locator(f'.tile[data-i="{nth}"]')
    image = str(tile.get_attribute("data-id"))
    tile.locator("a").click()
    viewer_is_open(page)
    page.wait_for_url(f"**/image/{image}**")
    return image


def facts(page: Any) -> Any:
    viewer_is_open(page)
    if page.locator("#viewer .panel").is_hidden():
        page.keyboard.press("i")
    page.locator("#viewer .panel dl").first.wait_for()
    return page.locator("#viewer .panel")


def test_keys_lead_through_the_images_and_back(look: Look) -> None:
    page = look("?q=a+red+car")
    first = opened(page)
    page.keyboard.press("ArrowRight")
    second = page.locator('.tile[data-i="1"]').get_attribute("data-id")
    page.wait_for_url(f"**/image/{second}?q=a+red+car")
    page.keyboard.press("ArrowLeft")
    page.wait_for_url(f"**/image/{first}?**")
    page.keyboard.press("ArrowRight")
    page.wait_for_url(f"**/image/{second}?**")
    page.keyboard.press("Escape")
    page.wait_for_selector("#viewer:not([open])", state="attached")
    page.wait_for_url("**/?q=a+red+car")
    page.wait_for_function(
        f"() => document.activeElement.closest('.tile')?.dataset.id === '{second}'"
    )
    page.go_forward()
    viewer_is_open(page)
    page.go_back()
    page.wait_for_selector("#viewer:not([open])", state="attached")


def test_the_address_of_an_image_opens_it(look: Look, site: Site) -> None:
    image = site.library.search("a red car", k=3)[2].id
    page = look(f"image/{image}?q=a+red+car")
    viewer_is_open(page)
    page.get_by_text("3 of").wait_for()
    page.keyboard.press("Escape")
    page.wait_for_url("**/?q=a+red+car")
    assert page.locator(".tile").count() > 5


def test_zooming_by_keys_wheel_and_mouse(look: Look) -> None:
    page = look("?q=a+red+car")
    opened(page)
    before = page.locator("#viewer .picture").bounding_box()["width"]
    page.keyboard.press("z")
    page.wait_for_function(
        "width => document.querySelector('#viewer .picture').getBoundingClientRect().width > width",
        arg=1.5 * before,
    )
    page.keyboard.press("z")
    page.mouse.move(640, 400)
    page.mouse.wheel(0, -400)
    page.wait_for_selector("#viewer .stage.zoomed")
    page.mouse.wheel(0, 4000)
    page.wait_for_selector("#viewer .stage:not(.zoomed)")
    page.mouse.dblclick(640, 400)
    page.wait_for_selector("#viewer .stage.zoomed")


def test_rating_and_tagging_by_keys(look: Look, site: Site) -> None:
    page = look("?q=a+blue+balloon")
    image = opened(page, 3)
    facts(page)
    page.locator("#viewer .stars button").nth(1).click()
    page.wait_for_function("() => document.querySelector('.stars').textContent === '★★☆☆☆'")
    page.keyboard.press("4")
    page.get_by_text("4 stars").wait_for()
    page.wait_for_function("() => document.querySelector('.stars').textContent === '★★★★☆'")
    page.keyboard.press("t")
    page.keyboard.type("seen today, good\n")
    page.locator("#viewer .chip", has_text="good").wait_for()
    record = site.library.get(image)
    assert record is not None and record.fields["rating"] == 4
    assert {"seen today", "good"} <= set(record.tags)
    page.keyboard.press("Escape")  # out of the field
    page.keyboard.press("e")
    page.keyboard.type("a balloon\n")
    page.wait_for_function(
        "() => document.querySelector('#caption_edit').value === 'a balloon'"
        " && document.activeElement.id !== 'caption_edit'"
    )
    page.keyboard.press("0")
    page.locator(".toast", has_text="No rating").wait_for()
    page.keyboard.press("Escape")
    page.wait_for_selector("#viewer:not([open])", state="attached")
    page.fill("#q", 'tag:"seen today"')
    page.press("#q", "Enter")
    page.wait_for_function("() => document.querySelectorAll('.tile').length === 1")
    assert page.locator(".tile").get_attribute("data-id") == image


def test_search_by_a_part_of_an_image(look: Look, site: Site) -> None:
    page = look("?q=a+red+car")
    image = opened(page)
    page.keyboard.press("r")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowDown")
    with page.expect_response("**/api/layout**"):
        page.keyboard.press("Enter")
    page.wait_for_url("**/?q=id*")
    assert page.input_value("#q") == f"id:{image}@0.27,0.25,0.5,0.52"
    # Whoever searched by keys goes on in the results.
    page.wait_for_function("() => document.activeElement.closest('.tile')?.dataset.i === '0'")
    opened(page)
    page.keyboard.press("r")
    box = page.locator("#viewer .region").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.1, box["y"] + box["height"] * 0.2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + box["height"] * 0.7, steps=3)
    page.mouse.up()
    page.keyboard.press("Escape")
    page.wait_for_selector("#viewer .region", state="detached")
    assert page.locator("#viewer[open]").count() == 1


def test_likes_are_part_of_the_query(look: Look) -> None:
    page = look("?q=a+red+car")
    image = opened(page, 1)
    page.keyboard.press("l")
    page.wait_for_function(f"() => document.querySelector('#q').value.includes('0.75*id:{image}')")
    page.wait_for_selector('#viewer button[aria-pressed="true"]')
    page.keyboard.press("d")
    page.wait_for_function(f"() => document.querySelector('#q').value.includes('-0.15*id:{image}')")
    page.keyboard.press("d")
    page.wait_for_function("() => document.querySelector('#q').value === 'a red car'")


def test_similar_images(look: Look) -> None:
    page = look("?q=a+red+car")
    image = opened(page, 2)
    page.keyboard.press("s")
    page.wait_for_function(f"() => document.querySelector('#q').value === 'id:{image}'")
    page.wait_for_selector("#viewer:not([open])", state="attached")


def test_texts_of_strangers_are_no_markup(look: Look, site: Site) -> None:
    page = look('?q=tag:"<b>tag</b>"')
    for nth in range(len(HOSTILE)):
        opened(page, nth)
        panel = facts(page)
        assert "<b>tag</b>" in panel.inner_text()
        assert panel.locator("b, script, img").count() == 0
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        page.keyboard.press("Escape")
        page.wait_for_selector("#viewer:not([open])", state="attached")
    assert page.evaluate("window.wasRun") is None


def test_the_facts_are_there_if_they_come_before_the_first_frame(look: Look) -> None:
    page = look("?q=a red car")
    # What a busy machine does: the answer is faster than the change of the document.
    page.evaluate("""() => {
        window.held = [];
        const start = document.startViewTransition.bind(document);
        document.startViewTransition = (change) => {
            const until = new Promise(done => held.push(done));
            return start(() => until.then(change));
        };
    }""")

    def go_on(nth: int) -> None:
        page.wait_for_function("nth => held.length === nth", arg=nth)
        page.evaluate("nth => held[nth - 1]()", nth)

    with page.expect_response("**/facts/*") as answer:
        page.locator('.tile[data-i="0"] a').click()
    answer.value.finished()
    page.evaluate("() => new Promise(done => setTimeout(done))")
    go_on(1)
    page.wait_for_selector("#viewer[open]")
    page.get_by_text("1 of").wait_for()
    # And an image that was left before it was shown is not shown.
    page.keyboard.press("Escape")
    go_on(2)
    page.wait_for_selector("#viewer:not([open])", state="attached")
    page.locator('.tile[data-i="1"] a').click()
    page.wait_for_url("**/image/**")
    page.go_back()
    page.wait_for_url("**/?q=a*red*car")
    go_on(3)
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => setTimeout(done)))")
    assert page.locator("#viewer[open]").count() == 0


def test_fingers_swipe_zoom_and_close(look: Look) -> None:
    page = look("?q=a+red+car", wide=390, high=844, has_touch=True, is_mobile=True)
    page.locator('.tile[data-i="0"] a').tap()
    viewer_is_open(page)
    page.get_by_text("1 of").wait_for()
    cdp = page.context.new_cdp_session(page)

    def touch(kind: str, *points: tuple[int, int]) -> None:
        cdp.send(
            "Input.dispatchTouchEvent",
            {"type": kind, "touchPoints": [{"x": x, "y": y, "id": n} for n, (x, y) in
                                           enumerate(points)]},
        )  # fmt: skip

    def drag(*way: tuple[tuple[int, int], ...]) -> None:
        touch("touchStart", *way[0])
        for points in way[1:]:
            touch("touchMove", *points)
        touch("touchEnd")

    drag(((320, 400),), ((200, 400),), ((80, 404),))
    page.get_by_text("2 of").wait_for()
    drag(((180, 400), (210, 400)), ((150, 400), (240, 400)), ((60, 400), (330, 400)))
    page.wait_for_selector("#viewer .stage.zoomed")
    drag(((60, 400), (330, 400)), ((170, 400), (220, 400)), ((190, 400), (200, 400)))
    page.wait_for_selector("#viewer .stage:not(.zoomed)")
    for state in (".zoomed", ":not(.zoomed)"):  # a double tap, and another
        page.wait_for_timeout(400)
        for _ in range(2):
            drag(((200, 400),))
        page.wait_for_selector(f"#viewer .stage{state}")
    page.wait_for_timeout(400)
    drag(((200, 300),), ((200, 420),), ((204, 560),))
    page.wait_for_selector("#viewer:not([open])", state="attached")


def test_readers_are_shown_nothing_that_writes(look: Look, site: Site) -> None:
    from pixseek.library import Library

    own = Library.open(site.library.path)  # which is closed with the server
    with served({"photos": own}, read_only=True) as url:
        page = look("?q=a+red+car", url=url)
        opened(page)
        panel = facts(page)
        assert panel.locator("input, textarea, .stars button").count() == 0
        page.keyboard.press("3")
        page.keyboard.press("t")
        assert page.locator("#toasts .toast").count() == 0
        page.keyboard.press("Escape")
        page.wait_for_selector("#viewer:not([open])", state="attached")
        page.keyboard.press("x")
        page.wait_for_selector("#selection")
        assert page.locator("#selection input:not([type=hidden])").count() == 0
        page.goto(f"{url}status")
        assert page.locator("form[method=post]").count() == 0


def test_a_file_that_is_away_is_said_to_be(look: Look, site: Site) -> None:
    record = site.library.search("a red car", k=9)[8].record
    path = site.library.locate(record)
    assert path is not None
    content = path.read_bytes()
    path.unlink()
    try:
        page = look(f"image/{record.id}?q=a+red+car")
        facts(page)
        page.get_by_text("The file is not there now").wait_for()
        page.wait_for_function(
            "() => document.querySelector('#viewer .picture img').naturalWidth > 0"
        )
    finally:
        path.write_bytes(content)


def test_little_motion_if_that_is_wanted(look: Look) -> None:
    page = look("?q=a+red+car", reduced_motion="reduce")
    page.evaluate("() => { document.startViewTransition = () => { throw Error('moved'); }; }")
    opened(page)
    page.keyboard.press("z")
    assert page.locator("#viewer .glides").count() == 0
    page.keyboard.press("Escape")
    page.wait_for_selector("#viewer:not([open])", state="attached")


def test_other_keys_of_the_viewer(look: Look, site: Site) -> None:
    page = look("?q=a+red+car", permissions=["clipboard-read", "clipboard-write"])
    image = opened(page)
    path = str(site.library.locate(site.library.get(image)))
    page.keyboard.press("c")
    page.locator(".toast", has_text=path).wait_for()
    assert page.evaluate("() => navigator.clipboard.readText()") == path
    with page.expect_download() as waits:
        page.keyboard.press("o")
    assert waits.value.suggested_filename == path.rpartition("/")[2]
    place = "() => document.querySelector('#viewer .picture').style.transform"
    page.keyboard.press("+")
    page.keyboard.press("+")
    page.wait_for_selector("#viewer .stage.zoomed")
    before = page.evaluate(place)
    page.keyboard.press("Shift+ArrowRight")
    page.wait_for_function(f"before => ({place})() !== before", arg=before)
    page.keyboard.press("-")
    page.keyboard.press("-")
    page.wait_for_selector("#viewer .stage:not(.zoomed)")
    panel = page.locator("#viewer .panel")
    was_hidden = panel.is_hidden()
    page.keyboard.press("i")
    assert panel.is_hidden() != was_hidden
    page.keyboard.press("i")
    assert panel.is_hidden() == was_hidden
    page.keyboard.press("?")
    keys = page.get_by_role("dialog", name="Keys")
    for key in ("s", "l", "d", "i", "r", "t", "/", "?", "x", "Esc", "Ctrl+a", "1", "5", "→"):
        assert keys.get_by_text(key, exact=True).count(), key
    page.keyboard.press("Escape")
    page.keyboard.press("/")  # out of the viewer, into the box
    page.wait_for_selector("#viewer:not([open])", state="attached")
    page.wait_for_function("() => document.activeElement.id === 'q'")
    assert page.input_value("#q") == "a red car"


def test_lines_in_the_picture_that_hold_words_of_the_search_are_outlined(
    look: Look, tmp_path: Path
) -> None:
    pytest.importorskip("rapidocr")
    folder = tmp_path / "Pictures"
    folder.mkdir()
    for n, text in enumerate(("EXIT", "", "Total 12.50")):
        image = Image.new("RGB", (480, 300), ("palegreen", "navy", "white")[n])
        ImageDraw.Draw(image).text((230, 200), text, "black", ImageFont.load_default(40))
        image.save(folder / f"{n}.png")
    library = Library.open(tmp_path / "library", "demo")
    library.index(folder, ocr=True)
    with served({"photos": library}) as url:
        page = look("?q=exit", url=url)
        opened(page)
        lines = page.locator("#viewer .seen div")
        lines.first.wait_for()
        (box,) = (each.bounding_box() for each in lines.all())
        whole = page.locator("#viewer .picture").bounding_box()
        assert box and whole
        left, top = ((box[a] - whole[a]) / whole[s] for a, s in (("x", "width"), ("y", "height")))
        assert abs(left - 230 / 480) < 0.03
        assert abs(top - 200 / 300) < 0.08
        # What holds none of the words, and what has no text, has no outlines.
        for _ in range(2):
            page.keyboard.press("ArrowRight")
            lines.first.wait_for(state="detached")
        page.keyboard.press("ArrowLeft")
        page.keyboard.press("ArrowLeft")
        lines.first.wait_for()
