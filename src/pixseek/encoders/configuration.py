"""Configuration files of models: JSON objects, and what several layouts say in the same way."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pixseek.errors import ModelError

#: Lengths that mean "not limited" in tokenizer_config.json (transformers writes 1e30).
UNLIMITED = 100_000


def read_json(path: Path, *, optional: bool = False) -> dict[str, Any]:
    """Return the object in a file; an empty one where the file is optional and not there.

    Raises:
        ModelError: the file is missing, can't be read, or holds something else.
    """
    if optional and not path.is_file():
        return {}
    try:
        found = json.loads(there(path).read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError("a model's configuration can't be read", path, str(error)) from error
    if not isinstance(found, dict):
        raise ModelError("a model's configuration is no JSON object", path)
    return found


def there(path: Path) -> Path:
    """Return the path of a file that must be there.

    Raises:
        ModelError: it is not.
    """
    if not path.is_file():
        raise ModelError("a file of the model is missing", path)
    return path


def text_limit(tokenizer_config: Mapping[str, Any]) -> int | None:
    """Return the most tokens that a `tokenizer_config.json` allows; None for no limit."""
    limit = tokenizer_config.get("model_max_length")
    return int(limit) if isinstance(limit, int | float) and limit < UNLIMITED else None


def token(value: object) -> str | None:
    """Return a special token, which `tokenizer_config.json` gives as text or as an object."""
    content = value.get("content") if isinstance(value, dict) else value
    return content if isinstance(content, str) else None
