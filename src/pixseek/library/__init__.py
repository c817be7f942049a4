"""A library of images: the one class that every surface uses, over parts of one concern each."""

from pixseek.library.facade import Library, RootStatus, Status

__all__ = ["Library", "RootStatus", "Status"]
