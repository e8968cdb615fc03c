"""What a build makes: which files are fetched for it, which precisions it has, where its IRs go."""

from dataclasses import dataclass

from ssdconvert.errors import RecipeError
from ssdconvert.outputs import TAILS
from ssdconvert.recipe import Recipe
from ssdconvert.recipe_source import File, IrSource, OnnxSource, PytorchSource
from ssdconvert.workspace import PRIVATE, ir_files

PRECISIONS = ("FP32", "FP16", "INT8")
CONVERTERS = ("mo", "openvino")  # Model Optimizer; openvino.convert_model with PrePostProcessor
BAKES = ("values", "image")  # what is inside: order of channels, mean and scale; the resize of a picture, too


@dataclass(frozen=True)
class Plan:
    """A recipe, and what is asked for: weight precisions, a tail behind the heads, how it is converted.

    `tail` is one of `outputs.TAILS`, `converter` of `CONVERTERS`, `bake` of `BAKES`. Sources that keep their own
    outputs get no tail, whatever is said here.
    """

    recipe: Recipe
    precisions: tuple[str, ...]
    tail: str = "nms"
    converter: str = "mo"
    bake: str = "values"

    @property
    def through_onnx(self) -> bool:
        """Whether the original becomes an ONNX graph on its way."""
        return isinstance(self.recipe.source, PytorchSource | OnnxSource)

    @property
    def onnx(self) -> str:
        """Relative path of the simplified graph."""
        return f"{self.recipe.name}.onnx"

    @property
    def reference_precision(self) -> str:
        """The highest precision there is: the one that is closest to the original, or is the original."""
        return min(offered(self.recipe), key=PRECISIONS.index)

    @property
    def irs(self) -> dict[str, str]:
        """Relative path of the .xml of each precision.

        A lower precision alone would be judged by its own wide limits: the highest is always made and
        judged too, in the private folder when it is not asked for.
        """
        asked = {precision: ir_files(self.recipe.name, precision)[0] for precision in self.precisions}
        highest = self.reference_precision
        return {highest: f"{PRIVATE}/{ir_files(self.recipe.name, highest)[0]}"} | asked

    @property
    def quantises(self) -> bool:
        """Whether one of its precisions is made of another one by calibration."""
        published = isinstance(self.recipe.source, IrSource)
        return "INT8" in self.precisions and self.reference_precision != "INT8" and not published

    @property
    def converted(self) -> dict[str, str]:
        """Those of `irs` that are converted, or taken as they are."""
        irs = self.irs
        return {precision: irs[precision] for precision in irs if precision != "INT8" or not self.quantises}

    @property
    def files(self) -> list[File]:
        """The files that this build needs: of a ready IR only the precisions that it has."""
        source = self.recipe.source
        if not isinstance(source, IrSource):
            return list(source.files)
        needed = {name for precision in self.converted for name in source.pair(precision) or ()}
        return [file for file in source.files if file.name in needed]

    @property
    def evidence(self) -> File | None:
        """The file that is published beside the original to check it by."""
        return self.recipe.source.evidence


def plan(
    recipe: Recipe,
    precisions: tuple[str, ...] | None,
    tail: str = "nms",
    converter: str = "mo",
    bake: str = "values",
) -> Plan:
    """Return the plan of a build; RecipeError for what no stage can make of this recipe."""
    asked = tuple(dict.fromkeys(precisions or recipe.precisions))
    possible = offered(recipe)
    for precision in asked:
        if precision not in possible:
            raise RecipeError(
                f"{recipe.name}: precision {precision} cannot be built by this version",
                hint=f"ask for --precision {' or '.join(possible)}",
            )
    ready = isinstance(recipe.source, IrSource)
    if not ready and (recipe.detections.units != "normalised" or recipe.detections.first_label != 1):
        raise RecipeError(
            f"{recipe.name}: boxes in {recipe.detections.units} with labels from {recipe.detections.first_label} "
            f"cannot be converted",
            hint="only ready IRs have them: write units: normalised, first_label: 1",
        )
    spec = recipe.input
    if ready and (spec.color.model != spec.color.converted or any(spec.mean) or set(spec.scale) != {1.0}):
        raise RecipeError(
            f"{recipe.name}: a ready IR is fed as it is, and nothing is converted: mean, scale and a change of "
            f"channel order cannot be put into it",
            hint="write color: {model: X, converted: X} for the order that the IR takes, and no mean and scale",
        )
    planned = Plan(recipe, asked, tail, converter, bake)
    _refuse_tail(planned)
    _refuse_conversion(planned)
    return planned


def _refuse_tail(planned: Plan) -> None:
    """Raise RecipeError for a tail that a recipe cannot have."""
    recipe, tail = planned.recipe, planned.tail
    if tail not in TAILS:
        raise RecipeError(f"there is no tail {tail}", hint=f"ask for --tail {' or '.join(TAILS)}")
    if tail != "nms" and recipe.source.keeps_outputs:
        raise RecipeError(
            f"{recipe.name} suppresses by itself and keeps its outputs: it cannot get the tail {tail}",
            hint="leave out --tail: `ssdconvert show` tells what it hands out",
        )
    if tail != "nms" and planned.converter == "openvino":
        raise RecipeError(
            f"the tail {tail} is put in place by Model Optimizer, and --converter openvino does without",
            hint="leave out --tail, or --converter",
        )


def _refuse_conversion(planned: Plan) -> None:
    """Raise RecipeError for a converter, or for preprocessing inside, that a recipe cannot have."""
    recipe, converter, bake = planned.recipe, planned.converter, planned.bake
    for option, value, values in (("converter", converter, CONVERTERS), ("bake", bake, BAKES)):
        if value not in values:
            raise RecipeError(
                f"there is no --{option} {value}", hint=f"ask for --{option} {' or '.join(values)}"
            )
    if converter == "openvino" and not planned.through_onnx:
        kind = {"caffe": "a Caffe network", "ir": "a ready IR"}[recipe.source.kind]
        raise RecipeError(
            f"{recipe.name} is {kind}: --converter openvino converts PyTorch and ONNX sources",
            hint="leave out --converter",
        )
    if bake == "image" and converter != "openvino":
        raise RecipeError(
            "--bake image is done by OpenVINO's own converter, Model Optimizer has nothing for it",
            hint="add --converter openvino",
        )
    if bake == "image" and recipe.input.resize.mode != "stretch":
        raise RecipeError(
            f"{recipe.name} crops its pictures (resize.mode: {recipe.input.resize.mode}), which cannot be baked in",
            hint="leave out --bake, and let `ssdconvert detect` or your program crop",
        )


def not_for_myriad(planned: Plan) -> str:
    """Return why nothing can be made for MYRIAD; empty where it can."""
    if not planned.through_onnx:
        return "it is made from an ONNX graph, and there is none"
    if planned.reference_precision == "INT8":
        return "it computes in floating point, and the model is quantised"
    return ""


def offered(recipe: Recipe) -> tuple[str, ...]:
    """Return the precisions that a recipe's source can be built in."""
    source = recipe.source
    if isinstance(source, IrSource):
        return tuple(precision for precision in PRECISIONS if source.pair(precision))
    if isinstance(source, OnnxSource) and recipe.precisions == ("INT8",):
        return ("INT8",)  # it is quantised already
    return PRECISIONS
