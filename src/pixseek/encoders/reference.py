"""Run an image tower in fp32 over some images, in a process of its own.

    python -m pixseek.encoders.reference MODEL.onnx INPUT OUTPUT IMAGES.npy ROWS.npy

What a faster tower is compared with. ViT-B/32 takes 600 MB for it, beside the images: in the
process that indexes, this would be the most memory of a whole run.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from pixseek.encoders import graph
from pixseek.encoders.conversion import not_stored, run
from pixseek.encoders.graph import Graph, Port
from pixseek.encoders.towers import IMAGES_A_CALL, OnnxTower, checked, rows_in
from pixseek.errors import ModelError

if TYPE_CHECKING:
    from pixseek.encoders.towers import Feeds
    from pixseek.types import Vectors


class ReferenceTower:
    """A tower that opens and ends with each call, so that one call should hold all images."""

    streams = 1

    def __init__(self, tower: Graph, output: Port, batch_size: int) -> None:
        """Note what is to be run, and how many images there will be."""
        self.batch_size = batch_size
        self._graph, self._output = tower, output

    def run(self, feeds: Feeds) -> Vectors:
        """Return the embeddings, (n, dim) float32; see `towers.Tower`."""
        import numpy as np

        ((name, images),) = feeds.items()
        with tempfile.TemporaryDirectory(prefix="pixseek-", ignore_cleanup_errors=True) as folder:
            given, found = Path(folder) / "images.npy", Path(folder) / "rows.npy"
            try:
                np.save(given, images)
                run(
                    "reference",
                    *(str(self._graph.path), name, self._output.name, str(given), str(found)),
                )
                rows = np.load(found)
            except OSError as error:
                raise not_stored(given, error) from error
            except subprocess.CalledProcessError as error:
                said = error.stderr.decode(errors="replace").strip().splitlines()
                raise ModelError(
                    "a model failed to run", self._graph.path, said[-1] if said else ""
                ) from error
        return checked(self._graph, rows, rows_in(feeds))


def main(model: str, given: str, output: str, images: str, rows: str) -> None:
    """Write the rows of the images at `images`."""
    import numpy as np

    read = graph.read(Path(model))
    port = next(each for each in read.outputs if each.name == output)
    tower = OnnxTower(read, port, lean=True)
    items = np.load(images, mmap_mode="r")
    parts = [
        tower.run({given: np.ascontiguousarray(items[at : at + IMAGES_A_CALL])})
        for at in range(0, len(items), IMAGES_A_CALL)
    ]
    np.save(rows, np.concatenate(parts))


if __name__ == "__main__":
    main(*sys.argv[1:])
