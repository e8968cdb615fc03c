"""A ready IR: the untouched file in OpenVINO on the CPU."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ssdconvert.build_plan import PRECISIONS
from ssdconvert.ir_contract import check_ready_ir
from ssdconvert.ir_graph import Suppression, suppression_of
from ssdconvert.originals import Original
from ssdconvert.originals.fit import coding_in, fitted, refuse_other_rule
from ssdconvert.outputs import form_of
from ssdconvert.recipe import Recipe
from ssdconvert.recipe_source import IrSource
from ssdconvert.runners.openvino_runner import OpenvinoRunner, name_of
from ssdconvert.ssd.heads import Heads, HeadTensor


def load_ir(recipe: Recipe, source: IrSource, files: Mapping[str, Path]) -> Original:
    """Return the IR of the highest precision among `files` by name; ConversionError where it does not fit."""
    pairs = {precision: source.pair(precision) for precision in PRECISIONS}
    return load_xml(
        recipe, *next((p, files[pair[0]]) for p, pair in pairs.items() if pair and pair[0] in files)
    )


def load_xml(recipe: Recipe, precision: str, xml: Path) -> Original:
    """Return an IR that suppresses by itself, of a weight precision; ConversionError where it does not fit."""
    model = check_ready_ir(recipe, precision, xml)
    classes = len(recipe.class_names)

    def named(model: Any) -> Suppression:
        return suppression_of(model, classes)

    end = named(model)
    refuse_other_rule(xml.name, recipe, end)
    own = form_of([name_of(port) for port in model.outputs])
    inner = [name for name in (end.scores, end.boxes, end.priors) if name]
    runner = OpenvinoRunner(xml, "CPU", inner, named)
    zeros = runner.run({recipe.input.name: np.zeros(recipe.input.shape, np.float32)})
    coding = coding_in(xml.name, zeros[end.priors]) if end.priors else None
    heads = Heads(coding, recipe.detections.clip)
    tensors = dict(zip(heads.names, tensors_of(recipe, end), strict=True))
    original = Original(
        heads, 0, xml, runner, tensors, own, keeps_outputs=True,
        prepare=named, in_order_of_score=bool(end.order),
    )  # fmt: skip
    return fitted(recipe, original, xml.name, zeros)


def tensors_of(recipe: Recipe, end: Suppression) -> tuple[HeadTensor, HeadTensor]:
    """Return where the scores and the boxes are that enter the suppression."""
    height, width = recipe.input.shape[2:]
    sides = (width, height) if recipe.detections.units == "pixels" else (1, 1)
    scores = HeadTensor(end.scores, end.layout, end.columns, end.background)
    boxes_layout = "flat" if end.layout == "flat" else "rows"
    return scores, HeadTensor(end.boxes, boxes_layout, 4, sides=sides)  # type: ignore[arg-type]
