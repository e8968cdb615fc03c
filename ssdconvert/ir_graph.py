"""Reads how a ready IR ends.

What a gate must know of a model that suppresses by itself stands in one node, DetectionOutput or
NonMaxSuppression: the heads are its inputs, and the rule is its attributes and constants.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ssdconvert.errors import ConversionError
from ssdconvert.runners.openvino_runner import name_of

CENTER_SIZE, CORNER = (f"caffe.PriorBoxParameter.{name}" for name in ("CENTER_SIZE", "CORNER"))
# operations that move numbers about and leave each as it is
MOVES = {"Broadcast", "Concat", "Convert", "Reshape", "Slice", "Squeeze", "StridedSlice", "Tile", "Unsqueeze"}
# what DetectionOutput can do and the gate cannot: attribute -> the value that it must have
UNDERSTOOD = {
    "share_location": True,
    "clip_after_nms": False,
    "decrease_label_id": False,
    "normalized": True,
}


@dataclass(frozen=True)
class Suppression:
    """The end of an IR, tensors by name.

    DetectionOutput: `scores` [1, P * C], class probabilities of `columns` classes with the background in
    column `background`; `boxes` [1, P * 4], offsets of `priors` [1, 2, P * 4] (corners in 0..1, variances),
    or decoded corners where `priors` is None, cut at the input's edges before they are suppressed with `clip`.

    NonMaxSuppression: `scores` without a background and `boxes` decoded, corners in the units of the
    outputs; [1, C, P] and [1, P, 4] where `layout` is `by_class`, [P, C] and [P, 4] where it is `rows`: one
    NMS for all classes, whose inputs are these boxes moved apart by class. `order` names, level by level,
    the indices [N] of the cells that TopK picked: their rows are then in order of score, and that of two
    runs need not be the same (see `common_rows`).

    A score must be greater than `score_threshold`; a box whose IoU with a better one is greater than
    `iou_threshold` goes. `per_class` candidates of a class enter, `keep` rows come out.
    """

    kind: Literal["DetectionOutput", "NonMaxSuppression"]
    layout: Literal["flat", "rows", "by_class"]
    scores: str
    boxes: str
    priors: str | None
    default_boxes: int
    columns: int
    background: int | None
    score_threshold: float
    iou_threshold: float
    per_class: int
    keep: int
    clip: bool = False
    order: tuple[str, ...] = ()


def suppression_of(model: Any, classes: int) -> Suppression:
    """Return how an openvino.Model ends that finds `classes` classes, the background not counted.

    Tensors without a name get one in `model`. Raises ConversionError unless the model holds one
    DetectionOutput or NonMaxSuppression, of a kind that the gate can follow.
    """
    kinds = ("DetectionOutput", "NonMaxSuppression")
    found = [operation for operation in model.get_ordered_ops() if operation.get_type_name() in kinds]
    if len(found) != 1:
        names = [operation.get_friendly_name() for operation in found] or "none"
        raise _not_followed(f"expected one DetectionOutput or NonMaxSuppression, found {names}")
    node = found[0]
    return (_detection_output if node.get_type_name() == kinds[0] else _non_max_suppression)(node, classes)


def common_rows(
    first: Sequence[NDArray[Any]], second: Sequence[NDArray[Any]]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the rows of two runs that belong to the same cells: indices into either, of equal length.

    Each run gives what the tensors of `Suppression.order` hold, level by level.
    """
    rows: tuple[list[NDArray[np.intp]], list[NDArray[np.intp]]] = ([], [])
    starts = [0, 0]
    for cells in zip(first, second, strict=True):
        _, *places = np.intersect1d(*cells, assume_unique=True, return_indices=True)
        for side in (0, 1):
            rows[side].append(places[side] + starts[side])
            starts[side] += len(cells[side])
    return np.concatenate(rows[0]), np.concatenate(rows[1])


def _detection_output(node: Any, classes: int) -> Suppression:
    attributes = node.get_attributes()
    wrong = {name: attributes[name] for name, value in UNDERSTOOD.items() if attributes[name] != value}
    decodes = not _passes_corners(node)
    if decodes:
        coding = {"variance_encoded_in_target": False, "code_type": CENTER_SIZE}
        wrong |= {name: attributes[name] for name, value in coding.items() if attributes[name] != value}
    if wrong or node.get_input_size() != 3:
        raise _not_followed(f"its DetectionOutput has {node.get_input_size()} inputs and {wrong}")
    boxes, scores, priors = node.input_values()
    default_boxes = boxes.get_shape()[1] // 4
    columns = scores.get_shape()[1] // default_boxes
    if columns != classes + 1:
        raise _not_followed(
            f"its DetectionOutput has {columns} classes with the background, expected {classes + 1}"
        )
    return Suppression(
        kind="DetectionOutput",
        layout="flat",
        scores=_name(scores, "scores"),
        boxes=_name(boxes, "boxes"),
        priors=_name(priors, "priors") if decodes else None,
        default_boxes=default_boxes,
        columns=columns,
        background=attributes["background_label_id"],
        score_threshold=attributes["confidence_threshold"],
        iou_threshold=attributes["nms_threshold"],
        per_class=attributes["top_k"] if attributes["top_k"] > 0 else default_boxes,
        keep=attributes["keep_top_k"][0],
        clip=attributes["clip_before_nms"],
    )


