"""Decode texts whose encoding is not declared, or declared wrongly.

Programs write texts into EXIF, IPTC, comments and text files in the encoding of their user's
computer. UTF-8 and UTF-16 are recognised by their form. For anything else chardet says which
encoding of a language without Latin letters it is, if the bytes can't be words with a few accents.
charset-normalizer needs longer texts: of the 133 short captions in other scripts in
`tests/metadata/test_charsets.py`, this reads 129; charset-normalizer 3.5, given the same encodings
to choose from, reads 77.
"""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections.abc import Iterator

# What chardet may answer, by its names, which are Python's: encodings of Windows and older systems.
_ALPHABETS = ("cp1251", "koi8-r", "cp1253", "cp1255", "cp1256", "cp874")
_FOREIGN = ("cp932", "euc_jis_2004", "gb18030", "big5hkscs", "cp949", *_ALPHABETS)
_LATIN = ("cp1252", "cp1250", "cp1254")

# Old Unix systems wrote few of the photos that are left, and Thai looks much like Chinese.
_FREQUENT = {"euc_jis_2004": 0.4, "cp874": 0.6}

# The last first byte of the characters that are in use every day, as the standards order them.
_LAST_COMMON = {"cp932": 0x98, "euc_jis_2004": 0xCF, "gb18030": 0xD7, "big5hkscs": 0xC6,
                "cp949": 0xC8}  # fmt: skip

# Words in capitals, in the encodings that have them at the place of cp1251 and cp1253.
_CAPITALS = re.compile(rb"[\x00-\x60\x7b-\x7f\xc0-\xdf\xa8]*")
_LOWER = bytes(range(0xC0)) + bytes(range(0xE0, 0x100)) * 2
_WITH_CASE = ("cp1251", "cp1253")

# With fewer bytes beyond ASCII the encoding is not guessed.
_ENOUGH = 4

# How many bytes are looked at.
_SAMPLE = 2_000

# A text in an alphabet has words of several letters, none of them Latin. Korean words are not
# partly Chinese.
_WORD = re.compile(r"[^\W\d_a-zA-Z][^\W\d_]{2}")
_MIXED = re.compile(r"[A-Za-z](?=[^\W\d_a-zA-Z])|(?<=[^\W\d_a-zA-Z])[A-Za-z]")
# No word begins with a mark for vowels.
_LOOSE_MARK = re.compile(
    r"(?<!\w)[\u0591-\u05bd\u05c1\u05c2\u064b-\u0652\u0e31\u0e34-\u0e3a\u0e47-\u0e4e]"
)
_CAPITAL_WITHIN = re.compile(r"(?<=[\u03ac-\u03ce\u0430-\u045f])[\u0386-\u03ab\u0400-\u042f]")
_KANA = re.compile(r"[\u3041-\u30fe]")
_LATIN_LETTER = re.compile(r"[\u00c0-\u024f]")
_MIXED_KOREAN = re.compile(r"[\uac00-\ud7a3][\u4e00-\u9fff]|[\u4e00-\u9fff][\uac00-\ud7a3]")

# Legacy sets that hold the characters of one language and few others; first those with Chinese.
_COMMON = ("gb2312", "shift_jis", "big5", "iso2022_kr", "cp1252", "cp1251", "cp1253", "cp1255",
           "cp1256", "cp874", "cp1250")  # fmt: skip

# Armenian, Georgian, Ethiopian, and the scripts of India and South-East Asia, which none holds.
_NEWER = re.compile(r"[\u0530-\u058f\u0900-\u0dff\u0e80-\u10ff\u1200-\u139f\u1780-\u17ff\s\d]+")

_EMOJI = re.compile("[\U0001f000-\U0001faff\u2600-\u27bf\ufe0f\u200d]")

_WORDLIKE = re.compile(
    r"(?=.*[aeiouAEIOU\s\d])[A-Za-z0-9\s,.:;!?'()&-]+|.*(?:[a-z]{3}|\d\d).*", re.DOTALL
)


def decode_text(data: bytes) -> str:
    """Decode bytes without a declared encoding: as UTF-8, UTF-16, or what chardet says.

    Short and doubtful texts are decoded as Windows' cp1252.
    """
    if data.isascii() and b"\0" not in data:  # most texts
        return data.decode("ascii")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "ignore")
    order = _order_by_zeros(data)
    if order:
        return _utf16(data, order)
    text = _decoded(data, "utf-8-sig")
    return decode_as(data, encoding_of(data)) if text is None else text


def decode_as(data: bytes, encoding: str) -> str:
    """Decode bytes with what `encoding_of` returned for them or for their neighbours."""
    for each in ("utf-8-sig", encoding):
        text = _decoded(data, each)
        if text is not None:
            return text
    # Bytes undefined in cp1252 become control characters in Latin-1, which are removed later.
    return data.decode("latin-1")


def _decoded(data: bytes, encoding: str) -> str | None:
    """Return a text in an encoding; None if it is not in it.

    Its last character may be cut: IPTC and some programs limit the bytes of a text.
    """
    try:
        text = codecs.getincrementaldecoder(encoding)().decode(data)
        return data.decode(encoding) if text.isascii() else text
    except UnicodeDecodeError:
        return None


