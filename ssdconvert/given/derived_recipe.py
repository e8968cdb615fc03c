"""A recipe for two files of which nobody has written one: both are fed the same numbers.

What the recipe says of detections is read from the original. A file whose preprocessing is inside cannot
be held against one without: the same numbers mean two pictures to them. Where it is inside, the numbers
are 0..255, else those that networks are trained on: one that takes numbers of 2 for numbers of 255
leaves what its exponentials can hold, and right copies would seem wrong.
"""

import json
import re
from pathlib import Path
from typing import Any

from ssdconvert.errors import RecipeError
from ssdconvert.given.file import STAGE, GivenFile, Port, described
from ssdconvert.given.reading import read_given
from ssdconvert.given.rule import FoundRule, rule_of
from ssdconvert.recipe import STAND_IN, Recipe

TRAINED_ON = (127.5, 64.0)  # mean and scale: a picture becomes -2..2
PREPROCESSES = (
    "Add",
    "BatchNormalization",
    "Cast",
    "Div",
    "Mul",
    "Sub",
)  # a graph's first operation, if inside
# of files that end in tensors: nothing is detected, and what is said of it is never asked for
NO_RULE = FoundRule(classes=1, score_threshold=0.5, iou_threshold=0.5, per_class=1, keep=1)


class DerivedRecipe(Recipe):
    """A recipe that stands for two given files."""


def takes_pixels(recipe: Recipe, given: GivenFile) -> bool:
    """Say whether a file takes 0..255 in the converted model's order, not what the original takes."""
    return given.is_ir and not isinstance(recipe, DerivedRecipe)


def recipe_from(model_path: Path, original_path: Path) -> DerivedRecipe:
    """Return the recipe by which a model is compared with an original, each fed as the other.

    Raises RecipeError where the two cannot be fed alike or have nothing in common, ConversionError where
    one does not load.
    """
    model, original = read_given(model_path), read_given(original_path)
    _refuse_unlike_inputs(model, original)
    _refuse_unlike_preprocessing(model, original)
    rule = rule_of(original)
    if rule is None:
        tensors_in_common(model, original)
    return _recipe(model, original, rule or NO_RULE)


def tensors_in_common(model: GivenFile, original: GivenFile) -> dict[str, str]:
    """Return the model's tensors by the names of the original's outputs, which end in no detections.

    They are paired by name, or in their order where no name is shared. RecipeError unless each output of
    the original has one: what is not compared could be wrong.
    """
    detections = set(model.outputs) if model.form else set()
    shared = [name for name in original.outputs if name in model.tensors and name not in detections]
    if len(shared) == len(original.outputs):
        return {name: name for name in shared}
    if not shared and list(model.outputs.values()) == list(original.outputs.values()):
        return dict(zip(original.outputs, model.outputs, strict=True))
    raise RecipeError(
        f"{model.path.name} gives {described(model.outputs)}; {original.path.name} gives "
        f"{described(original.outputs)}: expected the same names, or the same shapes in the same order",
        hint="give --recipe NAME, which says where the heads are and what they mean",
        stage=STAGE,
    )


def _refuse_unlike_inputs(model: GivenFile, original: GivenFile) -> None:
    ports = [list(given.inputs.values()) for given in (model, original)]
    picture = ports[0] == ports[1] and len(ports[0]) == 1 and _is_picture(ports[0][0])
    if not picture:
        raise RecipeError(
            f"{model.path.name} takes {described(model.inputs)}; {original.path.name} takes "
            f"{described(original.inputs)}: expected one f32 input [1, 3, H, W] of the same size",
            hint="compare files of one model, with static shapes; or give --recipe NAME, which says how each is fed",
            stage=STAGE,
        )


def _is_picture(port: Port) -> bool:
    sides = port.sides or ()
    return port.type == "f32" and len(sides) == 4 and sides[:2] == (1, 3) and all(sides)


def _refuse_unlike_preprocessing(model: GivenFile, original: GivenFile) -> None:
    for one, other in ((model, original), (original, model)):
        if one.preprocessing and not other.is_ir:
            raise RecipeError(
                f"{one.path.name} has its preprocessing inside ({one.preprocessing}), {other.path.name} has "
                f"none: the same numbers are not the same picture to both",
                hint=f"give --recipe {one.recipe or 'NAME'}, which says how each is fed",
                stage=STAGE,
            )


def _mean_and_scale(files: tuple[GivenFile, GivenFile]) -> tuple[float, float]:
    """Return what the numbers of a picture become before both files: IRs take 0..255, graphs seldom do."""
    graphs = [given for given in files if not given.is_ir]
    if not graphs:
        return 0.0, 1.0
    readers = (node.op_type for node in graphs[0].model.graph.node if graphs[0].image in node.input)
    return (0.0, 1.0) if next(readers, "") in PREPROCESSES else TRAINED_ON


def _recipe(model: GivenFile, original: GivenFile, rule: FoundRule) -> DerivedRecipe:
    (port,) = original.inputs.values()
    name = re.sub(r"[^a-z0-9._-]", "-", model.path.stem.lower()).lstrip("._-") or "model"
    mean, scale = _mean_and_scale((original, model))
    color = original.input_color or model.input_color or "bgr"
    source: dict[str, Any] = {"kind": "onnx", "files": [{"name": "original.onnx", "urls": []}]}
    if original.is_ir:
        files = [{"name": f"{original.precision}/original.{suffix}", "urls": []} for suffix in ("xml", "bin")]
        source = {"kind": "ir", "files": files}
    document = {
        "schema": 1,
        "name": name.removesuffix(STAND_IN) or "model",
        "title": f"{model.path.name} against {original.path.name}",
        "licence": "not told",
        "source": source,
        "input": {
            "name": original.image,
            "shape": port.sides,
            "color": {"model": color, "converted": color},
            "mean": [mean] * 3,
            "scale": [scale] * 3,
            "resize": {"mode": "stretch", "filter": "bilinear", "library": "opencv"},
        },
        "detections": {
            "boxes": "xyxy",
            "units": rule.units,
            "labels": [f"class {label}" for label in range(1, rule.classes + 1)],
            "clip": rule.clip,
            "first_label": rule.first_label,
            "score_threshold": rule.score_threshold,
            "iou_threshold": rule.iou_threshold,
            "per_class": rule.per_class,
            "keep": rule.keep,
        },
        "precisions": [original.precision],
    }
    recipe = DerivedRecipe.model_validate_json(json.dumps(document))
    return recipe.model_copy(update={"name": name}) if name.endswith(STAND_IN) else recipe
