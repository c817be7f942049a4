"""A library reads, writes, moves and opens nothing outside of its roots, whatever URIs it holds."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import pixseek
from pixseek.errors import StorageError
from pixseek.library.places import path_in
from pixseek.types import Compare, Record, Root, record_id

from tiny_encoder import TinyEncoder, draw

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="links need special rights there")


@pytest.fixture
def library(tmp_path: Path, tiny: TinyEncoder) -> Iterator[pixseek.Library]:
    """A library of one folder, next to pictures of the user that are not in it."""
    del tiny
    draw(tmp_path / "root" / "a.png", "red")
    draw(tmp_path / "root" / "b.png", "green")
    draw(tmp_path / "mine" / "p.png", "blue")
    with pixseek.open(tmp_path / "a.lib") as opened:
        opened.index(tmp_path / "root", previews=False)
        yield opened


def foreign(library: pixseek.Library, uri: str) -> Record:
    """Store a record with a URI that no run gives, as a library of a stranger may hold it."""
    [vectors] = library.opened.engine.vectors([record_id("root/a.png")])
    [stored] = library.opened.engine.get([record_id("root/a.png")])
    assert stored is not None and vectors is not None
    record = replace(stored, id=record_id(uri), uri=uri, stamp=None, digest="")
    library.opened.engine.put([record], vectors)
    return record


@pytest.mark.parametrize(
    "uri",
    ["root/../mine/p.png", "root//MINE", "MINE", "root/./../mine/p.png", "root/a.png/../b.png",
     "unknown/p.png", "../mine/p.png", "file://MINE"],
)  # fmt: skip
def test_a_uri_that_leaves_its_root_names_no_file(
    library: pixseek.Library, tmp_path: Path, uri: str
) -> None:
    mine = tmp_path / "mine" / "p.png"
    record = foreign(library, uri.replace("MINE", str(mine)))
    assert library.locate(record) is None
    assert library.original(record) is None and library.file_of(record) is None
    assert [hit.path for hit in library.search(where=Compare("id", "eq", record.id))] == [None]
    with pytest.raises(StorageError, match="not a file of this machine"):
        library.tag(record.id, rating=5, write_xmp=True)
    assert os.listdir(tmp_path / "mine") == ["p.png"]


@pytest.mark.parametrize("link", ["root/link.png", "root/out/p.png"])
def test_a_link_that_leads_out_is_neither_read_nor_written_nor_moved(
    library: pixseek.Library, tmp_path: Path, link: str
) -> None:
    (tmp_path / "root" / "link.png").symlink_to("../mine/p.png")
    (tmp_path / "root" / "out").symlink_to("../mine")
    record = foreign(library, link)
    assert library.original(record) is None and library.file_of(record) is None
    [hit] = results = library.search(where=Compare("id", "eq", record.id))
    assert results.content(hit) is None
    with pytest.raises(StorageError, match="a link in it leads out of its folder"):
        library.tag(record.id, rating=5, write_xmp=True)
    assert os.listdir(tmp_path / "mine") == ["p.png"]
    library.index(tmp_path / "root", follow_links=True)
    assert library.original(record) == (tmp_path / "mine" / "p.png").read_bytes()
    library.index(tmp_path / "root", follow_links=False)
    assert library.original(record) is None


def test_what_was_indexed_through_links_stays(library: pixseek.Library, tmp_path: Path) -> None:
    (tmp_path / "root" / "out").symlink_to("../mine")
    assert library.index(follow_links=True).added == 1
    report = library.index(follow_links=False)
    assert (report.removed, report.unchanged) == (0, 3)
    assert [(each.uri, each.reason) for each in report.failures] == [("root/out/", "outside")]
    assert len(library) == 3
    assert not library.index(follow_links=True).failures


def test_a_link_that_is_named_is_a_root_of_its_own(
    library: pixseek.Library, tmp_path: Path
) -> None:
    """A folder that the user names may be a link, also one within an indexed folder."""
    (tmp_path / "root" / "out").symlink_to("../mine")
    (tmp_path / "root" / "sub").mkdir()
    library.remove(root="root")
    assert library.index(tmp_path / "root" / "out").added == 1
    report = library.index(tmp_path / "root")
    assert (report.added, report.removed, report.failures) == (2, 0, ())
    assert {root.name for root in library.roots()} == {"out", "root"}
    [record] = [hit.record for hit in library.search(where="root:out")]
    assert library.uri_of(tmp_path / "root" / "out" / "p.png") == record.uri == "out/p.png"
    assert library.original(record) is not None
    assert library.index().unchanged == 3


@given(st.text("a./\\:\0é~ ", max_size=12), st.booleans())
def test_every_path_of_a_uri_lies_in_its_root(relative: str, follow_links: bool) -> None:
    root = Root("r", "/place/r", follow_links=follow_links)
    path = path_in({"r": root}, f"r/{relative}")
    assert path is None or Path(os.path.normpath(path)).is_relative_to("/place/r")
    assert path_in({"r": root}, relative) is None or relative.startswith("r/")


@pytest.mark.timeout(30)
@pytest.mark.parametrize("name", ["a.xmp", "a.png.xmp", "A.XMP"])
@pytest.mark.parametrize("kind", ["pipe", "link to a pipe", "dangling link", "link to a file"])
def test_what_stands_in_place_of_a_sidecar_is_said_and_not_written(
    library: pixseek.Library, tmp_path: Path, name: str, kind: str
) -> None:
    sidecar, mine = tmp_path / "root" / name, tmp_path / "mine" / "p.png"
    if kind == "pipe":
        os.mkfifo(sidecar)
    elif kind == "link to a pipe":
        os.mkfifo(tmp_path / "root" / "pipe")
        sidecar.symlink_to("pipe")
    else:
        sidecar.symlink_to(mine if kind == "link to a file" else tmp_path / "new.xmp")
    before = mine.read_bytes()
    chosen = name == "a.png.xmp" or kind != "dangling link"
    if chosen:
        with pytest.raises(StorageError, match=r"An XMP sidecar can't be written \((it is|a link)"):
            library.tag(record_id("root/a.png"), rating=5, write_xmp=True)
    else:  # a link to nothing is no sidecar, so that one with the usual name is written
        library.tag(record_id("root/a.png"), rating=5, write_xmp=True)
        assert (tmp_path / "root" / "a.png.xmp").is_file()
    assert mine.read_bytes() == before and not (tmp_path / "new.xmp").exists()
    reasons = [each.reason for each in library.index().failures]
    assert reasons == ["not-a-file" if "pipe" in kind else "outside"]
