"""Fixtures for the tests of metadata."""

from __future__ import annotations

import pytest

from pixseek.metadata import places


@pytest.fixture(autouse=True)
def _without_names_of_places(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Except in the tests of places, act as if the extra `places` were not installed."""
    if request.path.stem != "test_places":
        monkeypatch.setattr(places, "is_available", lambda: False)
        monkeypatch.setattr(places, "_gazetteer", None)
