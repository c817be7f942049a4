"""The cleaning of texts within a tokenizer.json is that of pixseek."""

from __future__ import annotations

from typing import get_args

import pytest
from tokenizers import normalizers

from pixseek.encoders.inputs.cleaning import normalizers_of
from pixseek.encoders.inputs.tokens import Cleaning, clean

import sample_texts

MORE = [
    "&amp;lt; &#38;gt; &lt &#65 &#x41;&#X41 &#065; &nosuch; &notin; &not; &notx",
    "ΑΣ ΑΣ. ΑΣΑ Σ ΑΣ\u0301 Α\u0301Σ",
    "_ __a_ \u2028x\u2029y\u180e",
    "ŉ Ǆǅǆ ĳĲ ﬀﬁﬂﬃﬄﬅﬆ ʼ‚‛„‟",
]


@pytest.mark.parametrize("how", [each for each in get_args(Cleaning) if each != "lower"])
def test_normalizers_clean_as_pixseek_does(how: Cleaning) -> None:
    normalizer = normalizers.Sequence(normalizers_of(how))
    for text in [*sample_texts.texts(), *MORE]:
        assert normalizer.normalize_str(text) == clean(text, how), repr(text)
