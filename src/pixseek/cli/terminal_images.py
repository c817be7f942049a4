"""Draw images in a terminal, and find out which graphics the terminal has.

Three protocols and a fallback: kitty's graphics protocol, iTerm2's inline images, sixel, and half
blocks (each character is two pixels). Of the packages that do this, term-image pins Pillow below
11, and textual-image queries the terminal on import, lacks iTerm2's protocol and is LGPL; the
writers below are about 100 lines.
"""

from __future__ import annotations

import base64
import functools
import io
import os
import re
import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TextIO

from pixseek.types.dataclass import dataclass

if TYPE_CHECKING:
    from PIL import Image

#: The values of `--thumbnails`.
CHOICES = ("auto", "kitty", "iterm", "sixel", "blocks", "never")

#: Pixels of one character if the terminal does not report them: as on the VT340 and in Windows
#: Terminal.
_USUAL_CELL = (10, 20)

# A reply takes a few milliseconds plus the round trip of a network. Every terminal replies, so
# this is reached only if something in between swallows the reply.
_REPLY_S = 1.0


@dataclass(frozen=True, slots=True)
class Graphics:
    """How a terminal shows images.

    Attributes:
        protocol: "kitty", "iterm", "sixel" or "blocks".
        cell: width and height of one character, in pixels.
        colours: for sixel, the most colours of one image.
    """

    protocol: str
    cell: tuple[int, int]
    colours: int = 256


# ------------------------------------------------------------------ which one


def graphics(choice: str = "auto", *, blocks_too: bool = False) -> Graphics | None:
    """Return how standard output shows images; None if it should not.

    Args:
        choice: one of `CHOICES`.
        blocks_too: for "auto": use half blocks if there is nothing better.
    """
    if choice == "never":
        return None
    if choice != "auto":
        colours = _asked().colours if choice == "sixel" and _is_terminal() else 256
        return Graphics(choice, (1, 2) if choice == "blocks" else _cell(), colours)
    if not _is_terminal():
        return None
    found = named_by(os.environ)
    if found == "ask":
        asked = _asked()
        found, colours = ("sixel" if asked.sixel else ""), asked.colours
    else:
        colours = 256
    if found:
        return Graphics(found, _cell(), colours)
    true_colour = os.environ.get("COLORTERM", "").lower() in ("truecolor", "24bit")
    return Graphics("blocks", (1, 2)) if blocks_too and true_colour else None


def named_by(environment: Mapping[str, str]) -> str:
    """Return the protocol that the environment names: "" for none, "ask" to ask the terminal."""
    term = environment.get("TERM", "")
    program = environment.get("TERM_PROGRAM", "")
    if term == "dumb" or (not term and os.name != "nt"):
        return ""
    if environment.get("TMUX") or environment.get("ZELLIJ") or term.startswith(("screen", "tmux")):
        # A multiplexer decides itself what it passes on; variables may come from the terminal
        # outside.
        return "ask"
    if "kitty" in term or "ghostty" in term or environment.get("KITTY_WINDOW_ID"):
        return "kitty"
    if program == "ghostty" or environment.get("GHOSTTY_RESOURCES_DIR"):
        return "kitty"
    if environment.get("KONSOLE_VERSION", "0").isdigit() and (
        int(environment.get("KONSOLE_VERSION", "0")) >= 220400
    ):
        return "kitty"
    if program in ("iTerm.app", "WezTerm", "mintty") or environment.get("LC_TERMINAL") == "iTerm2":
        return "iterm"
    if os.name == "nt":
        # Windows Terminal shows sixel since 1.22; older versions ignore it.
        return "sixel" if environment.get("WT_SESSION") else ""
    return "" if term == "linux" else "ask"


@dataclass(frozen=True, slots=True)
class _Reply:
    sixel: bool = False
    colours: int = 256


