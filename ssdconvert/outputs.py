"""The forms in which models hand out detections: what their outputs promise, and how they are read.

Which form a model has follows from the names of its outputs. Read detections are always the same:
corners in 0..1, label 1 for the first class.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssdconvert.recipe import Recipe
from ssdconvert.runners import Arrays
from ssdconvert.ssd.boxes import FloatArray
from ssdconvert.ssd.detections import NO_DETECTIONS, Detections

OUTPUTS = ("bboxes", "labels", "scores")
DETECTION_OUT = "detection_out"
FARTHEST_BOX = 5  # boxes are not clipped, and may leave the picture, but by a few of its sides at most


@dataclass(frozen=True)
class OutputSpec:
    """What a model's outputs hold: `rows` at most, `classes` with the background, numbered from `first_label`.

    `sides` (width, height) divide boxes in pixels; (1, 1) where they are in 0..1.
    """

    rows: int
    classes: int
    first_label: int = 1
    sides: tuple[int, int] = (1, 1)


def output_spec(recipe: Recipe) -> OutputSpec:
    """Return what the outputs of a recipe's model hold."""
    rule, (height, width) = recipe.detections, recipe.input.shape[2:]
    sides = (width, height) if rule.units == "pixels" else (1, 1)
    return OutputSpec(rule.keep, recipe.classes, rule.first_label, sides)


def output_shapes(keep: int) -> dict[str, list[int]]:
    """Return the shape of each output that ssdconvert makes, for K = `keep` rows."""
    return dict(zip(OUTPUTS, ([1, keep, 4], [1, keep], [1, keep]), strict=True))


@dataclass(frozen=True)
class OutputForm:
    """A way to hand out detections.

    `read` returns the used rows, `judge` what outputs that are all there do not keep of the form's contract.
    """

    names: tuple[str, ...]
    read: Callable[[Arrays, OutputSpec], Detections]
    judge: Callable[[Arrays, OutputSpec], list[str]]

    def broken(self, outputs: Arrays, spec: OutputSpec) -> list[str]:
        """Return what the outputs do not keep of the form's contract; empty where they keep it."""
        missing = [name for name in self.names if name not in outputs]
        if missing:
            return [f"there is no output {' and no '.join(missing)}"]
        return self.judge(outputs, spec)


def form_of(names: Collection[str]) -> OutputForm | None:
    """Return the form of a model with outputs of these names; None where they are raw heads or unknown."""
    return next((form for form in FORMS if set(form.names) == set(names)), None)


def unknown_form(names: Collection[str]) -> OutputForm:
    """Return the form of a model that suppresses, and hands it out under `names` that are no form's: broken."""
    expected = "; or ".join(", ".join(form.names) for form in FORMS)
    told = f"the outputs are {', '.join(sorted(names))}, expected {expected}"

    return OutputForm(tuple(names), lambda outputs, spec: NO_DETECTIONS, lambda outputs, spec: [told])


def _read_static(outputs: Arrays, spec: OutputSpec) -> Detections:
    used = outputs["scores"][0] > 0
    return Detections(outputs["bboxes"][0][used], outputs["labels"][0][used], outputs["scores"][0][used])


def _broken_static(outputs: Arrays, spec: OutputSpec) -> list[str]:
    """Judge `bboxes`, `labels`, `scores` as ssdconvert makes them: static, best first, zeros where unused."""
    broken = [
        f"{name} has the shape {list(outputs[name].shape)}, expected {shape}"
        for name, shape in output_shapes(spec.rows).items()
        if list(outputs[name].shape) != shape
    ]
    if broken:
        return broken
    boxes, labels, scores = (outputs[name][0] for name in OUTPUTS)
    unused = scores == 0
    promises = {
        "labels is not i64": labels.dtype == np.int64,
        "scores are not best first": bool((np.diff(scores) <= 0).all()),
        "unused rows are not zero": not labels[unused].any() and not boxes[unused].any(),
    }
    used = _common_promises(boxes[~unused], labels[~unused], scores, OutputSpec(spec.rows, spec.classes))
    return [promise for promise, kept in (promises | used).items() if not kept]


def _broken_unpadded(outputs: Arrays, spec: OutputSpec) -> list[str]:
    """Judge the same outputs with as many rows as there are detections, as other exporters make them."""
    shapes = {name: list(outputs[name].shape) for name in OUTPUTS}
    rows = shapes["labels"][-1] if shapes["labels"] else 0
    if shapes != output_shapes(rows) or rows > spec.rows:
        return [
            f"the outputs have the shapes {shapes}, expected [1, N, 4], [1, N], [1, N] with N <= {spec.rows}"
        ]
    boxes, labels, scores = (outputs[name][0] for name in OUTPUTS)
    promises = {"labels are not integers": np.issubdtype(labels.dtype, np.integer)}
    used = scores > 0
    promises |= _common_promises(boxes[used], labels[used], scores, OutputSpec(spec.rows, spec.classes))
    return [promise for promise, kept in promises.items() if not kept]


