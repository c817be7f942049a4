"""The models that have a name here, as data.

The pins (revisions and SHA-256) were found in public repositories that download the same files,
not taken from the hub itself. They are checked after every download, so a wrong one is an error
and never a wrong model.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file of a model on the hub.

    Attributes:
        path: below the repository's root, and below the model's folder once it is here.
        sha256: of its content, in hexadecimal; "" for small text files, which the pinned revision
            fixes as well.
        size: in bytes; 0 where it is not known.
    """

    path: str
    sha256: str = ""
    size: int = 0


@dataclass(frozen=True, slots=True)
class Model:
    """A model that has a name here.

    Attributes:
        alias: its name.
        description: one sentence: what it is good for.
        repo: of the hub; "" for a model that comes with pixseek.
        revision: the pinned commit.
        files: all that is fetched.
        layout: one of `layouts.EXPECTED`; it also says what runs the model.
        licence: of the weights.
        dim: length of its vectors.
        input_side: of the images it reads, in pixels.
        context: the most tokens of text it reads.
        note: what users must know before they trust its answers; "" for nothing.
        folder: where a model that comes with pixseek lies; None for the others.
    """

    alias: str
    description: str
    repo: str
    revision: str
    files: tuple[RemoteFile, ...]
    layout: str
    licence: str
    dim: int
    input_side: int
    context: int
    note: str = ""
    folder: Path | None = None

    @property
    def size(self) -> int:
        """Bytes to download, as far as they are known."""
        return sum(file.size for file in self.files)


DEFAULT = "clip-b32-datacomp"

CATALOGUE = (
    Model(
        alias=DEFAULT,
        description="CLIP ViT-B/32 at 256 pixels, trained on DataComp: fast, for photographs.",
        repo="yurijmikhalevich/rclip-models",
        revision="17b9d07433aad73f70d338d8a1c7a4cef83887e0",
        files=(
            RemoteFile(
                "ViT-B-32-256-datacomp_s34b_b86k/visual.onnx",
                "3f7e6f94e5a34bc7ee8aba84aec0f963f56974ab405fbcd334c8e1c3f832bd2c",
                351_826_068,
            ),
            RemoteFile(
                "ViT-B-32-256-datacomp_s34b_b86k/textual.onnx",
                "ee267cd64f0f77362670ae0140476ed51ee8c5a761d41636e09997f2fdddcacc",
                254_344_274,
            ),
            RemoteFile(
                "tokenizer/bpe_simple_vocab_16e6.txt.gz",
                "924691ac288e54409236115652ad4aa250f48203de50a9e4722a6ecd48d6804a",
                1_356_917,
            ),
        ),
        layout="rclip",
        licence="MIT",
        dim=512,
        input_side=256,
        context=77,
    ),
    Model(
        alias="clip-b32-openai",
        description="The original CLIP ViT-B/32 of OpenAI, for photographs.",
        repo="Xenova/clip-vit-base-patch32",
        revision="d15189d7028b43f1d3e65039190477f6af591c2a",
        files=(
            RemoteFile(
                "onnx/vision_model.onnx",
                "fd6e1402a588279d1723c7534d4bcba5bc0b14b47dfab0e46f8c47b8270d7d40",
                351_685_709,
            ),
            RemoteFile(
                "onnx/text_model.onnx",
                "3f6571f5bad13a97c469c1622e1cfc4d9aef78b79fdbfcff804ca357bfada8cc",
                254_058_553,
            ),
            RemoteFile(
                "tokenizer.json",
                "f7f3b7af117d467b58374797691a6438d3e6b9e9cef800dfd5dced7f697a90cd",
                2_224_119,
            ),
            RemoteFile("config.json"),
            RemoteFile("preprocessor_config.json"),
        ),
        layout="xenova",
        licence="MIT",
        dim=512,
        input_side=224,
        context=77,
    ),
    Model(
        alias="demo",
        description="A tiny model that comes with pixseek, to try it without a download.",
        repo="",
        revision="",
        files=(),
        layout="immich",
        licence="Apache-2.0",
        dim=128,
        input_side=64,
        context=64,
        note="The demo model knows drawn scenes only, not photographs.",
        folder=Path(__file__).parents[1] / "demo" / "model",
    ),
)


def find(alias: str) -> Model | None:
    """Return the model of this name; None where there is none."""
    return next((model for model in CATALOGUE if model.alias == alias), None)
