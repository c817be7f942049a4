"""Facts about an image in words, in each language; and the reasons of a hit."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from pixseek import filters
from pixseek.images import COLOUR_NAMES
from pixseek.library import Library
from pixseek.metadata import seen
from pixseek.search.language import filter_of
from pixseek.server.facts import facts_of, is_web_address, other_facts, reasons_of, size_text
from pixseek.server.texts import languages
from pixseek.types import Reason, Record, Stamp, TextLine

from serving import Serve, id_of

EN, DE = languages()["en"], languages()["de"]

PHOTO = Record(
    "i",
    'Photos/2021/a "b"/sea.jpg',
    stamp=Stamp(3_412_553, 1),
    media="image/jpeg",
    width=4032,
    height=3024,
    taken_at=datetime(2021, 7, 3, 14, 5, 11),
    fields={
        "camera_make": "Canon", "camera_model": "EOS R6", "focal_length_mm": 50.0, "aperture": 2.8,
        "exposure_s": 0.004, "iso": 100, "latitude": 43.46716, "longitude": -11.8854,
        "place": "Arezzo, Italy", "altitude_m": 1234.5, "flash": False, "user.price": 9.5,
        "source_url": "https://example.org/a b", "user.page": "https://example.org/a",
        "people": "Ann",
    },
)  # fmt: skip


READ = seen.fields_of(
    [TextLine("EXIT", 0.99, (0.1, 0.1, 0.2, 0.1)), TextLine('say "12"', 0.9, (0.4, 0.8, 0.2, 0.1))],
    "reader 1",
)


def test_text_in_the_picture_is_a_fact_and_a_reason() -> None:
    record = Record("i", "Photos/door.jpg", fields=READ)
    fact = next(each for each in facts_of(record, EN) if each.name == "Text in it")
    assert (fact.text, fact.query) == ('EXIT · say "12"', 'seen:"EXIT"')
    assert any(each.name == "Text im Bild" for each in facts_of(record, DE))
    assert not any("seen" in each.name for each in other_facts(record, EN))
    why = [Reason("words", 'text_seen: say "12"', 1.0, box=(0.4, 0.8, 0.2, 0.1))]
    assert reasons_of(why, EN)[0].startswith("Text in the picture: ")
    assert reasons_of(why, EN)[0].endswith("(bottom)")
    assert reasons_of(why, DE)[0].endswith("(unten)")


def test_facts_in_english_and_german() -> None:
    facts = {each.name: each for each in facts_of(PHOTO, EN)}
    assert {name: each.text for name, each in facts.items()} == {
        "Taken": "3 July 2021, 14:05",
        "Place": "Arezzo, Italy",
        "Position": "43.46716, -11.88540",
        "Nearby": "Photos within 2 km",
        "Person": "Ann",
        "Camera": "Canon EOS R6",
        "Exposure": "50 mm · f/2.8 · 1/250 s · ISO 100",
        "Size": "4,032 × 3,024 px (12.2 MP)",
        "File": "JPEG, 3.4 MB",
        "Folder": 'Photos/2021/a "b"',
    }
    assert facts["Taken"].query == "date:2021-07-03"
    assert facts["Folder"].query == r'folder:"Photos/2021/a \"b\""'
    assert facts["Nearby"].query == "near:43.4672,-11.8854,2"
    assert facts["Position"].href.startswith("https://www.openstreetmap.org/")
    german = {each.name: each.text for each in facts_of(PHOTO, DE)}
    assert german["Aufgenommen"] == "3. Juli 2021, 14:05"
    assert german["Belichtung"] == "50 mm · f/2,8 · 1/250 s · ISO 100"
    assert german["Größe"] == "4.032 × 3.024 px (12,2 MP)"


def test_queries_of_facts_can_be_asked(client: Any) -> None:
    for fact in facts_of(PHOTO, EN):
        if fact.query:
            asked = client.get("/api/search", params={"q": fact.query})
            assert asked.status_code == 200, (fact, asked.text)


def test_other_facts_have_units_and_only_addresses_of_the_web_are_links() -> None:
    facts = {each.name: (each.text, each.href) for each in other_facts(PHOTO, EN)}
    assert facts["altitude"] == ("1,234.5 m", "")
    assert facts["flash"] == ("no", "")
    assert facts["price"] == ("9.5", "")
    assert facts["page"] == ("https://example.org/a", "https://example.org/a")
    assert facts["downloaded from"] == ("https://example.org/a b", "")
    assert {each.name: each.text for each in other_facts(PHOTO, DE)}["Höhe"] == "1.234,5 m"


@pytest.mark.parametrize(
    ("field", "value", "english", "german"),
    [
        ("colour_names", "grey, red", "grey, red", "Grau, Rot"),
        ("taken_from", "name", "the file's name", "dem Dateinamen"),
        ("digital_source", "trainedAlgorithmicMedia", "an AI model", "KI-Modell"),
        ("digital_source", "aTermToCome", "aTermToCome", "aTermToCome"),
        ("software", "grey", "grey", "grey"),  # only what pixseek itself says is translated
    ],
)
def test_values_that_pixseek_gives_are_in_the_users_language(
    field: str, value: str, english: str, german: str
) -> None:
    record = replace(PHOTO, fields={field: value})
    for texts, right in ((EN, english), (DE, german)):
        (fact,) = other_facts(record, texts)
        assert fact.text == right


def test_each_colour_and_source_of_a_date_has_a_german_name() -> None:
    for name in COLOUR_NAMES:
        assert DE.value("colour", name) != name, name
    assert DE.value("tag", "none") == "none"
    assert DE.value("year", "none") == "Ohne Datum"


@pytest.mark.parametrize(
    "text",
    ["javascript:alert(1)", " https://a.b", "https://", "http:a", "data:text/html,x", "//a.b",
     "https://a.b\nx", "https://[", "ftp://a.b", "https://a\u202eb.c", ""],
)  # fmt: skip
def test_other_texts_are_no_links(text: str) -> None:
    assert not is_web_address(text)


@pytest.mark.parametrize(
    ("precision", "text", "query"),
    [
        ("year", "2021", "date:2021"),
        ("month", "July 2021", "date:2021-07"),
        ("day", "3 July 2021", "date:2021-07-03"),
        ("minute", "3 July 2021, 14:05", "date:2021-07-03"),
    ],
)
def test_a_date_is_told_as_exactly_as_it_is_known(precision: str, text: str, query: str) -> None:
    known = Record("i", "r/a.jpg", taken_at=PHOTO.taken_at, fields={"taken_precision": precision})
    first = facts_of(known, EN)[0]
    assert (first.text, first.query) == (text, query)


def test_what_is_not_known_is_left_out() -> None:
    assert [each.name for each in facts_of(Record("i", "https://a.b/c.jpg"), EN)] == []
    odd = {"exposure_s": 2.0, "iso": 0, "aperture": "x", "latitude": "north", "longitude": 1.0}
    assert [each.text for each in facts_of(Record("i", "r/a.jpg", fields=odd), EN)] == ["2 s", "r"]


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1 kB"), (1_500, "1.5 kB"), (65_432, "65 kB"),
     (3_412_553, "3.4 MB"), (5 * 10**9, "5 GB"), (10**16, "10,000 TB")],
)  # fmt: skip
def test_sizes(size: int, text: str) -> None:
    assert size_text(size, EN.part("facts")) == text


def test_reasons_say_first_what_is_written() -> None:
    why = (
        Reason("text", "a dog", 0.3, 5.0, 1.0, "strong"),
        Reason("id", "k3v5", 0.3, 5.0, 0.75, None),
        Reason("image", "", 0.3, 5.0, -0.5, "likely"),
        Reason("words", "caption: dog, beach", 1.0, 0.0, 1.0),
        Reason("words", "user.shelf: dog", 1.0, 0.0, 1.0),
        Reason("words", "", 1.0, 0.0, 1.0),
    )
    assert reasons_of(why, EN) == [
        "Its caption says “dog”, “beach”",
        "shelf: “dog”",
        "Its texts have the words",
        "It looks like “a dog”: strong",
        "It looks like the image you chose: weak",
        "It leads away from your picture",
    ]
    assert reasons_of(why, DE)[3] == "Es sieht aus wie „a dog“: stark"


def test_the_viewer_gets_facts_and_reasons(
    serve: Serve, client: Any, library: Library, tmp_path: Any
) -> None:
    image = id_of(client, "red")
    library.tag([image], caption="a <b>red</b> wall", add=["wall"])
    found = client.get(f"/facts/{image}", params={"q": "red wall"}).json()
    assert found["record"]["caption"] == "a <b>red</b> wall"
    assert found["record"]["is_there"] is True
    assert ["Folder", "photos/in", 'folder:"photos/in"', ""] in found["facts"]
    assert any("caption" in each or "tag" in each for each in found["why"])
    assert client.get(f"/facts/{image}", params={"q": "red (("}).json()["why"] == []
    assert client.get(f"/facts/{image}", params={"q": "red -has:tags"}).json()["why"] == []
    assert client.get("/facts/gone").status_code == 404
    reader = serve(read_only=True).get(f"/facts/{image}")
    assert str(tmp_path) not in reader.text and "is_there" not in reader.json()["record"]
    german = client.get(f"/facts/{image}", headers={"Accept-Language": "de"}).json()
    assert german["facts"][-1][0] == "Ordner"
    page = client.get(f"/image/{image}").text
    assert f"1 of {len(library)} images</p>" in page
    assert "<b>red</b>" not in page and "folder%3A%22photos%2Fin%22" in page


def test_both_languages_have_the_same_texts() -> None:
    for part in ("facts", "status"):
        assert set(EN.words[part]) == set(DE.words[part]), part
    assert set(EN.words) == set(DE.words)


def test_people_and_albums_lead_to_all_of_their_images() -> None:
    album = 'Lake "trip"'
    fields = {"people": "Ann; Bo", "albums": f"{album}; Best of 2021"}
    record = Record("i", "Photos/sea.jpg", fields=fields)
    found = [each for each in facts_of(record, EN) if each.name in ("Person", "Album")]
    assert [each.text for each in found] == ["Ann", "Bo", album, "Best of 2021"]
    other = Record("j", "Photos/land.jpg", fields={"people": "Cy", "albums": "Lake"})
    for each in found:
        only = filter_of(each.query)
        assert filters.matches(only, record), each
        assert not filters.matches(only, other), each
