"""Shared parts of the tests against reference implementations: texts, pictures, tokenizers, and
comparisons with their tolerances.

The tests need no hub. Models have the real architecture, but are small and randomly initialised.
Tokenizers are trained here on a few lines, with the kind and the settings of the real ones.
OpenAI's vocabulary is the real one, from the package open_clip.
"""

from __future__ import annotations

import gzip
import importlib.util
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pixseek import encoders
from pixseek.types import Encoder, Picture

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

SIDE = 64
TEXTS = [
    "a photo of a dog",
    "",
    " ",
    "A DOG   and a\tCat\n",
    "don't we've I'll it's they're I'd I'm",
    "3 dogs, 12 cats & 1,000.50 mice!?",
    "hello...world!!! (really) [no] {yes} <b>bold</b> #tag @you a_b",
    "naïve café déjà vu Ångström",
    "cafe\u0301 A\u030angstro\u0308m",
    "ein großer Hund läuft über die Straße",
    "собака бежит по пляжу",
    "ένας σκύλος τρέχει ΣΑΣ",
    "一只狗在沙滩上奔跑",
    "海辺を走る犬 カタカナ",
    "해변을 달리는 개",
    "كلب يجري على الشاطئ",
    "כלב רץ על החוף",
    "คนขี่จักรยาน",
    "समुद्र तट पर कुत्ता",
    "İstanbul'da ıssız",
    "🐕🏖️ 👩‍👩‍👧‍👦 🇩🇪 ❤️",
    "\u202ea dog\u202c \u200b\u200dzero\u2060width",
    "tom &amp; jerry &lt;3 &amp;amp; &eacute;",
    "a" * 500,
    "dog " * 2500,
    "x" * 10_000,
    "²³½ ⅓ Ⅳ ١٢٣ 四",
    "¡Olé! «quoted» — dash – … · • § ©",
    "a\u00a0b\u2003c\u3000d",
    "'s's'S 'RE n't",
    "a-b_c.d/e\\f|g~h`i^j$k%l",
]
#: Texts that only `ftfy` cleans up, of kinds that occur in queries; see tokens._plain_forms.
STRAIGHTENED = [
    "it’s a “dog” ‘here’",
    "ﬁne ﬂower ﬃ",
    "ＡＢＣ　１２３ ｶﾀｶﾅ",
    "a\x00b\x07c\x7fd",
    "\ufeffa dog",
    "\x1b[31mred\x1b[0m dog",
]
#: With control characters, which must give the ids of each family's own tokenizer too.
ALL_TEXTS = TEXTS + STRAIGHTENED


def _importable_torchvision() -> Any:
    """Make torchvision importable if its compiled part was not built for this torch.

    PyPI's torchvision is built for GPUs. Without its compiled part, its import fails at two
    operators of object detection, which nothing here uses, so they are declared here. Its
    transforms of Pillow images, which open_clip uses, need nothing compiled. The result must be
    kept alive.
    """
    if importlib.util.find_spec("torchvision") is None:
        return None
    try:
        import torchvision  # noqa: F401
    except RuntimeError:
        declared = torch.library.Library("torchvision", "FRAGMENT")
        for name in ("nms", "qnms"):
            declared.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        for name in [each for each in sys.modules if each.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
        return declared
    return None


_KEPT = _importable_torchvision()

#: The same for other processes, as their `sitecustomize`.
_SITECUSTOMIZE = """
import torch

kept = torch.library.Library("torchvision", "FRAGMENT")
for name in ("nms", "qnms"):
    kept.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
"""


def make_torchvision_importable(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make torchvision importable in processes that are started from now on."""
    if _KEPT is not None:
        (folder / "sitecustomize.py").write_text(_SITECUSTOMIZE)
        monkeypatch.setenv("PYTHONPATH", str(folder))


import transformers  # noqa: E402

# ------------------------------------------------------------------ pictures


def images() -> list[Image.Image]:
    random = np.random.default_rng(0)
    sizes = [(64, 64), (100, 75), (75, 100), (333, 90), (65, 64), (67, 64), (40, 51), (640, 427)]
    return [
        Image.fromarray(random.integers(0, 256, (h // 4 + 1, w // 4 + 1, 3), np.uint8)).resize(
            (w, h), Image.Resampling.BICUBIC
        )
        for w, h in sizes
    ]


def prepared(encoder: Encoder, pictures: Sequence[Image.Image]) -> np.ndarray:
    return np.stack([encoder.prepare(Picture(p, *p.size, "image/png")) for p in pictures])


def image_processor(name: str) -> Any:
    """Return the processor of Pillow images; the other kind needs torchvision."""
    return getattr(transformers, f"{name}Pil", None) or getattr(transformers, name)


# ------------------------------------------------------------------ tokenizers


def openai_vocabulary() -> Path:
    spec = importlib.util.find_spec("open_clip")
    found = spec and spec.origin and Path(spec.origin).with_name("bpe_simple_vocab_16e6.txt.gz")
    if not found or not found.is_file():
        pytest.skip("open_clip_torch, which carries the vocabulary, is not installed")
    return found


def clip_tokenizer() -> Any:
    """transformers' CLIPTokenizer with OpenAI's vocabulary."""
    lines = gzip.decompress(openai_vocabulary().read_bytes()).decode().split("\n")[1:48895]
    merges = [tuple(line.split()) for line in lines]
    letters = [chr(b) for b in [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]]
    letters += [chr(256 + n) for n in range(256 - len(letters))]
    words = [*letters, *(c + "</w>" for c in letters), *(a + b for a, b in merges)]
    words += ["<|startoftext|>", "<|endoftext|>"]
    return transformers.CLIPTokenizer(
        vocab={word: i for i, word in enumerate(words)}, merges=merges, model_max_length=77
    )


def sentencepiece_bpe(special: Sequence[str]) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """A vocabulary and merges of Gemma's kind (byte fallback, "▁" for spaces), trained here."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Lowercase(), normalizers.Replace(" ", "▁")]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")
    bytes_ = [f"<0x{byte:02X}>" for byte in range(256)]
    trainer = trainers.BpeTrainer(
        vocab_size=900, special_tokens=[*special, *bytes_], show_progress=False
    )
    tokenizer.train_from_iterator([each[:200] for each in TEXTS], trainer)
    model = json.loads(tokenizer.to_str())["model"]
    return model["vocab"], [tuple(pair) for pair in model["merges"]]


def gemma(**more: Any) -> Any:
    """SigLIP 2's tokenizer: Gemma's kind, an end token, lower case."""
    vocabulary, merges = sentencepiece_bpe(["<pad>", "<eos>", "<bos>", "<unk>", "<mask>"])
    return transformers.Siglip2Tokenizer(
        vocabulary, merges, add_bos_token=False, add_eos_token=True, **more
    )


def sentencepiece_unigram(path: Path, special: dict[str, int]) -> Path:
    """A SentencePiece model of the unigram kind, trained here by SentencePiece itself."""
    sentencepiece = pytest.importorskip("sentencepiece")
    lines = [each[:200] for each in TEXTS if each.strip()] * 4
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines),
        model_prefix=str(path.with_suffix("")),
        vocab_size=400,
        model_type="unigram",
        character_coverage=1.0,
        hard_vocab_limit=False,
        minloglevel=2,
        **special,
    )
    return path.with_suffix(".model")


