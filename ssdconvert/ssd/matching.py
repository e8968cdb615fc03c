"""Judges detections without trusting their order, and without flinching at NMS's narrow decisions.

Arrays after NMS cannot be compared row by row: a difference in the last bit swaps rows. Nor can sets
of boxes be compared blindly: of two boxes with nearly equal scores NMS keeps one, and in a right copy
of a model it may keep the other. So a candidate's detections are held against the reference's boxes
*before* suppression, by what defines the result of greedy NMS:

* each detection is one of the reference's boxes (else it is `extra`);
* no two detections of a class overlap by more than the threshold (else they are `overlapping`);
* each box of the reference is a detection or is suppressed by a better one (else it is `missing`).

All three within the tolerance that the two runs are allowed, and none of them looser than that.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssdconvert.ssd.boxes import FloatArray, iou_matrix
from ssdconvert.ssd.detections import Detections, SuppressionRule

SMALLEST_IOU = 0.5  # below this two boxes are different ones, not one box displaced
ROUNDING = 1e-5  # of an IoU computed in float32, and of coordinates
SLIVER = 0.002  # of the picture's side: half a pixel at 300


@dataclass(frozen=True)
class Tolerance:
    """How far a right copy may be off: each score by `score`, each box by an IoU of 1 - `iou`."""

    score: float
    iou: float


@dataclass(frozen=True)
class Matching:
    """What one picture's comparison found.

    `matched` detections have a counterpart; over them, `score_error` is the largest difference of
    scores and `smallest_iou` the worst overlap (0 and 1 where there are none). The other three are
    faults; `worst_missing` and `worst_extra` are the best scores among them, 0 without any.
    """

    matched: int
    missing: int
    extra: int
    overlapping: int
    score_error: float
    smallest_iou: float
    worst_missing: float = 0.0
    worst_extra: float = 0.0

    @property
    def faults(self) -> int:
        """How many detections are wrong, as against merely displaced."""
        return self.missing + self.extra + self.overlapping


def match(
    probabilities: FloatArray,
    boxes: FloatArray,
    rule: SuppressionRule,
    tolerance: Tolerance,
    candidate: Detections,
) -> Matching:
    """Hold `candidate` against the reference's `probabilities` [P, C] and corners [P, 4]."""
    full = len(candidate) >= rule.keep
    lowest = float(candidate.scores.min()) + tolerance.score if full else 0.0
    parts = []
    for label in range(1, probabilities.shape[1]):
        scores = probabilities[:, label]
        order = np.flatnonzero(scores > rule.score_threshold - tolerance.score)
        order = order[np.argsort(-scores[order], kind="stable")]
        detections = candidate.select(candidate.labels == label)
        if not len(order) and not len(detections):
            continue
        parts.append(_match_class(scores[order], boxes[order], rule, tolerance, detections, lowest))
    foreign = candidate.select((candidate.labels < 1) | (candidate.labels >= probabilities.shape[1]))
    surplus = np.sort(candidate.scores)[::-1][rule.keep :]
    worst_extra = [part.worst_extra for part in parts]
    worst_extra += [float(scores.max(initial=0.0)) for scores in (foreign.scores, surplus)]
    return Matching(
        sum(part.matched for part in parts),
        sum(part.missing for part in parts),
        sum(part.extra for part in parts) + len(foreign) + len(surplus),
        sum(part.overlapping for part in parts),
        max((part.score_error for part in parts), default=0.0),
        min((part.smallest_iou for part in parts), default=1.0),
        max((part.worst_missing for part in parts), default=0.0),
        max(worst_extra),
    )


@dataclass(frozen=True)
class Agreement:
    """How far two lists of detections say the same, as statistics: for models that are right on the whole.

    `matched` pairs were found. `share` of the detections of both lists have a counterpart, 1 where there are
    none; over the pairs the mean difference of scores and the mean IoU (0 and 1 where there are none).
    """

    share: float
    score_error: float
    iou: float
    matched: int = 0


def agreement(reference: Detections, candidate: Detections, floor: float, tolerance: float) -> Agreement:
    """Pair detections as `counterparts` does, and compare the pairs.

    One without a counterpart counts unless its score is within `tolerance` of the `floor` that detections
    have to pass: of two right models one may let it in and the other not.
    """
    counterpart, overlap = counterparts(reference, candidate)
    rows = np.flatnonzero(counterpart >= 0)
    columns = counterpart[rows]
    lonely = [
        np.delete(one.scores, found) > floor + tolerance
        for one, found in ((candidate, rows), (reference, columns))
    ]
    counted = 2 * len(rows) + sum(int(which.sum()) for which in lonely)
    if not len(rows):
        return Agreement(0.0 if counted else 1.0, 0.0, 1.0)
    return Agreement(
        2 * len(rows) / counted,
        float(np.abs(candidate.scores[rows] - reference.scores[columns]).mean()),
        float(overlap[rows, columns].mean()),
        len(rows),
    )


