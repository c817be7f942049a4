"""What the exit code says, as data: the program, its help and the reference all read this table."""

from __future__ import annotations

from pixseek import errors
from pixseek.types.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class ExitCode:
    """One way to end.

    Attributes:
        code: the number that the shell sees.
        meaning: for people.
        errors: the exceptions that end like this.
    """

    code: int
    meaning: str
    errors: tuple[type[BaseException], ...] = ()


FOUND_NOTHING = 1
UNEXPECTED = 70
PIPE_CLOSED = 141

EXIT_CODES = (
    ExitCode(0, "it worked; also where an index run could not read some of the files"),
    ExitCode(FOUND_NOTHING, "search: no hits; doctor: something has to be mended first"),
    ExitCode(2, "the command line can't be understood"),
    ExitCode(
        3,
        "the library or its engine: not there, locked, damaged, disk full",
        (errors.LibraryError, errors.EngineError),
    ),
    ExitCode(
        4, "the model: not to be had, broken, or another than the library's", (errors.ModelError,)
    ),
    ExitCode(
        5,
        "what was given: a query, an image, a file or a folder can't be used",
        (errors.QueryError, errors.ImageError, errors.SourceError),
    ),
    ExitCode(
        6,
        "a setting can't be used, or an optional package is not installed",
        (errors.ConfigError, errors.MissingExtraError),
    ),
    ExitCode(UNEXPECTED, "a mistake in pixseek: please report it"),
    ExitCode(130, "stopped by Ctrl-C; run it again to go on"),
    ExitCode(143, "stopped by SIGTERM; run it again to go on"),
)


def code_of(error: errors.PixseekError) -> int:
    """Return the exit code that an error ends with."""
    for row in EXIT_CODES:
        if row.errors and isinstance(error, row.errors):
            return row.code
    return UNEXPECTED
