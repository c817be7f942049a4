"""Graphs with smaller weights: their types, and their results."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from pixseek.encoders.weights import shrink


def graph() -> onnx.ModelProto:
    """A table, every kind of matrix, an added weight, and a mask of minus infinity."""
    random = np.random.default_rng(0)

    def weight(name: str, *shape: int) -> onnx.TensorProto:
        # Outputs of very different sizes: a common scale would lose the small ones.
        size = 10.0 ** random.integers(-3, 3, shape[-1:])
        values = random.standard_normal(shape) * (size if name == "product" else 1)
        return numpy_helper.from_array(values.astype(np.float32), name)

    mask = np.full((32, 64), -np.inf, np.float32)
    mask[:, ::2] = 0
    nodes = [
        helper.make_node("Gather", ["table", "ids"], ["a"]),
        helper.make_node("Gemm", ["a", "linear"], ["b"], transB=1),
        helper.make_node("MatMul", ["b", "product"], ["c"]),
        helper.make_node("Add", ["c", "places"], ["d"]),
        helper.make_node("Add", ["d", "mask"], ["e"]),
        helper.make_node("Reshape", ["c", "square"], ["f"]),
        helper.make_node("Conv", ["f", "kernels"], ["g"]),
        helper.make_node("Add", ["c", "few"], ["h"]),
    ]
    values = [
        weight("table", 100, 64), weight("linear", 64, 64), weight("product", 64, 64),
        weight("places", 32, 64), weight("kernels", 32, 8, 3, 3), weight("few", 64),
        numpy_helper.from_array(mask, "mask"),
        numpy_helper.from_array(np.array([32, 8, 4, 2], np.int64), "square"),
    ]  # fmt: skip
    # Padded as a kernel of 3 needs.
    nodes[6].attribute.append(helper.make_attribute("pads", [1, 1, 1, 1]))
    given = [helper.make_tensor_value_info("ids", TensorProto.INT64, [32])]
    gives = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in "abcdegh"]
    made = helper.make_graph(nodes, "all", given, gives, values)
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def answers(model: onnx.ModelProto) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, {"ids": np.arange(32)})


@pytest.mark.parametrize("whole", [False, True], ids=["fp16", "int8"])
def test_smaller_weights_give_nearly_the_same_results(whole: bool) -> None:
    exact, model = answers(graph()), graph()
    shrink(model, whole=whole)
    for wanted, found in zip(exact, answers(model), strict=True):
        assert found.dtype == np.float32 and found.shape == wanted.shape
        finite = np.isfinite(wanted)
        np.testing.assert_array_equal(finite, np.isfinite(found))
        scale = np.abs(np.where(finite, wanted, 0)).max(0)  # by output
        off = np.abs(np.where(finite, wanted, 0) - np.where(finite, found, 0)).max(0)
        assert (off <= (0.05 if whole else 0.005) * scale + 1e-6).all()


def test_each_weight_is_stored_in_its_type() -> None:
    def kinds(model: onnx.ModelProto) -> dict[str, int]:
        return {each.name: each.data_type for each in model.graph.initializer}

    full, half, eight = TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.INT8
    model = graph()
    shrink(model, whole=False)
    found = kinds(model)
    assert {found[f"{n}_stored"] for n in ("linear", "product", "kernels", "places")} == {half}
    assert found["table"] == half and found["few"] == found["mask"] == full
    model = graph()
    shrink(model, whole=True)
    found = kinds(model)
    assert found["linear_stored"] == found["product_stored"] == eight
    assert found["kernels_stored"] == eight, "a kernel sums over three axes"
    assert found["table"] == found["places_stored"] == half and found["mask"] == full
