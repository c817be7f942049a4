"""Where backgrounds are kept: of the model with the models, of the images in the library."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from pixseek.config import make_folder
from pixseek.search.asked import Backgrounds
from pixseek.search.background import CALIBRATION_FILE, Background
from pixseek.storage import private
from pixseek.types import Encoder, Engine

if TYPE_CHECKING:
    from PIL import Image

    from pixseek.types import Vectors

#: Vectors that represent all images of a library.
_SAMPLE = 4096
#: The images' background is rebuilt when their number has changed by more than this share.
_CHANGED = 0.25
#: Pictures that are altered to learn how near near-duplicates are, and the share of them that may
#: lie below the threshold.
_ALTERED, _FOUND = 48, 0.1
#: Bytes of a file that is kept: vectors of 8,192 numbers have one of 256 MB.
_MOST_BYTES = 300 << 20
#: Used if nothing could be learned: about right for CLIP ViT-B/32.
DUPLICATE = 0.98
#: Limits of the threshold, whatever was learned.
_DUPLICATE_RANGE = (0.9, 0.995)


class BackgroundStore:
    """Keeps the backgrounds of a library. May be used from several threads.

    That of its images lies in its folder. That of unrelated texts is the same for all libraries of
    a model, and embedding six hundred captions takes seconds; so it lies with the other files made
    from models. Both can be deleted at any time, and are rebuilt.
    """

    def __init__(self, folder: Path, models: Path, *, read_only: bool) -> None:
        """Use the library in `folder`; nothing is read yet.

        Args:
            folder: of the library.
            models: folder of the files made from models.
            read_only: never write into `folder`.
        """
        self._folder = folder
        self._models = models
        self._read_only = read_only
        self._loaded: tuple[tuple[object, ...], int, Backgrounds] | None = None
        self.version = 0
        """Grows whenever other backgrounds were loaded."""

    def get(
        self,
        engine: Engine,
        encoder: Callable[[], Encoder] | None,
        captions: Sequence[str],
        model: Path | None,
        name: str = "",
        learning: Callable[[], AbstractContextManager[None]] = contextlib.nullcontext,
    ) -> Backgrounds:
        """Return the backgrounds; missing or outdated ones are rebuilt.

        Args:
            engine: holds the images; it has a space.
            encoder: returns the encoder; called only if the captions must be embedded. None if it
                is not on this machine: texts have the background that another bank or another text
                tower of the model left here, else that of the images.
            captions: the bank of unrelated texts.
            model: folder of the model that embeds texts; None if it has none.
            name: of that model, if it is not the model of the images.
            learning: entered while one is built.
        """
        space = engine.space
        assert space is not None
        count = engine.count()
        of = (space.fingerprint, model, name, encoder is None)
        if self._loaded is not None:
            loaded_of, counted, loaded = self._loaded
            if loaded_of == of and not _changed(counted, count):
                return loaded
        if encoder is None:
            texts = self._left_here(space.fingerprint)
        else:
            texts = self.texts(space.fingerprint, encoder, captions, model, name, learning)
        kept = self._of_images(space.fingerprint)
        images = _kept(kept, space.dim)
        if images is None or _changed(int(images["count"][0]), count):
            import numpy as np

            with learning():
                sample = engine.sample(_SAMPLE)
                before = images
                images = _arrays(Background.of(sample)) if len(sample) else _flat(space.dim)
            images["count"] = np.array([count])
            images["duplicate"] = np.array([0.0]) if before is None else before["duplicate"]
            if not self._read_only:
                _keep(kept, images)
        found = Backgrounds.of_library(
            texts,
            Background(images["mean"], images["covariance"]),
            float(images["duplicate"][0]) or DUPLICATE,
        )
        self._loaded = (of, int(images["count"][0]), found)
        self.version += 1
        return found

    def texts(
        self,
        fingerprint: str,
        encoder: Callable[[], Encoder],
        captions: Sequence[str],
        model: Path | None,
        name: str = "",
        learning: Callable[[], AbstractContextManager[None]] = contextlib.nullcontext,
    ) -> Background:
        """Return the background of unrelated texts, built if it is missing.

        Args:
            fingerprint: of the model's space.
            encoder, captions, model, name, learning: as for `get`.
        """
        whole = hashlib.sha256("\n".join(captions).encode())
        # The fingerprint is that of the image tower. The text tower is identified by size and time
        # of its files, because a digest takes too long.
        whole.update(json.dumps(_stamps(model)).encode() + name.encode())
        kept = self._models / f"background-{fingerprint[:16]}-{whole.hexdigest()[:16]}.npz"
        arrays = _kept(kept)
        if arrays is None:
            with learning():
                arrays = _arrays(Background.of(encoder().encode_texts(list(captions))))
            _keep(kept, arrays)
        return Background(arrays["mean"], arrays["covariance"])

    def _left_here(self, fingerprint: str) -> Background | None:
        """Return the background of texts that was last kept for a model's space, by any bank."""
        found: list[tuple[int, Path]] = []
        for path in self._models.glob(f"background-{fingerprint[:16]}-*.npz"):
            with contextlib.suppress(OSError):  # it went away meanwhile
                found.append((path.stat().st_mtime_ns, path))
        for _, path in sorted(found, reverse=True):
            if arrays := _kept(path):
                return Background(arrays["mean"], arrays["covariance"])
        return None

    def learn_duplicates(
        self, engine: Engine, encoder: Encoder, pictures: Sequence[Image.Image]
    ) -> None:
        """Learn how near near-duplicates are in this model, unless that is known.

        Args:
            engine: holds the images.
            encoder: of the library.
            pictures: some of its images, RGB.
        """
        import numpy as np

        space = engine.space
        assert space is not None
        kept = self._of_images(space.fingerprint)
        arrays = _kept(kept, space.dim)
        if self._read_only or arrays is None or float(arrays["duplicate"][0]) or not pictures:
            return
        arrays["duplicate"] = np.array([duplicate_cosine(encoder, pictures[:_ALTERED])])
        _keep(kept, arrays)
        self._loaded = None

    def forget_images(self, fingerprint: str) -> None:
        """Delete what was learned about the library's images in a space that is dropped."""
        with contextlib.suppress(OSError):
            self._of_images(fingerprint).unlink()

    def _of_images(self, fingerprint: str) -> Path:
        return self._folder / f"background-images-{fingerprint[:12]}.npz"


