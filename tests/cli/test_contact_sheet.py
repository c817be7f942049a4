import base64
import html.parser
import io
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote, urlparse

import pytest
from PIL import Image

from pixseek.cli.contact_sheet import write_contact_sheet
from pixseek.errors import StorageError
from pixseek.types import WHOLE, Hit, Query, Reason, Record, Results, Term, record_id

from tiny_encoder import draw


def results(*paths: Path | None, query: Query | None = None, **more: object) -> Results:
    hits = []
    for n, path in enumerate(paths, 1):
        uri = f"Photos/{path.name}" if path else "https://example.org/a.jpg?x=1&y=2"
        hits.append(Hit(n, Record(record_id(uri), uri, width=40, height=30), WHOLE, 1 / n, path))
    asked = query or Query((Term("text", "a <b>red</b> car"),))
    took = {"encode": 3.2, "search": 1.4, "total": 5.0}
    return Results(  # type: ignore[arg-type]
        tuple(hits), asked, took, "tiny", stored_content=content_in(hits), **more
    )


def content_in(hits: Sequence[Hit]) -> Callable[[Record], bytes | None]:
    """What a library reads of its records."""
    files = {hit.id: hit.path for hit in hits if hit.path is not None and hit.path.exists()}
    return lambda record: files[record.id].read_bytes() if record.id in files else None


