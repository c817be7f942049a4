"""Nothing moves under the hand of a user when the answer of a slow server comes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from site_of_page import Site, settled

pytestmark = pytest.mark.slow

Look = Callable[..., Any]

_WATCH = """window.moved = [];
const keep = some => moved.push(...some.filter(each => !each.hadRecentInput)
    .map(each => [each.value, each.sources.map(({ node }) => node?.id || node?.className)]));
const watcher = new PerformanceObserver(list => keep(list.getEntries()));
watcher.observe({ type: "layout-shift" });
window.shifts = () => (keep(watcher.takeRecords()), moved.splice(0));"""

_FRAMES = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"

#: Milliseconds after an input for which browsers forgive that something moves, and a few more.
_FORGIVEN_MS = 600


class Gate:
    """What a page asks waits here until it is opened."""

    def __init__(self, page: Any) -> None:
        self._page, self._held, self._running = page, list[Any](), 0
        self._opens: Callable[[Any], None] | None = lambda route: route.continue_()
        page.route("**/api/**", self._asked)
        page.on("request", lambda _: self._count(1))
        page.on("requestfinished", lambda _: self._count(-1))
        page.on("requestfailed", lambda _: self._count(-1))

    def _count(self, step: int) -> None:
        self._running += step

    def _asked(self, route: Any) -> None:
        if self._opens is None:
            self._held.append(route)
        else:
            self._opens(route)

    def close(self) -> None:
        self._opens = None

    def open(self, how: Callable[[Any], None]) -> None:
        """Answer what waits, and what comes, until nothing runs."""
        self._opens = how
        while self._held or self._running > 0:
            for route in self._held:
                how(route)
            self._held = []
            self._page.wait_for_timeout(50)


@pytest.mark.parametrize(("wide", "high"), [(390, 844), (820, 1100), (1280, 800)])
def test_nothing_moves_when_a_slow_answer_comes(
    look: Look, site: Site, wide: int, high: int
) -> None:
    page = look(wide=wide, high=high, expected=("422", "ERR_FAILED"), has_touch=wide < 500)
    gate = Gate(page)
    page.evaluate(f"() => {{ {_WATCH} }}")
    some = site.library.search("a blue boat", k=1)[0].id

    def search(text: str) -> Callable[[], None]:
        return lambda: (page.fill("#q", text), page.press("#q", "Enter"))[0]

    def click(selector: str) -> Any:
        return page.locator(selector).first.click

    facets = "#facets h2 button" if wide < 500 else "#filters"
    steps: list[tuple[str, Callable[[], Any]]] = [
        ("words", search("drawing")),
        ("facets", click("#filters")),
        ("a facet", click("#facets [data-filter]")),
        ("no facets", click(facets)),
        ("chips", search(f"a red car id:{some} drawing year:2022..2024 width:>10 -tag:x")),
        ("a chip less", click("#chips .chip:last-child button")),
        ("order", lambda: page.select_option("#sort", "newest")),
        ("back", page.go_back),
        ("viewer", click(".tile a")),
        ("out of it", lambda: page.keyboard.press("Escape")),
        ("an error", search("year:20x1")),
        ("nothing", search("name:nothing")),
        ("home", click(".brand")),
        ("from below", lambda: (page.evaluate("scrollTo(0, 900)"), search("a dog 2023")())),
        ("back to below", page.go_back),
    ]  # fmt: skip
    moved: dict[str, Any] = {}
    for name, act in steps:
        gate.close()
        act()
        if not name.startswith("back"):
            # What an input moves at once was meant to.
            page.evaluate(f"{_FRAMES}.then(shifts)")
        page.wait_for_timeout(_FORGIVEN_MS)
        gate.open(lambda route: route.continue_())
        settled(page)
        moved[name] = page.evaluate(f"{_FRAMES}.then(shifts)")
    gate.close()
    search("a red boat")()
    page.wait_for_timeout(_FORGIVEN_MS)
    gate.open(lambda route: route.abort())
    page.get_by_text("The server does not answer").first.wait_for()
    moved["a dead server"] = page.evaluate(f"{_FRAMES}.then(shifts)")
    sums = {name: sum(value for value, _ in each) for name, each in moved.items()}
    assert sum(sums.values()) < 0.005, {n: moved[n] for n in moved if sums[n]}
