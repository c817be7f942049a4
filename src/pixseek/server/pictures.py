"""Pictures to look at, in sizes: upright, in sRGB, made of the files, whatever their format.

Browsers show no HEIC, RAW or TIFF, and turn some formats wrong. So each picture is made here: a few
at once, and the last ones are kept.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict

from starlette.requests import Request

from pixseek.errors import QueryError
from pixseek.library import Library
from pixseek.library.surfaces import Shown, shown
from pixseek.server.problems import Refused
from pixseek.server.searching import ClientGoneError
from pixseek.types import Record

#: Pixels of the longer side that may be asked for: three for lists, then a screen, and zoomed.
SIZES = (192, 256, 384, 1600, 4096, 8192)

#: Pictures made at once: each takes a core, and up to half a gigabyte.
_AT_ONCE = 2

#: Pictures that wait at most: more than somebody who leafs through a library leaves behind.
_MOST_WAITING = 200

#: Bytes of the pictures that are kept. A screen takes 0.3 MB, a whole photo of 24 megapixels 6 MB.
_MOST_BYTES = 48 << 20


class Pictures:
    """Makes pictures of one server's libraries. Its methods belong to the event loop's thread."""

    def __init__(self) -> None:
        """Begin with none."""
        self._kept: OrderedDict[tuple[str, str, str, int], Shown] = OrderedDict()
        self._bytes = 0
        self._turn = asyncio.Semaphore(_AT_ONCE)
        self._waiting = 0

    async def of(
        self, name: str, library: Library, record: Record, size: int, request: Request
    ) -> Shown | None:
        """Return the picture of a record; None if there is none. See `surfaces.shown`.

        Args:
            name: of the library.
            library: holds the record.
            record: of an image.
            size: one of `SIZES`.
            request: of whoever asks.

        Raises:
            QueryError: the size is not one of `SIZES`.
            Refused: too many wait.
            ClientGoneError: whoever asked went away before the work began.
        """
        if size not in SIZES:
            raise QueryError(
                "No pictures have this size", str(size),
                f"Ask for one of: {', '.join(map(str, SIZES))}.",
            )  # fmt: skip
        longest = max(record.width, record.height)
        if longest:  # a larger size is the same picture
            size = min(size, next((each for each in SIZES if each >= longest), size))
        key = (name, record.digest, str(record.fields.get("turned", "")), size)
        if record.digest and (kept := self._kept.get(key)):
            self._kept.move_to_end(key)
            return kept
        if self._waiting >= _MOST_WAITING:
            raise Refused(
                503, "busy", "Too many pictures are waiting", "", "Try again in a second.",
                {"Retry-After": "1"},
            )  # fmt: skip
        self._waiting += 1
        try:
            async with self._turn:
                if await request.is_disconnected():
                    raise ClientGoneError
                made = await asyncio.to_thread(shown, library, record, size)
        finally:
            self._waiting -= 1
        if made is not None and made.digest == record.digest != "":
            self._keep(key, made)
        return made

    def _keep(self, key: tuple[str, str, str, int], made: Shown) -> None:
        before = self._kept.pop(key, None)
        self._bytes += len(made.content) - (len(before.content) if before else 0)
        self._kept[key] = made
        while self._bytes > _MOST_BYTES:
            _, oldest = self._kept.popitem(last=False)
            self._bytes -= len(oldest.content)
