import contextlib
import gc
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import pixseek
from pixseek.cli.process import no_garbage_collector

from tiny_encoder import draw

_LOAD_NUMPY = """
import os
from pixseek.cli.process import one_blas_thread
with one_blas_thread():
    pass
print(len(os.listdir("/proc/self/task")), os.environ.get("OPENBLAS_NUM_THREADS"))
"""


def python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"}
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env={**kept, **environment},
    )


def left(code: str) -> subprocess.CompletedProcess[str]:
    """Run code in a process that ends by `leave`."""
    body = "".join(f"    {line}\n" for line in code.splitlines())
    return python(
        f"import sys\nfrom pixseek.cli.process import leave\ntry:\n{body}"
        "except SystemExit as end:\n    leave(end)\n"
    )


@pytest.mark.skipif(sys.platform != "linux", reason="threads are counted in /proc")
def test_numpy_is_loaded_with_one_thread_and_the_environment_is_restored() -> None:
    assert python(_LOAD_NUMPY).stdout.split() == ["1", "None"]


@pytest.mark.skipif(sys.platform != "linux", reason="threads are counted in /proc")
def test_a_number_of_threads_set_by_the_user_stays() -> None:
    assert python(_LOAD_NUMPY, OPENBLAS_NUM_THREADS="1").stdout.split() == ["1", "1"]


@pytest.mark.parametrize("was_on", [True, False])
def test_the_garbage_collector_is_restored_after_an_error(was_on: bool) -> None:
    before = gc.isenabled()
    (gc.enable if was_on else gc.disable)()
    try:
        with pytest.raises(ValueError), no_garbage_collector():
            assert not gc.isenabled()
            raise ValueError
        assert gc.isenabled() == was_on
    finally:
        (gc.enable if before else gc.disable)()


@pytest.mark.parametrize(
    ("end", "code"), [("sys.exit()", 0), ("sys.exit(0)", 0), ("sys.exit(7)", 7)]
)
def test_leaving_writes_all_output_and_keeps_the_exit_code(end: str, code: int) -> None:
    done = left(f"print('x' * 100_000)\nprint('note', file=sys.stderr)\n{end}")
    assert (done.returncode, len(done.stdout), done.stderr) == (code, 100_001, "note\n")


def test_leaving_skips_the_teardown_of_modules_unless_a_profiler_watches() -> None:
    code = (
        "import os\n"
        "class Last:\n"
        "    def __del__(self, write=os.write): write(1, b'torn down')\n"
        "kept = Last()\n"
        "sys.exit()"
    )
    assert left(code).stdout == ""
    assert left(f"sys.setprofile(lambda *_: None)\n{code}").stdout == "torn down"


def test_leaving_runs_what_was_registered_to_run_at_exit() -> None:
    done = left("import atexit\natexit.register(print, 'last words')\nsys.exit(3)")
    assert (done.returncode, done.stdout) == (3, "last words\n")


def test_leaving_waits_for_threads_at_work() -> None:
    done = left(
        "import threading, time\n"
        "threading.Thread(target=lambda: (time.sleep(0.2), print('done'))).start()\n"
        "sys.exit(2)"
    )
    assert (done.returncode, done.stdout) == (2, "done\n")


def test_a_message_as_exit_code_is_printed() -> None:
    done = left("sys.exit('it failed')")
    assert (done.returncode, done.stderr) == (1, "it failed\n")


def test_ctrl_c_during_the_first_imports_is_no_traceback() -> None:
    done = python(
        "import sys\n"
        "class Interrupting:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'pixseek.cli.options': raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Interrupting())\n"
        "from pixseek.__main__ import run\n"
        "run()"
    )
    assert (done.returncode, done.stderr) == (130, "\nStopped.\n")


