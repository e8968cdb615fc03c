"""Pictures that show both sides: what the original detects, what the converted model does, where they differ."""

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ssdconvert.drawing import Colour, Mark, drawn, in_pixels
from ssdconvert.recipe import Recipe
from ssdconvert.ssd.boxes import FloatArray
from ssdconvert.ssd.detections import Detections
from ssdconvert.ssd.matching import counterparts
from ssdconvert.ssd.preprocess import Pixels

if TYPE_CHECKING:
    from PIL import Image

ORIGINAL: Colour = (52, 140, 255)  # blue and orange: told apart by nearly everybody
CONVERTED: Colour = (255, 140, 0)
ALIKE: Colour = (110, 110, 110)
DISPLACED = 0.9  # a pair whose IoU is less is drawn as a difference
AT_THE_FLOOR = 0.01  # above the recipe's score threshold: FP16 may let such a detection in or not
CONFIDENT = 0.5  # in the two plain pictures, boxes of this score are drawn
AT_LEAST = 10  # where no score is that high, so many of the best
SIDE = 640  # pixels
QUALITIES, MOST_BYTES = (82, 65, 45, 25, 10), 80_000  # of a JPEG file


@dataclass(frozen=True)
class PictureRow:
    """One picture three times, as JPEG files, and in words how the two sides differ.

    `converted` and `difference` are None where the converted model's outputs cannot be read.
    """

    name: str
    original: bytes
    converted: bytes | None
    difference: bytes | None
    told: str


@dataclass(frozen=True)
class Differences:
    """Which detections of the original and of the converted model go together.

    `pairs` are (original, converted, IoU) of one label, `relabelled` of two, at one place; `lost` and `new` are
    those of either side alone.
    """

    pairs: tuple[tuple[int, int, float], ...]
    relabelled: tuple[tuple[int, int, float], ...]
    lost: tuple[int, ...]
    new: tuple[int, ...]

    @property
    def displaced(self) -> list[tuple[int, int, float]]:
        """The pairs whose boxes lie apart."""
        return [pair for pair in self.pairs if pair[2] < DISPLACED]

    def __str__(self) -> str:
        counts = {
            "lost": len(self.lost),
            "new": len(self.new),
            "of another class": len(self.relabelled),
            f"displaced (IoU under {DISPLACED})": len(self.displaced),
        }
        told = ", ".join(f"{count} {what}" for what, count in counts.items() if count)
        return f"{len(self.pairs)} in both, {told}" if told else f"{len(self.pairs)} in both, no difference"


def differences(original: Detections, converted: Detections, floor: float) -> Differences:
    """Pair the detections of both sides; one that is alone counts from just above the score `floor` on."""
    partner, overlap = counterparts(original, converted)
    pairs = [(int(o), c, float(overlap[c, o])) for c, o in enumerate(partner) if o >= 0]
    alone_o = np.setdiff1d(np.arange(len(original)), [o for o, _, _ in pairs])
    alone_c = np.setdiff1d(np.arange(len(converted)), [c for _, c, _ in pairs])
    other, overlap = counterparts(original.select(alone_o), converted.select(alone_c), any_label=True)
    relabelled = [
        (int(alone_o[o]), int(alone_c[c]), float(overlap[c, o])) for c, o in enumerate(other) if o >= 0
    ]

    def left(detections: Detections, alone: NDArray[np.int64], paired: set[int]) -> tuple[int, ...]:
        return tuple(int(i) for i in alone if i not in paired and detections.scores[i] > floor + AT_THE_FLOOR)

    return Differences(
        tuple(pairs),
        tuple(relabelled),
        left(original, alone_o, {o for o, _, _ in relabelled}),
        left(converted, alone_c, {c for _, c, _ in relabelled}),
    )


