"""What clients send: JSON, and pictures, which are decoded in an isolated process only."""

from __future__ import annotations

import asyncio
import json
import math
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from fastapi import Request
from python_multipart.exceptions import FormParserError
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException

from pixseek.errors import QueryError, unknown
from pixseek.server.problems import Refused
from pixseek.server.settings import Settings

if TYPE_CHECKING:
    from PIL import Image

    from pixseek.server.served import Server

_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")

#: Digits of a whole number at most; a double has 309.
_DIGITS = 400

#: Text fields of a form at most, and bytes of each.
_FIELDS, _FIELD_BYTES = 50, 1 << 20

#: Fields of forms that hold files; all others hold text.
_OF_FILES = frozenset(("image", "images"))


async def json_body(request: Request, *names: str) -> dict[str, Any]:
    """Return the object that a request's body holds.

    Args:
        request: whose body it is.
        *names: what it may hold; none if somebody else checks that.

    Raises:
        Refused: the body is not said to be JSON, or holds an unknown name.
        QueryError: it is not JSON, or not an object.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise not_json(kind)
    plain = await asyncio.to_thread(read_json, await request.body(), "The body is not JSON")
    if not isinstance(plain, dict):
        raise QueryError("The body is not an object", "", 'Send {"name": ...}.')
    for name in plain:
        if names and name not in names:
            raise _unknown(name, names)
    return plain


def _unknown(name: str, known: Sequence[str]) -> Refused:
    return Refused(422, "unknown-name", "Unknown name", name, unknown("name", name, known))


def read_json(text: str | bytes, problem: str) -> Any:
    """Return what a client sent as JSON.

    Args:
        text: JSON.
        problem: the first part of the error.

    Raises:
        QueryError: it is not JSON, or an object names something twice.
    """
    try:
        plain = json.loads(
            text, parse_constant=_no_constant, parse_float=_finite, parse_int=_short,
            object_pairs_hook=_once,
        )  # fmt: skip
        if _SURROGATE.search(text if isinstance(text, bytes) else text.encode()):
            json.dumps(plain, ensure_ascii=False).encode()
    except UnicodeError as error:  # one that stands alone is half of a character
        raise QueryError(problem, "", "It holds what is not Unicode. Send it in UTF-8.") from error
    except RecursionError as error:
        raise QueryError(problem, "", "It is nested too deeply.") from error
    except ValueError as error:
        raise QueryError(problem, "", f"{error}.") from error
    return plain


def _no_constant(name: str) -> None:
    """Refuse what Python reads as JSON, and the standard does not have."""
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    """Refuse a number that Python reads as infinite, which could not be sent back."""
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"{text[:100]} is too large")
    return number


def _short(text: str) -> int:
    """Refuse a number for whose length Python has no text but its own."""
    if len(text) > _DIGITS:
        raise ValueError(f"{text[:100]}… is too large")
    return int(text)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object; Python would take the last of two values of one name."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise QueryError("A name is given twice", twice[:200], "Give it once.")
    return found


def not_json(kind: str) -> Refused:
    """Return the answer to a body of another kind where JSON is needed."""
    return Refused(
        415, "media-type", "The body must be JSON", kind[:100],
        "Send it with Content-Type: application/json.",
    )  # fmt: skip


async def plain_form(request: Request, *names: str) -> dict[str, str]:
    """Return the fields of a form of a page; "" for one that is missing.

    Args:
        request: whose body it is.
        *names: of the fields; others are ignored.

    Raises:
        QueryError: it holds one twice.
    """
    content = (await request.body()).decode("utf-8", "replace")
    found: dict[str, str] = {}
    for name, value in parse_qsl(content, keep_blank_values=True):
        if name in found:
            raise _twice(name)
        if name in names:
            found[name] = value
    return {name: found.get(name, "") for name in names}


def _twice(name: str) -> QueryError:
    return QueryError("The form has a field twice", name[:200], "Send it once.")


@asynccontextmanager
async def upload_form(
    request: Request, server: Server, *names: str, many: str = ""
) -> AsyncIterator[FormData]:
    """Yield the form that a request holds, whose files are closed afterwards.

    The files are on disk until then, whatever their number. Inside of the block they may be read,
    so only so many requests are there at once; the others wait.

    Args:
        request: whose body it is.
        server: has the limits.
        *names: of the fields that it may hold once.
        many: of a field that it may hold several times.

    Raises:
        Refused: the body is not a form, or has an unknown field.
        QueryError: it is broken, or holds too many files or fields, or a file in place of text.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "multipart/form-data":
        raise Refused(
            415, "media-type", "The body must be a form with files", kind[:100],
            "Send it as multipart/form-data.",
        )  # fmt: skip
    form = request.form(
        max_files=server.settings.limits.upload_count,
        max_fields=_FIELDS,
        max_part_size=_FIELD_BYTES,
    )
    try:
        async with form as found, server.decoding:
            for name in found:
                if name not in (*names, many):
                    raise _unknown(name, (*names, *((many,) if many else ())))
                if name != many and len(found.getlist(name)) > 1:
                    raise _twice(name)
                is_file = name in _OF_FILES
                if any(isinstance(each, UploadFile) is not is_file for each in found.getlist(name)):
                    raise QueryError(
                        "A field of the form is not a file" if is_file else
                        "A field of the form is a file", name,
                        "Send it as a file: with curl, -F FIELD=@FILE." if is_file else
                        "Send it as text: with curl, -F FIELD=TEXT or -F 'FIELD=<FILE'.",
                    )  # fmt: skip
            yield found
    except FormParserError as error:  # Starlette before 1.0 lets it through
        raise QueryError("The form can't be read", "", f"{error}.") from error
    except HTTPException as error:
        if error.status_code != 400:
            raise
        raise QueryError("The form can't be read", "", f"{error.detail}.") from error


def picture_of(content: bytes, settings: Settings) -> Image.Image:
    """Return an uploaded picture, upright, in sRGB, in mode "RGB".

    Raises:
        ImageError: it can't be read.
    """
    from pixseek.library.surfaces import decoded_apart

    return decoded_apart(content, max_pixels=settings.limits.upload_pixels)
