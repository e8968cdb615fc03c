"""Puts the standard tail behind a network that never was ONNX."""

import tempfile
from pathlib import Path
from typing import Any

import onnx

from ssdconvert.model_optimizer import from_onnx
from ssdconvert.originals import Original
from ssdconvert.ssd.detections import SuppressionRule
from ssdconvert.ssd.heads import Heads
from ssdconvert.tails.nms import add_nms_tail

OPSET = 13


def with_nms_tail(model: Any, original: Original, classes: int, rule: SuppressionRule) -> Any:
    """Return an OpenVINO model with `bboxes`, `labels`, `scores` in place of the heads of `model`.

    The heads, which `model` has under the original's names as [1, P, n], get our names as well.
    """
    import openvino

    with tempfile.TemporaryDirectory(prefix="ssdconvert-") as folder:
        path = Path(folder) / "tail.onnx"
        onnx.save(_tail_alone(original.heads, original.default_boxes, classes, rule), path)
        tail = from_onnx(path, {})
    heads = {name: port for port in model.outputs for name in port.get_names()}
    for parameter in tail.get_parameters():
        ours = parameter.get_friendly_name()
        source = heads[original.tensors[ours].name].get_node().input_value(0)
        source.get_tensor().add_names({ours})
        for reader in parameter.output(0).get_target_inputs():
            reader.replace_source_output(source)
    return openvino.Model(tail.get_results(), model.get_parameters(), model.get_friendly_name())


def _tail_alone(heads: Heads, default_boxes: int, classes: int, rule: SuppressionRule) -> onnx.ModelProto:
    """Return a graph of the tail whose inputs are the heads."""
    floats = onnx.TensorProto.FLOAT
    inputs = [
        onnx.helper.make_tensor_value_info(name, floats, [1, default_boxes, numbers])
        for name, numbers in zip(heads.names, (classes, 4), strict=True)
    ]
    graph = onnx.helper.make_graph([], "tail", inputs, [])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", OPSET)], ir_version=7)
    add_nms_tail(model, heads, default_boxes, classes, rule)
    onnx.checker.check_model(model, full_check=True)
    return model
