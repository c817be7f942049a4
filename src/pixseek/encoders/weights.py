"""ONNX graphs with smaller weights that still compute in 32 bits.

Processors gain nothing from computing in fp16, and int8 must be checked on each user's images,
which happens while indexing. So only the stored weights shrink: nodes of the graph widen them, and
a runtime computes these once when it opens the model for speed. A text tower opened as fast as
possible computes them in each call: ViT-B/32 in fp16 took 55 to 60 ms per text, and 10 to 20 when
opened for speed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import onnx

#: Minimum number of values for a weight to be shrunk.
_WORTH_IT = 1024

#: The axes over which a node sums to make one output, by kind of node.
_SUMMED = {"MatMul": (-2,), "Conv": (1, 2, 3)}


def shrink(model: onnx.ModelProto, *, whole: bool) -> None:
    """Store the float32 weights of a graph in 16 bits, in place.

    Args:
        model: the graph, with its weights in memory.
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
        # A table: only the rows that are looked up are widened, not all of them at each start.
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
    """Return the tensors stored for a weight and the nodes that widen them; None to leave it.

    Without nodes it is a table, whose rows must be widened after the lookup.
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
    if not np.isfinite(half).all():  # such as a mask's minus infinity
        return None
    if readers and all(n.op_type == "Gather" and n.input[0] == name for n in readers):
        return [numpy_helper.from_array(half, name)], []
    cast = helper.make_node("Cast", [small], [name], to=TensorProto.FLOAT)
    return [numpy_helper.from_array(half, small)], [cast]


def _summed(
    name: str, readers: list[onnx.NodeProto], axes: int
) -> Iterator[tuple[int, ...] | None]:
    """Yield the axes over which each reader of a weight sums; None for other kinds of nodes."""
    for node in readers:
        if list(node.input).index(name) != 1 or axes < 2:
            yield None
        elif node.op_type == "Gemm":
            yield (1,) if any(a.name == "transB" and a.i for a in node.attribute) else (0,)
        else:
            found = _SUMMED.get(node.op_type)
            yield found if found is None or len(found) == 1 or axes == 4 else None


def _cast_behind(node: onnx.NodeProto) -> onnx.NodeProto:
    """Make a node's output 16 bits; return the node that widens it, under its old name."""
    from onnx import TensorProto, helper

    given = node.output[0]
    node.output[0] = f"{given}_stored"
    return helper.make_node("Cast", [node.output[0]], [given], to=TensorProto.FLOAT)
