"""Uploaded images, stored under names of their own in the folder for uploads."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path, PurePosixPath

from fastapi import Request
from starlette.datastructures import UploadFile

from pixseek.errors import ConfigError, ImageError, QueryError, StorageError
from pixseek.server.problems import Refused
from pixseek.server.served import Server
from pixseek.server.settings import Settings
from pixseek.server.uploads import upload_form

#: What of a name is kept: letters, digits, and a little.
_ODD = re.compile(r"[^\w.,+()-]+")
_LONGEST = 80


def check_folder(folder: Path) -> None:
    """Make the folder for uploads if it is not there, and check that files can be stored in it.

    Raises:
        ConfigError: they can't.
    """
    import tempfile

    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):  # permissions alone say too little
            pass
    except OSError as error:
        raise ConfigError(
            f"Uploads can't be stored here ({error.strerror or error})", folder,
            "Name a folder that this user may write to: --uploads DIR",
        ) from error  # fmt: skip


async def received(request: Request, server: Server) -> list[Path]:
    """Store the images that a request holds in the folder for uploads; return their paths.

    Raises:
        Refused: the server takes no uploads, or the body is no form.
        QueryError: there is none, or one is no image that can be read; nothing was stored.
    """
    settings = server.settings
    folder = settings.uploads
    if folder is None:
        raise Refused(
            501, "no-uploads", "This server takes no images", "",
            "Start it with --uploads DIR to store them there.",
        )  # fmt: skip
    async with upload_form(request, server, many="images") as form:
        given = [each for each in form.getlist("images") if isinstance(each, UploadFile)]
        if not given:
            raise QueryError("There is no image in the form", "", "Upload some as `images`.")
        contents = [(each.filename or "", await each.read()) for each in given]
        return await asyncio.to_thread(_stored, folder, contents, settings)


def take_back(stored: list[Path]) -> None:
    """Delete images that were stored and can't be indexed: they would be sent a second time."""
    for path in stored:
        path.unlink(missing_ok=True)


def _stored(folder: Path, contents: list[tuple[str, bytes]], settings: Settings) -> list[Path]:
    from pixseek.library.surfaces import ending_of, store_file
    from pixseek.server.uploads import picture_of

    for name, content in contents:  # all of them before any is stored
        try:
            picture_of(content, settings)
        except ImageError as error:
            raise ImageError(error.reason, error.problem, name[:200], error.advice) from error
    stored: list[Path] = []
    try:
        for name, content in contents:
            stored.append(store_file(folder, _stem(name), ending_of(content), content))
    except StorageError:
        take_back(stored)
        raise
    return stored


def _stem(name: str) -> str:
    """Return a name without folders, ending and odd characters."""
    last = PurePosixPath(name.replace("\\", "/")).name
    return _ODD.sub("_", PurePosixPath(last).stem).strip("._")[:_LONGEST] or "image"
