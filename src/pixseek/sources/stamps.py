"""Stamps of image files, which change with the file and with its sidecars."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from pixseek.metadata.sidecars import SidecarFinder
from pixseek.sources.companions import Companions
from pixseek.types import Stamp
from pixseek.types.sources import marked


def with_sidecars(
    stamp: Stamp, folder: str, name: str, sidecars: Iterable[str], *, is_wanted: bool = False
) -> Stamp:
    """Return an image's stamp, marked with the names, sizes and times of its sidecars.

    Its second is that of the newest. Names count without what they share with the image's, so a
    photo that is renamed together with its sidecars keeps its stamp.

    Args:
        stamp: size and time of the file itself.
        folder: path of the folder that it lies in.
        name: of the file.
        sidecars: names of its sidecars, in the order in which they are found, and of its companion.
        is_wanted: see `Candidate`; it counts too, since it decides what becomes of trash.
    """
    stem = name.rpartition(".")[0] or name
    here = os.path.join(folder, "")
    newest, marks = stamp.mtime_ns, [str(stamp.mtime_ns)]
    if is_wanted:
        marks.append("wanted")
    for sidecar in sidecars:
        try:
            status = os.stat(f"{here}{sidecar}")
        except OSError:
            continue  # it went away, or is a broken link: the image is indexed without
        newest = max(newest, status.st_mtime_ns)
        marks.append(f"{sidecar.removeprefix(stem)}\0{status.st_size}\0{status.st_mtime_ns}")
    return marked(Stamp(stamp.size, newest), "\0\0".join(marks))


class Stamps:
    """Gives the stamps of single files as a scan gives them.

    Files of one folder should follow one another: each folder is listed when it is met.
    """

    def __init__(self) -> None:
        """Begin with no folder."""
        self._folder: Path | None = None
        self._beside, self._companions = SidecarFinder(()), Companions(())

    def of(self, path: Path) -> Stamp:
        """Return the stamp of a file.

        Raises:
            OSError: it can't be looked at.
        """
        status = path.stat()
        if path.parent != self._folder:
            names = os.listdir(path.parent)
            self._folder, self._beside = path.parent, SidecarFinder(names)
            self._companions = Companions(names)
        stamp = Stamp(status.st_size, status.st_mtime_ns)
        sidecars = [*self._beside.find(path.name), *filter(None, [self._companions.of(path.name)])]
        return with_sidecars(stamp, str(path.parent), path.name, sidecars) if sidecars else stamp
