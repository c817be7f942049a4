from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers, processors

from pixseek.encoders.inputs.tokens import TextRules, Tokens
from pixseek.errors import ModelError

import tiny_models


@pytest.fixture(scope="module")
def openai(tmp_path_factory: pytest.TempPathFactory) -> Tokens:
    """A tokenizer from a vocabulary in OpenAI's form: 512 byte tokens, 7 merges, start and end."""
    path = tmp_path_factory.mktemp("openai") / "bpe.txt.gz"
    tiny_models.openai_vocabulary(path)
    return Tokens(TextRules(path, 77, "open_clip", pad=0))


RED, DOG, THE = 512 + 1, 512 + 3, 512 + 5
START, END = 512 + 7, 512 + 8


def byte(letter: str, *, last: bool = False) -> int:
    """Return the id of an ASCII letter; those of '!' to '~' come first in OpenAI's order."""
    return ord(letter) - ord("!") + 256 * last


def test_merges_and_special_tokens(openai: Tokens) -> None:
    assert openai.ids(["the red dog"]) == [[START, THE, RED, DOG, END]]
    assert openai.ids([""]) == [[START, END]]
    assert openai.ids(["cat"]) == [[START, byte("c"), byte("a"), byte("t", last=True), END]]


def test_words_are_split_as_in_training(openai: Tokens) -> None:
    apostrophe, s, four, two = (
        byte("'"),
        byte("s", last=True),
        *(byte(c, last=True) for c in "42"),
    )
    assert openai.ids(["dog's"]) == [[START, DOG, apostrophe, s, END]]
    assert openai.ids(["42"]) == [[START, four, two, END]], "each digit is a word"
    bang = byte("!", last=True)
    assert openai.ids(["red!dog"]) == [[START, RED, bang, DOG, END]]


@pytest.mark.parametrize(
    "text",
    [
        "The  RED\n\tdog ",
        "the red&nbsp;dog",
        "the &amp;nbsp; red dog",
        "ｔｈｅ ｒｅｄ\u3000ｄｏｇ",
        "the \x1b[31mred\x1b[0m dog",
        "\ufeffthe red\x00 dog",
    ],
)
def test_texts_are_cleaned_as_in_training(openai: Tokens, text: str) -> None:
    assert openai.ids([text]) == [[START, THE, RED, DOG, END]]


def test_curly_quotes_become_straight(openai: Tokens) -> None:
    assert openai.ids(["dog’s “red”"]) == openai.ids(['dog\'s "red"'])


@given(st.text(max_size=200))
def test_any_text_gives_start_bytes_and_end(openai: Tokens, text: str) -> None:
    (ids,) = openai.ids([text])
    assert ids[0] == START and ids[-1] == END
    assert 2 <= len(ids) <= 77
    assert all(0 <= i < START for i in ids[1:-1]) or "_of_text>" in text


def test_the_end_token_stays_last_in_a_truncated_text(openai: Tokens) -> None:
    for words in (74, 75, 76, 10_000):
        (ids,) = openai.ids(["red " * words])
        assert ids == [START, *[RED] * min(words, 75), END]


def test_shorter_texts_are_padded_on_the_right(openai: Tokens) -> None:
    ids, mask = openai.padded(["red", "the red dog"])
    assert ids.tolist() == [[START, RED, END, 0, 0], [START, THE, RED, DOG, END]]
    assert mask.tolist() == [[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]]
    ids, mask = openai.padded(["red"], 77)
    assert ids.shape == mask.shape == (1, 77) and mask.sum() == 3
    assert ids.dtype == mask.dtype == "int64"


def test_rules_replace_the_padding_and_truncation_of_a_tokenizer_json(tmp_path: Path) -> None:
    """Some models' files have other settings than the model needs."""
    vocabulary = {"a": 0, "b": 1, "<|startoftext|>": 2, "<|endoftext|>": 3}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="a"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.add_special_tokens([AddedToken(t) for t in ("<|startoftext|>", "<|endoftext|>")])
    tokenizer.post_processor = processors.RobertaProcessing(
        ("<|endoftext|>", 3), ("<|startoftext|>", 2), add_prefix_space=False
    )
    tokenizer.enable_padding(length=9, pad_id=0)
    tokenizer.enable_truncation(4)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    tokens = Tokens(TextRules(tmp_path / "tokenizer.json", 6, pad="<|endoftext|>"))
    assert tokens.causal and tokens.context == 6 and tokens.pad_id == 3
    assert tokens.ids(["b a", "b " * 50]) == [[2, 1, 0, 3], [2, 1, 1, 1, 1, 3]]
    assert tokens.padded(["b"], 6)[0].tolist() == [[2, 1, 3, 3, 3, 3]]
    # Without rules: the file's own truncation, or CLIP's context if it has none.
    assert Tokens(TextRules(tmp_path / "tokenizer.json")).context == 4
    tokenizer.no_truncation()
    tokenizer.no_padding()
    tokenizer.save(str(tmp_path / "bare.json"))
    assert Tokens(TextRules(tmp_path / "bare.json")).context == 77


def siglip(path: Path, pad: str, pad_id: int) -> Tokens:
    words = ["a", "b", "c"]
    words.insert(pad_id, pad)
    tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, "a"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(path))
    return Tokens(TextRules(path, 64, "lower", full=True))


@pytest.mark.parametrize(("pad", "pad_id"), [("<pad>", 0), ("<pad>", 1), ("[PAD]", 2)])
def test_siglip_reads_lower_case_and_has_its_own_padding(
    tmp_path: Path, pad: str, pad_id: int
) -> None:
    tokens = siglip(tmp_path / "tokenizer.json", pad, pad_id)
    assert tokens.pad_id == pad_id and not tokens.causal
    assert tokens.ids(["B  C"]) == tokens.ids(["b c"])
    ids, _ = tokens.padded(["B"], 64)
    assert ids.shape == (1, 64) and ids[0, 1:].tolist() == [pad_id] * 63


def test_canonical_texts_have_no_punctuation(tmp_path: Path) -> None:
    tiny_models.word_tokenizer(tmp_path / "tokenizer.json")
    tokens = Tokens(TextRules(tmp_path / "tokenizer.json", 12, "canonical"))
    assert tokens.ids(["A Red, DOG!  on_the (beach)."]) == tokens.ids(["a red dog on the beach"])


def test_texts_that_are_not_cleaned_keep_their_case(tmp_path: Path) -> None:
    tiny_models.word_tokenizer(tmp_path / "tokenizer.json")
    tokens = Tokens(TextRules(tmp_path / "tokenizer.json"))
    unknown = tiny_models.WORDS.index("[UNK]")
    assert tokens.ids(["RED"]) == [[2, unknown, 3]]
    assert tokens.batch_padded and tokens.context == 10 and tokens.pad_id == 0


def test_a_tokenizer_without_a_limit_raises_model_error(tmp_path: Path) -> None:
    tiny_models.word_tokenizer(tmp_path / "tokenizer.json", padding=False)
    with pytest.raises(ModelError, match=r"(?i)maximum length"):
        Tokens(TextRules(tmp_path / "tokenizer.json"))


def test_a_damaged_tokenizer_raises_model_error(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{")
    (tmp_path / "cut.txt.gz").write_bytes(gzip.compress(b"x" * 1000)[:-9])
    (tmp_path / "html.txt.gz").write_bytes(b"<!doctype html>")
    for name in ("tokenizer.json", "cut.txt.gz", "html.txt.gz", "missing.json"):
        with pytest.raises(ModelError, match=name):
            Tokens(TextRules(tmp_path / name, 77))
