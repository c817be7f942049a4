"""Large pictures take a bounded memory together, and come out the same as before."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pixseek.images import budget, colour, decode
from pixseek.images.budget import SMALL_BYTES, Budget, needed
from pixseek.images.formats import identify
from pixseek.images.limits import Request
from pixseek.images.sizes import declared

from image_files import SVG, every_format, halves, saved, textured

MB = 1 << 20


def cost(data: bytes, at_least: int | None = None) -> int:
    return needed(identify(data), data, Request(at_least))


def test_the_header_of_every_format_gives_its_size() -> None:
    for name, data in every_format().items():
        if name in ("SVG", "CR2", "ORF", "RW2", "RAF", "CR3", "CRW", "MRW", "X3F"):
            continue
        picture = decode(data)
        found = declared(data)
        assert found, name
        assert sorted(found) == sorted((picture.width, picture.height)), name
        for end in range(0, min(len(data), 200), 3):
            declared(data[:end])


def test_a_picture_counts_as_much_as_it_takes() -> None:
    photo = saved(textured(300, 200), "JPEG")
    assert cost(photo, 64) == 150 * 100 * 12  # at 1/2
    assert cost(photo) == 300 * 200 * 12
    progressive = saved(textured(300, 200), "JPEG", progressive=True)
    assert cost(progressive) == 300 * 200 * (12 + 6)
    assert cost(saved(textured(300, 200), "PNG"), 64) == 300 * 200 * 4 + 150 * 100 * 8
    assert cost(saved(textured(300, 200), "WEBP")) == 300 * 200 * (17 + 8)
    floats = saved(Image.fromarray(np.zeros((20, 30), np.float32)), "TIFF")
    assert cost(floats) == 20 * 30 * (40 + 8)
    assert cost(SVG) == 30 * len(SVG)


def test_no_more_is_held_at_once_than_the_budget_and_nobody_is_forgotten() -> None:
    room = Budget(10 * SMALL_BYTES)
    most, lock = 0, threading.Lock()

    def take(n: int) -> int:
        nonlocal most
        with room.taken(size := (n % 12) * SMALL_BYTES):
            with lock:
                most = max(most, room.used)
            assert size < SMALL_BYTES or room.used >= min(size, room.total)
            time.sleep(0.001)
        return n

    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(take, range(200))) == list(range(200))
    assert 5 * SMALL_BYTES < most <= room.total
    assert room.used == 0


def test_a_large_one_is_not_passed_by_others_for_ever() -> None:
    room = Budget(4 * SMALL_BYTES)
    order: list[str] = []

    def take(name: str, size: int) -> None:
        with room.taken(size):
            order.append(name)

    with room.taken(2 * SMALL_BYTES):
        large = threading.Thread(target=take, args=("large", 4 * SMALL_BYTES))
        large.start()
        while not room._waiting:
            time.sleep(0.001)
        small = threading.Thread(target=take, args=("small", SMALL_BYTES))
        small.start()
        while len(room._waiting) < 2:
            time.sleep(0.001)
        take("tiny", SMALL_BYTES - 1)  # does not count
    large.join(60)
    small.join(60)
    assert order == ["tiny", "large", "small"]


def test_what_is_held_is_given_back_after_an_error() -> None:
    room = Budget(4 * SMALL_BYTES)
    with pytest.raises(KeyError), room.taken(3 * SMALL_BYTES):
        raise KeyError
    with room.taken(4 * SMALL_BYTES):
        assert room.used == 4 * SMALL_BYTES


@pytest.mark.skipif(not hasattr(os, "fork"), reason="fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_all_threads_share_one_budget_and_a_forked_child_has_its_own() -> None:
    with ThreadPoolExecutor(8) as pool:
        found = {id(each) for each in pool.map(lambda _: budget.shared(), range(50))}
    assert found == {id(budget.shared())}
    assert budget.shared().total >= budget.LEAST_BYTES
    with budget.shared().taken(SMALL_BYTES):
        child = os.fork()
        if not child:
            os._exit(budget.shared().used != 0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_decoding_waits_for_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    room = Budget(SMALL_BYTES)
    monkeypatch.setattr(budget, "shared", lambda: room)
    monkeypatch.setattr(budget, "SMALL_BYTES", 1)
    done = threading.Event()
    data = saved(halves(), "PNG")

    def run() -> None:
        decode(data, timeout_s=1.0)  # waiting does not count
        done.set()

    with room.taken(SMALL_BYTES):
        thread = threading.Thread(target=run)
        thread.start()
        assert not done.wait(1.2)
    assert done.wait(60)
    thread.join()


def _images() -> dict[str, Image.Image]:
    base = textured(211, 150)
    grey = np.asarray(base.convert("L"))
    alpha = base.convert("RGBA")
    alpha.putalpha(Image.fromarray(grey))
    palette = base.quantize(64)
    palette.info["transparency"] = 3
    keyed = base.copy()
    keyed.info["transparency"] = base.getpixel((5, 5))
    profiled = base.copy()
    from PIL import ImageCms

    profiled.info["icc_profile"] = ImageCms.ImageCmsProfile(
        ImageCms.createProfile("LAB")
    ).tobytes()  # of another space: broken for RGB
    return {
        "RGB": base, "L": base.convert("L"), "1": base.convert("1"), "P": base.quantize(64),
        "P with transparency": palette, "RGB with transparency": keyed, "RGBA": alpha,
        "LA": alpha.convert("LA"), "CMYK": base.convert("CMYK"), "YCbCr": base.convert("YCbCr"),
        "I;16": Image.fromarray(grey.astype(np.uint16) * 16),
        "I": Image.fromarray(grey.astype(np.int32) * 300),
        "F": Image.fromarray(grey.astype(np.float32) / 100 - 1), "broken profile": profiled,
    }  # fmt: skip


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(each, marks=() if each in ("L", "P", "RGB") else pytest.mark.slow)
        for each in sorted(_images())
    ],
)
def test_strips_give_the_same_pixels_as_the_whole(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = _images()[name]
    notes: list[str] = []
    whole = colour.to_srgb(image, notes)
    monkeypatch.setattr(colour, "LARGE", 0)
    monkeypatch.setattr(colour, "STRIP", 1)
    again: list[str] = []
    assert colour.to_srgb(image, again).tobytes() == whole.tobytes()
    assert again == notes
    if image.mode != "RGB" or image.info:
        scaled = colour.to_srgb(image, [], scale=4)
        assert scaled.tobytes() == whole.reduce(4).tobytes()


def test_a_large_transparent_picture_is_reduced_while_it_is_converted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    alpha = textured(400, 300).convert("RGBA")
    alpha.putalpha(128)
    data = saved(alpha, "PNG")
    assert decode(data, at_least=64).pixels.size == (400, 300)
    monkeypatch.setattr(colour, "LARGE", 1000)
    picture = decode(data, at_least=64)
    assert (picture.pixels.size, picture.width, picture.height) == ((100, 75), 400, 300)
    assert decode(data, exact=True, at_least=64).pixels.size == (400, 300)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "GIF", "PPM"])
@pytest.mark.parametrize("share", [0.55, 0.8, 0.999])
def test_the_missing_share_of_a_truncated_file_is_the_same_in_strips(
    kind: str, share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = saved(textured(90, 140), kind)
    data = data[: int(len(data) * share)]
    notes = decode(data).notes
    assert notes
    monkeypatch.setattr(colour, "STRIP", 90 * 7)
    assert decode(data).notes == notes


@pytest.mark.slow
def test_profiles_are_known_by_digest_and_only_so_many_are_kept() -> None:
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    image = halves("LAB")
    for n in range(3 * colour._MOST_KEPT):
        image.info["icc_profile"] = profile + bytes(n)
        notes: list[str] = []
        colour.to_srgb(image, notes)
        colour.profile_name(image.info["icc_profile"], notes)
    assert 0 < len(colour._made) <= colour._MOST_KEPT
    assert not any(isinstance(each, bytes) for pair in colour._made.items() for each in pair)
    assert all(len(digest) == 32 for digest, _ in colour._made)


def test_a_profile_above_a_megabyte_is_not_used() -> None:
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    image = halves()
    for extra, expected in ((0, []), (colour.MOST_PROFILE, ["broken colour profile ignored"])):
        image.info["icc_profile"] = profile + bytes(extra)
        notes: list[str] = []
        assert colour.to_srgb(image, notes).tobytes() == halves().tobytes()
        assert notes == expected
        assert bool(colour.profile_name(image.info["icc_profile"], notes)) == (not extra)
        picture = decode(saved(image, "PNG", icc_profile=image.info["icc_profile"]))
        assert (list(picture.notes), picture.pixels.tobytes()) == (expected, halves().tobytes())


_PEAK = """
import sys, zlib, struct
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from pixseek.images import budget, decode
side = 6000
packed = zlib.compress(bytes((1 + side * 8) * side), 1)
data = b"\\x89PNG\\r\\n\\x1a\\n"
head = struct.pack(">IIBBBBB", side, side, 16, 6, 0, 0, 0)
for kind, content in ((b"IHDR", head), (b"IDAT", packed), (b"IEND", b"")):
    crc = zlib.crc32(kind + content)
    data += struct.pack(">I", len(content)) + kind + content + struct.pack(">I", crc)
room = budget.Budget(200 << 20)
budget.shared = lambda: room
def peak():
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) >> 10
del packed
decode(data[:-20], at_least=6000)
Path("/proc/self/clear_refs").write_text("5")
before = peak()
with ThreadPoolExecutor(4) as pool:
    sizes = set(pool.map(lambda _: decode(data, at_least=448).pixels.size, range(4)))
print(len(sizes), peak() - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs /proc")
def test_four_threads_with_large_pictures_stay_within_the_budget() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _PEAK], capture_output=True, text=True, timeout=120, check=True
    )
    kinds, peak_mib = map(int, done.stdout.split())
    assert kinds == 1
    assert peak_mib < 300  # each takes 144 MiB, and 30 at most for a strip and the result
