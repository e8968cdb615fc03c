"""Judges one given file by another, as a build judges its IRs."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ssdconvert.device_config import told_of
from ssdconvert.devices import Machine
from ssdconvert.errors import RecipeError
from ssdconvert.given.candidate import candidate_of
from ssdconvert.given.derived_recipe import recipe_from
from ssdconvert.given.original import original_of
from ssdconvert.recipe import Recipe
from ssdconvert.report.result import SHIPPED, Check, Verification
from ssdconvert.runners.openvino_core import extensions_in_use
from ssdconvert.samples import PictureFile
from ssdconvert.stages.verify import verify
from ssdconvert.toolchains.call import Toolchain


def verify_files(
    model: Path,
    against: Path,
    recipe: Recipe | None,
    pictures: Sequence[PictureFile],
    machines: Sequence[Machine] = (Machine(),),
    required_devices: Sequence[str] = (),
    trace_all: bool = False,
    toolchains: Sequence[Toolchain] = (),
) -> tuple[Verification, Recipe]:
    """Return what comes of comparing `model` with `against`, and the recipe by which it was done.

    Without a recipe both are fed the same numbers, and what detections mean is read from `against`. Raises
    RecipeError and ConversionError where one of the files cannot be taken at all.
    """
    if model.suffix.lower() == ".onnx":
        _refuse_machines(model, machines, toolchains)
    with extensions_in_use(sorted({path for machine in machines for path in machine.extensions})):
        result, used = _judged(
            model, against, recipe, pictures, machines, required_devices, trace_all, toolchains
        )
    name = recipe.name if recipe else ""
    told = told_of(machines)
    return replace(result, model=model.name, against=against.name, recipe=name, **told), used


def _judged(
    model: Path, against: Path, recipe: Recipe | None, pictures: Sequence[PictureFile],
    machines: Sequence[Machine], required_devices: Sequence[str], trace_all: bool,
    toolchains: Sequence[Toolchain],
) -> tuple[Verification, Recipe]:  # fmt: skip
    used = recipe or recipe_from(model, against)
    original = original_of(used, against)
    candidates = [
        candidate
        for machine in machines
        for candidate in candidate_of(used, model, machine, original).also_in(toolchains)
    ]
    result = verify(used, original, candidates, pictures, required_devices, trace_all)
    if all(candidate.is_reference for candidate in candidates):
        result = replace(result, checks=(*result.checks, *_of_itself(result)))
    return result, used


def _refuse_machines(model: Path, machines: Sequence[Machine], toolchains: Sequence[Toolchain]) -> None:
    """Raise RecipeError for devices, what they are told, and other versions of OpenVINO where none is used."""
    others = [machine.device for machine in machines if machine.device != "CPU"]
    others += [toolchain.kind.name for toolchain in toolchains]
    if others:
        raise RecipeError(
            f"{model.name} is asked to run on {', '.join(others)}, and an ONNX file runs in ONNX Runtime on the CPU",
            hint="give an IR, or leave devices and toolchains out",
            stage="verify",
        )
    if any(machine.settings or machine.extensions for machine in machines):
        raise RecipeError(
            f"{model.name} runs in ONNX Runtime, which takes no settings and extensions of OpenVINO",
            hint="give an IR, or leave them out",
            stage="verify",
        )


def _of_itself(result: Verification) -> list[Check]:
    """Return what leaves the verdict open where two files are the same, in the same engine."""
    judged = [check for check in result.checks if check.hop in SHIPPED and check.runtime]
    if not judged or any(check.level != "contract" for check in judged):
        return []
    reason = "both files are the same, in the same engine: nothing was compared"
    told = replace(judged[0], output="files", metric="compared", status="inconclusive", reason=reason)
    return [replace(told, value=None, limit=None, required=None)]
