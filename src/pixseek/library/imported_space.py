"""Which space imported vectors belong to: what their file says, compared with the library's model.

Fingerprints decide. If one of them is unknown, the names of the models do.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pixseek import encoders
from pixseek.engines.rules import named_space
from pixseek.errors import ModelError, PixseekError, SpaceMismatchError
from pixseek.library.model_choice import ModelChoice, is_named, portable, shown
from pixseek.types import Space

if TYPE_CHECKING:
    from pixseek.config import Config
    from pixseek.library.model import LibraryModel
    from pixseek.library.opened import Opened
    from pixseek.types import Encoder


def space_of_import(
    opened: Opened, model: LibraryModel, theirs: Space, source: Path, name: str
) -> Space:
    """Return the space that vectors from elsewhere belong to, and remember its model.

    A new library takes the model that the file or `name` names, whether its files are on this
    machine or not. Only a model that the caller asked for is loaded, and one that is here already,
    to compare fingerprints.

    Args:
        opened: the library.
        model: its model.
        theirs: the length of the vectors; fingerprint and model as the file has them, or "".
        source: the file, for messages.
        name: of the model, given by the user; "" for none.

    Raises:
        SpaceMismatchError: the vectors are of another model than the library's, or than the one
            that was asked for.
        ModelError: nothing names the model, and the default one is unavailable.
    """
    if name and theirs.model and name != theirs.model:
        raise SpaceMismatchError(
            "The file names another model than the one given",
            f"{source}: {theirs.model}, not {name}",
            f"Import it as what it is: pixseek import {source} --library NEW",
        )
    theirs = replace(theirs, model=name or theirs.model)
    space = opened.engine.space
    if model.asked or (space is None and not theirs.model and not theirs.fingerprint):
        return _of_encoder(model, theirs, source)
    if space is not None:
        return _compared(model, theirs, space, source)
    # The settings may name a folder with the files of the very model.
    settings = opened.config.model or ""
    for named in filter(None, (settings, theirs.model)):
        encoder = _here(model, named, opened.config)
        if encoder is None or encoder.dim != theirs.dim:
            continue
        if theirs.fingerprint == encoder.fingerprint or (
            not theirs.fingerprint and named == theirs.model
        ):
            found = Space(encoder.fingerprint, encoder.dim, encoder.name)
            model.remember_first(found, portable(named))
            return found
    known = _known_dim(theirs.model, opened.config)
    if known and known != theirs.dim:
        raise _other_length(theirs, known, source)
    found = theirs if theirs.fingerprint else named_space(theirs.model, theirs.dim)
    model.remember_first(found, theirs.model or settings or encoders.DEFAULT)
    return found


def _compared(model: LibraryModel, theirs: Space, ours: Space, source: Path) -> Space:
    """Return the library's space if vectors from elsewhere belong to it.

    Raises:
        SpaceMismatchError: they don't.
    """
    if theirs.fingerprint and not is_named(theirs) and not is_named(ours):
        same = theirs.fingerprint == ours.fingerprint
    else:
        named = {ours.model, model.choice.model, shown(model.choice.model)}
        same = not theirs.model or theirs.model in named
    if same and theirs.dim == ours.dim:
        return ours
    if same and not theirs.model:
        raise _other_length(theirs, ours.dim, source)
    raise SpaceMismatchError(
        "The vectors were made by another model than the library's",
        f"{source}: {theirs.model or 'unknown'} ({theirs.dim} numbers), and not "
        f"{ours.model} ({ours.dim} numbers)",
        "Import them into a library of their own: --library NEW",
    )


def _of_encoder(model: LibraryModel, theirs: Space, source: Path) -> Space:
    """Return the space of the model asked for, or of the default one, and remember it."""
    try:
        encoder = model.encoder()
    except ModelError as error:
        if model.asked or type(error) is not ModelError:
            raise
        raise ModelError(
            "The file does not say which model made its vectors",
            f"{source} ({theirs.dim} numbers a vector)",
            "Name the model: --model NAME|DIR, or --name NAME if its files are not on this "
            f"machine.\nThe default model could not be loaded: {error.problem}",
        ) from error
    found = Space(encoder.fingerprint, encoder.dim, encoder.name)
    _compared(model, theirs, found, source)
    model.encoder_for_writing()
    return found


def _here(model: LibraryModel, name: str, config: Config) -> Encoder | None:
    """Return the encoder of a model whose files are on this machine; None if they are not."""
    try:
        if encoders.locate(name, config.models_dir) is None:
            return None
        return model.load(ModelChoice(name))
    except PixseekError:
        return None


def _known_dim(model: str, config: Config) -> int:
    """Return the length of a model's vectors; 0 if that is unknown."""
    try:
        return encoders.describe(model, config.models_dir).dim if model else 0
    except PixseekError:
        return 0


def _other_length(theirs: Space, wanted: int, source: Path) -> SpaceMismatchError:
    of = f" of {theirs.model}" if theirs.model else ""
    return SpaceMismatchError(
        f"The vectors have another length than those{of or ' of the library'}",
        f"{source}: {theirs.dim} numbers, and not {wanted}",
        "Name the model they were made with, and a new library: --name NAME --library NEW",
    )
