"""Live photos: a photo and a clip of the same name, IMG_1.HEIC and IMG_1.MOV.

Names say which may be one. The content of both decides (`video.motion`), when they are read.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

from pixseek import video
from pixseek.types.texts import folded

#: Endings of both, the likeliest first: programs write JPEG copies next to HEIC.
_STILLS, _CLIPS = (".heic", ".heif", ".jpg", ".jpeg"), (".mov", ".mp4")


class Companions:
    """Finds what may be live photos among the files of one folder.

    Without PyAV no clip is read, so there are none; with it, photos get theirs at the next run.
    """

    def __init__(self, names: Iterable[str]) -> None:
        """Take the names of all files in a folder."""
        self._of: dict[str, str] = {}
        names = tuple(names)
        if not any(name.lower().endswith(_CLIPS) for name in names) or not video.available():
            return
        stills: dict[str, list[tuple[int, str]]] = {}
        clips: dict[str, list[tuple[int, str]]] = {}
        for name in names:
            stem, ending = os.path.splitext(name)
            for endings, found in ((_STILLS, stills), (_CLIPS, clips)):
                if (lower := ending.lower()) in endings:
                    found.setdefault(folded(stem), []).append((endings.index(lower), name))
        for stem in stills.keys() & clips.keys():
            still, clip = min(stills[stem])[1], min(clips[stem])[1]
            self._of |= {still: clip, clip: still}

    def of(self, name: str) -> str:
        """Return the companion of a file, if it has one; "" for none."""
        return self._of.get(name, "")


def names_beside(path: str) -> Iterator[str]:
    """Yield the paths that companions of a file may have, with endings in upper and lower case."""
    stem, ending = os.path.splitext(path)
    lower = ending.lower()
    others = _CLIPS if lower in _STILLS else _STILLS if lower in _CLIPS else ()
    for each in others:
        yield from (stem + each, stem + each.upper())
