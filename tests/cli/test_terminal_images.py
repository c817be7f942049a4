"""The protocols, decoded back; and which one is chosen."""

import base64
import io
import os
import re
import sys

import numpy as np
import pytest
from PIL import Image, ImageDraw

from pixseek.cli import terminal_images
from pixseek.cli.terminal_images import Graphics


@pytest.fixture
def drawing() -> Image.Image:
    """A few flat colours, a slope, and a transparent border; its height is not a multiple of 6."""
    image = Image.new("RGBA", (90, 40), (0, 0, 0, 0))
    draw = ImageDraw.Draw(image)
    draw.rectangle((5, 3, 40, 36), fill=(220, 30, 30, 255))
    draw.rectangle((45, 3, 80, 20), fill=(30, 60, 220, 255))
    for x in range(45, 81):
        draw.line((x, 21, x, 36), fill=(x * 2, 200, 90, 255))
    return image


def same(one: Image.Image, other: Image.Image, tolerance: int) -> bool:
    """Whether two images are opaque in the same places, and of about the same colours there."""
    a, b = np.asarray(one.convert("RGBA"), int), np.asarray(other.convert("RGBA"), int)
    opaque = a[..., 3] > 127
    return bool(
        a.shape == b.shape
        and np.array_equal(opaque, b[..., 3] > 127)
        and np.abs(a - b)[opaque][:, :3].mean() <= tolerance
    )


