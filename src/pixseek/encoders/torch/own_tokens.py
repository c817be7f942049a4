"""Token ids from a family's own tokenizer, for models that come without a `tokenizer.json`.

Chinese-CLIP has only a list of words, and the first SigLIP a SentencePiece model. NLLB starts each
text with the code of its language (English by default), which its `tokenizer.json` may omit.
transformers handles all of these, and their towers need it anyway.
"""

from __future__ import annotations

from collections.abc import Sequence

from pixseek.encoders.inputs.tokens import TextRules, Tokens, clean
from pixseek.errors import ModelError


def tokens_of(rules: TextRules) -> Tokens:
    """Return the tokenizer of a model, from its `tokenizer.json` or from transformers.

    Raises:
        ModelError: it can't be read, or doesn't state its maximum length.
    """
    return (OwnTokens if rules.file.is_dir() else Tokens)(rules)


class OwnTokens(Tokens):
    """A tokenizer of transformers, with the interface of `Tokens`."""

    def __init__(self, rules: TextRules) -> None:
        """Read the tokenizer; `rules.file` is its folder.

        Raises:
            ModelError: it can't be read, or doesn't state its maximum length.
        """
        import transformers

        try:
            self._own = transformers.AutoTokenizer.from_pretrained(
                rules.file, local_files_only=True, trust_remote_code=False
            )
        except Exception as error:  # transformers raises many kinds
            raise ModelError(
                "a tokenizer can't be read",
                rules.file,
                f"It has no tokenizer.json, and transformers found no other ({error}).",
            ) from error
        if not rules.context:
            raise ModelError("a tokenizer doesn't state its maximum length", rules.file)
        self.context = rules.context
        pad = self._own.pad_token_id
        self.pad_id = 0 if pad is None else int(pad)
        self.causal = False
        self.batch_padded = True
        self._left, self._cleaning = rules.left, rules.cleaning

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the ids of each text, with special tokens, at most `context` of them."""
        cleaned = [
            clean(text.encode("utf-8", "replace").decode(), self._cleaning) for text in texts
        ]
        found = self._own(cleaned, truncation=True, max_length=self.context)["input_ids"]
        return [[int(each) for each in row] for row in found]

    def words(self, text: str) -> dict[str, bool]:
        """Return the words of a text, each with whether the vocabulary has it."""
        unknown = self._own.unk_token_id
        words = list(dict.fromkeys(text.split()))
        rows = self.ids(words) if words else []
        return {word: unknown not in row for word, row in zip(words, rows, strict=True)}

    def to_json(self) -> str:
        """Return the content of a `tokenizer.json`.

        Raises:
            ModelError: transformers runs it with a library that has another kind of file.
        """
        backend = getattr(self._own, "backend_tokenizer", None)
        if backend is None:
            raise ModelError(
                "a tokenizer can't be written as tokenizer.json",
                type(self._own).__name__,
                "Use the model with torch, or one that is published in an ONNX layout.",
            )
        return str(backend.to_str())
