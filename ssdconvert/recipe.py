"""The recipe: what a model is, where its files are, and what its conversion must keep. A frozen value."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, Field, ValidationError, ValidationInfo
from pydantic import StringConstraints as Text

from ssdconvert.errors import RecipeError
from ssdconvert.labels import label_names
from ssdconvert.recipe_problems import schema_problems
from ssdconvert.recipe_source import CaffeSource, IrSource, OnnxSource, PytorchSource
from ssdconvert.recipe_types import (
    NAME,
    WEB_URL,
    Count,
    Divisor,
    Fraction,
    Labels,
    Line,
    Number,
    Part,
    Precision,
    Tolerance,
    calibration_reference,
    distinct,
    picture_path,
)
from ssdconvert.recipe_yaml import Problem, parse_yaml, read_yaml

MOST_PROBLEMS = 20  # shown of one file
STAND_IN = "-stand-in"  # how the names of recipes end whose weights come from a seed


def _not_a_stand_in(name: str, info: ValidationInfo) -> str:
    if name.endswith(STAND_IN) and not (info.context or {}).get("stand_in"):
        raise ValueError(f"a name that does not end in {STAND_IN}")
    return name


class Color(Part):
    """Channel orders."""

    model: Literal["rgb", "bgr"] = Field(description="What the original was trained on.")
    converted: Literal["bgr", "rgb"] = Field("bgr", description="What the converted model takes.")


class Resize(Part):
    """Resizing, as the original's own preprocessing does it."""

    mode: Literal["stretch", "crop"] = Field(
        description="stretch: to the input's size, aspect ratio not kept; crop: aspect ratio kept, what "
        "overhangs the input is cut off on both sides."
    )
    filter: Literal["bilinear"] = Field(description="Interpolation.")
    library: Literal["opencv", "pillow"] = Field(
        description="Whose bilinear: Pillow's averages when it shrinks, OpenCV's does not."
    )


class Input(Part):
    """The model's input and what is done to a picture before it."""

    name: Line = Field(description="Name of the input of the original graph (ONNX, Caffe, IR) and of the IR.")
    shape: tuple[Literal[1], Literal[3], Count, Count] = Field(description="[1, 3, height, width], pixels.")
    color: Color = Field(description="Channel order of the original and of the converted model.")
    mean: tuple[Number, Number, Number] = Field(
        (0.0, 0.0, 0.0),
        description="Subtracted from pixels of 0..255, in the model's channel order (color.model).",
    )
    scale: tuple[Divisor, Divisor, Divisor] = Field(
        (1.0, 1.0, 1.0), description="Divides after the mean, in the model's channel order (color.model)."
    )
    resize: Resize = Field(description="How a picture becomes the input's size.")


class Detections(Part):
    """How the network's output becomes detections: score filter, per-class candidates, NMS, the best K."""

    boxes: Literal["xyxy"] = Field(description="Coordinate order: x_min, y_min, x_max, y_max.")
    units: Literal["normalised", "pixels"] = Field(
        description="normalised: 0..1 of the input; pixels: of the input."
    )
    labels: Labels = Field(
        description="Class names without the background, label 1 first: a shipped list's name or a list."
    )
    clip: bool = Field(
        False, description="Boxes are cut at the input's edges before NMS: torchvision does, others do not."
    )
    score_threshold: Annotated[float, Field(ge=0, lt=1)] = Field(
        description="A score must be greater than this."
    )
    iou_threshold: Fraction = Field(
        description="NMS: a box that overlaps a better one of its class by more goes."
    )
    at_iou_threshold: Literal["keep", "suppress"] = Field(
        "keep",
        description="A box whose IoU equals iou_threshold: ONNX and torchvision keep it, MLPerf does not.",
    )
    per_class: Count = Field(description="Best candidates of each class that enter NMS.")
    first_label: Literal[0, 1] = Field(
        1,
        description="The number by which the outputs of a ready model call the first name of `labels`. 0 for "
        "those that have no background; what ssdconvert converts itself always counts from 1.",
    )
    keep: Count = Field(
        description="Rows of the output (K): the best over all classes; unused rows are zero."
    )


class Limits(Part):
    """The gate's limits for one precision, where its defaults do not fit. null: the default."""

    heads: Annotated[Tolerance, Field(le=0.2)] | None = Field(
        None, description="Largest error of raw heads, relative to the output's scale; 0.2 at most."
    )
    score: Annotated[Tolerance, Field(le=0.2)] | None = Field(
        None, description="Largest score difference of a matched detection; 0.2 at most."
    )
    iou: Annotated[float, Field(ge=0.5, le=1)] | None = Field(
        None, description="Smallest IoU of a matched detection; below 0.5 boxes are not the same one."
    )


class Evaluation(Part):
    """How the accuracy of the original was measured, where there is more than one way."""

    unannotated: Literal["count", "skip"] = Field(
        "count",
        description="Pictures without a single annotation. count: what is found on them is wrong, as pycocotools "
        "has it; skip: they are left out of the mean, as MLPerf does (4952 of 5000 pictures).",
    )


class Accuracy(Part):
    """A published or measured accuracy of the original."""

    metric: Line = Field(description="What was measured, e.g. coco-map.")
    by: Line = Field(description="The tool or the people that measured it, e.g. pycocotools.")
    value: Number = Field(description="The value, as a fraction where the metric is one (0.196, not 19.6).")
    source: Line = Field(description="Where the value is published.")


