"""The original that `detect --compare` puts beside a model, in its own engine and with its own preprocessing."""

from collections.abc import Callable
from pathlib import Path
from threading import Lock

import numpy as np

from ssdconvert.catalog import SUFFIXES as RECIPE_SUFFIXES
from ssdconvert.catalog import Catalog
from ssdconvert.detector import Detector, open_detector, open_onnx
from ssdconvert.devices import Machine
from ssdconvert.drawing import in_pixels
from ssdconvert.errors import RecipeError
from ssdconvert.model_given import MODEL_FILES, model_given
from ssdconvert.recipe import Input, Recipe
from ssdconvert.recipe_source import CaffeSource
from ssdconvert.ssd.detections import Detections, detections_of
from ssdconvert.ssd.preprocess import Pixels, original_input

Finder = Callable[[Pixels], Detections]


def original_given(
    original: str, catalog: Catalog, recipe: Recipe | None, machine: Machine, precision: str | None = None
) -> tuple[Finder, tuple[str, ...], str]:
    """Return what finds detections as the original does, boxes in 0..1 of the picture; its names, and what it is.

    An .onnx runs in ONNX Runtime, what else MODEL may be in OpenVINO. Any other file is that of `recipe`'s
    source, a checkpoint or a caffemodel. Raises RecipeError and ConversionError as these do.
    """
    path = Path(original)
    if path.is_file() and path.suffix not in (*MODEL_FILES, *RECIPE_SUFFIXES):
        return _loaded(path, recipe)
    found, own = model_given(original, catalog, precision=precision)
    if found.suffix == ".onnx":
        detector, engine = open_onnx(found, recipe), "ONNX Runtime"
    else:
        detector, engine = open_detector(found, own or recipe, machine=machine, many=True), "OpenVINO"
    return finder_of(detector), detector.model.names, f"{found} in {engine}"


def finder_of(detector: Detector) -> Finder:
    """Return what finds detections by a detector, boxes in 0..1 of the picture."""

    def find(pixels: Pixels) -> Detections:
        model = detector.model
        return in_picture(
            detector.rows(pixels).detections(model.first_label, model.sides), pixels, model.input
        )

    return find


def in_picture(detections: Detections, pixels: Pixels, spec: Input) -> Detections:
    """Bring boxes in 0..1 of the input to 0..1 of the picture, cut at its edges."""
    height, width = pixels.shape[:2]
    boxes = in_pixels(detections.boxes, (height, width), spec) / np.array([width, height] * 2)
    return Detections(boxes.astype(np.float32), detections.labels, detections.scores)


def _loaded(path: Path, recipe: Recipe | None) -> tuple[Finder, tuple[str, ...], str]:
    from ssdconvert.stages.load import load

    if recipe is None:
        raise RecipeError(
            f"nothing says what {path} is",
            hint="give --recipe NAME, the recipe whose original it is; or an .onnx or .xml",
            stage="detect",
        )
    source = recipe.source
    files = {source.files[0].name: path}
    if isinstance(source, CaffeSource):  # a pair of files of one stem
        files = {file.name: path.with_suffix(Path(file.name).suffix) for file in source.files}
    original, lock = load(recipe, files), Lock()

    def find(pixels: Pixels) -> Detections:
        with lock:  # OpenCV's networks run once at a time
            outputs = original.run(original_input(pixels, recipe.input), recipe.input.name)
        found = detections_of(*original.heads.decoded(outputs), recipe.detections)
        return in_picture(found, pixels, recipe.input)

    return find, recipe.class_names, f"{path} in {original.runner.runtime}"
