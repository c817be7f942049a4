"""A drawing is rewritten so that it refers to nothing outside of itself, and looks the same."""

from __future__ import annotations

import base64
import gzip
import time
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pixseek.errors import ImageError
from pixseek.images import decode
from pixseek.images.limits import Limits
from pixseek.images.svgmarkup import self_contained

from image_files import BLUE, RED, SVG, halves, is_halves, saved

NAMES = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
HEAD = f'<svg {NAMES} width="60" height="40">'
PICTURE = base64.b64encode(saved(halves(), "PNG")).decode()
PACKED = gzip.compress(SVG, mtime=0)  # names of tests hold it: the same in each process
RECTANGLE = '<rect width="60" height="40" fill="rgb(220,20,20)"/>'


def drawn(body: str, before: str = "") -> str:
    return f"{before}{HEAD}{body}</svg>"


def rewritten(text: str | bytes, **limits: int) -> str:
    data = text if isinstance(text, bytes) else text.encode()
    return self_contained(data, Limits(**limits)).text  # type: ignore[arg-type]


INNER = drawn('<image href="MARKER" width="60" height="40"/>')

# Each names MARKER, a file, in a place that some program may read it from.
FOREIGN = [
    '<image href="MARKER" width="60" height="40"/>',
    "<image xlink:href='MARKER' width='60' height='40'/>",
    '<image href = \n "MARKER" width="60" height="40"/>',
    '<image href="  MARKER" width="60" height="40"/>',
    '<image href="&#47;MARKER" width="60" height="40"/>',
    '<image HREF="MARKER" width="60" height="40"/>',
    '<image href="file://MARKER" width="60" height="40"/>',
    '<image href="http://127.0.0.1:9/MARKER" width="60" height="40"/>',
    '<image title="a > b" href="MARKER" width="60" height="40"/>',
    '<image title=\'href="#a"\' href="MARKER" width="60" height="40"/>',
    '<x:image xmlns:x="http://www.w3.org/2000/svg" href="MARKER" width="60" height="40"/>',
    '<image xmlns:l="http://www.w3.org/1999/xlink" l:href="MARKER" width="60" height="40"/>',
    '<g xml:base="MARKER"><image href="#a" width="60" height="40"/></g>',
    '<use href="MARKER#a"/>',
    '<a href="MARKER"><rect width="6" height="4"/></a>',
    '<filter id="f"><feImage href="MARKER"/></filter><rect filter="url(#f)" width="9" height="9"/>',
    '<linearGradient id="g" xlink:href="MARKER#g"/><rect fill="url(#g)" width="9" height="9"/>',
    '<rect fill="url(MARKER#g)" width="60" height="40"/>',
    "<rect style=\"fill: url('MARKER#g')\" width=\"60\" height=\"40\"/>",
    '<rect style="fill: u\\72l( &quot;MARKER&quot; )" width="60" height="40"/>',
    '<style>@import url("MARKER");</style>',
    "<style>@import 'MARKER';</style>",
    "<style>/* url(#a) */ @im\\70ort 'MARKER';</style>",
    '<style>@font-face { font-family: a; src: url(MARKER) }</style><text font-family="a">a</text>',
    "<style><![CDATA[ rect { fill: url( 'MARKER' ) } ]]></style><rect width='9' height='9'/>",
    "<style>rect { fill: url/**/(MARKER) url(/**/MARKER) }</style><rect width='9' height='9'/>",
    '<script href="MARKER"/>',
    '<image href="#a"><set attributeName="href" to="MARKER"/></image>',
    '<?xml-stylesheet href="MARKER"?>',
    f'<image href="data:image/svg+xml,{quote(INNER)}" width="60" height="40"/>',
    '<image src="MARKER" width="60" height="40"/>',
    '<image href="#/../MARKER" width="60" height="40"/>',
    '<filter id="f"><feImage href="#\\MARKER"/></filter><g filter="url(#f)"/>',
]  # fmt: skip


@pytest.mark.parametrize("body", FOREIGN)
def test_no_reference_to_another_file_is_left(body: str) -> None:
    assert "MARKER" in body
    text = rewritten(drawn(body))
    for blob in text.split("base64,")[1:]:
        text += base64.b64decode(blob.partition('"')[0]).decode()
    assert "MARKER" not in text


@pytest.mark.parametrize(
    "before",
    [
        '<!DOCTYPE svg SYSTEM "MARKER">',
        '<!DOCTYPE svg [<!ENTITY a SYSTEM "MARKER">]>',
        '<?xml-stylesheet href="MARKER"?>',
    ],
)
def test_what_comes_before_the_drawing_is_not_kept(before: str) -> None:
    assert "MARKER" not in rewritten(drawn(RECTANGLE, before))


@pytest.mark.parametrize("body", [FOREIGN[0], FOREIGN[4], FOREIGN[8], FOREIGN[9], FOREIGN[15]])
def test_another_file_does_not_appear_in_the_picture(tmp_path: Path, body: str) -> None:
    pytest.importorskip("resvg_py")
    marker = tmp_path / "marker.png"
    halves().save(marker)
    body = body.replace("&#47;MARKER", "&#47;" + str(marker)[1:]).replace("MARKER", str(marker))
    colours = {colour for _, colour in decode(drawn(body).encode()).pixels.getcolors() or []}  # type: ignore[misc]
    assert colours
    assert not colours & {RED, BLUE}


