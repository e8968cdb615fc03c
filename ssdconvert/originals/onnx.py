"""An ONNX file in ONNX Runtime: one that ends in heads, or one that suppresses by itself."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ssdconvert.errors import ConversionError
from ssdconvert.onnx_file import read_onnx
from ssdconvert.originals import Original
from ssdconvert.originals.fit import fitted, heads_named
from ssdconvert.outputs import STATIC, OutputForm, form_of
from ssdconvert.recipe import Recipe
from ssdconvert.recipe_source import OnnxSource
from ssdconvert.runners import Arrays
from ssdconvert.runners.inner_tensors import OnnxTensors
from ssdconvert.ssd.heads import Heads, HeadTensor

if TYPE_CHECKING:
    import onnx


def load_onnx(recipe: Recipe, source: OnnxSource, path: Path) -> Original:
    """Return the file at `path` in ONNX Runtime; ConversionError if it is not what the recipe says."""
    from ssdconvert.quantised_onnx import is_quantised
    from ssdconvert.runners.onnx_runner import OnnxRunner

    model = read_onnx(path)
    own = None
    if source.heads is None:
        own = _own_form(path, model)
        scores, boxes = _inputs_of_nms(path, model)
        tensors = {
            "scores": HeadTensor(scores, "by_class", recipe.classes - 1, background=None),
            "boxes": HeadTensor(boxes),
        }
        heads = Heads(clip=recipe.detections.clip)
    else:
        tensors = {"scores": HeadTensor(source.heads.scores), "boxes": HeadTensor(source.heads.boxes)}
        heads = heads_named(recipe, source.heads)
    _refuse_absent(path, model, [tensor.name for tensor in tensors.values()])
    quantised = is_quantised(model)
    runner = OnnxRunner(path, [tensor.name for tensor in tensors.values()], exact=quantised)
    inputs = {entry.name: entry.shape for entry in runner.session.get_inputs()}
    if list(recipe.input.shape) != inputs.get(recipe.input.name):
        raise ConversionError(
            f"{path.name} has the inputs {inputs}, expected {recipe.input.name!r} {list(recipe.input.shape)}",
            hint="correct input.name or input.shape in the recipe",
            stage="load",
        )
    placed = dict(zip(heads.names, tensors.values(), strict=True))
    ours = {tensor.name: name for name, tensor in placed.items() if tensor.layout == "rows"}
    inner = OnnxTensors(path, [tensor.name for tensor in placed.values()], quantised, ours)
    original = Original(
        heads, 0, path, runner, placed, own, quantised=quantised, inner=lambda exported: inner
    )
    fitting = fitted(recipe, original, path.name, _arrays_of_heads(recipe, original))
    if own is not None and recipe.detections.per_class < fitting.default_boxes:
        raise ConversionError(
            f"{path.name} suppresses all {fitting.default_boxes} default boxes of a class, the recipe's "
            f"per_class lets {recipe.detections.per_class} in",
            hint=f"write per_class: {fitting.default_boxes}: the limit of ONNX's NMS holds after suppression, "
            "where `keep` limits more",
            stage="load",
        )
    return fitting


def _own_form(path: Path, model: "onnx.ModelProto") -> OutputForm:
    """Return the form of the file's own detections."""
    names = [output.name for output in model.graph.output]
    if form_of(names) is not STATIC:
        raise ConversionError(
            f"{path.name} has the outputs {names}, expected {sorted(STATIC.names)}",
            hint="for a graph without NMS write source.heads: {scores: NAME, boxes: NAME} into the recipe",
            stage="load",
        )
    return STATIC


def _inputs_of_nms(path: Path, model: "onnx.ModelProto") -> tuple[str, str]:
    """Return the names of the scores and of the boxes that enter the file's own suppression."""
    nodes = [node for node in model.graph.node if node.op_type == "NonMaxSuppression"]
    if len(nodes) != 1:
        raise ConversionError(
            f"{path.name} holds {len(nodes)} NonMaxSuppression nodes, expected 1",
            hint="write source.heads: {scores: NAME, boxes: NAME} into the recipe: where its heads are",
            stage="load",
        )
    boxes, scores = nodes[0].input[:2]
    return scores, boxes


def _refuse_absent(path: Path, model: "onnx.ModelProto", names: Sequence[str]) -> None:
    """Raise ConversionError unless the graph computes tensors of these names."""
    computed = {name for node in model.graph.node for name in node.output}
    absent = [name for name in names if name not in computed]
    if absent:
        raise ConversionError(
            f"{path.name} has no tensor {' and no '.join(map(repr, absent))}; its outputs are "
            f"{', '.join(repr(output.name) for output in model.graph.output)}",
            hint="correct source.heads in the recipe",
            stage="load",
        )


def _arrays_of_heads(recipe: Recipe, original: Original) -> Arrays:
    """Return arrays of the shapes of the heads; a run tells the shapes that the graph does not."""
    shapes = {output.name: output.shape for output in original.runner.session.get_outputs()}  # type: ignore[attr-defined]
    names = [tensor.name for tensor in original.tensors.values()]
    # ONNX Runtime gives a tensor of an unknown rank no sides at all
    known = all(shapes[name] and all(isinstance(side, int) for side in shapes[name]) for name in names)
    if known and original.heads.coding is None:  # offsets are looked at
        return {name: np.zeros(shapes[name], np.float32) for name in names}
    return original.runner.run({recipe.input.name: np.zeros(recipe.input.shape, np.float32)})
