"""Detect: pictures through a model, as a deployer would, with a drawing of what it found."""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ssdconvert.deployed import Deployed
from ssdconvert.detector import Detector, detected, open_detector
from ssdconvert.devices import Machine
from ssdconvert.drawing import Mark, colour_of, drawn, in_pixels
from ssdconvert.errors import SsdconvertError
from ssdconvert.original_given import Finder, in_picture
from ssdconvert.output_rows import Rows
from ssdconvert.picture_files import refuse_foreign, save
from ssdconvert.pictures import read_picture, shown
from ssdconvert.recipe import Recipe
from ssdconvert.side_by_side import Compared, compared
from ssdconvert.ssd.detections import Detections
from ssdconvert.ssd.preprocess import Pixels

DEFAULT_THRESHOLD = 0.5


@dataclass(frozen=True)
class Found:
    """A detection in words: `box` is x1, y1, x2, y2 in pixels of the picture."""

    label: int
    name: str
    score: float
    box: tuple[float, float, float, float]

    def to_json(self) -> dict[str, Any]:
        """Return the entry of `detect --json`."""
        return {"label": self.label, "name": self.name, "score": self.score, "box": list(self.box)}


def detect(
    ir: Path, pixels: Pixels, device: str, threshold: float, recipe: Recipe | None = None
) -> tuple[list[Found], str]:
    """Return what a model finds in a picture above a score, best first, and the device that really ran."""
    detector = open_detector(ir, recipe, machine=Machine(device))
    model = detector.model
    detections = detector.rows(pixels).detections(model.first_label, model.sides)
    return in_words(detections.above(threshold), model, pixels), detector.queue.executed_on


def in_words(detections: Detections, model: Deployed, pixels: Pixels) -> list[Found]:
    """Return detections with names, and boxes in pixels of the picture, cut at its edges."""
    boxes = in_pixels(detections.boxes, pixels.shape[:2], model.input).tolist()
    labels, scores = detections.labels.tolist(), detections.scores.tolist()
    return [
        Found(
            label,
            model.name(label),
            round(score, 6),
            (round(x1, 3), round(y1, 3), round(x2, 3), round(y2, 3)),
        )
        for label, score, (x1, y1, x2, y2) in zip(labels, scores, boxes, strict=True)
    ]


def detections_document(
    model: str, device: str, image: str, pixels: Pixels, output: str | None, found: Sequence[Found]
) -> dict[str, Any]:
    """Return the document of `detect --json` and of detections.json."""
    return _document(model, device, image, pixels.shape[:2], output, found)


def _document(
    model: str, device: str, image: str, size: Sequence[int], output: str | None, found: Sequence[Found]
) -> dict[str, Any]:
    return {
        "model": model,
        "device": device,
        "image": image,
        "size": [size[1], size[0]],
        "output": output,
        "detections": [detection.to_json() for detection in found],
    }


def draw(pixels: Pixels, found: Sequence[Found], target: Path) -> None:
    """Write the picture with its boxes, names and scores; the format follows from the name of `target`."""
    marks = [Mark(_upright(f.box), colour_of(f.label), f"{f.name} {f.score:.2f}") for f in found]
    save(drawn(pixels, marks), target)


@dataclass(frozen=True)
class Wanted:
    """What is done with the detections of each picture.

    Those of a score over `threshold`, of these the best `top` (None: all), are told and drawn; `crops` is the
    folder for what each box shows, `force` allows writing over pictures of others. With `original`, which finds
    detections with boxes in 0..1 of the picture, its own and the model's are drawn side by side; `names` are
    those of its labels, `titles` the words above the halves.
    """

    threshold: float = DEFAULT_THRESHOLD
    top: int | None = None
    crops: Path | None = None
    force: bool = False
    original: Finder | None = None
    names: tuple[str, ...] = ()
    titles: tuple[str, str] = ("", "")


@dataclass(frozen=True)
class Target:
    """A picture to look at: its name, distinct from others', where it is, where its drawing and its crops go.

    `plain` begins the names of its crops.
    """

    name: str
    path: Path
    output: Path | None
    plain: str = "picture"


@dataclass(frozen=True)
class Seen:
    """What was found in a picture of `size` (height, width); `rows` are all that the model handed out."""

    target: Target
    size: tuple[int, int]
    rows: Rows
    found: tuple[Found, ...]
    crops: tuple[Path, ...] = ()
    compared: Compared | None = None

    def to_json(self, model: str, device: str) -> dict[str, Any]:
        """Return the document of `detect --json` for this picture."""
        output = str(self.target.output) if self.target.output else None
        document = _document(model, device, shown(self.target.path), self.size, output, self.found)
        if self.crops:
            document["crops"] = [str(path) for path in self.crops]
        if self.compared:
            document["comparison"] = {"told": self.compared.told, **self.compared.counts}
        return document


def look(
    detector: Detector, targets: Sequence[Target], wanted: Wanted
) -> Iterator[tuple[Target, Seen | SsdconvertError]]:
    """Yield what is found in each picture, in order, after its drawing is written; or why it is not."""

    def finish(target: Target, pixels: Pixels, rows: Rows) -> Seen:
        return _finished(detector.model, target, pixels, rows, wanted)

    results = detected(detector, targets, lambda target: read_picture(target.path), finish)
    yield from zip(targets, results, strict=True)


def _finished(model: Deployed, target: Target, pixels: Pixels, rows: Rows, wanted: Wanted) -> Seen:
    everything = rows.detections(model.first_label, model.sides)
    found = tuple(in_words(everything.above(wanted.threshold), model, pixels)[: wanted.top])
    both = None
    if wanted.original:
        both = compared(
            pixels,
            wanted.original(pixels),
            in_picture(everything, pixels, model.input),
            (wanted.names, model.names),
            wanted.titles,
            wanted.threshold,
        )
    if target.output and both:
        save(both.picture, target.output)
    elif target.output:
        draw(pixels, found, target.output)
    crops = tuple(_crops(target.plain, pixels, found, wanted)) if wanted.crops else ()
    return Seen(target, (pixels.shape[0], pixels.shape[1]), rows, found, crops, both)


def _crops(plain: str, pixels: Pixels, found: Sequence[Found], wanted: Wanted) -> Iterator[Path]:
    """Write what each box shows, and yield where; boxes without an area show nothing."""
    from PIL import Image

    assert wanted.crops
    for number, one in enumerate(found, start=1):
        x1, y1, x2, y2 = _upright(one.box)
        cut = pixels[math.floor(y1) : math.ceil(y2), math.floor(x1) : math.ceil(x2)]
        if cut.size:
            word = re.sub(r"[^\w-]+", "-", one.name).strip("-")
            path = wanted.crops / f"{plain}-{number:02}-{word}-{one.score:.2f}.png"
            refuse_foreign(path, wanted.force)
            save(Image.fromarray(np.ascontiguousarray(cut)), path)
            yield path


def _upright(box: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    """Return a box whose corners are in order, so that it can be drawn; a wrong model's may not be."""
    x1, y1, x2, y2 = box
    return min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)
