"""Turn texts into the token ids that a text tower reads.

The rules differ between families, and a wrong one gives worse results without any error. CLIP
keeps its end-of-text token last when it truncates. SigLIP reads only lower case and pools the last
of exactly 64 positions, so its texts must be padded to 64. OpenAI's vocabulary needs the same
cleaning of the text as in training.
"""

from __future__ import annotations

import contextlib
import re
import threading
import unicodedata
from collections.abc import Sequence
from functools import lru_cache, partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from pixseek.encoders.inputs import token_index
from pixseek.errors import ModelError
from pixseek.types.dataclass import dataclass

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Ids = NDArray[np.int64]

#: How a text is cleaned before it is split: "none"; "lower", the lower case of the tokenizers
#: library (SigLIP in transformers); and three of open_clip: "whitespace" before Hugging Face's
#: tokenizers, "canonical" (lower case, no punctuation) before SigLIP's, and "open_clip" (lower
#: case) before OpenAI's vocabulary.
Cleaning = Literal["none", "lower", "whitespace", "canonical", "open_clip"]

CLIP_CONTEXT = 77


@dataclass(frozen=True, slots=True)
class TextRules:
    """How texts are tokenized for a model.

    Attributes:
        file: a `tokenizer.json`, or OpenAI's `bpe_simple_vocab_16e6.txt.gz`.
        context: maximum number of tokens; None for the tokenizer's own.
        cleaning: see `Cleaning`.
        pad: id or text of the padding token; None for the tokenizer's own.
        full: whether every text must be padded to the whole context, because the model pools by
            position.
        left: whether to pad on the left.
    """

    file: Path
    context: int | None = None
    cleaning: Cleaning = "none"
    pad: int | str | None = None
    full: bool = False
    left: bool = False


