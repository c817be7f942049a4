"""Write captions, tags and ratings into XMP sidecars, and leave the rest of them unchanged.

The document is parsed by `minidom`, which keeps prefixes, comments and processing instructions
(`ElementTree` does not). Only these properties are changed: `dc:description` in its default
language, `dc:subject`, `xmp:Rating`, and, if a tag is removed, the copies of it that Lightroom,
digiKam and Windows keep.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape, quoteattr

from pixseek import files
from pixseek.metadata.annotations import untagged
from pixseek.metadata.fields import split_tags
from pixseek.metadata.sidecars import SidecarFinder
from pixseek.metadata.xmp import MAX_PACKET, read_xmp, whole_documents

if TYPE_CHECKING:
    from xml.dom.minidom import Document, Element, Node

_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_XML = "http://www.w3.org/XML/1998/namespace"
_XMLNS = "http://www.w3.org/2000/xmlns/"
_DC = "http://purl.org/dc/elements/1.1/"
_XMP = "http://ns.adobe.com/xap/1.0/"
_LIGHTROOM = "http://ns.adobe.com/lightroom/1.0/"
_DIGIKAM = "http://www.digikam.org/ns/1.0/"
_MICROSOFT = "http://ns.microsoft.com/photo/1.0/"

#: Levels of elements. Programs write about ten.
_MAX_DEPTH = 100

_PREFIXES = {_DC: "dc", _XMP: "xmp"}

# The properties that hold tags.
_TAG_LISTS = (
    (_DC, "subject"),
    (_LIGHTROOM, "hierarchicalSubject"),
    (_DIGIKAM, "TagsList"),
    (_MICROSOFT, "LastKeywordXMP"),
)

_NEW = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
    '<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="pixseek">\n'
    f' <rdf:RDF xmlns:rdf="{_RDF}">\n'
    f'  <rdf:Description rdf:about="" xmlns:dc="{_DC}" xmlns:xmp="{_XMP}">\n'
    "  </rdf:Description>\n"
    " </rdf:RDF>\n"
    "</x:xmpmeta>\n"
    '<?xpacket end="w"?>\n'
).encode()


def xmp_sidecar(image: Path) -> Path:
    """Return the XMP sidecar of an image: the one that is read, otherwise `photo.jpg.xmp`."""
    own = [whole + ending for whole in (image.name, image.stem) for ending in (".xmp", ".XMP")]
    for name in own:
        if (sidecar := image.with_name(name)).exists():
            return sidecar
    # The folder is listed only if the name has another case: it may hold thousands of files.
    others = {each for name in own for each in (name.lower(), name.upper())}
    others |= {image.stem + image.suffix.swapcase() + ending for ending in (".xmp", ".XMP")}
    if any(image.with_name(name).exists() for name in others):
        for name in SidecarFinder(os.listdir(image.parent)).find(image.name):
            if name.lower().endswith(".xmp"):
                return image.with_name(name)
    return image.with_name(own[0])


def write_xmp(
    sidecar: Path,
    *,
    within: str | None = None,
    caption: str | None = None,
    rating: int | None = None,
    add: Sequence[str] = (),
    remove: Collection[str] = (),
    otherwise: Sequence[str] = (),
) -> bytes:
    """Change or create an XMP sidecar, atomically; see `edited` for the other arguments.

    Args:
        sidecar: its path; of a link, what it leads to is replaced.
        within: the folder, resolved, that it has to lie in; None for any.

    Returns:
        The content of the sidecar. A file that would not change is not written.

    Raises:
        ValueError: the sidecar is not XMP; it is left unchanged.
        OSError: the sidecar can't be read or written, or lies outside of `within`.
    """
    try:
        before = files.beginning(sidecar, MAX_PACKET + 1, within=within)
    except FileNotFoundError:
        before = b""
    after = edited(
        before, caption=caption, rating=rating, add=add, remove=remove, otherwise=otherwise
    )
    if after == before:
        return after
    # Of a link, what it leads to.
    target = sidecar if within is not None else Path(os.path.realpath(sidecar))
    with files.replacing(target, within=within) as file:
        file.write(after)
    return after


def edited(
    packet: bytes,
    *,
    caption: str | None = None,
    rating: int | None = None,
    add: Sequence[str] = (),
    remove: Collection[str] = (),
    otherwise: Sequence[str] = (),
) -> bytes:
    """Return an XMP packet with some values changed.

    Args:
        packet: the present packet; b"" for none, which is returned if there is nothing to write.
        caption: the text for `dc:description`; "" removes it; None keeps it.
        rating: the value for `xmp:Rating`; 0 removes it; None keeps it.
        add: tags to add.
        remove: tags to remove, ignoring case. "Places|Italy" is removed together with its leaf, and
            with each other level.
        otherwise: the tags to start from if the packet has none. A sidecar with tags must hold all
            of them, since readers then ignore the tags of other sources.

    Raises:
        ValueError: the packet is not XMP, or is too large to be read again.
    """
    if len(packet) > MAX_PACKET:
        raise ValueError(f"XMP of more than {MAX_PACKET >> 20} MB is too large")
    document = _parsed(packet or _NEW)
    tree = _Properties(document)
    if caption is not None:
        tree.set_default_text(_DC, "description", caption)
    if rating == 0:
        tree.remove(_XMP, "Rating")
        tree.remove(_MICROSOFT, "Rating")
    elif rating is not None and tree.texts(_XMP, "Rating") != [str(rating)]:
        tree.remove(_XMP, "Rating")
        tree.add(_XMP, "Rating", str(rating))
    if add or remove:
        kept = read_xmp(packet).tags if packet else ()
        start = [tag for tag in kept or otherwise if not _gives(tag, remove)]
        tree.separate_list(_DC, "subject")
        for space, name in _TAG_LISTS:
            slash = "/" if space in (_DIGIKAM, _MICROSOFT) else "|"
            tree.drop_from_list(space, name, partial(_gives, removed=remove, slash=slash))
        there = {tag.casefold() for tag in start}
        new = [tag for tag in add if tag.casefold() not in there]
        tree.extend_list(_DC, "subject", new if kept else [*start, *new])
    if not packet and tree.is_empty():
        return packet
    # The tree lacks only the declaration; the encoding written is always UTF-8.
    declaration = '<?xml version="1.0" encoding="UTF-8"?>\n' if document.version else ""
    return (declaration + "".join(_written(document))).encode()


def _gives(text: str, removed: Collection[str], slash: str = "|") -> bool:
    """Return whether a tag, or a path separated by `slash`, gives one of the tags to remove."""
    tags = split_tags([text.replace(slash, "|")])
    return len(untagged(tags, removed)) < len(tags)


def _parsed(packet: bytes) -> Document:
    """Return a packet's document; remains of an older one behind it are dropped."""
    encoding = "utf-16" if packet.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    try:
        text = packet.decode(encoding).strip("\0 \t\r\n")
    except UnicodeDecodeError as error:
        raise ValueError(str(error)) from error
    from xml.parsers.expat import ExpatError

    from defusedxml.common import DefusedXmlException  # type: ignore[import-untyped]
    from defusedxml.minidom import parseString  # type: ignore[import-untyped]

    try:
        _check_depth(text)
        document: Document = parseString(text, forbid_dtd=True)
    except DefusedXmlException as error:
        raise ValueError("it has a document type, which XMP doesn't allow") from error
    except ExpatError as error:
        for whole in whole_documents(text.encode()):
            with contextlib.suppress(ExpatError):
                _check_depth(whole.decode())
                document = parseString(whole.decode(), forbid_dtd=True)
                break
        else:
            raise ValueError(str(error)) from error
    except Exception as error:  # such as LookupError for an unknown encoding
        raise ValueError(str(error)) from error
    return document


