"""What a network's heads emit, and how scores and boxes follow from it."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ssdconvert.ssd.boxes import FloatArray, decode
from ssdconvert.ssd.detections import softmax

CLASS_LOGITS, BOX_OFFSETS = "class_logits", "box_offsets"
CLASS_PROBABILITIES, DECODED_BOXES = "class_probabilities", "decoded_boxes"


@dataclass(frozen=True)
class BoxCoding:
    """What offsets are relative to: default boxes, `centres` [P, 4] in 0..1, and their variances.

    `largest_size_offset` limits the offset of a size after its variance, see `ssdconvert.ssd.boxes.decode`.
    """

    default_boxes: FloatArray
    variances: tuple[float, float]
    largest_size_offset: float | None = None


@dataclass(frozen=True)
class Heads:
    """The two tensors that detections are made of.

    With a `coding`: class logits [1, P, C] and box offsets [1, P, 4]. Without: class probabilities
    [1, P, C] and decoded boxes, corners in 0..1, [1, P, 4]. Class 0 is the background. With `clip`,
    decoded boxes are then cut at the input's edges, before anything is suppressed.
    """

    coding: BoxCoding | None = None
    clip: bool = False

    @property
    def scores(self) -> str:
        """Name of the tensor of scores in every graph of ours."""
        return CLASS_LOGITS if self.coding else CLASS_PROBABILITIES

    @property
    def boxes(self) -> str:
        """Name of the tensor of boxes in every graph of ours."""
        return BOX_OFFSETS if self.coding else DECODED_BOXES

    @property
    def names(self) -> tuple[str, str]:
        """Both names, scores first."""
        return self.scores, self.boxes

    def decoded(self, outputs: Mapping[str, FloatArray]) -> tuple[FloatArray, FloatArray]:
        """Return class probabilities [P, C] and corners [P, 4] of one picture from the tensors by name."""
        scores, boxes = outputs[self.scores][0], outputs[self.boxes][0]
        if self.coding is not None:
            coding = self.coding
            boxes = decode(boxes, coding.default_boxes, coding.variances, coding.largest_size_offset)
            scores = softmax(scores)
        return scores, np.clip(boxes, 0, 1) if self.clip else boxes


def relative_error(expected: FloatArray, actual: FloatArray) -> FloatArray:
    """Return |actual - expected| of a head's numbers, relative to the largest of the expected ones."""
    error: FloatArray = np.abs(actual.astype(np.float64) - expected) / (np.abs(expected).max() or 1.0)
    return error
