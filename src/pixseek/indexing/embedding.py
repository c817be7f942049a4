"""Embedding many images, in threads.

Each thread takes a batch of jobs, prepares their images one after the other, and embeds them in one
call. So decoding and embedding overlap without a queue of pictures between them. A thread holds one
batch of prepared tensors (0.6 MB each at 224 pixels), and memory does not grow with the number or
the size of the images.
"""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import accumulate, islice
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from pixseek.errors import ModelError
from pixseek.indexing.media import in_context
from pixseek.types import (
    Accelerable,
    Acceleration,
    Encoder,
    Failure,
    Precision,
    Progress,
    Record,
)
from pixseek.types.dataclass import dataclass

if TYPE_CHECKING:
    from pixseek.types import Vectors

# Images that a model refuses one after the other, before the model is blamed and not they.
_REFUSED_IN_A_ROW = 8

_RATE_WINDOW_S = 10.0

#: Long jobs at a time, at most: a video has decoding threads and up to 40 frames of its own.
_LONG_AT_ONCE = 4

#: Seconds between looks whether a run that waits for a batch is to stop.
_STOP_LOOK_S = 0.1


class _StoppedError(Exception):
    """The run was stopped while it read a sample."""


class Prepared(Protocol):
    """An item that is ready for the model.

    Attributes:
        record: of the item.
        tensors: what the image tower reads of each part; none if the item needs no embedding, or
            embeds itself.
        stream: embeds the item as it is decoded, if it is too long to hold: given what turns n
            tensors into (n, dim) rows, it returns the item with its final record, and its rows.
            None for any other.
    """

    @property
    def record(self) -> Record:
        """See above."""
        ...

    @property
    def tensors(self) -> Sequence[Vectors]:
        """See above."""
        ...

    @property
    def stream(self) -> Callable[[Encode], Embedded[Any] | Failure] | None:
        """See above."""
        ...


#: Turns n prepared tensors into rows, (n, dim) float32.
Encode = Callable[[Sequence["Vectors"]], "Vectors"]


class StoppedError(Exception):
    """The run was stopped in the middle of an item, which is left to the next run."""


class Stop(threading.Event):
    """A run's own signal to stop: set by its caller's, or by itself when it is left early."""

    def __init__(self, asked: threading.Event | None = None) -> None:
        """Follow the event of the caller, which stays as it is."""
        super().__init__()
        self._asked = asked

    def is_set(self) -> bool:
        """See `threading.Event`; `wait` does not wait for the caller's."""
        return super().is_set() or (self._asked is not None and self._asked.is_set())


#: Gives what is entered while something takes long; its argument says what.
Waiting = Callable[[str], contextlib.AbstractContextManager[None]]

Job = TypeVar("Job")
Item = TypeVar("Item", bound=Prepared)
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Embedded(Generic[Item]):
    """An item with the rows to store, (parts, dim) float32; (0, dim) if it needed no embedding."""

    item: Item
    rows: Vectors


#: A batch that a thread works on.
_Batch = Future[list[Embedded[Item] | Failure]]


