"""Scripts, the stylesheet and icons of the page, under an address that changes with them."""

from __future__ import annotations

import functools
import hashlib
import re
from importlib.resources import files

from pixseek.server.answers import Answer
from pixseek.server.guard import STATIC

_MEDIA = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}

#: Comments, as they are written here: none stands within a string.
_COMMENTS = {
    "js": r"/\*\*.*?\*/ ?|^\s*//[^\n]*|(?<=[;,{]) // [^\n]*",
    "css": r"/\*.*?\*/",
    "svg": r"<!--.*?-->",
}

#: What stays as it is: strings, templates, and regular expressions with what comes before them.
_KEPT = {
    "js": r""" "(?:\\.|[^"\\])*" | `(?:\\.|[^`\\])*` |
        [(=:!&|?,]\s*/(?![/*])(?:\\.|\[(?:\\.|[^]\\])*\]|[^/\\\n])+/ """,
    "css": r""" "[^"]*" """,
}
#: Ends of lines that mean nothing. After other signs, one may end a statement of a script.
_ENDS = {"js": r"(?<=[{(\[,;])\n|\n(?=[})\],])", "css": r"\n"}
#: Signs that need no space around them: a plus or minus only beside no other, since "+ +" is not
#: "++"; and the last semicolon of a block, which needs none.
_SIGNS = {
    "js": r"[ ]*([-+]=|!==?|[{}()\[\],;:=<>?&|*])[ ]*|(?<![+-])[ ]([+-])[ ](?![+-])",
    "css": r";?[ ]*(\})[ ]*|[ ]*([{;,>])[ ]*|(?<=:)[ ]+",
}
#: A parameter alone needs no parentheses, unless a word stands before them: "async(x)=>".
_ALONE = re.compile(r"(?<!\w)\((\w+)\)=>")

#: A script that another loads once it needs it.
_LATE = re.compile(r'\bimport\("\./(\w+\.js)"\)')


@functools.lru_cache(maxsize=64)  # all pages of a server read the same files
def bare(text: str, kind: str) -> str:
    """Return a script or stylesheet without what only its readers need.

    So comments, indentation, most spaces and ends of lines cost the browser nothing, and there is
    nothing to build. No string of the files goes over several lines, and no template
    holds another.

    Args:
        text: of the file.
        kind: "js", "css" or "svg".
    """
    text = re.sub(_COMMENTS[kind], "", text, flags=re.DOTALL | re.MULTILINE)
    lines = (line.strip() for line in text.splitlines())
    text = "".join(f"{line}\n" for line in lines if line)
    if kind not in _KEPT:
        return text
    pieces = re.split(f"({_KEPT[kind]})", text, flags=re.VERBOSE)
    for at in range(0, len(pieces), 2):
        pieces[at] = re.sub(_SIGNS[kind], r"\1\2", re.sub(_ENDS[kind], "", pieces[at]))
        pieces[at] = _ALONE.sub(r"\1=>", pieces[at])
    return "".join(pieces)


class StaticFiles:
    """The files of the package's folder `static`, read once.

    Attributes:
        folder: `static/VERSION`, under which they are served; the version is a digest of them all.
        modules: names of the scripts, to be loaded before they are asked for; not those that
            another loads once it needs them, as for videos.
        icons: an SVG element that holds all icons as symbols.
    """

    def __init__(self) -> None:
        """Read them."""
        found = files("pixseek.server").joinpath("static").iterdir()
        self._files = {
            each.name: bare(each.read_text("utf-8"), each.name.rpartition(".")[2]).encode()
            for each in found
            if each.name.rpartition(".")[2] in _MEDIA
        }
        names = sorted(self._files)
        whole = hashlib.sha256(b"".join(self._files[name] for name in names)).hexdigest()
        self._version = whole[:12]
        self.folder = f"{STATIC.strip('/')}/{self._version}"
        scripts = {name: self._files[name].decode() for name in names if name.endswith(".js")}
        late = {name for text in scripts.values() for name in _LATE.findall(text)}
        self.modules = [name for name in scripts if name not in late]
        self.icons = self._files["icons.svg"].decode()

    def answer(self, version: str, name: str) -> Answer | None:
        """Return a file; None if there is none of this name.

        A page that was loaded before an upgrade asks for another version: it gets the files there
        are, and they are not kept.
        """
        content = self._files.get(name)
        if content is None:
            return None
        kept = "public, max-age=31536000, immutable" if version == self._version else "no-cache"
        return Answer(content, 200, {"Cache-Control": kept}, _MEDIA[name.rpartition(".")[2]])
