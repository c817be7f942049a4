"""Rewrite an SVG so that it refers to nothing outside of itself.

The drawing library opens the files that a drawing names. So it never sees the file's own markup:
this module parses it with expat and writes it anew, without references to anything but parts of
the drawing and pictures inside it. What is unknown here is written as text that can't be a
reference, so no difference between two parsers matters.
"""

from __future__ import annotations

import base64
import binascii
import codecs
import contextlib
import re
import zlib
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes
from xml.sax.saxutils import escape

from pixseek.errors import ImageError
from pixseek.images import sizes
from pixseek.images.limits import Limits, damaged, too_large
from pixseek.types.dataclass import dataclass

if TYPE_CHECKING:
    from xml.parsers.expat import XMLParserType

#: Maximum bytes of unpacked SVG text, with that of drawings inside it; the drawing library takes at
#: least 30 bytes of memory for each.
MOST_TEXT = 32 << 20

#: Maximum levels of elements. Drawings of editors have about 20.
_DEEPEST = 256

#: Maximum levels of drawings in drawings; their own pictures are left out at the last.
_DEEPEST_DRAWING = 1

#: Elements that only scripts and animations use, which are not drawn anyway.
_UNUSED = frozenset(("script", "handler", "set", "animate", "animatemotion", "animatetransform"))

#: Media types of pictures in data URLs, by how they begin.
_PICTURES = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF87a": "image/gif",
    b"GIF89a": "image/gif",
    b"RIFF": "image/webp",
}
_GZIP = b"\x1f\x8b"

