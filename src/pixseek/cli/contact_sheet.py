"""Write results as one self-contained HTML file: no server, no network, no scripts."""

from __future__ import annotations

import base64
import html
import io
import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pixseek import files
from pixseek.cli import wording
from pixseek.cli.hints import hinted
from pixseek.cli.reasons import reasons as reasons_of
from pixseek.cli.results import exclusions, match_of, matches, stands_for
from pixseek.cli.thumbnails import read_thumbnails
from pixseek.errors import StorageError
from pixseek.redaction import without_passwords
from pixseek.types.clock import span
from pixseek.types.queries import is_remote

if TYPE_CHECKING:
    from PIL import Image

    from pixseek.library.surfaces import Facets
    from pixseek.types import Hit, Results

# Sharp on a phone too, where a column is about 170 points wide.
_SIDE = 360

_STYLE = """
:root { color-scheme: light dark; --ground: #f6f6f4; --card: #fff; --ink: #1d1d1f; --soft: #6b6b70;
  --line: #e2e2de; --mark: #0b63ce; --gone: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --ground: #161618; --card: #212124; --ink: #ececee;
  --soft: #9d9da4; --line: #343438; --mark: #7ab4ff; --gone: #ff8a80; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink);
  font: 15px/1.45 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; }
main, footer { max-width: 1500px; margin: 0 auto; padding: 0 clamp(12px, 3vw, 36px); }
section { padding: 28px 0 12px; }
section + section { border-top: 1px solid var(--line); }
h1 { margin: 0 0 2px; font-size: clamp(20px, 3.4vw, 28px); line-height: 1.25; font-weight: 650;
  overflow-wrap: anywhere; unicode-bidi: plaintext; }
.about { margin: 0 0 18px; color: var(--soft); }
.warning { margin: 0 0 18px; padding: 8px 12px; border-left: 3px solid #d9930d;
  background: var(--card); }
.example { display: flex; gap: 14px; align-items: center; }
.example img { height: 88px; max-width: 40vw; border-radius: 8px; object-fit: cover; flex: none; }
.example .about { margin: 0; }
.example { margin-bottom: 18px; }
ol { list-style: none; margin: 0; padding: 0; display: grid; gap: 16px;
  grid-template-columns: repeat(auto-fill, minmax(min(210px, 44vw), 1fr)); }
li { background: var(--card); border: 1px solid var(--line); border-radius: 10px; overflow: hidden;
  display: flex; flex-direction: column; }
.picture { display: block; position: relative; aspect-ratio: 1;
  background: color-mix(in srgb, var(--line) 55%, transparent); }
.picture img { position: absolute; inset: 0; width: 100%; height: 100%; object-fit: contain; }
a.picture:focus-visible, a:focus-visible { outline: 3px solid var(--mark); outline-offset: -3px; }
.none { width: 100%; height: 100%; display: grid; place-items: center; color: var(--soft); }
.facts { display: flex; gap: 8px; align-items: baseline; padding: 8px 10px 0; }
.rank { font-weight: 700; }
.score { color: var(--soft); font-variant-numeric: tabular-nums; margin-left: auto; }
.path { padding: 0 10px 9px; font-size: 13px; color: var(--soft); overflow-wrap: anywhere;
  display: -webkit-box; -webkit-line-clamp: 2; -webkit-box-orient: vertical; overflow: hidden; }
.others { padding: 0 10px 9px; font-size: 13px; }
.path a { color: inherit; text-decoration: none; }
.path a:hover { color: var(--mark); text-decoration: underline; }
.missing { color: var(--gone); font-weight: 600; }
details { font-size: 13px; color: var(--soft); }
summary { cursor: pointer; }
.why { padding: 0 10px 9px; overflow-wrap: anywhere; }
.facets { margin: -8px 0 18px; }
.facets dl { display: grid; grid-template-columns: max-content 1fr; gap: 4px 14px;
  margin: 8px 0 0; }
.facets dt { font-weight: 600; } .facets dd { margin: 0; overflow-wrap: anywhere; }
footer { color: var(--soft); font-size: 13px; padding-top: 18px; padding-bottom: 32px; }
@media (max-width: 480px) { ol { gap: 10px; } .facts { padding: 7px 8px 0; }
  .path { padding: 0 8px 8px; font-size: 12px; } section { padding-top: 20px; } }
@media print { :root { --ground: #fff; } li { break-inside: avoid; } }
"""

