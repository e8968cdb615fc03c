"""What a network's heads emit, and how scores and boxes follow from it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ssdconvert.ssd.boxes import FloatArray, decode, to_centres
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
    """The two tensors that detections are made of: scores [1, P, C], class 0 the background, and boxes [1, P, 4].

    The scores are class logits, or probabilities. With a `coding` the boxes are offsets of default boxes,
    without it decoded corners in 0..1. With `clip`, decoded boxes are then cut at the input's edges,
    before anything is suppressed.
    """

    coding: BoxCoding | None = None
    clip: bool = False
    logits: bool = False

    @property
    def scores(self) -> str:
        """Name of the tensor of scores in every graph of ours."""
        return CLASS_LOGITS if self.logits else CLASS_PROBABILITIES

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
        if self.logits:
            scores = softmax(scores)
        return scores, np.clip(boxes, 0, 1) if self.clip else boxes


@dataclass(frozen=True)
class UnknownHeads(Heads):
    """Tensors of any names and number of which nobody says what they mean: nothing follows from them."""

    def decoded(self, outputs: Mapping[str, FloatArray]) -> tuple[FloatArray, FloatArray]:
        """Raise TypeError: there are no detections to ask for."""
        raise TypeError("nothing can be decoded from tensors of unknown meaning")


@dataclass(frozen=True)
class HeadTensor:
    """Where a head is in somebody's graph: the tensor's name, and how its numbers lie there.

    `rows` [1, P, n] as ours, or [P, n]; `flat` [1, P * n], as DetectionOutput takes them; `by_class`
    [1, n, P], as NonMaxSuppression takes scores. `width` is n. `background` is the background's column in
    a tensor of scores, None where it has none. `sides` (width, height of the input) divide boxes in pixels.
    """

    name: str
    layout: Literal["rows", "flat", "by_class"] = "rows"
    width: int = 4
    background: int | None = 0
    sides: tuple[int, int] = (1, 1)

    def read(self, array: FloatArray) -> FloatArray:
        """Return the head as [1, P, n], boxes in 0..1, the background's column first (zeros if it has none)."""
        if self.layout == "by_class":
            array = array.transpose(0, 2, 1)
        elif self.layout == "flat":
            array = array.reshape(1, -1, self.width)
        elif array.ndim == 2:
            array = array[None]
        if self.background is None:
            return np.pad(array, ((0, 0), (0, 0), (1, 0)))
        if self.background:
            others = [column for column in range(self.width) if column != self.background]
            array = array[..., [self.background, *others]]
        return array if self.sides == (1, 1) else array / np.array(self.sides * 2, array.dtype)


def coding_of_priors(priors: FloatArray) -> BoxCoding:
    """Return the coding that priors [1, 2, P * 4] stand for: corners in 0..1, then a variance for each number.

    Raises ValueError where a box has other variances than the first, or the two of a centre differ.
    """
    corners, variances = priors.reshape(2, -1, 4)
    first = variances[0]
    if (variances != first).any() or first[0] != first[1] or first[2] != first[3]:
        raise ValueError("the default boxes have several variances")
    return BoxCoding(to_centres(corners), (float(first[0]), float(first[2])))


def relative_error(expected: FloatArray, actual: FloatArray) -> FloatArray:
    """Return |actual - expected| of a head's numbers, relative to the largest of the expected ones."""
    error: FloatArray = np.abs(actual.astype(np.float64) - expected) / (np.abs(expected).max() or 1.0)
    return error
