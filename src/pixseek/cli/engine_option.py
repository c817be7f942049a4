"""`--engine` of a search: what is on a server, without a library of one's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pixseek.cli.hints import settings

if TYPE_CHECKING:
    from pixseek.library import Library

#: Advice if there is nothing to search.
_PUT_SOME_THERE = "Check the address; pixseek index FOLDER --engine URL puts some there."


def place_of(engine: str | None) -> dict[str, Any]:
    """Return which library to open for what is on a server: one in this user's data folder.

    It keeps what belongs to this machine, such as what the model's scores are worth there.

    Raises:
        LibraryNotFoundError: the folder of a local mode does not exist; opening would create it.
    """
    if engine is None:
        return {}
    if "+file:" in engine:
        from pixseek.library.surfaces import is_missing_folder

        if is_missing_folder(engine):
            from pixseek.errors import LibraryNotFoundError

            raise LibraryNotFoundError("there is no such folder", engine, _PUT_SOME_THERE)
    named: dict[str, Any] = {"create": True, "engine": engine}
    if settings().get("library"):
        return named
    import hashlib

    from pixseek.config import data_folder
    from pixseek.redaction import redacted

    mark = hashlib.sha256(redacted(engine).encode()).hexdigest()[:16]
    return {**named, "library": data_folder() / "servers" / mark}


def check_is_there(library: Library, engine: str | None) -> None:
    """Check that a server that was named holds a library.

    Raises:
        LibraryNotFoundError: it holds none of this name.
    """
    if engine is not None and not len(library):
        from pixseek.errors import LibraryNotFoundError
        from pixseek.redaction import redacted

        raise LibraryNotFoundError(
            "there are no images on the server under this name", redacted(engine), _PUT_SOME_THERE
        )
