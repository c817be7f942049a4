"""Which model a library has, by its ledger, and by what other machines chose for its engine."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pixseek import encoders
from pixseek.config import Config
from pixseek.encoders.hub import catalogue
from pixseek.encoders.paired import PairedEncoder, check_agreement
from pixseek.engines.rules import NAMED
from pixseek.errors import ModelError
from pixseek.search import background
from pixseek.storage.ledger import Ledger
from pixseek.types import Engine, Space
from pixseek.types.dataclass import dataclass

if TYPE_CHECKING:
    from pixseek.library.opened import Opened
    from pixseek.types import Encoder

#: Settings of the ledger: the model of the first space, and the choices by fingerprint.
MODEL, CHOICES = "model", "models"

#: The kind of texts that an engine keeps of text towers, by the fingerprint of the space; and the
#: text for the tower of the images' own model.
TEXTS, OWN_TEXTS = "text_model", "none"


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
            on_progress: called during a download.

        Raises:
            ModelError: a model is unavailable, or the two have vectors of different lengths.
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
            ModelError: it is of another space, or a model is unavailable.
        """
        if not self.texts:
            return
        own = ModelChoice(self.model).load(config, on_progress)
        pair = self.load(config, on_progress)  # this compares the lengths
        captions = self.texts_beside(config.models_dir).bank
        check_agreement(own, pair, self.texts, captions)

    def texts_beside(self, models_dir: Path) -> TextFiles:
        """Return the files next to the text tower for judging its scores."""
        folder = _folder(self.texts or self.model, models_dir)
        bank = background.bank_beside(folder)
        if bank is None and self.texts:
            bank = background.bank_beside(_folder(self.model, models_dir))
        return TextFiles(
            folder,
            background.bank() if bank is None else bank,
            background.calibration_beside(folder),
        )


@dataclass(frozen=True, slots=True)
class TextFiles:
    """Files next to a text tower for judging its scores.

    Attributes:
        folder: of the model whose text tower is used; None if it has none.
        bank: captions that are unrelated to anything, in the language of the texts: those in the
            folder of the text tower, else in that of the model, else those for photographs.
        calibration: how probable a match of words is, if that was measured for this text tower.
    """

    folder: Path | None
    bank: list[str]
    calibration: background.Calibration | None


def is_named(space: Space) -> bool:
    """Return whether the fingerprint of a space stands for the name of its model.

    Vectors that were imported with only a name have such a space. It takes any encoder that the
    user says is the model, since there is nothing to compare.
    """
    return space.fingerprint.startswith(NAMED)


def shown(name: str) -> str:
    """Return the name of a model for display: the last part of a folder."""
    return Path(name).name


def chosen(ledger: Ledger, space: Space | None) -> ModelChoice | None:
    """Return the model that a library's ledger remembers for a space; None if there is none."""
    choices = ledger.setting(CHOICES) or {}
    if space is not None and space.fingerprint in choices:
        return ModelChoice(**choices[space.fingerprint])
    if space is not None and choices:
        # Another machine changed the space of a shared library.
        return ModelChoice(space.model)
    first = ledger.setting(MODEL)
    if first is None and space is not None and is_named(space):
        return ModelChoice(space.model)  # an engine over what another program made
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


def tell(engine: Engine, space: Space, choice: ModelChoice) -> None:
    """Store which text tower belongs to a space, for other machines too."""
    if choice.texts or space.fingerprint in engine.kept(TEXTS):
        engine.keep(TEXTS, space.fingerprint, choice.texts or OWN_TEXTS)


def follow(opened: Opened, space: Space) -> None:
    """Let a library's ledger remember the text tower that another machine has chosen for a space.

    A folder that is not on this machine is not taken over: the model's own tower embeds texts.
    """
    from pixseek.library.opened import may_write

    kept = opened.engine.kept(TEXTS).get(space.fingerprint)
    if kept is None or not may_write(opened.folder):
        return
    texts = "" if kept == OWN_TEXTS else kept
    known = chosen(opened.ledger, space) or ModelChoice(space.model)
    if texts != known.texts and not (texts and is_nowhere(texts)):
        remember(opened.ledger, space.fingerprint, replace(known, texts=texts))


def _folder(model: str, models_dir: Path) -> Path | None:
    """Return the folder of a model; None if there is none, or the model is unknown."""
    try:
        return encoders.locate(model, models_dir)
    except ModelError:
        return None


def is_here(model: str, models_dir: Path) -> bool:
    """Return whether a model can be loaded without a download, as far as its files tell."""
    if _folder(model, models_dir) is not None:
        return True
    # That of another package has no folder.
    return catalogue.find(model) is None and encoders.is_known(model)


def is_nowhere(model: str) -> bool:
    """Return whether a model can't be downloaded, and has no folder on this machine."""
    if os.path.isabs(model):
        return not os.path.isdir(model)
    return "/" not in model and not encoders.is_known(model.partition(":")[0])


def portable(model: str) -> str:
    """Return a model's name to be remembered: a folder by its full path."""
    if encoders.is_known(model):  # even if a folder happens to have its name
        return model
    folder = Path(os.path.expanduser(model))
    return os.path.abspath(folder) if os.path.isdir(folder) else model
