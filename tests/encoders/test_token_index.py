"""A tokenizer that reads only a part of its vocabulary gives the same ids as with the whole."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tokenizers import (
    AddedToken,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

from pixseek import encoders
from pixseek.encoders.inputs import token_index
from pixseek.encoders.inputs.tokens import TextRules, Tokens, write_index
from pixseek.search import background

import tiny_models

WORDS = (
    "the red dog's lakeside runs, 42 cats... \N{DOG} d\u00e9j\u00e0 \u4e2d\u6587 <unk> a_b\n\n</s>"
)


def captions() -> list[str]:
    return background.bank(Path(background.__file__).with_name("background.txt"))


def clip() -> Tokenizer:
    """CLIP's, as written by transformers."""
    tokenizer = Tokenizer(
        models.BPE(unk_token="<|endoftext|>", end_of_word_suffix="</w>", fuse_unk=False)
    )
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=2000,
        end_of_word_suffix="</w>",
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=["<|startoftext|>", "<|endoftext|>"],
    )
    tokenizer.train_from_iterator(captions(), trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<|startoftext|> $A <|endoftext|>",
        special_tokens=[("<|startoftext|>", 0), ("<|endoftext|>", 1)],
    )
    return tokenizer


def gemma() -> Tokenizer:
    """Like SigLIP 2's: the text is one word, and unknown letters become bytes."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Replace(" ", "\u2581")
    tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    tokenizer.decoder = decoders.ByteFallback()
    trainer = trainers.BpeTrainer(
        vocab_size=3000,
        show_progress=False,
        max_token_length=16,
        special_tokens=["<pad>", "<eos>", "<unk>", *(f"<0x{n:02X}>" for n in range(256))],
    )
    tokenizer.train_from_iterator((line.replace(" ", "\u2581") for line in captions()), trainer)
    # One that was not in the vocabulary, and one that splits the text next to it.
    tokenizer.add_special_tokens(["<start_of_turn>"])
    tokenizer.add_tokens([AddedToken("\n\n", normalized=False), AddedToken("Dog", normalized=True)])
    return tokenizer


def llama() -> Tokenizer:
    """Like Llama 3's: words in the vocabulary are not merged, and nothing is unknown."""
    tokenizer = Tokenizer(models.BPE(ignore_merges=True))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    trainer = trainers.BpeTrainer(
        vocab_size=1500,
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=["[UNK]", "[PAD]"],
    )
    tokenizer.train_from_iterator(captions(), trainer)
    return tokenizer


def openai(file: Path) -> None:
    tiny_models.openai_vocabulary(file)


KINDS = {"clip": clip, "gemma": gemma, "llama": llama}


@pytest.fixture(autouse=True, scope="module")
def small_is_worth_it() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(token_index, "WORTH_IT", 0)
        yield