class Page(html.parser.HTMLParser):
    """All elements of a page, as (tag, attributes), and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def written(tmp_path: Path, *pages: Results) -> Page:
    file = tmp_path / "sheet.html"
    write_contact_sheet(file, pages)
    return Page(file.read_text(encoding="utf-8"))


def test_pictures_are_embedded_and_link_to_the_original(tmp_path: Path) -> None:
    odd = draw(tmp_path / "100% #1? 日本.png", size=(800, 600))
    page = written(tmp_path, results(odd))
    [image] = page.all("img")
    head, _, data = (image["src"] or "").partition(",")
    assert head == "data:image/jpeg;base64"
    assert Image.open(io.BytesIO(base64.b64decode(data))).size == (360, 270)
    assert image["alt"] == odd.name
    for link in page.all("a"):
        parts = urlparse(link["href"] or "")
        assert (parts.scheme, unquote(parts.path)) == ("file", str(odd))
    assert "a <b>red</b> car" in page.text
    assert "strong" in page.text
    assert "40 × 30" in page.text
    assert "5 ms (encode 3 ms, search 1 ms)" in page.text
    assert "tiny" in page.text


def test_html_in_names_is_escaped(tmp_path: Path) -> None:
    evil = '"><img src=x onerror=alert(1)>'
    file = draw(tmp_path / "x.png")
    hostile = results(file, query=Query((Term("text", f"{evil}</title><script>"),)))
    record = Record("id", f"Photos/{evil}.png", width=1, height=1)
    hit = Hit(1, record, WHOLE, 0.5, file)
    page = written(
        tmp_path,
        Results(
            (hit,), hostile.query, hostile.took_ms, evil, (f"{evil} note",),
            stored_content=content_in([hit]),
        ),
    )  # fmt: skip
    assert page.all("script") == []
    assert len(page.all("img")) == 1
    assert not any(name.startswith("on") for _, given in page.elements for name in given)
    assert page.text.count(evil) >= 3


def test_a_page_holds_nothing_that_turns_or_hides_text_and_no_password(tmp_path: Path) -> None:
    evil = "<b>\x1b]0;x\x07\u202egpj\u2066\x9b"
    record = Record("id", f"Photos/{evil}.png", width=1, height=1)
    away = Record("other", f"https://me:Zq9@a.b/{evil}.png")
    hits = (
        Hit(1, record, WHOLE, 0.5, tmp_path / f"{evil}.png", excluded_by=evil),
        Hit(2, away, WHOLE, 0.4, None),
    )
    asked = Query((Term("text", evil),))
    page = tmp_path / "page.html"
    notes = (evil, "https://me:Zq9@a.b/x failed")
    write_contact_sheet(
        page, [Results(hits, asked, {}, evil, notes)], facets=[{"tag": {evil: 1}}], headings=None
    )
    text = page.read_text(encoding="utf-8")
    assert "Zq9" not in text
    assert set("\x1b\x07\u202e\u2066\x9b") & set(text) == set()
    read = Page(text)
    assert read.all("b") == read.all("script") == []
    assert read.text.count(r"<b>\x1b]0;x\x07\u202egpj\u2066\x9b") >= 6
    assert [link for link in read.all("a") if "a.b" in (link["href"] or "")] == []


def test_the_page_loads_nothing(tmp_path: Path) -> None:
    file = tmp_path / "sheet.html"
    write_contact_sheet(file, [results(draw(tmp_path / "a.png"), None)])
    text = file.read_text(encoding="utf-8")
    assert "default-src 'none'" in text
    assert re.findall(r"(?:src|srcset)=\"(?!data:)[^\"]*", text) == []
    assert not re.search(r"<(link|script|iframe)|url\(|@import", text)


def test_hits_without_a_file_have_no_link(tmp_path: Path) -> None:
    page = written(tmp_path, results(None, tmp_path / "gone.png"))
    assert page.all("img") == []
    assert page.text.count("no preview") == 2
    assert {link["href"] for link in page.all("a")} == {
        "https://example.org/a.jpg?x=1&y=2",
        (tmp_path / "gone.png").as_uri(),
    }
    assert [each for each in page.all("span") if each.get("class") == "missing"] != []


def test_a_page_explains_percentages_if_it_has_any(tmp_path: Path) -> None:
    found = results(draw(tmp_path / "red.png"))
    assert "percentage" not in written(tmp_path, found).text
    found = replace(found, hits=(replace(found.hits[0], probability=0.8),))
    page = written(tmp_path, found)
    assert "A percentage is how probably a hit matches" in page.text and "80%" in page.text


def test_a_page_has_facets_and_the_reason_of_each_hit_in_words(tmp_path: Path) -> None:
    draw(tmp_path / "red.png")
    why = (
        Reason("text", "<beach>", 0.3, 2.0, 1.0),
        Reason("words", "tags: zebra", 0.5),
    )
    found = results(tmp_path / "red.png")
    found = replace(found, hits=(replace(found.hits[0], why=why),))
    facets = {"folder": {"a <b>": 1200, "c": 1}, "year": {}}
    file = tmp_path / "sheet.html"
    write_contact_sheet(file, [found], facets=[facets], opened=["facets"])
    page = Page(file.read_text("utf-8"))
    assert "its tag 'zebra'; looks like '<beach>' (" in page.text
    assert "a <b> 1,200, c 1" in page.text
    assert "year" not in page.text
    folded = {each["class"]: "open" in each for each in page.all("details")}
    assert folded == {"facets": True, "why": False}
    write_contact_sheet(file, [found], opened=["why"])
    page = Page(file.read_text("utf-8"))
    assert [(each["class"], "open" in each) for each in page.all("details")] == [("why", True)]


def test_unsafe_links_are_left_out(tmp_path: Path) -> None:
    record = Record("id", "javascript://alert(1)", width=1, height=1)
    asked = Query((Term("text", "x"),))
    page = written(tmp_path, Results((Hit(1, record, WHOLE, 0.5, None),), asked, {}, "tiny"))
    assert page.all("a") == []


def test_several_searches_and_an_example_have_sections(tmp_path: Path) -> None:
    file = draw(tmp_path / "red.png")
    by_image = results(file, query=Query((Term("image", str(file)),)))
    page = written(tmp_path, results(file), by_image)
    assert len(page.all("section")) == 2
    assert "2 searches" in page.text
    assert "Like red.png" in page.text
    assert [image["alt"] for image in page.all("img")] == ["red.png", "the example", "red.png"]


def test_an_unwritable_file_is_a_storage_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"(?i)contact sheet can't be written"):
        write_contact_sheet(tmp_path / "no" / "sheet.html", [results()])
