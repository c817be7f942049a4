"""What a decoder's worker process is given, and what it gives up before it reads a file.

None of this makes a decoder that was taken over harmless. The limits bound what it can use up. If
the package landlockpy is installed and the kernel has Landlock, the worker also can't read the
user's files, write any, start programs or open TCP connections; without it, it can do what the
user can. `confine` returns what is in force.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Mapping, Sequence

#: Variables that a worker keeps, or their beginnings: where libraries and fonts are, the language,
#: and the kernel that OpenBLAS is told to use. No tokens, proxies or addresses.
_KEPT = (
    "HOME", "LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH",
    "DYLD_FALLBACK_LIBRARY_PATH", "FONTCONFIG_FILE", "FONTCONFIG_PATH", "OPENBLAS_",
)  # fmt: skip
_KEPT_ON_WINDOWS = ("PATH", "SYSTEMROOT", "WINDIR", "SYSTEMDRIVE", "TEMP", "TMP", "LOCALAPPDATA")

#: What a worker sets for itself: each glibc arena and each thread of OpenBLAS takes tens of MiB of
#: address space.
_SET = {"MALLOC_ARENA_MAX": "2", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

#: Packages that a worker imports; of `sys.path` it keeps the entries that hold one of them.
PACKAGES = (
    "pixseek", "PIL", "numpy", "defusedxml", "pillow_heif", "pi_heif", "pylibjxl", "rawpy",
    "resvg_py", "tifffile", "landlockpy", "av",
)  # fmt: skip

#: Maximum open files; decoding needs a dozen.
_MOST_FILES = 64

#: Maximum seconds of processor time in the life of a worker. It is replaced well before.
MOST_CPU_S = 3600

#: What decoders read besides Python's own folders: shared libraries, fonts, the time zone, and what
#: threads ask about the processor.
_SYSTEM = (
    "/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/nix/store", "/gnu/store",
    "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/fonts", "/etc/localtime",
    "/usr/share/fonts", "/usr/local/share/fonts", "/usr/share/fontconfig", "/usr/share/zoneinfo",
    "/dev/null", "/dev/urandom", "/sys/devices/system/cpu", "/proc/cpuinfo", "/proc/meminfo",
)  # fmt: skip
_OWN_FONTS = ("~/.fonts", "~/.local/share/fonts", "~/.config/fontconfig")

_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38


def environment(given: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of a worker, out of those of this process."""
    kept = (*_KEPT, *_KEPT_ON_WINDOWS) if os.name == "nt" else _KEPT
    names = [
        name
        for name in given
        if name.upper() in kept or any(name.startswith(k) for k in kept if k.endswith("_"))
    ]
    return {**{name: given[name] for name in names}, **_SET}


def module_folders(path: Sequence[str]) -> list[str]:
    """Return the entries of `sys.path` that a worker needs, as absolute paths.

    Python's own, and those that hold a package which a worker imports: not the folder of the
    user's script, whose modules would be imported in place of others.
    """
    own = tuple({os.path.realpath(each) for each in (sys.base_prefix, sys.prefix)})
    found = []
    for each in path:
        folder = os.path.abspath(each)
        real = os.path.realpath(folder)
        is_own = any(real == prefix or real.startswith(prefix + os.sep) for prefix in own)
        if each and (
            is_own or any(os.path.exists(os.path.join(folder, name)) for name in PACKAGES)
        ):
            found.append(folder)
    return found


def confine(
    memory_mib: int, parent: int, folders: Sequence[str], *, cpu_s: int = MOST_CPU_S,
    writes: bool = False,
) -> list[str]:  # fmt: skip
    """Restrain this process, which must be a worker: it can't be undone.

    Args:
        memory_mib: maximum address space.
        parent: process id of the program that started it, with which it ends.
        folders: where its modules are.
        cpu_s: maximum processor time, in seconds.
        writes: whether it may write into files that it was given open.

    Returns:
        What is in force, of "limits", "no new privileges", "an end with pixseek" and "Landlock".
    """
    done = []
    if _limit(memory_mib, cpu_s, writes=writes):
        done.append("limits")
    if sys.platform == "linux":
        import ctypes
        import signal

        prctl = ctypes.CDLL(None).prctl
        if prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0) == 0:
            if os.getppid() != parent:  # it ended before that
                os._exit(1)
            done.append("an end with pixseek")
        if prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0:
            done.append("no new privileges")
        if _landlock(folders):
            done.append("Landlock")
    return done


def _limit(memory_mib: int, cpu_s: int, *, writes: bool) -> bool:
    """Limit memory, processor time and open files; forbid core dumps and writing files.

    The number of processes isn't limited: Linux counts those of the user, and threads with them.
    """
    try:
        import resource
    except ImportError:  # Windows
        return False
    wanted = {
        "RLIMIT_AS": memory_mib << 20,
        "RLIMIT_CPU": cpu_s,
        "RLIMIT_NOFILE": _MOST_FILES,
        "RLIMIT_FSIZE": 0,
        "RLIMIT_CORE": 0,
    }
    if writes:
        del wanted["RLIMIT_FSIZE"]
    for name, value in wanted.items():
        # macOS refuses some of these; the time limit still holds there.
        with contextlib.suppress(AttributeError, ValueError, OSError):
            kind = getattr(resource, name)
            _, hard = resource.getrlimit(kind)
            most = value if hard == resource.RLIM_INFINITY else min(value, hard)
            resource.setrlimit(kind, (most, most))
    return True


def allow_cpu(seconds: float) -> None:
    """Allow this process so many more seconds of processor time; the system then ends it."""
    try:
        import resource
        import time
    except ImportError:  # Windows
        return
    with contextlib.suppress(ValueError, OSError):
        _, hard = resource.getrlimit(resource.RLIMIT_CPU)
        most = int(time.process_time() + seconds) + 1
        resource.setrlimit(resource.RLIMIT_CPU, (min(most, hard), hard))


def _landlock(folders: Sequence[str]) -> bool:
    """Let this process read its libraries and fonts and nothing else; return whether it holds."""
    try:
        import landlockpy
    except ImportError:
        return False
    reads = landlockpy.AccessFS.READ_FILE | landlockpy.AccessFS.READ_DIR
    paths = [*folders, sys.prefix, sys.base_prefix, *_SYSTEM, *map(os.path.expanduser, _OWN_FONTS)]
    try:
        if not landlockpy.supported():
            return False
        scopes = landlockpy.Scope.ABSTRACT_UNIX_SOCKET | landlockpy.Scope.SIGNAL
        with landlockpy.Ruleset(scoped=scopes) as rules:
            for path in paths:
                is_folder = os.path.isdir(path)
                if is_folder or os.path.exists(path):
                    rules.allow_path(path, reads if is_folder else landlockpy.AccessFS.READ_FILE)
            rules.restrict()
    except (OSError, ValueError, RuntimeError):
        return False
    return True
