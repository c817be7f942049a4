"""The page behind a proxy, which serves it below a path, or slowly."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from site_of_page import Site, served, settled

pytestmark = pytest.mark.slow

Look = Callable[..., Any]

_SHIFTS = """new PerformanceObserver(list => {
    for (const each of list.getEntries()) if (!each.hadRecentInput)
        (window.shifted ||= []).push([each.value, each.sources.map(one => one.node?.id)]);
}).observe({ type: "layout-shift", buffered: true });"""


@contextmanager
def proxied(url: str, prefix: str = "", *, is_slow: bool = False) -> Iterator[str]:
    """Stand before a server: take a prefix off all paths; answer in pieces if it is slow.

    Args:
        url: of the server.
        prefix: of the paths that browsers ask for; others are not found.
        is_slow: send documents in pieces of 700 bytes, each 5 ms after the other.
    """
    port = int(url.rstrip("/").rpartition(":")[2])

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            first, _, rest = head.partition(b"\r\n")
            method, path, version = first.split(b" ")
            if not path.startswith(prefix.encode() + b"/"):
                writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
                return
            lines = [each for each in rest.split(b"\r\n") if each[:11].lower() != b"connection:"]
            there, back = await asyncio.open_connection("127.0.0.1", port)
            asked = b" ".join((method, path[len(prefix) :], version))
            back.write(b"\r\n".join((asked, b"Connection: close", *lines)))
            length = [each for each in lines if each[:15].lower() == b"content-length:"]
            if length:
                back.write(await reader.readexactly(int(length[0][15:])))
            is_document = is_slow and b"text/html" in rest
            while piece := await there.read(700 if is_document else 1 << 16):
                writer.write(piece)
                await writer.drain()
                if is_document:
                    await asyncio.sleep(0.005)
            back.close()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the browser left
        finally:
            writer.close()

    async def serve() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        found.append(server.sockets[0].getsockname()[1])
        started.set()
        await stopped.wait()
        server.close()

    found: list[int] = []
    started, stopped, loop = threading.Event(), asyncio.Event(), asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), daemon=True)
    thread.start()
    assert started.wait(10)
    try:
        yield f"http://localhost:{found[0]}{prefix}/"
    finally:
        loop.call_soon_threadsafe(stopped.set)
        thread.join(10)


def test_all_works_below_a_path(look: Look, site: Site) -> None:
    from pixseek.server.settings import Settings

    settings = Settings(prefix="/photos")
    with (
        served({"photos": site.opened_again()}, settings=settings) as url,
        proxied(url, "/photos") as shown,
    ):
        page = look(url=shown)
        page.fill("#q", "a red car")
        page.press("#q", "Enter")
        page.locator("#count", has_text="strong").wait_for()
        page.locator(".tile img[src]").first.wait_for()
        assert page.evaluate(
            "fetch(document.querySelector('.tile img').src).then(answer => answer.ok)"
        )
        page.locator(".tile a").first.click()
        page.wait_for_selector("#viewer[open] .picture img[src]")
        page.wait_for_url("**/photos/image/*")
        page.reload()
        page.wait_for_selector("#viewer[open] .picture img[src]")
        page.keyboard.press("Escape")
        page.wait_for_selector("#viewer:not([open])", state="attached")
        page.locator("#status").click()
        page.get_by_role("heading", name="Library").first.wait_for()
        page.locator(".brand").click()
        page.wait_for_selector("#grid.placed .tile")
        assert page.url == shown
        plain = look("?q=a car", url=shown, java_script_enabled=False)
        plain.locator(".tile a").first.click()
        assert plain.locator("dl dd").count() > 3
        # Something that is dropped is sent to the same place.
        page.set_input_files("#file", {
            "name": "x.jpg", "mimeType": "image/jpeg",
            "buffer": site.library.preview(site.library.search("a red car", k=1)[0].record),
        })  # fmt: skip
        page.locator("#count", has_text="strong").wait_for()
        settled(page)


@pytest.mark.parametrize("path", ["", "?q=a red car&sort=name"])
def test_nothing_shifts_while_a_document_comes_slowly(look: Look, site: Site, path: str) -> None:
    with proxied(site.url, is_slow=True) as shown:
        page = look(url=shown, wait=False)
        page.add_init_script(_SHIFTS)
        page.goto(shown + path)
        settled(page)
        page.wait_for_timeout(300)
        assert page.evaluate("window.shifted || []") == []
