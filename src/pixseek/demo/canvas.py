"""The canvas and the brush that draw scenes, and the colours of things."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Final, TypeAlias

from PIL import Image, ImageDraw

from pixseek.demo.scenes import Scene

Colour: TypeAlias = tuple[int, int, int]

PAINT: Final[dict[str, Colour]] = {
    "red": (212, 36, 42),
    "orange": (248, 138, 24),
    "yellow": (252, 222, 56),
    "green": (46, 160, 66),
    "blue": (40, 90, 216),
    "purple": (132, 58, 180),
    "pink": (252, 146, 194),
    "white": (250, 250, 250),
    "black": (38, 38, 44),
}

_LIGHT: Final[dict[str, Colour]] = {  # factors for the colours of land and water, out of 255
    "day": (255, 255, 255),
    "sunset": (240, 200, 184),
    "night": (96, 108, 150),
}


class Canvas:
    """A picture being drawn. Coordinates go from 0 to 1, x to the right and y downward."""

    def __init__(self, scene: Scene, side: int) -> None:
        self.scene = scene
        self.side = side
        self.rng = random.Random(scene.seed)
        self.snowy = scene.weather == "snow"
        self.image = Image.new("RGB", (side, side))
        self.draw = ImageDraw.Draw(self.image)

    def lit(self, colour: Colour) -> Colour:
        """The colour of land or water at this time of day."""
        red, green, blue = _LIGHT[self.scene.time]
        return (colour[0] * red // 255, colour[1] * green // 255, colour[2] * blue // 255)

    def fade(self, top: float, bottom: float, first: Colour, last: Colour) -> None:
        """Fill the full width between two heights with a vertical gradient."""
        begin, end = round(top * self.side), round(bottom * self.side)
        steps = max(1, min(end - begin, 48))
        column = Image.new("RGB", (1, steps))
        column.putdata([mixed(first, last, i / steps) for i in range(steps)])
        self.image.paste(column.resize((self.side, end - begin)), (0, begin))

    def ellipse(self, x: float, y: float, rx: float, ry: float, fill: Colour) -> None:
        """A filled ellipse round (x, y), with its two radii."""
        s = self.side
        self.draw.ellipse(((x - rx) * s, (y - ry) * s, (x + rx) * s, (y + ry) * s), fill=fill)

    def box(self, left: float, top: float, right: float, bottom: float, fill: Colour) -> None:
        """A filled rectangle."""
        s = self.side
        self.draw.rectangle((left * s, top * s, right * s, bottom * s), fill=fill)

    def polygon(self, points: Iterable[tuple[float, float]], fill: Colour) -> None:
        """A filled polygon."""
        s = self.side
        self.draw.polygon([(x * s, y * s) for x, y in points], fill=fill)

    def line(self, x0: float, y0: float, x1: float, y1: float, w: float, fill: Colour) -> None:
        """A line of width `w`, at least one pixel."""
        s = self.side
        self.draw.line((x0 * s, y0 * s, x1 * s, y1 * s), fill=fill, width=max(1, round(w * s)))

    def painted(self, x: float, y: float) -> Colour:
        """The colour at a point, or at the nearest one inside the picture."""
        last = self.side - 1
        at = [min(last, max(0, round(part * self.side))) for part in (x, y)]
        pixel = self.image.getpixel((at[0], at[1]))
        assert isinstance(pixel, tuple)
        return (pixel[0], pixel[1], pixel[2])

    def shadow(self, x: float, y: float, width: float) -> None:
        """Darken the ground under a thing, whatever its colour."""
        red, green, blue = self.painted(x, y)
        dark = (int(red * 0.72), int(green * 0.74), int(blue * 0.8))
        self.ellipse(x, y - 0.004, width * 0.9, 0.018, dark)


class Brush:
    """Draws one object in its own coordinates: x from its middle, y up from its foot.

    The unit is the height of the object.
    """

    def __init__(self, canvas: Canvas, x: float, foot: float, height: float, colour: str) -> None:
        self.canvas, self.x, self.foot, self.height = canvas, x, foot, height
        self.base = PAINT[colour]
        # Shades keep the hue: a dark red stays red. Black gets lighter edges to stay visible.
        black = colour == "black"
        self.dark = mixed(
            self.base, (96, 98, 110) if black else (20, 16, 40), 0.5 if black else 0.3
        )
        self.light = mixed(self.base, (255, 255, 255), 0.25 if black else 0.4)
        self.night = canvas.scene.time == "night"

    def ellipse(self, x: float, y: float, rx: float, ry: float, fill: Colour) -> None:
        """A filled ellipse round (x, y), with its two radii."""
        h = self.height
        self.canvas.ellipse(self.x + x * h, self.foot - y * h, rx * h, ry * h, fill)

    def box(self, left: float, top: float, right: float, bottom: float, fill: Colour) -> None:
        """A filled rectangle."""
        h, x, y = self.height, self.x, self.foot
        self.canvas.box(x + left * h, y - top * h, x + right * h, y - bottom * h, fill)

    def polygon(self, fill: Colour, *points: tuple[float, float]) -> None:
        """A filled polygon."""
        h = self.height
        self.canvas.polygon([(self.x + x * h, self.foot - y * h) for x, y in points], fill)

    def line(self, x0: float, y0: float, x1: float, y1: float, w: float, fill: Colour) -> None:
        """A line of width `w`, at least one pixel."""
        h, x, y = self.height, self.x, self.foot
        self.canvas.line(x + x0 * h, y - y0 * h, x + x1 * h, y - y1 * h, w * h, fill)


def mixed(one: Colour, other: Colour, part: float) -> Colour:
    """The colour `part` of the way from `one` to `other`."""
    return (
        int(one[0] + (other[0] - one[0]) * part),
        int(one[1] + (other[1] - one[1]) * part),
        int(one[2] + (other[2] - one[2]) * part),
    )
