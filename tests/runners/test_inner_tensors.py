"""Inner tensors by name, in each engine."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from torch import nn

from ssdconvert.runners.inner_tensors import (
    OnnxTensors,
    OpencvTensors,
    OpenvinoTensors,
    named_by_operation,
)
from ssdconvert.runners.torch_tensors import TorchTensors
from ssdconvert.trace import trace

FEEDS = {"x": np.random.default_rng(2).normal(size=(1, 3, 8, 8)).astype(np.float32)}


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    """x -> conv -> norm -> relu -> head, something behind the head, and a constant beside it."""
    value = helper.make_tensor_value_info
    random = np.random.default_rng(4)

    def weight(name: str, *shape: int) -> Any:
        array = random.uniform(0.5, 1.5, shape).astype(np.float32)
        return onnx.numpy_helper.from_array(array, name)

    nodes = [
        helper.make_node("Conv", ["x", "w"], ["conv"]),
        helper.make_node("BatchNormalization", ["conv", "s", "b", "m", "v"], ["norm"]),
        helper.make_node("Relu", ["norm"], ["relu"]),
        helper.make_node("Neg", ["s"], ["constant"]),
        helper.make_node("Mul", ["relu", "two"], ["head"]),
        helper.make_node("Abs", ["head"], ["behind"]),
    ]
    weights = [weight("w", 4, 3, 1, 1), *(weight(name, 4) for name in "sbmv"), weight("two", 1)]
    described = helper.make_graph(
        nodes,
        "g",
        [value("x", TensorProto.FLOAT, [1, 3, 8, 8])],
        [value("behind", TensorProto.FLOAT, [1, 4, 8, 8])],
        weights,
    )
    path = tmp_path / "m.onnx"
    onnx.save(helper.make_model(described, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    return path


def test_onnx_lists_what_leads_from_the_input_to_the_heads(graph: Path) -> None:
    tensors = OnnxTensors(graph, ["head"], shared_names={"head": "class_logits"})
    listed = tensors.listed(FEEDS)
    assert [(tensor.name, tensor.op) for tensor in listed] == [
        ("conv", "Conv"),
        ("norm", "BatchNormalization"),
        ("relu", "Relu"),
        ("class_logits", "Mul"),
    ]
    assert {tensor.size for tensor in listed} == {4 * 4 * 8 * 8}
    assert [tensor.folded_into for tensor in listed] == [None, "conv", None, None]
    found = tensors.run(["relu", "class_logits"], FEEDS)
    assert set(found) == {"relu", "class_logits"}
    assert (found["relu"] >= 0).all()


def test_weights_that_are_listed_as_inputs_need_not_be_fed(graph: Path) -> None:
    """As in files of IR version 3 and of exporters of its time."""
    model = onnx.load(graph)
    for tensor in model.graph.initializer:
        model.graph.input.append(helper.make_tensor_value_info(tensor.name, TensorProto.FLOAT, tensor.dims))
    onnx.save(model, graph)
    assert set(OnnxTensors(graph, ["head"]).run(["conv"], FEEDS)) == {"conv"}


def test_a_tensor_of_unknown_type_is_not_listed(graph: Path) -> None:
    """ONNX knows nothing of ONNX Runtime's own operators; taken for float, the graph would not load."""
    model = onnx.load(graph)
    model.graph.node.insert(3, helper.make_node("Own", ["relu"], ["own"], domain="com.microsoft"))
    model.graph.node[5].input[0] = "own"
    assert model.graph.node[5].op_type == "Mul"
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    onnx.save(model, graph)
    names = [tensor.name for tensor in OnnxTensors(graph, ["head"]).listed(FEEDS)]
    assert names == ["conv", "norm", "relu", "head"]


def test_an_ir_has_the_tensors_of_its_graph_by_name(graph: Path, tmp_path: Path) -> None:
    import openvino

    openvino.save_model(openvino.convert_model(graph), tmp_path / "m.xml", compress_to_fp16=False)
    ir = OpenvinoTensors(tmp_path / "m.xml")
    assert {"norm", "relu", "head"} <= {tensor.name for tensor in ir.listed(FEEDS)}
    result = trace(OnnxTensors(graph, ["head"]), ir, FEEDS, FEEDS)
    assert {"relu", "head"} <= {point.tensor for point in result.points}
    assert result.first_over(1e-6) is None


