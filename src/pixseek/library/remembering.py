"""Where a library's records are, remembered among this user's settings and in its ledger."""

from __future__ import annotations

from pathlib import Path

from pixseek.config import Config, libraries_file
from pixseek.errors import StorageError
from pixseek.library.trust import ENGINE, ID, Gate, entry_of, new_id
from pixseek.redaction import redacted
from pixseek.storage.known_libraries import KnownLibraries
from pixseek.storage.ledger import Ledger


def remember_new(folder: Path, config: Config, ledger: Ledger, engine: str | None) -> None:
    """Remember a library that this user makes.

    Args:
        folder: of the library.
        config: the settings.
        ledger: of it.
        engine: address of its server, with its secrets, which is kept here only; None for none.

    Raises:
        StorageError: the list of known libraries can't be written, and an address has to be.
    """
    ledger.set(ID, new_id())
    ledger.set(ENGINE, redacted(engine) if engine else None)
    if engine or not Gate(folder, config).is_own:
        try:
            KnownLibraries(libraries_file()).keep(entry_of(folder, ledger, engine or ""))
        except StorageError:
            if engine:
                raise


def remember_engine(folder: Path, ledger: Ledger, engine: str) -> None:
    """Let a library's records be in another engine from now on.

    Args:
        folder: of the library.
        ledger: of it.
        engine: address of a server, with its secrets, which is kept here only; "" for the engine in
            the library's own folder.

    Raises:
        StorageError: the ledger or the list of known libraries can't be written; nothing changed.
    """
    known = KnownLibraries(libraries_file())
    if not ledger.setting(ID):
        ledger.set(ID, new_id())
    if engine:
        # First: the ledger names the server only once its secrets are known.
        known.keep(entry_of(folder, ledger, engine))
    ledger.set(ENGINE, redacted(engine) if engine else None)
    # Another process may have opened the library between the two.
    known.keep(entry_of(folder, ledger, engine))
