"""Errors as problem details (RFC 9457), with pixseek's three parts.

What reaches someone without rights names what they sent, and nothing of this machine: no path,
address, process or exception text.
"""

from __future__ import annotations

import re
from typing import Any

from pixseek import errors
from pixseek.server.answers import Answer, as_json
from pixseek.types.dataclass import dataclass
from pixseek.types.queries import is_remote

MEDIA = "application/problem+json"

#: Characters of a subject at most: it may be what was sent.
_LONGEST = 1000


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of problem.

    Attributes:
        name: the end of its `type`.
        status: of the answer.
        title: the same for all of a kind.
        names_what_was_sent: whether its texts speak of the request alone, so anybody may read them.
    """

    name: str
    status: int
    title: str
    names_what_was_sent: bool = False


#: The kind of each exception; the first that fits.
_KINDS: tuple[tuple[type[errors.PixseekError], Kind], ...] = (
    (errors.QueryError, Kind("query", 422, "The request can't be understood", True)),
    (errors.ImageError, Kind("image", 422, "The image can't be read", True)),
    (errors.LibraryLockedError, Kind("locked", 409, "Another run is writing to the library")),
    (errors.CapabilityError, Kind("capability", 501, "The library's engine can't do this")),
    (errors.MissingExtraError, Kind("not-installed", 501, "A part is not installed on the server")),
    (errors.ModelError, Kind("model", 503, "The model is unavailable")),
    (errors.EngineError, Kind("engine", 503, "The search engine is unavailable")),
    (errors.LibraryError, Kind("library", 503, "The library is unavailable")),
    (errors.SourceError, Kind("source", 503, "A folder of the library is unavailable")),
)

_UNEXPECTED = Kind("unexpected", 500, "An unexpected error")


class Problem(Answer):
    """An answer that says what is wrong.

    Attributes:
        kind: of the problem.
        parts: what failed, on what, and what to do next.
    """

    def __init__(self, kind: Kind, parts: tuple[str, str, str], headers: dict[str, str]) -> None:
        """Answer with problem details."""
        problem, subject, advice = parts
        if len(subject) > _LONGEST:
            subject = f"{subject[:_LONGEST]}…"
        head = f"{problem}: {subject}" if subject else problem
        plain: dict[str, Any] = {
            "type": f"urn:pixseek:problem:{kind.name}",
            "title": kind.title,
            "status": kind.status,
            "detail": f"{head}. {advice}" if advice else head,
            "problem": problem,
            "subject": subject,
            "advice": advice,
        }
        super().__init__(as_json(plain), kind.status, headers, MEDIA)
        self.kind, self.parts = kind, (problem, subject, advice)


class Refused(Exception):  # noqa: N818 - no fault of the server
    """A request that is refused before pixseek is asked.

    Attributes:
        kind: of the problem.
        problem, subject, advice: the three parts; they name what was sent alone.
        headers: besides those of every answer.
    """

    def __init__(
        self,
        status: int,
        name: str,
        problem: str,
        subject: str = "",
        advice: str = "",
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(problem, subject, advice)
        self.kind = Kind(name, status, problem, True)
        self.problem, self.subject, self.advice = problem, subject, advice
        self.headers = headers or {}

    def answer(self) -> Problem:
        """Return the answer to the request."""
        return Problem(self.kind, (self.problem, self.subject, self.advice), self.headers)


def answer_to(error: BaseException, *, has_rights: bool) -> Problem:
    """Return the answer for an exception.

    Args:
        error: any.
        has_rights: whether whoever asks may change the library, and so may read about this machine.
    """
    if isinstance(error, Refused):
        return error.answer()
    if not isinstance(error, errors.PixseekError):
        return Problem(_UNEXPECTED, (_UNEXPECTED.title, "", "It is in the server's log."), {})
    return Problem(_kind_of(error), three_parts(error, has_rights=has_rights), {})


def three_parts(error: errors.PixseekError | Refused, *, has_rights: bool) -> tuple[str, str, str]:
    """Return what failed, on what, and what to do next, for a page; as `answer_to`."""
    if isinstance(error, Refused):
        return error.problem, error.subject, error.advice
    kind = _kind_of(error)
    fetched = error.__cause__ if isinstance(error, errors.QueryError) else error
    if isinstance(fetched, errors.ImageError) and is_remote(error.subject):
        # What the fetcher advises is for whoever owns this machine.
        return error.problem, error.subject, f"{fetched.problem}. Save the image, and upload it."
    if kind.names_what_was_sent or has_rights:
        return error.problem, error.subject, error.advice
    return kind.title, "", "Whoever runs the server finds more in its log."


def status_of(error: BaseException) -> int:
    """Return the status of the answer for an exception, for a page that goes on nonetheless."""
    if isinstance(error, Refused):
        return error.kind.status
    return _kind_of(error).status if isinstance(error, errors.PixseekError) else _UNEXPECTED.status


def _kind_of(error: errors.PixseekError) -> Kind:
    return next((kind for type_, kind in _KINDS if isinstance(error, type_)), _UNEXPECTED)


def advice_of(message: str) -> str:
    """Return what pydantic says of a wrong value as advice."""
    text = message.removeprefix("Value error, ")
    text = text.replace("a valid boolean, unable to interpret input", "true or false")
    text = text.replace("Field required", "it is missing")
    text = text.replace("a valid dictionary or object to extract fields from", "an object")
    text = re.sub(r"^(Input|List|String|Dictionary) should", "It must", text)
    text = re.sub(r" after validation, not \d+$", "", text)
    return f"{text[:1].upper()}{text[1:]}."


def is_worth_a_log(error: BaseException) -> bool:
    """Return whether an error is the server's and not the request's."""
    of_the_request = (Refused, errors.QueryError, errors.ImageError, errors.LibraryLockedError)
    return not isinstance(error, of_the_request)
