"""Draw a `Scene` with Pillow, the same way at every size."""

from __future__ import annotations

from PIL import Image

from pixseek.demo.backdrops import BACKDROPS, draw_falling, draw_sky
from pixseek.demo.canvas import Brush, Canvas
from pixseek.demo.drawn_things import THINGS
from pixseek.demo.scenes import Scene, Thing


def render(scene: Scene, size: int = 256, *, smooth: bool = True) -> Image.Image:
    """Draw `scene` as a square RGB image of `size` pixels a side.

    With `smooth` it is drawn at twice the size and reduced, which softens every edge.
    """
    side = size * 2 if smooth else size
    canvas = Canvas(scene, side)
    draw_sky(canvas)
    BACKDROPS[scene.setting](canvas)
    for thing in sorted(scene.ground, key=_footing):
        for x in thing.centres:
            foot = _footing(thing)
            canvas.shadow(x, foot, thing.height * (0.5 if thing.kind == "ball" else 0.62))
            THINGS[thing.kind](Brush(canvas, x, foot, thing.height, thing.colour))
    for thing in scene.air:
        for i, x in enumerate(thing.centres):
            foot = 0.04 + thing.height + 0.03 * (i % 2)
            THINGS[thing.kind](Brush(canvas, x, foot, thing.height, thing.colour))
    draw_falling(canvas)
    return canvas.image.reduce(2) if smooth else canvas.image


def _footing(thing: Thing) -> float:
    """The y at which a thing meets the ground: boats float behind, small things are in front."""
    if thing.kind == "boat":
        return 0.755
    return {"house": 0.86, "tree": 0.87, "car": 0.9}.get(thing.kind, 0.93)