def read_reply(reply: bytes) -> _Reply:
    """Return what a terminal reports: replies to XTSMGRAPHICS (may be missing) and to DA1."""
    attributes = re.search(rb"\x1b\[\?([\d;]+)c", reply)
    registers = re.search(rb"\x1b\[\?1;0;(\d+)S", reply)
    return _Reply(
        sixel=attributes is not None and b"4" in attributes[1].split(b";")[1:],
        colours=max(2, min(256, int(registers[1]))) if registers else 256,
    )


@functools.cache
def _asked() -> _Reply:
    """Ask the terminal for its features, leaving nothing on the screen or in the input."""
    try:
        import select
        import termios
    except ImportError:  # Windows
        return _Reply()
    try:
        terminal = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY)
    except OSError:
        return _Reply()
    try:
        # A background process would be stopped for changing the terminal; and what the user typed
        # ahead for the shell must not be swallowed with the reply.
        if os.tcgetpgrp(terminal) != os.getpgrp() or select.select([terminal], [], [], 0)[0]:
            return _Reply()
        before = termios.tcgetattr(terminal)
        silent: list[Any] = termios.tcgetattr(terminal)
        silent[3] &= ~(termios.ICANON | termios.ECHO)
        reply = b""
        try:
            termios.tcsetattr(terminal, termios.TCSADRAIN, silent)
            # First the colours of sixel, then a query that every terminal answers.
            os.write(terminal, b"\x1b[?1;1;0S\x1b[c")
            until = time.monotonic() + _REPLY_S
            while not re.search(rb"\x1b\[\?[\d;]+c", reply):
                if not select.select([terminal], [], [], max(0.0, until - time.monotonic()))[0]:
                    break
                reply += os.read(terminal, 256)
        finally:
            # Flush the input, so that a late reply does not end up in the shell's line.
            termios.tcsetattr(terminal, termios.TCSAFLUSH, before)
        return read_reply(reply)
    except (OSError, termios.error):
        return _Reply()
    finally:
        os.close(terminal)


def _is_terminal() -> bool:
    return sys.stdout.isatty()


