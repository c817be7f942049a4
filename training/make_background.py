"""Write the bank of unrelated captions of the demo model: see `pixseek.background`.

    python training/make_background.py

Descriptions of random scenes, so that a query is compared with what else could be said of drawings;
and every tenth caption of the bank for photographs, since words that the model does not know all
give nearly the same vector, which is near to many images.
"""

from __future__ import annotations

import random
from pathlib import Path

from pixseek import background
from pixseek.demo import captions, scenes

TARGET = Path(captions.__file__).parent / "model" / "background.txt"
COUNT = 300


def bank(count: int = COUNT) -> list[str]:
    rng = random.Random(0)
    found: dict[str, None] = {}
    while len(found) < count:
        scene = scenes.random_scene(rng)
        pair = len(scene.things) > 1 and rng.random() < 0.3
        said = captions.pair_description if pair else captions.short_description
        found[said(scene, rng).text] = None
    return list(found)


def main() -> None:
    head = "# Made by training/make_background.py: captions of random scenes, and others."
    TARGET.write_text("\n".join([head, *bank(), *background.bank()[::10]]) + "\n", "utf-8")


if __name__ == "__main__":
    main()
