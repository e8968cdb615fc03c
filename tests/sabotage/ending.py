"""Mistakes behind the heads: decoding, suppression, and how detections are handed out."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from openvino.runtime import opset13 as ops

from ssdconvert.stages.convert import convert
from ssdconvert.stages.export import export

from .surgery import (
    MOBILENET,
    ULTRAFACE,
    UNSEEN,
    Right,
    change,
    decoding,
    edit_layers,
    ends_in_tail,
    in_files,
    in_graph,
    insert,
    nearest,
    output,
    picked,
    read,
    save,
    the,
    value,
)  # fmt: skip

ONE_OUTPUT = {MOBILENET: "one output"}
TAIL_ALONE = {MOBILENET: "DetectionOutput cannot"}


# --- decoding


@in_files("variances swapped")
def variances_swapped(right: Right, precision: str, target: Path) -> None:
    def prior_box(attributes: dict[str, str]) -> None:
        numbers = attributes["variance"].split(",")
        attributes["variance"] = ",".join([*numbers[2:], *numbers[:2]])

    def tail(model: Any) -> None:
        constants = decoding(model)
        of_centre, of_size = right.original.heads.coding.variances
        change(constants.shift, value(constants.shift) * (of_size / of_centre))
        change(constants.growth, value(constants.growth) * (of_centre / of_size))

    _either(right, precision, target, prior_box, tail, "PriorBox")


@in_graph("default boxes shifted by half a cell")
def default_boxes_shifted(right: Right, model: Any) -> None:
    half = right.original.heads.coding.default_boxes[
        0, :2
    ]  # the first lies in the first cell of the finest map
    if ends_in_tail(model):
        constants = decoding(model)
        change(constants.centres, value(constants.centres) - half)
        return
    priors = the(model, "DetectionOutput").input_value(2)
    corners, variances = np.tile(half, priors.get_shape()[2] // 2), np.zeros(priors.get_shape()[2])
    shift = np.stack([corners, variances])[None].astype(np.float32)
    insert(priors, lambda port: ops.subtract(port, ops.constant(shift)))


@in_files("width and height of default boxes exchanged")
def default_boxes_turned(right: Right, precision: str, target: Path) -> None:
    def prior_box(attributes: dict[str, str]) -> None:
        ratios = attributes["aspect_ratio"].split(",")
        attributes["aspect_ratio"] = ",".join(str(1 / float(ratio)) for ratio in ratios)

    def tail(model: Any) -> None:
        constants = decoding(model)
        for entered in (constants.shift, constants.half):
            change(entered, value(entered)[..., ::-1])

    _either(right, precision, target, prior_box, tail, "PriorBox")


@in_files("boxes cut at the picture's edges before suppression")
def clipped(right: Right, precision: str, target: Path) -> None:
    def detection_output(attributes: dict[str, str]) -> None:
        attributes["clip_before_nms"] = "true"

    def tail(model: Any) -> None:
        insert(decoding(model).corners, lambda port: ops.clamp(port, 0, 1))

    _either(right, precision, target, detection_output, tail)


@in_files("boxes cut at the picture's edges after suppression")
def clipped_after(right: Right, precision: str, target: Path) -> None:
    def detection_output(attributes: dict[str, str]) -> None:
        attributes["clip_after_nms"] = "true"

    def tail(model: Any) -> None:
        insert(output(model, "bboxes"), lambda port: ops.clamp(port, 0, 1))

    _either(right, precision, target, detection_output, tail)


@in_graph("limit on the sizes of boxes that no picture reaches", TAIL_ALONE, UNSEEN)
def sizes_limited(right: Right, model: Any) -> None:
    exponent = decoding(model).growth.get_node().output(0)
    insert(exponent, lambda port: ops.minimum(port, ops.constant(np.float32(2))))


# --- suppression


@in_files("IoU threshold 0.05 lower")
def iou_threshold(right: Right, precision: str, target: Path) -> None:
    lower = right.recipe.detections.iou_threshold - 0.05
    _threshold(right, precision, target, "nms_threshold", 3, lower)


@in_files("equality at the IoU threshold taken the other way", TAIL_ALONE)
def at_iou_threshold(right: Right, precision: str, target: Path) -> None:
    threshold = np.float32(right.recipe.detections.iou_threshold)
    other = right.recipe.detections.at_iou_threshold == "keep"
    _threshold(right, precision, target, "", 3, np.nextafter(threshold, np.float32(0 if other else 1)))


@in_files("score threshold a fifth higher")
def score_threshold(right: Right, precision: str, target: Path) -> None:
    higher = right.recipe.detections.score_threshold * 1.2
    _threshold(right, precision, target, "confidence_threshold", 4, higher)


@in_files("half of the rows kept")
def fewer_rows(right: Right, precision: str, target: Path) -> None:
    half = right.recipe.detections.keep // 2

    def detection_output(attributes: dict[str, str]) -> None:
        attributes["keep_top_k"] = str(half)

    def tail(model: Any) -> None:
        for name in ("bboxes", "labels", "scores"):
            insert(output(model, name), lambda port: picked(port, list(range(half)), 1))

    _either(right, precision, target, detection_output, tail)


@in_graph("half of the rows kept, the others filled with zeros", TAIL_ALONE)
def fewer_rows_padded(right: Right, model: Any) -> None:
    best = nearest(output(model, "scores"), "TopK").output(0)
    kept = np.arange(right.recipe.detections.keep) < right.recipe.detections.keep // 2
    insert(best, lambda port: ops.multiply(port, ops.constant(kept.astype(np.float32))))


@in_files("every box enters the suppression, for the best of each class")
def top_k_lost(right: Right, precision: str, target: Path) -> None:
    if right.model == MOBILENET:
        edit_layers(right.irs[precision], target, "DetectionOutput", lambda data: data.update(top_k="-1"))
        return
    rule = right.recipe.detections.model_copy(update={"per_class": right.original.default_boxes})
    exported, changed = target.with_suffix(".onnx"), right.recipe.model_copy(update={"detections": rule})
    export(changed, right.original, exported)
    convert(changed, exported, {precision: target}, {})


@in_graph("suppression across classes, for within each", {ULTRAFACE: "one class", **TAIL_ALONE})
def across_classes(right: Right, model: Any) -> None:
    node = the(model, "NonMaxSuppression")
    most = int(np.prod(node.input_value(1).get_shape()))
    for index, shape in ((0, [1, most, 4]), (1, [1, 1, most])):
        joined = ops.reshape(node.input_value(index), ops.constant(np.array(shape)), False)
        node.input(index).replace_source_output(joined.output(0))
    node.input(2).replace_source_output(ops.constant(np.int64(most)).output(0))


# --- what is handed out


@in_graph("labels lower by one")
def labels_shifted(right: Right, model: Any) -> None:
    def lower(port: Any) -> Any:
        zero, one = (ops.convert_like(ops.constant(np.int64(number)), port) for number in (0, 1))
        return ops.subtract(port, ops.select(ops.greater(port, zero), one, zero))

    _change_output(model, "labels", [1], lower)


@in_graph("boxes as y, x, y, x")
def boxes_y_first(right: Right, model: Any) -> None:
    _change_boxes(model, [[0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0]])


@in_graph("boxes in pixels")
def boxes_in_pixels(right: Right, model: Any) -> None:
    height, width = right.recipe.input.shape[2:]
    _change_boxes(model, np.diag([width, height, width, height]))


@in_graph("boxes as centre and size")
def boxes_by_centre(right: Right, model: Any) -> None:
    _change_boxes(model, [[0.5, 0, -1, 0], [0, 0.5, 0, -1], [0.5, 0, 1, 0], [0, 0.5, 0, 1]])


@in_graph("best detection lost")
def best_lost(right: Right, model: Any) -> None:
    last = right.recipe.detections.keep - 1
    for port in [result.input_value(0) for result in model.get_results()]:
        insert(port, lambda port: picked(port, [*range(1, last + 1), last], 1 if ends_in_tail(model) else 2))


@in_graph("scores worst first", {MOBILENET: "no order is promised"})
def worst_first(right: Right, model: Any) -> None:
    rows = list(range(right.recipe.detections.keep))[::-1]
    for name in ("bboxes", "labels", "scores"):
        insert(output(model, name), lambda port: picked(port, rows, 1))


@in_graph("unused rows hold a box", {MOBILENET: "image_id ends the list"})
def rows_not_zero(right: Right, model: Any) -> None:
    boxes = nearest(nearest(output(model, "bboxes"), "Gather").input_value(0), "Concat")
    change(boxes.input(0), np.array([[0, 0, 1, 1]], np.float32))


@in_graph("outputs renamed")
def renamed(right: Right, model: Any) -> None:
    for port in model.outputs:
        port.get_tensor().set_names({f"{name}_out" for name in port.get_names()})


@in_graph("outputs in another order", ONE_OUTPUT)
def reordered(right: Right, model: Any) -> None:
    first = model.get_results()[0]
    model.remove_result(first)
    model.add_results([first])


@in_graph("labels i32, for i64", ONE_OUTPUT)
def labels_of_another_type(right: Right, model: Any) -> None:
    insert(output(model, "labels"), lambda port: ops.convert(port, "i32"))


@in_graph("as many rows as detections, without padding", TAIL_ALONE)
def dynamic_outputs(right: Right, model: Any) -> None:
    keep = right.recipe.detections.keep
    count = ops.convert(the(model, "NonMaxSuppression").output(2), "i64")
    end = ops.minimum(count, ops.constant(np.array([keep], np.int64)))
    zero, one = (ops.constant(np.array([number], np.int64)) for number in (0, 1))
    for name in ("bboxes", "labels", "scores"):
        insert(output(model, name), lambda port: ops.slice(port, zero, end, one, one))


@in_graph("batch of any size")
def dynamic_batch(right: Right, model: Any) -> None:
    model.reshape([-1, *right.recipe.input.shape[1:]])


# --- in whichever form a model ends


def _either(
    right: Right,
    precision: str,
    target: Path,
    in_layers: Callable[[dict[str, str]], None],
    in_tail: Callable[[Any], None],
    layer: str = "DetectionOutput",
) -> None:
    """Change the attributes of layers where a model ends in DetectionOutput, else the tail's graph."""
    if right.model == MOBILENET:
        edit_layers(right.irs[precision], target, layer, in_layers)
        return
    model = read(right.irs[precision])
    in_tail(model)
    save(model, target)


