"""Any bytes are read without exceptions, in little time and memory, into documented fields."""

from __future__ import annotations

import struct
import time
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metadata.blocks import exif_block, iptc_block, read, xmp_packet

# Pillow warns about broken blocks; these tests call readers without decoding, which silences it.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")

VALID_EXIF = exif_block(
    {0x010F: "Canon", 0x0110: "Canon EOS", 0x010E: "a boat", 0x9C9E: "a;b".encode("utf-16-le")},
    {0x9003: "2021:05:03 14:22:33", 0x829D: 2.8, 0x9286: b"ASCII\0\0\0hello"},
    {1: "N", 2: (43.0, 28.0, 2.8), 3: "E", 4: (11.0, 53.0, 6.4), 7: (1.0, 2.0, 3.0)},
)
VALID_XMP = xmp_packet(
    "<dc:subject><rdf:Bag><rdf:li>a|b</rdf:li></rdf:Bag></dc:subject>",
    attributes='xmp:Rating="3" exif:GPSLatitude="43,28N" exif:GPSLongitude="11,53E"',
)
VALID_IPTC = iptc_block((1, 90, b"\x1b%G"), (2, 25, b"boat"), (2, 55, b"20210503"))


def mangled(valid: bytes) -> st.SearchStrategy[bytes]:
    """A valid block with some bytes changed, and perhaps its end missing."""

    def mangle(changes: list[tuple[int, int]], end: int) -> bytes:
        block = bytearray(valid)
        for at, value in changes:
            block[at % len(block)] = value
        return bytes(block[: len(block) - end % len(block)])

    byte = st.tuples(st.integers(0, 1 << 16), st.integers(0, 255))
    return st.builds(mangle, st.lists(byte, max_size=12), st.just(0) | st.integers(0, 1 << 16))


@settings(max_examples=200, deadline=None)
@given(
    st.binary(max_size=300) | mangled(VALID_EXIF),
    st.binary(max_size=300) | mangled(VALID_XMP),
    st.binary(max_size=300) | mangled(VALID_IPTC),
    st.binary(max_size=100),
    st.binary(max_size=100) | mangled(b'{"tags": ["a"], "geoData": {"latitude": 1}}'),
)
def test_any_bytes_are_read_without_an_exception(
    exif: bytes, xmp: bytes, iptc: bytes, text: bytes, data: bytes
) -> None:
    sidecars = {"a.txt": text, "a.json": data, "a.xmp": xmp[::-1]}
    read(exif=exif, xmp=xmp, iptc=iptc, sidecars=sidecars)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(["II", "MM"]), st.lists(st.binary(min_size=12, max_size=12), max_size=30))
def test_any_exif_directory_is_read_without_an_exception(order: str, entries: list[bytes]) -> None:
    ends = "<" if order == "II" else ">"
    head = struct.pack(f"{ends}2sHL", order.encode(), 42, 8)
    read(exif=head + struct.pack(f"{ends}H", len(entries)) + b"".join(entries) + bytes(64))


def billion_laughs(kind: str) -> bytes:
    entities = "".join(
        f'<!ENTITY l{n} "{f"&l{n - 1};" * 10 if n else "lol" * 100}">' for n in range(10)
    )
    packet = xmp_packet("<dc:title>&l9;</dc:title>", wrapped=False).decode()
    external = '<!ENTITY l9 SYSTEM "file:///etc/passwd">'
    return f"<!DOCTYPE x [{external if kind == 'external' else entities}]>{packet}".encode()


def overlapping_directory(tags: int, size: int) -> bytes:
    """A directory in which the value of every tag is the whole block."""
    entries = b"".join(struct.pack("<HHLL", tag + 1, 7, size, 0) for tag in range(tags))
    return (struct.pack("<2sHLH", b"II", 42, 8, tags) + entries).ljust(size, b"\0")


