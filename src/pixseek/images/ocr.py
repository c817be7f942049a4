"""Text in pictures, read by RapidOCR: its package has its models (PP-OCRv6), nothing is fetched.

A picture is untrusted: the models see its pixels only, and the work for one is bounded by its size,
its lines and a time limit. Without the last, thin bars that look like lines took 110 s of a core.
"""

from __future__ import annotations

import functools
import queue
import time
from typing import TYPE_CHECKING, Any

from pixseek.errors import MissingExtraError, ModelError
from pixseek.types import TextLine
from pixseek.types.dataclass import dataclass

if TYPE_CHECKING:
    from pixseek.types import Picture

#: Longer side of the picture that lines are read in, and of the one they are looked for in, in
#: pixels. To look in 1,600 takes twice as long as in 1,280 (docs/how-to/text-in-pictures.md).
READ_SIDE, LOOK_SIDE = 1_600, 1_280

#: Least confidence of a line that is kept: 4 of 200 photos then have lines, and all of those stand
#: in them (docs/how-to/text-in-pictures.md).
LEAST_CONFIDENCE = 0.8
#: Least number of letters and digits in a line: single ones are mostly patterns.
_LEAST_LETTERS = 2

#: Lines and characters of a picture at most; a full page has about 80 and 4,000.
MAX_LINES, MAX_CHARACTERS = 300, 8_000

#: Seconds for one picture, after which no further line is read.
TIME_S = 30.0

#: Width of a line at most, in pixels at a height of 48: 250 characters of usual letters.
_MAX_WIDTH = 6_144

#: Cores that one picture is read on. More help little, so several pictures are read at once.
_CORES = 4


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read in a picture.

    Attributes:
        lines: from top to bottom.
        is_whole: False if the time was over before all lines were read, or if they are too long.
    """

    lines: tuple[TextLine, ...]
    is_whole: bool = True


class TextReader:
    """Reads text in pictures. May be called from several threads at once.

    Attributes:
        name: of the library that reads, with its version.
    """

    def __init__(self, cores: int, time_s: float = TIME_S) -> None:
        """Load nothing yet.

        Args:
            cores: how many to use.
            time_s: seconds for one picture.

        Raises:
            MissingExtraError: RapidOCR is not installed.
        """
        from importlib.metadata import version
        from importlib.util import find_spec

        if find_spec("rapidocr") is None:  # to import it takes 2 s
            raise MissingExtraError("Reading text in pictures", "rapidocr", "ocr")
        self.name = f"rapidocr {version('rapidocr')}"
        self._time_s, self._cores = time_s, min(_CORES, cores)
        # A place for each picture that is read at the same time; models are loaded at need.
        self._engines: queue.LifoQueue[_Engine | None] = queue.LifoQueue()
        for _ in range(max(1, cores // _CORES)):
            self._engines.put(None)

    def read(self, picture: Picture) -> Reading:
        """Return the lines of text in a picture.

        Raises:
            ModelError: the library or its models can't be loaded.
            Exception: of the library or of the models' runtime: none of them is documented.
        """
        engine = self._engines.get()
        try:
            if engine is None:
                engine = self._opened()
            return engine.read(picture, self._time_s)
        finally:
            self._engines.put(engine)

    def _opened(self) -> _Engine:
        try:
            return _Engine(self._cores)
        except MemoryError:
            raise
        except Exception as error:  # a library of the system that is missing, a damaged package
            raise ModelError(
                "Text in pictures can't be read",
                f"{self.name}: {type(error).__name__}: {error}",
                "Install it again: pip install --force-reinstall 'pixseek[ocr]'. Without it: "
                "pixseek index --no-ocr",
            ) from error


@functools.cache
def text_reader(cores: int) -> TextReader:
    """Return the reader of this process, whose models are loaded once for all runs.

    Raises:
        MissingExtraError: see `TextReader`.
    """
    return TextReader(cores)


class _Engine:
    """One set of models, for one picture at a time."""

    def __init__(self, cores: int) -> None:
        import numpy as np
        from rapidocr import RapidOCR

        self._models = RapidOCR(
            params={
                "Global.log_level": "critical",
                "Global.text_score": LEAST_CONFIDENCE,
                "Global.max_side_len": READ_SIDE,
                "EngineConfig.onnxruntime.intra_op_num_threads": cores,
                "Det.limit_type": "max",
                "Det.limit_side_len": LOOK_SIDE,
                "Det.max_candidates": MAX_LINES,
            }
        )
        blank = np.full((64, 256, 3), 255, np.uint8)
        self._models(blank, use_det=True, use_cls=False, use_rec=False)
        self._models(blank, use_det=False, use_cls=True, use_rec=True)
        recogniser: Any = self._models.text_rec
        self._limited = recogniser.session = _Limited(recogniser.session)

    def read(self, picture: Picture, time_s: float) -> Reading:
        import numpy as np

        from pixseek.images.derived import shrunk

        pixels = np.asarray(shrunk(picture.pixels, READ_SIDE))
        height, width = pixels.shape[:2]
        self._limited.begin(time.monotonic() + time_s)
        # The models were trained on pictures as OpenCV reads them: blue first.
        found = self._models(
            np.ascontiguousarray(pixels[..., ::-1]), use_det=True, use_cls=True, use_rec=True
        )
        boxes = getattr(found, "boxes", None)
        texts, scores = getattr(found, "txts", None), getattr(found, "scores", None)
        if boxes is None or texts is None or scores is None:
            return Reading((), self._limited.is_in_time)
        lines, room = [], MAX_CHARACTERS
        for corners, text, score in zip(boxes, texts, scores, strict=True):
            line = " ".join(str(text).split())[:room]
            if sum(map(str.isalnum, line)) < _LEAST_LETTERS or not score > 0:
                continue
            left, top = (max(0.0, float(each)) for each in np.min(corners, axis=0))
            right, bottom = (float(each) for each in np.max(corners, axis=0))
            box = (
                round(left / width, 4),
                round(top / height, 4),
                round((min(right, width) - left) / width, 4),
                round((min(bottom, height) - top) / height, 4),
            )
            lines.append(TextLine(line, round(float(score), 3), box))
            room -= len(line)
            if room <= 0:
                break
        return Reading(tuple(lines), room > 0 and self._limited.is_in_time)


class _Limited:
    """The model that reads lines, which finds them empty after a point of time.

    So the lines that were read until then are kept, and the library needs no way to stop.
    """

    def __init__(self, session: Any) -> None:
        self._session = session
        self._until, self.is_in_time = 0.0, True

    def begin(self, until: float) -> None:
        self._until, self.is_in_time = until, True

    def __call__(self, batch: Any) -> Any:
        import numpy as np

        if time.monotonic() < self._until:
            return self._session(batch[..., :_MAX_WIDTH])
        self.is_in_time = False
        return np.zeros((len(batch), 1, 2), np.float32)  # one step each, and no character in it

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)