def _read_detection_out(outputs: Arrays, spec: OutputSpec) -> Detections:
    rows = _listed_rows(outputs[DETECTION_OUT])
    rows = rows[rows[:, 2] > 0]  # OpenCV fills up with zeros
    labels = rows[:, 1].astype(np.int64) + 1 - spec.first_label
    return _best_first(rows[:, 3:7] / np.array(spec.sides * 2, np.float32), labels, rows[:, 2])


def _broken_detection_out(outputs: Arrays, spec: OutputSpec) -> list[str]:
    """Judge rows of (image_id, label, score, corners); image_id -1 ends the list."""
    array = outputs[DETECTION_OUT]
    if array.shape != (1, 1, spec.rows, 7):
        return [f"{DETECTION_OUT} has the shape {list(array.shape)}, expected {[1, 1, spec.rows, 7]}"]
    rows = _listed_rows(array)
    promises = {
        f"{DETECTION_OUT} is not f32": array.dtype == np.float32,
        "an image_id is not 0": not rows[:, 0].any(),
        "labels are not whole numbers": bool((rows[:, 1] == np.round(rows[:, 1])).all()),
    }
    promises |= _common_promises(rows[:, 3:7], rows[:, 1], rows[:, 2], spec)
    return [promise for promise, kept in promises.items() if not kept]


def _listed_rows(detection_out: NDArray[Any]) -> FloatArray:
    """Return the rows [N, 7] before image_id -1: what follows it in the tensor is not detections."""
    rows: FloatArray = detection_out.reshape(-1, 7)
    ends = np.flatnonzero(rows[:, 0] < 0)
    return rows[: ends[0]] if len(ends) else rows


def _read_boxes_and_labels(outputs: Arrays, spec: OutputSpec) -> Detections:
    boxes, labels = outputs["boxes"], outputs["labels"]
    used = boxes[:, 4] > 0
    corners = boxes[used, :4] / np.array(spec.sides * 2, np.float32)
    return _best_first(corners, labels[used].astype(np.int64) + 1 - spec.first_label, boxes[used, 4])


def _broken_boxes_and_labels(outputs: Arrays, spec: OutputSpec) -> list[str]:
    """Judge rows of (corners, score) and a label each; unused rows have the score 0."""
    boxes, labels = outputs["boxes"], outputs["labels"]
    if boxes.ndim != 2 or boxes.shape[1] != 5 or labels.shape != boxes.shape[:1] or len(boxes) > spec.rows:
        shapes = f"boxes {list(boxes.shape)} and labels {list(labels.shape)}"
        return [f"the outputs are {shapes}, expected [N, 5] and [N] with N <= {spec.rows}"]
    used = boxes[:, 4] > 0
    promises = {
        "boxes is not f32": boxes.dtype == np.float32,
        "labels are not integers": np.issubdtype(labels.dtype, np.integer),
    }
    promises |= _common_promises(boxes[used, :4], labels[used], boxes[:, 4], spec)
    return [promise for promise, kept in promises.items() if not kept]


def _common_promises(
    boxes: FloatArray, labels: NDArray[Any], scores: FloatArray, spec: OutputSpec
) -> dict[str, bool]:
    """Return what every form promises of used `boxes` [N, 4] and `labels` [N], and of all `scores` [M]."""
    last = spec.first_label + spec.classes - 2
    inside = boxes / np.array(spec.sides * 2, np.float32)
    return {
        "boxes or scores hold NaN or infinity": bool(np.isfinite(boxes).all() and np.isfinite(scores).all()),
        "scores leave 0..1": bool(((scores >= 0) & (scores <= 1)).all()),
        f"labels leave {spec.first_label}..{last}": bool(
            ((labels >= spec.first_label) & (labels <= last)).all()
        ),
        "boxes are not x_min <= x_max, y_min <= y_max": bool((boxes[:, :2] <= boxes[:, 2:]).all()),
        f"boxes leave the picture by more than {FARTHEST_BOX} of its sides: are they in other units?": bool(
            ((inside >= -FARTHEST_BOX) & (inside <= 1 + FARTHEST_BOX)).all()
        ),
    }


def _best_first(boxes: FloatArray, labels: NDArray[np.int64], scores: FloatArray) -> Detections:
    return Detections(boxes, labels, scores).select(np.argsort(-scores, kind="stable"))


STATIC = OutputForm(OUTPUTS, _read_static, _broken_static)
UNPADDED = OutputForm(OUTPUTS, _read_static, _broken_unpadded)  # of files that ssdconvert did not make
DETECTION_ROWS = OutputForm((DETECTION_OUT,), _read_detection_out, _broken_detection_out)
FORMS = (
    STATIC,
    DETECTION_ROWS,
    OutputForm(("boxes", "labels"), _read_boxes_and_labels, _broken_boxes_and_labels),
)
# what a conversion puts behind the heads -> how detections are handed out; None: the heads themselves are
TAILS: dict[str, OutputForm | None] = {"nms": STATIC, "detection-output": DETECTION_ROWS, "heads": None}
