"""Writing XMP sidecars: readers find what was written, and everything else stays."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from defusedxml import minidom
from hypothesis import given
from hypothesis import strategies as st

from metadata.blocks import alternatives, bag, xmp_packet
from pixseek.metadata.fields import clean_text, split_tags
from pixseek.metadata.sidecar_writing import edited, write_xmp, xmp_sidecar
from pixseek.metadata.xmp import MAX_PACKET, read_xmp

# In the style of darktable and Lightroom: unusual prefixes, structures, comments, line breaks in
# attributes, several descriptions.
FULL = b"""<?xml version="1.0" encoding="UTF-8"?>
<!-- by hand -->
<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="XMP Core 4.4.0-Exiv2">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about=""
    xmlns:xap="http://ns.adobe.com/xap/1.0/"
    xmlns:dc="http://purl.org/dc/elements/1.1/"
    xmlns:lr="http://ns.adobe.com/lightroom/1.0/"
    xmlns:digiKam="http://www.digikam.org/ns/1.0/"
    xmlns:darktable="http://darktable.sf.net/"
   xap:Rating="2" darktable:note="one&#10;two" darktable:xmp_version="5">
   <darktable:history><rdf:Seq>
    <rdf:li darktable:operation="exposure" darktable:params="gz03eJxjYA&lt;"/>
   </rdf:Seq></darktable:history><!-- keep this -->
   <dc:subject><rdf:Bag><rdf:li>boat</rdf:li><rdf:li>Arezzo</rdf:li></rdf:Bag></dc:subject>
   <lr:hierarchicalSubject><rdf:Bag>
    <rdf:li>Places|Italy|Arezzo</rdf:li><rdf:li>Things|boat</rdf:li>
   </rdf:Bag></lr:hierarchicalSubject>
   <digiKam:TagsList><rdf:Seq>
    <rdf:li>Places/Italy/Arezzo</rdf:li><rdf:li>AC</rdf:li>
   </rdf:Seq></digiKam:TagsList>
  </rdf:Description>
  <rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/">
   <dc:description><rdf:Alt>
    <rdf:li xml:lang="x-default">a boat</rdf:li><rdf:li xml:lang="de">ein Boot</rdf:li>
   </rdf:Alt></dc:description>
   <dc:creator><rdf:Seq><rdf:li>Ann</rdf:li></rdf:Seq></dc:creator>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>"""

CHANGED = frozenset({"subject", "description", "Rating", "hierarchicalSubject", "TagsList"})


def others(packet: bytes) -> list[str]:
    """Everything in a packet that the tests don't change, in order, without white space."""
    found: list[str] = []

    def walk(node: Any) -> None:
        for child in node.childNodes:
            if child.nodeType == child.ELEMENT_NODE:
                if child.localName in CHANGED:
                    continue
                found.append(child.tagName)
                found.extend(
                    f"{name}={value}" for name, value in sorted(child.attributes.items())
                    if name.rpartition(":")[2] not in CHANGED
                )  # fmt: skip
            elif child.nodeType == child.COMMENT_NODE or child.data.strip():
                found.append(child.data.strip())
            walk(child)

    walk(minidom.parseString(packet))
    return found


def test_a_new_sidecar_holds_what_was_written() -> None:
    packet = edited(b"", caption="Ann & <Bob>\nat sea", rating=4, add=["boat", "Größe", "a|b"])
    found = read_xmp(packet, sidecar=True)
    assert (found.caption, found.tags) == ("Ann & <Bob>\nat sea", ("boat", "Größe", "b", "a|b"))
    assert found.fields == {"rating": 4}
    assert found.notes == []
    assert b"2020" not in packet and packet.startswith(b"<?xpacket begin=")


def test_nothing_to_write_creates_no_packet() -> None:
    assert edited(b"") == edited(b"", caption="", rating=0, otherwise=["boat"]) == b""
    assert edited(b"", remove=["boat"], otherwise=["boat"]) == b""


def test_everything_else_in_a_packet_stays() -> None:
    after = edited(FULL, caption="two boats", rating=-1, add=["sea"], remove=["AREZZO"])
    assert others(after) == others(FULL)
    assert b'darktable:note="one&#10;two"' in after
    assert after.startswith(b'<?xml version="1.0" encoding="UTF-8"?>\n<!-- by hand -->')
    found = read_xmp(after, sidecar=True)
    assert found.caption == "two boats"
    assert found.tags == ("boat", "sea", "Things|boat", "AC")
    assert found.fields["rating"] == -1
    assert b'<rdf:li xml:lang="de">ein Boot</rdf:li>' in after
    assert b"xap:Rating" not in after  # the old rating


