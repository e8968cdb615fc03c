"""Judges one given file by another, as a build judges its IRs."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ssdconvert.given.candidate import candidate_of
from ssdconvert.given.derived_recipe import recipe_from
from ssdconvert.given.original import original_of
from ssdconvert.recipe import Recipe
from ssdconvert.report.result import Verification
from ssdconvert.samples import PictureFile
from ssdconvert.stages.verify import verify


def verify_files(
    model: Path,
    against: Path,
    recipe: Recipe | None,
    pictures: Sequence[PictureFile],
    devices: Sequence[str] = ("CPU",),
    required_devices: Sequence[str] = (),
    trace_all: bool = False,
) -> tuple[Verification, Recipe]:
    """Return what comes of comparing `model` with `against`, and the recipe by which it was done.

    Without a recipe both are fed the same numbers, and what detections mean is read from `against`. Raises
    RecipeError and ConversionError where one of the files cannot be taken at all.
    """
    used = recipe or recipe_from(model, against)
    original = original_of(used, against)
    candidates = [candidate_of(used, model, device, original) for device in devices]
    if model.suffix.lower() == ".onnx":  # which runs in ONNX Runtime, whatever the device
        candidates = candidates[:1]
    result = verify(used, original, candidates, pictures, required_devices, trace_all)
    name = recipe.name if recipe else ""
    return replace(result, model=model.name, against=against.name, recipe=name), used
