"""Material and small builders that several test files share."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# OpenBLAS starts its threads when numpy is loaded, and they spin after each product. The processes
# of pytest-xdist have the cores; what tests start themselves sees nothing of this.
with pytest.MonkeyPatch.context() as _patch:
    _patch.setenv("OPENBLAS_NUM_THREADS", "1")
    import numpy  # noqa: F401

from tiny_encoder import TinyEncoder

pytest_plugins = ["skips"]

# A machine that is busy with something else is slow; that is not a failure.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

# A shell ignores Ctrl-C in what it starts in the background; tests press it in their own processes.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Test material too large or not free enough to ship lies next to a developer's checkout.
MATERIAL = Path(os.environ.get("PIXSEEK_TEST_MATERIAL", Path(__file__).parents[2] / "shared"))


def pytest_configure(config: pytest.Config) -> None:
    from skips import Skips  # here, so that pytest has imported it before, as a plugin

    config.pluginmanager.register(Skips(config, MATERIAL))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What is wide is slow as well, so `-m "not slow"` leaves it out."""
    for item in items:
        if item.get_closest_marker("wide"):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of test material; the test is skipped where it is not."""
    if not (MATERIAL / "images").is_dir():
        pytest.skip(f"no test material at {MATERIAL} (set PIXSEEK_TEST_MATERIAL)")
    return MATERIAL


@pytest.fixture(scope="session")
def photo_mini(shared: Path) -> Path:
    """The folder of the small real model for photographs."""
    folder = shared / "models" / "photo-mini"
    if not (folder / "visual" / "model.onnx").is_file():
        pytest.skip(f"no photo-mini model at {folder}")
    return folder


@pytest.fixture(scope="session")
def photos(shared: Path) -> Path:
    """The folder of 1,000 real photos, with captions.tsv."""
    folder = shared / "images" / "photos"
    if not (folder / "captions.tsv").is_file():
        pytest.skip(f"no photos at {folder}")
    return folder


@pytest.fixture(scope="session", autouse=True)
def _no_settings_outside_of_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep fixtures of modules from the settings of whoever runs the tests."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"):
            patch.setenv(name, str(tmp_path_factory.getbasetemp() / "home" / name.lower()))
        yield


@pytest.fixture(autouse=True)
def _no_settings_of_this_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the settings, libraries and models of whoever runs the tests out of them."""
    for name in list(os.environ):
        if name.startswith("PIXSEEK_") and not name.startswith("PIXSEEK_TEST_"):
            monkeypatch.delenv(name)
    home = tmp_path / "home-of-the-test"
    for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(home / name.lower()))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> TinyEncoder:
    """The encoder that every library opened in this test gets, whatever model it names."""
    encoder = TinyEncoder()
    monkeypatch.setattr("pixseek.encoders.load", lambda *_, **__: encoder)
    # Tests count what was embedded; that is for the images of the library alone.
    monkeypatch.setattr("pixseek.library.jobs.LEARN_FROM", 0)
    return encoder