def test_captions_ratings_and_tags_are_removed() -> None:
    after = edited(FULL, caption="", rating=0, remove=["boat", "arezzo", "ac"])
    assert others(after) == others(FULL)
    found = read_xmp(after, sidecar=True)
    # The caption in another language stays.
    assert (found.caption, found.tags, found.fields.get("rating")) == ("ein Boot", (), None)
    assert b"dc:subject" not in after and b"TagsList" not in after


def test_writing_the_same_twice_changes_nothing() -> None:
    for packet in (FULL, b"", FULL.decode().encode("utf-16")):
        once = edited(packet, caption="c", rating=3, add=["x", "y"], remove=["boat"])
        assert edited(once, caption="c", rating=3, add=["x", "y"], remove=["boat"]) == once
        assert read_xmp(once).tags[-1:] != ()


def test_the_images_own_tags_are_written_too_if_the_sidecar_has_none() -> None:
    packet = xmp_packet(attributes='xmp:Rating="2"')
    found = read_xmp(edited(packet, add=["c"], remove=["b"], otherwise=["a", "b"]))
    assert found.tags == ("a", "c")
    found = read_xmp(edited(xmp_packet(bag("dc:subject", "z")), add=["c"], otherwise=["a", "b"]))
    assert found.tags == ("z", "c")


@pytest.mark.parametrize(
    "packet",
    [
        xmp_packet("<dc:subject>boat, sea, lake</dc:subject>"),
        xmp_packet(attributes='dc:subject="boat, sea, lake"'),
        xmp_packet(bag("dc:subject", "boat", "sea", "lake", kind="Seq")),
    ],
)
def test_tags_are_changed_in_every_form(packet: bytes) -> None:
    assert read_xmp(packet).tags == ("boat", "sea", "lake")
    assert read_xmp(edited(packet, add=["wind"], remove=["Sea"])).tags == ("boat", "lake", "wind")


def test_an_item_with_a_comma_stays_one_when_others_change() -> None:
    packet = edited(xmp_packet(bag("dc:subject", "Smith, John")), add=["wind"])
    assert read_xmp(packet).tags == ("Smith, John", "wind")
    assert read_xmp(edited(packet, remove=["Smith, John"])).tags == ("wind",)


@pytest.mark.parametrize(
    "packet",
    [
        xmp_packet("<dc:description>old</dc:description>"),
        xmp_packet(attributes='dc:description="old"'),
        xmp_packet(alternatives("dc:description", x_default="old")),
        xmp_packet(bag("dc:description", "old", kind="Alt")),
    ],
)
def test_captions_are_changed_in_every_form(packet: bytes) -> None:
    assert read_xmp(packet).caption == "old"
    assert read_xmp(edited(packet, caption="new")).caption == "new"
    assert read_xmp(edited(packet, caption="")).caption == ""


@pytest.mark.parametrize(
    "packet",
    [
        b"no XML", b"<a/>", b"<x:xmpmeta/>", FULL[:400], b"\xff\xfe\x00",
        b"<!DOCTYPE a [<!ENTITY b 'c'>]>" + FULL.partition(b"\n")[2],
        FULL + b" " * MAX_PACKET,
    ],
)  # fmt: skip
def test_a_file_that_is_not_xmp_is_refused_and_left_unchanged(
    packet: bytes, tmp_path: Path
) -> None:
    sidecar = tmp_path / "a.xmp"
    sidecar.write_bytes(packet)
    with pytest.raises(ValueError):
        write_xmp(sidecar, rating=3)
    assert sidecar.read_bytes() == packet
    assert [each.name for each in tmp_path.iterdir()] == ["a.xmp"]


@given(
    st.sampled_from([b"", FULL, xmp_packet()]),
    st.text(max_size=50),
    st.integers(-1, 5),
    st.lists(st.text(max_size=10), max_size=4),
)
def test_what_is_written_is_read_back(
    packet: bytes, text: str, rating: int, tags: list[str]
) -> None:
    caption = clean_text(text, 5000, lines=True)
    cleaned = split_tags(piece for tag in tags for piece in tag.split(","))
    after = edited(packet, caption=f"c {caption}", rating=rating, add=cleaned)
    if not after:
        return
    found = read_xmp(after, sidecar=True)
    assert found.caption == clean_text(f"c {caption}", 5000, lines=True)
    assert found.fields.get("rating") == (rating or None)
    folded = {tag.casefold() for tag in found.tags}
    assert {tag.casefold() for tag in cleaned} <= folded
    if packet:
        assert others(after) == others(packet)


