"""Write the pages of docs/reference that follow from the code; `--check` only compares them.

python docs/generate_reference.py
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pixseek
from pixseek import filters
from pixseek.encoders import CATALOGUE
from pixseek.errors import ImageError
from pixseek.images import FORMATS, MAX_BYTES, MAX_PIXELS
from pixseek.metadata.fields import FIELDS, MAX_CAPTION, MAX_FIELD, MAX_TAG, MAX_TAGS
from pixseek.metadata.sidecars import MAX_JSON, MAX_TEXT
from pixseek.metadata.xmp import MAX_PACKET
from pixseek.search import language, language_fields
from pixseek.sources.skipping import OPENED, READABLE, RULES, UNREADABLE

HERE = Path(__file__).parent / "reference"
MADE = "<!-- Made by docs/generate_reference.py from the code; edit the code. -->\n"


def python() -> str:
    """The public names, with their signatures and docstrings."""
    parts = ["# Python reference\n", MADE, _prose(pixseek)]
    names = sorted(
        (name for name in pixseek.__all__ if not name.startswith("__")),
        key=lambda name: (name not in ("open", "Library"), name != "open", name.lower()),
    )
    parts.append(" · ".join(f"[`{name}`](#{name.lower()})" for name in names) + "\n")
    for name in names:
        parts += [f"## `{name}`\n", *_describe(name, getattr(pixseek, name))]
    return "\n".join(parts).rstrip() + "\n"


def _describe(name: str, thing: Any) -> Iterator[str]:
    if not inspect.isclass(thing):
        yield f"```text\n{name}{_signature(thing)}\n```\n"
        yield _prose(thing)
        return
    if dataclasses.is_dataclass(thing):
        fields = [
            f"{f.name}: {f.type}" + ("" if _required(f) else " = ...")
            for f in dataclasses.fields(thing)
        ]
        yield f"```text\n{name}({', '.join(fields)})\n```\n"
    yield _prose(thing)
    for member, value in vars(thing).items():
        if member.startswith("_"):
            continue
        if isinstance(value, property):
            yield f"### `{name}.{member}`\n\n{_prose(value.fget)}"
        elif isinstance(value, classmethod | staticmethod) or inspect.isfunction(value):
            function = getattr(thing, member)
            yield f"### `{name}.{member}`\n\n```text\n{member}{_signature(function)}\n```\n"
            yield _prose(function)


def _required(field: dataclasses.Field[Any]) -> bool:
    return field.default is field.default_factory is dataclasses.MISSING


def _signature(function: Any) -> str:
    text = str(inspect.signature(function))
    text = re.sub(r"\(self(, )?", "(", text).replace("'", "")
    if len(text) > 80:
        inner, _, returns = text[1:].rpartition(") ->")
        arguments = re.split(r", (?![^\[]*\])", inner)
        text = "(\n    " + ",\n    ".join(arguments) + ",\n) ->" + returns
    return text


def _prose(thing: Any) -> str:
    """A docstring in Google style as Markdown."""
    lines = (inspect.getdoc(thing) or "").splitlines()
    out: list[str] = []
    in_section = False
    for line in lines:
        heading = re.fullmatch(r"(Args|Returns|Raises|Attributes):", line)
        if heading:
            in_section = True
            out += [f"**{heading[1]}**", ""]
        elif in_section and re.match(r"    \S", line):
            item, colon, rest = line.strip().partition(": ")
            out.append(f"- `{item.replace('`', '')}`: {rest}" if colon else f"- {line.strip()}")
        elif in_section and line.startswith("        "):
            out.append(f"  {line.strip()}")
        else:
            in_section = in_section and not line.strip()
            out.append(line)
    text = "\n".join(out)
    # An indented example is code.
    text = re.sub(r"(?m)^(    .+\n?)+", lambda m: f"```text\n{inspect.cleandoc(m[0])}\n```\n", text)
    return text + "\n"


def models() -> str:
    """The catalogue."""
    rows = [
        "# Models\n",
        MADE,
        "`pixseek models` shows this table and marks the models on your machine. Quality is "
        "recall@1 from text to image\nin per cent, **as published, not measured here**: of 100 "
        "captions, for how many the right image of the test\nset comes first. All models start "
        "in the precision `auto`.\n",
        "| alias | for | languages | quality | vectors | image side | text | download | run by | "
        "licence |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for model in CATALOGUE:
        size = f"{model.size / 1e6:,.0f} MB" if model.size else "comes with pixseek"
        quality = ", ".join(f"{name} {of:.1f}" for name, of in model.quality)
        runtimes = list(dict.fromkeys(source.runtime for source in model.sources)) or ["onnx"]
        licence = f"{model.licence} (asks for consent)" if model.restricted else model.licence
        rows.append(
            f"| `{model.alias}` | {f'{model.description} {model.note}'.strip()} | "
            f"{model.languages} | {quality} | {model.dim} | {model.input_side} px | "
            f"{model.context} tokens | {size} | {', '.join(runtimes)} | {licence} |"
        )
    sources = sorted({model.quality_source for model in CATALOGUE if model.quality_source})
    rows.append(
        f"\nPublished by: {'; '.join(sources)}. open_clip's table was read in its repository. "
        "Figures of papers\nand model cards were not checked.\n"
    )
    rows.append(
        "If two runtimes can run a model, ONNX Runtime runs it. With `:torch` after its name "
        "(`clip-b32-openai:torch`)\ntorch does, which needs `pip install 'pixseek[torch]'`.\n"
    )
    rows.append(
        "## Where they come from\n\nDownloads come from the Hugging Face hub, at the revision "
        "given here. If none is given, the newest at the time of\nthe first download is taken and "
        "kept: the commit, the files and their SHA-256 are written down in\n"
        "`pixseek-download.json` next to them. Every large file is checked against the SHA-256 "
        "given here or by the hub.\n"
    )
    for model in CATALOGUE:
        for source in model.sources:
            at = f" at `{source.revision}`" if source.revision else ", revision not pinned"
            rows.append(f"- `{model.alias}`, {source.runtime}: `{source.repo}`{at}")
            rows += [f"  - `{f.path}` sha256 `{f.sha256}`" for f in source.files if f.sha256]
    rows.append(
        "\n**Not run here:** the machines that test this project can't reach a hub, so its authors "
        "never ran any of these\nweights but those of `demo`. The revisions and hashes were found "
        "in public repositories that download the same\nfiles. A wrong one would be an error at "
        "download, never a wrong model. The loading code is tested against each\nfamily's own "
        "library with randomly initialised models of the real architectures, with small graphs in "
        "every\nlayout, and against a local server that imitates the hub. GPUs were not run "
        "either: what a GPU computes is\ncompared with the CPU on your own images before it is "
        "used."
    )
    return "\n".join(rows) + "\n"


def files() -> str:
    """Which formats are read, and why a file fails."""
    rows = [
        "# Files\n",
        MADE,
        "In folders, pixseek looks at files with these endings. The content then decides the "
        "format. A file that you\nname on the command line is tried whatever its ending.\n",
        "| format | endings | decoded by | comes with | less than all pixels | in a process "
        "of its own |",
        "|---|---|---|---|---|---|",
    ]
    for each in FORMATS:
        endings = " ".join(f"`{ending}`" for ending in each.endings)
        extra = f"`pip install 'pixseek[{each.extra}]'`" if each.extra else "pixseek"
        apart = "yes" if each.isolated else ""
        rows.append(
            f"| {each.name} | {endings} | {each.decoder} | {extra} | {each.scaled} | {apart} |"
        )
    rows += [
        f"\nLimits: {MAX_PIXELS // 1_000_000} megapixels decoded (a JPEG may have more, since it "
        f"is decoded at a fraction of its size), {MAX_BYTES >> 20} MiB.\n",
        "## Why a file fails\n",
        "| reason | meaning |",
        "|---|---|",
        *(f"| `{reason}` | {meaning} |" for reason, meaning in ImageError.REASONS.items()),
        *_skipped(),
    ]
    return "\n".join(rows) + "\n"


def _skipped() -> Iterator[str]:
    """What is skipped by itself, and how to index it."""
    yield """
