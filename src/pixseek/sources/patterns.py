"""Patterns in the syntax of .gitignore: what a walk excludes, and what it includes after all.

They mean what they mean to git (`git help gitignore`). Each is matched in time linear in the
length of the path, whatever stars it has: ignore files come with folders of other people. So
there is a budget for what one folder's ignore files may cost a walk.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from pixseek.errors import ConfigError
from pixseek.sources.skipping import folded

#: Most bytes of an ignore file that are read.
MAX_BYTES = 1 << 20
#: Most patterns that apply to one folder, of its ignore file and of those in the folders above;
#: and most of those that have wildcards, since each file is compared with every one of them.
MAX_PATTERNS = 10_000
MAX_WILD = 1_000
#: Most characters of those with wildcards: 1 MB of them took 26 s to compile.
MAX_WILD_LENGTH = 50_000
#: How many folders are remembered with whether they are matched.
_MOST_FOLDERS = 2_000
#: Most characters of a pattern; no path is longer.
MAX_LENGTH = 4_096

#: Sets of characters that have a name in brackets, as git knows them.
_NAMED = {
    "alnum": "a-zA-Z0-9", "alpha": "a-zA-Z", "blank": " \\t", "cntrl": "\\x00-\\x1f\\x7f",
    "digit": "0-9", "graph": "!-~", "lower": "a-z", "print": " -~",
    "punct": "!-/:-@\\[-`{-~", "space": "\\s", "upper": "A-Z", "xdigit": "0-9A-Fa-f",
}  # fmt: skip


class Included:
    """Patterns of what is indexed although a walk would skip it, without regard to case.

    Attributes:
        paths: those patterns that name one path of the root, as relative paths.
    """

    def __init__(self, patterns: Iterable[str]) -> None:
        """Take patterns in the syntax of .gitignore.

        Raises:
            ConfigError: one can't be understood.
        """
        paths = {pattern: _literal(pattern) for pattern in patterns}
        self.paths = frozenset(path for path in paths.values() if path)
        self._patterns = [
            # "a/**" lets the walk into the folder.
            compiled([folded(pattern.removesuffix("**") if pattern.endswith("/**") else pattern)])
            for pattern, path in paths.items()
            # As the library remembers a path that was named: there may be many.
            if not (path and pattern.startswith("/") and not pattern.endswith("/"))
        ]

    def folder(self, relative: str) -> bool:
        """Return whether a folder is included."""
        return any(each.match(f"{folded(relative)}/") for each in self._patterns)

    def covers(self, relative: str) -> bool:
        """Return whether a file is included in any way, also by a folder that it lies in."""
        return (
            relative in self.paths
            or any(relative.startswith(f"{path}/") for path in self.paths)
            or any(each.match(relative) for each in self._patterns)
        )

    def file(self, relative: str) -> bool:
        """Return whether a file is included by its own name, and not by that of a folder."""
        relative = folded(relative)
        return any(each.names(relative) for each in self._patterns)


def _literal(pattern: str) -> str:
    """Return the path that a pattern such as "/a/b" or "a/b/" names; "" if it means more."""
    path = re.sub(r"\\(.)", "\0\\1", pattern.rstrip("/"))
    if "/" not in path or path.startswith("!") or re.search(r"(?<!\0)[*?\[]", path):
        return ""
    return path.replace("\0", "").lstrip("/")


class _Rule(NamedTuple):
    """One pattern.

    Attributes:
        path: what it matches, relative to the folder that the pattern stands for; or a name in any
            folder if there is no "/" in it.
        wild: matches such a path, or a name; None if `path` is the only one.
        is_name: whether a name in any folder is matched.
        only_folders, negated: what its ending and its beginning say.
        length: characters of the pattern.
    """

    path: str
    wild: re.Pattern[str] | None
    is_name: bool
    only_folders: bool
    negated: bool
    length: int


class Patterns:
    """Patterns that apply to one folder and below. The last one that matches a path decides.

    Attributes:
        count: how many patterns there are.
        wild: how many of them have wildcards.
        wild_length: the characters of those.
    """

    def __init__(self, rules: Iterable[_Rule]) -> None:
        self._wild: list[tuple[int, _Rule]] = []
        self._exact: dict[tuple[bool, str], list[tuple[int, _Rule]]] = {}
        rules = list(rules)
        for number, rule in reversed(list(enumerate(rules))):
            if rule.wild is None:
                self._exact.setdefault((rule.is_name, rule.path), []).append((number, rule))
            else:
                self._wild.append((number, rule))
        self.count, self.wild = len(rules), len(self._wild)
        self.wild_length = sum(rule.length for _, rule in self._wild)
        self._folders: dict[str, bool] = {}

    def match(self, path: str) -> bool:
        """Return whether a path is matched, or a folder that it lies in.

        Args:
            path: relative, with forward slashes; that of a folder ends with one.
        """
        return self._folder(path.rstrip("/").rpartition("/")[0]) or self.names(path)

    def names(self, path: str) -> bool:
        """Return whether a path is matched by itself, whatever folder it lies in."""
        is_folder = path.endswith("/")
        path = path.rstrip("/")
        name = path.rpartition("/")[2]
        best, decides = -1, None
        for number, rule in (
            *self._exact.get((True, name), ()),
            *self._exact.get((False, path), ()),
        ):
            if number > best and (is_folder or not rule.only_folders):
                best, decides = number, rule
        for number, rule in self._wild:
            if number < best:
                break
            whole = name if rule.is_name else path
            if (is_folder or not rule.only_folders) and rule.wild and rule.wild.fullmatch(whole):
                decides = rule
                break
        return decides is not None and not decides.negated

    def _folder(self, folder: str) -> bool:
        """Return whether a folder is matched, or one that it lies in; "" is the root, and isn't."""
        if len(self._folders) > _MOST_FOLDERS:
            self._folders.clear()
        above = []  # not by recursion: a path may have 2,000 folders
        while folder and folder not in self._folders:
            above.append(folder)
            folder = folder.rpartition("/")[0]
        matched = bool(folder) and self._folders[folder]
        for each in reversed(above):
            matched = matched or self.names(f"{each}/")
            self._folders[each] = matched
        return matched


