"""Run an image tower in fp32 over some images, in another process.

    python -m pixseek.encoders.runtimes.reference MODEL.onnx INPUT OUTPUT CORES IMAGES.npy ROWS.npz

Faster towers are compared with the result. For ViT-B/32 it takes 600 MB plus the images: in the
indexing process, that would be the peak memory of a whole run.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from pixseek.encoders.runtimes import graph
from pixseek.encoders.runtimes.conversion import not_stored, run
from pixseek.encoders.runtimes.graph import Graph, Port
from pixseek.encoders.runtimes.towers import IMAGES_A_CALL, OnnxTower, checked, rows_in
from pixseek.errors import ModelError

if TYPE_CHECKING:
    from pixseek.encoders.runtimes.towers import Feeds
    from pixseek.types import Vectors


class ReferenceTower:
    """A tower that is opened and closed by each call, so one call should hold all images."""

    streams = 1

    def __init__(self, tower: Graph, output: Port, batch_size: int, cores: int) -> None:
        """Create it, with the number of images in a call and the cores to use."""
        self.batch_size = batch_size
        #: Processor time of the last call, without its start.
        self.cpu_seconds = 0.0
        self._graph, self._output, self._cores = tower, output, cores

    def run(self, feeds: Feeds) -> Vectors:
        """Return the embeddings, (n, dim) float32; see `towers.Tower`."""
        import numpy as np

        ((name, images),) = feeds.items()
        with tempfile.TemporaryDirectory(prefix="pixseek-", ignore_cleanup_errors=True) as folder:
            given, found = Path(folder) / "images.npy", Path(folder) / "rows.npz"
            try:
                np.save(given, images)
                run(
                    "reference",
                    *(str(self._graph.path), name, self._output.name, str(self._cores)),
                    *(str(given), str(found)),
                )
                with np.load(found) as arrays:
                    rows, self.cpu_seconds = arrays["rows"], float(arrays["cpu_seconds"])
            except OSError as error:
                raise not_stored(given, error) from error
            except subprocess.CalledProcessError as error:
                said = error.stderr.decode(errors="replace").strip().splitlines()
                raise ModelError(
                    "a model failed to run", self._graph.path, said[-1] if said else ""
                ) from error
        return checked(self._graph, rows, rows_in(feeds))


def main(model: str, given: str, output: str, cores: str, images: str, rows: str) -> None:
    """Write the rows of the images at `images`, with their processor time."""
    import time
    from concurrent.futures import ThreadPoolExecutor

    import numpy as np

    read = graph.read(Path(model))
    port = next(each for each in read.outputs if each.name == output)
    tower = OnnxTower(read, port, threads=1, lean=True)
    items = np.load(images, mmap_mode="r")
    tower.provider()  # opens it
    began = time.process_time()
    with ThreadPoolExecutor(int(cores)) as pool:
        parts = list(
            pool.map(
                lambda at: tower.run({given: np.ascontiguousarray(items[at : at + IMAGES_A_CALL])}),
                range(0, len(items), IMAGES_A_CALL),
            )
        )
    np.savez(rows, rows=np.concatenate(parts), cpu_seconds=time.process_time() - began)


if __name__ == "__main__":
    main(*sys.argv[1:])
