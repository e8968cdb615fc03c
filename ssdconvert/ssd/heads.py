"""What a network's heads emit, and how scores and boxes follow from it."""

from collections.abc import Mapping
from dataclasses import dataclass

from ssdconvert.ssd.boxes import FloatArray, decode
from ssdconvert.ssd.detections import softmax

CLASS_LOGITS, BOX_OFFSETS = "class_logits", "box_offsets"
CLASS_PROBABILITIES, DECODED_BOXES = "class_probabilities", "decoded_boxes"


@dataclass(frozen=True)
class BoxCoding:
    """What offsets are relative to: default boxes, `centres` [P, 4] in 0..1, and their variances."""

    default_boxes: FloatArray
    variances: tuple[float, float]


@dataclass(frozen=True)
class Heads:
    """The two tensors that detections are made of.

    With a `coding`: class logits [1, P, C] and box offsets [1, P, 4]. Without: class probabilities
    [1, P, C] and decoded boxes, corners in 0..1, [1, P, 4]. Class 0 is the background.
    """

    coding: BoxCoding | None = None

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
        if self.coding is None:
            return scores, boxes
        return softmax(scores), decode(boxes, self.coding.default_boxes, self.coding.variances)