# Everything is embedded: the page loads and runs nothing.
_POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; "
    "form-action 'none'"
)


def write_contact_sheet(
    path: Path,
    pages: Sequence[Results],
    *,
    headings: Sequence[str] | None = None,
    facets: Sequence[Facets] = (),
    opened: Collection[Literal["why", "facets"]] = (),
) -> None:
    """Write a page with a section for each query.

    Args:
        path: the file to write.
        pages: the answers.
        headings: of the sections; None for the queries.
        facets: of each answer; none to leave them out.
        opened: what is unfolded: the reasons of hits, or the facets.

    Raises:
        StorageError: the file can't be written.
    """
    titles = headings or [title_of(results) for results in pages]
    title = titles[0] if len(titles) == 1 else f"{len(titles)} searches"
    counts: Sequence[Facets] = facets or [{}] * len(pages)
    sections = "\n".join(
        _section(results, heading, counted, opened)
        for results, heading, counted in zip(pages, titles, counts, strict=True)
    )
    models = ", ".join(dict.fromkeys(results.model for results in pages))
    measured = any(hit.probability is not None for results in pages for hit in results)
    percentages = (
        " A percentage is how probably a hit matches, as measured for the model."
        if measured
        else ""
    )
    text = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="referrer" content="no-referrer">
