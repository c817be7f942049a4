"""Build small files in every format, mutate them, and check colours of what they decode to."""

from __future__ import annotations

import io
import random
import struct
from collections.abc import Iterator

import numpy as np
from PIL import Image

RED, BLUE = (220, 20, 20), (20, 20, 220)


def halves(mode: str = "RGB", size: tuple[int, int] = (60, 40)) -> Image.Image:
    """An image that is red on the left and blue on the right."""
    image = Image.new("RGB", size, RED)
    image.paste(BLUE, (size[0] // 2, 0, size[0], size[1]))
    return image.convert(mode)


def textured(width: int, height: int, seed: int = 0) -> Image.Image:
    """Smooth blobs with some grain, which to a decoder resemble a photo."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 255, (9, 12, 3), np.uint8))
    smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), np.int16)
    grain = rng.integers(-9, 10, (height, width, 1), np.int16)
    return Image.fromarray((smooth + grain).clip(0, 255).astype(np.uint8))


def colour(image: Image.Image, x: float, y: float) -> tuple[int, ...]:
    """The pixel at a position given in shares of the width and the height."""
    pixel = image.getpixel((int(x * image.width), int(y * image.height)))
    assert isinstance(pixel, tuple)
    return pixel


def near(one: tuple[int, ...], other: tuple[int, ...], by: int = 12) -> bool:
    return all(abs(a - b) <= by for a, b in zip(one, other, strict=True))


def is_halves(image: Image.Image, by: int = 40) -> bool:
    """Whether an image looks like `halves()`."""
    return near(colour(image, 0.2, 0.5), RED, by) and near(colour(image, 0.8, 0.5), BLUE, by)


def saved(image: Image.Image, format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def turned(image: Image.Image, orientation: int) -> Image.Image:
    """The image as stored by a camera that writes this orientation."""
    turn = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }.get(orientation)
    return image if turn is None else image.transpose(turn)


def exif(orientation: int | None) -> Image.Exif:
    block = Image.Exif()
    block[0x010F] = "Maker"
    if orientation is not None:
        block[0x0112] = orientation
    return block


def xmp(orientation: int) -> bytes:
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
        'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description '
        f'xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="{orientation}"/>'
        "</rdf:RDF></x:xmpmeta>"
    ).encode()


SVG = (
    b'<svg xmlns="http://www.w3.org/2000/svg" width="60" height="40">'
    b'<rect width="30" height="40" fill="rgb(220,20,20)"/>'
    b'<rect x="30" width="30" height="40" fill="rgb(20,20,220)"/></svg>'
)

# ------------------------------------------------------------------ TIFF and camera raw


Directory = dict[int, tuple[int, ...] | bytes]


def tiff(*directories: Directory, order: str = "<") -> bytes:
    """A TIFF with these directories; bytes are stored as ASCII.

    The value under 0xFFFF is appended as data; the number -1 stands for its position. The number
    -2 stands for the position of the next directory.
    """
    head = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, 8)
    sizes = [2 + 12 * len([t for t in d if t != 0xFFFF]) + 4 for d in directories]
    starts = [8 + sum(sizes[:n]) for n in range(len(directories))]
    extra_at, extra = 8 + sum(sizes), b""
    blocks = []
    for number, directory in enumerate(directories):
        data_at = None
        if 0xFFFF in directory:
            data_at = extra_at + len(extra)
            extra += bytes(directory[0xFFFF])
        entries = b""
        for tag, value in sorted(directory.items()):
            if tag == 0xFFFF:
                continue
            if isinstance(value, bytes):
                kind, count, content = 2, len(value), value
            else:
                numbers = tuple(
                    data_at if n == -1 else starts[number + 1] if n == -2 else n for n in value
                )
                kind, count = 4, len(numbers)
                content = struct.pack(f"{order}{count}I", *numbers)
            if len(content) > 4:
                content, extra = struct.pack(f"{order}I", extra_at + len(extra)), extra + content
            entries += struct.pack(f"{order}HHI", tag, kind, count) + content.ljust(4, b"\0")
        blocks.append(
            struct.pack(f"{order}H", len(entries) // 12) + entries + struct.pack(f"{order}I", 0)
        )
    return head + b"".join(blocks) + extra


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", 8 + len(content)) + kind + content


def raw_files(
    preview: bytes, orientation: int = 1, size: tuple[int, int] = (1200, 800)
) -> dict[str, bytes]:
    """A file in each maker's layout, with this JPEG as its preview and no sensor data."""
    width, height = size
    sensor: Directory = {0x100: (width,), 0x101: (height,), 0x106: (32803,), 0x103: (34713,)}
    tail: Directory = {
        0x112: (orientation,),
        0x14A: (-2,),
        0x201: (-1,),
        0x202: (len(preview),),
        0xFFFF: preview,
    }
    cr2 = tiff({0x10F: b"Canon\0", 0x112: (orientation,), 0xFFFF: preview, 0x111: (-1,)})
    main = tiff({0x10F: b"Canon\0", 0x112: (orientation,), 0x100: (width,), 0x101: (height,)})
    return {
        "NEF": tiff({0x10F: b"NIKON CORPORATION\0", **tail}, sensor, order=">"),
        "ARW": tiff({0x10F: b"SONY\0", **tail}, sensor),
        "PEF": tiff({0x10F: b"PENTAX Corporation\0", **tail}, sensor, order=">"),
        "SRW": tiff({0x10F: b"SAMSUNG\0", **tail}, sensor),
        "DNG": tiff({0x10F: b"Any\0", 0xC612: (1, 4, 0, 0), **tail}, sensor),
        "raw TIFF": tiff({0x10F: b"Hasselblad\0", **tail}, sensor),
        "CR2": cr2[:4] + struct.pack("<I", 16) + b"CR\2\0\0\0\0\0" + _shifted(cr2, 8),
        "ORF": b"IIRO" + tiff({0x10F: b"OLYMPUS\0", **tail}, sensor)[4:],
        "RW2": b"IIU\0" + tiff({0x10F: b"Panasonic\0", **tail}, sensor)[4:],
        "RAF": b"FUJIFILMCCD-RAW 0201FF129502".ljust(84, b"\0")
        + struct.pack(">II", 160, len(preview)).ljust(76, b"\0")
        + preview,
        "CR3": cr3(preview, main),
        "MRW": b"\0MRM" + struct.pack(">I", 8) + bytes(8) + preview,
    }


def cr3(preview: bytes, directory: bytes) -> bytes:
    """A Canon CR3 whose thumbnail, preview and picture, in this order, are all this JPEG."""
    canon, prvw = "85c0b687820f11e08111f4ce462b6a48", "eaf42b5e1c984b88b9fbb7dc406e4d16"
    small = struct.pack(">IHHIHH", 0, 160, 120, len(preview), 1, 0) + preview
    size = struct.pack(">IHHHHI", 0, 1, 1620, 1080, 1, len(preview)) + preview

    def movie(offset: int) -> bytes:
        tables = box(b"stsz", struct.pack(">III", 0, len(preview), 1))
        tables += box(b"co64", struct.pack(">IIQ", 0, 1, offset))
        track = box(b"mdia", box(b"minf", box(b"stbl", tables)))
        own = bytes.fromhex(canon) + box(b"CMT1", directory) + box(b"THMB", small)
        return box(b"moov", box(b"uuid", own) + box(b"trak", track))

    head = box(b"ftyp", b"crx \0\0\0\1crx isom")
    after = box(b"uuid", bytes.fromhex(prvw) + bytes(8) + box(b"PRVW", size))
    offset = len(head) + len(movie(0)) + len(after) + 8
    return head + movie(offset) + after + box(b"mdat", preview)


def _shifted(data: bytes, by: int) -> bytes:
    """The directory and data of a small TIFF, with positions increased by `by`."""
    (count,) = struct.unpack_from("<H", data, 8)
    entries = b""
    for n in range(count):
        tag, kind, length, value = struct.unpack_from("<HHII", data, 10 + 12 * n)
        far = length * {2: 1, 4: 4}[kind] > 4 or tag == 0x111
        entries += struct.pack("<HHII", tag, kind, length, value + by if far else value)
    return data[8:10] + entries + data[10 + 12 * count :]


def small_dng(size: tuple[int, int] = (64, 48)) -> bytes:
    """A real, uncompressed DNG that a raw developer accepts, without a preview."""
    width, height = size
    sensor = (np.arange(width * height, dtype=np.uint16) * 11 % 4096).tobytes()
    entries: list[tuple[int, int, int, bytes]] = [
        (0xFE, 4, 1, struct.pack("<I", 0)),
        (0x100, 4, 1, struct.pack("<I", width)),
        (0x101, 4, 1, struct.pack("<I", height)),
        (0x102, 3, 1, struct.pack("<HH", 16, 0)),
        (0x103, 3, 1, struct.pack("<HH", 1, 0)),
        (0x106, 3, 1, struct.pack("<HH", 32803, 0)),
        (0x10F, 2, 4, b"Any\0"),
        (0x111, 4, 1, b"DATA"),
        (0x112, 3, 1, struct.pack("<HH", 1, 0)),
        (0x115, 3, 1, struct.pack("<HH", 1, 0)),
        (0x116, 4, 1, struct.pack("<I", height)),
        (0x117, 4, 1, struct.pack("<I", len(sensor))),
        (0x828D, 3, 2, struct.pack("<HH", 2, 2)),
        (0x828E, 1, 4, bytes((0, 1, 1, 2))),
        (0xC612, 1, 4, bytes((1, 4, 0, 0))),
        (0xC61D, 4, 1, struct.pack("<I", 4095)),
    ]
    at = 8 + 2 + 12 * len(entries) + 4
    body = b"".join(
        struct.pack("<HHI", tag, kind, count)
        + (struct.pack("<I", at) if value == b"DATA" else value.ljust(4, b"\0"))
        for tag, kind, count, value in entries
    )
    head = b"II*\0" + struct.pack("<IH", 8, len(entries))
    return head + body + struct.pack("<I", 0) + sensor


# ------------------------------------------------------------------ one small file of every format


def every_format() -> dict[str, bytes]:
    """A small valid file of each format that this machine can write, by the format's name."""
    image = textured(96, 64)
    files = {
        "JPEG": saved(image, "JPEG", exif=exif(6)),
        "JPEG progressive": saved(image, "JPEG", progressive=True),
        "JPEG CMYK": saved(image.convert("CMYK"), "JPEG"),
        "PNG": saved(image, "PNG", exif=exif(3)),
        "PNG palette": saved(image.quantize(16), "PNG"),
        "WEBP": saved(image, "WEBP"),
        "WEBP lossless": saved(image, "WEBP", lossless=True, exact=True),
        "GIF": saved(image.quantize(32), "GIF", save_all=True, append_images=[image.quantize(8)]),
        "TIFF": saved(image, "TIFF", compression="tiff_lzw"),
        "TIFF plain": saved(image, "TIFF"),
        "TIFF JPEG": saved(image, "TIFF", compression="jpeg"),
        "TIFF deflate": saved(image, "TIFF", compression="tiff_adobe_deflate"),
        "BMP": saved(image, "BMP"),
        "DIB": saved(image, "DIB"),
        "ICO": saved(image.resize((32, 32)), "ICO"),
        "DDS": saved(image.convert("RGBA"), "DDS"),
        "PNM": saved(image, "PPM"),
        "JPEG2000": saved(image, "JPEG2000"),
        "AVIF": saved(image, "AVIF"),
        "PSD": psd(image),
        "SVG": SVG,
        **raw_files(saved(textured(192, 128), "JPEG")),
    }
    try:
        import pillow_heif

        buffer = io.BytesIO()
        pillow_heif.from_pillow(image).save(buffer, quality=60)
        files["HEIC"] = buffer.getvalue()
    except (ImportError, RuntimeError):
        pass
    try:
        import pylibjxl

        files["JXL"] = pylibjxl.encode(np.asarray(image))
        files["JXL from JPEG"] = pylibjxl.jpeg_to_jxl(files["JPEG"])
    except ImportError:
        pass
    return files


def psd(image: Image.Image) -> bytes:
    """A Photoshop file that holds only a flattened picture."""
    width, height = image.size
    head = b"8BPS" + struct.pack(">H6xHIIHH", 1, 3, height, width, 8, 3)
    planes = b"".join(channel.tobytes() for channel in image.convert("RGB").split())
    return head + struct.pack(">III", 0, 0, 0) + struct.pack(">H", 0) + planes


# ------------------------------------------------------------------ mutation


def mutated(data: bytes, rng: random.Random) -> bytes:
    """The data with some damage: bits, numbers, pieces removed, doubled or moved, the end cut."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4, 8, 24))):
        if len(changed) < 8:
            break
        # Headers decide what decoders allocate, so they get half of the damage.
        reach = len(changed) if rng.random() < 0.5 else min(len(changed), 256)
        at = rng.randrange(reach)
        kind = rng.randrange(8)
        if kind == 0:
            changed[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            changed[at] = rng.randrange(256)
        elif kind == 2:
            width = rng.choice((1, 2, 4, 8))
            value = rng.choice((0, 1, 0x7F, 0x80, 0xFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF))
            order = rng.choice(("big", "little"))
            changed[at : at + width] = (value % (1 << 8 * width)).to_bytes(width, order)
        elif kind == 3:
            del changed[at : at + rng.choice((1, 2, 4, 64, 1024))]
        elif kind == 4:
            changed[at:at] = rng.randbytes(rng.choice((1, 2, 4, 64)))
        elif kind == 5:
            size = rng.choice((4, 16, 256))
            other = rng.randrange(len(changed))
            changed[at : at + size] = changed[other : other + size]
        elif kind == 6:
            changed[at:at] = changed[at : at + rng.choice((16, 256, 4096))]
        elif rng.random() < 0.3:
            del changed[at:]
    return bytes(changed)


def mutations(files: dict[str, bytes], count: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """Yield `count` mutated files, each with the name of its original, all names in turn."""
    rng = random.Random(seed)
    names = sorted(files)
    for number in range(count):
        name = names[number % len(names)]
        yield name, mutated(files[name], rng)
