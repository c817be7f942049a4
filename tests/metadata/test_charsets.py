"""Texts are decoded from whatever encoding a program wrote."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL.ExifTags import Base

from metadata.blocks import exif_block, iptc_block, read
from pixseek.metadata.charsets import decode_text, decode_unicode

FOREIGN = {
    "cp932": (
        "湖の船", "東京タワー", "家族旅行 京都 2005年", "運動会", "お母さんの誕生日", "春の桜",
        "家族", "富士山と桜、河口湖にて", "ディズニーランドで娘と", "七五三", "結婚式",
        "北海道 札幌 雪まつり", "卒業式の朝", "祖父と祖母", "鎌倉大仏", "海で泳ぐ子供たち",
        "うちの猫", "京都の紅葉", "花火大会 2003", "沖縄旅行", "入学式", "大阪城", "お正月",
        "犬の散歩", "横浜中華街",
    ),
    "euc_jp": (
        "家族旅行 京都 2005年", "湖の船", "富士山と桜、河口湖にて",
    ),
    "gbk": (
        "北京天安门", "我的家", "湖上的小船", "2008年春节在外婆家吃饭", "北京", "全家福",
        "上海外滩夜景", "爸爸妈妈在公园", "西湖", "长城一日游", "同学聚会", "奶奶的八十大寿",
        "桂林山水", "结婚照", "春节", "我和弟弟", "颐和园 2004", "毕业典礼", "黄山日出",
        "小猫", "公司年会", "香港迪士尼", "厦门鼓浪屿",
    ),
    "big5": (
        "台北101大樓", "我的家", "阿里山日出", "全家福", "媽媽的生日蛋糕", "淡水夕陽",
        "全家出遊", "太魯閣", "外婆的菜園", "畢業典禮", "墾丁海邊", "新年快樂", "弟弟",
        "故宮博物院 2006", "結婚紀念日", "陽明山花季", "小狗", "高雄港", "九份老街", "同學會",
    ),
    "euc_kr": (
        "서울 타워", "우리 가족", "제주도 여행 2010", "할머니 생신", "경복궁 가을",
        "설악산 단풍", "가족 사진", "졸업식", "우리집 강아지", "부산 바다", "결혼식 2008",
        "남산 서울타워", "어머니와 함께", "한강 공원", "크리스마스", "벚꽃 축제", "할아버지",
        "여름 휴가", "동생 생일", "경주 불국사",
    ),
    "cp1251": (
        "Озеро", "Москва, Красная площадь", "Мама и папа на даче", "Бабушка", "Дача 1987",
        "Новый год у ёлки", "Наша кошка Мурка", "Київ, Хрещатик", "Свадьба",
        "Санкт-Петербург, Эрмитаж", "Кот на диване", "Рыбалка на Волге", "Дедушка",
        "Выпускной 2003", "В горах Кавказа", "С ПРАЗДНИКОМ", "МАМА", "Первое сентября",
        "НА МОРЕ", "ИРА И САША", "МОСКВА", "Байкал зимой", "Лес, осень",
    ),
    "koi8_r": (
        "Москва, Красная площадь", "Озеро", "Мама и папа на даче", "Свадьба друзей",
        "Кот на диване", "Байкал зимой",
    ),
    "cp1253": (
        "Αθήνα Ακρόπολη", "Θεσσαλονίκη", "Η οικογένεια στη θάλασσα", "ΑΘΗΝΑ",
    ),
    "cp1255": (
        "ירושלים העתיקה", "יום הולדת של אבא", "חוף הים",
    ),
    "cp1256": (
        "القاهرة مصر", "عيد ميلاد أحمد", "بيتنا في الصيف",
    ),
    "cp874": (
        "กรุงเทพมหานคร", "เชียงใหม่ วัดพระธาตุ", "งานแต่งงาน",
    ),
}  # fmt: skip

#: Captions that could be words of another language.
MISREAD = {
    ("euc_jp", "家族旅行 京都 2005年"), ("gbk", "小猫"), ("big5", "小狗"),
    ("euc_kr", "벚꽃 축제"),
}  # fmt: skip

WESTERN = (
    "Zürich", "Ein Boot auf dem Zürichsee früh", "Été à la plage", "Jörg", "Señor Muñoz en España",
    "© Ann Müller", "naïve café", "Ærø, Århus", "Oma “früh” – 2005", "ÄÖÜ", "Été", "Öl",
    "Noël à Orléans, été indien", "ÉTÉ À ÉVRY", "Ærøskøbing færgehavn på Ærø", "«Été»",
    "20 °C – 30 °C", "½ – ¾ °", "São João, coração", "“œuvre” – ‘été’", "Ñandú, Ñuñoa, Ñuble",
    "¡Olé! ¿Qué?", "Þórður á Þingvöllum", "Æ Ø Å", "é è ê à ù ç", "… – —",
    "éééé!", "ÄÄÄÄÄH", "•••••", "Hääyöaie öö äär",
)  # fmt: skip


@pytest.mark.parametrize("encoding", FOREIGN)
def test_captions_of_many_languages_are_read(encoding: str) -> None:
    for text in FOREIGN[encoding]:
        if (encoding, text) in MISREAD:
            continue
        exif = exif_block({Base.ImageDescription: text.encode(encoding)})
        assert read(exif=exif).caption == text
        assert read(sidecars={"a.txt": text.encode(encoding)}).caption == text


def test_scripts_are_told_by_what_their_words_can_not_have() -> None:
    for encoding, text in (
        ("cp932", "おばあちゃんの家"), ("cp932", "おじいちゃんとおばあちゃん"),
        ("cp1251", "Наш дом"), ("gbk", "九寨沟"), ("gbk", "青岛"),
    ):  # fmt: skip
        assert decode_text(text.encode(encoding)) == text
    thai = "เที่ยวทะเล".encode("cp874")
    assert decode_text(thai) == thai.decode("cp1252")  # and not Cyrillic


def test_captions_that_are_cut_within_a_character_are_read() -> None:
    for encoding, text in (
        ("utf-8", "Ein Boot auf dem Zürichsee früh"), ("utf-8", "湖の船"), ("gbk", "上海外滩夜景"),
        ("cp932", "家族旅行 京都で"), ("euc_kr", "제주도 가족 여행"),
    ):  # fmt: skip
        data = text.encode(encoding)
        cut = next(n for n in range(len(data) - 1, 0, -1) if data[n] > 127 and data[n - 1] > 127)
        assert decode_text(data[:cut]) == data[:cut].decode(encoding, "ignore")
    assert decode_text("Zürich café".encode("cp1252")) == "Zürich café"
    assert decode_text("café".encode("cp1252")) == "café"


def test_western_captions_and_short_ones_are_never_taken_for_another_script() -> None:
    for text in WESTERN:
        assert decode_text(text.encode("cp1252")) == text
    for data in (b"\xe4", b"\xc4\xdc", b"\xcb\xe5\xf1", b"caf\xe9 \x80"):
        assert decode_text(data) == data.decode("cp1252")
    assert decode_text(b"\x81\x8d") == "\x81\x8d"  # undefined in cp1252


def test_short_texts_of_an_iptc_block_are_read_in_the_encoding_of_the_long_ones() -> None:
    texts = {120: "Мама и папа на даче, лето 1987 года", 25: "лес", 90: "Тула", 80: "Ян"}
    found = read(iptc=iptc_block(*((2, at, text.encode("cp1251")) for at, text in texts.items())))
    assert (found.caption, found.tags) == (texts[120], ("лес",))
    assert (found.fields["city"], found.fields["artist"]) == ("Тула", "Ян")


def test_iptc_that_declares_utf8_and_is_not_is_read() -> None:
    block = iptc_block((1, 90, b"\x1b%G"), (2, 120, "Zürich".encode("cp1252")))
    assert read(iptc=block).caption == "Zürich"


COMMENTS = (
    "a lake", "me", "Oma", "I love you", "2005", "Zürich", "Öl", "湖の船", "家族", "北京天安门",
    "우리 가족", "Озеро", "Αθήνα", "ירושלים", "京都 2005", "👍 super", "うちの猫",
    "高雄港", "西湖", "日",
    "नमस्ते", "ქართული", "ಕನ್ನಡ", "C++ @ home!", "#1 fan", "🎉", "❤️",
)  # fmt: skip


@pytest.mark.parametrize("written_as", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("code", [b"UNICODE\0", b"Unicode\0", b"unicode\0", b"UTF-8\0\0\0"])
def test_unicode_comments_are_read_in_every_form(written_as: str, code: bytes) -> None:
    for text in COMMENTS:
        comment = code + text.encode(written_as)
        if code == b"UTF-8\0\0\0" and not written_as.startswith("utf-8"):
            continue
        for padding in (b"", bytes(2), bytes(9)):
            block = exif_block(photo={Base.UserComment: comment + padding})
            assert read(exif=block).caption == text


@pytest.mark.parametrize(
    ("comment", "text"),
    [
        (b"ascii\0\0\0a lake", "a lake"),
        (b"Ascii\0\0\0a lake", "a lake"),
        (b"ASCII   a lake", "a lake"),
        (b"ASCII\0a lake", "a lake"),
        (b"Unicode " + "a lake".encode("utf-16-le"), "a lake"),
        (b"ASCII\0\0\0" + "Zürich".encode(), "Zürich"),
        (b"ASCII\0\0\0" + "Zürich".encode("cp1252"), "Zürich"),
        (b"ASCII\0\0\0" + "湖の船".encode("cp932"), "湖の船"),
        (b"jis\0\0\0\0\0" + "湖の船".encode("iso2022_jp"), "湖の船"),
        (b"JIS\0\0\0\0\0" + "湖の船".encode("cp932"), "湖の船"),
        (b"JIS\0\0\0\0\0" + "湖の船".encode(), "湖の船"),
        (bytes(8) + "Zürich".encode(), "Zürich"),
        (bytes(8) + "a lake".encode("utf-16-le"), "a lake"),
        (b"UNDEFINE\0a lake", "a lake"),
        # No code at all.
        (b"Unicode table at the museum", "Unicode table at the museum"),
        (b"ASCII art of a cat", "ASCII art of a cat"),
        ("a lake".encode("utf-16-be"), "a lake"),
        # A code and nothing else.
        (b"ASCII\0\0\0", ""),
        (b"ASCII", ""),
        (b"UNICODE\0" + bytes(20), ""),
        (b"\0" * 264, ""),
    ],
)
def test_comments_with_any_code_are_read(comment: bytes, text: str) -> None:
    block = exif_block(photo={Base.UserComment: comment})
    assert read(exif=block).caption == text
    # Some programs write it with the type of other texts.
    assert read(exif=with_type(block, Base.UserComment, 2)).caption == text


def with_type(block: bytes, tag: int, kind: int) -> bytes:
    """The block with another type for the value of a tag."""
    assert block[:2] == b"MM"
    at = block.index(tag.to_bytes(2, "big"))
    return block[: at + 2] + kind.to_bytes(2, "big") + block[at + 4 :]


def test_texts_with_the_type_for_utf8_of_exif_3_are_read() -> None:
    block = exif_block({Base.ImageDescription: "Ein Boot früh 湖".encode(), Base.Model: "X100"})
    assert read(exif=with_type(block, Base.ImageDescription, 129)).caption == "Ein Boot früh 湖"
    block = exif_block(photo={Base.LensModel: "50 mm f/2 – früh".encode()})
    found = read(exif=with_type(block, Base.LensModel, 129)).fields
    assert found["lens"] == "50 mm f/2 – früh"


@example(b"\0\xd8\0")
@given(st.binary(max_size=60))
def test_any_bytes_are_decoded(data: bytes) -> None:
    for text in (decode_text(data), decode_unicode(data, "le"), decode_unicode(data, "be")):
        assert isinstance(text, str)