class Embedding(Generic[Job, Item]):
    """Embeds jobs with one encoder.

    Attributes:
        seconds: spent in "decode" and in "encode", summed over the threads.
    """

    def __init__(
        self,
        encoder: Encoder,
        prepare: Callable[[Job], Item | Failure],
        *,
        threads: int,
        stop: threading.Event,
        parts: int = 1,
        interrupt: Callable[[], object] = lambda: None,
        idle: Callable[[], object] = lambda: None,
        is_long: Callable[[Job], bool] = lambda _: False,
    ) -> None:
        """Set up; nothing runs yet.

        Args:
            encoder: its image tower is used.
            prepare: turns a job into tensors for the encoder; called from several threads.
            threads: how many prepare and embed.
            stop: when set, running batches end and no more begin. Set if a run is left early.
            parts: about how many tensors an item has; the more, the fewer items in a batch.
            interrupt: called again and again while running batches end after `stop` was set; ends
                what `prepare` waits for, such as answers of servers.
            idle: called again and again while `run` waits for outcomes.
            is_long: whether a job may take hours, as a video does: such jobs have threads of
                their own, and the others do not wait for them.
        """
        self._interrupt, self._idle = interrupt, idle
        self.encoder, self.prepare, self.threads, self.stop = encoder, prepare, threads, stop
        self._parts, self._is_long = parts, is_long
        self.seconds = {"decode": 0.0, "encode": 0.0}
        self._clock = threading.Lock()
        self._turns: contextlib.AbstractContextManager[Any] = contextlib.nullcontext()

    def accelerate(
        self,
        precision: Precision,
        images: int,
        sample: Callable[[int], Sequence[Job]],
        waiting: Waiting,
    ) -> Acceleration | None:
        """Let the encoder choose its runtime; return the choice, None if it has or needs none.

        Args:
            precision: the wanted one.
            images: how many are to be embedded.
            sample: returns at most the given number of jobs, drawn evenly.
            waiting: returns what to enter while this goes on; called with what goes on.

        Raises:
            ModelError: the precision was named, and is unavailable or fails its check.
        """
        if not isinstance(self.encoder, Accelerable):
            return None

        with contextlib.ExitStack() as stack:

            def prepared(count: int) -> Vectors:
                # Until the choice is made: after the sample come a conversion and the check.
                text = f"Checking how to run the model fastest, on {count} of your images"
                stack.enter_context(waiting(text))
                # Some more than asked for: a few images can't be decoded.
                found = self._tensors(sample(count + count // 8 + 1), count)
                if self.stop.is_set():
                    raise _StoppedError
                return found

            stack.enter_context(waiting("Preparing the model"))
            with contextlib.suppress(_StoppedError):
                return self.encoder.accelerate(precision, images, prepared)
            return None

    def run(
        self, jobs: Iterable[Job], total: int
    ) -> Generator[Embedded[Item] | Failure, None, None]:
        """Yield the outcome of each job, in order; of fewer when stopped.

        Long jobs come whenever they are done, and those that the model refuses once it has embedded
        another.

        Args:
            jobs: to do; asked for as they are needed.
            total: how many there are, about: so batches can be smaller towards the end.

        Raises:
            ModelError: the model could embed none of several images, so that it is the model that
                is broken.
        """
        self._turns = threading.BoundedSemaphore(max(1, self.encoder.streams))
        aside: deque[Job] = deque()  # long ones that have not begun
        batches = self._batches(self._short(iter(jobs), aside), total)
        pending: deque[_Batch[Item]] = deque()
        long: list[_Batch[Item]] = []
        refused: list[Failure] = []  # in a row: it may be the model that is broken, and not they
        pool = ThreadPoolExecutor(self.threads, thread_name_prefix="pixseek-embed")
        at_once = min(self.threads, _LONG_AT_ONCE)
        long_pool = ThreadPoolExecutor(at_once, thread_name_prefix="pixseek-video")
        try:
            while True:
                # Twice as many as run, so that one slow file does not leave the others waiting.
                while len(pending) < 2 * self.threads and not self.stop.is_set():
                    batch = next(batches, None)
                    if batch is None:
                        break
                    pending.append(pool.submit(self._work, batch))
                while aside and len(long) < at_once and not self.stop.is_set():
                    long.append(long_pool.submit(self._work, [aside.popleft()]))
                if not pending and not long:
                    break
                first = [pending[0]] if pending else []
                # Stopped: running batches are kept, the others are left to the next run.
                if first and self.stop.is_set() and first[0].cancel():
                    pending.popleft()
                    continue
                done = self._until_one_is_done([*first, *long])
                if first and first[0] in done:
                    pending.popleft()
                long = [each for each in long if each not in done]
                for outcome in (each for future in done for each in future.result()):
                    if isinstance(outcome, Failure) and outcome.stage == "encode":
                        refused.append(outcome)
                        if len(refused) >= _REFUSED_IN_A_ROW:
                            raise ModelError(
                                "the model can embed no image", outcome.uri, outcome.message
                            )
                        continue
                    if isinstance(outcome, Embedded) and len(outcome.rows):
                        yield from refused
                        refused = []
                    yield outcome
            yield from refused
        except BaseException:  # also if nobody wants the rest
            self.stop.set()
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
            long_pool.shutdown(wait=True, cancel_futures=True)

    def _short(self, jobs: Iterator[Job], aside: deque[Job]) -> Iterator[Job]:
        """Yield the jobs that are not long, and put the others aside."""
        for job in jobs:
            if self._is_long(job):
                aside.append(job)
            else:
                yield job

    def encode(self, items: Sequence[Item]) -> list[Embedded[Item] | Failure]:
        """Embed items; one that the model can't embed is a failure in its place.

        Raises:
            ModelError: it can embed none of several, so it is the model that is broken.
            StoppedError: the run was stopped in the middle of a long item.
        """
        began = time.perf_counter()
        given = [item for item in items if item.tensors]
        found: list[Vectors | ModelError] = []
        try:
            rows = self._rows([tensor for item in given for tensor in item.tensors])
            ends = accumulate(len(item.tensors) for item in given)
            found += [rows[end - len(i.tensors) : end] for end, i in zip(ends, given, strict=True)]
        except ModelError:
            for item in given:
                try:
                    found.append(self._rows(item.tensors))
                except ModelError as error:
                    found.append(error)
            errors = [each for each in found if isinstance(each, ModelError)]
            if len(errors) == len(given) > 1:
                raise errors[0] from None
        finally:
            self._spent("encode", time.perf_counter() - began)
        embedded = iter(found)
        outcomes: list[Embedded[Item] | Failure] = []
        for item in items:
            if item.stream is not None:
                outcomes.append(self._streamed(item, item.stream))
                continue
            row = next(embedded) if item.tensors else self._rows(())
            if isinstance(row, ModelError):
                outcomes.append(_refused(item, row))
            else:
                outcomes.append(Embedded(item, in_context(row, item.record.parts)))
        return outcomes

    def _streamed(
        self, item: Item, stream: Callable[[Encode], Embedded[Item] | Failure]
    ) -> Embedded[Item] | Failure:
        """Embed a long item. What is not the model's is the decoder's time."""
        began, encoded = time.perf_counter(), 0.0

        def encode(tensors: Sequence[Vectors]) -> Vectors:
            nonlocal encoded
            started = time.perf_counter()
            rows = self._rows(tensors)
            encoded += time.perf_counter() - started
            return rows

        try:
            return stream(encode)
        except ModelError as error:
            return _refused(item, error)
        finally:
            self._spent("encode", encoded)
            self._spent("decode", time.perf_counter() - began - encoded)

    def _rows(self, tensors: Sequence[Vectors]) -> Vectors:
        """Return (n, dim) rows for n tensors, by calls of at most a batch each, in turn."""
        import numpy as np

        size, rows = max(1, self.encoder.batch_size), []
        for start in range(0, len(tensors), size):
            batch = np.stack(tensors[start : start + size])
            with self._turns:  # a wait for one's turn counts as a wait for the model
                rows.append(self.encoder.encode_images(batch))
        if len(rows) == 1:
            return rows[0]
        return np.concatenate([np.empty((0, self.encoder.dim), np.float32), *rows])

    def _batches(self, jobs: Iterator[Job], total: int) -> Iterator[list[Job]]:
        """Give the jobs in batches, and smaller ones towards the end.

        So the threads end together: with batches of 8, one of two threads has nothing to do for
        half a second at the end of 72 photos of 12 megapixels, of 3 s in all. Two at least, since
        a model that refuses several together is broken (see `encode`).
        """
        given, size = 0, max(1, self.encoder.batch_size // self._parts)
        while batch := list(islice(jobs, min(size, max(2, (total - given) // (2 * self.threads))))):
            yield batch
            given += len(batch)

    def _work(self, batch: list[Job]) -> list[Embedded[Item] | Failure]:
        """Prepare and embed a batch; runs in a thread."""
        found: list[Embedded[Item] | Failure] = []
        waiting: list[Item] = []  # photos are embedded together, a video by itself
        with contextlib.suppress(StoppedError):
            # A video before the next file is read: it may be in a temporary file.
            for outcome in self._outcomes(batch):
                if isinstance(outcome, Failure) or outcome.stream is not None:
                    found += self.encode(waiting)
                    waiting = []
                if isinstance(outcome, Failure):
                    found.append(outcome)
                elif outcome.stream is not None:
                    found += self.encode([outcome])
                else:
                    waiting.append(outcome)
            found += self.encode(waiting)
        return found

    def _outcomes(self, batch: list[Job]) -> Iterator[Item | Failure]:
        """Yield what is prepared of a batch; of less when stopped."""
        for job in batch:
            if self.stop.is_set():
                break
            try:
                outcome = self._prepared(job)
            except StoppedError:  # while the content of a large file was read
                break
            if self.stop.is_set() and isinstance(outcome, Failure):
                break  # it was interrupted; if it is a failure, the next run finds it again
            yield outcome

    def _until_one_is_done(self, futures: Sequence[Future[Result]]) -> list[Future[Result]]:
        """Wait for one of some batches, and return those that are done, in order.

        If the run is to stop meanwhile, interrupt what they wait for.
        """
        while True:
            done = wait(futures, _STOP_LOOK_S, FIRST_COMPLETED).done
            if done:
                return [each for each in futures if each in done]
            self._idle()
            if self.stop.is_set():
                self._interrupt()

    def _prepared(self, job: Job) -> Item | Failure:
        began = time.perf_counter()
        try:
            return self.prepare(job)
        finally:
            self._spent("decode", time.perf_counter() - began)

    def _sampled(self, job: Job) -> Item | Failure | None:
        with contextlib.suppress(StoppedError):
            return None if self.stop.is_set() else self._prepared(job)
        return None

    def _spent(self, stage: str, seconds: float) -> None:
        with self._clock:
            self.seconds[stage] += seconds

    def _tensors(self, jobs: Sequence[Job], count: int) -> Vectors:
        """Return up to `count` prepared images of these jobs, the first part of each."""
        import numpy as np

        side = self.encoder.input_side
        found, filled = np.empty((0, 3, side, side), np.float32), 0
        with ThreadPoolExecutor(self.threads, thread_name_prefix="pixseek-sample") as pool:
            # Into their place one by one: 192 of 224 pixels are 116 MB, and a list of them next to
            # the stack would double that.
            futures = deque(pool.submit(self._sampled, job) for job in jobs)
            while futures:
                (future,) = self._until_one_is_done([futures.popleft()])
                item = future.result()
                if item is None or isinstance(item, Failure) or not item.tensors or filled == count:
                    continue
                tensor = item.tensors[0]
                if not filled:
                    found = np.empty((min(count, len(jobs)), *tensor.shape), np.float32)
                found[filled] = tensor
                filled += 1
        return found[:filled]


class Pace:
    """Tells how far a run has come, and how fast it is."""

    def __init__(self, total: int) -> None:
        """Begin now.

        Args:
            total: how many images there are to settle.
        """
        self.total = total
        self._recent: deque[tuple[float, int]] = deque()

    def progress(self, done: int, failed: int, uri: str = "") -> Progress:
        """Return how far it is.

        Args:
            done: images settled.
            failed: failures so far.
            uri: the last one settled.
        """
        now = time.perf_counter()
        self._recent.append((now, done))
        while self._recent[-1][0] - self._recent[0][0] > _RATE_WINDOW_S and len(self._recent) > 2:
            self._recent.popleft()
        spent = now - self._recent[0][0]
        rate = (done - self._recent[0][1]) / spent if spent > 0.2 else 0.0
        left = (self.total - done) / rate if rate else None
        return Progress("index", done, self.total, failed, rate, left, uri)


def drawn(jobs: Sequence[Job], count: int) -> list[Job]:
    """Return up to `count` of the jobs, drawn at random, the same every time.

    In their order: a packed tar is read from its beginning for each that lies before the last one.
    """
    chosen = random.Random(0).sample(range(len(jobs)), min(len(jobs), count))
    return [jobs[at] for at in sorted(chosen)]


def _refused(item: Prepared, error: ModelError) -> Failure:
    return Failure(
        item.record.uri,
        "encode",
        "not-encodable",
        f"The model could not embed it ({error.problem})",
        "Look at the image; if it is fine, report this with the model's name.",
        item.record.stamp,
    )
