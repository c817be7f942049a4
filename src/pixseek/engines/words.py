"""The words of texts: of what is written of an image, and of what is looked for.

They are made here, so that they are the same in every engine. A word is letters, marks and digits,
without case and accents. How texts without spaces are cut (docs/how-to/find.md has examples):

- Chinese, Japanese, Thai, Lao, Khmer and Burmese: into characters, each with its vowel signs and
  tone marks. No dictionary tells where words begin, so a "word" is a phrase of characters.
- Korean: into syllables in the same way. Particles at the end of a query's word are left out. If
  one syllable is left, it must be a whole word: "개" (dog) is not to find "무지개" (rainbow).
- An emoji is a word without its skin tone; joined emoji are a phrase; a flag is one word.

Databases take what this returns for words of letters and digits: an emoji is spelled as ASCII.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

#: Characters of a text that are searched: PostgreSQL indexes up to a megabyte of a record.
_MOST_CHARACTERS = 50_000
#: Most words of a query that are looked for.
_MOST_WORDS = 32
#: English words that say nothing about an image. They are left out of queries.
STOP_WORDS = frozenset(
    "a about an and any are as at be but by can for from had has have he her him his how i if in "
    "into is it its me my no not of on or our s she show so some such t that the their them there "
    "these they this to us was we were what when where which who will with you your".split()
)

#: Between the alternatives of a word that is looked for.
OR = "|"

#: What a word that was read in a picture begins with; no word of a language does.
SEEN = "qzx"

#: What may stand around a word as it is typed.
AROUND = "\"'`()[]{}<>,;:!?.“”‘’„«»"

# Patterns are compiled at need: most texts are ASCII, and most queries plain words.

#: A name as people copy it: IMG_1234, DSC-0042.jpg, 2019/Rome/1.png.
_NAME = r"\w[\w\-./\\]*\w"
_WITHIN_NAMES = r"[-_./\\]"
_ENDING = r"(?<=[\w)\]}])\.(\w{2,5})$"
#: Letters and a number, which other names have apart: IMG1234.
_JOINED_NAME = "([a-z]{2,})([0-9]{2,})"

#: Letters that no decomposition turns into plain ones.
_FOLDED = str.maketrans(
    {
        "ı": "i", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe",
        "ħ": "h", "ŧ": "t", "ŋ": "n", "ى": "ي", "ی": "ي", "ک": "ك", "ة": "ه", "ٱ": "ا",
    }
)  # fmt: skip
#: The nasal before a consonant of Hindi, which many write as a dot.
_NASAL = "[ङञणनम]\u094d(?=[\u0915-\u092d])|\u0901"
#: Accents of European scripts, signs of Hebrew and Arabic that few people write, what changes how
#: the character before it is drawn, skin tones, and characters that are not seen.
_IGNORED = (
    "[\u00ad\u0300-\u036f\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a\u061c\u0640"
    "\u064b-\u065f\u0670\u06d6-\u06dc\u06df-\u06e4\u06e7\u06e8\u06ea-\u06ed\u093c\u180b-\u180f"
    "\u1ab0-\u1aff\u1dc0-\u1dff\u200c\u200e\u200f\u202a-\u202e\u2060-\u206f\u20d0-\u20ff"
    "\ufe00-\ufe0f\ufe20-\ufe2f\ufeff\U0001f3fb-\U0001f3ff\U000e0100-\U000e01ef]"
)
#: In Persian the invisible non-joiner stands where others write a space.
_NON_JOINER = "(?<=[\u0600-\u06ff])\u200c(?=[\u0600-\u06ff])"
_EMOJI = (
    "[\u231a\u231b\u2328\u23cf\u23e9-\u23fa\u25b6\u25c0\u25fb-\u25fe\u2600-\u27bf\u2934\u2935"
    "\u2b05-\u2b07\u2b1b\u2b1c\u2b50\u2b55\U0001f000-\U0001f1e5\U0001f200-\U0001faff]"
)
#: Between the emoji that make one picture. In other scripts it only changes the shape of letters.
_JOINER = "\u200d"
#: One emoji: the two letters of a flag, the flag of a region with its hidden letters, or any other.
_ONE_EMOJI = f"(?:[\U0001f1e6-\U0001f1ff]{{2}}|{_EMOJI}[\U000e0020-\U000e007f]*)"
_EMOJIS = f"{_ONE_EMOJI}(?:{_JOINER}{_ONE_EMOJI})*"
#: Holds the emoji of a phrase together until the text is cut.
_JOINED = "\u2060"

_HANGUL = "\uac00-\ud7a3"
_UNSPACED = (
    "\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"  # Han, kana
    "\U00020000-\U0003ffff\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\ua9e0-\ua9ff\uaa60-\uaa7f"
)
#: Vowel signs and tone marks of those scripts, which belong to the character before them.
_MARKS = (
    "\u0e31\u0e34-\u0e3a\u0e47-\u0e4e\u0eb1\u0eb4-\u0ebc\u0ec8-\u0ece\u17b4-\u17d3\u17dd"
    "\u102b-\u103e\u1056-\u1059\u105e-\u1060\u1062-\u1064\u1067-\u106d\u1071-\u1074\u1082-\u108d"
    "\u108f\u109a-\u109d\ua9e5\uaa7b-\uaa7d\u3099\u309a"
)
#: A character with its marks; the two signs before `\w` put the next consonant below it.
_CHARACTER = f"([{_UNSPACED}{_HANGUL}](?:[\u17d2\u1039]\\w|[{_MARKS}])*)"

#: Korean particles that follow a vowel, a consonant, or either.
_AFTER_VOWEL = ("가", "는", "를", "와", "로", "랑")
_AFTER_CONSONANT = ("이", "은", "을", "과", "으로", "이랑")
_AFTER_ANY = (
    "에게서", "에서", "에게", "까지", "부터", "처럼", "보다", "마다", "하고", "한테", "에", "의",
    "도", "만", "들",
)  # fmt: skip
#: Those that also follow a word of one syllable; the others end too many words of two syllables.
_AFTER_SYLLABLE = frozenset(
    "가 는 를 와 이 은 을 과 으로 에게서 에서 에게 까지 부터 처럼 보다 에 의 들".split()
)


def words(text: str) -> list[str]:
    """Return the words of a text. One that was written without spaces is a phrase: it has some."""
    text = text[:_MOST_CHARACTERS]
    if text.isascii():
        return re.findall("[a-z0-9]+", text.lower())
    text = unicodedata.normalize("NFKD", text).casefold()
    text = re.sub(_IGNORED, "", re.sub(_NON_JOINER, " ", text))
    text = re.sub(_NASAL, "\u0902", text)
    text = unicodedata.normalize("NFC", text.translate(_FOLDED))
    letters = "".join(map(_plain, re.sub(_EMOJIS, _spelled, text).replace(_JOINER, "")))
    return [
        " ".join(re.sub(_CHARACTER, r" \1 ", word).replace(_JOINED, " ").split())
        for word in letters.split()
    ]


def searchable(text: str) -> str:
    """Return the words of a text as engines index them, with spaces between.

    A Korean word of one syllable follows once more, marked as whole.
    """
    if text.isascii():
        return " ".join(words(text))
    found = words(text)
    stems = (_stem(run) for word in found for run in re.findall(f"[{_HANGUL} ]+", word))
    whole = {_whole(stem) for stem in stems if len(stem) == 1}
    return " ".join([*found, *sorted(whole)])


def words_to_find(text: str) -> list[str]:
    """Return the words of a query, each once, without stop words unless there are no others.

    A name of a file is one word, a phrase of its parts, with or without its ending. A word may have
    alternatives, with `OR` between.
    """
    found: list[str] = []
    for piece in text[:_MOST_CHARACTERS].split():
        name = piece.strip(AROUND)
        if name.isascii() and name.isalpha():
            found.append(name.lower())
            continue
        bare = _without_ending(name)
        is_name = re.fullmatch(_NAME, name) and re.search(_WITHIN_NAMES, name[1:-1])
        if is_name and (bare != name or any(map(str.isdigit, name))):
            found.append(_joined_or_apart(" ".join(words(bare))))
        else:
            found += [_to_find(word) for word in words(bare)]
    distinct = [word for word in dict.fromkeys(found) if word]
    telling = [word for word in distinct if word not in STOP_WORDS]
    return (telling or distinct)[:_MOST_WORDS]


def alternatives(word: str) -> list[str]:
    """Return the phrases of which one must be in a text, for a word of `words_to_find`."""
    return word.split(OR)


def as_seen(words: str) -> str:
    """Return words that were read in a picture as engines index them, next to those of its texts.

    They are spelled so that a search for what somebody wrote never finds them, in no engine.
    """
    return " ".join(f"{SEEN}{word}" for word in words.split())


def seen_to_find(words: Sequence[str]) -> list[str]:
    """Return words of `words_to_find` as they are looked for among those read in pictures."""
    return [OR.join(map(as_seen, alternatives(word))) for word in words]


def _without_ending(name: str) -> str:
    """Return a name without the ending of an image file; the texts of images have none."""
    ending = re.search(_ENDING, name)
    if ending is None:
        return name
    from pixseek.images.formats import EXTENSIONS

    return name[: ending.start()] if f".{ending[1].lower()}" in EXTENSIONS else name


def _plain(character: str) -> str:
    """Return a letter or mark as it is, a digit of any script as one of ASCII, else a space."""
    category = unicodedata.category(character)
    if category == "Nd":
        return str(unicodedata.decimal(character))
    return character if category[0] in "LMN" or character == _JOINED else " "


def _spelled(emojis: re.Match[str]) -> str:
    """Return joined emoji as words of ASCII; no stemmer cuts digits from their ends."""
    each = ("x".join(str(ord(part)) for part in one) for one in emojis[0].split(_JOINER))
    return f" {_JOINED.join('emoji' + spelled for spelled in each)} "


def _joined_or_apart(word: str) -> str:
    """Return a name of letters and a number as it is, or as two words."""
    parts = re.fullmatch(_JOINED_NAME, word)
    return f"{word}{OR}{parts[1]} {parts[2]}" if parts else word


def _to_find(word: str) -> str:
    """Return a word of a query, without Korean particles."""
    if word.isascii():
        return _joined_or_apart(word)
    end = re.search(f"[{_HANGUL}](?: [{_HANGUL}])*$", word)
    if end is None:
        return word
    stem = _stem(end[0])
    if len(stem) > 1 or end.start() > 0:
        return word[: end.start()] + " ".join(stem)
    return _whole(stem) if len(end[0]) == 1 else f"{_whole(stem)}{OR}{word}"


def _stem(syllables: str) -> str:
    """Return a Korean word, of syllables with spaces between, without its particles."""
    stem = syllables.replace(" ", "")
    for _ in range(3):
        shorter = next(filter(None, (_cut(stem, ending) for ending in _endings())), "")
        if not shorter:
            break
        stem = shorter
    return stem


def _endings() -> tuple[str, ...]:
    return (*_AFTER_ANY, *_AFTER_CONSONANT[::-1], *_AFTER_VOWEL)


def _cut(word: str, ending: str) -> str:
    """Return a word without a particle that it ends with; "" if that is not one here."""
    if not word.endswith(ending) or len(word) == len(ending):
        return ""
    stem = word[: -len(ending)]
    final = (ord(stem[-1]) - ord("가")) % 28  # which consonant the syllable ends with; 0 for none
    fits = (
        ending in _AFTER_ANY
        or (ending in _AFTER_VOWEL and (final == 0 or (ending == "로" and final == 8)))
        or (ending in _AFTER_CONSONANT and final > 0)
    )
    return stem if fits and (len(stem) > 1 or ending in _AFTER_SYLLABLE) else ""


def _whole(syllable: str) -> str:
    return f"k{syllable}"
