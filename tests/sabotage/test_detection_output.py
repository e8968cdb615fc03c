"""Mistakes in the tail of DetectionOutput, each caught by the checks that docs/what-the-gate-catches.md names."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import pytest
from openvino.runtime import opset13 as ops

from .conftest import caught_by, copied
from .surgery import SSD_DEMO, Right, change, edit_layers, insert, output, picked, read, save, the, value
from .test_sabotage import section

TAIL = "detection-output"
LAYER = "DetectionOutput"
Write = Callable[[Right, str, Path], None]
MISTAKES: dict[str, Write] = {}


def attribute(name: str, **changes: Callable[[Right], Any]) -> None:
    """Register a mistake in attributes of the layer."""

    def write(right: Right, precision: str, target: Path) -> None:
        told = {key: str(new(right)) for key, new in changes.items()}
        edit_layers(right.irs[precision], target, LAYER, lambda data: data.update(told))

    MISTAKES[name] = write


def in_graph(name: str) -> Callable[..., Any]:
    """Register a mistake that changes the read model."""

    def register(make: Callable[[Any], None]) -> Callable[[Any], None]:
        def write(right: Right, precision: str, target: Path) -> None:
            model = read(right.irs[precision])
            make(model)
            save(model, target)

        MISTAKES[name] = write
        return make

    return register


def other_side(right: Right) -> str:
    """Return the IoU threshold that takes equality the other way."""
    rule = right.recipe.detections
    threshold = np.float32(rule.iou_threshold)
    below = np.nextafter(threshold, np.float32(0))
    return repr(float(below if rule.at_iou_threshold == "keep" else threshold))


attribute(
    "IoU threshold 0.05 lower", nms_threshold=lambda right: right.recipe.detections.iou_threshold - 0.05
)
attribute("equality at the IoU threshold taken the other way", nms_threshold=other_side)
attribute(
    "score threshold a fifth higher",
    confidence_threshold=lambda right: right.recipe.detections.score_threshold * 1.2,
)
attribute("every box enters the suppression", top_k=lambda right: -1)
attribute("one box of each class enters it", top_k=lambda right: 1)
attribute("half of the rows kept", keep_top_k=lambda right: right.recipe.detections.keep // 2)
attribute("a class taken for the background", background_label_id=lambda right: 1)
attribute("no background", background_label_id=lambda right: -1)
attribute("labels lower by one", decrease_label_id=lambda right: "true")
attribute("boxes cut before the suppression", clip_before_nms=lambda right: "true")
attribute("boxes cut after it", clip_after_nms=lambda right: "true")
attribute("offsets added to corners, for decoded", code_type=lambda right: "caffe.PriorBoxParameter.CORNER")


@in_graph("variances swapped")
def variances_swapped(model: Any) -> None:
    def swapped(priors: Any) -> None:
        priors[0, 1] = np.tile(priors[0, 1, [2, 2, 0, 0]], priors.shape[2] // 4)

    _change_priors(model, swapped)


@in_graph("x and y of default boxes exchanged")
def default_boxes_turned(model: Any) -> None:
    def turned(priors: Any) -> None:
        priors[0, 0] = priors[0, 0].reshape(-1, 4)[:, [1, 0, 3, 2]].ravel()

    _change_priors(model, turned)


@in_graph("x and y of offsets exchanged")
def offsets_turned(model: Any) -> None:
    boxes = the(model, LAYER).input_value(0)

    def turned(port: Any) -> Any:
        rows = ops.reshape(port, ops.constant(np.array([1, -1, 4])), False)
        return ops.reshape(picked(rows.output(0), [1, 0, 3, 2], 2), ops.constant(np.array([1, -1])), False)

    insert(boxes, turned)


@in_graph("boxes as y, x, y, x")
def boxes_y_first(model: Any) -> None:
    insert(output(model, "detection_out"), lambda port: picked(port, [0, 1, 2, 4, 3, 6, 5], 3))


@in_graph("no softmax")
def softmax_lost(model: Any) -> None:
    softmax = the(model, "Softmax")
    for reader in softmax.output(0).get_target_inputs():
        reader.replace_source_output(softmax.input_value(0))


def _change_priors(model: Any, change_in_place: Callable[[Any], None]) -> None:
    entered = the(model, LAYER).input(2)
    priors = value(entered).copy()
    change_in_place(priors)
    change(entered, priors)


def table() -> dict[str, tuple[str, str]]:
    """Return the rows of the section's table by mistake: what catches it in an FP32 and in an FP16 file alone."""
    lines = [line for line in section("In the tail detection-output").splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]
    return {name: (first, second) for name, first, second in rows}


TABLE = table()


def test_every_mistake_has_its_row() -> None:
    assert set(TABLE) == set(MISTAKES)


@pytest.mark.parametrize("precision", ["FP32", "FP16"])
@pytest.mark.parametrize("name", MISTAKES)
def test_it_is_caught_by_the_checks_that_the_document_names(
    bench_of: Callable[..., Any], tmp_path: Path, name: str, precision: str
) -> None:
    result = bench_of(SSD_DEMO, TAIL).judge(precision, tmp_path, MISTAKES[name])
    assert result.verdict == "fail"
    assert caught_by(result) == TABLE[name][precision == "FP16"]


@pytest.mark.parametrize("precision", ["FP32", "FP16"])
def test_what_is_right_passes(bench_of: Callable[..., Any], tmp_path: Path, precision: str) -> None:
    def saved_again(right: Right, precision: str, target: Path) -> None:
        save(read(right.irs[precision]), target)

    for write in (copied, saved_again):
        result = bench_of(SSD_DEMO, TAIL).judge(precision, tmp_path / write.__name__, write)
        assert result.verdict == "pass", result.reason
        found = {check.metric for check in result.checks if check.status == "pass"}
        assert {"suppression", "description", "outputs", "detections that do not follow from them"} <= found
        assert ("rounding" in found) == (precision == "FP16")


@pytest.mark.parametrize("precision", ["FP32", "FP16"])
def test_every_shape_is_static(bench_of: Callable[..., Any], precision: str) -> None:
    """As devices without dynamic shapes want it."""
    model = openvino.Core().read_model(bench_of(SSD_DEMO, TAIL).right.irs[precision])
    ports = [port for node in model.get_ops() for port in node.outputs()]
    assert len(ports) > 100
    assert all(port.get_partial_shape().is_static for port in ports)