def _cell() -> tuple[int, int]:
    try:
        import fcntl
        import struct
        import termios

        answer = fcntl.ioctl(sys.stdout.fileno(), termios.TIOCGWINSZ, b"\0" * 8)
        rows, columns, width, height = struct.unpack("HHHH", answer)
    except (ImportError, OSError, ValueError):
        return _USUAL_CELL
    if not (rows and columns and width and height):
        return _USUAL_CELL
    return max(4, width // columns), max(8, height // rows)


# ------------------------------------------------------------------ writing


def write_image(out: TextIO, image: Image.Image, how: Graphics) -> None:
    """Draw an image at the left edge, and move to the line below it.

    Args:
        out: the terminal.
        image: mode "RGBA"; its height is a multiple of the cell's.
        how: see `graphics`.
    """
    columns = -(-image.width // how.cell[0])
    lines = -(-image.height // how.cell[1])
    if how.protocol == "blocks":
        out.write(half_blocks(image))
        return
    if how.protocol == "kitty":
        data = kitty(image, columns, lines)
    elif how.protocol == "iterm":
        data = iterm(image, columns, lines)
    else:
        data = sixel(image, how.colours)
    # Terminals disagree about where an image leaves the cursor. So make the room first, and move
    # the cursor there explicitly.
    out.write("\n" * lines + f"\x1b[{lines}A\x1b7{data}\x1b8\x1b[{lines}B\r")
    out.flush()


def kitty(image: Image.Image, columns: int, lines: int) -> str:
    """Return an image in kitty's graphics protocol, scaled to this many cells."""
    encoded = base64.standard_b64encode(_png(image)).decode("ascii")
    chunks = [encoded[start : start + 4096] for start in range(0, len(encoded), 4096)]
    # a=T: show at once; f=100: PNG; q=2: no reply; C=1: leave the cursor alone.
    head = f"a=T,f=100,q=2,C=1,c={columns},r={lines},"
    return "".join(
        f"\x1b_G{head if n == 0 else ''}m={int(n < len(chunks) - 1)};{chunk}\x1b\\"
        for n, chunk in enumerate(chunks)
    )


def iterm(image: Image.Image, columns: int, lines: int) -> str:
    """Return an image in iTerm2's protocol, scaled to this many cells."""
    data = _png(image)
    return (
        f"\x1b]1337;File=inline=1;size={len(data)};width={columns};height={lines};"
        f"preserveAspectRatio=0:{base64.standard_b64encode(data).decode('ascii')}\a"
    )


def sixel(image: Image.Image, colours: int = 256) -> str:
    """Return an image as sixel; transparent pixels are not drawn.

    Args:
        image: mode "RGBA".
        colours: the terminal's number of colours.
    """
    import numpy as np
    from PIL import Image

    opaque = np.asarray(image.getchannel("A")) >= 128
    flat = image.convert("RGB").quantize(
        colours, Image.Quantize.MEDIANCUT, dither=Image.Dither.FLOYDSTEINBERG
    )
    indices = np.where(opaque, np.asarray(flat, dtype=np.int16), -1)
    palette = np.array(flat.getpalette() or [], dtype=np.int64).reshape(-1, 3)
    height, width = indices.shape
    padded = np.full((-(-height // 6) * 6, width), -1, np.int16)
    padded[:height] = indices
    # P2=1: pixels that are not drawn keep the background. Then the size, and the palette in
    # percent.
    parts = [f'\x1bP0;1;0q"1;1;{width};{height}']
    parts += [
        f"#{n};2;{r * 100 // 255};{g * 100 // 255};{b * 100 // 255}"
        for n, (r, g, b) in enumerate(palette.tolist())
    ]
    bits = (1 << np.arange(6)).astype(np.uint8)[:, None]
    for band in padded.reshape(-1, 6, width):
        drawn = []
        for colour in np.unique(band):
            if colour >= 0:
                mask = ((band == colour) * bits).sum(axis=0, dtype=np.uint8)
                drawn.append(f"#{colour}{_runs(mask)}")
        parts.append("$".join(drawn) + "-")
    parts.append("\x1b\\")
    return "".join(parts)


def _runs(sixels: Any) -> str:
    """Return one row of sixels, (width,) uint8 below 64, run-length encoded."""
    import numpy as np

    edges = np.flatnonzero(np.diff(sixels)) + 1
    starts = [0, *edges.tolist()]
    lengths = np.diff([*starts, len(sixels)]).tolist()
    values = sixels[starts].tolist()
    if values[-1] == 0:  # the empty end of a row need not be written
        values.pop()
    return "".join(
        f"!{length}{chr(63 + value)}" if length > 3 else chr(63 + value) * length
        for value, length in zip(values, lengths, strict=False)
    )


def half_blocks(image: Image.Image) -> str:
    """Return an image as lines of characters of two pixels each, in 24-bit colour."""
    import numpy as np

    pixels = np.asarray(image.convert("RGBA")).tolist()
    lines = []
    for top in range(0, image.height - 1, 2):
        parts = []
        for (r, g, b, a), below in zip(pixels[top], pixels[top + 1], strict=True):
            if a < 128 and below[3] < 128:
                parts.append("\x1b[0m ")
            elif a < 128:
                parts.append("\x1b[0m\x1b[38;2;{};{};{}m▄".format(*below[:3]))
            elif below[3] < 128:
                parts.append(f"\x1b[0m\x1b[38;2;{r};{g};{b}m▀")
            else:
                under = "\x1b[48;2;{};{};{}m".format(*below[:3])
                parts.append(f"\x1b[38;2;{r};{g};{b}m{under}▀")
        lines.append("".join(parts) + "\x1b[0m\n")
    return "".join(lines)


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=3)
    return buffer.getvalue()
