"""The interface of an ONNX file, read without loading it.

The inputs, outputs and weight files of a graph are needed before it runs: to tell a text tower from
an image tower, to know the length of the vectors, and to hash everything that defines them.
Opening a session for that would read hundreds of megabytes; reading the top level of the protocol
buffer touches only a few pages.

Field numbers: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto (IR version 3 and later).
Wire format: https://protobuf.dev/programming-guides/encoding/.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from itertools import islice
from pathlib import Path

from pixseek.errors import ModelError
from pixseek.types.dataclass import dataclass

#: numpy's names of `TensorProto.DataType`, by number.
_DTYPES = {
    1: "float32",
    2: "uint8",
    3: "int8",
    6: "int32",
    7: "int64",
    10: "float16",
    11: "float64",
}


@dataclass(frozen=True, slots=True)
class Port:
    """An input or an output of a graph.

    Attributes:
        name: its name.
        dtype: numpy's name of its type; "" for one that encoders here can't use.
        shape: its dimensions; None for a free one.
    """

    name: str
    dtype: str
    shape: tuple[int | None, ...]


@dataclass(frozen=True)
class Graph:
    """An ONNX file's interface.

    Attributes:
        path: path of the file.
        inputs: the inputs, without initialisers.
        outputs: the outputs.
        external: files of its weights, in the graph's own order, without repeats.
    """

    path: Path
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    external: tuple[Path, ...]

    @cached_property
    def ops(self) -> frozenset[str]:
        """The kinds of its nodes. Read when first needed: a graph of 2,000 nodes takes 5 ms.

        Raises:
            ModelError: the file can no longer be read.
        """
        with _opened(self.path) as (data, start, end):
            return frozenset(_kinds(data, start, end))

    @cached_property
    def image(self) -> Port | None:
        """The input that takes images, (n, 3, height, width); None for a text tower."""
        images = [p for p in self.inputs if p.dtype.startswith("float") and len(p.shape) == 4]
        return images[0] if len(images) == 1 else None

    @cached_property
    def tokens(self) -> Port | None:
        """The input that takes token ids, (n, length); None for an image tower."""
        ids = [p for p in self.inputs if p.dtype.startswith("int") and not _auxiliary(p.name)]
        return ids[0] if len(ids) == 1 else None

    @cached_property
    def mask(self) -> Port | None:
        """The input that takes the attention mask, (n, length); None if there is none."""
        return next((p for p in self.inputs if "mask" in p.name), None)

    @cached_property
    def embedding(self) -> Port | None:
        """The output with one vector per item, (n, dim); None if there is none.

        Graphs of transformers may also return hidden states, and vectors before the projection
        into the common space; the projected ones are named `..._embeds`.
        """
        rows = [p for p in self.outputs if len(p.shape) == 2]
        projected = [p for p in rows if "embed" in p.name]
        return next((found[0] for found in (projected, rows) if len(found) == 1), None)

    @property
    def quantised(self) -> bool:
        """Whether it already computes in integers."""
        return any("Linear" in op or "Integer" in op for op in self.ops)

    @property
    def quantised_on_the_fly(self) -> bool:
        """Whether activations are quantised with one scale per batch.

        Then a vector depends on the others in its batch (cosines down to .987), so items must run
        one at a time.
        """
        return "DynamicQuantizeLinear" in self.ops


def _auxiliary(name: str) -> bool:
    return "mask" in name or "type" in name or "position" in name


def read(path: Path) -> Graph:
    """Return the interface of the ONNX file at `path`.

    Raises:
        ModelError: the file is missing, or not an ONNX file.
    """
    with _opened(path) as (data, start, end):
        return _graph(path, data, start, end)


@contextmanager
def _opened(path: Path) -> Iterator[tuple[mmap.mmap, int, int]]:
    """Map a file into memory, and find the span of the graph in it."""
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            whole = dict(_fields(data, 0, len(data)))[7]
            if isinstance(whole, int):
                raise ValueError("a graph was expected")
            yield data, *whole
    except OSError as error:
        raise ModelError("a model file can't be read", path, str(error)) from error
    except (ValueError, KeyError, IndexError, TypeError, UnicodeDecodeError) as error:
        raise ModelError(
            "not an ONNX model", path, "The file may be damaged. Download it again."
        ) from error


def _graph(path: Path, data: mmap.mmap, start: int, end: int) -> Graph:
    inputs: list[Port] = []
    outputs: list[Port] = []
    initialisers: set[str] = set()
    external: dict[str, None] = {}
    for number, value in _fields(data, start, end):
        if not isinstance(value, tuple):
            continue
        if number == 5:
            for n, v in _fields(data, *value):
                if n == 8:
                    initialisers.add(_text(data, v))
                elif n == 13 and isinstance(v, tuple):
                    entry = dict(_fields(data, *v))
                    if _text(data, entry[1]) == "location":
                        external[_text(data, entry[2])] = None
        elif number == 11:
            inputs.append(_port(data, *value))
        elif number == 12:
            outputs.append(_port(data, *value))
    return Graph(
        path,
        tuple(port for port in inputs if port.name not in initialisers),
        tuple(outputs),
        tuple(path.parent / name for name in external),
    )


def _kinds(data: mmap.mmap, start: int, end: int) -> Iterator[str]:
    """Yield the kind of each node."""
    for number, node in _fields(data, start, end):
        if number == 1 and isinstance(node, tuple):
            yield from islice((_text(data, v) for n, v in _fields(data, *node) if n == 4), 1)


def _port(data: mmap.mmap, start: int, end: int) -> Port:
    name, dtype, shape = "", "", []
    for number, value in _fields(data, start, end):
        if number == 1:
            name = _text(data, value)
        elif number == 2 and isinstance(value, tuple):
            for n, tensor in _fields(data, *value):
                if n != 1 or not isinstance(tensor, tuple):
                    continue
                for field, v in _fields(data, *tensor):
                    if field == 1 and isinstance(v, int):
                        dtype = _DTYPES.get(v, "")
                    elif field == 2 and isinstance(v, tuple):
                        for _, dim in _fields(data, *v):
                            assert isinstance(dim, tuple)
                            length = dict(_fields(data, *dim)).get(1)
                            shape.append(length if isinstance(length, int) and length > 0 else None)
    return Port(name, dtype, tuple(shape))


def _text(data: mmap.mmap, span: int | tuple[int, int]) -> str:
    if isinstance(span, int):
        raise ValueError("a string was expected")
    return data[span[0] : span[1]].decode()


def _fields(data: mmap.mmap, at: int, end: int) -> Iterator[tuple[int, int | tuple[int, int]]]:
    """Yield each field's number with its value (a varint) or its span (anything longer)."""
    # Most numbers take one byte. Checking that here, not in `_varint`, halves the time for a graph
    # of 2,000 nodes.
    while at < end:
        key = data[at]
        at += 1
        if key >= 0x80:
            key, at = _varint(data, at - 1)
        kind = key & 7
        value: int | tuple[int, int]
        if kind == 2:
            length = data[at]
            at += 1
            if length >= 0x80:
                length, at = _varint(data, at - 1)
            value = (at, at + length)
            at += length
        elif kind == 0:
            value, at = _varint(data, at)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
            value, at = (at, at + size), at + size
        else:
            raise ValueError("unknown wire type")
        if at > end:
            raise ValueError("a field goes past the end")
        yield key >> 3, value


def _varint(data: mmap.mmap, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("a number is too long")
