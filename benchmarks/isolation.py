"""Which decoders have to run in a process that can be killed: what one call takes at its worst.

    python benchmarks/isolation.py
    python benchmarks/isolation.py --only PNG JPEG

For each format a valid file is made that is as costly as the limits let it be, or, where making it
would take minutes, one of a fraction of the pixels. Each is decoded in a fresh Python without a
worker, twice: with the usual limit of 30 s, for the processor time and the memory that it takes,
and with a limit of 0.3 s, to see how long it goes on after that. What goes on can't be stopped from
inside: its time, scaled to the most pixels that are allowed, must be well below the limit, or it
needs a process of its own.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

SIDE = 11_310  # squared, just below 128 megapixels
PART = 4_000  # squared, an eighth of that: for what is slow to make

DECODE = """
import json, sys, time
from pathlib import Path
from pixseek.errors import ImageError
from pixseek.images.decoders import decode_here
from pixseek.images.formats import identify
from pixseek.images.limits import Limits, Request
data = Path(sys.argv[1]).read_bytes()
request = Request(
    at_least=448, demosaic=sys.argv[3] == "True", limits=Limits(timeout_s=float(sys.argv[2]))
)
def peak():
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024
before = peak()
began, busy = time.perf_counter(), time.process_time()
try:
    outcome = "%d x %d" % decode_here(identify(data), data, request).pixels.size
except ImageError as error:
    outcome = error.reason
print(json.dumps({
    "wall": time.perf_counter() - began,
    "cpu": time.process_time() - busy,
    "mib": peak() - before,
    "outcome": outcome,
}))
"""


def noise(side: int) -> Image.Image:
    tile = np.random.default_rng(1).integers(0, 256, (1000, 1000, 3), np.uint8)
    times = -(-side // 1000)
    return Image.fromarray(np.tile(tile, (times, times, 1))[:side, :side])


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def huge_jpeg() -> bytes:
    """One of a gigapixel, which is decoded at 1/8."""
    return saved(Image.new("L", (32_000, 31_900)), "JPEG")


def jpeg_of_many_scans() -> bytes:
    """A progressive one with as many scans as are let through."""
    data = saved(Image.new("RGB", (SIDE, SIDE)), "JPEG", progressive=True)
    scan = data[data.rindex(b"\xff\xda") : -2]
    return data[:-2] + scan * (64 - data.count(b"\xff\xda")) + data[-2:]


def png(colour: int = 6, bits: int = 16, channels: int = 4) -> bytes:
    """16 bits a sample with transparency: a gigabyte that packs to a megabyte."""
    rows = bytes(1 + SIDE * channels * bits // 8)
    packer = zlib.compressobj(9)
    body = b"".join(packer.compress(rows) for _ in range(SIDE)) + packer.flush()
    data = b"\x89PNG\r\n\x1a\n"
    head = struct.pack(">IIBBBBB", SIDE, SIDE, bits, colour, 0, 0, 0)
    for kind, content in ((b"IHDR", head), (b"IDAT", body), (b"IEND", b"")):
        crc = struct.pack(">I", zlib.crc32(kind + content))
        data += struct.pack(">I", len(content)) + kind + content + crc
    return data


def webp_of_many_frames() -> bytes:
    frames = [Image.new("RGB", (64, 64), (n % 256, n // 256, 0)) for n in range(3000)]
    return saved(frames[0], "WEBP", save_all=True, append_images=frames[1:])


def psd() -> bytes:
    head = b"8BPS" + struct.pack(">H6xHIIHH", 1, 3, SIDE, SIDE, 8, 3)
    row = b"\x81\0" * -(-SIDE // 128)
    lengths = struct.pack(">H", len(row)) * (3 * SIDE)
    return head + struct.pack(">IIIH", 0, 0, 0, 1) + lengths + row * (3 * SIDE)


def bmp() -> bytes:
    """Runs of one pixel, read in Python."""
    body, palette = b"\x01\x07" * (SIDE * SIDE), bytes(1024)
    head = struct.pack("<IiiHHIIiiII", 40, SIDE, SIDE, 1, 8, 1, len(body), 0, 0, 256, 0)
    start = 14 + len(head) + len(palette)
    return b"BM" + struct.pack("<IHHI", start + len(body), 0, 0, start) + head + palette + body


def dds() -> bytes:
    """BC7, the costliest of its compressions."""
    side = SIDE // 4 * 4
    head = struct.pack("<4s7I44x", b"DDS ", 124, 0x1007, side, side, 0, 0, 0)
    head += struct.pack("<2I4s20x20x", 32, 4, b"DX10") + struct.pack("<5I", 98, 3, 0, 1, 0)
    return head + os.urandom(1 << 20) * (side * side >> 20) + bytes(1 << 20)


def svg() -> bytes:
    """Blurs within blurs."""
    blur = (
        '<filter id="b"><feGaussianBlur stdDeviation="90"/><feTurbulence numOctaves="9"/></filter>'
    )
    body = '<g filter="url(#b)">' * 60 + '<rect width="900" height="900"/>' + "</g>" * 60
    size = 'width="900" height="900"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}>{blur}{body}</svg>'.encode()


def raw() -> bytes:
    """A sensor of 100 megapixels, packed by nothing."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "images"))
    from image_files import small_dng

    return small_dng((11_000, 9_000))


