"""Speed by what is counted, not by the clock: sizes, elements, shifts, and work for each frame."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image

from site_of_page import Site, settled

pytestmark = pytest.mark.slow

Look = Callable[..., Any]

MANY = 100_000

#: Bytes of scripts and styles together, as they are sent, uncompressed.
BUDGET = 80_000

_SHIFTS = """new PerformanceObserver(list => {
    for (const each of list.getEntries()) if (!each.hadRecentInput)
        window.shifted = (window.shifted || 0) + each.value;
}).observe({ type: "layout-shift", buffered: true });"""


def test_scripts_and_styles_are_small(look: Look) -> None:
    page = look(wait=False)
    sizes: dict[str, int] = {}
    page.on(
        "response",
        lambda answer: (
            sizes.__setitem__(answer.url, len(answer.body()))
            if answer.url.endswith((".js", ".css"))
            else None
        ),
    )
    page.reload()
    settled(page)
    page.wait_for_timeout(300)
    assert len(sizes) > 10
    late = {"film.js", "groups.js", "region.js", "seen.js"}
    assert not late & {url.rpartition("/")[2] for url in sizes}
    assert sum(sizes.values()) <= BUDGET, sorted(sizes.items(), key=lambda each: -each[1])


@pytest.mark.parametrize("path", ["", "?q=a red car&facets=1", "?q=a car 2023"])
def test_nothing_shifts_while_a_page_loads(look: Look, path: str) -> None:
    page = look(wait=False)
    page.add_init_script(_SHIFTS)
    # Slow pictures, which are what others' pages shift for.
    page.route("**/preview?*", lambda route: route.continue_())
    page.goto(page.url.partition("?")[0] + path)
    settled(page)
    page.wait_for_timeout(500)
    assert page.evaluate("window.shifted || 0") < 0.01


def many(page: Any, site: Site, small: bytes = b"") -> None:
    """Let the server say that it has 100,000 images; their records are few, their pictures one."""
    small = small or site.library.preview(site.library.search("a red car", k=1)[0].record)
    ids = [f"aaaaaaaa{n:08d}" for n in range(MANY)]
    months = [[f"{2026 - n // 12}-{12 - n % 12:02d}", MANY // 100] for n in range(100)]
    layout = {
        "ids": ids, "aspects": [(1.5, 0.667, 1.0, 1.778)[n % 4] for n in range(MANY)],
        "strengths": [["strong", MANY]], "months": months, "strong": MANY, "likely": MANY,
        "total": MANY, "warnings": [],
    }  # fmt: skip

    def records(route: Any) -> None:
        asked = route.request.url.partition("ids=")[2].partition("&")[0].split("%2C")
        found = [{"id": each, "uri": f"Photos/{each}.jpg", "digest": "0" * 64} for each in asked]
        route.fulfill(json={"images": found})

    page.route("**/api/layout*", lambda route: route.fulfill(body=json.dumps(layout)))
    page.route("**/api/images?*", records)
    page.route("**/preview?*", lambda route: route.fulfill(body=small, content_type="image/jpeg"))


def test_a_hundred_thousand_images_scroll(look: Look, site: Site) -> None:
    page = look(wait=False, high=900)
    many(page, site)
    page.reload()
    settled(page)
    assert page.evaluate("document.querySelector('#grid').offsetHeight") > 1_000_000
    session = page.context.new_cdp_session(page)
    events: list[dict[str, Any]] = []
    session.on("Tracing.dataCollected", lambda given: events.extend(given["value"]))
    done: list[Any] = []
    session.on("Tracing.tracingComplete", lambda given: done.extend([given]))
    session.send(
        "Tracing.start", {"categories": "devtools.timeline", "transferMode": "ReportEvents"}
    )
    page.mouse.move(600, 500)
    most = 0
    for _ in range(40):
        page.mouse.wheel(0, 700)
        page.wait_for_timeout(30)
        most = max(most, page.evaluate("document.querySelectorAll('.tile').length"))
    for share in (0.2, 0.9, 0.5, 1.0):
        page.evaluate(f"scrollTo(0, document.documentElement.scrollHeight * {share})")
        page.wait_for_timeout(200)
        most = max(most, page.evaluate("document.querySelectorAll('.tile').length"))
    session.send("Tracing.end")
    while not done:
        page.wait_for_timeout(50)
    # Only what is near the window is in the document.
    assert most < 250
    # Frames: the time of the processor in scripts, styles and layout, whatever else runs here.
    frames = sorted(
        each.get("tdur", 0) / 1000 for each in events if each["name"] == "FireAnimationFrame"
    )
    assert len(frames) > 20
    assert frames[len(frames) * 9 // 10] < 16.7, frames
    # And the last images of all are there.
    last = page.locator(".tile").last
    page.wait_for_selector(f'.tile[aria-posinset="{MANY}"] img[src]')
    assert last.is_visible()


def test_the_order_of_the_document_is_that_of_the_page(look: Look, site: Site) -> None:
    page = look(wait=False, high=900)
    many(page, site)
    page.reload()
    settled(page)
    page.locator(".tile a").nth(5).focus()  # stays in the document
    for place in (40_000, 3_000, 90_000, 88_500, 600, 0):
        page.evaluate("y => scrollTo(0, y)", place)
        page.wait_for_timeout(150)
        tops = page.eval_on_selector_all(
            "#grid > *",
            "all => all.map(each => each.getBoundingClientRect()).map(r => [r.top, r.left])",
        )
        # A heading shares its row with none; tiles of one row differ in nothing but the left edge.
        assert len(tops) > 20
        assert tops == sorted(tops), place


@pytest.mark.parametrize(("wide", "high", "scale"), [(1440, 900, 1), (2560, 1440, 2)])
def test_a_screen_takes_few_bytes_until_it_is_scrolled(
    look: Look, site: Site, wide: int, high: int, scale: int
) -> None:
    page = look(wide=wide, high=high, device_scale_factor=scale)
    settled(page)
    drawn = io.BytesIO()
    Image.new("RGB", (384, 256), "teal").save(drawn, "JPEG")
    picture = drawn.getvalue().ljust(24_500, b"\0")  # as those of photos on average
    many(page, site, picture)
    asked: set[str] = set()
    page.on("request", lambda each: asked.add(each.url))
    page.fill("#q", "a red car")
    page.press("#q", "Enter")
    page.wait_for_selector('.tile[data-id^="aaaaaaaa"] img[src]')
    page.wait_for_timeout(500)
    in_view = page.evaluate(
        "[...document.querySelectorAll('.tile')]"
        ".filter(each => each.getBoundingClientRect().top < innerHeight).length"
    )
    first = {each for each in asked if "/aaaaaaaa" in each and "/preview?" in each}
    assert len(first) == in_view
    assert len(first) * len(picture) <= 1_500_000
    with page.expect_request(lambda each: "/preview?" in each.url and each.url not in first):
        page.mouse.wheel(0, 50)


#: By ThumbHash: what the author's decoder (npm thumbhash 0.1.1) gives: width, height, and the
#: pixels in the corners and the middle.
_PLACEHOLDERS = {
    "XTcSRZpweIeFiIiHiHiIh3+DB9eI": (
        (32, 23),
        ((67, 65, 59), (203, 0, 245), (130, 95, 126), (0, 191, 0), (212, 140, 234)),
    ),
    "XTcSRBqAWId4iId4eIiPgwfYiA==": (
        (18, 32),
        ((70, 51, 43), (224, 0, 247), (121, 103, 137), (21, 212, 13), (233, 144, 235)),
    ),
    "XTcSQZpweHeFiHiIf4MH14g=": (
        (32, 5),
        ((39, 43, 31), (212, 0, 253), (148, 113, 144), (0, 179, 0), (205, 130, 227)),
    ),
    "XTcSQRhwhXiIh4eHj4MI54g=": (
        (5, 32),
        ((61, 34, 24), (206, 0, 226), (125, 102, 142), (14, 213, 3), (215, 167, 225)),
    ),
}


def test_placeholders_are_those_of_the_authors_decoder(look: Look) -> None:
    page = look()
    module = page.evaluate("document.querySelector('script[type=module]').src").replace(
        "main", "thumbhash"
    )
    for hashed, ((width, height), right) in _PLACEHOLDERS.items():
        made = page.evaluate(
            "async ([module, hashed]) => { const { width, height, pixels } ="
            " (await import(module)).decoded(hashed); return [width, height, [...pixels]]; }",
            [module, hashed],
        )
        assert made[:2] == [width, height]
        right_edge, bottom = width - 1, height - 1
        middle = (width // 2, height // 2)
        places = ((0, 0), (right_edge, 0), middle, (0, bottom), (right_edge, bottom))
        for (x, y), colour in zip(places, right, strict=True):
            at = 4 * (y * width + x)
            assert made[2][at : at + 3] == pytest.approx(colour, abs=1)
    assert page.evaluate(f"import({module!r}).then(m => m.decoded('AAA='))") is None
