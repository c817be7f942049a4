"""A model of the catalogue or the hub: where its files are, its licence, its figures."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pixseek.types import Likelihood
from pixseek.types.dataclass import dataclass

Runtime = Literal["onnx", "torch"]

#: Layouts that torch runs; all others are ONNX.
_TORCH = frozenset({"transformers", "open_clip", "sentence-transformers", "torch-classifier"})


#: Layouts of repositories that only the hub can tell: encoders, and classifiers.
ANY, ANY_CLASSIFIER = "", "classifier"


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file of a model on the hub.

    Attributes:
        path: relative to the repository, and to the model's folder once it is here.
        sha256: of its content, in hexadecimal; "" for small text files, which the pinned revision
            fixes as well.
        size: in bytes; 0 if unknown.
    """

    path: str
    sha256: str = ""
    size: int = 0


@dataclass(frozen=True, slots=True)
class Source:
    """Where a model is on the hub, in one layout.

    Attributes:
        repo: its repository.
        layout: one of `layouts.EXPECTED` or of `torch.EXPECTED`; it also says what runs the model.
            `ANY` or `ANY_CLASSIFIER` if only the hub knows.
        revision: the pinned commit; "" to take the newest, once.
        files: all files to fetch; empty to take those of the revision that the layout needs.
    """

    repo: str
    layout: str
    revision: str = ""
    files: tuple[RemoteFile, ...] = ()

    @property
    def runtime(self) -> Runtime:
        """What runs the model."""
        return "torch" if self.layout in _TORCH else "onnx"


@dataclass(frozen=True, slots=True)
class Model:
    """A model that has a name.

    Attributes:
        alias: its name; for a model that the catalogue does not list, its id on the hub.
        description: one sentence that says what it is good for.
        sources: where it is, best first; none for a model that comes with pixseek.
        licence: of the weights.
        dim: length of its vectors.
        input_side: side of the images it reads, in pixels; for a model that reads images in their
            own shape, that of a square image.
        context: the most tokens of text it reads.
        languages: languages of texts, for display.
        megabytes: size of the download, about; 0 if the files say it.
        quality: recall@1 from text to image in per cent, by benchmark, as published.
        quality_source: who published it.
        restricted: whether the licence forbids some uses, so that users must accept it.
        images: for a text tower alone, the alias of the model whose image tower it needs.
        note: what users must know before they trust its answers; "" for nothing.
        likelihood: how cosines become probabilities, for ONNX files, which do not say; None if it
            is not known for certain, and for torch models, whose weights have it.
        layout: of a model that comes with pixseek; "" for the others.
        folder: of a model that comes with pixseek; None for the others.
    """

    alias: str
    description: str
    sources: tuple[Source, ...]
    licence: str
    dim: int
    input_side: int
    context: int
    languages: str = "English"
    megabytes: int = 0
    quality: tuple[tuple[str, float], ...] = ()
    quality_source: str = ""
    restricted: bool = False
    images: str = ""
    note: str = ""
    likelihood: Likelihood | None = None
    layout: str = ""
    folder: Path | None = None

    @property
    def source(self) -> Source:
        """The source that is used."""
        return self.sources[0]

    @property
    def folder_name(self) -> str:
        """Name of its folder among the downloaded models."""
        return self.alias.replace("/", "--").replace(":", "-")

    @property
    def size(self) -> int:
        """Bytes to download, as far as known."""
        known = sum(file.size for file in self.source.files) if self.sources else 0
        return max(known, self.megabytes * 1_000_000)
