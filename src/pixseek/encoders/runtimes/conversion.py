"""Image towers converted to another format: made once per model by another process, and kept.

Another process releases all its memory, and the indexer never holds it.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import ClassVar

from pixseek.config import make_folder
from pixseek.encoders.runtimes.graph import Graph
from pixseek.errors import ModelError
from pixseek.types.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Conversion:
    """A converted tower on disk."""

    #: Its files, the one to open first. By default those of OpenVINO.
    FILES: ClassVar[tuple[str, ...]] = ("model.xml", "model.bin")

    folder: Path

    @property
    def model(self) -> Path:
        """The converted tower."""
        return self.folder / self.FILES[0]

    def there(self) -> bool:
        """Return whether it exists."""
        return all((self.folder / name).is_file() for name in self.FILES)

    def discard(self) -> None:
        """Delete it."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def make_by(self, converter: str, graph: Graph, *arguments: str) -> None:
        """Convert a tower; its folder is moved into place when it is complete.

        Args:
            converter: a module next to this one. It is run with the path of the graph, the path of
                the model to write, and the `arguments`.
            graph: the tower.

        Raises:
            ModelError: the converter failed, or the folder can't be written.
        """
        try:
            make_folder(self.folder.parent)
            with tempfile.TemporaryDirectory(
                dir=self.folder.parent, ignore_cleanup_errors=True
            ) as temporary:
                place = Path(temporary) / "model"
                place.mkdir()
                run(converter, str(graph.path), str(place / self.FILES[0]), *arguments)
                self.discard()
                place.rename(self.folder)
        except OSError as error:
            raise not_stored(self.folder, error) from error
        except subprocess.CalledProcessError as error:
            said = error.stderr.decode(errors="replace").strip().splitlines()
            raise ModelError(
                "a model could not be converted",
                graph.path,
                said[-1] if said else f"The converter ended with {error.returncode}.",
            ) from error


class Halved(Conversion):
    """A tower with 16-bit weights, for computing in bf16, which has even fewer digits.

    ViT-B/32 in bf16: the ONNX file takes 1.1 s of processor time to open and 820 MB. This takes
    0.3 s and 487 MB, because its file is mapped without converting it; the lowest cosine to fp32
    is .99995 with both.
    """

    def make(self, graph: Graph) -> None:
        """Convert a tower.

        Raises:
            ModelError: OpenVINO can't read it, or the folder can't be written.
        """
        self.make_by("halve", graph)


def not_stored(folder: Path, error: OSError) -> ModelError:
    """Return the error for a conversion that can't be written."""
    return ModelError(
        "a converted model can't be stored", folder, f"{error}. Is the disk full or read-only?"
    )


def run(converter: str, *arguments: str) -> None:
    """Run a converter in another process.

    Raises:
        subprocess.CalledProcessError: it failed; `stderr` has the reason.
    """
    subprocess.run(
        [sys.executable, "-m", f"pixseek.encoders.runtimes.{converter}", *arguments],
        check=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
