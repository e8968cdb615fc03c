from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from ssdconvert.errors import ConversionError
from ssdconvert.quantised_onnx import computes_in_integers, is_quantised, to_qdq

MICROSOFT = "com.microsoft"
SHAPE = [1, 4, 6, 6]
node = onnx.helper.make_node


def graph(
    nodes: Sequence[onnx.NodeProto], weights: dict[str, np.ndarray] | None = None, opset: int = 12
) -> onnx.ModelProto:
    """`x` and `y` quantised to `xq` and `yq`, the `nodes`, and `zq` as floats `z`.

    Of each, s and p are scale and zero point. Weights are within 63: products of u8 with more can
    saturate where the processor has no VNNI.
    """
    constants = {
        "xs": np.float32(0.02), "xp": np.uint8(120), "ys": np.float32(0.01), "yp": np.uint8(100),
        "zs": np.float32(0.05), "zp": np.uint8(128), **(weights or {}),
    }  # fmt: skip
    info = onnx.helper.make_tensor_value_info
    made = onnx.helper.make_graph(
        [
            node("QuantizeLinear", ["x", "xs", "xp"], ["xq"]),
            node("QuantizeLinear", ["y", "ys", "yp"], ["yq"]),
            *nodes,
            node("DequantizeLinear", ["zq", "zs", "zp"], ["z"]),
        ],
        "test",
        [info(name, onnx.TensorProto.FLOAT, SHAPE) for name in "xy"],
        [info("z", onnx.TensorProto.FLOAT, [None] * 4)],
        [onnx.numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()],
    )
    domains = [onnx.helper.make_opsetid("", opset), onnx.helper.make_opsetid(MICROSOFT, 1)]
    return onnx.helper.make_model(made, opset_imports=domains, ir_version=7)


def convolution(channels: int = 1, **changes: Any) -> tuple[list[onnx.NodeProto], dict[str, np.ndarray]]:
    random = np.random.default_rng(1)
    weights: dict[str, np.ndarray] = {
        "w": random.integers(-63, 64, (5, 4, 3, 3)).astype(np.int8),
        "ws": np.float32(0.01) if channels == 1 else random.uniform(0.002, 0.02, 5).astype(np.float32),
        "wp": np.int8(0) if channels == 1 else np.zeros(5, np.int8),
        "b": random.integers(-3000, 3000, 5).astype(np.int32),
        **changes,
    }
    inputs = ["xq", "xs", "xp", "w", "ws", "wp", "zs", "zp", "b"]
    return [node("QLinearConv", inputs, ["zq"], pads=[1, 1, 1, 1], strides=[2, 2])], weights


def matrix_product(channels: int = 1) -> tuple[list[onnx.NodeProto], dict[str, np.ndarray]]:
    random = np.random.default_rng(1)
    weights: dict[str, np.ndarray] = {
        "w": random.integers(-63, 64, (6, 5)).astype(np.int8),
        "ws": np.float32(0.01) if channels == 1 else random.uniform(0.002, 0.02, 5).astype(np.float32),
        "wp": np.int8(0) if channels == 1 else np.zeros(5, np.int8),
    }
    return [node("QLinearMatMul", ["xq", "xs", "xp", "w", "ws", "wp", "zs", "zp"], ["zq"])], weights


def unary(operator: str, **attributes: Any) -> list[onnx.NodeProto]:
    return [node(operator, ["xq", "xs", "xp", "zs", "zp"], ["zq"], domain=MICROSOFT, **attributes)]


def binary(operator: str) -> list[onnx.NodeProto]:
    inputs = ["xq", "xs", "xp", "yq", "ys", "yp", "zs", "zp"]
    return [node(operator, inputs, ["zq"], domain=MICROSOFT)]


