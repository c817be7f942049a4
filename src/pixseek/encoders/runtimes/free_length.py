"""A text tower whose graph was written for one length of text, made to take any up to that.

A graph that was traced says "77" wherever CLIP's context went through: in its input, in the shapes
that it reshapes to, in the table of positions and the causal mask. A query of 7 tokens is then
filled up to 77 and costs as much (ViT-B/32, two cores of a Zen 3: 51 ms where 13 would do). Here
each such constant is cut to the length that comes in. No value is computed otherwise; that the
embeddings stay what they were is for the caller to check, who knows what texts look like.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

#: Prefix of what is added to the graph.
_OURS = "pixseek/length"


def free_length(file: Path, tokens: str, context: int) -> None:
    """Rewrite an ONNX file so that the length of its texts is free.

    Its weights may lie in other files: they are not touched. A constant that has the same size by
    chance is cut as well, and the tower then fails, or gives something else.

    Args:
        file: the graph; constants are to be folded.
        tokens: the input that takes token ids, (n, context).
        context: the length it was written for.
    """
    import numpy as np
    import onnx
    from onnx import helper, numpy_helper

    model = onnx.load(file, load_external_data=False)
    graph = model.graph
    for port in graph.input:
        shape = port.type.tensor_type.shape.dim
        if len(shape) == 2 and shape[1].dim_value == context:
            shape[1].dim_param = "length"
    del graph.value_info[:]  # shapes of what lies between, which no longer hold

    added: list[Any] = []

    def constant(name: str, value: Any) -> str:
        graph.initializer.append(numpy_helper.from_array(np.asarray(value), f"{_OURS}/{name}"))
        return f"{_OURS}/{name}"

    def node(kind: str, inputs: list[str], output: str) -> str:
        name = f"{_OURS}/{output}"
        added.append(helper.make_node(kind, inputs, [name], name=name))
        return name

    tensors = list(graph.initializer)
    zero, one = constant("0", [0]), constant("1", [1])
    length = node("Gather", [node("Shape", [tokens], "shape"), constant("second", 1)], "length")
    end = node("Reshape", [length, one], "end")
    axes_of = {
        tensor.name: [axis for axis, size in enumerate(tensor.dims) if size == context]
        for tensor in tensors
    }
    axis_of = {axis: constant(f"axis {axis}", [axis]) for axis in set().union(*axes_of.values())}
    instead: dict[str, str] = {}
    for tensor in tensors:
        name = tensor.name
        if axes_of[name]:
            for axis in axes_of[name]:
                inputs = [instead.get(name, name), zero, end, axis_of[axis]]
                instead[name] = node("Slice", inputs, f"of {name}/{axis}")
        elif tensor.data_type == onnx.TensorProto.INT64 and not tensor.external_data:
            values = numpy_helper.to_array(tensor)
            if (values == context).any():
                where = constant(f"where {name}", values == context)
                instead[name] = node("Where", [where, length, name], f"of {name}")
    for each in graph.node:
        for i, name in enumerate(each.input):
            each.input[i] = instead.get(name, name)
    first = list(graph.node)
    del graph.node[:]
    graph.node.extend([*added, *first])
    onnx.save(model, file)
