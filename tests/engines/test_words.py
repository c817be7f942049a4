"""The words of texts: one segmentation for all engines."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

import pytest
from answers import by_words
from hypothesis import given, settings
from hypothesis import strategies as st

from pixseek.engines.columns import is_storable, texts
from pixseek.engines.words import alternatives, searchable, words, words_to_find
from pixseek.metadata.annotations import Change, annotate, annotation_of, change, changed
from pixseek.types import Engine, Record

from vectors import random_unit


def finds(query: str, text: str) -> bool:
    """Whether a text holds all words of a query, as engines compare them but for English stems."""
    held = f" {searchable(text)} "
    wanted = words_to_find(query)
    return bool(wanted) and all(
        any(f" {each} " in held for each in alternatives(word)) for word in wanted
    )


def pairs(table: str) -> list[tuple[str, str]]:
    """Return the two sides of each line of a table."""
    lines = [line.strip() for line in table.splitlines() if line.strip()]
    return [tuple(line.split(" : ")) for line in lines if not line.startswith("#")]  # type: ignore[misc]


#: A query, and a caption that it finds.
FOUND = pairs(
    """
    # Korean: particles, compounds, one syllable, digits before
    고양이가 : 고양이
    고양이 : 고양이가 산에서 잔다
    고양이 : 길고양이 두 마리
    고양이를 : 검은 고양이와 개
    사람이 : 사람들
    개가 : 개는 크다
    개 : 개가 뛴다
    개들이 : 개와 고양이
    산에서 : 산으로 간다
    산에 : 높은 산
    3월 : 3월에
    3월에 : 2019년 3월
    회의 : 주간회의
    종이 : 종이비행기
    휴가 : 여름휴가
    바다에서는 : 바다
    활주로 : 활주로에
    말과 사람 : 사람과 말이 있다
    # Chinese, Japanese
    雪山 : 雪山上的狗
    東京 : 東京tower
    tower : 東京tower
    が : が
    犬 : 犬🐕
    # Thai, Lao, Khmer, Burmese
    แมว : ฉันมีแมวสองตัว
    น้ำ : ดื่มน้ำ
    หมา : หมาในหิมะ
    ດີ : ສະບາຍດີ
    ឆ្កែ : ខ្ញុំមានឆ្កែពីរ
    ខ្មែរ : ភាសាខ្មែរ
    ကြောင် : ကျွန်တော်ကြောင်မွေးတယ်
    # Emoji
    🐕 : a walk 🐕
    🐕 : 🐕🐈
    👋 : 👋🏽
    👋🏿 : 👋
    👩‍🚀 : 👩🏽‍🚀
    🚀 : 👩‍🚀
    🇫🇷 : 🇩🇪🇫🇷
    ❤ : I ❤️ NY
    ❤️ : I❤NY
    🏴󠁧󠁢󠁥󠁮󠁧󠁿 : 🏴󠁧󠁢󠁥󠁮󠁧󠁿 fans
    1️⃣ : 1
    🏃 : 🏃‍♀️
    # English words that some database would leave out
    under : the bridge under the tower
    before sunrise : before the sunrise
    more : more of it
    # Letters with and without signs, either case
    istanbul : İstanbul
    İSTANBUL : istanbul
    ısparta : ISPARTA
    ISPARTA : Isparta
    strasse : Straße
    STRASSE : straße
    οδος : ΟΔΟΣ
    ὁδός : οδος
    κόσμος : ΚΟΣΜΟΣ
    محمد : مُحَمَّد
    سَلام : سلام
    احمد : أحمد
    شلوم : شَلوم
    שלום : שָׁלוֹם
    kobenhavn : København
    Lodz : Łódź
    oeuvre : Œuvre
    Dogu : Doğu
    елка : Ёлка
    ｄｏｇ : dog
    ﬁsh : fish
    ٢٠١٩ : 2019
    2019 : २०१९
    کتاب : كتاب‌ها
    हिन्दी : हिन्दी भाषा
    हिंदी : हिन्दी
    सम्बन्ध : संबंध
    चाँद : चांद
    ज़मीन : जमीन
    নদী : একটি নদী
    தமிழ் : தமிழ் நாடு
    co\u00adop : coop
    """
)

#: A query, and a caption that it must not find.
NOT_FOUND = pairs(
    """
    개 : 무지개
    개가 : 날개
    산 : 우산
    강아지 : 고양이
    真写 : 写真
    กา : ก้า
    เมว : แมว
    🐕 : 🐈
    🇫🇷 : 🇸🇪🇫🇮🇷🇴
    🇬🇧 : 🏴󠁧󠁢󠁥󠁮󠁧󠁿
    🏴󠁧󠁢󠁳󠁣󠁴󠁿 : 🏴󠁧󠁢󠁥󠁮󠁧󠁿
    हिन्द : हिन्दी
    কদ : নদী
    សេះ : ឆ្កែ
    """
)


@pytest.mark.parametrize(("query", "text"), FOUND)
def test_a_caption_is_found_by_its_word(query: str, text: str) -> None:
    assert finds(query, text)
    assert finds(text, text)
    others = " ".join(f"word{n}" for n in range(1000))
    assert finds(query, f"{others} {text} {others}")


@pytest.mark.parametrize(("query", "text"), NOT_FOUND)
def test_another_word_does_not_find_a_caption(query: str, text: str) -> None:
    assert not finds(query, text)


def test_every_engine_finds_the_same(engine: Engine) -> None:
    records = [Record(f"id{n}", f"r/{n}", caption=text) for n, (_, text) in enumerate(FOUND)]
    others = [Record(f"not{n}", f"s/{n}", caption=text) for n, (_, text) in enumerate(NOT_FOUND)]
    engine.put([*records, *others], random_unit(len(records) + len(others)))
    for n, (query, _) in enumerate(FOUND):
        found = engine.find_words(query, 99)
        assert f"id{n}" in {each.id for each in found.matches if each.complete}, query
    for n, (query, _) in enumerate(NOT_FOUND):
        assert f"not{n}" not in {each.id for each in engine.find_words(query, 99).matches}, query
    engine.delete(record.id for record in (*records, *others))
    assert not any(engine.find_words(query, 9).matches for query, _ in FOUND)


#: What is known of images, each with queries that find it.
_DESCRIBED: list[tuple[Record, Iterable[str]]] = [
    (
        Record("name", "Pictures/Rome 2019/IMG_1234.JPG"),
        ["IMG_1234", "img_1234.jpg", "IMG_1234.JPG", "IMG1234", "img1234.jpg", "1234", "rome",
         "2019/…", "IMG-1234",
         "Rome 2019/IMG_1234.jpg", "pictures", '"IMG_1234.jpg",'],
    ),
    (Record("dashed", "r/DSC-0042.png"), ["DSC-0042", "DSC-0042.png", "dsc 0042", "0042"]),
    (Record("joined", "r/DSC0043.heic"), ["DSC0043", "dsc0043.heic", "0043", "DSC_0043"]),
    (
        Record("odd", "r/my cat@2x (3).png"),
        ["my cat@2x (3).png", "my cat@2x (3)", "cat@2x.png", "(3).png cat", "cats"],
    ),
    (Record("camel", "r/BeachParty/x1.webp"), ["BeachParty", "beach party", "beachparty", "party"]),
    (Record("people", "r/5.jpg", fields={"people": "Ann Lee; José"}), ["ann", "Ann Lee", "Jose"]),
    (
        Record("place", "r/6.jpg", fields={"city": "São Paulo", "country": "Brasil"}),
        ["sao paulo", "BRASIL", "São Paulo, Brasil"],
    ),
    (
        Record("levels", "r/7.jpg", tags=("Owl", "Nature|Birds|Owl")),
        ["nature", "birds", "owl", "bird", "nature owls", "Nature|Birds"],
    ),
    (Record("own", "r/8.jpg", fields={"user.client": "ACME"}), ["acme"]),
]  # fmt: skip


def test_names_people_places_and_levels_of_tags_are_words(engine: Engine) -> None:
    records = [record for record, _ in _DESCRIBED]
    engine.put(records, random_unit(len(records)))
    for record, queries in _DESCRIBED:
        for query in queries:
            found = engine.find_words(query, 9)
            assert [each.id for each in found.matches if each.complete] == [record.id], query
    # A part of a name is no name.
    for query in ("IMG_123", "IMG_0042", "2018/IMG_1234", "DSC-1234.jpg"):
        assert engine.find_words(query, 9).complete == 0, query


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("IMG_1234", ["img 1234"]), ("IMG_1234.jpg", ["img 1234"]), ("x-ray.png", ["x ray"]),
        ("dog-friendly", ["dog", "friendly"]), ("24-70mm", ["24 70mm"]), ("a/b", ["b"]),
        ("node.js", ["node", "js"]), ("jpg", ["jpg"]), (".jpg", ["jpg"]), ("dogs.", ["dogs"]),
        ("IMG1234", ["img1234|img 1234"]), ("(1).jpg", ["1"]), ("x4", ["x4"]),
        ("", []), ("?!", []), ("the", ["the"]), ("고양이가", ["고 양"]), ("개가", ["k개|개 가"]),
    ],
)  # fmt: skip
def test_words_of_a_query(query: str, wanted: list[str]) -> None:
    assert words_to_find(query) == wanted


@settings(deadline=None)
@given(text=st.text(max_size=40))
def test_words_are_plain(text: str) -> None:
    """What is a word stays one, holds nothing that a database could take for its syntax, and
    storing it never fails; a text is found by itself, in any normal form."""
    for word in words(text):
        for part in word.split():
            assert words(part) == [part]
            assert part.isalnum() or not part.isascii()
        assert is_storable(word)
    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        assert words(unicodedata.normalize(form, text)) == words(text)  # type: ignore[arg-type]
    if words_to_find(text):
        assert finds(text, text)


def _labelled(tags: str, scores: str, field: str = "label_scores") -> Change:
    said = change(add=tags, fields={field: scores})
    return Change(add=said.add, fields=said.fields, labelled="set")


def test_tags_of_a_model_are_no_words_unless_somebody_gave_them_too(engine: Engine) -> None:
    file = Record("a", "r/1.jpg", tags=("sand",))
    by_model = _labelled("lakeside, lakeshore, lake, sand", "lakeside 0.97, sand 0.61")
    said = changed(annotation_of(file), by_model, file.tags)
    record = annotate(file, said)
    assert set(record.tags) == {"sand", "lakeside", "lakeshore", "lake"}
    engine.put([record], random_unit(1))
    assert not by_words(engine, "lake lakeside lakeshore", 9)
    assert by_words(engine, "sand", 9)
    # The user gives one of them too, then asks the model again.
    said = changed(said, change(add="lake"), file.tags)
    for _ in range(2):
        engine.put([annotate(file, said)], random_unit(1))
        assert by_words(engine, "lake", 9)
        assert not by_words(engine, "lakeside lakeshore", 9)
        said = changed(said, by_model, file.tags)
    # Taken away and found once more, it is the model's.
    said = changed(changed(said, change(remove="lake"), file.tags), by_model, file.tags)
    assert texts(annotate(file, said)).strong == "sand"


def test_tags_of_a_model_are_told_by_their_scores_in_older_libraries() -> None:
    fields = {
        "user.tags_added": '["a lake", "mine", "Sand"]', "user.label_confidences": "a lake 0.97",
        "user.label_scores": "sand 0.61",
    }  # fmt: skip
    older = Record("a", "r/1.jpg", tags=("a lake", "mine", "Sand"), fields=fields)
    assert annotate(older, annotation_of(older)) == older
    assert texts(older).strong == "mine"
    given = annotate(older, changed(annotation_of(older), change(add="a lake, sand"), ()))
    assert texts(given).strong == "mine a lake sand" or set(texts(given).strong.split()) == {
        "mine", "a", "lake", "sand",
    }  # fmt: skip
