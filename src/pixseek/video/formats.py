"""Which files are videos: by the endings that make them candidates, and by their content."""

from __future__ import annotations

#: File name endings of candidates for indexing; the content then decides.
EXTENSIONS = frozenset(
    f".{ending}"
    for ending in (
        "mp4 m4v mov qt 3gp 3g2 mkv webm avi ts mts m2ts mpg mpeg vob wmv asf flv f4v ogv mxf"
    ).split()
)

#: Endings of MPEG transport streams that are those of TypeScript too: the content decides.
SHARED_ENDINGS = frozenset({".ts", ".mts"})

#: Bytes of a file's beginning that `media` needs.
BEGINNING = 4096

#: Media types by the major brand of an ISO file, or its beginning.
_BRANDS = {b"qt  ": "video/quicktime", b"3g": "video/3gpp", b"M4V": "video/x-m4v"}

#: Major brands that are not videos: images, and music.
_OTHERS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1", b"avif", b"avis",
           b"crx ", b"M4A ", b"M4B ", b"M4P ", b"jp2 ", b"jpx ", b"jxl ")  # fmt: skip

_SIGNATURES = (
    (b"\x00\x00\x01\xba", "video/mpeg"),
    (b"\x00\x00\x01\xb3", "video/mpeg"),
    (b"FLV\x01", "video/x-flv"),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "video/x-ms-wmv"),
    (b"\x06\x0e\x2b\x34\x02\x05\x01\x01\x0d\x01\x02", "video/mxf"),
)

#: Length of a packet of a transport stream, and what stands before each on Blu-ray and cameras.
_PACKET, _TIMECODE = 188, 4


def media(beginning: bytes) -> str:
    """Return the media type of a video by the first bytes of its file; "" if it is not one.

    Args:
        beginning: at least `BEGINNING` bytes, or the whole file.
    """
    kind = beginning[4:8]
    if kind == b"ftyp":
        brand = beginning[8:12]
        if brand in _OTHERS:
            return ""
        return next((m for b, m in _BRANDS.items() if brand.startswith(b)), "video/mp4")
    if kind in (b"moov", b"mdat", b"wide", b"pnot"):
        return "video/quicktime"  # from before brands
    if beginning.startswith(b"\x1a\x45\xdf\xa3"):
        return "video/webm" if b"webm" in beginning[:64] else "video/x-matroska"
    if beginning[:4] == b"RIFF" and beginning[8:12] == b"AVI ":
        return "video/x-msvideo"
    if beginning[:4] == b"OggS" and b"theora" in beginning[:128]:
        return "video/ogg"
    for signature, found in _SIGNATURES:
        if beginning.startswith(signature):
            return found
    for before in (0, _TIMECODE):
        marks = beginning[before :: _PACKET + before][:5]
        if len(marks) >= 3 and set(marks) == {0x47}:
            return "video/mp2t"
    return ""