## What is skipped

`pixseek index` skips what `--exclude` and `.pixseekignore` name, and by itself:

- folders and files whose names begin with a dot;
- the folders of this table, in any case of letters; `*` stands for any name, `**` for any folders
  in between. Folders of yours with such names (`Trash`, `Cache`, `Thumbnails`) are indexed anywhere
  else.

The report names them and counts the images in them by their names (not in thumbnails that systems
keep in every folder); `pixseek index --json` has all in `skipped`. To index them, add `--include`
with a pattern in the syntax of `.gitignore`: `--include '@Recycle/'`, `--include
'.picasaoriginals/'`, in any case of letters. It is remembered, and `--exclude` with the same
pattern clears it. A folder that you name is never skipped: `pixseek index
"Photos.photoslibrary/resources/derivatives"`. Images that were indexed in a skipped folder before
leave the library, as those of an excluded folder do.

Patterns mean what they mean to git. Of an ignore file the first megabyte is read, and up to 10,000
patterns apply to a folder, 1,000 of them with wildcards; the report names a file that has more.

| folders | that lie in | what they are |
|---|---|---|"""
    for rule in RULES:
        names = ", ".join(f"`{name}`" for name in rule.names)
        but = ", ".join(f"`{name}`" for name in rule.but)
        inside = ", ".join(f"`{place}`" for place in rule.inside) or "any"
        names += f" (but not {but})" if but else " (in capitals)" if rule.exact else ""
        yield f"| {names} | {inside} | {rule.why} |"
    yield f"""
