"""The model of a library: which one, its loaded encoder, and how it changes.

The ledger remembers the model of each embedding space. So when a library changes from one space to
another, every process changes the model with it at its next search; and a space that is kept knows
its model when it becomes active again.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pixseek import encoders
from pixseek.encoders.paired import DeferredImages, PairedEncoder, ServerTexts, check_agreement
from pixseek.errors import ModelError, SpaceMismatchError
from pixseek.library.model_choice import (
    CHOICES,
    MODEL,
    TEXTS,
    ModelChoice,
    chosen,
    follow,
    forget,
    is_here,
    is_named,
    is_nowhere,
    portable,
    remember,
    shown,
    tell,
)
from pixseek.search.term_vectors import TextCache
from pixseek.types import Embedding, Space

if TYPE_CHECKING:
    from pixseek.library.opened import Opened
    from pixseek.search.asked import Backgrounds
    from pixseek.types import Encoder

#: What is said while the bank of captions is embedded.
_LEARNING = "Measuring how unrelated words score, once for this model"


class LibraryModel:
    """The model of one open library. May be used from several threads.

    Attributes:
        on_download: called during a download with what, bytes done, bytes in all; None for nothing.
        on_wait: called with what is done before something that may take long, and with what was
            done before, or "", after it; None for nothing.
        texts_of: the vectors of texts that were looked for before.
    """

    def __init__(self, opened: Opened, asked: str | os.PathLike[str] | None) -> None:
        """Use the library's own model, or `asked` if it was opened with a model."""
        self._opened = opened
        self._asked = os.fspath(asked) if asked is not None else None
        self._encoder: Encoder | None = None
        self._encoder_choice: ModelChoice | None = None
        #: The encoder with its own text tower, if that of the server was not compared with it yet.
        self._own: Encoder | None = None
        self._lock = threading.RLock()
        self.texts_of = TextCache()
        self.on_download: Callable[[str, int, int | None], None] | None = None
        self.on_wait: Callable[[str], None] | None = None
        self._waits_for = ""
        self._followed: set[str] = set()  # fingerprints of spaces; see `follow`

    def moved(self, opened: Opened) -> LibraryModel:
        """Return the model of the same library in another engine, with what is loaded."""
        other = LibraryModel(opened, self._asked)
        other._encoder, other._encoder_choice = self._encoder, self._encoder_choice
        other.texts_of = self.texts_of
        other.on_download, other.on_wait = self.on_download, self.on_wait
        return other

    @contextmanager
    def waiting(self, what: str) -> Iterator[None]:
        """Tell `on_wait` what the block does."""
        if self.on_wait is None:
            yield
            return
        outer, self._waits_for = self._waits_for, what
        self.on_wait(what)
        try:
            yield
        finally:
            self._waits_for = outer
            self.on_wait(outer)

    @property
    def choice(self) -> ModelChoice:
        """The model asked for, else that of the active space, else that of the settings."""
        return self._choice_in(self._opened.engine.space)

    def _choice_in(self, space: Space | None) -> ModelChoice:
        if self._asked:
            return ModelChoice(self._asked)
        self.follow(space)
        own = self._opened.config.model
        found = chosen(self._opened.ledger, space)
        if found is None and space is not None and not (own and is_nowhere(space.model)):
            return ModelChoice(space.model)  # another machine made it
        return found or ModelChoice(own or encoders.DEFAULT)

    def follow(self, space: Space | None) -> None:
        """Take over the text tower that another machine has chosen for a space, once."""
        if space is not None and space.fingerprint not in self._followed:
            self._followed.add(space.fingerprint)
            follow(self._opened, space)

    @property
    def asked(self) -> str | None:
        """The model that the library was opened with; None for its own."""
        return self._asked

    def remember_first(self, space: Space, model: str) -> None:
        """Remember the model of a new library's space."""
        ledger = self._opened.ledger
        ledger.set(MODEL, model)
        remember(ledger, space.fingerprint, ModelChoice(model))

    def check_asked(self) -> None:
        """Raise SpaceMismatchError if another model than the library's was asked for."""
        space = self._opened.engine.space
        known = chosen(self._opened.ledger, space)
        if not self._asked or space is None or known is None:
            return
        # Only another name needs a look at the model itself.
        if portable(self._asked) not in (known.model, space.model):
            self.encoder()

    @property
    def loaded(self) -> Encoder | None:
        """The encoder, if it was loaded."""
        return self._encoder

    @property
    def note(self) -> str:
        """What users must know about the model, if it was loaded; "" for nothing."""
        if self._encoder is None or self._opened.ledger.setting("drawn"):
            return ""
        return self._encoder.note

    def check_trust(self, choice: ModelChoice) -> None:
        """Check that what the library chose, and this user did not, may be downloaded.

        Raises:
            UntrustedLibraryError: it may not.
        """
        opened = self._opened
        if opened.is_trusted or self._asked:
            return
        from pixseek.library import trust

        own = opened.config.model or encoders.DEFAULT
        for name in (choice.model, choice.texts):
            if name and name != own and trust.is_strange(name, opened.config):
                raise trust.untrusted_model(opened.folder, name)

    def load(self, choice: ModelChoice) -> Encoder:
        """Return the encoder of any choice; see `ModelChoice.load`."""
        with self.waiting(f"Loading the model {shown(choice.model)}"):
            return choice.load(self._opened.config, self.on_download)

    def encoder(self, on_download: Callable[[str, int, int | None], None] | None = None) -> Encoder:
        """Return the library's encoder; see `Library.encoder`."""
        with self._lock:
            space = self._opened.engine.space
            choice = self._choice_in(space)
            encoder = self._encoder if choice == self._encoder_choice else None
            if encoder is None:
                encoder = self._loaded(choice, space, on_download or self.on_download)
            if space is not None:
                _check_fits(space, encoder, self._opened.folder)
            self._encoder, self._encoder_choice = encoder, choice
            return encoder

    def _loaded(
        self,
        choice: ModelChoice,
        space: Space | None,
        on_progress: Callable[[str, int, int | None], None] | None,
    ) -> Encoder:
        """Return the encoder of a choice for a space.

        If the engine's server embeds texts, files that are not here wait for the first image.

        Raises:
            ModelError: it is unavailable.
        """
        models_dir = self._opened.config.models_dir
        by_server = self._texts_of(choice) != choice.texts
        if not by_server or space is None or self._asked or is_here(choice.model, models_dir):
            return self._with_texts_of_server(self._read(choice, space, on_progress))
        held = space

        def load() -> Encoder:
            encoder = self._read(choice, held, on_progress)
            _check_fits(held, encoder, self._opened.folder)
            return encoder

        return self._with_texts_of_server(DeferredImages(held, load))

    def _read(
        self,
        choice: ModelChoice,
        space: Space | None,
        on_progress: Callable[[str, int, int | None], None] | None,
    ) -> Encoder:
        self.check_trust(choice)
        try:
            with self.waiting(f"Loading the model {shown(choice.model)}"):
                encoder = choice.load(self._opened.config, on_progress)
        except ModelError as error:
            if space is None or self._asked or not is_nowhere(choice.model):
                raise
            raise ModelError(
                "The model that made the library's vectors is not on this machine",
                f"{space.model} ({self._opened.folder})",
                "Words, example files and new images need it; ids, vectors and filters find images "
                "without it. If you have its files, name their folder: --model DIR",
            ) from error
        if space is None or not is_named(space) or encoder.dim != space.dim:
            return encoder
        # Nothing but the name says which model it was. A folder is the user's word for it.
        if encoder.name != space.model and encoders.is_known(choice.model):
            return encoder
        return PairedEncoder(
            encoder,
            encoder,
            name=space.model,
            note=encoder.note,
            fingerprint=space.fingerprint,
        )

    def _with_texts_of_server(self, encoder: Encoder) -> Encoder:
        """Return an encoder whose texts the engine's server embeds, if it does that."""
        engine = self._opened.engine
        if not isinstance(engine, Embedding) or not engine.text_model:
            return encoder
        self._own = encoder
        texts = ServerTexts(engine.text_model, engine.embed_texts, encoder)
        return PairedEncoder(encoder, texts, name=encoder.name, note=encoder.note)

    def _texts_of(self, choice: ModelChoice) -> str:
        """Return the name of the text tower, if it is not that of the images."""
        engine = self._opened.engine
        return (engine.text_model if isinstance(engine, Embedding) else "") or choice.texts

    def encoder_for_writing(self) -> Encoder:
        """Return the encoder, and remember in the ledger that the library uses its model."""
        encoder = self.encoder()
        if self._own is not None and encoder is not self._own:
            captions = self.choice.texts_beside(self._opened.config.models_dir).bank
            check_agreement(self._own, encoder, self._texts_of(self.choice), captions)
            self._own = None  # once is enough
        ledger = self._opened.ledger
        if ledger.setting(MODEL) is None or self._opened.engine.space is None:
            ledger.set(MODEL, portable(self.choice.model))
            self.remember(encoder.fingerprint)
        self.learn_texts(encoder, self.choice)
        return encoder

    def remember(self, fingerprint: str) -> None:
        """Remember the model of a space, unless the ledger knows it."""
        ledger = self._opened.ledger
        if fingerprint not in (ledger.setting(CHOICES) or {}):
            named = ledger.setting(MODEL) or portable(self.choice.model)
            remember(ledger, fingerprint, ModelChoice(named))

    def changed(
        self, model: str | os.PathLike[str] | None, text_model: str | os.PathLike[str] | None
    ) -> ModelChoice:
        """Return the choice that `Library.reindex` makes with these arguments."""
        now = chosen(self._opened.ledger, self._opened.engine.space) or self.choice
        texts = now.texts if model is None and text_model is None else os.fspath(text_model or "")
        named = now.model if model is None else portable(os.fspath(model))
        texts = portable(texts) if texts else ""
        return ModelChoice(named, "" if texts == named else texts)

    def switch(self, space: Space, choice: ModelChoice, encoder: Encoder) -> None:
        """Make a space active, with its model."""
        # Remembered first: so the one commit of `activate` switches both for all processes.
        remember(self._opened.ledger, space.fingerprint, choice)
        tell(self._opened.engine, space, choice)
        self._followed.add(space.fingerprint)
        with self._lock:
            self._opened.engine.activate(space)
            self._asked = None
            self._encoder = self._with_texts_of_server(encoder)
            self._encoder_choice = choice
        self._opened.ledger.set(MODEL, choice.model)

    def drop_others(self) -> None:
        """Drop every space but the active one, and what was remembered of it."""
        for other in self._opened.engine.spaces()[1:]:
            self._opened.engine.drop_space(other)
            self._opened.engine.keep(TEXTS, other.fingerprint, None)
            self._opened.backgrounds.forget_images(other.fingerprint)
            forget(self._opened.ledger, other.fingerprint)

    def learn_texts(self, encoder: Encoder, choice: ModelChoice) -> None:
        """Make the background of unrelated texts, which searches will need.

        Called before the image tower is opened: the text tower, opened for this, is closed again,
        so both need not fit into memory at once.
        """
        files = choice.texts_beside(self._opened.config.models_dir)
        self._opened.backgrounds.texts(
            encoder.fingerprint,
            lambda: encoder,
            files.bank,
            files.folder,
            self._texts_of(choice),
            lambda: self.waiting(_LEARNING),
        )

    def backgrounds(self) -> Backgrounds:
        """Return which scores mean nothing here; see `pixseek.search.background`.

        Nothing is downloaded for them: a model whose files are not on this machine embeds no texts
        either, and images are judged by the library's images.
        """
        choice = self.choice
        models_dir = self._opened.config.models_dir
        files = choice.texts_beside(models_dir)
        at_hand = choice == self._encoder_choice or all(
            is_here(name, models_dir) for name in (choice.model, choice.texts) if name
        )
        found = self._opened.backgrounds.get(
            self._opened.engine,
            self.encoder if at_hand else None,
            files.bank,
            files.folder,
            self._texts_of(choice),
            lambda: self.waiting(_LEARNING),
        )
        return replace(found, calibration=files.calibration)


def _check_fits(space: Space, encoder: Encoder, folder: Path) -> None:
    """Raise SpaceMismatchError if the vectors of an encoder are not of a library's space."""
    name, fingerprint = encoder.name, encoder.fingerprint
    if (space.fingerprint, space.dim) == (fingerprint, encoder.dim):
        return
    raise SpaceMismatchError(
        "The library's vectors were made by another model",
        f"{folder} holds {space.model} ({space.fingerprint[:12]}), "
        f"asked for {name} ({fingerprint[:12]})",
        f"Search it with --model {space.model}, index into a new --library with {name}, or let "
        f"{name} embed what this one holds: pixseek reindex --model {name}",
    )
