"""The backgrounds of one library: made once for its model and its images, and kept beside it."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pixseek.background import Background
from pixseek.searching import Backgrounds
from pixseek.types import Encoder, Engine

if TYPE_CHECKING:
    from PIL import Image

    from pixseek.types import Vectors

#: Vectors that stand for all images of a library.
_SAMPLE = 4096
#: The images' background is made anew when their number has changed by more than this share.
_CHANGED = 0.25
#: Pictures that are altered to learn how near near-duplicates are, and the share of them that
#: must be found.
_ALTERED, _FOUND = 48, 0.1
#: Where nothing could be learned: about right for CLIP ViT-B/32.
DUPLICATE = 0.98
#: Two photos are never near-duplicates below this, nor must they be nearer than that.
_DUPLICATE_RANGE = (0.9, 0.995)


class BackgroundStore:
    """Keeps the backgrounds of a library in its folder. May be used from several threads."""

    def __init__(self, folder: Path, *, read_only: bool) -> None:
        """Use the library in `folder`; nothing is read yet."""
        self._folder = folder
        self._read_only = read_only
        self._loaded: tuple[tuple[str, int], Backgrounds] | None = None

    def get(
        self, engine: Engine, encoder: Callable[[], Encoder], captions: Sequence[str]
    ) -> Backgrounds:
        """Return the backgrounds, made where they are missing or out of date.

        Args:
            engine: holds the images; it has a space.
            encoder: gives the encoder; called only if the captions must be embedded.
            captions: the bank of unrelated texts.
        """
        space = engine.space
        assert space is not None
        count = engine.count()
        if self._loaded is not None:
            (fingerprint, counted), loaded = self._loaded
            if fingerprint == space.fingerprint and not _changed(counted, count):
                return loaded
        bank = hashlib.sha256("\n".join(captions).encode()).hexdigest()[:12]
        texts = self._kept(f"background-texts-{space.fingerprint[:12]}-{bank}.npz")
        if texts is None:
            texts = _arrays(Background.of(encoder().encode_texts(list(captions))))
            self._keep(f"background-texts-{space.fingerprint[:12]}-{bank}.npz", texts)
        name = f"background-images-{space.fingerprint[:12]}.npz"
        images = self._kept(name)
        if images is None or _changed(int(images["count"][0]), count):
            import numpy as np

            sample = engine.sample(_SAMPLE)
            before = images
            images = _arrays(Background.of(sample)) if len(sample) else _flat(space.dim)
            images["count"] = np.array([count])
            images["duplicate"] = np.array([0.0]) if before is None else before["duplicate"]
            self._keep(name, images)
        found = Backgrounds(
            Background(texts["mean"], texts["covariance"]),
            Background(images["mean"], images["covariance"]),
            float(images["duplicate"][0]) or DUPLICATE,
        )
        self._loaded = ((space.fingerprint, int(images["count"][0])), found)
        return found

    def learn_duplicates(
        self, engine: Engine, encoder: Encoder, pictures: Sequence[Image.Image]
    ) -> None:
        """Find out how near near-duplicates are in this model, unless that is known.

        Args:
            engine: holds the images.
            encoder: of the library.
            pictures: some of its images, RGB.
        """
        import numpy as np

        space = engine.space
        assert space is not None
        name = f"background-images-{space.fingerprint[:12]}.npz"
        kept = self._kept(name)
        if kept is None or float(kept["duplicate"][0]) or not pictures:
            return
        kept["duplicate"] = np.array([duplicate_cosine(encoder, pictures[:_ALTERED])])
        self._keep(name, kept)
        self._loaded = None

    def _kept(self, name: str) -> dict[str, Vectors] | None:
        import numpy as np

        try:
            with np.load(self._folder / name, allow_pickle=False) as file:
                return {key: file[key] for key in file.files}
        except (OSError, ValueError, KeyError):
            return None  # missing, or damaged: it is made anew

    def _keep(self, name: str, arrays: dict[str, Vectors]) -> None:
        import numpy as np

        if self._read_only:
            return
        content = io.BytesIO()
        np.savez(content, **arrays)  # type: ignore[arg-type]
        with contextlib.suppress(OSError):  # a cache: without it, it is made anew
            handle, made = tempfile.mkstemp(".tmp", "background-", self._folder)
            with os.fdopen(handle, "wb") as file:
                file.write(content.getvalue())
            os.replace(made, self._folder / name)


def duplicate_cosine(encoder: Encoder, pictures: Sequence[Image.Image]) -> float:
    """Return the cosine from which this model takes two images as near-duplicates.

    Each picture is compared with itself as it comes back from a friend: a third smaller, a little
    cropped, brighter, and saved as a bad JPEG; nine of ten such pairs reach the cosine that is
    returned.
    """
    import numpy as np
    from PIL import Image, ImageEnhance

    from pixseek.images import decode
    from pixseek.types import Picture

    def vectors(images: Sequence[Image.Image]) -> Vectors:
        prepared = [encoder.prepare(Picture(i, i.width, i.height, "")) for i in images]
        size = max(1, encoder.batch_size)
        batches = [np.stack(prepared[at : at + size]) for at in range(0, len(prepared), size)]
        return np.concatenate([encoder.encode_images(batch) for batch in batches])

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


def _arrays(background: Background) -> dict[str, Vectors]:
    return {"mean": background.mean, "covariance": background.covariance}


def _flat(dim: int) -> dict[str, Vectors]:
    import numpy as np

    return {"mean": np.zeros(dim, np.float32), "covariance": np.zeros((dim, dim), np.float32)}


def _changed(before: int, now: int) -> bool:
    return abs(now - before) > _CHANGED * max(before, 1)
