"""From heads to detections, in numpy: the reference that exported graphs are judged by."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ssdconvert.ssd.boxes import FloatArray, iou_matrix


class SuppressionRule(Protocol):
    """What a recipe says about detections; `ssdconvert.recipe.Detections` is one."""

    @property
    def score_threshold(self) -> float:
        """A detection's score is greater than this."""

    @property
    def iou_threshold(self) -> float:
        """A box that overlaps a better one of its class by more than this is suppressed."""

    @property
    def at_iou_threshold(self) -> str:
        """What happens at exactly that overlap: `keep` (ONNX, torchvision) or `suppress` (MLPerf)."""

    @property
    def per_class(self) -> int:
        """Candidates of each class that enter the suppression, the best ones."""

    @property
    def keep(self) -> int:
        """Most detections of a picture, the best ones."""


@dataclass(frozen=True)
class Detections:
    """Detections of one picture, best first.

    `boxes` f32 [N, 4] corners in 0..1, clipped if the recipe says so; `labels` i64 [N], 1 is the first class;
    `scores` f32 [N].
    """

    boxes: FloatArray
    labels: NDArray[np.int64]
    scores: FloatArray

    def __len__(self) -> int:
        return len(self.scores)

    def above(self, score: float) -> "Detections":
        """Return those with a score greater than `score`."""
        return self.select(self.scores > score)

    def select(self, which: NDArray[Any]) -> "Detections":
        """Return those of a boolean mask or of indices."""
        return Detections(self.boxes[which], self.labels[which], self.scores[which])


NO_DETECTIONS = Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.int64), np.zeros(0, np.float32))


def softmax(logits: FloatArray) -> FloatArray:
    """Return the softmax over the last axis."""
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    result: FloatArray = exponentials / exponentials.sum(axis=-1, keepdims=True)
    return result


def suppress(boxes: FloatArray, iou_threshold: float, at_iou_threshold: str) -> NDArray[np.int64]:
    """Return the indices that greedy NMS keeps of `boxes` [N, 4] corners, given best first."""
    threshold = boxes.dtype.type(iou_threshold)
    alive = np.ones(len(boxes), bool)
    kept = []
    for index in range(len(boxes)):
        if alive[index]:
            kept.append(index)
            # a row at a time: all pairs of thousands of candidates would take gigabytes
            overlaps = iou_matrix(boxes[index : index + 1], boxes)[0]
            alive &= overlaps < threshold if at_iou_threshold == "suppress" else overlaps <= threshold
    return np.array(kept, np.int64)


def iou_limit(rule: SuppressionRule) -> np.float32:
    """Return the threshold by which an NMS in f32 does what a rule says, however it takes equality.

    There ONNX Runtime keeps a box and OpenVINO suppresses it: the next number to either side makes both
    agree. Next to 0 that is the least normal number: engines take smaller ones for 0.
    """
    threshold = np.float32(rule.iou_threshold)
    if rule.at_iou_threshold == "suppress":
        return np.nextafter(threshold, np.float32(0))
    return max(np.nextafter(threshold, np.float32(1)), np.finfo(np.float32).tiny)


def exclusive_iou_limit(rule: SuppressionRule) -> np.float32:
    """Return the threshold by which DetectionOutput in f32 does what a rule says: at equality it keeps a box.

    So it does on the CPU from OpenVINO 2021.4 to 2026.4. The threshold is below 0 where even boxes that do not
    touch suppress each other.
    """
    threshold = np.float32(rule.iou_threshold)
    if rule.at_iou_threshold == "keep":
        return threshold
    # of numbers next to 0 engines take all but the normal ones for 0
    below = np.nextafter(threshold, np.float32(-1))
    return min(below, threshold - np.finfo(np.float32).tiny)


def detections_of(probabilities: FloatArray, boxes: FloatArray, rule: SuppressionRule) -> Detections:
    """Return the detections of one picture.

    `probabilities` [P, C], class 0 the background; `boxes` [P, 4] corners, one for all classes.
    Of equal scores the lower class, then the lower default box comes first.
    """
    found = []
    threshold = probabilities.dtype.type(rule.score_threshold)
    for label in range(1, probabilities.shape[1]):
        scores = probabilities[:, label]
        best = np.flatnonzero(scores > threshold)
        best = best[np.argsort(-scores[best], kind="stable")][: rule.per_class]
        kept = best[suppress(boxes[best], rule.iou_threshold, rule.at_iou_threshold)]
        found.append(Detections(boxes[kept], np.full(len(kept), label, np.int64), scores[kept]))
    together = Detections(
        np.concatenate([part.boxes for part in found]),
        np.concatenate([part.labels for part in found]),
        np.concatenate([part.scores for part in found]),
    )
    return together.select(np.argsort(-together.scores, kind="stable")[: rule.keep])
