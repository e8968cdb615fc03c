"""Generated pictures of coloured shapes: training, accuracy and reference pictures of ssd-demo.

Two of the classes differ in colour alone (a red disc, a blue disc), so that a converter that swaps
the colour channels changes what ssd-demo sees, not only its scores.

    python -m ssdconvert.demo.pictures OUTPUT --count 200 --seed 1

writes such a set in COCO format: `OUTPUT/images/*.png` and `OUTPUT/annotations.json`.
"""

import argparse
import colorsys
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from ssdconvert.ssd.boxes import area, iou_matrix

CLASSES = ("red disc", "blue disc", "triangle", "square", "star")  # labels 1..5; 0 is the background
SMALLEST, LARGEST = 36, 200  # sides of a shape's circumscribed square, pixels at a picture of 400
MOST_SHAPES = 7


@dataclass(frozen=True)
class Picture:
    """A generated picture: `pixels` u8 RGB [H, W, 3]; `boxes` f32 [N, 4] corners in pixels."""

    pixels: NDArray[np.uint8]
    boxes: NDArray[np.float32]
    labels: NDArray[np.int64]


def generate(seed: int | list[int], width: int = 400, height: int = 400) -> Picture:
    """Return the picture of that seed: one to seven shapes over clutter, with noise."""
    random = np.random.default_rng(seed)
    canvas = _background(random, width, height)
    draw = ImageDraw.Draw(canvas)
    _clutter(draw, random, width, height)
    boxes: list[NDArray[np.float32]] = []
    labels: list[int] = []
    for _ in range(int(random.integers(1, MOST_SHAPES + 1))):
        label = int(random.integers(1, len(CLASSES) + 1))
        outline = _place(random, label, np.array(boxes, np.float32).reshape(-1, 4), width, height)
        if outline is None:
            continue
        draw.polygon([tuple(point) for point in outline], fill=_fill(random, label))
        boxes.append(_box_of(outline))
        labels.append(label)
    pixels = _noise(random, np.asarray(canvas))
    return Picture(pixels, np.array(boxes, np.float32).reshape(-1, 4), np.array(labels, np.int64))


def _box_of(outline: NDArray[np.float64]) -> NDArray[np.float32]:
    return np.concatenate([outline.min(axis=0), outline.max(axis=0)]).astype(np.float32)


def _background(random: np.random.Generator, width: int, height: int) -> Image.Image:
    """A slanted gradient between two colours of low saturation."""
    ends = [
        np.array(colorsys.hsv_to_rgb(random.random(), random.uniform(0, 0.35), random.uniform(0.1, 0.95)))
        for _ in range(2)
    ]
    angle = random.uniform(0, 2 * np.pi)
    y, x = np.mgrid[0:height, 0:width]
    along = np.cos(angle) * x / width + np.sin(angle) * y / height
    along = ((along - along.min()) / (along.max() - along.min()))[..., None]
    return Image.fromarray((255 * (ends[0] * (1 - along) + ends[1] * along)).astype(np.uint8))


def _clutter(draw: ImageDraw.ImageDraw, random: np.random.Generator, width: int, height: int) -> None:
    """Lines, arcs and specks that belong to no class."""
    for _ in range(int(random.integers(0, 12))):
        x1, x2 = random.uniform(0, width, 2)
        y1, y2 = random.uniform(0, height, 2)
        colour = tuple(int(v) for v in random.integers(0, 256, 3))
        kind = random.integers(0, 3)
        if kind == 0:
            draw.line([x1, y1, x2, y2], fill=colour, width=int(random.integers(1, 4)))
        elif kind == 1:
            corners = [min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)]
            start = float(random.uniform(0, 360))
            draw.arc(corners, start, start + float(random.uniform(30, 200)), fill=colour, width=2)
        else:
            side = random.uniform(2, 10)
            draw.rectangle([x1, y1, x1 + side, y1 + side / 2], fill=colour)