def encoding_of(data: bytes) -> str:
    """Return the encoding of bytes that are not UTF-8, by Python's name."""
    if len(data) > _SAMPLE:
        # Cut where no character is cut: no encoding uses bytes below the digits in a longer one.
        data = re.sub(rb"[\x30-\xff]*\Z", b"", data[:_SAMPLE]) or data[:_SAMPLE]
    high = sum(byte > 127 for byte in data)
    letters = high + len(re.findall(rb"[A-Za-z]", data))
    # Words of Latin letters have an accent here and there.
    if (
        high < _ENOUGH
        or len({*data} - {*range(128)}) < 2
        or (high * 2 < letters and not re.search(rb"[\x80-\xff]{5}", data))
    ):
        return "cp1252"
    guesses = [*_guesses(data)]
    if _CAPITALS.fullmatch(data):
        # chardet knows words in capitals badly.
        lower = data.translate(_LOWER)
        guesses += [guess for guess in _guesses(lower) if guess[1] in _WITH_CASE]
    return max(guesses)[1]


def _guesses(data: bytes) -> Iterator[tuple[float, str]]:
    """Yield how likely encodings are, from 0 to about 1, and their names."""
    import chardet  # here, since importing it takes 40 ms, and few texts need it

    yield 0.0, "cp1252"
    # In no other encoding are these frequent characters, and chardet misses some.
    kana = _KANA.findall(_decoded(data, "cp932") or "")
    if len(kana) * 4 >= sum(byte > 127 for byte in data) and _is_text(data, "cp932"):
        yield 1.0, "cp932"
    known = (*_FOREIGN, *_LATIN)
    for each in chardet.detect_all(
        data, ignore_threshold=True, include_encodings=known, compat_names=False
    ):
        encoding = str(each["encoding"])
        if encoding in _LATIN:
            yield each["confidence"], "cp1252"
        elif encoding in _FOREIGN and _is_text(data, encoding):
            yield each["confidence"] * _FREQUENT.get(encoding, 1), encoding


def _is_text(data: bytes, encoding: str) -> bool:
    """Return whether bytes decode to words; in a wrong encoding, many become other symbols."""
    text = _decoded(data, encoding)
    if text is None:
        return False
    beyond = [each for each in text if ord(each) > 127]
    if encoding in _ALPHABETS:
        # Words, not mixed with Latin letters.
        if (
            not _WORD.search(text)
            or _LOOSE_MARK.search(text)
            or len(_CAPITAL_WITHIN.findall(text)) > 1
            or _MIXED.search(_LATIN_LETTER.sub("a", text))
        ):
            return False
    elif encoding == "cp949" and _MIXED_KOREAN.search(text):
        return False
    else:
        wide = [each for each in beyond if each > "\u2fff"]
        last = bytes([_LAST_COMMON[encoding]])
        common = sum(each.encode(encoding, "ignore")[:1] <= last for each in wide)
        if common * 10 < len(wide) * 7:
            return False
    letters = sum(unicodedata.category(each)[0] in "LM" for each in beyond)
    return letters * 10 >= len(beyond) * 7


def decode_unicode(data: bytes, order: str) -> str:
    """Decode bytes that are declared as Unicode: UTF-8 since EXIF 3.0, UTF-16 before.

    Args:
        data: the bytes, perhaps with zeros or blanks at their end.
        order: "le" or "be": the byte order that UTF-16 should have; many programs write the other.
    """
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "ignore")
    by_zeros = _order_by_zeros(data)
    if by_zeros:
        return _utf16(data, by_zeros)
    text = data.removeprefix(b"\xef\xbb\xbf").rstrip(b"\0")
    other = {"le": "be", "be": "le"}[order]
    # The first if both are equal.
    wide = max((_utf16(data, each) for each in (order, other)), key=_fit)
    narrow = _decoded(text, "utf-8")
    if narrow is None:
        return wide
    if any(unicodedata.category(each) == "Cc" and each not in "\t\r\n" for each in narrow):
        return wide
    # A few Chinese or Japanese characters can happen to be UTF-8, which then is no word.
    is_word = _WORDLIKE.fullmatch(narrow) if narrow.isascii() else _share_in_one_set(narrow) == 1
    if not is_word and len(text) % 2 == 0 and _share_in_one_set(wide) == 1:
        return wide
    return narrow


def _utf16(data: bytes, order: str) -> str:
    if len(data) % 2 and order == "le":
        data += b"\0"  # taken for the end of a text
    return data.decode(f"utf-16-{order}", "ignore")


def is_utf16(data: bytes) -> bool:
    """Return whether bytes begin with a mark of UTF-16, or are Latin letters in it."""
    return data.startswith((b"\xff\xfe", b"\xfe\xff")) or _order_by_zeros(data) != ""


def _order_by_zeros(data: bytes) -> str:
    """Return "le" or "be" if every second byte of Latin letters in UTF-16 is zero; "" otherwise."""
    data = data.rstrip(b"\0")  # padding
    if b"\0" not in data:
        return ""
    pairs = len(data) // 2
    even, odd = data[: pairs * 2 : 2].count(0), data[1 : pairs * 2 : 2].count(0)
    if not pairs or max(even, odd) * 3 < pairs * 2 or even == odd:
        return ""
    return "be" if even > odd else "le"


def _share_in_one_set(text: str) -> float:
    """Return which share of a text the best fitting legacy set holds, from 0 to 1."""
    return _fit(text)[0]


def _fit(text: str) -> tuple[float, int]:
    """Return that share, and how many sets hold it: frequent Chinese characters are in several."""
    given, text = text, _EMOJI.sub("", text.strip("\0 "))
    if not text:
        return (1.0, 4) if _EMOJI.search(given) else (0.0, 0)
    if not text.isascii() and _NEWER.fullmatch(text):
        return 1.0, 1
    held = [len(text.encode(each, "ignore").decode(each, "ignore")) for each in _COMMON]
    return max(held) / len(text), held[:4].count(len(text))