_DECLARATION = re.compile(r"\A\s*<\?xml\b[^>]*?\bencoding\s*=\s*[\"']([A-Za-z0-9._-]{1,40})[\"']")
# Possessive: a long run of blanks is read once.
_URL = re.compile(r"url\(\s*+[\"']?+\s*+(?!#)[^)]*\)?", re.IGNORECASE)
_RULE = re.compile(r"@\s*(?:import|font-face)\b[^;{]*(?:;|\{[^}]*\}?|\Z)", re.IGNORECASE)
_COMMENT = re.compile(r"/\*.*?(?:\*/|\Z)", re.DOTALL)
_ESCAPE = re.compile(r"\\(?:([0-9a-fA-F]{1,6})\s?|(.)|\Z)", re.DOTALL)
_FOREIGN = re.compile(r"url\(\s*+[\"']?+\s*+(?!#)|@\s*(?:import|font-face)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Markup:
    """A drawing that refers to nothing outside of itself.

    Attributes:
        text: the SVG.
        root: the attributes of its first element.
    """

    text: str
    root: Mapping[str, str]


def self_contained(data: bytes, limits: Limits) -> Markup:
    """Return the drawing in a file, packed with gzip or not.

    Args:
        data: the file's content.
        limits: for pictures inside it.

    Raises:
        ImageError: "damaged" or "too-large".
    """
    return _Rewriter(limits, MOST_TEXT).rewritten(data)


class _Rewriter:
    """Writes one drawing anew. It is a handler of expat's events."""

    def __init__(self, limits: Limits, room: int, level: int = 0) -> None:
        self._limits = limits
        self._room = room  # characters that may still be written
        self._level = level
        self._out: list[str] = []
        self._depth = 0
        self._skipped = 0  # depth of the element that is left out; 0 for none
        self._style: list[str] | None = None  # the text of a style element, when inside one
        self._root: Mapping[str, str] | None = None

    def rewritten(self, data: bytes) -> Markup:
        from xml.parsers import expat

        text = _text(data, self._room)
        # No handler for external entities: they are left out. Expat limits what internal ones grow
        # to, and so does `_write`.
        parser: XMLParserType = expat.ParserCreate("utf-8")
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._characters
        try:
            parser.Parse(text.encode("utf-8", "replace"), True)
        except expat.ExpatError as error:
            raise damaged(error) from error
        if self._root is None:
            raise damaged("it has no <svg> element")
        return Markup("".join(self._out), self._root)

    def _write(self, text: str) -> None:
        self._room -= len(text)
        if self._room < 0:
            raise _too_long()
        self._out.append(text)

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise too_large(f"SVG elements {_DEEPEST} deep")
        if self._skipped:
            return
        local = name.rpartition(":")[2].lower()
        if self._root is None:
            if local != "svg":
                raise damaged("it has no <svg> element")
            self._root = dict(attributes)
        if local in _UNUSED:
            self._skipped = self._depth
            return
        self._write(f"<{name}")
        for key, value in attributes.items():
            if (kept := self._kept(local, key, value)) is not None:
                self._write(f' {key}="{_attribute(kept)}"')
        self._write(">")
        if local == "style":
            self._style = []

    def _end(self, name: str) -> None:
        depth, self._depth = self._depth, self._depth - 1
        if self._skipped:
            if self._skipped == depth:
                self._skipped = 0
            return
        if self._style is not None and name.rpartition(":")[2].lower() == "style":
            self._write(escape(_without_foreign("".join(self._style))))
            self._style = None
        self._write(f"</{name}>")

    def _characters(self, text: str) -> None:
        if self._skipped:
            return
        if self._style is not None:
            self._room -= len(text)
            if self._room < 0:
                raise _too_long()
            self._style.append(text)
        else:
            self._write(escape(text, {"\r": "&#13;"}))

    def _kept(self, element: str, name: str, value: str) -> str | None:
        """Return what an attribute may say; None to leave it out."""
        local = name.rpartition(":")[2].lower()
        if local == "href":
            return self._reference(element, value.strip())
        if name.lower() == "xml:base" or local in ("src", "srcset") or local.startswith("on"):
            return None
        return _without_foreign(value)

    def _reference(self, element: str, value: str) -> str | None:
        if value.startswith("#"):
            # The drawing library takes a picture's reference for a path if no part has that id.
            is_path = element in ("image", "feimage") and ("/" in value or "\\" in value)
            return None if is_path else value
        if element not in ("image", "feimage") or value[:5].lower() != "data:":
            return None
        head, comma, body = value[5:].partition(",")
        if not comma:
            return None
        content = unquote_to_bytes(body)
        if head.lower().rstrip().endswith("base64"):
            try:
                content = base64.b64decode(b"".join(content.split()) + b"==")
            except binascii.Error:
                return None
        return self._picture(content)

    def _picture(self, content: bytes) -> str | None:
        """Return the data URL of a picture in a drawing; None if it may not be there."""
        media = next((m for start, m in _PICTURES.items() if content.startswith(start)), None)
        if media is None:
            if self._level == _DEEPEST_DRAWING:
                return None
            inner = _Rewriter(self._limits, self._room, self._level + 1)
            try:
                drawing = inner.rewritten(content)
            except ImageError as error:
                if error.reason == "too-large":
                    raise
                return None  # any other data: no picture
            self._room = inner._room
            media, content = "image/svg+xml", drawing.text.encode()
        elif size := sizes.declared(content):
            self._limits.check_pixels(*size)
        return f"data:{media};base64,{base64.b64encode(content).decode()}"


def _text(data: bytes, most: int) -> str:
    """Return the text of a drawing, unpacked, without its XML declaration."""
    if data[:2] == _GZIP:
        unpacker = zlib.decompressobj(31)
        try:
            data = unpacker.decompress(data, most + 1)
        except zlib.error as error:
            raise damaged(error) from error
    if len(data) > most:
        raise _too_long()
    if data[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        text = data.decode("utf-16", "replace")
    else:
        text = data.decode("utf-8-sig", "replace")
        declared = _DECLARATION.match(text)
        if declared and declared[1].lower() not in ("utf-8", "utf8", "us-ascii", "utf-16"):
            with contextlib.suppress(LookupError, UnicodeError):  # unknown, or not of text
                text = data.decode(declared[1], "replace")
    return text.lstrip("\ufeff \t\r\n")


def _too_long() -> ImageError:
    return too_large(f"more than {MOST_TEXT >> 20} MB of SVG text")


def _attribute(value: str) -> str:
    return escape(value, {'"': "&quot;", "\n": "&#10;", "\r": "&#13;", "\t": "&#9;"})


def _without_foreign(css: str) -> str:
    """Return a style sheet, or an attribute, without references to what is outside."""
    if "url" not in css.lower() and "@" not in css and "\\" not in css:
        return css
    plain = _ESCAPE.sub(_unescaped, _COMMENT.sub("", css))
    if not _FOREIGN.search(plain):
        return css
    return _URL.sub("url(#)", _RULE.sub("", plain))


def _unescaped(found: re.Match[str]) -> str:
    if not found[1]:
        return found[2] or ""
    number = int(found[1], 16)
    return chr(number) if 0 < number < 0xD800 or 0xDFFF < number < 0x110000 else ""