IN_STEPS = {"zs": np.float32(1 / 256), "zp": np.uint8(0)}
CASES: dict[str, onnx.ModelProto] = {
    "conv": graph(*convolution()),
    "conv without bias": graph([node("QLinearConv", ["xq", "xs", "xp", "w", "ws", "wp", "zs", "zp"], ["zq"])],
                               convolution()[1]),
    "conv per channel": graph(*convolution(5)),
    "conv per channel at 13": graph(*convolution(5), opset=13),
    "matmul": graph(*matrix_product()),
    "matmul per channel": graph(*matrix_product(5)),
    "add": graph(binary("QLinearAdd")),
    "mul": graph(binary("QLinearMul")),
    "concat": graph([node("QLinearConcat", ["zs", "zp", "xq", "xs", "xp", "yq", "ys", "yp"], ["zq"],
                          domain=MICROSOFT, axis=1)]),
    "sigmoid": graph(unary("QLinearSigmoid"), IN_STEPS),
    "leaky relu": graph(unary("QLinearLeakyRelu", alpha=0.1)),
    "softmax": graph(unary("QLinearSoftmax", axis=-1, opset=12), IN_STEPS),
    "softmax at 13": graph(unary("QLinearSoftmax", axis=1, opset=13), IN_STEPS, opset=13),
    "average pool": graph(unary("QLinearAveragePool", kernel_shape=[3, 3], pads=[1, 1, 1, 1])),
    "global average pool": graph(unary("QLinearGlobalAveragePool"), {"zs": np.float32(0.003)}),
    "max pool between": graph([node("MaxPool", ["xq"], ["m"], kernel_shape=[2, 2], strides=[2, 2]),
                               *[node("Transpose", ["m"], ["t"], perm=[0, 1, 3, 2])],
                               node("QLinearAdd", ["t", "xs", "xp", "t", "xs", "xp", "zs", "zp"], ["zq"],
                                    domain=MICROSOFT)]),
    "split between": graph([node("Split", ["xq"], ["a", "c"], axis=1),
                            node("QLinearMul", ["a", "xs", "xp", "c", "xs", "xp", "zs", "zp"], ["zq"],
                                 domain=MICROSOFT)]),
    "concat of equal scales between": graph(
        [node("Concat", ["xq", "xq"], ["c"], axis=1),
         node("QLinearAdd", ["c", "xs", "xp", "c", "xs", "xp", "zs", "zp"], ["zq"], domain=MICROSOFT)]),
}  # fmt: skip


def run(model: onnx.ModelProto) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    random = np.random.default_rng(2)
    feeds = {name: random.normal(0, 1, SHAPE).astype(np.float32) for name in "xy"}
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    return np.asarray(session.run(["z"], feeds)[0])


@pytest.mark.parametrize("model", CASES.values(), ids=CASES.keys())
def test_both_forms_are_equal_but_for_rounding(model: onnx.ModelProto) -> None:
    rewritten = to_qdq(model)
    expected, actual = run(model), run(rewritten)
    step = onnx.numpy_helper.to_array(next(t for t in model.graph.initializer if t.name == "zs"))
    assert len(np.unique(expected)) >= min(expected.size, 20)
    assert np.abs(expected - actual).max() <= step * 1.001
    assert (expected != actual).mean() < 0.05
    onnx.checker.check_model(rewritten, full_check=True)
    assert {n.domain for n in rewritten.graph.node} == {""}
    assert [entry.domain for entry in rewritten.opset_import] == [""]
    assert not computes_in_integers(rewritten)
    assert is_quantised(rewritten)


def test_weights_stay_integers_and_unused_ones_go() -> None:
    rewritten = to_qdq(CASES["conv"])
    kinds = {tensor.name: tensor.data_type for tensor in rewritten.graph.initializer}
    assert kinds["w"] == onnx.TensorProto.INT8
    assert "b" not in kinds
    (own,) = (node for node in rewritten.graph.node if node.op_type == "Conv")
    assert [entry.name for entry in own.attribute] == ["pads", "strides"]


def test_scales_of_channels_need_opset_13() -> None:
    opsets = {name: to_qdq(CASES[name]).opset_import[0].version for name in ("conv", "conv per channel")}
    assert opsets == {"conv": 12, "conv per channel": 13}
    axes = {
        name: [a.i for n in to_qdq(CASES[name]).graph.node for a in n.attribute if a.name == "axis"]
        for name in ("conv per channel", "matmul per channel")
    }
    assert axes == {"conv per channel": [0], "matmul per channel": [1]}


