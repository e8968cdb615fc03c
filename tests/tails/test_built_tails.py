"""Whole builds with each tail, of small models: what is made, what is made again, what is judged."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import openvino
import pytest
from onnx import TensorProto, helper, numpy_helper

from ssdconvert.build_result import BuildResult
from ssdconvert.originals import Original
from ssdconvert.ssd.heads import BoxCoding, Heads
from ssdconvert.tails.attach import with_detection_output

P, C, KEEP = 80, 4, 200  # of the recipe OWN_NMS
HEADS = {"class_probabilities": [1, P, C], "decoded_boxes": [1, P, 4]}
IRS = ("FP32/own-nms.xml", "FP16/own-nms.xml")


@pytest.fixture
def recipe(own_nms: Mapping[str, Any], recipe_file: Any) -> Path:
    path: Path = recipe_file(own_nms)
    return path


def statuses(result: BuildResult) -> dict[str, str]:
    return {stage.name: stage.status for stage in result.stages}


def outputs_of_graph(path: Path) -> dict[str, list[int]]:
    outputs = onnx.load(path).graph.output
    return {one.name: [side.dim_value for side in one.type.tensor_type.shape.dim] for one in outputs}


def outputs_of_ir(path: Path) -> dict[str, list[int]]:
    model = openvino.Core().read_model(path.read_bytes(), path.with_suffix(".bin").read_bytes())
    for node in model.get_ops():
        assert all(port.get_partial_shape().is_static for port in node.outputs()), node.get_friendly_name()
    return {port.get_any_name(): list(port.get_shape()) for port in model.outputs}


def levels(result: BuildResult, hop: str) -> set[tuple[str, str]]:
    assert result.verification is not None
    assert result.verification.verdict == "pass", result.verification.reason
    return {(c.precision, c.level) for c in result.verification.checks if c.hop == hop and c.status == "pass"}


def test_detection_output_of_all_precisions(
    recipe: Path, tmp_path: Path, build_here: Callable[..., BuildResult]
) -> None:
    result = build_here(recipe, tail="detection-output")
    for graph in (".ssdconvert/exported.onnx", "own-nms.onnx"):
        assert outputs_of_graph(tmp_path / "out" / graph) == HEADS
    for ir in IRS:
        assert outputs_of_ir(tmp_path / "out" / ir) == {"detection_out": [1, 1, KEEP, 7]}
    assert levels(result, "onnx") == levels(result, "simplified") == {("FP32", "heads")}
    everything = {"contract", "heads", "detections"}
    assert levels(result, "ir") == {(p, level) for p in ("FP32", "FP16") for level in everything}
    assert levels(result, "control") == {("FP32", "control")}
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text("utf-8"))
    assert manifest["tail"] == "detection-output"


def test_heads_alone(recipe: Path, tmp_path: Path, build_here: Callable[..., BuildResult]) -> None:
    result = build_here(recipe, tail="heads")
    for ir in IRS:
        assert outputs_of_ir(tmp_path / "out" / ir) == HEADS
    assert levels(result, "ir") == {(p, level) for p in ("FP32", "FP16") for level in ("contract", "heads")}
    assert result.verification is not None
    promises = {check.metric for check in result.verification.checks if check.output == "file"}
    assert {"outputs", "suppression", "rounding"} <= promises


def test_every_tail_finds_the_same(
    recipe: Path, tmp_path: Path, build_here: Callable[..., BuildResult]
) -> None:
    found = []
    for tail in ("nms", "detection-output", "heads"):
        build_here(recipe, tail=tail)
        document = json.loads((tmp_path / "out" / "detections.json").read_text("utf-8"))
        found.append([(one["label"], *one["box"], one["score"]) for one in document["detections"]])
    assert found[0]
    for other in found[1:]:
        np.testing.assert_allclose(sorted(other), sorted(found[0]), atol=0.01)


def test_another_tail_makes_what_depends_on_it(recipe: Path, build_here: Callable[..., BuildResult]) -> None:
    build_here(recipe)
    result = build_here(recipe, tail="detection-output")
    again = ("export", "simplify", "convert", "verify", "detect", "report", "manifest")
    assert {name for name, status in statuses(result).items() if status == "done"} == {*again, "load"}
    reasons = {stage.name: stage.reason for stage in result.stages}
    assert reasons["export"] == 'ends_in changed from "detections" to "heads"'
    assert result.verdict == "pass"
    assert set(statuses(build_here(recipe, tail="detection-output")).values()) == {"cached", "done"}
    result = build_here(recipe, tail="heads")
    assert {name for name, status in statuses(result).items() if status == "cached"} == {
        "fetch",
        "export",
        "simplify",
    }
    reasons = {stage.name: stage.reason for stage in result.stages}
    assert reasons["convert"] == 'tail changed from "detection-output" to "heads"'
    assert statuses(build_here(recipe))["convert"] == "done"


def test_the_same_inputs_give_the_same_bytes(
    recipe: Path, tmp_path: Path, build_here: Callable[..., BuildResult]
) -> None:
    for folder in ("first", "second"):
        build_here(recipe, folder, until="convert", tail="detection-output")
    for ir in IRS:
        for path in (Path(ir), Path(ir).with_suffix(".bin")):
            first, second = (tmp_path / folder / path for folder in ("first", "second"))
            assert first.read_bytes() == second.read_bytes(), path


@pytest.mark.parametrize("coding", [None, BoxCoding(np.full((6, 4), 0.5, np.float32), (0.1, 0.2))])
def test_heads_keep_their_names_though_shaped_and_flattened(coding: Any, tmp_path: Path) -> None:
    """Two operations that only shape a tensor are one after Model Optimizer, unless the first is an output."""
    heads, floats = Heads(coding), TensorProto.FLOAT
    shapes = {heads.scores: [1, 6, 3], heads.boxes: [1, 6, 4]}
    inputs = [helper.make_tensor_value_info(name, floats, [1, size]) for name, size in (("a", 18), ("b", 24))]
    outputs = [helper.make_tensor_value_info(name, floats, shape) for name, shape in shapes.items()]
    constants = [numpy_helper.from_array(np.array(shape), f"{name}/shape") for name, shape in shapes.items()]
    nodes = [
        helper.make_node("Reshape", [data, f"{name}/shape"], [name])
        for data, name in zip("ab", shapes, strict=True)
    ]
    graph = helper.make_graph(nodes, "heads", inputs, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, tmp_path / "m.onnx")

    class Rule:
        score_threshold, iou_threshold, at_iou_threshold, per_class, keep = 0.3, 0.5, "keep", 6, 5

    original = Original(heads, 6, None, None, {})  # type: ignore[arg-type]
    converted = with_detection_output(tmp_path / "m.onnx", {}, original, 3, Rule())
    assert [port.get_any_name() for port in converted.outputs] == ["detection_out"]
    ports = {
        name: port for node in converted.get_ops() for port in node.outputs() for name in port.get_names()
    }
    assert {name: list(ports[name].get_shape()) for name in shapes} == shapes
