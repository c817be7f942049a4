"""Whether a model on this machine is whole, and gives the vectors that it should."""

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

#: What a vector alone and in a batch must have as their cosine: kernels add in another order for
#: another batch. What is broken (padding that is seen, one scale for a whole batch) shows at .99.
SAME = 0.9999

#: Images and texts that are embedded alone and together.
COMPARED = 8


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at.

    Attributes:
        what: it is.
        good: whether it is as it should be; None where nothing could be said.
        found: what was found, for people.
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
    """Yield what is found, check by check. Asks no network.

    Args:
        name: of a model that is on this machine, as `encoders.load` takes it.
        pictures: to embed; at least two, best real ones.
        models_dir: where downloaded models are kept.
        against: folder of the model that this one was exported from, to compare the vectors of
            both; None to do without.

    Raises:
        ModelError: there is no such model, or it is not on this machine.
    """
    folder = encoders.locate(name, models_dir)
    if folder is None and encoders.describe(name, models_dir).layout:
        raise ModelError(
            "a model is not on this machine", name, f"Fetch it: pixseek models download {name}"
        )
    yield from _files(name, folder, models_dir)
    encoder: Encoder | None = None

    def loaded() -> str:
        nonlocal encoder
        encoder = encoders.load(name, models_dir=models_dir, offline=True)
        return f"{encoder.dim} numbers a vector"

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
    """What was found is not what it should be."""


def _tried(what: str, look: Callable[[], str]) -> Check:
    """Return what a look found; where a model fails, that is what was found."""
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
        yield Check("files", None, "another package's affair")
        return
    pin = pins.pin(model, models_dir) if model else None
    wanted = {file.path: file.sha256 for file in pin.files} if pin else {}
    try:
        # Of a file that was written by hand: a name with a digest, or it is no record.
        exported = read_json(folder / RECORD, optional=True).get("files")
    except ModelError:
        exported = None
    if isinstance(exported, dict):
        wanted = {str(path): str(digest) for path, digest in exported.items()}
    known = {path: digest for path, digest in wanted.items() if digest}
    if not known:
        yield Check("files", None, f"no SHA-256 is on record for {folder.name}")
        return
    yield _tried("files", lambda: _digests(folder, known))


def _digests(folder: Path, wanted: dict[str, str]) -> str:
    """Compare the digests of files, which are read for it: a remembered one proves nothing."""
    for path, digest in wanted.items():
        try:
            with (folder / path).open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise _DiffersError(f"{path} can't be read: {error}") from error
        if found != digest:
            raise _DiffersError(f"{path} has SHA-256 {found}, and {digest} is on record")
    return f"{len(wanted)} with the SHA-256 on record"


# ------------------------------------------------------------------ vectors


def _images(encoder: Encoder, pictures: Sequence[Picture]) -> str:
    import numpy as np

    batch = np.stack([encoder.prepare(each) for each in pictures[:COMPARED]])
    together = encoder.encode_images(batch)
    alone = np.concatenate([encoder.encode_images(each[None]) for each in batch])
    return _same(encoder, together, alone)


def _texts(encoder: Encoder) -> str:
    import numpy as np

    # The longest is the last: beside it all others are filled up as far as can be.
    texts = (*parity.TEXTS[: COMPARED - 1], parity.TEXTS[-1])
    together = encoder.encode_texts(texts)
    alone = np.concatenate([encoder.encode_texts([text]) for text in texts])
    return _same(encoder, together, alone)


def _same(encoder: Encoder, together: NDArray[np.float32], alone: NDArray[np.float32]) -> str:
    """Compare unit rows, which encoders give or raise, of the same items in two ways."""
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
    """Return what the weights of an export are stored in, which says how near it must be."""
    record = read_json(folder / RECORD, optional=True) if folder else {}
    found = record.get("precision")
    return found if found in ("fp16", "int8") else "fp32"
