"""The rule by which an IR suppresses, as its graph tells it, against the one that its recipe promises.

No picture may happen to show the difference.
"""

from collections.abc import Iterator, Mapping
from math import isclose
from typing import Any

import numpy as np

from ssdconvert.ir_graph import MOVES, Suppression, above, nms_numbers, suppression_of
from ssdconvert.recipe import Detections
from ssdconvert.ssd.detections import exclusive_iou_limit, iou_limit
from ssdconvert.ssd.heads import DECODED_BOXES

HALF = 1e-3  # relative: thresholds that are constants among weights of 16 bits are rounded with them
SINGLE = 1e-6
# operations that lead from the candidates that TopK picks to what enters NMS, or to an output
CARRIES = MOVES | {"Gather"}


def broken_rule(rule: Detections, end: Suppression) -> list[str]:
    """Return what of a rule an IR does otherwise that ends as its original does.

    What the end does not tell is not judged: what happens at the IoU threshold itself, and with
    NonMaxSuppression which candidates enter, and whether boxes were cut before.
    """
    pairs = {
        "score_threshold": (rule.score_threshold, end.score_threshold),
        "iou_threshold": (rule.iou_threshold, end.iou_threshold),
        "keep": (rule.keep, end.keep),
    }
    if end.kind == "DetectionOutput":
        pairs |= {"per_class": (rule.per_class, end.per_class), "clip": (rule.clip, end.clip)}
    return _unequal(pairs, HALF)


def broken_tail(rule: Detections, classes: int, model: Any) -> list[str]:
    """Return what of a rule an openvino.Model does otherwise that ends in the tail of `ssdconvert.tails.nms`.

    `classes` do not count the background. Raises ConversionError where thresholds are not constants.
    """
    nodes = [node for node in model.get_ordered_ops() if node.get_type_name() == "NonMaxSuppression"]
    if len(nodes) != 1:
        return [f"{len(nodes)} operations NonMaxSuppression, expected 1"]
    node = nodes[0]
    boxes, scores = node.input_values()[:2]
    most, iou_threshold, score_threshold, sigma = nms_numbers(node)
    shape = list(scores.get_shape())
    broken = [*_broken_candidates(rule, scores, int(most))]
    if shape[:2] != [classes, 1]:
        broken.append(f"scores {shape} enter, expected {[classes, 1, shape[2]]}: {classes} classes")
    if sigma != 0 or node.get_attributes()["box_encoding"] != "corner":
        broken.append("a soft NMS, or boxes that are not corners, expected a hard one of corners")
    pairs: dict[str, tuple[Any, Any]] = {
        "score_threshold": (rule.score_threshold, score_threshold),
        "iou_threshold": (rule.iou_threshold, iou_threshold),
        "clip": (rule.clip, _clips(boxes)),
    }
    # OpenVINO suppresses at equality
    kept = bool(iou_threshold > np.float32(rule.iou_threshold))
    pairs |= _at_iou_threshold(rule, iou_threshold, iou_limit(rule), kept)
    return [*broken, *_unequal(pairs, SINGLE), *_broken_keep(rule, model, 1 + classes * shape[2])]


def broken_detection_output(rule: Detections, classes: int, model: Any) -> list[str]:
    """Return the same of the tail of `ssdconvert.tails.detection_output`; ConversionError as `suppression_of`."""
    nodes = [node for node in model.get_ordered_ops() if node.get_type_name() == "DetectionOutput"]
    if len(nodes) != 1:
        return [f"{len(nodes)} operations DetectionOutput, expected 1"]
    end = suppression_of(model, classes)
    clips = end.clip or (end.priors is None and _clips(nodes[0].input_value(0)))
    pairs: dict[str, tuple[Any, Any]] = {
        "score_threshold": (rule.score_threshold, end.score_threshold),
        "iou_threshold": (rule.iou_threshold, end.iou_threshold),
        "per_class": (min(rule.per_class, end.default_boxes), end.per_class),
        "keep": (rule.keep, end.keep),
        "clip": (rule.clip, clips),
        "background": (0, end.background),
    }
    # DetectionOutput keeps at equality
    kept = bool(end.iou_threshold >= np.float32(rule.iou_threshold))
    pairs |= _at_iou_threshold(rule, end.iou_threshold, exclusive_iou_limit(rule), kept)
    return _unequal(pairs, SINGLE)


def _at_iou_threshold(
    rule: Detections, threshold: float, right: np.float32, kept: bool
) -> dict[str, tuple[Any, Any]]:
    """Return whether a box is `kept` at the rule's IoU, by a threshold that is nearly the one that is `right`."""
    if np.float32(threshold) == right or not isclose(rule.iou_threshold, threshold, rel_tol=SINGLE):
        return {}
    return {"at_iou_threshold": (rule.at_iou_threshold, "keep" if kept else "suppress")}


def _broken_candidates(rule: Detections, scores: Any, most: int) -> Iterator[str]:
    """Judge which candidates of a class enter at `scores` [C, 1, k], and that `most` lets all of them out."""
    count = scores.get_shape()[2]
    best = _picked(scores)
    if best is None:
        yield f"per_class: {count} candidates that no TopK picked, expected the best {rule.per_class}"
        return
    default_boxes = best.get_input_shape(0)[-1]
    if count != min(rule.per_class, default_boxes):
        yield f"per_class {count}, expected {rule.per_class} of {default_boxes}"
    if most < count:
        yield f"per_class: at most {most} of {count} candidates come out, expected all"


def _broken_keep(rule: Detections, model: Any, cells: int) -> Iterator[str]:
    """Judge how many of `cells` the outputs hold."""
    port = next((port for port in model.outputs if "scores" in port.get_names()), None)
    if port is None:
        return  # which the outputs' own promise tells
    best = _picked(port.get_node().input_value(0))
    if best is None or best.get_attributes()["sort"] != "value":
        yield f"keep: rows that no TopK picked in order, expected the best {rule.keep}"
        return
    rows = best.get_output_shape(0)[-1]
    if rows != min(rule.keep, cells):
        yield f"keep {rows}, expected {rule.keep}"


def _picked(port: Any) -> Any | None:
    """Return the TopK whose best values are at `port`."""
    for one in above(port, lambda node: node.get_type_name() in MOVES):
        node = one.get_node()
        if node.get_type_name() == "TopK" and one.get_index() == 0 and node.get_attributes()["mode"] == "max":
            return node
    return None


def _clips(boxes: Any) -> bool:
    """Return whether the tail cuts `boxes` at the input's edges; what the network does before is its own."""

    def after_the_heads(node: Any) -> bool:
        return (
            node.get_type_name() in CARRIES - {"Concat"} and DECODED_BOXES not in node.output(0).get_names()
        )

    for one in above(boxes, after_the_heads):
        node = one.get_node()
        if node.get_type_name() == "Clamp" and DECODED_BOXES not in one.get_names():
            limits = node.get_attributes()
            return (limits["min"], limits["max"]) == (0, 1)
    return False


def _unequal(pairs: Mapping[str, tuple[Any, Any]], tolerance: float) -> list[str]:
    """Return which of (expected, actual) by key differ; numbers by more than `tolerance` of theirs."""
    return [
        f"{key} {_word(actual)}, expected {_word(expected)}"
        for key, (expected, actual) in pairs.items()
        if actual != expected
        and (isinstance(expected, str) or not isclose(expected, actual, rel_tol=tolerance, abs_tol=1e-6))
    ]


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value if isinstance(value, str) else f"{value:g}"
