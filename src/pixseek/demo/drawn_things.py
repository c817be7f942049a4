"""Draw the things of a scene. Outlines are darker than fills, to show on any background."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from pixseek.demo.canvas import PAINT, Brush, mixed

_GLASS: Final = (188, 220, 240)
_LAMP: Final = (255, 226, 120)
_TYRE: Final = (34, 34, 38)
_WOOD: Final = (112, 74, 44)
_INK: Final = (30, 26, 34)


def _draw_car(brush: Brush) -> None:
    body, dark = brush.base, brush.dark
    brush.polygon(dark, (-0.62, 0.52), (-0.4, 1.0), (0.34, 1.0), (0.64, 0.52))
    brush.polygon(body, (-0.55, 0.52), (-0.36, 0.95), (0.3, 0.95), (0.56, 0.52))
    glass = _LAMP if brush.night else _GLASS
    brush.polygon(glass, (-0.44, 0.56), (-0.3, 0.86), (-0.06, 0.86), (-0.06, 0.56))
    brush.polygon(glass, (0.03, 0.56), (0.03, 0.86), (0.26, 0.86), (0.44, 0.56))
    brush.box(-0.98, 0.6, 0.98, 0.16, dark)
    brush.box(-0.95, 0.57, 0.95, 0.22, body)
    brush.box(-0.95, 0.57, 0.95, 0.5, brush.light)
    brush.ellipse(0.92, 0.44, 0.06, 0.08, (255, 246, 190))
    for x in (-0.55, 0.55):
        brush.ellipse(x, 0.2, 0.23, 0.23, _TYRE)
        brush.ellipse(x, 0.2, 0.1, 0.1, (186, 190, 198))


def _draw_house(brush: Brush) -> None:
    body, dark = brush.base, brush.dark
    brush.box(0.2, 0.98, 0.32, 0.66, mixed(dark, (90, 60, 50), 0.5))
    brush.box(-0.44, 0.62, 0.44, 0.0, dark)
    brush.box(-0.41, 0.62, 0.41, 0.02, body)
    brush.polygon(mixed(dark, (70, 44, 40), 0.45), (-0.53, 0.58), (0, 1.0), (0.53, 0.58))
    brush.polygon(mixed(dark, (70, 44, 40), 0.2), (-0.43, 0.61), (0, 0.945), (0.43, 0.61))
    brush.box(-0.09, 0.36, 0.09, 0.0, _WOOD)
    brush.ellipse(0.055, 0.17, 0.016, 0.016, _LAMP)
    pane = _LAMP if brush.night else _GLASS
    for x in (-0.25, 0.25):
        brush.box(x - 0.105, 0.505, x + 0.105, 0.275, dark)
        brush.box(x - 0.085, 0.485, x + 0.085, 0.295, pane)
        brush.line(x, 0.48, x, 0.3, 0.02, dark)


def _draw_tree(brush: Brush) -> None:
    body, dark, light = brush.base, brush.dark, brush.light
    brush.polygon(_WOOD, (-0.07, 0), (-0.045, 0.5), (0.045, 0.5), (0.07, 0))
    blobs = (
        (-0.18, 0.5, 0.2),
        (0.18, 0.5, 0.2),
        (-0.11, 0.7, 0.2),
        (0.12, 0.7, 0.2),
        (0, 0.8, 0.2),
    )
    for x, y, r in blobs:
        brush.ellipse(x, y, r, r, dark)
    for x, y, r in blobs:
        brush.ellipse(x - 0.015, y + 0.015, r - 0.03, r - 0.03, body)
    for x, y in ((-0.16, 0.58), (-0.06, 0.84), (0.1, 0.7)):
        brush.ellipse(x, y, 0.05, 0.035, light)


def _draw_boat(brush: Brush) -> None:
    body, dark = brush.base, brush.dark
    brush.line(0.0, 0.25, 0.0, 0.99, 0.035, _WOOD)
    brush.polygon((206, 208, 214), (0.03, 0.97), (0.03, 0.34), (0.43, 0.34))
    brush.polygon((244, 244, 240), (0.045, 0.9), (0.045, 0.36), (0.38, 0.36))
    brush.polygon(dark, (-0.03, 0.92), (-0.03, 0.34), (-0.35, 0.34))
    brush.polygon(body, (-0.045, 0.82), (-0.045, 0.36), (-0.3, 0.36))
    brush.polygon(dark, (-0.53, 0.3), (0.53, 0.3), (0.37, 0.0), (-0.36, 0.0))
    brush.polygon(body, (-0.47, 0.275), (0.47, 0.275), (0.345, 0.03), (-0.335, 0.03))
    brush.polygon(brush.light, (-0.47, 0.275), (0.47, 0.275), (0.44, 0.22), (-0.44, 0.22))


def _draw_cat(brush: Brush) -> None:
    body, dark = brush.base, brush.dark
    for x, y, r in (
        (0.3, 0.08, 0.06),
        (0.37, 0.17, 0.055),
        (0.39, 0.28, 0.05),
        (0.36, 0.38, 0.045),
    ):
        brush.ellipse(x, y, r, r, dark)
    brush.ellipse(0, 0.26, 0.27, 0.28, dark)
    brush.ellipse(0, 0.26, 0.24, 0.25, body)
    for x in (-0.12, 0.12):
        brush.ellipse(x, 0.05, 0.085, 0.05, dark)
        brush.ellipse(x, 0.055, 0.065, 0.035, brush.light)
    for way in (-1, 1):
        brush.polygon(dark, (way * 0.27, 0.66), (way * 0.23, 1.0), (way * 0.03, 0.84))
        brush.polygon((250, 170, 180), (way * 0.22, 0.74), (way * 0.2, 0.91), (way * 0.1, 0.82))
    brush.ellipse(0, 0.64, 0.29, 0.235, dark)
    brush.ellipse(0, 0.645, 0.26, 0.205, body)
    for x in (-0.11, 0.11):
        brush.ellipse(x, 0.68, 0.05, 0.06, (214, 232, 110))
        brush.ellipse(x, 0.68, 0.022, 0.052, _INK)
    brush.polygon((250, 130, 150), (-0.035, 0.6), (0.035, 0.6), (0, 0.56))
    for way in (-1, 1):
        for y in (0.53, 0.59):
            brush.line(way * 0.08, 0.57, way * 0.36, y, 0.012, brush.dark)


def _draw_dog(brush: Brush) -> None:
    body, dark = brush.base, brush.dark
    brush.line(-0.42, 0.52, -0.62, 0.8, 0.1, dark)
    for x in (-0.38, -0.22, 0.14, 0.3):
        brush.box(x - 0.075, 0.36, x + 0.075, 0.0, dark)
        brush.box(x - 0.045, 0.36, x + 0.045, 0.03, body)
    brush.ellipse(-0.03, 0.44, 0.47, 0.22, dark)
    brush.ellipse(-0.03, 0.45, 0.435, 0.185, body)
    brush.ellipse(0.36, 0.72, 0.25, 0.25, dark)
    brush.ellipse(0.36, 0.725, 0.215, 0.215, body)
    brush.ellipse(0.56, 0.64, 0.135, 0.1, dark)
    brush.ellipse(0.555, 0.645, 0.11, 0.075, brush.light)
    brush.ellipse(0.655, 0.68, 0.045, 0.045, _INK)
    brush.ellipse(0.2, 0.7, 0.1, 0.21, dark)
    brush.ellipse(0.43, 0.79, 0.04, 0.045, (255, 255, 255))
    brush.ellipse(0.44, 0.785, 0.024, 0.03, _INK)
    brush.line(0.16, 0.47, 0.4, 0.47, 0.06, (206, 48, 60) if body != PAINT["red"] else _LAMP)


def _draw_ball(brush: Brush) -> None:
    brush.ellipse(0, 0.5, 0.5, 0.5, brush.dark)
    brush.ellipse(-0.025, 0.525, 0.445, 0.445, brush.base)
    brush.ellipse(-0.14, 0.68, 0.2, 0.17, brush.light)
    brush.ellipse(-0.18, 0.73, 0.08, 0.06, (255, 255, 255))


def _draw_balloon(brush: Brush) -> None:
    body, dark = brush.base, brush.dark
    for x in (-0.13, 0.13):
        brush.line(x * 1.4, 0.42, x * 0.8, 0.16, 0.02, _WOOD)
    brush.box(-0.12, 0.17, 0.12, 0.0, _WOOD)
    brush.polygon(dark, (-0.3, 0.48), (0.3, 0.48), (0.13, 0.27), (-0.13, 0.27))
    brush.ellipse(0, 0.65, 0.36, 0.35, dark)
    brush.polygon(body, (-0.27, 0.49), (0.27, 0.49), (0.11, 0.3), (-0.11, 0.3))
    brush.ellipse(0, 0.655, 0.33, 0.32, body)
    brush.ellipse(0, 0.655, 0.12, 0.32, brush.light)
    brush.polygon(brush.light, (-0.09, 0.46), (0.09, 0.46), (0.04, 0.3), (-0.04, 0.3))


def _draw_bird(brush: Brush) -> None:
    body, dark = brush.base, brush.dark
    brush.polygon(dark, (-0.4, 0.36), (-0.78, 0.56), (-0.72, 0.3))
    brush.ellipse(-0.02, 0.38, 0.46, 0.22, dark)
    brush.ellipse(-0.02, 0.39, 0.42, 0.18, body)
    brush.ellipse(0.42, 0.54, 0.2, 0.2, dark)
    brush.ellipse(0.42, 0.545, 0.165, 0.165, body)
    brush.polygon((250, 160, 40), (0.58, 0.6), (0.58, 0.46), (0.78, 0.5))
    brush.ellipse(0.47, 0.58, 0.045, 0.05, _INK)
    brush.polygon(dark, (-0.26, 0.42), (0.2, 0.42), (-0.34, 1.0))
    brush.polygon(brush.light, (-0.19, 0.45), (0.1, 0.45), (-0.28, 0.88))


THINGS: Final[dict[str, Callable[[Brush], None]]] = {
    "car": _draw_car,
    "house": _draw_house,
    "tree": _draw_tree,
    "boat": _draw_boat,
    "cat": _draw_cat,
    "dog": _draw_dog,
    "ball": _draw_ball,
    "balloon": _draw_balloon,
    "bird": _draw_bird,
}