@pytest.mark.parametrize(
    "tail", [b"\0" * 300, b"\n</x:xmpmeta>", xmp_packet(bag("dc:subject", "old")), b"<rdf:RDF>"]
)
def test_remains_behind_a_packet_are_dropped(tail: bytes) -> None:
    packet = xmp_packet(bag("dc:subject", "boat"), wrapped=False) + tail
    after = edited(packet, add=["lake"], rating=3)
    assert read_xmp(after).tags == ("boat", "lake")
    assert b"old" not in after
    assert edited(after, add=["lake"], rating=3) == after


# ------------------------------------------------------------------ files


@pytest.mark.parametrize(
    ("there", "chosen"),
    [
        ([], "photo.jpg.xmp"), (["photo.xmp"], "photo.xmp"), (["photo.jpg.XMP"], "photo.jpg.XMP"),
        (["photo.xmp", "photo.jpg.xmp"], "photo.jpg.xmp"), (["photo.jpg.txt"], "photo.jpg.xmp"),
        (["PHOTO.XMP"], "PHOTO.XMP"), (["photo.JPG.xmp"], "photo.JPG.xmp"),
        (["photo.JPG", "photo.JPG.xmp"], "photo.jpg.xmp"),  # that of another photo
    ],
)  # fmt: skip
def test_an_existing_sidecar_is_used(tmp_path: Path, there: list[str], chosen: str) -> None:
    for name in there:
        (tmp_path / name).touch()
    assert xmp_sidecar(tmp_path / "photo.jpg").name == chosen


@pytest.mark.skipif(os.name == "nt", reason="links need special rights on Windows")
def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    target, link = tmp_path / "kept" / "a.xmp", tmp_path / "a.xmp"
    target.write_bytes(FULL)
    link.symlink_to(target)
    written = write_xmp(link, rating=5)
    assert link.is_symlink() and target.read_bytes() == written != FULL


@pytest.mark.skipif(os.name == "nt", reason="links need special rights on Windows")
def test_a_sidecar_is_written_only_below_its_folder(tmp_path: Path) -> None:
    """Neither through links, existing or dangling, nor over a file with a foreseeable name."""
    root, mine = tmp_path / "root", tmp_path / "mine.txt"
    root.mkdir()
    mine.write_bytes(FULL)
    within = str(root)
    for target in (mine, tmp_path / "new.xmp"):
        (root / "a.xmp").symlink_to(target)
        with pytest.raises(OSError, match="out of its folder"):
            write_xmp(root / "a.xmp", rating=5, within=within)
        (root / "a.xmp").unlink()
    assert not (tmp_path / "new.xmp").exists()
    (root / ".b.xmp.unfinished").symlink_to(mine)
    write_xmp(root / "b.xmp", rating=5, within=within)
    assert mine.read_bytes() == FULL
    assert sorted(os.listdir(root)) == [".b.xmp.unfinished", "b.xmp"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no pipes in folders")
@pytest.mark.timeout(20)
def test_a_pipe_in_place_of_a_sidecar_is_an_error(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.xmp")
    with pytest.raises(OSError, match="a pipe"):
        write_xmp(tmp_path / "a.xmp", rating=5, within=str(tmp_path))


@pytest.mark.parametrize("levels", [101, 50_000])
def test_elements_that_lie_too_deep_are_refused(levels: int) -> None:
    inner = b"<a>" * levels + b"</a>" * levels
    deep = FULL.replace(b"</rdf:Description>", inner + b"</rdf:Description>", 1)
    assert deep != FULL
    with pytest.raises(ValueError, match="deep in one another"):
        edited(deep, rating=5)


@pytest.mark.skipif(shutil.which("exiftool") is None, reason="exiftool is not installed")
def test_exiftool_reads_what_was_written(tmp_path: Path) -> None:
    new, full = tmp_path / "new.xmp", tmp_path / "full.xmp"
    full.write_bytes(FULL)
    for sidecar in (new, full):
        write_xmp(sidecar, caption="Größe & more", rating=5, add=["boat", "sea"])
    for sidecar, tags in ((new, "boat, sea"), (full, "boat, Arezzo, sea")):
        done = subprocess.run(
            ["exiftool", "-s3", "-XMP-dc:Description", "-XMP-xmp:Rating", "-XMP-dc:Subject",
             "-Warning", "-Error", str(sidecar)], capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert done.stdout.splitlines() == ["Größe & more", "5", tags]
