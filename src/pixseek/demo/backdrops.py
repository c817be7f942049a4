"""Draw the sky, the weather and the six settings."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

from pixseek.demo.canvas import Canvas, Colour, mixed

_HORIZON: Final = 0.56
_SKY: Final[dict[str, tuple[Colour, Colour]]] = {  # top, horizon
    "day": ((84, 162, 234), (204, 232, 250)),
    "sunset": ((120, 78, 150), (255, 172, 96)),
    "night": ((10, 14, 44), (44, 56, 108)),
}
_DULL_SKY: Final[dict[str, tuple[Colour, Colour]]] = {  # under clouds, rain and snow
    "day": ((136, 152, 170), (202, 210, 218)),
    "sunset": ((112, 88, 116), (206, 150, 124)),
    "night": ((18, 20, 36), (52, 56, 78)),
}
_LAND: Final[dict[str, tuple[Colour, Colour]]] = {  # far, near
    "beach": ((246, 224, 168), (226, 192, 128)),
    "city": ((158, 160, 166), (118, 120, 128)),
    "mountain": ((134, 168, 104), (92, 132, 76)),
    "lake": ((126, 186, 92), (88, 152, 66)),
    "field": ((152, 208, 92), (96, 168, 62)),
    "desert": ((232, 178, 104), (206, 138, 70)),
}
_SNOW: Final[tuple[Colour, Colour]] = ((236, 242, 250), (214, 226, 240))
_WATER: Final[tuple[Colour, Colour]] = ((72, 150, 206), (44, 112, 178))


def draw_sky(canvas: Canvas) -> None:
    """Fill the canvas down to the land: gradient, stars, sun or moon, clouds."""
    scene, rng = canvas.scene, canvas.rng
    clear = scene.weather == "clear"
    top, bottom = (_SKY if clear else _DULL_SKY)[scene.time]
    canvas.fade(0, _HORIZON, top, bottom)
    canvas.box(0, _HORIZON, 1, 0.75, bottom)
    if scene.time == "night" and scene.weather in ("clear", "cloudy"):
        for _ in range(46 if clear else 12):
            r = rng.uniform(0.002, 0.006)
            canvas.ellipse(rng.random(), rng.uniform(0, 0.5), r, r, (255, 250, 214))
    if clear:
        x, y = rng.choice((rng.uniform(0.1, 0.36), rng.uniform(0.64, 0.9))), rng.uniform(0.12, 0.2)
        if scene.time == "night":
            canvas.ellipse(x, y, 0.075, 0.075, (250, 244, 206))
            canvas.ellipse(x + 0.032, y - 0.022, 0.064, 0.064, mixed(top, bottom, y / _HORIZON))
        else:
            warm = (255, 226, 84) if scene.time == "day" else (255, 128, 64)
            y += 0.0 if scene.time == "day" else 0.16
            for r, part in ((0.13, 0.25), (0.105, 0.45)):
                canvas.ellipse(x, y, r, r, mixed(mixed(top, bottom, y / _HORIZON), warm, part))
            canvas.ellipse(x, y, 0.078, 0.078, warm)
        return
    shade = {"cloudy": (244, 246, 250), "rain": (128, 136, 150), "snow": (222, 228, 238)}
    cloud = canvas.lit(shade[scene.weather])
    for i in range(4):
        x, y = (i + rng.uniform(0.1, 0.9)) / 4, rng.uniform(0.07, 0.22)
        w = rng.uniform(0.12, 0.18)
        under = mixed(cloud, (60, 70, 96), 0.22)
        for fill, drop in ((under, 0.018), (cloud, 0.0)):
            canvas.ellipse(x, y + drop, w, w * 0.3, fill)
            canvas.ellipse(x - w * 0.35, y - w * 0.2 + drop, w * 0.42, w * 0.36, fill)
            canvas.ellipse(x + w * 0.28, y - w * 0.26 + drop, w * 0.5, w * 0.44, fill)


def draw_falling(canvas: Canvas) -> None:
    """Draw rain or snow in front of everything."""
    rng = canvas.rng
    if canvas.scene.weather == "rain":
        drop = (206, 224, 246) if canvas.scene.time != "night" else (140, 164, 214)
        for _ in range(80):
            x, y = rng.uniform(-0.02, 1.02), rng.uniform(-0.04, 1)
            canvas.line(x, y, x - 0.022, y + 0.07, 0.007, drop)
    elif canvas.snowy:
        for _ in range(90):
            r = rng.uniform(0.005, 0.012)
            canvas.ellipse(rng.random(), rng.random(), r, r, (255, 255, 255))


# The six settings.


def _land(canvas: Canvas, top: float) -> None:
    far, near = _SNOW if canvas.snowy else _LAND[canvas.scene.setting]
    far, near = canvas.lit(far), canvas.lit(near)
    if canvas.snowy and canvas.scene.time == "night":  # snow glimmers in the dark
        far, near = mixed(far, _SNOW[0], 0.25), mixed(near, _SNOW[1], 0.25)
    canvas.fade(top, 1, far, near)


def _water(canvas: Canvas, top: float, bottom: float) -> None:
    far, near = (canvas.lit(c) for c in _WATER)
    if canvas.scene.time == "sunset":
        far = mixed(far, (255, 150, 90), 0.45)
    canvas.fade(top, bottom, far, near)
    ripple = mixed(far, (255, 255, 255), 0.4)
    for _ in range(14):
        x, y, w = canvas.rng.random(), canvas.rng.uniform(top + 0.02, bottom - 0.01), 0.035
        canvas.line(x - w, y, x + w, y, 0.005, ripple)


def _draw_beach(canvas: Canvas) -> None:
    _water(canvas, _HORIZON - 0.02, 0.79)
    _land(canvas, 0.78)
    s = 0.012
    foam = mixed(canvas.lit((255, 255, 255)), canvas.lit(_WATER[0]), 0.15)
    near = canvas.painted(0, 0.8)
    crest = [(x / 16, 0.78 + s * math.sin(x * 1.4 + canvas.scene.seed % 7)) for x in range(17)]
    canvas.polygon([*crest, (1, 0.82), (0, 0.82)], foam)
    canvas.polygon([*[(x, y + 0.015) for x, y in crest], (1, 0.85), (0, 0.85)], near)


def _draw_city(canvas: Canvas) -> None:
    rng = canvas.rng
    night = canvas.scene.time == "night"
    x = -0.03
    while x < 1:
        w, top = rng.uniform(0.09, 0.16), rng.uniform(0.2, 0.42)
        grey = rng.randint(104, 150)
        wall = canvas.lit((grey, grey + 6, grey + 20))
        canvas.box(x, top, x + w, 0.72, wall)
        if canvas.snowy:
            canvas.box(x, top, x + w, top + 0.015, canvas.lit((244, 248, 255)))
        for row in range(int((0.68 - top) / 0.055)):
            for column in range(3):
                bright = rng.random() < (0.55 if night else 0.8)
                pane = (
                    ((255, 222, 120) if night else canvas.lit((206, 226, 244))) if bright else None
                )
                left, y = x + w * (0.14 + column * 0.28), top + 0.03 + row * 0.055
                canvas.box(
                    left, y, left + w * 0.16, y + 0.026, pane or mixed(wall, (30, 34, 50), 0.4)
                )
        x += w + 0.006
    _land(canvas, 0.7)
    if not canvas.snowy:
        stripe = canvas.lit((236, 232, 214))
        for i in range(6):
            canvas.box(i / 5.5 + 0.02, 0.957, i / 5.5 + 0.11, 0.97, stripe)
    canvas.box(0, 0.7, 1, 0.725, canvas.lit((232, 238, 246) if canvas.snowy else (190, 190, 194)))


def _draw_mountain(canvas: Canvas) -> None:
    rng = canvas.rng
    for low, high, colour in ((0.2, 0.3, (142, 152, 178)), (0.1, 0.18, (112, 116, 138))):
        for i in range(2):
            x, top, w = (i + rng.uniform(0.3, 0.7)) / 2, rng.uniform(low, high), 0.36
            rock, shade = canvas.lit(colour), canvas.lit(mixed(colour, (40, 40, 70), 0.3))
            foot = 0.7
            canvas.polygon(((x - w, foot), (x, top), (x + w, foot)), rock)
            canvas.polygon(((x, top), (x + w, foot), (x + w * 0.2, foot)), shade)
            cap = 0.34 if canvas.snowy else 0.2
            dx, y = w * cap, top + (foot - top) * cap
            points = ((x - dx, y), (x, top), (x + dx, y), (x + dx * 0.4, y - 0.02),
                      (x, y + 0.025), (x - dx * 0.45, y - 0.015))  # fmt: skip
            canvas.polygon(points, canvas.lit((248, 250, 255)))
    _land(canvas, 0.68)


def _draw_lake(canvas: Canvas) -> None:
    far = _SNOW[0] if canvas.snowy else (92, 142, 92)
    hills = [(x / 12, 0.5 + 0.035 * math.sin(x * 1.1 + canvas.scene.seed % 9)) for x in range(13)]
    canvas.polygon([*hills, (1, 0.64), (0, 0.64)], canvas.lit(far))
    for _ in range(9):  # a distant wood, which tells a lake from the sea
        x, h = canvas.rng.random(), canvas.rng.uniform(0.06, 0.1)
        canvas.polygon(((x - 0.03, 0.6), (x, 0.6 - h), (x + 0.03, 0.6)), canvas.lit((44, 96, 66)))
    _land(canvas, 0.59)
    top, bottom = 0.61, 0.815
    _water(canvas, top, bottom)
    far_c, near_c = (canvas.lit(c) for c in (_SNOW if canvas.snowy else _LAND["lake"]))
    shore = mixed(far_c, near_c, 0.45)
    for side in (0, 1):  # the shore bends round both ends
        reach = 0.13 if side == 0 else 0.87
        canvas.polygon(
            ((side, top - 0.01), (reach, top - 0.01), (side, 0.72)), mixed(far_c, near_c, 0.1)
        )
        canvas.polygon(((side, 0.72), (reach, bottom + 0.01), (side, bottom + 0.01)), shore)
    reed = canvas.lit((72, 120, 52))
    for _ in range(6):
        x = canvas.rng.choice((canvas.rng.uniform(0, 0.1), canvas.rng.uniform(0.9, 1)))
        canvas.line(x, 0.83, x + 0.01, 0.75, 0.008, reed)


def _draw_field(canvas: Canvas) -> None:
    scene, rng = canvas.scene, canvas.rng
    far = _SNOW[1] if canvas.snowy else (120, 184, 88)
    hills = [(x / 12, 0.54 + 0.03 * math.sin(x * 0.8 + scene.seed % 11)) for x in range(13)]
    canvas.polygon([*hills, (1, 0.7), (0, 0.7)], canvas.lit(far))
    _land(canvas, 0.62)
    if canvas.snowy:
        return
    for _ in range(26):
        x, y = rng.random(), rng.uniform(0.66, 0.99)
        petal = canvas.lit(rng.choice(((255, 246, 180), (255, 255, 255), (250, 214, 236))))
        canvas.line(x, y, x, y + 0.016, 0.005, canvas.lit((70, 130, 50)))
        canvas.ellipse(x, y, 0.007, 0.006, petal)


def _draw_desert(canvas: Canvas) -> None:
    rng = canvas.rng
    for low, part in ((0.5, 0.25), (0.57, 0.0)):
        shift = rng.uniform(0, 6)
        dune = [(x / 16, low + 0.05 * math.sin(x * 0.5 + shift)) for x in range(17)]
        colour = mixed((236, 186, 116), (196, 116, 72), part)
        canvas.polygon([*dune, (1, 0.75), (0, 0.75)], canvas.lit(colour))
    _land(canvas, 0.66)
    cactus = canvas.lit((58, 122, 78))
    for _ in range(3):
        x, foot, h = rng.random(), rng.uniform(0.6, 0.7), 0.13
        canvas.line(x, foot, x, foot - h, 0.022, cactus)
        for way in (-1, 1):
            elbow, y = x + way * 0.035, foot - h * rng.uniform(0.3, 0.5)
            canvas.line(x, y, elbow, y, 0.015, cactus)
            canvas.line(elbow, y + 0.007, elbow, y - h * 0.35, 0.015, cactus)


BACKDROPS: Final[dict[str, Callable[[Canvas], None]]] = {
    "beach": _draw_beach,
    "city": _draw_city,
    "mountain": _draw_mountain,
    "lake": _draw_lake,
    "field": _draw_field,
    "desert": _draw_desert,
}
