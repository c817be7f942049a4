"""ONNX graphs with smaller weights, which compute in 32 bits all the same.

Processors gain nothing from computing in fp16, and what int8 does to vectors must be seen on each
user's images, which `int8` does when it indexes. So only what is stored and downloaded shrinks:
each weight is widened again by nodes that a runtime computes once, when it opens the model for
speed. A text tower that is opened as fast as can be computes them at each call instead: ViT-B/32 in
fp16 took 55 to 60 ms a text on a busy machine, and 10 to 20 once it was opened for speed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import onnx

#: Fewer numbers than this save nothing.
_WORTH_IT = 1024

#: Axes, by kind of node, along which the numbers that make up one output lie.
_SUMMED = {"MatMul": (-2,), "Conv": (1, 2, 3)}


def shrink(model: onnx.ModelProto, *, whole: bool) -> None:
    """Store the float32 weights of a graph in 16 bits, in place.

    Args:
        model: with its weights in memory.
        whole: whether to store matrices in 8 bits, with a scale for each output.
    """
    graph = model.graph
    readers: dict[str, list[onnx.NodeProto]] = defaultdict(list)
    for node in graph.node:
        for name in node.input:
            readers[name].append(node)
    weights = [w for w in graph.initializer if w.data_type == 1]
    first: list[onnx.NodeProto] = []
    after: dict[int, onnx.NodeProto] = {}
    for weight in weights:
        made = _shrunk(weight, readers[weight.name], whole)
        if made is None:
            continue
        stored, nodes = made
        graph.initializer.remove(weight)
        graph.initializer.extend(stored)
        if nodes:
            first += nodes
            continue
        # A table: widened are the few rows that were looked up, not all of them at each start.
        for node in readers[weight.name]:
            after[id(node)] = _cast_behind(node)
    old = list(graph.node)
    del graph.node[:]
    graph.node.extend(first)
    for node in old:
        graph.node.append(node)
        if id(node) in after:
            graph.node.append(after[id(node)])


def _shrunk(
    weight: onnx.TensorProto, readers: list[onnx.NodeProto], whole: bool
) -> tuple[list[Any], list[onnx.NodeProto]] | None:
    """Return what is stored instead of a weight, and what widens it; None to leave it.

    Without nodes it is a table, whose rows are to be widened after they were looked up.
    """
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    values = numpy_helper.to_array(weight)
    if values.size < _WORTH_IT:
        return None
    name, small = weight.name, f"{weight.name}_stored"
    summed = set(_summed(name, readers, values.ndim))
    if whole and len(summed) == 1 and None not in summed:
        scale = np.abs(values).max(summed.pop(), keepdims=True) / np.float32(127)
        scale = np.where(scale == 0, np.float32(1), scale).astype(np.float32)
        stored = [
            numpy_helper.from_array(np.rint(values / scale).astype(np.int8), small),
            numpy_helper.from_array(scale, f"{name}_scale"),
        ]
        wide = f"{name}_wide"
        return stored, [
            helper.make_node("Cast", [small], [wide], to=TensorProto.FLOAT),
            helper.make_node("Mul", [wide, f"{name}_scale"], [name]),
        ]
    with np.errstate(over="ignore"):
        half = values.astype(np.float16)
    if not np.isfinite(half).all():  # a mask's minus infinity among them
        return None
    if readers and all(n.op_type == "Gather" and n.input[0] == name for n in readers):
        return [numpy_helper.from_array(half, name)], []
    cast = helper.make_node("Cast", [small], [name], to=TensorProto.FLOAT)
    return [numpy_helper.from_array(half, small)], [cast]


def _summed(
    name: str, readers: list[onnx.NodeProto], axes: int
) -> Iterator[tuple[int, ...] | None]:
    """Yield, for each node that reads a weight, the axes it sums over; None for other nodes."""
    for node in readers:
        if list(node.input).index(name) != 1 or axes < 2:
            yield None
        elif node.op_type == "Gemm":
            yield (1,) if any(a.name == "transB" and a.i for a in node.attribute) else (0,)
        else:
            found = _SUMMED.get(node.op_type)
            yield found if found is None or len(found) == 1 or axes == 4 else None


def _cast_behind(node: onnx.NodeProto) -> onnx.NodeProto:
    """Let a node give 16 bits; return what makes 32 of them, under its old name."""
    from onnx import TensorProto, helper

    given = node.output[0]
    node.output[0] = f"{given}_stored"
    return helper.make_node("Cast", [node.output[0]], [given], to=TensorProto.FLOAT)
