"""Decoders in worker processes: a crash, a hang or a full memory costs one file, not the run."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pixseek.errors import ImageError
from pixseek.images import decode, isolation
from pixseek.images.confinement import PACKAGES, module_folders
from pixseek.images.formats import FORMATS, by_name
from pixseek.images.limits import Limits, Request
from pixseek.types import Picture

from image_files import halves, saved

GOOD = saved(halves(), "TIFF")

# A worker whose decoder does what the file's content says. Landlock is left out, so that it may
# look at what it was given.
_OBEDIENT = """
import json, os, signal, sys, time
sys.path[:] = json.loads(sys.argv[1])["path"]
sys.modules["landlockpy"] = None
from pixseek.images import messages, worker
decode, send = worker.decode_here, messages.Channel.send
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
    if data == b"twice":
        def twice(channel, head, blobs=(), deadline=None):
            send(channel, head, blobs)
            send(channel, head, blobs)
        messages.Channel.send = twice
    if data == b"noise":
        def noise(channel, head, blobs=(), deadline=None):
            os.write(channel._writes, b"noise" * 10)
        messages.Channel.send = noise
    if data == b"report":
        import resource
        limits = {name: resource.getrlimit(getattr(resource, name)) for name in dir(resource)
                  if name.startswith("RLIMIT_")}
        status = dict(line.split(":", 1) for line in open("/proc/self/status"))
        raise worker.ImageError("damaged", json.dumps({
            "environment": sorted(os.environ), "folder": os.getcwd(), "path": sys.path,
            "files": len(os.listdir("/proc/self/fd")), "session": os.getsid(0) == os.getpid(),
            "no_new_privileges": status["NoNewPrivs"].strip() == "1",
            "limits": {name: limits[name][1] for name in (
                "RLIMIT_AS", "RLIMIT_CPU", "RLIMIT_CORE", "RLIMIT_FSIZE", "RLIMIT_NOFILE")},
        }))
    return decode(each, GOOD, request)
class Huge:
    def __init__(self, size):
        self.size = size
    def __len__(self):
        return self.size
honest = worker._answer
def answer(name, data, request):
    if not data.startswith(b"{"):
        return honest(name, data, request)
    lie = json.loads(data)
    return lie, [Huge(n) if n > 1 << 20 else bytes(n) for n in lie.pop("blobs", ())]
worker._answer = answer
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
    for _ in range(2):
        with pytest.raises(ImageError) as caught:
            ask(data)
        assert caught.value.reason == reason
        assert reason in ImageError.REASONS
        assert how in caught.value.problem
        assert ask(b"good").width == 60


@pytest.mark.parametrize("first", [True, False])
def test_a_hang_takes_its_time_limit_and_no_more(obedient: None, first: bool) -> None:
    if not first:
        assert ask(b"good").width == 60
    began = time.monotonic()
    with pytest.raises(ImageError) as caught:
        ask(b"hang", timeout_s=0.5)
    assert caught.value.reason == "timeout"
    assert time.monotonic() - began < 15  # the default is 20
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


TRUE = {
    "width": 60, "height": 40, "size": [60, 40], "notes": [], "texts": [], "profile": "",
    "exif_is_file": False, "blobs": [3 * 60 * 40, 0, 0, 0],
}  # fmt: skip


@pytest.mark.parametrize(
    "lie",
    [
        {"size": [20_000, 20_000], "blobs": [1_200_000_000, 0, 0, 0]},
        {"size": [61, 40], "blobs": [3 * 61 * 40, 0, 0, 0]},
    ],
)
def test_an_answer_that_can_not_be_true_is_refused_and_the_next_file_works(
    obedient: None, lie: dict[str, object]
) -> None:
    assert ask(json.dumps(TRUE).encode()).pixels.size == (60, 40)
    began = time.monotonic()
    with pytest.raises(ImageError) as caught:
        ask(json.dumps({**TRUE, **lie}).encode())
    assert caught.value.reason == "crashed"
    assert "impossible answer" in caught.value.problem
    assert time.monotonic() - began < 10
    assert ask(b"good").width == 60