@pytest.mark.parametrize(
    "body",
    [
        f'<image href="data:image/png;base64,{PICTURE}" width="60" height="40"/>',
        f'<image xlink:href=" DATA:;base64,{PICTURE}" width="60" height="40"/>',
        f'<image href="data:image/png;base64,{PICTURE[:40]}\n {PICTURE[40:]}" width="60" '
        'height="40"/>',
        f'<image href="data:image/png,{quote(saved(halves(), "PNG"))}" width="60" height="40"/>',
        f'<image href="data:image/svg+xml;base64,{base64.b64encode(SVG).decode()}" width="60" '
        'height="40"/>',
        f'<image href="data:image/svg+xml;base64,{base64.b64encode(PACKED).decode()}" '
        'width="60" height="40"/>',
        f'<defs><g id="a">{SVG.decode()}</g></defs><use xlink:href="#a"/>',
        '<linearGradient id="a"><stop offset=".5" stop-color="rgb(220,20,20)"/>'
        '<stop offset=".5" stop-color="rgb(20,20,220)"/></linearGradient>'
        '<linearGradient id="g" xlink:href="#a"/><rect fill="url(#g)" width="60" height="40"/>',
        "<style>.a { fill: rgb(220,20,20) } .b { fill: url('#a') }</style>"
        '<linearGradient id="a"><stop stop-color="rgb(20,20,220)"/></linearGradient>'
        '<rect class="a" width="30" height="40"/><rect class="b" x="30" width="30" height="40"/>',
    ],
)
def test_what_is_inside_the_drawing_is_drawn(body: str) -> None:
    pytest.importorskip("resvg_py")
    assert is_halves(decode(drawn(body).encode()).pixels, 60)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (drawn("<text>a &amp; b &lt; c</text>"), ">a &amp; b &lt; c<"),
        (drawn("<text><![CDATA[a < b]]></text>"), ">a &lt; b<"),
        (drawn("<g id='&quot;&#10;&lt;'/>"), 'id="&quot;&#10;&lt;"'),
        (drawn("<g fill='&c;'/>", '<!DOCTYPE svg [<!ENTITY c "red">]>'), 'fill="red"'),
        (drawn("<g/>", '<?xml version="1.0" encoding="UTF-8"?>\n'), "<g>"),
        (drawn("<text>é</text>").encode("utf-16"), ">é<"),
        (drawn("<text>é</text>", '<?xml version="1.0" encoding="latin-1"?>').encode("latin-1"),
         ">é<"),
        (drawn("<text>?</text>").encode().replace(b"?", b"\xff"), ">\ufffd<"),
    ],
)  # fmt: skip
def test_text_is_kept_as_it_is_read(text: str | bytes, kept: str) -> None:
    assert kept in rewritten(text)


@settings(max_examples=40, deadline=None)
@given(st.text(st.characters(codec="utf-8", exclude_categories=("Cc",)), max_size=80))
def test_any_text_in_an_attribute_or_an_element_stays_there(text: str) -> None:
    from xml.etree import ElementTree
    from xml.sax.saxutils import escape, quoteattr

    parsed = ElementTree.fromstring(
        rewritten(drawn(f"<text id={quoteattr(text)}>{escape(text)}</text>"))
    )
    assert (parsed[0].text or "") == text
    if "url" not in text.lower() and "@" not in text and "\\" not in text:
        assert parsed[0].get("id") == text


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (drawn("<g>" * 300 + "</g>" * 300), "too-large"),
        (gzip.compress(drawn(" " * (33 << 20)).encode()), "too-large"),
        (drawn(" " * (33 << 20)), "too-large"),
        (
            drawn(
                "<image href='data:;base64,"
                + base64.b64encode(gzip.compress(drawn(" " * (33 << 20)).encode())).decode()
                + "'/>"
            ),
            "too-large",
        ),
        (drawn("<g></b>"), "damaged"),
        (drawn("<g>"), "damaged"),
        (drawn("&nothing;"), "damaged"),
        ("<html><svg/></html>", "damaged"),
        ("", "damaged"),
        (gzip.compress(SVG, mtime=0)[:30], "damaged"),
    ],
    # Of each value: those of 33 MB make no names, and a packed one has the time in it.
    ids=lambda value: value if value in ("too-large", "damaged") else "drawing",
)
def test_a_drawing_that_is_too_large_or_broken_is_refused(data: str | bytes, reason: str) -> None:
    with pytest.raises(ImageError) as caught:
        rewritten(data)
    assert caught.value.reason == reason


def test_a_picture_inside_a_drawing_keeps_the_limit_on_pixels() -> None:
    body = f'<image href="data:image/png;base64,{PICTURE}"/>'
    assert PICTURE in rewritten(drawn(body), max_pixels=60 * 40)
    with pytest.raises(ImageError) as caught:
        rewritten(drawn(body), max_pixels=60 * 40 - 1)
    assert caught.value.reason == "too-large"


@pytest.mark.parametrize("piece", ["url(", "url( ", "@import ", "/*", "\\", "@", "&#64;", "url(#"])
def test_style_is_rewritten_in_linear_time(piece: str) -> None:
    began = time.process_time()
    rewritten(drawn(f"<style>url(x) {piece * 100_000}</style>"))
    assert time.process_time() - began < 2
