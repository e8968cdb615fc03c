"""Convert: the model to OpenVINO IR, preprocessing baked in; a ready IR is taken as it is.

The result is read back from the file, and its input, outputs and weight precision are checked
against what was asked for: what a converter says it did is not evidence.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ssdconvert import openvino_converter
from ssdconvert.ir_contract import Shapes, check_ready_ir
from ssdconvert.ir_description import describe
from ssdconvert.ir_graph import suppression_of
from ssdconvert.ir_writing import put_ir, write_ir
from ssdconvert.model_optimizer import conversion_arguments, from_caffe, from_onnx
from ssdconvert.older_operations import use_older_operations
from ssdconvert.originals import Original
from ssdconvert.originals.fit import refuse_other_rule
from ssdconvert.outputs import STATIC, TAILS, OutputForm
from ssdconvert.recipe import Recipe
from ssdconvert.recipe_source import IrSource, caffe_pair
from ssdconvert.temporary_folders import temporary_folder_beside

Paths = Mapping[str, Path]


def convert(
    recipe: Recipe,
    source: Path,
    targets: Paths,
    sources: Mapping[str, str],
    converter: str = "mo",
    bake: str = "values",
) -> str:
    """Write an IR of an ONNX graph for each precision of `targets` (precision -> path of the .xml).

    `sources` are the digests of the original's files, kept in the IR; `converter` and `bake` are of
    `build_plan.CONVERTERS` and `BAKES`. Returns what was done. Raises ConversionError when the conversion
    fails or its result is not what was asked for, MissingDevice where the converter's toolchain is not there.
    """
    if converter == "openvino":
        model = openvino_converter.from_onnx(source, recipe, bake)
    else:
        model = from_onnx(source, conversion_arguments(recipe))
    return _write(model, recipe, STATIC, targets, sources, converter=converter, bake=bake)


def convert_heads(
    recipe: Recipe, original: Original, source: Path, tail: str, targets: Paths, sources: Mapping[str, str]
) -> str:
    """Write an IR of an ONNX graph that ends in the heads of `original`, as `convert` does.

    `tail` is what follows them, one of `ssdconvert.outputs.TAILS`: `detection-output`, or nothing for `heads`.
    """
    from ssdconvert.tails.attach import with_detection_output

    arguments = conversion_arguments(recipe)
    if tail == "detection-output":
        model = with_detection_output(source, arguments, original, recipe.classes, recipe.detections)
    else:
        model = from_onnx(source, arguments)
    return _write(model, recipe, TAILS[tail], targets, sources, original.head_shapes(recipe.classes))


def convert_caffe(
    recipe: Recipe,
    original: Original,
    files: Paths,
    targets: Paths,
    sources: Mapping[str, str],
    tail: str = "nms",
) -> str:
    """Write an IR of a Caffe network (files by name), as `convert` does; one without NMS gets the tail."""
    from ssdconvert.tails.attach import with_heads_alone, with_tail

    model = from_caffe(*caffe_pair(files), recipe)
    form = TAILS[tail]
    if original.keeps_outputs and original.own is not None:
        form = original.own
        refuse_other_rule("the converted network", recipe, suppression_of(model, len(recipe.class_names)))
    elif tail == "heads":
        model = with_heads_alone(model, original)
    else:
        model = with_tail(model, original, recipe.classes, recipe.detections, tail)
    return _write(model, recipe, form, targets, sources, original.head_shapes(recipe.classes))


def adopt(recipe: Recipe, files: Paths, targets: Paths) -> str:
    """Copy a ready IR (files by name) byte for byte to each precision's place, once all are seen to fit."""
    assert isinstance(recipe.source, IrSource)
    pairs = {p: [files[name] for name in recipe.source.pair(p) or ()] for p in targets}
    for precision, (xml, _) in pairs.items():
        check_ready_ir(recipe, precision, xml)
    for precision, target in targets.items():
        xml, weights = pairs[precision]
        with temporary_folder_beside(target.parent) as folder:
            temporary = folder / target.name
            shutil.copyfile(xml, temporary)
            shutil.copyfile(weights, temporary.with_suffix(".bin"))
            put_ir(temporary, target)
    return f"{', '.join(targets)}; nothing to convert, the published files as they are"


def _write(
    model: Any,
    recipe: Recipe,
    form: OutputForm | None,
    targets: Paths,
    sources: Mapping[str, str],
    heads: Shapes | None = None,
    converter: str = "mo",
    bake: str = "values",
) -> str:
    """Write a model in each precision, checked; one without a form ends in `heads`."""
    use_older_operations(model)
    maker = openvino_converter.made_by(converter)
    sizes = []
    for precision, target in targets.items():
        describe(model, recipe, precision, sources, maker, bake)
        write_ir(_compressed(model, precision), recipe, precision, target, form, heads, bake)
        sizes.append(f"{precision} {target.with_suffix('.bin').stat().st_size / 1e6:.1f} MB")
    spec = recipe.input
    told = f"{', '.join(sizes)}; input {spec.color.converted} 0..255 {spec.shape[3]}x{spec.shape[2]}"
    if bake == "image":
        told = f"{', '.join(sizes)}; input {spec.color.converted} u8 pictures of any size"
    return told if converter == "mo" else f"{told}; by {maker}"


def _compressed(model: Any, precision: str) -> Any:
    """Return the model with its weights in the precision.

    The compression that `save_model` offers writes shared constants once or twice depending on where
    they lie in memory; compressing first gives the same bytes every time. NMS keeps its thresholds: 0.3 is
    0.30005 in 16 bits, and pairs of boxes between the two would be kept.
    """
    if precision != "FP16":
        return model
    from openvino._offline_transformations import compress_model_transformation

    compressed = model.clone()
    thresholds = [port.get_source_output().get_node() for port in _thresholds(compressed)]
    compress_model_transformation(compressed)
    for port, constant in zip(_thresholds(compressed), thresholds, strict=True):
        port.replace_source_output(constant.output(0))
    return compressed


def _thresholds(model: Any) -> list[Any]:
    """Return the inputs by which NMS gets the thresholds of IoU and score."""
    nodes = [node for node in model.get_ordered_ops() if node.get_type_name() == "NonMaxSuppression"]
    return [node.input(index) for node in nodes for index in (3, 4)]
