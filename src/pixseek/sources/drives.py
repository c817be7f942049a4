"""What tells one drive from another, and whether a drive says what changes on it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path


def drive_of(folder: Path) -> str:
    """Return what tells the file system of a folder from others.

    Two sticks that are plugged in one after the other have the same device number, so the number
    that the file system has of itself counts too. If it has none of its own (FAT, exFAT, XFS), its
    size does.

    Raises:
        OSError: the folder is not there.
    """
    device = os.stat(folder).st_dev
    if not hasattr(os, "statvfs"):  # Windows, whose device number is the volume's own
        return str(device)
    found = os.statvfs(folder)
    own = found.f_fsid
    if own & 0xFFFFFFFF == device & 0xFFFFFFFF:
        own = found.f_blocks * found.f_frsize
    return f"{device}-{own}"


#: File systems that others write to as well, without the system of this machine hearing of it.
_REMOTE = frozenset(
    "9p afpfs afs beegfs ceph cifs davfs drvfs glusterfs gpfs lustre ncpfs nfs nfs3 nfs4 ocfs2 "
    "orangefs prl_fs smb3 smbfs vboxsf virtiofs vmhgfs webdav".split()
)


def gives_events(folder: Path) -> bool:
    """Return whether the system hears of all that changes in a folder.

    It does not on network drives and on folders that virtual machines share, where other machines
    write. If it can't be told, the system is taken at its word.
    """
    if sys.platform == "win32":
        return not _is_remote_on_windows(folder)
    return not is_remote(kind_of_file_system(os.path.realpath(folder), _mounts()))


def is_remote(kind: str) -> bool:
    """Return whether a kind of file system, as the system calls it, is one of other machines."""
    kind, _, within = kind.lower().partition(".")
    return kind in _REMOTE or (kind == "fuse" and within not in ("", "bindfs", "mergerfs"))


def kind_of_file_system(path: str, mounts: Iterable[tuple[str, str]]) -> str:
    """Return the kind of the file system that a path is on; "" if that can't be told.

    Args:
        path: absolute and resolved.
        mounts: where file systems are mounted, each with its kind; of two at the same place the
            later one counts.
    """
    longest, kind = "", ""
    for place, found in mounts:
        within = path == place or path.startswith(place.rstrip("/") + "/")
        if within and len(place) >= len(longest):
            longest, kind = place, found
    return kind


def _mounts() -> Iterator[tuple[str, str]]:
    """Yield where file systems are mounted, each with its kind."""
    try:
        if sys.platform == "linux":
            text = Path("/proc/self/mounts").read_text(encoding="utf-8", errors="surrogateescape")
            yield from mounts_of_linux(text)
        elif sys.platform == "darwin":
            done = subprocess.run(["/sbin/mount"], capture_output=True, timeout=5, check=False)
            yield from mounts_of_macos(os.fsdecode(done.stdout))
    except (OSError, subprocess.SubprocessError):
        return


def mounts_of_linux(text: str) -> Iterator[tuple[str, str]]:
    """Yield the mounts of /proc/self/mounts, in which spaces are written as numbers."""
    for line in text.splitlines():
        parts = line.split(" ")
        if len(parts) > 2:
            place = parts[1]
            for code, letter in (("040", " "), ("011", "\t"), ("012", "\n"), ("134", "\\")):
                place = place.replace(f"\\{code}", letter)
            yield place, parts[2]


def mounts_of_macos(text: str) -> Iterator[tuple[str, str]]:
    """Yield the mounts of what `mount` prints: `//me@nas/photos on /Volumes/photos (smbfs, …)`."""
    for line in text.splitlines():
        head, bracket, kind = line.rpartition(" (")
        _, on, place = head.partition(" on ")
        if bracket and on:
            yield place, kind.partition(",")[0].rstrip(")")


def _is_remote_on_windows(folder: Path) -> bool:
    import ctypes

    drive = os.path.splitdrive(os.path.realpath(folder))[0]
    if drive.startswith("\\\\"):
        return True
    remote = 4
    return bool(ctypes.windll.kernel32.GetDriveTypeW(f"{drive}\\") == remote)  # type: ignore[attr-defined,unused-ignore]
