"""Verify a model on this machine: its files, and the vectors it gives."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pixseek import encoders
from pixseek.encoders import parity
from pixseek.encoders.configuration import read_json
from pixseek.encoders.export import RECORD
from pixseek.encoders.hub import catalogue, pins
from pixseek.encoders.parity import Stored
from pixseek.errors import MissingExtraError, ModelError
from pixseek.types.dataclass import dataclass

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pixseek.types import Encoder, Picture

#: Lowest cosine between an item's vectors alone and in a batch: kernels add in different orders.
#: Faults, such as padding that is read or one scale for a whole batch, give about .99.
SAME = 0.9999

#: Number of images, and of texts, that are embedded alone and together.
COMPARED = 8


@dataclass(frozen=True, slots=True)
class Check:
    """The result of one check.

    Attributes:
        what: what was checked.
        good: whether it passed; None if it could not be checked.
        found: the finding, for display.
    """

    what: str
    good: bool | None
    found: str


def verify(
    name: str | Path,
    pictures: Sequence[Picture],
    *,
    models_dir: Path,
    against: Path | None = None,
) -> Iterator[Check]:
    """Yield the results of the checks, one by one. Doesn't use the network.

    Args:
        name: a name that `encoders.load` accepts, of a model on this machine.
        pictures: pictures to embed; at least two, preferably real ones.
        models_dir: folder of downloaded models.
        against: folder of the model from which this one was exported, with which to compare the
            vectors; None to skip that.

    Raises:
        ModelError: the model is unknown, or not on this machine.
    """
    folder = encoders.locate(name, models_dir)
    if folder is None and encoders.describe(name, models_dir).layout:
        raise ModelError(
            "a model is not on this machine", name, f"Run pixseek models download {name}"
        )
    yield from _files(name, folder, models_dir)
    encoder: Encoder | None = None

    def loaded() -> str:
        nonlocal encoder
        encoder = encoders.load(name, models_dir=models_dir, offline=True)
        return f"vectors of {encoder.dim} numbers"

    yield _tried("opened", loaded)
    if encoder is None:
        return
    yield _tried("images", lambda: _images(encoder, pictures))
    yield _tried("texts", lambda: _texts(encoder))
    if against is not None:
        stored = _stored(folder)
        yield _tried(
            f"against {against.name}",
            lambda: _against(encoder, against, pictures, stored, models_dir),
        )


class _DiffersError(Exception):
    """A check failed; the message is the finding."""


def _tried(what: str, look: Callable[[], str]) -> Check:
    """Return the result of a check; a model's failure is a finding too."""
    try:
        return Check(what, True, look())
    except _DiffersError as error:
        return Check(what, False, str(error))
    except (ModelError, MissingExtraError) as error:
        said = (error.problem, error.subject, error.advice)
        return Check(what, False, ": ".join(each for each in said if each))


# ------------------------------------------------------------------ files


def _files(name: str | Path, folder: Path | None, models_dir: Path) -> Iterator[Check]:
    model = catalogue.find(str(name)) or catalogue.on_hub(str(name))
    if model and model.images:
        yield from _files(model.images, encoders.locate(model.images, models_dir), models_dir)
    if folder is None:
        yield Check("files", None, "managed by another package")
        return
    pin = pins.pin(model, models_dir) if model else None
    wanted = {file.path: file.sha256 for file in pin.files} if pin else {}
    try:
        # The record may have been edited by hand: anything but names and digests is ignored.
        exported = read_json(folder / RECORD, optional=True).get("files")
    except ModelError:
        exported = None
    if isinstance(exported, dict):
        wanted = {str(path): str(digest) for path, digest in exported.items()}
    known = {path: digest for path, digest in wanted.items() if digest}
    if not known:
        yield Check("files", None, "no SHA-256 is recorded for this model")
        return
    yield _tried("files", lambda: _digests(folder, known))


def _digests(folder: Path, wanted: dict[str, str]) -> str:
    """Compare the digests of files, which are read again: a remembered digest proves nothing."""
    for path, digest in wanted.items():
        try:
            with (folder / path).open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise _DiffersError(f"{path} can't be read: {error}") from error
        if found != digest:
            raise _DiffersError(f"{path} has SHA-256 {found}, but {digest} is recorded")
    return f"{len(wanted)} with the recorded SHA-256"


# ------------------------------------------------------------------ vectors


def _images(encoder: Encoder, pictures: Sequence[Picture]) -> str:
    import numpy as np

    batch = np.stack([encoder.prepare(each) for each in pictures[:COMPARED]])
    together = encoder.encode_images(batch)
    alone = np.concatenate([encoder.encode_images(each[None]) for each in batch])
    return _same(encoder, together, alone)


def _texts(encoder: Encoder) -> str:
    import numpy as np

    # The longest is the last: with it, all others get the most padding possible.
    texts = (*parity.TEXTS[: COMPARED - 1], parity.TEXTS[-1])
    together = encoder.encode_texts(texts)
    alone = np.concatenate([encoder.encode_texts([text]) for text in texts])
    return _same(encoder, together, alone)


def _same(encoder: Encoder, together: NDArray[np.float32], alone: NDArray[np.float32]) -> str:
    """Compare unit rows of the same items, embedded in two ways."""
    if together.shape[1] != encoder.dim:
        raise _DiffersError(f"vectors of {together.shape[1]} numbers instead of {encoder.dim}")
    least = float((together * alone).sum(1).min())
    if not least >= SAME:
        raise _DiffersError(f"alone and in a batch the cosine falls to {least:.6f}")
    return f"{len(alone)} finite vectors, the same alone and in a batch (cosine {least:.6f})"


def _against(
    encoder: Encoder,
    against: Path,
    pictures: Sequence[Picture],
    stored: Stored,
    models_dir: Path,
) -> str:
    original = encoders.load(against, models_dir=models_dir, offline=True)
    found = parity.compare(original, encoder, pictures)
    if short := found.shortfall(stored):
        raise _DiffersError(short)
    return "; ".join(f"{what} {value}" for what, value in found.lines())


def _stored(folder: Path | None) -> Stored:
    """Return the type of an export's weights, on which the required agreement depends."""
    record = read_json(folder / RECORD, optional=True) if folder else {}
    found = record.get("precision")
    return found if found in ("fp16", "int8") else "fp32"