@pytest.fixture(scope="module", params=[*KINDS, "openai"])
def rules(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> TextRules:
    """A model's tokenizer, with its index in a folder next to it."""
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "openai":
        openai(folder / "bpe.txt.gz")
        made = TextRules(folder / "bpe.txt.gz", 77, "open_clip", pad=0)
    else:
        KINDS[request.param]().save(str(folder / "tokenizer.json"))
        made = TextRules(
            folder / "tokenizer.json", 64, "lower" if "llama" in str(folder) else "none"
        )
    assert write_index(made, folder / "cache")
    return made


def cache(rules: TextRules) -> Path:
    return rules.file.parent / "cache"


@settings(deadline=None, max_examples=50, suppress_health_check=list(HealthCheck))
@given(
    st.lists(
        st.one_of(
            st.text(max_size=60),
            st.lists(st.sampled_from(WORDS.split(" ")), max_size=12).map(" ".join),
            st.sampled_from(captions()),
        ),
        min_size=1,
        max_size=3,
    )
)
@example([""])
@example(["the dog " * 2000, "a red dog"])
@example(["x" * 30_000])
@example(["<|endoftext|> <start_of_turn>dog\n\n\nDog dog <unk> <0x0A> [UNK]"])
@example(["\x00\x1b\u202e \ud800 \U0010ffff"])
def test_any_text_has_the_same_ids(rules: TextRules, texts: list[str]) -> None:
    cut, whole = Tokens(rules, cache(rules)), Tokens(rules)
    assert (cut.context, cut.pad_id, cut.causal) == (whole.context, whole.pad_id, whole.causal)
    assert cut.batch_padded == whole.batch_padded
    for text in texts:
        assert cut.words(text) == whole.words(text)
    assert cut.ids(texts) == whole.ids(texts)


def test_captions_do_not_read_the_whole_vocabulary(
    rules: TextRules, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = [Tokens(rules).ids([text]) for text in captions()[:200]]
    monkeypatch.setattr(
        "pixseek.encoders.inputs.tokens.read", lambda file: pytest.fail(f"read {file}")
    )
    for text, ids in zip(captions(), wanted, strict=False):
        cut = Tokens(rules, cache(rules))
        assert cut.ids([text]) == ids
        assert len(cut._tokenizer.get_vocab()) < len(text) * 40 + 700


def settled() -> None:
    for thread in threading.enumerate():
        if thread.name == "pixseek-tokens":
            thread.join()


def test_the_second_call_makes_a_thread_read_the_whole_vocabulary(rules: TextRules) -> None:
    cut = Tokens(rules, cache(rules))
    first = cut.ids(["the dog"])
    assert cut._index is not None
    assert cut.ids(["the dog"]) == first
    settled()
    assert cut._index is None
    assert cut.ids(["the dog"]) == first
    assert json.loads(cut.to_json()) == json.loads(Tokens(rules).to_json())


def test_the_second_call_writes_a_missing_index(tmp_path: Path) -> None:
    clip().save(str(tmp_path / "tokenizer.json"))
    rules = TextRules(tmp_path / "tokenizer.json", 77)
    tokens = Tokens(rules, tmp_path / "cache")
    tokens.ids(["a dog"])
    assert not (tmp_path / "cache").exists(), "this may be the only search"
    tokens.ids(["a dog"])
    settled()
    assert Tokens(rules, tmp_path / "cache")._index is not None


def test_another_file_of_the_same_name_has_no_index(rules: TextRules, tmp_path: Path) -> None:
    stat = rules.file.stat()
    assert token_index.find(rules.file, cache(rules)) is not None
    os.utime(rules.file, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    assert token_index.find(rules.file, cache(rules)) is None
    os.utime(rules.file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert token_index.find(tmp_path / "gone.json", cache(rules)) is None


def broken(file: Path, how: str) -> None:
    if how == "empty":
        file.write_bytes(b"")
    elif how == "cut":
        file.write_bytes(file.read_bytes()[:5000])
    else:
        file.write_bytes(b"not a database" * 1000)


@pytest.mark.parametrize("how", ["empty", "cut", "other"])
@pytest.mark.parametrize("opened", [False, True])
def test_a_broken_index_is_ignored_and_rebuilt(tmp_path: Path, how: str, opened: bool) -> None:
    clip().save(str(tmp_path / "tokenizer.json"))
    rules = TextRules(tmp_path / "tokenizer.json", 77)
    wanted = Tokens(rules).ids(["a red dog"])
    assert write_index(rules, tmp_path / "cache")
    (file,) = (tmp_path / "cache").iterdir()
    if not opened:
        broken(file, how)
    tokens = Tokens(rules, tmp_path / "cache")
    if opened:
        broken(file, how)
    assert tokens.ids(["a red dog"]) == wanted
    # The next indexing rebuilds it; but an empty file marks a vocabulary without an index.
    again = Tokens(rules, tmp_path / "cache")
    assert again._index is None
    assert write_index(rules, tmp_path / "cache") == (opened or how != "empty")


def test_vocabularies_that_an_index_would_not_help_get_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "tokenizer.json"

    def writes(model: Any) -> bool:
        Tokenizer(model).save(str(file))
        return write_index(TextRules(file, 77), tmp_path / "cache")

    assert not writes(models.WordLevel({"a": 0, "[UNK]": 1}, unk_token="[UNK]"))
    assert not writes(models.BPE({"a": 0, "##a": 1}, [], continuing_subword_prefix="##"))
    assert not writes(models.BPE({"a": 0}, [], dropout=0.1))
    monkeypatch.setattr(token_index, "WORTH_IT", 3)
    assert not writes(models.BPE({"a": 0, "b": 1}, []))
    file.write_text("{")
    assert not write_index(TextRules(file, 77), tmp_path / "cache")
    assert not write_index(TextRules(file, 77), None)
    monkeypatch.setattr(token_index, "WORTH_IT", 0)
    assert writes(models.BPE({"a": 0}, []))


def test_a_vocabulary_without_an_index_is_not_read_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = TextRules(tmp_path / "tokenizer.json", 77)
    Tokenizer(models.WordLevel({"a": 0, "[UNK]": 1}, unk_token="[UNK]")).save(str(rules.file))
    assert not write_index(rules, tmp_path / "cache")
    monkeypatch.setattr(
        "pixseek.encoders.inputs.tokens.read", lambda file: pytest.fail(f"read {file}")
    )
    assert not write_index(rules, tmp_path / "cache")
    assert token_index.find(rules.file, tmp_path / "cache") is None


def test_texts_are_tokenized_if_no_index_can_be_written(tmp_path: Path) -> None:
    rules = TextRules(tmp_path / "tokenizer.json", 77)
    Tokenizer(models.BPE({"a": 0}, [])).save(str(rules.file))
    (tmp_path / "cache").write_text("a file where the folder should be")
    assert not write_index(rules, tmp_path / "cache")
    assert Tokens(rules, tmp_path / "cache").ids(["a"]) == [[0]]


def test_indexing_writes_the_index_and_a_search_reads_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny_models.rclip(tmp_path / "m")
    encoder = encoders.load(tmp_path / "m", models_dir=tmp_path / "models")
    wanted = encoder.encode_texts(["a red dog"])

    def images(n: int) -> Any:
        raise AssertionError("no sample is needed")

    encoder.accelerate("fp32", 10, images)  # type: ignore[attr-defined]
    monkeypatch.setattr(
        "pixseek.encoders.inputs.tokens.read", lambda file: pytest.fail(f"read {file}")
    )
    again = encoders.load(tmp_path / "m", models_dir=tmp_path / "models")
    assert (again.encode_texts(["a red dog"]) == wanted).all()
