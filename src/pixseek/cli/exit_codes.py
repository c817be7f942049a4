"""The exit codes, as data: the program, `pixseek help exit-codes` and the reference read them."""

from __future__ import annotations

from pixseek import errors
from pixseek.types.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class ExitCode:
    """One exit code.

    Attributes:
        code: the number that the shell sees.
        meaning: for people.
        errors: the exceptions that end with it.
    """

    code: int
    meaning: str
    errors: tuple[type[BaseException], ...] = ()


FOUND_NOTHING = 1
UNEXPECTED = 70
PIPE_CLOSED = 141

EXIT_CODES = (
    ExitCode(0, "success; also if an index run could not read some of the files"),
    ExitCode(FOUND_NOTHING, "no image found, no duplicates, or doctor found a fault"),
    ExitCode(2, "invalid command line"),
    ExitCode(
        3,
        "library missing, untrusted, locked or damaged; engine failed; disk full",
        (errors.LibraryError, errors.EngineError),
    ),
    ExitCode(4, "model unavailable, broken, or different from the library's", (errors.ModelError,)),
    ExitCode(
        5,
        "a query, image, file or folder can't be used",
        (errors.QueryError, errors.ImageError, errors.SourceError),
    ),
    ExitCode(
        6,
        "invalid setting, or an optional package is not installed",
        (errors.ConfigError, errors.MissingExtraError),
    ),
    ExitCode(UNEXPECTED, "a bug in pixseek: please report it"),
    ExitCode(130, "stopped by Ctrl-C; run it again to continue"),
    ExitCode(143, "stopped by SIGTERM; run it again to continue"),
)


def code_of(error: errors.PixseekError) -> int:
    """Return the exit code of an error."""
    for row in EXIT_CODES:
        if row.errors and isinstance(error, row.errors):
            return row.code
    return UNEXPECTED
