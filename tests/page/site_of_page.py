"""A running server over drawn pictures, and a browser that looks at its page."""

from __future__ import annotations

import base64
import datetime
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

CHROMIUM = Path("/usr/bin/chromium")

#: Captions that would be markup, run over, or read from the right.
HOSTILE = (
    '<img src=x onerror="window.wasRun=1">',
    "</script><script>window.wasRun=1</script>",
    "שלום עולם — בלון אדום מעל ההרים",
    "A very long caption " * 40,
    "\"quoted\" & 'quoted' <b>bold</b> {{x}} ${x} {n}",
)


def ids(page: Any) -> list[str]:
    """Return the ids of the images that are in the document, in order."""
    found = page.eval_on_selector_all(
        ".tile", "tiles => tiles.sort((a, b) => a.dataset.i - b.dataset.i).map(t => t.dataset.id)"
    )
    return list(found)


def settled(page: Any) -> None:
    """Wait until what the address asks for is shown."""
    page.wait_for_selector('#grid[aria-busy="false"]', state="attached")


def viewer_is_open(page: Any) -> None:
    """Wait until an image is shown large, and its picture has come to its place."""
    page.wait_for_selector("#viewer[open]")
    page.wait_for_function("() => !document.documentElement.matches(':active-view-transition')")


def as_file(path: Path) -> tuple[str, str, str]:
    """Return the name of a file, its media type, and its content in base64."""
    return path.name, "image/jpeg", base64.b64encode(path.read_bytes()).decode()


class Site(NamedTuple):
    """A server: its address, with a slash at the end, and its library."""

    url: str
    library: Any

    def opened_again(self) -> Any:
        """Return the library for another server, which closes it at its end."""
        from pixseek.library import Library

        return Library.open(self.library.status().path)


def draw_pictures(folder: Path, count: int) -> None:
    """Draw pictures of several shapes, with dates in three years and captions."""
    from pixseek.demo.picture_library import write_picture_library

    rng = random.Random(3)
    shapes = ((3, 2), (2, 3), (1, 1), (16, 9), (4, 5))
    for n, path in enumerate(sorted(write_picture_library(folder, count))):
        width, height = shapes[n % len(shapes)]
        with Image.open(path) as drawn:
            side = drawn.width
            wide, high = (side, side * height // width) if width > height else (
                side * width // height, side,
            )  # fmt: skip
            left, top = (side - wide) // 2, (side - high) // 2
            cut = drawn.convert("RGB").crop((left, top, left + wide, top + high))
        exif = Image.Exif()
        exif[0x010E] = HOSTILE[n] if n < len(HOSTILE) and HOSTILE[n].isascii() else f"drawing {n}"
        if n % 12:
            taken = datetime.datetime(2022 + n % 3, 1 + rng.randrange(12), 1 + n % 28, 12, n % 60)
            exif.get_ifd(0x8769)[0x9003] = taken.strftime("%Y:%m:%d %H:%M:%S")
        path.unlink()
        cut.save(path.with_suffix(".jpg"), quality=85, exif=exif)


@contextmanager
def served(libraries: dict[str, Any], **given: Any) -> Iterator[str]:
    """Serve libraries on a free port of this machine, from a thread; yield the address.

    Args:
        given: `settings`, and what `Access.of` takes.
    """
    import socket

    import uvicorn

    from pixseek.server.access import Access
    from pixseek.server.app import create_app

    settings = given.pop("settings", None)
    access = Access.of(**{"bound_to": "127.0.0.1", **given})
    app = create_app(libraries, access=access, settings=settings)
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=5))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    try:
        yield f"http://localhost:{listening.getsockname()[1]}/"
    finally:
        server.should_exit = True
        thread.join(20)
        listening.close()
