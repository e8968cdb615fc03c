"""Detect: one picture through the shipped IR, as a deployer would, with a drawing of what it found."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ssdconvert.drawing import Mark, colour_of, drawn, in_pixels
from ssdconvert.errors import RecipeError
from ssdconvert.ir_file import read_ir
from ssdconvert.outputs import OutputSpec, form_of, output_spec
from ssdconvert.recipe import Input, Recipe
from ssdconvert.runners.openvino_runner import OpenvinoRunner
from ssdconvert.ssd.detections import Detections
from ssdconvert.ssd.preprocess import Pixels, converted_input
from ssdconvert.workspace import written_atomically

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


@dataclass(frozen=True)
class Deployed:
    """How a model is fed, what its outputs hold, and what its labels mean."""

    names: tuple[str, ...]
    input: Input
    outputs: OutputSpec


def deployed(ir: Path, recipe: Recipe | None = None) -> Deployed:
    """Read an IR's own description, so that no wrong recipe can be taken.

    A ready model, which ssdconvert did not make, says nothing of itself: then its `recipe` does. Raises
    ConversionError for a file that OpenVINO cannot read, RecipeError where nobody says how it is fed.
    """
    model = read_ir(ir)
    if model.has_rt_info(["ssdconvert", "recipe"]):
        return _described(model)
    if recipe is None:
        raise RecipeError(
            f"{ir} does not say how it is fed",
            hint="give the name of the recipe that built it, or a file that ssdconvert converted",
            stage="detect",
        )
    return Deployed(recipe.class_names, recipe.input, output_spec(recipe))


def _described(model: Any) -> Deployed:
    """Return what the rt_info of an IR of ours says; see `ssdconvert.stages.convert`."""

    def fact(name: str) -> str:
        return str(model.get_rt_info(["ssdconvert", name]).astype(str))

    mode, interpolation, library = fact("resize").split()
    spec = {
        "name": model.inputs[0].get_any_name(),
        "shape": list(model.inputs[0].get_shape()),
        "color": {"model": fact("baked_model_color"), "converted": fact("input_color")},
        "resize": {"mode": mode, "filter": interpolation, "library": library},
    }
    names = tuple(fact("labels").split("\n"))
    rows = model.outputs[0].get_shape()[-2]  # bboxes [1, K, 4] or detection_out [1, 1, K, 7]
    return Deployed(names, Input.model_validate_json(json.dumps(spec)), OutputSpec(rows, len(names) + 1))


def detect(
    ir: Path, pixels: Pixels, device: str, threshold: float, recipe: Recipe | None = None
) -> tuple[list[Found], str]:
    """Return what the IR finds in a picture above a score, best first, and the device that really ran."""
    model = deployed(ir, recipe)
    runner = OpenvinoRunner(ir, device)
    form = form_of(runner.output_names)
    if form is None:
        raise RecipeError(
            f"{ir} has the outputs {runner.output_names}, which are no detections",
            hint="give a model whose outputs are bboxes, labels and scores, or detection_out, or boxes and labels",
            stage="detect",
        )
    outputs = runner.run({model.input.name: converted_input(pixels, model.input)})
    return in_words(form.read(outputs, model.outputs).above(threshold), model, pixels), runner.executed_on


def in_words(detections: Detections, model: Deployed, pixels: Pixels) -> list[Found]:
    """Return detections with names, and boxes in pixels of the picture, cut at its edges."""
    boxes = in_pixels(detections.boxes, pixels.shape[:2], model.input)
    names = model.names
    return [
        Found(int(label), _name(names, int(label)), round(float(score), 6), tuple(round(v, 3) for v in box))
        for label, score, box in zip(detections.labels, detections.scores, boxes.tolist(), strict=True)
    ]


def _upright(box: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    """Return a box whose corners are in order, so that it can be drawn; a wrong model's may not be."""
    x1, y1, x2, y2 = box
    return min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)


def _name(names: Sequence[str], label: int) -> str:
    """Return a label's name; a wrong model, or a wrong recipe, may say labels that there are not."""
    return names[label - 1] if 1 <= label <= len(names) else f"label {label}"


def detections_document(
    model: str, device: str, image: str, pixels: Pixels, output: str | None, found: Sequence[Found]
) -> dict[str, Any]:
    """Return the document of `detect --json` and of detections.json."""
    return {
        "model": model,
        "device": device,
        "image": image,
        "size": [pixels.shape[1], pixels.shape[0]],
        "output": output,
        "detections": [detection.to_json() for detection in found],
    }


def draw(pixels: Pixels, found: Sequence[Found], target: Path) -> None:
    """Write the picture with its boxes, names and scores; the format follows from the name of `target`."""
    marks = [Mark(_upright(f.box), colour_of(f.label), f"{f.name} {f.score:.2f}") for f in found]
    with written_atomically(target) as temporary:
        drawn(pixels, marks).save(temporary)