def test_a_qdq_graph_comes_back_as_it_is() -> None:
    rewritten = to_qdq(CASES["conv"])
    again = to_qdq(rewritten)
    assert again.SerializeToString(deterministic=True) == rewritten.SerializeToString(deterministic=True)


def test_the_given_graph_is_left_alone() -> None:
    before = CASES["conv per channel"].SerializeToString(deterministic=True)
    to_qdq(CASES["conv per channel"])
    assert CASES["conv per channel"].SerializeToString(deterministic=True) == before


def test_conversions_of_the_other_domain_are_the_standards() -> None:
    model = graph(*convolution())
    for one in model.graph.node:
        if one.op_type.endswith("uantizeLinear"):
            one.domain = MICROSOFT
    assert {n.domain for n in to_qdq(model).graph.node} == {""}


def test_a_float_graph_is_not_quantised() -> None:
    model = onnx.helper.make_model(onnx.helper.make_graph([node("Relu", ["a"], ["b"])], "g", [], []))
    assert not is_quantised(model)
    assert not computes_in_integers(model)


@pytest.mark.parametrize(
    ("model", "named"),
    [
        (graph([node("QGemm", ["xq"], ["a"], domain=MICROSOFT), node("ConvInteger", ["xq", "yq"], ["zq"])]),
         "there is no rule for ConvInteger, com.microsoft:QGemm"),
        (graph([node("Pad", ["xq"], ["zq"])]), "there is no rule for Pad on quantised numbers"),
        (graph([node("Concat", ["xq", "yq"], ["zq"], axis=1)]), "Concat on quantised"),
        (graph(unary("QLinearAveragePool", kernel_shape=[2, 2], channels_last=1)), "channels last"),
        (graph(unary("QLinearSoftmax", axis=-1, opset=13)), "is that of opset 13, not of 12"),
        (graph([node("Identity", ["xs"], ["own"]),
                node("QLinearSigmoid", ["xq", "own", "xp", "zs", "zp"], ["zq"], domain=MICROSOFT)]),
         "own is computed by the graph"),
        (graph(unary("QLinearSigmoid"), {"xs": np.full(4, 0.1, np.float32)}),
         "xq has a scale for each channel, and is no weight"),
    ],
)  # fmt: skip
def test_what_has_no_rule_is_refused_by_name(model: onnx.ModelProto, named: str) -> None:
    with pytest.raises(ConversionError, match=named) as caught:
        to_qdq(model)
    assert (caught.value.exit_code, caught.value.stage) == (4, "export")


@pytest.mark.parametrize("name", ["conv", "conv per channel", "add", "concat", "max pool between"])
def test_model_optimizer_keeps_the_integers(name: str, tmp_path: Path) -> None:
    import contextlib
    import io

    import openvino
    from openvino.tools.mo import convert_model
    from openvino.tools.mo.utils.version import VersionChecker

    VersionChecker().runtime_checked = True
    onnx.save(to_qdq(CASES[name]), tmp_path / "model.onnx")
    with contextlib.redirect_stdout(io.StringIO()):
        ir = convert_model(tmp_path / "model.onnx", compress_to_fp16=False, silent=True)
    kinds = [op.get_type_name() for op in ir.get_ops()]
    stored = {
        op.get_element_type().get_type_name(): op.get_byte_size()
        for op in ir.get_ops()
        if op.get_type_name() == "Constant" and op.get_byte_size() > 64
    }
    assert "FakeQuantize" in kinds
    assert stored == ({"i8": 5 * 4 * 3 * 3} if "conv" in name else {})
    random = np.random.default_rng(2)
    feeds = {letter: random.normal(0, 1, SHAPE).astype(np.float32) for letter in "xy"}
    compiled = openvino.Core().compile_model(ir, "CPU", {"LP_TRANSFORMS_MODE": "NO"})
    own = {port.get_any_name() for port in compiled.inputs}
    (actual,) = compiled({key: value for key, value in feeds.items() if key in own}).values()
    assert np.abs(actual - run(CASES[name])).max() <= 0.05 * 1.001
