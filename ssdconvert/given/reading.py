"""Reads a model file that somebody gives, of either kind, into the same facts."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ssdconvert.errors import ConversionError, RecipeError
from ssdconvert.given.file import STAGE, SUFFIXES, SUPPRESSES, GivenFile, Port
from ssdconvert.ir_contract import WEIGHT_TYPES, weight_types
from ssdconvert.ir_description import description_in, rt_info_of
from ssdconvert.ir_file import read_ir
from ssdconvert.onnx_file import read_onnx
from ssdconvert.quantised_onnx import is_quantised
from ssdconvert.runners.openvino_runner import name_of, sides_of

# numbers of ONNX's element types -> OpenVINO's names of them
ONNX_TYPES = {1: "f32", 2: "u8", 3: "i8", 6: "i32", 7: "i64", 9: "boolean", 10: "f16", 11: "f64", 16: "bf16"}


def read_given(path: Path) -> GivenFile:
    """Return what a file says of itself.

    Raises RecipeError where there is no such file or it is of neither kind, ConversionError where it
    does not load.
    """
    if not path.is_file():
        raise RecipeError(f"{path} does not exist", hint="give the path of a .onnx or .xml", stage=STAGE)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise RecipeError(
            f"{path} is neither .onnx nor .xml", hint="give an ONNX file or the .xml of an IR", stage=STAGE
        )
    return _read_onnx(path) if suffix == ".onnx" else _read_ir(path)


def _read_onnx(path: Path) -> GivenFile:
    import onnx

    model = read_onnx(path)
    graph = model.graph
    weights: Counter[str] = Counter()
    for tensor in graph.initializer:
        weights[ONNX_TYPES.get(tensor.data_type, "other")] += _numbers(tensor)
    for node in graph.node:
        for attribute in node.attribute:
            if node.op_type == "Constant" and attribute.type == onnx.AttributeProto.TENSOR:
                weights[ONNX_TYPES.get(attribute.t.data_type, "other")] += _numbers(attribute.t)
    stored = {tensor.name for tensor in graph.initializer}  # which old exporters list among the inputs
    return GivenFile(
        path,
        model,
        {entry.name: _onnx_port(entry) for entry in graph.input if entry.name not in stored},
        {entry.name: _onnx_port(entry) for entry in graph.output},
        frozenset(name for node in graph.node for name in node.output if name),
        "INT8" if is_quantised(model) else _precision(weights),
        tuple(node.op_type for node in graph.node if node.op_type in SUPPRESSES),
    )


def _numbers(tensor: Any) -> int:
    count = 1
    for side in tensor.dims:
        count *= side
    return count


def _onnx_port(entry: Any) -> Port:
    tensor = entry.type.tensor_type
    sides = tuple(side.dim_value or None for side in tensor.shape.dim) if tensor.HasField("shape") else None
    return Port(ONNX_TYPES.get(tensor.elem_type, "other"), sides)


def _read_ir(path: Path) -> GivenFile:
    model = read_ir(path)
    operations = model.get_ordered_ops()
    types = [operation.get_type_name() for operation in operations]
    if any(not port.get_names() for port in (*model.inputs, *model.outputs)):
        raise ConversionError(
            f"{path.name} has an input or output without a name",
            hint="convert the model again: IRs have tensor names since OpenVINO 2022.1",
            stage="load",
        )
    weights = weight_types(model)
    said = description_in(model)
    return GivenFile(
        path,
        model,
        dict(_ir_port(port) for port in model.inputs),
        dict(_ir_port(port) for port in model.outputs),
        frozenset(name for node in operations for port in node.outputs() for name in port.get_names()),
        "INT8" if _computes_in_integers(types) else _precision(weights),
        tuple(kind for kind in types if kind in SUPPRESSES),
        _preprocessing(model, said),
        said.get("recipe", ""),
        said.get("input_color", ""),
    )


def _ir_port(port: Any) -> tuple[str, Port]:
    return name_of(port), Port(port.get_element_type().get_type_name(), sides_of(port))


def _computes_in_integers(types: Sequence[str]) -> bool:
    """Say of the types of an IR's operations whether convolutions are quantised: one FakeQuantize is no INT8."""
    convolutions = types.count("Convolution") + types.count("GroupConvolution")
    return types.count("FakeQuantize") >= max(convolutions, 1)


def _precision(weights: Mapping[str, int]) -> str:
    """Return the precision whose limits fit: that of the roughest numbers of which there are more than a few."""
    shares = {name: sum(weights.get(kind, 0) for kind in kinds) for name, kinds in WEIGHT_TYPES.items()}
    real = sum(weights.get(kind, 0) for kind in ("f32", "f64", "f16", "bf16", "i8", "u8")) or 1
    if shares["INT8"] >= 0.5 * real:
        return "INT8"
    return "FP16" if shares["FP16"] + weights.get("bf16", 0) > 0.01 * real else "FP32"


def _preprocessing(model: Any, said: Mapping[str, str]) -> str:
    """Return what an IR says is baked in, by us (`said`) or by Model Optimizer; what changes nothing is not told."""
    if "baked_mean" in said:
        mean, scale = said["baked_mean"], said.get("baked_scale", "")
        swapped = said.get("baked_model_color", "") != said.get("input_color", "")
    else:
        told = {
            key: rt_info_of(model, "conversion_parameters", key) or ""
            for key in ("mean_values", "scale_values", "reverse_input_channels")
        }
        mean, scale = (
            told[key].rpartition("[")[2] for key in ("mean_values", "scale_values")
        )  # image[1.0,2.0,3.0]
        swapped = told["reverse_input_channels"] == "True"
    means, scales = (
        [float(number) for number in re.split(r"[\s,()\]]+", text) if number] for text in (mean, scale)
    )
    words = {
        "mean " + " ".join(f"{value:g}" for value in means): any(means),
        "scale " + " ".join(f"{value:g}" for value in scales): any(value != 1 for value in scales),
        "channels reversed": swapped,
    }
    return ", ".join(one for one, changes in words.items() if changes)