Files that look like images but have other endings are counted, too:

- endings behind that of an image: `.JPG_large`, `.jpg~`, `.jpg.bak`, `.jpg (1)`, `.jpg?name=orig`;
- {_endings(READABLE)}: pixseek can read these, as the ones above, with
  `--include '*.JPG_large'`, or if you name the file;
- files without any ending whose content is an image (of the first {OPENED:,} in each root, since
  each must be opened): name them to index them;
- images that a cloud drive has not downloaded (`.IMG_1.heic.icloud`, `IMG_1.jpg.nextcloud`):
  download them, then index again;
- {_endings(UNREADABLE)}: pixseek can't read these; save them as JPEG, PNG or TIFF.

## Links

Links are followed within an indexed folder. A link that leads out of it is listed as a failure
(`outside`), whether it leads to an image, a folder, a sidecar or a `.pixseekignore`: a folder from
somebody else may link to any file of yours. If you made such links yourself, `pixseek index
--follow-links DIR` follows all links in DIR; it is remembered, and `--no-follow-links` clears it.
What was indexed through such a link before stays in the library. A folder that you name may be a
link itself.

Pipes, sockets and devices are never opened.
"""


def _endings(endings: frozenset[str]) -> str:
    return " ".join(f"`{ending}`" for ending in sorted(endings))


def metadata() -> str:
    """The fields that metadata fill."""
    rows = [
        "# Metadata\n",
        MADE,
        "The fields that pixseek reads from EXIF, XMP, IPTC and sidecars, besides `taken_at`, "
        "`caption` and `tags`. In\nfilters of the Python library their names begin with "
        "`fields.`, as in `fields.iso`. A field is missing if the\nfile does not have it or has "
        "an impossible value. If several sources have it, see\n[captions, tags and dates]"
        "(../how-to/captions-and-dates.md).\n",
        "| field | type | unit | meaning | read from |",
        "|---|---|---|---|---|",
    ]
    for name, field in FIELDS.items():
        unit, sources = field.unit, field.sources
        rows.append(f"| `{name}` | {field.kind.__name__} | {unit} | {field.meaning} | {sources} |")
    rows.append(
        f"\nTexts are cut at {MAX_FIELD:,} characters, captions at {MAX_CAPTION:,}, tags at "
        f"{MAX_TAG}; each image keeps at most {MAX_TAGS} tags.\nXMP packets of more than "
        f"{MAX_PACKET >> 20} MiB are ignored, as are text files of more than {MAX_TEXT >> 10} KiB "
        f"and JSON files\nof more than {MAX_JSON >> 20} MiB."
    )
    return "\n".join(rows) + "\n"


def query_language() -> str:
    """Return the page on the language of the search box."""
    grammar = inspect.getdoc(language) or ""
    title, _, rest = grammar.partition("\n\n")
    table, _, prose = rest.partition("\n\n")
    own = "\n".join(
        f"| `{name}` | {field.meaning} | `{field.example}` |"
        for name, field in sorted(language_fields.FIELDS.items())
    )
    operators = ", ".join(f"`{each}`" for each in language_fields.OPERATORS)
    stored = "\n".join(
        f"| `{name}` | {field.kind} | {field.meaning} |"
        for name, field in filters.FIELDS.items()
        if name in language_fields.names()
    )
    return f"""# The query language
{MADE}
{title.replace("The language", "This is the language")}
It is the same in Python (`library.search`), on the command line (`pixseek search`) and in a file of
`--queries`.