class Recipe(Part):
    """A model: its original, its preprocessing, its detections, and what is known of it."""

    schema_version: Literal[1] = Field(alias="schema", description="Version of this schema.")
    name: Annotated[str, Text(pattern=NAME), AfterValidator(_not_a_stand_in)] = Field(
        description="Equal to the recipe's file name without .yaml."
    )
    title: Line = Field(description="One line for people: family, input size, origin.")
    licence: Line = Field(description="Licence of the weights, an SPDX identifier where there is one.")
    homepage: Annotated[str, Text(pattern=WEB_URL)] | None = Field(
        None, description="Where the original is at home."
    )
    source: PytorchSource | OnnxSource | CaffeSource | IrSource = Field(
        discriminator="kind", description="The original model."
    )
    input: Input = Field(description="The input, and the preprocessing that the original was trained with.")
    detections: Detections = Field(description="How the network's output becomes detections.")
    precisions: Annotated[tuple[Precision, ...], AfterValidator(distinct)] = Field(
        ("FP32", "FP16"), min_length=1, description="Weight precisions to build."
    )
    opset: Annotated[int, Field(ge=11, le=20)] = Field(13, description="ONNX opset of the export.")
    pictures: tuple[Annotated[Line, AfterValidator(picture_path)], ...] = Field(
        (),
        description="Pictures for simplify, verify and detect: paths relative to the recipe file, or "
        "package:RELATIVE/PATH. Empty: those that ssdconvert embeds.",
    )
    calibration: Annotated[Line, AfterValidator(calibration_reference)] | None = Field(
        None,
        description="Pictures to quantise on: a folder, or COCO annotations (.json), as a path relative to the "
        "recipe file; generated:COUNT for so many of the shapes that ssd-demo detects.",
    )
    limits: Mapping[Precision, Limits] = Field(
        {}, description="The gate's limits per precision, in place of defaults."
    )
    accuracy: tuple[Accuracy, ...] = Field((), description="Accuracy of the original.")
    evaluation: Evaluation = Field(
        Evaluation(unannotated="count"), description="How that accuracy is measured (`ssdconvert evaluate`)."
    )
    notes: tuple[Line, ...] = Field((), description="What a user must know: the quirks of this artefact.")

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of labels 1, 2, ...: without the background."""
        return label_names(self.detections.labels)

    @property
    def is_stand_in(self) -> bool:
        """Whether the weights come from a seed and mean nothing."""
        return self.name.endswith(STAND_IN)

    def stand_in(self) -> "Recipe":
        """Return this recipe for an original made from a seed: it says so, and promises no digests."""
        unpinned = {"size": None, "sha256": None, "sha384": None}
        files = tuple(file.model_copy(update=unpinned) for file in self.source.files)
        changes = {
            "name": self.name + STAND_IN,
            "title": f"STAND-IN with seeded weights for: {self.title}",
            "source": self.source.model_copy(update={"files": files}),
            "accuracy": (),
        }
        return self.model_copy(update=changes)

    @property
    def classes(self) -> int:
        """Number of classes with the background."""
        return len(self.class_names) + 1


def recipe_schema() -> dict[str, Any]:
    """Return the JSON Schema of a recipe."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Recipe.model_json_schema()}


def recipe_digest(recipe: Recipe) -> str:
    """Return the SHA-256 of the recipe with its defaults filled in and its label list spelt out."""
    resolved = recipe.model_dump(mode="json", by_alias=True)
    resolved["detections"]["labels"] = recipe.class_names
    return hashlib.sha256(json.dumps(resolved, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def load_recipe(path: Path) -> Recipe:
    """Read a recipe file; a RecipeError lists every problem with its line and the path to its key."""
    return _validated(*read_yaml(path), path, stand_in=False)


def load_resolved_recipe(path: Path, content: bytes | None = None) -> Recipe:
    """Read the recipe.yaml of a build, which may be that of a stand-in, or what is in it; RecipeError as `load_recipe`.

    A resolved recipe without a stand-in's name is a recipe as any other.
    """
    parts = read_yaml(path) if content is None else parse_yaml(content, path)
    return _validated(*parts, path, stand_in=True)


def _validated(
    root: yaml.MappingNode, data: Any, problems: list[Problem], path: Path, stand_in: bool
) -> Recipe:
    recipe = None
    try:
        text = json.dumps(data)
    except ValueError as error:  # 0xfff..., of more digits than Python writes
        raise RecipeError(f"{path}: {error}", hint="`ssdconvert schema` prints every key") from error
    try:
        recipe = Recipe.model_validate_json(text, context={"stand_in": stand_in})
    except ValidationError as error:
        problems += schema_problems(error.errors(include_url=False), root, Recipe)
    if recipe and not problems:
        return recipe
    lines = [f"{path}:{line}: {key}: {problem}" for line, key, problem in sorted(problems)]
    if len(lines) > MOST_PROBLEMS:
        lines[MOST_PROBLEMS:] = [f"{path}: and {len(lines) - MOST_PROBLEMS} problems more"]
    raise RecipeError("\n".join(lines), hint="`ssdconvert schema` prints every key and its meaning")
