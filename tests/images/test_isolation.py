"""Decoders in worker processes: a crash, a hang or a full memory costs one file, not the run."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pixseek.errors import ImageError
from pixseek.images import decode, isolation
from pixseek.images.formats import by_name
from pixseek.images.limits import Limits, Request
from pixseek.types import Picture

from image_files import halves, saved

GOOD = saved(halves(), "TIFF")

# A worker whose decoder does what the file's content says.
_OBEDIENT = """
import json, os, signal, sys, time
sys.path[:] = json.loads(sys.argv[1])
from pixseek.images import worker
decode = worker.decode_here
def obey(each, data, request):
    if data == b"crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if data == b"exit":
        os._exit(3)
    if data == b"hang":
        while True:
            time.sleep(1)
    if data == b"eat":
        return [bytearray(1 << 28) for _ in range(100)]
    if data == b"spoil":
        worker._answer = lambda *_: os.kill(os.getpid(), signal.SIGSEGV)
    if data == b"panic":
        raise KeyboardInterrupt("a panic")
    if data == b"print":
        os.write(1, b"noise")
        os.write(2, b"noise")
    return decode(each, GOOD, request)
GOOD = bytes.fromhex("%s")
worker.decode_here = obey
worker.main()
"""


@pytest.fixture
def obedient(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    isolation.shut_down()
    monkeypatch.setattr(isolation, "_START", _OBEDIENT % GOOD.hex())
    yield
    isolation.shut_down()


def ask(data: bytes, timeout_s: float = 20.0, memory_mib: int = 1024) -> Picture:
    limits = Limits(timeout_s=timeout_s, memory_mib=memory_mib)
    return isolation.decode_isolated(by_name("TIFF"), data, Request(limits=limits))


@pytest.mark.skipif(os.name == "nt", reason="signals")
@pytest.mark.parametrize(
    ("data", "reason", "how"),
    [(b"crash", "crashed", "SIGSEGV"), (b"exit", "crashed", "status 3"), (b"panic", "damaged", "")],
)
def test_a_crash_is_a_failure_and_the_next_file_works(
    obedient: None, data: bytes, reason: str, how: str
) -> None:
    for _ in range(3):
        with pytest.raises(ImageError) as caught:
            ask(data)
        assert caught.value.reason == reason
        assert reason in ImageError.REASONS
        assert how in caught.value.problem
        assert ask(b"good").width == 60


def test_a_hanging_worker_is_killed_and_the_next_file_works(
    obedient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ask(b"good").width == 60  # so that starting the worker isn't part of the time
    began = time.monotonic()
    with pytest.raises(ImageError) as caught:
        ask(b"hang", timeout_s=0.5)
    assert caught.value.reason == "timeout"
    assert time.monotonic() - began < 5
    assert ask(b"good").width == 60


@pytest.mark.skipif(sys.platform != "linux", reason="enforced on Linux")
def test_exhausting_memory_is_a_failure_and_the_next_file_works(obedient: None) -> None:
    with pytest.raises(ImageError) as caught:
        ask(b"eat")
    assert caught.value.reason == "too-large"
    assert ask(b"good").width == 60


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_a_file_that_breaks_its_worker_does_not_fail_the_next_one(obedient: None) -> None:
    assert ask(b"spoil").width == 60  # from here on its worker crashes
    assert ask(b"good").width == 60


def test_prints_of_a_decoder_do_not_corrupt_the_answer(obedient: None) -> None:
    assert ask(b"print").pixels.tobytes() == halves().tobytes()


def test_threads_share_workers_and_each_gets_its_own_answer() -> None:
    files = {n: saved(halves(size=(60 + 2 * n, 40)), "TIFF") for n in range(24)}
    with ThreadPoolExecutor(8) as pool:
        pictures = dict(zip(files, pool.map(decode, files.values()), strict=True))
    assert all(picture.width == 60 + 2 * n for n, picture in pictures.items())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_starts_its_own_workers() -> None:
    assert decode(GOOD).width == 60
    child = os.fork()
    if not child:
        status = 1
        try:
            status = 0 if decode(GOOD).width == 60 else 2
        finally:
            isolation.shut_down()
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert decode(GOOD).width == 60


def test_a_program_without_a_main_guard_can_decode(tmp_path: Path) -> None:
    (tmp_path / "image.tif").write_bytes(GOOD)
    # A module in the current folder with the name of one that workers import must not run.
    (tmp_path / "json.py").write_text("raise SystemExit('hijacked')")
    script = tmp_path / "scripts" / "script.py"
    script.parent.mkdir()
    script.write_text(
        "print('once')\n"
        "from pixseek.images import decode\n"
        "print(decode(open('image.tif', 'rb').read()).width)\n"
    )
    done = subprocess.run(
        [sys.executable, str(script)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stdout.split() == ["once", "60"], done.stderr
    assert done.returncode == 0


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc")
def test_workers_end_with_their_parent() -> None:
    program = (
        "import os, sys\n"
        "from pixseek.images import decode, isolation\n"
        "decode(sys.stdin.buffer.read())\n"
        "print(isolation._pool.idle[0].process.pid, flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], input=GOOD, capture_output=True, timeout=120, check=False
    )
    worker = Path(f"/proc/{int(done.stdout)}")
    for _ in range(100):
        if not worker.exists() or "State:\tZ" in (worker / "status").read_text():
            break
        time.sleep(0.05)
    else:
        pytest.fail("the worker outlives its parent")