def duplicate_cosine(encoder: Encoder, pictures: Sequence[Image.Image]) -> float:
    """Return the smallest cosine of near-duplicates in this model.

    Each picture is compared with an altered copy of itself: a third smaller, slightly cropped,
    brighter, and saved as a low-quality JPEG. Nine of ten such pairs reach the returned cosine.
    """
    import numpy as np
    from PIL import Image, ImageEnhance

    from pixseek.images import decode
    from pixseek.types import Picture

    def vectors(images: Sequence[Image.Image]) -> Vectors:
        size = max(1, encoder.batch_size)
        rows = []
        for at in range(0, len(images), size):
            pictures = [Picture(i, i.width, i.height, "") for i in images[at : at + size]]
            rows.append(encoder.encode_images(np.stack([encoder.prepare(p) for p in pictures])))
        return np.concatenate(rows)

    altered = []
    for picture in pictures:
        width, height = picture.size
        cut = picture.crop((width // 50, height // 50, width - width // 50, height - height // 50))
        small = cut.resize(
            (max(1, width * 2 // 3), max(1, height * 2 // 3)), Image.Resampling.BICUBIC
        )
        file = io.BytesIO()
        ImageEnhance.Brightness(small).enhance(1.06).save(file, "JPEG", quality=60)
        altered.append(decode(file.getvalue()).pixels)
    cosines = (vectors(list(pictures)) * vectors(altered)).sum(1)
    low, high = _DUPLICATE_RANGE
    return float(np.clip(np.quantile(cosines, _FOUND), low, high))


def _kept(path: Path, of_images: int = 0) -> dict[str, Vectors] | None:
    """Return the arrays in a file; None if it is missing, damaged, or not one of ours.

    Args:
        path: of the file, which may have come with a library from elsewhere.
        of_images: length of the vectors, if the file is about a library's images.
    """
    import zipfile

    import numpy as np

    from pixseek import files

    names = ("mean", "covariance", *(("count", "duplicate") if of_images else ()))
    try:
        content = files.read(path, _MOST_BYTES)
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            if sum(each.file_size for each in file.zip.infolist()) > len(content):
                return None  # packed, which ours are not
            found = {name: file[name] for name in names}
    except (OSError, EOFError, ValueError, TypeError, KeyError, MemoryError, zipfile.BadZipFile):
        return None  # it is rebuilt
    dim = of_images or found["mean"].size
    shapes = [(dim,), (dim, dim), (1,), (1,)]
    fits = [found[name].shape for name in names] == shapes[: len(names)]
    numbers = all(found[name].dtype.kind in "fi" for name in names)
    return found if fits and numbers and all(map(_is_finite, found.values())) else None


def _is_finite(array: Vectors) -> bool:
    import numpy as np

    return bool(np.isfinite(array).all())


def _keep(path: Path, arrays: dict[str, Vectors]) -> None:
    import numpy as np

    content = io.BytesIO()
    np.savez(content, **arrays)  # type: ignore[arg-type]
    with contextlib.suppress(OSError):  # a cache: it is rebuilt without it
        make_folder(path.parent)
        import tempfile

        handle, made = tempfile.mkstemp(".tmp", "background-", path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(content.getvalue())
        # As open as its folder: who may search a shared library needs it, too.
        os.chmod(made, private.mode_in(path.parent))
        os.replace(made, path)


def _stamps(folder: Path | None) -> list[tuple[str, int, int]]:
    """Return name, size and time of each file of a model that vectors may depend on."""
    found = []
    walk = os.walk(folder) if folder is not None else ()
    for path in sorted(Path(parent, name) for parent, _, names in walk for name in names):
        with contextlib.suppress(OSError):  # it went away meanwhile
            if path.is_file() and path.name != CALIBRATION_FILE:
                stat = path.stat()
                found.append((path.name, stat.st_size, stat.st_mtime_ns))
    return found


def _arrays(background: Background) -> dict[str, Vectors]:
    return {"mean": background.mean, "covariance": background.covariance}


def _flat(dim: int) -> dict[str, Vectors]:
    import numpy as np

    return {"mean": np.zeros(dim, np.float32), "covariance": np.zeros((dim, dim), np.float32)}


def _changed(before: int, now: int) -> bool:
    return abs(now - before) > _CHANGED * max(before, 1)
