"""Configuration files of models: reading JSON objects, and settings that several layouts share."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pixseek.errors import ModelError

#: Lengths from this up mean "no limit" in tokenizer_config.json (transformers writes 1e30).
UNLIMITED = 100_000


def read_json(path: Path, *, optional: bool = False) -> dict[str, Any]:
    """Return the JSON object in a file; an empty one if the file is optional and missing.

    Raises:
        ModelError: the file is missing, can't be read, or holds something else.
    """
    if optional and not path.is_file():
        return {}
    try:
        found = json.loads(there(path).read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError("a model's configuration can't be read", path, str(error)) from error
    if not isinstance(found, dict):
        raise ModelError("a model's configuration is not a JSON object", path)
    return found


@contextmanager
def understood(folder: Path) -> Iterator[None]:
    """Turn what goes wrong while the configuration of a model is read into an error that names it.

    Its values are other people's: where a number is expected there may be a text, or nothing.

    Raises:
        ModelError: a value is of the wrong kind.
    """
    try:
        yield
    except ModelError as error:
        if type(error) is not ModelError or str(folder) in error.subject:
            raise
        raise ModelError(error.problem, f"{error.subject} in {folder}", error.advice) from error
    except (
        ValueError, TypeError, AttributeError, LookupError, ArithmeticError, RecursionError,
    ) as error:  # fmt: skip
        files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.json"))
        others = ("tokenizer.json", "calibration.json")
        files = [name for name in files if name.count("/") < 2 and not name.endswith(others)]
        reason = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
        raise ModelError(
            "a model's configuration can't be used",
            f"{', '.join(files) or 'its files'} in {folder}",
            f"A value is missing or of the wrong kind ({reason}). Download it again.",
        ) from error


def there(path: Path) -> Path:
    """Return the path of a file that must exist.

    Raises:
        ModelError: it doesn't.
    """
    if not path.is_file():
        raise ModelError("a file of the model is missing", path)
    return path


def text_limit(tokenizer_config: Mapping[str, Any]) -> int | None:
    """Return the maximum number of tokens in a `tokenizer_config.json`; None for no limit."""
    limit = tokenizer_config.get("model_max_length")
    return int(limit) if isinstance(limit, int | float) and limit < UNLIMITED else None


def token(value: object) -> str | None:
    """Return a special token, which is a text or an object in `tokenizer_config.json`."""
    content = value.get("content") if isinstance(value, dict) else value
    return content if isinstance(content, str) else None