def in_a_shell(command: str, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    """Run a command line of a shell, in which `pixseek` is this one."""
    return subprocess.run(
        ["sh", "-c", f'pixseek() {{ "$PYTHON" -m pixseek --library "$LIBRARY" "$@"; }}; {command}'],
        env={**os.environ, "PYTHON": sys.executable, "LIBRARY": str(tmp_path / "photos.lib")},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def red_library(tmp_path: Path) -> Path:
    draw(tmp_path / "pictures" / "1.png", "red", 1)
    with pixseek.open(tmp_path / "photos.lib", model="demo") as library:
        library.index(tmp_path / "pictures")
    return tmp_path


@pytest.mark.skipif(os.name == "nt", reason="a POSIX shell closes the streams")
@pytest.mark.parametrize("command", ["search red", "status", "index --json", "index --from-file -"])
def test_closed_streams_are_no_error(command: str, red_library: Path) -> None:
    done = in_a_shell(f"pixseek {command} >&- 2>&- <&-", red_library)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a system without /dev/full")
@pytest.mark.parametrize("command", ["search red", "search red --json", "status", "index"])
def test_output_that_does_not_fit_on_its_disk_is_said(command: str, red_library: Path) -> None:
    done = in_a_shell(f"pixseek {command} >/dev/full", red_library)
    assert done.returncode == 3
    assert "Error: The output can't be written (No space left on device)" in done.stderr


#: `pixseek`, in which a function waits in C for what never comes; signals do not wake it.
_HANGING = """
import ctypes, os, sys, threading
import {module} as module
mutex = ctypes.create_string_buffer(64)
lock = ctypes.CDLL(None).pthread_mutex_lock
def hang(*_, **__):
    os.write(1, b"hanging")
    lock(mutex), lock(mutex)
def hang_in_a_thread(*_, **__):
    threading.Thread(target=lambda: (lock(mutex), lock(mutex))).start()
    os.write(1, b"hanging")
    sys.exit(0)
module.{name} = {how}
from pixseek.__main__ import run
run()
"""

_OPEN = ("pixseek.library.facade", "Library.open")
_LINES = [
    ("index", "Photos"), ("search", "red"), ("search", "year:2024"), ("similar", "x.jpg"),
    ("duplicates",), ("duplicates", "--move", "x", "-y"), ("list",), ("show", "x"), ("status",),
    ("failures",), ("tag", "x", "--add", "y"), ("tag", "--zero-shot", "a"), ("classify", "a", "b"),
    ("reindex", "--model", "demo"), ("export", "x.npz"), ("import", "x.npz"), ("forget",),
    ("remove", "x"), ("saved",),
]  # fmt: skip


def await_sleep(pid: int) -> None:
    """Wait until the main thread of a process waits for something."""
    stat = Path(f"/proc/{pid}/stat")
    time.sleep(0.05)
    while stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "R":
        time.sleep(0.05)


@pytest.mark.skipif(os.name == "nt", reason="no SIGINT to another process")
@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("line", "where", "how"),
    [
        (("index", "Photos"), ("pixseek.encoders", "load"), "hang"),
        (("search", "red"), _OPEN, "hang"),
        (("status",), _OPEN, "hang_in_a_thread"),
        *(pytest.param(line, _OPEN, how, marks=pytest.mark.slow)
          for line in _LINES for how in ("hang", "hang_in_a_thread")),
    ],
)  # fmt: skip
def test_the_second_signal_ends_a_command_that_hangs(
    tmp_path: Path, line: tuple[str, ...], where: tuple[str, str], how: str
) -> None:
    draw(tmp_path / "Photos" / "a.png", "red")
    (tmp_path / "x.npz").touch()
    (tmp_path / "a").write_text("a lake")
    code = _HANGING.format(module=where[0], name=where[1], how=how)
    for first, second in ((signal.SIGINT, signal.SIGINT), (signal.SIGINT, signal.SIGTERM)):
        with subprocess.Popen(
            [sys.executable, "-c", code, *line, "--library", "a.lib"],
            cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        ) as process:  # fmt: skip
            assert process.stdout is not None
            assert process.stdout.read(7) == b"hanging"
            await_sleep(process.pid)
            process.send_signal(first)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.3)
            if how == "hang":
                assert process.poll() is None
            process.send_signal(second)
            try:
                assert process.wait(10) in (128 + second, -second, 0, 130)
            finally:
                process.kill()
