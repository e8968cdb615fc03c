"""The standard tail: decode, the best candidates of each class, NMS, the best K, padded.

Only standard ONNX operators of opset 11 and later, and static shapes outside the NonMaxSuppression
itself, so that devices without dynamic shapes run the result. The arithmetic is that of
`ssdconvert.ssd.detections.detections_of`; the tests compare the two.
"""

import numpy as np
import onnx

from ssdconvert.outputs import output_shapes
from ssdconvert.ssd.detections import SuppressionRule, iou_limit
from ssdconvert.ssd.heads import Heads
from ssdconvert.tails.decoding import clip, decode, probabilities
from ssdconvert.tails.graph import GraphBuilder


def add_nms_tail(
    model: onnx.ModelProto, heads: Heads, default_boxes: int, classes: int, rule: SuppressionRule
) -> None:
    """Replace the outputs of `model` by `bboxes` f32 [1, K, 4], `labels` i64 [1, K], `scores` f32 [1, K].

    `model` holds the tensors of `heads` for P = `default_boxes` and C = `classes`. Best score first;
    unused rows are score 0, label 0, box 0.
    """
    graph = GraphBuilder(model, "tail")
    del model.graph.output[:]
    for name, numbers in zip(heads.names, (classes, 4), strict=True):
        graph.inner(name, onnx.TensorProto.FLOAT, [1, default_boxes, numbers])
    scores, boxes = probabilities(graph, heads), heads.boxes
    if heads.coding is not None:
        boxes = decode(graph, boxes, heads.coding)
    if heads.clip:
        boxes = clip(graph, boxes)
    candidates = min(rule.per_class, default_boxes)
    scores, corners = _candidates(graph, scores, boxes, classes, default_boxes, candidates)
    kept = _suppress(graph, corners, scores, classes - 1, candidates, rule)
    _best_rows(graph, kept, corners, classes - 1, candidates, rule.keep)


def _candidates(
    graph: GraphBuilder, all_scores: str, boxes: str, classes: int, default_boxes: int, candidates: int
) -> tuple[str, str]:
    """Return scores [C-1, k] and corners [C-1, k, 4] of the k best boxes of each class, best first."""
    foreground = graph.node(
        "Slice", all_scores, graph.integers(1), graph.integers(classes), graph.integers(2)
    )
    by_class = graph.node("Transpose", foreground, perm=[0, 2, 1])
    rows = graph.node("Reshape", by_class, graph.integers(classes - 1, default_boxes))
    scores, indices = graph.node("TopK", rows, graph.integers(candidates), axis=1, outputs=2)
    flat_boxes = graph.node("Reshape", boxes, graph.integers(default_boxes, 4))
    return scores, graph.node("Gather", flat_boxes, indices, axis=0)


def _suppress(
    graph: GraphBuilder, corners: str, scores: str, classes: int, candidates: int, rule: SuppressionRule
) -> str:
    """Return [1 + classes * k]: a 0, then each candidate's score, or 0 where it is suppressed.

    Each class is a batch entry of its own, so that NMS sees its k candidates and nothing else. The
    leading cell takes the rows of -1 that devices with static shapes pad the selection with.
    """
    selected = graph.node(
        "NonMaxSuppression",
        corners,
        graph.node("Reshape", scores, graph.integers(classes, 1, candidates)),
        graph.integers(candidates),
        graph.constant([iou_limit(rule)], np.float32),
        graph.constant([rule.score_threshold], np.float32),
    )  # [n, 3] of (class, 0, candidate)
    of_class = graph.node("Gather", selected, graph.integers(0), axis=1)
    of_candidate = graph.node("Gather", selected, graph.integers(2), axis=1)
    cell = graph.node("Add", graph.node("Mul", of_class, graph.integers(candidates)), of_candidate)
    padding = graph.node("Less", cell, graph.integers(0))
    cell = graph.node("Where", padding, graph.integers(0), graph.node("Add", cell, graph.integers(1)))
    flat = graph.node("Reshape", scores, graph.integers(-1))
    with_leading_cell = graph.node("Concat", graph.constant([0], np.float32), flat, axis=0)
    cell_scores = graph.node(
        "Gather", with_leading_cell, graph.node("Reshape", cell, graph.integers(-1)), axis=0
    )
    # computed and not stored: with thousands of candidates of a class it would be megabytes of zeros
    empty = graph.node("Mul", with_leading_cell, graph.constant(0, np.float32))
    return str(graph.node("ScatterND", empty, cell, cell_scores))


def _best_rows(
    graph: GraphBuilder, kept: str, corners: str, classes: int, candidates: int, keep: int
) -> None:
    """Add the outputs: the `keep` best of `kept`, with the leading cell standing for unused rows."""
    cells = 1 + classes * candidates
    rows = min(keep, cells)
    scores, indices = graph.node("TopK", kept, graph.integers(rows), axis=0, outputs=2)
    used = graph.node("Greater", scores, graph.constant(0, np.float32))
    indices = graph.node("Where", used, indices, graph.integers(0))
    # cell 0 has label 0, cells 1 to k label 1, and so on
    before = graph.node("Add", indices, graph.integers(candidates - 1))
    labels = graph.node("Div", before, graph.integers(candidates))
    flat = graph.node("Reshape", corners, graph.integers(-1, 4))
    box_of_cell = graph.node("Concat", graph.constant(np.zeros((1, 4)), np.float32), flat, axis=0)
    boxes = graph.node("Gather", box_of_cell, indices, axis=0)
    if rows < keep:  # fewer candidates than rows
        missing = keep - rows
        scores = graph.node("Concat", scores, graph.constant(np.zeros(missing), np.float32), axis=0)
        labels = graph.node("Concat", labels, graph.constant(np.zeros(missing), np.int64), axis=0)
        boxes = graph.node("Concat", boxes, graph.constant(np.zeros((missing, 4)), np.float32), axis=0)
    floats, integers = onnx.TensorProto.FLOAT, onnx.TensorProto.INT64
    tensors = ((boxes, floats), (labels, integers), (scores, floats))
    for (name, shape), (tensor, dtype) in zip(output_shapes(keep).items(), tensors, strict=True):
        graph.output(graph.node("Reshape", tensor, graph.integers(*shape)), name, dtype, shape)
