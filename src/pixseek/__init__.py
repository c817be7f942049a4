"""Find your images by saying what is in them.

import pixseek

with pixseek.open("photos.lib") as library:
    library.index("~/Pictures")
    for hit in library.search("a lake with mountains", k=10):
        print(hit.path, hit.score)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pixseek.errors import PixseekError
    from pixseek.library import Library, RootStatus, Status
    from pixseek.types import (
        And,
        Compare,
        Encoder,
        Engine,
        Failure,
        Hit,
        Not,
        Or,
        Part,
        Progress,
        Query,
        Record,
        Report,
        Results,
        Term,
    )

    open = Library.open  # noqa: A001

__all__ = [
    "And",
    "Compare",
    "Encoder",
    "Engine",
    "Failure",
    "Hit",
    "Library",
    "Not",
    "Or",
    "Part",
    "PixseekError",
    "Progress",
    "Query",
    "Record",
    "Report",
    "Results",
    "RootStatus",
    "Status",
    "Term",
    "__version__",
    "open",
]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    # Importing pixseek costs a few milliseconds; what a name needs is imported at its first use.
    if name == "open":
        from pixseek.library import Library

        return Library.open
    if name in __all__:
        import importlib

        home = {
            "Library": "library",
            "RootStatus": "library",
            "Status": "library",
            "PixseekError": "errors",
        }.get(name, "types")
        return getattr(importlib.import_module(f"pixseek.{home}"), name)
    raise AttributeError(f"module 'pixseek' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
