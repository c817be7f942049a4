"""A library of images: the one class that every surface uses, over parts of one concern each."""

from typing import TYPE_CHECKING, Any

from pixseek.library.facade import Library

if TYPE_CHECKING:
    from pixseek.library.saved import SavedSearch as SavedSearch
    from pixseek.library.status import RootStatus as RootStatus
    from pixseek.library.status import Status as Status

__all__ = ["Library", "RootStatus", "SavedSearch", "Status"]


def __getattr__(name: str) -> Any:
    if name in __all__:  # imported at their first use: a search has no use for them
        from pixseek.library import saved, status

        return getattr(saved if name == "SavedSearch" else status, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