def counterparts(
    reference: Detections, candidate: Detections, any_label: bool = False
) -> tuple[NDArray[np.int64], FloatArray]:
    """Pair detections of one label, or of any, of an IoU of a half at least, the most alike first.

    Returns for each of the candidate [D] its index in the reference, -1 for none, and the IoU [D, N] of all.
    """
    overlap = iou_matrix(candidate.boxes, reference.boxes)
    possible = overlap >= SMALLEST_IOU
    if not any_label:
        possible &= candidate.labels[:, None] == reference.labels[None]
    return _assign(overlap, possible), overlap


def _match_class(
    scores: FloatArray,
    boxes: FloatArray,
    rule: SuppressionRule,
    tolerance: Tolerance,
    detections: Detections,
    lowest: float,
) -> Matching:
    """Match one class; `scores` [N] best first with `boxes` [N, 4], `lowest` the last of a full list."""
    must_enter, may_enter = _candidates(scores, rule, tolerance)
    overlap = iou_matrix(detections.boxes, boxes)  # [D, N]
    likeness = np.maximum(overlap, _coinciding(detections.boxes, boxes, tolerance))
    error = np.abs(detections.scores[:, None] - scores[None, :])
    allowed = (error <= tolerance.score) & (likeness >= tolerance.iou - ROUNDING)
    closeness = likeness - error + allowed  # a pair within the tolerance comes before any that is not
    possible = (likeness >= SMALLEST_IOU) & may_enter[None, :] & np.isfinite(closeness)
    counterpart = _assign(closeness, possible)
    extra = counterpart < 0
    pairs = np.flatnonzero(~extra), counterpart[~extra]
    own = iou_matrix(detections.boxes, detections.boxes)
    overlapping = np.triu(own > rule.iou_threshold + ROUNDING, k=1).sum()
    # One side of each comparison is the candidate's own: only the suppressed box may have moved, and
    # moving it changes its IoU with any box by no more than the distance 1 - IoU, which is a metric.
    reason = (overlap >= rule.iou_threshold - (1 - tolerance.iou) - ROUNDING) & (
        detections.scores[:, None] >= scores[None, :] - tolerance.score
    )
    explained = reason.any(axis=0)
    explained[pairs[1]] = True
    missing = must_enter & (scores > lowest) & ~explained
    return Matching(
        len(pairs[0]),
        int(missing.sum()),
        int(extra.sum()),
        int(overlapping),
        float(error[pairs].max(initial=0.0)),
        float(likeness[pairs].min(initial=1.0)),
        float(scores[missing].max(initial=0.0)),
        float(detections.scores[extra].max(initial=0.0)),
    )


def _candidates(
    scores: FloatArray, rule: SuppressionRule, tolerance: Tolerance
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Say of scores, best first, which surely enter the suppression and which may."""
    must, may = scores > rule.score_threshold + tolerance.score, np.ones(len(scores), bool)
    if len(scores) > rule.per_class:
        last, next_one = scores[rule.per_class - 1], scores[rule.per_class]
        must &= scores > next_one + 2 * tolerance.score
        may &= scores >= last - 2 * tolerance.score
    return must, may


def _coinciding(first: FloatArray, second: FloatArray, tolerance: Tolerance) -> NDArray[np.bool_]:
    """Say of each pair [N, M] whether it is one box: boxes without an area have no IoU that tells.

    Clipping leaves such boxes, and slivers, at the picture's edge. Their corners may be as far apart as
    those of a box of a hundredth of the picture that is just within the tolerance.
    """
    distance = np.abs(first[:, :1] - second[:, 0])
    for side in (1, 2, 3):
        distance = np.maximum(distance, np.abs(first[:, side, None] - second[:, side]))
    thickness = [(boxes[:, 2:] - boxes[:, :2]).min(axis=1, initial=1.0) for boxes in (first, second)]
    sliver = np.minimum(thickness[0][:, None], thickness[1][None, :]) < SLIVER
    result: NDArray[np.bool_] = distance <= ROUNDING + np.where(sliver, (1 - tolerance.iou) * 0.01, 0.0)
    return result


def _assign(closeness: NDArray[Any], possible: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return for each row of [D, N] its column, closest pairs first and each column once; -1 for none."""
    rows, columns = np.nonzero(possible)
    assigned = np.full(closeness.shape[0], -1, np.int64)
    used: set[int] = set()
    for index in np.argsort(-closeness[rows, columns], kind="stable"):
        row, column = int(rows[index]), int(columns[index])
        if assigned[row] < 0 and column not in used:
            assigned[row] = column
            used.add(column)
    return assigned
