"""Files in users' folders lead nowhere else: what is opened, replaced and named."""

from __future__ import annotations

import errno
import os
import socket
import stat
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pixseek import files

posix = pytest.mark.skipif(os.name == "nt", reason="links and pipes need a POSIX system")
pytestmark = pytest.mark.timeout(20)  # what must never hang


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder of a stranger, next to a file of the user."""
    (tmp_path / "secret.txt").write_bytes(b"secret")
    made = tmp_path / "root"
    (made / "below").mkdir(parents=True)
    (made / "below" / "a.txt").write_bytes(b"inside")
    return made


def test_a_regular_file_is_read_up_to_the_limit(root: Path) -> None:
    path = root / "below" / "a.txt"
    assert files.read(path, 6, within=root) == b"inside"
    assert files.beginning(path, 2, within=root) == b"in"
    with pytest.raises(files.TooLargeError) as caught:
        files.read(path, 5)
    assert caught.value.strerror == "it has more than 5 bytes"
    (root / "empty").touch()
    assert files.read(root / "empty", 5, within=root) == b""


@posix
@pytest.mark.parametrize("kind", ["pipe", "socket", "folder", "device", "link to a device"])
def test_what_is_not_a_file_is_refused_at_once(
    root: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = root / "x"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        monkeypatch.chdir(root)  # the names of sockets are short
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind("x")
    elif kind == "folder":
        path.mkdir()
    elif kind == "device":
        path = Path("/dev/zero")
    else:
        path.symlink_to("/dev/zero")
    with pytest.raises(files.NotRegularError):
        files.read(path, 10)


@posix
@pytest.mark.parametrize(
    ("link", "target", "path", "is_refused"),
    [
        ("a", "../secret.txt", "a", True),
        ("a", "below/../../secret.txt", "a", True),
        ("below/up", "../..", "below/up/secret.txt", True),
        ("below/up", "..", "below/up/below/a.txt", False),
        ("a", "below/a.txt", "a", False),
        ("a", "../root/below/a.txt", "a", False),
    ],
)
def test_links_are_followed_within_the_folder_only(
    root: Path, link: str, target: str, path: str, is_refused: bool
) -> None:
    (root / link).symlink_to(target)
    assert files.is_inside(root / path, root) is not is_refused
    if is_refused:
        with pytest.raises(files.OutsideError):
            files.read(root / path, 100, within=root)
    else:
        assert files.read(root / path, 100, within=root) == b"inside"


@posix
def test_a_folder_that_is_reached_by_another_name_is_the_same(root: Path) -> None:
    (root.parent / "other").symlink_to(root)
    assert files.read(root / "below" / "a.txt", 9, within=root.parent / "other") == b"inside"
    assert not files.is_inside(root.parent / "secret.txt", root)


@posix
@pytest.mark.parametrize("is_dangling", [False, True])
def test_writing_goes_through_no_link_that_leads_out(root: Path, is_dangling: bool) -> None:
    target = root.parent / ("new.txt" if is_dangling else "secret.txt")
    (root / "a").symlink_to(target)
    with pytest.raises(files.OutsideError), files.replacing(root / "a", within=root):
        pass
    with files.replacing(root / "a") as file:  # named by the user: the link itself is replaced
        file.write(b"mine")
    assert not (root / "a").is_symlink()
    assert (root / "a").read_bytes() == b"mine"
    if is_dangling:
        assert not target.exists()
    else:
        assert target.read_bytes() == b"secret"


@posix
def test_writing_replaces_what_a_link_within_the_folder_leads_to(root: Path) -> None:
    (root / "a").symlink_to("below/a.txt")
    with files.replacing(root / "a", within=root) as file:
        file.write(b"new")
    assert (root / "a").is_symlink()
    assert (root / "below" / "a.txt").read_bytes() == b"new"


@posix
def test_a_replaced_file_keeps_its_mode_and_a_new_one_has_the_usual(root: Path) -> None:
    before = os.umask(0o027)
    try:
        (root / "below" / "a.txt").chmod(0o604)
        for name in ("below/a.txt", "new"):
            with files.replacing(root / name, within=root) as file:
                file.write(b"x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((root / "below" / "a.txt").stat().st_mode) == 0o604
    assert stat.S_IMODE((root / "new").stat().st_mode) == 0o640


def test_what_fails_leaves_the_old_file_and_nothing_else(root: Path) -> None:
    with pytest.raises(KeyboardInterrupt), files.replacing(root / "below" / "a.txt") as file:
        file.write(b"half")
        raise KeyboardInterrupt
    assert os.listdir(root / "below") == ["a.txt"]
    assert (root / "below" / "a.txt").read_bytes() == b"inside"


@posix
def test_a_file_is_moved_below_a_folder_and_replaces_nothing(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def on_another_drive(*_: object) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    into, mine = root.parent / "into", root.parent / "mine"
    for number in (0, 1):
        source = root / f"{number}.jpg"
        source.write_bytes(b"x")
        os.utime(source, (1e9, 1e9))
        target = into / "a" / f"{number}.jpg"
        files.move(source, target, into=into)
        assert target.read_bytes() == b"x" and target.stat().st_mtime == 1e9
        assert not source.exists()
        (into / "taken").symlink_to("nothing") if not number else None
        with pytest.raises(FileExistsError):
            files.move(root / "below" / "a.txt", into / "taken", into=into)
        monkeypatch.setattr(os, "rename", on_another_drive)
    (into / "out").symlink_to("../mine")
    mine.mkdir()
    for place in ("out/a.txt", "out/new/a.txt"):
        with pytest.raises(files.OutsideError):
            files.move(root / "below" / "a.txt", into / place, into=into)
    (into / "file").touch()
    for place in (into / "file", into / "file" / "below"):
        with pytest.raises(NotADirectoryError):
            files.move(root / "below" / "a.txt", place / "a.txt", into=place)
    assert not os.listdir(mine) and (root / "below" / "a.txt").exists()


@posix
def test_a_pipe_of_the_process_is_read(root: Path) -> None:
    reading, writing = os.pipe()
    try:
        os.write(writing, b"content")
        os.close(writing)
        (root / "link").symlink_to(f"/dev/fd/{reading}")
        with pytest.raises(files.NotRegularError):
            files.read(root / "link", 100)
        assert files.read(f"/dev/fd/{reading}", 100) == b"content"
    finally:
        os.close(reading)


@posix
def test_a_pipe_is_not_replaced(root: Path) -> None:
    os.mkfifo(root / "a")
    for within in (None, root):
        with pytest.raises(files.NotRegularError), files.replacing(root / "a", within=within):
            pass
    with files.replacing("/dev/null") as file:  # an output that the user names
        file.write(b"x")


@given(
    st.text("a./\\:\0 é", max_size=12)
    | st.lists(st.sampled_from(["", ".", "..", "a", "...", "b c"]), max_size=5).map("/".join)
)
@example("a/../../b")
@example("/etc")
@example("a//b")
@example("")
def test_a_path_that_stays_inside_never_leads_above_its_folder(relative: str) -> None:
    if files.stays_inside(relative):
        whole = os.path.normpath(os.path.join("/r", relative))
        assert whole.startswith(os.path.join(os.path.normpath("/r"), ""))
        assert whole == os.path.join(os.path.normpath("/r"), *relative.split("/"))
    else:
        assert {"", ".", ".."} & set(relative.split("/")) or set("\0\\: .") & set(relative)