def picture_row(
    recipe: Recipe, name: str, pixels: Pixels, original: Detections, converted: Detections | None
) -> PictureRow:
    """Draw both sides' detections on RGB pixels [H, W, 3]; their boxes are in 0..1 of the network's input."""
    small = _reduced(pixels)
    size = small.shape[:2]
    left = _Side(recipe, original, ORIGINAL, size)
    if converted is None:
        shown = original.scores >= _floor(original.scores)
        told = "not comparable: the converted model's outputs break their contract"
        return PictureRow(name, _jpeg(drawn(small, left.marks(shown))), None, None, told)
    right = _Side(recipe, converted, CONVERTED, size)
    found = differences(original, converted, recipe.detections.score_threshold)
    floor = _floor(np.concatenate([original.scores, converted.scores]))
    shown, shown_right = original.scores >= floor, converted.scores >= floor
    for o, c, _ in found.pairs:  # of a pair on both sides of the floor, both
        shown[o] = shown_right[c] = shown[o] or shown_right[c]
    alike = [right.mark(c, colour=ALIKE) for _, c, iou in found.pairs if iou >= DISPLACED and shown_right[c]]
    return PictureRow(
        name,
        _jpeg(drawn(small, left.marks(shown))),
        _jpeg(drawn(small, right.marks(shown_right))),
        _jpeg(drawn(_faded(small), [*_strange(left, right, found), *alike])),
        str(found),
    )


class _Side:
    """Detections of one side as marks of its colour on a picture of `size` (height, width)."""

    def __init__(self, recipe: Recipe, detections: Detections, colour: Colour, size: tuple[int, ...]) -> None:
        self.names, self.detections, self.colour = recipe.class_names, detections, colour
        self.boxes = in_pixels(detections.boxes, size, recipe.input)

    def score(self, index: int) -> float:
        return float(self.detections.scores[index])

    def word(self, index: int) -> str:
        label = int(self.detections.labels[index])
        name = self.names[label - 1] if 0 < label <= len(self.names) else f"label {label}"
        return f"{name} {self.detections.scores[index]:.2f}"

    def mark(self, index: int, caption: str = "", colour: Colour | None = None) -> Mark:
        return Mark(tuple(self.boxes[index]), colour or self.colour, caption, faint=colour is not None)

    def marks(self, shown: NDArray[np.bool_]) -> list[Mark]:
        return [self.mark(int(i), self.word(int(i))) for i in np.flatnonzero(shown)]


def _strange(left: _Side, right: _Side, found: Differences) -> list[Mark]:
    """Return the marks of what is not the same on both sides, the most confident first."""
    marks = [(left.score(o), [left.mark(o, f"lost: {left.word(o)}")]) for o in found.lost]
    marks += [(right.score(c), [right.mark(c, f"new: {right.word(c)}")]) for c in found.new]
    for o, c, _ in found.relabelled:
        told = f"{left.word(o)}, now {right.word(c)}"
        marks.append((max(left.score(o), right.score(c)), [right.mark(c, told), left.mark(o)]))
    for o, c, iou in found.displaced:
        told = f"{right.word(c)}, IoU {iou:.2f}"
        marks.append((max(left.score(o), right.score(c)), [right.mark(c, told), left.mark(o)]))
    marks.sort(key=lambda scored: -scored[0])
    return [mark for _, together in marks for mark in together]


def _floor(scores: FloatArray) -> float:
    """Return the least score of a box that is drawn."""
    if not len(scores) or scores.max() >= CONFIDENT:
        return CONFIDENT
    return float(np.sort(scores)[::-1][: 2 * AT_LEAST][-1])


def _reduced(pixels: Pixels) -> Pixels:
    """Shrink a picture to at most `SIDE` pixels either way."""
    from PIL import Image

    image = Image.fromarray(pixels)
    image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    return np.asarray(image)


def _faded(pixels: Pixels) -> Pixels:
    """Take the colour and most of the contrast from a picture."""
    grey = pixels.astype(np.float32).mean(axis=2, keepdims=True)
    return np.repeat((grey * 0.4 + 130).astype(np.uint8), 3, axis=2)


def _jpeg(image: "Image.Image") -> bytes:
    """Encode without thinning out colours, for thin coloured lines would go grey; noise less well.

    Not with Pillow's `optimize`, which gives up on noise.
    """
    for quality in QUALITIES:
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=quality, subsampling=0)
        if buffer.tell() <= MOST_BYTES:
            break
    return buffer.getvalue()
