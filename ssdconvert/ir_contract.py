"""Reads an IR back and checks it against what was asked for: what a converter says it did is not evidence."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ssdconvert.errors import ConversionError
from ssdconvert.ir_file import read_ir
from ssdconvert.outputs import DETECTION_OUT, OutputForm, form_of, output_shapes
from ssdconvert.recipe import Recipe

WEIGHT_TYPES = {"FP32": ("f32",), "FP16": ("f16",), "INT8": ("i8", "u8")}


def check_ir(recipe: Recipe, precision: str, path: Path, form: OutputForm) -> None:
    """Raise ConversionError where an IR that ssdconvert made is not what the recipe asks for."""
    model = read_ir(path)
    shapes = output_shapes(recipe.detections.keep)
    if form.names == (DETECTION_OUT,):
        shapes = {DETECTION_OUT: [1, 1, recipe.detections.keep, 7]}
    expected = [f"{recipe.input.name} f32 {list(recipe.input.shape)}"]
    for name, shape in shapes.items():
        expected.append(f"{name} {'i64' if name == 'labels' else 'f32'} {shape}")
    actual = _ports(model.inputs, [recipe.input.name]) + _ports(model.outputs, list(shapes))
    if actual != expected:
        raise ConversionError(
            f"the {precision} IR has {actual}, expected {expected}",
            hint="report this as a bug, with the recipe",
        )
    _check_weights(model, precision, hint="report this as a bug, with the recipe", stage="convert")


def check_ready_ir(recipe: Recipe, precision: str, path: Path) -> Any:
    """Return the openvino.Model of a published IR; ConversionError where it is not what its recipe says."""
    model = read_ir(path)
    expected = [f"{recipe.input.name} f32 {list(recipe.input.shape)}"]
    actual = _ports(model.inputs, [recipe.input.name])
    if actual != expected:
        raise ConversionError(
            f"{path.name} has the input {actual}, expected {expected}",
            hint="correct input.name or input.shape in the recipe",
            stage="load",
        )
    names = [min(port.get_names(), default="?") for port in model.outputs]
    if form_of(names) is None:
        raise ConversionError(
            f"{path.name} has the outputs {names}, expected detection_out, or boxes and labels",
            hint="only IRs that end in detections are supported",
            stage="load",
        )
    hint = "name each file in the folder of its precision: source.files in the recipe"
    _check_weights(model, precision, hint, stage="load")
    return model


def _check_weights(model: Any, precision: str, hint: str, stage: str) -> None:
    """Raise ConversionError unless most numbers that an IR stores are of the precision's type."""
    types = weight_types(model)
    stored = sum(types[kind] for kind in WEIGHT_TYPES[precision])
    # a quantised model keeps what is not a convolution, and its ranges, in floating point
    least = 0.5 if precision == "INT8" else 0.99
    if stored < least * sum(types.values()):
        raise ConversionError(
            f"the {precision} IR holds weights of {dict(types)}, expected {' or '.join(WEIGHT_TYPES[precision])}",
            hint=hint,
            stage=stage,
        )


def weight_types(model: Any) -> Counter[str]:
    """Count the numbers that an IR stores as weights (real numbers and bytes), by element type."""
    counts: Counter[str] = Counter()
    for operation in model.get_ops():
        if operation.get_type_name() != "Constant":
            continue
        kind = operation.get_element_type()
        if kind.is_real() or kind.get_type_name() in WEIGHT_TYPES["INT8"]:
            size = 1
            for side in operation.get_output_shape(0):
                size *= side
            counts[kind.get_type_name()] += size
    return counts


def _ports(ports: Sequence[Any], names: Sequence[str]) -> list[str]:
    """Describe ports, those of the given names by that name."""
    described = []
    for port in ports:
        own = port.get_names()
        name = next((name for name in names if name in own), min(own, default="?"))
        shape = port.get_partial_shape()
        sides = list(port.get_shape()) if shape.is_static else str(shape)
        described.append(f"{name} {port.get_element_type().get_type_name()} {sides}")
    return described