def unigram(special: Sequence[str]) -> list[tuple[str, float]]:
    """Pieces with their scores, as XLM-R's tokenizer has them, trained here."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=500, unk_token="<unk>", show_progress=False)
    tokenizer.train_from_iterator([each[:200] for each in TEXTS], trainer)
    pieces = json.loads(tokenizer.to_str())["model"]["vocab"]
    return [(each, 0.0) for each in special] + [
        (piece, score) for piece, score in pieces if piece not in special
    ]


def word_pieces() -> list[str]:
    """A list of words of BERT's kind, trained here."""
    from tokenizers import BertWordPieceTokenizer

    tokenizer = BertWordPieceTokenizer(lowercase=True)
    tokenizer.train_from_iterator(
        [each[:200] for each in TEXTS], vocab_size=500, min_frequency=1, show_progress=False
    )
    return sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().__getitem__)


# ------------------------------------------------------------------ comparing


def loaded(folder: Path, **options: Any) -> Encoder:
    return encoders.load(folder, models_dir=folder.parent / "models", **options)


def vector(output: Any) -> Any:
    """Return the projected vectors, which transformers 5 wraps in an object."""
    return getattr(output, "pooler_output", output)


def agree(rows: np.ndarray, reference: Any, off: float = 1e-4) -> bool:
    """Return whether rows equal the reference's, by cosine and element by element."""
    wanted = torch.nn.functional.normalize(vector(reference)).numpy()
    assert rows.shape == wanted.shape and rows.dtype == np.float32
    # An untrained model's vectors are nearly equal, so a cosine alone would show few errors.
    assert (wanted @ wanted.T).min() < 0.998, "all vectors are alike: the test proves nothing"
    print(
        f"cosine {(rows * wanted).sum(1).min():.7f}, off by {abs(rows - wanted).max():.1e}, "
        f"least alike {(wanted @ wanted.T).min():.3f}"
    )
    return bool((rows * wanted).sum(1).min() >= 0.9999 and abs(rows - wanted).max() <= off)


def same_pixels(found: np.ndarray, wanted: np.ndarray, std: Iterable[float]) -> None:
    """Check that no pixel of (n, 3, height, width) is off by more than one level of 255."""
    assert found.shape == wanted.shape
    levels = abs(found - wanted) * np.array(list(std)).reshape(-1, 1, 1) * 255
    print(f"pixels off by at most {levels.max():.4f} levels of 255, {levels.mean():.6f} on average")
    assert levels.max() <= 1 + 1e-4


def same_tokens(encoder: Any, reference: Callable[[str], Sequence[int]]) -> None:
    """Check that all texts, each at its own length, have the ids of the reference."""
    tokens = encoder._tokenizer()
    for text in ALL_TEXTS:
        (found,) = tokens.ids([text])
        assert found == list(map(int, reference(text))), repr(text[:60])


@torch.no_grad()
def wide(model: Any) -> Any:
    """Give a model larger weights than at the start of training, and return it.

    With initial weights all vectors are nearly equal, and errors wouldn't show.
    """
    torch.manual_seed(0)
    for weight in model.parameters():
        if weight.ndim > 1:
            weight.normal_(0, weight[0].numel() ** -0.5)
        elif weight.ndim == 1:
            weight.add_(torch.randn_like(weight) * 0.1)
    return model.eval()
