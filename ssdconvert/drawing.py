"""Draws boxes with captions on pictures."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ssdconvert.ssd.boxes import FloatArray
from ssdconvert.ssd.preprocess import InputSpec, Pixels, visible_part

if TYPE_CHECKING:
    from PIL import Image

Colour = tuple[int, int, int]
Place = tuple[float, float, float, float]  # x1, y1, x2, y2
LEGIBLE, SMALLEST = 11, 7  # pixels: letters as small as are read easily, and at all
MOST_HIDDEN = 0.2  # of a caption, by another one
TINY = 100  # pixels: in a picture of a shorter side than this, lines are one pixel thick


@dataclass(frozen=True)
class Mark:
    """A box to draw: corners in pixels of the picture, in any order. A faint one is a thin line, no caption."""

    box: tuple[float, ...]
    colour: Colour
    caption: str = ""
    faint: bool = False


def in_pixels(
    boxes: FloatArray, picture: Sequence[int], spec: InputSpec, cut: bool = True
) -> NDArray[np.float64]:
    """Bring boxes [N, 4] in 0..1 of the input to pixels of a picture of (height, width), `cut` at its edges."""
    height, width = picture
    left, top, right, bottom = visible_part((height, width), spec)
    scale, shift = np.array([right - left, bottom - top] * 2), np.array([left, top] * 2)
    moved: NDArray[np.float64] = boxes.astype(np.float64) * scale + shift
    return np.clip(moved, 0, [width, height] * 2) if cut else moved


def drawn(pixels: Pixels, marks: Sequence[Mark]) -> "Image.Image":
    """Return the RGB picture [H, W, 3] with boxes and captions, the first of them on top."""
    from PIL import Image, ImageDraw

    image = Image.fromarray(pixels)
    canvas = ImageDraw.Draw(image)
    thickness = max(1 if min(image.size) < TINY else 2, round(min(image.size) / 250))
    edge = max(1, thickness // 5)
    for mark in sorted(reversed(marks), key=lambda mark: not mark.faint):
        (x1, x2), (y1, y2) = sorted(mark.box[::2]), sorted(mark.box[1::2])
        if mark.faint:
            canvas.rectangle((x1, y1, x2, y2), outline=mark.colour, width=1)
            continue
        # dark on both sides of the line: it is seen on its own colour, too
        outer = (x1 - edge, y1 - edge, x2 + edge, y2 + edge)
        canvas.rectangle(outer, outline="black", width=thickness + 2 * edge)
        canvas.rectangle((x1, y1, x2, y2), outline=mark.colour, width=thickness)
    taken: list[Place] = []
    for mark in marks:
        if mark.caption and not mark.faint:
            taken += _caption(canvas, image.size, mark, taken)
    return image


def _caption(canvas: Any, size: tuple[int, int], mark: Mark, taken: Sequence[Place]) -> list[Place]:
    """Write a caption on a plate of the mark's colour where no other one is, and return that place.

    Letters grow with the box, so that the captions of small neighbours do not hide each other, within
    what is legible and what suits the picture. A caption that is wider than the picture gets smaller letters,
    then fewer; in a picture too small for any, or where it would hide another caption, there is none.
    """
    box_height = abs(mark.box[3] - mark.box[1])
    least = max(LEGIBLE, round(min(size) / 90))
    wanted = max(least, min(round(min(size) / 28), round(0.3 * box_height)))
    fitting = _fitting(canvas, mark.caption, wanted, size)
    if fitting is None:
        return []
    caption, font, (left, top, right, bottom), gap = fitting
    plate = right - left + 2 * gap, bottom - top + 2 * gap
    place = _free_place(mark.box, plate, size, taken)
    if place is None:
        return []
    x, y = place[:2]
    canvas.rectangle(place, fill=mark.colour, outline="black", width=max(1, gap // 4))
    bright = 0.299 * mark.colour[0] + 0.587 * mark.colour[1] + 0.114 * mark.colour[2] > 140
    canvas.text((x + gap - left, y + gap - top), caption, fill="black" if bright else "white", font=font)
    return [place]


def _fitting(
    canvas: Any, caption: str, wanted: int, size: tuple[int, int]
) -> tuple[str, Any, Place, int] | None:
    """Return a caption that fits into a picture of (width, height), its font, its extent, the gap around it.

    Letters are `wanted` pixels high where that fits, else down to `SMALLEST`; then the caption is cut. None where
    nothing fits.
    """
    from PIL import ImageFont

    caption = " ".join(caption.split())
    sizes = [*range(wanted, SMALLEST, -max(1, wanted // 10)), SMALLEST]
    cut = [caption[:length].rstrip() + "..." for length in range(len(caption) - 1, 0, -1)]
    for text, height in [*((caption, height) for height in sizes), *((text, SMALLEST) for text in cut)]:
        font, gap = ImageFont.load_default(size=height), height // 5 + 1
        extent = canvas.textbbox((0, 0), text, font=font)
        left, top, right, bottom = extent
        if right - left + 2 * gap < size[0] and bottom - top + 2 * gap < size[1]:
            return text, font, extent, gap
    return None


def _free_place(
    box: Sequence[float], plate: tuple[float, float], size: tuple[int, int], taken: Sequence[Place]
) -> Place | None:
    """Return where in a picture of (width, height) a caption goes: above its box, inside, below, beside it.

    Where all of these are taken, the one that hides least of another caption; None where it would hide much.
    """
    (width, height), (left, top, right, bottom) = plate, box
    wanted = [(x, y) for y in (top - height, top, bottom, bottom - height) for x in (left, right - width)]
    wanted += [(x, y) for y in (top, bottom - height) for x in (right, left - width)]
    most = size[0] - 1 - width, size[1] - 1 - height
    inside = [(x, y) for x, y in wanted if 0 <= y <= most[1]] or [(left, top)]
    places = []
    for x, y in inside:
        x, y = min(max(0.0, x), max(0.0, most[0])), min(max(0.0, y), max(0.0, most[1]))
        places.append((x, y, x + width, y + height))
    hidden: list[float] = []
    for place in places:
        hidden.append(max((_shared(other, place) for other in taken), default=0.0))
        if not hidden[-1]:
            return place
    least = min(hidden)
    return places[hidden.index(least)] if least <= MOST_HIDDEN else None


def _shared(one: Place, other: Place) -> float:
    """Return how much of one place another covers, as a fraction."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    area = (one[2] - one[0]) * (one[3] - one[1])
    return max(0.0, width) * max(0.0, height) / area if area else 0.0


def colour_of(label: int) -> Colour:
    """Return a class's colour: neighbouring labels lie far apart on the colour wheel."""
    import colorsys

    red, green, blue = colorsys.hsv_to_rgb((label * 0.618034) % 1.0, 0.85, 1.0)
    return int(255 * red), int(255 * green), int(255 * blue)
