"""What the tests of metadata share."""

from __future__ import annotations

import pytest

from pixseek.metadata import places


@pytest.fixture(autouse=True)
def _without_names_of_places(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Leave coordinates unnamed, as without the extra `places`, but in the tests of places."""
    if request.path.stem != "test_places":
        monkeypatch.setattr(places, "is_available", lambda: False)
        monkeypatch.setattr(places, "_gazetteer", None)