def _place(
    random: np.random.Generator, label: int, boxes: NDArray[np.float32], width: int, height: int
) -> NDArray[np.float64] | None:
    """Return the outline, [points, 2] in pixels, of a shape that fits beside `boxes`, or None."""
    for _ in range(20):
        scale = min(width, height) / 400
        side = float(np.exp(random.uniform(np.log(SMALLEST), np.log(LARGEST)))) * scale
        outline = _unit_outline(random, label) * side
        extent = outline.max(axis=0) - outline.min(axis=0)
        room = np.array([width, height]) - 2 - extent
        outline += random.uniform(0, 1, 2) * room + 1 - outline.min(axis=0)
        box = _box_of(outline)
        if not len(boxes):
            return outline
        shared = np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2])
        hidden = np.prod(np.clip(shared, 0, None), axis=1) / area(boxes)
        if iou_matrix(box[None], boxes).max() < 0.3 and hidden.max() < 0.5:
            return outline
    return None


def _unit_outline(random: np.random.Generator, label: int) -> NDArray[np.float64]:
    """Return a shape's corners for a side of 1, turned at random."""
    name = CLASSES[label - 1]
    if name.endswith("disc"):
        angles, radii = np.linspace(0, 2 * np.pi, 48, endpoint=False), np.full(48, 0.5)
    elif name == "triangle":
        angles, radii = np.arange(3) * 2 * np.pi / 3, np.full(3, 0.55)
    elif name == "square":
        angles, radii = np.arange(4) * np.pi / 2, np.full(4, 0.6)
    else:
        angles, radii = np.arange(10) * np.pi / 5, np.where(np.arange(10) % 2, 0.24, 0.56)
    angles = angles + random.uniform(0, 2 * np.pi)
    stretch = np.array([1.0, random.uniform(0.75, 1.33)]) if name == "triangle" else 1.0
    return np.stack([np.cos(angles), np.sin(angles)], axis=1) * radii[:, None] * stretch


def _fill(random: np.random.Generator, label: int) -> tuple[int, int, int]:
    """Return a strong colour: reds and blues for the discs, any hue for the others."""
    hue = {"red disc": random.uniform(-0.04, 0.04), "blue disc": random.uniform(0.58, 0.68)}.get(
        CLASSES[label - 1], random.random()
    )
    rgb = colorsys.hsv_to_rgb(hue % 1.0, random.uniform(0.65, 1.0), random.uniform(0.55, 1.0))
    return tuple(int(255 * v) for v in rgb)  # type: ignore[return-value]


def _noise(random: np.random.Generator, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Add uniform noise of a random strength, up to 24 grey levels either way."""
    strength = int(random.integers(0, 25))
    noise = random.integers(-strength, strength + 1, pixels.shape, dtype=np.int16)
    return np.clip(pixels + noise, 0, 255).astype(np.uint8)


def write_coco(folder: Path, count: int, seed: int) -> None:
    """Write `count` pictures and their annotations as a COCO detection set."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    images: list[dict[str, object]] = []
    annotations: list[dict[str, object]] = []
    for number in range(count):
        picture = generate([seed, number])
        name = f"{number:06d}.png"
        Image.fromarray(picture.pixels).save(folder / "images" / name)
        height, width = picture.pixels.shape[:2]
        images.append({"id": number + 1, "file_name": name, "width": width, "height": height})
        for box, label in zip(picture.boxes.tolist(), picture.labels.tolist(), strict=True):
            x, y, w, h = box[0], box[1], box[2] - box[0], box[3] - box[1]
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number + 1,
                    "category_id": label,
                    "bbox": [x, y, w, h],
                    "area": w * h,
                    "iscrowd": 0,
                }
            )
    categories = [{"id": label, "name": name} for label, name in enumerate(CLASSES, start=1)]
    document = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "annotations.json").write_text(json.dumps(document), encoding="utf-8")


def main() -> None:
    """Write a set of pictures in COCO format."""
    parser = argparse.ArgumentParser(prog="python -m ssdconvert.demo.pictures", description=main.__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    write_coco(arguments.folder, arguments.count, arguments.seed)


if __name__ == "__main__":
    main()
