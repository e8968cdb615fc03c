"""The recipe: what a model is, where its files are, and what its conversion must keep. A frozen value."""

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError
from pydantic import StringConstraints as Text

from ssdconvert.errors import RecipeError
from ssdconvert.labels import LABEL_LISTS, label_names
from ssdconvert.recipe_problems import MEANING_OF_PATTERN, schema_problems
from ssdconvert.recipe_yaml import read_yaml

MOST_PROBLEMS = 20  # shown of one file
NAME, SHA256, SHA384, WEB_URL, FILE_URL = MEANING_OF_PATTERN


def _relative(path: str) -> str:
    parts = path.split("/")
    if "\\" in path or ":" in parts[0] or not path.isprintable() or {"", ".", ".."} & set(parts):
        raise ValueError("a relative path with '/', without '..', '\\' or a drive")
    return path


def _package_path(reference: str) -> str:
    if reference.startswith("package:"):
        _relative(reference.removeprefix("package:"))
    return reference


def _picture(reference: str) -> str:
    if not reference.startswith("package:") and (reference.startswith("/") or re.search(r"[\\:]", reference)):
        raise ValueError("a path relative to the recipe file, or package:RELATIVE/PATH")
    return _package_path(reference)


def _non_zero(number: float) -> float:
    if number == 0:
        raise ValueError("a number other than 0")
    return number


def _distinct(items: tuple[Any, ...]) -> tuple[Any, ...]:
    keys = [getattr(item, "name", item) for item in items]
    twice = [key for position, key in enumerate(keys) if key in keys[:position]]
    if twice:
        raise ValueError(f"no two alike ({twice[0]!r} is there twice)")
    return items


def _label_list(reference: str) -> str:
    if reference not in LABEL_LISTS:
        raise ValueError(f"a list of class names, or one of {', '.join(LABEL_LISTS)}")
    return reference


def _no_classes(options: Mapping[str, Any]) -> Mapping[str, Any]:
    if "classes" in options:
        raise ValueError("no option 'classes': the number of classes follows from detections.labels")
    return options