def test_an_answer_to_another_question_is_refused(obedient: None) -> None:
    assert ask(b"twice").width == 60
    assert ask(b"good").pixels.tobytes() == halves().tobytes()  # by another worker
    with pytest.raises(ImageError) as caught:
        ask(b"noise")
    assert caught.value.reason == "crashed"
    assert ask(b"good").width == 60


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_worker_is_given_what_it_needs_and_nothing_else(
    obedient: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HF_TOKEN", "a-token")
    monkeypatch.setenv("PIXSEEK_DATABASE", "postgresql://u:p@h/d")
    monkeypatch.setenv("HTTPS_PROXY", "http://u:p@proxy")
    monkeypatch.syspath_prepend(str(tmp_path))
    inherited = os.open(tmp_path / "marker", os.O_RDWR | os.O_CREAT)
    os.set_inheritable(inherited, True)
    try:
        with pytest.raises(ImageError) as caught:
            ask(b"report")
    finally:
        os.close(inherited)
    told = json.loads(caught.value.problem)
    allowed = {"HOME", "LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "FONTCONFIG_FILE",
               "FONTCONFIG_PATH", "MALLOC_ARENA_MAX", "OMP_NUM_THREADS"}  # fmt: skip
    assert {n for n in told["environment"] if not n.startswith("OPENBLAS_")} <= allowed
    assert told["folder"] == "/"
    assert str(tmp_path) not in told["path"]
    assert told["files"] <= 9  # its four pipes, /dev/null four times, the folder it lists
    assert told["session"]
    assert told["no_new_privileges"]
    assert told["limits"] == {
        "RLIMIT_AS": 1024 << 20, "RLIMIT_CPU": 3600, "RLIMIT_CORE": 0, "RLIMIT_FSIZE": 0,
        "RLIMIT_NOFILE": 64,
    }  # fmt: skip


# Reads a file of the user's, one of its own modules, writes, connects and starts a program.
_CURIOUS = """
import json, os, socket, sys
sys.path[:] = json.loads(sys.argv[1])["path"]
from pixseek.images import worker
decode = worker.decode_here
def curious(each, data, request):
    asked = json.loads(data)
    def can(do):
        try:
            do()
        except OSError:
            return False
        return True
    found = {
        "read": can(lambda: open(asked["marker"], "rb").read()),
        "list": can(lambda: os.listdir(os.path.dirname(asked["marker"]))),
        "write": can(lambda: open(asked["marker"] + ".new", "wb").close()),
        "connect": can(lambda: socket.create_connection(("127.0.0.1", asked["port"]), 5)),
        "start": can(lambda: os.posix_spawn(sys.executable, [sys.executable, "-V"], {})),
        "signal": can(lambda: os.kill(asked["parent"], 0)),
        "own module": can(lambda: open(worker.__file__, "rb").read(1)),
    }
    raise worker.ImageError("damaged", json.dumps(found))
worker.decode_here = curious
worker.main()
"""


def test_with_landlock_a_worker_reaches_nothing_of_the_users(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    landlockpy = pytest.importorskip("landlockpy")
    if landlockpy.abi_version() < 6:
        pytest.skip("the kernel has no Landlock, or an old one")
    isolation.shut_down()
    marker = tmp_path / "marker"
    marker.write_text("must not be read")
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setattr(isolation, "_START", _CURIOUS)
        asked = {"marker": str(marker), "port": server.getsockname()[1], "parent": os.getpid()}
        with pytest.raises(ImageError) as caught:
            ask(json.dumps(asked).encode())
    isolation.shut_down()
    found = json.loads(caught.value.problem)
    assert found.pop("own module")
    assert not any(found.values()), found


def test_a_worker_finds_every_decoder(tmp_path: Path) -> None:
    needed = {each for kind in FORMATS for each in (kind.module, kind.instead) if each}
    assert needed | {"rawpy", "tifffile"} <= set(PACKAGES)
    for name in PACKAGES:
        (tmp_path / f"with-{name}" / name).mkdir(parents=True)
    folders = [str(tmp_path / f"with-{name}") for name in PACKAGES]
    assert module_folders([*folders, str(tmp_path), ""]) == folders


def test_what_protects_from_decoders_is_what_their_worker_says() -> None:
    isolation.shut_down()
    found = isolation.protections()
    if sys.platform == "linux":
        assert {"limits", "no new privileges", "an end with pixseek"} <= set(found)


@pytest.mark.skipif(sys.platform != "linux", reason="Linux ends them with a thread")
def test_a_worker_outlives_the_thread_that_asked_for_it() -> None:
    isolation.shut_down()
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(decode, GOOD).result().width == 60
    first = isolation.workers()
    assert decode(GOOD).width == 60
    assert isolation.workers() == first != ()


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
@pytest.mark.parametrize("busy", [False, True])
def test_workers_end_with_their_parent(busy: bool) -> None:
    program = (
        "import os, sys, threading, time\n"
        "from pixseek.images import decode, isolation\n"
        "decode(bytes.fromhex(sys.argv[1]))\n"
        "print(*isolation.workers(), flush=True)\n"
        + ("import signal; os.kill(isolation.workers()[0], signal.SIGSTOP)\n" if busy else "")
        + "os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, GOOD.hex()], capture_output=True, timeout=120, check=False
    )
    worker = Path(f"/proc/{int(done.stdout)}")
    for _ in range(100):
        try:
            if "State:\tZ" in (worker / "status").read_text():
                break
        except OSError:  # it is gone
            break
        time.sleep(0.05)
    else:
        pytest.fail("the worker outlives its parent")
