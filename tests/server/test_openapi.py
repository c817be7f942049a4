"""The server does what its OpenAPI document says: schemathesis asks it thousands of questions."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pixseek.library import Library
from pixseek.server.access import Access
from pixseek.server.settings import Limits, Settings

from serving import listening


@pytest.mark.slow
def test_schemathesis_finds_nothing(library: Library, tmp_path: Path) -> None:
    """All its checks and phases, but three checks.

    - positive_data_acceptance: a schema tells nothing of the query language or of what a picture
      is; `no_valid_parameter_is_refused` is what is left of it.
    - ignored_auth: the document says that a token is optional, since a server on loopback needs
      none; `test_access` asks every route without one.
    - ensure_resource_availability: a job that was started may be forgotten.
    """
    pytest.importorskip("schemathesis")
    from pixseek.server.app import create_app

    app = create_app(
        {"photos": library},
        access=Access.of(bound_to="127.0.0.1"),
        settings=Settings(limits=Limits(requests_a_second=0), uploads=tmp_path / "uploads"),
    )
    # Some image for what is only asked about; those that are deleted are found by links.
    image = library.search("red").hits[0].record.id
    (tmp_path / "schemathesis.toml").write_text(
        f'[[operations]]\ninclude-path-regex = "^/api/images/.*"\nexclude-method = "DELETE"\n'
        f'parameters = {{ image_id = "{image}" }}\n'
    )
    with listening(app) as address:
        done = subprocess.run(
            [
                sys.executable, "-m", "schemathesis.cli", "run", f"{address}/api/openapi.json",
                "--max-examples=25", "--generation-deterministic", "--no-color", "--checks=all",
                "--exclude-checks=positive_data_acceptance,ignored_auth,"
                "ensure_resource_availability",
            ],
            env={
                **os.environ,
                "SCHEMATHESIS_HOOKS": "schemathesis_checks",
                "PYTHONPATH": str(Path(__file__).parent),
            },
            cwd=tmp_path, capture_output=True, text=True, timeout=230, check=False,
        )  # fmt: skip
    found = re.search(r"(\d+) generated", done.stdout)
    assert done.returncode == 0, done.stdout
    assert found is not None
    assert int(found[1]) > 500
