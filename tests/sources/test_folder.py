"""Walking folders: what is offered, what is skipped, and what is never taken as deleted."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from pixseek.errors import ConfigError, ImageError, SourceError, SourceVanishedError
from pixseek.sources.folder import FolderSource
from pixseek.types import Candidate, Failure, Item, Stamp


def make(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * (len(name) + 1))


def scan(source: FolderSource) -> tuple[list[Candidate], list[Failure]]:
    events = list(source.scan())
    return (
        [event for event in events if isinstance(event, Candidate)],
        [event for event in events if isinstance(event, Failure)],
    )


def found(source: FolderSource) -> list[str]:
    return [candidate.uri for candidate in scan(source)[0]]


def test_offers_images_of_all_folders_in_order_with_their_stamps(tmp_path: Path) -> None:
    make(tmp_path, "b/two.PNG", "a.jpg", "b/c/three.heic", "notes.txt", "b/list.csv")
    source = FolderSource("pics", tmp_path)
    candidates, failures = scan(source)
    assert [c.uri for c in candidates] == [
        "pics/a.jpg",
        "pics/b/two.PNG",
        "pics/b/c/three.heic",
    ]
    status = (tmp_path / "a.jpg").stat()
    assert candidates[0].stamp == Stamp(status.st_size, status.st_mtime_ns)
    assert failures == []
    assert [event for event in source.scan() if isinstance(event, int)][-1] == 5  # looked at


def test_hidden_files_and_system_files_are_skipped(tmp_path: Path) -> None:
    make(
        tmp_path,
        "good.jpg",
        ".hidden.jpg",
        "._good.jpg",
        ".cache/x.jpg",
        "@eaDir/good.jpg",
        "$RECYCLE.BIN/x.jpg",
        "__MACOSX/good.jpg",
        "System Volume Information/x.jpg",
        "Thumbs.db",
    )
    assert found(FolderSource("r", tmp_path)) == ["r/good.jpg"]


def test_excludes_follow_gitignore(tmp_path: Path) -> None:
    make(tmp_path, "a.jpg", "a.gif", "shots/1.jpg", "shots/keep/2.jpg", "deep/shots/3.jpg")
    assert found(FolderSource("r", tmp_path, exclude=["*.gif", "/shots/*", "!/shots/keep"])) == [
        "r/a.jpg",
        "r/deep/shots/3.jpg",
        "r/shots/keep/2.jpg",
    ]


def test_an_ignore_file_applies_to_its_folder_and_below(tmp_path: Path) -> None:
    make(tmp_path, "x.jpg", "sub/x.jpg", "sub/y.jpg", "sub/deep/x.jpg", "other/x.jpg")
    (tmp_path / "sub" / ".pixseekignore").write_text("# not these\nx.jpg\n")
    everything = ["r/x.jpg", "r/other/x.jpg", "r/sub/y.jpg"]
    assert found(FolderSource("r", tmp_path)) == everything
    # Also when the scan begins below it.
    assert found(FolderSource("r", tmp_path, ["sub/deep"])) == []


def test_a_bad_pattern_in_a_file_is_named_with_its_line(tmp_path: Path) -> None:
    make(tmp_path, "sub/a.jpg")
    (tmp_path / "sub" / ".pixseekignore").write_text("*.gif\n\n!\n")
    with pytest.raises(ConfigError) as caught:
        found(FolderSource("r", tmp_path))
    place = tmp_path / "sub" / ".pixseekignore"
    assert caught.value.subject == f"{place}, line 3: !"
    with pytest.raises(ConfigError) as caught:
        FolderSource("r", tmp_path, exclude=["*.gif", "!"])
    assert caught.value.subject == "!"


def test_a_bad_pattern_raises_config_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="!"):
        FolderSource("r", tmp_path, exclude=["!"])


def test_scopes_limit_the_scan_and_the_uris_it_covers(tmp_path: Path) -> None:
    make(tmp_path, "a/1.jpg", "ab/2.jpg", "c/3.jpg", "c/notes.txt")
    source = FolderSource("r", tmp_path, ["a", "c/notes.txt", "a/deeper"])
    # A file that is named is taken whatever its name.
    assert sorted(found(source)) == ["r/a/1.jpg", "r/c/notes.txt"]
    assert source.covers("r/a/gone.jpg")
    assert source.covers("r/c/notes.txt")
    assert not source.covers("r/ab/2.jpg")
    assert not source.covers("r/c/3.jpg")
    assert not source.covers("r/c/notes.txt.jpg")


def test_links_are_followed_and_a_loop_ends(tmp_path: Path) -> None:
    make(tmp_path, "real/1.jpg")
    (tmp_path / "real" / "loop").symlink_to(tmp_path)
    (tmp_path / "linked.jpg").symlink_to(tmp_path / "real" / "1.jpg")
    (tmp_path / "nothing.jpg").symlink_to(tmp_path / "not-there")
    assert found(FolderSource("r", tmp_path)) == ["r/linked.jpg", "r/real/1.jpg"]


@pytest.fixture
def stranger(tmp_path: Path) -> Path:
    """A folder with links that lead out of it, next to files of the user."""
    mine, root = tmp_path / "mine", tmp_path / "root"
    make(mine, "private/p.jpg", "p.xmp", "ignored")
    make(root, "a.jpg", "b.jpg", "sub/c.jpg")
    (mine / "ignored").write_text("*.jpg")
    for name, target in {
        "out.jpg": "../mine/private/p.jpg", "out": "../mine/private", "b.xmp": "../mine/p.xmp",
        "other.txt": "../mine/p.xmp", "sub/.pixseekignore": "../../mine/ignored",
        "in.jpg": "sub/c.jpg", "back": "../root/sub", "nothing.jpg": "../mine/nothing.jpg",
    }.items():  # fmt: skip
        (root / name).symlink_to(target)
    return root


@pytest.mark.skipif(sys.platform == "win32", reason="links need special rights on Windows")
def test_links_that_lead_out_of_the_root_are_failures(stranger: Path) -> None:
    candidates, failures = scan(FolderSource("r", stranger))
    # "back" and "sub" are one folder, which is walked once.
    assert [c.uri for c in candidates] == ["r/a.jpg", "r/b.jpg", "r/in.jpg", "r/back/c.jpg"]
    assert {(f.uri, f.reason) for f in failures} == {
        ("r/out.jpg", "outside"),
        ("r/out/", "outside"),
        ("r/b.xmp", "outside"),
        ("r/back/.pixseekignore", "outside"),
    }
    assert "--follow-links" in failures[0].advice
    assert candidates[1].sidecars == ()
    named, unnamed = scan(FolderSource("r", stranger, ["out.jpg", "out", "back"]))
    assert [c.uri for c in named] == ["r/back/c.jpg"]
    assert {f.uri for f in unnamed} == {"r/out.jpg", "r/out/", "r/back/.pixseekignore"}


@pytest.mark.skipif(sys.platform == "win32", reason="links need special rights on Windows")
def test_with_follow_links_all_links_are_followed(stranger: Path) -> None:
    candidates, failures = scan(FolderSource("r", stranger, follow_links=True))
    assert not failures
    assert [(c.uri, c.sidecars) for c in candidates] == [
        ("r/a.jpg", ()), ("r/b.jpg", ("b.xmp",)), ("r/in.jpg", ()), ("r/out.jpg", ()),
        ("r/out/p.jpg", ()),
    ]  # fmt: skip


@pytest.mark.skipif(sys.platform == "win32", reason="links need special rights on Windows")
def test_a_link_that_appears_after_the_scan_is_not_followed(stranger: Path) -> None:
    source = FolderSource("r", stranger)
    found = {each.uri: each for each in scan(source)[0]}
    (stranger / "b.xmp").unlink()
    make(stranger, "b.xmp")
    named = replace(found["r/b.jpg"], sidecars=("b.xmp",))
    assert len(source.read(named).sidecars) == 1
    for name, target in {"a.jpg": "../mine/private/p.jpg", "b.xmp": "../mine/p.xmp"}.items():
        (stranger / name).unlink()
        (stranger / name).symlink_to(target)
    assert source.read(named).sidecars == ()
    with pytest.raises(ImageError) as caught:
        source.read(found["r/a.jpg"])
    assert caught.value.reason == "outside"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pipes in folders")
@pytest.mark.timeout(20)
def test_pipes_never_hang_a_scan(tmp_path: Path) -> None:
    make(tmp_path, "a.jpg", "sub/b.jpg")
    for name in ("p.jpg", "a.xmp", "sub/.pixseekignore", "noending"):
        os.mkfifo(tmp_path / name)
    (tmp_path / "link.jpg").symlink_to("p.jpg")
    source = FolderSource("r", tmp_path)
    candidates, failures = scan(source)
    assert [c.uri for c in candidates] == ["r/a.jpg", "r/sub/b.jpg"]
    assert [(f.uri, f.reason) for f in failures] == [
        ("r/a.xmp", "not-a-file"),
        ("r/link.jpg", "not-a-file"),
        ("r/p.jpg", "not-a-file"),
        ("r/sub/.pixseekignore", "not-a-file"),
    ]
    assert source.read(candidates[0]).sidecars == ()


@pytest.mark.parametrize("scope", ["..", "../other", "/etc", "a/../../b", "a//b"])
def test_a_scope_outside_of_the_root_is_refused(tmp_path: Path, scope: str) -> None:
    with pytest.raises(SourceError, match="outside of its folder"):
        FolderSource("r", tmp_path, [scope])
    make(tmp_path, "outside/1.jpg", "root/2.jpg")
    included = FolderSource("r", tmp_path / "root", include=["/../outside/1.jpg", "/../outside/"])
    assert found(included) == ["r/2.jpg"]


def test_odd_names_are_kept(tmp_path: Path) -> None:
    names = ["Zürich ☃.jpg", "a b\tc.jpg", "quote'\".jpg", "-rf.jpg", "new\nline.jpg", "日本.jpg"]
    make(tmp_path, *names)
    assert sorted(found(FolderSource("r", tmp_path))) == sorted(f"r/{name}" for name in names)


@pytest.mark.skipif(sys.platform != "linux", reason="file names are text elsewhere")
def test_a_name_that_is_not_text_is_a_failure_and_the_scan_goes_on(tmp_path: Path) -> None:
    make(tmp_path, "good.jpg")
    (Path(os.fsdecode(os.fsencode(tmp_path) + b"/bad\xff.jpg"))).write_bytes(b"x")
    candidates, failures = scan(FolderSource("r", tmp_path))
    assert [c.uri for c in candidates] == ["r/good.jpg"]
    assert [(f.uri, f.reason) for f in failures] == [("r/bad\\xff.jpg", "bad-name")]


def test_a_missing_root_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    source = FolderSource("drive", tmp_path / "unplugged")
    with pytest.raises(SourceVanishedError) as caught:
        scan(source)
    assert "pixseek remove --root drive" in caught.value.advice


def test_a_root_that_vanishes_during_reading_differs_from_a_missing_file(
    tmp_path: Path,
) -> None:
    root = tmp_path / "drive"
    make(root, "1.jpg", "2.jpg")
    source = FolderSource("r", root)
    first, second = scan(source)[0]
    assert source.read(first) == Item(b"x" * 6)
    (root / "1.jpg").unlink()
    with pytest.raises(ImageError) as missing:
        source.read(first)
    assert missing.value.reason == "missing"
    root.rename(tmp_path / "elsewhere")
    with pytest.raises(SourceVanishedError):
        source.read(second)


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="needs root on Linux")
def test_an_unmounted_drive_is_noticed_though_its_empty_folder_stays(tmp_path: Path) -> None:
    mount = tmp_path / "drive"
    mount.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", mount], capture_output=True, check=False
    )
    if made.returncode:
        pytest.skip(f"mounting is not allowed here: {made.stderr.decode().strip()}")
    try:
        make(mount, "1.jpg")
        source = FolderSource("r", mount)
        (candidate,) = scan(source)[0]
    finally:
        subprocess.run(["umount", mount], check=True)
    with pytest.raises(SourceVanishedError):
        source.read(candidate)


def _as_ordinary_user() -> None:
    # Root reads everything: without these two capabilities it is held to permissions.
    libc = ctypes.CDLL(None)
    for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
        libc.prctl(24, capability)  # PR_CAPBSET_DROP


@pytest.mark.skipif(sys.platform != "linux", reason="permissions are tested on Linux")
def test_an_unreadable_folder_is_a_failure_and_its_records_are_kept(tmp_path: Path) -> None:
    make(tmp_path, "open/1.jpg", "shut/2.jpg", "3.jpg")
    (tmp_path / "shut").chmod(0)
    (tmp_path / "3.jpg").chmod(0)
    code = """