def _non_max_suppression(node: Any, classes: int) -> Suppression:
    boxes, scores = node.input_values()[:2]
    most, iou_threshold, score_threshold, sigma = nms_numbers(node)
    if sigma != 0 or node.get_attributes()["box_encoding"] != "corner":
        raise _not_followed("its NonMaxSuppression is a soft one, or its boxes are not corners")
    layout: Literal["rows", "by_class"] = "by_class"
    _, groups, count = scores.get_shape()
    if groups != classes:
        if groups != 1 or count % classes:
            raise _not_followed(f"its NonMaxSuppression has {groups} classes, expected {classes}")
        layout, count = "rows", count // classes
        scores = _upstream(scores, [count, classes], MOVES)
        boxes = _upstream(boxes, [count, 4], MOVES | {"Add"})  # which moves them apart
    return Suppression(
        kind="NonMaxSuppression",
        layout=layout,
        scores=_name(scores, "scores"),
        boxes=_name(boxes, "boxes"),
        priors=None,
        default_boxes=count,
        columns=classes,
        background=None,
        score_threshold=score_threshold,
        iou_threshold=iou_threshold,
        per_class=count,
        keep=int(most) * groups,
        order=tuple(_order(boxes)),
    )


def nms_numbers(node: Any) -> tuple[float, float, float, float]:
    """Return what a NonMaxSuppression lets out of a class, its thresholds of IoU and score, its sigma."""
    constants = [_number(port) for port in node.input_values()[2:]]
    # the operation's own defaults: nothing comes out, IoU 0, every score, no soft NMS
    most, iou_threshold, score_threshold, sigma = constants + [0.0] * (4 - len(constants))
    return most, iou_threshold, score_threshold, sigma


def _passes_corners(node: Any) -> bool:
    """Return whether a DetectionOutput takes decoded corners: it adds its boxes to default boxes that are 0."""
    attributes, priors = node.get_attributes(), node.input_value(2).get_node()
    if priors.get_type_name() == "Convert":  # from 16 bits
        priors = priors.input_value(0).get_node()
    return (
        attributes["code_type"] == CORNER
        and attributes["variance_encoded_in_target"]
        and priors.get_type_name() == "Constant"
        and not priors.get_data().any()
    )


def _upstream(port: Any, shape: list[int], through: set[str]) -> Any:
    """Return the nearest port above `port` that has the shape, by way of the operations `through`."""
    for one in above(port, lambda node: node.get_type_name() in through):
        if one.get_partial_shape().is_static and list(one.get_shape()) == shape:
            return one
    raise _not_followed(f"found no tensor {shape} that enters its NonMaxSuppression")


def _order(boxes: Any) -> Iterator[str]:
    """Yield the names of the indices by which TopK orders the rows of `boxes`, in the order of its levels."""
    joined = [one for one in above(boxes, lambda node: node.get_type_name() in MOVES - {"Concat"})]
    levels = [source for one in joined if _kind(one) == "Concat" for source in one.get_node().input_values()]
    named: list[str] = []
    for level in levels or [boxes]:
        for one in above(level, lambda node: node.get_type_name() != "TopK"):
            if _kind(one) == "TopK":
                name = _name(one.get_node().output(1), f"order_{len(named)}")
                named += [name] if name not in named else []
    yield from named


def above(port: Any, through: Callable[[Any], bool]) -> Iterator[Any]:
    """Yield `port` and the ports above it, nearest first, as far as nodes are gone `through`."""
    waiting, seen = [port], set()
    for one in waiting:
        yield one
        name = one.get_node().get_friendly_name()
        if through(one.get_node()) and name not in seen:
            seen.add(name)
            waiting += one.get_node().input_values()


def _kind(port: Any) -> str:
    kind: str = port.get_node().get_type_name()
    return kind


def _number(port: Any) -> float:
    """Return a constant of one number, compressed to f16 or not."""
    node = port.get_node()
    if node.get_type_name() == "Convert":
        node = node.input_value(0).get_node()
    if node.get_type_name() != "Constant":
        raise _not_followed("the thresholds of its NonMaxSuppression are not constants")
    return float(node.get_data().ravel()[0])


def _name(port: Any, otherwise: str) -> str:
    """Return a port's tensor name; it gets one if it has none."""
    if not port.get_names():
        port.get_tensor().set_names({f"ssdconvert/{otherwise}"})
    return name_of(port)


def _not_followed(problem: str) -> ConversionError:
    return ConversionError(
        f"the end of this IR is not understood: {problem}",
        hint="an IR must end in detection_out, or in boxes and labels, as Open Model Zoo's do; correct "
        "detections.labels if the number of classes differs",
        stage="load",
    )