class Tokens:
    """A tokenizer that follows a model's rules.

    Attributes:
        context: maximum number of tokens in a text.
        pad_id: id of the padding token.
        causal: whether it is CLIP's, whose tower only looks back and reads the end-of-text token,
            so tokens after that one don't matter.
        batch_padded: whether the tokenizer's own file pads to the longest text of a batch.
    """

    def __init__(self, rules: TextRules, cache: Path | None = None) -> None:
        """Read the tokenizer.

        Args:
            rules: the model's rules.
            cache: folder of vocabularies on disk (`token_index`). With one, the first call reads
                only the tokens that its texts need, and the second starts reading the whole
                vocabulary in a thread. None to read the whole at once.

        Raises:
            ModelError: it can't be read, or doesn't state its maximum length.
        """
        self._rules, self._cache = rules, cache
        self._lock = threading.Lock()
        self._calls = 0
        index = token_index.find(rules.file, cache) if cache else None
        if index and isinstance(rules.pad, str) and index.tokenizer.token_to_id(rules.pad) is None:
            index = None  # only the whole vocabulary has its id
        self._index = index
        tokenizer = index.tokenizer if index else read(rules.file)
        padding: dict[str, Any] = tokenizer.padding or {}
        truncation: dict[str, Any] = tokenizer.truncation or {}
        ends = [tokenizer.token_to_id(t) for t in ("<|endoftext|>", "<end_of_text>")]
        self.causal = any(end is not None for end in ends)
        self.batch_padded = bool(padding) and padding.get("length") is None
        context = rules.context or truncation.get("max_length") or padding.get("length")
        if not context and self.causal:
            context = CLIP_CONTEXT
        if not context:
            raise ModelError("a tokenizer doesn't state its maximum length", rules.file)
        self.context: int = context
        self.pad_id = _pad_id(tokenizer, rules.pad, padding)
        if not 0 < self.context < 2**20 or not -(2**31) <= self.pad_id < 2**31:
            raise ModelError(
                "a tokenizer's settings can't be used",
                f"{rules.file}: {self.context} tokens a text, padding {self.pad_id}",
                "Download the model again.",
            )
        self._cleaning = rules.cleaning
        self._left = rules.left
        self._tokenizer = self._ruled(tokenizer)

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the ids of each text, with special tokens, at most `context` of them."""
        # Lone surrogates, from file names and broken JSON, can't be encoded.
        cleaned = [
            clean(text.encode("utf-8", "replace").decode(), self._cleaning) for text in texts
        ]
        with self._lock:
            self._calls += 1
            if self._calls == 2 and self._cache:
                threading.Thread(target=self._settle, name="pixseek-tokens").start()
        return [list(each.ids) for each in self._encoded(cleaned)]

    def to_json(self) -> str:
        """Return the content of a `tokenizer.json`; of the cleaning it contains only "lower"."""
        self._take_all()
        return str(self._tokenizer.to_str())

    def words(self, text: str) -> dict[str, bool]:
        """Return the words of a text, each with whether the vocabulary has it.

        A vocabulary of bytes has every word; it may give words in pieces.
        """
        unknown = self._tokenizer.token_to_id("[UNK]")
        if unknown is None:
            unknown = self._tokenizer.token_to_id("<unk>")
        cleaned = clean(text.encode("utf-8", "replace").decode(), self._cleaning)
        (found,) = self._encoded([cleaned])
        return {
            cleaned[start:end].strip(): each != unknown
            for each, (start, end), special in zip(
                found.ids, found.offsets, found.special_tokens_mask, strict=True
            )
            # An unknown word may itself be marked as a special token.
            if cleaned[start:end].strip() and (each == unknown or not special)
        }

    def padded(self, texts: Sequence[str], length: int | None = None) -> tuple[Ids, Ids]:
        """Return padded ids and their mask, each (n, length) int64.

        Args:
            texts: at least one.
            length: length to pad to; None for that of the longest text.
        """
        import numpy as np

        rows = self.ids(texts)
        # At least one position: some tokenizers give an empty text no token at all.
        width = length or max([1, *map(len, rows)])
        ids = np.full((len(rows), width), self.pad_id, np.int64)
        mask = np.zeros((len(rows), width), np.int64)
        for i, row in enumerate(rows):
            start = width - len(row) if self._left else 0
            ids[i, start : start + len(row)] = row
            mask[i, start : start + len(row)] = 1
        return ids, mask

    def _ruled(self, tokenizer: Any) -> Any:
        """Return a tokenizer set up by the rules."""
        from tokenizers import normalizers

        tokenizer.no_padding()
        tokenizer.enable_truncation(self.context)
        if self._cleaning == "lower":
            # Not Python's lower(): it treats a Greek sigma by its neighbours, the reference
            # doesn't.
            own = [tokenizer.normalizer] if tokenizer.normalizer else []
            tokenizer.normalizer = normalizers.Sequence([normalizers.Lowercase(), *own])
        return tokenizer

    def _encoded(self, cleaned: Sequence[str]) -> Sequence[Any]:
        """Return a `tokenizers.Encoding` for each text."""
        with self._lock:
            if self._index is not None:
                model = self._index.model(self._tokenizer, cleaned)
                if model is not None:
                    self._tokenizer.model = model
                    return cast("Sequence[Any]", self._tokenizer.encode_batch(cleaned))
        self._take_all()
        return cast("Sequence[Any]", self._tokenizer.encode_batch(cleaned))

    def _take_all(self) -> None:
        """Read the whole vocabulary, if only an index is open.

        Raises:
            ModelError: it can't be read.
        """
        if self._index is not None:
            whole = self._ruled(read(self._rules.file))
            with self._lock:
                self._index, self._tokenizer = None, whole

    def _settle(self) -> None:
        """Prepare for many calls and for the next process; runs in a thread."""
        with contextlib.suppress(ModelError):  # the index works too
            indexed = self._index is not None
            self._take_all()
            if not indexed:
                write_index(self._rules, self._cache)


def read(file: Path) -> Any:
    """Return the `tokenizers.Tokenizer` in a file.

    Raises:
        ModelError: it can't be read.
    """
    from tokenizers import Tokenizer

    try:
        return _from_vocabulary(file) if file.suffix == ".gz" else Tokenizer.from_file(str(file))
    except Exception as error:  # tokenizers raises bare Exceptions
        raise ModelError(
            "a tokenizer can't be read", file, f"It may be damaged ({error})."
        ) from error


def write_index(rules: TextRules, cache: Path | None) -> bool:
    """Write the vocabulary for later processes, if useful and possible; return whether it did."""
    if cache is None:
        return False
    with contextlib.suppress(ModelError):  # raised when the tokenizer is used
        return token_index.write(rules.file, cache, partial(read, rules.file))
    return False


def _pad_id(tokenizer: Any, pad: int | str | None, padding: dict[str, Any]) -> int:
    if isinstance(pad, int):
        return pad
    names = [pad] if pad else []
    if padding and not names:
        return int(padding["pad_id"])
    for name in (*names, "<pad>", "[PAD]", "<|endoftext|>"):
        found = tokenizer.token_to_id(name)
        if found is not None:
            return int(found)
    return 0


# ------------------------------------------------------------------ cleaning

#: ASCII punctuation.
PUNCTUATION = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
_NO_PUNCTUATION = str.maketrans("", "", PUNCTUATION)

#: Terminal escapes, and control characters other than white space, which ftfy drops too.
CONTROL = r"\x1b\[(?:\d|;)*[a-zA-Z]|[\x00-\x08\x0e-\x1b\x7f\u206a-\u206f\ufeff\ufff9-\ufffc]"


def clean(text: str, how: Cleaning) -> str:
    """Return a text cleaned for `Tokens`; "lower" alone is left to the tokenizer."""
    if how in ("none", "lower"):
        return text
    import html

    text = unicodedata.normalize("NFC", re.sub(CONTROL, "", text).translate(plain_forms()))
    text = html.unescape(html.unescape(text))
    if how == "canonical":
        text = text.replace("_", " ").translate(_NO_PUNCTUATION)
    text = " ".join(text.split())
    return text if how == "whitespace" else text.lower()


@lru_cache(1)
def plain_forms() -> dict[int, str]:
    """Return the plain forms of curly quotes, Latin ligatures, and half and full widths.

    Together with NFC this is the part of `ftfy.fix_text`, which open_clip runs first, that affects
    people's queries. It omits ftfy's repair of wrongly decoded text.
    """
    plain = dict.fromkeys(map(ord, "‘’‚‛ʼ"), "'") | dict.fromkeys(map(ord, "“”„‟"), '"')
    forms = [0x3000, *range(0xFF01, 0xFFEF), *range(0xFB00, 0xFB07), 0x132, 0x133]
    forms += range(0x1C4, 0x1CD)
    forms += range(0x1F1, 0x1F4)
    plain[0x149] = "'n"
    return plain | {c: unicodedata.normalize("NFKC", chr(c)) for c in forms}


# ------------------------------------------------------------------ OpenAI's vocabulary

#: CLIP's vocabulary: 256 bytes, the same as ends of words, merges, two special tokens
#: (https://github.com/openai/CLIP/blob/main/clip/simple_tokenizer.py).
_MERGES = 49152 - 256 - 2
_WORDS = r"'s|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+"


def _from_vocabulary(file: Path) -> Any:
    """Return CLIP's tokenizer (a tokenizers.Tokenizer), from OpenAI's list of merges.

    CLIP uses only the first fifth of that list.
    """
    import gzip

    from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers
    from tokenizers.processors import TemplateProcessing

    with gzip.open(file, "rt", encoding="utf-8", newline="\n") as lines:
        merges = [(a, b) for a, b in map(str.split, islice(lines, 1, _MERGES + 1))]
    # The order of GPT-2's bytes_to_unicode: printable bytes first, then the rest as 256 and up.
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    letters = [chr(b) for b in printable] + [chr(256 + n) for n in range(256 - len(printable))]
    start, end = "<start_of_text>", "<end_of_text>"
    words = [*letters, *(f"{c}</w>" for c in letters), *(a + b for a, b in merges), start, end]
    tokenizer = Tokenizer(
        models.BPE(
            vocab={word: i for i, word in enumerate(words)},
            merges=merges,
            end_of_word_suffix="</w>",
        )
    )
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_WORDS), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    ids = [(start, len(words) - 2), (end, len(words) - 1)]
    tokenizer.post_processor = TemplateProcessing(
        single=f"{start} $A {end}", pair=None, special_tokens=ids
    )
    tokenizer.add_special_tokens([AddedToken(t, special=True) for t, _ in ids])
    return tokenizer