import sys
from dataclasses import replace
from pathlib import Path
from pixseek.errors import ImageError
from pixseek.sources.folder import FolderSource
from pixseek.types import Candidate, Failure
source = FolderSource("r", Path(sys.argv[1]))
events = list(source.scan())
offered = [event for event in events if isinstance(event, Candidate)]
print([c.uri for c in offered], [(f.uri, f.reason) for f in events if isinstance(f, Failure)])
try:
    source.read(offered[0])
except ImageError as error:
    print(error.reason)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path],
        capture_output=True,
        text=True,
        preexec_fn=_as_ordinary_user,
        check=False,
    )
    (tmp_path / "shut").chmod(0o700)
    assert done.stdout.splitlines() == [
        "['r/3.jpg', 'r/open/1.jpg'] [('r/shut/', 'no-permission')]",
        "no-permission",
    ], done.stderr


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    with pytest.raises(ImageError) as caught:
        FolderSource("r", tmp_path).read(Candidate("r/x.jpg", Stamp(10**12, 0)))
    assert caught.value.reason == "too-large"


@pytest.mark.slow
def test_a_hundred_thousand_named_files_are_one_source(tmp_path: Path) -> None:
    make(tmp_path, "deep/a/1.jpg", "deep/a/1.xmp", "deep/b/2.jpg", "deep/b/3.jpg")
    named = [f"deep/a/{n}.jpg" for n in range(50_000)] + [f"deep/b/{n}.jpg" for n in range(50_000)]
    source = FolderSource("r", tmp_path, named)
    # A name that is not a file stands for a missing folder: everything below it is unknown.
    assert source.prefixes == ("r/deep/",)
    assert source.covers("r/deep/a/1.jpg")
    assert not source.covers("r/deep/c/1.jpg")


