"""What the library says in English, in the user's language: by patterns, never by chance."""

from __future__ import annotations

import ast
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

import pixseek
from pixseek.encoders.hub.catalogue import CATALOGUE
from pixseek.library import Library
from pixseek.library.asking import MOVED
from pixseek.server.markup import told
from pixseek.server.texts import languages

EN, DE = languages()["en"], languages()["de"]


@pytest.mark.parametrize(
    ("english", "german"),
    [
        ("The model does not know: qwzx", "Das Modell kennt nicht: qwzx"),
        ("The model does not know: {words}", "Das Modell kennt nicht: {words}"),
        ("The model does not know: ", None),
        ("It has at most 10,000 characters.", "Sie hat höchstens 10.000 Zeichen."),
        (
            "No image fulfils all: tag:x lets 1,234 through, rating:5 0, year:1999 7, and 2 more",
            "Kein Bild erfüllt alles: tag:x erfüllen 1.234 Bilder, rating:5 0, year:1999 7, und "
            "2 weitere",
        ),
        ("No image fulfils tag:a lets b", "Kein Bild erfüllt tag:a lets b"),
        (
            "“may 2019” is read as date:2019-05; in quotation marks it is words",
            "„may 2019“ wird als date:2019-05 gelesen; in Anführungszeichen sind es Wörter",
        ),
        ("Known orders: name, newest.", "Bekannt sind: name, newest."),
        ("Did you mean 'name'? Known orders: a, b.", "Meintest du 'name'? Bekannt sind: a, b."),
        ("'<b>' at character 3", "'<b>' ab Zeichen 3"),
        ("The content is not an image", "Der Inhalt ist kein Bild"),
        ("The content is not an image!", None),
        ("", None),
        ("Something new", None),
    ],
)
def test_texts_of_the_library_are_told_in_german(english: str, german: str | None) -> None:
    assert DE.told(english) == german
    assert EN.told(english) == english


def test_notes_of_models_and_of_a_moved_library_are_told_in_german() -> None:
    notes = [each.note for each in CATALOGUE if each.note]
    assert notes
    untold = [each for each in (*notes, MOVED.format("/some/place")) if DE.told(each) is None]
    assert not untold


def test_what_is_not_known_is_marked_as_english() -> None:
    assert told("Something <new>", DE) == "<span lang=en>Something &lt;new&gt;</span>"
    assert told("Something <new>", EN) == "Something &lt;new&gt;"
    assert told("The model does not know: <b>", DE) == "Das Modell kennt nicht: &lt;b&gt;"


def test_a_long_text_of_a_stranger_is_read_once() -> None:
    assert DE.told("“" + "” is searched as words: " * 50_000) is None


#: Texts that the library puts together of more than values: only how they begin is checked.
_COMPOSED = ("Nothing ", "Known ", "Did you mean ", "Write 5, >=5 or 1..5", "Operators for ")


def test_each_pattern_is_what_the_library_says() -> None:
    """A text that was changed in the library is changed here too."""
    trees = (
        ast.parse(path.read_text("utf-8")) for path in Path(pixseek.__file__).parent.rglob("*.py")
    )
    # The pieces of a formatted text are constants, too.
    whole = "\0".join(
        re.sub(r"\{0\.\w+\}", "\0", node.value)
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )
    for pattern in (*DE.words["said"], *DE.words["failed"]):
        pieces = re.split(r"\{\w+\}", pattern)
        if pattern.startswith(_COMPOSED):
            pieces = [each for each in _COMPOSED if pattern.startswith(each)]
        for piece in pieces:
            assert piece.strip(" '\"") in whole, pattern


def test_pages_tell_it_in_the_language_of_the_browser(
    serve: Any, library: Library, photos: Path
) -> None:
    shutil.copy(__file__, photos / "in" / "text.jpg")
    library.index(photos)
    german = {"Accept-Language": "de"}
    client = serve()

    def page(path: str) -> str:
        return str(client.get(path, headers=german).text).partition("<script")[0]

    assert "Kein Bild erfüllt tag:" in page("/?q=tag:zebra")
    assert "<strong>Kein Datum: year:20x1, ab Zeichen 1</strong> Schreibe 2021, 2021-05" in page(
        "/?q=year:20x1"
    )
    assert "<strong>Kein Bild mit dieser Kennung: none</strong>" in page("/image/none")
    failures = page("/status").partition("class=failures>")[2].partition("</ul>")[0]
    assert "Der Inhalt ist kein Bild. " in failures
    assert "prüfe es in einem Bildbetrachter." in failures and "lang=en" not in failures
    sent = client.post("/status", data={"do": "index", "folder": "/no/such"}, headers=german)
    assert "<p class=error role=alert><strong>Dieser Ordner darf" in sent.text
    assert "The content is not an image. " in client.get("/status").text
