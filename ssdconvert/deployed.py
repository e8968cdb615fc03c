"""How a model is fed and what its outputs mean, by whoever says it: the file itself, a recipe, the user.

Where nobody does, a model is treated as the old OpenVINO sample did: BGR pixels of 0..255, stretched to the
input's size by OpenCV's bilinear filter.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ssdconvert.errors import RecipeError
from ssdconvert.label_files import LabelList
from ssdconvert.model_facts import ModelFacts, Port
from ssdconvert.output_rows import RawHeads, Reading, reading_of
from ssdconvert.recipe import STAND_IN, Color, Input, Recipe, Resize
from ssdconvert.recipe_source import CaffeSource, IrSource, OnnxSource, PytorchSource
from ssdconvert.ssd.heads import CLASS_LOGITS, Heads

SAMPLE = Resize(mode="stretch", filter="bilinear", library="opencv")
Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Feeding:
    """What a user says of how a model is fed; None where nothing. Mean and scale are in the order of `color`."""

    color: str | None = None
    mean: Triple | None = None
    scale: Triple | None = None
    mode: str | None = None
    library: str | None = None


@dataclass(frozen=True)
class Deployed:
    """A model ready to be fed.

    `input` has the channel order that the file takes (its `color.model`), mean and scale in that order where
    they are not inside, and the shape of one picture; `batch` pictures are fed at once, `channels_last` as
    [B, H, W, 3]; with `resizes` it gets pictures in their own size. `reading` reads the outputs, whose boxes are
    divided by `sides` (width, height) and whose first class is called `first_label`; `names` is empty where nobody
    names them. `fed` says who says all this, `warnings` what of it does not fit.
    """

    facts: ModelFacts
    names: tuple[str, ...]
    input: Input
    reading: Reading
    first_label: int = 1
    sides: tuple[int, int] = (1, 1)
    batch: int = 1
    channels_last: bool = False
    resizes: bool = False
    fed: str = ""
    warnings: tuple[str, ...] = ()

    @property
    def normalised(self) -> bool:
        """Whether mean or scale are applied before the model."""
        return any(self.input.mean) or set(self.input.scale) != {1.0}

    def name(self, label: int) -> str:
        """Return the name of a label, 1 the first; wrong models, or lists, have labels without a name."""
        return (self.names[label - 1] if 1 <= label <= len(self.names) else "") or f"label {label}"


def deployed(
    facts: ModelFacts, recipe: Recipe | None, feeding: Feeding, labels: LabelList | None = None
) -> Deployed:
    """Return how a model file is used.

    An .xml that describes itself needs no `recipe`, and takes no other one. Raises RecipeError for a model that
    does not take one picture of three channels, or whose outputs are of no known form.
    """
    port = _picture(facts)
    assert port.sides is not None
    channels_last = port.sides[1] != 3
    height, width = port.sides[1:3] if channels_last else port.sides[2:]
    batch = port.sides[0] or 1
    warnings: list[str] = []
    own = facts.said if "input_color" in facts.said else None
    if (
        own
        and recipe
        and own.get("recipe", recipe.name).removesuffix(STAND_IN) != recipe.name.removesuffix(STAND_IN)
    ):
        warnings.append(f"{facts.path} says that it is {own['recipe']}: the recipe {recipe.name} is not used")
        recipe = None
    if recipe and (height or width) and (height, width) != recipe.input.shape[2:]:
        raise RecipeError(
            f"{facts.path} takes {port}, the recipe {recipe.name} {list(recipe.input.shape)}",
            hint="give the recipe of this model",
            stage="detect",
        )
    if recipe:
        height, width = recipe.input.shape[2:]
    inside = (own or {}).get("baked_resize", "")
    if inside:
        width, height = (int(side) for side in inside.split()[-1].split("x"))
    if not height or not width:
        raise RecipeError(
            f"{facts.path} takes {port}: pictures of any size",
            hint="give --recipe NAME, which says the size, or convert the model with a fixed one",
            stage="detect",
        )
    base, fed = _base(facts, recipe, own)
    document = {"name": port.name, "shape": [1, 3, height, width], **base}
    spec = _overridden(Input.model_validate_json(json.dumps(document)), feeding)
    if feeding != Feeding():
        fed += ", but for what the options say"
    reading = reading_of(facts, batch, _raw_heads(facts, recipe))
    sides = (width, height) if reading.in_pixels else (1, 1)
    if recipe and not own:
        sides = (width, height) if recipe.detections.units == "pixels" else (1, 1)
    names, first_label = _names(facts, None if own else recipe, own, labels, warnings)
    return Deployed(
        facts, names, spec, reading, first_label, sides, batch, channels_last,
        bool(inside) and not (feeding.mode or feeding.library), fed, tuple(warnings),
    )  # fmt: skip


def _picture(facts: ModelFacts) -> Port:
    """Return the only input of a model; RecipeError unless it is a picture of three channels."""
    found = "; ".join(str(port) for port in facts.inputs)
    if len(facts.inputs) != 1:
        raise RecipeError(
            f"{facts.path} has {len(facts.inputs)} inputs, expected one: {found}",
            hint="give a model that takes a picture and nothing else",
            stage="detect",
        )
    (port,) = facts.inputs
    sides = port.sides or ()
    if len(sides) != 4 or 3 not in (sides[1], sides[3]):
        raise RecipeError(
            f"{facts.path} takes {found}, expected a picture [1, 3, H, W] or [1, H, W, 3]",
            hint="give a model that takes a picture of three channels",
            stage="detect",
        )
    return port


def _base(facts: ModelFacts, recipe: Recipe | None, own: dict[str, str] | None) -> tuple[dict[str, Any], str]:
    """Return colour, mean, scale and resize, as keys of an Input, and who says so."""
    if own:
        mode, interpolation, library = own.get("baked_resize", own.get("resize", "")).split()[:3]
        resize = {"mode": mode, "filter": interpolation, "library": library}
        color = own["input_color"]
        return {"color": {"model": color, "converted": color}, "resize": resize}, "fed as it says itself"
    if recipe is None:
        told = "nothing says how it is fed: as the old sample did, BGR pixels of 0..255 stretched by OpenCV"
        return {"color": {"model": "bgr", "converted": "bgr"}, "resize": SAMPLE.model_dump()}, told
    spec = recipe.input
    inside = facts.path.suffix == ".xml"  # what ssdconvert converts has its preprocessing inside
    color = spec.color.converted if inside else spec.color.model
    base: dict[str, Any] = {
        "color": {"model": color, "converted": color},
        "resize": spec.resize.model_dump(),
    }
    if not inside:
        base |= {"mean": spec.mean, "scale": spec.scale}
    return base, f"fed as the recipe {recipe.name} says"


def _overridden(spec: Input, feeding: Feeding) -> Input:
    """Return the input with what a user says instead; mean and scale stay with their channels."""
    mean, scale, color = spec.mean, spec.scale, spec.color.model
    if feeding.color and feeding.color != color:
        mean, scale, color = mean[::-1], scale[::-1], feeding.color  # type: ignore[assignment]
    resize = {"mode": feeding.mode, "library": feeding.library}
    return spec.model_copy(
        update={
            "color": Color(model=color, converted=color),
            "mean": feeding.mean or mean,
            "scale": feeding.scale or scale,
            "resize": spec.resize.model_copy(update={key: value for key, value in resize.items() if value}),
        }
    )


def _raw_heads(facts: ModelFacts, recipe: Recipe | None) -> RawHeads | None:
    """Return the heads that a model ends in, where a recipe says what they mean; None where it ends otherwise."""
    if recipe is None:
        return None
    from ssdconvert.originals.fit import heads_named
    from ssdconvert.originals.pytorch import coding_of_network

    names, source, rule = {port.name for port in facts.outputs}, recipe.source, recipe.detections
    if "labels" in names or len(names) < 2 or isinstance(source, IrSource):
        return None
    if isinstance(source, OnnxSource | CaffeSource) and source.heads:
        if {source.heads.scores, source.heads.boxes} <= names:
            return RawHeads(heads_named(recipe, source.heads), source.heads.scores, source.heads.boxes, rule)
        heads = heads_named(recipe, source.heads)
    elif isinstance(source, PytorchSource) and CLASS_LOGITS in names:
        height, width = recipe.input.shape[2:]
        coding = coding_of_network(source.network, height, width, recipe.classes, source.options)
        heads = Heads(coding, rule.clip, logits=True)
    else:
        heads = Heads(clip=rule.clip)
    for scores, boxes in (heads.names, ("scores", "boxes")):
        if {scores, boxes} <= names:
            return RawHeads(heads, scores, boxes, rule)
    return None


def _names(
    facts: ModelFacts,
    recipe: Recipe | None,
    own: dict[str, str] | None,
    labels: LabelList | None,
    warnings: list[str],
) -> tuple[tuple[str, ...], int]:
    """Return the names of the classes, and the number by which the model calls the first of them."""
    names: Sequence[str] = own["labels"].split("\n") if own and own.get("labels") else ()
    first_label, classes = (1, len(names) or None) if own else (facts.first_label, facts.classes)
    if recipe:
        names, first_label = recipe.class_names, recipe.detections.first_label
        classes = len(names)
    if labels:
        names = labels.names
        if first_label is None:  # the old sample took the label for the number of the line, from 0
            first_label = 0 if labels.first_number is None else labels.first_number
            if first_label:
                warnings.append(
                    f"the model does not say by which number it calls its first class: {labels.origin} makes it "
                    f"{first_label}, {names[0]!r}"
                )
        elif labels.first_number is not None and labels.first_number < first_label:
            names = names[first_label - labels.first_number :]  # it names numbers that the model does not use
        if classes and len(names) == classes + 1 and labels.first_number is None:
            warnings.append(
                f"{labels.origin} has {len(names)} names, the model {classes} classes: {names[0]!r} is taken for "
                f"the background"
            )
            names = names[1:]
        elif classes and len(names) != classes:
            wrong = "too short" if len(names) < classes else "too long"
            warnings.append(
                f"{labels.origin} is {wrong}: it names {len(names)} classes, the model has {classes}"
            )
    if not names or first_label is None:  # without names a label is the model's own number
        first_label = 1
    return tuple(names), first_label