def test_layers_of_caffe_have_the_names_of_operations(tiny_prototxt: Path) -> None:
    listed = OpencvTensors(tiny_prototxt, tiny_prototxt).listed({})
    names = [tensor.name for tensor in listed]
    assert names[:3] == ["conv1", "conv1/relu", "conv2/dw"]
    assert not {"detection_out", "mbox_priorbox"} & set(names)


def test_operations_give_their_names_to_tensors() -> None:
    import openvino
    from openvino.runtime import opset13 as ops

    parameter = ops.parameter([1, 2], np.float32, name="data")
    relu = ops.relu(parameter, name="conv/relu")
    relu.output(0).get_tensor().set_names({"conv"})
    model = openvino.Model([relu], [parameter])
    named_by_operation(model)
    assert model.outputs[0].get_names() == {"conv/relu"}
    assert model.inputs[0].get_names() == {"data"}


class Block(nn.Module):
    """Two calls of one ReLU that works in place, a normalisation that is folded, a shortcut."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(4, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)
        self.conv2, self.bn2 = nn.Conv2d(4, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Any) -> Any:
        y = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.bn2(self.conv2(y)) + x)


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Identity(), nn.Hardswish())
        self.blocks = nn.ModuleList([nn.Sequential(Block(), Block()), nn.Sequential(Block())])
        self.scores, self.boxes = nn.Conv2d(4, 2, 1), nn.Conv2d(4, 4, 1)

    def forward(self, x: Any) -> Any:
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        return self.scores(x).flatten(2), self.boxes(x).flatten(2)


@pytest.fixture
def network(tmp_path: Path) -> TorchTensors:
    torch.manual_seed(1)
    module = Network().eval()
    for name, tensor in module.state_dict().items():
        if name.endswith(("running_var", "running_mean")):
            tensor.uniform_(0.5, 1.5)
    path = tmp_path / "net.onnx"
    torch.onnx.export(
        module, (torch.from_numpy(FEEDS["x"]),), path, dynamo=False, opset_version=13,
        input_names=["x"], output_names=["class_logits", "box_offsets"],
    )  # fmt: skip
    return TorchTensors(module, path, ("class_logits", "box_offsets"))


def test_modules_have_the_names_of_the_exported_graph(network: TorchTensors) -> None:
    names = [tensor.name for tensor in network.listed(FEEDS)]
    assert names[0] == "/stem/stem.0/Conv_output_0"
    relus = [name for name in names if "relu" in name]
    assert len(relus) == 6
    assert {"class_logits", "box_offsets"} <= set(names)
    result = trace(network, OnnxTensors(network.exported, network.heads), FEEDS, FEEDS)
    convolutions = [point for point in result.points if point.op == "Conv"]
    assert len(convolutions) == 1 + 6 + 2
    assert result.skipped == 0
    assert result.first_over(1e-5) is None


def test_hooks_are_gone_afterwards(network: TorchTensors) -> None:
    network.run(["class_logits"], FEEDS)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in network.network.modules())


def test_names_that_two_tensors_of_an_ir_share_are_not_listed(tmp_path: Path) -> None:
    """As in IRs of Caffe networks, where layers work in place."""
    import openvino
    from openvino.runtime import opset8 as ops

    image = ops.parameter([1, 3, 8, 8], np.float32, "x")
    image.output(0).get_tensor().set_names({"x"})
    first = ops.abs(image)
    second = ops.relu(first)
    third = ops.exp(second)
    for node, names in ((first, {"conv"}), (second, {"conv"}), (third, {"head", "end"})):
        node.output(0).get_tensor().set_names(names)
    openvino.save_model(openvino.Model([third], [image], "m"), tmp_path / "m.xml")
    tensors = OpenvinoTensors(tmp_path / "m.xml")
    assert [tensor.name for tensor in tensors.listed(FEEDS)] == ["end", "head"]
    outputs = tensors.run(["end", "head"], FEEDS)
    expected = np.exp(np.abs(FEEDS["x"]))
    assert set(outputs) == {"end", "head"}
    for array in outputs.values():
        np.testing.assert_allclose(array, expected, rtol=1e-5)


def test_an_ir_is_listed_up_to_its_heads(graph: Path) -> None:
    import openvino

    openvino.save_model(openvino.Core().read_model(graph), graph.with_suffix(".xml"))

    def names(*heads: str) -> set[str]:
        return {one.name for one in OpenvinoTensors(graph.with_suffix(".xml"), heads=heads).listed(FEEDS)}

    assert names() >= {"relu", "head", "behind"}
    assert names("head") == names() - {"behind"}
    assert "head" not in names("relu")