def _check_depth(text: str) -> None:
    """Refuse a document whose elements lie in one another too deep for `minidom`.

    Raises:
        ValueError: they do.
        ExpatError: it is not XML.
    """
    from xml.parsers import expat

    depth = 0

    def begin(*_: object) -> None:
        nonlocal depth
        depth += 1
        if depth > _MAX_DEPTH:
            raise ValueError(f"its elements lie more than {_MAX_DEPTH} deep in one another")

    def end(_: str) -> None:
        nonlocal depth
        depth -= 1

    def doctype(*_: object) -> None:
        raise ValueError("it has a document type, which XMP doesn't allow")

    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler = begin, end
    parser.StartDoctypeDeclHandler = doctype
    parser.Parse(text, True)


class _Properties:
    """The properties of all descriptions in a document, for changing them."""

    def __init__(self, document: Document) -> None:
        self._document = document
        found = document.getElementsByTagNameNS(_RDF, "RDF")
        if not found:
            raise ValueError("it has no rdf:RDF element")
        self._rdf: Element = found[0]
        self._descriptions = [
            each
            for each in _elements(self._rdf)
            if each.namespaceURI == _RDF and each.localName == "Description"
        ]
        if not self._descriptions:
            description = self._element(self._rdf, _RDF, "Description")
            description.setAttributeNS(_RDF, f"{self._rdf.prefix or 'rdf'}:about", "")
            self._descriptions = [description]

    def is_empty(self) -> bool:
        """Return whether no property is written as an element."""
        return not any(True for each in self._descriptions for _ in _elements(each))

    def _found(self, space: str, name: str) -> list[Element]:
        return [
            each
            for description in self._descriptions
            for each in _elements(description)
            if each.namespaceURI == space and each.localName == name
        ]

    def _attributes(self, space: str, name: str) -> list[str]:
        return [
            each.getAttributeNS(space, name)
            for each in self._descriptions
            if each.hasAttributeNS(space, name)
        ]

    def texts(self, space: str, name: str) -> list[str]:
        """Return the values of a property, whether written as elements or attributes."""
        items = [item for element in self._found(space, name) for item in _items(element)]
        return [*map(_text, items), *self._attributes(space, name)]

    def remove(self, space: str, name: str) -> None:
        """Remove a property, whether written as an element or an attribute."""
        for description in self._descriptions:
            if description.hasAttributeNS(space, name):
                description.removeAttributeNS(space, name)
        for element in self._found(space, name):
            _drop(element)

    def add(self, space: str, name: str, text: str = "") -> Element:
        """Add a property to the first description, as an element."""
        element = self._element(self._descriptions[0], space, name)
        if text:
            element.appendChild(self._document.createTextNode(text))
        return element

    def set_default_text(self, space: str, name: str, text: str) -> None:
        """Set a text in the default language, or remove it if ""; keep other languages."""
        arrays = [
            each for element in self._found(space, name) for each in _elements(element)
            if each.localName == "Alt"
        ]  # fmt: skip
        if not arrays:
            self.remove(space, name)
            if not text:
                return
            arrays = [self._element(self.add(space, name), _RDF, "Alt")]
        for array in arrays:
            for item in _elements(array):
                if item.getAttributeNS(_XML, "lang") in ("", "x-default"):
                    _drop(item)
        if text:
            item = self._element(arrays[0], _RDF, "li", first=True)
            item.setAttributeNS(_XML, "xml:lang", "x-default")
            item.appendChild(self._document.createTextNode(text))
        elif not any(True for array in arrays for _ in _elements(array)):
            self.remove(space, name)

    def separate_list(self, space: str, name: str) -> None:
        """Split a plain text of tags with commas, which some programs write, into items."""
        if any(True for element in self._found(space, name) for _ in _elements(element)):
            return  # a list, whose items may contain commas
        texts = self.texts(space, name)
        tags = split_tags(texts, commas=True)
        if len(texts) == 1 and "," in texts[0] and len(tags) > 1:
            self.remove(space, name)
            self.extend_list(space, name, tags)

    def drop_from_list(self, space: str, name: str, goes: Callable[[str], bool]) -> None:
        """Drop the items of a list for which `goes` is true; remove a list without items."""
        if any(map(goes, self._attributes(space, name))):
            self.remove(space, name)
        for element in self._found(space, name):
            items = _items(element)
            gone = [item for item in items if goes(_text(item))]
            for item in [element] if len(gone) == len(items) > 0 else gone:
                _drop(item)

    def extend_list(self, space: str, name: str, texts: Sequence[str]) -> None:
        """Append items to a list, and create the list if there is none."""
        if not texts:
            return
        found = self._found(space, name)
        arrays = [each for element in found for each in _elements(element)]
        if not arrays:
            # A list of one item may be written as plain text or as an attribute.
            plain = [*map(_text, found), *self._attributes(space, name)]
            self.remove(space, name)
            arrays = [self._element(self.add(space, name), _RDF, "Bag")]
            texts = [*(text for text in plain if text.strip()), *texts]
        for text in texts:
            item = self._element(arrays[0], _RDF, "li")
            item.appendChild(self._document.createTextNode(text))

    def _element(self, parent: Element, space: str, name: str, *, first: bool = False) -> Element:
        """Add a new element on its own line; declare its prefix if needed."""
        prefix = (self._rdf.prefix or "rdf") if space == _RDF else _PREFIXES[space]
        element = self._document.createElementNS(space, f"{prefix}:{name}")
        if _declared(parent, prefix) != space:
            element.setAttributeNS(_XMLNS, f"xmlns:{prefix}", space)
        depth = _depth(parent)
        last = parent.lastChild
        if last is not None and _is_blank(last):
            parent.removeChild(last)
        before = parent.firstChild if first else None
        parent.insertBefore(self._document.createTextNode("\n" + " " * (depth + 1)), before)
        parent.insertBefore(element, before)
        parent.appendChild(self._document.createTextNode("\n" + " " * depth))
        return element


