"""Convert: the simplified graph to OpenVINO IR by Model Optimizer, preprocessing baked in.

The result is read back from the file, and its input, outputs and weight precision are checked
against what was asked for: what Model Optimizer says it did is not evidence.
"""

import contextlib
import io
import os
import re
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ssdconvert.errors import ConversionError
from ssdconvert.outputs import OUTPUTS, output_shapes
from ssdconvert.recipe import Recipe
from ssdconvert.workspace import temporary_folder_beside

WEIGHT_TYPES = {"FP32": "f32", "FP16": "f16"}


def convert(recipe: Recipe, source: Path, targets: Mapping[str, Path], sources: Mapping[str, str]) -> str:
    """Write an IR for each precision of `targets` (precision -> path of the .xml); return what was done.

    `sources` are the digests of the original's files, kept in the IR. Raises ConversionError when
    the conversion fails or its result is not what was asked for.
    """
    import openvino

    model = _optimise(recipe, source)
    _name_deterministically(model, source)
    sizes = []
    for precision, target in targets.items():
        _describe(model, recipe, precision, sources)
        with temporary_folder_beside(target.parent) as folder:
            temporary = folder / target.name
            openvino.save_model(_compressed(model, precision), temporary, compress_to_fp16=False)
            check_ir(recipe, precision, temporary)
            target.parent.mkdir(parents=True, exist_ok=True)
            # an .xml is never beside weights that are not its own: it goes first and comes last
            target.unlink(missing_ok=True)
            os.replace(temporary.with_suffix(".bin"), target.with_suffix(".bin"))
            os.replace(temporary, target)
        sizes.append(f"{precision} {target.with_suffix('.bin').stat().st_size / 1e6:.1f} MB")
    spec = recipe.input
    return f"{', '.join(sizes)}; input {spec.color.converted} 0..255 {spec.shape[3]}x{spec.shape[2]}"


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


def _optimise(recipe: Recipe, source: Path) -> Any:
    """Run Model Optimizer in this process, without its banner and its warnings."""
    from openvino.tools.mo import convert_model
    from openvino.tools.mo.utils.version import VersionChecker

    # it would start a second interpreter to see whether the runtime can be imported: it has been
    VersionChecker().runtime_checked = True
    said = io.StringIO()
    with warnings.catch_warnings(), contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        warnings.simplefilter("ignore")
        try:
            return convert_model(source, compress_to_fp16=False, silent=True, **conversion_arguments(recipe))
        except Exception as error:  # Model Optimizer has no common base class of its errors
            raise ConversionError(
                f"Model Optimizer cannot convert {source.name}: {error}",
                hint="report this as a bug, with the recipe",
            ) from error


def _name_deterministically(model: Any, source: Path) -> None:
    """Rename what Model Optimizer numbered by a counter of the process, so that bytes repeat.

    Names that come from the ONNX graph stay: they are how the two are compared.
    """
    import onnx

    graph = onnx.load(source, load_external_data=False).graph
    own = {entry.name for entry in (*graph.node, *graph.initializer, *graph.input, *graph.output)}
    own.update(name for node in graph.node for name in node.output)
    for index, operation in enumerate(model.get_ordered_ops()):
        name = operation.get_friendly_name()
        if name not in own and re.fullmatch(r"\w+_\d+", name):
            operation.set_friendly_name(f"{operation.get_type_name()}_{index}")


def _compressed(model: Any, precision: str) -> Any:
    """Return the model with its weights in the precision.

    The compression that `save_model` offers writes shared constants once or twice depending on where
    they lie in memory; compressing first gives the same bytes every time.
    """
    if precision != "FP16":
        return model
    from openvino._offline_transformations import compress_model_transformation

    compressed = model.clone()
    compress_model_transformation(compressed)
    return compressed


def _describe(model: Any, recipe: Recipe, precision: str, sources: Mapping[str, str]) -> None:
    """Write into rt_info what a deployer must know of the file."""
    spec = recipe.input
    facts: dict[str, Any] = {
        "recipe": recipe.name,
        "title": recipe.title,
        "licence": recipe.licence,
        "precision": precision,
        "labels": "\n".join(recipe.class_names),
        "input_range": "0..255",
        "input_color": spec.color.converted,
        "resize": f"{spec.resize.mode} {spec.resize.filter} {spec.resize.library}",
        "baked_model_color": spec.color.model,
        "baked_mean": " ".join(f"{value:g}" for value in spec.mean),
        "baked_scale": " ".join(f"{value:g}" for value in spec.scale),
    }
    for key, value in facts.items():
        model.set_rt_info(value, ["ssdconvert", key])
    for name, digest in sources.items():
        model.set_rt_info(digest, ["ssdconvert", "source_sha256", re.sub(r"[^A-Za-z0-9_.-]", "_", name)])


def check_ir(recipe: Recipe, precision: str, path: Path) -> None:
    """Read an IR back and raise ConversionError where it is not what the recipe asks for."""
    import openvino

    model = openvino.Core().read_model(path)
    expected = [f"{recipe.input.name} f32 {list(recipe.input.shape)}"]
    for name, shape in output_shapes(recipe.detections.keep).items():
        expected.append(f"{name} {'i64' if name == 'labels' else 'f32'} {shape}")
    actual = _ports(model.inputs, [recipe.input.name]) + _ports(model.outputs, OUTPUTS)
    if actual != expected:
        raise ConversionError(
            f"the {precision} IR has {actual}, expected {expected}",
            hint="report this as a bug, with the recipe",
        )
    types = weight_types(model)
    wanted = WEIGHT_TYPES[precision]
    total = sum(types.values())
    if types[wanted] < 0.99 * total:
        raise ConversionError(
            f"the {precision} IR holds weights of {dict(types)}, expected {wanted}",
            hint="report this as a bug, with the recipe",
        )


def weight_types(model: Any) -> Counter[str]:
    """Count the floating-point numbers that an IR stores, by element type."""
    counts: Counter[str] = Counter()
    for operation in model.get_ops():
        if operation.get_type_name() == "Constant" and operation.get_element_type().is_real():
            size = 1
            for side in operation.get_output_shape(0):
                size *= side
            counts[operation.get_element_type().get_type_name()] += size
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