def preview() -> bytes:
    """The headers of 256 JPEGs before one."""
    start = b"FUJIFILMCCD-RAW 0201".ljust(160, b"\0")
    return start + b"\xff\xd8\xff\xe0\0\2" * 256 + b"\xff\xe0\0\2" * 1_000_000


def tiff_of_many_tags() -> bytes:
    """64 directories of as many entries as can be counted, for those that look for raw files."""
    entries = struct.pack(">H", 65535) + struct.pack(">HHII", 0x9999, 3, 1, 0) * 65535
    data = b"MM\0*" + struct.pack(">I", 8)
    for _ in range(64):
        data += entries + struct.pack(">I", len(data) + len(entries) + 4)
    return data


def heic() -> bytes:
    import pillow_heif

    buffer = io.BytesIO()
    pillow_heif.from_pillow(noise(PART // 2)).save(buffer, quality=90)
    return buffer.getvalue()


def jxl() -> bytes:
    import pylibjxl

    return bytes(pylibjxl.encode(np.asarray(noise(PART)), effort=1))


#: By name: what makes the file, and what share of the most pixels it has.
CASES: dict[str, tuple[Callable[[], bytes], float]] = {
    "JPEG, 1 gigapixel": (huge_jpeg, 1),
    "JPEG, 64 scans": (jpeg_of_many_scans, 1),
    "PNG, 16 bits": (png, 1),
    "WEBP, lossless": (lambda: saved(noise(PART), "WEBP", lossless=True, method=0, quality=0), 1/8),
    "WEBP, lossy": (lambda: saved(noise(PART), "WEBP", method=0, quality=20), 1 / 8),
    "WEBP, 3,000 frames": (webp_of_many_frames, 1),
    "GIF": (lambda: saved(Image.new("P", (SIDE, SIDE)), "GIF"), 1),
    "BMP, runs": (bmp, 1),
    "PSD, packed": (psd, 1),
    "DDS, BC7": (dds, 1),
    "PNM, text": (lambda: b"P3 2000 2000 255\n" + b"255 " * 12_000_000, 1 / 32),
    "RAW, headers": (preview, 1),
    "TIFF, deflate": (lambda: saved(noise(PART), "TIFF", compression="tiff_adobe_deflate"), 1 / 8),
    "TIFF, LZW": (lambda: saved(noise(PART), "TIFF", compression="tiff_lzw"), 1 / 8),
    "TIFF, directories": (tiff_of_many_tags, 1),
    "AVIF": (lambda: saved(noise(PART // 2), "AVIF", speed=10, quality=90), 1 / 32),
    "HEIC": (heic, 1 / 32),
    "JPEG2000": (lambda: saved(noise(PART // 2), "JPEG2000", num_resolutions=1), 1 / 32),
    "JXL": (jxl, 1 / 8),
    "SVG, filters": (svg, 1),
    "RAW, developed": (raw, 1),
}  # fmt: skip


def measured(path: Path, timeout_s: float, develop: bool) -> dict[str, float | str]:
    """What decoding took; killed after 40 s."""
    began = time.perf_counter()
    try:
        done = subprocess.run(
            [sys.executable, "-c", DECODE, str(path), str(timeout_s), str(develop)],
            capture_output=True,
            text=True,
            timeout=40,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {"wall": time.perf_counter() - began, "cpu": 40.0, "mib": 0.0, "outcome": "killed"}
    if done.returncode:
        return {"wall": 0.0, "cpu": 0.0, "mib": 0.0, "outcome": f"status {done.returncode}"}
    found: dict[str, float | str] = json.loads(done.stdout)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", default=[""], help="beginnings of the cases' names")
    given = parser.parse_args()
    print(f"load {os.getloadavg()[0]:.1f}; s are of the processor\n")
    print("| file | MB | share of the most pixels | s | s after a limit of 0.3 s | MiB | outcome |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "image"
        for name, (make, share) in CASES.items():
            if not name.startswith(tuple(given.only)):
                continue
            try:
                data = make()
            except ImportError as error:
                print(f"| {name} | {error} |")
                continue
            path.write_bytes(data)
            develop = name == "RAW, developed"
            whole = measured(path, 30, develop)
            short = measured(path, 0.3, develop)
            print(
                f"| {name} | {len(data) / 1e6:.1f} | {share:.3g} | {whole['cpu']:.1f} "
                f"| {max(float(short['wall']) - 0.3, 0):.1f} | {whole['mib']:.0f} "
                f"| {whole['outcome']}, {short['outcome']} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
