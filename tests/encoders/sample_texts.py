"""Texts of many kinds, for comparing two ways of embedding them."""

from __future__ import annotations

import random
import string

_WRITTEN = [
    "",
    " ",
    "\n",
    "a",
    "dog",
    "DOG",
    "a photo of a dog",
    "A Photo Of A Dog.",
    "a   photo\tof\n\na dog  ",
    "a red dog, a blue car; and the beach!",
    "3 dogs, 12 cats & 1,000.50 mice!?",
    "0123456789 007 3.14159 1e-9 -5 50%",
    "2019-07-14T12:30:00Z",
    "¿dónde está la playa? «aquí» — allí…",
    "don't we've I'll it's they're I'd I'm",
    "hello...world!!! (really) [no] {yes} <b>bold</b> #tag @you a_b",
    "a-b_c.d/e\\f|g~h`i^j$k%l",
    "naïve café déjà vu Ångström",
    "cafe\u0301 A\u030angstro\u0308m",
    "ein großer Hund läuft über die STRASSE",
    "собака бежит по пляжу, СОБАКА",
    "ένας σκύλος τρέχει ΣΑΣ ΟΔΥΣΣΕΥΣ ΑΣ'Α",
    "一只狗在沙滩上奔跑",
    "一隻狗，在沙灘上。奔跑！",
    "海辺を走る犬 カタカナ ひらがな",
    "해변을 달리는 개",
    "كلب يجري على الشاطئ",
    "כלב רץ על החוף",
    "คนขี่จักรยาน",
    "समुद्र तट पर कुत्ता",
    "İstanbul'da ıssız",
    "🐕🏖️ 👩‍👩‍👧‍👦 🇩🇪 ❤️",
    "\u202ea dog\u202c \u200b\u200dzero\u2060width",
    "tom &amp; jerry &lt;3 &amp;amp; &eacute; &#39;x&#x27; &nbsp;&hellip; &bogus; AT&T &copy",
    "²³½ ⅓ Ⅳ ١٢٣ 四",
    "• § © ® ™ € £ ¥ ° ± × ÷",
    "a\u00a0b\u2003c\u3000d\x1ce\x85f",
    "'s's'S 'RE n't",
    "it’s a “dog” ‘here’ „da‟",
    "ﬁne ﬂower ﬃ ǆ ŉ ĳ",
    "ＡＢＣ　１２３ ｶﾀｶﾅ ｶﾞﾊﾟ",
    "a\x00b\x07c\x7fd\ufeff",
    "\x1b[31mred\x1b[0m dog",
    "<|endoftext|> </s> [SEP] <pad>",
    "https://example.com/a?b=c&d=e#f",
    "IMG_20190714_123000.JPG",
    "a" * 500,
    "a " * 74 + "dog cat car",
    "a " * 75 + "dog cat car",
    "a " * 76 + "dog cat car",
    "a red dog on the beach " * 40,
    "一只狗" * 60,
    "🐕" * 100,
    "?!" * 100,
]

_WORDS = (
    "a the red blue dog cat car beach on in two small old photo of woman man child street night "
    "snow bicycle tree über façade собака пляж 犬 海 海滩 狗 คน 개 كلب 12 2019 f/2.8 ISO-400 "
    ":) & — 🐕"
).split()


def texts(n: int = 200) -> list[str]:
    """Return n different texts, the same ones in every run: written ones, then random ones."""
    chosen = random.Random(5)
    found = dict.fromkeys(_WRITTEN)
    while len(found) < n:
        words = chosen.choices(_WORDS, k=chosen.choice([1, 2, 3, 5, 8, 13, 90]))
        case = chosen.choice([str, str.upper, str.title])
        end = chosen.choice(["", ".", "!", "\n", *string.punctuation])
        found[case(chosen.choice([" ", " ", " ", ", ", "\n", ""]).join(words)) + end] = None
    return list(found)[:n]
