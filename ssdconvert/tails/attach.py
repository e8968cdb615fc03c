"""Puts tails behind networks that never were ONNX, and those that no ONNX engine runs behind ONNX graphs."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx

from ssdconvert.model_optimizer import from_onnx
from ssdconvert.operation_names import name_apart
from ssdconvert.originals import Original
from ssdconvert.ssd.detections import SuppressionRule
from ssdconvert.tails.detection_output import add_detection_output
from ssdconvert.tails.nms import add_nms_tail

OPSET = 13
ADD = {"nms": add_nms_tail, "detection-output": add_detection_output}


def with_tail(model: Any, original: Original, classes: int, rule: SuppressionRule, tail: str) -> Any:
    """Return an OpenVINO model that ends in a tail, one of `ADD`, in place of the heads of `model`.

    The heads, which `model` has under the original's names as [1, P, n], get our names as well. Operations of
    the tail get other names where those of `model` have theirs.
    """
    import openvino

    with tempfile.TemporaryDirectory(prefix="ssdconvert-") as folder:
        path = Path(folder) / "tail.onnx"
        onnx.save(_tail_alone(original, classes, rule, tail), path)
        added = from_onnx(path, {})
    behind = [one for one in added.get_ordered_ops() if one.get_type_name() != "Parameter"]
    name_apart([*model.get_ordered_ops(), *behind])
    heads = _named_heads(model, original)
    for parameter in added.get_parameters():
        for reader in parameter.output(0).get_target_inputs():
            reader.replace_source_output(heads[parameter.get_friendly_name()])
    return openvino.Model(added.get_results(), model.get_parameters(), model.get_friendly_name())


def with_detection_output(
    source: Path, arguments: Mapping[str, Any], original: Original, classes: int, rule: SuppressionRule
) -> Any:
    """Return an OpenVINO model of an ONNX file that ends in the heads, with DetectionOutput behind them.

    `arguments` are those of Model Optimizer. It gets the heads as outputs too, or it would merge what shapes
    them with what flattens them for DetectionOutput, and their names would be lost.
    """
    graph = onnx.load(source)
    heads = list(graph.graph.output)
    add_detection_output(graph, original.heads, original.default_boxes, classes, rule)
    graph.graph.output.extend(heads)
    with tempfile.TemporaryDirectory(prefix="ssdconvert-") as folder:
        path = Path(folder) / source.name
        onnx.save(graph, path)
        model = from_onnx(path, arguments)
    for result in model.get_results()[1:]:
        model.remove_result(result)
    return model


def with_heads_alone(model: Any, original: Original) -> Any:
    """Return an OpenVINO model whose outputs are the heads of `model` by our names, scores first."""
    import openvino
    from openvino.runtime import opset8

    heads = _named_heads(model, original)
    for name, port in heads.items():
        port.get_tensor().set_names({name})
    results = [opset8.result(heads[name]) for name in original.heads.names]
    return openvino.Model(results, model.get_parameters(), model.get_friendly_name())


def _named_heads(model: Any, original: Original) -> dict[str, Any]:
    """Return the ports of the heads by our names, which they get beside those of the original."""
    outputs = {name: port for port in model.outputs for name in port.get_names()}
    heads = {}
    for ours, tensor in original.tensors.items():
        heads[ours] = outputs[tensor.name].get_node().input_value(0)
        heads[ours].get_tensor().add_names({ours})
    return heads


def _tail_alone(original: Original, classes: int, rule: SuppressionRule, tail: str) -> onnx.ModelProto:
    """Return a graph of the tail whose inputs are the heads."""
    floats = onnx.TensorProto.FLOAT
    inputs = [
        onnx.helper.make_tensor_value_info(name, floats, shape)
        for name, shape in original.head_shapes(classes).items()
    ]
    graph = onnx.helper.make_graph([], "tail", inputs, [])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", OPSET)], ir_version=7)
    ADD[tail](model, original.heads, original.default_boxes, classes, rule)
    onnx.checker.check_model(model, full_check=tail == "nms")  # it knows no shapes of DetectionOutput
    return model
