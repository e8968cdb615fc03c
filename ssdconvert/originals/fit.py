"""Whether an original's heads are what its recipe says."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from numpy.typing import NDArray

from ssdconvert.errors import ConversionError
from ssdconvert.ir_graph import Suppression
from ssdconvert.ir_rule import broken_rule
from ssdconvert.originals import Original
from ssdconvert.originals.pytorch import coding_of_network
from ssdconvert.recipe import Recipe
from ssdconvert.recipe_source import Heads as HeadNames
from ssdconvert.ssd.heads import BoxCoding, Heads, coding_of_priors

FEW = 16  # boxes: offsets of so many may be in the order of corners by chance


def heads_named(recipe: Recipe, names: HeadNames) -> Heads:
    """Return what the heads that a recipe names mean: decoded boxes, or offsets of a family's default boxes."""
    if names.default_boxes is None:
        return Heads(clip=recipe.detections.clip)
    height, width = recipe.input.shape[2:]
    coding = coding_of_network(names.default_boxes, height, width, recipe.classes, names.options)
    return Heads(coding, recipe.detections.clip)


def coding_in(file: str, priors: NDArray[Any]) -> BoxCoding:
    """Return the coding of priors [1, 2, P * 4]; ConversionError, which names `file`, for several variances."""
    try:
        return coding_of_priors(priors)
    except ValueError as error:
        raise ConversionError(
            f"{file}: {error}",
            hint="only networks with one variance for centres and one for sizes are supported",
            stage="load",
        ) from error


def refuse_other_rule(file: str, recipe: Recipe, end: Suppression) -> None:
    """Raise ConversionError where a model suppresses by another rule than its recipe says."""
    broken = broken_rule(recipe.detections, end)
    if broken:
        raise ConversionError(
            f"{file} suppresses by another rule than its recipe says: {'; '.join(broken)}",
            hint="correct detections in the recipe",
            stage="load",
        )


def fitted(recipe: Recipe, original: Original, file: str, outputs: Mapping[str, NDArray[Any]]) -> Original:
    """Return the original with its number of default boxes, P.

    `outputs` are arrays of the shapes that its tensors have. Raises ConversionError, which names `file`,
    where the heads are not [1, P, classes] and [1, P, 4].
    """
    heads = original.heads
    names = {ours: tensor.name for ours, tensor in original.tensors.items()}
    try:
        shapes = {ours: array.shape for ours, array in original.heads_in(outputs).items()}
    except ValueError:  # an array that cannot be laid out as the recipe says
        shapes = {ours: outputs[theirs].shape for ours, theirs in names.items()}
    scores, boxes = shapes[heads.scores], shapes[heads.boxes]
    coded = heads.coding is None or boxes[1:2] == (len(heads.coding.default_boxes),)
    if boxes[:1] + boxes[2:] != (1, 4) or scores != (*boxes[:2], recipe.classes) or not coded:
        count = "P" if heads.coding is None else len(heads.coding.default_boxes)
        raise ConversionError(
            f"{file} has the heads {names[heads.scores]!r} {list(scores)} and {names[heads.boxes]!r} "
            f"{list(boxes)}, expected {names[heads.scores]!r} [1, {count}, {recipe.classes}] and "
            f"{names[heads.boxes]!r} [1, {count}, 4]",
            hint="correct source.heads or detections.labels in the recipe",
            stage="load",
        )
    if heads.coding is not None:
        _refuse_decoded(file, names[heads.boxes], original.heads_in(outputs)[heads.boxes][0])
    return replace(original, default_boxes=boxes[1])


def _refuse_decoded(file: str, name: str, boxes: NDArray[Any]) -> None:
    """Raise ConversionError for `boxes` [P, 4] that are corners already: decoding them again goes unseen."""
    ordered = (boxes[:, :2] <= boxes[:, 2:]).all() and boxes.any()
    if ordered and len(boxes) > FEW and ((boxes > -1) & (boxes < 2)).all():
        raise ConversionError(
            f"the boxes {name!r} of {file} are no offsets of default boxes: they are decoded already",
            hint="leave source.heads.default_boxes out of the recipe",
            stage="load",
        )
