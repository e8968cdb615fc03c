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


@dataclass(frozen=True)
class Mark:
    """A box to draw: corners in pixels of the picture, in any order. A faint one is a thin line, no caption."""

    box: tuple[float, ...]
    colour: Colour
    caption: str = ""
    faint: bool = False


def in_pixels(boxes: FloatArray, picture: Sequence[int], spec: InputSpec) -> NDArray[np.float64]:
    """Bring boxes [N, 4] in 0..1 of the input to pixels of a picture of (height, width), cut at its edges."""
    height, width = picture
    left, top, right, bottom = visible_part((height, width), spec)
    scale, shift = np.array([right - left, bottom - top] * 2), np.array([left, top] * 2)
    result: NDArray[np.float64] = np.clip(boxes.astype(np.float64) * scale + shift, 0, [width, height] * 2)
    return result


def drawn(pixels: Pixels, marks: Sequence[Mark]) -> "Image.Image":
    """Return the RGB picture [H, W, 3] with boxes and captions, the first of them on top."""
    from PIL import Image, ImageDraw

    image = Image.fromarray(pixels)
    canvas = ImageDraw.Draw(image)
    thickness = max(2, round(min(image.size) / 250))
    for mark in sorted(reversed(marks), key=lambda mark: not mark.faint):
        (x1, x2), (y1, y2) = sorted(mark.box[::2]), sorted(mark.box[1::2])
        if mark.faint:
            canvas.rectangle((x1, y1, x2, y2), outline=mark.colour, width=1)
            continue
        canvas.rectangle((x1 - 1, y1 - 1, x2 + 1, y2 + 1), outline="black", width=thickness + 2)
        canvas.rectangle((x1, y1, x2, y2), outline=mark.colour, width=thickness)
    taken: list[Place] = []
    for mark in marks:
        if mark.caption and not mark.faint:
            taken.append(_caption(canvas, image.size, mark, taken))
    return image


def _caption(canvas: Any, size: tuple[int, int], mark: Mark, taken: Sequence[Place]) -> Place:
    """Write a caption on a plate of the mark's colour where no other one is, and return that place.

    Letters grow with the box, so that the captions of small neighbours do not hide each other, within
    what is legible and what suits the picture.
    """
    from PIL import ImageFont

    box_height = mark.box[3] - mark.box[1]
    font = ImageFont.load_default(size=max(11, min(round(min(size) / 28), round(0.3 * box_height))))
    left, top, right, bottom = canvas.textbbox((0, 0), mark.caption, font=font)
    width, height = right - left + 6, bottom - top + 6
    place = _free_place(mark.box, (width, height), size, taken)
    x, y = place[:2]
    canvas.rectangle(place, fill=mark.colour, outline="black")
    bright = 0.299 * mark.colour[0] + 0.587 * mark.colour[1] + 0.114 * mark.colour[2] > 140
    canvas.text((x + 3 - left, y + 3 - top), mark.caption, fill="black" if bright else "white", font=font)
    return place


def _free_place(
    box: Sequence[float], plate: tuple[float, float], size: tuple[int, int], taken: Sequence[Place]
) -> Place:
    """Return where in a picture of (width, height) a caption goes: above its box, inside, below, else anyhow."""
    (width, height), (left, top, right, bottom) = plate, box
    wanted = [(x, y) for y in (top - height, top, bottom, bottom - height) for x in (left, right - width)]
    inside = [(x, y) for x, y in wanted if 0 <= y <= size[1] - height] or [(left, top)]
    places = []
    for x, y in inside:
        x, y = min(max(0.0, x), max(0.0, size[0] - width)), min(max(0.0, y), max(0.0, size[1] - height))
        places.append((x, y, x + width, y + height))
    free = (place for place in places if not any(_overlap(place, other) for other in taken))
    return next(free, places[0])


def _overlap(one: Place, other: Place) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def colour_of(label: int) -> Colour:
    """Return a class's colour: neighbouring labels lie far apart on the colour wheel."""
    import colorsys

    red, green, blue = colorsys.hsv_to_rgb((label * 0.618034) % 1.0, 0.85, 1.0)
    return int(255 * red), int(255 * green), int(255 * blue)