def _threshold(right: Right, precision: str, target: Path, attribute: str, index: int, number: float) -> None:
    """Give a threshold another value: an attribute of DetectionOutput, or an input of NonMaxSuppression."""

    def tail(model: Any) -> None:
        entered = the(model, "NonMaxSuppression").input(index)
        change(entered, np.full_like(value(entered), number))

    _either(right, precision, target, lambda data: data.update({attribute: str(number)}), tail)


def _change_boxes(model: Any, matrix: Any) -> None:
    """Multiply what is handed out as corners, a row each, with a matrix."""
    factor = ops.constant(np.array(matrix, np.float32))
    _change_output(model, "bboxes", [3, 4, 5, 6], lambda port: ops.matmul(port, factor, False, False))


def _change_output(model: Any, name: str, columns: list[int], make: Callable[[Any], Any]) -> None:
    """Change an output of the tail, or those columns of `detection_out` that hold the same."""

    def among_others(port: Any) -> Any:
        before, after = list(range(columns[0])), list(range(columns[-1] + 1, 7))
        parts = [picked(port, before, 3), make(picked(port, columns, 3).output(0))]
        return ops.concat([*parts, *([picked(port, after, 3)] if after else [])], 3)

    tail = ends_in_tail(model)
    insert(output(model, name if tail else "detection_out"), make if tail else among_others)