def endless_directories() -> bytes:
    """Directories that point to themselves."""
    entries = [(0x8769, 4, 1, 8), (0x8825, 4, 1, 8), (0xA005, 4, 1, 8), (0xA001, 3, 1, 0xFFFF)]
    block = struct.pack("<2sHLH", b"II", 42, 8, len(entries))
    return block + b"".join(struct.pack("<HHLL", *each) for each in entries) + struct.pack("<L", 8)


HOSTILE = {
    "billion laughs": {"xmp": billion_laughs("internal")},
    "external entity": {"xmp": billion_laughs("external")},
    "10 MB of XMP": {"xmp": xmp_packet("<dc:title>" + "x" * 10_000_000 + "</dc:title>")},
    "deep XMP": {"xmp": xmp_packet("<dc:title>" * 150_000 + "</dc:title>" * 150_000)},
    "deep regions": {"xmp": xmp_packet(
        "<mwg-rs:Regions>" + "<mwg-rs:a>" * 80_000 + "</mwg-rs:a>" * 80_000 + "</mwg-rs:Regions>")},
    "many elements": {"xmp": xmp_packet("<dc:a/>" * 200_000)},
    "many tags": {"xmp": xmp_packet(
        "<dc:subject><rdf:Bag>" + "<rdf:li>a|b;c,</rdf:li>" * 60_000 + "</rdf:Bag></dc:subject>")},
    "one long tag": {"xmp": xmp_packet(f"<dc:subject>{'a,|;' * 300_000}</dc:subject>")},
    "unfinished document": {"xmp": b"<a:RDF " * 250_000},
    "overlapping values": {"exif": overlapping_directory(5_000, 65_000)},
    "large overlapping values": {"exif": overlapping_directory(65_535, 1 << 20)},
    "endless directories": {"exif": endless_directories()},
    "many IPTC datasets": {"iptc": iptc_block((2, 25, b"")) * 400_000},
    "one IPTC dataset": {"iptc": b"\x1c\x02\x78\x80\x04\x00\xff\xff\xff" + b"a" * 0xFFFFFF},
    "deep JSON": {"sidecars": {"a.json": b'{"a":' * 200_000}},
    "a long name": {"name": "2021-" * 100_000},
}  # fmt: skip


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_blocks_take_little_time(case: str) -> None:
    read()  # imports
    began = time.perf_counter()
    found = read(**HOSTILE[case])  # type: ignore[arg-type]
    took_s = time.perf_counter() - began
    assert took_s < 5  # usually far below one second, but test machines are busy
    assert found.taken_at is None
    assert "lol" not in str(found.fields) and "root:" not in str(found.fields)


@pytest.mark.parametrize("case", ["overlapping values", "large overlapping values", "deep XMP"])
def test_hostile_blocks_take_little_memory(case: str) -> None:
    read()
    tracemalloc.start()
    try:
        read(**HOSTILE[case])  # type: ignore[arg-type]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 100_000_000


def test_ignored_blocks_leave_a_note() -> None:
    assert read(exif=b"II*\0garbage").notes
    assert read(xmp=b"<not xml").notes == ("broken XMP ignored (ParseError)",)
    assert read(xmp=billion_laughs("internal")).notes == ("broken XMP ignored (DTDForbidden)",)
    assert read(sidecars={"a.json": b"{"}).notes == ("broken a.json ignored (JSONDecodeError)",)
    assert read(xmp=xmp_packet("x" * 10_000_000)).notes == ("XMP of 10.0 MB ignored",)


def test_text_is_cleaned_and_cut() -> None:
    text = "a\0b\x1b[31m\u202e\ud800c\ufffe" + "x" * 20_000
    found = read(
        sidecars={"a.json": f'{{"caption": "{text[:2]}", "title": "x"}}'.encode()},
        iptc=iptc_block(
            (2, 120, b"\x1b[31mred\x00\x07"), (2, 90, b"x" * 5000), (2, 25, b"y" * 500)
        ),
    )
    assert found.caption == "[31mred"
    assert found.fields["city"] == "x" * 1000
    assert found.tags == ("y" * 200,)
