"""Which model a library uses, and what belongs to it besides its towers.

It is remembered by the embedding space, in the ledger. So when a library changes from one space to
another, every process takes the other model with it, at its next search; and a space that is kept
knows its model when it serves again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pixseek import encoders
from pixseek.config import Config
from pixseek.encoders.paired import PairedEncoder
from pixseek.errors import ModelError
from pixseek.search import background
from pixseek.storage.ledger import Ledger

if TYPE_CHECKING:
    from pixseek.types import Encoder, Space

#: Settings of the ledger: the model of the first space, and the choices by fingerprint.
MODEL, CHOICES = "model", "models"

#: Two text towers are of one space if their vectors of the bank's captions have at least this mean
#: cosine, both centred. For towers of different spaces it is 0 give or take .01; one that was
#: distilled from another comes near 1.
AGREEMENT = 0.3


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """A model, by its name or folder.

    Attributes:
        model: whose image tower is used.
        texts: the model whose text tower is used; "" for that of `model`.
    """

    model: str
    texts: str = ""

    def load(
        self, config: Config, on_progress: Callable[[str, int, int | None], None] | None
    ) -> Encoder:
        """Return the encoder, downloading what is missing.

        Args:
            config: where models are, and how to run them.
            on_progress: told of a download.

        Raises:
            ModelError: a model is not to be had, or the two have vectors of different lengths.
        """

        def loaded(name: str) -> Encoder:
            return encoders.load(
                name,
                models_dir=config.models_dir,
                offline=config.offline,
                threads=config.threads,
                on_progress=on_progress,
                compiled=config.compile,
            )

        images = loaded(self.model)
        if not self.texts:
            return images
        return PairedEncoder(images, loaded(self.texts), name=images.name, note=images.note)

    def check_texts(
        self, config: Config, on_progress: Callable[[str, int, int | None], None] | None
    ) -> None:
        """Check that another model's text tower is of the space of the images.

        Its vectors of the bank's captions are compared with those of the images' own text tower.

        Raises:
            ModelError: it is of another space, or a model is not to be had.
        """
        if not self.texts:
            return
        own = ModelChoice(self.model).load(config, on_progress)
        pair = self.load(config, on_progress)  # this compares the lengths
        captions = self.bank(config.models_dir)
        found = agreement(own, pair, captions)
        if found < AGREEMENT:
            raise ModelError(
                "a text tower is not of the space of the library's images",
                f"{self.texts} and {own.name}: their vectors of {len(captions)} captions agree by "
                f"{found:.2f}, of 1",
                "Name one that was made for these images; for another space, change the whole "
                f"model: pixseek reindex --model {self.texts}",
            )

    def bank(self, models_dir: Path) -> list[str]:
        """Return the captions that are unrelated to anything, in the language of the texts.

        They are those in the folder of the text tower, else in that of the model, else those for
        photographs.
        """
        folders = (self.text_folder(models_dir), encoders.locate(self.model, models_dir))
        found = (_file(folder, background.BANK_FILE) for folder in folders)
        return background.bank(next((file for file in found if file is not None), None))

    def calibration(self, models_dir: Path) -> background.Calibration | None:
        """Return how sure a match of words is, where that was measured for this text tower."""
        file = _file(self.text_folder(models_dir), background.CALIBRATION_FILE)
        return None if file is None else background.calibration(file)

    def text_folder(self, models_dir: Path) -> Path | None:
        """Return the folder of the model whose text tower is used; None where it has none."""
        return encoders.locate(self.texts or self.model, models_dir)


def shown(name: str) -> str:
    """Return the name of a model, to show: of a folder its last part."""
    return Path(name).name


def agreement(one: Encoder, other: Encoder, captions: list[str]) -> float:
    """Return the mean cosine of what two encoders make of the same texts, both centred.

    In [-1, 1]. Centred, since all texts of one model share a large part.
    """
    import numpy as np

    rows = []
    for encoder in (one, other):
        vectors = encoder.encode_texts(captions)
        centred = vectors - vectors.mean(axis=0)
        lengths = np.linalg.norm(centred, axis=1, keepdims=True)
        rows.append(centred / np.maximum(lengths, 1e-9))
    return float((rows[0] * rows[1]).sum(axis=1).mean())


def chosen(ledger: Ledger, space: Space | None) -> ModelChoice | None:
    """Return the model that a library's ledger remembers for a space; None for none."""
    choices = ledger.setting(CHOICES) or {}
    if space is not None and space.fingerprint in choices:
        return ModelChoice(**choices[space.fingerprint])
    if space is not None and choices:
        # Another machine has changed the space of a library that they share.
        return ModelChoice(space.model)
    first = ledger.setting(MODEL)
    return None if first is None else ModelChoice(first)


def remember(ledger: Ledger, fingerprint: str, choice: ModelChoice) -> None:
    """Let a library's ledger remember the model of a space."""
    said = {"model": choice.model, "texts": choice.texts}
    ledger.set(CHOICES, {**(ledger.setting(CHOICES) or {}), fingerprint: said})


def forget(ledger: Ledger, fingerprint: str) -> None:
    """Forget the model of a space that is dropped."""
    choices = ledger.setting(CHOICES) or {}
    choices.pop(fingerprint, None)
    ledger.set(CHOICES, choices)


def _file(folder: Path | None, name: str) -> Path | None:
    file = None if folder is None else folder / name
    return file if file is not None and file.is_file() else None