```text
{inspect.cleandoc(table)}
```

{prose}

## Fields

| field | meaning | example |
|---|---|---|
{own}

A value alone is a part of a text (`*` and `?` are wildcards for the whole of it), a number or a
range `1..5`, a year, a month, a day or a range of them. These operators may stand before a value:
{operators}. `=` means exactly this, `~` wildcards over the whole text, `*=` a part, `^=` in this
folder or below it, `in(a,b)` one of several. No comparison holds for a missing field; `-has:` finds
it, and `year:none` finds images without a date.

**Case and accents.** A value alone, `~`, `*=` and `^=` ignore case by Unicode's folding, which is
the same for every language: `strasse` finds `Straße`, and `İ` is `i` with its dot, not a plain
`i`. `=`, `<` and the like heed case, except for tags, people and colours. Accents count, but it
never matters how they are encoded (NFC, or NFD as on a Mac).

**Folders.** `folder:` finds all images in a folder and below it. It takes the name of a root, a
path in it (`folder:Photos/2021`), a path below any root (`folder:2021/summer`), and a place on
this machine (`folder:~/Pictures/2021`, `folder:.`). A path that begins with the name of a root
lies in that root. `folder:="2021"` finds what lies directly in the folder of that path in its
root.

**Tags.** `tag:birds` finds the tags `birds` and `Nature|Birds|Owl`; so do `tag:nature` and
`tag:nature/birds`. `|`, `/` and `>` separate levels alike. `-tag:birds` finds all other images.

**People.** `person:` finds names that files already carry: of face regions in XMP (as Lightroom,
digiKam, Picasa and Windows write them), `PersonInImage`, digiKam's tags below `People`, and
Google Takeout. pixseek recognises no faces. A name is compared as a whole; `person:ann*` finds
all Anns.

**Facets.** What `--facets` prints can be typed back as `field:"value"` and finds the images
counted. `camera:` alone also finds longer names ("EOS 5D Mark II" for "EOS 5D"), and `*` and `?`
are wildcards, so `camera:="value"` and `tag:="who?"` are exact.

| stored field | kind | meaning |
|---|---|---|
{stored}

All [metadata](metadata.md) are fields too, under their own names:
{", ".join(f"`{name}`" for name in FIELDS)}.
Fields that users set are `user.NAME`; columns of imported tables are `fields.NAME`.
"""


PAGES: dict[str, Callable[[], str]] = {
    "python.md": python,
    "models.md": models,
    "files.md": files,
    "metadata.md": metadata,
    "query-language.md": query_language,
}


def main() -> int:
    """Write the pages, or say which are stale."""
    stale = []
    HERE.mkdir(exist_ok=True)
    for name, make in PAGES.items():
        page, text = HERE / name, make()
        if not page.exists() or page.read_text(encoding="utf-8") != text:
            stale.append(name)
            if "--check" not in sys.argv:
                page.write_text(text, encoding="utf-8")
    print("stale:" if "--check" in sys.argv else "wrote:", ", ".join(stale) or "nothing")
    return 1 if stale and "--check" in sys.argv else 0


if __name__ == "__main__":
    sys.exit(main())