def _elements(parent: Node) -> Iterator[Element]:
    for child in list(parent.childNodes):
        if child.nodeType == child.ELEMENT_NODE:
            yield child


def _items(element: Element) -> list[Element]:
    """Return the items of an array; for plain text, the element itself."""
    arrays = list(_elements(element))
    return [item for array in arrays for item in _elements(array)] if arrays else [element]


def _text(element: Element) -> str:
    return "".join(
        child.data
        for child in element.childNodes
        if child.nodeType in (child.TEXT_NODE, child.CDATA_SECTION_NODE)
    )


def _drop(element: Element) -> None:
    """Remove an element and the white space before it."""
    parent: Any = element.parentNode
    space = element.previousSibling
    if space is not None and _is_blank(space):
        parent.removeChild(space)
    parent.removeChild(element)


def _is_blank(node: Any) -> bool:
    return node.nodeType == node.TEXT_NODE and not node.data.strip()


def _depth(node: Node) -> int:
    depth, parent = 0, node.parentNode
    while parent is not None and parent.nodeType == parent.ELEMENT_NODE:
        depth, parent = depth + 1, parent.parentNode
    return depth


def _declared(element: Element, prefix: str) -> str:
    """Return the namespace of a prefix at an element; "" if it is not declared."""
    at: Any = element
    while at is not None and at.nodeType == at.ELEMENT_NODE:
        if at.hasAttribute(f"xmlns:{prefix}"):
            return str(at.getAttribute(f"xmlns:{prefix}"))
        at = at.parentNode
    return ""


def _written(node: Node) -> Iterator[str]:
    """Yield the text of a document.

    `minidom`'s own writer is not used: it doesn't escape line breaks in attributes, and parsers
    then read them as spaces.
    """
    for child in node.childNodes:
        if child.nodeType == child.ELEMENT_NODE:
            attributes = "".join(
                f" {name}={quoteattr(value)}" for name, value in child.attributes.items()
            )
            if child.childNodes:
                yield f"<{child.tagName}{attributes}>"
                yield from _written(child)
                yield f"</{child.tagName}>"
            else:
                yield f"<{child.tagName}{attributes}/>"
        elif child.nodeType in (child.TEXT_NODE, child.CDATA_SECTION_NODE):
            yield escape(child.data, {"\r": "&#13;"})
        elif child.nodeType == child.COMMENT_NODE:
            yield f"<!--{child.data}-->"
        elif child.nodeType == child.PROCESSING_INSTRUCTION_NODE:
            yield f"<?{child.target} {child.data}?>"
        if node.nodeType == node.DOCUMENT_NODE:
            yield "\n"
