"""The table of formats: how each is recognised, what decodes it, what must be installed.

A format is recognised by content, never by file name. To add one, add a row.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Literal

from pixseek.errors import ImageError
from pixseek.images import boxes, tiffheader
from pixseek.types.dataclass import dataclass

Family = Literal["pillow", "heif", "jxl", "svg", "raw"]

#: The extra that installs every decoder missing from the base install.
EXTRA = "formats"


@dataclass(frozen=True, slots=True)
class Format:
    """One format.

    Attributes:
        name: display name.
        media: media type of its files.
        endings: file name endings that make a file a candidate; its content then decides.
        family: which decoder of this package reads it.
        signature: returns whether content has this format.
        plugin: module and class of Pillow's reader, for the family "pillow".
        package: distribution that decodes it; "" if Pillow does.
        module: import name of that distribution.
        instead: import name of another one that is used if it is installed; "" for none.
        extra: extra that installs the package; "" if the base install does.
        scaled: how fewer pixels are decoded if fewer are enough; "" if it always decodes all.
        isolated: whether it is decoded in a worker process.
    """

    name: str
    media: str
    endings: tuple[str, ...]
    family: Family
    signature: Callable[[bytes], bool]
    plugin: str = ""
    package: str = ""
    module: str = ""
    instead: str = ""
    extra: str = ""
    scaled: str = ""
    isolated: bool = False

    @property
    def decoder(self) -> str:
        """Display name of its decoder."""
        if self.family == "raw":
            return "Pillow (the embedded preview), rawpy (demosaicing)"
        return self.package or "Pillow"

    def available(self) -> bool:
        """Return whether its decoder is installed."""
        if self.plugin:
            feature = {"WEBP": "webp", "AVIF": "avif", "JPEG2000": "jpg_2000"}.get(self.name)
            if feature is None:
                return True
            from PIL import features

            return bool(features.check(feature))
        names = (self.module, self.instead)
        return not self.module or any(_is_installed(name) for name in names if name)


def _is_installed(module: str) -> bool:
    from importlib.util import find_spec

    try:
        return find_spec(module) is not None
    except ValueError:  # blocked: it stands for nothing in sys.modules
        return False


def _starts(*signatures: bytes, at: int = 0) -> Callable[[bytes], bool]:
    return lambda data: data[at : at + 32].startswith(signatures)


def _branded(*brands: bytes, never: tuple[bytes, ...] = ()) -> Callable[[bytes], bool]:
    def matches(data: bytes) -> bool:
        found = boxes.brands(data)
        return any(b in brands for b in found) and not any(b in never for b in found)

    return matches


def _is_webp(data: bytes) -> bool:
    return data[:4] == b"RIFF" and data[8:12] == b"WEBP"


def _is_tiff(data: bytes) -> bool:
    return data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def _is_svg(data: bytes) -> bool:
    if data[:2] == b"\x1f\x8b":
        import zlib

        try:
            data = zlib.decompressobj(31).decompress(data, 4096)
        except zlib.error:
            return False
    head = data[:4096].lstrip(b"\xef\xbb\xbf \t\r\n")
    return head.startswith(b"<") and b"<svg" in head and b"<html" not in head.lower()


#: Compressions used only in camera raw files: Nikon, Sony, Samsung, Pentax.
_RAW_COMPRESSIONS = frozenset((34713, 32767, 32769, 32770, 65535))
#: Photometric interpretations of mosaiced and linear raw data.
_RAW_PHOTOMETRIC = frozenset((32803, 34892))


def _is_raw_tiff(*makers: bytes) -> Callable[[bytes], bool]:
    def matches(data: bytes) -> bool:
        if not _is_tiff(data):
            return False
        make, raw = b"", False
        for directory in tiffheader.directories(data):
            make = make or directory.content(tiffheader.MAKE).upper()
            raw = raw or (
                directory.number(tiffheader.PHOTOMETRIC) in _RAW_PHOTOMETRIC
                or directory.number(tiffheader.COMPRESSION) in _RAW_COMPRESSIONS
            )
        return raw and (not makers or make.startswith(makers))

    return matches


def _is_dng(data: bytes) -> bool:
    first = next(tiffheader.directories(data), None) if _is_tiff(data) else None
    return first is not None and tiffheader.DNG_VERSION in first.entries


def _raw(name: str, media: str, endings: str, signature: Callable[[bytes], bool]) -> Format:
    return Format(name, media, tuple(endings.split()), "raw", signature, scaled="embedded preview")


#: In the order in which they are tried; special cases come first (a DNG is a TIFF as well).
FORMATS: tuple[Format, ...] = (
    Format("JPEG", "image/jpeg", (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"), "pillow",
           _starts(b"\xff\xd8\xff"), "JpegImagePlugin.JpegImageFile", scaled="1/2, 1/4, 1/8"),
    Format("PNG", "image/png", (".png", ".apng"), "pillow",
           _starts(b"\x89PNG\r\n\x1a\n"), "PngImagePlugin.PngImageFile"),
    Format("WEBP", "image/webp", (".webp",), "pillow", _is_webp, "WebPImagePlugin.WebPImageFile"),
    Format("GIF", "image/gif", (".gif",), "pillow",
           _starts(b"GIF87a", b"GIF89a"), "GifImagePlugin.GifImageFile"),
    _raw("CR2", "image/x-canon-cr2", ".cr2",
         lambda data: data[:2] in (b"II", b"MM") and data[8:10] == b"CR"),
    _raw("DNG", "image/x-adobe-dng", ".dng", _is_dng),
    _raw("NEF", "image/x-nikon-nef", ".nef .nrw", _is_raw_tiff(b"NIKON")),
    _raw("ARW", "image/x-sony-arw", ".arw .sr2", _is_raw_tiff(b"SONY")),
    _raw("PEF", "image/x-pentax-pef", ".pef", _is_raw_tiff(b"PENTAX", b"RICOH")),
    _raw("SRW", "image/x-samsung-srw", ".srw", _is_raw_tiff(b"SAMSUNG")),
    _raw("raw TIFF", "image/x-raw", ".3fr .iiq .erf .mos .fff .dcr .kdc", _is_raw_tiff()),
    _raw("ORF", "image/x-olympus-orf", ".orf", _starts(b"IIRO", b"IIRS", b"MMOR")),
    _raw("RW2", "image/x-panasonic-rw2", ".rw2", _starts(b"IIU\0")),
    _raw("RAF", "image/x-fuji-raf", ".raf", _starts(b"FUJIFILMCCD-RAW")),
    _raw("CR3", "image/x-canon-cr3", ".cr3", _branded(b"crx ")),
    _raw("CRW", "image/x-canon-crw", ".crw", _starts(b"HEAPCCDR", at=6)),
    _raw("MRW", "image/x-minolta-mrw", ".mrw", _starts(b"\0MRM")),
    _raw("X3F", "image/x-sigma-x3f", ".x3f", _starts(b"FOVb")),
    Format("TIFF", "image/tiff", (".tif", ".tiff"), "pillow", _is_tiff,
           "TiffImagePlugin.TiffImageFile", isolated=True),
    Format("AVIF", "image/avif", (".avif", ".avifs"), "pillow", _branded(b"avif", b"avis"),
           "AvifImagePlugin.AvifImageFile", isolated=True),
    Format("HEIC", "image/heic", (".heic", ".heif", ".hif", ".heics", ".heifs"), "heif",
           _branded(b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1",
                    never=(b"avif", b"avis")),
           package="pi-heif-decoder", module="pi_heif", instead="pillow_heif",
           scaled="embedded thumbnail, with pillow-heif", isolated=True),
    Format("JXL", "image/jxl", (".jxl",), "jxl",
           _starts(b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n"), package="pylibjxl",
           module="pylibjxl", extra=EXTRA, isolated=True),
    Format("JPEG2000", "image/jp2", (".jp2", ".j2k", ".jpf", ".jpx", ".jpc", ".j2c"), "pillow",
           _starts(b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51"),
           "Jpeg2KImagePlugin.Jpeg2KImageFile", scaled="1/2, 1/4, 1/8", isolated=True),
    Format("BMP", "image/bmp", (".bmp",), "pillow", _starts(b"BM"),
           "BmpImagePlugin.BmpImageFile"),
    Format("DIB", "image/bmp", (".dib",), "pillow",
           _starts(*(bytes((n, 0, 0, 0)) for n in (12, 40, 52, 56, 64, 108, 124))),
           "BmpImagePlugin.DibImageFile"),
    Format("ICO", "image/x-icon", (".ico",), "pillow", _starts(b"\0\0\1\0"),
           "IcoImagePlugin.IcoImageFile"),
    Format("PSD", "image/vnd.adobe.photoshop", (".psd",), "pillow", _starts(b"8BPS"),
           "PsdImagePlugin.PsdImageFile"),
    Format("DDS", "image/vnd-ms.dds", (".dds",), "pillow", _starts(b"DDS "),
           "DdsImagePlugin.DdsImageFile"),
    Format("PNM", "image/x-portable-anymap", (".ppm", ".pgm", ".pbm", ".pnm", ".pfm"), "pillow",
           lambda data: data[:1] == b"P" and data[1:2] in b"0123456yFf" and data[2:3].isspace(),
           "PpmImagePlugin.PpmImageFile"),
    Format("SVG", "image/svg+xml", (".svg", ".svgz"), "svg", _is_svg, package="resvg-py",
           module="resvg_py", extra=EXTRA, scaled="drawn at the size needed", isolated=True),
)  # fmt: skip

#: File name endings of candidates for indexing; the content then decides.
EXTENSIONS = frozenset(ending for each in FORMATS for ending in each.endings)


def by_name(name: str) -> Format:
    """Return the format with this name."""
    return _BY_NAME[name]


_BY_NAME = {each.name: each for each in FORMATS}


def identify(data: bytes) -> Format:
    """Return the format of a file's content.

    Raises:
        ImageError: "empty"; "not-an-image"; or "no-decoder", with the command that installs it.
    """
    if not data:
        raise ImageError("empty", "The file is empty", advice="Restore it from a backup.")
    for each in FORMATS:
        if each.signature(data):
            if not _available(each):
                raise no_decoder(each)
            return each
    if _is_video(data):
        raise ImageError(
            "not-an-image",
            "The content is a video that is not read as one",
            advice="Name it .mp4 or so; videos need: pip install 'pixseek[video]'",
        )
    raise ImageError(
        "not-an-image",
        "The content is not an image",
        advice="If it should be one, open it in an image viewer to check.",
    )


#: Kinds of files of the ISO format that are videos, by the four letters at its 9th byte.
_VIDEOS = (b"isom", b"iso2", b"iso4", b"iso5", b"iso6", b"mp41", b"mp42", b"avc1", b"qt  ", b"M4V ",
           b"M4VH", b"MSNV", b"3gp4", b"3gp5", b"3gp6", b"dash", b"XAVC")  # fmt: skip


def _is_video(data: bytes) -> bool:
    """Return whether a file's content is a video of a common format."""
    if data[4:8] == b"ftyp":
        return data[8:12] in _VIDEOS
    return (
        data[4:8] in (b"moov", b"mdat", b"wide")  # old QuickTime
        or data[:4] == b"\x1a\x45\xdf\xa3"  # Matroska, WebM
        or (data[:4] == b"RIFF" and data[8:12] == b"AVI ")
        or data[:4] in (b"\x00\x00\x01\xba", b"FLV\x01")  # MPEG program stream, Flash
    )


def not_an_image(beginning: bytes) -> ImageError | None:
    """Return the error of `identify` if a file is not an image at all, by its first bytes.

    None if it is one, with or without a decoder for it.
    """
    try:
        identify(beginning)
    except ImageError as error:
        return error if error.reason in ("empty", "not-an-image") else None
    return None


@functools.cache
def _available(kind: Format) -> bool:
    return kind.available()


def no_decoder(kind: Format) -> ImageError:
    """Return the error for a format whose decoder is not installed."""
    what = f"'pixseek[{kind.extra}]'" if kind.extra else (kind.package or "pillow")
    return ImageError(
        "no-decoder",
        f"Decoding {kind.name} needs {kind.decoder}, which is not installed",
        advice=f"Install it with: pip install {what}\nThen: pixseek index --retry",
    )


def decodable_formats() -> tuple[str, ...]:
    """Return the names of the formats that the installed decoders can read, in a fixed order."""
    return tuple(each.name for each in FORMATS if each.available())
