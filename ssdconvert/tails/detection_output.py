"""The tail for every device generation: OpenVINO's DetectionOutput, one output of a fixed size.

No ONNX operator does what DetectionOutput does, and ONNX Runtime runs none of this name: it is written
for Model Optimizer to read, and never shipped. Offsets of default boxes are decoded by DetectionOutput
itself, with corners and variances as its priors. Boxes that it cannot decode, and those that are clipped,
go through it as corners: it adds them to priors that are zero. It has an attribute for clipping,
clip_before_nms, which Model Optimizer 2021.4 drops without a word when it reads ONNX. The tests compare
both ways with `ssdconvert.ssd.detections`.
"""

from dataclasses import dataclass

import numpy as np
import onnx

from ssdconvert.outputs import DETECTION_OUT
from ssdconvert.ssd.boxes import FloatArray, to_corners
from ssdconvert.ssd.detections import SuppressionRule, exclusive_iou_limit
from ssdconvert.ssd.heads import BoxCoding, Heads
from ssdconvert.tails.decoding import clip, decode, probabilities
from ssdconvert.tails.graph import GraphBuilder


@dataclass(frozen=True)
class Dialect:
    """How a converter spells DetectionOutput in ONNX: the operator's domain, what precedes names of codings."""

    domain: str
    prefix: str


OPENVINO = Dialect("org.openvinotoolkit", "caffe.PriorBoxParameter.")  # Model Optimizer since 2022.1, ovc
LEGACY = Dialect("", "")  # Model Optimizer 2021.4
# attributes of DetectionOutput that are the same for every model: the background comes first, coordinates are
# in 0..1, all classes share a box
FIXED = {
    "background_label_id": 0,
    "share_location": 1,
    "normalized": 1,
    "input_height": 1,
    "input_width": 1,
    "clip_before_nms": 0,
    "clip_after_nms": 0,
    "decrease_label_id": 0,
    "objectness_score": 0.0,
}


def add_detection_output(
    model: onnx.ModelProto,
    heads: Heads,
    default_boxes: int,
    classes: int,
    rule: SuppressionRule,
    dialect: Dialect = OPENVINO,
) -> None:
    """Replace the outputs of `model` by `detection_out` f32 [1, 1, K, 7].

    Its rows are (image_id, label, score, x_min, y_min, x_max, y_max); image_id -1 ends them. `model` holds the
    tensors of `heads` for P = `default_boxes` and C = `classes`.
    """
    graph = GraphBuilder(model, "tail")
    del model.graph.output[:]
    for name, numbers in zip(heads.names, (classes, 4), strict=True):
        graph.inner(name, onnx.TensorProto.FLOAT, [1, default_boxes, numbers])
    boxes, coding = heads.boxes, heads.coding
    if coding is not None and (heads.clip or coding.largest_size_offset is not None):
        boxes, coding = decode(graph, boxes, coding), None
    if heads.clip:
        boxes = clip(graph, boxes)
    scores = probabilities(graph, heads)
    flat_boxes = graph.node("Reshape", boxes, graph.integers(1, default_boxes * 4))
    flat_scores = graph.node("Reshape", scores, graph.integers(1, default_boxes * classes))
    priors = np.zeros((1, 1, default_boxes * 4)) if coding is None else _priors(coding)
    graph.graph.node.append(
        onnx.helper.make_node(
            "DetectionOutput",
            [flat_boxes, flat_scores, graph.constant(priors, np.float32, "priors")],
            [DETECTION_OUT],
            name=DETECTION_OUT,
            domain=dialect.domain,
            code_type=dialect.prefix + ("CORNER" if coding is None else "CENTER_SIZE"),
            variance_encoded_in_target=int(coding is None),
            num_classes=classes,
            top_k=min(rule.per_class, default_boxes),
            keep_top_k=rule.keep,
            nms_threshold=float(exclusive_iou_limit(rule)),
            confidence_threshold=rule.score_threshold,
            **FIXED,
        )
    )
    shape = [1, 1, rule.keep, 7]
    model.graph.output.append(
        onnx.helper.make_tensor_value_info(DETECTION_OUT, onnx.TensorProto.FLOAT, shape)
    )
    if dialect.domain and dialect.domain not in {entry.domain for entry in model.opset_import}:
        model.opset_import.append(onnx.helper.make_opsetid(dialect.domain, 1))


def _priors(coding: BoxCoding) -> FloatArray:
    """Return [1, 2, P * 4]: corners of the default boxes, and the variance of each number of their offsets."""
    corners = to_corners(coding.default_boxes.astype(np.float64))
    of_centre, of_size = coding.variances
    variances = np.tile([of_centre, of_centre, of_size, of_size], len(corners))
    return np.stack([corners.ravel(), variances])[None]
