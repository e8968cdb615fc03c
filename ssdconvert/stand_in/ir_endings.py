"""What follows the heads in Intel's IRs: DetectionOutput, or boxes and labels out of one NonMaxSuppression."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from openvino.runtime import opset8 as ops
from openvino.runtime import opset9

from ssdconvert.ssd.boxes import FloatArray

Node = Any  # openvino.Node; OpenVINO ships no types

STRIDES = (16, 32)  # of the two maps
# (width, height) of the default boxes at each cell, in shares of the input's shorter side
LEVEL_BOXES = (
    ((0.06, 0.06), (0.08, 0.14), (0.14, 0.1), (0.16, 0.22)),
    ((0.2, 0.2), (0.24, 0.36), (0.4, 0.28), (0.45, 0.55), (0.7, 0.6)),
)
VARIANCES = (0.1, 0.2)  # of offsets of a centre, of a size
CODE_TYPE = "caffe.PriorBoxParameter.CENTER_SIZE"


@dataclass(frozen=True)
class Rule:
    """A form of outputs, and what leads to them. Sizes are those of the input in pixels.

    `classes` do not count the background. `rows` is K, `per_class` the candidates of each class that
    DetectionOutput lets into NMS. With a `first_label` of 0 the background is the last class. With
    `static_rows`, `boxes` and `labels` have always K rows, the unused of score 0.
    """

    form: Literal["detection_out", "boxes"]
    height: int
    width: int
    classes: int
    rows: int
    score_threshold: float
    iou_threshold: float
    per_class: int
    first_label: int
    static_rows: bool = False

    @property
    def background(self) -> int | None:
        """Column of the background among the scores; None where they are sigmoids and there is none."""
        if self.form == "boxes":
            return None
        return 0 if self.first_label else self.classes

    @property
    def scores(self) -> int:
        """Scores of a default box."""
        return self.classes + (self.background is not None)

    def scores_in(self, output: NDArray[Any]) -> NDArray[Any]:
        """Return the scores of the rows of `detection_out` or of `boxes`; unused rows have 0."""
        return output[..., 2] if self.form == "detection_out" else output[..., 4]


def _as_rows(maps: list[Node], width: int) -> Node:
    """Join heads [1, A * width, H, W] as [1, P, width]: level, row, column, default box."""
    rows = [
        ops.reshape(ops.transpose(one, np.array([0, 2, 3, 1])), np.array([1, -1, width]), False)
        for one in maps
    ]
    return ops.concat(rows, 1)


def _named(node: Node, name: str, port: int = 0) -> Node:
    node.output(port).get_tensor().set_names({name})
    return node


def end_in_detection_output(
    rule: Rule, maps: list[Node], logits: list[Node], offsets: list[Node], image: Node
) -> list[Node]:
    """Return the output `detection_out` f32 [1, 1, K, 7]: rows of image, label, score, corners in 0..1, by label."""
    probabilities = ops.softmax(_as_rows(logits, rule.scores), 2)
    flat = np.array([1, -1])
    confidences = _named(ops.reshape(probabilities, flat, False), "mbox_conf_flatten")
    locations = _named(ops.reshape(_as_rows(offsets, 4), flat, False), "mbox_loc")
    priors = [_priors(rule, level, source, image) for level, source in enumerate(maps)]
    attributes = {
        "background_label_id": rule.background,
        "top_k": rule.per_class,
        "variance_encoded_in_target": False,
        "keep_top_k": np.array([rule.rows], np.int32),
        "code_type": CODE_TYPE,
        "share_location": True,
        "nms_threshold": rule.iou_threshold,
        "confidence_threshold": rule.score_threshold,
        "normalized": True,
    }
    together = _named(ops.concat(priors, 2), "mbox_priorbox")
    end = ops.detection_output(locations, confidences, together, attributes, name="detection_out")
    return [_named(end, "detection_out")]


def _priors(rule: Rule, level: int, source: Node, image: Node) -> Node:
    """Return the priors of a level [1, 2, P * 4]: corners in 0..1, and the variance of each number."""
    side = min(rule.height, rule.width)
    attributes = {
        "width": [width * side for width, _ in LEVEL_BOXES[level]],
        "height": [height * side for _, height in LEVEL_BOXES[level]],
        "clip": False,
        "step": float(STRIDES[level]),
        "offset": 0.5,
        "variance": [VARIANCES[0]] * 2 + [VARIANCES[1]] * 2,
    }
    sizes = [
        ops.strided_slice(ops.shape_of(node), np.array([2]), np.array([4]), np.array([1]), [0], [0])
        for node in (source, image)
    ]
    return ops.unsqueeze(ops.prior_box_clustered(sizes[0], sizes[1], attributes), np.array(0))


def default_boxes(rule: Rule) -> FloatArray:
    """Return centre and size [P, 4] of the default boxes in pixels: level, row, column, default box."""
    side = min(rule.height, rule.width)
    boxes = []
    for stride, sizes in zip(STRIDES, LEVEL_BOXES, strict=True):
        rows, columns = -(-rule.height // stride), -(-rule.width // stride)
        y, x = np.meshgrid(np.arange(rows) + 0.5, np.arange(columns) + 0.5, indexing="ij")
        each = [np.stack([x * stride, y * stride, x * 0 + w * side, y * 0 + h * side], -1) for w, h in sizes]
        boxes.append(np.stack(each, axis=2).reshape(-1, 4))
    return np.concatenate(boxes).astype(np.float32)


def end_in_boxes(
    rule: Rule, maps: list[Node], logits: list[Node], offsets: list[Node], image: Node
) -> list[Node]:
    """Return `boxes` f32 [..K, 5] (corners in pixels, score), best first, and `labels` i64 [..K] from 0.

    One NonMaxSuppression serves all classes: its boxes are moved apart by class, beyond the largest
    coordinate, and only then compared.
    """
    scores = _named(ops.sigmoid(ops.squeeze(_as_rows(logits, rule.classes), np.array([0]))), "class_scores")
    corners = _named(_decoded(rule, ops.squeeze(_as_rows(offsets, 4), np.array([0]))), "corners")
    count = len(default_boxes(rule)) * rule.classes
    every = ops.reshape(
        ops.broadcast(
            ops.unsqueeze(corners, np.array(1)), np.array([count // rule.classes, rule.classes, 4])
        ),
        np.array([-1, 4]),
        False,
    )
    labels = ops.constant(np.tile(np.arange(rule.classes), count // rule.classes).astype(np.int64))
    step = ops.add(ops.reduce_max(corners, np.array([0, 1]), False), np.float32(1))
    apart = ops.add(every, ops.unsqueeze(ops.multiply(ops.convert(labels, "f32"), step), np.array(1)))
    flat = ops.reshape(scores, np.array([-1]), False)
    chosen = opset9.non_max_suppression(
        _named(ops.unsqueeze(apart, np.array(0)), "boxes_by_class"),
        _named(ops.reshape(flat, np.array([1, 1, -1]), False), "scores_by_class"),
        ops.constant(np.int64(rule.rows)),
        ops.constant(np.float32(rule.iou_threshold)),
        ops.constant(np.float32(rule.score_threshold)),
        sort_result_descending=False,
    )
    third = ops.gather(chosen.output(0), np.array(2), np.array(1))
    best = ops.gather(flat, third, np.array(0))
    ranked = ops.topk(best, ops.squeeze(ops.shape_of(best), np.array([0])), 0, "max", "value", "i64")
    order = ops.gather(third, ranked.output(1), np.array(0))
    rows = ops.concat(
        [ops.gather(every, order, np.array(0)), ops.unsqueeze(ranked.output(0), np.array(1))], 1
    )
    kept = ops.gather(labels, order, np.array(0))
    if rule.static_rows:
        rows = _padded(rows, np.zeros((rule.rows, 5), np.float32))
        kept = _padded(kept, np.zeros(rule.rows, np.int64))
    return [_output(rows, "boxes"), _output(kept, "labels")]


def _decoded(rule: Rule, offsets: Node) -> Node:
    """Return corners [P, 4] in pixels, cut at the input's edges."""
    boxes = default_boxes(rule)
    centre, size = (
        ops.slice(offsets, np.array([begin]), np.array([begin + 2]), np.array([1]), np.array([1]))
        for begin in (0, 2)
    )
    centre = ops.add(ops.multiply(centre, boxes[:, 2:] * np.float32(VARIANCES[0])), boxes[:, :2].copy())
    half = ops.multiply(ops.exp(ops.multiply(size, np.float32(VARIANCES[1]))), boxes[:, 2:] / 2)
    corners = ops.concat([ops.subtract(centre, half), ops.add(centre, half)], 1)
    edges = np.array([[rule.width, rule.height] * 2], np.float32)
    return ops.minimum(ops.maximum(corners, np.float32(0)), edges)


def _padded(rows: Node, zeros: NDArray[Any]) -> Node:
    """Return `rows` and below them zeros, as many together as there are zeros."""
    joined = ops.concat([rows, ops.constant(zeros)], 0)
    return ops.strided_slice(joined, np.array([0]), np.array([len(zeros)]), np.array([1]), [0], [0])


def _output(node: Node, name: str) -> Node:
    node.set_friendly_name(name)
    return _named(node, name)