<meta name="generator" content="pixseek">
<title>{_escaped(title)} · pixseek</title>
<style>{_STYLE}</style>
</head>
<body>
<main>
{sections}
</main>
<footer>Made by pixseek with the model {_escaped(models)}.{percentages}
Click a picture to open the original file.</footer>
</body>
</html>
"""
    try:
        # A file name need not be valid text; it is shown with substitutes, and still linked.
        with files.replacing(path) as file:
            file.write(text.encode("utf-8", "replace"))
    except OSError as error:
        raise StorageError(
            f"The contact sheet can't be written ({error.strerror})", path, "Choose another file."
        ) from error


def title_of(results: Results) -> str:
    """Return the query in words."""
    from pixseek.wire import query_label

    kind, text = query_label(results.query)
    if kind in ("text", "query"):
        return text or "A combined query"
    if kind == "image" and text:
        return f"Like {Path(text).name}"
    return f"Like {text}" if text else "Like an example"


def _section(
    results: Results, heading: str, facets: Facets, opened: Collection[Literal["why", "facets"]]
) -> str:
    small = read_thumbnails(results, _SIDE)
    cards = "\n".join(
        _card(hit, image, unfolded="why" in opened)
        for hit, image in zip(results, small, strict=True)
    )
    stages = ", ".join(
        f"{_escaped(stage)} {ms:.0f} ms"
        for stage, ms in results.took_ms.items()
        if stage != "total"
    )
    about = (
        f"{wording.counted(len(results), 'hit')} in {results.took_ms.get('total', 0):.0f} ms"
        f" ({stages}){_matches(results)}"
    )
    notes = [*results.warnings, *([said] if (said := exclusions(results)) else [])]
    warnings = "".join(f'<p class="warning">{_escaped(hinted(text))}</p>\n' for text in notes)
    head = f'<h1>{_escaped(heading)}</h1>\n<p class="about">{about}</p>'
    example = _example(results)
    if example:
        head = f'<div class="example">{example}<div>{head}</div></div>'
    counted = _facets(facets, unfolded="facets" in opened)
    return f"<section>\n{head}\n{warnings}{counted}<ol>\n{cards}\n</ol>\n</section>"


def _facets(facets: Facets, *, unfolded: bool) -> str:
    """Return the counts of each field, largest first; "" if there are none."""
    rows = "".join(
        f"<dt>{_escaped(name)}</dt><dd>"
        + ", ".join(
            f"<bdi>{_escaped(value)}</bdi> {wording.number(count)}"
            for value, count in counts.items()
        )
        + "</dd>"
        for name, counts in facets.items()
        if counts
    )
    if not rows:
        return ""
    names = ", ".join(name for name, counts in facets.items() if counts)
    return (
        f'<details class="facets"{" open" if unfolded else ""}><summary>By {_escaped(names)}'
        f"</summary><dl>{rows}</dl></details>\n"
    )


def _matches(results: Results) -> str:
    """Return how many images match; "" for a query that only filters."""
    if not results.query.terms or not results.total:
        return ""
    return f", {matches(results)} in {wording.counted(results.total, 'image')}"


def _example(results: Results) -> str:
    """Return the example that was searched by, if it is a file."""
    examples = (
        t for t in results.query.terms if t.kind == "image" and isinstance(t.value, str | Path)
    )
    term = next(examples, None)
    if term is None or is_remote(str(term.value)):
        return ""
    from pixseek.library.surfaces import named_image, thumbnail

    named = str(term.value)
    image = thumbnail(None, lambda: named_image(named), _SIDE)
    return f'<img src="{_data_uri(image)}" alt="the example">' if image else ""


def _card(hit: Hit, image: Image.Image | None, *, unfolded: bool) -> str:
    name = _escaped(hit.record.name)
    shown = _escaped(hit.record.relative_path)
    link = _link(hit)
    if image is None:
        picture = '<span class="none">no preview</span>'
    else:
        picture = (
            f'<img loading="lazy" decoding="async" width="{image.width}" height="{image.height}"'
            f' src="{_data_uri(image)}" alt="{name}">'
        )
    opening, closing = (f'<a class="picture" href="{link}">', "</a>") if link else (
        '<span class="picture">', "</span>")  # fmt: skip
    # Lines break there, rather than before the last letter of ".jpg".
    broken = re.sub("(?<=[/_-])(?=.)", "<wbr>", shown)
    where = f'<a href="{link}" title="{shown}">{broken}</a>' if link else shown
    if when := span(hit.part):
        where += f" {when}"
    if hit.moments:
        where += f" (+{wording.counted(len(hit.moments), 'moment')})"
    size = f"{hit.record.width} × {hit.record.height}" if hit.record.width else ""
    said = stands_for(hit)
    others = f'<div class="others"><bdi>{_escaped(said)}</bdi></div>' if said else ""
    gone = '<span class="missing" title="the file is not there now">missing</span>'
    reasons = _escaped(reasons_of(hit))
    open_ = " open" if unfolded else ""
    why = f'<details class="why"{open_}><summary>Why</summary>{reasons}</details>'
    return (
        f"<li>{opening}{picture}{closing}"
        f'<div class="facts"><span class="rank">{hit.rank}</span><span>{size}</span>'
        f"{gone if hit.is_there is False else ''}"
        f'<span class="score" title="cosine or fused score {hit.score:.3f}">'
        f"{_escaped(match_of(hit))}</span></div>"
        f'<div class="path"><bdi>{where}</bdi></div>{others}{why if reasons else ""}</li>'
    )


def _link(hit: Hit) -> str:
    """Return the address of the original, escaped; "" if it has none that is safe to follow."""
    if hit.path is not None:  # also if it is missing now: the page may outlive that
        # Browsers begin a video there (Media Fragments URI 1.0).
        at = f"#t={hit.part.start_s:.3f}" if hit.part.start_s else ""
        return _escaped(hit.path.absolute().as_uri()) + at
    is_safe = hit.uri.startswith(("https://", "http://")) and without_passwords(hit.uri) == hit.uri
    return _escaped(hit.uri) if is_safe else ""


def _data_uri(image: Image.Image) -> str:
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, "JPEG", quality=82, optimize=True, progressive=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def _escaped(text: str) -> str:
    return html.escape(wording.visible(without_passwords(text)), quote=True)
