"""What a model file takes and gives, read from the file alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ssdconvert.ir_description import description_in
from ssdconvert.runners.openvino_runner import any_name_of, sides_of

ONNX_TYPES = {"float": "f32", "float16": "f16", "double": "f64", "uint8": "u8", "int8": "i8"} | {
    f"{sign}int{bits}": f"{sign or 'i'}{bits}" for sign in ("u", "") for bits in (16, 32, 64)
}


@dataclass(frozen=True)
class Port:
    """An input or output: None stands for a side, or for a rank, that the file leaves open."""

    name: str
    sides: tuple[int | None, ...] | None
    type: str

    def __str__(self) -> str:
        sides = "?" if self.sides is None else ", ".join("?" if s is None else str(s) for s in self.sides)
        return f"{self.name} {self.type} [{sides}]"


@dataclass(frozen=True)
class ModelFacts:
    """A model file.

    `said` is the description that ssdconvert writes into its IRs, empty in those of others. `classes`, without
    the background, and the number `first_label` of the first of them are what a DetectionOutput tells, else None.
    """

    path: Path
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    said: dict[str, str]
    classes: int | None = None
    first_label: int | None = None


def facts_of_model(model: Any, path: Path) -> ModelFacts:
    """Return the facts of an openvino.Model."""
    ends = [one for one in model.get_ordered_ops() if one.get_type_name() == "DetectionOutput"]
    classes, first_label = _classes(ends[0]) if len(ends) == 1 else (None, None)
    return ModelFacts(
        path, _ports(model.inputs), _ports(model.outputs), description_in(model), classes, first_label
    )


def facts_of_session(session: Any, path: Path) -> ModelFacts:
    """Return the facts of an onnxruntime.InferenceSession."""
    inputs, outputs = (
        tuple(Port(one.name, _known_sides(one.shape), _onnx_type(one.type)) for one in ports)
        for ports in (session.get_inputs(), session.get_outputs())
    )
    return ModelFacts(path, inputs, outputs, {})


def _ports(ports: Sequence[Any]) -> tuple[Port, ...]:
    return tuple(
        Port(any_name_of(port), sides_of(port), port.get_element_type().get_type_name()) for port in ports
    )


def _known_sides(shape: Sequence[Any]) -> tuple[int | None, ...]:
    return tuple(side if isinstance(side, int) else None for side in shape)


def _onnx_type(told: str) -> str:
    name = told.removeprefix("tensor(").removesuffix(")")  # of tensor(float)
    return ONNX_TYPES.get(name, name)


def _classes(node: Any) -> tuple[int | None, int | None]:
    """Return how many classes a DetectionOutput finds, and the number of the first.

    The background is one of its columns, the first or, in Open Model Zoo, sometimes the last.
    """
    attributes = node.get_attributes()
    shapes = [value.get_partial_shape() for value in node.input_values()[:2]]
    if not attributes["share_location"] or not all(shape.is_static for shape in shapes):
        return None, None
    columns = shapes[1].to_shape()[1] * 4 // shapes[0].to_shape()[1]
    background = attributes["background_label_id"]
    if background == 0:
        return columns - 1, 0 if attributes["decrease_label_id"] else 1
    return (columns - 1 if background == columns - 1 else columns), 0
