"""One picture of what two models find: the original on the left, the other on the right, what differs marked."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ssdconvert.drawing import Colour, Mark, drawn
from ssdconvert.report.comparison import CONVERTED, DISPLACED, ORIGINAL, Differences, differences
from ssdconvert.ssd.detections import Detections
from ssdconvert.ssd.preprocess import Pixels

if TYPE_CHECKING:
    from PIL import Image

ALIKE: Colour = (225, 225, 225)
LONGEST, NARROWEST = 1600, 320  # pixels: what either half is reduced to, or enlarged so that titles fit
MARGIN = 0.1  # of score: so far under the threshold a counterpart is looked for


@dataclass(frozen=True)
class Compared:
    """Both sides' detections of a picture, and how they differ: in words, and counted."""

    picture: "Image.Image"
    told: str
    counts: dict[str, int]


def compared(
    pixels: Pixels,
    original: Detections,
    other: Detections,
    names: Sequence[Sequence[str]],
    titles: Sequence[str],
    threshold: float,
) -> Compared:
    """Draw the detections of both models, boxes in 0..1 of RGB pixels [H, W, 3], side by side.

    Drawn are those of a score over `threshold`, and the counterparts of these. What both have is pale, what
    differs in the colour of its side, with the reason. `names` are those of either model's labels from 1 on.
    """
    sides = original.above(threshold - MARGIN), other.above(threshold - MARGIN)
    found = _over(differences(*sides, threshold), sides, threshold)
    shown = _sized(pixels)
    words = [_words(side, own) for side, own in zip(sides, names, strict=True)]
    captions = _captions(found, words)
    halves = []
    for side, colour, own in zip(sides, (ORIGINAL, CONVERTED), captions, strict=True):
        boxes = side.boxes * np.array([shown.shape[1], shown.shape[0]] * 2)
        marks = [
            Mark(tuple(boxes[i]), colour if differs else ALIKE, told) for i, (differs, told) in own.items()
        ]
        halves.append(drawn(shown, sorted(marks, key=lambda mark: mark.colour == ALIKE)))
    counts = {
        "in_both": len(found.pairs),
        "lost": len(found.lost),
        "new": len(found.new),
        "of_another_class": len(found.relabelled),
        "displaced": len(found.displaced),
    }
    return Compared(_joined(halves, [*titles, str(found)]), str(found), counts)


def _over(found: Differences, sides: Sequence[Detections], threshold: float) -> Differences:
    """Leave out pairs of which neither has a score over the threshold."""

    def kept(pairs: Sequence[tuple[int, int, float]]) -> tuple[tuple[int, int, float], ...]:
        left, right = (side.scores > threshold for side in sides)
        return tuple(pair for pair in pairs if left[pair[0]] or right[pair[1]])

    return Differences(kept(found.pairs), kept(found.relabelled), found.lost, found.new)


def _words(side: Detections, names: Sequence[str]) -> list[str]:
    named = (names[i - 1] if 0 < i <= len(names) else f"label {i}" for i in side.labels.tolist())
    return [f"{name} {score:.2f}" for name, score in zip(named, side.scores, strict=True)]


def _captions(found: Differences, words: Sequence[Sequence[str]]) -> list[dict[int, tuple[bool, str]]]:
    """Return for either side whether each detection that is drawn differs, and its caption."""
    left: dict[int, tuple[bool, str]] = {}
    right: dict[int, tuple[bool, str]] = {}
    for o, c, iou in found.pairs:
        apart = iou < DISPLACED
        left[o] = apart, words[0][o]
        right[c] = apart, f"{words[1][c]}, IoU {iou:.2f}" if apart else words[1][c]
    for o, c, _ in found.relabelled:
        left[o] = True, f"{words[0][o]}, there {words[1][c]}"
        right[c] = True, f"{words[1][c]}, was {words[0][o]}"
    left |= {o: (True, f"lost: {words[0][o]}") for o in found.lost}
    right |= {c: (True, f"new: {words[1][c]}") for c in found.new}
    return [left, right]


def _sized(pixels: Pixels) -> Pixels:
    """Bring a picture to a size at which two of them, and captions, can be looked at."""
    from PIL import Image

    height, width = pixels.shape[:2]
    factor = min(LONGEST / max(height, width), max(1.0, NARROWEST / width))
    if factor == 1:
        return pixels
    size = max(1, round(width * factor)), max(1, round(height * factor))
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))


def _joined(halves: Sequence["Image.Image"], titles: Sequence[str]) -> "Image.Image":
    """Put two pictures beside each other, titles of theirs above and a line for both below."""
    from PIL import Image, ImageDraw, ImageFont

    (width, height), gap = halves[0].size, 8
    size = max(12, min(28, width // 32))
    bar = round(1.7 * size)
    sheet = Image.new("RGB", (2 * width + gap, height + 2 * bar), "white")
    canvas, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=size)
    places = [(0, 0, width), (width + gap, 0, width), (0, height + bar, 2 * width + gap)]
    for title, (x, y, room) in zip(titles, places, strict=True):
        while canvas.textlength(title, font=font) > room - 8 and len(title) > 4:
            title = "..." + title[4:]  # of a path the end tells most
        canvas.text((x + 4, y + bar / 2), title, fill="black", font=font, anchor="lm")
    for index, half in enumerate(halves):
        sheet.paste(half, (index * (width + gap), bar))
    return sheet
