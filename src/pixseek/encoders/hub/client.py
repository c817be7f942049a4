"""What pixseek needs around the Hugging Face client: silence, progress, readable errors."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterator
from typing import Any

from pixseek.encoders.hub.model import RemoteFile

#: Called with the file, the bytes received, and the bytes in all (None if unknown).
OnProgress = Callable[[str, int, int | None], None]


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep the client from writing to the terminal; what matters is raised."""
    import logging

    logger = logging.getLogger("huggingface_hub")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def reason(error: Exception) -> str:
    """Return why a download failed, in one line, from the innermost error."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status:
        return f"{_endpoint()} answered {status}"
    bottom: BaseException = error
    while bottom.__cause__ is not None:
        bottom = bottom.__cause__
    if type(bottom).__name__ == "OfflineModeIsEnabled":
        return "HF_HUB_OFFLINE is set"
    said = str(bottom).strip().split("\n", 1)[0] or type(bottom).__name__
    return f"{_endpoint()}: {said}"


def _endpoint() -> str:
    from huggingface_hub import constants

    return str(constants.ENDPOINT)


def bar(file: RemoteFile, on_progress: OnProgress | None) -> type:
    """Return a progress bar class for the client that calls `on_progress` and draws nothing.

    The client makes one bar a file, or two (received, written) that look the same: the one that
    is further counts.
    """
    from tqdm import tqdm  # type: ignore[import-untyped, unused-ignore]

    class Nowhere(io.TextIOBase):
        def write(self, text: str) -> int:
            return len(text)

    done = 0

    class Bar(tqdm):  # type: ignore[misc, type-arg, unused-ignore]
        def __init__(self, *args: Any, **options: Any) -> None:
            options.pop("name", None)
            super().__init__(*args, **options | {"file": Nowhere(), "disable": False})
            self.update(0)

        def update(self, n: float | None = 1) -> Any:
            nonlocal done
            shown = super().update(n)
            total = file.size or (int(self.total) if self.total else None)
            done = max(done, int(self.n) if total is None else min(int(self.n), total))
            if on_progress:
                on_progress(file.path, done, total)
            return shown

    return Bar
