"""Model Optimizer, in this process: an ONNX graph becomes an OpenVINO model, preprocessing baked in."""

import contextlib
import io
import re
import tempfile
import warnings
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from ssdconvert.errors import ConversionError
from ssdconvert.native_paths import native_path
from ssdconvert.operation_names import name_apart
from ssdconvert.recipe import Recipe


def conversion_arguments(recipe: Recipe) -> dict[str, Any]:
    """Return what Model Optimizer is asked for: reversal, and mean and scale in the model's channel order.

    Model Optimizer reverses first and normalises then, so both stay in the model's own order
    whatever the order of the converted input is (openvino#9182).
    """
    spec = recipe.input
    return {
        "reverse_input_channels": spec.color.model != spec.color.converted,
        "mean_values": {spec.name: list(spec.mean)},
        "scale_values": {spec.name: list(spec.scale)},
    }


def preprocessing_request(recipe: Recipe) -> dict[str, Any]:
    """Return `conversion_arguments` as the tasks of toolchains take them: for the one input, by its name."""
    arguments, name = conversion_arguments(recipe), recipe.input.name
    return {
        "input_name": name,
        "mean_values": arguments["mean_values"][name],
        "scale_values": arguments["scale_values"][name],
        "reverse_input_channels": arguments["reverse_input_channels"],
    }


def from_onnx(source: Path, arguments: Mapping[str, Any]) -> Any:
    """Return the model of an ONNX file, without Model Optimizer's banner and its warnings."""
    from openvino.tools.mo import convert_model
    from openvino.tools.mo.utils.version import VersionChecker

    # it would start a second interpreter to see whether the runtime can be imported: it has been
    VersionChecker().runtime_checked = True
    said = io.StringIO()
    with warnings.catch_warnings(), contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        warnings.simplefilter("ignore")
        try:
            with native_path(source) as path:
                model = convert_model(path, compress_to_fp16=False, silent=True, **arguments)
        except Exception as error:  # Model Optimizer has no common base class of its errors
            raise ConversionError(
                f"Model Optimizer cannot convert {source.name}: {error}",
                hint="report this as a bug, with the recipe",
                stage="convert",
            ) from error
    name_deterministically(model, names_in(source))
    return model


def name_deterministically(model: Any, own: Collection[str], numbered: str = r"\w+_\d+") -> None:
    """Rename what Model Optimizer numbered by a counter of the process, so that bytes repeat.

    `own` names come from the original's graph and stay: they are how the two are compared. `numbered` is a
    pattern of the names to replace. No two operations have one name afterwards.
    """
    operations = model.get_ordered_ops()
    for index, operation in enumerate(operations):
        name = operation.get_friendly_name()
        if name not in own and re.fullmatch(numbered, name):
            new = f"{operation.get_type_name()}_{index}"
            operation.set_friendly_name(f"{new}/added" if new in own else new)
    name_apart(operations)


def names_in(source: Path) -> set[str]:
    """Return every name in the graph of an ONNX file."""
    import onnx

    graph = onnx.load(source, load_external_data=False).graph
    names = {entry.name for entry in (*graph.node, *graph.initializer, *graph.input, *graph.output)}
    return names | {name for node in graph.node for name in node.output}


def from_caffe(prototxt: Path, caffemodel: Path, recipe: Recipe) -> Any:
    """Return the model of a Caffe network, which Model Optimizer converts in the toolchain `caffe`.

    Raises MissingDevice where there is no such toolchain, ConversionError where the conversion fails.
    """
    from ssdconvert.caffe import read_network

    with native_path(prototxt) as text, native_path(caffemodel) as weights:
        files = {"prototxt": str(text.absolute()), "caffemodel": str(weights.absolute())}
        request = files | preprocessing_request(recipe)
        model = converted_in("caffe", "convert_caffe", request, "report this as a bug, with the recipe")
    network = read_network(prototxt)
    # the Caffe front end names what it adds in many ways, and each differs from run to run
    name_deterministically(model, {*network.inputs, *(layer.name for layer in network.layers)}, ".*")
    return model


def converted_in(toolchain: str, task: str, request: Mapping[str, Any], hint: str) -> Any:
    """Return the model that a task of a toolchain writes for a request, none of which stays in files.

    Raises MissingDevice where there is no such toolchain, ConversionError where the conversion fails, and, with
    the hint, where the model has an operation that this OpenVINO does not read.
    """
    import openvino

    from ssdconvert.runners.openvino_core import first_line
    from ssdconvert.toolchains.environment import find

    with tempfile.TemporaryDirectory(prefix="ssdconvert-") as folder:
        xml = Path(folder) / "model.xml"
        find(toolchain).call(task, {**request, "output": str(xml)}, stage="convert")
        files = xml.read_bytes(), xml.with_suffix(".bin").read_bytes()
    try:
        return openvino.Core().read_model(*files)
    except RuntimeError as error:
        version = openvino.get_version().split("-")[0]
        raise ConversionError(
            f"OpenVINO {version} does not read what the toolchain {toolchain} made: {first_line(error)}",
            hint=hint,
            stage="convert",
        ) from error