Line = Annotated[str, Text(min_length=1)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Tolerance = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Divisor = Annotated[Number, AfterValidator(_non_zero)]
Count = Annotated[int, Field(ge=1)]
Url = Annotated[str, Text(pattern=FILE_URL), AfterValidator(_package_path)]
Precision = Literal["FP32", "FP16", "INT8"]
LabelList = Annotated[str, AfterValidator(_label_list), Field(json_schema_extra={"enum": list(LABEL_LISTS)})]
InlineLabels = Annotated[tuple[Line, ...], Field(min_length=1), AfterValidator(_distinct)]
Labels = Annotated[
    Annotated[LabelList, Tag("shipped")] | Annotated[InlineLabels, Tag("inline")],
    Discriminator(lambda labels: "inline" if isinstance(labels, list | tuple) else "shipped"),
]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class File(_Part):
    """A published file of the original model."""

    name: Annotated[str, AfterValidator(_relative)] = Field(
        description="Name in the cache and in a mirror (RECIPE/NAME); may contain folders."
    )
    urls: tuple[Url, ...] = Field(
        description="Where to fetch it, best first: http, https or file URLs, or package:RELATIVE/PATH in "
        "the installed ssdconvert. Empty: it must come from a mirror or the cache."
    )
    size: Count | None = Field(None, description="Bytes. null: not published.")
    sha256: Annotated[str, Text(pattern=SHA256)] | None = Field(
        None, description="SHA-256 digest, hexadecimal. A file with neither digest is unpinned."
    )
    sha384: Annotated[str, Text(pattern=SHA384)] | None = Field(
        None, description="SHA-384 digest, hexadecimal (what Open Model Zoo publishes)."
    )


class _Source(_Part):
    files: Annotated[tuple[File, ...], AfterValidator(_distinct)] = Field(
        min_length=1, description="The files of the original model; no two of the same name."
    )


class PytorchSource(_Source):
    """A PyTorch checkpoint: a state_dict, a dict that holds one, or a whole pickled module."""

    kind: Literal["pytorch"] = Field(description="The kind of original.")
    network: Line = Field(
        description="Module of ssdconvert.networks that defines the network, e.g. ssd_resnet34."
    )
    options: Annotated[Mapping[str, int | float | str], AfterValidator(_no_classes)] = Field(
        {},
        description="Parameters of the network, e.g. {channel_multiplier: 0.125}; never the class count.",
    )


class Heads(_Part):
    """The outputs of a graph that decodes its boxes and has no NMS of its own."""

    scores: Line = Field(description="Tensor of class probabilities [1, P, C]; class 0 is the background.")
    boxes: Line = Field(
        description="Tensor of decoded corner boxes [1, P, 4]: x_min, y_min, x_max, y_max in 0..1."
    )


class OnnxSource(_Source):
    """An ONNX file."""

    kind: Literal["onnx"] = Field(description="The kind of original.")
    heads: Heads | None = Field(
        None, description="For a graph without NMS: its outputs, to which NMS is added. null: it has its own."
    )


class CaffeSource(_Source):
    """A Caffe network: a .prototxt and a .caffemodel."""

    kind: Literal["caffe"] = Field(description="The kind of original.")


class IrSource(_Source):
    """A ready OpenVINO IR: an .xml and a .bin."""

    kind: Literal["ir"] = Field(description="The kind of original.")


class Color(_Part):
    """Channel orders."""

    model: Literal["rgb", "bgr"] = Field(description="What the original was trained on.")
    converted: Literal["bgr", "rgb"] = Field("bgr", description="What the converted model takes.")


class Resize(_Part):
    """Resizing, as the original's own preprocessing does it."""

    mode: Literal["stretch", "crop"] = Field(
        description="stretch: to the input's size, aspect ratio not kept; crop: aspect ratio kept, what "
        "overhangs the input is cut off on both sides."
    )
    filter: Literal["bilinear"] = Field(description="Interpolation.")
    library: Literal["opencv", "pillow"] = Field(
        description="Whose bilinear: Pillow's averages when it shrinks, OpenCV's does not."
    )


class Input(_Part):
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


class Detections(_Part):
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
    keep: Count = Field(
        description="Rows of the output (K): the best over all classes; unused rows are zero."
    )


class Limits(_Part):
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


class Accuracy(_Part):
    """A published or measured accuracy of the original."""

    metric: Line = Field(description="What was measured, e.g. coco-map.")
    by: Line = Field(description="The tool or the people that measured it, e.g. pycocotools.")
    value: Number = Field(description="The value, as a fraction where the metric is one (0.196, not 19.6).")
    source: Line = Field(description="Where the value is published.")


class Recipe(_Part):
    """A model: its original, its preprocessing, its detections, and what is known of it."""

    schema_version: Literal[1] = Field(alias="schema", description="Version of this schema.")
    name: Annotated[str, Text(pattern=NAME)] = Field(
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
    precisions: Annotated[tuple[Precision, ...], AfterValidator(_distinct)] = Field(
        ("FP32", "FP16"), min_length=1, description="Weight precisions to build."
    )
    opset: Annotated[int, Field(ge=11, le=20)] = Field(13, description="ONNX opset of the export.")
    pictures: tuple[Annotated[Line, AfterValidator(_picture)], ...] = Field(
        (),
        description="Pictures for simplify, verify and detect: paths relative to the recipe file, or "
        "package:RELATIVE/PATH. Empty: those that ssdconvert embeds.",
    )
    limits: Mapping[Precision, Limits] = Field(
        {}, description="The gate's limits per precision, in place of defaults."
    )
    accuracy: tuple[Accuracy, ...] = Field((), description="Accuracy of the original.")
    notes: tuple[Line, ...] = Field((), description="What a user must know: the quirks of this artefact.")

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of labels 1, 2, ...: without the background."""
        return label_names(self.detections.labels)

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
    root, data, problems = read_yaml(path)
    recipe = None
    try:
        recipe = Recipe.model_validate_json(json.dumps(data))
    except ValidationError as error:
        problems += schema_problems(error.errors(include_url=False), root, Recipe)
    if recipe and not problems:
        return recipe
    lines = [f"{path}:{line}: {key}: {problem}" for line, key, problem in sorted(problems)]
    if len(lines) > MOST_PROBLEMS:
        lines[MOST_PROBLEMS:] = [f"{path}: and {len(lines) - MOST_PROBLEMS} problems more"]
    raise RecipeError("\n".join(lines), hint="`ssdconvert schema` prints every key and its meaning")
