"""Token ids from a family's own tokenizer, for models that come without a `tokenizer.json`.

Chinese-CLIP has a bare list of words, the first SigLIP a SentencePiece model, and NLLB begins a
text with the code of its language (English, where nothing else is said), which its `tokenizer.json`
may leave out: transformers knows all that, and is needed for their towers anyway.
"""

from __future__ import annotations

from collections.abc import Sequence

from pixseek.encoders.inputs.tokens import TextRules, Tokens, clean
from pixseek.errors import ModelError


def tokens_of(rules: TextRules) -> Tokens:
    """Return the tokenizer of a model, by its `tokenizer.json` or by transformers.

    Raises:
        ModelError: it can't be read, or does not say what is needed.
    """
    return (OwnTokens if rules.file.is_dir() else Tokens)(rules)


class OwnTokens(Tokens):
    """A tokenizer of transformers, behind the interface of `Tokens`."""

    def __init__(self, rules: TextRules) -> None:
        """Read the tokenizer; `rules.file` is the folder it is in.

        Raises:
            ModelError: it can't be read, or does not say what is needed.
        """
        import transformers

        try:
            self._own = transformers.AutoTokenizer.from_pretrained(
                rules.file, local_files_only=True, trust_remote_code=False
            )
        except Exception as error:  # it raises all kinds
            raise ModelError(
                "a tokenizer can't be read",
                rules.file,
                f"A tokenizer.json is missing, and transformers could read no other ({error}).",
            ) from error
        if not rules.context:
            raise ModelError("a tokenizer does not say how much text it may read", rules.file)
        self.context = rules.context
        pad = self._own.pad_token_id
        self.pad_id = 0 if pad is None else int(pad)
        self.causal = False
        self.batch_padded = True
        self._left, self._cleaning = rules.left, rules.cleaning

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the ids of each text, special tokens included, `context` of them at most."""
        cleaned = [
            clean(text.encode("utf-8", "replace").decode(), self._cleaning) for text in texts
        ]
        found = self._own(cleaned, truncation=True, max_length=self.context)["input_ids"]
        return [[int(each) for each in row] for row in found]

    def words(self, text: str) -> dict[str, bool]:
        """Return the words of a text, and of each whether the vocabulary has it."""
        unknown = self._own.unk_token_id
        words = list(dict.fromkeys(text.split()))
        rows = self.ids(words) if words else []
        return {word: unknown not in row for word, row in zip(words, rows, strict=True)}

    def to_json(self) -> str:
        """Return what a `tokenizer.json` would hold.

        Raises:
            ModelError: transformers runs it by a library whose files are of another kind.
        """
        backend = getattr(self._own, "backend_tokenizer", None)
        if backend is None:
            raise ModelError(
                "a tokenizer can't be written as tokenizer.json",
                type(self._own).__name__,
                "Use the model with torch, or one that is published in an ONNX layout.",
            )
        return str(backend.to_str())
