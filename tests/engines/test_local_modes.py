"""Local modes of the clients of Qdrant and Milvus: what both must hold."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pixseek.engines import open_engine
from pixseek.errors import ConfigError

from vectors import SPACE

_WRITER = """
import os, signal, sys
sys.path.insert(0, sys.argv[2])
from pixseek.engines import open_engine
from pixseek.errors import ConfigError
from pixseek.types import Record
from vectors import SPACE, random_unit
engine = open_engine(sys.argv[1])
engine.ensure(SPACE)
for start in range(0, 300, 50):
    records = [Record(f"{n:04}", f"r/{n}.jpg") for n in range(start, start + 50)]
    engine.put(records, random_unit(50))
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
@pytest.mark.parametrize(
    ("kind", "package"), [("qdrant", "qdrant_client"), ("milvus", "milvus_lite")]
)
def test_a_process_that_is_killed_has_stored_what_it_wrote(
    kind: str, package: str, quick_folder: Path
) -> None:
    pytest.importorskip(package, reason=f"{package} is not installed")
    url = f"{kind}+file://{quick_folder}/library"
    command = [sys.executable, "-c", _WRITER, url, str(Path(__file__).parent)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    with open_engine(url) as engine:
        assert engine.space == SPACE
        assert engine.count() == engine.held(SPACE) == 300
        assert [each.id for each in engine.known()] == [f"{n:04}" for n in range(300)]


@pytest.mark.parametrize(
    ("kind", "package"), [("qdrant", "qdrant_client"), ("milvus", "milvus_lite")]
)
def test_a_folder_of_photos_is_refused_and_nothing_is_written_into_it(
    kind: str, package: str, tmp_path: Path
) -> None:
    pytest.importorskip(package, reason=f"{package} is not installed")
    (tmp_path / "photo.jpg").write_bytes(b"x")
    with pytest.raises(ConfigError, match=f"Not a folder of {kind}"):
        open_engine(f"{kind}+file://{tmp_path}")
    assert [each.name for each in tmp_path.iterdir()] == ["photo.jpg"]