def compiled(lines: Iterable[str]) -> Patterns:
    """Return patterns of options as they match.

    Raises:
        ConfigError: one can't be understood.
    """
    # An option has no comments, and Synology has a folder #recycle.
    escaped = [f"\\{line}" if line.startswith("#") else line for line in lines]
    rules: list[_Rule] = []
    for line in escaped:
        try:
            rules += _rules(line)
        except ValueError as error:
            raise _wrong(line, line, str(error)) from error
    return Patterns(rules)


class IgnoreFile(NamedTuple):
    """The patterns of an ignore file.

    Attributes:
        patterns: those within the budget.
        beyond: the number of the first line that is not, from 1; 0 if there is none.
    """

    patterns: Patterns
    beyond: int


def of_file(text: str, file: Path, above: Iterable[Patterns] = ()) -> IgnoreFile:
    """Return the patterns of an ignore file, as far as the budget goes.

    Args:
        text: of the file.
        file: its path, for errors.
        above: the patterns of the folders above, which count too.

    Raises:
        ConfigError: one can't be understood.
    """
    above = tuple(above)
    left = MAX_PATTERNS - sum(each.count for each in above)
    wild = MAX_WILD - sum(each.wild for each in above)
    length = MAX_WILD_LENGTH - sum(each.wild_length for each in above)
    rules: list[_Rule] = []
    for number, line in enumerate(text.splitlines(), 1):
        try:
            found = list(_rules(line, length))
        except _TooMuch:
            return IgnoreFile(Patterns(rules), number)
        except ValueError as error:
            raise _wrong(f"{file}, line {number}: {line[:100]}", line, str(error)) from error
        for rule in found:
            left -= 1
            if rule.wild is not None:
                wild, length = wild - 1, length - rule.length
            if left < 0 or wild < 0:
                return IgnoreFile(Patterns(rules), number)
            rules.append(rule)
    return IgnoreFile(Patterns(rules), 0)


def _wrong(subject: str, line: str, why: str) -> ConfigError:
    return ConfigError(
        "A pattern can't be understood",
        subject if len(line) <= MAX_LENGTH else f"{subject[:200]}...",
        why or "Patterns follow the syntax of .gitignore, such as 'Screenshots/' or '*.gif'.",
    )