def sixel_decoded(text: str) -> Image.Image:
    """Decode sixel, strictly: what it can't read is an error."""
    found = re.fullmatch(r'\x1bP0;1;0q"1;1;(\d+);(\d+)(.*)\x1b\\', text, re.DOTALL)
    assert found, text[:40]
    width, height = int(found[1]), int(found[2])
    pixels = np.zeros((-(-height // 6) * 6, width, 4), np.uint8)
    palette: dict[int, list[int]] = {}
    colour, x, y, position = 0, 0, 0, 0
    body = found[3]
    token = re.compile(r"#(\d+);2;(\d+);(\d+);(\d+)|#(\d+)|!(\d+)([?-~])|([?-~])|([$-])")
    while position < len(body):
        match = token.match(body, position)
        assert match, body[position : position + 20]
        position = match.end()
        if match[1]:
            palette[int(match[1])] = [round(int(v) * 2.55) for v in match.groups()[1:4]]
        elif match[5]:
            colour = int(match[5])
        elif match[9]:
            x = 0
            y += 6 if match[9] == "-" else 0
        else:
            count, bits = int(match[6] or 1), ord(match[7] or match[8]) - 63
            for bit in range(6):
                if bits >> bit & 1:
                    pixels[y + bit, x : x + count] = [*palette[colour], 255]
            x += count
            assert x <= width
    assert not pixels[height:].any(), "drawn below the image"
    return Image.fromarray(pixels[:height])


def kitty_decoded(text: str) -> tuple[Image.Image, dict[str, str]]:
    parts = re.findall(r"\x1b_G([^;]*);([^\x1b]*)\x1b\\", text)
    assert "".join(f"\x1b_G{keys};{data}\x1b\\" for keys, data in parts) == text
    assert all(len(data) <= 4096 for _, data in parts)
    more = [dict(pair.split("=") for pair in keys.split(","))["m"] for keys, _ in parts]
    assert more == ["1"] * (len(parts) - 1) + ["0"]
    keys = dict(pair.split("=") for pair in parts[0][0].split(","))
    data = base64.standard_b64decode("".join(data for _, data in parts))
    return Image.open(io.BytesIO(data)), keys


def test_sixel_decodes_to_the_drawing(drawing: Image.Image) -> None:
    assert same(drawing, sixel_decoded(terminal_images.sixel(drawing)), tolerance=4)


def test_sixel_with_few_colours(drawing: Image.Image) -> None:
    text = terminal_images.sixel(drawing, colours=16)
    assert max(int(n) for n in re.findall(r"#(\d+)", text)) < 16
    assert same(drawing, sixel_decoded(text), tolerance=20)


def test_sixel_of_noise_and_of_an_empty_image() -> None:
    noise = Image.effect_noise((64, 48), 100).convert("RGBA")
    assert same(noise, sixel_decoded(terminal_images.sixel(noise)), tolerance=6)
    nothing = Image.new("RGBA", (20, 12), (0, 0, 0, 0))
    assert sixel_decoded(terminal_images.sixel(nothing)).getbbox() is None


def test_kitty_decodes_to_the_drawing() -> None:
    noise = Image.effect_noise((200, 120), 90).convert("RGBA")  # several chunks
    image, keys = kitty_decoded(terminal_images.kitty(noise, 20, 6))
    assert same(noise, image, tolerance=0)
    assert (keys["a"], keys["f"], keys["c"], keys["r"]) == ("T", "100", "20", "6")


def test_iterm_decodes_to_the_drawing(drawing: Image.Image) -> None:
    text = terminal_images.iterm(drawing, 9, 2)
    found = re.fullmatch(r"\x1b\]1337;File=([^:]*):([^\a]*)\a", text)
    assert found
    keys = dict(pair.split("=") for pair in found[1].split(";"))
    data = base64.standard_b64decode(found[2])
    assert keys["inline"] == "1"
    assert int(keys["size"]) == len(data)
    assert (keys["width"], keys["height"]) == ("9", "2")
    assert same(drawing, Image.open(io.BytesIO(data)), tolerance=0)


def test_half_blocks_decode_to_the_drawing(drawing: Image.Image) -> None:
    lines = terminal_images.half_blocks(drawing).splitlines()
    assert len(lines) == 20
    pixels = np.zeros((40, 90, 4), np.uint8)
    for row, line in enumerate(lines):
        ink = ground = None
        x = 0
        for colours, plane, reset, character in re.findall(
            r"\x1b\[([34]8);2;([\d;]+)m|(\x1b\[0m)|([▀▄ ])", line
        ):
            if colours == "38":
                ink = [int(v) for v in plane.split(";")]
            elif colours == "48":
                ground = [int(v) for v in plane.split(";")]
            elif reset:
                ink = ground = None
            else:
                top = ink if character == "▀" else ground
                bottom = ink if character == "▄" else ground
                for offset, colour in enumerate((top, bottom)):
                    if colour is not None:
                        pixels[2 * row + offset, x] = [*colour, 255]
                x += 1
        assert x == 90
    assert same(drawing, Image.fromarray(pixels), tolerance=0)


@pytest.mark.parametrize("protocol", ["kitty", "iterm", "sixel"])
def test_the_cursor_ends_below_the_image(drawing: Image.Image, protocol: str) -> None:
    out = io.StringIO()
    terminal_images.write_image(out, drawing, Graphics(protocol, (10, 20)))
    text = out.getvalue()
    assert text.startswith("\n\n\x1b[2A\x1b7")
    assert text.endswith("\x1b8\x1b[2B\r")


@pytest.mark.parametrize(
    ("variables", "protocol"),
    [
        ({"TERM": "xterm-kitty"}, "kitty"),
        ({"TERM": "xterm-256color", "KITTY_WINDOW_ID": "1"}, "kitty"),
        ({"TERM": "xterm-ghostty"}, "kitty"),
        ({"TERM": "xterm-256color", "KONSOLE_VERSION": "230401"}, "kitty"),
        ({"TERM": "xterm-256color", "KONSOLE_VERSION": "210401"}, "ask"),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "iTerm.app"}, "iterm"),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "WezTerm"}, "iterm"),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "mintty"}, "iterm"),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "vscode"}, "ask"),
        # Inside tmux the outer terminal's variables promise what does not come through.
        ({"TERM": "tmux-256color", "KITTY_WINDOW_ID": "1"}, "ask"),
        ({"TERM": "xterm-256color", "TMUX": "/tmp/x", "TERM_PROGRAM": "WezTerm"}, "ask"),
        ({"TERM": "xterm"}, "ask"),
        ({"TERM": "dumb", "KITTY_WINDOW_ID": "1"}, ""),
        ({"TERM": "linux"}, ""),
    ],
)
@pytest.mark.skipif(sys.platform == "win32", reason="names POSIX terminals")
def test_the_protocol_follows_from_the_environment(
    variables: dict[str, str], protocol: str
) -> None:
    assert terminal_images.named_by(variables) == protocol


@pytest.mark.parametrize(
    ("reply", "sixel", "colours"),
    [
        (b"\x1b[?1;0;256S\x1b[?63;1;2;4;6;9;15;22c", True, 256),
        (b"\x1b[?1;0;16S\x1b[?62;4c", True, 16),
        (b"\x1b[?62;4c", True, 256),
        (b"\x1b[?1;0;1024S\x1b[?64;4c", True, 256),
        (b"\x1b[?1;3;0S\x1b[?62;22c", False, 256),
        (b"\x1b[?4;1c", False, 256),  # a VT132: the first number is the kind of terminal
        (b"\x1b[?1;2c", False, 256),
        (b"", False, 256),
    ],
)
def test_replies_of_terminals(reply: bytes, sixel: bool, colours: int) -> None:
    found = terminal_images.read_reply(reply)
    assert (found.sixel, found.colours) == (sixel, colours)


def test_in_a_pipe_nothing_is_drawn_or_queried(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise AssertionError("the terminal was opened")

    monkeypatch.setenv("TERM", "xterm-kitty")
    monkeypatch.setattr(os, "open", refuse)
    monkeypatch.setattr("sys.stdout", io.StringIO())
    assert terminal_images.graphics("auto", blocks_too=True) is None
    assert terminal_images.graphics("never") is None
    assert terminal_images.graphics("sixel") == Graphics("sixel", (10, 20))
