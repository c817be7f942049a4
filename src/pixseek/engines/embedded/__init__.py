"""The embedded engine: a folder with a SQLite database and a flat file of float16 vectors."""

from pixseek.engines.embedded.engine import EmbeddedEngine, open_embedded

__all__ = ["EmbeddedEngine", "open_embedded"]
