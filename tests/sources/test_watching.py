"""Which changed paths have come to rest, what the system refuses, and which drives give events."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from pixseek.errors import SourceError
from pixseek.sources import drives
from pixseek.sources.watching import Changes, Quiet


def test_a_file_that_is_being_written_is_not_due_until_it_is_quiet(tmp_path: Path) -> None:
    quiet, file = Quiet(0.5, 10), tmp_path / "a.jpg"
    file.write_bytes(b"1")
    quiet.note(str(file), 0.0)
    assert quiet.due(0.4) == ([], {str(file)})
    file.write_bytes(b"12")  # and no event comes
    assert quiet.due(0.6) == ([], {str(file)})
    assert quiet.due(1.0) == ([], {str(file)})
    assert quiet.due(1.2) == ([str(file)], set())
    assert (quiet.due(9.0), len(quiet)) == (([], set()), 0)


def test_one_file_that_is_written_does_not_hold_up_the_others(tmp_path: Path) -> None:
    quiet = Quiet(0.5, 10)
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(b"1")
        quiet.note(str(tmp_path / name), 0.0)
    quiet.note(str(tmp_path / "b"), 0.4)
    assert quiet.due(0.6) == ([str(tmp_path / "a")], {str(tmp_path / "b")})


def test_what_is_gone_and_new_folders_wait_for_files_that_are_written(tmp_path: Path) -> None:
    quiet = Quiet(0.5, 10)
    folder, other, gone = tmp_path / "new", tmp_path / "other", tmp_path / "gone.jpg"
    folder.mkdir()
    other.mkdir()
    file = folder / "a.jpg"
    file.write_bytes(b"1")
    for path in (folder, other, gone):
        quiet.note(str(path), 0.0)
    for tenth in range(20):  # a copy that goes on
        quiet.note(str(file), tenth / 10)
    assert quiet.due(2.0) == ([str(other)], {str(file)})
    quiet.note(str(file), 10.0)
    assert quiet.due(10.1) == ([str(folder), str(gone)], {str(file)})
    assert quiet.due(11.0) == ([str(file)], set())


@pytest.mark.parametrize(
    ("error", "problem", "advice"),
    [
        (
            OSError('OS file watch limit reached. about ["/p"]'),
            "limit of watched folders is reached",
            "fs.inotify.max_user_watches=",
        ),
        (
            OSError("Too many open files (os error 24) about []"),
            "limit of watching programs is reached",
            "fs.inotify.max_user_instances=",
        ),
        (OSError("Function not implemented (os error 38)"), "can't watch", "--poll"),
        (FileNotFoundError("No path was found."), "is gone", "run again"),
    ],
)
def test_what_the_system_refuses_is_said_in_three_parts(
    error: OSError, problem: str, advice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise error
        yield

    monkeypatch.setattr("watchfiles.watch", refuse)
    changes = Changes([Path("/a b")], [], poll_s=1, stop=threading.Event())
    with pytest.raises(SourceError) as said:
        changes.begin()
    assert problem in said.value.problem
    assert said.value.subject == "'/a b'"
    assert advice in said.value.advice


@pytest.mark.parametrize(
    ("kind", "remote"),
    [
        ("ext4", False), ("btrfs", False), ("overlay", False), ("tmpfs", False), ("apfs", False),
        ("fuseblk", False), ("fuse.bindfs", False), ("", False), ("exfat", False),
        ("nfs", True), ("nfs4", True), ("cifs", True), ("smb3", True), ("smbfs", True),
        ("fuse.sshfs", True), ("fuse.rclone", True), ("9p", True), ("NFS4", True),
    ],
)  # fmt: skip
def test_network_drives_are_told_by_their_kind(kind: str, remote: bool) -> None:
    assert drives.is_remote(kind) == remote


def test_the_innermost_mount_counts() -> None:
    linux = drives.mounts_of_linux(
        "/dev/sda1 / ext4 rw 0 0\nnas:/p /mnt/my\\040nas nfs4 rw 0 0\n"
        "/dev/sdb1 /mnt/my\\040nas/local ext4 rw 0 0\nbroken\n"
        "auto /auto autofs rw 0 0\nnas:/q /auto cifs rw 0 0\n"
    )
    mounts = list(linux)
    for path, kind in (
        ("/home", "ext4"), ("/mnt/my nas", "nfs4"), ("/mnt/my nas/a", "nfs4"),
        ("/mnt/my nas/local/b", "ext4"), ("/mnt/my nas2", "ext4"), ("/auto/x", "cifs"),
    ):  # fmt: skip
        assert drives.kind_of_file_system(path, mounts) == kind, path
    macos = drives.mounts_of_macos(
        "/dev/disk1s1 on / (apfs, local)\n//me@nas/p on /Volumes/my p (smbfs, nodev)\nno\n"
    )
    assert drives.kind_of_file_system("/Volumes/my p/a", macos) == "smbfs"
    assert drives.kind_of_file_system("/a", []) == ""


def test_a_folder_of_this_machine_gives_events(tmp_path: Path) -> None:
    assert drives.gives_events(tmp_path)