def _rules(line: str, most_wild: int = MAX_LENGTH) -> Iterator[_Rule]:
    """Yield the rule of a line; none for a comment, an empty line, and what matches nothing.

    Raises:
        ValueError: the line can't be understood; for people.
        _TooMuch: it has wildcards, and more than `most_wild` characters.
    """
    if line.startswith("#"):
        return
    if len(line) > MAX_LENGTH:
        raise ValueError(f"A pattern has at most {MAX_LENGTH:,} characters.")
    end = len(line.rstrip(" \t\r\n"))
    if end < len(line) and (end - len(line[:end].rstrip("\\"))) % 2:
        end += 1  # a space that is escaped
    line = line[:end]
    negated = line.startswith("!")
    pattern = line[negated:]
    only_folders = pattern.endswith("/")
    pattern = pattern[:-1] if only_folders else pattern
    if not pattern:
        if negated and not only_folders:
            raise ValueError("")
        return
    if (len(pattern) - len(pattern.rstrip("\\"))) % 2:
        raise ValueError("")
    is_name = "/" not in pattern
    segments = pattern.removeprefix("/").split("/")
    try:
        path, wild = _translated(segments)
    except _NeverMatches:
        return
    if wild is not None and len(pattern) > most_wild:
        raise _TooMuch
    expression = None if wild is None else re.compile(wild, re.DOTALL)
    yield _Rule(path, expression, is_name, only_folders, negated, len(pattern))


class _TooMuch(Exception):  # noqa: N818 - what is above it still applies
    pass


class _NeverMatches(Exception):  # noqa: N818 - not an error: git takes such patterns silently
    pass


def _translated(segments: list[str]) -> tuple[str, str | None]:
    """Return the path that some segments name, or else the expression of what they match."""
    if "" in segments:
        raise _NeverMatches
    each = [
        _Segment(text)
        for n, text in enumerate(segments)
        if text != "**" or segments[n - 1 : n] != ["**"]  # two in a row are one
    ]
    if not any(one.wild or one.text == "**" for one in each):
        return "/".join(one.plain for one in each), None
    # Blocks between "**", each of which has its leftmost place for good, as between two stars.
    blocks: list[list[str]] = [[]]
    for n, one in enumerate(each):
        if one.text == "**":
            if n == len(each) - 1:
                blocks.append(["[^/]++(?:/[^/]++)*+"])
            else:
                blocks.append([])
        else:
            blocks[-1].append(one.expression)
    first, *others = ["/".join(block) for block in blocks]
    found = f"{first}/" if first and others else first
    for block in others[:-1]:
        found += f"(?>(?:[^/]++/)*?{block}/)"
    return "", found + (f"(?>(?:[^/]++/)*?{others[-1]}\\Z)" if others else "")


class _Segment:
    """What stands between two slashes of a pattern.

    Attributes:
        text: as it is written.
        plain: without backslashes.
        wild: whether it matches more than one name.
        expression: what it matches.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.plain = ""
        blocks: list[list[str]] = [[]]
        at = 0
        while at < len(text):
            character = text[at]
            at += 1
            if character == "*":
                blocks.append([])
                continue
            if character == "?":
                blocks[-1].append("[^/]")
            elif character == "[":
                found, at = _bracket(text, at)
                blocks[-1].append(found)
            else:
                if character == "\\":
                    character = text[at : at + 1]
                    at += 1
                self.plain += character
                blocks[-1].append(re.escape(character))
        first, *others = ["".join(block) for block in blocks]
        self.wild = bool(others) or len(self.plain) != len(blocks[0])
        self.expression = first + "".join(f"(?>[^/]*?{each})" for each in others[:-1] if each)
        if others and others[-1]:
            self.expression += rf"(?>[^/]*?{others[-1]}(?=/|\Z))"
        elif others:
            self.expression += "[^/]*+"


def _bracket(text: str, at: int) -> tuple[str, int]:
    """Return the expression of a set of characters, and where the text goes on after it."""
    negated = text[at : at + 1] in ("!", "^")
    at += negated
    members: list[str] = []
    before, is_first = "", True
    while True:
        character = text[at : at + 1]
        if not character:
            raise _NeverMatches  # it is not closed
        if character == "]" and not is_first:
            break
        named = re.compile(r"\[:(\w*):\]").match(text, at)
        if named:
            if named[1] not in _NAMED:
                raise _NeverMatches
            members.append(_NAMED[named[1]])
            before, at = "", named.end()
        elif character == "-" and before and text[at + 1 : at + 2] not in ("", "]"):
            last, at = _member(text, at + 1)
            if before <= last:
                members.append(f"{_code(before)}-{_code(last)}")
            before = ""
        else:
            before, at = _member(text, at)
            members.append(_code(before))
        is_first = False
    inside = "".join(members)
    if not inside:
        return ("[^/]" if negated else "(?!)"), at + 1
    return f"(?!/)[{'^' if negated else ''}{inside}]", at + 1


def _member(text: str, at: int) -> tuple[str, int]:
    """Return one character of a set, and where the text goes on."""
    if text[at] == "\\" and at + 1 < len(text):
        return text[at + 1], at + 2
    return text[at], at + 1


def _code(character: str) -> str:
    return f"\\U{ord(character):08x}"
