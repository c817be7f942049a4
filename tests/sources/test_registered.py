"""A source that another package registers: its URLs are indexed as folders are."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import pixseek
from pixseek.errors import ConfigError, SourceError
from pixseek.sources import open_source
from pixseek.storage.ledger import Ledger
from pixseek.types import Root

from tiny_encoder import TinyEncoder

SOURCE = """
import io
from PIL import Image
from pixseek.types import Candidate, Item, Stamp

PAINTED = {"red.png": "red", "blue.png": "blue"}
opened = []

class Painted:
    def __init__(self, root):
        opened.append(root)
        self.root, self.prefixes = root, (root.name + "/",)
    def covers(self, uri):
        return uri.startswith(self.prefixes)
    def scan(self):
        for name, colour in PAINTED.items():
            yield Candidate(self.prefixes[0] + name, Stamp(0, 0), version=colour)
    def read(self, candidate):
        colour = PAINTED[candidate.uri.rpartition("/")[2]]
        buffer = io.BytesIO()
        Image.new("RGB", (40, 30), colour).save(buffer, "PNG")
        return Item(buffer.getvalue(), fields={"caption": "painted " + colour})
"""


@pytest.fixture
def painted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Install a distribution that registers the scheme "painted"."""
    site = tmp_path / "site"
    (site / "painted-1.0.dist-info").mkdir(parents=True)
    (site / "painted-1.0.dist-info" / "METADATA").write_text("Name: painted\nVersion: 1.0\n")
    (site / "painted-1.0.dist-info" / "entry_points.txt").write_text(
        "[pixseek.sources]\npainted = painted_source:Painted\n"
    )
    (site / "painted_source.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.delitem(sys.modules, "painted_source", raising=False)


@pytest.mark.usefixtures("painted")
def test_a_registered_source_is_indexed_by_its_url_and_by_later_runs(
    tmp_path: Path, tiny: TinyEncoder
) -> None:
    with pixseek.open(tmp_path / "photos.lib") as library:
        assert library.index("painted://two/walls").added == 2
        (root,) = library.roots()
        assert (root.name, root.kind, root.where) == ("walls", "painted", "painted://two/walls")
        best = library.search("blue", k=1)[0]
        assert (best.uri, best.path, best.record.caption) == (
            "walls/blue.png", None, "painted blue",
        )  # fmt: skip
        (status,) = library.status().roots
        assert (status.path, status.is_there, status.records) == ("painted://two/walls", True, 2)
    with pixseek.open(tmp_path / "photos.lib") as library:
        import painted_source  # type: ignore[import-not-found]

        assert library.index().unchanged == 2
        painted_source.PAINTED.pop("red.png")
        assert library.index("painted://two/walls").removed == 1
        assert library.remove(root="walls") == 1
        assert library.roots() == []
    assert tiny.embedded == 2


@pytest.mark.usefixtures("painted")
def test_a_url_that_nothing_reads_is_an_error_that_names_what_is_installed(
    tmp_path: Path, tiny: TinyEncoder
) -> None:
    with (
        pixseek.open(tmp_path / "photos.lib") as library,
        pytest.raises(SourceError, match="paintd://") as caught,
    ):
        library.index("paintd://walls")
    assert "'painted'" in caught.value.advice


def test_a_root_whose_package_is_gone_is_an_error_that_says_so() -> None:
    with pytest.raises(ConfigError, match="nothing-reads-this"):
        open_source(Root("r", "nothing-reads-this://x", kind="nothing-reads-this"))


def test_kind_and_options_of_a_root_are_kept(tmp_path: Path) -> None:
    root = Root("walls", "painted://a//b", ("",), (), "painted", {"columns": {"image": "url"}})
    ledger = Ledger(tmp_path)
    ledger.set_root(root, relative=True)
    ledger.set_root(Root("photos", str(tmp_path / "photos")), relative=True)
    ledger.close()
    ledger = Ledger(tmp_path)
    assert ledger.roots() == [Root("photos", str(tmp_path / "photos")), root]
    ledger.remove_root("walls")
    # A folder that later takes the name is a folder.
    ledger.set_root(Root("walls", str(tmp_path / "walls")), relative=False)
    assert {each.kind for each in ledger.roots()} == {"folder"}
    ledger.close()
