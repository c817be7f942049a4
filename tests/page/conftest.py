"""One server and one browser for all tests of the page."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from site_of_page import CHROMIUM, HOSTILE, Site, draw_pictures, served

#: Pictures of the library that most tests look at.
PICTURES = 64

_FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A server over drawn pictures, searched by the model that comes with pixseek."""
    from pixseek.library import Library

    folder = tmp_path_factory.mktemp("page")
    draw_pictures(folder / "Pictures", PICTURES)
    library = Library.open(folder / "library", "demo")
    library.index(str(folder / "Pictures"))
    captioned = [each.id for each in library.search("drawing", k=len(HOSTILE))]
    for image_id, caption in zip(captioned, HOSTILE, strict=True):
        library.tag([image_id], caption=caption, add=["<b>tag</b>"])
    library.save_search("a red car", "red cars")
    with served({"photos": library}) as url:
        yield Site(url, library)


@pytest.fixture(scope="session")
def two_libraries(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server over two libraries, of 6 and 3 pictures."""
    from pixseek.library import Library

    opened = {}
    for name, count in (("first", 6), ("second", 3)):
        folder = tmp_path_factory.mktemp(name)
        draw_pictures(folder / "Pictures", count)
        opened[name] = Library.open(folder / "library", "demo")
        opened[name].index(str(folder / "Pictures"))
    with served(opened) as url:
        yield url


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if not CHROMIUM.exists():
        pytest.skip("chromium is not installed")
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=str(CHROMIUM), args=list(_FLAGS))
        yield opened
        opened.close()


class Watched:
    """What a page did that it must not."""

    def __init__(self) -> None:
        self.wrong: list[str] = []
        self.expected: tuple[str, ...] = ()

    def add(self, text: str) -> None:
        if not any(each in text for each in self.expected):
            self.wrong.append(text)


@pytest.fixture
def look(browser: Any, site: Site) -> Iterator[Callable[..., Any]]:
    """Return a function that opens a page: `look("?q=a red car", dark=True)`.

    Errors of scripts, refused requests and requests to other hosts fail the test; a page's
    `watched.expected` holds parts of those that are meant to happen.
    """
    with ExitStack() as stack:
        pages: list[Any] = []

        def opened(
            path: str = "", *, wide: int = 1280, high: int = 800, dark: bool = False,
            url: str | None = None, wait: bool = True, expected: tuple[str, ...] = (),
            **context: Any,
        ) -> Any:  # fmt: skip
            scheme = "dark" if dark else "light"
            made = browser.new_context(
                viewport={"width": wide, "height": high}, color_scheme=scheme, **context
            )
            stack.callback(made.close)
            page = made.new_page()
            page.set_default_timeout(30_000)  # a machine in use
            page.watched = watched = Watched()
            watched.expected = expected
            pages.append(page)
            home = url or site.url
            page.on("pageerror", lambda error: watched.add(f"script: {error}"))
            page.on(
                "console",
                lambda said: watched.add(f"console: {said.text}") if said.type == "error" else None,
            )
            page.on(
                "request",
                lambda asked: (
                    None
                    if asked.url.startswith((home, "data:", "blob:"))
                    else watched.add(f"elsewhere: {asked.url}")
                ),
            )
            page.goto(home + path)
            if wait and context.get("java_script_enabled", True):
                page.wait_for_selector("#grid.placed", state="attached")
            return page

        yield opened
        for page in pages:
            assert not page.watched.wrong, page.watched.wrong