def test_named_files_are_offered_with_their_sidecars(tmp_path: Path) -> None:
    make(tmp_path, "a/1.jpg", "a/1.xmp", "a/2.jpg", "b/3.jpg", "b/4.jpg")
    source = FolderSource("r", tmp_path, ["b/3.jpg", "a/1.jpg"])
    candidates, failures = scan(source)
    assert [(c.uri, c.sidecars) for c in candidates] == [
        ("r/a/1.jpg", ("1.xmp",)),
        ("r/b/3.jpg", ()),
    ]
    assert failures == []
    assert source.read(candidates[0]).sidecars == (("1.xmp", b"x" * 8),)


def test_an_image_whose_sidecars_can_not_be_read_is_offered_without(tmp_path: Path) -> None:
    make(tmp_path, "1.jpg")
    (tmp_path / "1.jpg.xmp").mkdir()
    (tmp_path / "1.json").symlink_to(tmp_path / "gone")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "1.txt")
    source = FolderSource("r", tmp_path)
    candidates, failures = scan(source)
    # A folder, or a link to nothing, is no sidecar.
    assert [f.uri for f in failures] == (["r/1.txt"] if hasattr(os, "mkfifo") else [])
    assert source.read(candidates[0]).sidecars == ()


def test_a_named_file_that_goes_away_is_a_failure(tmp_path: Path) -> None:
    make(tmp_path, "1.jpg", "2.jpg")
    source = FolderSource("r", tmp_path, ["1.jpg", "2.jpg"])
    (tmp_path / "1.jpg").unlink()
    candidates, failures = scan(source)
    assert [c.uri for c in candidates] == ["r/2.jpg"]
    assert [(f.uri, f.reason) for f in failures] == [("r/1.jpg", "missing")]
