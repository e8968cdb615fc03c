"""Reads the detections of any model whose form is known: row by row, in the order and the numbers of its outputs.

`ssdconvert.outputs` reads what the gate has judged. Here nothing is promised: a batch may hold several
pictures, numbers may be of any type, names other than those that ssdconvert writes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ssdconvert.errors import RecipeError
from ssdconvert.model_facts import ModelFacts, Port
from ssdconvert.outputs import OUTPUTS
from ssdconvert.runners import Arrays
from ssdconvert.ssd.boxes import FloatArray
from ssdconvert.ssd.detections import Detections, SuppressionRule, detections_of
from ssdconvert.ssd.heads import Heads

UNDERSTOOD = (
    "one output [1, 1, N, 7] (image_id, label, score, corners); `boxes` [N, 5] (corners in pixels of the input, "
    "score) and `labels` [N]; `bboxes` [B, N, 4] (corners), `labels` [B, N] and `scores` [B, N]; with a recipe "
    "also raw `scores` [B, P, C] and `boxes` [B, P, 4]"
)


@dataclass(frozen=True)
class Rows:
    """What a model hands out for one picture, in the order of its outputs.

    `boxes` f32 [N, 4] corners in the units of the output, `labels` i64 [N] by the model's own numbers, `scores`
    f32 [N].
    """

    boxes: FloatArray
    labels: NDArray[np.int64]
    scores: FloatArray

    def select(self, which: NDArray[np.bool_]) -> "Rows":
        """Return those of a boolean mask."""
        return Rows(self.boxes[which], self.labels[which], self.scores[which])

    def detections(self, first_label: int, sides: Sequence[int]) -> Detections:
        """Return them best first, label 1 for the first class, boxes divided by `sides` (width, height)."""
        order = np.argsort(-self.scores, kind="stable")
        boxes = (self.boxes / np.array([*sides, *sides], np.float32)).astype(np.float32)
        return Detections(boxes[order], self.labels[order] + 1 - first_label, self.scores[order])


@dataclass(frozen=True)
class RawHeads:
    """Scores and boxes before suppression, and the rule that makes detections of them."""

    heads: Heads
    scores: str
    boxes: str
    rule: SuppressionRule


@dataclass(frozen=True)
class Reading:
    """How a model's outputs are read.

    `told` says it in words. `read` returns the rows of each picture of a batch. `in_pixels`: boxes are in
    pixels of the input unless a recipe says otherwise. `ends_in`: detections, or heads that are suppressed here.
    """

    told: str
    read: Callable[[Arrays], list[Rows]]
    in_pixels: bool = False
    ends_in: str = "detections"


def reading_of(facts: ModelFacts, batch: int, raw: RawHeads | None = None) -> Reading:
    """Return how the outputs of a model are read, by their names and shapes.

    Raises RecipeError, which lists what was found and what is understood, where no form fits.
    """
    ports = {port.name: port for port in facts.outputs}
    if raw is not None:
        told = f"raw heads {ports[raw.scores]} and {ports[raw.boxes]}, suppressed by the recipe's rule"
        return Reading(told, lambda outputs: _of_heads(outputs, raw), ends_in="heads")
    if set(OUTPUTS) <= set(ports) and _fits(ports["bboxes"], (2, 3), 4):
        told = f"{', '.join(str(ports[name]) for name in OUTPUTS)}: corners in 0..1 of the input"
        return Reading(told, _of_three)
    if {"boxes", "labels"} <= set(ports) and _fits(ports["boxes"], (2,), 5) and batch == 1:
        told = f"{ports['boxes']} (corners in pixels of the input, score) and {ports['labels']}"
        return Reading(told, _of_two, in_pixels=True)
    if len(ports) == 1 and _fits(facts.outputs[0], (2, 3, 4), 7):
        (port,) = facts.outputs
        told = f"{port}: image_id, label, score, corners in 0..1 of the input"
        return Reading(told, lambda outputs: _of_one(outputs[port.name], batch))
    found = "; ".join(str(port) for port in facts.outputs)
    raise RecipeError(
        f"{facts.path} takes a batch of {batch} and has the outputs {found}, which are no detections in a known form",
        hint=f"understood are: {UNDERSTOOD}",
        stage="detect",
    )


def _fits(port: Port, ranks: Sequence[int], width: int) -> bool:
    """Say whether an output may have one of these ranks and rows of `width` numbers."""
    return port.sides is None or (len(port.sides) in ranks and port.sides[-1] in (None, width))


def _of_one(array: NDArray[np.generic], batch: int) -> list[Rows]:
    """Read rows of (image_id, label, score, corners).

    image_id -1 ends the list: what follows it in the tensor is what was there before, mostly zeros.
    """
    rows = array.reshape(-1, 7).astype(np.float32)
    ends = np.flatnonzero(rows[:, 0] < 0)
    rows = rows[: ends[0]] if len(ends) else rows
    return [_rows(own[:, 3:], own[:, 1], own[:, 2]) for own in (rows[rows[:, 0] == b] for b in range(batch))]


def _of_two(outputs: Arrays) -> list[Rows]:
    boxes = outputs["boxes"].reshape(-1, 5)
    return [_rows(boxes[:, :4], outputs["labels"].reshape(-1), boxes[:, 4])]


def _of_three(outputs: Arrays) -> list[Rows]:
    boxes, labels, scores = (outputs[name] for name in OUTPUTS)
    boxes = boxes.reshape(-1, *boxes.shape[-2:])
    several = len(boxes), boxes.shape[1]
    parts = zip(boxes, labels.reshape(several), scores.reshape(several), strict=True)
    return [_rows(*part) for part in parts]


def _of_heads(outputs: Arrays, raw: RawHeads) -> list[Rows]:
    scores, boxes = (outputs[name].astype(np.float32) for name in (raw.scores, raw.boxes))
    found = []
    for index in range(len(scores)):
        one = slice(index, index + 1)
        decoded = raw.heads.decoded({raw.heads.scores: scores[one], raw.heads.boxes: boxes[one]})
        detections = detections_of(*decoded, raw.rule)
        found.append(Rows(detections.boxes, detections.labels, detections.scores))
    return found


def _rows(boxes: NDArray[np.generic], labels: NDArray[np.generic], scores: NDArray[np.generic]) -> Rows:
    """Return the used rows of any types of numbers; unused ones have the score 0."""
    if len({len(boxes), len(labels), len(scores)}) > 1:
        raise ValueError(f"{len(boxes)} boxes, {len(labels)} labels and {len(scores)} scores")
    real = scores.astype(np.float32)
    used = ~(real <= 0)  # what is no number, too
    numbers = (boxes[used], labels[used], real[used])
    if not all(np.isfinite(array.astype(np.float64)).all() for array in numbers):
        raise ValueError("a detection holds NaN or infinity")
    return Rows(numbers[0].astype(np.float32), numbers[1].astype(np.int64), real[used])
