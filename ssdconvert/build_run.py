"""One run of the pipeline: what its stages share, and what of it they depend on."""

import logging
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssdconvert.build_plan import PRECISIONS, Plan
from ssdconvert.build_result import BuildOptions, BuildResult, StageResult
from ssdconvert.catalog import CatalogEntry
from ssdconvert.devices import Machine
from ssdconvert.errors import RecipeError
from ssdconvert.myriad import FACTS, FOLDER, PRECISION, files_for_myriad
from ssdconvert.pictures import named_pictures
from ssdconvert.quantisation.cost import COST
from ssdconvert.quantisation.options import AS_USUAL
from ssdconvert.recipe_types import GENERATED, calibration_reference
from ssdconvert.source_files import SourceFiles
from ssdconvert.stage_runner import StageRunner
from ssdconvert.toolchains import kind_of
from ssdconvert.workspace import PRIVATE, Workspace, digest_of, ir_files

if TYPE_CHECKING:
    from ssdconvert.originals import Original
    from ssdconvert.quantisation.calibration import CalibrationSet
    from ssdconvert.report.result import Check
    from ssdconvert.samples import PictureFile, Recorded

log = logging.getLogger(__name__)


class BuildRun:
    """What a recipe's stages are given, and what they have made so far."""

    def __init__(
        self,
        entry: CatalogEntry,
        planned: Plan,
        options: BuildOptions,
        workspace: Workspace,
        on_stage: Callable[[StageResult], None],
    ) -> None:
        self.entry = entry
        self.recipe, self.plan, self.options, self.workspace = entry.recipe, planned, options, workspace
        self.stages = StageRunner(workspace, options.rerun, on_stage)
        self.pictures = named_pictures(entry)
        self.source = SourceFiles((), None)
        self.calibration: CalibrationSet | None = None
        self.result = BuildResult(self.recipe.name, workspace.folder, self.stages.results)

    @cached_property
    def original(self) -> "Original":
        """The original model, loaded when the first stage needs it."""
        from ssdconvert.stages.load import load

        started = time.monotonic()
        with self.stages.failing("load", started):
            original = load(self.recipe, self.source.paths)
            _ = self.recorded  # evidence that does not fit is refused before anything is made
        summary = f"{original.default_boxes} default boxes x {self.recipe.classes} classes"
        notes = "; ".join(original.notes)
        self.stages.tell(StageResult("load", "done", time.monotonic() - started, notes, summary))
        return original

    @cached_property
    def recorded(self) -> "list[Recorded]":
        """What the publisher recorded, where it is at hand."""
        from ssdconvert.samples import recorded_samples

        evidence = self.source.evidence
        return recorded_samples(self.recipe, evidence.path if evidence else None)

    def artefacts(self) -> dict[str, str | None]:
        """Return what has been made so far for the user: relative path -> weight precision."""
        shipped = [path for path in self.stages.made if not path.startswith(PRIVATE)]
        folders = {path: path.partition("/")[0].replace(FOLDER, PRECISION) for path in shipped}
        return {path: folder if folder in PRECISIONS else None for path, folder in folders.items()}

    def digests(self, *stages: str) -> dict[str, str]:
        return {path: digest for stage in stages for path, digest in self.workspace.digests(stage).items()}

    def refuse_uncalibrated(self) -> None:
        """Raise, before anything is built, what would be raised when it is quantised: RecipeError, or ImportError.

        How to calibrate is of no use where nothing in 8 bits is asked for.
        """
        if "INT8" not in self.plan.precisions and self.options.calibration != AS_USUAL:
            raise RecipeError(
                "--calibration, --samples, --preset and --max-drop are of INT8, which is not asked for",
                hint=f"add --precision INT8, or run `ssdconvert quantize {self.recipe.name}`",
                stage="quantize",
            )
        if self.plan.quantises:
            _ = self.calibration_source
            if find_spec("nncf") is None:
                raise ModuleNotFoundError("No module named 'nncf'", name="nncf")

    @property
    def calibration_source(self) -> str:
        """The pictures to quantise on; RecipeError where neither the recipe nor the user names any that are there."""
        source = self.options.calibration.source or self.entry.calibration()
        if source is None:
            raise RecipeError(
                f"INT8 is made by calibration, and {self.recipe.name} names no pictures for it",
                hint="give --calibration DIR or COCO.json: some hundred pictures of what the model is to see",
                stage="quantize",
            )
        if source.startswith(GENERATED):
            _refuse_no_count(source)
        elif not Path(source).exists():
            raise RecipeError(
                f"the calibration set {source} does not exist", hint="check the path", stage="quantize"
            )
        return source

    def calibration_set(self) -> "AbstractContextManager[CalibrationSet]":
        """Give the pictures to quantise on."""
        from ssdconvert.quantisation.calibration import opened

        return opened(self.calibration_source, self.options.calibration, self.recipe)

    def remove_quantised(self) -> None:
        """Remove the 8 bits of an earlier build, which are not asked for any more, and tell so."""
        files = [self.workspace.path(path) for path in (*ir_files(self.recipe.name, "INT8"), COST)]
        if files[0].exists():
            log.warning(
                "the INT8 IR of an earlier build is removed: INT8 is not among the precisions that are asked for"
            )
        for file in files:
            file.unlink(missing_ok=True)

    def accuracy_check(self) -> "Check":
        """Return the gate's check of what quantisation costs."""
        from ssdconvert.quantisation.cost import accuracy_check, read_cost

        return accuracy_check(read_cost(self.workspace.folder), self.workspace.path(self.plan.irs["INT8"]))

    def myriad_digests(self) -> dict[str, str]:
        paths = [self.workspace.path(path) for path in (*files_for_myriad(self.recipe.name), FACTS)]
        return {path.name: digest_of(path) for path in paths if path.exists()}

    def toolchain_pins(self) -> dict[str, dict[str, str]]:
        """Return the packages of each toolchain that IRs are verified in."""
        return {name: kind_of(name).pins() for name in self.options.toolchains}

    def picture_digests(self) -> list[list[str]]:
        return [[name, digest_of(path)] for name, path in self.pictures]

    def verified_pictures(self) -> "list[PictureFile]":
        from ssdconvert.samples import picture_files

        return picture_files([*self.pictures, *self.options.images])

    def verified_picture_digests(self) -> list[list[str]]:
        given = ([name, _digest_or_nothing(path)] for name, path in self.options.images)
        return [*self.picture_digests(), *given]

    def source_form(self) -> dict[str, Any]:
        """Return what a recipe says of its source beside the files: where heads are, what they mean."""
        return self.recipe.source.model_dump(mode="json", exclude={"files"})

    def part(self, *keys: str) -> dict[str, Any]:
        """Return some keys of the recipe, as inputs of a stage."""
        return self.recipe.model_dump(mode="json", include=set(keys))


def _digest_or_nothing(path: Path) -> str:
    """Return the digest of a picture that a user named; the gate tells of one that cannot be read."""
    try:
        return digest_of(path)
    except OSError:
        return ""


def _refuse_no_count(generated: str) -> None:
    """Raise RecipeError for generated pictures of which no recipe could ask either."""
    try:
        calibration_reference(generated)
    except ValueError as error:
        raise RecipeError(
            f"there is no calibration set {generated}", hint=f"give {error}", stage="quantize"
        ) from error


def inputs_of(machine: Machine) -> list[Any]:
    """Return what a machine is told, with the digests of the files that it is given."""
    named = (Path(value) for value in machine.settings.values())
    files = [*(path for path in named if path.is_file()), *machine.extensions]
    return [dict(machine.settings), [digest_of(path) for path in files]]
