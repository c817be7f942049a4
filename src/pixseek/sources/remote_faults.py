"""Errors of the packages that reach buckets and servers, as those of the system.

A dozen packages have classes of their own for the same few faults, and some are not installed: they
are told by their names, and by the status of HTTP that they hold.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator, Mapping
from typing import cast

from pixseek import files
from pixseek.redaction import redacted

_MISSING = {"NoSuchKey", "NoSuchBucket", "ResourceNotFoundError", "RepositoryNotFoundError",
            "EntryNotFoundError", "RevisionNotFoundError"}  # fmt: skip
_REFUSED = {
    "NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError", "ProfileNotFound",
    "TokenRetrievalError", "SSOError", "DefaultCredentialsError", "RefreshError",
    "GoogleAuthError", "ClientAuthenticationError", "CredentialUnavailableError",
    "AuthenticationException", "BadHostKeyException", "UnknownHostError", "GatedRepoError",
    "PrivateAddressError",
}  # fmt: skip
_UNREACHED = {"ConnectionError", "EndpointConnectionError", "ClientConnectionError", "gaierror",
              "ServiceRequestError", "ServiceResponseError", "NoValidConnectionsError",
              "ConnectError", "HTTPClientError", "SSHException", "EOFError"}  # fmt: skip


def fault(error: Exception, where: str) -> tuple[OSError, bool]:
    """Return the system's error for one of any package, and whether it may pass.

    Args:
        error: as it came.
        where: the address that it is about, as people read it.
    """
    name = ""
    # What came first says more: a file may be missing since its server was not reached.
    for each in reversed(list(chain(error))):
        names = {kind.__name__ for kind in type(each).__mro__}
        status = _status_of(each)
        if isinstance(each, files.TooLargeError | IsADirectoryError):
            return cast("OSError", each), False
        if isinstance(each, FileNotFoundError) or status in (404, 410) or names & _MISSING:
            return FileNotFoundError(errno.ENOENT, "it is not there", where), False
        if isinstance(each, PermissionError) or status in (401, 403) or names & _REFUSED:
            return PermissionError(errno.EACCES, _text_of(each), where), False
        if isinstance(each, TimeoutError) or any("Timeout" in each for each in names):
            return TimeoutError(errno.ETIMEDOUT, "it did not answer in time", where), True
        if isinstance(each, ConnectionError) or names & _UNREACHED:
            return ConnectionError(errno.ECONNREFUSED, _text_of(each), where), True
        if status in (408, 425, 429) or status >= 500:
            return OSError(errno.EIO, f"its server answers {status}", where), True
        name = name or type(each).__name__
    return OSError(errno.EIO, _text_of(error) or name, where), isinstance(error, OSError)


def chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and those that led to it."""
    seen: set[int] = set()
    at: BaseException | None = error
    while at is not None and id(at) not in seen:
        seen.add(id(at))
        yield at
        at = at.__cause__ or at.__context__


def _status_of(error: BaseException) -> int:
    """Return the status of HTTP that an error was made of; 0 for none."""
    answer = getattr(error, "response", None)
    if isinstance(answer, Mapping):  # of botocore
        answer = answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    known = error.__dict__  # not by getattr: aiohttp warns of an old name
    found = (
        *(known.get(name) for name in ("status", "status_code", "code")),
        answer, getattr(answer, "status_code", None),
    )  # fmt: skip
    return next((each for each in found if isinstance(each, int) and each > 99), 0)


def _text_of(error: BaseException) -> str:
    text = getattr(error, "strerror", None) or str(error)
    return redacted(" ".join(str(text).split()))[:200].rstrip(".")
