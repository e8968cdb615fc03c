"""Writes ready IRs from a seed, in the forms of Intel's: .xml and .bin of one network per precision.

`detection_out` [1, 1, K, 7] through PriorBoxClustered and DetectionOutput is the form of
face-detection-retail-0004 and person-vehicle-bike-detection-2000, `boxes` [..K, 5] with `labels` [..K]
through one NonMaxSuppression for all classes that of person-vehicle-bike-detection-2004 and
face-detection-0206. FP16 is compressed as theirs (f16 constants behind a Convert), INT8 too: i8 weights
with a scale a channel, FakeQuantize on what enters a convolution, and f16 for the rest.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import openvino
from numpy.typing import NDArray
from openvino._offline_transformations import compress_model_transformation
from openvino.runtime import opset8 as ops

from ssdconvert.recipe import Recipe
from ssdconvert.recipe_source import IR_FOLDERS
from ssdconvert.ssd.preprocess import converted_input
from ssdconvert.stand_in.calibration_pictures import all_pictures
from ssdconvert.stand_in.ir_endings import Rule, end_in_boxes, end_in_detection_output
from ssdconvert.stand_in.ir_network import Ending, Weights, build, calibrated, with_raised_scores


def write_files(recipe: Recipe, folder: Path, static_rows: bool = False) -> None:
    """Write the .xml and .bin files of a recipe of kind ir under their names into `folder`.

    The precision of a file is the name of its folder. Recipes in pixels get `boxes` and `labels`, the
    others `detection_out`. With `static_rows` the former have always K rows, unused ones of score 0.
    The same recipe gives the same bytes.
    """
    rule = _rule(recipe, static_rows)
    pictures = all_pictures()
    images = [converted_input(pixels, recipe.input) for pixels in pictures]
    weights = seeded_weights(rule, images)
    for file in recipe.source.files:
        if file.name.endswith(".xml"):
            path = folder / file.name
            write_ir(path, recipe.input.name, rule, weights, IR_FOLDERS[path.parent.name])


def _rule(recipe: Recipe, static_rows: bool) -> Rule:
    spec, detections = recipe.input, recipe.detections
    return Rule(
        form="boxes" if detections.units == "pixels" else "detection_out",
        height=spec.shape[2],
        width=spec.shape[3],
        classes=len(recipe.class_names),
        rows=detections.keep,
        score_threshold=detections.score_threshold,
        iou_threshold=detections.iou_threshold,
        per_class=detections.per_class,
        first_label=detections.first_label,
        static_rows=static_rows,
    )


def ending_of(rule: Rule) -> Ending:
    """Return what builds the outputs of a rule's form behind the heads."""
    end = end_in_boxes if rule.form == "boxes" else end_in_detection_output
    return lambda maps, logits, offsets, image: end(rule, maps, logits, offsets, image)


def seeded_weights(rule: Rule, images: Sequence[NDArray[Any]]) -> Weights:
    """Return weights under which `images`, each f32 [1, 3, H, W] of 0..255, have a number of detections."""
    weights = calibrated(rule, images)
    return with_raised_scores(rule, weights, images, ending_of(rule))


def write_ir(path: Path, input_name: str, rule: Rule, weights: Weights, precision: str) -> None:
    """Write an IR to `path`, an .xml, and its weights beside it; the precision is FP32, FP16 or INT8."""
    model = build(rule, weights, ending_of(rule), input_name, quantised=precision == "INT8")
    model.set_friendly_name(path.stem)
    _name(model)
    if precision == "FP16":
        compress_model_transformation(model)
    elif precision == "INT8":
        _halve(model)
    model.set_rt_info("weights from a seed: what it detects means nothing", ["ssdconvert", "stand_in"])
    path.parent.mkdir(parents=True, exist_ok=True)
    openvino.save_model(model, path, compress_to_fp16=False)


def _halve(model: openvino.Model) -> None:
    """Keep f32 constants as f16 behind a Convert: OpenVINO's own compression leaves quantised models alone."""
    for constant in model.get_ordered_ops():
        if constant.get_type_name() == "Constant" and constant.get_element_type() == openvino.Type.f32:
            name = constant.get_friendly_name()
            half = ops.constant(constant.get_data().astype(np.float16), name=f"{name}_compressed")
            targets = constant.output(0).get_target_inputs()
            whole = ops.convert(half, "f32", name=name)
            for target in targets:
                target.replace_source_output(whole.output(0))


def _name(model: openvino.Model) -> None:
    """Rename what OpenVINO numbered by a counter of the process, so that bytes repeat."""
    for index, operation in enumerate(model.get_ordered_ops()):
        kind = operation.get_type_name()
        if re.fullmatch(rf"{kind}_\d+", operation.get_friendly_name()):
            operation.set_friendly_name(f"{kind}_{index}")
